#include "oracle/malformed.h"

#include <string.h>

#include "oracle/plan.h"

/* clang-format off */
#define POST1 "POST /x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n%m"
#define GET1 "GET /x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n%m"
#define SOCKET1 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n"
#define POST2 ":method=POST\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n%m"
#define GET2 ":method=GET\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n%m"
#define SOCKET2 ":method=CONNECT\n:protocol=websocket\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\nsec-websocket-version=13\n"

static const char *const connects_1[] = {
    "CONNECT %h:443 HTTP/1.1\r\nHost: %h:443\r\nX-Id: %i\r\n\r\n",
    "CONNECT %h:443 HTTP/1.1\r\nHost: %h:443\r\nX-Id: %i\r\n\r\n%s",
    "CONNECT %h:443 HTTP/1.1\r\nHost: %h:443\r\nX-Id: %i\r\nContent-Length: 90\r\n\r\n%s",
    "CONNECT %h:443 HTTP/1.1\r\nHost: %h:443\r\nX-Id: %i\r\nTransfer-Encoding: chunked\r\n\r\n%s",
    GET1 SOCKET1 "Content-Length: 90\r\n\r\n%s",
    GET1 SOCKET1 "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST1 SOCKET1 "\r\n",
    GET1 "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
};
static const char *const bad_heads_1[] = {
    POST1 "Content-Length: 5\r\nContent-Length: 90\r\n\r\n%s",
    POST1 "Content-Length: 90, 5\r\n\r\n%s",
    POST1 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding:\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding:\vchunked\r\n\r\n0\r\n\r\n%s",
    POST1 "X-Fold: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
    POST1 "Content-Length: +5\r\n\r\n12345%s",
    POST1 "Content-Length: -5\r\n\r\n12345%s",
    POST1 "Content-Length: 0x5\r\n\r\n12345%s",
    POST1 "Content-Length: 5 5\r\n\r\n12345%s",
    POST1 "Content-Length:\r\n\r\n%s",
    POST1 "Content-Length: 18446744073709551621\r\n\r\n12345%s",
    POST1 "Content-Length : 5\r\n\r\n12345%s",
    POST1 "Content-Length: 5\rX: y\r\n\r\n12345%s",
    POST1 "X-Bare: a\nContent-Length: 5\r\n\r\n12345%s",
    "POST /x/%i HTTP/1.1\nHost: %h\nX-Id: %i\n\n%s",
    "POST /x/%i HTTP/1.0\r\nHost: %h\r\nX-Id: %i\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n%s",
    "GET /x/%i HTTP/1.1\r\nX-Id: %i\r\n\r\n%s",
    GET1 "Host: p1.test\r\n\r\n%s",
    "get /x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /x/%i HTTP/1.1\r\nHost: %h..\r\nX-Id: %i\r\n\r\n%s",
    GET1 "Range: bytes=0-1\r\nrange: bytes=1-2\r\n\r\n%s",
    POST1 "Content-Type: a/b\r\nContent-Length: 0\r\nContent-Type: a/c\r\n\r\n%s",
    GET1 SOCKET1 "Sec-WebSocket-Key: c2l4dGVlbiBieXRlcyBvaw==\r\n\r\n",
    "GET /x/%i  HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /x/%i HTTP/1.1 \r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /x/%i http/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /x/%i HTTP/2.0\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /x/%i\r\n\r\n%s",
    "G(T /x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    "GET /../x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    " GET /x/%i HTTP/1.1\r\nHost: %h\r\nX-Id: %i\r\n\r\n%s",
    GET1 "X-Control: a\001b\r\n\r\n%s",
    GET1 "X Space: a\r\n\r\n%s",
    GET1 ": no name\r\n\r\n%s",
    GET1 "no colon\r\n\r\n%s",
};
static const char *const bad_bodies_1[] = {
    POST1 "Transfer-Encoding: chunked\r\n\r\n5g\r\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloxx0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\rX0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\rXhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n\r\n0\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nbad trailer\r\n\r\n%s",
    POST1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-A: b\nX-C: d\r\n\r\n%s",
};
static const char *const connects_2[] = {
    ":method=CONNECT\n:authority=%h:443\nx-id=%i\n\1",
    ":method=CONNECT\n:authority=%h:443\nx-id=%i\n\1%s",
    ":method=CONNECT\n:authority=%h:443\nx-id=%i\ncontent-length=90\n\1",
    ":method=CONNECT\n:authority=%h\n:scheme=http\n:path=/x/%i\nx-id=%i\n\1%s",
    SOCKET2 "content-length=90\n\1",
    SOCKET2 "content-length=90\n\1%s",
    SOCKET2 "content-length=0\n\1",
    SOCKET2 "content-length=38\n\1",
    ":method=CONNECT\n:protocol=nothing\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n\1%s",
};
static const char *const bad_heads_2[] = {
    POST2 "content-length=5\ncontent-length=90\n\1%s",
    POST2 "content-length=+5\n\1hello",
    POST2 "content-length=5, 5x\n\1hello",
    POST2 "content-length=\n\1hello",
    POST2 "transfer-encoding=chunked\n\0010\r\n\r\n%s",
    POST2 "connection=close\n\1%s",
    POST2 "upgrade=websocket\n\1%s",
    POST2 "te=gzip\n\1%s",
    POST2 "X-Upper=a\n\1%s",
    POST2 "x-split=a\2\3x-more: b\n\1%s",
    POST2 "x-nul=a\4b\n\1%s",
    POST2 "x-blank= a\n\1%s",
    POST2 "x colon=a\n\1%s",
    POST2 "x:colon=a\n\1%s",
    POST2 "host=other.test\n\1%s",
    POST2 ":path=/x/%i\n\1%s",
    GET2 ":unknown=1\n\1",
    ":method=GET\n:scheme=http\n:authority=%h\n:path=\nx-id=%i\n\1",
    ":method=GET\n:scheme=http\n:authority=%h\n:path=x/%i\nx-id=%i\n\1",
    ":method=GET\n:scheme=http\n:authority=%h\n:path=/x/%i HTTP/1.1\2\3X: y\nx-id=%i\n\1",
    ":method=GET /x/%i HTTP/1.1\2\3X: y\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n\1",
    ":method=GET\n:scheme=http\n:authority=%h\2\3X: y\n:path=/x/%i\nx-id=%i\n\1",
    ":method=GET\n:authority=%h\n:path=/x/%i\nx-id=%i\n\1",
    ":scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n\1",
    ":method=GET\nx-id=%i\n:scheme=http\n:authority=%h\n:path=/x/%i\n\1",
    ":method=GET\n:protocol=websocket\n:scheme=http\n:authority=%h\n:path=/x/%i\nx-id=%i\n\1",
};
static const char *const bad_bodies_2[] = {
    POST2 "content-length=3\n\1hello",
    POST2 "content-length=90\n\1hello",
    POST2 "content-length=0\n\1%s",
    POST2 "content-length=1000\n\1%s",
    POST2 "\1hello\5:path=/x/%i\n",
    POST2 "\1hello\5x-a=b\n:status=200\n",
    POST2 "\1hello\5connection=close\n",
    POST2 "\1hello\5transfer-encoding=chunked\n",
    POST2 "\1hello\5X-Upper=a\n",
    POST2 "\1hello\5x-split=a\2\3x-more: b\n",
    POST2 "\1hello\5x-nul=a\4b\n",
    POST2 "content-length=90\n\1hello\5x-a=b\n",
};

#define ANSWER1 "HTTP/1.1 200 OK\r\nX-Oracle: %a\r\n"
#define POISON "HTTP/1.1 200 OK\r\nX-Smuggled: %a\r\nContent-Length: 0\r\n\r\n"
#define ANSWER2 ":status=200\nx-oracle=%a\n"
struct bad_answer {
    const char *text;
    bool late;
};
static const struct bad_answer bad_answers_1[] = {
    {ANSWER1 "Content-Length: 0\r\nContent-Length: 61\r\n\r\n" POISON, false},
    {ANSWER1 "Content-Length: 0, 61\r\n\r\n" POISON, false},
    {ANSWER1 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" POISON, false},
    {ANSWER1 "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" POISON, false},
    {ANSWER1 "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" POISON, false},
    {ANSWER1 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" POISON, false},
    {ANSWER1 "Content-Length: +0\r\n\r\n" POISON, false},
    {ANSWER1 "Content-Length: -1\r\n\r\n" POISON, false},
    {ANSWER1 "Content-Length: 0x0\r\n\r\n" POISON, false},
    {ANSWER1 "X-Fold: a\r\n b\r\nContent-Length: 0\r\n\r\n", false},
    {ANSWER1 "X-Bare: a\nContent-Length: 0\r\n\r\n", false},
    {ANSWER1 "X-Return: a\rb\r\nContent-Length: 0\r\n\r\n", false},
    {ANSWER1 "X-Control: a\001b\r\nContent-Length: 0\r\n\r\n", false},
    {ANSWER1 "no colon\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/2.0 200 OK\r\nX-Oracle: %a\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/1.1 20 OK\r\nX-Oracle: %a\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/1.1 2000 OK\r\nX-Oracle: %a\r\nContent-Length: 0\r\n\r\n", false},
    {"ICY 200 OK\r\nX-Oracle: %a\r\nContent-Length: 0\r\n\r\n", false},
    {"HTTP/1.1 101 Switching Protocols\r\nX-Oracle: %a\r\nConnection: Upgrade\r\nUpgrade: nothing\r\n\r\n" POISON, false},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n5g\r\nhello\r\n0\r\n\r\n" POISON, true},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloxx0\r\n\r\n" POISON, true},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n" POISON, true},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\rX0\r\n\r\n" POISON, true},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n" POISON, true},
    {ANSWER1 "Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n" POISON, true},
};
static const struct bad_answer bad_answers_2[] = {
    {ANSWER2 "content-length=0\ncontent-length=5\n\1hello", false},
    {ANSWER2 "content-length=+5\n\1hello", false},
    {ANSWER2 "transfer-encoding=chunked\n\0010\r\n\r\n", false},
    {ANSWER2 "connection=close\n\1hello", false},
    {ANSWER2 "X-Upper=a\n\1hello", false},
    {ANSWER2 "x-split=a\2\3x-more: b\n\1hello", false},
    {ANSWER2 "x-nul=a\4b\n\1hello", false},
    {ANSWER2 ":status=200\n\1hello", false},
    {ANSWER2 ":path=/\n\1hello", false},
    {"x-oracle=%a\n\1hello", false},
    {":status=20\nx-oracle=%a\n\1hello", false},
    {":status=101\nx-oracle=%a\n\1hello", false},
    {ANSWER2 "content-length=3\n\1hello", true},
    {ANSWER2 "content-length=90\n\1hello", true},
    {ANSWER2 "content-length=90\n\1hello\5x-a=b\n", true},
    {ANSWER2 "\1hello\5:status=200\n", true},
    {ANSWER2 "\1hello\5connection=close\n", true},
    {ANSWER2 "\1hello\5X-Upper=a\n", true},
    {ANSWER2 "\1hello\5x-split=a\2\3x-more: b\n", true},
};
/* clang-format on */

#define ROWS(table) (sizeof(table) / sizeof *(table))
struct rows {
    const char *const *texts;
    unsigned count;
};
static const struct rows rows_of[KIND_COUNT][2] = {
    [KIND_CONNECT] = {{connects_1, ROWS(connects_1)}, {connects_2, ROWS(connects_2)}},
    [KIND_BAD_HEAD] = {{bad_heads_1, ROWS(bad_heads_1)}, {bad_heads_2, ROWS(bad_heads_2)}},
    [KIND_BAD_BODY] = {{bad_bodies_1, ROWS(bad_bodies_1)}, {bad_bodies_2, ROWS(bad_bodies_2)}},
};

unsigned malformed_rows(const struct plan *plan)
{
    return rows_of[plan->kind][plan->http2_in].count;
}

const char *malformed_request(const struct plan *plan)
{
    return rows_of[plan->kind][plan->http2_in].texts[plan->variant];
}

bool malformed_may_look_whole(const struct plan *plan)
{
    const char *text = malformed_request(plan);
    return plan->http2_in &&
           (strstr(text, "content-length=0\n") != NULL || strstr(text, "content-length=3\n") != NULL);
}

const char *malformed_answer(bool http2, unsigned row, bool *late)
{
    const struct bad_answer *answer = http2 ? &bad_answers_2[(row - 1) % ROWS(bad_answers_2)]
                                            : &bad_answers_1[(row - 1) % ROWS(bad_answers_1)];
    *late = answer->late;
    return answer->text;
}

static void print_smuggled(struct bytes *to, const struct malformed_names *names)
{
    bytes_print(to, "GET /smuggled/%s HTTP/1.1\r\nHost: %s\r\nX-Id: %s\r\n\r\n", names->id, names->host,
                names->id);
}

void malformed_print(struct bytes *to, const char *text, const struct malformed_names *names)
{
    for (const char *at = text; *at != 0; at++) {
        if (*at != '%') {
            bytes_add(to, at, 1);
            continue;
        }
        switch (*++at) {
        case 'i':
            bytes_print(to, "%s", names->id);
            break;
        case 'a':
            bytes_print(to, "%s", names->answer);
            break;
        case 'h':
            bytes_print(to, "%s", names->host);
            break;
        case 'm':
            bytes_print(to, "%s", names->mirror);
            break;
        default:
            print_smuggled(to, names);
            break;
        }
    }
}

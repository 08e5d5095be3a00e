/*
 * Fuzzes what reads single values and small bodies of clients and servers: the first bytes of a connection
 * (proxy/client_version.h), Accept, credentials and challenges, gRPC's fields, base64 and gRPC-Web's bodies,
 * answers to health checks, WebSocket keys. What holds: bytes in pieces are read as at once, and what is cut
 * out of a value lies in it.
 */
#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "fuzz.h"
#include "http/accept.h"
#include "http/auth_scheme.h"
#include "http/grpc.h"
#include "http/grpc_web.h"
#include "http/head.h"
#include "proxy/client_version.h"
#include "tls/websocket_key.h"
#include "upstream/health_grpc.h"

#define ARENA ((size_t)1 << 20)
#define TIMEOUT_MOST (UINT64_C(99999999) * 3600000)

static bool lies_in(struct span part, struct span whole)
{
    return part.length == 0 || (part.at >= whole.at && part.at + part.length <= whole.at + whole.length);
}

/* ---- fields ---- */

static void hold_fields(struct span value)
{
    static const struct {
        uint16_t id;
        struct span name;
    } rows[] = {{FIELD_ACCEPT, {"Accept", 6}},
                {FIELD_OTHER, {"WWW-Authenticate", 16}},
                {FIELD_AUTHORIZATION, {"Authorization", 13}},
                {FIELD_CONTENT_TYPE, {"Content-Type", 12}},
                {FIELD_GRPC_TIMEOUT, {"grpc-timeout", 12}},
                {FIELD_GRPC_STATUS, {"grpc-status", 11}}};
    struct head head = {.line.request.method = METHOD_POST, .has_credentials = true};
    struct arena *arena = arena_new(ARENA);
    uint64_t milliseconds = 0;
    struct span subtype = SPAN_NONE;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        HOLDS(fields_add(&head.fields, arena, rows[i].name, value, rows[i].id));
    HOLDS(accept_of(&head.fields, SPAN("application"), SPAN("grpc")).weight <= 1000);
    /* of a list of challenges the first is read as credentials are */
    HOLDS(!auth_is_of_connection(&head) || auth_challenge_of(&head.fields) != AUTH_CHALLENGE_NONE);
    enum grpc_kind kind = grpc_kind(&head.fields, &subtype);
    HOLDS(kind == grpc_request_kind(&head) && lies_in(subtype, value));
    HOLDS(!grpc_timeout(&head.fields, &milliseconds) || milliseconds <= TIMEOUT_MOST);
    unsigned status = grpc_server_status(&head.fields);
    HOLDS(status == 200 || (status >= 400 && status <= 599));
    arena_free(arena);
}

static void hold_credentials(struct span value)
{
    struct span scheme, rest;
    bool one = auth_credentials_read(value, &scheme, &rest);
    HOLDS(lies_in(scheme, value) && lies_in(rest, value));
    HOLDS(!one || scheme.length == 0 || rest.length != 0);
}

static void hold_websocket_key(struct span value)
{
    char accept[WEBSOCKET_ACCEPT_LENGTH];
    struct base64_reader reader = {0};
    unsigned char bytes[32];
    size_t length;
    if (websocket_accept(value, accept))
        HOLDS(base64_read(&reader, accept, sizeof accept, bytes, &length) && base64_is_whole(&reader) &&
              length == 20);
}

/* ---- bytes in pieces ---- */

static void hold_first_bytes(struct span bytes, bool http_1_is_spoken)
{
    enum client_version told = CLIENT_VERSION_MORE;
    for (size_t length = 0; length <= bytes.length && length < 64; length++) {
        struct buf buf = {.first = NULL};
        HOLDS(buf_add(&buf, bytes.at, length));
        enum client_version version = client_version_of(&buf, http_1_is_spoken);
        buf_clear(&buf);
        HOLDS(told == CLIENT_VERSION_MORE || version == told);
        HOLDS(version != CLIENT_VERSION_MORE || length < 24);
        told = version;
    }
}

static void hold_base64(struct span bytes)
{
    struct base64_reader reader = {0};
    char *text = malloc(BASE64_LENGTH(bytes.length) + 1), *back = malloc(bytes.length + 2);
    size_t length = base64_encode(bytes.at, bytes.length, text), got = 0, all = 0;
    HOLDS(length == BASE64_LENGTH(bytes.length));
    for (size_t at = 0; at < length; at++) {
        HOLDS(base64_read(&reader, text + at, 1, back + all, &got));
        all += got;
    }
    HOLDS(base64_is_whole(&reader) && span_equal(span_make(back, all), bytes));
    free(text);
    free(back);
}

static enum failure decode(struct span text, size_t piece, struct base64_reader *reader, struct buf *to)
{
    enum failure why = FAILURE_NONE;
    for (size_t at = 0; at < text.length && why == FAILURE_NONE; at += piece) {
        struct buf from = {.first = NULL};
        struct span rest = span_skip(text, at);
        HOLDS(buf_add_span(&from, span_first(rest, piece < rest.length ? piece : rest.length)));
        why = grpc_web_decode(reader, &from, to);
        HOLDS(buf_is_empty(&from));
    }
    return why;
}

static struct span all_of(const struct buf *buf, char *room)
{
    return span_make(room, buf_peek(buf, room, buf->length));
}

/* What was decoded is put into text again, and is the same bytes then. */
static void hold_grpc_web(struct span text)
{
    struct base64_reader whole = {0}, parts = {0}, again = {0};
    struct buf first = {.first = NULL}, second = {.first = NULL}, encoded = {.first = NULL};
    struct grpc_web_writer writer = {.left = 0};
    enum failure why = decode(text, text.length + 1, &whole, &first);
    HOLDS(decode(text, 3, &parts, &second) == why);
    char *one = malloc(text.length * 8 + 64), *other = malloc(text.length * 8 + 64);
    if (why == FAILURE_NONE) {
        HOLDS(base64_is_whole(&whole) == base64_is_whole(&parts));
        HOLDS(span_equal(all_of(&first, one), all_of(&second, other)));
        HOLDS(grpc_web_encode(&writer, &second, true, &encoded) == FAILURE_NONE && buf_is_empty(&second));
        HOLDS(grpc_web_decode(&again, &encoded, &second) == FAILURE_NONE && base64_is_whole(&again));
        HOLDS(span_equal(all_of(&first, one), all_of(&second, other)));
    }
    free(one);
    free(other);
    buf_clear(&first);
    buf_clear(&second);
    buf_clear(&encoded);
}

static void hold_health(struct span body)
{
    const char *why = NULL;
    enum probe_verdict verdict = health_grpc_judge(body, SPAN("0"), &why);
    HOLDS(why != NULL && (verdict != PROBE_PASSED || body.length >= 7));
    HOLDS(health_grpc_judge(body, body, &why) != PROBE_PASSED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_make((const char *)data, size);
    if (size == 0)
        return -1;
    hold_fields(bytes);
    hold_credentials(bytes);
    hold_websocket_key(bytes);
    hold_first_bytes(bytes, true);
    hold_first_bytes(bytes, false);
    hold_base64(bytes);
    hold_grpc_web(bytes);
    hold_health(bytes);
    return 0;
}

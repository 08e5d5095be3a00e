/*
 * The clients of tests/integration/crossings: h2_load client PORT VERSION HOST REQUESTS CONNECTIONS STREAMS
 * SEED SECONDS. Requests of random sizes, some of them given up half-way, some read slowly; each byte of each
 * answer is verified. Prints what came of them as JSON; exit code 1 when anything was wrong. h2_load origin
 * PORT   is the server (h2_load_origin.c).
 */
#include "support/h2_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (32u << 10)
#define COMPLAINTS 20u

enum { NEVER, WITH_THE_HEAD, IN_THE_REQUEST, WITH_THE_ANSWER, IN_THE_ANSWER }; /* when it is given up */
struct conn;
struct ask {
    struct conn *conn;
    struct plan plan;
    struct body up, down;
    struct chunked chunked;
    uint64_t began, wake;
    size_t cancel_at, owed;
    int32_t id;
    unsigned cancels, pause, status;
    bool active, chunks_up, head_came, is_chunked, trailers, pauses, head_sent, is_over;
};
struct conn {
    struct link link;
    struct ask *asks;
    bool is_open, closes;
};

static struct {
    unsigned port, requests, connections, streams, first;
    bool two;
    const char *host;
    uint64_t stall;
} load;
static struct {
    unsigned started, done, cancelled, wrong, connects, pauses;
    uint64_t up, down;
} seen;
static unsigned *cancelled_ids;
static char complaints[COMPLAINTS][200];
static int epoll;
static uint64_t random_state;

static unsigned random_below(unsigned most)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)((random_state >> 20) % most);
}

/* Mostly small. */
static unsigned random_size(void)
{
    unsigned kind = random_below(100);
    if (kind < 15)
        return 0;
    return random_below(kind < 70 ? 2048 : kind < 90 ? 16384 : kind < 98 ? 131072 : BODY_MOST) + 1;
}

static void complain(const struct ask *ask, const char *what)
{
    if (seen.wrong < COMPLAINTS)
        snprintf(complaints[seen.wrong], sizeof complaints[0],
                 "/%u: %s (status %u, sent %zu of %zu, got %zu of %zu, %llu ms)", ask->plan.id, what,
                 ask->status, ask->up.at, ask->up.size, ask->down.at, ask->down.size,
                 (unsigned long long)(load_now() - ask->began));
    seen.wrong++;
}

/* ---- asks ---- */

static void ask_plan(struct ask *ask)
{
    struct conn *conn = ask->conn;
    *ask = (struct ask){.conn = conn, .active = true, .began = load_now()};
    ask->plan = (struct plan){
        .id = load.first + seen.started++,
        .up = random_size(),
        .down = random_size(),
        .seed = random_below(SEEDS - 1),
        .length = random_below(2) == 0,
        .wait = random_below(100) < 2 ? 5 + random_below(30) : 0,
    };
    ask->up = (struct body){load_content(ask->plan.seed), ask->plan.up, 0};
    ask->down = (struct body){load_content(ask->plan.seed + 1), ask->plan.down, 0};
    ask->chunks_up = ask->plan.up != 0 && random_below(2) == 0;
    ask->pause = random_below(100) < 3 ? 5 + random_below(100) : 0;
    if (random_below(100) < 12) /* of which about half are over before their time comes */
        ask->cancels = 1 + random_below(4);
    if (ask->cancels == IN_THE_REQUEST && ask->plan.up != 0)
        ask->cancel_at = random_below(ask->plan.up);
    if (ask->cancels == IN_THE_ANSWER && ask->plan.down != 0)
        ask->cancel_at = random_below(ask->plan.down);
}

static void print_target(const struct ask *ask, char *at, size_t room)
{
    snprintf(at, room, "/%u?u=%u&d=%u&s=%u&l=%d&w=%u", ask->plan.id, ask->plan.up, ask->plan.down,
             ask->plan.seed, ask->plan.length, ask->plan.wait);
}

static void ask_over(struct ask *ask)
{
    ask->active = false;
    ask->pauses = false;
}

/* The answer has ended as a whole one does. */
static void ask_done(struct ask *ask)
{
    if (ask->status != 200)
        complain(ask, "status");
    else if (ask->down.at != ask->down.size)
        complain(ask, "a short answer came as a whole one");
    else if (!ask->plan.length && !ask->trailers)
        complain(ask, "no trailers");
    else
        seen.done++;
    seen.up += ask->up.at;
    seen.down += ask->down.at;
    ask_over(ask);
}

static void ask_failed(struct ask *ask, const char *what)
{
    complain(ask, what);
    ask_over(ask);
}

static bool cancel_is_due(const struct ask *ask)
{
    switch (ask->cancels) {
    case WITH_THE_HEAD:
        return ask->head_sent;
    case IN_THE_REQUEST:
        return ask->head_sent && ask->plan.up != 0 && ask->up.at >= ask->cancel_at;
    case WITH_THE_ANSWER:
        return ask->head_came;
    case IN_THE_ANSWER:
        return ask->head_came && ask->plan.down != 0 && ask->down.at >= ask->cancel_at;
    default:
        return false;
    }
}

static void ask_cancelled(struct ask *ask)
{
    cancelled_ids[seen.cancelled++] = ask->plan.id;
    ask_over(ask);
}

static void head_came(struct ask *ask)
{
    ask->head_came = true;
    if (ask->pause == 0)
        return;
    ask->pauses = true;
    ask->wake = load_now() + ask->pause;
    seen.pauses++;
}

/* ---- HTTP/2 ---- */

static struct ask *ask_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
    struct ask *ask = ask_of(session, frame->hd.stream_id);
    (void)value_length;
    (void)flags;
    (void)user;
    if (ask == NULL)
        return 0;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0)
        ask->status = (unsigned)atoi((const char *)value);
    if (name_length == 5 && memcmp(name, "x-end", 5) == 0)
        ask->trailers = true;
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length,
                   void *user)
{
    struct ask *ask = ask_of(session, id);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(session, length);
    if (ask == NULL)
        return 0;
    if (ask->status == 200 && !load_verify(&ask->down, bytes, length)) {
        complain(ask, "wrong bytes");
        ask->status = 0;
    }
    if (ask->pauses)
        ask->owed += length;
    else
        nghttp2_session_consume_stream(session, id, length);
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct ask *ask = frame->hd.stream_id != 0 ? ask_of(session, frame->hd.stream_id) : NULL;
    struct conn *conn = user;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        conn->closes = true;
    if (ask == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !ask->head_came)
        head_came(ask);
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        ask->is_over = true;
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct ask *ask = frame->hd.type == NGHTTP2_HEADERS ? ask_of(session, frame->hd.stream_id) : NULL;
    (void)user;
    if (ask != NULL)
        ask->head_sent = true;
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct ask *ask = ask_of(session, id);
    char text[60];
    (void)user;
    if (ask == NULL)
        return 0;
    nghttp2_session_set_stream_user_data(session, id, NULL);
    if (ask->is_over) {
        ask_done(ask);
        return 0;
    }
    snprintf(text, sizeof text, "RST_STREAM %u", code);
    ask_failed(ask, text);
    return 0;
}

static void session_begin(struct conn *conn)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_client_new2(&conn->link.session, callbacks, conn, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 256 << 10}};
    nghttp2_submit_settings(conn->link.session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(conn->link.session, NGHTTP2_FLAG_NONE, 0, 16 << 20);
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *at, size_t room, uint32_t *flags,
                            nghttp2_data_source *source, void *user)
{
    struct ask *ask = source->ptr;
    size_t part = ask->up.size - ask->up.at < room ? ask->up.size - ask->up.at : room;
    (void)user;
    if (ask_of(session, id) != ask) /* given up */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    memcpy(at, ask->up.bytes + ask->up.at, part);
    ask->up.at += part;
    if (ask->up.at == ask->up.size)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)part;
}

static nghttp2_nv nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}

static void begin_two(struct ask *ask)
{
    char target[100], length[16];
    bool get = ask->plan.up == 0 && (ask->plan.seed & 1) != 0, body = ask->plan.up != 0;
    print_target(ask, target, sizeof target);
    snprintf(length, sizeof length, "%u", ask->plan.up);
    nghttp2_nv fields[] = {
        nv(":method", get ? "GET" : "POST"), nv(":scheme", "http"), nv(":path", target),
        nv(":authority", load.host),         nv("te", "trailers"),  nv("content-length", length)};
    nghttp2_data_provider provider = {.source.ptr = ask, .read_callback = read_request};
    ask->id = nghttp2_submit_request(ask->conn->link.session, NULL, fields, body && !ask->chunks_up ? 6 : 5,
                                     body ? &provider : NULL, ask);
    if (ask->id < 0)
        load_die("submit_request");
}

static void cancel_two(struct ask *ask)
{
    nghttp2_session *session = ask->conn->link.session;
    nghttp2_session_set_stream_user_data(session, ask->id, NULL);
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, ask->id, NGHTTP2_CANCEL);
    ask_cancelled(ask);
}

/* ---- HTTP/1 ---- */

static void begin_one(struct ask *ask)
{
    struct bytes *out = &ask->conn->link.out;
    char target[100];
    bool get = ask->plan.up == 0 && (ask->plan.seed & 1) != 0;
    print_target(ask, target, sizeof target);
    bytes_print(out, "%s %s HTTP/1.1\r\nHost: %s\r\nTE: trailers\r\nConnection: TE, keep-alive\r\n",
                get ? "GET" : "POST", target, load.host);
    if (ask->chunks_up)
        bytes_print(out, "Transfer-Encoding: chunked\r\n\r\n");
    else
        bytes_print(out, get ? "\r\n" : "Content-Length: %zu\r\n\r\n", ask->up.size);
}

static void send_more(struct ask *ask)
{
    struct bytes *out = &ask->conn->link.out;
    size_t left = ask->up.size - ask->up.at, part = left < PIECE ? left : PIECE;
    ask->head_sent = true;
    if (part == 0 || out->length != 0 || ask->status >= 300)
        return;
    if (ask->chunks_up)
        bytes_print(out, "%zx\r\n", part);
    bytes_add(out, ask->up.bytes + ask->up.at, part);
    ask->up.at += part;
    if (ask->chunks_up)
        bytes_print(out, part == left ? "\r\n0\r\n\r\n" : "\r\n");
}

static void read_head(struct ask *ask, size_t length)
{
    struct conn *conn = ask->conn;
    const char *head = (const char *)conn->link.in.at, *given = head_field(head, "content-length"),
               *connection = head_field(head, "connection");
    ask->status = (unsigned)atoi(head + 9);
    ask->is_chunked = head_field(head, "transfer-encoding") != NULL;
    conn->closes = connection != NULL && strncasecmp(connection, "close", 5) == 0;
    if (given != NULL && ask->status == 200 && (unsigned)atoi(given) != ask->plan.down)
        complain(ask, "another Content-Length");
    bytes_drop(&conn->link.in, length);
    head_came(ask);
    conn->link.deaf = ask->pauses;
}

static void read_body(struct ask *ask)
{
    struct bytes *in = &ask->conn->link.in;
    if (ask->status != 200) {
        ask_done(ask);
        ask->conn->closes = true;
        return;
    }
    bool last = false, fine;
    if (ask->is_chunked) {
        fine = chunked_take(&ask->chunked, in, &ask->down, &last);
        ask->trailers = ask->chunked.trailers;
    } else {
        size_t left = ask->down.size - ask->down.at, part = in->length < left ? in->length : left;
        fine = part == 0 || load_verify(&ask->down, in->at, part);
        if (part != 0)
            bytes_drop(in, part);
        last = part == left;
    }
    if (!fine) {
        ask_failed(ask, "wrong bytes");
        ask->conn->closes = true;
    } else if (last) {
        ask_done(ask);
    }
}

static void read_one(struct ask *ask)
{
    size_t length;
    if (ask->active && !ask->head_came && (length = bytes_head(&ask->conn->link.in)) != 0)
        read_head(ask, length);
    if (ask->active && ask->head_came && !ask->pauses)
        read_body(ask);
}

/* ---- connections ---- */

static void conn_close(struct conn *conn, const char *why)
{
    for (unsigned i = 0; i < load.streams; i++)
        if (conn->asks[i].active)
            ask_failed(&conn->asks[i], why);
    link_free(&conn->link);
    conn->link = (struct link){.fd = -1};
    conn->is_open = false;
}

static void conn_open(struct conn *conn)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)load.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    conn->link = (struct link){
        .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .two = load.two, .watched = UINT32_MAX};
    if (connect(conn->link.fd, (struct sockaddr *)&address, sizeof address) != 0)
        load_die("connect");
    setsockopt(conn->link.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fcntl(conn->link.fd, F_SETFL, O_NONBLOCK) != 0)
        load_die("fcntl");
    if (load.two)
        session_begin(conn);
    conn->is_open = true;
    conn->closes = false;
    seen.connects++;
}

static bool any_active(const struct conn *conn)
{
    for (unsigned i = 0; i < load.streams; i++)
        if (conn->asks[i].active)
            return true;
    return false;
}

static void begin_asks(struct conn *conn)
{
    for (unsigned i = 0; i < load.streams; i++) {
        if (conn->asks[i].active || seen.started == load.requests || conn->closes)
            continue;
        if (!conn->is_open)
            conn_open(conn);
        conn->asks[i].conn = conn;
        ask_plan(&conn->asks[i]);
        if (load.two)
            begin_two(&conn->asks[i]);
        else
            begin_one(&conn->asks[i]);
    }
}

/* Those that are to be given up now; over HTTP/1 with their connection. */
static void cancel_asks(struct conn *conn)
{
    for (unsigned i = 0; i < load.streams; i++) {
        struct ask *ask = &conn->asks[i];
        if (!ask->active || !cancel_is_due(ask))
            continue;
        if (load.two) {
            cancel_two(ask);
        } else {
            ask_cancelled(ask);
            conn_close(conn, "");
            return;
        }
    }
}

/* Whether something can be sent that was not there when the last bytes left. */
static bool has_more(struct conn *conn)
{
    if (!conn->is_open || conn->link.out.length != 0)
        return !conn->is_open;
    if (load.two)
        return nghttp2_session_want_write(conn->link.session) != 0;
    if (conn->asks[0].active)
        send_more(&conn->asks[0]);
    return conn->link.out.length != 0 || (!conn->asks[0].active && seen.started < load.requests);
}

/* All that can be done now. */
static void conn_turn(struct conn *conn)
{
    do {
        if (conn->is_open && conn->closes && !any_active(conn))
            conn_close(conn, "");
        if (!conn->is_open)
            conn->closes = false;
        begin_asks(conn);
        if (!conn->is_open)
            return;
        size_t before = conn->link.out.length;
        if (!link_write(&conn->link))
            conn_close(conn, "the connection ended");
        else if (conn->link.out.length == 0 || conn->link.out.length < before)
            cancel_asks(conn);
    } while (has_more(conn));
    if (conn->is_open)
        link_watch(epoll, &conn->link, conn);
}

static void conn_serve(struct conn *conn, uint32_t events)
{
    if (!conn->is_open)
        return;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !conn->link.deaf) {
        bool alive = link_read(&conn->link);
        if (!load.two)
            read_one(&conn->asks[0]);
        if (!alive || conn->link.ended)
            conn_close(conn, "the connection ended");
    }
    conn_turn(conn);
}

static void wake_up(struct conn *conn, uint64_t now)
{
    bool woken = false;
    for (unsigned i = 0; i < load.streams && conn->is_open; i++) {
        struct ask *ask = &conn->asks[i];
        if (!ask->active || !ask->pauses || ask->wake > now)
            continue;
        ask->pauses = false;
        woken = true;
        if (load.two) {
            nghttp2_session_consume_stream(conn->link.session, ask->id, ask->owed);
        } else {
            conn->link.deaf = false;
            read_one(ask);
        }
    }
    if (woken)
        conn_turn(conn);
}

static bool look(struct conn *conns, uint64_t now)
{
    bool any = false;
    for (unsigned i = 0; i < load.connections; i++) {
        wake_up(&conns[i], now);
        for (unsigned j = 0; j < load.streams; j++) {
            struct ask *ask = &conns[i].asks[j];
            any = any || ask->active;
            if (ask->active && now > ask->began + load.stall) {
                ask_failed(ask, "stalled");
                conn_close(&conns[i], "beside a stalled one");
                conn_turn(&conns[i]);
                break;
            }
        }
    }
    return any;
}

static void report(uint64_t began)
{
    printf(
        "{\"started\": %u, \"done\": %u, \"cancelled\": %u, \"wrong\": %u, \"connects\": %u, \"pauses\": %u, \"up\": %llu, \"down\": %llu, \"ms\": %llu, \"complaints\": [",
        seen.started, seen.done, seen.cancelled, seen.wrong, seen.connects, seen.pauses,
        (unsigned long long)seen.up, (unsigned long long)seen.down, (unsigned long long)(load_now() - began));
    for (unsigned i = 0; i < seen.wrong && i < COMPLAINTS; i++)
        printf("%s\"%s\"", i != 0 ? ", " : "", complaints[i]);
    printf("], \"given_up\": [");
    for (unsigned i = 0; i < seen.cancelled; i++)
        printf("%s%u", i != 0 ? ", " : "", cancelled_ids[i]);
    printf("]}\n");
}

static int client_main(char **argv)
{
    load.port = (unsigned)atoi(argv[2]);
    load.two = atoi(argv[3]) == 2;
    load.host = argv[4];
    load.requests = (unsigned)atoi(argv[5]);
    load.connections = (unsigned)atoi(argv[6]);
    load.streams = load.two ? (unsigned)atoi(argv[7]) : 1;
    random_state = 0x9e3779b97f4a7c15u + (uint64_t)atoi(argv[8]) * 7919;
    load.first = (unsigned)atoi(argv[8]) * 10000000u;
    load.stall = (uint64_t)atoi(argv[9]) * 1000;
    struct conn *conns = calloc(load.connections, sizeof *conns);
    struct ask *asks = calloc((size_t)load.connections * load.streams, sizeof *asks);
    cancelled_ids = calloc(load.requests, sizeof *cancelled_ids);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (conns == NULL || asks == NULL || cancelled_ids == NULL || epoll < 0)
        load_die("memory");
    uint64_t began = load_now(), looked = 0;
    for (unsigned i = 0; i < load.connections; i++) {
        conns[i].asks = asks + (size_t)i * load.streams;
        conn_turn(&conns[i]);
    }
    for (bool any = true; any || seen.started < load.requests;) {
        struct epoll_event events[64];
        int count = epoll_wait(epoll, events, 64, 2);
        for (int i = 0; i < count; i++)
            conn_serve(events[i].data.ptr, events[i].events);
        if (load_now() - looked < 2)
            continue;
        looked = load_now();
        any = look(conns, looked);
    }
    for (unsigned i = 0; i < load.connections; i++)
        if (conns[i].is_open)
            conn_close(&conns[i], "");
    report(began);
    return seen.wrong != 0;
}

int main(int argc, char **argv)
{
    load_prepare();
    if (argc >= 3 && strcmp(argv[1], "origin") == 0)
        return origin_main(argc, argv);
    if (argc == 10 && strcmp(argv[1], "client") == 0)
        return client_main(argv);
    fprintf(
        stderr,
        "usage: h2_load origin PORT | client PORT VERSION HOST REQUESTS CONNECTIONS STREAMS SEED SECONDS\n");
    return 2;
}

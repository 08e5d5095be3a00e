/*
 * The server behind weir in tests/integration/crossings: takes HTTP/1 and HTTP/2 (by its preface) on one
 * port, verifies each byte of what it is sent, and answers as its target says (struct plan). GET /stats tells
 * what it saw.
 */
#include "support/h2_load.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE (32u << 10)

enum { READS_HEAD, READS_BODY, ANSWERS };
struct peer;
struct task {
    struct plan plan;
    struct body up, down;
    struct peer *peer;
    struct task *next, **at; /* peer->tasks */
    struct task *next_waiting;
    uint64_t wake;
    size_t owed; /* HTTP/2: received, and its window not given back while it waits */
    int32_t id;
    bool wrong, waits, complete;
};
struct peer {
    struct link link;
    struct task *tasks;
    struct task *task; /* HTTP/1: the one there is */
    struct chunked chunked;
    int state;
    bool is_chunked, stats;
    struct peer *next_dead;
};

static int epoll;
static struct task *waiting;
static struct peer *dead;
static struct {
    unsigned active, served, cancelled, wrong, connections;
} stats;

/* ---- tasks ---- */

static struct task *task_new(struct peer *peer, int32_t id)
{
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        load_die("memory");
    task->peer = peer;
    task->id = id;
    task->next = peer->tasks;
    task->at = &peer->tasks;
    if (task->next != NULL)
        task->next->at = &task->next;
    peer->tasks = task;
    stats.active++;
    return task;
}

static void task_begin(struct task *task, const char *target)
{
    task->wrong = !plan_parse(&task->plan, target);
    task->up = (struct body){load_content(task->plan.seed), task->plan.up, 0};
    task->down = (struct body){load_content(task->plan.seed + 1), task->plan.down, 0};
    if (task->plan.wait == 0)
        return;
    task->waits = true;
    task->wake = load_now() + task->plan.wait;
    task->next_waiting = waiting;
    waiting = task;
}

static void task_unlist(struct task *task)
{
    for (struct task **at = &waiting; *at != NULL; at = &(*at)->next_waiting) {
        if (*at == task) {
            *at = task->next_waiting;
            break;
        }
    }
    task->waits = false;
}

static void task_end(struct task *task)
{
    if (task->waits)
        task_unlist(task);
    *task->at = task->next;
    if (task->next != NULL)
        task->next->at = task->at;
    stats.active--;
    *(task->complete ? &stats.served : &stats.cancelled) += 1;
    free(task);
}

static bool task_is_right(struct task *task)
{
    bool right = !task->wrong && task->up.at == task->up.size;
    stats.wrong += !right;
    return right;
}

static void peer_die(struct peer *peer)
{
    if (peer->link.dead)
        return;
    peer->link.dead = true;
    peer->next_dead = dead;
    dead = peer;
}

/* ---- HTTP/2 ---- */

static struct task *task_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id,
                                             task_new(user, frame->hd.stream_id));
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_length, const uint8_t *value, size_t value_length, uint8_t flags, void *user)
{
    struct task *task = task_of(session, frame->hd.stream_id);
    (void)value_length;
    (void)flags;
    (void)user;
    if (task != NULL && name_length == 5 && memcmp(name, ":path", 5) == 0)
        task_begin(task, (const char *)value);
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length,
                   void *user)
{
    struct task *task = task_of(session, id);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(session, length);
    if (task == NULL)
        return 0;
    task->wrong = task->wrong || !load_verify(&task->up, bytes, length);
    if (task->waits)
        task->owed += length;
    else
        nghttp2_session_consume_stream(session, id, length);
    return 0;
}

static ssize_t read_answer(nghttp2_session *session, int32_t id, uint8_t *at, size_t room, uint32_t *flags,
                           nghttp2_data_source *source, void *user)
{
    struct task *task = source->ptr;
    struct body *body = &task->down;
    size_t part = body->size - body->at < room ? body->size - body->at : room;
    (void)user;
    memcpy(at, body->bytes + body->at, part);
    body->at += part;
    if (body->at < body->size)
        return (ssize_t)part;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    task->complete = true;
    if (!task->plan.length) {
        nghttp2_nv end = {(uint8_t *)(uintptr_t) "x-end", (uint8_t *)(uintptr_t) "1", 5, 1,
                          NGHTTP2_NV_FLAG_NONE};
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, id, &end, 1);
    }
    return (ssize_t)part;
}

static void answer_two(nghttp2_session *session, struct task *task)
{
    char length[16];
    snprintf(length, sizeof length, "%zu", task->down.size);
    nghttp2_nv fields[] = {
        {(uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t)(task_is_right(task) ? "200" : "500"), 7, 3,
         NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)(uintptr_t) "content-length", (uint8_t *)length, 14, strlen(length),
         NGHTTP2_NV_FLAG_NONE},
    };
    nghttp2_data_provider provider = {.source.ptr = task, .read_callback = read_answer};
    if (nghttp2_submit_response(session, task->id, fields, task->plan.length ? 2 : 1, &provider) != 0)
        load_die("submit_response");
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct task *task = frame->hd.stream_id != 0 ? task_of(session, frame->hd.stream_id) : NULL;
    bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    (void)user;
    if (task != NULL && ends)
        answer_two(session, task);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct task *task = task_of(session, id);
    (void)code;
    (void)user;
    if (task != NULL)
        task_end(task);
    nghttp2_session_set_stream_user_data(session, id, NULL);
    return 0;
}

static void session_begin(struct peer *peer)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_server_new2(&peer->link.session, callbacks, peer, option);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100},
                                         {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 256 << 10}};
    nghttp2_submit_settings(peer->link.session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(peer->link.session, NGHTTP2_FLAG_NONE, 0, 4 << 20);
    peer->link.two = true;
}

/* ---- HTTP/1 ---- */

static void head_taken(struct peer *peer, size_t length)
{
    const char *head = (const char *)peer->link.in.at, *target = strchr(head, ' ');
    const char *chunked = head_field(head, "transfer-encoding");
    peer->stats = target != NULL && strncmp(target, " /stats", 7) == 0;
    peer->task = task_new(peer, 0);
    if (target != NULL && !peer->stats)
        task_begin(peer->task, target + 1);
    peer->is_chunked = chunked != NULL;
    peer->chunked = (struct chunked){0};
    peer->state = READS_BODY;
    peer->link.deaf = peer->task->waits;
    bytes_drop(&peer->link.in, length);
}

static bool body_taken(struct peer *peer)
{
    struct task *task = peer->task;
    struct bytes *in = &peer->link.in;
    bool last = false;
    if (peer->is_chunked) {
        if (!chunked_take(&peer->chunked, in, &task->up, &last))
            task->wrong = last = true;
        return last;
    }
    size_t left = task->up.size - task->up.at, part = in->length < left ? in->length : left;
    if (part != 0 && !load_verify(&task->up, in->at, part))
        task->wrong = true;
    if (part != 0)
        bytes_drop(in, part);
    return task->wrong || part == left;
}

/* Some more of the answer. */
static void answer_more(struct peer *peer)
{
    struct task *task = peer->task;
    struct bytes *out = &peer->link.out;
    size_t left = task->down.size - task->down.at, part = left < PIECE ? left : PIECE;
    if (part != 0 && !task->plan.length)
        bytes_print(out, "%zx\r\n", part);
    if (part != 0)
        bytes_add(out, task->down.bytes + task->down.at, part);
    if (part != 0 && !task->plan.length)
        bytes_print(out, "\r\n");
    task->down.at += part;
    if (task->down.at < task->down.size)
        return;
    if (!task->plan.length)
        bytes_print(out, "0\r\nx-end: 1\r\n\r\n");
    task->complete = !peer->stats;
    if (peer->stats)
        stats.cancelled--; /* not a request of the test */
    task_end(task);
    peer->task = NULL;
    peer->state = READS_HEAD;
}

static void answer_begin(struct peer *peer)
{
    struct task *task = peer->task;
    struct bytes *out = &peer->link.out;
    peer->state = ANSWERS;
    if (peer->stats) {
        char text[200];
        snprintf(text, sizeof text,
                 "{\"active\": %u, \"served\": %u, \"cancelled\": %u, \"wrong\": %u, \"connections\": %u}",
                 stats.active - 1, stats.served, stats.cancelled, stats.wrong, stats.connections - 1);
        bytes_print(out, "HTTP/1.1 200 Fine\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                    strlen(text), text);
        task->plan.length = true;
        answer_more(peer);
        return;
    }
    bytes_print(out, "HTTP/1.1 %s Fine\r\n", task_is_right(task) ? "200" : "500");
    if (task->plan.length)
        bytes_print(out, "Content-Length: %zu\r\n\r\n", task->down.size);
    else
        bytes_print(out, "Transfer-Encoding: chunked\r\n\r\n");
    if (task->down.size <= PIECE)
        answer_more(peer); /* with its head in one */
}

static void run_one(struct peer *peer)
{
    size_t length;
    while (!peer->link.deaf) {
        if (peer->state == READS_HEAD && (length = bytes_head(&peer->link.in)) != 0)
            head_taken(peer, length);
        else if (peer->state == READS_BODY && body_taken(peer))
            answer_begin(peer);
        else if (peer->state == ANSWERS && peer->link.out.length == 0)
            answer_more(peer);
        else
            return;
    }
}

/* ---- the loop ---- */

static void peer_serve(struct peer *peer, uint32_t events)
{
    struct link *link = &peer->link;
    if ((events & (EPOLLHUP | EPOLLERR)) != 0 ||
        ((events & EPOLLIN) != 0 && !link->deaf && !link_read(link))) {
        peer_die(peer);
        return;
    }
    if (!link->two && link->session == NULL && peer->task == NULL && link->in.length >= 4 &&
        memcmp(link->in.at, "PRI ", 4) == 0) {
        session_begin(peer);
        if (nghttp2_session_mem_recv(link->session, link->in.at, link->in.length) < 0) {
            peer_die(peer);
            return;
        }
        link->in.length = 0;
    }
    if (!link->two)
        run_one(peer);
    for (;;) {
        if (!link_write(link) ||
            (link->ended && (peer->state == READS_BODY || (peer->task == NULL && link->out.length == 0)))) {
            peer_die(peer);
            return;
        }
        if (link->two || peer->state != ANSWERS || link->out.length != 0)
            break;
        run_one(peer);
    }
    link_watch(epoll, link, peer);
}

static void wake_up(uint64_t now)
{
    for (struct task *task = waiting, *next; task != NULL; task = next) {
        next = task->next_waiting;
        if (task->wake > now)
            continue;
        struct peer *peer = task->peer;
        task_unlist(task);
        if (peer->link.dead)
            continue;
        if (peer->link.two)
            nghttp2_session_consume_stream(peer->link.session, task->id, task->owed);
        peer->link.deaf = false;
        peer_serve(peer, 0);
        next = waiting; /* serving may have changed the list */
    }
}

static void bury(void)
{
    while (dead != NULL) {
        struct peer *peer = dead;
        dead = peer->next_dead;
        while (peer->tasks != NULL)
            task_end(peer->tasks);
        link_free(&peer->link);
        free(peer);
        stats.connections--;
    }
}

static void take_peer(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        load_die("memory");
    peer->link.fd = fd;
    peer->link.watched = UINT32_MAX;
    stats.connections++;
    link_watch(epoll, &peer->link, peer);
}

int origin_main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(argc > 2 ? argv[2] : "0")),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0)
        load_die("listen");
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listens = {.events = EPOLLIN, .data.ptr = NULL}, events[64];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listens);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, waiting != NULL ? 2 : -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer == NULL)
                take_peer(listener);
            else if (!peer->link.dead)
                peer_serve(peer, events[i].events);
        }
        wake_up(load_now());
        bury();
    }
}

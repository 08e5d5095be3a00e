/* Bytes, bodies and connections of the load program. */
#include "support/h2_load.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define OUT_MOST (256u << 10)

static uint8_t table[SEEDS + BODY_MOST];

void load_prepare(void)
{
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof table; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        table[i] = (uint8_t)(x >> 24);
    }
}

const uint8_t *load_content(unsigned seed)
{
    return table + seed % SEEDS;
}

bool load_verify(struct body *body, const uint8_t *bytes, size_t length)
{
    if (length > body->size - body->at || memcmp(body->bytes + body->at, bytes, length) != 0)
        return false;
    body->at += length;
    return true;
}

uint64_t load_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

_Noreturn void load_die(const char *what)
{
    fprintf(stderr, "h2_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

unsigned load_number(const char *text, char key, unsigned otherwise)
{
    for (const char *at = strchr(text, '?'); at != NULL; at = strchr(at + 1, '&'))
        if (at[1] == key && at[2] == '=')
            return (unsigned)strtoul(at + 3, NULL, 10);
    return otherwise;
}

bool plan_parse(struct plan *plan, const char *target)
{
    if (target[0] != '/' || strchr(target, '?') == NULL)
        return false;
    *plan = (struct plan){
        .id = (unsigned)strtoul(target + 1, NULL, 10),
        .up = load_number(target, 'u', 0),
        .down = load_number(target, 'd', 0),
        .seed = load_number(target, 's', 0),
        .length = load_number(target, 'l', 1) != 0,
        .wait = load_number(target, 'w', 0),
    };
    return plan->up <= BODY_MOST && plan->down <= BODY_MOST;
}

/* ---- bytes ---- */

void bytes_add(struct bytes *bytes, const void *at, size_t length)
{
    if (length == 0)
        return;
    if (bytes->room - bytes->length < length + 1) {
        bytes->room = (bytes->length + length) * 2 + 256;
        bytes->at = realloc(bytes->at, bytes->room);
        if (bytes->at == NULL)
            load_die("memory");
    }
    memcpy(bytes->at + bytes->length, at, length);
    bytes->length += length;
}

void bytes_print(struct bytes *bytes, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bytes_add(bytes, text, (size_t)length);
}

void bytes_drop(struct bytes *bytes, size_t length)
{
    bytes->length -= length;
    if (bytes->length != 0)
        memmove(bytes->at, bytes->at + length, bytes->length);
}

size_t bytes_head(struct bytes *bytes)
{
    uint8_t *end = bytes->length != 0 ? memmem(bytes->at, bytes->length, "\r\n\r\n", 4) : NULL;
    if (end == NULL)
        return 0;
    end[3] = 0;
    return (size_t)(end - bytes->at) + 4;
}

const char *head_field(const char *head, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 3 + length + strspn(line + 3 + length, " ");
    return NULL;
}

/* ---- chunks ---- */

enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_END, CHUNK_TRAILERS };

static bool chunk_line(struct chunked *chunked, const char *line, bool *last)
{
    switch (chunked->state) {
    case CHUNK_SIZE: {
        char *end;
        chunked->left = strtoul(line, &end, 16);
        chunked->state = chunked->left == 0 ? CHUNK_TRAILERS : CHUNK_DATA;
        return end != line && *end == 0;
    }
    case CHUNK_END:
        chunked->state = CHUNK_SIZE;
        return line[0] == 0;
    default:
        *last = line[0] == 0;
        chunked->trailers = chunked->trailers || line[0] != 0;
        return true;
    }
}

bool chunked_take(struct chunked *chunked, struct bytes *bytes, struct body *body, bool *last)
{
    size_t at = 0;
    bool fine = true;
    while (fine && !*last && at < bytes->length) {
        size_t have = bytes->length - at;
        if (chunked->state == CHUNK_DATA) {
            size_t part = have < chunked->left ? have : chunked->left;
            fine = load_verify(body, bytes->at + at, part);
            at += part;
            chunked->left -= part;
            if (chunked->left == 0)
                chunked->state = CHUNK_END;
            continue;
        }
        uint8_t *end = memmem(bytes->at + at, have, "\r\n", 2);
        if (end == NULL)
            break;
        *end = 0;
        fine = chunk_line(chunked, (const char *)bytes->at + at, last);
        at = (size_t)(end - bytes->at) + 2;
    }
    bytes_drop(bytes, at);
    return fine;
}

/* ---- connections ---- */

void link_watch(int epoll, struct link *link, void *owner)
{
    bool writes =
        link->out.length != 0 || (link->session != NULL && nghttp2_session_want_write(link->session) != 0);
    uint32_t wanted = (link->deaf || link->ended ? 0u : EPOLLIN) | (writes ? EPOLLOUT : 0u);
    struct epoll_event event = {.events = wanted, .data.ptr = owner};
    if (wanted == link->watched)
        return;
    if (epoll_ctl(epoll, link->watched == UINT32_MAX ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, link->fd, &event) != 0)
        load_die("epoll_ctl");
    link->watched = wanted;
}

static bool feed(struct link *link, const uint8_t *bytes, size_t length)
{
    if (!link->two) {
        bytes_add(&link->in, bytes, length);
        return true;
    }
    ssize_t taken = nghttp2_session_mem_recv(link->session, bytes, length);
    return taken == (ssize_t)length;
}

bool link_read(struct link *link)
{
    uint8_t bytes[65536];
    ssize_t got = recv(link->fd, bytes, sizeof bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        return false;
    link->ended = got == 0;
    return got == 0 ? !link->two : feed(link, bytes, (size_t)got);
}

static bool make_frames(struct link *link)
{
    while (link->two && link->out.length < OUT_MOST) {
        const uint8_t *bytes;
        ssize_t length = nghttp2_session_mem_send(link->session, &bytes);
        if (length < 0)
            return false;
        if (length == 0)
            break;
        bytes_add(&link->out, bytes, (size_t)length);
    }
    return true;
}

bool link_write(struct link *link)
{
    for (;;) {
        if (!make_frames(link))
            return false;
        if (link->out.length == 0)
            return link->session == NULL || nghttp2_session_want_read(link->session) != 0 ||
                   nghttp2_session_want_write(link->session) != 0;
        ssize_t sent = send(link->fd, link->out.at, link->out.length, MSG_NOSIGNAL);
        if (sent < 0)
            return errno == EAGAIN || errno == EINTR;
        bool all = (size_t)sent == link->out.length;
        bytes_drop(&link->out, (size_t)sent);
        if (!all)
            return true;
    }
}

void link_free(struct link *link)
{
    if (link->session != NULL)
        nghttp2_session_del(link->session);
    close(link->fd);
    free(link->in.at);
    free(link->out.at);
}

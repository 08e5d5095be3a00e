/*
 * A tiny keep-alive origin, made to cost less than any proxy before it: one thread serves every listed
 * loopback port.
 *
 *   origin PORT...
 *
 * The request target selects the answer (markers may follow any prefix):
 *   .../b/N    200 with N body bytes          (default 1024)
 *   .../d/MS   same, sent MS milliseconds later
 *   POST/PUT   200, body = decimal count of request body bytes received
 * Bodies above 64 KiB come from a memfd by sendfile. Request bodies: Content-Length or chunked.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define INBUF 65536
#define SMALL 65536        /* bodies up to this go out by writev */
#define FILESZ (16u << 20) /* memfd size; larger bodies wrap around */

enum { HEAD, BODY, CHUNK_SIZE, CHUNK_DATA, CHUNK_CRLF, TRAILER };

struct conn {
    int fd, state, post, waiting; /* waiting: a delayed answer is pending */
    size_t len;                   /* bytes held in in[] */
    long long left, got;          /* body bytes to come / counted */
    size_t hdr_off, hdr_len;      /* unsent part of out[] */
    long long body_left;          /* unsent body bytes */
    long long body_size;
    long long due;     /* ms clock for a delayed answer */
    struct conn *next; /* list of delayed connections */
    char out[256];
    char in[INBUF + 1];
};

static int ep, filefd;
static char small[SMALL];
static struct conn *delayed;

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void drop(struct conn *c)
{
    for (struct conn **p = &delayed; *p; p = &(*p)->next)
        if (*p == c) {
            *p = c->next;
            break;
        }
    close(c->fd);
    free(c);
}

/* 1 = all sent, 0 = would block, -1 = connection gone */
static int flush_out(struct conn *c)
{
    while (c->hdr_len) {
        struct iovec v[2] = {{c->out + c->hdr_off, c->hdr_len}, {small, 0}};
        if (c->body_left <= SMALL)
            v[1].iov_len = c->body_left;
        ssize_t n = writev(c->fd, v, v[1].iov_len ? 2 : 1);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        size_t h = (size_t)n < c->hdr_len ? (size_t)n : c->hdr_len;
        c->hdr_off += h;
        c->hdr_len -= h;
        c->body_left -= n - h;
    }
    while (c->body_left) {
        ssize_t n;
        if (c->body_left <= SMALL)
            n = write(c->fd, small, c->body_left);
        else {
            off_t off = (c->body_size - c->body_left) % FILESZ;
            size_t max = FILESZ - off;
            if (c->body_left < (long long)max)
                max = c->body_left;
            n = sendfile(c->fd, filefd, &off, max);
        }
        if (n <= 0)
            return n < 0 && errno == EAGAIN ? 0 : -1;
        c->body_left -= n;
    }
    return 1;
}

static void prepare(struct conn *c, long long size, const char *text)
{
    c->hdr_off = 0;
    c->hdr_len = snprintf(c->out, sizeof c->out,
                          "HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: text/plain\r\n"
                          "Content-Length: %lld\r\n\r\n%s",
                          size, text ? text : "");
    c->body_size = c->body_left = text ? 0 : size;
}

/* A complete head at in[0..hl): learn how its body is framed, choose the answer. */
static void head(struct conn *c, size_t hl)
{
    char *end = memchr(c->in, '\n', hl), *p;
    long long size = 1024, cl = 0, delay = 0;
    int chunked = 0;
    *end = 0;
    if ((p = strstr(c->in, "/b/")))
        size = atoll(p + 3);
    if ((p = strstr(c->in, "/d/")))
        delay = atoll(p + 3);
    c->post = c->in[0] == 'P';
    if (c->post)
        for (char *l = end + 1; l < c->in + hl; l = end + 1) {
            if (!(end = memchr(l, '\n', c->in + hl - l)))
                break;
            if (!strncasecmp(l, "content-length:", 15))
                cl = atoll(l + 15);
            else if (!strncasecmp(l, "transfer-encoding:", 18))
                chunked = 1;
        }
    c->got = 0;
    c->left = cl;
    c->state = chunked ? CHUNK_SIZE : cl ? BODY : HEAD;
    prepare(c, size, NULL);
    if (delay) {
        c->due = now_ms() + delay;
        c->waiting = 1;
        c->next = delayed;
        delayed = c;
    }
}

/* Consume what is buffered; answer every complete request.  <0: drop. */
static int process(struct conn *c)
{
    size_t off = 0;
    for (;;) {
        char *p = c->in + off;
        size_t n = c->len - off;
        int done = 0;
        if (c->waiting || c->hdr_len || c->body_left)
            break;
        if (c->state == HEAD) {
            c->in[c->len] = 0;
            char *e = n ? memmem(p, n, "\r\n\r\n", 4) : NULL;
            if (!e)
                break;
            size_t hl = e + 4 - p;
            if (off) {
                memmove(c->in, p, n);
                c->len = n;
                off = 0;
            }
            head(c, hl);
            off = hl;
            done = c->state == HEAD;
        } else if (c->state == BODY || c->state == CHUNK_DATA) {
            if (!n)
                break;
            size_t take = (long long)n < c->left ? n : (size_t)c->left;
            off += take;
            c->left -= take;
            c->got += take;
            if (!c->left) {
                done = c->state == BODY;
                c->state = done ? HEAD : CHUNK_CRLF;
            }
        } else { /* chunk framing lines */
            char *e = memchr(p, '\n', n);
            if (!e)
                break;
            off += e + 1 - p;
            if (c->state == CHUNK_CRLF)
                c->state = CHUNK_SIZE;
            else if (c->state == CHUNK_SIZE)
                c->state = (c->left = strtoll(p, NULL, 16)) ? CHUNK_DATA : TRAILER;
            else if (e - p <= 1) {
                c->state = HEAD;
                done = 1;
            }
        }
        if (done) {
            if (c->post) {
                char t[32];
                prepare(c, snprintf(t, sizeof t, "%lld", c->got), t);
            }
            if (!c->waiting && flush_out(c) < 0)
                return -1;
        } else if (c->state != HEAD) {
            c->hdr_len = 0;
            c->body_left = 0;
        }
    }
    memmove(c->in, c->in + off, c->len - off);
    c->len -= off;
    return c->len == INBUF ? -1 : 0;
}

static int readable(struct conn *c)
{
    for (;;) {
        size_t room = INBUF - c->len;
        if (!room)
            return 0;
        ssize_t n = read(c->fd, c->in + c->len, room);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return -1;
        if (n < 0)
            return 0;
        c->len += n;
        if (process(c) < 0)
            return -1;
        if ((size_t)n < room)
            return 0;
    }
}

int main(int argc, char **argv)
{
    static int listener[64];
    int nl = 0, one = 1;
    signal(SIGPIPE, SIG_IGN);
    memset(small, 'x', sizeof small);
    filefd = memfd_create("body", 0);
    for (unsigned i = 0; i < FILESZ / SMALL; i++)
        if (write(filefd, small, SMALL) != SMALL)
            return 1;
    ep = epoll_create1(0);
    for (int i = 1; i < argc && nl < 64; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons(atoi(argv[i])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4096)) {
            perror(argv[i]);
            return 1;
        }
        listener[nl] = fd;
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){EPOLLIN, {.ptr = &listener[nl]}});
        nl++;
    }
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(ep, ev, 256, delayed ? 1 : -1);
        for (int i = 0; i < n; i++) {
            int *l = ev[i].data.ptr;
            if (l >= listener && l < listener + nl) {
                for (int fd; (fd = accept4(*l, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                    struct conn *c = malloc(sizeof *c);
                    memset(c, 0, offsetof(struct conn, out));
                    c->fd = fd;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd,
                              &(struct epoll_event){EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = c}});
                }
                continue;
            }
            struct conn *c = ev[i].data.ptr;
            int dead = 0;
            if (!c->waiting && (c->hdr_len || c->body_left)) {
                int r = flush_out(c);
                dead = r < 0 || (r && process(c) < 0);
            }
            if (!dead && (ev[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
                dead = readable(c) < 0;
            if (dead)
                drop(c);
        }
        if (delayed) {
            long long t = now_ms();
            for (struct conn **p = &delayed, *c; (c = *p);) {
                if (c->due > t) {
                    p = &c->next;
                    continue;
                }
                *p = c->next;
                c->waiting = 0;
                if (flush_out(c) < 0 || process(c) < 0) {
                    drop(c);
                    p = &delayed;
                }
            }
        }
    }
}

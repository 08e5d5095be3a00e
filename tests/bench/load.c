/*
 * A load generator for HTTP/1.1 and TLS 1.3: one thread, epoll.
 *
 *   load [options] PORT
 *     -c N     connections (64)            -d SEC   duration (3, may be fractional)
 *     -s       TLS 1.3                     -R       resume TLS sessions
 *     -n       new connection per request  -r RPS   open loop at a constant rate
 *     -u PATH  target (/b/1024)            -U FILE  "host path" lines, used in turn
 *     -p N     POST N body bytes           -H N     N extra bytes of request headers
 *     -i       idle: open N connections, one request on each, print READY, hold them until stdin closes
 *
 * Prints one JSON line. In open loop a request's latency counts from the moment it was due, not from when a
 * connection was free to carry it, so a stall of the server shows in full. Errors are told apart: err_connect
 * connect or TLS handshake failed err_status   the answer was not 200 err_stale    a reused connection was
 * closed before any byte of the answer (the race every keep-alive client must retry) err_io       closed or
 * broken mid-answer, or on a fresh connection unfinished   still unanswered 2 s after the end
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define HDRMAX 4096
#define SCRATCH (256 << 10)

struct conn {
    int fd, busy, fresh, closing, shaking;
    SSL *ssl;
    const char *req;
    size_t reqlen, sent; /* head; then the body bytes */
    size_t hlen;         /* response head gathered so far */
    long long body;      /* response body left, -1 = in head */
    uint64_t start;      /* ns: due time (open loop) or send time */
    struct conn *next;   /* idle list */
    char hdr[HDRMAX + 1];
};
struct request {
    char *s;
    size_t len;
};

static int port, nconn = 64, tls, resume, newconn, idle, ep, one = 1;
static double secs = 3, rate;
static long long postlen;
static struct request *reqs;
static int nreqs, turn;
static SSL_CTX *ctx;
static SSL_SESSION *sess[4096];
static int nsess;
static char scratch[SCRATCH], *postbody;
static struct conn *idlers;
static int stopping, inflight;
static uint64_t done, bytes, opened, resumed, err_connect, err_status, err_stale, err_io, maxlat;
static uint64_t record_from, recorded; /* open loop: the first part warms up, unrecorded */
static uint64_t hist[64 * 64];         /* log-linear: 64 steps per power of two */

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void record(uint64_t ns)
{
    int e = 63 - __builtin_clzll(ns | 64), shift = e - 6;
    hist[e * 64 + ((ns >> shift) & 63)]++;
    if (ns > maxlat)
        maxlat = ns;
    recorded++;
}
static double quantile(double q)
{ /* microseconds */
    uint64_t want = q * recorded, seen = 0;
    for (int i = 6 * 64; i < 64 * 64; i++)
        if ((seen += hist[i]) > want) {
            int e = i / 64;
            double v = (double)((64ull | (i & 63)) << (e - 6)) / 1000;
            return e == 6 && !(i & 63) ? 0 : v;
        }
    return maxlat / 1000.0;
}

static int keep_session(SSL *s, SSL_SESSION *x)
{
    (void)s;
    if (!resume || nsess == 4096)
        return 0;
    sess[nsess++] = x;
    return 1;
}
static void hang_up(struct conn *c)
{
    if (c->ssl) {
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}
static int dial(struct conn *c)
{
    static unsigned src; /* spread over source addresses: more ports */
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       b = a;
    b.sin_port = 0;
    b.sin_addr.s_addr = htonl(0x7f000002 + src++ % 16);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(c->fd, (void *)&b, sizeof b) || (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS)) {
        hang_up(c);
        return -1;
    }
    if (tls) {
        c->ssl = SSL_new(ctx);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        SSL_set_tlsext_host_name(c->ssl, "bench.test");
        if (resume && nsess) {
            SSL_set_session(c->ssl, sess[--nsess]);
            SSL_SESSION_free(sess[nsess]);
        }
    }
    c->fresh = 1;
    c->shaking = tls;
    opened++;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd,
              &(struct epoll_event){EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.ptr = c}});
    return 0;
}
/* Bytes moved; 0 would block, -1 gone. */
static ssize_t io(struct conn *c, int wr, void *p, size_t n)
{
    ssize_t r;
    if (c->ssl) {
        r = wr ? SSL_write(c->ssl, p, n) : SSL_read(c->ssl, p, n);
        if (r > 0)
            return r;
        int e = SSL_get_error(c->ssl, r);
        ERR_clear_error();
        return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
    }
    r = wr ? write(c->fd, p, n) : read(c->fd, p, n);
    if (r > 0)
        return r;
    return r < 0 && (errno == EAGAIN || errno == ENOTCONN) ? 0 : -1;
}
static int push(struct conn *c)
{ /* send what is left of the request */
    size_t total = c->reqlen + postlen;
    while (c->sent < total) {
        int body = c->sent >= c->reqlen;
        ssize_t n;
        if (!body && postlen && !c->ssl) { /* head and body in one segment train */
            struct iovec v[2] = {{(char *)c->req + c->sent, c->reqlen - c->sent}, {postbody, postlen}};
            n = writev(c->fd, v, 2);
            if (n < 0)
                n = errno == EAGAIN || errno == ENOTCONN ? 0 : -1;
        } else
            n = io(c, 1, body ? postbody + (c->sent - c->reqlen) : (char *)c->req + c->sent,
                   body ? total - c->sent : c->reqlen - c->sent);
        if (n < 0)
            return -1;
        if (!n)
            return 0;
        c->sent += n;
    }
    return 0;
}
static void finish(struct conn *c);
static void start(struct conn *c, uint64_t due)
{
    struct request *r = &reqs[turn];
    if (++turn == nreqs)
        turn = 0;
    c->busy = 1;
    inflight++;
    c->req = r->s;
    c->reqlen = r->len;
    c->sent = 0;
    c->hlen = 0;
    c->body = -1;
    c->closing = 0;
    c->start = due;
    if (c->fd < 0) {
        if (dial(c)) {
            err_connect++;
            finish(c);
        }
        return; /* sent when the socket is writable */
    }
    push(c); /* failure shows as an event */
}
static uint64_t backlog_due, interval; /* open loop: next due time */
static void finish(struct conn *c)
{ /* c is free for its next request */
    c->busy = 0;
    inflight--;
    if (!stopping && !rate && !idle) {
        start(c, now());
        return;
    }
    if (idle)
        return;
    c->next = idlers;
    idlers = c;
}
static void fail(struct conn *c)
{
    if (c->busy) {
        if (c->fresh && (c->shaking || !c->sent))
            err_connect++;
        else if (!c->fresh && !c->hlen && c->body == -1)
            err_stale++;
        else
            err_io++;
    } else if (idle)
        err_io++;
    hang_up(c);
    if (!c->busy)
        return; /* idle: redialled when next needed */
    if (!stopping && !rate && err_connect + err_io > 100000)
        stopping = 1;
    finish(c);
}
static void complete(struct conn *c)
{
    done++;
    if (c->start >= record_from)
        record(now() - c->start);
    if (strncmp(c->hdr, "HTTP/1.1 200", 12))
        err_status++;
    c->fresh = 0;
    if (newconn || c->closing)
        hang_up(c);
    finish(c);
}
static int parse(struct conn *c, char *p, ssize_t n)
{ /* -1 bad, 1 complete */
    if (c->body == -1) {
        size_t take = (size_t)n < HDRMAX - c->hlen ? (size_t)n : HDRMAX - c->hlen, old = c->hlen;
        memcpy(c->hdr + c->hlen, p, take);
        c->hlen += take;
        c->hdr[c->hlen] = 0;
        char *e = memmem(c->hdr, c->hlen, "\r\n\r\n", 4), *l;
        if (!e)
            return c->hlen == HDRMAX ? -1 : 0;
        *e = 0;
        if (!(l = strcasestr(c->hdr, "\r\ncontent-length:")))
            return -1;
        c->body = atoll(l + 17);
        if ((l = strcasestr(c->hdr, "\r\nconnection: close")))
            c->closing = 1;
        size_t used = e + 4 - c->hdr - old;
        p += used;
        n -= used;
    }
    if (n > c->body)
        return -1;
    c->body -= n;
    return c->body == 0;
}
static void event(struct conn *c)
{
    if (c->fd < 0)
        return;
    if (c->busy && c->sent < c->reqlen + postlen && push(c) < 0) {
        fail(c);
        return;
    }
    if (c->ssl && c->shaking && SSL_is_init_finished(c->ssl)) {
        c->shaking = 0;
        resumed += SSL_session_reused(c->ssl);
    }
    for (;;) {
        ssize_t n = io(c, 0, scratch, SCRATCH);
        if (n < 0) {
            fail(c);
            return;
        }
        if (!n)
            return;
        bytes += n;
        if (!c->busy) {
            fail(c);
            return;
        }
        int r = parse(c, scratch, n), fd = c->fd;
        if (r < 0) {
            fail(c);
            return;
        }
        if (r) {
            complete(c);
            if (c->fd != fd || newconn)
                return;
        }
        if (!c->ssl && n < SCRATCH)
            return;
        if (c->fd < 0)
            return;
    }
}
static void add_request(const char *host, const char *path, int extra)
{
    char *s = malloc(1024 + extra * 2);
    size_t n = sprintf(s,
                       "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: loadgen/1.0\r\n"
                       "Accept: */*\r\n",
                       postlen ? "POST" : "GET", path, host);
    for (int i = 0; extra > 0; i++) { /* lines of about 100 bytes */
        int l = extra < 100 ? extra : 100;
        n += sprintf(s + n, "X-Extra-%03d: %0*d\r\n", i, l > 15 ? l - 15 : 1, i);
        extra -= l;
    }
    if (postlen)
        n += sprintf(s + n, "Content-Length: %lld\r\n", postlen);
    n += sprintf(s + n, "\r\n");
    reqs = realloc(reqs, (nreqs + 1) * sizeof *reqs);
    reqs[nreqs++] = (struct request){s, n};
}
static void poll_once(int64_t ns)
{
    struct epoll_event ev[256];
    struct timespec t = {ns / 1000000000, ns % 1000000000};
    int n = epoll_pwait2(ep, ev, 256, ns < 0 ? NULL : &t, NULL);
    for (int i = 0; i < n; i++)
        event(ev[i].data.ptr);
}

int main(int argc, char **argv)
{
    int o, extra = 0;
    char *path = "/b/1024", *file = NULL;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    while ((o = getopt(argc, argv, "c:d:sRnr:u:U:p:H:i")) != -1)
        switch (o) {
        case 'c':
            nconn = atoi(optarg);
            break;
        case 'd':
            secs = atof(optarg);
            break;
        case 's':
            tls = 1;
            break;
        case 'R':
            resume = 1;
            break;
        case 'n':
            newconn = 1;
            break;
        case 'r':
            rate = atof(optarg);
            break;
        case 'u':
            path = optarg;
            break;
        case 'U':
            file = optarg;
            break;
        case 'p':
            postlen = atoll(optarg);
            break;
        case 'H':
            extra = atoi(optarg);
            break;
        case 'i':
            idle = 1;
            break;
        default:
            return 2;
        }
    if (optind != argc - 1)
        return 2;
    port = atoi(argv[optind]);
    if (postlen)
        memset(postbody = malloc(postlen), 'p', postlen);
    if (file) {
        char h[256], p[512];
        FILE *f = fopen(file, "r");
        while (f && fscanf(f, "%255s %511s", h, p) == 2)
            add_request(h, p, extra);
    } else
        add_request("bench.test", path, extra);
    if (!nreqs)
        return 2;
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set1_groups_list(ctx, "X25519");
        SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, keep_session);
    }
    ep = epoll_create1(0);
    struct conn *c = calloc(nconn, sizeof *c);
    for (int i = 0; i < nconn; i++)
        c[i].fd = -1;
    uint64_t t0 = now(), end = t0 + secs * 1e9;

    if (idle) {
        end = now() + 60000000000ull;
        for (int i = 0; i < nconn && now() < end; i++) {
            start(&c[i], now());
            while (inflight >= 64 && now() < end)
                poll_once(100000000);
        }
        while (inflight && now() < end)
            poll_once(100000000);
        printf("READY %lu\n", (unsigned long)done);
        fflush(stdout);
        epoll_ctl(ep, EPOLL_CTL_ADD, 0, &(struct epoll_event){EPOLLIN, {.ptr = NULL}});
        for (struct epoll_event ev[64];;) {
            int n = epoll_wait(ep, ev, 64, 600000), quit = n <= 0;
            for (int i = 0; i < n; i++)
                if (!ev[i].data.ptr)
                    quit = 1;
                else
                    event(ev[i].data.ptr);
            if (quit)
                break;
        }
    } else if (rate) {
        interval = 1e9 / rate;
        backlog_due = t0;
        record_from = t0 + (secs < 2 ? secs / 4 : .5) * 1e9;
        for (int i = nconn - 1; i >= 0; i--) {
            c[i].next = idlers;
            idlers = &c[i];
        }
        for (uint64_t t; (t = now()) < end;) {
            while (backlog_due <= t && idlers) {
                struct conn *k = idlers;
                idlers = k->next;
                start(k, backlog_due);
                backlog_due += interval;
            }
            /* no free connection: wait for one; the due times stay as they are */
            poll_once(idlers ? (int64_t)(backlog_due - t) > 0 ? (int64_t)(backlog_due - t) : 0 : 10000000);
        }
    } else {
        for (int i = 0; i < nconn; i++)
            start(&c[i], now());
        while (now() < end && !stopping)
            poll_once(10000000);
    }
    double took = (now() - t0) / 1e9;
    uint64_t at_end = done;
    stopping = 1;
    for (uint64_t lim = now() + 2000000000ull; inflight && now() < lim;)
        poll_once(10000000);
    printf("{\"req\":%lu,\"secs\":%.3f,\"rps\":%.0f,\"bytes\":%lu,\"opened\":%lu,\"resumed\":%lu,"
           "\"err_connect\":%lu,\"err_status\":%lu,\"err_stale\":%lu,\"err_io\":%lu,\"unfinished\":%d,"
           "\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f}\n",
           done, took, at_end / took, bytes, opened, resumed, err_connect, err_status, err_stale, err_io,
           inflight, quantile(.5), quantile(.99), quantile(.999), maxlat / 1e3);
    return 0;
}

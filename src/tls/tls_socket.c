/* The gathering place belongs to the thread and is used within one call; only what the socket did not take is
 * kept by a connection. A thread that seals nothing has none: as thread-local memory it would be cleared for
 * each thread. */
#include "tls/tls_socket.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/error.h"

#define RECORDS_AT_ONCE 8u
#define VECTORS_AT_ONCE 16

struct gathered {
    size_t length;
    char bytes[RECORDS_AT_ONCE * TLS_RECORD_ROOM];
    char plain[TLS_RECORD_MOST];
};

static _Thread_local struct gathered *gathered;
static pthread_key_t gathered_key; /* frees it when its thread ends */
static pthread_once_t gathered_once = PTHREAD_ONCE_INIT;

static void gathered_key_make(void)
{
    if (pthread_key_create(&gathered_key, free) != 0)
        die("TLS: no memory for a thread");
}

static void gathered_make(void)
{
    struct gathered *made = malloc(sizeof *made);
    if (made == NULL || pthread_once(&gathered_once, gathered_key_make) != 0 ||
        pthread_setspecific(gathered_key, made) != 0)
        die("TLS: no memory for a thread");
    made->length = 0;
    gathered = made;
}

static bool is_later(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* ---- the length of a client's first message ---- */

/* RFC 8446 5.1, 4: what they are of comes first, and a length last */
enum { RECORD_HEAD = 5, RECORD_HANDSHAKE = 22, MESSAGE_HEAD = 4, MESSAGE_HELLO = 1 };

/* What is neither is OpenSSL's to judge. */
static void hello_byte(struct tls_hello *hello, unsigned char byte)
{
    if (hello->left == 0) {
        hello->record = (hello->record << 8) | byte;
        if (++hello->record_got == 1)
            hello->awaited = byte == RECORD_HANDSHAKE;
        if (hello->record_got != RECORD_HEAD)
            return;
        hello->record_got = 0;
        hello->left = (uint16_t)hello->record;
        return;
    }
    hello->left--;
    hello->message = (hello->message << 8) | byte;
    if (++hello->message_got != MESSAGE_HEAD)
        return;
    hello->awaited = false;
    hello->too_long = hello->message >> 24 == MESSAGE_HELLO && (hello->message & 0xffffffu) > TLS_HELLO_MOST;
}

static bool hello_is_too_long(struct tls_hello *hello, const char *bytes, ssize_t length)
{
    for (ssize_t i = 0; i < length && hello->awaited; i++)
        hello_byte(hello, (unsigned char)bytes[i]);
    return hello->too_long;
}

/* ---- what OpenSSL calls ---- */

static int bio_read(BIO *bio, char *to, int room)
{
    struct tls_socket *socket = BIO_get_data(bio);
    BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY | BIO_FLAGS_IN_EOF);
    if (socket->drained) {
        socket->drained = false;
        BIO_set_retry_read(bio);
        return -1;
    }
    ssize_t got = recv(socket->fd, to, (size_t)room, 0);
    socket->drained = got > 0 && got < room;
    if (got < 0 && is_later())
        BIO_set_retry_read(bio);
    else if (got == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    else if (hello_is_too_long(&socket->hello, to, got))
        return -1;
    return (int)got;
}

static int bio_write(BIO *bio, const char *bytes, int length)
{
    struct tls_socket *socket = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (socket->gathering && (size_t)length <= sizeof gathered->bytes - gathered->length) {
        memcpy(gathered->bytes + gathered->length, bytes, (size_t)length);
        gathered->length += (size_t)length;
        return length;
    }
    if (socket->unsent.length != 0) /* an alert, say: never before what was sealed earlier */
        return buf_add(&socket->unsent, bytes, (size_t)length) ? length : -1;
    ssize_t sent = send(socket->fd, bytes, (size_t)length, MSG_NOSIGNAL);
    if (sent < 0 && is_later())
        BIO_set_retry_write(bio);
    return (int)sent;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)number;
    (void)pointer;
    if (command == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

/* Made once for the process; a thread that comes second throws its own away. NULL: no memory. */
static const BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method;
    BIO_METHOD *known = __atomic_load_n(&method, __ATOMIC_ACQUIRE);
    if (known != NULL)
        return known;
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir socket");
    if (made == NULL || BIO_meth_set_read(made, bio_read) != 1 || BIO_meth_set_write(made, bio_write) != 1 ||
        BIO_meth_set_ctrl(made, bio_control) != 1 || BIO_meth_set_create(made, bio_create) != 1) {
        BIO_meth_free(made);
        return NULL;
    }
    if (__atomic_compare_exchange_n(&method, &known, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    BIO_meth_free(made);
    return known;
}

BIO *tls_socket_bio(struct tls_socket *socket)
{
    const BIO_METHOD *method = bio_method();
    BIO *bio = method != NULL ? BIO_new(method) : NULL;
    if (bio != NULL)
        BIO_set_data(bio, socket);
    return bio;
}

/* ---- what the transport calls ---- */

void tls_socket_gather(struct tls_socket *socket)
{
    if (gathered == NULL)
        gathered_make();
    socket->gathering = true;
    gathered->length = 0;
}

char *tls_socket_plain(void)
{
    return gathered->plain;
}

bool tls_socket_has_room(void)
{
    return sizeof gathered->bytes - gathered->length >= TLS_RECORD_ROOM;
}

/* What waited from before. */
static int send_unsent(struct tls_socket *socket)
{
    while (socket->unsent.length != 0) {
        struct iovec vectors[VECTORS_AT_ONCE];
        int count = buf_vectors(&socket->unsent, vectors, VECTORS_AT_ONCE);
        struct msghdr message = {.msg_iov = vectors, .msg_iovlen = (size_t)count};
        ssize_t sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL);
        if (sent < 0)
            return is_later() ? 0 : -1;
        buf_skip(&socket->unsent, (size_t)sent);
    }
    return 1;
}

int tls_socket_send(struct tls_socket *socket)
{
    socket->gathering = false;
    int step = send_unsent(socket);
    size_t length = gathered->length, sent = 0;
    gathered->length = 0;
    if (step < 0 || length == 0)
        return step;
    if (step == 1) {
        ssize_t taken = send(socket->fd, gathered->bytes, length, MSG_NOSIGNAL);
        if (taken < 0 && !is_later())
            return -1;
        sent = taken > 0 ? (size_t)taken : 0;
    }
    if (sent == length)
        return 1;
    if (buf_add(&socket->unsent, gathered->bytes + sent, length - sent))
        return 0;
    errno = ENOMEM;
    return -1;
}

/* The first bytes of a client in the clear. Pure: what is done about them is client_conn.c's. */
#include "proxy/client_version.h"

#include <string.h>

#include "base/buf.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LENGTH (sizeof preface - 1)
#define PAGE "505 HTTP Version Not Supported\nThis port speaks HTTP/2 only.\n"
static const char refusal[] =
    "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 61\r\nConnection: close\r\n\r\n" PAGE;
_Static_assert(sizeof PAGE - 1 == 61, "as Content-Length says");
const struct span client_version_refusal = {refusal, sizeof refusal - 1};

/* A method, a blank and a target, as no other protocol begins. */
static enum client_version refuse_or_fail(const char *begin, size_t length)
{
    size_t letters = 0;
    while (letters < length && begin[letters] >= 'A' && begin[letters] <= 'Z')
        letters++;
    if (letters == length)
        return length < PREFACE_LENGTH ? CLIENT_VERSION_MORE : CLIENT_VERSION_2;
    if (letters == 0 || begin[letters] != ' ')
        return CLIENT_VERSION_2;
    if (letters + 1 == length)
        return length < PREFACE_LENGTH ? CLIENT_VERSION_MORE : CLIENT_VERSION_2;
    return strchr("/*h", begin[letters + 1]) != NULL && begin[letters + 1] != '\0' ? CLIENT_VERSION_1
                                                                                   : CLIENT_VERSION_2;
}

enum client_version client_version_of(const struct buf *bytes, bool http_1_is_spoken)
{
    char begin[PREFACE_LENGTH];
    size_t length = buf_peek(bytes, begin, sizeof begin);
    if (memcmp(begin, preface, length) == 0)
        return length == sizeof begin ? CLIENT_VERSION_2 : CLIENT_VERSION_MORE;
    return http_1_is_spoken ? CLIENT_VERSION_1 : refuse_or_fail(begin, length);
}

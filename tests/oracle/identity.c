#include "oracle/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "oracle/draw.h"

/* The same length whatever the numbers, so that any offset is found by a division. */
static size_t message_text(const struct identity *whose, char text[160])
{
    int length =
        whose->flow == FLOW_REQUEST || whose->flow == FLOW_TUNNEL_UP
            ? snprintf(text, 160,
                       "GET /smuggled/%016" PRIx64 " HTTP/1.1\r\nHost: p0.test\r\nX-Id: %016" PRIx64
                       "\r\n\r\n",
                       whose->id, whose->id)
            : snprintf(text, 160,
                       "HTTP/1.1 200 OK\r\nX-Smuggled: %016" PRIx64 "-%02x\r\nContent-Length: 0\r\n\r\n",
                       whose->id, whose->attempt);
    return (size_t)length;
}

static void fill_message(const struct identity *whose, uint64_t offset, char *to, size_t length)
{
    char text[160];
    size_t period = message_text(whose, text), at = (size_t)(offset % period);
    while (length != 0) {
        size_t part = period - at < length ? period - at : length;
        memcpy(to, text + at, part);
        to += part;
        length -= part;
        at = 0;
    }
}

void identity_fill(const struct identity *whose, uint64_t offset, char *to, size_t length)
{
    if (whose->flavour == FLAVOUR_MESSAGE) {
        fill_message(whose, offset, to, length);
        return;
    }
    uint64_t key = draw_mix(whose->id ^ (uint64_t)whose->flow << 56 ^ (uint64_t)whose->attempt << 48);
    while (length != 0) {
        uint64_t word = draw_mix(key + offset / 8);
        size_t skip = (size_t)(offset % 8), part = 8 - skip < length ? 8 - skip : length;
        memcpy(to, (const char *)&word + skip, part);
        to += part;
        offset += part;
        length -= part;
    }
}

size_t identity_match(const struct identity *whose, uint64_t offset, const char *bytes, size_t length)
{
    char expected[4096];
    for (size_t done = 0; done < length;) {
        size_t part = length - done < sizeof expected ? length - done : sizeof expected;
        identity_fill(whose, offset + done, expected, part);
        if (memcmp(expected, bytes + done, part) != 0) {
            size_t same = 0;
            while (expected[same] == bytes[done + same])
                same++;
            return done + same;
        }
        done += part;
    }
    return length;
}

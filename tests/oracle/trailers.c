#include "oracle/trailers.h"

#include <inttypes.h>
#include <stdio.h>

#include "oracle/message.h"

/* Of each number one more of these; HTTP/2 takes only some of them as trailers at all. */
static const char *const refused[] = {"authorization",     "cookie",         "x-forwarded-for", "host",
                                      "transfer-encoding", "content-length", "x-real-ip",       "set-cookie"};
#define REFUSED_2 3u
#define REFUSED_1 (sizeof refused / sizeof *refused)

static void harmless(struct trailer *trailer, uint64_t id, unsigned number)
{
    (void)snprintf(trailer->name, TRAILER_ROOM, "x-trailer-%u", number);
    (void)snprintf(trailer->value, TRAILER_ROOM, "%016" PRIx64 "-%u", id, number);
}

unsigned trailers_list(struct trailer list[TRAILERS_MOST], const struct body_plan *body, uint64_t id,
                       bool http2)
{
    unsigned count = 0;
    for (; count < body->trailers; count++)
        harmless(&list[count], id, count);
    if (body->bad_trailers) {
        (void)snprintf(list[count].name, TRAILER_ROOM, "%s", refused[id % (http2 ? REFUSED_2 : REFUSED_1)]);
        (void)snprintf(list[count++].value, TRAILER_ROOM, "5");
    }
    return count;
}

const char *trailers_differ(const struct message *trailers, const struct body_plan *body, uint64_t id,
                            bool may_be_lost)
{
    struct trailer expected;
    if (trailers->count == 0 && may_be_lost)
        return NULL;
    for (unsigned i = 0; i < trailers->count; i++) {
        harmless(&expected, id, i);
        if (i >= body->trailers)
            return "one that must not come this way";
        if (!span_is_nocase(trailers->fields[i].name, expected.name) ||
            !span_is(trailers->fields[i].value, expected.value))
            return "one that is not its own";
    }
    return trailers->count == body->trailers ? NULL : "some are missing";
}

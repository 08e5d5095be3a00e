/* The request id: 32 hex digits nobody can guess ahead, or what a trusted peer already gave the request. */
#include "http/exchange.h"

#include "base/arena.h"
#include "base/rng.h"

#define ID_LENGTH 32u
#define ID_MOST 128u

static bool id_is_sane(struct span id)
{
    if (id.length == 0 || id.length > ID_MOST)
        return false;
    for (size_t i = 0; i < id.length; i++) {
        char c = ascii_lower(id.at[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
              c == ':'))
            return false;
    }
    return true;
}

static struct span id_new(struct arena *arena)
{
    static _Thread_local struct rng rng;
    static _Thread_local bool seeded;
    static const char digits[] = "0123456789abcdef";
    if (!seeded) {
        rng_seed(&rng);
        seeded = true;
    }
    char *text = arena_get_bytes(arena, ID_LENGTH + 1);
    if (text == NULL)
        return SPAN_NONE;
    for (unsigned half = 0; half < 2; half++) {
        uint64_t bits = rng_next(&rng);
        for (unsigned i = 0; i < 16; i++)
            text[half * 16 + i] = digits[bits >> (i * 4) & 15];
    }
    text[ID_LENGTH] = '\0';
    return span_make(text, ID_LENGTH);
}

struct span exchange_request_id(struct exchange *exchange)
{
    if (exchange->request_id.at != NULL)
        return exchange->request_id;
    const struct field *given =
        exchange->peer_trusted ? fields_find(&exchange->request.fields, FIELD_X_REQUEST_ID) : NULL;
    exchange->request_id = given != NULL && id_is_sane(given->value) ? given->value : id_new(exchange->arena);
    return exchange->request_id;
}

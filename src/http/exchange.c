/* The request id: 32 hex digits nobody can guess ahead, or what a trusted peer already gave the request. */
#include "http/exchange.h"

#include "base/arena.h"
#include "base/attributes.h"
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

/* Eight hex digits: all at once, since a request asks for four of these. */
static uint64_t hex_digits(uint32_t bits)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t x = bits;
    x = (x | x << 16) & 0x0000ffff0000ffff;
    x = (x | x << 8) & 0x00ff00ff00ff00ff;
    x = (x | x << 4) & (ones * 0x0f);
    uint64_t letters = ((x + ones * 6) >> 4) & ones; /* 1 where a digit is over 9 */
    return x + ones * '0' + letters * ('a' - '0' - 10);
}

static struct span id_new(struct arena *arena)
{
    char *text = arena_get_bytes(arena, ID_LENGTH + 1);
    if (text == NULL)
        return SPAN_NONE;
    for (unsigned half = 0; half < 2; half++) {
        uint64_t bits = random_bits();
        uint64_t digits[2] = {hex_digits((uint32_t)bits), hex_digits((uint32_t)(bits >> 32))};
        memcpy(text + half * sizeof digits, digits, sizeof digits);
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

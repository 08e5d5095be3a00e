/* Heads and their fields: find, add, remove; names as numbers by a perfect hash. */
#include "http/head.h"

#include <string.h>

#include "base/arena.h"
#include "config/config.h"
#include "config/method_names.h"

#define FIELDS_AT_FIRST 32u
#define FIELDS_MOST 65535u

static const struct span lower_names[FIELD_ID_COUNT] = {
#define X(id, name, reach) [FIELD_##id] = {name, sizeof(name) - 1},
    FIELDS(X)
#undef X
};

enum field_reach { END, HEAD, HOP };
static const uint8_t field_reaches[FIELD_ID_COUNT] = {
#define X(id, name, reach) [FIELD_##id] = reach,
    FIELDS(X)
#undef X
};

const struct span field_names[FIELD_ID_COUNT] = {
    [FIELD_HOST] = {"Host", 4},
    [FIELD_CONNECTION] = {"Connection", 10},
    [FIELD_CONTENT_LENGTH] = {"Content-Length", 14},
    [FIELD_TRANSFER_ENCODING] = {"Transfer-Encoding", 17},
    [FIELD_KEEP_ALIVE] = {"Keep-Alive", 10},
    [FIELD_PROXY_CONNECTION] = {"Proxy-Connection", 16},
    [FIELD_PROXY] = {"Proxy", 5},
    [FIELD_PROXY_AUTHENTICATE] = {"Proxy-Authenticate", 18},
    [FIELD_PROXY_AUTHORIZATION] = {"Proxy-Authorization", 19},
    [FIELD_PROXY_AUTHENTICATION_INFO] = {"Proxy-Authentication-Info", 25},
    [FIELD_TE] = {"TE", 2},
    [FIELD_TRAILER] = {"Trailer", 7},
    [FIELD_UPGRADE] = {"Upgrade", 7},
    [FIELD_HTTP2_SETTINGS] = {"HTTP2-Settings", 14},
    [FIELD_EXPECT] = {"Expect", 6},
    [FIELD_VIA] = {"Via", 3},
    [FIELD_FORWARDED] = {"Forwarded", 9},
    [FIELD_X_FORWARDED_FOR] = {"X-Forwarded-For", 15},
    [FIELD_X_FORWARDED_PROTO] = {"X-Forwarded-Proto", 17},
    [FIELD_X_FORWARDED_HOST] = {"X-Forwarded-Host", 16},
    [FIELD_X_FORWARDED_PORT] = {"X-Forwarded-Port", 16},
    [FIELD_X_REAL_IP] = {"X-Real-IP", 9},
    [FIELD_X_REQUEST_ID] = {"X-Request-Id", 12},
    [FIELD_AUTHORIZATION] = {"Authorization", 13},
    [FIELD_COOKIE] = {"Cookie", 6},
    [FIELD_SET_COOKIE] = {"Set-Cookie", 10},
    [FIELD_DATE] = {"Date", 4},
    [FIELD_SERVER] = {"Server", 6},
    [FIELD_LOCATION] = {"Location", 8},
    [FIELD_ACCEPT] = {"Accept", 6},
    [FIELD_USER_AGENT] = {"User-Agent", 10},
    [FIELD_REFERER] = {"Referer", 7},
    [FIELD_CONTENT_TYPE] = {"Content-Type", 12},
    [FIELD_CONTENT_ENCODING] = {"Content-Encoding", 16},
    [FIELD_CONTENT_RANGE] = {"Content-Range", 13},
    [FIELD_RANGE] = {"Range", 5},
    [FIELD_ORIGIN] = {"Origin", 6},
    [FIELD_CACHE_CONTROL] = {"Cache-Control", 13},
    [FIELD_RETRY_AFTER] = {"Retry-After", 11},
    [FIELD_SEC_WEBSOCKET_KEY] = {"Sec-WebSocket-Key", 17},
    [FIELD_SEC_WEBSOCKET_ACCEPT] = {"Sec-WebSocket-Accept", 20},
    [FIELD_SEC_WEBSOCKET_VERSION] = {"Sec-WebSocket-Version", 21},
    [FIELD_TRACEPARENT] = {"traceparent", 11},
    [FIELD_GRPC_TIMEOUT] = {"grpc-timeout", 12},
    [FIELD_GRPC_STATUS] = {"grpc-status", 11},
    [FIELD_GRPC_MESSAGE] = {"grpc-message", 12},
};

/* Where field_hash() sends each name of the table; found by trying multipliers (a unit test holds that every
 * name is found). */
#define HASH_MULTIPLIER 0xaab50e77u
#define HASH_SHIFT 25
static const uint8_t hash_slots[128] = {
    [0] = FIELD_REFERER,
    [1] = FIELD_SEC_WEBSOCKET_VERSION,
    [2] = FIELD_VIA,
    [3] = FIELD_RETRY_AFTER,
    [5] = FIELD_SEC_WEBSOCKET_KEY,
    [10] = FIELD_PROXY_CONNECTION,
    [17] = FIELD_PROXY_AUTHORIZATION,
    [21] = FIELD_CONTENT_RANGE,
    [27] = FIELD_X_FORWARDED_PROTO,
    [29] = FIELD_ACCEPT,
    [31] = FIELD_AUTHORIZATION,
    [34] = FIELD_USER_AGENT,
    [35] = FIELD_SERVER,
    [37] = FIELD_COOKIE,
    [39] = FIELD_SET_COOKIE,
    [40] = FIELD_PROXY_AUTHENTICATION_INFO,
    [41] = FIELD_FORWARDED,
    [44] = FIELD_KEEP_ALIVE,
    [50] = FIELD_TRANSFER_ENCODING,
    [58] = FIELD_SEC_WEBSOCKET_ACCEPT,
    [59] = FIELD_EXPECT,
    [61] = FIELD_GRPC_TIMEOUT,
    [64] = FIELD_HOST,
    [65] = FIELD_CONTENT_LENGTH,
    [67] = FIELD_DATE,
    [69] = FIELD_TRACEPARENT,
    [77] = FIELD_LOCATION,
    [79] = FIELD_X_FORWARDED_HOST,
    [82] = FIELD_PROXY_AUTHENTICATE,
    [83] = FIELD_HTTP2_SETTINGS,
    [87] = FIELD_TRAILER,
    [89] = FIELD_X_REAL_IP,
    [90] = FIELD_CONTENT_TYPE,
    [95] = FIELD_UPGRADE,
    [97] = FIELD_GRPC_MESSAGE,
    [102] = FIELD_CONTENT_ENCODING,
    [103] = FIELD_PROXY,
    [104] = FIELD_RANGE,
    [106] = FIELD_X_REQUEST_ID,
    [110] = FIELD_X_FORWARDED_FOR,
    [120] = FIELD_TE,
    [121] = FIELD_CACHE_CONTROL,
    [122] = FIELD_X_FORWARDED_PORT,
    [123] = FIELD_CONNECTION,
    [124] = FIELD_GRPC_STATUS,
    [125] = FIELD_ORIGIN,
};

/* Length, the last two characters, and the middle one mixed with the first: differs for every name of the
 * table. Setting bit 5 is lower case for letters and changes no digit or '-'. */
static unsigned field_hash(struct span name)
{
    const unsigned char *at = (const unsigned char *)name.at;
    uint32_t middle = (at[name.length / 2] | 0x20u) ^ ((at[0] | 0x20u) << 2 & 255u);
    uint32_t key = (at[name.length - 2] | 0x20u) | (at[name.length - 1] | 0x20u) << 8 | middle << 16 |
                   (uint32_t)name.length << 24;
    return (uint32_t)(key * HASH_MULTIPLIER) >> HASH_SHIFT;
}

#define ALL_BIT_5 UINT64_C(0x2020202020202020)

static uint64_t eight_lower(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word | ALL_BIT_5;
}

static uint32_t four_lower(const char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word | (uint32_t)ALL_BIT_5;
}

/* Eight (or four) characters at a time, the last overlapping. A byte that bit 5 makes '-' or a digit without
 * its being one is a control, which no name has that was let in. */
static bool is_known(struct span name, struct span lower)
{
    if (name.length != lower.length)
        return false;
    if (name.length < 4)
        return span_equal_nocase(name, lower);
    if (name.length < 8)
        return four_lower(name.at) == four_lower(lower.at) &&
               four_lower(name.at + name.length - 4) == four_lower(lower.at + name.length - 4);
    for (size_t i = 0; i + 8 < name.length; i += 8)
        if (eight_lower(name.at + i) != eight_lower(lower.at + i))
            return false;
    return eight_lower(name.at + name.length - 8) == eight_lower(lower.at + name.length - 8);
}

uint16_t field_id(struct span name)
{
    if (name.length < 2 || name.length > 25)
        return FIELD_OTHER;
    uint8_t id = hash_slots[field_hash(name)];
    return id != FIELD_OTHER && is_known(name, lower_names[id]) ? id : FIELD_OTHER;
}

bool field_is_hop(uint16_t id)
{
    return field_reaches[id] == HOP;
}

bool field_may_trail(uint16_t id)
{
    return field_reaches[id] == END;
}

#define ARENA_OWNER ((size_t)256 << 10) /* structs, edits, answers, small heads */
#define HEADS 4u /* of each side: gathered, copied, joined, trailers or another try's */

size_t head_arena_most(const struct limits_config *limits)
{
    size_t request = limits->request_head > limits->header_list ? limits->request_head : limits->header_list;
    /* arrays that double take four times their last need at most; a server's fields, and crumbs of cookies,
     * are more than limits.fields */
    size_t fields = 4 * sizeof(struct field) * (3u + 10u) * limits->fields;
    return ARENA_OWNER + HEADS * (request + limits->response_head) + fields;
}

bool fields_grow(struct fields *fields, struct arena *arena)
{
    unsigned room = fields->room == 0 ? FIELDS_AT_FIRST : fields->room * 2u;
    struct field *items = room <= FIELDS_MOST ? arena_get(arena, room * sizeof *items) : NULL;
    if (items == NULL)
        return false;
    if (fields->count != 0)
        memcpy(items, fields->items, fields->count * sizeof *items);
    fields->items = items;
    fields->room = (uint16_t)room;
    return true;
}

struct field *fields_find(const struct fields *fields, uint16_t id)
{
    for (uint16_t i = 0; i < fields->count; i++)
        if (fields->items[i].id == id)
            return &fields->items[i];
    return NULL;
}

static bool same_name(const struct field *field, uint16_t id, struct span name)
{
    return field->id == id && (id != FIELD_OTHER || span_equal_nocase(field->name, name));
}

struct field *fields_find_name(const struct fields *fields, struct span name)
{
    uint16_t id = field_id(name);
    for (uint16_t i = 0; i < fields->count; i++)
        if (same_name(&fields->items[i], id, name))
            return &fields->items[i];
    return NULL;
}

bool head_keeps(const struct head *request, uint16_t id, struct span *value)
{
    switch (id) {
    case FIELD_CONTENT_LENGTH:
        *value = request->length_given ? request->length_text : SPAN_NONE;
        return true;
    case FIELD_TE:
        *value = request->accepts_trailers ? SPAN("trailers") : SPAN_NONE;
        return true;
    case FIELD_UPGRADE:
        *value = request->upgrade.length != 0 ? request->upgrade : SPAN_NONE;
        return true;
    default:
        return false;
    }
}

struct span head_field_among(const struct head *request, const struct fields *fields, struct span name)
{
    struct span value;
    if (head_keeps(request, field_id(name), &value))
        return value;
    const struct field *field = fields_find_name(fields, name);
    return field != NULL ? field->value : SPAN_NONE;
}

struct span head_field(const struct head *request, struct span name)
{
    return head_field_among(request, &request->fields, name);
}

struct field *fields_next(const struct fields *fields, const struct field *after)
{
    for (uint16_t i = (uint16_t)(after - fields->items + 1); i < fields->count; i++)
        if (same_name(&fields->items[i], after->id, after->name))
            return &fields->items[i];
    return NULL;
}

static unsigned remove_same(struct fields *fields, uint16_t id, struct span name)
{
    uint16_t kept = 0;
    unsigned removed = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        if (same_name(&fields->items[i], id, name)) {
            removed++;
            continue;
        }
        if (kept != i)
            fields->items[kept] = fields->items[i];
        kept++;
    }
    fields->count = kept;
    return removed;
}

unsigned fields_remove(struct fields *fields, uint16_t id)
{
    return remove_same(fields, id, lower_names[id]);
}

unsigned fields_remove_name(struct fields *fields, struct span name)
{
    return remove_same(fields, field_id(name), name);
}

static char folded(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ? lower : '_';
}

bool names_fold_together(struct span a, struct span b)
{
    size_t i = 0;
    while (a.length == b.length && i < a.length && folded(a.at[i]) == folded(b.at[i]))
        i++;
    return a.length == b.length && i == a.length;
}

void fields_remove_folded(struct fields *fields, struct span name)
{
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++)
        if (!names_fold_together(fields->items[i].name, name))
            fields->items[kept++] = fields->items[i];
    fields->count = kept;
}

static const struct {
    struct span name;
    enum method method;
    bool idempotent; /* RFC 9110 9.2.2 */
} methods[] = {
    {{"GET", 3}, METHOD_GET, true},         {{"HEAD", 4}, METHOD_HEAD, true},
    {{"POST", 4}, METHOD_POST, false},      {{"PUT", 3}, METHOD_PUT, true},
    {{"DELETE", 6}, METHOD_DELETE, true},   {{"CONNECT", 7}, METHOD_CONNECT, false},
    {{"OPTIONS", 7}, METHOD_OPTIONS, true}, {{"PATCH", 5}, METHOD_PATCH, false},
    {{"TRACE", 5}, METHOD_TRACE, true},
};

enum method method_of(struct span name)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (span_equal(name, methods[i].name))
            return methods[i].method;
    return METHOD_OTHER;
}

bool method_is_misspelt(struct span name)
{
    for (const struct method_name *known = method_names; known->name != NULL; known++)
        if (known->registered && span_equal_nocase(name, span_of(known->name)))
            return !span_is(name, known->name);
    return false;
}

bool method_is_idempotent(enum method method)
{
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (methods[i].method == method)
            return methods[i].idempotent;
    return false;
}

#define REASON(code, text)         \
    {                              \
        code,                      \
        {                          \
            text, sizeof(text) - 1 \
        }                          \
    }
static const struct {
    unsigned status;
    struct span reason;
} reasons[] = {
    REASON(100, "Continue"),
    REASON(101, "Switching Protocols"),
    REASON(103, "Early Hints"),
    REASON(200, "OK"),
    REASON(201, "Created"),
    REASON(202, "Accepted"),
    REASON(204, "No Content"),
    REASON(205, "Reset Content"),
    REASON(206, "Partial Content"),
    REASON(301, "Moved Permanently"),
    REASON(302, "Found"),
    REASON(303, "See Other"),
    REASON(304, "Not Modified"),
    REASON(307, "Temporary Redirect"),
    REASON(308, "Permanent Redirect"),
    REASON(400, "Bad Request"),
    REASON(401, "Unauthorized"),
    REASON(403, "Forbidden"),
    REASON(404, "Not Found"),
    REASON(405, "Method Not Allowed"),
    REASON(406, "Not Acceptable"),
    REASON(408, "Request Timeout"),
    REASON(409, "Conflict"),
    REASON(410, "Gone"),
    REASON(411, "Length Required"),
    REASON(412, "Precondition Failed"),
    REASON(413, "Content Too Large"),
    REASON(414, "URI Too Long"),
    REASON(415, "Unsupported Media Type"),
    REASON(416, "Range Not Satisfiable"),
    REASON(417, "Expectation Failed"),
    REASON(418, "I'm a teapot"),
    REASON(421, "Misdirected Request"),
    REASON(422, "Unprocessable Content"),
    REASON(425, "Too Early"),
    REASON(426, "Upgrade Required"),
    REASON(428, "Precondition Required"),
    REASON(429, "Too Many Requests"),
    REASON(431, "Request Header Fields Too Large"),
    REASON(451, "Unavailable For Legal Reasons"),
    REASON(500, "Internal Server Error"),
    REASON(501, "Not Implemented"),
    REASON(502, "Bad Gateway"),
    REASON(503, "Service Unavailable"),
    REASON(504, "Gateway Timeout"),
    REASON(505, "HTTP Version Not Supported"),
};

struct span status_reason(unsigned status)
{
    for (size_t i = 0; i < COUNT_OF(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return SPAN("");
}

static bool copy_span(struct span *to, struct span from, struct arena *arena)
{
    if (from.at == NULL) {
        *to = SPAN_NONE;
        return true;
    }
    *to = arena_copy(arena, from);
    return to->at != NULL;
}

bool fields_copy(struct fields *to, const struct fields *from, struct arena *arena)
{
    for (uint16_t i = 0; i < from->count; i++) {
        const struct field *field = &from->items[i];
        struct span name, value;
        if (!copy_span(&name, field->name, arena) || !copy_span(&value, field->value, arena) ||
            !fields_add(to, arena, name, value, field->id))
            return false;
        to->items[to->count - 1].never_indexed = field->never_indexed;
    }
    return true;
}

bool head_copy(struct head *to, const struct head *from, bool request, struct arena *arena)
{
    *to = *from;
    to->fields = (struct fields){0};
    bool fits = copy_span(&to->upgrade, from->upgrade, arena) &&
                copy_span(&to->length_text, from->length_text, arena);
    if (request)
        fits = fits && copy_span(&to->line.request.method_name, from->line.request.method_name, arena) &&
               copy_span(&to->line.request.scheme, from->line.request.scheme, arena) &&
               copy_span(&to->line.request.authority, from->line.request.authority, arena) &&
               copy_span(&to->line.request.path, from->line.request.path, arena) &&
               copy_span(&to->line.request.query, from->line.request.query, arena);
    else
        fits = fits && copy_span(&to->line.response.reason, from->line.response.reason, arena);
    return fits && fields_copy(&to->fields, &from->fields, arena);
}

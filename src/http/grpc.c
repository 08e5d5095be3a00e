/* The few fields of gRPC that a proxy reads and writes. */
#include "http/grpc.h"

#include "base/arena.h"
#include "http/head.h"

#define DIGITS_MOST 8

/* A kind's name ends the media type, or a subtype or parameter follows. */
static bool is_kind(struct span type, struct span name, struct span *subtype)
{
    if (type.length < name.length || !span_equal_nocase(span_first(type, name.length), name))
        return false;
    struct span rest = span_skip(type, name.length);
    if (rest.length != 0 && rest.at[0] != '+' && rest.at[0] != ';' && rest.at[0] != ' ')
        return false;
    if (subtype != NULL)
        *subtype = rest.length != 0 && rest.at[0] == '+' ? span_trim(span_first(rest, span_find(rest, ';')))
                                                         : SPAN_NONE;
    return true;
}

enum grpc_kind grpc_kind(const struct fields *fields, struct span *subtype)
{
    const struct field *type = fields_find(fields, FIELD_CONTENT_TYPE);
    if (type == NULL)
        return GRPC_NONE;
    return is_kind(type->value, SPAN("application/grpc"), subtype)            ? GRPC_PLAIN
           : is_kind(type->value, SPAN("application/grpc-web"), subtype)      ? GRPC_WEB
           : is_kind(type->value, SPAN("application/grpc-web-text"), subtype) ? GRPC_WEB_TEXT
                                                                              : GRPC_NONE;
}

enum grpc_kind grpc_request_kind(const struct head *request)
{
    return request->line.request.method == METHOD_POST ? grpc_kind(&request->fields, NULL) : GRPC_NONE;
}

bool grpc_timeout(const struct fields *fields, uint64_t *milliseconds)
{
    static const struct {
        char unit;
        uint64_t times, parts; /* milliseconds = value * times / parts */
    } units[] = {{'H', 3600000, 1}, {'M', 60000, 1}, {'S', 1000, 1},
                 {'m', 1, 1},       {'u', 1, 1000},  {'n', 1, 1000000}};
    const struct field *field = fields_find(fields, FIELD_GRPC_TIMEOUT);
    if (field == NULL || field->value.length < 2 || field->value.length > DIGITS_MOST + 1)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < field->value.length - 1; i++) {
        if (field->value.at[i] < '0' || field->value.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(field->value.at[i] - '0');
    }
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        if (units[i].unit != field->value.at[field->value.length - 1])
            continue;
        *milliseconds = (value * units[i].times + units[i].parts - 1) / units[i].parts;
        return true;
    }
    return false;
}

unsigned grpc_server_status(const struct fields *fields)
{
    static const struct {
        const char *grpc;
        unsigned http;
    } sick[] = {
        {"2", 500},  /* UNKNOWN: what handlers that throw come to */
        {"4", 504},  /* DEADLINE_EXCEEDED */
        {"8", 429},  /* RESOURCE_EXHAUSTED */
        {"13", 500}, /* INTERNAL */
        {"14", 503}, /* UNAVAILABLE */
        {"15", 500}, /* DATA_LOSS */
    };
    const struct field *field = fields_find(fields, FIELD_GRPC_STATUS);
    for (size_t i = 0; field != NULL && i < COUNT_OF(sick); i++)
        if (span_equal(field->value, span_of(sick[i].grpc)))
            return sick[i].http;
    return 200;
}

struct span grpc_message(struct span text, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    char *at = arena_get_bytes(arena, text.length * 3 + 1);
    size_t length = 0;
    if (at == NULL)
        return SPAN_NONE;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            at[length++] = (char)c;
            continue;
        }
        at[length++] = '%';
        at[length++] = digits[c >> 4];
        at[length++] = digits[c & 15];
    }
    return span_make(at, length);
}

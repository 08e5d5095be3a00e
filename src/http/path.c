/*
 * The normal form is written once, when a request comes. Readings are made of it only where something in it
 * is marked: each step that some server takes and another does not is done or left out, in the order in which
 * servers take them: parameters go before escapes are decoded (Tomcat, Jetty, Spring) or after (a server
 * behind another proxy), slashes are merged after that (nginx, Tomcat), dot segments come last.
 */
#include "http/path.h"

#include <string.h>

#include "base/arena.h"
#include "base/hash.h"

/* ---- escapes ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the escape stands for that begins at `i`; -1: there is none. */
static int escape_value(const char *path, size_t length, size_t i)
{
    if (i + 2 >= length || path[i] != '%')
        return -1;
    int high = hex_digit(path[i + 1]), low = hex_digit(path[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Those that can't stand in a path as they are, are escapes to everybody. */
static bool is_printable(int value)
{
    return value > ' ' && value < 0x7f;
}

/* Where a decoded path ends for who reads it again, as a server behind another proxy, or as a line. */
static bool ends_path(int value)
{
    return value == '?' || value == '#' || (value >= 0 && value < ' ') || value == 0x7f;
}

/* ---- segments ---- */

static size_t segment_end(const char *path, size_t length, size_t slash)
{
    const char *end = memchr(path + slash + 1, '/', length - slash - 1);
    return end != NULL ? (size_t)(end - path) : length;
}

static unsigned segment_dots(const char *path, size_t slash, size_t end)
{
    struct span segment = span_make(path + slash + 1, end - slash - 1);
    return span_is(segment, ".") ? 1 : span_is(segment, "..") ? 2 : 0;
}

static bool has_dots(const char *path, size_t length)
{
    for (size_t i = 0, end; i < length; i = end) {
        end = segment_end(path, length, i);
        if (segment_dots(path, i, end) != 0)
            return true;
    }
    return false;
}

/* Removes dot segments in place (RFC 3986 5.2.4); the length, or 0 when they climb above the root. */
static size_t resolve(char *path, size_t length)
{
    size_t out = 0;
    for (size_t i = 0, end; i < length; i = end) {
        end = segment_end(path, length, i);
        unsigned dots = segment_dots(path, i, end);
        if (dots == 2 && out == 0)
            return 0;
        if (dots == 2)
            while (path[--out] != '/')
                ;
        if (dots == 0) {
            memmove(path + out, path + i, end - i);
            out += end - i;
        } else if (end == length) {
            path[out++] = '/';
        }
    }
    return out;
}

/* ---- the normal form ---- */

enum { PLAIN, SPECIAL, SLASH };
static const uint8_t kinds[256] = {['%'] = SPECIAL, ['\\'] = SPECIAL, [';'] = SPECIAL, ['/'] = SLASH};

bool path_is_plain(struct span path)
{
    for (size_t i = 0; i < path.length; i++) {
        unsigned kind = kinds[(unsigned char)path.at[i]];
        if (kind == PLAIN)
            continue;
        if (kind == SPECIAL || (i + 1 < path.length && (path.at[i + 1] == '/' || path.at[i + 1] == '.')))
            return false;
    }
    return true;
}

/* UTF-8 that spells a character with more bytes than it needs (RFC 3629 3): lax decoders make "/" of
 * "%C0%AF". No text in another coding has such a pair. */
static bool is_overlong(struct span path, size_t i, int first)
{
    static const struct {
        int first, most;
    } pairs[] = {{0xc0, 0xbf}, {0xc1, 0xbf}, {0xe0, 0x9f}, {0xf0, 0x8f}, {0xf8, 0x87}, {0xfc, 0x83}};
    for (size_t k = 0; first >= pairs[0].first && k < COUNT_OF(pairs); k++) {
        int second = first == pairs[k].first ? escape_value(path.at, path.length, i + 3) : -1;
        if (second >= 0x80 && second <= pairs[k].most)
            return true;
    }
    return false;
}

/* Decodes unreserved characters into `to`, which has room for path.length; the length, or 0 when refused. */
static size_t decode_unreserved(char *to, struct span path)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    for (size_t i = 0; i < path.length; i++) {
        if (path.at[i] == '\\')
            return 0;
        if (path.at[i] != '%') {
            to[length++] = path.at[i];
            continue;
        }
        int value = escape_value(path.at, path.length, i);
        if (value <= 0 || value == '\\' || is_overlong(path, i, value))
            return 0;
        i += 2;
        if (path_is_unreserved((unsigned)value)) {
            to[length++] = (char)value;
            continue;
        }
        to[length++] = '%';
        to[length++] = digits[value >> 4];
        to[length++] = digits[value & 15];
    }
    return length;
}

unsigned path_marks(struct span path)
{
    unsigned marks = 0;
    for (size_t i = 0; i < path.length; i++) {
        if (path.at[i] == '/' && i + 1 < path.length && path.at[i + 1] == '/')
            marks |= PATH_SLASHES;
        if (path.at[i] == ';')
            marks |= PATH_PARAMETERS;
        int value = escape_value(path.at, path.length, i);
        if (ends_path(value))
            marks |= PATH_ENCODED_END;
        if (is_printable(value))
            marks |= value == '/' ? PATH_ENCODED_SLASH : PATH_ENCODED;
        if (value == '%' && i + 4 < path.length && hex_digit(path.at[i + 3]) >= 0 &&
            hex_digit(path.at[i + 4]) >= 0)
            marks |= PATH_ENCODED_TWICE;
    }
    return marks;
}

enum failure path_prepare(struct span path, struct arena *arena, struct span *normal, unsigned *marks)
{
    char *copy = arena_get_bytes(arena, path.length + 1);
    if (copy == NULL)
        return FAILURE_OVERLOADED;
    size_t length = decode_unreserved(copy, path);
    if (length != 0)
        length = resolve(copy, length);
    *normal = span_make(copy, length);
    *marks = path_marks(*normal);
    return length != 0 ? FAILURE_NONE : FAILURE_BAD_TARGET;
}

/* ---- readings ---- */

/* Steps that a server takes or not; a way is one of each. */
enum escapes { ESCAPES_KEPT, ESCAPES_BUT_SLASH, ESCAPES_DECODED, ESCAPES_DECODED_TWICE, ESCAPES_COUNT };
enum parameters { PARAMETERS_STAY, PARAMETERS_GO, PARAMETERS_GO_DECODED, PARAMETERS_COUNT };
enum slashes { SLASHES_STAY, SLASHES_MERGE, SLASHES_BEGIN_HOST, SLASHES_COUNT };
#define WAYS_WHOLE ((unsigned)ESCAPES_COUNT * PARAMETERS_COUNT * SLASHES_COUNT)
#define WAYS (WAYS_WHOLE * 2)

struct way {
    bool cut; /* at the first encoded "?", "#" or control */
    enum escapes escapes;
    enum parameters parameters;
    enum slashes slashes;
};

static struct way way_of(unsigned number)
{
    return (struct way){.cut = number >= WAYS_WHOLE,
                        .escapes = number % WAYS_WHOLE / (PARAMETERS_COUNT * SLASHES_COUNT),
                        .parameters = number / SLASHES_COUNT % PARAMETERS_COUNT,
                        .slashes = number % SLASHES_COUNT};
}

static bool escapes_apply(enum escapes escapes, unsigned marks, enum encoded_slash said)
{
    if (said == ENCODED_SLASH_DECODED)
        return escapes == ESCAPES_DECODED;
    if (said == ENCODED_SLASH_AS_IS && escapes > ESCAPES_BUT_SLASH)
        return false;
    static const unsigned needed[] = {[ESCAPES_BUT_SLASH] = PATH_ENCODED,
                                      [ESCAPES_DECODED] = PATH_ENCODED_SLASH,
                                      [ESCAPES_DECODED_TWICE] = PATH_ENCODED_TWICE};
    return escapes == ESCAPES_KEPT || (marks & needed[escapes]) != 0;
}

static bool parameters_apply(struct way way, unsigned marks, enum path_parameters said)
{
    if (said != PATH_PARAMETERS_ANY)
        return way.parameters == (said == PATH_PARAMETERS_KEPT ? PARAMETERS_STAY : PARAMETERS_GO);
    return way.parameters == PARAMETERS_STAY ||
           (way.parameters == PARAMETERS_GO ? (marks & PATH_PARAMETERS) != 0 : way.escapes != ESCAPES_KEPT);
}

static bool slashes_apply(enum slashes slashes, enum path_slashes said)
{
    return said == PATH_SLASHES_ANY ||
           slashes == (said == PATH_SLASHES_MERGED ? SLASHES_MERGE : SLASHES_STAY);
}

/* Who has said what its servers make of escapes has said that too. */
static bool cut_applies(unsigned marks, enum encoded_slash said)
{
    return said == ENCODED_SLASH_ANY && (marks & (PATH_ENCODED_END | PATH_ENCODED_TWICE)) != 0;
}

static bool way_applies(struct way way, unsigned marks, const struct paths_config *paths)
{
    return (!way.cut || cut_applies(marks, paths->encoded_slash)) &&
           escapes_apply(way.escapes, marks, paths->encoded_slash) &&
           parameters_apply(way, marks, paths->parameters) && slashes_apply(way.slashes, paths->slashes);
}

/* In place. The second round of ESCAPES_DECODED_TWICE decodes what the first has left or made. */
static size_t decode_printable(char *path, size_t length, bool slash, bool again)
{
    size_t out = 0;
    for (size_t i = 0; i < length; i++) {
        int value = escape_value(path, length, i);
        if (!is_printable(value) || (value == '/' && !slash)) {
            path[out++] = path[i];
            continue;
        }
        path[out++] = again && value == '\\' ? '/' : (char)value;
        i += 2;
    }
    return out;
}

static size_t cut_at_end(const char *path, size_t length)
{
    size_t i = 0;
    while (i < length && path[i] != '?' && path[i] != '#' && !ends_path(escape_value(path, length, i)))
        i++;
    return i;
}

/* In place: from ";" to the end of its segment. */
static size_t drop_parameters(char *path, size_t length)
{
    size_t out = 0;
    bool parameter = false;
    for (size_t i = 0; i < length; i++) {
        parameter = path[i] == ';' || (parameter && path[i] != '/');
        if (!parameter)
            path[out++] = path[i];
    }
    return out;
}

static size_t merge_slashes(char *path, size_t length)
{
    size_t out = 0;
    for (size_t i = 0; i < length; i++)
        if (path[i] != '/' || out == 0 || path[out - 1] != '/')
            path[out++] = path[i];
    return out;
}

/* "//host/path" as a reference to another host (RFC 3986 4.2): what URL parsers that are given the bare
 * target make of it. */
static size_t drop_host(char *path, size_t length)
{
    size_t begin = 0;
    while (begin < length && path[begin] == '/')
        begin++;
    size_t slash = begin + span_find(span_make(path + begin, length - begin), '/');
    if (slash == length)
        return 1;
    memmove(path, path + slash, length - slash);
    return length - slash;
}

/* What the path is when it is read this way, dot segments not resolved. */
static struct span read_way(struct span path, struct way way, char *room)
{
    size_t length = path.length;
    memcpy(room, path.at, length);
    if (way.parameters == PARAMETERS_GO)
        length = drop_parameters(room, length);
    if (way.escapes != ESCAPES_KEPT)
        length = decode_printable(room, length, way.escapes != ESCAPES_BUT_SLASH, false);
    if (way.escapes == ESCAPES_DECODED_TWICE)
        length = decode_printable(room, length, true, true);
    if (way.cut)
        length = cut_at_end(room, length);
    if (way.parameters == PARAMETERS_GO_DECODED)
        length = drop_parameters(room, length);
    if (way.slashes == SLASHES_MERGE)
        length = merge_slashes(room, length);
    else if (way.slashes == SLASHES_BEGIN_HOST && length > 1 && room[1] == '/')
        length = drop_host(room, length);
    return span_make(room, length);
}

void path_readings_begin(struct path_readings *readings, struct span path, unsigned marks,
                         const struct paths_config *paths, char *room)
{
    readings->path = path;
    readings->marks = marks;
    readings->paths = paths;
    readings->room = room;
    readings->way = 0;
    readings->dots = false;
    readings->count = 0;
}

/* By its hash, which nobody outside can aim at. */
static enum path_step reading_is_new(struct path_readings *readings)
{
    uint64_t hash = hash_keyed(readings->text);
    for (unsigned i = 0; i < readings->count; i++)
        if (readings->seen[i] == hash)
            return PATH_END;
    if (readings->count == PATH_READINGS_MOST)
        return PATH_TOO_MANY;
    readings->seen[readings->count++] = hash;
    return PATH_READING;
}

enum path_step path_readings_next(struct path_readings *readings, struct span *text)
{
    for (;;) {
        if (readings->dots) {
            readings->dots = false;
            readings->text.length = resolve(readings->room, readings->text.length);
            if (readings->text.length == 0)
                return PATH_CLIMBS;
        } else {
            while (readings->way < WAYS &&
                   !way_applies(way_of(readings->way), readings->marks, readings->paths))
                readings->way++;
            if (readings->way == WAYS)
                return PATH_END;
            readings->text = read_way(readings->path, way_of(readings->way++), readings->room);
            readings->dots = has_dots(readings->room, readings->text.length);
        }
        enum path_step step = reading_is_new(readings);
        *text = readings->text;
        if (step != PATH_END)
            return step;
    }
}

struct span path_read(struct span path, const struct paths_config *paths, char *room)
{
    const struct way way = {
        .escapes = paths->encoded_slash == ENCODED_SLASH_DECODED ? ESCAPES_DECODED : ESCAPES_KEPT,
        .parameters = paths->parameters == PATH_PARAMETERS_IGNORED ? PARAMETERS_GO : PARAMETERS_STAY,
        .slashes = paths->slashes == PATH_SLASHES_MERGED ? SLASHES_MERGE : SLASHES_STAY};
    struct span text = read_way(path, way, room);
    text.length = resolve(room, text.length);
    return text.length != 0 ? text : path;
}

/* ---- what is counted ---- */

/* "//host/path" is counted as the path alone, and "//path" as one of too many slashes. */
static size_t slashes_count(char *path, size_t length, enum path_slashes said)
{
    if (said == PATH_SLASHES_AS_IS)
        return length;
    size_t rest = said == PATH_SLASHES_ANY && length > 1 && path[1] == '/' ? drop_host(path, length) : 0;
    return merge_slashes(path, rest > 1 ? rest : length);
}

/* Steps of which two in one path make different paths of it, depending on which is taken first: so what a
 * client is free to choose could be in one and not in the other. */
static bool steps_mix(struct span path, unsigned marks, const struct paths_config *paths)
{
    bool begins = path.length > 1 && path.at[1] == '/' && paths->slashes == PATH_SLASHES_ANY,
         parameters = (marks & PATH_PARAMETERS) != 0 && paths->parameters != PATH_PARAMETERS_KEPT,
         slash = (marks & PATH_ENCODED_SLASH) != 0 && paths->encoded_slash != ENCODED_SLASH_AS_IS,
         twice = (marks & PATH_ENCODED_TWICE) != 0 && paths->encoded_slash == ENCODED_SLASH_ANY,
         hidden = false;
    for (size_t i = 0; i < path.length && paths->parameters != PATH_PARAMETERS_KEPT; i++)
        hidden = hidden || escape_value(path.at, path.length, i) == ';';
    return (begins || parameters) + slash + twice + hidden > 1;
}

/* Each step that some server takes is taken. */
static size_t read_all(char *path, size_t length, const struct paths_config *paths)
{
    bool twice = paths->encoded_slash == ENCODED_SLASH_ANY &&
                 (path_marks(span_make(path, length)) & PATH_ENCODED_TWICE) != 0;
    if (paths->parameters != PATH_PARAMETERS_KEPT)
        length = drop_parameters(path, length);
    length = decode_printable(path, length, paths->encoded_slash != ENCODED_SLASH_AS_IS, false);
    if (twice)
        length = decode_printable(path, length, true, true);
    if (paths->parameters != PATH_PARAMETERS_KEPT)
        length = drop_parameters(path, length);
    return resolve(path, slashes_count(path, length, paths->slashes));
}

struct span path_counted(struct span path, const struct paths_config *paths, struct arena *arena)
{
    char *room = steps_mix(path, path_marks(path), paths) ? NULL : arena_get_bytes(arena, path.length + 1);
    if (room == NULL)
        return SPAN_NONE;
    memcpy(room, path.at, path.length);
    size_t length = read_all(room, path.length, paths);
    return length != 0 ? span_make(room, length) : SPAN_NONE;
}

/* ---- paths of the file ---- */

/* Usually there is nothing to escape: then the text of the configuration serves. */
static struct span escape_others(const char *text, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t length = 0;
    while (is_printable((unsigned char)text[length]))
        length++;
    if (text[length] == '\0')
        return span_make(text, length);
    char *escaped = arena_get_bytes(arena, strlen(text) * 3 + 1);
    for (length = 0; escaped != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = is_printable(c);
        escaped[length++] = plain ? *text : '%';
        if (!plain) {
            escaped[length++] = digits[c >> 4];
            escaped[length++] = digits[c & 15];
        }
    }
    return span_make(escaped, length);
}

struct span path_of_file(const char *text, struct arena *arena)
{
    struct span escaped = escape_others(text, arena), normal;
    unsigned marks;
    if (escaped.at == NULL || path_prepare(escaped, arena, &normal, &marks) != FAILURE_NONE)
        return SPAN_NONE;
    return normal;
}

struct span path_decoded(struct span normal, struct arena *arena)
{
    char *room = memchr(normal.at, '%', normal.length) != NULL ? arena_get_bytes(arena, normal.length) : NULL;
    if (room == NULL)
        return normal;
    memcpy(room, normal.at, normal.length);
    return span_make(room, decode_printable(room, normal.length, false, false));
}

/* ---- paths that weir makes ---- */

enum failure path_check(struct span path, const struct paths_config *paths, struct arena *arena)
{
    if (path_is_plain(path))
        return FAILURE_NONE;
    char *normal = arena_get_bytes(arena, path.length + 1), *room = arena_get_bytes(arena, path.length + 1);
    if (normal == NULL || room == NULL)
        return FAILURE_OVERLOADED;
    size_t length = decode_unreserved(normal, path);
    struct path_readings readings;
    struct span text;
    if (length == 0)
        return FAILURE_BAD_TARGET;
    path_readings_begin(&readings, span_make(normal, length), path_marks(span_make(normal, length)), paths,
                        room);
    for (;;) {
        enum path_step step = path_readings_next(&readings, &text);
        if (step == PATH_END)
            return FAILURE_NONE;
        if (step != PATH_READING || readings.dots)
            return FAILURE_BAD_TARGET;
    }
}

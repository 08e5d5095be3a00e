/*
 * Fuzzes what names a request's place (http/target.h, http/path.h): a line with the authority, one with the
 * path, and the rest is the query. What holds: a normal form is its own normal form and names the same host
 * and path; a path has few readings, each in the room that there is; and what a rule sees of a query is what
 * forms decode.
 */
#include "http/target.h"

#include "base/arena.h"
#include "base/attributes.h"
#include "fuzz.h"
#include "http/form.h"
#include "http/path.h"
#include "route/request_values.h"

#define ARENA ((size_t)1 << 20)

/* What the codecs let pass. */
static bool is_of_request(struct span path)
{
    for (size_t i = 0; i < path.length; i++)
        if (path.at[i] <= ' ' || path.at[i] >= 0x7f || path.at[i] == '#' || path.at[i] == '?')
            return false;
    return path.length != 0 && path.at[0] == '/';
}

static void hold_authority(const struct target *target, struct span authority, struct arena *arena)
{
    struct target again = {.port = 0};
    struct authority parts;
    HOLDS(target_host(&again, target->authority, arena) == FAILURE_NONE);
    HOLDS(span_equal(again.authority, target->authority) && again.port == target->port);
    HOLDS(span_equal(again.host, target->host));
    HOLDS(authority_read(authority, &parts) && parts.port == target->port);
    HOLDS(authority_is_same(authority, target->authority, 80));
    HOLDS(authority_read(target->authority, &parts) &&
          (parts.is_normal || parts.port == 0 || target->authority.at[0] == '['));
    for (size_t i = 0; i < target->host.length; i++)
        HOLDS(target->host.at[i] == ascii_lower(target->host.at[i]));
}

static void hold_readings(const struct target *target, const struct paths_config *paths, struct arena *arena)
{
    struct path_readings readings;
    struct span text;
    char *room = malloc(target->path.length + 1);
    enum path_step step;
    unsigned count = 0;
    HOLDS(room != NULL);
    path_readings_begin(&readings, target->path, target->marks, paths, room);
    while ((step = path_readings_next(&readings, &text)) == PATH_READING) {
        HOLDS(++count <= PATH_READINGS_MOST);
        HOLDS(text.length != 0 && text.length <= target->path.length && text.at[0] == '/');
    }
    text = path_read(target->path, paths, room);
    HOLDS(text.length != 0 && text.at[0] == '/');
    HOLDS(path_check(target->path, paths, arena) != FAILURE_NONE || step == PATH_END);
    (void)path_counted(target->path, paths, arena);
    (void)path_decoded(target->path, arena);
    free(room);
}

static bool path_has(struct span path, const char *text)
{
    return memmem(path.at, path.length, text, strlen(text)) != NULL;
}

static bool is_encoded_twice(struct span path)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    bool is = false;
    for (size_t i = 0; i + 5 <= path.length && !is; i++)
        is = span_starts(span_skip(path, i), SPAN("%25")) && strchr(digits, path.at[i + 3]) != NULL &&
             strchr(digits, path.at[i + 4]) != NULL;
    return is;
}

static void hold_marks(struct span path, unsigned marks)
{
    HOLDS(((marks & PATH_SLASHES) != 0) == path_has(path, "//"));
    HOLDS(((marks & PATH_PARAMETERS) != 0) == path_has(path, ";"));
    HOLDS(((marks & PATH_ENCODED_SLASH) != 0) == path_has(path, "%2F"));
    HOLDS(((marks & PATH_ENCODED_TWICE) != 0) == is_encoded_twice(path));
}

static void hold_path(const struct target *target, struct arena *arena)
{
    struct span again;
    unsigned marks;
    hold_marks(target->path, target->marks);
    HOLDS(path_prepare(target->path, arena, &again, &marks) == FAILURE_NONE);
    HOLDS(span_equal(again, target->path) && marks == target->marks);
    for (unsigned way = 0; way < 3; way++) {
        const struct paths_config paths = {.encoded_slash = (enum encoded_slash)way,
                                           .parameters = (enum path_parameters)way,
                                           .slashes = (enum path_slashes)way};
        hold_readings(target, &paths, arena);
    }
}

/* Values of "a", as a plain reading finds them. */
static void hold_query(const struct exchange *x)
{
    struct request_values values;
    struct span value, query = x->target.query;
    request_values_begin(&values, VALUE_QUERY, SPAN("a"), x);
    while (query.at != NULL) {
        size_t end = span_find(query, '&');
        struct span pair = span_first(query, end);
        query = end == query.length ? SPAN_NONE : span_skip(query, end + 1);
        size_t equal = span_find(pair, '=');
        if (!span_is(form_decoded(span_first(pair, equal), x->arena), "a"))
            continue;
        struct span raw = equal == pair.length ? SPAN("") : span_skip(pair, equal + 1);
        HOLDS(request_values_next(&values, &value) && span_equal(value, raw));
        if (!form_is_encoded(raw))
            continue;
        HOLDS(request_values_next(&values, &value));
        HOLDS(span_equal(value, form_decoded(raw, x->arena)));
    }
    HOLDS(!request_values_next(&values, &value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span authority, path, rest = span_make((const char *)data, size);
    if (size == 0 || !fuzz_line(&rest, &authority) || !fuzz_line(&rest, &path) || !is_of_request(path))
        return -1;
    struct exchange x = {.arena = arena_new(ARENA)};
    char *exact[2] = {fuzz_exact(authority), fuzz_exact(path)};
    authority.at = exact[0];
    path.at = exact[1];
    enum failure why = target_prepare(&x.target, authority, path, rest, x.arena);
    HOLDS(why == FAILURE_NONE || why == FAILURE_BAD_TARGET || why == FAILURE_BAD_HOST);
    if (why == FAILURE_NONE) {
        if (authority.length != 0)
            hold_authority(&x.target, authority, x.arena);
        hold_path(&x.target, x.arena);
        hold_query(&x);
    }
    arena_free(x.arena);
    free(exact[0]);
    free(exact[1]);
    return 0;
}

/* Readings of paths: which there are, that there are never more than a few, and what weir itself may send. */
#include "http/path.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/rng.h"
#include "unit.h"

static const struct paths_config any;

/* The readings in their order, separated by blanks. */
static enum path_step readings_of(const char *path, const struct paths_config *paths, char *all, size_t room)
{
    struct span came = span_of(path), text;
    char *work = malloc(came.length + 1); /* its very size, for the sanitizer */
    struct path_readings readings;
    enum path_step step;
    size_t length = 0;
    assert_non_null(work);
    path_readings_begin(&readings, came, path_marks(came), paths, work);
    while ((step = path_readings_next(&readings, &text)) == PATH_READING) {
        assert_int_equal(text.at[0], '/');
        assert_true(length + text.length + 2 < room);
        memcpy(all + length, text.at, text.length);
        length += text.length;
        all[length++] = ' ';
    }
    all[length > 0 ? length - 1 : 0] = '\0';
    free(work);
    return step;
}

static void every_way_is_read_once(void **state)
{
    (void)state;
    static const struct {
        const char *path, *readings; /* NULL: one climbs */
        struct paths_config paths;
    } cases[] = {
        {"/a/b", "/a/b", {0}},
        {"/a%20b/%C3%A9", "/a%20b/%C3%A9", {0}},
        {"/a//b", "/a//b /a/b", {0}},
        {"//a/b", "//a/b /a/b /b", {0}},
        {"///a", "///a /a /", {0}},
        {"/a//b", "/a//b", {.slashes = PATH_SLASHES_AS_IS}},
        {"//a/b", "/a/b", {.slashes = PATH_SLASHES_MERGED}},
        {"/a/b//", "/a/b// /a/b/", {0}},
        {"/a%2Fb", "/a%2Fb /a/b", {0}},
        {"/a%2Fb", "/a%2Fb", {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/a%2Fb%3A", "/a/b:", {.encoded_slash = ENCODED_SLASH_DECODED}},
        {"/a%2Fb%3A", "/a%2Fb%3A /a%2Fb: /a/b:", {0}},
        {"/u%3Ad", "/u%3Ad /u:d", {0}},
        {"/u%3Ad", "/u%3Ad /u:d", {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/%40%2C%27%5B%5D%7C", "/%40%2C%27%5B%5D%7C /@,'[]|", {0}},
        {"/a;b=1/c", "/a;b=1/c /a/c", {0}},
        {"/a;b=1/c", "/a;b=1/c", {.parameters = PATH_PARAMETERS_KEPT}},
        {"/a;b=1/c", "/a/c", {.parameters = PATH_PARAMETERS_IGNORED}},
        {"/a%3Bb=1/c", "/a%3Bb=1/c /a;b=1/c /a/c", {0}},
        {"/;/a", "/;/a //a /a /", {0}},
        {"/x/..;/a", "/x/..;/a /x/../a /a", {0}},
        {"/x/.;/a", "/x/.;/a /x/./a /x/a", {0}},
        {"/x/..%2Fa", "/x/..%2Fa /x/../a /a", {0}},
        {"/x/..%3B/a", "/x/..%3B/a /x/..;/a /x/../a /a", {0}},
        {"/a;x%2Fy/b", "/a;x%2Fy/b /a/b /a;x/y/b /a/y/b", {0}},
        {"/a%252Fb", "/a%252Fb /a%2Fb /a/b", {0}},
        {"/x/%252e%252e/a", "/x/%252e%252e/a /x/%2e%2e/a /x/../a /a", {0}},
        {"/x%255Ca", "/x%255Ca /x%5Ca /x/a", {0}},
        {"/100%25", "/100%25 /100%", {0}},
        {"/100%25%2", "/100%25%2 /100%%2", {0}},
        {"/..%2Fa", NULL, {0}},
        {"/a/..;/..;x/b", NULL, {0}},
        {"/%252e%252e/b", NULL, {0}},
        {"/..%2Fa", "/..%2Fa", {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/..;/a", "/..;/a", {.parameters = PATH_PARAMETERS_KEPT}},
    };
    char all[1000];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum path_step step = readings_of(cases[i].path, &cases[i].paths, all, sizeof all);
        if (step != (cases[i].readings != NULL ? PATH_END : PATH_CLIMBS))
            fail_msg("%s: step %d after %s", cases[i].path, (int)step, all);
        if (cases[i].readings != NULL && strcmp(all, cases[i].readings) != 0)
            fail_msg("%s is read as %s", cases[i].path, all);
    }
}

/* Whatever clients make up: a bounded number, none twice, and each a path. */
static void readings_are_few(void **state)
{
    (void)state;
    static const char *const pieces[] = {"/",   "//",   "a",  ";",     ";a=1", "%2F",    "%3B", "%25",
                                         "%3A", "%252", "..", "..%2F", "..;",  "%252e.", ".",   "%20"};
    struct rng rng;
    char path[400], all[40000];
    unsigned most = 0, too_many = 0;
    rng_seed_with(&rng, 4);
    for (unsigned round = 0; round < 20000; round++) {
        strcpy(path, "/");
        for (unsigned i = rng_below(&rng, 24); i > 0; i--)
            strcat(path, pieces[rng_below(&rng, COUNT_OF(pieces))]);
        struct arena *arena = arena_new_malloc();
        struct span normal;
        unsigned marks;
        if (path_prepare(span_of(path), arena, &normal, &marks) == FAILURE_NONE) {
            struct span text = arena_copy(arena, normal);
            too_many += readings_of(text.at, &any, all, sizeof all) == PATH_TOO_MANY;
            unsigned count = 1;
            for (const char *c = all; *c != '\0'; c++)
                count += *c == ' ';
            most = count > most ? count : most;
        }
        arena_free(arena);
    }
    assert_int_equal(most, PATH_READINGS_MOST);
    assert_true(too_many > 0);
}

static void what_weir_makes_up_hides_no_dots(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool fine;
        struct paths_config paths;
    } cases[] = {
        {"/a/b", true, {0}},
        {"/a//b;c/%2Fd%20", true, {0}},
        {"/a/../b", false, {0}},
        {"/a/..", false, {0}},
        {"/./b", false, {0}},
        {"/a/%2e%2E/b", false, {0}},
        {"/a/..;/b", false, {0}},
        {"/a/..;/b", true, {.parameters = PATH_PARAMETERS_KEPT}},
        {"/..%2Fb", false, {0}},
        {"/..%2Fb", true, {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/a/%252e%252e/b", false, {0}},
        {"/a%00", false, {0}},
        {"/a\\b", false, {0}},
        {"/a%5cb", false, {0}},
        {"/a%zz", false, {0}},
        {"/a../b..c/...", true, {0}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new_malloc();
        if (path_check(span_of(cases[i].path), &cases[i].paths, arena) !=
            (cases[i].fine ? FAILURE_NONE : FAILURE_BAD_TARGET))
            fail_msg("%s", cases[i].path);
        arena_free(arena);
    }
}

static int setup(void **state)
{
    (void)state;
    hash_init();
    return 0;
}

/* ---- what is counted ---- */

static struct span counted(const char *path, const struct paths_config *paths, struct arena *arena)
{
    struct span normal;
    unsigned marks;
    if (path_prepare(span_of(path), arena, &normal, &marks) != FAILURE_NONE)
        return SPAN_NONE;
    return marks == 0 ? normal : path_counted(normal, paths, arena);
}

static void spellings_are_counted_as_one(void **state)
{
    (void)state;
    static const struct {
        const char *path, *counted; /* NULL: with all others of its kind */
        struct paths_config paths;
    } cases[] = {
        {"/login", "/login", {0}},
        {"/login;a", "/login", {0}},
        {"//login", "/login", {0}},
        {"///login", "/login", {0}},
        {"/login%3Ba=1", "/login", {0}},
        {"/x/..%2flogin", "/login", {0}},
        {"/x%2F..%2Flogin", "/login", {0}},
        {"/x/..;/login", "/login", {0}},
        {"/x/..;a=%2F/login", NULL, {0}},
        {"/%6cogin", "/login", {0}},
        {"/x/../login", "/login", {0}},
        {"//any.test/login", "/login", {0}},
        {"//any.test/login", "/any.test/login", {.slashes = PATH_SLASHES_MERGED}},
        {"//login", "//login", {.slashes = PATH_SLASHES_AS_IS}},
        {"/login;a", "/login;a", {.parameters = PATH_PARAMETERS_KEPT}},
        {"/@scope%2Fname", "/@scope/name", {0}},
        {"/@scope%2Fname", "/@scope%2Fname", {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/%40scope%2Fname", "/@scope%2Fname", {.encoded_slash = ENCODED_SLASH_AS_IS}},
        {"/login%253Ba", "/login", {0}},
        {"/login%253Ba", "/login%3Ba", {.encoded_slash = ENCODED_SLASH_DECODED}},
        {"/a/k;%2F..%2F..%2Flogin", NULL, {0}},
        {"/k%252Fz%2F..%2Flogin", NULL, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_new(1 << 16);
        struct span got = counted(cases[i].path, &cases[i].paths, arena);
        if (cases[i].counted == NULL)
            assert_null(got.at);
        else
            assert_span(got, cases[i].counted);
        arena_free(arena);
    }
}

#define TOKENS 15
#define LENGTH 5
#define COUNTS_MOST 4 /* of one resource: what may come of its first and of its last segment */

/* By how a server reads it: how often a resource is counted anew, because it was spelled differently. */
struct resource {
    unsigned count;
    uint64_t counted[COUNTS_MOST + 1];
};

static void resource_note(struct map *resources, struct span reading, uint64_t hash)
{
    struct resource *resource = map_get(resources, reading);
    if (resource == NULL) {
        resource = calloc(1, sizeof *resource);
        assert_non_null(resource);
        map_set(resources, reading, resource);
    }
    for (unsigned i = 0; i < resource->count; i++)
        if (resource->counted[i] == hash)
            return;
    assert_true(resource->count < COUNTS_MOST);
    resource->counted[resource->count++] = hash;
}

/* That "//k" is this to those who read a host can't be told from "//k" as one slash too many. */
static bool is_root(struct span reading)
{
    return reading.length == 1 || reading.at[1] == ';' || span_starts(span_skip(reading, 1), SPAN("%3B"));
}

static void path_note(struct map *resources, const char *path, const struct paths_config *paths)
{
    struct arena *arena = arena_new(1 << 16);
    struct path_readings readings;
    struct span normal, text;
    unsigned marks;
    if (path_prepare(span_of(path), arena, &normal, &marks) == FAILURE_NONE && marks != 0) {
        struct span count = path_counted(normal, paths, arena);
        char *room = arena_get_bytes(arena, normal.length + 1);
        assert_non_null(room);
        path_readings_begin(&readings, normal, marks, paths, room);
        while (count.at != NULL && path_readings_next(&readings, &text) == PATH_READING)
            if (!readings.dots && !span_equal(text, normal) && !is_root(text))
                resource_note(resources, text, hash_keyed(count));
    }
    arena_free(arena);
}

/* Whatever a server makes of a path, another spelling of it is no way to be counted anew. */
static void no_spelling_is_counted_anew(void **state)
{
    (void)state;
    static const char *const tokens[TOKENS] = {"/",   "/a",    "/k",    "/z",  "a",     "k",     "..",  ";",
                                               "%2F", "/%2E.", "%252F", "%3B", "%253B", "%2F..", "/..;"};
    static const struct paths_config all[] = {{0},
                                              {.slashes = PATH_SLASHES_MERGED},
                                              {.slashes = PATH_SLASHES_AS_IS},
                                              {.encoded_slash = ENCODED_SLASH_AS_IS},
                                              {.encoded_slash = ENCODED_SLASH_DECODED},
                                              {.parameters = PATH_PARAMETERS_IGNORED},
                                              {.parameters = PATH_PARAMETERS_KEPT}};
    for (size_t way = 0; way < sizeof all / sizeof all[0]; way++) {
        struct map *resources = map_new();
        struct rng rng;
        rng_seed_with(&rng, 7 + way);
        for (unsigned i = 0; i < 60000; i++) {
            char path[64] = "/";
            for (uint64_t left = rng_next(&rng) % LENGTH + 1; left > 0; left--)
                strcat(path, tokens[rng_next(&rng) % TOKENS]);
            path_note(resources, path, &all[way]);
        }
        size_t at = 0;
        struct span key;
        void *resource;
        while (map_next(resources, &at, &key, &resource))
            free(resource);
        map_free(resources);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_is_read_once),           cmocka_unit_test(readings_are_few),
        cmocka_unit_test(what_weir_makes_up_hides_no_dots), cmocka_unit_test(spellings_are_counted_as_one),
        cmocka_unit_test(no_spelling_is_counted_anew),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

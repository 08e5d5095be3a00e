/*
 * Paths: their normal form, and the ways in which servers read what even that leaves open (protocol.md 4,
 * RFC 3986 6.2.2). Pure functions.
 *
 * In the normal form unreserved characters are decoded, the digits of all other escapes are upper case, and
 * dot segments are gone. What servers still read in more than one way is marked, and has readings: each is
 * the path that some server sees.
 */
#ifndef WEIR_HTTP_PATH_H
#define WEIR_HTTP_PATH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/span.h"
#include "config/route_config.h"
#include "http/failure.h"

struct arena;

enum path_mark {
    PATH_SLASHES = 1,        /* an empty segment */
    PATH_PARAMETERS = 2,     /* ";" */
    PATH_ENCODED_SLASH = 4,  /* "%2F" */
    PATH_ENCODED = 8,        /* any other character that may also stand in a path as it is: %3A, %40, %7C */
    PATH_ENCODED_TWICE = 16, /* "%25" before two hexadecimal digits */
    PATH_ENCODED_END = 32    /* "%3F", "%23" and controls: what ends a path for who reads it decoded */
};

/* RFC 3986 2.3 */
static inline bool path_is_unreserved(unsigned c)
{
    return (c | 0x20u) - 'a' < 26 || c - '0' < 10 || c == '.' || c == '-' || c == '_' || c == '~';
}
/* True when the path is its own normal form and there is one way to read it: most are. */
bool path_is_plain(struct span path);
/* Writes the normal form of a path that begins with '/', and its marks. BAD_TARGET: a malformed escape, an
 * encoded NUL, a backslash raw or encoded, overlong UTF-8, or a climb above the root. OVERLOADED: the arena's
 * cap. */
enum failure path_prepare(struct span path, struct arena *arena, struct span *normal,
                          unsigned *marks) MUST_CHECK;
unsigned path_marks(struct span normal);

/* Of the readings of one path, as many as are looked at; honest ones have a handful. Each costs a few passes
 * over the path, so this bounds what a request can make weir do. */
#define PATH_READINGS_MOST 32u

enum path_step { PATH_READING, PATH_END, PATH_CLIMBS, PATH_TOO_MANY };
struct path_readings {
    struct span path;
    unsigned marks;
    const struct paths_config *paths;
    char *room;
    unsigned way; /* the next to be tried */
    bool dots;    /* the text that was given last has dot segments, which come next resolved */
    struct span text;
    unsigned count;
    uint64_t seen[PATH_READINGS_MOST];
};
/* path: a normal form; paths: how its servers read, where that is known; room: path.length + 1 bytes, which
 * the texts use one after another. All must last as long as the readings. */
void path_readings_begin(struct path_readings *readings, struct span path, unsigned marks,
                         const struct paths_config *paths, char *room);
/* The next reading, none twice. PATH_CLIMBS: there is one that climbs above the root. PATH_TOO_MANY: the path
 * has more than are looked at. */
enum path_step path_readings_next(struct path_readings *readings, struct span *text) MUST_CHECK;
/* The one reading that is as near to the path as `paths` allows, in room. */
struct span path_read(struct span path, const struct paths_config *paths, char *room);
/* What a limit counts a path as: the same for all that some server which `paths` allows for reads as one, but
 * for such as mix ways that servers do not agree on. Those are for nobody but who wants to be counted apart.
 * at == NULL: it is one of them, or the arena is at its cap. */
struct span path_counted(struct span path, const struct paths_config *paths, struct arena *arena);
/* The normal form of a path of the file, in which characters that can't stand in a request are taken for
 * their escapes. at == NULL: no request has such a path. */
struct span path_of_file(const char *text, struct arena *arena);
/* What servers that decode read where that stands as it was written, but for "%2F"; the same when it has no
 * escapes. */
struct span path_decoded(struct span normal, struct arena *arena);
/* Whether a path that weir made up may go to servers: it is well formed, none of its segments is a dot
 * segment, and no reading climbs above the root. OVERLOADED: the arena's cap. */
enum failure path_check(struct span path, const struct paths_config *paths, struct arena *arena) MUST_CHECK;

#endif

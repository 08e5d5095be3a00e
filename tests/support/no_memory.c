/* See no_memory.h. Pieces are known by their address, since some of what is freed was given by others. */
#include "support/no_memory.h"

#include <assert.h>
#include <stdint.h>

#include "base/block.h"
#include "base/small.h"

#define PLACES (1u << 17)

struct event;
struct timeval;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *piece, size_t size);
void __real_free(void *piece);
void *__real_pages_new(size_t size);
int __real_event_add(struct event *event, const struct timeval *timeout);
void *__real_xmalloc(size_t size);
void *__real_xcalloc(size_t count, size_t size);
void *__real_xrealloc(void *piece, size_t size);
void *__real_xcalloc_lines(size_t size);
char *__real_xstrdup(const char *text);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *piece, size_t size);
void __wrap_free(void *piece);
void *__wrap_pages_new(size_t size);
int __wrap_event_add(struct event *event, const struct timeval *timeout);
void *__wrap_xmalloc(size_t size);
void *__wrap_xcalloc(size_t count, size_t size);
void *__wrap_xrealloc(void *piece, size_t size);
void *__wrap_xcalloc_lines(size_t size);
char *__wrap_xstrdup(const char *text);

static unsigned left;   /* allocations until the one that fails; 0: none does */
static unsigned spared; /* calls of x-functions that are on */

static bool fails(void)
{
    return left != 0 && spared == 0 && --left == 0;
}

/* ---- which pieces are out ---- */

static const void *places[PLACES]; /* open addressing; a place that was left is GONE */
static const char gone;
static size_t pieces;

static size_t place_of(const void *piece)
{
    return ((uintptr_t)piece >> 4) * 2654435761u % PLACES;
}

static void *note(void *piece)
{
    if (piece == NULL)
        return NULL;
    size_t at = place_of(piece), looks = 0;
    while (places[at] != NULL && places[at] != &gone) {
        assert(++looks < PLACES);
        at = (at + 1) % PLACES;
    }
    places[at] = piece;
    pieces++;
    return piece;
}

static void forget(const void *piece)
{
    size_t at = place_of(piece);
    for (size_t looks = 0; looks < PLACES && places[at] != NULL; looks++, at = (at + 1) % PLACES) {
        if (places[at] != piece)
            continue;
        places[at] = &gone;
        pieces--;
        return;
    }
}

size_t no_memory_pieces(void)
{
    small_trim();
    block_pool_trim(0);
    return pieces;
}

void no_memory_at(unsigned n)
{
    left = n;
}

bool no_memory_came(void)
{
    bool came = left == 0;
    left = 0;
    return came;
}

/* ---- in the place of the C library's and others ---- */

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : note(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : note(__real_calloc(count, size));
}

void *__wrap_realloc(void *piece, size_t size)
{
    if (fails())
        return NULL;
    if (piece != NULL)
        forget(piece);
    return note(__real_realloc(piece, size));
}

void __wrap_free(void *piece)
{
    if (piece != NULL)
        forget(piece);
    __real_free(piece);
}

void *__wrap_pages_new(size_t size)
{
    return fails() ? NULL : __real_pages_new(size);
}

int __wrap_event_add(struct event *event, const struct timeval *timeout)
{
    return fails() ? -1 : __real_event_add(event, timeout);
}

void *no_memory_get(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return __wrap_malloc(size);
}

void *no_memory_grow(void *piece, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return __wrap_realloc(piece, size);
}

void no_memory_free(void *piece, const char *file, int line)
{
    (void)file;
    (void)line;
    __wrap_free(piece);
}

/* ---- what ends the process ---- */

void *__wrap_xmalloc(size_t size)
{
    spared++;
    void *piece = __real_xmalloc(size);
    spared--;
    return piece;
}

void *__wrap_xcalloc(size_t count, size_t size)
{
    spared++;
    void *piece = __real_xcalloc(count, size);
    spared--;
    return piece;
}

void *__wrap_xrealloc(void *piece, size_t size)
{
    spared++;
    piece = __real_xrealloc(piece, size);
    spared--;
    return piece;
}

void *__wrap_xcalloc_lines(size_t size)
{
    spared++;
    void *piece = __real_xcalloc_lines(size);
    spared--;
    return piece;
}

char *__wrap_xstrdup(const char *text)
{
    spared++;
    char *copy = __real_xstrdup(text);
    spared--;
    return copy;
}

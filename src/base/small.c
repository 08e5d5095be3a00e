/* A piece has its class before it. Under AddressSanitizer nothing is kept, so that a use after a free is
 * seen. */
#include "base/small.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/pooling.h"

#define STEP 32u               /* bytes between classes, the head included */
#define CLASSES 33u            /* class n takes n * STEP bytes; class 0 is malloc's */
#define KEPT_MOST (512u << 10) /* bytes of all lists of a thread: some thousand streams of HTTP/2 */

struct small {
    alignas(16) union {
        struct small *next; /* on a list */
        size_t size;        /* out, and of class 0: bytes, without this head */
    };
    uint32_t class;
};

static _Thread_local struct {
    struct small *lists[CLASSES];
    size_t kept;
} small_pool;

void *small_get(size_t size)
{
    size_t class = POOLING ? (size + sizeof(struct small) + STEP - 1) / STEP : CLASSES;
    if (size > SIZE_MAX / 2)
        return NULL;
    struct small *piece = class < CLASSES ? small_pool.lists[class] : NULL;
    if (piece != NULL) {
        small_pool.lists[class] = piece->next;
        small_pool.kept -= class * STEP;
        return piece + 1;
    }
    piece = malloc(class < CLASSES ? class * STEP : sizeof *piece + size);
    if (piece == NULL)
        return NULL;
    piece->class = class < CLASSES ? (uint32_t) class : 0;
    piece->size = size;
    return piece + 1;
}

void *small_get_zeroed(size_t size)
{
    void *bytes = small_get(size);
    return bytes != NULL ? memset(bytes, 0, size) : NULL;
}

static size_t room_of(const struct small *piece)
{
    return piece->class != 0 ? piece->class * STEP - sizeof *piece : piece->size;
}

void *small_grow(void *bytes, size_t size)
{
    if (bytes == NULL)
        return small_get(size);
    size_t room = room_of((struct small *)bytes - 1);
    if (size <= room)
        return bytes;
    void *larger = small_get(size);
    if (larger == NULL)
        return NULL;
    memcpy(larger, bytes, room);
    small_free(bytes);
    return larger;
}

void small_free(void *bytes)
{
    if (bytes == NULL)
        return;
    struct small *piece = (struct small *)bytes - 1;
    assert(piece->class < CLASSES);
    size_t size = piece->class * STEP;
    if (size == 0 || small_pool.kept + size > KEPT_MOST) {
        free(piece);
        return;
    }
    piece->next = small_pool.lists[piece->class];
    small_pool.lists[piece->class] = piece;
    small_pool.kept += size;
}

void small_trim(void)
{
    for (unsigned class = 0; class < CLASSES; class ++) {
        while (small_pool.lists[class] != NULL) {
            struct small *piece = small_pool.lists[class];
            small_pool.lists[class] = piece->next;
            free(piece);
        }
    }
    small_pool.kept = 0;
}

size_t small_kept(void)
{
    return small_pool.kept;
}

/*
 * Small pieces of memory for what comes and goes with each request: from free lists of the thread, last in
 * first out. A piece may be freed by another thread than the one that got it. What the lists keep has a cap;
 * larger pieces are malloc's.
 */
#ifndef WEIR_BASE_SMALL_H
#define WEIR_BASE_SMALL_H

#include <stddef.h>

#include "base/attributes.h"

void *small_get(size_t size) MUST_CHECK;               /* NULL: no memory */
void *small_get_zeroed(size_t size) MUST_CHECK;        /* NULL: no memory */
void *small_grow(void *piece, size_t size) MUST_CHECK; /* as realloc() */
void small_free(void *piece);                          /* NULL: nothing */
/* what this thread's lists keep goes back; at the thread's end too */
void small_trim(void);
size_t small_kept(void); /* bytes */

#endif

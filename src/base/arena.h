/*
 * Allocate many, free once. The arena's own struct sits in its first chunk. Chunks are blocks of this
 * thread's pool (large pieces come from malloc); an arena that crosses threads must be made with
 * arena_new_malloc().
 */
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/span.h"

struct arena;
struct block;

/* An arena on pool blocks with a cap on all its bytes; NULL when no block is to be had. */
struct arena *arena_new(size_t cap) MUST_CHECK;
/* An arena on malloc, for snapshots and configurations: no cap, ends the process when memory is out. */
struct arena *arena_new_malloc(void);
void arena_free(struct arena *arena); /* NULL allowed */
/* 16-byte aligned, not zeroed; NULL over the cap. */
void *arena_get(struct arena *arena, size_t size) MUST_CHECK;
void *arena_get_zeroed(struct arena *arena, size_t size) MUST_CHECK;
/* Bytes without alignment, for text. */
char *arena_get_bytes(struct arena *arena, size_t size) MUST_CHECK;
/* A copy ended by a NUL that the span does not count; at == NULL over the cap. */
struct span arena_copy(struct arena *arena, struct span bytes) MUST_CHECK;
char *arena_text(struct arena *arena, const char *text) MUST_CHECK;
/* Printed text, ended by NUL; at == NULL over the cap. */
struct span arena_print(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;
/* Keeps the block (takes a reference of its own) until the arena is freed, so that spans may point into it;
 * false over the cap. */
bool arena_hold(struct arena *arena, struct block *block) MUST_CHECK;
size_t arena_size(const struct arena *arena);
size_t arena_taken(const struct arena *arena); /* an arena on blocks: bytes of memory that it holds */

#endif

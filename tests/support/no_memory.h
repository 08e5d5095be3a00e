/*
 * Allocations that fail, for programs linked with NO_MEMORY_WRAPS: what libweir.a asks for by malloc(),
 * calloc(), realloc(), pages_new() and event_add() goes through here, and so does OpenSSL's memory where a
 * test hands it over (no_memory_get() and its like fit CRYPTO_set_mem_functions()). The x-functions are
 * spared: they end the process, after what was set apart for them is spent.
 */
#ifndef WEIR_TESTS_NO_MEMORY_H
#define WEIR_TESTS_NO_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now on fails, once; 0: none does. */
void no_memory_at(unsigned n);
/* None fails any more. False: the one that was to fail has not been asked for. */
bool no_memory_came(void);
/* Pieces that were given and not taken back, without those that the free lists of base keep. */
size_t no_memory_pieces(void);

void *no_memory_get(size_t size, const char *file, int line);
void *no_memory_grow(void *piece, size_t size, const char *file, int line);
void no_memory_free(void *piece, const char *file, int line);

#endif

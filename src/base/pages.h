/*
 * Zeroed memory straight from the kernel: a large table costs nothing before it is used, and then only the
 * pages that are touched. For tables of fixed size; what grows and shrinks is base/block.h's.
 */
#ifndef WEIR_BASE_PAGES_H
#define WEIR_BASE_PAGES_H

#include <stddef.h>

#include "base/attributes.h"

/* Begins on a page, so on a cache line. NULL: the kernel gives no such size. */
void *pages_new(size_t size) MUST_CHECK;
void pages_free(void *pages, size_t size); /* NULL allowed */

#endif

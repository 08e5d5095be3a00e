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
/* Of a table that the file wants: the page with `at` is in use from now on, and is counted for it, once. Any
 * thread; where it is looked at as well as written, call it for what was 0 before. */
void pages_used(void *pages, size_t size, const void *at);

#endif

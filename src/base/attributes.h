/* Compiler attributes that say what a declaration promises. */
#ifndef WEIR_BASE_ATTRIBUTES_H
#define WEIR_BASE_ATTRIBUTES_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(template_at, first) __attribute__((format(printf, template_at, first)))
/* What is rarely called, so that who calls it saves no registers for it. */
#define NOINLINE __attribute__((noinline))
#define CACHE_LINE 64

/* The struct that holds `member` at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Where a scan over many costs as much as its jumps: what holds nearly always. */
#define LIKELY(condition) __builtin_expect(!!(condition), 1)

#endif

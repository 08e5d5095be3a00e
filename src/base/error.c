/* Errors as text for people, and the ways out when a small allocation fails at start. Printing them is left
 * to callers. */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"

/* Says with dots that the text did not fit. */
static void error_mark_cut(struct error *error)
{
    memcpy(error->text + sizeof error->text - 4, "...", 4);
}

static void error_vset(struct error *error, const char *format, va_list arguments)
{
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    if (length < 0)
        error->text[0] = '\0';
    else if ((size_t)length >= sizeof error->text)
        error_mark_cut(error);
}

bool error_set(struct error *error, const char *format, ...)
{
    if (error == NULL)
        return false;
    va_list arguments;
    va_start(arguments, format);
    error_vset(error, format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_errno(struct error *error, int number, const char *format, ...)
{
    if (error == NULL)
        return false;
    va_list arguments;
    va_start(arguments, format);
    error_vset(error, format, arguments);
    va_end(arguments);
    /* strerrordesc_np() is constant text: no locale, no static buffer shared by threads. */
    const char *why = strerrordesc_np(number);
    size_t length = strlen(error->text);
    int added = snprintf(error->text + length, sizeof error->text - length, ": %s",
                         why != NULL ? why : "unknown error");
    if (added > 0 && (size_t)added >= sizeof error->text - length)
        error_mark_cut(error);
    return false;
}

bool error_wrap(struct error *error, const char *format, ...)
{
    if (error == NULL)
        return false;
    struct error inner = *error;
    va_list arguments;
    va_start(arguments, format);
    error_vset(error, format, arguments);
    va_end(arguments);
    size_t length = strlen(error->text);
    int added = snprintf(error->text + length, sizeof error->text - length, ": %s", inner.text);
    if (added > 0 && (size_t)added >= sizeof error->text - length)
        error_mark_cut(error);
    return false;
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("weir: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(70);
}

void *xmalloc(size_t size)
{
    void *memory = malloc(size != 0 ? size : 1);
    if (memory == NULL)
        die("out of memory (%zu bytes wanted)", size);
    return memory;
}

void *xcalloc(size_t count, size_t size)
{
    void *memory = calloc(count != 0 ? count : 1, size != 0 ? size : 1);
    if (memory == NULL)
        die("out of memory (%zu times %zu bytes wanted)", count, size);
    return memory;
}

void *xrealloc(void *old, size_t size)
{
    void *memory = realloc(old, size != 0 ? size : 1);
    if (memory == NULL)
        die("out of memory (%zu bytes wanted)", size);
    return memory;
}

void *xcalloc_lines(size_t size)
{
    size_t whole = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    void *memory = aligned_alloc(CACHE_LINE, whole);
    if (memory == NULL)
        die("out of memory (%zu bytes wanted)", size);
    return memset(memory, 0, whole);
}

char *xstrdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(xmalloc(size), text, size);
}

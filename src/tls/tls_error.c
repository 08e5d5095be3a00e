/* The newest entry says what went wrong nearest to us. */
#include "tls/tls_error.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

const char *tls_reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    return reason != NULL ? reason : "unknown reason";
}

bool tls_error(struct error *error, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(error, "%s: %s", text, tls_reason());
}

/* OpenSSL's error queue as words. Private to this room. */
#ifndef WEIR_TLS_TLS_ERROR_H
#define WEIR_TLS_TLS_ERROR_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/error.h"

/* The reason of the newest error in the queue, which is emptied; "unknown reason" when it is empty. Lives
 * until the next call of this thread. */
const char *tls_reason(void);
/* "format: reason"; returns false */
bool tls_error(struct error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

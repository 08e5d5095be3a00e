/* Whether freed memory is kept for reuse. Not under AddressSanitizer: it can only see a use after free that
 * reached free(). */
#ifndef WEIR_BASE_POOLING_H
#define WEIR_BASE_POOLING_H

#include "base/sanitizers.h"

#define POOLING (!UNDER_ADDRESS_SANITIZER)

#endif

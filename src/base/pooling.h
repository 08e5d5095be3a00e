/* Whether freed memory is kept for reuse. Not under AddressSanitizer: it can only see a use after free that
 * reached free(). */
#ifndef WEIR_BASE_POOLING_H
#define WEIR_BASE_POOLING_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOLING 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define POOLING 0
#endif
#ifndef POOLING
#define POOLING 1
#endif

#endif

/* TLS that is none: what a test may say about it. */
#ifndef WEIR_TESTS_NO_TLS_H
#define WEIR_TESTS_NO_TLS_H

extern const char *no_tls_alpn; /* what servers choose */

#endif

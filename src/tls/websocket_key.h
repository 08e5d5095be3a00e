/* The accept key of a WebSocket handshake: base64(SHA-1(key + GUID)), RFC 6455 4.2.2. Here because the digest
 * is OpenSSL's. */
#ifndef WEIR_TLS_WEBSOCKET_KEY_H
#define WEIR_TLS_WEBSOCKET_KEY_H

#include <stdbool.h>

#include "base/attributes.h"
#include "base/span.h"

#define WEBSOCKET_ACCEPT_LENGTH 28 /* base64 of 20 bytes */

/* key: base64 of 16 bytes (24 characters, RFC 6455 4.1); false when it is not. */
bool websocket_accept(struct span key, char accept[WEBSOCKET_ACCEPT_LENGTH]) MUST_CHECK;

#endif

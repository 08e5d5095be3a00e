/* One digest per handshake: rare beside requests, so EVP_Digest's own fetch is good enough. */
#include "tls/websocket_key.h"

#include <openssl/evp.h>
#include <string.h>

#define KEY_LENGTH 24
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

static bool is_base64(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
}

bool websocket_accept(struct span key, char accept[WEBSOCKET_ACCEPT_LENGTH])
{
    if (key.length != KEY_LENGTH || key.at[22] != '=' || key.at[23] != '=')
        return false;
    for (size_t i = 0; i < 22; i++)
        if (!is_base64(key.at[i]))
            return false;
    unsigned char input[KEY_LENGTH + sizeof guid - 1], digest[EVP_MAX_MD_SIZE],
        text[WEBSOCKET_ACCEPT_LENGTH + 1];
    unsigned int length = 0;
    memcpy(input, key.at, KEY_LENGTH);
    memcpy(input + KEY_LENGTH, guid, sizeof guid - 1);
    if (EVP_Digest(input, sizeof input, digest, &length, EVP_sha1(), NULL) != 1)
        return false;
    EVP_EncodeBlock(text, digest, (int)length);
    memcpy(accept, text, WEBSOCKET_ACCEPT_LENGTH);
    return true;
}

/* Which byte stands where in a body says whose it is: each is made of the exchange, the direction and the
 * offset. */
#ifndef ORACLE_IDENTITY_H
#define ORACLE_IDENTITY_H

#include <stddef.h>
#include <stdint.h>

enum flow { FLOW_REQUEST, FLOW_ANSWER, FLOW_TUNNEL_UP, FLOW_TUNNEL_DOWN };
/* What a body looks like to a parser that has lost its place. */
enum flavour {
    FLAVOUR_NOISE,   /* nothing that could be parsed */
    FLAVOUR_MESSAGE, /* requests or answers, one behind another */
    FLAVOUR_COUNT
};
struct identity {
    uint64_t id;
    uint8_t flow;
    uint8_t flavour;
    uint8_t attempt; /* of answers */
};

/* The bytes from that offset on. */
void identity_fill(const struct identity *whose, uint64_t offset, char *to, size_t length);
/* How many of the bytes are those that stand there; less than length: the rest is somebody else's. */
size_t identity_match(const struct identity *whose, uint64_t offset, const char *bytes, size_t length);

#endif

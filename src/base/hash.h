/* Hashes: SipHash-1-3 keyed with random bytes of this process for keys that clients choose, and a fixed
 * 64-bit mixer. */
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include <stdint.h>

#include "base/span.h"

/* Keyed, differs from process to process (key from getrandom at first use by hash_init()). */
void hash_init(void);
uint64_t hash_keyed(struct span bytes);
/* chains several parts: seed is the hash before */
uint64_t hash_keyed_seed(struct span bytes, uint64_t seed);
/* SipHash-1-3 with a given 128-bit key (Aumasson, Bernstein: SipHash, 2012). */
uint64_t hash_sip13(const uint64_t key[2], struct span bytes);
/* Fixed mixer (murmur3's finalizer), the same everywhere. */
static inline uint64_t hash_mix(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ULL;
    return value ^ (value >> 33);
}

#endif

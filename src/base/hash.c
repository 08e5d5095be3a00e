/* SipHash-1-3 (Aumasson, Bernstein: SipHash: a fast short-input PRF, 2012) and the key of this process. */
#include "base/hash.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>

#include "base/rng.h"

static uint64_t hash_key[2];
static pthread_once_t hash_once = PTHREAD_ONCE_INIT;

static inline uint64_t hash_rotate(uint64_t value, unsigned by)
{
    return (value << by) | (value >> (64u - by));
}

static inline uint64_t hash_load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

static inline void hash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = hash_rotate(v[1], 13) ^ v[0];
    v[0] = hash_rotate(v[0], 32);
    v[2] += v[3];
    v[3] = hash_rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = hash_rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = hash_rotate(v[1], 17) ^ v[2];
    v[2] = hash_rotate(v[2], 32);
}

static void hash_make_key(void)
{
    random_secret(hash_key, sizeof hash_key);
}

uint64_t hash_sip13(const uint64_t key[2], struct span bytes)
{
    uint64_t v[4] = {0x736f6d6570736575ULL ^ key[0], 0x646f72616e646f6dULL ^ key[1],
                     0x6c7967656e657261ULL ^ key[0], 0x7465646279746573ULL ^ key[1]};
    size_t whole = bytes.length / 8 * 8;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = hash_load(bytes.at + i);
        v[3] ^= word;
        hash_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)bytes.length << 56;
    for (size_t i = whole; i < bytes.length; i++)
        last |= (uint64_t)(unsigned char)bytes.at[i] << (8 * (i - whole));
    v[3] ^= last;
    hash_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    hash_round(v);
    hash_round(v);
    hash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void hash_init(void)
{
    pthread_once(&hash_once, hash_make_key);
}

uint64_t hash_keyed(struct span bytes)
{
    return hash_sip13(hash_key, bytes);
}

uint64_t hash_keyed_seed(struct span bytes, uint64_t seed)
{
    const uint64_t key[2] = {hash_key[0] ^ seed, hash_key[1]};
    return hash_sip13(key, bytes);
}

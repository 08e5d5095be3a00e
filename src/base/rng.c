/* xoshiro256++ (Blackman, Vigna: Scrambled Linear Pseudorandom Number Generators, 2019) and the kernel's
 * secrets. */
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "base/attributes.h"
#include "base/error.h"

static uint64_t rng_rotate(uint64_t value, unsigned by)
{
    return (value << by) | (value >> (64u - by));
}

void random_secret(void *to, size_t size)
{
    char *at = to;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            die("the kernel has no random bytes");
        at += got;
        size -= (size_t)got;
    }
}

/* The kernel is asked for some thousand bytes at once: one call in 256 requests with an id. */
uint64_t random_bits(void)
{
    static _Thread_local uint64_t bits[512];
    static _Thread_local unsigned left;
    if (left == 0) {
        random_secret(bits, sizeof bits);
        left = COUNT_OF(bits);
    }
    return bits[--left];
}

void rng_seed(struct rng *rng)
{
    do
        random_secret(rng->state, sizeof rng->state);
    while ((rng->state[0] | rng->state[1] | rng->state[2] | rng->state[3]) == 0);
}

void rng_seed_with(struct rng *rng, uint64_t seed)
{
    /* splitmix64, as the generator's authors advise, so that near seeds give unlike states. */
    for (unsigned i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ULL;
        uint64_t mixed = seed;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
        rng->state[i] = mixed ^ (mixed >> 31);
    }
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *state = rng->state;
    uint64_t result = rng_rotate(state[0] + state[3], 23) + state[0];
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rng_rotate(state[3], 45);
    return result;
}

uint32_t rng_below(struct rng *rng, uint32_t bound)
{
    assert(bound > 0);
    /* Multiply and shift (Lemire 2019); the bias left is under 2^-32 times the bound. */
    return (uint32_t)(((rng_next(rng) >> 32) * bound) >> 32);
}

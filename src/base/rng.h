/* Random numbers: xoshiro256++ (Blackman, Vigna 2019) per owner, seeded by getrandom. Not for secrets. */
#ifndef WEIR_BASE_RNG_H
#define WEIR_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

void rng_seed(struct rng *rng);                     /* from the kernel */
void rng_seed_with(struct rng *rng, uint64_t seed); /* repeatable, for tests */
uint64_t rng_next(struct rng *rng);
/* 0 .. bound-1, bound > 0, no modulo bias worth naming (Lemire) */
uint32_t rng_below(struct rng *rng, uint32_t bound);
/* Bytes nobody can guess, from the kernel; ends the process when the kernel has none. */
void random_secret(void *to, size_t size);
/* Of such bytes, for what others get to see: numbers of a struct rng tell its state, and all that come. */
uint64_t random_bits(void);

#endif

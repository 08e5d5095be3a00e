/* Random numbers that a seed and a number repeat. */
#ifndef ORACLE_DRAW_H
#define ORACLE_DRAW_H

#include <stdbool.h>
#include <stdint.h>

struct draw {
    uint64_t state;
};

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline uint64_t draw_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}
static inline uint64_t draw_next(struct draw *draw)
{
    uint64_t number = draw_mix(draw->state);
    draw->state += 0x9e3779b97f4a7c15u;
    return number;
}
static inline uint32_t draw_below(struct draw *draw, uint32_t end)
{
    return (uint32_t)(((draw_next(draw) >> 32) * end) >> 32);
}
static inline uint32_t draw_between(struct draw *draw, uint32_t least, uint32_t most)
{
    return least + draw_below(draw, most - least + 1);
}
/* So many of a thousand times. */
static inline bool draw_permille(struct draw *draw, uint32_t share)
{
    return draw_below(draw, 1000) < share;
}

#endif

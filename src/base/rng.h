/* base/rng.h: Philox4x32-10 (Salmon et al., SC 2011), counter-based: a number is a pure function of
 * (key, stream, counter), so nothing depends on the order of calls or on threads. The same formula
 * is cl/common.cl's philox4x32 and tests/ref/philox.py.
 *
 * Layout of one block: counter = {lo32(index), hi32(index), lo32(stream), hi32(stream)},
 * key = {lo32(seed), hi32(seed)}; it yields four uint32.
 */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

void tdm__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4]);

/* A cursor over the blocks of (seed, stream). Plain data; copy freely. */
typedef struct tdm__rng {
    uint64_t seed, stream, index;
    uint32_t block[4];
    int left;
} tdm__rng;

tdm__rng tdm__rng_make(uint64_t seed, uint64_t stream);
uint32_t tdm__rng_u32(tdm__rng *r);
/* (u32 >> 8) * 2^-24: in [0, 1), exactly representable in float. */
double tdm__rng_uniform(tdm__rng *r);
/* Unbiased in [0, n), n >= 1: v mod n of a draw v, redrawn while v < 2^w mod n. One u32 (w = 32) for
 * n < 2^32, else two (w = 64, high word first). */
uint64_t tdm__rng_below(tdm__rng *r, uint64_t n);
/* Box-Muller from two uniforms: sqrt(-2 ln(1-u1)) cos(2 pi u2), one value per pair. */
double tdm__rng_normal(tdm__rng *r);
/* Fisher-Yates permutation of 0..n-1: for i = n-1 down to 1, swap i with below(i + 1). */
void tdm__rng_permutation(tdm__rng *r, uint64_t *out, size_t n);
/* A stream number from a name, so that every user of randomness has its own: 64-bit FNV-1a over the
 * name with its terminator, then a and b as little-endian bytes. */
uint64_t tdm__rng_stream(const char *name, uint64_t a, uint64_t b);

#endif

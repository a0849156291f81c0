/* base/rng.c: Philox4x32-10, Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */
#include "base/rng.h"

#include <math.h>

void tdm__philox(uint64_t seed, uint64_t stream, uint64_t index, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)(index >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

tdm__rng tdm__rng_make(uint64_t seed, uint64_t stream)
{
    return (tdm__rng){.seed = seed, .stream = stream};
}

uint32_t tdm__rng_u32(tdm__rng *r)
{
    if (r->left == 0) {
        tdm__philox(r->seed, r->stream, r->index++, r->block);
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

double tdm__rng_uniform(tdm__rng *r)
{
    return (tdm__rng_u32(r) >> 8) * 0x1p-24;
}

uint64_t tdm__rng_below(tdm__rng *r, uint64_t n)
{
    if (n <= UINT32_MAX) {
        uint32_t m = (uint32_t)n, reject = (uint32_t)-m % m; /* 2^32 mod n */
        uint32_t v;
        do v = tdm__rng_u32(r);
        while (v < reject);
        return v % m;
    }
    uint64_t reject = -n % n, v;
    do {
        v = (uint64_t)tdm__rng_u32(r) << 32;
        v |= tdm__rng_u32(r);
    } while (v < reject);
    return v % n;
}

double tdm__rng_normal(tdm__rng *r)
{
    double u1 = tdm__rng_uniform(r), u2 = tdm__rng_uniform(r);
    return sqrt(-2.0 * log(1.0 - u1)) * cos(2.0 * 3.14159265358979323846 * u2);
}

void tdm__rng_permutation(tdm__rng *r, uint64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = i;
    for (size_t i = n; i > 1; i--) {
        uint64_t j = tdm__rng_below(r, i), keep = out[i - 1];
        out[i - 1] = out[j];
        out[j] = keep;
    }
}

static uint64_t fnv_byte(uint64_t h, unsigned char byte)
{
    return (h ^ byte) * 0x100000001B3u;
}

uint64_t tdm__rng_stream(const char *name, uint64_t a, uint64_t b)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (const char *p = name; *p; p++) h = fnv_byte(h, (unsigned char)*p);
    h = fnv_byte(h, 0);
    for (int i = 0; i < 64; i += 8) h = fnv_byte(h, (unsigned char)(a >> i));
    for (int i = 0; i < 64; i += 8) h = fnv_byte(h, (unsigned char)(b >> i));
    return h;
}

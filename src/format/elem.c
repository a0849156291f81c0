/* Element types and their conversion. Each source type has one loop per destination; integers go
 * through int64_t (uint64_t for u64), floats through double, so that every range check is exact and
 * a 64-bit integer rounds to float once. */
#include "format/elem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *tdm__elem_name(tdm__elem elem)
{
    static const char *const ints[2][4] = {{"u8", "u16", "u32", "u64"},
                                           {"i8", "i16", "i32", "i64"}};
    unsigned log2 = elem.size == 1 ? 0 : elem.size == 2 ? 1 : elem.size == 4 ? 2 : 3;
    switch (elem.kind) {
    case TDM__ELEM_UINT:
        return ints[0][log2];
    case TDM__ELEM_INT:
        return ints[1][log2];
    case TDM__ELEM_FLOAT:
        return elem.size == 2 ? "f16" : elem.size == 4 ? "f32" : "f64";
    case TDM__ELEM_BF16:
        return "bf16";
    case TDM__ELEM_BOOL:
        return "bool";
    }
    return "?";
}

size_t tdm__to_size(tdm__to to, tdm__elem elem)
{
    switch (to) {
    case TDM__TO_NATIVE:
        return elem.size;
    case TDM__TO_F32:
        return 4;
    case TDM__TO_F64:
        return 8;
    case TDM__TO_U8:
        return 1;
    case TDM__TO_I32:
        return 4;
    }
    return 0;
}

bool tdm__elem_valid(tdm__elem elem)
{
    unsigned s = elem.size;
    switch (elem.kind) {
    case TDM__ELEM_UINT:
    case TDM__ELEM_INT:
    case TDM__ELEM_BOOL:
        return s == 1 || s == 2 || s == 4 || s == 8;
    case TDM__ELEM_FLOAT:
        return s == 2 || s == 4 || s == 8;
    case TDM__ELEM_BF16:
        return s == 2;
    }
    return false;
}

tdm__elem tdm__elem_host(tdm__elem_kind kind, unsigned size)
{
    return (tdm__elem){kind, size, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__};
}

static bool needs_swap(tdm__elem elem)
{
    return elem.size > 1 && elem.big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static inline uint8_t load_1(const uint8_t *p, bool swap)
{
    (void)swap;
    return *p;
}

static inline uint16_t load_2(const uint8_t *p, bool swap)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return swap ? __builtin_bswap16(v) : v;
}

static inline uint32_t load_4(const uint8_t *p, bool swap)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return swap ? __builtin_bswap32(v) : v;
}

static inline uint64_t load_8(const uint8_t *p, bool swap)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return swap ? __builtin_bswap64(v) : v;
}

static inline float bits_to_float(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, 4);
    return v;
}

static inline double bits_to_double(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, 8);
    return v;
}

float tdm__half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = (half >> 10) & 31u;
    uint32_t fraction = half & 0x3ffu;
    if (exponent == 31) return bits_to_float(sign | 0x7f800000u | fraction << 13);
    if (exponent) return bits_to_float(sign | (exponent + 112) << 23 | fraction << 13);
    float v = (float)fraction * 0x1p-24f; /* zero and subnormals: fraction * 2^-24 */
    return sign ? -v : v;
}

#define SIGNED_FITS(v, lo, hi) ((v) >= (lo) && (v) <= (hi))
#define UNSIGNED_FITS(v, lo, hi) ((v) <= (hi))
#define FLOAT_FITS(v, lo, hi) ((v) >= (lo) && (v) <= (hi) && (v) == trunc(v)) /* false for NaN */

/* LOAD(p): one element as WIDE. */
#define CONVERTER(NAME, WIDE, SIZE, LOAD, FITS)                                                    \
    static size_t NAME(const uint8_t *p, size_t n, bool swap, tdm__to to, void *out)               \
    {                                                                                              \
        float *f32 = out;                                                                          \
        double *f64 = out;                                                                         \
        uint8_t *u8 = out;                                                                         \
        int32_t *i32 = out;                                                                        \
        for (size_t i = 0; i < n; i++, p += (SIZE)) {                                              \
            WIDE v = (WIDE)(LOAD);                                                                 \
            switch (to) {                                                                          \
            case TDM__TO_F32:                                                                      \
                f32[i] = (float)v;                                                                 \
                break;                                                                             \
            case TDM__TO_F64:                                                                      \
                f64[i] = (double)v;                                                                \
                break;                                                                             \
            case TDM__TO_U8:                                                                       \
                if (!FITS(v, 0, UINT8_MAX)) return i;                                              \
                u8[i] = (uint8_t)v;                                                                \
                break;                                                                             \
            case TDM__TO_I32:                                                                      \
                if (!FITS(v, INT32_MIN, INT32_MAX)) return i;                                      \
                i32[i] = (int32_t)v;                                                               \
                break;                                                                             \
            case TDM__TO_NATIVE:                                                                   \
                break; /* done by copy_native */                                                   \
            }                                                                                      \
        }                                                                                          \
        return n;                                                                                  \
    }

CONVERTER(from_u8, int64_t, 1, load_1(p, swap), SIGNED_FITS)
CONVERTER(from_u16, int64_t, 2, load_2(p, swap), SIGNED_FITS)
CONVERTER(from_u32, int64_t, 4, load_4(p, swap), SIGNED_FITS)
CONVERTER(from_u64, uint64_t, 8, load_8(p, swap), UNSIGNED_FITS)
CONVERTER(from_i8, int64_t, 1, (int8_t)load_1(p, swap), SIGNED_FITS)
CONVERTER(from_i16, int64_t, 2, (int16_t)load_2(p, swap), SIGNED_FITS)
CONVERTER(from_i32, int64_t, 4, (int32_t)load_4(p, swap), SIGNED_FITS)
CONVERTER(from_i64, int64_t, 8, load_8(p, swap), SIGNED_FITS)
CONVERTER(from_f16, double, 2, tdm__half_to_float(load_2(p, swap)), FLOAT_FITS)
CONVERTER(from_f32, double, 4, bits_to_float(load_4(p, swap)), FLOAT_FITS)
CONVERTER(from_f64, double, 8, bits_to_double(load_8(p, swap)), FLOAT_FITS)
CONVERTER(from_bf16, double, 2, bits_to_float((uint32_t)load_2(p, swap) << 16), FLOAT_FITS)
CONVERTER(from_bool_1, int64_t, 1, load_1(p, swap) != 0, SIGNED_FITS)
CONVERTER(from_bool_2, int64_t, 2, load_2(p, swap) != 0, SIGNED_FITS)
CONVERTER(from_bool_4, int64_t, 4, load_4(p, swap) != 0, SIGNED_FITS)
CONVERTER(from_bool_8, int64_t, 8, load_8(p, swap) != 0, SIGNED_FITS)

typedef size_t converter(const uint8_t *p, size_t n, bool swap, tdm__to to, void *out);

static converter *find_converter(tdm__elem elem)
{
    static converter *const table[][4] = {
        [TDM__ELEM_UINT] = {from_u8, from_u16, from_u32, from_u64},
        [TDM__ELEM_INT] = {from_i8, from_i16, from_i32, from_i64},
        [TDM__ELEM_FLOAT] = {NULL, from_f16, from_f32, from_f64},
        [TDM__ELEM_BF16] = {NULL, from_bf16, NULL, NULL},
        [TDM__ELEM_BOOL] = {from_bool_1, from_bool_2, from_bool_4, from_bool_8},
    };
    return table[elem.kind][elem.size == 1 ? 0 : elem.size == 2 ? 1 : elem.size == 4 ? 2 : 3];
}

static void copy_native(const uint8_t *p, size_t n, unsigned size, bool swap, uint8_t *out)
{
    if (!swap) {
        if (out != p && n) memcpy(out, p, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++, p += size, out += size) {
        uint8_t reversed[8];
        for (unsigned b = 0; b < size; b++) reversed[b] = p[size - 1 - b];
        memcpy(out, reversed, size);
    }
}

size_t tdm__elem_convert(tdm__elem elem, const void *from, size_t n, tdm__to to, void *out)
{
    const uint8_t *p = from;
    bool swap = needs_swap(elem);
    bool same = to == TDM__TO_NATIVE ||
                (to == TDM__TO_U8 && elem.kind == TDM__ELEM_UINT && elem.size == 1) ||
                (to == TDM__TO_I32 && elem.kind == TDM__ELEM_INT && elem.size == 4) ||
                (to == TDM__TO_F32 && elem.kind == TDM__ELEM_FLOAT && elem.size == 4) ||
                (to == TDM__TO_F64 && elem.kind == TDM__ELEM_FLOAT && elem.size == 8);
    if (same) {
        copy_native(p, n, elem.size, swap, out);
        return n;
    }
    if (to == TDM__TO_F32 && elem.kind == TDM__ELEM_UINT && elem.size == 1) {
        float *f32 = out; /* images: a loop that vectorises */
        for (size_t i = 0; i < n; i++) f32[i] = (float)p[i];
        return n;
    }
    return find_converter(elem)(p, n, swap, to, out);
}

double tdm__elem_value(tdm__elem elem, const void *from)
{
    double v = 0;
    tdm__elem_convert(elem, from, 1, TDM__TO_F64, &v);
    return v;
}

tdm_status tdm__elem_bad_value(const char *path, const char *array, uint64_t row, tdm__elem elem,
                               const void *value, tdm__to to)
{
    return tdm__fail(TDM_ERR_DATA, "%s: %s: row %llu: value %.9g must be a whole number in %s",
                     path, array, (unsigned long long)row, tdm__elem_value(elem, value),
                     to == TDM__TO_U8 ? "0..255" : "-2147483648..2147483647");
}

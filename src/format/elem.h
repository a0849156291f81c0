/* format/elem.h: element types of arrays in files and their conversion. One description serves
 * HDF5, safetensors and IDX, so that there is one converter. */
#ifndef FORMAT_ELEM_H
#define FORMAT_ELEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef enum tdm__elem_kind {
    TDM__ELEM_UINT,  /* 1, 2, 4, 8 bytes */
    TDM__ELEM_INT,   /* 1, 2, 4, 8 bytes, two's complement */
    TDM__ELEM_FLOAT, /* IEEE 754: 2, 4, 8 bytes */
    TDM__ELEM_BF16,  /* the upper half of a float32, 2 bytes */
    TDM__ELEM_BOOL   /* 1, 2, 4, 8 bytes: 0 is false, anything else true */
} tdm__elem_kind;

typedef struct tdm__elem {
    tdm__elem_kind kind;
    unsigned size;   /* bytes */
    bool big_endian; /* meaningless for size 1 */
} tdm__elem;

/* What a read delivers. Values are in the host's byte order. */
typedef enum tdm__to {
    TDM__TO_NATIVE, /* the file's type, byte-swapped where needed */
    TDM__TO_F32,    /* nearest float */
    TDM__TO_F64,
    TDM__TO_U8, /* whole numbers 0..255 only; bool gives 0 or 1 */
    TDM__TO_I32 /* whole numbers of 32 bits only */
} tdm__to;

/* "u8", "i64", "f16", "bf16", "bool": static storage. */
const char *tdm__elem_name(tdm__elem elem);
/* Bytes per element of the result. */
size_t tdm__to_size(tdm__to to, tdm__elem elem);
/* True when the size is one of those listed for the kind. */
bool tdm__elem_valid(tdm__elem elem);
/* The type as the host stores it: "u8" "i32" "f32" ... shorthands. */
tdm__elem tdm__elem_host(tdm__elem_kind kind, unsigned size);

/* Converts n elements. `from` may be unaligned; `out` is aligned for the result and does not
 * overlap `from`, unless both are the same pointer and the result has the same size per element.
 * Returns n, or the index of the first value that the destination cannot hold (TO_U8, TO_I32: NaN,
 * a fraction, out of range); what follows it is not written. Thread-safe. */
size_t tdm__elem_convert(tdm__elem elem, const void *from, size_t n, tdm__to to, void *out);
/* One element as a double (64-bit integers round). */
double tdm__elem_value(tdm__elem elem, const void *from);
/* Fails with TDM_ERR_DATA about an element of `row` that `to` cannot hold. */
tdm_status tdm__elem_bad_value(const char *path, const char *array, uint64_t row, tdm__elem elem,
                               const void *value, tdm__to to);

float tdm__half_to_float(uint16_t half);

#endif

/* data/decode.h: the arrays that a loader delivers, and how samples of them get into memory.
 *
 * A decoder is made once and then read-only, but for one cursor per thread and array. An array is
 * `serial` when only the HDF5 library can read it: then one thread should do so, many samples a
 * call. All others decode in parallel. With in_memory everything is read at creation and decoding
 * copies.
 */
#ifndef DATA_DECODE_H
#define DATA_DECODE_H

#include <tandem/loader.h>

#include "data/dataset.h"

typedef struct tdm__decode_array {
    size_t index; /* in the data set */
    const tdm_array_info *info;
    tdm_dtype dtype;
    tdm__to to;
    size_t sample_bytes;
    bool serial;
    tdm_loader_array want; /* the check; its name is the data set's */
    unsigned char *memory; /* in_memory: every sample of the split */
} tdm__decode_array;

typedef struct tdm__decoder {
    const tdm_split *split;
    tdm__decode_array *arrays;
    size_t n_arrays;
    tdm__cursor **cursors; /* [threads][n_arrays]; NULL for arrays that need none */
    unsigned threads;
} tdm__decoder;

/* What the spec asks for; reads everything when in_memory. */
tdm_status tdm__decoder_init(const tdm_loader_spec *spec, tdm__decoder *out);
/* Cursors for threads 0..threads-1. Once, before the first tdm__decode. */
tdm_status tdm__decoder_threads(tdm__decoder *d, unsigned threads);
void tdm__decoder_free(tdm__decoder *d); /* safe on a zeroed struct */

/* Puts n samples of the split (ascending indices) one after another into out. Stops at the first
 * that fails, or, with TDM_ERR_INTERRUPTED, once `cancelled` says so. */
typedef bool (*tdm__decode_cancelled)(void *user);
tdm_status tdm__decode(const tdm__decoder *d, size_t array, unsigned thread,
                       const uint64_t *indices, uint64_t n, void *out,
                       tdm__decode_cancelled cancelled, void *user);

#endif

/* data/decode.h: the arrays that a loader delivers, and how samples of them get into memory.
 *
 * A decoder is made once and then read-only, but for one cursor per thread and array. An array is
 * `serial` when only the HDF5 library can read it: then one thread should do so, many samples a
 * call. All others decode in parallel. With in_memory everything is read at creation and decoding
 * copies. Transforms act on the way from a sample as stored to where it is put. What is made of an
 * array is made where that one is decoded, from the sample just put there: it is read once, and
 * arrays that are made take no decoding of their own.
 */
#ifndef DATA_DECODE_H
#define DATA_DECODE_H

#include <tandem/loader.h>

#include "data/dataset.h"
#include "data/make.h"
#include "data/transform.h"

typedef struct tdm__decode_array {
    size_t index;               /* in the data set */
    const tdm_array_info *info; /* as stored */
    tdm_array_info delivered;   /* after the transforms */
    tdm__mapped mapped;         /* what they do */
    tdm_dtype dtype;
    tdm__to to;
    size_t stored_bytes, sample_bytes; /* of a sample as stored, as delivered; both of type dtype */
    bool serial;
    tdm_loader_array want; /* the check; its name is the data set's, unless made */
    unsigned char *memory; /* in_memory: every sample of the split */
    bool made;   /* instead of read: no index, to, stored_bytes, mapped; info is &delivered */
    size_t from; /* made: of which of the decoder's arrays */
    tdm__maker maker;
    char *name, *stream; /* made: its own name, the maker's */
} tdm__decode_array;

/* Memory that one thread works in. */
typedef struct tdm__decode_space {
    unsigned char *stored; /* samples before their transforms: one, or a block of a serial array */
    unsigned char *work;   /* as tdm__transform_room */
} tdm__decode_space;

typedef struct tdm__decoder {
    const tdm_split *split;
    tdm__decode_array *arrays;
    size_t n_arrays, n_made;
    tdm__cursor **cursors; /* [threads][n_arrays]; NULL for arrays that need none */
    unsigned threads;
    tdm_transforms transforms;
    bool augment;
    uint32_t frame[2];         /* height and width of the pictures as stored */
    uint64_t seed, stream;     /* of what is drawn */
    tdm__decode_space *spaces; /* [threads] */
} tdm__decoder;

/* Samples of the split, by ascending index, of an epoch. */
typedef struct tdm__decode_job {
    uint64_t epoch, n;
    const uint64_t *indices;
    void *out; /* where they go, one after another */
    /* Per array of the decoder, where samples of it go that are made of these, and whether they are
     * wanted. NULL: none. */
    unsigned char *const *made;
    /* Says whether to stop; NULL: never. */
    bool (*cancelled)(void *user);
    void *user;
} tdm__decode_job;

/* What the spec asks for; reads everything when in_memory. */
tdm_status tdm__decoder_init(const tdm_loader_spec *spec, tdm__decoder *out);
/* Cursors and memory for threads 0..threads-1. Once, before the first tdm__decode. */
tdm_status tdm__decoder_threads(tdm__decoder *d, unsigned threads);
void tdm__decoder_free(tdm__decoder *d); /* safe on a zeroed struct */

/* Carries a job out for one array. Stops at the first sample that fails, or, with
 * TDM_ERR_INTERRUPTED, once `cancelled` says so. */
tdm_status tdm__decode(const tdm__decoder *d, size_t array, unsigned thread,
                       const tdm__decode_job *job);

#endif

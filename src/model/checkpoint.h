/* model/checkpoint.h: parameters to and from safetensors, under PyTorch's names, shapes and
 * layouts. */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include "format/safetensors.h"
#include "graph/flat.h"

/* A float tensor saved beside the parameters (optimiser state, accumulators). Not owned. */
typedef struct tdm__extra_tensor {
    const char *name;
    uint64_t count; /* saved with rank 1 */
    const float *data;
} tdm__extra_tensor;

typedef struct tdm__metadata {
    const char *key, *value;
} tdm__metadata;

/* Writes every segment, then the extras, atomically: an old file survives any failure. */
tdm_status tdm__checkpoint_write(const char *path, tdm__flat *flat, const tdm__extra_tensor *extra,
                                 size_t n_extra, const tdm__metadata *metadata, size_t n_metadata);

/* Copies tensors into the flat buffers; names and shapes must agree both ways (model/transfer.h
 * takes what fits). Tensors whose name starts with a prefix in `ignore` (NULL-terminated list, may be
 * NULL) are not looked at. Nothing is changed when it fails: all names and shapes are compared
 * first, and the differences are listed. */
tdm_status tdm__checkpoint_load(tdm__flat *flat, const tdm__st *st, const char *const *ignore);

#endif

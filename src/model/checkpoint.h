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

typedef enum tdm__load_mode {
    TDM__LOAD_STRICT,  /* names and shapes must agree both ways */
    TDM__LOAD_TRANSFER /* takes what fits by name; a shared name with another shape is an error, and
                          so is a checkpoint of which nothing fits */
} tdm__load_mode;

typedef struct tdm__load_report {
    size_t loaded, fresh, unused; /* segments loaded, segments not in the file, tensors not used */
} tdm__load_report;

/* Copies tensors into the flat buffers. Tensors whose name starts with a prefix in `ignore`
 * (NULL-terminated list, may be NULL) are not looked at. Nothing is changed when it fails: all
 * names and shapes are compared first, and the differences are listed. */
tdm_status tdm__checkpoint_load(tdm__flat *flat, const tdm__st *st, tdm__load_mode mode,
                                const char *const *ignore, tdm__load_report *report);

#endif

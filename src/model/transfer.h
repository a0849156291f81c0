/* model/transfer.h: which tensors of a checkpoint become which parameters of a model.
 *
 * Every tensor keeps its name unless a rule of load.rename changes it; load.skip leaves tensors of
 * the checkpoint out, load.reinit parameters of the model. A parameter that gets a tensor of another
 * shape is an error with the full list, unless load.reshape allows it (as many elements, in the same
 * order) or load.mismatch is `skip`.
 */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include "format/safetensors.h"
#include "graph/flat.h"

#include <tandem/config.h>

extern const tdm_opt_table tdm__load_options;

/* What became of a parameter. */
typedef enum tdm__origin {
    TDM__ORIGIN_NEW,      /* the checkpoint has no such tensor */
    TDM__ORIGIN_LOADED,   /* under its own name */
    TDM__ORIGIN_RENAMED,
    TDM__ORIGIN_RESHAPED,
    TDM__ORIGIN_REINIT,   /* load.reinit */
    TDM__ORIGIN_MISMATCH, /* another shape, load.mismatch: skip */
    TDM__ORIGINS
} tdm__origin;
const char *tdm__origin_name(tdm__origin origin);

typedef struct tdm__transfer {
    tdm__origin *origins; /* per segment */
    size_t *sources;      /* per segment: tensor of the checkpoint, SIZE_MAX: none */
    size_t n;             /* segments */
    size_t loaded, fresh; /* segments with and without a tensor */
    size_t skipped, unused; /* tensors left out by load.skip; tensors that nothing asked for */
} tdm__transfer;

/* Finds out what goes where by load.*; changes nothing. TDM_ERR_CONFIG: rules and patterns that
 * match nothing (with a suggestion), two tensors for one parameter, shapes that differ (all listed),
 * or nothing to load. ignore: as for tdm__checkpoint_load. */
tdm_status tdm__transfer_plan(const tdm_config *config, tdm__flat *flat, const tdm__st *st,
                              const char *const *ignore, tdm__transfer *out);
tdm_status tdm__transfer_apply(tdm__flat *flat, const tdm__st *st, const tdm__transfer *transfer);
void tdm__transfer_free(tdm__transfer *transfer);
/* A row for each layer: where its tensors come from, and whether it stands still. `transfer` may be
 * NULL: then only the latter. */
tdm_status tdm__transfer_table(tdm__flat *flat, const tdm__st *st, const tdm__transfer *transfer,
                               tdm__str *out);

/* Fails because a pattern under `key` matches none of the names: with the nearest name, or leading
 * part of one, as a hint. */
tdm_status tdm__pattern_unused(const tdm_config *config, const char *key, const char *pattern,
                               const char *const *names, size_t n);

#endif

/* model/transfer.h: which tensors of a checkpoint become which parameters of a model.
 *
 * Every tensor keeps its name unless a rule of load.rename changes it; load.skip leaves tensors of
 * the checkpoint out, load.reinit parameters of the model. A parameter that gets a tensor of
 * another shape is an error with the full list, unless load.widen allows it (other outputs: rows by
 * the names of the classes, or in order), load.channels (other input channels of a convolution),
 * load.reshape (as many elements, in the same order) or load.mismatch is `skip`. Which layers there
 * are the model says: one that was put in is new, one that was taken out is not used.
 */
#ifndef MODEL_TRANSFER_H
#define MODEL_TRANSFER_H

#include "format/safetensors.h"
#include "graph/flat.h"
#include "model/widen.h"

#include <tandem/config.h>

extern const tdm_opt_table tdm__load_options;

/* What became of a parameter. */
typedef enum tdm__origin {
    TDM__ORIGIN_NEW,    /* the checkpoint has no such tensor */
    TDM__ORIGIN_LOADED, /* under its own name */
    TDM__ORIGIN_RENAMED,
    TDM__ORIGIN_RESHAPED,
    TDM__ORIGIN_WIDENED,  /* some rows are the tensor's, the others new or left out: load.widen */
    TDM__ORIGIN_CHANNELS, /* another number of input channels: load.channels */
    TDM__ORIGIN_REINIT,   /* load.reinit */
    TDM__ORIGIN_MISMATCH, /* another shape, load.mismatch: skip */
    TDM__ORIGINS
} tdm__origin;
const char *tdm__origin_name(tdm__origin origin);

typedef struct tdm__transfer {
    tdm__origin *origins; /* per segment */
    size_t *sources;      /* per segment: tensor of the checkpoint, SIZE_MAX: none */
    tdm__row_edit *rows;  /* per segment: of those widened */
    tdm__channel_rule channels;
    bool statistics;        /* new rows are drawn from the old ones' */
    size_t n;               /* segments */
    size_t loaded, fresh;   /* segments with and without a tensor */
    size_t skipped, unused; /* tensors left out by load.skip; tensors that nothing asked for */
} tdm__transfer;

/* What is known of the model and the checkpoint beyond shapes. */
typedef struct tdm__transfer_spec {
    const tdm_config *config;
    const tdm__st *st;
    const char *const *ignore; /* as for tdm__checkpoint_load */
    const bool *fresh;         /* per segment: begins anew whatever there is; NULL: none does */
    /* The classes that a head's outputs stand for; n 0 where they are not known. `model`: a name of
     * the model, else of the checkpoint. NULL: nothing is known. */
    tdm__class_list (*classes)(void *user, bool model, const char *name);
    void *user;
} tdm__transfer_spec;

/* Finds out what goes where by load.*; changes nothing. TDM_ERR_CONFIG: rules and patterns that
 * match nothing (with a suggestion), two tensors for one parameter, shapes that differ (all
 * listed), or nothing to load although something should be. */
tdm_status tdm__transfer_plan(const tdm__transfer_spec *spec, tdm__flat *flat, tdm__transfer *out);
/* The flat buffers hold what new parameters and rows begin with. */
tdm_status tdm__transfer_apply(tdm__flat *flat, const tdm__st *st, const tdm__transfer *transfer,
                               uint64_t seed);
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

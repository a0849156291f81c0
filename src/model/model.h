/* model/model.h: the multi-task network of a configuration: input normalisation, trunk, heads. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <tandem/model.h>

#include "model/layer_spec.h"
#include "model/trunk.h"

/* One task as the model sees it. `classes` and `target` come from the data and may be overridden by
 * the configuration. */
typedef struct tdm__model_task {
    const char *name;
    int64_t classes;         /* 0: unknown */
    int64_t target_channels; /* numbers per pixel, or per sample, of the target; 0: unknown */
    bool labels;             /* the loss takes whole-number labels */
} tdm__model_task;

typedef struct tdm__model tdm__model;
typedef struct tdm__sharing tdm__sharing;

/* Reads model.* and tasks.*.{head,layers,feature,prefix,classes} for the given tasks. The
 * configuration must be resolved and outlive the model. input: one sample's array, rank 3 (H,W,C),
 * u8 or f32. */
tdm_status tdm__model_create(const tdm_config *config, const tdm_desc *input,
                             const tdm__model_task *tasks, size_t n_tasks, tdm__model **out);
void tdm__model_destroy(tdm__model **model);
/* Name of the array that is the network's input. */
const char *tdm__model_input_name(const tdm__model *model);
tdm__init_scheme tdm__model_scheme(const tdm__model *model);
int64_t tdm__model_classes(const tdm__model *model, size_t task);

/* Builds trunk and the heads with enabled[t] (NULL: all) over a batch `input` (N,H,W,C), u8 or f32;
 * predictions[t] is TDM_NO_VALUE for the others. Failures are sticky in net->graph. */
void tdm__model_build(const tdm__model *model, tdm__net *net, tdm_value input, const bool *enabled,
                      tdm_value *predictions);

/* How the tasks share the network (model/sharing.h). */
const tdm__sharing *tdm__model_sharing(const tdm__model *model);
/* The architecture's own term of the total, of a net that was just built with all tasks.
 * TDM_NO_VALUE: there is none. */
tdm_value tdm__model_penalty(const tdm__model *model, tdm__net *net);

/* Its two halves where there is one trunk (tdm__sharing.one_trunk), below model.prefix. */
void tdm__model_build_trunk(const tdm__model *model, tdm__net *net, tdm_value input,
                            tdm__features *features);
void tdm__model_build_heads(const tdm__model *model, tdm__net *net, const tdm__features *features,
                            const bool *enabled, tdm_value *predictions);
/* Whether a head attaches to this feature. */
bool tdm__model_uses(const tdm__model *model, tdm__feature feature);

/* The layer table: name, operation, output shape, parameters, multiply-adds and bytes of results
 * per sample (before fusing and without reuse); totals. free(*out). */
tdm_status tdm__model_table(const tdm_graph *graph, tdm__flat *flat, int64_t batch, char **out);

#endif

/* model/net.h: the context in which layers are built: a graph, the flat buffers their parameters
 * live in, the mode, what is frozen, and the current scope ("encoder", "heads.class").
 *
 * Building a network twice (training, evaluation, another batch size) declares the same segments:
 * the first build, before the flat buffers are sealed, fixes them; later builds find them by name.
 *
 * Names are those of the equivalent PyTorch module: scope + layer index + "weight"/"bias"/...
 */
#ifndef MODEL_NET_H
#define MODEL_NET_H

#include <tandem/ops.h>

#include "base/str.h"
#include "graph/flat.h"

typedef enum tdm__init_scheme {
    TDM__SCHEME_DEFAULT,       /* PyTorch's: U(+-1/sqrt(fan_in)) for weights and biases */
    TDM__SCHEME_XAVIER_NORMAL, /* the others: bias 0 */
    TDM__SCHEME_XAVIER_UNIFORM,
    TDM__SCHEME_KAIMING_NORMAL, /* fan_in, gain sqrt(2) */
    TDM__SCHEME_KAIMING_UNIFORM,
    TDM__SCHEME_KAIMING_NORMAL_OUT /* fan_out, as torchvision's ResNet */
} tdm__init_scheme;

typedef struct tdm__net_variable {
    tdm_value value;
    size_t segment;
} tdm__net_variable;

/* What a layer with parameters gives, before any activation that follows it. */
typedef struct tdm__net_tap {
    char *name; /* the layer's, "encoder.0" */
    tdm_value value;
} tdm__net_tap;

typedef struct tdm__net {
    tdm_graph *graph;
    tdm__flat *flat;
    bool training;
    tdm__init_scheme scheme;
    const char *const *freeze; /* patterns; see tdm__name_matches */
    size_t n_freeze;
    const char *const *thawed; /* patterns that are learnt although `freeze` names them */
    size_t n_thawed;
    bool *freeze_used; /* n_freeze flags, set when a pattern matched something; may be NULL */
    tdm__str scope;    /* "" or "encoder." */
    tdm_value
        feature; /* set by tdm__model_build: what all heads read; TDM_NO_VALUE: not all the same */
    /* Per task: what it predicts on the way, in training, which its loss counts with this weight;
     * set by tdm__model_build where there is room (n_tasks), NULL: not wanted. */
    tdm_value *intermediate;
    double intermediate_weight;
    /* Per task: the segment by which its head reads the feature, set as above; NULL: not wanted. */
    size_t *head_weights;
    /* Set while a trunk that tasks share is built for one of them: its batch norm and dropout are
     * the task's own and, with rank > 0, W + U_t V_t takes the place of each weight (layers.c). */
    const char *task;
    int64_t rank;
    tdm__net_variable *variables;
    size_t n_variables, variables_capacity;
    bool tapping; /* list what the layers give */
    tdm__net_tap *taps;
    size_t n_taps, taps_capacity;
} tdm__net;

void tdm__net_free(tdm__net *net); /* what it owns; not graph and flat */
/* scope is extended by "name." (not when the name is empty); pop takes what push returned. */
size_t tdm__net_push(tdm__net *net, const char *name);
void tdm__net_pop(tdm__net *net, size_t mark);

/* Shell glob, or a whole leading part of the dotted name: "encoder" matches "encoder.0.weight". */
bool tdm__name_matches(const char *pattern, const char *name);
/* One of `freeze` matches, and none of `thawed`. */
bool tdm__frozen_by(const char *const *freeze, size_t n_freeze, const char *const *thawed,
                    size_t n_thawed, const char *name);
/* Whether the freeze patterns cover scope + name (marks the patterns as used). */
bool tdm__net_frozen(tdm__net *net, const char *name);

/* A variable for scope + spec->name: declared in flat (name, init and frozen state filled in here)
 * or found there; the same value for a name that was asked for before. TDM_NO_VALUE on failure
 * (sticky in the graph). */
tdm_value tdm__net_variable_for(tdm__net *net, const tdm__segment *spec);

/* Lists what layer scope + name gives, if the context lists that; returns the value. */
tdm_value tdm__net_tap_add(tdm__net *net, const char *name, tdm_value value);

/* ---- layers ------------------------------------------------------------------------------------
 */

tdm_value tdm__layer_conv2d(tdm__net *net, const char *name, tdm_value x, int64_t out_channels,
                            const tdm_conv2d_attrs *attrs, bool bias);
tdm_value tdm__layer_conv_transpose2d(tdm__net *net, const char *name, tdm_value x,
                                      int64_t out_channels, const tdm_conv2d_attrs *attrs,
                                      bool bias);
/* x (N,C); flat: the C,H,W that a flatten just folded into x, or NULL. */
tdm_value tdm__layer_dense(tdm__net *net, const char *name, tdm_value x, int64_t out_features,
                           bool bias, const int64_t flat_chw[3]);
/* Training statistics, unless evaluating or frozen (then statistics stand still too). */
tdm_value tdm__layer_batch_norm(tdm__net *net, const char *name, tdm_value x);
/* Identity in evaluation and when its name is frozen. */
tdm_value tdm__layer_dropout(tdm__net *net, const char *name, tdm_value x, float p);

#endif

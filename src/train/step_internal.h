/* train/step_internal.h: what the files of the step's graph share. */
#ifndef TRAIN_STEP_INTERNAL_H
#define TRAIN_STEP_INTERNAL_H

#include "train/step_graph.h"

typedef struct tdm__step_graph {
    tdm__session *s;
    tdm__net net;
    int64_t count;
    const bool *tasks;   /* that take part; NULL: all */
    tdm__meter *meter;   /* NULL while declaring */
    tdm__meter **places; /* NULL: samples are not measured by themselves */
    tdm_value *inputs;   /* per session array */
    bool cached;
    tdm_value features[2]; /* cached: by tdm__feature */
    tdm_value *predictions;
    tdm__loss_value *losses;
    tdm__total total;
    tdm_value *terms;  /* of the total, per task */
    tdm_value penalty; /* added to the total, which is reported without; or TDM_NO_VALUE */
} tdm__step_graph;

/* b is zero-initialised; release it also after a failure. */
tdm_status tdm__step_graph_begin(tdm__step_graph *b, tdm__session *s, int64_t count, bool training);
void tdm__step_graph_free(tdm__step_graph *b);
/* Network, losses and their total, of the tasks that b names. */
tdm_status tdm__step_forward(tdm__step_graph *b);
/* Gradients, stored where the optimiser or the combination reads them; fills plan->has_gradient,
 * which is there. */
tdm_status tdm__step_backward(tdm__step_graph *b, const tdm__step_plan *plan);

#endif

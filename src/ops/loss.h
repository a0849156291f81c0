/* ops/loss.h: what the losses and metrics share: presence of optional inputs, masks, labels, and
 * how rows and elements are split among teams (cl/common.cl). The split is a function of the shape
 * only, so that sums never depend on the device. */
#ifndef OPS_LOSS_H
#define OPS_LOSS_H

#include "ops/common.h"

enum {
    TDM__ROW_MAX = 64,       /* ROW_MAX of cl/loss.cl: more classes take the wide kernels */
    TDM__POINT_BLOCK = 4096, /* elements per team of point-wise losses */
    TDM__PARTIALS = 4        /* floats per team: two two-float sums */
};

static inline bool tdm__present(const tdm__io *io, int input)
{
    return input < io->n_in && io->in[input].dtype != TDM_NONE;
}

/* Range of `teams` teams: one item each in CPU style, a work-group each in GPU style. */
void tdm__range_teams(tdm__build *b, tdm__kernel *k, uint64_t teams);

/* A tensor as rows of `classes` elements: each team has `block` rows. */
typedef struct tdm__row_split {
    uint64_t rows, classes, block, teams;
    bool wide; /* takes the kernels *_wide of cl/loss.cl */
} tdm__row_split;
tdm__row_split tdm__row_split_of(const tdm_desc *x);
/* Arguments (ulong rows, int classes, int block) and the range. */
void tdm__arg_row_split(tdm__build *b, tdm__kernel *k, const tdm__row_split *split);

/* Input `mask` must be absent, or f32 with the shape of input `of`, or that shape with a last axis
 * of 1, or one per sample. *div: consecutive elements that share a mask value, 0 without a mask. */
tdm_status tdm__expect_mask(const tdm__io *io, int mask, int of, int64_t *div);
/* The same for inputs that have been checked. */
int64_t tdm__mask_div(const tdm__io *io, int mask, int of);
/* Reference: does element i count? */
bool tdm__mask_at(const double *mask, int64_t div, int64_t i);

/* Labels must be of `dtype` and of the shape of input `of` without its last axis. */
tdm_status tdm__expect_labels(const tdm__io *io, int labels, int of, tdm_dtype dtype);

/* The accumulator of a metric must be f32[sums,2]: `sums` two-float sums. */
tdm_status tdm__expect_sums(const tdm__io *io, int input, int64_t sums);
/* Labels of a metric: i32, or f32 (rounded), of the shape of input 0 without its last axis, or with
 * it where it is 1. *classes: the last axis, 2 where it is 1. */
tdm_status tdm__expect_metric_rows(const tdm__io *io, int64_t *classes);
/* Reference: the label of row r, or -1 where it does not count. */
int64_t tdm__metric_label(const tdm__ref *ref, int64_t r, int64_t classes, int64_t ignore);
/* Launches of a metric that adds to `n` counters in the workspace: zero them and start `kernel`
 * over the rows of input 0 with the labels of input 1; add the counters to output 0. */
tdm__kernel *tdm__emit_counts(tdm__build *b, const char *kernel, uint64_t n);
void tdm__emit_counts_add(tdm__build *b, uint64_t n);

/* ---- a loss and its gradient --------------------------------------------------------------------
 * Forward: x, target, and class weights or mask or nothing -> the loss, and the total that it was
 * divided by. Gradient: the same inputs, the total and the loss's own gradient -> dx. */

enum {
    TDM__LOSS_X,
    TDM__LOSS_TARGET,
    TDM__LOSS_WEIGHT,
    TDM__LOSS_TOTAL,
    TDM__LOSS_DLOSS,
    TDM__LOSS_GRAD_INPUTS
};

/* The descriptors' part that follows from this. */
#define TDM__LOSS_FORWARD                                                                          \
    .min_in = TDM__LOSS_WEIGHT, .max_in = TDM__LOSS_TOTAL, .n_out = 2,                             \
    .differentiable = 1 << TDM__LOSS_X, .out_gradient = 1
#define TDM__LOSS_BACKWARD                                                                         \
    .min_in = TDM__LOSS_WEIGHT, .max_in = TDM__LOSS_GRAD_INPUTS, .n_out = 1,                       \
    .inplace = {1 + TDM__LOSS_X}

/* Appends the gradient node `op`, with the attributes of the loss. */
tdm_status tdm__loss_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                              const tdm_value *dout, const bool *need, tdm_value *din);
/* Infer of the gradient, of inputs that the forward pass would take. */
tdm_status tdm__loss_infer_grad(const tdm__io *io, tdm_desc *out);
/* Reference: what each element's derivative is multiplied by; 0 where nothing is valid. */
double tdm__loss_grad_scale(const tdm__ref *ref);

/* Bytes of partial[4][teams], which the forward kernel writes into the workspace. */
uint64_t tdm__loss_workspace(uint64_t teams);
/* A launch with its tensors: inputs and partial sums; all inputs and dx. */
tdm__kernel *tdm__emit_loss(tdm__build *b, const char *kernel);
tdm__kernel *tdm__emit_loss_grad(tdm__build *b, const char *kernel);
/* The launch that turns the partial sums into outputs 0 (loss) and 1 (total). */
void tdm__emit_loss_finish(tdm__build *b, uint64_t teams);

#endif

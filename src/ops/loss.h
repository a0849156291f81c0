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

/* Rows per team for rows of `classes` elements: about TDM__SPAN elements, a multiple of 16 rows. */
uint64_t tdm__loss_row_block(uint64_t classes);

/* Range of `teams` teams: one item each in CPU style, a work-group each in GPU style. */
void tdm__range_teams(tdm__build *b, tdm__kernel *k, uint64_t teams);

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
/* Launches around one that adds to `n` counters in the workspace: zero them; add them to output 0.
 */
void tdm__emit_counts_zero(tdm__build *b, uint64_t n);
void tdm__emit_counts_add(tdm__build *b, uint64_t n);

/* Appends the launch that turns partial[4][teams] in the workspace into outputs 0 (loss) and 1. */
void tdm__emit_loss_finish(tdm__build *b, uint64_t teams);

#endif

/* ops/loss.c: see ops/loss.h. */
#include "ops/loss.h"

#include <math.h>

#include <tandem/ops.h>

void tdm__range_teams(tdm__build *b, tdm__kernel *k, uint64_t teams)
{
    tdm__range_1(k, teams, tdm__build_is_cpu(b) ? 1 : tdm__build_traits(b)->work_group);
}

tdm__row_split tdm__row_split_of(const tdm_desc *x)
{
    tdm__row_split s;
    tdm__rows(x, &s.rows, &s.classes);
    /* about TDM__SPAN elements a team, in whole vectors of rows */
    uint64_t block = TDM__SPAN / s.classes / 16 * 16;
    s.block = block < 16 ? 16 : block;
    s.teams = tdm__ceil_div(s.rows, s.block);
    s.wide = s.classes > TDM__ROW_MAX;
    return s;
}

void tdm__arg_row_split(tdm__build *b, tdm__kernel *k, const tdm__row_split *split)
{
    tdm__arg_u64(k, split->rows);
    tdm__arg_i32(k, (int64_t)split->classes);
    tdm__arg_i32(k, (int64_t)split->block);
    tdm__range_teams(b, k, split->teams);
}

int64_t tdm__mask_div(const tdm__io *io, int mask, int of)
{
    if (!tdm__present(io, mask)) return 0;
    int64_t elements = tdm_desc_count(&io->in[of]), values = tdm_desc_count(&io->in[mask]);
    return elements / values;
}

tdm_status tdm__expect_mask(const tdm__io *io, int mask, int of, int64_t *div)
{
    *div = 0;
    if (!tdm__present(io, mask)) return TDM_OK;
    const tdm_desc *m = &io->in[mask], *t = &io->in[of];
    bool fits = m->dtype == TDM_F32 && m->rank == t->rank;
    for (int i = 0; fits && i < t->rank; i++)
        fits = m->dim[i] == t->dim[i] || (i == t->rank - 1 && m->dim[i] == 1);
    fits = fits || (m->dtype == TDM_F32 && m->rank == 1 && t->rank > 0 && m->dim[0] == t->dim[0]);
    if (!fits) {
        char text[96], target[96];
        return tdm__fail(
            TDM_ERR_SHAPE,
            "mask: must be %s, the same with a last axis of 1, or one per sample, got %s",
            tdm_desc_text(t, target, sizeof target), tdm_desc_text(m, text, sizeof text));
    }
    *div = tdm__mask_div(io, mask, of);
    if (*div > INT32_MAX)
        return tdm__fail(TDM_ERR_SHAPE, "mask: more than 2147483647 elements a value");
    return TDM_OK;
}

bool tdm__mask_at(const double *mask, int64_t div, int64_t i)
{
    return div == 0 || mask[i / div] != 0;
}

tdm_status tdm__expect_labels(const tdm__io *io, int labels, int of, tdm_dtype dtype)
{
    tdm_desc want = io->in[of];
    if (want.rank > 0) want.dim[--want.rank] = 0;
    want.dtype = dtype;
    if (tdm_desc_equal(&want, &io->in[labels])) return TDM_OK;
    char text[96], text_want[96];
    return tdm__fail(TDM_ERR_SHAPE, "labels: must be %s, one per row, got %s",
                     tdm_desc_text(&want, text_want, sizeof text_want),
                     tdm_desc_text(&io->in[labels], text, sizeof text));
}

tdm_status tdm__expect_sums(const tdm__io *io, int input, int64_t sums)
{
    return tdm__expect_desc(io, input, "accumulator", tdm_desc_2(TDM_F32, sums, 2));
}

tdm_status tdm__expect_metric_rows(const tdm__io *io, int64_t *classes)
{
    tdm_status status = TDM_OK;
    const tdm_desc *x = &io->in[0], *labels = &io->in[1];
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, -1));
    if (x->rank == 0) TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "x: must have at least one axis"));
    *classes = x->dim[x->rank - 1] == 1 ? 2 : x->dim[x->rank - 1];
    tdm_dtype dtype = labels->dtype == TDM_F32 ? TDM_F32 : TDM_I32;
    tdm_desc same = *x;
    same.dtype = dtype;
    if (x->dim[x->rank - 1] == 1 && tdm_desc_equal(&same, labels)) return TDM_OK;
    TDM_TRY(tdm__expect_labels(io, 1, 0, dtype));
done:
    return status;
}

int64_t tdm__metric_label(const tdm__ref *ref, int64_t r, int64_t classes, int64_t ignore)
{
    double label = rint(ref->in[1][r]);
    return label >= 0 && label < (double)classes && label != (double)ignore ? (int64_t)label : -1;
}

tdm__kernel *tdm__emit_counts(tdm__build *b, const char *kernel, uint64_t n)
{
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_zero", "");
    tdm__arg_workspace(k, 0, sizeof(uint32_t));
    tdm__arg_i32(k, (int64_t)n);
    tdm__range_items(b, k, n);
    tdm__row_split split = tdm__row_split_of(&tdm__build_io(b)->in[0]);
    k = tdm__emit(b, "metric.cl", kernel, "");
    tdm__arg_in(k, 0);
    tdm__arg_in(k, 1);
    tdm__arg_workspace(k, 0, sizeof(uint32_t));
    tdm__arg_row_split(b, k, &split);
    double elements = (double)split.rows * (double)split.classes;
    tdm__cost(k, elements, 4 * elements);
    return k;
}

void tdm__emit_counts_add(tdm__build *b, uint64_t n)
{
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_add_counts", "");
    tdm__arg_workspace(k, 0, sizeof(uint32_t));
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, (int64_t)n);
    tdm__range_items(b, k, n);
}

/* a loss and its gradient ---------------------------------------------------------------------- */

tdm_status tdm__loss_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                              const tdm_value *dout, const bool *need, tdm_value *din)
{
    const tdm_value *x = node->in;
    tdm_value in[TDM__LOSS_GRAD_INPUTS] = {x[TDM__LOSS_X], x[TDM__LOSS_TARGET], x[TDM__LOSS_WEIGHT],
                                           node->out[1], dout[0]};
    if (need[TDM__LOSS_X])
        din[TDM__LOSS_X] = tdm__graph_node(g, op, in, TDM__COUNT(in), node->io->attrs);
    return TDM_OK;
}

tdm_status tdm__loss_infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, TDM__LOSS_TOTAL, "total", TDM_F32, 0));
    TDM_TRY(tdm__expect(io, TDM__LOSS_DLOSS, "dloss", TDM_F32, 0));
    out[0] = io->in[TDM__LOSS_X];
done:
    return status;
}

double tdm__loss_grad_scale(const tdm__ref *ref)
{
    double total = ref->in[TDM__LOSS_TOTAL][0];
    return total != 0 ? ref->in[TDM__LOSS_DLOSS][0] / total : 0;
}

uint64_t tdm__loss_workspace(uint64_t teams)
{
    return teams * TDM__PARTIALS * sizeof(float);
}

tdm__kernel *tdm__emit_loss(tdm__build *b, const char *kernel)
{
    tdm__kernel *k = tdm__emit(b, "loss.cl", kernel, "");
    for (int i = TDM__LOSS_X; i <= TDM__LOSS_WEIGHT; i++) tdm__arg_in(k, i);
    tdm__arg_workspace(k, 0, sizeof(float));
    return k;
}

tdm__kernel *tdm__emit_loss_grad(tdm__build *b, const char *kernel)
{
    tdm__kernel *k = tdm__emit(b, "loss.cl", kernel, "");
    for (int i = TDM__LOSS_X; i < TDM__LOSS_GRAD_INPUTS; i++) tdm__arg_in(k, i);
    tdm__arg_out(k, 0);
    return k;
}

void tdm__emit_loss_finish(tdm__build *b, uint64_t teams)
{
    tdm__kernel *k = tdm__emit(b, "loss.cl", "loss_finish", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_out(k, 1);
    tdm__arg_i32(k, (int64_t)teams);
    tdm__range_teams(b, k, 1);
    tdm__cost(k, 8.0 * (double)teams, 16.0 * (double)teams);
}

/* The second output of the loss's node follows the first. */
tdm_value tdm_loss_total(tdm_graph *g, tdm_value loss)
{
    const tdm_value total = loss + 1;
    const tdm_desc *d = loss < 0 ? NULL : tdm_graph_desc(g, total);
    if (loss < 0) return TDM_NO_VALUE;
    if (!d || d->rank || d->dtype != TDM_F32)
        return tdm_graph_fail(g, TDM_ERR_STATE, "value %d is no loss", (int)loss);
    return total;
}

/* ops/loss.c: see ops/loss.h. */
#include "ops/loss.h"

#include <math.h>

uint64_t tdm__loss_row_block(uint64_t classes)
{
    uint64_t rows = TDM__SPAN / classes / 16 * 16;
    return rows < 16 ? 16 : rows;
}

void tdm__range_teams(tdm__build *b, tdm__kernel *k, uint64_t teams)
{
    tdm__range_1(k, teams, tdm__build_is_cpu(b) ? 1 : tdm__build_traits(b)->work_group);
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
    tdm_desc want = tdm_desc_2(TDM_F32, sums, 2);
    if (tdm_desc_equal(&want, &io->in[input])) return TDM_OK;
    char text[96], text_want[96];
    return tdm__fail(TDM_ERR_SHAPE, "accumulator: must be %s, got %s",
                     tdm_desc_text(&want, text_want, sizeof text_want),
                     tdm_desc_text(&io->in[input], text, sizeof text));
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

void tdm__emit_counts_zero(tdm__build *b, uint64_t n)
{
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_zero", "");
    tdm__arg_workspace(k, 0, sizeof(uint32_t));
    tdm__arg_i32(k, (int64_t)n);
    tdm__range_items(b, k, n);
}

void tdm__emit_counts_add(tdm__build *b, uint64_t n)
{
    tdm__kernel *k = tdm__emit(b, "metric.cl", "metric_add_counts", "");
    tdm__arg_workspace(k, 0, sizeof(uint32_t));
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, (int64_t)n);
    tdm__range_items(b, k, n);
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

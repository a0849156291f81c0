/* ops/mask_fill.c: marks what does not count in a target, so that losses and metrics leave it out:
 * y = fill where the mask is 0 or the pixel equals an invalid value, else x. */
#include "ops/loss.h"

#include <stddef.h>

#include <tandem/ops.h>

enum { IN_X, IN_MASK };
enum { INVALID_MAX = 4 };

typedef struct mask_fill_attrs {
    int32_t count; /* of invalid values */
    float invalid[INVALID_MAX];
    float fill;
} mask_fill_attrs;

static const tdm__attr attrs[] = {
    {"count", 'i', offsetof(mask_fill_attrs, count), 1},
    {"invalid", 'f', offsetof(mask_fill_attrs, invalid), INVALID_MAX},
    {"fill", 'f', offsetof(mask_fill_attrs, fill), 1},
};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const mask_fill_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    int64_t div;
    if (io->in[IN_X].dtype != TDM_I32) TDM_TRY(tdm__expect(io, IN_X, "x", TDM_F32, -1));
    TDM_TRY(tdm__expect_mask(io, IN_MASK, IN_X, &div));
    if (a->count < 0 || a->count > INVALID_MAX)
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "invalid: must be at most %d values, got %d", INVALID_MAX,
                          (int)a->count));
    out[0] = io->in[IN_X];
done:
    return status;
}

/* Elements that are invalid together: the channels of a pixel. */
static int64_t row_of(const tdm_desc *x)
{
    return x->rank == 4 ? x->dim[3] : 1;
}

static bool row_equals(const double *row, int64_t n, double value)
{
    for (int64_t c = 0; c < n; c++)
        if (row[c] != value) return false;
    return true;
}

static void reference(const tdm__ref *ref)
{
    const mask_fill_attrs *a = ref->io->attrs;
    const tdm_desc *x = &ref->io->in[IN_X];
    const int64_t n = tdm_desc_count(x), row = row_of(x);
    const int64_t div = tdm__mask_div(ref->io, IN_MASK, IN_X);
    for (int64_t i = 0; i < n; i++) {
        bool counts = tdm__mask_at(ref->in[IN_MASK], div, i);
        for (int k = 0; k < a->count; k++)
            counts = counts && !row_equals(ref->in[IN_X] + i / row * row, row, a->invalid[k]);
        ref->out[0][i] = counts ? ref->in[IN_X][i] : a->fill;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const mask_fill_attrs *a = io->attrs;
    const uint64_t n = (uint64_t)tdm_desc_count(&io->in[IN_X]);
    tdm__kernel *k = tdm__emit(b, "label.cl", "mask_fill", "");
    tdm__arg_in(k, IN_X);
    tdm__arg_in(k, IN_MASK);
    tdm__arg_out(k, 0);
    tdm__arg_span(b, k, n);
    tdm__arg_i32(k, tdm__mask_div(io, IN_MASK, IN_X));
    tdm__arg_i32(k, row_of(&io->in[IN_X]));
    tdm__arg_i32(k, io->in[IN_X].dtype == TDM_I32);
    tdm__arg_i32(k, a->count);
    for (int i = 0; i < INVALID_MAX; i++) tdm__arg_f32(k, a->invalid[i]);
    tdm__arg_f32(k, a->fill);
    tdm__cost(k, 0, 8.0 * (double)n);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const mask_fill_attrs nothing = {0, {0}, -7}, zero = {1, {0}, -7}, two = {2, {1, 3}, -1},
                             five = {5, {0}, 0};
static const tdm__sample samples[] = {
    {"depth", &zero, 1, {TDM__F32(2, 5, 7, 1)}, .fill = {TDM__FILL_TIES}},
    {"masked pixels",
     &zero,
     2,
     {TDM__F32(2, 5, 7, 2), TDM__F32(2, 5, 7, 1)},
     .fill = {TDM__FILL_TIES, TDM__FILL_MASK}},
    {"sample mask",
     &nothing,
     2,
     {TDM__F32(9, 4), TDM__F32(9)},
     .fill = {TDM__FILL_NORMAL, TDM__FILL_MASK}},
    {"labels",
     &two,
     2,
     {TDM__I32(3, 5, 11), TDM__F32(3, 5, 11)},
     .fill = {TDM__FILL_LABEL, TDM__FILL_MASK},
     {5}},
    {"two spans", &two, 1, {TDM__I32(20011)}, .fill = {TDM__FILL_INDEX}, {5}},
};
static const tdm__reject rejects[] = {
    {"type", &zero, 1, {TDM__U8(4, 3)}, TDM_ERR_SHAPE, "x: must be f32, got u8[4,3]"},
    {"mask",
     &zero,
     2,
     {TDM__F32(4, 3), TDM__F32(3)},
     TDM_ERR_SHAPE,
     "mask: must be f32[4,3], the same with a last axis of 1, or one per sample, got f32[3]"},
    {"values",
     &five,
     1,
     {TDM__F32(4, 3)},
     TDM_ERR_SHAPE,
     "invalid: must be at most 4 values, got 5"},
};

const tdm_op tdm__op_mask_fill = {
    .name = "mask_fill",
    .attr_size = sizeof(mask_fill_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 2,
    .n_out = 1,
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_mask_fill(tdm_graph *g, tdm_value x, tdm_value mask, const float *invalid, int n,
                        float fill)
{
    mask_fill_attrs a = {n, {0}, fill};
    for (int i = 0; i < n && i < INVALID_MAX; i++) a.invalid[i] = invalid[i];
    return tdm__op_append(g, &tdm__op_mask_fill, (tdm_value[]){x, mask}, 2, &a);
}

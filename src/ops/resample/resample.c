/* ops/resample/resample.c: see ops/resample/resample.h. */
#include "ops/resample/resample.h"

#include <stddef.h>

const tdm__attr tdm__resample_attr_table[TDM__RESAMPLE_ATTRS] = {
    {"h", 'l', offsetof(tdm__resample_attrs, h), 1},
    {"w", 'l', offsetof(tdm__resample_attrs, w), 1},
    {"align_corners", 'b', offsetof(tdm__resample_attrs, align_corners), 1},
};

static tdm_status infer(const tdm__io *io, tdm_desc *out, const char *name, tdm_dtype type)
{
    tdm_status status = TDM_OK;
    const tdm__resample_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, name, type, 4));
    if (a->h < 1 || a->w < 1 || a->h > INT32_MAX || a->w > INT32_MAX)
        return tdm__fail(TDM_ERR_SHAPE, "h, w: must be at least 1, got %lld, %lld", (long long)a->h,
                         (long long)a->w);
    out[0] = tdm_desc_4(type, io->in[0].dim[0], a->h, a->w, io->in[0].dim[3]);
done:
    return status;
}

tdm_status tdm__resample_infer(const tdm__io *io, tdm_desc *out)
{
    return infer(io, out, "x", TDM_F32);
}

tdm_status tdm__resample_infer_any(const tdm__io *io, tdm_desc *out)
{
    return infer(io, out, "x", io->in[0].dtype == TDM_I32 ? TDM_I32 : TDM_F32);
}

tdm_status tdm__resample_infer_grad(const tdm__io *io, tdm_desc *out)
{
    return infer(io, out, "dy", TDM_F32);
}

tdm_status tdm__resample_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                                  const tdm_value *dout, const bool *need, tdm_value *din)
{
    const tdm__resample_attrs *a = node->io->attrs;
    const int64_t *x = node->io->in[0].dim;
    if (need[0])
        din[0] =
            tdm__graph_node(g, op, dout, 1, &(tdm__resample_attrs){x[1], x[2], a->align_corners});
    return TDM_OK;
}

/* ---- references --------------------------------------------------------------------------------
 */

/* The elements of x that one element of y is made of, and their weights. */
typedef struct patch {
    int n;
    int64_t element[4];
    double weight[4];
} patch;

static patch patch_of(const tdm_desc *x, const tdm_desc *y, int64_t e, tdm__taps_of *taps_of,
                      bool align)
{
    int64_t c = e % y->dim[3], q = e / y->dim[3] % y->dim[2];
    int64_t p = e / y->dim[3] / y->dim[2] % y->dim[1], n = e / y->dim[3] / y->dim[2] / y->dim[1];
    tdm__taps h = taps_of(p, x->dim[1], y->dim[1], align);
    tdm__taps w = taps_of(q, x->dim[2], y->dim[2], align);
    patch r = {.n = 0};
    for (int i = 0; i < h.n; i++)
        for (int j = 0; j < w.n; j++, r.n++) {
            r.element[r.n] = ((n * x->dim[1] + h.at[i]) * x->dim[2] + w.at[j]) * x->dim[3] + c;
            r.weight[r.n] = h.weight[i] * w.weight[j];
        }
    return r;
}

void tdm__resample_reference(const tdm__ref *ref, tdm__taps_of *taps_of)
{
    const tdm_desc *x = &ref->io->in[0], *y = &ref->io->out[0];
    bool align = ((const tdm__resample_attrs *)ref->io->attrs)->align_corners;
    for (int64_t e = 0; e < tdm_desc_count(y); e++) {
        patch from = patch_of(x, y, e, taps_of, align);
        for (int i = 0; i < from.n; i++)
            ref->out[0][e] += from.weight[i] * ref->in[0][from.element[i]];
    }
}

void tdm__resample_reference_grad(const tdm__ref *ref, tdm__taps_of *taps_of)
{
    const tdm_desc *x = &ref->io->out[0], *y = &ref->io->in[0];
    bool align = ((const tdm__resample_attrs *)ref->io->attrs)->align_corners;
    for (int64_t e = 0; e < tdm_desc_count(y); e++) {
        patch to = patch_of(x, y, e, taps_of, align);
        for (int i = 0; i < to.n; i++) ref->out[0][to.element[i]] += to.weight[i] * ref->in[0][e];
    }
}

/* ---- launch ------------------------------------------------------------------------------------
 */

tdm__kernel *tdm__resample_emit(tdm__build *b, const char *kernel, bool back,
                                tdm__scale_of *scale_of)
{
    const tdm__io *io = tdm__build_io(b);
    bool align = ((const tdm__resample_attrs *)io->attrs)->align_corners;
    const int64_t *result = io->out[0].dim;
    const tdm_desc *x = back ? &io->out[0] : &io->in[0], *y = back ? &io->in[0] : &io->out[0];
    tdm__kernel *k = tdm__emit_operands(b, "resample.cl", kernel);
    tdm__arg_rows(b, k, (uint64_t)(result[0] * result[1]), (uint64_t)(result[2] * result[3]));
    for (int i = 1; i < 4; i++) tdm__arg_i32(k, x->dim[i]);
    tdm__arg_i32(k, y->dim[1]);
    tdm__arg_i32(k, y->dim[2]);
    tdm__arg_f32(k, scale_of(x->dim[1], y->dim[1], align));
    tdm__arg_f32(k, scale_of(x->dim[2], y->dim[2], align));
    tdm__cost(k, 0, 4.0 * (double)(tdm_desc_count(x) + tdm_desc_count(y)));
    return k;
}

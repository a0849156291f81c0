/* ops/resample/resample.c: see ops/resample/resample.h. */
#include "ops/resample/resample.h"

#include <stddef.h>

const tdm__attr tdm__resample_attr_table[TDM__RESAMPLE_ATTRS] = {
    {"h", 'l', offsetof(tdm__resample_attrs, h), 1},
    {"w", 'l', offsetof(tdm__resample_attrs, w), 1},
    {"align_corners", 'b', offsetof(tdm__resample_attrs, align_corners), 1},
};

tdm_status tdm__resample_infer(const tdm__io *io, tdm_desc *out, const char *name)
{
    tdm_status status = TDM_OK;
    const tdm__resample_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, name, TDM_F32, 4));
    if (a->h < 1 || a->w < 1 || a->h > INT32_MAX || a->w > INT32_MAX)
        return tdm__fail(TDM_ERR_SHAPE, "h, w: must be at least 1, got %lld, %lld", (long long)a->h,
                         (long long)a->w);
    out[0] = tdm_desc_4(TDM_F32, io->in[0].dim[0], a->h, a->w, io->in[0].dim[3]);
done:
    return status;
}

tdm_value tdm__resample_gradient(tdm_graph *g, const tdm_op *op, const tdm__node_view *node,
                                 tdm_value dout)
{
    const tdm__resample_attrs *a = node->io->attrs;
    const int64_t *x = node->io->in[0].dim;
    return tdm__graph_node(g, op, &dout, 1, &(tdm__resample_attrs){x[1], x[2], a->align_corners});
}

tdm__kernel *tdm__resample_emit(tdm__build *b, const char *kernel, const tdm_desc *x,
                                const tdm_desc *y, float scale_h, float scale_w)
{
    const tdm__io *io = tdm__build_io(b);
    const int64_t *result = io->out[0].dim;
    tdm__kernel *k = tdm__emit(b, "resample.cl", kernel, "");
    tdm__arg_in(k, 0);
    tdm__arg_out(k, 0);
    tdm__arg_rows(b, k, (uint64_t)(result[0] * result[1]), (uint64_t)(result[2] * result[3]));
    for (int i = 1; i < 4; i++) tdm__arg_i32(k, x->dim[i]);
    tdm__arg_i32(k, y->dim[1]);
    tdm__arg_i32(k, y->dim[2]);
    tdm__arg_f32(k, (double)scale_h);
    tdm__arg_f32(k, (double)scale_w);
    tdm__cost(k, 0, 4.0 * (double)(tdm_desc_count(x) + tdm_desc_count(y)));
    return k;
}

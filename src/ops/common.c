/* ops/common.c: see ops/common.h. */
#include "ops/common.h"

#include <pthread.h>

#include <tandem/ops.h>

static pthread_once_t adder_once = PTHREAD_ONCE_INIT;

static void set_adder(void)
{
    tdm__graph_set_adder(tdm_add);
}

tdm_value tdm__op_append(tdm_graph *graph, const tdm_op *op, const tdm_value *inputs, int n,
                         const void *attrs)
{
    pthread_once(&adder_once, set_adder);
    return tdm__graph_node(graph, op, inputs, n, attrs);
}

/* checks --------------------------------------------------------------------------------------- */

static const char *dtype_name(tdm_dtype dtype)
{
    return dtype == TDM_F32 ? "f32" : dtype == TDM_I32 ? "i32" : dtype == TDM_U8 ? "u8" : "none";
}

tdm_status tdm__expect(const tdm__io *io, int input, const char *name, tdm_dtype dtype, int rank)
{
    const tdm_desc *d = &io->in[input];
    char text[96];
    if (d->dtype != dtype)
        return tdm__fail(TDM_ERR_SHAPE, "%s: must be %s, got %s", name, dtype_name(dtype),
                         tdm_desc_text(d, text, sizeof text));
    if (rank >= 0 && d->rank != rank)
        return tdm__fail(TDM_ERR_SHAPE, "%s: must have %d axes, got %s", name, rank,
                         tdm_desc_text(d, text, sizeof text));
    return TDM_OK;
}

tdm_status tdm__expect_desc(const tdm__io *io, int input, const char *name, tdm_desc want)
{
    char text[96], text_want[96];
    if (tdm_desc_equal(&io->in[input], &want)) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "%s: must be %s, got %s", name,
                     tdm_desc_text(&want, text_want, sizeof text_want),
                     tdm_desc_text(&io->in[input], text, sizeof text));
}

tdm_status tdm__expect_same(const tdm__io *io, int b, const char *name_b, int a, const char *name_a)
{
    char text_a[96], text_b[96];
    if (tdm_desc_equal(&io->in[a], &io->in[b])) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "%s: must be %s like %s, got %s", name_b,
                     tdm_desc_text(&io->in[a], text_a, sizeof text_a), name_a,
                     tdm_desc_text(&io->in[b], text_b, sizeof text_b));
}

tdm_status tdm__expect_channels(const tdm__io *io, int input, const char *name, int of)
{
    uint64_t rows, channels;
    tdm__rows(&io->in[of], &rows, &channels);
    tdm_desc want = tdm_desc_1(TDM_F32, (int64_t)channels);
    char text[96], text_want[96];
    if (tdm_desc_equal(&io->in[input], &want)) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "%s: must be %s, one per channel, got %s", name,
                     tdm_desc_text(&want, text_want, sizeof text_want),
                     tdm_desc_text(&io->in[input], text, sizeof text));
}

tdm_status tdm__infer_pair(const tdm__io *io, tdm_desc *out, const char *name_a, const char *name_b)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, name_a, TDM_F32, -1));
    TDM_TRY(tdm__expect_same(io, 1, name_b, 0, name_a));
    out[0] = io->in[0];
done:
    return status;
}

void tdm__rows(const tdm_desc *desc, uint64_t *rows, uint64_t *channels)
{
    *rows = *channels = 1;
    for (int i = 0; i < desc->rank - 1; i++) *rows *= (uint64_t)desc->dim[i];
    if (desc->rank > 0) *channels = (uint64_t)desc->dim[desc->rank - 1];
}

/* launches ------------------------------------------------------------------------------------- */

tdm__kernel *tdm__emit_operands(tdm__build *b, const char *file, const char *kernel)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__emit(b, file, kernel, "");
    for (int i = 0; i < io->n_in; i++) tdm__arg_in(k, i);
    for (int o = 0; o < io->n_out; o++) tdm__arg_out(k, o);
    return k;
}

tdm__kernel *tdm__emit_elements(tdm__build *b, const char *kernel, double flops)
{
    const tdm__io *io = tdm__build_io(b);
    uint64_t n = (uint64_t)tdm_desc_count(&io->out[0]);
    double bytes = sizeof(float);
    for (int i = 0; i < io->n_in; i++) bytes += io->in[i].dtype == TDM_U8 ? 1 : sizeof(float);
    tdm__kernel *k = tdm__emit_operands(b, "elementwise.cl", kernel);
    tdm__arg_span(b, k, n);
    tdm__cost(k, flops * (double)n, bytes * (double)n);
    return k;
}

/* launch geometry ------------------------------------------------------------------------------ */

void tdm__range_items(tdm__build *b, tdm__kernel *k, uint64_t items)
{
    uint64_t local = tdm__build_is_cpu(b) ? 1 : tdm__build_traits(b)->work_group;
    tdm__range_1(k, tdm__ceil_div(items, local), local);
}

void tdm__arg_span(tdm__build *b, tdm__kernel *k, uint64_t n)
{
    uint64_t span = tdm__build_is_cpu(b) ? TDM__SPAN : 1;
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, (int64_t)span);
    tdm__range_items(b, k, tdm__ceil_div(n, span));
}

void tdm__arg_rows(tdm__build *b, tdm__kernel *k, uint64_t rows, uint64_t width)
{
    uint64_t per_item = width < TDM__SPAN ? TDM__SPAN / width : 1;
    tdm__arg_u64(k, rows);
    tdm__arg_i32(k, (int64_t)per_item);
    tdm__range_items(b, k, tdm__build_is_cpu(b) ? tdm__ceil_div(rows, per_item) : rows * width);
}

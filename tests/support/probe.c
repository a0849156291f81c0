/* support/probe.c */
#include "support/probe.h"

#include <stddef.h>
#include <tandem/ops.h>

typedef struct probe_attrs {
    float factor;
    int32_t stray; /* 0: none */
} probe_attrs;

static const tdm__attr attrs[] = {{"factor", 'f', offsetof(probe_attrs, factor), 1},
                                  {"stray", 'i', offsetof(probe_attrs, stray), 1}};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = io->in[0];
    return io->in[0].rank >= 1 ? TDM_OK : tdm__fail(TDM_ERR_SHAPE, "x: must have an axis");
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const probe_attrs *a = node->io->attrs;
    if (need[0]) din[0] = probe(g, dout[0], TDM_NO_VALUE, a->factor);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const probe_attrs *a = ref->io->attrs;
    const tdm_desc *x = &ref->io->in[0];
    const int64_t n = tdm_desc_count(x), channels = x->dim[x->rank - 1];
    for (int64_t i = 0; i < n; i++)
        ref->out[0][i] =
            (double)a->factor * ref->in[0][i] + (ref->in[1] ? ref->in[1][i % channels] : 0);
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const probe_attrs *a = io->attrs;
    const int64_t n = tdm_desc_count(&io->in[0]);
    tdm__kernel *k = tdm__emit(b, "probe.cl", "probe_fwd", "");
    tdm__arg_in(k, 0);
    tdm__arg_epilogue(k, 1);
    tdm__arg_out(k, 0);
    tdm__arg_f32(k, (double)a->factor);
    tdm__arg_i32(k, n);
    tdm__arg_i32(k, io->in[0].dim[io->in[0].rank - 1]);
    tdm__arg_i32(k, io->accumulate);
    tdm__arg_i32(k, a->stray);
    tdm__range_1(k, (uint64_t)n, 1);
    return TDM_OK;
}

static double macs(const tdm__io *io)
{
    return (double)tdm_desc_count(&io->in[0]);
}

static const tdm__variant variants[] = {{"plain", TDM__ON_ANY, .prepare = prepare},
                                        {"other", TDM__ON_ANY, true, .prepare = prepare}};

const tdm_op probe_op = {.name = "probe",
                         .attr_size = sizeof(probe_attrs),
                         .attrs = attrs,
                         .n_attrs = 2,
                         .min_in = 1,
                         .max_in = 2,
                         .n_out = 1,
                         .differentiable = 1,
                         .out_gradient = 1,
                         .can_accumulate = true,
                         .fuse = TDM__FUSE_ACT | TDM__FUSE_AFFINE | TDM__FUSE_RESIDUAL,
                         .infer = infer,
                         .gradient = gradient,
                         .reference = reference,
                         .macs = macs,
                         .variants = variants,
                         .n_variants = 2};

tdm_value probe(tdm_graph *g, tdm_value x, tdm_value bias, float factor)
{
    return tdm__graph_node(g, &probe_op, (tdm_value[]){x, bias}, 2, &(probe_attrs){factor, 0});
}

tdm_value probe_stray(tdm_graph *g, tdm_value x, int stray)
{
    return tdm__graph_node(g, &probe_op, &x, 1, &(probe_attrs){1.0f, stray});
}

/* bump ----------------------------------------------------------------------------------------- */

static tdm_status bump_infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = io->in[0];
    return TDM_OK;
}

static void bump_reference(const tdm__ref *ref)
{
    ref->out[0][0] += ref->in[1][0];
}

static tdm_status bump_prepare(tdm__build *b)
{
    tdm__kernel *k = tdm__emit(b, "probe.cl", "bump", "");
    tdm__arg_out(k, 0);
    tdm__arg_in(k, 1);
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

static const tdm__variant bump_variants[] = {{"plain", TDM__ON_ANY, .prepare = bump_prepare}};

const tdm_op probe_bump = {.name = "bump",
                           .min_in = 2,
                           .max_in = 2,
                           .n_out = 1,
                           .update = {1},
                           .infer = bump_infer,
                           .reference = bump_reference,
                           .variants = bump_variants,
                           .n_variants = 1};

tdm_value probe_bumped(tdm_graph *g, tdm_value variable, tdm_value amount)
{
    return tdm__graph_node(g, &probe_bump, (tdm_value[]){variable, amount}, 2, NULL);
}

/* affine --------------------------------------------------------------------------------------- */

static tdm_status affine_infer(const tdm__io *io, tdm_desc *out)
{
    const tdm_desc want = tdm_desc_1(TDM_F32, io->in[0].dim[io->in[0].rank - 1]);
    out[0] = io->in[0];
    for (int i = 1; i < 3; i++)
        if (!tdm_desc_equal(&io->in[i], &want))
            return tdm__fail(TDM_ERR_SHAPE, "scale, shift: must have one number per channel");
    return TDM_OK;
}

static tdm_status affine_gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                                  const bool *need, tdm_value *din)
{
    tdm_value zero = tdm_graph_constant(g, node->io->in[2], 0.0f);
    if (need[0]) din[0] = probe_affine(g, dout[0], node->in[1], zero);
    return TDM_OK;
}

static void affine_reference(const tdm__ref *ref)
{
    const int64_t n = tdm_desc_count(&ref->io->in[0]), channels = ref->io->in[1].dim[0];
    for (int64_t i = 0; i < n; i++)
        ref->out[0][i] = ref->in[0][i] * ref->in[1][i % channels] + ref->in[2][i % channels];
}

static unsigned affine_as_epilogue(const tdm__io *io, tdm__epilogue *epilogue)
{
    (void)io;
    epilogue->affine = true;
    return TDM__FUSE_AFFINE;
}

static tdm_status affine_prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__emit(b, "probe.cl", "affine", "");
    for (int i = 0; i < 3; i++) tdm__arg_in(k, i);
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, io->in[1].dim[0]);
    tdm__range_1(k, (uint64_t)tdm_desc_count(&io->in[0]), 1);
    return TDM_OK;
}

static const tdm__variant affine_variants[] = {{"plain", TDM__ON_ANY, .prepare = affine_prepare}};

const tdm_op probe_affine_op = {.name = "affine",
                                .min_in = 3,
                                .max_in = 3,
                                .n_out = 1,
                                .differentiable = 1,
                                .out_gradient = 1,
                                .inplace = {1},
                                .infer = affine_infer,
                                .gradient = affine_gradient,
                                .reference = affine_reference,
                                .as_epilogue = affine_as_epilogue,
                                .variants = affine_variants,
                                .n_variants = 1};

tdm_value probe_affine(tdm_graph *g, tdm_value x, tdm_value scale, tdm_value shift)
{
    return tdm__graph_node(g, &probe_affine_op, (tdm_value[]){x, scale, shift}, 3, NULL);
}

void probe_kernels(const support_cl *cl)
{
    support_cl_file(cl, "probe.cl",
                    "kernel void probe_fwd(ARG(const float, x), EPILOGUE_ARGS, ARG(float, y),\n"
                    "                      const float factor, const int n, const int channels,\n"
                    "                      const int accumulate, const int stray)\n"
                    "{\n"
                    "    VIEW(x);\n"
                    "    VIEW(y);\n"
                    "    EPILOGUE_VIEWS;\n"
                    "    const int i = get_global_id(0), k = i % channels;\n"
                    "    floatl acc = factor * load_lanes(x + i, 1);\n"
                    "    EPILOGUE(acc, k, i, 1);\n"
                    "    put_lanes(acc, y + i, 1, accumulate);\n"
                    "    if (stray && i == 0) y[stray] = 1.0f;\n"
                    "}\n"
                    "kernel void affine(ARG(const float, x), ARG(const float, scale),\n"
                    "                   ARG(const float, shift), ARG(float, y), const int c)\n"
                    "{\n"
                    "    VIEW(x);\n"
                    "    VIEW(scale);\n"
                    "    VIEW(shift);\n"
                    "    VIEW(y);\n"
                    "    const int i = get_global_id(0);\n"
                    "    y[i] = x[i] * scale[i % c] + shift[i % c];\n"
                    "}\n"
                    "kernel void bump(ARG(float, v), ARG(const float, amount))\n"
                    "{\n"
                    "    VIEW(v);\n"
                    "    VIEW(amount);\n"
                    "    v[0] += amount[0];\n"
                    "}\n");
}

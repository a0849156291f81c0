/* ops/weighted_sum.c: sum_i w_i x_i over scalars, in order; the weights are constants of the graph.
 * One node takes up to eight terms; more become a chain that starts from the sum so far. The
 * gradient of a term is a weighted sum of one. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

enum { TERMS = 8 };

typedef struct weighted_sum_attrs {
    float weight[TERMS];
} weighted_sum_attrs;

static const tdm__attr attrs[] = {{"weight", 'f', offsetof(weighted_sum_attrs, weight), TERMS}};

static int term_count(const tdm__io *io)
{
    int n = 0;
    while (n < io->n_in && io->in[n].dtype != TDM_NONE) n++;
    return n;
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    int n = term_count(io);
    for (int i = 0; i < n; i++) TDM_TRY(tdm__expect(io, i, "loss", TDM_F32, 0));
    out[0] = tdm_desc_scalar();
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const weighted_sum_attrs *a = node->io->attrs;
    for (int i = 0; i < term_count(node->io); i++) {
        weighted_sum_attrs one = {{a->weight[i]}};
        if (need[i]) din[i] = tdm__graph_node(g, &tdm__op_weighted_sum, &dout[0], 1, &one);
    }
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const weighted_sum_attrs *a = ref->io->attrs;
    double sum = 0;
    for (int i = 0; i < term_count(ref->io); i++) sum += a->weight[i] * ref->in[i][0];
    ref->out[0][0] = sum;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const weighted_sum_attrs *a = io->attrs;
    tdm__kernel *k = tdm__emit(b, "scalar.cl", "weighted_sum", "");
    for (int i = 0; i < TERMS; i++) {
        tdm__arg_in(k, i);
        tdm__arg_f32(k, a->weight[i]);
    }
    tdm__arg_out(k, 0);
    tdm__arg_i32(k, term_count(io));
    tdm__range_1(k, 1, 1);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"scalar", TDM__ON_ANY, .prepare = prepare}};

static const weighted_sum_attrs weights = {{0.5f, -2, 3, 0.25f, 1, 0, 7, 1.5f}};
static const tdm__sample samples[] = {
    {"one", &weights, 1, {TDM__SCALAR}},
    {"two", &weights, 2, {TDM__SCALAR, TDM__SCALAR}},
    {"eight",
     &weights,
     8,
     {TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR, TDM__SCALAR,
      TDM__SCALAR}},
};
static const tdm__reject rejects[] = {
    {"not a scalar",
     &weights,
     2,
     {TDM__SCALAR, TDM__F32(2)},
     TDM_ERR_SHAPE,
     "loss: must have 0 axes, got f32[2]"},
};

const tdm_op tdm__op_weighted_sum = {
    .name = "weighted_sum",
    .attr_size = sizeof(weighted_sum_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = TERMS,
    .n_out = 1,
    .differentiable = (1u << TERMS) - 1,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_weighted_sum(tdm_graph *g, const tdm_value *losses, const float *weights_in, int n)
{
    if (n < 1)
        return tdm_graph_fail(g, TDM_ERR_SHAPE, "weighted_sum: needs at least one loss, got %d", n);
    tdm_value sum = TDM_NO_VALUE;
    for (int done = 0; done < n;) {
        weighted_sum_attrs a = {{0}};
        tdm_value in[TERMS];
        int used = 0;
        if (done > 0) {
            in[0] = sum;
            a.weight[used++] = 1;
        }
        for (; used < TERMS && done < n; used++, done++) {
            in[used] = losses[done];
            a.weight[used] = weights_in[done];
        }
        sum = tdm__op_append(g, &tdm__op_weighted_sum, in, used, &a);
    }
    return sum;
}

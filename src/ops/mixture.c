/* ops/mixture.c: y[n] = sum_j c[n, first + j] x_j[n]: tensors weighed sample by sample, as experts
 * are by their gates (Ma et al., KDD 2018; Jacobs et al., 1991). Every x_j is read once. c (N,K),
 * x_j and y (N,...). By x_j the gradient is a mixture of one: c[n, first + j] dy[n]; by c it is the
 * products <dy[n], x_j[n]>, which read every x_j once more. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

enum {
    TERMS = 7,
    BLOCK = 16384
}; /* of one node; elements of a sample whose product a team adds up */

typedef struct mixture_attrs {
    int32_t first;
} mixture_attrs;

static const tdm__attr attrs[] = {{"first", 'i', offsetof(mixture_attrs, first), 1}};

typedef struct mixture_dot_attrs {
    int32_t first, columns;
} mixture_dot_attrs;

/* The columns [first, first + terms) are among `columns`. */
static tdm_status expect_columns(int32_t first, int terms, int64_t columns)
{
    if (first >= 0 && first <= columns - terms) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "first: %d columns from %d on are not among %lld", terms,
                     (int)first, (long long)columns);
}

/* The tensors from input 1 on; those that are not there stand at the end. */
static int term_count(const tdm__io *io)
{
    int n = 0;
    while (1 + n < io->n_in && io->in[1 + n].dtype != TDM_NONE) n++;
    return n;
}

/* Elements of one sample of an input (N,...). */
static uint64_t per_sample(const tdm_desc *d)
{
    return (uint64_t)(tdm_desc_count(d) / d->dim[0]);
}

/* The inputs 1 to the last as TERMS arguments. */
static void arg_terms(tdm__kernel *k)
{
    for (int i = 1; i <= TERMS; i++) tdm__arg_in(k, i);
}

/* ---- forward --------------------------------------------------------------------------------- */

enum { C, X };

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const mixture_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, C, "c", TDM_F32, 2));
    TDM_TRY(tdm__expect(io, X, "x", TDM_F32, -1));
    for (int i = X + 1; i <= term_count(io); i++)
        TDM_TRY(tdm__expect_same(io, i, "x", X, "the first"));
    if (io->in[X].rank < 1 || io->in[X].dim[0] != io->in[C].dim[0]) {
        char text[96];
        TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "x: must have the %lld samples of c, got %s",
                          (long long)io->in[C].dim[0],
                          tdm_desc_text(&io->in[X], text, sizeof text)));
    }
    TDM_TRY(expect_columns(a->first, term_count(io), io->in[C].dim[1]));
    out[0] = io->in[X];
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const mixture_attrs *a = node->io->attrs;
    const int terms = term_count(node->io);
    if (need[C]) {
        tdm_value in[TERMS + 1] = {dout[0]};
        for (int i = 0; i < terms; i++) in[1 + i] = node->in[X + i];
        din[C] = tdm__graph_node(g, &tdm__op_mixture_dot, in, 1 + terms,
                                 &(mixture_dot_attrs){a->first, (int32_t)node->io->in[C].dim[1]});
    }
    for (int i = 0; i < terms; i++)
        if (need[X + i])
            din[X + i] = tdm__graph_node(g, &tdm__op_mixture, (tdm_value[]){node->in[C], dout[0]},
                                         2, &(mixture_attrs){a->first + i});
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const mixture_attrs *a = ref->io->attrs;
    const uint64_t m = per_sample(&ref->io->in[X]);
    const int64_t n = tdm_desc_count(&ref->io->in[X]), columns = ref->io->in[C].dim[1];
    for (int64_t i = 0; i < n; i++) {
        const double *c = ref->in[C] + i / (int64_t)m * columns + a->first;
        for (int j = X; j <= term_count(ref->io); j++) ref->out[0][i] += c[j - X] * ref->in[j][i];
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const mixture_attrs *a = io->attrs;
    const int terms = term_count(io);
    const double n = (double)tdm_desc_count(&io->out[0]);
    tdm__kernel *k = tdm__emit(b, "mixture.cl", "mixture_fwd", "");
    tdm__arg_in(k, C);
    arg_terms(k);
    tdm__arg_out(k, 0);
    tdm__arg_span(b, k, (uint64_t)n);
    tdm__arg_u64(k, per_sample(&io->in[X]));
    tdm__arg_i32(k, io->in[C].dim[1]);
    tdm__arg_i32(k, a->first);
    tdm__arg_i32(k, terms);
    tdm__arg_i32(k, io->accumulate);
    tdm__cost(k, 2 * terms * n, 4 * n * (terms + 1 + io->accumulate));
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const mixture_attrs from_0 = {0}, from_2 = {2}, before = {-1};
static const tdm__sample samples[] = {
    {"one", &from_0, 2, {TDM__F32(3, 1), TDM__F32(3, 17)}},
    {"one of five", &from_2, 2, {TDM__F32(2, 5), TDM__F32(2, 3, 5, 7)}},
    {"two of five", &from_2, 3, {TDM__F32(4, 5), TDM__F32(4, 16), TDM__F32(4, 16)}},
    {"three",
     &from_0,
     4,
     {TDM__F32(5, 3), TDM__F32(5, 3, 3, 5), TDM__F32(5, 3, 3, 5), TDM__F32(5, 3, 3, 5)}},
    {"vectors", &from_0, 3, {TDM__F32(37, 2), TDM__F32(37), TDM__F32(37)}},
    {"seven",
     &from_0,
     8,
     {TDM__F32(2, 7), TDM__F32(2, 15), TDM__F32(2, 15), TDM__F32(2, 15), TDM__F32(2, 15),
      TDM__F32(2, 15), TDM__F32(2, 15), TDM__F32(2, 15)}},
    {"two spans", &from_0, 3, {TDM__F32(3, 2), TDM__F32(3, 16411), TDM__F32(3, 16411)}},
};
static const tdm__sample bench[] = {
    {"four experts",
     &from_0,
     5,
     {TDM__F32(64, 4), TDM__F32(64, 16, 16, 128), TDM__F32(64, 16, 16, 128),
      TDM__F32(64, 16, 16, 128), TDM__F32(64, 16, 16, 128)}},
};
static const tdm__reject rejects[] = {
    {"samples",
     &from_0,
     2,
     {TDM__F32(2, 1), TDM__F32(3, 4)},
     TDM_ERR_SHAPE,
     "x: must have the 2 samples of c, got f32[3,4]"},
    {"shapes",
     &from_0,
     3,
     {TDM__F32(2, 2), TDM__F32(2, 4), TDM__F32(2, 5)},
     TDM_ERR_SHAPE,
     "x: must be f32[2,4] like the first, got f32[2,5]"},
    {"columns",
     &from_2,
     2,
     {TDM__F32(2, 2), TDM__F32(2, 4)},
     TDM_ERR_SHAPE,
     "first: 1 columns from 2 on are not among 2"},
    {"negative column",
     &before,
     2,
     {TDM__F32(2, 2), TDM__F32(2, 4)},
     TDM_ERR_SHAPE,
     "first: 1 columns from -1 on are not among 2"},
    {"coefficients",
     &from_0,
     2,
     {TDM__F32(2), TDM__F32(2, 4)},
     TDM_ERR_SHAPE,
     "c: must have 2 axes, got f32[2]"},
};

const tdm_op tdm__op_mixture = {
    .name = "mixture",
    .attr_size = sizeof(mixture_attrs),
    TDM__ATTRS(attrs),
    .min_in = 2,
    .max_in = 1 + TERMS,
    .n_out = 1,
    .differentiable = (1u << (1 + TERMS)) - 1,
    .out_gradient = 1,
    .can_accumulate = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

/* ---- backward to c: dy, x_j -> <dy[n], x_j[n]> in column first + j, 0 in the others ------------
 */

static const tdm__attr attrs_dot[] = {{"first", 'i', offsetof(mixture_dot_attrs, first), 1},
                                      {"columns", 'i', offsetof(mixture_dot_attrs, columns), 1}};

static tdm_status infer_dot(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    const mixture_dot_attrs *a = io->attrs;
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, -1));
    if (io->in[0].rank < 1) TDM_TRY(tdm__fail(TDM_ERR_SHAPE, "dy: must have at least one axis"));
    for (int i = 1; i <= term_count(io); i++) TDM_TRY(tdm__expect_same(io, i, "x", 0, "dy"));
    TDM_TRY(expect_columns(a->first, term_count(io), a->columns));
    out[0] = tdm_desc_2(TDM_F32, io->in[0].dim[0], a->columns);
done:
    return status;
}

static void reference_dot(const tdm__ref *ref)
{
    const mixture_dot_attrs *a = ref->io->attrs;
    const uint64_t m = per_sample(&ref->io->in[0]), n = (uint64_t)ref->io->in[0].dim[0];
    for (uint64_t s = 0; s < n; s++)
        for (int j = 1; j <= term_count(ref->io); j++)
            for (uint64_t i = s * m; i < (s + 1) * m; i++)
                ref->out[0][s * (uint64_t)a->columns + (uint64_t)(a->first + j - 1)] +=
                    ref->in[0][i] * ref->in[j][i];
}

static uint64_t workspace_dot(const tdm__traits *traits, const tdm__io *io)
{
    const uint64_t blocks = tdm__ceil_div(per_sample(&io->in[0]), BLOCK);
    (void)traits;
    return (uint64_t)io->in[0].dim[0] * blocks * (uint64_t)term_count(io) * sizeof(float);
}

static tdm_status prepare_dot(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const mixture_dot_attrs *a = io->attrs;
    const int terms = term_count(io);
    const uint64_t m = per_sample(&io->in[0]), blocks = tdm__ceil_div(m, BLOCK);
    const uint64_t n = (uint64_t)io->in[0].dim[0];
    tdm__kernel *k = tdm__emit(b, "mixture.cl", "mixture_dot", "");
    tdm__arg_in(k, 0);
    arg_terms(k);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_u64(k, m);
    tdm__arg_i32(k, BLOCK);
    tdm__arg_i32(k, (int64_t)blocks);
    tdm__arg_i32(k, terms);
    tdm__range_1(k, n * blocks, tdm__build_is_cpu(b) ? 1 : tdm__build_traits(b)->work_group);
    tdm__cost(k, 2.0 * terms * (double)(n * m), 4.0 * (terms + 1) * (double)(n * m));
    k = tdm__emit(b, "mixture.cl", "mixture_dot_merge", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, 0);
    tdm__arg_u64(k, n);
    tdm__arg_i32(k, (int64_t)blocks);
    tdm__arg_i32(k, terms);
    tdm__arg_i32(k, a->first);
    tdm__arg_i32(k, a->columns);
    tdm__range_items(b, k, n * (uint64_t)a->columns);
    return TDM_OK;
}

static const tdm__variant variants_dot[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace_dot, .prepare = prepare_dot}};

static const mixture_dot_attrs all_of_1 = {0, 1}, all_of_7 = {0, 7}, last_of_4 = {3, 4},
                               middle_of_5 = {1, 5}, beyond = {1, 1};
static const tdm__sample samples_dot[] = {
    {"one", &all_of_1, 2, {TDM__F32(3, 15), TDM__F32(3, 15)}},
    {"numbers", &all_of_1, 2, {TDM__F32(5), TDM__F32(5)}},
    {"last of four", &last_of_4, 2, {TDM__F32(2, 3, 5, 7), TDM__F32(2, 3, 5, 7)}},
    {"two in the middle", &middle_of_5, 3, {TDM__F32(4, 67), TDM__F32(4, 67), TDM__F32(4, 67)}},
    {"seven",
     &all_of_7,
     8,
     {TDM__F32(2, 64), TDM__F32(2, 64), TDM__F32(2, 64), TDM__F32(2, 64), TDM__F32(2, 64),
      TDM__F32(2, 64), TDM__F32(2, 64), TDM__F32(2, 64)}},
    {"three blocks", &last_of_4, 2, {TDM__F32(2, 32779), TDM__F32(2, 32779)}},
};
static const tdm__reject rejects_dot[] = {
    {"shapes",
     &all_of_1,
     2,
     {TDM__F32(2, 3), TDM__F32(3, 2)},
     TDM_ERR_SHAPE,
     "x: must be f32[2,3] like dy, got f32[3,2]"},
    {"scalar",
     &all_of_1,
     2,
     {TDM__SCALAR, TDM__SCALAR},
     TDM_ERR_SHAPE,
     "dy: must have at least one axis"},
    {"columns",
     &beyond,
     2,
     {TDM__F32(2, 3), TDM__F32(2, 3)},
     TDM_ERR_SHAPE,
     "first: 1 columns from 1 on are not among 1"},
};

const tdm_op tdm__op_mixture_dot = {
    .name = "mixture_dot",
    .attr_size = sizeof(mixture_dot_attrs),
    TDM__ATTRS(attrs_dot),
    .min_in = 2,
    .max_in = 1 + TERMS,
    .n_out = 1,
    .infer = infer_dot,
    .reference = reference_dot,
    TDM__TABLES(variants_dot, samples_dot, rejects_dot),
};

/* ---- builder: more terms than a node has are a sum of mixtures ---------------------------------
 */

tdm_value tdm_mixture(tdm_graph *g, tdm_value c, const tdm_value *x, int n)
{
    const tdm_desc *d = tdm_graph_desc(g, c);
    tdm_value sum = TDM_NO_VALUE;
    if (!d) return TDM_NO_VALUE;
    if (n < 1 || d->rank != 2 || d->dim[1] != n) {
        char text[96];
        return tdm_graph_fail(g, TDM_ERR_SHAPE,
                              "mixture: c: must have a column for each of %d, got %s", n,
                              tdm_desc_text(d, text, sizeof text));
    }
    for (int done = 0; done < n; done += TERMS) {
        tdm_value in[1 + TERMS] = {c};
        const int terms = n - done < TERMS ? n - done : TERMS;
        for (int i = 0; i < terms; i++) in[X + i] = x[done + i];
        const tdm_value part =
            tdm__op_append(g, &tdm__op_mixture, in, 1 + terms, &(mixture_attrs){done});
        sum = done ? tdm_add(g, sum, part) : part;
    }
    return sum;
}

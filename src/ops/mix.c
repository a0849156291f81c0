/* ops/mix.c: linear combinations of tensors of one shape, y[o] = sum_s w[o][s] x[s]: the mixing
 * between the columns of a cross-stitch network (Misra, Shrivastava, Gupta, Hebert, CVPR 2016, eq.
 * 1) and of a sluice network. w is (outputs, inputs), or (outputs, inputs, C): a weight per
 * channel.
 *
 * mix_<n> has n outputs, up to four: every input is read once for all of them, in launches of up to
 * four inputs. More outputs are more nodes. Its gradient on x is a mix itself, with w transposed;
 * that on w sums dy[o] x[s] over rows in blocks, blocks, and channels, in a fixed order.
 */
#include <stddef.h>
#include <stdio.h>

#include <tandem/ops.h>

#include "ops/channels.h"

enum { MOST = 4 /* operands of a launch, in and out */ };

/* Output o and input s meet in w[out_first + o][in_first + s]; transposed: in [in][out]. */
typedef struct mix_attrs {
    int32_t out_first, in_first;
    bool transposed;
} mix_attrs;

static const tdm__attr attrs[] = {
    {"out_first", 'i', offsetof(mix_attrs, out_first), 1},
    {"in_first", 'i', offsetof(mix_attrs, in_first), 1},
    {"transposed", 'b', offsetof(mix_attrs, transposed), 1},
};

static const tdm_op *mix_of(int outputs);

/* ---- forward -----------------------------------------------------------------------------------
 */

enum { W, X }; /* inputs: the weights, then the tensors */

static tdm_status check_range(const tdm_desc *w, int axis, const char *what, int64_t first,
                              int64_t n)
{
    if (first >= 0 && first + n <= w->dim[axis]) return TDM_OK;
    return tdm__fail(TDM_ERR_SHAPE, "w: has no %s %lld to %lld along axis %d: it has %lld", what,
                     (long long)first, (long long)(first + n - 1), axis, (long long)w->dim[axis]);
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const mix_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    uint64_t rows, channels;
    TDM_TRY(tdm__expect(io, W, "w", TDM_F32, -1));
    TDM_TRY(tdm__expect(io, X, "x", TDM_F32, -1));
    for (int i = X + 1; i < io->n_in; i++) TDM_TRY(tdm__expect_same(io, i, "x", X, "the first x"));
    const tdm_desc *w = &io->in[W];
    tdm__rows(&io->in[X], &rows, &channels);
    if (w->rank != 2 && !(w->rank == 3 && (uint64_t)w->dim[2] == channels)) {
        char text[64];
        return tdm__fail(TDM_ERR_SHAPE,
                         "w: must be (outputs, inputs) or (outputs, inputs, %llu), got %s",
                         (unsigned long long)channels, tdm_desc_text(w, text, sizeof text));
    }
    TDM_TRY(check_range(w, a->transposed, "outputs", a->out_first, io->n_out));
    TDM_TRY(check_range(w, !a->transposed, "inputs", a->in_first, io->n_in - X));
    for (int o = 0; o < io->n_out; o++) out[o] = io->in[X];
done:
    return status;
}

/* Index in w of what output o takes of channel 0 of input s is o times one step and s times the
 * other, from the first on. */
typedef struct weight_steps {
    int64_t first, out, in;
} weight_steps;

static weight_steps steps_of(const tdm_desc *w, const mix_attrs *a)
{
    const int64_t width = w->rank == 3 ? w->dim[2] : 1, row = w->dim[1] * width;
    const weight_steps s = {.out = a->transposed ? width : row, .in = a->transposed ? row : width};
    return (weight_steps){a->out_first * s.out + a->in_first * s.in, s.out, s.in};
}

static void reference(const tdm__ref *ref)
{
    const tdm__io *io = ref->io;
    const weight_steps at = steps_of(&io->in[W], io->attrs);
    uint64_t rows, channels;
    tdm__rows(&io->in[X], &rows, &channels);
    for (int o = 0; o < io->n_out; o++)
        for (int s = 0; s < io->n_in - X; s++) {
            const double *w = ref->in[W] + at.first + o * at.out + s * at.in;
            for (uint64_t i = 0; i < rows * channels; i++)
                ref->out[o][i] += w[io->in[W].rank == 3 ? i % channels : 0] * ref->in[X + s][i];
        }
}

/* Up to MOST of `n` operands from `from` on; the others are the first of them again. */
static int arg_operands(tdm__kernel *k, bool out, int from, int n)
{
    const int used = n < MOST ? n : MOST;
    for (int i = 0; i < MOST; i++) {
        const int operand = from + (i < used ? i : 0);
        if (out)
            tdm__arg_out(k, operand);
        else
            tdm__arg_in(k, operand);
    }
    return used;
}

enum { DEFINES = 48 }; /* of any two numbers, as far as the compiler can know */

static const char *defines_of(char text[DEFINES], int in, int out)
{
    snprintf(text, DEFINES, "-D MIX_IN=%d -D MIX_OUT=%d", in < MOST ? in : MOST, out);
    return text;
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const weight_steps at = steps_of(&io->in[W], io->attrs);
    const bool per_channel = io->in[W].rank == 3;
    uint64_t rows, channels;
    char defines[DEFINES];
    tdm__rows(&io->in[X], &rows, &channels);
    for (int s = X; s < io->n_in; s += MOST) {
        tdm__kernel *k = tdm__emit(b, "mix.cl", per_channel ? "mix_fwd_channels" : "mix_fwd",
                                   defines_of(defines, io->n_in - s, io->n_out));
        const int used = arg_operands(k, false, s, io->n_in - s);
        arg_operands(k, true, 0, io->n_out);
        tdm__arg_in(k, W);
        tdm__arg_i32(k, at.first + (s - X) * at.in);
        tdm__arg_i32(k, at.in);
        tdm__arg_i32(k, at.out);
        if (per_channel) {
            tdm__arg_rows(b, k, rows, channels);
            tdm__arg_i32(k, (int64_t)channels);
        } else {
            tdm__arg_span(b, k, rows * channels);
        }
        tdm__arg_i32(k, s > X);
        const double n = (double)(rows * channels);
        tdm__cost(k, 2 * n * used * io->n_out, 4 * n * (used + io->n_out * (s > X ? 2 : 1)));
    }
    return TDM_OK;
}

/* ---- backward: dy.., x.. -> dw -----------------------------------------------------------------
 */

typedef struct mix_grad_attrs {
    mix_attrs at;
    int32_t outputs;  /* how many of the inputs are dy */
    int64_t shape[3]; /* w's; the last 0: no weights per channel */
} mix_grad_attrs;

static const tdm__attr grad_attrs[] = {
    {"out_first", 'i', offsetof(mix_grad_attrs, at.out_first), 1},
    {"in_first", 'i', offsetof(mix_grad_attrs, at.in_first), 1},
    {"transposed", 'b', offsetof(mix_grad_attrs, at.transposed), 1},
    {"outputs", 'i', offsetof(mix_grad_attrs, outputs), 1},
    {"shape", 'l', offsetof(mix_grad_attrs, shape), 3},
};

static tdm_desc weights_desc(const mix_grad_attrs *a)
{
    return tdm_desc_make(TDM_F32, a->shape[2] ? 3 : 2, a->shape);
}

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    const mix_grad_attrs *a = io->attrs;
    tdm_status status = TDM_OK;
    const tdm_desc w = weights_desc(a);
    TDM_TRY(tdm__expect(io, 0, "dy", TDM_F32, -1));
    for (int i = 1; i < io->n_in; i++)
        TDM_TRY(tdm__expect_same(io, i, i < a->outputs ? "dy" : "x", 0, "the first dy"));
    if (a->outputs < 1 || a->outputs > MOST || a->outputs >= io->n_in)
        return tdm__fail(TDM_ERR_SHAPE, "outputs: must be 1 to %d and leave an x, got %d of %d",
                         MOST, (int)a->outputs, io->n_in);
    TDM_TRY(check_range(&w, a->at.transposed, "outputs", a->at.out_first, a->outputs));
    TDM_TRY(check_range(&w, !a->at.transposed, "inputs", a->at.in_first, io->n_in - a->outputs));
    out[0] = w;
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    const mix_grad_attrs *a = ref->io->attrs;
    const tdm_desc w = weights_desc(a);
    const weight_steps at = steps_of(&w, &a->at);
    uint64_t rows, channels;
    tdm__rows(&ref->io->in[0], &rows, &channels);
    for (int o = 0; o < a->outputs; o++)
        for (int s = 0; s < ref->io->n_in - a->outputs; s++) {
            double *dw = ref->out[0] + at.first + o * at.out + s * at.in;
            for (uint64_t i = 0; i < rows * channels; i++)
                dw[w.rank == 3 ? i % channels : 0] += ref->in[o][i] * ref->in[a->outputs + s][i];
        }
}

/* The tensors as rows of channels. Where channels do not matter there are as many as make whole
 * vectors. */
static tdm__channels grad_channels(const tdm__io *io)
{
    enum { WHOLE = 64 };
    const mix_grad_attrs *a = io->attrs;
    const int64_t n = tdm_desc_count(&io->in[0]);
    const tdm_desc flat = tdm_desc_2(TDM_F32, n / WHOLE, WHOLE);
    return tdm__channels_of(a->shape[2] || n % WHOLE ? &io->in[0] : &flat);
}

/* The workspace: the parts of the blocks, and their sums per channel. */
static uint64_t parts_bytes(const tdm__traits *traits, const tdm__io *io, const tdm__channels *c)
{
    const mix_grad_attrs *a = io->attrs;
    const uint64_t pairs = (uint64_t)a->outputs * (uint64_t)(io->n_in - a->outputs);
    const uint64_t bytes = pairs * c->blocks * c->channels * sizeof(float);
    return tdm__ceil_div(bytes, traits->align) * traits->align;
}

static uint64_t workspace_grad(const tdm__traits *traits, const tdm__io *io)
{
    const tdm__channels c = grad_channels(io);
    return parts_bytes(traits, io, &c) + (uint64_t)io->n_in * MOST * c.channels * sizeof(float);
}

/* Where the pairs lie in what mix_sum writes. */
typedef struct pair_place {
    int64_t rows, columns, first_row, first_column;
} pair_place;

static tdm__kernel *emit_sum(tdm__build *b, uint64_t from, int64_t to)
{
    tdm__kernel *k = tdm__emit(b, "mix.cl", "mix_sum", "");
    tdm__arg_workspace(k, from, sizeof(float));
    if (to < 0)
        tdm__arg_out(k, 0);
    else
        tdm__arg_workspace(k, (uint64_t)to, sizeof(float));
    return k;
}

static void arg_sum(tdm__build *b, tdm__kernel *k, int64_t n, int64_t width,
                    const pair_place *place, const pair_place *pairs, bool transposed,
                    bool accumulate)
{
    const int64_t entries = place->rows * place->columns * width;
    tdm__arg_i32(k, entries);
    tdm__arg_i32(k, n);
    tdm__arg_i32(k, width);
    tdm__arg_i32(k, place->columns);
    tdm__arg_i32(k, pairs->first_row);
    tdm__arg_i32(k, pairs->rows);
    tdm__arg_i32(k, pairs->first_column);
    tdm__arg_i32(k, pairs->columns);
    tdm__arg_i32(k, transposed);
    tdm__arg_i32(k, accumulate);
    tdm__range_items(b, k, (uint64_t)entries);
}

static void emit_parts(tdm__build *b, const tdm__channels *c)
{
    const tdm__io *io = tdm__build_io(b);
    const mix_grad_attrs *a = io->attrs;
    const int inputs = io->n_in - a->outputs;
    const uint64_t lanes = tdm__build_is_cpu(b) ? (uint64_t)tdm__build_traits(b)->vector_width : 1;
    for (int s = 0; s < inputs; s += MOST) {
        char defines[DEFINES];
        tdm__kernel *k =
            tdm__emit(b, "mix.cl", "mix_bwd", defines_of(defines, inputs - s, a->outputs));
        const int used = arg_operands(k, false, a->outputs + s, inputs - s);
        arg_operands(k, false, 0, a->outputs);
        tdm__arg_workspace(k, 0, sizeof(float));
        tdm__arg_u64(k, c->rows);
        tdm__arg_i32(k, (int64_t)c->channels);
        tdm__arg_i32(k, (int64_t)c->block_rows);
        tdm__arg_i32(k, (int64_t)c->blocks);
        tdm__arg_i32(k, s);
        tdm__arg_i32(k, inputs);
        tdm__range_items(b, k, c->blocks * tdm__ceil_div(c->channels, lanes));
        const double n = (double)(c->rows * c->channels);
        tdm__cost(k, 2 * n * used * a->outputs, 4 * n * (used + a->outputs));
    }
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const mix_grad_attrs *a = io->attrs;
    const tdm__channels c = grad_channels(io);
    const int64_t inputs = io->n_in - a->outputs;
    const int64_t sums = (int64_t)parts_bytes(tdm__build_traits(b), io, &c);
    const pair_place list = {a->outputs, inputs, 0, 0}; /* the pairs as mix_bwd leaves them */
    const pair_place place = {a->shape[0], a->shape[1], 0, 0};
    const pair_place pairs =
        a->at.transposed ? (pair_place){inputs, a->outputs, a->at.in_first, a->at.out_first}
                         : (pair_place){a->outputs, inputs, a->at.out_first, a->at.in_first};
    emit_parts(b, &c);
    if (a->shape[2]) {
        arg_sum(b, emit_sum(b, 0, -1), (int64_t)c.blocks, (int64_t)c.channels, &place, &pairs,
                a->at.transposed, io->accumulate);
        return TDM_OK;
    }
    arg_sum(b, emit_sum(b, 0, sums), (int64_t)c.blocks, (int64_t)c.channels, &list, &list, false,
            false);
    arg_sum(b, emit_sum(b, (uint64_t)sums, -1), (int64_t)c.channels, 1, &place, &pairs,
            a->at.transposed, io->accumulate);
    return TDM_OK;
}

/* ---- gradient ----------------------------------------------------------------------------------
 */

static tdm_value gradient_of_weights(tdm_graph *g, const tdm__node_view *node, const tdm_value *dy,
                                     int outputs)
{
    const mix_attrs *a = node->io->attrs;
    const tdm_desc *w = &node->io->in[W];
    mix_grad_attrs attr = {.at = *a, .outputs = outputs};
    for (int i = 0; i < w->rank; i++) attr.shape[i] = w->dim[i];
    tdm_value in[TDM_MIX_INPUTS + MOST];
    int n = 0;
    for (int o = 0; o < outputs; o++) in[n++] = dy[o];
    for (int s = X; s < node->io->n_in; s++) in[n++] = node->in[s];
    return tdm__graph_node(g, &tdm__op_mix_grad, in, n, &attr);
}

/* din[s] = sum_o w(o, s) dy[o], by nodes of up to MOST inputs. */
static void combine_back(tdm_graph *g, const mix_attrs *a, tdm_value w, const tdm_value *dy,
                         int outputs, int inputs, const bool *need, tdm_value *din)
{
    tdm_value in[1 + MOST] = {w};
    for (int o = 0; o < outputs; o++) in[X + o] = dy[o];
    for (int s = 0; s < inputs; s += MOST) {
        const int n = inputs - s < MOST ? inputs - s : MOST;
        const mix_attrs back = {a->in_first + s, a->out_first, !a->transposed};
        bool any = false;
        for (int i = 0; i < n; i++) any |= need[s + i];
        if (!any) continue;
        const tdm_value dx = tdm__graph_node(g, mix_of(n), in, X + outputs, &back);
        for (int i = 0; i < n; i++)
            if (need[s + i]) din[s + i] = dx < 0 ? TDM_NO_VALUE : dx + i;
    }
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const int outputs = node->io->n_out;
    tdm_value dy[MOST];
    for (int o = 0; o < outputs; o++) /* one that nothing is made of */
        dy[o] = dout[o] >= 0 ? dout[o] : tdm_graph_constant(g, node->io->out[o], 0);
    if (need[W]) din[W] = gradient_of_weights(g, node, dy, outputs);
    combine_back(g, node->io->attrs, node->in[W], dy, outputs, node->io->n_in - X, need + X,
                 din + X);
    return tdm_graph_status(g);
}

/* Of the products themselves: both kinds of inputs are combined, by the products' gradients. */
static tdm_status gradient_of_products(tdm_graph *g, const tdm__node_view *node,
                                       const tdm_value *dout, const bool *need, tdm_value *din)
{
    const mix_grad_attrs *a = node->io->attrs;
    const int outputs = a->outputs, inputs = node->io->n_in - outputs;
    tdm_value in[1 + TDM_MIX_INPUTS] = {dout[0]};
    bool any = false;
    for (int o = 0; o < outputs; o++) any |= need[o];
    for (int s = 0; s < inputs; s++) in[X + s] = node->in[outputs + s];
    const tdm_value dy =
        any ? tdm__graph_node(g, mix_of(outputs), in, X + inputs, &a->at) : TDM_NO_VALUE;
    for (int o = 0; o < outputs; o++)
        if (need[o]) din[o] = dy < 0 ? TDM_NO_VALUE : dy + o;
    combine_back(g, &a->at, dout[0], node->in, outputs, inputs, need + outputs, din + outputs);
    return tdm_graph_status(g);
}

/* ---- tables ------------------------------------------------------------------------------------
 */

static const tdm__variant variants[] = {{"launches", TDM__ON_ANY, .prepare = prepare}};
static const tdm__variant grad_variants[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace_grad, .prepare = prepare_grad}};

static const mix_attrs plain = {0, 0, false}, back = {0, 0, true}, inner = {1, 2, false},
                       inner_back = {1, 2, true};

/* What can be done with any number of outputs. */
#define SAMPLES(n)                                                                                 \
    {"one input", &plain, 2, {TDM__F32(n, 1), TDM__F32(2, 3, 5, 7)}},                              \
        {"c15", &plain, 3, {TDM__F32(n, 2), TDM__F32(3, 15), TDM__F32(3, 15)}},                    \
        {"channels c17", &plain, 3, {TDM__F32(n, 2, 17), TDM__F32(2, 3, 17), TDM__F32(2, 3, 17)}}, \
        {"two spans", &plain, 3, {TDM__F32(n, 2), TDM__F32(521, 37), TDM__F32(521, 37)}},          \
        {"channels, two items",                                                                    \
         &plain,                                                                                   \
         3,                                                                                        \
         {TDM__F32(n, 2, 37), TDM__F32(521, 37), TDM__F32(521, 37)}},                              \
        {"five inputs",                                                                            \
         &back,                                                                                    \
         6,                                                                                        \
         {TDM__F32(5, n), TDM__F32(4, 16), TDM__F32(4, 16), TDM__F32(4, 16), TDM__F32(4, 16),      \
          TDM__F32(4, 16)}},                                                                       \
        {"of a part", &inner, 3, {TDM__F32(6, 5), TDM__F32(31), TDM__F32(31)}},                    \
    {                                                                                              \
        "channels of a part, transposed", &inner_back, 3,                                          \
        {                                                                                          \
            TDM__F32(4, 6, 5), TDM__F32(7, 5), TDM__F32(7, 5)                                      \
        }                                                                                          \
    }

#define MIX(n)                                                                                     \
    static const tdm__sample samples_##n[] = {SAMPLES(n)};                                         \
    const tdm_op tdm__op_mix_##n = {                                                               \
        .name = "mix_" #n,                                                                         \
        .attr_size = sizeof(mix_attrs),                                                            \
        TDM__ATTRS(attrs),                                                                         \
        .min_in = 2,                                                                               \
        .max_in = -1,                                                                              \
        .n_out = n,                                                                                \
        .differentiable = ~0u,                                                                     \
        .out_gradient = (1u << n) - 1,                                                             \
        .infer = infer,                                                                            \
        .gradient = gradient,                                                                      \
        .reference = reference,                                                                    \
        TDM__TABLES(variants, samples_##n, rejects),                                               \
    };

static const tdm__reject rejects[] = {
    {"shapes",
     &plain,
     3,
     {TDM__F32(4, 2), TDM__F32(3, 5), TDM__F32(5, 3)},
     TDM_ERR_SHAPE,
     "x: must be f32[3,5] like the first x, got f32[5,3]"},
    {"weights",
     &plain,
     2,
     {TDM__F32(4, 1, 3), TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "w: must be (outputs, inputs) or (outputs, inputs, 5), got f32[4,1,3]"},
    {"inputs",
     &plain,
     3,
     {TDM__F32(4, 1), TDM__F32(3, 5), TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "w: has no inputs 0 to 1 along axis 1: it has 1"},
};
MIX(1)
MIX(2)
MIX(3)
MIX(4)

static const tdm_op *mix_of(int outputs)
{
    static const tdm_op *const ops[MOST] = {&tdm__op_mix_1, &tdm__op_mix_2, &tdm__op_mix_3,
                                            &tdm__op_mix_4};
    return ops[outputs - 1];
}

static const mix_grad_attrs whole_2 = {{0, 0, false}, 2, {2, 2, 0}},
                            channels_2 = {{0, 0, false}, 2, {2, 2, 37}},
                            part_1 = {{1, 2, false}, 1, {3, 7, 0}},
                            back_2 = {{1, 0, true}, 2, {5, 4, 16}},
                            none = {{0, 0, false}, 2, {2, 2, 0}};
static const tdm__sample grad_samples[] = {
    {"2x2 c15", &whole_2, 4, {TDM__F32(3, 15), TDM__F32(3, 15), TDM__F32(3, 15), TDM__F32(3, 15)}},
    {"2x2 whole vectors",
     &whole_2,
     4,
     {TDM__F32(8, 9, 8), TDM__F32(8, 9, 8), TDM__F32(8, 9, 8), TDM__F32(8, 9, 8)}},
    {"2x2 blocks",
     &whole_2,
     4,
     {TDM__F32(1021, 37), TDM__F32(1021, 37), TDM__F32(1021, 37), TDM__F32(1021, 37)}},
    {"2x2 channels",
     &channels_2,
     4,
     {TDM__F32(1021, 37), TDM__F32(1021, 37), TDM__F32(1021, 37), TDM__F32(1021, 37)}},
    {"1x5 of 3x7",
     &part_1,
     6,
     {TDM__F32(2, 17), TDM__F32(2, 17), TDM__F32(2, 17), TDM__F32(2, 17), TDM__F32(2, 17),
      TDM__F32(2, 17)}},
    {"2x5 transposed, channels",
     &back_2,
     7,
     {TDM__F32(2, 3, 16), TDM__F32(2, 3, 16), TDM__F32(2, 3, 16), TDM__F32(2, 3, 16),
      TDM__F32(2, 3, 16), TDM__F32(2, 3, 16), TDM__F32(2, 3, 16)}},
};
static const tdm__reject grad_rejects[] = {
    {"no x",
     &none,
     2,
     {TDM__F32(3, 5), TDM__F32(3, 5)},
     TDM_ERR_SHAPE,
     "outputs: must be 1 to 4 and leave an x, got 2 of 2"},
    {"shapes",
     &none,
     3,
     {TDM__F32(3, 5), TDM__F32(3, 5), TDM__F32(5, 3)},
     TDM_ERR_SHAPE,
     "x: must be f32[3,5] like the first dy, got f32[5,3]"},
};

const tdm_op tdm__op_mix_grad = {
    .name = "mix_grad",
    .attr_size = sizeof(mix_grad_attrs),
    TDM__ATTRS(grad_attrs),
    .min_in = 2,
    .max_in = -1,
    .n_out = 1,
    .differentiable = ~0u,
    .out_gradient = 1,
    .can_accumulate = true,
    .infer = infer_grad,
    .gradient = gradient_of_products,
    .reference = reference_grad,
    TDM__TABLES(grad_variants, grad_samples, grad_rejects),
};

tdm_status tdm_mix(tdm_graph *g, const tdm_value *x, int n, tdm_value w, tdm_value *y, int outputs)
{
    tdm_value in[1 + TDM_MIX_INPUTS] = {w};
    for (int o = 0; o < outputs; o++) y[o] = TDM_NO_VALUE;
    if (n < 1 || n > TDM_MIX_INPUTS || outputs < 1) {
        tdm_graph_fail(g, TDM_ERR_SHAPE,
                       "mix: takes 1 to %d inputs and gives at least one output, "
                       "got %d and %d",
                       TDM_MIX_INPUTS, n, outputs);
        return tdm_graph_status(g);
    }
    for (int s = 0; s < n; s++) in[X + s] = x[s];
    for (int first = 0; first < outputs; first += MOST) {
        const int many = outputs - first < MOST ? outputs - first : MOST;
        const mix_attrs at = {.out_first = first};
        const tdm_value made = tdm__op_append(g, mix_of(many), in, X + n, &at);
        for (int o = 0; o < many; o++) y[first + o] = made < 0 ? TDM_NO_VALUE : made + o;
    }
    return tdm_graph_status(g);
}

tdm_value tdm_products(tdm_graph *g, const tdm_value *a, int n, const tdm_value *b, int m,
                       bool per_channel)
{
    tdm_value in[MOST + TDM_MIX_INPUTS], sum = TDM_NO_VALUE;
    if (n < 1 || m < 1 || m > TDM_MIX_INPUTS)
        return tdm_graph_fail(g, TDM_ERR_SHAPE,
                              "products: takes at least one tensor and 1 to %d others, got %d and "
                              "%d",
                              TDM_MIX_INPUTS, n, m);
    const tdm_desc *d = tdm_graph_desc(g, a[0]);
    if (!d) return TDM_NO_VALUE;
    const int64_t channels = d->rank ? d->dim[d->rank - 1] : 1;
    for (int first = 0; first < n; first += MOST) {
        const int many = n - first < MOST ? n - first : MOST;
        const mix_grad_attrs attr = {.at = {.out_first = first},
                                     .outputs = many,
                                     .shape = {n, m, per_channel ? channels : 0}};
        for (int i = 0; i < many; i++) in[i] = a[first + i];
        for (int i = 0; i < m; i++) in[many + i] = b[i];
        const tdm_value part = tdm__op_append(g, &tdm__op_mix_grad, in, many + m, &attr);
        sum = first == 0 ? part : tdm_add(g, sum, part);
    }
    return sum;
}

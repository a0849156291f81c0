/* ops/batch_norm.c: batch normalisation with the batch's statistics (Ioffe, Szegedy, ICML 2015),
 * per channel (last axis): y = (x - mean) invstd gamma + beta, with the biased variance; the
 * running statistics r move to (1 - momentum) r + momentum * (mean, unbiased variance), as with
 * PyTorch. cl/batch_norm.cl has the formulas of the statistics. */
#include <math.h>
#include <stddef.h>

#include <tandem/ops.h>

#include "ops/channels.h"

enum { X, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, COUNTER };              /* inputs */
enum { Y, MEAN, INVSTD, NEW_RUNNING_MEAN, NEW_RUNNING_VAR, NEW_COUNTER }; /* outputs */

static const tdm__attr attrs[] = {{"eps", 'f', offsetof(tdm_batch_norm_attrs, eps), 1},
                                  {"momentum", 'f', offsetof(tdm_batch_norm_attrs, momentum), 1}};

/* ---- forward --------------------------------------------------------------------------------- */

static tdm_status check_attrs(const tdm_batch_norm_attrs *a)
{
    if (!(a->eps >= 0 && a->eps <= 1))
        return tdm__fail(TDM_ERR_SHAPE, "eps: must be 0 to 1, got %g", (double)a->eps);
    if (!(a->momentum > 0 && a->momentum <= 1))
        return tdm__fail(TDM_ERR_SHAPE, "momentum: must be above 0 and at most 1, got %g",
                         (double)a->momentum);
    return TDM_OK;
}

static tdm_status expect_batch(const tdm__io *io, int input, const char *name)
{
    uint64_t rows, channels;
    char text[96];
    tdm_status status = tdm__expect(io, input, name, TDM_F32, -1);
    if (status) return status;
    tdm__rows(&io->in[input], &rows, &channels);
    if (io->in[input].rank < 2 || rows < 2)
        return tdm__fail(TDM_ERR_SHAPE,
                         "%s: must have more than 1 value per channel when training, got %s", name,
                         tdm_desc_text(&io->in[input], text, sizeof text));
    return TDM_OK;
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    static const char *const names[] = {"x", "gamma", "beta", "running_mean", "running_var"};
    tdm_status status = TDM_OK;
    char text[96];
    TDM_TRY(check_attrs(io->attrs));
    TDM_TRY(expect_batch(io, X, names[X]));
    for (int i = GAMMA; i <= RUNNING_VAR; i++) TDM_TRY(tdm__expect_channels(io, i, names[i], X));
    const tdm_desc *counter = &io->in[COUNTER];
    if (counter->dtype != TDM_NONE && (counter->dtype != TDM_F32 || tdm_desc_count(counter) != 1))
        return tdm__fail(TDM_ERR_SHAPE, "counter: must be one f32, got %s",
                         tdm_desc_text(counter, text, sizeof text));
    out[Y] = io->in[X];
    for (int o = MEAN; o <= NEW_RUNNING_VAR; o++) out[o] = io->in[GAMMA];
    out[NEW_COUNTER] = *counter;
done:
    return status;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    tdm_value in[] = {dout[Y], node->in[X], node->in[GAMMA], node->out[MEAN], node->out[INVSTD]};
    tdm_value first = tdm__graph_node(g, &tdm__op_batch_norm_grad, in, 5, NULL);
    if (first == TDM_NO_VALUE) return tdm_graph_status(g);
    for (int i = X; i <= BETA; i++)
        if (need[i]) din[i] = first + i;
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const tdm_batch_norm_attrs *a = ref->io->attrs;
    double eps = (double)a->eps, momentum = (double)a->momentum;
    uint64_t rows, channels;
    tdm__rows(&ref->io->in[X], &rows, &channels);
    for (uint64_t c = 0; c < channels; c++) {
        const double *x = ref->in[X] + c;
        double *y = ref->out[Y] + c, mean = 0, squares = 0;
        for (uint64_t r = 0; r < rows; r++) mean += x[r * channels] / (double)rows;
        for (uint64_t r = 0; r < rows; r++)
            squares += (x[r * channels] - mean) * (x[r * channels] - mean);
        double invstd = 1 / sqrt(squares / (double)rows + eps);
        for (uint64_t r = 0; r < rows; r++)
            y[r * channels] =
                (x[r * channels] - mean) * invstd * ref->in[GAMMA][c] + ref->in[BETA][c];
        ref->out[MEAN][c] = mean;
        ref->out[INVSTD][c] = invstd;
        double *run_mean = &ref->out[NEW_RUNNING_MEAN][c], *run_var = &ref->out[NEW_RUNNING_VAR][c];
        *run_mean += momentum * (mean - *run_mean);
        *run_var += momentum * (squares / (double)(rows - 1) - *run_var);
    }
    if (ref->out[NEW_COUNTER]) ref->out[NEW_COUNTER][0] += 1;
}

/* The blocks' statistics [blocks][3][channels] and the first row, unless they came with x; then the
 * factor gamma invstd. */
static uint64_t statistics_bytes(const tdm__channels *c, const tdm__io *io,
                                 const tdm__traits *traits)
{
    const uint64_t bytes = io->blocks ? 0 : (c->blocks * 3 + 1) * c->channels * sizeof(float);
    return tdm__ceil_div(bytes, traits->align) * traits->align;
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__channels c = tdm__channels_of(&io->in[X]);
    return statistics_bytes(&c, io, traits) + c.channels * sizeof(float);
}

static void emit_statistics(tdm__build *b, const tdm__channels *c)
{
    double n = (double)(c->rows * c->channels);
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "batch_norm_stats", "");
    tdm__arg_in(k, X);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_u64(k, c->rows);
    tdm__arg_u64(k, c->block_rows);
    tdm__arg_i32(k, (int64_t)c->channels);
    tdm__channels_range(b, k, c);
    tdm__cost(k, 7 * n, 4 * n);
}

static void emit_merge(tdm__build *b, const tdm__channels *c, uint64_t factor)
{
    const tdm__io *io = tdm__build_io(b);
    const tdm_batch_norm_attrs *a = io->attrs;
    const uint64_t blocks = io->blocks ? io->blocks : c->blocks;
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "batch_norm_merge", "");
    if (io->blocks)
        tdm__arg_statistics(k);
    else
        tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_in(k, GAMMA);
    for (int o = MEAN; o <= NEW_COUNTER; o++) tdm__arg_out(k, o);
    tdm__arg_workspace(k, factor, sizeof(float));
    tdm__arg_u64(k, c->rows);
    tdm__arg_u64(k, blocks);
    tdm__arg_i32(k, (int64_t)c->channels);
    tdm__arg_f32(k, (double)a->eps);
    tdm__arg_f32(k, (double)a->momentum);
    tdm__arg_i32(k, io->blocks > 0);
    tdm__arg_i32(k, io->in[COUNTER].dtype != TDM_NONE);
    tdm__arg_i32(k, !io->pending);
    tdm__channels_merge_range(b, k, c);
    tdm__cost(k, 0, 12.0 * (double)(blocks * c->channels));
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__channels c = tdm__channels_of(&io->in[X]);
    const uint64_t factor = statistics_bytes(&c, io, tdm__build_traits(b));
    double n = (double)(c.rows * c.channels);
    if (!io->blocks) emit_statistics(b, &c);
    emit_merge(b, &c, factor);
    if (io->pending) return TDM_OK;
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "channel_affine_fwd", "");
    tdm__arg_in(k, X);
    tdm__arg_out(k, MEAN);
    tdm__arg_workspace(k, factor, sizeof(float));
    tdm__arg_in(k, BETA);
    tdm__arg_out(k, Y);
    tdm__arg_rows(b, k, c.rows, c.channels);
    tdm__arg_i32(k, (int64_t)c.channels);
    tdm__arg_i32(k, TDM__HAS_CENTRE | TDM__HAS_SHIFT);
    tdm__arg_i32(k, 0);
    tdm__arg_i32(k, io->epilogue.act);
    tdm__arg_f32(k, (double)io->epilogue.alpha);
    tdm__cost(k, 3 * n, 8 * n);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace, .prepare = prepare}};

static const tdm_batch_norm_attrs usual = {1e-5f, 0.1f}, quick = {1e-3f, 1}, no_eps = {0, 0.5f},
                                  still = {1e-5f, 0}, negative = {-1e-5f, 0.1f};
#define PARAMS(c) TDM__F32(c), TDM__F32(c), TDM__F32(c), TDM__F32(c)
#define FILLS                                                                                      \
    {                                                                                              \
        0, TDM__FILL_POSITIVE, 0, 0, TDM__FILL_POSITIVE, TDM__FILL_POSITIVE                        \
    }
/* The mean of one channel near zero would be a difference of larger numbers. */
#define POSITIVE_FILLS                                                                             \
    {                                                                                              \
        TDM__FILL_POSITIVE, TDM__FILL_POSITIVE, 0, 0, TDM__FILL_POSITIVE                           \
    }
static const tdm__sample samples[] = {
    {"c15", &usual, 5, {TDM__F32(2, 3, 5, 15), PARAMS(15)}, FILLS},
    {"c16 counter", &usual, 6, {TDM__F32(2, 4, 4, 16), PARAMS(16), TDM__SCALAR}, FILLS},
    {"c17", &quick, 5, {TDM__F32(3, 2, 2, 17), PARAMS(17)}, FILLS},
    {"c1", &no_eps, 5, {TDM__F32(2, 7, 11, 1), PARAMS(1)}, POSITIVE_FILLS},
    {"rank 2", &usual, 6, {TDM__F32(31, 7), PARAMS(7), TDM__F32(1)}, FILLS},
    {"three rows", &usual, 5, {TDM__F32(3, 5), PARAMS(5)}, FILLS},
    {"three blocks", &usual, 5, {TDM__F32(3, 16, 15, 50), PARAMS(50)}, FILLS},
};

static const tdm__sample bench[] = {
    {"4x144x192x64", &usual, 5, {TDM__F32(4, 144, 192, 64), PARAMS(64)}, FILLS},
    {"128x512", &usual, 5, {TDM__F32(128, 512), PARAMS(512)}, FILLS},
};
static const tdm__reject rejects[] = {
    {"one value",
     &usual,
     5,
     {TDM__F32(1, 1, 1, 3), PARAMS(3)},
     TDM_ERR_SHAPE,
     "x: must have more than 1 value per channel when training, got f32[1,1,1,3]"},
    {"type", &usual, 5, {TDM__U8(2, 3), PARAMS(3)}, TDM_ERR_SHAPE, "x: must be f32, got u8[2,3]"},
    {"gamma",
     &usual,
     5,
     {TDM__F32(2, 3), PARAMS(2)},
     TDM_ERR_SHAPE,
     "gamma: must be f32[3], one per channel, got f32[2]"},
    {"counter",
     &usual,
     6,
     {TDM__F32(2, 3), PARAMS(3), TDM__F32(3)},
     TDM_ERR_SHAPE,
     "counter: must be one f32, got f32[3]"},
    {"momentum",
     &still,
     5,
     {TDM__F32(2, 3), PARAMS(3)},
     TDM_ERR_SHAPE,
     "momentum: must be above 0 and at most 1, got 0"},
    {"eps",
     &negative,
     5,
     {TDM__F32(2, 3), PARAMS(3)},
     TDM_ERR_SHAPE,
     "eps: must be 0 to 1, got -1e-05"},
};

/* An activation behind it is the epilogue's. */
static const tdm__recipe recipe = {
    .source = X, .scale = GAMMA, .shift = BETA, .centre = MEAN, .inverse = INVSTD};

const tdm_op tdm__op_batch_norm = {
    .name = "batch_norm",
    .attr_size = sizeof(tdm_batch_norm_attrs),
    TDM__ATTRS(attrs),
    .min_in = 5,
    .max_in = 6,
    .n_out = 6,
    .differentiable = 1u << X | 1u << GAMMA | 1u << BETA,
    .out_gradient = 1u << Y,
    .update = {0, 0, 0, RUNNING_MEAN + 1, RUNNING_VAR + 1, COUNTER + 1},
    .fuse = TDM__FUSE_ACT,
    .recipe = &recipe,
    .reads_statistics = true,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

/* ---- backward: dy, x, gamma, mean, invstd -> dx, dgamma, dbeta
 * ----------------------------------- With h = (x - mean) invstd: dbeta = sum dy, dgamma = sum dy
 * h, dx = gamma invstd (dy - dbeta / n - h dgamma / n), n values per channel. */

enum { G_DY, G_X, G_GAMMA, G_MEAN, G_INVSTD };
enum { G_DX, G_DGAMMA, G_DBETA };

static tdm_status infer_grad(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(expect_batch(io, G_DY, "dy"));
    TDM_TRY(tdm__expect_same(io, G_X, "x", G_DY, "dy"));
    TDM_TRY(tdm__expect_channels(io, G_GAMMA, "gamma", G_X));
    TDM_TRY(tdm__expect_channels(io, G_MEAN, "mean", G_X));
    TDM_TRY(tdm__expect_channels(io, G_INVSTD, "invstd", G_X));
    out[G_DX] = io->in[G_X];
    out[G_DGAMMA] = out[G_DBETA] = io->in[G_GAMMA];
done:
    return status;
}

static void reference_grad(const tdm__ref *ref)
{
    uint64_t rows, channels;
    tdm__rows(&ref->io->in[G_X], &rows, &channels);
    for (uint64_t c = 0; c < channels; c++) {
        const double *x = ref->in[G_X] + c, *dy = ref->in[G_DY] + c;
        double mean = ref->in[G_MEAN][c], invstd = ref->in[G_INVSTD][c], dbeta = 0, dgamma = 0;
        for (uint64_t i = 0; i < rows * channels; i += channels) {
            dbeta += dy[i];
            dgamma += dy[i] * (x[i] - mean) * invstd;
        }
        for (uint64_t i = 0; i < rows * channels; i += channels)
            ref->out[G_DX][i + c] +=
                ref->in[G_GAMMA][c] * invstd *
                (dy[i] - dbeta / (double)rows - (x[i] - mean) * invstd * dgamma / (double)rows);
        ref->out[G_DGAMMA][c] = dgamma;
        ref->out[G_DBETA][c] = dbeta;
    }
}

static uint64_t workspace_grad(const tdm__traits *traits, const tdm__io *io)
{
    tdm__channels c = tdm__channels_of(&io->in[G_X]);
    return tdm__channels_bytes(&c, traits) + 3 * c.channels * sizeof(float);
}

static tdm_status prepare_grad(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__channels c = tdm__channels_of(&io->in[G_X]);
    uint64_t coefficients = tdm__channels_bytes(&c, tdm__build_traits(b));
    double n = (double)(c.rows * c.channels);
    tdm__emit_channel_sums(b, &c, G_DY, G_X, G_MEAN);

    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "batch_norm_merge_grad", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_in(k, G_GAMMA);
    tdm__arg_in(k, G_INVSTD);
    tdm__arg_out(k, G_DGAMMA);
    tdm__arg_out(k, G_DBETA);
    tdm__arg_workspace(k, coefficients, sizeof(float));
    tdm__arg_u64(k, c.rows);
    tdm__arg_u64(k, c.blocks);
    tdm__arg_i32(k, (int64_t)c.channels);
    tdm__channels_merge_range(b, k, &c);
    tdm__cost(k, 0, 8.0 * (double)(c.blocks * c.channels));

    k = tdm__emit(b, "batch_norm.cl", "batch_norm_dx", "");
    tdm__arg_in(k, G_DY);
    tdm__arg_in(k, G_X);
    tdm__arg_in(k, G_MEAN);
    tdm__arg_workspace(k, coefficients, sizeof(float));
    tdm__arg_out(k, G_DX);
    tdm__arg_load(k);
    tdm__arg_rows(b, k, c.rows, c.channels);
    tdm__arg_i32(k, (int64_t)c.channels);
    tdm__arg_i32(k, io->accumulate);
    tdm__cost(k, 5 * n, 12 * n);
    return TDM_OK;
}

static const tdm__variant variants_grad[] = {
    {"blocks", TDM__ON_ANY, .workspace = workspace_grad, .prepare = prepare_grad}};

#define GRAD_PARAMS(c) TDM__F32(c), TDM__F32(c), TDM__F32(c)
#define GRAD_FILLS                                                                                 \
    {                                                                                              \
        0, 0, TDM__FILL_POSITIVE, 0, TDM__FILL_POSITIVE                                            \
    }
static const tdm__sample samples_grad[] = {
    {"c15", NULL, 5, {TDM__F32(2, 3, 5, 15), TDM__F32(2, 3, 5, 15), GRAD_PARAMS(15)}, GRAD_FILLS},
    {"c16", NULL, 5, {TDM__F32(2, 4, 4, 16), TDM__F32(2, 4, 4, 16), GRAD_PARAMS(16)}, GRAD_FILLS},
    {"c17", NULL, 5, {TDM__F32(3, 17), TDM__F32(3, 17), GRAD_PARAMS(17)}, GRAD_FILLS},
    {"c1", NULL, 5, {TDM__F32(2, 7, 11, 1), TDM__F32(2, 7, 11, 1), GRAD_PARAMS(1)}, GRAD_FILLS},
    {"three blocks", NULL, 5, {TDM__F32(720, 50), TDM__F32(720, 50), GRAD_PARAMS(50)}, GRAD_FILLS},
};

static const tdm__sample bench_grad[] = {
    {"4x144x192x64",
     NULL,
     5,
     {TDM__F32(4, 144, 192, 64), TDM__F32(4, 144, 192, 64), GRAD_PARAMS(64)},
     GRAD_FILLS},
    {"128x512", NULL, 5, {TDM__F32(128, 512), TDM__F32(128, 512), GRAD_PARAMS(512)}, GRAD_FILLS},
};
static const tdm__reject rejects_grad[] = {
    {"shapes",
     NULL,
     5,
     {TDM__F32(2, 3), TDM__F32(3, 3), GRAD_PARAMS(3)},
     TDM_ERR_SHAPE,
     "x: must be f32[2,3] like dy, got f32[3,3]"},
    {"mean",
     NULL,
     5,
     {TDM__F32(2, 3), TDM__F32(2, 3), TDM__F32(3), TDM__F32(2), TDM__F32(3)},
     TDM_ERR_SHAPE,
     "mean: must be f32[3], one per channel, got f32[2]"},
};

const tdm_op tdm__op_batch_norm_grad = {
    .name = "batch_norm_grad",
    .min_in = 5,
    .max_in = 5,
    .n_out = 3,
    .inplace = {G_DY + 1},
    .can_accumulate = true,
    .load_act_grad = G_DY + 1,
    .infer = infer_grad,
    .reference = reference_grad,
    TDM__TABLES(variants_grad, samples_grad, rejects_grad),
    TDM__BENCH(bench_grad),
};

tdm_value tdm_batch_norm_train(tdm_graph *g, tdm_value x, tdm_value gamma, tdm_value beta,
                               tdm_value running_mean, tdm_value running_var, tdm_value counter,
                               const tdm_batch_norm_attrs *a)
{
    tdm_value in[] = {x, gamma, beta, running_mean, running_var, counter};
    return tdm__op_append(g, &tdm__op_batch_norm, in, 6, a);
}

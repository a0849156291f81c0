/* model/sharing/sluice.c: sluice networks (Ruder, Bingel, Augenstein, Sogaard, AAAI 2019): each
 * task has a trunk of its own, below model.prefix.TASK, whose channels are split into K equal
 * subspaces (model.sluice_subspaces), some for what tasks share and some for what they do not.
 * Three things are learnt of the sharing:
 *
 *     alpha   after each block the T K subspaces of all columns are mixed by a T K x T K matrix,
 *             "sluice.alpha.<block>.weight", row and column t K + k: subspace k of task t
 *     beta    what a task's head reads is a mixture of its column's blocks,
 * "sluice.beta.<task>.weight" (1 x L): of those L whose values have the shape of the last one, from
 * that one backwards and a penalty that makes subspaces differ: lambda sum |G_i^T G_j|^2 over the
 * pairs i < j of subspaces of each layer, G_i the columns of its weight matrix (inputs x outputs)
 * that give subspace i (of transposed convolutions there is none)
 *
 * Both mixings begin with model.stitch_same of the own subspace, or the last block, and what is
 * left to 1 in equal parts of the others. Weight decay does not apply to them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    double same, lambda;
    int64_t subspaces;
} settings;

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    settings *s = out;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_float(config, "model.stitch_same", &s->same));
    TDM_TRY(tdm_config_float(config, "model.sluice_orthogonality", &s->lambda));
    TDM_TRY(tdm_config_int(config, "model.sluice_subspaces", &s->subspaces));
    if ((size_t)s->subspaces * model->n_heads > TDM_MIX_INPUTS)
        TDM_TRY(tdm_config_reject(config, "model.sluice_subspaces",
                                  "sluice mixes at most %d subspaces, %zu tasks have %zu (hint: "
                                  "fewer subspaces, or fewer tasks)",
                                  TDM_MIX_INPUTS, model->n_heads,
                                  (size_t)s->subspaces * model->n_heads));
done:
    return status;
}

/* A mixing's weight, in the net's scope. */
static tdm_value mixing_weight(const settings *s, tdm__net *net, int64_t rows, int64_t columns)
{
    const tdm__segment spec = {.name = (char[]){"weight"},
                               .disk = tdm_desc_2(TDM_F32, rows, columns),
                               .kind = TDM__SEGMENT_PARAM,
                               .init = TDM__INIT_DIAGONAL,
                               .init_value = columns > 1 ? s->same : 1,
                               .init_other =
                                   (1 - s->same) / (double)(columns > 1 ? columns - 1 : 1)};
    return tdm__net_variable_for(net, &spec);
}

/* ---- alpha -------------------------------------------------------------------------------------
 */

/* What the blocks of all columns gave: outputs[block * T + task]. */
typedef struct record {
    tdm_value *outputs;
    int blocks;
} record;

static void split(tdm__net *net, tdm_value x, int axis, int64_t n, int64_t width, tdm_value *parts)
{
    for (int64_t k = 0; k < n; k++)
        parts[k] = tdm_slice(net->graph, x, axis, k * width, (k + 1) * width);
}

static void mix_subspaces(const tdm__model *model, tdm__net *net, int block, tdm__column *columns)
{
    const settings *s = model->settings;
    tdm_status status = TDM_OK;
    tdm_value *parts = NULL, *mixed = NULL;
    const size_t n = model->n_heads, each = (size_t)s->subspaces;
    const int64_t channels = tdm__column_channels(net, &columns[0], "model.sharing: sluice");
    char scope[48];
    if (channels < 1) return;
    if (channels % s->subspaces) {
        tdm_graph_fail(
            net->graph, TDM_ERR_CONFIG,
            "model.sluice_subspaces: block %d of the trunk has %lld channels, which %lld "
            "subspaces do not divide",
            block, (long long)channels, (long long)s->subspaces);
        return;
    }
    const int axis = tdm_graph_desc(net->graph, columns[0].at.cursor.x)->rank - 1;
    snprintf(scope, sizeof scope, "sluice.alpha.%d", block);
    const size_t mark = tdm__net_push(net, scope);
    TDM_TRY(tdm__calloc_try(n * each, sizeof *parts, &parts));
    TDM_TRY(tdm__calloc_try(n * each, sizeof *mixed, &mixed));
    const tdm_value w = mixing_weight(s, net, (int64_t)(n * each), (int64_t)(n * each));
    for (size_t t = 0; t < n; t++)
        split(net, columns[t].at.cursor.x, axis, s->subspaces, channels / s->subspaces,
              parts + t * each);
    TDM_TRY(tdm_mix(net->graph, parts, (int)(n * each), w, mixed, (int)(n * each)));
    for (size_t t = 0; t < n; t++)
        tdm__column_replace(&columns[t], tdm_concat(net->graph, mixed + t * each, (int)each, axis));
done:
    tdm__net_pop(net, mark);
    free(parts);
    free(mixed);
    if (status) tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
}

static void after_block(const tdm__model *model, tdm__net *net, int block, tdm__column *columns,
                        void *user)
{
    record *r = user;
    const bool mixed = tdm__block_is_mixed(model, block);
    if (mixed) mix_subspaces(model, net, block, columns);
    for (size_t t = 0; t < model->n_heads; t++)
        r->outputs[(size_t)block * model->n_heads + t] = columns[t].at.cursor.x;
}

/* ---- beta --------------------------------------------------------------------------------------
 */

/* Blocks of the task's column whose values have the shape of `last`, backwards from that. */
static int like_last(const tdm__model *model, const tdm__net *net, const record *r, size_t task,
                     tdm_value last, tdm_value *out)
{
    const tdm_desc *shape = tdm_graph_desc(net->graph, last);
    int n = 0;
    bool found = false;
    for (int i = r->blocks - 1; i >= 0; i--) {
        const tdm_value x = r->outputs[(size_t)i * model->n_heads + task];
        found |= x == last;
        if (found && tdm_desc_equal(tdm_graph_desc(net->graph, x), shape)) out[n++] = x;
    }
    return n;
}

static tdm_value mix_blocks(const tdm__model *model, tdm__net *net, const record *r, size_t task,
                            tdm_value last)
{
    tdm_status status = TDM_OK;
    tdm_value *blocks = NULL, mixed = last;
    if (!tdm_graph_desc(net->graph, last)) return last;
    const size_t mark = tdm__net_push(net, "sluice.beta");
    const size_t inner = tdm__net_push(net, model->heads[task].name);
    TDM_TRY(tdm__calloc_try((size_t)r->blocks, sizeof *blocks, &blocks));
    const int n = like_last(model, net, r, task, last, blocks);
    if (n > 1)
        TDM_TRY(
            tdm_mix(net->graph, blocks, n, mixing_weight(model->settings, net, 1, n), &mixed, 1));
done:
    tdm__net_pop(net, inner);
    tdm__net_pop(net, mark);
    free(blocks);
    return status ? tdm_graph_fail(net->graph, status, "%s", tdm_last_error()) : mixed;
}

static void build_head(const tdm__model *model, tdm__net *net, const record *r, size_t task,
                       const tdm__column *column, tdm_value *prediction)
{
    tdm__features features = column->at.features;
    const tdm_value last = tdm__head_feature(model, task, &features);
    if (last >= 0) {
        const tdm_value mixed = mix_blocks(model, net, r, task, last);
        if (features.dense == last) features.dense = mixed;
        if (features.bottleneck == last) features.bottleneck = mixed;
    }
    *prediction = tdm__head_build(model, net, task, &features);
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    tdm_status status = TDM_OK;
    record r = {.blocks = tdm__model_blocks(model).all};
    tdm__column *columns = NULL;
    TDM_TRY(tdm__calloc_try((size_t)r.blocks * model->n_heads, sizeof *r.outputs, &r.outputs));
    columns = tdm__columns_build(model, net, x, after_block, &r);
    for (size_t t = 0; columns && t < model->n_heads; t++)
        if (!enabled || enabled[t]) build_head(model, net, &r, t, &columns[t], &predictions[t]);
done:
    free(columns);
    free(r.outputs);
    if (status) tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
}

/* ---- orthogonality -----------------------------------------------------------------------------
 */

/* |G_i^T G_j|^2 over the pairs of one layer, in all tasks, as terms that are means over the
 * products' elements. w: (.., outputs) */
static int pair_terms(const settings *s, tdm__net *net, tdm_value w, tdm_value *terms)
{
    tdm_graph *g = net->graph;
    const tdm_desc *d = tdm_graph_desc(g, w);
    if (!d) return 0;
    const int64_t outputs = d->dim[d->rank - 1], width = outputs / s->subspaces;
    const int64_t matrix[2] = {-1, outputs};
    const tdm_value zero = tdm_graph_constant(g, tdm_desc_2(TDM_F32, width, width), 0);
    int n = 0;
    w = tdm_reshape(g, w, 2, matrix);
    for (int64_t i = 0; i < s->subspaces; i++)
        for (int64_t j = i + 1; j < s->subspaces; j++) {
            const tdm_value a = tdm_slice(g, w, 1, i * width, (i + 1) * width);
            const tdm_value b = tdm_slice(g, w, 1, j * width, (j + 1) * width);
            terms[n++] = tdm_l2_loss(g, tdm_dense_product(g, a, b), zero, TDM_NO_VALUE);
        }
    return n;
}

static tdm_value penalty(const tdm__model *model, tdm__net *net)
{
    const settings *s = model->settings;
    tdm_status status = TDM_OK;
    tdm_value *terms = NULL, total = TDM_NO_VALUE;
    float *factors = NULL;
    int n = 0;
    const size_t pairs = (size_t)(s->subspaces * (s->subspaces - 1) / 2);
    if (model->n_heads < 2 || !(s->lambda > 0) || !pairs) return TDM_NO_VALUE;
    TDM_TRY(tdm__calloc_try(net->n_variables * pairs, sizeof *terms, &terms));
    TDM_TRY(tdm__calloc_try(net->n_variables * pairs, sizeof *factors, &factors));
    tdm_graph_push(net->graph, "orthogonality");
    for (size_t i = 0; i < net->n_variables; i++) {
        const tdm__segment *w = tdm__flat_segment(net->flat, net->variables[i].segment);
        const int64_t outputs = w->disk.rank ? w->disk.dim[0] : 0;
        if (!tdm__column_weight(model, w) || w->transposed || outputs % s->subspaces) continue;
        const int made = pair_terms(s, net, net->variables[i].value, terms + n);
        const double width = (double)(outputs / s->subspaces);
        for (int k = 0; k < made; k++) factors[n++] = (float)(s->lambda * width * width);
    }
    if (n > 0) total = tdm_weighted_sum(net->graph, terms, factors, n);
    tdm_graph_pop(net->graph);
done:
    free(terms);
    free(factors);
    return status ? tdm_graph_fail(net->graph, status, "%s", tdm_last_error()) : total;
}

static const char *const options[] = {"model.stitch_same", "model.sluice_subspaces",
                                      "model.sluice_orthogonality", NULL};

const tdm__sharing tdm__sharing_sluice = {
    .name = "sluice",
    .options = options,
    .why_not_one = "gives each task a trunk of its own",
    .settings_size = sizeof(settings),
    .read = read,
    .build = build,
    .penalty = penalty,
};

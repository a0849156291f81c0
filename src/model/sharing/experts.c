/* model/sharing/experts.c: mixtures of experts. An expert is a copy of the trunk, or of its last
 * model.expert_blocks blocks above a shared lower part. What a task's head reads is the sum of
 * experts weighed, sample by sample, by the softmax of a linear map (the task's gate).
 *
 *   mmoe (Ma et al., KDD 2018): K experts, each for all tasks:
 *     prefix.experts.K, prefix.gates.TASK
 *   cgc (Tang et al., RecSys 2020): shared experts, and some of a task's own that no other task
 * reads: prefix.shared_experts.K, prefix.task_experts.TASK.K, prefix.gates.TASK ple (the same):
 * such levels on top of each other, each of some of the blocks. Below the last level shared experts
 * read a mixture of all experts of the level before, a task's own read its mixture:
 *     prefix.levels.L. before those names, and prefix.levels.L.shared_gate
 *
 * A task's own experts come first in its gate. A gate reads the network's input (model.gate:
 * input), a vector of all its pixels, or the mean over the pixels of what the experts read
 * (shared); above the first level of ple always the latter. It is Sequential(Flatten or mean,
 * Linear without bias, Softmax) in PyTorch: "gates.TASK.1.weight". */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    int64_t shared, own, levels; /* experts per level: for all, of each task */
    int first;                   /* block that the experts begin with */
    bool pooled;                 /* gates read what the experts do */
    bool named_levels;
    const char *shared_name;
} settings;

/* ---- options -----------------------------------------------------------------------------------
 */

static tdm_status read_blocks(const tdm_config *config, const tdm__model *model, settings *s)
{
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    const char *gate;
    int64_t last;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_int(config, "model.expert_blocks", &last));
    TDM_TRY(tdm_config_string(config, "model.gate", &gate));
    s->pooled = !strcmp(gate, "shared");
    if (last > blocks.all)
        TDM_TRY(tdm_config_reject(config, "model.expert_blocks", "the trunk '%s' has %d blocks",
                                  model->trunk_name, blocks.all));
    s->first = last ? blocks.all - (int)last : 0;
    if (s->pooled && s->first == 0)
        TDM_TRY(
            tdm_config_reject(config, "model.gate",
                              "the experts are whole trunks, there is no shared part below them "
                              "(hint: model.expert_blocks, or model.gate: input)"));
done:
    return status;
}

static tdm_status read_mmoe(const tdm_config *config, const tdm__model *model, void *out)
{
    settings *s = out;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_int(config, "model.experts", &s->shared));
    TDM_TRY(read_blocks(config, model, s));
    s->levels = 1;
    s->shared_name = "experts";
done:
    return status;
}

static tdm_status read_cgc(const tdm_config *config, const tdm__model *model, void *out)
{
    settings *s = out;
    tdm_status status = TDM_OK;
    TDM_TRY(read_mmoe(config, model, out));
    TDM_TRY(tdm_config_int(config, "model.task_experts", &s->own));
    s->shared_name = "shared_experts";
done:
    return status;
}

static tdm_status read_ple(const tdm_config *config, const tdm__model *model, void *out)
{
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    settings *s = out;
    tdm_status status = TDM_OK;
    TDM_TRY(read_cgc(config, model, out));
    TDM_TRY(tdm_config_int(config, "model.levels", &s->levels));
    s->named_levels = true;
    if (blocks.encoder != blocks.all)
        TDM_TRY(tdm_config_reject(config, "model.sharing",
                                  "ple mixes what experts give between blocks, but the decoder of "
                                  "the trunk '%s' reads maps or pooling indices of each level of "
                                  "its encoder (hint: mmoe or cgc; ple works with lists of layers, "
                                  "cnn and ResNets)",
                                  model->trunk_name));
    if (s->levels > blocks.all - s->first)
        TDM_TRY(tdm_config_reject(config, "model.levels",
                                  "%d blocks are not enough for %d levels of experts",
                                  blocks.all - s->first, (int)s->levels));
done:
    return status;
}

/* ---- building ----------------------------------------------------------------------------------
 */

/* What experts begin with, and what a gate over them reads: of a task, or of all. */
typedef struct stream {
    tdm__column at;
    tdm_value gate; /* (N,...) */
} stream;

typedef struct mixer {
    const tdm__model *model;
    const settings *s;
    tdm__net *net;
    stream *streams;      /* per task; then the shared one */
    tdm__column *experts; /* of the level: per task its own; then the shared ones */
    tdm_value *terms;     /* scratch: as many */
} mixer;

static size_t own_count(const mixer *m)
{
    return (size_t)m->s->own * m->model->n_heads;
}

/* prefix.PARTS... pushed onto the scope as one name; pop with what is returned. */
static size_t push_part(const mixer *m, int level, const char *part, const char *task)
{
    tdm__str name = {0};
    if (*m->model->prefix) tdm__str_addf(&name, "%s.", m->model->prefix);
    if (m->s->named_levels) tdm__str_addf(&name, "levels.%d.", level);
    tdm__str_add(&name, part);
    if (task) tdm__str_addf(&name, ".%s", task);
    const size_t mark = tdm__net_push(m->net, tdm__str_text(&name));
    tdm__str_free(&name);
    return mark;
}

/* The weights (N,n) of a stream's n experts. */
static tdm_value build_gate(const mixer *m, int level, size_t of, int64_t n)
{
    tdm_graph *g = m->net->graph;
    tdm_value x = m->streams[of].gate;
    const tdm_desc *d = tdm_graph_desc(g, x);
    if (!d) return TDM_NO_VALUE;
    const bool flattens = d->rank == 4;
    const int64_t chw[3] = {flattens ? d->dim[3] : 0, d->dim[1], d->dim[2]};
    const int64_t to[2] = {d->dim[0], -1};
    const bool all = of == m->model->n_heads;
    const size_t mark = all ? push_part(m, level, "shared_gate", NULL)
                            : push_part(m, level, "gates", m->model->heads[of].name);
    if (flattens) x = tdm_reshape(g, x, 2, to);
    x = tdm__layer_dense(m->net, "1", x, n, false, flattens ? chw : NULL);
    x = tdm_softmax(g, x);
    tdm__net_pop(m->net, mark);
    return x;
}

static tdm_value pool_pixels(tdm_graph *g, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(g, x);
    return d && d->rank == 4 ? tdm_global_avg_pool(g, x) : x;
}

/* The experts first..first + n - 1 of `blocks` begin..end - 1, from what the stream has. */
static void build_experts(const mixer *m, int level, size_t of, size_t first, size_t n, int begin,
                          int end)
{
    const bool all = of == m->model->n_heads;
    for (size_t k = 0; k < n; k++) {
        tdm__column *expert = &m->experts[first + k];
        tdm__str name = {0};
        if (m->s->named_levels) tdm__str_addf(&name, "levels.%d.", level);
        tdm__str_add(&name, all ? m->s->shared_name : "task_experts");
        if (!all) tdm__str_addf(&name, ".%s", m->model->heads[of].name);
        tdm__str_addf(&name, ".%zu", k);
        *expert = m->streams[of].at;
        expert->name = tdm__str_text(&name);
        for (int i = begin; i < end; i++) tdm__column_block(m->model, m->net, i, expert);
        expert->name = NULL;
        tdm__str_free(&name);
    }
}

/* What an expert gives for a stream: what its next blocks read, or what the task's head does. */
static tdm_value term_of(const mixer *m, const tdm__column *expert, size_t of, bool last)
{
    return last ? tdm__head_feature(m->model, of, &expert->at.features) : expert->at.cursor.x;
}

/* The mixture of the stream's experts. A feature that is the same of all comes from below them. */
static tdm_value mix(const mixer *m, int level, size_t of, bool last)
{
    const size_t own = (size_t)m->s->own, own_all = own_count(m);
    const bool all = of == m->model->n_heads;
    size_t n = 0;
    for (size_t k = 0; k < (all ? own_all : own); k++)
        m->terms[n++] = term_of(m, &m->experts[(all ? 0 : of * own) + k], of, last);
    for (size_t k = 0; k < (size_t)m->s->shared; k++)
        m->terms[n++] = term_of(m, &m->experts[own_all + k], of, last);
    bool same = true;
    for (size_t k = 1; k < n; k++) same = same && m->terms[k] == m->terms[0];
    if (same) return m->terms[0];
    return tdm_mixture(m->net->graph, build_gate(m, level, of, (int64_t)n), m->terms, (int)n);
}

/* The streams of the level above. */
static void rise(const mixer *m, int level)
{
    const size_t n = m->model->n_heads + 1;
    for (size_t of = 0; of < n; of++) {
        stream *s = &m->streams[of];
        const size_t any =
            of < m->model->n_heads && m->s->own ? of * (size_t)m->s->own : own_count(m);
        const tdm_value x = mix(m, level, of, false);
        s->at = m->experts[any];
        tdm__column_replace(&s->at, x);
        s->gate = pool_pixels(m->net->graph, x);
    }
}

static void build_level(const mixer *m, int level, const bool *enabled, tdm_value *predictions)
{
    const tdm__trunk_blocks blocks = tdm__model_blocks(m->model);
    const int n = blocks.all - m->s->first, levels = (int)m->s->levels;
    const int begin = m->s->first + n * level / levels,
              end = m->s->first + n * (level + 1) / levels;
    const size_t tasks = m->model->n_heads;
    const bool last = level == levels - 1;
    for (size_t t = 0; t < tasks; t++)
        if (!last || !enabled || enabled[t])
            build_experts(m, level, t, t * (size_t)m->s->own, (size_t)m->s->own, begin, end);
    build_experts(m, level, tasks, own_count(m), (size_t)m->s->shared, begin, end);
    if (!last) {
        rise(m, level);
        return;
    }
    for (size_t t = 0; t < tasks; t++) {
        if (enabled && !enabled[t]) continue;
        const tdm_value x = mix(m, level, t, true);
        predictions[t] = tdm__head_build(m->model, m->net, t, &(tdm__features){x, x});
    }
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    mixer m = {.model = model, .s = model->settings, .net = net};
    const size_t tasks = model->n_heads, experts = own_count(&m) + (size_t)m.s->shared;
    tdm__column below;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(tasks + 1, sizeof *m.streams, &m.streams));
    TDM_TRY(tdm__calloc_try(experts, sizeof *m.experts, &m.experts));
    TDM_TRY(tdm__calloc_try(experts, sizeof *m.terms, &m.terms));
    tdm__column_begin(&below, NULL, x);
    for (int i = 0; i < m.s->first; i++) tdm__column_block(model, net, i, &below);
    const tdm_value gate = m.s->pooled ? pool_pixels(net->graph, below.at.cursor.x) : x;
    for (size_t of = 0; of <= tasks; of++) m.streams[of] = (stream){below, gate};
    for (int level = 0; level < (int)m.s->levels; level++)
        build_level(&m, level, enabled, predictions);
done:
    if (status) tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
    free(m.streams);
    free(m.experts);
    free(m.terms);
}

/* ---- the three ---------------------------------------------------------------------------------
 */

static const char *const options_mmoe[] = {"model.experts", "model.expert_blocks", "model.gate",
                                           NULL};
static const char *const options_cgc[] = {"model.experts", "model.task_experts",
                                          "model.expert_blocks", "model.gate", NULL};
static const char *const options_ple[] = {"model.experts",       "model.task_experts",
                                          "model.expert_blocks", "model.gate",
                                          "model.levels",        NULL};

#define EXPERTS(id)                                                                                \
    const tdm__sharing tdm__sharing_##id = {                                                       \
        .name = #id,                                                                               \
        .options = options_##id,                                                                   \
        .why_not_one = "has a mixture of experts for each task",                                   \
        .settings_size = sizeof(settings),                                                         \
        .read = read_##id,                                                                         \
        .build = build,                                                                            \
    };
EXPERTS(mmoe)
EXPERTS(cgc)
EXPERTS(ple)

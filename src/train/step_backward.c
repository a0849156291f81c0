/* train/step_backward.c: the gradients of a step: of the total, or by task into rows that the host
 * combines; and what the parameters are to the tasks: shared, or how heads read the features. */
#include "train/step_internal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "model/sharing.h"

/* What the gradient of a task's term is multiplied by, as a scalar. */
static tdm_value factor_of(tdm__step_graph *b, size_t task)
{
    tdm_graph *g = b->net.graph;
    const tdm__session *s = b->s;
    if (b->total.factors < 0)
        return tdm_graph_constant(
            g, tdm_desc_scalar(),
            s->balance.kind == TDM__BALANCE_FIXED ? (float)s->tasks[task].weight : 1.0f);
    return tdm_reshape(g, tdm_slice(g, b->total.factors, 0, (int64_t)task, (int64_t)task + 1), 0,
                       NULL);
}

/* What is differentiated, and by what. */
typedef struct learnt {
    tdm_value *wrt;
    size_t *segments, n;
} learnt;

static void learnt_free(learnt *l)
{
    free(l->wrt);
    free(l->segments);
}

static tdm_status find_learnt(const tdm__step_graph *b, learnt *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(b->net.n_variables, sizeof *out->wrt, &out->wrt));
    TDM_TRY(tdm__calloc_try(b->net.n_variables, sizeof *out->segments, &out->segments));
    for (size_t i = 0; i < b->net.n_variables; i++) {
        const tdm__segment *segment = tdm__flat_segment(b->s->flat, b->net.variables[i].segment);
        if (segment->kind != TDM__SEGMENT_PARAM || segment->frozen) continue;
        out->wrt[out->n] = b->net.variables[i].value;
        out->segments[out->n++] = b->net.variables[i].segment;
    }
done:
    return status;
}

/* Of the total, by its derivatives; or of each task's loss times its factor, which stays behind.
 * And of the penalty. */
static tdm_status differentiate(tdm__step_graph *b, const learnt *l, tdm_value *gradients)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = b->net.graph;
    const size_t n_tasks = b->s->n_tasks;
    tdm_value *outs = NULL, *factors = NULL;
    size_t used = 0;
    TDM_TRY(tdm__calloc_try(n_tasks + 1, sizeof *outs, &outs));
    TDM_TRY(tdm__calloc_try(n_tasks + 1, sizeof *factors, &factors));
    if (b->total.factors < 0) {
        outs[used] = b->total.loss;
        factors[used++] = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    }
    for (size_t t = 0; t < n_tasks && b->total.factors >= 0; t++) {
        if (b->terms[t] < 0) continue;
        outs[used] = b->terms[t];
        factors[used++] = factor_of(b, t);
    }
    if (b->penalty >= 0) {
        outs[used] = b->penalty;
        factors[used++] = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    }
    TDM_TRY(tdm_graph_status(g));
    TDM_TRY(tdm__graph_gradients_from(g, outs, factors, used, l->wrt, l->n, gradients));
done:
    free(outs);
    free(factors);
    return status;
}

/* The gradients of each task's term by itself: gradients[t * l->n + i]. reached (l->n): by how many
 * tasks. */
static tdm_status differentiate_by_task(tdm__step_graph *b, const learnt *l, tdm_value *gradients,
                                        size_t *reached)
{
    tdm_status status = TDM_OK;
    for (size_t t = 0; t < b->s->n_tasks; t++) {
        tdm_value *of_task = gradients + t * l->n;
        for (size_t i = 0; i < l->n; i++) of_task[i] = TDM_NO_VALUE;
        if (b->terms[t] < 0) continue;
        const tdm_value factor = factor_of(b, t);
        TDM_TRY(tdm__graph_gradients_from(b->net.graph, &b->terms[t], &factor, 1, l->wrt, l->n,
                                          of_task));
        for (size_t i = 0; i < l->n; i++) reached[i] += of_task[i] >= 0;
    }
done:
    return status;
}

/* Each task's objective is its loss and its share of the penalty: where the tasks' gradients get
 * weights that sum to the number of tasks, the penalty counts as much as beside a sum of losses.
 * What one task alone reaches has all of its penalty. */
static tdm_status add_penalty(tdm__step_graph *b, const learnt *l, const size_t *reached,
                              tdm_value *gradients)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = b->net.graph;
    tdm_value *of_penalty = NULL;
    if (b->penalty < 0) return TDM_OK;
    const tdm_value one = tdm_graph_constant(g, tdm_desc_scalar(), 1);
    TDM_TRY(tdm__calloc_try(l->n + 1, sizeof *of_penalty, &of_penalty));
    TDM_TRY(tdm__graph_gradients_from(g, &b->penalty, &one, 1, l->wrt, l->n, of_penalty));
    for (size_t i = 0; i < l->n; i++) {
        if (of_penalty[i] < 0 || !reached[i]) continue;
        const tdm_value share = tdm_scale(g, of_penalty[i], 1 / (float)reached[i]);
        for (size_t t = 0; t < b->s->n_tasks; t++) {
            tdm_value *of_task = &gradients[t * l->n + i];
            if (*of_task >= 0) *of_task = tdm_add(g, *of_task, share);
        }
    }
    status = tdm_graph_status(g);
done:
    free(of_penalty);
    return status;
}

/* Where the gradient of a segment by a task goes: shared ones into rows, others to their place. */
static tdm__view gradient_home(tdm__session *s, size_t task, size_t segment)
{
    const tdm__view row = tdm__gradients_row(s->gradients, task, segment);
    return row.buffer ? row : tdm__flat_gradient_view(s->flat, segment);
}

/* What of `from` is shared (or not). */
static tdm_status select_learnt(const tdm__step_graph *b, const learnt *from, bool shared,
                                learnt *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(from->n + 1, sizeof *out->wrt, &out->wrt));
    TDM_TRY(tdm__calloc_try(from->n + 1, sizeof *out->segments, &out->segments));
    for (size_t i = 0; i < from->n; i++) {
        if (b->s->shared[from->segments[i]] != shared) continue;
        out->wrt[out->n] = from->wrt[i];
        out->segments[out->n++] = from->segments[i];
    }
done:
    return status;
}

/* The trunk's segments with rows, and those without. */
static tdm_status split_rows(const tdm__step_graph *b, const learnt *trunk, learnt *last,
                             learnt *below)
{
    tdm_status status = TDM_OK;
    learnt *const parts[] = {last, below};
    for (int k = 0; k < 2; k++) {
        TDM_TRY(tdm__calloc_try(trunk->n + 1, sizeof *parts[k]->wrt, &parts[k]->wrt));
        TDM_TRY(tdm__calloc_try(trunk->n + 1, sizeof *parts[k]->segments, &parts[k]->segments));
    }
    for (size_t i = 0; i < trunk->n; i++) {
        const bool has_row =
            b->s->gradients && tdm__gradients_row(b->s->gradients, 0, trunk->segments[i]).buffer;
        learnt *to = has_row ? last : below;
        to->wrt[to->n] = trunk->wrt[i];
        to->segments[to->n++] = trunk->segments[i];
    }
done:
    return status;
}

static void store_gradients(tdm__step_graph *b, const learnt *l, const tdm_value *gradients,
                            bool *has_gradient)
{
    for (size_t i = 0; i < l->n; i++) {
        if (gradients[i] < 0) continue;
        tdm__graph_store(b->net.graph, gradients[i],
                         tdm__flat_gradient_view(b->s->flat, l->segments[i]));
        has_gradient[l->segments[i]] = true;
    }
}

/* What the balancer reads of a step. */
static void store_balance(tdm__step_graph *b)
{
    const tdm__view losses = tdm__balancer_losses(b->s->balancer);
    if (b->total.factors >= 0)
        tdm__graph_store(b->net.graph, b->total.factors, tdm__balancer_factors(b->s->balancer));
    if (losses.buffer) tdm__graph_store(b->net.graph, b->total.losses, losses);
}

/* The last shared layer's gradients by one task, from the feature's. */
static tdm_status build_rows(tdm__step_graph *b, const learnt *last, size_t task,
                             tdm_value dfeature, tdm_value *gradients, bool *has_gradient)
{
    const tdm_status status = tdm__graph_gradients_from(b->net.graph, &b->net.feature, &dfeature, 1,
                                                        last->wrt, last->n, gradients);
    for (size_t i = 0; !status && i < last->n; i++) {
        const tdm__view row = tdm__gradients_row(b->s->gradients, task, last->segments[i]);
        if (gradients[i] < 0 || !row.buffer) continue;
        tdm__graph_store(b->net.graph, gradients[i], row);
        has_gradient[last->segments[i]] = true;
    }
    return status;
}

/* Whether the backward pass is split where the heads begin. */
static bool splits_at_feature(const tdm__session *s)
{
    return s->balance.kind == TDM__BALANCE_GRADNORM ||
           (s->balance.combine.representation && s->gradients) || s->balance.instances;
}

/* What the host makes of the tasks' gradients of the feature. */
static tdm_value combined_feature(tdm__step_graph *b)
{
    tdm_graph *g = b->net.graph;
    const tdm_desc desc = *tdm_graph_desc(g, b->net.feature);
    const tdm_value combined = tdm_graph_variable(g, "balance.combined", desc, false);
    tdm__graph_place(g, combined, tdm__gradients_combined(b->s->gradients));
    tdm__graph_await(g, combined);
    return combined;
}

/* Each sample's gradient of the feature by an auxiliary task counts by its cosine with the targets'
 * mean one (Du et al., 2018). dfeatures: by task. */
static void weigh_instances(tdm__step_graph *b, tdm_value *dfeatures)
{
    tdm_graph *g = b->net.graph;
    const tdm__session *s = b->s;
    tdm_value targets = TDM_NO_VALUE, cosine, zeros;
    for (size_t t = 0; t < s->n_tasks; t++)
        if (!s->tasks[t].auxiliary && dfeatures[t] >= 0)
            targets = targets < 0 ? dfeatures[t] : tdm_add(g, targets, dfeatures[t]);
    for (size_t t = 0; t < s->n_tasks && targets >= 0; t++) {
        if (!s->tasks[t].auxiliary || dfeatures[t] < 0) continue;
        tdm_graph_push(g, s->tasks[t].name);
        const tdm_value w = tdm_instance_weights(g, dfeatures[t], targets, &cosine, &zeros);
        dfeatures[t] = tdm_mixture(g, w, &dfeatures[t], 1);
        if (b->meter) tdm__meter_instances(b->meter, g, t, cosine, zeros, b->count);
        tdm_graph_pop(g);
    }
}

/* What becomes of the tasks' gradients of the feature: rows for the host, those of the last layer
 * too; *sum: what goes on through the trunk. */
static tdm_status join_at_feature(tdm__step_graph *b, const learnt *last,
                                  const tdm_value *dfeatures, tdm_value *gradients,
                                  bool *has_gradient, tdm_value *sum)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = b->net.graph;
    const bool representation = b->s->balance.combine.representation;
    for (size_t t = 0; t < b->s->n_tasks; t++) {
        const tdm_value dfeature = dfeatures[t];
        if (dfeature < 0) continue;
        if (representation) {
            tdm__graph_store(g, dfeature, tdm__gradients_representation_row(b->s->gradients, t));
            continue;
        }
        *sum = *sum < 0 ? dfeature : tdm_add(g, *sum, dfeature);
        if (last->n) TDM_TRY(build_rows(b, last, t, dfeature, gradients, has_gradient));
    }
    if (representation) *sum = combined_feature(b);
done:
    return status;
}

/* The heads' backward passes end at the feature that they all read. From there: GradNorm: the last
 * shared layer's gradients, by each task, into rows, and those of everything below, of their sum.
 * Of the representation: its own gradients, by each task, into rows, and those of everything below,
 * of their combination (GradNorm: their sum). Without either, of the sum of what instance weighting
 * left. */
static tdm_status build_backward_at_feature(tdm__step_graph *b, bool *has_gradient)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = b->net.graph;
    learnt all = {0}, heads = {0}, trunk = {0}, last = {0}, below = {0};
    tdm_value *gradients = NULL, *dfeatures = NULL, sum = TDM_NO_VALUE;
    TDM_TRY(tdm__calloc_try(b->s->n_tasks, sizeof *dfeatures, &dfeatures));
    TDM_TRY(find_learnt(b, &all));
    TDM_TRY(select_learnt(b, &all, false, &heads));
    TDM_TRY(select_learnt(b, &all, true, &trunk));
    TDM_TRY(split_rows(b, &trunk, &last, &below));
    TDM_TRY(tdm__calloc_try(all.n + 1, sizeof *gradients, &gradients));
    heads.wrt[heads.n] = b->net.feature;
    for (size_t t = 0; t < b->s->n_tasks; t++) {
        dfeatures[t] = TDM_NO_VALUE;
        if (b->terms[t] < 0) continue;
        const tdm_value factor = factor_of(b, t);
        TDM_TRY(tdm__graph_gradients_from(g, &b->terms[t], &factor, 1, heads.wrt, heads.n + 1,
                                          gradients));
        store_gradients(b, &heads, gradients, has_gradient);
        dfeatures[t] = gradients[heads.n];
    }
    if (b->s->balance.instances) weigh_instances(b, dfeatures);
    TDM_TRY(join_at_feature(b, &last, dfeatures, gradients, has_gradient, &sum));
    if (sum >= 0)
        TDM_TRY(
            tdm__graph_gradients_from(g, &b->net.feature, &sum, 1, below.wrt, below.n, gradients));
    if (sum >= 0) store_gradients(b, &below, gradients, has_gradient);
    store_balance(b);
    status = tdm_graph_status(g);
done:
    learnt_free(&all);
    learnt_free(&heads);
    learnt_free(&trunk);
    learnt_free(&last);
    learnt_free(&below);
    free(gradients);
    free(dfeatures);
    return status;
}

/* Of what is learnt only what the plan makes gradients of: the shared segments of its group and, in
 * the step itself, what is not shared. The combination gives the other shared segments theirs. */
static void keep_group(const tdm__session *s, const tdm__step_plan *plan, learnt *l,
                       bool *has_gradient)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        const size_t segment = l->segments[i];
        const bool shared = s->shared[segment];
        if (shared) has_gradient[segment] = true;
        if (shared ? tdm__gradients_group(s->gradients, segment) != plan->group : plan->rows)
            continue;
        l->wrt[kept] = l->wrt[i];
        l->segments[kept++] = segment;
    }
    l->n = kept;
}

/* Gradients of everything learnt, written straight into the flat gradient buffer, or, of each task,
 * into rows that are combined into it. */
static tdm_status build_backward(tdm__step_graph *b, const tdm__step_plan *plan, bool *has_gradient)
{
    tdm_status status = TDM_OK;
    tdm__session *s = b->s;
    const size_t rows = s->gradients ? s->n_tasks : 1;
    learnt l = {0};
    tdm_value *gradients = NULL;
    size_t *reached = NULL;
    TDM_TRY(find_learnt(b, &l));
    if (s->gradients) keep_group(s, plan, &l, has_gradient);
    TDM_TRY(tdm__calloc_try(rows * l.n + 1, sizeof *gradients, &gradients));
    TDM_TRY(tdm__calloc_try(l.n + 1, sizeof *reached, &reached));
    if (s->gradients) {
        TDM_TRY(differentiate_by_task(b, &l, gradients, reached));
        TDM_TRY(add_penalty(b, &l, reached, gradients));
    } else {
        TDM_TRY(differentiate(b, &l, gradients));
    }
    for (size_t k = 0; k < rows * l.n; k++) {
        const size_t segment = l.segments[k % l.n];
        if (gradients[k] < 0) continue;
        tdm__graph_store(b->net.graph, gradients[k],
                         s->gradients ? gradient_home(s, k / l.n, segment)
                                      : tdm__flat_gradient_view(s->flat, segment));
        has_gradient[segment] = true;
    }
    if (!plan->rows) store_balance(b);
    status = tdm_graph_status(b->net.graph);
done:
    learnt_free(&l);
    free(gradients);
    free(reached);
    return status;
}

tdm_status tdm__step_backward(tdm__step_graph *b, const tdm__step_plan *plan)
{
    return splits_at_feature(b->s) ? build_backward_at_feature(b, plan->has_gradient)
                                   : build_backward(b, plan, plan->has_gradient);
}

/* ---- what all heads read -----------------------------------------------------------------------
 */

static tdm_status reject_no_feature(const tdm__step_graph *b, bool gradnorm)
{
    const tdm__sharing *sharing = tdm__model_sharing(b->s->model);
    const char *key = b->net.head_weights                    ? "model.feature_selection"
                      : gradnorm                             ? "balance.kind"
                      : b->s->balance.combine.representation ? "balance.gradients"
                                                             : "balance.instance_weighting";
    const char *need = gradnorm && !b->net.head_weights ? "gradnorm needs one last shared layer"
                                                        : "there must be one representation";
    if (!sharing->one_trunk)
        return tdm_config_reject(b->s->config, key, "%s, but model.sharing: %s %s", need,
                                 sharing->name, sharing->why_not_one);
    return tdm_config_reject(b->s->config, key,
                             "%s, but the heads read different features of the trunk (hint: "
                             "tasks.NAME.feature)",
                             need);
}

/* Elements of what all heads read. */
static tdm_status measure_feature(const tdm__step_graph *b, uint64_t *out)
{
    const tdm__balance *balance = &b->s->balance;
    const bool gradnorm = balance->kind == TDM__BALANCE_GRADNORM;
    *out = 0;
    if (b->net.feature >= 0)
        *out = (uint64_t)tdm_desc_count(tdm_graph_desc(b->net.graph, b->net.feature));
    else if (gradnorm || balance->combine.representation || balance->instances)
        return reject_no_feature(b, gradnorm);
    return TDM_OK;
}

tdm_status tdm__step_shared(tdm__session *s, bool *shared, uint64_t *representation)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    learnt l = {0};
    tdm_value *gradients = NULL;
    size_t *reached = NULL;
    TDM_TRY(tdm__step_graph_begin(&b, s, s->batch_size, true));
    TDM_TRY(tdm__step_forward(&b));
    TDM_TRY(measure_feature(&b, representation));
    TDM_TRY(find_learnt(&b, &l));
    TDM_TRY(tdm__calloc_try(s->n_tasks * l.n, sizeof *gradients, &gradients));
    TDM_TRY(tdm__calloc_try(l.n, sizeof *reached, &reached));
    TDM_TRY(differentiate_by_task(&b, &l, gradients, reached));
    for (size_t i = 0; i < l.n; i++) shared[l.segments[i]] = reached[i] > 1;
done:
    learnt_free(&l);
    free(gradients);
    free(reached);
    tdm__step_graph_free(&b);
    return status;
}

/* How a head's first weight [.., inputs, outputs] reads `rows` channels: (outer, rows, inner). A
 * transposed convolution has its inputs last. */
static bool divide_rows(const tdm__segment *s, int64_t rows, tdm__row_part *out)
{
    const int last = s->device.rank - 1;
    const int64_t inputs = s->device.dim[s->transposed ? last : last - 1];
    out->inner = s->transposed ? 1 : s->device.dim[last];
    out->outer = (int64_t)s->count / (rows * out->inner);
    /* flattened maps have their channels last */
    return s->layout == TDM__LAYOUT_CONV ? inputs == rows : inputs % rows == 0;
}

tdm_status tdm__step_feature_rows(tdm__session *s, tdm__row_part *parts, int64_t *rows)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    TDM_TRY(tdm__step_graph_begin(&b, s, s->batch_size, true));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b.net.head_weights, &b.net.head_weights));
    for (size_t t = 0; t < s->n_tasks; t++) b.net.head_weights[t] = SIZE_MAX;
    TDM_TRY(tdm__step_forward(&b));
    if (b.net.feature < 0) TDM_TRY(reject_no_feature(&b, false));
    const tdm_desc *feature = tdm_graph_desc(b.net.graph, b.net.feature);
    *rows = feature->dim[feature->rank - 1];
    for (size_t t = 0; t < s->n_tasks && !status; t++) {
        parts[t].segment = b.net.head_weights[t];
        if (parts[t].segment != SIZE_MAX &&
            divide_rows(tdm__flat_segment(s->flat, parts[t].segment), *rows, &parts[t]))
            continue;
        status = tdm_config_reject(s->config, "model.feature_selection",
                                   "the head of task '%s' does not begin with a layer that reads "
                                   "the %lld channels of the feature, each by weights of its own",
                                   s->tasks[t].name, (long long)*rows);
    }
done:
    free(b.net.head_weights);
    tdm__step_graph_free(&b);
    return status;
}

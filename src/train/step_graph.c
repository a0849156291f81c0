/* train/step_graph.c: builds one step's graph: inputs -> network -> losses -> total -> gradients,
 * and the accumulating metrics. The same code declares the segments (before the flat buffers exist)
 * and builds the plans. */
#include "train/step_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/sharing.h"

typedef struct step_graph {
    tdm__session *s;
    tdm__net net;
    int64_t count;
    const bool *tasks;   /* that take part; NULL: all */
    tdm__meter *meter;   /* NULL while declaring */
    tdm__meter **places; /* NULL: samples are not measured by themselves */
    tdm_value *inputs;   /* per session array */
    bool cached;
    tdm_value features[2]; /* cached: by tdm__feature */
    tdm_value *predictions;
    tdm__loss_value *losses;
    tdm__total total;
    tdm_value *terms;  /* of the total, per task */
    tdm_value penalty; /* added to the total, which is reported without; or TDM_NO_VALUE */
} step_graph;

static void step_graph_free(step_graph *b)
{
    tdm_graph_destroy(&b->net.graph);
    tdm__net_free(&b->net);
    free(b->inputs);
    free(b->predictions);
    free(b->net.intermediate);
    free(b->losses);
    free(b->terms);
}

static tdm_status step_graph_begin(step_graph *b, tdm__session *s, int64_t count, bool training)
{
    tdm_status status = TDM_OK;
    b->s = s;
    b->count = count;
    b->penalty = TDM_NO_VALUE;
    b->net.flat = s->flat;
    b->net.training = training;
    b->net.scheme = tdm__model_scheme(s->model);
    b->net.freeze = s->freezing.freeze;
    b->net.n_freeze = s->freezing.n_freeze;
    b->net.thawed = s->freezing.thawed;
    b->net.n_thawed = s->freezing.n_thawed;
    TDM_TRY(tdm_graph_create(&b->net.graph));
    TDM_TRY(tdm__calloc_try(s->n_arrays, sizeof *b->inputs, &b->inputs));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b->predictions, &b->predictions));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b->net.intermediate, &b->net.intermediate));
    for (size_t t = 0; t < s->n_tasks; t++) b->net.intermediate[t] = TDM_NO_VALUE;
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b->losses, &b->losses));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b->terms, &b->terms));
    for (size_t i = 0; i < s->n_arrays; i++) {
        tdm_desc d = {.dtype = s->arrays[i].sample.dtype, .rank = s->arrays[i].sample.rank + 1};
        d.dim[0] = count;
        for (int k = 1; k < d.rank; k++) d.dim[k] = s->arrays[i].sample.dim[k - 1];
        b->inputs[i] = tdm_graph_input(b->net.graph, s->arrays[i].load.name, d);
    }
done:
    return status;
}

static tdm_value variable_for(void *user, const tdm__segment *spec)
{
    return tdm__net_variable_for(user, spec);
}

/* Labelled tasks: the last axis of the prediction is the number of classes. */
static void learn_classes(step_graph *b, size_t t)
{
    tdm__task *task = &b->s->tasks[t];
    const tdm_desc *d = tdm_graph_desc(b->net.graph, b->predictions[t]);
    if (!d || !tdm__loss_is_classification(task->loss)) return;
    if (tdm__loss_is_binary(task->loss)) {
        task->classes = 1;
        return;
    }
    const int64_t known = tdm__model_classes(b->s->model, t), last = d->dim[d->rank - 1];
    const bool one_output = task->loss == TDM__LOSS_DICE && last == 1 && known <= 2;
    if (known && last != known && !one_output)
        tdm_graph_fail(b->net.graph, TDM_ERR_CONFIG,
                       "tasks.%s: its head ends with %lld channels, but there are %lld classes "
                       "(hint: end with \"dense classes\" or \"conv classes k1\")",
                       task->name, (long long)last, (long long)known);
    task->classes = last;
}

/* The loss and metrics of each place of the batch by itself. */
static void meter_places(step_graph *b, size_t t, tdm_value target)
{
    tdm_graph *g = b->net.graph;
    for (int64_t i = 0; i < b->count; i++) {
        char place[32];
        snprintf(place, sizeof place, "place%lld", (long long)i);
        tdm_graph_push(g, place);
        const tdm_value answer = tdm_slice(g, b->predictions[t], 0, i, i + 1);
        const tdm_value truth = tdm_slice(g, target, 0, i, i + 1);
        const tdm__loss_value loss = tdm__task_loss(&b->s->tasks[t], g, answer, truth);
        tdm__meter_task(b->places[i], g, t, answer, truth, loss, 1);
        tdm_graph_pop(g);
    }
}

/* The target at another size: each pixel that of its nearest, so that labels stay labels and what
 * does not count does not. */
static tdm_value resize_target(tdm_graph *g, tdm_value target, const tdm_desc *pred)
{
    const tdm_desc *d = tdm_graph_desc(g, target);
    if (!d || !pred || (d->dim[1] == pred->dim[1] && d->dim[2] == pred->dim[2])) return target;
    const bool plane = d->rank == 3;
    if (plane) target = tdm_reshape(g, target, 4, (int64_t[]){d->dim[0], d->dim[1], d->dim[2], 1});
    target = tdm_upsample_nearest(g, target, pred->dim[1], pred->dim[2]);
    return plane ? tdm_reshape(g, target, 3, (int64_t[]){pred->dim[0], pred->dim[1], pred->dim[2]})
                 : target;
}

/* The task's loss and, weighed, that of what it predicts on the way (deep supervision). */
static void add_intermediate(step_graph *b, size_t t, tdm_value target)
{
    tdm_graph *g = b->net.graph;
    tdm__task *task = &b->s->tasks[t];
    const tdm_value pred = b->net.intermediate[t];
    if (pred < 0) return;
    tdm_graph_push(g, "intermediate");
    target = resize_target(g, target, tdm_graph_desc(g, pred));
    const tdm__loss_value loss = tdm__task_loss(task, g, pred, target);
    if (b->meter) tdm__meter_intermediate(b->meter, g, t, loss, b->count);
    tdm_graph_pop(g);
    task->intermediate = true;
    b->losses[t].loss = tdm_weighted_sum(g, (tdm_value[]){b->losses[t].loss, loss.loss},
                                         (float[]){1, (float)b->net.intermediate_weight}, 2);
}

static void build_task(step_graph *b, size_t t)
{
    tdm__session *s = b->s;
    tdm_graph *g = b->net.graph;
    const tdm__task *task = &s->tasks[t];
    const tdm_value mask = s->masks[t] == SIZE_MAX ? TDM_NO_VALUE : b->inputs[s->masks[t]];
    learn_classes(b, t);
    tdm_graph_push(g, task->name);
    const tdm_value target =
        tdm__task_target(task, g, b->predictions[t], b->inputs[s->targets[t]], mask);
    b->losses[t] = tdm__task_loss(task, g, b->predictions[t], target);
    add_intermediate(b, t, target);
    if (b->meter)
        tdm__meter_task(b->meter, g, t, b->predictions[t], target, b->losses[t], b->count);
    if (b->places) meter_places(b, t, target);
    tdm_graph_pop(g);
}

/* The heads on features that come from outside. */
static void build_on_features(step_graph *b)
{
    static const char *const names[2] = {"features.bottleneck", "features.dense"};
    const tdm__session *s = b->s;
    for (int f = 0; f < 2; f++) {
        tdm_desc d = s->cached.descs[f];
        d.dim[0] = b->count;
        b->features[f] =
            s->cached.used[f] ? tdm_graph_input(b->net.graph, names[f], d) : TDM_NO_VALUE;
    }
    const tdm__features features = {.bottleneck = b->features[TDM__FEATURE_BOTTLENECK],
                                    .dense = b->features[TDM__FEATURE_DENSE]};
    tdm__model_build_heads(s->model, &b->net, &features, b->tasks, b->predictions);
}

/* What the network sees: tasks that share a step share their input. */
static tdm_value step_input(const step_graph *b)
{
    const tdm__session *s = b->s;
    for (size_t t = 0; b->tasks && t < s->n_tasks; t++)
        if (b->tasks[t]) return b->inputs[s->inputs[t]];
    return b->inputs[s->input];
}

static tdm_status build_forward(step_graph *b)
{
    tdm__session *s = b->s;
    tdm_graph *g = b->net.graph;
    if (b->cached)
        build_on_features(b);
    else
        tdm__model_build(s->model, &b->net, step_input(b), b->tasks, b->predictions);
    for (size_t t = 0; t < s->n_tasks; t++) {
        b->losses[t].loss = TDM_NO_VALUE;
        if (!b->tasks || b->tasks[t]) build_task(b, t);
    }
    const tdm__view given = s->balancer ? tdm__balancer_given(s->balancer) : (tdm__view){0};
    b->total = tdm__balance_total(&s->balance, g, s->tasks, b->losses, s->n_tasks, given,
                                  variable_for, &b->net, b->terms);
    if (b->meter) tdm__meter_total(b->meter, g, b->total.loss, b->count);
    return tdm_graph_status(g);
}

tdm_status tdm__step_declare(tdm__session *s, bool *used)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    TDM_TRY(step_graph_begin(&b, s, s->batch_size, true));
    b.net.freeze_used = used;
    TDM_TRY(build_forward(&b));
done:
    step_graph_free(&b);
    return status;
}

/* What the gradient of a task's term is multiplied by, as a scalar. */
static tdm_value factor_of(step_graph *b, size_t task)
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

static tdm_status find_learnt(const step_graph *b, learnt *out)
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
static tdm_status differentiate(step_graph *b, const learnt *l, tdm_value *gradients)
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
static tdm_status differentiate_by_task(step_graph *b, const learnt *l, tdm_value *gradients,
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
static tdm_status add_penalty(step_graph *b, const learnt *l, const size_t *reached,
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
static tdm_status select_learnt(const step_graph *b, const learnt *from, bool shared, learnt *out)
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
static tdm_status split_rows(const step_graph *b, const learnt *trunk, learnt *last, learnt *below)
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

static void store_gradients(step_graph *b, const learnt *l, const tdm_value *gradients,
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
static void store_balance(step_graph *b)
{
    const tdm__view losses = tdm__balancer_losses(b->s->balancer);
    if (b->total.factors >= 0)
        tdm__graph_store(b->net.graph, b->total.factors, tdm__balancer_factors(b->s->balancer));
    if (losses.buffer) tdm__graph_store(b->net.graph, b->total.losses, losses);
}

/* The last shared layer's gradients by one task, from the feature's. */
static tdm_status build_rows(step_graph *b, const learnt *last, size_t task, tdm_value dfeature,
                             tdm_value *gradients, bool *has_gradient)
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
static tdm_value combined_feature(step_graph *b)
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
static void weigh_instances(step_graph *b, tdm_value *dfeatures)
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
static tdm_status join_at_feature(step_graph *b, const learnt *last, const tdm_value *dfeatures,
                                  tdm_value *gradients, bool *has_gradient, tdm_value *sum)
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
static tdm_status build_backward_at_feature(step_graph *b, bool *has_gradient)
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
static tdm_status build_backward(step_graph *b, const tdm__step_plan *plan, bool *has_gradient)
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

static tdm_status reject_no_feature(const step_graph *b, bool gradnorm)
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
static tdm_status measure_feature(const step_graph *b, uint64_t *out)
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
    step_graph b = {0};
    learnt l = {0};
    tdm_value *gradients = NULL;
    size_t *reached = NULL;
    TDM_TRY(step_graph_begin(&b, s, s->batch_size, true));
    TDM_TRY(build_forward(&b));
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
    step_graph_free(&b);
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
    step_graph b = {0};
    TDM_TRY(step_graph_begin(&b, s, s->batch_size, true));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *b.net.head_weights, &b.net.head_weights));
    for (size_t t = 0; t < s->n_tasks; t++) b.net.head_weights[t] = SIZE_MAX;
    TDM_TRY(build_forward(&b));
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
    step_graph_free(&b);
    return status;
}

/* keep_statistics: running statistics go to where nobody reads them. */
static void place_variables(step_graph *b, bool keep_statistics)
{
    for (size_t i = 0; i < b->net.n_variables; i++) {
        const size_t segment = b->net.variables[i].segment;
        const bool changes = tdm__flat_segment(b->s->flat, segment)->kind != TDM__SEGMENT_PARAM;
        tdm__graph_place(b->net.graph, b->net.variables[i].value,
                         keep_statistics && changes ? (tdm__view){&b->s->spare_statistics, 0}
                                                    : tdm__flat_value_view(b->s->flat, segment));
    }
}

/* The graph of a plan's step. */
static tdm_status build_step(step_graph *b, tdm__session *s, tdm__step_plan *plan)
{
    tdm_status status = TDM_OK;
    TDM_TRY(step_graph_begin(b, s, plan->count, plan->training));
    b->tasks = plan->tasks;
    b->cached = plan->cached;
    const bool changes_nothing = plan->again || plan->rows;
    b->meter = changes_nothing ? NULL : s->meters[plan->training];
    b->places = plan->training ? NULL : s->places;
    TDM_TRY(build_forward(b));
    if (plan->training && !plan->again) b->penalty = tdm__model_penalty(s->model, &b->net);
    if (b->meter && b->penalty >= 0)
        tdm__meter_penalty(b->meter, b->net.graph, b->penalty, b->count);
    place_variables(b, changes_nothing);
    if (plan->again) {
        tdm__graph_store(b->net.graph, b->total.losses, tdm__balancer_losses_after(s->balancer));
    } else if (plan->training) {
        TDM_TRY(tdm__calloc_try(tdm__flat_count(s->flat), sizeof *plan->has_gradient,
                                &plan->has_gradient));
        TDM_TRY(splits_at_feature(s) ? build_backward_at_feature(b, plan->has_gradient)
                                     : build_backward(b, plan, plan->has_gradient));
    }
done:
    return status;
}

static tdm__plan_spec plan_spec(tdm__session *s)
{
    return (tdm__plan_spec){.device = s->device,
                            .arena = s->arena,
                            .step = {&s->step_buffer, 0},
                            .choose = tdm__chooser_choose,
                            .choose_user = &s->chooser};
}

tdm_status tdm__step_build(tdm__session *s, tdm__step_plan *plan)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(build_step(&b, s, plan));
    TDM_TRY(tdm__plan_create(b.net.graph, &spec, &plan->plan));
    memcpy(plan->features, b.features, sizeof plan->features);
    plan->inputs = b.inputs;
    b.inputs = NULL;
done:
    step_graph_free(&b);
    return status;
}

tdm_status tdm__step_reserve(tdm__session *s, bool training, const bool *tasks)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    tdm__step_plan plan = {
        .count = s->batch_size, .training = training, .cached = s->cached.active, .tasks = tasks};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(build_step(&b, s, &plan));
    TDM_TRY(tdm__plan_reserve(b.net.graph, &spec));
done:
    step_graph_free(&b);
    free(plan.has_gradient);
    return status;
}

tdm_status tdm__step_build_prediction(tdm__session *s, int64_t count, tdm__plan **plan,
                                      tdm_value *input, tdm_value *outputs, tdm_desc *descs)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(step_graph_begin(&b, s, count, false));
    tdm_graph *g = b.net.graph;
    *input = b.inputs[s->input];
    tdm__model_build(s->model, &b.net, *input, NULL, b.predictions);
    for (size_t t = 0; t < s->n_tasks; t++) {
        outputs[t] = tdm__task_output(&s->tasks[t], g, b.predictions[t]);
        tdm_graph_keep(g, outputs[t]);
    }
    TDM_TRY(tdm_graph_status(g));
    for (size_t t = 0; t < s->n_tasks; t++) descs[t] = *tdm_graph_desc(g, outputs[t]);
    place_variables(&b, false);
    TDM_TRY(tdm__plan_create(g, &spec, plan));
done:
    step_graph_free(&b);
    return status;
}

static bool has_layer(const tdm__layer_output *layers, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(layers[i].name, name)) return true;
    return false;
}

tdm_status tdm__step_build_layers(tdm__session *s, int64_t count, tdm__plan **plan,
                                  tdm_value *input, tdm__layer_output **layers, size_t *n)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    *n = 0;
    TDM_TRY(step_graph_begin(&b, s, count, false));
    b.net.tapping = true;
    *input = b.inputs[s->input];
    tdm__model_build(s->model, &b.net, *input, NULL, b.predictions);
    TDM_TRY(tdm_graph_status(b.net.graph));
    TDM_TRY(tdm__calloc_try(b.net.n_taps, sizeof **layers, layers));
    for (size_t i = 0; i < b.net.n_taps; i++) {
        tdm__net_tap *tap = &b.net.taps[i];
        if (has_layer(*layers, *n, tap->name)) continue;
        tdm_graph_keep(b.net.graph, tap->value);
        (*layers)[(*n)++] =
            (tdm__layer_output){tap->name, *tdm_graph_desc(b.net.graph, tap->value), tap->value};
        tap->name = NULL; /* handed over */
    }
    TDM_TRY(tdm_graph_status(b.net.graph));
    place_variables(&b, false);
    TDM_TRY(tdm__plan_create(b.net.graph, &spec, plan));
done:
    step_graph_free(&b);
    return status;
}

/* ---- the trunk alone ---------------------------------------------------------------------------
 */

static tdm_status begin_trunk(step_graph *b, tdm__session *s, int64_t count, tdm_value values[2])
{
    tdm__features features;
    tdm_status status = step_graph_begin(b, s, count, true);
    if (status) return status;
    tdm__model_build_trunk(s->model, &b->net, b->inputs[s->input], &features);
    values[TDM__FEATURE_BOTTLENECK] = features.bottleneck;
    values[TDM__FEATURE_DENSE] = features.dense;
    return tdm_graph_status(b->net.graph);
}

tdm_status tdm__step_features(tdm__session *s, bool used[2], tdm_desc descs[2])
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    tdm_value values[2];
    TDM_TRY(begin_trunk(&b, s, s->batch_size, values));
    for (int f = 0; f < 2; f++) {
        used[f] = tdm__model_uses(s->model, (tdm__feature)f);
        if (used[f]) descs[f] = *tdm_graph_desc(b.net.graph, values[f]);
    }
done:
    step_graph_free(&b);
    return status;
}

tdm_status tdm__step_build_trunk(tdm__session *s, int64_t count, tdm__plan **plan, tdm_value *input)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    tdm_value values[2];
    TDM_TRY(begin_trunk(&b, s, count, values));
    for (int f = 0; f < 2; f++)
        if (s->cached.used[f])
            tdm__graph_store(b.net.graph, values[f], (tdm__view){&s->cached.staging[f], 0});
    *input = b.inputs[s->input];
    place_variables(&b, false);
    TDM_TRY(tdm__plan_create(b.net.graph, &spec, plan));
done:
    step_graph_free(&b);
    return status;
}

tdm_status tdm__step_table(tdm__session *s, char **out)
{
    tdm_status status = TDM_OK;
    step_graph b = {0};
    TDM_TRY(step_graph_begin(&b, s, s->batch_size, true));
    tdm__model_build(s->model, &b.net, b.inputs[s->input], NULL, b.predictions);
    TDM_TRY(tdm_graph_status(b.net.graph));
    TDM_TRY(tdm__model_table(b.net.graph, s->flat, s->batch_size, out));
done:
    step_graph_free(&b);
    return status;
}

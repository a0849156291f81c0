/* train/step_graph.c: builds one step's graph: inputs -> network -> losses -> total -> gradients,
 * and the accumulating metrics. The same code declares the segments (before the flat buffers exist)
 * and builds the plans. */
#include "train/step_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tdm__step_graph_free(tdm__step_graph *b)
{
    tdm_graph_destroy(&b->net.graph);
    tdm__net_free(&b->net);
    free(b->inputs);
    free(b->predictions);
    free(b->net.intermediate);
    free(b->losses);
    free(b->terms);
}

tdm_status tdm__step_graph_begin(tdm__step_graph *b, tdm__session *s, int64_t count, bool training)
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
static void learn_classes(tdm__step_graph *b, size_t t)
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
static void meter_places(tdm__step_graph *b, size_t t, tdm_value target)
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
static void add_intermediate(tdm__step_graph *b, size_t t, tdm_value target)
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

static void build_task(tdm__step_graph *b, size_t t)
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
static void build_on_features(tdm__step_graph *b)
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
static tdm_value step_input(const tdm__step_graph *b)
{
    const tdm__session *s = b->s;
    for (size_t t = 0; b->tasks && t < s->n_tasks; t++)
        if (b->tasks[t]) return b->inputs[s->inputs[t]];
    return b->inputs[s->input];
}

tdm_status tdm__step_forward(tdm__step_graph *b)
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
    tdm__step_graph b = {0};
    TDM_TRY(tdm__step_graph_begin(&b, s, s->batch_size, true));
    b.net.freeze_used = used;
    TDM_TRY(tdm__step_forward(&b));
done:
    tdm__step_graph_free(&b);
    return status;
}

/* keep_statistics: running statistics go to where nobody reads them. */
static void place_variables(tdm__step_graph *b, bool keep_statistics)
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
static tdm_status build_step(tdm__step_graph *b, tdm__session *s, tdm__step_plan *plan)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__step_graph_begin(b, s, plan->count, plan->training));
    b->tasks = plan->tasks;
    b->cached = plan->cached;
    const bool changes_nothing = plan->again || plan->rows;
    b->meter = changes_nothing ? NULL : s->meters[plan->training];
    b->places = plan->training ? NULL : s->places;
    TDM_TRY(tdm__step_forward(b));
    if (plan->training && !plan->again) b->penalty = tdm__model_penalty(s->model, &b->net);
    if (b->meter && b->penalty >= 0)
        tdm__meter_penalty(b->meter, b->net.graph, b->penalty, b->count);
    place_variables(b, changes_nothing);
    if (plan->again) {
        tdm__graph_store(b->net.graph, b->total.losses, tdm__balancer_losses_after(s->balancer));
    } else if (plan->training) {
        TDM_TRY(tdm__calloc_try(tdm__flat_count(s->flat), sizeof *plan->has_gradient,
                                &plan->has_gradient));
        TDM_TRY(tdm__step_backward(b, plan));
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
    tdm__step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(build_step(&b, s, plan));
    TDM_TRY(tdm__plan_create(b.net.graph, &spec, &plan->plan));
    memcpy(plan->features, b.features, sizeof plan->features);
    plan->inputs = b.inputs;
    b.inputs = NULL;
done:
    tdm__step_graph_free(&b);
    return status;
}

tdm_status tdm__step_reserve(tdm__session *s, bool training, const bool *tasks)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    tdm__step_plan plan = {
        .count = s->batch_size, .training = training, .cached = s->cached.active, .tasks = tasks};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(build_step(&b, s, &plan));
    TDM_TRY(tdm__plan_reserve(b.net.graph, &spec));
done:
    tdm__step_graph_free(&b);
    free(plan.has_gradient);
    return status;
}

tdm_status tdm__step_build_prediction(tdm__session *s, int64_t count, tdm__plan **plan,
                                      tdm_value *input, tdm_value *outputs, tdm_desc *descs)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    TDM_TRY(tdm__step_graph_begin(&b, s, count, false));
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
    tdm__step_graph_free(&b);
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
    tdm__step_graph b = {0};
    const tdm__plan_spec spec = plan_spec(s);
    *n = 0;
    TDM_TRY(tdm__step_graph_begin(&b, s, count, false));
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
    tdm__step_graph_free(&b);
    return status;
}

/* ---- the trunk alone ---------------------------------------------------------------------------
 */

static tdm_status begin_trunk(tdm__step_graph *b, tdm__session *s, int64_t count,
                              tdm_value values[2])
{
    tdm__features features;
    tdm_status status = tdm__step_graph_begin(b, s, count, true);
    if (status) return status;
    tdm__model_build_trunk(s->model, &b->net, b->inputs[s->input], &features);
    values[TDM__FEATURE_BOTTLENECK] = features.bottleneck;
    values[TDM__FEATURE_DENSE] = features.dense;
    return tdm_graph_status(b->net.graph);
}

tdm_status tdm__step_features(tdm__session *s, bool used[2], tdm_desc descs[2])
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    tdm_value values[2];
    TDM_TRY(begin_trunk(&b, s, s->batch_size, values));
    for (int f = 0; f < 2; f++) {
        used[f] = tdm__model_uses(s->model, (tdm__feature)f);
        if (used[f]) descs[f] = *tdm_graph_desc(b.net.graph, values[f]);
    }
done:
    tdm__step_graph_free(&b);
    return status;
}

tdm_status tdm__step_build_trunk(tdm__session *s, int64_t count, tdm__plan **plan, tdm_value *input)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
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
    tdm__step_graph_free(&b);
    return status;
}

tdm_status tdm__step_table(tdm__session *s, char **out)
{
    tdm_status status = TDM_OK;
    tdm__step_graph b = {0};
    TDM_TRY(tdm__step_graph_begin(&b, s, s->batch_size, true));
    tdm__model_build(s->model, &b.net, b.inputs[s->input], NULL, b.predictions);
    TDM_TRY(tdm_graph_status(b.net.graph));
    TDM_TRY(tdm__model_table(b.net.graph, s->flat, s->batch_size, out));
done:
    tdm__step_graph_free(&b);
    return status;
}

/* graph/plan.c: making a plan by its stages, binding, running, and looking at it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/planning.h"

enum { GUARD_BAND = 256 };
static const uint32_t GUARD_PATTERN = 0x7fc0dead; /* a NaN */

/* making --------------------------------------------------------------------------------------- */

static tdm_status list_inputs(const tdm_graph *graph, tdm__plan *plan)
{
    tdm_status status = TDM_OK;
    size_t n = 0;
    for (size_t v = 0; v < graph->n_values; v++) n += graph->values[v].kind == TDM__VALUE_INPUT;
    TDM_TRY(tdm__calloc_try(n, sizeof *plan->inputs, &plan->inputs));
    for (size_t v = 0; v < graph->n_values; v++) {
        if (graph->values[v].kind != TDM__VALUE_INPUT) continue;
        tdm__plan_input *input = &plan->inputs[plan->n_inputs++];
        input->value = (tdm_value)v;
        input->bytes = tdm__desc_bytes(graph->values[v].desc);
        input->name = tdm__strdup(graph->values[v].name);
        if (!input->name) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
        TDM_TRY(tdm__calloc_try(1, sizeof *input->proxy, &input->proxy));
    }
done:
    return status;
}

/* The bytes of a constant's elements, four at a time. */
static uint32_t constant_pattern(tdm_dtype dtype, float value)
{
    uint32_t bits;
    switch (dtype) {
    case TDM_I32:
        return (uint32_t)(int32_t)value;
    case TDM_U8:
        return (uint8_t)value * 0x01010101u;
    default:
        memcpy(&bits, &value, sizeof bits);
        return bits;
    }
}

static tdm_status make_constants(tdm__planning *p)
{
    tdm__plan *plan = p->plan;
    tdm_status status = TDM_OK;
    uint64_t align = p->traits->align, at = TDM__SPARE_BYTES;
    for (size_t h = 0; h < p->n_homes; h++) {
        tdm__home *home = &p->homes[h];
        if (home->kind != TDM__HOME_CONSTANT) continue;
        at = (at + align - 1) / align * align;
        home->view = (tdm__view){&plan->fixed, at};
        at += (home->bytes + 3) / 4 * 4;
    }
    TDM_TRY(tdm__buffer_create(plan->device, at, true, "constants", &plan->fixed));
    for (size_t h = 0; h < p->n_homes; h++) {
        const tdm__home *home = &p->homes[h];
        if (home->kind != TDM__HOME_CONSTANT) continue;
        const tdm__value_entry *entry = &p->graph->values[home->owner];
        TDM_TRY(tdm__view_fill(plan->device, home->view,
                               constant_pattern(entry->desc->dtype, entry->constant),
                               (home->bytes + 3) / 4 * 4));
    }
done:
    return status;
}

/* Where values can be read after a run: what was kept or stored, and what lives outside. */
static tdm_status list_views(tdm__planning *p)
{
    tdm__plan *plan = p->plan;
    tdm_status status = tdm__calloc_try(p->graph->n_values, sizeof *plan->views, &plan->views);
    if (status) return status;
    plan->n_values = p->graph->n_values;
    for (size_t v = 0; v < plan->n_values; v++) {
        if (p->home[v] < 0) continue;
        const tdm__home *home = &p->homes[p->home[v]];
        bool outside = p->graph->values[v].kind != TDM__VALUE_OUTPUT;
        if (home->kind == TDM__HOME_INPUT)
            plan->views[v] = (tdm__view){plan->inputs[home->input].proxy, 0};
        else if (p->pinned[v] || outside)
            plan->views[v] = home->view;
    }
    return TDM_OK;
}

tdm_status tdm__planning_room(tdm__planning *p, size_t n)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__grow(&p->needed, &p->room[0], n, sizeof *p->needed));
    TDM_TRY(tdm__grow(&p->pinned, &p->room[1], n, sizeof *p->pinned));
    TDM_TRY(tdm__grow(&p->uses, &p->room[2], n, sizeof *p->uses));
    TDM_TRY(tdm__grow(&p->producer, &p->room[3], n, sizeof *p->producer));
    TDM_TRY(tdm__grow(&p->home, &p->room[4], n, sizeof *p->home));
done:
    return status;
}

static tdm_status allocate(tdm__planning *p)
{
    const size_t n = p->graph->n_values;
    const tdm_status status = tdm__planning_room(p, n);
    for (size_t v = 0; !status && v < n; v++) p->producer[v] = p->home[v] = -1;
    return status;
}

/* Up to what has to lie where. */
static tdm_status lay_out(tdm__planning *p)
{
    tdm__plan *plan = p->plan;
    tdm_status status = TDM_OK;
    plan->device = p->spec->device;
    plan->step = p->spec->step;
    plan->arena = p->spec->arena;
    plan->band = p->traits->align > GUARD_BAND ? p->traits->align : GUARD_BAND;
    if (!plan->arena) {
        TDM_TRY(tdm__arena_create(plan->device, &plan->arena));
        plan->own_arena = true;
    }
    TDM_TRY(list_inputs(p->graph, plan));
    TDM_TRY(allocate(p));
    TDM_TRY(tdm__planning_prune(p));
    if (!p->spec->no_fuse) {
        tdm__planning_fuse(p);
        tdm__planning_accumulate(p);
    }
    TDM_TRY(tdm__planning_variants(p));
    if (!p->spec->no_fuse) tdm__planning_loads(p);
    TDM_TRY(tdm__planning_homes(p));
    if (!p->spec->guard) TDM_TRY(tdm__planning_fit(p));
done:
    return status;
}

static tdm_status make(tdm__planning *p)
{
    tdm_status status = TDM_OK;
    TDM_TRY(lay_out(p));
    TDM_TRY(make_constants(p));
    TDM_TRY(tdm__planning_place(p));
    TDM_TRY(tdm__planning_prepare(p));
    TDM_TRY(list_views(p));
done:
    return status;
}

static tdm_status reserve(tdm__planning *p)
{
    tdm_status status = lay_out(p);
    return status ? status : tdm__planning_reserve(p);
}

static void forget(tdm__planning *p)
{
    free(p->nodes);
    free(p->needed);
    free(p->pinned);
    free(p->uses);
    free(p->producer);
    free(p->home);
    free(p->homes);
    free(p->copies);
    if (p->extended) free(p->extended->values);
    free(p->extended);
    for (size_t i = 0; i < p->n_rebound; i++) {
        free(p->rebound[i]->in);
        free(p->rebound[i]);
    }
    free(p->rebound);
}

/* Runs stages of planning; *out: what they made. */
static tdm_status run_stages(const tdm_graph *graph, const tdm__plan_spec *spec,
                             tdm_status (*stages)(tdm__planning *p), tdm__plan **out)
{
    *out = NULL;
    if (graph->error.status) return tdm__error_give(&graph->error);
    tdm__planning p = {.graph = graph, .spec = spec, .traits = tdm__device_traits(spec->device)};
    tdm_status status = tdm__calloc_try(1, sizeof *p.plan, &p.plan);
    if (!status) status = stages(&p);
    forget(&p);
    if (status)
        tdm__plan_destroy(&p.plan);
    else
        *out = p.plan;
    return status;
}

tdm_status tdm__plan_create(const tdm_graph *graph, const tdm__plan_spec *spec, tdm__plan **out)
{
    return run_stages(graph, spec, make, out);
}

tdm_status tdm__plan_reserve(const tdm_graph *graph, const tdm__plan_spec *spec)
{
    tdm__plan *plan = NULL;
    const tdm_status status = run_stages(graph, spec, reserve, &plan);
    tdm__plan_destroy(&plan);
    return status;
}

static void destroy_guards(tdm__plan *plan)
{
    for (size_t i = 0; i < plan->n_guards; i++) {
        tdm__guarded *g = &plan->guards[i];
        if (g->buffer) tdm__buffer_destroy(plan->device, g->buffer);
        free(g->buffer);
        free(g->name);
    }
    free(plan->guards);
}

void tdm__plan_destroy(tdm__plan **out)
{
    tdm__plan *plan = *out;
    if (!plan) return;
    for (size_t i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].kind == TDM__RUN_LAUNCH) tdm__launch_destroy(&plan->steps[i].launch);
    for (size_t i = 0; i < plan->n_nodes; i++) free(plan->nodes[i].name);
    for (size_t i = 0; i < plan->n_inputs; i++) {
        free(plan->inputs[i].name);
        free(plan->inputs[i].proxy);
    }
    destroy_guards(plan);
    tdm__buffer_destroy(plan->device, &plan->fixed);
    if (plan->own_arena) tdm__arena_destroy(&plan->arena);
    free(plan->steps);
    free(plan->nodes);
    free(plan->inputs);
    free(plan->patches);
    free(plan->views);
    free(plan);
    *out = NULL;
}

/* binding, running ----------------------------------------------------------------------------- */

static tdm__plan_input *find_input(const tdm__plan *plan, tdm_value value)
{
    for (size_t i = 0; i < plan->n_inputs; i++)
        if (plan->inputs[i].value == value) return &plan->inputs[i];
    return NULL;
}

tdm_status tdm__plan_bind(tdm__plan *plan, tdm_value value, tdm__view view)
{
    tdm__plan_input *input = find_input(plan, value);
    if (!input) return tdm__fail(TDM_ERR_STATE, "value %d is no input of this plan", (int)value);
    if (!view.buffer || view.offset > view.buffer->bytes ||
        view.buffer->bytes - view.offset < input->bytes)
        return tdm__fail(TDM_ERR_STATE, "input %s: bound to less than its %llu bytes", input->name,
                         (unsigned long long)input->bytes);
    if (input->bound.buffer == view.buffer && input->serial == view.buffer->serial &&
        input->bound.offset == view.offset)
        return TDM_OK;
    int index = (int)(input - plan->inputs);
    for (size_t i = 0; i < plan->n_patches; i++) {
        const tdm__patch *patch = &plan->patches[i];
        if (patch->input != index) continue;
        tdm_status status = tdm__launch_set_view(&plan->steps[patch->step].launch, patch->arg, view,
                                                 patch->element);
        if (status) return tdm__context(status, "input %s", input->name);
    }
    input->bound = view;
    input->serial = view.buffer->serial;
    return TDM_OK;
}

/* A view whose buffer may stand for an input. */
static tdm__view resolve(const tdm__plan *plan, tdm__view view)
{
    for (size_t i = 0; i < plan->n_inputs; i++) {
        if (view.buffer != plan->inputs[i].proxy) continue;
        tdm__view bound = plan->inputs[i].bound;
        if (bound.buffer) bound.offset += view.offset;
        return bound;
    }
    return view;
}

static tdm_status run_step(tdm__plan *plan, tdm__plan_step *step)
{
    const tdm__gemm *g = &step->gemm;
    switch (step->kind) {
    case TDM__RUN_LAUNCH:
        return tdm__launch_enqueue(plan->device, &step->launch);
    case TDM__RUN_COPY:
        return tdm__view_copy(plan->device, resolve(plan, step->from), step->to, step->size);
    case TDM__RUN_GEMM:
        break;
    }
    return tdm__clblast_gemm(plan->device, g->trans_a, g->trans_b, g->m, g->n, g->k, g->alpha,
                             resolve(plan, g->a), g->lda, resolve(plan, g->b), g->ldb, g->beta,
                             resolve(plan, g->c), g->ldc);
}

static const char *step_name(const tdm__plan *plan, const tdm__plan_step *step)
{
    return step->node < plan->n_nodes ? plan->nodes[step->node].name : "store";
}

static tdm_status run_steps(tdm__plan *plan, size_t first, size_t end)
{
    tdm_status status = TDM_OK;
    for (size_t i = first; !status && i < end; i++) {
        const size_t node = plan->steps[i].node;
        const bool owned = node < plan->n_nodes;
        tdm__profile_owner(plan->device, owned ? plan->nodes[node].op->name : "store",
                           owned ? plan->nodes[node].variant : "copy");
        status = run_step(plan, &plan->steps[i]);
        if (status) tdm__context(status, "%s", step_name(plan, &plan->steps[i]));
    }
    tdm__profile_owner(plan->device, NULL, NULL);
    return status;
}

tdm_status tdm__plan_run(tdm__plan *plan)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < plan->n_inputs; i++)
        if (plan->inputs[i].used && !plan->inputs[i].bound.buffer)
            return tdm__fail(TDM_ERR_STATE, "input %s is not bound", plan->inputs[i].name);
    for (size_t i = 0; i < plan->n_guards; i++) {
        tdm__buffer *buffer = plan->guards[i].buffer;
        TDM_TRY(tdm__view_fill(plan->device, (tdm__view){buffer, 0}, GUARD_PATTERN, buffer->bytes));
    }
    TDM_TRY(run_steps(plan, 0, plan->pause));
done:
    return status;
}

tdm_status tdm__plan_resume(tdm__plan *plan)
{
    return run_steps(plan, plan->pause, plan->n_steps);
}

tdm__view tdm__plan_view(const tdm__plan *plan, tdm_value value)
{
    if (value < 0 || (size_t)value >= plan->n_values) return (tdm__view){0};
    return resolve(plan, plan->views[value]);
}

/* guards --------------------------------------------------------------------------------------- */

static bool band_intact(const unsigned char *bytes, uint64_t from, uint64_t to)
{
    unsigned char pattern[sizeof GUARD_PATTERN];
    memcpy(pattern, &GUARD_PATTERN, sizeof pattern);
    for (uint64_t i = from; i < to; i++)
        if (bytes[i] != pattern[i % sizeof pattern]) return false;
    return true;
}

tdm_status tdm__plan_check_guards(tdm__plan *plan)
{
    tdm_status status = TDM_OK;
    unsigned char *bytes = NULL;
    for (size_t i = 0; i < plan->n_guards; i++) {
        const tdm__guarded *g = &plan->guards[i];
        free(bytes);
        TDM_TRY(tdm__calloc_try(g->buffer->bytes, 1, &bytes));
        TDM_TRY(tdm__view_read(plan->device, (tdm__view){g->buffer, 0}, bytes, g->buffer->bytes));
        bool before = band_intact(bytes, 0, plan->band);
        bool after = band_intact(bytes, plan->band + g->bytes, g->buffer->bytes);
        if (before && after) continue;
        status = tdm__fail(TDM_ERR_RUNTIME, "%s: written out of bounds %s its %llu bytes", g->name,
                           before ? "after" : "before", (unsigned long long)g->bytes);
        goto done;
    }
done:
    free(bytes);
    return status;
}

/* looking -------------------------------------------------------------------------------------- */

void tdm__plan_get_stats(const tdm__plan *plan, tdm__plan_stats *out)
{
    *out = plan->stats;
}

tdm_status tdm__plan_text(const tdm__plan *plan, char **out)
{
    tdm__str text = {0};
    tdm__str_addf(&text, "%-40s %-24s %-12s %-20s %8s %12s %12s %12s %12s\n", "name", "operation",
                  "algorithm", "output", "launches", "MMAC", "MB", "MB read", "MB written");
    for (size_t k = 0; k < plan->n_nodes; k++) {
        const tdm__plan_node *node = &plan->nodes[k];
        int launches = 0;
        double bytes = 0;
        for (size_t s = 0; s < plan->n_steps; s++) {
            if (plan->steps[s].node != k) continue;
            launches++;
            bytes += plan->steps[s].launch.bytes;
        }
        tdm__str_addf(&text, "%-40s %-24s %-12s %-20s %8d %12.3f %12.3f %12.3f %12.3f\n",
                      node->name, node->op->name, node->variant, node->out, launches,
                      node->macs * 1e-6, bytes * 1e-6, 1e-6 * (double)node->read_bytes,
                      1e-6 * (double)node->write_bytes);
    }
    tdm_status status = tdm__str_status(&text);
    if (status) tdm__str_free(&text);
    *out = text.text;
    return status;
}

void tdm__plan_each_launch(tdm__plan *plan,
                           void (*fn)(void *user, const char *op, const char *node,
                                      tdm__launch *launch),
                           void *user)
{
    for (size_t s = 0; s < plan->n_steps; s++) {
        tdm__plan_step *step = &plan->steps[s];
        const char *op = step->node < plan->n_nodes ? plan->nodes[step->node].op->name : "store";
        fn(user, op, step_name(plan, step), &step->launch);
    }
}

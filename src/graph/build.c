/* graph/build.c: what an operation's prepare function sees: it turns one node into launches whose
 * arguments are set once. Graph inputs are bound later: their arguments get a spare buffer now and
 * an entry in the plan's patch list. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "graph/planning.h"

struct tdm__kernel {
    tdm__build *build;
    size_t step; /* the plan's steps move when they grow: an index */
    tdm__kernel *next;
};

/* An operand of a kernel that has been counted for the node. */
typedef struct access {
    const char *kernel;
    tdm_value value;
    bool write;
} access;
enum { MOST_ACCESSES = 64 };

struct tdm__build {
    access accesses[MOST_ACCESSES];
    int n_accesses;
    tdm__planning *planning;
    const tdm__planned *node;
    size_t plan_node;
    tdm_status status;
    tdm__kernel *kernels;
    tdm__kernel dead; /* what emit returns after a failure */
};

tdm_device *tdm__build_device(const tdm__build *b)
{
    return b->planning->plan->device;
}

const tdm__traits *tdm__build_traits(const tdm__build *b)
{
    return b->planning->traits;
}

const tdm__io *tdm__build_io(const tdm__build *b)
{
    return &b->node->io;
}

bool tdm__build_is_cpu(const tdm__build *b)
{
    return b->planning->traits->style == TDM_STYLE_CPU;
}

tdm_status tdm__build_fail(tdm__build *b, tdm_status status)
{
    if (!b->status) b->status = status;
    return b->status;
}

/* steps ---------------------------------------------------------------------------------------- */

static tdm__plan_step *add_step(tdm__build *b, tdm__step_kind kind)
{
    tdm__plan *plan = b->planning->plan;
    tdm_status status =
        tdm__grow(&plan->steps, &plan->steps_capacity, plan->n_steps + 1, sizeof *plan->steps);
    if (status) {
        tdm__build_fail(b, status);
        return NULL;
    }
    tdm__plan_step *step = &plan->steps[plan->n_steps++];
    step->kind = kind;
    step->node = b->plan_node;
    return step;
}

tdm__kernel *tdm__emit(tdm__build *b, const char *file, const char *kernel, const char *defines)
{
    b->dead.build = b;
    if (b->status) return &b->dead;
    tdm__kernel *k = NULL;
    tdm_status status = tdm__calloc_try(1, sizeof *k, &k);
    if (status) {
        tdm__build_fail(b, status);
        return &b->dead;
    }
    tdm__plan_step *step = add_step(b, TDM__RUN_LAUNCH);
    if (!step) {
        free(k);
        return &b->dead;
    }
    *k = (tdm__kernel){.build = b, .step = b->planning->plan->n_steps - 1, .next = b->kernels};
    b->kernels = k;
    tdm__build_fail(b,
                    tdm__launch_init(tdm__build_device(b), file, defines, kernel, &step->launch));
    return k;
}

static tdm__launch *launch_of(tdm__kernel *k)
{
    return &k->build->planning->plan->steps[k->step].launch;
}

/* arguments ------------------------------------------------------------------------------------ */

static tdm__view spare(const tdm__build *b)
{
    return (tdm__view){&b->planning->plan->fixed, 0};
}

static void arg_view(tdm__kernel *k, tdm__view view, size_t element)
{
    if (k->build->status) return;
    tdm__build_fail(k->build, tdm__launch_view(launch_of(k), view, element));
}

static void add_patch(tdm__kernel *k, int input, size_t element)
{
    tdm__plan *plan = k->build->planning->plan;
    tdm_status status = tdm__grow(&plan->patches, &plan->patches_capacity, plan->n_patches + 1,
                                  sizeof *plan->patches);
    tdm__build_fail(k->build, status);
    if (status) return;
    plan->patches[plan->n_patches++] = (tdm__patch){
        .input = input, .step = k->step, .arg = launch_of(k)->args, .element = element};
    plan->inputs[input].used = true;
}

/* The argument pair of a value; absent ones get spare bytes that the kernel never reads. */
static void arg_value(tdm__kernel *k, tdm_value value)
{
    tdm__build *b = k->build;
    if (b->status) return;
    const tdm__planning *p = b->planning;
    if (value < 0 || p->home[value] < 0) {
        arg_view(k, spare(b), sizeof(float));
        return;
    }
    const tdm__home *home = &p->homes[p->home[value]];
    size_t element = tdm_dtype_size(p->graph->values[value].desc->dtype);
    if (home->kind == TDM__HOME_INPUT) {
        add_patch(k, home->input, element);
        arg_view(k, spare(b), element);
    } else {
        arg_view(k, home->view, element);
    }
}

/* Traffic of activations: what lives in the arena. A kernel that is launched on one part of a
 * tensor after the other counts once. */
static void count_access(tdm__kernel *k, tdm_value value, bool write)
{
    tdm__build *b = k->build;
    const tdm__planning *p = b->planning;
    if (b->status || value < 0 || p->home[value] < 0 ||
        p->homes[p->home[value]].kind != TDM__HOME_ARENA)
        return;
    const access now = {launch_of(k)->name, value, write};
    for (int i = 0; i < b->n_accesses; i++)
        if (b->accesses[i].kernel == now.kernel && b->accesses[i].value == value &&
            b->accesses[i].write == write)
            return;
    if (b->n_accesses < MOST_ACCESSES) b->accesses[b->n_accesses++] = now;
    const uint64_t bytes = tdm__desc_bytes(p->graph->values[value].desc);
    tdm__plan_node *node = &p->plan->nodes[b->plan_node];
    *(write ? &node->write_bytes : &node->read_bytes) += bytes;
}

static tdm_value input_value(const tdm__build *b, int input)
{
    return input >= 0 && input < b->node->io.n_in ? tdm__planned_operand(b->node, input)
                                                  : TDM_NO_VALUE;
}

static tdm_value output_value(const tdm__build *b, int output)
{
    return output >= 0 && output < b->node->io.n_out ? b->node->out[output] : TDM_NO_VALUE;
}

void tdm__arg_in(tdm__kernel *k, int input)
{
    const tdm_value value = input_value(k->build, input);
    arg_value(k, value);
    count_access(k, value, false);
}

void tdm__arg_out(tdm__kernel *k, int output)
{
    const tdm_value value = output_value(k->build, output);
    arg_value(k, value);
    count_access(k, value, true);
    if (output == 0 && k->build->node->io.accumulate) count_access(k, value, false);
}

static bool workspace_has(const tdm__build *b, uint64_t offset)
{
    return offset < b->node->workspace && offset % b->planning->traits->align == 0;
}

void tdm__arg_workspace(tdm__kernel *k, uint64_t offset, size_t element)
{
    tdm__build *b = k->build;
    if (b->status) return;
    if (!workspace_has(b, offset)) {
        tdm__build_fail(b, tdm__fail(TDM_ERR_STATE,
                                     "offset %llu is outside of the workspace of %llu bytes, or "
                                     "not a multiple of %u",
                                     (unsigned long long)offset,
                                     (unsigned long long)b->node->workspace,
                                     b->planning->traits->align));
        return;
    }
    tdm__view view = b->node->workspace_view;
    view.offset += offset;
    arg_view(k, view, element);
}

void tdm__arg_step(tdm__kernel *k)
{
    tdm__build *b = k->build;
    if (b->status) return;
    tdm__view step = b->planning->plan->step;
    if (step.buffer)
        arg_view(k, step, sizeof(uint32_t));
    else
        tdm__build_fail(b, tdm__fail(TDM_ERR_STATE, "needs the step scalars: plan_spec.step"));
}

void tdm__arg_epilogue(tdm__kernel *k, int bias_input)
{
    /* EPI_* of cl/common.cl */
    enum { PART_BIAS = 1, PART_AFFINE = 2, PART_RESIDUAL = 4, PART_ACT_GRAD = 8 };
    const tdm__planned *node = k->build->node;
    const tdm__epilogue *e = &node->io.epilogue;
    tdm_value bias = input_value(k->build, bias_input);
    arg_value(k, bias);
    arg_value(k, node->scale);
    arg_value(k, node->shift);
    arg_value(k, node->residual);
    count_access(k, node->residual, false);
    tdm__arg_i32(k, (bias >= 0 ? PART_BIAS : 0) | (e->affine ? PART_AFFINE : 0) |
                        (e->residual ? PART_RESIDUAL : 0) | (e->act_grad ? PART_ACT_GRAD : 0));
    tdm__arg_i32(k, e->act);
    tdm__arg_f32(k, (double)e->alpha);
}

void tdm__arg_load(tdm__kernel *k)
{
    const tdm__planned *node = k->build->node;
    const tdm__load *load = &node->io.load;
    arg_value(k, node->load_centre);
    arg_value(k, node->load_inverse);
    arg_value(k, node->load_scale);
    arg_value(k, node->load_shift);
    tdm__arg_i32(k, load->input > 0);
    tdm__arg_i32(k, load->act);
    tdm__arg_f32(k, (double)load->alpha);
}

void tdm__arg_statistics(tdm__kernel *k)
{
    const tdm__planning *p = k->build->planning;
    const int home = k->build->node->statistics;
    arg_view(k, home < 0 ? spare(k->build) : p->homes[home].view, sizeof(float));
}

void tdm__arg_i32(tdm__kernel *k, int64_t v)
{
    if (k->build->status) return;
    if (v < INT32_MIN || v > INT32_MAX)
        tdm__build_fail(k->build,
                        tdm__fail(TDM_ERR_SHAPE, "%lld does not fit 32 bits", (long long)v));
    else
        tdm__build_fail(k->build, tdm__launch_i32(launch_of(k), (int32_t)v));
}

void tdm__arg_u64(tdm__kernel *k, uint64_t v)
{
    if (!k->build->status) tdm__build_fail(k->build, tdm__launch_u64(launch_of(k), v));
}

void tdm__arg_f32(tdm__kernel *k, double v)
{
    if (!k->build->status) tdm__build_fail(k->build, tdm__launch_f32(launch_of(k), (float)v));
}

void tdm__arg_local(tdm__kernel *k, uint64_t bytes)
{
    if (!k->build->status) tdm__build_fail(k->build, tdm__launch_local(launch_of(k), bytes));
}

/* ranges, costs -------------------------------------------------------------------------------- */

void tdm__range_1(tdm__kernel *k, uint64_t groups, uint64_t local)
{
    uint64_t global = groups;
    if (k->build->status) return;
    if (local && !tdm__mul_u64(groups, local, &global)) {
        tdm__build_fail(k->build, tdm__fail(TDM_ERR_SHAPE, "too many work-items"));
        return;
    }
    tdm__range(k, 1, &global, local ? &local : NULL);
}

void tdm__range(tdm__kernel *k, int dims, const uint64_t *global, const uint64_t *local)
{
    if (k->build->status) return;
    size_t g[3] = {1, 1, 1}, l[3] = {1, 1, 1};
    for (int i = 0; i < dims && i < 3; i++) {
        g[i] = (size_t)global[i];
        if (local) l[i] = (size_t)local[i];
    }
    bool has_local = local && l[0] && l[1] && l[2];
    tdm__build_fail(k->build,
                    tdm__launch_range(launch_of(k), (cl_uint)dims, g, has_local ? l : NULL));
}

void tdm__cost(tdm__kernel *k, double flops, double bytes)
{
    if (k->build->status) return;
    tdm__launch *launch = launch_of(k);
    launch->flops = flops;
    launch->bytes = bytes;
}

/* CLBlast -------------------------------------------------------------------------------------- */

static tdm__view value_view(const tdm__build *b, tdm_value value)
{
    const tdm__planning *p = b->planning;
    if (value < 0 || p->home[value] < 0) return spare(b);
    const tdm__home *home = &p->homes[p->home[value]];
    if (home->kind != TDM__HOME_INPUT) return home->view;
    p->plan->inputs[home->input].used = true;
    return (tdm__view){p->plan->inputs[home->input].proxy, 0};
}

tdm__view tdm__build_in(const tdm__build *b, int input)
{
    return value_view(b, input_value(b, input));
}

tdm__view tdm__build_out(const tdm__build *b, int output)
{
    return value_view(b, output_value(b, output));
}

tdm__view tdm__build_workspace(const tdm__build *b, uint64_t offset)
{
    if (!workspace_has(b, offset)) return spare(b);
    tdm__view view = b->node->workspace_view;
    view.offset += offset;
    return view;
}

void tdm__emit_clblast_gemm(tdm__build *b, bool trans_a, bool trans_b, uint64_t m, uint64_t n,
                            uint64_t k, float alpha, tdm__view a, uint64_t lda, tdm__view bb,
                            uint64_t ldb, float beta, tdm__view c, uint64_t ldc)
{
    if (b->status) return;
    tdm__plan_step *step = add_step(b, TDM__RUN_GEMM);
    if (!step) return;
    step->launch.name = "clblast_gemm";
    step->launch.flops = 2.0 * (double)m * (double)n * (double)k;
    step->launch.bytes = 4.0 * ((double)m * (double)k + (double)k * (double)n +
                                (beta != 0.0f ? 2.0 : 1.0) * (double)m * (double)n);
    step->gemm = (tdm__gemm){.trans_a = trans_a,
                             .trans_b = trans_b,
                             .m = m,
                             .n = n,
                             .k = k,
                             .lda = lda,
                             .ldb = ldb,
                             .ldc = ldc,
                             .alpha = alpha,
                             .beta = beta,
                             .a = a,
                             .b = bb,
                             .c = c};
}

/* all nodes ------------------------------------------------------------------------------------ */

static tdm_status describe(tdm__planning *p, const tdm__planned *node)
{
    tdm__plan *plan = p->plan;
    const tdm_op *op = node->entry->op;
    tdm__plan_node *record = &plan->nodes[plan->n_nodes];
    record->name = tdm__strdup(node->entry->name);
    if (!record->name) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    plan->n_nodes++;
    record->op = op;
    record->variant = node->variant ? node->variant->name : "";
    record->macs = op->macs ? op->macs(&node->io) : 0;
    tdm_desc_text(&node->io.out[0], record->out, sizeof record->out);
    return TDM_OK;
}

/* A node that states no cost moves each of its operands once. */
static void default_cost(tdm__plan *plan, const tdm__planned *node, size_t first_step)
{
    if (first_step == plan->n_steps) return;
    for (size_t s = first_step; s < plan->n_steps; s++)
        if (plan->steps[s].launch.bytes > 0) return;
    double bytes = 0;
    for (int i = 0; i < node->io.n_in; i++) bytes += (double)tdm__desc_bytes(&node->io.in[i]);
    for (int o = 0; o < node->io.n_out; o++) bytes += (double)tdm__desc_bytes(&node->io.out[o]);
    plan->steps[first_step].launch.bytes = bytes;
}

static tdm_status prepare_node(tdm__planning *p, const tdm__planned *node)
{
    tdm_status status = describe(p, node);
    if (status || node->entry->op->view) return status;
    tdm__build b = {.planning = p, .node = node, .plan_node = p->plan->n_nodes - 1};
    size_t first_step = p->plan->n_steps;
    tdm__build_fail(&b, node->variant->prepare(&b));
    default_cost(p->plan, node, first_step);
    while (b.kernels) {
        tdm__kernel *next = b.kernels->next;
        free(b.kernels);
        b.kernels = next;
    }
    return b.status ? tdm__context(b.status, "%s (%s)", node->entry->name, node->variant->name)
                    : TDM_OK;
}

/* Stored values that could not be written to their place by their producer, one of [first, end). */
static tdm_status add_copies(tdm__planning *p, int first, int end)
{
    for (size_t i = 0; i < p->n_copies; i++) {
        tdm_value value = p->copies[i].value;
        if (p->producer[value] < first || p->producer[value] >= end) continue;
        tdm__planned none = {.entry = NULL};
        tdm__build b = {.planning = p, .node = &none, .plan_node = SIZE_MAX};
        tdm__plan_step *step = add_step(&b, TDM__RUN_COPY);
        if (!step) return b.status;
        step->from = value_view(&b, value);
        step->to = p->copies[i].view;
        step->size = tdm__desc_bytes(p->graph->values[value].desc);
        step->launch.name = "copy";
        step->launch.bytes = 2.0 * (double)step->size;
    }
    return TDM_OK;
}

static bool reads_awaited(const tdm__planning *p, const tdm__planned *node)
{
    for (int s = 0; s < tdm__planned_operands(node); s++) {
        const tdm_value value = tdm__planned_operand(node, s);
        if (value >= 0 && p->graph->values[value].awaited) return true;
    }
    return false;
}

tdm_status tdm__planning_prepare(tdm__planning *p)
{
    tdm__plan *plan = p->plan;
    tdm_status status = tdm__calloc_try(p->n_nodes, sizeof *plan->nodes, &plan->nodes);
    int copied = -1; /* what is made by no node counts as made before them */
    plan->pause = SIZE_MAX;
    for (size_t k = 0; !status && k < p->n_nodes; k++) {
        if (p->nodes[k].removed) continue;
        if (plan->pause == SIZE_MAX && reads_awaited(p, &p->nodes[k])) {
            status = add_copies(p, copied, (int)k);
            copied = (int)k;
            plan->pause = plan->n_steps;
        }
        if (!status) status = prepare_node(p, &p->nodes[k]);
    }
    if (!status) status = add_copies(p, copied, (int)p->n_nodes);
    if (plan->pause == SIZE_MAX) plan->pause = plan->n_steps;
    plan->stats.launches = (int)plan->n_steps;
    for (size_t k = 0; k < plan->n_nodes; k++) {
        plan->stats.activation_read_bytes += plan->nodes[k].read_bytes;
        plan->stats.activation_write_bytes += plan->nodes[k].write_bytes;
    }
    for (size_t s = 0; s < plan->n_steps; s++) {
        plan->stats.flops += plan->steps[s].launch.flops;
        plan->stats.bytes += plan->steps[s].launch.bytes;
    }
    return status;
}

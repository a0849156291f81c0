/* support/op_check.c */
#include "support/op_check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/ops.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "ops/registry.h"
#include "support/op_case.h"

enum { MAX_LINES = 40 }; /* failure lines printed by one run */

tdm_status op_check_open(op_check *c, tdm_kernel_style style)
{
    tdm_status status = TDM_OK;
    *c = (op_check){0};
    const char *clblast = getenv("TANDEM_TEST_CLBLAST");
    c->clblast = clblast && *clblast && *clblast != '0';
    const char *samples = getenv("TANDEM_TEST_SAMPLES");
    c->most_samples = samples ? atoi(samples) : 0;
    TDM_TRY(tdm_device_open(&(tdm_device_spec){.style = style}, &c->device));
    TDM_TRY(tdm__buffer_create(c->device, sizeof(tdm__step), true, "step", &c->step));
    TDM_TRY(
        tdm__view_write(c->device, (tdm__view){&c->step, 0}, &op_case_step, sizeof op_case_step));
done:
    return status;
}

void op_check_close(op_check *c)
{
    if (c->device) tdm__buffer_destroy(c->device, &c->step);
    tdm_device_destroy(&c->device);
}

static void fail(op_check *c, const char *what, const char *format, ...) TDM__PRINTF(3, 4);
static void fail(op_check *c, const char *what, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const tdm__traits *traits = tdm__device_traits(c->device);
    if (c->failures++ < MAX_LINES)
        fprintf(stderr, "%s [%s] %s/%s, %s: %s\n", c->op->name, c->sample ? c->sample : "-",
                traits->style == TDM_STYLE_CPU ? "cpu" : "gpu", c->variant ? c->variant : "-", what,
                text);
}

/* Counts a check; a failure shows the library's message. */
static bool ok(op_check *c, const char *what, tdm_status status)
{
    c->checks++;
    if (status) fail(c, what, "%s: %s", tdm_status_name(status), tdm_last_error());
    return status == TDM_OK;
}

/* data ----------------------------------------------------------------------------------------- */

void op_check_fill(tdm__fill fill, int arg, uint64_t stream, double *out, size_t n)
{
    tdm__rng rng = tdm__rng_make(20, stream);
    uint64_t *order = NULL;
    if (fill == TDM__FILL_SPACED) {
        order = tdm__calloc(n, sizeof *order);
        if (order) tdm__rng_permutation(&rng, order, n);
    }
    for (size_t i = 0; i < n; i++) {
        double v = 0;
        uint64_t below = arg > 0 ? (uint64_t)arg : 1;
        switch (fill) {
        case TDM__FILL_NORMAL:
            v = tdm__rng_normal(&rng);
            break;
        case TDM__FILL_UNIFORM:
            v = tdm__rng_uniform(&rng);
            break;
        case TDM__FILL_POSITIVE:
            v = 0.5 + tdm__rng_uniform(&rng);
            break;
        case TDM__FILL_INDEX:
            v = (double)tdm__rng_below(&rng, below);
            break;
        case TDM__FILL_LABEL:
            v = tdm__rng_below(&rng, 5) ? (double)tdm__rng_below(&rng, below) : -1;
            break;
        case TDM__FILL_MASK:
            v = (double)tdm__rng_below(&rng, 2);
            break;
        case TDM__FILL_ZERO:
            break;
        case TDM__FILL_TIES:
            v = fmax(0, round(tdm__rng_normal(&rng) * 4) / 4);
            break;
        case TDM__FILL_SPACED:
            v = ((double)(order ? order[i] : i) - (double)n / 2 + 0.25) * 0.0125;
            break;
        }
        out[i] = (double)(float)v;
    }
    free(order);
}

static double *filled(const op_check *c, const tdm_desc *desc, tdm__fill fill, int arg, int input)
{
    size_t n = (size_t)tdm_desc_count(desc);
    double *out = tdm__calloc(n, sizeof *out);
    if (out)
        op_check_fill(fill, arg, tdm__rng_stream(c->sample ? c->sample : "", (uint64_t)input, n),
                      out, n);
    return out;
}

/* What differs between the checks of one sample. */
typedef struct shape_of_check {
    bool copy_inplace; /* inputs that outputs may take over come from a node */
    bool accumulate;   /* output 0 is added to a variable */
    unsigned epilogue; /* TDM__FUSE_* consumers after output 0 */
    bool load;         /* input 0 comes from batch norm and relu */
} shape_of_check;

typedef struct built {
    op_case base;
    tdm_value in[TDM__MAX_SAMPLE_INPUTS]; /* data */
    tdm_value out[TDM__MAX_OUTPUTS];      /* what is compared */
    int n_out;
} built;

static bool is_updated(const tdm_op *op, int input)
{
    for (int o = 0; o < op->n_out; o++)
        if (op->update[o] == input + 1) return true;
    return false;
}

static bool is_inplace(const tdm_op *op, int input)
{
    for (int o = 0; o < op->n_out; o++)
        if (op->inplace[o] == input + 1) return true;
    return false;
}

static tdm_value datum(op_check *c, built *b, const char *name, tdm_desc desc, bool input,
                       tdm__fill fill, int arg)
{
    return op_case_data(&b->base, name, desc, input, filled(c, &desc, fill, arg, b->base.n_data));
}

static tdm_value after_batch_norm(op_check *c, built *b, tdm_value x)
{
    tdm_graph *g = b->base.graph;
    const tdm_desc *desc = tdm_graph_desc(g, x);
    const tdm_desc channels = tdm_desc_1(TDM_F32, desc->dim[desc->rank - 1]);
    tdm_value in[6] = {x};
    for (int i = 1; i < 5; i++)
        in[i] = datum(c, b, "batch norm", channels, false,
                      i == 1 || i == 4 ? TDM__FILL_POSITIVE : TDM__FILL_NORMAL, 0);
    return tdm_relu(g, tdm_batch_norm_train(g, x, in[1], in[2], in[3], in[4], TDM_NO_VALUE,
                                            &(tdm_batch_norm_attrs){1e-5f, 0.1f}));
}

/* Puts the consumers of an epilogue behind y. */
static tdm_value with_epilogue(op_check *c, built *b, tdm_value y, unsigned parts)
{
    tdm_graph *g = b->base.graph;
    tdm_desc desc = *tdm_graph_desc(g, y);
    if (parts & TDM__FUSE_AFFINE) {
        tdm_desc channels = tdm_desc_1(TDM_F32, desc.dim[desc.rank - 1]);
        tdm_value operands[3] = {y, datum(c, b, "scale", channels, false, TDM__FILL_NORMAL, 0),
                                 datum(c, b, "shift", channels, false, TDM__FILL_NORMAL, 0)};
        y = tdm__graph_node(g, tdm__op_find("channel_affine"), operands, 3, NULL);
    }
    if (parts & TDM__FUSE_RESIDUAL)
        y = tdm_add(g, y, datum(c, b, "residual", desc, false, TDM__FILL_NORMAL, 0));
    if (parts & TDM__FUSE_ACT) y = tdm_leaky_relu(g, y, 0.25f);
    if (parts & TDM__FUSE_ACT_GRAD) {
        /* relu or leaky relu, by the shape: kernels treat them apart */
        const tdm_op *op = tdm__op_find("activation_grad");
        tdm_value operands[2] = {y, datum(c, b, "y", desc, false, TDM__FILL_NORMAL, 0)};
        y = tdm__graph_node(g, op, operands, 2, op->samples[desc.dim[1] % 2 ? 0 : 3].attrs);
    }
    return y;
}

static tdm_status build(op_check *c, const tdm__sample *s, shape_of_check shape, built *b)
{
    const tdm_op *op = c->op;
    tdm_value operands[TDM__MAX_SAMPLE_INPUTS];
    *b = (built){0};
    tdm_status status = op_case_open(&b->base, c->device, (tdm__view){&c->step, 0});
    if (status) return status;
    tdm_graph *g = b->base.graph;
    for (int i = 0; i < s->n_in; i++) {
        b->in[i] = operands[i] = TDM_NO_VALUE;
        if (s->in[i].dtype == TDM_NONE) continue;
        char name[24];
        snprintf(name, sizeof name, "input %d", i);
        bool input = !is_updated(op, i) && !(op->differentiable >> i & 1);
        b->in[i] = operands[i] = datum(c, b, name, s->in[i], input, s->fill[i], s->fill_arg[i]);
        if (shape.copy_inplace && is_inplace(op, i) && s->in[i].dtype == TDM_F32)
            operands[i] = tdm_scale(g, operands[i], 1.0f);
    }
    if (shape.load) operands[0] = after_batch_norm(c, b, operands[0]);
    tdm_value y = tdm__graph_node(g, op, operands, s->n_in, s->attrs);
    status = tdm_graph_status(g);
    if (status) return status;
    b->n_out = op->n_out;
    for (int o = 0; o < op->n_out; o++) b->out[o] = y + o;
    bool floats = tdm_graph_desc(g, y)->dtype == TDM_F32;
    if (shape.accumulate && floats) {
        tdm_value base = datum(c, b, "base", *tdm_graph_desc(g, y), false, TDM__FILL_NORMAL, 0);
        b->out[0] = tdm_add(g, base, y);
    }
    if (shape.epilogue && floats) b->out[0] = with_epilogue(c, b, y, shape.epilogue);
    status = tdm_graph_status(g);
    if (status) return status;
    for (int o = 0; o < b->n_out; o++)
        if (tdm_graph_desc(g, b->out[o])->dtype != TDM_NONE) tdm_graph_keep(g, b->out[o]);
    return tdm_graph_status(g);
}

/* one device run against the host -------------------------------------------------------------- */

static const char *choose(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)op, (void)io;
    const op_check *c = user;
    size_t n = strlen(c->op->name);
    return strncmp(key, c->op->name, n) == 0 && key[n] == '|' ? c->variant : NULL;
}

static void compare(op_check *c, const char *what, op_case *k, tdm_value value, const double *got,
                    double tolerance)
{
    int64_t first;
    const tdm_desc *desc = tdm_graph_desc(k->graph, value);
    double error = op_case_error(desc, got, k->values[value], &first);
    c->checks++;
    if (error <= tolerance) return;
    char shape[96];
    fail(c, what, "%s %s: error %.3g > %.1g; element %lld is %.9g, should be %.9g",
         tdm_graph_name(k->graph, value), tdm_desc_text(desc, shape, sizeof shape), error,
         tolerance, (long long)first, first < 0 ? 0 : got[first],
         first < 0 ? 0 : k->values[value][first]);
}

static void same_bits(op_check *c, const char *what, op_case *k, tdm_value value, const double *a,
                      const double *b)
{
    int64_t n = tdm_desc_count(tdm_graph_desc(k->graph, value));
    c->checks++;
    for (int64_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], sizeof a[i]) == 0) continue;
        fail(c, what, "%s: element %lld is %.9g, then %.9g", tdm_graph_name(k->graph, value),
             (long long)i, a[i], b[i]);
        return;
    }
}

typedef struct results {
    double *of[TDM__MAX_SAMPLE_INPUTS + TDM__MAX_OUTPUTS];
} results;

static void results_free(results *r)
{
    for (size_t i = 0; i < sizeof r->of / sizeof r->of[0]; i++) free(r->of[i]);
    *r = (results){0};
}

static bool run_and_read(op_check *c, const char *what, op_case *k, const tdm_value *values, int n,
                         results *r)
{
    if (!ok(c, what, op_case_run(k))) return false;
    for (int i = 0; i < n; i++) {
        if (values[i] < 0 || tdm_graph_desc(k->graph, values[i])->dtype == TDM_NONE) continue;
        if (!ok(c, what, op_case_read(k, values[i], &r->of[i]))) return false;
    }
    return true;
}

static double tolerance_of(const tdm_op *op)
{
    return op->tolerance > 0 ? op->tolerance : 1e-5;
}

typedef struct node_cost {
    const char *op;
    double flops, bytes;
} node_cost;

static void add_cost(void *user, const char *op, const char *node, tdm__launch *launch)
{
    node_cost *cost = user;
    (void)node;
    if (strcmp(op, cost->op) != 0) return;
    cost->flops += launch->flops;
    cost->bytes += launch->bytes;
}

static void check_costs(op_check *c, tdm__plan *plan)
{
    node_cost cost = {.op = c->op->name};
    tdm__plan_each_launch(plan, add_cost, &cost);
    c->checks++;
    if (!(cost.bytes > 0) || !(cost.flops >= 0))
        fail(c, "cost", "%g flops, %g bytes", cost.flops, cost.bytes);
}

/* Plans, runs twice in guard mode, compares with the host and with itself. */
static bool device_twice(op_check *c, const char *what, op_case *k, const tdm_value *values, int n,
                         double tolerance, tdm__plan_stats *stats, results *first)
{
    results second = {0};
    const tdm__plan_spec spec = {.guard = true, .choose = choose, .choose_user = c};
    bool good = ok(c, what, op_case_interpret(k, TDM_NO_VALUE, NULL)) &&
                ok(c, what, op_case_plan(k, &spec)) && run_and_read(c, what, k, values, n, first);
    if (good) {
        tdm__plan_get_stats(k->plan, stats);
        for (int i = 0; i < n; i++)
            if (first->of[i]) compare(c, what, k, values[i], first->of[i], tolerance);
        good = run_and_read(c, "second run", k, values, n, &second);
        for (int i = 0; good && i < n; i++)
            if (first->of[i]) same_bits(c, "second run", k, values[i], first->of[i], second.of[i]);
    }
    results_free(&second);
    return good;
}

static void check_forward(op_check *c, const tdm__sample *s)
{
    built b;
    results first = {0}, plain = {0};
    tdm__plan_stats stats = {0};
    if (ok(c, "build", build(c, s, (shape_of_check){0}, &b)) &&
        device_twice(c, "forward", &b.base, b.out, b.n_out, tolerance_of(c->op), &stats, &first)) {
        if (!c->op->view) check_costs(c, b.base.plan);
        const tdm__plan_spec spec = {.choose = choose, .choose_user = c};
        if (ok(c, "arena", op_case_plan(&b.base, &spec)) &&
            run_and_read(c, "arena", &b.base, b.out, b.n_out, &plain))
            for (int o = 0; o < b.n_out; o++)
                if (first.of[o]) same_bits(c, "arena", &b.base, b.out[o], first.of[o], plain.of[o]);
    }
    results_free(&first);
    results_free(&plain);
    op_case_close(&b.base);
}

static void expect_count(op_check *c, const char *what, int got, int want)
{
    c->checks++;
    if (got != want) fail(c, what, "the planner did it %d times instead of %d", got, want);
}

static void check_inplace(op_check *c, const tdm__sample *s)
{
    bool any = false;
    for (int i = 0; i < s->n_in; i++) any |= s->in[i].dtype == TDM_F32 && is_inplace(c->op, i);
    if (!any) return;
    built b;
    results first = {0};
    tdm__plan_stats stats = {0};
    if (ok(c, "in place", build(c, s, (shape_of_check){.copy_inplace = true}, &b)) &&
        device_twice(c, "in place", &b.base, b.out, b.n_out, tolerance_of(c->op), &stats, &first)) {
        c->checks++;
        if (stats.inplace < 1) fail(c, "in place", "the planner used another place");
    }
    results_free(&first);
    op_case_close(&b.base);
}

static void check_accumulate(op_check *c, const tdm__sample *s)
{
    if (!c->op->can_accumulate) return;
    built b;
    results first = {0};
    tdm__plan_stats stats = {0};
    tdm_status status = build(c, s, (shape_of_check){.accumulate = true}, &b);
    if (!status && tdm_graph_desc(b.base.graph, b.out[0])->dtype != TDM_F32) {
        op_case_close(&b.base);
        return;
    }
    if (!status) {
        /* the sum is stored where the base is: the producer can add to it */
        const op_data *base = &b.base.data[b.base.n_data - 1];
        tdm__graph_store(b.base.graph, b.out[0], op_case_view(&b.base, base->value));
        status = tdm_graph_status(b.base.graph);
    }
    if (ok(c, "accumulate", status) &&
        device_twice(c, "accumulate", &b.base, b.out, b.n_out, tolerance_of(c->op), &stats, &first))
        expect_count(c, "accumulate", stats.accumulated, 1);
    results_free(&first);
    op_case_close(&b.base);
}

static void check_epilogues(op_check *c, const tdm__sample *s)
{
    for (unsigned parts = 1; parts <= c->op->fuse; parts++) {
        if (parts & ~c->op->fuse) continue;
        if ((parts & TDM__FUSE_AFFINE) && !tdm__op_find("channel_affine")) continue;
        built b;
        results first = {0};
        tdm__plan_stats stats = {0};
        if (ok(c, "epilogue", build(c, s, (shape_of_check){.epilogue = parts}, &b)) &&
            device_twice(c, "epilogue", &b.base, b.out, b.n_out, tolerance_of(c->op), &stats,
                         &first)) {
            int count = !!(parts & TDM__FUSE_ACT) + !!(parts & TDM__FUSE_AFFINE) +
                        !!(parts & TDM__FUSE_RESIDUAL) + !!(parts & TDM__FUSE_ACT_GRAD);
            expect_count(c, "epilogue", stats.fused, count);
        }
        results_free(&first);
        op_case_close(&b.base);
    }
}

/* An input that the algorithm can transform while it reads it. */
static void check_load(op_check *c, const tdm__sample *s, const tdm__variant *v)
{
    const tdm_desc *x = &s->in[0];
    const bool one_row = x->rank > 0 && tdm_desc_count(x) == x->dim[x->rank - 1];
    if (!(v->loads & 1u) || x->dtype != TDM_F32 || one_row) return; /* batch norm needs two rows */
    built b;
    results first = {0};
    tdm__plan_stats stats = {0};
    /* channels of few and close values magnify what they are rounded by */
    const double tolerance = 10 * tolerance_of(c->op);
    if (ok(c, "load", build(c, s, (shape_of_check){.load = true}, &b)) &&
        device_twice(c, "load", &b.base, b.out, b.n_out, tolerance, &stats, &first)) {
        expect_count(c, "load", stats.loads, 1);
        expect_count(c, "load", stats.pending, 1);
    }
    results_free(&first);
    op_case_close(&b.base);
}

/* gradients ------------------------------------------------------------------------------------ */

typedef struct slope {
    tdm_value dout[TDM__MAX_OUTPUTS], grad[TDM__MAX_SAMPLE_INPUTS];
} slope;

static bool takes_gradient(const op_check *c, const built *b, int o)
{
    return (c->op->out_gradient >> o & 1) &&
           tdm_graph_desc(b->base.graph, b->out[o])->dtype == TDM_F32;
}

static bool gives_gradient(const op_check *c, const tdm__sample *s, int i)
{
    return (c->op->differentiable >> i & 1) && s->in[i].dtype == TDM_F32;
}

static tdm_status build_slope(op_check *c, const tdm__sample *s, built *b, slope *out)
{
    tdm_value outs[TDM__MAX_OUTPUTS], douts[TDM__MAX_OUTPUTS], wrt[TDM__MAX_SAMPLE_INPUTS];
    tdm_value grads[TDM__MAX_SAMPLE_INPUTS];
    size_t n_outs = 0;
    tdm_status status = build(c, s, (shape_of_check){0}, b);
    if (status) return status;
    for (int o = 0; o < b->n_out; o++) {
        out->dout[o] = TDM_NO_VALUE;
        if (!takes_gradient(c, b, o)) continue;
        outs[n_outs] = b->out[o];
        out->dout[o] = douts[n_outs++] = datum(
            c, b, "dout", *tdm_graph_desc(b->base.graph, b->out[o]), true, TDM__FILL_NORMAL, 0);
    }
    for (int i = 0; i < s->n_in; i++) wrt[i] = gives_gradient(c, s, i) ? b->in[i] : TDM_NO_VALUE;
    status =
        tdm__graph_gradients_from(b->base.graph, outs, douts, n_outs, wrt, (size_t)s->n_in, grads);
    for (int i = 0; i < s->n_in; i++) {
        out->grad[i] = grads[i];
        if (grads[i] >= 0) tdm_graph_keep(b->base.graph, grads[i]);
    }
    return status;
}

/* sum over outputs of <out, dout>, on the host, with input `value` moved by delta */
static bool objective(op_check *c, built *b, const slope *sl, tdm_value value, const double *delta,
                      double *sum, double *size)
{
    if (op_case_interpret(&b->base, value, delta)) return false;
    *sum = *size = 0;
    for (int o = 0; o < b->n_out; o++) {
        if (sl->dout[o] < 0) continue;
        int64_t n = tdm_desc_count(tdm_graph_desc(b->base.graph, b->out[o]));
        for (int64_t i = 0; i < n; i++) {
            double term = b->base.values[b->out[o]][i] * b->base.values[sl->dout[o]][i];
            *sum += term;
            *size += fabs(term);
        }
    }
    (void)c;
    return true;
}

/* <grad, direction> against (f(x + h d) - f(x - h d)) / 2h */
static void check_direction(op_check *c, built *b, const slope *sl, int i, const double *grad,
                            double *direction, int64_t n)
{
    const double h = 1e-6;
    double slope_host = 0, grad_norm = 0, dir_norm = 0, up, down, size, scale;
    for (int64_t k = 0; k < n; k++) {
        slope_host += grad[k] * direction[k];
        grad_norm += grad[k] * grad[k];
        dir_norm += direction[k] * direction[k];
        direction[k] *= h;
    }
    if (!objective(c, b, sl, b->in[i], direction, &up, &size)) return;
    for (int64_t k = 0; k < n; k++) direction[k] = -direction[k];
    if (!objective(c, b, sl, b->in[i], direction, &down, &size)) return;
    double slope_fd = (up - down) / (2 * h);
    scale = sqrt(grad_norm * dir_norm);
    c->checks++;
    if (fabs(slope_fd - slope_host) <= 1e-5 * scale + 1e-8 * size + 1e-9) return;
    fail(c, "gradient", "input %d: slope %.9g, finite differences %.9g", i, slope_host, slope_fd);
}

static void check_differences(op_check *c, const tdm__sample *s, built *b, const slope *sl, int i)
{
    if (s->fill[i] == TDM__FILL_TIES || s->fill[i] == TDM__FILL_ZERO) return; /* kinks */
    int64_t n = tdm_desc_count(&s->in[i]);
    double *grad = tdm__calloc((size_t)n, sizeof *grad);
    double *direction = tdm__calloc((size_t)n, sizeof *direction);
    if (grad && direction) {
        if (sl->grad[i] >= 0) memcpy(grad, b->base.values[sl->grad[i]], (size_t)n * sizeof *grad);
        tdm__rng rng = tdm__rng_make(7, (uint64_t)i);
        for (int round = 0; round < 4; round++) {
            memset(direction, 0, (size_t)n * sizeof *direction);
            if (round < 2)
                for (int64_t k = 0; k < n; k++) direction[k] = tdm__rng_normal(&rng);
            else
                direction[tdm__rng_below(&rng, (uint64_t)n)] = 1;
            check_direction(c, b, sl, i, grad, direction, n);
        }
    } else {
        fail(c, "gradient", "out of memory");
    }
    free(grad);
    free(direction);
}

static void check_gradient(op_check *c, const tdm__sample *s)
{
    if (!c->op->gradient || !c->op->differentiable) return;
    built b;
    slope sl;
    results first = {0};
    tdm__plan_stats stats;
    double tolerance = fmax(tolerance_of(c->op), 1e-5);
    if (ok(c, "gradient", build_slope(c, s, &b, &sl))) {
        device_twice(c, "backward", &b.base, sl.grad, s->n_in, tolerance, &stats, &first);
        for (int i = 0; i < s->n_in; i++)
            if (gives_gradient(c, s, i) &&
                ok(c, "gradient", op_case_interpret(&b.base, TDM_NO_VALUE, NULL)))
                check_differences(c, s, &b, &sl, i);
    }
    results_free(&first);
    op_case_close(&b.base);
}

/* rejects, table ------------------------------------------------------------------------------- */

static void check_reject(op_check *c, const tdm__reject *r)
{
    tdm_graph *g = NULL;
    tdm_value in[TDM__MAX_SAMPLE_INPUTS];
    c->sample = r->name;
    if (!ok(c, "reject", tdm_graph_create(&g))) return;
    for (int i = 0; i < r->n_in; i++)
        in[i] =
            r->in[i].dtype == TDM_NONE ? TDM_NO_VALUE : tdm_graph_variable(g, "x", r->in[i], false);
    tdm_value y = tdm__graph_node(g, c->op, in, r->n_in, r->attrs);
    tdm_status status = tdm_graph_status(g);
    size_t prefix = strlen(c->op->name);
    const char *text = status ? tdm_last_error() : "";
    c->checks++;
    if (y != TDM_NO_VALUE || status != r->status)
        fail(c, "reject", "%s instead of %s: %s", tdm_status_name(status),
             tdm_status_name(r->status), text);
    else if (strncmp(text, c->op->name, prefix) != 0 || strncmp(text + prefix, ": ", 2) != 0 ||
             strcmp(text + prefix + 2, r->message) != 0)
        fail(c, "reject", "message \"%s\" instead of \"%s: %s\"", text, c->op->name, r->message);
    tdm_graph_destroy(&g);
}

static void check_table(op_check *c)
{
    const tdm_op *op = c->op;
    c->checks++;
    c->sample = c->variant = NULL;
    if (!op->infer || !(op->reference || op->view)) fail(c, "table", "no infer or no reference");
    if (op->n_samples < 1) fail(c, "table", "no samples");
    if (op->n_rejects < 1 && !op->view) fail(c, "table", "no rejects");
    if (!op->view && op->n_variants < 1) fail(c, "table", "no algorithm");
    if (op->n_out < 1 || op->n_out > TDM__MAX_OUTPUTS) fail(c, "table", "%d outputs", op->n_out);
    if (!op->gradient != !op->differentiable)
        fail(c, "table", "a gradient function and differentiable inputs go together");
    for (int i = 0; i < op->n_attrs; i++)
        if (op->attrs[i].offset >= op->attr_size) fail(c, "table", "attribute %d is outside", i);
}

static bool variant_runs(op_check *c, const tdm__sample *s, const tdm__variant *v)
{
    const tdm__traits *traits = tdm__device_traits(c->device);
    unsigned style = traits->style == TDM_STYLE_CPU ? TDM__ON_CPU : TDM__ON_GPU;
    if (!(v->styles & style)) return false;
    if (tdm__starts_with(v->name, "clblast") && !c->clblast) return false;
    if (!v->can_run) return true;
    built b;
    bool runs = false;
    if (build(c, s, (shape_of_check){0}, &b) == TDM_OK) {
        tdm__node_info info;
        tdm__graph_node_info(b.base.graph, 0, &info);
        runs = v->can_run(traits, &info.io);
    }
    op_case_close(&b.base);
    return runs;
}

void op_check_run(op_check *c, const tdm_op *op)
{
    c->op = op;
    check_table(c);
    const int limit = c->most_samples > 0 ? c->most_samples : op->n_samples;
    for (int i = 0; i < op->n_samples && i < limit; i++) {
        const tdm__sample *s = &op->samples[i];
        c->sample = s->name;
        c->variant = NULL;
        if (op->view) check_forward(c, s);
        for (int v = 0; v < op->n_variants; v++) {
            c->variant = op->variants[v].name;
            if (!variant_runs(c, s, &op->variants[v])) continue;
            check_forward(c, s);
            check_inplace(c, s);
            check_accumulate(c, s);
            check_epilogues(c, s);
            check_load(c, s, &op->variants[v]);
        }
        c->variant = NULL;
        check_gradient(c, s);
    }
    for (int i = 0; i < op->n_rejects; i++) check_reject(c, &op->rejects[i]);
}

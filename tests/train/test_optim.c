/* Optimisers and schedules against PyTorch's numbers and a double reference. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "optim/optim.h"
#include "support/support.h"

#include "../ref/optim_golden.h"

/* The golden numbers' parameters (tests/ref/make_optim_golden.py), one that stands still, and one
 * that spans several blocks and is permuted between disk and device. */
enum { WEIGHT, BIAS, HEAD, STILL, MATRIX, PARAMS };
static const int64_t counts[PARAMS] = {11, 3, 5, 7, 131 * 150};

typedef struct bench {
    tdm_device *device;
    tdm__flat *flat;
    tdm__optimizer *opt;
} bench;

static double start_value(int k, int64_t i)
{
    return sin(1.0 + 3.0 * k + 0.5 * (double)i);
}

static double slope(int k, int64_t i, int t)
{
    return cos(0.3 + 2.0 * k + 0.7 * (double)i + 1.1 * t) * (1.0 + 0.1 * (double)(i % 50));
}

static void declare(bench *b, int k, const char *name)
{
    tdm__segment s = {.name = (char *)name, .kind = TDM__SEGMENT_PARAM, .decay = k != BIAS};
    size_t index;
    s.disk = tdm_desc_1(TDM_F32, counts[k]);
    s.group = k == HEAD;
    if (k == MATRIX) {
        s.disk = tdm_desc_2(TDM_F32, 131, 150);
        s.layout = TDM__LAYOUT_DENSE;
    }
    s.frozen = k == STILL;
    support_ok(tdm__flat_declare(b->flat, &s, &index));
    ck_assert_uint_eq(index, (size_t)k);
}

static void set_values(bench *b)
{
    float values[131 * 150];
    for (int k = 0; k < PARAMS; k++) {
        for (int64_t i = 0; i < counts[k]; i++) values[i] = (float)start_value(k, i);
        support_ok(tdm__flat_set(b->flat, (size_t)k, values));
    }
}

static void open_bench(bench *b, tdm_kernel_style style, const tdm__optim_spec *spec)
{
    static const char *const names[PARAMS] = {"weight", "bias", "head", "still", "matrix"};
    tdm_device_spec device = {.style = style};
    support_ok(tdm_device_open(&device, &b->device));
    support_ok(tdm__flat_create(b->device, &b->flat));
    for (int k = 0; k < PARAMS; k++) declare(b, k, names[k]);
    support_ok(tdm__flat_seal(b->flat, true));
    set_values(b);
    support_ok(tdm__optimizer_create(b->device, b->flat, spec, &b->opt));
    support_ok(tdm__optimizer_anchor(b->opt, (const bool[PARAMS]){true, true, false, true, true}));
}

static void close_bench(bench *b)
{
    tdm__optimizer_destroy(&b->opt);
    tdm__flat_destroy(&b->flat);
    tdm_device_destroy(&b->device);
}

/* Writes gradient t times factor (device order), for the parameters in `which` (bits). */
static void set_gradients(bench *b, int t, double factor, unsigned which)
{
    static float disk[131 * 150], device[131 * 150];
    for (int k = 0; k < PARAMS; k++) {
        tdm__segment *s = tdm__flat_segment(b->flat, (size_t)k);
        s->has_gradient = which >> k & 1;
        for (int64_t i = 0; i < counts[k]; i++)
            disk[i] = s->has_gradient ? (float)(factor * slope(k, i, t)) : NAN;
        tdm__segment_to_device(s, disk, device);
        support_ok(tdm__view_write(b->device, tdm__flat_gradient_view(b->flat, (size_t)k), device,
                                   (uint64_t)counts[k] * sizeof(float)));
    }
}

static void step(bench *b, double lr, bool expected)
{
    bool stepped;
    support_ok(tdm__optimizer_step(b->opt, lr, &stepped));
    ck_assert_int_eq(stepped, expected);
}

static void get(bench *b, int k, float *out)
{
    support_ok(tdm__flat_get(b->flat, (size_t)k, out));
}

static double norm_of(bench *b)
{
    double norm;
    support_ok(tdm__optimizer_norm(b->opt, &norm));
    return norm;
}

/* Which parameters have a gradient at step t of the golden runs. */
static unsigned golden_which(int t)
{
    return 1u << WEIGHT | 1u << BIAS | (t == 1 || t == 3 ? 1u << HEAD : 0);
}

static tdm__optim_spec spec_of(size_t rule)
{
    return (tdm__optim_spec){.kind = golden_rules[rule].kind,
                             .lr = golden_rules[rule].lr,
                             .momentum = golden_rules[rule].momentum,
                             .dampening = golden_rules[rule].dampening,
                             .nesterov = golden_rules[rule].nesterov,
                             .beta1 = 0.9,
                             .beta2 = 0.99,
                             .eps = 1e-6,
                             .weight_decay = golden_rules[rule].weight_decay,
                             .clip_norm = golden_rules[rule].clip_norm,
                             .clip_value = golden_rules[rule].clip_value,
                             .l2_sp = golden_rules[rule].l2_sp,
                             .l2_sp_new = golden_rules[rule].l2_sp_new,
                             .accumulate = 1};
}

static size_t rule_named(const char *name)
{
    size_t i = 0;
    while (strcmp(golden_rules[i].name, name) != 0) i++;
    return i;
}

static void check_golden(bench *b, size_t rule, double tolerance)
{
    const float *want = golden_rules[rule].values;
    for (int k = WEIGHT; k <= HEAD; k++) {
        float values[11];
        get(b, k, values);
        for (int64_t i = 0; i < counts[k]; i++, want++)
            ck_assert_msg(fabs(values[i] - *want) <= tolerance, "%s: %d[%d] = %.9g, PyTorch %.9g",
                          golden_rules[rule].name, k, (int)i, (double)values[i], (double)*want);
    }
}

START_TEST(golden)
{
    tdm__optim_spec spec = spec_of((size_t)_i);
    for (int style = TDM_STYLE_CPU; style <= TDM_STYLE_GPU; style++) {
        bench b = {0};
        open_bench(&b, style, &spec);
        ck_assert_double_eq(norm_of(&b), 0);
        for (int t = 0; t < 5; t++) {
            set_gradients(&b, t, 1, golden_which(t));
            step(&b, spec.lr, true);
        }
        check_golden(&b, (size_t)_i, 3e-7);
        ck_assert_double_eq_tol(norm_of(&b), golden_rules[_i].norm, 1e-6 * golden_rules[_i].norm);
        close_bench(&b);
    }
}
END_TEST

/* A segment of several blocks in another layout, 20 steps of Adam in double. */
START_TEST(many_blocks)
{
    tdm__optim_spec spec = spec_of(rule_named("adam"));
    static double p[131 * 150], m[131 * 150], v[131 * 150];
    static float values[131 * 150];
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    double squares = 0;
    for (int64_t i = 0; i < counts[MATRIX]; i++)
        p[i] = (float)start_value(MATRIX, i), m[i] = v[i] = 0;
    for (int t = 0; t < 20; t++) {
        set_gradients(&b, t, 1, 1u << MATRIX);
        step(&b, 0.01, true);
        squares = 0;
        for (int64_t i = 0; i < counts[MATRIX]; i++) {
            double g = (float)slope(MATRIX, i, t);
            squares += g * g;
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            double root = sqrt(v[i] / (1 - pow(0.99, t + 1))) + 1e-6;
            p[i] -= 0.01 / (1 - pow(0.9, t + 1)) * m[i] / root;
        }
    }
    get(&b, MATRIX, values);
    for (int64_t i = 0; i < counts[MATRIX]; i++) ck_assert_double_eq_tol(values[i], p[i], 2e-6);
    ck_assert_double_eq_tol(norm_of(&b), sqrt(squares), 1e-7 * sqrt(squares));
    close_bench(&b);
}
END_TEST

static void copy_state(tdm__optimizer *from, tdm__optimizer *to)
{
    size_t n = tdm__optimizer_state_count(from);
    ck_assert_uint_eq(n, tdm__optimizer_state_count(to));
    for (size_t i = 0; i < n; i++) {
        const char *name, *other;
        uint64_t count;
        tdm__optimizer_state_info(to, i, &other, &count);
        tdm__optimizer_state_info(from, i, &name, &count);
        ck_assert_str_eq(name, other);
        float *values = calloc(count, sizeof *values);
        support_ok(tdm__optimizer_state_get(from, i, values));
        support_ok(tdm__optimizer_state_set(to, i, values));
        free(values);
    }
}

/* The same with a pull to where the segment was when it was anchored, in both styles; and the state
 * brings the anchor along: a second optimiser that was anchored elsewhere goes on with equal bits.
 */
START_TEST(anchored)
{
    static double p[131 * 150], m[131 * 150], v[131 * 150];
    static float values[131 * 150], start[131 * 150], zeros[131 * 150];
    const double pull = 3;
    tdm__optim_spec spec = spec_of(rule_named("adam"));
    spec.l2_sp = pull;
    bench b = {0}, other = {0};
    char hash[2][33];
    open_bench(&b, (tdm_kernel_style)_i, &spec);
    open_bench(&other, (tdm_kernel_style)_i, &spec);
    get(&b, MATRIX, start);
    for (int64_t i = 0; i < counts[MATRIX]; i++) p[i] = start[i], m[i] = v[i] = 0;
    for (int t = 0; t < 10; t++) {
        set_gradients(&b, t, 1, 1u << MATRIX);
        step(&b, 0.01, true);
        for (int64_t i = 0; i < counts[MATRIX]; i++) {
            double g = (float)slope(MATRIX, i, t) + pull * (p[i] - start[i]);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = 0.99 * v[i] + 0.01 * g * g;
            double root = sqrt(v[i] / (1 - pow(0.99, t + 1))) + 1e-6;
            p[i] -= 0.01 / (1 - pow(0.9, t + 1)) * m[i] / root;
        }
    }
    get(&b, MATRIX, values);
    for (int64_t i = 0; i < counts[MATRIX]; i++) ck_assert_double_eq_tol(values[i], p[i], 2e-6);
    support_ok(tdm__flat_set(other.flat, MATRIX, values));
    const size_t n = tdm__optimizer_state_count(other.opt);
    const char *name;
    uint64_t count;
    tdm__optimizer_state_info(other.opt, n - 1, &name, &count);
    ck_assert_str_eq(name, "optimizer.matrix.anchor");
    ck_assert_uint_eq(count, (uint64_t)counts[MATRIX]);
    support_ok(tdm__optimizer_state_set(other.opt, n - 1, zeros));
    copy_state(b.opt, other.opt);
    set_gradients(&b, 10, 1, 1u << MATRIX);
    set_gradients(&other, 10, 1, 1u << MATRIX);
    step(&b, 0.01, true);
    step(&other, 0.01, true);
    support_ok(tdm__flat_hash(b.flat, false, hash[0]));
    support_ok(tdm__flat_hash(other.flat, false, hash[1]));
    ck_assert_str_eq(hash[0], hash[1]);
    close_bench(&b);
    close_bench(&other);
}
END_TEST

START_TEST(untouched)
{
    tdm__optim_spec spec = spec_of(rule_named("adamw"));
    char before[33], after[33];
    float old[7], now[7], count;
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    support_ok(tdm__flat_hash(b.flat, true, before));
    get(&b, HEAD, old);
    for (int t = 0; t < 3; t++) {
        set_gradients(&b, t, 1, 1u << WEIGHT | 1u << STILL);
        step(&b, 0.1, true);
    }
    support_ok(tdm__flat_hash(b.flat, true, after));
    ck_assert_str_eq(before, after);
    get(&b, HEAD, now);
    ck_assert_mem_eq(old, now, sizeof(float) * (size_t)counts[HEAD]);
    /* Only the weight has taken steps; the frozen one has no state at all. */
    for (size_t i = 0; i < tdm__optimizer_state_count(b.opt); i++) {
        const char *name;
        uint64_t n;
        tdm__optimizer_state_info(b.opt, i, &name, &n);
        ck_assert_ptr_null(strstr(name, "still"));
        if (!strstr(name, ".step")) continue;
        support_ok(tdm__optimizer_state_get(b.opt, i, &count));
        ck_assert_float_eq(count, strstr(name, "weight") ? 3 : 0);
    }
    uint64_t learnt = 11 + 3 + 5 + 131 * 150;
    ck_assert_uint_ge(tdm__optimizer_bytes(b.opt), learnt * 8);
    ck_assert_uint_le(tdm__optimizer_bytes(b.opt), learnt * 8 + 4 * 2 * 256);
    close_bench(&b);
}
END_TEST

/* A segment that is frozen after creation stands still too. */
START_TEST(frozen_later)
{
    tdm__optim_spec spec = spec_of(rule_named("sgd_momentum"));
    float old[11], now[11];
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    set_gradients(&b, 0, 1, 1u << WEIGHT | 1u << BIAS);
    step(&b, 0.1, true);
    get(&b, WEIGHT, old);
    tdm__flat_segment(b.flat, WEIGHT)->frozen = true;
    step(&b, 0.1, true);
    get(&b, WEIGHT, now);
    ck_assert_mem_eq(old, now, sizeof old);
    close_bench(&b);
}
END_TEST

/* Gradients in two halves whose mean is the golden run's. The head's comes in one of the two. */
START_TEST(accumulation)
{
    size_t rule = (size_t)_i;
    tdm__optim_spec spec = spec_of(rule);
    spec.accumulate = 2;
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    for (int t = 0; t < 5; t++) {
        unsigned which = golden_which(t), both = 1u << WEIGHT | 1u << BIAS;
        set_gradients(&b, t, 0.5, which & both);
        step(&b, spec.lr, false);
        set_gradients(&b, t, 1.5, which & both);
        if (which >> HEAD & 1) {
            /* The mean is over both micro-batches, so the one that has it brings twice as much. */
            float head[5];
            for (int i = 0; i < 5; i++) head[i] = (float)(2 * slope(HEAD, i, t));
            support_ok(tdm__view_write(b.device, tdm__flat_gradient_view(b.flat, HEAD), head,
                                       sizeof head));
            tdm__flat_segment(b.flat, HEAD)->has_gradient = true;
        }
        step(&b, spec.lr, true);
    }
    check_golden(&b, rule, 1e-6);
    ck_assert_double_eq_tol(norm_of(&b), golden_rules[rule].norm, 1e-6 * golden_rules[rule].norm);
    close_bench(&b);
}
END_TEST

START_TEST(flush)
{
    tdm__optim_spec spec = spec_of(rule_named("sgd"));
    float values[11];
    bool stepped;
    spec.accumulate = 4;
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    support_ok(tdm__optimizer_flush(b.opt, 1, &stepped));
    ck_assert(!stepped);
    for (int t = 0; t < 3; t++) {
        set_gradients(&b, 0, 1 + t, 1u << WEIGHT);
        step(&b, 1, false);
    }
    support_ok(tdm__optimizer_flush(b.opt, 1, &stepped));
    ck_assert(stepped);
    get(&b, WEIGHT, values);
    for (int i = 0; i < 11; i++)
        ck_assert_double_eq_tol(values[i], start_value(WEIGHT, i) - 2 * slope(WEIGHT, i, 0), 1e-6);
    support_ok(tdm__optimizer_flush(b.opt, 1, &stepped));
    ck_assert(!stepped);
    close_bench(&b);
}
END_TEST

START_TEST(group_factors)
{
    tdm__optim_spec spec = spec_of(rule_named("sgd"));
    float values[11];
    bench b = {0};
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    support_ok(tdm__optimizer_set_group_factor(b.opt, 1, 10));
    support_fails(tdm__optimizer_set_group_factor(b.opt, 1, NAN), TDM_ERR_USAGE, "of group 1");
    set_gradients(&b, 0, 1, golden_which(1));
    step(&b, 0.01, true);
    get(&b, WEIGHT, values);
    ck_assert_double_eq_tol(values[3], start_value(WEIGHT, 3) - 0.01 * slope(WEIGHT, 3, 0), 1e-6);
    get(&b, HEAD, values);
    ck_assert_double_eq_tol(values[3], start_value(HEAD, 3) - 0.1 * slope(HEAD, 3, 0), 1e-6);
    close_bench(&b);
}
END_TEST

/* Three steps, state and parameters into a fresh pair, two steps each: equal bits. */
START_TEST(round_trip)
{
    tdm__optim_spec spec = spec_of((size_t)_i);
    static float values[131 * 150];
    char hash[2][33];
    bench a = {0}, b = {0};
    open_bench(&a, TDM_STYLE_AUTO, &spec);
    open_bench(&b, TDM_STYLE_AUTO, &spec);
    for (int t = 0; t < 3; t++) {
        set_gradients(&a, t, 1, golden_which(t) | 1u << MATRIX);
        step(&a, spec.lr, true);
    }
    for (int k = 0; k < PARAMS; k++) {
        get(&a, k, values);
        support_ok(tdm__flat_set(b.flat, (size_t)k, values));
    }
    copy_state(a.opt, b.opt);
    for (int t = 3; t < 5; t++) {
        set_gradients(&a, t, 1, golden_which(t) | 1u << MATRIX);
        set_gradients(&b, t, 1, golden_which(t) | 1u << MATRIX);
        step(&a, spec.lr, true);
        step(&b, spec.lr, true);
    }
    support_ok(tdm__flat_hash(a.flat, false, hash[0]));
    support_ok(tdm__flat_hash(b.flat, false, hash[1]));
    ck_assert_str_eq(hash[0], hash[1]);
    const char *name;
    uint64_t count;
    size_t last = 0;
    do {
        tdm__optimizer_state_info(b.opt, last++, &name, &count);
    } while (strcmp(name, "optimizer.matrix.step") != 0);
    last--;
    ck_assert_uint_eq(count, 1);
    support_fails(tdm__optimizer_state_set(b.opt, last, &(float){0.5f}), TDM_ERR_DATA,
                  "optimizer.matrix.step = 0.5: must be a whole number of steps");
    close_bench(&a);
    close_bench(&b);
}
END_TEST

START_TEST(bad_gradients)
{
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int clip = 0; clip < 2; clip++) {
        tdm__optim_spec spec = spec_of(rule_named(clip ? "sgd_clip_value" : "adam"));
        for (size_t i = 0; i < 3; i++) {
            bench b = {0};
            open_bench(&b, TDM_STYLE_AUTO, &spec);
            set_gradients(&b, 0, 1, golden_which(0));
            tdm__view view = tdm__flat_gradient_view(b.flat, BIAS);
            support_ok(tdm__view_write(b.device, view, &bad[i], sizeof bad[i]));
            step(&b, 0.1, true);
            ck_assert(!isfinite(norm_of(&b)));
            close_bench(&b);
        }
    }
}
END_TEST

START_TEST(not_ready)
{
    tdm__optim_spec spec = spec_of(0);
    tdm__optimizer *opt;
    tdm_device *device;
    tdm__flat *flat;
    support_ok(tdm_device_open(&(tdm_device_spec){0}, &device));
    support_ok(tdm__flat_create(device, &flat));
    support_fails(tdm__optimizer_create(device, flat, &spec, &opt), TDM_ERR_STATE,
                  "not sealed yet");
    bench b = {.device = device, .flat = flat};
    declare(&b, WEIGHT, "weight");
    support_ok(tdm__flat_seal(flat, false));
    support_fails(tdm__optimizer_create(device, flat, &spec, &opt), TDM_ERR_STATE,
                  "have no gradients");
    ck_assert_ptr_null(opt);
    close_bench(&b);
}
END_TEST

/* Nothing to learn is not an error. */
START_TEST(nothing_learnt)
{
    tdm__optim_spec spec = spec_of(rule_named("adam_clip"));
    bench b = {0};
    support_ok(tdm_device_open(&(tdm_device_spec){0}, &b.device));
    support_ok(tdm__flat_create(b.device, &b.flat));
    declare(&b, WEIGHT, "weight");
    tdm__flat_segment(b.flat, WEIGHT)->frozen = true;
    support_ok(tdm__flat_seal(b.flat, true));
    support_ok(tdm__optimizer_create(b.device, b.flat, &spec, &b.opt));
    step(&b, 0.1, true);
    ck_assert_uint_eq(tdm__optimizer_state_count(b.opt), 0);
    ck_assert_uint_eq(tdm__optimizer_bytes(b.opt), 0);
    close_bench(&b);
}
END_TEST

/* ---- schedules and options ---------------------------------------------------------------------
 */

static void check_schedule(const char *text, const double *want)
{
    const tdm_opt_table *tables[] = {&tdm_optim_options, &tdm_schedule_options};
    tdm_config *config;
    tdm__schedule s;
    support_ok(tdm_config_create(tables, 2, &config));
    support_ok(tdm_config_load_text(config, text, strlen(text), "test.yaml"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm__schedule_read(config, &s));
    for (int64_t e = 0; e < 12; e++) {
        double lr = tdm__schedule_lr(&s, 0.2, 12, 10, e, 10 * e + 3);
        ck_assert_double_eq_tol(lr, want[e], 1e-14);
    }
    tdm_config_destroy(&config);
}

START_TEST(schedules)
{
    const double constant[] = {.2, .2, .2, .2, .2, .2, .2, .2, .2, .2, .2, .2};
    check_schedule("{}", constant);
    check_schedule("schedule: {kind: step, step_size: 3, gamma: 0.5}", golden_step);
    check_schedule("schedule: {kind: multistep, milestones: [2, 5, 6], gamma: 0.1}",
                   golden_multistep);
    check_schedule("schedule: {kind: exponential, gamma: 0.9}", golden_exponential);
    check_schedule("schedule: {kind: cosine, min_lr: 0.01}", golden_cosine);
    check_schedule("schedule: {kind: linear, min_lr: 0.01, epochs: 8}", golden_linear);
}
END_TEST

START_TEST(warmup)
{
    tdm__schedule s = {.warmup_steps = 6, .warmup_factor = 0.25};
    for (int64_t t = 0; t < 12; t++)
        ck_assert_double_eq_tol(tdm__schedule_lr(&s, 0.2, 3, 4, t / 4, t), golden_warmup[t], 1e-15);
    s.warmup_steps = 0;
    s.warmup_epochs = 1.5;
    for (int64_t t = 0; t < 12; t++)
        ck_assert_double_eq_tol(tdm__schedule_lr(&s, 0.2, 3, 4, t / 4, t), golden_warmup[t], 1e-15);
}
END_TEST

static tdm_status read_options(const char *text, tdm__optim_spec *spec)
{
    const tdm_opt_table *tables[] = {&tdm_optim_options, &tdm_schedule_options};
    tdm_config *config;
    tdm__schedule schedule;
    support_ok(tdm_config_create(tables, 2, &config));
    tdm_status status = tdm_config_load_text(config, text, strlen(text), "test.yaml");
    if (!status) status = tdm_config_resolve(config);
    if (!status) status = tdm__optim_spec_read(config, spec);
    if (!status) status = tdm__schedule_read(config, &schedule);
    tdm_config_destroy(&config);
    return status;
}

START_TEST(options)
{
    tdm__optim_spec s;
    support_ok(read_options("{}", &s));
    ck_assert_int_eq(s.kind, TDM__OPTIM_ADAM);
    ck_assert_double_eq(s.lr, 1e-3);
    ck_assert_double_eq(s.beta1, 0.9);
    ck_assert_double_eq(s.beta2, 0.999);
    ck_assert_double_eq(s.eps, 1e-8);
    ck_assert_int_eq(s.accumulate, 1);
    support_ok(read_options("optim: {kind: sgd, momentum: 0.9, nesterov: true, clip_norm: 2, "
                            "clip_value: 3, weight_decay: 0.5, accumulate: 4}",
                            &s));
    ck_assert_int_eq(s.kind, TDM__OPTIM_SGD);
    ck_assert(s.nesterov);
    ck_assert_double_eq(s.clip_norm, 2);
    ck_assert_double_eq(s.clip_value, 3);
    ck_assert_double_eq(s.weight_decay, 0.5);
    ck_assert_int_eq(s.accumulate, 4);
    support_ok(read_options("optim: {kind: adamw}", &s));
    ck_assert_int_eq(s.kind, TDM__OPTIM_ADAMW);
    support_fails(read_options("optim: {nesterov: true}", &s), TDM_ERR_CONFIG,
                  "needs a momentum and no dampening");
    support_ok(read_options("optim: {l2_sp: 0.1, l2_sp_new: 0.01}", &s));
    ck_assert_double_eq(s.l2_sp, 0.1);
    ck_assert_double_eq(s.l2_sp_new, 0.01);
    support_fails(read_options("optim: {l2_sp: 0.1, weight_decay: 0.1}", &s), TDM_ERR_CONFIG,
                  "optim.l2_sp takes its place");
    support_fails(read_options("optim: {betas: [0.9]}", &s), TDM_ERR_CONFIG, "must be two numbers");
    support_fails(read_options("optim: {lr: 0}", &s), TDM_ERR_CONFIG, "optim.lr");
    support_fails(read_options("schedule: {kind: multistep}", &s), TDM_ERR_CONFIG,
                  "must name at least one epoch");
    support_fails(read_options("schedule: {milestones: [3, 3]}", &s), TDM_ERR_CONFIG, "must rise");
}
END_TEST

int main(void)
{
    const int rules = sizeof golden_rules / sizeof *golden_rules;
    Suite *suite = suite_create("optim");
    TCase *steps = tcase_create("steps"), *plain = tcase_create("schedules and options");
    tcase_add_loop_test(steps, golden, 0, rules);
    tcase_add_test(steps, many_blocks);
    tcase_add_loop_test(steps, anchored, TDM_STYLE_CPU, TDM_STYLE_GPU + 1);
    tcase_add_test(steps, untouched);
    tcase_add_test(steps, frozen_later);
    tcase_add_loop_test(steps, accumulation, 0, rules);
    tcase_add_test(steps, flush);
    tcase_add_test(steps, group_factors);
    tcase_add_loop_test(steps, round_trip, 0, rules);
    tcase_add_test(steps, bad_gradients);
    tcase_add_test(steps, not_ready);
    tcase_add_test(steps, nothing_learnt);
    tcase_add_test(plain, schedules);
    tcase_add_test(plain, warmup);
    tcase_add_test(plain, options);
    suite_add_tcase(suite, steps);
    suite_add_tcase(suite, plain);
    return support_run(suite);
}

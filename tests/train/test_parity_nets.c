/* SegNet, U-Net (also with its encoder frozen), ResNets and the CNNs (one also shared in other
 * ways), at reduced size, against PyTorch from the same initial weights: ten losses (ResNet-50:
 * one), every gradient of the first step, batch norm's statistics after the first and the tenth
 * step. The truth is PyTorch's float64 (tests/ref/make_net_golden.py). With batch norm, and with
 * pooling among near-ties, float32 differs from it by much more than one rounding, so the error may
 * be twice the larger of those that PyTorch's float32 makes in its two memory formats. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "support/parity.h"

typedef struct golden_tensor {
    const char *name, *minus; /* minus: a bias that is taken off first; NULL: none */
    double norm, error;       /* error: float32's, relative to the norm */
    double projections[PARITY_PROJECTIONS];
} golden_tensor;

typedef struct golden_net {
    int seed, batch, steps, columns; /* columns: a loss per task, and the total */
    double lr;
    const double *losses;      /* steps x columns */
    const double *loss_errors; /* per column: float32's, relative to the norm of the ten losses */
    const golden_tensor *gradients;
    size_t n_gradients;
    const golden_tensor *first_state; /* batch norm's statistics after that step */
    size_t n_first_state;
    const golden_tensor *last_state; /* and after the last; none where that is the first */
    size_t n_last_state;
} golden_net;

#include "../ref/cgc_golden.h"
#include "../ref/cnn_golden.h"
#include "../ref/frozen_unet_golden.h"
#include "../ref/instance_cnn_golden.h"
#include "../ref/low_rank_golden.h"
#include "../ref/mmoe_golden.h"
#include "../ref/mtan_golden.h"
#include "../ref/mtan_resnet_golden.h"
#include "../ref/per_task_norm_golden.h"
#include "../ref/ple_golden.h"
#include "../ref/pad_net_a_golden.h"
#include "../ref/pad_net_b_golden.h"
#include "../ref/pad_net_c_golden.h"
#include "../ref/nddr_cnn_golden.h"
#include "../ref/resnet50_golden.h"
#include "../ref/resnet_golden.h"
#include "../ref/segnet_golden.h"
#include "../ref/sluice_golden.h"
#include "../ref/soft_cnn_golden.h"
#include "../ref/soft_l21_cnn_golden.h"
#include "../ref/soft_trace_cnn_golden.h"
#include "../ref/stitch_channels_cnn_golden.h"
#include "../ref/stitch_cnn_golden.h"
#include "../ref/stitch_segnet_golden.h"
#include "../ref/strided_cnn_golden.h"
#include "../ref/unet_golden.h"

/* The floor of every comparison: what a single operation may be off by. */
static const double rounding = 1e-5, first_loss = 5e-5;

typedef struct net_case {
    const char *name, *config;
    const golden_net *golden;
    const parity_array *arrays;
    size_t n_arrays, programs; /* programs: the most that a step may use; 0: not counted */
} net_case;

#define IMAGES(h, w)                                                                               \
    {                                                                                              \
        {.name = "images",                                                                         \
         .kind = TDM_ARRAY_IMAGE,                                                                  \
         .rank = 3,                                                                                \
         .dims = {h, w, 3},                                                                        \
         .elems = 3 * (h) * (w)},                                                                  \
            PARITY_PIXELS                                                                          \
    }
#define CLASSES(id, n)                                                                             \
    {                                                                                              \
        {.name = id, .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = n}, PARITY_LABELS             \
    }

static const parity_array segnet_arrays[] = {
    IMAGES(64, 96),
    {{.name = "semantic",
      .kind = TDM_ARRAY_MASK,
      .rank = 2,
      .dims = {64, 96},
      .elems = 6144,
      .classes = 13},
     PARITY_HOLES},
    {{.name = "depth",
      .kind = TDM_ARRAY_DEPTH,
      .is_float = true,
      .rank = 3,
      .dims = {64, 96, 1},
      .elems = 6144},
     PARITY_VALUES,
     10},
    {{.name = "valid",
      .kind = TDM_ARRAY_VALUES,
      .is_float = true,
      .rank = 3,
      .dims = {64, 96, 1},
      .elems = 6144},
     PARITY_FLAGS},
};
static const parity_array small_segnet_arrays[] = {
    IMAGES(32, 48),
    {{.name = "semantic",
      .kind = TDM_ARRAY_MASK,
      .rank = 2,
      .dims = {32, 48},
      .elems = 1536,
      .classes = 13},
     PARITY_HOLES},
    {{.name = "depth",
      .kind = TDM_ARRAY_DEPTH,
      .is_float = true,
      .rank = 3,
      .dims = {32, 48, 1},
      .elems = 1536},
     PARITY_VALUES,
     10},
    {{.name = "valid",
      .kind = TDM_ARRAY_VALUES,
      .is_float = true,
      .rank = 3,
      .dims = {32, 48, 1},
      .elems = 1536},
     PARITY_FLAGS},
};
static const parity_array unet_arrays[] = {
    IMAGES(32, 48),
    {{.name = "masks",
      .kind = TDM_ARRAY_MASK,
      .rank = 2,
      .dims = {32, 48},
      .elems = 1536,
      .classes = 2},
     PARITY_LABELS},
    CLASSES("species", 3),
    {{.name = "boxes", .kind = TDM_ARRAY_BOX, .is_float = true, .rank = 1, .dims = {4}, .elems = 4},
     PARITY_VALUES,
     48},
};
static const parity_array resnet_arrays[] = {IMAGES(16, 16), CLASSES("labels", 10)};
static const parity_array resnet50_arrays[] = {IMAGES(64, 64), CLASSES("labels", 10)};
static const parity_array strided_arrays[] = {IMAGES(16, 16), CLASSES("first", 5),
                                              CLASSES("second", 5)};
static const parity_array three_arrays[] = {IMAGES(16, 16), CLASSES("first", 5),
                                            CLASSES("second", 5), CLASSES("third", 5)};

#define TWO_TASKS                                                                                  \
    "tasks:\n"                                                                                     \
    "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"                           \
    "  second: {head: pool-linear, loss: cross-entropy, target: second}\n"

static const net_case cases[] = {
    {"segnet",
     "model: {trunk: segnet, filters: [8, 16, 32, 64, 64], init: xavier-normal, prefix: \"\"}\n"
     "tasks:\n"
     "  semantic: {head: segmentation, prefix: pred_task1, loss: nll, target: semantic}\n"
     "  depth: {head: depth, prefix: pred_task2, loss: l1, target: depth, mask: valid}\n",
     &segnet_golden, segnet_arrays, 4, 25},
    {"unet",
     "model: {trunk: unet, filters: [8, 16, 32, 64]}\n"
     "tasks:\n"
     "  mask: {head: segmentation, loss: cross-entropy, target: masks}\n"
     "  class: {head: pool-linear, loss: cross-entropy, target: species}\n"
     "  box: {head: box, loss: l1, target: boxes, target_scale: 48}\n",
     &unet_golden, unet_arrays, 4},
    {"frozen-unet",
     "model: {trunk: unet, filters: [8, 16, 32, 64]}\n"
     "tasks:\n"
     "  mask: {head: segmentation, loss: cross-entropy, target: masks}\n"
     "  class: {head: pool-linear, loss: cross-entropy, target: species}\n"
     "  box: {head: box, loss: l1, target: boxes, target_scale: 48}\n"
     "train: {freeze: [encoder.down]}\n",
     &frozen_unet_golden, unet_arrays, 4},
    {"resnet",
     "model: {trunk: resnet18, filters: [8, 16, 32, 64], stem: cifar, prefix: \"\"}\n"
     "tasks: {class: {head: pool-linear, prefix: fc, loss: cross-entropy, target: labels}}\n",
     &resnet_golden, resnet_arrays, 2},
    {"resnet50",
     "model: {trunk: resnet50, filters: [4, 8, 8, 8], prefix: \"\"}\n"
     "tasks: {class: {head: pool-linear, prefix: fc, loss: cross-entropy, target: labels}}\n",
     &resnet50_golden, resnet50_arrays, 2},
    {"cnn",
     "model: {trunk: cnn, filters: [8, 16, 32]}\n"
     "tasks: {class: {head: pool-linear, prefix: fc, loss: cross-entropy, target: labels}}\n",
     &cnn_golden, resnet_arrays, 2, 25},
    {"soft-cnn",
     "model: {trunk: cnn, filters: [8, 16, 32], sharing: soft, soft_lambda: 0.1}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n",
     &soft_cnn_golden, strided_arrays, 3},
    {"mtan",
     "model: {trunk: segnet, filters: [8, 16], init: xavier-normal, prefix: \"\", sharing: mtan}\n"
     "tasks:\n"
     "  semantic: {head: segmentation, prefix: pred_task1, loss: nll, target: semantic}\n"
     "  depth: {head: depth, prefix: pred_task2, loss: l1, target: depth, mask: valid}\n",
     &mtan_golden, small_segnet_arrays, 4},
    {"mtan-resnet",
     "model: {trunk: resnet18, filters: [8, 8, 16, 16], stem: cifar, prefix: \"\", sharing: mtan}\n"
     "tasks:\n"
     "  first: {head: pool-linear, prefix: heads.first, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, prefix: heads.second, loss: cross-entropy, target: second}\n",
     &mtan_resnet_golden, strided_arrays, 3},
    {"stitch-cnn",
     "model: {trunk: cnn, filters: [8, 12], sharing: cross-stitch}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n"
     "  third: {head: pool-linear, loss: cross-entropy, target: third}\n",
     &stitch_cnn_golden, three_arrays, 4},
    {"stitch-channels-cnn",
     "model: {trunk: cnn, filters: [8, 12], sharing: cross-stitch, stitch: channel}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n",
     &stitch_channels_cnn_golden, strided_arrays, 3},
    {"stitch-segnet",
     "model: {trunk: segnet, filters: [4, 8], init: xavier-normal, sharing: cross-stitch}\n"
     "tasks:\n"
     "  semantic: {head: segmentation, loss: nll, target: semantic}\n"
     "  depth: {head: depth, loss: l1, target: depth, mask: valid}\n",
     &stitch_segnet_golden, segnet_arrays, 4},
    {"mmoe",
     "model: {trunk: cnn, filters: [8, 16, 32], sharing: mmoe, expert_blocks: 2, gate: "
     "shared}\n" TWO_TASKS,
     &mmoe_golden, strided_arrays, 3, 25},
    {"cgc", "model: {trunk: cnn, filters: [8, 16], sharing: cgc, experts: 2}\n" TWO_TASKS,
     &cgc_golden, strided_arrays, 3, 25},
    {"ple", "model: {trunk: cnn, filters: [8, 16], sharing: ple, experts: 1}\n" TWO_TASKS,
     &ple_golden, strided_arrays, 3, 25},
#define PAD_NET(module)                                                                            \
    "model: {trunk: unet, filters: [4, 8, 8, 16], sharing: pad-net, pad_net: " module ",\n"        \
    "        pad_net_channels: 8, intermediate_weight: 0.5}\n"                                     \
    "tasks:\n"                                                                                     \
    "  semantic: {head: segmentation, loss: cross-entropy, target: semantic, ignore_index: -1}\n"  \
    "  depth: {head: depth, loss: l1, target: depth, mask: valid}\n"
    {"pad-net-a", PAD_NET("A"), &pad_net_a_golden, small_segnet_arrays, 4},
    {"pad-net-b", PAD_NET("B"), &pad_net_b_golden, small_segnet_arrays, 4},
    {"pad-net-c", PAD_NET("C"), &pad_net_c_golden, small_segnet_arrays, 4},
    {"soft-trace-cnn",
     "model: {trunk: cnn, filters: [8, 12], sharing: soft, soft: trace, soft_lambda: 0.1}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n"
     "  third: {head: pool-linear, loss: cross-entropy, target: third}\n",
     &soft_trace_cnn_golden, three_arrays, 4},
    {"soft-l21-cnn",
     "model: {trunk: cnn, filters: [8, 12], sharing: soft, soft: l21, soft_lambda: 0.1}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n",
     &soft_l21_cnn_golden, strided_arrays, 3},
    {"nddr-cnn",
     "model: {trunk: cnn, filters: [8, 12], sharing: nddr}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n",
     &nddr_cnn_golden, strided_arrays, 3},
    {"sluice",
     "model: {layers: [conv 8 k3 s2 p1, relu, conv 8 k3 p1 nobias, batch-norm, relu, conv 8 k3 p1, "
     "relu],\n"
     "        sharing: sluice, sluice_orthogonality: 0.05}\n"
     "tasks:\n"
     "  first: {head: pool-linear, loss: cross-entropy, target: first}\n"
     "  second: {head: pool-linear, loss: cross-entropy, target: second}\n",
     &sluice_golden, strided_arrays, 3},
    {"per-task-norm", "model: {trunk: cnn, filters: [8, 16, 32], norm: per-task}\n" TWO_TASKS,
     &per_task_norm_golden, strided_arrays, 3, 25},
    {"low-rank",
     "model: {trunk: cnn, filters: [8, 16, 32], sharing: low-rank, rank: 2}\n" TWO_TASKS,
     &low_rank_golden, strided_arrays, 3, 25},
    {"instance-cnn",
     "model: {trunk: cnn, filters: [8, 16, 32]}\n"
     "balance: {kind: equal, instance_weighting: true}\n" TWO_TASKS "  second.role: auxiliary\n",
     &instance_cnn_golden, strided_arrays, 3, 25},
    {"strided-cnn",
     "model: {trunk: strided-cnn}\n"
     "tasks:\n"
     "  first: {head: classifier-bn, loss: cross-entropy, target: first}\n"
     "  second: {head: classifier-bn, loss: cross-entropy, target: second}\n",
     &strided_cnn_golden, strided_arrays, 3, 25},
};

static void open_case(parity *p, const net_case *c, const char *style)
{
    tdm_config *config = parity_config();
    char batch[16], seed[16];
    snprintf(batch, sizeof batch, "%d", c->golden->batch);
    snprintf(seed, sizeof seed, "%d", c->golden->seed);
    support_ok(tdm_config_load_text(config, c->config, strlen(c->config), c->name));
    support_ok(tdm_config_set(config, "train.batch_size", batch, "test"));
    support_ok(tdm_config_set(config, "seed", seed, "test"));
    support_ok(tdm_config_set(config, "data.path", "unused", "test"));
    support_ok(tdm_config_set(config, "optim.kind", "adam", "test"));
    parity_open(p, config, style, c->arrays, c->n_arrays);
}

/* What is frozen has statistics that say something, as after another training. */
static void fill_frozen(parity *p, uint64_t seed)
{
    for (size_t i = 0; i < tdm__flat_count(p->session.flat); i++) {
        const tdm__segment *s = tdm__flat_segment(p->session.flat, i);
        if (!s->frozen || s->kind != TDM__SEGMENT_STATE) continue;
        const bool var = strstr(s->name, "running_var") != NULL;
        char stream[96];
        snprintf(stream, sizeof stream, "parity.%s", s->name);
        tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(stream, 0, 0));
        float *values = malloc(s->count * sizeof *values);
        for (uint64_t k = 0; k < s->count; k++) {
            const double u = (tdm__rng_u32(&rng) >> 8) * 0x1p-24;
            values[k] = (float)(var ? 0.5 + u : 0.4 * u - 0.2);
        }
        support_ok(tdm__flat_set(p->session.flat, i, values));
        free(values);
    }
}

enum { MOST_COLUMNS = 4 };

/* Difference and golden losses of a column as vectors over the steps, squared. */
typedef struct loss_sums {
    double error[MOST_COLUMNS], golden[MOST_COLUMNS];
} loss_sums;

static void add_losses(parity *p, const golden_net *g, int step, loss_sums *sums)
{
    const tdm__meter *meter = p->session.meters[1];
    for (int i = 0; i < g->columns; i++) {
        const double golden = g->losses[step * g->columns + i];
        const double loss =
            i < g->columns - 1 ? tdm__meter_loss(meter, (size_t)i) : tdm__meter_total_loss(meter);
        const double difference = loss - golden;
        sums->error[i] += difference * difference;
        sums->golden[i] += golden * golden;
        if (step == 0)
            ck_assert_msg(fabs(difference) <= first_loss * fabs(golden),
                          "first loss %d: %.9g, PyTorch's %.9g", i, loss, golden);
    }
}

static void check_losses(const golden_net *g, const loss_sums *sums)
{
    for (int i = 0; i < g->columns; i++) {
        const double error = sqrt(sums->error[i] / sums->golden[i]);
        if (getenv("TANDEM_TEST_VERBOSE"))
            printf("loss %d: error %.2e, float32's %.2e\n", i, error, g->loss_errors[i]);
        ck_assert_msg(error <= fmax(2 * g->loss_errors[i], rounding),
                      "loss %d: relative error %.2e, float32's %.2e", i, error, g->loss_errors[i]);
    }
}

static size_t find(parity *p, const char *name)
{
    const size_t index = tdm__flat_find(p->session.flat, name);
    ck_assert_msg(index != SIZE_MAX, "no tensor %s", name);
    return index;
}

static void check_tensor(const golden_tensor *golden, const float *values, uint64_t count)
{
    double norm;
    const double error = parity_error(golden->name, values, count, golden->projections, &norm);
    const double allowed = fmax(2 * golden->error, rounding) * golden->norm;
    if (getenv("TANDEM_TEST_VERBOSE"))
        printf("%-40s error %.2e, float32's %.2e, ratio %.2f\n", golden->name, error / golden->norm,
               golden->error, error / golden->norm / golden->error);
    ck_assert_msg(error <= allowed, "%s: relative error %.3g, allowed %.3g", golden->name,
                  error / golden->norm, allowed / golden->norm);
    ck_assert_msg(fabs(norm - golden->norm) <= allowed, "%s: norm %.8g, PyTorch's %.8g",
                  golden->name, norm, golden->norm);
}

static void check_gradient(parity *p, const golden_tensor *golden)
{
    const size_t index = find(p, golden->name);
    const uint64_t n = tdm__flat_segment(p->session.flat, index)->count;
    float *values = malloc(n * sizeof *values);
    support_ok(tdm__flat_get_gradient(p->session.flat, index, values));
    check_tensor(golden, values, n);
    free(values);
}

static void check_state(parity *p, const golden_tensor *golden)
{
    const size_t index = find(p, golden->name);
    const uint64_t n = tdm__flat_segment(p->session.flat, index)->count;
    float *values = malloc(n * sizeof *values), *bias = malloc(n * sizeof *bias);
    support_ok(tdm__flat_get(p->session.flat, index, values));
    if (golden->minus) {
        support_ok(tdm__flat_get(p->session.flat, find(p, golden->minus), bias));
        for (uint64_t i = 0; i < n; i++) values[i] -= bias[i];
    }
    check_tensor(golden, values, n);
    free(values);
    free(bias);
}

static void check_case(const net_case *c, const char *style)
{
    const golden_net *g = c->golden;
    parity p;
    tdm__step_plan *plan;
    loss_sums sums = {{0}};
    bool stepped;
    open_case(&p, c, style);
    fill_frozen(&p, (uint64_t)g->seed);
    support_ok(tdm__session_plan(&p.session, TDM__FOR_TRAINING, 0, g->batch, &plan));
    for (int step = 0; step < g->steps; step++) {
        parity_step(&p, plan, step, g->lr);
        add_losses(&p, g, step, &sums);
        for (size_t i = 0; step == 0 && i < g->n_gradients; i++)
            check_gradient(&p, &g->gradients[i]);
        for (size_t i = 0; step == 0 && i < g->n_first_state; i++)
            check_state(&p, &g->first_state[i]);
        support_ok(tdm__optimizer_step(p.optimizer, g->lr, &stepped));
    }
    for (size_t i = 0; i < g->n_last_state; i++) check_state(&p, &g->last_state[i]);
    check_losses(g, &sums);
    const size_t programs = tdm__device_program_count(p.session.device);
    if (c->programs)
        ck_assert_msg(programs <= c->programs, "%zu kernel programs, the budget is %zu", programs,
                      c->programs);
    parity_close(&p);
}

START_TEST(cpu_style)
{
    check_case(&cases[_i], "cpu");
}
END_TEST

START_TEST(gpu_style)
{
    check_case(&cases[_i], "gpu");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parity of networks");
    TCase *tc = tcase_create("networks");
    tcase_add_loop_test(tc, cpu_style, 0, sizeof cases / sizeof *cases);
    tcase_add_loop_test(tc, gpu_style, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

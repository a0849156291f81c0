/* The Fashion-MNIST network against PyTorch from the same initial weights: ten losses, and every
 * gradient of the first step. The goldens are PyTorch's in float64
 * (tests/ref/make_fashion_golden.py). */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "support/support.h"
#include "train/session.h"

#include "../ref/fashion_golden.h"

static const double tolerance = 1e-4;

typedef struct fixture {
    tdm_config *config;
    tdm__session session;
    tdm__optimizer *optimizer;
    tdm__buffer buffers[2];
    tdm__view views[2];
} fixture;

static void load_config(fixture *f, const char *style)
{
    const tdm_opt_table *const *tables;
    size_t n;
    char *path = support_path(getenv("TANDEM_SOURCE_DIR"), "configs/fashion-mnist/learned.yaml");
    tdm_schema(&tables, &n);
    support_ok(tdm_config_create(tables, n, &f->config));
    support_ok(tdm_config_load(f->config, path));
    support_ok(tdm_config_set(f->config, "train.batch_size", "16", "test"));
    support_ok(tdm_config_set(f->config, "device.style", style, "test"));
    support_ok(tdm_config_set(f->config, "model.mean", "0", "test")); /* the goldens' pixels */
    support_ok(tdm_config_set(f->config, "model.std", "1", "test"));
    support_ok(tdm_config_resolve(f->config));
    free(path);
}

static void make_batch(fixture *f)
{
    static uint8_t pixels[GOLDEN_BATCH * 784];
    static int32_t labels[GOLDEN_BATCH];
    tdm__rng rng = tdm__rng_make(0, tdm__rng_stream("parity.images", 0, 0));
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(tdm__rng_u32(&rng) >> 24);
    rng = tdm__rng_make(0, tdm__rng_stream("parity.labels", 0, 0));
    for (int i = 0; i < GOLDEN_BATCH; i++) labels[i] = (int32_t)(tdm__rng_u32(&rng) % 10);
    const void *bytes[] = {pixels, labels};
    const uint64_t sizes[] = {sizeof pixels, sizeof labels};
    for (int i = 0; i < 2; i++) {
        support_ok(tdm__buffer_create(f->session.device, sizes[i], false, "batch", &f->buffers[i]));
        f->views[i] = (tdm__view){&f->buffers[i], 0};
        support_ok(tdm__view_write(f->session.device, f->views[i], bytes[i], sizes[i]));
    }
}

static void open_fixture(fixture *f, const char *style)
{
    static const tdm_array_info infos[] = {
        {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {28, 28, 1}, .elems = 784},
        {.name = "labels", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = 10}};
    tdm__optim_spec optim;
    *f = (fixture){0};
    load_config(f, style);
    support_ok(tdm__session_create(f->config, &(tdm__array_source){2, infos}, true, &f->session));
    support_ok(tdm__optim_spec_read(f->config, &optim));
    support_ok(tdm__optimizer_create(f->session.device, f->session.flat, &optim, &f->optimizer));
    make_batch(f);
}

static void close_fixture(fixture *f)
{
    for (int i = 0; i < 2; i++) tdm__buffer_destroy(f->session.device, &f->buffers[i]);
    tdm__optimizer_destroy(&f->optimizer);
    tdm__session_destroy(&f->session);
    tdm_config_destroy(&f->config);
}

static void check_loss(int step, const char *what, double value, double golden)
{
    ck_assert_msg(fabs(value - golden) <= tolerance * fabs(golden),
                  "step %d: %s is %.8g, PyTorch's %.8g", step + 1, what, value, golden);
}

static void check_gradient(fixture *f, const struct golden_gradient *golden)
{
    const size_t index = tdm__flat_find(f->session.flat, golden->name);
    ck_assert_msg(index != SIZE_MAX, "no parameter %s", golden->name);
    const uint64_t n = tdm__flat_segment(f->session.flat, index)->count;
    float *g = malloc(n * sizeof *g);
    double norm = 0, error = 0;
    char name[96];
    support_ok(tdm__flat_get_gradient(f->session.flat, index, g));
    for (uint64_t i = 0; i < n; i++) norm += (double)g[i] * g[i];
    norm = sqrt(norm);
    snprintf(name, sizeof name, "projection.%s", golden->name);
    for (uint64_t k = 0; k < GOLDEN_PROJECTIONS; k++) {
        tdm__rng rng = tdm__rng_make(k, tdm__rng_stream(name, 0, 0));
        double projection = 0;
        for (uint64_t i = 0; i < n; i++) projection += g[i] * (2 * tdm__rng_uniform(&rng) - 1);
        const double difference = projection - golden->projections[k];
        error += difference * difference;
    }
    /* A random projection on U(-1,1) has variance |e|^2 / 3: this estimates |e|. */
    error = sqrt(3 * error / GOLDEN_PROJECTIONS);
    ck_assert_msg(fabs(norm - golden->norm) <= tolerance * golden->norm,
                  "%s: norm %.8g, PyTorch's %.8g", golden->name, norm, golden->norm);
    ck_assert_msg(error <= tolerance * golden->norm, "%s: relative error %.3g", golden->name,
                  error / golden->norm);
    free(g);
}

static void check_style(const char *style)
{
    fixture f;
    tdm__step_plan *plan;
    open_fixture(&f, style);
    support_ok(tdm__session_plan(&f.session, TDM__FOR_TRAINING, 0, GOLDEN_BATCH, &plan));
    for (int step = 0; step < GOLDEN_STEPS; step++) {
        bool stepped;
        support_ok(tdm__meter_reset(f.session.meters[1]));
        support_ok(tdm__session_run(&f.session, plan, f.views, step, 1e-3));
        support_ok(tdm__meter_read(f.session.meters[1]));
        check_loss(step, "class", tdm__meter_loss(f.session.meters[1], 0), golden_losses[step][0]);
        check_loss(step, "recon", tdm__meter_loss(f.session.meters[1], 1), golden_losses[step][1]);
        check_loss(step, "total", tdm__meter_total_loss(f.session.meters[1]),
                   golden_losses[step][2]);
        for (size_t i = 0; step == 0 && i < sizeof golden_gradients / sizeof *golden_gradients; i++)
            check_gradient(&f, &golden_gradients[i]);
        support_ok(tdm__optimizer_step(f.optimizer, 1e-3, &stepped));
    }
    close_fixture(&f);
}

START_TEST(fashion_network_cpu_style)
{
    check_style("cpu");
}
END_TEST

START_TEST(fashion_network_gpu_style)
{
    check_style("gpu");
}
END_TEST

/* The budget of kernel programs of this step: cold start is a cost that users feel. */
START_TEST(fashion_step_uses_few_programs)
{
    fixture f;
    tdm__step_plan *plan;
    bool stepped;
    open_fixture(&f, "auto");
    support_ok(tdm__session_plan(&f.session, TDM__FOR_TRAINING, 0, GOLDEN_BATCH, &plan));
    support_ok(tdm__session_run(&f.session, plan, f.views, 0, 1e-3));
    support_ok(tdm__optimizer_step(f.optimizer, 1e-3, &stepped));
    const size_t programs = tdm__device_program_count(f.session.device);
    ck_assert_msg(programs <= 12, "%zu kernel programs, the budget is 12", programs);
    close_fixture(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("parity");
    TCase *tc = tcase_create("fashion");
    tcase_add_test(tc, fashion_network_cpu_style);
    tcase_add_test(tc, fashion_network_gpu_style);
    tcase_add_test(tc, fashion_step_uses_few_programs);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

/* The Fashion-MNIST network against PyTorch from the same initial weights: ten losses, and every
 * gradient of the first step. The goldens are PyTorch's in float64
 * (tests/ref/make_fashion_golden.py). */
#include <math.h>
#include <stdlib.h>

#include "support/parity.h"

#include "../ref/fashion_golden.h"

static const double tolerance = 1e-4;

static const parity_array arrays[] = {
    {{.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {28, 28, 1}, .elems = 784},
     PARITY_PIXELS},
    {{.name = "labels", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = 10}, PARITY_LABELS}};

static void open_fixture(parity *p, const char *style)
{
    tdm_config *config = parity_config();
    char *path = support_path(getenv("TANDEM_SOURCE_DIR"), "configs/fashion-mnist/published.yaml");
    support_ok(tdm_config_load(config, path));
    support_ok(tdm_config_set(config, "train.batch_size", "16", "test"));
    support_ok(tdm_config_set(config, "model.mean", "0", "test")); /* the goldens' pixels */
    support_ok(tdm_config_set(config, "model.std", "1", "test"));
    parity_open(p, config, style, arrays, 2);
    free(path);
}

static void check_loss(int step, const char *what, double value, double golden)
{
    ck_assert_msg(fabs(value - golden) <= tolerance * fabs(golden),
                  "step %d: %s is %.8g, PyTorch's %.8g", step + 1, what, value, golden);
}

static void check_gradient(parity *p, const struct golden_gradient *golden)
{
    const size_t index = tdm__flat_find(p->session.flat, golden->name);
    ck_assert_msg(index != SIZE_MAX, "no parameter %s", golden->name);
    const uint64_t n = tdm__flat_segment(p->session.flat, index)->count;
    float *g = malloc(n * sizeof *g);
    double norm;
    support_ok(tdm__flat_get_gradient(p->session.flat, index, g));
    const double error = parity_error(golden->name, g, n, golden->projections, &norm);
    ck_assert_msg(fabs(norm - golden->norm) <= tolerance * golden->norm,
                  "%s: norm %.8g, PyTorch's %.8g", golden->name, norm, golden->norm);
    ck_assert_msg(error <= tolerance * golden->norm, "%s: relative error %.3g", golden->name,
                  error / golden->norm);
    free(g);
}

static void check_style(const char *style)
{
    parity p;
    tdm__step_plan *plan;
    open_fixture(&p, style);
    support_ok(tdm__session_plan(&p.session, TDM__FOR_TRAINING, 0, GOLDEN_BATCH, &plan));
    for (int step = 0; step < GOLDEN_STEPS; step++) {
        bool stepped;
        parity_step(&p, plan, step, 1e-3);
        check_loss(step, "class", tdm__meter_loss(p.session.meters[1], 0), golden_losses[step][0]);
        check_loss(step, "recon", tdm__meter_loss(p.session.meters[1], 1), golden_losses[step][1]);
        check_loss(step, "total", tdm__meter_total_loss(p.session.meters[1]),
                   golden_losses[step][2]);
        for (size_t i = 0; step == 0 && i < sizeof golden_gradients / sizeof *golden_gradients; i++)
            check_gradient(&p, &golden_gradients[i]);
        support_ok(tdm__optimizer_step(p.optimizer, 1e-3, &stepped));
    }
    parity_close(&p);
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
    parity p;
    tdm__step_plan *plan;
    bool stepped;
    open_fixture(&p, "auto");
    support_ok(tdm__session_plan(&p.session, TDM__FOR_TRAINING, 0, GOLDEN_BATCH, &plan));
    support_ok(tdm__session_run(&p.session, plan, p.views, 0, 1e-3));
    support_ok(tdm__optimizer_step(p.optimizer, 1e-3, &stepped));
    const size_t programs = tdm__device_program_count(p.session.device);
    ck_assert_msg(programs <= 12, "%zu kernel programs, the budget is 12", programs);
    parity_close(&p);
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

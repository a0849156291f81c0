/* What decides how much of a source's weights a target keeps: L2-SP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/small_run.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
    small_data(folder);
}

static void teardown(void)
{
    support_temp_remove(folder);
}

static const char *output(const char *name)
{
    return small_output(folder, name);
}

static const char *run_path(const char *name)
{
    return small_run_path(folder, name);
}

#define TRAIN(result, ...)                                                                         \
    small_train(folder, (const char *const[]){__VA_ARGS__},                                        \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), result)

/* "train.init_from=<the run>" */
static const char *init_from(const char *run)
{
    static char texts[4][512];
    static int next;
    char *one = texts[next++ % 4];
    snprintf(one, sizeof texts[0], "train.init_from=%s", run_path(run));
    return one;
}

/* Euclidean distance of a parameter of two runs, and the first's norm. */
static double distance(const char *a, const char *file_a, const char *b, const char *file_b,
                       const char *name, double *norm)
{
    uint64_t n, m;
    float *x = small_tensor(run_path(a), file_a, name, &n);
    float *y = small_tensor(run_path(b), file_b, name, &m);
    double sum = 0, squares = 0;
    ck_assert_msg(n && n == m, "%s", name);
    for (uint64_t i = 0; i < n; i++) {
        sum += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        squares += (double)x[i] * x[i];
    }
    free(x);
    free(y);
    if (norm) *norm = sqrt(squares);
    return sqrt(sum);
}

/* ---- L2-SP ------------------------------------------------------------------------------------
 */

#define ALONE "tasks.recon.enabled=false", "balance.kind=equal"

START_TEST(loaded_weights_are_pulled_to_where_they_began)
{
    const char *weight = "encoder.0.weight", *last = "last.safetensors", *best = "best.safetensors";
    support_ok(TRAIN(NULL, output("source"), ALONE));
    const char *skip = "load.skip=[heads]", *sgd = "optim.kind=sgd", *lr = "optim.lr=0.1";
    support_ok(TRAIN(NULL, output("free"), init_from("source"), skip, ALONE, sgd, lr));
    support_ok(TRAIN(NULL, output("tied"), init_from("source"), skip, ALONE, sgd, lr,
                     "optim.l2_sp=5", "optim.l2_sp_new=2"));
    const double far = distance("source", best, "free", last, weight, NULL);
    const double near = distance("source", best, "tied", last, weight, NULL);
    ck_assert_msg(near > 0 && near < 0.5 * far, "%g, %g", near, far);
    /* new weights go towards 0 instead */
    double norm_free, norm_tied;
    distance("free", last, "tied", last, "heads.class.1.weight", &norm_free);
    distance("tied", last, "free", last, "heads.class.1.weight", &norm_tied);
    ck_assert_msg(norm_tied < 0.5 * norm_free, "%g, %g", norm_tied, norm_free);
    support_fails(TRAIN(NULL, output("x"), "optim.l2_sp=0.1"), TDM_ERR_CONFIG,
                  "no loaded weights to pull towards");
}
END_TEST

START_TEST(a_pulled_run_resumes_to_the_same_bits)
{
    char straight[33], resumed[33];
    small_result r;
    support_ok(TRAIN(NULL, output("source"), ALONE));
    const char *set = "optim.l2_sp=0.5", *freeze = "train.freeze=encoder.0";
    support_ok(TRAIN(NULL, output("straight"), init_from("source"), set, freeze));
    small_hash(run_path("straight"), "last.safetensors", straight);
    ck_assert(distance("source", "best.safetensors", "straight", "last.safetensors",
                       "encoder.0.weight", NULL) == 0);
    for (int i = 0; i < 2; i++) {
        support_ok(TRAIN(&r, output("parts"), init_from("source"), set, freeze,
                         "train.max_time=1e-9", "train.resume=auto"));
        ck_assert_int_eq(r.reason, TDM_STOP_TIME);
    }
    uint64_t n;
    float *anchor = small_tensor(run_path("parts"), "state.safetensors",
                                 "optimizer.encoder.3.weight.anchor", &n);
    ck_assert_uint_eq(n, 8 * 8 * 9);
    free(anchor);
    /* what the run began with counts, whatever the source has become since */
    support_ok(TRAIN(NULL, output("changed"), init_from("source"), ALONE, "train.epochs=1"));
    support_ok(
        TRAIN(NULL, output("parts"), init_from("changed"), set, freeze, "train.resume=auto"));
    small_hash(run_path("parts"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transfer");
    TCase *pull = tcase_create("l2-sp");
    tcase_add_checked_fixture(pull, setup, teardown);
    tcase_add_test(pull, loaded_weights_are_pulled_to_where_they_began);
    tcase_add_test(pull, a_pulled_run_resumes_to_the_same_bits);
    suite_add_tcase(suite, pull);
    return support_run(suite);
}

/* Ways of sharing a network (model.sharing) in whole runs on the small made-up data: each learns,
 * resumes to the same bits, takes tasks one at a time and combined gradients; what has no meaning
 * with it is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/small_run.h"

static const struct {
    const char *sharing, *option;
    const char *why; /* of what it refuses; NULL: a trunk a task */
} ways[] = {{"model.sharing=mmoe", "model.experts=2", "has a mixture of experts"},
            {"model.sharing=cgc", "model.expert_blocks=1", "has a mixture of experts"},
            {"model.sharing=ple", "model.experts=1", "has a mixture of experts"},
            {"model.sharing=low-rank", "model.rank=2", "adds weights of its own"},
            {"model.sharing=cross-stitch", "model.stitch=layer"},
            {"model.sharing=cross-stitch", "model.stitch=channel"},
            {"model.sharing=nddr", "model.stitch_same=0.8"},
            {"model.sharing=sluice", "model.sluice_subspaces=4"}};
enum { WAYS = sizeof ways / sizeof *ways };
#define WAY ways[_i].sharing, ways[_i].option
#define WHY (ways[_i].why ? ways[_i].why : "gives each task a trunk of its own")

START_TEST(learns_and_resumes)
{
    const char *const whole[] = {small_output("whole"), WAY, "train.epochs=4"};
    small_result result;
    char one[33], two[33];
    support_ok(small_train(small_folder, whole, sizeof whole / sizeof *whole, &result));
    ck_assert_double_lt(result.loss[0], 1.0); /* of four classes; log 4 knows nothing */
    support_ok(SMALL_TRAIN(small_output("parts"), WAY, "train.epochs=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), WAY, "train.epochs=4", "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", one);
    small_hash(small_run_path("parts"), "state.safetensors", two);
    ck_assert_str_eq(one, two);
}
END_TEST

START_TEST(tasks_take_turns)
{
    support_ok(SMALL_TRAIN(small_output("turns"), WAY, "train.epochs=1", "train.sampling=uniform"));
    support_ok(
        SMALL_TRAIN(small_output("alone"), WAY, "train.epochs=1", "tasks.recon.enabled=false"));
}
END_TEST

START_TEST(gradients_are_combined)
{
    support_ok(SMALL_TRAIN(small_output("mgda"), WAY, "train.epochs=1", "balance.kind=mgda"));
    support_fails(SMALL_TRAIN(small_output("a"), WAY, "balance.kind=gradnorm"), TDM_ERR_CONFIG,
                  WHY);
    support_fails(SMALL_TRAIN(small_output("b"), WAY, "balance.kind=mgda",
                              "balance.gradients=representation"),
                  TDM_ERR_CONFIG, WHY);
    support_fails(SMALL_TRAIN(small_output("c"), WAY, "train.freeze_except_last=1"), TDM_ERR_CONFIG,
                  "counts the blocks of one trunk");
}
END_TEST

/* ---- soft sharing ------------------------------------------------------------------------------
 */

static const char *const norms[] = {"model.soft=l2", "model.soft=trace", "model.soft=l21"};
enum { NORMS = sizeof norms / sizeof *norms };

/* Filters of the tasks' second convolutions, one after the other. */
static float *soft_filters(const char *run, uint64_t *n)
{
    float *first = small_tensor(run, "last.safetensors", "encoder.class.3.weight", n);
    float *second = small_tensor(run, "last.safetensors", "encoder.recon.3.weight", n);
    float *both = malloc(2 * *n * sizeof *both);
    memcpy(both, first, *n * sizeof *both);
    memcpy(both + *n, second, *n * sizeof *both);
    free(first);
    free(second);
    *n *= 2;
    return both;
}

/* What a norm draws is smaller with it: the distance of the tasks' filters, the smaller of the two
 * singular values of the matrix that they make, the sum of the lengths of their 8 channels. */
static double drawn(int norm, const char *run)
{
    uint64_t n;
    float *w = soft_filters(run, &n);
    const uint64_t half = n / 2;
    double aa = 0, bb = 0, ab = 0, rows = 0, squares[8] = {0};
    for (uint64_t i = 0; i < half; i++) {
        const double a = w[i], b = w[half + i];
        aa += a * a, bb += b * b, ab += a * b;
        squares[i / (half / 8)] += a * a + b * b;
    }
    for (int o = 0; o < 8; o++) rows += sqrt(squares[o]);
    free(w);
    if (norm == 0) return sqrt(aa + bb - 2 * ab);
    if (norm == 2) return rows;
    return sqrt((aa + bb) / 2 - sqrt((aa - bb) * (aa - bb) / 4 + ab * ab));
}

START_TEST(soft_norms_draw_and_resume)
{
    static const char soft[] = "model.sharing=soft";
    char one[33], two[33];
    support_ok(SMALL_TRAIN(small_output("free"), soft, norms[_i], "model.soft_lambda=0",
                           "train.epochs=4"));
    support_ok(SMALL_TRAIN(small_output("whole"), soft, norms[_i], "model.soft_lambda=0.3",
                           "train.epochs=4"));
    ck_assert_double_lt(drawn(_i, small_run_path("whole")),
                        0.8 * drawn(_i, small_run_path("free")));
    ck_assert_double_gt(small_logged("whole", 4, NULL, "penalty"), 0);
    ck_assert_double_lt(small_logged("whole", 4, NULL, "penalty"),
                        small_logged("whole", 1, NULL, "penalty"));
    ck_assert_double_eq(small_logged("free", 4, NULL, "penalty"), 0); /* no such number */
    support_ok(SMALL_TRAIN(small_output("parts"), soft, norms[_i], "model.soft_lambda=0.3",
                           "train.epochs=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), soft, norms[_i], "model.soft_lambda=0.3",
                           "train.epochs=4", "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", one);
    small_hash(small_run_path("parts"), "state.safetensors", two);
    ck_assert_str_eq(one, two);
}
END_TEST

/* ---- feature selection -------------------------------------------------------------------------
 */

/* Whether a head reads channel c of the 8 of the trunk, in PyTorch's layouts: of a dense layer the
 * inputs are (c, h, w) of 2x2 pixels and come last, of a transposed convolution they come first. */
static bool reads(const char *run, const char *head, bool transposed, int c)
{
    enum { CHANNELS = 8, PIXELS = 4 };
    uint64_t n;
    float *w = small_tensor(run, "last.safetensors", head, &n);
    bool any = false;
    ck_assert_msg(w != NULL, "no %s", head);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t channel = transposed ? i / (n / CHANNELS) : i % (CHANNELS * PIXELS) / PIXELS;
        any |= channel == (uint64_t)c && w[i] != 0;
    }
    free(w);
    return any;
}

/* The heads of all tasks let go of the same channels, as many as are logged, and still learn. */
START_TEST(features_are_selected)
{
#define SELECT "model.feature_selection=0.75", "optim.kind=sgd", "optim.lr=0.05"
    char whole[33], resumed[33];
    int kept = 0;
    support_ok(SMALL_TRAIN(small_output("whole"), SELECT, "train.epochs=6"));
    for (int c = 0; c < 8; c++) {
        const bool first = reads(small_run_path("whole"), "heads.class.1.weight", false, c);
        ck_assert(first == reads(small_run_path("whole"), "heads.recon.0.weight", true, c));
        kept += first;
    }
    ck_assert_msg(kept > 0 && kept < 8, "%d of 8", kept);
    ck_assert_double_eq(small_logged("whole", 6, NULL, "features_kept"), kept);
    ck_assert_double_lt(small_logged("whole", 6, "class", "loss"),
                        small_logged("whole", 1, "class", "loss"));
    support_ok(SMALL_TRAIN(small_output("parts"), SELECT, "train.epochs=3"));
    support_ok(SMALL_TRAIN(small_output("parts"), SELECT, "train.epochs=6", "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", whole);
    small_hash(small_run_path("parts"), "state.safetensors", resumed);
    ck_assert_str_eq(whole, resumed);
#undef SELECT
}
END_TEST

START_TEST(features_must_be_read_by_all)
{
    static const char select[] = "model.feature_selection=0.1";
    support_fails(SMALL_TRAIN(small_output("a"), select, "model.sharing=soft"), TDM_ERR_CONFIG,
                  "model.feature_selection");
    support_fails(
        SMALL_TRAIN(small_output("b"), select,
                    "tasks.recon.layers=[conv 8 k3 p1 g8, conv-transpose channels k4 s4]"),
        TDM_ERR_CONFIG, "the head of task 'recon' does not begin with a layer that reads");
    support_ok(SMALL_TRAIN(small_output("c"), select, "train.epochs=1", "balance.kind=mgda",
                           "tasks.class.layers=[global-avg-pool, dense classes]"));
}
END_TEST

/* Frozen, a matrix keeps what it begins with; else it learns, at the rate of its group. */
START_TEST(stitches_begin_near_the_own_column)
{
    static const char sharing[] = "model.sharing=cross-stitch";
    uint64_t n;
    support_ok(SMALL_TRAIN(small_output("still"), sharing, "train.epochs=1",
                           "train.freeze=[stitch]", "model.stitch_same=0.75"));
    float *still = small_tensor(small_run_path("still"), "last.safetensors", "stitch.1.weight", &n);
    ck_assert_uint_eq(n, 4);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(still[i], i % 3 ? 0.25f : 0.75f);
    support_ok(
        SMALL_TRAIN(small_output("fast"), sharing, "train.epochs=1", "optim.groups=[stitch = 10]"));
    support_ok(SMALL_TRAIN(small_output("slow"), sharing, "train.epochs=1"));
    float *fast = small_tensor(small_run_path("fast"), "last.safetensors", "stitch.1.weight", &n);
    float *slow = small_tensor(small_run_path("slow"), "last.safetensors", "stitch.1.weight", &n);
    ck_assert_float_gt(fabsf(slow[0] - 0.9f), 1e-4f);
    ck_assert_float_gt(fabsf(fast[0] - 0.9f), 2 * fabsf(slow[0] - 0.9f));
    free(still);
    free(fast);
    free(slow);
}
END_TEST

START_TEST(options_belong_to_their_architecture)
{
    support_fails(
        SMALL_TRAIN(small_output("a"), "model.sharing=cross-stitch", "model.soft_lambda=1"),
        TDM_ERR_CONFIG, "it is an option of soft");
    support_fails(SMALL_TRAIN(small_output("b"), "model.stitch=channel"), TDM_ERR_CONFIG,
                  "has no meaning with model.sharing: hard");
    support_fails(
        SMALL_TRAIN(small_output("c"), "model.sharing=sluice", "model.sluice_subspaces=3"),
        TDM_ERR_CONFIG, "has 8 channels, which 3 subspaces do not divide");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sharing");
    TCase *tc = tcase_create("sharing");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_loop_test(tc, learns_and_resumes, 0, WAYS);
    tcase_add_loop_test(tc, tasks_take_turns, 0, WAYS);
    tcase_add_loop_test(tc, gradients_are_combined, 0, WAYS);
    tcase_add_loop_test(tc, soft_norms_draw_and_resume, 0, NORMS);
    tcase_add_test(tc, features_are_selected);
    tcase_add_test(tc, features_must_be_read_by_all);
    tcase_add_test(tc, stitches_begin_near_the_own_column);
    tcase_add_test(tc, options_belong_to_their_architecture);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

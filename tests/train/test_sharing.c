/* Ways of sharing a network (model.sharing) in whole runs on the small made-up data: each learns,
 * resumes to the same bits, takes tasks one at a time and combined gradients; what has no meaning
 * with it is refused. */
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

#define TRAIN(...)                                                                                 \
    small_train(folder, (const char *const[]){__VA_ARGS__},                                        \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), NULL)

static const struct {
    const char *sharing, *option;
} ways[] = {{"model.sharing=cross-stitch", "model.stitch=layer"},
            {"model.sharing=cross-stitch", "model.stitch=channel"},
            {"model.sharing=nddr", "model.stitch_same=0.8"},
            {"model.sharing=sluice", "model.sluice_subspaces=4"}};
enum { WAYS = sizeof ways / sizeof *ways };
#define WAY ways[_i].sharing, ways[_i].option

START_TEST(learns_and_resumes)
{
    const char *const whole[] = {output("whole"), WAY, "train.epochs=4"};
    small_result result;
    char one[33], two[33];
    support_ok(small_train(folder, whole, sizeof whole / sizeof *whole, &result));
    ck_assert_double_lt(result.loss[0], 1.0); /* of four classes; log 4 knows nothing */
    support_ok(TRAIN(output("parts"), WAY, "train.epochs=2"));
    support_ok(TRAIN(output("parts"), WAY, "train.epochs=4", "train.resume=auto"));
    small_hash(run_path("whole"), "state.safetensors", one);
    small_hash(run_path("parts"), "state.safetensors", two);
    ck_assert_str_eq(one, two);
}
END_TEST

START_TEST(tasks_take_turns)
{
    support_ok(TRAIN(output("turns"), WAY, "train.epochs=1", "train.sampling=uniform"));
    support_ok(TRAIN(output("alone"), WAY, "train.epochs=1", "tasks.recon.enabled=false"));
}
END_TEST

START_TEST(gradients_are_combined)
{
    support_ok(TRAIN(output("mgda"), WAY, "train.epochs=1", "balance.kind=mgda"));
    support_fails(TRAIN(output("a"), WAY, "balance.kind=gradnorm"), TDM_ERR_CONFIG,
                  "gives each task a trunk of its own");
    support_fails(TRAIN(output("b"), WAY, "balance.kind=mgda", "balance.gradients=representation"),
                  TDM_ERR_CONFIG, "gives each task a trunk of its own");
    support_fails(TRAIN(output("c"), WAY, "train.freeze_except_last=1"), TDM_ERR_CONFIG,
                  "counts the blocks of one trunk");
}
END_TEST

/* Frozen, a matrix keeps what it begins with; else it learns, at the rate of its group. */
START_TEST(stitches_begin_near_the_own_column)
{
    static const char sharing[] = "model.sharing=cross-stitch";
    uint64_t n;
    support_ok(TRAIN(output("still"), sharing, "train.epochs=1", "train.freeze=[stitch]",
                     "model.stitch_same=0.75"));
    float *still = small_tensor(run_path("still"), "last.safetensors", "stitch.1.weight", &n);
    ck_assert_uint_eq(n, 4);
    for (int i = 0; i < 4; i++) ck_assert_float_eq(still[i], i % 3 ? 0.25f : 0.75f);
    support_ok(TRAIN(output("fast"), sharing, "train.epochs=1", "optim.groups=[stitch = 10]"));
    support_ok(TRAIN(output("slow"), sharing, "train.epochs=1"));
    float *fast = small_tensor(run_path("fast"), "last.safetensors", "stitch.1.weight", &n);
    float *slow = small_tensor(run_path("slow"), "last.safetensors", "stitch.1.weight", &n);
    ck_assert_float_gt(fabsf(slow[0] - 0.9f), 1e-4f);
    ck_assert_float_gt(fabsf(fast[0] - 0.9f), 2 * fabsf(slow[0] - 0.9f));
    free(still);
    free(fast);
    free(slow);
}
END_TEST

START_TEST(options_belong_to_their_architecture)
{
    support_fails(TRAIN(output("a"), "model.sharing=cross-stitch", "model.soft_lambda=1"),
                  TDM_ERR_CONFIG, "it is an option of soft");
    support_fails(TRAIN(output("b"), "model.stitch=channel"), TDM_ERR_CONFIG,
                  "has no meaning with model.sharing: hard");
    support_fails(TRAIN(output("c"), "model.sharing=sluice", "model.sluice_subspaces=3"),
                  TDM_ERR_CONFIG, "has 8 channels, which 3 subspaces do not divide");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sharing");
    TCase *tc = tcase_create("sharing");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, learns_and_resumes, 0, WAYS);
    tcase_add_loop_test(tc, tasks_take_turns, 0, WAYS);
    tcase_add_loop_test(tc, gradients_are_combined, 0, WAYS);
    tcase_add_test(tc, stitches_begin_near_the_own_column);
    tcase_add_test(tc, options_belong_to_their_architecture);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

/* What a target takes from a source's weights and how it keeps it: layers edited on load, blocks,
 * L2-SP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <tandem/compare.h>

#include "support/small_run.h"

#define TRAIN(result, ...)                                                                         \
    small_train(small_folder, (const char *const[]){__VA_ARGS__},                                  \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), result)

/* "train.init_from=<the run>" */
static const char *init_from(const char *run)
{
    static char texts[4][512];
    static int next;
    char *one = texts[next++ % 4];
    snprintf(one, sizeof texts[0], "train.init_from=%s", small_run_path(run));
    return one;
}

/* Euclidean distance of a parameter of two runs, and the first's norm. */
static double distance(const char *a, const char *file_a, const char *b, const char *file_b,
                       const char *name, double *norm)
{
    uint64_t n, m;
    float *x = small_tensor(small_run_path(a), file_a, name, &n);
    float *y = small_tensor(small_run_path(b), file_b, name, &m);
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
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    const char *skip = "load.skip=[heads]", *sgd = "optim.kind=sgd", *lr = "optim.lr=0.1";
    support_ok(TRAIN(NULL, small_output("free"), init_from("source"), skip, ALONE, sgd, lr));
    support_ok(TRAIN(NULL, small_output("tied"), init_from("source"), skip, ALONE, sgd, lr,
                     "optim.l2_sp=5", "optim.l2_sp_new=2"));
    const double far = distance("source", best, "free", last, weight, NULL);
    const double near = distance("source", best, "tied", last, weight, NULL);
    ck_assert_msg(near > 0 && near < 0.5 * far, "%g, %g", near, far);
    /* new weights go towards 0 instead */
    double norm_free, norm_tied;
    distance("free", last, "tied", last, "heads.class.1.weight", &norm_free);
    distance("tied", last, "free", last, "heads.class.1.weight", &norm_tied);
    ck_assert_msg(norm_tied < 0.5 * norm_free, "%g, %g", norm_tied, norm_free);
    support_fails(TRAIN(NULL, small_output("x"), "optim.l2_sp=0.1"), TDM_ERR_CONFIG,
                  "no loaded weights to pull towards");
}
END_TEST

START_TEST(a_pulled_run_resumes_to_the_same_bits)
{
    char straight[33], resumed[33];
    small_result r;
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    const char *set = "optim.l2_sp=0.5", *freeze = "train.freeze=encoder.0";
    support_ok(TRAIN(NULL, small_output("straight"), init_from("source"), set, freeze));
    small_hash(small_run_path("straight"), "last.safetensors", straight);
    ck_assert(distance("source", "best.safetensors", "straight", "last.safetensors",
                       "encoder.0.weight", NULL) == 0);
    for (int i = 0; i < 2; i++) {
        support_ok(TRAIN(&r, small_output("parts"), init_from("source"), set, freeze,
                         "train.max_time=1e-9", "train.resume=auto"));
        ck_assert_int_eq(r.reason, TDM_STOP_TIME);
    }
    uint64_t n;
    float *anchor = small_tensor(small_run_path("parts"), "state.safetensors",
                                 "optimizer.encoder.3.weight.anchor", &n);
    ck_assert_uint_eq(n, 8 * 8 * 9);
    free(anchor);
    /* what the run began with counts, whatever the source has become since */
    support_ok(TRAIN(NULL, small_output("changed"), init_from("source"), ALONE, "train.epochs=1"));
    support_ok(
        TRAIN(NULL, small_output("parts"), init_from("changed"), set, freeze, "train.resume=auto"));
    small_hash(small_run_path("parts"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
}
END_TEST

/* ---- what moved --------------------------------------------------------------------------------
 */

START_TEST(weights_are_compared_by_layer)
{
    const char *weight = "encoder.0.weight", *bias = "encoder.0.bias";
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    support_ok(
        TRAIN(NULL, small_output("target"), init_from("source"), "train.freeze=[encoder.3]"));
    tdm_comparison c;
    char *source = support_path(small_run_path("source"), "best.safetensors"), *text = NULL;
    support_ok(tdm_compare_weights(source, small_run_path("target"), &c));
    ck_assert_str_eq(c.layers[0].layer, "encoder.0");
    ck_assert_uint_eq(c.layers[0].parameters, 8 * 9 + 8);
    double of_weight, of_bias;
    const double w = distance("source", "best.safetensors", "target", "best.safetensors", weight,
                              &of_weight),
                 b = distance("source", "best.safetensors", "target", "best.safetensors", bias,
                              &of_bias),
                 norm = hypot(of_weight, of_bias);
    ck_assert_double_eq_tol(c.layers[0].distance, hypot(w, b), 1e-9);
    ck_assert_double_eq_tol(c.layers[0].norm, norm, 1e-9);
    ck_assert_double_eq_tol(c.layers[0].relative, hypot(w, b) / norm, 1e-9);
    ck_assert(c.layers[0].cosine > 0.5 && c.layers[0].cosine < 1);
    bool found = false;
    for (size_t i = 0; i < c.n; i++) {
        if (strcmp(c.layers[i].layer, "encoder.3")) continue;
        found = true;
        ck_assert(c.layers[i].distance == 0 && c.layers[i].relative == 0);
        ck_assert_double_eq_tol(c.layers[i].cosine, 1, 1e-12);
    }
    ck_assert(found);
    ck_assert_uint_eq(c.only_a, 0);
    ck_assert_uint_eq(c.only_b, 4); /* the decoder's */
    support_ok(tdm_comparison_text(&c, true, &text));
    ck_assert_ptr_nonnull(strstr(text, "\"layer\": \"encoder.0\""));
    free(text);
    tdm_comparison_free(&c);
    support_fails(tdm_compare_weights(source, small_run_path("none"), &c), TDM_ERR_DATA, "none");
    free(source);
}
END_TEST

static void compare_outputs(const char *a, const char *b, const char *split, uint64_t samples,
                            tdm_comparison *out)
{
    support_ok(tdm_compare_weights(small_run_path(a), small_run_path(b), out));
    support_ok(
        tdm_compare_outputs(small_run_path(a), small_run_path(b), split, samples, NULL, 0, out));
}

START_TEST(outputs_are_compared_by_layer)
{
    tdm_comparison c;
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    support_ok(TRAIN(NULL, small_output("still"), init_from("source"), "train.freeze=[encoder]",
                     "train.batch_size=7"));
    support_ok(TRAIN(NULL, small_output("strange"), ALONE, "seed=5"));
    compare_outputs("source", "source", "train", 72, &c);
    ck_assert_uint_eq(c.samples, 72);
    for (size_t i = 0; i < c.n; i++) ck_assert_double_eq_tol(c.layers[i].cka, 1, 1e-6);
    tdm_comparison_free(&c);
    /* fewer samples than there are, in batches of another size */
    compare_outputs("source", "still", "train", 30, &c);
    ck_assert_uint_eq(c.samples, 30);
    for (size_t i = 0; i < c.n; i++) {
        const bool trunk = !strncmp(c.layers[i].layer, "encoder", 7);
        ck_assert_msg(trunk ? fabs(c.layers[i].cka - 1) < 1e-6
                            : c.layers[i].cka > -0.5 && c.layers[i].cka < 1,
                      "%s: %g", c.layers[i].layer, c.layers[i].cka);
    }
    tdm_comparison_free(&c);
    compare_outputs("source", "strange", NULL, 1000, &c); /* all there are */
    ck_assert_uint_eq(c.samples, 24);
    for (size_t i = 0; i < c.n; i++) ck_assert_double_lt(c.layers[i].cka, 0.9999);
    support_fails(tdm_compare_outputs(small_run_path("source"), small_run_path("strange"), NULL, 3,
                                      NULL, 0, &c),
                  TDM_ERR_USAGE, "needs 4 at least");
    tdm_comparison_free(&c);
}
END_TEST

static double loss_with(const char *run, const char *trunk)
{
    tdm_evaluation *e = NULL;
    support_ok(tdm_evaluate_with_trunk(small_run_path(run), trunk ? small_run_path(trunk) : NULL,
                                       "test", NULL, 0, NULL, &e));
    const double loss = tdm_evaluation_report(e)->tasks[0].loss;
    tdm_evaluation_destroy(&e);
    return loss;
}

START_TEST(a_source_task_is_measured_with_the_new_trunk)
{
    small_result own;
    support_ok(TRAIN(&own, small_output("source"), ALONE));
    support_ok(TRAIN(NULL, small_output("still"), init_from("source"), "load.skip=[heads]",
                     "train.freeze=[encoder]"));
    support_ok(TRAIN(NULL, small_output("moved"), init_from("source"), "optim.lr=0.1",
                     "tasks.class.enabled=false"));
    ck_assert_double_eq(loss_with("source", NULL), own.loss[2]);
    /* a trunk that stood still has forgotten nothing; another head does not matter */
    ck_assert_double_eq(loss_with("source", "still"), own.loss[2]);
    ck_assert_double_gt(loss_with("source", "moved"), own.loss[2]);
    support_ok(
        TRAIN(NULL, small_output("other"), ALONE, "model.layers=[conv 9 k3 p1, relu, max-pool 4]"));
    tdm_evaluation *e = NULL;
    support_fails(tdm_evaluate_with_trunk(small_run_path("source"), small_run_path("other"), "test",
                                          NULL, 0, NULL, &e),
                  TDM_ERR_CONFIG, "is of another trunk: it has no 'encoder.0.weight'");
}
END_TEST

/* ---- editing -----------------------------------------------------------------------------------
 */

static const char *const source_names[] = {"cat", "dog", "bird", "fish"};
static const char *const target_names[] = {"fish", "cow", "cat", "dog", "bird"};

/* A source trained on four named classes, and data of five in another folder. */
static char *two_data_sets(void)
{
    char *target = support_path(small_folder, "target");
    ck_assert_int_eq(mkdir(target, 0777), 0);
    small_data_named(small_folder, source_names, 4);
    small_data_named(target, target_names, 5);
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    return target;
}

#define TAKE(result, target, run, ...)                                                             \
    small_train(target,                                                                            \
                (const char *const[]){small_output(run), init_from("source"), ALONE,               \
                                      "train.freeze=[\"*\"]", "train.epochs=1", __VA_ARGS__},      \
                6 + sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), result)

/* Row i of the run's classifier is row from[i] of the source's; -1: neither that nor zero. */
static void check_rows(const char *run, const char *name, const int *from, int n, size_t row)
{
    uint64_t n_old, n_new;
    float *old = small_tensor(small_run_path("source"), "best.safetensors", name, &n_old);
    float *new = small_tensor(small_run_path(run), "last.safetensors", name, &n_new);
    ck_assert_uint_eq(n_new, (uint64_t)n * row);
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < row; k++) {
            const float value = new[(size_t)i * row + k];
            if (from[i] >= 0)
                ck_assert_float_eq(value, old[(size_t)from[i] * row + k]);
            else
                for (uint64_t j = 0; row > 1 && j < n_old; j++) ck_assert(value != old[j]);
        }
    free(old);
    free(new);
}

START_TEST(a_wider_head_takes_rows_by_name)
{
    static const int by_name[] = {3, -1, 0, 1, 2}, by_index[] = {0, 1, 2, 3, -1};
    const char *weight = "heads.class.4.weight", *widen = "load.widen=[heads.class]";
    char *target = two_data_sets();
    support_fails(TAKE(NULL, target, "x", "load.skip=[]"), TDM_ERR_CONFIG,
                  "heads.class.4.weight: model f32[5,16], checkpoint [4,16]");
    support_ok(TAKE(NULL, target, "named", widen));
    check_rows("named", weight, by_name, 5, 16);
    check_rows("named", "heads.class.4.bias", by_name, 5, 1);
    check_rows("named", "heads.class.1.weight", (const int[]){0, 1, 2, 3}, 4, 4 * 32);
    support_ok(TAKE(NULL, target, "drawn", widen, "load.new_rows=statistics"));
    check_rows("drawn", weight, by_name, 5, 16);
    ck_assert_double_gt(
        distance("named", "last.safetensors", "drawn", "last.safetensors", weight, NULL), 0);
    support_ok(TAKE(NULL, target, "counted", widen, "load.classes=by-index"));
    check_rows("counted", weight, by_index, 5, 16);
    free(target);
}
END_TEST

/* The same classes in another order, and fewer of them, are moved too; without names they are not.
 */
START_TEST(other_orders_and_fewer_classes)
{
    static const char *const turned[] = {"fish", "bird", "dog", "cat"},
                             *const few[] = {"dog", "fish"}, *const strange[] = {"a", "b"};
    const char *weight = "heads.class.4.weight", *widen = "load.widen=[heads.class]";
    char *target = two_data_sets();
    small_data_named(target, turned, 4);
    support_ok(TAKE(NULL, target, "turned", widen));
    check_rows("turned", weight, (const int[]){3, 2, 1, 0}, 4, 16);
    small_data_named(target, few, 2);
    support_ok(TAKE(NULL, target, "few", widen));
    check_rows("few", weight, (const int[]){1, 3}, 2, 16);
    small_data_named(target, strange, 2);
    support_fails(TAKE(NULL, target, "x", widen), TDM_ERR_CONFIG, "no class has the same name");
    small_data(target);
    support_ok(TAKE(NULL, target, "plain", widen));
    check_rows("plain", weight, (const int[]){0, 1, 2, 3}, 4, 16);
    support_fails(TAKE(NULL, target, "x", "load.widen=[heads.clas]"), TDM_ERR_CONFIG,
                  "did you mean heads.class");
    free(target);
}
END_TEST

static void count_warnings(void *user, tdm_log_level level, const char *line)
{
    if (level == TDM_LOG_WARN && strstr(line, "'cat', is loaded for 'fish'")) ++*(int *)user;
}

/* Same shape, other classes: loaded as it is, but not in silence. */
START_TEST(other_classes_are_pointed_out)
{
    static const char *const turned[] = {"fish", "bird", "dog", "cat"};
    char *target = two_data_sets();
    int warnings = 0;
    tdm_set_log(count_warnings, &warnings, TDM_LOG_WARN);
    small_data_named(target, turned, 4);
    support_ok(TAKE(NULL, target, "silent", "load.classes=by-index"));
    support_ok(TAKE(NULL, target, "edited", "load.widen=[heads.class]"));
    ck_assert_int_eq(warnings, 0);
    support_ok(TAKE(NULL, target, "pointed", "load.skip=[]"));
    ck_assert_int_eq(warnings, 1);
    check_rows("pointed", "heads.class.4.weight", (const int[]){0, 1, 2, 3}, 4, 16);
    tdm_set_log(NULL, NULL, TDM_LOG_WARN);
    free(target);
}
END_TEST

START_TEST(names_that_are_not_known_are_an_error_where_they_are_wanted)
{
    char *target = two_data_sets();
    support_ok(TRAIN(NULL, small_output("other"), ALONE, "tasks.class.label_map=[0, 1, 2, 0]"));
    support_fails(
        small_train(target,
                    (const char *const[]){small_output("x"), init_from("other"), ALONE,
                                          "load.widen=[heads.class]", "load.classes=by-name"},
                    6, NULL),
        TDM_ERR_CONFIG, "the names of the classes are not known of both");
    free(target);
}
END_TEST

START_TEST(only_the_first_blocks_are_loaded)
{
    const char *last = "last.safetensors", *best = "best.safetensors";
    support_ok(TRAIN(NULL, small_output("source"), ALONE));
    support_ok(TAKE(NULL, small_folder, "one", "load.blocks=1"));
    ck_assert(distance("source", best, "one", last, "encoder.0.weight", NULL) == 0);
    ck_assert(distance("source", best, "one", last, "encoder.3.weight", NULL) > 0);
    ck_assert(distance("source", best, "one", last, "heads.class.1.weight", NULL) > 0);
    support_ok(TAKE(NULL, small_folder, "two", "load.blocks=2"));
    ck_assert(distance("source", best, "two", last, "encoder.3.weight", NULL) == 0);
    ck_assert(distance("source", best, "two", last, "encoder.4.weight", NULL) == 0);
    ck_assert(distance("source", best, "two", last, "heads.class.1.weight", NULL) > 0);
    support_ok(TAKE(NULL, small_folder, "none", "load.blocks=0"));
    ck_assert(distance("source", best, "none", last, "encoder.0.weight", NULL) > 0);
    ck_assert(distance("one", last, "none", last, "encoder.3.weight", NULL) == 0);
    support_fails(TAKE(NULL, small_folder, "x", "load.blocks=3"), TDM_ERR_CONFIG,
                  "the trunk has 2 blocks");
}
END_TEST

/* Another input: the kernels of the first layer take the mean of the old ones. */
START_TEST(other_input_channels)
{
    uint64_t n, m;
    support_ok(
        TRAIN(NULL, small_output("source"), ALONE,
              "model.layers=[conv 8 k3 p1, relu, max-pool 2, conv 8 k3 p1, relu, max-pool 2]"));
    const char *wider =
        "model.layers=[conv 2 k1, conv 8 k3 p1, relu, max-pool 2, conv 8 k3 p1, relu, max-pool 2]";
    const char *rename = "load.rename=[encoder.0 -> encoder.1, encoder.3 -> encoder.4]";
    /* a layer that was put in is new; the one after it has other inputs */
    support_fails(TAKE(NULL, small_folder, "x", wider, rename), TDM_ERR_CONFIG,
                  "encoder.1.weight: model f32[8,2,3,3], checkpoint [8,1,3,3]");
    support_ok(TAKE(NULL, small_folder, "put", wider, rename, "load.channels=mean"));
    float *old = small_tensor(small_run_path("source"), "best.safetensors", "encoder.0.weight", &n);
    float *new = small_tensor(small_run_path("put"), "last.safetensors", "encoder.1.weight", &m);
    ck_assert(n == 8 * 9 && m == 2 * n);
    for (uint64_t o = 0; o < 8; o++)
        for (uint64_t c = 0; c < 2; c++)
            for (uint64_t k = 0; k < 9; k++)
                ck_assert_float_eq(new[(o * 2 + c) * 9 + k], old[o * 9 + k] / 2);
    free(old);
    free(new);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transfer");
    TCase *pull = tcase_create("l2-sp");
    tcase_add_checked_fixture(pull, small_setup, small_teardown);
    tcase_add_test(pull, loaded_weights_are_pulled_to_where_they_began);
    tcase_add_test(pull, a_pulled_run_resumes_to_the_same_bits);
    TCase *edit = tcase_create("editing");
    tcase_add_checked_fixture(edit, small_setup, small_teardown);
    tcase_add_test(edit, a_wider_head_takes_rows_by_name);
    tcase_add_test(edit, other_orders_and_fewer_classes);
    tcase_add_test(edit, other_classes_are_pointed_out);
    tcase_add_test(edit, names_that_are_not_known_are_an_error_where_they_are_wanted);
    tcase_add_test(edit, only_the_first_blocks_are_loaded);
    tcase_add_test(edit, other_input_channels);
    TCase *moved = tcase_create("what moved");
    tcase_add_checked_fixture(moved, small_setup, small_teardown);
    tcase_add_test(moved, weights_are_compared_by_layer);
    tcase_add_test(moved, outputs_are_compared_by_layer);
    tcase_add_test(moved, a_source_task_is_measured_with_the_new_trunk);
    suite_add_tcase(suite, edit);
    suite_add_tcase(suite, moved);
    suite_add_tcase(suite, pull);
    return support_run(suite);
}

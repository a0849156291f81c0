/* What stands still, until when, and how fast the rest learns: blocks, schedules, groups. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"
#include "support/small_run.h"
#include "train/session.h"

#define TRAIN(result, ...)                                                                         \
    small_train(small_folder, (const char *const[]){__VA_ARGS__},                                  \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), result)

static float *tensor(const char *run, const char *file, const char *name, uint64_t *n)
{
    return small_tensor(small_run_path(run), file, name, n);
}

static bool same_tensor(const char *a, const char *b, const char *file, const char *name)
{
    uint64_t n, m;
    float *x = tensor(a, file, name, &n), *y = tensor(b, file, name, &m);
    ck_assert_msg(n && n == m, "%s", name);
    const bool same = !memcmp(x, y, n * sizeof *x);
    free(x);
    free(y);
    return same;
}

/* The optimiser's step count of a parameter; -1: it has no state. */
static int steps_of(const char *run, const char *name)
{
    char full[128];
    uint64_t n;
    snprintf(full, sizeof full, "optimizer.%s.step", name);
    float *value = tensor(run, "state.safetensors", full, &n);
    const int steps = n ? (int)value[0] : -1;
    free(value);
    return steps;
}

/* Two blocks, of a convolution and its norm each, with dropout between. */
#define LAYERS(p)                                                                                  \
    "model.layers=[conv 8 k3 p1, batch-norm, relu, dropout " p ", max-pool 2, conv 8 k3 p1, "      \
    "batch-norm, relu, max-pool 2]"

static const char *const of_block_0[] = {"encoder.0.weight",
                                         "encoder.0.bias",
                                         "encoder.1.weight",
                                         "encoder.1.bias",
                                         "encoder.1.running_mean",
                                         "encoder.1.running_var",
                                         "encoder.1.num_batches_tracked"};
static const char *const of_block_1[] = {"encoder.5.weight", "encoder.6.weight",
                                         "encoder.6.running_mean", "encoder.6.num_batches_tracked"};
enum {
    IN_0 = sizeof of_block_0 / sizeof *of_block_0,
    IN_1 = sizeof of_block_1 / sizeof *of_block_1
};

static void all_same(const char *const *names, int n, const char *a, const char *b, bool want)
{
    for (int i = 0; i < n; i++)
        ck_assert_msg(same_tensor(a, b, "last.safetensors", names[i]) == want, "%s", names[i]);
}

/* ---- depth ------------------------------------------------------------------------------------
 */

START_TEST(all_but_the_last_blocks_stand_still)
{
    char init[512];
    support_ok(TRAIN(NULL, small_output("source"), LAYERS("0.3")));
    snprintf(init, sizeof init, "train.init_from=%s", small_run_path("source"));
    support_ok(TRAIN(NULL, small_output("one"), init, LAYERS("0.3"), "train.freeze_except_last=1",
                     "optim.weight_decay=0.1", "train.epochs=2"));
    support_ok(TRAIN(NULL, small_output("none"), init, LAYERS("0.3"), "train.freeze_except_last=0",
                     "train.epochs=2"));
    /* weights and running statistics; the first run selected its best on val, so begins from there
     */
    for (int i = 0; i < IN_0; i++) {
        uint64_t n, m;
        float *from = tensor("source", "best.safetensors", of_block_0[i], &n);
        float *to = tensor("one", "last.safetensors", of_block_0[i], &m);
        ck_assert_msg(n == m && !memcmp(from, to, n * sizeof *from), "%s", of_block_0[i]);
        free(from);
        free(to);
    }
    all_same(of_block_0, IN_0, "one", "none", true);
    all_same(of_block_1, IN_1, "one", "none", false);
    /* no optimiser state for what never learns */
    ck_assert_int_eq(steps_of("one", "encoder.0.weight"), -1);
    ck_assert_int_gt(steps_of("one", "encoder.5.weight"), 0);
    ck_assert_int_eq(steps_of("none", "encoder.5.weight"), -1);
    /* dropout between frozen blocks does nothing: neither do its draws */
    support_ok(TRAIN(NULL, small_output("sure"), init, LAYERS("0"), "train.freeze_except_last=1",
                     "optim.weight_decay=0.1", "train.epochs=2"));
    all_same(of_block_1, IN_1, "one", "sure", true);
    ck_assert(same_tensor("one", "sure", "last.safetensors", "heads.class.1.weight"));
    support_fails(TRAIN(NULL, small_output("x"), LAYERS("0"), "train.freeze_except_last=2"),
                  TDM_ERR_CONFIG, "the trunk has 2 blocks, so nothing would be frozen");
}
END_TEST

static size_t blocks_of(const char *trunk, const char *filters, const char *first[], size_t most)
{
    const char *set[] = {trunk, filters, "model.layers=[]", "tasks.recon.enabled=false",
                         "tasks.class.layers=[global-avg-pool, dense classes]"};
    tdm_config *config = small_config(small_folder, set, 5);
    const tdm_array_info infos[] = {
        {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {32, 32, 1}, .elems = 1024},
        {.name = "labels", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = 4}};
    tdm__session s;
    tdm__blocks blocks;
    static char names[16][64];
    support_ok(tdm__session_create(config, &(tdm__array_source){2, infos}, true, &s));
    support_ok(tdm__blocks_find(config, s.flat, &blocks));
    for (size_t i = tdm__flat_count(s.flat); i-- > 0;)
        if (blocks.of[i] < most) {
            snprintf(names[blocks.of[i]], sizeof names[0], "%s",
                     tdm__flat_segment(s.flat, i)->name);
            first[blocks.of[i]] = names[blocks.of[i]];
        }
    const size_t n = blocks.n;
    tdm__blocks_free(&blocks);
    tdm__session_destroy(&s);
    tdm_config_destroy(&config);
    return n;
}

START_TEST(blocks_of_networks)
{
    const char *first[16];
    ck_assert_uint_eq(blocks_of("model.trunk=unet", "model.filters=[4, 8, 8]", first, 16), 7);
    ck_assert_str_eq(first[0], "encoder.down.0.0.weight");
    ck_assert_str_eq(first[2], "encoder.down.2.0.weight");
    ck_assert_str_eq(first[3], "encoder.up.1.weight");
    ck_assert_str_eq(first[6], "encoder.merge.0.0.weight");
    ck_assert_uint_eq(blocks_of("model.trunk=resnet18", "model.filters=[4, 4, 4, 4]", first, 16),
                      9);
    ck_assert_str_eq(first[0], "encoder.conv1.weight"); /* bn1 belongs to it */
    ck_assert_str_eq(first[1], "encoder.layer1.0.conv1.weight");
    ck_assert_str_eq(first[8], "encoder.layer4.1.conv1.weight");
}
END_TEST

/* ---- schedule ---------------------------------------------------------------------------------
 */

START_TEST(parts_are_unfrozen_when_it_is_time)
{
    const char *thaw =
        "train.unfreeze=[encoder.5 at epoch 2, encoder.6 at epoch 2, encoder at step 11]";
    /* five steps an epoch: the whole encoder learns from the third epoch on */
    support_ok(TRAIN(NULL, small_output("first"), LAYERS("0.1"), thaw, "train.epochs=1"));
    support_ok(TRAIN(NULL, small_output("second"), LAYERS("0.1"), thaw, "train.epochs=2"));
    support_ok(TRAIN(NULL, small_output("third"), LAYERS("0.1"), thaw, "train.epochs=3"));
    all_same(of_block_0, IN_0, "first", "second", true);
    all_same(of_block_0, IN_0, "second", "third", false);
    all_same(of_block_1, IN_1, "first", "second", false);
    ck_assert_int_eq(steps_of("first", "encoder.5.weight"), 0);
    ck_assert_int_eq(steps_of("third", "encoder.5.weight"), 10);
    ck_assert_int_eq(steps_of("third", "encoder.0.weight"), 5);
    ck_assert_int_eq(steps_of("third", "heads.class.1.weight"), 15);
}
END_TEST

START_TEST(unfreezing_resumes_to_the_same_bits)
{
    const char *thaw =
        "train.unfreeze=[encoder.5 at step 3, encoder.6 at step 3, encoder at step 8]";
    char straight[33], resumed[33];
    small_result r;
    support_ok(TRAIN(NULL, small_output("straight"), LAYERS("0.1"), thaw));
    small_hash(small_run_path("straight"), "last.safetensors", straight);
    for (int i = 0; i < 9; i++) { /* a step a time, across both changes */
        support_ok(TRAIN(&r, small_output("parts"), LAYERS("0.1"), thaw, "train.max_time=1e-9",
                         "train.resume=auto"));
        ck_assert_int_eq(r.reason, TDM_STOP_TIME);
    }
    support_ok(TRAIN(NULL, small_output("parts"), LAYERS("0.1"), thaw, "train.resume=auto"));
    small_hash(small_run_path("parts"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
}
END_TEST

START_TEST(what_is_unfrozen_learns_as_if_it_always_had)
{
    char a[33], b[33];
    support_ok(TRAIN(NULL, small_output("a"), "train.unfreeze=[encoder at step 1]"));
    support_ok(TRAIN(NULL, small_output("b")));
    small_hash(small_run_path("a"), "last.safetensors", a);
    small_hash(small_run_path("b"), "last.safetensors", b);
    ck_assert_str_eq(a, b);
}
END_TEST

/* ---- rates ------------------------------------------------------------------------------------
 */

/* Root of the sum of squares of what the first step changed. */
static double moved(const char *run, const char *name)
{
    uint64_t n, m;
    float *from = tensor("start", "last.safetensors", name, &n);
    float *to = tensor(run, "last.safetensors", name, &m);
    double sum = 0;
    ck_assert(n == m);
    for (uint64_t i = 0; i < n; i++) sum += ((double)to[i] - from[i]) * ((double)to[i] - from[i]);
    free(from);
    free(to);
    return sqrt(sum);
}

#define ONE_STEP "optim.kind=sgd", "train.overfit_batches=1", "train.epochs=1", LAYERS("0")

START_TEST(groups_and_blocks_learn_at_their_rates)
{
    support_ok(TRAIN(NULL, small_output("start"),
                     "optim.groups=[encoder = 0, heads = 0, balance=0]", ONE_STEP));
    support_ok(TRAIN(NULL, small_output("full"), ONE_STEP));
    support_ok(TRAIN(NULL, small_output("parts"), "optim.groups=[heads = 0.25, heads.recon = 2]",
                     "optim.block_decay=0.5", ONE_STEP));
    static const struct {
        const char *name;
        double factor;
    } wanted[] = {{"encoder.0.weight", 0.5},
                  {"encoder.1.weight", 0.5},
                  {"encoder.5.weight", 1},
                  {"heads.class.1.weight", 0.25},
                  {"heads.recon.0.weight", 2}};
    for (int i = 0; i < (int)(sizeof wanted / sizeof *wanted); i++) {
        const double full = moved("full", wanted[i].name), part = moved("parts", wanted[i].name);
        ck_assert_msg(full > 0 && fabs(part / full - wanted[i].factor) < 1e-3 * wanted[i].factor,
                      "%s: %g / %g", wanted[i].name, part, full);
    }
    support_fails(TRAIN(NULL, small_output("x"), "optim.groups=[encoder]"), TDM_ERR_CONFIG,
                  "must be \"PATTERN = FACTOR\"");
    support_fails(TRAIN(NULL, small_output("x"), "optim.groups=[encoder = -1]"), TDM_ERR_CONFIG,
                  "must be \"PATTERN = FACTOR\"");
    support_fails(TRAIN(NULL, small_output("x"), "optim.groups=[encodr = 1]"), TDM_ERR_CONFIG,
                  "did you mean encoder");
    support_fails(TRAIN(NULL, small_output("x"), "train.unfreeze=[encodr at epoch 2]"),
                  TDM_ERR_CONFIG, "did you mean encoder");
    support_fails(TRAIN(NULL, small_output("x"), "train.unfreeze=[encoder at epoch 0]"),
                  TDM_ERR_CONFIG, "N from 1");
}
END_TEST

/* ---- the feature cache -------------------------------------------------------------------------
 */

/* Trains with the cache in a place, and compares every loss and weight with the run "off". */
static void same_with_cache(const char *place, const char *const *set, size_t n)
{
    const char *all[8];
    char cache[64], a[33], b[33];
    small_result off, on;
    snprintf(cache, sizeof cache, "train.feature_cache=%s", place);
    memcpy(all, set, n * sizeof *set);
    all[n] = "train.freeze=encoder";
    all[n + 1] = small_output("off");
    all[n + 2] = "train.feature_cache=off";
    support_ok(small_train(small_folder, all, n + 3, &off));
    all[n + 1] = small_output("on");
    all[n + 2] = cache;
    support_ok(small_train(small_folder, all, n + 3, &on));
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq(off.loss[i], on.loss[i]);
        ck_assert_double_eq(off.metric[i], on.metric[i]);
    }
    small_hash(small_run_path("off"), "last.safetensors", a);
    small_hash(small_run_path("on"), "last.safetensors", b);
    ck_assert_str_eq(a, b);
    support_temp_remove(support_path(small_folder, "off"));
    support_temp_remove(support_path(small_folder, "on"));
}

static const char *const places[] = {"device", "disk"};

START_TEST(cached_features_give_the_same_bits)
{
    /* the images are a target too; dropout in the head; a short last batch */
    same_with_cache(places[_i], NULL, 0);
    /* the images are not read again; the trunk has batch norm and (frozen) dropout */
    const char *const one[] = {"tasks.recon.enabled=false", LAYERS("0.3")};
    same_with_cache(places[_i], one, 2);
    const char *const few[] = {"train.batch_size=7", "data.num_samples=40", "data.drop_last=true",
                               "optim.accumulate=2"};
    same_with_cache(places[_i], few, 4);
}
END_TEST

START_TEST(a_cached_run_resumes_to_the_same_bits)
{
    char straight[33], resumed[33], cache[64];
    small_result r;
    snprintf(cache, sizeof cache, "train.feature_cache=%s", places[_i]);
    support_ok(
        TRAIN(NULL, small_output("straight"), "train.freeze=encoder", "train.feature_cache=off"));
    small_hash(small_run_path("straight"), "last.safetensors", straight);
    for (int i = 0; i < 7; i++)
        support_ok(TRAIN(&r, small_output("parts"), "train.freeze=encoder", cache,
                         "train.max_time=1e-9", "train.resume=auto"));
    support_ok(
        TRAIN(NULL, small_output("parts"), "train.freeze=encoder", cache, "train.resume=auto"));
    small_hash(small_run_path("parts"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
}
END_TEST

START_TEST(there_is_no_cache_of_what_changes)
{
    support_fails(TRAIN(NULL, small_output("x"), "train.feature_cache=device"), TDM_ERR_CONFIG,
                  "the trunk as a whole is not frozen throughout");
    support_fails(
        TRAIN(NULL, small_output("x"), "train.feature_cache=disk", "train.freeze=encoder.0"),
        TDM_ERR_CONFIG, "the trunk as a whole is not frozen throughout");
    support_fails(TRAIN(NULL, small_output("x"), "train.feature_cache=disk", "train.freeze=encoder",
                        "train.unfreeze=encoder at epoch 2"),
                  TDM_ERR_CONFIG, "the trunk as a whole is not frozen throughout");
    support_fails(TRAIN(NULL, small_output("x"), "train.feature_cache=device",
                        "train.freeze=encoder", "data.transforms=[flip]"),
                  TDM_ERR_CONFIG, "data.transforms change the samples at random");
    support_ok(TRAIN(NULL, small_output("x"), "train.freeze=encoder", "data.transforms=[flip]"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("freezing");
    TCase *tc = tcase_create("freezing");
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_test(tc, all_but_the_last_blocks_stand_still);
    tcase_add_test(tc, blocks_of_networks);
    tcase_add_test(tc, parts_are_unfrozen_when_it_is_time);
    tcase_add_test(tc, unfreezing_resumes_to_the_same_bits);
    tcase_add_test(tc, what_is_unfrozen_learns_as_if_it_always_had);
    tcase_add_test(tc, groups_and_blocks_learn_at_their_rates);
    tcase_add_loop_test(tc, cached_features_give_the_same_bits, 0, 2);
    tcase_add_loop_test(tc, a_cached_run_resumes_to_the_same_bits, 0, 2);
    tcase_add_test(tc, there_is_no_cache_of_what_changes);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

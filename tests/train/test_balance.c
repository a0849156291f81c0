/* Balancing methods in whole runs on the small made-up data: the factors that a step uses are those
 * of the formulas, runs resume to the same bits, and what makes no sense is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "support/small_run.h"
#include "task/weights.h"

/* Largest difference between two runs' parameters whose names begin with `prefix`, relative to the
 * tensor's largest value. */
static double distance_of(const char *a, const char *b, const char *prefix)
{
    char *paths[] = {support_path(small_run_path(a), "last.safetensors"),
                     support_path(small_run_path(b), "last.safetensors")};
    tdm__st *st[2];
    double worst = 0;
    for (int i = 0; i < 2; i++) support_ok(tdm__st_open(paths[i], &st[i]));
    for (size_t k = 0; k < tdm__st_count(st[0]); k++) {
        const tdm__st_tensor *t = tdm__st_at(st[0], k), *u = tdm__st_find(st[1], t->name);
        if (!u || strncmp(t->name, prefix, strlen(prefix))) continue; /* or the method's */
        float *x = calloc(t->count, sizeof *x), *y = calloc(t->count, sizeof *y);
        double largest = 0, most = 0;
        support_ok(tdm__st_read(st[0], t, 0, t->count, TDM__TO_F32, x));
        support_ok(tdm__st_read(st[1], u, 0, t->count, TDM__TO_F32, y));
        for (size_t i = 0; i < t->count; i++) {
            largest = fmax(largest, fabs((double)x[i]));
            most = fmax(most, fabs((double)x[i] - (double)y[i]));
        }
        if (largest > 0) worst = fmax(worst, most / largest);
        free(x);
        free(y);
    }
    for (int i = 0; i < 2; i++) {
        tdm__st_close(&st[i]);
        free(paths[i]);
    }
    return worst;
}

static double distance(const char *a, const char *b)
{
    return distance_of(a, b, "");
}

/* ---- the factors that a step uses --------------------------------------------------------------
 */

/* One step over all samples: the loss that is reported is that of the step. */
#define ONE_STEP                                                                                   \
    "train.epochs=1", "train.batch_size=72", "optim.kind=sgd", "optim.lr=0.5", "train.test=false"

static const struct {
    const char *kind, *option;
} rules[] = {{"gls", "seed=0"},
             {"si", "seed=0"},
             {"stch", "balance.stch_warmup=1"},
             {"uw-so", "balance.uw_so_temperature=2"},
             {"famo", "seed=0"}};
enum { RULES = sizeof rules / sizeof *rules };

static double expected_weight(int rule, const double *loss, int task)
{
    const double other = loss[1 - task], mine = loss[task];
    if (rule == 0) return sqrt(mine * other) / (2 * mine);
    if (rule == 3) return 2 / (1 + exp(1 / (2 * other) - 1 / (2 * mine)));
    if (rule == 4) return 2 * other / (mine + other); /* all logits are 0 */
    return 1 / mine;                                  /* stch: warming up */
}

START_TEST(a_step_by_rule_is_a_step_with_its_weights)
{
    char kind[64], class[64], recon[64];
    double loss[2], w[2];
    snprintf(kind, sizeof kind, "balance.kind=%s", rules[_i].kind);
    support_ok(SMALL_TRAIN(small_output("rule"), ONE_STEP, kind, rules[_i].option));
    loss[0] = small_logged("rule", 1, "class", "loss");
    loss[1] = small_logged("rule", 1, "recon", "loss");
    for (int t = 0; t < 2; t++) w[t] = expected_weight(_i, loss, t);
    ck_assert_double_eq_tol(small_logged("rule", 1, "class", "weight"), w[0], 1e-5 * w[0]);
    ck_assert_double_eq_tol(small_logged("rule", 1, "recon", "weight"), w[1], 1e-5 * w[1]);
    snprintf(class, sizeof class, "tasks.class.weight=%.9g", w[0]);
    snprintf(recon, sizeof recon, "tasks.recon.weight=%.9g", w[1]);
    support_ok(SMALL_TRAIN(small_output("fixed"), ONE_STEP, "balance.kind=fixed", class, recon));
    support_ok(SMALL_TRAIN(small_output("equal"), ONE_STEP, "balance.kind=equal"));
    const double same = distance("rule", "fixed"), other = distance("rule", "equal");
    ck_assert_msg(same < 1e-5, "%s: %g from the step with these weights", rules[_i].kind, same);
    ck_assert_msg(other > 1e-3, "%s: the weights made no difference", rules[_i].kind);
}
END_TEST

/* After its warm-up: the reference losses are those of the epoch before. */
START_TEST(stch_compares_with_the_last_epoch_of_its_warm_up)
{
    static const char *const names[] = {"class", "recon"};
    double p[2], l[2];
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=2", "train.batch_size=72",
                           "balance.kind=stch", "balance.stch_warmup=1", "balance.stch_mu=0.25",
                           "train.test=false"));
    for (int t = 0; t < 2; t++) {
        l[t] = small_logged("a", 2, names[t], "loss");
        p[t] = log(l[t] / small_logged("a", 1, names[t], "loss")) / 0.25;
    }
    for (int t = 0; t < 2; t++) {
        const double w = 2 / (1 + exp(p[1 - t] - p[t])) / l[t];
        ck_assert_double_eq_tol(small_logged("a", 2, names[t], "weight"), w, 1e-4 * w);
    }
}
END_TEST

/* Without dropout, and with all samples in the batch, the next step's losses are those of this
 * step's batch after it, but for the sum's order. */
START_TEST(famo_looks_at_the_same_batch_after_the_step)
{
    static const char *const names[] = {"class", "recon"};
    double logit[2] = {0}, mean[2] = {0}, square[2] = {0}, loss[2][2], delta[2];
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=4", "train.batch_size=72",
                           "optim.kind=sgd", "optim.lr=0.2", "balance.kind=famo",
                           "balance.famo_lr=0.5", "balance.famo_decay=0.01", "train.test=false",
                           "tasks.class.layers=[flatten, dense classes]"));
    for (int epoch = 1; epoch <= 4; epoch++) {
        for (int t = 0; t < 2; t++) loss[epoch % 2][t] = small_logged("a", epoch, names[t], "loss");
        if (epoch > 1) {
            tdm__weights_famo(logit, loss[(epoch + 1) % 2], loss[epoch % 2], 2, delta);
            for (int t = 0; t < 2; t++)
                tdm__weights_adam(&logit[t], &mean[t], &square[t], delta[t], epoch - 1, 0.5, 0.01);
        }
        const double *l = loss[epoch % 2], odds = exp(logit[1] - logit[0]) * l[0] / l[1];
        ck_assert_double_eq_tol(small_logged("a", epoch, "class", "weight"), 2 / (1 + odds), 1e-4);
        ck_assert_double_eq_tol(small_logged("a", epoch, "recon", "weight"), 2 * odds / (1 + odds),
                                1e-4);
    }
    ck_assert_double_gt(fabs(logit[0]), 0.1);
}
END_TEST

START_TEST(dwa_follows_the_last_two_epochs)
{
    static const char *const names[] = {"class", "recon"};
    double loss[2][2], w[2];
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=4", "balance.kind=dwa",
                           "balance.dwa_temperature=0.5"));
    for (int epoch = 1; epoch <= 4; epoch++) {
        for (int t = 0; t < 2 && epoch > 2; t++)
            for (int back = 0; back < 2; back++)
                loss[back][t] = small_logged("a", epoch - 1 - back, names[t], "loss");
        tdm__weights_dwa(loss[0], loss[1], 2, 0.5, w);
        for (int t = 0; t < 2; t++)
            ck_assert_double_eq_tol(small_logged("a", epoch, names[t], "weight"),
                                    epoch > 2 ? w[t] : 1, 1e-5);
    }
}
END_TEST

START_TEST(rlw_draws_each_step_anew)
{
    double w[2];
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=2", "train.batch_size=72",
                           "balance.kind=rlw"));
    for (int epoch = 1; epoch <= 2; epoch++) {
        tdm__weights_rlw(TDM__RLW_NORMAL, 0, (uint64_t)epoch - 1, 2, w);
        ck_assert_double_eq_tol(small_logged("a", epoch, "class", "weight"), 2 * w[0], 1e-6);
        ck_assert_double_eq_tol(small_logged("a", epoch, "recon", "weight"), 2 * w[1], 1e-6);
    }
}
END_TEST

/* Liebel and Koerner's term: after a step of plain descent s is what its derivative says. */
START_TEST(uncertainty_may_stay_above_zero)
{
    static const char *const names[] = {"class", "recon"};
    support_ok(SMALL_TRAIN(small_output("a"), ONE_STEP, "balance.kind=uncertainty",
                           "balance.initial_s=0.5", "balance.likelihood=uniform",
                           "balance.regulariser=log-1-plus-variance"));
    for (int t = 0; t < 2; t++) {
        const double slope =
            1 / (1 + exp(-0.5)) - 0.5 * exp(-0.5) * small_logged("a", 1, names[t], "loss");
        const double w = 0.5 * exp(-(0.5 - 0.5 * slope));
        ck_assert_double_eq_tol(small_logged("a", 1, names[t], "weight"), w, 1e-5 * w);
    }
}
END_TEST

/* e^s L moves towards 1. */
START_TEST(imtl_l_scales_losses_to_one)
{
    support_ok(
        SMALL_TRAIN(small_output("a"), "train.epochs=15", "balance.kind=imtl-l", "optim.lr=0.05"));
    const double first = small_logged("a", 1, "recon", "loss") *
                         small_logged("a", 1, "recon", "weight"),
                 last = small_logged("a", 15, "recon", "loss") *
                        small_logged("a", 15, "recon", "weight");
    ck_assert_msg(fabs(last - 1) < 0.5 && fabs(last - 1) < fabs(first - 1), "from %g to %g", first,
                  last);
}
END_TEST

/* ---- combined gradients ------------------------------------------------------------------------
 */

/* Weights that are all 1 give the step of the plain sum: the way through the rows is the same. */
START_TEST(the_mean_by_rows_is_the_sum)
{
    support_ok(
        SMALL_TRAIN(small_output("rows"), ONE_STEP, "balance.kind=cagrad", "balance.cagrad_c=0"));
    support_ok(SMALL_TRAIN(small_output("sum"), ONE_STEP, "balance.kind=equal"));
    const double d = distance("rows", "sum");
    ck_assert_msg(d < 1e-6, "%g", d);
    ck_assert_double_eq_tol(small_logged("rows", 1, "class", "weight"), 1, 1e-6);
}
END_TEST

/* A penalty of the model is part of what the rows hold, as of the sum. */
START_TEST(a_penalty_is_in_the_rows)
{
#define SLUICE ONE_STEP, "model.sharing=sluice", "model.sluice_subspaces=2"
    static const char far[] = "model.sluice_orthogonality=0.1";
    support_ok(SMALL_TRAIN(small_output("rows"), SLUICE, "balance.kind=cagrad",
                           "balance.cagrad_c=0", far));
    support_ok(SMALL_TRAIN(small_output("sum"), SLUICE, "balance.kind=equal", far));
    support_ok(SMALL_TRAIN(small_output("without"), SLUICE, "balance.kind=equal",
                           "model.sluice_orthogonality=0"));
    const double d = distance("rows", "sum");
    ck_assert_msg(d < 1e-5, "%g", d);
    ck_assert_double_gt(distance("sum", "without"), 1e-3);
#undef SLUICE
}
END_TEST

/* Loss weights come before: with fixed weights and their gradients' sum, all is as without rows. */
START_TEST(losses_are_weighed_before)
{
    static const char *const weights[] = {"tasks.class.weight=0.3", "tasks.recon.weight=2"};
    support_ok(SMALL_TRAIN(small_output("rows"), ONE_STEP, "balance.kind=cagrad",
                           "balance.cagrad_c=0", "balance.losses=fixed", weights[0], weights[1]));
    support_ok(
        SMALL_TRAIN(small_output("sum"), ONE_STEP, "balance.kind=fixed", weights[0], weights[1]));
    ck_assert_double_lt(distance("rows", "sum"), 1e-6);
    support_fails(SMALL_TRAIN(small_output("a"), "balance.kind=nash", "balance.losses=fixed"),
                  TDM_ERR_CONFIG, "however the losses are scaled");
    support_fails(SMALL_TRAIN(small_output("b"), "balance.kind=gls", "balance.losses=fixed"),
                  TDM_ERR_CONFIG, "combines no gradients");
    support_fails(SMALL_TRAIN(small_output("c"), "balance.kind=mgda", "train.sampling=uniform"),
                  TDM_ERR_CONFIG, "compares the tasks' gradients");
}
END_TEST

/* For a mean of the gradients it makes no difference where they are combined. */
START_TEST(representation_of_equal_weights_is_the_sum)
{
    support_ok(SMALL_TRAIN(small_output("rows"), "train.epochs=2", "optim.kind=sgd", "optim.lr=0.1",
                           "balance.kind=cagrad", "balance.cagrad_c=0",
                           "balance.gradients=representation"));
    support_ok(SMALL_TRAIN(small_output("sum"), "train.epochs=2", "optim.kind=sgd", "optim.lr=0.1",
                           "balance.kind=equal"));
    const double d = distance("rows", "sum");
    ck_assert_msg(d < 1e-5, "%g", d);
}
END_TEST

/* The weights of a step are those of the products of the representation's gradients: MGDA's, whose
 * two are known from the norms and the cosine that are reported; and the step is that of the sum
 * with these weights on the trunk, while heads learn by their own loss. */
START_TEST(representation_by_mgda)
{
    char class[64], recon[64], *path, *text;
    double norm[2], cosine = NAN;
    size_t size;
    support_ok(SMALL_TRAIN(small_output("a"), ONE_STEP, "balance.kind=mgda",
                           "balance.gradients=representation"));
    norm[0] = small_logged("a", 1, "class", "gradient_norm");
    norm[1] = small_logged("a", 1, "recon", "gradient_norm");
    path = support_path(small_run_path("a"), "metrics.jsonl");
    text = support_read(path, &size);
    json_t *o = NULL;
    support_ok(tdm__json_parse(text, strcspn(text, "\n"), "metrics.jsonl", &o));
    cosine = json_number_value(json_array_get(
        json_array_get(json_object_get(json_object_get(o, "balance"), "cosines"), 0), 1));
    json_decref(o);
    free(text);
    free(path);
    const double a = norm[0] * norm[0], b = norm[1] * norm[1], c = cosine * norm[0] * norm[1];
    const double w = fmin(fmax((b - c) / (a + b - 2 * c), 0), 1);
    ck_assert_double_eq_tol(small_logged("a", 1, "class", "weight"), 2 * w, 1e-4);
    ck_assert_double_eq_tol(small_logged("a", 1, "recon", "weight"), 2 - 2 * w, 1e-4);
    snprintf(class, sizeof class, "tasks.class.weight=%.9g", 2 * w);
    snprintf(recon, sizeof recon, "tasks.recon.weight=%.9g", 2 - 2 * w);
    support_ok(SMALL_TRAIN(small_output("fixed"), ONE_STEP, "balance.kind=fixed", class, recon));
    const double trunk = distance_of("a", "fixed", "encoder"), all = distance("a", "fixed");
    ck_assert_msg(trunk < 1e-4, "%g", trunk);
    ck_assert_double_gt(all, 1e-3);
    support_fails(
        SMALL_TRAIN(small_output("b"), "balance.kind=si", "balance.gradients=representation"),
        TDM_ERR_CONFIG, "combines no gradients");
    support_fails(
        SMALL_TRAIN(small_output("c"), "balance.kind=db-mtl", "balance.gradients=representation"),
        TDM_ERR_CONFIG, "means over batches");
}
END_TEST

static const char *const at_representation[] = {"mgda",    "cagrad",   "imtl-g",  "imtl",
                                                "nash",    "fairgrad", "aligned", "pcgrad",
                                                "gradvac", "upgrad",   "gradnorm"};
enum { AT_REPRESENTATION = sizeof at_representation / sizeof *at_representation };

START_TEST(representation_learns_and_resumes)
{
    char kind[64], whole[33], resumed[33];
    static const char of[] = "balance.gradients=representation";
    snprintf(kind, sizeof kind, "balance.kind=%s", at_representation[_i]);
    support_ok(SMALL_TRAIN(small_output("whole"), kind, of, "train.epochs=4"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, of, "train.epochs=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, of, "train.epochs=4", "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", whole);
    small_hash(small_run_path("parts"), "state.safetensors", resumed);
    ck_assert_str_eq(whole, resumed);
    for (int t = 0; t < 2; t++) {
        const char *task = t ? "recon" : "class";
        ck_assert_double_lt(small_logged("whole", 4, task, "loss"),
                            small_logged("whole", 1, task, "loss"));
    }
}
END_TEST

static const char *const combining[] = {"mgda",    "cagrad",   "imtl-g",   "imtl",
                                        "nash",    "fairgrad", "aligned",  "pcgrad",
                                        "gradvac", "upgrad",   "graddrop", "db-mtl"};
enum { COMBINING = sizeof combining / sizeof *combining };

/* Every method learns, otherwise than the sum, and resumes to the same bits. */
START_TEST(combined_gradients_learn_and_resume)
{
    char kind[64], whole[33], resumed[33];
    snprintf(kind, sizeof kind, "balance.kind=%s", combining[_i]);
    support_ok(SMALL_TRAIN(small_output("whole"), kind, "train.epochs=4"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, "train.epochs=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, "train.epochs=4", "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", whole);
    small_hash(small_run_path("parts"), "state.safetensors", resumed);
    ck_assert_str_eq(whole, resumed);
    for (int t = 0; t < 2; t++) {
        const char *task = t ? "recon" : "class";
        ck_assert_double_lt(small_logged("whole", 4, task, "loss"),
                            small_logged("whole", 1, task, "loss"));
    }
    support_ok(SMALL_TRAIN(small_output("sum"), "balance.kind=equal", "train.epochs=4"));
    ck_assert_double_gt(distance("whole", "sum"), 1e-4);
}
END_TEST

/* Each line of training holds what the gradients did. */
START_TEST(gradients_are_diagnosed)
{
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=2", "balance.kind=pcgrad",
                           "train.tensorboard=true"));
    char *path = support_path(small_run_path("a"), "metrics.jsonl"), *text;
    size_t size;
    int lines = 0;
    text = support_read(path, &size);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = NULL;
        support_ok(tdm__json_parse(line, strlen(line), "metrics.jsonl", &o));
        const json_t *b = json_object_get(o, "balance"), *cosines = json_object_get(b, "cosines");
        const bool train = !strcmp(json_string_value(json_object_get(o, "split")), "train");
        ck_assert((b != NULL) == train);
        if (train) {
            const double share = json_number_value(json_object_get(b, "conflict_share")),
                         cosine = json_number_value(json_array_get(json_array_get(cosines, 0), 1));
            ck_assert(share >= 0 && share <= 1);
            ck_assert(fabs(cosine) > 0 && fabs(cosine) < 1);
            ck_assert_double_ge(json_number_value(json_object_get(b, "condition_log10")), 0);
            lines++;
        }
        json_decref(o);
    }
    ck_assert_int_eq(lines, 2);
    ck_assert_double_eq(small_logged("a", 1, "class", "loss_ratio"), 1);
    ck_assert_double_eq_tol(
        small_logged("a", 2, "class", "loss_ratio"),
        small_logged("a", 2, "class", "loss") / small_logged("a", 1, "class", "loss"), 1e-6);
    ck_assert_double_gt(small_logged("a", 2, "recon", "gradient_norm"), 0);
    free(text);
    free(path);
}
END_TEST

static int warnings;

static void count_warnings(void *user, tdm_log_level level, const char *message)
{
    (void)user;
    warnings += level == TDM_LOG_WARN && strstr(message, "had no effect") != NULL;
}

/* A method whose weights never move is reported; one that works is not. */
START_TEST(what_has_no_effect_is_said)
{
    tdm_set_log(count_warnings, NULL, TDM_LOG_WARN);
    warnings = 0;
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=3", "balance.kind=dwa"));
    ck_assert_int_eq(warnings, 0);
    support_ok(SMALL_TRAIN(small_output("b"), "train.epochs=3", "balance.kind=uncertainty",
                           "optim.lr=1e-30"));
    ck_assert_int_eq(warnings, 1);
    support_ok(SMALL_TRAIN(small_output("c"), "train.epochs=3", "balance.kind=stch",
                           "balance.stch_warmup=3"));
    ck_assert_int_eq(warnings, 2);
    support_ok(SMALL_TRAIN(small_output("d"), "train.epochs=3", "balance.kind=equal"));
    ck_assert_int_eq(warnings, 2);
    tdm_set_log(NULL, NULL, TDM_LOG_WARN);
}
END_TEST

/* The weights sum to the number of tasks, and the norms of the gradients are nearer to each other
 * at the end of the last epoch than of the first. */
static void check_evened(const char *run, int last_epoch)
{
    const double class_weight = small_logged(run, last_epoch, "class", "weight"),
                 recon_weight = small_logged(run, last_epoch, "recon", "weight");
    ck_assert_double_eq_tol(class_weight + recon_weight, 2, 1e-5);
    const double first = small_logged(run, 1, "class", "gradient_norm") /
                         small_logged(run, 1, "recon", "gradient_norm"),
                 last = small_logged(run, last_epoch, "class", "gradient_norm") /
                        small_logged(run, last_epoch, "recon", "gradient_norm");
    ck_assert_msg(fabs(log(last)) < fabs(log(first)), "norms' ratio: %g, then %g", first, last);
}

/* One step is that of equal weights; then they move, sum to the number of tasks, and a task whose
 * gradient at the last shared layer is the longest loses weight. */
START_TEST(gradnorm_evens_the_norms)
{
    support_ok(SMALL_TRAIN(small_output("norm"), ONE_STEP, "balance.kind=gradnorm"));
    support_ok(SMALL_TRAIN(small_output("sum"), ONE_STEP, "balance.kind=equal"));
    ck_assert_double_lt(distance("norm", "sum"), 1e-5);
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=6", "balance.kind=gradnorm",
                           "balance.gradnorm_alpha=0", "balance.gradnorm_lr=0.1"));
    check_evened("a", 6);
}
END_TEST

/* The same by the gradients of the representation. */
START_TEST(gradnorm_evens_the_representation)
{
#define OF_REPRESENTATION "balance.kind=gradnorm", "balance.gradients=representation"
    support_ok(SMALL_TRAIN(small_output("norm"), ONE_STEP, OF_REPRESENTATION));
    support_ok(SMALL_TRAIN(small_output("sum"), ONE_STEP, "balance.kind=equal"));
    ck_assert_double_lt(distance("norm", "sum"), 1e-5);
    support_ok(SMALL_TRAIN(small_output("a"), "train.epochs=6", OF_REPRESENTATION,
                           "balance.gradnorm_alpha=0", "balance.gradnorm_lr=0.1"));
    check_evened("a", 6);
#undef OF_REPRESENTATION
}
END_TEST

/* ---- runs --------------------------------------------------------------------------------------
 */

static const char *const all_kinds[] = {"dwa",  "rlw",   "dtp",    "gls",      "si",
                                        "stch", "uw-so", "imtl-l", "gradnorm", "famo"};
enum { ALL_KINDS = sizeof all_kinds / sizeof *all_kinds };

/* Stopped behind every step, the last of an epoch too, whose factors the epoch's report tells. */
START_TEST(resumes_behind_every_step)
{
    enum { STEPS_OF_AN_EPOCH = 3, EPOCHS = 3 };
    static const char *const kinds[] = {"gls", "stch", "famo", "gradnorm", "rlw", "dwa"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char kind[64], name[2][32];
        snprintf(kind, sizeof kind, "balance.kind=%s", kinds[k]);
        for (int i = 0; i < 2; i++) snprintf(name[i], sizeof name[i], "%s-%d", kinds[k], i);
#define ALL                                                                                        \
    kind, "train.epochs=3", "train.batch_size=24", "balance.stch_warmup=1", "train.test=false"
        support_ok(SMALL_TRAIN(small_output(name[0]), ALL));
        for (int step = 0; step < STEPS_OF_AN_EPOCH * EPOCHS; step++)
            support_ok(SMALL_TRAIN(small_output(name[1]), ALL, "train.resume=auto",
                                   "train.max_time=1e-9"));
        support_ok(SMALL_TRAIN(small_output(name[1]), ALL, "train.resume=auto"));
#undef ALL
        for (int epoch = 1; epoch <= EPOCHS; epoch++)
            for (int t = 0; t < 2; t++) {
                const char *task = t ? "recon" : "class";
                ck_assert_double_eq(small_logged(name[0], epoch, task, "weight"),
                                    small_logged(name[1], epoch, task, "weight"));
            }
        char whole[33], resumed[33];
        small_hash(small_run_path(name[0]), "state.safetensors", whole);
        small_hash(small_run_path(name[1]), "state.safetensors", resumed);
        ck_assert_str_eq(whole, resumed);
    }
}
END_TEST

/* Stopped after three of six epochs and taken up again, and with the step as it is in between. */
START_TEST(resumes_to_the_same_bits)
{
    char kind[64], whole[33], resumed[33];
    snprintf(kind, sizeof kind, "balance.kind=%s", all_kinds[_i]);
    support_ok(SMALL_TRAIN(small_output("whole"), kind, "train.epochs=6", "balance.stch_warmup=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, "train.epochs=3", "balance.stch_warmup=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), kind, "train.epochs=6", "balance.stch_warmup=2",
                           "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", whole);
    small_hash(small_run_path("parts"), "state.safetensors", resumed);
    ck_assert_str_eq(whole, resumed);
}
END_TEST

/* How far the first filters of the two tasks' trunks are from each other. */
static double apart(const char *run)
{
    char *path = support_path(small_run_path(run), "last.safetensors");
    float *values[2];
    double sum = 0;
    uint64_t count = 0;
    tdm__st *st;
    support_ok(tdm__st_open(path, &st));
    for (int i = 0; i < 2; i++) {
        const tdm__st_tensor *t =
            tdm__st_find(st, i ? "encoder.recon.0.weight" : "encoder.class.0.weight");
        ck_assert_ptr_nonnull(t);
        count = t->count;
        values[i] = calloc(count, sizeof **values);
        support_ok(tdm__st_read(st, t, 0, count, TDM__TO_F32, values[i]));
    }
    for (uint64_t k = 0; k < count; k++) sum += pow((double)values[0][k] - values[1][k], 2);
    for (int i = 0; i < 2; i++) free(values[i]);
    tdm__st_close(&st);
    free(path);
    return sqrt(sum);
}

/* Trunks of their own: drawn together by their term, with loss weights or without; nothing is
 * shared that gradients could be combined of; freezing by blocks has no meaning. */
/* The epoch of the run's selected checkpoint, and the one with the least of `key` on validation:
 * the total (NULL), or the sum of what all tasks have of that key. */
static void selected(const char *run, const char *key, long long *best, long long *least)
{
    char *paths[] = {support_path(small_run_path(run), "metrics.jsonl"),
                     support_path(small_run_path(run), "summary.json")};
    char *text = support_read(paths[0], &(size_t){0}),
         *summary = support_read(paths[1], &(size_t){0});
    json_t *o = NULL, *task;
    const char *name;
    double lowest = INFINITY;
    support_ok(tdm__json_parse(summary, strlen(summary), "summary.json", &o));
    *best = json_integer_value(json_object_get(o, "best_epoch"));
    json_decref(o);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        support_ok(tdm__json_parse(line, strlen(line), "metrics.jsonl", &o));
        double value = key ? 0 : json_number_value(json_object_get(o, "total"));
        if (key)
            json_object_foreach(json_object_get(o, "tasks"), name, task) value +=
                json_number_value(json_object_get(task, key));
        if (!strcmp(json_string_value(json_object_get(o, "split")), "val") && value < lowest) {
            lowest = value;
            *least = json_integer_value(json_object_get(o, "epoch"));
        }
        json_decref(o);
    }
    free(text);
    free(summary);
    free(paths[0]);
    free(paths[1]);
}

#define WIDE                                                                                       \
    "model.layers=[conv 32 k3 p1, batch-norm, relu, max-pool 2, conv 64 k3 p1, batch-norm, relu, " \
    "max-pool 2, conv 192 k3 p1, relu, conv 192 k3 p1, relu, dropout 0.2]",                        \
        "train.batch_size=4", "data.num_samples=24", "train.epochs=2", "train.test=false",         \
        "optim.kind=sgd", "optim.lr=0.01"

static const struct {
    const char *kind, *sharing, *small, *too_small;
} streaming[] = {
    {"balance.kind=mgda", "model.sharing=hard", "device.memory_limit=9M", "device.memory_limit=4M"},
    {"balance.kind=pcgrad", "model.sharing=hard", "device.memory_limit=9M",
     "device.memory_limit=4M"},
    {"balance.kind=nash", "model.sharing=hard", "device.memory_limit=9M", "device.memory_limit=4M"},
    {"balance.kind=pcgrad", "model.sharing=sluice", "device.memory_limit=19M",
     "device.memory_limit=7M"}, /* with its penalty */
};

/* Where the rows of all layers do not fit, they are made group by group: the same update. */
START_TEST(gradients_by_groups_of_layers)
{
    char *text;
    tdm_trainer *trainer;
#define CASE streaming[_i].kind, streaming[_i].sharing, WIDE
    const char *const grouped[] = {CASE, streaming[_i].small};
    tdm_config *config = small_config(small_folder, grouped, sizeof grouped / sizeof *grouped);
    support_ok(tdm_trainer_create(config, NULL, &trainer));
    support_ok(tdm_trainer_describe(trainer, &text));
    ck_assert_msg(strstr(text, "groups of layers"), "%s", text);
    free(text);
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
    support_ok(SMALL_TRAIN(small_output("whole"), CASE));
    support_ok(SMALL_TRAIN(small_output("groups"), CASE, streaming[_i].small));
    ck_assert_double_lt(distance("whole", "groups"), 1e-5);
    support_ok(SMALL_TRAIN(small_output("sum"), CASE, "balance.kind=equal"));
    ck_assert_double_gt(distance("whole", "sum"), 1e-4);
    support_fails(SMALL_TRAIN(small_output("none"), CASE, streaming[_i].too_small), TDM_ERR_NOMEM,
                  "");
    support_fails(
        SMALL_TRAIN(small_output("all"), CASE, "balance.kind=db-mtl", streaming[_i].small),
        TDM_ERR_NOMEM, "");
#undef CASE
}
END_TEST

/* Weights that are drawn (one task's is 2, the other's 0) move the total of every epoch. */
/* A number from a run's summary.json. */
static double summarised(const char *run, const char *const *keys, size_t n)
{
    char *path = support_path(small_run_path(run), "summary.json"), *text;
    size_t size;
    json_t *root = NULL;
    const json_t *o;
    text = support_read(path, &size);
    support_ok(tdm__json_parse(text, size, "summary.json", &root));
    o = root;
    for (size_t i = 0; i < n; i++) o = json_object_get(o, keys[i]);
    ck_assert_msg(json_is_number(o), "%s: no %s", run, keys[n - 1]);
    const double value = json_number_value(o);
    json_decref(root);
    free(text);
    free(path);
    return value;
}
#define SUMMARISED(run, ...)                                                                       \
    summarised(run, (const char *const[]){__VA_ARGS__},                                            \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* What each task keeps for itself is what a run that selects by this task keeps; also when the run
 * was resumed. */
START_TEST(each_task_may_keep_its_own_best)
{
    static const char *const tasks[] = {"class", "recon"}, *const metrics[] = {"accuracy", "l1"};
    support_ok(SMALL_TRAIN(small_output("whole"), "train.epochs=6", "optim.lr=0.05",
                           "train.select_tasks=true"));
    support_ok(SMALL_TRAIN(small_output("parts"), "train.epochs=3", "optim.lr=0.05",
                           "train.select_tasks=true"));
    support_ok(SMALL_TRAIN(small_output("parts"), "train.epochs=6", "optim.lr=0.05",
                           "train.select_tasks=true", "train.resume=auto"));
    for (int t = 0; t < 2; t++) {
        char select[64], file[64], own[33], alone[33], resumed[33];
        snprintf(select, sizeof select, "train.select=%s.%s", tasks[t], metrics[t]);
        snprintf(file, sizeof file, "best.%s.safetensors", tasks[t]);
        support_ok(SMALL_TRAIN(small_output(tasks[t]), "train.epochs=6", "optim.lr=0.05", select));
        small_hash(small_run_path(tasks[t]), "best.safetensors", alone);
        small_hash(small_run_path("whole"), file, own);
        small_hash(small_run_path("parts"), file, resumed);
        ck_assert_str_eq(own, alone);
        ck_assert_str_eq(resumed, alone);
        for (int r = 0; r < 2; r++) {
            const char *run = r ? "parts" : "whole";
            ck_assert(SUMMARISED(run, "task_best", tasks[t], "epoch") ==
                      SUMMARISED(tasks[t], "best_epoch"));
            ck_assert(SUMMARISED(run, "task_best", tasks[t], "value") ==
                      SUMMARISED(tasks[t], "best_value"));
            ck_assert(SUMMARISED(run, "task_best", tasks[t], "test", "metrics", metrics[t]) ==
                      SUMMARISED(tasks[t], "test", "tasks", tasks[t], "metrics", metrics[t]));
        }
    }
    ck_assert(SUMMARISED("class", "best_epoch") != SUMMARISED("recon", "best_epoch"));
}
END_TEST

START_TEST(selection_may_ignore_the_weights)
{
    long long best, by_losses, by_total;
    support_ok(SMALL_TRAIN(small_output("total"), "balance.kind=rlw",
                           "balance.rlw_distribution=constrained", "train.epochs=5", "seed=1"));
    support_ok(SMALL_TRAIN(small_output("losses"), "balance.kind=rlw",
                           "balance.rlw_distribution=constrained", "train.epochs=5", "seed=1",
                           "train.select=losses"));
    selected("total", NULL, &best, &by_total);
    ck_assert_int_eq(best, by_total);
    selected("losses", "loss", &best, &by_losses);
    ck_assert_int_eq(best, by_losses);
    ck_assert_int_ne(by_total, by_losses);
}
END_TEST

START_TEST(soft_sharing_draws_trunks_together)
{
    static const char soft[] = "model.sharing=soft";
    char whole[33], resumed[33];
    support_ok(SMALL_TRAIN(small_output("free"), soft, "model.soft_lambda=0", "train.epochs=4"));
    support_ok(SMALL_TRAIN(small_output("whole"), soft, "model.soft_lambda=1", "train.epochs=4"));
    support_ok(SMALL_TRAIN(small_output("dwa"), soft, "model.soft_lambda=1", "train.epochs=4",
                           "balance.kind=dwa"));
    ck_assert_double_lt(apart("whole"), 0.5 * apart("free"));
    ck_assert_double_lt(apart("dwa"), 0.5 * apart("free"));
    support_ok(SMALL_TRAIN(small_output("parts"), soft, "model.soft_lambda=1", "train.epochs=2"));
    support_ok(SMALL_TRAIN(small_output("parts"), soft, "model.soft_lambda=1", "train.epochs=4",
                           "train.resume=auto"));
    small_hash(small_run_path("whole"), "state.safetensors", whole);
    small_hash(small_run_path("parts"), "state.safetensors", resumed);
    ck_assert_str_eq(whole, resumed);
    support_fails(SMALL_TRAIN(small_output("a"), soft, "balance.kind=mgda"), TDM_ERR_CONFIG,
                  "there are none");
    support_fails(SMALL_TRAIN(small_output("b"), soft, "train.sampling=uniform"), TDM_ERR_CONFIG,
                  "a step has one task");
    support_fails(SMALL_TRAIN(small_output("c"), soft, "train.freeze_except_last=1"),
                  TDM_ERR_CONFIG, "counts the blocks of one trunk");
}
END_TEST

START_TEST(a_step_of_one_task_compares_nothing)
{
    support_fails(SMALL_TRAIN(small_output("a"), "balance.kind=gls", "train.sampling=uniform"),
                  TDM_ERR_CONFIG, "compares the tasks' losses");
    support_ok(SMALL_TRAIN(small_output("b"), "balance.kind=dwa", "train.sampling=uniform"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("balance");
    TCase *tc = tcase_create("balance");
    tcase_set_timeout(tc, 300);
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_loop_test(tc, a_step_by_rule_is_a_step_with_its_weights, 0, RULES);
    tcase_add_test(tc, stch_compares_with_the_last_epoch_of_its_warm_up);
    tcase_add_test(tc, famo_looks_at_the_same_batch_after_the_step);
    tcase_add_test(tc, dwa_follows_the_last_two_epochs);
    tcase_add_test(tc, rlw_draws_each_step_anew);
    tcase_add_test(tc, uncertainty_may_stay_above_zero);
    tcase_add_test(tc, imtl_l_scales_losses_to_one);
    tcase_add_test(tc, the_mean_by_rows_is_the_sum);
    tcase_add_test(tc, a_penalty_is_in_the_rows);
    tcase_add_test(tc, losses_are_weighed_before);
    tcase_add_loop_test(tc, combined_gradients_learn_and_resume, 0, COMBINING);
    tcase_add_test(tc, representation_of_equal_weights_is_the_sum);
    tcase_add_test(tc, representation_by_mgda);
    tcase_add_loop_test(tc, representation_learns_and_resumes, 0, AT_REPRESENTATION);
    tcase_add_test(tc, gradients_are_diagnosed);
    tcase_add_test(tc, what_has_no_effect_is_said);
    tcase_add_test(tc, gradnorm_evens_the_norms);
    tcase_add_test(tc, gradnorm_evens_the_representation);
    tcase_add_test(tc, resumes_behind_every_step);
    tcase_add_loop_test(tc, resumes_to_the_same_bits, 0, ALL_KINDS);
    tcase_add_test(tc, soft_sharing_draws_trunks_together);
    tcase_add_test(tc, a_step_of_one_task_compares_nothing);
    suite_add_tcase(suite, tc);
    tc = tcase_create("selection");
    tcase_set_timeout(tc, 600);
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_test(tc, selection_may_ignore_the_weights);
    tcase_add_test(tc, each_task_may_keep_its_own_best);
    suite_add_tcase(suite, tc);
    tc = tcase_create("memory");
    tcase_set_timeout(tc, 600);
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_loop_test(tc, gradients_by_groups_of_layers, 0, sizeof streaming / sizeof *streaming);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

/* Self-supervised tasks in training: they learn, alone and beside others, which see their samples
 * as they are; runs repeat to the bit; what does not fit together is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/predict.h>

#include "support/small_run.h"
#include "train/session.h"

enum { COMMON = 4, MORE = 12 };

/* Trains the small configuration without its tasks but with other ones; more: up to MORE texts,
 * NULL after the last. Of the pictures only those that are bright at the top left: a turn shows. */
static tdm_status train(const char *const more[], small_result *result)
{
    static int runs;
    char name[16];
    snprintf(name, sizeof name, "run-%d", runs++);
    const char *texts[COMMON + MORE] = {"tasks.recon.enabled=false", "balance.kind=equal",
                                        "data.where.labels=0", small_output(name)};
    size_t n = COMMON;
    for (; *more; more++) {
        ck_assert_uint_lt(n, COMMON + MORE);
        texts[n++] = *more;
    }
    return small_train(small_folder, texts, n, result);
}

#define TRAIN(result, ...) train((const char *const[]){__VA_ARGS__, NULL}, result)

#define CLASSIFIER(name, kind)                                                                     \
    "tasks." name ".make=" kind, "tasks." name ".loss=cross-entropy",                              \
        "tasks." name ".layers=flatten,dense 16,relu,dense classes"
#define DECODER(name, kind)                                                                        \
    "tasks." name ".make=" kind, "tasks." name ".loss=l2",                                         \
        "tasks." name ".layers=conv-transpose 4 k2 s2,relu,conv-transpose channels k2 s2,sigmoid"
static const char alone[] = "tasks.class.enabled=false";

/* ---- learning ---------------------------------------------------------------------------------
 */

static const struct {
    const char *make, *loss, *head, *gap;
    double least; /* accuracy on val; 0: the loss falls to 60 % */
} makes[] = {
    {"rotation", "cross-entropy", "flatten,dense 16,relu,dense classes", NULL, 0.95},
    {"flip", "cross-entropy", "flatten,dense 16,relu,dense classes", NULL, 0.95},
    {"vflip", "cross-entropy", "flatten,dense 16,relu,dense classes", NULL, 0.95},
    {"denoising", "l2", "conv-transpose 4 k2 s2,relu,conv-transpose channels k2 s2", NULL, 0},
    {"autoencoding", "l2", "conv-transpose 4 k2 s2,relu,conv-transpose channels k2 s2", NULL, 0},
    {"jigsaw", "cross-entropy", "flatten,dense 16,relu,dense classes", "0", 0.4},
};

START_TEST(learns_what_is_made)
{
    char make[64], loss[64], head[128];
    small_result first, r;
    snprintf(make, sizeof make, "tasks.m.make=%s", makes[_i].make);
    snprintf(loss, sizeof loss, "tasks.m.loss=%s", makes[_i].loss);
    snprintf(head, sizeof head, "tasks.m.layers=%s", makes[_i].head);
    const char *gap = makes[_i].gap ? "tasks.m.tile_gap=0" : alone,
               *orders = makes[_i].gap ? "tasks.m.permutations=4" : alone;
    support_ok(TRAIN(&first, alone, make, loss, head, gap, orders, "train.epochs=1",
                     "data.where.labels=0,1,2,3"));
    support_ok(TRAIN(&r, alone, make, loss, head, gap, orders, "train.epochs=40"));
    if (makes[_i].least > 0)
        ck_assert_msg(r.metric[1] >= makes[_i].least, "%s: %g", makes[_i].make, r.metric[1]);
    else
        ck_assert_msg(r.loss[1] < 0.6 * first.loss[1], "%s: %g, at first %g", makes[_i].make,
                      r.loss[1], first.loss[1]);
}
END_TEST

static tdm_status train_beside(const char *name, const char *workers, small_result *result)
{
    return TRAIN(result, CLASSIFIER("turn", "rotation"), DECODER("clean", "denoising"),
                 "train.sampling=uniform", "train.epochs=3", "data.where.labels=0,1,2,3", workers,
                 small_output(name));
}

START_TEST(same_bits_whatever_the_workers)
{
    char none[33], four[33];
    support_ok(train_beside("none", "data.workers=0", NULL));
    support_ok(train_beside("four", "data.workers=4", NULL));
    small_hash(small_run_path("none"), "last.safetensors", none);
    small_hash(small_run_path("four"), "last.safetensors", four);
    ck_assert_str_eq(none, four);
}
END_TEST

/* A classifier beside a task that turns its own pictures learns quadrants, which turns would mix
 * up. */
START_TEST(the_others_see_samples_as_they_are)
{
    small_result r;
    support_ok(TRAIN(&r, CLASSIFIER("turn", "rotation"), "tasks.turn.role=auxiliary",
                     "train.sampling=uniform", "train.epochs=20", "data.where.labels=0,1,2,3"));
    ck_assert_double_gt(r.metric[1], 0.95);
    ck_assert_double_gt(r.metric[2], 0.95);
}
END_TEST

/* The picture itself as the target changes no input: it shares batches. */
START_TEST(autoencoding_shares_batches)
{
    char made[33], named[33];
    support_ok(
        TRAIN(NULL, DECODER("recon2", "autoencoding"), "train.epochs=1", small_output("made")));
    support_ok(TRAIN(NULL, "tasks.recon2.target=images", "tasks.recon2.loss=l2",
                     "tasks.recon2.layers=conv-transpose 4 k2 s2,relu,conv-transpose channels k2 "
                     "s2,sigmoid",
                     "train.epochs=1", small_output("named")));
    small_hash(small_run_path("made"), "last.safetensors", made);
    small_hash(small_run_path("named"), "last.safetensors", named);
    ck_assert_str_eq(made, named);
}
END_TEST

/* ---- measuring --------------------------------------------------------------------------------
 */

static void keep_losses(void *user, const tdm_epoch_report *r)
{
    double **next = user;
    if (r->split[0] == 'v') *(*next)++ = r->tasks[0].loss;
}

/* Nothing is learnt: every epoch measures the same pictures on val, and other ones on train. */
START_TEST(validation_is_the_same_in_every_epoch)
{
    const char *texts[] = {"tasks.recon.enabled=false",
                           alone,
                           CLASSIFIER("turn", "rotation"),
                           "balance.kind=equal",
                           "optim.kind=sgd",
                           "optim.lr=1e-30",
                           "train.freeze=encoder",
                           "train.epochs=3"};
    double losses[4] = {0}, *next = losses;
    tdm_trainer *trainer = NULL;
    tdm_config *config = small_config(small_folder, texts, sizeof texts / sizeof *texts);
    const tdm_train_events events = {.user = &next, .epoch = keep_losses};
    support_ok(tdm_trainer_create(config, &events, &trainer));
    char *text = NULL;
    support_ok(tdm_trainer_describe(trainer, &text));
    ck_assert_ptr_nonnull(strstr(text, "cross-entropy on rotation made of 'images', 4 classes"));
    free(text);
    support_ok(tdm_trainer_run(trainer));
    ck_assert_int_eq(next - losses, 3);
    ck_assert_double_gt(losses[0], 0);
    ck_assert(losses[0] == losses[1] && losses[1] == losses[2]);
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
}
END_TEST

START_TEST(checkpoints_are_evaluated_and_predict)
{
    tdm_evaluation *e = NULL;
    char *answers = support_path(small_folder, "answers");
    support_ok(TRAIN(NULL, alone, CLASSIFIER("turn", "rotation"), "train.epochs=20",
                     small_output("turns")));
    support_ok(tdm_evaluate(small_run_path("turns"), "test", NULL, 0, NULL, &e));
    const tdm_task_report *task = &tdm_evaluation_report(e)->tasks[0];
    ck_assert_uint_eq(task->n_classes, 4);
    ck_assert_str_eq(task->classes[1].name, "90 degrees");
    ck_assert_double_gt(task->metrics[0].value, 0.9);
    tdm_evaluation_destroy(&e);
    const char *inputs[] = {small_folder};
    const tdm_predict_spec spec = {.checkpoint = small_run_path("turns"),
                                   .inputs = inputs,
                                   .n_inputs = 1,
                                   .out = answers,
                                   .limit = 2};
    support_ok(tdm_predict(&spec, NULL));
    char *lines = support_path(answers, "predictions.jsonl");
    size_t n;
    char *text = support_read(lines, &n);
    ck_assert_ptr_nonnull(strstr(text, "0 degrees"));
    free(text);
    free(lines);
    free(answers);
}
END_TEST

/* ---- what does not fit ------------------------------------------------------------------------
 */

START_TEST(refuses_what_does_not_fit)
{
    support_fails(TRAIN(NULL, CLASSIFIER("turn", "rotation"), "tasks.turn.target=labels"),
                  TDM_ERR_CONFIG, "tasks.turn.target = labels: is made of the input");
    support_fails(TRAIN(NULL, "tasks.turn.loss=cross-entropy", "tasks.turn.layers=dense classes"),
                  TDM_ERR_CONFIG, "must be given: an array of the data");
    support_fails(TRAIN(NULL, DECODER("turn", "rotation")), TDM_ERR_CONFIG,
                  "make: rotation makes classes");
    support_fails(TRAIN(NULL, CLASSIFIER("clean", "denoising")), TDM_ERR_CONFIG,
                  "has the picture as its target");
    support_fails(TRAIN(NULL, CLASSIFIER("turn", "rotation"), "tasks.turn.tile_gap=3"),
                  TDM_ERR_CONFIG, "goes with make: jigsaw only");
    support_fails(TRAIN(NULL, DECODER("clean", "denoising"), "tasks.clean.noise_share=0.2"),
                  TDM_ERR_CONFIG, "goes with make: denoising, noise: salt-and-pepper only");
    support_fails(TRAIN(NULL, alone, CLASSIFIER("turn", "jigsaw")), TDM_ERR_CONFIG,
                  "tasks.turn.make: jigsaw: 'images' is 8x8: cells of 2x2 leave no tile");
    support_fails(TRAIN(NULL, alone, DECODER("paint", "colourisation")), TDM_ERR_CONFIG,
                  "needs red, green and blue");
    support_fails(
        TRAIN(NULL, alone, CLASSIFIER("turn", "rotation"), "data.transforms=[resize 8x12]"),
        TDM_ERR_CONFIG, "only square pictures");
}
END_TEST

START_TEST(refuses_shared_batches_and_cached_features)
{
    support_fails(TRAIN(NULL, CLASSIFIER("turn", "rotation")), TDM_ERR_CONFIG,
                  "make: rotation changes the input of task 'turn', so it shares no batch with "
                  "'class' (hint: uniform or weighted)");
    support_fails(TRAIN(NULL, alone, CLASSIFIER("turn", "rotation"), "train.freeze=encoder",
                        "train.feature_cache=device"),
                  TDM_ERR_CONFIG, "a task's input is made anew in every epoch");
    support_ok(TRAIN(NULL, alone, CLASSIFIER("turn", "rotation"), "train.freeze=encoder",
                     "train.epochs=1"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("made");
    TCase *t = tcase_create("made");
    tcase_add_checked_fixture(t, small_setup, small_teardown);
    tcase_add_loop_test(t, learns_what_is_made, 0, (int)(sizeof makes / sizeof *makes));
    tcase_add_test(t, same_bits_whatever_the_workers);
    tcase_add_test(t, the_others_see_samples_as_they_are);
    tcase_add_test(t, autoencoding_shares_batches);
    tcase_add_test(t, validation_is_the_same_in_every_epoch);
    tcase_add_test(t, checkpoints_are_evaluated_and_predict);
    tcase_add_test(t, refuses_what_does_not_fit);
    tcase_add_test(t, refuses_shared_batches_and_cached_features);
    suite_add_tcase(s, t);
    return support_run(s);
}

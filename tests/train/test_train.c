/* The run as a whole, on a small made-up data set: learning, determinism, exact resume, freezing,
 * selection, divergence, failing writes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/str.h"
#include "support/small_run.h"

static void teardown(void)
{
    small_teardown();
    tdm__file_fail_after(0);
}

#define TRAIN(result, ...)                                                                         \
    small_train(small_folder, (const char *const[]){__VA_ARGS__},                                  \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), result)

START_TEST(learns_both_tasks)
{
    small_result r;
    support_ok(TRAIN(&r, small_output("a"), "train.epochs=12"));
    ck_assert_int_eq(r.reason, TDM_STOP_EPOCHS);
    ck_assert_int_eq(r.epochs, 12);
    ck_assert_double_gt(r.metric[2], 0.95); /* accuracy on test */
    const char *const files[] = {"config.yaml",      "metrics.jsonl",    "summary.json",
                                 "best.safetensors", "last.safetensors", "state.safetensors"};
    for (int i = 0; i < 6; i++) {
        char *path = support_path(small_run_path("a"), files[i]);
        ck_assert_msg(tdm__path_exists(path), "%s is missing", files[i]);
        free(path);
    }
}
END_TEST

/* Hash of a whole file. */
static void file_hash(const char *run, const char *file, char hex[33])
{
    char *path = support_path(run, file);
    support_ok(tdm__hash_file_hex(path, hex));
    free(path);
}

START_TEST(same_bits_whatever_the_workers)
{
    char first[33], other[33];
    static const char *const workers[] = {"data.workers=0", "data.workers=1", "data.workers=4"};
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        support_ok(TRAIN(NULL, small_output(name), workers[i]));
        file_hash(small_run_path(name), "last.safetensors", i ? other : first);
        if (i) ck_assert_str_eq(first, other);
    }
    small_hash(small_run_path("w0"), "last.safetensors", first);
    support_ok(TRAIN(NULL, small_output("seed"), "seed=1"));
    small_hash(small_run_path("seed"), "last.safetensors", other);
    ck_assert_str_ne(first, other);
}
END_TEST

/* Sizes reach the network, random moves and colours training alone; workers change nothing. */
static uint64_t peak_bytes(const char *run)
{
    char *text = NULL, *path = support_path(run, "summary.json");
    size_t size;
    support_ok(tdm__read_file(path, 1 << 20, &text, &size));
    free(path);
    const char *at = strstr(text, "\"device_peak_bytes\":");
    ck_assert_ptr_nonnull(at);
    const uint64_t bytes = strtoull(at + strlen("\"device_peak_bytes\":"), NULL, 10);
    free(text);
    return bytes;
}

#define DEEP                                                                                       \
    "model.layers=[conv 16 k3 p1, relu, conv 16 k3 p1, tanh, conv 16 k3 p1, batch-norm, relu, "    \
    "max-pool 2, conv 16 k3 p1, relu, max-pool 2]"

/* Less memory than the step would like: some values are computed again, the bits stay. Far less: it
 * is said before anything is written. */
START_TEST(same_bits_in_less_memory)
{
    char first[33], other[33], limit[64];
    support_ok(TRAIN(NULL, small_output("free"), DEEP, "train.batch_size=72"));
    small_hash(small_run_path("free"), "last.safetensors", first);
    const uint64_t most = peak_bytes(small_run_path("free"));
    snprintf(limit, sizeof limit, "device.memory_limit=%llu", (unsigned long long)(most * 9 / 10));
    support_ok(TRAIN(NULL, small_output("tight"), DEEP, "train.batch_size=72", limit));
    small_hash(small_run_path("tight"), "last.safetensors", other);
    ck_assert_str_eq(first, other);
    ck_assert_uint_le(peak_bytes(small_run_path("tight")), most * 9 / 10);
    support_fails(
        TRAIN(NULL, small_output("none"), DEEP, "train.batch_size=72", "device.memory_limit=900K"),
        TDM_ERR_NOMEM, "device memory");
    ck_assert(!tdm__path_exists(small_run_path("none")));
    support_fails(TRAIN(NULL, small_output("none"), "device.memory_limit=much"), TDM_ERR_CONFIG,
                  "device.memory_limit = much: must be a size");
}
END_TEST

START_TEST(transformed_samples_train_and_evaluate)
{
    const char *list = "data.transforms=[flip 0.5, crop 8 p1, jitter 0.2, resize 12x16]";
    char first[33], other[33];
    small_result r;
    tdm_evaluation *e = NULL;
    support_ok(TRAIN(&r, small_output("a"), list, "data.workers=0", "tasks.recon.enabled=false"));
    support_ok(TRAIN(NULL, small_output("b"), list, "data.workers=3", "tasks.recon.enabled=false"));
    small_hash(small_run_path("a"), "last.safetensors", first);
    small_hash(small_run_path("b"), "last.safetensors", other);
    ck_assert_str_eq(first, other);
    support_ok(TRAIN(NULL, small_output("c"), "data.transforms=[resize 12x16]",
                     "tasks.recon.enabled=false"));
    small_hash(small_run_path("c"), "last.safetensors", other);
    ck_assert_str_ne(first, other);
    /* the run's configuration alone says how its samples look */
    support_ok(tdm_evaluate(small_run_path("a"), "test", NULL, 0, NULL, &e));
    ck_assert_double_eq(tdm_evaluation_report(e)->tasks[0].loss, r.loss[2]);
    tdm_evaluation_destroy(&e);
    support_fails(TRAIN(NULL, small_output("d"), "data.transforms=[flp]"), TDM_ERR_CONFIG,
                  "'flip'");
    support_fails(TRAIN(NULL, small_output("d"), "data.transforms=[crop 9]"), TDM_ERR_CONFIG,
                  "crop 9x9");
}
END_TEST

/* Runs one training in a child process and kills it after `delay` microseconds. Whether it was
 * still running then. */
static bool train_and_kill(const char *binary, const char *config, const char *run, unsigned delay)
{
    const pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        freopen("/dev/null", "w", stdout);
        execl(binary, binary, "train", config, "--output", run, "--resume", "auto", (char *)NULL);
        _exit(127);
    }
    int end = 0;
    usleep(delay);
    kill(child, SIGKILL);
    waitpid(child, &end, 0);
    ck_assert_msg(WIFSIGNALED(end) || WEXITSTATUS(end) == 0, "the command ended with %d",
                  WEXITSTATUS(end));
    return WIFSIGNALED(end);
}

START_TEST(killed_runs_resume_to_the_same_bits)
{
    const char *build = getenv("TANDEM_BINARY_DIR");
    ck_assert_ptr_nonnull(build);
    char *binary = support_path(build, "tandem"), *file = support_path(small_folder, "run.yaml");
    const char *more[] = {"train.checkpoint_steps=3", "train.epochs=6"};
    tdm_config *config = small_config(small_folder, more, 2);
    char *text, straight[33], resumed[33];
    support_ok(tdm_config_dump(config, false, &text));
    support_write_text(file, text);
    support_ok(TRAIN(NULL, small_output("straight"), more[0], more[1]));
    small_hash(small_run_path("straight"), "last.safetensors", straight);
    int kills = 0;
    for (unsigned delay = 200000; delay <= 1400000; delay += 150000)
        kills += train_and_kill(binary, file, small_run_path("killed"), delay);
    ck_assert_int_gt(kills, 0);
    support_ok(TRAIN(NULL, small_output("killed"), more[0], more[1], "train.resume=auto"));
    small_hash(small_run_path("killed"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
    size_t n;
    char *path = support_path(small_run_path("killed"), "metrics.jsonl"),
         *lines = support_read(path, &n);
    int count = 0;
    for (size_t i = 0; i < n; i++) count += lines[i] == '\n';
    ck_assert_int_eq(count, 6 * 2 + 1); /* train and val per epoch, one test */
    free(lines);
    free(path);
    free(text);
    free(binary);
    free(file);
    tdm_config_destroy(&config);
}
END_TEST

START_TEST(validating_changes_nothing_that_is_learnt)
{
    char with[33], without[33];
    support_ok(TRAIN(NULL, small_output("with")));
    small_hash(small_run_path("with"), "last.safetensors", with);
    char *val = support_path(small_folder, "val.h5"),
         *away = support_path(small_folder, "val.away");
    ck_assert_int_eq(rename(val, away), 0);
    support_ok(TRAIN(NULL, small_output("without")));
    small_hash(small_run_path("without"), "last.safetensors", without);
    ck_assert_str_eq(with, without); /* weights and running statistics */
    free(away);
    free(val);
}
END_TEST

START_TEST(a_stopped_run_resumes_within_the_epoch)
{
    char straight[33], resumed[33];
    support_ok(TRAIN(NULL, small_output("straight")));
    small_hash(small_run_path("straight"), "last.safetensors", straight);
    /* Stops after its first step: the limit is over at once. */
    small_result r;
    support_ok(TRAIN(&r, small_output("parts"), "train.max_time=1e-9"));
    ck_assert_int_eq(r.reason, TDM_STOP_TIME);
    support_ok(TRAIN(&r, small_output("parts"), "train.resume=auto"));
    small_hash(small_run_path("parts"), "last.safetensors", resumed);
    ck_assert_str_eq(straight, resumed);
}
END_TEST

START_TEST(a_finished_run_can_go_on)
{
    char straight[33], extended[33];
    support_ok(TRAIN(NULL, small_output("long"), "train.epochs=4"));
    support_ok(TRAIN(NULL, small_output("short"), "train.epochs=2"));
    support_ok(TRAIN(NULL, small_output("short"), "train.epochs=4", "train.resume=auto"));
    small_hash(small_run_path("long"), "last.safetensors", straight);
    small_hash(small_run_path("short"), "last.safetensors", extended);
    ck_assert_str_eq(straight, extended);
    support_fails(TRAIN(NULL, small_output("short"), "optim.lr=0.5", "train.resume=auto"),
                  TDM_ERR_CONFIG, "another configuration");
}
END_TEST

START_TEST(frozen_parts_stand_still)
{
    char init[256];
    support_ok(TRAIN(NULL, small_output("source")));
    snprintf(init, sizeof init, "train.init_from=%s", small_run_path("source"));
    support_ok(TRAIN(NULL, small_output("frozen"), init, "train.freeze=encoder,heads.recon",
                     "balance.kind=equal", "optim.weight_decay=0.1"));
    size_t n;
    char *path = support_path(small_run_path("frozen"), "summary.json"),
         *summary = support_read(path, &n);
    const char *before = strstr(summary, "\"hash_before\": \""),
               *after = strstr(summary, "\"hash_after\": \"");
    ck_assert_ptr_nonnull(before);
    ck_assert_ptr_nonnull(after);
    ck_assert(!strncmp(before + 16, after + 15, 32));
    free(path);
    free(summary);
    support_fails(TRAIN(NULL, small_output("none"), "train.freeze=encodr"), TDM_ERR_CONFIG,
                  "matches nothing");
}
END_TEST

START_TEST(another_model_is_refused_with_its_differences)
{
    char init[256];
    support_ok(TRAIN(NULL, small_output("source"), "train.epochs=1"));
    snprintf(init, sizeof init, "train.init_from=%s", small_run_path("source"));
    support_fails(TRAIN(NULL, small_output("b"), init, "model.layers=conv 8 k5 p2,relu,max-pool 4"),
                  TDM_ERR_CONFIG, "shapes differ: encoder.0.weight: model f32[8,1,5,5]");
    support_fails(TRAIN(NULL, small_output("c"), "train.init_from=/does/not/exist"), TDM_ERR_DATA,
                  "/does/not/exist");
}
END_TEST

START_TEST(a_folder_that_holds_a_run_is_left_alone)
{
    support_ok(TRAIN(NULL, small_output("a"), "train.epochs=1"));
    support_fails(TRAIN(NULL, small_output("a"), "train.epochs=1"), TDM_ERR_CONFIG,
                  "already holds a run");
    support_fails(TRAIN(NULL, "train.resume=auto"), TDM_ERR_CONFIG, "needs train.output");
    support_fails(TRAIN(NULL, "train.resume=/does/not/exist"), TDM_ERR_DATA, "nothing to resume");
}
END_TEST

START_TEST(early_stop_and_selection)
{
    small_result r;
    support_ok(TRAIN(&r, small_output("a"), "train.epochs=50", "train.patience=2",
                     "train.select=class.accuracy", "optim.lr=1e-9"));
    ck_assert_int_eq(r.reason, TDM_STOP_EARLY);
    ck_assert_int_eq(r.epochs, 3);
    support_fails(TRAIN(NULL, small_output("b"), "train.select=class.acuracy"), TDM_ERR_CONFIG,
                  "no metric 'acuracy'");
}
END_TEST

START_TEST(divergence_names_the_task_and_keeps_the_checkpoint)
{
    char before[33], after[33];
    support_ok(
        TRAIN(NULL, small_output("a"), "train.epochs=1", "balance.kind=equal", "optim.kind=sgd"));
    small_hash(small_run_path("a"), "best.safetensors", before);
    support_fails(
        TRAIN(NULL, small_output("b"), "balance.kind=equal", "optim.kind=sgd", "optim.lr=1e30"),
        TDM_ERR_DIVERGED, "task '");
    char *path = support_path(small_run_path("b"), "best.safetensors");
    ck_assert(!tdm__path_exists(path)); /* nothing that diverged is ever saved */
    free(path);
    small_hash(small_run_path("a"), "best.safetensors", after);
    ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(a_failing_write_keeps_the_old_checkpoint)
{
    char before[33], after[33];
    support_ok(TRAIN(NULL, small_output("a"), "train.epochs=1"));
    small_hash(small_run_path("a"), "state.safetensors", before);
    tdm__file_fail_after(6000); /* the disk is full within the next checkpoint */
    tdm_status status = TRAIN(NULL, small_output("a"), "train.epochs=2", "train.resume=auto");
    tdm__file_fail_after(0);
    ck_assert_int_eq(status, TDM_ERR_IO);
    small_hash(small_run_path("a"), "state.safetensors", after);
    ck_assert_str_eq(before, after);
    support_ok(TRAIN(NULL, small_output("a"), "train.epochs=2", "train.resume=auto"));
}
END_TEST

/* One batch learnt by heart, for every loss; the bound is on the loss itself. */
static const struct {
    const char *loss, *layers, *target;
    double bound;
    const char *invalid;
} losses[] = {
    {"cross-entropy", "flatten,dense classes", "labels", 0.02},
    {"nll", "flatten,dense classes", "labels", 0.02},
    {"bce", "flatten,dense 1", "values", 0.70}, /* soft targets: its floor is their entropy */
    {"l1", "flatten,dense 1", "values", 0.02},
    {"l2", "flatten,dense 1", "values", 0.001},
    {"huber", "flatten,dense 1", "values", 0.001},
    {"dice", "flatten,dense classes", "labels", 0.05},
    {"cross-entropy+dice", "flatten,dense classes", "labels", 0.07},
    {"bce+dice", "flatten,dense 1", "labels", 0.1, "2,3"}, /* 0 or 1 */
};

START_TEST(overfits_one_batch)
{
    char loss[64], layers[64], target[64], invalid[64];
    small_result r;
    snprintf(loss, sizeof loss, "tasks.class.loss=%s", losses[_i].loss);
    snprintf(invalid, sizeof invalid, "tasks.class.invalid=[%s]",
             losses[_i].invalid ? losses[_i].invalid : "");
    snprintf(layers, sizeof layers, "tasks.class.layers=%s", losses[_i].layers);
    snprintf(target, sizeof target, "tasks.class.target=%s", losses[_i].target);
    support_ok(TRAIN(&r, small_output("a"), loss, layers, target, invalid,
                     "tasks.recon.enabled=false", "train.overfit_batches=1", "train.epochs=150",
                     "balance.kind=equal", "model.layers=conv 8 k3 p1,relu,max-pool 2"));
    ck_assert_msg(r.loss[0] < losses[_i].bound, "%s ended at %g", losses[_i].loss, r.loss[0]);
}
END_TEST

START_TEST(evaluates_a_run_by_its_checkpoint_alone)
{
    small_result r;
    tdm_evaluation *e = NULL;
    support_ok(TRAIN(&r, small_output("a")));
    support_ok(tdm_evaluate(small_run_path("a"), "test", NULL, 0, NULL, &e));
    ck_assert_double_eq(tdm_evaluation_report(e)->tasks[0].loss, r.loss[2]);
    ck_assert_double_eq(tdm_evaluation_report(e)->tasks[0].metrics[0].value, r.metric[2]);
    tdm_evaluation_destroy(&e);
    support_fails(tdm_evaluate(small_run_path("a"), "tset", NULL, 0, NULL, &e), TDM_ERR_USAGE,
                  "tset");
}
END_TEST

enum { TEST_SAMPLES = 24 };

/* What an evaluation says of each sample: the losses of both tasks, then their first metrics. */
typedef struct sample_log {
    size_t n, stop_at;
    double values[TEST_SAMPLES][4];
} sample_log;

static tdm_status log_sample(void *user, const tdm_sample_report *sample)
{
    sample_log *log = user;
    ck_assert_uint_lt(log->n, TEST_SAMPLES);
    ck_assert_uint_eq(sample->index, log->n);
    ck_assert_uint_eq(sample->row, log->n);
    ck_assert_uint_eq(sample->n_tasks, 2);
    double *values = log->values[log->n++];
    for (size_t t = 0; t < 2; t++) {
        const tdm_task_report *task = &sample->tasks[t];
        for (size_t m = 0; m < task->n_metrics; m++) /* of one label they say nothing */
            ck_assert_str_ne(task->metrics[m].name, "balanced_accuracy");
        values[t] = task->loss;
        values[2 + t] = task->metrics[0].value;
    }
    return log->n == log->stop_at ? tdm__fail(TDM_ERR_INTERRUPTED, "enough") : TDM_OK;
}

static void evaluate_samples(const char *const *set, size_t n, sample_log *log,
                             tdm_evaluation **out)
{
    const tdm_train_events events = {.sample = log_sample, .sample_user = log};
    support_ok(tdm_evaluate(small_run_path("a"), "test", set, n, &events, out));
    ck_assert_uint_eq(log->n, TEST_SAMPLES);
}

/* The samples' own numbers do not depend on their batches, and together are the split's, which are
 * those of an evaluation that does not look at samples. */
START_TEST(samples_by_themselves_sum_to_the_split)
{
    const char *const set[] = {"train.batch_size=7",
                               "tasks.class.metrics=[accuracy, balanced_accuracy, majority]",
                               "tasks.recon.metrics=[l2]"};
    const char *const alone[] = {"train.batch_size=1", set[1], set[2]};
    sample_log seven = {0}, one = {0};
    tdm_evaluation *whole = NULL, *e = NULL, *f = NULL;
    double mean[4] = {0};
    support_ok(TRAIN(NULL, small_output("a"), "train.epochs=2"));
    support_ok(tdm_evaluate(small_run_path("a"), "test", set, 3, NULL, &whole));
    evaluate_samples(set, 3, &seven, &e);
    evaluate_samples(alone, 3, &one, &f);
    const tdm_epoch_report *a = tdm_evaluation_report(whole), *b = tdm_evaluation_report(e);
    for (size_t i = 0; i < TEST_SAMPLES; i++)
        for (int k = 0; k < 4; k++) {
            mean[k] += seven.values[i][k] / TEST_SAMPLES;
            ck_assert_double_eq_tol(seven.values[i][k], one.values[i][k], 1e-5);
        }
    for (size_t t = 0; t < 2; t++) {
        ck_assert_double_eq(a->tasks[t].loss, b->tasks[t].loss);
        ck_assert_double_eq_tol(mean[t], a->tasks[t].loss, 1e-6);
        ck_assert_double_eq(a->tasks[t].metrics[0].value, b->tasks[t].metrics[0].value);
        ck_assert_double_eq_tol(mean[2 + t], a->tasks[t].metrics[0].value, 1e-6);
    }
    ck_assert_double_gt(fabs(seven.values[0][0] - seven.values[1][0]), 1e-4);
    tdm_evaluation_destroy(&whole);
    tdm_evaluation_destroy(&e);
    tdm_evaluation_destroy(&f);
    seven = (sample_log){.stop_at = 9};
    const tdm_train_events stopping = {.sample = log_sample, .sample_user = &seven};
    support_fails(tdm_evaluate(small_run_path("a"), "test", set, 3, &stopping, &e),
                  TDM_ERR_INTERRUPTED, "enough");
    ck_assert_uint_eq(seven.n, 9);
}
END_TEST

/* The samples of a task that does not have all of them keep their place in the split. */
static tdm_status log_index(void *user, const tdm_sample_report *sample)
{
    uint64_t *seen = user;
    for (size_t t = 0; t < sample->n_tasks; t++)
        seen[!strcmp(sample->tasks[t].name, "recon")] |= (uint64_t)1 << sample->index;
    return TDM_OK;
}

START_TEST(samples_of_a_task_keep_their_index)
{
    uint64_t seen[2] = {0}; /* class, recon: a bit a sample */
    const tdm_train_events events = {.sample = log_index, .sample_user = seen};
    tdm_evaluation *e = NULL;
    support_ok(TRAIN(NULL, small_output("a"), "tasks.class.where.labels=1,3",
                     "train.sampling=uniform", "train.epochs=1"));
    support_ok(tdm_evaluate(small_run_path("a"), "test", NULL, 0, &events, &e));
    const tdm_epoch_report *report = tdm_evaluation_report(e);
    ck_assert_uint_eq(seen[1], ((uint64_t)1 << TEST_SAMPLES) - 1);
    ck_assert_uint_eq(report->tasks[0].samples, TEST_SAMPLES / 2);
    /* labels of the made-up data go round the four classes */
    ck_assert_uint_eq(seen[0], 0xaaaaaa);
    tdm_evaluation_destroy(&e);
}
END_TEST

START_TEST(labels_and_shapes_are_checked)
{
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.target=lables"), TDM_ERR_CONFIG,
                  "no array 'lables'");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.classes=3"), TDM_ERR_DATA, "labels");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.layers=flatten,dense 7"),
                  TDM_ERR_CONFIG, "ends with 7 channels");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.layers=flatten,densse 7"),
                  TDM_ERR_CONFIG, "did you mean 'dense'");
    support_fails(TRAIN(NULL, small_output("a"), "model.layers=conv 8 k9"), TDM_ERR_SHAPE, "");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.loss=dice",
                        "tasks.class.class_weights=[1,2,1,1]"),
                  TDM_ERR_CONFIG, "class_weights = [1, 2, 1, 1]: does not go with loss dice");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.recon.label_smoothing=0.1"), TDM_ERR_CONFIG,
                  "label_smoothing = 0.1: does not go with loss ");
    support_fails(TRAIN(NULL, small_output("a"), "tasks.class.metrics=psnr"), TDM_ERR_CONFIG,
                  "does not go with loss cross-entropy");
}
END_TEST

START_TEST(accumulated_gradients_equal_a_larger_batch)
{
    small_result whole, parts;
    const char *plain = "model.layers=conv 4 k3 p1,relu,max-pool 2"; /* no batch norm, no dropout */
    const char *head = "tasks.class.layers=flatten,dense classes";
    support_ok(TRAIN(&whole, small_output("a"), plain, head, "tasks.recon.enabled=false",
                     "balance.kind=equal", "train.batch_size=72", "optim.kind=sgd"));
    support_ok(TRAIN(&parts, small_output("b"), plain, head, "tasks.recon.enabled=false",
                     "balance.kind=equal", "train.batch_size=24", "optim.accumulate=3",
                     "optim.kind=sgd"));
    ck_assert_double_eq_tol(whole.loss[1], parts.loss[1], 1e-5);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("train");
    TCase *tc = tcase_create("run");
    tcase_add_checked_fixture(tc, small_setup, teardown);
    tcase_add_test(tc, learns_both_tasks);
    tcase_add_test(tc, same_bits_whatever_the_workers);
    tcase_add_test(tc, same_bits_in_less_memory);
    tcase_add_test(tc, transformed_samples_train_and_evaluate);
    tcase_add_test(tc, killed_runs_resume_to_the_same_bits);
    tcase_add_test(tc, validating_changes_nothing_that_is_learnt);
    tcase_add_test(tc, a_stopped_run_resumes_within_the_epoch);
    tcase_add_test(tc, a_finished_run_can_go_on);
    tcase_add_test(tc, frozen_parts_stand_still);
    tcase_add_test(tc, another_model_is_refused_with_its_differences);
    tcase_add_test(tc, a_folder_that_holds_a_run_is_left_alone);
    tcase_add_test(tc, early_stop_and_selection);
    tcase_add_test(tc, divergence_names_the_task_and_keeps_the_checkpoint);
    tcase_add_test(tc, a_failing_write_keeps_the_old_checkpoint);
    tcase_add_loop_test(tc, overfits_one_batch, 0, sizeof losses / sizeof *losses);
    tcase_add_test(tc, evaluates_a_run_by_its_checkpoint_alone);
    tcase_add_test(tc, samples_by_themselves_sum_to_the_split);
    tcase_add_test(tc, samples_of_a_task_keep_their_index);
    tcase_add_test(tc, labels_and_shapes_are_checked);
    tcase_add_test(tc, accumulated_gradients_equal_a_larger_batch);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

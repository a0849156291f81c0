/* Steps that learn one task each: only that task's head and samples take part, runs resume and
 * repeat to the bit, and what does not fit together is refused. */
#include <stdlib.h>
#include <string.h>

#include "format/safetensors.h"
#include "support/small_run.h"
#include "train/session.h"

/* Two classifiers of two of the four classes each, on those samples only. */
static const char *const two_tasks[] = {
    "tasks.recon.enabled=false",
    "balance.kind=equal",
    "tasks.class.where.labels=0,1",
    "tasks.class.label_map=0,1,-1,-1",
    "tasks.other.loss=cross-entropy",
    "tasks.other.target=labels",
    "tasks.other.layers=flatten,dense 16,relu,dense classes",
    "tasks.other.where.labels=2,3",
    "tasks.other.label_map=-1,-1,0,1",
    "train.batch_size=8",
};
enum { TWO = sizeof two_tasks / sizeof *two_tasks, MORE = 6 };

/* Trains two tasks into folder/name; more: up to MORE texts, NULL after the last. */
static tdm_status train(const char *name, const char *const more[], small_result *result)
{
    const char *texts[TWO + MORE + 1];
    char output[512];
    size_t n = TWO;
    memcpy(texts, two_tasks, sizeof two_tasks);
    snprintf(output, sizeof output, "train.output=%s/%s", small_folder, name);
    texts[n++] = output;
    while (*more) texts[n++] = *more++;
    return small_train(small_folder, texts, n, result);
}

#define TRAIN(name, result, ...) train(name, (const char *const[]){__VA_ARGS__, NULL}, result)

/* All values of a checkpoint's tensors whose names begin so, one after another. */
static float *values_of(const char *run, const char *begins, size_t *n)
{
    tdm__st *st = NULL;
    char *path = support_path(small_folder, run), *file = support_path(path, "last.safetensors");
    float *values = NULL;
    *n = 0;
    support_ok(tdm__st_open(file, &st));
    for (size_t i = 0; i < tdm__st_count(st); i++) {
        const tdm__st_tensor *t = tdm__st_at(st, i);
        if (strncmp(t->name, begins, strlen(begins))) continue;
        values = realloc(values, (*n + t->count) * sizeof *values);
        support_ok(tdm__st_read(st, t, 0, t->count, TDM__TO_F32, values + *n));
        *n += t->count;
    }
    tdm__st_close(&st);
    free(file);
    free(path);
    return values;
}

static bool same_values(const char *a, const char *b, const char *begins)
{
    size_t n, m;
    float *x = values_of(a, begins, &n), *y = values_of(b, begins, &m);
    ck_assert_uint_gt(n, 0);
    ck_assert_uint_eq(n, m);
    const bool same = !memcmp(x, y, n * sizeof *x);
    free(x);
    free(y);
    return same;
}

START_TEST(learns_each_task_from_its_own_samples)
{
    small_result r;
    support_ok(TRAIN("a", &r, "train.sampling=uniform", "train.epochs=12"));
    ck_assert_double_gt(r.metric[1], 0.9);
    ck_assert_double_gt(r.metric[2], 0.9);
}
END_TEST

START_TEST(a_task_that_is_not_drawn_stays_as_it_was)
{
    const char *draw[] = {"train.sampling=weighted", "tasks.other.sampling=1e-9",
                          "optim.weight_decay=0.1", "optim.kind=adamw"};
    support_ok(TRAIN("one", NULL, draw[0], draw[1], draw[2], draw[3], "train.epochs=1"));
    support_ok(TRAIN("five", NULL, draw[0], draw[1], draw[2], draw[3], "train.epochs=5"));
    ck_assert(same_values("one", "five", "heads.other."));
    ck_assert(!same_values("one", "five", "heads.class."));
    ck_assert(!same_values("one", "five", "encoder."));
}
END_TEST

START_TEST(resumes_within_an_epoch_to_the_same_bits)
{
    small_result r;
    support_ok(TRAIN("straight", NULL, "train.sampling=uniform"));
    support_ok(TRAIN("parts", &r, "train.sampling=uniform", "train.max_time=1e-9"));
    ck_assert_int_eq(r.reason, TDM_STOP_TIME);
    support_ok(
        TRAIN("parts", &r, "train.sampling=uniform", "train.max_time=1e-9", "train.resume=auto"));
    support_ok(TRAIN("parts", &r, "train.sampling=uniform", "train.resume=auto"));
    ck_assert(same_values("straight", "parts", ""));
}
END_TEST

START_TEST(same_bits_whatever_the_workers)
{
    support_ok(TRAIN("none", NULL, "train.sampling=uniform", "data.workers=0"));
    support_ok(TRAIN("four", NULL, "train.sampling=uniform", "data.workers=4"));
    ck_assert(same_values("none", "four", ""));
    support_ok(TRAIN("seed", NULL, "train.sampling=uniform", "seed=1"));
    ck_assert(!same_values("none", "seed", ""));
}
END_TEST

/* ---- what is reported -------------------------------------------------------------------------
 */

typedef struct counted {
    uint64_t samples[3][2]; /* split, task */
    size_t tasks[3];
    double best; /* the least validation loss of the second task */
    int64_t best_epoch, selected;
} counted;

static void on_epoch(void *user, const tdm_epoch_report *r)
{
    counted *c = user;
    const int split = r->split[0] == 'v' ? 1 : r->split[1] == 'r' ? 0 : 2;
    c->tasks[split] = r->n_tasks;
    for (size_t t = 0; t < r->n_tasks && t < 2; t++) c->samples[split][t] = r->tasks[t].samples;
    if (split != 1) return;
    if (c->best_epoch == 0 || r->tasks[1].loss < c->best) {
        c->best = r->tasks[1].loss;
        c->best_epoch = r->epoch;
    }
    if (r->best) c->selected = r->epoch;
}

static void count(const char *const *more, size_t n_more, counted *out)
{
    const char *texts[TWO + MORE];
    char output[512];
    tdm_trainer *trainer = NULL;
    memcpy(texts, two_tasks, sizeof two_tasks);
    memcpy(texts + TWO, more, n_more * sizeof *more);
    snprintf(output, sizeof output, "train.output=%s/counted-%zu", small_folder, n_more);
    texts[TWO + n_more] = output;
    tdm_config *config = small_config(small_folder, texts, TWO + n_more + 1);
    const tdm_train_events events = {.user = out, .epoch = on_epoch};
    memset(out, 0, sizeof *out);
    support_ok(tdm_trainer_create(config, &events, &trainer));
    support_ok(tdm_trainer_run(trainer));
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
}

START_TEST(reports_tell_the_samples_of_each_task)
{
    counted c;
    const char *const more[] = {"train.sampling=uniform", "train.epochs=1"};
    count(more, 2, &c);
    /* 36 of 72 training samples each: 5 + 5 batches; 12 of 24 each to measure with */
    ck_assert_uint_ge(c.samples[0][0] + c.samples[0][1], 10 * 4);
    ck_assert_uint_le(c.samples[0][0] + c.samples[0][1], 10 * 8);
    for (int split = 1; split < 3; split++) {
        ck_assert_uint_eq(c.tasks[split], 2);
        ck_assert_uint_eq(c.samples[split][0], 12);
        ck_assert_uint_eq(c.samples[split][1], 12);
    }
}
END_TEST

START_TEST(only_targets_select_and_are_tested)
{
    counted c;
    /* the target learns well at first, the auxiliary task drives its loss up and down */
    const char *const more[] = {"train.sampling=weighted", "train.epochs=8",
                                "tasks.class.role=auxiliary", "tasks.class.sampling=3",
                                "optim.lr=0.05"};
    count(more, 5, &c);
    ck_assert_int_gt(c.selected, 0);
    ck_assert_int_eq(c.selected, c.best_epoch);
    ck_assert_uint_eq(c.tasks[0], 2);
    ck_assert_uint_eq(c.tasks[1], 2);
    ck_assert_uint_eq(c.tasks[2], 1);
    ck_assert_uint_eq(c.samples[2][0], 12);
}
END_TEST

/* ---- what it costs ----------------------------------------------------------------------------
 */

START_TEST(plans_share_programs_and_memory)
{
    enum { TASKS = 12, KEYS = 5 };
    static const char *const keys[KEYS] = {"loss=cross-entropy", "target=labels",
                                           "layers=flatten,dense 16,relu,dense classes",
                                           "where.labels=2,3", "label_map=-1,-1,0,1"};
    char texts[TASKS * KEYS][128];
    const char *list[TWO + TASKS * KEYS + 2];
    memcpy(list, two_tasks, sizeof two_tasks);
    for (int t = 0; t < TASKS; t++)
        for (int k = 0; k < KEYS; k++) {
            snprintf(texts[t * KEYS + k], sizeof texts[0], "tasks.more%d.%s", t, keys[k]);
            list[TWO + t * KEYS + k] = texts[t * KEYS + k];
        }
    list[TWO + TASKS * KEYS] = "train.sampling=uniform";
    list[TWO + TASKS * KEYS + 1] = "model.layers=conv 64 k3 p1,relu,max-pool 2";
    tdm_config *config = small_config(small_folder, list, TWO + TASKS * KEYS + 2);
    const tdm_array_info infos[] = {
        {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {8, 8, 1}, .elems = 64},
        {.name = "labels", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = 4}};
    tdm__session s;
    tdm__step_plan *plan;
    support_ok(tdm__session_create(config, &(tdm__array_source){2, infos}, true, &s));
    support_ok(tdm__session_plan(&s, TDM__FOR_TRAINING, 1, 8, &plan));
    const size_t programs = tdm__device_program_count(s.device);
    const uint64_t bytes = tdm__device_bytes(s.device);
    support_ok(tdm__session_plan_training(&s));
    ck_assert_uint_eq(s.n_plans, TASKS + 2);
    for (int64_t n = 1; n < 8; n++)
        support_ok(tdm__session_plan(&s, TDM__FOR_TRAINING, (size_t)n, n, &plan));
    /* Dropout comes with the first task. A plan's own are a few constants, not the 128 KiB and more
     * of its activations. */
    ck_assert_uint_le(tdm__device_program_count(s.device), programs + 1);
    ck_assert_uint_le(tdm__device_bytes(s.device), bytes + s.n_plans * 8192);
    tdm__session_destroy(&s);
    tdm_config_destroy(&config);
}
END_TEST

/* The step of a later task takes more than the first one's: the arena is the largest step's, not
 * the sum of what each adds; and validation finds room in it. */
START_TEST(memory_is_the_largest_steps)
{
    static const char *const list[] = {
        "train.sampling=uniform",
        "model.layers=conv 8 k3 p1,relu",
        "tasks.class.layers=global-avg-pool,dense classes",
        "tasks.recon.layers=conv channels k3 p1,sigmoid",
        "tasks.wide.loss=l1",
        "tasks.wide.target=images",
        "tasks.wide.layers=conv 96 k3 p1,relu,conv channels k3 p1,sigmoid",
        "tasks.wider.loss=l1",
        "tasks.wider.target=images",
        "tasks.wider.layers=conv 192 k3 p1,relu,conv channels k3 p1,sigmoid",
    };
    tdm_config *config = small_config(small_folder, list, sizeof list / sizeof *list);
    const tdm_array_info infos[] = {
        {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {8, 8, 1}, .elems = 64},
        {.name = "labels", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = 4}};
    tdm__session s;
    tdm__step_plan *plan;
    tdm__plan_stats stats;
    uint64_t most = 0, least = UINT64_MAX;
    support_ok(tdm__session_create(config, &(tdm__array_source){2, infos}, true, &s));
    const uint64_t before = tdm__device_bytes(s.device);
    support_ok(tdm__session_plan_training(&s));
    support_ok(tdm__session_plan(&s, TDM__FOR_VALIDATION, 0, s.batch_size, &plan));
    for (size_t i = 0; i < s.n_plans; i++) {
        tdm__plan_get_stats(s.plans[i].plan, &stats);
        if (stats.arena_bytes > most) most = stats.arena_bytes;
        if (stats.arena_bytes < least) least = stats.arena_bytes;
    }
    ck_assert_uint_gt(most, 3 * least);
    ck_assert_uint_le(tdm__device_bytes(s.device), before + most + s.n_plans * 8192);
    tdm__session_destroy(&s);
    tdm_config_destroy(&config);
}
END_TEST

START_TEST(what_does_not_fit_together_is_refused)
{
    support_fails(TRAIN("x", NULL, "train.sampling=joint"), TDM_ERR_CONFIG, "different samples");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.sampling=2"),
                  TDM_ERR_CONFIG, "tasks.class.sampling = 2: has no effect");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.where.lables=1"),
                  TDM_ERR_CONFIG, "tasks.class.where.lables: ");
    support_message_has("did you mean 'labels'");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.where.images=1"),
                  TDM_ERR_CONFIG, "tasks.class.where.images: is of kind image");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.where.labels=9"),
                  TDM_ERR_CONFIG, "tasks.class.where.labels: 9 is no class of it");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.where.labels=[]"),
                  TDM_ERR_CONFIG, "names no value");
    support_fails(TRAIN("x", NULL, "train.sampling=uniform", "tasks.class.role=auxiliary",
                        "tasks.other.role=auxiliary"),
                  TDM_ERR_CONFIG, "must be a target");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampling");
    TCase *tc = tcase_create("sampling");
    tcase_add_checked_fixture(tc, small_setup, small_teardown);
    tcase_add_test(tc, learns_each_task_from_its_own_samples);
    tcase_add_test(tc, a_task_that_is_not_drawn_stays_as_it_was);
    tcase_add_test(tc, resumes_within_an_epoch_to_the_same_bits);
    tcase_add_test(tc, same_bits_whatever_the_workers);
    tcase_add_test(tc, reports_tell_the_samples_of_each_task);
    tcase_add_test(tc, only_targets_select_and_are_tested);
    tcase_add_test(tc, plans_share_programs_and_memory);
    tcase_add_test(tc, memory_is_the_largest_steps);
    tcase_add_test(tc, what_does_not_fit_together_is_refused);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

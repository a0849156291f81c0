/* The settings of a comparison: which tasks they write, from what samples, with which weights, and
 * what they refuse. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "format/hdf5.h"
#include "format/json.h"
#include "support/small_run.h"
#include "train/lines.h"
#include "train/protocol.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, FINE = 6, COARSE = 3, BATCH = 8 };

/* Fine classes 0 and 3 are of group 0, 1 and 4 of 1, 2 and 5 of 2. */
static const int32_t group_of[FINE] = {0, 1, 2, 0, 1, 2};

static void write_split(const char *name, int n, uint64_t seed)
{
    static const char *const fine_names[] = {"red", "red fish", "red fish", "-", "class", "blue"};
    tdm__h5_writer *w = NULL;
    size_t images, fine, coarse;
    char *path = support_path(small_folder, name);
    tdm__rng rng = tdm__rng_make(seed, 1);
    const tdm__elem byte = tdm__elem_host(TDM__ELEM_UINT, 1);
    const tdm__h5_spec image = {.name = "images", .elem = byte, .rank = 3, .dims = {SIDE, SIDE, 1}};
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &image, &images));
    support_ok(tdm__h5_writer_add(w, &(tdm__h5_spec){.name = "fine", .elem = byte}, &fine));
    support_ok(tdm__h5_writer_add(w, &(tdm__h5_spec){.name = "coarse", .elem = byte}, &coarse));
    support_ok(tdm__h5_writer_text(w, images, "kind", "image"));
    support_ok(tdm__h5_writer_text(w, fine, "kind", "class"));
    support_ok(tdm__h5_writer_number(w, fine, "classes", FINE));
    support_ok(tdm__h5_writer_texts(w, fine, "class_names", fine_names, FINE));
    support_ok(tdm__h5_writer_text(w, fine, "group", "coarse"));
    support_ok(tdm__h5_writer_i32s(w, fine, "group_of", group_of, FINE));
    support_ok(tdm__h5_writer_text(w, coarse, "kind", "class"));
    support_ok(tdm__h5_writer_number(w, coarse, "classes", COARSE));
    for (int i = 0; i < n; i++) {
        uint8_t pixels[PIXELS];
        const uint8_t label = (uint8_t)(i % FINE), group = (uint8_t)group_of[label];
        for (int p = 0; p < PIXELS; p++) /* the row of the class is bright */
            pixels[p] = (uint8_t)(tdm__rng_below(&rng, 80) + (p / SIDE == label ? 160 : 0));
        support_ok(tdm__h5_writer_append(w, images, pixels, 1));
        support_ok(tdm__h5_writer_append(w, fine, &label, 1));
        support_ok(tdm__h5_writer_append(w, coarse, &group, 1));
    }
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(path);
}

static void setup(void)
{
    small_folder = support_temp_create();
    write_split("train.h5", 96, 1);
    write_split("val.h5", 24, 2);
    write_split("test.h5", 24, 3);
}

static void teardown(void)
{
    support_temp_remove(small_folder);
}

static const char text[] =
    "model: {layers: [conv 8 k3 p1, relu, max-pool 2]}\n"
    "tasks: {class: {layers: [flatten, dense classes], loss: cross-entropy, target: fine}}\n"
    "optim: {kind: adam, lr: 0.01}\n"
    "train: {epochs: 1, batch_size: 8, tensorboard: false}\n";

static tdm_config *config_of(const char *kind, const char *const *more)
{
    const tdm_opt_table *const *tables;
    size_t n;
    tdm_config *config = NULL;
    tdm_schema(&tables, &n);
    support_ok(tdm_config_create(tables, n, &config));
    support_ok(tdm_config_load_text(config, text, strlen(text), "small.yaml"));
    support_ok(tdm_config_set(config, "data.path", small_folder, "test"));
    support_ok(tdm_config_set(config, "protocol.kind", kind, "test"));
    for (; *more; more++) support_ok(tdm_config_assign(config, *more, "--set"));
    support_ok(tdm_config_resolve(config));
    return config;
}

static const tdm_array_info infos[] = {
    {.name = "images", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {SIDE, SIDE, 1}, .elems = 64},
    {.name = "fine",
     .kind = TDM_ARRAY_CLASS,
     .elems = 1,
     .classes = FINE,
     .group = "coarse",
     .group_of = group_of},
    {.name = "coarse", .kind = TDM_ARRAY_CLASS, .elems = 1, .classes = COARSE}};
static const tdm__array_source source = {3, infos};

static tdm_status expand(const char *kind, tdm_config **out, const char *const *more)
{
    tdm_config *config = config_of(kind, more);
    tdm_status status = tdm__protocol_expand(config, &source, out);
    tdm_config_destroy(&config);
    return status;
}

#define EXPAND(kind, out, ...) expand(kind, out, (const char *const[]){__VA_ARGS__, NULL})

static double number(const tdm_config *config, const char *key)
{
    double v = NAN;
    support_ok(tdm_config_float(config, key, &v));
    return v;
}

static void check_ints(const tdm_config *config, const char *key, const int64_t *expected, size_t n)
{
    const int64_t *values;
    size_t count;
    support_ok(tdm_config_ints(config, key, &values, &count));
    ck_assert_uint_eq(count, n);
    ck_assert_mem_eq(values, expected, n * sizeof *values);
}

static void check_text(const tdm_config *config, const char *key, const char *expected)
{
    const char *value;
    support_ok(tdm_config_string(config, key, &value));
    ck_assert_str_eq(value, expected);
}

START_TEST(groups_become_tasks_on_their_samples)
{
    tdm_config *c;
    bool enabled;
    support_ok(EXPAND("groups", &c, "protocol.setting=4"));
    check_text(c, "train.sampling", "weighted");
    check_ints(c, "tasks.task1.label_map", (int64_t[]){-1, 0, -1, -1, 1, -1}, FINE);
    check_ints(c, "tasks.task1.where.coarse", (int64_t[]){1}, 1);
    ck_assert_double_eq(number(c, "tasks.task0.sampling"), 1);
    ck_assert_double_eq(number(c, "tasks.task2.sampling"), 3);
    check_text(c, "tasks.task2.target", "fine");
    support_ok(tdm_config_bool(c, "tasks.class.enabled", &enabled));
    ck_assert(!enabled);
    tdm_config_destroy(&c);
    support_ok(EXPAND("groups", &c, "protocol.setting=3"));
    check_text(c, "train.sampling", "uniform");
    ck_assert_double_eq(number(c, "tasks.task2.sampling"), 1);
    tdm_config_destroy(&c);
}
END_TEST

START_TEST(groups_that_the_data_leave_out_make_no_task)
{
    tdm_config *c;
    const char *const *names;
    size_t n;
    support_ok(EXPAND("groups", &c, "protocol.setting=3", "data.where.coarse=0,2"));
    support_ok(tdm_config_members(c, "tasks", &names, &n));
    ck_assert_uint_eq(n, 3); /* with the template */
    check_ints(c, "tasks.task1.where.coarse", (int64_t[]){2}, 1);
    check_ints(c, "tasks.task1.label_map", (int64_t[]){-1, -1, 0, -1, -1, 1}, FINE);
    tdm_config_destroy(&c);
    support_fails(EXPAND("groups", &c, "protocol.setting=3", "data.where.coarse=9"), TDM_ERR_CONFIG,
                  "keeps none");
}
END_TEST

START_TEST(classes_become_tasks_of_yes_and_no)
{
    tdm_config *c;
    const char *const *names, *const *metrics;
    size_t n;
    support_ok(EXPAND("one-vs-rest", &c, "protocol.setting=5"));
    check_text(c, "balance.kind", "fixed");
    check_text(c, "train.sampling", "joint");
    check_ints(c, "tasks.task2.label_map", (int64_t[]){0, 0, 1, 0, 0, 0}, FINE);
    for (int i = 0; i < FINE; i++) {
        char key[64];
        snprintf(key, sizeof key, "tasks.task%d.weight", i);
        ck_assert_double_eq(number(c, key), 1.0 / FINE);
    }
    support_ok(tdm_config_strings(c, "tasks.task0.metrics", &metrics, &n));
    ck_assert_uint_eq(n, 4); /* the majority baseline among them */
    tdm_config_destroy(&c);
    support_ok(EXPAND("one-vs-rest", &c, "protocol.setting=5", "balance.kind=dwa"));
    check_text(c, "balance.kind", "dwa"); /* which weighs them, and nothing else does */
    ck_assert_double_eq(number(c, "tasks.task1.weight"), 1);
    tdm_config_destroy(&c);
    support_fails(EXPAND("one-vs-rest", &c, "protocol.setting=6", "balance.kind=dwa"),
                  TDM_ERR_CONFIG, "protocol.setting = 6 makes it fixed");
    support_ok(EXPAND("one-vs-rest", &c, "protocol.setting=6"));
    ck_assert_double_eq_tol(number(c, "tasks.task1.weight"), 2.0 / 21, 1e-15);
    ck_assert_double_eq_tol(number(c, "tasks.task5.weight"), 6.0 / 21, 1e-15);
    tdm_config_destroy(&c);
    support_ok(EXPAND("one-vs-rest", &c, "protocol.setting=2", "protocol.task=4"));
    support_ok(tdm_config_members(c, "tasks", &names, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(names[1], "task4");
    tdm_config_destroy(&c);
}
END_TEST

START_TEST(written_tasks_are_not_written_again)
{
    tdm_config *c, *again;
    char *yaml;
    support_ok(EXPAND("groups", &c, "protocol.setting=3"));
    support_ok(tdm__protocol_expand(c, &source, &again));
    ck_assert_ptr_null(again);
    support_ok(tdm_config_dump(c, false, &yaml));
    support_ok(tdm_config_set(c, "protocol.setting", "4", "--set"));
    support_ok(tdm_config_resolve(c));
    support_fails(tdm__protocol_expand(c, &source, &again), TDM_ERR_CONFIG, "already written");
    free(yaml);
    tdm_config_destroy(&c);
}
END_TEST

START_TEST(what_is_not_there_is_refused)
{
    tdm_config *c = NULL;
    support_fails(EXPAND("groups", &c, "protocol.setting=2"), TDM_ERR_CONFIG,
                  "must be given with setting 2: 0 (task0) to 2 (task2)");
    support_fails(EXPAND("groups", &c, "protocol.setting=2", "protocol.task=3"), TDM_ERR_CONFIG,
                  "protocol.task = 3: must be 0 (task0) to 2 (task2)");
    support_fails(EXPAND("groups", &c, "protocol.setting=3", "protocol.task=1"), TDM_ERR_CONFIG,
                  "goes with setting 2 only");
    support_fails(EXPAND("groups", &c, "protocol.setting=5"), TDM_ERR_CONFIG, "different samples");
    support_fails(EXPAND("one-vs-rest", &c, "protocol.setting=3", "train.sampling=weighted"),
                  TDM_ERR_CONFIG, "train.sampling = weighted: protocol.setting = 3 makes it");
    support_fails(EXPAND("none", &c, "protocol.setting=3"), TDM_ERR_CONFIG,
                  "without protocol.kind");
    support_fails(EXPAND("groups", &c, "tasks.class.target=coarse"), TDM_ERR_CONFIG,
                  "do not tell the groups");
    support_fails(EXPAND("groups", &c, "tasks.b.target=fine", "tasks.b.loss=nll"), TDM_ERR_CONFIG,
                  "needs one task");
    ck_assert_ptr_null(c);
}
END_TEST

/* ---- runs -------------------------------------------------------------------------------------
 */

typedef struct seen {
    size_t n_tasks, n_parts;
    char names[FINE][32];
    uint64_t samples[FINE];
    double parts[FINE], accuracy;
} seen;

static void on_epoch(void *user, const tdm_epoch_report *r)
{
    seen *s = user;
    if (strcmp(r->split, "test")) return;
    s->n_tasks = r->n_tasks;
    s->n_parts = r->tasks[0].n_parts;
    s->accuracy = r->tasks[0].metrics[0].value;
    for (size_t t = 0; t < r->n_tasks && t < FINE; t++) {
        snprintf(s->names[t], sizeof s->names[t], "%s", r->tasks[t].name);
        s->samples[t] = r->tasks[t].samples;
    }
    for (size_t p = 0; p < s->n_parts && p < FINE; p++) s->parts[p] = r->tasks[0].parts[p];
}

static void train(const char *kind, seen *out, const char *const *more)
{
    tdm_config *config = config_of(kind, more);
    tdm_trainer *trainer = NULL;
    const tdm_train_events events = {.user = out, .epoch = on_epoch};
    memset(out, 0, sizeof *out);
    support_ok(tdm_trainer_create(config, &events, &trainer));
    support_ok(tdm_trainer_run(trainer));
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
}

#define TRAIN(kind, out, ...) train(kind, out, (const char *const[]){__VA_ARGS__, NULL})

START_TEST(every_setting_runs)
{
    seen s;
    char setting[32], name[8];
    for (int i = 3; i <= 6; i++) {
        snprintf(setting, sizeof setting, "protocol.setting=%d", i);
        snprintf(name, sizeof name, "s%d", i);
        TRAIN("one-vs-rest", &s, setting, small_output(name));
        ck_assert_uint_eq(s.n_tasks, FINE);
        for (int t = 0; t < FINE; t++) ck_assert_uint_eq(s.samples[t], 24);
    }
    /* names are those of the classes, where they are fit for it */
    ck_assert_str_eq(s.names[0], "red");
    ck_assert_str_eq(s.names[1], "red_fish");
    ck_assert_str_eq(s.names[2], "task2");
    ck_assert_str_eq(s.names[4], "task4");
    TRAIN("groups", &s, "protocol.setting=3", small_output("g3"));
    ck_assert_uint_eq(s.n_tasks, COARSE);
    for (int t = 0; t < COARSE; t++) ck_assert_uint_eq(s.samples[t], 8);
    TRAIN("groups", &s, "protocol.setting=2", "protocol.task=1", small_output("g2"));
    ck_assert_uint_eq(s.n_tasks, 1);
    ck_assert_uint_eq(s.samples[0], 8);
}
END_TEST

START_TEST(the_standard_setting_can_tell_about_each_task)
{
    seen s;
    TRAIN("one-vs-rest", &s, "protocol.setting=1", small_output("a"), "train.epochs=2");
    ck_assert_uint_eq(s.n_tasks, 1);
    ck_assert_uint_eq(s.n_parts, FINE);
    /* Every wrong answer is wrong for two of the classes, a right one for none. */
    double wrong = 0;
    for (int p = 0; p < FINE; p++) wrong += 1 - s.parts[p];
    ck_assert_double_eq_tol(wrong, 2 * (1 - s.accuracy), 1e-9);
    TRAIN("groups", &s, "protocol.setting=1", small_output("b"), "train.epochs=2");
    ck_assert_uint_eq(s.n_parts, COARSE);
    /* Fewer classes compete: no part is worse than the whole on its samples. */
    double mean = 0;
    for (int p = 0; p < COARSE; p++) mean += s.parts[p] / COARSE;
    ck_assert_double_ge(mean, s.accuracy);
    TRAIN("groups", &s, "protocol.setting=0", small_output("c"), "train.epochs=2");
    ck_assert_uint_eq(s.n_parts, 0);
}
END_TEST

static char log_text[4096];

static void keep_log(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    (void)level;
    strncat(log_text, line, sizeof log_text - strlen(log_text) - 2);
    strcat(log_text, "\n");
}

START_TEST(a_checkpoint_knows_its_tasks)
{
    seen s;
    tdm_evaluation *e = NULL;
    TRAIN("groups", &s, "protocol.setting=3", small_output("a"));
    support_ok(
        tdm_evaluate(small_output("a") + strlen("train.output="), "test", NULL, 0, NULL, &e));
    ck_assert_uint_eq(tdm_evaluation_report(e)->n_tasks, COARSE);
    tdm_evaluation_destroy(&e);
    const char *const verbose[] = {"train.verbose=true"};
    log_text[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_INFO);
    support_ok(
        tdm_evaluate(small_output("a") + strlen("train.output="), "test", verbose, 1, NULL, &e));
    tdm_set_log(NULL, NULL, TDM_LOG_INFO);
    const char *line = strstr(log_text, "Accuracy: [");
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strstr(log_text, "[Epoch"));
    int commas = 0;
    for (; *line != '\n'; line++) commas += *line == ',';
    ck_assert_int_eq(commas, COARSE - 1);
    tdm_evaluation_destroy(&e);
    TRAIN("groups", &s, "protocol.setting=3", small_output("a"), "train.epochs=2",
          "train.resume=auto");
}
END_TEST

/* ---- lines and files --------------------------------------------------------------------------
 */

START_TEST(lines_follow_their_form)
{
    const tdm_metric_value metric = {"miou", 0.25};
    const tdm_task_report task[] = {
        {.name = "semantic", .loss = 1.5, .n_metrics = 1, .metrics = &metric, .weight = 1},
        {.name = "a.b", .loss = 2}};
    const tdm_epoch_report train = {
        .epoch = 7, .epochs = 10, .total = 3.25, .lr = 1e-4, .n_tasks = 2, .tasks = task};
    const tdm_epoch_report val = {.epoch = 7, .total = 0.12345, .n_tasks = 2, .tasks = task};
    static const struct {
        const char *form, *text;
    } cases[] = {
        {"Epoch: {epoch:04d} | Train: Semantic Loss {train.semantic.loss:.4f} ||Eval: "
         "{val.total:.4f}",
         "Epoch: 0007 | Train: Semantic Loss 1.5000 ||Eval: 0.1235"},
        {"{{{epoch}/{epochs}} {val.semantic.miou:6.2f}|{train.a.b.loss:e}", "{7/10} "
                                                                            "  0.25|2.000000e+00"},
        {"saved {path}", "saved here"},
        {"{lr:g}", "0.0001"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__str out = {0};
        support_ok(tdm__line_format(cases[i].form, &(tdm__line_data){&train, &val, "here"}, &out));
        ck_assert_str_eq(tdm__str_text(&out), cases[i].text);
        tdm__str_free(&out);
    }
    tdm__str none = {0};
    support_ok(tdm__line_format("{val.total}", &(tdm__line_data){&train, NULL, NULL}, &none));
    ck_assert_str_eq(tdm__str_text(&none), "nan");
    static const char *const bad[] = {
        "{epoch",     "{}",         "{val.depth.loss}", "{train.semantic.iou}",
        "{epoch:%n}", "{epoch:*d}", "{epoch:5s}",       "{epoch:123d}",
        "{path:d}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        support_fails(tdm__line_format(bad[i], &(tdm__line_data){&train, &val, "here"}, &none),
                      TDM_ERR_CONFIG, "");
    tdm__str_free(&none);
}
END_TEST

/* Checks a list of `n` numbers in [0, 1]. */
static void check_history(const char *run, const char *name, size_t n)
{
    size_t size, i;
    json_t *list, *value;
    char *path = support_path(small_folder, run), *file = support_path(path, name);
    char *json = support_read(file, &size);
    support_ok(tdm__json_parse(json, size, name, &list));
    ck_assert_uint_eq(json_array_size(list), n);
    json_array_foreach(list, i, value)
    {
        ck_assert(json_is_number(value));
        ck_assert_double_ge(json_number_value(value), 0);
        ck_assert_double_le(json_number_value(value), 1);
    }
    json_decref(list);
    free(json);
    free(file);
    free(path);
}

static bool is_there(const char *run, const char *name)
{
    char *path = support_path(small_folder, run), *file = support_path(path, name);
    const bool there = tdm__path_exists(file);
    free(file);
    free(path);
    return there;
}

START_TEST(histories_are_kept_per_task)
{
    seen s;
    TRAIN("groups", &s, "protocol.setting=3", small_output("m"), "train.history=true",
          "train.epochs=2");
    check_history("m", "history_class0.json", 2);
    check_history("m", "history_class2.json", 2);
    ck_assert(!is_there("m", "history.json"));
    TRAIN("groups", &s, "protocol.setting=3", small_output("m"), "train.history=true",
          "train.epochs=3", "train.resume=auto");
    check_history("m", "history_class1.json", 3); /* all of it after resuming */
    TRAIN("one-vs-rest", &s, "protocol.setting=1", small_output("p"), "train.history=true",
          "train.epochs=2", "train.save_model=false");
    check_history("p", "history.json", 2);
    check_history("p", "history_class5.json", 2);
    ck_assert(!is_there("p", "best.safetensors"));
    ck_assert(!is_there("p", "state.safetensors"));
    ck_assert(is_there("p", "summary.json"));
    TRAIN("groups", &s, "protocol.setting=0", small_output("q"), "train.epochs=1");
    ck_assert(!is_there("q", "history.json"));
}
END_TEST

START_TEST(epochs_are_told_as_asked_for)
{
    seen s;
    log_text[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_INFO);
    TRAIN("none", &s, small_output("a"), "train.log_format=E {epoch:04d} {train.class.loss:.0f}",
          "train.save_format=Model save: {path}", "train.verbose=true");
    tdm_set_log(NULL, NULL, TDM_LOG_INFO);
    ck_assert_ptr_nonnull(strstr(log_text, "E 0001 "));
    ck_assert_ptr_nonnull(strstr(log_text, "Model save: "));
    ck_assert_ptr_nonnull(strstr(log_text, "a/best.safetensors\n"));
    ck_assert_ptr_nonnull(strstr(log_text, "[Epoch 1] Accuracy: 0."));
    tdm_config *config =
        config_of("none", (const char *const[]){"train.log_format={val.clas.loss}", NULL});
    tdm_trainer *trainer = NULL;
    support_fails(tdm_trainer_create(config, NULL, &trainer), TDM_ERR_CONFIG, "{val.clas.loss}");
    tdm_config_destroy(&config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("protocol");
    TCase *tc = tcase_create("protocol");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, groups_become_tasks_on_their_samples);
    tcase_add_test(tc, groups_that_the_data_leave_out_make_no_task);
    tcase_add_test(tc, classes_become_tasks_of_yes_and_no);
    tcase_add_test(tc, written_tasks_are_not_written_again);
    tcase_add_test(tc, what_is_not_there_is_refused);
    tcase_add_test(tc, every_setting_runs);
    tcase_add_test(tc, the_standard_setting_can_tell_about_each_task);
    tcase_add_test(tc, a_checkpoint_knows_its_tasks);
    tcase_add_test(tc, lines_follow_their_form);
    tcase_add_test(tc, histories_are_kept_per_task);
    tcase_add_test(tc, epochs_are_told_as_asked_for);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

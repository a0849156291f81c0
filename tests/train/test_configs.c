/* Every experiment under configs/ for one epoch, at reduced size, on made-up data with the arrays
 * of the real data set. A new folder of configurations needs a line in `families`. */
#include <dirent.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/pipeline.h>

#include "base/file.h"
#include "base/rng.h"
#include "format/hdf5.h"
#include "support/support.h"

enum { MAX_ARRAYS = 5, MAX_SET = 6, MAX_CONFIGS = 128, TRAIN_SAMPLES = 48, OTHER_SAMPLES = 8 };

/* How values are made up. */
typedef enum made {
    PIXELS,  /* u8 0..255 */
    FLOATS,  /* [0, 1) */
    DEPTHS,  /* metres, a fifth without a reading: 0 */
    VECTORS, /* -8..8, a quarter unknown: NaN */
    LABELS,  /* i32 below classes; of a sample, its number modulo classes */
    GROUPS,  /* the label modulo the groups, of the array before */
    MASKS,   /* a class a pixel, a fifth `none` */
    BOXES    /* corners in a picture of 32 x 32 */
} made;

typedef struct made_array {
    const char *name, *kind;
    made what;
    int rank;
    uint64_t dims[3];
    int classes, none;
} made_array;

typedef struct family {
    const char *folder;
    made_array arrays[MAX_ARRAYS];
    const char *set[MAX_SET]; /* what makes it small */
} family;

static const family families[] = {
    {"fashion-mnist",
     {{"images", "image", PIXELS, 3, {28, 28, 1}}, {"labels", "class", LABELS, 0, {0}, 10}},
     {"data.val_count=8"}},
    {"cifar10",
     {{"images", "image", PIXELS, 3, {16, 16, 3}}, {"labels", "class", LABELS, 0, {0}, 3}},
     {NULL}},
    {"cifar100",
     {{"images", "image", PIXELS, 3, {16, 16, 3}},
      {"fine", "class", LABELS, 0, {0}, 4},
      {"coarse", "class", GROUPS, 0, {0}, 2}},
     {NULL}},
    {"omniglot",
     {{"images", "image", PIXELS, 3, {32, 32, 1}},
      {"character", "class", LABELS, 0, {0}, 4},
      {"alphabet", "class", GROUPS, 0, {0}, 2}},
     {NULL}},
    {"nyuv2",
     {{"image", "image", FLOATS, 3, {32, 64, 3}},
      {"label", "mask", MASKS, 2, {32, 64}, 13, -1},
      {"depth", "depth", DEPTHS, 3, {32, 64, 1}}},
     {"model.filters=8,8,8,16,16"}},
    {"pets",
     {{"images", "image", PIXELS, 3, {32, 32, 3}},
      {"masks", "mask", MASKS, 3, {32, 32, 1}, 2, 0},
      {"bboxes", "box", BOXES, 1, {4}},
      {"binary", "class", LABELS, 1, {1}, 2}},
     {"model.filters=8,16", "data.transforms=[resize 16]"}},
    {"cityscapes",
     {{"images", "image", PIXELS, 3, {16, 32, 3}},
      {"semantic", "mask", MASKS, 3, {16, 32, 1}, 19, 255},
      {"instance", "values", VECTORS, 3, {16, 32, 2}},
      {"disparity", "values", VECTORS, 3, {16, 32, 1}}},
     {"model.filters=8,16"}},
};
enum { FAMILIES = sizeof families / sizeof *families };

static char *folder;
static char *configs[MAX_CONFIGS]; /* "cifar10/setting-3.yaml" */
static int n_configs;

/* ---- data -------------------------------------------------------------------------------------
 */

static double value_of(const made_array *a, uint64_t sample, uint64_t at, int before, tdm__rng *rng)
{
    switch (a->what) {
    case PIXELS:
        return (double)tdm__rng_below(rng, 256);
    case FLOATS:
        return tdm__rng_uniform(rng);
    case DEPTHS:
        return at % 5 ? 0.5 + 9 * tdm__rng_uniform(rng) : 0;
    case VECTORS:
        return at % 4 ? 16 * tdm__rng_uniform(rng) - 8 : NAN;
    case LABELS:
        return (double)(sample % (uint64_t)a->classes);
    case GROUPS:
        return (double)(sample % (uint64_t)before % (uint64_t)a->classes);
    case MASKS:
        return at % 5 ? (double)tdm__rng_below(rng, (uint64_t)a->classes) : a->none;
    case BOXES:
        return at < 2 ? 2.0 + (double)at : 20.0 + (double)at;
    }
    return 0;
}

static void add_attributes(tdm__h5_writer *w, size_t set, const made_array *a,
                           const made_array *groups)
{
    int32_t group_of[16];
    support_ok(tdm__h5_writer_text(w, set, "kind", a->kind));
    if (a->classes) support_ok(tdm__h5_writer_number(w, set, "classes", a->classes));
    if (!groups->name || groups->what != GROUPS) return;
    for (int c = 0; c < a->classes; c++) group_of[c] = c % groups->classes;
    support_ok(tdm__h5_writer_text(w, set, "group", groups->name));
    support_ok(tdm__h5_writer_i32s(w, set, "group_of", group_of, (size_t)a->classes));
}

static void write_split(const family *f, const char *data, const char *split, uint64_t n)
{
    tdm__h5_writer *w = NULL;
    tdm__rng rng = tdm__rng_make(n, 7);
    char *path = support_path(data, split);
    support_ok(tdm__h5_writer_create(path, &w));
    for (int i = 0; i < MAX_ARRAYS && f->arrays[i].name; i++) {
        const made_array *a = &f->arrays[i];
        const bool bytes = a->what == PIXELS;
        const bool whole = a->what == LABELS || a->what == GROUPS || a->what == MASKS;
        tdm__h5_spec spec = {.name = a->name, .rank = a->rank};
        spec.elem = bytes   ? tdm__elem_host(TDM__ELEM_UINT, 1)
                    : whole ? tdm__elem_host(TDM__ELEM_INT, 4)
                            : tdm__elem_host(TDM__ELEM_FLOAT, 4);
        uint64_t elems = 1;
        size_t set;
        for (int k = 0; k < a->rank; k++) elems *= spec.dims[k] = a->dims[k];
        support_ok(tdm__h5_writer_add(w, &spec, &set));
        add_attributes(w, set, a, &f->arrays[i + 1 < MAX_ARRAYS ? i + 1 : i]);
        unsigned char *row = malloc(elems * 4);
        for (uint64_t s = 0; s < n; s++) {
            for (uint64_t at = 0; at < elems; at++) {
                const double v = value_of(a, s, at, i ? f->arrays[i - 1].classes : 1, &rng);
                if (bytes)
                    row[at] = (uint8_t)v;
                else if (whole)
                    ((int32_t *)row)[at] = (int32_t)v;
                else
                    ((float *)row)[at] = (float)v;
            }
            support_ok(tdm__h5_writer_append(w, set, row, 1));
        }
        free(row);
    }
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(path);
}

/* Folders of image classification draw val from train, the others have it. */
static void write_data(const family *f)
{
    char *data = support_path(folder, f->folder);
    support_ok(tdm__make_folders(data));
    write_split(f, data, "train.h5", TRAIN_SAMPLES);
    write_split(f, data, "test.h5", OTHER_SAMPLES);
    if (strcmp(f->folder, "fashion-mnist") && strcmp(f->folder, "cifar10") &&
        strcmp(f->folder, "cifar100") && strcmp(f->folder, "omniglot"))
        write_split(f, data, "val.h5", OTHER_SAMPLES);
    free(data);
}

/* ---- configurations ---------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_folder(const char *root, const char *name)
{
    char *path = support_path(root, name);
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        const size_t n = strlen(e->d_name);
        if (n < 6 || strcmp(e->d_name + n - 5, ".yaml")) continue;
        if (!strncmp(e->d_name, "experiment", 10)) continue; /* files for `tandem experiment` */
        ck_assert_int_lt(n_configs, MAX_CONFIGS);
        configs[n_configs++] = support_path(name, e->d_name);
    }
    if (dir) closedir(dir);
    free(path);
}

static char *configs_root(void)
{
    const char *source = getenv("TANDEM_SOURCE_DIR");
    ck_assert_ptr_nonnull(source);
    return support_path(source, "configs");
}

/* bench/ and tune/ are no experiments. */
static void list_configs(void)
{
    char *root = configs_root();
    DIR *dir = opendir(root);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "bench") && strcmp(e->d_name, "tune"))
            list_folder(root, e->d_name);
    closedir(dir);
    qsort(configs, (size_t)n_configs, sizeof *configs, compare);
    free(root);
}

static const family *family_of(const char *config)
{
    for (int i = 0; i < FAMILIES; i++) {
        const size_t n = strlen(families[i].folder);
        if (!strncmp(config, families[i].folder, n) && config[n] == '/') return &families[i];
    }
    ck_abort_msg("%s: no made-up data for its folder", config);
    return NULL;
}

static void set(tdm_config *config, const char *key, const char *value)
{
    support_ok(tdm_config_set(config, key, value, "test"));
}

static char *output_of(const char *config)
{
    char name[256];
    snprintf(name, sizeof name, "out-%s", config);
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '-';
    return support_path(folder, name);
}

/* A stage that has a family's name learns from that family's data. */
static void stages_of_other_data(tdm_config *config)
{
    const char *const *stages;
    size_t n;
    support_ok(tdm_config_members(config, "stages", &stages, &n));
    for (size_t s = 0; s < n; s++)
        for (int i = 0; i < FAMILIES; i++) {
            if (strcmp(stages[s], families[i].folder)) continue;
            char key[64], *data = support_path(folder, families[i].folder);
            snprintf(key, sizeof key, "stages.%s.data.path", stages[s]);
            set(config, key, data);
            free(data);
        }
}

static tdm_config *reduced(const char *name)
{
    const family *f = family_of(name);
    const tdm_opt_table *const *tables;
    size_t n;
    tdm_config *config = NULL;
    char *root = configs_root(), *path = support_path(root, name);
    char *data = support_path(folder, f->folder), *output = output_of(name);
    tdm_schema(&tables, &n);
    support_ok(tdm_config_create(tables, n, &config));
    support_ok(tdm_config_load(config, path));
    set(config, "data.path", data);
    stages_of_other_data(config);
    set(config, "train.output", output);
    set(config, "train.epochs", "1");
    set(config, "train.batch_size", "4");
    set(config, "train.tensorboard", "false");
    for (int i = 0; i < MAX_SET && f->set[i]; i++)
        support_ok(tdm_config_assign(config, f->set[i], "test"));
    support_ok(tdm_config_resolve(config));
    free(output);
    free(data);
    free(path);
    free(root);
    return config;
}

/* ---- runs -------------------------------------------------------------------------------------
 */

static char log_text[1 << 16];

static void keep_log(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    (void)level;
    const size_t n = strlen(log_text);
    snprintf(log_text + n, sizeof log_text - n, "%s\n", line);
}

typedef struct watch {
    int epochs;
    bool intermediate; /* tasks predict on the way, too: in training, not in evaluation */
} watch;

static void on_epoch(void *user, const tdm_epoch_report *r)
{
    watch *w = user;
    const bool training = !strcmp(r->split, "train");
    ck_assert(isfinite(r->total));
    for (size_t t = 0; t < r->n_tasks; t++)
        ck_assert(!r->tasks[t].samples || isfinite(r->tasks[t].loss));
    for (size_t t = 0; t < r->n_tasks; t++) {
        const tdm_task_report *task = &r->tasks[t];
        ck_assert_int_eq(isfinite(task->intermediate), training && w->intermediate);
        if (training && w->intermediate)
            ck_assert(task->intermediate > 0 && task->intermediate < task->loss);
    }
    w->epochs += training;
}

/* One run, or a run for each stage. */
static void run_config(const char *name)
{
    tdm_trainer *trainer = NULL;
    tdm_pipeline *pipeline = NULL;
    watch w = {.intermediate = strstr(name, "pad-net") != NULL};
    const tdm_train_events events = {.user = &w, .epoch = on_epoch};
    tdm_config *config = reduced(name);
    const char *const *stages;
    size_t runs;
    tdm_status status = tdm_config_members(config, "stages", &stages, &runs);
    if (!status && runs) {
        status = tdm_pipeline_create(config, &events, &pipeline);
        if (!status) status = tdm_pipeline_run(pipeline);
    } else if (!status) {
        status = tdm_trainer_create(config, &events, &trainer);
        if (!status) status = tdm_trainer_run(trainer);
    }
    ck_assert_msg(!status, "%s: %s", name, tdm_last_error());
    ck_assert_int_eq(w.epochs, runs ? (int)runs : 1);
    tdm_trainer_destroy(&trainer);
    tdm_pipeline_destroy(&pipeline);
    tdm_config_destroy(&config);
}

START_TEST(every_configuration_trains)
{
    folder = support_temp_create();
    list_configs();
    ck_assert_int_gt(n_configs, 20);
    for (int i = 0; i < FAMILIES; i++) write_data(&families[i]);
    log_text[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_INFO);
    for (int i = 0; i < n_configs; i++) run_config(configs[i]);
    tdm_set_log(NULL, NULL, TDM_LOG_INFO);
    /* the line of the NYUv2 exercise, to the letter */
    regex_t line;
    ck_assert_int_eq(
        regcomp(&line,
                "^Epoch: 0001 \\| Train: Semantic Loss [0-9]+\\.[0-9]{4} - Depth Loss "
                "[0-9]+\\.[0-9]{4} - Total Loss [0-9]+\\.[0-9]{4} \\|\\|Eval: Semantic Loss "
                "[0-9]+\\.[0-9]{4} - Depth Loss [0-9]+\\.[0-9]{4} - Total Loss [0-9]+\\.[0-9]{4}$",
                REG_EXTENDED | REG_NOSUB | REG_NEWLINE),
        0);
    ck_assert_msg(regexec(&line, log_text, 0, NULL, 0) == 0, "no such line in:\n%s", log_text);
    regfree(&line);
    ck_assert_ptr_nonnull(strstr(log_text, "Model save: "));
    for (int i = 0; i < n_configs; i++) free(configs[i]);
    support_temp_remove(folder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("configs");
    TCase *tc = tcase_create("configs");
    tcase_add_test(tc, every_configuration_trains);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

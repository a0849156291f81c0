#include "support/small_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rng.h"
#include "format/hdf5.h"
#include "format/json.h"
#include "format/safetensors.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 4 };

/* Pattern c is bright in one quadrant; noise elsewhere. */
static uint8_t pixel_of(int label, int i, tdm__rng *rng)
{
    const int quadrant = (i / SIDE >= SIDE / 2) * 2 + (i % SIDE >= SIDE / 2);
    return (uint8_t)((quadrant == label ? 160 : 0) + tdm__rng_below(rng, 80));
}

typedef struct classes {
    const char *const *names; /* NULL: none */
    int n;
    int spoilt; /* sample of the training split; 0: none */
} classes;

static void write_split(const char *folder, const char *name, int n, uint64_t seed, classes of)
{
    tdm__h5_writer *w = NULL;
    size_t set;
    char file[32];
    snprintf(file, sizeof file, "%s.h5", name);
    char *path = support_path(folder, file);
    uint8_t *pixels = malloc((size_t)n * PIXELS), *labels = malloc((size_t)n);
    float *values = malloc((size_t)n * sizeof *values);
    tdm__rng rng = tdm__rng_make(seed, 1);
    for (int i = 0; i < n; i++) {
        double sum = 0;
        labels[i] = (uint8_t)(i % of.n);
        for (int p = 0; p < PIXELS; p++)
            sum += pixels[i * PIXELS + p] = pixel_of(labels[i], p, &rng);
        values[i] = of.spoilt && i == of.spoilt ? 1e30f : (float)(sum / PIXELS / 255);
    }
    const tdm__h5_spec specs[] = {
        {.name = "images",
         .elem = tdm__elem_host(TDM__ELEM_UINT, 1),
         .rank = 3,
         .dims = {SIDE, SIDE, 1}},
        {.name = "labels", .elem = tdm__elem_host(TDM__ELEM_UINT, 1)},
        {.name = "values", .elem = tdm__elem_host(TDM__ELEM_FLOAT, 4), .rank = 1, .dims = {1}},
    };
    const void *rows[] = {pixels, labels, values};
    support_ok(tdm__h5_writer_create(path, &w));
    for (int i = 0; i < 3; i++) {
        support_ok(tdm__h5_writer_add(w, &specs[i], &set));
        support_ok(tdm__h5_writer_append(w, set, rows[i], (uint64_t)n));
    }
    support_ok(tdm__h5_writer_text(w, 0, "kind", "image"));
    support_ok(tdm__h5_writer_text(w, 1, "kind", "class"));
    support_ok(tdm__h5_writer_number(w, 1, "classes", of.n));
    if (of.names) support_ok(tdm__h5_writer_texts(w, 1, "class_names", of.names, (size_t)of.n));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(pixels);
    free(labels);
    free(values);
    free(path);
}

static void write_splits(const char *folder, classes of)
{
    write_split(folder, "train", 72, 1, of);
    write_split(folder, "val", 24, 2, of);
    write_split(folder, "test", 24, 3, of);
}

void small_data(const char *folder)
{
    write_splits(folder, (classes){NULL, CLASSES, 0});
}

void small_data_spoilt(const char *folder)
{
    write_splits(folder, (classes){NULL, CLASSES, 50}); /* the other splits have fewer */
}

void small_data_named(const char *folder, const char *const *names, size_t n)
{
    write_splits(folder, (classes){names, (int)n, 0});
}

static const char text[] =
    "model: {layers: [conv 8 k3 p1, relu, max-pool 2, conv 8 k3 p1, batch-norm, relu, max-pool "
    "2]}\n"
    "tasks:\n"
    "  class: {layers: [flatten, dense 16, relu, dropout 0.1, dense classes], loss: "
    "cross-entropy,\n"
    "          target: labels}\n"
    "  recon: {layers: [conv-transpose 4 k2 s2, relu, conv-transpose channels k2 s2, sigmoid],\n"
    "          loss: l1, target: images}\n"
    "balance: {kind: uncertainty, initial_s: 0}\n"
    "optim: {kind: adam, lr: 0.01}\n"
    "train: {epochs: 3, batch_size: 16, tensorboard: false}\n";

tdm_config *small_config(const char *folder, const char *const *assignments, size_t n)
{
    const tdm_opt_table *const *tables;
    size_t n_tables;
    tdm_config *config = NULL;
    tdm_schema(&tables, &n_tables);
    support_ok(tdm_config_create(tables, n_tables, &config));
    support_ok(tdm_config_load_text(config, text, strlen(text), "small.yaml"));
    support_ok(tdm_config_set(config, "data.path", folder, "test"));
    for (size_t i = 0; i < n; i++) support_ok(tdm_config_assign(config, assignments[i], "--set"));
    support_ok(tdm_config_resolve(config));
    return config;
}

static void on_epoch(void *user, const tdm_epoch_report *report)
{
    small_result *result = user;
    const int split = report->split[0] == 'v' ? 1 : report->split[1] == 'r' ? 0 : 2;
    result->loss[split] = report->tasks[0].loss;
    if (report->tasks[0].n_metrics) result->metric[split] = report->tasks[0].metrics[0].value;
    result->epochs += split == 1;
}

tdm_status small_train(const char *folder, const char *const *assignments, size_t n,
                       small_result *result)
{
    small_result ignored;
    tdm_trainer *trainer = NULL;
    result = result ? result : &ignored;
    memset(result, 0, sizeof *result);
    tdm_config *config = small_config(folder, assignments, n);
    const tdm_train_events events = {.user = result, .epoch = on_epoch};
    tdm_status status = tdm_trainer_create(config, &events, &trainer);
    if (!status) status = tdm_trainer_run(trainer);
    if (trainer) result->reason = tdm_trainer_reason(trainer);
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
    return status;
}

float *small_tensor(const char *run, const char *file, const char *name, uint64_t *n)
{
    char *path = support_path(run, file);
    tdm__st *st = NULL;
    float *values = NULL;
    support_ok(tdm__st_open(path, &st));
    const tdm__st_tensor *t = tdm__st_find(st, name);
    *n = t ? t->count : 0;
    if (t) {
        values = malloc(t->count * sizeof *values);
        support_ok(tdm__st_read(st, t, 0, t->count, TDM__TO_F32, values));
    }
    tdm__st_close(&st);
    free(path);
    return values;
}

void small_hash(const char *run, const char *file, char hex[33])
{
    tdm__st *st = NULL;
    tdm__hash *hash = NULL;
    char *path = support_path(run, file);
    support_ok(tdm__st_open(path, &st));
    support_ok(tdm__hash_create(&hash));
    for (size_t i = 0; i < tdm__st_count(st); i++) {
        const tdm__st_tensor *t = tdm__st_at(st, i);
        void *bytes = malloc(t->size ? t->size : 1);
        support_ok(tdm__st_read(st, t, 0, t->count, TDM__TO_NATIVE, bytes));
        tdm__hash_add_text(hash, t->name);
        tdm__hash_add(hash, bytes, t->size);
        free(bytes);
    }
    tdm__hash_hex(hash, hex);
    tdm__hash_destroy(&hash);
    tdm__st_close(&st);
    free(path);
}

#define OUTPUT_KEY "train.output="

char *small_folder;

void small_setup(void)
{
    small_folder = support_temp_create();
    small_data(small_folder);
}

void small_teardown(void)
{
    support_temp_remove(small_folder);
}

const char *small_output(const char *name)
{
    static char assignments[8][512];
    static int next;
    char *one = assignments[next++ % 8];
    snprintf(one, sizeof assignments[0], OUTPUT_KEY "%s/%s", small_folder, name);
    return one;
}

const char *small_run_path(const char *name)
{
    return small_output(name) + strlen(OUTPUT_KEY);
}

double small_logged(const char *run, int epoch, const char *task, const char *key)
{
    char *path = support_path(small_run_path(run), "metrics.jsonl"), *lines;
    double value = NAN;
    size_t size;
    lines = support_read(path, &size);
    for (char *line = strtok(lines, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *o = NULL;
        support_ok(tdm__json_parse(line, strlen(line), "metrics.jsonl", &o));
        if (json_integer_value(json_object_get(o, "epoch")) == epoch &&
            !strcmp(json_string_value(json_object_get(o, "split")), "train"))
            value = json_number_value(json_object_get(
                task ? json_object_get(json_object_get(o, "tasks"), task) : o, key));
        json_decref(o);
    }
    free(lines);
    free(path);
    ck_assert_msg(!isnan(value), "%s: no %s of %s in epoch %d", run, key, task ? task : "all",
                  epoch);
    return value;
}

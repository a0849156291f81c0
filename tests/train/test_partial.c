/* Tests of training where samples lack labels, and on releases of other types, shapes and keys. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/train.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/hdf5.h"
#include "support/support.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, ROWS = 24, BATCH = 8, TASKS = 4 };

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Data -------------------------------------------------------------------------------------------
 * Sample i as doubles; all releases hold the same. */

static double pixel(int i, int p)
{
    return (i * 37 + p * (3 + i % 4) * 5) % 256;
}
static double label(int i)
{
    return i % 2;
}
static double mask(int i, int p)
{
    return pixel(i, p) > 100;
}
static double side_of_box(int i, int k)
{
    return k < 2 ? (i * 3 + k) % 4 : 5 + (i + k) % 4;
}

static void put_values(void *to, tdm__elem elem, size_t at, double v)
{
    if (elem.kind == TDM__ELEM_UINT) ((uint8_t *)to)[at] = (uint8_t)v;
    if (elem.kind == TDM__ELEM_INT && elem.size == 4) ((int32_t *)to)[at] = (int32_t)v;
    if (elem.kind == TDM__ELEM_INT && elem.size == 8) ((int64_t *)to)[at] = (int64_t)v;
    if (elem.kind == TDM__ELEM_FLOAT && elem.size == 4) ((float *)to)[at] = (float)v;
    if (elem.kind == TDM__ELEM_FLOAT && elem.size == 8) ((double *)to)[at] = v;
}

typedef struct form {
    tdm__elem elem;
    int rank;
    uint64_t dims[3];
} form;

/* How a release stores its arrays. */
typedef struct release {
    const char *key; /* of every file's data set */
    form image, mask, box, label;
    double image_scale;
} release;

static void write_array(const char *split, const char *name, const release *r, const form *f,
                        const double *values, int rows, size_t elems)
{
    char file[64];
    snprintf(file, sizeof file, "%s/%s.h5", split, name);
    char *path = support_path(folder, file), *where = NULL;
    tdm__h5_spec spec = {.name = r->key, .elem = f->elem, .rank = f->rank};
    tdm__h5_writer *w = NULL;
    size_t set = 0;
    for (int d = 0; d < f->rank; d++) spec.dims[d] = f->dims[d];
    void *bytes = calloc((size_t)rows * elems, 8);
    for (size_t i = 0; i < (size_t)rows * elems; i++) put_values(bytes, f->elem, i, values[i]);
    support_ok(tdm__path_dir(path, &where));
    support_ok(tdm__make_folders(where));
    support_ok(tdm__h5_writer_create(path, &w));
    support_ok(tdm__h5_writer_add(w, &spec, &set));
    support_ok(tdm__h5_writer_append(w, set, bytes, (uint64_t)rows));
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(bytes);
    free(where);
    free(path);
}

/* Which samples have labels and masks (the others -1 and 255), and which have boxes (else NaN). */
typedef struct known {
    int first, end;             /* the samples that are written */
    int label_first, label_end; /* those with labels and masks */
    int box_first, box_end;
} known;

static void write_release(const release *r, const known *k)
{
    static const char *const splits[] = {"train", "val"};
    static double images[ROWS * PIXELS], masks[ROWS * PIXELS], boxes[ROWS * 4], labels[ROWS];
    const int n = k->end - k->first;
    for (int j = 0; j < n; j++) {
        const int i = k->first + j;
        const bool labelled = i >= k->label_first && i < k->label_end;
        for (int p = 0; p < PIXELS; p++) {
            images[j * PIXELS + p] = pixel(i, p) * r->image_scale;
            masks[j * PIXELS + p] = labelled ? mask(i, p) : 255;
        }
        labels[j] = labelled ? label(i) : -1;
        for (int s = 0; s < 4; s++)
            boxes[j * 4 + s] = i >= k->box_first && i < k->box_end ? side_of_box(i, s) : NAN;
    }
    for (int s = 0; s < 2; s++) {
        write_array(splits[s], "images", r, &r->image, images, n, PIXELS);
        write_array(splits[s], "masks", r, &r->mask, masks, n, PIXELS);
        write_array(splits[s], "bboxes", r, &r->box, boxes, n, 4);
        write_array(splits[s], "binary", r, &r->label, labels, n, 1);
    }
}

#define TYPE(KIND, SIZE)                                                                           \
    {                                                                                              \
        TDM__ELEM_##KIND, SIZE, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__                             \
    }
static const release usual = {"images",
                              {TYPE(UINT, 1), 3, {SIDE, SIDE, 1}},
                              {TYPE(UINT, 1), 3, {SIDE, SIDE, 1}},
                              {TYPE(FLOAT, 4), 1, {4}},
                              {TYPE(INT, 4), 1, {1}},
                              1};

/* Runs ----------------------------------------------------------------------------------------- */

static const char text[] =
    "model: {layers: [conv 6 k3 p1, relu, conv 6 k3 p1, relu], mean: 0.4, std: 0.3}\n"
    "data: {shuffle: false}\n"
    "tasks:\n"
    "  mask: {layers: [conv 2 k1], loss: cross-entropy, target: masks, classes: 2, ignore_index: "
    "255,\n"
    "         metrics: [iou, pixel_accuracy]}\n"
    "  class: {layers: [global-avg-pool, dense 2], loss: cross-entropy, target: binary, classes: "
    "2}\n"
    "  box: {layers: [global-avg-pool, dense 4], loss: l1, target: bboxes, metrics: [l1]}\n"
    "  again: {layers: [conv 1 k1], loss: l2, target: images, metrics: [l2]}\n"
    "balance: {kind: uncertainty, initial_s: 0}\n"
    "optim: {kind: sgd, lr: 0.01}\n"
    "train: {epochs: 1, batch_size: 8, tensorboard: false}\n";

/* Of one epoch, per task. */
typedef struct result {
    double loss[TASKS], metric[TASKS], weight[TASKS], train_loss[TASKS];
} result;

static void on_epoch(void *user, const tdm_epoch_report *report)
{
    result *r = user;
    for (size_t t = 0; t < report->n_tasks; t++) {
        if (!strcmp(report->split, "train")) r->train_loss[t] = report->tasks[t].loss;
        if (strcmp(report->split, "val")) continue;
        r->loss[t] = report->tasks[t].loss;
        r->metric[t] = report->tasks[t].metrics[0].value;
        r->weight[t] = report->tasks[t].weight;
    }
}

static void train(result *out, const char *const *settings, size_t n)
{
    const tdm_opt_table *const *tables;
    size_t n_tables;
    tdm_config *config = NULL;
    tdm_trainer *trainer = NULL;
    char *run = support_path(folder, "run");
    support_ok(tdm__remove_tree(run));
    memset(out, 0, sizeof *out);
    tdm_schema(&tables, &n_tables);
    support_ok(tdm_config_create(tables, n_tables, &config));
    support_ok(tdm_config_load_text(config, text, strlen(text), "partial.yaml"));
    support_ok(tdm_config_set(config, "data.path", folder, "test"));
    support_ok(tdm_config_set(config, "train.output", run, "test"));
    for (size_t i = 0; i < n; i++) support_ok(tdm_config_assign(config, settings[i], "--set"));
    support_ok(tdm_config_resolve(config));
    const tdm_train_events events = {.user = out, .epoch = on_epoch};
    support_ok(tdm_trainer_create(config, &events, &trainer));
    support_ok(tdm_trainer_run(trainer));
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
    free(run);
}

static void check_near(double a, double b, double relative)
{
    ck_assert_msg(fabs(a - b) <= relative * fabs(b) + 1e-9, "%.9g instead of %.9g", a, b);
}

enum { MASK, CLASS, BOX, AGAIN };

/* Of the masks; a sum of two losses knows as well as each alone when it is of nothing. */
static const char *const mask_losses[] = {"tasks.mask.loss=cross-entropy", "tasks.mask.loss=dice",
                                          "tasks.mask.loss=cross-entropy+dice"};

/* A network that stands still measures the labels that are there, and nothing else: the same as on
 * data that holds only the labelled samples. Two of three batches have no label, the first no box.
 */
START_TEST(measures_what_is_there)
{
    const char *const still[] = {"optim.lr=1e-30", "balance.kind=equal", mask_losses[_i]};
    result all, labelled, boxed;
    write_release(&usual, &(known){0, ROWS, 0, BATCH, BATCH, ROWS});
    train(&all, still, 3);
    write_release(&usual, &(known){0, BATCH, 0, BATCH, BATCH, ROWS});
    train(&labelled, still, 3);
    write_release(&usual, &(known){BATCH, ROWS, 0, BATCH, BATCH, ROWS});
    train(&boxed, still, 3);
    for (int t = MASK; t <= CLASS; t++) {
        ck_assert(isfinite(all.loss[t]) && all.loss[t] > 0);
        check_near(all.loss[t], labelled.loss[t], 1e-6);
        check_near(all.train_loss[t], labelled.train_loss[t], 1e-6);
        check_near(all.metric[t], labelled.metric[t], 1e-6);
        ck_assert(isnan(boxed.metric[t])); /* nothing to measure */
        ck_assert(isnan(boxed.loss[t]));
    }
    check_near(all.loss[BOX], boxed.loss[BOX], 1e-6);
    check_near(all.train_loss[BOX], boxed.train_loss[BOX], 1e-6);
    check_near(all.metric[BOX], boxed.metric[BOX], 1e-6);
    ck_assert(isnan(labelled.loss[BOX]) && isnan(labelled.metric[BOX]));
    /* all samples have what this task learns */
    check_near(all.loss[AGAIN], (labelled.loss[AGAIN] + 2 * boxed.loss[AGAIN]) / 3, 1e-6);
}
END_TEST

/* Learnt weights move with the batches that have a label, and with no other. */
START_TEST(weights_move_with_labels)
{
    const char *const fast[] = {"optim.lr=0.05", mask_losses[_i]};
    result all, labelled;
    write_release(&usual, &(known){0, ROWS, 0, BATCH, ROWS, ROWS});
    train(&all, fast, 2); /* three steps, the first with labels */
    write_release(&usual, &(known){0, BATCH, 0, BATCH, ROWS, ROWS});
    train(&labelled, fast, 2); /* that one alone */
    check_near(all.weight[CLASS], labelled.weight[CLASS], 1e-6);
    check_near(all.weight[MASK], labelled.weight[MASK], 1e-6);
    ck_assert(fabs(all.weight[CLASS] - 1) > 1e-4); /* it did move */
    ck_assert(fabs(all.weight[MASK] - 1) > 1e-4);
    ck_assert(all.weight[BOX] == 1); /* no box anywhere */
    ck_assert(fabs(all.weight[AGAIN] - labelled.weight[AGAIN]) > 1e-4);
}
END_TEST

/* The four files as others have written them: other keys, wider types, masks without a last axis,
 * boxes with one more, floats of 0..1 and of 0..255. */
START_TEST(other_releases)
{
    const known everything = {0, ROWS, 0, ROWS, 0, ROWS};
    static const char *const pixels_255[] = {"model.mean=102", "model.std=76.5",
                                             "tasks.again.target_scale=255"};
    release wide = {"a key",
                    {TYPE(FLOAT, 8), 2, {SIDE, SIDE}},
                    {TYPE(INT, 8), 2, {SIDE, SIDE}},
                    {TYPE(FLOAT, 8), 2, {1, 4}},
                    {TYPE(FLOAT, 4), 0, {0}},
                    1 / 255.0};
    result a, b;
    write_release(&usual, &everything);
    train(&a, NULL, 0);
    write_release(&wide, &everything);
    train(&b, NULL, 0);
    for (int t = 0; t < TASKS; t++) {
        check_near(b.train_loss[t], a.train_loss[t], 1e-4);
        check_near(b.loss[t], a.loss[t], 1e-4);
        check_near(b.metric[t], a.metric[t], 1e-4);
    }
    wide.image_scale = 1;
    write_release(&wide, &everything);
    train(&b, pixels_255, 3);
    for (int t = 0; t < TASKS; t++) {
        check_near(b.train_loss[t], a.train_loss[t], 1e-4);
        check_near(b.metric[t], a.metric[t] * (t == AGAIN ? 255 * 255 : 1), 1e-4);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("partial");
    TCase *tc = tcase_create("partial");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, measures_what_is_there, 0, 3);
    tcase_add_loop_test(tc, weights_move_with_labels, 0, 3);
    tcase_add_test(tc, other_releases);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

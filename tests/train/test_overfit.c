/* Learning a few real samples by heart, to see that everything can be learnt at all: the two NYUv2
 * frames (class and depth of every pixel), sixteen pets (mask, species, box), at reduced sizes.
 * What was learnt is measured on the same samples in evaluation mode, so with the running
 * statistics of batch norm: every step sees all samples and the rate falls to nothing, so they
 * settle. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/train.h>

#include "support/support.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Class 9 has 20 pixels of 22384, class 4 has 147: without their weights most of the steps would go
 * into finding them. */
static const char nyuv2[] =
    "data: {transforms: [resize 96x128]}\n"
    "model: {input: image, trunk: segnet, filters: [16, 32, 64]}\n"
    "tasks:\n"
    "  semantic: {head: segmentation, loss: nll, target: label, classes: 13, ignore_index: -1,\n"
    "             class_weights: [1, 1, 1, 1, 2, 1, 1, 1, 1, 10, 1, 1, 1], weight: 2,\n"
    "             metrics: [miou, pixel_accuracy]}\n"
    "  depth: {head: depth, loss: l1, target: depth, invalid: [0], metrics: [abs_error]}\n"
    "optim: {kind: adam, lr: 4.0e-3}\n"
    "schedule: {kind: cosine}\n"
    "train: {epochs: 400, batch_size: 2, overfit_batches: 1, tensorboard: false}\n";

static const char pets[] =
    "data: {transforms: [resize 64], num_samples: 16}\n"
    "model: {trunk: unet, filters: [8, 16, 32, 64], mean: [0.48, 0.45, 0.4], std: [0.26, 0.26, "
    "0.27]}\n"
    "tasks:\n"
    "  mask: {head: segmentation, loss: cross-entropy, target: masks, classes: 2, metrics: [iou]}\n"
    "  species: {head: pool-linear, loss: cross-entropy, target: binary, classes: 2,\n"
    "            metrics: [accuracy]}\n"
    "  box: {head: box, loss: l1, target: bboxes, target_scale: 64, weight: 2,\n"
    "        metrics: [box_iou]}\n"
    "optim: {kind: adam, lr: 4.0e-3}\n"
    "schedule: {kind: cosine}\n"
    "train: {epochs: 150, batch_size: 16, overfit_batches: 1, tensorboard: false}\n";

/* Trains on the samples of `data` (a folder in $TANDEM_DATA_DIR) and measures them. */
static tdm_evaluation *overfit(const char *text, const char *data, const char *root)
{
    const tdm_opt_table *const *tables;
    size_t n_tables;
    tdm_config *config = NULL;
    tdm_trainer *trainer = NULL;
    tdm_evaluation *evaluation = NULL;
    char *run = support_path(folder, "run"), *last = support_path(run, "last.safetensors");
    char *path = support_path(root, data);
    tdm_schema(&tables, &n_tables);
    support_ok(tdm_config_create(tables, n_tables, &config));
    support_ok(tdm_config_load_text(config, text, strlen(text), "overfit.yaml"));
    support_ok(tdm_config_set(config, "data.path", path, "test"));
    support_ok(tdm_config_set(config, "train.output", run, "test"));
    const char *seed = getenv("TANDEM_TEST_SEED");
    if (seed) support_ok(tdm_config_set(config, "seed", seed, "TANDEM_TEST_SEED"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm_trainer_create(config, NULL, &trainer));
    support_ok(tdm_trainer_run(trainer));
    tdm_trainer_destroy(&trainer);
    tdm_config_destroy(&config);
    support_ok(tdm_evaluate(last, "train", NULL, 0, NULL, &evaluation));
    free(path);
    free(last);
    free(run);
    return evaluation;
}

/* Checks that a metric lies within [least, most], and the number of samples that it is of. */
static void check(const tdm_evaluation *evaluation, const char *task, const char *metric,
                  double least, double most, uint64_t samples)
{
    const tdm_epoch_report *report = tdm_evaluation_report(evaluation);
    ck_assert_uint_eq(report->samples, samples);
    for (size_t t = 0; t < report->n_tasks; t++)
        for (size_t m = 0; m < report->tasks[t].n_metrics; m++) {
            const tdm_metric_value *v = &report->tasks[t].metrics[m];
            if (strcmp(report->tasks[t].name, task) || strcmp(v->name, metric)) continue;
            printf("%s %s: %.4f\n", task, metric, v->value);
            ck_assert_msg(v->value >= least && v->value <= most, "%s %s = %g: not in %g..%g", task,
                          metric, v->value, least, most);
            return;
        }
    ck_abort_msg("%s has no metric %s", task, metric);
}

START_TEST(nyuv2_frames)
{
    const char *root = support_data_dir("overfitting the NYUv2 frames");
    if (!root) return;
    tdm_evaluation *e = overfit(nyuv2, "nyuv2", root);
    check(e, "semantic", "miou", 0.95, 1, 2); /* of the seven classes that occur */
    check(e, "semantic", "pixel_accuracy", 0.99, 1, 2);
    check(e, "depth", "abs_error", 0, 0.05, 2); /* metres; depths are 1.1 to 3.6 */
    tdm_evaluation_destroy(&e);
}
END_TEST

START_TEST(sixteen_pets)
{
    const char *root = support_data_dir("overfitting sixteen pets");
    if (!root) return;
    tdm_evaluation *e = overfit(pets, "oxpet-h5", root);
    check(e, "mask", "iou", 0.95, 1, 16);
    check(e, "species", "accuracy", 1, 1, 16);
    check(e, "box", "box_iou", 0.8, 1, 16);
    tdm_evaluation_destroy(&e);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("overfit");
    TCase *tc = tcase_create("overfit");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nyuv2_frames);
    tcase_add_test(tc, sixteen_pets);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

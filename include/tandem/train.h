/* tandem/train.h: training, evaluating, benchmarking a configuration.
 *
 *     tdm_schema(&tables, &n);  tdm_config_create(tables, n, &config);
 *     tdm_config_load(config, path);  tdm_config_resolve(config);
 *     tdm_trainer_create(config, &events, &trainer);
 *     status = tdm_trainer_run(trainer);
 *
 * A trainer belongs to one thread, but for tdm_trainer_stop.
 */
#ifndef TANDEM_TRAIN_H
#define TANDEM_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>
#include <tandem/device.h>
#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Every option table of the library, for tdm_config_create. Static storage. */
void tdm_schema(const tdm_opt_table *const **tables, size_t *n);

/* The device.* keys of a resolved configuration. Strings stay the configuration's. */
tdm_status tdm_device_spec_read(const tdm_config *config, tdm_device_spec *out);

/* ---- reports --------------------------------------------------------------------------------- */

typedef struct tdm_metric_value {
    const char *name;
    double value; /* NaN: nothing was counted */
    bool higher_is_better;
    bool baseline; /* a property of the labels: what always answering the same would give */
} tdm_metric_value;

/* One class of a classification, over the whole split; NaN: nothing was counted. */
typedef struct tdm_class_report {
    const char *name;                         /* NULL: the data have no names */
    double count, precision, recall, iou, f1; /* count: of labels; recall: accuracy of the class */
} tdm_class_report;

typedef struct tdm_task_report {
    const char *name;
    double loss, weight; /* weight: factor in the total now; loss: NaN when samples is 0 */
    uint64_t samples;    /* of the task's batches */
    int64_t bad_step;    /* optimiser step of training, else batch (1: the first), whose loss made
                            `loss` not finite; 0: none */
    /* Training: what the prediction on the way lost, which `loss` counts model.intermediate_weight
     * times; NaN: there is none. */
    double intermediate;
    /* Training: loss over that of the first epoch; mean (root of the mean square) norm of its
     * gradient of the shared parameters, where balancing combines gradients. NaN: not known. */
    double loss_ratio, gradient_norm;
    /* balance.instance_weighting, of an auxiliary task: the mean of what is positive of its samples'
     * cosines, and the share of samples that have nothing. NaN elsewhere. */
    double instance_cosine, instance_zeros;
    size_t n_metrics;
    const tdm_metric_value *metrics;
    /* Accuracy of each part (tasks.NAME.parts); NaN: nothing was counted. Valid until the next
     * report of the same split. */
    size_t n_parts;
    const double *parts;
    /* Evaluations of tasks with at most 256 classes; else 0 and NULL. */
    size_t n_classes;
    const tdm_class_report *classes;
    const double *confusion; /* n_classes * n_classes counts, a row a label, a column an answer */
} tdm_task_report;

/* How the tasks' gradients of the shared parameters went together, means over an epoch's steps. */
typedef struct tdm_balance_report {
    const double *cosines;   /* n_tasks * n_tasks, by position in the epoch's report */
    double conflict_share;   /* of the pairs of tasks, steps together: negative cosine */
    double condition_log10;  /* of the condition number of the gradients' Gram matrix; at most 16 */
    double stationary_share; /* of the steps: the method had no solution */
} tdm_balance_report;

/* One pass over one split. Pointers are valid during the callback, or until the owner goes. */
typedef struct tdm_epoch_report {
    int64_t epoch, epochs; /* from 1 */
    int64_t step;          /* optimiser steps so far */
    const char *split;     /* "train", "val", "test" */
    double total, lr, seconds, wait_share;
    double penalty;      /* training: the mean of what the architecture adds to the losses (soft
                            sharing, sluice), which total is without; NaN: nothing */
    /* Training with model.feature_selection: channels of what all heads read, and how many of them
     * any head still reads; else 0. */
    int64_t features, features_kept;
    double step_seconds; /* CPU time of a batch where the device is the CPU, else its wall time */
    uint64_t samples;
    bool best; /* val: the best so far */
    size_t n_tasks;
    const tdm_task_report *tasks;
    const tdm_balance_report *balance; /* NULL: gradients are not combined */
} tdm_epoch_report;

/* The report as the JSON object of metrics.jsonl, without a newline. free(*out). */
tdm_status tdm_epoch_report_json(const tdm_epoch_report *report, char **out);

typedef struct tdm_progress {
    const char *split;
    int64_t epoch, epochs;
    int64_t step, steps; /* within the pass */
    double seconds;      /* of the pass so far */
    double samples_per_second, eta_seconds, wait_share;
    double total; /* mean so far */
    size_t n_tasks;
    const char *const *names;
    const double *losses;
} tdm_progress;

/* One sample of an evaluated split, measured by itself: loss and metrics as far as they mean
 * something for one sample. NaN: nothing of it counts. */
typedef struct tdm_sample_report {
    uint64_t index, row; /* in the split; of the data set's arrays */
    size_t n_tasks;      /* that have this sample */
    const tdm_task_report *tasks;
} tdm_sample_report;

typedef struct tdm_train_events {
    void *user;
    void (*progress)(void *user, const tdm_progress *progress); /* at most a few times a second */
    void (*epoch)(void *user, const tdm_epoch_report *report);
    /* tdm_evaluate only: every sample, in the order of the split (one group of tasks after the
     * other where these have samples of their own). What it returns other than TDM_OK ends the
     * evaluation. NULL: samples are not measured by themselves, which takes longer. */
    tdm_status (*sample)(void *sample_user, const tdm_sample_report *sample);
    void *sample_user;
} tdm_train_events;

/* ---- training -------------------------------------------------------------------------------- */

typedef struct tdm_trainer tdm_trainer;

typedef enum tdm_stop_reason {
    TDM_STOP_NONE,      /* still to run */
    TDM_STOP_EPOCHS,    /* all epochs done */
    TDM_STOP_EARLY,     /* no improvement for train.patience epochs */
    TDM_STOP_TIME,      /* train.max_time reached */
    TDM_STOP_REQUESTED, /* tdm_trainer_stop */
    TDM_STOP_DIVERGED   /* a loss was NaN or infinite */
} tdm_stop_reason;
const char *tdm_stop_reason_name(tdm_stop_reason reason);

/* Opens device and data, builds network and plans. Writes nothing. The resolved configuration must
 * outlive the trainer; events may be NULL. */
tdm_status tdm_trainer_create(const tdm_config *config, const tdm_train_events *events,
                              tdm_trainer **out);
void tdm_trainer_destroy(tdm_trainer **trainer);
/* Layer table, tasks, parameters, memory plan. free(*out). */
tdm_status tdm_trainer_describe(tdm_trainer *trainer, char **out);
/* Trains (or continues) to the end, in the run folder. TDM_OK also when stopped by time or early
 * stopping; TDM_ERR_INTERRUPTED / TERMINATED after tdm_trainer_stop (state is saved);
 * TDM_ERR_DIVERGED names the task (the last good checkpoint stays). */
tdm_status tdm_trainer_run(tdm_trainer *trainer);
/* Asks the run to finish its step, save and return `status`. Async-signal-safe. */
void tdm_trainer_stop(tdm_trainer *trainer, tdm_status status);
/* NULL before tdm_trainer_run. */
const char *tdm_trainer_folder(const tdm_trainer *trainer);
tdm_stop_reason tdm_trainer_reason(const tdm_trainer *trainer);
const tdm_device_info *tdm_trainer_device(const tdm_trainer *trainer);

/* ---- evaluating ------------------------------------------------------------------------------ */

typedef struct tdm_evaluation tdm_evaluation;

/* path: a run folder (its best checkpoint) or a checkpoint; its own configuration is used.
 * split NULL: "test". assignments: "key=value" texts on top (device.*, data.path, ...). */
tdm_status tdm_evaluate(const char *path, const char *split, const char *const *assignments,
                        size_t n_assignments, const tdm_train_events *events, tdm_evaluation **out);
/* The same, with the trunk's weights and statistics of another checkpoint (or run folder) in place
 * of its own: after training on, how much of the task the trunk has forgotten. TDM_ERR_CONFIG:
 * another trunk. */
tdm_status tdm_evaluate_with_trunk(const char *path, const char *trunk, const char *split,
                                   const char *const *assignments, size_t n_assignments,
                                   const tdm_train_events *events, tdm_evaluation **out);
void tdm_evaluation_destroy(tdm_evaluation **evaluation);
const tdm_epoch_report *tdm_evaluation_report(const tdm_evaluation *evaluation);

/* How much better a model does each task than models of one task (Maninis et al., CVPR 2019, eq.
 * 4), from the relative gain of each metric, (m - b) / |b|, with the sign of the better direction.
 * Two conventions are in use, which may disagree in sign. Metrics that are baselines, NaN or 0 in
 * the baseline do not count. */
typedef struct tdm_delta {
    double per_task;   /* %, higher is better: mean over tasks of the mean over a task's metrics
                          (Vandenhende et al., TPAMI 2021; LibMTL) */
    double per_metric; /* %, lower is better: the mean over all metrics, with the sign turned
                          (Nash-MTL, CAGrad, FAMO) */
    size_t n_tasks, n_metrics; /* that counted; 0: the numbers are NaN */
} tdm_delta;
/* single[i]: the baseline of multi->tasks[i], or NULL. gains: n_tasks values, each
 * task's mean gain in %, NaN where nothing counted; may be NULL. */
void tdm_delta_m(const tdm_epoch_report *multi, const tdm_task_report *const *single, double *gains,
                 tdm_delta *out);

/* ---- bench ----------------------------------------------------------------------------------- */

/* Each writes JSON lines (or aligned text) into *out; free it. Names and units: README. */

/* Full training steps of a configuration on made-up data (bench.arrays.*, else data.path's shapes):
 * forward, losses, backward, optimiser. Medians per step; with train.sampling the steps take turns
 * with the tasks. */
tdm_status tdm_bench_step(const tdm_config *config, bool json, char **out);
/* The operations' own samples (filter: part of "op/sample", NULL: all), per kernel variant. */
tdm_status tdm_bench_ops(const tdm_config *config, const char *filter, bool json, char **out);
/* Convolutions: each direction by each algorithm, with its error against double precision. shape:
 * "N,H,W,C,K[,R,S,stride,padding[,dilation]]", NULL: some typical ones. filter: part of
 * "direction/algorithm/shape", NULL: all. default_only: the algorithm that training takes, no
 * other. gflops counts the direct sums. */
tdm_status tdm_bench_conv(const tdm_config *config, const char *shape, const char *filter,
                          bool default_only, bool json, char **out);
/* Measures every algorithm of every node that the configuration's training and validation hold
 * (typical: of the convolutions of tdm_bench_conv instead) and writes the fastest into the tuning
 * file of this device (path NULL: in the cache folder), beside what it holds from before. */
tdm_status tdm_bench_tune(const tdm_config *config, bool typical, const char *path, bool json,
                          char **out);
/* Reading the training split: batches of every array into host memory, as data.* and
 * train.batch_size say. Means per batch, samples per second. */
tdm_status tdm_bench_load(const tdm_config *config, bool json, char **out);

#ifdef __cplusplus
}
#endif
#endif

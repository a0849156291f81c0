/* task/task.h: what a task is to the trainer: which array is its target, which loss compares it
 * with the head's output, which metrics are kept.
 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include <tandem/dataset.h>
#include <tandem/loader.h>
#include <tandem/make.h>
#include <tandem/ops.h>
#include <tandem/task.h>

#include "graph/flat.h"
#include "graph/plan.h"

typedef enum tdm__loss_kind {
    TDM__LOSS_CROSS_ENTROPY,
    TDM__LOSS_NLL,
    TDM__LOSS_BCE,
    TDM__LOSS_L1,
    TDM__LOSS_L2,
    TDM__LOSS_HUBER,
    TDM__LOSS_DICE,               /* labels; heads of one output or of one per class */
    TDM__LOSS_CROSS_ENTROPY_DICE, /* their sum */
    TDM__LOSS_BCE_DICE            /* their sum, for one output */
} tdm__loss_kind;

/* Which accumulator a metric is computed from. */
typedef enum tdm__meter_kind {
    TDM__METER_ACCURACY,
    TDM__METER_TOP5,
    TDM__METER_CONFUSION,
    TDM__METER_REGRESSION,
    TDM__METER_BOX,
    TDM__METER_INSTANCE_COSINE, /* of tdm_instance_weights */
    TDM__METER_INSTANCE_ZEROS,
    TDM__METER_KINDS
} tdm__meter_kind;

/* Computed from sums over the whole split, never as a mean of batches' or images' values: so a
 * short last batch weighs what it holds, and the mean IoU is that of the split's pixels. */
typedef struct tdm__metric {
    const char *name;
    tdm__meter_kind meter;
    bool higher_is_better;
    /* sums: the accumulator as doubles; classes: side of the confusion matrix. NaN when nothing was
     * counted. */
    double (*value)(const double *sums, int64_t classes);
    int unit;      /* the value is multiplied by target_scale to this power */
    bool baseline; /* a property of the labels, not of the prediction */
} tdm__metric;

const tdm__metric *tdm__metric_find(const char *name);
/* All metrics; ends with a NULL name. */
extern const tdm__metric tdm__metrics[];

/* Whether the metric says something of one sample; single: its truth is one label. */
bool tdm__metric_of_sample(const tdm__metric *metric, bool single);

/* What the confusion matrix m[label * n + prediction] says about class c; NaN where it says
 * nothing.
 */
typedef struct tdm__class_metrics {
    double count, precision, recall, iou, f1; /* count: of labels; f1 is the Dice coefficient too */
} tdm__class_metrics;
tdm__class_metrics tdm__metrics_of_class(const double *m, int64_t n, int64_t c);
/* The share of labels for which "class c or not" was predicted right. */
double tdm__accuracy_of_class(const double *m, int64_t n, int64_t c);

enum { TDM__TASK_METRICS = 12 };

/* What is recorded beside the metrics about parts of a classification. */
typedef enum tdm__parts {
    TDM__PARTS_NONE,
    TDM__PARTS_ONE_VS_REST, /* a part is a class: how often "this class or not" is told right */
    TDM__PARTS_GROUPS       /* of classes: accuracy among a group's classes, on its samples */
} tdm__parts;

typedef struct tdm__task {
    char *name;
    const char *target; /* array names; the configuration's, or made_label */
    const char *mask;   /* NULL: none */
    /* Not NONE: input and target are made of the network's input. A target that is the picture
     * itself has no name before the session knows it. */
    tdm_make make;
    char *made_input, *made_label; /* names of what is made; NULL: not made */
    tdm__loss_kind loss;
    double weight;
    double label_smoothing, huber_delta, pos_weight, dice_smooth;
    int32_t ignore_index;
    const double *class_weights; /* n_class_weights = 0: none */
    size_t n_class_weights;
    const int64_t *label_map; /* new label of each old one; n_label_map = 0: none */
    size_t n_label_map;
    const double *invalid; /* target values that do not count */
    size_t n_invalid;
    double target_scale; /* the prediction is of target / target_scale */
    const tdm__metric *metrics[TDM__TASK_METRICS];
    size_t n_metrics;
    unsigned meters;        /* bit k: accumulator k is kept */
    tdm_split_where *where; /* only the samples for which all hold; n_where = 0: every sample */
    size_t n_where;
    tdm__parts parts;
    const int64_t *part_of;    /* GROUPS: each class's group, -1: none; the configuration's */
    size_t n_part_of, n_parts; /* n_parts: groups */
    double sampling;           /* how often a step learns this task, relative to the others */
    bool auxiliary;       /* learnt for the sake of the others: neither selected by nor tested */
    bool metrics_default; /* none were named: by loss and kind of target */
    bool intermediate; /* in training it predicts something on the way, too; set by the trainer */
    int64_t classes;   /* of the prediction; set by the trainer once the model is known; 0: none */
    tdm__buffer weights_buffer, map_buffer, part_buffer; /* on the device when used */
} tdm__task;

/* The enabled tasks of a resolved configuration, in its order. The configuration must outlive them.
 */
tdm_status tdm__tasks_read(const tdm_config *config, tdm__task **out, size_t *n);
/* Chooses the metrics of a task that names none, once the kind of its target is known. */
tdm_status tdm__task_default_metrics(tdm__task *task, tdm_array_kind kind);
/* Has the answers counted by class, where there are few enough: for reports about each class. */
void tdm__task_count_classes(tdm__task *task);
/* Uploads class weights and label maps. Call once `classes` is set. */
tdm_status tdm__tasks_upload(tdm_device *device, tdm__task *tasks, size_t n);
void tdm__tasks_destroy(tdm_device *device, tdm__task **tasks, size_t n);

/* Whether two tasks have the same samples: the same rows, and the network sees the same of them. */
bool tdm__same_samples(const tdm__task *a, const tdm__task *b);

/* Whether the loss takes whole-number labels (else float targets of the prediction's shape). */
bool tdm__loss_takes_labels(tdm__loss_kind loss);
/* bce: float targets, a yes or no for each output. */
bool tdm__loss_is_binary(tdm__loss_kind loss);
/* Whether predictions are classes: labels, or the yes and no of bce. */
bool tdm__loss_is_classification(tdm__loss_kind loss);
const char *tdm__loss_name(tdm__loss_kind loss);

/* The target as the loss wants it: labels i32 of the prediction's leading shape (through the label
 * map), or float targets in the prediction's units. target: the batch's array (i32, u8 or f32).
 * What does not count (mask 0; mask may be TDM_NO_VALUE; a value of `invalid`) becomes -1 or NaN,
 * which losses and metrics leave out. */
tdm_value tdm__task_target(const tdm__task *task, tdm_graph *g, tdm_value pred, tdm_value target,
                           tdm_value mask);
/* A scalar loss, and how much was valid: 0 where the loss is of nothing (tdm_loss_total). */
typedef struct tdm__loss_value {
    tdm_value loss, total;
} tdm__loss_value;
tdm__loss_value tdm__task_loss(const tdm__task *task, tdm_graph *g, tdm_value pred,
                               tdm_value target);
/* The prediction as a user reads it: probabilities (softmax, sigmoid), or values in the target's
 * units. */
tdm_value tdm__task_output(const tdm__task *task, tdm_graph *g, tdm_value pred);

/* ---- meters: accumulators on the device
 * ---------------------------------------------------------- */

/* The accumulators of all tasks for one split: mean loss per task, mean total, and what the metrics
 * need, as two-float sums (S, C) in one buffer. */
typedef struct tdm__meter tdm__meter;

tdm_status tdm__meter_create(tdm_device *device, const tdm__task *tasks, size_t n,
                             tdm__meter **out);
void tdm__meter_destroy(tdm__meter **meter);
/* Adds the accumulating nodes for one task's batch of `count` samples (kept, placed). `target` is
 * tdm__task_target's. */
void tdm__meter_task(tdm__meter *meter, tdm_graph *g, size_t task, tdm_value pred, tdm_value target,
                     tdm__loss_value loss, int64_t count);
/* Adds the mean loss of what the task predicts on the way (tdm__task.intermediate). */
void tdm__meter_intermediate(tdm__meter *meter, tdm_graph *g, size_t task, tdm__loss_value loss,
                             int64_t count);
/* Adds the mean of the total loss. */
void tdm__meter_total(tdm__meter *meter, tdm_graph *g, tdm_value total, int64_t count);
/* Adds the mean of the model's penalty. */
void tdm__meter_penalty(tdm__meter *meter, tdm_graph *g, tdm_value penalty, int64_t count);
/* What tdm_instance_weights says of an auxiliary task's batch. */
void tdm__meter_instances(tdm__meter *meter, tdm_graph *g, size_t task, tdm_value cosine,
                          tdm_value zeros, int64_t count);
tdm_status tdm__meter_reset(tdm__meter *meter);
/* Reads everything (waits for the device); the getters below then use this snapshot. */
tdm_status tdm__meter_read(tdm__meter *meter);
double tdm__meter_loss(const tdm__meter *meter, size_t task); /* NaN when nothing was counted */
double tdm__meter_intermediate_loss(const tdm__meter *meter, size_t task); /* NaN: there is none */
double tdm__meter_samples(const tdm__meter *meter, size_t task);           /* counted in its loss */
/* 1 + the first optimiser step after which the sum of its losses was not finite; 0: none. */
int64_t tdm__meter_bad_step(const tdm__meter *meter, size_t task);
double tdm__meter_total_loss(const tdm__meter *meter);
double tdm__meter_penalty_mean(const tdm__meter *meter); /* NaN: there is none */
/* Means over the samples: of the positive parts of their cosines, and how many have none. NaN: its
 * samples are not weighed. */
double tdm__meter_instance_cosine(const tdm__meter *meter, size_t task);
double tdm__meter_instance_zeros(const tdm__meter *meter, size_t task);
double tdm__meter_metric(const tdm__meter *meter, size_t task, const tdm__metric *metric);
/* The snapshot's accuracy of each part of a task (tdm__parts), NaN where nothing was counted; NULL
 * (*n = 0) when the task has none. */
const double *tdm__meter_parts(const tdm__meter *meter, size_t task, size_t *n);
/* The confusion matrix (classes x classes, rows = labels) of the snapshot, NULL when not kept. */
const double *tdm__meter_confusion(const tdm__meter *meter, size_t task);
/* The side of the confusion matrix: classes, or 2 of one output. */
int64_t tdm__task_sides(const tdm__task *task);
/* The raw accumulators, for exact resume: count floats. */
size_t tdm__meter_size(const tdm__meter *meter);
tdm_status tdm__meter_export(tdm__meter *meter, float *out);
tdm_status tdm__meter_import(tdm__meter *meter, const float *values);

#endif

/* train/session.h: everything that a configuration means on a device: data, tasks, network, flat
 * buffers, and the plans that run it. Training, evaluation and bench are loops over a session.
 */
#ifndef TRAIN_SESSION_H
#define TRAIN_SESSION_H

#include <tandem/train.h>

#include "data/upload.h"
#include "graph/plan.h"
#include "model/checkpoint.h"
#include "model/model.h"
#include "optim/optim.h"
#include "task/task.h"

enum { TDM__SPLIT_TRAIN, TDM__SPLIT_VAL, TDM__SPLIT_TEST, TDM__SPLITS };
extern const char *const tdm__split_names[TDM__SPLITS];

/* A launch list for one batch size and mode. */
typedef struct tdm__step_plan {
    int64_t count;
    bool training;
    tdm__plan *plan;
    tdm_value *inputs;  /* one per session array; TDM_NO_VALUE where unused */
    bool *has_gradient; /* per segment; training only */
} tdm__step_plan;

/* An array that batches carry. */
typedef struct tdm__session_array {
    tdm_loader_array load;
    tdm_desc sample; /* one sample, as delivered */
} tdm__session_array;

typedef struct tdm__session {
    const tdm_config *config;
    tdm_device *device;
    int64_t batch_size;
    uint64_t seed;
    tdm__task *tasks;
    size_t n_tasks;
    tdm__balance balance;
    tdm__model *model;
    tdm__flat *flat;
    const char *const *freeze;
    size_t n_freeze;
    tdm__session_array *arrays;
    size_t n_arrays, input;  /* input: index of the network's input */
    size_t *targets, *masks; /* per task, index into arrays; masks: SIZE_MAX = none */
    tdm__arena *arena;
    tdm__buffer step_buffer;
    tdm__step_plan *plans;
    size_t n_plans, plans_capacity;
    tdm__meter *meters[2]; /* evaluation, training */
} tdm__session;

/* What is known of an array of the data (or of made-up data). */
typedef struct tdm__array_source {
    size_t n;
    const tdm_array_info *infos;
} tdm__array_source;

/* Builds the session over arrays of the given shapes. training: parameters are learnt (gradients
 * are allocated). Initial values are drawn. */
tdm_status tdm__session_create(const tdm_config *config, const tdm__array_source *source,
                               bool training, tdm__session *out);
void tdm__session_destroy(tdm__session *session);

/* The plan for a batch of `count` samples; built at the first use. */
tdm_status tdm__session_plan(tdm__session *session, int64_t count, bool training,
                             tdm__step_plan **out);
/* Enqueues one batch: views are in the order of session->arrays. */
tdm_status tdm__session_run(tdm__session *session, tdm__step_plan *plan, const tdm__view *views,
                            int64_t step, double lr);

/* Fills a report from a meter's snapshot (which it reads). Arrays are the caller's: n_tasks tasks,
 * n_tasks * TDM__TASK_METRICS metric values. */
tdm_status tdm__session_report(tdm__session *session, bool training, tdm_task_report *tasks,
                               tdm_metric_value *metrics, tdm_epoch_report *out);

/* Opens the splits of data.path, with NULL for those that do not exist. */
tdm_status tdm__open_splits(const tdm_config *config, tdm_split *splits[TDM__SPLITS]);
/* A feed over a split with the session's arrays; shuffled and continuous for training. */
tdm_status tdm__session_feed(tdm__session *session, const tdm_split *split, bool training,
                             tdm__feed **out);

/* Loads a checkpoint: `path` is a file, or a run folder (its best, else last). */
tdm_status tdm__find_checkpoint(const char *path, char **out);

#endif

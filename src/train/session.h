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
#include "task/balance.h"
#include "task/task.h"
#include "train/chooser.h"
#include "train/freezing.h"

enum { TDM__SPLIT_TRAIN, TDM__SPLIT_VAL, TDM__SPLIT_TEST, TDM__SPLITS };
extern const char *const tdm__split_names[TDM__SPLITS];

/* What a pass over a split is for. */
typedef enum tdm__purpose {
    TDM__FOR_TRAINING,
    TDM__FOR_VALIDATION, /* all tasks */
    TDM__FOR_TEST,       /* the target tasks only */
    TDM__PURPOSES
} tdm__purpose;

/* Tasks that take part in the same batches. */
typedef struct tdm__stream {
    bool *tasks;  /* per task of the session */
    size_t first; /* one of them: its samples are the stream's */
} tdm__stream;

/* A pass draws each batch from one of its streams. */
typedef struct tdm__streams {
    tdm__stream *list;
    size_t n;
    bool drawn; /* else one stream after the other */
} tdm__streams;

/* A launch list for one batch size, mode and set of tasks. */
typedef struct tdm__step_plan {
    int64_t count;
    bool training;
    bool again;        /* as in training, but only for the losses: nothing is changed */
    bool rows;         /* as in training, but only for the rows of `group` */
    size_t group;      /* of gradients that are combined */
    bool cached;       /* the trunk's features are inputs (feature_cache.h) */
    const bool *tasks; /* a stream's */
    tdm__plan *plan;
    tdm_value features[2]; /* cached: by tdm__feature; TDM_NO_VALUE where unused */
    tdm_value *inputs;     /* one per session array; TDM_NO_VALUE where unused */
    bool *has_gradient;    /* per segment; training only */
} tdm__step_plan;

/* An array that batches carry. */
typedef struct tdm__session_array {
    tdm_loader_array load;
    tdm_desc sample; /* one sample, as delivered */
} tdm__session_array;

/* Features in place of the trunk, by tdm__feature: a batch of each that the heads use. */
typedef struct tdm__cached_features {
    bool active, used[2];
    tdm_desc descs[2]; /* of a full batch */
    tdm__buffer staging[2];
} tdm__cached_features;

typedef struct tdm__session {
    const tdm_config *config;
    tdm_device *device;
    tdm__chooser chooser; /* algorithms of the plans */
    int64_t batch_size;
    uint64_t seed;
    tdm__task *tasks;
    size_t n_tasks;
    tdm__balance balance;
    tdm__balancer *balancer;
    tdm__gradients *gradients; /* NULL: they are not combined */
    const char **task_names;
    bool *shared;      /* per segment: two or more tasks reach it; NULL without gradients */
    double *row_norms; /* scratch of GradNorm */
    tdm_balance_report balance_report;
    tdm__model *model;
    tdm__flat *flat;
    tdm__freezing freezing;
    tdm__cached_features cached;
    tdm__session_array *arrays;
    size_t n_arrays, input; /* input: index of the network's input, as the data have it */
    tdm_transforms transforms;
    const tdm_array_info *frame; /* while arrays are added: what the transforms move */
    tdm__view *views;            /* scratch: of a batch, per array */
    size_t *targets, *masks;     /* per task, index into arrays; masks: SIZE_MAX = none */
    size_t *inputs;              /* per task: what the network sees of its samples */
    char *described;             /* the arrays as JSON, for checkpoints (arrays.h) */
    tdm__streams streams[TDM__PURPOSES];
    tdm__arena *arena;
    tdm__buffer step_buffer;
    tdm__buffer spare_statistics; /* what plans of steps again write their running statistics to */
    tdm__step_plan *plans;
    size_t n_plans, plans_capacity;
    tdm__meter *meters[2]; /* evaluation, training */
    tdm__meter **places;   /* per_sample.h: of each place of a batch alone; NULL: of none */
    size_t n_places;
} tdm__session;

/* What is known of the arrays of the data (or of made-up data), before data.transforms. */
typedef struct tdm__array_source {
    size_t n;
    const tdm_array_info *infos;
} tdm__array_source;

/* Builds the session over arrays of the given shapes. training: parameters are learnt (gradients
 * are allocated). Initial values are drawn. */
tdm_status tdm__session_create(const tdm_config *config, const tdm__array_source *source,
                               bool training, tdm__session *out);
void tdm__session_destroy(tdm__session *session);

/* The plan for a batch of `count` samples from a stream; built at the first use. */
tdm_status tdm__session_plan(tdm__session *session, tdm__purpose purpose, size_t stream,
                             int64_t count, tdm__step_plan **out);
/* Builds the plans that full training batches need: what can fail does so now, and the memory that
 * the largest takes is there. */
tdm_status tdm__session_plan_training(tdm__session *session);
/* Forgets the plans of training: another part of the network is frozen now. Waits for the device.
 */
tdm_status tdm__session_drop_training(tdm__session *session);
/* Enqueues one batch: views are in the order of session->arrays (empty: not bound). */
tdm_status tdm__session_run(tdm__session *session, tdm__step_plan *plan, const tdm__view *views,
                            int64_t step, double lr);
/* After the optimiser changed the parameters, with the arguments of the batch that it did it by:
 * the losses of the same batch again (with the same dropout), from which FAMO moves the weights.
 * Other methods need nothing of it, and nothing is done. */
tdm_status tdm__session_again(tdm__session *session, size_t stream, int64_t count,
                              const tdm__view *views, int64_t step, double lr);

/* Fills a report about the tasks of a pass from a meter's snapshot (which it reads). Arrays are the
 * caller's: n_tasks tasks, n_tasks * TDM__TASK_METRICS metric values. */
tdm_status tdm__session_report(tdm__session *session, tdm__purpose purpose, tdm_task_report *tasks,
                               tdm_metric_value *metrics, tdm_epoch_report *out);

/* balancing.c: the factor of a task's loss in the total, and of its gradient, on the epoch's
 * average, where these are combined. */
tdm_status tdm__session_weight(tdm__session *session, size_t task, double *out);
/* Fills what training knows of the tasks' balance into n reports about them and the epoch's. */
void tdm__session_tell_balance(tdm__session *session, tdm_task_report *tasks, size_t n,
                               tdm_epoch_report *out);

/* The same about one task, from a snapshot that was read. values: TDM__TASK_METRICS. */
tdm_status tdm__session_report_task(tdm__session *session, tdm__meter *meter, size_t task,
                                    tdm_metric_value *values, tdm_task_report *out);

/* Opens the splits of data.path, with NULL for those that do not exist. */
tdm_status tdm__open_splits(const tdm_config *config, tdm_split *splits[TDM__SPLITS]);
/* streams.c: by the tasks' samples and roles, and train.sampling. */
tdm_status tdm__streams_create(const tdm_config *config, const tdm__task *tasks, size_t n_tasks,
                               tdm__purpose purpose, tdm__streams *out);
void tdm__streams_free(tdm__streams *streams);
/* A feed over a split with the session's arrays, a part for each stream; shuffled and continuous
 * for training. without_input: the network's input is not loaded where nothing else needs it; its
 * view is then missing from the others (tdm__session_views). */
tdm_status tdm__session_feed(tdm__session *session, const tdm_split *split, tdm__purpose purpose,
                             bool without_input, tdm__feed **out);
/* A feed's views in the order of session->arrays; an empty one where it does not load the array.
 * out: n_arrays. */
void tdm__session_views(const tdm__session *session, const tdm__feed *feed, const tdm__view *views,
                        tdm__view *out);

/* The configuration in a checkpoint's metadata, with assignments on top, resolved. */
tdm_status tdm__checkpoint_config(const tdm__st *st, const char *const *assignments, size_t n,
                                  tdm_config **out);
/* Loads a checkpoint: `path` is a file, or a run folder (its best, else last). */
tdm_status tdm__find_checkpoint(const char *path, char **out);

#endif

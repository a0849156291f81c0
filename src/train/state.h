/* train/state.h: checkpoints of a run, and the state from which it goes on bit-exactly. */
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "train/run_folder.h"
#include "train/session.h"

/* The best epoch of a task by itself, 1-based (0: none yet), and its value. */
typedef struct tdm__task_best {
    int64_t epoch;
    double value;
} tdm__task_best;

/* Where a run stands. Epochs and steps count from 0. */
typedef struct tdm__position {
    int64_t epoch, epoch_step; /* next to do */
    int64_t step;              /* batches done over the whole run */
    int64_t best_epoch;        /* 1-based; 0: none yet */
    double best_value;
    int64_t epochs_without_gain;
    double seconds;        /* trained so far */
    tdm__task_best *tasks; /* n_tasks, the caller's; 0 and NULL without train.select_tasks */
    size_t n_tasks;
} tdm__position;

/* A checkpoint: parameters and the resolved configuration in its metadata. */
tdm_status tdm__save_checkpoint(tdm__session *session, const char *path);
/* Parameters, optimiser, accumulators, position: all that a resumed run needs, in one file. */
tdm_status tdm__save_state(tdm__session *session, tdm__optimizer *optimizer,
                           const tdm__position *position, const char *path);
/* TDM_ERR_CONFIG when it belongs to another configuration or model. */
tdm_status tdm__load_state(tdm__session *session, tdm__optimizer *optimizer,
                           tdm__position *position, const char *path);
/* Loads all parameters from a checkpoint file, or a run folder's best (else last). */
tdm_status tdm__load_weights(tdm__session *session, const char *path);
/* Of those the trunk's alone. TDM_ERR_CONFIG: the checkpoint is of another trunk. */
tdm_status tdm__load_trunk(tdm__session *session, const char *path);
/* The first weights of a run: what load.* takes from a checkpoint (or run folder), of a model that
 * may be another one. What became of each layer is logged. loaded: per segment, whether it got a
 * tensor. */
tdm_status tdm__transfer_weights(tdm__session *session, const char *path, bool *loaded);

#endif

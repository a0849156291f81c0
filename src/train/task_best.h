/* train/task_best.h: train.select_tasks: beside the run's best checkpoint that of each target task
 * by itself, best.TASK.safetensors: by its first metric, without one by its loss, on the split that
 * selects. At the end each is measured on test, for its own task only, and summary.json has it
 * ("task_best"). It tells what a task loses by being kept together with the others. */
#ifndef TRAIN_TASK_BEST_H
#define TRAIN_TASK_BEST_H

#include "format/json.h"
#include "train/trainer.h"

/* Makes room in the position, where the option says so. */
tdm_status tdm__task_best_open(tdm_trainer *t);
void tdm__task_best_close(tdm_trainer *t);
/* Saves the weights of each task that the epoch is the best for so far. */
tdm_status tdm__task_best_select(tdm_trainer *t, const tdm_epoch_report *report);
/* Loads the checkpoints in turn and measures each on test, for its own task. The session has other
 * weights afterwards. *finished: false when a stop was asked for. */
tdm_status tdm__task_best_test(tdm_trainer *t, bool *finished);
/* "task_best" of summary.json, where there are any. */
void tdm__task_best_json(const tdm_trainer *t, tdm__json *j);
/* Removes the checkpoints. */
tdm_status tdm__task_best_drop(tdm_trainer *t);

#endif

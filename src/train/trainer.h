/* train/trainer.h: the trainer's inside, shared by its files. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include <signal.h>

#include "train/git_state.h"
#include "train/feature_cache.h"
#include "train/per_sample.h"
#include "train/select.h"
#include "train/state.h"

/* What a task's own best checkpoint gave on test. */
typedef struct tdm__task_test {
    double loss;
    size_t n_metrics;
    tdm_metric_value metrics[TDM__TASK_METRICS];
} tdm__task_test;

struct tdm_trainer {
    const tdm_config *config;
    char config_hash[33]; /* of the configuration as it was given */
    tdm_config *expanded; /* config, where a protocol's tasks were written out; NULL: none were */
    tdm_train_events events;
    tdm__session session;
    tdm_split *splits[TDM__SPLITS];
    tdm__feed *feeds[TDM__SPLITS]; /* opened at the first use */
    tdm__feature_cache *cache;     /* NULL: none */
    bool spared[TDM__SPLITS];      /* the feed does not load the network's input any more */
    tdm__optim_spec optim;
    tdm__optimizer *optimizer;
    tdm__proximal *proximal; /* NULL: nothing is selected */
    tdm__schedule schedule;
    tdm__selector selector;
    tdm__run_folder folder;
    tdm__position position;
    tdm__task_test *task_tests;              /* NULL without train.select_tasks */
    int64_t epochs, limit_train, limit_eval; /* limits: batches a pass, 0 = all */
    int64_t patience, checkpoint_steps;
    double max_time, started;
    tdm__git git; /* of the user's folder, when the run began */
    bool overfit, test, verbose, history, save_model;
    const char *log_format, *save_format; /* "": none */
    volatile sig_atomic_t stop;           /* a tdm_status */
    /* Of what stands still, since it does and now; "": nothing does. */
    char frozen_before[33], frozen_after[33];
    tdm_stop_reason reason;
    /* Scratch for reports: n_tasks, n_tasks * TDM__TASK_METRICS, n_tasks; the first two twice: of
     * training, then of measuring. */
    tdm_task_report *task_reports;
    tdm_metric_value *metric_values;
    const char **task_names;
    double *task_losses;
};

/* One epoch of training from position.epoch_step on. *finished is false when the run is to stop
 * before the epoch's end (tdm__trainer_should_stop said so). Fills the report. */
tdm_status tdm__train_pass(tdm_trainer *t, tdm_epoch_report *report, bool *finished);
/* One pass over val or test. *finished is false when a stop was asked for before its end. */
tdm_status tdm__eval_pass(tdm_trainer *t, int split, tdm_epoch_report *report, bool *finished);
/* balancing.c: what the method of balancing learns from an epoch of training. */
tdm_status tdm__trainer_end_balancing(tdm_trainer *t, const tdm_epoch_report *train);
/* Warns when it did nothing in the whole run. */
void tdm__trainer_tell_inactive(tdm_trainer *t);
/* Freezes and unfreezes what is due where the run stands (train.unfreeze), and proves that what
 * stood still until now did. `first`: nothing stood still yet. */
tdm_status tdm__trainer_freeze(tdm_trainer *t, bool first);
/* keep.c */
bool tdm__trainer_should_stop(tdm_trainer *t);
/* Writes state.safetensors of the run folder. */
tdm_status tdm__trainer_save_state(tdm_trainer *t);
tdm_status tdm__trainer_save_weights(tdm_trainer *t, const char *name);
/* Removes a file of the run folder, if it is there. */
tdm_status tdm__trainer_drop(tdm_trainer *t, const char *name);
/* Removes checkpoints and state from the run folder (train.save_model: false). */
tdm_status tdm__trainer_drop_weights(tdm_trainer *t);
/* What is said and kept about an epoch in the user's own form; val may be NULL. */
tdm_status tdm__trainer_tell_epoch(tdm_trainer *t, const tdm_epoch_report *train,
                                   const tdm_epoch_report *val);
tdm_status tdm__trainer_tell_save(tdm_trainer *t, const tdm_epoch_report *report);
/* tuning.json of the run folder, where there is a tuning. */
tdm_status tdm__trainer_save_tuning(tdm_trainer *t, bool resumed);
/* summary.json; test may be NULL. */
tdm_status tdm__trainer_write_summary(tdm_trainer *t, const tdm_epoch_report *test);

/* Evaluation without a trainer: the pass itself. */
typedef struct tdm__eval_spec {
    tdm__session *session;
    tdm__feed *feed;
    tdm__feature_cache *cache; /* NULL: none */
    tdm__per_sample *samples;  /* NULL: they are not measured by themselves */
    tdm__purpose purpose;
    const char *split;
    int64_t limit;
    const tdm_train_events *events;
    tdm_task_report *tasks;
    tdm_metric_value *metrics;
    const char **names;
    double *losses;
    const volatile sig_atomic_t *stop; /* not 0: leave the pass; NULL: never */
} tdm__eval_spec;
tdm_status tdm__evaluate_feed(const tdm__eval_spec *spec, tdm_epoch_report *report);

#endif

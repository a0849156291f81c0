/* train/pipeline.h: a pipeline's inside, shared by its files. */
#ifndef TRAIN_PIPELINE_H
#define TRAIN_PIPELINE_H

#include <signal.h>
#include <stdatomic.h>

#include <tandem/pipeline.h>

#include "train/session.h"
#include "train/stage_record.h"

typedef struct tdm__stage {
    const char *name;   /* the configuration's */
    tdm_config *config; /* its own */
    size_t source;      /* the stage it begins with; SIZE_MAX: none */
    char *folder;       /* known from tdm_pipeline_run on */
} tdm__stage;

struct tdm_pipeline {
    const tdm_config *config;
    const tdm_train_events *events;
    tdm__stage *stages; /* in the order of the file */
    size_t n, *order;   /* order: the one they run in */
    size_t again;       /* place in `order` from which on stages run again; SIZE_MAX: none */
    size_t target, baseline_stage;          /* SIZE_MAX: not a stage */
    const char *output, *resume, *baseline; /* the configuration's; "": none */
    char *folder;
    tdm__stage_records records;
    _Atomic(tdm_trainer *) running;
    volatile sig_atomic_t stop; /* a tdm_status */
    tdm_stop_reason reason;
    double started;
};

/* outcome.c: what a pipeline leaves in its own folder, which makes it look like one run, that of
 * the target: config.yaml from the start; metrics.jsonl, best.safetensors and summary.json (with
 * `stages` and `baseline`) after the end. */
tdm_status tdm__outcome_begin(tdm_pipeline *p);
/* Removes what a changed stage makes untrue. */
tdm_status tdm__outcome_drop(tdm_pipeline *p);
tdm_status tdm__outcome_end(tdm_pipeline *p);

#endif

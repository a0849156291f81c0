/* train/run_folder.h: what a run leaves on disk: config.yaml, metrics.jsonl, summary.json,
 * TensorBoard events. Checkpoints are written by train/state.c beside them. */
#ifndef TRAIN_RUN_FOLDER_H
#define TRAIN_RUN_FOLDER_H

#include <tandem/train.h>

#include "format/json.h"
#include "format/tfevents.h"

typedef struct tdm__run_folder {
    char *path;
    tdm__tfevents *events; /* NULL: off */
} tdm__run_folder;

/* "runs/<name>-20260131-123456", to be freed. */
tdm_status tdm__run_folder_default(const tdm_config *config, char **out);
/* Creates `path` (empty: runs/<name>-<time>) and writes config.yaml. A folder that already holds a
 * run is TDM_ERR_CONFIG, unless resuming. */
tdm_status tdm__run_folder_open(tdm__run_folder *run, const tdm_config *config, const char *path,
                                bool resuming);
void tdm__run_folder_close(tdm__run_folder *run);
/* folder/name, to be freed. */
tdm_status tdm__run_folder_file(const tdm__run_folder *run, const char *name, char **out);

/* Appends a line to metrics.jsonl and the scalars to the event file. */
tdm_status tdm__run_folder_epoch(tdm__run_folder *run, const tdm_epoch_report *report);
/* Drops lines of epochs after `epoch` (1-based; 0 drops all): what a resumed run will write again.
 */
tdm_status tdm__run_folder_rewind(tdm__run_folder *run, int64_t epoch);
/* A report as JSON members into an open object. */
void tdm__report_json(tdm__json *j, const tdm_epoch_report *report);

#endif

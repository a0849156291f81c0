/* tandem/samples.h: the samples of an evaluated split one by one, in a file.
 *
 *     tdm_sample_file_open("samples.csv", &file);
 *     tdm_train_events events = {.sample = tdm_sample_file_add, .sample_user = file};
 *     status = tdm_evaluate(run, "test", NULL, 0, &events, &evaluation);
 *     status = tdm_sample_file_close(&file, status);
 *
 * A sample is written when it has been measured: memory does not grow with the split.
 */
#ifndef TANDEM_SAMPLES_H
#define TANDEM_SAMPLES_H

#include <tandem/train.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tdm_sample_file tdm_sample_file;

/* By the path's ending. .csv: a heading and a line for each number: index,row,task,metric,value
 * (the loss is a metric; no value where nothing of the sample counts). .json: an array with an
 * object for each sample: {"index", "row", "tasks": {NAME: {"loss", "metrics": {NAME: value or
 * null}}}}. Another ending: TDM_ERR_USAGE. The file appears when it is closed. */
tdm_status tdm_sample_file_open(const char *path, tdm_sample_file **out);
/* tdm_train_events.sample; user: the tdm_sample_file. */
tdm_status tdm_sample_file_add(void *user, const tdm_sample_report *sample);
/* Keeps the file if `status`, that of what was written into it, is TDM_OK; else an older one
 * stays. Returns `status`, or why the file could not be kept. */
tdm_status tdm_sample_file_close(tdm_sample_file **file, tdm_status status);

#ifdef __cplusplus
}
#endif
#endif

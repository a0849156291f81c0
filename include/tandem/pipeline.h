/* tandem/pipeline.h: training in stages, each beginning with what another one learnt.
 *
 *     name: species-to-mask
 *     stages:
 *       species: {extends: species.yaml}
 *       mask:    {extends: target-only.yaml, from: species, train: {freeze: [encoder.down]}}
 *
 * A stage is a configuration: the common keys of the file, and over them whatever stands behind
 * stages.NAME (tdm_config_stage). Its run folder is <output>/<stage>. Stages run in the order of
 * the file, but for those that another one begins with: these come before it. A stage that is done
 * is not run again while its configuration, the files of its data and the weights it began with are
 * the same.
 */
#ifndef TANDEM_PIPELINE_H
#define TANDEM_PIPELINE_H

#include <tandem/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Keys stages.*.from, pipeline.*. */
extern const tdm_opt_table tdm_pipeline_options;

typedef struct tdm_pipeline tdm_pipeline;

/* True when the resolved configuration has stages: it is no run by itself. */
bool tdm_pipeline_is(const tdm_config *config);
/* Resolves every stage and their order. TDM_ERR_CONFIG: a stage that begins with one that is not
 * there (with a suggestion) or, by any number of steps, with itself. The resolved configuration
 * must outlive the pipeline; events may be NULL, and are those of each stage in turn. */
tdm_status tdm_pipeline_create(const tdm_config *config, const tdm_train_events *events,
                               tdm_pipeline **out);
void tdm_pipeline_destroy(tdm_pipeline **pipeline);
/* The stages in their order, whether each will run, and what tdm_trainer_describe says of it.
 * Writes nothing. free(*out). */
tdm_status tdm_pipeline_describe(tdm_pipeline *pipeline, char **out);
/* Runs what is to be run. TDM_OK also when stopped by train.max_time (which counts for all stages
 * together); otherwise as tdm_trainer_run. */
tdm_status tdm_pipeline_run(tdm_pipeline *pipeline);
/* As tdm_trainer_stop. Async-signal-safe. */
void tdm_pipeline_stop(tdm_pipeline *pipeline, tdm_status status);
/* NULL before tdm_pipeline_run. */
const char *tdm_pipeline_folder(const tdm_pipeline *pipeline);
tdm_stop_reason tdm_pipeline_reason(const tdm_pipeline *pipeline);
/* After a run to the end: the target's test results, beside the baseline's where pipeline.baseline
 * names one. free(*out). */
tdm_status tdm_pipeline_results(tdm_pipeline *pipeline, char **out);

#ifdef __cplusplus
}
#endif
#endif

/* train/stage_measure.h: what a stage did to the weights it began with. */
#ifndef TRAIN_STAGE_MEASURE_H
#define TRAIN_STAGE_MEASURE_H

#include <tandem/config.h>

extern const tdm_opt_table tdm__measure_options;

/* TDM_ERR_CONFIG: transfer.measure asks for something else. */
tdm_status tdm__stage_measure_check(const tdm_config *config);
/* Compares a finished stage's checkpoint with the one that it began with: the weights always, and
 * what transfer.measure asks for. *json: {"weights": ..., "forgetting": ...}, *text: the same as
 * tables; free both. What cannot be measured is warned of and left out; NULL: nothing could be. */
tdm_status tdm__stage_measure(const tdm_config *config, const char *source, const char *folder,
                              char **json, char **text);

#endif

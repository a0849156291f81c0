/* report/record.h: what a run folder says, as named values: what runs are chosen by, listed with
 * and indexed under.
 *
 *     arm, seed, stopped, epochs, best_epoch, seconds      of the run as a whole
 *     step_seconds                                       of training, the median over epochs
 *     task.NAME.METRIC                                   on test; of the selected checkpoint
 *     val.NAME.METRIC                                    on val, in the best epoch
 *     summary.KEY                                        device, driver, version, peak memory, ...
 *     optim.lr, ...                                      the configuration
 */
#ifndef REPORT_RECORD_H
#define REPORT_RECORD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

typedef struct tdm__field {
    char *name, *text;
    double number; /* NaN: the text is none */
} tdm__field;

typedef struct tdm__record {
    tdm__field *fields;
    size_t n, capacity;
} tdm__record;

/* `stopped` of a run without a (readable) summary. */
#define TDM__RUN_UNFINISHED "unfinished"
#define TDM__RUN_DAMAGED "damaged"

void tdm__record_free(tdm__record *record);
const tdm__field *tdm__record_find(const tdm__record *record, const char *name);
tdm_status tdm__record_add(tdm__record *record, const char *name, const char *text);
tdm_status tdm__record_add_number(tdm__record *record, const char *name, double number);
/* Reads a run folder. What is damaged is left out, with the reason as the field `trouble`; other
 * failures are those of memory. */
tdm_status tdm__record_read(const char *folder, tdm__record *out);
/* summary.json and metrics.jsonl alone, from memory; `name` for messages. TDM_ERR_DATA. */
tdm_status tdm__record_parse_summary(tdm__record *record, const char *text, size_t size,
                                     const char *name);
tdm_status tdm__record_parse_metrics(tdm__record *record, const char *text, size_t size,
                                     const char *name);

#endif

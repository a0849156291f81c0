/* train/lines.h: lines of text about epochs, in the user's own form, and the files of accuracies
 * per epoch that the image-classification comparison keeps.
 *
 * A form is text with fields in braces, {NAME} or {NAME:SPEC}; {{ is a brace. SPEC is printf's
 * without %: width, precision, d, e, f or g (".4f", "04d"). NAME is one of
 *
 *     epoch, epochs, step, lr, seconds, path (of the checkpoint just written)
 *     SPLIT.total, SPLIT.TASK.loss, SPLIT.TASK.weight, SPLIT.TASK.METRIC     with SPLIT train or
 * val
 *
 * What a run does not have (no val split, a task that is not enabled) is nan.
 */
#ifndef TRAIN_LINES_H
#define TRAIN_LINES_H

#include "base/str.h"
#include "train/session.h"

typedef struct tdm__line_data {
    const tdm_epoch_report *train, *val; /* val: NULL without */
    const char *path;                    /* NULL: not known here */
    const tdm_config *config;            /* whose tasks may be named; NULL: only the reports' */
} tdm__line_data;

/* Appends the text. TDM_ERR_CONFIG: a field that does not exist; "{path}" without a path. */
tdm_status tdm__line_format(const char *form, const tdm__line_data *data, tdm__str *out);
/* Whether train.log_format and train.save_format can be formatted for this session's tasks. */
tdm_status tdm__lines_check(const tdm_config *config, const tdm__session *session);

/* "[Epoch 3] Accuracy: 0.5": the first metric of the report, of every task or part when there are
 * several; without the epoch where the report has none. */
void tdm__line_accuracy(const tdm_epoch_report *report, tdm__str *out);

/* Writes into `folder` history.json, a list of the first metric per epoch, or (several tasks) one
 * history_class<i>.json a task; with parts history.json and one history_class<i>.json a part. Read
 * from metrics.jsonl: a resumed run has all of it. Epochs are those of val, without val of train.
 */
tdm_status tdm__history_write(const char *folder);

#endif

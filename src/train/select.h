/* train/select.h: which number makes a checkpoint the best: "total", "losses", "TASK.loss",
 * "TASK.METRIC". Where some tasks are auxiliary, the total is that of the targets: the sum of their
 * weighted losses. "losses" is their sum without weights, which compares epochs and methods of
 * balancing by the same measure: a total whose weights move does not. */
#ifndef TRAIN_SELECT_H
#define TRAIN_SELECT_H

#include "train/session.h"

typedef struct tdm__selector {
    const tdm__session *session;
    size_t task;               /* SIZE_MAX: the total */
    bool plain;                /* without weights */
    const tdm__metric *metric; /* NULL: the loss */
    double min_delta;
} tdm__selector;

tdm_status tdm__selector_read(const tdm_config *config, const tdm__session *session,
                              tdm__selector *out);
double tdm__selector_value(const tdm__selector *selector, const tdm_epoch_report *report);
/* NaN is never better. */
bool tdm__selector_better(const tdm__selector *selector, double value, double best);

#endif

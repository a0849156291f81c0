/* train/evaluation.h: a checkpoint, its data and its network, opened to be measured. */
#ifndef TRAIN_EVALUATION_H
#define TRAIN_EVALUATION_H

#include "train/session.h"

/* What tdm_evaluate has before it runs: the session with the checkpoint's weights, and a feed over
 * the split (NULL: test). */
tdm_status tdm__evaluation_open(const char *path, const char *split, const char *const *assignments,
                                size_t n_assignments, tdm_evaluation **out);
tdm__session *tdm__evaluation_session(tdm_evaluation *evaluation);
tdm__feed *tdm__evaluation_feed(tdm_evaluation *evaluation);

#endif

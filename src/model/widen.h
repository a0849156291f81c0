/* model/widen.h: what becomes of a tensor whose layer has other outputs (rows, the first axis) or
 * other input channels than the checkpoint's. Values are in disk order (PyTorch's). */
#ifndef MODEL_WIDEN_H
#define MODEL_WIDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Names of classes in the order of their rows. n 0: not known. */
typedef struct tdm__class_list {
    const char *const *names;
    size_t n;
} tdm__class_list;

typedef struct tdm__row_edit {
    size_t *from; /* per new row: the old row, SIZE_MAX: it is new. NULL: no rows are edited */
    size_t n_old, n_new;
    size_t copied;
    bool by_name;
} tdm__row_edit;

/* Rows in order; or, where both lists have as many names as there are rows, by name. */
tdm_status tdm__row_edit_plan(size_t n_old, size_t n_new, const tdm__class_list *old,
                              const tdm__class_list *new, tdm__row_edit *out);
void tdm__row_edit_free(tdm__row_edit *edit);
/* new: holds the values that new rows begin with. row: elements of one. statistics: new rows are
 * drawn instead, element by element from N(mean, sd^2) of the old rows, from a stream of their
 * own. */
void tdm__row_edit_apply(const tdm__row_edit *edit, const float *old, size_t row, bool statistics,
                         uint64_t seed, uint64_t stream, float *new);

typedef enum tdm__channel_rule {
    TDM__CHANNELS_ERROR,
    TDM__CHANNELS_MEAN,  /* each new channel is old / new times the mean of the old: an input whose
                            channels are equal gives what it gave before */
    TDM__CHANNELS_REPEAT /* new channel c takes old c mod old, divided by how often that is taken
                            (or, when there are fewer, the sum of the old c, c + new, ...): an input
                            that repeats its old channels so gives what it gave before */
} tdm__channel_rule;

/* Kernels (out, old_in, elems) -> (out, new_in, elems). rule: not ERROR. */
void tdm__fit_channels(const float *old, size_t out, size_t old_in, size_t new_in, size_t elems,
                       tdm__channel_rule rule, float *new);

#endif

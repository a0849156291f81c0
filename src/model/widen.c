/* model/widen.c: see widen.h. */
#include "model/widen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static size_t find_name(const tdm__class_list *list, const char *name)
{
    for (size_t i = 0; i < list->n; i++)
        if (!strcmp(list->names[i], name)) return i;
    return SIZE_MAX;
}

tdm_status tdm__row_edit_plan(size_t n_old, size_t n_new, const tdm__class_list *old,
                              const tdm__class_list *new, tdm__row_edit *out)
{
    *out = (tdm__row_edit){.n_old = n_old, .n_new = n_new};
    out->by_name = n_old && n_new && old->n == n_old && new->n == n_new;
    const tdm_status status = tdm__calloc_try(n_new, sizeof *out->from, &out->from);
    if (status) return status;
    for (size_t i = 0; i < n_new; i++) {
        out->from[i] = out->by_name ? find_name(old, new->names[i]) : i < n_old ? i : SIZE_MAX;
        out->copied += out->from[i] != SIZE_MAX;
    }
    return TDM_OK;
}

void tdm__row_edit_free(tdm__row_edit *edit)
{
    free(edit->from);
    *edit = (tdm__row_edit){0};
}

/* Mean and standard deviation of an element over the old rows. */
static void moments(const float *old, size_t rows, size_t row, size_t at, double *mean, double *sd)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++) sum += old[i * row + at];
    *mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++) squares += pow(old[i * row + at] - *mean, 2);
    *sd = sqrt(squares / (double)rows);
}

void tdm__row_edit_apply(const tdm__row_edit *edit, const float *old, size_t row, bool statistics,
                         uint64_t seed, uint64_t stream, float *new)
{
    tdm__rng rng = tdm__rng_make(seed, stream);
    for (size_t k = 0; statistics && k < row; k++) {
        double mean, sd;
        moments(old, edit->n_old, row, k, &mean, &sd);
        for (size_t i = 0; i < edit->n_new; i++)
            if (edit->from[i] == SIZE_MAX)
                new[i * row + k] = (float)(mean + sd * tdm__rng_normal(&rng));
    }
    for (size_t i = 0; i < edit->n_new; i++)
        if (edit->from[i] != SIZE_MAX)
            memcpy(new + i *row, old + edit->from[i] * row, row * sizeof *new);
}

/* One new channel of one kernel at one place; `old`: that place of the kernel's first channel, with
 * `elems` from channel to channel. */
static double fitted(const float *old, size_t old_in, size_t new_in, size_t elems, size_t channel,
                     tdm__channel_rule rule)
{
    const size_t first = rule == TDM__CHANNELS_MEAN ? 0 : channel % old_in;
    const size_t step = rule == TDM__CHANNELS_MEAN ? 1 : new_in;
    double sum = 0;
    for (size_t i = first; i < old_in; i += step) sum += old[i * elems];
    if (rule == TDM__CHANNELS_MEAN) return sum / (double)new_in;
    const size_t taken = (new_in - first + old_in - 1) / old_in; /* by `channel` and its likes */
    return new_in > old_in ? sum / (double)taken : sum;
}

void tdm__fit_channels(const float *old, size_t out, size_t old_in, size_t new_in, size_t elems,
                       tdm__channel_rule rule, float *new)
{
    for (size_t o = 0; o < out; o++)
        for (size_t c = 0; c < new_in; c++)
            for (size_t k = 0; k < elems; k++)
                new[(o * new_in + c) * elems + k] =
                    (float)fitted(old + o * old_in * elems + k, old_in, new_in, elems, c, rule);
}

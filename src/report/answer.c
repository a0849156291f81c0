/* report/answer.c: see answer.h. The form follows from the loss (classes or not), the kind of the
 * target array and the shape of the output. */
#include "report/answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/npy.h"

typedef enum form { FORM_CLASS, FORM_MASK, FORM_PICTURE, FORM_MAP, FORM_BOX, FORM_VALUES } form;

static int64_t channels_of(const tdm__prediction *p)
{
    return p->sample.rank ? p->sample.dim[p->sample.rank - 1] : 1;
}

static form form_of(const tdm__prediction *p)
{
    const bool map = p->sample.rank == 3;
    if (p->classes && map) return FORM_MASK;
    if (p->classes && (p->elems == 1 || tdm__loss_takes_labels(p->task->loss))) return FORM_CLASS;
    if (p->target.kind == TDM_ARRAY_BOX && p->elems == 4) return FORM_BOX;
    if (map && p->target.kind == TDM_ARRAY_IMAGE) return FORM_PICTURE;
    if (map && channels_of(p) == 1) return FORM_MAP;
    if (map && channels_of(p) == 3) return FORM_PICTURE;
    return FORM_VALUES;
}

/* ---- classes -----------------------------------------------------------------------------------
 */

static uint64_t class_count(const tdm__prediction *p)
{
    return channels_of(p) == 1 ? 2 : (uint64_t)channels_of(p);
}

/* The data's names, where they are of these classes. */
static const char *const *names_of(const tdm__prediction *p)
{
    static const char *const answers[] = {"no", "yes"};
    const bool known = p->target.class_names && p->target.classes == class_count(p);
    if (known && !p->task->n_label_map) return p->target.class_names;
    return channels_of(p) == 1 ? answers : NULL;
}

/* The most probable class of one pixel or sample; probabilities of `channels` classes, or of yes.
 */
static int32_t best_class(const float *p, int64_t channels)
{
    if (channels == 1) return p[0] > 0.5f;
    int32_t best = 0;
    for (int32_t c = 1; c < channels; c++)
        if (p[c] > p[best]) best = c;
    return best;
}

/* The label that a loss would see; -1: it does not count. */
static int32_t true_label(const tdm__prediction *p, float value)
{
    const tdm__task *t = p->task;
    if (!(value >= 0) || value == (float)t->ignore_index) return -1;
    const uint64_t label = (uint64_t)lroundf(value);
    if (t->n_label_map) return label < t->n_label_map ? (int32_t)t->label_map[label] : -1;
    return label < class_count(p) ? (int32_t)label : -1;
}

static tdm_status label_maps(const tdm__answer *a, int32_t **predicted, int32_t **truth)
{
    tdm_status status = TDM_OK;
    const int64_t channels = channels_of(a->task);
    const uint64_t pixels = a->task->elems / (uint64_t)channels;
    *predicted = *truth = NULL;
    TDM_TRY(tdm__calloc_try(pixels, sizeof **predicted, predicted));
    if (a->truth) TDM_TRY(tdm__calloc_try(pixels, sizeof **truth, truth));
    for (uint64_t i = 0; i < pixels; i++) {
        (*predicted)[i] = best_class(a->values + i * (uint64_t)channels, channels);
        if (a->truth) (*truth)[i] = true_label(a->task, a->truth[i]);
    }
done:
    return status;
}

static int64_t true_class(const tdm__answer *a)
{
    return a->truth ? true_label(a->task, a->truth[0]) : -1;
}

/* ---- values ------------------------------------------------------------------------------------
 */

/* Target values in the units of the prediction: pictures stored as bytes are of 0..1. */
static float true_value(const tdm__answer *a, uint64_t i)
{
    const tdm__task *t = a->task->task;
    const bool bytes = a->task->target.kind == TDM_ARRAY_IMAGE && !a->task->target.is_float;
    for (size_t k = 0; k < t->n_invalid; k++)
        if (a->truth[i] == (float)t->invalid[k]) return NAN;
    return bytes ? a->truth[i] / 255 : a->truth[i];
}

static tdm_status true_values(const tdm__answer *a, float **out)
{
    *out = NULL;
    if (!a->truth) return TDM_OK;
    const tdm_status status = tdm__calloc_try(a->task->elems, sizeof **out, out);
    for (uint64_t i = 0; !status && i < a->task->elems; i++) (*out)[i] = true_value(a, i);
    return status;
}

/* Mean |e| over what counts; NaN: nothing. */
static double mean_error(const float *values, const float *truth, uint64_t n)
{
    double sum = 0;
    uint64_t count = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (isnan(truth[i])) continue;
        sum += fabs((double)values[i] - (double)truth[i]);
        count++;
    }
    return count ? sum / (double)count : NAN;
}

static double box_area(const double *b)
{
    return fmax(b[2] - b[0], 0) * fmax(b[3] - b[1], 0);
}

static double box_iou(const float *p, const float *t)
{
    double a[4], b[4], c[4];
    for (int k = 0; k < 4; k++) {
        a[k] = p[k];
        b[k] = t[k];
        if (isnan(b[k])) return NAN;
        c[k] = k < 2 ? fmax(a[k], b[k]) : fmin(a[k], b[k]);
    }
    const double inside = box_area(c), whole = box_area(a) + box_area(b) - inside;
    return whole > 0 ? inside / whole : 0;
}

/* ---- the array ---------------------------------------------------------------------------------
 */

static tdm_status write_mask(const tdm__answer *a, const char *path)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = &a->task->sample;
    const uint64_t dims[] = {(uint64_t)d->dim[0], (uint64_t)d->dim[1]};
    const bool narrow = class_count(a->task) <= 256;
    int32_t *labels = NULL, *truth = NULL;
    TDM_TRY(label_maps(a, &labels, &truth));
    uint8_t *bytes = (uint8_t *)labels; /* packed in place, from the front */
    for (uint64_t i = 0; narrow && i < dims[0] * dims[1]; i++) {
        const uint8_t label = (uint8_t)labels[i];
        bytes[i] = label;
    }
    TDM_TRY(tdm__npy_write(path,
                           tdm__elem_host(narrow ? TDM__ELEM_UINT : TDM__ELEM_INT, narrow ? 1 : 4),
                           2, dims, labels));
done:
    free(labels);
    free(truth);
    return status;
}

tdm_status tdm__answer_write(const tdm__answer *a, const char *path)
{
    uint64_t dims[TDM_MAX_RANK];
    if (form_of(a->task) == FORM_MASK) return write_mask(a, path);
    const tdm_desc *d = &a->task->sample;
    for (int i = 0; i < d->rank; i++) dims[i] = (uint64_t)d->dim[i];
    return tdm__npy_write(path, tdm__elem_host(TDM__ELEM_FLOAT, 4), d->rank, dims, a->values);
}

/* ---- JSON --------------------------------------------------------------------------------------
 */

static void number(tdm__json *j, const char *key, double value)
{
    tdm__json_key(j, key);
    tdm__json_number(j, value);
}

static void numbers(tdm__json *j, const char *key, const float *values, uint64_t n)
{
    tdm__json_key(j, key);
    tdm__json_open(j, '[');
    for (uint64_t i = 0; i < n; i++) tdm__json_number(j, values[i]);
    tdm__json_close(j, ']');
}

static void class_member(tdm__json *j, const char *key, const tdm__answer *a, int64_t c)
{
    const char *const *names = names_of(a->task);
    char with_name[64];
    tdm__json_key(j, key);
    tdm__json_int(j, c);
    if (!names || c < 0) return;
    snprintf(with_name, sizeof with_name, "%s_name", key);
    tdm__json_key(j, with_name);
    tdm__json_string(j, names[c]);
}

static void class_json(const tdm__answer *a, tdm__json *j)
{
    const int32_t best = best_class(a->values, channels_of(a->task));
    const double p = a->values[channels_of(a->task) == 1 ? 0 : best];
    class_member(j, "class", a, best);
    number(j, "probability", channels_of(a->task) == 1 && best == 0 ? 1 - p : p);
    if (true_class(a) >= 0) class_member(j, "truth", a, true_class(a));
}

/* Of this sample alone: eval's numbers are those of all pixels together. */
static tdm_status mask_json(const tdm__answer *a, tdm__json *j)
{
    tdm_status status = TDM_OK;
    const uint64_t n = class_count(a->task);
    const uint64_t pixels = a->task->elems / (uint64_t)channels_of(a->task);
    int32_t *labels = NULL, *truth = NULL;
    double *m = NULL;
    TDM_TRY(label_maps(a, &labels, &truth));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *m, &m));
    tdm__json_key(j, "pixels");
    tdm__json_open(j, '[');
    for (uint64_t c = 0; c < n; c++) {
        uint64_t count = 0;
        for (uint64_t i = 0; i < pixels; i++) count += labels[i] == (int32_t)c;
        tdm__json_uint(j, count);
    }
    tdm__json_close(j, ']');
    if (!truth) goto done;
    for (uint64_t i = 0; i < pixels; i++)
        if (truth[i] >= 0) m[(uint64_t)truth[i] * n + (uint64_t)labels[i]]++;
    for (const char *const *name =
             (const char *const[]){n == 2 ? "iou" : "miou", "pixel_accuracy", NULL};
         *name; name++)
        number(j, *name, tdm__metric_find(*name)->value(m, (int64_t)n));
done:
    free(labels);
    free(truth);
    free(m);
    return status;
}

static tdm_status values_json(const tdm__answer *a, tdm__json *j)
{
    const tdm__prediction *p = a->task;
    const form f = form_of(p);
    float *truth;
    const tdm_status status = true_values(a, &truth);
    if (status) return status;
    if (f == FORM_BOX || p->elems <= 16)
        numbers(j, f == FORM_BOX ? "box" : "values", a->values, p->elems);
    if (truth && p->elems <= 16) numbers(j, "truth", truth, p->elems);
    if (f == FORM_BOX && truth) number(j, "iou", box_iou(a->values, truth));
    if (truth) number(j, "l1", mean_error(a->values, truth, p->elems));
    if (p->elems > 16) {
        double low = INFINITY, high = -INFINITY, sum = 0;
        for (uint64_t i = 0; i < p->elems; i++) {
            low = fmin(low, a->values[i]);
            high = fmax(high, a->values[i]);
            sum += a->values[i];
        }
        number(j, "min", low);
        number(j, "max", high);
        number(j, "mean", sum / (double)p->elems);
    }
    free(truth);
    return TDM_OK;
}

tdm_status tdm__answer_json(const tdm__answer *a, const char *file, tdm__json *j)
{
    tdm_status status = TDM_OK;
    const form f = form_of(a->task);
    if (f == FORM_CLASS) class_json(a, j);
    if (f == FORM_MASK) status = mask_json(a, j);
    if (f != FORM_CLASS && f != FORM_MASK) status = values_json(a, j);
    tdm__json_key(j, "file");
    tdm__json_string(j, file);
    return status;
}

/* ---- panels ------------------------------------------------------------------------------------
 */

/* "depth", "depth: truth" */
static const char *title_of(const tdm__answer *a, bool truth, char out[96])
{
    snprintf(out, 96, "%s%s", a->task->task->name, truth ? ": truth" : "");
    return out;
}

static tdm_status draw_mask(const tdm__answer *a, tdm__sheet *sheet)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = &a->task->sample;
    const bool named = a->task->target.class_names != NULL;
    /* one output without names: what the task is called */
    const char *const own[] = {"background", a->task->task->name};
    const char *const *names = channels_of(a->task) == 1 && !named ? own : names_of(a->task);
    char title[96];
    int32_t *labels = NULL, *truth = NULL;
    TDM_TRY(label_maps(a, &labels, &truth));
    TDM_TRY(tdm__sheet_mask(sheet, title_of(a, false, title), labels, d->dim[0], d->dim[1],
                            class_count(a->task), names));
    if (truth)
        TDM_TRY(tdm__sheet_mask(sheet, title_of(a, true, title), truth, d->dim[0], d->dim[1],
                                class_count(a->task), names));
done:
    free(labels);
    free(truth);
    return status;
}

/* Prediction and truth share the scale: the range of what counts in the truth, else of the
 * prediction. */
static tdm_status draw_map(const tdm__answer *a, tdm__sheet *sheet, const float *truth)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = &a->task->sample;
    const float *of = truth ? truth : a->values;
    double low = INFINITY, high = -INFINITY;
    char title[96];
    for (uint64_t i = 0; i < a->task->elems; i++) {
        low = fmin(low, of[i]);
        high = fmax(high, of[i]);
    }
    if (!(low <= high)) low = high = 0;
    TDM_TRY(tdm__sheet_map(sheet, title_of(a, false, title), a->values, d->dim[0], d->dim[1], low,
                           high));
    if (truth)
        TDM_TRY(tdm__sheet_map(sheet, title_of(a, true, title), truth, d->dim[0], d->dim[1], low,
                               high));
done:
    return status;
}

static tdm_status draw_picture(const tdm__answer *a, tdm__sheet *sheet, const float *truth)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = &a->task->sample;
    char title[96];
    TDM_TRY(tdm__sheet_picture(sheet, title_of(a, false, title), a->values, d->dim[0], d->dim[1],
                               d->dim[2]));
    if (truth && !a->shown)
        TDM_TRY(tdm__sheet_picture(sheet, title_of(a, true, title), truth, d->dim[0], d->dim[1],
                                   d->dim[2]));
done:
    return status;
}

static tdm_status draw_class(const tdm__answer *a, tdm__sheet *sheet)
{
    char title[96];
    const float yes = a->values[0], two[] = {1 - yes, yes};
    const bool binary = channels_of(a->task) == 1;
    return tdm__sheet_classes(sheet, title_of(a, false, title), binary ? two : a->values,
                              class_count(a->task), names_of(a->task), true_class(a));
}

static tdm_status draw_values(const tdm__answer *a, tdm__sheet *sheet)
{
    tdm_status status = TDM_OK;
    float *truth = NULL;
    char title[96];
    title_of(a, false, title);
    TDM_TRY(true_values(a, &truth));
    switch (form_of(a->task)) {
    case FORM_BOX:
        TDM_TRY(tdm__sheet_boxes(sheet, title, a->values, truth, a->input_h, a->input_w));
        break;
    case FORM_MAP:
        TDM_TRY(draw_map(a, sheet, truth));
        break;
    case FORM_PICTURE:
        TDM_TRY(draw_picture(a, sheet, truth));
        break;
    default:
        TDM_TRY(tdm__sheet_values(sheet, title, a->values, truth, a->task->elems));
    }
done:
    free(truth);
    return status;
}

tdm_status tdm__answer_draw(const tdm__answer *a, tdm__sheet *sheet)
{
    const form f = form_of(a->task);
    if (f == FORM_CLASS) return draw_class(a, sheet);
    if (f == FORM_MASK) return draw_mask(a, sheet);
    return draw_values(a, sheet);
}

/* task/metrics.c: metrics computed on the host from whole-split accumulators (METHODS 21: never an
 * average of per-batch values). */
#include <math.h>
#include <string.h>

#include "task/task.h"

/* ---- from accuracy counts: correct, valid
 * -------------------------------------------------------- */

static double ratio(double a, double b)
{
    return b > 0 ? a / b : NAN;
}

static double accuracy(const double *s, int64_t classes)
{
    (void)classes;
    return ratio(s[0], s[1]);
}

/* ---- from the confusion matrix m[label * n + prediction]
 * ------------------------------------------ */

typedef struct class_counts {
    double tp, fp, fn;
} class_counts;

static class_counts counts_of(const double *m, int64_t n, int64_t c)
{
    class_counts k = {m[c * n + c], 0, 0};
    for (int64_t i = 0; i < n; i++) {
        if (i == c) continue;
        k.fp += m[i * n + c];
        k.fn += m[c * n + i];
    }
    return k;
}

static double pixel_accuracy(const double *m, int64_t n)
{
    double correct = 0, all = 0;
    for (int64_t i = 0; i < n * n; i++) all += m[i];
    for (int64_t c = 0; c < n; c++) correct += m[c * n + c];
    return ratio(correct, all);
}

/* Mean of f over the classes for which it is defined. */
static double class_mean(const double *m, int64_t n, double (*f)(class_counts))
{
    double sum = 0;
    int64_t defined = 0;
    for (int64_t c = 0; c < n; c++) {
        const double v = f(counts_of(m, n, c));
        if (isnan(v)) continue;
        sum += v;
        defined++;
    }
    return defined ? sum / (double)defined : NAN;
}

static double iou_of(class_counts k)
{
    return ratio(k.tp, k.tp + k.fp + k.fn);
}
static double precision_of(class_counts k)
{
    return ratio(k.tp, k.tp + k.fp);
}
static double recall_of(class_counts k)
{
    return ratio(k.tp, k.tp + k.fn);
}
static double f1_of(class_counts k)
{
    return ratio(2 * k.tp, 2 * k.tp + k.fp + k.fn);
}

/* Classes whose union is empty do not count. */
static double miou(const double *m, int64_t n)
{
    return class_mean(m, n, iou_of);
}
static double balanced_accuracy(const double *m, int64_t n)
{
    return class_mean(m, n, recall_of);
}

tdm__class_metrics tdm__metrics_of_class(const double *m, int64_t n, int64_t c)
{
    const class_counts k = counts_of(m, n, c);
    return (tdm__class_metrics){k.tp + k.fn, precision_of(k), recall_of(k), iou_of(k), f1_of(k)};
}

double tdm__accuracy_of_class(const double *m, int64_t n, int64_t c)
{
    const class_counts k = counts_of(m, n, c);
    double all = 0;
    for (int64_t i = 0; i < n * n; i++) all += m[i];
    return ratio(all - k.fp - k.fn, all);
}

static double macro_f1(const double *m, int64_t n)
{
    return class_mean(m, n, f1_of);
}

/* Two classes: F1 (= Dice) of class 1; more: the mean over the classes. */
static double f1(const double *m, int64_t n)
{
    return n == 2 ? f1_of(counts_of(m, n, 1)) : class_mean(m, n, f1_of);
}

/* Two classes: IoU of class 1, the foreground; more: as miou. */
static double iou(const double *m, int64_t n)
{
    return n == 2 ? iou_of(counts_of(m, n, 1)) : miou(m, n);
}

/* Accuracy of always answering the most frequent label. */
static double majority(const double *m, int64_t n)
{
    double most = 0, all = 0;
    for (int64_t c = 0; c < n; c++) {
        double labels = 0;
        for (int64_t i = 0; i < n; i++) labels += m[c * n + i];
        if (labels > most) most = labels;
        all += labels;
    }
    return ratio(most, all);
}

/* ---- from regression sums: |e|, e^2, |e|/|y|, count y != 0, count delta < 1.25, count valid,
 * counts delta < 1.25^2 and < 1.25^3
 * --------------------------------------------------------------------
 */

static double l1(const double *s, int64_t n)
{
    return (void)n, ratio(s[0], s[5]);
}
static double l2(const double *s, int64_t n)
{
    return (void)n, ratio(s[1], s[5]);
}
static double rmse(const double *s, int64_t n)
{
    return sqrt(l2(s, n));
}
static double rel_error(const double *s, int64_t n)
{
    return (void)n, ratio(s[2], s[3]);
}
static double delta1(const double *s, int64_t n)
{
    return (void)n, ratio(s[4], s[5]);
}
static double delta2(const double *s, int64_t n)
{
    return (void)n, ratio(s[6], s[5]);
}
static double delta3(const double *s, int64_t n)
{
    return (void)n, ratio(s[7], s[5]);
}
/* Peak 1: pixels in [0,1]. */
static double psnr(const double *s, int64_t n)
{
    return -10 * log10(l2(s, n));
}

/* ---- from box sums: IoU, |e| of four coordinates, count, count IoU >= 1/2
 * ----------------------- */

static double box_iou(const double *s, int64_t n)
{
    return (void)n, ratio(s[0], s[2]);
}
static double box_l1(const double *s, int64_t n)
{
    return (void)n, ratio(s[1], 4 * s[2]);
}
static double box_hits(const double *s, int64_t n)
{
    return (void)n, ratio(s[3], s[2]);
}

const tdm__metric tdm__metrics[] = {
    {"accuracy", TDM__METER_ACCURACY, true, accuracy},
    {"top5", TDM__METER_TOP5, true, accuracy},
    {"pixel_accuracy", TDM__METER_CONFUSION, true, pixel_accuracy},
    {"balanced_accuracy", TDM__METER_CONFUSION, true, balanced_accuracy},
    {"majority", TDM__METER_CONFUSION, true, majority, .baseline = true},
    {"miou", TDM__METER_CONFUSION, true, miou},
    {"iou", TDM__METER_CONFUSION, true, iou},
    {"f1", TDM__METER_CONFUSION, true, f1},
    {"dice", TDM__METER_CONFUSION, true, f1},
    {"macro_f1", TDM__METER_CONFUSION, true, macro_f1},
    {"l1", TDM__METER_REGRESSION, false, l1, .unit = 1},
    {"abs_error", TDM__METER_REGRESSION, false, l1, .unit = 1},
    {"l2", TDM__METER_REGRESSION, false, l2, .unit = 2},
    {"rmse", TDM__METER_REGRESSION, false, rmse, .unit = 1},
    {"rel_error", TDM__METER_REGRESSION, false, rel_error},
    {"delta1", TDM__METER_REGRESSION, true, delta1},
    {"delta2", TDM__METER_REGRESSION, true, delta2},
    {"delta3", TDM__METER_REGRESSION, true, delta3},
    {"psnr", TDM__METER_REGRESSION, true, psnr},
    {"box_iou", TDM__METER_BOX, true, box_iou},
    {"box_l1", TDM__METER_BOX, false, box_l1, .unit = 1},
    {"box_iou50", TDM__METER_BOX, true, box_hits},
    {NULL},
};

const tdm__metric *tdm__metric_find(const char *name)
{
    for (const tdm__metric *m = tdm__metrics; m->name; m++)
        if (!strcmp(m->name, name)) return m;
    return NULL;
}

bool tdm__metric_of_sample(const tdm__metric *m, bool single)
{
    /* of classes there is one label, right or wrong: means over classes say nothing more */
    const bool of_classes = m->meter == TDM__METER_CONFUSION && m->value != pixel_accuracy;
    return !m->baseline && !(single && of_classes);
}

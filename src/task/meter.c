/* task/meter.c: accumulators of losses and metrics on the device, one buffer a split.
 *
 * Every quantity is a pair of floats (sum, compensation): their sum as doubles is the value.
 * Layout: total loss and the model's penalty (means), then per task: loss (a mean), that of an
 * intermediate prediction (a mean, if there is one) and its meters' blocks. A mean is three pairs,
 * as tdm_metric_mean has them.
 */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "task/task.h"

enum { MEAN = 3 }; /* pairs: sum, weight, step */

/* A block of accumulators: pairs starting at `first` (counted in pairs). */
typedef struct block {
    uint64_t first, pairs;
} block;

typedef struct task_blocks {
    block loss, intermediate, meters[TDM__METER_KINDS], groups;
    double *parts; /* of the snapshot; n_parts, which is 0 and NULL without */
    size_t n_parts;
} task_blocks;

struct tdm__meter {
    tdm_device *device;
    const tdm__task *tasks;
    size_t n;
    task_blocks *blocks;
    block total, penalty;
    uint64_t pairs;
    tdm__buffer buffer;
    float *raw;     /* 2 * pairs */
    double *values; /* pairs */
};

static uint64_t meter_pairs(const tdm__task *t, tdm__meter_kind kind)
{
    const uint64_t side = t->classes == 1 ? 2 : (uint64_t)t->classes;
    switch (kind) {
    case TDM__METER_ACCURACY:
    case TDM__METER_TOP5:
        return 2;
    case TDM__METER_INSTANCE_COSINE:
    case TDM__METER_INSTANCE_ZEROS:
        return MEAN;
    case TDM__METER_CONFUSION:
        return side * side;
    case TDM__METER_BOX:
        return 4;
    default:
        return 8;
    }
}

/* Blocks start at multiples of the view alignment. */
static block take(tdm__meter *m, uint64_t pairs)
{
    const uint64_t unit = tdm__device_traits(m->device)->align / (2 * sizeof(float));
    const block b = {m->pairs, pairs};
    m->pairs += (pairs + unit - 1) / unit * unit;
    return b;
}

static tdm_status take_parts(tdm__meter *m, size_t task)
{
    const tdm__task *t = &m->tasks[task];
    task_blocks *b = &m->blocks[task];
    if (t->parts == TDM__PARTS_NONE) return TDM_OK;
    b->n_parts = t->parts == TDM__PARTS_GROUPS ? t->n_parts : (size_t)t->classes;
    if (t->parts == TDM__PARTS_GROUPS) b->groups = take(m, 2 * b->n_parts);
    return tdm__calloc_try(b->n_parts, sizeof *b->parts, &b->parts);
}

tdm_status tdm__meter_create(tdm_device *device, const tdm__task *tasks, size_t n, tdm__meter **out)
{
    tdm_status status = TDM_OK;
    tdm__meter *m = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *m, &m));
    m->device = device;
    m->tasks = tasks;
    m->n = n;
    TDM_TRY(tdm__calloc_try(n, sizeof *m->blocks, &m->blocks));
    m->total = take(m, MEAN);
    m->penalty = take(m, MEAN);
    for (size_t t = 0; t < n; t++) {
        m->blocks[t].loss = take(m, MEAN);
        if (tasks[t].intermediate) m->blocks[t].intermediate = take(m, MEAN);
        for (int k = 0; k < TDM__METER_KINDS; k++)
            if (tasks[t].meters & (1u << k))
                m->blocks[t].meters[k] = take(m, meter_pairs(&tasks[t], (tdm__meter_kind)k));
        TDM_TRY(take_parts(m, t));
    }
    TDM_TRY(tdm__calloc_try(2 * m->pairs, sizeof *m->raw, &m->raw));
    TDM_TRY(tdm__calloc_try(m->pairs, sizeof *m->values, &m->values));
    TDM_TRY(tdm__buffer_create(device, 2 * m->pairs * sizeof(float), true, "metrics", &m->buffer));
    *out = m;
    m = NULL;
done:
    tdm__meter_destroy(&m);
    return status;
}

void tdm__meter_destroy(tdm__meter **meter)
{
    tdm__meter *m = *meter;
    if (!m) return;
    tdm__buffer_destroy(m->device, &m->buffer);
    for (size_t t = 0; m->blocks && t < m->n; t++) free(m->blocks[t].parts);
    free(m->blocks);
    free(m->raw);
    free(m->values);
    free(m);
    *meter = NULL;
}

static tdm_value accumulator(tdm__meter *m, tdm_graph *g, const char *name, tdm_desc desc, block b)
{
    const tdm_value acc = tdm_graph_variable(g, name, desc, false);
    tdm__graph_place(g, acc, (tdm__view){&m->buffer, b.first * 2 * sizeof(float)});
    return acc;
}

/* Yes-and-no answers as rows of one, however many an output has. */
static tdm_value binary_rows(tdm_graph *g, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(g, x);
    return d ? tdm_reshape(g, x, 2, (int64_t[]){tdm_desc_count(d), 1}) : TDM_NO_VALUE;
}

static void meter_classes(tdm__meter *m, tdm_graph *g, size_t task, tdm_value pred,
                          tdm_value target)
{
    const tdm__task *t = &m->tasks[task];
    const task_blocks *b = &m->blocks[task];
    const tdm_desc pair = tdm_desc_2(TDM_F32, 2, 2);
    tdm_value acc;
    if (tdm__loss_is_binary(t->loss)) {
        pred = binary_rows(g, pred);
        target = binary_rows(g, target);
    }
    if (t->meters & (1u << TDM__METER_ACCURACY)) {
        acc = accumulator(m, g, "accuracy", pair, b->meters[TDM__METER_ACCURACY]);
        tdm_graph_keep(g, tdm_metric_accuracy(g, pred, target, 1, t->ignore_index, acc));
    }
    if (t->meters & (1u << TDM__METER_TOP5)) {
        acc = accumulator(m, g, "top5", pair, b->meters[TDM__METER_TOP5]);
        const int k = t->classes < 5 ? (int)t->classes : 5;
        tdm_graph_keep(g, tdm_metric_accuracy(g, pred, target, k, t->ignore_index, acc));
    }
    if (t->meters & (1u << TDM__METER_CONFUSION)) {
        const int64_t side = t->classes == 1 ? 2 : t->classes;
        acc = accumulator(m, g, "confusion", tdm_desc_3(TDM_F32, side, side, 2),
                          b->meters[TDM__METER_CONFUSION]);
        tdm_graph_keep(g, tdm_metric_confusion(g, pred, target, t->ignore_index, acc));
    }
    if (t->parts == TDM__PARTS_GROUPS) {
        const tdm_value part_of =
            tdm_graph_variable(g, "part_of", tdm_desc_1(TDM_I32, (int64_t)t->n_part_of), false);
        tdm__graph_place(g, part_of, (tdm__view){(tdm__buffer *)&t->part_buffer, 0});
        acc =
            accumulator(m, g, "parts", tdm_desc_2(TDM_F32, 2 * (int64_t)t->n_parts, 2), b->groups);
        tdm_graph_keep(g, tdm_metric_parts(g, pred, target, part_of, t->ignore_index, acc));
    }
}

static void meter_values(tdm__meter *m, tdm_graph *g, size_t task, tdm_value pred, tdm_value target)
{
    const tdm__task *t = &m->tasks[task];
    const task_blocks *b = &m->blocks[task];
    tdm_value acc;
    if (t->meters & (1u << TDM__METER_REGRESSION)) {
        acc = accumulator(m, g, "regression", tdm_desc_2(TDM_F32, 8, 2),
                          b->meters[TDM__METER_REGRESSION]);
        const tdm_value x = tdm__loss_is_binary(t->loss) ? tdm_sigmoid(g, pred) : pred;
        tdm_graph_keep(g, tdm_metric_regression(g, x, target, TDM_NO_VALUE, acc));
    }
    if (t->meters & (1u << TDM__METER_BOX)) {
        acc = accumulator(m, g, "box", tdm_desc_2(TDM_F32, 4, 2), b->meters[TDM__METER_BOX]);
        tdm_graph_keep(g, tdm_metric_box(g, pred, target, acc));
    }
}

void tdm__meter_task(tdm__meter *m, tdm_graph *g, size_t task, tdm_value pred, tdm_value target,
                     tdm__loss_value loss, int64_t count)
{
    const tdm_value acc =
        accumulator(m, g, "loss", tdm_desc_2(TDM_F32, MEAN, 2), m->blocks[task].loss);
    tdm_graph_keep(g, tdm_metric_mean(g, loss.loss, (float)count, loss.total, acc));
    meter_classes(m, g, task, pred, target);
    meter_values(m, g, task, pred, target);
}

void tdm__meter_intermediate(tdm__meter *m, tdm_graph *g, size_t task, tdm__loss_value loss,
                             int64_t count)
{
    const tdm_value acc =
        accumulator(m, g, "loss", tdm_desc_2(TDM_F32, MEAN, 2), m->blocks[task].intermediate);
    tdm_graph_keep(g, tdm_metric_mean(g, loss.loss, (float)count, loss.total, acc));
}

void tdm__meter_total(tdm__meter *m, tdm_graph *g, tdm_value total, int64_t count)
{
    const tdm_value acc = accumulator(m, g, "total", tdm_desc_2(TDM_F32, MEAN, 2), m->total);
    tdm_graph_keep(g, tdm_metric_mean(g, total, (float)count, TDM_NO_VALUE, acc));
}

void tdm__meter_penalty(tdm__meter *m, tdm_graph *g, tdm_value penalty, int64_t count)
{
    const tdm_value acc = accumulator(m, g, "penalty", tdm_desc_2(TDM_F32, MEAN, 2), m->penalty);
    tdm_graph_keep(g, tdm_metric_mean(g, penalty, (float)count, TDM_NO_VALUE, acc));
}

void tdm__meter_instances(tdm__meter *m, tdm_graph *g, size_t task, tdm_value cosine,
                          tdm_value zeros, int64_t count)
{
    const tdm_desc mean = tdm_desc_2(TDM_F32, MEAN, 2);
    const block *b = m->blocks[task].meters;
    tdm_value acc = accumulator(m, g, "instance_cosine", mean, b[TDM__METER_INSTANCE_COSINE]);
    tdm_graph_keep(g, tdm_metric_mean(g, cosine, (float)count, TDM_NO_VALUE, acc));
    acc = accumulator(m, g, "instance_zeros", mean, b[TDM__METER_INSTANCE_ZEROS]);
    tdm_graph_keep(g, tdm_metric_mean(g, zeros, (float)count, TDM_NO_VALUE, acc));
}

tdm_status tdm__meter_reset(tdm__meter *m)
{
    return tdm__view_fill(m->device, (tdm__view){&m->buffer, 0}, 0, 2 * m->pairs * sizeof(float));
}

static void read_parts(tdm__meter *m, size_t task)
{
    const tdm__task *t = &m->tasks[task];
    task_blocks *b = &m->blocks[task];
    const double *groups = m->values + b->groups.first;
    for (size_t i = 0; i < b->n_parts; i++) {
        if (t->parts == TDM__PARTS_GROUPS)
            b->parts[i] = groups[2 * i + 1] > 0 ? groups[2 * i] / groups[2 * i + 1] : NAN;
        else
            b->parts[i] =
                tdm__accuracy_of_class(tdm__meter_confusion(m, task), t->classes, (int64_t)i);
    }
}

tdm_status tdm__meter_read(tdm__meter *m)
{
    tdm_status status = tdm__meter_export(m, m->raw);
    if (status) return status;
    for (uint64_t i = 0; i < m->pairs; i++)
        m->values[i] = (double)m->raw[2 * i] + (double)m->raw[2 * i + 1];
    for (size_t t = 0; t < m->n; t++) read_parts(m, t);
    return TDM_OK;
}

const double *tdm__meter_parts(const tdm__meter *m, size_t task, size_t *n)
{
    *n = m->blocks[task].n_parts;
    return m->blocks[task].parts;
}

static double mean_of(const tdm__meter *m, block b)
{
    const double weight = m->values[b.first + 1];
    return weight > 0 ? m->values[b.first] / weight : NAN;
}

static double mean_of_kind(const tdm__meter *m, size_t task, tdm__meter_kind kind)
{
    const block *b = &m->blocks[task].meters[kind];
    const double *sums = m->values + b->first;
    return b->pairs && sums[1] > 0 ? sums[0] / sums[1] : NAN;
}

double tdm__meter_instance_cosine(const tdm__meter *m, size_t task)
{
    return mean_of_kind(m, task, TDM__METER_INSTANCE_COSINE);
}

double tdm__meter_instance_zeros(const tdm__meter *m, size_t task)
{
    return mean_of_kind(m, task, TDM__METER_INSTANCE_ZEROS);
}

double tdm__meter_loss(const tdm__meter *m, size_t task)
{
    return mean_of(m, m->blocks[task].loss);
}
double tdm__meter_intermediate_loss(const tdm__meter *m, size_t task)
{
    return m->tasks[task].intermediate ? mean_of(m, m->blocks[task].intermediate) : NAN;
}
double tdm__meter_samples(const tdm__meter *m, size_t task)
{
    return m->values[m->blocks[task].loss.first + 1];
}

int64_t tdm__meter_bad_step(const tdm__meter *m, size_t task)
{
    return (int64_t)m->values[m->blocks[task].loss.first + 2];
}

double tdm__meter_total_loss(const tdm__meter *m)
{
    return mean_of(m, m->total);
}

double tdm__meter_penalty_mean(const tdm__meter *m)
{
    return mean_of(m, m->penalty);
}

int64_t tdm__task_sides(const tdm__task *t)
{
    return t->classes == 1 ? 2 : t->classes;
}

double tdm__meter_metric(const tdm__meter *m, size_t task, const tdm__metric *metric)
{
    const tdm__task *t = &m->tasks[task];
    return metric->value(m->values + m->blocks[task].meters[metric->meter].first,
                         tdm__task_sides(t)) *
           pow(t->target_scale, metric->unit);
}

const double *tdm__meter_confusion(const tdm__meter *m, size_t task)
{
    const block b = m->blocks[task].meters[TDM__METER_CONFUSION];
    return b.pairs ? m->values + b.first : NULL;
}

size_t tdm__meter_size(const tdm__meter *m)
{
    return 2 * (size_t)m->pairs;
}

tdm_status tdm__meter_export(tdm__meter *m, float *out)
{
    return tdm__view_read(m->device, (tdm__view){&m->buffer, 0}, out, 2 * m->pairs * sizeof(float));
}

tdm_status tdm__meter_import(tdm__meter *m, const float *values)
{
    return tdm__view_write(m->device, (tdm__view){&m->buffer, 0}, values,
                           2 * m->pairs * sizeof(float));
}

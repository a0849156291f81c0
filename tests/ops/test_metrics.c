/* Metrics over a whole split: several batches with a short last one, ignored labels, masks, values
 * without a reading, against sums made here in double over all samples at once. Both styles. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/support.h"
#include "task/task.h"

static const tdm_kernel_style styles[] = {TDM_STYLE_CPU, TDM_STYLE_GPU};

enum { SAMPLES = 71, BATCH = 16, MOST = SAMPLES * 64 };

/* One task's data, all samples; labels are int32_t, everything else float. */
typedef struct data {
    int pred_size, target_size, mask_size; /* elements a sample; mask 0: none */
    float pred[MOST], mask[MOST];
    union {
        float values[MOST];
        int32_t labels[MOST];
    } target;
} data;

typedef struct shapes {
    tdm_desc pred, target, mask; /* dim[0] is put in */
} shapes;

static uint32_t state;
static double draw(void) /* [0,1) */
{
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 8) / (1 << 24);
}

/* ---- running ----------------------------------------------------------------------------------
 */

typedef struct batch_graph {
    tdm_graph *graph;
    tdm__plan *plan;
    tdm_value inputs[3];
    tdm__buffer step, buffers[3];
} batch_graph;

static void build(batch_graph *b, tdm_device *device, tdm__meter *meter, const tdm__task *task,
                  shapes s, int count)
{
    s.pred.dim[0] = s.target.dim[0] = s.mask.dim[0] = count;
    support_ok(tdm_graph_create(&b->graph));
    tdm_graph *g = b->graph;
    b->inputs[0] = tdm_graph_input(g, "pred", s.pred);
    b->inputs[1] = tdm_graph_input(g, "target", s.target);
    b->inputs[2] = s.mask.rank ? tdm_graph_input(g, "mask", s.mask) : TDM_NO_VALUE;
    const tdm_value target = tdm__task_target(task, g, b->inputs[0], b->inputs[1], b->inputs[2]);
    const tdm__loss_value loss = tdm__task_loss(task, g, b->inputs[0], target);
    tdm__meter_task(meter, g, 0, b->inputs[0], target, loss, count);
    support_ok(tdm_graph_status(g));
    support_ok(tdm__buffer_create(device, sizeof(tdm__step), true, "step", &b->step));
    support_ok(
        tdm__plan_create(g, &(tdm__plan_spec){.device = device, .step = {&b->step, 0}}, &b->plan));
}

static void run_batch(batch_graph *b, tdm_device *device, const data *d, int first, int count)
{
    const void *from[] = {d->pred + first * d->pred_size, d->target.values + first * d->target_size,
                          d->mask + first * d->mask_size};
    const int sizes[] = {d->pred_size, d->target_size, d->mask_size};
    for (int i = 0; i < 3 && sizes[i]; i++) {
        const uint64_t bytes = (uint64_t)(count * sizes[i]) * 4;
        const tdm__view view = {&b->buffers[i], 0};
        if (!b->buffers[i].bytes)
            support_ok(tdm__buffer_create(device, bytes, false, "batch", &b->buffers[i]));
        support_ok(tdm__view_write(device, view, from[i], bytes));
        support_ok(tdm__plan_bind(b->plan, b->inputs[i], view));
    }
    support_ok(tdm__plan_run(b->plan));
}

static void free_batch(batch_graph *b, tdm_device *device)
{
    tdm__plan_destroy(&b->plan);
    tdm_graph_destroy(&b->graph);
    tdm__buffer_destroy(device, &b->step);
    for (int i = 0; i < 3; i++) tdm__buffer_destroy(device, &b->buffers[i]);
}

/* Feeds everything in batches and reads the meter. */
static tdm__meter *measure(tdm_device *device, const tdm__task *task, shapes s, const data *d)
{
    tdm__meter *meter = NULL;
    support_ok(tdm__meter_create(device, task, 1, &meter));
    support_ok(tdm__meter_reset(meter));
    batch_graph whole = {0}, rest = {0};
    build(&whole, device, meter, task, s, BATCH);
    build(&rest, device, meter, task, s, SAMPLES % BATCH);
    for (int first = 0; first < SAMPLES; first += BATCH)
        run_batch(SAMPLES - first < BATCH ? &rest : &whole, device, d, first,
                  SAMPLES - first < BATCH ? SAMPLES - first : BATCH);
    support_ok(tdm__meter_read(meter));
    free_batch(&whole, device);
    free_batch(&rest, device);
    return meter;
}

static void wants(const tdm__meter *meter, const char *name, double want)
{
    const double got = tdm__meter_metric(meter, 0, tdm__metric_find(name));
    ck_assert_msg(fabs(got - want) <= 2e-6 * fabs(want), "%s is %.9g instead of %.9g", name, got,
                  want);
}

static tdm_device *open_device(int style)
{
    tdm_device *device;
    support_ok(tdm_device_open(&(tdm_device_spec){.style = styles[style]}, &device));
    return device;
}

static tdm__task task_of(tdm__loss_kind loss, unsigned meters, int64_t classes)
{
    return (tdm__task){.name = (char *)"t",
                       .target = "target",
                       .loss = loss,
                       .weight = 1,
                       .huber_delta = 1,
                       .pos_weight = 1,
                       .ignore_index = -1,
                       .target_scale = 1,
                       .meters = meters,
                       .classes = classes};
}

static void close(tdm_device *device, tdm__meter *meter, data *d)
{
    tdm__meter_destroy(&meter);
    tdm_device_destroy(&device);
    free(d);
}

/* ---- classes a pixel, a mask per sample --------------------------------------------------------
 */

START_TEST(pixels)
{
    enum { H = 5, W = 3, C = 4 };
    data *d = calloc(1, sizeof *d);
    tdm_device *device = open_device(_i);
    double m[C][C] = {{0}}, correct = 0, all = 0, iou = 0, f1 = 0, recall = 0;
    *d = (data){.pred_size = H * W * C, .target_size = H * W, .mask_size = 1};
    state = 5;
    for (int n = 0; n < SAMPLES; n++) {
        d->mask[n] = n % 7 != 3;
        for (int p = 0; p < H * W; p++) {
            const int at = n * H * W + p;
            /* class 3 is never a label; now and then a pixel is not labelled */
            d->target.labels[at] = draw() < 0.15 ? (draw() < 0.5 ? -1 : 9) : (int)(draw() * 3);
            int best = 0;
            for (int c = 0; c < C; c++) {
                d->pred[at * C + c] = (float)(draw() + (c == d->target.labels[at] ? 0.4 : 0));
                if (d->pred[at * C + c] > d->pred[at * C + best]) best = c;
            }
            const int label = d->target.labels[at];
            if (d->mask[n] != 0 && label >= 0 && label != 9) m[label][best]++;
        }
    }
    for (int c = 0; c < C; c++) {
        double labels = 0, answers = 0;
        for (int k = 0; k < C; k++) {
            labels += m[c][k];
            answers += m[k][c];
        }
        correct += m[c][c];
        all += labels;
        iou += m[c][c] / (labels + answers - m[c][c]);
        f1 += 2 * m[c][c] / (labels + answers);
        recall += labels > 0 ? m[c][c] / labels : 0;
    }
    tdm__task task =
        task_of(TDM__LOSS_CROSS_ENTROPY, 1u << TDM__METER_ACCURACY | 1u << TDM__METER_CONFUSION, C);
    task.ignore_index = 9;
    const shapes s = {tdm_desc_4(TDM_F32, 0, H, W, C), tdm_desc_3(TDM_I32, 0, H, W),
                      tdm_desc_1(TDM_F32, 0)};
    tdm__meter *meter = measure(device, &task, s, d);
    wants(meter, "accuracy", correct / all);
    wants(meter, "pixel_accuracy", correct / all);
    wants(meter, "miou", iou / C);
    wants(meter, "macro_f1", f1 / C);
    wants(meter, "balanced_accuracy", recall / 3); /* of the classes that occur */
    const double *got = tdm__meter_confusion(meter, 0);
    for (int i = 0; i < C * C; i++) ck_assert_double_eq(got[i], m[i / C][i % C]);
    const tdm__class_metrics one = tdm__metrics_of_class(got, C, 3);
    ck_assert_double_eq(one.count, 0);
    ck_assert(isnan(one.recall));
    ck_assert_double_eq(one.iou, 0);
    close(device, meter, d);
}
END_TEST

/* ---- yes and no, in one output or three --------------------------------------------------------
 */

static void yes_no(int style, int outputs)
{
    data *d = calloc(1, sizeof *d);
    tdm_device *device = open_device(style);
    double m[2][2] = {{0}}, l1 = 0;
    *d = (data){.pred_size = outputs, .target_size = outputs};
    state = 8;
    for (int i = 0; i < SAMPLES * outputs; i++) {
        const double r = draw();
        d->pred[i] = (float)(4 * draw() - 2.5);
        d->target.values[i] = r < 0.2 ? NAN : r < 0.4;
        if (r < 0.2) continue;
        m[r < 0.4][d->pred[i] > 0]++;
        l1 += fabs(1 / (1 + exp(-(double)d->pred[i])) - (r < 0.4));
    }
    const double no = m[0][0] + m[0][1], yes = m[1][0] + m[1][1];
    const tdm__task task = task_of(
        TDM__LOSS_BCE,
        1u << TDM__METER_ACCURACY | 1u << TDM__METER_CONFUSION | 1u << TDM__METER_REGRESSION, 1);
    const tdm_desc desc = tdm_desc_2(TDM_F32, 0, outputs);
    tdm__meter *meter = measure(device, &task, (shapes){desc, desc, {0}}, d);
    wants(meter, "accuracy", (m[0][0] + m[1][1]) / (no + yes));
    wants(meter, "balanced_accuracy", (m[0][0] / no + m[1][1] / yes) / 2);
    wants(meter, "f1", 2 * m[1][1] / (2 * m[1][1] + m[0][1] + m[1][0]));
    wants(meter, "dice", 2 * m[1][1] / (2 * m[1][1] + m[0][1] + m[1][0]));
    wants(meter, "iou", m[1][1] / (m[1][1] + m[0][1] + m[1][0]));
    wants(meter, "majority", fmax(no, yes) / (no + yes));
    wants(meter, "l1", l1 / (no + yes));
    close(device, meter, d);
}

START_TEST(answers)
{
    yes_no(_i, 1);
    yes_no(_i, 3);
}
END_TEST

/* ---- depth: no reading where 0, a mask a pixel, another unit ------------------------------------
 */

START_TEST(depth)
{
    enum { H = 4, W = 5 };
    const double scale = 8, invalid[] = {0};
    data *d = calloc(1, sizeof *d);
    tdm_device *device = open_device(_i);
    double n = 0, abs_sum = 0, rel = 0, square = 0, near[3] = {0};
    *d = (data){.pred_size = H * W, .target_size = H * W, .mask_size = H * W};
    state = 11;
    for (int i = 0; i < SAMPLES * H * W; i++) {
        d->mask[i] = draw() < 0.9;
        d->target.values[i] = draw() < 0.3 ? 0 : draw() < 0.1 ? NAN : (float)(0.5 + 7 * draw());
        d->pred[i] = (float)(draw() * 1.2);
        const double y = d->target.values[i], x = scale * d->pred[i], ratio = fmax(x / y, y / x);
        if (d->mask[i] == 0 || !(y > 0)) continue;
        n++;
        abs_sum += fabs(x - y);
        rel += fabs(x - y) / y;
        square += (x - y) * (x - y);
        near[0] += ratio < 1.25;
        near[1] += ratio < 1.25 * 1.25;
        near[2] += ratio < 1.25 * 1.25 * 1.25;
    }
    tdm__task task = task_of(TDM__LOSS_L1, 1u << TDM__METER_REGRESSION, 0);
    task.invalid = invalid;
    task.n_invalid = 1;
    task.target_scale = scale;
    const shapes s = {tdm_desc_4(TDM_F32, 0, H, W, 1), tdm_desc_3(TDM_F32, 0, H, W),
                      tdm_desc_3(TDM_F32, 0, H, W)};
    tdm__meter *meter = measure(device, &task, s, d);
    wants(meter, "abs_error", abs_sum / n);
    wants(meter, "l1", abs_sum / n);
    wants(meter, "rel_error", rel / n);
    wants(meter, "l2", square / n);
    wants(meter, "rmse", sqrt(square / n));
    wants(meter, "delta1", near[0] / n);
    wants(meter, "delta2", near[1] / n);
    wants(meter, "delta3", near[2] / n);
    wants(meter, "psnr", -10 * log10(square / n / scale / scale));
    close(device, meter, d);
}
END_TEST

/* ---- boxes, a quarter of them without a label ---------------------------------------------------
 */

START_TEST(boxes)
{
    const double scale = 64;
    data *d = calloc(1, sizeof *d);
    tdm_device *device = open_device(_i);
    double n = 0, iou_sum = 0, abs_sum = 0, hits = 0;
    *d = (data){.pred_size = 4, .target_size = 4, .mask_size = 1};
    state = 3;
    for (int i = 0; i < SAMPLES; i++) {
        float *p = d->pred + 4 * i, *t = d->target.values + 4 * i;
        double q[4];
        for (int k = 0; k < 4; k++) {
            t[k] = (float)((k < 2 ? 5 : 35) + 20 * draw());
            p[k] = (float)((t[k] + (draw() - 0.5) * (i % 3 ? 10 : 60)) / scale);
            q[k] = scale * p[k];
        }
        d->mask[i] = i % 4 != 1;
        if (i % 5 == 2) t[2] = NAN;
        if (d->mask[i] == 0 || i % 5 == 2) continue;
        const double w = fmin(q[2], t[2]) - fmax(q[0], t[0]);
        const double h = fmin(q[3], t[3]) - fmax(q[1], t[1]);
        const double inside = w > 0 && h > 0 ? w * h : 0;
        const double own = q[2] > q[0] && q[3] > q[1] ? (q[2] - q[0]) * (q[3] - q[1]) : 0;
        const double iou = inside / (own + (double)(t[2] - t[0]) * (t[3] - t[1]) - inside);
        n++;
        iou_sum += iou;
        hits += iou >= 0.5;
        for (int k = 0; k < 4; k++) abs_sum += fabs(q[k] - t[k]);
    }
    tdm__task task = task_of(TDM__LOSS_HUBER, 1u << TDM__METER_BOX, 0);
    task.target_scale = scale;
    const tdm_desc desc = tdm_desc_2(TDM_F32, 0, 4);
    tdm__meter *meter = measure(device, &task, (shapes){desc, desc, tdm_desc_1(TDM_F32, 0)}, d);
    ck_assert(hits > 0 && hits < n);
    wants(meter, "box_iou", iou_sum / n);
    wants(meter, "box_l1", abs_sum / n / 4);
    wants(meter, "box_iou50", hits / n);
    close(device, meter, d);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tc = tcase_create("whole split");
    tcase_add_loop_test(tc, pixels, 0, 2);
    tcase_add_loop_test(tc, answers, 0, 2);
    tcase_add_loop_test(tc, depth, 0, 2);
    tcase_add_loop_test(tc, boxes, 0, 2);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

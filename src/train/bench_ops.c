/* train/bench_ops.c: times every operation on its own samples, the table the tests run, and on
 * sizes of real networks, and compares each with the device's limits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "graph/plan.h"
#include "ops/registry.h"
#include "train/bench.h"

enum { RUNS = 9, BATCH = 4 }; /* medians over RUNS timings of BATCH runs each */

static double draw(tdm__rng *rng, tdm__fill fill, int arg)
{
    const double u = tdm__rng_uniform(rng);
    switch (fill) {
    case TDM__FILL_NORMAL:
        return tdm__rng_normal(rng);
    case TDM__FILL_POSITIVE:
        return 0.5 + u;
    case TDM__FILL_INDEX:
    case TDM__FILL_LABEL:
        return floor(u * (arg > 0 ? arg : 1));
    case TDM__FILL_MASK:
        return u < 0.5 ? 0 : 1;
    case TDM__FILL_ZERO:
        return 0;
    default:
        return u;
    }
}

static void fill_input(const tdm__op_bench *b, int input, int64_t count, void *bytes)
{
    tdm__rng rng = tdm__rng_make(1, tdm__rng_stream(b->sample->name, (uint64_t)input, 0));
    for (int64_t i = 0; i < count; i++) {
        const double v = draw(&rng, b->sample->fill[input], b->sample->fill_arg[input]);
        switch (b->sample->in[input].dtype) {
        case TDM_U8:
            ((uint8_t *)bytes)[i] = (uint8_t)v;
            break;
        case TDM_I32:
            ((int32_t *)bytes)[i] = (int32_t)v;
            break;
        default:
            ((float *)bytes)[i] = (float)v;
            break;
        }
    }
}

static tdm_status place_input(tdm__op_bench *b, tdm_graph *g, int input, tdm_value *value)
{
    tdm_status status = TDM_OK;
    void *bytes = NULL;
    const tdm_desc *d = &b->sample->in[input];
    const int64_t count = tdm_desc_count(d);
    const uint64_t size = (uint64_t)count * tdm_dtype_size(d->dtype);
    *value = TDM_NO_VALUE;
    if (d->dtype == TDM_NONE) return TDM_OK;
    TDM_TRY(tdm__calloc_try(size, 1, &bytes));
    fill_input(b, input, count, bytes);
    TDM_TRY(tdm__buffer_create(b->device, size, false, "sample", &b->buffers[input]));
    TDM_TRY(tdm__view_write(b->device, (tdm__view){&b->buffers[input], 0}, bytes, size));
    *value = tdm_graph_variable(g, "input", *d, false);
    tdm__graph_place(g, *value, (tdm__view){&b->buffers[input], 0});
    if (d->dtype == TDM_F32) {
        b->host[input] = bytes;
        bytes = NULL;
    }
done:
    free(bytes);
    return status;
}

static const char *choose(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)key, (void)op, (void)io; /* the plan has one node */
    return user;                   /* its name, or NULL */
}

tdm_status tdm__op_bench_plan(const tdm__op_bench *b, const char *variant, tdm__plan **out)
{
    tdm__buffer *step = (tdm__buffer *)&b->step;
    const tdm__plan_spec spec = {
        .device = b->device, .step = {step, 0}, .choose = choose, .choose_user = (void *)variant};
    return tdm__plan_create(b->graph, &spec, out);
}

tdm_status tdm__op_bench_open(tdm__op_bench *b)
{
    tdm_status status = TDM_OK;
    tdm_value inputs[TDM__MAX_SAMPLE_INPUTS];
    TDM_TRY(tdm_graph_create(&b->graph));
    for (int i = 0; i < b->sample->n_in; i++) TDM_TRY(place_input(b, b->graph, i, &inputs[i]));
    b->out = tdm__graph_node(b->graph, b->op, inputs, b->sample->n_in, b->sample->attrs);
    TDM_TRY(tdm_graph_status(b->graph));
    for (int o = 0; o < b->op->n_out; o++) tdm_graph_keep(b->graph, b->out + o);
    TDM_TRY(tdm__buffer_create(b->device, sizeof(tdm__step), true, "step", &b->step));
    TDM_TRY(tdm__op_bench_plan(b, b->variant, &b->plan));
done:
    return status;
}

void tdm__op_bench_close(tdm__op_bench *b)
{
    tdm__plan_destroy(&b->plan);
    tdm_graph_destroy(&b->graph);
    for (int i = 0; i < TDM__MAX_SAMPLE_INPUTS; i++) {
        tdm__buffer_destroy(b->device, &b->buffers[i]);
        free(b->host[i]);
        b->host[i] = NULL;
    }
    tdm__buffer_destroy(b->device, &b->step);
}

static tdm_status run_plan(void *user)
{
    return tdm__plan_run(((tdm__op_bench *)user)->plan);
}

tdm_status tdm__op_bench_time(tdm__op_bench *b, int runs, int batch, tdm__bench_row *row)
{
    tdm__plan_stats stats;
    const tdm_status status = tdm__bench_time(b->device, run_plan, b, runs, batch, row);
    if (status) return status;
    tdm__plan_get_stats(b->plan, &stats);
    tdm__bench_compare(row, b->limits, stats.flops, stats.bytes, (double)stats.launches);
    return TDM_OK;
}

static tdm_status bench_one(tdm__op_bench *b, const char *name, bool json, tdm__str *text)
{
    tdm_status status = TDM_OK;
    tdm__bench_row row = {.name = name};
    TDM_TRY(tdm__op_bench_open(b));
    TDM_TRY(tdm__op_bench_time(b, RUNS, BATCH, &row));
    tdm__bench_add(text, &row, json);
done:
    tdm__op_bench_close(b);
    if (status) tdm__context(status, "%s", name);
    return status;
}

typedef struct run {
    tdm_device *device;
    tdm__limits limits;
    const char *filter; /* part of a row's name; NULL: every row */
    bool json;
    tdm__str text;
    size_t rows;
} run;

static tdm_status bench_samples(run *r, const tdm_op *op, const tdm__sample *samples, int n)
{
    tdm_status status = TDM_OK;
    for (int i = 0; i < n && !status; i++) {
        tdm__str name = {0};
        tdm__str_addf(&name, "%s/%s", op->name, samples[i].name);
        tdm__op_bench b = {
            .device = r->device, .op = op, .sample = &samples[i], .limits = &r->limits};
        status = tdm__str_status(&name);
        if (!status && (!r->filter || strstr(tdm__str_text(&name), r->filter))) {
            status = bench_one(&b, tdm__str_text(&name), r->json, &r->text);
            r->rows++;
        }
        tdm__str_free(&name);
    }
    return status;
}

tdm_status tdm_bench_ops(const tdm_config *config, const char *filter, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm_device_spec spec;
    run r = {.filter = filter, .json = json};
    size_t n;
    const tdm_op *const *ops = tdm__ops(&n);
    *out = NULL;
    TDM_TRY(tdm_device_spec_read(config, &spec));
    TDM_TRY(tdm_device_open(&spec, &r.device));
    TDM_TRY(tdm__limits_measure(r.device, &r.limits));
    tdm__bench_add_limits(&r.text, &r.limits, json);
    if (!json) tdm__bench_heading(&r.text);
    for (size_t i = 0; i < n; i++) {
        TDM_TRY(bench_samples(&r, ops[i], ops[i]->samples, ops[i]->n_samples));
        TDM_TRY(bench_samples(&r, ops[i], ops[i]->bench, ops[i]->n_bench));
    }
    TDM_TRY(tdm__bench_optimizers(r.device, &r.limits, filter, json, &r.text, &r.rows));
    TDM_TRY(tdm__str_status(&r.text));
    if (r.rows == 0)
        TDM_TRY(tdm__fail(TDM_ERR_USAGE, "no operation's sample has '%s' in its name", filter));
    *out = r.text.text;
    r.text.text = NULL;
done:
    tdm__str_free(&r.text);
    tdm_device_destroy(&r.device);
    return status;
}

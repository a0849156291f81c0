/* train/bench_conv.c: times convolutions, each direction by each algorithm that can run it, and
 * measures the error against sums in double precision at some elements of the result. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "ops/conv/conv.h"
#include "train/bench.h"
#include "train/chooser.h"

/* Work of one timing, multiply-adds: small shapes are repeated. Elements compared. */
#define MACS_PER_TIMING 5e8
enum { RUNS = 7, MAX_BATCH = 100, PROBES = 500 };

typedef struct conv_shape {
    int64_t n, h, w, c, k, r, s, stride, pad, dilation;
} conv_shape;

/* Layers of SegNet and VGG-like nets at 288x384, and of the Fashion-MNIST network. */
static const conv_shape typical[] = {
    {4, 288, 384, 64, 64, 3, 3, 1, 1, 1}, {4, 144, 192, 128, 128, 3, 3, 1, 1, 1},
    {4, 72, 96, 256, 256, 3, 3, 1, 1, 1}, {4, 36, 48, 512, 512, 3, 3, 1, 1, 1},
    {4, 18, 24, 512, 512, 3, 3, 1, 1, 1}, {4, 288, 384, 3, 64, 3, 3, 1, 1, 1},
    {64, 28, 28, 1, 32, 3, 3, 1, 1, 1},   {64, 28, 28, 32, 32, 3, 3, 1, 1, 1},
    {64, 14, 14, 32, 32, 2, 2, 1, 0, 1},  {64, 13, 13, 32, 16, 2, 2, 1, 0, 1},
};

typedef enum direction { FORWARD, DATA, FILTER, DIRECTIONS } direction;
static const char *const direction_names[] = {"forward", "data", "filter"};
static const tdm_op *const direction_ops[] = {&tdm__op_conv2d, &tdm__op_conv2d_grad_data,
                                              &tdm__op_conv2d_grad_filter};

typedef struct job {
    tdm_device *device;
    const char *filter; /* NULL: everything */
    bool default_only, json;
    tdm__str *text;
    tdm__chooser chooser;
    conv_shape shape;
    direction direction;
    tdm__conv conv;
    tdm__conv_data_attrs attrs; /* begins with what the others take */
    tdm__sample sample;
} job;

/* "4,288,384,64,64" and optionally R, S, stride, padding, dilation. */
static tdm_status read_shape(const char *text, conv_shape *out)
{
    int64_t v[10] = {0, 0, 0, 0, 0, 3, 3, 1, 1, 1};
    int n = 0;
    for (const char *at = text; n < 10; at++) {
        char *end;
        v[n] = strtoll(at, &end, 10);
        if (end == at || v[n] < (n == 8 ? 0 : 1) || v[n] > INT32_MAX) break;
        n++;
        at = end;
        if (*at != ',') break;
    }
    const char *last = strrchr(text, ',');
    int commas = 0;
    for (const char *at = text; *at; at++) commas += *at == ',';
    if (n < 5 || commas != n - 1 || !last || strspn(last + 1, "0123456789") != strlen(last + 1))
        return tdm__fail(
            TDM_ERR_USAGE,
            "shape '%s': must be N,H,W,C,K and optionally ,R,S,stride,padding,dilation", text);
    *out = (conv_shape){v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8], v[9]};
    return TDM_OK;
}

/* Attributes, geometry and inputs of the job's direction. */
static tdm_status describe(job *j)
{
    tdm_status status = TDM_OK;
    const conv_shape *s = &j->shape;
    const int32_t stride = (int32_t)s->stride, pad = (int32_t)s->pad;
    const int32_t dilation = (int32_t)s->dilation;
    j->attrs = (tdm__conv_data_attrs){.conv = {{(int32_t)s->r, (int32_t)s->s},
                                               {stride, stride},
                                               {pad, pad},
                                               {dilation, dilation}},
                                      .size = {(int32_t)s->h, (int32_t)s->w}};
    tdm_desc big = tdm_desc_4(TDM_F32, s->n, s->h, s->w, s->c);
    tdm_desc filter = tdm_desc_4(TDM_F32, s->r, s->s, s->c, s->k);
    tdm__conv *c = &j->conv;
    *c = (tdm__conv){0};
    TDM_TRY(tdm__conv_attrs_get(&j->attrs.conv, c));
    tdm__conv_set_big(c, &big);
    c->k = s->k;
    TDM_TRY(tdm__conv_infer_small(c));
    tdm_desc small = tdm_desc_4(TDM_F32, c->n, c->small[0], c->small[1], c->k);
    j->sample = (tdm__sample){.name = direction_names[j->direction], .attrs = &j->attrs, .n_in = 2};
    j->sample.in[0] = j->direction == DATA ? small : big;
    j->sample.in[1] = j->direction == FILTER ? small : filter;
done:
    return status;
}

/* ---- the double reference at single elements ---------------------------------------------------
 */

/* sum over the other tensors' elements that meet element `at` of the result */
static double element(const job *j, const float *a, const float *b, int64_t at)
{
    const tdm__conv *c = &j->conv;
    const bool filter = j->direction == FILTER, to_big = j->direction == DATA;
    const int64_t *size = to_big ? c->big : c->small; /* of the image that is walked or written */
    const int64_t channels = filter || !to_big ? c->k : c->c;
    const int64_t last = at % channels, rest = at / channels;
    double sum = 0;
    if (filter) {
        const int64_t ci = rest % c->c, tap = rest / c->c;
        for (int64_t i = 0; i < c->n * size[0] * size[1]; i++) {
            const int64_t y = i / size[1] % size[0] * c->stride[0] - c->padding[0] +
                              tap / c->kernel[1] * c->dilation[0];
            const int64_t x =
                i % size[1] * c->stride[1] - c->padding[1] + tap % c->kernel[1] * c->dilation[1];
            if (y < 0 || y >= c->big[0] || x < 0 || x >= c->big[1]) continue;
            const int64_t n = i / size[1] / size[0];
            sum += (double)a[((n * c->big[0] + y) * c->big[1] + x) * c->c + ci] *
                   (double)b[i * c->k + last];
        }
        return sum;
    }
    const int64_t n = rest / size[1] / size[0], p = rest / size[1] % size[0], q = rest % size[1];
    for (int64_t tap = 0; tap < c->kernel[0] * c->kernel[1]; tap++) {
        const int64_t dy = tap / c->kernel[1] * c->dilation[0] - c->padding[0];
        const int64_t dx = tap % c->kernel[1] * c->dilation[1] - c->padding[1];
        const int64_t y = to_big ? p - dy : p * c->stride[0] + dy;
        const int64_t x = to_big ? q - dx : q * c->stride[1] + dx;
        const int64_t *from = to_big ? c->small : c->big, step = to_big ? 1 : 0;
        if (step && (y % c->stride[0] || x % c->stride[1])) continue;
        const int64_t u = step ? y / c->stride[0] : y, v = step ? x / c->stride[1] : x;
        if (y < 0 || x < 0 || u >= from[0] || v >= from[1]) continue;
        const int64_t reduced = to_big ? c->k : c->c;
        const float *image = a + ((n * from[0] + u) * from[1] + v) * reduced;
        const float *w = b + tap * c->c * c->k + (to_big ? last * c->k : last);
        for (int64_t i = 0; i < reduced; i++)
            sum += (double)image[i] * (double)w[to_big ? i : i * c->k];
    }
    return sum;
}

static tdm_status measure_error(const job *j, tdm__op_bench *b, tdm__bench_row *row)
{
    tdm_status status = TDM_OK;
    float *got = NULL;
    const tdm__conv *c = &j->conv;
    const int64_t counts[] = {c->n * c->small[0] * c->small[1] * c->k,
                              c->n * c->big[0] * c->big[1] * c->c,
                              c->kernel[0] * c->kernel[1] * c->c * c->k};
    const uint64_t count = (uint64_t)counts[j->direction];
    double diff = 0, norm = 0, worst = 0, most = 0;
    TDM_TRY(tdm__calloc_try(count, sizeof *got, &got));
    TDM_TRY(tdm__view_read(j->device, tdm__plan_view(b->plan, b->out), got, count * sizeof *got));
    tdm__rng rng = tdm__rng_make(1, tdm__rng_stream("probes", count, 0));
    for (int i = 0; i < PROBES; i++) {
        const int64_t at = (int64_t)tdm__rng_below(&rng, count);
        const double want = element(j, b->host[0], b->host[1], at), e = (double)got[at] - want;
        diff += e * e;
        norm += want * want;
        worst = fmax(worst, fabs(e));
        most = fmax(most, fabs(want));
    }
    row->error_rms = sqrt(diff / norm);
    row->error_max = worst / most;
done:
    free(got);
    return status;
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static tdm_status bench_variant(job *j, const tdm__variant *v, bool is_default)
{
    tdm_status status = TDM_OK;
    const conv_shape *s = &j->shape;
    const double macs = tdm__conv_macs(&j->conv);
    tdm__str name = {0};
    tdm__op_bench b = {.device = j->device,
                       .op = direction_ops[j->direction],
                       .sample = &j->sample,
                       .variant = v->name};
    tdm__str_addf(&name, "%s/%s/%lldx%lldx%lldx%lld->%lld/%lldx%lld", direction_names[j->direction],
                  v->name, (long long)s->n, (long long)s->h, (long long)s->w, (long long)s->c,
                  (long long)s->k, (long long)s->r, (long long)s->s);
    if (s->stride > 1) tdm__str_addf(&name, "/%lld", (long long)s->stride);
    if (s->dilation > 1) tdm__str_addf(&name, "*%lld", (long long)s->dilation);
    TDM_TRY(tdm__str_status(&name));
    if (j->filter && !strstr(tdm__str_text(&name), j->filter)) goto done;
    int batch = (int)fmin(fmax(1, MACS_PER_TIMING / macs), MAX_BATCH);
    tdm__bench_row row = {.is_default = is_default};
    TDM_TRY(tdm__op_bench_open(&b));
    TDM_TRY(tdm__op_bench_time(&b, RUNS, batch, &row));
    TDM_TRY(measure_error(j, &b, &row));
    row.name = tdm__str_text(&name);
    row.gflops =
        2 * macs / (row.wall_ms * 1e6); /* of the direct sums, whatever the algorithm does */
    tdm__bench_add(j->text, &row, j->json);
done:
    tdm__op_bench_close(&b);
    if (status) tdm__context(status, "%s", tdm__str_text(&name));
    tdm__str_free(&name);
    return status;
}

/* The algorithm that training would take: the tuning file's, or the default. */
static tdm_status usual_variant(job *j, const tdm_op *op, const tdm__io *io,
                                const tdm__variant **out)
{
    const tdm__traits *traits = tdm__device_traits(j->device);
    tdm__str key = {0};
    tdm__variant_key(op, traits, io, &key);
    const tdm_status status = tdm__str_status(&key);
    *out = NULL;
    if (!status)
        *out = tdm__variant_named(op, traits, io,
                                  tdm__chooser_choose(&j->chooser, tdm__str_text(&key), op, io));
    if (!*out) *out = tdm__variant_default(op, traits, io);
    tdm__str_free(&key);
    return status;
}

static tdm_status bench_direction(job *j)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = NULL;
    tdm__node_info node;
    const tdm_op *op = direction_ops[j->direction];
    const tdm__traits *traits = tdm__device_traits(j->device);
    TDM_TRY(describe(j));
    TDM_TRY(tdm_graph_create(&g));
    tdm_value in[2];
    for (int i = 0; i < 2; i++) in[i] = tdm_graph_variable(g, "input", j->sample.in[i], false);
    tdm__graph_node(g, op, in, 2, &j->attrs);
    TDM_TRY(tdm_graph_status(g));
    tdm__graph_node_info(g, 0, &node);
    const tdm__variant *chosen;
    TDM_TRY(usual_variant(j, op, &node.io, &chosen));
    for (int i = 0; i < op->n_variants; i++) {
        const tdm__variant *v = &op->variants[i];
        if (!tdm__variant_fits(v, traits, &node.io) || (j->default_only && v != chosen)) continue;
        TDM_TRY(bench_variant(j, v, v == chosen));
    }
done:
    tdm_graph_destroy(&g);
    return status;
}

tdm_status tdm__bench_conv_graph(tdm_graph **out)
{
    tdm_status status = TDM_OK;
    job j = {0};
    TDM_TRY(tdm_graph_create(out));
    for (int i = 0; i < (int)TDM__COUNT(typical) * DIRECTIONS; i++) {
        tdm_value in[2];
        j.shape = typical[i / DIRECTIONS];
        j.direction = (direction)(i % DIRECTIONS);
        TDM_TRY(describe(&j));
        for (int k = 0; k < 2; k++) in[k] = tdm_graph_variable(*out, "in", j.sample.in[k], false);
        tdm__graph_node(*out, direction_ops[j.direction], in, 2, &j.attrs);
    }
    TDM_TRY(tdm_graph_status(*out));
done:
    if (status) tdm_graph_destroy(out);
    return status;
}

tdm_status tdm_bench_conv(const tdm_config *config, const char *shape, const char *filter,
                          bool default_only, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm_device_spec spec;
    tdm__str text = {0};
    conv_shape given;
    const conv_shape *shapes = typical;
    int n = TDM__COUNT(typical);
    job j = {.filter = filter, .default_only = default_only, .json = json, .text = &text};
    *out = NULL;
    if (shape) {
        TDM_TRY(read_shape(shape, &given));
        shapes = &given;
        n = 1;
    }
    TDM_TRY(tdm_device_spec_read(config, &spec));
    TDM_TRY(tdm_device_open(&spec, &j.device));
    TDM_TRY(tdm__chooser_open(config, j.device, &j.chooser));
    if (!json) tdm__bench_heading(&text);
    const size_t heading = text.length;
    for (int i = 0; i < n; i++)
        for (int d = 0; d < DIRECTIONS; d++) {
            j.shape = shapes[i];
            j.direction = (direction)d;
            TDM_TRY(bench_direction(&j));
        }
    TDM_TRY(tdm__str_status(&text));
    if (text.length == heading)
        TDM_TRY(tdm__fail(TDM_ERR_USAGE, "no convolution has '%s' in its name", filter));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    tdm__chooser_close(&j.chooser);
    tdm_device_destroy(&j.device);
    return status;
}

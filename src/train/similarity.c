/* train/similarity.c: what the layers of two networks give for the same inputs (tandem/compare.h).
 *
 * Samples come from the second network's data, as its task at hand sees them; their bytes go into
 * both networks. What a layer gives is kept on the host as one row a sample: of maps the means over
 * a grid of cells, which bounds the memory to 16 floats a channel and sample.
 */
#include <tandem/compare.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/cka.h"
#include "train/evaluation.h"
#include "train/state.h"
#include "train/step_graph.h"

enum { GRID = 4 };

/* What one layer gave so far. */
typedef struct rows {
    size_t width;  /* features a sample */
    float *values; /* (samples, width) */
} rows;

typedef struct network {
    tdm_evaluation *evaluation;
    tdm__session *session;
    tdm__plan *plan;
    tdm_value input;
    tdm__layer_output *layers;
    size_t n;
    rows *rows; /* per layer */
    tdm__buffer buffer;
    uint64_t sample_bytes; /* of one input */
    float *scratch;
} network;

static void network_close(network *x)
{
    tdm__plan_destroy(&x->plan);
    if (x->session) tdm__buffer_destroy(x->session->device, &x->buffer);
    for (size_t i = 0; i < x->n; i++) {
        free(x->layers[i].name);
        if (x->rows) free(x->rows[i].values);
    }
    free(x->layers);
    free(x->rows);
    free(x->scratch);
    tdm_evaluation_destroy(&x->evaluation);
}

static size_t cells(int64_t side)
{
    return side < GRID ? (size_t)side : GRID;
}

/* Features of one sample of what a layer gives: (N,H,W,C), or all that follows N. */
static size_t width_of(const tdm_desc *d)
{
    if (d->rank == 4) return cells(d->dim[1]) * cells(d->dim[2]) * (size_t)d->dim[3];
    return (size_t)(tdm_desc_count(d) / d->dim[0]);
}

static tdm_status network_plan(network *x, uint64_t samples)
{
    tdm_status status = TDM_OK;
    tdm__session *s = x->session;
    int64_t largest = 0;
    TDM_TRY(tdm__step_build_layers(s, s->batch_size, &x->plan, &x->input, &x->layers, &x->n));
    TDM_TRY(tdm__calloc_try(x->n, sizeof *x->rows, &x->rows));
    for (size_t i = 0; i < x->n; i++) {
        const tdm_desc *d = &x->layers[i].desc;
        x->rows[i].width = width_of(d);
        uint64_t all;
        if (!tdm__mul_u64(samples, x->rows[i].width, &all))
            TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "%s: too much to compare", x->layers[i].name));
        TDM_TRY(tdm__calloc_try(all, sizeof(float), &x->rows[i].values));
        if (tdm_desc_count(d) > largest) largest = tdm_desc_count(d);
    }
    TDM_TRY(tdm__calloc_try((size_t)largest, sizeof(float), &x->scratch));
    const tdm_desc *sample = &s->arrays[s->input].sample;
    x->sample_bytes = (uint64_t)tdm_desc_count(sample) * tdm_dtype_size(sample->dtype);
    TDM_TRY(tdm__buffer_create(s->device, x->sample_bytes * (uint64_t)s->batch_size, true, "input",
                               &x->buffer));
    TDM_TRY(tdm__plan_bind(x->plan, x->input, tdm__view_of(&x->buffer)));
done:
    return status;
}

/* Adds one sample's map, as means over cells; out is zeroed. */
static void pool(const float *map, const tdm_desc *d, float *out)
{
    const size_t h = (size_t)d->dim[1], w = (size_t)d->dim[2], c = (size_t)d->dim[3];
    const size_t gh = cells(d->dim[1]), gw = cells(d->dim[2]);
    for (size_t i = 0; i < gh; i++)
        for (size_t j = 0; j < gw; j++) {
            const size_t y0 = i * h / gh, y1 = (i + 1) * h / gh;
            const size_t x0 = j * w / gw, x1 = (j + 1) * w / gw;
            const float share = 1.0f / (float)((y1 - y0) * (x1 - x0));
            float *to = out + (i * gw + j) * c;
            for (size_t y = y0; y < y1; y++)
                for (size_t x = x0; x < x1; x++)
                    for (size_t k = 0; k < c; k++) to[k] += share * map[(y * w + x) * c + k];
        }
}

/* Runs a batch and keeps what the layers give for its first `n` samples as rows from `at` on. */
static tdm_status network_run(network *x, const void *inputs, size_t at, size_t n)
{
    tdm_status status = TDM_OK;
    tdm_device *device = x->session->device;
    TDM_TRY(tdm__view_write(device, tdm__view_of(&x->buffer), inputs,
                            x->sample_bytes * (uint64_t)x->session->batch_size));
    TDM_TRY(tdm__plan_run(x->plan));
    for (size_t i = 0; i < x->n; i++) {
        const tdm_desc *d = &x->layers[i].desc;
        const size_t width = x->rows[i].width,
                     elems = (size_t)(tdm_desc_count(d) / x->session->batch_size);
        TDM_TRY(tdm__view_read(device, tdm__plan_view(x->plan, x->layers[i].value), x->scratch,
                               (uint64_t)tdm_desc_count(d) * sizeof(float)));
        for (size_t k = 0; k < n; k++) {
            float *to = x->rows[i].values + (at + k) * width;
            if (d->rank == 4)
                pool(x->scratch + k * elems, d, to);
            else
                memcpy(to, x->scratch + k * elems, width * sizeof *to);
        }
    }
done:
    return status;
}

/* Both networks on the samples of the second's feed; *samples: how many there were. */
static tdm_status run_all(network *a, network *b, uint64_t *samples)
{
    tdm_status status = TDM_OK;
    void *host = NULL;
    const tdm_batch *batch;
    const tdm__view *views;
    const uint64_t wanted = *samples;
    tdm__feed *feed = tdm__evaluation_feed(b->evaluation);
    TDM_TRY(tdm__calloc_try((size_t)b->session->batch_size, b->sample_bytes, &host));
    TDM_TRY(tdm__feed_seek(feed, 0, 0));
    *samples = 0;
    while (*samples < wanted) {
        TDM_TRY(tdm__feed_next(feed, &batch, &views));
        if (!batch) break;
        const size_t left = (size_t)(wanted - *samples),
                     n = batch->count < left ? (size_t)batch->count : left;
        tdm__session_views(b->session, feed, views, b->session->views);
        TDM_TRY(tdm__view_read(b->session->device, b->session->views[b->session->input], host,
                               b->sample_bytes * batch->count));
        TDM_TRY(tdm__feed_release(feed));
        TDM_TRY(network_run(a, host, (size_t)*samples, n));
        TDM_TRY(network_run(b, host, (size_t)*samples, n));
        *samples += n;
    }
done:
    free(host);
    return status;
}

static tdm_status check_inputs(const network *a, const network *b, const char *name_a,
                               const char *name_b)
{
    const tdm_desc *x = &a->session->arrays[a->session->input].sample;
    const tdm_desc *y = &b->session->arrays[b->session->input].sample;
    char one[64], other[64];
    if (tdm_desc_equal(x, y)) return TDM_OK;
    return tdm__fail(TDM_ERR_CONFIG, "%s takes inputs %s, %s takes %s", name_a,
                     tdm_desc_text(x, one, sizeof one), name_b,
                     tdm_desc_text(y, other, sizeof other));
}

static tdm_status fill(const network *a, const network *b, uint64_t samples, tdm_comparison *out)
{
    tdm_status status = TDM_OK;
    for (size_t m = 0; m < out->n; m++)
        for (size_t i = 0; i < a->n; i++)
            for (size_t j = 0; j < b->n && !strcmp(a->layers[i].name, out->layers[m].layer); j++)
                if (!strcmp(b->layers[j].name, out->layers[m].layer))
                    TDM_TRY(tdm__cka(a->rows[i].values, a->rows[i].width, b->rows[j].values,
                                     b->rows[j].width, (size_t)samples, &out->layers[m].cka));
    out->samples = samples;
done:
    return status;
}

tdm_status tdm_compare_outputs(const char *a, const char *b, const char *split, uint64_t samples,
                               const char *const *assignments, size_t n_assignments,
                               tdm_comparison *comparison)
{
    tdm_status status = TDM_OK;
    network x = {0}, y = {0};
    TDM_TRY(tdm__evaluation_open(b, split, assignments, n_assignments, &y.evaluation));
    y.session = tdm__evaluation_session(y.evaluation);
    TDM_TRY(tdm__evaluation_open(a, split, assignments, n_assignments, &x.evaluation));
    x.session = tdm__evaluation_session(x.evaluation);
    TDM_TRY(check_inputs(&x, &y, a, b));
    x.session->batch_size = y.session->batch_size;
    const uint64_t there = tdm_loader_samples(tdm__feed_loader(tdm__evaluation_feed(y.evaluation)));
    if (samples > there) samples = there;
    TDM_TRY(network_plan(&x, samples));
    TDM_TRY(network_plan(&y, samples));
    TDM_TRY(run_all(&x, &y, &samples));
    TDM_TRY(fill(&x, &y, samples, comparison));
done:
    network_close(&x);
    network_close(&y);
    return status;
}

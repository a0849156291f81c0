/* train/bench_step.c: times full training steps on made-up data of the right shape. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/json.h"
#include "train/bench.h"
#include "train/protocol.h"
#include "train/session.h"

/* ---- what the data would look like
 * ---------------------------------------------------------------- */

static tdm_status made_up_array(const tdm_config *config, const char *name, tdm_array_info *out)
{
    static const char *const kinds[] = {"image", "class", "mask", "box", "depth", "values"};
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    const int64_t *shape;
    size_t rank;
    const char *kind;
    int64_t classes;

    tdm__str_addf(&key, "bench.arrays.%s.shape", name);
    TDM_TRY(tdm_config_ints(config, tdm__str_text(&key), &shape, &rank));
    key.length = 0;
    tdm__str_addf(&key, "bench.arrays.%s.kind", name);
    TDM_TRY(tdm_config_string(config, tdm__str_text(&key), &kind));
    key.length = 0;
    tdm__str_addf(&key, "bench.arrays.%s.classes", name);
    TDM_TRY(tdm_config_int(config, tdm__str_text(&key), &classes));
    if (rank > TDM_ARRAY_RANK)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "bench.arrays.%s.shape: too many dimensions", name));
    *out =
        (tdm_array_info){.name = name, .rank = (int)rank, .elems = 1, .classes = (uint64_t)classes};
    for (size_t i = 0; i < rank; i++) out->dims[i] = (uint64_t)shape[i];
    for (int k = 0; k < 6; k++)
        if (!strcmp(kinds[k], kind)) out->kind = (tdm_array_kind)k;
    out->is_float =
        out->kind != TDM_ARRAY_IMAGE && out->kind != TDM_ARRAY_CLASS && out->kind != TDM_ARRAY_MASK;
done:
    tdm__str_free(&key);
    return status;
}

/* The arrays of bench.arrays, or of the data set's training split. */
tdm_status tdm__bench_arrays(const tdm_config *config, tdm_array_info infos[TDM__BENCH_ARRAYS],
                             tdm_split *splits[TDM__SPLITS], size_t *n)
{
    tdm_status status = TDM_OK;
    const char *const *names;
    TDM_TRY(tdm_config_members(config, "bench.arrays", &names, n));
    if (*n > TDM__BENCH_ARRAYS) *n = TDM__BENCH_ARRAYS;
    for (size_t i = 0; i < *n; i++) TDM_TRY(made_up_array(config, names[i], &infos[i]));
    if (*n) goto done;
    TDM_TRY(tdm__open_splits(config, splits));
    const tdm_dataset *data = tdm_split_dataset(splits[TDM__SPLIT_TRAIN]);
    for (; *n < tdm_dataset_arrays(data) && *n < TDM__BENCH_ARRAYS; ++*n)
        infos[*n] = *tdm_dataset_array(data, *n);
done:
    return status;
}

/* ---- made-up batches
 * ------------------------------------------------------------------------------ */

static void fill_values(const tdm__session *s, size_t array, uint64_t count, void *bytes)
{
    const tdm__session_array *a = &s->arrays[array];
    tdm__rng rng = tdm__rng_make(s->seed, tdm__rng_stream("bench", array, 0));
    int64_t classes = 2;
    for (size_t t = 0; t < s->n_tasks; t++)
        if (s->targets[t] == array && a->load.dtype == TDM_I32) classes = (int64_t)a->load.max + 1;
    for (uint64_t i = 0; i < count; i++) {
        switch (a->load.dtype) {
        case TDM_U8:
            ((uint8_t *)bytes)[i] = (uint8_t)tdm__rng_u32(&rng);
            break;
        case TDM_I32:
            ((int32_t *)bytes)[i] = (int32_t)tdm__rng_below(&rng, (uint64_t)classes);
            break;
        default:
            ((float *)bytes)[i] = (float)tdm__rng_uniform(&rng);
            break;
        }
    }
}

static tdm_status make_batch(tdm__session *s, tdm__buffer *buffers, tdm__view *views)
{
    tdm_status status = TDM_OK;
    void *bytes = NULL;
    if (s->n_arrays > TDM__BENCH_ARRAYS)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "a step has %zu arrays: at most %d can be benchmarked",
                          s->n_arrays, TDM__BENCH_ARRAYS));
    for (size_t i = 0; i < s->n_arrays; i++) {
        uint64_t count = (uint64_t)(s->batch_size * tdm_desc_count(&s->arrays[i].sample));
        const uint64_t size = count * tdm_dtype_size(s->arrays[i].load.dtype);
        TDM_TRY(tdm__calloc_try(size, 1, &bytes));
        fill_values(s, i, count, bytes);
        TDM_TRY(tdm__buffer_create(s->device, size, false, "batch", &buffers[i]));
        views[i] = (tdm__view){&buffers[i], 0};
        TDM_TRY(tdm__view_write(s->device, views[i], bytes, size));
        free(bytes);
        bytes = NULL;
    }
done:
    free(bytes);
    return status;
}

/* ---- timing
 * --------------------------------------------------------------------------------------- */

typedef struct timing {
    double *wall, *cpu, *host; /* per step */
    size_t n;
    double first_step;
    uint64_t launches;
    bool ops; /* operation by operation, too */
} timing;

/* Where tasks are drawn, the steps take turns with the streams, the first with step 0. */
static tdm_status one_step(tdm__session *s, tdm__optimizer *optimizer, const tdm__view *views,
                           int64_t step, double lr, double *host)
{
    tdm_status status = TDM_OK;
    bool stepped;
    tdm__step_plan *plan;
    const double began = tdm__now();
    const size_t stream = (size_t)step % s->streams[TDM__FOR_TRAINING].n;
    TDM_TRY(tdm__session_plan(s, TDM__FOR_TRAINING, stream, s->batch_size, &plan));
    TDM_TRY(tdm__session_run(s, plan, views, step, lr));
    TDM_TRY(tdm__optimizer_step(optimizer, lr, &stepped));
    if (stepped) TDM_TRY(tdm__session_again(s, stream, s->batch_size, views, step, lr));
    TDM_TRY(tdm__compute_flush(s->device));
    *host = tdm__now() - began;
    TDM_TRY(tdm_device_finish(s->device));
done:
    return status;
}

/* Every stream's kernels run once before they are timed. */
static tdm_status time_steps(tdm__session *s, tdm__optimizer *optimizer, double lr, int64_t warmup,
                             const tdm__view *views, timing *out)
{
    tdm_status status = TDM_OK;
    tdm__device_stats before, after;
    double host;
    const double began = tdm__now();
    const int64_t streams = (int64_t)s->streams[TDM__FOR_TRAINING].n;
    if (warmup < streams) warmup = streams;
    TDM_TRY(tdm__session_plan_training(s));
    for (int64_t i = 0; i < warmup; i++) {
        TDM_TRY(one_step(s, optimizer, views, i, lr, &host));
        if (i == 0) {
            out->first_step = tdm__now() - began;
            TDM_TRY(tdm__device_cache_write(s->device));
        }
    }
    if (out->ops) TDM_TRY(tdm__profile_clear(s->device));
    tdm__device_stats_get(s->device, &before);
    for (size_t i = 0; i < out->n; i++) {
        const double wall = tdm__now(), cpu = tdm__cpu_time();
        TDM_TRY(one_step(s, optimizer, views, warmup + (int64_t)i, lr, &out->host[i]));
        out->wall[i] = tdm__now() - wall;
        out->cpu[i] = tdm__cpu_time() - cpu;
    }
    tdm__device_stats_get(s->device, &after);
    out->launches = (after.launches - before.launches) / out->n;
done:
    return status;
}

/* ---- report
 * --------------------------------------------------------------------------------------- */

/* A row for each kernel of each operation's algorithm, per step, longest first. */
static tdm_status write_ops(tdm__session *s, const timing *t, bool json, tdm__str *text)
{
    tdm_status status = TDM_OK;
    tdm__profile_total *totals = NULL;
    tdm__limits limits;
    size_t n;
    const double steps = (double)t->n;
    TDM_TRY(tdm__profile_totals(s->device, &totals, &n));
    TDM_TRY(tdm__limits_measure(s->device, &limits));
    tdm__bench_add_limits(text, &limits, json);
    for (size_t i = 0; i < n; i++) {
        const tdm__profile_total *p = &totals[i];
        tdm__str name = {0};
        tdm__str_addf(&name, "%s/%s/%s", p->op ? p->op : "", p->variant ? p->variant : "",
                      p->kernel);
        tdm__bench_row row = {
            .name = tdm__str_text(&name),
            .wall_ms = 1e3 * p->seconds / steps,
            .gflops = 1e-9 * p->flops / p->seconds,
            .gbps = 1e-9 * p->bytes / p->seconds,
            .launches = (p->count + t->n / 2) / t->n,
        };
        row.share =
            tdm__limits_seconds(&limits.wall, p->flops, p->bytes, (double)p->count, &row.bound) /
            p->seconds;
        tdm__bench_add(text, &row, json);
        status = tdm__str_status(&name);
        tdm__str_free(&name);
        if (status) goto done;
    }
done:
    free(totals);
    return status;
}

static tdm_status write_result(tdm__session *s, timing *t, bool json, char **out)
{
    const char *name = "";
    tdm__step_plan *plan;
    tdm__plan_stats stats = {0};
    tdm_status status = tdm_config_string(s->config, "name", &name);
    if (!status) status = tdm__session_plan(s, TDM__FOR_TRAINING, 0, s->batch_size, &plan);
    if (!status) tdm__plan_get_stats(plan->plan, &stats);
    const bool cpu = tdm__device_traits(s->device)->is_cpu;
    tdm__bench_row row = {
        .name = name,
        .wall_ms = 1e3 * tdm__median(t->wall, t->n),
        .cpu_ms = 1e3 * tdm__median(t->cpu, t->n),
        .host_us = 1e6 * tdm__median(t->host, t->n),
        .launches = t->launches,
        .peak_bytes = cpu ? tdm__peak_rss() : tdm__device_peak_bytes(s->device),
        .runs = t->n,
        .first_step_s = t->first_step,
        .programs = tdm__device_program_count(s->device),
        .read_bytes = stats.activation_read_bytes,
        .write_bytes = stats.activation_write_bytes,
    };
    tdm__str text = {0};
    if (!json) tdm__bench_heading(&text);
    tdm__bench_add(&text, &row, json);
    if (!status && t->ops) status = write_ops(s, t, json, &text);
    if (!status) status = tdm__str_status(&text);
    *out = text.text;
    return status;
}

/* The trace of train.profile, of the steps measured. */
static tdm_status write_profile(const tdm__session *s)
{
    const char *path;
    const tdm_status status = tdm_config_string(s->config, "train.profile", &path);
    return status || !*path ? status : tdm__profile_write(s->device, path);
}

tdm_status tdm_bench_step(const tdm_config *config, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm_array_info infos[TDM__BENCH_ARRAYS];
    tdm_split *splits[TDM__SPLITS] = {0};
    tdm_config *expanded = NULL;
    tdm__session s = {0};
    tdm__optimizer *optimizer = NULL;
    tdm__optim_spec optim;
    tdm__buffer buffers[TDM__BENCH_ARRAYS] = {0};
    tdm__view views[TDM__BENCH_ARRAYS];
    timing t = {0};
    size_t n;
    int64_t steps, warmup;
    *out = NULL;
    TDM_TRY(tdm_config_int(config, "bench.steps", &steps));
    TDM_TRY(tdm_config_int(config, "bench.warmup", &warmup));
    TDM_TRY(tdm_config_bool(config, "bench.ops", &t.ops));
    TDM_TRY(tdm__optim_spec_read(config, &optim));
    TDM_TRY(tdm__bench_arrays(config, infos, splits, &n));
    const tdm__array_source source = {n, infos};
    TDM_TRY(tdm__protocol_expand(config, &source, &expanded));
    TDM_TRY(tdm__session_create(expanded ? expanded : config, &source, true, &s));
    TDM_TRY(tdm__optimizer_create(s.device, s.flat, &optim, &optimizer));
    TDM_TRY(make_batch(&s, buffers, views));
    t.n = (size_t)steps;
    TDM_TRY(tdm__calloc_try(t.n, sizeof(double), &t.wall));
    TDM_TRY(tdm__calloc_try(t.n, sizeof(double), &t.cpu));
    TDM_TRY(tdm__calloc_try(t.n, sizeof(double), &t.host));
    TDM_TRY(time_steps(&s, optimizer, optim.lr, warmup, views, &t));
    TDM_TRY(write_profile(&s));
    TDM_TRY(write_result(&s, &t, json, out));
done:
    if (s.device) tdm_device_finish(s.device);
    for (size_t i = 0; i < TDM__BENCH_ARRAYS; i++)
        if (buffers[i].mem) tdm__buffer_destroy(s.device, &buffers[i]);
    tdm__optimizer_destroy(&optimizer);
    tdm__session_destroy(&s);
    tdm_config_destroy(&expanded);
    for (int i = 0; i < TDM__SPLITS; i++) tdm_split_destroy(&splits[i]);
    free(t.wall);
    free(t.cpu);
    free(t.host);
    return status;
}

/* train/bench_load.c: times reading the training split: shuffled batches of every array, as the
 * loader's threads deliver them into host memory. No device. */
#include <tandem/loader.h>

#include "base/clock.h"
#include "train/bench.h"

typedef struct timing {
    double wall, cpu; /* seconds, of all batches together */
    tdm_loader_stats stats;
} timing;

/* Fetches n batches, epoch after epoch. */
static tdm_status fetch(tdm_loader *loader, int64_t n)
{
    const tdm_batch *batch;
    while (n > 0) {
        const tdm_status status = tdm_loader_next(loader, &batch);
        if (status) return status;
        if (batch) n--;
    }
    return TDM_OK;
}

static tdm_status time_batches(tdm_loader *loader, int64_t warmup, int64_t steps, timing *out)
{
    tdm_status status = TDM_OK;
    tdm_loader_stats before;
    TDM_TRY(fetch(loader, warmup));
    tdm_loader_stats_get(loader, &before);
    const double wall = tdm__now(), cpu = tdm__cpu_time();
    TDM_TRY(fetch(loader, steps));
    out->wall = tdm__now() - wall;
    out->cpu = tdm__cpu_time() - cpu;
    tdm_loader_stats_get(loader, &out->stats);
    out->stats.samples -= before.samples;
    out->stats.bytes -= before.bytes;
done:
    return status;
}

static tdm_status write_result(const char *name, const timing *t, int64_t steps, bool json,
                               char **out)
{
    const double batches = (double)steps;
    const tdm__bench_row row = {
        .name = name,
        .wall_ms = 1e3 * t->wall / batches,
        .cpu_ms = 1e3 * t->cpu / batches,
        .gbps = 1e-9 * (double)t->stats.bytes / t->wall,
        .samples_per_s = (double)t->stats.samples / t->wall,
        .peak_bytes = tdm__peak_rss(),
        .runs = (uint64_t)steps,
    };
    tdm__str text = {0};
    if (json)
        tdm__bench_add(&text, &row, true);
    else
        tdm__str_addf(&text,
                      "%s: %.0f samples/s, %.2f ms wall and %.2f ms CPU a batch, %.2f GB/s\n", name,
                      row.samples_per_s, row.wall_ms, row.cpu_ms, row.gbps);
    *out = text.text;
    return tdm__str_status(&text);
}

tdm_status tdm_bench_load(const tdm_config *config, bool json, char **out)
{
    tdm_status status = TDM_OK;
    tdm_split_spec split_spec;
    tdm_loader_spec spec = {.stream = "train", .continuous = true, .augment = true};
    tdm_split *split = NULL;
    tdm_loader *loader = NULL;
    timing t = {0};
    const char *name = "";
    int64_t batch_size, seed, steps, warmup;
    *out = NULL;
    TDM_TRY(tdm_config_string(config, "name", &name));
    TDM_TRY(tdm_config_int(config, "train.batch_size", &batch_size));
    TDM_TRY(tdm_config_int(config, "seed", &seed));
    TDM_TRY(tdm_config_int(config, "bench.steps", &steps));
    TDM_TRY(tdm_config_int(config, "bench.warmup", &warmup));
    TDM_TRY(tdm_split_spec_read(config, &split_spec));
    TDM_TRY(tdm_loader_spec_read(config, &spec));
    TDM_TRY(tdm_split_open(&split_spec, "train", &split));
    spec.split = split;
    spec.batch_size = (uint64_t)batch_size;
    spec.seed = (uint64_t)seed;
    TDM_TRY(tdm_loader_create(&spec, &loader));
    TDM_TRY(time_batches(loader, warmup, steps, &t));
    TDM_TRY(write_result(name, &t, steps, json, out));
done:
    tdm_loader_destroy(&loader);
    tdm_split_destroy(&split);
    return status;
}

/* train/bench.c: timing, and formatting of benchmark rows. */
#include "train/bench.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "format/json.h"

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double tdm__median(double *values, size_t n)
{
    if (n == 0) return 0;
    qsort(values, n, sizeof *values, compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

tdm_status tdm__bench_time(tdm_device *device, tdm_status (*run)(void *user), void *user, int runs,
                           int batch, tdm__bench_row *row)
{
    tdm_status status = TDM_OK;
    double *wall = NULL, *cpu = NULL;
    TDM_TRY(tdm__calloc_try((size_t)runs, sizeof *wall, &wall));
    TDM_TRY(tdm__calloc_try((size_t)runs, sizeof *cpu, &cpu));
    for (int i = -1; i < runs; i++) { /* the first warms up: compilation stays out */
        const double w = tdm__now(), c = tdm__cpu_time();
        for (int k = 0; k < batch; k++) TDM_TRY(run(user));
        TDM_TRY(tdm_device_finish(device));
        if (i < 0) continue;
        wall[i] = (tdm__now() - w) / batch;
        cpu[i] = (tdm__cpu_time() - c) / batch;
    }
    row->wall_ms = 1e3 * tdm__median(wall, (size_t)runs);
    row->cpu_ms = 1e3 * tdm__median(cpu, (size_t)runs);
    row->runs = (uint64_t)(runs * batch);
done:
    free(wall);
    free(cpu);
    return status;
}

void tdm__bench_compare(tdm__bench_row *row, const tdm__limits *limits, double flops, double bytes,
                        double launches)
{
    row->gflops = 1e-6 * flops / row->wall_ms;
    row->gbps = 1e-6 * bytes / row->wall_ms;
    row->launches = (uint64_t)launches;
    if (!limits) return;
    const double least = tdm__limits_seconds(&limits->busy, flops, bytes, launches, &row->bound);
    row->share = 1e3 * least / (limits->busy_is_cpu ? row->cpu_ms : row->wall_ms);
}

static void add_number(tdm__json *j, const char *key, double value)
{
    if (value <= 0) return;
    tdm__json_key(j, key);
    tdm__json_number(j, value);
}

static void add_count(tdm__json *j, const char *key, uint64_t value)
{
    if (value == 0) return;
    tdm__json_key(j, key);
    tdm__json_uint(j, value);
}

static void add_json(tdm__str *text, const tdm__bench_row *row)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "name");
    tdm__json_string(&j, row->name);
    add_number(&j, "wall_ms", row->wall_ms);
    add_number(&j, "cpu_ms", row->cpu_ms);
    add_number(&j, "gflops", row->gflops);
    add_number(&j, "gbps", row->gbps);
    add_number(&j, "samples_per_s", row->samples_per_s);
    add_count(&j, "peak_bytes", row->peak_bytes);
    add_count(&j, "launches", row->launches);
    add_number(&j, "host_us", row->host_us);
    add_count(&j, "runs", row->runs);
    add_number(&j, "first_step_s", row->first_step_s);
    add_count(&j, "programs", row->programs);
    add_count(&j, "activation_read_bytes", row->read_bytes);
    add_count(&j, "activation_write_bytes", row->write_bytes);
    add_number(&j, "error_rms", row->error_rms);
    add_number(&j, "error_max", row->error_max);
    add_number(&j, "share_of_limit", row->share);
    if (row->bound) {
        tdm__json_key(&j, "bound");
        tdm__json_string(&j, row->bound);
    }
    if (row->is_default) {
        tdm__json_key(&j, "default");
        tdm__json_bool(&j, true);
    }
    if (row->is_chosen) {
        tdm__json_key(&j, "chosen");
        tdm__json_bool(&j, true);
    }
    tdm__json_close(&j, '}');
    if (tdm__json_status(&j)) text->failed = true;
    tdm__str_addf(text, "%s\n", tdm__json_text(&j));
    tdm__json_free(&j);
}

void tdm__bench_heading(tdm__str *text)
{
    tdm__str_addf(text, "%-44s %10s %10s %8s %8s %9s %8s %9s %6s %s\n", "name", "wall ms", "cpu ms",
                  "GFLOP/s", "GB/s", "launches", "host us", "peak MiB", "limit", "bound");
}

void tdm__bench_add_limits(tdm__str *text, const tdm__limits *limits, bool json)
{
    const tdm__rates *r = limits->busy_is_cpu ? &limits->busy : &limits->wall;
    if (json) {
        tdm__json j = {0};
        tdm__json_open(&j, '{');
        tdm__json_key(&j, "name");
        tdm__json_string(&j, "limits");
        tdm__json_key(&j, "per_core");
        tdm__json_bool(&j, limits->busy_is_cpu);
        add_number(&j, "gflops", 1e-9 * r->flops);
        add_number(&j, "gbps", 1e-9 * r->bytes);
        add_number(&j, "launches_per_s", r->launches);
        tdm__json_close(&j, '}');
        if (tdm__json_status(&j)) text->failed = true;
        tdm__str_addf(text, "%s\n", tdm__json_text(&j));
        tdm__json_free(&j);
        return;
    }
    tdm__str_addf(text, "limits%s: %.1f GFLOP/s, %.1f GB/s, %.2f us a launch\n",
                  limits->busy_is_cpu ? " of a core" : "", 1e-9 * r->flops, 1e-9 * r->bytes,
                  1e6 / r->launches);
}

void tdm__bench_add(tdm__str *text, const tdm__bench_row *row, bool json)
{
    if (json) {
        add_json(text, row);
        return;
    }
    tdm__str_addf(text, "%-44s %10.4f %10.4f %8.1f %8.1f %9" PRIu64 " %8.1f %9.1f", row->name,
                  row->wall_ms, row->cpu_ms, row->gflops, row->gbps, row->launches, row->host_us,
                  (double)row->peak_bytes / (1 << 20));
    if (row->bound) tdm__str_addf(text, " %5.0f%% %s", 100 * row->share, row->bound);
    tdm__str_add(text, "\n");
}

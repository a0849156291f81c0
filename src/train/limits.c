/* train/limits.c: multiply-adds, memory traffic and empty launches, as fast as the device does them
 * (cl/limits.cl). The best of some runs counts: what else the machine does only ever slows them. */
#include "train/limits.h"

#include "base/clock.h"

enum {
    RUNS = 5,
    SUMS = 12, /* chains a lane, as in cl/limits.cl */
    ROUNDS = 1 << 14,
    SPAN = 1 << 14,     /* elements of a CPU work-item */
    LAUNCHES = 256,     /* in a row */
    ELEMENTS = 32 << 20 /* of a buffer: far more than caches hold */
};

typedef struct meter {
    tdm_device *device;
    tdm__buffer x, y;
    uint64_t n; /* elements of each */
    tdm__limits *out;
} meter;

static double least(double a, double b)
{
    return a > 0 && a < b ? a : b;
}

/* Seconds of `times` runs of the launch on both clocks, the best of RUNS after one that compiles.
 */
static tdm_status time_launch(const meter *m, tdm__launch *launch, int times, double *wall,
                              double *busy)
{
    tdm_status status = TDM_OK;
    *wall = *busy = 0;
    for (int i = -1; i < RUNS; i++) {
        const double w = tdm__now(), c = tdm__cpu_time();
        for (int k = 0; k < times; k++) TDM_TRY(tdm__launch_enqueue(m->device, launch));
        TDM_TRY(tdm_device_finish(m->device));
        if (i < 0) continue;
        *wall = least(*wall, tdm__now() - w);
        *busy = least(*busy, tdm__cpu_time() - c);
    }
    if (!m->out->busy_is_cpu) *busy = *wall;
done:
    return status;
}

static tdm_status set_range(const meter *m, tdm__launch *launch, uint64_t items)
{
    const tdm__traits *traits = tdm__device_traits(m->device);
    const size_t local = traits->style == TDM_STYLE_CPU ? 1 : traits->work_group;
    const size_t global = (items + local - 1) / local * local;
    return tdm__launch_range(launch, 1, &global, &local);
}

static tdm_status measure_arithmetic(meter *m)
{
    const tdm__traits *traits = tdm__device_traits(m->device);
    const bool lanes = traits->style == TDM_STYLE_CPU;
    const uint64_t items = traits->compute_units * (lanes ? 8 : 4 * (uint64_t)traits->work_group);
    const double flops = 2.0 * SUMS * ROUNDS * (double)(items * (lanes ? traits->vector_width : 1));
    tdm_status status = TDM_OK;
    tdm__launch l = {0};
    double wall, busy;
    TDM_TRY(tdm__launch_init(m->device, "limits.cl", "", "limits_fma", &l));
    TDM_TRY(tdm__launch_view(&l, (tdm__view){&m->y, 0}, sizeof(float)));
    TDM_TRY(tdm__launch_i32(&l, ROUNDS));
    TDM_TRY(tdm__launch_f32(&l, 0.5f));
    TDM_TRY(set_range(m, &l, items));
    TDM_TRY(time_launch(m, &l, 1, &wall, &busy));
    m->out->wall.flops = flops / wall;
    m->out->busy.flops = flops / busy;
done:
    tdm__launch_destroy(&l);
    return status;
}

/* n elements read and as many written, by copying or in place. */
static tdm_status measure_traffic(meter *m, bool copy, uint64_t n, int times, double *wall,
                                  double *busy)
{
    const uint64_t span = tdm__device_traits(m->device)->style == TDM_STYLE_CPU ? SPAN : 1;
    tdm_status status = TDM_OK;
    tdm__launch l = {0};
    TDM_TRY(
        tdm__launch_init(m->device, "limits.cl", "", copy ? "limits_copy" : "limits_scale", &l));
    TDM_TRY(tdm__launch_view(&l, (tdm__view){&m->x, 0}, sizeof(float)));
    if (copy) TDM_TRY(tdm__launch_view(&l, (tdm__view){&m->y, 0}, sizeof(float)));
    TDM_TRY(tdm__launch_u64(&l, n));
    TDM_TRY(tdm__launch_i32(&l, (int32_t)span));
    if (!copy) TDM_TRY(tdm__launch_f32(&l, 0.5f));
    TDM_TRY(set_range(m, &l, (n + span - 1) / span));
    TDM_TRY(time_launch(m, &l, times, wall, busy));
done:
    tdm__launch_destroy(&l);
    return status;
}

static tdm_status measure(meter *m)
{
    tdm_status status = TDM_OK;
    double wall[2], busy[2];
    const double bytes = 2.0 * sizeof(float) * (double)m->n;
    TDM_TRY(tdm__buffer_create(m->device, m->n * sizeof(float), true, "limits", &m->x));
    TDM_TRY(tdm__buffer_create(m->device, m->n * sizeof(float), true, "limits", &m->y));
    TDM_TRY(measure_arithmetic(m));
    for (int copy = 0; copy < 2; copy++)
        TDM_TRY(measure_traffic(m, copy, m->n, 1, &wall[copy], &busy[copy]));
    m->out->wall.bytes = bytes / least(wall[0], wall[1]);
    m->out->busy.bytes = bytes / least(busy[0], busy[1]);
    TDM_TRY(measure_traffic(m, false, 1, LAUNCHES, &wall[0], &busy[0]));
    m->out->wall.launches = LAUNCHES / wall[0];
    m->out->busy.launches = LAUNCHES / busy[0];
done:
    return status;
}

tdm_status tdm__limits_measure(tdm_device *device, tdm__limits *out)
{
    const tdm__traits *traits = tdm__device_traits(device);
    const uint64_t most = traits->max_allocation / sizeof(float) / 4;
    meter m = {.device = device, .n = most < ELEMENTS ? most : ELEMENTS, .out = out};
    *out = (tdm__limits){.busy_is_cpu = traits->is_cpu};
    const tdm_status status = measure(&m);
    tdm__buffer_destroy(device, &m.x);
    tdm__buffer_destroy(device, &m.y);
    return status ? tdm__context(status, "measuring the device's limits") : TDM_OK;
}

double tdm__limits_seconds(const tdm__rates *rates, double flops, double bytes, double launches,
                           const char **bound)
{
    const double arithmetic = flops / rates->flops, memory = bytes / rates->bytes;
    const double launch = launches / rates->launches;
    *bound = "launch";
    if (launch >= arithmetic && launch >= memory) return launch;
    *bound = memory >= arithmetic ? "memory" : "arithmetic";
    return memory >= arithmetic ? memory : arithmetic;
}

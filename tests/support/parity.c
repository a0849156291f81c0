/* support/parity.c: sessions on made-up batches; the twin of the draws in tests/ref. */
#include "support/parity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"

tdm_config *parity_config(void)
{
    const tdm_opt_table *const *tables;
    tdm_config *config;
    size_t n;
    tdm_schema(&tables, &n);
    support_ok(tdm_config_create(tables, n, &config));
    return config;
}

static void fill_array(const parity_array *a, uint64_t seed, uint64_t count, void *bytes)
{
    char stream[64];
    snprintf(stream, sizeof stream, "parity.%s", a->info.name);
    tdm__rng rng = tdm__rng_make(seed, tdm__rng_stream(stream, 0, 0));
    const uint32_t classes = (uint32_t)a->info.classes;
    for (uint64_t i = 0; i < count; i++) {
        switch (a->fill) {
        case PARITY_PIXELS:
            ((uint8_t *)bytes)[i] = (uint8_t)(tdm__rng_u32(&rng) >> 24);
            break;
        case PARITY_LABELS:
            ((int32_t *)bytes)[i] = (int32_t)(tdm__rng_u32(&rng) % classes);
            break;
        case PARITY_HOLES:
            ((int32_t *)bytes)[i] = (int32_t)(tdm__rng_u32(&rng) % (classes + 1)) - 1;
            break;
        case PARITY_VALUES:
            ((float *)bytes)[i] = (float)(tdm__rng_uniform(&rng) * a->scale);
            break;
        case PARITY_FLAGS:
            ((float *)bytes)[i] = tdm__rng_u32(&rng) % 4 != 0;
            break;
        }
    }
}

static void make_batch(parity *p, const parity_array *arrays, size_t n)
{
    tdm__session *s = &p->session;
    for (size_t i = 0; i < s->n_arrays; i++) {
        const parity_array *a = arrays;
        while (a < arrays + n && strcmp(a->info.name, s->arrays[i].load.name) != 0) a++;
        ck_assert_ptr_ne(a, arrays + n);
        const uint64_t count = (uint64_t)(s->batch_size * tdm_desc_count(&s->arrays[i].sample));
        const uint64_t size = count * tdm_dtype_size(s->arrays[i].load.dtype);
        void *bytes = malloc(size);
        fill_array(a, s->seed, count, bytes);
        support_ok(tdm__buffer_create(s->device, size, false, "batch", &p->buffers[i]));
        p->views[i] = (tdm__view){&p->buffers[i], 0};
        support_ok(tdm__view_write(s->device, p->views[i], bytes, size));
        free(bytes);
    }
}

void parity_open(parity *p, tdm_config *config, const char *style, const parity_array *arrays,
                 size_t n)
{
    tdm__optim_spec optim;
    memset(p, 0, sizeof *p);
    p->config = config;
    ck_assert_uint_le(n, PARITY_ARRAYS);
    for (size_t i = 0; i < n; i++) p->infos[i] = arrays[i].info;
    support_ok(tdm_config_set(config, "device.style", style, "test"));
    support_ok(tdm_config_resolve(config));
    support_ok(tdm__session_create(config, &(tdm__array_source){n, p->infos}, true, &p->session));
    support_ok(tdm__optim_spec_read(config, &optim));
    support_ok(tdm__optimizer_create(p->session.device, p->session.flat, &optim, &p->optimizer));
    make_batch(p, arrays, n);
}

void parity_close(parity *p)
{
    for (size_t i = 0; i < p->session.n_arrays; i++)
        tdm__buffer_destroy(p->session.device, &p->buffers[i]);
    tdm__optimizer_destroy(&p->optimizer);
    tdm__session_destroy(&p->session);
    tdm_config_destroy(&p->config);
}

void parity_step(parity *p, tdm__step_plan *plan, int step, double lr)
{
    support_ok(tdm__meter_reset(p->session.meters[1]));
    support_ok(tdm__session_run(&p->session, plan, p->views, step, lr));
    support_ok(tdm__meter_read(p->session.meters[1]));
}

double parity_error(const char *name, const float *values, uint64_t count,
                    const double projections[PARITY_PROJECTIONS], double *norm)
{
    char stream[128];
    double error = 0;
    *norm = 0;
    snprintf(stream, sizeof stream, "projection.%s", name);
    for (uint64_t i = 0; i < count; i++) *norm += (double)values[i] * values[i];
    *norm = sqrt(*norm);
    for (uint64_t k = 0; k < PARITY_PROJECTIONS; k++) {
        tdm__rng rng = tdm__rng_make(k, tdm__rng_stream(stream, 0, 0));
        double projection = 0;
        for (uint64_t i = 0; i < count; i++)
            projection += values[i] * (2 * tdm__rng_uniform(&rng) - 1);
        const double difference = projection - projections[k];
        error += difference * difference;
    }
    /* A random projection on U(-1,1) has variance |e|^2 / 3. */
    return sqrt(3 * error / PARITY_PROJECTIONS);
}

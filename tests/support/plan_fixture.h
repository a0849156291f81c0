/* support/plan_fixture.h: a device, a graph and its plan, and a buffer of slots for what has a
 * place, for the test programs of src/graph. */
#ifndef SUPPORT_PLAN_FIXTURE_H
#define SUPPORT_PLAN_FIXTURE_H

#include "cl/internal.h"
#include "graph/planning.h"
#include "support/cl_fixture.h"
#include "support/probe.h"

static support_cl cl;
static tdm_graph *g;
static tdm__plan *plan;
static tdm__buffer memory; /* for variables, inputs and stored values: slots of 4096 bytes */

enum { SLOT = 4096, SLOTS = 64 };

static inline void open_device(void)
{
    support_cl_open(&cl, NULL);
    probe_kernels(&cl);
    support_ok(tdm__buffer_create(cl.device, SLOT * SLOTS, true, "test", &memory));
}

static inline void close_device(void)
{
    tdm__buffer_destroy(cl.device, &memory);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0); /* plans and arenas gave all back */
    support_cl_close(&cl);
}

static inline void setup(void)
{
    support_ok(tdm_graph_create(&g));
}

static inline void teardown(void)
{
    tdm__plan_destroy(&plan);
    tdm_graph_destroy(&g);
}

static inline tdm__view slot(int i)
{
    return (tdm__view){&memory, (uint64_t)i * SLOT};
}

static inline void write_slot(int i, const float *values, size_t n)
{
    support_ok(tdm__view_write(cl.device, slot(i), values, n * sizeof *values));
}

/* A variable of n floats in slot i, all `value`. */
static inline tdm_value variable(int i, int64_t n, float value)
{
    float values[1024];
    for (int64_t k = 0; k < n; k++) values[k] = value;
    write_slot(i, values, (size_t)n);
    tdm_value v = tdm_graph_variable(g, "v", tdm_desc_1(TDM_F32, n), true);
    tdm__graph_place(g, v, slot(i));
    return v;
}

static inline void make(const tdm__plan_spec *spec)
{
    tdm__plan_spec whole = spec ? *spec : (tdm__plan_spec){0};
    whole.device = cl.device;
    tdm__plan_destroy(&plan);
    support_ok(tdm__plan_create(g, &whole, &plan));
}

static inline tdm__plan_stats stats(void)
{
    tdm__plan_stats s;
    tdm__plan_get_stats(plan, &s);
    return s;
}

static inline float first_at(tdm__view view)
{
    float f = -12345;
    support_ok(tdm__view_read(cl.device, view, &f, sizeof f));
    return f;
}

static inline float first(tdm_value value)
{
    tdm__view view = tdm__plan_view(plan, value);
    ck_assert_ptr_nonnull(view.buffer);
    return first_at(view);
}

#endif

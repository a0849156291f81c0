/* Buffers and launches on a real device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/cl_fixture.h"

static support_cl cl;

static void setup(void)
{
    support_cl_open(&cl, NULL);
}
static void teardown(void)
{
    support_cl_close(&cl);
}

#define SCALE_TEXT                                                                                 \
    "kernel void scale(ARG(const float, x), ARG(float, y), const float a, const int n) {\n"        \
    "    VIEW(x); VIEW(y);\n"                                                                      \
    "    const int i = get_global_id(0);\n"                                                        \
    "    if (i < n) y[i] = a * x[i];\n"                                                            \
    "}\n"

START_TEST(launch_with_views)
{
    const float x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    float y[8];
    support_cl_file(&cl, "scale.cl", SCALE_TEXT);
    tdm__buffer from = support_cl_floats(cl.device, x, 8), to = {0};
    support_ok(tdm__buffer_create(cl.device, sizeof y, true, "test", &to));
    tdm__launch launch;
    support_ok(tdm__launch_init(cl.device, "scale.cl", "", "scale", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&from, 8}, 4));
    support_ok(tdm__launch_view(&launch, (tdm__view){&to, 4}, 4));
    support_ok(tdm__launch_f32(&launch, 10));
    support_ok(tdm__launch_i32(&launch, 3));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){8}, (size_t[]){4}));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){&to, 0}, y, sizeof y));
    const float want[8] = {0, 20, 30, 40, 0, 0, 0, 0};
    ck_assert_mem_eq(y, want, sizeof y);

    /* The prepared launch is replayed with another place and factor. */
    support_ok(tdm__launch_set_view(&launch, 2, (tdm__view){&to, 20}, 4));
    support_ok(tdm__launch_set_f32(&launch, 4, -1));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){&to, 0}, y, sizeof y));
    const float again[8] = {0, 20, 30, 40, 0, -2, -3, -4};
    ck_assert_mem_eq(y, again, sizeof y);
    tdm__device_stats stats;
    tdm__device_stats_get(cl.device, &stats);
    ck_assert_uint_eq(stats.launches, 2);
    ck_assert_uint_eq(stats.programs_built, 1);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &from);
    tdm__buffer_destroy(cl.device, &to);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_launch");
    TCase *device = tcase_create("device");
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, launch_with_views);
    suite_add_tcase(suite, device);
    return support_run(suite);
}

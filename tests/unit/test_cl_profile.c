/* The profile: a valid Chrome trace with commands where the host's clock says they were. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cl/internal.h"
#include "support/cl_fixture.h"

static support_cl cl;

static void setup(void)
{
    support_cl_open(&cl, &(tdm_device_spec){.profile = true});
}
static void teardown(void)
{
    support_cl_close(&cl);
}

static json_t *trace(void)
{
    json_error_t error;
    char *path = support_path(cl.folder, "trace.json");
    support_ok(tdm__profile_write(cl.device, path));
    json_t *array = json_load_file(path, 0, &error);
    ck_assert_msg(json_is_array(array), "%s", error.text);
    free(path);
    return array;
}

/* How many "X" events have this name, and the last of them. */
static size_t find(json_t *array, const char *name, json_t **last)
{
    size_t i, n = 0;
    json_t *event;
    json_array_foreach(array, i, event)
    {
        if (strcmp(json_string_value(json_object_get(event, "ph")), "X") != 0) continue;
        if (strcmp(json_string_value(json_object_get(event, "name")), name) != 0) continue;
        n++;
        *last = event;
    }
    return n;
}

static double number(json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

#define SPIN_TEXT                                                                                  \
    "kernel void spin(ARG(int, y), const int rounds) {\n"                                          \
    "    VIEW(y);\n"                                                                               \
    "    uint h = 1;\n"                                                                            \
    "    for (int i = 0; i < rounds; i++) h = h * 1664525u + 1013904223u + (h >> 7);\n"            \
    "    *y = (int)h;\n"                                                                           \
    "}\n"

static tdm__launch spin_launch(tdm__buffer *buffer, int rounds)
{
    tdm__launch launch;
    support_cl_file(&cl, "spin.cl", SPIN_TEXT);
    support_ok(tdm__launch_init(cl.device, "spin.cl", "", "spin", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){buffer, 0}, 4));
    support_ok(tdm__launch_i32(&launch, rounds));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){1}, NULL));
    return launch;
}

START_TEST(profile_holds_every_lane)
{
    int value = 3;
    cl_event uploaded;
    tdm__buffer buffer;
    json_t *event = NULL;
    support_ok(tdm__buffer_create(cl.device, 4, true, "test", &buffer));
    tdm__launch launch = spin_launch(&buffer, 20000000);
    launch.flops = 4 * 2e7;
    launch.bytes = 4;
    support_ok(tdm__launch_enqueue(cl.device, &launch)); /* compiles */
    support_ok(tdm_device_finish(cl.device));
    const double open = cl.device->profile.start.host, begin = tdm__now();
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm_device_finish(cl.device));
    const double end = tdm__now();
    support_ok(tdm__transfer_write(cl.device, (tdm__view){&buffer, 0}, &value, 4, &uploaded));
    support_ok(tdm__event_wait(uploaded));
    tdm__event_release(&uploaded);
    support_ok(tdm__view_write_async(cl.device, (tdm__view){&buffer, 0}, &value, 4));
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, &value, 4));
    char name[] = "read \"a\\b\"\n\xc3";
    tdm__profile_span(cl.device, TDM__LANE_IO, name, begin, end);
    memset(name, 'x', sizeof name - 1); /* the name was copied */
    tdm__profile_span(cl.device, TDM__LANE_DECODE, "decode", begin, end);

    json_t *array = trace();
    ck_assert_uint_eq(find(array, "spin", &event), 2);
    ck_assert_int_eq(json_integer_value(json_object_get(event, "tid")), TDM__LANE_COMPUTE + 1);
    /* Between the host's two looks at its clock, and filling most of the time between them. */
    const double ts = 1e-6 * number(event, "ts") + open, dur = 1e-6 * number(event, "dur");
    ck_assert_msg(ts > begin - 1e-3 && ts + dur < end + 1e-3, "%.6f %.6f: %.6f +%.6f", begin, end,
                  ts, dur);
    ck_assert_msg(dur > 0.3 * (end - begin), "%g of %g", dur, end - begin);
    ck_assert(fabs(number(json_object_get(event, "args"), "gflops") - 8e-2 / dur) < 0.01);
    ck_assert_uint_eq(find(array, "upload", &event), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(event, "tid")), TDM__LANE_TRANSFER + 1);
    ck_assert_uint_eq(find(array, "write", &event), 1);
    ck_assert_uint_eq(find(array, "read", &event), 1);
    ck_assert_uint_eq(find(array, "decode", &event), 1);
    ck_assert(fabs(number(event, "dur") - 1e6 * (end - begin)) < 0.01);
    ck_assert_uint_eq(find(array, "read \"a\\b\"\n\xc3\x83", &event), 1);
    json_decref(array);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(profile_sums_by_owner)
{
    tdm__buffer buffer;
    tdm__profile_total *totals;
    size_t n;
    support_ok(tdm__buffer_create(cl.device, 4, true, "test", &buffer));
    tdm__launch launch = spin_launch(&buffer, 1000);
    launch.flops = 10;
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__profile_clear(cl.device));
    tdm__profile_owner(cl.device, "turn", "fast");
    for (int i = 0; i < 3; i++) support_ok(tdm__launch_enqueue(cl.device, &launch));
    tdm__profile_owner(cl.device, "turn", "slow");
    tdm__launch slow = spin_launch(&buffer, 2000000);
    support_ok(tdm__launch_enqueue(cl.device, &slow));
    tdm__profile_owner(cl.device, NULL, NULL);
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__profile_totals(cl.device, &totals, &n));
    ck_assert_uint_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        const tdm__profile_total *t = &totals[i];
        ck_assert_str_eq(t->kernel, "spin");
        ck_assert_uint_eq(t->count, !t->op ? 2 : !strcmp(t->variant, "fast") ? 3 : 1);
        ck_assert(t->flops == (t->op && !strcmp(t->variant, "slow") ? 0 : 10.0 * (double)t->count));
        ck_assert(i == 0 || t->seconds <= totals[i - 1].seconds);
    }
    free(totals);
    support_ok(tdm__profile_clear(cl.device));
    support_ok(tdm__profile_totals(cl.device, &totals, &n));
    ck_assert_uint_eq(n, 0);
    tdm__launch_destroy(&slow);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(profile_memory_is_bounded)
{
    enum { COUNT = 2 * TDM__PROFILE_PENDING + 17 };
    tdm__buffer buffer;
    json_t *event = NULL;
    support_ok(tdm__buffer_create(cl.device, 4, true, "test", &buffer));
    tdm__launch launch = spin_launch(&buffer, 1);
    for (int i = 0; i < COUNT; i++) {
        support_ok(tdm__launch_enqueue(cl.device, &launch));
        ck_assert_uint_le(cl.device->profile.n_pending, TDM__PROFILE_PENDING);
    }
    json_t *array = trace();
    ck_assert_uint_eq(find(array, "spin", &event), COUNT);
    json_decref(array);
    /* Host spans beyond the limit are counted, not kept. */
    for (size_t i = cl.device->profile.n_spans; i < TDM__PROFILE_SPANS + 5; i++)
        tdm__profile_span(cl.device, TDM__LANE_IO, "io", 0, 1);
    ck_assert_uint_eq(cl.device->profile.n_spans, TDM__PROFILE_SPANS);
    ck_assert_uint_eq(cl.device->profile.dropped, 5);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(profile_needs_a_profiling_device)
{
    support_cl_reopen(&cl, NULL);
    tdm__profile_span(cl.device, TDM__LANE_IO, "ignored", 0, 1);
    support_fails(tdm__profile_write(cl.device, "trace.json"), TDM_ERR_STATE, "without profiling");
}
END_TEST

START_TEST(profile_cannot_be_written)
{
    support_fails(tdm__profile_write(cl.device, "/proc/no/such/folder/trace.json"), TDM_ERR_IO,
                  "/proc/no/such/folder");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_profile");
    TCase *device = tcase_create("device");
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, profile_holds_every_lane);
    tcase_add_test(device, profile_sums_by_owner);
    tcase_add_test(device, profile_memory_is_bounded);
    tcase_add_test(device, profile_needs_a_profiling_device);
    tcase_add_test(device, profile_cannot_be_written);
    suite_add_tcase(suite, device);
    return support_run(suite);
}

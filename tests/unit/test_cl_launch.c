/* Buffers and launches on a real device. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cl/internal.h"
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
    ck_assert_uint_eq(stats.programs_built + stats.programs_loaded, 1);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &from);
    tdm__buffer_destroy(cl.device, &to);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
}
END_TEST

/* A launch of scale.cl over n floats of one buffer. */
static tdm__launch scale_launch(tdm__buffer *buffer, size_t n, const size_t *local)
{
    tdm__launch launch;
    support_cl_file(&cl, "scale.cl", SCALE_TEXT);
    support_ok(tdm__launch_init(cl.device, "scale.cl", "", "scale", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){buffer, 0}, 4));
    support_ok(tdm__launch_view(&launch, (tdm__view){buffer, 0}, 4));
    support_ok(tdm__launch_f32(&launch, 2));
    support_ok(tdm__launch_i32(&launch, (int32_t)n));
    support_ok(tdm__launch_range(&launch, 1, &n, local));
    return launch;
}

START_TEST(launch_of_nothing_is_skipped)
{
    float x = 3;
    tdm__buffer buffer = support_cl_floats(cl.device, &x, 1);
    tdm__launch launch = scale_launch(&buffer, 1, NULL);
    for (cl_uint dims = 1; dims <= 3; dims++) {
        size_t global[3] = {1, 1, 1};
        global[dims - 1] = 0;
        support_ok(tdm__launch_range(&launch, dims, global, (size_t[]){1, 1, 1}));
        support_ok(tdm__launch_enqueue(cl.device, &launch));
    }
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, &x, sizeof x));
    ck_assert(x == 3);
    tdm__device_stats stats;
    tdm__device_stats_get(cl.device, &stats);
    ck_assert_uint_eq(stats.launches, 0);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(launch_rejects_ranges)
{
    float x[64] = {1};
    tdm__buffer buffer = support_cl_floats(cl.device, x, 64);
    tdm__launch launch = scale_launch(&buffer, 64, NULL);
    const size_t huge = 1u << 20;
    support_fails(tdm__launch_range(&launch, 0, (size_t[]){1}, NULL), TDM_ERR_DEVICE,
                  "kernel scale: 0 dimensions: must be 1 to 3");
    support_fails(tdm__launch_range(&launch, 4, (size_t[]){1, 1, 1, 1}, NULL), TDM_ERR_DEVICE,
                  "4 dimensions");
    support_fails(tdm__launch_range(&launch, 1, (size_t[]){64}, (size_t[]){48}), TDM_ERR_DEVICE,
                  "global size 64 of dimension 0 must be a multiple of the work-group's 48");
    support_fails(tdm__launch_range(&launch, 1, (size_t[]){64}, (size_t[]){0}), TDM_ERR_DEVICE,
                  "multiple of the work-group's 0");
    support_fails(tdm__launch_range(&launch, 1, &huge, &huge), TDM_ERR_DEVICE,
                  "a work-group of 1048576 items, at most");
    support_fails(tdm__launch_range(&launch, 2, (size_t[]){4096, 4096}, (size_t[]){4096, 4096}),
                  TDM_ERR_DEVICE, "a work-group of 16777216 items");
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(launch_rejects_arguments)
{
    float x[4] = {1, 2, 3, 4};
    tdm__launch launch;
    tdm__buffer buffer = support_cl_floats(cl.device, x, 4);
    support_cl_file(&cl, "scale.cl", SCALE_TEXT);
    support_ok(tdm__launch_init(cl.device, "scale.cl", "", "scale", &launch));
    support_fails(tdm__launch_enqueue(cl.device, &launch), TDM_ERR_STATE,
                  "kernel scale: 0 of 6 arguments and no range");
    support_fails(tdm__launch_view(&launch, (tdm__view){&buffer, 6}, 4), TDM_ERR_SHAPE,
                  "kernel scale, argument 0: offset 6 must be a multiple of the element's 4 bytes");
    support_fails(tdm__launch_view(&launch, (tdm__view){&buffer, 20}, 4), TDM_ERR_SHAPE,
                  "offset 20 is outside a buffer of 16 bytes");
    support_ok(
        tdm__launch_view(&launch, (tdm__view){&buffer, 16}, 4)); /* an empty tensor's place */
    support_ok(tdm__launch_view(&launch, (tdm__view){0}, 4));    /* no place */
    support_ok(tdm__launch_f32(&launch, 1));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){4}, NULL));
    support_fails(tdm__launch_enqueue(cl.device, &launch), TDM_ERR_STATE, "5 of 6 arguments");
    support_fails(tdm__launch_u64(&launch, 1), TDM_ERR_DEVICE, "kernel scale, argument 5 of 6");
    support_message_has("CL_INVALID_ARG_SIZE (-51)");
    support_ok(tdm__launch_i32(&launch, 0));
    support_fails(tdm__launch_i32(&launch, 0), TDM_ERR_DEVICE, "CL_INVALID_ARG_INDEX (-49)");
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm_device_finish(cl.device));
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(launch_uses_the_group_its_source_demands)
{
    int sizes[4];
    tdm__buffer buffer;
    tdm__launch launch;
    support_cl_file(&cl, "group.cl",
                    "GPU_KERNEL(4) void four(ARG(int, y)) {\n"
                    "    VIEW(y); y[get_group_id(0)] = get_local_size(0);\n}\n"
                    "CPU_KERNEL void one(ARG(int, y)) {\n"
                    "    VIEW(y); y[get_group_id(0)] = get_local_size(0);\n}\n");
    support_ok(tdm__buffer_create(cl.device, sizeof sizes, true, "test", &buffer));
    support_ok(tdm__launch_init(cl.device, "group.cl", "", "four", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&buffer, 0}, 4));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){8}, NULL));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, sizes, sizeof sizes));
    ck_assert(sizes[0] == 4 && sizes[1] == 4 && sizes[2] == 0);
    support_fails(tdm__launch_range(&launch, 1, (size_t[]){8}, (size_t[]){8}), TDM_ERR_DEVICE,
                  "kernel four: work-group size 8 of dimension 0 must be 4");
    support_fails(tdm__launch_range(&launch, 1, (size_t[]){6}, NULL), TDM_ERR_DEVICE,
                  "global size 6 of dimension 0 must be a multiple of the work-group's 4");
    tdm__launch_destroy(&launch);
    support_ok(tdm__launch_init(cl.device, "group.cl", "", "one", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&buffer, 0}, 4));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){3}, NULL));
    support_ok(tdm__launch_enqueue(cl.device, &launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, sizes, sizeof sizes));
    ck_assert(sizes[0] == 1 && sizes[1] == 1 && sizes[2] == 1 && sizes[3] == 0);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(launch_with_local_memory)
{
    float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[2] = {0};
    const uint64_t have = tdm__device_traits(cl.device)->local_bytes;
    tdm__launch launch;
    support_cl_file(&cl, "sum.cl",
                    "kernel void sum(ARG(const float, x), ARG(float, y), local float *part) {\n"
                    "    VIEW(x); VIEW(y);\n"
                    "    local float fixed[16];\n"
                    "    const int l = get_local_id(0);\n"
                    "    part[l] = x[get_global_id(0)];\n"
                    "    fixed[l] = part[l];\n"
                    "    barrier(CLK_LOCAL_MEM_FENCE);\n"
                    "    if (l == 0)\n"
                    "        y[get_group_id(0)] = part[0] + part[1] + fixed[2] + fixed[3];\n"
                    "}\n");
    tdm__buffer from = support_cl_floats(cl.device, x, 8), to = support_cl_floats(cl.device, y, 2);
    /* Fits; exactly one byte too much; far too much. */
    const uint64_t bytes[] = {4 * sizeof(float), have - 16 * sizeof(float) + 1, 1ull << 30};
    for (int i = 0; i < 3; i++) {
        support_ok(tdm__launch_init(cl.device, "sum.cl", "", "sum", &launch));
        support_ok(tdm__launch_view(&launch, (tdm__view){&from, 0}, 4));
        support_ok(tdm__launch_view(&launch, (tdm__view){&to, 0}, 4));
        support_ok(tdm__launch_local(&launch, bytes[i]));
        support_ok(tdm__launch_range(&launch, 1, (size_t[]){8}, (size_t[]){4}));
        if (i == 0)
            support_ok(tdm__launch_enqueue(cl.device, &launch));
        else
            support_fails(tdm__launch_enqueue(cl.device, &launch), TDM_ERR_DEVICE,
                          "bytes of local memory, the device has");
        tdm__launch_destroy(&launch);
    }
    support_ok(tdm__view_read(cl.device, (tdm__view){&to, 0}, y, sizeof y));
    ck_assert(y[0] == 10 && y[1] == 26);
    tdm__buffer_destroy(cl.device, &from);
    tdm__buffer_destroy(cl.device, &to);
}
END_TEST

/* ---- buffers --------------------------------------------------------------------------------- */

START_TEST(buffer_counts)
{
    tdm__buffer a, b, none = {0};
    uint32_t zeros[25];
    support_ok(tdm__buffer_create(cl.device, 100, true, "a", &a));
    support_ok(tdm__buffer_create(cl.device, 4000, false, "b", &b));
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 4100);
    tdm__buffer_destroy(cl.device, &b);
    ck_assert_ptr_null(b.mem);
    tdm__buffer_destroy(cl.device, &b);
    tdm__buffer_destroy(cl.device, &none);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 100);
    ck_assert_uint_eq(tdm__device_peak_bytes(cl.device), 4100);
    memset(zeros, 1, sizeof zeros);
    support_ok(tdm__view_read(cl.device, (tdm__view){&a, 0}, zeros, sizeof zeros));
    for (int i = 0; i < 25; i++) ck_assert_uint_eq(zeros[i], 0);
    tdm__buffer_destroy(cl.device, &a);
    /* An empty buffer is a valid place for nothing. */
    support_ok(tdm__buffer_create(cl.device, 0, true, "empty", &a));
    ck_assert(a.mem && a.bytes == 0);
    support_ok(tdm__view_read(cl.device, (tdm__view){&a, 0}, zeros, 0));
    tdm__buffer_destroy(cl.device, &a);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 0);
    ck_assert_uint_eq(tdm__device_peak_bytes(cl.device), 4100);
}
END_TEST

START_TEST(buffer_limits)
{
    tdm__buffer a, b;
    const uint64_t most = tdm__device_traits(cl.device)->max_allocation;
    support_fails(tdm__buffer_create(cl.device, most + 1, false, "arena", &a), TDM_ERR_NOMEM,
                  "device memory: arena needs ");
    support_message_has("the largest buffer of the device is");
    ck_assert_ptr_null(a.mem);
    support_fails(tdm__buffer_create(cl.device, UINT64_MAX, false, "arena", &a), TDM_ERR_NOMEM,
                  "18446744073709551615 bytes");
    tdm__device_set_memory_limit(cl.device, 1000);
    support_ok(tdm__buffer_create(cl.device, 600, false, "weights", &a));
    support_fails(tdm__buffer_create(cl.device, 401, false, "arena", &b), TDM_ERR_NOMEM,
                  "device memory: arena needs 401 bytes: 400 of 1000 bytes are left");
    support_message_has("(hint: ");
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_NOMEM), 6);
    ck_assert_uint_eq(tdm__device_bytes(cl.device), 600);
    support_ok(tdm__buffer_create(cl.device, 400, false, "arena", &b));
    tdm__buffer_destroy(cl.device, &a);
    tdm__buffer_destroy(cl.device, &b);
    /* The device's own size stays the limit of limits. */
    tdm__device_set_memory_limit(cl.device, UINT64_MAX);
    ck_assert_uint_eq(cl.device->memory_limit, cl.device->info.global_memory);
}
END_TEST

START_TEST(buffer_copies)
{
    uint32_t x[64], y[64];
    tdm__buffer a, b;
    for (uint32_t i = 0; i < 64; i++) x[i] = i;
    support_ok(tdm__buffer_create(cl.device, sizeof x, true, "a", &a));
    support_ok(tdm__buffer_create(cl.device, sizeof x, true, "b", &b));
    support_ok(tdm__view_write(cl.device, (tdm__view){&a, 0}, x, sizeof x));
    support_ok(tdm__view_copy(cl.device, (tdm__view){&a, 16}, (tdm__view){&b, 8}, 40));
    support_ok(tdm__view_fill(cl.device, (tdm__view){&b, 128}, 0xdeadbeef, 12));
    support_ok(tdm__view_read(cl.device, (tdm__view){&b, 0}, y, sizeof y));
    for (uint32_t i = 0; i < 64; i++)
        ck_assert_uint_eq(y[i], i >= 2 && i < 12 ? i + 2 : i >= 32 && i < 35 ? 0xdeadbeef : 0);
    /* Nothing outside a buffer is ever touched. */
    const char *outside = "are outside a buffer of 256 bytes";
    tdm__view end = {&b, 252}, past = {&b, 257};
    support_fails(tdm__view_read(cl.device, end, y, 5), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_write(cl.device, past, y, 0), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_write(cl.device, end, y, UINT64_MAX), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_write_async(cl.device, end, y, 8), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_fill(cl.device, end, 0, 8), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_copy(cl.device, end, (tdm__view){&a, 0}, 8), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_copy(cl.device, (tdm__view){&a, 0}, end, 8), TDM_ERR_SHAPE, outside);
    support_fails(tdm__view_fill(cl.device, (tdm__view){&a, 2}, 0, 4), TDM_ERR_SHAPE,
                  "must be multiples of 4 bytes");
    support_fails(tdm__view_fill(cl.device, (tdm__view){&a, 0}, 0, 6), TDM_ERR_SHAPE,
                  "must be multiples of 4 bytes");
    support_fails(tdm__view_read(cl.device, (tdm__view){0}, y, 4), TDM_ERR_STATE, "no buffer");
    tdm__buffer_destroy(cl.device, &a);
    tdm__buffer_destroy(cl.device, &b);
}
END_TEST

START_TEST(buffer_async_writes_are_staged)
{
    /* More writes than the ring has slots, from memory that changes at once. */
    enum { COUNT = 3 * TDM__STAGING_SLOTS };
    uint32_t *back = tdm__calloc(COUNT, 4);
    tdm__buffer buffer;
    support_ok(tdm__buffer_create(cl.device, 4 * COUNT, true, "test", &buffer));
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t value = 1000 + i;
        support_ok(tdm__view_write_async(cl.device, (tdm__view){&buffer, 4 * i}, &value, 4));
        value = 0;
    }
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, back, 4 * COUNT));
    for (uint32_t i = 0; i < COUNT; i++) ck_assert_uint_eq(back[i], 1000 + i);
    tdm__buffer_destroy(cl.device, &buffer);
    /* A large one is read from where it is. */
    const size_t large = TDM__STAGING_BYTES + 4;
    unsigned char *bytes = malloc(large), *again = malloc(large);
    memset(bytes, 7, large);
    support_ok(tdm__buffer_create(cl.device, large, true, "test", &buffer));
    support_ok(tdm__view_write_async(cl.device, (tdm__view){&buffer, 0}, bytes, large));
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, again, large));
    ck_assert_mem_eq(bytes, again, large);
    tdm__buffer_destroy(cl.device, &buffer);
    free(bytes);
    free(again);
    free(back);
}
END_TEST

/* ---- opening --------------------------------------------------------------------------------- */

START_TEST(device_describes_itself)
{
    const tdm__traits *t = tdm__device_traits(cl.device);
    const tdm_device_info *info = tdm_device_get_info(cl.device);
    ck_assert(t->style == TDM_STYLE_CPU || t->style == TDM_STYLE_GPU);
    ck_assert(t->vector_width == 4 || t->vector_width == 8 || t->vector_width == 16);
    ck_assert(t->align >= 128 && (t->align & (t->align - 1)) == 0);
    ck_assert_uint_eq(t->local_bytes, info->local_memory);
    ck_assert_ptr_nonnull(strstr(tdm__device_defines(cl.device), " -DVW="));
    ck_assert_uint_eq(strlen(tdm__device_hash(cl.device)), 32);
    ck_assert_ptr_null(strstr(tdm__device_defines(cl.device), "fast-relaxed"));
    ck_assert_ptr_null(strstr(tdm__device_defines(cl.device), "finite-math"));
    char before[TDM__HASH_HEX];
    strcpy(before, tdm__device_hash(cl.device));
    support_cl_reopen(&cl, NULL);
    ck_assert_str_eq(tdm__device_hash(cl.device), before);
}
END_TEST

START_TEST(device_style_can_be_forced)
{
    const char *environment = getenv("TANDEM_KERNEL_STYLE");
    char *before = environment ? strdup(environment) : NULL;
    tdm_device *device;
    setenv("TANDEM_KERNEL_STYLE", "gpu", 1);
    support_cl_reopen(&cl, NULL);
    ck_assert_int_eq(tdm__device_traits(cl.device)->style, TDM_STYLE_GPU);
    ck_assert_ptr_nonnull(strstr(tdm__device_defines(cl.device), "-DSTYLE_GPU=1"));
    support_cl_reopen(&cl, &(tdm_device_spec){.style = TDM_STYLE_CPU});
    ck_assert_ptr_nonnull(strstr(tdm__device_defines(cl.device), "-DSTYLE_CPU=1"));
    setenv("TANDEM_KERNEL_STYLE", "cpu", 1);
    support_cl_reopen(&cl, NULL);
    ck_assert_int_eq(tdm__device_traits(cl.device)->style, TDM_STYLE_CPU);
    setenv("TANDEM_KERNEL_STYLE", "tpu", 1);
    support_fails(tdm_device_open(&(tdm_device_spec){0}, &device), TDM_ERR_CONFIG,
                  "TANDEM_KERNEL_STYLE = tpu: must be cpu, gpu or auto");
    ck_assert_ptr_null(device);
    unsetenv("TANDEM_KERNEL_STYLE");
    if (before) setenv("TANDEM_KERNEL_STYLE", before, 1);
    free(before);
}
END_TEST

START_TEST(device_open_failures)
{
    tdm_device *device;
    tdm__buffer buffer;
    support_fails(tdm_device_open(&(tdm_device_spec){.device = "no such name"}, &device),
                  TDM_ERR_DEVICE, "no device `no such name`");
    ck_assert_ptr_null(device);
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_DEVICE), 4);
    setenv("TANDEM_CL_DIR", "/no/such/folder", 1);
    support_fails(tdm_device_open(&(tdm_device_spec){0}, &device), TDM_ERR_CONFIG,
                  "TANDEM_CL_DIR = /no/such/folder: no such folder");
    setenv("TANDEM_CL_DIR", cl.folder, 1);
    setenv("TANDEM_DEVICE_MEMORY", "some", 1);
    support_fails(tdm_device_open(&(tdm_device_spec){0}, &device), TDM_ERR_CONFIG,
                  "TANDEM_DEVICE_MEMORY = some: must be a number of bytes, e.g. 512MiB");
    setenv("TANDEM_DEVICE_MEMORY", "5000", 1);
    support_ok(tdm_device_open(&(tdm_device_spec){0}, &device));
    unsetenv("TANDEM_DEVICE_MEMORY");
    support_fails(tdm__buffer_create(device, 5001, false, "arena", &buffer), TDM_ERR_NOMEM,
                  "5000 of 5000 bytes are left");
    tdm_device_destroy(&device);
    ck_assert_ptr_null(device);
    tdm_device_destroy(&device);
}
END_TEST

START_TEST(device_out_of_host_memory_is_clean)
{
    tdm_device *device = NULL;
    bool opened = false;
    for (uint64_t n = 1; n < 200 && !opened; n++) {
        tdm__mem_fail_after(n);
        tdm_status status = tdm_device_open(&(tdm_device_spec){0}, &device);
        tdm__mem_fail_after(0);
        ck_assert_msg(status == TDM_OK || status == TDM_ERR_NOMEM, "%s", tdm_last_error());
        opened = status == TDM_OK;
        tdm_device_destroy(&device);
    }
    ck_assert(opened);
    support_cl_file(&cl, "scale.cl", SCALE_TEXT);
    opened = false;
    for (uint64_t n = 1; n < 200 && !opened; n++) {
        tdm__launch launch;
        tdm__mem_fail_after(n);
        tdm_status status = tdm__launch_init(cl.device, "scale.cl", "-DA=1 -DB", "scale", &launch);
        tdm__mem_fail_after(0);
        ck_assert_msg(status == TDM_OK || status == TDM_ERR_NOMEM, "%s", tdm_last_error());
        opened = status == TDM_OK;
        tdm__launch_destroy(&launch);
    }
    ck_assert(opened);
}
END_TEST

/* ---- queues ---------------------------------------------------------------------------------- */

#define SLOW_TEXT                                                                                  \
    "kernel void slow(ARG(const int, x), ARG(int, y), const int rounds) {\n"                       \
    "    VIEW(x); VIEW(y);\n"                                                                      \
    "    uint h = 1;\n"                                                                            \
    "    for (int i = 0; i < rounds; i++) h = h * 1664525u + 1013904223u;\n"                       \
    "    *y = *x + (h == 42u ? 1 : 0);\n"                                                          \
    "}\n"

START_TEST(queues_wait_for_each_other)
{
    /* Each round: upload a value, compute copies it slowly, and the next upload may only overwrite
     * it when the computation has read it. Without the events rounds would mix. */
    enum { ROUNDS = 50 };
    int values[ROUNDS], back[ROUNDS];
    tdm__buffer in, out;
    tdm__launch launch;
    cl_event uploaded = NULL, computed = NULL;
    support_cl_file(&cl, "slow.cl", SLOW_TEXT);
    support_ok(tdm__buffer_create(cl.device, sizeof(int), true, "in", &in));
    support_ok(tdm__buffer_create(cl.device, sizeof back, true, "out", &out));
    support_ok(tdm__launch_init(cl.device, "slow.cl", "", "slow", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&in, 0}, 4));
    support_ok(tdm__launch_view(&launch, (tdm__view){&out, 0}, 4));
    support_ok(tdm__launch_i32(&launch, 20000));
    support_ok(tdm__launch_range(&launch, 1, (size_t[]){1}, NULL));
    for (int i = 0; i < ROUNDS; i++) {
        values[i] = 100 + i;
        if (computed) support_ok(tdm__transfer_wait(cl.device, computed));
        tdm__event_release(&computed);
        support_ok(tdm__transfer_write(cl.device, (tdm__view){&in, 0}, &values[i], 4, &uploaded));
        support_ok(tdm__compute_wait(cl.device, uploaded));
        tdm__event_release(&uploaded);
        support_ok(tdm__launch_set_view(&launch, 2, (tdm__view){&out, 4u * (unsigned)i}, 4));
        support_ok(tdm__launch_enqueue(cl.device, &launch));
        support_ok(tdm__compute_mark(cl.device, &computed));
    }
    support_ok(tdm__compute_flush(cl.device));
    support_ok(tdm__transfer_flush(cl.device));
    support_ok(tdm__event_wait(computed));
    ck_assert(tdm__event_done(computed));
    tdm__event_release(&computed);
    ck_assert_ptr_null(computed);
    tdm__event_release(&computed);
    support_ok(tdm__view_read(cl.device, (tdm__view){&out, 0}, back, sizeof back));
    ck_assert_mem_eq(back, values, sizeof back);
    tdm__launch_destroy(&launch);
    tdm__buffer_destroy(cl.device, &in);
    tdm__buffer_destroy(cl.device, &out);
}
END_TEST

START_TEST(queues_report_progress)
{
    float x = 0;
    int value = 5;
    cl_event event;
    tdm__buffer buffer = support_cl_floats(cl.device, &x, 1);
    support_ok(tdm__transfer_write(cl.device, (tdm__view){&buffer, 0}, &value, 4, &event));
    support_ok(tdm__event_wait(event));
    ck_assert(tdm__event_done(event));
    tdm__event_release(&event);
    support_ok(tdm__transfer_write(cl.device, (tdm__view){&buffer, 4}, &value, 0, &event));
    support_ok(tdm__event_wait(event));
    tdm__event_release(&event);
    support_fails(tdm__transfer_write(cl.device, (tdm__view){&buffer, 4}, &value, 4, &event),
                  TDM_ERR_SHAPE, "outside a buffer");
    ck_assert_ptr_null(event);
    support_ok(tdm_device_finish(cl.device));
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

START_TEST(queues_map_and_pin)
{
    float x[8] = {0}, *host, want[8] = {0, 0, 5, 6, 7, 0, 0, 0};
    cl_event mapped = NULL;
    tdm__pinned pinned, none = {0};
    tdm__buffer buffer = support_cl_floats(cl.device, x, 8);
    support_ok(tdm__transfer_map(cl.device, (tdm__view){&buffer, 8}, 12, (void **)&host));
    memcpy(host, want + 2, 12);
    support_ok(tdm__transfer_unmap(cl.device, (tdm__view){&buffer, 8}, host, &mapped));
    support_ok(tdm__compute_wait(cl.device, mapped));
    tdm__event_release(&mapped);
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, x, sizeof x));
    ck_assert_mem_eq(x, want, sizeof x);
    support_fails(tdm__transfer_map(cl.device, (tdm__view){&buffer, 24}, 12, (void **)&host),
                  TDM_ERR_SHAPE, "mapping of a buffer: bytes 24 to 36");
    ck_assert_ptr_null(host);
    support_ok(tdm__pinned_create(cl.device, sizeof want, &pinned));
    want[0] = -1;
    memcpy(pinned.bytes, want, sizeof want);
    support_ok(tdm__transfer_write(cl.device, (tdm__view){&buffer, 0}, pinned.bytes, sizeof want,
                                   &mapped));
    support_ok(tdm__event_wait(mapped));
    tdm__event_release(&mapped);
    support_ok(tdm__view_read(cl.device, (tdm__view){&buffer, 0}, x, sizeof x));
    ck_assert_mem_eq(x, want, sizeof x);
    tdm__pinned_destroy(cl.device, &pinned);
    tdm__pinned_destroy(cl.device, &pinned);
    tdm__pinned_destroy(cl.device, &none);
    support_ok(tdm__pinned_create(cl.device, 0, &pinned));
    tdm__pinned_destroy(cl.device, &pinned);
    tdm__buffer_destroy(cl.device, &buffer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_launch");
    TCase *device = tcase_create("device");
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, launch_with_views);
    tcase_add_test(device, launch_of_nothing_is_skipped);
    tcase_add_test(device, launch_rejects_ranges);
    tcase_add_test(device, launch_rejects_arguments);
    tcase_add_test(device, launch_uses_the_group_its_source_demands);
    tcase_add_test(device, launch_with_local_memory);
    tcase_add_test(device, buffer_counts);
    tcase_add_test(device, buffer_limits);
    tcase_add_test(device, buffer_copies);
    tcase_add_test(device, buffer_async_writes_are_staged);
    tcase_add_test(device, device_describes_itself);
    tcase_add_test(device, device_style_can_be_forced);
    tcase_add_test(device, device_open_failures);
    tcase_add_test(device, device_out_of_host_memory_is_clean);
    tcase_add_test(device, queues_wait_for_each_other);
    tcase_add_test(device, queues_report_progress);
    tcase_add_test(device, queues_map_and_pin);
    suite_add_tcase(suite, device);
    return support_run(suite);
}

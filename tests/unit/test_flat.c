/* Flat parameter buffers: layouts, chunks, initial values, hashes. */
#include "graph/flat.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cl/internal.h"
#include "support/support.h"

static tdm_device *device;
static tdm__flat *flat;

static void open_device(void)
{
    support_ok(tdm_device_open(&(tdm_device_spec){0}, &device));
}

static void close_device(void)
{
    ck_assert_uint_eq(tdm__device_bytes(device), 0);
    tdm_device_destroy(&device);
}

static void setup(void)
{
    support_ok(tdm__flat_create(device, &flat));
}

static void teardown(void)
{
    tdm__flat_destroy(&flat);
}

static size_t declare(const char *name, tdm_desc disk, tdm__layout layout, tdm__segment_kind kind)
{
    size_t index = SIZE_MAX;
    char copy[64];
    snprintf(copy, sizeof copy, "%s", name);
    tdm__segment s = {.name = copy, .disk = disk, .layout = layout, .kind = kind};
    support_ok(tdm__flat_declare(flat, &s, &index));
    return index;
}

static float *ramp(size_t n)
{
    float *out = tdm__calloc(n, sizeof *out);
    ck_assert_ptr_nonnull(out);
    for (size_t i = 0; i < n; i++) out[i] = (float)i;
    return out;
}

/* layouts -------------------------------------------------------------------------------------- */

START_TEST(conv_layout)
{
    /* disk (O=2, I=3, H=2, W=5) -> device (H, W, I, O) */
    size_t at =
        declare("conv", tdm_desc_4(TDM_F32, 2, 3, 2, 5), TDM__LAYOUT_CONV, TDM__SEGMENT_PARAM);
    const tdm__segment *s = tdm__flat_segment(flat, at);
    const tdm_desc want = tdm_desc_4(TDM_F32, 2, 5, 3, 2);
    ck_assert(tdm_desc_equal(&s->device, &want));
    ck_assert_uint_eq(s->count, 60);
    float *disk = ramp(60), dev[60], back[60];
    tdm__segment_to_device(s, disk, dev);
    for (int o = 0; o < 2; o++)
        for (int i = 0; i < 3; i++)
            for (int h = 0; h < 2; h++)
                for (int w = 0; w < 5; w++)
                    ck_assert_float_eq(dev[((h * 5 + w) * 3 + i) * 2 + o],
                                       disk[((o * 3 + i) * 2 + h) * 5 + w]);
    tdm__segment_to_disk(s, dev, back);
    ck_assert_mem_eq(back, disk, sizeof back);
    free(disk);
}
END_TEST

START_TEST(dense_layouts)
{
    /* disk (out=3, in=8): device (in, out); flattened from (C=2, H=2, W=2): in becomes H,W,C */
    size_t plain = declare("a", tdm_desc_2(TDM_F32, 3, 8), TDM__LAYOUT_DENSE, TDM__SEGMENT_PARAM);
    tdm__segment spec = *tdm__flat_segment(flat, plain);
    char name[] = "b";
    size_t permuted = 0;
    spec.name = name;
    spec.layout = TDM__LAYOUT_DENSE_FLAT;
    spec.flat_c = spec.flat_h = spec.flat_w = 2;
    support_ok(tdm__flat_declare(flat, &spec, &permuted));
    float *disk = ramp(24), dev[24], back[24];
    tdm__segment_to_device(tdm__flat_segment(flat, plain), disk, dev);
    for (int o = 0; o < 3; o++)
        for (int i = 0; i < 8; i++) ck_assert_float_eq(dev[i * 3 + o], disk[o * 8 + i]);
    const tdm__segment *s = tdm__flat_segment(flat, permuted);
    tdm__segment_to_device(s, disk, dev);
    for (int o = 0; o < 3; o++)
        for (int c = 0; c < 2; c++)
            for (int h = 0; h < 2; h++)
                for (int w = 0; w < 2; w++)
                    ck_assert_float_eq(dev[((h * 2 + w) * 2 + c) * 3 + o],
                                       disk[o * 8 + (c * 2 + h) * 2 + w]);
    tdm__segment_to_disk(s, dev, back);
    ck_assert_mem_eq(back, disk, sizeof back);
    free(disk);
}
END_TEST

START_TEST(uneven_flat_layout)
{
    /* C=3, H=2, W=5, out=7: a round trip is the identity, and the map is a permutation */
    char name[] = "b";
    tdm__segment spec = {.name = name,
                         .disk = tdm_desc_2(TDM_F32, 7, 30),
                         .layout = TDM__LAYOUT_DENSE_FLAT,
                         .flat_c = 3,
                         .flat_h = 2,
                         .flat_w = 5};
    size_t at = 0;
    support_ok(tdm__flat_declare(flat, &spec, &at));
    const tdm__segment *s = tdm__flat_segment(flat, at);
    float *disk = ramp(210), dev[210], back[210];
    bool seen[210] = {false};
    tdm__segment_to_device(s, disk, dev);
    for (int i = 0; i < 210; i++) {
        ck_assert(!seen[(int)dev[i]]);
        seen[(int)dev[i]] = true;
    }
    ck_assert_float_eq(dev[((1 * 5 + 4) * 3 + 2) * 7 + 6], disk[209]);
    ck_assert_float_eq(dev[((1 * 5 + 0) * 3 + 2) * 7 + 0], disk[(2 * 2 + 1) * 5]);
    tdm__segment_to_disk(s, dev, back);
    ck_assert_mem_eq(back, disk, sizeof back);
    free(disk);
}
END_TEST

/* declaring, sealing --------------------------------------------------------------------------- */

START_TEST(declaring_twice)
{
    size_t a = declare("w", tdm_desc_1(TDM_F32, 3), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    ck_assert_uint_eq(declare("w", tdm_desc_1(TDM_F32, 3), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM),
                      a);
    ck_assert_uint_eq(tdm__flat_count(flat), 1);
    char name[] = "w";
    tdm__segment s = {.name = name, .disk = tdm_desc_1(TDM_F32, 4)};
    size_t at;
    support_fails(tdm__flat_declare(flat, &s, &at), TDM_ERR_SHAPE,
                  "w: declared as f32[3] before, now as f32[4]");
    s.disk = tdm_desc_1(TDM_F32, 3);
    s.kind = TDM__SEGMENT_STATE;
    support_fails(tdm__flat_declare(flat, &s, &at), TDM_ERR_SHAPE, "another layout or kind");
    ck_assert_uint_eq(tdm__flat_find(flat, "w"), a);
    ck_assert_uint_eq(tdm__flat_find(flat, "v"), SIZE_MAX);
    ck_assert_ptr_null(tdm__flat_segment(flat, 7));
}
END_TEST

START_TEST(wrong_segments)
{
    char name[] = "w";
    size_t at;
    const struct {
        tdm__segment s;
        const char *message;
    } cases[] = {
        {{.disk = {TDM_F32, 1, {3}}, .layout = TDM__LAYOUT_CONV},
         "w: f32[3] does not suit its layout"},
        {{.disk = {TDM_F32, 1, {3}}, .layout = TDM__LAYOUT_DENSE},
         "w: f32[3] does not suit its layout"},
        {{.disk = {TDM_I32, 1, {3}}}, "w: i32[3] does not suit its layout"},
        {{.disk = {TDM_F32, 1, {0}}}, "w: f32[0]: every dimension must be at least 1"},
        {{.disk = {TDM_F32, 2, {3, 8}},
          .layout = TDM__LAYOUT_DENSE_FLAT,
          .flat_c = 3,
          .flat_h = 1,
          .flat_w = 2},
         "w: f32[3,8] does not follow a flattened (3,1,2)"},
        {{.disk = {TDM_F32, 2, {3, 8}}, .layout = TDM__LAYOUT_DENSE_FLAT},
         "w: f32[3,8] does not follow a flattened (0,0,0)"},
        {{.disk = {TDM_F32, 1, {2}}, .kind = TDM__SEGMENT_COUNTER},
         "w: f32[2]: a counter is one number"},
        {{.disk = {TDM_F32, 1, {6}}, .device = {TDM_F32, 1, {5}}},
         "w: device shape f32[5] does not fit disk shape f32[6]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tdm__segment s = cases[i].s;
        s.name = name;
        support_fails(tdm__flat_declare(flat, &s, &at), TDM_ERR_SHAPE, cases[i].message);
    }
    ck_assert_uint_eq(tdm__flat_count(flat), 0);
}
END_TEST

START_TEST(parameters_come_first)
{
    size_t w = declare("w", tdm_desc_1(TDM_F32, 33), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    size_t mean = declare("mean", tdm_desc_1(TDM_F32, 5), TDM__LAYOUT_PLAIN, TDM__SEGMENT_STATE);
    size_t n = declare("n", tdm_desc_scalar(), TDM__LAYOUT_PLAIN, TDM__SEGMENT_COUNTER);
    size_t b = declare("b", tdm_desc_1(TDM_F32, 7), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    ck_assert(!tdm__flat_sealed(flat));
    ck_assert_ptr_null(tdm__flat_value_view(flat, w).buffer);
    float x[64];
    support_fails(tdm__flat_get(flat, w, x), TDM_ERR_STATE, "not sealed yet");
    support_ok(tdm__flat_seal(flat, true));
    ck_assert(tdm__flat_sealed(flat));
    uint64_t align = tdm__device_traits(device)->align;
    ck_assert_uint_eq(tdm__flat_value_view(flat, w).offset, 0);
    ck_assert_uint_eq(tdm__flat_value_view(flat, b).offset, (33 * 4 + align - 1) / align * align);
    ck_assert_uint_gt(tdm__flat_value_view(flat, mean).offset,
                      tdm__flat_value_view(flat, b).offset);
    ck_assert_uint_gt(tdm__flat_value_view(flat, n).offset,
                      tdm__flat_value_view(flat, mean).offset);
    for (size_t i = 0; i < 4; i++)
        ck_assert_uint_eq(tdm__flat_value_view(flat, i).offset % align, 0);
    ck_assert_uint_eq(tdm__flat_gradient_view(flat, b).offset,
                      tdm__flat_value_view(flat, b).offset);
    ck_assert_ptr_null(tdm__flat_gradient_view(flat, mean).buffer);
    uint64_t values, gradients;
    ck_assert_uint_eq(tdm__flat_chunks(flat), 1);
    ck_assert_ptr_nonnull(tdm__flat_chunk_values(flat, 0, &values).buffer);
    ck_assert_ptr_nonnull(tdm__flat_chunk_gradients(flat, 0, &gradients).buffer);
    ck_assert_uint_eq(gradients, tdm__flat_segment(flat, b)->offset + 7);
    ck_assert_uint_eq(values, tdm__flat_segment(flat, n)->offset + 1);
    ck_assert_ptr_null(tdm__flat_chunk_values(flat, 1, &values).buffer);
    ck_assert_uint_eq(values, 0);
    support_fails(tdm__flat_get_gradient(flat, mean, x), TDM_ERR_STATE, "mean has no gradient");
    support_fails(tdm__flat_get(flat, 9, x), TDM_ERR_STATE, "no parameter 9");
    support_ok(tdm__flat_get_gradient(flat, w, x));
    for (int i = 0; i < 33; i++) ck_assert_float_eq(x[i], 0);
    support_fails(tdm__flat_seal(flat, true), TDM_ERR_STATE, "sealed already");
    char name[] = "late";
    tdm__segment s = {.name = name, .disk = tdm_desc_scalar()};
    support_fails(tdm__flat_declare(flat, &s, &w), TDM_ERR_STATE, "late: declared after the seal");
}
END_TEST

START_TEST(without_gradients)
{
    size_t w = declare("w", tdm_desc_1(TDM_F32, 33), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    support_ok(tdm__flat_seal(flat, false));
    uint64_t elements;
    ck_assert_ptr_null(tdm__flat_gradient_view(flat, w).buffer);
    ck_assert_ptr_null(tdm__flat_chunk_gradients(flat, 0, &elements).buffer);
    ck_assert_uint_eq(elements, 0);
}
END_TEST

START_TEST(chunks_of_limited_size)
{
    uint64_t limit = device->traits.max_allocation;
    device->traits.max_allocation = 4096; /* 1024 floats */
    size_t index[5];
    const int64_t counts[5] = {600, 400, 500, 1024, 3};
    for (int i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "w%d", i);
        index[i] = declare(name, tdm_desc_1(TDM_F32, counts[i]), TDM__LAYOUT_PLAIN,
                           i == 4 ? TDM__SEGMENT_STATE : TDM__SEGMENT_PARAM);
    }
    tdm_status status = tdm__flat_seal(flat, true);
    tdm__flat *other = NULL;
    char name[] = "huge";
    tdm__segment s = {.name = name, .disk = tdm_desc_1(TDM_F32, 1025)};
    size_t at;
    support_ok(tdm__flat_create(device, &other));
    support_ok(tdm__flat_declare(other, &s, &at));
    tdm_status huge = tdm__flat_seal(other, true);
    device->traits.max_allocation = limit;
    support_fails(huge, TDM_ERR_NOMEM, "huge: 4100 bytes, the device allocates at most 4096");
    tdm__flat_destroy(&other);
    support_ok(status);

    ck_assert_uint_eq(tdm__flat_chunks(flat), 4);
    const uint32_t chunk[5] = {0, 0, 1, 2, 3};
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(tdm__flat_segment(flat, index[i])->chunk, chunk[i]);
    uint64_t elements;
    ck_assert_ptr_null(tdm__flat_chunk_gradients(flat, 3, &elements).buffer); /* statistics only */
    for (int i = 0; i < 5; i++) {
        float *values = ramp((size_t)counts[i]), *back = ramp((size_t)counts[i]);
        values[0] = (float)i + 0.5f;
        support_ok(tdm__flat_set(flat, index[i], values));
        support_ok(tdm__flat_get(flat, index[i], back));
        ck_assert_mem_eq(back, values, (size_t)counts[i] * sizeof *back);
        free(values);
        free(back);
    }
}
END_TEST

START_TEST(out_of_device_memory)
{
    declare("w", tdm_desc_1(TDM_F32, 100000), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    tdm__device_set_memory_limit(device, 500000); /* values fit, gradients do not */
    tdm_status status = tdm__flat_seal(flat, true);
    tdm__device_set_memory_limit(device, UINT64_MAX);
    support_fails(status, TDM_ERR_NOMEM, "gradients");
}
END_TEST

/* contents ------------------------------------------------------------------------------------- */

static tdm__segment *with_init(size_t index, tdm__init_kind init, double value)
{
    tdm__segment *s = tdm__flat_segment(flat, index);
    s->init = init;
    s->init_value = value;
    return s;
}

START_TEST(initial_values)
{
    size_t u = declare("u", tdm_desc_4(TDM_F32, 5, 3, 3, 3), TDM__LAYOUT_CONV, TDM__SEGMENT_PARAM);
    size_t v = declare("v", tdm_desc_4(TDM_F32, 5, 3, 3, 3), TDM__LAYOUT_CONV, TDM__SEGMENT_PARAM);
    size_t n = declare("n", tdm_desc_1(TDM_F32, 10001), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    size_t c = declare("c", tdm_desc_1(TDM_F32, 3), TDM__LAYOUT_PLAIN, TDM__SEGMENT_STATE);
    with_init(u, TDM__INIT_UNIFORM, 0.25);
    with_init(v, TDM__INIT_UNIFORM, 0.25);
    with_init(n, TDM__INIT_NORMAL, 2);
    with_init(c, TDM__INIT_CONSTANT, 1);
    support_ok(tdm__flat_seal(flat, false));
    support_ok(tdm__flat_initialise(flat, 42));
    float a[135], b[135], ones[3], *normal = ramp(10001);
    support_ok(tdm__flat_get(flat, u, a));
    support_ok(tdm__flat_get(flat, v, b));
    support_ok(tdm__flat_get(flat, n, normal));
    support_ok(tdm__flat_get(flat, c, ones));
    ck_assert(memcmp(a, b, sizeof a) != 0); /* the name matters */
    for (int i = 0; i < 3; i++) ck_assert_float_eq(ones[i], 1);
    /* element i in disk order, straight from the generator's blocks */
    for (uint64_t i = 0; i < 135; i++) {
        uint32_t block[4];
        tdm__philox(42, tdm__rng_stream("u", 0, 0), i / 4, block);
        ck_assert_float_eq(a[i], (float)((2 * ((block[i % 4] >> 8) * 0x1p-24) - 1) * 0.25));
    }
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < 10001; i++) {
        uint32_t block[4];
        tdm__philox(42, tdm__rng_stream("n", 0, 0), i / 2, block);
        double u1 = (block[i % 2 * 2] >> 8) * 0x1p-24, u2 = (block[i % 2 * 2 + 1] >> 8) * 0x1p-24;
        double want = sqrt(-2 * log(1 - u1)) * cos(2 * 3.14159265358979323846 * u2) * 2;
        ck_assert_float_eq(normal[i], (float)want);
        sum += normal[i];
        squares += (double)normal[i] * normal[i];
    }
    ck_assert_double_lt(fabs(sum / 10001), 0.06);
    ck_assert_double_eq_tol(sqrt(squares / 10001), 2, 0.05);
    free(normal);
}
END_TEST

START_TEST(hashes)
{
    size_t w = declare("w", tdm_desc_4(TDM_F32, 2, 3, 1, 1), TDM__LAYOUT_CONV, TDM__SEGMENT_PARAM);
    size_t b = declare("b", tdm_desc_1(TDM_F32, 2), TDM__LAYOUT_PLAIN, TDM__SEGMENT_PARAM);
    tdm__flat_segment(flat, w)->frozen = true;
    support_ok(tdm__flat_seal(flat, false));
    float weights[6] = {1, 2, 3, 4, 5, 6}, bias[2] = {7, 8};
    support_ok(tdm__flat_set(flat, w, weights));
    support_ok(tdm__flat_set(flat, b, bias));
    char all[33], frozen[33], again[33], want[33];
    support_ok(tdm__flat_hash(flat, false, all));
    support_ok(tdm__flat_hash(flat, true, frozen));
    char bytes[2 + sizeof weights] = "w"; /* name with its end, then disk order */
    memcpy(bytes + 2, weights, sizeof weights);
    tdm__hash_bytes_hex(bytes, sizeof bytes, want);
    ck_assert_str_eq(frozen, want);
    ck_assert_str_ne(all, frozen);
    bias[1] = 9;
    support_ok(tdm__flat_set(flat, b, bias));
    support_ok(tdm__flat_hash(flat, true, again));
    ck_assert_str_eq(again, frozen);
    support_ok(tdm__flat_hash(flat, false, again));
    ck_assert_str_ne(again, all);
}
END_TEST

START_TEST(allocations_fail)
{
    for (uint64_t n = 1; n < 200; n++) {
        teardown();
        tdm__mem_fail_after(n);
        tdm_status status = tdm__flat_create(device, &flat);
        char name[] = "w";
        tdm__segment s = {
            .name = name, .disk = tdm_desc_2(TDM_F32, 2, 3), .layout = TDM__LAYOUT_DENSE};
        size_t at;
        char hex[33];
        if (!status) status = tdm__flat_declare(flat, &s, &at);
        if (!status) status = tdm__flat_seal(flat, true);
        if (!status) status = tdm__flat_initialise(flat, 1);
        if (!status) status = tdm__flat_hash(flat, false, hex);
        tdm__mem_fail_after(0);
        if (!status) {
            ck_assert_uint_gt(n, 6);
            return;
        }
        ck_assert_int_eq(status, TDM_ERR_NOMEM);
    }
    ck_abort_msg("the failures never ended");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flat");
    TCase *c = tcase_create("flat");
    tcase_add_unchecked_fixture(c, open_device, close_device);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, conv_layout);
    tcase_add_test(c, dense_layouts);
    tcase_add_test(c, uneven_flat_layout);
    tcase_add_test(c, declaring_twice);
    tcase_add_test(c, wrong_segments);
    tcase_add_test(c, parameters_come_first);
    tcase_add_test(c, without_gradients);
    tcase_add_test(c, chunks_of_limited_size);
    tcase_add_test(c, out_of_device_memory);
    tcase_add_test(c, initial_values);
    tcase_add_test(c, hashes);
    tcase_add_test(c, allocations_fail);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

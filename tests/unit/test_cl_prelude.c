/* What cl/common.cl promises to every kernel: Philox, activations, NaN. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Runs kernel(in, out, extra arguments already in `launch` order) over n items and reads out. */
static void run(tdm__launch *launch, size_t n, tdm__buffer *out, void *result, size_t bytes)
{
    support_ok(tdm__launch_range(launch, 1, &n, NULL));
    support_ok(tdm__launch_enqueue(cl.device, launch));
    support_ok(tdm__view_read(cl.device, (tdm__view){out, 0}, result, bytes));
    tdm__launch_destroy(launch);
}

START_TEST(prelude_philox_is_the_hosts)
{
    enum { COUNT = 257 };
    static uint32_t got[4 * COUNT];
    const uint64_t seeds[] = {0, 1, 0x0123456789abcdefull, UINT64_MAX};
    tdm__buffer out;
    support_cl_file(
        &cl, "philox.cl",
        "kernel void blocks(ARG(uint, y), ulong seed, ulong stream, ulong first) {\n"
        "    VIEW(y);\n"
        "    const ulong i = get_global_id(0), index = first + i;\n"
        "    vstore4(philox4x32((uint4)((uint)index, (uint)(index >> 32), (uint)stream,\n"
        "                               (uint)(stream >> 32)),\n"
        "                       (uint2)((uint)seed, (uint)(seed >> 32))), i, y);\n"
        "}\n");
    support_ok(tdm__buffer_create(cl.device, sizeof got, true, "test", &out));
    for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++) {
        const uint64_t stream = tdm__rng_stream("test", s, 3), first = s ? UINT32_MAX - 100ull : 0;
        tdm__launch launch;
        support_ok(tdm__launch_init(cl.device, "philox.cl", "", "blocks", &launch));
        support_ok(tdm__launch_view(&launch, (tdm__view){&out, 0}, 4));
        support_ok(tdm__launch_u64(&launch, seeds[s]));
        support_ok(tdm__launch_u64(&launch, stream));
        support_ok(tdm__launch_u64(&launch, first));
        run(&launch, COUNT, &out, got, sizeof got);
        for (uint64_t i = 0; i < COUNT; i++) {
            uint32_t want[4];
            tdm__philox(seeds[s], stream, first + i, want);
            ck_assert_mem_eq(want, got + 4 * i, sizeof want);
        }
    }
    tdm__buffer_destroy(cl.device, &out);
}
END_TEST

START_TEST(prelude_keeps_nan)
{
    /* Compilers that assume finite numbers fold these tests away. */
    const float x[8] = {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f, FLT_MAX, 1e-40f};
    int got[8 * 4];
    tdm__buffer in = support_cl_floats(cl.device, x, 8), out;
    tdm__launch launch;
    support_cl_file(&cl, "nan.cl",
                    "kernel void classify(ARG(const float, x), ARG(int, y)) {\n"
                    "    VIEW(x); VIEW(y);\n"
                    "    const int i = get_global_id(0);\n"
                    "    const float a = x[i];\n"
                    "    vstore4((int4)(a != a, isnan(a) ? 1 : 0, isinf(a) ? 1 : 0,\n"
                    "                   !(a - a == 0.0f)), i, y);\n"
                    "}\n");
    support_ok(tdm__buffer_create(cl.device, sizeof got, true, "test", &out));
    support_ok(tdm__launch_init(cl.device, "nan.cl", "", "classify", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&in, 0}, 4));
    support_ok(tdm__launch_view(&launch, (tdm__view){&out, 0}, 4));
    run(&launch, 8, &out, got, sizeof got);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(got[4 * i], isnan(x[i]) != 0);
        ck_assert_int_eq(got[4 * i + 1], isnan(x[i]) != 0);
        ck_assert_int_eq(got[4 * i + 2], isinf(x[i]) != 0);
        ck_assert_int_eq(got[4 * i + 3], !isfinite(x[i]));
    }
    tdm__buffer_destroy(cl.device, &in);
    tdm__buffer_destroy(cl.device, &out);
}
END_TEST

START_TEST(prelude_compensated_sum_survives)
{
    /* Kahan's sum of 1 and many values below half an ulp: reassociation would lose them. */
    float got[2];
    tdm__buffer out;
    tdm__launch launch;
    support_cl_file(&cl, "kahan.cl",
                    "kernel void kahan(ARG(float, y), const float tiny, const int n) {\n"
                    "    VIEW(y);\n"
                    "    float sum = 1.0f, lost = 0.0f, plain = 1.0f;\n"
                    "    for (int i = 0; i < n; i++) {\n"
                    "        const float term = tiny - lost, next = sum + term;\n"
                    "        lost = (next - sum) - term;\n"
                    "        sum = next;\n"
                    "        plain += tiny;\n"
                    "    }\n"
                    "    y[0] = sum; y[1] = plain;\n"
                    "}\n");
    support_ok(tdm__buffer_create(cl.device, sizeof got, true, "test", &out));
    support_ok(tdm__launch_init(cl.device, "kahan.cl", "", "kahan", &launch));
    support_ok(tdm__launch_view(&launch, (tdm__view){&out, 0}, 4));
    support_ok(tdm__launch_f32(&launch, 0x1p-26f));
    support_ok(tdm__launch_i32(&launch, 1 << 16));
    run(&launch, 1, &out, got, sizeof got);
    ck_assert_float_eq(got[0], 1.0f + 0x1p-10f);
    ck_assert_float_eq(got[1], 1.0f);
    tdm__buffer_destroy(cl.device, &out);
}
END_TEST

/* ---- activations ----------------------------------------------------------------------------- */

enum { NONE, RELU, LEAKY_RELU, SIGMOID, TANH, ACTS };

static double activate(double x, int act, double alpha)
{
    switch (act) {
    case RELU:
        return x < 0 ? 0 : x;
    case LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case SIGMOID:
        return 1 / (1 + exp(-x));
    case TANH:
        return tanh(x);
    default:
        return x;
    }
}

static double activate_grad(double y, int act, double alpha)
{
    switch (act) {
    case RELU:
        return y > 0;
    case LEAKY_RELU:
        return y > 0 ? 1 : alpha;
    case SIGMOID:
        return y * (1 - y);
    case TANH:
        return 1 - y * y;
    default:
        return 1;
    }
}

static bool close_to(double got, double want)
{
    return isnan(want) ? isnan(got) : got == want || fabs(got - want) <= 1e-6 * fmax(1, fabs(want));
}

START_TEST(prelude_activations)
{
    enum { COUNT = 16 };
    const float x[COUNT] = {NAN,   -INFINITY, INFINITY, 0.0f,  -0.0f,   1.0f,   -1.0f,   0.5f,
                            -0.5f, 20.0f,     -20.0f,   88.0f, -104.0f, 1e-30f, -1e-30f, 3.25f};
    float got[6 * COUNT]; /* scalar, width 4, width VW: values then slopes */
    const double alpha = 0.125;
    tdm__buffer in = support_cl_floats(cl.device, x, COUNT), out;
    support_cl_file(&cl, "activate.cl",
                    "kernel void every(ARG(const float, x), ARG(float, y), const int act,\n"
                    "                const float alpha, const int n) {\n"
                    "    VIEW(x); VIEW(y);\n"
                    "    for (int i = 0; i < n; i++) {\n"
                    "        y[i] = activate_float(x[i], act, alpha);\n"
                    "        y[3 * n + i] = activate_grad_float(y[i], act, alpha);\n"
                    "    }\n"
                    "    for (int i = 0; i < n / 4; i++) {\n"
                    "        const float4 v = activate_float4(vload4(i, x), act, alpha);\n"
                    "        vstore4(v, i, y + n);\n"
                    "        vstore4(activate_grad_float4(v, act, alpha), i, y + 4 * n);\n"
                    "    }\n"
                    "    for (int i = 0; i < n / VW; i++) {\n"
                    "        const FLOATV v = CAT(activate_, FLOATV)(VLOAD(i, x), act, alpha);\n"
                    "        VSTORE(v, i, y + 2 * n);\n"
                    "        VSTORE(CAT(activate_grad_, FLOATV)(v, act, alpha), i, y + 5 * n);\n"
                    "    }\n"
                    "}\n");
    support_ok(tdm__buffer_create(cl.device, sizeof got, true, "test", &out));
    for (int act = 0; act < ACTS; act++) {
        tdm__launch launch;
        support_ok(tdm__launch_init(cl.device, "activate.cl", "", "every", &launch));
        support_ok(tdm__launch_view(&launch, (tdm__view){&in, 0}, 4));
        support_ok(tdm__launch_view(&launch, (tdm__view){&out, 0}, 4));
        support_ok(tdm__launch_i32(&launch, act));
        support_ok(tdm__launch_f32(&launch, (float)alpha));
        support_ok(tdm__launch_i32(&launch, COUNT));
        run(&launch, 1, &out, got, sizeof got);
        for (int width = 0; width < 3; width++) {
            for (int i = 0; i < COUNT; i++) {
                float y = got[width * COUNT + i], slope = got[(3 + width) * COUNT + i];
                double want = activate(x[i], act, alpha);
                ck_assert_msg(close_to(y, want), "act %d width %d: f(%g) = %g, not %g", act, width,
                              x[i], y, want);
                if (isnan(want)) continue;
                want = activate_grad(y, act, alpha);
                ck_assert_msg(close_to(slope, want), "act %d width %d: f'(%g) = %g, not %g", act,
                              width, x[i], slope, want);
            }
        }
    }
    tdm__buffer_destroy(cl.device, &in);
    tdm__buffer_destroy(cl.device, &out);
}
END_TEST

START_TEST(prelude_epilogue)
{
    /* y = relu(scale (x + bias) + shift + residual), whole and partial vectors. */
    float x[16], bias[16], scale[16], shift[16], residual[16], got[32];
    tdm__buffer buffers[6];
    for (int i = 0; i < 16; i++) {
        x[i] = (float)i - 8;
        bias[i] = 0.25f * (float)i;
        scale[i] = i % 3 ? 2.0f : -1.0f;
        shift[i] = 1.0f - (float)(i % 5);
        residual[i] = i % 2 ? 3.0f : -3.0f;
    }
    support_cl_file(&cl, "epilogue.cl",
                    "kernel void epilogue(ARG(const float, x), ARG(float, y), EPILOGUE_ARGS) {\n"
                    "    VIEW(x); VIEW(y);\n"
                    "    EPILOGUE_VIEWS;\n"
                    "    for (int k = 0; k < 16; k += LANES) {\n"
                    "        floatl acc = load_lanes(x + k, LANES);\n"
                    "        EPILOGUE(acc, k, k, LANES);\n"
                    "        store_lanes(acc, y + k, LANES);\n"
                    "    }\n"
                    "    for (int k = 0, n; k < 16; k += n) {\n"
                    "        n = min(min(3, LANES), 16 - k);\n"
                    "        floatl acc = load_lanes(x + k, n);\n"
                    "        EPILOGUE(acc, k, k, n);\n"
                    "        store_lanes(acc, y + 16 + k, n);\n"
                    "    }\n"
                    "}\n");
    const float *const values[] = {x, got, bias, scale, shift, residual};
    memset(got, 0, sizeof got);
    for (int i = 0; i < 6; i++)
        buffers[i] = support_cl_floats(cl.device, values[i], i == 1 ? 32 : 16);
    for (int parts = 0; parts < 8; parts++) {
        tdm__launch launch;
        support_ok(tdm__launch_init(cl.device, "epilogue.cl", "", "epilogue", &launch));
        for (int i = 0; i < 6; i++)
            support_ok(tdm__launch_view(&launch, (tdm__view){&buffers[i], 0}, 4));
        support_ok(tdm__launch_i32(&launch, parts));
        support_ok(tdm__launch_i32(&launch, RELU));
        support_ok(tdm__launch_f32(&launch, 0));
        run(&launch, 1, &buffers[1], got, sizeof got);
        for (int i = 0; i < 16; i++) {
            float want = x[i];
            if (parts & 1) want += bias[i];
            if (parts & 2) want = scale[i] * want + shift[i];
            if (parts & 4) want += residual[i];
            want = want < 0 ? 0 : want;
            ck_assert_float_eq(got[i], want);
            ck_assert_float_eq(got[16 + i], want);
        }
    }
    for (int i = 0; i < 6; i++) tdm__buffer_destroy(cl.device, &buffers[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cl_prelude");
    TCase *device = tcase_create("device");
    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, prelude_philox_is_the_hosts);
    tcase_add_test(device, prelude_keeps_nan);
    tcase_add_test(device, prelude_compensated_sum_survives);
    tcase_add_test(device, prelude_activations);
    tcase_add_test(device, prelude_epilogue);
    suite_add_tcase(suite, device);
    return support_run(suite);
}

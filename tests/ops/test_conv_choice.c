/* Which algorithm a convolution gets by default, as a function of the device's traits and the shape
 * alone (no device is needed for that), and gradients that are exactly 0: they must come out as 0,
 * as Winograd's transforms make noise of a product with zeros that others leave alone. */
#include <stdlib.h>
#include <string.h>

#include <tandem/ops.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "graph/internal.h"
#include "ops/conv/conv.h"
#include "support/op_case.h"
#include "support/support.h"

/* ---- the choice --------------------------------------------------------------------------------
 */

enum { FORWARD, DATA, FILTER, FILTER_BIAS, TRANSPOSED, DIRECTIONS };

typedef struct conv_case {
    const char *what;
    int64_t n, h, w, c, k;
    tdm_conv2d_attrs attrs;
    const char *name[DIRECTIONS - 1]; /* of TRANSPOSED: as of DATA */
} conv_case;

/* Appends the operation of one direction, with inputs of the shapes that go with it. */
static void append(tdm_graph *g, const conv_case *t, int direction)
{
    const tdm_conv2d_attrs *a = &t->attrs;
    tdm__conv c = {0};
    support_ok(tdm__conv_attrs_get(a, &c));
    const tdm_desc big = tdm_desc_4(TDM_F32, t->n, t->h, t->w, t->c);
    tdm__conv_set_big(&c, &big);
    c.k = t->k;
    support_ok(tdm__conv_infer_small(&c));
    const tdm_desc small = tdm_desc_4(TDM_F32, c.n, c.small[0], c.small[1], c.k);
    const tdm_desc filter = tdm_desc_4(TDM_F32, c.kernel[0], c.kernel[1], c.c / c.groups, c.k);
    const bool from_small = direction == DATA || direction == TRANSPOSED;
    const bool of_filter = direction == FILTER || direction == FILTER_BIAS;
    const tdm_value in[] = {
        tdm_graph_variable(g, "a", from_small ? small : big, false),
        tdm_graph_variable(g, "b", of_filter ? small : filter, false),
    };
    static const tdm_op *const ops[] = {&tdm__op_conv2d, NULL, &tdm__op_conv2d_grad_filter,
                                        &tdm__op_conv2d_grad_filter_bias,
                                        &tdm__op_conv_transpose2d};
    const tdm__conv_data_attrs data = {*a, {(int32_t)t->h, (int32_t)t->w}};
    if (direction == DATA)
        tdm__graph_node(g, &tdm__op_conv2d_grad_data, in, 2, &data);
    else
        tdm__graph_node(g, ops[direction], in, 2, a);
    support_ok(tdm_graph_status(g));
}

static const char *default_of(const tdm__traits *traits, const conv_case *t, int direction)
{
    tdm_graph *g;
    tdm__node_info node;
    support_ok(tdm_graph_create(&g));
    append(g, t, direction);
    tdm__graph_node_info(g, 0, &node);
    const tdm__variant *v = tdm__variant_default(node.op, traits, &node.io);
    const char *name = v ? v->name : "none";
    tdm_graph_destroy(&g);
    return name;
}

/* What a GPU of today has, and one with hardly any local memory. */
static const tdm__traits gpu = {.style = TDM_STYLE_GPU,
                                .vector_width = 4,
                                .work_group = 256,
                                .compute_units = 100,
                                .local_bytes = 48 << 10,
                                .max_allocation = (uint64_t)1 << 32,
                                .global_bytes = (uint64_t)1 << 34,
                                .align = 128};

#define ALL(name)                                                                                  \
    {                                                                                              \
        name, name, name, name                                                                     \
    }
#define SAME                                                                                       \
    {3, 3}, {1, 1},                                                                                \
    {                                                                                              \
        1, 1                                                                                       \
    }
static const conv_case gpu_cases[] = {
    {"many channels", 4, 36, 48, 64, 64, {SAME}, ALL("winograd")},
    {"few inputs", 4, 36, 48, 63, 64, {SAME}, ALL("implicit")},
    {"few outputs", 4, 36, 48, 64, 63, {SAME}, ALL("implicit")},
    {"image", 4, 288, 384, 3, 64, {SAME}, ALL("implicit")},
    {"half a tile", 4, 2, 4, 64, 64, {SAME}, ALL("winograd")},
    {"less than half a tile", 4, 2, 2, 128, 128, {SAME}, ALL("implicit")},
    {"a pixel", 4, 1, 1, 512, 512, {SAME}, ALL("implicit")},
    {"stride", 4, 36, 48, 64, 64, {{3, 3}, {2, 2}, {1, 1}}, ALL("implicit")},
    {"dilation", 4, 36, 48, 64, 64, {{3, 3}, {1, 1}, {2, 2}, {2, 2}}, ALL("implicit")},
    {"1x1", 4, 36, 48, 64, 64, {{1, 1}}, ALL("implicit")},
    {"5x5", 4, 36, 48, 64, 64, {{5, 5}, {1, 1}, {2, 2}}, ALL("implicit")},
    {"3x1", 4, 36, 48, 64, 64, {{3, 1}, {1, 1}, {1, 0}}, ALL("implicit")},
    {"groups", 4, 36, 48, 128, 128, {SAME, .groups = 2}, ALL("grouped")},
    {"depthwise", 4, 36, 48, 64, 64, {SAME, .groups = 64}, ALL("grouped")},
    /* a result of 1x1 from an input of 3x3: only the data's gradient, which is 3x3, fills a tile */
    {"no padding", 4, 3, 3, 64, 64, {{3, 3}}, {"implicit", "winograd", "implicit", "implicit"}},
};

START_TEST(gpus_choose_by_shape)
{
    const conv_case *t = &gpu_cases[_i];
    for (int d = 0; d < DIRECTIONS; d++) {
        const char *want = t->name[d == TRANSPOSED ? DATA : d];
        const char *got = default_of(&gpu, t, d);
        ck_assert_msg(!strcmp(got, want), "%s, direction %d: %s for %s", t->what, d, got, want);
    }
}
END_TEST

/* Without room for its tiles in local memory Winograd does not run; more units, other vectors,
 * doubles or shared memory change nothing. */
START_TEST(gpus_choose_by_traits)
{
    tdm__traits little = gpu, other = gpu;
    little.local_bytes = 4 << 10;
    other.compute_units = 1;
    other.vector_width = 16;
    other.fp64 = other.fp16 = other.unified = true;
    other.global_bytes = 1 << 30;
    for (int d = 0; d < DIRECTIONS; d++) {
        ck_assert_str_eq(default_of(&little, &gpu_cases[0], d), "implicit");
        ck_assert_str_eq(default_of(&other, &gpu_cases[0], d), "winograd");
    }
}
END_TEST

/* The least number of channels is two vectors, the style decides on everything else. */
START_TEST(cpus_choose_by_shape)
{
    tdm__traits cpu = gpu;
    cpu.style = TDM_STYLE_CPU;
    cpu.local_bytes = 512 << 10;
    for (unsigned vw = 4; vw <= 16; vw *= 2) {
        cpu.vector_width = vw;
        conv_case t = gpu_cases[0];
        t.c = t.k = 2 * vw;
        for (int d = 0; d < DIRECTIONS; d++) {
            ck_assert_str_eq(default_of(&cpu, &t, d), "winograd");
            t.k = 2 * vw - 1;
            ck_assert_str_ne(default_of(&cpu, &t, d), "winograd");
            t.k = 2 * vw;
            ck_assert_str_eq(default_of(&cpu, &gpu_cases[12], d), "grouped");
        }
    }
}
END_TEST

/* ---- zeros -------------------------------------------------------------------------------------
 */

enum { CHANNELS = 64, IMAGES = 2 };

typedef struct zeros {
    tdm_device *device;
    tdm__buffer step;
    op_case base;
    tdm_value grads[3]; /* of x, w, b */
} zeros;

/* Random elements, only of the first `pixels` of every image. */
static tdm_value datum(op_case *c, tdm_desc desc, int64_t pixels)
{
    const int64_t n = tdm_desc_count(&desc);
    tdm__rng rng = tdm__rng_make(5, tdm__rng_stream("zeros", (uint64_t)c->n_data, 0));
    double *v = tdm__calloc((size_t)n, sizeof *v);
    ck_assert_ptr_nonnull(v);
    for (int64_t i = 0; i < n; i++) {
        const double drawn = (double)(float)tdm__rng_normal(&rng);
        v[i] = i % (n / desc.dim[0]) < pixels * CHANNELS ? drawn : 0;
    }
    return op_case_data(c, "v", desc, false, v);
}

static const char *choose_winograd(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)user, (void)key, (void)io;
    return tdm__starts_with(op->name, "conv2d") ? "winograd" : NULL;
}

/* The gradients of a 3x3 convolution of h x w pixels, of which the first `pixels` have one. */
static void zeros_open(zeros *z, int style, int64_t h, int64_t w, int64_t pixels, bool winograd)
{
    static const tdm_conv2d_attrs same = {SAME};
    *z = (zeros){0};
    op_case_open_style(&z->base, style ? TDM_STYLE_GPU : TDM_STYLE_CPU, &z->device, &z->step);
    tdm_graph *g = z->base.graph;
    const tdm_desc image = tdm_desc_4(TDM_F32, IMAGES, h, w, CHANNELS);
    const tdm_desc filter = tdm_desc_4(TDM_F32, 3, 3, CHANNELS, CHANNELS);
    const tdm_value wrt[3] = {datum(&z->base, image, h * w), datum(&z->base, filter, INT32_MAX),
                              datum(&z->base, tdm_desc_1(TDM_F32, CHANNELS), 1)};
    const tdm_value y = tdm_conv2d(g, wrt[0], wrt[1], wrt[2], &same);
    const tdm_value dy = datum(&z->base, image, pixels);
    support_ok(tdm__graph_gradients_from(g, &y, &dy, 1, wrt, 3, z->grads));
    for (int i = 0; i < 3; i++) tdm_graph_keep(g, z->grads[i]);
    support_ok(tdm_graph_status(g));
    support_ok(op_case_plan(
        &z->base, &(tdm__plan_spec){.guard = true, .choose = winograd ? choose_winograd : NULL}));
    support_ok(op_case_run(&z->base));
}

/* Every tap of the filter's gradient is exactly 0 unless its bit of `taps` is set; then it is not.
 */
static void expect_taps(zeros *z, unsigned taps)
{
    double *dw;
    support_ok(op_case_read(&z->base, z->grads[1], &dw));
    for (int tap = 0; tap < 9; tap++) {
        int others = 0;
        for (int i = 0; i < CHANNELS * CHANNELS; i++)
            others += dw[tap * CHANNELS * CHANNELS + i] != 0;
        if (taps >> tap & 1u)
            ck_assert_msg(others > CHANNELS, "tap %d: %d elements are not 0", tap, others);
        else
            ck_assert_msg(others == 0, "tap %d: %d elements are not 0", tap, others);
    }
    free(dw);
}

/* A map of one pixel meets the middle of the filter only. */
START_TEST(a_pixel_meets_the_middle)
{
    zeros z;
    zeros_open(&z, _i, 1, 1, 1, false);
    expect_taps(&z, 1u << 4);
    op_case_close_style(&z.base, &z.device, &z.step);
}
END_TEST

/* Two lines of pixels: all taps, or what the first pixel meets: the middle and what is behind it.
 */
START_TEST(small_maps_meet_what_is_inside)
{
    zeros z;
    const bool first = _i / 2;
    zeros_open(&z, _i % 2, 2, 2, first ? 1 : 4, false);
    expect_taps(&z, first ? 1u << 4 | 1u << 5 | 1u << 7 | 1u << 8 : 511);
    op_case_close_style(&z.base, &z.device, &z.step);
}
END_TEST

/* Where no gradient arrives none leaves: through Winograd too, and by the default. */
START_TEST(no_gradient_gives_none)
{
    zeros z;
    const int64_t sizes[][2] = {{1, 1}, {2, 2}, {9, 10}};
    const int64_t *size = sizes[_i / 4];
    zeros_open(&z, _i % 2, size[0], size[1], 0, _i / 2 % 2);
    expect_taps(&z, 0);
    for (int i = 0; i < 3; i += 2) {
        double *d;
        const int64_t n = tdm_desc_count(tdm_graph_desc(z.base.graph, z.grads[i]));
        support_ok(op_case_read(&z.base, z.grads[i], &d));
        for (int64_t k = 0; k < n; k++) ck_assert_double_eq(d[k], 0);
        free(d);
    }
    op_case_close_style(&z.base, &z.device, &z.step);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conv choice");
    TCase *c = tcase_create("conv choice");
    tcase_set_timeout(c, 300);
    tcase_add_loop_test(c, gpus_choose_by_shape, 0, TDM__COUNT(gpu_cases));
    tcase_add_test(c, gpus_choose_by_traits);
    tcase_add_test(c, cpus_choose_by_shape);
    tcase_add_loop_test(c, a_pixel_meets_the_middle, 0, 2);
    tcase_add_loop_test(c, small_maps_meet_what_is_inside, 0, 4);
    tcase_add_loop_test(c, no_gradient_gives_none, 0, 12);
    suite_add_tcase(s, c);
    return support_run(s);
}

/* Transforms of single samples: parsing, exact values against tests/ref/make_transform_golden.py,
 * and what must hold whatever is drawn. The loader's side is test_loader_transform. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/transform.h"
#include "format/resample.h"
#include "support/support.h"

#include "../ref/transform_golden.h"

enum { MAX_SIDE = 64, SAMPLE_BLOCKS = 256 };

/* ---- a sample ---------------------------------------------------------------------------------
 */

/* Images of c channels, and what goes with them. */
typedef struct sample {
    uint32_t h, w;
    uint8_t image[MAX_SIDE * MAX_SIDE * 3], mask[MAX_SIDE * MAX_SIDE];
    float depth[MAX_SIDE * MAX_SIDE], vectors[MAX_SIDE * MAX_SIDE * 2], box[4];
} sample;

/* The formula of make_transform_golden.py. */
static sample *sample_make(uint32_t h, uint32_t w)
{
    sample *s = calloc(1, sizeof *s);
    s->h = h;
    s->w = w;
    for (uint32_t y = 0; y < h; y++)
        for (uint32_t x = 0; x < w; x++) {
            size_t at = (size_t)y * w + x;
            for (uint32_t c = 0; c < 3; c++)
                s->image[at * 3 + c] = (uint8_t)(y * 37 + x * 71 + c * 113 + y * x * 5);
            s->mask[at] = (uint8_t)((y * 3 + x * 5) % 7);
            s->depth[at] = 1 + (float)y * 0.25f + (float)x * 0.5f;
            s->vectors[at * 2] = (float)x - 5.5f;
            s->vectors[at * 2 + 1] = (float)y * 0.5f - 2;
        }
    memcpy(s->box, (float[]){2, 3, 9, 8}, sizeof s->box);
    return s;
}

static tdm_transforms parse(const char *const *texts, size_t n)
{
    tdm_transforms t = {0};
    for (; t.n < n && texts[t.n]; t.n++) support_ok(tdm_transform_parse(texts[t.n], &t.list[t.n]));
    return t;
}

static tdm_array_info info_of(tdm_array_kind kind, uint32_t h, uint32_t w, uint32_t c)
{
    tdm_array_info info = {.name = "array", .kind = kind, .rank = 3, .dims = {h, w, c}};
    if (kind == TDM_ARRAY_BOX) info = (tdm_array_info){.name = "box", .kind = kind, .rank = 1};
    if (kind == TDM_ARRAY_BOX) info.dims[0] = 4;
    info.elems = (uint64_t)h * w * c;
    return info;
}

/* One array through shape, memory of exactly the announced size, move and colours. */
static void apply(const tdm_transforms *t, const tdm__draw *d, uint32_t h, uint32_t w,
                  tdm_array_kind kind, tdm_dtype dtype, uint32_t c, const void *from, void *to)
{
    tdm_array_info frame = info_of(TDM_ARRAY_IMAGE, h, w, 3), info = info_of(kind, h, w, c);
    tdm__mapped mapped;
    size_t room;
    support_ok(tdm__transform_map(t, &frame, NULL, dtype, &info, &mapped));
    support_ok(tdm__transform_room(t, &mapped, &room));
    void *work = NULL;
    support_ok(tdm__aligned_try(1, room, &work));
    tdm__transform_move(&mapped, &d->geometry, from, to, work);
    if (mapped.role == TDM__ROLE_IMAGE)
        tdm__transform_colours(d->colours, d->n_colours, dtype, c,
                               (size_t)d->geometry.size[0] * d->geometry.size[1], to, work);
    free(work);
}

static tdm__draw draw(const tdm_transforms *t, uint32_t h, uint32_t w, bool augment, uint64_t row)
{
    tdm__draw d;
    tdm__rng rng =
        tdm__rng_make(11, tdm__rng_stream("data.transform", tdm__rng_stream("train", 0, 0), 3));
    rng.index = row * SAMPLE_BLOCKS;
    tdm__transform_draw(t, (uint32_t[]){h, w}, augment, &rng, &d);
    return d;
}

static sample *transformed(const tdm_transforms *t, const tdm__draw *d, const sample *s)
{
    sample *out = calloc(1, sizeof *out);
    out->h = d->geometry.size[0];
    out->w = d->geometry.size[1];
    apply(t, d, s->h, s->w, TDM_ARRAY_IMAGE, TDM_U8, 3, s->image, out->image);
    apply(t, d, s->h, s->w, TDM_ARRAY_MASK, TDM_U8, 1, s->mask, out->mask);
    apply(t, d, s->h, s->w, TDM_ARRAY_DEPTH, TDM_F32, 1, s->depth, out->depth);
    apply(t, d, s->h, s->w, TDM_ARRAY_VALUES, TDM_F32, 2, s->vectors, out->vectors);
    apply(t, d, s->h, s->w, TDM_ARRAY_BOX, TDM_F32, 4, s->box, out->box);
    return out;
}

/* ---- exact values -----------------------------------------------------------------------------
 */

static uint8_t byte_at(const char *hex, size_t i)
{
    const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
    return (uint8_t)strtoul(digits, NULL, 16);
}

static void check_bytes(const char *what, const uint8_t *got, const char *want, int tolerance,
                        size_t test)
{
    for (size_t i = 0; i < strlen(want) / 2; i++)
        ck_assert_msg(abs(got[i] - byte_at(want, i)) <= tolerance,
                      "case %zu: %s[%zu] is %d, not %d", test, what, i, got[i], byte_at(want, i));
}

static void check_floats(const char *what, const float *got, const float *want, size_t n,
                         size_t test)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg((isnan(got[i]) && isnan(want[i])) ||
                          fabsf(got[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i])),
                      "case %zu: %s[%zu] is %g, not %g", test, what, i, (double)got[i],
                      (double)want[i]);
}

START_TEST(samples_equal_the_reference)
{
    for (size_t i = 0; i < sizeof golden_transforms / sizeof *golden_transforms; i++) {
        tdm_transforms t = parse(golden_transforms[i].list, 4);
        const uint32_t h = golden_transforms[i].height, w = golden_transforms[i].width;
        tdm__draw d = draw(&t, h, w, golden_transforms[i].augment, golden_transforms[i].row);
        sample *s = sample_make(h, w), *out = transformed(&t, &d, s);
        const size_t n = (size_t)golden_transforms[i].out_height * golden_transforms[i].out_width;
        ck_assert_uint_eq(out->h, golden_transforms[i].out_height);
        ck_assert_uint_eq(out->w, golden_transforms[i].out_width);
        check_bytes("image", out->image, golden_transforms[i].image, golden_transforms[i].tolerance,
                    i);
        check_bytes("mask", out->mask, golden_transforms[i].mask, 0, i);
        check_floats("depth", out->depth, golden_transforms[i].depth, n, i);
        check_floats("vectors", out->vectors, golden_transforms[i].vectors, 2 * n, i);
        check_floats("box", out->box, golden_transforms[i].box, 4, i);
        free(s);
        free(out);
    }
}
END_TEST

/* A float image goes the same way as bytes, without their rounding. */
START_TEST(float_images_agree_with_bytes)
{
    static const char *const lists[][2] = {{"scale 0.6 1.8", "resize 20x9"},
                                           {"jitter 0.5 0.6 0.7 0.5", NULL},
                                           {"crop 9 p4", "jitter 0.3"},
                                           {"rotate90", "resize 7"}};
    sample *s = sample_make(12, 12);
    float real[12 * 12 * 3], out_real[MAX_SIDE * MAX_SIDE * 3];
    uint8_t out[MAX_SIDE * MAX_SIDE * 3];
    for (size_t i = 0; i < 12 * 12 * 3; i++) real[i] = (float)s->image[i] / 255;
    for (size_t l = 0; l < 4; l++)
        for (uint64_t row = 0; row < 6; row++) {
            tdm_transforms t = parse(lists[l], 2);
            tdm__draw d = draw(&t, 12, 12, true, row);
            apply(&t, &d, 12, 12, TDM_ARRAY_IMAGE, TDM_U8, 3, s->image, out);
            apply(&t, &d, 12, 12, TDM_ARRAY_IMAGE, TDM_F32, 3, real, out_real);
            const size_t n = (size_t)d.geometry.size[0] * d.geometry.size[1] * 3;
            for (size_t i = 0; i < n; i++)
                ck_assert_double_eq_tol((double)out_real[i] * 255, out[i], 1.3);
        }
    free(s);
}
END_TEST

/* ---- what must hold ---------------------------------------------------------------------------
 */

static void check_same(const sample *a, const sample *b)
{
    const size_t n = (size_t)a->h * a->w;
    ck_assert(a->h == b->h && a->w == b->w);
    ck_assert_mem_eq(a->image, b->image, n * 3);
    ck_assert_mem_eq(a->mask, b->mask, n);
    ck_assert_mem_eq(a->depth, b->depth, n * sizeof(float));
    ck_assert_mem_eq(a->vectors, b->vectors, 2 * n * sizeof(float));
    ck_assert_mem_eq(a->box, b->box, sizeof a->box);
}

/* Twice, or four times, one after another. A draw of probability 1 mirrors; of turns, the first row
 * that turns by one quarter is looked for. */
START_TEST(mirroring_twice_and_turning_four_times_change_nothing)
{
    static const char *const texts[] = {"flip 1", "vflip 1", "rotate90"};
    for (size_t k = 0; k < 3; k++) {
        tdm_transforms t = parse(&texts[k], 1);
        sample *first = sample_make(13, k < 2 ? 9 : 13), *now = first;
        tdm__draw d = draw(&t, first->h, first->w, true, 0);
        for (uint64_t row = 1;
             k == 2 && !(d.geometry.axis[0].source == 1 && d.geometry.axis[0].step < 0); row++)
            d = draw(&t, first->h, first->w, true, row);
        for (int i = 0; i < (k == 2 ? 4 : 2); i++) {
            sample *next = transformed(&t, &d, now);
            ck_assert_mem_ne(next->image, now->image, (size_t)now->h * now->w * 3);
            if (now != first) free(now);
            now = next;
        }
        check_same(first, now);
        free(first);
        free(now);
    }
}
END_TEST

/* In one list the moves are composed: the same. */
START_TEST(a_list_is_its_transforms_one_after_another)
{
    static const char *const all[] = {"flip 1", "vflip 1", "flip 1", "vflip 1"};
    tdm_transforms t = parse(all, 4);
    ck_assert(draw(&t, 7, 9, true, 0).geometry.identity);
    t.n = 3;
    ck_assert(!draw(&t, 7, 9, true, 0).geometry.identity);
    sample *s = sample_make(7, 9);
    tdm_transforms one = parse(&all[1], 1);
    tdm__draw d = draw(&t, 7, 9, true, 0), e = draw(&one, 7, 9, true, 0);
    sample *a = transformed(&t, &d, s), *b = transformed(&one, &e, s);
    check_same(a, b);
    free(s);
    free(a);
    free(b);
}
END_TEST

/* The box of a filled rectangle stays the extent of that rectangle in the mask: exactly where
 * pixels only move, within a pixel where they are interpolated. */
START_TEST(boxes_follow_masks)
{
    static const char *const lists[][4] = {
        {"flip", "vflip", "rotate90", "crop 24 p5"},
        {"scale 0.7 1.9", "flip"},
        {"resize 21x50"},
        {"rotate90", "resize 40x20", "crop 18 p2", "scale 1 1.3"},
        {"crop 10"}};
    int whole = 0, empty = 0;
    for (size_t l = 0; l < 5; l++)
        for (uint64_t row = 0; row < 40; row++) {
            tdm_transforms t = parse(lists[l], 4);
            sample *s = sample_make(32, 32);
            memset(s->mask, 0, sizeof s->mask);
            for (uint32_t y = 9; y < 17; y++) memset(s->mask + y * 32 + 5, 1, 7);
            memcpy(s->box, (float[]){5, 9, 12, 17}, sizeof s->box);
            tdm__draw d = draw(&t, 32, 32, true, row);
            sample *out = transformed(&t, &d, s);
            float extent[4] = {INFINITY, INFINITY, -INFINITY, -INFINITY};
            for (uint32_t y = 0; y < out->h; y++)
                for (uint32_t x = 0; x < out->w; x++) {
                    if (out->mask[y * out->w + x] != 1) continue;
                    extent[0] = fminf(extent[0], (float)x);
                    extent[1] = fminf(extent[1], (float)y);
                    extent[2] = fmaxf(extent[2], (float)x + 1);
                    extent[3] = fmaxf(extent[3], (float)y + 1);
                }
            const bool moved_only = l == 0 || l == 4;
            if (isnan(out->box[0])) {
                empty++;
                ck_assert(extent[0] > extent[2] && isnan(out->box[3]));
            } else if (extent[0] < extent[2] || moved_only) {
                whole++;
                for (int i = 0; i < 4; i++)
                    ck_assert_double_le((double)fabsf(out->box[i] - extent[i]), moved_only ? 0 : 1);
                ck_assert(out->box[0] >= 0 && out->box[2] <= (float)out->w);
                ck_assert(out->box[1] >= 0 && out->box[3] <= (float)out->h);
            }
            free(s);
            free(out);
        }
    ck_assert_int_gt(whole, 100);
    ck_assert_int_gt(empty, 5);
}
END_TEST

/* Random crops stay within the border, reach every place, and crop the middle when not training. */
START_TEST(crops_lie_within_their_bounds)
{
    static const char *const text = "crop 8x6 p2";
    tdm_transforms t = parse(&text, 1);
    bool seen[2][16] = {{false}};
    for (uint64_t row = 0; row < 500; row++) {
        tdm__draw d = draw(&t, 10, 13, true, row);
        ck_assert(d.geometry.size[0] == 8 && d.geometry.size[1] == 6);
        const uint32_t frame[] = {10, 13}, size[] = {8, 6};
        for (int k = 0; k < 2; k++) {
            const double at = d.geometry.axis[k].origin;
            ck_assert(at >= -2 && at + size[k] <= frame[k] + 2 && at == floor(at));
            seen[k][(int)at + 2] = true;
        }
    }
    for (int at = 0; at <= 10 + 4 - 8; at++) ck_assert(seen[0][at]);
    for (int at = 0; at <= 13 + 4 - 6; at++) ck_assert(seen[1][at]);
    tdm__draw middle = draw(&t, 10, 13, false, 0);
    ck_assert(middle.geometry.axis[0].origin == 1 && middle.geometry.axis[1].origin == 3);
}
END_TEST

START_TEST(only_sizes_act_outside_of_training)
{
    static const char *const texts[] = {"flip 1", "rotate90", "scale 2 3", "jitter 1 1 1 0.5"};
    tdm_transforms t = parse(texts, 4);
    tdm__draw d = draw(&t, 12, 12, false, 1);
    ck_assert(d.geometry.identity && d.n_colours == 0 && d.geometry.zoom == 1);
    d = draw(&t, 12, 12, true, 1);
    ck_assert(!d.geometry.identity && d.n_colours == 4);
    ck_assert(d.geometry.zoom >= 2 && d.geometry.zoom <= 3);
}
END_TEST

/* Jitter's factors lie in their ranges and its order is drawn. */
START_TEST(colours_are_drawn_from_their_ranges)
{
    static const char *const text = "jitter 0.2 0.4 0 0.1";
    static const float centre[] = {1, 1, 1, 0}, range[] = {0.2f, 0.4f, 0, 0.1f};
    tdm_transforms t = parse(&text, 1);
    int first[TDM__COLOURS] = {0};
    float low[TDM__COLOURS] = {9, 9, 9, 9}, high[TDM__COLOURS] = {-9, -9, -9, -9};
    for (uint64_t row = 0; row < 300; row++) {
        tdm__draw d = draw(&t, 4, 4, true, row);
        ck_assert_uint_eq(d.n_colours, 3); /* none of saturation */
        first[d.colours[0].what]++;
        for (size_t i = 0; i < 3; i++) {
            const tdm__colour what = d.colours[i].what;
            low[what] = fminf(low[what], d.colours[i].amount - centre[what]);
            high[what] = fmaxf(high[what], d.colours[i].amount - centre[what]);
        }
    }
    for (int c = 0; c < TDM__COLOURS; c++) {
        if (c == TDM__COLOUR_SATURATION) continue;
        ck_assert_int_gt(first[c], 50);
        ck_assert(low[c] >= -range[c] && low[c] < -0.9f * range[c]);
        ck_assert(high[c] <= range[c] && high[c] > 0.9f * range[c]);
    }
}
END_TEST

/* A grey picture: its own mean for contrast, no saturation or hue. */
START_TEST(grey_pictures_have_no_hue)
{
    uint8_t pixels[6] = {0, 50, 100, 150, 200, 250}, same[6];
    float planes[6];
    memcpy(same, pixels, sizeof same);
    const tdm__colour_step none[] = {{TDM__COLOUR_HUE, 0.3f}, {TDM__COLOUR_SATURATION, 0.1f}};
    tdm__transform_colours(none, 2, TDM_U8, 1, 6, same, planes);
    ck_assert_mem_eq(same, pixels, sizeof same);
    const tdm__colour_step contrast = {TDM__COLOUR_CONTRAST, 0};
    tdm__transform_colours(&contrast, 1, TDM_U8, 1, 6, same, planes);
    for (int i = 0; i < 6; i++) ck_assert_uint_eq(same[i], 125);
    const tdm__colour_step bright = {TDM__COLOUR_BRIGHTNESS, 2};
    tdm__transform_colours(&bright, 1, TDM_U8, 1, 6, pixels, planes);
    ck_assert(pixels[1] == 100 && pixels[2] == 200 && pixels[3] == 255);
}
END_TEST

/* ---- texts and shapes -------------------------------------------------------------------------
 */

START_TEST(texts_are_parsed_or_explained)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        {"flp 0.5", "did you mean 'flip'"},
        {"rotate", "did you mean 'rotate90'"},
        {"blur 3", "there are flip"},
        {"normalise", "model.mean"},
        {"", "empty"},
        {"flip 1.5", "'1.5'"},
        {"flip nan", "'nan'"},
        {"flip 0.5 0.5", "a probability"},
        {"rotate90 2", "'2'"},
        {"scale 1.0", "missing"},
        {"scale 1.5 1.0", "least"},
        {"scale 0 1", "0.0625"},
        {"crop", "missing"},
        {"crop 0", "'0'"},
        {"crop 12 4", "'4'"},
        {"crop 12x", "'12x'"},
        {"crop 12 p-1", "'p-1'"},
        {"resize 12 p4", "'p4'"},
        {"resize 99999", "'99999'"},
        {"jitter", "missing"},
        {"jitter 0.1 0.1 0.1 0.6", "'0.6'"},
        {"flip 0.5555555555555555555555555555555555555", "too long"},
    };
    tdm_transform t;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        support_fails(tdm_transform_parse(wrong[i].text, &t), TDM_ERR_CONFIG, wrong[i].says);
    support_ok(tdm_transform_parse("  crop 192x256\tp4 ", &t));
    ck_assert(t.kind == TDM_TRANSFORM_CROP && t.size[0] == 192 && t.size[1] == 256 &&
              t.border == 4);
    support_ok(tdm_transform_parse("vflip", &t));
    ck_assert(t.kind == TDM_TRANSFORM_VFLIP && t.value[0] == 0.5);
    support_ok(tdm_transform_parse("jitter 0.4 0.3", &t));
    ck_assert(t.value[0] == 0.4 && t.value[1] == 0.3 && t.value[2] == 0 && t.value[3] == 0);
}
END_TEST

START_TEST(shapes_follow_or_are_refused)
{
    static const char *const texts[] = {"crop 40x30 p5", "resize 12x16", "jitter 0.1"};
    tdm_transforms t = parse(texts, 3);
    tdm_array_info image = info_of(TDM_ARRAY_IMAGE, 32, 24, 3), info = image;
    support_ok(tdm_transforms_shape(&t, &info, &info)); /* the frame itself */
    ck_assert(info.dims[0] == 12 && info.dims[1] == 16 && info.elems == 12 * 16 * 3);
    info = info_of(TDM_ARRAY_CLASS, 1, 1, 1);
    info.rank = 0;
    support_ok(tdm_transforms_shape(&t, &image, &info));
    ck_assert_int_eq(info.rank, 0);
    info = info_of(TDM_ARRAY_VALUES, 7, 3, 2); /* not a picture of this size */
    support_ok(tdm_transforms_shape(&t, &image, &info));
    ck_assert_uint_eq(info.dims[0], 7);
    info = info_of(TDM_ARRAY_MASK, 16, 24, 1);
    support_fails(tdm_transforms_shape(&t, &image, &info), TDM_ERR_CONFIG, "of one size");
    info = info_of(TDM_ARRAY_IMAGE, 32, 24, 4);
    support_fails(tdm_transforms_shape(&t, &image, &info), TDM_ERR_CONFIG, "must be 1 or 3");
    info = info_of(TDM_ARRAY_IMAGE, 28, 24, 3);
    support_fails(tdm_transforms_shape(&t, &info, &info), TDM_ERR_CONFIG, "crop 40x30");
    info = info_of(TDM_ARRAY_BOX, 1, 1, 4);
    support_fails(tdm_transforms_shape(&t, NULL, &info), TDM_ERR_CONFIG, "none is loaded");
}
END_TEST

/* Mirroring and then taking the nearest pixel is the same as the other way round, ties included. */
START_TEST(nearest_pixels_mirror)
{
    for (uint32_t from = 1; from < 40; from++)
        for (uint32_t to = 1; to < 40; to++)
            for (uint32_t i = 0; i < to; i++) {
                const double step = (double)from / to;
                const int64_t plain = tdm__nearest(0, step, i, from);
                ck_assert_int_eq(plain, (int64_t)((2 * i + 1) * from / (2 * to)));
                ck_assert_int_eq(tdm__nearest(from, -step, i, from), from - 1 - plain);
            }
    ck_assert_int_eq(tdm__nearest(-3, 1, 2, 8), -1);
    ck_assert_int_eq(tdm__nearest(5, 1, 3, 8), -1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transform");
    TCase *tc = tcase_create("transform");
    tcase_add_test(tc, samples_equal_the_reference);
    tcase_add_test(tc, float_images_agree_with_bytes);
    tcase_add_test(tc, mirroring_twice_and_turning_four_times_change_nothing);
    tcase_add_test(tc, a_list_is_its_transforms_one_after_another);
    tcase_add_test(tc, boxes_follow_masks);
    tcase_add_test(tc, crops_lie_within_their_bounds);
    tcase_add_test(tc, only_sizes_act_outside_of_training);
    tcase_add_test(tc, colours_are_drawn_from_their_ranges);
    tcase_add_test(tc, grey_pictures_have_no_hue);
    tcase_add_test(tc, texts_are_parsed_or_explained);
    tcase_add_test(tc, shapes_follow_or_are_refused);
    tcase_add_test(tc, nearest_pixels_mirror);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

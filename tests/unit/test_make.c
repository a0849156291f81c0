/* What is made of pictures for self-supervised tasks, against references written another way, and
 * by the loader's threads: the same bytes for any number of workers, only what a part's batches
 * carry. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/make.h"
#include "support/loader_fixture.h"

enum { MAX_VALUES = 4096 };

static const tdm_make rotation = {.kind = TDM_MAKE_ROTATION, .name = "turns"};
static const tdm_make jigsaw = {.kind = TDM_MAKE_JIGSAW, .permutations = 30, .name = "tiles"};

static tdm_array_info picture_info(uint64_t h, uint64_t w, uint64_t channels)
{
    return (tdm_array_info){.name = "images",
                            .kind = TDM_ARRAY_IMAGE,
                            .rank = channels ? 3 : 2,
                            .dims = {h, w, channels},
                            .elems = h * w * (channels ? channels : 1)};
}

static tdm__maker maker_of(tdm_make make, uint64_t h, uint64_t w, uint64_t channels,
                           tdm_dtype dtype)
{
    tdm__maker m;
    tdm_array_info out, in = picture_info(h, w, channels);
    support_ok(tdm__maker_init(&make, TDM_MAKE_INPUT, &in, dtype, &out, &m));
    ck_assert_mem_eq(&out.dims, &in.dims, sizeof in.dims);
    ck_assert_uint_eq(out.elems, in.elems);
    return m;
}

static int32_t label_of(const tdm__maker *m, tdm__rng rng)
{
    tdm__maker labels = *m;
    int32_t label = -1;
    labels.part = TDM_MAKE_LABEL;
    tdm__make(&labels, &rng, NULL, &label);
    return label;
}

/* The numbers of the first row whose label is this one. */
static tdm__rng rng_for(const tdm__maker *m, int32_t label)
{
    for (uint64_t row = 0;; row++) {
        const tdm__rng rng = tdm__make_rng(&m->make, 3, 4, 0, row);
        ck_assert_uint_lt(row, 10000);
        if (label_of(m, rng) == label) return rng;
    }
}

/* ---- turning ----------------------------------------------------------------------------------
 */

/* Counter-clockwise once: the last column becomes the first row. */
static void turn_once(const float *in, float *out, size_t side, size_t channels)
{
    for (size_t column = 0; column < side; column++)
        for (size_t y = 0; y < side; y++)
            for (size_t c = 0; c < channels; c++)
                out[((side - 1 - column) * side + y) * channels + c] =
                    in[(y * side + column) * channels + c];
}

static void fill(float *values, uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)support_mix(i, 1, 4);
        values[i] = bytes[i];
    }
}

static void check_turns(size_t side, size_t channels)
{
    float in[MAX_VALUES], want[MAX_VALUES], next[MAX_VALUES], got[MAX_VALUES];
    uint8_t bytes[MAX_VALUES], turned[MAX_VALUES];
    const size_t n = side * side * (channels ? channels : 1);
    const tdm__maker reals = maker_of(rotation, side, side, channels, TDM_F32),
                     small = maker_of(rotation, side, side, channels, TDM_U8);
    fill(in, bytes, n);
    memcpy(want, in, sizeof in);
    for (int32_t label = 0; label < 4; label++) {
        tdm__rng rng = rng_for(&reals, label);
        tdm__make(&reals, &rng, in, got);
        ck_assert_mem_eq(got, want, n * sizeof *got);
        rng = rng_for(&small, label);
        tdm__make(&small, &rng, bytes, turned);
        for (size_t i = 0; i < n; i++) ck_assert_int_eq(turned[i], (int)want[i]);
        turn_once(want, next, side, channels ? channels : 1);
        memcpy(want, next, sizeof want);
    }
    ck_assert_mem_eq(want, in, n * sizeof *in); /* the reference's four turns too */
}

START_TEST(rotations_are_those_of_the_reference)
{
    check_turns(5, 3);
    check_turns(6, 1);
    check_turns(7, 0);
    check_turns(4, 2); /* a pixel size without a loop of its own */
}
END_TEST

START_TEST(four_turns_give_the_picture_back)
{
    enum { SIDE = 9, N = SIDE * SIDE * 3 };
    const tdm__maker m = maker_of(rotation, SIDE, SIDE, 3, TDM_U8);
    float unused[MAX_VALUES];
    uint8_t first[MAX_VALUES], a[MAX_VALUES], b[MAX_VALUES];
    fill(unused, first, N);
    memcpy(a, first, N);
    for (int i = 0; i < 4; i++) {
        tdm__rng rng = rng_for(&m, 1);
        tdm__make(&m, &rng, a, b);
        memcpy(a, b, N);
        ck_assert_int_eq(memcmp(a, first, N) == 0, i == 3);
    }
    for (int32_t label = 0; label < 4; label++) { /* a turn and the rest of the circle */
        tdm__rng there = rng_for(&m, label), back = rng_for(&m, (4 - label) % 4);
        tdm__make(&m, &there, first, a);
        tdm__make(&m, &back, a, b);
        ck_assert_mem_eq(b, first, N);
    }
}
END_TEST

START_TEST(flips_mirror_one_axis)
{
    enum { HIGH = 3, WIDE = 5 };
    float unused[MAX_VALUES];
    uint8_t in[MAX_VALUES], out[MAX_VALUES];
    fill(unused, in, HIGH * WIDE * 3);
    for (int vertical = 0; vertical < 2; vertical++) {
        const tdm_make make = {.kind = vertical ? TDM_MAKE_VFLIP : TDM_MAKE_FLIP};
        const tdm__maker m = maker_of(make, HIGH, WIDE, 3, TDM_U8);
        for (int32_t label = 0; label < 2; label++) {
            tdm__rng rng = rng_for(&m, label);
            tdm__make(&m, &rng, in, out);
            for (int y = 0; y < HIGH; y++)
                for (int x = 0; x < WIDE; x++) {
                    const int from_y = label && vertical ? HIGH - 1 - y : y,
                              from_x = label && !vertical ? WIDE - 1 - x : x;
                    ck_assert_mem_eq(out + (y * WIDE + x) * 3, in + (from_y * WIDE + from_x) * 3,
                                     3);
                }
        }
    }
}
END_TEST

/* ---- tiles ------------------------------------------------------------------------------------
 */

typedef uint8_t order[9];

static size_t hamming(const uint8_t *a, const uint8_t *b)
{
    size_t n = 0;
    for (int i = 0; i < 9; i++) n += a[i] != b[i];
    return n;
}

/* All orders of 0..8, ascending. */
static size_t every_order(order *out)
{
    order now = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    for (size_t n = 0;;) {
        memcpy(out[n++], now, sizeof now);
        int i = 7;
        while (i >= 0 && now[i] > now[i + 1]) i--;
        if (i < 0) return n;
        int k = 8;
        while (now[k] < now[i]) k--;
        uint8_t swap = now[i];
        now[i] = now[k], now[k] = swap;
        for (int a = i + 1, b = 8; a < b; a++, b--) swap = now[a], now[a] = now[b], now[b] = swap;
    }
}

/* Noroozi and Favaro's greedy choice: after the first, the one whose least distance to those chosen
 * is largest, among these one with the largest sum of distances, among these one drawn (Philox,
 * seed 0, stream "make.jigsaw", one draw an order from the candidates in ascending order). The
 * first leaves the tiles where they are. */
static void choose_orders(order *chosen, size_t n)
{
    enum { ALL = 362880 };
    order *all = malloc(ALL * sizeof *all);
    uint8_t *least = malloc(ALL);
    uint16_t *sum = calloc(ALL, sizeof *sum);
    tdm__rng rng = tdm__rng_make(0, tdm__rng_stream("make.jigsaw", 0, 0));
    ck_assert_uint_eq(every_order(all), ALL);
    memset(least, 9, ALL);
    memcpy(chosen[0], all[0], sizeof(order));
    for (size_t k = 1; k < n; k++) {
        size_t ties = 0;
        unsigned best = 0;
        for (size_t i = 0; i < ALL; i++) {
            const size_t d = hamming(all[i], chosen[k - 1]);
            if (d < least[i]) least[i] = (uint8_t)d;
            sum[i] = (uint16_t)(sum[i] + d);
            const unsigned value = (unsigned)least[i] << 16 | sum[i];
            if (value > best) best = value, ties = 0;
            ties += value == best;
        }
        size_t left = tdm__rng_below(&rng, ties), i = 0;
        for (;; i++)
            if (((unsigned)least[i] << 16 | sum[i]) == best && left-- == 0) break;
        memcpy(chosen[k], all[i], sizeof(order));
    }
    free(all);
    free(least);
    free(sum);
}

START_TEST(orders_are_the_greedy_choice)
{
    order want[TDM_MAKE_PERMUTATIONS];
    choose_orders(want, TDM_MAKE_PERMUTATIONS);
    for (uint32_t i = 0; i < TDM_MAKE_PERMUTATIONS; i++)
        ck_assert_mem_eq(tdm_make_permutation(i), want[i], sizeof(order));
}
END_TEST

START_TEST(orders_are_far_apart)
{
    size_t least = 9;
    for (uint32_t i = 0; i < TDM_MAKE_PERMUTATIONS; i++) {
        unsigned seen = 0;
        for (int k = 0; k < 9; k++) seen |= 1u << tdm_make_permutation(i)[k];
        ck_assert_uint_eq(seen, 0x1ff);
        for (uint32_t k = 0; k < i; k++) {
            const size_t d = hamming(tdm_make_permutation(i), tdm_make_permutation(k));
            if (i < 9) ck_assert_uint_eq(d, 9); /* no tile at the same place twice */
            if (d < least) least = d;
        }
    }
    ck_assert_uint_ge(least, 6);
}
END_TEST

START_TEST(tiles_go_back_to_their_places)
{
    enum { CELL = 4, SIDE = 3 * CELL, N = SIDE * SIDE * 3 };
    const tdm__maker m = maker_of(jigsaw, SIDE, SIDE, 3, TDM_U8);
    float unused[MAX_VALUES];
    uint8_t in[MAX_VALUES], out[MAX_VALUES], back[MAX_VALUES];
    fill(unused, in, N);
    for (int32_t label = 0; label < 30; label++) {
        tdm__rng rng = rng_for(&m, label);
        const uint8_t *places = tdm_make_permutation((uint32_t)label);
        tdm__make(&m, &rng, in, out);
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++) {
                const int tile = places[y / CELL * 3 + x / CELL];
                const int to = (tile / 3 * CELL + y % CELL) * SIDE + tile % 3 * CELL + x % CELL;
                memcpy(back + to * 3, out + (y * SIDE + x) * 3, 3);
            }
        ck_assert_mem_eq(back, in, N);
        ck_assert_int_eq(memcmp(out, in, N) == 0, label == 0);
    }
}
END_TEST

/* Where in its cell a tile of the output was cut, and that it is one. */
static int place_of_tile(const uint8_t *in, const uint8_t *out, int wide, const int from[2],
                         const int to[2], const int tile[2], int gap)
{
    for (int offset = 0; offset < (gap + 1) * (gap + 1); offset++) {
        bool same = true;
        const int dy = offset / (gap + 1), dx = offset % (gap + 1);
        for (int y = 0; y < tile[0] && same; y++)
            same = !memcmp(out + (to[0] + y) * wide + to[1],
                           in + (from[0] + dy + y) * wide + from[1] + dx, (size_t)tile[1]);
        if (same) return offset;
    }
    return -1;
}

/* 17 x 19, gap 2: cells of 5 x 6 in a middle of 15 x 18, one pixel above, none to the left. */
START_TEST(gaps_and_odd_sizes_keep_tiles_within_their_cells)
{
    enum { HIGH = 17, WIDE = 19, GAP = 2, PLACES = (GAP + 1) * (GAP + 1) };
    const int cell[2] = {5, 6}, border[2] = {1, 0}, tile[2] = {3, 4};
    tdm_make make = jigsaw;
    make.gap = GAP;
    const tdm__maker m = maker_of(make, HIGH, WIDE, 0, TDM_U8);
    uint8_t in[HIGH * WIDE], out[HIGH * WIDE];
    int seen[PLACES] = {0};
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)(1 + support_mix(i, 0, 6) % 255);
    for (uint64_t row = 0; row < 40; row++) {
        tdm__rng rng = tdm__make_rng(&m.make, 1, 2, 3, row);
        const uint8_t *places = tdm_make_permutation((uint32_t)label_of(&m, rng));
        size_t covered = 0;
        tdm__make(&m, &rng, in, out);
        for (int p = 0; p < 9; p++) {
            const int from[2] = {border[0] + places[p] / 3 * cell[0],
                                 border[1] + places[p] % 3 * cell[1]};
            const int to[2] = {border[0] + p / 3 * cell[0] + 1, border[1] + p % 3 * cell[1] + 1};
            const int at = place_of_tile(in, out, WIDE, from, to, tile, GAP);
            ck_assert_int_ge(at, 0);
            seen[at]++;
        }
        for (size_t i = 0; i < sizeof out; i++) covered += out[i] != 0;
        ck_assert_uint_eq(covered, 9 * 3 * 4);
    }
    for (int i = 0; i < PLACES; i++) ck_assert_int_gt(seen[i], 360 / PLACES / 2);
}
END_TEST

/* ---- noise and grey ---------------------------------------------------------------------------
 */

/* The i-th pair of uniforms of a sample as Philox gives it: two to a block. */
static void pair_at(tdm__rng rng, size_t i, double u[2])
{
    uint32_t block[4];
    tdm__philox(rng.seed, rng.stream, rng.index + i / 2, block);
    for (int k = 0; k < 2; k++) u[k] = (block[i % 2 * 2 + (size_t)k] >> 8) / 16777216.0;
}

START_TEST(gaussian_noise_is_that_of_the_formula)
{
    enum { N = 9 * 11 * 3 };
    const tdm_make make = {.kind = TDM_MAKE_DENOISING, .sigma = 0.2};
    const tdm__maker bytes = maker_of(make, 9, 11, 3, TDM_U8),
                     reals = maker_of(make, 9, 11, 3, TDM_F32);
    float values[MAX_VALUES], noisy[MAX_VALUES];
    uint8_t in[MAX_VALUES], out[MAX_VALUES];
    const tdm__rng rng = tdm__make_rng(&make, 5, 6, 7, 8);
    tdm__rng a = rng, b = rng;
    int limited = 0;
    fill(values, in, N);
    for (size_t i = 0; i < N; i++) values[i] /= 255;
    tdm__make(&bytes, &a, in, out);
    tdm__make(&reals, &b, values, noisy);
    for (size_t i = 0; i < N; i++) {
        double u[2];
        pair_at(rng, i / 2, u); /* two normal numbers of two uniform ones */
        const double turn = 2 * M_PI * u[1],
                     normal = sqrt(-2 * log(1 - u[0])) * (i % 2 ? sin(turn) : cos(turn));
        const double v = in[i] + 255 * 0.2 * normal;
        limited += v < 0 || v > 255;
        ck_assert_double_le(fabs(out[i] - fmin(fmax(v, 0), 255)), 0.5 + 1e-9);
        ck_assert_double_eq_tol(noisy[i], values[i] + 0.2 * normal, 1e-6);
    }
    ck_assert_int_gt(limited, 0);
}
END_TEST

START_TEST(noise_has_the_size_asked_for)
{
    enum { SIDE = 64, N = SIDE * SIDE };
    const tdm_make gaussian = {.kind = TDM_MAKE_DENOISING, .sigma = 0.1};
    const tdm_make salt = {
        .kind = TDM_MAKE_DENOISING, .noise = TDM_MAKE_SALT_AND_PEPPER, .share = 0.3};
    const tdm__maker g = maker_of(gaussian, SIDE, SIDE, 0, TDM_F32),
                     s = maker_of(salt, SIDE / 2, SIDE / 2, 3, TDM_U8);
    static float in[N], out[N];
    static uint8_t grey[N], speckled[N];
    double sum = 0, squares = 0;
    int black = 0, white = 0;
    tdm__rng rng = tdm__make_rng(&gaussian, 1, 1, 1, 1);
    tdm__make(&g, &rng, in, out);
    for (int i = 0; i < N; i++) sum += (double)out[i], squares += (double)out[i] * (double)out[i];
    ck_assert_double_le(fabs(sum / N), 5 * 0.1 / SIDE); /* five standard errors */
    ck_assert_double_eq_tol(sqrt(squares / N), 0.1, 5 * 0.1 / sqrt(2.0 * N));
    memset(grey, 100, sizeof grey);
    rng = tdm__make_rng(&salt, 1, 1, 1, 1);
    tdm__make(&s, &rng, grey, speckled);
    for (int i = 0; i < N / 4; i++) {
        const uint8_t *p = speckled + i * 3;
        ck_assert(p[0] == p[1] && p[1] == p[2]); /* all channels at once */
        ck_assert(p[0] == 0 || p[0] == 100 || p[0] == 255);
        black += p[0] == 0;
        white += p[0] == 255;
    }
    const double sd = sqrt(N / 4 * 0.15 * 0.85);
    ck_assert_double_eq_tol(black, N / 4 * 0.15, 5 * sd);
    ck_assert_double_eq_tol(white, N / 4 * 0.15, 5 * sd);
}
END_TEST

START_TEST(grey_is_the_luma_in_all_channels)
{
    enum { N = 16 * 16 * 3 };
    const tdm_make make = {.kind = TDM_MAKE_COLOURISATION};
    const tdm__maker bytes = maker_of(make, 16, 16, 3, TDM_U8),
                     reals = maker_of(make, 16, 16, 3, TDM_F32);
    float values[MAX_VALUES], greys[MAX_VALUES];
    uint8_t in[MAX_VALUES], out[MAX_VALUES];
    tdm__rng rng = tdm__make_rng(&make, 0, 0, 0, 0);
    fill(values, in, N);
    in[0] = in[1] = in[2] = 255;
    in[3] = in[4] = in[5] = 0;
    tdm__make(&bytes, &rng, in, out);
    tdm__make(&reals, &rng, values, greys);
    ck_assert_int_eq(out[0], 255);
    ck_assert_int_eq(out[3], 0);
    for (size_t i = 0; i < N; i += 3) {
        const double luma = 0.299 * in[i] + 0.587 * in[i + 1] + 0.114 * in[i + 2];
        const float *v = values + i;
        for (size_t c = 0; c < 3; c++) {
            ck_assert_double_le(fabs(out[i + c] - luma), 0.5 + 0.01);
            ck_assert_double_eq_tol(
                greys[i + c], 0.299 * (double)v[0] + 0.587 * (double)v[1] + 0.114 * (double)v[2],
                1e-4);
        }
    }
}
END_TEST

/* ---- draws ------------------------------------------------------------------------------------
 */

START_TEST(classes_are_balanced)
{
    const tdm_make makes[] = {rotation, {.kind = TDM_MAKE_FLIP}, jigsaw};
    enum { ROWS = 12000 };
    for (size_t k = 0; k < 3; k++) {
        const tdm__maker m = maker_of(makes[k], 9, 9, 3, TDM_U8);
        const int classes = (int)tdm_make_classes(&m.make);
        int counts[TDM_MAKE_PERMUTATIONS] = {0};
        double chi = 0;
        for (uint64_t row = 0; row < ROWS; row++)
            counts[label_of(&m, tdm__make_rng(&m.make, 1, 2, 3, row))]++;
        const double each = (double)ROWS / classes;
        for (int c = 0; c < classes; c++) chi += (counts[c] - each) * (counts[c] - each) / each;
        /* its mean and five standard deviations */
        ck_assert_double_le(chi, classes - 1 + 5 * sqrt(2.0 * (classes - 1)));
        ck_assert_double_gt(chi, 0);
    }
}
END_TEST

START_TEST(draws_differ_between_seeds_epochs_and_names)
{
    const tdm__maker m = maker_of(jigsaw, 9, 9, 3, TDM_U8);
    int same[3] = {0};
    for (uint64_t row = 0; row < 300; row++) {
        tdm_make other = m.make;
        other.name = "others";
        const int32_t label = label_of(&m, tdm__make_rng(&m.make, 1, 2, 3, row));
        ck_assert_int_eq(label, label_of(&m, tdm__make_rng(&m.make, 1, 2, 3, row)));
        same[0] += label == label_of(&m, tdm__make_rng(&m.make, 9, 2, 3, row));
        same[1] += label == label_of(&m, tdm__make_rng(&m.make, 1, 2, 4, row));
        same[2] += label == label_of(&m, tdm__make_rng(&other, 1, 2, 3, row));
    }
    for (int k = 0; k < 3; k++) ck_assert_int_lt(same[k], 30); /* 10 of 300 are expected */
}
END_TEST

/* ---- by the loader ----------------------------------------------------------------------------
 */

static const tdm_make noise = {.kind = TDM_MAKE_DENOISING, .sigma = 0.1, .name = "noise"};
static const tdm_make grey = {.kind = TDM_MAKE_COLOURISATION, .name = "grey"};

/* A made array may stand before what it is made of. */
static const tdm_loader_array with_made[] = {
    {.name = "turned", .make = &rotation, .part = TDM_MAKE_INPUT, .from = "images"},
    {.name = "images", .dtype = TDM_U8},
    {.name = "labels"},
    {.name = "turn", .make = &rotation, .part = TDM_MAKE_LABEL, .from = "images"},
    {.name = "noisy", .make = &noise, .part = TDM_MAKE_INPUT, .from = "images"},
    {.name = "grey", .make = &grey, .part = TDM_MAKE_INPUT, .from = "images"},
};
enum { TURNED, IMAGES, LABELS, TURN, NOISY, GREY, MADE };

static tdm_loader_spec made_spec(const support_set *x, unsigned workers)
{
    tdm_loader_spec spec = support_loader_spec(x, workers);
    spec.arrays = with_made;
    spec.n_arrays = MADE;
    spec.augment = true;
    support_ok(tdm_transform_parse("crop 5 p1", &spec.transforms.list[spec.transforms.n++]));
    return spec;
}

/* Every byte of some epochs, one batch after another; free() it. */
static unsigned char *all_bytes(const tdm_loader_spec *spec, uint64_t epochs, size_t *n)
{
    tdm_loader *loader = support_loader(spec);
    const tdm_batch *b = NULL;
    unsigned char *bytes = NULL;
    size_t capacity = 0;
    *n = 0;
    for (uint64_t epoch = 0; epoch < epochs;) {
        support_ok(tdm_loader_next(loader, &b));
        if (!b) epoch++;
        for (size_t i = 0; b && i < b->n_arrays; i++) {
            if (!b->arrays[i].data) continue;
            const size_t size = b->count * b->arrays[i].sample_bytes;
            support_ok(tdm__grow(&bytes, &capacity, *n + size, 1));
            memcpy(bytes + *n, b->arrays[i].data, size);
            *n += size;
        }
    }
    tdm_loader_destroy(&loader);
    return bytes;
}

START_TEST(workers_modes_and_layouts_give_the_same_bytes)
{
    static const unsigned workers[] = {0, 1, 4};
    unsigned char *first = NULL;
    size_t n_first = 0;
    for (support_layout l = 0; l < LAYOUTS; l++) {
        support_set x = support_set_open(70, l, &support_no_flaw);
        for (size_t w = 0; w < 3; w++)
            for (int memory = 0; memory < 2; memory++) {
                tdm_loader_spec spec = made_spec(&x, workers[w]);
                size_t n = 0;
                spec.in_memory = memory;
                unsigned char *bytes = all_bytes(&spec, 2, &n);
                ck_assert_uint_eq(n, 2 * 70 * (4 * 5 * 5 * 3 + 2 * 4));
                if (!first) first = bytes, n_first = n;
                ck_assert_uint_eq(n, n_first);
                ck_assert_mem_eq(bytes, first, n);
                if (bytes != first) free(bytes);
            }
        support_set_close(&x);
    }
    free(first);
}
END_TEST

/* A sample's arrays against the maker by hand, from the picture that was delivered with them. */
static void check_sample(const tdm_batch *b, uint64_t k, uint64_t epoch)
{
    static const struct {
        const tdm_make *make;
        int array;
    } inputs[] = {{&rotation, TURNED}, {&noise, NOISY}, {&grey, GREY}};
    const size_t bytes = b->arrays[IMAGES].sample_bytes;
    const uint8_t *picture = (const uint8_t *)b->arrays[IMAGES].data + k * bytes;
    uint8_t want[5 * 5 * 3];
    ck_assert_uint_eq(bytes, sizeof want);
    for (size_t i = 0; i < 3; i++) {
        const tdm__maker m = maker_of(*inputs[i].make, 5, 5, 3, TDM_U8);
        tdm__rng rng =
            tdm__make_rng(inputs[i].make, 9, tdm__rng_stream("", 0, 0), epoch, b->rows[k]);
        if (i == 0) ck_assert_int_eq(((const int32_t *)b->arrays[TURN].data)[k], label_of(&m, rng));
        tdm__make(&m, &rng, picture, want);
        ck_assert_mem_eq((const uint8_t *)b->arrays[inputs[i].array].data + k * bytes, want, bytes);
    }
}

START_TEST(made_of_the_transformed_picture)
{
    support_set x = support_set_open(40, DEFLATED, &support_no_flaw);
    for (int augment = 0; augment < 2; augment++) {
        tdm_loader_spec spec = made_spec(&x, 2);
        spec.augment = augment;
        tdm_loader *loader = support_loader(&spec);
        const tdm_batch *b = NULL;
        ck_assert_str_eq(tdm_loader_arrays(loader, &(size_t){0})[TURN].name, "turn");
        ck_assert_int_eq(tdm_loader_arrays(loader, &(size_t){0})[TURN].kind, TDM_ARRAY_CLASS);
        for (uint64_t epoch = 0; epoch < 3;) {
            support_ok(tdm_loader_next(loader, &b));
            if (!b) epoch++;
            /* without augmentation every epoch has the draws of the first */
            for (uint64_t k = 0; b && k < b->count; k++) check_sample(b, k, augment ? b->epoch : 0);
        }
        tdm_loader_destroy(&loader);
    }
    support_set_close(&x);
}
END_TEST

/* One part learns the turns, the other the labels: each batch carries its own arrays alone, with
 * the same values as if it carried all. */
START_TEST(parts_carry_what_they_need)
{
    static const bool turns[MADE] = {[TURNED] = true, [TURN] = true},
                      classes[MADE] = {[IMAGES] = true, [LABELS] = true};
    for (support_layout l = 0; l < LAYOUTS; l++) {
        support_set x = support_set_open(50, l, &support_no_flaw);
        for (unsigned workers = 0; workers < 3; workers++) {
            tdm_loader_part parts[] = {{.n = 50, .share = 1, .arrays = turns},
                                       {.n = 50, .share = 1, .arrays = classes}};
            tdm_loader_part whole[] = {{.n = 50, .share = 1}, {.n = 50, .share = 1}};
            tdm_loader_spec spec = made_spec(&x, workers), all = spec;
            const tdm_batch *b = NULL, *full = NULL;
            uint64_t bytes = 0, batches[2] = {0};
            tdm_loader_stats stats;
            spec.parts = parts, all.parts = whole;
            spec.n_parts = all.n_parts = 2;
            spec.draw_parts = all.draw_parts = true;
            tdm_loader *loader = support_loader(&spec), *other = support_loader(&all);
            for (;;) {
                support_ok(tdm_loader_next(loader, &b));
                support_ok(tdm_loader_next(other, &full));
                if (!b) break;
                batches[b->part]++;
                for (size_t i = 0; i < MADE; i++) {
                    const bool carried = (b->part ? classes : turns)[i];
                    const size_t size = b->count * b->arrays[i].sample_bytes;
                    ck_assert_int_eq(b->arrays[i].data != NULL, carried);
                    if (!carried) continue;
                    bytes += size;
                    ck_assert_mem_eq(b->arrays[i].data, full->arrays[i].data, size);
                }
            }
            ck_assert(batches[0] && batches[1]);
            tdm_loader_stats_get(loader, &stats);
            ck_assert_uint_eq(stats.bytes, bytes);
            tdm_loader_destroy(&loader);
            tdm_loader_destroy(&other);
        }
        support_set_close(&x);
    }
}
END_TEST

/* ---- what cannot be made ----------------------------------------------------------------------
 */

static tdm_status shape(tdm_make make, tdm_make_part part, tdm_array_info in)
{
    tdm_array_info out;
    return tdm_make_shape(&make, part, &in, &out);
}

START_TEST(refuses_what_cannot_be_made)
{
    const tdm_make salt = {
        .kind = TDM_MAKE_DENOISING, .noise = TDM_MAKE_SALT_AND_PEPPER, .share = 1.5};
    const tdm_make silent = {.kind = TDM_MAKE_DENOISING};
    tdm_make tiles = jigsaw;
    tdm_array_info no_picture = picture_info(8, 8, 1), out;
    tdm__maker m;
    no_picture.kind = TDM_ARRAY_MASK;
    support_fails(shape(rotation, TDM_MAKE_INPUT, picture_info(6, 5, 3)), TDM_ERR_CONFIG,
                  "only square pictures");
    support_message_has("data.transforms: [resize 128]");
    support_fails(shape(rotation, TDM_MAKE_INPUT, no_picture), TDM_ERR_CONFIG, "no pictures");
    support_fails(shape(grey, TDM_MAKE_INPUT, picture_info(6, 5, 1)), TDM_ERR_CONFIG,
                  "1 channel: needs red, green and blue");
    support_fails(shape(grey, TDM_MAKE_LABEL, picture_info(6, 5, 3)), TDM_ERR_CONFIG,
                  "its target is the picture");
    support_fails(shape(silent, TDM_MAKE_INPUT, picture_info(6, 5, 3)), TDM_ERR_CONFIG, "sigma 0");
    support_fails(shape(salt, TDM_MAKE_INPUT, picture_info(6, 5, 3)), TDM_ERR_CONFIG, "share 1.5");
    support_ok(shape(tiles, TDM_MAKE_INPUT, picture_info(3, 3, 1)));
    support_fails(shape(tiles, TDM_MAKE_INPUT, picture_info(2, 9, 1)), TDM_ERR_CONFIG,
                  "leave no tile");
    tiles.gap = 3;
    support_ok(shape(tiles, TDM_MAKE_INPUT, picture_info(12, 12, 1)));
    support_fails(shape(tiles, TDM_MAKE_INPUT, picture_info(11, 12, 1)), TDM_ERR_CONFIG,
                  "cells of 3x4 leave no tile with a gap of 3");
    tiles.permutations = TDM_MAKE_PERMUTATIONS + 1;
    support_fails(shape(tiles, TDM_MAKE_LABEL, picture_info(12, 12, 1)), TDM_ERR_CONFIG,
                  "101 permutations: must be 2 to 100");
    const tdm_array_info square = picture_info(6, 6, 3);
    support_fails(tdm__maker_init(&rotation, TDM_MAKE_INPUT, &square, TDM_I32, &out, &m),
                  TDM_ERR_CONFIG, "neither u8 nor f32");
}
END_TEST

START_TEST(refuses_to_make_of_what_is_not_loaded)
{
    support_set x = support_set_open(20, STORED, &support_no_flaw);
    tdm_loader_array arrays[2] = {with_made[TURN], with_made[LABELS]};
    tdm_loader_spec spec = made_spec(&x, 0);
    tdm_loader *loader = NULL;
    spec.arrays = arrays;
    spec.n_arrays = 2;
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_USAGE,
                  "'turn' is made of array 'images', which is not loaded");
    arrays[1] = with_made[IMAGES];
    arrays[0].dtype = TDM_U8;
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_USAGE, "another type");
    const tdm_loader_part idle = {.n = 20, .share = 1, .arrays = (const bool[]){false, false}};
    arrays[0] = with_made[TURN];
    spec.parts = &idle;
    spec.n_parts = 1;
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_USAGE, "carry no array");
    spec.n_parts = 0;
    spec.transforms.n = 0; /* 6 x 5 */
    support_fails(tdm_loader_create(&spec, &loader), TDM_ERR_CONFIG, "6x5");
    support_set_close(&x);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("make");
    TCase *t = tcase_create("samples");
    tcase_add_test(t, rotations_are_those_of_the_reference);
    tcase_add_test(t, four_turns_give_the_picture_back);
    tcase_add_test(t, flips_mirror_one_axis);
    tcase_add_test(t, orders_are_the_greedy_choice);
    tcase_add_test(t, orders_are_far_apart);
    tcase_add_test(t, tiles_go_back_to_their_places);
    tcase_add_test(t, gaps_and_odd_sizes_keep_tiles_within_their_cells);
    tcase_add_test(t, gaussian_noise_is_that_of_the_formula);
    tcase_add_test(t, noise_has_the_size_asked_for);
    tcase_add_test(t, grey_is_the_luma_in_all_channels);
    tcase_add_test(t, classes_are_balanced);
    tcase_add_test(t, draws_differ_between_seeds_epochs_and_names);
    suite_add_tcase(s, t);
    t = tcase_create("loader");
    tcase_add_test(t, workers_modes_and_layouts_give_the_same_bytes);
    tcase_add_test(t, made_of_the_transformed_picture);
    tcase_add_test(t, parts_carry_what_they_need);
    tcase_add_test(t, refuses_what_cannot_be_made);
    tcase_add_test(t, refuses_to_make_of_what_is_not_loaded);
    suite_add_tcase(s, t);
    return support_run(s);
}

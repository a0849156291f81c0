/* Batches from several parts: how often each is drawn, that each goes through its samples pass by
 * pass, and that a step can be asked for in any order. */
#include <stdlib.h>
#include <string.h>

#include "data/mixer.h"
#include "support/loader_fixture.h"

enum { SAMPLES = 96, BATCH = 8, PARTS = 3 };

static support_set set;
static uint64_t lists[PARTS][SAMPLES];

static void setup(void)
{
    set = support_set_open(SAMPLES, STORED, &support_no_flaw);
}

static void teardown(void)
{
    support_set_close(&set);
}

/* Part p has every sample whose number leaves p when divided by PARTS; 32 each, 4 batches. */
static void make_parts(tdm_loader_part parts[PARTS])
{
    static const double shares[PARTS] = {1, 2, 5};
    for (uint64_t p = 0; p < PARTS; p++) {
        uint64_t n = 0;
        for (uint64_t i = p; i < SAMPLES; i += PARTS) lists[p][n++] = i;
        parts[p] = (tdm_loader_part){lists[p], n, shares[p], "part"};
    }
}

static tdm_loader_spec spec_of(const tdm_loader_part *parts, bool draw)
{
    return (tdm_loader_spec){.split = set.split,
                             .parts = parts,
                             .n_parts = PARTS,
                             .draw_parts = draw,
                             .batch_size = BATCH,
                             .seed = 5,
                             .stream = "train",
                             .shuffle = true,
                             .drop_last = true};
}

static tdm__mixer mixer_make(bool draw)
{
    tdm_loader_part parts[PARTS];
    tdm__mixer m;
    make_parts(parts);
    const tdm_loader_spec spec = spec_of(parts, draw);
    support_ok(tdm__mixer_init(&m, &spec));
    return m;
}

START_TEST(parts_are_drawn_by_their_shares)
{
    enum { EPOCHS = 500 };
    uint64_t indices[BATCH], drawn[PARTS] = {0};
    tdm__mixer m = mixer_make(true);
    ck_assert_uint_eq(m.steps, 12); /* as many batches as the parts have together */
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (uint64_t step = 0; step < m.steps; step++) {
            size_t part;
            ck_assert_uint_eq(tdm__mixer_batch(&m, epoch, step, indices, &part), BATCH);
            drawn[part]++;
        }
    /* 6000 draws: four standard deviations are below 0.027 */
    ck_assert_double_eq_tol((double)drawn[0] / (12 * EPOCHS), 1 / 8.0, 0.027);
    ck_assert_double_eq_tol((double)drawn[1] / (12 * EPOCHS), 2 / 8.0, 0.027);
    ck_assert_double_eq_tol((double)drawn[2] / (12 * EPOCHS), 5 / 8.0, 0.027);
    tdm__mixer_free(&m);
}
END_TEST

START_TEST(each_part_goes_through_its_samples_pass_by_pass)
{
    uint64_t indices[BATCH], first[PARTS][SAMPLES / PARTS], batches[PARTS] = {0};
    int seen[SAMPLES] = {0};
    bool other_order = false;
    tdm__mixer m = mixer_make(true);
    for (uint64_t step = 0; step < m.steps; step++) {
        size_t part;
        tdm__mixer_batch(&m, 3, step, indices, &part);
        const uint64_t at = batches[part] % 4, pass = batches[part] / 4;
        for (uint64_t i = 0; i < BATCH; i++) {
            ck_assert_uint_eq(indices[i] % PARTS, part);
            ck_assert_int_eq(seen[indices[i]]++, (int)pass); /* nothing twice in a pass */
            if (i) ck_assert_uint_lt(indices[i - 1], indices[i]);
        }
        if (pass == 0)
            memcpy(&first[part][at * BATCH], indices, sizeof indices);
        else
            other_order |= memcmp(&first[part][at * BATCH], indices, sizeof indices) != 0;
        batches[part]++;
    }
    ck_assert_uint_gt(batches[2], 4); /* the seed makes the third part begin again */
    ck_assert(other_order);
    tdm__mixer_free(&m);
}
END_TEST

START_TEST(a_step_does_not_depend_on_what_was_asked_before)
{
    uint64_t a[BATCH], b[BATCH];
    size_t part_a, part_b;
    tdm__mixer straight = mixer_make(true), jumping = mixer_make(true);
    static const uint64_t epochs[] = {0, 2, 0, 1, 7}, steps[] = {11, 0, 3, 5, 11};
    for (int i = 0; i < 5; i++) {
        for (uint64_t s = 0; s <= steps[i]; s++)
            tdm__mixer_batch(&straight, epochs[i], s, a, &part_a);
        tdm__mixer_batch(&jumping, epochs[i], steps[i], b, &part_b);
        ck_assert_uint_eq(part_a, part_b);
        ck_assert_mem_eq(a, b, sizeof a);
    }
    tdm__mixer_free(&straight);
    tdm__mixer_free(&jumping);
}
END_TEST

START_TEST(in_turn_every_part_is_passed_once)
{
    uint64_t indices[BATCH];
    int seen[SAMPLES] = {0};
    tdm__mixer m = mixer_make(false);
    ck_assert_uint_eq(tdm__mixer_samples(&m), SAMPLES);
    for (uint64_t step = 0; step < m.steps; step++) {
        size_t part;
        tdm__mixer_batch(&m, 0, step, indices, &part);
        ck_assert_uint_eq(part, step / 4);
        for (uint64_t i = 0; i < BATCH; i++) seen[indices[i]]++;
    }
    for (int i = 0; i < SAMPLES; i++) ck_assert_int_eq(seen[i], 1);
    tdm__mixer_free(&m);
}
END_TEST

START_TEST(parts_that_make_no_batch_are_refused)
{
    tdm_loader_part parts[PARTS];
    tdm__mixer m;
    make_parts(parts);
    parts[1].n = BATCH - 1;
    tdm_loader_spec spec = spec_of(parts, true);
    support_fails(tdm__mixer_init(&m, &spec), TDM_ERR_DATA, "part: ");
    tdm__mixer_free(&m);
    parts[1].n = 0;
    support_fails(tdm__mixer_init(&m, &spec), TDM_ERR_DATA, "there are no samples");
    tdm__mixer_free(&m);
    spec.draw_parts = false; /* nothing to measure for one part */
    support_ok(tdm__mixer_init(&m, &spec));
    ck_assert_uint_eq(m.steps, 8);
    tdm__mixer_free(&m);
    make_parts(parts);
    parts[0].share = 0;
    spec.draw_parts = true;
    support_fails(tdm__mixer_init(&m, &spec), TDM_ERR_USAGE, "share 0");
    tdm__mixer_free(&m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mixer");
    TCase *tc = tcase_create("mixer");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, parts_are_drawn_by_their_shares);
    tcase_add_test(tc, each_part_goes_through_its_samples_pass_by_pass);
    tcase_add_test(tc, a_step_does_not_depend_on_what_was_asked_before);
    tcase_add_test(tc, in_turn_every_part_is_passed_once);
    tcase_add_test(tc, parts_that_make_no_batch_are_refused);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

/* The schedule: epochs are permutations, batches are pure functions of (seed, stream, epoch, step).
 */
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "data/sampler.h"
#include "support/support.h"

static tdm__sampler sampler_make(uint64_t length, uint64_t batch, uint64_t seed, const char *stream,
                                 bool shuffle, bool drop_last)
{
    tdm__sampler s;
    support_ok(tdm__sampler_init(&s, length, batch, seed, stream, shuffle, drop_last));
    return s;
}

START_TEST(every_epoch_covers_every_sample_once)
{
    static const uint64_t lengths[] = {1, 2, 63, 64, 65, 1000}, batches[] = {1, 3, 64, 2000};
    for (size_t l = 0; l < 6; l++)
        for (size_t b = 0; b < 4; b++) {
            uint64_t n = lengths[l], batch = batches[b], total = 0;
            tdm__sampler s = sampler_make(n, batch, 7, "train", true, false);
            unsigned char *seen = calloc(n, 1);
            uint64_t *indices = calloc(batch, sizeof *indices);
            ck_assert_uint_eq(s.steps, (n + batch - 1) / batch);
            for (uint64_t step = 0; step < s.steps; step++) {
                uint64_t count = tdm__sampler_batch(&s, 3, step, indices);
                ck_assert_uint_eq(count, step + 1 < s.steps ? batch : n - batch * (s.steps - 1));
                total += count;
                for (uint64_t i = 0; i < count; i++) {
                    ck_assert_uint_lt(indices[i], n);
                    ck_assert_uint_eq(seen[indices[i]]++, 0);
                    if (i) ck_assert_uint_lt(indices[i - 1], indices[i]);
                }
            }
            ck_assert_uint_eq(total, n);
            free(indices);
            free(seen);
            tdm__sampler_free(&s);
        }
}
END_TEST

START_TEST(batches_follow_the_documented_permutation)
{
    enum { N = 50, BATCH = 8 };
    uint64_t order[N], expected[BATCH], got[BATCH];
    uint64_t stream = tdm__rng_stream("train", 0, 0);
    tdm__rng rng = tdm__rng_make(11, tdm__rng_stream("data.order", stream, 5));
    tdm__rng_permutation(&rng, order, N);
    memcpy(expected, order + 2 * BATCH, sizeof expected);
    tdm__sort_u64(expected, BATCH);
    tdm__sampler s = sampler_make(N, BATCH, 11, "train", true, false);
    ck_assert_uint_eq(tdm__sampler_batch(&s, 5, 2, got), BATCH);
    ck_assert_mem_eq(got, expected, sizeof got);
    tdm__sampler_free(&s);
}
END_TEST

START_TEST(a_batch_does_not_depend_on_what_was_asked_before)
{
    uint64_t a[16], b[16];
    tdm__sampler once = sampler_make(1000, 16, 5, "", true, false);
    tdm__sampler often = sampler_make(1000, 16, 5, "", true, false);
    for (uint64_t epoch = 0; epoch < 4; epoch++) tdm__sampler_batch(&often, epoch, epoch, b);
    tdm__sampler_batch(&often, 2, 17, b);
    tdm__sampler_batch(&once, 2, 17, a);
    ck_assert_mem_eq(a, b, sizeof a);
    tdm__sampler_free(&once);
    tdm__sampler_free(&often);
}
END_TEST

START_TEST(seed_stream_and_epoch_each_change_the_order)
{
    uint64_t a[16], b[16];
    tdm__sampler base = sampler_make(1000, 16, 5, "train", true, false);
    tdm__sampler seed = sampler_make(1000, 16, 6, "train", true, false);
    tdm__sampler stream = sampler_make(1000, 16, 5, "other", true, false);
    tdm__sampler_batch(&base, 0, 0, a);
    tdm__sampler_batch(&seed, 0, 0, b);
    ck_assert_mem_ne(a, b, sizeof a);
    tdm__sampler_batch(&stream, 0, 0, b);
    ck_assert_mem_ne(a, b, sizeof a);
    tdm__sampler_batch(&base, 1, 0, b);
    ck_assert_mem_ne(a, b, sizeof a);
    tdm__sampler_free(&base);
    tdm__sampler_free(&seed);
    tdm__sampler_free(&stream);
}
END_TEST

START_TEST(without_shuffling_the_files_order_is_kept)
{
    uint64_t got[4];
    tdm__sampler s = sampler_make(10, 4, 5, "", false, false);
    ck_assert_ptr_null(s.order);
    ck_assert_uint_eq(tdm__sampler_batch(&s, 9, 2, got), 2);
    ck_assert_uint_eq(got[0], 8);
    ck_assert_uint_eq(got[1], 9);
    tdm__sampler_free(&s);
}
END_TEST

START_TEST(a_short_last_batch_can_be_dropped)
{
    tdm__sampler s = sampler_make(10, 4, 5, "", true, true);
    ck_assert_uint_eq(s.steps, 2);
    tdm__sampler_free(&s);
    s = sampler_make(12, 4, 5, "", true, true);
    ck_assert_uint_eq(s.steps, 3);
    tdm__sampler_free(&s);
    s = sampler_make(3, 4, 5, "", true, true);
    ck_assert_uint_eq(s.steps, 0);
    tdm__sampler_free(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tc = tcase_create("sampler");
    tcase_add_test(tc, every_epoch_covers_every_sample_once);
    tcase_add_test(tc, batches_follow_the_documented_permutation);
    tcase_add_test(tc, a_batch_does_not_depend_on_what_was_asked_before);
    tcase_add_test(tc, seed_stream_and_epoch_each_change_the_order);
    tcase_add_test(tc, without_shuffling_the_files_order_is_kept);
    tcase_add_test(tc, a_short_last_batch_can_be_dropped);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

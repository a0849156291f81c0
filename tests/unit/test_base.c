/* Tests of src/base: all but files, which are in test_base_files.c. */
#include <Random123/philox.h>
#include <errno.h>
#include <signal.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/thread.h"
#include "support/support.h"

/* error ---------------------------------------------------------------------------------------- */

START_TEST(error_names_and_codes)
{
    ck_assert_str_eq(tdm_status_name(TDM_ERR_DATA), "TDM_ERR_DATA");
    ck_assert_str_eq(tdm_status_text(TDM_ERR_DATA), "bad data");
    ck_assert_str_eq(tdm_status_name(TDM_STATUS_COUNT), "TDM_?");
    ck_assert_str_eq(tdm_status_name((tdm_status)-1), "TDM_?");
    ck_assert_int_eq(tdm_status_exit_code(TDM_OK), 0);
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_CONFIG), 2);
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_NOMEM), 6);
    ck_assert_int_eq(tdm_status_exit_code(TDM_ERR_TERMINATED), 143);
}
END_TEST

START_TEST(error_chain)
{
    tdm_status s = tdm__fail(TDM_ERR_DATA, "label %d is negative", -3);
    s = tdm__hint(s, "%s", "use ignore_index");
    s = tdm__context(s, "row %d", 7);
    s = tdm__context(s, "train.h5");
    ck_assert_int_eq(s, TDM_ERR_DATA);
    ck_assert_str_eq(tdm_last_error(),
                     "train.h5: row 7: label -3 is negative (hint: use ignore_index)");
    tdm__fail(TDM_ERR_IO, "again: %s", tdm_last_error()); /* its own text as an argument */
    support_message_has("again: train.h5: row 7");
}
END_TEST

START_TEST(error_long_text_is_whole)
{
    char long_text[20000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    tdm_status s = tdm__fail(TDM_ERR_DATA, "%s|end", long_text);
    tdm__context(s, "start");
    ck_assert_uint_eq(strlen(tdm_last_error()), sizeof long_text - 1 + 4 + 7);
    ck_assert(tdm__starts_with(tdm_last_error(), "start: xxx"));
    ck_assert(tdm__ends_with(tdm_last_error(), "x|end"));
}
END_TEST

START_TEST(error_errno)
{
    errno = ENOSPC;
    tdm__fail_errno(TDM_ERR_IO, "%s: cannot write", "a.h5");
    ck_assert_str_eq(tdm_last_error(), "a.h5: cannot write: No space left on device (errno 28)");
    ck_assert_int_eq(errno, ENOSPC);
}
END_TEST

static void *fail_in_thread(void *arg)
{
    ck_assert_str_eq(tdm_last_error(), "");
    tdm__error_take(arg, tdm__fail(TDM_ERR_DEVICE, "from the worker"));
    return NULL;
}

START_TEST(error_between_threads)
{
    tdm__error carried = {0};
    tdm__thread t = {0};
    tdm__fail(TDM_ERR_IO, "mine");
    support_ok(tdm__thread_start(&t, fail_in_thread, &carried, "a name longer than the limit"));
    tdm__thread_join(&t);
    tdm__thread_join(&t); /* again is fine */
    ck_assert_str_eq(tdm_last_error(), "mine");
    ck_assert_int_eq(tdm__error_give(&carried), TDM_ERR_DEVICE);
    ck_assert_str_eq(tdm_last_error(), "from the worker");
    tdm__error_take(&carried, TDM_OK);
    ck_assert_int_eq(tdm__error_give(&carried), TDM_OK);
    tdm__error_clear(&carried);
}
END_TEST

typedef struct log_seen {
    int count;
    tdm_log_level level;
    char line[64];
} log_seen;

static void log_receive(void *user, tdm_log_level level, const char *line)
{
    log_seen *seen = user;
    seen->count++;
    seen->level = level;
    snprintf(seen->line, sizeof seen->line, "%s", line);
    tdm__log(TDM_LOG_ERROR, "a receiver that logs must not recurse");
}

START_TEST(log_levels)
{
    log_seen seen = {0};
    tdm_set_log(log_receive, &seen, TDM_LOG_WARN);
    tdm__log(TDM_LOG_INFO, "dropped");
    ck_assert_int_eq(seen.count, 0);
    tdm__log(TDM_LOG_WARN, "kept %d", 1);
    ck_assert_int_eq(seen.count, 1);
    ck_assert_int_eq(seen.level, TDM_LOG_WARN);
    ck_assert_str_eq(seen.line, "kept 1");
    tdm_set_log(NULL, NULL, TDM_LOG_INFO);
    tdm__log(TDM_LOG_ERROR, "nobody listens");
    ck_assert_int_eq(seen.count, 1);
}
END_TEST

/* mem ------------------------------------------------------------------------------------------ */

START_TEST(mem_checked_sizes)
{
    uint64_t v;
    ck_assert(tdm__mul_u64(1u << 31, 1u << 31, &v));
    ck_assert_uint_eq(v, (uint64_t)1 << 62);
    ck_assert(!tdm__mul_u64((uint64_t)1 << 32, (uint64_t)1 << 32, &v));
    ck_assert(tdm__add_u64(UINT64_MAX - 1, 1, &v));
    ck_assert(!tdm__add_u64(UINT64_MAX, 1, &v));
    ck_assert_ptr_null(tdm__calloc(SIZE_MAX, 2));
    void *p = &v;
    support_fails(tdm__calloc_try(SIZE_MAX, 16, &p), TDM_ERR_NOMEM, "18446744073709551615 x 16");
    ck_assert_ptr_null(p);
    support_fails(tdm__aligned_try(SIZE_MAX, 1, &p), TDM_ERR_NOMEM, "out of memory");
    p = tdm__calloc(0, 8);
    ck_assert_ptr_nonnull(p);
    free(p);
}
END_TEST

START_TEST(mem_grow)
{
    int *array = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        support_ok(tdm__grow(&array, &capacity, i + 1, sizeof *array));
        ck_assert_int_eq(array[i], 0);
        array[i] = (int)i;
    }
    for (size_t i = 0; i < 1000; i++) ck_assert_int_eq(array[i], (int)i);
    size_t before = capacity;
    support_fails(tdm__grow(&array, &capacity, SIZE_MAX / 2, sizeof *array), TDM_ERR_NOMEM,
                  "memory");
    ck_assert_uint_eq(capacity, before);
    ck_assert_int_eq(array[999], 999);
    free(array);
}
END_TEST

START_TEST(mem_aligned)
{
    for (size_t n = 0; n < 200; n += 13) {
        unsigned char *p;
        support_ok(tdm__aligned_try(n, 3, &p));
        ck_assert_uint_eq((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < n * 3; i++) ck_assert_uint_eq(p[i], 0);
        free(p);
    }
}
END_TEST

START_TEST(mem_injected_failure)
{
    void *p;
    tdm__mem_fail_after(2);
    p = tdm__calloc(1, 1);
    ck_assert_ptr_nonnull(p);
    free(p);
    ck_assert_ptr_null(tdm__strdup("second"));
    p = tdm__strdup("third"); /* once only */
    ck_assert_str_eq(p, "third");
    free(p);
    tdm__mem_fail_after(1);
    tdm__str s = {0};
    tdm__str_add(&s, "lost");
    tdm__str_add(&s, "lost too: the failure is sticky");
    ck_assert_str_eq(tdm__str_text(&s), "");
    support_fails(tdm__str_status(&s), TDM_ERR_NOMEM, "memory");
    tdm__str_free(&s);
    tdm__mem_fail_after(0);
}
END_TEST

/* str ------------------------------------------------------------------------------------------ */

START_TEST(str_grows)
{
    tdm__str s = {0};
    ck_assert_str_eq(tdm__str_text(&s), "");
    for (int i = 0; i < 300; i++) tdm__str_addf(&s, "%d,", i);
    ck_assert(tdm__starts_with(s.text, "0,1,2,"));
    ck_assert(tdm__ends_with(s.text, ",298,299,"));
    ck_assert_uint_eq(s.length, strlen(s.text));
    tdm__str_addf(&s, "%0500d", 7); /* longer than the stack buffer */
    ck_assert(tdm__ends_with(s.text, "0007"));
    tdm__str_addn(&s, "\0x", 2);
    ck_assert_uint_eq(s.length, strlen(s.text) + 2);
    support_ok(tdm__str_status(&s));
    tdm__str_free(&s);
    ck_assert_ptr_null(s.text);
}
END_TEST

START_TEST(str_matching)
{
    ck_assert(tdm__streq(NULL, NULL) && tdm__streq("a", "a"));
    ck_assert(!tdm__streq("a", NULL) && !tdm__streq(NULL, "a") && !tdm__streq("a", "b"));
    ck_assert(tdm__ends_with("ab", "") && !tdm__ends_with("b", "ab"));
    ck_assert(tdm__contains_nocase("Portable Computing", "COMPUT"));
    ck_assert(tdm__glob("encoder.*", "encoder.conv1.weight"));
    ck_assert(tdm__glob("*.conv?.w*", "encoder.conv1.weight"));
    ck_assert(tdm__glob("conv[1-3]", "conv2") && !tdm__glob("conv[1-3]", "conv4"));
    ck_assert(!tdm__glob("encoder", "encoder.conv1"));
    ck_assert(tdm__glob("*", "") && tdm__glob(".*", ".a"));
}
END_TEST

START_TEST(str_numbers)
{
    int64_t i;
    double d;
    bool b;
    static const struct {
        const char *text;
        uint64_t bytes;
    } sizes[] = {{"4096", 4096},         {"2K", 2048},       {"512MiB", 512u << 20},
                 {"1.5 GB", 3ull << 29}, {"1T", 1ull << 40}, {"7B", 7}};
    static const char *const bad_sizes[] = {"",       "K",   "-1",       "1Q", "1KiBx",
                                            "1.2.3M", "1e9", "9999999T", "1Ki"};
    uint64_t bytes;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        ck_assert_msg(tdm__parse_bytes(sizes[k].text, &bytes) && bytes == sizes[k].bytes, "%s",
                      sizes[k].text);
    for (size_t k = 0; k < sizeof bad_sizes / sizeof *bad_sizes; k++)
        ck_assert_msg(!tdm__parse_bytes(bad_sizes[k], &bytes), "%s", bad_sizes[k]);
    ck_assert(tdm__parse_i64("-42", &i) && i == -42);
    ck_assert(tdm__parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    const char *bad_ints[] = {"",     " 1",  "1 ", "1.0",  "9223372036854775808",
                              "0x10", "1e3", "-",  "1_000"};
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        ck_assert_msg(!tdm__parse_i64(bad_ints[k], &i), "%s", bad_ints[k]);
    ck_assert(tdm__parse_f64("1e-3", &d) && d == 1e-3);
    ck_assert(tdm__parse_f64("-inf", &d) && isinf(d));
    ck_assert(tdm__parse_f64("nan", &d) && isnan(d));
    ck_assert(tdm__parse_f64("1e999", &d) && isinf(d));
    const char *bad_floats[] = {"", " 1", "1 ", "1,5", "0x1p3", "nan(1)", "e5", "1.5f", "--1"};
    for (size_t k = 0; k < sizeof bad_floats / sizeof *bad_floats; k++)
        ck_assert_msg(!tdm__parse_f64(bad_floats[k], &d), "%s", bad_floats[k]);
    ck_assert(tdm__parse_bool("Yes", &b) && b);
    ck_assert(tdm__parse_bool("off", &b) && !b);
    ck_assert(!tdm__parse_bool("2", &b) && !tdm__parse_bool("", &b));
}
END_TEST

static void f64_round_trip(double value, const char *expected)
{
    char text[TDM__F64_TEXT];
    double back;
    tdm__f64_text(value, text);
    if (expected) ck_assert_str_eq(text, expected);
    ck_assert(tdm__parse_f64(text, &back));
    ck_assert_msg(memcmp(&back, &value, sizeof back) == 0, "%s", text);
}

START_TEST(str_floats_round_trip)
{
    f64_round_trip(0.1, "0.1");
    f64_round_trip(-0.0, "-0");
    f64_round_trip(1e-4, "0.0001");
    f64_round_trip(INFINITY, "inf");
    f64_round_trip(100, "100");
    f64_round_trip(1e20, "1e+20");
    f64_round_trip(5e-324, NULL);
    f64_round_trip(1.7976931348623157e308, "1.7976931348623157e+308");
    tdm__rng r = tdm__rng_make(1, 2);
    for (int i = 0; i < 2000; i++) {
        uint64_t bits = (uint64_t)tdm__rng_u32(&r) << 32 | tdm__rng_u32(&r);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isnan(value)) f64_round_trip(value, NULL);
    }
}
END_TEST

static const char *word_at(const void *words, size_t i)
{
    return ((const char *const *)words)[i];
}

/* The message lists what there is, with an end, and the nearest name whether it is listed or not.
 */
START_TEST(str_unknown_names)
{
    static const char *const few[] = {"images", "masks"};
    const char *many[25];
    char texts[25][8], longest[600];
    for (int i = 0; i < 25; i++) {
        snprintf(texts[i], sizeof texts[i], "set%c", 'a' + i);
        many[i] = i == 24 ? "labels" : texts[i];
    }
    support_fails(tdm__fail_unknown(TDM_ERR_DATA, "image", few, word_at, 2, "%s: it has", "x.h5"),
                  TDM_ERR_DATA, "x.h5: it has images, masks (hint: did you mean 'images'?)");
    support_fails(tdm__fail_unknown(TDM_ERR_USAGE, "image", NULL, word_at, 0, "there is"),
                  TDM_ERR_USAGE, "there is none");
    ck_assert_ptr_null(strstr(tdm_last_error(), "hint"));
    support_fails(tdm__fail_unknown(TDM_ERR_DATA, "lables", many, word_at, 25, "one of"),
                  TDM_ERR_DATA, "one of seta, setb");
    support_message_has("sett and 5 more (hint: did you mean 'labels'?)");
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    support_fails(tdm__fail_unknown(TDM_ERR_DATA, "y", few, word_at, 1, "%s: it has", longest),
                  TDM_ERR_DATA, "xxx: it has images");
}
END_TEST

START_TEST(str_suggestions)
{
    const char *keys[] = {"optim.lr", "optim.momentum", "optim.weight_decay", "data.path"};
    ck_assert_str_eq(tdm__suggest("optim.momentun", keys, 4), "optim.momentum");
    ck_assert_str_eq(tdm__suggest("OPTIM.LR", keys, 4), "optim.lr");
    ck_assert_str_eq(tdm__suggest("optim.rl", keys, 4), "optim.lr");
    ck_assert_str_eq(tdm__suggest("data.paht", keys, 4), "data.path");
    ck_assert_ptr_null(tdm__suggest("colour", keys, 4));
    ck_assert_ptr_null(tdm__suggest("", keys, 4));
    ck_assert_ptr_null(tdm__suggest("x", NULL, 0));
    char long_word[1000];
    memset(long_word, 'a', 999);
    long_word[999] = 0;
    const char *long_keys[] = {long_word};
    ck_assert_ptr_null(tdm__suggest(long_word, long_keys, 1));
    ck_assert_ptr_null(tdm__suggest("optim.lr", long_keys, 1));
}
END_TEST

/* rng ------------------------------------------------------------------------------------------ */

START_TEST(rng_matches_random123)
{
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 5000; i++) {
        uint64_t v[3];
        for (int k = 0; k < 3; k++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            v[k] = i == 0 ? 0 : i == 1 ? UINT64_MAX : x;
        }
        philox4x32_ctr_t c = {
            {(uint32_t)v[2], (uint32_t)(v[2] >> 32), (uint32_t)v[1], (uint32_t)(v[1] >> 32)}};
        philox4x32_key_t k = {{(uint32_t)v[0], (uint32_t)(v[0] >> 32)}};
        philox4x32_ctr_t expected = philox4x32(c, k);
        uint32_t got[4];
        tdm__philox(v[0], v[1], v[2], got);
        ck_assert_mem_eq(got, expected.v, sizeof got);
    }
}
END_TEST

START_TEST(rng_known_vector)
{
    /* Random123's kat_vectors: counter and key zero */
    uint32_t v[4];
    tdm__philox(0, 0, 0, v);
    ck_assert_uint_eq(v[0], 0x6627e8d5);
    ck_assert_uint_eq(v[1], 0xe169c58d);
    ck_assert_uint_eq(v[2], 0xbc57ac4c);
    ck_assert_uint_eq(v[3], 0x9b00dbd8);
}
END_TEST

START_TEST(rng_cursor)
{
    tdm__rng r = tdm__rng_make(7, 9);
    for (uint64_t block = 0; block < 3; block++) {
        uint32_t expected[4];
        tdm__philox(7, 9, block, expected);
        for (int i = 0; i < 4; i++) ck_assert_uint_eq(tdm__rng_u32(&r), expected[i]);
    }
    tdm__rng copy = r;
    ck_assert_uint_eq(tdm__rng_u32(&r), tdm__rng_u32(&copy));
}
END_TEST

START_TEST(rng_distributions)
{
    enum { N = 40000 };
    tdm__rng r = tdm__rng_make(3, 4);
    double sum = 0, normal_sum = 0, normal_squares = 0;
    int counts[7] = {0};
    for (int i = 0; i < N; i++) {
        double u = tdm__rng_uniform(&r), z = tdm__rng_normal(&r);
        ck_assert(u >= 0 && u < 1 && u == (double)(float)u);
        ck_assert(isfinite(z));
        sum += u, normal_sum += z, normal_squares += z * z;
        counts[tdm__rng_below(&r, 7)]++;
    }
    ck_assert_double_eq_tol(sum / N, 0.5, 0.01);
    ck_assert_double_eq_tol(normal_sum / N, 0, 0.03);
    ck_assert_double_eq_tol(normal_squares / N, 1, 0.03);
    for (int i = 0; i < 7; i++) ck_assert_double_eq_tol(counts[i], N / 7.0, 300);
    uint64_t big = ((uint64_t)1 << 63) + 12345, seen = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t v = tdm__rng_below(&r, big);
        ck_assert(v < big);
        if (v > seen) seen = v;
        ck_assert_uint_eq(tdm__rng_below(&r, 1), 0);
    }
    ck_assert(seen > big / 2);
}
END_TEST

START_TEST(rng_permutes)
{
    enum { N = 1000 };
    uint64_t a[N], b[N];
    bool seen[N] = {false};
    tdm__rng r = tdm__rng_make(1, 1), same = r;
    tdm__rng_permutation(&r, a, N);
    tdm__rng_permutation(&same, b, N);
    ck_assert_mem_eq(a, b, sizeof a);
    size_t fixed = 0;
    for (size_t i = 0; i < N; i++) {
        ck_assert(a[i] < N && !seen[a[i]]);
        seen[a[i]] = true;
        fixed += a[i] == i;
    }
    ck_assert_uint_lt(fixed, 10);
    tdm__rng_permutation(&r, a, 0);
    tdm__rng_permutation(&r, a, 1);
    ck_assert_uint_eq(a[0], 0);
}
END_TEST

START_TEST(rng_streams_differ)
{
    uint64_t s = tdm__rng_stream("dropout", 1, 2);
    ck_assert_uint_eq(s, tdm__rng_stream("dropout", 1, 2));
    ck_assert_uint_ne(s, tdm__rng_stream("dropout", 2, 1));
    ck_assert_uint_ne(s, tdm__rng_stream("dropout", 1, 3));
    ck_assert_uint_ne(s, tdm__rng_stream("shuffle", 1, 2));
}
END_TEST

/* hash ----------------------------------------------------------------------------------------- */

START_TEST(hash_known_and_streamed)
{
    char hex[TDM__HASH_HEX], streamed[TDM__HASH_HEX];
    tdm__hash_bytes_hex("", 0, hex);
    ck_assert_str_eq(hex, "99aa06d3014798d86001c324468d497f"); /* XXH3 128 of nothing, xxhsum -H2 */
    char bytes[5000];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 31);
    tdm__hash_bytes_hex(bytes, sizeof bytes, hex);
    tdm__hash *h = NULL;
    support_ok(tdm__hash_create(&h));
    for (size_t i = 0, n = 1; i < sizeof bytes; i += n, n = n * 2 + 1)
        tdm__hash_add(h, bytes + i, i + n > sizeof bytes ? sizeof bytes - i : n);
    tdm__hash_hex(h, streamed);
    ck_assert_str_eq(hex, streamed);
    tdm__hash_destroy(&h);
    tdm__hash_destroy(&h);
    ck_assert_ptr_null(h);
    ck_assert_uint_ne(tdm__hash64("a", 1), tdm__hash64("b", 1));

    char *folder = support_temp_create(), *path = support_path(folder, "x");
    support_write(path, bytes, sizeof bytes);
    support_ok(tdm__hash_file_hex(path, streamed));
    ck_assert_str_eq(hex, streamed);
    support_fails(tdm__hash_file_hex(folder, streamed), TDM_ERR_IO, "Is a directory");
    support_temp_remove(folder);
    support_fails(tdm__hash_file_hex(path, streamed), TDM_ERR_DATA, "No such file");
    free(path);
}
END_TEST

START_TEST(hash_texts_are_separate)
{
    char a[TDM__HASH_HEX], b[TDM__HASH_HEX];
    tdm__hash *h = NULL;
    support_ok(tdm__hash_create(&h));
    tdm__hash_add_text(h, "ab"), tdm__hash_add_text(h, "c");
    tdm__hash_hex(h, a);
    tdm__hash_destroy(&h);
    support_ok(tdm__hash_create(&h));
    tdm__hash_add_text(h, "a"), tdm__hash_add_text(h, "bc");
    tdm__hash_hex(h, b);
    tdm__hash_destroy(&h);
    ck_assert_str_ne(a, b);
}
END_TEST

/* thread, clock -------------------------------------------------------------------------------- */

typedef struct counter {
    tdm__mutex mutex;
    tdm__cond cond;
    int value;
} counter;

static void *count_up(void *arg)
{
    counter *c = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int i = 0; i < 1000; i++) {
        tdm__mutex_lock(&c->mutex);
        c->value += sigismember(&mask, SIGINT);
        tdm__cond_signal(&c->cond);
        tdm__mutex_unlock(&c->mutex);
    }
    return NULL;
}

START_TEST(thread_counts)
{
    counter c = {0};
    tdm__thread threads[3] = {0};
    tdm__mutex_destroy(&c.mutex);
    support_ok(tdm__mutex_init(&c.mutex));
    support_ok(tdm__cond_init(&c.cond));
    for (int i = 0; i < 3; i++) support_ok(tdm__thread_start(&threads[i], count_up, &c, "count"));
    tdm__mutex_lock(&c.mutex);
    while (c.value < 3000) tdm__cond_wait(&c.cond, &c.mutex);
    double start = tdm__now();
    ck_assert(!tdm__cond_wait_for(&c.cond, &c.mutex, 0.02) || tdm__now() - start < 0.02);
    ck_assert(!tdm__cond_wait_for(&c.cond, &c.mutex, -1));
    tdm__mutex_unlock(&c.mutex);
    for (int i = 0; i < 3; i++) tdm__thread_join(&threads[i]);
    sigset_t mask; /* the starter's own mask is untouched */
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    ck_assert_int_eq(sigismember(&mask, SIGINT), 0);
    tdm__cond_destroy(&c.cond);
    tdm__mutex_destroy(&c.mutex);
}
END_TEST

START_TEST(clock_works)
{
    char text[32], small[4];
    tdm__time_text(1769862896.7, text, sizeof text);
    ck_assert_str_eq(text, "2026-01-31T12:34:56Z");
    tdm__time_text(0, small, sizeof small);
    ck_assert_str_eq(small, "");
    double start = tdm__now();
    tdm__sleep(0.01);
    tdm__sleep(-1);
    ck_assert(tdm__now() - start >= 0.01);
    ck_assert(tdm__cpu_time() > 0 && tdm__wall() > 1.7e9);
    ck_assert_uint_gt(tdm__peak_rss(), 1 << 19);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *plain = tcase_create("plain");
    tcase_add_test(plain, error_names_and_codes);
    tcase_add_test(plain, error_chain);
    tcase_add_test(plain, error_long_text_is_whole);
    tcase_add_test(plain, error_errno);
    tcase_add_test(plain, error_between_threads);
    tcase_add_test(plain, log_levels);
    tcase_add_test(plain, mem_checked_sizes);
    tcase_add_test(plain, mem_grow);
    tcase_add_test(plain, mem_aligned);
    tcase_add_test(plain, mem_injected_failure);
    tcase_add_test(plain, str_grows);
    tcase_add_test(plain, str_matching);
    tcase_add_test(plain, str_numbers);
    tcase_add_test(plain, str_floats_round_trip);
    tcase_add_test(plain, str_suggestions);
    tcase_add_test(plain, str_unknown_names);
    tcase_add_test(plain, rng_matches_random123);
    tcase_add_test(plain, rng_known_vector);
    tcase_add_test(plain, rng_cursor);
    tcase_add_test(plain, rng_distributions);
    tcase_add_test(plain, rng_permutes);
    tcase_add_test(plain, rng_streams_differ);
    tcase_add_test(plain, hash_known_and_streamed);
    tcase_add_test(plain, hash_texts_are_separate);
    tcase_add_test(plain, thread_counts);
    tcase_add_test(plain, clock_works);
    suite_add_tcase(suite, plain);
    return support_run(suite);
}

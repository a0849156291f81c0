/* Which samples of a data set have wanted classes: data.where. */
#include <stdlib.h>
#include <string.h>
#include <tandem/loader.h>

#include "format/hdf5.h"
#include "support/support.h"

enum { ROWS = 9000, ALPHABETS = 7, DRAWERS = 3 };

static char *folder;

static int alphabet_of(uint64_t row)
{
    return (int)(row * row % ALPHABETS);
}

static int drawer_of(uint64_t row)
{
    return (int)(row / 5 % DRAWERS);
}

/* folder/name: images (1, 1, 1) u8, alphabet (classes known), drawer (classes not known). */
static void write_set(const char *name)
{
    const tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1), i64 = tdm__elem_host(TDM__ELEM_INT, 8);
    const tdm__h5_spec specs[3] = {{.name = "images", .elem = u8, .rank = 3, .dims = {1, 1, 1}},
                                   {.name = "alphabet", .elem = u8},
                                   {.name = "drawer", .elem = i64}};
    tdm__h5_writer *w = NULL;
    size_t sets[3];
    char *path = support_path(folder, name);
    support_ok(tdm__h5_writer_create(path, &w));
    for (int i = 0; i < 3; i++) {
        support_ok(tdm__h5_writer_add(w, &specs[i], &sets[i]));
        support_ok(tdm__h5_writer_text(w, sets[i], "kind", i ? "class" : "image"));
    }
    support_ok(tdm__h5_writer_number(w, sets[1], "classes", ALPHABETS));
    for (uint64_t row = 0; row < ROWS; row++) {
        uint8_t pixel = (uint8_t)(row % 251), alphabet = (uint8_t)alphabet_of(row);
        int64_t drawer = drawer_of(row);
        support_ok(tdm__h5_writer_append(w, sets[0], &pixel, 1));
        support_ok(tdm__h5_writer_append(w, sets[1], &alphabet, 1));
        support_ok(tdm__h5_writer_append(w, sets[2], &drawer, 1));
    }
    support_ok(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
    free(path);
}

static void setup(void)
{
    folder = support_temp_create();
    write_set("train.h5");
    write_set("test.h5");
}

static void teardown(void)
{
    support_temp_remove(folder);
}

static const int64_t two_and_four[] = {4, 2}, last[] = {2}, none_there[] = {3}, bad[] = {0, 7},
                     negative[] = {-1};

static tdm_split_spec spec_of(const char *array, const int64_t *values, size_t n)
{
    return (tdm_split_spec){.path = folder, .where = {{array, values, n}}, .n_where = 1};
}

static bool has_both(uint64_t row)
{
    int alphabet = alphabet_of(row);
    return (alphabet == 2 || alphabet == 4) && drawer_of(row) == 2;
}

/* All of several conditions, in every split; rows ascending and complete. */
START_TEST(conditions_choose_rows)
{
    static const char *const names[] = {"train", "test"};
    tdm_split_spec spec = spec_of("alphabet", two_and_four, 2);
    spec.where[1] = (tdm_split_where){"drawer", last, 1};
    spec.n_where = 2;
    for (int i = 0; i < 2; i++) {
        tdm_split *split = NULL;
        uint64_t at = 0;
        support_ok(tdm_split_open(&spec, names[i], &split));
        for (uint64_t row = 0; row < ROWS; row++)
            if (has_both(row)) ck_assert_uint_eq(tdm_split_row(split, at++), row);
        ck_assert_uint_eq(tdm_split_length(split), at);
        ck_assert_uint_gt(at, 100);
        tdm_split_destroy(&split);
    }
}
END_TEST

/* val is drawn from what is kept, num_samples from what is then left: disjoint, all kept. */
START_TEST(drawing_comes_after)
{
    tdm_split_spec spec = spec_of("alphabet", two_and_four, 2);
    static char seen[ROWS];
    uint64_t lengths[2], kept = 0;
    static const char *const names[] = {"train", "val"};
    for (uint64_t row = 0; row < ROWS; row++)
        kept += alphabet_of(row) == 2 || alphabet_of(row) == 4;
    spec.val_fraction = 0.25;
    memset(seen, 0, sizeof seen);
    for (int pass = 0; pass < 2; pass++) {
        spec.num_samples = pass ? 50 : 0;
        for (int i = 0; i < 2; i++) {
            tdm_split *split = NULL;
            support_ok(tdm_split_open(&spec, names[i], &split));
            lengths[i] = tdm_split_length(split);
            for (uint64_t k = 0; k < lengths[i]; k++) {
                uint64_t row = tdm_split_row(split, k);
                ck_assert(alphabet_of(row) == 2 || alphabet_of(row) == 4);
                if (k) ck_assert_uint_gt(row, tdm_split_row(split, k - 1));
                ck_assert_int_eq(seen[row], pass ? 1 + i : 0); /* the same part as before */
                if (!pass) seen[row] = (char)(1 + i);
            }
            tdm_split_destroy(&split);
        }
        ck_assert_uint_eq(lengths[1], (kept + 2) / 4);
        ck_assert_uint_eq(lengths[0], pass ? 50 : kept - lengths[1]);
    }
    spec.num_samples = kept;
    tdm_split *split = NULL;
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "data.num_samples");
}
END_TEST

START_TEST(refuses)
{
    tdm_split *split = NULL;
    tdm_split_spec spec = spec_of("alphabets", last, 1);
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG, "data.where.alphabets: ");
    support_message_has("did you mean 'alphabet'");
    spec = spec_of("images", last, 1);
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG,
                  "data.where.images: is of kind image: must be of classes");
    spec = spec_of("alphabet", bad, 2);
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_CONFIG,
                  "data.where.alphabet: 7 is no class of it: must be in 0..6");
    spec = spec_of("alphabet", negative, 1);
    support_fails(tdm_split_open(&spec, "test", &split), TDM_ERR_CONFIG, "-1 is no class of it");
    spec = spec_of("alphabet", last, 0);
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG,
                  "data.where.alphabet: must have one class at least");
    spec = spec_of("drawer", none_there, 1);
    support_fails(tdm_split_open(&spec, "train", &split), TDM_ERR_CONFIG,
                  "data.where: no sample of ");
    ck_assert_ptr_null(split);
}
END_TEST

static tdm_config *config_of(const char *const *assignments)
{
    static const tdm_opt_table *const tables[] = {&tdm_data_options};
    tdm_config *config = NULL;
    support_ok(tdm_config_create(tables, 1, &config));
    for (; *assignments; assignments++)
        support_ok(tdm_config_assign(config, *assignments, "--set"));
    support_ok(tdm_config_resolve(config));
    return config;
}

START_TEST(keys)
{
    tdm_split_spec spec;
    tdm_config *config = config_of((const char *const[]){
        "data.path=x", "data.where.alphabet=[1,30,4]", "data.where.drawer=0", NULL});
    char *text = NULL;
    support_ok(tdm_split_spec_read(config, &spec));
    ck_assert_uint_eq(spec.n_where, 2);
    ck_assert_str_eq(spec.where[0].array, "alphabet");
    ck_assert_uint_eq(spec.where[0].n_values, 3);
    ck_assert_int_eq(spec.where[0].values[1], 30);
    ck_assert_str_eq(spec.where[1].array, "drawer");
    ck_assert_uint_eq(spec.where[1].n_values, 1);
    support_ok(tdm_config_dump(config, false, &text)); /* a run records them */
    ck_assert_ptr_nonnull(strstr(text, "alphabet: [1, 30, 4]"));
    free(text);
    tdm_config_destroy(&config);
    config = config_of((const char *const[]){"data.path=x", "data.where.a=0", "data.where.b=0",
                                             "data.where.c=0", "data.where.d=0", "data.where.e=0",
                                             "data.where.f=0", "data.where.g=0", "data.where.h=0",
                                             "data.where.i=0", NULL});
    support_fails(tdm_split_spec_read(config, &spec), TDM_ERR_CONFIG,
                  "data.where.i = [0]: at most 8 arrays can be named");
    tdm_config_destroy(&config);
    config = config_of((const char *const[]){"data.path=x", NULL});
    support_ok(tdm_split_spec_read(config, &spec));
    ck_assert_uint_eq(spec.n_where, 0);
    tdm_config_destroy(&config);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("where");
    TCase *tc = tcase_create("where");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, conditions_choose_rows);
    tcase_add_test(tc, drawing_comes_after);
    tcase_add_test(tc, refuses);
    tcase_add_test(tc, keys);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

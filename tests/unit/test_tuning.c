/* Tuning files and the choice of algorithms: reading, what does not count and its single warning,
 * and that a choice changes which kernels run and nothing else does. */
#include <stdlib.h>
#include <string.h>

#include <tandem/train.h>

#include "base/str.h"
#include "ops/registry.h"
#include "support/support.h"
#include "train/chooser.h"

#define CONV_KEY                                                                                   \
    "conv2d|cpu|f32[2,9,9,16],f32[3,3,16,16]|kernel=3,3 stride=0,0 padding=1,1 dilation=0,0 "      \
    "groups=1 output_padding=0,0"
#define DENSE_KEY "dense|cpu|f32[2,4],f32[4,3]|"

static tdm_device *device;
static tdm__tuning *tuning;
static char *folder, *old_cache;
static char warnings[4096];
static int n_warnings;

static void keep_warning(void *user, tdm_log_level level, const char *line)
{
    (void)user, (void)level;
    n_warnings++;
    snprintf(warnings + strlen(warnings), sizeof warnings - strlen(warnings), "%s\n", line);
}

/* The cache folder of these tests holds no tuning file but theirs. */
static void setup(void)
{
    const char *cache = getenv("TANDEM_CACHE_DIR");
    folder = support_temp_create();
    old_cache = cache ? strdup(cache) : NULL;
    setenv("TANDEM_CACHE_DIR", folder, 1);
    support_ok(tdm_device_open(&(tdm_device_spec){.style = TDM_STYLE_CPU}, &device));
    warnings[0] = 0;
    n_warnings = 0;
    tdm_set_log(keep_warning, NULL, TDM_LOG_WARN);
}

static void teardown(void)
{
    tdm_set_log(NULL, NULL, TDM_LOG_ERROR);
    tdm__tuning_destroy(&tuning);
    tdm_device_destroy(&device);
    support_temp_remove(folder);
    if (old_cache) setenv("TANDEM_CACHE_DIR", old_cache, 1);
    free(old_cache);
}

/* A tuning of this device with one choice, as the cache folder's file. free() the path. */
static char *write_choice(const char *key, const char *algorithm)
{
    char *path;
    support_ok(tdm__tuning_path(device, &path));
    support_ok(tdm__tuning_create(device, &tuning));
    support_ok(tdm__tuning_set(tuning, key, algorithm, &algorithm, &(double){0.123456}, 1));
    support_ok(tdm__tuning_write(tuning, path));
    tdm__tuning_destroy(&tuning);
    return path;
}

static tdm_config *config_of(const char *const *assignments, size_t n)
{
    static const tdm_opt_table *const tables[] = {&tdm__tune_options};
    tdm_config *config;
    support_ok(tdm_config_create(tables, 1, &config));
    for (size_t i = 0; i < n; i++) support_ok(tdm_config_assign(config, assignments[i], "--set"));
    support_ok(tdm_config_resolve(config));
    return config;
}

/* What a chooser opened with this assignment (NULL: none) says about a convolution. */
static const char *choice_with(const char *assignment, const char *key, char source[256])
{
    tdm__chooser c;
    const tdm_op *op = tdm__op_find(tdm__starts_with(key, "dense|") ? "dense" : "conv2d");
    tdm_config *config = config_of(&assignment, assignment != NULL);
    support_ok(tdm__chooser_open(config, device, &c));
    const char *name = tdm__chooser_choose(&c, key, op, NULL);
    /* the name belongs to the chooser: the descriptor's own outlives it */
    const char *kept = NULL;
    for (int i = 0; name && i < op->n_variants; i++)
        if (!strcmp(op->variants[i].name, name)) kept = op->variants[i].name;
    if (source) snprintf(source, 256, "%s", c.source);
    tdm__chooser_close(&c);
    tdm_config_destroy(&config);
    return kept;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

START_TEST(files_are_read_back)
{
    const char *const names[] = {"winograd", "implicit"};
    char before[33], after[33], *text;
    support_ok(tdm__tuning_create(device, &tuning));
    ck_assert_uint_eq(tdm__tuning_count(tuning), 0);
    support_ok(tdm__tuning_set(tuning, CONV_KEY, "winograd", names, (double[]){1.25, 3.5}, 2));
    support_ok(tdm__tuning_set(tuning, DENSE_KEY, "tiles", names, NULL, 0));
    support_ok(tdm__tuning_set(tuning, CONV_KEY, "implicit", names, (double[]){2, 1.0 / 3}, 2));
    ck_assert_uint_eq(tdm__tuning_count(tuning), 2);
    ck_assert_str_eq(tdm__tuning_find(tuning, CONV_KEY), "implicit");
    ck_assert_ptr_null(tdm__tuning_find(tuning, "conv2d|cpu||"));
    support_ok(tdm__tuning_hash(tuning, before));
    support_ok(tdm__tuning_text(tuning, &text));
    ck_assert_ptr_nonnull(strstr(text, "0.3333"));
    tdm__tuning_destroy(&tuning);
    support_ok(tdm__tuning_parse(text, strlen(text), "text", &tuning));
    free(text);
    support_ok(tdm__tuning_check(tuning, device));
    support_ok(tdm__tuning_hash(tuning, after));
    ck_assert_str_eq(before, after);
    ck_assert_str_eq(tdm__tuning_find(tuning, CONV_KEY), "implicit");
    support_ok(tdm__tuning_set(tuning, CONV_KEY, "winograd", names, NULL, 0));
    support_ok(tdm__tuning_hash(tuning, after));
    ck_assert_str_ne(before, after);
}
END_TEST

START_TEST(wrong_texts_are_refused)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "t.json:1:0"},
        {"{\"format\": ", "t.json:1:"},
        {"[]", "is no tuning file"},
        {"{\"format\": 3}", "is no tuning file"},
        {"{\"format\": \"tandem tuning 2\"}", "another format"},
        {"{\"format\": \"tandem tuning 1\", \"choices\": {}}", "lacks the device"},
        {"{\"format\": \"tandem tuning 1\", \"match\": {}, \"choices\": {}}", "match lacks"},
        {"{\"format\": \"tandem tuning 1\", \"match\": {\"platform\": \"*\", \"style\": \"cpu\", "
         "\"vector_width\": 8}}",
         "lacks choices"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        support_fails(tdm__tuning_parse(cases[i].text, strlen(cases[i].text), "t.json", &tuning),
                      TDM_ERR_DATA, cases[i].part);
        ck_assert_ptr_null(tuning);
    }
}
END_TEST

/* ---- what does not count ----------------------------------------------------------------------
 */

START_TEST(measured_choices_count)
{
    char source[256], *path = write_choice(CONV_KEY, "implicit");
    ck_assert_str_eq(choice_with(NULL, CONV_KEY, source), "implicit");
    ck_assert_str_eq(source, path);
    ck_assert_ptr_null(choice_with(NULL, DENSE_KEY, NULL));
    ck_assert_ptr_null(choice_with("tune.file=off", CONV_KEY, source));
    ck_assert_str_eq(source, "none");
    ck_assert_int_eq(n_warnings, 0);
    free(path);
}
END_TEST

START_TEST(no_file_is_no_warning)
{
    ck_assert_ptr_null(choice_with(NULL, CONV_KEY, NULL));
    ck_assert_int_eq(n_warnings, 0);
}
END_TEST

/* Replaces the first `from` in the file. */
static void edit(const char *path, const char *from, const char *to)
{
    size_t n;
    char *text = support_read(path, &n), *at = strstr(text, from);
    tdm__str edited = {0};
    ck_assert_ptr_nonnull(at);
    tdm__str_addn(&edited, text, (size_t)(at - text));
    tdm__str_addf(&edited, "%s%s", to, at + strlen(from));
    support_write_text(path, tdm__str_text(&edited));
    tdm__str_free(&edited);
    free(text);
}

static void one_warning(const char *part)
{
    warnings[0] = 0;
    n_warnings = 0;
    ck_assert_ptr_null(choice_with(NULL, CONV_KEY, NULL));
    ck_assert_msg(n_warnings == 1, "%d warnings: %s", n_warnings, warnings);
    ck_assert_msg(strstr(warnings, part) != NULL, "%s lacks: %s", warnings, part);
}

START_TEST(unusable_files_give_one_warning)
{
    size_t n;
    char *path = write_choice(CONV_KEY, "implicit"), *good = support_read(path, &n);
    char hash[64];
    ck_assert_str_eq(choice_with(NULL, CONV_KEY, NULL), "implicit");
    edit(path, tdm__device_hash(device), "00000000000000000000000000000000");
    one_warning("was measured on another device");
    support_write(path, good, n);
    support_ok(tdm__device_kernels_hash(device, hash));
    edit(path, hash, "00000000000000000000000000000000");
    one_warning("was measured with other kernels");
    support_write(path, good, n);
    edit(path, "\"algorithm\": \"implicit\"", "\"algorithm\": \"explicit\"");
    one_warning("conv2d has no algorithm 'explicit'");
    support_write(path, good, n);
    edit(path, "conv2d|", "conv9d|");
    one_warning("no operation is called 'conv9d'");
    for (size_t cut = 0; cut < n; cut += 1 + n / 13) {
        support_write(path, good, cut);
        one_warning(path);
    }
    support_write(path, good, n);
    ck_assert_str_eq(choice_with(NULL, CONV_KEY, NULL), "implicit");
    warnings[0] = 0;
    n_warnings = 0;
    ck_assert_ptr_null(choice_with("tune.file=/no/such/file.json", CONV_KEY, NULL));
    ck_assert_msg(n_warnings == 1, "%s", warnings);
    free(good);
    free(path);
}
END_TEST

/* ---- tune.force -------------------------------------------------------------------------------
 */

START_TEST(forced_choices_win)
{
    char *path = write_choice(CONV_KEY, "implicit");
    ck_assert_str_eq(choice_with("tune.force=[\"conv2d*=winograd\"]", CONV_KEY, NULL), "winograd");
    ck_assert_str_eq(
        choice_with("tune.force=[\"*=winograd\", \"conv2d=implicit\"]", CONV_KEY, NULL),
        "implicit");
    ck_assert_str_eq(choice_with("tune.force=[\"*=clblast\"]", DENSE_KEY, NULL), "clblast");
    free(path);
}
END_TEST

START_TEST(misspelt_forces_are_refused)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"tune.force=[\"conv2d\"]", "must be OPERATION=ALGORITHM"},
        {"tune.force=[\"conv2d=winogard\"]", "conv2d has no algorithm 'winogard'"},
        {"tune.force=[\"conf2d=winograd\"]", "no operation is called 'conf2d'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tdm__chooser c;
        tdm_config *config = config_of(&cases[i].text, 1);
        support_fails(tdm__chooser_open(config, device, &c), TDM_ERR_CONFIG, cases[i].part);
        tdm_config_destroy(&config);
    }
}
END_TEST

/* ---- shipped ----------------------------------------------------------------------------------
 */

START_TEST(shipped_files_are_sound)
{
    for (const tdm__embedded *e = tdm__embedded_tunings; e->name; e++) {
        support_ok(tdm__tuning_parse(e->text, e->size, e->name, &tuning));
        support_ok(tdm__chooser_check(tuning));
        ck_assert_uint_gt(tdm__tuning_count(tuning), 0);
        tdm__tuning_destroy(&tuning);
    }
}
END_TEST

/* The text of a file that is for one platform, style and width. */
static char *shipped_text(const char *platform, const char *style, unsigned width)
{
    tdm__str text = {0};
    tdm__str_addf(&text,
                  "{\"format\": \"tandem tuning 1\", \"match\": {\"platform\": \"%s\", \"style\": "
                  "\"%s\", \"vector_width\": %u}, \"choices\": {\"%s\": {\"algorithm\": "
                  "\"implicit\"}}}",
                  platform, style, width, CONV_KEY);
    support_ok(tdm__str_status(&text));
    return text.text;
}

START_TEST(shipped_files_match_by_traits)
{
    const unsigned width = tdm__device_traits(device)->vector_width;
    char *texts[] = {shipped_text("no such platform", "cpu", width),
                     shipped_text("*", "gpu", width), shipped_text("*", "cpu", width + 1),
                     shipped_text("*", "cpu", width)};
    tdm__embedded files[5] = {{"platform.json"}, {"style.json"}, {"width.json"}, {"mine.json"}};
    const char *name = NULL;
    for (int i = 0; i < 4; i++) {
        files[i].text = texts[i];
        files[i].size = strlen(texts[i]);
    }
    support_ok(tdm__tuning_pick(files, device, &tuning, &name));
    ck_assert_ptr_nonnull(tuning);
    ck_assert_str_eq(name, "mine.json");
    ck_assert_str_eq(tdm__tuning_find(tuning, CONV_KEY), "implicit");
    tdm__tuning_destroy(&tuning);
    files[3].name = NULL;
    support_ok(tdm__tuning_pick(files, device, &tuning, &name));
    ck_assert_ptr_null(tuning);
    for (int i = 0; i < 4; i++) free(texts[i]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tuning");
    TCase *c = tcase_create("tuning");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, files_are_read_back);
    tcase_add_test(c, wrong_texts_are_refused);
    tcase_add_test(c, measured_choices_count);
    tcase_add_test(c, no_file_is_no_warning);
    tcase_add_test(c, unusable_files_give_one_warning);
    tcase_add_test(c, forced_choices_win);
    tcase_add_test(c, misspelt_forces_are_refused);
    tcase_add_test(c, shipped_files_are_sound);
    tcase_add_test(c, shipped_files_match_by_traits);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

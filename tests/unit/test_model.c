/* Layers written as texts, name patterns, presets. */
#include <string.h>

#include <tandem/model.h>

#include "model/heads.h"
#include "model/presets.h"
#include "support/support.h"

static tdm__layer_spec parsed(const char *text)
{
    tdm__layer_spec s;
    support_ok(tdm__layer_parse(text, &s));
    return s;
}

START_TEST(layers_are_read)
{
    tdm__layer_spec s = parsed("conv 32 k3x5 s2 p1x2 d3 nobias");
    ck_assert_int_eq(s.kind, TDM__LAYER_CONV);
    ck_assert_int_eq(s.units, 32);
    ck_assert(s.kernel[0] == 3 && s.kernel[1] == 5 && s.stride[0] == 2 && s.stride[1] == 2);
    ck_assert(s.padding[0] == 1 && s.padding[1] == 2 && s.dilation[1] == 3 && !s.bias);
    ck_assert_int_eq(s.groups, 0);
    ck_assert_int_eq(parsed("conv 32 k3 p1 g32").groups, 32);
    s = parsed("  conv-transpose   channels k2 s2 o1 ");
    ck_assert_int_eq(s.kind, TDM__LAYER_CONV_TRANSPOSE);
    ck_assert_int_eq(s.units, TDM__UNITS_CHANNELS);
    ck_assert(s.output_padding[0] == 1 && s.bias);
    ck_assert_int_eq(parsed("dense classes").units, TDM__UNITS_CLASSES);
    ck_assert_float_eq(parsed("leaky-relu 0.25").value, 0.25f);
    ck_assert(parsed("upsample 2 bilinear").bilinear);
    ck_assert(!parsed("upsample 2 nearest").bilinear);
    ck_assert_int_eq(parsed("max-pool 3 s2").kernel[1], 3);
}
END_TEST

static const struct {
    const char *text, *message;
} wrong[] = {
    {"", "empty layer"},
    {"conf 32 k3", "did you mean 'conv'"},
    {"conv 32", "needs a kernel size"},
    {"conv k3", "needs a number"},
    {"conv 0 k3", "needs a number"},
    {"conv 32 k0", "'k0' is not understood"},
    {"conv 32 k3 s0", "'s0' is not understood"},
    {"conv 32 k3 o1", "'o1' is not understood"},
    {"conv 32 k3 g0", "'g0' is not understood"},
    {"conv 32 k3 g2x2", "'g2x2' is not understood"},
    {"conv-transpose 32 k3 g2", "'g2' is not understood"},
    {"conv 99999999999 k3", "needs a number"},
    {"conv 32 k99999", "'k99999' is not understood"},
    {"conv 32 k3x", "'k3x' is not understood"},
    {"relu 3", "'3' is not understood"},
    {"dropout 1", "needs a number"},
    {"dropout -0.1", "needs a number"},
    {"upsample 1.5", "needs a number"},
    {"dense", "needs a number"},
    {"conv 1 k1 s1 p1 d1 nobias nobias nobias nobias nobias nobias nobias", "too long"},
    {"conv-transpose-of-a-very-long-name 3 k3", "too long"},
};

START_TEST(wrong_layers_are_refused)
{
    tdm__layer_spec s;
    support_fails(tdm__layer_parse(wrong[_i].text, &s), TDM_ERR_CONFIG, wrong[_i].message);
}
END_TEST

START_TEST(patterns_match_names)
{
    ck_assert(tdm__name_matches("encoder", "encoder.0.weight"));
    ck_assert(tdm__name_matches("encoder.0", "encoder.0.weight"));
    ck_assert(tdm__name_matches("encoder.*", "encoder.12.bias"));
    ck_assert(tdm__name_matches("encoder.[0-2].*", "encoder.1.weight"));
    ck_assert(tdm__name_matches("*", "heads.class.3.bias"));
    ck_assert(!tdm__name_matches("encoder.1", "encoder.12.bias"));
    ck_assert(!tdm__name_matches("enc", "encoder.0.weight"));
    ck_assert(!tdm__name_matches("encoder.[0-2].*", "encoder.3.weight"));
    ck_assert(!tdm__name_matches("", "encoder.0.weight"));
}
END_TEST

static const tdm_opt_spec *option(const char *key)
{
    for (size_t i = 0; i < tdm_model_options.n; i++)
        if (!strcmp(tdm_model_options.specs[i].key, key)) return &tdm_model_options.specs[i];
    ck_abort_msg("no option %s", key);
    return NULL;
}

/* Whether a list of choices separated by | holds the word. */
static bool is_choice(const char *choices, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = choices; (at = strstr(at, word)); at += n)
        if ((at == choices || at[-1] == '|') && (at[n] == '|' || !at[n])) return true;
    return false;
}

static size_t count_choices(const char *choices)
{
    size_t n = 1;
    for (; *choices; choices++) n += *choices == '|';
    return n;
}

/* Every trunk can be chosen, and everything that can be chosen is one. */
START_TEST(trunks_are_the_choices)
{
    const char *choices = option("model.trunk")->choices;
    size_t n = 1; /* "layers" */
    tdm__layer_spec s;
    for (const tdm__preset *p = tdm__presets; p->name; p++, n++) {
        ck_assert_ptr_eq(tdm__preset_find(p->name), p);
        ck_assert_msg(is_choice(choices, p->name), "%s", p->name);
        ck_assert_ptr_nonnull(p->layers[0]);
        for (int i = 0; p->layers[i]; i++) support_ok(tdm__layer_parse(p->layers[i], &s));
    }
    for (int i = 0; tdm__trunks[i]; i++, n++) {
        ck_assert_ptr_eq(tdm__trunk_find(tdm__trunks[i]->name), tdm__trunks[i]);
        ck_assert_msg(is_choice(choices, tdm__trunks[i]->name), "%s", tdm__trunks[i]->name);
        ck_assert_ptr_null(tdm__preset_find(tdm__trunks[i]->name));
    }
    ck_assert_uint_eq(n, count_choices(choices));
    ck_assert_ptr_null(tdm__preset_find("nothing"));
    ck_assert_ptr_null(tdm__trunk_find("nothing"));
}
END_TEST

START_TEST(heads_are_the_choices)
{
    const char *choices = option("tasks.*.head")->choices;
    size_t n = 1;
    tdm__layer_spec s;
    for (const tdm__head_kind *k = tdm__heads; k->name; k++, n++) {
        ck_assert_ptr_eq(tdm__head_find(k->name), k);
        ck_assert_msg(is_choice(choices, k->name), "%s", k->name);
        ck_assert((k->layers[0] != NULL) != (k->build != NULL));
        for (int i = 0; k->layers[i]; i++) support_ok(tdm__layer_parse(k->layers[i], &s));
    }
    ck_assert_uint_eq(n, count_choices(choices));
    ck_assert_ptr_null(tdm__head_find("nothing"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("layers");
    tcase_add_test(tc, layers_are_read);
    tcase_add_loop_test(tc, wrong_layers_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tc, patterns_match_names);
    tcase_add_test(tc, trunks_are_the_choices);
    tcase_add_test(tc, heads_are_the_choices);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

/* Layers written as texts, name patterns, presets. */
#include <string.h>

#include "model/layer_spec.h"
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

START_TEST(presets_are_valid_layers)
{
    const tdm__preset *const lists[] = {tdm__trunk_presets, tdm__head_presets};
    tdm__layer_spec s;
    for (int l = 0; l < 2; l++)
        for (const tdm__preset *p = lists[l]; p->name; p++) {
            ck_assert_ptr_eq(tdm__preset_find(lists[l], p->name), p);
            ck_assert_ptr_nonnull(p->layers[0]);
            for (int i = 0; p->layers[i]; i++) support_ok(tdm__layer_parse(p->layers[i], &s));
        }
    ck_assert_ptr_null(tdm__preset_find(tdm__trunk_presets, "nothing"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("layers");
    tcase_add_test(tc, layers_are_read);
    tcase_add_loop_test(tc, wrong_layers_are_refused, 0, sizeof wrong / sizeof *wrong);
    tcase_add_test(tc, patterns_match_names);
    tcase_add_test(tc, presets_are_valid_layers);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

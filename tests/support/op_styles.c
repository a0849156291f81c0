/* support/op_styles.c */
#include "support/op_styles.h"

#include <stdlib.h>
#include <string.h>

#include "support/support.h"

static void (*run_in)(tdm_kernel_style style);

static void run_if_wanted(tdm_kernel_style style, const char *name)
{
    const char *wanted = getenv("TANDEM_TEST_STYLE");
    if (!wanted || !strcmp(wanted, name)) run_in(style);
}

START_TEST(cpu_style)
{
    run_if_wanted(TDM_STYLE_CPU, "cpu");
}
END_TEST

START_TEST(gpu_style)
{
    run_if_wanted(TDM_STYLE_GPU, "gpu");
}
END_TEST

int op_styles_run(const char *name, void (*run)(tdm_kernel_style style))
{
    run_in = run;
    Suite *suite = suite_create(name);
    TCase *c = tcase_create("styles");
    tcase_set_timeout(c, 900);
    tcase_add_test(c, cpu_style);
    tcase_add_test(c, gpu_style);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

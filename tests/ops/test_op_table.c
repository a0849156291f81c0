/* The suite that follows from the table of operations (see support/op_check.h), in both kernel
 * styles. TANDEM_TEST_OP=name runs one operation only (a pattern: "conv2d*"); TANDEM_TEST_CLBLAST=1
 * includes the algorithms that call CLBlast; TANDEM_TEST_STYLE=cpu|gpu runs one style, and
 * TANDEM_TEST_SAMPLES=n only the first samples of each operation (for slow interpreters). */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ops/registry.h"
#include "support/op_check.h"
#include "support/support.h"

static void run_style(tdm_kernel_style style)
{
    const char *only = getenv("TANDEM_TEST_OP"), *wanted = getenv("TANDEM_TEST_STYLE");
    if (wanted && strcmp(wanted, style == TDM_STYLE_CPU ? "cpu" : "gpu")) return;
    op_check check;
    size_t n, ran = 0;
    const tdm_op *const *ops = tdm__ops(&n);
    support_ok(op_check_open(&check, style));
    for (size_t i = 0; i < n; i++) {
        if (only && *only && !tdm__glob(only, ops[i]->name)) continue;
        int checks = check.checks, failures = check.failures;
        double begin = tdm__now();
        op_check_run(&check, ops[i]);
        fprintf(stderr, "%-28s %s %6d checks %3d failures %6.2f s\n", ops[i]->name,
                style == TDM_STYLE_CPU ? "cpu" : "gpu", check.checks - checks,
                check.failures - failures, tdm__now() - begin);
        ran++;
    }
    support_ok(tdm__device_cache_write(check.device));
    op_check_close(&check);
    ck_assert_msg(ran > 0, "no operation is called %s", only ? only : "anything");
    ck_assert_msg(check.failures == 0, "%d of %d checks failed", check.failures, check.checks);
}

START_TEST(cpu_style)
{
    run_style(TDM_STYLE_CPU);
}
END_TEST

START_TEST(gpu_style)
{
    run_style(TDM_STYLE_GPU);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("op table");
    TCase *c = tcase_create("styles");
    tcase_set_timeout(c, 900);
    tcase_add_test(c, cpu_style);
    tcase_add_test(c, gpu_style);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

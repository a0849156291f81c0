/* The suite that follows from the table of operations (see support/op_check.h), in both kernel
 * styles. TANDEM_TEST_OP=name runs one operation only (a pattern: "conv2d*"); TANDEM_TEST_CLBLAST=1
 * includes the algorithms that call CLBlast; TANDEM_TEST_STYLE=cpu|gpu runs one style, and
 * TANDEM_TEST_SAMPLES=n only the first samples of each operation (for slow interpreters). */
#include <stdlib.h>

#include "base/clock.h"
#include "base/str.h"
#include "ops/registry.h"
#include "support/op_check.h"
#include "support/op_styles.h"
#include "support/support.h"

static void run_style(tdm_kernel_style style)
{
    const char *only = getenv("TANDEM_TEST_OP");
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

int main(void)
{
    return op_styles_run("op table", run_style);
}

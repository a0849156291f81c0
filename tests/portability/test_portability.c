/* What every OpenCL driver must deliver, beside the operations' own table: training that learns,
 * the same bits from the same run, in both kernel styles, kernels from the cache on the second run,
 * and a stop when a loss is NaN. ci/portability.sh runs it on each driver it finds. */
#include <math.h>
#include <stdlib.h>

#include "cl/cl.h"
#include "support/small_run.h"

static char *data;

static void setup(void)
{
    data = support_temp_create();
    small_data(data);
}

static void teardown(void)
{
    support_temp_remove(data);
}

static tdm_status train(const char *style, const char *run, const char *more, small_result *result)
{
    char output[512], kernels[64];
    snprintf(output, sizeof output, "train.output=%s/%s", data, run);
    snprintf(kernels, sizeof kernels, "device.style=%s", style);
    const char *const set[] = {output, kernels, more ? more : "train.epochs=5"};
    return small_train(data, set, 3, result);
}

static void learns_and_repeats(const char *style)
{
    char hash[2][33];
    for (int again = 0; again < 2; again++) {
        small_result result;
        char name[32];
        snprintf(name, sizeof name, "%s-%d", style, again);
        char *run = support_path(data, name);
        support_ok(train(style, name, NULL, &result));
        ck_assert_int_eq(result.reason, TDM_STOP_EPOCHS);
        ck_assert_msg(result.metric[1] > 0.8, "%s: accuracy %g", style, result.metric[1]);
        ck_assert(isfinite(result.loss[0]));
        small_hash(run, "last.safetensors", hash[again]);
        free(run);
    }
    ck_assert_str_eq(hash[0], hash[1]);
}

START_TEST(cpu_style_learns_and_repeats)
{
    learns_and_repeats("cpu");
}
END_TEST

START_TEST(gpu_style_learns_and_repeats)
{
    learns_and_repeats("gpu");
}
END_TEST

START_TEST(nan_stops_training)
{
    ck_assert_int_eq(train("auto", "nan", "optim.lr=1e30", NULL), TDM_ERR_DIVERGED);
    support_message_has("task '");
}
END_TEST

/* A run leaves its programs in the cache: nothing is left to compile. */
START_TEST(kernels_come_from_the_cache)
{
    tdm_device *device;
    tdm__launch launch;
    tdm__device_stats stats;
    support_ok(train("cpu", "cached", "train.epochs=1", NULL));
    support_ok(tdm_device_open(&(tdm_device_spec){.style = TDM_STYLE_CPU}, &device));
    support_ok(tdm__launch_init(device, "gemm.cl", "", "gemm", &launch));
    tdm__device_stats_get(device, &stats);
    ck_assert_uint_eq(stats.programs_loaded, 1);
    ck_assert_uint_eq(stats.programs_built, 0);
    tdm__launch_destroy(&launch);
    tdm_device_destroy(&device);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("portability");
    TCase *c = tcase_create("driver");
    tcase_add_unchecked_fixture(c, setup, teardown);
    tcase_add_test(c, cpu_style_learns_and_repeats);
    tcase_add_test(c, gpu_style_learns_and_repeats);
    tcase_add_test(c, nan_stops_training);
    tcase_add_test(c, kernels_come_from_the_cache);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

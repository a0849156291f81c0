/* Choosing and listing devices: the rules over made-up lists, and whatever this machine has. */
#include <jansson.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cl/internal.h"
#include "support/support.h"

/* Two platforms: a vendor with two equal GPUs and a small one, and a CPU driver. */
static const tdm_device_info machine[] = {
    {.platform = 0,
     .device = 0,
     .type = TDM_DEVICE_GPU,
     .name = "Nova RX 500",
     .platform_name = "Nova Parallel Runtime"},
    {.platform = 0,
     .device = 1,
     .type = TDM_DEVICE_GPU,
     .name = "Nova RX 500",
     .platform_name = "Nova Parallel Runtime"},
    {.platform = 0,
     .device = 2,
     .type = TDM_DEVICE_GPU,
     .name = "Nova Mini",
     .platform_name = "Nova Parallel Runtime"},
    {.platform = 1,
     .device = 0,
     .type = TDM_DEVICE_CPU,
     .name = "pthread-znver4",
     .platform_name = "Portable Computing Language"},
    {.platform = 1,
     .device = 1,
     .type = TDM_DEVICE_ACCELERATOR,
     .name = "Tensor Brick",
     .platform_name = "Portable Computing Language"},
};
#define N (sizeof machine / sizeof *machine)

static void chooses(const tdm_device_spec *spec, size_t want)
{
    size_t index = 99;
    support_ok(tdm__choose(spec, machine, N, &index));
    ck_assert_uint_eq(index, want);
}

static void chooses_text(const char *device, size_t want)
{
    chooses(&(tdm_device_spec){.device = device}, want);
}

START_TEST(choose_default)
{
    chooses_text(NULL, 0);
    chooses_text("", 0);
    size_t index;
    support_ok(tdm__choose(&(tdm_device_spec){0}, machine + 3, 2, &index));
    ck_assert_uint_eq(index, 1); /* an accelerator goes before a CPU */
    support_ok(tdm__choose(&(tdm_device_spec){0}, machine + 3, 1, &index));
    ck_assert_uint_eq(index, 0);
}
END_TEST

START_TEST(choose_by_type)
{
    chooses_text("gpu", 0);
    chooses_text("cpu", 3);
    chooses_text("CPU", 3);
    chooses_text("accelerator", 4);
    chooses(&(tdm_device_spec){.type = TDM_DEVICE_CPU}, 3);
    chooses(&(tdm_device_spec){.type = TDM_DEVICE_GPU, .device = "mini"}, 2);
    chooses(&(tdm_device_spec){.platform = "portable"}, 4);
    chooses(&(tdm_device_spec){.platform = "1", .device = "cpu"}, 3);
}
END_TEST

START_TEST(choose_by_index)
{
    chooses_text("0:1", 1);
    chooses_text("1:0", 3);
    size_t index;
    support_fails(tdm__choose(&(tdm_device_spec){.device = "2:0"}, machine, N, &index),
                  TDM_ERR_DEVICE, "no device `2:0`; there are: 0:0 Nova RX 500 (gpu), 0:1");
    support_fails(tdm__choose(&(tdm_device_spec){.device = "0:3"}, machine, N, &index),
                  TDM_ERR_DEVICE, "no device `0:3`");
    support_fails(tdm__choose(&(tdm_device_spec){.device = "0:1", .type = TDM_DEVICE_CPU}, machine,
                              N, &index),
                  TDM_ERR_DEVICE, "no device `0:1` of type cpu");
    /* Not indices: names to look for. */
    const char *const odd[] = {"0:", ":1", "0:1x", "-1:0", "0:0:0", "99999999999999999999:0"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        support_fails(tdm__choose(&(tdm_device_spec){.device = odd[i]}, machine, N, &index),
                      TDM_ERR_DEVICE, odd[i]);
}
END_TEST

START_TEST(choose_by_name)
{
    chooses_text("mini", 2);
    chooses_text("ZNVER", 3);
    chooses_text("tensor brick", 4);
    size_t index;
    support_fails(
        tdm__choose(&(tdm_device_spec){.device = "nova rx"}, machine, N, &index), TDM_ERR_DEVICE,
        "device `nova rx` is ambiguous: 0:0 Nova RX 500 (gpu), 0:1 Nova RX 500 (gpu) (hint: "
        "name it by its index, as in `0:0`");
    /* A platform's name means its devices. */
    support_fails(tdm__choose(&(tdm_device_spec){.device = "portable"}, machine, N, &index),
                  TDM_ERR_DEVICE, "ambiguous: 1:0 pthread-znver4 (cpu), 1:1 Tensor Brick");
    support_message_has("as in `1:0`");
    chooses(&(tdm_device_spec){.device = "portable", .type = TDM_DEVICE_CPU}, 3);
    support_fails(tdm__choose(&(tdm_device_spec){.device = "quantum"}, machine, N, &index),
                  TDM_ERR_DEVICE, "no device `quantum`; there are: 0:0 Nova");
    support_message_has("tandem devices");
    support_fails(tdm__choose(&(tdm_device_spec){.platform = "zen"}, machine, N, &index),
                  TDM_ERR_DEVICE, "no device on platform `zen`");
    support_fails(
        tdm__choose(&(tdm_device_spec){.platform = "nova", .device = "cpu"}, machine, N, &index),
        TDM_ERR_DEVICE, "no device `cpu` on platform `nova`");
}
END_TEST

START_TEST(choose_of_nothing)
{
    size_t index;
    support_fails(tdm__choose(&(tdm_device_spec){0}, NULL, 0, &index), TDM_ERR_DEVICE,
                  "no OpenCL device on this machine (hint: ");
    support_message_has("pocl-opencl-icd");
    char *text;
    support_ok(tdm__device_list_render(NULL, 0, false, &text));
    ck_assert_ptr_nonnull(strstr(text, "pocl-opencl-icd"));
    free(text);
    support_ok(tdm__device_list_render(NULL, 0, true, &text));
    ck_assert_str_eq(text, "[]");
    free(text);
}
END_TEST

START_TEST(list_as_text)
{
    tdm_device_info list[N];
    char *text;
    memcpy(list, machine, sizeof list);
    list[3].is_default = list[3].fp64 = true;
    list[3].global_memory = 3u << 29;
    support_ok(tdm__device_list_render(list, N, false, &text));
    const char *const first = strstr(text, "0  Nova Parallel Runtime\n");
    const char *const second = strstr(text, "1  Portable Computing Language\n");
    ck_assert(first == text && second > first);
    ck_assert_ptr_nonnull(strstr(second, "* 1:0  pthread-znver4 (cpu)  default\n"));
    ck_assert_ptr_nonnull(strstr(second, "1.5 GiB memory"));
    ck_assert_ptr_nonnull(strstr(first, "  0:2  Nova Mini (gpu)\n"));
    free(text);
}
END_TEST

START_TEST(list_as_json)
{
    tdm_device_info list[N];
    char *text;
    memcpy(list, machine, sizeof list);
    list[1].is_default = true;
    strcpy(list[1].name, "a \"quoted\" \\ name");
    list[1].global_memory = 1ull << 40;
    support_ok(tdm__device_list_render(list, N, true, &text));
    json_t *array = json_loads(text, 0, NULL), *d = json_array_get(array, 1);
    free(text);
    ck_assert_uint_eq(json_array_size(array), N);
    ck_assert_str_eq(json_string_value(json_object_get(d, "id")), "0:1");
    ck_assert_str_eq(json_string_value(json_object_get(d, "name")), "a \"quoted\" \\ name");
    ck_assert_str_eq(json_string_value(json_object_get(d, "type")), "gpu");
    ck_assert_int_eq(json_integer_value(json_object_get(d, "global_memory")), 1ll << 40);
    ck_assert(json_is_true(json_object_get(d, "default")));
    ck_assert(json_is_false(json_object_get(json_array_get(array, 0), "default")));
    json_decref(array);
}
END_TEST

START_TEST(list_of_this_machine)
{
    tdm_device_info *list, chosen;
    size_t n, defaults = 0;
    support_ok(tdm_device_list(&list, &n));
    ck_assert_uint_gt(n, 0);
    for (size_t i = 0; i < n; i++) {
        char index[32];
        ck_assert(list[i].name[0] && list[i].platform_name[0] && list[i].version[0]);
        ck_assert(list[i].compute_units > 0 && list[i].global_memory > 0);
        ck_assert(list[i].max_allocation > 0 && list[i].max_allocation <= list[i].global_memory);
        ck_assert_uint_gt(list[i].max_work_group, 0);
        snprintf(index, sizeof index, "%u:%u", list[i].platform, list[i].device);
        support_ok(tdm_device_choose(&(tdm_device_spec){.device = index}, &chosen));
        ck_assert_mem_eq(&chosen, &list[i], sizeof chosen);
        defaults += list[i].is_default;
    }
    ck_assert_uint_eq(defaults, 1);
    support_ok(tdm_device_choose(&(tdm_device_spec){0}, &chosen));
    ck_assert(chosen.is_default);
    support_fails(tdm_device_choose(&(tdm_device_spec){.device = "no such name"}, &chosen),
                  TDM_ERR_DEVICE, "no device `no such name`");
    free(list);
    char *text;
    support_ok(tdm_device_list_text(false, &text));
    ck_assert_ptr_nonnull(strstr(text, chosen.name));
    free(text);
    support_ok(tdm_device_list_text(true, &text));
    json_t *array = json_loads(text, 0, NULL);
    ck_assert_uint_eq(json_array_size(array), n);
    json_decref(array);
    free(text);
}
END_TEST

/* In a process of its own, started by no_driver_at_all: the loader reads its settings once. */
static int without_drivers(void)
{
    char *text = NULL;
    tdm_device *device = NULL;
    if (tdm_device_list_text(true, &text) || strcmp(text, "[]") != 0) return 1;
    free(text);
    if (tdm_device_open(&(tdm_device_spec){.device = "gpu"}, &device) != TDM_ERR_DEVICE) return 2;
    if (device || !strstr(tdm_last_error(), "pocl-opencl-icd")) return 3;
    return 0;
}

START_TEST(no_driver_at_all)
{
    int code = 0;
    pid_t child;
    char self[] = "/proc/self/exe", what[] = "without-drivers";
    char vendors[] = "OCL_ICD_VENDORS=/nonexistent", leaks[] = "ASAN_OPTIONS=detect_leaks=0";
    char *const arguments[] = {self, what, NULL}, *const environment[] = {vendors, leaks, NULL};
    ck_assert_int_eq(posix_spawn(&child, self, NULL, NULL, arguments, environment), 0);
    ck_assert_int_eq(waitpid(child, &code, 0), child);
    ck_assert_msg(WIFEXITED(code) && WEXITSTATUS(code) == 0, "wait status %d", code);
}
END_TEST

START_TEST(traits_from_device)
{
    tdm_device_info info = {.type = TDM_DEVICE_CPU,
                            .vector_width = 8,
                            .max_work_group = 4096,
                            .local_memory = 1 << 20,
                            .fp64 = true};
    char *text;
    tdm__traits t = tdm__traits_make(&info, TDM_STYLE_AUTO, 128);
    ck_assert(t.style == TDM_STYLE_CPU && t.vector_width == 8 && t.work_group == 64 && t.is_cpu);
    support_ok(tdm__traits_defines(&t, &text));
    ck_assert_str_eq(text, "-cl-std=CL1.2 -cl-mad-enable -DSTYLE_CPU=1 -DVW=8 -DWG=64 "
                           "-DLOCAL_BYTES=1048576 -DHAS_FP64=1");
    free(text);
    t = tdm__traits_make(&info, TDM_STYLE_GPU, 4096);
    ck_assert(t.style == TDM_STYLE_GPU && t.align == 4096);
    info.type = TDM_DEVICE_GPU;
    info.max_work_group = 100;
    const unsigned native[] = {0, 1, 2, 4, 5, 8, 15, 16, 32},
                   want[] = {4, 4, 4, 4, 4, 8, 8, 16, 16};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        info.vector_width = native[i];
        t = tdm__traits_make(&info, TDM_STYLE_AUTO, 0);
        ck_assert_uint_eq(t.vector_width, want[i]);
    }
    ck_assert(t.style == TDM_STYLE_GPU && t.work_group == 64 && t.align == 128);
    info.max_work_group = 1024;
    ck_assert_uint_eq(tdm__traits_make(&info, TDM_STYLE_AUTO, 0).work_group, 256);
    info.max_work_group = 1;
    ck_assert_uint_eq(tdm__traits_make(&info, TDM_STYLE_AUTO, 0).work_group, 1);
}
END_TEST

START_TEST(error_names)
{
    support_fails(tdm__cl_fail(-5, "clFinish"), TDM_ERR_DEVICE,
                  "clFinish: CL_OUT_OF_RESOURCES (-5)");
    support_fails(tdm__cl_fail(-4, "clX"), TDM_ERR_NOMEM, "CL_MEM_OBJECT_ALLOCATION_FAILURE (-4)");
    support_fails(tdm__cl_fail(-6, "clX"), TDM_ERR_NOMEM, "CL_OUT_OF_HOST_MEMORY (-6)");
    support_fails(tdm__cl_fail(-54, "clX"), TDM_ERR_DEVICE, "CL_INVALID_WORK_GROUP_SIZE (-54)");
    support_fails(tdm__cl_fail(-4711, "clX"), TDM_ERR_DEVICE, "unknown error (-4711)");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "without-drivers") == 0) return without_drivers();
    Suite *suite = suite_create("cl_choose");
    TCase *pure = tcase_create("pure"), *real = tcase_create("real");
    tcase_add_test(pure, choose_default);
    tcase_add_test(pure, choose_by_type);
    tcase_add_test(pure, choose_by_index);
    tcase_add_test(pure, choose_by_name);
    tcase_add_test(pure, choose_of_nothing);
    tcase_add_test(pure, list_as_text);
    tcase_add_test(pure, list_as_json);
    tcase_add_test(pure, traits_from_device);
    tcase_add_test(pure, error_names);
    tcase_add_test(real, list_of_this_machine);
    tcase_add_test(real, no_driver_at_all);
    suite_add_tcase(suite, pure);
    suite_add_tcase(suite, real);
    return support_run(suite);
}

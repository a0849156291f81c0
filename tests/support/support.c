/* support/support.c */
#include "support/support.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int support_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_NOFORK);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

char *support_temp_create(void)
{
    const char *root = getenv("TMPDIR");
    char *folder = support_path(root && *root ? root : "/tmp", "tandem-test-XXXXXX");
    ck_assert_msg(mkdtemp(folder) != NULL, "cannot create %s", folder);
    return folder;
}

void support_temp_remove(char *folder)
{
    if (!folder) return;
    support_ok(tdm__remove_tree(folder));
    free(folder);
}

char *support_path(const char *folder, const char *name)
{
    char *path = NULL;
    support_ok(tdm__path_join(folder, name, &path));
    return path;
}

void support_write(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "cannot create %s", path);
    size_t wrote = n ? fwrite(bytes, 1, n, file) : 0;
    int bad = fclose(file);
    ck_assert_msg(wrote == n && !bad, "cannot write %s", path);
}

void support_write_text(const char *path, const char *text)
{
    support_write(path, text, strlen(text));
}

size_t support_count(const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    support_ok(tdm__list_folder(folder, &names, &n));
    tdm__names_free(names, n);
    return n;
}

char *support_read(const char *path, size_t *n)
{
    char *bytes = NULL;
    size_t size = 0;
    support_ok(tdm__read_file(path, SIZE_MAX / 2, &bytes, &size));
    if (n) *n = size;
    return bytes;
}

const char *support_data_dir(const char *name)
{
    const char *folder = getenv("TANDEM_DATA_DIR");
    if (folder && *folder) return folder;
    printf("SKIPPED: %s (no TANDEM_DATA_DIR)\n", name);
    return NULL;
}

void support_message_has(const char *part)
{
    ck_assert_msg(strstr(tdm_last_error(), part) != NULL, "the message does not hold \"%s\": %s",
                  part, tdm_last_error());
}

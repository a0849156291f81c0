/* support/support.h: what the Check programs share. */
#ifndef SUPPORT_SUPPORT_H
#define SUPPORT_SUPPORT_H

#include <check.h>
#include <stdio.h>
#include <tandem/status.h>

/* Runs one suite in this process (PoCL hangs in forked children) and returns main's exit code. */
int support_run(Suite *suite);

/* A fresh empty folder under $TMPDIR or /tmp. Stops the test when it cannot be made. */
char *support_temp_create(void);
/* Removes it with all it holds and frees the name. NULL is fine. */
void support_temp_remove(char *folder);
/* folder/name; free() it. */
char *support_path(const char *folder, const char *name);
/* Writes a whole file; stops the test when it cannot. */
void support_write(const char *path, const void *bytes, size_t n);
void support_write_text(const char *path, const char *text);
/* How many names the folder holds. */
size_t support_count(const char *folder);
/* The whole file, 0-terminated; free() it. Stops the test when it cannot be read. */
char *support_read(const char *path, size_t *n);

/* $TANDEM_DATA_DIR, or NULL after printing `SKIPPED: name (no TANDEM_DATA_DIR)`: return then. */
const char *support_data_dir(const char *name);

/* The call must succeed; the library's message is shown otherwise. */
#define support_ok(call)                                                                           \
    do {                                                                                           \
        tdm_status support_status = (call);                                                        \
        ck_assert_msg(support_status == TDM_OK, "%s: %s: %s", #call,                               \
                      tdm_status_name(support_status), tdm_last_error());                          \
    } while (0)

/* The call must fail with this status, and a message that holds `part`. */
#define support_fails(call, expected, part)                                                        \
    do {                                                                                           \
        tdm_status support_status = (call);                                                        \
        ck_assert_msg(support_status == (expected), "%s: %s instead of %s: %s", #call,             \
                      tdm_status_name(support_status), tdm_status_name(expected),                  \
                      support_status ? tdm_last_error() : "");                                     \
        support_message_has(part);                                                                 \
    } while (0)
void support_message_has(const char *part);

#endif

/* base/error.h: how a failure is raised, given context, and passed on.
 *
 *     if (x < 0) return tdm__fail(TDM_ERR_DATA, "%s: label %d is negative", path, x);
 *     TDM_TRY(tdm__read(...));                        // goto done with `status` set
 *     if (status) status = tdm__context(status, "while reading %s", path);
 *
 * Functions have one exit label `done:` and a local `tdm_status status = TDM_OK;` where TDM_TRY is
 * used. The message is thread-local: a failure in a worker thread is carried over with
 * tdm__error_take / tdm__error_give.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <tandem/status.h>

#define TDM__PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Sets the thread's message and returns `status`. */
tdm_status tdm__fail(tdm_status status, const char *format, ...) TDM__PRINTF(2, 3);
/* Prepends "<context>: " to the thread's message and returns `status` unchanged. */
tdm_status tdm__context(tdm_status status, const char *format, ...) TDM__PRINTF(2, 3);
/* Appends " (hint: ...)" to the thread's message and returns `status` unchanged. */
tdm_status tdm__hint(tdm_status status, const char *format, ...) TDM__PRINTF(2, 3);
/* Fails with ": strerror (errno N)" appended. */
tdm_status tdm__fail_errno(tdm_status status, const char *format, ...) TDM__PRINTF(2, 3);

/* A failure carried between threads. `message` is owned by the struct. */
typedef struct tdm__error {
    tdm_status status;
    char *message;
} tdm__error;
void tdm__error_take(tdm__error *error, tdm_status status); /* copies this thread's message */
tdm_status tdm__error_give(const tdm__error *error);        /* makes it this thread's message */
void tdm__error_clear(tdm__error *error);

void tdm__log(tdm_log_level level, const char *format, ...) TDM__PRINTF(2, 3);

#define TDM_TRY(expr)                                                                              \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != TDM_OK) goto done;                                                           \
    } while (0)

#endif

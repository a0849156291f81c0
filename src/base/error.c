/* base/error.c: status names, the thread's message, and the log.
 *
 * The message lives on the heap and grows as it must; a key destructor frees it when its thread
 * ends. When even the message cannot be allocated, a short static one per thread takes its place,
 * so raising TDM_ERR_NOMEM always works. A new text is complete before the old one is released:
 * tdm_last_error() may be an argument of the next failure.
 */
#include "base/error.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char *message_heap;
static _Thread_local char message_small[256];
static _Thread_local bool message_is_small;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_live;

static void key_create(void)
{
    key_live = pthread_key_create(&key, free) == 0;
}

const char *tdm_status_name(tdm_status status)
{
    switch (status) {
#define STATUS_NAME(name, code, text)                                                              \
    case TDM_##name:                                                                               \
        return "TDM_" #name;
        TDM_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "TDM_?";
    }
}

const char *tdm_status_text(tdm_status status)
{
    switch (status) {
#define STATUS_TEXT(name, code, text)                                                              \
    case TDM_##name:                                                                               \
        return text;
        TDM_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}

int tdm_status_exit_code(tdm_status status)
{
    switch (status) {
#define STATUS_CODE(name, code, text)                                                              \
    case TDM_##name:                                                                               \
        return code;
        TDM_STATUS_LIST(STATUS_CODE)
#undef STATUS_CODE
    default:
        return 1;
    }
}

const char *tdm_last_error(void)
{
    if (message_is_small) return message_small;
    return message_heap ? message_heap : "";
}

/* Takes ownership of `text`; `fallback` is what remains to be said when text is NULL. */
static void message_set(char *text, const char *fallback)
{
    if (!text) {
        if (fallback != message_small) {
            size_t n = strnlen(fallback, sizeof message_small - 1);
            memmove(message_small, fallback, n);
            message_small[n] = 0;
        }
        message_is_small = true;
        return;
    }
    char *old = message_heap;
    message_heap = text;
    message_is_small = false;
    pthread_once(&key_once, key_create);
    if (key_live) pthread_setspecific(key, text);
    free(old);
}

static char *format_text(const char *format, va_list args) TDM__PRINTF(1, 0);
static char *format_text(const char *format, va_list args)
{
    char *text = NULL;
    return vasprintf(&text, format, args) < 0 ? NULL : text;
}

/* before + middle + after on the heap, NULL when memory is out or a part is missing */
static char *concat(const char *before, const char *middle, const char *after)
{
    char *text = NULL;
    if (!before || !middle || !after) return NULL;
    return asprintf(&text, "%s%s%s", before, middle, after) < 0 ? NULL : text;
}

tdm_status tdm__fail(tdm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args);
    va_end(args);
    message_set(text, text ? text : tdm_status_text(status));
    return status;
}

tdm_status tdm__context(tdm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *head = format_text(format, args);
    va_end(args);
    const char *old = tdm_last_error();
    message_set(concat(head, ": ", old), old);
    free(head);
    return status;
}

tdm_status tdm__hint(tdm_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *hint = format_text(format, args);
    va_end(args);
    const char *old = tdm_last_error();
    char *head = concat(old, " (hint: ", hint);
    message_set(concat(head, ")", ""), old);
    free(head);
    free(hint);
    return status;
}

tdm_status tdm__fail_errno(tdm_status status, const char *format, ...)
{
    int number = errno;
    char reason[160], tail[200];
    /* the GNU form: it returns the text, which need not be in the buffer */
    const char *why = strerror_r(number, reason, sizeof reason);
    snprintf(tail, sizeof tail, "%s (errno %d)", why, number);
    va_list args;
    va_start(args, format);
    char *what = format_text(format, args);
    va_end(args);
    message_set(concat(what, ": ", tail), tail);
    free(what);
    errno = number;
    return status;
}

void tdm__error_take(tdm__error *error, tdm_status status)
{
    tdm__error_clear(error);
    error->status = status;
    if (status != TDM_OK) error->message = strdup(tdm_last_error());
}

tdm_status tdm__error_give(const tdm__error *error)
{
    if (error->status == TDM_OK) return TDM_OK;
    return tdm__fail(error->status, "%s",
                     error->message ? error->message : tdm_status_text(error->status));
}

void tdm__error_clear(tdm__error *error)
{
    free(error->message);
    *error = (tdm__error){TDM_OK, NULL};
}

/* Log ------------------------------------------------------------------------------------------ */

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static tdm_log_fn log_fn;
static void *log_user;
static tdm_log_level log_max = TDM_LOG_INFO;
static _Thread_local bool log_inside; /* a receiver that calls the library must not log again */

void tdm_set_log(tdm_log_fn fn, void *user, tdm_log_level max)
{
    pthread_mutex_lock(&log_mutex);
    log_fn = fn;
    log_user = user;
    log_max = max;
    pthread_mutex_unlock(&log_mutex);
}

void tdm__log(tdm_log_level level, const char *format, ...)
{
    if (!log_fn || level > log_max || log_inside) return;
    va_list args;
    va_start(args, format);
    char *line = format_text(format, args);
    va_end(args);
    log_inside = true;
    pthread_mutex_lock(&log_mutex);
    if (log_fn) log_fn(log_user, level, line ? line : "(out of memory while formatting a line)");
    pthread_mutex_unlock(&log_mutex);
    log_inside = false;
    free(line);
}

/* tandem/status.h: what every call returns, the error text behind it, and the log.
 *
 * The library never exits, aborts or prints. A function that can fail returns a tdm_status; the
 * message behind the latest failure of the calling thread is kept until its next failure.
 */
#ifndef TANDEM_STATUS_H
#define TANDEM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* name, exit code of the command line, short text */
#define TDM_STATUS_LIST(X)                                                                         \
    X(OK, 0, "ok")                                                                                 \
    X(ERR_RUNTIME, 1, "runtime error")                                                             \
    X(ERR_IO, 1, "input/output error")                                                             \
    X(ERR_STATE, 1, "call out of order")                                                           \
    X(ERR_USAGE, 2, "wrong usage")                                                                 \
    X(ERR_CONFIG, 2, "wrong configuration")                                                        \
    X(ERR_SHAPE, 2, "shapes do not fit")                                                           \
    X(ERR_DATA, 3, "bad data")                                                                     \
    X(ERR_DEVICE, 4, "device error")                                                               \
    X(ERR_BUILD, 4, "kernel build error")                                                          \
    X(ERR_DIVERGED, 5, "training diverged")                                                        \
    X(ERR_NOMEM, 6, "out of memory")                                                               \
    X(ERR_INTERRUPTED, 130, "interrupted")                                                         \
    X(ERR_TERMINATED, 143, "terminated")

typedef enum tdm_status {
#define TDM_STATUS_ENUM(name, code, text) TDM_##name,
    TDM_STATUS_LIST(TDM_STATUS_ENUM)
#undef TDM_STATUS_ENUM
        TDM_STATUS_COUNT
} tdm_status;

/* "TDM_ERR_DATA", or "TDM_?" for a value outside the list. Never NULL; static storage. */
const char *tdm_status_name(tdm_status status);
/* One of the short texts above. Never NULL; static storage. */
const char *tdm_status_text(tdm_status status);
/* The process exit code that the command line uses for this status. */
int tdm_status_exit_code(tdm_status status);

/* The full message of the calling thread's latest failure, with its context chain and hint, or ""
 * when nothing failed yet. Valid until the thread's next failing call. Never NULL. */
const char *tdm_last_error(void);

typedef enum tdm_log_level {
    TDM_LOG_ERROR,
    TDM_LOG_WARN,
    TDM_LOG_INFO,
    TDM_LOG_DEBUG
} tdm_log_level;

/* Receives one line without its newline. Called from any thread, one call at a time. */
typedef void (*tdm_log_fn)(void *user, tdm_log_level level, const char *line);

/* Sets the process-wide log receiver (NULL: drop all). Lines above `max` are not formatted at all.
 * Not to be called while other threads are inside the library. */
void tdm_set_log(tdm_log_fn fn, void *user, tdm_log_level max);

#ifdef __cplusplus
}
#endif
#endif

/* experiment/child.c: runs as processes of their own.
 *
 * A child is `program train CONFIG --set ... --output FOLDER --resume`: the line can be read in its
 * log and called by hand. It leads a process group of its own, so a Ctrl-C in the terminal reaches
 * it only through us, once. It holds a lock on a file beside its folder as long as it lives: a call
 * after one that was killed waits for the children that are still saving. $TANDEM_PARENT tells it
 * whose end is its own.
 */
#include "experiment/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

extern char **environ;

enum { LOCK_SECONDS = 60, TAIL = 1 << 16 };

/* ---- locks ----------------------------------------------------------------------------------- */

tdm_status tdm__lock_file(const char *path, double seconds, int *fd)
{
    const double until = tdm__now() + seconds;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0) return tdm__fail_errno(TDM_ERR_IO, "%s", path);
    while (flock(*fd, LOCK_EX | LOCK_NB)) {
        if (errno == EWOULDBLOCK && tdm__now() < until) {
            tdm__sleep(0.05);
            continue;
        }
        const int code = errno;
        close(*fd);
        *fd = -1;
        if (code == EWOULDBLOCK) return TDM_OK;
        errno = code;
        return tdm__fail_errno(TDM_ERR_IO, "%s: cannot be locked", path);
    }
    return TDM_OK;
}

static tdm_status lock_path(const tdm__trial *t, tdm__str *out)
{
    tdm__str_addf(out, "%s.lock", t->path);
    return tdm__str_status(out);
}

static tdm_status lock_trial(const tdm__trial *t, int *fd)
{
    tdm_status status = TDM_OK;
    tdm__str path = {0};
    char *folder = NULL;
    TDM_TRY(lock_path(t, &path));
    TDM_TRY(tdm__path_dir(path.text, &folder));
    TDM_TRY(tdm__make_folders(folder));
    TDM_TRY(tdm__lock_file(path.text, LOCK_SECONDS, fd));
    if (*fd < 0)
        status = tdm__fail(TDM_ERR_RUNTIME, "%s: another process is training in it", t->path);
done:
    free(folder);
    tdm__str_free(&path);
    return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

typedef struct words {
    char **list; /* ends in NULL */
    size_t n, capacity;
} words;

static void words_free(words *w)
{
    for (size_t i = 0; i < w->n; i++) free(w->list[i]);
    free(w->list);
}

static tdm_status add_word(words *w, const char *format, ...) TDM__PRINTF(2, 3);
static tdm_status add_word(words *w, const char *format, ...)
{
    char *text = NULL;
    va_list args;
    tdm_status status = tdm__grow(&w->list, &w->capacity, w->n + 2, sizeof *w->list);
    if (status) return status;
    va_start(args, format);
    const int n = vasprintf(&text, format, args);
    va_end(args);
    if (n < 0) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    w->list[w->n++] = text;
    return TDM_OK;
}

static tdm_status add_settings(words *w, const tdm__pairs *settings)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < settings->n; i++) {
        TDM_TRY(add_word(w, "--set"));
        TDM_TRY(add_word(w, "%s=%s", settings->list[i].key, settings->list[i].value));
    }
done:
    return status;
}

static tdm_status command(const tdm_experiment *e, const tdm__trial *t, words *w)
{
    tdm_status status = TDM_OK;
    const tdm__arm *arm = &e->arms[t->arm];
    TDM_TRY(add_word(w, "%s", e->program));
    TDM_TRY(add_word(w, "train"));
    TDM_TRY(add_word(w, "%s", arm->config));
    TDM_TRY(add_settings(w, &arm->set));
    TDM_TRY(add_settings(w, &arm->point));
    TDM_TRY(add_settings(w, &e->assignments));
    TDM_TRY(add_word(w, "--set"));
    TDM_TRY(add_word(w, "name=%s", arm->name));
    TDM_TRY(add_word(w, "--seed=%" PRId64, t->seed));
    if (e->n_devices) TDM_TRY(add_word(w, "--device=%s", e->devices[t->slot % e->n_devices]));
    if (e->units[t->slot]) TDM_TRY(add_word(w, "--device-units=%u", e->units[t->slot]));
    TDM_TRY(add_word(w, "--output=%s", t->path));
    TDM_TRY(add_word(w, "--resume=auto"));
    TDM_TRY(add_word(w, "--progress=plain"));
done:
    return status;
}

static tdm_status environment(words *w)
{
    static const char parent[] = "TANDEM_PARENT=";
    tdm_status status = TDM_OK;
    for (char **v = environ; v && *v; v++)
        if (!tdm__starts_with(*v, parent)) TDM_TRY(add_word(w, "%s", *v));
    status = add_word(w, "%s%ld", parent, (long)getpid());
done:
    return status;
}

/* Opens the log at its end and writes the command, quoted for a shell. */
static tdm_status open_log(tdm__trial *t, const words *w, int *fd)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    struct stat info;
    tdm__str line = {0};
    for (size_t i = 0; i < w->n; i++) {
        tdm__str_add(&line, i ? " " : "$ ");
        tdm__str_add_word(&line, w->list[i]);
    }
    tdm__str_add(&line, "\n");
    TDM_TRY(tdm__str_status(&line));
    TDM_TRY(tdm__path_join(t->path, "log.txt", &path));
    *fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (*fd < 0) TDM_TRY(tdm__fail_errno(TDM_ERR_IO, "%s", path));
    t->log_begin = fstat(*fd, &info) ? 0 : (uint64_t)info.st_size;
    if (write(*fd, line.text, line.length) != (ssize_t)line.length)
        status = tdm__fail_errno(TDM_ERR_IO, "%s", path);
done:
    free(path);
    tdm__str_free(&line);
    return status;
}

/* ---- starting -------------------------------------------------------------------------------- */

/* posix_spawn because a child that was forked from a process with an open OpenCL driver hangs. */
static tdm_status spawn(tdm__trial *t, const words *argv, const words *envp, int log, int lock)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int code = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, log, STDOUT_FILENO);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, log, STDERR_FILENO);
    /* onto itself: stays open in the child, which holds the lock from now on */
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, lock, lock);
    if (!code) code = posix_spawnattr_setpgroup(&attributes, 0);
    if (!code) code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (!code)
        code = posix_spawnp(&t->pid, argv->list[0], &actions, &attributes, argv->list, envp->list);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (!code) return TDM_OK;
    t->pid = 0;
    errno = code;
    return tdm__fail_errno(TDM_ERR_RUNTIME, "%s: cannot be started", argv->list[0]);
}

tdm_status tdm__child_start(tdm_experiment *e, tdm__trial *t, unsigned slot)
{
    tdm_status status = TDM_OK;
    words argv = {0}, envp = {0};
    int lock = -1, log = -1;
    t->slot = slot;
    TDM_TRY(lock_trial(t, &lock));
    if (!t->resumable) {
        TDM_TRY(tdm__remove_tree(t->path));
        t->seconds = 0;
        t->epoch = 0;
    }
    TDM_TRY(tdm__make_folders(t->path));
    TDM_TRY(command(e, t, &argv));
    TDM_TRY(environment(&envp));
    TDM_TRY(open_log(t, &argv, &log));
    memcpy(t->binary, e->binary, sizeof t->binary);
    t->earlier = t->seconds;
    t->began = tdm__now();
    t->signalled = false;
    free(t->error);
    t->error = NULL;
    TDM_TRY(spawn(t, &argv, &envp, log, lock));
    t->state = TDM_RUN_RUNNING;
    t->stale = TDM__STALE_NO;
done:
    if (lock >= 0) close(lock);
    if (log >= 0) close(log);
    words_free(&argv);
    words_free(&envp);
    return status ? tdm__context(status, "arm %s, seed %" PRId64, e->arms[t->arm].name, t->seed)
                  : TDM_OK;
}

void tdm__child_signal(tdm__trial *t, int number)
{
    if (t->state != TDM_RUN_RUNNING || t->signalled) return;
    t->signalled = true;
    kill(t->pid, number);
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* The last error that the child told of, in what this call added to its log. */
static tdm_status find_error(tdm__trial *t)
{
    static const char mark[] = "tandem: error: ";
    tdm_status status = TDM_OK;
    char *path = NULL, *text = NULL, *last = NULL;
    size_t size = 0;
    TDM_TRY(tdm__path_join(t->path, "log.txt", &path));
    if (tdm__read_file(path, SIZE_MAX >> 1, &text, &size)) goto done; /* then without */
    for (char *p = text + (t->log_begin < size ? t->log_begin : size); (p = strstr(p, mark)); p++)
        last = p;
    if (!last) goto done;
    last += sizeof mark - 1;
    last[strcspn(last, "\n")] = 0;
    t->error = tdm__strdup(last);
done:
    free(path);
    free(text);
    return status;
}

static tdm_status set_error(tdm__trial *t, const char *text)
{
    t->error = tdm__strdup(text);
    return t->error ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

/* Nobody else looks for the lock now: the experiment's own keeps others away. */
static tdm_status drop_lock(const tdm__trial *t)
{
    tdm__str path = {0};
    const tdm_status status = lock_path(t, &path);
    if (!status) unlink(path.text);
    tdm__str_free(&path);
    return status;
}

void tdm__child_tidy(const tdm__trial *t)
{
    int fd = -1;
    tdm__str path = {0};
    if (!lock_path(t, &path) && tdm__path_exists(path.text) && !tdm__lock_file(path.text, 0, &fd) &&
        fd >= 0)
        unlink(path.text);
    if (fd >= 0) close(fd);
    tdm__str_free(&path);
}

static tdm_status end(tdm_experiment *e, tdm__trial *t, int how)
{
    tdm_status status = drop_lock(t);
    if (status) return status;
    char text[64];
    const int signal_number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    t->exit = signal_number ? 128 + signal_number : WEXITSTATUS(how);
    t->pid = 0;
    t->state = TDM_RUN_FAILED;
    if (t->exit == 0) {
        TDM_TRY(tdm__survey_summary(e, t));
        if (t->state == TDM_RUN_DONE && t->stale != TDM__STALE_INPUT) goto done;
        t->stale = TDM__STALE_NO;
        if (t->staged && !t->result) { /* train.max_time was over before its last stage was */
            t->state = TDM_RUN_STOPPED;
            t->resumable = true;
            goto done;
        }
        t->state = TDM_RUN_FAILED;
        t->exit = 1;
        TDM_TRY(set_error(t, "its summary.json is not that of this run: have the configuration or "
                             "the data changed since it began?"));
    } else if (t->exit == 130 || t->exit == 143) {
        t->state = TDM_RUN_STOPPED;
        t->resumable = true;
    } else {
        TDM_TRY(find_error(t));
        if (t->error) goto done;
        snprintf(text, sizeof text, signal_number ? "ended by signal %d" : "exit code %d",
                 signal_number ? signal_number : t->exit);
        TDM_TRY(set_error(t, text));
    }
done:
    return status;
}

tdm_status tdm__child_poll(tdm_experiment *e, tdm__trial *t, bool *ended)
{
    int how;
    *ended = false;
    t->seconds = t->earlier + tdm__now() - t->began;
    const pid_t got = waitpid(t->pid, &how, WNOHANG);
    if (got == 0 || (got < 0 && errno == EINTR)) return TDM_OK;
    if (got < 0) return tdm__fail_errno(TDM_ERR_RUNTIME, "waitpid");
    *ended = true;
    return end(e, t, how);
}

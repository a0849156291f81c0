/* train/git_state.c: one call of git, in the machine-readable form of its status. */
#include "train/git_state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

extern char **environ;

#define PATIENCE_SECONDS 3.0

void tdm__git_start(tdm__git *git)
{
    /* env: status must not write the index of a repository that others work in */
    static char env[] = "env", locks[] = "GIT_OPTIONAL_LOCKS=0", program[] = "git",
                command[] = "status", branch[] = "--branch", form[] = "--porcelain=v2",
                tracked[] = "--untracked-files=no";
    char *const words[] = {env, locks, program, command, branch, form, tracked, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    *git = (tdm__git){0};
    if (pipe2(ends, O_CLOEXEC)) return;
    posix_spawn_file_actions_init(&actions);
    int code = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (!code)
        code = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (!code) code = posix_spawnp(&git->pid, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    git->fd = ends[0];
    if (code) {
        git->pid = 0;
        close(ends[0]);
    }
}

/* A line of the status: "# branch.oid COMMIT", other headings with #, and one for each change. */
static void take_line(const char *line, tdm__git_state *out)
{
    static const char head[] = "# branch.oid ";
    size_t n = 0;
    if (*line != '#') {
        out->dirty |= *line != 0;
        return;
    }
    if (strncmp(line, head, sizeof head - 1) != 0) return;
    line += sizeof head - 1;
    while (isxdigit((unsigned char)line[n]) && n < sizeof out->commit - 1) n++;
    memcpy(out->commit, line, line[n] ? 0 : n); /* "(initial)": there is none yet */
    out->commit[line[n] ? 0 : n] = 0;
}

/* False: it took too long. */
static bool read_all(const tdm__git *git, tdm__git_state *out)
{
    const double until = tdm__now() + PATIENCE_SECONDS;
    char line[512], block[4096];
    size_t length = 0;
    for (;;) {
        struct pollfd p = {.fd = git->fd, .events = POLLIN};
        const double left = until - tdm__now();
        if (left <= 0) return false;
        if (poll(&p, 1, (int)(left * 1000) + 1) < 1) continue;
        const ssize_t n = read(git->fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n == 0;
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != '\n') {
                if (length < sizeof line - 1) line[length++] = block[i];
                continue;
            }
            line[length] = 0;
            length = 0;
            take_line(line, out);
        }
    }
}

void tdm__git_finish(tdm__git *git, tdm__git_state *out)
{
    int how = 0;
    *out = (tdm__git_state){0};
    if (!git->pid) return;
    const bool done = read_all(git, out);
    if (!done) kill(git->pid, SIGKILL);
    close(git->fd);
    while (waitpid(git->pid, &how, 0) < 0 && errno == EINTR) continue;
    if (!done || !WIFEXITED(how) || WEXITSTATUS(how) != 0) *out = (tdm__git_state){0};
    *git = (tdm__git){0};
}

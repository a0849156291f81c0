/* console.c: what is printed where. Chatter goes to stderr around one changing line at the bottom
 * (the bar), data to stdout. The library's log arrives from any thread, hence the lock. */
#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    bool quiet, terminal, color;
    char *bar; /* what stands at the bottom now, or NULL */
    int lost;  /* errno of the first write to stdout that failed */
} console = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Noreturn static void out_of_memory(void)
{
    fputs("tandem: error: out of memory\n", stderr);
    exit(tdm_status_exit_code(TDM_ERR_NOMEM));
}

void *cli_alloc(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p) out_of_memory();
    return p;
}

char *cli_vformat(const char *format, va_list list)
{
    char *text = NULL;
    if (vasprintf(&text, format, list) < 0) out_of_memory();
    return text;
}

char *cli_format(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = cli_vformat(format, list);
    va_end(list);
    return text;
}

FILE *cli_memory(char **text, size_t *size)
{
    *text = NULL;
    FILE *out = open_memstream(text, size);
    if (!out) out_of_memory();
    return out;
}

/* ---- lines on stderr ------------------------------------------------------------------------- */

/* Messages quote names of files and devices: no control character of theirs reaches the terminal.
 */
static void tame(char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f) *text = '?';
    }
}

/* With the lock held. One write for the whole line, the bar drawn again below it. */
static void print_line(const char *head, const char *color, char *text)
{
    const char *on = console.color && *color ? color : "", *off = *on ? "\033[0m" : "";
    tame(text);
    char *line = cli_format("%s%s%s%s%s\n%s", console.bar ? "\r\033[K" : "", on, head, off, text,
                            console.bar ? console.bar : "");
    fputs(line, stderr);
    fflush(stderr);
    free(line);
}

static void say(const char *head, const char *color, bool chatter, const char *format, va_list list)
    CLI_PRINTF(4, 0);
static void say(const char *head, const char *color, bool chatter, const char *format, va_list list)
{
    char *text = cli_vformat(format, list);
    pthread_mutex_lock(&console.lock);
    if (!chatter || !console.quiet) print_line(head, color, text);
    pthread_mutex_unlock(&console.lock);
    free(text);
}

void cli_note(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("", "", true, format, list);
    va_end(list);
}

void cli_warning(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("tandem: warning: ", "\033[33m", false, format, list);
    va_end(list);
}

void cli_error(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("tandem: error: ", "\033[1;31m", false, format, list);
    va_end(list);
}

static void say_plain(const char *format, ...) CLI_PRINTF(1, 2);
static void say_plain(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say("tandem: ", "", false, format, list);
    va_end(list);
}

void cli_see_help(const char *command)
{
    say_plain("see `tandem%s%s --help`", *command ? " " : "", command);
}

int cli_fail(const cli_command *command, tdm_status status)
{
    const char *message = tdm_last_error();
    cli_bar("");
    if (!*message) message = tdm_status_text(status);
    if (status == TDM_ERR_INTERRUPTED || status == TDM_ERR_TERMINATED)
        say_plain("%s", message); /* what was asked for is no error */
    else
        cli_error("%s", message);
    if (status == TDM_ERR_USAGE) cli_see_help(command->name);
    return tdm_status_exit_code(status);
}

static void receive_log(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    switch (level) {
    case TDM_LOG_ERROR:
        cli_error("%s", line);
        break;
    case TDM_LOG_WARN:
        cli_warning("%s", line);
        break;
    case TDM_LOG_INFO:
    case TDM_LOG_DEBUG:
        cli_note("%s", line);
        break;
    }
}

/* ---- the terminal ---------------------------------------------------------------------------- */

void cli_console_start(void)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    console.terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    console.color = console.terminal && !(no_color && *no_color);
    tdm_set_log(receive_log, NULL, TDM_LOG_INFO);
}

void cli_console_quiet(void)
{
    console.quiet = true;
}

bool cli_console_is_terminal(void)
{
    return console.terminal;
}

int cli_console_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

void cli_bar(const char *line)
{
    pthread_mutex_lock(&console.lock);
    if (!console.quiet && (*line || console.bar)) {
        fprintf(stderr, "\r\033[K%s", line);
        fflush(stderr);
        free(console.bar);
        console.bar = *line ? cli_format("%s", line) : NULL;
    }
    pthread_mutex_unlock(&console.lock);
}

void cli_bar_draw(char *out, size_t size, int width, double fraction)
{
    char cells[128];
    int inside = width - 2 < (int)sizeof cells - 1 ? width - 2 : (int)sizeof cells - 1;
    if (inside < 1) inside = 1;
    if (!(fraction > 0)) fraction = 0;
    if (fraction > 1) fraction = 1;
    const int done = (int)(fraction * inside);
    memset(cells, '=', (size_t)done);
    memset(cells + done, ' ', (size_t)(inside - done));
    if (done < inside) cells[done] = '>';
    cells[inside] = 0;
    snprintf(out, size, "[%s]", cells);
}

/* ---- stdout ---------------------------------------------------------------------------------- */

void cli_data(const char *text)
{
    const bool failed = fputs(text, stdout) < 0;
    if ((fflush(stdout) || failed) && !console.lost) console.lost = errno;
}

int cli_finish(int code)
{
    cli_bar("");
    cli_data("");
    if (fclose(stdout) && !console.lost) console.lost = errno;
    if (!console.lost) return code;
    /* A reader that went away wanted no more: nothing to tell. */
    if (console.lost != EPIPE) cli_error("stdout: %s", strerror(console.lost));
    return code ? code : tdm_status_exit_code(TDM_ERR_IO);
}

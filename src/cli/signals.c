/* signals.c: SIGINT and SIGTERM. Only calls that are allowed in a signal handler are made in it. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught, guarded;
static void (*volatile stop_work)(tdm_status);

static tdm_status status_of(int number)
{
    if (number == 0) return TDM_OK;
    return number == SIGINT ? TDM_ERR_INTERRUPTED : TDM_ERR_TERMINATED;
}

static void on_signal(int number)
{
    static const char text[] =
        "\ntandem: finishing this step and saving; once more ends it at once\n";
    const int saved = errno;
    if (caught || !guarded) _exit(128 + number);
    caught = number;
    if (stop_work) {
        const ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
        (void)written;
        stop_work(status_of(number));
    }
    errno = saved;
}

void cli_signals_start(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    /* Also where a shell that started us in the background had them ignored: whoever sends one of
     * them by name means it. */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void cli_signals_guard(void (*stop)(tdm_status))
{
    stop_work = stop;
    guarded = 1;
}

void cli_signals_release(void)
{
    guarded = 0;
    stop_work = NULL;
}

tdm_status cli_signals_status(void)
{
    return status_of(caught);
}

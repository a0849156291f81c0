/* main.c: finding the command. */
#include "cli.h"

#include <signal.h>
#include <string.h>

static const cli_command *const commands[] = {
    &cli_devices,    &cli_data_import, &cli_data_info,  &cli_train,     &cli_eval,
    &cli_predict,    &cli_config_show, &cli_bench_step, &cli_bench_ops, &cli_bench_conv,
    &cli_bench_load, &cli_bench_tune,  &cli_runs_list,  &cli_runs_show, &cli_runs_compare,
    &cli_runs_rm,    &cli_report,      &cli_experiment,
};

static const char environment[] =
    "  TANDEM_DEVICE      the device where no flag names one\n"
    "  TANDEM_CACHE_DIR   compiled kernels, tuning files (nothing given: ~/.cache/tandem)\n"
    "  TANDEM_CACHE=off   no cache\n"
    "  TANDEM_TUNE        auto, off or a tuning file, as tune.file\n"
    "  NO_COLOR           no colours\n";
static const char exit_codes[] =
    "  0 done, 1 runtime error, 2 usage or configuration, 3 data, 4 device or kernel,\n"
    "  5 training diverged, 6 out of memory, 130 and 143 stopped by a signal\n";

/* Whether the words of a command's name begin with `word`: "data import" with "data". */
static bool begins_with(const cli_command *command, const char *word)
{
    const size_t n = strlen(word);
    return !strncmp(command->name, word, n) && command->name[n] == ' ';
}

/* Prints the commands whose name begins with `word` (NULL: all). */
static void list_commands(const char *word)
{
    for (size_t i = 0; i < CLI_COUNT(commands); i++) {
        if (word && !begins_with(commands[i], word)) continue;
        printf("  %-12s ", commands[i]->name);
        cli_wrap(stdout, commands[i]->summary, 15, 15);
    }
}

static void help(void)
{
    printf("usage: tandem COMMAND [options]\n\n"
           "Trains multi-task and transfer-learning models on any OpenCL device.\n\ncommands:\n");
    list_commands(NULL);
    printf("\n`tandem COMMAND --help` explains a command. `tandem --version` tells the version.\n"
           "\nenvironment:\n%s\nexit codes:\n%s",
           environment, exit_codes);
}

static bool asks_for_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h");
}

/* No command is called `word`. */
static int refuse(const char *word)
{
    const char *names[CLI_COUNT(commands)];
    char first[CLI_COUNT(commands)][16];
    for (size_t i = 0; i < CLI_COUNT(commands); i++) {
        snprintf(first[i], sizeof first[i], "%.*s", (int)strcspn(commands[i]->name, " "),
                 commands[i]->name);
        names[i] = first[i];
    }
    const char *near = tdm_suggest(word, names, CLI_COUNT(commands));
    const char *what = word[0] == '-' ? "option" : "command";
    if (near)
        cli_error("unknown %s `%s` (did you mean `%s`?)", what, word, near);
    else
        cli_error("unknown %s `%s`", what, word);
    cli_see_help("");
    return tdm_status_exit_code(TDM_ERR_USAGE);
}

/* `word` is the first word of several commands, and `second` (which may be NULL) of none. */
static int group_help(const char *word, const char *second)
{
    const char *names[CLI_COUNT(commands)];
    size_t n = 0;
    for (size_t i = 0; i < CLI_COUNT(commands); i++)
        if (begins_with(commands[i], word)) names[n++] = commands[i]->name + strlen(word) + 1;
    if (second && asks_for_help(second)) {
        printf("usage: tandem %s COMMAND [options]\n\ncommands:\n", word);
        list_commands(word);
        printf("\n`tandem %s COMMAND --help` explains a command.\n", word);
        return 0;
    }
    const char *near = second ? tdm_suggest(second, names, n) : NULL;
    if (!second)
        cli_error("%s: its command is missing", word);
    else if (near)
        cli_error("%s: unknown command `%s` (did you mean `%s %s`?)", word, second, word, near);
    else
        cli_error("%s: unknown command `%s`", word, second);
    cli_see_help(word);
    return tdm_status_exit_code(TDM_ERR_USAGE);
}

static int run(const cli_command *command, int argc, char **argv)
{
    cli_args args;
    const int code = cli_args_parse(command, argc, argv, &args);
    if (code >= 0) return code;
    const int result = command->run(&args);
    cli_args_free(&args);
    return result;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_error("a command is missing");
        cli_see_help("");
        return tdm_status_exit_code(TDM_ERR_USAGE);
    }
    if (asks_for_help(argv[1])) {
        help();
        return 0;
    }
    if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
        printf("tandem %s\n", TANDEM_VERSION);
        return 0;
    }
    bool group = false;
    for (size_t i = 0; i < CLI_COUNT(commands); i++) {
        const cli_command *c = commands[i];
        if (!strcmp(c->name, argv[1])) return run(c, argc - 1, argv + 1);
        if (!begins_with(c, argv[1])) continue;
        group = true;
        if (argc > 2 && !strcmp(c->name + strlen(argv[1]) + 1, argv[2]))
            return run(c, argc - 2, argv + 2);
    }
    return group ? group_help(argv[1], argc > 2 ? argv[2] : NULL) : refuse(argv[1]);
}

int main(int argc, char **argv)
{
    /* A file that would grow beyond a limit is an error with a message, like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    cli_console_start();
    return cli_finish(dispatch(argc, argv));
}

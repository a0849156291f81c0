/* cli/cli.h: what the files of the command line share.
 *
 * Only the public headers <tandem/...> are used: everything here can be done by any program that
 * links the library. Data goes to stdout, everything else to stderr. Unlike the library, the
 * command line may exit; it does so only when memory is out, or on a second signal.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <tandem/config.h>
#include <tandem/status.h>
#include <tandem/train.h>

#define CLI_COUNT(array) (sizeof(array) / sizeof *(array))
#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* ---- commands and their arguments (args.c) --------------------------------------------------- */

typedef enum cli_option_use {
    CLI_READ,  /* the command looks at it */
    CLI_SET,   /* sets the configuration key `key` */
    CLI_TIME,  /* the same; 90, 90s, 10m, 1h30m become seconds */
    CLI_LIST,  /* the same; repeated options make a list */
    CLI_ASSIGN /* its argument is key=value */
} cli_option_use;

/* One flag: parsing, help and the change to the configuration all come from here. */
typedef struct cli_option {
    const char *name; /* "seed" is --seed */
    const char *arg;  /* "N"; "[PATH]": may be left out; NULL: takes none (and sets "true") */
    const char *help;
    cli_option_use use;
    const char *key;
    const char *absent; /* what "[PATH]" left out means */
    bool required;
} cli_option;

typedef struct cli_group {
    const char *title;
    const cli_option *options;
    size_t n;
} cli_group;

typedef struct cli_args cli_args;

typedef struct cli_command {
    const char *name;               /* "train", "data import" */
    const char *const *positionals; /* "CONFIG", "[CONFIG]" where it may be left out; NULL ends */
    /* (the last may be "INPUT...": one or more) */
    const char *summary;              /* one line of `tandem --help` */
    const char *details;              /* further text of `tandem NAME --help`; may be NULL */
    const cli_group *const *groups;   /* NULL ends; may be NULL */
    int (*run)(const cli_args *args); /* returns the exit code */
    void (*more_help)(void);          /* NULL, or what help says after the options */
} cli_command;

typedef struct cli_given {
    const cli_option *option;
    const char *value; /* NULL: left out, or the option takes none */
} cli_given;

struct cli_args {
    const cli_command *command;
    const char **positionals;
    size_t n_positionals;
    cli_given *given; /* in the order of the command line */
    size_t n_given;
};

/* argv[0] is the command's name. Returns -1 to go on (then cli_args_free), else the exit code: 0
 * after --help, 2 after a message about what is wrong. */
int cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *out);
void cli_args_free(cli_args *args);
bool cli_has(const cli_args *args, const char *option);
/* The last value of an option, or NULL. */
const char *cli_value(const cli_args *args, const char *option);
/* NULL when there are fewer. */
const char *cli_positional(const cli_args *args, size_t index);
/* What is wrong with the command line and how to get help, on stderr. Returns 2. */
int cli_usage_error(const cli_command *command, const char *format, ...) CLI_PRINTF(2, 3);
void cli_help(const cli_command *command);
/* Words of `text` wrapped at 80 columns, all lines but the first indented. */
void cli_wrap(FILE *out, const char *text, int column, int indent);

/* ---- terminal and messages (console.c) ------------------------------------------------------- */

void cli_console_start(void);       /* also receives the library's log */
void cli_console_quiet(void);       /* no chatter from now on: warnings and errors only */
bool cli_console_is_terminal(void); /* stderr: can draw a bar */
int cli_console_width(void);        /* of stderr; 80 when it is not known */

/* A line of chatter, on stderr. */
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);
/* `tandem: error: ...`, `tandem: warning: ...` */
void cli_error(const char *format, ...) CLI_PRINTF(1, 2);
void cli_warning(const char *format, ...) CLI_PRINTF(1, 2);
/* "see `tandem COMMAND --help`"; command may be "". */
void cli_see_help(const char *command);
/* The library's message for a failed call. Returns the exit code. */
int cli_fail(const cli_command *command, tdm_status status);
/* Replaces the line at the bottom of the terminal, which notes scroll past; "" removes it. */
void cli_bar(const char *line);
/* "[=====>    ]" of `width` columns in all. */
void cli_bar_draw(char *out, size_t size, int width, double fraction);
/* Text for stdout as it is, at once. */
void cli_data(const char *text);
/* The exit code of the process: `code`, or 1 when stdout could not be written. */
int cli_finish(int code);

/* Stops the process when memory is out. */
void *cli_alloc(size_t n, size_t size);
char *cli_format(const char *format, ...) CLI_PRINTF(1, 2);
FILE *cli_memory(char **text, size_t *size); /* open_memstream */
char *cli_vformat(const char *format, va_list list) CLI_PRINTF(1, 0);

/* ---- configuration (overrides.c) ------------------------------------------------------------- */

extern const cli_group cli_device_group, cli_set_group, cli_train_group;

/* Loads `path` (NULL: none), then the environment, then the flags in their order; resolves. Returns
 * -1 to go on, else the exit code after a message. Nothing is left behind on failure. */
int cli_config(const cli_args *args, const char *path, tdm_config **out);
/* The environment and the flags as "key=value" texts. */
int cli_assignments(const cli_args *args, char ***out, size_t *n);
void cli_assignments_free(char **texts, size_t n);

/* ---- progress of training and evaluating (progress.c) ---------------------------------------- */

typedef enum cli_progress_mode {
    CLI_PROGRESS_BAR,   /* a line that changes, on a terminal */
    CLI_PROGRESS_PLAIN, /* a line now and then */
    CLI_PROGRESS_NONE
} cli_progress_mode;

typedef struct cli_progress {
    cli_progress_mode mode;
    bool json;   /* epoch reports as JSON lines on stdout */
    double last; /* when the last plain line was printed */
    char *table; /* results on the test split, once there are any */
} cli_progress;

/* choice: "auto", "bar", "plain", "none"; NULL: auto. False: it is none of these. */
bool cli_progress_start(cli_progress *progress, const char *choice, bool json);
tdm_train_events cli_progress_events(cli_progress *progress);
void cli_progress_free(cli_progress *progress);
/* A row for each task, a column for each of its numbers. free() it. */
char *cli_report_table(const tdm_epoch_report *report);

/* ---- signals (signals.c) --------------------------------------------------------------------- */

/* From now on SIGINT and SIGTERM end the process with 130 and 143: at once, or after the work that
 * is given to cli_signals_guard has stopped by itself; a second one ends it at once. */
void cli_signals_start(void);
/* A signal calls `stop`, which must be async-signal-safe, or (NULL) is only noted, until
 * cli_signals_release. */
void cli_signals_guard(void (*stop)(tdm_status status));
void cli_signals_release(void);
/* TDM_ERR_INTERRUPTED or TDM_ERR_TERMINATED after a signal, else TDM_OK. */
tdm_status cli_signals_status(void);

/* ---- the commands ---------------------------------------------------------------------------- */

extern const cli_command cli_devices, cli_data_import, cli_data_info, cli_train, cli_eval,
    cli_predict, cli_config_show, cli_bench_step, cli_bench_ops, cli_bench_conv, cli_bench_load,
    cli_bench_tune, cli_runs_list, cli_runs_show, cli_runs_compare, cli_runs_rm, cli_report,
    cli_experiment;

#endif

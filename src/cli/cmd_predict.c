/* cmd_predict.c: `tandem predict`. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/predict.h>

static const cli_option options[] = {
    {"out", "DIR", "folder of what is written", .required = true},
    {"split", "S", "of data sets: train, val, test (nothing given: test)"},
    {"rows", "LIST", "which samples of the split, e.g. 0,5,10-19"},
    {"limit", "N", "at most so many samples of each input"},
    {"no-pictures", NULL, "arrays and predictions.jsonl only"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_option config_options[] = {
    {"batch-size", "N", "samples a step", CLI_SET, "train.batch_size"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group config_group = {"loading", config_options, CLI_COUNT(config_options)};
static const cli_group *const groups[] = {&group, &config_group, &cli_set_group, &cli_device_group,
                                          NULL};
static const char *const positionals[] = {"RUN|CHECKPOINT", "INPUT...", NULL};

/* ---- --rows ------------------------------------------------------------------------------------
 */

enum { ROWS_MOST = 1 << 24 };

typedef struct row_list {
    uint64_t *rows;
    size_t n, capacity;
} row_list;

/* Digits at *text, which moves behind them. */
static bool parse_number(const char **text, uint64_t *out)
{
    char *end;
    if (**text < '0' || **text > '9') return false;
    errno = 0;
    *out = strtoull(*text, &end, 10);
    *text = end;
    return !errno;
}

static void add_row(row_list *list, uint64_t row)
{
    if (list->n == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        uint64_t *rows = cli_alloc(capacity, sizeof *rows);
        if (list->n) memcpy(rows, list->rows, list->n * sizeof *rows);
        free(list->rows);
        list->rows = rows;
        list->capacity = capacity;
    }
    list->rows[list->n++] = row;
}

/* "0,5,10-19", ascending. */
static bool parse_rows(const char *text, row_list *list)
{
    while (*text) {
        uint64_t first, last;
        if (!parse_number(&text, &first)) return false;
        last = first;
        if (*text == '-' && (text++, !parse_number(&text, &last))) return false;
        if (last < first || last - first > ROWS_MOST) return false;
        if (list->n && first <= list->rows[list->n - 1]) return false;
        for (uint64_t r = first; r <= last; r++) add_row(list, r);
        if (*text && *text++ != ',') return false;
    }
    return list->n > 0;
}

/* ---- the command -------------------------------------------------------------------------------
 */

static int on_progress(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    char bar[64];
    if (cli_console_is_terminal() && total) {
        cli_bar_draw(bar, sizeof bar, 32, (double)done / (double)total);
        char *line = cli_format("predict %s %llu of %llu samples", bar, (unsigned long long)done,
                                (unsigned long long)total);
        cli_bar(line);
        free(line);
    }
    return cli_signals_status() != TDM_OK;
}

static int predict(const cli_args *args, tdm_predict_spec *spec)
{
    char **assignments = NULL;
    tdm_predict_result result;
    const int code = cli_assignments(args, &assignments, &spec->n_assignments);
    if (code >= 0) return code;
    spec->assignments = (const char *const *)assignments;
    if (cli_has(args, "quiet")) cli_console_quiet();
    cli_signals_guard(NULL);
    const tdm_status status = tdm_predict(spec, &result);
    const tdm_status stopped = cli_signals_status();
    cli_signals_release();
    cli_bar("");
    if (!status)
        cli_note("%llu samples: %s/predictions.jsonl", (unsigned long long)result.samples,
                 spec->out);
    cli_assignments_free(assignments, spec->n_assignments);
    return status ? cli_fail(args->command, status == TDM_ERR_INTERRUPTED ? stopped : status) : 0;
}

static int run(const cli_args *args)
{
    tdm_predict_spec spec = {.checkpoint = cli_positional(args, 0),
                             .inputs = args->positionals + 1,
                             .n_inputs = args->n_positionals - 1,
                             .out = cli_value(args, "out"),
                             .split = cli_value(args, "split"),
                             .no_pictures = cli_has(args, "no-pictures"),
                             .progress = on_progress};
    const char *rows = cli_value(args, "rows"), *limit = cli_value(args, "limit");
    row_list list = {0};
    int code;
    if (limit && (!parse_number(&limit, &spec.limit) || *limit || spec.limit == 0))
        return cli_usage_error(args->command, "--limit: must be a whole number of 1 or more");
    if (rows && !parse_rows(rows, &list)) {
        code = cli_usage_error(args->command, "--rows: must be ascending, like 0,5,10-19");
    } else {
        spec.rows = list.rows;
        spec.n_rows = list.n;
        code = predict(args, &spec);
    }
    free(list.rows);
    return code;
}

const cli_command cli_predict = {
    "predict",
    positionals,
    "write what a network says about samples: arrays and pictures",
    "INPUT is a data set, a picture (PNG, JPEG) or a folder of pictures. For each sample DIR gets "
    "an "
    "array for each task (NAME.TASK.npy), a picture (NAME.png) and a line of predictions.jsonl.",
    groups,
    run};

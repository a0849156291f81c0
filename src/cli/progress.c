/* progress.c: what training and evaluating look like: a bar or plain lines while a pass runs, one
 * line for each epoch and split, a table of the results. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TABLE_WIDTH = 80,
    PLAIN_SECONDS = 15, /* between plain lines */
    BAR_LEAST = 8,      /* columns of the bar itself */
    BAR_MOST = 32,
    NUMBER = 24 /* bytes that hold any number below */
};

/* ---- numbers --------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Four figures after the point where they say something. */
static const char *number_text(double value, char out[NUMBER])
{
    const double size = fabs(value);
    if (isnan(value))
        snprintf(out, NUMBER, "-");
    else if (size != 0 && (size < 1e-3 || size >= 1e5))
        snprintf(out, NUMBER, "%.3e", value);
    else
        snprintf(out, NUMBER, "%.4f", value);
    return out;
}

/* "1:02:03", "2:03" */
static const char *clock_text(double seconds, char out[NUMBER])
{
    const long s = seconds >= 0 && seconds < 1e8 ? lround(seconds) : -1;
    if (s < 0)
        snprintf(out, NUMBER, "-:--");
    else if (s >= 3600)
        snprintf(out, NUMBER, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, NUMBER, "%ld:%02ld", s / 60, s % 60);
    return out;
}

/* ---- the running pass ------------------------------------------------------------------------ */

static double fraction_of(const tdm_progress *p)
{
    return p->steps > 0 ? (double)p->step / (double)p->steps : 0;
}

/* `prefix` and "3/20 train"; a checkpoint that is measured alone, or after the last epoch, has no
 * epoch. */
static char *pass_text(const char *prefix, int64_t epoch, int64_t epochs, const char *split)
{
    if (epoch <= 0 || epoch > epochs) return cli_format("%s", split);
    char most[NUMBER];
    const int width = snprintf(most, sizeof most, "%lld", (long long)epochs);
    return cli_format("%s%*lld/%s %-5s", prefix, width, (long long)epoch, most, split);
}

/* Rate, time left, share of waiting, and the losses: of every task, else (not to be wider than
 * `room`) the total. */
static char *state_text(const tdm_progress *p, size_t room)
{
    char eta[NUMBER], number[NUMBER];
    char *head =
        cli_format("%3.0f%% %.0f/s eta %s wait %.1f%%", 100 * fraction_of(p), p->samples_per_second,
                   clock_text(p->eta_seconds, eta), 100 * p->wait_share);
    char *text = cli_format("%s", head);
    for (size_t i = 0; i < p->n_tasks; i++) {
        char *longer = cli_format("%s %s %s", text, p->names[i], number_text(p->losses[i], number));
        free(text);
        text = longer;
    }
    if (strlen(text) > room) {
        free(text);
        text = cli_format("%s loss %s", head, number_text(p->total, number));
    }
    free(head);
    return text;
}

static void show_bar(const tdm_progress *p)
{
    char bar[BAR_MOST + 1];
    char *pass = pass_text("", p->epoch, p->epochs, p->split);
    const int width = cli_console_width() - 1, room = width - (int)strlen(pass) - 2;
    char *state = state_text(p, room > BAR_LEAST ? (size_t)(room - BAR_LEAST) : 0);
    int size = room - (int)strlen(state);
    if (size > BAR_MOST) size = BAR_MOST;
    char *line;
    if (size >= BAR_LEAST) {
        cli_bar_draw(bar, sizeof bar, size, fraction_of(p));
        line = cli_format("%s %s %s", pass, bar, state);
    } else {
        line = cli_format("%s %s", pass, state);
        if (width > 0 && strlen(line) > (size_t)width) line[width] = 0;
    }
    cli_bar(line);
    free(line);
    free(state);
    free(pass);
}

static void show_plain(cli_progress *progress, const tdm_progress *p)
{
    if (now() - progress->last < PLAIN_SECONDS) return;
    progress->last = now();
    char *pass = pass_text("epoch ", p->epoch, p->epochs, p->split);
    char *state = state_text(p, SIZE_MAX);
    cli_note("%s step %lld/%lld %s", pass, (long long)p->step, (long long)p->steps, state);
    free(state);
    free(pass);
}

static void on_progress(void *user, const tdm_progress *p)
{
    cli_progress *progress = user;
    if (progress->mode == CLI_PROGRESS_BAR) show_bar(p);
    if (progress->mode == CLI_PROGRESS_PLAIN) show_plain(progress, p);
}

/* ---- a pass that is done --------------------------------------------------------------------- */

/* Appends `part` to the line, or to a new line below it when the terminal is too narrow. */
static void line_add(char **line, size_t *column, const char *part, size_t width)
{
    const bool fits = *column + 2 + strlen(part) <= width;
    char *longer = cli_format("%s%s%s", *line, fits ? "  " : "\n    ", part);
    *column = (fits ? *column + 2 : 4) + strlen(part);
    free(*line);
    *line = longer;
}

static char *task_text(const tdm_task_report *t)
{
    char number[NUMBER];
    char *text = cli_format("%s %s", t->name, number_text(t->loss, number));
    for (size_t m = 0; m < t->n_metrics; m++) {
        char *longer = cli_format("%s%s%s %s", text, m ? ", " : " (", t->metrics[m].name,
                                  number_text(t->metrics[m].value, number));
        free(text);
        text = longer;
    }
    if (t->n_metrics == 0) return text;
    char *closed = cli_format("%s)", text);
    free(text);
    return closed;
}

static void show_epoch(const tdm_epoch_report *r)
{
    char total[NUMBER];
    /* Where no terminal sets a width, one line is easier to search. */
    const size_t width = cli_console_is_terminal() ? (size_t)cli_console_width() : SIZE_MAX;
    char *line = pass_text("epoch ", r->epoch, r->epochs, r->split);
    size_t column = strlen(line);
    char *part = cli_format("total %s", number_text(r->total, total));
    line_add(&line, &column, part, width);
    free(part);
    if (!isnan(r->penalty)) {
        part = cli_format("penalty %s", number_text(r->penalty, total));
        line_add(&line, &column, part, width);
        free(part);
    }
    if (r->features) {
        part = cli_format("%lld of %lld features", (long long)r->features_kept,
                          (long long)r->features);
        line_add(&line, &column, part, width);
        free(part);
    }
    for (size_t t = 0; t < r->n_tasks; t++) {
        part = task_text(&r->tasks[t]);
        line_add(&line, &column, part, width);
        free(part);
    }
    const double rate = r->seconds > 0 ? (double)r->samples / r->seconds : 0;
    part = cli_format("%.1f s, %.0f/s, wait %.1f%%%s", r->seconds, rate, 100 * r->wait_share,
                      r->best ? ", best" : "");
    line_add(&line, &column, part, width);
    free(part);
    cli_bar("");
    cli_note("%s", line);
    free(line);
}

/* ---- balancing: a table after each epoch of training
 * ---------------------------------------------- */

static bool is_balanced(const tdm_epoch_report *r)
{
    bool any = r->balance != NULL;
    for (size_t t = 0; t < r->n_tasks; t++) any |= r->tasks[t].weight != 1;
    return any && r->n_tasks > 1 && !strcmp(r->split, "train");
}

/* Weight, loss against the first epoch's, norm of the gradient, its cosines with the other tasks'.
 */
static void show_balance(const tdm_epoch_report *r)
{
    enum { COLUMN = 10, COSINES = 8 }; /* more tasks than that do not fit a line */
    char number[NUMBER], *text;
    size_t size;
    int first = (int)strlen("balance");
    FILE *out = cli_memory(&text, &size);
    for (size_t t = 0; t < r->n_tasks; t++)
        if ((int)strlen(r->tasks[t].name) > first) first = (int)strlen(r->tasks[t].name);
    fprintf(out, "  %-*s%*s%*s", first, "balance", COLUMN, "weight", COLUMN, "loss/1st");
    if (r->balance) fprintf(out, "%*s  cosines", COLUMN, "gradient");
    for (size_t t = 0; t < r->n_tasks; t++) {
        const tdm_task_report *task = &r->tasks[t];
        fprintf(out, "\n  %-*s", first, task->name);
        fprintf(out, "%*s", COLUMN, number_text(task->weight, number));
        fprintf(out, "%*s", COLUMN, number_text(task->loss_ratio, number));
        if (!r->balance) continue;
        fprintf(out, "%*s", COLUMN, number_text(task->gradient_norm, number));
        for (size_t k = 0; k < r->n_tasks && k < COSINES; k++) {
            const double cosine = r->balance->cosines[t * r->n_tasks + k];
            if (isnan(cosine)) /* never in one batch */
                fprintf(out, " %6s", "-");
            else
                fprintf(out, " %6.3f", cosine);
        }
    }
    if (r->balance)
        fprintf(out, "\n  conflicts %.0f%%, condition 10^%.1f%s", 100 * r->balance->conflict_share,
                r->balance->condition_log10,
                r->balance->stationary_share > 0 ? ", some steps without a solution" : "");
    fclose(out);
    cli_note("%s", text);
    free(text);
}

static void on_epoch(void *user, const tdm_epoch_report *r)
{
    cli_progress *progress = user;
    progress->last = now();
    show_epoch(r);
    if (is_balanced(r)) show_balance(r);
    if (!strcmp(r->split, "test")) {
        free(progress->table);
        progress->table = cli_report_table(r);
    }
    if (!progress->json) return;
    char *json = NULL;
    const tdm_status status = tdm_epoch_report_json(r, &json);
    if (status) {
        cli_warning("report as JSON: %s", tdm_last_error());
        return;
    }
    cli_data(json);
    cli_data("\n");
    free(json);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* Every metric of any task, once, in the order of their appearance. */
static const char **list_metrics(const tdm_epoch_report *r, size_t *n)
{
    size_t most = 0;
    for (size_t t = 0; t < r->n_tasks; t++) most += r->tasks[t].n_metrics;
    const char **names = cli_alloc(most, sizeof *names);
    *n = 0;
    for (size_t t = 0; t < r->n_tasks; t++)
        for (size_t m = 0; m < r->tasks[t].n_metrics; m++) {
            size_t i = 0;
            while (i < *n && strcmp(names[i], r->tasks[t].metrics[m].name) != 0) i++;
            if (i == *n) names[(*n)++] = r->tasks[t].metrics[m].name;
        }
    return names;
}

/* The number in a row; column 0 is the loss, 1 the weight, then the metrics. "-" where the task has
 * no such metric. */
static const char *cell_text(const tdm_task_report *t, size_t column, const char *const *names,
                             char out[NUMBER])
{
    if (column == 0) return number_text(t->loss, out);
    if (column == 1) return number_text(t->weight, out);
    for (size_t m = 0; m < t->n_metrics; m++)
        if (!strcmp(t->metrics[m].name, names[column - 2]))
            return number_text(t->metrics[m].value, out);
    return number_text(NAN, out);
}

static bool has_any(const tdm_task_report *t, size_t begin, size_t end, const char *const *names)
{
    char number[NUMBER];
    for (size_t c = begin; c < end; c++)
        if (strcmp(cell_text(t, c, names, number), "-") != 0) return true;
    return false;
}

static const char *column_name(size_t column, const char *const *names)
{
    return column == 0 ? "loss" : column == 1 ? "weight" : names[column - 2];
}

static int column_width(const tdm_epoch_report *r, size_t column, const char *const *names)
{
    char number[NUMBER];
    size_t width = strlen(column_name(column, names));
    for (size_t t = 0; t < r->n_tasks; t++) {
        const size_t n = strlen(cell_text(&r->tasks[t], column, names, number));
        if (n > width) width = n;
    }
    return (int)width + 2;
}

/* Columns [begin, end) of all rows that have any of them. */
static void table_block(FILE *out, const tdm_epoch_report *r, const char *const *names, int first,
                        size_t begin, size_t end)
{
    char number[NUMBER];
    fprintf(out, "%-*s", first, r->split);
    for (size_t c = begin; c < end; c++)
        fprintf(out, "%*s", column_width(r, c, names), column_name(c, names));
    for (size_t t = 0; t < r->n_tasks; t++) {
        if (!has_any(&r->tasks[t], begin, end, names)) continue;
        fprintf(out, "\n%-*s", first, r->tasks[t].name);
        for (size_t c = begin; c < end; c++)
            fprintf(out, "%*s", column_width(r, c, names),
                    cell_text(&r->tasks[t], c, names, number));
    }
    fputc('\n', out);
}

char *cli_report_table(const tdm_epoch_report *r)
{
    size_t n, size;
    char *text;
    FILE *out = cli_memory(&text, &size);
    const char **names = list_metrics(r, &n);
    int first = (int)strlen(r->split);
    for (size_t t = 0; t < r->n_tasks; t++)
        if ((int)strlen(r->tasks[t].name) > first) first = (int)strlen(r->tasks[t].name);
    for (size_t c = 0; c < n + 2;) {
        int width = first;
        const size_t begin = c;
        while (c < n + 2 && (c == begin || width + column_width(r, c, names) <= TABLE_WIDTH))
            width += column_width(r, c++, names);
        if (begin > 0) fputc('\n', out);
        table_block(out, r, names, first, begin, c);
    }
    fclose(out);
    free(names);
    return text;
}

/* ---- set-up ---------------------------------------------------------------------------------- */

bool cli_progress_start(cli_progress *progress, const char *choice, bool json)
{
    *progress = (cli_progress){.json = json, .last = now()};
    if (!choice || !strcmp(choice, "auto"))
        progress->mode = cli_console_is_terminal() ? CLI_PROGRESS_BAR : CLI_PROGRESS_PLAIN;
    else if (!strcmp(choice, "bar"))
        progress->mode = CLI_PROGRESS_BAR;
    else if (!strcmp(choice, "plain"))
        progress->mode = CLI_PROGRESS_PLAIN;
    else if (!strcmp(choice, "none"))
        progress->mode = CLI_PROGRESS_NONE;
    else
        return false;
    return true;
}

tdm_train_events cli_progress_events(cli_progress *progress)
{
    return (tdm_train_events){progress, on_progress, on_epoch};
}

void cli_progress_free(cli_progress *progress)
{
    free(progress->table);
    *progress = (cli_progress){0};
}

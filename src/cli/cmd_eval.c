/* cmd_eval.c: `tandem eval`. */
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/compare.h>
#include <tandem/samples.h>

static const cli_option options[] = {
    {"split", "S", "train, val or test (the default)"},
    {"baseline", "TASK=RUN",
     "compare a task with the run that learns it alone, on the same split: the relative gains and "
     "Delta m; may be given for each task; --set and the other flags change that run's "
     "configuration too"},
    {"per-sample", "FILE",
     "also measure every sample by itself, into FILE.csv (a line for each sample, task and metric) "
     "or FILE.json"},
    {"trunk", "RUN|CHECKPOINT",
     "measure with the trunk of another checkpoint: what was learnt after, and how much of this "
     "task it cost"},
    {"compare", "RUN|CHECKPOINT",
     "measure nothing, but say how far each layer's weights are from this checkpoint's"},
    {"samples", "N",
     "with --compare: also how alike what the layers give is (linear CKA), on so many samples"},
    {"json", NULL, "one JSON object on stdout, instead of the table"},
    {"quiet", NULL, "no chatter on stderr: warnings and errors only"},
};
static const cli_option config_options[] = {
    {"batch-size", "N", "samples a step", CLI_SET, "train.batch_size"},
    {"workers", "N", "threads that load and decode", CLI_SET, "data.workers"},
};
static const cli_group group = {"options", options, CLI_COUNT(options)};
static const cli_group config_group = {"loading", config_options, CLI_COUNT(config_options)};
static const cli_group *const groups[] = {&group, &config_group, &cli_set_group, &cli_device_group,
                                          NULL};
static const char *const positionals[] = {"RUN|CHECKPOINT", NULL};

/* ---- classes -----------------------------------------------------------------------------------
 */

enum { TABLE_CLASSES = 30, MATRIX_CLASSES = 12, NAME = 24, GAIN_NAME = 34 };

static void print_name(FILE *out, const tdm_class_report *c, size_t index)
{
    if (c->name)
        fprintf(out, "%-*.*s", NAME, NAME, c->name);
    else
        fprintf(out, "%-*zu", NAME, index);
}

static void print_share(FILE *out, double value)
{
    if (isnan(value))
        fprintf(out, "%10s", "-");
    else
        fprintf(out, "%10.4f", value);
}

/* A row a class; then, of few classes, who is taken for whom. */
static void print_classes(FILE *out, const tdm_task_report *t)
{
    fprintf(out, "\n%-*.*s%10s%10s%10s%10s%10s\n", NAME, NAME, t->name, "labels", "precision",
            "recall", "iou", "f1");
    for (size_t c = 0; c < t->n_classes; c++) {
        const tdm_class_report *k = &t->classes[c];
        print_name(out, k, c);
        fprintf(out, "%10.0f", k->count);
        print_share(out, k->precision);
        print_share(out, k->recall);
        print_share(out, k->iou);
        print_share(out, k->f1);
        fputc('\n', out);
    }
    if (t->n_classes > MATRIX_CLASSES) return;
    fprintf(out, "\nlabel \\ answer in %%%*s", NAME - 18, "");
    for (size_t c = 0; c < t->n_classes; c++) fprintf(out, "%6zu", c);
    fputc('\n', out);
    for (size_t r = 0; r < t->n_classes; r++) {
        print_name(out, &t->classes[r], r);
        for (size_t c = 0; c < t->n_classes; c++) {
            const double count = t->classes[r].count;
            if (count > 0)
                fprintf(out, "%6.1f", 100 * t->confusion[r * t->n_classes + c] / count);
            else
                fprintf(out, "%6s", "-");
        }
        fputc('\n', out);
    }
}

/* tasks.NAME.parts: a row a part; of many parts, their mean. */
static void print_parts(FILE *out, const tdm_task_report *t)
{
    double sum = 0, counted = 0;
    for (size_t p = 0; p < t->n_parts; p++) {
        if (isnan(t->parts[p])) continue;
        sum += t->parts[p];
        counted++;
    }
    fprintf(out, "\n%-*.*s%10s\n", NAME, NAME, t->name, "accuracy");
    for (size_t p = 0; t->n_parts <= TABLE_CLASSES && p < t->n_parts; p++) {
        const bool named = t->n_parts == t->n_classes && t->classes[p].name;
        char *number = cli_format("part %zu", p);
        fprintf(out, "%-*.*s", NAME, NAME, named ? t->classes[p].name : number);
        print_share(out, t->parts[p]);
        fputc('\n', out);
        free(number);
    }
    char *mean = cli_format("mean of %zu parts", t->n_parts);
    fprintf(out, "%-*s", NAME, mean);
    print_share(out, counted > 0 ? sum / counted : NAN);
    fputc('\n', out);
    free(mean);
}

/* ---- single-task runs --------------------------------------------------------------------------
 */

typedef struct baselines {
    const tdm_epoch_report *report; /* what is compared with them */
    tdm_evaluation **evaluations;   /* as many as options; NULL: none yet */
    size_t n;
    const tdm_task_report **single; /* per task of the report */
    double *gains;
    tdm_delta delta;
} baselines;

static void baselines_free(baselines *b)
{
    for (size_t i = 0; b->evaluations && i < b->n; i++) tdm_evaluation_destroy(&b->evaluations[i]);
    free(b->evaluations);
    free(b->single);
    free(b->gains);
}

/* The task of that name, or the only one. */
static const tdm_task_report *task_of(const tdm_epoch_report *r, const char *name, size_t n)
{
    for (size_t t = 0; t < r->n_tasks; t++)
        if (strlen(r->tasks[t].name) == n && !strncmp(r->tasks[t].name, name, n))
            return &r->tasks[t];
    return r->n_tasks == 1 ? &r->tasks[0] : NULL;
}

/* Measures one TASK=RUN. Returns -1 to go on, else the exit code after a message. */
static int measure_baseline(const cli_args *args, const char *text, char **assignments, size_t n,
                            baselines *b)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return cli_usage_error(args->command, "--baseline: must be TASK=RUN, not %s", text);
    const size_t length = (size_t)(equals - text);
    size_t t = 0;
    while (t < b->report->n_tasks && (strlen(b->report->tasks[t].name) != length ||
                                      strncmp(b->report->tasks[t].name, text, length) != 0))
        t++;
    if (t == b->report->n_tasks)
        return cli_usage_error(args->command, "--baseline %s: the run has no task of that name",
                               text);
    tdm_evaluation **e = &b->evaluations[b->n++];
    const tdm_status status = tdm_evaluate(equals + 1, cli_value(args, "split"),
                                           (const char *const *)assignments, n, NULL, e);
    if (status) return cli_fail(args->command, status);
    b->single[t] = task_of(tdm_evaluation_report(*e), text, length);
    if (b->single[t]) return -1;
    return cli_usage_error(args->command, "--baseline %s: that run has no such task, but several",
                           text);
}

static int measure_baselines(const cli_args *args, const tdm_epoch_report *report,
                             char **assignments, size_t n, baselines *b)
{
    int code = -1;
    b->report = report;
    b->evaluations = cli_alloc(args->n_given, sizeof *b->evaluations);
    b->single = cli_alloc(report->n_tasks, sizeof *b->single);
    b->gains = cli_alloc(report->n_tasks, sizeof *b->gains);
    for (size_t i = 0; i < args->n_given && code < 0; i++)
        if (!strcmp(args->given[i].option->name, "baseline"))
            code = measure_baseline(args, args->given[i].value, assignments, n, b);
    if (code >= 0) return code;
    tdm_delta_m(report, b->single, b->gains, &b->delta);
    if (b->n && !b->delta.n_tasks)
        cli_warning(
            "no metric of this run is one of its baselines', or all of those are 0: there is "
            "no Delta m (hint: tasks.NAME.metrics)");
    return code;
}

static const tdm_metric_value *metric_of(const tdm_task_report *task, const char *name)
{
    for (size_t m = 0; m < task->n_metrics; m++)
        if (!strcmp(task->metrics[m].name, name)) return &task->metrics[m];
    return NULL;
}

/* One metric of a task beside its baseline. */
static void print_gain(FILE *out, const char *task, const tdm_metric_value *v,
                       const tdm_metric_value *base)
{
    const double change = 100 * (v->value - base->value) / fabs(base->value);
    char *name = cli_format("%s.%s", task, v->name);
    fprintf(out, "%-*s%12.4f%12.4f", GAIN_NAME, name, base->value, v->value);
    if (isfinite(change))
        fprintf(out, "%+10.2f\n", v->higher_is_better ? change : -change);
    else
        fprintf(out, "%10s\n", "-"); /* relative to nothing */
    free(name);
}

/* A mean over some of the tasks does not pass for one over all. */
static void print_left_out(FILE *out, const baselines *b)
{
    const char *lead = "of the tasks with a baseline only; none for ";
    for (size_t t = 0; t < b->report->n_tasks; t++) {
        if (!isnan(b->gains[t])) continue;
        fprintf(out, "%s%s", lead, b->report->tasks[t].name);
        lead = ", ";
    }
    if (lead[0] == ',') fputc('\n', out);
}

static void print_gains(FILE *out, const baselines *b)
{
    fprintf(out, "\n%-*s%12s%12s%10s\n", GAIN_NAME, "against single-task runs", "baseline",
            "this run", "gain %");
    for (size_t t = 0; t < b->report->n_tasks; t++) {
        const tdm_task_report *task = &b->report->tasks[t];
        for (size_t m = 0; b->single[t] && m < task->n_metrics; m++) {
            const tdm_metric_value *base = metric_of(b->single[t], task->metrics[m].name);
            if (base && !base->baseline) print_gain(out, task->name, &task->metrics[m], base);
        }
        if (!isnan(b->gains[t]))
            fprintf(out, "%-*s%24s%+10.2f\n", GAIN_NAME, task->name, "mean", b->gains[t]);
    }
    fprintf(
        out,
        "Delta m per task   %+.2f %%  (higher is better; Maninis 2019, Vandenhende 2021, LibMTL)\n"
        "Delta m per metric %+.2f %%  (lower is better; Nash-MTL, CAGrad, FAMO)\n",
        b->delta.per_task, b->delta.per_metric);
    print_left_out(out, b);
}

/* ",\"delta_m\": {...}" in place of the closing brace. */
static char *gains_json(char *report, const baselines *b)
{
    char *text;
    size_t size;
    FILE *out = cli_memory(&text, &size);
    report[strlen(report) - 1] = 0;
    fprintf(out, "%s, \"delta_m\": {\"per_task\": %.17g, \"per_metric\": %.17g, \"gains\": {",
            report, b->delta.per_task, b->delta.per_metric);
    const char *comma = "";
    for (size_t t = 0; t < b->report->n_tasks; t++) {
        if (isnan(b->gains[t])) continue;
        fprintf(out, "%s\"%s\": %.17g", comma, b->report->tasks[t].name, b->gains[t]);
        comma = ", ";
    }
    fputs("}}}", out);
    fclose(out);
    free(report);
    return text;
}

/* ---- the command -------------------------------------------------------------------------------
 */

/* The tables, or the JSON object. */
static tdm_status print_report(const tdm_epoch_report *report, const baselines *b, bool json)
{
    char *text = NULL, *table;
    size_t size;
    if (json) {
        const tdm_status status = tdm_epoch_report_json(report, &text);
        if (status) return status;
        if (b->delta.n_tasks) text = gains_json(text, b);
        cli_data(text);
        cli_data("\n");
        free(text);
        return TDM_OK;
    }
    FILE *out = cli_memory(&text, &size);
    table = cli_report_table(report);
    fputs(table, out);
    for (size_t t = 0; t < report->n_tasks; t++)
        if (report->tasks[t].n_classes && report->tasks[t].n_classes <= TABLE_CLASSES)
            print_classes(out, &report->tasks[t]);
    for (size_t t = 0; t < report->n_tasks; t++)
        if (report->tasks[t].n_parts) print_parts(out, &report->tasks[t]);
    if (b->delta.n_tasks) print_gains(out, b);
    fclose(out);
    cli_data(text);
    free(table);
    free(text);
    return TDM_OK;
}

static int evaluate(const cli_args *args, char **assignments, size_t n)
{
    cli_progress progress;
    tdm_evaluation *evaluation = NULL;
    tdm_sample_file *samples = NULL;
    baselines b = {0};
    cli_progress_start(&progress, "auto", false);
    tdm_train_events events = cli_progress_events(&progress);
    const char *file = cli_value(args, "per-sample");
    tdm_status status = file ? tdm_sample_file_open(file, &samples) : TDM_OK;
    events.sample = samples ? tdm_sample_file_add : NULL;
    events.sample_user = samples;
    if (!status)
        status = tdm_evaluate_with_trunk(cli_positional(args, 0), cli_value(args, "trunk"),
                                         cli_value(args, "split"), (const char *const *)assignments,
                                         n, &events, &evaluation);
    status = tdm_sample_file_close(&samples, status);
    cli_bar("");
    int code = status ? cli_fail(args->command, status) : -1;
    if (code < 0)
        code = measure_baselines(args, tdm_evaluation_report(evaluation), assignments, n, &b);
    if (code < 0) {
        status = print_report(tdm_evaluation_report(evaluation), &b, cli_has(args, "json"));
        code = status ? cli_fail(args->command, status) : 0;
    }
    baselines_free(&b);
    tdm_evaluation_destroy(&evaluation);
    cli_progress_free(&progress);
    return code;
}

static int compare(const cli_args *args, char **assignments, size_t n)
{
    tdm_comparison comparison;
    char *text = NULL;
    const char *a = cli_positional(args, 0), *b = cli_value(args, "compare");
    const char *number = cli_value(args, "samples");
    char *end;
    const uint64_t samples = number ? strtoull(number, &end, 10) : 0;
    if (number && (*end || *number == '-' || !samples))
        return cli_usage_error(args->command, "--samples: must be a whole number of 1 or more");
    tdm_status status = tdm_compare_weights(a, b, &comparison);
    if (status) return cli_fail(args->command, status);
    if (samples)
        status = tdm_compare_outputs(a, b, cli_value(args, "split"), samples,
                                     (const char *const *)assignments, n, &comparison);
    if (!status) status = tdm_comparison_text(&comparison, cli_has(args, "json"), &text);
    if (!status) cli_data(text);
    if (!status && cli_has(args, "json")) cli_data("\n");
    free(text);
    tdm_comparison_free(&comparison);
    return status ? cli_fail(args->command, status) : 0;
}

static int run(const cli_args *args)
{
    char **assignments = NULL;
    size_t n = 0;
    int code = cli_assignments(args, &assignments, &n);
    if (code >= 0) return code;
    if (cli_has(args, "quiet")) cli_console_quiet();
    code =
        cli_has(args, "compare") ? compare(args, assignments, n) : evaluate(args, assignments, n);
    cli_assignments_free(assignments, n);
    return code;
}

const cli_command cli_eval = {
    "eval",
    positionals,
    "measure a run's best checkpoint, or any checkpoint, on a split",
    "The configuration is the checkpoint's own; --set and the other flags change it.",
    groups,
    run};

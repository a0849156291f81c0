/* report/report.h: everything a report says, gathered before a word of it is written.
 *
 * An experiment's folder gives arms, their order, the baseline and the runs that left nothing;
 * plain run folders make arms by their names. Whatever a run lacks is missing here too: the writers
 * show a dash.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include <tandem/report.h>

#include "report/compare.h"
#include "report/examples.h"
#include "report/history.h"
#include "report/outline.h"

typedef struct tdm__report_run {
    const tdm__run *found; /* NULL: it left no folder */
    size_t arm;
    int64_t seed;
    char *folder, *state; /* state: stop reason, or waiting, failed, unfinished, damaged, ... */
    char *error;          /* "" */
    bool finished;        /* has a summary */
    double seconds;
    tdm__history history;
    tdm__pairs config; /* config.yaml: every key, runtime ones too */
    tdm__pairs facts;  /* summary.json without its results: "device", "git.commit" */
} tdm__report_run;

typedef struct tdm__report_arm {
    char *name, *group, *label; /* label: short, for charts */
    tdm__pairs set, grid;
    size_t n_runs, n_finished;
    size_t compared; /* its index in the comparison; its n_arms: no test metrics */
    /* Where it stands among the arms of its group that have a grid. */
    size_t in_group, of_group;
} tdm__report_arm;

typedef struct tdm__report {
    char *title;
    bool experiment; /* its folder says what belongs to it */
    tdm_report_chart chart;
    tdm__outline outline;
    tdm_runs *found;
    tdm__report_arm *arms;
    size_t n_arms, arms_capacity;
    tdm__report_run *runs;
    size_t n_runs;
    tdm__comparison comparison;
    size_t baseline; /* arm; n_arms: none */
    char **notes;    /* what the reader must know: what was left out and why */
    size_t n_notes, notes_capacity;
    tdm__examples examples; /* none unless asked for */
} tdm__report;

/* Zero-initialise *out; release it also after a failure. */
tdm_status tdm__report_load(const tdm_report_spec *spec, tdm__report *out);
void tdm__report_free(tdm__report *report);
tdm_status tdm__report_note(tdm__report *report, const char *format, ...) TDM__PRINTF(2, 3);
/* The arm's first finished run, else its first one; NULL when it has none. */
const tdm__report_run *tdm__report_first(const tdm__report *report, size_t arm);
/* NULL: the arm has no test metrics. */
const tdm__cell *tdm__report_cell(const tdm__report *report, size_t metric, size_t arm);
/* A metric's name ("class.accuracy") in two; TDM__NAME_PART bytes each, cut where longer. */
enum { TDM__NAME_PART = 128 };
void tdm__report_split(const char *metric, char task[TDM__NAME_PART], char what[TDM__NAME_PART]);
/* The metric that stands for a task: the first that is no loss, else its loss. */
bool tdm__report_primary(const tdm__report *report, size_t metric);
/* "no difference shown" and so on: a verdict in words. "" for the baseline. */
const char *tdm__report_verdict(const tdm__cell *cell, const char *metric);

/* ---- curves ------------------------------------------------------------------------------------
 */

/* A quantity over epochs: mean, least and greatest over an arm's runs. */
typedef struct tdm__curve {
    size_t n, most; /* most: runs in one epoch */
    double *epoch, *mean, *low, *high;
} tdm__curve;
/* n = 0: the arm does not have it. */
tdm_status tdm__report_curve(const tdm__report *report, size_t arm, const tdm__series *like,
                             tdm__curve *out);
void tdm__curve_free(tdm__curve *curve);
/* The series that any run has, in the order of the first run that has it. Release with free(); the
 * series stay the report's. */
tdm_status tdm__report_series(const tdm__report *report, const tdm__series ***out, size_t *n);

/* ---- what differs ------------------------------------------------------------------------------
 */

/* The keys of the configurations that differ between arms and change results, each arm's value
 * beside it ("" where it has none): values[key * n_arms + arm]. */
typedef struct tdm__differences {
    size_t n, n_arms;
    const char **keys, **values;
} tdm__differences;
tdm_status tdm__report_differences(const tdm__report *report, tdm__differences *out);
void tdm__differences_free(tdm__differences *differences);
/* The value of a fact that all runs share, "several" or "". */
const char *tdm__report_shared(const tdm__report *report, const char *key, bool of_config);

/* ---- colours -----------------------------------------------------------------------------------
 */

/* CSS rules `.a0{color:...}` for light paper, or dark: Okabe and Ito's colours, and for the points
 * of a grid even steps of lightness. */
void tdm__report_colours(const tdm__report *report, bool dark, tdm__str *out);

/* ---- the writers -------------------------------------------------------------------------------
 */

tdm_status tdm__report_html(const tdm__report *report, tdm__str *out);
tdm_status tdm__report_csv(const tdm__report *report, tdm__str *out);
tdm_status tdm__report_json_text(const tdm__report *report, tdm__str *out);
tdm_status tdm__report_md(const tdm__report *report, tdm__str *out);
tdm_status tdm__report_svg(const tdm__report *report, tdm__str *out);

#endif

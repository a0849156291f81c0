/* report/compare.h: arms against a baseline, metric by metric, in pairs of equal seeds. */
#ifndef REPORT_COMPARE_H
#define REPORT_COMPARE_H

#include "format/json.h"
#include "report/runs.h"
#include "report/statistics.h"

/* What is said of a run beside others: delta.h. */
typedef enum tdm__derived {
    TDM__DERIVED_PER_TASK,
    TDM__DERIVED_PER_METRIC,
    TDM__DERIVED_STEP,
    TDM__DERIVEDS
} tdm__derived;

typedef struct tdm__compared {
    const char *name;
    const tdm__run **runs; /* with test metrics, by seed */
    size_t n;
    double (*derived)[TDM__DERIVEDS]; /* per run; NaN where it does not apply */
} tdm__compared;

/* What the pairs show about an arm and the baseline. */
typedef enum tdm__verdict {
    TDM__VERDICT_NONE,      /* no seed in common, or it is the baseline */
    TDM__VERDICT_EQUAL,     /* the same number in every pair */
    TDM__VERDICT_ONE_PAIR,  /* says nothing about other seeds */
    TDM__VERDICT_TOO_FEW,   /* the exact, adjusted test cannot go below 0.05 */
    TDM__VERDICT_SHOWN,     /* p (Holm) < 0.05 */
    TDM__VERDICT_NOT_SHOWN, /* p (Holm) >= 0.05 */
    TDM__VERDICTS
} tdm__verdict;

/* One arm's numbers of one metric, and against the baseline's. */
typedef struct tdm__cell {
    tdm__summary all, difference;
    tdm__interval interval, difference_interval; /* 95 % */
    tdm__test flips, ranks, t;
    double effect, p; /* p: of the flips, adjusted by Holm over the arms */
    size_t compared;  /* arms with a p of this metric: what Holm adjusts for */
    double least;     /* the least p (adjusted) that so many pairs allow */
    tdm__verdict verdict;
} tdm__cell;

typedef struct tdm__comparison {
    tdm__compared *arms; /* the first is the baseline */
    size_t n_arms;
    const char **metrics; /* "class.accuracy" */
    size_t n_metrics, metrics_capacity;
    tdm__cell *cells; /* metric m of arm k: [m * n_arms + k] */
} tdm__comparison;

/* Zero-initialise *out; release it also after a failure. No arms: no run has test metrics. The runs
 * must outlive it. baseline NULL: the first arm. TDM_ERR_DATA: an arm has two runs of one seed, no
 * arm is called `baseline`. */
tdm_status tdm__compare(const tdm_runs *runs, const char *baseline, tdm__comparison *out);
void tdm__comparison_free(tdm__comparison *comparison);
const tdm__cell *tdm__comparison_cell(const tdm__comparison *c, size_t metric, size_t arm);
/* The index of an arm by name; n_arms when there is none. */
size_t tdm__comparison_arm(const tdm__comparison *c, const char *name);
/* What the comparison of arm k > 0 with the baseline shows, and what it cannot show. */
void tdm__comparison_sentence(const tdm__comparison *c, size_t metric, size_t arm, tdm__str *out);
/* Parts of tables and of JSON objects that hold comparisons. */
void tdm__number_column(tdm__str *out, double value); /* ten wide; NaN: a dash */
void tdm__summary_json(const tdm__summary *summary, const tdm__interval *interval, tdm__json *j);
void tdm__test_json(const char *name, const tdm__test *test, tdm__json *j);
/* An array with an object for each metric and arm. */
void tdm__comparison_json(const tdm__comparison *c, tdm__json *j);

#endif

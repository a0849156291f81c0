/* tandem/report.h: a report of an experiment or of runs: one file that says what was compared, what
 * came out and how to repeat it.
 *
 *     const char *paths[] = {"experiments/fashion"};
 *     tdm_report_write(&(tdm_report_spec){.paths = paths, .n_paths = 1}, "report.html", NULL);
 *
 * Nothing but the files in the folders is read; with `predict` the checkpoints are run on the test
 * split too.
 */
#ifndef TANDEM_REPORT_H
#define TANDEM_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tdm_report_format {
    TDM_REPORT_HTML, /* everything, self-contained */
    TDM_REPORT_CSV,  /* a line for each arm, task and metric */
    TDM_REPORT_JSON, /* everything but pictures */
    TDM_REPORT_MD,   /* the table of results */
    TDM_REPORT_SVG   /* charts: tdm_report_chart */
} tdm_report_format;
/* "html", ... True and *out when `name` is one of them. */
bool tdm_report_format_read(const char *name, tdm_report_format *out);

/* What the SVG shows. */
typedef enum tdm_report_chart {
    TDM_REPORT_CHART_RESULTS, /* of each arm on the test split: means with intervals */
    TDM_REPORT_CHART_CURVES   /* losses and metrics on the validation split, and task weights, over
                                 the epochs: means over seeds, and the range they span */
} tdm_report_chart;
/* "results" or "curves". True and *out when `name` is one of them. */
bool tdm_report_chart_read(const char *name, tdm_report_chart *out);

typedef struct tdm_report_spec {
    const char *const *paths; /* an experiment's folder, or run folders and folders of them */
    size_t n_paths;
    tdm_report_format format;
    tdm_report_chart chart; /* SVG only */
    const char *baseline;   /* arm; NULL: the experiment's, else the first */
    const char *title;      /* NULL: the experiment's name, else the paths */
    /* Run the checkpoint of each arm's first finished run on the test split: confusion matrices,
     * image-by-image comparisons, example pictures (HTML; JSON has the numbers of it). */
    bool predict;
    uint64_t pool; /* images that are compared and chosen from, from the first; 0: matrices only */
    const char *const *assignments; /* "key=value" texts for those checkpoints (device.*, ...) */
    size_t n_assignments;
    /* Before each prediction. Not 0: stop with TDM_ERR_INTERRUPTED. May be NULL. */
    int (*progress)(void *user, size_t done, size_t total);
    void *user;
} tdm_report_spec;

typedef struct tdm_report_result {
    size_t arms, runs, finished;
    uint64_t bytes;
} tdm_report_result;

/* The report as text. free(*out). result may be NULL. TDM_ERR_DATA: no runs, an arm has two runs of
 * one seed, no arm is called `baseline`. */
tdm_status tdm_report_text(const tdm_report_spec *spec, char **out, tdm_report_result *result);
/* The same into a file, replaced as a whole. */
tdm_status tdm_report_write(const tdm_report_spec *spec, const char *path,
                            tdm_report_result *result);

#ifdef __cplusplus
}
#endif
#endif

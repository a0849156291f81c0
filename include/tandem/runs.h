/* tandem/runs.h: finished and unfinished runs on disk: finding them, listing them, comparing them.
 *
 *     const char *paths[] = {"runs"};
 *     tdm_runs_find(paths, 1, &runs);
 *     tdm_runs_compare(runs, NULL, false, &text);     the arms' metrics over seeds, and what
 * differs
 *
 * The run folders are the truth; nothing else is read or written. An arm is what shares a `name` in
 * its configuration; its runs differ by seed. Only the numbers of the test split are compared: the
 * selected checkpoint's, read once at the end of a run.
 */
#ifndef TANDEM_RUNS_H
#define TANDEM_RUNS_H

#include <stdbool.h>
#include <stddef.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tdm_runs tdm_runs;

/* The run folders among the paths and up to three levels below them, in order of their paths. A
 * folder is a run when it holds config.yaml and metrics.jsonl. TDM_ERR_DATA: a path is no folder,
 * or none is a run. Runs whose files are damaged are kept and marked. */
tdm_status tdm_runs_find(const char *const *paths, size_t n, tdm_runs **out);
void tdm_runs_destroy(tdm_runs **runs);
size_t tdm_runs_count(const tdm_runs *runs);

/* A table with a line for each run, or a JSON array. free(*out). */
tdm_status tdm_runs_list(const tdm_runs *runs, bool json, char **out);

/* Every metric of every arm: n, mean, standard deviation, a 95 % interval (bootstrap of the mean);
 * and against the first arm, or `baseline` (NULL: the first), in pairs of equal seeds: the
 * difference with its interval, an exact sign-flip test, Wilcoxon's and Student's tests, the effect
 * size, p adjusted by Holm over the arms, and a sentence that says what that shows. free(*out).
 * TDM_ERR_DATA: no run has test metrics, an arm has two runs of one seed, no arm is called
 * `baseline`. */
tdm_status tdm_runs_compare(const tdm_runs *runs, const char *baseline, bool json, char **out);

#ifdef __cplusplus
}
#endif
#endif

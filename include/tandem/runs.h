/* tandem/runs.h: finished and unfinished runs on disk: finding them, listing them, comparing them.
 *
 *     const char *paths[] = {"runs"};
 *     tdm_runs_find(paths, 1, &runs);
 *     tdm_runs_compare(runs, NULL, false, &text);     the arms' metrics over seeds, and what
 * differs
 *
 * The run folders are the truth; only the index adds to them. An arm is what shares a `name` in
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

/* The run folders among the paths and up to five levels below them, in order of their paths. A
 * folder is a run when it holds config.yaml and metrics.jsonl. TDM_ERR_DATA: a path is no folder,
 * or none is a run. Runs whose files are damaged are kept and marked. */
tdm_status tdm_runs_find(const char *const *paths, size_t n, tdm_runs **out);
/* The same with an index, runs.sqlite, in each path that holds runs: what a folder says is read
 * from there as long as its files are the same. The index is written anew whenever it is missing,
 * out of date or damaged; where that cannot be, or another process holds it, folders are read as
 * above. */
tdm_status tdm_runs_find_indexed(const char *const *paths, size_t n, tdm_runs **out);
void tdm_runs_destroy(tdm_runs **runs);
size_t tdm_runs_count(const tdm_runs *runs);
/* NULL when there are fewer. */
const char *tdm_runs_path(const tdm_runs *runs, size_t i);

/* Keeps the runs for which a condition holds, as in `task.mask.iou > 0.6 and (arm = equal or not
 * seed < 3)`. Fields: arm, seed, stopped, epochs, best_epoch, seconds; task.NAME.METRIC (on test,
 * of the selected checkpoint), val.NAME.METRIC (in the best epoch); summary.KEY; keys of the
 * configuration. A run that lacks a field fails its comparison; a field that no run has is
 * TDM_ERR_USAGE, with the nearest name. */
tdm_status tdm_runs_filter(tdm_runs *runs, const char *condition);

/* A table with a line for each run, or a JSON array. free(*out). */
tdm_status tdm_runs_list(const tdm_runs *runs, bool json, char **out);
/* CSV (RFC 4180) with a heading: path, arm, seed, stopped, epochs, seconds, and every metric of
 * test and val that any run has. free(*out). */
tdm_status tdm_runs_csv(const tdm_runs *runs, char **out);
/* All fields of every run: text, or a JSON array of objects. free(*out). */
tdm_status tdm_runs_show(const tdm_runs *runs, bool json, char **out);

/* Removes the folders of all runs here, with what they hold. Links are not followed, and a path
 * that is one is refused, as are runs in which a process of an experiment is training:
 * TDM_ERR_DATA, nothing has been removed then. */
tdm_status tdm_runs_remove(tdm_runs *runs);

/* Every metric of every arm: n, mean, standard deviation, a 95 % interval (bootstrap of the mean);
 * and against the first arm, or `baseline` (NULL: the first), in pairs of equal seeds: the
 * difference with its interval, an exact sign-flip test, Wilcoxon's and Student's tests, the effect
 * size, p adjusted by Holm over the arms, and a sentence that says what that shows. free(*out).
 * TDM_ERR_DATA: no run has test metrics, an arm has two runs of one seed, no arm is called
 * `baseline`. */
tdm_status tdm_runs_compare(const tdm_runs *runs, const char *baseline, bool json, char **out);

/* The same question about the networks themselves: within each seed, every arm's checkpoint against
 * the baseline's over the samples of the test split, on which they are run now (assignments:
 * "key=value" texts on top of their configurations, such as device.*). Mean difference with a
 * bootstrap interval, sign flips (p adjusted by Holm over the seed's arms), Wilcoxon, Student's t,
 * a sentence. What this shows holds for these trainings, not for other seeds. free(*out). */
tdm_status tdm_runs_compare_samples(const tdm_runs *runs, const char *baseline,
                                    const char *const *assignments, size_t n_assignments, bool json,
                                    char **out);

#ifdef __cplusplus
}
#endif
#endif

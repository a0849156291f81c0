/* report/examples.c: see examples.h. Pictures go through <tandem/predict.h> into a folder of their
 * own, which is removed again. */
#include "report/examples.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tandem/predict.h>
#include <tandem/train.h>

#include "base/file.h"
#include "base/mem.h"
#include "report/report.h"

enum { ARMS_MOST = 12, CLASSES_MOST = 24, FILE_LIMIT = 1 << 28, ROWS = 3 };

static tdm_status keep(const char *text, char **out)
{
    *out = tdm__strdup(text ? text : "");
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

void tdm__examples_free(tdm__examples *e)
{
    for (size_t i = 0; i < e->n_matrices; i++) {
        for (size_t k = 0; e->matrices[i].classes && k < e->matrices[i].n; k++)
            free(e->matrices[i].classes[k]);
        free(e->matrices[i].classes);
        free(e->matrices[i].counts);
        free(e->matrices[i].task);
    }
    for (size_t i = 0; i < e->n; i++) {
        for (size_t k = 0; e->list[i].pictures && k < e->n_arms; k++) free(e->list[i].pictures[k]);
        free(e->list[i].pictures);
        free(e->list[i].task);
    }
    free(e->matrices);
    tdm__score_list_free(&e->scores);
    free(e->list);
    *e = (tdm__examples){0};
}

tdm_status tdm__base64(const void *bytes, size_t n, char **out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *in = bytes;
    uint64_t size;
    *out = NULL;
    if (!tdm__mul_u64(n / 3 + 1, 4, &size) || !tdm__add_u64(size, 1, &size))
        return tdm__fail(TDM_ERR_NOMEM, "%zu bytes are too many for base64", n);
    const tdm_status status = tdm__calloc_try(size, 1, out);
    if (status) return status;
    char *to = *out;
    for (size_t i = 0; i < n; i += 3) {
        const size_t left = n - i;
        const uint32_t bits = (uint32_t)in[i] << 16 | (uint32_t)(left > 1 ? in[i + 1] : 0) << 8 |
                              (uint32_t)(left > 2 ? in[i + 2] : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[bits & 63] : '=';
    }
    return TDM_OK;
}

/* ---- confusion ---------------------------------------------------------------------------------
 */

static tdm_status add_matrix(tdm__examples *e, size_t arm, const tdm_task_report *t)
{
    tdm_status status = TDM_OK;
    const size_t n = t->n_classes;
    if (n < 2 || n > CLASSES_MOST || !t->confusion) return TDM_OK;
    TDM_TRY(tdm__grow(&e->matrices, &e->matrices_capacity, e->n_matrices + 1, sizeof *e->matrices));
    tdm__matrix *m = &e->matrices[e->n_matrices++];
    *m = (tdm__matrix){.arm = arm, .n = n};
    TDM_TRY(keep(t->name, &m->task));
    TDM_TRY(tdm__calloc_try(n, sizeof *m->classes, &m->classes));
    TDM_TRY(tdm__calloc_try(n * n, sizeof *m->counts, &m->counts));
    memcpy(m->counts, t->confusion, n * n * sizeof *m->counts);
    for (size_t c = 0; c < n; c++) {
        char number[24];
        snprintf(number, sizeof number, "%zu", c);
        TDM_TRY(keep(t->classes[c].name ? t->classes[c].name : number, &m->classes[c]));
    }
done:
    return status;
}

/* ---- images that stand out ---------------------------------------------------------------------
 */

/* Best first; among equals, such as all that were told right, the least loss. */
static int by_rank(const void *a, const void *b)
{
    const tdm__score *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->loss != y->loss) return x->loss < y->loss ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* Best, median and worst by the first arm that has the task. */
static tdm_status choose(tdm__examples *e, const tdm__scores *s)
{
    static const char *const which[ROWS] = {"best", "median", "worst"};
    tdm_status status = TDM_OK;
    tdm__score *sorted = NULL;
    if (s->n < ROWS) return TDM_OK;
    TDM_TRY(tdm__calloc_try(s->n, sizeof *sorted, &sorted));
    memcpy(sorted, s->list, s->n * sizeof *sorted);
    for (size_t i = 0; i < s->n && !s->higher_is_better; i++) sorted[i].score = -sorted[i].score;
    qsort(sorted, s->n, sizeof *sorted, by_rank);
    const size_t at[ROWS] = {0, s->n / 2, s->n - 1};
    for (int i = 0; i < ROWS; i++) {
        TDM_TRY(tdm__grow(&e->list, &e->capacity, e->n + 1, sizeof *e->list));
        tdm__example *x = &e->list[e->n++];
        *x = (tdm__example){.which = which[i], .index = sorted[at[i]].index};
        TDM_TRY(keep(s->task, &x->task));
        TDM_TRY(tdm__calloc_try(e->n_arms, sizeof *x->pictures, &x->pictures));
    }
done:
    free(sorted);
    return status;
}

static tdm_status choose_examples(tdm__examples *e)
{
    tdm_status status = TDM_OK;
    const tdm__scores *list = e->scores.list;
    for (size_t i = 0; i < e->scores.n; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++) first &= !tdm__streq(list[k].task, list[i].task);
        if (first) TDM_TRY(choose(e, &list[i]));
    }
done:
    return status;
}

/* ---- predicting --------------------------------------------------------------------------------
 */

/* Pictures of some images of the test split by one checkpoint. */
static tdm_status predict(const tdm_report_spec *spec, const tdm__report_run *run, const char *out,
                          const uint64_t *rows, size_t n_rows)
{
    /* what the training read: of a pipeline, its target stage */
    const char *data = tdm__pairs_find(&run->facts, "data.path");
    if (!data || !*data) data = tdm__pairs_find(&run->config, "data.path");
    if (!data || !*data)
        return tdm__fail(TDM_ERR_DATA, "%s: its configuration names no data set", run->folder);
    return tdm_predict(&(tdm_predict_spec){.checkpoint = run->folder,
                                           .inputs = &data,
                                           .n_inputs = 1,
                                           .out = out,
                                           .rows = rows,
                                           .n_rows = n_rows,
                                           .assignments = spec->assignments,
                                           .n_assignments = spec->n_assignments},
                       NULL);
}

static int by_row(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The pictures of all chosen images by one arm. */
static tdm_status draw(const tdm_report_spec *spec, const tdm__report_run *run, const char *out,
                       size_t arm, tdm__examples *e)
{
    tdm_status status = TDM_OK;
    uint64_t *rows = NULL;
    char *path = NULL, *bytes = NULL;
    size_t n = 0, size;
    TDM_TRY(tdm__calloc_try(e->n, sizeof *rows, &rows));
    for (size_t i = 0; i < e->n; i++) {
        bool seen = false;
        for (size_t k = 0; k < n; k++) seen |= rows[k] == e->list[i].index;
        if (!seen) rows[n++] = e->list[i].index;
    }
    qsort(rows, n, sizeof *rows, by_row);
    TDM_TRY(predict(spec, run, out, rows, n));
    for (size_t i = 0; i < e->n; i++) {
        char name[48];
        snprintf(name, sizeof name, "test-%06llu.png", (unsigned long long)e->list[i].index);
        TDM_TRY(tdm__path_join(out, name, &path));
        if (tdm__path_exists(path)) { /* inputs that are no pictures have none */
            TDM_TRY(tdm__read_file(path, FILE_LIMIT, &bytes, &size));
            TDM_TRY(tdm__base64(bytes, size, &e->list[i].pictures[arm]));
        }
        free(path);
        free(bytes);
        path = bytes = NULL;
    }
done:
    free(rows);
    free(path);
    free(bytes);
    return status;
}

static tdm_status make_folder(char **out)
{
    const char *base = getenv("TMPDIR");
    tdm_status status = tdm__path_join(base && *base ? base : "/tmp", "tandem-report-XXXXXX", out);
    if (!status && !mkdtemp(*out)) status = tdm__fail_errno(TDM_ERR_IO, "%s", *out);
    return status;
}

/* The run that speaks for an arm: NULL when none has finished, or too many arms came before. */
static const tdm__report_run *speaker(const tdm__report *report, size_t arm)
{
    const tdm__report_run *run = tdm__report_first(report, arm);
    return run && run->finished && arm < ARMS_MOST ? run : NULL;
}

typedef tdm_status step(const tdm_report_spec *spec, const tdm__report_run *run, const char *folder,
                        size_t arm, tdm__examples *out);

static tdm_status measure(const tdm_report_spec *spec, const tdm__report_run *run,
                          const char *folder, size_t arm, tdm__examples *e)
{
    tdm_status status = TDM_OK;
    tdm_evaluation *evaluation = NULL;
    (void)folder;
    TDM_TRY(tdm__samples_measure(&(tdm__samples_spec){.run = run->folder,
                                                      .arm = arm,
                                                      .seed = run->seed,
                                                      .limit = spec->pool,
                                                      .first_only = true,
                                                      .assignments = spec->assignments,
                                                      .n_assignments = spec->n_assignments},
                                 &e->scores, &evaluation));
    const tdm_epoch_report *report = tdm_evaluation_report(evaluation);
    for (size_t t = 0; t < report->n_tasks; t++) TDM_TRY(add_matrix(e, arm, &report->tasks[t]));
done:
    tdm_evaluation_destroy(&evaluation);
    return status;
}

static tdm_status for_each(const tdm_report_spec *spec, const tdm__report *report, step *do_step,
                           size_t first, tdm__examples *out)
{
    tdm_status status = TDM_OK;
    char *folder = NULL;
    for (size_t arm = 0; arm < report->n_arms; arm++) {
        const tdm__report_run *run = speaker(report, arm);
        if (spec->progress && spec->progress(spec->user, first + arm, 2 * report->n_arms))
            TDM_TRY(tdm__fail(TDM_ERR_INTERRUPTED, "stopped while predicting"));
        if (!run) continue;
        TDM_TRY(make_folder(&folder));
        status = do_step(spec, run, folder, arm, out);
        if (status) {
            status = tdm__context(status, "%s", run->folder);
            goto done;
        }
        TDM_TRY(tdm__remove_tree(folder));
        free(folder);
        folder = NULL;
    }
done:
    if (folder) tdm__remove_tree(folder);
    free(folder);
    return status;
}

tdm_status tdm__examples_make(const tdm_report_spec *spec, const tdm__report *report,
                              tdm__examples *out)
{
    tdm_status status = TDM_OK;
    out->n_arms = report->n_arms;
    TDM_TRY(for_each(spec, report, measure, 0, out));
    TDM_TRY(choose_examples(out));
    if (out->n) TDM_TRY(for_each(spec, report, draw, report->n_arms, out));
done:
    return status;
}

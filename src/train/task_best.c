/* train/task_best.c: see task_best.h. */
#include "train/task_best.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

tdm_status tdm__task_best_open(tdm_trainer *t)
{
    const size_t n = t->session.n_tasks;
    bool wanted;
    tdm_status status = tdm_config_bool(t->config, "train.select_tasks", &wanted);
    if (status || !wanted) return status;
    TDM_TRY(tdm__calloc_try(n, sizeof *t->position.tasks, &t->position.tasks));
    t->position.n_tasks = n;
    TDM_TRY(tdm__calloc_try(n, sizeof *t->task_tests, &t->task_tests));
done:
    return status;
}

void tdm__task_best_close(tdm_trainer *t)
{
    free(t->position.tasks);
    free(t->task_tests);
}

static tdm_status file_of(const tdm_trainer *t, size_t task, tdm__str *out)
{
    out->length = 0;
    tdm__str_addf(out, "best.%s.safetensors", t->session.tasks[task].name);
    return tdm__str_status(out);
}

static tdm__selector selector_of(const tdm_trainer *t, size_t task)
{
    const tdm__task *of = &t->session.tasks[task];
    return (tdm__selector){.session = &t->session,
                           .task = task,
                           .metric = of->n_metrics ? of->metrics[0] : NULL,
                           .min_delta = t->selector.min_delta};
}

tdm_status tdm__task_best_select(tdm_trainer *t, const tdm_epoch_report *report)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    for (size_t i = 0; i < t->position.n_tasks; i++) {
        tdm__task_best *best = &t->position.tasks[i];
        const tdm__selector by = selector_of(t, i);
        const double value = tdm__selector_value(&by, report);
        if (t->session.tasks[i].auxiliary || isnan(value)) continue;
        if (best->epoch && !tdm__selector_better(&by, value, best->value)) continue;
        *best = (tdm__task_best){report->epoch, value};
        TDM_TRY(file_of(t, i, &name));
        TDM_TRY(tdm__trainer_save_weights(t, name.text));
    }
done:
    tdm__str_free(&name);
    return status;
}

/* The scratch of reports is used again by the next evaluation: the numbers are copied. */
static void keep_test(tdm_trainer *t, size_t task, const tdm_epoch_report *report)
{
    tdm__task_test *out = &t->task_tests[task];
    for (size_t r = 0; r < report->n_tasks; r++) {
        const tdm_task_report *from = &report->tasks[r];
        if (!tdm__streq(from->name, t->session.tasks[task].name)) continue;
        out->loss = from->loss;
        out->n_metrics = from->n_metrics;
        memcpy(out->metrics, from->metrics, from->n_metrics * sizeof *out->metrics);
    }
}

tdm_status tdm__task_best_test(tdm_trainer *t, bool *finished)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    char *path = NULL;
    *finished = true;
    for (size_t i = 0; i < t->position.n_tasks && *finished; i++) {
        tdm_epoch_report report = {0};
        if (!t->position.tasks[i].epoch) continue;
        free(path);
        TDM_TRY(file_of(t, i, &name));
        TDM_TRY(tdm__run_folder_file(&t->folder, name.text, &path));
        TDM_TRY(tdm__load_weights(&t->session, path));
        TDM_TRY(tdm__eval_pass(t, TDM__SPLIT_TEST, &report, finished));
        if (!*finished) break;
        keep_test(t, i, &report);
        tdm__log(TDM_LOG_INFO, "task '%s' by its own checkpoint, epoch %lld: %s %g on test",
                 t->session.tasks[i].name, (long long)t->position.tasks[i].epoch,
                 t->task_tests[i].n_metrics ? t->task_tests[i].metrics[0].name : "loss",
                 t->task_tests[i].n_metrics ? t->task_tests[i].metrics[0].value
                                            : t->task_tests[i].loss);
    }
done:
    free(path);
    tdm__str_free(&name);
    return status;
}

static void test_json(const tdm__task_test *test, tdm__json *j)
{
    tdm__json_key(j, "test"), tdm__json_open(j, '{');
    tdm__json_key(j, "loss"), tdm__json_number(j, test->loss);
    tdm__json_key(j, "metrics"), tdm__json_open(j, '{');
    for (size_t m = 0; m < test->n_metrics; m++) {
        tdm__json_key(j, test->metrics[m].name);
        tdm__json_number(j, test->metrics[m].value);
    }
    tdm__json_close(j, '}');
    tdm__json_close(j, '}');
}

void tdm__task_best_json(const tdm_trainer *t, tdm__json *j)
{
    if (!t->position.n_tasks) return;
    tdm__json_key(j, "task_best"), tdm__json_open(j, '{');
    for (size_t i = 0; i < t->position.n_tasks; i++) {
        const tdm__task_best *best = &t->position.tasks[i];
        const tdm__selector by = selector_of(t, i);
        if (!best->epoch) continue;
        tdm__json_key(j, t->session.tasks[i].name), tdm__json_open(j, '{');
        tdm__json_key(j, "by"), tdm__json_string(j, by.metric ? by.metric->name : "loss");
        tdm__json_key(j, "epoch"), tdm__json_int(j, best->epoch);
        tdm__json_key(j, "value"), tdm__json_number(j, best->value);
        if (t->task_tests[i].n_metrics || t->task_tests[i].loss != 0)
            test_json(&t->task_tests[i], j);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, '}');
}

tdm_status tdm__task_best_drop(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    for (size_t i = 0; i < t->position.n_tasks; i++) {
        TDM_TRY(file_of(t, i, &name));
        TDM_TRY(tdm__trainer_drop(t, name.text));
    }
done:
    tdm__str_free(&name);
    return status;
}

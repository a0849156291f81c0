/* train/evaluate.c: measures a checkpoint on a split, by the configuration in its metadata. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/evaluation.h"
#include "train/lines.h"
#include "train/trainer.h"

struct tdm_evaluation {
    tdm_config *config;
    tdm_split *splits[TDM__SPLITS];
    const tdm_split *chosen; /* one of them */
    tdm__session session;
    tdm__feed *feed;
    tdm__per_sample *samples; /* NULL: only the split */
    tdm_task_report *tasks;
    tdm_metric_value *metrics;
    const char **names;
    double *losses;
    tdm_class_report *classes; /* of all tasks, one after the other */
    tdm_epoch_report report;
};

tdm_status tdm__checkpoint_config(const tdm__st *st, const char *const *assignments, size_t n,
                                  tdm_config **out)
{
    tdm_status status = TDM_OK;
    const tdm_opt_table *const *tables;
    size_t n_tables;
    const char *text = tdm__st_metadata(st, "tandem.config");
    if (!text)
        TDM_TRY(tdm__fail(TDM_ERR_DATA,
                          "%s: carries no configuration (hint: it was not written by "
                          "tandem; use `train --init-from`)",
                          tdm__st_path(st)));
    tdm_schema(&tables, &n_tables);
    TDM_TRY(tdm_config_create(tables, n_tables, out));
    TDM_TRY(tdm_config_load_text(*out, text, strlen(text), tdm__st_path(st)));
    for (size_t i = 0; i < n; i++) TDM_TRY(tdm_config_assign(*out, assignments[i], "--set"));
    TDM_TRY(tdm_config_resolve(*out));
done:
    return status;
}

static tdm_status read_config(const char *file, const char *const *assignments, size_t n,
                              tdm_config **out)
{
    tdm__st *st = NULL;
    tdm_status status = tdm__st_open(file, &st);
    if (!status) status = tdm__checkpoint_config(st, assignments, n, out);
    tdm__st_close(&st);
    return status;
}

static tdm_status open_split(tdm_evaluation *e, const char *split, const tdm_split **out)
{
    tdm_status status = tdm__open_splits(e->config, e->splits);
    for (int i = 0; !status && i < TDM__SPLITS; i++)
        if (!strcmp(split, tdm__split_names[i])) {
            *out = e->splits[i];
            return *out ? TDM_OK : tdm__fail(TDM_ERR_DATA, "the data set has no split '%s'", split);
        }
    return status ? status
                  : tdm__fail(TDM_ERR_USAGE, "split must be train, val or test, not '%s'", split);
}

static tdm_status create_session(tdm_evaluation *e, const tdm_split *split)
{
    tdm_status status = TDM_OK;
    tdm_array_info *infos = NULL;
    const tdm_dataset *data = tdm_split_dataset(split);
    const size_t n = tdm_dataset_arrays(data);
    TDM_TRY(tdm__calloc_try(n, sizeof *infos, &infos));
    for (size_t i = 0; i < n; i++) infos[i] = *tdm_dataset_array(data, i);
    TDM_TRY(tdm__session_create(e->config, &(tdm__array_source){n, infos}, false, &e->session));
    const size_t tasks = e->session.n_tasks;
    TDM_TRY(tdm__calloc_try(tasks, sizeof *e->tasks, &e->tasks));
    TDM_TRY(tdm__calloc_try(tasks * TDM__TASK_METRICS, sizeof *e->metrics, &e->metrics));
    TDM_TRY(tdm__calloc_try(tasks, sizeof *e->names, &e->names));
    TDM_TRY(tdm__calloc_try(tasks, sizeof *e->losses, &e->losses));
done:
    free(infos);
    return status;
}

/* train.verbose: the accuracies on one line, as after an epoch. */
static tdm_status tell_accuracy(const tdm_evaluation *e)
{
    bool verbose = false;
    tdm__str line = {0};
    tdm_status status = tdm_config_bool(e->config, "train.verbose", &verbose);
    if (status || !verbose) return status;
    tdm__line_accuracy(&e->report, &line);
    status = tdm__str_status(&line);
    if (!status) tdm__log(TDM_LOG_INFO, "%s", tdm__str_text(&line));
    tdm__str_free(&line);
    return status;
}

static size_t class_count(const tdm_evaluation *e, size_t task)
{
    return tdm__meter_confusion(e->session.meters[0], task)
               ? (size_t)tdm__task_sides(&e->session.tasks[task])
               : 0;
}

/* The names of a task's classes, where the data have them. */
static const char *const *class_names(const tdm__task *task, const tdm_split *split, size_t n)
{
    const tdm_dataset *data = tdm_split_dataset(split);
    size_t array;
    if (task->made_label && !task->n_label_map) return tdm_make_class_names(&task->make);
    if (task->n_label_map || tdm_dataset_find(data, task->target, &array)) return NULL;
    const tdm_array_info *info = tdm_dataset_array(data, array);
    return info->classes == n ? info->class_names : NULL;
}

/* Adds what is known of each class to the reports of the tasks. */
static tdm_status report_classes(tdm_evaluation *e, const tdm_split *split)
{
    tdm_status status = TDM_OK;
    const tdm__session *s = &e->session;
    size_t all = 0;
    for (size_t t = 0; t < s->n_tasks; t++) all += class_count(e, t);
    TDM_TRY(tdm__calloc_try(all, sizeof *e->classes, &e->classes));
    tdm_class_report *next = e->classes;
    for (size_t r = 0; r < e->report.n_tasks; r++) {
        size_t t = 0;
        while (strcmp(s->tasks[t].name, e->tasks[r].name)) t++; /* a report is of a task */
        const size_t n = class_count(e, t);
        const double *counts = tdm__meter_confusion(s->meters[0], t);
        const char *const *names = class_names(&s->tasks[t], split, n);
        e->tasks[r].n_classes = n;
        e->tasks[r].classes = next;
        e->tasks[r].confusion = counts;
        for (size_t c = 0; c < n; c++) {
            const tdm__class_metrics m = tdm__metrics_of_class(counts, (int64_t)n, (int64_t)c);
            *next++ = (tdm_class_report){
                names ? names[c] : NULL, m.count, m.precision, m.recall, m.iou, m.f1};
        }
    }
done:
    return status;
}

tdm_status tdm_evaluate(const char *path, const char *split, const char *const *assignments,
                        size_t n_assignments, const tdm_train_events *events, tdm_evaluation **out)
{
    return tdm_evaluate_with_trunk(path, NULL, split, assignments, n_assignments, events, out);
}

tdm_status tdm__evaluation_open(const char *path, const char *split, const char *const *assignments,
                                size_t n_assignments, tdm_evaluation **out)
{
    tdm_status status = TDM_OK;
    tdm_evaluation *e = NULL;
    char *file = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *e, &e));
    TDM_TRY(tdm__find_checkpoint(path, &file));
    TDM_TRY(read_config(file, assignments, n_assignments, &e->config));
    TDM_TRY(open_split(e, split ? split : tdm__split_names[TDM__SPLIT_TEST], &e->chosen));
    TDM_TRY(create_session(e, e->chosen));
    TDM_TRY(tdm__load_weights(&e->session, file));
    TDM_TRY(tdm__session_feed(&e->session, e->chosen, TDM__FOR_TEST, false, &e->feed));
    *out = e;
    e = NULL;
done:
    free(file);
    tdm_evaluation_destroy(&e);
    return status;
}

tdm__session *tdm__evaluation_session(tdm_evaluation *e)
{
    return &e->session;
}

tdm__feed *tdm__evaluation_feed(tdm_evaluation *e)
{
    return e->feed;
}

tdm_status tdm_evaluate_with_trunk(const char *path, const char *trunk, const char *split,
                                   const char *const *assignments, size_t n_assignments,
                                   const tdm_train_events *events, tdm_evaluation **out)
{
    tdm_status status = TDM_OK;
    tdm_evaluation *e = NULL;
    *out = NULL;
    TDM_TRY(tdm__evaluation_open(path, split, assignments, n_assignments, &e));
    if (events && events->sample)
        TDM_TRY(tdm__per_sample_create(&e->session, e->chosen, events, &e->samples));
    if (trunk) TDM_TRY(tdm__load_trunk(&e->session, trunk));
    TDM_TRY(tdm_config_int(e->config, "train.epochs", &e->report.epochs));
    const tdm__eval_spec spec = {.session = &e->session,
                                 .feed = e->feed,
                                 .samples = e->samples,
                                 .purpose = TDM__FOR_TEST,
                                 .split = split ? split : tdm__split_names[TDM__SPLIT_TEST],
                                 .events = events,
                                 .tasks = e->tasks,
                                 .metrics = e->metrics,
                                 .names = e->names,
                                 .losses = e->losses};
    TDM_TRY(tdm__evaluate_feed(&spec, &e->report));
    TDM_TRY(tell_accuracy(e));
    TDM_TRY(report_classes(e, e->chosen));
    *out = e;
    e = NULL;
done:
    tdm_evaluation_destroy(&e);
    return status;
}

void tdm_evaluation_destroy(tdm_evaluation **evaluation)
{
    tdm_evaluation *e = *evaluation;
    if (!e) return;
    tdm__feed_destroy(&e->feed);
    tdm__per_sample_destroy(&e->samples);
    tdm__session_destroy(&e->session);
    for (int i = 0; i < TDM__SPLITS; i++) tdm_split_destroy(&e->splits[i]);
    tdm_config_destroy(&e->config);
    free(e->tasks);
    free(e->metrics);
    free(e->names);
    free(e->losses);
    free(e->classes);
    free(e);
    *evaluation = NULL;
}

const tdm_epoch_report *tdm_evaluation_report(const tdm_evaluation *e)
{
    return &e->report;
}

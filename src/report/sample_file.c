/* report/sample_file.c: see <tandem/samples.h>. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/samples.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"
#include "report/words.h"

struct tdm_sample_file {
    tdm__atomic file;
    bool json;
    uint64_t written; /* samples */
    tdm__str text;    /* of one sample */
};

tdm_status tdm_sample_file_open(const char *path, tdm_sample_file **out)
{
    static const char heading[] = "index,row,task,metric,value\r\n";
    tdm_status status = TDM_OK;
    tdm_sample_file *f = NULL;
    const bool json = tdm__ends_with(path, ".json");
    *out = NULL;
    if (!json && !tdm__ends_with(path, ".csv"))
        return tdm__hint(tdm__fail(TDM_ERR_USAGE, "%s: must end with .csv or .json", path),
                         "its ending says how the samples are written");
    TDM_TRY(tdm__calloc_try(1, sizeof *f, &f));
    f->json = json;
    TDM_TRY(tdm__atomic_begin(&f->file, path));
    if (!json) TDM_TRY(tdm__atomic_write(&f->file, heading, sizeof heading - 1));
    *out = f;
    f = NULL;
done:
    return f ? tdm_sample_file_close(&f, status) : status;
}

static void csv_number(tdm__str *out, const tdm_sample_report *s, const char *task,
                       const char *metric, double value)
{
    char number[TDM__F64_TEXT] = "";
    if (!isnan(value)) tdm__f64_text(value, number);
    tdm__str_addf(out, "%" PRIu64 ",%" PRIu64 ",", s->index, s->row);
    tdm__csv_text(out, task);
    tdm__str_addf(out, ",%s,%s\r\n", metric, number);
}

static void csv_sample(tdm__str *out, const tdm_sample_report *s)
{
    for (size_t t = 0; t < s->n_tasks; t++) {
        const tdm_task_report *task = &s->tasks[t];
        csv_number(out, s, task->name, "loss", task->loss);
        for (size_t m = 0; m < task->n_metrics; m++)
            csv_number(out, s, task->name, task->metrics[m].name, task->metrics[m].value);
    }
}

static void json_task(tdm__json *j, const tdm_task_report *task)
{
    tdm__json_key(j, task->name), tdm__json_open(j, '{');
    tdm__json_key(j, "loss"), tdm__json_number(j, task->loss);
    tdm__json_key(j, "metrics"), tdm__json_open(j, '{');
    for (size_t m = 0; m < task->n_metrics; m++) {
        tdm__json_key(j, task->metrics[m].name);
        tdm__json_number(j, task->metrics[m].value);
    }
    tdm__json_close(j, '}');
    tdm__json_close(j, '}');
}

/* An element of the array, with what stands before it. */
static tdm_status json_sample(tdm__str *out, const tdm_sample_report *s, bool first)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "index"), tdm__json_uint(&j, s->index);
    tdm__json_key(&j, "row"), tdm__json_uint(&j, s->row);
    tdm__json_key(&j, "tasks"), tdm__json_open(&j, '{');
    for (size_t t = 0; t < s->n_tasks; t++) json_task(&j, &s->tasks[t]);
    tdm__json_close(&j, '}');
    tdm__json_close(&j, '}');
    const tdm_status status = tdm__json_status(&j);
    if (!status) tdm__str_addf(out, "%s%s", first ? "[\n" : ",\n", tdm__json_text(&j));
    tdm__json_free(&j);
    return status;
}

tdm_status tdm_sample_file_add(void *user, const tdm_sample_report *sample)
{
    tdm_status status = TDM_OK;
    tdm_sample_file *f = user;
    f->text.length = 0;
    if (f->json)
        TDM_TRY(json_sample(&f->text, sample, f->written == 0));
    else
        csv_sample(&f->text, sample);
    TDM_TRY(tdm__str_status(&f->text));
    TDM_TRY(tdm__atomic_write(&f->file, tdm__str_text(&f->text), f->text.length));
    f->written++;
done:
    return status;
}

tdm_status tdm_sample_file_close(tdm_sample_file **file, tdm_status status)
{
    tdm_sample_file *f = *file;
    if (!f) return status;
    const char *end = f->written ? "\n]\n" : "[]\n";
    if (!status && f->json) status = tdm__atomic_write(&f->file, end, strlen(end));
    if (!status) status = tdm__atomic_commit(&f->file);
    tdm__atomic_abort(&f->file);
    tdm__str_free(&f->text);
    free(f);
    *file = NULL;
    return status;
}

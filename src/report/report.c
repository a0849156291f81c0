/* report/report.c: a report as a text or a file. See <tandem/report.h>. */
#include "report/report.h"

#include <stdlib.h>

#include "base/file.h"

static const char *const format_names[] = {"html", "csv", "json", "md", "svg"};
typedef tdm_status writer(const tdm__report *, tdm__str *);
static writer *const writers[] = {tdm__report_html, tdm__report_csv, tdm__report_json_text,
                                  tdm__report_md, tdm__report_svg};
enum { FORMATS = sizeof writers / sizeof *writers };

/* The place of `name` among n names; n: it is none of them. */
static int place_of(const char *name, const char *const *names, int n)
{
    int i = 0;
    while (i < n && !tdm__streq(name, names[i])) i++;
    return i;
}

bool tdm_report_format_read(const char *name, tdm_report_format *out)
{
    const int i = place_of(name, format_names, FORMATS);
    if (i < FORMATS) *out = (tdm_report_format)i;
    return i < FORMATS;
}

bool tdm_report_chart_read(const char *name, tdm_report_chart *out)
{
    static const char *const names[] = {"results", "curves"};
    const int i = place_of(name, names, 2);
    if (i < 2) *out = (tdm_report_chart)i;
    return i < 2;
}

static void fill_result(const tdm__report *report, size_t bytes, tdm_report_result *out)
{
    *out = (tdm_report_result){.arms = report->n_arms, .runs = report->n_runs, .bytes = bytes};
    for (size_t i = 0; i < report->n_runs; i++) out->finished += report->runs[i].finished;
}

static tdm_status make(const tdm_report_spec *spec, tdm__str *text, tdm_report_result *result)
{
    tdm_status status = TDM_OK;
    tdm__report report = {0};
    if ((int)spec->format < 0 || (int)spec->format >= FORMATS)
        return tdm__fail(TDM_ERR_USAGE, "there is no report format %d", (int)spec->format);
    TDM_TRY(tdm__report_load(spec, &report));
    report.chart = spec->chart;
    if (spec->predict) TDM_TRY(tdm__examples_make(spec, &report, &report.examples));
    TDM_TRY(writers[spec->format](&report, text));
    TDM_TRY(tdm__str_status(text));
    if (result) fill_result(&report, text->length, result);
done:
    tdm__report_free(&report);
    return status;
}

tdm_status tdm_report_text(const tdm_report_spec *spec, char **out, tdm_report_result *result)
{
    tdm__str text = {0};
    const tdm_status status = make(spec, &text, result);
    if (status) tdm__str_free(&text);
    *out = text.text;
    return status;
}

tdm_status tdm_report_write(const tdm_report_spec *spec, const char *path,
                            tdm_report_result *result)
{
    tdm__str text = {0};
    tdm_status status = make(spec, &text, result);
    if (!status) status = tdm__atomic_write_file(path, tdm__str_text(&text), text.length);
    tdm__str_free(&text);
    return status;
}

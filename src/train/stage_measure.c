/* train/stage_measure.c: see stage_measure.h. */
#include "train/stage_measure.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/compare.h>
#include <tandem/train.h>

#include "base/str.h"
#include "format/json.h"

static const tdm_opt_spec specs[] = {
    {"transfer.measure", TDM_OPT_STRINGS, "[]", TDM_OPT_RUNTIME, .hint = "[cka, forgetting]",
     .help = "after a stage that began with another's weights: how alike what the layers give is "
             "(cka), the source's tasks with the new trunk (forgetting)"},
    {"transfer.split", TDM_OPT_ENUM, "val", TDM_OPT_RUNTIME, .choices = "train|val|test",
     .help = "what transfer.measure measures on"},
    {"transfer.samples", TDM_OPT_INT, "256", TDM_OPT_MIN | TDM_OPT_RUNTIME, 4,
     .help = "cka: the first so many samples of it"},
};
const tdm_opt_table tdm__measure_options = {"transfer", specs, sizeof specs / sizeof *specs};

enum { SETTINGS = 7 };

/* Settings of this machine, which checkpoints do not carry, as "key=value". */
typedef struct machine {
    tdm__str texts[SETTINGS];
    const char *list[SETTINGS];
} machine;

static void machine_free(machine *m)
{
    for (int i = 0; i < SETTINGS; i++) tdm__str_free(&m->texts[i]);
}

static tdm_status machine_read(const tdm_config *config, machine *m)
{
    static const char *const words[] = {"device.spec", "device.platform", "device.type",
                                        "device.style", "device.memory_limit"};
    static const char *const numbers[] = {"device.units", "data.workers"};
    tdm_status status = TDM_OK;
    size_t n = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++, n++) {
        const char *value;
        TDM_TRY(tdm_config_string(config, words[i], &value));
        tdm__str_addf(&m->texts[n], "%s=%s", words[i], value);
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++, n++) {
        int64_t value;
        TDM_TRY(tdm_config_int(config, numbers[i], &value));
        tdm__str_addf(&m->texts[n], "%s=%" PRId64, numbers[i], value);
    }
    for (size_t i = 0; i < n; i++) {
        TDM_TRY(tdm__str_status(&m->texts[i]));
        m->list[i] = m->texts[i].text;
    }
done:
    return status;
}

static tdm_status read_wanted(const tdm_config *config, bool *cka, bool *forgetting)
{
    const char *const *list;
    size_t n;
    tdm_status status = tdm_config_strings(config, "transfer.measure", &list, &n);
    *cka = *forgetting = false;
    for (size_t i = 0; !status && i < n; i++) {
        if (!strcmp(list[i], "cka"))
            *cka = true;
        else if (!strcmp(list[i], "forgetting"))
            *forgetting = true;
        else
            status = tdm_config_reject(config, "transfer.measure",
                                       "'%s': must be cka or forgetting", list[i]);
    }
    return status;
}

tdm_status tdm__stage_measure_check(const tdm_config *config)
{
    bool cka, forgetting;
    return read_wanted(config, &cka, &forgetting);
}

static void warn(const char *what)
{
    tdm__log(TDM_LOG_WARN, "%s was not measured: %s", what, tdm_last_error());
}

/* ---- forgetting -------------------------------------------------------------------------------
 */

static void add_change(tdm__str *text, const tdm_task_report *before, const tdm_task_report *after)
{
    for (size_t m = 0; m < before->n_metrics && m < after->n_metrics; m++) {
        const tdm_metric_value *x = &before->metrics[m], *y = &after->metrics[m];
        tdm__str label = {0};
        if (x->baseline) continue;
        tdm__str_addf(&label, "%s.%s", before->name, x->name);
        tdm__str_addf(text, "  %-34s %12.4f %12.4f %+12.4f\n", tdm__str_text(&label), x->value,
                      y->value, y->value - x->value);
        tdm__str_free(&label);
    }
}

/* The source's heads with its own trunk and with the stage's. */
static tdm_status measure_forgetting(const tdm_config *config, const machine *m, const char *source,
                                     const char *folder, tdm__json *json, tdm__str *text)
{
    tdm_status status = TDM_OK;
    tdm_evaluation *e[2] = {NULL, NULL};
    char *reports[2] = {NULL, NULL};
    const char *split;
    TDM_TRY(tdm_config_string(config, "transfer.split", &split));
    for (int i = 0; i < 2; i++) {
        TDM_TRY(tdm_evaluate_with_trunk(source, i ? folder : NULL, split, m->list, SETTINGS, NULL,
                                        &e[i]));
        TDM_TRY(tdm_epoch_report_json(tdm_evaluation_report(e[i]), &reports[i]));
    }
    const tdm_epoch_report *before = tdm_evaluation_report(e[0]);
    tdm__str_addf(text, "  %-34s %12s %12s %12s\n", "the source's tasks", "before", "after",
                  "difference");
    for (size_t t = 0; t < before->n_tasks; t++)
        add_change(text, &before->tasks[t], &tdm_evaluation_report(e[1])->tasks[t]);
    tdm__json_key(json, "forgetting"), tdm__json_open(json, '{');
    tdm__json_key(json, "before"), tdm__json_raw(json, reports[0]);
    tdm__json_key(json, "after"), tdm__json_raw(json, reports[1]);
    tdm__json_close(json, '}');
done:
    for (int i = 0; i < 2; i++) {
        free(reports[i]);
        tdm_evaluation_destroy(&e[i]);
    }
    return status;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static tdm_status measure_outputs(const tdm_config *config, const machine *m, const char *source,
                                  const char *folder, tdm_comparison *comparison)
{
    const char *split;
    int64_t samples;
    tdm_status status = tdm_config_string(config, "transfer.split", &split);
    if (!status) status = tdm_config_int(config, "transfer.samples", &samples);
    return status ? status
                  : tdm_compare_outputs(source, folder, split, (uint64_t)samples, m->list, SETTINGS,
                                        comparison);
}

tdm_status tdm__stage_measure(const tdm_config *config, const char *source, const char *folder,
                              char **json, char **text)
{
    tdm_status status = TDM_OK;
    tdm_comparison comparison = {0};
    machine m = {0};
    tdm__json j = {0};
    tdm__str table = {0};
    char *part = NULL;
    bool cka, forgetting;
    *json = *text = NULL;
    TDM_TRY(read_wanted(config, &cka, &forgetting));
    TDM_TRY(machine_read(config, &m));
    if (tdm_compare_weights(source, folder, &comparison)) goto done; /* it kept none */
    if (cka && measure_outputs(config, &m, source, folder, &comparison)) warn("cka");
    tdm__json_open(&j, '{');
    TDM_TRY(tdm_comparison_text(&comparison, true, &part));
    tdm__json_key(&j, "weights"), tdm__json_raw(&j, part);
    free(part);
    part = NULL;
    TDM_TRY(tdm_comparison_text(&comparison, false, &part));
    tdm__str_add(&table, part);
    if (forgetting && measure_forgetting(config, &m, source, folder, &j, &table))
        warn("forgetting");
    tdm__json_close(&j, '}');
    TDM_TRY(tdm__json_status(&j));
    TDM_TRY(tdm__str_status(&table));
    *json = j.out.text;
    *text = table.text;
    j.out = table = (tdm__str){0};
done:
    free(part);
    machine_free(&m);
    tdm__json_free(&j);
    tdm__str_free(&table);
    tdm_comparison_free(&comparison);
    return status;
}

/* experiment/manifest.c: experiment.json, the state of every run.
 *
 * report/outline.h reads it. What is in it can be found again from the run folders, but for the
 * state of runs that failed or were stopped; it is written for the report, for other programs, and
 * for those.
 */
#include "experiment/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

static const char format[] = "tandem-experiment-1";

const char *tdm_run_state_name(tdm_run_state state)
{
    static const char *const names[] = {"waiting", "running", "done", "failed", "stopped"};
    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

static tdm_status put_settings(tdm__json *j, const tdm__pairs *settings)
{
    tdm__json_open(j, '{');
    for (size_t i = 0; i < settings->n; i++) {
        tdm__str value = {0};
        bool later = false; /* the last value of a key counts */
        for (size_t k = i + 1; k < settings->n && !later; k++)
            later = tdm__streq(settings->list[k].key, settings->list[i].key);
        if (later) continue;
        const tdm_status status = tdm__setting_json(settings->list[i].value, &value);
        tdm__json_key(j, settings->list[i].key);
        if (!status) tdm__json_raw(j, tdm__str_text(&value));
        tdm__str_free(&value);
        if (status) return status;
    }
    tdm__json_close(j, '}');
    return TDM_OK;
}

static tdm_status put_arm(tdm__json *j, const tdm__arm *arm)
{
    tdm_status status = TDM_OK;
    tdm__json_open(j, '{');
    tdm__json_key(j, "name"), tdm__json_string(j, arm->name);
    tdm__json_key(j, "group"), tdm__json_string(j, arm->group);
    tdm__json_key(j, "config"), tdm__json_string(j, arm->config);
    tdm__json_key(j, "set");
    TDM_TRY(put_settings(j, &arm->set));
    tdm__json_key(j, "grid");
    TDM_TRY(put_settings(j, &arm->point));
    tdm__json_close(j, '}');
done:
    return status;
}

static void put_trial(tdm__json *j, const tdm_experiment *e, const tdm__trial *t)
{
    const bool ended = t->state == TDM_RUN_DONE || t->state == TDM_RUN_FAILED;
    tdm__json_open(j, '{');
    tdm__json_key(j, "arm"), tdm__json_string(j, e->arms[t->arm].name);
    tdm__json_key(j, "seed"), tdm__json_int(j, t->seed);
    tdm__json_key(j, "folder"), tdm__json_string(j, t->folder);
    tdm__json_key(j, "hash"), tdm__json_string(j, t->hash);
    tdm__json_key(j, "binary"), tdm__json_string(j, *t->binary ? t->binary : NULL);
    tdm__json_key(j, "status"), tdm__json_string(j, tdm_run_state_name(t->state));
    tdm__json_key(j, "exit");
    if (ended)
        tdm__json_int(j, t->exit);
    else
        tdm__json_null(j);
    tdm__json_key(j, "seconds"), tdm__json_number(j, t->seconds);
    tdm__json_key(j, "error"), tdm__json_string(j, t->error);
    tdm__json_close(j, '}');
}

tdm_status tdm__manifest_json(const tdm_experiment *e, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "format"), tdm__json_string(&j, format);
    tdm__json_key(&j, "name"), tdm__json_string(&j, e->name);
    tdm__json_key(&j, "created"), tdm__json_string(&j, e->created);
    tdm__json_key(&j, "tandem"), tdm__json_string(&j, TANDEM_VERSION);
    tdm__json_key(&j, "command"), tdm__json_string(&j, e->command);
    tdm__json_key(&j, "device"), tdm__json_string(&j, e->device);
    tdm__json_key(&j, "baseline"), tdm__json_string(&j, *e->baseline ? e->baseline : NULL);
    tdm__json_key(&j, "seeds"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < e->n_seeds; i++) tdm__json_int(&j, e->seeds[i]);
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "arms"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < e->n_arms; i++) TDM_TRY(put_arm(&j, &e->arms[i]));
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "runs"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < e->n_trials; i++) put_trial(&j, e, &e->trials[i]);
    tdm__json_close(&j, ']');
    tdm__json_close(&j, '}');
    TDM_TRY(tdm__json_status(&j));
    tdm__str_addf(out, "%s\n", tdm__json_text(&j));
    status = tdm__str_status(out);
done:
    tdm__json_free(&j);
    return status;
}

tdm_status tdm__manifest_write(const tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    tdm__str text = {0};
    TDM_TRY(tdm__manifest_json(e, &text));
    TDM_TRY(tdm__path_join(e->folder, "experiment.json", &path));
    TDM_TRY(tdm__atomic_write_file(path, text.text, text.length));
done:
    free(path);
    tdm__str_free(&text);
    return status;
}

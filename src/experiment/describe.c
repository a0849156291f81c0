/* experiment/describe.c: the plan of an experiment as text. */
#include "experiment/internal.h"

#include <math.h>
#include <string.h>

static void add_time(tdm__str *out, double seconds)
{
    const long s = lround(seconds);
    if (s >= 3600)
        tdm__str_addf(out, "%ld h %02ld min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        tdm__str_addf(out, "%ld min %02ld s", s / 60, s % 60);
    else
        tdm__str_addf(out, "%ld s", s);
}

/* One line: the arm, what its runs are, how long one takes. */
static void add_arm(const tdm_experiment *e, size_t arm, int width, tdm__str *out)
{
    size_t n[5] = {0}, builds = 0, inputs = 0;
    const tdm__trial *any = NULL;
    for (size_t i = 0; i < e->n_trials; i++) {
        const tdm__trial *t = &e->trials[i];
        if (t->arm != arm) continue;
        any = t;
        n[t->state]++;
        builds += t->state == TDM_RUN_DONE && t->stale == TDM__STALE_BUILD;
        inputs += t->state == TDM_RUN_DONE && t->stale == TDM__STALE_INPUT;
    }
    tdm__str_addf(out, "  %-*s  %3zu of %zu done", width, e->arms[arm].name, n[TDM_RUN_DONE],
                  e->n_seeds);
    if (n[TDM_RUN_STOPPED]) tdm__str_addf(out, ", %zu begun", n[TDM_RUN_STOPPED]);
    if (n[TDM_RUN_FAILED]) tdm__str_addf(out, ", %zu failed", n[TDM_RUN_FAILED]);
    if (builds) tdm__str_addf(out, ", %zu by another build", builds);
    if (inputs) tdm__str_addf(out, ", %zu of another configuration or other data", inputs);
    const double seconds = any ? tdm__expected_seconds(e, any) : NAN;
    if (seconds > 0) {
        tdm__str_add(out, "; a run takes about ");
        add_time(out, seconds);
    }
    tdm__str_add(out, "\n");
}

tdm_status tdm_experiment_describe(const tdm_experiment *e, bool json, char **out)
{
    tdm__str text = {0};
    tdm_status status = TDM_OK;
    int width = 0;
    size_t done = 0;
    *out = NULL;
    if (json) {
        status = tdm__manifest_json(e, &text);
        if (status) tdm__str_free(&text);
        *out = text.text;
        return status;
    }
    for (size_t a = 0; a < e->n_arms; a++)
        if ((int)strlen(e->arms[a].name) > width) width = (int)strlen(e->arms[a].name);
    for (size_t i = 0; i < e->n_trials; i++) done += e->trials[i].state == TDM_RUN_DONE;
    tdm__str_addf(&text, "experiment %s in %s, on %s: %zu arms x %zu seeds = %zu runs, %zu done",
                  e->name, e->folder, e->device, e->n_arms, e->n_seeds, e->n_trials, done);
    if (e->jobs > 1) tdm__str_addf(&text, ", %u at once", e->jobs);
    tdm__str_add(&text, "\n");
    for (size_t a = 0; a < e->n_arms; a++) add_arm(e, a, width, &text);
    const double rest = tdm__expected_rest(e);
    if (done == e->n_trials) {
        tdm__str_add(&text, "nothing is left to do\n");
    } else if (isnan(rest)) {
        tdm__str_add(&text, "no estimate of the time yet: no run is finished\n");
    } else {
        tdm__str_add(&text, "the rest takes about ");
        add_time(&text, rest);
        tdm__str_add(&text, "\n");
    }
    status = tdm__str_status(&text);
    if (status) tdm__str_free(&text);
    *out = text.text;
    return status;
}

/* experiment/experiment.c: an experiment from its file to its last run. */
#include "experiment/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tandem/device.h>
#include <tandem/train.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#define POLL_SECONDS 0.1
#define PROGRESS_SECONDS 0.5

/* ---- creation -------------------------------------------------------------------------------- */

/* Settings of the experiment itself are applied; the others are for the runs. */
static tdm_status apply_assignments(tdm_experiment *e, const tdm_experiment_spec *spec)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < spec->n_assignments; i++) {
        const char *text = spec->assignments[i];
        if (tdm__starts_with(text, "experiment.") || tdm__starts_with(text, "name="))
            TDM_TRY(tdm_config_assign(e->config, text, "--set"));
        else
            TDM_TRY(tdm__settings_read(&e->assignments, &text, 1));
    }
done:
    return status;
}

static tdm_status read_config(tdm_experiment *e, const tdm_experiment_spec *spec)
{
    static const tdm_opt_table *const tables[] = {&tdm_experiment_options};
    tdm_status status = TDM_OK;
    const char *output;
    TDM_TRY(tdm_config_create(tables, 1, &e->config));
    TDM_TRY(tdm_config_load(e->config, spec->path));
    TDM_TRY(apply_assignments(e, spec));
    if (spec->output)
        TDM_TRY(tdm_config_set(e->config, "experiment.output", spec->output, "--output"));
    TDM_TRY(tdm_config_resolve(e->config));
    TDM_TRY(tdm_config_string(e->config, "name", &e->name));
    TDM_TRY(tdm_config_string(e->config, "experiment.baseline", &e->baseline));
    TDM_TRY(tdm_config_string(e->config, "experiment.output", &output));
    if (*output)
        e->folder = tdm__strdup(output);
    else
        TDM_TRY(tdm__path_join("experiments", e->name, &e->folder));
    if (!e->folder) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
done:
    return status;
}

static tdm_status describe_command(tdm_experiment *e, const tdm_experiment_spec *spec)
{
    tdm__str line = {0};
    tdm__str_add(&line, "tandem experiment ");
    tdm__str_add_word(&line, spec->path);
    for (size_t i = 0; i < spec->n_assignments; i++) {
        tdm__str_add(&line, " --set ");
        tdm__str_add_word(&line, spec->assignments[i]);
    }
    for (size_t i = 0; i < spec->n_devices; i++) {
        tdm__str_add(&line, " --device ");
        tdm__str_add_word(&line, spec->devices[i]);
    }
    if (spec->jobs) tdm__str_addf(&line, " --jobs %u", spec->jobs);
    const tdm_status status = tdm__str_status(&line);
    e->command = line.text;
    return status;
}

/* The path behind a link like /proc/self/exe: what runs stays the same file although the link's
 * name would lead the child to itself. */
static tdm_status find_program(tdm_experiment *e, const char *given)
{
    e->program = given ? tdm__strdup(given) : realpath("/proc/self/exe", NULL);
    if (!e->program) return tdm__fail_errno(TDM_ERR_RUNTIME, "the path of this program");
    return tdm__hash_file_hex(given ? given : "/proc/self/exe", e->binary);
}

/* Slots take turns on the devices; those on one divide its units. */
static tdm_status divide_devices(tdm_experiment *e, const tdm_experiment_spec *spec)
{
    tdm_status status = TDM_OK;
    tdm_config *config = NULL;
    tdm_device_spec device;
    const unsigned kinds = spec->n_devices ? (unsigned)spec->n_devices : 1;
    e->jobs = spec->jobs ? spec->jobs : kinds;
    TDM_TRY(tdm__calloc_try(e->jobs, sizeof *e->units, &e->units));
    TDM_TRY(tdm__calloc_try(spec->n_devices, sizeof *e->devices, &e->devices));
    for (size_t i = 0; i < spec->n_devices; i++) {
        e->devices[e->n_devices++] = tdm__strdup(spec->devices[i]);
        if (!e->devices[i]) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    }
    TDM_TRY(tdm__trial_config(e, &e->trials[0], &config));
    TDM_TRY(tdm_device_spec_read(config, &device));
    tdm__str names = {0};
    for (unsigned d = 0; d < kinds && !status; d++) {
        tdm_device_info info;
        if (e->n_devices) device.device = e->devices[d];
        status = tdm_device_choose(&device, &info);
        if (status) break;
        tdm__str_addf(&names, "%s%s", d ? ", " : "", info.name);
        const unsigned shares = e->jobs / kinds + (d < e->jobs % kinds);
        for (unsigned s = d, i = 0; s < e->jobs; s += kinds, i++) {
            if (shares < 2 || device.units || info.type != TDM_DEVICE_CPU) continue;
            e->units[s] = info.compute_units / shares + (i < info.compute_units % shares);
            if (e->units[s] == 0) e->units[s] = 1;
        }
    }
    snprintf(e->device, sizeof e->device, "%s", tdm__str_text(&names));
    tdm__str_free(&names);
done:
    tdm_config_destroy(&config);
    return status;
}

tdm_status tdm_experiment_create(const tdm_experiment_spec *spec, tdm_experiment **out)
{
    tdm_status status = TDM_OK;
    tdm_experiment *e = NULL;
    char now[32];
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *e, &e));
    e->policy = spec->policy;
    e->lock = -1;
    tdm__time_text(tdm__wall(), now, sizeof now);
    e->created = tdm__strdup(now);
    if (!e->created) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(find_program(e, spec->program));
    TDM_TRY(describe_command(e, spec));
    TDM_TRY(read_config(e, spec));
    TDM_TRY(tdm__plan_experiment(e));
    if (!*e->baseline) e->baseline = e->arms[0].name;
    TDM_TRY(tdm__survey(e));
    TDM_TRY(divide_devices(e, spec));
    *out = e;
    e = NULL;
done:
    tdm_experiment_destroy(&e);
    return status;
}

void tdm_experiment_destroy(tdm_experiment **experiment)
{
    tdm_experiment *e = *experiment;
    if (!e) return;
    for (size_t i = 0; i < e->n_arms; i++) tdm__arm_free(&e->arms[i]);
    for (size_t i = 0; i < e->n_trials; i++) {
        free(e->trials[i].folder);
        free(e->trials[i].path);
        free(e->trials[i].error);
        free(e->trials[i].result);
    }
    for (size_t i = 0; i < e->n_devices; i++) free(e->devices[i]);
    tdm__pairs_free(&e->assignments);
    tdm_config_destroy(&e->config);
    if (e->lock >= 0) close(e->lock);
    free(e->arms);
    free(e->trials);
    free(e->devices);
    free(e->units);
    free(e->folder);
    free(e->program);
    free(e->created);
    free(e->command);
    free(e);
    *experiment = NULL;
}

const char *tdm_experiment_folder(const tdm_experiment *e)
{
    return e->folder;
}

void tdm_experiment_stop(tdm_experiment *e, tdm_status status)
{
    e->stop = (sig_atomic_t)status;
}

/* ---- before the first run -------------------------------------------------------------------- */

static size_t count_stale(const tdm_experiment *e, tdm__stale stale)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_trials; i++)
        n += e->trials[i].state == TDM_RUN_DONE && e->trials[i].stale == stale;
    return n;
}

static size_t count_state(const tdm_experiment *e, tdm_run_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_trials; i++) n += e->trials[i].state == state;
    return n;
}

/* Finished runs that do not match: kept, done again, or a question. */
static tdm_status settle_stale(tdm_experiment *e)
{
    const size_t inputs = count_stale(e, TDM__STALE_INPUT),
                 builds = count_stale(e, TDM__STALE_BUILD);
    const size_t done = count_state(e, TDM_RUN_DONE);
    if (e->policy == TDM_EXPERIMENT_REDO) {
        for (size_t i = 0; i < e->n_trials; i++)
            if (e->trials[i].state == TDM_RUN_DONE && e->trials[i].stale)
                e->trials[i].state = TDM_RUN_WAITING;
        return TDM_OK;
    }
    if (inputs)
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                   "%s: %zu finished runs are of another configuration or other "
                                   "data than now",
                                   e->folder, inputs),
                         "--redo removes them and does them again; --output begins in another "
                         "folder");
    if (!builds) return TDM_OK;
    if (e->policy == TDM_EXPERIMENT_ASK && done < e->n_trials)
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                   "%s: %zu finished runs were done by another build of tandem, "
                                   "whose numbers may differ slightly, and %zu runs are left",
                                   e->folder, builds, e->n_trials - done),
                         "--keep-finished keeps them, --redo does them again");
    tdm__log(TDM_LOG_WARN, "%zu finished runs were done by another build of tandem", builds);
    return TDM_OK;
}

static tdm_status take_folder(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    TDM_TRY(tdm__make_folders(e->folder));
    TDM_TRY(tdm__path_join(e->folder, ".lock", &path));
    TDM_TRY(tdm__lock_file(path, 0, &e->lock));
    if (e->lock < 0)
        status = tdm__hint(
            tdm__fail(TDM_ERR_RUNTIME, "%s: another process works on this experiment", e->folder),
            "--output begins in another folder");
done:
    free(path);
    return status;
}

static tdm_status write_config(const tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *path = NULL;
    TDM_TRY(tdm_config_dump(e->config, true, &text));
    TDM_TRY(tdm__path_join(e->folder, "experiment.yaml", &path));
    TDM_TRY(tdm__atomic_write_file(path, text, strlen(text)));
done:
    free(text);
    free(path);
    return status;
}

/* ---- the runs -------------------------------------------------------------------------------- */

/* Tells the world that a trial has another state. */
static tdm_status publish(tdm_experiment *e, const tdm__trial *t)
{
    const tdm_status status = tdm__manifest_write(e);
    if (e->events.changed) {
        tdm_experiment_run_info info;
        tdm__trial_info(e, t, &info);
        e->events.changed(e->events.user, &info);
    }
    return status;
}

/* The first trial that is to run now, one that has begun before any new one. */
static tdm__trial *next_trial(const tdm_experiment *e, const bool *tried)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < e->n_trials; i++)
            if (!tried[i] && e->trials[i].state == (pass == 0 ? TDM_RUN_STOPPED : TDM_RUN_WAITING))
                return &e->trials[i];
    return NULL;
}

static bool slot_is_free(const tdm_experiment *e, unsigned slot)
{
    for (size_t i = 0; i < e->n_trials; i++)
        if (e->trials[i].state == TDM_RUN_RUNNING && e->trials[i].slot == slot) return false;
    return true;
}

static tdm_status fill_slots(tdm_experiment *e, bool *tried)
{
    tdm_status status = TDM_OK;
    for (unsigned slot = 0; slot < e->jobs && !e->stop; slot++) {
        tdm__trial *t = slot_is_free(e, slot) ? next_trial(e, tried) : NULL;
        if (!t) continue;
        tried[t - e->trials] = true;
        TDM_TRY(tdm__child_start(e, t, slot));
        TDM_TRY(publish(e, t));
    }
done:
    return status;
}

static tdm_status poll_all(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < e->n_trials; i++) {
        tdm__trial *t = &e->trials[i];
        bool ended;
        if (t->state != TDM_RUN_RUNNING) continue;
        if (e->stop)
            tdm__child_signal(t, e->stop == (sig_atomic_t)TDM_ERR_TERMINATED ? SIGTERM : SIGINT);
        TDM_TRY(tdm__child_poll(e, t, &ended));
        if (ended) TDM_TRY(publish(e, t));
    }
done:
    return status;
}

static void tell_progress(tdm_experiment *e)
{
    tdm_experiment_run_info info;
    tdm_experiment_progress p = {.runs = e->n_trials};
    double work = 0;
    for (size_t i = 0; i < e->n_trials; i++) {
        tdm__trial *t = &e->trials[i];
        p.done += t->state == TDM_RUN_DONE;
        p.failed += t->state == TDM_RUN_FAILED;
        p.running += t->state == TDM_RUN_RUNNING;
        /* Progress is for show: what cannot be read now may be at the next look. */
        if (t->state == TDM_RUN_RUNNING && !tdm__survey_progress(t) && t->epochs > 0)
            work += (double)t->epoch / (double)t->epochs;
        if (t->state == TDM_RUN_RUNNING && !p.now) {
            tdm__trial_info(e, t, &info);
            p.now = &info;
        }
    }
    p.fraction = ((double)(p.done + p.failed) + work) / (double)p.runs;
    p.eta_seconds = tdm__expected_rest(e);
    e->events.progress(e->events.user, &p);
}

/* Ends what still runs: after an error of ours, which is kept. */
static void stop_all(tdm_experiment *e)
{
    size_t left;
    do {
        left = 0;
        for (size_t i = 0; i < e->n_trials; i++) {
            tdm__trial *t = &e->trials[i];
            bool ended = true;
            if (t->state != TDM_RUN_RUNNING) continue;
            tdm__child_signal(t, SIGTERM);
            if (tdm__child_poll(e, t, &ended)) t->state = TDM_RUN_STOPPED;
            left += t->state == TDM_RUN_RUNNING;
        }
        if (left) tdm__sleep(POLL_SECONDS);
    } while (left);
}

static tdm_status go_through(tdm_experiment *e)
{
    tdm_status status = TDM_OK;
    bool *tried = NULL;
    double told = 0;
    TDM_TRY(tdm__calloc_try(e->n_trials, sizeof *tried, &tried));
    for (;;) {
        TDM_TRY(fill_slots(e, tried));
        TDM_TRY(poll_all(e));
        if (e->events.progress && tdm__now() - told > PROGRESS_SECONDS) {
            tell_progress(e);
            told = tdm__now();
        }
        if (count_state(e, TDM_RUN_RUNNING) == 0 && (e->stop || !next_trial(e, tried))) break;
        tdm__sleep(POLL_SECONDS);
    }
done:
    free(tried);
    return status;
}

/* Begun by a call that was killed before it saw them end. At the end of this one: their processes
 * may live on for a moment after their results are there. */
static void tidy(const tdm_experiment *e)
{
    for (size_t i = 0; i < e->n_trials; i++)
        if (e->trials[i].state == TDM_RUN_DONE) tdm__child_tidy(&e->trials[i]);
}

/* The status that the failed runs have in common. */
static tdm_status judge(const tdm_experiment *e)
{
    const size_t failed = count_state(e, TDM_RUN_FAILED), done = count_state(e, TDM_RUN_DONE);
    int code = 0;
    const tdm__trial *first = NULL;
    if (done == e->n_trials) return TDM_OK;
    if (e->stop)
        return tdm__fail((tdm_status)e->stop,
                         "stopped with %zu of %zu runs done; the same command "
                         "goes on",
                         done, e->n_trials);
    for (size_t i = 0; i < e->n_trials; i++) {
        const tdm__trial *t = &e->trials[i];
        if (t->state != TDM_RUN_FAILED) continue;
        if (!first) first = t;
        code = !code || code == t->exit ? t->exit : 1;
    }
    if (!first)
        return tdm__fail(TDM_ERR_RUNTIME, "%zu of %zu runs were stopped; the same command goes on",
                         e->n_trials - done, e->n_trials);
    tdm_status status = TDM_ERR_RUNTIME;
    for (int s = 0; s < (int)TDM_STATUS_COUNT; s++)
        if (s != TDM_OK && tdm_status_exit_code((tdm_status)s) == code) status = (tdm_status)s;
    return tdm__fail(
        status, "%zu of %zu runs failed; the first is %s, seed %" PRId64 ": %s (%s/log.txt)",
        failed, e->n_trials, e->arms[first->arm].name, first->seed, first->error, first->path);
}

tdm_status tdm_experiment_run(tdm_experiment *e, const tdm_experiment_events *events)
{
    tdm_status status = TDM_OK;
    tdm__error error = {0};
    e->events = events ? *events : (tdm_experiment_events){0};
    TDM_TRY(settle_stale(e));
    TDM_TRY(take_folder(e));
    TDM_TRY(write_config(e));
    TDM_TRY(tdm__manifest_write(e));
    status = go_through(e);
    if (status) {
        tdm__error_take(&error, status);
        stop_all(e);
        (void)tdm__manifest_write(e); /* as far as that is still possible */
        status = tdm__error_give(&error);
        goto done;
    }
    TDM_TRY(tdm__manifest_write(e));
    tidy(e);
    status = judge(e);
done:
    tdm__error_clear(&error);
    return status;
}

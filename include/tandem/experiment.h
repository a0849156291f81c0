/* tandem/experiment.h: arms x seeds x grid points of one comparison, each a run of its own.
 *
 *     tdm_experiment_create(&spec, &experiment);
 *     tdm_experiment_describe(experiment, false, &text);    what there is to do
 *     status = tdm_experiment_run(experiment, &events);
 *
 * An experiment is a YAML file (keys: `tandem config --experiment`, README) that names training
 * configurations and what is set in each arm. Every run is a process of its own, `tandem train`, in
 * its own run folder; the experiment's folder also holds `experiment.yaml` (resolved) and
 * `experiment.json`, the state of every run, replaced whenever one changes. Runs are known by a hash
 * of their resolved configuration and of the data's content: a finished run whose hash is the same
 * is never done again, an interrupted one goes on.
 *
 * An experiment belongs to one thread, but for tdm_experiment_stop.
 */
#ifndef TANDEM_EXPERIMENT_H
#define TANDEM_EXPERIMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>
#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The options of an experiment's file. */
extern const tdm_opt_table tdm_experiment_options;

/* What to do with finished runs that another build of the program has done: numbers of two builds
 * may differ in their last digits, so a comparison does not mix them without being told to. */
typedef enum tdm_experiment_policy {
    TDM_EXPERIMENT_ASK,  /* runs are left to do and others were done by another build, or from another
                            configuration or other data: TDM_ERR_CONFIG, nothing is started */
    TDM_EXPERIMENT_KEEP, /* keep those of another build */
    TDM_EXPERIMENT_REDO  /* remove finished runs that do not match, and do them again */
} tdm_experiment_policy;

typedef struct tdm_experiment_spec {
    const char *path;               /* the experiment's file */
    const char *output;             /* its folder; NULL: as the file says */
    const char *program;            /* what is called as `program train ...`; NULL: this program */
    const char *const *assignments; /* "key=value" on top of every run (name and experiment.*: of the
                                       experiment itself) */
    size_t n_assignments;
    const char *const *devices; /* runs take turns on them; none: what the configurations say */
    size_t n_devices;
    unsigned jobs; /* runs at once, 0: one per device. Those that share a device divide its compute
                      units among them, where it can be partitioned */
    tdm_experiment_policy policy;
} tdm_experiment_spec;

typedef enum tdm_run_state {
    TDM_RUN_WAITING,
    TDM_RUN_RUNNING,
    TDM_RUN_DONE,
    TDM_RUN_FAILED,
    TDM_RUN_STOPPED /* by a signal; goes on at the next call */
} tdm_run_state;
/* "waiting", "running", "done", "failed", "stopped". Static storage. */
const char *tdm_run_state_name(tdm_run_state state);

typedef struct tdm_experiment_run_info {
    const char *arm, *folder; /* folder: below the experiment's */
    int64_t seed;
    tdm_run_state state;
    int64_t epoch, epochs; /* finished, and in all */
    double seconds;        /* of this call and the earlier ones that it continues */
    int exit;              /* exit code of the process once it has ended */
    const char *error;     /* of a failed run; NULL: none */
    const char *result;    /* of a finished one: "class.accuracy 0.89 ..." on test; NULL: none */
} tdm_experiment_run_info;

typedef struct tdm_experiment_progress {
    size_t runs, done, failed, running;
    double fraction;    /* of the work that is known */
    double eta_seconds; /* NaN: no estimate yet */
    const tdm_experiment_run_info *now; /* one that is running; NULL: none */
} tdm_experiment_progress;

typedef struct tdm_experiment_events {
    void *user;
    void (*changed)(void *user, const tdm_experiment_run_info *run); /* its state */
    void (*progress)(void *user, const tdm_experiment_progress *progress); /* about twice a second */
} tdm_experiment_events;

typedef struct tdm_experiment tdm_experiment;

/* Reads the file, resolves the configuration of every run, looks which are done. Writes nothing. */
tdm_status tdm_experiment_create(const tdm_experiment_spec *spec, tdm_experiment **out);
void tdm_experiment_destroy(tdm_experiment **experiment);
const char *tdm_experiment_folder(const tdm_experiment *experiment);
/* The plan: arms, runs, those that are done, an estimate of the time from finished ones; or the
 * manifest as JSON. free(*out). */
tdm_status tdm_experiment_describe(const tdm_experiment *experiment, bool json, char **out);
/* Does what is left. TDM_OK: every run is done. TDM_ERR_INTERRUPTED / TERMINATED after
 * tdm_experiment_stop, once the running ones have saved. If runs failed, the others are done
 * nevertheless, and the status is that of their exit codes (TDM_ERR_RUNTIME if these differ). */
tdm_status tdm_experiment_run(tdm_experiment *experiment, const tdm_experiment_events *events);
/* Passes the signal on to the running processes, once. Async-signal-safe. */
void tdm_experiment_stop(tdm_experiment *experiment, tdm_status status);

#ifdef __cplusplus
}
#endif
#endif

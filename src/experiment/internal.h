/* experiment/internal.h: an experiment's inside, shared by its files.
 *
 * plan.c reads the file: arms and trials (a trial is one run of the experiment: an arm with a
 * seed); survey.c looks what the run folders hold; manifest.c writes experiment.json;
 * child.c starts and ends processes; experiment.c goes through the trials.
 */
#ifndef EXPERIMENT_INTERNAL_H
#define EXPERIMENT_INTERNAL_H

#include <signal.h>
#include <sys/types.h>

#include <tandem/experiment.h>

#include "base/hash.h"
#include "experiment/settings.h"
#include "report/outline.h"

/* How what was given becomes a configuration: file, set, point, then the call's own settings. */
typedef struct tdm__arm {
    char *name, *group; /* group: the name without the point */
    char *config;       /* a training configuration */
    tdm__pairs set, point;
} tdm__arm;

/* Why a finished run does not count as it is. */
typedef enum tdm__stale {
    TDM__STALE_NO,
    TDM__STALE_BUILD, /* another build of the program has done it */
    TDM__STALE_INPUT  /* of another configuration, or other data */
} tdm__stale;

typedef struct tdm__trial {
    size_t arm;
    int64_t seed, epoch, epochs;
    bool staged;                /* a pipeline: the folder holds one for each stage */
    char *folder, *path;        /* below the experiment's folder; with it */
    char hash[TDM__HASH_HEX];   /* of what the run is to be made of */
    char binary[TDM__HASH_HEX]; /* of the program that did it, or began it; "": none */
    tdm_run_state state;
    tdm__stale stale;
    bool resumable; /* the folder holds a state to go on from */
    int exit;
    double seconds; /* of all calls so far */
    char *error, *result;
    /* While it runs: */
    pid_t pid;
    unsigned slot;
    double began, earlier; /* earlier: seconds of calls before */
    uint64_t log_begin;    /* bytes in its log before */
    bool signalled;
} tdm__trial;

struct tdm_experiment {
    tdm_config *config;
    const char *name, *baseline;
    char *folder, *program, *created;
    char *command; /* that of a shell which runs the same in another folder, without that */
    char device[256], binary[TDM__HASH_HEX];
    const int64_t *seeds;
    size_t n_seeds;
    tdm__arm *arms;
    size_t n_arms, arms_capacity;
    tdm__trial *trials;
    size_t n_trials;
    tdm__pairs assignments; /* of the call, for every run */
    char **devices;         /* specs; none: the configurations' */
    size_t n_devices;
    unsigned jobs, *units; /* per slot; 0: the whole device */
    tdm_experiment_policy policy;
    tdm_experiment_events events;
    int lock;                   /* descriptor; -1: not held */
    volatile sig_atomic_t stop; /* a tdm_status */
};

/* plan.c: fills arms and trials from the resolved experiment. */
tdm_status tdm__plan_experiment(tdm_experiment *e);
/* The resolved configuration of a trial. */
tdm_status tdm__trial_config(const tdm_experiment *e, const tdm__trial *t, tdm_config **out);
void tdm__arm_free(tdm__arm *arm);

/* survey.c */
void tdm__trial_info(const tdm_experiment *e, const tdm__trial *t, tdm_experiment_run_info *out);
/* Hashes of all trials, then their state from the folders and an earlier manifest. */
tdm_status tdm__survey(tdm_experiment *e);
/* State, seconds and result of a trial whose folder holds a finished run; others are left alone. */
tdm_status tdm__survey_summary(const tdm_experiment *e, tdm__trial *t);
/* Epochs of a running trial that are done. */
tdm_status tdm__survey_progress(tdm__trial *t);
/* Seconds that a trial takes in all, from finished ones of its arm, else of any; NaN: unknown. */
double tdm__expected_seconds(const tdm_experiment *e, const tdm__trial *t);
/* Seconds that all that is left takes; NaN: unknown. */
double tdm__expected_rest(const tdm_experiment *e);

/* child.c */
/* Begins anew or goes on, with its chatter in the folder's log.txt. */
tdm_status tdm__child_start(tdm_experiment *e, tdm__trial *t, unsigned slot);
/* *ended: it has; then exit and, of a failure, error are set. */
tdm_status tdm__child_poll(tdm_experiment *e, tdm__trial *t, bool *ended);
void tdm__child_signal(tdm__trial *t, int number);
/* Removes the lock of a run that ended when nobody watched, unless it is held still. */
void tdm__child_tidy(const tdm__trial *t);
/* Waits up to `seconds` for an exclusive lock on a file, which is made. *fd is -1 when another
 * process holds it. */
tdm_status tdm__lock_file(const char *path, double seconds, int *fd);

/* manifest.c */
tdm_status tdm__manifest_write(const tdm_experiment *e);
tdm_status tdm__manifest_json(const tdm_experiment *e, tdm__str *out);

#endif

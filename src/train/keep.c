/* train/keep.c: what a run keeps on disk while it goes on: checkpoints, its state, its summary; and
 * when it is to stop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/identity.h"
#include "train/lines.h"
#include "train/task_best.h"
#include "train/trainer.h"

bool tdm__trainer_should_stop(tdm_trainer *t)
{
    if (t->stop)
        t->reason = TDM_STOP_REQUESTED;
    else if (t->max_time > 0 && tdm__now() - t->started > t->max_time)
        t->reason = TDM_STOP_TIME;
    return t->reason != TDM_STOP_NONE;
}

tdm_status tdm__trainer_save_weights(tdm_trainer *t, const char *name)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    TDM_TRY(tdm__run_folder_file(&t->folder, name, &path));
    TDM_TRY(tdm__save_checkpoint(&t->session, path));
done:
    free(path);
    return status;
}

tdm_status tdm__trainer_save_state(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    TDM_TRY(tdm__run_folder_file(&t->folder, "state.safetensors", &path));
    TDM_TRY(tdm__save_state(&t->session, t->optimizer, &t->position, path));
done:
    free(path);
    return status;
}

tdm_status tdm__trainer_drop(tdm_trainer *t, const char *name)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    TDM_TRY(tdm__run_folder_file(&t->folder, name, &path));
    if (remove(path) && errno != ENOENT)
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot be removed", path);
done:
    free(path);
    return status;
}

tdm_status tdm__trainer_drop_weights(tdm_trainer *t)
{
    static const char *const names[] = {"best.safetensors", "last.safetensors",
                                        "state.safetensors"};
    tdm_status status = tdm__task_best_drop(t);
    for (size_t i = 0; i < sizeof names / sizeof *names && !status; i++)
        status = tdm__trainer_drop(t, names[i]);
    return status;
}

tdm_status tdm__trainer_tell_epoch(tdm_trainer *t, const tdm_epoch_report *train,
                                   const tdm_epoch_report *val)
{
    tdm_status status = TDM_OK;
    tdm__str line = {0};
    if (*t->log_format) {
        TDM_TRY(tdm__line_format(t->log_format,
                                 &(tdm__line_data){train, val, NULL, t->session.config}, &line));
        tdm__log(TDM_LOG_INFO, "%s", tdm__str_text(&line));
    }
    if (t->verbose) {
        line.length = 0;
        tdm__line_accuracy(val ? val : train, &line);
        TDM_TRY(tdm__str_status(&line));
        tdm__log(TDM_LOG_INFO, "%s", tdm__str_text(&line));
    }
    if (t->history) TDM_TRY(tdm__history_write(t->folder.path));
done:
    tdm__str_free(&line);
    return status;
}

tdm_status tdm__trainer_tell_save(tdm_trainer *t, const tdm_epoch_report *report)
{
    tdm_status status = TDM_OK;
    tdm__str line = {0};
    char *path = NULL;
    if (!*t->save_format) return TDM_OK;
    TDM_TRY(tdm__run_folder_file(&t->folder, "best.safetensors", &path));
    TDM_TRY(tdm__line_format(t->save_format,
                             &(tdm__line_data){report, report, path, t->session.config}, &line));
    tdm__log(TDM_LOG_INFO, "%s", tdm__str_text(&line));
done:
    tdm__str_free(&line);
    free(path);
    return status;
}

/* Of the part that stood still to the end. The run fails where the two differ. */
static void add_hashes(tdm__json *j, const char *before, const char *after)
{
    tdm__json_key(j, "frozen");
    tdm__json_open(j, '{');
    tdm__json_key(j, "hash_before"), tdm__json_string(j, before);
    tdm__json_key(j, "hash_after"), tdm__json_string(j, after);
    tdm__json_close(j, '}');
}

static void add_machine(tdm_trainer *t, tdm__json *j)
{
    const tdm_device_info *d = tdm_trainer_device(t);
    tdm__device_stats stats;
    tdm__device_stats_get(t->session.device, &stats);
    tdm__json_key(j, "version"), tdm__json_string(j, TANDEM_VERSION);
    tdm__json_key(j, "device"), tdm__json_string(j, d->name);
    tdm__json_key(j, "driver"), tdm__json_string(j, d->driver);
    tdm__json_key(j, "platform"), tdm__json_string(j, d->platform_name);
    tdm__json_key(j, "programs"), tdm__json_uint(j, tdm__device_program_count(t->session.device));
    tdm__json_key(j, "programs_built"), tdm__json_uint(j, stats.programs_built);
    tdm__json_key(j, "build_seconds"), tdm__json_number(j, stats.build_seconds);
    tdm__json_key(j, "device_peak_bytes");
    tdm__json_uint(j, tdm__device_peak_bytes(t->session.device));
    tdm__json_key(j, "process_peak_bytes"), tdm__json_uint(j, tdm__peak_rss());
}

/* The data's content and how many samples of it each split has. */
static tdm_status add_data(tdm_trainer *t, tdm__json *j)
{
    tdm__data_identity identity;
    const char *path;
    tdm_status status = tdm_config_string(t->config, "data.path", &path);
    if (!status) status = tdm__data_identify(path, &identity);
    if (status) return tdm__context(status, "summary.json: data");
    tdm__json_key(j, "data"), tdm__json_open(j, '{');
    tdm__json_key(j, "path"), tdm__json_string(j, path);
    tdm__json_key(j, "hash"), tdm__json_string(j, identity.hash);
    tdm__json_key(j, "files"), tdm__json_uint(j, identity.files);
    tdm__json_key(j, "bytes"), tdm__json_uint(j, identity.bytes);
    tdm__json_key(j, "samples"), tdm__json_open(j, '{');
    for (int i = 0; i < TDM__SPLITS; i++) {
        if (!t->splits[i]) continue;
        tdm__json_key(j, tdm__split_names[i]);
        tdm__json_uint(j, tdm_split_length(t->splits[i]));
    }
    tdm__json_close(j, '}');
    tdm__json_close(j, '}');
    return TDM_OK;
}

static void add_git(tdm_trainer *t, tdm__json *j)
{
    tdm__git_state state;
    tdm__git_finish(&t->git, &state);
    tdm__json_key(j, "git");
    if (!*state.commit) {
        tdm__json_null(j);
        return;
    }
    tdm__json_open(j, '{');
    tdm__json_key(j, "commit"), tdm__json_string(j, state.commit);
    tdm__json_key(j, "dirty"), tdm__json_bool(j, state.dirty);
    tdm__json_close(j, '}');
}

/* Which program: other builds may round differently. */
static tdm_status add_program(tdm__json *j)
{
    char hash[TDM__HASH_HEX];
    const tdm_status status = tdm__hash_file_hex("/proc/self/exe", hash);
    if (status) return status;
    tdm__json_key(j, "binary"), tdm__json_string(j, hash);
    return TDM_OK;
}

/* Which algorithms ran: with the same ones (tune.file: the folder's tuning.json) and the rest
 * equal, a run repeats to the same bits. */
static void add_tuning(const tdm__chooser *c, tdm__json *j)
{
    tdm__json_key(j, "tuning"), tdm__json_open(j, '{');
    tdm__json_key(j, "source"), tdm__json_string(j, c->source);
    tdm__json_key(j, "hash"), tdm__json_string(j, c->tuning ? c->hash : NULL);
    tdm__json_close(j, '}');
}

/* Keeps the tuning in the run folder. A resumed run whose tuning is another one goes on with other
 * algorithms, so with other bits. */
tdm_status tdm__trainer_save_tuning(tdm_trainer *t, bool resumed)
{
    tdm_status status = TDM_OK;
    const tdm__chooser *c = &t->session.chooser;
    tdm__tuning *kept = NULL;
    char *path = NULL, hash[TDM__HASH_HEX] = "";
    TDM_TRY(tdm__run_folder_file(&t->folder, "tuning.json", &path));
    if (resumed && tdm__path_exists(path)) {
        TDM_TRY(tdm__tuning_read(path, &kept));
        TDM_TRY(tdm__tuning_hash(kept, hash));
    }
    if (resumed && strcmp(hash, c->hash) != 0)
        tdm__log(TDM_LOG_WARN,
                 "the run began with another choice of algorithms: the rest will not be "
                 "bit-identical to an uninterrupted run (hint: --set tune.file=%s)",
                 *hash ? path : "off");
    else if (c->tuning && !resumed)
        TDM_TRY(tdm__tuning_write(c->tuning, path));
done:
    tdm__tuning_destroy(&kept);
    free(path);
    return status;
}

tdm_status tdm__trainer_write_summary(tdm_trainer *t, const tdm_epoch_report *test)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "stop_reason"), tdm__json_string(&j, tdm_stop_reason_name(t->reason));
    tdm__json_key(&j, "epochs_done"), tdm__json_int(&j, t->position.epoch);
    tdm__json_key(&j, "steps"), tdm__json_int(&j, t->position.step);
    tdm__json_key(&j, "seconds"), tdm__json_number(&j, t->position.seconds);
    tdm__json_key(&j, "best_epoch"), tdm__json_int(&j, t->position.best_epoch);
    tdm__json_key(&j, "best_value"), tdm__json_number(&j, t->position.best_value);
    tdm__json_key(&j, "seed"), tdm__json_uint(&j, t->session.seed);
    tdm__json_key(&j, "config_hash"), tdm__json_string(&j, t->config_hash);
    TDM_TRY(add_data(t, &j));
    TDM_TRY(add_program(&j));
    add_git(t, &j);
    add_machine(t, &j);
    add_tuning(&t->session.chooser, &j);
    if (*t->frozen_before) add_hashes(&j, t->frozen_before, t->frozen_after);
    tdm__task_best_json(t, &j);
    tdm__json_key(&j, "test");
    if (test) {
        tdm__json_open(&j, '{');
        tdm__report_json(&j, test);
        tdm__json_close(&j, '}');
    } else {
        tdm__json_null(&j);
    }
    tdm__json_close(&j, '}');
    TDM_TRY(tdm__json_status(&j));
    TDM_TRY(tdm__run_folder_file(&t->folder, "summary.json", &path));
    TDM_TRY(tdm__atomic_write_file(path, tdm__json_text(&j), strlen(tdm__json_text(&j))));
done:
    tdm__json_free(&j);
    free(path);
    return status;
}

/* train/trainer.c: the run: epochs of training and validation, checkpoints, early stop, the final
 * test. */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "train/lines.h"
#include "train/protocol.h"
#include "train/step_graph.h"
#include "train/task_best.h"

enum { FAST_DEV_TRAIN = 4, FAST_DEV_EVAL = 2 };

const char *tdm_stop_reason_name(tdm_stop_reason reason)
{
    static const char *const names[] = {"none",     "epochs",    "early-stop",
                                        "max-time", "requested", "diverged"};
    return (unsigned)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

/* ---- creation ----------------------------------------------------------------------------------
 */

static tdm_status read_options(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    const tdm_config *c = t->config;
    bool fast;
    int64_t overfit;
    TDM_TRY(tdm_config_int(c, "train.epochs", &t->epochs));
    TDM_TRY(tdm_config_int(c, "train.patience", &t->patience));
    TDM_TRY(tdm_config_int(c, "train.checkpoint_steps", &t->checkpoint_steps));
    TDM_TRY(tdm_config_int(c, "train.overfit_batches", &overfit));
    TDM_TRY(tdm_config_float(c, "train.max_time", &t->max_time));
    TDM_TRY(tdm_config_bool(c, "train.test", &t->test));
    TDM_TRY(tdm_config_bool(c, "train.verbose", &t->verbose));
    TDM_TRY(tdm_config_bool(c, "train.history", &t->history));
    TDM_TRY(tdm_config_bool(c, "train.save_model", &t->save_model));
    TDM_TRY(tdm_config_bool(c, "train.fast_dev_run", &fast));
    TDM_TRY(tdm__optim_spec_read(c, &t->optim));
    TDM_TRY(tdm__schedule_read(c, &t->schedule));
    t->overfit = overfit > 0;
    t->limit_train = overfit;
    if (t->overfit) t->test = false;
    if (fast) {
        t->epochs = 1;
        t->limit_train = FAST_DEV_TRAIN;
        t->limit_eval = FAST_DEV_EVAL;
    }
done:
    return status;
}

/* The arrays of the training split are what the session is built for. */
static tdm_status open_session(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    tdm_array_info *infos = NULL;
    TDM_TRY(tdm__open_splits(t->config, t->splits));
    const tdm_dataset *data = tdm_split_dataset(t->splits[TDM__SPLIT_TRAIN]);
    const size_t n = tdm_dataset_arrays(data);
    TDM_TRY(tdm__calloc_try(n, sizeof *infos, &infos));
    for (size_t i = 0; i < n; i++) infos[i] = *tdm_dataset_array(data, i);
    const tdm__array_source arrays = {n, infos};
    TDM_TRY(tdm__protocol_expand(t->config, &arrays, &t->expanded));
    if (t->expanded) t->config = t->expanded;
    TDM_TRY(tdm__session_create(t->config, &arrays, true, &t->session));
done:
    free(infos);
    return status;
}

static const tdm__purpose purposes[TDM__SPLITS] = {TDM__FOR_TRAINING, TDM__FOR_VALIDATION,
                                                   TDM__FOR_TEST};

static tdm_status open_feeds(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    for (int i = 0; i < TDM__SPLITS; i++) {
        if (!t->splits[i] || (t->overfit && i != TDM__SPLIT_TRAIN)) continue;
        TDM_TRY(tdm__session_feed(&t->session, t->splits[i], purposes[i], false, &t->feeds[i]));
    }
done:
    return status;
}

/* model.feature_selection: what the heads' first layers read is selected together. */
static tdm_status select_features(tdm_trainer *t)
{
    tdm__session *s = &t->session;
    tdm__row_part *parts = NULL;
    int64_t rows;
    double lambda;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_float(t->config, "model.feature_selection", &lambda));
    if (!(lambda > 0)) goto done;
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *parts, &parts));
    TDM_TRY(tdm__step_feature_rows(s, parts, &rows));
    TDM_TRY(
        tdm__proximal_create(s->device, s->flat, parts, s->n_tasks, rows, lambda, &t->proximal));
done:
    free(parts);
    return status;
}

/* The first weights, and the optimiser that may pull towards them. */
static tdm_status init_weights(tdm_trainer *t)
{
    const char *path;
    bool *loaded = NULL;
    tdm__flat *flat = t->session.flat;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(t->config, "train.init_from", &path));
    TDM_TRY(tdm__calloc_try(tdm__flat_count(flat), sizeof *loaded, &loaded));
    if (*path && (status = tdm__transfer_weights(&t->session, path, loaded))) {
        tdm__context(status, "train.init_from");
        goto done;
    }
    TDM_TRY(tdm__optimizer_create(t->session.device, flat, &t->optim, &t->optimizer));
    TDM_TRY(tdm__optimizer_anchor(t->optimizer, loaded));
    TDM_TRY(tdm__rate_factors(t->config, flat, t->optimizer));
    TDM_TRY(select_features(t));
done:
    free(loaded);
    return status;
}

tdm_status tdm_trainer_create(const tdm_config *config, const tdm_train_events *events,
                              tdm_trainer **out)
{
    tdm_status status = TDM_OK;
    tdm_trainer *t = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *t, &t));
    t->config = config;
    if (events) t->events = *events;
    t->position.best_value = NAN;
    TDM_TRY(tdm_config_hash(config, t->config_hash));
    TDM_TRY(read_options(t));
    TDM_TRY(open_session(t));
    TDM_TRY(tdm__selector_read(t->config, &t->session, &t->selector));
    TDM_TRY(tdm__task_best_open(t));
    TDM_TRY(tdm__lines_check(t->config, &t->session));
    TDM_TRY(tdm_config_string(t->config, "train.log_format", &t->log_format));
    TDM_TRY(tdm_config_string(t->config, "train.save_format", &t->save_format));
    TDM_TRY(open_feeds(t));
    TDM_TRY(tdm__feature_cache_create(&t->session, t->splits, &t->cache));
    TDM_TRY(init_weights(t));
    const size_t n = t->session.n_tasks;
    TDM_TRY(tdm__calloc_try(2 * n, sizeof *t->task_reports, &t->task_reports));
    TDM_TRY(
        tdm__calloc_try(2 * n * TDM__TASK_METRICS, sizeof *t->metric_values, &t->metric_values));
    TDM_TRY(tdm__calloc_try(n, sizeof *t->task_names, &t->task_names));
    TDM_TRY(tdm__calloc_try(n, sizeof *t->task_losses, &t->task_losses));
    *out = t;
    t = NULL;
done:
    tdm_trainer_destroy(&t);
    return status;
}

void tdm_trainer_destroy(tdm_trainer **trainer)
{
    tdm_trainer *t = *trainer;
    if (!t) return;
    if (t->session.device) tdm_device_finish(t->session.device);
    for (int i = 0; i < TDM__SPLITS; i++) tdm__feed_destroy(&t->feeds[i]);
    tdm__feature_cache_destroy(&t->cache);
    tdm__proximal_destroy(&t->proximal);
    tdm__optimizer_destroy(&t->optimizer);
    tdm__git_finish(&t->git, &(tdm__git_state){0});
    tdm__session_destroy(&t->session);
    tdm_config_destroy(&t->expanded);
    for (int i = 0; i < TDM__SPLITS; i++) tdm_split_destroy(&t->splits[i]);
    tdm__run_folder_close(&t->folder);
    tdm__task_best_close(t);
    free(t->task_reports);
    free(t->metric_values);
    free(t->task_names);
    free(t->task_losses);
    free(t);
    *trainer = NULL;
}

void tdm_trainer_stop(tdm_trainer *t, tdm_status status)
{
    t->stop = (sig_atomic_t)status;
}
const char *tdm_trainer_folder(const tdm_trainer *t)
{
    return t->folder.path;
}
tdm_stop_reason tdm_trainer_reason(const tdm_trainer *t)
{
    return t->reason;
}

const tdm_device_info *tdm_trainer_device(const tdm_trainer *t)
{
    return tdm_device_get_info(t->session.device);
}

/* Opens the folder; when it is to be resumed and holds a state, loads it. */
static tdm_status open_folder(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    const char *output, *resume;
    char *state = NULL;
    TDM_TRY(tdm_config_string(t->config, "train.output", &output));
    TDM_TRY(tdm_config_string(t->config, "train.resume", &resume));
    const bool named = *resume && strcmp(resume, "auto");
    const char *folder = named ? resume : output;
    if (*resume && !*folder)
        TDM_TRY(tdm_config_reject(t->config, "train.resume", "auto needs train.output (--output)"));
    if (*resume) TDM_TRY(tdm__path_join(folder, "state.safetensors", &state));
    const bool found = state && tdm__path_exists(state);
    if (named && !found)
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: no such file, so there is nothing to resume", state));
    if (found) TDM_TRY(tdm__load_state(&t->session, t->optimizer, &t->position, state));
    TDM_TRY(tdm__run_folder_open(&t->folder, t->config, folder, found));
    TDM_TRY(tdm__trainer_save_tuning(t, found));
    if (found) TDM_TRY(tdm__run_folder_rewind(&t->folder, t->position.epoch));
done:
    free(state);
    return status;
}

/* Once the cache has all features of a split, its images are not read any more. */
static tdm_status spare_inputs(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    for (int i = TDM__SPLIT_TRAIN; t->cache && i <= TDM__SPLIT_VAL; i++) {
        if (!t->feeds[i] || t->spared[i] || !tdm__feature_cache_full(t->cache, i)) continue;
        t->spared[i] = true;
        tdm__feed_destroy(&t->feeds[i]);
        TDM_TRY(tdm__session_feed(&t->session, t->splits[i], purposes[i], true, &t->feeds[i]));
    }
done:
    return status;
}

/* ---- what stands still -------------------------------------------------------------------------
 */

static bool any_frozen(tdm_trainer *t)
{
    for (size_t i = 0; i < tdm__flat_count(t->session.flat); i++)
        if (tdm__flat_segment(t->session.flat, i)->frozen) return true;
    return false;
}

static tdm_status frozen_hash(tdm_trainer *t, char hash[33])
{
    hash[0] = 0;
    return any_frozen(t) ? tdm__flat_hash(t->session.flat, true, hash) : TDM_OK;
}

/* Fails when what stood still since the latest change did not. */
static tdm_status check_frozen(tdm_trainer *t)
{
    const tdm_status status = frozen_hash(t, t->frozen_after);
    if (status || !strcmp(t->frozen_before, t->frozen_after)) return status;
    return tdm__fail(TDM_ERR_RUNTIME, "frozen parameters changed: hash %s became %s",
                     t->frozen_before, t->frozen_after);
}

tdm_status tdm__trainer_freeze(tdm_trainer *t, bool first)
{
    tdm_status status = TDM_OK;
    tdm__freezing *f = &t->session.freezing;
    const int64_t epoch = t->position.epoch, step = t->position.step;
    if (!first && !tdm__freezing_due(f, epoch, step)) return TDM_OK;
    if (!first) TDM_TRY(check_frozen(t)); /* by the flags of until now */
    if (tdm__freezing_move(f, t->session.flat, epoch, step)) {
        TDM_TRY(tdm__session_drop_training(&t->session));
        TDM_TRY(tdm__session_plan_training(&t->session));
    }
    if (!first) tdm__log(TDM_LOG_INFO, "unfrozen before step %lld", (long long)step + 1);
    TDM_TRY(frozen_hash(t, t->frozen_before));
done:
    return status;
}

/* ---- the run
 * ------------------------------------------------------------------------------------- */

static tdm_status publish(tdm_trainer *t, const tdm_epoch_report *report)
{
    tdm_status status = tdm__run_folder_epoch(&t->folder, report);
    if (!status && t->events.epoch) t->events.epoch(t->events.user, report);
    return status;
}

/* Compares the epoch with the best so far and saves it when it is better. */
static tdm_status select_best(tdm_trainer *t, tdm_epoch_report *report)
{
    const double value = tdm__selector_value(&t->selector, report);
    tdm__position *p = &t->position;
    tdm_status status = tdm__task_best_select(t, report);
    if (status) return status;
    if (p->best_epoch && !isnan(p->best_value) &&
        !tdm__selector_better(&t->selector, value, p->best_value)) {
        p->epochs_without_gain++;
        return TDM_OK;
    }
    p->best_epoch = report->epoch;
    p->best_value = value;
    p->epochs_without_gain = 0;
    report->best = true;
    status = tdm__trainer_save_weights(t, "best.safetensors");
    return status ? status : tdm__trainer_tell_save(t, report);
}

static tdm_status end_epoch(tdm_trainer *t, tdm_epoch_report *train)
{
    tdm_status status = TDM_OK;
    tdm_epoch_report val = {0};
    const bool has_val = t->feeds[TDM__SPLIT_VAL] != NULL;
    train->features = tdm__proximal_rows(t->proximal);
    TDM_TRY(tdm__proximal_kept(t->proximal, &train->features_kept));
    if (has_val) {
        bool finished;
        TDM_TRY(publish(t, train));
        TDM_TRY(tdm__eval_pass(t, TDM__SPLIT_VAL, &val, &finished));
        /* Stopped: a resumed run finds the epoch's steps done and validates again. */
        if (!finished) return TDM_OK;
        val.lr = train->lr;
        TDM_TRY(select_best(t, &val));
        TDM_TRY(publish(t, &val));
    } else {
        TDM_TRY(select_best(t, train));
        TDM_TRY(publish(t, train));
    }
    TDM_TRY(tdm__trainer_end_balancing(t, train));
    t->position.epoch++;
    t->position.epoch_step = 0;
    TDM_TRY(tdm__trainer_save_weights(t, "last.safetensors"));
    TDM_TRY(tdm__trainer_save_state(t));
    TDM_TRY(tdm__trainer_tell_epoch(t, train, has_val ? &val : NULL));
    if (t->patience && t->position.epochs_without_gain >= t->patience) t->reason = TDM_STOP_EARLY;
done:
    return status;
}

static tdm_status write_profile(tdm_trainer *t)
{
    const char *path;
    tdm_status status = tdm_config_string(t->config, "train.profile", &path);
    if (status || !*path) return status;
    return tdm__profile_write(t->session.device, path);
}

static tdm_status run_epochs(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    bool first = true;
    /* The time limit is looked at after steps only: every call gets something done. */
    while (t->position.epoch < t->epochs && t->reason == TDM_STOP_NONE && !t->stop) {
        tdm_epoch_report report = {0};
        bool finished = false;
        const double began = tdm__now();
        TDM_TRY(spare_inputs(t));
        TDM_TRY(tdm__train_pass(t, &report, &finished));
        t->position.seconds += tdm__now() - began;
        if (first) TDM_TRY(write_profile(t));
        first = false;
        if (finished) TDM_TRY(end_epoch(t, &report));
    }
    if (t->stop) t->reason = TDM_STOP_REQUESTED;
    if (t->reason == TDM_STOP_REQUESTED || t->reason == TDM_STOP_TIME)
        TDM_TRY(tdm__trainer_save_state(t));
    if (t->reason == TDM_STOP_NONE) t->reason = TDM_STOP_EPOCHS;
    if (t->reason == TDM_STOP_EPOCHS || t->reason == TDM_STOP_EARLY) tdm__trainer_tell_inactive(t);
done:
    return status;
}

/* The selected checkpoint on the test split, read once, at the end. */
static tdm_status final_test(tdm_trainer *t, tdm_epoch_report *report, bool *tested)
{
    tdm_status status = TDM_OK;
    char *best = NULL;
    bool finished;
    *tested = false;
    if (!t->test || !t->feeds[TDM__SPLIT_TEST] || t->reason == TDM_STOP_REQUESTED) return TDM_OK;
    TDM_TRY(tdm__run_folder_file(&t->folder, "best.safetensors", &best));
    if (!tdm__path_exists(best)) goto done;
    TDM_TRY(tdm__task_best_test(t, &finished));
    if (finished) {
        TDM_TRY(tdm__load_weights(&t->session, best));
        TDM_TRY(tdm__eval_pass(t, TDM__SPLIT_TEST, report, &finished));
    }
    if (!finished) {
        t->reason = TDM_STOP_REQUESTED;
        goto done;
    }
    report->epoch = t->position.best_epoch;
    TDM_TRY(publish(t, report));
    *tested = true;
done:
    free(best);
    return status;
}

/* What the run will take on the device: everything is there by now but the plans of validation and
 * of a short last batch, which work in the same memory. */
static tdm_status tell_memory(tdm_trainer *t)
{
    tdm__session *s = &t->session;
    tdm__step_plan *plan;
    tdm__plan_stats stats;
    const tdm_status status = tdm__session_plan(s, TDM__FOR_TRAINING, 0, s->batch_size, &plan);
    if (status) return status;
    tdm__plan_get_stats(plan->plan, &stats);
    tdm__log(TDM_LOG_INFO, "device memory %.1f MiB, of these activations %.1f MiB%s",
             (double)tdm__device_bytes(s->device) / (1 << 20),
             (double)stats.arena_bytes / (1 << 20),
             stats.recomputed ? "; some are computed again to stay within the limit" : "");
    if (t->cache)
        tdm__log(TDM_LOG_INFO, "the frozen trunk's features are computed once: %s",
                 tdm__feature_cache_text(t->cache));
    return TDM_OK;
}

/* Not when it is created: a stage is described before there are weights to begin with. */
static tdm_status check_anchors(tdm_trainer *t)
{
    const char *path;
    const tdm_status status = tdm_config_string(t->config, "train.init_from", &path);
    if (status || *path || !(t->optim.l2_sp > 0)) return status;
    return tdm__hint(
        tdm_config_reject(t->config, "optim.l2_sp", "there are no loaded weights to pull towards"),
        "train.init_from, or for one stage stages.NAME.optim.l2_sp");
}

tdm_status tdm_trainer_run(tdm_trainer *t)
{
    tdm_status status = TDM_OK;
    tdm_epoch_report test = {0};
    bool tested = false;
    t->started = tdm__now();
    TDM_TRY(check_anchors(t));
    tdm__git_start(&t->git);
    /* What can fail for lack of memory or a broken kernel does so before anything is written. */
    TDM_TRY(tdm__session_plan_training(&t->session));
    TDM_TRY(tell_memory(t));
    TDM_TRY(open_folder(t));
    TDM_TRY(tdm__trainer_freeze(t, true));
    TDM_TRY(run_epochs(t));
    TDM_TRY(check_frozen(t));
    TDM_TRY(final_test(t, &test, &tested));
    TDM_TRY(tdm__trainer_write_summary(t, tested ? &test : NULL));
    const bool over = t->reason == TDM_STOP_EPOCHS || t->reason == TDM_STOP_EARLY;
    if (!t->save_model && over) TDM_TRY(tdm__trainer_drop_weights(t));
    if (t->reason == TDM_STOP_REQUESTED)
        status = tdm__fail((tdm_status)t->stop, "stopped in epoch %lld; the state is saved in %s",
                           (long long)t->position.epoch + 1, t->folder.path);
done:
    if (status == TDM_ERR_DIVERGED) t->reason = TDM_STOP_DIVERGED;
    return status;
}

/* train/pass.c: one pass over a split: training steps, or evaluation. The host enqueues and moves
 * on; it waits for the device only to show progress about once a second, and at the pass's end. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "train/trainer.h"

static const double progress_interval = 1.0; /* seconds */

/* ---- progress -----------------------------------------------------------------------------------
 */

typedef struct pass {
    tdm__session *session;
    tdm__feed *feed;
    tdm__feature_cache *cache; /* NULL: none */
    const tdm_train_events *events;
    tdm_task_report *tasks;
    tdm_metric_value *metrics;
    const char **names;
    double *losses;
    tdm_epoch_report *report;
    tdm__purpose purpose;
    double began, shown, waited_before, busy_before;
    uint64_t samples;
    int64_t steps, batches; /* batches: run so far */
} pass;

static double waited(const pass *p)
{
    tdm_loader_stats stats;
    tdm__feed_stats_get(p->feed, &stats);
    return stats.wait_seconds - p->waited_before;
}

/* What a step costs whatever else the machine does: on a CPU device the process's CPU time. */
static double busy(const pass *p)
{
    return tdm__device_traits(p->session->device)->is_cpu ? tdm__cpu_time() : tdm__now();
}

static void pass_begin(pass *p)
{
    tdm_loader_stats stats;
    tdm__feed_stats_get(p->feed, &stats);
    p->waited_before = stats.wait_seconds;
    p->began = p->shown = tdm__now();
    p->busy_before = busy(p);
}

/* The task whose loss was the first that was not finite; NULL: all are. A task that no step has
 * drawn yet has no loss. */
static const tdm_task_report *first_bad(const pass *p)
{
    const tdm_task_report *first = NULL;
    for (size_t t = 0; t < p->report->n_tasks; t++) {
        const tdm_task_report *task = &p->tasks[t];
        if (task->samples && !isfinite(task->loss) && (!first || task->bad_step < first->bad_step))
            first = task;
    }
    return first;
}

/* A NaN or infinite loss ends the run, by the name of the task that began: one step later all that
 * share a parameter with it are NaN as well. */
static tdm_status check_losses(const pass *p)
{
    const tdm_task_report *bad = first_bad(p);
    if (bad)
        return tdm__hint(tdm__fail(TDM_ERR_DIVERGED,
                                   "task '%s': the %s loss is not finite from %s %lld on, in "
                                   "epoch %lld",
                                   bad->name, p->report->split,
                                   p->purpose == TDM__FOR_TRAINING ? "step" : "batch",
                                   (long long)bad->bad_step, (long long)p->report->epoch),
                         "lower optim.lr, set optim.clip_norm, look at the data");
    if (isfinite(p->report->total)) return TDM_OK;
    return tdm__fail(TDM_ERR_DIVERGED, "the total %s loss is %g in epoch %lld", p->report->split,
                     p->report->total, (long long)p->report->epoch);
}

/* Reads the accumulators (waits for the device) into the report. */
static tdm_status read_report(pass *p)
{
    tdm_status status =
        tdm__session_report(p->session, p->purpose, p->tasks, p->metrics, p->report);
    if (status) return status;
    const double seconds = tdm__now() - p->began;
    p->report->seconds = seconds;
    p->report->samples = p->samples;
    if (p->batches) p->report->step_seconds = (busy(p) - p->busy_before) / (double)p->batches;
    p->report->wait_share = seconds > 0 ? waited(p) / seconds : 0;
    return check_losses(p);
}

static tdm_status show(pass *p, int64_t step)
{
    const double now = tdm__now();
    if (now - p->shown < progress_interval) return TDM_OK;
    p->shown = now;
    tdm_status status = read_report(p);
    if (status || !p->events || !p->events->progress) return status;
    for (size_t t = 0; t < p->report->n_tasks; t++) {
        p->names[t] = p->tasks[t].name;
        p->losses[t] = p->tasks[t].loss;
    }
    const double seconds = p->report->seconds;
    const tdm_progress progress = {.split = p->report->split,
                                   .epoch = p->report->epoch,
                                   .epochs = p->report->epochs,
                                   .step = step,
                                   .steps = p->steps,
                                   .seconds = seconds,
                                   .samples_per_second = (double)p->samples / seconds,
                                   .eta_seconds =
                                       seconds * (double)(p->steps - step) / (double)step,
                                   .wait_share = p->report->wait_share,
                                   .total = p->report->total,
                                   .n_tasks = p->report->n_tasks,
                                   .names = p->names,
                                   .losses = p->losses};
    p->events->progress(p->events->user, &progress);
    return TDM_OK;
}

/* Fetches the next batch and enqueues its plan. *batch is NULL at the end. */
static tdm_status run_batch(pass *p, int64_t step, double lr, const tdm_batch **batch)
{
    tdm_status status = TDM_OK;
    const tdm__view *loaded;
    tdm__view *views = p->session->views;
    tdm__step_plan *plan;
    TDM_TRY(tdm__feed_next(p->feed, batch, &loaded));
    if (!*batch) goto done;
    tdm__session_views(p->session, p->feed, loaded, views);
    TDM_TRY(
        tdm__session_plan(p->session, p->purpose, (*batch)->part, (int64_t)(*batch)->count, &plan));
    if (plan->cached)
        TDM_TRY(tdm__feature_cache_fetch(
            p->cache, p->purpose == TDM__FOR_TRAINING ? TDM__SPLIT_TRAIN : TDM__SPLIT_VAL, *batch,
            views[p->session->input]));
    TDM_TRY(tdm__session_run(p->session, plan, views, step, lr));
    p->samples += (*batch)->count;
    p->batches++;
done:
    return status;
}

static int64_t limited(int64_t steps, int64_t limit)
{
    return limit && limit < steps ? limit : steps;
}

/* ---- training -----------------------------------------------------------------------------------
 */

/* Of a step of the current epoch, which has `steps`. */
static double learning_rate(const tdm_trainer *t, int64_t steps, int64_t step)
{
    return tdm__schedule_lr(&t->schedule, t->optim.lr, t->epochs, steps, t->position.epoch,
                            t->position.epoch * steps + step);
}

/* One batch: forward, backward, optimiser, and what balancing learns from the step. *stepped:
 * parameters changed (not between micro-batches). */
static tdm_status train_batch(tdm_trainer *t, pass *p, double lr, bool *more, bool *stepped)
{
    tdm_status status = TDM_OK;
    const tdm_batch *batch;
    TDM_TRY(run_batch(p, t->position.step, lr, &batch));
    *more = batch != NULL;
    if (!batch) goto done;
    TDM_TRY(tdm__optimizer_step(t->optimizer, lr, stepped));
    if (*stepped) TDM_TRY(tdm__proximal_step(t->proximal, lr));
    if (*stepped)
        TDM_TRY(tdm__session_again(&t->session, batch->part, (int64_t)batch->count,
                                   t->session.views, t->position.step, lr));
    TDM_TRY(tdm__feed_release(p->feed));
    TDM_TRY(tdm__compute_flush(t->session.device));
    t->position.epoch_step++;
    t->position.step++;
done:
    return status;
}

static bool checkpoint_due(const tdm_trainer *t)
{
    return t->checkpoint_steps && t->position.step % t->checkpoint_steps == 0;
}

static tdm_status train_loop(tdm_trainer *t, pass *p, bool *finished)
{
    tdm_status status = TDM_OK;
    bool more = true, stepped = true;
    *finished = false;
    /* A run may be resumed after an epoch's last step: then this is the rate of that step. */
    p->report->lr =
        learning_rate(t, p->steps, t->position.epoch_step - (t->position.epoch_step > 0));
    while (t->position.epoch_step < p->steps) {
        p->report->lr = learning_rate(t, p->steps, t->position.epoch_step);
        TDM_TRY(tdm__trainer_freeze(t, false));
        TDM_TRY(train_batch(t, p, p->report->lr, &more, &stepped));
        if (!more) break;
        /* Program binaries are complete after the kernels' first launches. */
        if (t->position.step == 1) TDM_TRY(tdm__device_cache_write(t->session.device));
        TDM_TRY(show(p, t->position.epoch_step));
        if (stepped && checkpoint_due(t) && t->position.epoch_step < p->steps) {
            TDM_TRY(read_report(p)); /* never save what has diverged */
            TDM_TRY(tdm__trainer_save_state(t));
        }
        if (stepped && tdm__trainer_should_stop(t)) goto done;
    }
    TDM_TRY(tdm__optimizer_flush(t->optimizer, p->report->lr, &stepped));
    if (stepped) TDM_TRY(tdm__proximal_step(t->proximal, p->report->lr));
    *finished = true;
done:
    return status;
}

tdm_status tdm__train_pass(tdm_trainer *t, tdm_epoch_report *report, bool *finished)
{
    tdm_status status = TDM_OK;
    const tdm_loader *loader = tdm__feed_loader(t->feeds[TDM__SPLIT_TRAIN]);
    pass p = {.session = &t->session,
              .feed = t->feeds[TDM__SPLIT_TRAIN],
              .cache = t->cache,
              .events = &t->events,
              .tasks = t->task_reports,
              .metrics = t->metric_values,
              .names = t->task_names,
              .losses = t->task_losses,
              .report = report,
              .purpose = TDM__FOR_TRAINING,
              .steps = limited((int64_t)tdm_loader_steps(loader), t->limit_train)};
    report->split = tdm__split_names[TDM__SPLIT_TRAIN];
    report->epoch = t->position.epoch + 1;
    report->epochs = t->epochs;
    if (t->position.epoch_step == 0) {
        TDM_TRY(tdm__meter_reset(t->session.meters[1]));
        if (t->session.gradients) tdm__gradients_reset(t->session.gradients);
    }
    TDM_TRY(tdm__feed_seek(p.feed, t->overfit ? 0 : (uint64_t)t->position.epoch,
                           (uint64_t)t->position.epoch_step));
    pass_begin(&p);
    TDM_TRY(train_loop(t, &p, finished));
    TDM_TRY(read_report(&p));
    report->step = t->position.step;
done:
    return status;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

tdm_status tdm__evaluate_feed(const tdm__eval_spec *spec, tdm_epoch_report *report)
{
    tdm_status status = TDM_OK;
    const tdm_loader *loader = tdm__feed_loader(spec->feed);
    pass p = {.session = spec->session,
              .feed = spec->feed,
              .cache = spec->cache,
              .events = spec->events,
              .tasks = spec->tasks,
              .metrics = spec->metrics,
              .names = spec->names,
              .losses = spec->losses,
              .report = report,
              .purpose = spec->purpose,
              .steps = limited((int64_t)tdm_loader_steps(loader), spec->limit)};
    const tdm_batch *batch;
    report->split = spec->split;
    TDM_TRY(tdm__meter_reset(spec->session->meters[0]));
    TDM_TRY(tdm__feed_seek(p.feed, 0, 0));
    pass_begin(&p);
    for (int64_t step = 0; step < p.steps; step++) {
        if (spec->samples) TDM_TRY(tdm__per_sample_reset(spec->samples));
        TDM_TRY(run_batch(&p, step, 0, &batch));
        if (!batch) break;
        if (spec->samples) TDM_TRY(tdm__per_sample_tell(spec->samples, spec->purpose, batch));
        TDM_TRY(tdm__feed_release(p.feed));
        TDM_TRY(tdm__compute_flush(spec->session->device));
        TDM_TRY(show(&p, step + 1));
        if (spec->stop && *spec->stop) break;
    }
    TDM_TRY(read_report(&p));
done:
    return status;
}

tdm_status tdm__eval_pass(tdm_trainer *t, int split, tdm_epoch_report *report, bool *finished)
{
    const tdm__eval_spec spec = {
        .session = &t->session,
        .feed = t->feeds[split],
        .cache = t->cache,
        .purpose = split == TDM__SPLIT_TEST ? TDM__FOR_TEST : TDM__FOR_VALIDATION,
        .split = tdm__split_names[split],
        .limit = t->limit_eval,
        .events = &t->events,
        .tasks = t->task_reports + t->session.n_tasks,
        .metrics = t->metric_values + t->session.n_tasks * TDM__TASK_METRICS,
        .names = t->task_names,
        .losses = t->task_losses,
        .stop = &t->stop};
    report->epoch = t->position.epoch + 1;
    report->epochs = t->epochs;
    report->step = t->position.step;
    const tdm_status status = tdm__evaluate_feed(&spec, report);
    *finished = !t->stop;
    return status;
}

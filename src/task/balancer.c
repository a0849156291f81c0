/* task/balancer.c: what a balancing method remembers, and the numbers that it gives the device.
 *
 * The memory is an array of floats, so that saving and loading it loses nothing:
 *     epochs seen, whether weights have moved; per task: p and q of ops/task_weights.c; two rows of
 *     history; the first epoch's loss; the weight that was last reported; the factor of the last
 * step. FAMO: steps of its logits. The history of DWA is the mean losses of the last epoch and of
 * the one before, of DTP the running average of the indicator, of GradNorm the first loss, of FAMO
 * the moments of Adam. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/balance_internal.h"

enum { P, Q, HISTORY, OLDER, FIRST, WATCHED, LAST, ROWS };
enum { EPOCHS, MOVED, HEAD }; /* before the rows */

struct tdm__balancer {
    tdm_device *device;
    const tdm__balance *spec;
    const tdm__task *tasks;
    size_t n;
    tdm__buffer given, factors, losses;
    float *step_losses; /* n, and n after the step */
    float *state;       /* HEAD + ROWS n */
    double *work;       /* 4 n */
    size_t *present;    /* n */
};

static float *row(const tdm__balancer *b, int k)
{
    return b->state + HEAD + (size_t)k * b->n;
}

static bool needs_losses(const tdm__balancer *b)
{
    return b->spec->kind == TDM__BALANCE_GRADNORM || b->spec->kind == TDM__BALANCE_FAMO;
}

static tdm_status upload(tdm__balancer *b)
{
    return tdm__view_write_async(b->device, (tdm__view){&b->given, 0}, row(b, P),
                                 2 * b->n * sizeof(float));
}

tdm_status tdm__balancer_create(tdm_device *device, const tdm__balance *balance,
                                const tdm__task *tasks, size_t n, tdm__balancer **out)
{
    tdm_status status = TDM_OK;
    tdm__balancer *b = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *b, &b));
    b->device = device;
    b->spec = balance;
    b->tasks = tasks;
    b->n = n;
    TDM_TRY(tdm__calloc_try(tdm__balancer_size(b), sizeof *b->state, &b->state));
    TDM_TRY(tdm__calloc_try(4 * n, sizeof *b->work, &b->work));
    TDM_TRY(tdm__calloc_try(n, sizeof *b->present, &b->present));
    TDM_TRY(tdm__calloc_try(2 * n, sizeof *b->step_losses, &b->step_losses));
    if (needs_losses(b))
        TDM_TRY(tdm__buffer_create(device, 2 * n * sizeof(float), true, "task losses", &b->losses));
    for (size_t i = 0; i < n; i++) {
        row(b, P)[i] = balance->kind == TDM__BALANCE_STCH   ? (float)tasks[i].weight
                       : balance->kind == TDM__BALANCE_FAMO ? 0 /* a logit */
                                                            : 1;
        row(b, HISTORY)[i] = row(b, OLDER)[i] = balance->kind == TDM__BALANCE_FAMO ? 0 : NAN;
        row(b, FIRST)[i] = row(b, WATCHED)[i] = NAN;
        row(b, LAST)[i] = 1;
    }
    TDM_TRY(tdm__buffer_create(device, 2 * n * sizeof(float), true, "balancing", &b->given));
    TDM_TRY(tdm__buffer_create(device, n * sizeof(float), true, "task weights", &b->factors));
    TDM_TRY(tdm__view_write(device, (tdm__view){&b->factors, 0}, row(b, LAST), n * sizeof(float)));
    TDM_TRY(tdm__view_write(device, (tdm__view){&b->given, 0}, row(b, P), 2 * n * sizeof(float)));
    *out = b;
    b = NULL;
done:
    tdm__balancer_destroy(&b);
    return status;
}

void tdm__balancer_destroy(tdm__balancer **balancer)
{
    tdm__balancer *b = *balancer;
    if (!b) return;
    tdm__buffer_destroy(b->device, &b->given);
    tdm__buffer_destroy(b->device, &b->factors);
    tdm__buffer_destroy(b->device, &b->losses);
    free(b->step_losses);
    free(b->present);
    free(b->state);
    free(b->work);
    free(b);
    *balancer = NULL;
}

tdm__view tdm__balancer_given(tdm__balancer *b)
{
    return (tdm__view){&b->given, 0};
}

tdm__view tdm__balancer_factors(tdm__balancer *b)
{
    return (tdm__view){&b->factors, 0};
}

tdm_status tdm__balancer_step(tdm__balancer *b, uint64_t seed, uint64_t step)
{
    if (b->spec->kind != TDM__BALANCE_RLW) return TDM_OK;
    tdm__weights_rlw(b->spec->rlw, seed, step, b->n, b->work);
    const double scale = b->spec->sum ? (double)b->n : 1;
    for (size_t i = 0; i < b->n; i++) {
        const float weight = (float)(scale * b->work[i]);
        if (weight != row(b, P)[i]) b->state[MOVED] = 1;
        row(b, P)[i] = weight;
    }
    return upload(b);
}

tdm__view tdm__balancer_losses(tdm__balancer *b)
{
    return needs_losses(b) ? (tdm__view){&b->losses, 0} : (tdm__view){0};
}

tdm__view tdm__balancer_losses_after(tdm__balancer *b)
{
    return b->spec->kind == TDM__BALANCE_FAMO ? (tdm__view){&b->losses, b->n * sizeof(float)}
                                              : (tdm__view){0};
}

/* A task that has nothing in the batch keeps its weight; the others share what they had together.
 */
tdm_status tdm__balancer_gradnorm(tdm__balancer *b, const double *norms)
{
    double *w = b->work, *norm = w + b->n, *ratio = norm + b->n, sum = 0;
    size_t k = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__view_read(b->device, (tdm__view){&b->losses, 0}, b->step_losses,
                           b->n * sizeof(float)));
    for (size_t i = 0; i < b->n; i++) {
        if (!(norms[i] > 0) || !(b->step_losses[i] > 0)) continue;
        float *first = &row(b, HISTORY)[i];
        if (isnan(*first)) *first = b->step_losses[i];
        b->present[k] = i;
        w[k] = row(b, P)[i];
        norm[k] = norms[i] / w[k];
        ratio[k] = (double)b->step_losses[i] / (double)*first;
        sum += w[k++];
    }
    tdm__weights_gradnorm(w, norm, ratio, k, b->spec->gradnorm_alpha, b->spec->gradnorm_rate);
    for (size_t i = 0; i < k; i++) row(b, P)[b->present[i]] = (float)(w[i] * sum / (double)k);
    TDM_TRY(upload(b));
done:
    return status;
}

/* A task whose loss is 0, because it has nothing in the batch or has learnt all of it, has no
 * logarithm: it keeps its logit, and the others are compared among themselves. */
tdm_status tdm__balancer_famo(tdm__balancer *b)
{
    double *logit = b->work, *before = logit + b->n, *after = before + b->n, *delta = after + b->n;
    float *steps = b->state + HEAD + ROWS * b->n;
    size_t k = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__view_read(b->device, (tdm__view){&b->losses, 0}, b->step_losses,
                           2 * b->n * sizeof(float)));
    for (size_t i = 0; i < b->n; i++) {
        const double was = b->step_losses[i], is = b->step_losses[b->n + i];
        if (!(was > 0 && isfinite(was) && is > 0 && isfinite(is))) continue;
        b->present[k] = i;
        logit[k] = row(b, P)[i];
        before[k] = was;
        after[k++] = is;
    }
    tdm__weights_famo(logit, before, after, k, delta);
    *steps += 1;
    for (size_t i = 0; i < k; i++) {
        float *state[] = {&row(b, P)[b->present[i]], &row(b, HISTORY)[b->present[i]],
                          &row(b, OLDER)[b->present[i]]};
        double x = logit[i], mean = *state[1], square = *state[2];
        tdm__weights_adam(&x, &mean, &square, delta[i], *steps, b->spec->famo_rate,
                          b->spec->famo_decay);
        *state[0] = (float)x;
        *state[1] = (float)mean;
        *state[2] = (float)square;
    }
    TDM_TRY(upload(b));
done:
    return status;
}

/* From the third epoch on: until then there are no two to compare, and all weights are 1. */
static void end_dwa(tdm__balancer *b, const double *losses)
{
    double *w = b->work, *last = w + b->n, *before = last + b->n;
    for (size_t i = 0; i < b->n; i++) {
        row(b, OLDER)[i] = row(b, HISTORY)[i];
        row(b, HISTORY)[i] = (float)losses[i];
        last[i] = row(b, HISTORY)[i];
        before[i] = row(b, OLDER)[i];
    }
    tdm__weights_dwa(last, before, b->n, b->spec->dwa_temperature, w);
    for (size_t i = 0; i < b->n; i++) row(b, P)[i] = (float)w[i];
}

static void end_dtp(tdm__balancer *b, const double *kpis)
{
    double *w = b->work, *average = w + b->n;
    for (size_t i = 0; i < b->n; i++) average[i] = row(b, HISTORY)[i];
    tdm__weights_dtp(average, kpis, b->n, b->spec->dtp_discount, b->spec->dtp_gamma, w);
    for (size_t i = 0; i < b->n; i++) {
        row(b, HISTORY)[i] = (float)average[i];
        row(b, P)[i] = (float)w[i];
    }
}

tdm_status tdm__balancer_epoch(tdm__balancer *b, const double *losses, const double *kpis)
{
    b->state[EPOCHS] += 1;
    for (size_t i = 0; i < b->n; i++)
        if (isnan(row(b, FIRST)[i])) row(b, FIRST)[i] = (float)losses[i];
    switch (b->spec->kind) {
    case TDM__BALANCE_DWA:
        end_dwa(b, losses);
        return upload(b);
    case TDM__BALANCE_DTP:
        end_dtp(b, kpis);
        return upload(b);
    case TDM__BALANCE_STCH:
        if ((int64_t)b->state[EPOCHS] != b->spec->stch_warmup) return TDM_OK;
        for (size_t i = 0; i < b->n; i++) /* a reference of 0 would stay unknown */
            row(b, Q)[i] = isfinite(losses[i]) ? fmaxf((float)losses[i], 1e-20f) : 1;
        return upload(b);
    default:
        return TDM_OK;
    }
}

tdm_status tdm__balancer_read(tdm__balancer *b)
{
    if (!tdm__balance_ruled(b->spec)) return TDM_OK;
    return tdm__view_read(b->device, (tdm__view){&b->factors, 0}, row(b, LAST),
                          b->n * sizeof(float));
}

/* s of a learnt weight. */
static tdm_status learnt(const tdm__balancer *b, size_t task, tdm__flat *flat, float *s)
{
    tdm__str name = {0};
    tdm__balance_variable(b->spec, &b->tasks[task], &name);
    const size_t index = tdm__flat_find(flat, tdm__str_text(&name));
    tdm__str_free(&name);
    *s = 0;
    return index == SIZE_MAX
               ? tdm__fail(TDM_ERR_STATE, "no weight for task '%s'", b->tasks[task].name)
               : tdm__flat_get(flat, index, s);
}

tdm_status tdm__balancer_weight(const tdm__balancer *b, size_t task, tdm__flat *flat, double *out)
{
    *out = b->spec->kind == TDM__BALANCE_FIXED ? b->tasks[task].weight : 1;
    if (tdm__balance_ruled(b->spec)) *out = row(b, LAST)[task];
    if (!tdm__balance_learns(b->spec)) return TDM_OK;
    float s;
    const tdm_status status = learnt(b, task, flat, &s);
    switch (tdm__balance_likelihood(b->spec, &b->tasks[task])) {
    case TDM_LIKELIHOOD_GAUSSIAN:
    case TDM_LIKELIHOOD_UNIFORM:
        *out = 0.5 * exp(-(double)s);
        break;
    case TDM_LIKELIHOOD_LAPLACE:
        *out = exp(-(double)s / 2);
        break;
    case TDM_LIKELIHOOD_CLASSIFICATION:
        *out = exp(-(double)s);
        break;
    case TDM_LIKELIHOOD_IMTL:
        *out = exp((double)s);
        break;
    }
    return status;
}

double tdm__balancer_first_loss(const tdm__balancer *b, size_t task)
{
    return row(b, FIRST)[task];
}

/* A weight of 0 may be that of a task that had nothing in the last batch. */
void tdm__balancer_watch(tdm__balancer *b, const double *weights)
{
    for (size_t i = 0; i < b->n; i++) {
        float *last = &row(b, WATCHED)[i];
        if (weights[i] == 0) continue;
        if (!isnan(*last) && fabs((double)*last - weights[i]) > 1e-6 * fabs(weights[i]))
            b->state[MOVED] = 1;
        *last = (float)weights[i];
    }
}

const char *tdm__balancer_inactive(const tdm__balancer *b)
{
    const tdm__balance *s = b->spec;
    const int64_t epochs = (int64_t)b->state[EPOCHS];
    const bool plain = s->kind == TDM__BALANCE_EQUAL || s->kind == TDM__BALANCE_FIXED;
    if (epochs < 1 || (b->state[MOVED] > 0 && s->kind != TDM__BALANCE_STCH)) return NULL;
    if (s->kind == TDM__BALANCE_STCH && epochs <= s->stch_warmup)
        return "the run ended within balance.stch_warmup";
    if (s->kind == TDM__BALANCE_DWA && epochs < 3)
        return "it compares the last two epochs, and the run ended before the third";
    if (epochs < 3 || b->state[MOVED] > 0) return NULL;
    if (plain && (s->combine.kind == TDM__COMBINE_NONE || s->combine.kind == TDM__COMBINE_GRADDROP))
        return NULL; /* their weights are not meant to move */
    return b->n == 1 ? "there is one task" : "the tasks' weights were the same in all epochs";
}

size_t tdm__balancer_size(const tdm__balancer *b)
{
    return HEAD + ROWS * b->n + (b->spec->kind == TDM__BALANCE_FAMO);
}

tdm_status tdm__balancer_export(tdm__balancer *b, float *out)
{
    const tdm_status status = tdm__balancer_read(b);
    if (!status) memcpy(out, b->state, tdm__balancer_size(b) * sizeof *out);
    return status;
}

tdm_status tdm__balancer_import(tdm__balancer *b, const float *values)
{
    memcpy(b->state, values, tdm__balancer_size(b) * sizeof *values);
    const tdm_status status =
        tdm__view_write(b->device, (tdm__view){&b->factors, 0}, row(b, LAST), b->n * sizeof(float));
    return status ? status : upload(b);
}

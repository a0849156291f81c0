/* train/describe.c: what a configuration will do, before it does it: layers, tasks, memory. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/str.h"
#include "train/step_graph.h"
#include "train/trainer.h"

static void add_bytes(tdm__str *s, const char *what, uint64_t bytes)
{
    tdm__str_addf(s, "  %-26s %10.2f MiB\n", what, (double)bytes / (1 << 20));
}

static uint64_t learnt_parameters(tdm__session *s, uint64_t *all, size_t *frozen)
{
    uint64_t learnt = 0;
    *all = 0;
    *frozen = 0;
    for (size_t i = 0; i < tdm__flat_count(s->flat); i++) {
        const tdm__segment *segment = tdm__flat_segment(s->flat, i);
        *frozen += segment->frozen;
        if (segment->kind != TDM__SEGMENT_PARAM) continue;
        *all += segment->count;
        if (!segment->frozen) learnt += segment->count;
    }
    return learnt;
}

static void add_tasks(tdm__session *s, tdm__str *text)
{
    tdm__str_add(text, "\ntasks\n");
    for (size_t t = 0; t < s->n_tasks; t++) {
        const tdm__task *task = &s->tasks[t];
        tdm__str_addf(text, "  %-14s %s on ", task->name, tdm__loss_name(task->loss));
        if (task->make.kind) tdm__str_addf(text, "%s made of ", tdm_make_name(task->make.kind));
        tdm__str_addf(text, "'%s'", task->make.kind ? s->arrays[s->input].load.name : task->target);
        if (task->classes) tdm__str_addf(text, ", %" PRId64 " classes", task->classes);
        if (s->balance.kind == TDM__BALANCE_FIXED)
            tdm__str_addf(text, ", weight %g", task->weight);
        else if (s->balance.kind != TDM__BALANCE_EQUAL)
            tdm__str_addf(text, ", weight by %s", tdm__balance_name(&s->balance));
        if (s->gradients) tdm__str_addf(text, ", gradients by %s", tdm__combine_name(&s->balance));
        tdm__str_add(text, "; metrics:");
        for (size_t m = 0; m < task->n_metrics; m++)
            tdm__str_addf(text, " %s", task->metrics[m]->name);
        tdm__str_add(text, "\n");
    }
}

static void add_data(tdm_trainer *t, tdm__str *text)
{
    tdm__str_add(text, "\ndata\n");
    for (int i = 0; i < TDM__SPLITS; i++) {
        if (!t->splits[i]) {
            tdm__str_addf(text, "  %-6s none\n", tdm__split_names[i]);
            continue;
        }
        tdm__str_addf(text, "  %-6s %" PRIu64 " samples of %s\n", tdm__split_names[i],
                      tdm_split_length(t->splits[i]),
                      tdm_dataset_name(tdm_split_dataset(t->splits[i])));
    }
}

static tdm_status add_memory(tdm_trainer *t, tdm__str *text)
{
    tdm__session *s = &t->session;
    tdm__step_plan *plan;
    tdm__plan_stats stats;
    uint64_t all;
    size_t frozen;
    tdm_status status = tdm__session_plan_training(s);
    if (!status) status = tdm__session_plan(s, TDM__FOR_TRAINING, 0, s->batch_size, &plan);
    if (status) return status;
    tdm__plan_get_stats(plan->plan, &stats);
    const uint64_t learnt = learnt_parameters(s, &all, &frozen);
    tdm__str_addf(text, "\nparameters %" PRIu64 ", learnt %" PRIu64, all, learnt);
    if (frozen) tdm__str_addf(text, " (%zu tensors frozen)", frozen);
    tdm__str_addf(text,
                  "\nstep of %" PRId64 " samples: %d nodes, %d launches, %d fused, %d pruned, %.3f "
                  "GFLOP\n",
                  s->batch_size, stats.nodes, stats.launches, stats.fused, stats.pruned,
                  stats.flops / 1e9);
    tdm__str_add(text, "\ndevice memory\n");
    add_bytes(text, "activations and workspace", stats.arena_bytes);
    add_bytes(text, "  (without reuse)", stats.naive_bytes);
    if (stats.recomputed)
        tdm__str_addf(text, "  %-26s %10d values, to stay within the limit\n", "computed again",
                      stats.recomputed);
    add_bytes(text, "optimiser state", tdm__optimizer_bytes(t->optimizer));
    if (s->gradients) add_bytes(text, "gradients by task", tdm__gradients_bytes(s->gradients));
    if (s->gradients && tdm__gradients_groups(s->gradients) > 1)
        tdm__str_addf(text,
                      "  %-26s %10zu groups of layers, one after the other and each twice, to stay "
                      "within the limit\n",
                      "", tdm__gradients_groups(s->gradients));
    add_bytes(text, "all buffers now", tdm__device_bytes(s->device));
    return TDM_OK;
}

tdm_status tdm_trainer_describe(tdm_trainer *t, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str text = {0};
    char *table = NULL;
    *out = NULL;
    TDM_TRY(tdm__step_table(&t->session, &table));
    tdm__str_add(&text, table);
    add_tasks(&t->session, &text);
    add_data(t, &text);
    TDM_TRY(add_memory(t, &text));
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    free(table);
    tdm__str_free(&text);
    return status;
}

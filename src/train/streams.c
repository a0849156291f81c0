/* train/streams.c: which tasks share batches, and which samples those are made of.
 *
 * Training jointly, all tasks learn from every batch. With train.sampling uniform or weighted each
 * step draws one task: its stream is that task alone, so that the plan of the step has neither
 * forward nor backward pass of the other heads, and the optimiser leaves their segments untouched.
 * A task for which the loader makes another input of the samples (tasks.NAME.make) always has
 * batches of its own: the others see the samples as they are, with masks and boxes that fit them.
 * Measuring, tasks with the same samples share a pass. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/where.h"
#include "train/session.h"

/* ---- which tasks go together ------------------------------------------------------------------
 */

static tdm_status add_stream(tdm__streams *streams, size_t first, size_t n_tasks)
{
    tdm__stream *s = &streams->list[streams->n];
    tdm_status status = tdm__calloc_try(n_tasks, sizeof *s->tasks, &s->tasks);
    if (status) return status;
    s->first = first;
    s->tasks[first] = true;
    streams->n++;
    return TDM_OK;
}

/* Why two tasks cannot learn from one batch. */
static tdm_status no_shared_batch(const tdm_config *config, const tdm__task *a, const tdm__task *b)
{
    const tdm__task *made = tdm_make_changes_input(b->make.kind) ? b : a;
    if (tdm_make_changes_input(made->make.kind))
        return tdm_config_reject(
            config, "train.sampling",
            "make: %s changes the input of task '%s', so it shares no batch with '%s' (hint: "
            "uniform or weighted)",
            tdm_make_name(made->make.kind), made->name, made == a ? b->name : a->name);
    return tdm_config_reject(config, "train.sampling",
                             "tasks '%s' and '%s' have different samples, so they share no batch "
                             "(hint: uniform or weighted)",
                             a->name, b->name);
}

/* The stream of tasks with the same samples, SIZE_MAX: none yet. */
static size_t find_stream(const tdm__streams *streams, const tdm__task *tasks, size_t task)
{
    for (size_t i = 0; i < streams->n; i++)
        if (tdm__same_samples(&tasks[streams->list[i].first], &tasks[task])) return i;
    return SIZE_MAX;
}

static bool has_target(const tdm__task *tasks, size_t n)
{
    for (size_t t = 0; t < n; t++)
        if (!tasks[t].auxiliary) return true;
    return false;
}

static tdm_status check_sampling(const tdm_config *config, const tdm__task *tasks, size_t n,
                                 const char *sampling)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    for (size_t t = 0; t < n; t++) {
        if (tasks[t].sampling == 1 || !strcmp(sampling, "weighted")) continue;
        tdm__str_addf(&key, "tasks.%s.sampling", tasks[t].name);
        TDM_TRY(tdm__str_status(&key));
        TDM_TRY(tdm_config_reject(config, tdm__str_text(&key),
                                  "has no effect with train.sampling: %s (hint: weighted)",
                                  sampling));
    }
    if (!strcmp(sampling, "joint"))
        for (size_t t = 1; t < n; t++)
            if (!tdm__same_samples(&tasks[0], &tasks[t]))
                TDM_TRY(no_shared_batch(config, &tasks[0], &tasks[t]));
    if (!has_target(tasks, n))
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "every task is auxiliary: one must be a target"));
done:
    tdm__str_free(&key);
    return status;
}

tdm_status tdm__streams_create(const tdm_config *config, const tdm__task *tasks, size_t n,
                               tdm__purpose purpose, tdm__streams *out)
{
    tdm_status status = TDM_OK;
    const char *sampling;
    TDM_TRY(tdm_config_string(config, "train.sampling", &sampling));
    TDM_TRY(check_sampling(config, tasks, n, sampling));
    TDM_TRY(tdm__calloc_try(n, sizeof *out->list, &out->list));
    out->drawn = purpose == TDM__FOR_TRAINING && strcmp(sampling, "joint") != 0;
    for (size_t t = 0; t < n; t++) {
        if (purpose == TDM__FOR_TEST && tasks[t].auxiliary) continue;
        const size_t same = out->drawn ? SIZE_MAX : find_stream(out, tasks, t);
        if (same == SIZE_MAX)
            TDM_TRY(add_stream(out, t, n));
        else
            out->list[same].tasks[t] = true;
    }
done:
    if (status) tdm__streams_free(out);
    return status;
}

void tdm__streams_free(tdm__streams *streams)
{
    for (size_t i = 0; i < streams->n; i++) free(streams->list[i].tasks);
    free(streams->list);
    *streams = (tdm__streams){0};
}

/* ---- which samples ----------------------------------------------------------------------------
 */

/* The task's samples as indices into the split; *out is NULL when it has all. */
static tdm_status samples_of(const tdm_split *split, const tdm__task *task, uint64_t **out,
                             uint64_t *n)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    *out = NULL;
    *n = tdm_split_length(split);
    if (task->n_where == 0) return TDM_OK;
    tdm__str_addf(&key, "tasks.%s.where", task->name);
    TDM_TRY(tdm__str_status(&key));
    TDM_TRY(tdm__where_indices(split, key.text, task->where, task->n_where, out, n));
done:
    tdm__str_free(&key);
    return status;
}

/* Whether a stream's batches carry an array of the session. */
static bool carries(const tdm__session *s, const tdm__stream *stream, size_t array)
{
    for (size_t t = 0; t < s->n_tasks; t++)
        if (stream->tasks[t] &&
            (s->inputs[t] == array || s->targets[t] == array || s->masks[t] == array))
            return true;
    return false;
}

static tdm_status make_parts(const tdm__session *s, const tdm_split *split,
                             const tdm__streams *streams, tdm_loader_part *parts)
{
    for (size_t i = 0; i < streams->n; i++) {
        const tdm__task *task = &s->tasks[streams->list[i].first];
        uint64_t *indices;
        const tdm_status status = samples_of(split, task, &indices, &parts[i].n);
        parts[i].indices = indices;
        parts[i].share = task->sampling;
        parts[i].name = task->name;
        if (status) return status;
    }
    return TDM_OK;
}

static const tdm_array_info *stored_array(const tdm_split *split, const char *name)
{
    const tdm_dataset *data = tdm_split_dataset(split);
    for (size_t i = 0; i < tdm_dataset_arrays(data); i++)
        if (!strcmp(tdm_dataset_array(data, i)->name, name)) return tdm_dataset_array(data, i);
    return NULL;
}

/* Transforms take the size of pictures from the first array that has one: without the input another
 * one of the same size must be there to tell it. */
static bool input_spared(const tdm__session *s, const tdm_split *split)
{
    const tdm_array_info *input = stored_array(split, s->arrays[s->input].load.name);
    for (size_t t = 0; t < s->n_tasks; t++)
        if (s->targets[t] == s->input || s->masks[t] == s->input) return false;
    if (s->n_arrays < 2 || !input || input->rank < 2) return false;
    if (s->transforms.n == 0) return true;
    for (size_t i = 0; i < s->n_arrays; i++) {
        const tdm_array_info *other = stored_array(split, s->arrays[i].load.name);
        if (i != s->input && other && tdm_transforms_is_frame(other) &&
            other->dims[0] == input->dims[0] && other->dims[1] == input->dims[1])
            return true;
    }
    return false;
}

void tdm__session_views(const tdm__session *s, const tdm__feed *feed, const tdm__view *views,
                        tdm__view *out)
{
    size_t n;
    const tdm_batch_array *loaded = tdm_loader_arrays(tdm__feed_loader(feed), &n);
    for (size_t i = 0; i < s->n_arrays; i++) {
        out[i] = (tdm__view){0};
        for (size_t k = 0; k < n; k++)
            if (!strcmp(loaded[k].name, s->arrays[i].load.name)) out[i] = views[k];
    }
}

tdm_status tdm__session_feed(tdm__session *s, const tdm_split *split, tdm__purpose purpose,
                             bool without_input, tdm__feed **out)
{
    tdm_status status = TDM_OK;
    const bool training = purpose == TDM__FOR_TRAINING;
    const tdm__streams *streams = &s->streams[purpose];
    tdm_loader_array *arrays = NULL;
    tdm_loader_part *parts = NULL;
    bool *carried = NULL, made = false; /* [streams][arrays] */
    tdm_loader_spec spec = {.split = split};
    TDM_TRY(tdm_loader_spec_read(s->config, &spec));
    TDM_TRY(tdm__calloc_try(s->n_arrays, sizeof *arrays, &arrays));
    TDM_TRY(tdm__calloc_try(streams->n, sizeof *parts, &parts));
    TDM_TRY(tdm__calloc_try(streams->n * s->n_arrays, sizeof *carried, &carried));
    const bool spared = without_input && input_spared(s, split);
    TDM_TRY(make_parts(s, split, streams, parts));
    for (size_t i = 0; i < s->n_arrays; i++) {
        if (spared && i == s->input) continue;
        for (size_t k = 0; k < streams->n; k++)
            carried[k * s->n_arrays + spec.n_arrays] = carries(s, &streams->list[k], i);
        made |= s->arrays[i].load.make != NULL;
        arrays[spec.n_arrays++] = s->arrays[i].load;
    }
    for (size_t k = 0; k < streams->n; k++) parts[k].arrays = carried + k * s->n_arrays;
    spec.arrays = arrays;
    if (streams->n > 1 || parts[0].indices || made) {
        spec.parts = parts;
        spec.n_parts = streams->n;
        spec.draw_parts = streams->drawn;
    }
    spec.batch_size = (uint64_t)s->batch_size;
    spec.seed = s->seed;
    spec.stream = training ? "train" : "eval";
    spec.continuous = spec.augment = training;
    if (!training) spec.shuffle = spec.drop_last = false;
    TDM_TRY(tdm__feed_create(s->device, &spec, out));
done:
    for (size_t i = 0; parts && i < streams->n; i++) free((void *)parts[i].indices);
    free(parts);
    free(arrays);
    free(carried);
    return status;
}

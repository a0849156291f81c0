/* train/session.c: from a configuration and the shapes of its data to a network on a device. */
#include "train/session.h"

#include <tandem/pipeline.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/sharing.h"
#include "model/transfer.h"
#include "train/arrays.h"
#include "train/step_graph.h"

const char *const tdm__split_names[TDM__SPLITS] = {"train", "val", "test"};

/* ---- arrays ------------------------------------------------------------------------------------
 */

static const tdm_array_info *find_info(const tdm__array_source *source, const char *name)
{
    for (size_t i = 0; i < source->n; i++)
        if (!strcmp(source->infos[i].name, name)) return &source->infos[i];
    return NULL;
}

static const char *array_name(const void *source, size_t i)
{
    return ((const tdm__array_source *)source)->infos[i].name;
}

static tdm_status no_such_array(const tdm__array_source *source, const char *name, const char *why)
{
    return tdm__fail_unknown(TDM_ERR_CONFIG, name, source, array_name, source->n,
                             "%s: the data has no array '%s': it has", why, name);
}

/* Shape and type of one sample, as delivered. */
static tdm_status describe_sample(tdm__session *s, const tdm_array_info *stored, tdm_dtype dtype,
                                  tdm_desc *out)
{
    tdm_array_info shaped = *stored;
    const tdm_array_info *info = &shaped;
    if (!s->frame && tdm_transforms_is_frame(stored)) s->frame = stored;
    const tdm_status status = tdm_transforms_shape(&s->transforms, s->frame, &shaped);
    if (status) return status;
    if (info->rank > TDM_MAX_RANK - 1)
        return tdm__fail(TDM_ERR_DATA, "array '%s': samples of rank %d; at most %d is supported",
                         info->name, info->rank, TDM_MAX_RANK - 1);
    memset(out, 0, sizeof *out);
    out->dtype = dtype;
    out->rank = info->rank;
    for (int i = 0; i < info->rank; i++) out->dim[i] = (int64_t)info->dims[i];
    if (info->kind == TDM_ARRAY_IMAGE && info->rank == 2) out->dim[out->rank++] = 1;
    return TDM_OK;
}

/* Index of the array in the session, added at its first use. */
static tdm_status use_array(tdm__session *s, const tdm__array_source *source, const char *name,
                            tdm_dtype dtype, const char *why, size_t *index)
{
    for (*index = 0; *index < s->n_arrays; ++*index)
        if (!strcmp(s->arrays[*index].load.name, name)) {
            if (s->arrays[*index].load.dtype == dtype) return TDM_OK;
            return tdm__fail(TDM_ERR_CONFIG, "%s: array '%s' is already used in another way", why,
                             name);
        }
    const tdm_array_info *info = find_info(source, name);
    if (!info) return no_such_array(source, name, why);
    tdm__session_array *a = &s->arrays[s->n_arrays++];
    a->load = (tdm_loader_array){.name = info->name, .dtype = dtype};
    return describe_sample(s, info, dtype, &a->sample);
}

static tdm_dtype value_dtype(const tdm__array_source *source, const char *name)
{
    const tdm_array_info *info = find_info(source, name);
    return info && info->kind == TDM_ARRAY_IMAGE && !info->is_float ? TDM_U8 : TDM_F32;
}

static tdm_status use_input(tdm__session *s, const tdm__array_source *source, const char *name)
{
    tdm_status status =
        use_array(s, source, name, value_dtype(source, name), "model.input", &s->input);
    if (status) return status;
    tdm_loader_array *load = &s->arrays[s->input].load;
    if (load->dtype == TDM_F32) { /* NaN and infinite pixels are refused */
        load->check = true;
        load->min = -FLT_MAX;
        load->max = FLT_MAX;
    }
    return TDM_OK;
}

/* What the loader makes of the network's input for a task. */
static tdm_status add_made(tdm__session *s, const tdm__array_source *source, const tdm__task *t,
                           tdm_make_part part, size_t *index)
{
    const tdm__session_array *input = &s->arrays[s->input];
    tdm_array_info shaped = *find_info(source, input->load.name), made;
    const bool label = part == TDM_MAKE_LABEL;
    tdm_status status = tdm_transforms_shape(&s->transforms, s->frame, &shaped);
    if (!status) status = tdm_make_shape(&t->make, part, &shaped, &made);
    if (status) return tdm__context(status, "tasks.%s.make", t->name);
    *index = s->n_arrays++;
    tdm__session_array *a = &s->arrays[*index];
    a->load = (tdm_loader_array){.name = label ? t->made_label : t->made_input,
                                 .dtype = label ? TDM_I32 : input->load.dtype,
                                 .make = &t->make,
                                 .part = part,
                                 .from = input->load.name};
    a->sample = label ? (tdm_desc){.dtype = TDM_I32} : input->sample;
    return TDM_OK;
}

/* What the network sees for the task, and has to tell: in the data, or made. */
static tdm_status use_target(tdm__session *s, const tdm__array_source *source, size_t task,
                             tdm_array_info *info)
{
    tdm_status status = TDM_OK;
    tdm__task *t = &s->tasks[task];
    tdm__str why = {0};
    const bool labels = tdm__loss_takes_labels(t->loss);
    s->inputs[task] = s->input;
    if (t->made_input) TDM_TRY(add_made(s, source, t, TDM_MAKE_INPUT, &s->inputs[task]));
    if (t->made_label) {
        TDM_TRY(add_made(s, source, t, TDM_MAKE_LABEL, &s->targets[task]));
        *info = tdm_make_label(&t->make, t->made_label);
        goto done;
    }
    if (t->make.kind != TDM_MAKE_NONE)
        TDM_TRY(tdm_config_string(s->config, "model.input", &t->target));
    tdm__str_addf(&why, "tasks.%s.target", t->name);
    TDM_TRY(tdm__str_status(&why));
    TDM_TRY(use_array(s, source, t->target, labels ? TDM_I32 : value_dtype(source, t->target),
                      tdm__str_text(&why), &s->targets[task]));
    *info = *find_info(source, t->target);
done:
    tdm__str_free(&why);
    return status;
}

static int64_t mapped_classes(const tdm__task *t)
{
    int64_t most = -1;
    for (size_t i = 0; i < t->n_label_map; i++)
        if (t->label_map[i] > most) most = t->label_map[i];
    return most + 1;
}

/* Numbers per pixel of (H,W,C) and (H,W), per sample of vectors and single numbers. */
static int64_t sample_channels(const tdm_desc *sample)
{
    return sample->rank == 3 ? sample->dim[2] : sample->rank == 1 ? sample->dim[0] : 1;
}

static tdm_status use_task(tdm__session *s, const tdm__array_source *source, size_t task,
                           tdm__model_task *out)
{
    tdm_status status = TDM_OK;
    tdm__task *t = &s->tasks[task];
    tdm__str why = {0};
    tdm_array_info info;
    TDM_TRY(use_target(s, source, task, &info));
    const tdm_desc *sample = &s->arrays[s->targets[task]].sample;
    TDM_TRY(tdm__task_default_metrics(t, info.kind));
    out->name = t->name;
    out->classes = tdm__loss_is_binary(t->loss) ? 1
                   : t->n_label_map             ? mapped_classes(t)
                                                : (int64_t)info.classes;
    out->target_channels = sample_channels(sample);
    out->labels = tdm__loss_takes_labels(t->loss);
    s->masks[task] = SIZE_MAX;
    if (t->mask) {
        tdm__str_addf(&why, "tasks.%s.mask", t->name);
        TDM_TRY(tdm__str_status(&why));
        TDM_TRY(use_array(s, source, t->mask, TDM_F32, tdm__str_text(&why), &s->masks[task]));
        /* what transforms bring in from outside counts for nothing */
        s->arrays[s->masks[task]].load.has_ignore = true;
        s->arrays[s->masks[task]].load.ignore = 0;
    }
done:
    tdm__str_free(&why);
    return status;
}

/* Labels outside the classes are refused where they are read. Several tasks may share labels: the
 * widest range counts. */
static void check_labels(tdm__session *s, size_t task)
{
    const tdm__task *t = &s->tasks[task];
    if (!tdm__loss_takes_labels(t->loss)) return;
    tdm_loader_array *load = &s->arrays[s->targets[task]].load;
    const int64_t classes = t->classes == 1 ? 2 : t->classes; /* one output: yes or no */
    const double max = (double)(t->n_label_map ? (int64_t)t->n_label_map : classes) - 1;
    if (!load->check || max > load->max) load->max = max;
    load->check = true;
    load->min = 0;
    load->has_ignore = true;
    load->ignore = t->ignore_index;
}

/* ---- creation ----------------------------------------------------------------------------------
 */

/* The tasks whose samples are weighed. */
static tdm_status mark_instances(tdm__session *s)
{
    size_t auxiliary = 0;
    for (size_t t = 0; t < s->n_tasks; t++) {
        if (!s->tasks[t].auxiliary) continue;
        s->tasks[t].meters |= 1u << TDM__METER_INSTANCE_COSINE | 1u << TDM__METER_INSTANCE_ZEROS;
        auxiliary++;
    }
    if (auxiliary > 0 && auxiliary < s->n_tasks) return TDM_OK;
    return tdm_config_reject(
        s->config, "balance.instance_weighting",
        "weighs the samples of auxiliary tasks by those of targets: there must "
        "be both (hint: tasks.NAME.role: auxiliary)");
}

static tdm_status read_tasks(tdm__session *s, const tdm__array_source *source)
{
    tdm_status status = TDM_OK;
    tdm__model_task *tasks = NULL;
    const char *input;
    TDM_TRY(tdm__tasks_read(s->config, &s->tasks, &s->n_tasks));
    TDM_TRY(tdm__balance_read(s->config, &s->balance));
    if (s->balance.instances) TDM_TRY(mark_instances(s));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *tasks, &tasks));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *s->targets, &s->targets));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *s->masks, &s->masks));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *s->inputs, &s->inputs));
    const size_t most = 1 + 3 * s->n_tasks; /* an input; for each task another one, target, mask */
    TDM_TRY(tdm__calloc_try(most, sizeof *s->arrays, &s->arrays));
    TDM_TRY(tdm__calloc_try(most, sizeof *s->views, &s->views));
    TDM_TRY(tdm_config_string(s->config, "model.input", &input));
    TDM_TRY(use_input(s, source, input));
    for (size_t t = 0; t < s->n_tasks; t++) TDM_TRY(use_task(s, source, t, &tasks[t]));
    for (int p = 0; p < TDM__PURPOSES; p++)
        TDM_TRY(
            tdm__streams_create(s->config, s->tasks, s->n_tasks, (tdm__purpose)p, &s->streams[p]));
    TDM_TRY(
        tdm__model_create(s->config, &s->arrays[s->input].sample, tasks, s->n_tasks, &s->model));
done:
    s->frame = NULL; /* the source's */
    free(tasks);
    return status;
}

/* Keeps what the network was built for, to be saved with its weights. What is made is known from
 * the configuration. */
static tdm_status describe_arrays(tdm__session *s, const tdm__array_source *source)
{
    tdm_status status = TDM_OK;
    tdm_array_info *infos = NULL;
    size_t n = 0;
    TDM_TRY(tdm__calloc_try(s->n_arrays, sizeof *infos, &infos));
    for (size_t i = 0; i < s->n_arrays; i++)
        if (!s->arrays[i].load.make) infos[n++] = *find_info(source, s->arrays[i].load.name);
    TDM_TRY(tdm__arrays_describe(infos, n, &s->described));
done:
    free(infos);
    return status;
}

/* Builds the network once to declare its segments, with the unused freezing patterns found out. */
static tdm_status declare(tdm__session *s)
{
    tdm_status status = TDM_OK;
    bool *used = NULL;
    const tdm__freezing *f = &s->freezing;
    TDM_TRY(tdm__calloc_try(f->n_freeze, sizeof *used, &used));
    TDM_TRY(tdm__step_declare(s, used));
    for (size_t i = 0; i < f->n_freeze; i++) {
        if (used[i]) continue;
        const size_t n = tdm__flat_count(s->flat);
        const char **names = NULL;
        TDM_TRY(tdm__calloc_try(n, sizeof *names, &names));
        for (size_t k = 0; k < n; k++) names[k] = tdm__flat_segment(s->flat, k)->name;
        status = tdm__pattern_unused(s->config, i < f->n_given ? "train.freeze" : "train.unfreeze",
                                     f->freeze[i], names, n);
        free(names);
        goto done;
    }
    TDM_TRY(tdm__freezing_add_blocks(s->config, s->flat, &s->freezing));
done:
    free(used);
    return status;
}

/* Of the shared segments only those of the last layer: the last weight matrix or filter, and what
 * has its name but for the last part. */
static void keep_last_layer(tdm__session *s, bool *shared)
{
    const size_t n = tdm__flat_count(s->flat);
    size_t last = 0;
    for (size_t i = 0; i < n; i++)
        if (shared[i] && tdm__flat_segment(s->flat, i)->decay) last = i;
    const char *name = tdm__flat_segment(s->flat, last)->name, *dot = strrchr(name, '.');
    const size_t length = dot ? (size_t)(dot - name) + 1 : 0;
    for (size_t i = 0; i < n; i++)
        shared[i] = shared[i] && !strncmp(tdm__flat_segment(s->flat, i)->name, name, length);
}

/* Memory for the gradients that the tasks share, where balancing combines them. */
static tdm_status create_gradients(tdm__session *s)
{
    tdm_status status = TDM_OK;
    const size_t n = tdm__flat_count(s->flat);
    bool *rows = NULL, any = false;
    uint64_t representation;
    TDM_TRY(tdm__calloc_try(n, sizeof *rows, &rows));
    TDM_TRY(tdm__calloc_try(n, sizeof *s->shared, &s->shared));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *s->row_norms, &s->row_norms));
    TDM_TRY(tdm__calloc_try(s->n_tasks, sizeof *s->task_names, &s->task_names));
    for (size_t t = 0; t < s->n_tasks; t++) s->task_names[t] = s->tasks[t].name;
    TDM_TRY(tdm__step_shared(s, s->shared, &representation));
    for (size_t i = 0; i < n; i++) any |= s->shared[i];
    if (s->balance.combine.kind == TDM__COMBINE_NONE) goto done; /* only to know what is shared */
    const tdm__sharing *sharing = tdm__model_sharing(s->model);
    if (sharing->nothing_shared)
        TDM_TRY(tdm_config_reject(s->config, "balance.kind",
                                  "combines the tasks' gradients of shared parameters, but with "
                                  "model.sharing: %s there are none",
                                  sharing->name));
    if (s->balance.combine.representation) {
        if (any)
            status =
                tdm__gradients_create_representation(s->device, representation, &s->balance.combine,
                                                     s->task_names, s->n_tasks, &s->gradients);
        goto done;
    }
    memcpy(rows, s->shared, n * sizeof *rows);
    if (s->balance.combine.kind == TDM__COMBINE_GRADNORM) keep_last_layer(s, rows);
    /* the rest is for activations and what the optimiser remembers */
    TDM_TRY(tdm__gradients_create(s->device, s->flat, rows, &s->balance.combine, s->task_names,
                                  s->n_tasks, tdm__device_memory_left(s->device) / 3,
                                  &s->gradients));
done:
    free(rows);
    return status;
}

/* As large as the largest running statistic: what is written there is never used. */
static tdm_status create_spare_statistics(tdm__session *s)
{
    uint64_t most = 1;
    for (size_t i = 0; i < tdm__flat_count(s->flat); i++) {
        const tdm__segment *segment = tdm__flat_segment(s->flat, i);
        if (segment->kind != TDM__SEGMENT_PARAM && segment->count > most) most = segment->count;
    }
    return tdm__buffer_create(s->device, most * sizeof(float), true, "spare statistics",
                              &s->spare_statistics);
}

static tdm_status read_settings(tdm__session *s)
{
    tdm_status status = TDM_OK;
    int64_t seed;
    TDM_TRY(tdm_config_int(s->config, "train.batch_size", &s->batch_size));
    TDM_TRY(tdm_config_int(s->config, "seed", &seed));
    TDM_TRY(tdm_transforms_read(s->config, &s->transforms));
    TDM_TRY(tdm__freezing_read(s->config, &s->freezing));
    s->seed = (uint64_t)seed;
done:
    return status;
}

tdm_status tdm__session_create(const tdm_config *config, const tdm__array_source *source,
                               bool training, tdm__session *s)
{
    tdm_status status = TDM_OK;
    tdm_device_spec device;
    memset(s, 0, sizeof *s);
    s->config = config;
    if (tdm_pipeline_is(config))
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "the configuration has stages, each of which is a "
                                          "configuration by itself"));
    TDM_TRY(read_settings(s));
    TDM_TRY(read_tasks(s, source));
    TDM_TRY(describe_arrays(s, source));
    TDM_TRY(tdm_device_spec_read(config, &device));
    TDM_TRY(tdm_device_open(&device, &s->device));
    TDM_TRY(tdm__chooser_open(config, s->device, &s->chooser));
    TDM_TRY(tdm__flat_create(s->device, &s->flat));
    TDM_TRY(declare(s));
    for (size_t t = 0; t < s->n_tasks; t++) {
        check_labels(s, t);
        if (!training) tdm__task_count_classes(&s->tasks[t]);
    }
    TDM_TRY(tdm__tasks_upload(s->device, s->tasks, s->n_tasks));
    TDM_TRY(tdm__flat_seal(s->flat, training));
    TDM_TRY(tdm__flat_initialise(s->flat, s->seed));
    if (training && (s->balance.combine.kind != TDM__COMBINE_NONE || s->balance.instances))
        TDM_TRY(create_gradients(s));
    TDM_TRY(tdm__arena_create(s->device, &s->arena));
    TDM_TRY(tdm__buffer_create(s->device, sizeof(tdm__step), true, "step", &s->step_buffer));
    if (training && (s->balance.kind == TDM__BALANCE_FAMO ||
                     (s->gradients && tdm__gradients_groups(s->gradients) > 1)))
        TDM_TRY(create_spare_statistics(s));
    TDM_TRY(tdm__balancer_create(s->device, &s->balance, s->tasks, s->n_tasks, &s->balancer));
    for (int mode = 0; mode < 2; mode++)
        TDM_TRY(tdm__meter_create(s->device, s->tasks, s->n_tasks, &s->meters[mode]));
done:
    if (status) tdm__session_destroy(s);
    return status;
}

static void free_plan(tdm__step_plan *p)
{
    tdm__plan_destroy(&p->plan);
    free(p->inputs);
    free(p->has_gradient);
}

void tdm__session_destroy(tdm__session *s)
{
    if (s->device) tdm_device_finish(s->device);
    for (size_t i = 0; i < s->n_plans; i++) free_plan(&s->plans[i]);
    free(s->plans);
    for (int p = 0; p < TDM__PURPOSES; p++) tdm__streams_free(&s->streams[p]);
    for (int mode = 0; mode < 2; mode++) tdm__meter_destroy(&s->meters[mode]);
    for (size_t i = 0; i < s->n_places; i++) tdm__meter_destroy(&s->places[i]);
    free(s->places);
    tdm__balancer_destroy(&s->balancer);
    tdm__gradients_destroy(&s->gradients);
    free(s->task_names);
    free(s->shared);
    free(s->row_norms);
    if (s->device) tdm__buffer_destroy(s->device, &s->step_buffer);
    if (s->device) tdm__buffer_destroy(s->device, &s->spare_statistics);
    for (int f = 0; f < 2 && s->device; f++) tdm__buffer_destroy(s->device, &s->cached.staging[f]);
    tdm__arena_destroy(&s->arena);
    tdm__flat_destroy(&s->flat);
    tdm__model_destroy(&s->model);
    tdm__tasks_destroy(s->device, &s->tasks, s->n_tasks);
    free(s->arrays);
    free(s->views);
    free(s->described);
    free(s->targets);
    free(s->masks);
    free(s->inputs);
    tdm__freezing_free(&s->freezing);
    tdm__chooser_close(&s->chooser);
    tdm_device_destroy(&s->device);
    memset(s, 0, sizeof *s);
}

/* ---- running -----------------------------------------------------------------------------------
 */

/* The plan like `key`, which is built if there is none yet. */
static tdm_status find_plan(tdm__session *s, const tdm__step_plan *key, tdm__step_plan **out)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < s->n_plans; i++) {
        tdm__step_plan *p = &s->plans[i];
        if (p->count != key->count || p->training != key->training || p->again != key->again ||
            p->rows != key->rows || p->group != key->group || p->cached != key->cached ||
            memcmp(p->tasks, key->tasks, s->n_tasks * sizeof *key->tasks))
            continue;
        *out = p;
        return TDM_OK;
    }
    TDM_TRY(tdm__grow(&s->plans, &s->plans_capacity, s->n_plans + 1, sizeof *s->plans));
    tdm__step_plan *plan = &s->plans[s->n_plans++];
    *plan = *key;
    TDM_TRY(tdm__step_build(s, plan));
    *out = plan;
done:
    if (status && s->n_plans && !s->plans[s->n_plans - 1].plan) {
        free(s->plans[--s->n_plans].inputs);
        free(s->plans[s->n_plans].has_gradient);
        memset(&s->plans[s->n_plans], 0, sizeof *s->plans);
    }
    return status;
}

tdm_status tdm__session_plan(tdm__session *s, tdm__purpose purpose, size_t stream, int64_t count,
                             tdm__step_plan **out)
{
    const tdm__step_plan key = {.count = count,
                                .training = purpose == TDM__FOR_TRAINING,
                                .cached = s->cached.active && purpose != TDM__FOR_TEST,
                                .tasks = s->streams[purpose].list[stream].tasks};
    return find_plan(s, &key, out);
}

/* Announces the plans of full batches to the arena, for training and the validation after it. */
static tdm_status reserve(tdm__session *s)
{
    tdm_status status = TDM_OK;
    for (int p = TDM__FOR_TRAINING; p <= TDM__FOR_VALIDATION; p++)
        for (size_t i = 0; i < s->streams[p].n; i++)
            TDM_TRY(tdm__step_reserve(s, p == TDM__FOR_TRAINING, s->streams[p].list[i].tasks));
done:
    return status;
}

static tdm__step_plan rows_key(const tdm__session *s, size_t stream, int64_t count, size_t group)
{
    return (tdm__step_plan){.count = count,
                            .training = true,
                            .rows = true,
                            .group = group,
                            .cached = s->cached.active,
                            .tasks = s->streams[TDM__FOR_TRAINING].list[stream].tasks};
}

/* The plans that make the rows of groups, where there are several. */
static tdm_status plan_rows(tdm__session *s, size_t stream)
{
    tdm_status status = TDM_OK;
    tdm__step_plan *plan;
    const size_t groups = s->gradients ? tdm__gradients_groups(s->gradients) : 1;
    for (size_t k = 0; groups > 1 && k < groups; k++) {
        const tdm__step_plan key = rows_key(s, stream, s->batch_size, k);
        TDM_TRY(find_plan(s, &key, &plan));
    }
done:
    return status;
}

tdm_status tdm__session_plan_training(tdm__session *s)
{
    const tdm__streams *streams = &s->streams[TDM__FOR_TRAINING];
    tdm__step_plan *plan;
    tdm_status status = TDM_OK;
    if (s->n_plans == 0) TDM_TRY(reserve(s));
    for (size_t i = 0; i < streams->n; i++)
        TDM_TRY(tdm__session_plan(s, TDM__FOR_TRAINING, i, s->batch_size, &plan));
    for (size_t i = 0; i < streams->n; i++) TDM_TRY(plan_rows(s, i));
done:
    return status;
}

tdm_status tdm__session_drop_training(tdm__session *s)
{
    size_t kept = 0;
    const tdm_status status = tdm_device_finish(s->device);
    if (status) return status;
    for (size_t i = 0; i < s->n_plans; i++)
        if (s->plans[i].training)
            free_plan(&s->plans[i]);
        else
            s->plans[kept++] = s->plans[i];
    s->n_plans = kept;
    return TDM_OK;
}

static tdm_status bind(tdm__session *s, tdm__step_plan *plan, const tdm__view *views)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < s->n_arrays; i++)
        if (plan->inputs[i] >= 0 && views[i].buffer)
            TDM_TRY(tdm__plan_bind(plan->plan, plan->inputs[i], views[i]));
    for (int f = 0; f < 2 && plan->cached; f++)
        if (plan->features[f] >= 0)
            TDM_TRY(tdm__plan_bind(plan->plan, plan->features[f],
                                   (tdm__view){&s->cached.staging[f], 0}));
done:
    return status;
}

/* A step whose gradients are made group by group. */
typedef struct row_maker {
    tdm__session *session;
    const tdm__step_plan *step;
    const tdm__view *views;
} row_maker;

/* The rows of a group, from the same batch with the same dropout: a tdm__gradients_fill. */
static tdm_status make_rows(void *user, size_t group)
{
    const row_maker *m = user;
    tdm_status status = TDM_OK;
    tdm__step_plan key = *m->step, *plan;
    key.rows = true;
    key.group = group;
    key.plan = NULL;
    key.inputs = NULL;
    key.has_gradient = NULL;
    TDM_TRY(find_plan(m->session, &key, &plan));
    TDM_TRY(bind(m->session, plan, m->views));
    TDM_TRY(tdm__plan_run(plan->plan));
done:
    return status;
}

tdm_status tdm__session_run(tdm__session *s, tdm__step_plan *given, const tdm__view *views,
                            int64_t step, double lr)
{
    tdm_status status = TDM_OK;
    const uint64_t n = (uint64_t)step;
    const tdm__step_plan own = *given, *plan = &own; /* further plans may move the given one */
    const bool learns = plan->training && !plan->again;
    row_maker maker = {s, plan, views};
    const tdm__step scalars = {.seed = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)},
                               .step = {(uint32_t)n, (uint32_t)(n >> 32)},
                               .lr = (float)lr};
    TDM_TRY(tdm__view_write_async(s->device, (tdm__view){&s->step_buffer, 0}, &scalars,
                                  sizeof scalars));
    TDM_TRY(bind(s, given, views));
    if (learns) TDM_TRY(tdm__balancer_step(s->balancer, s->seed, n));
    if (learns)
        for (size_t i = 0; i < tdm__flat_count(s->flat); i++)
            tdm__flat_segment(s->flat, i)->has_gradient = plan->has_gradient[i];
    if (learns && s->gradients && s->balance.combine.representation && plan->count != s->batch_size)
        TDM_TRY(tdm__gradients_clear(s->gradients));
    TDM_TRY(tdm__plan_run(plan->plan));
    if (learns && s->gradients)
        TDM_TRY(tdm__gradients_combine(s->gradients, (tdm__view){&s->step_buffer, 0}, s->seed, n,
                                       make_rows, &maker));
    TDM_TRY(tdm__plan_resume(plan->plan));
    if (learns && s->balance.kind == TDM__BALANCE_GRADNORM) {
        tdm__gradients_norms(s->gradients, s->row_norms);
        TDM_TRY(tdm__balancer_gradnorm(s->balancer, s->row_norms));
    }
done:
    return status;
}

tdm_status tdm__session_again(tdm__session *s, size_t stream, int64_t count, const tdm__view *views,
                              int64_t step, double lr)
{
    const tdm__step_plan key = {.count = count,
                                .training = true,
                                .again = true,
                                .cached = s->cached.active,
                                .tasks = s->streams[TDM__FOR_TRAINING].list[stream].tasks};
    tdm__step_plan *plan;
    tdm_status status = TDM_OK;
    if (s->balance.kind != TDM__BALANCE_FAMO) return TDM_OK;
    TDM_TRY(find_plan(s, &key, &plan));
    TDM_TRY(tdm__session_run(s, plan, views, step, lr));
    TDM_TRY(tdm__balancer_famo(s->balancer));
done:
    return status;
}

static bool takes_part(const tdm__streams *streams, size_t task)
{
    for (size_t i = 0; i < streams->n; i++)
        if (streams->list[i].tasks[task]) return true;
    return false;
}

tdm_status tdm__session_report_task(tdm__session *s, tdm__meter *meter, size_t t,
                                    tdm_metric_value *values, tdm_task_report *out)
{
    const tdm__task *task = &s->tasks[t];
    double weight = 1;
    const tdm_status status = tdm__session_weight(s, t, &weight);
    for (size_t m = 0; m < task->n_metrics; m++)
        values[m] = (tdm_metric_value){
            task->metrics[m]->name, tdm__meter_metric(meter, t, task->metrics[m]),
            task->metrics[m]->higher_is_better, task->metrics[m]->baseline};
    *out = (tdm_task_report){.name = task->name,
                             .loss = tdm__meter_loss(meter, t),
                             .weight = weight,
                             .intermediate = tdm__meter_intermediate_loss(meter, t),
                             .loss_ratio = NAN,
                             .gradient_norm = NAN,
                             .instance_cosine = tdm__meter_instance_cosine(meter, t),
                             .instance_zeros = tdm__meter_instance_zeros(meter, t),
                             .samples = (uint64_t)tdm__meter_samples(meter, t),
                             .bad_step = tdm__meter_bad_step(meter, t),
                             .n_metrics = task->n_metrics,
                             .metrics = values};
    out->parts = tdm__meter_parts(meter, t, &out->n_parts);
    return status;
}

tdm_status tdm__session_report(tdm__session *s, tdm__purpose purpose, tdm_task_report *tasks,
                               tdm_metric_value *metrics, tdm_epoch_report *out)
{
    tdm_status status = TDM_OK;
    tdm__meter *meter = s->meters[purpose == TDM__FOR_TRAINING];
    size_t n = 0;
    TDM_TRY(tdm__meter_read(meter));
    TDM_TRY(tdm__balancer_read(s->balancer));
    for (size_t t = 0; t < s->n_tasks; t++) {
        if (!takes_part(&s->streams[purpose], t)) continue;
        TDM_TRY(tdm__session_report_task(s, meter, t, metrics + t * TDM__TASK_METRICS, &tasks[n]));
        n++;
    }
    if (purpose == TDM__FOR_TRAINING) tdm__session_tell_balance(s, tasks, n, out);
    out->total = tdm__meter_total_loss(meter);
    out->penalty = tdm__meter_penalty_mean(meter);
    out->n_tasks = n;
    out->tasks = tasks;
done:
    return status;
}

tdm_status tdm__open_splits(const tdm_config *config, tdm_split *splits[TDM__SPLITS])
{
    tdm_status status = TDM_OK;
    tdm_split_spec spec;
    for (int i = 0; i < TDM__SPLITS; i++) splits[i] = NULL;
    TDM_TRY(tdm_split_spec_read(config, &spec));
    for (int i = 0; i < TDM__SPLITS; i++) {
        if (i == TDM__SPLIT_TRAIN || tdm_split_exists(&spec, tdm__split_names[i]))
            TDM_TRY(tdm_split_open(&spec, tdm__split_names[i], &splits[i]));
    }
done:
    if (status)
        for (int i = 0; i < TDM__SPLITS; i++) tdm_split_destroy(&splits[i]);
    return status;
}

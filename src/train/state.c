/* train/state.c: safetensors files of a run. state.safetensors holds everything at one moment, so a
 * run killed between two files never mixes moments. */
#include "train/state.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/transfer.h"
#include "train/class_names.h"

static const char meter_name[] = "metrics.train", balancer_name[] = "balancing.state",
                  gradients_name[] = "balancing.gradients";
/* Tensors of a state that are not parameters. */
static const char *const not_parameters[] = {"optimizer.", "metrics.", "balancing.", NULL};

/* Hash of the configuration, but for how long to train (a finished run may be continued) and where
 * the first weights were (the state holds what became of them; their folder may have moved). */
static tdm_status identity(const tdm_config *config, char hex[33])
{
    tdm_status status = TDM_OK;
    tdm_config *copy = NULL;
    TDM_TRY(tdm_config_copy(config, &copy));
    TDM_TRY(tdm_config_set(copy, "train.epochs", "1", "state"));
    TDM_TRY(tdm_config_set(copy, "train.init_from", "", "state"));
    TDM_TRY(tdm_config_resolve(copy));
    TDM_TRY(tdm_config_hash(copy, hex));
done:
    tdm_config_destroy(&copy);
    return status;
}

tdm_status tdm__save_checkpoint(tdm__session *s, const char *path)
{
    tdm_status status = TDM_OK;
    char *config = NULL;
    TDM_TRY(tdm_config_dump_results(s->config, &config));
    const tdm__metadata metadata[] = {{"format", "pt"},
                                      {"tandem.version", TANDEM_VERSION},
                                      {"tandem.config", config},
                                      {"tandem.arrays", s->described}};
    TDM_TRY(tdm__checkpoint_write(path, s->flat, NULL, 0, metadata, 4));
done:
    free(config);
    return status;
}

/* ---- state --------------------------------------------------------------------------------------
 */

typedef struct extras {
    tdm__extra_tensor *tensors;
    float **data; /* what to free */
    size_t n;
} extras;

static void extras_free(extras *e)
{
    for (size_t i = 0; i < e->n; i++) free(e->data[i]);
    free(e->data);
    free(e->tensors);
}

/* A further tensor of zeros. */
static tdm_status add_extra(extras *e, const char *name, uint64_t count)
{
    const tdm_status status = tdm__calloc_try(count, sizeof(float), &e->data[e->n]);
    if (status) return status;
    e->tensors[e->n] = (tdm__extra_tensor){name, count, e->data[e->n]};
    e->n++;
    return TDM_OK;
}

/* Copies optimiser state, the training accumulators and what balancing remembers to the host. */
static tdm_status collect(tdm__session *s, tdm__optimizer *optimizer, extras *e)
{
    tdm_status status = TDM_OK;
    const size_t n = tdm__optimizer_state_count(optimizer);
    TDM_TRY(tdm__calloc_try(n + 3, sizeof *e->tensors, &e->tensors));
    TDM_TRY(tdm__calloc_try(n + 3, sizeof *e->data, &e->data));
    for (size_t i = 0; i < n; i++) {
        const char *name;
        uint64_t count;
        tdm__optimizer_state_info(optimizer, i, &name, &count);
        TDM_TRY(add_extra(e, name, count));
        TDM_TRY(tdm__optimizer_state_get(optimizer, i, e->data[i]));
    }
    TDM_TRY(add_extra(e, meter_name, tdm__meter_size(s->meters[1])));
    TDM_TRY(tdm__meter_export(s->meters[1], e->data[n]));
    TDM_TRY(add_extra(e, balancer_name, tdm__balancer_size(s->balancer)));
    TDM_TRY(tdm__balancer_export(s->balancer, e->data[n + 1]));
    if (s->gradients) {
        TDM_TRY(add_extra(e, gradients_name, tdm__gradients_size(s->gradients)));
        TDM_TRY(tdm__gradients_export(s->gradients, e->data[n + 2]));
    }
done:
    return status;
}

static void position_json(tdm__json *j, const tdm__position *p, const char *hash)
{
    tdm__json_open(j, '{');
    tdm__json_key(j, "config"), tdm__json_string(j, hash);
    tdm__json_key(j, "epoch"), tdm__json_int(j, p->epoch);
    tdm__json_key(j, "epoch_step"), tdm__json_int(j, p->epoch_step);
    tdm__json_key(j, "step"), tdm__json_int(j, p->step);
    tdm__json_key(j, "best_epoch"), tdm__json_int(j, p->best_epoch);
    tdm__json_key(j, "best_value"), tdm__json_number(j, p->best_value);
    tdm__json_key(j, "epochs_without_gain"), tdm__json_int(j, p->epochs_without_gain);
    tdm__json_key(j, "seconds"), tdm__json_number(j, p->seconds);
    tdm__json_key(j, "tasks"), tdm__json_open(j, '[');
    for (size_t i = 0; i < p->n_tasks; i++) {
        tdm__json_open(j, '{');
        tdm__json_key(j, "epoch"), tdm__json_int(j, p->tasks[i].epoch);
        tdm__json_key(j, "value"), tdm__json_number(j, p->tasks[i].value);
        tdm__json_close(j, '}');
    }
    tdm__json_close(j, ']');
    tdm__json_close(j, '}');
}

tdm_status tdm__save_state(tdm__session *s, tdm__optimizer *optimizer, const tdm__position *p,
                           const char *path)
{
    tdm_status status = TDM_OK;
    extras e = {0};
    tdm__json j = {0};
    char hash[33], *config = NULL;
    TDM_TRY(identity(s->config, hash));
    TDM_TRY(tdm_config_dump_results(s->config, &config));
    position_json(&j, p, hash);
    TDM_TRY(tdm__json_status(&j));
    TDM_TRY(collect(s, optimizer, &e));
    const tdm__metadata metadata[] = {{"tandem.version", TANDEM_VERSION},
                                      {"tandem.config", config},
                                      {"tandem.position", tdm__json_text(&j)}};
    TDM_TRY(tdm__checkpoint_write(path, s->flat, e.tensors, e.n, metadata, 3));
done:
    extras_free(&e);
    tdm__json_free(&j);
    free(config);
    return status;
}

static int64_t get_int(const json_t *o, const char *key, bool *ok)
{
    const json_t *v = json_object_get(o, key);
    *ok &= json_is_integer(v) && json_integer_value(v) >= 0;
    return json_integer_value(v);
}

static void read_task_bests(const json_t *o, tdm__position *p, bool *ok)
{
    const json_t *list = json_object_get(o, "tasks");
    *ok &= !p->n_tasks || json_array_size(list) == p->n_tasks;
    for (size_t i = 0; i < p->n_tasks && *ok; i++) {
        const json_t *task = json_array_get(list, i);
        p->tasks[i].epoch = get_int(task, "epoch", ok);
        p->tasks[i].value = json_number_value(json_object_get(task, "value"));
    }
}

static tdm_status read_position(tdm__session *s, const tdm__st *st, tdm__position *p)
{
    tdm_status status = TDM_OK;
    json_t *o = NULL;
    char hash[33];
    bool ok = true;
    const char *text = tdm__st_metadata(st, "tandem.position");
    if (!text)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG,
                          "%s: is no state of a run (hint: --init-from takes "
                          "checkpoints)",
                          tdm__st_path(st)));
    TDM_TRY(tdm__json_parse(text, strlen(text), tdm__st_path(st), &o));
    TDM_TRY(identity(s->config, hash));
    const char *theirs = json_string_value(json_object_get(o, "config"));
    if (!theirs || strcmp(theirs, hash))
        TDM_TRY(
            tdm__fail(TDM_ERR_CONFIG,
                      "%s: belongs to another configuration (hint: compare with "
                      "config.yaml beside it; only paths, devices, workers and train.epochs may "
                      "differ)",
                      tdm__st_path(st)));
    p->epoch = get_int(o, "epoch", &ok);
    p->epoch_step = get_int(o, "epoch_step", &ok);
    p->step = get_int(o, "step", &ok);
    p->best_epoch = get_int(o, "best_epoch", &ok);
    p->epochs_without_gain = get_int(o, "epochs_without_gain", &ok);
    p->best_value = json_number_value(json_object_get(o, "best_value"));
    p->seconds = json_number_value(json_object_get(o, "seconds"));
    read_task_bests(o, p, &ok);
    if (!ok) TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: its position cannot be read", tdm__st_path(st)));
done:
    json_decref(o);
    return status;
}

static tdm_status read_extra(const tdm__st *st, const char *name, uint64_t count, float **out)
{
    tdm_status status = TDM_OK;
    const tdm__st_tensor *t = tdm__st_find(st, name);
    *out = NULL;
    if (!t || t->count != count)
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: %s '%s' of %" PRIu64 " values", tdm__st_path(st),
                          t ? "wrong size of" : "lacks", name, count));
    TDM_TRY(tdm__calloc_try(count, sizeof(float), out));
    TDM_TRY(tdm__st_read(st, t, 0, count, TDM__TO_F32, *out));
done:
    return status;
}

tdm_status tdm__load_state(tdm__session *s, tdm__optimizer *optimizer, tdm__position *p,
                           const char *path)
{
    tdm_status status = TDM_OK;
    tdm__st *st = NULL;
    float *values = NULL;
    TDM_TRY(tdm__st_open(path, &st));
    TDM_TRY(read_position(s, st, p));
    TDM_TRY(tdm__checkpoint_load(s->flat, st, not_parameters));
    for (size_t i = 0; i < tdm__optimizer_state_count(optimizer); i++) {
        const char *name;
        uint64_t count;
        tdm__optimizer_state_info(optimizer, i, &name, &count);
        TDM_TRY(read_extra(st, name, count, &values));
        TDM_TRY(tdm__optimizer_state_set(optimizer, i, values));
        free(values);
        values = NULL;
    }
    TDM_TRY(read_extra(st, meter_name, tdm__meter_size(s->meters[1]), &values));
    TDM_TRY(tdm__meter_import(s->meters[1], values));
    free(values);
    values = NULL;
    TDM_TRY(read_extra(st, balancer_name, tdm__balancer_size(s->balancer), &values));
    TDM_TRY(tdm__balancer_import(s->balancer, values));
    if (s->gradients) {
        free(values);
        values = NULL;
        TDM_TRY(read_extra(st, gradients_name, tdm__gradients_size(s->gradients), &values));
        TDM_TRY(tdm__gradients_import(s->gradients, values));
    }
done:
    free(values);
    tdm__st_close(&st);
    return status;
}

/* ---- loading weights ----------------------------------------------------------------------------
 */

tdm_status tdm__find_checkpoint(const char *path, char **out)
{
    static const char *const names[] = {"best.safetensors", "last.safetensors"};
    *out = NULL;
    if (!tdm__is_folder(path)) {
        *out = tdm__strdup(path);
        return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
    }
    for (int i = 0; i < 2; i++) {
        tdm_status status = tdm__path_join(path, names[i], out);
        if (status) return status;
        if (tdm__path_exists(*out)) return TDM_OK;
        free(*out);
        *out = NULL;
    }
    return tdm__fail(TDM_ERR_DATA, "%s: holds no best.safetensors or last.safetensors", path);
}

static tdm_status open_checkpoint(const char *path, tdm__st **out)
{
    char *file = NULL;
    tdm_status status = tdm__find_checkpoint(path, &file);
    if (!status) status = tdm__st_open(file, out);
    free(file);
    return status;
}

tdm_status tdm__load_weights(tdm__session *s, const char *path)
{
    tdm__st *st = NULL;
    tdm_status status = open_checkpoint(path, &st);
    if (!status) status = tdm__checkpoint_load(s->flat, st, not_parameters);
    tdm__st_close(&st);
    return status;
}

static tdm_status load_segment(tdm__flat *flat, size_t i, const tdm__st *st)
{
    tdm_status status = TDM_OK;
    float *values = NULL;
    const tdm__segment *segment = tdm__flat_segment(flat, i);
    const tdm__st_tensor *t = tdm__st_find(st, segment->name);
    bool same = t && t->rank == segment->disk.rank;
    for (int d = 0; same && d < t->rank; d++) same = t->dims[d] == (uint64_t)segment->disk.dim[d];
    if (!same)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG, "%s: is of another trunk: it has no '%s' of this shape",
                          tdm__st_path(st), segment->name));
    TDM_TRY(tdm__calloc_try(t->count, sizeof *values, &values));
    TDM_TRY(tdm__st_read(st, t, 0, t->count, TDM__TO_F32, values));
    TDM_TRY(tdm__flat_set(flat, i, values));
done:
    free(values);
    return status;
}

tdm_status tdm__load_trunk(tdm__session *s, const char *path)
{
    tdm_status status = TDM_OK;
    tdm__st *st = NULL;
    TDM_TRY(open_checkpoint(path, &st));
    for (size_t i = 0; i < tdm__flat_count(s->flat); i++) {
        bool head;
        TDM_TRY(tdm__in_head(s->config, tdm__flat_segment(s->flat, i)->name, &head));
        if (!head) TDM_TRY(load_segment(s->flat, i, st));
    }
done:
    tdm__st_close(&st);
    return status;
}

/* What is known of the classes on both sides of a transfer. */
typedef struct two_models {
    const tdm_config *config;
    tdm__arrays arrays;
    tdm__class_source source;
} two_models;

static tdm__class_list classes_of(void *user, bool model, const char *name)
{
    const two_models *m = user;
    return model ? tdm__classes_of(m->config, &m->arrays, name)
                 : tdm__classes_of(m->source.config, &m->source.arrays, name);
}

static tdm_status plan_transfer(tdm__session *s, const tdm__st *st, two_models *models,
                                tdm__transfer *out)
{
    tdm_status status = TDM_OK;
    bool *fresh = NULL;
    int64_t blocks;
    TDM_TRY(tdm_config_int(s->config, "load.blocks", &blocks));
    TDM_TRY(tdm__calloc_try(tdm__flat_count(s->flat), sizeof *fresh, &fresh));
    if (blocks >= 0) TDM_TRY(tdm__blocks_beyond(s->config, s->flat, "load.blocks", blocks, fresh));
    models->config = s->config;
    TDM_TRY(tdm__arrays_parse(s->described, "the data", &models->arrays));
    TDM_TRY(tdm__class_source_read(st, &models->source));
    const tdm__transfer_spec spec = {.config = s->config,
                                     .st = st,
                                     .ignore = not_parameters,
                                     .fresh = blocks >= 0 ? fresh : NULL,
                                     .classes = classes_of,
                                     .user = models};
    TDM_TRY(tdm__transfer_plan(&spec, s->flat, out));
done:
    free(fresh);
    return status;
}

tdm_status tdm__transfer_weights(tdm__session *s, const char *path, bool *loaded)
{
    tdm_status status = TDM_OK;
    tdm__transfer transfer = {0};
    two_models models = {0};
    tdm__st *st = NULL;
    tdm__str table = {0};
    TDM_TRY(open_checkpoint(path, &st));
    TDM_TRY(plan_transfer(s, st, &models, &transfer));
    TDM_TRY(tdm__transfer_apply(s->flat, st, &transfer, s->seed));
    TDM_TRY(tdm__transfer_table(s->flat, st, &transfer, &table));
    for (size_t i = 0; i < transfer.n; i++) loaded[i] = transfer.sources[i] != SIZE_MAX;
    tdm__log(TDM_LOG_INFO, "weights from %s:\n%s", tdm__st_path(st), tdm__str_text(&table));
done:
    tdm__str_free(&table);
    tdm__transfer_free(&transfer);
    tdm__arrays_free(&models.arrays);
    tdm__class_source_free(&models.source);
    tdm__st_close(&st);
    return status;
}

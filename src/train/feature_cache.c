/* train/feature_cache.c: see feature_cache.h. */
#include "train/feature_cache.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/hdf5.h"
#include "model/sharing.h"
#include "train/step_graph.h"

enum { FREE_SHARE = 2 }; /* device memory: at most 1/2 of what is left */
static const uint32_t no_slot = UINT32_MAX;

/* The features of one split's samples. Samples get slots in the order in which they are first seen.
 */
typedef struct store {
    uint64_t rows, samples; /* of the data set; of the split: as many slots */
    uint32_t *slot_of;      /* per row */
    uint32_t used;
    bool reading;           /* disk: all are there */
    tdm__buffer *chunks[2]; /* device: per feature, chunks of chunk_samples */
    size_t n_chunks[2];
    uint64_t chunk_samples[2];
    tdm__h5_writer *writer; /* disk, while it is filled; a data set per feature */
    tdm__h5_raw *raw[2];    /* and when it is full */
    tdm__h5_cursor *cursors[2];
    char *path;
} store;

typedef struct trunk_plan {
    int64_t count;
    tdm__plan *plan;
    tdm_value input;
} trunk_plan;

struct tdm__feature_cache {
    tdm__session *session;
    bool on_disk;
    uint64_t bytes;           /* of all features */
    uint64_t sample_bytes[2]; /* of a sample's features; 0: unused */
    store stores[TDM__SPLITS];
    trunk_plan plans[2]; /* of a full batch, and of a short one */
    float *host;         /* a batch of the larger feature, for the disk */
    char text[80];
};

/* ---- whether there is one ---------------------------------------------------------------------
 */

/* Of a layer of the trunk that has no parameters, such as dropout, freezing must speak too: so the
 * patterns must cover whatever stands below the trunk's prefix. */
static const char *why_not(const tdm__session *s)
{
    const char *trunk;
    const tdm__freezing *f = &s->freezing;
    if (tdm_config_string(s->config, "model.prefix", &trunk)) return "the trunk has no name";
    if (!tdm__model_sharing(s->model)->one_trunk)
        return "the heads do not read one trunk (model.sharing)";
    if (!*trunk) return "the trunk's names begin with nothing (model.prefix)";
    tdm__str any = {0};
    tdm__str_addf(&any, "%s.any.layer", trunk);
    const bool frozen = !tdm__str_status(&any) &&
                        tdm__frozen_by(f->freeze, f->n_freeze, f->thawed, f->n_thawed, any.text);
    tdm__str_free(&any);
    if (!frozen || f->n_thaw) return "the trunk as a whole is not frozen throughout";
    for (size_t i = 0; i < s->transforms.n; i++)
        if (s->transforms.list[i].kind != TDM_TRANSFORM_RESIZE)
            return "data.transforms change the samples at random";
    for (size_t t = 0; t < s->n_tasks; t++)
        if (tdm_make_changes_input(s->tasks[t].make.kind))
            return "a task's input is made anew in every epoch (tasks.NAME.make)";
    return NULL;
}

/* ---- creation ---------------------------------------------------------------------------------
 */

static tdm_status make_staging(tdm__feature_cache *c)
{
    tdm_status status = TDM_OK;
    tdm__session *s = c->session;
    uint64_t most = 0;
    TDM_TRY(tdm__step_features(s, s->cached.used, s->cached.descs));
    for (int f = 0; f < 2; f++) {
        if (!s->cached.used[f]) continue;
        const uint64_t elems = (uint64_t)tdm_desc_count(&s->cached.descs[f]);
        uint64_t bytes;
        if (!tdm__mul_u64(elems, sizeof(float), &bytes))
            TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "feature cache: a batch is too large"));
        TDM_TRY(tdm__buffer_create(s->device, bytes, false, "features", &s->cached.staging[f]));
        c->sample_bytes[f] = bytes / (uint64_t)s->batch_size;
        if (bytes > most) most = bytes;
    }
    TDM_TRY(tdm__calloc_try(most, 1, &c->host));
done:
    return status;
}

static tdm_status open_store(tdm__feature_cache *c, const tdm_split *split, store *out)
{
    tdm_status status = TDM_OK;
    uint64_t bytes;
    out->rows = tdm_dataset_length(tdm_split_dataset(split));
    out->samples = tdm_split_length(split);
    TDM_TRY(tdm__calloc_try(out->rows, sizeof *out->slot_of, &out->slot_of));
    for (uint64_t i = 0; i < out->rows; i++) out->slot_of[i] = no_slot;
    if (out->samples >= no_slot ||
        !tdm__mul_u64(out->samples, c->sample_bytes[0] + c->sample_bytes[1], &bytes) ||
        !tdm__add_u64(c->bytes, bytes, &c->bytes))
        TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "feature cache: too many samples"));
done:
    return status;
}

static tdm_status make_chunks(tdm__feature_cache *c, store *st, int f)
{
    tdm_status status = TDM_OK;
    tdm_device *device = c->session->device;
    const uint64_t most = tdm__device_traits(device)->max_allocation / c->sample_bytes[f];
    st->chunk_samples[f] = st->samples < most ? st->samples : most;
    if (st->chunk_samples[f] == 0)
        TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "feature cache: a sample's features exceed a buffer"));
    const uint64_t n = (st->samples + st->chunk_samples[f] - 1) / st->chunk_samples[f];
    TDM_TRY(tdm__calloc_try(n, sizeof *st->chunks[f], &st->chunks[f]));
    for (; st->n_chunks[f] < n; st->n_chunks[f]++)
        TDM_TRY(tdm__buffer_create(device, st->chunk_samples[f] * c->sample_bytes[f], false,
                                   "cached features", &st->chunks[f][st->n_chunks[f]]));
done:
    return status;
}

/* A file of this process alone; it goes with the cache. */
static tdm_status make_file(tdm__feature_cache *c, store *st, int split)
{
    static const char *const names[2] = {"bottleneck", "dense"};
    tdm_status status = TDM_OK;
    char *folder = NULL, name[64];
    TDM_TRY(tdm__cache_folder("features", &folder));
    if (!folder)
        TDM_TRY(
            tdm__hint(tdm__fail(TDM_ERR_CONFIG, "train.feature_cache: there is no cache folder"),
                      "TANDEM_CACHE_DIR, or train.feature_cache=off"));
    TDM_TRY(tdm__make_folders(folder));
    snprintf(name, sizeof name, "%ld-%p-%s.h5", (long)getpid(), (void *)c, tdm__split_names[split]);
    TDM_TRY(tdm__path_join(folder, name, &st->path));
    TDM_TRY(tdm__h5_writer_create(st->path, &st->writer));
    for (int f = 0; f < 2; f++) {
        size_t set;
        const tdm__h5_spec spec = {.name = names[f],
                                   .elem = tdm__elem_host(TDM__ELEM_FLOAT, 4),
                                   .rank = 1,
                                   .dims = {c->sample_bytes[f] / sizeof(float)}};
        if (c->sample_bytes[f]) TDM_TRY(tdm__h5_writer_add(st->writer, &spec, &set));
    }
done:
    free(folder);
    return status;
}

static tdm_status make_place(tdm__feature_cache *c, const char *choice)
{
    tdm_status status = TDM_OK;
    const uint64_t left = tdm__device_memory_left(c->session->device);
    c->on_disk =
        !strcmp(choice, "disk") || (!strcmp(choice, "auto") && c->bytes > left / FREE_SHARE);
    for (int i = 0; i < TDM__SPLITS; i++) {
        store *st = &c->stores[i];
        if (!st->slot_of) continue;
        if (c->on_disk) TDM_TRY(make_file(c, st, i));
        for (int f = 0; f < 2 && !c->on_disk; f++)
            if (c->sample_bytes[f]) TDM_TRY(make_chunks(c, st, f));
    }
    snprintf(c->text, sizeof c->text, "%.1f MiB in %s", (double)c->bytes / (1 << 20),
             c->on_disk ? "a file of the cache folder" : "device memory");
done:
    return status;
}

tdm_status tdm__feature_cache_create(tdm__session *s, tdm_split *const splits[TDM__SPLITS],
                                     tdm__feature_cache **out)
{
    tdm_status status = TDM_OK;
    tdm__feature_cache *c = NULL;
    const char *choice;
    *out = NULL;
    TDM_TRY(tdm_config_string(s->config, "train.feature_cache", &choice));
    if (!strcmp(choice, "off")) return TDM_OK;
    const char *reason = why_not(s);
    if (reason && strcmp(choice, "auto"))
        TDM_TRY(tdm_config_reject(s->config, "train.feature_cache", "%s", reason));
    if (reason) return TDM_OK;
    TDM_TRY(tdm__calloc_try(1, sizeof *c, &c));
    c->session = s;
    TDM_TRY(make_staging(c));
    for (int i = TDM__SPLIT_TRAIN; i <= TDM__SPLIT_VAL; i++)
        if (splits[i]) TDM_TRY(open_store(c, splits[i], &c->stores[i]));
    TDM_TRY(make_place(c, choice));
    s->cached.active = true;
    *out = c;
    c = NULL;
done:
    tdm__feature_cache_destroy(&c);
    return status ? tdm__context(status, "feature cache") : TDM_OK;
}

static void close_store(tdm__feature_cache *c, store *st)
{
    for (int f = 0; f < 2; f++) {
        for (size_t k = 0; k < st->n_chunks[f]; k++)
            tdm__buffer_destroy(c->session->device, &st->chunks[f][k]);
        free(st->chunks[f]);
        tdm__h5_cursor_destroy(&st->cursors[f]);
        tdm__h5_raw_destroy(&st->raw[f]);
    }
    tdm__h5_writer_destroy(&st->writer);
    if (st->path) remove(st->path);
    free(st->path);
    free(st->slot_of);
}

void tdm__feature_cache_destroy(tdm__feature_cache **cache)
{
    tdm__feature_cache *c = *cache;
    if (!c) return;
    c->session->cached.active = false;
    for (int i = 0; i < TDM__SPLITS; i++) close_store(c, &c->stores[i]);
    for (int i = 0; i < 2; i++) tdm__plan_destroy(&c->plans[i].plan);
    free(c->host);
    free(c);
    *cache = NULL;
}

const char *tdm__feature_cache_text(const tdm__feature_cache *c)
{
    return c->text;
}

/* ---- the trunk --------------------------------------------------------------------------------
 */

/* Plans of two batch sizes are kept: the full one, and the latest other one. */
static tdm_status run_trunk(tdm__feature_cache *c, int64_t count, tdm__view input)
{
    tdm_status status = TDM_OK;
    tdm__session *s = c->session;
    trunk_plan *p = &c->plans[count != s->batch_size];
    if (p->plan && p->count != count) {
        TDM_TRY(tdm_device_finish(s->device));
        tdm__plan_destroy(&p->plan);
    }
    if (!p->plan) {
        p->count = count;
        TDM_TRY(tdm__step_build_trunk(s, count, &p->plan, &p->input));
    }
    TDM_TRY(tdm__plan_bind(p->plan, p->input, input));
    TDM_TRY(tdm__plan_run(p->plan));
done:
    return status;
}

static tdm__view staged(const tdm__feature_cache *c, int f, uint64_t i)
{
    return (tdm__view){&c->session->cached.staging[f], i * c->sample_bytes[f]};
}

static tdm__view kept(const tdm__feature_cache *c, const store *st, int f, uint32_t slot)
{
    return (tdm__view){&st->chunks[f][slot / st->chunk_samples[f]],
                       slot % st->chunk_samples[f] * c->sample_bytes[f]};
}

/* ---- device memory ----------------------------------------------------------------------------
 */

/* Keeps what the batch's samples that are not there yet have in the staging buffers. */
static tdm_status keep_on_device(tdm__feature_cache *c, store *st, const tdm_batch *batch)
{
    tdm_status status = TDM_OK;
    for (uint64_t i = 0; i < batch->count; i++) {
        uint32_t *slot = &st->slot_of[batch->rows[i]];
        if (*slot != no_slot) continue;
        *slot = st->used++;
        for (int f = 0; f < 2; f++)
            if (c->sample_bytes[f])
                TDM_TRY(tdm__view_copy(c->session->device, staged(c, f, i), kept(c, st, f, *slot),
                                       c->sample_bytes[f]));
    }
done:
    return status;
}

static tdm_status take_from_device(tdm__feature_cache *c, const store *st, const tdm_batch *batch)
{
    tdm_status status = TDM_OK;
    for (uint64_t i = 0; i < batch->count; i++)
        for (int f = 0; f < 2; f++)
            if (c->sample_bytes[f])
                TDM_TRY(tdm__view_copy(c->session->device,
                                       kept(c, st, f, st->slot_of[batch->rows[i]]), staged(c, f, i),
                                       c->sample_bytes[f]));
done:
    return status;
}

/* ---- disk -------------------------------------------------------------------------------------
 */

static tdm_status finish_file(tdm__feature_cache *c, store *st)
{
    tdm_status status = TDM_OK;
    tdm__h5 *file = NULL;
    size_t set = 0;
    TDM_TRY(tdm__h5_writer_commit(st->writer));
    tdm__h5_writer_destroy(&st->writer);
    TDM_TRY(tdm__h5_open(st->path, &file));
    for (int f = 0; f < 2; f++) { /* both are in the order of their names */
        if (!c->sample_bytes[f]) continue;
        TDM_TRY(tdm__h5_raw_create(file, set++, &st->raw[f]));
        TDM_TRY(tdm__h5_cursor_create(st->raw[f], &st->cursors[f]));
    }
    st->reading = true;
done:
    tdm__h5_close(&file);
    return status;
}

static tdm_status keep_on_disk(tdm__feature_cache *c, store *st, const tdm_batch *batch)
{
    tdm_status status = TDM_OK;
    size_t set = 0;
    for (int f = 0; f < 2; f++) {
        if (!c->sample_bytes[f]) continue;
        TDM_TRY(tdm__view_read(c->session->device, staged(c, f, 0), c->host,
                               batch->count * c->sample_bytes[f]));
        for (uint64_t i = 0; i < batch->count; i++)
            if (st->slot_of[batch->rows[i]] == no_slot)
                TDM_TRY(tdm__h5_writer_append(st->writer, set,
                                              (const char *)c->host + i * c->sample_bytes[f], 1));
        set++;
    }
    for (uint64_t i = 0; i < batch->count; i++)
        if (st->slot_of[batch->rows[i]] == no_slot) st->slot_of[batch->rows[i]] = st->used++;
    if (st->used == st->samples) TDM_TRY(finish_file(c, st));
done:
    return status;
}

static tdm_status take_from_disk(tdm__feature_cache *c, const store *st, const tdm_batch *batch)
{
    tdm_status status = TDM_OK;
    for (int f = 0; f < 2; f++) {
        if (!c->sample_bytes[f]) continue;
        for (uint64_t i = 0; i < batch->count; i++)
            TDM_TRY(tdm__h5_cursor_read(st->cursors[f], st->slot_of[batch->rows[i]], TDM__TO_F32,
                                        (char *)c->host + i * c->sample_bytes[f]));
        TDM_TRY(tdm__view_write(c->session->device, staged(c, f, 0), c->host,
                                batch->count * c->sample_bytes[f]));
    }
done:
    return status;
}

/* ---- a batch ----------------------------------------------------------------------------------
 */

bool tdm__feature_cache_full(const tdm__feature_cache *c, int split)
{
    const store *st = &c->stores[split];
    return st->slot_of && (c->on_disk ? st->reading : st->used == st->samples);
}

static bool all_there(const tdm__feature_cache *c, const store *st, const tdm_batch *batch)
{
    if (c->on_disk) return st->reading;
    for (uint64_t i = 0; i < batch->count; i++)
        if (st->slot_of[batch->rows[i]] == no_slot) return false;
    return true;
}

tdm_status tdm__feature_cache_fetch(tdm__feature_cache *c, int split, const tdm_batch *batch,
                                    tdm__view input)
{
    tdm_status status = TDM_OK;
    store *st = &c->stores[split];
    if (!all_there(c, st, batch)) {
        TDM_TRY(run_trunk(c, (int64_t)batch->count, input));
        TDM_TRY(c->on_disk ? keep_on_disk(c, st, batch) : keep_on_device(c, st, batch));
    }
    if (all_there(c, st, batch))
        TDM_TRY(c->on_disk ? take_from_disk(c, st, batch) : take_from_device(c, st, batch));
done:
    return status ? tdm__context(status, "feature cache") : TDM_OK;
}

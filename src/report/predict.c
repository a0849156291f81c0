/* report/predict.c: runs a checkpoint over samples and writes what it says about each.
 *
 * Samples of data sets and pictures fill the slots of one batch; a full batch is run and written.
 */
#include <tandem/predict.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "report/answer.h"
#include "report/pictures.h"

enum { BATCH_MOST = 32, LINES_MOST = 1 << 30 };

/* A sample waiting in the batch. */
typedef struct slot {
    char *name, *input;
    int64_t row;   /* of a data set's split; -1: a picture */
    float **truth; /* per task, in the target's elements */
    bool *known;   /* per task: truth is there */
} slot;

typedef struct job {
    const tdm_predict_spec *spec;
    tdm__predictor *predictor;
    slot *slots;
    uint8_t *samples;
    size_t filled;
    uint64_t done, total;
    char **names; /* of all samples so far: none is used twice */
    size_t n_names, names_capacity;
    tdm__str lines;
} job;

static const tdm_desc *input_desc(const job *j)
{
    const tdm__session *s = &j->predictor->session;
    return &s->arrays[s->input].sample;
}

/* ---- names -------------------------------------------------------------------------------------
 */

static bool name_used(const job *j, const char *name)
{
    for (size_t i = j->n_names; i-- > 0;)
        if (!strcmp(j->names[i], name)) return true;
    return false;
}

/* `wanted`, or with a number behind it where that is taken. The job keeps the text. */
static tdm_status choose_name(job *j, const char *wanted, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    tdm__str_add(&name, wanted);
    for (int n = 2; name_used(j, tdm__str_text(&name)); n++) {
        name.length = 0;
        tdm__str_addf(&name, "%s-%d", wanted, n);
    }
    TDM_TRY(tdm__str_status(&name));
    TDM_TRY(tdm__grow(&j->names, &j->names_capacity, j->n_names + 1, sizeof *j->names));
    *out = j->names[j->n_names++] = name.text;
    name.text = NULL;
done:
    tdm__str_free(&name);
    return status;
}

/* ---- writing one sample ------------------------------------------------------------------------
 */

static tdm_status output_path(const job *j, const char *file, char **out)
{
    return tdm__path_join(j->spec->out, file, out);
}

static tdm__answer answer_of(const job *j, size_t at, size_t task)
{
    const tdm__session *s = &j->predictor->session;
    const tdm__prediction *o = &j->predictor->outputs[task];
    const tdm_desc *input = input_desc(j);
    return (tdm__answer){.task = o,
                         .values = o->values + at * o->elems,
                         .truth = j->slots[at].known[task] ? j->slots[at].truth[task] : NULL,
                         .input_h = input->dim[0],
                         .input_w = input->dim[1],
                         .shown = s->targets[task] == s->input};
}

static tdm_status write_task(job *j, size_t at, size_t task, tdm__json *json)
{
    tdm_status status = TDM_OK;
    const tdm__answer answer = answer_of(j, at, task);
    char *path = NULL;
    tdm__str file = {0};
    tdm__str_addf(&file, "%s.%s.npy", j->slots[at].name, answer.task->task->name);
    TDM_TRY(tdm__str_status(&file));
    TDM_TRY(output_path(j, tdm__str_text(&file), &path));
    TDM_TRY(tdm__answer_write(&answer, path));
    tdm__json_key(json, answer.task->task->name);
    tdm__json_open(json, '{');
    TDM_TRY(tdm__answer_json(&answer, tdm__str_text(&file), json));
    tdm__json_close(json, '}');
done:
    tdm__str_free(&file);
    free(path);
    return status;
}

static tdm_status write_line(job *j, size_t at)
{
    tdm_status status = TDM_OK;
    const slot *s = &j->slots[at];
    tdm__json json = {0};
    tdm__json_open(&json, '{');
    tdm__json_key(&json, "name"), tdm__json_string(&json, s->name);
    tdm__json_key(&json, "input"), tdm__json_string(&json, s->input);
    if (s->row >= 0) tdm__json_key(&json, "row"), tdm__json_int(&json, s->row);
    tdm__json_key(&json, "tasks");
    tdm__json_open(&json, '{');
    for (size_t t = 0; t < j->predictor->n; t++) TDM_TRY(write_task(j, at, t, &json));
    tdm__json_close(&json, '}');
    tdm__json_close(&json, '}');
    TDM_TRY(tdm__json_status(&json));
    tdm__str_add(&j->lines, tdm__json_text(&json));
    tdm__str_add(&j->lines, "\n");
    TDM_TRY(tdm__str_status(&j->lines));
done:
    tdm__json_free(&json);
    return status;
}

static tdm_status write_picture(job *j, size_t at)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = input_desc(j);
    char *path = NULL;
    tdm__str file = {0};
    tdm__sheet sheet = {0};
    if (d->rank != 3) return TDM_OK; /* the input is no picture */
    TDM_TRY(tdm__sheet_begin(&sheet, j->samples + at * j->predictor->input_bytes,
                             d->dtype == TDM_F32, d->dim[0], d->dim[1], d->dim[2]));
    TDM_TRY(tdm__sheet_input(&sheet));
    for (size_t t = 0; t < j->predictor->n; t++) {
        const tdm__answer answer = answer_of(j, at, t);
        TDM_TRY(tdm__answer_draw(&answer, &sheet));
    }
    tdm__str_addf(&file, "%s.png", j->slots[at].name);
    TDM_TRY(tdm__str_status(&file));
    TDM_TRY(output_path(j, tdm__str_text(&file), &path));
    TDM_TRY(tdm__sheet_write(&sheet, path));
done:
    tdm__sheet_free(&sheet);
    tdm__str_free(&file);
    free(path);
    return status;
}

/* Runs what is in the batch. */
static tdm_status flush(job *j)
{
    tdm_status status = TDM_OK;
    if (j->filled == 0) return TDM_OK;
    TDM_TRY(tdm__predictor_run(j->predictor, j->samples));
    for (size_t i = 0; i < j->filled; i++) {
        TDM_TRY(write_line(j, i));
        if (!j->spec->no_pictures) TDM_TRY(write_picture(j, i));
    }
    j->done += j->filled;
    j->filled = 0;
    if (j->spec->progress && j->spec->progress(j->spec->user, j->done, j->total))
        TDM_TRY(tdm__fail(TDM_ERR_INTERRUPTED, "stopped after %" PRIu64 " samples", j->done));
done:
    return status;
}

/* The next free slot, its input to be filled by the caller before the next call. */
static tdm_status next_slot(job *j, const char *name, const char *input, int64_t row, slot **out,
                            void **sample)
{
    tdm_status status = TDM_OK;
    if (j->filled == (size_t)j->predictor->count) TDM_TRY(flush(j));
    slot *s = &j->slots[j->filled];
    TDM_TRY(choose_name(j, name, &s->name));
    free(s->input);
    s->input = tdm__strdup(input);
    if (!s->input) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    s->row = row;
    for (size_t t = 0; t < j->predictor->n; t++) s->known[t] = false;
    *sample = j->samples + j->filled++ * j->predictor->input_bytes;
    *out = s;
done:
    return status;
}

/* ---- data sets ---------------------------------------------------------------------------------
 */

static const char *split_name(const tdm_predict_spec *spec)
{
    return spec->split ? spec->split : "test";
}

static tdm_status open_split(const tdm_config *config, const tdm_predict_spec *spec,
                             const char *path, tdm_split **out)
{
    tdm_status status = TDM_OK;
    tdm_split_spec split;
    TDM_TRY(tdm_split_spec_read(config, &split));
    split.path = path;
    split.num_samples = 0; /* a limit of training */
    TDM_TRY(tdm_split_open(&split, split_name(spec), out));
done:
    return status;
}

/* Index among the loader's arrays, or SIZE_MAX. */
static size_t array_at(const tdm_batch *batch, const char *name)
{
    for (size_t i = 0; i < batch->n_arrays; i++)
        if (!strcmp(batch->arrays[i].name, name)) return i;
    return SIZE_MAX;
}

static float element(const tdm_batch_array *a, uint64_t i)
{
    switch (a->dtype) {
    case TDM_U8:
        return ((const uint8_t *)a->data)[i];
    case TDM_I32:
        return (float)((const int32_t *)a->data)[i];
    default:
        return ((const float *)a->data)[i];
    }
}

static tdm_status take_sample(job *j, const char *path, const tdm_batch *batch, uint64_t at,
                              uint64_t index)
{
    tdm_status status = TDM_OK;
    const tdm__session *session = &j->predictor->session;
    const tdm_batch_array *input =
        &batch->arrays[array_at(batch, session->arrays[session->input].load.name)];
    tdm__str name = {0};
    slot *s;
    void *sample;
    if (input->sample_bytes != j->predictor->input_bytes)
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: its samples have another size than the first input's",
                          path));
    tdm__str_addf(&name, "%s-%06" PRIu64, split_name(j->spec), index);
    TDM_TRY(tdm__str_status(&name));
    TDM_TRY(next_slot(j, tdm__str_text(&name), path, (int64_t)index, &s, &sample));
    memcpy(sample, (const uint8_t *)input->data + at * input->sample_bytes, input->sample_bytes);
    for (size_t t = 0; t < j->predictor->n; t++) {
        const size_t k = array_at(batch, j->predictor->outputs[t].task->target);
        if (k == SIZE_MAX) continue;
        const uint64_t n = (uint64_t)tdm_desc_count(&session->arrays[session->targets[t]].sample);
        for (uint64_t i = 0; i < n; i++) s->truth[t][i] = element(&batch->arrays[k], at * n + i);
        s->known[t] = true;
    }
done:
    tdm__str_free(&name);
    return status;
}

static tdm_status create_loader(const job *j, const tdm_split *split, tdm_loader **out)
{
    tdm_status status = TDM_OK;
    const tdm__session *s = &j->predictor->session;
    const tdm_dataset *data = tdm_split_dataset(split);
    tdm_loader_array *arrays = NULL;
    tdm_loader_spec spec = {.split = split};
    size_t index;
    TDM_TRY(tdm_loader_spec_read(j->predictor->config, &spec));
    TDM_TRY(tdm__calloc_try(s->n_arrays, sizeof *arrays, &arrays));
    for (size_t i = 0; i < s->n_arrays; i++) {
        if (s->arrays[i].load.make) continue; /* the network is shown the samples as they are */
        /* targets may be missing, the input not */
        if (tdm_dataset_find(data, s->arrays[i].load.name, &index)) {
            if (i == s->input) {
                status = TDM_ERR_DATA;
                goto done;
            }
            continue;
        }
        arrays[spec.n_arrays++] = s->arrays[i].load;
    }
    spec.arrays = arrays;
    spec.batch_size = (uint64_t)j->predictor->count;
    spec.stream = "eval";
    spec.shuffle = spec.drop_last = spec.in_memory = false;
    TDM_TRY(tdm_loader_create(&spec, out));
done:
    free(arrays);
    return status;
}

/* The samples that are wanted of a split of `length`. */
static uint64_t wanted_count(const tdm_predict_spec *spec, uint64_t length)
{
    const uint64_t n = spec->n_rows ? spec->n_rows : length;
    return spec->limit && spec->limit < n ? spec->limit : n;
}

static tdm_status run_data_set(job *j, const char *path, const tdm_split *split)
{
    tdm_status status = TDM_OK;
    tdm_loader *loader = NULL;
    const tdm_batch *batch = NULL;
    const uint64_t n = wanted_count(j->spec, tdm_split_length(split));
    const uint64_t size = (uint64_t)j->predictor->count;
    j->total += n;
    TDM_TRY(create_loader(j, split, &loader));
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t index = j->spec->n_rows ? j->spec->rows[i] : i, step = index / size;
        if (index >= tdm_split_length(split))
            TDM_TRY(tdm__fail(TDM_ERR_USAGE, "%s: no sample %" PRIu64 ": split '%s' has %" PRIu64,
                              path, index, split_name(j->spec), tdm_split_length(split)));
        if (!batch || batch->step != step) {
            if (!batch || step != batch->step + 1) TDM_TRY(tdm_loader_seek(loader, 0, step));
            TDM_TRY(tdm_loader_next(loader, &batch));
        }
        TDM_TRY(take_sample(j, path, batch, index % size, index));
    }
done:
    tdm_loader_destroy(&loader);
    return status;
}

/* ---- pictures ----------------------------------------------------------------------------------
 */

static tdm_status run_picture(job *j, const char *path)
{
    tdm_status status = TDM_OK;
    const tdm_desc *d = input_desc(j);
    tdm__str stem = {0};
    slot *s;
    void *sample;
    const char *base = tdm__path_base(path), *dot = strrchr(base, '.');
    tdm__str_addn(&stem, base, dot && dot > base ? (size_t)(dot - base) : strlen(base));
    TDM_TRY(tdm__str_status(&stem));
    TDM_TRY(next_slot(j, tdm__str_text(&stem), path, -1, &s, &sample));
    TDM_TRY(tdm__picture_sample(path, d, sample));
done:
    tdm__str_free(&stem);
    return status;
}

static tdm_status run_pictures(job *j, const char *path)
{
    tdm_status status = TDM_OK;
    char **files = NULL;
    size_t n = 0;
    TDM_TRY(tdm__picture_list(path, &files, &n));
    j->total += n;
    for (size_t i = 0; i < n && !(j->spec->limit && i >= j->spec->limit); i++)
        TDM_TRY(run_picture(j, files[i]));
done:
    tdm__names_free(files, n);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------------
 */

/* A data set rather than pictures. */
static bool is_data_set(const char *path, const char *split)
{
    static const char *const splits[] = {"train", "val", "test"};
    const size_t n = strlen(path);
    if (n > 3 && !strcmp(path + n - 3, ".h5")) return true;
    if (tdm_dataset_has_split(path, split)) return true;
    for (int i = 0; i < 3; i++)
        if (tdm_dataset_has_split(path, splits[i])) return true;
    return false;
}

static tdm_status open_inputs(const tdm_predict_spec *spec, const tdm_config *config,
                              tdm_split **splits)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < spec->n_inputs; i++) {
        if (!tdm__path_exists(spec->inputs[i]))
            TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: no such file or folder", spec->inputs[i]));
        if (is_data_set(spec->inputs[i], split_name(spec)))
            TDM_TRY(open_split(config, spec, spec->inputs[i], &splits[i]));
    }
done:
    return status;
}

/* Starts the network for the arrays of the first data set, else for those of its training. */
static tdm_status start(job *j, tdm_split **splits)
{
    tdm_status status = TDM_OK;
    const tdm_dataset *data = NULL;
    tdm_array_info *infos = NULL;
    int64_t batch;
    for (size_t i = j->spec->n_inputs; i-- > 0;)
        if (splits[i]) data = tdm_split_dataset(splits[i]);
    TDM_TRY(tdm_config_int(j->predictor->config, "train.batch_size", &batch));
    if (batch > BATCH_MOST) batch = BATCH_MOST;
    const size_t n = data ? tdm_dataset_arrays(data) : 0;
    TDM_TRY(tdm__calloc_try(n, sizeof *infos, &infos));
    for (size_t i = 0; i < n; i++) infos[i] = *tdm_dataset_array(data, i);
    TDM_TRY(tdm__predictor_start(j->predictor, &(tdm__array_source){n, infos}, batch));
    TDM_TRY(tdm__calloc_try((size_t)batch, j->predictor->input_bytes, &j->samples));
    TDM_TRY(tdm__calloc_try((size_t)batch, sizeof *j->slots, &j->slots));
    for (int64_t i = 0; i < batch; i++) {
        slot *s = &j->slots[i];
        TDM_TRY(tdm__calloc_try(j->predictor->n, sizeof *s->truth, &s->truth));
        TDM_TRY(tdm__calloc_try(j->predictor->n, sizeof *s->known, &s->known));
        for (size_t t = 0; t < j->predictor->n; t++) {
            const tdm__session *session = &j->predictor->session;
            const tdm_desc *d = &session->arrays[session->targets[t]].sample;
            TDM_TRY(tdm__calloc_try((size_t)tdm_desc_count(d), sizeof(float), &s->truth[t]));
        }
    }
done:
    free(infos);
    return status;
}

static void job_free(job *j)
{
    for (int64_t i = 0; j->slots && i < j->predictor->count; i++) {
        slot *s = &j->slots[i];
        for (size_t t = 0; s->truth && t < j->predictor->n; t++) free(s->truth[t]);
        free(s->truth);
        free(s->known);
        free(s->input);
    }
    for (size_t i = 0; i < j->n_names; i++) free(j->names[i]);
    free(j->names);
    free(j->slots);
    free(j->samples);
    tdm__str_free(&j->lines);
    tdm__predictor_destroy(&j->predictor);
}

static tdm_status write_lines(const job *j)
{
    char *path = NULL;
    tdm_status status = output_path(j, "predictions.jsonl", &path);
    if (!status) status = tdm__atomic_write_file(path, tdm__str_text(&j->lines), j->lines.length);
    free(path);
    return status;
}

tdm_status tdm_predict(const tdm_predict_spec *spec, tdm_predict_result *result)
{
    tdm_status status = TDM_OK;
    job j = {.spec = spec};
    tdm_split **splits = NULL;
    if (spec->n_inputs == 0) return tdm__fail(TDM_ERR_USAGE, "nothing to predict: no input");
    TDM_TRY(tdm__calloc_try(spec->n_inputs, sizeof *splits, &splits));
    TDM_TRY(tdm__predictor_read(spec->checkpoint, spec->assignments, spec->n_assignments,
                                &j.predictor));
    TDM_TRY(open_inputs(spec, j.predictor->config, splits));
    TDM_TRY(start(&j, splits));
    TDM_TRY(tdm__make_folders(spec->out));
    for (size_t i = 0; i < spec->n_inputs; i++) {
        if (splits[i])
            TDM_TRY(run_data_set(&j, spec->inputs[i], splits[i]));
        else
            TDM_TRY(run_pictures(&j, spec->inputs[i]));
    }
    TDM_TRY(flush(&j));
    TDM_TRY(write_lines(&j));
    if (result) result->samples = j.done;
done:
    job_free(&j);
    for (size_t i = 0; splits && i < spec->n_inputs; i++) tdm_split_destroy(&splits[i]);
    free(splits);
    return status;
}

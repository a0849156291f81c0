/* train/predictor.c: see predictor.h. */
#include "train/predictor.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/state.h"
#include "train/step_graph.h"

tdm_status tdm__predictor_read(const char *path, const char *const *assignments, size_t n,
                               tdm__predictor **out)
{
    tdm_status status = TDM_OK;
    tdm__predictor *p = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    TDM_TRY(tdm__find_checkpoint(path, &p->file));
    TDM_TRY(tdm__st_open(p->file, &p->st));
    TDM_TRY(tdm__checkpoint_config(p->st, assignments, n, &p->config));
    const char *arrays = tdm__st_metadata(p->st, "tandem.arrays");
    if (arrays) TDM_TRY(tdm__arrays_parse(arrays, p->file, &p->arrays));
    *out = p;
    p = NULL;
done:
    tdm__predictor_destroy(&p);
    return status;
}

/* ---- starting ----------------------------------------------------------------------------------
 */

static const tdm_array_info *find(const tdm_array_info *infos, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(infos[i].name, name)) return &infos[i];
    return NULL;
}

/* The arrays of `data`, then those of the checkpoint that are not among them. Class names of the
 * checkpoint stay where the data have none. */
static tdm_status merge(tdm__predictor *p, const tdm__array_source *data, tdm_array_info **out,
                        size_t *n)
{
    const size_t n_data = data ? data->n : 0;
    tdm_status status = tdm__calloc_try(n_data + p->arrays.n, sizeof **out, out);
    *n = 0;
    if (status) return status;
    for (size_t i = 0; i < n_data; i++) {
        tdm_array_info *info = &(*out)[(*n)++];
        const tdm_array_info *known = find(p->arrays.infos, p->arrays.n, data->infos[i].name);
        *info = data->infos[i];
        if (!known || info->kind != known->kind) continue;
        if (!info->classes) info->classes = known->classes;
        if (!info->class_names && info->classes == known->classes)
            info->class_names = known->class_names;
    }
    for (size_t i = 0; i < p->arrays.n; i++)
        if (!find(*out, *n, p->arrays.infos[i].name)) (*out)[(*n)++] = p->arrays.infos[i];
    if (*n > 0) return TDM_OK;
    return tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: does not say what it was trained on", p->file),
                     "give a data set as input");
}

static tdm_status describe_outputs(tdm__predictor *p, const tdm_array_info *infos, size_t n,
                                   const tdm_desc *descs)
{
    tdm_status status = TDM_OK;
    const tdm__session *s = &p->session;
    for (size_t t = 0; t < p->n; t++) {
        tdm__prediction *o = &p->outputs[t];
        uint64_t all;
        o->task = &s->tasks[t];
        o->target = o->task->made_label ? tdm_make_label(&o->task->make, o->task->target)
                                        : *find(infos, n, o->task->target);
        o->sample.dtype = TDM_F32;
        o->sample.rank = descs[t].rank - 1;
        for (int i = 1; i < descs[t].rank; i++) o->sample.dim[i - 1] = descs[t].dim[i];
        o->elems = (uint64_t)tdm_desc_count(&o->sample);
        o->classes =
            tdm__loss_is_classification(o->task->loss) && o->target.kind != TDM_ARRAY_IMAGE;
        if (!tdm__mul_u64(o->elems, (uint64_t)p->count, &all))
            TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "task '%s': its output is too large", o->task->name));
        TDM_TRY(tdm__calloc_try(all, sizeof *o->values, &o->values));
    }
done:
    return status;
}

tdm_status tdm__predictor_start(tdm__predictor *p, const tdm__array_source *data, int64_t count)
{
    tdm_status status = TDM_OK;
    tdm_array_info *infos = NULL;
    tdm_desc *descs = NULL;
    size_t n;
    TDM_TRY(merge(p, data, &infos, &n));
    TDM_TRY(tdm__session_create(p->config, &(tdm__array_source){n, infos}, false, &p->session));
    p->started = true;
    p->count = count;
    p->n = p->session.n_tasks;
    TDM_TRY(tdm__load_weights(&p->session, p->file));
    TDM_TRY(tdm__calloc_try(p->n, sizeof *p->outputs, &p->outputs));
    TDM_TRY(tdm__calloc_try(p->n, sizeof *p->values, &p->values));
    TDM_TRY(tdm__calloc_try(p->n, sizeof *descs, &descs));
    TDM_TRY(tdm__step_build_prediction(&p->session, count, &p->plan, &p->input_value, p->values,
                                       descs));
    TDM_TRY(describe_outputs(p, infos, n, descs));
    const tdm__session_array *input = &p->session.arrays[p->session.input];
    p->input = *find(infos, n, input->load.name);
    p->input_bytes = (uint64_t)tdm_desc_count(&input->sample) * tdm_dtype_size(input->sample.dtype);
    TDM_TRY(tdm__buffer_create(p->session.device, p->input_bytes * (uint64_t)count, true, "input",
                               &p->buffer));
    TDM_TRY(tdm__plan_bind(p->plan, p->input_value, (tdm__view){&p->buffer, 0}));
done:
    free(infos);
    free(descs);
    return status;
}

tdm_status tdm__predictor_run(tdm__predictor *p, const void *samples)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__view_write(p->session.device, (tdm__view){&p->buffer, 0}, samples,
                            p->input_bytes * (uint64_t)p->count));
    TDM_TRY(tdm__plan_run(p->plan));
    for (size_t t = 0; t < p->n; t++)
        TDM_TRY(tdm__view_read(p->session.device, tdm__plan_view(p->plan, p->values[t]),
                               p->outputs[t].values,
                               p->outputs[t].elems * (uint64_t)p->count * sizeof(float)));
done:
    return status;
}

void tdm__predictor_destroy(tdm__predictor **predictor)
{
    tdm__predictor *p = *predictor;
    if (!p) return;
    tdm__plan_destroy(&p->plan);
    if (p->started) {
        tdm__buffer_destroy(p->session.device, &p->buffer);
        tdm__session_destroy(&p->session);
    }
    for (size_t t = 0; p->outputs && t < p->n; t++) free(p->outputs[t].values);
    free(p->outputs);
    free(p->values);
    tdm__arrays_free(&p->arrays);
    tdm_config_destroy(&p->config);
    tdm__st_close(&p->st);
    free(p->file);
    free(p);
    *predictor = NULL;
}

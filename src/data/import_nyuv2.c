/* NYUv2 (Silberman et al., ECCV 2012) in the layout of the multi-task literature: folders
 * {train,val}/{image,label,depth} with a .npy file a sample, to train.h5 and val.h5. Arrays keep
 * their folders' names, types and values, so a configuration works on either form; only the labels,
 * whole numbers stored as floats, become i8. Further folders (normal) are taken along. */
#include "data/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset.h"

enum { CLASSES = 13, LABEL_MIN = -1 };

static const char *const class_names[CLASSES] = {
    "bed",     "books", "ceiling", "chair", "floor", "furniture", "objects",
    "picture", "sofa",  "table",   "tv",    "wall",  "window"};

typedef struct split_job {
    const tdm__import_job *job;
    const char *split;
    tdm_dataset *from;
    tdm__h5_writer *to;
    size_t label;     /* index of the array of labels */
    void *row;        /* room for a sample of any array */
    int32_t *numbers; /* a sample of labels as read */
} split_job;

static tdm_status add_arrays(split_job *s)
{
    tdm_status status = TDM_OK;
    size_t most = 0;
    for (size_t i = 0; i < tdm_dataset_arrays(s->from); i++) {
        const tdm_array_info *info = tdm_dataset_array(s->from, i);
        const tdm__reader *reader = tdm__dataset_reader(s->from, i);
        tdm__import_array a = {
            .spec = {.name = info->name,
                     .elem = tdm__elem_host(reader->elem.kind, reader->elem.size),
                     .rank = info->rank,
                     .deflate = tdm__h5_deflate_for(reader->row_bytes)},
            .kind = info->kind,
            .low = 1};
        for (int d = 0; d < info->rank; d++) a.spec.dims[d] = info->dims[d];
        if (i == s->label) {
            a.spec.elem = tdm__elem_host(TDM__ELEM_INT, 1);
            a.spec.deflate = tdm__h5_deflate_for(reader->row_elems);
            a.classes = CLASSES;
            a.class_names = class_names;
            a.low = LABEL_MIN;
            a.high = CLASSES - 1;
        }
        size_t set = 0; /* counts as i does */
        TDM_TRY(tdm__import_add(s->to, &a, &set));
        if (reader->row_bytes > most) most = (size_t)reader->row_bytes;
    }
    TDM_TRY(tdm__calloc_try(most, 1, &s->row));
    TDM_TRY(tdm__calloc_try((size_t)tdm_dataset_array(s->from, s->label)->elems, sizeof *s->numbers,
                            &s->numbers));
done:
    return status;
}

static tdm_status read_labels(split_job *s, uint64_t row)
{
    const uint64_t n = tdm_dataset_array(s->from, s->label)->elems;
    int8_t *labels = s->row;
    tdm_status status = tdm__dataset_read_rows(s->from, s->label, &row, 1, TDM__TO_I32, s->numbers);
    for (uint64_t i = 0; i < n && !status; i++) {
        if (s->numbers[i] < LABEL_MIN || s->numbers[i] >= CLASSES)
            status = tdm__fail(TDM_ERR_DATA, "%s/%llu.npy: label %d: must be in %d..%d",
                               tdm__dataset_path(s->from, s->label), (unsigned long long)row,
                               (int)s->numbers[i], LABEL_MIN, CLASSES - 1);
        labels[i] = (int8_t)s->numbers[i];
    }
    return status;
}

static tdm_status copy_rows(split_job *s)
{
    const uint64_t n = tdm_dataset_length(s->from);
    tdm_status status = TDM_OK;
    for (uint64_t row = 0; row < n; row++) {
        TDM_TRY(tdm__import_progress(s->job, s->split, row, n));
        for (size_t i = 0; i < tdm_dataset_arrays(s->from); i++) {
            if (i == s->label)
                TDM_TRY(read_labels(s, row));
            else
                TDM_TRY(tdm__dataset_read_rows(s->from, i, &row, 1, TDM__TO_NATIVE, s->row));
            TDM_TRY(tdm__h5_writer_append(s->to, i, s->row, 1));
        }
    }
done:
    return status;
}

static tdm_status check_arrays(split_job *s)
{
    static const char *const needed[] = {"image", "label", "depth"};
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < 3; i++) {
        size_t index = 0;
        TDM_TRY(tdm_dataset_find(s->from, needed[i], &index));
        if (i == 1) s->label = index;
    }
done:
    return status;
}

static tdm_status import_split(const tdm__import_job *job, const char *split)
{
    split_job s = {.job = job, .split = split};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_dataset_open(job->source, split, &s.from));
    TDM_TRY(check_arrays(&s));
    TDM_TRY(tdm__import_create(job, tdm__import_nyuv2.kind, split, &s.to));
    TDM_TRY(add_arrays(&s));
    TDM_TRY(copy_rows(&s));
    TDM_TRY(tdm__h5_writer_commit(s.to));
    const uint64_t n = tdm_dataset_length(s.from);
    TDM_TRY(tdm__import_progress(job, split, n, n));
done:
    tdm__h5_writer_destroy(&s.to);
    tdm_dataset_destroy(&s.from);
    free(s.row);
    free(s.numbers);
    return status;
}

static const char *const splits[] = {"train", "val", NULL};

static tdm_status run(const tdm__import_job *job)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; splits[i] && !status; i++)
        if (tdm__import_wants(job, splits[i])) status = import_split(job, splits[i]);
    return status;
}

const tdm__importer tdm__import_nyuv2 = {
    .kind = "nyuv2",
    .help = "folder with {train,val}/{image,label,depth}/{0,1,...}.npy",
    .splits = splits,
    .run = run};

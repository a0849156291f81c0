/* Importing original files to HDF5: the table of kinds, and what all importers share.
 *
 * Each file of an import appears whole or not at all, so an import is complete when all of its
 * files are there and open. Only those that are not are written by another run. */
#include "data/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/dataset.h"

static const tdm__importer *const importers[] = {
    &tdm__import_fashion_mnist, &tdm__import_cifar10, &tdm__import_cifar100,
    &tdm__import_omniglot,      &tdm__import_nyuv2,   &tdm__import_oxford_pets,
    &tdm__import_cityscapes,
};
enum { N_IMPORTERS = sizeof importers / sizeof *importers };

const char *tdm_data_import_kind(size_t index, const char **help)
{
    if (index >= N_IMPORTERS) return NULL;
    if (help) *help = importers[index]->help;
    return importers[index]->kind;
}

static const char *importer_kind(const void *list, size_t i)
{
    return ((const tdm__importer *const *)list)[i]->kind;
}

static tdm_status find_importer(const char *kind, const tdm__importer **out)
{
    for (size_t i = 0; i < N_IMPORTERS; i++)
        if (!strcmp(importers[i]->kind, kind)) {
            *out = importers[i];
            return TDM_OK;
        }
    return tdm__fail_unknown(TDM_ERR_USAGE, kind, importers, importer_kind, N_IMPORTERS,
                             "data kind '%s' is unknown: must be one of", kind);
}

/* The side that the images of an import have: files of kinds that resize say it. */
static double size_of(const tdm_dataset *ds, const tdm__importer *importer)
{
    const tdm__h5_attr *size = tdm__dataset_file_attr(ds, "size");
    return size && size->numbers ? size->numbers[0] : importer->side;
}

/* Sets *kept when this import, and not just some of it, is there. Fails when it is another one. */
static tdm_status look_at_split(const tdm__import_job *job, const char *split, bool *kept)
{
    const tdm__importer *importer = job->importer;
    tdm_status status = TDM_OK;
    tdm_dataset *ds = NULL;
    *kept = false;
    if (!tdm_dataset_has_split(job->out, split)) return TDM_OK;
    if (tdm_dataset_open(job->out, split, &ds)) return TDM_OK; /* not ours, or damaged */
    const tdm__h5_attr *source = tdm__dataset_file_attr(ds, "source");
    const tdm__h5_attr *format = tdm__dataset_file_attr(ds, "tandem_format");
    bool ours = source && source->texts && format && format->numbers;
    bool same = ours && format->numbers[0] == TDM__IMPORT_FORMAT;
    if (!ours || strcmp(source->texts[0], importer->kind))
        status = tdm__fail(TDM_ERR_DATA, "%s: %s holds another data set (%s): nothing was changed",
                           job->out, split, ours ? source->texts[0] : "not imported by tandem");
    else if (same && size_of(ds, importer) != job->size)
        status = tdm__hint(tdm__fail(TDM_ERR_DATA,
                                     "%s: %s holds images of size %g, not %u: nothing was changed",
                                     job->out, split, size_of(ds, importer), job->size),
                           "choose another folder");
    *kept = !status && same;
    tdm_dataset_destroy(&ds);
    return status;
}

/* Sets job->kept and counts them. */
static tdm_status look_for_import(tdm__import_job *job, unsigned *kept, bool *complete)
{
    const char *const *splits = job->importer->splits;
    *kept = 0;
    *complete = true;
    for (size_t i = 0; splits[i]; i++) {
        tdm_status status = look_at_split(job, splits[i], &job->kept[i]);
        if (status) return status;
        *kept += job->kept[i];
        *complete = *complete && job->kept[i];
    }
    return TDM_OK;
}

static tdm_status choose_size(tdm__import_job *job)
{
    const tdm__importer *importer = job->importer;
    unsigned asked = (unsigned)job->options->size;
    job->size = asked ? asked : importer->side;
    if (importer->resizes || job->size == importer->side) return TDM_OK;
    if (!importer->side)
        return tdm__fail(TDM_ERR_USAGE, "size %u: the images of %s are not resized", asked,
                         importer->kind);
    return tdm__fail(TDM_ERR_USAGE, "size %u: the images of %s are %u x %u and are not resized",
                     asked, importer->kind, importer->side, importer->side);
}

static tdm_status check_source(const tdm__import_job *job)
{
    if (tdm__is_folder(job->source)) return TDM_OK;
    if (job->importer->takes_file && tdm__path_exists(job->source)) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s: must be the folder with the original files of %s",
                     job->source, job->importer->kind);
}

/* What a killed import left is of no use: its files appear whole or not at all. */
static tdm_status sweep(const tdm__import_job *job)
{
    const char *const *splits = job->importer->splits;
    tdm_status status = TDM_OK;
    for (size_t i = 0; splits[i] && !status; i++) {
        tdm__str path = {0};
        tdm__str_addf(&path, "%s/%s.h5", job->out, splits[i]);
        status = tdm__str_status(&path);
        if (!status) status = tdm__atomic_sweep(path.text);
        tdm__str_free(&path);
    }
    return status;
}

tdm_status tdm_data_import(const char *kind, const char *source, const char *out_folder,
                           const tdm_import_options *options, tdm_import_result *result)
{
    static const tdm_import_options none = {0};
    tdm__import_job job = {
        .source = source, .out = out_folder, .options = options ? options : &none};
    bool complete = false;
    unsigned kept = 0;
    tdm_status status = TDM_OK;
    if (result) *result = (tdm_import_result){0};
    TDM_TRY(find_importer(kind, &job.importer));
    TDM_TRY(choose_size(&job));
    TDM_TRY(look_for_import(&job, &kept, &complete));
    if (result) *result = (tdm_import_result){.existed = complete, .kept = kept};
    if (complete) return TDM_OK;
    TDM_TRY(check_source(&job));
    TDM_TRY(tdm__make_folders(out_folder));
    TDM_TRY(sweep(&job));
    status = job.importer->run(&job);
    if (status) tdm__context(status, "importing %s", kind);
done:
    return status;
}

/* Shared by importers ----------------------------------------------------------------------------
 */

bool tdm__import_wants(const tdm__import_job *job, const char *split)
{
    const char *const *splits = job->importer->splits;
    for (size_t i = 0; splits[i]; i++)
        if (!strcmp(splits[i], split)) return !job->kept[i];
    return true;
}

tdm_status tdm__import_create(const tdm__import_job *job, const char *kind, const char *split,
                              tdm__h5_writer **out)
{
    *out = NULL;
    tdm__str name = {0};
    tdm__h5_writer *w = NULL;
    tdm_status status = TDM_OK;
    tdm__str_addf(&name, "%s/%s.h5", job->out, split);
    TDM_TRY(tdm__str_status(&name));
    TDM_TRY(tdm__h5_writer_create(name.text, &w));
    TDM_TRY(tdm__h5_writer_number(w, TDM__H5_FILE, "tandem_format", TDM__IMPORT_FORMAT));
    TDM_TRY(tdm__h5_writer_text(w, TDM__H5_FILE, "source", kind));
    TDM_TRY(tdm__h5_writer_text(w, TDM__H5_FILE, "split", split));
    if (job->importer->resizes) TDM_TRY(tdm__h5_writer_number(w, TDM__H5_FILE, "size", job->size));
    *out = w;
    w = NULL;
done:
    tdm__h5_writer_destroy(&w);
    tdm__str_free(&name);
    return status;
}

tdm_status tdm__import_add(tdm__h5_writer *w, const tdm__import_array *array, size_t *set)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__h5_writer_add(w, &array->spec, set));
    TDM_TRY(tdm__h5_writer_text(w, *set, "kind", tdm_array_kind_name(array->kind)));
    if (array->kind == TDM_ARRAY_IMAGE) TDM_TRY(tdm__h5_writer_text(w, *set, "layout", "NHWC"));
    if (array->classes) TDM_TRY(tdm__h5_writer_number(w, *set, "classes", (double)array->classes));
    if (array->class_names)
        TDM_TRY(tdm__h5_writer_texts(w, *set, "class_names", array->class_names, array->classes));
    if (array->group) {
        TDM_TRY(tdm__h5_writer_text(w, *set, "group", array->group));
        TDM_TRY(tdm__h5_writer_i32s(w, *set, "group_of", array->group_of, array->classes));
    }
    if (array->low <= array->high) {
        double range[2] = {array->low, array->high};
        TDM_TRY(tdm__h5_writer_numbers(w, *set, "range", range, 2));
    }
done:
    return status;
}

tdm_status tdm__import_progress(const tdm__import_job *job, const char *what, uint64_t done,
                                uint64_t total)
{
    const tdm_import_options *o = job->options;
    if (o->progress && o->progress(o->user, what, done, total))
        return tdm__fail(TDM_ERR_INTERRUPTED, "stopped at %s %llu of %llu", what,
                         (unsigned long long)done, (unsigned long long)total);
    return TDM_OK;
}

tdm_status tdm__import_find(const tdm__import_job *job, const char *name,
                            const char *const *endings, char **out)
{
    *out = NULL;
    for (size_t i = 0; endings[i]; i++) {
        tdm__str path = {0};
        tdm__str_addf(&path, "%s/%s%s", job->source, name, endings[i]);
        tdm_status status = tdm__str_status(&path);
        if (status) return status;
        if (tdm__path_exists(path.text)) {
            *out = path.text;
            return TDM_OK;
        }
        tdm__str_free(&path);
    }
    return tdm__fail(TDM_ERR_DATA, "%s: neither %s nor %s%s is there", job->source, name, name,
                     endings[0]);
}

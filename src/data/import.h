/* data/import.h: one importer per kind of original files. To add a kind: one file with a
 * `const tdm__importer tdm__import_<kind>`, one line in import.c's table. */
#ifndef DATA_IMPORT_H
#define DATA_IMPORT_H

#include <tandem/dataset.h>

#include "format/hdf5.h"

#define TDM__IMPORT_FORMAT 1 /* the attribute tandem_format of the files written */
#define TDM__IMPORT_SPLITS 8 /* most splits of a kind */

typedef struct tdm__importer tdm__importer;

typedef struct tdm__import_job {
    const tdm__importer *importer;
    const char *source, *out;          /* folders (see takes_file); out exists */
    const tdm_import_options *options; /* never NULL */
    unsigned size;                     /* side of the images to write */
    bool kept[TDM__IMPORT_SPLITS];     /* of importer->splits: an earlier import has finished it */
} tdm__import_job;

struct tdm__importer {
    const char *kind, *help;
    const char *const
        *splits; /* the files of a complete import, NULL-terminated: "train", "test" */
    tdm_status (*run)(const tdm__import_job *job);
    unsigned side;   /* of the images, when no size is asked for; 0: they differ */
    bool resizes;    /* another size may be asked for; the files say which they have */
    bool takes_file; /* the source may be a file */
};

/* False: the split is there already, skip it. */
bool tdm__import_wants(const tdm__import_job *job, const char *split);
/* Creates out/split.h5 with the attributes that every file has. */
tdm_status tdm__import_create(const tdm__import_job *job, const char *kind, const char *split,
                              tdm__h5_writer **out);
/* Adds an array with the attributes that say what it is. classes 0 and class_names NULL where they
 * do not apply; low..high is the range of valid values (low > high: unknown). group and group_of as
 * in tdm_array_info. */
typedef struct tdm__import_array {
    tdm__h5_spec spec;
    tdm_array_kind kind;
    uint64_t classes;
    const char *const *class_names;
    const char *group;
    const int32_t *group_of; /* `classes` numbers */
    double low, high;
} tdm__import_array;
tdm_status tdm__import_add(tdm__h5_writer *w, const tdm__import_array *array, size_t *set);
/* Reports progress; TDM_ERR_INTERRUPTED when the caller wants to stop. */
tdm_status tdm__import_progress(const tdm__import_job *job, const char *what, uint64_t done,
                                uint64_t total);
/* The first of source/<name>, source/<name>.gz, ... that exists. TDM_ERR_DATA naming what was
 * looked for. free() the result. */
tdm_status tdm__import_find(const tdm__import_job *job, const char *name,
                            const char *const *endings, char **out);

extern const tdm__importer tdm__import_fashion_mnist;
extern const tdm__importer tdm__import_cifar10, tdm__import_cifar100;
extern const tdm__importer tdm__import_omniglot;
extern const tdm__importer tdm__import_nyuv2;
extern const tdm__importer tdm__import_oxford_pets;
extern const tdm__importer tdm__import_cityscapes;

#endif

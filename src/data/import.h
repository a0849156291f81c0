/* data/import.h: one importer per kind of original files. To add a kind: one file with a
 * `const tdm__importer tdm__import_<kind>`, one line in import.c's table. */
#ifndef DATA_IMPORT_H
#define DATA_IMPORT_H

#include <tandem/dataset.h>

#include "format/hdf5.h"

#define TDM__IMPORT_FORMAT 1 /* the attribute tandem_format of the files written */

typedef struct tdm__import_job {
    const char *source, *out;          /* folders; out exists */
    const tdm_import_options *options; /* never NULL */
} tdm__import_job;

typedef struct tdm__importer {
    const char *kind, *help;
    const char *const
        *splits; /* the files of a complete import, NULL-terminated: "train", "test" */
    tdm_status (*run)(const tdm__import_job *job);
} tdm__importer;

/* Creates out/split.h5 with the attributes that every file has. */
tdm_status tdm__import_create(const tdm__import_job *job, const char *kind, const char *split,
                              tdm__h5_writer **out);
/* Adds an array with the attributes that say what it is. classes 0 and class_names NULL where they
 * do not apply; low..high is the range of valid values (low > high: unknown). */
typedef struct tdm__import_array {
    tdm__h5_spec spec;
    tdm_array_kind kind;
    uint64_t classes;
    const char *const *class_names;
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
extern const tdm__importer tdm__import_nyuv2;

#endif

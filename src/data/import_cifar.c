/* CIFAR-10 and CIFAR-100 (Krizhevsky 2009), binary version: records of labels and planes to
 * train.h5 and test.h5 with images (N, 32, 32, 3) u8 and
 *   cifar10:  labels (N) u8, 10 classes;
 *   cifar100: coarse (N) u8, 20 classes, and fine (N) u8, 100 classes, which says in its attributes
 *             to which coarse class each fine class belongs.
 * An image is 3072 bytes that hardly deflate, so it is stored as is: single rows can then be
 * fetched without inflating a chunk of 22.
 *
 * All labels of all files are looked at before anything is written. */
#include "data/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/cifar.h"
#include "format/pread.h"

enum { BLOCK = 500 /* records read at a time */, MOST_FILES = 5, FINE = 100 };
#define NAMES_LIMIT ((size_t)1 << 20)

typedef struct kind {
    const tdm__importer *importer;
    const tdm__cifar_form *form;
    const char *folder; /* what the archive unpacks to */
    const char *const train[MOST_FILES + 1], *const test[2];
    struct {
        const char *array, *names; /* file of the class names, a line each */
    } label[TDM__CIFAR_LABELS];
} kind;

static const kind cifar10 = {
    .importer = &tdm__import_cifar10,
    .form = &tdm__cifar10,
    .folder = "cifar-10-batches-bin",
    .train = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
              "data_batch_5.bin"},
    .test = {"test_batch.bin"},
    .label = {{"labels", "batches.meta.txt"}},
};

static const kind cifar100 = {
    .importer = &tdm__import_cifar100,
    .form = &tdm__cifar100,
    .folder = "cifar-100-binary",
    .train = {"train.bin"},
    .test = {"test.bin"},
    .label = {{"coarse", "coarse_label_names.txt"}, {"fine", "fine_label_names.txt"}},
};

typedef struct source {
    char *path;
    int fd;
    uint64_t records;
} source;

/* The files of one split, in order. */
typedef struct part {
    source files[MOST_FILES];
    size_t n_files;
    uint64_t records;
} part;

/* Buffers for one block of records. */
typedef struct block {
    uint8_t *records, *images, *labels[TDM__CIFAR_LABELS];
} block;

/* Where a fine class was met first, and its coarse class there. */
typedef struct place {
    const source *file; /* NULL: not met yet */
    uint64_t record;
    int32_t coarse;
} place;

typedef struct import {
    const tdm__import_job *job;
    const kind *kind;
    char *folder;
    part train, test;
    block block;
    place places[FINE];
    int32_t group_of[FINE];
    char *names_text[TDM__CIFAR_LABELS];
    const char **names[TDM__CIFAR_LABELS]; /* into names_text; NULL: no names */
} import;

/* Files
 * --------------------------------------------------------------------------------------------- */

/* The folder that the archive unpacks to, in the source or the source itself. */
static tdm_status find_folder(import *m)
{
    tdm_status status = tdm__path_join(m->job->source, m->kind->folder, &m->folder);
    if (status || tdm__is_folder(m->folder)) return status;
    free(m->folder);
    m->folder = tdm__strdup(m->job->source);
    return m->folder ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

static tdm_status open_source(const import *m, char *path, source *out)
{
    struct stat stat;
    out->path = path;
    out->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0 || fstat(out->fd, &stat))
        return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot be read", path);
    if (!S_ISREG(stat.st_mode)) return tdm__fail(TDM_ERR_DATA, "%s: must be a file", path);
    return tdm__cifar_count(m->kind->form, (uint64_t)stat.st_size, path, &out->records);
}

/* Those of the named files that are there; at least one. */
static tdm_status open_part(const import *m, const char *const *names, part *out)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < MOST_FILES && names[i]; i++) {
        char *path = NULL;
        TDM_TRY(tdm__path_join(m->folder, names[i], &path));
        if (!tdm__path_exists(path)) {
            free(path);
            continue;
        }
        source *file = &out->files[out->n_files++];
        TDM_TRY(open_source(m, path, file));
        out->records += file->records;
    }
    if (!out->n_files)
        status = tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: %s is not there", m->folder, names[0]),
                           "the binary version is needed, not the one for Python or Matlab");
done:
    return status;
}

static void close_part(part *p)
{
    for (size_t i = 0; i < p->n_files; i++) {
        if (p->files[i].fd >= 0) close(p->files[i].fd);
        free(p->files[i].path);
    }
}

static tdm_status read_block(import *m, const source *file, uint64_t first, uint64_t n,
                             bool with_images)
{
    size_t record = tdm__cifar_record(m->kind->form);
    tdm_status status =
        tdm__pread_all(file->fd, first * record, m->block.records, (size_t)n * record, file->path);
    return status ? status
                  : tdm__cifar_decode(m->kind->form, m->block.records, first, n, file->path,
                                      with_images ? m->block.images : NULL, m->block.labels);
}

static uint64_t block_size(const source *file, uint64_t first)
{
    return file->records - first < BLOCK ? file->records - first : BLOCK;
}

/* Names
 * --------------------------------------------------------------------------------------------- */

/* Cuts a text into lines; blank ones are left out. Returns how many there are. */
static size_t cut_lines(char *text, const char **lines, size_t most)
{
    size_t n = 0;
    for (char *next, *line = strtok_r(text, "\r\n", &next); line;
         line = strtok_r(NULL, "\r\n", &next)) {
        if (n < most) lines[n] = line;
        n++;
    }
    return n;
}

/* A file of names that is not there is none. */
static tdm_status read_names(import *m, unsigned label)
{
    unsigned classes = m->kind->form->label[label].classes;
    char *path = NULL;
    size_t size = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(m->folder, m->kind->label[label].names, &path));
    if (!tdm__path_exists(path)) {
        tdm__log(TDM_LOG_INFO, "%s: is not there: the classes have no names", path);
        goto done;
    }
    TDM_TRY(tdm__read_file(path, NAMES_LIMIT, &m->names_text[label], &size));
    TDM_TRY(tdm__calloc_try(classes, sizeof *m->names[label], &m->names[label]));
    size_t n = cut_lines(m->names_text[label], m->names[label], classes);
    if (n != classes)
        status = tdm__fail(TDM_ERR_DATA, "%s: has %zu names: must be %u", path, n, classes);
done:
    free(path);
    return status;
}

/* Survey
 * -------------------------------------------------------------------------------------------- */

/* Each fine class belongs to one coarse class, in all files. */
static tdm_status note_group(import *m, const source *file, uint64_t record, uint8_t coarse,
                             uint8_t fine)
{
    place *p = &m->places[fine];
    if (!p->file) *p = (place){file, record, coarse};
    if (p->coarse != coarse)
        return tdm__fail(TDM_ERR_DATA,
                         "%s: record %llu: fine label %d has the coarse label %d, but %d in "
                         "record %llu of %s",
                         file->path, (unsigned long long)record, fine, coarse, p->coarse,
                         (unsigned long long)p->record, p->file->path);
    m->group_of[fine] = coarse;
    return TDM_OK;
}

static tdm_status survey(import *m, const part *p)
{
    bool grouped = m->kind->form->n_labels == 2;
    tdm_status status = TDM_OK;
    for (size_t f = 0; f < p->n_files; f++) {
        const source *file = &p->files[f];
        for (uint64_t first = 0; first < file->records; first += BLOCK) {
            uint64_t n = block_size(file, first);
            TDM_TRY(read_block(m, file, first, n, false));
            for (uint64_t i = 0; grouped && i < n; i++)
                TDM_TRY(
                    note_group(m, file, first + i, m->block.labels[0][i], m->block.labels[1][i]));
        }
    }
done:
    return status;
}

/* Writing
 * ------------------------------------------------------------------------------------------- */

static tdm_status add_label(const import *m, tdm__h5_writer *w, unsigned label, size_t *set)
{
    unsigned classes = m->kind->form->label[label].classes;
    bool fine = label == 1;
    const tdm__import_array array = {
        .spec = {m->kind->label[label].array, tdm__elem_host(TDM__ELEM_UINT, 1), 0, {0}, 0},
        .kind = TDM_ARRAY_CLASS,
        .classes = classes,
        .class_names = (const char *const *)m->names[label],
        .group = fine ? m->kind->label[0].array : NULL,
        .group_of = fine ? m->group_of : NULL,
        .high = classes - 1};
    return tdm__import_add(w, &array, set);
}

static tdm_status write_file(import *m, tdm__h5_writer *w, const source *file, const size_t *sets,
                             const char *split, const part *p, uint64_t *done)
{
    tdm_status status = TDM_OK;
    for (uint64_t first = 0; first < file->records; first += BLOCK) {
        uint64_t n = block_size(file, first);
        TDM_TRY(tdm__import_progress(m->job, split, *done, p->records));
        TDM_TRY(read_block(m, file, first, n, true));
        TDM_TRY(tdm__h5_writer_append(w, sets[0], m->block.images, n));
        for (unsigned k = 0; k < m->kind->form->n_labels; k++)
            TDM_TRY(tdm__h5_writer_append(w, sets[1 + k], m->block.labels[k], n));
        *done += n;
    }
done:
    return status;
}

static tdm_status write_split(import *m, const char *split, const part *p)
{
    const tdm__import_array image = {.spec = {"images",
                                              tdm__elem_host(TDM__ELEM_UINT, 1),
                                              3,
                                              {TDM__CIFAR_SIDE, TDM__CIFAR_SIDE, 3},
                                              0},
                                     .kind = TDM_ARRAY_IMAGE,
                                     .high = 255};
    tdm__h5_writer *w = NULL;
    size_t sets[1 + TDM__CIFAR_LABELS] = {0};
    uint64_t done = 0;
    tdm_status status = TDM_OK;
    if (!tdm__import_wants(m->job, split)) return TDM_OK;
    TDM_TRY(tdm__import_create(m->job, m->kind->importer->kind, split, &w));
    TDM_TRY(tdm__import_add(w, &image, &sets[0]));
    for (unsigned k = 0; k < m->kind->form->n_labels; k++)
        TDM_TRY(add_label(m, w, k, &sets[1 + k]));
    for (size_t f = 0; f < p->n_files; f++)
        TDM_TRY(write_file(m, w, &p->files[f], sets, split, p, &done));
    TDM_TRY(tdm__h5_writer_commit(w));
    TDM_TRY(tdm__import_progress(m->job, split, p->records, p->records));
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

static tdm_status make_block(import *m)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(BLOCK, tdm__cifar_record(m->kind->form), &m->block.records));
    TDM_TRY(tdm__calloc_try(BLOCK, TDM__CIFAR_IMAGE, &m->block.images));
    for (unsigned k = 0; k < m->kind->form->n_labels; k++)
        TDM_TRY(tdm__calloc_try(BLOCK, 1, &m->block.labels[k]));
done:
    return status;
}

static void import_free(import *m)
{
    close_part(&m->train);
    close_part(&m->test);
    free(m->folder);
    free(m->block.records);
    free(m->block.images);
    for (unsigned k = 0; k < TDM__CIFAR_LABELS; k++) {
        free(m->block.labels[k]);
        free(m->names_text[k]);
        free(m->names[k]);
    }
}

static tdm_status run(const tdm__import_job *job, const kind *which)
{
import m = {.job = job, .kind = which };
    tdm_status status = TDM_OK;
    for (int i = 0; i < FINE; i++) m.group_of[i] = -1; /* no sample has it */
    TDM_TRY(find_folder(&m));
    TDM_TRY(make_block(&m));
    TDM_TRY(open_part(&m, which->train, &m.train));
    TDM_TRY(open_part(&m, which->test, &m.test));
    for (unsigned k = 0; k < which->form->n_labels; k++) TDM_TRY(read_names(&m, k));
    TDM_TRY(survey(&m, &m.train));
    TDM_TRY(survey(&m, &m.test));
    TDM_TRY(write_split(&m, "train", &m.train));
    TDM_TRY(write_split(&m, "test", &m.test));
done:
    import_free(&m);
    return status;
}

static tdm_status run_cifar10(const tdm__import_job *job)
{
    return run(job, &cifar10);
}

static tdm_status run_cifar100(const tdm__import_job *job)
{
    return run(job, &cifar100);
}

static const char *const splits[] = {"train", "test", NULL};

const tdm__importer tdm__import_cifar10 = {
    .kind = "cifar10",
    .help = "folder with data_batch_1.bin .. data_batch_5.bin (those there are) and "
            "test_batch.bin, or with cifar-10-batches-bin/; 50000 + 10000 images",
    .splits = splits,
    .side = TDM__CIFAR_SIDE,
    .run = run_cifar10};

const tdm__importer tdm__import_cifar100 = {
    .kind = "cifar100",
    .help = "folder with train.bin and test.bin, or with cifar-100-binary/; fine and coarse "
            "labels; 50000 + 10000 images",
    .splits = splits,
    .side = TDM__CIFAR_SIDE,
    .run = run_cifar100};

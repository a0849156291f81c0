/* format/hdf5.h: HDF5 files as aligned arrays whose first axis counts samples ("rows").
 *
 * Reading:
 *   tdm__h5_read_rows             sorted rows of any data set, from any thread; one call at a time
 * per file. tdm__h5_raw, tdm__h5_cursor   a chunk table is taken from the library once; then each
 * worker preads and decodes (deflate, shuffle, fletcher32) without the library and without any
 * lock. tdm__h5_read_rows does the same inside; only what has no raw path (odd number formats,
 * virtual data sets) goes through H5Dread. Calls into the HDF5 library are serialised by one lock
 * inside this module. Everything about a file is collected at open, so the infos are plain
 * read-only data.
 */
#ifndef FORMAT_HDF5_H
#define FORMAT_HDF5_H

#include "format/elem.h"

#define TDM__H5_RANK 8    /* most dimensions of a data set, the first (rows) included */
#define TDM__H5_FILTERS 8 /* most filters of one data set */

typedef enum tdm__h5_layout {
    TDM__H5_COMPACT,
    TDM__H5_CONTIGUOUS,
    TDM__H5_CHUNKED,
    TDM__H5_VIRTUAL
} tdm__h5_layout;

/* Either texts or numbers is set, with n entries. */
typedef struct tdm__h5_attr {
    char *name;
    size_t n;
    char **texts;
    double *numbers;
} tdm__h5_attr;

typedef struct tdm__h5_filter {
    int id; /* the HDF5 registry's number: 1 deflate, 2 shuffle, 3 fletcher32 */
    char name[24];
    int level; /* deflate level, element size of shuffle, else 0 */
} tdm__h5_filter;

typedef struct tdm__h5_info {
    char *name;                  /* "images", "group/images" */
    int rank;                    /* 0: a scalar */
    uint64_t dims[TDM__H5_RANK]; /* dims[0] = rows */
    tdm__elem elem;
    tdm__h5_layout layout;
    uint64_t chunk[TDM__H5_RANK]; /* TDM__H5_CHUNKED only */
    size_t n_filters;
    tdm__h5_filter filters[TDM__H5_FILTERS];
    uint64_t rows, row_elems, row_bytes; /* row_bytes in the file's element size */
    double amplification; /* bytes fetched (and inflated) to read one row alone / row_bytes; >= 1 */
    bool raw;             /* tdm__h5_raw_create will work */
    char *problem; /* NULL, or why it cannot be read ("filter lzf (32000) is not supported") */
} tdm__h5_info;

typedef struct tdm__h5 tdm__h5;

/* Opens read-only. Missing, empty, truncated, corrupted or other files: TDM_ERR_DATA naming the
 * path. A data set of an unsupported type or filter does not fail the open: see `problem`. */
tdm_status tdm__h5_open(const char *path, tdm__h5 **out);
void tdm__h5_close(tdm__h5 **file);
const char *tdm__h5_path(const tdm__h5 *file);
/* Data sets of the file in name order (index 0 is h5py's "first key"), groups included. */
size_t tdm__h5_count(const tdm__h5 *file);
const tdm__h5_info *tdm__h5_info_at(const tdm__h5 *file, size_t set);
/* Index of a data set; TDM_ERR_DATA with the file's names and a suggestion when there is none. */
tdm_status tdm__h5_find(const tdm__h5 *file, const char *name, size_t *set);
/* An attribute of numbers or texts; NULL when there is none that can be read. `set` of TDM__H5_FILE
 * asks for the file's own. Read when asked for: HDF5 1.10 crashes on damaged texts of variable
 * length, so none is touched that nobody needs. Valid until the file is closed. */
#define TDM__H5_FILE ((size_t)-1)
const tdm__h5_attr *tdm__h5_attr_of(tdm__h5 *file, size_t set, const char *name);

/* Reads rows (ascending, below info->rows) into out: n * row_elems values of tdm__to_size bytes.
 * A value that the destination cannot hold: TDM_ERR_DATA naming file, data set, row and value. */
tdm_status tdm__h5_read_rows(tdm__h5 *file, size_t set, const uint64_t *rows, size_t n, tdm__to to,
                             void *out);

/* The raw path: immutable once made, shared by any number of cursors; independent of the tdm__h5,
 * which may be closed. */
typedef struct tdm__h5_raw tdm__h5_raw;
tdm_status tdm__h5_raw_create(tdm__h5 *file, size_t set, tdm__h5_raw **out);
void tdm__h5_raw_destroy(tdm__h5_raw **raw);

/* One thread's reader: buffers, inflater, the chunks decoded last. Rows in ascending order decode
 * each chunk once. */
typedef struct tdm__h5_cursor tdm__h5_cursor;
tdm_status tdm__h5_cursor_create(const tdm__h5_raw *raw, tdm__h5_cursor **out);
void tdm__h5_cursor_destroy(tdm__h5_cursor **cursor);
/* Reads one row; errors as tdm__h5_read_rows. */
tdm_status tdm__h5_cursor_read(tdm__h5_cursor *cursor, uint64_t row, tdm__to to, void *out);

/* Writing: to a temporary file, renamed by commit; nothing half-written is ever seen at `path`. */
typedef struct tdm__h5_writer tdm__h5_writer;
typedef struct tdm__h5_spec {
    const char *name;
    tdm__elem elem; /* of the rows given to append; stored as given */
    int rank;       /* of one sample: 0 for a number per sample */
    uint64_t dims[TDM__H5_RANK - 1];
    int deflate; /* 0: stored as is, so that a reader can fetch single rows; 1..9: shuffle + deflate
                  */
} tdm__h5_spec;

/* The level for rows of this size: those below 64 KiB share a chunk, so they are stored as they are
 * and single ones can be fetched; larger ones have a chunk of their own and are deflated. */
int tdm__h5_deflate_for(uint64_t row_bytes);
tdm_status tdm__h5_writer_create(const char *path, tdm__h5_writer **out);
/* Adds an empty data set, extendable along the first axis, with chunks of whole samples of at
 * least 64 KiB. *set counts from 0 in the order of the calls. */
tdm_status tdm__h5_writer_add(tdm__h5_writer *w, const tdm__h5_spec *spec, size_t *set);
tdm_status tdm__h5_writer_append(tdm__h5_writer *w, size_t set, const void *rows, uint64_t n);
/* `set` of TDM__H5_FILE: on the file. */
tdm_status tdm__h5_writer_texts(tdm__h5_writer *w, size_t set, const char *name,
                                const char *const *texts, size_t n);
tdm_status tdm__h5_writer_text(tdm__h5_writer *w, size_t set, const char *name, const char *text);
tdm_status tdm__h5_writer_number(tdm__h5_writer *w, size_t set, const char *name, double value);
tdm_status tdm__h5_writer_numbers(tdm__h5_writer *w, size_t set, const char *name,
                                  const double *values, size_t n);
tdm_status tdm__h5_writer_i32s(tdm__h5_writer *w, size_t set, const char *name,
                               const int32_t *values, size_t n);
tdm_status tdm__h5_writer_commit(tdm__h5_writer *w);
/* Drops the temporary file unless committed. */
void tdm__h5_writer_destroy(tdm__h5_writer **w);

#endif

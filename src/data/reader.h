/* data/reader.h: where the rows of one array come from. To add a source of samples: one file with a
 * tdm__reader_ops and a function that makes the reader; dataset.c decides when to use it.
 *
 * A reader is immutable once made: read_rows and cursors may be used from any thread. Values come
 * converted but unchecked; a value that the destination cannot hold is TDM_ERR_DATA naming file,
 * row and value.
 */
#ifndef DATA_READER_H
#define DATA_READER_H

#include "format/hdf5.h"

typedef struct tdm__reader tdm__reader;

typedef struct tdm__reader_ops {
    void (*destroy)(tdm__reader *reader);
    /* rows ascending, below reader->rows; out: n * row_elems values of tdm__to_size(to, elem). */
    tdm_status (*read_rows)(const tdm__reader *reader, const uint64_t *rows, size_t n, tdm__to to,
                            void *out);
    /* One thread's state for reading single rows; for parallel readers only. */
    tdm_status (*cursor_create)(const tdm__reader *reader, void **cursor);
    void (*cursor_destroy)(void *cursor);
    tdm_status (*cursor_read)(void *cursor, uint64_t row, tdm__to to, void *out);
    /* What the file says about the array; NULL: nothing. The op may be NULL. */
    const tdm__h5_attr *(*attr)(const tdm__reader *reader, const char *name);
} tdm__reader_ops;

struct tdm__reader {
    const tdm__reader_ops *ops;
    const char *path;  /* the file, or the folder of files */
    const char *title; /* of the array in messages: "train/images.h5: images" */
    tdm__elem elem;
    int rank; /* dims[0] = rows */
    uint64_t dims[TDM__H5_RANK];
    uint64_t rows, row_elems, row_bytes; /* row_bytes in the file's element size */
    double amplification;                /* bytes fetched to read one row alone / row_bytes; >= 1 */
    bool parallel;          /* cursors work; else one thread at a time should use read_rows */
    const tdm__h5_info *h5; /* NULL: not HDF5 */
};

/* A data set of an open file, which must outlive the reader. */
tdm_status tdm__reader_hdf5(tdm__h5 *file, size_t set, tdm__reader **out);

/* A folder of 0.npy, 1.npy, ..., one sample each, all of one type and shape. TDM_ERR_DATA naming
 * the first index that is missing. */
tdm_status tdm__reader_npy(const char *folder, tdm__reader **out);
/* Whether a folder holds .npy files. */
bool tdm__holds_npy(const char *folder);

void tdm__reader_destroy(tdm__reader **reader);

#endif

/* format/npy.h: NumPy's .npy files: "\x93NUMPY", version 1, 2 or 3, a header that is the text of a
 * Python dict ({'descr': '<f4', 'fortran_order': False, 'shape': (288, 384, 3), }), then the
 * elements. Integers, floats (f2, f4, f8) and bools of either byte order; rows first (C order) or
 * columns first (Fortran order), which comes out as C order. */
#ifndef FORMAT_NPY_H
#define FORMAT_NPY_H

#include "format/elem.h"

#define TDM__NPY_RANK 8

typedef struct tdm__npy {
    tdm__elem elem;
    bool fortran; /* the first axis varies fastest */
    int rank;     /* 0: one number */
    uint64_t dims[TDM__NPY_RANK];
    uint64_t count; /* product of dims, 1 for rank 0 */
    size_t data;    /* offset of the elements in the file */
} tdm__npy;

/* Understands the header at `bytes`, of which `size` bytes of a file of `total` bytes are given.
 * The elements it announces must be exactly the rest of the file. TDM_ERR_DATA starting with
 * `name`: another format, a damaged header, a type that is not a number, more than TDM__NPY_RANK
 * dimensions, sizes that overflow, a file too short or too long. */
tdm_status tdm__npy_parse(const void *bytes, size_t size, uint64_t total, const char *name,
                          tdm__npy *out);
/* Reads just the header of a file. */
tdm_status tdm__npy_peek(const char *path, tdm__npy *out);

/* Memory for whole files, kept from one file to the next. Zero-initialise. */
typedef struct tdm__npy_buffer {
    uint8_t *bytes; /* the file as it is */
    size_t capacity;
    uint8_t *turned; /* its elements in C order, where they were not */
    size_t turned_capacity;
} tdm__npy_buffer;

/* Reads a file of at most 4 GiB. *elements: count elements in C order, of the file's type, inside
 * the buffer. */
tdm_status tdm__npy_load(const char *path, tdm__npy_buffer *buffer, tdm__npy *out,
                         const void **elements);
/* The same from memory, which *elements may point into. */
tdm_status tdm__npy_load_bytes(const void *bytes, size_t size, const char *name,
                               tdm__npy_buffer *buffer, tdm__npy *out, const void **elements);
void tdm__npy_buffer_free(tdm__npy_buffer *buffer);

/* Writes elements (C order, of the host's type `elem`) to a version 1 file, atomically. */
tdm_status tdm__npy_write(const char *path, tdm__elem elem, int rank, const uint64_t *dims,
                          const void *elements);

#endif

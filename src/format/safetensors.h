/* format/safetensors.h: the safetensors container: u64 little-endian header length, a JSON header
 * {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {..}},
 * then the data, little-endian, row-major. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include "base/file.h"
#include "format/elem.h"

#define TDM__ST_RANK 8

typedef struct tdm__st_tensor {
    const char *name;
    tdm__elem elem; /* F64 F32 F16 BF16 I64 I32 I16 I8 U8 U16 U32 U64 BOOL */
    int rank;       /* 0: a scalar */
    uint64_t dims[TDM__ST_RANK];
    uint64_t count;        /* product of dims */
    uint64_t offset, size; /* bytes, from the start of the data part */
} tdm__st_tensor;

typedef struct tdm__st tdm__st;

/* Opens and checks the header: sizes, offsets (no gaps, no overlaps, the file's end), duplicate
 * names, limits. Bad content: TDM_ERR_DATA naming the path and the tensor. A .pth (zip) or pickle
 * gives the one-line conversion. The file stays open; data is read on demand. */
tdm_status tdm__st_open(const char *path, tdm__st **out);
/* The same over memory, which must outlive the object; `name` stands for the path. */
tdm_status tdm__st_open_bytes(const void *bytes, size_t size, const char *name, tdm__st **out);
void tdm__st_close(tdm__st **st);
const char *tdm__st_path(const tdm__st *st);

size_t tdm__st_count(const tdm__st *st); /* in the order of their data */
const tdm__st_tensor *tdm__st_at(const tdm__st *st, size_t i);
/* NULL when there is none. */
const tdm__st_tensor *tdm__st_find(const tdm__st *st, const char *name);
/* NULL when the key is absent. */
const char *tdm__st_metadata(const tdm__st *st, const char *key);
size_t tdm__st_metadata_count(const tdm__st *st);
void tdm__st_metadata_at(const tdm__st *st, size_t i, const char **key, const char **value);

/* Reads elements [first, first + n) converted into out. Thread-safe. */
tdm_status tdm__st_read(const tdm__st *st, const tdm__st_tensor *tensor, uint64_t first, uint64_t n,
                        tdm__to to, void *out);

/* Writing. Declare every tensor and metadata entry, then give the data of each in the declared
 * order, in as many pieces as wished; commit checks that all of it came. The file appears under
 * `path` only at commit (base/file.h: tdm__atomic). */
typedef struct tdm__st_writer tdm__st_writer;
tdm_status tdm__st_writer_create(const char *path, tdm__st_writer **out);
tdm_status tdm__st_writer_declare(tdm__st_writer *w, const char *name, tdm__elem elem, int rank,
                                  const uint64_t *dims);
tdm_status tdm__st_writer_metadata(tdm__st_writer *w, const char *key, const char *value);
/* `size` bytes of host-order data of the next undone tensor(s); a piece may cross tensors only at
 * whole elements. The first call ends the declarations. */
tdm_status tdm__st_writer_data(tdm__st_writer *w, const void *bytes, size_t size);
tdm_status tdm__st_writer_commit(tdm__st_writer *w);
void tdm__st_writer_destroy(tdm__st_writer **w); /* drops the temporary unless committed */

#endif

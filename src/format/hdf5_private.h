/* format/hdf5_private.h: shared by the hdf5_*.c files only.
 *
 * Every call into the HDF5 library happens between tdm__h5_lock and tdm__h5_unlock. The lock also
 * silences the library's own error printing and puts the application's setting back. */
#ifndef FORMAT_HDF5_PRIVATE_H
#define FORMAT_HDF5_PRIVATE_H

#define H5_USE_110_API
#include <hdf5.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/thread.h"
#include "format/hdf5.h"

void tdm__h5_lock(void);
void tdm__h5_unlock(void);
/* Lock held. Fails with ": <what the library says>" appended; clears the library's error stack. */
tdm_status tdm__h5_fail(tdm_status status, const char *format, ...) TDM__PRINTF(2, 3);

/* What the file driver works on. It must outlive the HDF5 file that is opened over it. */
typedef struct tdm__h5_io {
    int fd;              /* for reading */
    uint64_t size;       /* of the file when opened */
    tdm__atomic *target; /* for writing, or NULL */
    tdm_status status;   /* the first write that failed; the thread's message is set */
    bool capture;        /* reads of raw data only note their place */
    unsigned captured;   /* how many */
    uint64_t captured_at, captured_size;
} tdm__h5_io;

/* Lock held. A file access property list with the driver over io; -1 on failure. Close it. */
hid_t tdm__h5_access(tdm__h5_io *io);

typedef struct tdm__h5_set {
    tdm__h5_info info;
    hid_t id;         /* open data set */
    tdm__h5_raw *raw; /* made at the first read, guarded by the file's lock */
    tdm__h5_cursor *cursor;
    hid_t mem_type; /* type that H5Dread delivers: the file's own where elem describes it */
} tdm__h5_set;

struct tdm__h5 {
    char *path;
    tdm__mutex lock; /* of the cursors in sets, and of attrs */
    tdm__h5_io io;
    hid_t id;
    tdm__h5_set *sets;
    size_t n_sets, capacity;
    struct tdm__h5_known *attrs; /* those read so far */
};

/* Lock held. Fills type, shape, layout and filters of an open data set. What cannot be read is told
 * in info->problem. */
tdm_status tdm__h5_describe(tdm__h5_set *set);
void tdm__h5_attrs_free(tdm__h5 *file);

/* Where a chunk lies in the file. size 0: never written, all fill value. */
typedef struct tdm__h5_chunk {
    uint64_t address;
    uint32_t size;
    uint32_t skipped; /* bit i: filter i was not applied to this chunk */
} tdm__h5_chunk;

/* Most chunks for which a table is built (16 bytes each). */
#define TDM__H5_TABLE_MAX ((uint64_t)1 << 22)

/* How a chunk is stored, for decoding without the library. */
typedef struct tdm__h5_coding {
    size_t n_filters;
    int filters[TDM__H5_FILTERS]; /* 1 deflate, 2 shuffle, 3 fletcher32, in writing order */
    size_t elem_size;
    size_t size; /* bytes of a decoded chunk */
} tdm__h5_coding;

/* Bytes that each of the two work buffers of tdm__h5_decode must have. */
size_t tdm__h5_coding_room(const tdm__h5_coding *coding);
/* Decodes `size` bytes at `from`. a and b are work buffers (from may be one of them); *out points
 * at the coding->size decoded bytes in either, or at `from`. inflater: struct
 * libdeflate_decompressor *. Returns NULL, or what is wrong with the chunk (static text). */
const char *tdm__h5_decode(const tdm__h5_coding *coding, uint32_t skipped, void *inflater,
                           const void *from, size_t size, void *a, void *b, const void **out);

#endif

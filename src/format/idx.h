/* format/idx.h: IDX files (the MNIST family): 00 00 <type> <rank>, rank big-endian u32 sizes, then
 * the elements, big-endian. Plain or gzip (told apart by content, not by name). */
#ifndef FORMAT_IDX_H
#define FORMAT_IDX_H

#include "format/elem.h"

#define TDM__IDX_RANK 8

typedef struct tdm__idx {
    tdm__elem elem;
    int rank; /* at least 1 */
    uint64_t dims[TDM__IDX_RANK];
    uint64_t count;   /* product of dims */
    const void *data; /* count * elem.size bytes, big-endian, unaligned; points into storage */
    void *storage;    /* owned */
} tdm__idx;

/* TDM_ERR_DATA naming the path: wrong magic, sizes that overflow or do not match the content,
 * truncated or damaged gzip, more than 4 GiB. */
tdm_status tdm__idx_read(const char *path, tdm__idx *out);
/* The same from memory; `name` stands for the path. limit: most bytes after inflating. */
tdm_status tdm__idx_parse(const void *bytes, size_t size, size_t limit, const char *name,
                          tdm__idx *out);
void tdm__idx_free(tdm__idx *idx); /* safe on a zeroed struct */

#endif

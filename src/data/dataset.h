/* data/dataset.h: what the loader needs of an open split beyond <tandem/dataset.h>.
 *
 * tdm__dataset_read_rows reads many rows of any array in one call, one call at a time per file: for
 * the I/O thread. A tdm__cursor reads row by row, one per worker and array; where
 * tdm__dataset_is_raw says so the cursors of all workers run in parallel, without the HDF5 library.
 * Both deliver the same bytes and check them: a float image must be free of NaN, a class must be a
 * whole number below `classes` (where that is known). Errors name file, array and row.
 */
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include <tandem/dataset.h>

#include "data/reader.h"

/* rows ascending, below the length; out: n * elems values of tdm__to_size(to, elem) bytes. */
tdm_status tdm__dataset_read_rows(const tdm_dataset *dataset, size_t array, const uint64_t *rows,
                                  size_t n, tdm__to to, void *out);

/* The same without the checks: for looking at bad data. */
tdm_status tdm__dataset_read_unchecked(const tdm_dataset *dataset, size_t array,
                                       const uint64_t *rows, size_t n, tdm__to to, void *out);

tdm__elem tdm__dataset_elem(const tdm_dataset *dataset, size_t array);
/* What the loader should deliver: TDM__TO_U8 for u8 and bool images and masks, TDM__TO_I32 for
 * classes and other integer masks, TDM__TO_F32 for the rest. */
tdm__to tdm__dataset_natural(const tdm_dataset *dataset, size_t array);
bool tdm__dataset_is_raw(const tdm_dataset *dataset, size_t array);
/* The file that an array is in. */
const char *tdm__dataset_path(const tdm_dataset *dataset, size_t array);
/* What reads an array, and an attribute of the first HDF5 file (NULL: none). */
const tdm__reader *tdm__dataset_reader(const tdm_dataset *dataset, size_t array);
const tdm__h5_attr *tdm__dataset_file_attr(const tdm_dataset *dataset, const char *name);

/* One thread's reader of one array. The data set must outlive it. */
typedef struct tdm__cursor tdm__cursor;
tdm_status tdm__cursor_create(const tdm_dataset *dataset, size_t array, tdm__cursor **out);
void tdm__cursor_destroy(tdm__cursor **cursor);
tdm_status tdm__cursor_read(tdm__cursor *cursor, uint64_t row, tdm__to to, void *out);

#endif

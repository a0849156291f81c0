/* data/where.h: which samples of a data set have wanted classes. */
#ifndef DATA_WHERE_H
#define DATA_WHERE_H

#include <tandem/loader.h>

/* The rows that satisfy all of the conditions, ascending; free() them. TDM_ERR_CONFIG naming the
 * condition: no such array, not one of classes, a class that it does not have, no row left. */
tdm_status tdm__where_rows(const tdm_dataset *dataset, const tdm_split_where *where, size_t n,
                           uint64_t **rows, uint64_t *n_rows);

#endif

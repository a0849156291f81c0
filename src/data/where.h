/* data/where.h: which samples have wanted classes: data.where chooses those of every split,
 * tasks.NAME.where among them those of a task. `key` is the option that the conditions stand under;
 * messages begin with it. */
#ifndef DATA_WHERE_H
#define DATA_WHERE_H

#include <tandem/loader.h>

/* The rows of a data set that satisfy all of the conditions, ascending; free() them.
 * TDM_ERR_CONFIG naming the condition: no such array, not one of classes, no class wanted or one
 * that it does not have. */
tdm_status tdm__where_rows(const tdm_dataset *dataset, const char *key,
                           const tdm_split_where *where, size_t n, uint64_t **rows,
                           uint64_t *n_rows);
/* The same of a split, as indices into it. */
tdm_status tdm__where_indices(const tdm_split *split, const char *key, const tdm_split_where *where,
                              size_t n, uint64_t **indices, uint64_t *n_indices);

#endif

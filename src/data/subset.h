/* data/subset.h: a fraction of a split's samples, drawn so that fractions can be compared:
 * stratified by a class array, and nested: with the same seed a smaller fraction is part of every
 * larger one. */
#ifndef DATA_SUBSET_H
#define DATA_SUBSET_H

#include <tandem/loader.h>

/* Indices into the split, ascending: round(fraction * length) of them. stratify: a class array,
 * "": the first that there is, "none". free(*out). TDM_ERR_CONFIG: no such class array, or none of
 * the samples is left. */
tdm_status tdm__subset_draw(const tdm_split *split, double fraction, const char *stratify,
                            uint64_t seed, uint64_t **out, uint64_t *n);

#endif

/* train/arrays.h: what a checkpoint says of the arrays it was trained on (shapes, kinds, classes
 * and their names), so that a network can be built where the data are not. JSON in its metadata. */
#ifndef TRAIN_ARRAYS_H
#define TRAIN_ARRAYS_H

#include "format/json.h"
#include "train/session.h"

/* The descriptions of `n` arrays. free(*out). */
tdm_status tdm__arrays_describe(const tdm_array_info *infos, size_t n, char **out);

typedef struct tdm__arrays {
    json_t *document; /* holds the strings */
    tdm_array_info *infos;
    const char **class_names; /* of all arrays, one after the other */
    size_t n;
} tdm__arrays;

/* Reads them back; name: the checkpoint's, for messages. */
tdm_status tdm__arrays_parse(const char *text, const char *name, tdm__arrays *out);
void tdm__arrays_free(tdm__arrays *arrays);

#endif

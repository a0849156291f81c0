/* train/class_names.h: which task a parameter's name belongs to, and what its outputs stand for. */
#ifndef TRAIN_CLASS_NAMES_H
#define TRAIN_CLASS_NAMES_H

#include "model/widen.h"
#include "train/arrays.h"

/* The task whose head the name is of: heads.TASK or its prefix; NULL: none. */
tdm_status tdm__head_task(const tdm_config *config, const char *name, const char **task);

/* Whether the name is of a head or of balancing, not of the trunk. */
tdm_status tdm__in_head(const tdm_config *config, const char *name, bool *out);

/* A model's configuration and arrays, as it is or as a checkpoint describes it. */
typedef struct tdm__class_source {
    tdm_config *config; /* NULL: nothing is known */
    tdm__arrays arrays;
} tdm__class_source;

/* Nothing is known of a checkpoint that was not written here. */
tdm_status tdm__class_source_read(const tdm__st *st, tdm__class_source *out);
void tdm__class_source_free(tdm__class_source *source);

/* The classes of the head that a name belongs to; n 0: not known. */
tdm__class_list tdm__classes_of(const tdm_config *config, const tdm__arrays *arrays,
                                const char *name);

#endif

/* model/internal.h: what a model is made of, for the files that wire it: model.c reads it,
 * columns.c builds its parts, sharing/ puts them together. */
#ifndef MODEL_INTERNAL_H
#define MODEL_INTERNAL_H

#include "model/heads.h"
#include "model/model.h"
#include "model/sharing.h"

enum { TDM__INPUT_CHANNELS = 16 };

typedef struct tdm__layer_list {
    tdm__layer_spec *layers;
    size_t n;
} tdm__layer_list;

typedef struct tdm__head {
    char *name; /* the task's */
    tdm__str prefix;
    const tdm__head_kind *kind; /* NULL: the layers of the configuration */
    tdm__layer_list list;
    tdm__feature feature;
    tdm__head_site site;
} tdm__head;

struct tdm__model {
    const char *input_name;
    tdm_desc input;
    tdm__init_scheme scheme;
    float scale[TDM__INPUT_CHANNELS], shift[TDM__INPUT_CHANNELS];
    const tdm__trunk *trunk; /* NULL: the list */
    tdm__trunk_spec spec;
    tdm__layer_list list;
    const char *trunk_name, *prefix;
    const tdm__sharing *sharing;
    void *settings; /* of the sharing, settings_size bytes */
    tdm__head *heads;
    size_t n_heads;
};

#endif

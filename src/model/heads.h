/* model/heads.h: named heads. A head is a list of layers (layer_spec.h), or code where texts do not
 * suffice; one entry in heads.c adds one. */
#ifndef MODEL_HEADS_H
#define MODEL_HEADS_H

#include "model/layer_spec.h"
#include "model/trunk.h"

enum { TDM__HEAD_LAYERS = 10 };

/* Where a head is built. */
typedef struct tdm__head_site {
    const char *prefix; /* of its parameters: "heads.class" */
    tdm__units units;
    int64_t h, w; /* of the network's input */
} tdm__head_site;

typedef struct tdm__head_kind {
    const char *name, *help;
    tdm__feature feature;                 /* what it attaches to */
    const char *layers[TDM__HEAD_LAYERS]; /* ends with NULL; none: build does it */
    tdm_value (*build)(tdm__net *net, const tdm__head_site *site, tdm_value x);
    bool bare; /* one layer, named by the prefix itself ("fc.weight"): built in the outer scope */
} tdm__head_kind;

extern const tdm__head_kind tdm__heads[];               /* ends with a NULL name */
const tdm__head_kind *tdm__head_find(const char *name); /* NULL: none */

#endif

/* model/presets.h: trunks that are plain lists of layers. One line in presets.c adds a network. */
#ifndef MODEL_PRESETS_H
#define MODEL_PRESETS_H

#include <stddef.h>

enum { TDM__PRESET_LAYERS = 24 };

typedef struct tdm__preset {
    const char *name;
    const char *layers[TDM__PRESET_LAYERS]; /* ends with NULL */
} tdm__preset;

extern const tdm__preset tdm__presets[]; /* ends with a NULL name */

const tdm__preset *tdm__preset_find(const char *name); /* NULL: none */

#endif

/* model/presets.h: named layer lists. One line in presets.c adds a network. */
#ifndef MODEL_PRESETS_H
#define MODEL_PRESETS_H

#include <stddef.h>

enum { TDM__PRESET_LAYERS = 24 };

typedef struct tdm__preset {
    const char *name;
    const char *layers[TDM__PRESET_LAYERS]; /* ends with NULL */
} tdm__preset;

extern const tdm__preset tdm__trunk_presets[]; /* each list ends with a NULL name */
extern const tdm__preset tdm__head_presets[];

const tdm__preset *tdm__preset_find(const tdm__preset *list, const char *name);

#endif

/* model/presets.c: networks and heads by name. The enums of the option table (model_options.c) list
 * the same names. */
#include "model/presets.h"

#include <string.h>

const tdm__preset tdm__trunk_presets[] = {
    /* The shared encoder of the Fashion-MNIST experiment (model 3): 28x28x1 -> 2x2x16. */
    {"fashion",
     {"conv 32 k3 p1", "relu", "conv 32 k3 p1", "relu", "max-pool 2", "conv 32 k2", "relu",
      "conv 16 k2", "relu", "max-pool 2", "conv 16 k2 s2 p1", "relu", "max-pool 2"}},
    /* LeCun et al. 1998, as usually written today. */
    {"lenet",
     {"conv 6 k5 p2", "relu", "max-pool 2", "conv 16 k5", "relu", "max-pool 2", "flatten",
      "dense 120", "relu", "dense 84", "relu"}},
    {"mlp", {"flatten", "dense 256", "relu", "dense 256", "relu"}},
    {NULL},
};

const tdm__preset tdm__head_presets[] = {
    {"linear", {"flatten", "dense classes"}},
    {"classifier", {"flatten", "dense 128", "relu", "dense classes"}},
    /* 2x2x16 -> 28x28xC, in [-1, 1]. */
    {"fashion-decoder",
     {"conv-transpose 16 k2 s2", "relu", "conv-transpose 8 k3 s2 p1", "relu",
      "conv-transpose 4 k2 s2", "relu", "conv-transpose channels k2 s2", "tanh"}},
    {NULL},
};

const tdm__preset *tdm__preset_find(const tdm__preset *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name)) return list;
    return NULL;
}

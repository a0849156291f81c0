/* model/presets.c: networks that are lists of layers, by name. The choices of model.trunk (model.c)
 * list the same names. */
#include "model/presets.h"

#include <string.h>

const tdm__preset tdm__presets[] = {
    /* The shared encoder of the Fashion-MNIST experiment (model 3): 28x28x1 -> 2x2x16. */
    {"fashion",
     {"conv 32 k3 p1", "relu", "conv 32 k3 p1", "relu", "max-pool 2", "conv 32 k2", "relu",
      "conv 16 k2", "relu", "max-pool 2", "conv 16 k2 s2 p1", "relu", "max-pool 2"}},
    /* LeCun et al. 1998, as usually written today. */
    {"lenet",
     {"conv 6 k5 p2", "relu", "max-pool 2", "conv 16 k5", "relu", "max-pool 2", "flatten",
      "dense 120", "relu", "dense 84", "relu"}},
    {"mlp", {"flatten", "dense 256", "relu", "dense 256", "relu"}},
    /* The shared encoder of the multi-task image classification experiments: 32x32x3 -> 8x8x128. */
    {"strided-cnn",
     {"conv 32 k3 p1", "batch-norm", "relu", "conv 64 k3 s2 p1", "batch-norm", "relu",
      "conv 64 k3 p1", "batch-norm", "relu", "conv 128 k3 s2 p1", "batch-norm", "relu",
      "conv 128 k3 p1", "batch-norm", "relu"}},
    /* The same with one more halving and pooling to 4x4x128, for images of 32x32 and more. */
    {"strided-cnn-pool",
     {"conv 32 k3 p1", "batch-norm", "relu", "conv 64 k3 s2 p1", "batch-norm", "relu",
      "conv 64 k3 p1", "batch-norm", "relu", "conv 128 k3 s2 p1", "batch-norm", "relu",
      "conv 128 k3 p1", "batch-norm", "relu", "conv 128 k3 s2 p1", "batch-norm", "relu",
      "avg-pool-to 4"}},
    {NULL},
};

const tdm__preset *tdm__preset_find(const char *name)
{
    for (const tdm__preset *p = tdm__presets; p->name; p++)
        if (!strcmp(p->name, name)) return p;
    return NULL;
}

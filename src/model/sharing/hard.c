/* model/sharing/hard.c: hard parameter sharing (Caruana, 1993): one trunk, which all heads read. */
#include "model/internal.h"

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    tdm__features features;
    tdm__column_build(model, net, NULL, x, &features);
    tdm__model_build_heads(model, net, &features, enabled, predictions);
}

const tdm__sharing tdm__sharing_hard = {.name = "hard", .one_trunk = true, .build = build};

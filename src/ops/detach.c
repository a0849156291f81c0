/* ops/detach.c: the same tensor, through which no gradient flows; no launch, no copy. */
#include "ops/common.h"

#include <tandem/ops.h>

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    out[0] = io->in[0];
    return TDM_OK;
}

static const tdm__sample samples[] = {
    {"image", NULL, 1, {TDM__F32(2, 3, 5, 7)}},
    {"scalar", NULL, 1, {TDM__SCALAR}},
};
static const tdm__reject rejects[] = {
    {"nothing", NULL, 0, {{0}}, TDM_ERR_SHAPE, "0 inputs given"},
};

const tdm_op tdm__op_detach = {
    .name = "detach",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .view = true,
    .infer = infer,
    .samples = samples,
    .n_samples = TDM__COUNT(samples),
    .rejects = rejects,
    .n_rejects = TDM__COUNT(rejects),
};

tdm_value tdm_detach(tdm_graph *g, tdm_value x)
{
    return tdm__op_append(g, &tdm__op_detach, &x, 1, NULL);
}

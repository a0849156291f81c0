/* ops/label_map.c: y = map[label], for tasks whose labels are derived from another task's. */
#include "ops/common.h"

#include <limits.h>

#include <tandem/ops.h>

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "labels", TDM_I32, -1));
    TDM_TRY(tdm__expect(io, 1, "map", TDM_I32, 1));
    out[0] = io->in[0];
done:
    return status;
}

static void reference(const tdm__ref *ref)
{
    const int64_t n = tdm_desc_count(&ref->io->out[0]), size = ref->io->in[1].dim[0];
    for (int64_t i = 0; i < n; i++) {
        const double label = ref->in[0][i];
        ref->out[0][i] = label < 0              ? label
                         : label < (double)size ? ref->in[1][(int64_t)label]
                                                : (double)INT_MAX;
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const uint64_t n = (uint64_t)tdm_desc_count(&io->out[0]);
    tdm__kernel *k = tdm__emit_operands(b, "label.cl", "label_map");
    tdm__arg_span(b, k, n);
    tdm__arg_i32(k, io->in[1].dim[0]);
    tdm__cost(k, 0, 8.0 * (double)n);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const tdm__sample samples[] = {
    {"batch", NULL, 2, {TDM__I32(7), TDM__I32(5)}, {TDM__FILL_LABEL, TDM__FILL_INDEX}, {5, 3}},
    {"pixels",
     NULL,
     2,
     {TDM__I32(3, 5, 11), TDM__I32(13)},
     {TDM__FILL_LABEL, TDM__FILL_INDEX},
     {13, 4}},
    {"beyond the map",
     NULL,
     2,
     {TDM__I32(40), TDM__I32(3)},
     {TDM__FILL_INDEX, TDM__FILL_INDEX},
     {9, 2}},
};
static const tdm__reject rejects[] = {
    {"float labels",
     NULL,
     2,
     {TDM__F32(4), TDM__I32(3)},
     TDM_ERR_SHAPE,
     "labels: must be i32, got f32[4]"},
};

const tdm_op tdm__op_label_map = {
    .name = "label_map",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_label_map(tdm_graph *g, tdm_value labels, tdm_value map)
{
    return tdm__op_append(g, &tdm__op_label_map, (tdm_value[]){labels, map}, 2, NULL);
}

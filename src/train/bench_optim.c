/* train/bench_optim.c: times the optimisers' update rules on one large segment. */
#include <string.h>

#include "optim/optim.h"
#include "train/bench.h"

enum { RUNS = 9, BATCH = 2, ELEMENTS = 16 << 20 };

static tdm_status one_update(void *user)
{
    bool stepped;
    return tdm__optimizer_step(user, 1e-3, &stepped);
}

static tdm_status bench_rule(tdm_device *device, const tdm__optim_spec *spec,
                             const tdm__limits *limits, tdm__bench_row *row)
{
    tdm_status status = TDM_OK;
    tdm__flat *flat = NULL;
    tdm__optimizer *optimizer = NULL;
    size_t index;
    double flops, bytes, launches;
    const uint64_t most = tdm__device_traits(device)->max_allocation / sizeof(float);
    const tdm_desc shape = tdm_desc_1(TDM_F32, most < ELEMENTS ? (int64_t)most : ELEMENTS);
    char name[] = "weight";
    const tdm__segment segment = {
        .name = name, .disk = shape, .device = shape, .kind = TDM__SEGMENT_PARAM, .decay = true};
    TDM_TRY(tdm__flat_create(device, &flat));
    TDM_TRY(tdm__flat_declare(flat, &segment, &index));
    TDM_TRY(tdm__flat_seal(flat, true));
    tdm__flat_segment(flat, index)->has_gradient = true;
    TDM_TRY(tdm__optimizer_create(device, flat, spec, &optimizer));
    TDM_TRY(tdm__bench_time(device, one_update, optimizer, RUNS, BATCH, row));
    tdm__optimizer_cost(optimizer, &flops, &bytes, &launches);
    tdm__bench_compare(row, limits, flops, bytes, launches);
done:
    tdm__optimizer_destroy(&optimizer);
    tdm__flat_destroy(&flat);
    return status;
}

tdm_status tdm__bench_optimizers(tdm_device *device, const tdm__limits *limits, const char *filter,
                                 bool json, tdm__str *text, size_t *rows)
{
    static const struct {
        const char *name;
        tdm__optim_spec spec;
    } rules[] = {
        {"optimizer/sgd", {.kind = TDM__OPTIM_SGD, .accumulate = 1}},
        {"optimizer/sgd momentum", {.kind = TDM__OPTIM_SGD, .momentum = 0.9, .accumulate = 1}},
        {"optimizer/adam",
         {.kind = TDM__OPTIM_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .accumulate = 1}},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (filter && !strstr(rules[i].name, filter)) continue;
        tdm__bench_row row = {.name = rules[i].name};
        const tdm_status status = bench_rule(device, &rules[i].spec, limits, &row);
        if (status) return tdm__context(status, "%s", rules[i].name);
        tdm__bench_add(text, &row, json);
        ++*rows;
    }
    return TDM_OK;
}

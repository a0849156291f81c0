/* model/trunk.c: the list of networks built by code, their options, and the blocks they share. */
#include "model/trunk.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define TDM_TRUNK(name) extern const tdm__trunk tdm__trunk_##name;
#include "model/nets/nets.def"
#undef TDM_TRUNK

const tdm__trunk *const tdm__trunks[] = {
#define TDM_TRUNK(name) &tdm__trunk_##name,
#include "model/nets/nets.def"
#undef TDM_TRUNK
    NULL,
};

const tdm__trunk *tdm__trunk_find(const char *name)
{
    for (int i = 0; tdm__trunks[i]; i++)
        if (!strcmp(tdm__trunks[i]->name, name)) return tdm__trunks[i];
    return NULL;
}

/* ---- options -----------------------------------------------------------------------------------
 */

static tdm_status read_filters(const tdm_config *config, const tdm__trunk *trunk,
                               tdm__trunk_spec *out)
{
    const char *const key = "model.filters";
    const int64_t *given;
    size_t n;
    tdm_status status = tdm_config_ints(config, key, &given, &n);
    if (status) return status;
    while (trunk->filters[out->n_filters]) out->n_filters++;
    memcpy(out->filters, trunk->filters, sizeof out->filters);
    if (n == 0) return TDM_OK;
    if (n < (size_t)trunk->least_filters || n > (size_t)trunk->most_filters)
        return tdm_config_reject(config, key, "%s takes %d to %d numbers, not %zu", trunk->name,
                                 trunk->least_filters, trunk->most_filters, n);
    out->n_filters = (int)n;
    for (size_t i = 0; i < n; i++) {
        if (given[i] < 1 || given[i] > 1 << 16)
            return tdm_config_reject(config, key, "%" PRId64 " channels: must be 1 to 65536",
                                     given[i]);
        out->filters[i] = given[i];
    }
    return TDM_OK;
}

static tdm_status check_sides(const tdm__trunk *trunk, const tdm__trunk_spec *spec,
                              const tdm_desc *input)
{
    if (trunk->halvings < 0) return TDM_OK;
    const int64_t multiple = (int64_t)1 << (spec->n_filters - trunk->halvings);
    for (int i = 0; i < 2; i++)
        if (input->dim[i] % multiple)
            return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                       "trunk '%s' with %d levels needs images whose sides are "
                                       "multiples of %" PRId64 ", these are %" PRId64 "x%" PRId64,
                                       trunk->name, spec->n_filters, multiple, input->dim[0],
                                       input->dim[1]),
                             "resize or crop them, or give fewer model.filters");
    return TDM_OK;
}

/* A key that the trunk does not read may only hold its default: a checkpoint's configuration names
 * every key. */
static tdm_status reject_unread(const tdm_config *config, const tdm__trunk *trunk)
{
    static const struct {
        const char *key, *absent;
        unsigned bit;
    } keys[] = {{"model.stem", "imagenet", TDM__TRUNK_READS_STEM},
                {"model.norm", "batch", TDM__TRUNK_READS_NORM}};
    const char *name, *value;
    const int64_t *filters;
    size_t n;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "model.trunk", &name));
    TDM_TRY(tdm_config_ints(config, "model.filters", &filters, &n));
    if (!trunk && n > 0)
        TDM_TRY(
            tdm_config_reject(config, "model.filters", "has no meaning for the trunk '%s'", name));
    for (int i = 0; i < 2; i++) {
        TDM_TRY(tdm_config_string(config, keys[i].key, &value));
        if (!strcmp(value, "per-task")) continue; /* sharing/per_task.c knows where it has one */
        if (!(trunk && trunk->reads & keys[i].bit) && strcmp(value, keys[i].absent) != 0)
            TDM_TRY(
                tdm_config_reject(config, keys[i].key, "has no meaning for the trunk '%s'", name));
    }
done:
    return status;
}

tdm_status tdm__trunk_spec_read(const tdm_config *config, const tdm__trunk *trunk,
                                const tdm_desc *input, tdm__trunk_spec *out)
{
    tdm_status status = TDM_OK;
    const char *stem, *norm;
    memset(out, 0, sizeof *out);
    TDM_TRY(reject_unread(config, trunk));
    if (!trunk) goto done;
    TDM_TRY(read_filters(config, trunk, out));
    TDM_TRY(tdm_config_string(config, "model.stem", &stem));
    TDM_TRY(tdm_config_string(config, "model.norm", &norm));
    out->small_stem = !strcmp(stem, "cifar");
    out->batch_norm = strcmp(norm, "none") != 0;
    TDM_TRY(check_sides(trunk, out, input));
done:
    return status;
}

/* ---- shared blocks -----------------------------------------------------------------------------
 */

tdm_value tdm__block_conv(tdm__net *net, const char *name, tdm_value x, int64_t channels,
                          int kernel, int stride, bool bias)
{
    const tdm_conv2d_attrs a = {.kernel = {kernel, kernel},
                                .stride = {stride, stride},
                                .padding = {kernel / 2, kernel / 2},
                                .groups = 1};
    return tdm__layer_conv2d(net, name, x, channels, &a, bias);
}

tdm_value tdm__block_conv_bn_relu(tdm__net *net, const char *name, int first, tdm_value x,
                                  int64_t channels, bool bias)
{
    char layer[64];
    snprintf(layer, sizeof layer, "%s.%d", name, first);
    x = tdm__block_conv(net, layer, x, channels, 3, 1, bias);
    snprintf(layer, sizeof layer, "%s.%d", name, first + 1);
    x = tdm__layer_batch_norm(net, layer, x);
    tdm_graph_push(net->graph, layer);
    x = tdm_relu(net->graph, x);
    tdm_graph_pop(net->graph);
    return x;
}

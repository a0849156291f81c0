/* model/sharing/pad_net.c: PAD-Net (Xu, Ouyang, Wang, Sebe, CVPR 2018), for tasks that predict
 * something of each pixel: from the trunk's map at a quarter of the input's size each task makes
 * features F_k of its own, predicts from them (in training; the task's loss counts that too), and
 * distils what its decoder reads from its own and the other tasks':
 *
 *     A    F_k^o = concat(F_1 .. F_T)
 *     B    F_k^o = F_k + sum_{t != k} W_{t,k} * F_t
 *     C    F_k^o = F_k + G_k . sum_{t != k} W_t * F_t      G_k = sigmoid(W^g_k * F_k)
 *
 * The gate G_k is made of the features of the task that receives. All W are 3x3 convolutions. A
 * decoder brings F_k^o to the input's size by transposed convolutions, each of which doubles the
 * sides and halves the channels; the task's head reads what it gives.
 *
 * The trunk's map: of an encoder-decoder the decoder's at that size, where the trunk ends; of an
 * encoder the last maps of that size and of each smaller one, brought to one size and joined.
 *
 *     initial.TASK.{0,1}       F_k: 3x3 convolution, batch norm, ReLU
 *     initial_heads.TASK       a head like the task's own
 *     distillation.message.TO.FROM (B) or .FROM (C), distillation.gate.TASK
 *     decoders.TASK.{0,1,3,4}  transposed convolution, batch norm, ReLU; twice
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"

typedef struct settings {
    char module; /* 'A', 'B', 'C' */
    int64_t channels;
    double weight;
} settings;

enum { PART = 4 }; /* of the input's sides */

static tdm_status read(const tdm_config *config, const tdm__model *model, void *out)
{
    settings *s = out;
    const char *module;
    tdm_status status = TDM_OK;
    (void)model;
    TDM_TRY(tdm_config_string(config, "model.pad_net", &module));
    TDM_TRY(tdm_config_int(config, "model.pad_net_channels", &s->channels));
    TDM_TRY(tdm_config_float(config, "model.intermediate_weight", &s->weight));
    s->module = *module;
done:
    return status;
}

/* ---- the trunk's map ---------------------------------------------------------------------------
 */

/* At most a quarter of the input's sides, rounded up. */
static bool is_small(const tdm__model *model, const tdm_desc *d)
{
    for (int i = 0; i < 2; i++)
        if (d->dim[1 + i] > (model->input.dim[i] + PART - 1) / PART) return false;
    return true;
}

static bool same_size(const tdm_desc *a, const tdm_desc *b)
{
    return a->dim[1] == b->dim[1] && a->dim[2] == b->dim[2];
}

/* Smaller maps come to the first one's size. */
static tdm_value join(tdm_graph *g, tdm_value *maps, int n)
{
    const tdm_desc *to = tdm_graph_desc(g, maps[0]);
    if (n == 1 || !to) return maps[0];
    const int64_t h = to->dim[1], w = to->dim[2];
    for (int i = 1; i < n; i++) maps[i] = tdm_upsample_bilinear(g, maps[i], h, w, false);
    return tdm_concat(g, maps, n, 3);
}

static tdm_value trunk_map(const tdm__model *model, tdm__net *net, tdm_value x)
{
    tdm_graph *g = net->graph;
    const tdm__trunk_blocks blocks = tdm__model_blocks(model);
    const bool decodes = blocks.all > blocks.encoder;
    const int end = decodes ? blocks.all - 2 : blocks.all; /* the decoder's last two double twice */
    tdm_value maps[TDM__TRUNK_FILTERS];
    int n = 0;
    tdm__column column;
    tdm__column_begin(&column, NULL, x);
    for (int i = 0; i < end; i++) {
        tdm__column_block(model, net, i, &column);
        const tdm_desc *d = tdm_graph_desc(g, column.at.last);
        if (!d) return TDM_NO_VALUE;
        if (d->rank != 4 || !is_small(model, d)) continue;
        const bool again = n > 0 && same_size(d, tdm_graph_desc(g, maps[n - 1]));
        if (decodes)
            n = 0;
        else if (again)
            n--;
        if (n < TDM__TRUNK_FILTERS) maps[n++] = column.at.last;
    }
    if (n > 0) return join(g, maps, n);
    return tdm_graph_fail(g, TDM_ERR_CONFIG,
                          "model.sharing: pad-net starts from a map of at most a quarter of the "
                          "input's size, which the trunk '%s' does not give (hint: at least three "
                          "model.filters of unet, segnet or cnn, or a ResNet)",
                          model->trunk_name);
}

/* ---- distillation ------------------------------------------------------------------------------
 */

static tdm_value message(const settings *s, tdm__net *net, const char *to, const char *from,
                         tdm_value x)
{
    tdm__str name = {0};
    tdm__str_add(&name, "distillation.message.");
    if (to) tdm__str_addf(&name, "%s.", to);
    tdm__str_add(&name, from);
    x = tdm__block_conv(net, tdm__str_text(&name), x, s->channels, 3, 1, true);
    tdm__str_free(&name);
    return x;
}

/* Module C's gate of what the task receives. */
static tdm_value gate(const settings *s, tdm__net *net, const char *task, tdm_value own)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "distillation.gate.%s", task);
    const tdm_value x = tdm__block_conv(net, tdm__str_text(&name), own, s->channels, 3, 1, true);
    tdm__str_free(&name);
    return tdm_sigmoid(net->graph, x);
}

/* features: of all tasks; messages: C's, W_t * F_t. */
static tdm_value distil(const tdm__model *model, tdm__net *net, size_t task,
                        const tdm_value *features, const tdm_value *messages)
{
    const settings *s = model->settings;
    tdm_graph *g = net->graph;
    const char *name = model->heads[task].name;
    tdm_value sent = TDM_NO_VALUE;
    if (model->n_heads == 1) return features[task];
    if (s->module == 'A') return tdm_concat(g, features, (int)model->n_heads, 3);
    for (size_t t = 0; t < model->n_heads; t++) {
        if (t == task) continue;
        const tdm_value one = s->module == 'B'
                                  ? message(s, net, name, model->heads[t].name, features[t])
                                  : messages[t];
        sent = sent < 0 ? one : tdm_add(g, sent, one);
    }
    if (s->module == 'C') sent = tdm_multiply(g, gate(s, net, name, features[task]), sent);
    return tdm_add(g, sent, features[task]);
}

/* ---- tasks -------------------------------------------------------------------------------------
 */

static tdm_value own_features(const settings *s, tdm__net *net, const char *task, tdm_value map)
{
    const size_t mark = tdm__net_push(net, "initial");
    const tdm_value x = tdm__block_conv_bn_relu(net, task, 0, map, s->channels, true);
    tdm__net_pop(net, mark);
    return x;
}

/* To the input's size. */
static tdm_value decode(const tdm__model *model, tdm__net *net, size_t task, tdm_value x)
{
    static const tdm_conv2d_attrs twice = {.kernel = {2, 2}, .stride = {2, 2}, .groups = 1};
    const settings *s = model->settings;
    const int64_t h = model->input.dim[0], w = model->input.dim[1];
    tdm_graph *g = net->graph;
    int64_t channels = s->channels;
    const size_t outer = tdm__net_push(net, "decoders");
    const size_t inner = tdm__net_push(net, model->heads[task].name);
    for (int entry = 0;; entry += 3) {
        char name[16];
        const tdm_desc *d = tdm_graph_desc(g, x);
        if (!d || (2 * d->dim[1] > h || 2 * d->dim[2] > w)) break;
        channels = channels > 1 ? channels / 2 : 1;
        snprintf(name, sizeof name, "%d", entry);
        x = tdm__layer_conv_transpose2d(net, name, x, channels, &twice, true);
        snprintf(name, sizeof name, "%d", entry + 1);
        x = tdm_relu(g, tdm__layer_batch_norm(net, name, x));
    }
    tdm__net_pop(net, inner);
    tdm__net_pop(net, outer);
    const tdm_desc *d = tdm_graph_desc(g, x);
    if (!d || (d->dim[1] == h && d->dim[2] == w)) return x;
    return tdm_upsample_bilinear(g, x, h, w, false);
}

static tdm_value predict(const tdm__model *model, tdm__net *net, size_t task, tdm_value x)
{
    const tdm__features features = {x, x};
    const tdm__head *h = &model->heads[task];
    x = tdm__head_build(model, net, task, &features);
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d ||
        (d->rank == 4 && d->dim[1] == model->input.dim[0] && d->dim[2] == model->input.dim[1]))
        return x;
    return tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                          "tasks.%s.head: '%s' does not predict a value for each pixel, but "
                          "model.sharing: pad-net distils between tasks that do (hint: "
                          "segmentation, depth, regression)",
                          h->name, h->kind ? h->kind->name : "layers");
}

static void build(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions)
{
    const settings *s = model->settings;
    const size_t n = model->n_heads;
    tdm_status status = TDM_OK;
    tdm_value *features = NULL, *messages;
    TDM_TRY(tdm__calloc_try(2 * n, sizeof *features, &features));
    messages = features + n;
    const tdm_value map = trunk_map(model, net, x);
    for (size_t t = 0; t < n; t++) {
        const char *name = model->heads[t].name;
        features[t] = own_features(s, net, name, map);
        messages[t] =
            s->module == 'C' && n > 1 ? message(s, net, NULL, name, features[t]) : TDM_NO_VALUE;
    }
    net->intermediate_weight = s->weight;
    for (size_t t = 0; t < n; t++) {
        if (enabled && !enabled[t]) continue;
        if (net->intermediate && net->training)
            net->intermediate[t] = tdm__head_build_at(model, net, t, "initial_heads", features[t]);
        predictions[t] = predict(model, net, t,
                                 decode(model, net, t, distil(model, net, t, features, messages)));
    }
done:
    free(features);
    if (status) tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
}

static const char *const options[] = {"model.pad_net", "model.pad_net_channels",
                                      "model.intermediate_weight", NULL};

const tdm__sharing tdm__sharing_pad_net = {
    .name = "pad-net",
    .options = options,
    .why_not_one = "gives each task's head features of its own",
    .settings_size = sizeof(settings),
    .read = read,
    .build = build,
};

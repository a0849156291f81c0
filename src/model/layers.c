/* model/layers.c: the layers with parameters: shapes, PyTorch's names, layouts and initial values.
 */
#include <math.h>
#include <stdio.h>

#include "base/rng.h"
#include "model/net.h"

static const float batch_norm_eps = 1e-5f, batch_norm_momentum = 0.1f;

/* PyTorch: kaiming_uniform(a = sqrt(5)) is U(+-1/sqrt(fan_in)); Glorot and Bengio 2010; He 2015. */
static void set_weight_init(const tdm__net *net, tdm__segment *s, double fan_in, double fan_out)
{
    switch (net->scheme) {
    case TDM__SCHEME_DEFAULT:
        s->init = TDM__INIT_UNIFORM;
        s->init_value = 1 / sqrt(fan_in);
        break;
    case TDM__SCHEME_XAVIER_NORMAL:
        s->init = TDM__INIT_NORMAL;
        s->init_value = sqrt(2 / (fan_in + fan_out));
        break;
    case TDM__SCHEME_XAVIER_UNIFORM:
        s->init = TDM__INIT_UNIFORM;
        s->init_value = sqrt(6 / (fan_in + fan_out));
        break;
    case TDM__SCHEME_KAIMING_NORMAL:
        s->init = TDM__INIT_NORMAL;
        s->init_value = sqrt(2 / fan_in);
        break;
    case TDM__SCHEME_KAIMING_UNIFORM:
        s->init = TDM__INIT_UNIFORM;
        s->init_value = sqrt(6 / fan_in);
        break;
    case TDM__SCHEME_KAIMING_NORMAL_OUT:
        s->init = TDM__INIT_NORMAL;
        s->init_value = sqrt(2 / fan_out);
        break;
    }
}

/* The variable `name`, which is emptied. */
static tdm_value variable_named(tdm__net *net, tdm__str *name, tdm__segment s)
{
    const tdm_status status = tdm__str_status(name);
    s.name = name->text;
    const tdm_value v = status ? tdm_graph_fail(net->graph, status, "%s", tdm_last_error())
                               : tdm__net_variable_for(net, &s);
    tdm__str_free(name);
    return v;
}

/* layer.part.TASK of the task that the trunk is built for. */
static tdm_value own_variable(tdm__net *net, const char *layer, const char *part, tdm__segment s)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.%s.%s", layer, part, net->task);
    return variable_named(net, &name, s);
}

/* W_t = W + U_t V_t: what all tasks share, and a matrix of low rank of the task's own. U (outputs,
 * rank) begins as 0, so that training begins with shared weights; V (rank, inputs, taps) begins as
 * a W does. In every device layout the outputs (the inputs, of a transposed convolution) come last:
 * W is a matrix (rest, outputs), and the product one small dense layer. The sum costs one addition
 * per weight and nothing per pixel; the other way to compute the same, a convolution of `rank`
 * channels and a 1x1 one beside the layer, would read the activations once more in both directions.
 */
static tdm_value add_low_rank(tdm__net *net, const char *layer, const tdm__segment *of, tdm_value w)
{
    tdm_graph *g = net->graph;
    const tdm_desc *desc = tdm_graph_desc(g, w);
    if (!desc) return TDM_NO_VALUE;
    const tdm_desc shape = *desc;
    const int64_t factors[2] = {-1, net->rank};
    const tdm__segment u = {.disk = tdm_desc_2(TDM_F32, of->disk.dim[0], net->rank),
                            .layout = TDM__LAYOUT_DENSE,
                            .kind = TDM__SEGMENT_PARAM,
                            .decay = true,
                            .init = TDM__INIT_ZERO};
    tdm__segment v = *of;
    v.disk.dim[0] = net->rank;
    const tdm_value left = tdm_reshape(g, own_variable(net, layer, "v", v), 2, factors);
    const tdm_value right = own_variable(net, layer, "u", u);
    const tdm_value product = tdm_dense(g, left, right, TDM_NO_VALUE);
    return tdm_add(g, w, tdm_reshape(g, product, shape.rank, shape.dim));
}

/* s: shape and layout. */
static tdm_value weight(tdm__net *net, const char *layer, tdm__segment s, double fan_in,
                        double fan_out)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.weight", layer);
    s.kind = TDM__SEGMENT_PARAM;
    s.decay = true;
    set_weight_init(net, &s, fan_in, fan_out);
    const tdm_value w = variable_named(net, &name, s);
    return net->task && net->rank > 0 ? add_low_rank(net, layer, &s, w) : w;
}

static tdm_value bias(tdm__net *net, const char *layer, int64_t n, double fan_in)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.bias", layer);
    tdm__segment s = {.disk = tdm_desc_1(TDM_F32, n), .kind = TDM__SEGMENT_PARAM};
    if (net->scheme == TDM__SCHEME_DEFAULT) {
        s.init = TDM__INIT_UNIFORM;
        s.init_value = 1 / sqrt(fan_in);
    }
    return variable_named(net, &name, s);
}

/* The channel count of an N,H,W,C value, or a failure. */
static int64_t channels_of(tdm__net *net, const char *layer, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d) return 0;
    if (d->rank == 4) return d->dim[3];
    char text[64];
    tdm_graph_fail(net->graph, TDM_ERR_SHAPE, "%s%s: needs an image (N,H,W,C), has %s",
                   tdm__str_text(&net->scope), layer, tdm_desc_text(d, text, sizeof text));
    return 0;
}

tdm_value tdm__layer_conv2d(tdm__net *net, const char *name, tdm_value x, int64_t out_channels,
                            const tdm_conv2d_attrs *a, bool with_bias)
{
    const int64_t c = channels_of(net, name, x);
    if (c < 1) return TDM_NO_VALUE;
    if (c % a->groups || out_channels % a->groups)
        return tdm_graph_fail(net->graph, TDM_ERR_CONFIG,
                              "%s%s: %d groups do not divide %lld input and %lld output channels",
                              tdm__str_text(&net->scope), name, (int)a->groups, (long long)c,
                              (long long)out_channels);
    const int64_t inputs = c / a->groups; /* that an output channel is made of */
    const double taps = (double)a->kernel[0] * a->kernel[1], fan_in = (double)inputs * taps;
    const tdm_desc disk = tdm_desc_4(TDM_F32, out_channels, inputs, a->kernel[0], a->kernel[1]);
    const tdm__segment kernel = {.disk = disk, .layout = TDM__LAYOUT_CONV};
    const tdm_value w = weight(net, name, kernel, fan_in, (double)out_channels * taps);
    const tdm_value b = with_bias ? bias(net, name, out_channels, fan_in) : TDM_NO_VALUE;
    tdm_graph_push(net->graph, name);
    const tdm_value y = tdm_conv2d(net->graph, x, w, b, a);
    tdm_graph_pop(net->graph);
    return tdm__net_tap_add(net, name, y);
}

tdm_value tdm__layer_conv_transpose2d(tdm__net *net, const char *name, tdm_value x,
                                      int64_t out_channels, const tdm_conv2d_attrs *a,
                                      bool with_bias)
{
    const int64_t c = channels_of(net, name, x);
    if (c < 1) return TDM_NO_VALUE;
    const double taps = (double)a->kernel[0] * a->kernel[1];
    const tdm_desc disk = tdm_desc_4(TDM_F32, c, out_channels, a->kernel[0], a->kernel[1]);
    /* PyTorch takes dimension 1 of the weight, here the output channels, as fan_in. */
    const tdm__segment kernel = {.disk = disk, .layout = TDM__LAYOUT_CONV, .transposed = true};
    const tdm_value w = weight(net, name, kernel, (double)out_channels * taps, (double)c * taps);
    const tdm_value b =
        with_bias ? bias(net, name, out_channels, (double)out_channels * taps) : TDM_NO_VALUE;
    tdm_graph_push(net->graph, name);
    const tdm_value y = tdm_conv_transpose2d(net->graph, x, w, b, a);
    tdm_graph_pop(net->graph);
    return tdm__net_tap_add(net, name, y);
}

tdm_value tdm__layer_dense(tdm__net *net, const char *name, tdm_value x, int64_t out_features,
                           bool with_bias, const int64_t flat_chw[3])
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d) return TDM_NO_VALUE;
    if (d->rank != 2) {
        char text[64];
        return tdm_graph_fail(net->graph, TDM_ERR_SHAPE,
                              "%s%s: dense needs (N,C), has %s (hint: put \"flatten\" before it)",
                              tdm__str_text(&net->scope), name,
                              tdm_desc_text(d, text, sizeof text));
    }
    const int64_t c = d->dim[1];
    const tdm_desc disk = tdm_desc_2(TDM_F32, out_features, c);
    tdm__segment matrix = {.disk = disk, .layout = TDM__LAYOUT_DENSE};
    if (flat_chw) {
        matrix.layout = TDM__LAYOUT_DENSE_FLAT;
        matrix.flat_c = flat_chw[0], matrix.flat_h = flat_chw[1], matrix.flat_w = flat_chw[2];
    }
    const tdm_value w = weight(net, name, matrix, (double)c, (double)out_features);
    const tdm_value b = with_bias ? bias(net, name, out_features, (double)c) : TDM_NO_VALUE;
    tdm_graph_push(net->graph, name);
    const tdm_value y = tdm_dense(net->graph, x, w, b);
    tdm_graph_pop(net->graph);
    return tdm__net_tap_add(net, name, y);
}

static tdm_value channel_variable(tdm__net *net, const char *layer, const char *part, int64_t c,
                                  tdm__segment_kind kind, float value)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.", layer);
    if (net->task) tdm__str_addf(&name, "%s.", net->task);
    tdm__str_add(&name, part);
    tdm__segment s = {.kind = kind, .init_value = value};
    s.disk = kind == TDM__SEGMENT_COUNTER ? tdm_desc_scalar() : tdm_desc_1(TDM_F32, c);
    s.init = value == 0 ? TDM__INIT_ZERO : TDM__INIT_CONSTANT;
    return variable_named(net, &name, s);
}

/* A layer's batch norm, or only the task's own of it. */
static bool norm_frozen(tdm__net *net, const char *layer)
{
    tdm__str own = {0};
    bool frozen = tdm__net_frozen(net, layer);
    if (net->task && !frozen) {
        tdm__str_addf(&own, "%s.%s", layer, net->task);
        frozen = tdm__net_frozen(net, tdm__str_text(&own));
        tdm__str_free(&own);
    }
    return frozen;
}

tdm_value tdm__layer_batch_norm(tdm__net *net, const char *name, tdm_value x)
{
    const tdm_desc *d = tdm_graph_desc(net->graph, x);
    if (!d) return TDM_NO_VALUE;
    const int64_t c = d->dim[d->rank - 1];
    const tdm_value gamma = channel_variable(net, name, "weight", c, TDM__SEGMENT_PARAM, 1);
    const tdm_value beta = channel_variable(net, name, "bias", c, TDM__SEGMENT_PARAM, 0);
    const tdm_value mean = channel_variable(net, name, "running_mean", c, TDM__SEGMENT_STATE, 0);
    const tdm_value var = channel_variable(net, name, "running_var", c, TDM__SEGMENT_STATE, 1);
    const tdm_value counter =
        channel_variable(net, name, "num_batches_tracked", 1, TDM__SEGMENT_COUNTER, 0);
    const tdm_batch_norm_attrs attrs = {batch_norm_eps, batch_norm_momentum};
    tdm_graph_push(net->graph, name);
    const bool still = !net->training || norm_frozen(net, name);
    const tdm_value y =
        still ? tdm_batch_norm_eval(net->graph, x, gamma, beta, mean, var, &attrs)
              : tdm_batch_norm_train(net->graph, x, gamma, beta, mean, var, counter, &attrs);
    tdm_graph_pop(net->graph);
    return tdm__net_tap_add(net, name, y);
}

tdm_value tdm__layer_dropout(tdm__net *net, const char *name, tdm_value x, float p)
{
    if (tdm__net_frozen(net, name) || !net->training || p == 0) return x;
    /* The stream follows from the layer's name: the same whatever other heads are built. */
    char full[192];
    snprintf(full, sizeof full, "%s%s%s", tdm__str_text(&net->scope), name,
             net->task ? net->task : "");
    return tdm_dropout(net->graph, x, p, (uint32_t)tdm__rng_stream(full, 0, 0));
}

/* ops/normalize.c: y = x scale[c] + shift[c] from bytes or floats, with constants of at most 16
 * channels: images travel to the device as bytes and become normalised floats there. */
#include "ops/common.h"

#include <stddef.h>

#include <tandem/ops.h>

enum { MOST_CHANNELS = 16 };

typedef struct normalize_attrs {
    int32_t channels;
    float scale[MOST_CHANNELS], shift[MOST_CHANNELS];
} normalize_attrs;

static const tdm__attr attrs[] = {
    {"channels", 'i', offsetof(normalize_attrs, channels), 1},
    {"scale", 'f', offsetof(normalize_attrs, scale), MOST_CHANNELS},
    {"shift", 'f', offsetof(normalize_attrs, shift), MOST_CHANNELS},
};

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    const normalize_attrs *a = io->attrs;
    const tdm_desc *x = &io->in[0];
    char text[96];
    if (a->channels < 1 || a->channels > MOST_CHANNELS)
        return tdm__fail(TDM_ERR_SHAPE, "channels: must be 1 to %d, got %d", MOST_CHANNELS,
                         (int)a->channels);
    if (x->dtype != TDM_U8 && x->dtype != TDM_F32)
        return tdm__fail(TDM_ERR_SHAPE, "x: must be u8 or f32, got %s",
                         tdm_desc_text(x, text, sizeof text));
    if (x->rank < 1 || x->dim[x->rank - 1] != a->channels)
        return tdm__fail(TDM_ERR_SHAPE, "x: must have %d channels like scale and shift, got %s",
                         (int)a->channels, tdm_desc_text(x, text, sizeof text));
    out[0] = *x;
    out[0].dtype = TDM_F32;
    return TDM_OK;
}

static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    const normalize_attrs *a = node->io->attrs;
    const float none[MOST_CHANNELS] = {0};
    if (need[0]) din[0] = tdm_normalize(g, dout[0], a->scale, none, a->channels);
    return TDM_OK;
}

static void reference(const tdm__ref *ref)
{
    const normalize_attrs *a = ref->io->attrs;
    int64_t n = tdm_desc_count(&ref->io->out[0]);
    for (int64_t i = 0; i < n; i++) {
        int64_t c = i % a->channels;
        ref->out[0][i] = ref->in[0][i] * (double)a->scale[c] + (double)a->shift[c];
    }
}

static tdm_status prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    const normalize_attrs *a = io->attrs;
    bool bytes = io->in[0].dtype == TDM_U8;
    tdm__kernel *k = tdm__emit_elements(b, bytes ? "normalize_u8" : "normalize_f32", 2);
    tdm__arg_i32(k, a->channels);
    for (int c = 0; c < MOST_CHANNELS; c++) tdm__arg_f32(k, (double)a->scale[c]);
    for (int c = 0; c < MOST_CHANNELS; c++) tdm__arg_f32(k, (double)a->shift[c]);
    return TDM_OK;
}

static const tdm__variant variants[] = {{"flat", TDM__ON_ANY, .prepare = prepare}};

static const normalize_attrs grey = {1, {1 / 255.0f}, {-0.5f}},
                             colour = {3, {0.01f, 0.02f, 0.03f}, {-1, 0.5f, 2}},
                             seven = {7, {1, 2, 3, 4, 5, 6, 7}, {7, 6, 5, 4, 3, 2, 1}},
                             sixteen = {16,
                                        {1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7, 8, -8},
                                        {0.5f, 0, 0.25f}},
                             none = {0}, many = {17};
#define BYTES                                                                                      \
    {TDM__FILL_INDEX},                                                                             \
    {                                                                                              \
        256                                                                                        \
    }
static const tdm__sample samples[] = {
    {"grey bytes", &grey, 1, {TDM__U8(2, 5, 7, 1)}, BYTES},
    {"colour bytes", &colour, 1, {TDM__U8(2, 5, 7, 3)}, BYTES},
    {"colour 16 pixels", &colour, 1, {TDM__U8(1, 4, 4, 3)}, BYTES},
    {"colour two spans", &colour, 1, {TDM__U8(1, 73, 79, 3)}, BYTES},
    {"colour floats", &colour, 1, {TDM__F32(1, 73, 79, 3)}},
    {"seven", &seven, 1, {TDM__F32(2, 11, 7)}},
    {"sixteen", &sixteen, 1, {TDM__F32(3, 16)}},
};
static const tdm__reject rejects[] = {
    {"none", &none, 1, {TDM__U8(1, 2, 2, 1)}, TDM_ERR_SHAPE, "channels: must be 1 to 16, got 0"},
    {"many", &many, 1, {TDM__U8(1, 2, 2, 17)}, TDM_ERR_SHAPE, "channels: must be 1 to 16, got 17"},
    {"channels",
     &colour,
     1,
     {TDM__U8(1, 2, 2, 4)},
     TDM_ERR_SHAPE,
     "x: must have 3 channels like scale and shift, got u8[1,2,2,4]"},
    {"type",
     &colour,
     1,
     {TDM__I32(1, 2, 2, 3)},
     TDM_ERR_SHAPE,
     "x: must be u8 or f32, got i32[1,2,2,3]"},
};

const tdm_op tdm__op_normalize = {
    .name = "normalize",
    .attr_size = sizeof(normalize_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = infer,
    .gradient = gradient,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
};

tdm_value tdm_normalize(tdm_graph *g, tdm_value x, const float *scale, const float *shift, int c)
{
    normalize_attrs a = {.channels = c};
    for (int i = 0; i < c && i < MOST_CHANNELS; i++) a.scale[i] = scale[i], a.shift[i] = shift[i];
    return tdm__op_append(g, &tdm__op_normalize, &x, 1, &a);
}

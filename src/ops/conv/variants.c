/* ops/conv/variants.c: the algorithms of the convolutions, and which one is taken by default: a
 * pure function of the device's traits and the shape.
 *
 * Operations that make an image from an image differ only in which of their tensors is the big one:
 * conv2d reads it, the data gradient and the transposed convolution write it.
 */
#include "ops/conv/conv.h"

/* The optional bias is input 2. */
static int bias_of(const tdm__io *io)
{
    return io->n_in > 2 ? 2 : -1;
}

static tdm__conv conv_of(const tdm__io *io, bool to_big)
{
    return to_big ? tdm__conv_of_images(io->attrs, &io->out[0], &io->in[0])
                  : tdm__conv_of_images(io->attrs, &io->in[0], &io->out[0]);
}

static bool winograd_pays(const tdm__traits *traits, const tdm__conv *c, const int64_t out[2])
{
    return c->c >= 2 * traits->vector_width && c->k >= 2 * traits->vector_width &&
           tdm__conv_winograd_fills_tiles(out);
}

/* im2col needs CLBlast; where that turns out not to be usable the implicit product takes its place,
 * in the same workspace. */
static uint64_t or_instead(uint64_t bytes, uint64_t others)
{
    return bytes > others ? bytes : others;
}

/* GPU style: the transforms move 2.25 floats for each of both images, twice, against 18 C K
 * operations a pixel of which 3/4 are saved: fewer channels are limited by memory either way. */
enum { GPU_CHANNELS = 64 };

static bool winograd_gpu_pays(const tdm__conv *c, const int64_t out[2])
{
    return c->c >= GPU_CHANNELS && c->k >= GPU_CHANNELS && tdm__conv_winograd_fills_tiles(out);
}

/* Functions of tdm__variant for one direction. */
#define DEFINE_DIRECTION(name, to_big, ...)                                                        \
    static bool name##_implicit_can_run(const tdm__traits *traits, const tdm__io *io)              \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return c.groups == 1 && tdm__conv_gather_can_run(traits, &c, to_big);                      \
    }                                                                                              \
    static uint64_t name##_implicit_workspace(const tdm__traits *traits, const tdm__io *io)        \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_gather_workspace(traits, &c, to_big);                                     \
    }                                                                                              \
    static tdm_status name##_implicit_prepare(tdm__build *b)                                       \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_gather_prepare(b, &c, to_big, bias_of(io));                               \
    }                                                                                              \
    static tdm_status name##_implicit_gpu_prepare(tdm__build *b)                                   \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_gather_gpu_prepare(b, &c, to_big, bias_of(io));                           \
    }                                                                                              \
    static bool name##_whole_can_run(const tdm__traits *traits, const tdm__io *io)                 \
    {                                                                                              \
        (void)traits;                                                                              \
        return conv_of(io, to_big).groups == 1;                                                    \
    }                                                                                              \
    static bool name##_grouped_can_run(const tdm__traits *traits, const tdm__io *io)               \
    {                                                                                              \
        (void)traits;                                                                              \
        return conv_of(io, to_big).groups > 1;                                                     \
    }                                                                                              \
    static tdm_status name##_grouped_prepare(tdm__build *b)                                        \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_grouped_prepare(b, &c, to_big, bias_of(io));                              \
    }                                                                                              \
    static bool name##_winograd_can_run(const tdm__traits *traits, const tdm__io *io)              \
    {                                                                                              \
        (void)traits;                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_can_run(&c);                                                     \
    }                                                                                              \
    static bool name##_winograd_prefer(const tdm__traits *traits, const tdm__io *io)               \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return winograd_pays(traits, &c, to_big ? c.big : c.small);                                \
    }                                                                                              \
    static uint64_t name##_winograd_workspace(const tdm__traits *traits, const tdm__io *io)        \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_workspace(traits, &c, to_big);                                   \
    }                                                                                              \
    static uint64_t name##_winograd_blocks(const tdm__traits *traits, const tdm__io *io)           \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_blocks(traits, &c, to_big);                                      \
    }                                                                                              \
    static tdm_status name##_winograd_prepare(tdm__build *b)                                       \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_prepare(b, &c, to_big, bias_of(io));                             \
    }                                                                                              \
    static bool name##_im2col_can_run(const tdm__traits *traits, const tdm__io *io)                \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_im2col_can_run(traits, &c) &&                                             \
               (traits->style != TDM_STYLE_CPU || tdm__conv_gather_can_run(traits, &c, to_big));   \
    }                                                                                              \
    static uint64_t name##_im2col_workspace(const tdm__traits *traits, const tdm__io *io)          \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return or_instead(                                                                         \
            tdm__conv_im2col_workspace(&c),                                                        \
            traits->style == TDM_STYLE_CPU ? tdm__conv_gather_workspace(traits, &c, to_big) : 0);  \
    }                                                                                              \
    static tdm_status name##_im2col_prepare(tdm__build *b)                                         \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        if (tdm__clblast_usable(tdm__build_device(b)))                                             \
            return tdm__conv_im2col_##name(b, &c, bias_of(io));                                    \
        return tdm__build_is_cpu(b) ? name##_implicit_prepare(b) : name##_implicit_gpu_prepare(b); \
    }                                                                                              \
    static bool name##_winograd_gpu_can_run(const tdm__traits *traits, const tdm__io *io)          \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_gpu_can_run(traits, &c);                                         \
    }                                                                                              \
    static bool name##_winograd_gpu_prefer(const tdm__traits *traits, const tdm__io *io)           \
    {                                                                                              \
        (void)traits;                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return winograd_gpu_pays(&c, to_big ? c.big : c.small);                                    \
    }                                                                                              \
    static uint64_t name##_winograd_gpu_workspace(const tdm__traits *traits, const tdm__io *io)    \
    {                                                                                              \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_gpu_workspace(traits, &c, to_big);                               \
    }                                                                                              \
    static tdm_status name##_winograd_gpu_prepare(tdm__build *b)                                   \
    {                                                                                              \
        const tdm__io *io = tdm__build_io(b);                                                      \
        tdm__conv c = conv_of(io, to_big);                                                         \
        return tdm__conv_winograd_gpu_prepare(b, &c, to_big, bias_of(io));                         \
    }                                                                                              \
    const tdm__variant tdm__conv_##name##_variants[] = {                                           \
        __VA_ARGS__{"winograd", TDM__ON_CPU, .loads = 1, .can_run = name##_winograd_can_run,       \
                    .prefer = name##_winograd_prefer, .workspace = name##_winograd_workspace,      \
                    .statistics = name##_winograd_blocks, .prepare = name##_winograd_prepare},     \
        {"implicit", TDM__ON_CPU, .loads = 1, .can_run = name##_implicit_can_run,                  \
         .workspace = name##_implicit_workspace, .prepare = name##_implicit_prepare},              \
        {"winograd", TDM__ON_GPU, .can_run = name##_winograd_gpu_can_run,                          \
         .prefer = name##_winograd_gpu_prefer, .workspace = name##_winograd_gpu_workspace,         \
         .prepare = name##_winograd_gpu_prepare},                                                  \
        {"implicit", TDM__ON_GPU, .can_run = name##_whole_can_run,                                 \
         .prepare = name##_implicit_gpu_prepare},                                                  \
        {"grouped", TDM__ON_ANY, .can_run = name##_grouped_can_run,                                \
         .prepare = name##_grouped_prepare},                                                       \
        {"clblast-im2col", TDM__ON_ANY, .candidate = true, .can_run = name##_im2col_can_run,       \
         .workspace = name##_im2col_workspace, .prepare = name##_im2col_prepare},                  \
    }

static bool scatter_can_run(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = conv_of(io, true);
    return c.groups == 1 && tdm__conv_scatter_can_run(traits, &c);
}

static uint64_t scatter_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = conv_of(io, true);
    return tdm__conv_scatter_workspace(traits, &c);
}

static tdm_status scatter_prepare(tdm__build *b)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__conv c = conv_of(io, true);
    return tdm__conv_scatter_prepare(b, &c, bias_of(io));
}

DEFINE_DIRECTION(to_small, false);
DEFINE_DIRECTION(to_big, true,
                 {"scatter", TDM__ON_CPU, .can_run = scatter_can_run,
                  .workspace = scatter_workspace, .prepare = scatter_prepare}, );

/* ---- filter gradient --------------------------------------------------------------------------
 */

static tdm__conv filter_of(const tdm__io *io)
{
    return tdm__conv_of_images(io->attrs, &io->in[0], &io->in[1]);
}

static bool filter_implicit_can_run(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return c.groups == 1 && tdm__conv_filter_can_run(traits, &c);
}

static uint64_t filter_implicit_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_filter_workspace(traits, &c);
}

static tdm_status filter_implicit_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_filter_prepare(b, &c);
}

static uint64_t filter_implicit_gpu_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_filter_gpu_workspace(traits, &c);
}

static tdm_status filter_implicit_gpu_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_filter_gpu_prepare(b, &c);
}

static bool filter_winograd_can_run(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    tdm__conv c = filter_of(io);
    return tdm__conv_winograd_can_run(&c);
}

static bool filter_winograd_prefer(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return winograd_pays(traits, &c, c.small);
}

static uint64_t filter_winograd_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_winograd_filter_workspace(traits, &c);
}

static tdm_status filter_winograd_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_winograd_filter_prepare(b, &c);
}

static bool filter_pointwise_can_run(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_pointwise_can_run(&c) &&
           tdm__conv_pointwise_filter_workspace(&c) <= traits->max_allocation;
}

/* Narrower products are limited by packing the images. */
static bool filter_pointwise_prefer(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return c.c >= 2 * traits->vector_width && c.k >= 2 * traits->vector_width;
}

static uint64_t filter_pointwise_workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    tdm__conv c = filter_of(io);
    return or_instead(tdm__conv_pointwise_filter_workspace(&c),
                      io->n_out == 2 ? tdm__channel_sum_workspace(&io->in[1]) : 0);
}

static tdm_status filter_pointwise_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_pointwise_filter_prepare(b, &c);
}

static bool filter_im2col_can_run(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_im2col_can_run(traits, &c) &&
           (traits->style != TDM_STYLE_CPU || tdm__conv_filter_can_run(traits, &c));
}

static uint64_t filter_im2col_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    uint64_t own =
        or_instead(tdm__conv_im2col_workspace(&c), tdm__channel_sum_workspace(&io->in[1]));
    return or_instead(own, traits->style == TDM_STYLE_CPU
                               ? tdm__conv_filter_workspace(traits, &c)
                               : tdm__conv_filter_gpu_workspace(traits, &c));
}

static tdm_status filter_im2col_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    if (tdm__clblast_usable(tdm__build_device(b))) return tdm__conv_im2col_filter(b, &c);
    return tdm__build_is_cpu(b) ? tdm__conv_filter_prepare(b, &c)
                                : tdm__conv_filter_gpu_prepare(b, &c);
}

static bool filter_whole_can_run(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return filter_of(io).groups == 1;
}

static bool filter_grouped_can_run(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return filter_of(io).groups > 1;
}

static uint64_t filter_grouped_workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    tdm__conv c = filter_of(io);
    return tdm__conv_grouped_filter_workspace(&c);
}

static tdm_status filter_grouped_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_grouped_filter_prepare(b, &c);
}

static bool filter_winograd_gpu_can_run(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_winograd_gpu_can_run(traits, &c);
}

static bool filter_winograd_gpu_prefer(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    tdm__conv c = filter_of(io);
    return winograd_gpu_pays(&c, c.small);
}

static uint64_t filter_winograd_gpu_workspace(const tdm__traits *traits, const tdm__io *io)
{
    tdm__conv c = filter_of(io);
    return tdm__conv_winograd_gpu_filter_workspace(traits, &c);
}

static tdm_status filter_winograd_gpu_prepare(tdm__build *b)
{
    tdm__conv c = filter_of(tdm__build_io(b));
    return tdm__conv_winograd_gpu_filter_prepare(b, &c);
}

const tdm__variant tdm__conv_filter_variants[TDM__N_CONV_FILTER_VARIANTS] = {
    {"winograd", TDM__ON_CPU, .loads = 1, .can_run = filter_winograd_can_run,
     .prefer = filter_winograd_prefer, .workspace = filter_winograd_workspace,
     .prepare = filter_winograd_prepare},
    {"gemm", TDM__ON_CPU, .can_run = filter_pointwise_can_run, .prefer = filter_pointwise_prefer,
     .workspace = filter_pointwise_workspace, .prepare = filter_pointwise_prepare},
    {"implicit", TDM__ON_CPU, .loads = 3, .can_run = filter_implicit_can_run,
     .workspace = filter_implicit_workspace, .prepare = filter_implicit_prepare},
    {"winograd", TDM__ON_GPU, .can_run = filter_winograd_gpu_can_run,
     .prefer = filter_winograd_gpu_prefer, .workspace = filter_winograd_gpu_workspace,
     .prepare = filter_winograd_gpu_prepare},
    {"implicit", TDM__ON_GPU, .can_run = filter_whole_can_run,
     .workspace = filter_implicit_gpu_workspace, .prepare = filter_implicit_gpu_prepare},
    {"grouped", TDM__ON_ANY, .can_run = filter_grouped_can_run,
     .workspace = filter_grouped_workspace, .prepare = filter_grouped_prepare},
    {"clblast-im2col", TDM__ON_ANY, .candidate = true, .can_run = filter_im2col_can_run,
     .workspace = filter_im2col_workspace, .prepare = filter_im2col_prepare},
};

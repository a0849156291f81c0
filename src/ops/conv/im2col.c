/* ops/conv/im2col.c: convolutions as plain matrix products by CLBlast, with the launches of
 * cl/conv/im2col.cl around them. Nobody's default: it moves every input once per tap. On a device
 * whose CLBlast is well tuned it may win all the same, which `bench tune` finds out.
 *
 * cols holds some whole images at a time, as many as fit into MOST_FLOATS, at least one.
 */
#include "ops/conv/conv.h"
#include "ops/gemm.h"

#define FILE_CL "conv/im2col.cl"
#define MOST_FLOATS (16u << 20)

typedef struct columns {
    uint64_t pixels, width; /* of one image, of one pixel: cols is (images * pixels, width) */
    uint64_t images;        /* at a time */
} columns;

static columns columns_of(const tdm__conv *c)
{
    columns s = {.pixels = (uint64_t)(c->small[0] * c->small[1]),
                 .width = (uint64_t)(c->kernel[0] * c->kernel[1] * c->c)};
    uint64_t one = s.pixels * s.width;
    s.images = one && one < MOST_FLOATS ? MOST_FLOATS / one : 1;
    if (s.images > (uint64_t)c->n) s.images = (uint64_t)c->n;
    return s;
}

uint64_t tdm__conv_im2col_workspace(const tdm__conv *c)
{
    columns s = columns_of(c);
    return 4 * s.images * s.pixels * s.width;
}

bool tdm__conv_im2col_can_run(const tdm__traits *traits, const tdm__conv *c)
{
    columns s = columns_of(c);
    /* kernels count taps times channels, and rows, in 32 bits */
    return c->n > 0 && c->groups == 1 && s.width <= INT32_MAX &&
           tdm__conv_im2col_workspace(c) <= traits->max_allocation;
}

static void arg_geometry(tdm__kernel *k, const tdm__conv *c, uint64_t image)
{
    tdm__arg_i32(k, (int64_t)image);
    const int64_t sizes[] = {c->big[0], c->big[1], c->c, c->small[0], c->small[1]};
    for (int i = 0; i < TDM__COUNT(sizes); i++) tdm__arg_i32(k, sizes[i]);
    const int64_t *pairs[] = {c->kernel, c->stride, c->padding, c->dilation};
    for (int i = 0; i < TDM__COUNT(pairs); i++)
        for (int j = 0; j < 2; j++) tdm__arg_i32(k, pairs[i][j]);
}

void tdm__conv_emit_im2col(tdm__build *b, const tdm__conv *c, uint64_t first, uint64_t images)
{
    const columns s = columns_of(c);
    tdm__kernel *k = tdm__emit(b, FILE_CL, "conv_im2col", "");
    tdm__arg_in(k, 0);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_rows(b, k, images * (uint64_t)c->small[0], (uint64_t)(c->small[1] * c->c));
    arg_geometry(k, c, first);
    tdm__cost(k, 0, 8.0 * (double)(images * s.pixels * s.width));
}

static tdm__view at(tdm__view view, uint64_t elements)
{
    view.offset += 4 * elements;
    return view;
}

tdm_status tdm__conv_im2col_to_small(tdm__build *b, const tdm__conv *c, int bias)
{
    const columns s = columns_of(c);
    const uint64_t k = (uint64_t)c->k, n = (uint64_t)c->n;
    const float beta = tdm__build_io(b)->accumulate ? 1.0f : 0.0f;
    for (uint64_t i = 0; i < n; i += s.images) {
        const uint64_t images = n - i < s.images ? n - i : s.images;
        tdm__conv_emit_im2col(b, c, i, images);
        tdm__emit_clblast_gemm(b, false, false, images * s.pixels, k, s.width, 1.0f,
                               tdm__build_workspace(b, 0), s.width, tdm__build_in(b, 1), k, beta,
                               at(tdm__build_out(b, 0), i * s.pixels * k), k);
    }
    tdm__gemm_epilogue(b, bias, n * s.pixels, k);
    return TDM_OK;
}

tdm_status tdm__conv_im2col_to_big(tdm__build *b, const tdm__conv *c, int bias)
{
    const columns s = columns_of(c);
    const uint64_t k = (uint64_t)c->k, n = (uint64_t)c->n;
    for (uint64_t i = 0; i < n; i += s.images) {
        const uint64_t images = n - i < s.images ? n - i : s.images;
        tdm__emit_clblast_gemm(b, false, true, images * s.pixels, s.width, k, 1.0f,
                               at(tdm__build_in(b, 0), i * s.pixels * k), k, tdm__build_in(b, 1), k,
                               0.0f, tdm__build_workspace(b, 0), s.width);
        tdm__kernel *sum = tdm__emit(b, FILE_CL, "conv_col2im", "");
        tdm__arg_workspace(sum, 0, sizeof(float));
        tdm__arg_out(sum, 0);
        tdm__arg_epilogue(sum, bias);
        tdm__arg_rows(b, sum, images * (uint64_t)c->big[0], (uint64_t)(c->big[1] * c->c));
        arg_geometry(sum, c, i);
        tdm__arg_i32(sum, tdm__build_io(b)->accumulate);
        tdm__cost(sum, (double)(images * s.pixels * s.width),
                  4.0 * (double)(images * s.pixels * s.width));
    }
    return TDM_OK;
}

tdm_status tdm__conv_im2col_filter(tdm__build *b, const tdm__conv *c)
{
    const columns s = columns_of(c);
    const uint64_t k = (uint64_t)c->k, n = (uint64_t)c->n;
    const bool accumulate = tdm__build_io(b)->accumulate;
    for (uint64_t i = 0; i < n; i += s.images) {
        const uint64_t images = n - i < s.images ? n - i : s.images;
        tdm__conv_emit_im2col(b, c, i, images);
        tdm__emit_clblast_gemm(b, true, false, s.width, k, images * s.pixels, 1.0f,
                               tdm__build_workspace(b, 0), s.width,
                               at(tdm__build_in(b, 1), i * s.pixels * k), k,
                               i || accumulate ? 1.0f : 0.0f, tdm__build_out(b, 0), k);
    }
    if (tdm__build_io(b)->n_out == 2) tdm__channel_sum_emit(b, 1, 1, false);
    return TDM_OK;
}

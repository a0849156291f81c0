/* ops/common.h: what most operations share: appending nodes, checks of inputs, launch geometry. */
#ifndef OPS_COMMON_H
#define OPS_COMMON_H

#include "graph/op.h"
#include "ops/registry.h"

#define TDM__COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* A descriptor's tables, with their lengths. */
#define TDM__TABLES(variant_table, sample_table, reject_table)                                     \
    .variants = (variant_table), .n_variants = TDM__COUNT(variant_table),                          \
    .samples = (sample_table), .n_samples = TDM__COUNT(sample_table), .rejects = (reject_table),   \
    .n_rejects = TDM__COUNT(reject_table)
#define TDM__BENCH(table) .bench = (table), .n_bench = TDM__COUNT(table)
#define TDM__ATTRS(table) .attrs = (table), .n_attrs = TDM__COUNT(table)

/* Types and shapes of samples and rejects, as initialisers: TDM__F32(4, 7, 7, 3);
 * a scalar; an input that is not there. */
#define TDM__TENSOR(type, ...)                                                                     \
    {                                                                                              \
        type, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)),                           \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define TDM__SCALAR                                                                                \
    {                                                                                              \
        TDM_F32, 0                                                                                 \
    }
#define TDM__ABSENT                                                                                \
    {                                                                                              \
        TDM_NONE, 0                                                                                \
    }
#define TDM__F32(...) TDM__TENSOR(TDM_F32, __VA_ARGS__)
#define TDM__I32(...) TDM__TENSOR(TDM_I32, __VA_ARGS__)
#define TDM__U8(...) TDM__TENSOR(TDM_U8, __VA_ARGS__)

/* What every public builder calls in place of tdm__graph_node: makes sure that sums of gradients
 * can be built before any gradient is asked for. Thread-safe. */
tdm_value tdm__op_append(tdm_graph *graph, const tdm_op *op, const tdm_value *inputs, int n,
                         const void *attrs);

/* ---- checks in infer: the message begins with the input's name ----------------------------------
 */

/* dtype and rank (-1: any) of an input. */
tdm_status tdm__expect(const tdm__io *io, int input, const char *name, tdm_dtype dtype, int rank);
/* Input has just this type and shape. */
tdm_status tdm__expect_desc(const tdm__io *io, int input, const char *name, tdm_desc want);
/* Input b has the shape and type of input a. */
tdm_status tdm__expect_same(const tdm__io *io, int b, const char *name_b, int a,
                            const char *name_a);
/* Input is f32[channels], where channels is the last axis of input `of`. */
tdm_status tdm__expect_channels(const tdm__io *io, int input, const char *name, int of);

/* Infer of y = f(a, b), element by element: f32, equal shapes. */
tdm_status tdm__infer_pair(const tdm__io *io, tdm_desc *out, const char *name_a,
                           const char *name_b);

/* Elements before the last axis, and the last axis (1 for a scalar). */
void tdm__rows(const tdm_desc *desc, uint64_t *rows, uint64_t *channels);

/* ---- launches ----------------------------------------------------------------------------------
 */

/* A launch that begins with all inputs, absent ones too, and all outputs. */
tdm__kernel *tdm__emit_operands(tdm__build *b, const char *file, const char *kernel);
/* The same of elementwise.cl, with (ulong n, int span) over the elements of output 0, and the
 * range. flops: per element. */
tdm__kernel *tdm__emit_elements(tdm__build *b, const char *kernel, double flops);

/* ---- launch geometry of the kernels that use LANES (cl/common.cl) -------------------------------
 */

/* About this many elements make one work-item of CPU style: a fixed number, so that results and
 * partial sums never depend on the device's compute units. */
enum { TDM__SPAN = 16384 };

/* Arguments (ulong n, int span) and the range: each work-item has `span` consecutive elements. */
void tdm__arg_span(tdm__build *b, tdm__kernel *k, uint64_t n);
/* Arguments (ulong rows, int per_item) and the range. CPU style: a work-item has `per_item`
 * consecutive rows of `width` elements. GPU style: a work-item has one element. */
void tdm__arg_rows(tdm__build *b, tdm__kernel *k, uint64_t rows, uint64_t width);
/* Range of `items` independent work-items: groups of one in CPU style, of the preferred size in GPU
 * style (the kernel ignores items beyond its end). */
void tdm__range_items(tdm__build *b, tdm__kernel *k, uint64_t items);

static inline uint64_t tdm__ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

#endif

/* graph/op.h: the descriptor through which the graph knows an operation. One file per operation in
 * src/ops defines one descriptor per node kind (forward and backward kinds are separate operations).
 * From it the graph infers, differentiates, plans and launches, and the tests derive their cases.
 */
#ifndef GRAPH_OP_H
#define GRAPH_OP_H

#include <tandem/graph.h>

#include "base/str.h"
#include "cl/cl.h"

#define TDM__MAX_OUTPUTS 6
#define TDM__MAX_SAMPLE_INPUTS 8

typedef struct tdm_op tdm_op;

/* ---- what a node looks like ------------------------------------------------------------------ */

enum { TDM__ACT_NONE, TDM__ACT_RELU, TDM__ACT_LEAKY_RELU, TDM__ACT_SIGMOID, TDM__ACT_TANH };

/* What a producer does to its result before storing it, per output channel k (last axis):
 * y = act(scale[k] * (acc + bias[k]) + shift[k] + residual). Bias is an ordinary input of the
 * producer; the rest is put here by the planner's fusion. A producer of a gradient may end with the
 * derivative of an activation instead: y = acc * act'(output of the activation). */
typedef struct tdm__epilogue {
    bool affine, residual;
    bool act_grad; /* act is the activation that is gone back through, and nothing else applies */
    int act; /* TDM__ACT_* */
    float alpha;
} tdm__epilogue;

/* Which parts of an epilogue a producer can absorb. */
enum {
    TDM__FUSE_ACT = 1,
    TDM__FUSE_AFFINE = 2,
    TDM__FUSE_RESIDUAL = 4,
    TDM__FUSE_ACT_GRAD = 8
};

/* What a consumer does to the elements of one of its inputs while it reads them, per channel c of the
 * last axis: act((x - centre[c]) (inverse[c] scale[c]) + shift[c]), a value that was never stored
 * (tdm_op.recipe). Zero padding applies afterwards. Of a gradient: it is multiplied by the derivative
 * of act at that value. */
typedef struct tdm__load {
    int input; /* 1 + the input; 0: none */
    bool act_grad;
    int act; /* TDM__ACT_* */
    float alpha;
} tdm__load;

typedef struct tdm__io {
    const void *attrs; /* the operation's attribute struct */
    int n_in, n_out;
    const tdm_desc *in;  /* n_in; absent inputs have dtype TDM_NONE */
    const tdm_desc *out; /* n_out */
    tdm__epilogue epilogue;
    tdm__load load;
    bool accumulate; /* output 0 is added to what is there */
    bool pending;    /* output 0 is not stored: its readers compute it */
    /* Statistics that a producer leaves for the reader of its output 0, tdm__arg_statistics: in so
     * many blocks of rows; 0: none. */
    uint64_t blocks;
} tdm__io;

/* ---- step scalars ---------------------------------------------------------------------------- */

/* Lives in a device buffer, written once per step; kernels read it as `global const uint *step`. */
typedef struct tdm__step {
    uint32_t seed[2];
    uint32_t step[2]; /* optimiser steps done before this one */
    float lr;         /* learning rate of this step (before group factors) */
    float pad[3];
} tdm__step;

/* ---- host reference -------------------------------------------------------------------------- */

/* All tensors as double, whatever their dtype; absent inputs are NULL. Outputs that update an input
 * (see tdm_op.update) share its array. Not needed: speed. Outputs start as zero unless accumulate. */
typedef struct tdm__ref {
    const tdm__io *io;
    double *const *in;
    double *const *out;
    const tdm__step *step;
} tdm__ref;

/* ---- launches -------------------------------------------------------------------------------- */

/* Collects the launches of one node. Sticky: after a failure all calls do nothing. */
typedef struct tdm__build tdm__build;
typedef struct tdm__kernel tdm__kernel;

tdm_device *tdm__build_device(const tdm__build *b);
const tdm__traits *tdm__build_traits(const tdm__build *b);
const tdm__io *tdm__build_io(const tdm__build *b);
bool tdm__build_is_cpu(const tdm__build *b); /* style == CPU */
tdm_status tdm__build_fail(tdm__build *b, tdm_status status); /* message already set */

/* A new launch. defines: "" or "-D TILE_M=6 ..." (few specialisations: see DESIGN's budget). */
tdm__kernel *tdm__emit(tdm__build *b, const char *file, const char *kernel, const char *defines);
/* Arguments in kernel order. in/out/workspace/step pass a pair (mem, element offset). */
void tdm__arg_in(tdm__kernel *k, int input);   /* absent input: some valid buffer, never to be read */
void tdm__arg_out(tdm__kernel *k, int output);
/* Part of the node's workspace, `offset` bytes from its start (multiple of traits.align), seen as
 * elements of `element` bytes. */
void tdm__arg_workspace(tdm__kernel *k, uint64_t offset, size_t element);
void tdm__arg_step(tdm__kernel *k);
/* The seven EPILOGUE_ARGS of cl/common.cl; bias_input: index of the bias input or -1. */
void tdm__arg_epilogue(tdm__kernel *k, int bias_input);
/* The seven LOAD_ARGS of cl/common.cl. */
void tdm__arg_load(tdm__kernel *k);
/* Per channel of the last axis, [io.blocks][3][channels]: the rows of a block, their mean, the sum of
 * their squared deviations from it. Of output 0 for its producer, of input 0 for the reader. */
void tdm__arg_statistics(tdm__kernel *k);
void tdm__arg_i32(tdm__kernel *k, int64_t v); /* fails when it does not fit */
void tdm__arg_u64(tdm__kernel *k, uint64_t v);
void tdm__arg_f32(tdm__kernel *k, double v);
void tdm__arg_local(tdm__kernel *k, uint64_t bytes);
/* `groups` work-groups of `local` items each: the global size is groups * local. local 0: `groups`
 * items, grouped by the runtime. CPU style: work-groups of one item. */
void tdm__range_1(tdm__kernel *k, uint64_t groups, uint64_t local);
/* Global sizes, multiples of the local ones. local NULL: the runtime's choice. */
void tdm__range(tdm__kernel *k, int dims, const uint64_t *global, const uint64_t *local);
/* Arithmetic and memory traffic of the launch, for bench and profile. Small launches may leave it out;
 * when all of a node's do, the first one is charged with each operand once. */
void tdm__cost(tdm__kernel *k, double flops, double bytes);
/* A CLBlast GEMM among the launches: operands are inputs/outputs/workspace views made with these. */
tdm__view tdm__build_in(const tdm__build *b, int input);
tdm__view tdm__build_out(const tdm__build *b, int output);
tdm__view tdm__build_workspace(const tdm__build *b, uint64_t offset);
void tdm__emit_clblast_gemm(tdm__build *b, bool trans_a, bool trans_b, uint64_t m, uint64_t n,
                            uint64_t k, float alpha, tdm__view a, uint64_t lda, tdm__view bb,
                            uint64_t ldb, float beta, tdm__view c, uint64_t ldc);

typedef struct tdm__variant {
    const char *name; /* "gather", "winograd": named in tuning files and tests */
    unsigned styles;  /* TDM__ON_CPU | TDM__ON_GPU */
    bool candidate;   /* only taken when the tuning file or a test asks for it */
    unsigned loads;   /* bit i: input i may come with a tdm__load (of no activation, or relu) */
    bool (*can_run)(const tdm__traits *traits, const tdm__io *io);              /* NULL: always */
    bool (*prefer)(const tdm__traits *traits, const tdm__io *io); /* false: only when asked for */
    uint64_t (*workspace)(const tdm__traits *traits, const tdm__io *io);        /* bytes; NULL: 0 */
    /* Blocks in which it can bring the statistics of output 0, a number that follows from the shape;
     * NULL: it cannot. Of what it computes, without an epilogue but the bias. */
    uint64_t (*statistics)(const tdm__traits *traits, const tdm__io *io);
    tdm_status (*prepare)(tdm__build *b);
} tdm__variant;
enum { TDM__ON_CPU = 1, TDM__ON_GPU = 2, TDM__ON_ANY = 3 };

/* ---- samples for tests and bench ------------------------------------------------------------- */

typedef enum tdm__fill {
    TDM__FILL_NORMAL,   /* N(0,1) */
    TDM__FILL_UNIFORM,  /* [0,1) */
    TDM__FILL_POSITIVE, /* [0.5, 1.5) */
    TDM__FILL_INDEX,    /* integers in [0, fill_arg) */
    TDM__FILL_LABEL,    /* integers in [0, fill_arg), about 1 in 5 replaced by -1 */
    TDM__FILL_MASK,     /* 0 or 1 */
    TDM__FILL_ZERO,
    TDM__FILL_TIES,     /* max(0, N(0,1)) rounded to 1/4: many equal values */
    TDM__FILL_SPACED    /* a shuffled arithmetic series: no two closer than 0.01 (kinks, maxima) */
} tdm__fill;

typedef struct tdm__sample {
    const char *name;
    const void *attrs;
    int n_in;
    tdm_desc in[TDM__MAX_SAMPLE_INPUTS];
    tdm__fill fill[TDM__MAX_SAMPLE_INPUTS];
    int fill_arg[TDM__MAX_SAMPLE_INPUTS];
} tdm__sample;

/* Inputs that must be refused, with the exact status and message. */
typedef struct tdm__reject {
    const char *name;
    const void *attrs;
    int n_in;
    tdm_desc in[TDM__MAX_SAMPLE_INPUTS];
    tdm_status status;
    const char *message; /* what tdm_last_error contains after the builder's prefix */
} tdm__reject;

/* ---- the descriptor -------------------------------------------------------------------------- */

/* An attribute's name, for printing, hashing and replaying samples elsewhere. */
typedef struct tdm__attr {
    const char *name;
    char type; /* 'i' int32_t, 'f' float, 'b' bool, 'l' int64_t */
    size_t offset;
    int count; /* array length, 1 for scalars */
} tdm__attr;

/* A node as its gradient function sees it. */
typedef struct tdm__node_view {
    const tdm__io *io;
    const tdm_value *in;  /* io->n_in; TDM_NO_VALUE where absent */
    const tdm_value *out; /* io->n_out */
} tdm__node_view;

/* How output 0 follows from another tensor, channel by channel of the last axis, so that it need not
 * be stored: act((in[source] - out[centre]) (out[inverse] in[scale]) + in[shift]), act being the
 * epilogue's. The numbers are those of inputs and outputs. */
typedef struct tdm__recipe {
    int source, scale, shift; /* inputs */
    int centre, inverse;      /* outputs */
} tdm__recipe;

struct tdm_op {
    const char *name; /* "conv2d", "conv2d_grad_filter" */
    size_t attr_size;
    const tdm__attr *attrs;
    int n_attrs;
    int min_in, max_in; /* number of inputs; those >= min_in may be absent. max_in -1: any number */
    int n_out;
    unsigned differentiable; /* bit i: gradient flows to input i (float inputs only) */
    unsigned out_gradient;   /* bit o: a gradient may arrive at output o */
    /* Output o lives in the storage of input update[o]-1 and changes it (running statistics,
     * accumulators); 0 = ordinary output. */
    unsigned char update[TDM__MAX_OUTPUTS];
    /* Output o may take over the storage of input inplace[o]-1 when nobody else needs it; 0 = no. */
    unsigned char inplace[TDM__MAX_OUTPUTS];
    bool view;           /* output 0 is input 0's storage under another shape (reshape) */
    bool can_accumulate; /* output 0 can be added to instead of written (io.accumulate) */
    unsigned fuse;       /* TDM__FUSE_*: what it absorbs as a producer */
    const tdm__recipe *recipe; /* NULL: output 0 has none */
    bool reads_statistics; /* of input 0, when its producer can bring them */
    int load_act_grad; /* 1 + the input that may come with a tdm__load of act_grad; 0: none */

    /* Checks inputs and attrs, fills out[0..n_out). Raises TDM_ERR_SHAPE by tdm__fail. */
    tdm_status (*infer)(const tdm__io *io, tdm_desc *out);
    /* Builds gradient nodes: din[i] for each need[i]; dout[o] is TDM_NO_VALUE where none arrives.
     * NULL: not differentiable. */
    tdm_status (*gradient)(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din);
    void (*reference)(const tdm__ref *ref);
    /* As an absorbable consumer: describes itself as an epilogue part of the producer of input 0
     * (affine: inputs 1, 2 are scale, shift; residual, act_grad: input 1). Returns TDM__FUSE_* or 0. */
    unsigned (*as_epilogue)(const tdm__io *io, tdm__epilogue *epilogue);
    /* Multiply-adds of one run, for the layer table; NULL: counted as none. */
    double (*macs)(const tdm__io *io);

    const tdm__variant *variants; /* in order of preference */
    int n_variants;
    const tdm__sample *samples;
    int n_samples;
    const tdm__sample *bench; /* sizes of real networks, to be timed as well (optional) */
    int n_bench;
    const tdm__reject *rejects;
    int n_rejects;
    double tolerance; /* norm-relative, device against double reference; 0 = 1e-5 */
};

/* What tuning files call a node: "conv2d|cpu|f32[8,28,28,1],f32[3,3,1,32],none|kernel=3,3 stride=1,1". */
void tdm__variant_key(const tdm_op *op, const tdm__traits *traits, const tdm__io *io,
                      tdm__str *key);
/* Whether it is of the device's style and can run the node. */
bool tdm__variant_fits(const tdm__variant *v, const tdm__traits *traits, const tdm__io *io);
/* The algorithm of this name (NULL: of none) that fits, or NULL. */
const tdm__variant *tdm__variant_named(const tdm_op *op, const tdm__traits *traits,
                                       const tdm__io *io, const char *name);
/* The algorithm that runs a node which nobody chose for; NULL: none can. */
const tdm__variant *tdm__variant_default(const tdm_op *op, const tdm__traits *traits,
                                         const tdm__io *io);

/* Appends a node. Returns its first output (others follow: value + 1, ...). inputs may hold
 * TDM_NO_VALUE for absent optional ones; attrs are copied. Trailing absent inputs may be left out. */
tdm_value tdm__graph_node(tdm_graph *graph, const tdm_op *op, const tdm_value *inputs, int n,
                          const void *attrs);

/* Like tdm_graph_gradients, from several values of any shape: douts[o] is the gradient that arrives at
 * outs[o]. */
tdm_status tdm__graph_gradients_from(tdm_graph *graph, const tdm_value *outs,
                                     const tdm_value *douts, size_t n_outs, const tdm_value *wrt,
                                     size_t n, tdm_value *grads);

/* a + b, used by the differentiation to sum contributions; registered by ops before any gradient is
 * taken (keeps graph free of ops). */
void tdm__graph_set_adder(tdm_value (*add)(tdm_graph *, tdm_value, tdm_value));

#endif

/* ops/gemm.h: matrix products among an operation's launches: the own kernel, or CLBlast. */
#ifndef OPS_GEMM_H
#define OPS_GEMM_H

#include "ops/common.h"

/* a: the start of the node's workspace instead of an input. */
enum { TDM__GEMM_WORKSPACE = -1 };

/* output 0 (m,n) row-major = op(a) op(b), with the node's epilogue and accumulation. Inputs a and b
 * are row-major: a (m,k), or (k,m) when trans_a; b (k,n), or (n,k) when trans_b. bias: input or -1.
 */
typedef struct tdm__gemm {
    int a, b, bias;
    bool trans_a, trans_b;
    uint64_t m, n, k;
} tdm__gemm;

tdm_status tdm__gemm_prepare(tdm__build *b, const tdm__gemm *g);
/* By CLBlast, epilogue in a launch of its own; by the own kernel where CLBlast is not usable. */
tdm_status tdm__gemm_clblast_prepare(tdm__build *b, const tdm__gemm *g);
/* Behind a product made elsewhere: the node's epilogue, in place on output 0 (m,n), if it has one.
 */
void tdm__gemm_epilogue(tdm__build *b, int bias, uint64_t m, uint64_t n);
/* CLBlast is the default on GPUs, and a candidate elsewhere. */
bool tdm__gemm_clblast_default(const tdm__traits *traits, const tdm__io *io);

/* The algorithms of an operation with `own` and `clblast` as its prepare functions. */
#define TDM__GEMM_VARIANTS(own, clblast)                                                           \
    {                                                                                              \
        {"clblast", TDM__ON_GPU, .can_run = tdm__gemm_clblast_default, .prepare = clblast},        \
            {"tiles", TDM__ON_ANY, .prepare = own},                                                \
            {"clblast", TDM__ON_ANY, .candidate = true, .prepare = clblast},                       \
    }

#endif

/* support/probe.h: operations made for tests of the graph, with kernels of their own. */
#ifndef SUPPORT_PROBE_H
#define SUPPORT_PROBE_H

#include "graph/op.h"
#include "support/cl_fixture.h"

/* y = act(scale (factor x + bias) + shift + residual): absorbs every epilogue, can accumulate.
 * `stray`: the kernel also writes to the element at that index, in or out of bounds. */
extern const tdm_op probe_op;
/* v += amount, in place; v is a variable. */
extern const tdm_op probe_bump;

/* y = scale x + shift along the last axis; can move into a producer. */
extern const tdm_op probe_affine_op;

tdm_value probe(tdm_graph *g, tdm_value x, tdm_value bias, float factor);
tdm_value probe_stray(tdm_graph *g, tdm_value x, int stray);
tdm_value probe_bumped(tdm_graph *g, tdm_value variable, tdm_value amount);
tdm_value probe_affine(tdm_graph *g, tdm_value x, tdm_value scale, tdm_value shift);
/* The device of `cl` finds the kernels; call after support_cl_open. */
void probe_kernels(const support_cl *cl);

#endif

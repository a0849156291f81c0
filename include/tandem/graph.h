/* tandem/graph.h: tensors, graphs, reverse-mode differentiation, plans.
 *
 * A graph is built once per (batch size, set of tasks, mode): builder functions (tandem/ops.h)
 * append nodes and return values. Errors are sticky: after the first failure every builder returns
 * TDM_NO_VALUE, and tdm_graph_status gives the status with the message; so building code needs no
 * check per call. A plan turns the graph into launches prepared once and replayed each step.
 *
 * Layouts: activations N,H,W,C (rank 4) or N,C (rank 2); float32 unless said otherwise. Convolution
 * weights R,S,C,K on the device (O,I,H,W on disk), dense weights in,out (out,in on disk).
 *
 * A graph, and a plan, belong to one thread at a time.
 */
#ifndef TANDEM_GRAPH_H
#define TANDEM_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/dtype.h>
#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TDM_MAX_RANK 5

/* Type and shape of a tensor. dtype TDM_NONE: absent. rank 0: a scalar (one element). */
typedef struct tdm_desc {
    tdm_dtype dtype;
    int rank;
    int64_t dim[TDM_MAX_RANK];
} tdm_desc;

tdm_desc tdm_desc_make(tdm_dtype dtype, int rank, const int64_t *dim);
tdm_desc tdm_desc_scalar(void); /* one float */
tdm_desc tdm_desc_1(tdm_dtype dtype, int64_t a);
tdm_desc tdm_desc_2(tdm_dtype dtype, int64_t a, int64_t b);
tdm_desc tdm_desc_3(tdm_dtype dtype, int64_t a, int64_t b, int64_t c);
tdm_desc tdm_desc_4(tdm_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d);
int64_t tdm_desc_count(const tdm_desc *desc); /* elements; 1 for a scalar, 0 when absent */
size_t tdm_dtype_size(tdm_dtype dtype);
bool tdm_desc_equal(const tdm_desc *a, const tdm_desc *b);
/* "f32[4,28,28,1]" into out; returns out. */
const char *tdm_desc_text(const tdm_desc *desc, char *out, size_t size);

typedef struct tdm_graph tdm_graph;

/* A value of a graph: an input, a variable or one output of a node. Negative: none. */
typedef int32_t tdm_value;
#define TDM_NO_VALUE (-1)

tdm_status tdm_graph_create(tdm_graph **out);
void tdm_graph_destroy(tdm_graph **graph);
/* The first failure, with its message set as the thread's last error. */
tdm_status tdm_graph_status(tdm_graph *graph);
/* Makes the graph fail, as builders do. Returns TDM_NO_VALUE. */
#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
tdm_value
tdm_graph_fail(tdm_graph *graph, tdm_status status, const char *format, ...);

/* Fed anew each step (a batch's array). */
tdm_value tdm_graph_input(tdm_graph *graph, const char *name, tdm_desc desc);
/* Lives outside the graph (a parameter, running statistics, accumulators). `differentiable` says
 * whether gradients may flow to it; a frozen parameter is a variable without. */
tdm_value tdm_graph_variable(tdm_graph *graph, const char *name, tdm_desc desc,
                             bool differentiable);
/* A scalar or tensor filled with a constant. */
tdm_value tdm_graph_constant(tdm_graph *graph, tdm_desc desc, float value);

/* NULL for no value. Valid as long as the graph is. */
const tdm_desc *tdm_graph_desc(const tdm_graph *graph, tdm_value value);
const char *tdm_graph_name(const tdm_graph *graph, tdm_value value); /* never NULL */
/* Names of later nodes get the prefix "scope." until popped. */
void tdm_graph_push(tdm_graph *graph, const char *scope);
void tdm_graph_pop(tdm_graph *graph);

/* Appends the backward nodes of the scalar `loss`, seeded with `seed` (a scalar value;
 * TDM_NO_VALUE: 1), and stores in grads[i] the gradient with respect to wrt[i] (TDM_NO_VALUE where
 * none flows). Contributions from several uses are summed in a fixed order. May be called several
 * times. */
tdm_status tdm_graph_gradients(tdm_graph *graph, tdm_value loss, tdm_value seed,
                               const tdm_value *wrt, size_t n, tdm_value *grads);

/* Marks a value as wanted: it survives pruning, and can be read after a run. */
void tdm_graph_keep(tdm_graph *graph, tdm_value value);

#ifdef __cplusplus
}
#endif
#endif

/* graph/internal.h: how a graph is stored. Values and nodes are numbered in order of appearance; a
 * node's inputs always have smaller numbers than its outputs, so the order of nodes is a valid
 * order of execution. Nothing is ever removed. */
#ifndef GRAPH_INTERNAL_H
#define GRAPH_INTERNAL_H

#include "base/str.h"
#include "graph/op.h"

typedef enum tdm__value_kind {
    TDM__VALUE_INPUT,
    TDM__VALUE_VARIABLE,
    TDM__VALUE_CONSTANT,
    TDM__VALUE_OUTPUT /* of a node */
} tdm__value_kind;

typedef struct tdm__value_entry {
    tdm__value_kind kind;
    tdm_desc *desc;      /* by itself: tdm_graph_desc gives it out, and this table moves */
    char *name;          /* of inputs, variables and constants; outputs take the node's */
    bool differentiable; /* variables: as declared */
    bool keep;
    bool awaited; /* variables: the host writes it in the middle of a run */
    float constant;
    tdm__view place;  /* variables */
    int node, output; /* outputs: who makes it */
} tdm__value_entry;

/* One allocation holds the arrays. */
typedef struct tdm__node_entry {
    const tdm_op *op;
    char *name;
    void *attrs; /* NULL when the operation has none */
    int n_in;    /* absent ones included */
    tdm_value *in, *out;
    tdm_desc *in_desc, *out_desc;
} tdm__node_entry;

typedef struct tdm__store_entry {
    tdm_value value;
    tdm__view view;
} tdm__store_entry;

struct tdm_graph {
    tdm__value_entry *values;
    size_t n_values, values_capacity;
    tdm__node_entry *nodes;
    size_t n_nodes, nodes_capacity;
    tdm__store_entry *stores;
    size_t n_stores, stores_capacity;
    tdm__str scope; /* "encoder.block" */
    size_t *marks;  /* its length before each push */
    size_t n_marks, marks_capacity;
    tdm__error error; /* the first failure */
};

/* Records a failure whose message is set as the thread's last error. */
tdm_value tdm__graph_stick(tdm_graph *graph, tdm_status status);
tdm__io tdm__node_io(const tdm__node_entry *node);
bool tdm__graph_has(const tdm_graph *graph, tdm_value value);
uint64_t tdm__desc_bytes(const tdm_desc *desc);
/* A tensor that can exist: known type, dimensions of at least 1, bytes that fit 63 bits. */
tdm_status tdm__desc_check(const tdm_desc *desc);
/* Appends the attributes as "name=value name=value,value", in the table's order. */
void tdm__attrs_text(const tdm_op *op, const void *attrs, tdm__str *out);

#endif

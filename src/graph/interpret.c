/* graph/interpret.c: runs a graph on the host in double precision, for tests. Every node runs, in
 * the order of the graph; nothing is pruned, fused or reused. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/internal.h"
#include "graph/plan.h"

static tdm_status run_node(const tdm__node_entry *node, const tdm__step *step, double **values)
{
    const tdm_op *op = node->op;
    double *out[TDM__MAX_OUTPUTS] = {0};
    double **in = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try((size_t)node->n_in, sizeof *in, &in));
    for (int i = 0; i < node->n_in; i++) in[i] = node->in[i] >= 0 ? values[node->in[i]] : NULL;
    for (int o = 0; o < op->n_out; o++) {
        if (op->update[o]) {
            out[o] = values[node->out[o]] = in[op->update[o] - 1];
        } else {
            size_t count = (size_t)tdm_desc_count(&node->out_desc[o]);
            TDM_TRY(tdm__calloc_try(count, sizeof(double), &out[o]));
            values[node->out[o]] = out[o];
        }
    }
    if (op->view) {
        memcpy(out[0], in[0], (size_t)tdm_desc_count(&node->out_desc[0]) * sizeof(double));
    } else if (op->reference) {
        tdm__io io = tdm__node_io(node);
        op->reference(&(tdm__ref){.io = &io, .in = in, .out = out, .step = step});
    } else {
        status = tdm__fail(TDM_ERR_STATE, "%s: no host reference", node->name);
    }
done:
    free(in);
    return status;
}

tdm_status tdm__graph_interpret(const tdm_graph *graph, const tdm__step *step, double **values,
                                size_t n_values)
{
    tdm_status status = TDM_OK;
    if (graph->error.status) return tdm__error_give(&graph->error);
    if (n_values < graph->n_values)
        return tdm__fail(TDM_ERR_USAGE, "room for %zu values, the graph has %zu", n_values,
                         graph->n_values);
    for (size_t v = 0; v < graph->n_values; v++) {
        const tdm__value_entry *entry = &graph->values[v];
        if (entry->kind == TDM__VALUE_OUTPUT) continue;
        if (entry->kind == TDM__VALUE_CONSTANT && !values[v]) {
            size_t count = (size_t)tdm_desc_count(entry->desc);
            TDM_TRY(tdm__calloc_try(count, sizeof(double), &values[v]));
            for (size_t i = 0; i < count; i++) values[v][i] = (double)entry->constant;
        }
        if (!values[v]) {
            status = tdm__fail(TDM_ERR_STATE, "%s: has no elements", entry->name);
            goto done;
        }
    }
    for (size_t k = 0; k < graph->n_nodes; k++) TDM_TRY(run_node(&graph->nodes[k], step, values));
done:
    return status;
}

void tdm__graph_interpret_free(const tdm_graph *graph, double **values)
{
    for (size_t v = 0; v < graph->n_values; v++) {
        const tdm__value_entry *entry = &graph->values[v];
        if (entry->kind == TDM__VALUE_INPUT || entry->kind == TDM__VALUE_VARIABLE) continue;
        bool shared =
            entry->kind == TDM__VALUE_OUTPUT && graph->nodes[entry->node].op->update[entry->output];
        if (!shared) free(values[v]);
        values[v] = NULL;
    }
}

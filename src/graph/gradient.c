/* graph/gradient.c: reverse-mode differentiation.
 *
 * Nodes are visited from the last to the first. When a node is reached, all contributions to its
 * outputs have arrived, because consumers have larger numbers; a contribution that arrives at a
 * value which already has one is added at once (fixed order; the addend's producer can then
 * accumulate in place). Only values between the wanted ones and the outputs take part: `need` holds
 * the values that depend on a wanted one through differentiable inputs. */
#include <stdlib.h>

#include "base/mem.h"
#include "graph/internal.h"

static tdm_value (*adder)(tdm_graph *, tdm_value, tdm_value);

void tdm__graph_set_adder(tdm_value (*add)(tdm_graph *, tdm_value, tdm_value))
{
    adder = add;
}

typedef struct backward {
    tdm_graph *graph;
    size_t n_values, n_nodes; /* as they were before the backward nodes */
    bool *need;               /* by value */
    tdm_value *gradient;      /* by value; TDM_NO_VALUE: none arrived yet */
    bool *need_in;            /* by input of the node at hand */
    tdm_value *din;
    size_t slots;
} backward;

static bool input_differentiable(const tdm_op *op, int input)
{
    return op->differentiable >> (input < 31 ? input : 31) & 1u;
}

static bool output_takes_gradient(const tdm_op *op, int output)
{
    return op->gradient && (op->out_gradient >> output & 1u);
}

/* A variable that is not differentiable (frozen) is not reached; inputs and inner values are. */
static bool can_want(const tdm_graph *graph, tdm_value value)
{
    if (!tdm__graph_has(graph, value)) return false;
    const tdm__value_entry *entry = &graph->values[value];
    return entry->desc->dtype == TDM_F32 &&
           (entry->kind != TDM__VALUE_VARIABLE || entry->differentiable);
}

static void spread_need(backward *b, const tdm_value *wrt, size_t n)
{
    const tdm_graph *graph = b->graph;
    for (size_t i = 0; i < n; i++)
        if (can_want(graph, wrt[i])) b->need[wrt[i]] = true;
    for (size_t k = 0; k < b->n_nodes; k++) {
        const tdm__node_entry *node = &graph->nodes[k];
        bool any = false;
        for (int i = 0; i < node->n_in && !any; i++)
            any = node->in[i] >= 0 && input_differentiable(node->op, i) && b->need[node->in[i]];
        for (int o = 0; any && o < node->op->n_out; o++)
            if (output_takes_gradient(node->op, o)) b->need[node->out[o]] = true;
    }
}

static tdm_status contribute(backward *b, tdm_value to, tdm_value amount)
{
    tdm_graph *graph = b->graph;
    if (!tdm_desc_equal(graph->values[to].desc, graph->values[amount].desc)) {
        char want[96], got[96];
        return tdm__fail(TDM_ERR_SHAPE, "gradient of %s: shape %s instead of %s",
                         tdm_graph_name(graph, to),
                         tdm_desc_text(graph->values[amount].desc, got, sizeof got),
                         tdm_desc_text(graph->values[to].desc, want, sizeof want));
    }
    if (b->gradient[to] == TDM_NO_VALUE) {
        b->gradient[to] = amount;
        return TDM_OK;
    }
    if (!adder) return tdm__fail(TDM_ERR_STATE, "no operation is registered to add gradients");
    b->gradient[to] = adder(graph, b->gradient[to], amount);
    return tdm_graph_status(graph);
}

static tdm_status visit(backward *b, size_t k)
{
    tdm_graph *graph = b->graph;
    const tdm__node_entry *node = &graph->nodes[k];
    tdm_value dout[TDM__MAX_OUTPUTS];
    bool arrived = false, wanted = false;
    for (int o = 0; o < node->op->n_out; o++) {
        dout[o] = output_takes_gradient(node->op, o) ? b->gradient[node->out[o]] : TDM_NO_VALUE;
        arrived |= dout[o] != TDM_NO_VALUE;
    }
    if (!arrived) return TDM_OK;
    for (int i = 0; i < node->n_in; i++) {
        b->need_in[i] =
            node->in[i] >= 0 && input_differentiable(node->op, i) && b->need[node->in[i]];
        b->din[i] = TDM_NO_VALUE;
        wanted |= b->need_in[i];
    }
    if (!wanted) return TDM_OK;

    /* The node's arrays stay where they are while nodes are appended; the entry may move. */
    tdm__node_entry entry = *node;
    tdm__io io = tdm__node_io(&entry);
    tdm__node_view view = {.io = &io, .in = entry.in, .out = entry.out};
    tdm__str scope = graph->scope; /* backward nodes go under the forward node's name alone */
    graph->scope = (tdm__str){0};
    tdm_graph_push(graph, entry.name);
    tdm_status status = entry.op->gradient(graph, &view, dout, b->need_in, b->din);
    if (!status) status = tdm_graph_status(graph);
    for (int i = 0; !status && i < entry.n_in; i++)
        if (b->need_in[i] && b->din[i] != TDM_NO_VALUE)
            status = contribute(b, entry.in[i], b->din[i]);
    tdm_graph_pop(graph);
    tdm__str_free(&graph->scope);
    graph->scope = scope;
    return status ? tdm__context(status, "gradient of %s", entry.name) : TDM_OK;
}

static tdm_status allocate(backward *b)
{
    tdm_status status = TDM_OK;
    for (size_t k = 0; k < b->n_nodes; k++)
        if ((size_t)b->graph->nodes[k].n_in > b->slots) b->slots = (size_t)b->graph->nodes[k].n_in;
    TDM_TRY(tdm__calloc_try(b->n_values, sizeof *b->need, &b->need));
    TDM_TRY(tdm__calloc_try(b->n_values, sizeof *b->gradient, &b->gradient));
    TDM_TRY(tdm__calloc_try(b->slots, sizeof *b->need_in, &b->need_in));
    TDM_TRY(tdm__calloc_try(b->slots, sizeof *b->din, &b->din));
    for (size_t v = 0; v < b->n_values; v++) b->gradient[v] = TDM_NO_VALUE;
done:
    return status;
}

tdm_status tdm__graph_gradients_from(tdm_graph *graph, const tdm_value *outs,
                                     const tdm_value *douts, size_t n_outs, const tdm_value *wrt,
                                     size_t n, tdm_value *grads)
{
    for (size_t i = 0; i < n; i++) grads[i] = TDM_NO_VALUE;
    tdm_status status = tdm_graph_status(graph);
    if (status) return status;
    backward b = {.graph = graph, .n_values = graph->n_values, .n_nodes = graph->n_nodes};
    TDM_TRY(allocate(&b));
    spread_need(&b, wrt, n);
    for (size_t o = 0; o < n_outs; o++) {
        if (!tdm__graph_has(graph, outs[o]) || !tdm__graph_has(graph, douts[o])) {
            status = tdm__fail(TDM_ERR_STATE, "gradients of something that is no value");
            goto done;
        }
        if (b.need[outs[o]]) TDM_TRY(contribute(&b, outs[o], douts[o]));
    }
    for (size_t k = b.n_nodes; k-- > 0;) TDM_TRY(visit(&b, k));
    for (size_t i = 0; i < n; i++)
        if (can_want(graph, wrt[i]) && (size_t)wrt[i] < b.n_values) grads[i] = b.gradient[wrt[i]];
done:
    if (status) tdm__graph_stick(graph, status);
    free(b.need);
    free(b.gradient);
    free(b.need_in);
    free(b.din);
    return status;
}

tdm_status tdm_graph_gradients(tdm_graph *graph, tdm_value loss, tdm_value seed,
                               const tdm_value *wrt, size_t n, tdm_value *grads)
{
    for (size_t i = 0; i < n; i++) grads[i] = TDM_NO_VALUE;
    if (graph->error.status) return tdm_graph_status(graph);
    const tdm_desc *desc = tdm_graph_desc(graph, loss);
    if (!desc || tdm_desc_count(desc) != 1 || desc->dtype != TDM_F32) {
        char text[96] = "nothing";
        if (desc) tdm_desc_text(desc, text, sizeof text);
        tdm_graph_fail(graph, TDM_ERR_SHAPE, "gradients of %s: must be one float, is %s",
                       tdm_graph_name(graph, loss), text);
        return tdm_graph_status(graph);
    }
    if (seed == TDM_NO_VALUE) seed = tdm_graph_constant(graph, *desc, 1.0f);
    return tdm__graph_gradients_from(graph, &loss, &seed, 1, wrt, n, grads);
}

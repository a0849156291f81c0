/* graph/graph.c: the store of values and nodes, builders' common part, sticky errors, scopes. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/internal.h"
#include "graph/plan.h"

tdm_status tdm_graph_create(tdm_graph **out)
{
    return tdm__calloc_try(1, sizeof **out, out);
}

static void free_node(tdm__node_entry *node)
{
    free(node->name);
    free(node->attrs);
    free(node->in);
    free(node->out);
    free(node->in_desc);
    free(node->out_desc);
}

/* Those from `first` on. */
static void drop_values(tdm_graph *g, size_t first)
{
    while (g->n_values > first) {
        tdm__value_entry *last = &g->values[--g->n_values];
        free(last->name);
        free(last->desc);
    }
}

void tdm_graph_destroy(tdm_graph **graph)
{
    tdm_graph *g = *graph;
    if (!g) return;
    drop_values(g, 0);
    for (size_t i = 0; i < g->n_nodes; i++) free_node(&g->nodes[i]);
    free(g->values);
    free(g->nodes);
    free(g->stores);
    free(g->marks);
    tdm__str_free(&g->scope);
    tdm__error_clear(&g->error);
    free(g);
    *graph = NULL;
}

/* errors --------------------------------------------------------------------------------------- */

tdm_status tdm_graph_status(tdm_graph *graph)
{
    return graph->error.status ? tdm__error_give(&graph->error) : TDM_OK;
}

tdm_value tdm__graph_stick(tdm_graph *graph, tdm_status status)
{
    if (!graph->error.status) tdm__error_take(&graph->error, status);
    return TDM_NO_VALUE;
}

tdm_value tdm_graph_fail(tdm_graph *graph, tdm_status status, const char *format, ...)
{
    if (graph->error.status) return TDM_NO_VALUE;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    status = tdm__fail(status, "%s", text);
    if (graph->scope.length) status = tdm__context(status, "%s", tdm__str_text(&graph->scope));
    return tdm__graph_stick(graph, status);
}

/* scopes --------------------------------------------------------------------------------------- */

void tdm_graph_push(tdm_graph *graph, const char *scope)
{
    tdm_status status =
        tdm__grow(&graph->marks, &graph->marks_capacity, graph->n_marks + 1, sizeof *graph->marks);
    if (status) {
        tdm__graph_stick(graph, status);
        return;
    }
    graph->marks[graph->n_marks++] = graph->scope.length;
    if (graph->scope.length) tdm__str_add(&graph->scope, ".");
    tdm__str_add(&graph->scope, scope);
    if (graph->scope.failed) tdm__graph_stick(graph, tdm__str_status(&graph->scope));
}

void tdm_graph_pop(tdm_graph *graph)
{
    if (graph->n_marks == 0) return;
    size_t length = graph->marks[--graph->n_marks];
    if (length > graph->scope.length) return; /* a push that ran out of memory */
    graph->scope.length = length;
    if (graph->scope.text) graph->scope.text[length] = 0;
}

/* values --------------------------------------------------------------------------------------- */

bool tdm__graph_has(const tdm_graph *graph, tdm_value value)
{
    return value >= 0 && (size_t)value < graph->n_values;
}

static tdm_value add_value(tdm_graph *graph, tdm__value_entry entry, const tdm_desc *desc)
{
    if (graph->n_values >= INT32_MAX)
        return tdm_graph_fail(graph, TDM_ERR_NOMEM, "too many values in one graph");
    tdm_status status = tdm__grow(&graph->values, &graph->values_capacity, graph->n_values + 1,
                                  sizeof *graph->values);
    if (!status) status = tdm__calloc_try(1, sizeof *entry.desc, &entry.desc);
    if (status) return tdm__graph_stick(graph, status);
    *entry.desc = *desc;
    graph->values[graph->n_values] = entry;
    return (tdm_value)graph->n_values++;
}

/* An input, a variable or a constant. */
static tdm_value add_named(tdm_graph *graph, const char *name, tdm__value_entry entry,
                           const tdm_desc *desc)
{
    if (graph->error.status) return TDM_NO_VALUE;
    tdm_status status = tdm__desc_check(desc);
    if (status) return tdm__graph_stick(graph, tdm__context(status, "%s", name));
    entry.name = tdm__strdup(name);
    if (!entry.name) return tdm__graph_stick(graph, tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    entry.node = -1;
    tdm_value value = add_value(graph, entry, desc);
    if (value < 0) free(entry.name);
    return value;
}

tdm_value tdm_graph_input(tdm_graph *graph, const char *name, tdm_desc desc)
{
    return add_named(graph, name, (tdm__value_entry){.kind = TDM__VALUE_INPUT}, &desc);
}

tdm_value tdm_graph_variable(tdm_graph *graph, const char *name, tdm_desc desc, bool differentiable)
{
    return add_named(graph, name,
                     (tdm__value_entry){.kind = TDM__VALUE_VARIABLE,
                                        .differentiable = differentiable && desc.dtype == TDM_F32},
                     &desc);
}

tdm_value tdm_graph_constant(tdm_graph *graph, tdm_desc desc, float value)
{
    return add_named(graph, "constant",
                     (tdm__value_entry){.kind = TDM__VALUE_CONSTANT, .constant = value}, &desc);
}

const tdm_desc *tdm_graph_desc(const tdm_graph *graph, tdm_value value)
{
    return tdm__graph_has(graph, value) ? graph->values[value].desc : NULL;
}

const char *tdm_graph_name(const tdm_graph *graph, tdm_value value)
{
    if (!tdm__graph_has(graph, value)) return "no value";
    const tdm__value_entry *entry = &graph->values[value];
    return entry->name ? entry->name : graph->nodes[entry->node].name;
}

void tdm_graph_keep(tdm_graph *graph, tdm_value value)
{
    if (tdm__graph_has(graph, value)) graph->values[value].keep = true;
}

void tdm__graph_place(tdm_graph *graph, tdm_value variable, tdm__view view)
{
    if (graph->error.status) return;
    if (!tdm__graph_has(graph, variable) || graph->values[variable].kind != TDM__VALUE_VARIABLE) {
        tdm_graph_fail(graph, TDM_ERR_STATE, "%s: only variables are placed",
                       tdm_graph_name(graph, variable));
        return;
    }
    graph->values[variable].place = view;
}

void tdm__graph_await(tdm_graph *graph, tdm_value variable)
{
    if (!graph->error.status && tdm__graph_has(graph, variable))
        graph->values[variable].awaited = true;
}

void tdm__graph_store(tdm_graph *graph, tdm_value value, tdm__view view)
{
    if (graph->error.status) return;
    if (!tdm__graph_has(graph, value) || !view.buffer) {
        tdm_graph_fail(graph, TDM_ERR_STATE, "%s: cannot be stored: no value or no place",
                       tdm_graph_name(graph, value));
        return;
    }
    tdm_status status = tdm__grow(&graph->stores, &graph->stores_capacity, graph->n_stores + 1,
                                  sizeof *graph->stores);
    if (status) {
        tdm__graph_stick(graph, status);
        return;
    }
    graph->stores[graph->n_stores++] = (tdm__store_entry){value, view};
}

/* nodes ---------------------------------------------------------------------------------------- */

tdm__io tdm__node_io(const tdm__node_entry *node)
{
    return (tdm__io){.attrs = node->attrs,
                     .n_in = node->n_in,
                     .n_out = node->op->n_out,
                     .in = node->in_desc,
                     .out = node->out_desc};
}

/* A value that an operation changes in place must live outside the graph. */
static bool is_updatable(const tdm_graph *graph, tdm_value value)
{
    while (tdm__graph_has(graph, value)) {
        const tdm__value_entry *entry = &graph->values[value];
        if (entry->kind != TDM__VALUE_OUTPUT) return entry->kind == TDM__VALUE_VARIABLE;
        const tdm__node_entry *node = &graph->nodes[entry->node];
        int from = node->op->update[entry->output];
        if (from == 0) return false;
        value = node->in[from - 1];
    }
    return false;
}

static tdm_status check_inputs(const tdm_graph *graph, const tdm_op *op, const tdm_value *inputs,
                               int n)
{
    if (n < op->min_in || (op->max_in >= 0 && n > op->max_in))
        return tdm__fail(TDM_ERR_SHAPE, "%d inputs given", n);
    for (int i = 0; i < n; i++) {
        if (inputs[i] == TDM_NO_VALUE) {
            if (i < op->min_in || op->max_in < 0)
                return tdm__fail(TDM_ERR_SHAPE, "input %d is missing", i);
        } else if (!tdm__graph_has(graph, inputs[i])) {
            return tdm__fail(TDM_ERR_SHAPE, "input %d is not a value of this graph", i);
        }
    }
    for (int o = 0; o < op->n_out; o++) {
        int from = op->update[o];
        if (from && from <= n && inputs[from - 1] != TDM_NO_VALUE &&
            !is_updatable(graph, inputs[from - 1]))
            return tdm__fail(TDM_ERR_SHAPE, "input %d is changed in place: it must be a variable",
                             from - 1);
    }
    return TDM_OK;
}

static tdm_status node_name(const tdm_graph *graph, const tdm_op *op, char **out)
{
    tdm__str name = {0};
    if (graph->scope.length) tdm__str_addf(&name, "%s.", tdm__str_text(&graph->scope));
    tdm__str_add(&name, op->name);
    tdm_status status = tdm__str_status(&name);
    if (status) tdm__str_free(&name);
    *out = name.text;
    return status;
}

/* Copies inputs and attributes into an entry; on failure the caller frees it. */
static tdm_status fill_node(const tdm_graph *graph, tdm__node_entry *node, const tdm_value *inputs,
                            int n, const void *attrs)
{
    const tdm_op *op = node->op;
    tdm_status status = TDM_OK;
    node->n_in = op->max_in > n ? op->max_in : n;
    size_t slots = (size_t)node->n_in;
    TDM_TRY(node_name(graph, op, &node->name));
    TDM_TRY(tdm__calloc_try(slots, sizeof *node->in, &node->in));
    TDM_TRY(tdm__calloc_try(slots, sizeof *node->in_desc, &node->in_desc));
    TDM_TRY(tdm__calloc_try((size_t)op->n_out, sizeof *node->out, &node->out));
    TDM_TRY(tdm__calloc_try((size_t)op->n_out, sizeof *node->out_desc, &node->out_desc));
    if (op->attr_size) {
        TDM_TRY(tdm__calloc_try(1, op->attr_size, &node->attrs));
        memcpy(node->attrs, attrs, op->attr_size);
    }
    for (int i = 0; i < node->n_in; i++) {
        node->in[i] = i < n ? inputs[i] : TDM_NO_VALUE;
        if (node->in[i] >= 0) node->in_desc[i] = *graph->values[node->in[i]].desc;
    }
done:
    return status;
}

static tdm_status infer(tdm__node_entry *node)
{
    tdm__io io = tdm__node_io(node);
    tdm_status status = node->op->infer(&io, node->out_desc);
    for (int o = 0; !status && o < node->op->n_out; o++) {
        int from = node->op->update[o]; /* nothing to update: no output */
        if (from && node->in[from - 1] < 0) node->out_desc[o] = (tdm_desc){0};
        if (node->out_desc[o].dtype != TDM_NONE) status = tdm__desc_check(&node->out_desc[o]);
    }
    return status;
}

tdm_value tdm__graph_node(tdm_graph *graph, const tdm_op *op, const tdm_value *inputs, int n,
                          const void *attrs)
{
    if (graph->error.status) return TDM_NO_VALUE;
    tdm_status status = TDM_OK;
    tdm__node_entry node = {.op = op};
    size_t n_values = graph->n_values;
    status = check_inputs(graph, op, inputs, n);
    if (!status) status = fill_node(graph, &node, inputs, n, attrs);
    if (!status) status = infer(&node);
    if (status) {
        const char *scope = tdm__str_text(&graph->scope);
        status = tdm__context(status, "%s%s%s", scope, *scope ? "." : "", op->name);
        goto done;
    }
    TDM_TRY(
        tdm__grow(&graph->nodes, &graph->nodes_capacity, graph->n_nodes + 1, sizeof *graph->nodes));
    for (int o = 0; o < op->n_out; o++) {
        const tdm__value_entry entry = {
            .kind = TDM__VALUE_OUTPUT, .node = (int)graph->n_nodes, .output = o};
        node.out[o] = add_value(graph, entry, &node.out_desc[o]);
        if (node.out[o] < 0) {
            status = graph->error.status;
            drop_values(graph, n_values);
            goto done;
        }
    }
    graph->nodes[graph->n_nodes++] = node;
    return node.out[0];
done:
    free_node(&node);
    return tdm__graph_stick(graph, status);
}

/* walking -------------------------------------------------------------------------------------- */

size_t tdm__graph_value_count(const tdm_graph *graph)
{
    return graph->n_values;
}

size_t tdm__graph_node_count(const tdm_graph *graph)
{
    return graph->n_nodes;
}

void tdm__graph_node_info(const tdm_graph *graph, size_t node, tdm__node_info *out)
{
    const tdm__node_entry *entry = &graph->nodes[node];
    *out = (tdm__node_info){.name = entry->name,
                            .op = entry->op,
                            .io = tdm__node_io(entry),
                            .in = entry->in,
                            .out = entry->out};
}

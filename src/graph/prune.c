/* graph/prune.c: which nodes run. A node runs when one of its outputs is kept, stored, or read by a
 * node that runs. Effects on variables alone do not keep a node. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/planning.h"

int tdm__planned_operands(const tdm__planned *node)
{
    return node->io.n_in + TDM__EXTRA_OPERANDS;
}

tdm_value tdm__planned_operand(const tdm__planned *node, int slot)
{
    if (slot < node->io.n_in)
        return slot + 1 == node->io.load.input ? node->raw : node->entry->in[slot];
    const tdm_value extra[TDM__EXTRA_OPERANDS] = {
        node->scale,       node->shift,        node->residual,   node->base,
        node->load_centre, node->load_inverse, node->load_scale, node->load_shift};
    return extra[slot - node->io.n_in];
}

static tdm_status own_entry(tdm__planning *p, tdm__planned *node)
{
    if (node->owns_entry) return TDM_OK;
    tdm_status status = TDM_OK;
    tdm__node_entry *entry = NULL;
    TDM_TRY(tdm__grow(&p->rebound, &p->rebound_capacity, p->n_rebound + 1, sizeof *p->rebound));
    TDM_TRY(tdm__calloc_try(1, sizeof *entry, &entry));
    p->rebound[p->n_rebound++] = entry;
    *entry = *node->entry;
    entry->in = NULL;
    TDM_TRY(tdm__calloc_try((size_t)entry->n_in, sizeof *entry->in, &entry->in));
    memcpy(entry->in, node->entry->in, (size_t)entry->n_in * sizeof *entry->in);
    node->entry = entry;
    node->owns_entry = true;
done:
    return status;
}

tdm_status tdm__planned_rebind(tdm__planning *p, tdm__planned *node, tdm_value value,
                               tdm_value copy)
{
    tdm_value *extra[] = {&node->scale,        &node->shift,      &node->residual,
                          &node->base,         &node->raw,        &node->load_centre,
                          &node->load_inverse, &node->load_scale, &node->load_shift};
    const tdm_status status = own_entry(p, node);
    if (status) return status;
    for (int i = 0; i < node->entry->n_in; i++)
        if (node->entry->in[i] == value) node->entry->in[i] = copy;
    for (size_t i = 0; i < sizeof extra / sizeof extra[0]; i++)
        if (*extra[i] == value) *extra[i] = copy;
    return TDM_OK;
}

static void mark_wanted(tdm__planning *p)
{
    const tdm_graph *graph = p->graph;
    for (size_t v = 0; v < graph->n_values; v++) p->pinned[v] = graph->values[v].keep;
    for (size_t s = 0; s < graph->n_stores; s++) p->pinned[graph->stores[s].value] = true;
    for (size_t v = 0; v < graph->n_values; v++) p->needed[v] = p->pinned[v];
}

static bool is_needed(const tdm__planning *p, const tdm__node_entry *node)
{
    if (p->spec->no_prune) return true;
    for (int o = 0; o < node->op->n_out; o++)
        if (p->needed[node->out[o]]) return true;
    return false;
}

tdm_status tdm__planning_prune(tdm__planning *p)
{
    const tdm_graph *graph = p->graph;
    tdm_status status = TDM_OK;
    bool *run = NULL;
    TDM_TRY(tdm__calloc_try(graph->n_nodes, sizeof *run, &run));
    TDM_TRY(tdm__grow(&p->nodes, &p->nodes_capacity, graph->n_nodes, sizeof *p->nodes));
    mark_wanted(p);
    for (size_t k = graph->n_nodes; k-- > 0;) {
        const tdm__node_entry *node = &graph->nodes[k];
        run[k] = is_needed(p, node);
        if (!run[k]) continue;
        for (int i = 0; i < node->n_in; i++) {
            if (node->in[i] < 0) continue;
            p->needed[node->in[i]] = true;
            p->uses[node->in[i]]++;
        }
    }
    for (size_t k = 0; k < graph->n_nodes; k++) {
        if (!run[k]) continue;
        const tdm__node_entry *node = &graph->nodes[k];
        tdm__planned planned = {.entry = node,
                                .io = tdm__node_io(node),
                                .scale = TDM_NO_VALUE,
                                .shift = TDM_NO_VALUE,
                                .residual = TDM_NO_VALUE,
                                .base = TDM_NO_VALUE,
                                .raw = TDM_NO_VALUE,
                                .load_centre = TDM_NO_VALUE,
                                .load_inverse = TDM_NO_VALUE,
                                .load_scale = TDM_NO_VALUE,
                                .load_shift = TDM_NO_VALUE,
                                .statistics = -1};
        for (int o = 0; o < node->op->n_out; o++) {
            planned.out[o] = node->out[o];
            p->producer[node->out[o]] = (int)p->n_nodes;
        }
        p->nodes[p->n_nodes++] = planned;
    }
    p->plan->stats.nodes = (int)graph->n_nodes;
    p->plan->stats.pruned = (int)(graph->n_nodes - p->n_nodes);
done:
    free(run);
    return status;
}

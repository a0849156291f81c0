/* model/table.c: the layer table printed before training and by --dry-run. */
#include <inttypes.h>
#include <string.h>

#include "graph/plan.h"
#include "model/model.h"

/* Parameters among a node's inputs: variables found in the flat buffers as learnt segments. */
static uint64_t node_parameters(const tdm_graph *graph, tdm__flat *flat, const tdm__node_info *node)
{
    uint64_t n = 0;
    for (int i = 0; i < node->io.n_in; i++) {
        if (node->in[i] < 0) continue;
        const size_t s = tdm__flat_find(flat, tdm_graph_name(graph, node->in[i]));
        if (s == SIZE_MAX) continue;
        const tdm__segment *segment = tdm__flat_segment(flat, s);
        if (segment->kind == TDM__SEGMENT_PARAM) n += segment->count;
    }
    return n;
}

static void add_count(tdm__str *s, double n)
{
    if (n >= 1e9)
        tdm__str_addf(s, "%11.2f G", n / 1e9);
    else if (n >= 1e6)
        tdm__str_addf(s, "%11.2f M", n / 1e6);
    else if (n >= 1e4)
        tdm__str_addf(s, "%11.2f k", n / 1e3);
    else
        tdm__str_addf(s, "%11.0f  ", n);
}

tdm_status tdm__model_table(const tdm_graph *graph, tdm__flat *flat, int64_t batch, char **out)
{
    tdm__str s = {0};
    double total_macs = 0, total_parameters = 0;
    tdm__str_addf(&s, "%-28s %-18s %-22s %13s %13s\n", "layer", "operation", "output", "parameters",
                  "MACs/sample");
    for (size_t i = 0; i < tdm__graph_node_count(graph); i++) {
        tdm__node_info node;
        char shape[64];
        tdm__graph_node_info(graph, i, &node);
        const double macs = node.op->macs ? node.op->macs(&node.io) / (double)batch : 0;
        const double parameters = (double)node_parameters(graph, flat, &node);
        total_macs += macs;
        total_parameters += parameters;
        tdm__str_addf(&s, "%-28s %-18s %-22s", node.name, node.op->name,
                      tdm_desc_text(&node.io.out[0], shape, sizeof shape));
        add_count(&s, parameters);
        add_count(&s, macs);
        tdm__str_add(&s, "\n");
    }
    tdm__str_addf(&s, "%-28s %-18s %-22s", "total", "", "");
    add_count(&s, total_parameters);
    add_count(&s, total_macs);
    tdm__str_add(&s, "\n");
    const tdm_status status = tdm__str_status(&s);
    *out = s.text;
    return status;
}

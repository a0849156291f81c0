/* model/table.c: the layer table printed before training and by --dry-run. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/plan.h"
#include "model/model.h"

/* Parameters among a node's inputs: variables found in the flat buffers as learnt segments. Those
 * of a layer that is used again count once (counted: a flag per segment). */
static uint64_t node_parameters(const tdm_graph *graph, tdm__flat *flat, const tdm__node_info *node,
                                bool *counted)
{
    uint64_t n = 0;
    for (int i = 0; i < node->io.n_in; i++) {
        if (node->in[i] < 0) continue;
        const size_t s = tdm__flat_find(flat, tdm_graph_name(graph, node->in[i]));
        if (s == SIZE_MAX || counted[s]) continue;
        counted[s] = true;
        const tdm__segment *segment = tdm__flat_segment(flat, s);
        if (segment->kind == TDM__SEGMENT_PARAM) n += segment->count;
    }
    return n;
}

/* Bytes per sample that the node's own results take: views and updates of variables take none. */
static double node_bytes(const tdm__node_info *node, int64_t batch)
{
    double bytes = 0;
    if (node->op->view) return 0;
    for (int o = 0; o < node->io.n_out; o++) {
        if (node->op->update[o]) continue;
        const tdm_desc *d = &node->io.out[o];
        bytes += (double)tdm_desc_count(d) * (double)tdm_dtype_size(d->dtype);
    }
    return bytes / (double)batch;
}

/* 25018062 -> "25,018,062" */
static void add_whole(tdm__str *s, uint64_t n)
{
    char digits[32], text[48];
    const int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    int at = 0;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = 0;
    tdm__str_addf(s, " %12s", text);
}

static void add_scaled(tdm__str *s, double n, double unit, const char *prefixes)
{
    while (n >= 10 * unit && prefixes[1]) n /= unit, prefixes++;
    if (*prefixes == ' ')
        tdm__str_addf(s, " %9.0f  ", n);
    else
        tdm__str_addf(s, " %9.2f %c", n, *prefixes);
}

/* A node is named after its layer and operation; the operation has a column of its own. */
static int layer_length(const tdm__node_info *node)
{
    const size_t n = strlen(node->name), op = strlen(node->op->name);
    const bool ends =
        n > op && node->name[n - op - 1] == '.' && !strcmp(node->name + n - op, node->op->name);
    return (int)(ends ? n - op - 1 : n);
}

static void add_row(tdm__str *s, uint64_t parameters, double macs, double bytes)
{
    add_whole(s, parameters);
    add_scaled(s, macs, 1000, " kMG");
    add_scaled(s, bytes, 1024, " KMG");
    tdm__str_add(s, "\n");
}

tdm_status tdm__model_table(const tdm_graph *graph, tdm__flat *flat, int64_t batch, char **out)
{
    tdm__str s = {0};
    double total_macs = 0, total_bytes = 0;
    uint64_t total_parameters = 0;
    bool *counted = NULL;
    tdm_status status = tdm__calloc_try(tdm__flat_count(flat) + 1, sizeof *counted, &counted);
    if (status) return status;
    tdm__str_addf(&s, "%-32s %-18s %-22s %12s %12s %12s\n", "layer", "operation", "output",
                  "parameters", "MACs/sample", "bytes/sample");
    for (size_t i = 0; i < tdm__graph_node_count(graph); i++) {
        tdm__node_info node;
        char shape[64];
        tdm__graph_node_info(graph, i, &node);
        const double macs = node.op->macs ? node.op->macs(&node.io) / (double)batch : 0;
        const double bytes = node_bytes(&node, batch);
        const uint64_t parameters = node_parameters(graph, flat, &node, counted);
        total_macs += macs;
        total_bytes += bytes;
        total_parameters += parameters;
        tdm__str_addf(&s, "%-32.*s %-18s %-22s", layer_length(&node), node.name, node.op->name,
                      tdm_desc_text(&node.io.out[0], shape, sizeof shape));
        add_row(&s, parameters, macs, bytes);
    }
    tdm__str_addf(&s, "%-32s %-18s %-22s", "total", "", "");
    add_row(&s, total_parameters, total_macs, total_bytes);
    free(counted);
    status = tdm__str_status(&s);
    *out = s.text;
    return status;
}

/* graph/recompute.c: making a plan fit the memory that is left by computing values again.
 *
 * A value of the forward pass that the backward pass reads again occupies its bytes in between. As
 * long as the plan needs more than there is, the value whose absence helps most for its price is
 * dropped after its last early use and made again, by a copy of its node, before the next use. What
 * the copy reads lives on for it. The copy does the same arithmetic on the same operands with the
 * same algorithm: the bits of the result do not change. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/planning.h"

/* A value to make again at position `next`. */
typedef struct candidate {
    tdm_value value;
    int node, next; /* who makes it; its first use after the peak */
    double score;   /* bytes freed at the peak per unit of work */
} candidate;

/* ---- the position that needs most -------------------------------------------------------------
 */

/* Bytes that live at each position: values and workspaces. */
static void live_bytes(const tdm__planning *p, int64_t *live)
{
    const int n = (int)p->n_nodes;
    memset(live, 0, (size_t)(n + 1) * sizeof *live);
    for (size_t h = 0; h < p->n_homes; h++) {
        const tdm__home *home = &p->homes[h];
        if (home->kind != TDM__HOME_ARENA) continue;
        live[home->first] += (int64_t)home->bytes;
        if (home->last < n) live[home->last + 1] -= (int64_t)home->bytes;
    }
    for (int at = 1; at < n; at++) live[at] += live[at - 1];
    for (int at = 0; at < n; at++)
        if (!p->nodes[at].removed) live[at] += (int64_t)p->nodes[at].workspace;
}

static int peak_position(const int64_t *live, int n)
{
    int peak = 0;
    for (int at = 1; at < n; at++)
        if (live[at] > live[peak]) peak = at;
    return peak;
}

/* ---- what can be made again -------------------------------------------------------------------
 */

static bool reads(const tdm__planned *node, tdm_value value)
{
    for (int s = 0; s < tdm__planned_operands(node); s++)
        if (tdm__planned_operand(node, s) == value) return true;
    return false;
}

/* The first use after `peak`, or -1 when it is used there, or never again. */
static int use_after(const tdm__planning *p, tdm_value value, int peak)
{
    if (reads(&p->nodes[peak], value)) return -1;
    for (int at = peak + 1; at < (int)p->n_nodes; at++)
        if (!p->nodes[at].removed && reads(&p->nodes[at], value)) return at;
    return -1;
}

/* Values that live in each home. */
static void count_tenants(const tdm__planning *p, int *tenants)
{
    memset(tenants, 0, p->n_homes * sizeof *tenants);
    for (size_t v = 0; v < p->graph->n_values; v++)
        if (p->home[v] >= 0) tenants[p->home[v]]++;
}

/* Whether the copy at `to` would find in `home` what the node at `from` found there: values of a
 * home change by updates and by sums that are accumulated (in-place results keep out of its way).
 */
static bool written_between(const tdm__planning *p, int home, int from, int to)
{
    for (int at = from; at < to; at++) {
        const tdm__planned *node = &p->nodes[at];
        if (node->removed) continue;
        for (int o = 0; o < node->entry->op->n_out; o++) {
            const bool changes = node->entry->op->update[o] || (o == 0 && node->io.accumulate);
            if (changes && p->home[node->out[o]] == home) return true;
        }
    }
    return false;
}

static bool only_makes(const tdm__planned *node)
{
    if (node->removed || node->entry->op->view || node->io.accumulate) return false;
    for (int o = 0; o < node->entry->op->n_out; o++)
        if (node->entry->op->update[o]) return false;
    return true;
}

/* Bytes that the copy's operands add at the peak because they live on for it; -1: they cannot. */
static int64_t operands_cost(const tdm__planning *p, const tdm__planned *node, int from, int peak,
                             int to)
{
    int64_t cost = 0;
    for (int s = 0; s < tdm__planned_operands(node); s++) {
        const tdm_value value = tdm__planned_operand(node, s);
        if (value < 0) continue;
        const int h = p->home[value];
        if (written_between(p, h, from, to)) return -1;
        if (p->homes[h].kind == TDM__HOME_ARENA && p->homes[h].last < peak)
            cost += (int64_t)p->homes[h].bytes;
    }
    return cost;
}

/* Elements moved plus arithmetic, in units of a moved byte (16 multiply-adds). */
static double work(const tdm__planned *node)
{
    double bytes = 0;
    for (int i = 0; i < node->io.n_in; i++) bytes += (double)tdm__desc_bytes(&node->io.in[i]);
    for (int o = 0; o < node->entry->op->n_out; o++)
        bytes += (double)tdm__desc_bytes(&node->io.out[o]);
    const double macs = node->entry->op->macs ? node->entry->op->macs(&node->io) : 0;
    return bytes + macs / 16 + 1;
}

static bool consider(const tdm__planning *p, const tdm__home *home, int peak, candidate *out)
{
    const tdm_value value = home->owner;
    const int from = p->producer[value];
    if (home->kind != TDM__HOME_ARENA || home->first >= peak || home->last <= peak) return false;
    if (from < 0 || p->pinned[value] || !only_makes(&p->nodes[from])) return false;
    const int next = use_after(p, value, peak);
    if (next < 0) return false;
    const int64_t cost = operands_cost(p, &p->nodes[from], from, peak, next);
    const int64_t gain = (int64_t)home->bytes - cost;
    if (cost < 0 || gain <= 0) return false;
    *out = (candidate){
        .value = value, .node = from, .next = next, .score = (double)gain / work(&p->nodes[from])};
    return true;
}

static tdm_status choose(const tdm__planning *p, candidate *best, bool *found)
{
    tdm_status status = TDM_OK;
    int64_t *live = NULL;
    int *tenants = NULL;
    *found = false;
    TDM_TRY(tdm__calloc_try(p->n_nodes + 1, sizeof *live, &live));
    TDM_TRY(tdm__calloc_try(p->n_homes, sizeof *tenants, &tenants));
    live_bytes(p, live);
    count_tenants(p, tenants);
    const int peak = peak_position(live, (int)p->n_nodes);
    for (size_t h = 0; h < p->n_homes; h++) {
        candidate c;
        if (tenants[h] != 1 || !consider(p, &p->homes[h], peak, &c)) continue;
        if (!*found || c.score > best->score) *best = c;
        *found = true;
    }
done:
    free(tenants);
    free(live);
    return status;
}

/* ---- the copy ---------------------------------------------------------------------------------
 */

/* The plan's own graph, with room for `extra` more values. */
static tdm_status own_graph(tdm__planning *p, size_t extra)
{
    tdm_status status = TDM_OK;
    const size_t n = p->graph->n_values;
    if (!p->extended) {
        TDM_TRY(tdm__calloc_try(1, sizeof *p->extended, &p->extended));
        *p->extended = *p->graph;
        p->extended->values = NULL;
        p->extended->values_capacity = 0;
        p->extended->n_values = 0;
        TDM_TRY(tdm__grow(&p->extended->values, &p->extended->values_capacity, n + extra,
                          sizeof *p->extended->values));
        p->extended->n_values = n;
        memcpy(p->extended->values, p->graph->values, n * sizeof *p->extended->values);
        p->graph = p->extended;
    }
    TDM_TRY(tdm__grow(&p->extended->values, &p->extended->values_capacity, n + extra,
                      sizeof *p->extended->values));
    TDM_TRY(tdm__planning_room(p, n + extra));
done:
    return status;
}

static tdm_value new_value(tdm__planning *p, tdm_value like)
{
    const tdm_value value = (tdm_value)p->extended->n_values++;
    p->extended->values[value] = p->extended->values[like];
    p->extended->values[value].keep = false;
    p->needed[value] = true;
    p->pinned[value] = false;
    p->uses[value] = 0;
    p->producer[value] = p->home[value] = -1;
    return value;
}

/* From position `from` on, `copy` is read in place of `value`. */
static tdm_status replace_operand(tdm__planning *p, int from, tdm_value value, tdm_value copy)
{
    for (int at = from; at < (int)p->n_nodes; at++) {
        tdm__planned *node = &p->nodes[at];
        if (node->removed || !reads(node, value)) continue;
        const tdm_status status = tdm__planned_rebind(p, node, value, copy);
        if (status) return status;
    }
    return TDM_OK;
}

static tdm_status make_again(tdm__planning *p, const candidate *c)
{
    tdm_status status = TDM_OK;
    const int n_out = p->nodes[c->node].entry->op->n_out;
    TDM_TRY(own_graph(p, (size_t)n_out));
    TDM_TRY(tdm__grow(&p->nodes, &p->nodes_capacity, p->n_nodes + 1, sizeof *p->nodes));
    memmove(&p->nodes[c->next + 1], &p->nodes[c->next],
            (p->n_nodes - (size_t)c->next) * sizeof *p->nodes);
    p->n_nodes++;
    p->nodes[c->next] = p->nodes[c->node];
    p->nodes[c->next].owns_entry = false; /* the first one must not see what the copy reads */
    for (int o = 0; o < n_out; o++) {
        const tdm_value old = p->nodes[c->node].out[o];
        if (p->nodes[c->node].io.out[o].dtype == TDM_NONE) continue;
        const tdm_value copy = new_value(p, old);
        p->nodes[c->next].out[o] = copy;
        if (old == c->value) TDM_TRY(replace_operand(p, c->next + 1, old, copy));
    }
    for (int at = 0; at < (int)p->n_nodes; at++) {
        const tdm__planned *node = &p->nodes[at];
        for (int o = 0; !node->removed && o < node->entry->op->n_out; o++)
            if (node->io.out[o].dtype != TDM_NONE) p->producer[node->out[o]] = at;
    }
    p->plan->stats.recomputed++;
done:
    return status;
}

/* ---- fitting ----------------------------------------------------------------------------------
 */

static tdm_status does_not_fit(uint64_t needed, uint64_t left, int recomputed)
{
    return tdm__hint(tdm__fail(TDM_ERR_NOMEM,
                               "device memory: activations need %.2f MiB more, %.2f MiB are left, "
                               "with everything made again that can be (%d values)",
                               (double)needed / (1 << 20), (double)left / (1 << 20), recomputed),
                     "a smaller batch size, a larger memory limit or a device with more memory");
}

tdm_status tdm__planning_fit(tdm__planning *p)
{
    tdm_status status = TDM_OK;
    /* Every value once, in effect: beyond that the copies' operands are copied over and over. */
    const int most = (int)p->n_nodes;
    for (;;) {
        uint64_t needed;
        candidate best = {0};
        bool found;
        TDM_TRY(tdm__planning_measure(p, &needed));
        const uint64_t left = tdm__device_memory_left(p->plan->device);
        if (needed <= left) return TDM_OK;
        TDM_TRY(choose(p, &best, &found));
        if (!found || p->plan->stats.recomputed >= most)
            return does_not_fit(needed, left, p->plan->stats.recomputed);
        TDM_TRY(make_again(p, &best));
        TDM_TRY(tdm__planning_homes(p));
    }
done:
    return status;
}

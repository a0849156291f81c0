/* graph/fuse.c: merging nodes.
 *
 * Epilogues: y = act(scale * (acc + bias) + shift + residual). A consumer that can describe itself
 * as such a part moves into the producer of its input 0 when nothing else reads that value. The
 * merged node runs at the consumer's position, where all of its operands exist; an activation has
 * none, there the producer stays where it is. The derivative of an activation moves into the
 * producer of a gradient in the same way, unless its reader takes it over (load.c).
 *
 * Accumulation: s = a + b, where b's producer can add to what is there and a is needed no more: the
 * producer adds to a's storage, and the sum needs no launch of its own. */
#include <stdlib.h>

#include "base/mem.h"
#include "graph/planning.h"

static int rank_of(unsigned part)
{
    switch (part) {
    case TDM__FUSE_AFFINE:
        return 1;
    case TDM__FUSE_RESIDUAL:
        return 2;
    case TDM__FUSE_ACT:
    case TDM__FUSE_ACT_GRAD:
        return 3;
    default:
        return 0;
    }
}

static int last_rank(const tdm__epilogue *e)
{
    return e->act != TDM__ACT_NONE ? 3 : e->residual ? 2 : e->affine ? 1 : 0;
}

/* Where the value lives, as far as views and updates tell. */
static tdm_value root_of(const tdm__planning *p, tdm_value value)
{
    for (;;) {
        int at = p->producer[value];
        if (at < 0) return value;
        const tdm__planned *node = &p->nodes[at];
        const tdm_op *op = node->entry->op;
        int o = 0;
        while (node->out[o] != value) o++;
        if (op->view)
            value = node->entry->in[0];
        else if (op->update[o])
            value = node->entry->in[op->update[o] - 1];
        else if (o == 0 && node->io.accumulate)
            value = node->base;
        else
            return value;
    }
}

bool tdm__planned_changed(const tdm__planning *p, int from, int to)
{
    const tdm__planned *producer = &p->nodes[from];
    for (int at = from + 1; at < to; at++) {
        const tdm__planned *node = &p->nodes[at];
        const tdm_op *op = node->entry->op;
        if (node->removed) continue;
        for (int o = 0; o < op->n_out; o++) {
            if (!op->update[o] && !(o == 0 && node->io.accumulate)) continue;
            tdm_value changed = root_of(p, node->out[o]);
            for (int s = 0; s < tdm__planned_operands(producer); s++) {
                tdm_value read = tdm__planned_operand(producer, s);
                if (read >= 0 && root_of(p, read) == changed) return true;
            }
        }
    }
    return false;
}

static bool keeps_place(unsigned part)
{
    return part == TDM__FUSE_ACT;
}

static bool can_absorb(const tdm__planning *p, int from, int to, unsigned part)
{
    const tdm__planned *producer = &p->nodes[from], *consumer = &p->nodes[to];
    const tdm_op *op = producer->entry->op;
    tdm_value between = consumer->entry->in[0];
    if (!(op->fuse & part) || between != producer->out[0]) return false;
    if (rank_of(part) <= last_rank(&producer->io.epilogue)) return false;
    if (part == TDM__FUSE_ACT_GRAD && last_rank(&producer->io.epilogue)) return false;
    if (p->uses[between] != 1 || p->pinned[between]) return false;
    if (!tdm_desc_equal(&producer->io.out[0], &consumer->io.out[0])) return false;
    if (keeps_place(part)) return !op->update[0];
    for (int o = 0; o < op->n_out; o++)
        if (op->update[o] || (o > 0 && (p->uses[producer->out[o]] || p->pinned[producer->out[o]])))
            return false;
    return !tdm__planned_changed(p, from, to);
}

static void absorb(tdm__planning *p, int from, int to, unsigned kind, const tdm__epilogue *part)
{
    tdm__planned *producer = &p->nodes[from], *consumer = &p->nodes[to];
    tdm__planned merged = *producer;
    tdm__epilogue *e = &merged.io.epilogue;
    if (part->affine) {
        e->affine = true;
        merged.scale = consumer->entry->in[1];
        merged.shift = consumer->entry->in[2];
    }
    if (part->residual || part->act_grad) {
        e->residual = part->residual;
        e->act_grad = part->act_grad;
        merged.residual = consumer->entry->in[1];
    }
    if (part->act != TDM__ACT_NONE) {
        e->act = part->act;
        e->alpha = part->alpha;
    }
    const int at = keeps_place(kind) ? from : to;
    p->producer[merged.out[0]] = -1; /* no longer made */
    merged.out[0] = consumer->out[0];
    producer->removed = consumer->removed = true;
    p->nodes[at] = merged;
    for (int o = 0; o < merged.entry->op->n_out; o++) p->producer[merged.out[o]] = at;
    p->plan->stats.fused++;
}

void tdm__planning_fuse(tdm__planning *p)
{
    for (int at = 0; at < (int)p->n_nodes; at++) {
        tdm__planned *consumer = &p->nodes[at];
        const tdm_op *op = consumer->entry->op;
        if (consumer->removed || !op->as_epilogue || op->n_out != 1) continue;
        tdm__epilogue part = {0};
        unsigned kind = op->as_epilogue(&consumer->io, &part);
        int from = p->producer[consumer->entry->in[0]];
        if (kind == TDM__FUSE_ACT_GRAD && tdm__planning_load_act_grad(p, at, &part)) continue;
        if (kind && from >= 0 && can_absorb(p, from, at, kind)) absorb(p, from, at, kind, &part);
    }
}

/* accumulation --------------------------------------------------------------------------------- */

static bool is_stored_at(const tdm__planning *p, tdm_value value, tdm__view view)
{
    for (size_t s = 0; s < p->graph->n_stores; s++) {
        const tdm__store_entry *store = &p->graph->stores[s];
        if (store->value == value && store->view.buffer == view.buffer &&
            store->view.offset == view.offset)
            return true;
    }
    return false;
}

/* Whether nobody reads what shares `root`'s storage from position `from` on, except node `sum`, and
 * nobody wants it after the run. */
static bool dies_before(const tdm__planning *p, tdm_value root, int from, int sum)
{
    for (size_t v = 0; v < p->graph->n_values; v++)
        if (p->pinned[v] && p->needed[v] && root_of(p, (tdm_value)v) == root) return false;
    for (int at = from; at < (int)p->n_nodes; at++) {
        const tdm__planned *node = &p->nodes[at];
        if (node->removed || at == sum) continue;
        for (int s = 0; s < tdm__planned_operands(node); s++) {
            tdm_value read = tdm__planned_operand(node, s);
            if (read >= 0 && root_of(p, read) == root) return false;
        }
    }
    return true;
}

/* The node that makes the value's bytes, through views that nobody else reads; -1: none. */
static int maker_of(const tdm__planning *p, tdm_value value)
{
    int at = p->producer[value];
    while (at >= 0 && p->nodes[at].entry->op->view && p->uses[value] == 1 && !p->pinned[value]) {
        value = p->nodes[at].entry->in[0];
        at = p->producer[value];
    }
    return at >= 0 && p->uses[value] == 1 && !p->pinned[value] ? at : -1;
}

/* Can the maker of `addend` add to the storage of `base`, for the sum at position `sum`? */
static bool can_accumulate(const tdm__planning *p, tdm_value base, tdm_value addend, int sum)
{
    int at = maker_of(p, addend);
    if (at < 0 || base == addend) return false;
    const tdm__planned *node = &p->nodes[at];
    const tdm_op *op = node->entry->op;
    if (!op->can_accumulate || root_of(p, addend) != node->out[0] || op->update[0] || op->view ||
        node->io.accumulate || last_rank(&node->io.epilogue))
        return false;
    if (p->producer[base] >= at) return false;
    tdm_value root = root_of(p, base);
    const tdm__value_entry *entry = &p->graph->values[root];
    if (entry->kind == TDM__VALUE_VARIABLE) {
        if (!is_stored_at(p, p->nodes[sum].out[0], entry->place)) return false;
    } else if (entry->kind != TDM__VALUE_OUTPUT) {
        return false;
    }
    return dies_before(p, root, at, sum);
}

static bool accumulate(tdm__planning *p, tdm_value base, tdm_value addend, int sum)
{
    if (!can_accumulate(p, base, addend, sum)) return false;
    const int at = maker_of(p, addend);
    tdm__planned *node = &p->nodes[at];
    tdm_value out = p->nodes[sum].out[0];
    for (int view = p->producer[addend]; view != at; view = p->producer[addend]) {
        p->nodes[view].removed = true; /* the sum has the view's shape */
        p->producer[addend] = -1;
        addend = p->nodes[view].entry->in[0];
    }
    node->io.accumulate = true;
    node->base = base;
    node->out[0] = out;
    p->nodes[sum].removed = true;
    p->producer[addend] = -1;
    p->producer[out] = at;
    p->plan->stats.accumulated++;
    return true;
}

void tdm__planning_accumulate(tdm__planning *p)
{
    for (int at = 0; at < (int)p->n_nodes; at++) {
        const tdm__planned *sum = &p->nodes[at];
        const tdm_op *op = sum->entry->op;
        tdm__epilogue part = {0};
        if (sum->removed || sum->io.accumulate || !op->as_epilogue || op->n_out != 1 ||
            last_rank(&sum->io.epilogue) || op->as_epilogue(&sum->io, &part) != TDM__FUSE_RESIDUAL)
            continue;
        tdm_value a = sum->entry->in[0], b = sum->entry->in[1];
        if (!accumulate(p, a, b, at)) accumulate(p, b, a, at);
    }
}

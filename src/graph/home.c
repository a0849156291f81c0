/* graph/home.c: which values share storage.
 *
 * Every value gets a home. A view, an update and an accumulated result live in their operand's
 * home; an output that may work in place takes over its operand's home when nobody reads that any
 * more. A stored value's home is the place it is stored at, unless something else in the plan uses
 * that place: then it is copied at the end. */
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "graph/planning.h"

static tdm_status new_home(tdm__planning *p, tdm_value value, tdm__home home)
{
    tdm_status status = tdm__grow(&p->homes, &p->homes_capacity, p->n_homes + 1, sizeof *p->homes);
    if (status) return status;
    home.owner = value;
    home.bytes = tdm__desc_bytes(p->graph->values[value].desc);
    p->homes[p->n_homes] = home;
    p->home[value] = (int)p->n_homes++;
    return TDM_OK;
}

/* Homes of what is not made by nodes. */
static tdm_status outer_homes(tdm__planning *p)
{
    tdm_status status = TDM_OK;
    int input = 0;
    for (size_t v = 0; !status && v < p->graph->n_values; v++) {
        const tdm__value_entry *entry = &p->graph->values[v];
        tdm__home home = {.first = -1, .last = INT_MAX};
        if (entry->kind == TDM__VALUE_INPUT) {
            home.kind = TDM__HOME_INPUT;
            home.input = input++;
            status = new_home(p, (tdm_value)v, home);
        } else if (entry->kind == TDM__VALUE_CONSTANT && p->needed[v]) {
            home.kind = TDM__HOME_CONSTANT;
            status = new_home(p, (tdm_value)v, home);
        } else if (entry->kind == TDM__VALUE_VARIABLE && p->needed[v]) {
            if (!entry->place.buffer)
                return tdm__fail(TDM_ERR_STATE, "variable %s has no place", entry->name);
            home.kind = TDM__HOME_EXTERNAL;
            home.view = entry->place;
            status = new_home(p, (tdm_value)v, home);
        }
    }
    return status;
}

static bool overlap(tdm__view a, uint64_t a_bytes, tdm__view b, uint64_t b_bytes)
{
    return a.buffer == b.buffer && a.offset < b.offset + b_bytes && b.offset < a.offset + a_bytes;
}

static bool same_view(tdm__view a, tdm__view b)
{
    return a.buffer == b.buffer && a.offset == b.offset;
}

/* Is `value` to be stored exactly where this home is? */
static bool stored_there(const tdm__planning *p, tdm_value value, const tdm__home *home)
{
    for (size_t s = 0; s < p->graph->n_stores; s++)
        if (p->graph->stores[s].value == value && same_view(p->graph->stores[s].view, home->view))
            return true;
    return false;
}

static int operand_home(const tdm__planning *p, const tdm__planned *node, int slot)
{
    tdm_value value = tdm__planned_operand(node, slot);
    return value < 0 ? -1 : p->home[value];
}

/* The home that output o can take over, or -1. */
static int inplace_home(const tdm__planning *p, int at, int o)
{
    const tdm__planned *node = &p->nodes[at];
    int slot = node->entry->op->inplace[o] - 1;
    if (p->spec->no_fuse || slot < 0 || slot >= node->io.n_in) return -1;
    int h = operand_home(p, node, slot);
    if (h < 0) return -1;
    const tdm__home *home = &p->homes[h];
    if (home->bytes != tdm__desc_bytes(&node->io.out[o])) return -1;
    for (int s = 0; s < tdm__planned_operands(node); s++)
        if (s != slot && operand_home(p, node, s) == h) return -1;
    for (int other = 0; other < o; other++)
        if (p->home[node->out[other]] == h) return -1;
    if (home->kind == TDM__HOME_ARENA) return home->last <= at ? h : -1;
    if (home->kind != TDM__HOME_EXTERNAL || !stored_there(p, node->out[o], home)) return -1;
    /* a variable that is replaced by the result: nobody may read it afterwards */
    for (int later = at + 1; later < (int)p->n_nodes; later++)
        for (int s = 0; !p->nodes[later].removed && s < tdm__planned_operands(&p->nodes[later]);
             s++)
            if (operand_home(p, &p->nodes[later], s) == h) return -1;
    return h;
}

static int shared_home(tdm__planning *p, int at, int o)
{
    const tdm__planned *node = &p->nodes[at];
    const tdm_op *op = node->entry->op;
    if (op->update[o]) return p->home[node->entry->in[op->update[o] - 1]];
    if (o == 0 && op->view) return p->home[node->entry->in[0]];
    if (o == 0 && node->io.accumulate) return p->home[node->base];
    int h = inplace_home(p, at, o);
    if (h >= 0) p->plan->stats.inplace++;
    return h;
}

static tdm_status inner_homes(tdm__planning *p, const int *last_use)
{
    for (int at = 0; at < (int)p->n_nodes; at++) {
        tdm__planned *node = &p->nodes[at];
        if (node->removed) continue;
        for (int o = 0; o < node->entry->op->n_out; o++) {
            tdm_value value = node->out[o];
            if (node->io.out[o].dtype == TDM_NONE || (o == 0 && node->io.pending)) continue;
            int last = last_use[value] > at ? last_use[value] : at;
            int h = shared_home(p, at, o);
            if (h < 0) {
                tdm__home home = {.kind = TDM__HOME_ARENA, .first = at, .last = last};
                tdm_status status = new_home(p, value, home);
                if (status) return status;
            } else {
                p->home[value] = h;
                if (p->homes[h].last < last) p->homes[h].last = last;
            }
        }
    }
    return TDM_OK;
}

/* Statistics live from their producer to the one reader. */
static tdm_status statistics_homes(tdm__planning *p)
{
    for (int at = 0; at < (int)p->n_nodes; at++) {
        tdm__planned *reader = &p->nodes[at];
        if (reader->removed || !reader->io.blocks || !reader->entry->op->reads_statistics) continue;
        const tdm_value value = tdm__planned_operand(reader, 0);
        tdm__planned *producer = &p->nodes[p->producer[value]];
        const tdm_desc *desc = &reader->io.in[0];
        uint64_t bytes;
        if (!tdm__mul_u64(3 * sizeof(float) * reader->io.blocks,
                          (uint64_t)desc->dim[desc->rank - 1], &bytes))
            return tdm__fail(TDM_ERR_SHAPE, "%s: statistics of too many bytes",
                             reader->entry->name);
        tdm_status status =
            tdm__grow(&p->homes, &p->homes_capacity, p->n_homes + 1, sizeof *p->homes);
        if (status) return status;
        p->homes[p->n_homes] = (tdm__home){.kind = TDM__HOME_ARENA,
                                           .owner = value,
                                           .bytes = bytes,
                                           .first = p->producer[value],
                                           .last = at};
        producer->statistics = reader->statistics = (int)p->n_homes++;
    }
    return TDM_OK;
}

/* Would writing to this place early disturb a variable or another stored value? */
static bool place_is_shared(const tdm__planning *p, size_t store)
{
    const tdm__store_entry *s = &p->graph->stores[store];
    uint64_t bytes = tdm__desc_bytes(p->graph->values[s->value].desc);
    for (size_t i = 0; i < p->graph->n_stores; i++) {
        const tdm__store_entry *other = &p->graph->stores[i];
        if (i != store && overlap(s->view, bytes, other->view,
                                  tdm__desc_bytes(p->graph->values[other->value].desc)))
            return true;
    }
    for (size_t v = 0; v < p->graph->n_values; v++) {
        const tdm__value_entry *entry = &p->graph->values[v];
        if (entry->kind == TDM__VALUE_VARIABLE && p->needed[v] &&
            overlap(s->view, bytes, entry->place, tdm__desc_bytes(entry->desc)))
            return true;
    }
    return false;
}

static tdm_status store_homes(tdm__planning *p)
{
    for (size_t s = 0; s < p->graph->n_stores; s++) {
        const tdm__store_entry *store = &p->graph->stores[s];
        tdm__home *home = &p->homes[p->home[store->value]];
        if (home->kind == TDM__HOME_EXTERNAL && same_view(home->view, store->view)) continue;
        if (home->kind == TDM__HOME_ARENA && !place_is_shared(p, s)) {
            home->kind = TDM__HOME_EXTERNAL;
            home->view = store->view;
            continue;
        }
        tdm_status status =
            tdm__grow(&p->copies, &p->copies_capacity, p->n_copies + 1, sizeof *p->copies);
        if (status) return status;
        p->copies[p->n_copies++] = *store;
    }
    return TDM_OK;
}

tdm_status tdm__planning_homes(tdm__planning *p)
{
    int *last_use = NULL;
    tdm_status status = TDM_OK;
    p->n_homes = p->n_copies = 0;
    p->plan->stats.inplace = 0;
    if (!p->spec->no_fuse) tdm__planning_statistics(p);
    TDM_TRY(tdm__calloc_try(p->graph->n_values, sizeof *last_use, &last_use));
    for (size_t v = 0; v < p->graph->n_values; v++) {
        last_use[v] = p->pinned[v] ? INT_MAX : -1;
        p->home[v] = -1;
    }
    for (int at = 0; at < (int)p->n_nodes; at++) {
        const tdm__planned *node = &p->nodes[at];
        for (int s = 0; !node->removed && s < tdm__planned_operands(node); s++) {
            tdm_value value = tdm__planned_operand(node, s);
            if (value >= 0 && last_use[value] < at) last_use[value] = at;
        }
    }
    TDM_TRY(outer_homes(p));
    TDM_TRY(inner_homes(p, last_use));
    TDM_TRY(statistics_homes(p));
    TDM_TRY(store_homes(p));
done:
    free(last_use);
    return status;
}

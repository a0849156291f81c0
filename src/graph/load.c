/* graph/load.c: what readers and producers of a tensor take over from each other: values that are
 * not stored because their readers compute them, and statistics that come with what they are about.
 *
 * A recipe (tdm_op.recipe) gives a value, channel by channel, from another tensor that is there
 * anyway: batch normalisation and activation from the raw result of a convolution. When all who
 * read the value can follow it while they read (tdm_variant.loads), they read the raw tensor and
 * the value is pending: never stored, neither for the next layer nor for the backward pass.
 *
 * The derivative of such an activation needs the value too. A reader of the gradient that has the
 * raw tensor (tdm_op.load_act_grad) takes it from there and the activation's node goes. */
#include "graph/planning.h"

static const tdm__recipe *recipe_of(const tdm__planned *node)
{
    return node->entry->op->recipe;
}

/* The reader gets the channels' numbers of the recipe of `maker`. */
static void set_load(tdm__planned *reader, const tdm__planned *maker, int slot, tdm_value raw)
{
    const tdm__recipe *recipe = recipe_of(maker);
    reader->io.load = (tdm__load){
        .input = slot + 1, .act = maker->io.epilogue.act, .alpha = maker->io.epilogue.alpha};
    reader->raw = raw;
    reader->load_centre = maker->out[recipe->centre];
    reader->load_inverse = maker->out[recipe->inverse];
    reader->load_scale = maker->entry->in[recipe->scale];
    reader->load_shift = maker->entry->in[recipe->shift];
}

/* Where the recipe's value comes from; its producer, or -1. */
static int maker_of(const tdm__planning *p, tdm_value value)
{
    const int at = p->producer[value];
    return at >= 0 && recipe_of(&p->nodes[at]) && p->nodes[at].out[0] == value ? at : -1;
}

/* ---- derivatives -----------------------------------------------------------------------------
 */

/* The only operand that reads the value: its node, or -1. */
static int only_reader(const tdm__planning *p, tdm_value value, int *slot)
{
    int found = -1;
    if (p->uses[value] != 1 || p->pinned[value]) return -1;
    for (int at = 0; at < (int)p->n_nodes; at++) {
        const tdm__planned *node = &p->nodes[at];
        for (int s = 0; !node->removed && s < tdm__planned_operands(node); s++)
            if (tdm__planned_operand(node, s) == value) found = at, *slot = s;
    }
    return found;
}

bool tdm__planning_load_act_grad(tdm__planning *p, int at, const tdm__epilogue *part)
{
    tdm__planned *derivative = &p->nodes[at];
    const int from = maker_of(p, derivative->entry->in[1]);
    int slot = 0;
    const int to = only_reader(p, derivative->out[0], &slot);
    if (from < 0 || to < 0) return false;
    const tdm__planned *maker = &p->nodes[from];
    tdm__planned *reader = &p->nodes[to];
    if (reader->entry->op->load_act_grad != slot + 1 || reader->io.load.input) return false;
    if (maker->io.epilogue.act != part->act || maker->io.epilogue.alpha != part->alpha)
        return false;
    const tdm_value source = maker->entry->in[recipe_of(maker)->source];
    bool reads_source = false;
    for (int i = 0; i < reader->io.n_in; i++) reads_source |= reader->entry->in[i] == source;
    if (!reads_source || tdm__planned_changed(p, from, to)) return false;
    set_load(reader, maker, slot, derivative->entry->in[0]);
    reader->io.load.act_grad = true;
    derivative->removed = true;
    p->producer[derivative->out[0]] = -1;
    p->plan->stats.loads++;
    return true;
}

/* ---- pending values --------------------------------------------------------------------------
 */

static bool can_load(const tdm__planning *p, int from, int at, int slot)
{
    const tdm__planned *node = &p->nodes[at];
    return slot < node->io.n_in && slot < 32 && node->variant &&
           (node->variant->loads >> slot & 1u) && !node->io.load.input &&
           !tdm__planned_changed(p, from, at);
}

/* Reads the value once at most, and can follow the recipe then. */
static bool reader_follows(const tdm__planning *p, int from, int at, tdm_value value)
{
    const tdm__planned *node = &p->nodes[at];
    int reads = 0;
    for (int s = 0; s < tdm__planned_operands(node); s++) {
        if (tdm__planned_operand(node, s) != value) continue;
        if (++reads > 1 || !can_load(p, from, at, s)) return false;
    }
    return true;
}

static bool can_pend(const tdm__planning *p, int from)
{
    const tdm__planned *maker = &p->nodes[from];
    const int act = maker->io.epilogue.act;
    if (!recipe_of(maker) || p->pinned[maker->out[0]] || maker->io.accumulate) return false;
    if (act != TDM__ACT_NONE && act != TDM__ACT_RELU) return false;
    for (int at = 0; at < (int)p->n_nodes; at++)
        if (!p->nodes[at].removed && !reader_follows(p, from, at, maker->out[0])) return false;
    return true;
}

static void pend(tdm__planning *p, int from)
{
    tdm__planned *maker = &p->nodes[from];
    const tdm_value value = maker->out[0], source = maker->entry->in[recipe_of(maker)->source];
    for (int at = from + 1; at < (int)p->n_nodes; at++) {
        tdm__planned *node = &p->nodes[at];
        for (int s = 0; !node->removed && s < node->io.n_in; s++) {
            if (tdm__planned_operand(node, s) != value) continue;
            set_load(node, maker, s, source);
            p->plan->stats.loads++;
        }
    }
    maker->io.pending = true;
    p->producer[value] = -1;
    p->plan->stats.pending++;
}

void tdm__planning_loads(tdm__planning *p)
{
    for (int at = 0; at < (int)p->n_nodes; at++)
        if (!p->nodes[at].removed && can_pend(p, at)) pend(p, at);
}

/* ---- statistics --------------------------------------------------------------------------------
 */

static bool is_plain(const tdm__epilogue *e)
{
    return !e->affine && !e->residual && !e->act_grad && e->act == TDM__ACT_NONE;
}

/* The node's variant brings the statistics of its output 0, unless they would be of something else.
 */
static bool brings_statistics(const tdm__planned *node, tdm_value value)
{
    return node->variant && node->variant->statistics && node->out[0] == value &&
           !node->io.accumulate && !node->io.blocks && is_plain(&node->io.epilogue);
}

/* Pairs each reader with who makes its input: a copy of that node, when the value is made again. */
void tdm__planning_statistics(tdm__planning *p)
{
    p->plan->stats.statistics = 0;
    for (size_t k = 0; k < p->n_nodes; k++) {
        p->nodes[k].io.blocks = 0;
        p->nodes[k].statistics = -1;
    }
    for (size_t k = 0; k < p->n_nodes; k++) {
        tdm__planned *reader = &p->nodes[k];
        if (reader->removed || !reader->entry->op->reads_statistics) continue;
        const tdm_value value = tdm__planned_operand(reader, 0);
        const int from = p->producer[value];
        if (from >= 0 && brings_statistics(&p->nodes[from], value)) {
            tdm__planned *producer = &p->nodes[from];
            producer->io.blocks = reader->io.blocks =
                producer->variant->statistics(p->traits, &producer->io);
            p->plan->stats.statistics += reader->io.blocks > 0;
        }
        if (reader->variant->workspace) /* depends on whether they come */
            reader->workspace = reader->variant->workspace(p->traits, &reader->io);
    }
}

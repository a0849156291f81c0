/* graph/variant.c: which algorithm runs a node: the first one in the descriptor's order that fits
 * the style and the shapes, unless the plan's chooser (the tuning file, a test) names another. */
#include <stdlib.h>

#include "base/str.h"
#include "graph/planning.h"

bool tdm__variant_fits(const tdm__variant *v, const tdm__traits *traits, const tdm__io *io)
{
    unsigned style = traits->style == TDM_STYLE_CPU ? TDM__ON_CPU : TDM__ON_GPU;
    return (v->styles & style) && (!v->can_run || v->can_run(traits, io));
}

const tdm__variant *tdm__variant_default(const tdm_op *op, const tdm__traits *traits,
                                         const tdm__io *io)
{
    for (int i = 0; i < op->n_variants; i++) {
        const tdm__variant *v = &op->variants[i];
        if (!v->candidate && tdm__variant_fits(v, traits, io) &&
            (!v->prefer || v->prefer(traits, io)))
            return v;
    }
    return NULL;
}

const tdm__variant *tdm__variant_named(const tdm_op *op, const tdm__traits *traits,
                                       const tdm__io *io, const char *name)
{
    const tdm__variant *found = NULL;
    for (int i = 0; name && i < op->n_variants; i++)
        if (tdm__streq(op->variants[i].name, name) &&
            tdm__variant_fits(&op->variants[i], traits, io))
            found = &op->variants[i];
    return found;
}

void tdm__variant_key(const tdm_op *op, const tdm__traits *traits, const tdm__io *io, tdm__str *key)
{
    char text[96];
    tdm__str_addf(key, "%s|%s|", op->name, traits->style == TDM_STYLE_CPU ? "cpu" : "gpu");
    for (int i = 0; i < io->n_in; i++)
        tdm__str_addf(key, "%s%s", i ? "," : "", tdm_desc_text(&io->in[i], text, sizeof text));
    tdm__str_add(key, "|");
    tdm__attrs_text(op, io->attrs, key);
}

static tdm_status chosen(tdm__planning *p, tdm__planned *node)
{
    if (!p->spec->choose) return TDM_OK;
    const tdm_op *op = node->entry->op;
    tdm__str key = {0};
    tdm__variant_key(op, p->traits, &node->io, &key);
    tdm_status status = tdm__str_status(&key);
    const char *name =
        status ? NULL : p->spec->choose(p->spec->choose_user, tdm__str_text(&key), op, &node->io);
    node->variant = tdm__variant_named(op, p->traits, &node->io, name);
    tdm__str_free(&key);
    return status;
}

tdm_status tdm__planning_variants(tdm__planning *p)
{
    for (size_t k = 0; k < p->n_nodes; k++) {
        tdm__planned *node = &p->nodes[k];
        const tdm_op *op = node->entry->op;
        if (node->removed || op->view) continue;
        tdm_status status = chosen(p, node);
        if (status) return status;
        if (!node->variant) node->variant = tdm__variant_default(op, p->traits, &node->io);
        if (!node->variant) {
            tdm__str key = {0};
            tdm__variant_key(op, p->traits, &node->io, &key);
            status = tdm__fail(TDM_ERR_DEVICE, "%s: no algorithm for %s", node->entry->name,
                               tdm__str_text(&key));
            tdm__str_free(&key);
            return status;
        }
        if (node->variant->workspace)
            node->workspace = node->variant->workspace(p->traits, &node->io);
    }
    return TDM_OK;
}

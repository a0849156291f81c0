/* model/net.c: building context: scopes, freezing patterns, variables. */
#include "model/net.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void tdm__net_free(tdm__net *net)
{
    if (!net) return;
    tdm__str_free(&net->scope);
    free(net->variables);
    for (size_t i = 0; i < net->n_taps; i++) free(net->taps[i].name);
    free(net->taps);
    net->taps = NULL;
    net->n_taps = net->taps_capacity = 0;
    net->variables = NULL;
    net->n_variables = net->variables_capacity = 0;
}

size_t tdm__net_push(tdm__net *net, const char *name)
{
    const size_t mark = net->scope.length;
    if (!*name) return SIZE_MAX;
    tdm__str_addf(&net->scope, "%s.", name);
    tdm_graph_push(net->graph, name);
    return mark;
}

void tdm__net_pop(tdm__net *net, size_t mark)
{
    if (mark == SIZE_MAX) return;
    if (net->scope.text && mark <= net->scope.length) {
        net->scope.length = mark;
        net->scope.text[mark] = 0;
    }
    tdm_graph_pop(net->graph);
}

bool tdm__name_matches(const char *pattern, const char *name)
{
    if (tdm__glob(pattern, name)) return true;
    const size_t n = strlen(pattern);
    return n > 0 && !strncmp(pattern, name, n) && name[n] == '.';
}

bool tdm__frozen_by(const char *const *freeze, size_t n_freeze, const char *const *thawed,
                    size_t n_thawed, const char *name)
{
    bool frozen = false;
    for (size_t i = 0; i < n_freeze && !frozen; i++) frozen = tdm__name_matches(freeze[i], name);
    for (size_t i = 0; i < n_thawed && frozen; i++) frozen = !tdm__name_matches(thawed[i], name);
    return frozen;
}

bool tdm__net_frozen(tdm__net *net, const char *name)
{
    tdm__str full = {0};
    tdm__str_add(&full, tdm__str_text(&net->scope));
    tdm__str_add(&full, name);
    const char *text = tdm__str_text(&full);
    for (size_t i = 0; net->freeze_used && i < net->n_freeze; i++)
        if (tdm__name_matches(net->freeze[i], text)) net->freeze_used[i] = true;
    const bool frozen =
        tdm__frozen_by(net->freeze, net->n_freeze, net->thawed, net->n_thawed, text);
    tdm__str_free(&full);
    return frozen;
}

/* A layer that is used again reads the same variable, so that its gradient is of all uses. */
static tdm_value add_variable(tdm__net *net, size_t index)
{
    const tdm__segment *s = tdm__flat_segment(net->flat, index);
    for (size_t i = 0; i < net->n_variables; i++)
        if (net->variables[i].segment == index) return net->variables[i].value;
    const bool learnt = s->kind == TDM__SEGMENT_PARAM && !s->frozen && net->training;
    const tdm_value v = tdm_graph_variable(net->graph, s->name, s->device, learnt);
    if (v < 0) return v;
    tdm_status status = tdm__grow(&net->variables, &net->variables_capacity, net->n_variables + 1,
                                  sizeof *net->variables);
    if (status) return tdm_graph_fail(net->graph, status, "%s", tdm_last_error());
    net->variables[net->n_variables++] = (tdm__net_variable){v, index};
    return v;
}

tdm_value tdm__net_variable_for(tdm__net *net, const tdm__segment *spec)
{
    tdm__str name = {0};
    tdm__str_add(&name, tdm__str_text(&net->scope));
    tdm__str_add(&name, spec->name);
    tdm__segment s = *spec;
    s.name = name.text;
    s.frozen = tdm__net_frozen(net, spec->name);
    size_t index = 0;
    tdm_status status = tdm__str_status(&name);
    if (!status) status = tdm__flat_declare(net->flat, &s, &index);
    tdm_value v = status ? tdm_graph_fail(net->graph, status, "%s", tdm_last_error())
                         : add_variable(net, index);
    tdm__str_free(&name);
    return v;
}

tdm_value tdm__net_tap_add(tdm__net *net, const char *name, tdm_value value)
{
    tdm_status status = TDM_OK;
    tdm__str full = {0};
    if (!net->tapping || value < 0) return value;
    tdm__str_addf(&full, "%s%s", tdm__str_text(&net->scope), name);
    TDM_TRY(tdm__str_status(&full));
    TDM_TRY(tdm__grow(&net->taps, &net->taps_capacity, net->n_taps + 1, sizeof *net->taps));
    net->taps[net->n_taps++] = (tdm__net_tap){full.text, value};
    full = (tdm__str){0};
done:
    tdm__str_free(&full);
    return status ? tdm_graph_fail(net->graph, status, "%s", tdm_last_error()) : value;
}

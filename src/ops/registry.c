/* ops/registry.c: the list of all operations, made from ops.def. */
#include "ops/registry.h"

#include <string.h>

static const tdm_op *const all_ops[] = {
#define TDM_OP(name) &tdm__op_##name,
#include "ops/ops.def"
#undef TDM_OP
    NULL};

const tdm_op *const *tdm__ops(size_t *n)
{
    *n = sizeof all_ops / sizeof all_ops[0] - 1;
    return all_ops;
}

const tdm_op *tdm__op_find(const char *name)
{
    for (size_t i = 0; all_ops[i]; i++)
        if (strcmp(all_ops[i]->name, name) == 0) return all_ops[i];
    return NULL;
}

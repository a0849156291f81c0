/* ops/registry.h: the list of all operations (ops.def), for tests, bench and lookups by name. */
#ifndef OPS_REGISTRY_H
#define OPS_REGISTRY_H

#include "graph/op.h"

#define TDM_OP(name) extern const tdm_op tdm__op_##name;
#include "ops/ops.def"
#undef TDM_OP

/* All operations, in ops.def's order; *n receives the number. */
const tdm_op *const *tdm__ops(size_t *n);
const tdm_op *tdm__op_find(const char *name); /* NULL when absent */

#endif

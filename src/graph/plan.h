/* graph/plan.h: from a graph to launches: prune, fuse, order, place in memory, prepare, replay.
 *
 * Prune: only what a kept value, or a stored value, needs. Fuse: as_epilogue consumers whose
 * producer has no other use. Loads: a value with a recipe that all of its readers can follow is not
 * stored. Order: as built. Memory: liveness intervals in a planned arena, in-place and accumulate
 * where the descriptors permit; chunks no larger than the device's maximum allocation.
 */
#ifndef GRAPH_PLAN_H
#define GRAPH_PLAN_H

#include "graph/op.h"

/* Where a value's bytes come from. Variables must be placed before a plan is made; a stored value
 * is written to the view by its producer (or copied when it is an input or stored elsewhere too).
 */
void tdm__graph_place(tdm_graph *graph, tdm_value variable, tdm__view view);
void tdm__graph_store(tdm_graph *graph, tdm_value value, tdm__view view);
/* The variable's bytes follow from what the nodes appended so far store: a run stops before the first
 * node that reads it. One a graph. */
void tdm__graph_await(tdm_graph *graph, tdm_value variable);

/* Activation memory shared by several plans (they run one after another). */
typedef struct tdm__arena tdm__arena;
tdm_status tdm__arena_create(tdm_device *device, tdm__arena **out);
void tdm__arena_destroy(tdm__arena **arena);

/* Algorithm choice: variant for a node's key "op|style|shapes|attrs", or NULL for the default. */
typedef const char *(*tdm__choose_variant)(void *user, const char *key, const tdm_op *op,
                                           const tdm__io *io);

typedef struct tdm__plan_spec {
    tdm_device *device;
    tdm__arena *arena; /* NULL: the plan's own */
    tdm__view step;    /* a tdm__step; may be empty when no node needs it */
    bool no_fuse;      /* every node by itself: no epilogues, nothing accumulated or in place */
    bool no_prune;
    bool guard; /* tests: every value in its own buffer with guard bands, checked after runs */
    tdm__choose_variant choose;
    void *choose_user;
} tdm__plan_spec;

/* Makes no plan, only sees to it that the arena's next chunks will be large enough for this one:
 * plans that are all announced before the first is made take the memory of the largest, whatever
 * their order. Without it a larger later one adds chunks to what is there. */
tdm_status tdm__plan_reserve(const tdm_graph *graph, const tdm__plan_spec *spec);

typedef struct tdm__plan tdm__plan;

/* The graph may be destroyed afterwards. The arena, device and placed buffers must outlive it. */
tdm_status tdm__plan_create(const tdm_graph *graph, const tdm__plan_spec *spec, tdm__plan **out);
void tdm__plan_destroy(tdm__plan **plan);
/* Points an input at its bytes for the next runs. All inputs must be bound before the first run. */
tdm_status tdm__plan_bind(tdm__plan *plan, tdm_value input, tdm__view view);
/* Enqueues every launch, in order; with an awaited variable only those before its first reader, and
 * tdm__plan_resume the others. */
tdm_status tdm__plan_run(tdm__plan *plan);
tdm_status tdm__plan_resume(tdm__plan *plan);
/* Where a kept value lives after a run, until another plan of the same arena runs (empty view when
 * it was pruned, or not kept). */
tdm__view tdm__plan_view(const tdm__plan *plan, tdm_value value);
/* guard: TDM_ERR_RUNTIME naming the node whose neighbour was overwritten. */
tdm_status tdm__plan_check_guards(tdm__plan *plan);

typedef struct tdm__plan_stats {
    int nodes;                /* of the graph */
    int pruned;               /* not needed */
    int fused;                /* part of their producer's epilogue */
    int loads;                /* inputs that are transformed while they are read */
    int pending;              /* values that are not stored: all their readers do that */
    int statistics;           /* reductions that came with what they reduce */
    int accumulated;          /* sums folded into a producer that adds to what is there */
    int inplace;              /* outputs that took over an input's storage */
    int recomputed;           /* values made again because keeping them would not fit */
    int launches;             /* enqueued per run */
    uint64_t arena_bytes;     /* activations and workspace, as placed */
    uint64_t naive_bytes;     /* the same without reuse */
    uint64_t workspace_bytes; /* largest workspace */
    double flops, bytes;      /* per run */
    /* Activations and their gradients as kernels read and write them, per run: each tensor once for a
     * kernel that has it as an operand, however often it is launched on parts of it. */
    uint64_t activation_read_bytes, activation_write_bytes;
} tdm__plan_stats;
void tdm__plan_get_stats(const tdm__plan *plan, tdm__plan_stats *out);
/* Text table of nodes: name, op, variant, output, launches, flops, megabytes moved, and of these
 * activations read and written. free(*out). */
tdm_status tdm__plan_text(const tdm__plan *plan, char **out);
/* Calls fn for every launch of the plan, with its node's op and name (bench, tests). A CLBlast call
 * and a copy come as a launch without a kernel. */
void tdm__plan_each_launch(tdm__plan *plan,
                           void (*fn)(void *user, const char *op, const char *node,
                                      tdm__launch *launch),
                           void *user);

/* ---- host interpreter (tests) ------------------------------------------------------------------
 */

/* Runs the graph in double with the operations' references. values[v] must hold the inputs' and
 * variables' elements (count doubles each); it allocates the others. Frees nothing it was given. */
tdm_status tdm__graph_interpret(const tdm_graph *graph, const tdm__step *step, double **values,
                                size_t n_values);
/* Frees what the interpreter allocated, and clears those entries. */
void tdm__graph_interpret_free(const tdm_graph *graph, double **values);
size_t tdm__graph_value_count(const tdm_graph *graph);

/* ---- walking a graph (layer tables) ------------------------------------------------------------
 */

size_t tdm__graph_node_count(const tdm_graph *graph);
typedef struct tdm__node_info {
    const char *name; /* scoped */
    const tdm_op *op;
    tdm__io io;
    const tdm_value *in, *out;
} tdm__node_info;
void tdm__graph_node_info(const tdm_graph *graph, size_t node, tdm__node_info *out);

#endif

/* graph/planning.h: what the stages of planning share. tdm__planning lives while a plan is made;
 * struct tdm__plan is what remains. */
#ifndef GRAPH_PLANNING_H
#define GRAPH_PLANNING_H

#include "graph/internal.h"
#include "graph/plan.h"

/* A node as it will be launched. */
typedef struct tdm__planned {
    const tdm__node_entry *entry;
    bool owns_entry; /* it is this node's alone, and may be changed */
    bool removed;    /* merged into another one */
    tdm__io io;      /* with epilogue and accumulate */
    tdm_value out[TDM__MAX_OUTPUTS];
    tdm_value scale, shift, residual; /* of the epilogue */
    tdm_value base;                   /* accumulate: what is added to */
    /* of the load: what is read in the input's place, and the channels' numbers */
    tdm_value raw, load_centre, load_inverse, load_scale, load_shift;
    int statistics; /* home of the statistics that it writes or reads; -1 none */
    const tdm__variant *variant;
    uint64_t workspace; /* bytes */
    tdm__view workspace_view;
} tdm__planned;

typedef enum tdm__home_kind {
    TDM__HOME_ARENA,
    TDM__HOME_EXTERNAL, /* a variable's place, or where a value is stored */
    TDM__HOME_INPUT,    /* bound before each run */
    TDM__HOME_CONSTANT
} tdm__home_kind;

/* Storage that one or more values share (views, updates, in-place and accumulated results). */
typedef struct tdm__home {
    tdm__home_kind kind;
    tdm_value owner;
    uint64_t bytes;
    int first, last; /* positions between which the bytes must survive */
    tdm__view view;  /* not for INPUT */
    int input;       /* INPUT: index into the plan's inputs */
} tdm__home;

enum { TDM__VALUE_TABLES = 5 };

typedef struct tdm__planning {
    const tdm_graph *graph;
    const tdm__plan_spec *spec;
    const tdm__traits *traits;
    tdm__planned *nodes; /* in order */
    size_t n_nodes, nodes_capacity;
    /* by value: */
    bool *needed;
    bool *pinned;  /* kept or stored: must survive the run */
    int *uses;     /* operand slots that read it */
    int *producer; /* position in nodes, -1 none */
    int *home;     /* index into homes, -1 none */
    tdm__home *homes;
    size_t n_homes, homes_capacity;
    tdm__store_entry *copies; /* stored values that need a copy at the end */
    size_t n_copies, copies_capacity;
    size_t room[TDM__VALUE_TABLES]; /* capacities of the five tables by value */
    /* Of values that are made again: the graph with more values, nodes with other operands. */
    tdm_graph *extended; /* NULL: graph is the one that was given */
    tdm__node_entry **rebound;
    size_t n_rebound, rebound_capacity;
    tdm__plan *plan;
} tdm__planning;

/* Operand slots of a planned node: inputs, epilogue tensors, base, the load's channels. */
enum { TDM__EXTRA_OPERANDS = 8 };
int tdm__planned_operands(const tdm__planned *node);
tdm_value tdm__planned_operand(const tdm__planned *node, int slot);
/* Makes the node read `copy` wherever it reads `value`; the graph stays as it is. */
tdm_status tdm__planned_rebind(tdm__planning *p, tdm__planned *node, tdm_value value,
                               tdm_value copy);
/* Room for n values in the tables. */
tdm_status tdm__planning_room(tdm__planning *p, size_t n);
/* Whether a node between the two positions changes something that the one at `from` reads. */
bool tdm__planned_changed(const tdm__planning *p, int from, int to);

/* The stages, in order. */
tdm_status tdm__planning_prune(tdm__planning *p);
void tdm__planning_fuse(tdm__planning *p);
/* The derivative of an activation, the node at `at`, moves into the only reader of its result. */
bool tdm__planning_load_act_grad(tdm__planning *p, int at, const tdm__epilogue *part);
void tdm__planning_accumulate(tdm__planning *p);
tdm_status tdm__planning_variants(tdm__planning *p);
void tdm__planning_loads(tdm__planning *p);
void tdm__planning_statistics(tdm__planning *p);    /* of the homes: for who reads what now */
tdm_status tdm__planning_homes(tdm__planning *p);   /* may be repeated */
tdm_status tdm__planning_fit(tdm__planning *p);     /* makes values again until the rest fits */
tdm_status tdm__planning_reserve(tdm__planning *p); /* instead of the following ones */
/* Bytes the device must still give for this plan: new chunks of the arena, constants. */
tdm_status tdm__planning_measure(tdm__planning *p, uint64_t *bytes);
tdm_status tdm__planning_place(tdm__planning *p);
tdm_status tdm__planning_prepare(tdm__planning *p);

/* ---- what remains ---------------------------------------------------------------------------- */

typedef enum tdm__step_kind { TDM__RUN_LAUNCH, TDM__RUN_GEMM, TDM__RUN_COPY } tdm__step_kind;

typedef struct tdm__gemm {
    bool trans_a, trans_b;
    uint64_t m, n, k, lda, ldb, ldc;
    float alpha, beta;
    tdm__view a, b, c;
} tdm__gemm;

typedef struct tdm__plan_step {
    tdm__step_kind kind;
    size_t node;        /* index into the plan's nodes */
    tdm__launch launch; /* GEMM, COPY: only name, flops and bytes */
    tdm__gemm gemm;
    tdm__view from, to; /* COPY */
    uint64_t size;
} tdm__plan_step;

typedef struct tdm__plan_node {
    char *name;
    const tdm_op *op;
    const char *variant;
    char out[64]; /* shape of the first output */
    double macs;
    uint64_t read_bytes, write_bytes; /* of activations and their gradients */
} tdm__plan_node;

typedef struct tdm__plan_input {
    tdm_value value;
    char *name;
    uint64_t bytes;
    bool used;          /* some launch reads it */
    tdm__view bound;    /* empty until tdm__plan_bind */
    uint64_t serial;    /* of the bound buffer, whose struct may come to hold another one */
    tdm__buffer *proxy; /* stands for the bound buffer in GEMM and copy operands */
} tdm__plan_input;

typedef struct tdm__patch {
    int input;
    size_t step;
    cl_uint arg;
    size_t element;
} tdm__patch;

/* guard mode: one buffer a home or workspace, with a band before and after */
typedef struct tdm__guarded {
    tdm__buffer *buffer;
    uint64_t bytes;
    char *name;
} tdm__guarded;

struct tdm__plan {
    tdm_device *device;
    tdm__arena *arena;
    bool own_arena;
    tdm__view step;
    tdm__plan_step *steps;
    size_t n_steps, steps_capacity, pause; /* pause: the first one of tdm__plan_resume */
    tdm__plan_node *nodes;
    size_t n_nodes;
    tdm__plan_input *inputs;
    size_t n_inputs;
    tdm__patch *patches;
    size_t n_patches, patches_capacity;
    tdm__view *views; /* by value: where it survives; empty otherwise */
    size_t n_values;
    tdm__buffer fixed; /* spare bytes for absent arguments, then the constants */
    tdm__guarded *guards;
    size_t n_guards, guards_capacity;
    uint64_t band; /* bytes of a guard band */
    tdm__plan_stats stats;
};

enum { TDM__SPARE_BYTES = 4096 }; /* at the start of plan.fixed */

/* Memory of at most `limit` bytes for regions of given sizes and lifetimes; see memory.c. */
typedef struct tdm__region {
    uint64_t bytes;
    int first, last;
    size_t chunk;    /* result */
    uint64_t offset; /* result */
} tdm__region;
/* capacity: of the chunks there already are (n). *n_chunks and *extent (per chunk, free()) result.
 */
tdm_status tdm__regions_place(tdm__region *regions, size_t n, uint64_t align,
                              const uint64_t *capacity, size_t n_capacity, uint64_t max_chunk,
                              uint64_t **extent, size_t *n_chunks);

struct tdm__arena {
    tdm_device *device;
    tdm__buffer **chunks; /* each stays where it is: views point to it */
    size_t n, capacity;
    uint64_t
        *wanted; /* per chunk, what announced plans need; chunks made before have what they have */
    size_t n_wanted, wanted_capacity;
};

#endif

/* model/sharing.h: how tasks share the network (model.sharing), and the parts of which an
 * architecture is built: columns (a trunk, whole or block by block) and heads.
 *
 * An architecture is one file in sharing/ and one line in sharing/sharing.def. Its options stand in
 * the model's table (model.c) as model.NAME_*. Parameter names are those of the equivalent PyTorch
 * module in tests/ref/models.py: columns below model.prefix, the rest where the file says.
 */
#ifndef MODEL_SHARING_H
#define MODEL_SHARING_H

#include "model/model.h"

struct tdm__sharing {
    const char *name;
    /* Keys that only some architectures read, NULL at the end (or no list at all): given with one
     * that does not, they are an error. */
    const char *const *options;
    /* All heads read the features of one trunk below model.prefix, as it stands there alone:
     * features can be kept, and the trunk's blocks counted. Else `why_not_one` completes a sentence
     * that begins with "model.sharing: NAME ...". */
    bool one_trunk;
    const char *why_not_one;
    bool nothing_shared; /* no parameter has gradients of two tasks */
    size_t settings_size;
    /* Reads its options into the settings (zeroed) and refuses what it is not defined for, with the
     * reason and what it is defined for. The heads are read already. May be NULL. */
    tdm_status (*read)(const tdm_config *config, const tdm__model *model, void *settings);
    /* x: the normalised input. predictions[t] is set for every enabled task; the others hold
     * TDM_NO_VALUE already. Sets net->feature where all heads read one value, which is
     * TDM_NO_VALUE otherwise. What other tasks' outputs depend on is built whatever is enabled. */
    void (*build)(const tdm__model *model, tdm__net *net, tdm_value x, const bool *enabled,
                  tdm_value *predictions);
    /* A term of the total, of a net just built for training; NULL, or TDM_NO_VALUE: none. */
    tdm_value (*penalty)(const tdm__model *model, tdm__net *net);
};

/* By name; NULL when there is none. */
const tdm__sharing *tdm__sharing_find(const char *name);
/* What model.norm: per-task makes of `hard`. */
extern const tdm__sharing tdm__sharing_per_task_norm;
/* The configuration's; its options checked against what others read. */
tdm_status tdm__sharing_read(const tdm_config *config, const tdm__sharing **out);

/* ---- columns -----------------------------------------------------------------------------------
 * A trunk of its own below model.prefix.NAME, or below model.prefix itself. All columns of a model
 * have the same blocks, so that they can be built side by side:
 *
 *     for each t: tdm__column_begin(&c[t], name[t], x)
 *     for each block i: for each t: tdm__column_block(model, net, i, &c[t]); then mix the c[t].at.x
 */

typedef struct tdm__column {
    const char *name; /* NULL: the prefix itself; may have dots: "experts.0" */
    tdm__trunk_state at;
} tdm__column;

/* Of the model's trunk, or of its list of layers (one per layer with weights, all of the encoder).
 */
tdm__trunk_blocks tdm__model_blocks(const tdm__model *model);
void tdm__column_begin(tdm__column *column, const char *name, tdm_value x);
/* Block i, of column->at.x; in order. */
void tdm__column_block(const tdm__model *model, tdm__net *net, int i, tdm__column *column);
/* Puts `by` in the place of column->at.x, wherever later blocks or heads read that. */
void tdm__column_replace(tdm__column *column, tdm_value by);
/* All blocks. */
void tdm__column_build(const tdm__model *model, tdm__net *net, const char *name, tdm_value x,
                       tdm__features *features);
/* Channels of column->at.x, the last axis; 0 and a failed graph where that is not the channels in
 * PyTorch's order: after a flatten that ends a block. what: the option that asks. */
int64_t tdm__column_channels(tdm__net *net, const tdm__column *column, const char *what);
/* Whether columns side by side are to be mixed after the block (of more than one task): after all
 * of an encoder, so that the bottleneck is mixed, and of a decoder after all but the last, whose
 * value the heads read. */
bool tdm__block_is_mixed(const tdm__model *model, int block);
/* A column for each task, named by it, side by side: after(model, net, block, columns, user) is
 * called after every block. free() them; NULL and a failed graph: out of memory. */
typedef void (*tdm__after_block)(const tdm__model *model, tdm__net *net, int block,
                                 tdm__column *columns, void *user);
tdm__column *tdm__columns_build(const tdm__model *model, tdm__net *net, tdm_value x,
                                tdm__after_block after, void *user);
/* What a segment's name has behind the prefix of the task's column; NULL: it is not of that. */
const char *tdm__column_part(const tdm__model *model, size_t task, const char *name);
/* Whether it is a weight matrix or filter of some task's column. */
bool tdm__column_weight(const tdm__model *model, const tdm__segment *segment);

/* ---- heads -------------------------------------------------------------------------------------
 */

/* Which of the features the task's head reads. */
tdm_value tdm__head_feature(const tdm__model *model, size_t task, const tdm__features *features);
/* Fails (sticky) where the features lack what it reads. */
tdm_value tdm__head_build(const tdm__model *model, tdm__net *net, size_t task,
                          const tdm__features *features);
/* A second head like the task's, with parameters of its own below `scope`.TASK, on the map x, for
 * whose size it predicts. */
tdm_value tdm__head_build_at(const tdm__model *model, tdm__net *net, size_t task, const char *scope,
                             tdm_value x);

#endif

/* train/freezing.h: which parts of a network stand still, until when, and how fast the others
 * learn.
 *
 * What train.freeze and train.freeze_except_last name stands still. What train.unfreeze names
 * stands still until its epoch or step, whether the former name it too or not. optim.groups and
 * optim.block_decay are factors of the learning rate.
 *
 * A block is what a trunk repeats: a convolution with its norm in a list of layers, "down.0" of a
 * U-Net, "layer1.0" of a ResNet. Blocks are counted in the order in which the network is built.
 */
#ifndef TRAIN_FREEZING_H
#define TRAIN_FREEZING_H

#include <tandem/config.h>

#include "graph/flat.h"
#include "optim/optim.h"

/* One entry of train.unfreeze. */
typedef struct tdm__thaw {
    int64_t at; /* epoch or step, from 0: learnt from there on */
    bool step;
    const char *pattern;
} tdm__thaw;

typedef struct tdm__freezing {
    const char **freeze; /* patterns; the first n_given are train.freeze's */
    size_t n_freeze, n_given, freeze_capacity;
    tdm__thaw *thaw; /* in the order of the configuration */
    size_t n_thaw;
    const char **thawed; /* patterns that are learnt again now */
    size_t n_thawed;
    char **owned; /* patterns made here */
    size_t n_owned, owned_capacity;
} tdm__freezing;

/* Reads the keys. At first everything that will ever be learnt counts as learnt. */
tdm_status tdm__freezing_read(const tdm_config *config, tdm__freezing *out);
void tdm__freezing_free(tdm__freezing *f);
/* Adds train.freeze_except_last's blocks, once the segments are declared, and sets the segments'
 * frozen flags. */
tdm_status tdm__freezing_add_blocks(const tdm_config *config, tdm__flat *flat, tdm__freezing *f);
/* Whether tdm__freezing_move would change anything. */
bool tdm__freezing_due(const tdm__freezing *f, int64_t epoch, int64_t step);
/* Moves to where a run stands; *changed: another set of segments is frozen now (their flags say
 * so).
 */
bool tdm__freezing_move(tdm__freezing *f, tdm__flat *flat, int64_t epoch, int64_t step);

/* Learning-rate factors of the segments, as parameter groups of the optimiser. TDM_ERR_CONFIG: a
 * pattern that matches nothing. */
tdm_status tdm__rate_factors(const tdm_config *config, tdm__flat *flat, tdm__optimizer *optimizer);

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef struct tdm__blocks {
    size_t *of; /* per segment: its block, from the input on; SIZE_MAX: not of the trunk */
    size_t n;
} tdm__blocks;
tdm_status tdm__blocks_find(const tdm_config *config, tdm__flat *flat, tdm__blocks *out);
void tdm__blocks_free(tdm__blocks *blocks);
/* Marks the segments that are not of the trunk's first `count` blocks. TDM_ERR_CONFIG, in the name
 * of `key`: it has fewer. */
tdm_status tdm__blocks_beyond(const tdm_config *config, tdm__flat *flat, const char *key,
                              int64_t count, bool *out);

#endif

/* ops/channels.h: reductions over all axes but the last, shared by batch norm and channel affine.
 */
#ifndef OPS_CHANNELS_H
#define OPS_CHANNELS_H

#include "ops/common.h"

/* A tensor as (rows, channels), its rows cut into at most 1024 blocks whose size follows from the
 * shape alone. */
typedef struct tdm__channels {
    uint64_t rows, channels, block_rows, blocks;
} tdm__channels;
tdm__channels tdm__channels_of(const tdm_desc *desc);
/* Bytes of the partial results [blocks][2][channels], and where the next part of the workspace
 * begins. */
uint64_t tdm__channels_bytes(const tdm__channels *c, const tdm__traits *traits);
/* Range of the REDUCE_KERNELs of batch_norm.cl over the blocks, and of those that merge them. */
void tdm__channels_range(tdm__build *b, tdm__kernel *k, const tdm__channels *c);
void tdm__channels_merge_range(tdm__build *b, tdm__kernel *k, const tdm__channels *c);
/* The sums of dy (input `dy`) and dy (x - centre) into the start of the workspace; centre -1: none.
 */
void tdm__emit_channel_sums(tdm__build *b, const tdm__channels *c, int dy, int x, int centre);

/* Parts of channel_affine_fwd: (x - centre) scale + shift. */
enum { TDM__HAS_CENTRE = 1, TDM__HAS_SHIFT = 2 };

#endif

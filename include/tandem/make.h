/* tandem/make.h: self-supervised tasks, whose inputs and targets are made of pictures without
 * labels.
 *
 * A maker turns a picture (H,W,C) or (H,W), u8 or f32, as it is after the transforms, into what the
 * network sees (same shape and type) and what it has to tell: a class, or the picture itself.
 * Loading threads do it, straight into the batch's memory. What is drawn is a pure function of
 * (seed, stream, name, epoch, row): any number of workers gives the same bytes, and outside of
 * training the epoch counts as 0, so that every validation measures the same samples.
 *
 *   autoencoding    input: the picture; target: the picture
 *   denoising       input: the picture with noise; target: without (Vincent et al., ICML 2008).
 *                   gaussian: every value + N(0, sigma), u8 rounded and limited to 0..255;
 *                   salt-and-pepper: a share of the pixels becomes, all channels at once, 0 or the
 *                   largest value, half and half. sigma is in units of the range of pixels: 255 of
 *                   u8, 1 of f32
 *   rotation        input: turned counter-clockwise by 0, 90, 180 or 270 degrees; target: which of
 *                   the 4 (Gidaris et al., ICLR 2018). Square pictures only
 *   flip, vflip     input: mirrored (left-right, upside down) or not; target: which of the 2
 *   jigsaw          input: 3 x 3 tiles in another order; target: which of `permutations` orders
 *                   (Noroozi and Favaro, ECCV 2016). Cells are H/3 x W/3, rounded down, of the
 *                   picture's middle; from each a tile smaller by `gap` is cut at a place drawn for
 *                   it, so that edges do not give neighbours away; place p of the input shows, in
 *                   the middle of the cell, the tile of the p-th number of the order. What no tile
 *                   covers is 0. The orders are a fixed list, far apart in Hamming distance
 *   colourisation   input: grey (0.299 R + 0.587 G + 0.114 B in all three channels); target: the
 *                   colours (Zhang et al., ECCV 2016, who predict classes of colours instead)
 */
#ifndef TANDEM_MAKE_H
#define TANDEM_MAKE_H

#include <stdbool.h>
#include <stdint.h>

#include <tandem/dataset.h>
#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tdm_make_kind {
    TDM_MAKE_NONE,
    TDM_MAKE_AUTOENCODING,
    TDM_MAKE_DENOISING,
    TDM_MAKE_ROTATION,
    TDM_MAKE_FLIP,
    TDM_MAKE_VFLIP,
    TDM_MAKE_JIGSAW,
    TDM_MAKE_COLOURISATION
} tdm_make_kind;

typedef enum tdm_make_noise { TDM_MAKE_GAUSSIAN, TDM_MAKE_SALT_AND_PEPPER } tdm_make_noise;

enum { TDM_MAKE_PERMUTATIONS = 100 }; /* orders that there are */

typedef struct tdm_make {
    tdm_make_kind kind;
    tdm_make_noise noise;  /* denoising */
    double sigma, share;   /* of gaussian; of salt-and-pepper */
    uint32_t permutations; /* jigsaw: 2 to TDM_MAKE_PERMUTATIONS */
    uint32_t gap;          /* jigsaw: pixels */
    const char *name;      /* what is drawn differs between names; NULL: "" */
} tdm_make;

/* What is made of a picture. */
typedef enum tdm_make_part {
    TDM_MAKE_INPUT, /* a picture */
    TDM_MAKE_LABEL  /* i32, a number a sample; of makers whose target is a class */
} tdm_make_part;

/* "rotation". Never NULL; static storage. */
const char *tdm_make_name(tdm_make_kind kind);
/* Whether the network's input is another one than the picture. */
bool tdm_make_changes_input(tdm_make_kind kind);
/* Classes of the target; 0: it is the picture. */
uint64_t tdm_make_classes(const tdm_make *make);
/* As many names ("90 degrees"), or NULL. Static storage. */
const char *const *tdm_make_class_names(const tdm_make *make);

/* How such a class looks, as an array of this name. */
tdm_array_info tdm_make_label(const tdm_make *make, const char *name);

/* How what is made looks; `picture` as it is after the transforms. out->name is the picture's.
 * TDM_ERR_CONFIG: no picture, or one of which this cannot be made. */
tdm_status tdm_make_shape(const tdm_make *make, tdm_make_part part, const tdm_array_info *picture,
                          tdm_array_info *out);

/* The order'th order: 9 numbers, the tile at each place. order < TDM_MAKE_PERMUTATIONS. */
const uint8_t *tdm_make_permutation(uint32_t order);

#ifdef __cplusplus
}
#endif
#endif

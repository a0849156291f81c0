/* tandem/ops.h: builder functions of the operations. Each appends nodes to a graph and returns the
 * (first) result; see tandem/graph.h for sticky errors, layouts and TDM_NO_VALUE.
 *
 * Shapes: x is (N,H,W,C) unless said otherwise. Defaults and formulas are PyTorch's.
 */
#ifndef TANDEM_OPS_H
#define TANDEM_OPS_H

#include <tandem/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- convolution, dense ---------------------------------------------------------------------- */

/* kernel, stride, padding, dilation: [0] along H, [1] along W. Zero stride/dilation mean 1. */
typedef struct tdm_conv2d_attrs {
    int32_t kernel[2], stride[2], padding[2], dilation[2];
    int32_t groups; /* 0 or 1: none; else divides both numbers of channels */
    int32_t output_padding[2]; /* transposed convolution only */
} tdm_conv2d_attrs;

/* x (N,H,W,C), w (R,S,C/groups,K), b (K) or TDM_NO_VALUE -> (N,P,Q,K),
 * P = (H + 2 pad - dil (R-1) - 1) / stride + 1. */
tdm_value tdm_conv2d(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b, const tdm_conv2d_attrs *a);
/* x (N,H,W,C), w (R,S,K/groups,C) (K output, C input channels), b (K) -> (N,P,Q,K),
 * P = (H-1) stride - 2 pad + dil (R-1) + output_padding + 1. */
tdm_value tdm_conv_transpose2d(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b,
                               const tdm_conv2d_attrs *a);
/* x (N,C), w (C,K), b (K) or none -> (N,K). */
tdm_value tdm_dense(tdm_graph *g, tdm_value x, tdm_value w, tdm_value b);
/* a (N,C), b (N,K) -> a^T b (C,K). */
tdm_value tdm_dense_product(tdm_graph *g, tdm_value a, tdm_value b);

/* ---- pooling --------------------------------------------------------------------------------- */

typedef struct tdm_pool2d_attrs {
    int32_t kernel[2], stride[2] /* 0: kernel */, padding[2];
    bool ceil_mode;         /* last partial window counts */
    bool count_include_pad; /* average only; PyTorch's default is true */
} tdm_pool2d_attrs;

/* Maximum; *indices (may be NULL) receives a u8 value of the output's shape: position in the window
 * (row-major) of the first maximum; NaN wins. Windows of at most 256 positions. */
tdm_value tdm_max_pool2d(tdm_graph *g, tdm_value x, const tdm_pool2d_attrs *a, tdm_value *indices);
/* Puts x (N,P,Q,C) at the positions in `indices`, zeros elsewhere -> (N,H,W,C) given. With
 * overlapping windows the later window (row-major) wins, as with PyTorch. */
tdm_value tdm_max_unpool2d(tdm_graph *g, tdm_value x, tdm_value indices, const tdm_pool2d_attrs *a,
                           int64_t h, int64_t w);
tdm_value tdm_avg_pool2d(tdm_graph *g, tdm_value x, const tdm_pool2d_attrs *a);
/* (N,H,W,C) -> (N,C). */
tdm_value tdm_global_avg_pool(tdm_graph *g, tdm_value x);
tdm_value tdm_global_max_pool(tdm_graph *g, tdm_value x);

/* ---- normalisation, activation, dropout ------------------------------------------------------ */

typedef struct tdm_batch_norm_attrs {
    float eps, momentum; /* PyTorch: 1e-5, 0.1; momentum in (0,1] */
} tdm_batch_norm_attrs;

/* Per channel (last axis) over all other axes. gamma, beta, running_mean, running_var: (C).
 * counter: a scalar variable incremented by one, or TDM_NO_VALUE.
 * training: batch statistics (biased variance), running statistics updated with the unbiased one. */
tdm_value tdm_batch_norm_train(tdm_graph *g, tdm_value x, tdm_value gamma, tdm_value beta,
                               tdm_value running_mean, tdm_value running_var, tdm_value counter,
                               const tdm_batch_norm_attrs *a);
/* evaluation or frozen statistics: folds into a per-channel scale and shift, which the planner moves
 * into the producer where it can. Gradients reach x, gamma and beta. */
tdm_value tdm_batch_norm_eval(tdm_graph *g, tdm_value x, tdm_value gamma, tdm_value beta,
                              tdm_value running_mean, tdm_value running_var,
                              const tdm_batch_norm_attrs *a);
/* y = x * scale[c] + shift[c] along the last axis. */
tdm_value tdm_channel_affine(tdm_graph *g, tdm_value x, tdm_value scale, tdm_value shift);

tdm_value tdm_relu(tdm_graph *g, tdm_value x);
tdm_value tdm_leaky_relu(tdm_graph *g, tdm_value x, float slope); /* slope >= 0 */
tdm_value tdm_sigmoid(tdm_graph *g, tdm_value x);
tdm_value tdm_tanh(tdm_graph *g, tdm_value x);
/* Along the last axis. */
tdm_value tdm_softmax(tdm_graph *g, tdm_value x);
tdm_value tdm_log_softmax(tdm_graph *g, tdm_value x);

/* Training-mode dropout: y = x m / (1-p), m from Philox(step seed, stream, element / 4) by step.
 * Callers leave it out in evaluation. Each use in a graph needs its own stream number. */
tdm_value tdm_dropout(tdm_graph *g, tdm_value x, float p, uint32_t stream);

/* ---- element-wise and shape ------------------------------------------------------------------ */

tdm_value tdm_add(tdm_graph *g, tdm_value a, tdm_value b); /* equal shapes */
tdm_value tdm_multiply(tdm_graph *g, tdm_value a, tdm_value b);
tdm_value tdm_scale(tdm_graph *g, tdm_value x, float factor); /* factor * x */
enum { TDM_MIX_INPUTS = 64 };
/* y[o] = sum_s w[o][s] x[s] for every output o: linear combinations of 1 to that many tensors of one
 * shape. w (outputs, n), or (outputs, n, C): a weight per channel of the last axis. */
tdm_status tdm_mix(tdm_graph *g, const tdm_value *x, int n, tdm_value w, tdm_value *y, int outputs);
/* sum_j c[s, j] x_j[s] over n tensors (N,...) of one shape, for every sample s; c (N,n). */
tdm_value tdm_mixture(tdm_graph *g, tdm_value c, const tdm_value *x, int n);
/* (n,m): the sums over all elements of a[i] b[j], tensors of one shape (m at most 64); or with
 * per_channel over all axes but the last: (n,m,C). */
tdm_value tdm_products(tdm_graph *g, const tdm_value *a, int n, const tdm_value *b, int m,
                       bool per_channel);
/* sum_i sqrt(x_i + shift), over what is above 0. */
tdm_value tdm_root_sum(tdm_graph *g, tdm_value x, float shift);
enum { TDM_TRACE_ROOT_ROWS = 32 };
/* sum_k sqrt(l_k + shift) over the eigenvalues l of (x + x^T) / 2, x square with at most that many
 * rows; those near 0 or below it count as 0. Of the products of vectors: the sum of the singular values
 * of the matrix they make. */
tdm_value tdm_trace_root(tdm_graph *g, tdm_value x, float shift);
/* Along axis (0..rank-1) ; n >= 1 inputs. */
tdm_value tdm_concat(tdm_graph *g, const tdm_value *x, int n, int axis);
tdm_value tdm_slice(tdm_graph *g, tdm_value x, int axis, int64_t begin, int64_t end);
/* Same elements, same order. One dimension may be -1. No copy. */
tdm_value tdm_reshape(tdm_graph *g, tdm_value x, int rank, const int64_t *dim);
/* (N,H,W,C) -> (N,h,w,C); nearest: f32 or i32. */
tdm_value tdm_upsample_nearest(tdm_graph *g, tdm_value x, int64_t h, int64_t w);
tdm_value tdm_upsample_bilinear(tdm_graph *g, tdm_value x, int64_t h, int64_t w, bool align_corners);
/* u8 or f32 (N,H,W,C) -> f32: x * scale[c] + shift[c]; scale, shift: C host floats, copied (C <= 16).
 * Turns bytes into normalised floats: scale = 1/(255 std), shift = -mean/std. */
tdm_value tdm_normalize(tdm_graph *g, tdm_value x, const float *scale, const float *shift, int c);
/* labels i32, map i32 (n): y = map[label]; labels below 0 stay, labels >= n become INT_MAX (which
 * makes a loss NaN). */
tdm_value tdm_label_map(tdm_graph *g, tdm_value labels, tdm_value map);
/* x (f32 or i32) with `fill` in place of what does not count: elements whose mask (as for losses) is
 * 0, and pixels (rank 4; else elements) all of whose channels equal one of the n values `invalid`
 * (n <= 4). For targets: fill NaN, or -1 for labels, is left out by every loss and metric. */
tdm_value tdm_mask_fill(tdm_graph *g, tdm_value x, tdm_value mask, const float *invalid, int n,
                        float fill);
/* Stops gradients; no copy. */
tdm_value tdm_detach(tdm_graph *g, tdm_value x);

/* ---- losses: scalars, means over the valid elements; no valid element gives 0 and gradient 0 ---- */

typedef struct tdm_cross_entropy_attrs {
    int32_t ignore_index;  /* labels equal to it are not valid; any label < 0 is not valid either */
    float label_smoothing; /* [0,1) */
} tdm_cross_entropy_attrs;

/* logits (...,C), labels i32 (...), class_weights (C) f32 or TDM_NO_VALUE. PyTorch's weighted mean:
 * divided by the sum of the labels' weights. A label >= C makes the loss NaN. */
tdm_value tdm_cross_entropy(tdm_graph *g, tdm_value logits, tdm_value labels,
                            tdm_value class_weights, const tdm_cross_entropy_attrs *a);
/* The same from log-probabilities (S1-12). */
tdm_value tdm_nll(tdm_graph *g, tdm_value log_probs, tdm_value labels, tdm_value class_weights,
                  const tdm_cross_entropy_attrs *a);
/* logits and targets equal shapes; targets f32 in [0,1]; mask as below; pos_weight 1 = plain. */
tdm_value tdm_bce_with_logits(tdm_graph *g, tdm_value logits, tdm_value target, tdm_value mask,
                              float pos_weight);
/* mask: f32 of the target's shape, or with a last axis of 1 (broadcast over channels), or (N)
 * (whole samples), or TDM_NO_VALUE; elements with mask 0 do not count. NaN targets count as invalid.
 * The mean is over valid elements, PyTorch's over all without a mask: with C channels under a mask of
 * one value per pixel it is 1/C of sum |e| / number of valid pixels, which some papers' formulas mean
 * (a task weight of C gives those; with one channel, as depth has, both are the same). */
tdm_value tdm_l1_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask);
tdm_value tdm_l2_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask);
tdm_value tdm_huber_loss(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask, float delta);

enum { TDM_DICE_CLASSES = 64 }; /* most classes of tdm_dice_loss */
/* p (...,C): probabilities (softmax; C = 1: sigmoid), C <= TDM_DICE_CLASSES; labels i32 (...), or with C = 1 f32 of
 * p's shape. Soft Dice over all valid pixels of the batch: 1 - mean over the classes that occur of
 * (2 sum p y + smooth) / (sum p + sum y + smooth); see Milletari et al., 3DV 2016. smooth > 0.
 * Its total is the number of valid rows. */
tdm_value tdm_dice_loss(tdm_graph *g, tdm_value p, tdm_value labels, int ignore_index, float smooth);

/* What one of these losses was divided by: the number of valid elements, or the sum of their labels'
 * class weights; 0 when there was none. Not of a sum of losses. */
tdm_value tdm_loss_total(tdm_graph *g, tdm_value loss);

/* ---- combining losses ------------------------------------------------------------------------ */

/* sum_i weights[i] * losses[i] in a fixed order; host floats, copied; n >= 1, any n. */
tdm_value tdm_weighted_sum(tdm_graph *g, const tdm_value *losses, const float *weights, int n);

typedef enum tdm_likelihood {
    TDM_LIKELIHOOD_GAUSSIAN,       /* 1/2 e^-s L + 1/2 s: L2 regression */
    TDM_LIKELIHOOD_LAPLACE,        /* e^-s/2 L + 1/2 s: L1 regression */
    TDM_LIKELIHOOD_CLASSIFICATION, /* e^-s L + 1/2 s: cross entropy */
    TDM_LIKELIHOOD_UNIFORM,        /* 1/2 e^-s L + 1/2 s whatever the loss (mtan, LibMTL) */
    TDM_LIKELIHOOD_IMTL            /* e^s L - s, no likelihood: IMTL-L (Liu L. et al., ICLR 2021) */
} tdm_likelihood;
/* Kendall, Gal, Cipolla, CVPR 2018 (eq. 5-10) with s = log sigma^2, a learnt scalar variable: the
 * weighted term of one task. total: tdm_loss_total's, so that the term is 0 and s stays where it is
 * when no element was valid; or TDM_NO_VALUE. positive: log(1 + e^s) in the place of 1/2 s, so that
 * the term is never below 0 (Liebel and Koerner, 2018); not for IMTL. */
tdm_value tdm_uncertainty(tdm_graph *g, tdm_value loss, tdm_value s, tdm_value total,
                          tdm_likelihood likelihood, bool positive);

typedef enum tdm_weight_rule {
    TDM_WEIGHT_GIVEN, /* the first row of `given` */
    TDM_WEIGHT_GLS,   /* geometric mean (Chennupati et al., CVPR-W 2019) */
    TDM_WEIGHT_SI,    /* sum of logarithms: scale-invariant */
    TDM_WEIGHT_STCH,  /* smooth Tchebycheff (Lin et al., ICML 2024) */
    TDM_WEIGHT_UW_SO, /* softmax of inverse losses (Kirchdorfer et al., GCPR 2024) */
    TDM_WEIGHT_FAMO   /* softmax of given logits over the losses (Liu B. et al., NeurIPS 2023) */
} tdm_weight_rule;
/* What the losses (T) of a step add up to by a rule, and in *weights (T) the derivative by each of
 * them, a constant for everything behind it. totals (T): tdm_loss_total's, 0: as if that task were not
 * there. given (2,T), f32: numbers from outside; STCH: preferences and reference losses (<= 0: not known
 * yet, then the mean of log losses); FAMO: logits and lower bounds. parameter: smoothness of STCH, temperature of UW-SO.
 * factor: multiplies both results. */
tdm_value tdm_task_weights(tdm_graph *g, tdm_value losses, tdm_value totals, tdm_value given,
                           tdm_weight_rule rule, float parameter, float factor,
                           tdm_value *weights);

/* Gradients of an auxiliary loss and of the targets' at a shared representation (N,...): a weight (N,1)
 * for each sample of the former, its cosine with the latter's mean where that is positive, 0 where not
 * (Du et al., 2018), such that the mean over the samples with an auxiliary gradient is 1. *mean: of these
 * cosines before that; *zeros: the share of those samples that do not count. Constants for what is
 * behind them. */
tdm_value tdm_instance_weights(tdm_graph *g, tdm_value auxiliary, tdm_value target, tdm_value *mean,
                               tdm_value *zeros);

/* ---- metrics: each adds to an accumulator variable (f32), read once per epoch ------------------ */

/* Accumulators are pairs of floats per quantity (sum and a compensation term: two-float sums), so
 * that counts and sums over a whole split stay exact where it matters. Shapes are given per metric;
 * tdm__metric_read in task/ turns them into doubles. All return the updated accumulator: keep it. */

/* acc (3,2): sum of value * weight, sum of weight, 1 + the first optimiser step after which the sum was
 * not finite (0: none). For mean losses. total: as for tdm_uncertainty; where it is 0 nothing is added.
 */
tdm_value tdm_metric_mean(tdm_graph *g, tdm_value value, float weight, tdm_value total,
                          tdm_value acc);
/* logits (...,C), labels (...): acc (2,2): correct, valid. topk >= 1; ties count as in PyTorch's
 * argmax for k = 1 (first maximum). */
tdm_value tdm_metric_accuracy(tdm_graph *g, tdm_value logits, tdm_value labels, int topk,
                              int ignore_index, tdm_value acc);
/* logits (...,C), labels (...): acc (C,C,2): confusion counts [label][prediction]. C = 1: logits > 0
 * against labels {0,1} and the accumulator is (2,2,2). */
tdm_value tdm_metric_confusion(tdm_graph *g, tdm_value logits, tdm_value labels, int ignore_index,
                               tdm_value acc);
/* acc f32[2*parts,2]: per part, rows whose label is the largest among the classes of its part, and
 * rows of the part. part_of i32[classes]: each class's part; negative: none. */
tdm_value tdm_metric_parts(tdm_graph *g, tdm_value logits, tdm_value labels, tdm_value part_of,
                           int ignore_index, tdm_value acc);
/* pred, target equal shapes, mask as for losses: acc (8,2): sum |e|, sum e^2, sum |e|/|y| (y != 0),
 * count of y != 0, count of max(p/y, y/p) < 1.25, count of valid, counts of < 1.25^2 and < 1.25^3. */
tdm_value tdm_metric_regression(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value mask,
                                tdm_value acc);
/* pred, target (N,4): xmin, ymin, xmax, ymax: acc (4,2): sum of IoU, sum |e| over all coordinates,
 * count of boxes whose target has no NaN, count of IoU >= 1/2. */
tdm_value tdm_metric_box(tdm_graph *g, tdm_value pred, tdm_value target, tdm_value acc);

#ifdef __cplusplus
}
#endif
#endif

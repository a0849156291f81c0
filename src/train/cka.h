/* train/cka.h: how alike two representations of the same samples are. */
#ifndef TRAIN_CKA_H
#define TRAIN_CKA_H

#include <stddef.h>

#include "base/error.h"

enum { TDM__CKA_LEAST = 4 }; /* samples that the estimate needs */

/* Linear centred kernel alignment (Kornblith et al., ICML 2019) by the unbiased estimate of HSIC
 * (Song et al., JMLR 2012, eq. 4; Nguyen et al., ICLR 2021): with K = X X' and L = Y Y', diagonals
 * set to 0,
 *   HSIC(K, L) = (tr(K L) + (1'K1)(1'L1) / ((n-1)(n-2)) - 2 / (n-2) 1'K L 1) / (n (n-3)),
 *   CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)).
 * 1 for what differs by a rotation, a factor and a shift; about 0 for what has nothing in common,
 * whatever the number of features (it may be a little below 0). NaN where one of them does not tell
 * the samples apart. x: (n, p), y: (n, q), n >= TDM__CKA_LEAST; sums in double. */
tdm_status tdm__cka(const float *x, size_t p, const float *y, size_t q, size_t n, double *out);

#endif

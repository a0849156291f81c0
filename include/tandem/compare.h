/* tandem/compare.h: how far training moved the weights of each layer, from one checkpoint to
 * another (without device and data), and how alike what the layers give still is. */
#ifndef TANDEM_COMPARE_H
#define TANDEM_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The parameters of a layer (weight and bias as one vector) that both have, in one shape. Running
 * statistics do not count. */
typedef struct tdm_layer_move {
    char *layer;         /* "encoder.0" */
    uint64_t parameters; /* compared */
    double norm;         /* |a| */
    double distance;     /* |b - a| */
    double relative;     /* |b - a| / |a|; NaN where |a| is 0 */
    double cosine;       /* a.b / (|a| |b|); NaN where one of them is 0 */
    double cka;          /* tdm_compare_outputs; NaN: not measured, or all samples are alike */
} tdm_layer_move;

typedef struct tdm_comparison {
    tdm_layer_move *layers; /* in the order of a's file */
    size_t n;
    tdm_layer_move all;    /* of all of them together; layer NULL */
    size_t only_a, only_b; /* tensors that the other lacks or has in another shape */
    uint64_t samples;      /* that cka was measured on; 0: it was not */
} tdm_comparison;

/* a, b: run folders (their best checkpoint) or safetensors files. TDM_ERR_DATA: cannot be read, or
 * they have nothing in common. */
tdm_status tdm_compare_weights(const char *a, const char *b, tdm_comparison *out);
/* Adds to tdm_compare_weights' result the linear CKA (Kornblith et al. 2019; unbiased estimate) of
 * what each layer gives, before the activation, in both networks: on the first `samples` (4 at
 * least) of a split of b's data (NULL: "test"). Maps count by their means over a grid of at most
 * 4x4 cells. TDM_ERR_CONFIG: the networks take other inputs. assignments: "key=value", for both. */
tdm_status tdm_compare_outputs(const char *a, const char *b, const char *split, uint64_t samples,
                               const char *const *assignments, size_t n_assignments,
                               tdm_comparison *comparison);
void tdm_comparison_free(tdm_comparison *comparison);
/* A table, or one JSON object. free(*out). */
tdm_status tdm_comparison_text(const tdm_comparison *comparison, bool json, char **out);

#ifdef __cplusplus
}
#endif
#endif

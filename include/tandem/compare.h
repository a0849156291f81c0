/* tandem/compare.h: how far training moved the weights of each layer, from one checkpoint to
 * another. Needs no device and no data. */
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
} tdm_layer_move;

typedef struct tdm_comparison {
    tdm_layer_move *layers; /* in the order of a's file */
    size_t n;
    tdm_layer_move all;    /* of all of them together; layer NULL */
    size_t only_a, only_b; /* tensors that the other lacks or has in another shape */
} tdm_comparison;

/* a, b: run folders (their best checkpoint) or safetensors files. TDM_ERR_DATA: cannot be read, or
 * they have nothing in common. */
tdm_status tdm_compare_weights(const char *a, const char *b, tdm_comparison *out);
void tdm_comparison_free(tdm_comparison *comparison);
/* A table, or one JSON object. free(*out). */
tdm_status tdm_comparison_text(const tdm_comparison *comparison, bool json, char **out);

#ifdef __cplusplus
}
#endif
#endif

/* tandem/predict.h: what a trained network says about samples: arrays, pictures, one line of JSON
 * each.
 *
 *     tdm_predict(&(tdm_predict_spec){.checkpoint = "runs/a", .inputs = &path, .n_inputs = 1,
 *                                     .out = "predictions"}, &result);
 *
 * For each sample NAME the folder gets, written whole or not at all:
 *   NAME.TASK.npy   classes: probabilities, f32 (classes); masks: class of each pixel, u8 or i32
 * (H,W); anything else: f32 in the target's units (H,W,C), (4), ... NAME.png        the input,
 * every task's answer, and the truth where the data have it and predictions.jsonl gets a line
 * {"name", "input", "row", "tasks": {TASK: {...}}}.
 */
#ifndef TANDEM_PREDICT_H
#define TANDEM_PREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tdm_predict_spec {
    const char *checkpoint; /* or a run folder: its best checkpoint */
    /* Data sets (folders as for training), pictures (PNG, JPEG), folders of pictures. Pictures are
     * brought to the size and channels that the network was trained with. */
    const char *const *inputs;
    size_t n_inputs;
    const char *out;      /* folder; made when it is not there */
    const char *split;    /* of data sets; NULL: "test" */
    const uint64_t *rows; /* which samples of each data set's split, ascending; n_rows 0: all */
    size_t n_rows;
    uint64_t limit;                 /* at most so many samples of each data set; 0: all */
    bool no_pictures;               /* arrays and lines only */
    const char *const *assignments; /* "key=value" texts on top of the checkpoint's configuration */
    size_t n_assignments;
    /* After each batch; total is what is known so far. Not 0: stop with TDM_ERR_INTERRUPTED. */
    int (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} tdm_predict_spec;

typedef struct tdm_predict_result {
    uint64_t samples;
} tdm_predict_result;

tdm_status tdm_predict(const tdm_predict_spec *spec, tdm_predict_result *result);

#ifdef __cplusplus
}
#endif
#endif

/* train/predictor.h: a checkpoint's network run on samples from the host, without targets.
 *
 *     tdm__predictor_read(path, assignments, n, &p);   // its configuration and arrays
 *     tdm__predictor_start(p, &source, count);         // the network on a device, weights loaded
 *     tdm__predictor_run(p, samples);                  // p->outputs[t].values
 */
#ifndef TRAIN_PREDICTOR_H
#define TRAIN_PREDICTOR_H

#include "train/arrays.h"

/* What a task answers. */
typedef struct tdm__prediction {
    const tdm__task *task;
    tdm_array_info target; /* what its target array looks like */
    tdm_desc sample;       /* of one sample's output, without the batch axis */
    uint64_t elems;        /* of it */
    bool classes;          /* probabilities along the last axis; one: of "yes" */
    float *values;         /* count * elems */
} tdm__prediction;

typedef struct tdm__predictor {
    char *file;
    tdm__st *st;
    tdm_config *config;
    tdm__arrays arrays;
    tdm__session session;
    bool started;
    int64_t count; /* samples a run */
    tdm_array_info input;
    uint64_t input_bytes; /* of one sample: u8 or float32 elements */
    tdm__plan *plan;
    tdm_value input_value, *values;
    tdm__buffer buffer;
    size_t n;
    tdm__prediction *outputs; /* per task */
} tdm__predictor;

/* path: a run folder (its best checkpoint) or a checkpoint. */
tdm_status tdm__predictor_read(const char *path, const char *const *assignments, size_t n,
                               tdm__predictor **out);
/* data: arrays that are there now; they take the place of those of the same name that the
 * checkpoint describes. May be NULL. */
tdm_status tdm__predictor_start(tdm__predictor *predictor, const tdm__array_source *data,
                                int64_t count);
/* samples: `count` inputs, count * input_bytes bytes. Waits for the device. */
tdm_status tdm__predictor_run(tdm__predictor *predictor, const void *samples);
void tdm__predictor_destroy(tdm__predictor **predictor);

#endif

/* support/small_run.h: a small made-up data set and runs on it, for the trainer's tests. */
#ifndef SUPPORT_SMALL_RUN_H
#define SUPPORT_SMALL_RUN_H

#include <tandem/train.h>

#include "support/support.h"

/* Writes folder/{train,val,test}.h5: images (N,8,8,1) u8 of four brightness patterns, labels (N) u8
 * the pattern, values (N,1) f32 in [0,1] the brightness. train 72, val 24, test 24. */
void small_data(const char *folder);

/* The same, but one brightness in the training split is 1e30: its squared error is not finite. */
void small_data_spoilt(const char *folder);

/* The same with `n` named classes; from the fifth on no part of the picture is bright. */
void small_data_named(const char *folder, const char *const *names, size_t n);

/* A resolved configuration for it: two convolutions, a classifier, a decoder, in `folder`.
 * assignments: n "key=value" texts. The caller destroys it. */
tdm_config *small_config(const char *folder, const char *const *assignments, size_t n);

/* Trains it; returns the status. reports (NULL: none) receives the last report of each split's
 * loss and first metric. */
typedef struct small_result {
    double loss[3], metric[3]; /* first task: train, val, test */
    tdm_stop_reason reason;
    int epochs; /* validations seen */
} small_result;
tdm_status small_train(const char *folder, const char *const *assignments, size_t n,
                       small_result *result);
/* small_train in small_folder with these assignments. */
#define SMALL_TRAIN(...)                                                                           \
    small_train(small_folder, (const char *const[]){__VA_ARGS__},                                  \
                sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), NULL)
/* A folder of each test's own that begins with small_data: a checked fixture. */
extern char *small_folder;
void small_setup(void);
void small_teardown(void);
/* "train.output=<small_folder>/<name>", and the path alone; a text lives until eight more are made.
 */
const char *small_output(const char *name);
const char *small_run_path(const char *name);
/* A number of a task ("loss", "weight"; NULL: of all, "penalty") in the metrics.jsonl of a run in
 * small_folder, from the training split. */
double small_logged(const char *run, int epoch, const char *task, const char *key);
/* A tensor of a run's file; *n = 0 and NULL: the file has none of that name. free() it. */
float *small_tensor(const char *run, const char *file, const char *name, uint64_t *n);
/* Hash of a checkpoint's tensors (names and bytes, not its metadata). */
void small_hash(const char *run, const char *file, char hex[33]);

#endif

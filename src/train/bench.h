/* train/bench.h: rows of benchmark output, as JSON lines or aligned text. */
#ifndef TRAIN_BENCH_H
#define TRAIN_BENCH_H

#include <tandem/train.h>

#include "base/str.h"
#include "graph/plan.h"
#include "train/limits.h"
#include "train/session.h"

/* Zero (or negative) fields do not apply and are left out of JSON. */
typedef struct tdm__bench_row {
    const char *name;
    double wall_ms, cpu_ms, gflops, gbps, host_us, first_step_s, samples_per_s;
    uint64_t peak_bytes, launches, runs, programs;
    uint64_t read_bytes, write_bytes; /* activations and their gradients, as kernels read and write */
    double error_rms, error_max; /* against a double reference, relative to its rms and maximum */
    bool is_default;             /* the algorithm that would be taken */
    double share;                /* of the device's limit: least possible time / time */
    const char *bound;           /* what sets that limit: arithmetic, memory, launch */
    bool is_chosen;              /* tune: the algorithm that will be taken */
} tdm__bench_row;

void tdm__bench_heading(tdm__str *text);
/* The limits: as the JSON line "limits" with gflops, gbps and launches_per_s, or as a line of text.
 */
void tdm__bench_add_limits(tdm__str *text, const tdm__limits *limits, bool json);
void tdm__bench_add(tdm__str *text, const tdm__bench_row *row, bool json);
/* Sorts values. */
double tdm__median(double *values, size_t n);

/* Times `runs` times `batch` calls of `run` in a row, after one batch that warms up: medians of one
 * call in row. */
tdm_status tdm__bench_time(tdm_device *device, tdm_status (*run)(void *user), void *user, int runs,
                           int batch, tdm__bench_row *row);
/* Rates of one call, and how near it comes to the limits (NULL: not compared). */
void tdm__bench_compare(tdm__bench_row *row, const tdm__limits *limits, double flops, double bytes,
                        double launches);

/* A row for each update rule, on parameters that no cache holds. */
tdm_status tdm__bench_optimizers(tdm_device *device, const tdm__limits *limits, const char *filter,
                                 bool json, tdm__str *text, size_t *rows);

/* One operation on one sample. */
typedef struct tdm__op_bench {
    tdm_device *device;
    const tdm_op *op;
    const tdm__sample *sample;
    const char *variant;       /* NULL: the default */
    const tdm__limits *limits; /* NULL: not compared */
    /* after tdm__op_bench_open */
    float *host[TDM__MAX_SAMPLE_INPUTS]; /* f32 inputs as drawn */
    tdm__buffer buffers[TDM__MAX_SAMPLE_INPUTS], step;
    tdm_graph *graph;
    tdm_value out;
    tdm__plan *plan;
} tdm__op_bench;

tdm_status tdm__op_bench_open(tdm__op_bench *b);
/* The node by another algorithm, over the same inputs; in memory of its own. */
tdm_status tdm__op_bench_plan(const tdm__op_bench *b, const char *variant, tdm__plan **out);
void tdm__op_bench_close(tdm__op_bench *b);
/* Medians of `runs` timings of `batch` runs each, after one that warms up, into row (name is the
 * caller's). */
tdm_status tdm__op_bench_time(tdm__op_bench *b, int runs, int batch, tdm__bench_row *row);

/* ---- what bench_tune.c takes from the others ---------------------------------------------------
 */

enum { TDM__BENCH_ARRAYS = 32 }; /* at most */
/* The arrays of bench.arrays, or of the data set's training split (then splits, which the caller
 * closes, must stay open as long as infos). */
tdm_status tdm__bench_arrays(const tdm_config *config, tdm_array_info infos[TDM__BENCH_ARRAYS],
                             tdm_split *splits[TDM__SPLITS], size_t *n);
/* A graph of the convolutions that `bench conv` times by itself. */
tdm_status tdm__bench_conv_graph(tdm_graph **out);

#endif

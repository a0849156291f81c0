/* train/bench.h: rows of benchmark output, as JSON lines or aligned text. */
#ifndef TRAIN_BENCH_H
#define TRAIN_BENCH_H

#include <tandem/train.h>

#include "base/str.h"

/* Zero (or negative) fields do not apply and are left out of JSON. */
typedef struct tdm__bench_row {
    const char *name;
    double wall_ms, cpu_ms, gflops, gbps, host_us, first_step_s;
    uint64_t peak_bytes, launches, runs, programs;
} tdm__bench_row;

void tdm__bench_heading(tdm__str *text);
void tdm__bench_add(tdm__str *text, const tdm__bench_row *row, bool json);
/* Sorts values. */
double tdm__median(double *values, size_t n);

#endif

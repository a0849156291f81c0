/* support/op_check.h: what the table of operations promises, checked for one operation on one
 * device.
 *
 * For every sample and every algorithm that can run it: device against the host reference in
 * double; guard bands around every value; two runs bit-identical; inputs untouched; accumulation,
 * work in place and epilogues where the descriptor permits them; host gradient against central
 * differences; device gradient against host gradient; costs set. And every reject's status and
 * message.
 *
 * Failures are collected, not fatal: one line each. */
#ifndef SUPPORT_OP_CHECK_H
#define SUPPORT_OP_CHECK_H

#include "graph/op.h"

typedef struct op_check {
    tdm_device *device;
    tdm__buffer step; /* a tdm__step */
    bool clblast;     /* algorithms named clblast* too */
    int most_samples; /* of an operation; 0: all */
    int checks, failures;
    /* where a failure is, for its line */
    const tdm_op *op;
    const char *sample, *variant;
} op_check;

tdm_status op_check_open(op_check *c, tdm_kernel_style style);
void op_check_close(op_check *c);
void op_check_run(op_check *c, const tdm_op *op);

/* n elements by the sample's rule, as the nearest floats; a pure function of its arguments. */
void op_check_fill(tdm__fill fill, int arg, uint64_t stream, double *out, size_t n);

#endif

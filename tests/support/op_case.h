/* support/op_case.h: one graph with its data, run on the host and on a device. Shared by the checks
 * of operations and of graphs. */
#ifndef SUPPORT_OP_CASE_H
#define SUPPORT_OP_CASE_H

#include <tandem/device.h>

#include "graph/plan.h"

enum { OP_CASE_DATA = 40 };

/* A tensor that lives outside the graph, with NaN bands around it on the device. */
typedef struct op_data {
    tdm_value value;
    tdm_desc desc;
    bool input; /* bound; else a placed variable */
    double *host;
    tdm__buffer buffer;
} op_data;

typedef struct op_case {
    tdm_device *device;
    tdm__view step;
    tdm_graph *graph;
    op_data data[OP_CASE_DATA];
    int n_data;
    double **values; /* host results, by value; NULL before op_case_interpret */
    size_t n_values;
    tdm__plan *plan;
} op_case;

extern const tdm__step op_case_step; /* the step scalars of all host and device runs */

tdm_status op_case_open(op_case *c, tdm_device *device, tdm__view step);
void op_case_close(op_case *c);
/* The same on a device of this style that is opened for it, with op_case_step on it. */
void op_case_open_style(op_case *c, tdm_kernel_style style, tdm_device **device, tdm__buffer *step);
void op_case_close_style(op_case *c, tdm_device **device, tdm__buffer *step);

/* Adds a variable (input: a graph input) with these elements; takes over `host` (free()). */
tdm_value op_case_data(op_case *c, const char *name, tdm_desc desc, bool input, double *host);
/* Where a datum lives on the device (its buffer is made by op_case_plan). Empty when unknown. */
tdm__view op_case_view(op_case *c, tdm_value value);

/* Host results of all values into c->values; data are not changed. delta (may be NULL) is added to
 * the data of `value` before. */
tdm_status op_case_interpret(op_case *c, tdm_value value, const double *delta);

/* Makes the plan; spec's device and step are filled in. */
tdm_status op_case_plan(op_case *c, const tdm__plan_spec *spec);
/* Uploads all data, runs, checks guards and that data which no node updates are as they were. */
tdm_status op_case_run(op_case *c);
/* A kept value, or a variable, as doubles; free() it. */
tdm_status op_case_read(op_case *c, tdm_value value, double **out);

/* |got - want| / |want| in the 2-norm; infinite when a NaN, an infinity or a whole number differs.
 * *first: that element, else the one that is off most (-1: none). */
double op_case_error(const tdm_desc *desc, const double *got, const double *want, int64_t *first);

#endif

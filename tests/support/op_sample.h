/* support/op_sample.h: the inputs of the table's samples, for comparisons with results that were
 * computed elsewhere: each input has its own stream, a pure function of the sample. */
#ifndef SUPPORT_OP_SAMPLE_H
#define SUPPORT_OP_SAMPLE_H

#include "graph/op.h"

/* The stream of one input's numbers; op_check_fill says how they are drawn from it. */
uint64_t op_sample_stream(const tdm__sample *sample, int input);
/* The elements of one input; free() them. NULL when memory runs out. */
double *op_sample_draw(const tdm__sample *sample, int input);

#endif

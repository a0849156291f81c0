/* support/op_sample.c */
#include "support/op_sample.h"

#include "base/mem.h"
#include "base/rng.h"
#include "support/op_check.h"

uint64_t op_sample_stream(const tdm__sample *sample, int input)
{
    return tdm__rng_stream(sample->name, (uint64_t)input,
                           (uint64_t)tdm_desc_count(&sample->in[input]));
}

double *op_sample_draw(const tdm__sample *sample, int input)
{
    size_t n = (size_t)tdm_desc_count(&sample->in[input]);
    double *out = tdm__calloc(n, sizeof *out);
    if (out)
        op_check_fill(sample->fill[input], sample->fill_arg[input], op_sample_stream(sample, input),
                      out, n);
    return out;
}

/* Prints the samples of the table of operations as JSON lines, for replaying them elsewhere: first
 * the step scalars of all runs, then one line per sample with attributes, inputs (how they are
 * filled and from which stream; null: absent) and the types and shapes of the outputs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/json.h"
#include "ops/registry.h"
#include "support/op_case.h"
#include "support/op_sample.h"

static void write_desc(tdm__json *j, const tdm_desc *desc)
{
    static const char *const names[] = {[TDM_F32] = "f32", [TDM_I32] = "i32", [TDM_U8] = "u8"};
    tdm__json_key(j, "dtype");
    tdm__json_string(j, names[desc->dtype]);
    tdm__json_key(j, "dims");
    tdm__json_open(j, '[');
    for (int i = 0; i < desc->rank; i++) tdm__json_int(j, desc->dim[i]);
    tdm__json_close(j, ']');
}

static void write_attr(tdm__json *j, const tdm__attr *attr, const void *attrs)
{
    const char *at = (const char *)attrs + attr->offset;
    tdm__json_key(j, attr->name);
    if (attr->count > 1) tdm__json_open(j, '[');
    for (int i = 0; i < attr->count; i++) {
        switch (attr->type) {
        case 'i':
            tdm__json_int(j, ((const int32_t *)(const void *)at)[i]);
            break;
        case 'l':
            tdm__json_int(j, ((const int64_t *)(const void *)at)[i]);
            break;
        case 'b':
            tdm__json_bool(j, ((const bool *)(const void *)at)[i]);
            break;
        default:
            tdm__json_number(j, (double)((const float *)(const void *)at)[i]);
        }
    }
    if (attr->count > 1) tdm__json_close(j, ']');
}

static void write_input(tdm__json *j, const tdm__sample *s, int input)
{
    static const char *const fills[] = {
        [TDM__FILL_NORMAL] = "normal",     [TDM__FILL_UNIFORM] = "uniform",
        [TDM__FILL_POSITIVE] = "positive", [TDM__FILL_INDEX] = "index",
        [TDM__FILL_LABEL] = "label",       [TDM__FILL_MASK] = "mask",
        [TDM__FILL_ZERO] = "zero",         [TDM__FILL_TIES] = "ties",
        [TDM__FILL_SPACED] = "spaced"};
    char stream[32];
    if (s->in[input].dtype == TDM_NONE) {
        tdm__json_null(j);
        return;
    }
    snprintf(stream, sizeof stream, "%" PRIu64, op_sample_stream(s, input));
    tdm__json_open(j, '{');
    write_desc(j, &s->in[input]);
    tdm__json_key(j, "fill");
    tdm__json_string(j, fills[s->fill[input]]);
    tdm__json_key(j, "fill_arg");
    tdm__json_int(j, s->fill_arg[input]);
    tdm__json_key(j, "stream");
    tdm__json_string(j, stream);
    tdm__json_close(j, '}');
}

/* The outputs as a graph infers them. */
static tdm_status write_outputs(tdm__json *j, const tdm_op *op, const tdm__sample *s)
{
    tdm_graph *g = NULL;
    tdm_value in[TDM__MAX_SAMPLE_INPUTS];
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_graph_create(&g));
    for (int i = 0; i < s->n_in; i++)
        in[i] =
            s->in[i].dtype == TDM_NONE ? TDM_NO_VALUE : tdm_graph_variable(g, "x", s->in[i], true);
    tdm_value y = tdm__graph_node(g, op, in, s->n_in, s->attrs);
    TDM_TRY(tdm_graph_status(g));
    for (int o = 0; o < op->n_out; o++) {
        const tdm_desc *desc = tdm_graph_desc(g, y + o);
        if (desc->dtype == TDM_NONE) {
            tdm__json_null(j);
            continue;
        }
        tdm__json_open(j, '{');
        write_desc(j, desc);
        tdm__json_close(j, '}');
    }
done:
    tdm_graph_destroy(&g);
    return status;
}

static tdm_status print_sample(const tdm_op *op, const tdm__sample *s)
{
    tdm__json j = {0};
    tdm_status status = TDM_OK;
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "op");
    tdm__json_string(&j, op->name);
    tdm__json_key(&j, "sample");
    tdm__json_string(&j, s->name);
    tdm__json_key(&j, "attrs");
    tdm__json_open(&j, '{');
    for (int i = 0; i < op->n_attrs; i++) write_attr(&j, &op->attrs[i], s->attrs);
    tdm__json_close(&j, '}');
    tdm__json_key(&j, "inputs");
    tdm__json_open(&j, '[');
    for (int i = 0; i < s->n_in; i++) write_input(&j, s, i);
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "outputs");
    tdm__json_open(&j, '[');
    TDM_TRY(write_outputs(&j, op, s));
    tdm__json_close(&j, ']');
    tdm__json_close(&j, '}');
    TDM_TRY(tdm__json_status(&j));
    puts(tdm__json_text(&j));
done:
    tdm__json_free(&j);
    return status;
}

int main(void)
{
    const tdm__step *step = &op_case_step;
    size_t n;
    const tdm_op *const *ops = tdm__ops(&n);
    printf("{\"seed\": [%" PRIu32 ", %" PRIu32 "], \"step\": [%" PRIu32 ", %" PRIu32 "]}\n",
           step->seed[0], step->seed[1], step->step[0], step->step[1]);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < ops[i]->n_samples; k++)
            if (print_sample(ops[i], &ops[i]->samples[k])) {
                fprintf(stderr, "%s [%s]: %s\n", ops[i]->name, ops[i]->samples[k].name,
                        tdm_last_error());
                return 1;
            }
    return fflush(stdout) ? 1 : 0;
}

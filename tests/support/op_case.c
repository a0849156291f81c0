/* support/op_case.c */
#include "support/op_case.h"

#include "support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "graph/internal.h"

enum { BAND = 256 };
static const uint32_t NAN_PATTERN = 0x7fc0beef;

const tdm__step op_case_step = {.seed = {0x1234567, 0x89abcde}, .step = {5, 0}, .lr = 0.1f};

tdm_status op_case_open(op_case *c, tdm_device *device, tdm__view step)
{
    *c = (op_case){.device = device, .step = step};
    return tdm_graph_create(&c->graph);
}

static void drop_results(op_case *c)
{
    if (!c->values) return;
    tdm__graph_interpret_free(c->graph, c->values);
    for (int i = 0; i < c->n_data; i++) free(c->values[c->data[i].value]);
    free(c->values);
    c->values = NULL;
}

void op_case_close(op_case *c)
{
    tdm__plan_destroy(&c->plan);
    drop_results(c);
    for (int i = 0; i < c->n_data; i++) {
        free(c->data[i].host);
        tdm__buffer_destroy(c->device, &c->data[i].buffer);
    }
    tdm_graph_destroy(&c->graph);
}

tdm_value op_case_data(op_case *c, const char *name, tdm_desc desc, bool input, double *host)
{
    tdm_value value = input ? tdm_graph_input(c->graph, name, desc)
                            : tdm_graph_variable(c->graph, name, desc, true);
    if (value < 0 || c->n_data == OP_CASE_DATA) {
        free(host);
        return TDM_NO_VALUE;
    }
    c->data[c->n_data++] = (op_data){.value = value, .desc = desc, .input = input, .host = host};
    return value;
}

tdm__view op_case_view(op_case *c, tdm_value value)
{
    for (int i = 0; i < c->n_data; i++)
        if (c->data[i].value == value) return (tdm__view){&c->data[i].buffer, BAND};
    return (tdm__view){0};
}

tdm_status op_case_interpret(op_case *c, tdm_value value, const double *delta)
{
    tdm_status status = TDM_OK;
    drop_results(c);
    c->n_values = tdm__graph_value_count(c->graph);
    TDM_TRY(tdm__calloc_try(c->n_values, sizeof *c->values, &c->values));
    for (int i = 0; i < c->n_data; i++) {
        const op_data *d = &c->data[i];
        size_t n = (size_t)tdm_desc_count(&d->desc);
        double *copy;
        TDM_TRY(tdm__calloc_try(n, sizeof *copy, &copy));
        for (size_t k = 0; k < n; k++)
            copy[k] = d->host[k] + (delta && d->value == value ? delta[k] : 0);
        c->values[d->value] = copy;
    }
    TDM_TRY(tdm__graph_interpret(c->graph, &op_case_step, c->values, c->n_values));
done:
    return status;
}

/* conversion between doubles and the device's bytes -------------------------------------------- */

static void to_bytes(const tdm_desc *desc, const double *from, unsigned char *to)
{
    size_t n = (size_t)tdm_desc_count(desc), size = tdm_dtype_size(desc->dtype);
    for (size_t i = 0; i < n; i++) {
        float f = (float)from[i];
        int32_t k = desc->dtype == TDM_F32 ? 0 : (int32_t)from[i];
        uint8_t byte = (uint8_t)k;
        const void *element = desc->dtype == TDM_F32   ? (const void *)&f
                              : desc->dtype == TDM_I32 ? (const void *)&k
                                                       : (const void *)&byte;
        memcpy(to + i * size, element, size);
    }
}

static void from_bytes(const tdm_desc *desc, const unsigned char *from, double *to)
{
    size_t n = (size_t)tdm_desc_count(desc), size = tdm_dtype_size(desc->dtype);
    for (size_t i = 0; i < n; i++) {
        float f;
        int32_t k;
        switch (desc->dtype) {
        case TDM_F32:
            memcpy(&f, from + i * size, size);
            to[i] = (double)f;
            break;
        case TDM_I32:
            memcpy(&k, from + i * size, size);
            to[i] = (double)k;
            break;
        default:
            to[i] = (double)from[i];
        }
    }
}

/* device runs ---------------------------------------------------------------------------------- */

/* The bytes of a datum's buffer: band, elements, band. */
static tdm_status image_of(const op_data *d, unsigned char **out, uint64_t *size)
{
    uint64_t bytes = (uint64_t)tdm_desc_count(&d->desc) * tdm_dtype_size(d->desc.dtype);
    *size = BAND + (bytes + 3) / 4 * 4 + BAND;
    tdm_status status = tdm__calloc_try(*size, 1, out);
    if (status) return status;
    for (uint64_t i = 0; i < *size; i += 4) memcpy(*out + i, &NAN_PATTERN, 4);
    to_bytes(&d->desc, d->host, *out + BAND);
    return TDM_OK;
}

static tdm_status upload(op_case *c, op_data *d)
{
    unsigned char *image = NULL;
    uint64_t size = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(image_of(d, &image, &size));
    if (!d->buffer.mem) TDM_TRY(tdm__buffer_create(c->device, size, false, "datum", &d->buffer));
    TDM_TRY(tdm__view_write(c->device, (tdm__view){&d->buffer, 0}, image, size));
done:
    free(image);
    return status;
}

tdm_status op_case_plan(op_case *c, const tdm__plan_spec *spec)
{
    tdm_status status = TDM_OK;
    tdm__plan_spec whole = *spec;
    whole.device = c->device;
    whole.step = c->step;
    tdm__plan_destroy(&c->plan);
    for (int i = 0; i < c->n_data; i++) {
        op_data *d = &c->data[i];
        TDM_TRY(upload(c, d));
        if (!d->input) tdm__graph_place(c->graph, d->value, op_case_view(c, d->value));
    }
    TDM_TRY(tdm_graph_status(c->graph));
    TDM_TRY(tdm__plan_create(c->graph, &whole, &c->plan));
    for (int i = 0; i < c->n_data; i++)
        if (c->data[i].input)
            TDM_TRY(tdm__plan_bind(c->plan, c->data[i].value, op_case_view(c, c->data[i].value)));
done:
    return status;
}

/* Does a node update this variable, or is something stored there? */
static bool may_change(const op_case *c, const op_data *d)
{
    const tdm_graph *graph = c->graph;
    for (size_t s = 0; s < graph->n_stores; s++)
        if (graph->stores[s].view.buffer == &d->buffer) return true;
    for (size_t k = 0; k < graph->n_nodes; k++) {
        const tdm__node_entry *node = &graph->nodes[k];
        for (int o = 0; o < node->op->n_out; o++)
            if (node->op->update[o] && node->in[node->op->update[o] - 1] == d->value) return true;
    }
    return false;
}

static tdm_status check_untouched(op_case *c, op_data *d)
{
    unsigned char *image = NULL, *now = NULL;
    uint64_t size = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(image_of(d, &image, &size));
    TDM_TRY(tdm__calloc_try(size, 1, &now));
    TDM_TRY(tdm__view_read(c->device, (tdm__view){&d->buffer, 0}, now, size));
    uint64_t bytes = (uint64_t)tdm_desc_count(&d->desc) * tdm_dtype_size(d->desc.dtype);
    if (may_change(c, d)) memcpy(image + BAND, now + BAND, bytes);
    for (uint64_t i = 0; i < size; i++) {
        if (image[i] == now[i]) continue;
        status = tdm__fail(TDM_ERR_RUNTIME, "%s: byte %lld of %llu was written",
                           tdm_graph_name(c->graph, d->value), (long long)i - BAND,
                           (unsigned long long)bytes);
        goto done;
    }
done:
    free(image);
    free(now);
    return status;
}

tdm_status op_case_run(op_case *c)
{
    tdm_status status = TDM_OK;
    for (int i = 0; i < c->n_data; i++) TDM_TRY(upload(c, &c->data[i]));
    TDM_TRY(tdm__plan_run(c->plan));
    TDM_TRY(tdm__plan_check_guards(c->plan));
    for (int i = 0; i < c->n_data; i++) TDM_TRY(check_untouched(c, &c->data[i]));
done:
    return status;
}

tdm_status op_case_read(op_case *c, tdm_value value, double **out)
{
    const tdm_desc *desc = tdm_graph_desc(c->graph, value);
    tdm__view view = tdm__plan_view(c->plan, value);
    unsigned char *bytes = NULL;
    tdm_status status = TDM_OK;
    *out = NULL;
    if (!desc || !view.buffer)
        return tdm__fail(TDM_ERR_STATE, "%s: not kept", tdm_graph_name(c->graph, value));
    size_t n = (size_t)tdm_desc_count(desc), size = n * tdm_dtype_size(desc->dtype);
    TDM_TRY(tdm__calloc_try(size, 1, &bytes));
    TDM_TRY(tdm__view_read(c->device, view, bytes, size));
    TDM_TRY(tdm__calloc_try(n, sizeof **out, out));
    from_bytes(desc, bytes, *out);
done:
    free(bytes);
    return status;
}

/* comparing ------------------------------------------------------------------------------------ */

static bool same_class(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b)) return a == b;
    return true;
}

double op_case_error(const tdm_desc *desc, const double *got, const double *want, int64_t *first)
{
    int64_t n = tdm_desc_count(desc);
    double diff = 0, norm = 0, worst = 0;
    bool broken = false;
    *first = -1;
    for (int64_t i = 0; i < n; i++) {
        bool whole = desc->dtype != TDM_F32;
        if (!same_class(got[i], want[i]) || (whole && got[i] != want[i])) {
            if (*first < 0) *first = i;
            broken = true;
        } else if (isfinite(got[i])) {
            double e = got[i] - want[i];
            diff += e * e;
            norm += want[i] * want[i];
            if (!broken && fabs(e) > worst) {
                worst = fabs(e);
                *first = i;
            }
        }
    }
    if (broken) return HUGE_VAL;
    return norm > 0 ? sqrt(diff / norm) : sqrt(diff);
}

/* ---- with a device of its own ------------------------------------------------------------------
 */

void op_case_open_style(op_case *c, tdm_kernel_style style, tdm_device **device, tdm__buffer *step)
{
    support_ok(tdm_device_open(&(tdm_device_spec){.style = style}, device));
    support_ok(tdm__buffer_create(*device, sizeof(tdm__step), true, "step", step));
    support_ok(tdm__view_write(*device, (tdm__view){step, 0}, &op_case_step, sizeof op_case_step));
    support_ok(op_case_open(c, *device, (tdm__view){step, 0}));
}

void op_case_close_style(op_case *c, tdm_device **device, tdm__buffer *step)
{
    op_case_close(c);
    tdm__buffer_destroy(*device, step);
    tdm_device_destroy(device);
}

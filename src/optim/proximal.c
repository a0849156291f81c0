/* optim/proximal.c: the proximal step of an L2,1 norm (cl/proximal.cl). See optim.h. */
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "optim/optim.h"

typedef struct part {
    tdm__row_part of;
    tdm__launch squares, shrink;
    cl_uint threshold; /* an argument of shrink */
} part;

struct tdm__proximal {
    tdm_device *device;
    tdm__flat *flat;
    part *parts;
    size_t n;
    int64_t rows;
    double lambda;
    tdm__buffer norms;
    float *read;
};

/* The arguments that both kernels have, of `rows` teams. */
static tdm_status prepare(tdm__proximal *p, const part *of, const char *kernel, tdm__launch *l)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(p->device, "proximal.cl", "", kernel, l));
    TDM_TRY(tdm__launch_view(l, tdm__flat_value_view(p->flat, of->of.segment), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&p->norms), sizeof(float)));
    TDM_TRY(tdm__launch_i32(l, (int32_t)of->of.outer));
    TDM_TRY(tdm__launch_i32(l, (int32_t)p->rows));
    TDM_TRY(tdm__launch_i32(l, (int32_t)of->of.inner));
done:
    return status;
}

static tdm_status prepare_part(tdm__proximal *p, size_t i)
{
    part *of = &p->parts[i];
    tdm_status status = TDM_OK;
    TDM_TRY(prepare(p, of, "row_squares", &of->squares));
    TDM_TRY(tdm__launch_i32(&of->squares, i > 0));
    TDM_TRY(tdm__launch_teams(p->device, &of->squares, (uint64_t)p->rows));
    TDM_TRY(prepare(p, of, "row_shrink", &of->shrink));
    of->threshold = of->shrink.args;
    TDM_TRY(tdm__launch_f32(&of->shrink, 0));
    TDM_TRY(tdm__launch_teams(p->device, &of->shrink, (uint64_t)p->rows));
done:
    return status;
}

tdm_status tdm__proximal_create(tdm_device *device, tdm__flat *flat, const tdm__row_part *parts,
                                size_t n, int64_t rows, double lambda, tdm__proximal **out)
{
    tdm_status status = TDM_OK;
    tdm__proximal *p = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    *p = (tdm__proximal){.device = device, .flat = flat, .rows = rows, .lambda = lambda};
    TDM_TRY(tdm__calloc_try(n, sizeof *p->parts, &p->parts));
    TDM_TRY(tdm__calloc_try((size_t)rows, sizeof *p->read, &p->read));
    TDM_TRY(tdm__buffer_create(device, (uint64_t)rows * sizeof(float), true, "lengths of features",
                               &p->norms));
    for (; p->n < n; p->n++) {
        p->parts[p->n].of = parts[p->n];
        TDM_TRY(prepare_part(p, p->n));
    }
    *out = p;
    p = NULL;
done:
    if (p && p->n < n) p->n++; /* the half-made one too */
    tdm__proximal_destroy(&p);
    return status;
}

void tdm__proximal_destroy(tdm__proximal **proximal)
{
    tdm__proximal *p = *proximal;
    if (!p) return;
    for (size_t i = 0; p->parts && i < p->n; i++) {
        tdm__launch_destroy(&p->parts[i].squares);
        tdm__launch_destroy(&p->parts[i].shrink);
    }
    tdm__buffer_destroy(p->device, &p->norms);
    free(p->parts);
    free(p->read);
    free(p);
    *proximal = NULL;
}

static tdm_status measure(tdm__proximal *p)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < p->n; i++) TDM_TRY(tdm__launch_enqueue(p->device, &p->parts[i].squares));
done:
    return status;
}

static tdm_status shrink(tdm__proximal *p, double lr)
{
    tdm_status status = TDM_OK;
    TDM_TRY(measure(p));
    for (size_t i = 0; i < p->n; i++) {
        part *of = &p->parts[i];
        if (tdm__flat_segment(p->flat, of->of.segment)->frozen) continue;
        TDM_TRY(tdm__launch_set_f32(&of->shrink, of->threshold, (float)(lr * p->lambda)));
        TDM_TRY(tdm__launch_enqueue(p->device, &of->shrink));
    }
done:
    return status;
}

tdm_status tdm__proximal_step(tdm__proximal *p, double lr)
{
    if (!p) return TDM_OK;
    tdm__profile_owner(p->device, "optimizer", "l21");
    const tdm_status status = shrink(p, lr);
    tdm__profile_owner(p->device, NULL, NULL);
    return status;
}

int64_t tdm__proximal_rows(const tdm__proximal *p)
{
    return p ? p->rows : 0;
}

tdm_status tdm__proximal_kept(tdm__proximal *p, int64_t *out)
{
    tdm_status status = TDM_OK;
    *out = 0;
    if (!p) return TDM_OK;
    TDM_TRY(measure(p));
    TDM_TRY(tdm__view_read(p->device, tdm__view_of(&p->norms), p->read,
                           (uint64_t)p->rows * sizeof *p->read));
    for (int64_t r = 0; r < p->rows; r++) *out += p->read[r] != 0;
done:
    return status;
}

/* task/gradients.c: rows of per-task gradients, their Gram matrix, their combination (cl/gram.cl).
 *
 * Shared segments are packed into parts. A part belongs to one chunk of the flat buffers, holds T
 * rows of `stride` elements, and is no larger than the device allocates at once. Padding is zero
 * and stays zero, so that the Gram matrix runs over whole rows. */
#include "task/gradients.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "task/solve.h"

enum { BLOCK = 8192 }; /* elements per team */

typedef struct place {
    size_t part;
    uint64_t offset; /* elements from a row's start */
    bool shared;
} place;

typedef struct part {
    uint32_t chunk;
    uint64_t stride;
    size_t n_gram, n_apply;        /* blocks */
    tdm__buffer own, blocks, mean; /* mean: DB-MTL's, as rows */
    tdm__buffer *rows;             /* its own, or what all parts share */
    tdm__launch gram, apply, average;
    cl_uint average_keep; /* the argument `keep` */
} part;

struct tdm__gradients {
    tdm_device *device;
    tdm__flat *flat; /* NULL: of a representation, which is one part */
    uint64_t count;  /* of its elements */
    tdm__buffer combined;
    const tdm__combine_spec *spec;
    const char *const *names;
    size_t n, pairs;
    place *places; /* per segment */
    part *parts;
    size_t n_parts, capacity, n_gram;
    bool streamed;   /* each part is a group, and `place` has the rows of one */
    uint64_t budget; /* of the rows, in bytes */
    tdm__buffer shared_rows;
    tdm__buffer partial, gram, weights;
    tdm__launch finish;
    float *pairs_read, *weights_float; /* 2 pairs, n */
    double *m, *target, *w;
    /* Sums over steps, each kept in two floats: steps, conflicts, pairs with a cosine, log10 of the
     * condition, stationary steps; weights n, squared norms n, cosines n n, and in how many steps
     * there was one n n (on the diagonal: steps with a gradient of the task). */
    double *sums;
    tdm__gradients_report report;
    double *means; /* the report's arrays */
};
enum { STEPS, CONFLICTS, PAIRS, CONDITION, STATIONARY, ARRAYS };

/* ---- creation ----------------------------------------------------------------------------------
 */

/* Room for `count` elements of each task behind what the last part has, or in a new part. */
static tdm_status place_row(tdm__gradients *g, const char *name, uint32_t chunk, uint64_t count,
                            place *out)
{
    const tdm__traits *traits = tdm__device_traits(g->device);
    const uint64_t align = traits->align / sizeof(float);
    const uint64_t size = (count + align - 1) / align * align;
    const uint64_t most = traits->max_allocation / sizeof(float) / g->n;
    const uint64_t wanted = g->streamed ? g->budget / sizeof(float) / g->n : most;
    const uint64_t limit = wanted < most ? wanted : most; /* of a part */
    part *last = g->n_parts ? &g->parts[g->n_parts - 1] : NULL;
    if (size > most)
        return tdm__fail(TDM_ERR_NOMEM,
                         "%s: its gradients by %zu tasks take %llu bytes, the device allocates at "
                         "most %llu at once",
                         name, g->n, (unsigned long long)(size * g->n * sizeof(float)),
                         (unsigned long long)traits->max_allocation);
    if (!last || last->chunk != chunk || last->stride + size > limit) {
        const tdm_status status =
            tdm__grow(&g->parts, &g->capacity, g->n_parts + 1, sizeof *g->parts);
        if (status) return status;
        last = &g->parts[g->n_parts++];
        last->chunk = chunk;
    }
    *out = (place){g->n_parts - 1, last->stride, true};
    last->stride += size;
    last->n_apply += (count + BLOCK - 1) / BLOCK;
    return TDM_OK;
}

/* The blocks of `count` elements, from a row to where they are combined. Returns what is behind. */
static uint64_t *add_blocks(uint64_t *at, uint64_t count, uint64_t from, uint64_t to)
{
    for (uint64_t begin = 0; begin < count; begin += BLOCK, at += 4) {
        at[0] = to + begin;
        at[1] = from + begin;
        at[2] = count - begin < BLOCK ? count - begin : BLOCK;
    }
    return at;
}

static tdm_status write_blocks(tdm__gradients *g, size_t index)
{
    part *p = &g->parts[index];
    uint64_t *list = NULL, *at;
    const uint64_t bytes = p->n_apply * 4 * sizeof *list;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(p->n_apply, 4 * sizeof *list, &list));
    at = list;
    if (!g->flat) at = add_blocks(at, g->count, 0, 0);
    for (size_t i = 0; g->flat && i < tdm__flat_count(g->flat); i++) {
        const tdm__segment *s = tdm__flat_segment(g->flat, i);
        if (g->places[i].shared && g->places[i].part == index)
            at = add_blocks(at, s->count, g->places[i].offset, s->offset);
    }
    TDM_TRY(tdm__buffer_create(g->device, bytes, false, "blocks of shared gradients", &p->blocks));
    TDM_TRY(tdm__view_write(g->device, (tdm__view){&p->blocks, 0}, list, bytes));
done:
    free(list);
    return status;
}

static bool averages(const tdm__gradients *g)
{
    return g->spec->kind == TDM__COMBINE_DB_MTL;
}

/* What is combined: the step's rows, or their running means. */
static tdm__view combined_rows(const tdm__gradients *g, part *p)
{
    return tdm__view_of(averages(g) ? &p->mean : p->rows);
}

static tdm_status prepare_average(tdm__gradients *g, part *p)
{
    tdm__launch *l = &p->average;
    const uint64_t count = p->stride * g->n;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(g->device, "gram.cl", "", "gram_average", l));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(p->rows), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&p->mean), sizeof(float)));
    TDM_TRY(tdm__launch_u64(l, count));
    TDM_TRY(tdm__launch_i32(l, BLOCK));
    p->average_keep = l->args;
    TDM_TRY(tdm__launch_f32(l, 0));
    TDM_TRY(tdm__launch_teams(g->device, l, (count + BLOCK - 1) / BLOCK));
    l->bytes = 12.0 * (double)count;
done:
    return status;
}

static tdm_status prepare_gram(tdm__gradients *g, part *p, size_t first)
{
    tdm__launch *l = &p->gram;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(g->device, "gram.cl", "", "gram_partial", l));
    TDM_TRY(tdm__launch_view(l, combined_rows(g, p), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&g->partial), sizeof(float)));
    TDM_TRY(tdm__launch_u64(l, p->stride));
    TDM_TRY(tdm__launch_i32(l, (int32_t)g->n));
    TDM_TRY(tdm__launch_i32(l, BLOCK));
    TDM_TRY(tdm__launch_i32(l, (int32_t)first));
    TDM_TRY(tdm__launch_i32(l, (int32_t)g->n_gram));
    TDM_TRY(tdm__launch_teams(g->device, l, p->n_gram));
    l->bytes = 4.0 * (double)(p->stride * g->n);
    l->flops = 2.0 * (double)(p->stride * g->pairs);
done:
    return status;
}

/* Without the step scalars of GradDrop, which the first call brings. */
static tdm_status prepare_apply(tdm__gradients *g, part *p)
{
    const bool drops = g->spec->kind == TDM__COMBINE_GRADDROP;
    tdm__launch *l = &p->apply;
    uint64_t elements;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(g->device, "gram.cl", "", drops ? "gram_drop" : "gram_apply", l));
    TDM_TRY(tdm__launch_view(l, combined_rows(g, p), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&p->blocks), sizeof(uint64_t)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&g->weights), sizeof(float)));
    TDM_TRY(tdm__launch_view(l,
                             g->flat ? tdm__flat_chunk_gradients(g->flat, p->chunk, &elements)
                                     : tdm__view_of(&g->combined),
                             sizeof(float)));
    TDM_TRY(tdm__launch_u64(l, p->stride));
    TDM_TRY(tdm__launch_i32(l, (int32_t)g->n));
    TDM_TRY(tdm__launch_teams(g->device, l, p->n_apply));
    l->bytes = 4.0 * (double)(p->stride * (g->n + 1));
    l->flops = 2.0 * (double)(p->stride * g->n);
done:
    return status;
}

static tdm_status prepare_finish(tdm__gradients *g)
{
    tdm__launch *l = &g->finish;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(g->device, "gram.cl", "", "gram_finish", l));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&g->partial), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&g->gram), sizeof(float)));
    TDM_TRY(tdm__launch_i32(l, (int32_t)g->n_gram));
    TDM_TRY(tdm__launch_teams(g->device, l, g->pairs));
done:
    return status;
}

static size_t sum_count(const tdm__gradients *g)
{
    return ARRAYS + 2 * g->n + 2 * g->n * g->n;
}

/* As large as the largest group's. The padding between segments differs from group to group, and
 * must be zero in each: tdm__gradients_combine clears it. */
static tdm_status create_shared_rows(tdm__gradients *g)
{
    uint64_t most = 0;
    for (size_t k = 0; k < g->n_parts; k++)
        if (g->parts[k].stride > most) most = g->parts[k].stride;
    return tdm__buffer_create(g->device, most * g->n * sizeof(float), true, "gradients by task",
                              &g->shared_rows);
}

static tdm_status create_buffers(tdm__gradients *g)
{
    tdm_status status = TDM_OK;
    size_t first = 0;
    for (size_t k = 0; k < g->n_parts; k++) {
        g->parts[k].n_gram = (g->parts[k].stride + BLOCK - 1) / BLOCK;
        g->n_gram += g->parts[k].n_gram;
    }
    if (g->n_gram > INT32_MAX / 2)
        TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "balancing: too many shared parameters"));
    TDM_TRY(tdm__buffer_create(g->device, g->pairs * 2 * g->n_gram * sizeof(float), true,
                               "partial products of gradients", &g->partial));
    TDM_TRY(tdm__buffer_create(g->device, g->pairs * 2 * sizeof(float), true,
                               "products of gradients", &g->gram));
    TDM_TRY(tdm__buffer_create(g->device, g->n * sizeof(float), true, "weights of gradients",
                               &g->weights));
    if (g->streamed) TDM_TRY(create_shared_rows(g));
    for (size_t k = 0; k < g->n_parts; k++) {
        part *p = &g->parts[k];
        p->rows = g->streamed ? &g->shared_rows : &p->own;
        if (!g->streamed)
            TDM_TRY(tdm__buffer_create(g->device, p->stride * g->n * sizeof(float), true,
                                       "gradients by task", &p->own));
        if (averages(g)) {
            TDM_TRY(tdm__buffer_create(g->device, p->own.bytes, true, "running means of gradients",
                                       &p->mean));
            TDM_TRY(prepare_average(g, p));
        }
        TDM_TRY(write_blocks(g, k));
        TDM_TRY(prepare_gram(g, p, first));
        TDM_TRY(prepare_apply(g, p));
        first += p->n_gram;
    }
    TDM_TRY(prepare_finish(g));
done:
    return status;
}

/* Whether the rows take more than the budget, of methods that can do with a part at a time: DB-MTL
 * keeps means of all rows anyway, and GradDrop needs no M. */
static bool must_stream(const tdm__gradients *g, const bool *shared)
{
    uint64_t bytes = 0;
    for (size_t i = 0; g->flat && i < tdm__flat_count(g->flat); i++)
        if (shared[i]) bytes += tdm__flat_segment(g->flat, i)->count * g->n * sizeof(float);
    return g->flat && bytes > g->budget && !averages(g) && g->spec->kind != TDM__COMBINE_GRADDROP &&
           g->spec->kind != TDM__COMBINE_GRADNORM;
}

/* Places the rows, once g says of what, and makes everything else. */
static tdm_status complete(tdm__gradients *g, const bool *shared)
{
    tdm_status status = TDM_OK;
    const size_t n = g->n, n_segments = g->flat ? tdm__flat_count(g->flat) : 1;
    TDM_TRY(tdm__calloc_try(n_segments, sizeof *g->places, &g->places));
    if (!g->flat) {
        TDM_TRY(place_row(g, "the representation", 0, g->count, &g->places[0]));
        TDM_TRY(tdm__buffer_create(g->device, g->count * sizeof(float), true, "combined gradients",
                                   &g->combined));
    }
    g->streamed = must_stream(g, shared);
    for (size_t i = 0; g->flat && i < n_segments; i++) {
        const tdm__segment *s = tdm__flat_segment(g->flat, i);
        if (shared[i]) TDM_TRY(place_row(g, s->name, s->chunk, s->count, &g->places[i]));
    }
    TDM_TRY(tdm__calloc_try(2 * g->pairs, sizeof *g->pairs_read, &g->pairs_read));
    TDM_TRY(tdm__calloc_try(n, sizeof *g->weights_float, &g->weights_float));
    TDM_TRY(tdm__calloc_try(2 * n * n + n, sizeof *g->m, &g->m));
    g->target = g->m + n * n;
    g->w = g->target + n * n;
    TDM_TRY(tdm__calloc_try(sum_count(g), sizeof *g->sums, &g->sums));
    TDM_TRY(tdm__calloc_try(sum_count(g), sizeof *g->means, &g->means));
    if (g->n_parts) TDM_TRY(create_buffers(g));
done:
    return status;
}

static tdm_status create(const tdm__gradients *what, const bool *shared, tdm__gradients **out)
{
    tdm_status status = tdm__calloc_try(1, sizeof **out, out);
    if (status) return status;
    **out = *what;
    (*out)->pairs = what->n * (what->n + 1) / 2;
    status = complete(*out, shared);
    if (status) tdm__gradients_destroy(out);
    return status;
}

tdm_status tdm__gradients_create(tdm_device *device, tdm__flat *flat, const bool *shared,
                                 const tdm__combine_spec *spec, const char *const *names, size_t n,
                                 uint64_t budget, tdm__gradients **out)
{
    const tdm__gradients what = {
        .device = device, .flat = flat, .spec = spec, .names = names, .n = n, .budget = budget};
    return create(&what, shared, out);
}

tdm_status tdm__gradients_create_representation(tdm_device *device, uint64_t count,
                                                const tdm__combine_spec *spec,
                                                const char *const *names, size_t n,
                                                tdm__gradients **out)
{
    const tdm__gradients what = {
        .device = device, .count = count, .spec = spec, .names = names, .n = n};
    return create(&what, NULL, out);
}

void tdm__gradients_destroy(tdm__gradients **gradients)
{
    tdm__gradients *g = *gradients;
    if (!g) return;
    for (size_t k = 0; k < g->n_parts; k++) {
        tdm__launch_destroy(&g->parts[k].gram);
        tdm__launch_destroy(&g->parts[k].apply);
        tdm__launch_destroy(&g->parts[k].average);
        tdm__buffer_destroy(g->device, &g->parts[k].mean);
        tdm__buffer_destroy(g->device, &g->parts[k].own);
        tdm__buffer_destroy(g->device, &g->parts[k].blocks);
    }
    tdm__launch_destroy(&g->finish);
    tdm__buffer_destroy(g->device, &g->shared_rows);
    tdm__buffer_destroy(g->device, &g->partial);
    tdm__buffer_destroy(g->device, &g->gram);
    tdm__buffer_destroy(g->device, &g->weights);
    tdm__buffer_destroy(g->device, &g->combined);
    free(g->places);
    free(g->parts);
    free(g->pairs_read);
    free(g->weights_float);
    free(g->m);
    free(g->sums);
    free(g->means);
    free(g);
    *gradients = NULL;
}

uint64_t tdm__gradients_bytes(const tdm__gradients *g)
{
    uint64_t bytes = g->combined.bytes + g->shared_rows.bytes;
    for (size_t k = 0; k < g->n_parts; k++) bytes += g->parts[k].own.bytes + g->parts[k].mean.bytes;
    return bytes;
}

size_t tdm__gradients_groups(const tdm__gradients *g)
{
    return g->streamed ? g->n_parts : 1;
}

size_t tdm__gradients_group(const tdm__gradients *g, size_t segment)
{
    return g->streamed ? g->places[segment].part : 0;
}

tdm__view tdm__gradients_row(tdm__gradients *g, size_t task, size_t segment)
{
    const place *at = &g->places[g->flat ? segment : 0];
    if (!g->flat || !at->shared) return (tdm__view){0};
    part *p = &g->parts[at->part];
    return (tdm__view){p->rows, (task * p->stride + at->offset) * sizeof(float)};
}

tdm__view tdm__gradients_representation_row(tdm__gradients *g, size_t task)
{
    part *p = &g->parts[0];
    return (tdm__view){p->rows, task * p->stride * sizeof(float)};
}

tdm__view tdm__gradients_combined(tdm__gradients *g)
{
    return tdm__view_of(&g->combined);
}

tdm_status tdm__gradients_clear(tdm__gradients *g)
{
    tdm_status status = TDM_OK;
    for (size_t k = 0; k < g->n_parts; k++)
        TDM_TRY(
            tdm__view_fill(g->device, tdm__view_of(g->parts[k].rows), 0, g->parts[k].rows->bytes));
done:
    return status;
}

/* ---- a step ------------------------------------------------------------------------------------
 */

static void keep(double *sum, double add)
{
    const double s = *sum + add, high = (float)s;
    *sum =
        high + (double)(float)(s - high); /* what two floats hold, so that a resume loses nothing */
}

static tdm_status record(tdm__gradients *g, bool stationary)
{
    const size_t n = g->n;
    double *s = g->sums, *weights = s + ARRAYS, *norms = weights + n, *cosines = norms + n;
    double condition, *counts = cosines + n * n;
    const tdm_status status = tdm__gram_condition(g->m, n, &condition);
    if (status) return status;
    keep(&s[STEPS], 1);
    keep(&s[CONDITION], log10(fmin(condition, 1e16)));
    keep(&s[STATIONARY], stationary);
    for (size_t i = 0; i < n; i++) {
        keep(&weights[i], g->w[i]);
        keep(&norms[i], g->m[i * n + i]);
        for (size_t j = 0; j < n; j++) {
            const double c = tdm__gram_cosine(g->m, n, i, j);
            if (isnan(c)) continue;
            keep(&cosines[i * n + j], c);
            keep(&counts[i * n + j], 1);
            if (j <= i) continue;
            keep(&s[PAIRS], 1);
            keep(&s[CONFLICTS], c < 0);
        }
    }
    return TDM_OK;
}

/* beta / t^sigma of the past, t from 1. */
static tdm_status average_rows(tdm__gradients *g, uint64_t step)
{
    const double keep_share = g->spec->db_beta / pow((double)step + 1, g->spec->db_sigma);
    tdm_status status = TDM_OK;
    for (size_t k = 0; k < g->n_parts && averages(g); k++) {
        part *p = &g->parts[k];
        TDM_TRY(tdm__launch_set_f32(&p->average, p->average_keep, (float)keep_share));
        TDM_TRY(tdm__launch_enqueue(g->device, &p->average));
    }
done:
    return status;
}

/* How the rows of the groups are made. */
typedef struct filler {
    tdm__gradients_fill *fill;
    void *user;
} filler;

/* The rows of a part whose place another part has used. */
static tdm_status fill_part(tdm__gradients *g, size_t k, const filler *f)
{
    tdm_status status = TDM_OK;
    if (g->streamed) {
        TDM_TRY(tdm__view_fill(g->device, tdm__view_of(&g->shared_rows), 0, g->shared_rows.bytes));
        TDM_TRY(f->fill(f->user, k));
    }
done:
    return status;
}

static tdm_status read_gram(tdm__gradients *g, const filler *f)
{
    tdm_status status = TDM_OK;
    size_t k = 0;
    for (size_t p = 0; p < g->n_parts; p++) {
        if (p) TDM_TRY(fill_part(g, p, f));
        TDM_TRY(tdm__launch_enqueue(g->device, &g->parts[p].gram));
    }
    TDM_TRY(tdm__launch_enqueue(g->device, &g->finish));
    TDM_TRY(tdm__view_read(g->device, tdm__view_of(&g->gram), g->pairs_read,
                           2 * g->pairs * sizeof(float)));
    for (size_t i = 0; i < g->n; i++)
        for (size_t j = i; j < g->n; j++, k++)
            g->m[i * g->n + j] = g->m[j * g->n + i] =
                (double)g->pairs_read[2 * k] + (double)g->pairs_read[2 * k + 1];
done:
    return status;
}

static tdm_status find_weights(tdm__gradients *g, uint64_t seed, uint64_t step, const filler *f)
{
    tdm_status status = TDM_OK;
    bool stationary;
    if (g->spec->kind == TDM__COMBINE_GRADDROP) {
        for (size_t i = 0; i < g->n; i++) g->w[i] = g->spec->sum ? 1 : 1 / (double)g->n;
    } else {
        TDM_TRY(read_gram(g, f));
        TDM_TRY(tdm__combine_weights(g->spec, g->m, g->n, g->names, seed, step, g->target, g->w,
                                     &stationary));
        for (size_t i = 0; i < g->n * g->n; i++) g->target[i] = (float)g->target[i];
        TDM_TRY(record(g, stationary));
    }
    for (size_t i = 0; i < g->n; i++) g->weights_float[i] = (float)g->w[i];
    TDM_TRY(tdm__view_write_async(g->device, tdm__view_of(&g->weights), g->weights_float,
                                  g->n * sizeof(float)));
done:
    return status;
}

/* The arguments that follow those of all methods. */
static tdm_status complete_drop(tdm__gradients *g, tdm__view step_scalars)
{
    enum { COMMON = 10 }; /* four views and two scalars */
    tdm_status status = TDM_OK;
    for (size_t k = 0; k < g->n_parts; k++) {
        tdm__launch *l = &g->parts[k].apply;
        if (l->args != COMMON) continue;
        TDM_TRY(tdm__launch_f32(l, (float)g->spec->leak));
        TDM_TRY(tdm__launch_i32(l, (int32_t)k));
        TDM_TRY(tdm__launch_view(l, step_scalars, sizeof(uint32_t)));
    }
done:
    return status;
}

tdm_status tdm__gradients_combine(tdm__gradients *g, tdm__view step_scalars, uint64_t seed,
                                  uint64_t step, tdm__gradients_fill *fill, void *user)
{
    const filler f = {fill, user};
    tdm_status status = TDM_OK;
    if (g->n_parts == 0) return TDM_OK;
    tdm__profile_owner(g->device, "balancing", "");
    if (g->spec->kind == TDM__COMBINE_GRADDROP) TDM_TRY(complete_drop(g, step_scalars));
    TDM_TRY(average_rows(g, step));
    TDM_TRY(find_weights(g, seed, step, &f));
    for (size_t k = g->n_parts; k-- > 0;) { /* the last one's rows are there */
        if (k + 1 < g->n_parts) TDM_TRY(fill_part(g, k, &f));
        TDM_TRY(tdm__launch_enqueue(g->device, &g->parts[k].apply));
    }
done:
    tdm__profile_owner(g->device, NULL, NULL);
    return status;
}

void tdm__gradients_norms(const tdm__gradients *g, double *out)
{
    for (size_t i = 0; i < g->n; i++) out[i] = sqrt(g->m[i * g->n + i]);
}

/* ---- what happened -----------------------------------------------------------------------------
 */

/* What a task or a pair has no gradient for does not count in its mean. */
const tdm__gradients_report *tdm__gradients_get_report(tdm__gradients *g)
{
    const size_t n = g->n;
    const double *s = g->sums, *weights = s + ARRAYS, *norms = weights + n, *cosines = norms + n,
                 *counts = cosines + n * n, steps = s[STEPS];
    for (size_t i = 0; i < n; i++) {
        g->means[i] = steps > 0 ? weights[i] / steps : NAN;
        g->means[n + i] = sqrt(norms[i] / counts[i * n + i]); /* NaN: 0 of 0 */
    }
    for (size_t i = 0; i < n * n; i++) g->means[2 * n + i] = cosines[i] / counts[i];
    g->report = (tdm__gradients_report){.n = n,
                                        .steps = steps,
                                        .weights = g->means,
                                        .norms = g->means + n,
                                        .cosines = g->means + 2 * n,
                                        .conflicts = s[PAIRS] > 0 ? s[CONFLICTS] / s[PAIRS] : NAN,
                                        .condition = steps > 0 ? s[CONDITION] / steps : NAN,
                                        .stationary = steps > 0 ? s[STATIONARY] / steps : NAN};
    return &g->report;
}

void tdm__gradients_reset(tdm__gradients *g)
{
    memset(g->sums, 0, sum_count(g) * sizeof *g->sums);
}

size_t tdm__gradients_size(const tdm__gradients *g)
{
    size_t count = 2 * sum_count(g) + g->n * g->n;
    for (size_t k = 0; k < g->n_parts; k++) count += g->parts[k].mean.bytes / sizeof(float);
    return count;
}

/* All running means, behind the other numbers at `at`. */
static tdm_status move_means(const tdm__gradients *g, float *at, bool out)
{
    tdm_status status = TDM_OK;
    for (size_t k = 0; k < g->n_parts && averages(g); k++) {
        part *p = &g->parts[k];
        TDM_TRY(out ? tdm__view_read(g->device, tdm__view_of(&p->mean), at, p->mean.bytes)
                    : tdm__view_write(g->device, tdm__view_of(&p->mean), at, p->mean.bytes));
        at += p->mean.bytes / sizeof(float);
    }
done:
    return status;
}

tdm_status tdm__gradients_export(const tdm__gradients *g, float *out)
{
    const size_t n_sums = sum_count(g), n = g->n;
    for (size_t i = 0; i < n_sums; i++) {
        out[2 * i] = (float)g->sums[i];
        out[2 * i + 1] = (float)(g->sums[i] - (double)out[2 * i]);
    }
    for (size_t i = 0; i < n * n; i++) out[2 * n_sums + i] = (float)g->target[i];
    return move_means(g, out + 2 * n_sums + n * n, true);
}

tdm_status tdm__gradients_import(tdm__gradients *g, const float *in)
{
    const size_t n_sums = sum_count(g), n = g->n;
    float *means = NULL;
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n_sums; i++) g->sums[i] = (double)in[2 * i] + (double)in[2 * i + 1];
    for (size_t i = 0; i < n * n; i++) g->target[i] = in[2 * n_sums + i];
    const size_t others = 2 * n_sums + n * n, count = tdm__gradients_size(g) - others;
    TDM_TRY(tdm__calloc_try(count, sizeof *means, &means));
    memcpy(means, in + others, count * sizeof *means);
    TDM_TRY(move_means(g, means, false));
done:
    free(means);
    return status;
}

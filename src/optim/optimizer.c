/* optim/optimizer.c: flat optimisers (cl/optim.cl): work lists, step rows, state.
 *
 * Learnt segments (kind PARAM, not frozen at creation) are numbered in the order of the flat
 * buffers: their "row". Each chunk of the flat buffers has a list of blocks and its own state
 * buffers, laid out like the chunk but with the learnt segments only. The host writes one small row
 * per segment and step; it never reads except where asked to.
 */
#include "optim/optim.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    BLOCK = 8192,  /* elements per team */
    ROW = 8,       /* floats per row, as in cl/optim.cl */
    MAX_KINDS = 2, /* state arrays per element */
    STAGED = 4096, /* bytes that tdm__view_write_async copies at once */
    TAKES_PART = 1,
    FIRST_STEP = 2,
    ANCHORED = 4
};

typedef struct row {
    size_t segment;
    uint64_t state;             /* element offset in the chunk's state buffers */
    uint64_t steps;             /* PyTorch's `step` */
    bool in_sum;                /* its sum over micro-batches has begun */
    bool loaded;                /* tdm__optimizer_anchor marked it */
    char *anchor_name;          /* of the state tensor; NULL: it has no anchor */
    char *names[MAX_KINDS + 1]; /* "optimizer.<segment>.<kind>", last one "step" */
} row;

typedef struct chunk {
    uint64_t state_elements;
    size_t n_blocks, first_block;
    tdm__buffer blocks, state[MAX_KINDS], sum, anchor;
    tdm__launch accumulate, norm, update;
    cl_uint norm_scale, update_scale; /* positions of the `scale` argument */
} chunk;

struct tdm__optimizer {
    tdm_device *device;
    tdm__flat *flat;
    tdm__optim_spec spec;
    int n_kinds;
    const char *kinds[MAX_KINDS + 1];
    row *rows;
    size_t n_rows;
    float *table; /* n_rows * ROW, what goes to the device */
    chunk *chunks;
    size_t n_chunks, n_blocks;
    tdm__buffer table_buffer, partial, result, spare;
    tdm__launch finish;
    size_t *anchored; /* rows that have an anchor */
    size_t n_anchored;
    double *factors; /* learning-rate factors by group */
    size_t n_factors;
    int summed; /* micro-batches in the sums */
};

/* ---- creation -------------------------------------------------------------------------------- */

static void set_kinds(tdm__optimizer *o)
{
    if (o->spec.kind != TDM__OPTIM_SGD) {
        o->kinds[o->n_kinds++] = "exp_avg";
        o->kinds[o->n_kinds++] = "exp_avg_sq";
    } else if (o->spec.momentum != 0) {
        o->kinds[o->n_kinds++] = "momentum_buffer";
    }
    o->kinds[o->n_kinds] = "step";
}

static tdm_status name_row(const tdm__optimizer *o, row *r, const char *segment)
{
    for (int k = 0; k <= o->n_kinds; k++) {
        tdm__str name = {0};
        tdm__str_addf(&name, "optimizer.%s.%s", segment, o->kinds[k]);
        r->names[k] = name.text;
        if (tdm__str_status(&name)) return tdm__str_status(&name);
    }
    return TDM_OK;
}

/* Rows, and what every chunk holds. */
static tdm_status list_rows(tdm__optimizer *o)
{
    const uint64_t align = tdm__device_traits(o->device)->align / sizeof(float);
    tdm_status status = TDM_OK;
    size_t n = tdm__flat_count(o->flat);
    TDM_TRY(tdm__calloc_try(n, sizeof *o->rows, &o->rows));
    for (size_t i = 0; i < n; i++) {
        const tdm__segment *s = tdm__flat_segment(o->flat, i);
        if (s->kind != TDM__SEGMENT_PARAM || s->frozen) continue;
        chunk *c = &o->chunks[s->chunk];
        row *r = &o->rows[o->n_rows++];
        r->segment = i;
        r->state = c->state_elements;
        c->state_elements += (s->count + align - 1) / align * align;
        c->n_blocks += (s->count + BLOCK - 1) / BLOCK;
        TDM_TRY(name_row(o, r, s->name));
    }
    for (size_t c = 0; c < o->n_chunks; c++) {
        o->chunks[c].first_block = o->n_blocks;
        o->n_blocks += o->chunks[c].n_blocks;
    }
    TDM_TRY(tdm__calloc_try(o->n_rows, ROW * sizeof(float), &o->table));
done:
    return status;
}

static tdm_status write_blocks(tdm__optimizer *o, size_t index)
{
    chunk *c = &o->chunks[index];
    uint64_t *list = NULL, *at;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(c->n_blocks, 4 * sizeof *list, &list));
    at = list;
    for (size_t r = 0; r < o->n_rows; r++) {
        const tdm__segment *s = tdm__flat_segment(o->flat, o->rows[r].segment);
        if (s->chunk != index) continue;
        for (uint64_t done_n = 0; done_n < s->count; done_n += BLOCK, at += 4) {
            uint64_t left = s->count - done_n;
            at[0] = s->offset + done_n;
            at[1] = o->rows[r].state + done_n;
            at[2] = left < BLOCK ? left : BLOCK;
            at[3] = r;
        }
    }
    TDM_TRY(tdm__buffer_create(o->device, c->n_blocks * 4 * sizeof *list, false, "optimiser blocks",
                               &c->blocks));
    TDM_TRY(tdm__view_write(o->device, (tdm__view){&c->blocks, 0}, list,
                            c->n_blocks * 4 * sizeof *list));
done:
    free(list);
    return status;
}

static tdm_status prepare_accumulate(tdm__optimizer *o, chunk *c, tdm__view gradients)
{
    tdm__launch *l = &c->accumulate;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(o->device, "optim.cl", "", "optim_accumulate", l));
    TDM_TRY(tdm__launch_view(l, gradients, sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&c->sum), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&c->blocks), sizeof(uint64_t)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->table_buffer), sizeof(float)));
    TDM_TRY(tdm__launch_teams(o->device, l, c->n_blocks));
    l->bytes = 12.0 * (double)c->state_elements;
done:
    return status;
}

/* first (negative: the norm was taken before), total, summed, scale; *scale: the latter's place. */
static tdm_status add_common(const tdm__optimizer *o, tdm__launch *l, int32_t first, cl_uint *scale)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_i32(l, first));
    TDM_TRY(tdm__launch_i32(l, (int32_t)o->n_blocks));
    TDM_TRY(tdm__launch_i32(l, o->spec.accumulate > 1));
    *scale = l->args;
    TDM_TRY(tdm__launch_f32(l, 1));
done:
    return status;
}

static tdm_status prepare_norm(tdm__optimizer *o, chunk *c, tdm__view gradients)
{
    tdm__launch *l = &c->norm;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(o->device, "optim.cl", "", "optim_norm", l));
    TDM_TRY(tdm__launch_view(l, gradients, sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&c->blocks), sizeof(uint64_t)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->table_buffer), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->partial), sizeof(float)));
    TDM_TRY(add_common(o, l, (int32_t)c->first_block, &c->norm_scale));
    TDM_TRY(tdm__launch_teams(o->device, l, c->n_blocks));
    l->bytes = 4.0 * (double)c->state_elements;
done:
    return status;
}

static tdm_status add_rule(const tdm__optimizer *o, tdm__launch *l)
{
    const tdm__optim_spec *s = &o->spec;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_f32(l, (float)s->clip_value));
    if (s->kind == TDM__OPTIM_SGD) {
        TDM_TRY(tdm__launch_f32(l, (float)s->momentum));
        TDM_TRY(tdm__launch_f32(l, (float)(1 - s->dampening)));
        TDM_TRY(tdm__launch_i32(l, s->nesterov));
    } else {
        TDM_TRY(tdm__launch_f32(l, (float)s->beta1));
        TDM_TRY(tdm__launch_f32(l, (float)(1 - s->beta1)));
        TDM_TRY(tdm__launch_f32(l, (float)s->beta2));
        TDM_TRY(tdm__launch_f32(l, (float)(1 - s->beta2)));
        TDM_TRY(tdm__launch_f32(l, (float)s->eps));
        TDM_TRY(tdm__launch_i32(l, s->kind == TDM__OPTIM_ADAMW));
    }
done:
    return status;
}

static tdm_status prepare_update(tdm__optimizer *o, chunk *c, tdm__view gradients, tdm__view values)
{
    const bool sgd = o->spec.kind == TDM__OPTIM_SGD, pulls = o->spec.l2_sp > 0;
    tdm__launch *l = &c->update;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(o->device, "optim.cl", "", sgd ? "optim_sgd" : "optim_adam", l));
    TDM_TRY(tdm__launch_view(l, gradients, sizeof(float)));
    TDM_TRY(tdm__launch_view(l, values, sizeof(float)));
    for (int k = 0; k < (sgd ? 1 : 2); k++)
        TDM_TRY(tdm__launch_view(l, tdm__view_of(k < o->n_kinds ? &c->state[k] : &o->spare),
                                 sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(pulls ? &c->anchor : &o->spare), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&c->blocks), sizeof(uint64_t)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->table_buffer), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->result), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->partial), sizeof(float)));
    int32_t first = o->spec.clip_norm > 0 ? -1 : (int32_t)c->first_block;
    TDM_TRY(add_common(o, l, first, &c->update_scale));
    TDM_TRY(add_rule(o, l));
    TDM_TRY(tdm__launch_teams(o->device, l, c->n_blocks));
    l->bytes = (12.0 + 8.0 * o->n_kinds + (pulls ? 4.0 : 0)) * (double)c->state_elements;
    l->flops = 8.0 * (double)c->state_elements;
done:
    return status;
}

static tdm_status prepare_chunk(tdm__optimizer *o, size_t index)
{
    chunk *c = &o->chunks[index];
    uint64_t bytes = c->state_elements * sizeof(float), elements;
    tdm__view gradients = tdm__flat_chunk_gradients(o->flat, index, &elements);
    tdm__view values = tdm__flat_chunk_values(o->flat, index, &elements);
    tdm_status status = TDM_OK;
    if (c->n_blocks == 0) return TDM_OK;
    if (!gradients.buffer)
        TDM_TRY(tdm__fail(TDM_ERR_STATE, "optimiser: the parameters have no gradients"));
    TDM_TRY(write_blocks(o, index));
    for (int k = 0; k < o->n_kinds; k++)
        TDM_TRY(tdm__buffer_create(o->device, bytes, true, "optimiser state", &c->state[k]));
    if (o->spec.l2_sp > 0)
        TDM_TRY(tdm__buffer_create(o->device, bytes, true, "loaded weights", &c->anchor));
    if (o->spec.accumulate > 1) {
        TDM_TRY(tdm__buffer_create(o->device, bytes, true, "gradient sums", &c->sum));
        TDM_TRY(prepare_accumulate(o, c, gradients));
        gradients = tdm__view_of(&c->sum);
    }
    if (o->spec.clip_norm > 0) TDM_TRY(prepare_norm(o, c, gradients));
    TDM_TRY(prepare_update(o, c, gradients, values));
done:
    return status;
}

static tdm_status prepare_finish(tdm__optimizer *o)
{
    tdm__launch *l = &o->finish;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__launch_init(o->device, "optim.cl", "", "optim_norm_finish", l));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->partial), sizeof(float)));
    TDM_TRY(tdm__launch_view(l, tdm__view_of(&o->result), sizeof(float)));
    TDM_TRY(tdm__launch_i32(l, (int32_t)o->n_blocks));
    TDM_TRY(tdm__launch_f32(l, (float)o->spec.clip_norm));
    TDM_TRY(tdm__launch_teams(o->device, l, 1));
done:
    return status;
}

tdm_status tdm__optimizer_create(tdm_device *device, tdm__flat *flat, const tdm__optim_spec *spec,
                                 tdm__optimizer **out)
{
    const float start[2] = {0, 1}; /* norm, factor */
    tdm__optimizer *o = NULL;
    tdm_status status = TDM_OK;
    *out = NULL;
    if (!tdm__flat_sealed(flat))
        return tdm__fail(TDM_ERR_STATE, "optimiser: the parameters are not sealed yet");
    TDM_TRY(tdm__calloc_try(1, sizeof *o, &o));
    o->device = device;
    o->flat = flat;
    o->spec = *spec;
    o->n_chunks = tdm__flat_chunks(flat);
    set_kinds(o);
    TDM_TRY(tdm__calloc_try(o->n_chunks, sizeof *o->chunks, &o->chunks));
    TDM_TRY(list_rows(o));
    if (o->n_blocks > INT32_MAX / 2)
        TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "optimiser: too many parameters"));
    TDM_TRY(tdm__buffer_create(device, sizeof start, false, "gradient norm", &o->result));
    TDM_TRY(tdm__view_write(device, tdm__view_of(&o->result), start, sizeof start));
    if (o->n_rows > 0) {
        TDM_TRY(tdm__buffer_create(device, o->n_rows * ROW * sizeof(float), true, "optimiser rows",
                                   &o->table_buffer));
        TDM_TRY(tdm__buffer_create(device, o->n_blocks * 2 * sizeof(float), true, "norm partials",
                                   &o->partial));
        TDM_TRY(tdm__buffer_create(device, sizeof(float), true, "no momentum", &o->spare));
        for (size_t c = 0; c < o->n_chunks; c++) TDM_TRY(prepare_chunk(o, c));
        TDM_TRY(prepare_finish(o));
    }
    *out = o;
    o = NULL;
done:
    tdm__optimizer_destroy(&o);
    return status;
}

void tdm__optimizer_destroy(tdm__optimizer **optimizer)
{
    tdm__optimizer *o = *optimizer;
    if (!o) return;
    for (size_t i = 0; i < o->n_chunks && o->chunks; i++) {
        chunk *c = &o->chunks[i];
        tdm__launch_destroy(&c->accumulate);
        tdm__launch_destroy(&c->norm);
        tdm__launch_destroy(&c->update);
        tdm__buffer_destroy(o->device, &c->blocks);
        tdm__buffer_destroy(o->device, &c->sum);
        tdm__buffer_destroy(o->device, &c->anchor);
        for (int k = 0; k < MAX_KINDS; k++) tdm__buffer_destroy(o->device, &c->state[k]);
    }
    tdm__launch_destroy(&o->finish);
    tdm__buffer_destroy(o->device, &o->table_buffer);
    tdm__buffer_destroy(o->device, &o->partial);
    tdm__buffer_destroy(o->device, &o->result);
    tdm__buffer_destroy(o->device, &o->spare);
    for (size_t r = 0; r < o->n_rows; r++) {
        for (int k = 0; k <= MAX_KINDS; k++) free(o->rows[r].names[k]);
        free(o->rows[r].anchor_name);
    }
    free(o->rows);
    free(o->anchored);
    free(o->chunks);
    free(o->table);
    free(o->factors);
    free(o);
    *optimizer = NULL;
}

uint64_t tdm__optimizer_bytes(const tdm__optimizer *o)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < o->n_chunks; i++) {
        bytes += o->chunks[i].sum.bytes + o->chunks[i].anchor.bytes;
        for (int k = 0; k < o->n_kinds; k++) bytes += o->chunks[i].state[k].bytes;
    }
    return bytes;
}

tdm_status tdm__optimizer_set_group_factor(tdm__optimizer *o, int group, double factor)
{
    if (group < 0 || !(factor >= 0) || !isfinite(factor))
        return tdm__fail(TDM_ERR_USAGE,
                         "optimiser: factor %g of group %d: must be a finite number >= 0", factor,
                         group);
    size_t capacity = o->n_factors;
    tdm_status status = TDM_OK;
    if ((size_t)group >= o->n_factors) {
        TDM_TRY(tdm__grow(&o->factors, &capacity, (size_t)group + 1, sizeof *o->factors));
        for (; o->n_factors < capacity; o->n_factors++) o->factors[o->n_factors] = 1;
    }
    o->factors[group] = factor;
done:
    return status;
}

/* ---- anchors --------------------------------------------------------------------------------- */

static tdm__view anchor_view(const tdm__optimizer *o, const row *r)
{
    const tdm__segment *s = tdm__flat_segment(o->flat, r->segment);
    return (tdm__view){&o->chunks[s->chunk].anchor, r->state * sizeof(float)};
}

tdm_status tdm__optimizer_anchor(tdm__optimizer *o, const bool *loaded)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    if (o->anchored) return tdm__fail(TDM_ERR_STATE, "optimiser: anchored twice");
    TDM_TRY(tdm__calloc_try(o->n_rows + 1, sizeof *o->anchored, &o->anchored));
    for (size_t i = 0; i < o->n_rows; i++) {
        row *r = &o->rows[i];
        const tdm__segment *s = tdm__flat_segment(o->flat, r->segment);
        r->loaded = loaded[r->segment];
        if (!r->loaded || !s->decay || !(o->spec.l2_sp > 0)) continue;
        TDM_TRY(tdm__view_copy(o->device, tdm__flat_value_view(o->flat, r->segment),
                               anchor_view(o, r), s->count * sizeof(float)));
        tdm__str_addf(&name, "optimizer.%s.anchor", s->name);
        TDM_TRY(tdm__str_status(&name));
        r->anchor_name = name.text;
        name = (tdm__str){0};
        o->anchored[o->n_anchored++] = i;
    }
done:
    tdm__str_free(&name);
    return status;
}

/* ---- a step ---------------------------------------------------------------------------------- */

static tdm_status write_table(tdm__optimizer *o)
{
    const char *bytes = (const char *)o->table;
    uint64_t size = o->n_rows * ROW * sizeof(float);
    tdm_status status = TDM_OK;
    for (uint64_t at = 0; at < size; at += STAGED) {
        uint64_t n = size - at < STAGED ? size - at : STAGED;
        TDM_TRY(tdm__view_write_async(o->device, (tdm__view){&o->table_buffer, at}, bytes + at, n));
    }
done:
    return status;
}

static bool is_active(const tdm__optimizer *o, const row *r)
{
    const tdm__segment *s = tdm__flat_segment(o->flat, r->segment);
    return s->has_gradient && !s->frozen;
}

/* Adds the flat gradients to the sums of the segments that have one. */
static tdm_status add_to_sums(tdm__optimizer *o)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < o->n_rows; i++) {
        row *r = &o->rows[i];
        bool active = is_active(o, r);
        o->table[i * ROW] = (float)((active ? TAKES_PART : 0) | (r->in_sum ? 0 : FIRST_STEP));
        r->in_sum = r->in_sum || active;
    }
    TDM_TRY(write_table(o));
    for (size_t c = 0; c < o->n_chunks; c++)
        if (o->chunks[c].n_blocks)
            TDM_TRY(tdm__launch_enqueue(o->device, &o->chunks[c].accumulate));
    o->summed++;
done:
    return status;
}

/* The coefficient that draws a segment to 0, or to its anchor. */
static double decay_of(const tdm__optim_spec *s, const row *r, const tdm__segment *segment)
{
    if (!segment->decay) return 0;
    return s->weight_decay + (r->loaded ? s->l2_sp : s->l2_sp_new); /* one of them is 0 */
}

/* One segment's row for this step; advances its step count. Scalars are computed in double, as by
 * PyTorch's Python code. */
static void fill_row(tdm__optimizer *o, row *r, double lr, float *to)
{
    const tdm__optim_spec *s = &o->spec;
    const tdm__segment *segment = tdm__flat_segment(o->flat, r->segment);
    const size_t group = (size_t)segment->group;
    const double decay = decay_of(s, r, segment);
    memset(to, 0, ROW * sizeof *to);
    if (!(o->spec.accumulate > 1 ? r->in_sum : is_active(o, r))) return;
    if (segment->group >= 0 && group < o->n_factors) lr *= o->factors[group];
    to[0] =
        (float)(TAKES_PART | (r->steps == 0 ? FIRST_STEP : 0) | (r->anchor_name ? ANCHORED : 0));
    to[1] = (float)lr;
    to[2] = (float)(s->kind == TDM__OPTIM_ADAMW ? 1 - lr * decay : decay);
    r->steps++;
    r->in_sum = false;
    if (s->kind == TDM__OPTIM_SGD) return;
    double t = (double)r->steps;
    to[3] = (float)(lr / (1 - pow(s->beta1, t)));
    to[4] = (float)sqrt(1 - pow(s->beta2, t));
}

static tdm_status enqueue_step(tdm__optimizer *o, double lr, float scale)
{
    const bool clip = o->spec.clip_norm > 0;
    tdm_status status = TDM_OK;
    if (o->n_rows == 0) return TDM_OK;
    for (size_t i = 0; i < o->n_rows; i++) fill_row(o, &o->rows[i], lr, o->table + i * ROW);
    TDM_TRY(write_table(o));
    for (size_t i = 0; clip && i < o->n_chunks; i++) {
        chunk *c = &o->chunks[i];
        if (!c->n_blocks) continue;
        TDM_TRY(tdm__launch_set_f32(&c->norm, c->norm_scale, scale));
        TDM_TRY(tdm__launch_enqueue(o->device, &c->norm));
    }
    if (clip) TDM_TRY(tdm__launch_enqueue(o->device, &o->finish));
    for (size_t i = 0; i < o->n_chunks; i++) {
        chunk *c = &o->chunks[i];
        if (!c->n_blocks) continue;
        TDM_TRY(tdm__launch_set_f32(&c->update, c->update_scale, scale));
        TDM_TRY(tdm__launch_enqueue(o->device, &c->update));
    }
    if (!clip) TDM_TRY(tdm__launch_enqueue(o->device, &o->finish));
done:
    return status;
}

static tdm_status run_step(tdm__optimizer *o, double lr, float scale)
{
    tdm__profile_owner(o->device, "optimizer", o->spec.kind == TDM__OPTIM_SGD ? "sgd" : "adam");
    const tdm_status status = enqueue_step(o, lr, scale);
    tdm__profile_owner(o->device, NULL, NULL);
    return status;
}

tdm_status tdm__optimizer_flush(tdm__optimizer *o, double lr, bool *stepped)
{
    *stepped = false;
    if (o->summed == 0) return TDM_OK;
    tdm_status status = run_step(o, lr, (float)(1.0 / o->summed));
    o->summed = 0;
    *stepped = status == TDM_OK;
    return status;
}

tdm_status tdm__optimizer_step(tdm__optimizer *o, double lr, bool *stepped)
{
    tdm_status status = TDM_OK;
    *stepped = false;
    if (o->spec.accumulate <= 1) {
        status = run_step(o, lr, 1);
        *stepped = status == TDM_OK;
        return status;
    }
    TDM_TRY(add_to_sums(o));
    if (o->summed == o->spec.accumulate) status = tdm__optimizer_flush(o, lr, stepped);
done:
    return status;
}

tdm_status tdm__optimizer_norm(tdm__optimizer *o, double *out)
{
    float norm = 0;
    tdm_status status = tdm__view_read(o->device, tdm__view_of(&o->result), &norm, sizeof norm);
    *out = (double)norm;
    return status;
}

void tdm__optimizer_cost(const tdm__optimizer *o, double *flops, double *bytes, double *launches)
{
    *flops = *bytes = 0;
    *launches = o->n_rows > 0; /* the norm's */
    for (size_t i = 0; i < o->n_chunks; i++) {
        const chunk *c = &o->chunks[i];
        const tdm__launch *all[] = {&c->accumulate, &c->norm, &c->update};
        for (int l = 0; l < 3; l++) {
            *flops += all[l]->flops;
            *bytes += all[l]->bytes;
            *launches += all[l]->kernel != NULL;
        }
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

size_t tdm__optimizer_state_count(const tdm__optimizer *o)
{
    return o->n_rows * (size_t)(o->n_kinds + 1) + o->n_anchored;
}

/* One tensor of the state. */
typedef struct part {
    row *row;
    const char *name;
    uint64_t count;
    bool is_step;   /* the step count, which the host has */
    tdm__view view; /* of the others */
} part;

/* Rows' arrays come first, each row's followed by its step count; then the anchors. */
static part state_part(const tdm__optimizer *o, size_t i)
{
    const size_t per_row = (size_t)(o->n_kinds + 1), kind = i % per_row;
    const bool anchor = i >= o->n_rows * per_row;
    row *r = &o->rows[anchor ? o->anchored[i - o->n_rows * per_row] : i / per_row];
    const tdm__segment *s = tdm__flat_segment(o->flat, r->segment);
    if (anchor) return (part){r, r->anchor_name, s->count, false, anchor_view(o, r)};
    part p = {r, r->names[kind], s->count, kind == (size_t)o->n_kinds, {0}};
    if (p.is_step)
        p.count = 1;
    else
        p.view = (tdm__view){&o->chunks[s->chunk].state[kind], r->state * sizeof(float)};
    return p;
}

void tdm__optimizer_state_info(const tdm__optimizer *o, size_t i, const char **name,
                               uint64_t *count)
{
    const part p = state_part(o, i);
    *name = p.name;
    *count = p.count;
}

tdm_status tdm__optimizer_state_get(tdm__optimizer *o, size_t i, float *out)
{
    const part p = state_part(o, i);
    float *device = NULL;
    tdm_status status = TDM_OK;
    if (p.is_step) {
        *out = (float)p.row->steps;
        return TDM_OK;
    }
    TDM_TRY(tdm__calloc_try(p.count, sizeof *device, &device));
    TDM_TRY(tdm__view_read(o->device, p.view, device, p.count * sizeof *device));
    tdm__segment_to_disk(tdm__flat_segment(o->flat, p.row->segment), device, out);
done:
    free(device);
    return status;
}

tdm_status tdm__optimizer_state_set(tdm__optimizer *o, size_t i, const float *values)
{
    const part p = state_part(o, i);
    float *device = NULL;
    tdm_status status = TDM_OK;
    if (p.is_step) {
        if (!(values[0] >= 0 && values[0] <= 16777216.0f && values[0] == floorf(values[0])))
            return tdm__fail(TDM_ERR_DATA, "%s = %g: must be a whole number of steps", p.name,
                             (double)values[0]);
        p.row->steps = (uint64_t)values[0];
        return TDM_OK;
    }
    TDM_TRY(tdm__calloc_try(p.count, sizeof *device, &device));
    tdm__segment_to_device(tdm__flat_segment(o->flat, p.row->segment), values, device);
    TDM_TRY(tdm__view_write(o->device, p.view, device, p.count * sizeof *device));
done:
    free(device);
    return status;
}

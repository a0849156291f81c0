/* train/compare.c: see tandem/compare.h. */
#include <tandem/compare.h>

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "train/session.h"

/* What sums the numbers of a layer need. */
typedef struct sums {
    double aa, bb, ab, dd; /* |a|^2, |b|^2, a.b, |b - a|^2 */
} sums;

/* A tensor that is learnt: not a running statistic, nor what state files have beside. */
static bool is_learnt(const char *name)
{
    static const char *const heads[] = {"optimizer.", "metrics.", "balancing.", "balance."};
    static const char *const tails[] = {".running_mean", ".running_var", ".num_batches_tracked"};
    const size_t n = strlen(name);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        if (tdm__starts_with(name, heads[i])) return false;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        const size_t tail = strlen(tails[i]);
        if (n >= tail && !strcmp(name + n - tail, tails[i])) return false;
    }
    return true;
}

static bool same_shape(const tdm__st_tensor *a, const tdm__st_tensor *b)
{
    return a->rank == b->rank && !memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims);
}

static tdm_status read_tensor(const tdm__st *st, const tdm__st_tensor *t, float **out)
{
    free(*out);
    *out = NULL;
    const tdm_status status = tdm__calloc_try(t->count, sizeof **out, out);
    return status ? status : tdm__st_read(st, t, 0, t->count, TDM__TO_F32, *out);
}

static void add(const float *a, const float *b, uint64_t n, sums *s)
{
    for (uint64_t i = 0; i < n; i++) {
        const double x = a[i], y = b[i];
        s->aa += x * x;
        s->bb += y * y;
        s->ab += x * y;
        s->dd += (y - x) * (y - x);
    }
}

static void finish(const sums *s, tdm_layer_move *out)
{
    out->norm = sqrt(s->aa);
    out->distance = sqrt(s->dd);
    out->relative = s->aa > 0 ? sqrt(s->dd / s->aa) : NAN;
    out->cosine = s->aa > 0 && s->bb > 0 ? s->ab / (sqrt(s->aa) * sqrt(s->bb)) : NAN;
}

typedef struct comparing {
    tdm__st *a, *b;
    float *x, *y;
    sums layer, all;
    size_t capacity;
    tdm_comparison *out;
} comparing;

/* The layer that a tensor belongs to: the latest, or a new one. */
static tdm_status layer_of(comparing *c, const char *name, tdm_layer_move **layer)
{
    tdm_status status = TDM_OK;
    tdm_comparison *out = c->out;
    const char *dot = strrchr(name, '.');
    tdm__str text = {0};
    tdm__str_addn(&text, name, dot ? (size_t)(dot - name) : strlen(name));
    TDM_TRY(tdm__str_status(&text));
    if (!out->n || strcmp(out->layers[out->n - 1].layer, text.text) != 0) {
        TDM_TRY(tdm__grow(&out->layers, &c->capacity, out->n + 1, sizeof *out->layers));
        out->layers[out->n++] = (tdm_layer_move){.layer = text.text, .cka = NAN};
        text = (tdm__str){0};
        c->layer = (sums){0};
    }
    *layer = &out->layers[out->n - 1];
done:
    tdm__str_free(&text);
    return status;
}

static tdm_status compare_tensor(comparing *c, const tdm__st_tensor *a, const tdm__st_tensor *b)
{
    tdm_status status = TDM_OK;
    tdm_layer_move *layer;
    TDM_TRY(layer_of(c, a->name, &layer));
    TDM_TRY(read_tensor(c->a, a, &c->x));
    TDM_TRY(read_tensor(c->b, b, &c->y));
    add(c->x, c->y, a->count, &c->layer);
    add(c->x, c->y, a->count, &c->all);
    layer->parameters += a->count;
    c->out->all.parameters += a->count;
    finish(&c->layer, layer);
done:
    return status;
}

static tdm_status open_file(const char *path, tdm__st **out)
{
    char *file = NULL;
    tdm_status status = tdm__find_checkpoint(path, &file);
    if (!status) status = tdm__st_open(file, out);
    free(file);
    return status;
}

static size_t count_learnt(const tdm__st *st)
{
    size_t n = 0;
    for (size_t i = 0; i < tdm__st_count(st); i++) n += is_learnt(tdm__st_at(st, i)->name);
    return n;
}

tdm_status tdm_compare_weights(const char *a, const char *b, tdm_comparison *out)
{
    tdm_status status = TDM_OK;
    comparing c = {.out = out};
    size_t both = 0;
    *out = (tdm_comparison){.all.cka = NAN};
    TDM_TRY(open_file(a, &c.a));
    TDM_TRY(open_file(b, &c.b));
    for (size_t i = 0; i < tdm__st_count(c.a); i++) {
        const tdm__st_tensor *t = tdm__st_at(c.a, i), *u = tdm__st_find(c.b, t->name);
        if (!is_learnt(t->name) || !u || !same_shape(t, u)) continue;
        TDM_TRY(compare_tensor(&c, t, u));
        both++;
    }
    if (!both) TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s and %s have no parameter in common", a, b));
    finish(&c.all, &out->all);
    out->only_a = count_learnt(c.a) - both;
    out->only_b = count_learnt(c.b) - both;
done:
    free(c.x);
    free(c.y);
    tdm__st_close(&c.a);
    tdm__st_close(&c.b);
    if (status) tdm_comparison_free(out);
    return status;
}

void tdm_comparison_free(tdm_comparison *c)
{
    for (size_t i = 0; i < c->n; i++) free(c->layers[i].layer);
    free(c->layers);
    *c = (tdm_comparison){0};
}

/* ---- text -------------------------------------------------------------------------------------
 */

static void add_share(tdm__str *out, double value)
{
    if (isnan(value))
        tdm__str_addf(out, " %9s", "-");
    else
        tdm__str_addf(out, " %9.4f", value);
}

static void add_row(tdm__str *out, const char *name, const tdm_layer_move *m, bool cka)
{
    tdm__str_addf(out, "  %-34s %12" PRIu64 " %10.4g %10.4g", name, m->parameters, m->norm,
                  m->distance);
    add_share(out, m->relative);
    add_share(out, m->cosine);
    if (cka) add_share(out, m->cka);
    tdm__str_add(out, "\n");
}

static void add_json(tdm__json *j, const tdm_layer_move *m)
{
    tdm__json_open(j, '{');
    if (m->layer) tdm__json_key(j, "layer"), tdm__json_string(j, m->layer);
    tdm__json_key(j, "parameters"), tdm__json_uint(j, m->parameters);
    tdm__json_key(j, "norm"), tdm__json_number(j, m->norm);
    tdm__json_key(j, "distance"), tdm__json_number(j, m->distance);
    tdm__json_key(j, "relative"), tdm__json_number(j, m->relative);
    tdm__json_key(j, "cosine"), tdm__json_number(j, m->cosine);
    if (!isnan(m->cka)) tdm__json_key(j, "cka"), tdm__json_number(j, m->cka);
    tdm__json_close(j, '}');
}

static tdm_status write_json(const tdm_comparison *c, char **out)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "all"), add_json(&j, &c->all);
    tdm__json_key(&j, "layers"), tdm__json_open(&j, '[');
    for (size_t i = 0; i < c->n; i++) add_json(&j, &c->layers[i]);
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "only_a"), tdm__json_uint(&j, c->only_a);
    tdm__json_key(&j, "only_b"), tdm__json_uint(&j, c->only_b);
    if (c->samples) tdm__json_key(&j, "samples"), tdm__json_uint(&j, c->samples);
    tdm__json_close(&j, '}');
    const tdm_status status = tdm__json_status(&j);
    if (!status) {
        *out = j.out.text;
        j.out = (tdm__str){0};
    }
    tdm__json_free(&j);
    return status;
}

tdm_status tdm_comparison_text(const tdm_comparison *c, bool json, char **out)
{
    tdm__str text = {0};
    *out = NULL;
    if (json) return write_json(c, out);
    tdm__str_addf(&text, "  %-34s %12s %10s %10s %9s %9s%s\n", "layer", "numbers", "norm", "moved",
                  "relative", "cosine", c->samples ? "       CKA" : "");
    for (size_t i = 0; i < c->n; i++)
        add_row(&text, c->layers[i].layer, &c->layers[i], c->samples > 0);
    add_row(&text, "all", &c->all, false);
    if (c->only_a || c->only_b)
        tdm__str_addf(&text, "  not compared: %zu tensors of the first, %zu of the second\n",
                      c->only_a, c->only_b);
    const tdm_status status = tdm__str_status(&text);
    if (!status) *out = text.text;
    if (status) tdm__str_free(&text);
    return status;
}

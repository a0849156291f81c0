/* data/transform_spec.c: transforms as texts: "crop 224 p4" to a tdm_transform, and what a list of
 * them does to shapes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/transform.h"

enum { MAX_WORDS = 8, MAX_SIDE = 32768, MAX_ZOOM = 16 };

/* ---- texts ----------------------------------------------------------------------------------- */

/* What words a transform takes: a size, or up to `most` numbers in [min, max]. */
typedef struct syntax {
    const char *name;
    tdm_transform_kind kind;
    bool size, border;
    int least, most;
    double min, max;
    const char *usage;
} syntax;

static const syntax syntaxes[] = {
    {"flip", TDM_TRANSFORM_FLIP, false, false, 0, 1, 0, 1, "flip [0.5], a probability"},
    {"vflip", TDM_TRANSFORM_VFLIP, false, false, 0, 1, 0, 1, "vflip [0.5], a probability"},
    {"rotate90", TDM_TRANSFORM_ROTATE90, false, false, 0, 0, 0, 0, "rotate90"},
    {"scale", TDM_TRANSFORM_SCALE, false, false, 2, 2, 1.0 / MAX_ZOOM, MAX_ZOOM,
     "scale 1.0 1.5, least and most, 0.0625 to 16"},
    {"crop", TDM_TRANSFORM_CROP, true, true, 0, 0, 0, 0, "crop 224 [p4] or crop 192x256"},
    {"resize", TDM_TRANSFORM_RESIZE, true, false, 0, 0, 0, 0, "resize 128 or resize 120x160"},
    {"jitter", TDM_TRANSFORM_JITTER, false, false, 1, 4, 0, 1,
     "jitter 0.2 [0.2 [0.2 [0.05]]]: brightness, contrast, saturation 0 to 1, hue 0 to 0.5"},
};
enum { N_SYNTAXES = sizeof syntaxes / sizeof *syntaxes };

static const syntax *find_syntax(const char *word)
{
    for (int i = 0; i < N_SYNTAXES; i++)
        if (!strcmp(syntaxes[i].name, word)) return &syntaxes[i];
    return NULL;
}

static tdm_status unknown(const char *word)
{
    const char *names[N_SYNTAXES];
    for (int i = 0; i < N_SYNTAXES; i++) names[i] = syntaxes[i].name;
    if (tdm__starts_with(word, "normali"))
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG, "unknown transform '%s'", word),
                         "the network normalises its input: model.mean, model.std");
    const char *near = tdm__suggest(word, names, N_SYNTAXES);
    if (near)
        return tdm__fail(TDM_ERR_CONFIG, "unknown transform '%s' (did you mean '%s'?)", word, near);
    return tdm__fail(TDM_ERR_CONFIG,
                     "unknown transform '%s' (there are flip, vflip, rotate90, scale, crop, "
                     "resize, jitter)",
                     word);
}

static bool parse_side(const char *text, int64_t min, uint32_t *out)
{
    int64_t v;
    if (!tdm__parse_i64(text, &v) || v < min || v > MAX_SIDE) return false;
    *out = (uint32_t)v;
    return true;
}

/* "224", or "192x256": height x width. */
static bool parse_size(char *word, uint32_t out[2])
{
    char *x = strchr(word, 'x');
    if (x) *x = 0;
    bool ok = parse_side(word, 1, &out[0]) && parse_side(x ? x + 1 : word, 1, &out[1]);
    if (x) *x = 'x';
    return ok;
}

static bool parse_word(const syntax *s, char *word, int at, tdm_transform *out)
{
    if (s->size && at == 0) return parse_size(word, out->size);
    if (s->border && at == 1 && word[0] == 'p') return parse_side(word + 1, 0, &out->border);
    if (at >= s->most) return false;
    double v;
    if (!tdm__parse_f64(word, &v) || !(v >= s->min && v <= s->max)) return false;
    if (s->kind == TDM_TRANSFORM_JITTER && at == TDM__COLOUR_HUE && v > 0.5) return false;
    out->value[at] = v;
    return true;
}

tdm_status tdm_transform_parse(const char *text, tdm_transform *out)
{
    tdm__word words[MAX_WORDS];
    memset(out, 0, sizeof *out);
    const int n = tdm__split_words(text, words, MAX_WORDS);
    if (n < 1)
        return tdm__fail(TDM_ERR_CONFIG, n ? "transform '%.60s' is too long" : "empty transform",
                         text);
    const syntax *s = find_syntax(words[0]);
    if (!s) return unknown(words[0]);
    out->kind = s->kind;
    if (s->most == 1) out->value[0] = 0.5;
    for (int i = 1; i < n; i++)
        if (!parse_word(s, words[i], i - 1, out))
            return tdm__fail(TDM_ERR_CONFIG, "transform '%s': '%s' is not accepted (usage: %s)",
                             text, words[i], s->usage);
    if (n - 1 < (s->size ? 1 : s->least))
        return tdm__fail(TDM_ERR_CONFIG, "transform '%s': something is missing (usage: %s)", text,
                         s->usage);
    if (s->kind == TDM_TRANSFORM_SCALE && out->value[0] > out->value[1])
        return tdm__fail(TDM_ERR_CONFIG, "transform '%s': the least factor comes first (usage: %s)",
                         text, s->usage);
    return TDM_OK;
}

tdm_status tdm_transforms_read(const tdm_config *config, tdm_transforms *out)
{
    static const char key[] = "data.transforms";
    const char *const *texts = NULL;
    size_t n = 0;
    *out = (tdm_transforms){0};
    tdm_status status = tdm_config_strings(config, key, &texts, &n);
    if (status) return status;
    if (n > TDM_TRANSFORMS_MAX)
        return tdm_config_reject(config, key, "at most %d transforms", TDM_TRANSFORMS_MAX);
    for (; out->n < n; out->n++) {
        if (!tdm_transform_parse(texts[out->n], &out->list[out->n])) continue;
        char *reason = tdm__strdup(tdm_last_error());
        status = tdm_config_reject(config, key, "%s", reason ? reason : "");
        free(reason);
        return status;
    }
    return TDM_OK;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

bool tdm_transforms_is_frame(const tdm_array_info *info)
{
    return info->kind == TDM_ARRAY_IMAGE || info->kind == TDM_ARRAY_MASK ||
           info->kind == TDM_ARRAY_DEPTH;
}

/* Height and width after the list; TDM_ERR_CONFIG where they are too small for it. */
static tdm_status size_after(const tdm_transforms *t, const char *name, uint64_t size[2])
{
    for (size_t i = 0; i < t->n; i++) {
        const tdm_transform *one = &t->list[i];
        for (int d = 0; d < 2; d++) {
            if (one->kind == TDM_TRANSFORM_CROP && one->size[d] > size[d] + 2 * one->border)
                return tdm__hint(
                    tdm__fail(TDM_ERR_CONFIG,
                              "data.transforms: crop %ux%u of '%s', which is %llux%llu there",
                              one->size[0], one->size[1], name, (unsigned long long)size[0],
                              (unsigned long long)size[1]),
                    "a border adds to it: crop %u p%llu", one->size[d],
                    (unsigned long long)(one->size[d] - size[d] + 1) / 2);
        }
        if (one->kind != TDM_TRANSFORM_CROP && one->kind != TDM_TRANSFORM_RESIZE) continue;
        for (int d = 0; d < 2; d++) size[d] = one->size[d];
    }
    return TDM_OK;
}

static bool has_kind(const tdm_transforms *t, tdm_transform_kind kind)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->list[i].kind == kind) return true;
    return false;
}

/* What an array is to the geometry. */
static tdm__role role_of(const tdm_array_info *frame, const tdm_array_info *info)
{
    bool picture = info->rank >= 2 && info->rank <= 3 && info->dims[0] == frame->dims[0] &&
                   info->dims[1] == frame->dims[1];
    switch (info->kind) {
    case TDM_ARRAY_IMAGE:
        return TDM__ROLE_IMAGE;
    case TDM_ARRAY_MASK:
        return TDM__ROLE_MAP;
    case TDM_ARRAY_DEPTH:
        if (tdm__contains_nocase(info->name, "dispar") ||
            tdm__contains_nocase(info->name, "inverse"))
            return TDM__ROLE_INVERSE;
        return TDM__ROLE_DEPTH;
    case TDM_ARRAY_BOX:
        return TDM__ROLE_BOX;
    case TDM_ARRAY_VALUES:
        if (!picture) return TDM__ROLE_NONE;
        return info->rank == 3 && info->dims[2] == 2 ? TDM__ROLE_VECTORS : TDM__ROLE_MAP;
    case TDM_ARRAY_CLASS:
        break;
    }
    return TDM__ROLE_NONE;
}

static tdm_status check_frame(const tdm_array_info *frame, const tdm_array_info *info)
{
    if (frame->dims[0] > MAX_SIDE || frame->dims[1] > MAX_SIDE)
        return tdm__fail(TDM_ERR_CONFIG, "data.transforms: '%s' has more than %d pixels a side",
                         frame->name, MAX_SIDE);
    if (tdm_transforms_is_frame(info) &&
        (info->dims[0] != frame->dims[0] || info->dims[1] != frame->dims[1]))
        return tdm__fail(TDM_ERR_CONFIG,
                         "data.transforms: '%s' is %llux%llu and '%s' %llux%llu: arrays that are "
                         "transformed together must be of one size",
                         frame->name, (unsigned long long)frame->dims[0],
                         (unsigned long long)frame->dims[1], info->name,
                         (unsigned long long)info->dims[0], (unsigned long long)info->dims[1]);
    return TDM_OK;
}

static double outside_value(const tdm_loader_array *want, tdm_dtype dtype)
{
    if (want && want->has_ignore) return want->ignore;
    return dtype == TDM_U8 ? 255 : dtype == TDM_I32 ? -1 : NAN;
}

tdm_status tdm__transform_map(const tdm_transforms *t, const tdm_array_info *frame,
                              const tdm_loader_array *want, tdm_dtype dtype, tdm_array_info *info,
                              tdm__mapped *out)
{
    uint64_t size[2];
    *out = (tdm__mapped){.role = TDM__ROLE_NONE, .dtype = dtype, .channels = 1};
    if (!t->n) return TDM_OK;
    if (info->kind == TDM_ARRAY_BOX && dtype != TDM_F32)
        return tdm__fail(TDM_ERR_CONFIG, "data.transforms: boxes ('%s') move as f32 only",
                         info->name);
    if (!frame && info->kind == TDM_ARRAY_BOX)
        return tdm__fail(TDM_ERR_CONFIG,
                         "data.transforms: boxes ('%s') move with an image, mask or depth: none is "
                         "loaded",
                         info->name);
    if (!frame) return TDM_OK;
    tdm_status status = check_frame(frame, info);
    if (status) return status;
    out->role = role_of(frame, info);
    if (out->role >= TDM__ROLE_MAP && out->role < TDM__ROLE_BOX && dtype != TDM_F32)
        out->role = TDM__ROLE_MAP; /* whole numbers stay what they are */
    out->outside = outside_value(want, dtype);
    if (out->role == TDM__ROLE_NONE) return TDM_OK;
    for (int d = 0; d < 2; d++) size[d] = out->source[d] = (uint32_t)frame->dims[d];
    status = size_after(t, frame->name, size);
    if (status || out->role == TDM__ROLE_BOX) return status;
    if (info->rank == 3) out->channels = (uint32_t)info->dims[2];
    if (out->role == TDM__ROLE_IMAGE && has_kind(t, TDM_TRANSFORM_JITTER) && out->channels != 1 &&
        out->channels != 3)
        return tdm__fail(TDM_ERR_CONFIG,
                         "data.transforms: jitter of '%s' with %u channels: must be 1 or 3",
                         info->name, out->channels);
    info->elems = size[0] * size[1] * out->channels;
    info->dims[0] = size[0];
    info->dims[1] = size[1];
    return TDM_OK;
}

tdm_status tdm_transforms_shape(const tdm_transforms *t, const tdm_array_info *frame,
                                tdm_array_info *info)
{
    tdm__mapped ignored;
    /* info may be the frame: its shape must stay until it has been read */
    tdm_array_info shaped = *info;
    tdm_status status = tdm__transform_map(t, frame, NULL, TDM_F32, &shaped, &ignored);
    if (!status) *info = shaped;
    return status;
}

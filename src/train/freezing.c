/* train/freezing.c: see freezing.h. */
#include "train/freezing.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/net.h"
#include "model/sharing.h"
#include "model/transfer.h"
#include "train/class_names.h"

/* ---- blocks -----------------------------------------------------------------------------------
 */

static size_t part_length(const char *text)
{
    return strcspn(text, ".");
}

static bool is_number(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)text[i])) return false;
    return n > 0;
}

/* Characters of the segment's name that name its block: the prefix and "3", "down.0" or "conv1". */
static size_t block_length(const char *name, size_t prefix)
{
    const size_t first = part_length(name + prefix), at = prefix + first;
    if (is_number(name + prefix, first) || name[at] != '.') return at;
    const size_t second = part_length(name + at + 1);
    return is_number(name + at + 1, second) ? at + 1 + second : at;
}

/* A norm alone belongs to the layer before it. */
static bool only_vectors(tdm__flat *flat, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        if (tdm__flat_segment(flat, i)->disk.rank > 1) return false;
    return true;
}

tdm_status tdm__blocks_find(const tdm_config *config, tdm__flat *flat, tdm__blocks *out)
{
    tdm_status status = TDM_OK;
    const char *trunk;
    const size_t n = tdm__flat_count(flat);
    *out = (tdm__blocks){0};
    TDM_TRY(tdm_config_string(config, "model.prefix", &trunk));
    TDM_TRY(tdm__calloc_try(n, sizeof *out->of, &out->of));
    const size_t prefix = *trunk ? strlen(trunk) + 1 : 0;
    for (size_t i = 0, end; i < n; i = end) {
        const char *name = tdm__flat_segment(flat, i)->name;
        bool head;
        end = i + 1;
        out->of[i] = SIZE_MAX;
        TDM_TRY(tdm__in_head(config, name, &head));
        if (head || (*trunk && !tdm__name_matches(trunk, name))) continue;
        const size_t length = block_length(name, prefix);
        for (; end < n; end++) {
            const char *other = tdm__flat_segment(flat, end)->name;
            if (strncmp(other, name, length) || other[length] != '.') break;
        }
        if (!(out->n && only_vectors(flat, i, end))) out->n++;
        for (size_t k = i; k < end; k++) out->of[k] = out->n - 1;
    }
done:
    if (status) tdm__blocks_free(out);
    return status;
}

void tdm__blocks_free(tdm__blocks *blocks)
{
    free(blocks->of);
    *blocks = (tdm__blocks){0};
}

/* Where there is more than one trunk, or more than a trunk, there is no one order of blocks. */
static tdm_status expect_one_trunk(const tdm_config *config, const char *key)
{
    const tdm__sharing *sharing;
    const tdm_status status = tdm__sharing_read(config, &sharing);
    if (status || sharing->one_trunk) return status;
    return tdm_config_reject(config, key,
                             "counts the blocks of one trunk, but model.sharing: %s %s (hint: "
                             "train.freeze, optim.groups)",
                             sharing->name, sharing->why_not_one);
}

tdm_status tdm__blocks_beyond(const tdm_config *config, tdm__flat *flat, const char *key,
                              int64_t count, bool *out)
{
    tdm_status status = TDM_OK;
    tdm__blocks blocks = {0};
    TDM_TRY(expect_one_trunk(config, key));
    TDM_TRY(tdm__blocks_find(config, flat, &blocks));
    if ((uint64_t)count > blocks.n)
        TDM_TRY(tdm_config_reject(config, key, "the trunk has %zu blocks", blocks.n));
    for (size_t i = 0; i < tdm__flat_count(flat); i++)
        out[i] = blocks.of[i] == SIZE_MAX || blocks.of[i] >= (size_t)count;
done:
    tdm__blocks_free(&blocks);
    return status;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

static tdm_status add_pattern(tdm__freezing *f, const char *pattern)
{
    const tdm_status status =
        tdm__grow(&f->freeze, &f->freeze_capacity, f->n_freeze + 1, sizeof *f->freeze);
    if (!status) f->freeze[f->n_freeze++] = pattern;
    return status;
}

static tdm_status add_owned(tdm__freezing *f, const char *text, size_t n)
{
    tdm_status status = TDM_OK;
    tdm__str copy = {0};
    tdm__str_addn(&copy, text, n);
    TDM_TRY(tdm__str_status(&copy));
    TDM_TRY(tdm__grow(&f->owned, &f->owned_capacity, f->n_owned + 1, sizeof *f->owned));
    f->owned[f->n_owned++] = copy.text;
    copy.text = NULL;
    TDM_TRY(add_pattern(f, f->owned[f->n_owned - 1]));
done:
    tdm__str_free(&copy);
    return status;
}

/* "encoder.layer4 at epoch 3", "encoder at step 500": the pattern's copy is the last one owned. */
static tdm_status read_thaw(const tdm_config *config, const char *text, tdm__freezing *f,
                            tdm__thaw *out)
{
    static const char *const words[] = {" at epoch ", " at step "};
    for (int w = 0; w < 2; w++) {
        const char *word = strstr(text, words[w]);
        const char *number = word ? word + strlen(words[w]) : NULL;
        if (!word || word == text || !tdm__parse_i64(number, &out->at) || out->at < 1) continue;
        out->at -= 1; /* counted from 1, as epochs are where they are shown */
        out->step = w == 1;
        const tdm_status status = add_owned(f, text, (size_t)(word - text));
        if (!status) out->pattern = f->owned[f->n_owned - 1];
        return status;
    }
    return tdm_config_reject(config, "train.unfreeze",
                             "'%s': must be \"PATTERN at epoch N\" or \"PATTERN at step N\", N "
                             "from 1",
                             text);
}

tdm_status tdm__freezing_read(const tdm_config *config, tdm__freezing *f)
{
    tdm_status status = TDM_OK;
    const char *const *list;
    *f = (tdm__freezing){0};
    TDM_TRY(tdm_config_strings(config, "train.freeze", &list, &f->n_given));
    for (size_t i = 0; i < f->n_given; i++) TDM_TRY(add_pattern(f, list[i]));
    TDM_TRY(tdm_config_strings(config, "train.unfreeze", &list, &f->n_thaw));
    TDM_TRY(tdm__calloc_try(f->n_thaw, sizeof *f->thaw, &f->thaw));
    TDM_TRY(tdm__calloc_try(f->n_thaw, sizeof *f->thawed, &f->thawed));
    for (size_t i = 0; i < f->n_thaw; i++) {
        TDM_TRY(read_thaw(config, list[i], f, &f->thaw[i]));
        f->thawed[f->n_thawed++] = f->thaw[i].pattern;
    }
done:
    if (status) tdm__freezing_free(f);
    return status;
}

void tdm__freezing_free(tdm__freezing *f)
{
    for (size_t i = 0; i < f->n_owned; i++) free(f->owned[i]);
    free(f->owned);
    free(f->freeze);
    free(f->thaw);
    free(f->thawed);
    *f = (tdm__freezing){0};
}

/* ---- what is frozen ---------------------------------------------------------------------------
 */

/* Sets the flags; returns whether one changed. */
static bool set_flags(const tdm__freezing *f, tdm__flat *flat)
{
    bool changed = false;
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        tdm__segment *s = tdm__flat_segment(flat, i);
        const bool frozen = tdm__frozen_by(f->freeze, f->n_freeze, f->thawed, f->n_thawed, s->name);
        changed |= frozen != s->frozen;
        s->frozen = frozen;
    }
    return changed;
}

/* Names of lists of layers are numbers: layers without parameters, such as dropout, have no segment
 * that tells of them, so all numbers before the first learnt one stand still. */
static tdm_status add_numbers(tdm__freezing *f, const char *first_learnt, size_t prefix)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    if (!is_number(first_learnt + prefix, part_length(first_learnt + prefix))) return TDM_OK;
    const long end = strtol(first_learnt + prefix, NULL, 10);
    for (long i = 0; i < end; i++) {
        name.length = 0;
        tdm__str_addn(&name, first_learnt, prefix);
        tdm__str_addf(&name, "%ld", i);
        TDM_TRY(tdm__str_status(&name));
        TDM_TRY(add_owned(f, name.text, name.length));
    }
done:
    tdm__str_free(&name);
    return status;
}

static tdm_status add_frozen_blocks(tdm__freezing *f, tdm__flat *flat, const tdm__blocks *blocks,
                                    size_t frozen, const char *trunk)
{
    tdm_status status = TDM_OK;
    const size_t prefix = *trunk ? strlen(trunk) + 1 : 0;
    bool boundary = false;
    if (frozen == blocks->n && *trunk) return add_pattern(f, trunk);
    for (size_t i = 0; i < tdm__flat_count(flat); i++) {
        const char *name = tdm__flat_segment(flat, i)->name;
        if (blocks->of[i] == SIZE_MAX) continue;
        if (blocks->of[i] < frozen)
            TDM_TRY(add_owned(f, name, block_length(name, prefix)));
        else if (!boundary)
            TDM_TRY(add_numbers(f, name, prefix));
        boundary |= blocks->of[i] >= frozen;
    }
done:
    return status;
}

tdm_status tdm__freezing_add_blocks(const tdm_config *config, tdm__flat *flat, tdm__freezing *f)
{
    tdm_status status = TDM_OK;
    tdm__blocks blocks = {0};
    const char *trunk;
    int64_t last;
    TDM_TRY(tdm_config_int(config, "train.freeze_except_last", &last));
    if (last < 0) goto done;
    TDM_TRY(expect_one_trunk(config, "train.freeze_except_last"));
    TDM_TRY(tdm_config_string(config, "model.prefix", &trunk));
    TDM_TRY(tdm__blocks_find(config, flat, &blocks));
    if ((uint64_t)last >= blocks.n)
        TDM_TRY(tdm_config_reject(config, "train.freeze_except_last",
                                  "the trunk has %zu blocks, so nothing would be frozen",
                                  blocks.n));
    TDM_TRY(add_frozen_blocks(f, flat, &blocks, blocks.n - (size_t)last, trunk));
    set_flags(f, flat);
done:
    tdm__blocks_free(&blocks);
    return status;
}

static bool is_thawed(const tdm__thaw *t, int64_t epoch, int64_t step)
{
    return (t->step ? step : epoch) >= t->at;
}

bool tdm__freezing_due(const tdm__freezing *f, int64_t epoch, int64_t step)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_thaw; i++) n += is_thawed(&f->thaw[i], epoch, step);
    return n != f->n_thawed;
}

bool tdm__freezing_move(tdm__freezing *f, tdm__flat *flat, int64_t epoch, int64_t step)
{
    f->n_thawed = 0;
    for (size_t i = 0; i < f->n_thaw; i++)
        if (is_thawed(&f->thaw[i], epoch, step)) f->thawed[f->n_thawed++] = f->thaw[i].pattern;
    return set_flags(f, flat);
}

/* ---- learning-rate factors --------------------------------------------------------------------
 */

typedef struct rate {
    const char *pattern;
    size_t length; /* of the pattern */
    double factor;
    bool used;
} rate;

/* "encoder = 0.1" */
static tdm_status read_rate(const tdm_config *config, const char *text, rate *out)
{
    const char *sign = strrchr(text, '='), *end = sign;
    while (end && end > text && end[-1] == ' ') end--;
    out->pattern = text;
    out->length = end ? (size_t)(end - text) : 0;
    if (out->length && tdm__parse_f64(sign + 1 + strspn(sign + 1, " "), &out->factor) &&
        out->factor >= 0 && isfinite(out->factor))
        return TDM_OK;
    return tdm_config_reject(config, "optim.groups",
                             "'%s': must be \"PATTERN = FACTOR\", a factor >= 0", text);
}

/* The factor of a segment: that of the last pattern that matches. */
static tdm_status rate_of(rate *rates, size_t n, const char *name, double *out)
{
    tdm_status status = TDM_OK;
    tdm__str pattern = {0};
    *out = 1;
    for (size_t i = 0; i < n; i++) {
        pattern.length = 0;
        tdm__str_addn(&pattern, rates[i].pattern, rates[i].length);
        TDM_TRY(tdm__str_status(&pattern));
        if (!tdm__name_matches(pattern.text, name)) continue;
        *out = rates[i].factor;
        rates[i].used = true;
    }
done:
    tdm__str_free(&pattern);
    return status;
}

/* Segments with the same factor are a group; group 0 has factor 1. */
static tdm_status assign_group(tdm__segment *s, double factor, double *groups, size_t *n,
                               tdm__optimizer *optimizer)
{
    size_t g = 0;
    while (g < *n && groups[g] != factor) g++;
    if (g == *n) groups[(*n)++] = factor;
    s->group = (int)g;
    return tdm__optimizer_set_group_factor(optimizer, (int)g, factor);
}

static tdm_status check_rates(const tdm_config *config, tdm__flat *flat, const rate *rates,
                              size_t n)
{
    tdm_status status = TDM_OK;
    const size_t count = tdm__flat_count(flat);
    const char **names = NULL;
    TDM_TRY(tdm__calloc_try(count, sizeof *names, &names));
    for (size_t i = 0; i < count; i++) names[i] = tdm__flat_segment(flat, i)->name;
    for (size_t i = 0; i < n; i++)
        if (!rates[i].used)
            TDM_TRY(tdm__pattern_unused(config, "optim.groups", rates[i].pattern, names, count));
done:
    free(names);
    return status;
}

tdm_status tdm__rate_factors(const tdm_config *config, tdm__flat *flat, tdm__optimizer *optimizer)
{
    tdm_status status = TDM_OK;
    tdm__blocks blocks = {0};
    const char *const *texts;
    double decay, *groups = NULL, factor;
    rate *rates = NULL;
    size_t n, n_groups = 1;
    const size_t count = tdm__flat_count(flat);
    TDM_TRY(tdm_config_strings(config, "optim.groups", &texts, &n));
    TDM_TRY(tdm_config_float(config, "optim.block_decay", &decay));
    if (decay != 1) TDM_TRY(expect_one_trunk(config, "optim.block_decay"));
    TDM_TRY(tdm__blocks_find(config, flat, &blocks));
    TDM_TRY(tdm__calloc_try(n, sizeof *rates, &rates));
    TDM_TRY(tdm__calloc_try(count + 1, sizeof *groups, &groups));
    groups[0] = 1;
    for (size_t i = 0; i < n; i++) TDM_TRY(read_rate(config, texts[i], &rates[i]));
    for (size_t i = 0; i < count; i++) {
        tdm__segment *s = tdm__flat_segment(flat, i);
        TDM_TRY(rate_of(rates, n, s->name, &factor));
        if (blocks.of[i] != SIZE_MAX) factor *= pow(decay, (double)(blocks.n - 1 - blocks.of[i]));
        TDM_TRY(assign_group(s, factor, groups, &n_groups, optimizer));
    }
    TDM_TRY(check_rates(config, flat, rates, n));
done:
    tdm__blocks_free(&blocks);
    free(rates);
    free(groups);
    return status;
}

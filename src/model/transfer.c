/* model/transfer.c: see transfer.h. */
#include "model/transfer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/net.h"

enum { MAX_LISTED = 12, NAME_COLUMN = 34 };

static const tdm_opt_spec specs[] = {
    {"load.rename", TDM_OPT_STRINGS, "[]", .hint = "\"backbone -> encoder\", \"*.norm -> *.bn\"",
     .help = "names in the checkpoint -> names here: a leading part, or a pattern with one *"},
    {"load.skip", TDM_OPT_STRINGS, "[]",
     .help = "name patterns of the checkpoint's tensors that are left out"},
    {"load.reinit", TDM_OPT_STRINGS, "[]",
     .help = "name patterns of parameters that begin anew whatever the checkpoint holds"},
    {"load.reshape", TDM_OPT_STRINGS, "[]",
     .help = "name patterns of parameters that may have had another shape of as many elements"},
    {"load.widen", TDM_OPT_STRINGS, "[]", .hint = "heads.class",
     .help = "name patterns of parameters that may have had more or fewer outputs: what both have "
             "is copied"},
    {"load.classes", TDM_OPT_ENUM, "auto", .choices = "auto|by-name|by-index",
     .help = "load.widen: which outputs are the same; auto: by the names of the classes where both "
             "data sets have them"},
    {"load.new_rows", TDM_OPT_ENUM, "init", .choices = "init|statistics",
     .help = "load.widen: new outputs begin as new layers do, or are drawn from mean and deviation "
             "of the old ones"},
    {"load.channels", TDM_OPT_ENUM, "error", .choices = "error|mean|repeat",
     .help = "convolutions that had other input channels take the mean of the old kernels, or "
             "repeat them, scaled so that outputs keep their size"},
    {"load.blocks", TDM_OPT_INT, "-1", TDM_OPT_MIN, -1,
     .help = "only so many first blocks of the trunk are loaded, all else begins anew; -1: all"},
    {"load.mismatch", TDM_OPT_ENUM, "error", .choices = "error|skip",
     .help = "a tensor of another shape ends the run, or its parameter begins anew"},
};
const tdm_opt_table tdm__load_options = {"load", specs, sizeof specs / sizeof *specs};

const char *tdm__origin_name(tdm__origin origin)
{
    static const char *const names[TDM__ORIGINS] = {
        "new",     "loaded",   "renamed",        "reshaped",
        "widened", "channels", "re-initialised", "shape differs"};
    return (unsigned)origin < TDM__ORIGINS ? names[origin] : "?";
}

/* ---- patterns ---------------------------------------------------------------------------------
 */

tdm_status tdm__pattern_unused(const tdm_config *config, const char *key, const char *pattern,
                               const char *const *names, size_t n)
{
    tdm_status status = TDM_OK;
    char **parts = NULL;
    size_t n_parts = 0, capacity = 0;
    tdm__str word = {0}; /* of "OLD -> NEW" and "PATTERN = 2" what stands first */
    tdm__str_addn(&word, pattern, strcspn(pattern, " ="));
    TDM_TRY(tdm__str_status(&word));
    /* every name and every leading part of one */
    for (size_t i = 0; i < n; i++)
        for (const char *end = names[i]; end;) {
            end = strchr(end + 1, '.');
            tdm__str part = {0};
            tdm__str_addn(&part, names[i], end ? (size_t)(end - names[i]) : strlen(names[i]));
            TDM_TRY(tdm__str_status(&part));
            TDM_TRY(tdm__grow(&parts, &capacity, n_parts + 1, sizeof *parts));
            parts[n_parts++] = part.text;
        }
    const char *near = tdm__suggest(tdm__str_text(&word), (const char *const *)parts, n_parts);
    status = tdm_config_reject(config, key, "'%s' matches nothing", pattern);
    tdm__hint(status, "the first name is '%s'%s%s", n ? names[0] : "",
              near ? "; did you mean " : "", near ? near : "");
done:
    tdm__str_free(&word);
    tdm__names_free(parts, n_parts);
    return status;
}

typedef struct patterns {
    const char *key;
    const char *const *list;
    size_t n;
    bool *used;
} patterns;

static tdm_status patterns_read(const tdm_config *config, const char *key, patterns *out)
{
    tdm_status status = tdm_config_strings(config, key, &out->list, &out->n);
    out->key = key;
    return status ? status : tdm__calloc_try(out->n, sizeof *out->used, &out->used);
}

static bool patterns_match(patterns *p, const char *name)
{
    bool any = false;
    for (size_t i = 0; i < p->n; i++)
        if (tdm__name_matches(p->list[i], name)) any = p->used[i] = true;
    return any;
}

static tdm_status patterns_check(const tdm_config *config, const patterns *p,
                                 const char *const *names, size_t n)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->used[i]) return tdm__pattern_unused(config, p->key, p->list[i], names, n);
    return TDM_OK;
}

/* ---- renaming ---------------------------------------------------------------------------------
 */

/* "OLD -> NEW" as its two sides. */
static tdm_status split_rule(const tdm_config *config, const char *rule, tdm__str *old,
                             tdm__str *new)
{
    const char *arrow = strstr(rule, "->");
    old->length = new->length = 0;
    tdm__str_add(old, "");
    tdm__str_add(new, "");
    if (!arrow)
        return tdm_config_reject(config, "load.rename", "'%s': must be \"OLD -> NEW\"", rule);
    const char *end = arrow;
    while (end > rule && end[-1] == ' ') end--;
    rule += strspn(rule, " ");
    if (end > rule) tdm__str_addn(old, rule, (size_t)(end - rule));
    arrow += 2;
    arrow += strspn(arrow, " ");
    size_t n = strlen(arrow);
    while (n && arrow[n - 1] == ' ') n--;
    tdm__str_addn(new, arrow, n);
    const char *star_old = strchr(tdm__str_text(old), '*'), *star_new = strchr(arrow, '*');
    const bool odd = !star_old != !star_new || (star_old && strchr(star_old + 1, '*')) ||
                     (star_new && strchr(star_new + 1, '*'));
    if (odd || !*tdm__str_text(old))
        return tdm_config_reject(config, "load.rename",
                                 "'%s': one * on each side, or none on both; an old name", rule);
    return tdm__str_status(old) ? tdm__str_status(old) : tdm__str_status(new);
}

/* Applies one rule. False: it does not concern the name. */
static bool apply_rule(const char *old, const char *new, const char *name, tdm__str *out)
{
    const char *star = strchr(old, '*');
    const size_t n = strlen(name), head = star ? (size_t)(star - old) : strlen(old);
    out->length = 0;
    if (strncmp(old, name, head)) return false;
    if (star) {
        const char *tail = star + 1;
        const size_t n_tail = strlen(tail), new_head = strcspn(new, "*");
        if (n < head + n_tail || strcmp(name + n - n_tail, tail)) return false;
        tdm__str_addn(out, new, new_head);
        tdm__str_addn(out, name + head, n - head - n_tail);
        tdm__str_add(out, new + new_head + 1);
        return true;
    }
    if (name[head] && name[head] != '.') return false;
    tdm__str_add(out, new);
    tdm__str_add(out, name + head + (!*new &&name[head] == '.')); /* "module." goes with its dot */
    return true;
}

/* ---- planning ---------------------------------------------------------------------------------
 */

typedef struct planner {
    const tdm__transfer_spec *spec;
    const tdm_config *config;
    tdm__flat *flat;
    const tdm__st *st;
    tdm__transfer *out;
    patterns rename, skip, reinit, reshape, widen;
    bool skip_mismatch;
    enum { CLASSES_AUTO, CLASSES_BY_NAME, CLASSES_BY_INDEX } classes;
    const char **tensors, **segments; /* names; tensors: without those ignored */
    size_t n_tensors;
    tdm__str trouble;
    size_t troubles;
} planner;

static bool is_ignored(const planner *p, const char *name)
{
    for (const char *const *i = p->spec->ignore; i && *i; i++)
        if (tdm__starts_with(name, *i)) return true;
    return false;
}

static tdm_status list_names(planner *p)
{
    tdm_status status = TDM_OK;
    const size_t n = tdm__st_count(p->st);
    TDM_TRY(tdm__calloc_try(n, sizeof *p->tensors, &p->tensors));
    TDM_TRY(tdm__calloc_try(p->out->n, sizeof *p->segments, &p->segments));
    for (size_t i = 0; i < n; i++) {
        const char *name = tdm__st_at(p->st, i)->name;
        if (!is_ignored(p, name)) p->tensors[p->n_tensors++] = name;
    }
    for (size_t i = 0; i < p->out->n; i++) p->segments[i] = tdm__flat_segment(p->flat, i)->name;
done:
    return status;
}

/* The name that the tensor has in the model, in *out; the first rule that concerns it counts. */
static tdm_status new_name(planner *p, const char *name, tdm__str *out, bool *renamed)
{
    tdm_status status = TDM_OK;
    tdm__str old = {0}, new = {0};
    *renamed = false;
    for (size_t i = 0; i < p->rename.n && !*renamed; i++) {
        TDM_TRY(split_rule(p->config, p->rename.list[i], &old, &new));
        *renamed = apply_rule(tdm__str_text(&old), tdm__str_text(&new), name, out);
        if (*renamed) p->rename.used[i] = true;
    }
    if (!*renamed) {
        out->length = 0;
        tdm__str_add(out, name);
    }
    status = tdm__str_status(out);
done:
    tdm__str_free(&old);
    tdm__str_free(&new);
    return status;
}

static void add_trouble(planner *p, const char *text)
{
    if (p->troubles++ < MAX_LISTED) tdm__str_addf(&p->trouble, "\n  %s", text);
}

static void shape_text(const tdm__st_tensor *t, tdm__str *out)
{
    tdm__str_add(out, "[");
    for (int i = 0; i < t->rank; i++) tdm__str_addf(out, "%s%" PRIu64, i ? "," : "", t->dims[i]);
    tdm__str_add(out, "]");
}

static bool same_shape(const tdm__segment *s, const tdm__st_tensor *t)
{
    bool same = t->rank == s->disk.rank;
    for (int d = 0; same && d < t->rank; d++) same = t->dims[d] == (uint64_t)s->disk.dim[d];
    return same;
}

/* A shape that nothing allows. */
static void add_mismatch(planner *p, const tdm__segment *s, const tdm__st_tensor *t,
                         const char *why)
{
    char ours[64];
    tdm__str line = {0};
    tdm__str_addf(&line, "shapes differ: %s: model %s, checkpoint ", s->name,
                  tdm_desc_text(&s->disk, ours, sizeof ours));
    shape_text(t, &line);
    tdm__str_add(&line, why);
    add_trouble(p, tdm__str_text(&line));
    tdm__str_free(&line);
}

/* Whether the shapes are the same but for one axis, or wholly. */
static bool same_but(const tdm__segment *s, const tdm__st_tensor *t, int axis)
{
    bool same = t->rank == s->disk.rank && axis < t->rank;
    for (int d = 0; same && d < t->rank; d++)
        same = d == axis || t->dims[d] == (uint64_t)s->disk.dim[d];
    return same && t->count > 0;
}

static bool may_fit_channels(const planner *p, const tdm__segment *s, const tdm__st_tensor *t)
{
    return p->out->channels != TDM__CHANNELS_ERROR && s->layout == TDM__LAYOUT_CONV &&
           !s->transposed && same_but(s, t, 1);
}

/* Plans the rows of a parameter of load.widen; *edited: they are not simply all the tensor's. */
static tdm_status plan_rows(planner *p, size_t segment, const tdm__st_tensor *t, bool *edited)
{
    tdm_status status = TDM_OK;
    const tdm__segment *s = tdm__flat_segment(p->flat, segment);
    tdm__row_edit *edit = &p->out->rows[segment];
    tdm__class_list old = {0}, new = {0};
    const size_t n_old = (size_t)t->dims[0], n_new = (size_t)s->disk.dim[0];
    *edited = false;
    if (p->spec->classes && p->classes != CLASSES_BY_INDEX) {
        old = p->spec->classes(p->spec->user, false, t->name);
        new = p->spec->classes(p->spec->user, true, s->name);
    }
    TDM_TRY(tdm__row_edit_plan(n_old, n_new, &old, &new, edit));
    bool plain = n_old == n_new;
    for (size_t i = 0; plain && i < n_new; i++) plain = edit->from[i] == i;
    if (plain) {
        tdm__row_edit_free(edit);
    } else if (p->classes == CLASSES_BY_NAME && !edit->by_name) {
        add_mismatch(p, s, t, ", and the names of the classes are not known of both");
    } else if (!edit->copied) {
        add_mismatch(p, s, t, ", and no class has the same name");
    } else {
        *edited = true;
    }
done:
    return status;
}

/* A head whose outputs stand for other classes, or the same in another order, loads all the same:
 * it may be meant. It is said, once for each layer. */
static void warn_of_other_classes(const planner *p, const tdm__segment *s, const tdm__st_tensor *t)
{
    if (!p->spec->classes || p->classes == CLASSES_BY_INDEX || t->rank < 2) return;
    const tdm__class_list old = p->spec->classes(p->spec->user, false, t->name),
                          new = p->spec->classes(p->spec->user, true, s->name);
    if (old.n != new.n || old.n != t->dims[0]) return;
    size_t i = 0;
    while (i < old.n && !strcmp(old.names[i], new.names[i])) i++;
    if (i == old.n) return;
    tdm__log(TDM_LOG_WARN,
             "%s: output %zu, which stood for '%s', is loaded for '%s' (load.widen=[%s]: by the "
             "names of the classes; load.classes=by-index: as it is)",
             s->name, i, old.names[i], new.names[i], s->name);
}

/* Finds out how a tensor of the segment's (new) name can be taken; TDM__ORIGIN_MISMATCH: not. */
static tdm_status fit(planner *p, size_t segment, const tdm__st_tensor *t, bool renamed,
                      tdm__origin *out)
{
    const tdm__segment *s = tdm__flat_segment(p->flat, segment);
    const bool may_reshape = patterns_match(&p->reshape, s->name),
               may_widen = patterns_match(&p->widen, s->name);
    *out = renamed ? TDM__ORIGIN_RENAMED : TDM__ORIGIN_LOADED;
    if (may_widen && same_but(s, t, 0)) {
        bool edited;
        const size_t before = p->troubles;
        const tdm_status status = plan_rows(p, segment, t, &edited);
        if (edited) *out = TDM__ORIGIN_WIDENED;
        if (p->troubles > before) *out = TDM__ORIGIN_MISMATCH;
        return status;
    }
    if (same_shape(s, t)) {
        warn_of_other_classes(p, s, t);
        return TDM_OK;
    }
    *out = TDM__ORIGIN_MISMATCH;
    if (may_fit_channels(p, s, t))
        *out = TDM__ORIGIN_CHANNELS;
    else if (may_reshape && t->count == s->count)
        *out = TDM__ORIGIN_RESHAPED;
    else if (!p->skip_mismatch)
        add_mismatch(p, s, t, "");
    return TDM_OK;
}

/* What a tensor means for the segment of its (new) name. */
static tdm_status place(planner *p, size_t tensor, size_t segment, bool renamed)
{
    tdm__transfer *out = p->out;
    const tdm__segment *s = tdm__flat_segment(p->flat, segment);
    const tdm__st_tensor *t = tdm__st_at(p->st, tensor);
    if (patterns_match(&p->reinit, s->name) || (p->spec->fresh && p->spec->fresh[segment])) {
        out->origins[segment] = TDM__ORIGIN_REINIT;
        return TDM_OK;
    }
    if (out->sources[segment] != SIZE_MAX)
        return tdm_config_reject(p->config, "load.rename", "both '%s' and '%s' become '%s'",
                                 tdm__st_at(p->st, out->sources[segment])->name, t->name, s->name);
    const tdm_status status = fit(p, segment, t, renamed, &out->origins[segment]);
    if (status || out->origins[segment] == TDM__ORIGIN_MISMATCH) return status;
    out->sources[segment] = tensor;
    out->loaded++;
    return TDM_OK;
}

static tdm_status place_all(planner *p)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    for (size_t i = 0; i < tdm__st_count(p->st); i++) {
        const char *own = tdm__st_at(p->st, i)->name;
        bool renamed;
        if (is_ignored(p, own)) continue;
        if (patterns_match(&p->skip, own)) {
            p->out->skipped++;
            continue;
        }
        TDM_TRY(new_name(p, own, &name, &renamed));
        const size_t segment = tdm__flat_find(p->flat, tdm__str_text(&name));
        if (segment == SIZE_MAX || is_ignored(p, tdm__str_text(&name)))
            p->out->unused++;
        else
            TDM_TRY(place(p, i, segment, renamed));
    }
    p->out->fresh = p->out->n - p->out->loaded;
done:
    tdm__str_free(&name);
    return status;
}

/* Patterns that match parameters which no tensor came for are used all the same. */
static tdm_status check_patterns(planner *p)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < p->out->n; i++) {
        if (patterns_match(&p->reinit, p->segments[i])) p->out->origins[i] = TDM__ORIGIN_REINIT;
        patterns_match(&p->reshape, p->segments[i]);
        patterns_match(&p->widen, p->segments[i]);
    }
    TDM_TRY(patterns_check(p->config, &p->rename, p->tensors, p->n_tensors));
    TDM_TRY(patterns_check(p->config, &p->skip, p->tensors, p->n_tensors));
    TDM_TRY(patterns_check(p->config, &p->reinit, p->segments, p->out->n));
    TDM_TRY(patterns_check(p->config, &p->reshape, p->segments, p->out->n));
    TDM_TRY(patterns_check(p->config, &p->widen, p->segments, p->out->n));
done:
    return status;
}

static tdm_status report_trouble(planner *p)
{
    if (p->troubles > MAX_LISTED)
        tdm__str_addf(&p->trouble, "\n  and %zu more", p->troubles - MAX_LISTED);
    if (p->troubles)
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG, "%s is a checkpoint of another model:%s",
                                   tdm__st_path(p->st), tdm__str_text(&p->trouble)),
                         "load.widen for other outputs, load.channels for other input channels, "
                         "load.skip, load.reinit, load.rename or load.mismatch=skip");
    if (p->out->loaded) return TDM_OK;
    for (size_t i = 0; p->spec->fresh && i < p->out->n; i++)
        if (p->spec->fresh[i]) return TDM_OK; /* it was not to be loaded */
    return tdm__fail(TDM_ERR_CONFIG,
                     "%s: none of its %zu tensors is in the model (its first is '%s', the model's "
                     "first is '%s')",
                     tdm__st_path(p->st), tdm__st_count(p->st), p->n_tensors ? p->tensors[0] : "",
                     p->out->n ? p->segments[0] : "");
}

static tdm_status read_rules(planner *p)
{
    static const struct {
        const char *key;
        size_t at;
    } lists[] = {{"load.rename", offsetof(planner, rename)},
                 {"load.skip", offsetof(planner, skip)},
                 {"load.reinit", offsetof(planner, reinit)},
                 {"load.reshape", offsetof(planner, reshape)},
                 {"load.widen", offsetof(planner, widen)}};
    tdm_status status = TDM_OK;
    const char *mismatch, *classes, *rows, *channels;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        TDM_TRY(patterns_read(p->config, lists[i].key, (patterns *)((char *)p + lists[i].at)));
    TDM_TRY(tdm_config_string(p->config, "load.mismatch", &mismatch));
    TDM_TRY(tdm_config_string(p->config, "load.classes", &classes));
    TDM_TRY(tdm_config_string(p->config, "load.new_rows", &rows));
    TDM_TRY(tdm_config_string(p->config, "load.channels", &channels));
    p->skip_mismatch = !strcmp(mismatch, "skip");
    p->classes = !strcmp(classes, "auto")      ? CLASSES_AUTO
                 : !strcmp(classes, "by-name") ? CLASSES_BY_NAME
                                               : CLASSES_BY_INDEX;
    p->out->statistics = !strcmp(rows, "statistics");
    p->out->channels = !strcmp(channels, "mean")     ? TDM__CHANNELS_MEAN
                       : !strcmp(channels, "repeat") ? TDM__CHANNELS_REPEAT
                                                     : TDM__CHANNELS_ERROR;
done:
    return status;
}

tdm_status tdm__transfer_plan(const tdm__transfer_spec *spec, tdm__flat *flat, tdm__transfer *out)
{
    tdm_status status = TDM_OK;
    planner p = {.spec = spec, .config = spec->config, .flat = flat, .st = spec->st, .out = out};
    *out = (tdm__transfer){.n = tdm__flat_count(flat)};
    TDM_TRY(tdm__calloc_try(out->n, sizeof *out->origins, &out->origins));
    TDM_TRY(tdm__calloc_try(out->n, sizeof *out->sources, &out->sources));
    TDM_TRY(tdm__calloc_try(out->n, sizeof *out->rows, &out->rows));
    for (size_t i = 0; i < out->n; i++) out->sources[i] = SIZE_MAX;
    TDM_TRY(read_rules(&p));
    TDM_TRY(list_names(&p));
    TDM_TRY(place_all(&p));
    TDM_TRY(check_patterns(&p));
    TDM_TRY(report_trouble(&p));
done:
    free(p.rename.used);
    free(p.skip.used);
    free(p.reinit.used);
    free(p.reshape.used);
    free(p.widen.used);
    free(p.tensors);
    free(p.segments);
    tdm__str_free(&p.trouble);
    if (status) tdm__transfer_free(out);
    return status;
}

void tdm__transfer_free(tdm__transfer *transfer)
{
    for (size_t i = 0; transfer->rows && i < transfer->n; i++)
        tdm__row_edit_free(&transfer->rows[i]);
    free(transfer->origins);
    free(transfer->sources);
    free(transfer->rows);
    *transfer = (tdm__transfer){0};
}

/* ---- applying ---------------------------------------------------------------------------------
 */

/* The segment's values from those of its tensor, where these are not simply the same. */
static tdm_status edit(tdm__flat *flat, size_t i, const tdm__st_tensor *tensor, const float *old,
                       const tdm__transfer *t, uint64_t seed)
{
    tdm_status status = TDM_OK;
    const tdm__segment *s = tdm__flat_segment(flat, i);
    float *new = NULL;
    TDM_TRY(tdm__calloc_try(s->count, sizeof *new, &new));
    if (t->origins[i] == TDM__ORIGIN_WIDENED) {
        TDM_TRY(tdm__flat_get(flat, i, new));
        tdm__row_edit_apply(&t->rows[i], old, s->count / t->rows[i].n_new, t->statistics, seed,
                            tdm__rng_stream(s->name, 1, 0), new);
    } else {
        tdm__fit_channels(old, (size_t)s->disk.dim[0], (size_t)tensor->dims[1],
                          (size_t)s->disk.dim[1], (size_t)(s->disk.dim[2] * s->disk.dim[3]),
                          t->channels, new);
    }
    TDM_TRY(tdm__flat_set(flat, i, new));
done:
    free(new);
    return status;
}

tdm_status tdm__transfer_apply(tdm__flat *flat, const tdm__st *st, const tdm__transfer *t,
                               uint64_t seed)
{
    tdm_status status = TDM_OK;
    float *values = NULL;
    for (size_t i = 0; i < t->n; i++) {
        if (t->sources[i] == SIZE_MAX) continue;
        const tdm__st_tensor *tensor = tdm__st_at(st, t->sources[i]);
        const bool edited =
            t->origins[i] == TDM__ORIGIN_WIDENED || t->origins[i] == TDM__ORIGIN_CHANNELS;
        free(values);
        values = NULL;
        TDM_TRY(tdm__calloc_try(tensor->count, sizeof *values, &values));
        TDM_TRY(tdm__st_read(st, tensor, 0, tensor->count, TDM__TO_F32, values));
        TDM_TRY(edited ? edit(flat, i, tensor, values, t, seed) : tdm__flat_set(flat, i, values));
    }
done:
    free(values);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------
 */

/* Characters of a segment's name that name its layer. */
static size_t layer_length(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : strlen(name);
}

static bool same_row(tdm__flat *flat, const tdm__transfer *t, size_t a, size_t b)
{
    const tdm__segment *x = tdm__flat_segment(flat, a), *y = tdm__flat_segment(flat, b);
    const size_t n = layer_length(x->name);
    return x->frozen == y->frozen && (!t || t->origins[a] == t->origins[b]) &&
           n == layer_length(y->name) && !strncmp(x->name, y->name, n);
}

static void add_row(tdm__flat *flat, const tdm__st *st, const tdm__transfer *t, size_t first,
                    size_t end, tdm__str *out)
{
    uint64_t parameters = 0;
    const tdm__segment *s = tdm__flat_segment(flat, first);
    const int n = (int)layer_length(s->name);
    for (size_t i = first; i < end; i++) parameters += tdm__flat_segment(flat, i)->count;
    tdm__str_addf(out, "  %-*.*s %8zu %12" PRIu64 "  %-7s", NAME_COLUMN, n, s->name, end - first,
                  parameters, s->frozen ? "frozen" : "learnt");
    if (t) tdm__str_addf(out, " %s", tdm__origin_name(t->origins[first]));
    if (t && t->origins[first] == TDM__ORIGIN_WIDENED) {
        const tdm__row_edit *e = &t->rows[first];
        tdm__str_addf(out, " %zu -> %zu: %zu copied by %s, %zu new", e->n_old, e->n_new, e->copied,
                      e->by_name ? "class name" : "index", e->n_new - e->copied);
    }
    if (t && t->origins[first] == TDM__ORIGIN_CHANNELS)
        tdm__str_addf(out, " %" PRIu64 " -> %" PRId64 " (%s)",
                      tdm__st_at(st, t->sources[first])->dims[1], s->disk.dim[1],
                      t->channels == TDM__CHANNELS_MEAN ? "mean" : "repeated");
    if (t && t->sources[first] != SIZE_MAX) {
        const char *source = tdm__st_at(st, t->sources[first])->name;
        if (strcmp(source, s->name))
            tdm__str_addf(out, " from %.*s", (int)layer_length(source), source);
    }
    tdm__str_add(out, "\n");
}

tdm_status tdm__transfer_table(tdm__flat *flat, const tdm__st *st, const tdm__transfer *t,
                               tdm__str *out)
{
    const size_t n = tdm__flat_count(flat);
    tdm__str_addf(out, "  %-*s %8s %12s  %-7s%s\n", NAME_COLUMN, "layer", "tensors", "numbers", "",
                  t ? " weights" : "");
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first + 1; end < n && same_row(flat, t, first, end);) end++;
        add_row(flat, st, t, first, end, out);
    }
    if (t)
        tdm__str_addf(out,
                      "  %zu tensors loaded, %zu new; of the checkpoint's %zu skipped, %zu not "
                      "used\n",
                      t->loaded, t->fresh, t->skipped, t->unused);
    return tdm__str_status(out);
}

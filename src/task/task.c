/* task/task.c: options of tasks, their targets and losses. */
#include "task/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum {
    MAX_INVALID = 4, /* as many as tdm_mask_fill takes */
    MAX_PARTS = 1 << 16
};

static const tdm_opt_spec specs[] = {
    {"tasks.*.enabled", TDM_OPT_BOOL, "true", .help = "false: as if the task were not listed"},
    {"tasks.*.loss", TDM_OPT_ENUM, NULL, TDM_OPT_REQUIRED,
     .choices = "cross-entropy|nll|bce|l1|l2|huber|dice|cross-entropy+dice|bce+dice",
     .help = "what is minimised"},
    {"tasks.*.target", TDM_OPT_STRING, "",
     .help = "array that holds the labels or target values; must be given unless `make` is"},
    {"tasks.*.make", TDM_OPT_ENUM, "none",
     .choices = "none|autoencoding|denoising|rotation|flip|vflip|jigsaw|colourisation",
     .help =
         "in place of `target`: what the loader makes of the input, without labels (the task has "
         "batches of its own where that changes the input)"},
    {"tasks.*.noise", TDM_OPT_ENUM, "gaussian", .choices = "gaussian|salt-and-pepper",
     .help = "make: denoising: which noise"},
    {"tasks.*.noise_sigma", TDM_OPT_FLOAT, "0.1", TDM_OPT_MIN_OPEN, 0, .hint = "0.05 to 0.5",
     .help = "standard deviation of gaussian noise, the range of pixels being 1"},
    {"tasks.*.noise_share", TDM_OPT_FLOAT, "0.1", TDM_OPT_MIN_OPEN | TDM_OPT_MAX, 0, 1,
     .hint = "0.05 to 0.5", .help = "part of the pixels that salt-and-pepper makes black or white"},
    {"tasks.*.permutations", TDM_OPT_INT, "30", TDM_OPT_MIN | TDM_OPT_MAX, 2, TDM_MAKE_PERMUTATIONS,
     .hint = "10 to 100", .help = "make: jigsaw: orders of the tiles to tell apart"},
    {"tasks.*.tile_gap", TDM_OPT_INT, "2", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1 << 20,
     .hint = "a tenth of a tile",
     .help = "make: jigsaw: pixels by which a tile is smaller than its place"},
    {"tasks.*.mask", TDM_OPT_STRING, "",
     .help = "array whose zeros mark elements that do not count"},
    {"tasks.*.invalid", TDM_OPT_FLOATS, "[]",
     .help = "target values that do not count, e.g. [0] where depth has no reading (a pixel all of "
             "whose channels are so); NaN never counts (labels: ignore_index)"},
    {"tasks.*.target_scale", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0, .hint = "256 for pixels",
     .help = "the head learns target / target_scale; metrics and predictions are in the target's "
             "units (not for labels)"},
    {"tasks.*.weight", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0, .hint = "0.01 to 100",
     .help = "factor of the task's loss (balance.kind: fixed)"},
    {"tasks.*.ignore_index", TDM_OPT_INT, "-1", TDM_OPT_MIN | TDM_OPT_MAX, -1000000, 1000000,
     .help = "label that does not count"},
    {"tasks.*.label_smoothing", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1,
     .help = "share of the target spread over all classes"},
    {"tasks.*.class_weights", TDM_OPT_FLOATS, "[]", TDM_OPT_MIN, 0, .help = "one factor per class"},
    {"tasks.*.pos_weight", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0,
     .help = "factor of positive examples (bce)"},
    {"tasks.*.dice_smooth", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0,
     .help = "added to both sides of the Dice ratio: steadies small areas"},
    {"tasks.*.huber_delta", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0,
     .help = "where huber turns from square to linear"},
    {"tasks.*.label_map", TDM_OPT_INTS, "[]",
     .help = "new label of each old one, e.g. [2,2,0,2,1]; -1: does not count"},
    {"tasks.*.parts", TDM_OPT_ENUM, "none", .choices = "none|one-vs-rest|groups",
     .help = "also record the accuracy of parts: each class or not, or within groups of classes"},
    {"tasks.*.part_of", TDM_OPT_INTS, "[]",
     .help = "parts: groups: the group of each class; -1: none"},
    {"tasks.*.where.*", TDM_OPT_INTS, NULL, TDM_OPT_REQUIRED,
     .help = "only samples whose class in this array is one of these, e.g. where: {coarse: 3}"},
    {"tasks.*.sampling", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN, 0, .hint = "0.01 to 100",
     .help = "how often a step learns the task, relative to the others (train.sampling: weighted)"},
    {"tasks.*.role", TDM_OPT_ENUM, "target", .choices = "target|auxiliary",
     .help = "auxiliary: learnt for the targets' sake; does not select and is not tested"},
    {"tasks.*.metrics", TDM_OPT_STRINGS, "[]", .help = "what is measured; empty: by the loss"},
};
const tdm_opt_table tdm_task_options = {"tasks", specs, sizeof specs / sizeof *specs};

static const char *const loss_names[] = {
    "cross-entropy", "nll", "bce", "l1", "l2", "huber", "dice", "cross-entropy+dice", "bce+dice"};

const char *tdm__loss_name(tdm__loss_kind loss)
{
    return loss_names[loss];
}

bool tdm__loss_takes_labels(tdm__loss_kind loss)
{
    return loss == TDM__LOSS_CROSS_ENTROPY || loss == TDM__LOSS_NLL || loss == TDM__LOSS_DICE ||
           loss == TDM__LOSS_CROSS_ENTROPY_DICE;
}

bool tdm__loss_is_binary(tdm__loss_kind loss)
{
    return loss == TDM__LOSS_BCE || loss == TDM__LOSS_BCE_DICE;
}

bool tdm__loss_is_classification(tdm__loss_kind loss)
{
    return tdm__loss_takes_labels(loss) || tdm__loss_is_binary(loss);
}

/* ---- reading -----------------------------------------------------------------------------------
 */

/* Reads tasks.NAME.KEY; the key text lives until the next call. */
typedef struct reader {
    const tdm_config *config;
    const char *task;
    tdm__str key;
    tdm_status status;
} reader;

static const char *key_of(reader *r, const char *key)
{
    r->key.length = 0;
    tdm__str_addf(&r->key, "tasks.%s.%s", r->task, key);
    if (!r->status) r->status = tdm__str_status(&r->key);
    return tdm__str_text(&r->key);
}

static double read_float(reader *r, const char *key)
{
    double v = 0;
    key = key_of(r, key);
    if (!r->status) r->status = tdm_config_float(r->config, key, &v);
    return v;
}

static const char *read_string(reader *r, const char *key)
{
    const char *v = "";
    key = key_of(r, key);
    if (!r->status) r->status = tdm_config_string(r->config, key, &v);
    return v;
}

static tdm_status add_metric(tdm__task *t, const tdm__metric *metric)
{
    if (t->n_metrics == TDM__TASK_METRICS)
        return tdm__fail(TDM_ERR_CONFIG, "at most %d metrics a task", TDM__TASK_METRICS);
    t->metrics[t->n_metrics++] = metric;
    t->meters |= 1u << metric->meter;
    return TDM_OK;
}

static bool metric_fits(const tdm__metric *metric, tdm__loss_kind loss)
{
    switch (metric->meter) {
    case TDM__METER_TOP5:
        return tdm__loss_takes_labels(loss);
    case TDM__METER_ACCURACY:
    case TDM__METER_CONFUSION:
        return tdm__loss_is_classification(loss);
    case TDM__METER_REGRESSION:
        return !tdm__loss_takes_labels(loss);
    default:
        return !tdm__loss_is_classification(loss);
    }
}

static tdm_status unknown_metric(reader *r, const tdm__task *t, const char *name)
{
    const char *names[64];
    size_t n = 0;
    tdm__str list = {0};
    for (const tdm__metric *m = tdm__metrics; m->name && n < 64; m++) {
        if (!metric_fits(m, t->loss)) continue;
        tdm__str_addf(&list, "%s%s", n ? ", " : "", m->name);
        names[n++] = m->name;
    }
    const char *near = tdm__suggest(name, names, n);
    const tdm__metric *known = tdm__metric_find(name);
    tdm_status status;
    if (known)
        status = tdm_config_reject(r->config, key_of(r, "metrics"),
                                   "'%s' does not go with loss %s (these do: %s)", name,
                                   tdm__loss_name(t->loss), tdm__str_text(&list));
    else if (near)
        status = tdm_config_reject(r->config, key_of(r, "metrics"),
                                   "no metric '%s' (did you mean '%s'?)", name, near);
    else
        status = tdm_config_reject(r->config, key_of(r, "metrics"), "no metric '%s' (there are %s)",
                                   name, tdm__str_text(&list));
    tdm__str_free(&list);
    return status;
}

static tdm_status read_metrics(reader *r, tdm__task *t)
{
    const char *const *names = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_strings(r->config, key_of(r, "metrics"), &names, &n));
    t->metrics_default = n == 0;
    for (size_t i = 0; i < n; i++) {
        const tdm__metric *metric = tdm__metric_find(names[i]);
        if (!metric || !metric_fits(metric, t->loss)) {
            status = unknown_metric(r, t, names[i]);
            goto done;
        }
        TDM_TRY(add_metric(t, metric));
    }
done:
    return status;
}

/* The metrics of a kind of target; the list ends with NULL. */
static const char *const *default_metrics(tdm__loss_kind loss, tdm_array_kind kind)
{
    static const char *const classes[] = {"accuracy", NULL};
    static const char *const masks[] = {"miou", "pixel_accuracy", NULL};
    static const char *const answers[] = {"accuracy", "balanced_accuracy", "f1", "majority", NULL};
    static const char *const binary_masks[] = {"iou", "dice", "pixel_accuracy", NULL};
    static const char *const depths[] = {"abs_error", "rel_error", "rmse", "delta1", NULL};
    static const char *const boxes[] = {"box_iou", "box_l1", NULL};
    static const char *const images[] = {"l1", "l2", "psnr", NULL};
    static const char *const values[] = {"l1", "l2", NULL};
    if (tdm__loss_takes_labels(loss)) return kind == TDM_ARRAY_MASK ? masks : classes;
    if (kind == TDM_ARRAY_IMAGE) return images;
    if (tdm__loss_is_binary(loss)) return kind == TDM_ARRAY_MASK ? binary_masks : answers;
    return kind == TDM_ARRAY_DEPTH ? depths : kind == TDM_ARRAY_BOX ? boxes : values;
}

tdm_status tdm__task_default_metrics(tdm__task *t, tdm_array_kind kind)
{
    tdm_status status = TDM_OK;
    if (!t->metrics_default) return TDM_OK;
    for (const char *const *name = default_metrics(t->loss, kind); *name; name++)
        TDM_TRY(add_metric(t, tdm__metric_find(*name)));
done:
    return status;
}

enum { REPORTED_CLASSES = 256 };

void tdm__task_count_classes(tdm__task *t)
{
    if (tdm__loss_is_classification(t->loss) && t->classes > 0 && t->classes <= REPORTED_CLASSES)
        t->meters |= 1u << TDM__METER_CONFUSION;
}

static tdm__loss_kind loss_by_name(const char *name)
{
    int kind = 0;
    while (strcmp(loss_names[kind], name)) kind++; /* the option table allows no other name */
    return (tdm__loss_kind)kind;
}

static tdm_status read_parts(reader *r, tdm__task *t)
{
    const char *kind = read_string(r, "parts");
    tdm_status status = r->status;
    TDM_TRY(status);
    t->parts = !strcmp(kind, "groups")        ? TDM__PARTS_GROUPS
               : !strcmp(kind, "one-vs-rest") ? TDM__PARTS_ONE_VS_REST
                                              : TDM__PARTS_NONE;
    TDM_TRY(tdm_config_ints(r->config, key_of(r, "part_of"), &t->part_of, &t->n_part_of));
    if ((t->parts == TDM__PARTS_GROUPS) != (t->n_part_of > 0))
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "part_of"), "goes with parts: groups"));
    if (t->parts && !tdm__loss_takes_labels(t->loss))
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "parts"),
                                  "goes with cross-entropy and nll only"));
    if (t->parts == TDM__PARTS_ONE_VS_REST) t->meters |= 1u << TDM__METER_CONFUSION;
    for (size_t i = 0; i < t->n_part_of; i++) {
        if (t->part_of[i] < -1 || t->part_of[i] >= MAX_PARTS)
            TDM_TRY(tdm_config_reject(r->config, key_of(r, "part_of"),
                                      "value %zu must be -1 or a group below %d", i, MAX_PARTS));
        if (t->part_of[i] >= (int64_t)t->n_parts) t->n_parts = (size_t)t->part_of[i] + 1;
    }
    if (t->parts == TDM__PARTS_GROUPS && t->n_parts == 0)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "part_of"), "no class has a group"));
done:
    return status;
}

static tdm_status read_where(reader *r, tdm__task *t)
{
    tdm_status status = TDM_OK;
    const char *const *arrays = NULL;
    size_t n = 0;
    tdm__str key = {0};
    TDM_TRY(tdm_config_members(r->config, key_of(r, "where"), &arrays, &n));
    TDM_TRY(tdm__calloc_try(n, sizeof *t->where, &t->where));
    for (; t->n_where < n; t->n_where++) {
        tdm_split_where *w = &t->where[t->n_where];
        w->array = arrays[t->n_where];
        key.length = 0;
        tdm__str_addf(&key, "%s.%s", key_of(r, "where"), w->array);
        TDM_TRY(tdm__str_status(&key));
        TDM_TRY(tdm_config_ints(r->config, tdm__str_text(&key), &w->values, &w->n_values));
        if (w->n_values == 0)
            TDM_TRY(tdm_config_reject(r->config, tdm__str_text(&key), "names no value"));
    }
done:
    tdm__str_free(&key);
    return status;
}

bool tdm__same_samples(const tdm__task *a, const tdm__task *b)
{
    if (a == b) return true;
    if (tdm_make_changes_input(a->make.kind) || tdm_make_changes_input(b->make.kind)) return false;
    if (a->n_where != b->n_where) return false;
    for (size_t i = 0; i < a->n_where; i++) {
        const tdm_split_where *x = &a->where[i], *y = &b->where[i];
        if (strcmp(x->array, y->array) || x->n_values != y->n_values ||
            memcmp(x->values, y->values, x->n_values * sizeof *x->values))
            return false;
    }
    return true;
}

/* ---- making ------------------------------------------------------------------------------------
 */

/* Keys that the maker would not read: given, they are a mistake. */
static tdm_status refuse_unmade(reader *r, const tdm_make *make)
{
    const bool noise = make->kind == TDM_MAKE_DENOISING, jigsaw = make->kind == TDM_MAKE_JIGSAW,
               salt = noise && make->noise == TDM_MAKE_SALT_AND_PEPPER;
    const struct {
        const char *key, *with;
        bool used;
    } keys[] = {{"noise", "make: denoising", noise},
                {"noise_sigma", "make: denoising, noise: gaussian", noise && !salt},
                {"noise_share", "make: denoising, noise: salt-and-pepper", salt},
                {"permutations", "make: jigsaw", jigsaw},
                {"tile_gap", "make: jigsaw", jigsaw}};
    tdm_status status = r->status;
    TDM_TRY(status);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!keys[i].used && tdm_config_given(r->config, key_of(r, keys[i].key)))
            TDM_TRY(tdm_config_reject(r->config, key_of(r, keys[i].key), "goes with %s only",
                                      keys[i].with));
done:
    return status;
}

static tdm_make_kind make_by_name(const char *name)
{
    int kind = TDM_MAKE_NONE;
    while (strcmp(tdm_make_name((tdm_make_kind)kind), name)) kind++; /* as loss_by_name */
    return (tdm_make_kind)kind;
}

/* Whether target, make and loss go together. */
static tdm_status check_make(reader *r, const tdm__task *t)
{
    tdm_status status = r->status;
    const bool made = t->make.kind != TDM_MAKE_NONE;
    const char *what = tdm_make_name(t->make.kind);
    TDM_TRY(status);
    if (made == (*t->target != 0))
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "target"),
                                  made ? "is made of the input (hint: give either target or make: "
                                         "%s)"
                                       : "must be given: an array of the data",
                                  what));
    if (!made) goto done;
    if (tdm_make_classes(&t->make) && !tdm__loss_takes_labels(t->loss))
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "loss"),
                                  "make: %s makes classes (hint: cross-entropy)", what));
    if (!tdm_make_classes(&t->make) && tdm__loss_takes_labels(t->loss))
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "loss"),
                                  "make: %s has the picture as its target (hint: l1 or l2)", what));
done:
    return status;
}

static tdm_status name_made(const tdm__task *t, const char *what, char **out)
{
    tdm__str name = {0};
    tdm__str_addf(&name, "%s.%s", t->name, what);
    *out = name.text;
    return tdm__str_status(&name);
}

static tdm_status read_make(reader *r, tdm__task *t)
{
    tdm_status status = TDM_OK;
    int64_t permutations, gap;
    tdm_make *make = &t->make;
    make->kind = make_by_name(read_string(r, "make"));
    make->noise =
        strcmp(read_string(r, "noise"), "gaussian") ? TDM_MAKE_SALT_AND_PEPPER : TDM_MAKE_GAUSSIAN;
    make->sigma = read_float(r, "noise_sigma");
    make->share = read_float(r, "noise_share");
    TDM_TRY(r->status);
    TDM_TRY(tdm_config_int(r->config, key_of(r, "permutations"), &permutations));
    TDM_TRY(tdm_config_int(r->config, key_of(r, "tile_gap"), &gap));
    make->permutations = (uint32_t)permutations;
    make->gap = (uint32_t)gap;
    TDM_TRY(check_make(r, t));
    TDM_TRY(refuse_unmade(r, make));
    make->name = t->name;
    if (tdm_make_changes_input(make->kind)) TDM_TRY(name_made(t, "input", &t->made_input));
    if (tdm_make_classes(make)) TDM_TRY(name_made(t, "label", &t->made_label));
    if (t->made_label) t->target = t->made_label;
done:
    return status;
}

/* Keys that the task's loss would not read: given, they are a mistake. */
static tdm_status refuse_unused(reader *r, const tdm__task *t)
{
    tdm_status status = TDM_OK;
    const bool weighs = tdm__loss_takes_labels(t->loss) && t->loss != TDM__LOSS_DICE;
    if (!weighs && t->n_class_weights)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "class_weights"), "does not go with loss %s",
                                  tdm__loss_name(t->loss)));
    if (!weighs && t->label_smoothing != 0)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "label_smoothing"),
                                  "does not go with loss %s", tdm__loss_name(t->loss)));
    if (tdm__loss_takes_labels(t->loss) && t->n_invalid)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "invalid"),
                                  "goes with values only (hint: ignore_index)"));
    if (t->n_invalid > MAX_INVALID)
        TDM_TRY(
            tdm_config_reject(r->config, key_of(r, "invalid"), "at most %d values", MAX_INVALID));
    if (tdm__loss_is_classification(t->loss) && t->target_scale != 1)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "target_scale"), "goes with values only"));
    if (!tdm__loss_takes_labels(t->loss) && t->n_label_map)
        TDM_TRY(tdm_config_reject(r->config, key_of(r, "label_map"),
                                  "goes with cross-entropy and nll only"));
done:
    return status;
}

static tdm_status read_task(const tdm_config *config, const char *name, tdm__task *t)
{
    reader r = {.config = config, .task = name};
    int64_t ignore = 0;
    t->name = tdm__strdup(name);
    if (!t->name) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    const char *loss = read_string(&r, "loss");
    t->target = read_string(&r, "target");
    t->mask = read_string(&r, "mask");
    if (!*t->mask) t->mask = NULL;
    t->weight = read_float(&r, "weight");
    t->label_smoothing = read_float(&r, "label_smoothing");
    t->huber_delta = read_float(&r, "huber_delta");
    t->pos_weight = read_float(&r, "pos_weight");
    t->sampling = read_float(&r, "sampling");
    t->auxiliary = !strcmp(read_string(&r, "role"), "auxiliary");
    t->target_scale = read_float(&r, "target_scale");
    t->dice_smooth = read_float(&r, "dice_smooth");
    tdm_status status = r.status;
    TDM_TRY(status);
    t->loss = loss_by_name(loss);
    TDM_TRY(read_make(&r, t));
    TDM_TRY(tdm_config_int(config, key_of(&r, "ignore_index"), &ignore));
    t->ignore_index = (int32_t)ignore;
    TDM_TRY(tdm_config_floats(config, key_of(&r, "class_weights"), &t->class_weights,
                              &t->n_class_weights));
    TDM_TRY(tdm_config_ints(config, key_of(&r, "label_map"), &t->label_map, &t->n_label_map));
    TDM_TRY(tdm_config_floats(config, key_of(&r, "invalid"), &t->invalid, &t->n_invalid));
    TDM_TRY(refuse_unused(&r, t));
    for (size_t i = 0; i < t->n_label_map; i++)
        if (t->label_map[i] < -1 || t->label_map[i] > 1 << 20)
            TDM_TRY(tdm_config_reject(config, key_of(&r, "label_map"),
                                      "value %zu must be -1 or a class", i));
    TDM_TRY(read_where(&r, t));
    TDM_TRY(read_parts(&r, t));
    TDM_TRY(read_metrics(&r, t));
done:
    tdm__str_free(&r.key);
    return status;
}

tdm_status tdm__tasks_read(const tdm_config *config, tdm__task **out, size_t *n)
{
    tdm_status status = TDM_OK;
    const char *const *names = NULL;
    size_t n_names = 0;
    tdm__task *tasks = NULL;
    *out = NULL;
    *n = 0;
    TDM_TRY(tdm_config_members(config, "tasks", &names, &n_names));
    TDM_TRY(tdm__calloc_try(n_names, sizeof *tasks, &tasks));
    for (size_t i = 0; i < n_names; i++) {
        tdm__str key = {0};
        bool enabled = false;
        tdm__str_addf(&key, "tasks.%s.enabled", names[i]);
        status = tdm__str_status(&key);
        if (!status) status = tdm_config_bool(config, tdm__str_text(&key), &enabled);
        tdm__str_free(&key);
        TDM_TRY(status);
        if (!enabled) continue;
        ++*n;
        TDM_TRY(read_task(config, names[i], &tasks[*n - 1]));
    }
    if (*n == 0)
        TDM_TRY(tdm__fail(
            TDM_ERR_CONFIG,
            n_names
                ? "no task is enabled"
                : "no tasks are given "
                  "(hint: tasks: {class: {head: linear, loss: cross-entropy, target: labels}})"));
    *out = tasks;
    tasks = NULL;
done:
    if (tasks) tdm__tasks_destroy(NULL, &tasks, *n);
    return status;
}

/* ---- device side -------------------------------------------------------------------------------
 */

static tdm_status upload_weights(tdm_device *device, tdm__task *t)
{
    tdm_status status = TDM_OK;
    float *values = NULL;
    const size_t n = t->n_class_weights;
    if ((int64_t)n != t->classes)
        return tdm__fail(TDM_ERR_CONFIG, "tasks.%s.class_weights: %zu values for %lld classes",
                         t->name, n, (long long)t->classes);
    TDM_TRY(tdm__calloc_try(n, sizeof *values, &values));
    for (size_t i = 0; i < n; i++) values[i] = (float)t->class_weights[i];
    TDM_TRY(
        tdm__buffer_create(device, n * sizeof *values, false, "class weights", &t->weights_buffer));
    TDM_TRY(
        tdm__view_write(device, (tdm__view){&t->weights_buffer, 0}, values, n * sizeof *values));
done:
    free(values);
    return status;
}

static tdm_status upload_numbers(tdm_device *device, const int64_t *numbers, size_t n,
                                 const char *what, tdm__buffer *out)
{
    tdm_status status = TDM_OK;
    int32_t *values = NULL;
    TDM_TRY(tdm__calloc_try(n, sizeof *values, &values));
    for (size_t i = 0; i < n; i++) values[i] = (int32_t)numbers[i];
    TDM_TRY(tdm__buffer_create(device, n * sizeof *values, false, what, out));
    TDM_TRY(tdm__view_write(device, (tdm__view){out, 0}, values, n * sizeof *values));
done:
    free(values);
    return status;
}

static tdm_status upload_map(tdm_device *device, tdm__task *t)
{
    for (size_t i = 0; i < t->n_label_map; i++)
        if (t->classes && t->label_map[i] >= t->classes)
            return tdm__fail(TDM_ERR_CONFIG, "tasks.%s.label_map: class %d, but the task has %lld",
                             t->name, (int)t->label_map[i], (long long)t->classes);
    return upload_numbers(device, t->label_map, t->n_label_map, "label map", &t->map_buffer);
}

static tdm_status upload_parts(tdm_device *device, tdm__task *t)
{
    if ((int64_t)t->n_part_of != t->classes)
        return tdm__fail(TDM_ERR_CONFIG, "tasks.%s.part_of: %zu values for %lld classes", t->name,
                         t->n_part_of, (long long)t->classes);
    return upload_numbers(device, t->part_of, t->n_part_of, "parts of classes", &t->part_buffer);
}

tdm_status tdm__tasks_upload(tdm_device *device, tdm__task *tasks, size_t n)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n; i++) {
        if (tasks[i].n_class_weights) TDM_TRY(upload_weights(device, &tasks[i]));
        if (tasks[i].n_label_map) TDM_TRY(upload_map(device, &tasks[i]));
        if (tasks[i].n_part_of) TDM_TRY(upload_parts(device, &tasks[i]));
    }
done:
    return status;
}

void tdm__tasks_destroy(tdm_device *device, tdm__task **tasks, size_t n)
{
    if (!*tasks) return;
    for (size_t i = 0; i < n; i++) {
        tdm__task *t = &(*tasks)[i];
        free(t->name);
        free(t->where);
        free(t->made_input);
        free(t->made_label);
        if (!device) continue;
        tdm__buffer_destroy(device, &t->weights_buffer);
        tdm__buffer_destroy(device, &t->map_buffer);
        tdm__buffer_destroy(device, &t->part_buffer);
    }
    free(*tasks);
    *tasks = NULL;
}

/* ---- graph side --------------------------------------------------------------------------------
 */

static tdm_value label_target(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target)
{
    const tdm_desc *p = tdm_graph_desc(g, pred), *d = tdm_graph_desc(g, target);
    if (!p || !d) return TDM_NO_VALUE;
    int64_t leading = 1;
    for (int i = 0; i < p->rank - 1; i++) leading *= p->dim[i];
    char a[64], b[64];
    if (d->dtype != TDM_I32 || tdm_desc_count(d) != leading)
        return tdm_graph_fail(
            g, TDM_ERR_SHAPE, "task '%s': labels '%s' are %s, but the prediction is %s", t->name,
            t->target, tdm_desc_text(d, a, sizeof a), tdm_desc_text(p, b, sizeof b));
    return tdm_reshape(g, target, p->rank - 1, p->dim);
}

static tdm_value mapped(const tdm__task *t, tdm_graph *g, tdm_value target)
{
    const tdm_value map =
        tdm_graph_variable(g, "label_map", tdm_desc_1(TDM_I32, (int64_t)t->n_label_map), false);
    tdm__graph_place(g, map, (tdm__view){(tdm__buffer *)&t->map_buffer, 0});
    return tdm_label_map(g, target, map);
}

/* The mask in a shape that goes with the target: one value per element, per pixel or per sample. */
static tdm_value fit_mask(tdm_graph *g, tdm_value mask, tdm_value target)
{
    const tdm_desc *m = tdm_graph_desc(g, mask), *t = tdm_graph_desc(g, target);
    if (!m || !t || t->rank == 0) return mask;
    tdm_desc want = *t;
    if (tdm_desc_count(m) != tdm_desc_count(t)) want.dim[want.rank - 1] = 1;
    if (tdm_desc_count(m) == tdm_desc_count(&want))
        return tdm_reshape(g, mask, want.rank, want.dim);
    return tdm_desc_count(m) == t->dim[0] ? tdm_reshape(g, mask, 1, t->dim) : mask;
}

/* `fill` in place of what does not count. */
static tdm_value leave_out(const tdm__task *t, tdm_graph *g, tdm_value target, tdm_value mask,
                           float fill)
{
    float invalid[MAX_INVALID];
    if (mask == TDM_NO_VALUE && !t->n_invalid) return target;
    for (size_t i = 0; i < t->n_invalid; i++) invalid[i] = (float)t->invalid[i];
    if (mask != TDM_NO_VALUE) mask = fit_mask(g, mask, target);
    return tdm_mask_fill(g, target, mask, invalid, (int)t->n_invalid, fill);
}

static tdm_value value_target(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target)
{
    const tdm_desc *p = tdm_graph_desc(g, pred), *d = tdm_graph_desc(g, target);
    if (!p || !d) return TDM_NO_VALUE;
    char a[64], b[64];
    if (tdm_desc_count(p) != tdm_desc_count(d))
        return tdm_graph_fail(
            g, TDM_ERR_SHAPE, "task '%s': target '%s' is %s, but the prediction is %s", t->name,
            t->target, tdm_desc_text(d, a, sizeof a), tdm_desc_text(p, b, sizeof b));
    const tdm_desc want = *p; /* further nodes move what p points to */
    if (d->dtype == TDM_U8) { /* pixels become [0,1] */
        float scale[16], shift[16] = {0};
        const int64_t c = d->dim[d->rank - 1];
        for (int i = 0; i < 16; i++) scale[i] = 1 / 255.0f;
        if (d->rank != 4 || c > 16)
            return tdm_graph_fail(g, TDM_ERR_SHAPE,
                                  "task '%s': byte target '%s' must be an image of "
                                  "at most 16 channels, is %s",
                                  t->name, t->target, tdm_desc_text(d, a, sizeof a));
        target = tdm_normalize(g, target, scale, shift, (int)c);
    }
    return tdm_reshape(g, target, want.rank, want.dim);
}

tdm_value tdm__task_target(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target,
                           tdm_value mask)
{
    if (tdm__loss_takes_labels(t->loss)) {
        target = leave_out(t, g, label_target(t, g, pred, target), mask, -1);
        return t->n_label_map ? mapped(t, g, target) : target;
    }
    target = leave_out(t, g, value_target(t, g, pred, target), mask, NAN);
    return t->target_scale == 1 ? target : tdm_scale(g, target, (float)(1 / t->target_scale));
}

/* Dice counts a row once, for the class of its label: one output, or one for each class. */
static tdm_value dice(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target)
{
    const tdm_desc *p = tdm_graph_desc(g, pred);
    const int64_t outputs = p && p->rank > 0 ? p->dim[p->rank - 1] : 1;
    if (t->loss == TDM__LOSS_BCE_DICE && outputs != 1)
        return tdm_graph_fail(g, TDM_ERR_CONFIG,
                              "tasks.%s.loss: bce+dice is for one output, the head gives %lld "
                              "(hint: cross-entropy+dice for classes, bce for independent outputs)",
                              t->name, (long long)outputs);
    if (outputs > TDM_DICE_CLASSES)
        return tdm_graph_fail(g, TDM_ERR_CONFIG,
                              "tasks.%s.loss: Dice takes at most %d classes, the head gives %lld "
                              "(hint: cross-entropy)",
                              t->name, TDM_DICE_CLASSES, (long long)outputs);
    return tdm_dice_loss(g, tdm__task_output(t, g, pred), target, t->ignore_index,
                         (float)t->dice_smooth);
}

/* The loss, or the first of a sum of two. */
static tdm_value main_loss(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target)
{
    const tdm_cross_entropy_attrs ce = {t->ignore_index, (float)t->label_smoothing};
    const tdm_value none = TDM_NO_VALUE;
    tdm_value weights = none;
    if (tdm__loss_takes_labels(t->loss) && t->n_class_weights) {
        weights = tdm_graph_variable(g, "class_weights", tdm_desc_1(TDM_F32, t->classes), false);
        tdm__graph_place(g, weights, (tdm__view){(tdm__buffer *)&t->weights_buffer, 0});
    }
    switch (t->loss) {
    case TDM__LOSS_CROSS_ENTROPY:
    case TDM__LOSS_CROSS_ENTROPY_DICE:
        return tdm_cross_entropy(g, pred, target, weights, &ce);
    case TDM__LOSS_NLL:
        return tdm_nll(g, tdm_log_softmax(g, pred), target, weights, &ce);
    case TDM__LOSS_BCE:
    case TDM__LOSS_BCE_DICE:
        return tdm_bce_with_logits(g, pred, target, none, (float)t->pos_weight);
    case TDM__LOSS_L1:
        return tdm_l1_loss(g, pred, target, none);
    case TDM__LOSS_L2:
        return tdm_l2_loss(g, pred, target, none);
    case TDM__LOSS_HUBER:
        return tdm_huber_loss(g, pred, target, none, (float)t->huber_delta);
    case TDM__LOSS_DICE:
        return dice(t, g, pred, target);
    }
    return none;
}

tdm__loss_value tdm__task_loss(const tdm__task *t, tdm_graph *g, tdm_value pred, tdm_value target)
{
    const tdm_value loss = main_loss(t, g, pred, target);
    if (t->loss != TDM__LOSS_CROSS_ENTROPY_DICE && t->loss != TDM__LOSS_BCE_DICE)
        return (tdm__loss_value){loss, tdm_loss_total(g, loss)};
    /* Both leave out the same elements; Dice counts them whatever their classes weigh. */
    const tdm_value more = dice(t, g, pred, target);
    return (tdm__loss_value){tdm_add(g, loss, more), tdm_loss_total(g, more)};
}

tdm_value tdm__task_output(const tdm__task *t, tdm_graph *g, tdm_value pred)
{
    const tdm_desc *d = tdm_graph_desc(g, pred);
    if (!d) return TDM_NO_VALUE;
    if (tdm__loss_is_binary(t->loss) ||
        (tdm__loss_takes_labels(t->loss) && d->dim[d->rank - 1] == 1))
        return tdm_sigmoid(g, pred);
    if (tdm__loss_takes_labels(t->loss)) return tdm_softmax(g, pred);
    return t->target_scale == 1 ? pred : tdm_scale(g, pred, (float)t->target_scale);
}

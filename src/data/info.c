/* `data info`: what a data set holds, as text or JSON, after reading all of it once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/dataset.h"
#include "format/json.h"

#define BLOCK_BYTES ((uint64_t)4 << 20)
enum {
    LABELS = 1024, /* counted at least: values that are no classes should show, too */
    SHOWN = 24,    /* classes whose counts are shown as text; more are summed up */
    MOST_SPLITS = 64
};

/* What a scan of one array finds. counts[i] is how often the whole number i - 1 occurs. */
typedef struct summary {
    double low, high, sum, squares;
    uint64_t finite, nan, infinite;
    bool counted; /* class and mask arrays */
    uint64_t *counts, n_counts, uncounted;
} summary;

static void summary_free(summary *s)
{
    free(s->counts);
    *s = (summary){0};
}

static void add_values(summary *s, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(v[i])) {
            *(isnan(v[i]) ? &s->nan : &s->infinite) += 1;
            continue;
        }
        if (!s->finite || v[i] < s->low) s->low = v[i];
        if (!s->finite || v[i] > s->high) s->high = v[i];
        s->finite++;
        s->sum += v[i];
        s->squares += v[i] * v[i];
        if (!s->counted) continue;
        if (v[i] >= -1 && v[i] < (double)s->n_counts - 1 && v[i] == floor(v[i]))
            s->counts[(int)v[i] + 1]++;
        else
            s->uncounted++;
    }
}

static double mean_of(const summary *s)
{
    return s->sum / (double)s->finite;
}

static double deviation_of(const summary *s)
{
    double mean = mean_of(s), variance = s->squares / (double)s->finite - mean * mean;
    return variance > 0 ? sqrt(variance) : 0;
}

static tdm_status scan(const tdm_dataset *ds, size_t index, summary *out)
{
    const tdm_array_info *info = tdm_dataset_array(ds, index);
    uint64_t n = tdm_dataset_length(ds), most = BLOCK_BYTES / (info->elems * sizeof(double));
    double *block = NULL;
    uint64_t *rows = NULL;
    tdm_status status = TDM_OK;
    out->counted = info->kind == TDM_ARRAY_CLASS || info->kind == TDM_ARRAY_MASK;
    out->n_counts = info->classes < LABELS ? LABELS : info->classes + 1;
    if (!most) most = 1;
    TDM_TRY(tdm__calloc_try(out->counted ? (size_t)out->n_counts : 0, sizeof *out->counts,
                            &out->counts));
    TDM_TRY(tdm__calloc_try((size_t)(most * info->elems), sizeof *block, &block));
    TDM_TRY(tdm__calloc_try((size_t)most, sizeof *rows, &rows));
    for (uint64_t at = 0; at < n; at += most) {
        uint64_t count = n - at < most ? n - at : most;
        for (uint64_t i = 0; i < count; i++) rows[i] = at + i;
        TDM_TRY(tdm__dataset_read_unchecked(ds, index, rows, (size_t)count, TDM__TO_F64, block));
        add_values(out, block, (size_t)(count * info->elems));
    }
done:
    free(block);
    free(rows);
    return status;
}

/* Text
 * --------------------------------------------------------------------------------------------- */

static const char *layout_name(const tdm__h5_info *h5)
{
    switch (h5->layout) {
    case TDM__H5_COMPACT:
        return "compact";
    case TDM__H5_CONTIGUOUS:
        return "contiguous";
    case TDM__H5_CHUNKED:
        return "chunked";
    case TDM__H5_VIRTUAL:
        return "virtual";
    }
    return "?";
}

static void add_sizes(tdm__str *s, const uint64_t *sizes, int n)
{
    for (int i = 0; i < n; i++)
        tdm__str_addf(s, "%s%llu", i ? " x " : "", (unsigned long long)sizes[i]);
}

static const char *class_name(const tdm_array_info *info, size_t position)
{
    bool named = info->class_names && position >= 1 && position - 1 < info->classes;
    return named ? info->class_names[position - 1] : NULL;
}

static void text_label(tdm__str *s, const tdm_array_info *info, size_t position)
{
    const char *name = class_name(info, position);
    tdm__str_addf(s, "%lld", (long long)position - 1);
    if (name) tdm__str_addf(s, " (%s)", name);
}

/* "1600 of 1623 classes, 12 (cat) 3 .. 40 (dog) 16, mean 15.9": the rarest and the commonest. */
static void text_spread(tdm__str *s, const tdm_array_info *info, const summary *sum)
{
    size_t rarest = 0, commonest = 0;
    uint64_t present = 0, total = 0;
    for (size_t i = 0; i < sum->n_counts; i++) {
        if (!sum->counts[i]) continue;
        if (!present || sum->counts[i] < sum->counts[rarest]) rarest = i;
        if (!present || sum->counts[i] > sum->counts[commonest]) commonest = i;
        present++;
        total += sum->counts[i];
    }
    tdm__str_addf(s, " %llu", (unsigned long long)present);
    if (info->classes) tdm__str_addf(s, " of %llu", (unsigned long long)info->classes);
    tdm__str_add(s, " classes occur");
    if (sum->counts[rarest] == sum->counts[commonest]) {
        tdm__str_addf(s, ", each %llu times", (unsigned long long)sum->counts[rarest]);
        return;
    }
    tdm__str_addf(s, ", %.4g times in the mean; least ", (double)total / (double)present);
    text_label(s, info, rarest);
    tdm__str_addf(s, " %llu, most ", (unsigned long long)sum->counts[rarest]);
    text_label(s, info, commonest);
    tdm__str_addf(s, " %llu", (unsigned long long)sum->counts[commonest]);
}

static void text_counts(tdm__str *s, const tdm_array_info *info, const summary *sum)
{
    size_t present = 0;
    const char *separator = " ";
    for (size_t i = 0; i < sum->n_counts; i++) present += sum->counts[i] != 0;
    tdm__str_add(s, "      counts:");
    if (present > SHOWN) text_spread(s, info, sum);
    for (size_t i = 0; i < sum->n_counts && present <= SHOWN; i++) {
        if (!sum->counts[i]) continue;
        tdm__str_add(s, separator);
        text_label(s, info, i);
        tdm__str_addf(s, " %llu", (unsigned long long)sum->counts[i]);
        separator = ", ";
    }
    if (sum->uncounted)
        tdm__str_addf(s, "%sother values %llu", present > SHOWN ? ", " : separator,
                      (unsigned long long)sum->uncounted);
    tdm__str_add(s, "\n");
}

/* "1623, first Angelic/character01, last ULOG/character26; grouped by alphabet" */
static void text_classes(tdm__str *s, const tdm_array_info *info)
{
    tdm__str_addf(s, "      classes: %llu", (unsigned long long)info->classes);
    if (info->class_names && info->classes > SHOWN)
        tdm__str_addf(s, ", from %s to %s", info->class_names[0],
                      info->class_names[info->classes - 1]);
    if (info->group) tdm__str_addf(s, "; each belongs to a class of %s", info->group);
    tdm__str_add(s, "\n");
}

static void text_storage(tdm__str *s, const tdm__reader *reader)
{
    const tdm__h5_info *h5 = reader->h5;
    tdm__str_addf(s, "\n      stored: %s", h5 ? layout_name(h5) : "a .npy file a sample");
    if (h5 && h5->layout == TDM__H5_CHUNKED) {
        tdm__str_add(s, " by ");
        add_sizes(s, h5->chunk, h5->rank);
    }
    for (size_t i = 0; h5 && i < h5->n_filters; i++) tdm__str_addf(s, ", %s", h5->filters[i].name);
    tdm__str_addf(s, "; a random row reads %.3g times its size%s\n", reader->amplification,
                  reader->parallel ? "" : ", through the HDF5 library only");
}

static void text_array(tdm__str *s, const tdm_dataset *ds, size_t index, const summary *sum)
{
    const tdm_array_info *info = tdm_dataset_array(ds, index);
    const tdm__reader *reader = tdm__dataset_reader(ds, index);
    tdm__str_addf(s, "  %s: %s, %s, ", info->name, tdm_array_kind_name(info->kind), info->dtype);
    add_sizes(s, reader->dims, reader->rank);
    text_storage(s, reader);
    if (sum->finite)
        tdm__str_addf(s, "      values: %.6g..%.6g, mean %.6g, deviation %.6g", sum->low, sum->high,
                      mean_of(sum), deviation_of(sum));
    else
        tdm__str_add(s, "      values: none are finite");
    if (sum->nan) tdm__str_addf(s, ", NaN %llu", (unsigned long long)sum->nan);
    if (sum->infinite) tdm__str_addf(s, ", infinite %llu", (unsigned long long)sum->infinite);
    tdm__str_add(s, "\n");
    if (info->classes) text_classes(s, info);
    if (sum->counted) text_counts(s, info, sum);
}

/* JSON
 * --------------------------------------------------------------------------------------------- */

static void write_sizes(tdm__json *j, const char *key, const uint64_t *sizes, int n)
{
    tdm__json_key(j, key);
    tdm__json_open(j, '[');
    for (int i = 0; i < n; i++) tdm__json_uint(j, sizes[i]);
    tdm__json_close(j, ']');
}

static void write_field(tdm__json *j, const char *key, double value)
{
    tdm__json_key(j, key);
    tdm__json_number(j, value);
}

static void write_text(tdm__json *j, const char *key, const char *text)
{
    tdm__json_key(j, key);
    tdm__json_string(j, text);
}

static void write_counts(tdm__json *j, const summary *sum)
{
    char label[24];
    tdm__json_key(j, "counts");
    tdm__json_open(j, '{');
    for (size_t i = 0; i < sum->n_counts; i++) {
        if (!sum->counts[i]) continue;
        snprintf(label, sizeof label, "%lld", (long long)i - 1);
        tdm__json_key(j, label);
        tdm__json_uint(j, sum->counts[i]);
    }
    if (sum->uncounted) {
        tdm__json_key(j, "other");
        tdm__json_uint(j, sum->uncounted);
    }
    tdm__json_close(j, '}');
}

static void write_storage(tdm__json *j, const tdm__reader *reader)
{
    const tdm__h5_info *h5 = reader->h5;
    write_text(j, "layout", h5 ? layout_name(h5) : "npy");
    if (h5 && h5->layout == TDM__H5_CHUNKED) write_sizes(j, "chunk", h5->chunk, h5->rank);
    tdm__json_key(j, "filters");
    tdm__json_open(j, '[');
    for (size_t i = 0; h5 && i < h5->n_filters; i++) tdm__json_string(j, h5->filters[i].name);
    tdm__json_close(j, ']');
    write_field(j, "read_amplification", reader->amplification);
    tdm__json_key(j, "parallel");
    tdm__json_bool(j, reader->parallel);
}

static void write_array(tdm__json *j, const tdm_dataset *ds, size_t index, const summary *sum)
{
    const tdm_array_info *info = tdm_dataset_array(ds, index);
    const tdm__reader *reader = tdm__dataset_reader(ds, index);
    tdm__json_open(j, '{');
    write_text(j, "name", info->name);
    write_text(j, "kind", tdm_array_kind_name(info->kind));
    write_text(j, "type", info->dtype);
    write_sizes(j, "shape", reader->dims, reader->rank);
    write_storage(j, reader);
    /* NaN, and so null, when no value is finite */
    write_field(j, "min", sum->finite ? sum->low : NAN);
    write_field(j, "max", sum->finite ? sum->high : NAN);
    write_field(j, "mean", mean_of(sum));
    write_field(j, "deviation", sum->finite ? deviation_of(sum) : NAN);
    tdm__json_key(j, "nan");
    tdm__json_uint(j, sum->nan);
    tdm__json_key(j, "infinite");
    tdm__json_uint(j, sum->infinite);
    if (info->classes) {
        tdm__json_key(j, "classes");
        tdm__json_uint(j, info->classes);
    }
    if (info->class_names) {
        tdm__json_key(j, "class_names");
        tdm__json_open(j, '[');
        for (uint64_t i = 0; i < info->classes; i++) tdm__json_string(j, info->class_names[i]);
        tdm__json_close(j, ']');
    }
    if (info->group) {
        write_text(j, "group", info->group);
        tdm__json_key(j, "group_of");
        tdm__json_open(j, '[');
        for (uint64_t i = 0; i < info->classes; i++) tdm__json_int(j, info->group_of[i]);
        tdm__json_close(j, ']');
    }
    if (sum->counted) write_counts(j, sum);
    tdm__json_close(j, '}');
}

/* Splits
 * ------------------------------------------------------------------------------------------- */

typedef struct report {
    bool json;
    tdm__str text;
    tdm__json object;
} report;

static tdm_status add_split(report *r, const char *path, const char *split)
{
    tdm_dataset *ds = NULL;
    summary sum = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_dataset_open(path, split, &ds));
    const char *name = split ? split : tdm__path_base(path);
    unsigned long long length = (unsigned long long)tdm_dataset_length(ds);
    const tdm__h5_attr *source = tdm__dataset_file_attr(ds, "source");
    const char *from = source && source->texts ? source->texts[0] : NULL;
    if (r->json) {
        tdm__json_open(&r->object, '{');
        write_text(&r->object, "name", name);
        tdm__json_key(&r->object, "samples");
        tdm__json_uint(&r->object, length);
        if (from) write_text(&r->object, "source", from);
        tdm__json_key(&r->object, "arrays");
        tdm__json_open(&r->object, '[');
    } else {
        tdm__str_addf(&r->text, "%s: %llu samples%s%s\n", name, length, from ? ", from " : "",
                      from ? from : "");
    }
    for (size_t i = 0; i < tdm_dataset_arrays(ds); i++) {
        summary_free(&sum);
        TDM_TRY(scan(ds, i, &sum));
        if (r->json)
            write_array(&r->object, ds, i, &sum);
        else
            text_array(&r->text, ds, i, &sum);
    }
    if (r->json) {
        tdm__json_close(&r->object, ']');
        tdm__json_close(&r->object, '}');
    }
done:
    summary_free(&sum);
    tdm_dataset_destroy(&ds);
    return status;
}

/* The names of the splits in a folder: train, val and test first, then the others by name. */
static tdm_status find_splits(const char *path, char **names, size_t n, const char **splits,
                              size_t *n_splits)
{
    static const char *const usual[] = {"train", "val", "test"};
    *n_splits = 0;
    for (size_t i = 0; i < 3; i++)
        if (tdm_dataset_has_split(path, usual[i])) splits[(*n_splits)++] = usual[i];
    for (size_t i = 0; i < n; i++) {
        char *name = names[i], *dot = strrchr(name, '.');
        bool file = dot && (!strcmp(dot, ".h5") || !strcmp(dot, ".hdf5"));
        if (file) *dot = 0; /* the split's name; the list is ours */
        bool known = name[0] == '.' || !tdm_dataset_has_split(path, name);
        for (size_t k = 0; k < *n_splits; k++) known = known || !strcmp(splits[k], name);
        if (known) continue;
        if (*n_splits == MOST_SPLITS)
            return tdm__fail(TDM_ERR_DATA, "%s: more than %d splits", path, MOST_SPLITS);
        splits[(*n_splits)++] = name;
    }
    if (!*n_splits)
        return tdm__fail(TDM_ERR_DATA, "%s: holds no splits: neither .h5 files nor folders", path);
    return TDM_OK;
}

static tdm_status add_folder(report *r, const char *path)
{
    char **names = NULL;
    const char *splits[MOST_SPLITS];
    size_t n = 0, n_splits = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__list_folder(path, &names, &n));
    TDM_TRY(find_splits(path, names, n, splits, &n_splits));
    for (size_t i = 0; i < n_splits; i++) TDM_TRY(add_split(r, path, splits[i]));
done:
    tdm__names_free(names, n);
    return status;
}

tdm_status tdm_data_info(const char *path, bool json, char **out)
{
    report r = {.json = json};
    tdm_status status = TDM_OK;
    *out = NULL;
    if (json) {
        tdm__json_open(&r.object, '{');
        write_text(&r.object, "path", path);
        tdm__json_key(&r.object, "splits");
        tdm__json_open(&r.object, '[');
    }
    TDM_TRY(tdm__is_folder(path) ? add_folder(&r, path) : add_split(&r, path, NULL));
    if (json) {
        tdm__json_close(&r.object, ']');
        tdm__json_close(&r.object, '}');
        TDM_TRY(tdm__json_status(&r.object));
        *out = r.object.out.text;
        r.object.out = (tdm__str){0};
    } else {
        TDM_TRY(tdm__str_status(&r.text));
        *out = r.text.text;
        r.text = (tdm__str){0};
    }
done:
    tdm__str_free(&r.text);
    tdm__json_free(&r.object);
    return status;
}

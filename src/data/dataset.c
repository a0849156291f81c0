/* One split of a data set: aligned arrays, what each of them is, and checked reading. */
#include "data/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/simd.h"
#include "base/str.h"
#include "data/identity.h"

typedef struct array {
    tdm_array_info info; /* info.name is owned */
    tdm__reader *reader; /* owned */
    int32_t *group_of;   /* owned; info.group_of */
} array;

struct tdm_dataset {
    char *name;
    uint64_t length;
    array *arrays;
    size_t n_arrays, arrays_capacity;
    tdm__h5 **files; /* those that readers read from */
    size_t n_files, files_capacity;
};

static const char *const kind_names[] = {
    [TDM_ARRAY_IMAGE] = "image", [TDM_ARRAY_CLASS] = "class", [TDM_ARRAY_MASK] = "mask",
    [TDM_ARRAY_BOX] = "box",     [TDM_ARRAY_DEPTH] = "depth", [TDM_ARRAY_VALUES] = "values",
};
enum { N_KINDS = sizeof kind_names / sizeof *kind_names };

const char *tdm_array_kind_name(tdm_array_kind kind)
{
    return (unsigned)kind < N_KINDS ? kind_names[kind] : "?";
}

/* What an array is --------------------------------------------------------------------------------
 */

static bool any_in(const char *name, const char *const *words)
{
    for (; *words; words++)
        if (tdm__contains_nocase(name, *words)) return true;
    return false;
}

/* From the name, for files that do not say: the layout of the pets' four files, and its relatives.
 */
static tdm_array_kind guess_kind(const tdm_array_info *info, tdm__elem elem)
{
    static const char *const box[] = {"box", NULL}, *const depth[] = {"depth", "disparity", NULL};
    static const char *const mask[] = {"mask", "seg", "trimap", "semantic", NULL};
    static const char *const class[] = {"label", "class", "binary", "target", NULL};
    static const char *const image[] = {"image", "img", "rgb", "photo", NULL};
    if (any_in(info->name, box)) return TDM_ARRAY_BOX;
    if (any_in(info->name, depth)) return TDM_ARRAY_DEPTH;
    if (any_in(info->name, mask)) return TDM_ARRAY_MASK;
    if (any_in(info->name, image)) return TDM_ARRAY_IMAGE;
    if (any_in(info->name, class)) return info->elems == 1 ? TDM_ARRAY_CLASS : TDM_ARRAY_MASK;
    if (info->elems == 1 && elem.kind != TDM__ELEM_FLOAT && elem.kind != TDM__ELEM_BF16)
        return TDM_ARRAY_CLASS;
    uint64_t last = info->rank ? info->dims[info->rank - 1] : 0;
    bool colours = last == 1 || last == 3 || last == 4;
    return info->rank == 3 && colours && elem.size == 1 ? TDM_ARRAY_IMAGE : TDM_ARRAY_VALUES;
}

static void shape_text(const tdm_array_info *info, char *out, size_t size)
{
    size_t at = 0;
    out[0] = 0;
    for (int i = 0; i < info->rank && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%llu", i ? ", " : "",
                               (unsigned long long)info->dims[i]);
}

static tdm_status check_shape(const char *where, const tdm_array_info *info)
{
    bool ok = true;
    const char *must = "";
    switch (info->kind) {
    case TDM_ARRAY_IMAGE:
        ok = info->rank == 2 || info->rank == 3;
        must = "(H, W) or (H, W, C)";
        break;
    case TDM_ARRAY_MASK:
    case TDM_ARRAY_DEPTH:
        ok = info->rank == 2 || (info->rank == 3 && info->dims[2] == 1);
        must = "(H, W) or (H, W, 1)";
        break;
    case TDM_ARRAY_CLASS:
        ok = info->elems == 1;
        must = "one number";
        break;
    case TDM_ARRAY_BOX:
        ok = info->elems == 4 && info->rank >= 1 && info->dims[info->rank - 1] == 4;
        must = "(4) or (1, 4)";
        break;
    case TDM_ARRAY_VALUES:
        break;
    }
    if (ok && info->elems) return TDM_OK;
    char shape[200];
    shape_text(info, shape, sizeof shape);
    if (ok) return tdm__fail(TDM_ERR_DATA, "%s: samples of shape (%s) are empty", where, shape);
    return tdm__fail(TDM_ERR_DATA,
                     "%s: a sample has the shape (%s): an array of kind %s must have %s", where,
                     shape, tdm_array_kind_name(info->kind), must);
}

static const tdm__h5_attr *attr_of(const array *a, const char *name)
{
    return a->reader->ops->attr ? a->reader->ops->attr(a->reader, name) : NULL;
}

static tdm_status describe_kind(array *a)
{
    const char *where = a->reader->title;
    const tdm__h5_attr *kind = attr_of(a, "kind");
    a->info.kind = guess_kind(&a->info, a->reader->elem);
    if (kind && kind->texts) {
        size_t k = 0;
        while (k < N_KINDS && strcmp(kind->texts[0], kind_names[k])) k++;
        if (k == N_KINDS)
            return tdm__fail(TDM_ERR_DATA,
                             "%s: kind = %s: must be one of image, class, mask, box, depth, values",
                             where, kind->texts[0]);
        a->info.kind = (tdm_array_kind)k;
    }
    return check_shape(where, &a->info);
}

static tdm_status describe_classes(array *a)
{
    const char *where = a->reader->title;
    if (a->info.kind != TDM_ARRAY_CLASS && a->info.kind != TDM_ARRAY_MASK) return TDM_OK;
    const tdm__h5_attr *n = attr_of(a, "classes");
    const tdm__h5_attr *names = attr_of(a, "class_names");
    if (n && n->numbers) {
        double value = n->numbers[0];
        if (!(value >= 1 && value <= 1e6 && value == floor(value)))
            return tdm__fail(TDM_ERR_DATA, "%s: classes = %g: must be a whole number in 1..1000000",
                             where, value);
        a->info.classes = (uint64_t)value;
    }
    if (names && names->texts) {
        if (!a->info.classes) a->info.classes = names->n;
        if (a->info.classes != names->n)
            return tdm__fail(TDM_ERR_DATA, "%s: %zu class names for %llu classes", where, names->n,
                             (unsigned long long)a->info.classes);
        a->info.class_names = (const char *const *)names->texts;
    }
    return TDM_OK;
}

static tdm_status fail_group(const array *a, const char *why)
{
    return tdm__fail(TDM_ERR_DATA, "%s: group = %s: %s", a->reader->title, a->info.group, why);
}

/* For arrays whose classes belong to the classes of another array. */
static tdm_status describe_group(const tdm_dataset *ds, array *a)
{
    const tdm__h5_attr *group = attr_of(a, "group"), *of = attr_of(a, "group_of");
    const tdm_array_info *other = NULL;
    if (!a->info.classes || !group || !group->texts || !of || !of->numbers) return TDM_OK;
    a->info.group = group->texts[0];
    for (size_t i = 0; i < ds->n_arrays; i++)
        if (!strcmp(ds->arrays[i].info.name, a->info.group)) other = &ds->arrays[i].info;
    if (!other || other->kind != TDM_ARRAY_CLASS || !other->classes)
        return fail_group(a, "must be another array of classes");
    if (of->n != a->info.classes) return fail_group(a, "group_of must have a number a class");
    tdm_status status = tdm__calloc_try(of->n, sizeof *a->group_of, &a->group_of);
    for (size_t i = 0; i < of->n && !status; i++) {
        double value = of->numbers[i];
        if (!(value >= -1 && value < (double)other->classes && value == floor(value)))
            return fail_group(a, "group_of must hold its classes, or -1");
        a->group_of[i] = (int32_t)value;
    }
    a->info.group_of = a->group_of;
    return status;
}

/* Adds what the reader reads as an array; takes the reader over, also when it fails. */
static tdm_status add_array(tdm_dataset *ds, tdm__reader *reader, const char *name)
{
    tdm_status status =
        tdm__grow(&ds->arrays, &ds->arrays_capacity, ds->n_arrays + 1, sizeof *ds->arrays);
    if (status) {
        tdm__reader_destroy(&reader);
        return status;
    }
    array *a = &ds->arrays[ds->n_arrays++];
    a->reader = reader;
    a->info.name = tdm__strdup(name);
    if (!a->info.name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", reader->title);
    a->info.dtype = tdm__elem_name(reader->elem);
    a->info.is_float = reader->elem.kind == TDM__ELEM_FLOAT || reader->elem.kind == TDM__ELEM_BF16;
    a->info.rank = reader->rank - 1;
    for (int i = 0; i < a->info.rank; i++) a->info.dims[i] = reader->dims[i + 1];
    a->info.elems = reader->row_elems;
    a->info.amplification = reader->amplification;
    if (!reader->rows) return tdm__fail(TDM_ERR_DATA, "%s: has no samples", reader->title);
    TDM_TRY(describe_kind(a));
    TDM_TRY(describe_classes(a));
done:
    return status;
}

static tdm_status add_hdf5(tdm_dataset *ds, tdm__h5 *file, size_t set, const char *name)
{
    tdm__reader *reader = NULL;
    tdm_status status = tdm__reader_hdf5(file, set, &reader);
    return status ? status : add_array(ds, reader, name);
}

static tdm_status add_npy(tdm_dataset *ds, const char *folder, const char *name)
{
    tdm__reader *reader = NULL;
    tdm_status status = tdm__reader_npy(folder, &reader);
    return status ? status : add_array(ds, reader, name);
}

/* Opening
 * ------------------------------------------------------------------------------------------ */

static tdm_status open_file(tdm_dataset *ds, const char *path, tdm__h5 **out)
{
    tdm_status status =
        tdm__grow(&ds->files, &ds->files_capacity, ds->n_files + 1, sizeof *ds->files);
    if (status) return status;
    status = tdm__h5_open(path, &ds->files[ds->n_files]);
    if (status) return status;
    *out = ds->files[ds->n_files++];
    if (!tdm__h5_count(*out)) return tdm__fail(TDM_ERR_DATA, "%s: holds no data sets", path);
    return TDM_OK;
}

/* One file, several arrays. Text and single values beside the arrays are passed over. */
static tdm_status open_single(tdm_dataset *ds, const char *path)
{
    tdm__h5 *file = NULL;
    tdm_status status = open_file(ds, path, &file);
    for (size_t i = 0; !status && i < tdm__h5_count(file); i++) {
        const tdm__h5_info *info = tdm__h5_info_at(file, i);
        if (info->problem && (!info->elem.size || !info->rank))
            tdm__log(TDM_LOG_WARN, "%s: %s is left out: %s", path, info->name, info->problem);
        else
            status = add_hdf5(ds, file, i, info->name);
    }
    if (!status && !ds->n_arrays)
        status = tdm__fail(TDM_ERR_DATA, "%s: holds no numeric arrays", path);
    return status;
}

static bool is_hdf5_name(const char *name)
{
    return tdm__ends_with(name, ".h5") || tdm__ends_with(name, ".hdf5");
}

/* One entry of a split's folder: an HDF5 file, whose first data set is the array, or a folder of
 * .npy files. The array is named after it. Anything else is passed over. */
static tdm_status add_entry(tdm_dataset *ds, const char *folder, const char *name)
{
    char *path = NULL, *stem = NULL;
    tdm__h5 *file = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(folder, name, &path));
    if (!is_hdf5_name(name)) {
        if (name[0] != '.' && tdm__holds_npy(path)) status = add_npy(ds, path, name);
        goto done;
    }
    TDM_TRY(open_file(ds, path, &file));
    stem = tdm__strdup(name);
    if (!stem) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
        goto done;
    }
    *strrchr(stem, '.') = 0;
    status = add_hdf5(ds, file, 0, stem);
done:
    free(path);
    free(stem);
    return status;
}

static tdm_status open_folder(tdm_dataset *ds, const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) TDM_TRY(add_entry(ds, folder, names[i]));
    if (!ds->n_arrays)
        status =
            tdm__fail(TDM_ERR_DATA, "%s: holds no .h5 files and no folders of .npy files", folder);
done:
    tdm__names_free(names, n);
    return status;
}

static tdm_status check_lengths(tdm_dataset *ds)
{
    for (size_t i = 0; i < ds->n_arrays; i++) {
        const array *a = &ds->arrays[i], *first = &ds->arrays[0];
        uint64_t rows = a->reader->rows;
        if (i == 0) ds->length = rows;
        if (rows != ds->length)
            return tdm__fail(TDM_ERR_DATA, "%s: %s has %llu samples and %s has %llu: must be equal",
                             ds->name, first->info.name, (unsigned long long)ds->length,
                             a->info.name, (unsigned long long)rows);
    }
    return TDM_OK;
}

/* After all arrays are there: what concerns several of them. */
static tdm_status check_together(tdm_dataset *ds)
{
    tdm_status status = check_lengths(ds);
    for (size_t i = 0; !status && i < ds->n_arrays; i++)
        status = describe_group(ds, &ds->arrays[i]);
    return status;
}

/* *out: folder/split.h5 or folder/split, whichever exists, or NULL. */
static tdm_status find_split(const char *folder, const char *split, char **out)
{
    static const char *const endings[] = {".h5", ".hdf5", ""};
    *out = NULL;
    for (size_t i = 0; i < 3; i++) {
        tdm__str path = {0};
        tdm__str_addf(&path, "%s/%s%s", folder, split, endings[i]);
        tdm_status status = tdm__str_status(&path);
        if (status) return status;
        if (*endings[i] ? tdm__path_exists(path.text) : tdm__is_folder(path.text)) {
            *out = path.text;
            return TDM_OK;
        }
        tdm__str_free(&path);
    }
    return TDM_OK;
}

static bool holds_arrays(const char *folder)
{
    char **names = NULL;
    size_t n = 0;
    bool holds = false;
    if (tdm__list_folder(folder, &names, &n)) return false;
    for (size_t i = 0; i < n && !holds; i++) {
        char *path = NULL;
        holds = is_hdf5_name(names[i]) ||
                (names[i][0] != '.' && !tdm__path_join(folder, names[i], &path) &&
                 tdm__holds_npy(path));
        free(path);
    }
    tdm__names_free(names, n);
    return holds;
}

bool tdm_dataset_has_split(const char *path, const char *split)
{
    char *found = NULL;
    bool has = tdm__is_folder(path) && !find_split(path, split, &found) && found;
    has = has && (!tdm__is_folder(found) || holds_arrays(found));
    free(found);
    return has;
}

/* Names the splits there are, so that a typo is easy to see. */
static tdm_status no_split(const char *path, const char *split)
{
    char **names = NULL;
    size_t n = 0;
    tdm__str list = {0};
    tdm_status status = tdm__list_folder(path, &names, &n);
    if (status) return status;
    for (size_t i = 0; i < n; i++)
        if (is_hdf5_name(names[i]) || (names[i][0] != '.' && tdm_dataset_has_split(path, names[i])))
            tdm__str_addf(&list, "%s%s", list.length ? ", " : "", names[i]);
    status = tdm__fail(TDM_ERR_DATA, "%s: no split '%s' (%s.h5 or a folder %s): it holds %s", path,
                       split, split, split, list.length ? tdm__str_text(&list) : "none");
    tdm__str_free(&list);
    tdm__names_free(names, n);
    return status;
}

static tdm_status open_split(tdm_dataset *ds, const char *path, const char *split)
{
    char *found = NULL;
    tdm_status status = TDM_OK;
    if ((status = tdm__data_exists(path))) return status;
    if (!split) {
        status = tdm__is_folder(path) ? open_folder(ds, path) : open_single(ds, path);
        return status ? status : check_together(ds);
    }
    if (!tdm__is_folder(path))
        return tdm__fail(TDM_ERR_DATA, "%s: must be a folder to hold the split '%s'", path, split);
    TDM_TRY(find_split(path, split, &found));
    if (!found) {
        status = no_split(path, split);
        goto done;
    }
    TDM_TRY(tdm__is_folder(found) ? open_folder(ds, found) : open_single(ds, found));
    TDM_TRY(check_together(ds));
done:
    free(found);
    return status;
}

tdm_status tdm_dataset_open(const char *path, const char *split, tdm_dataset **out)
{
    *out = NULL;
    tdm_status status = TDM_OK;
    tdm_dataset *ds = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *ds, &ds));
    TDM_TRY(tdm__path_join(path, split ? split : "", &ds->name));
    TDM_TRY(open_split(ds, path, split));
    *out = ds;
    ds = NULL;
done:
    tdm_dataset_destroy(&ds);
    return status;
}

void tdm_dataset_destroy(tdm_dataset **pointer)
{
    tdm_dataset *ds = *pointer;
    if (!ds) return;
    for (size_t i = 0; i < ds->n_arrays; i++) {
        tdm__reader_destroy(&ds->arrays[i].reader);
        free(ds->arrays[i].group_of);
        free((char *)ds->arrays[i].info.name);
    }
    for (size_t i = 0; i < ds->n_files; i++) tdm__h5_close(&ds->files[i]);
    free(ds->arrays);
    free(ds->files);
    free(ds->name);
    free(ds);
    *pointer = NULL;
}

/* Looking
 * ------------------------------------------------------------------------------------------ */

uint64_t tdm_dataset_length(const tdm_dataset *ds)
{
    return ds->length;
}

size_t tdm_dataset_arrays(const tdm_dataset *ds)
{
    return ds->n_arrays;
}

const char *tdm_dataset_name(const tdm_dataset *ds)
{
    return ds->name;
}

const tdm_array_info *tdm_dataset_array(const tdm_dataset *ds, size_t index)
{
    return index < ds->n_arrays ? &ds->arrays[index].info : NULL;
}

static const char *array_name(const void *ds, size_t i)
{
    return ((const tdm_dataset *)ds)->arrays[i].info.name;
}

tdm_status tdm_dataset_find(const tdm_dataset *ds, const char *name, size_t *index)
{
    for (size_t i = 0; i < ds->n_arrays; i++)
        if (!strcmp(ds->arrays[i].info.name, name)) {
            *index = i;
            return TDM_OK;
        }
    return tdm__fail_unknown(TDM_ERR_DATA, name, ds, array_name, ds->n_arrays,
                             "%s: no array '%s': it has", ds->name, name);
}

tdm__elem tdm__dataset_elem(const tdm_dataset *ds, size_t index)
{
    return ds->arrays[index].reader->elem;
}

const char *tdm__dataset_path(const tdm_dataset *ds, size_t index)
{
    return ds->arrays[index].reader->path;
}

const tdm__reader *tdm__dataset_reader(const tdm_dataset *ds, size_t index)
{
    return ds->arrays[index].reader;
}

const tdm__h5_attr *tdm__dataset_file_attr(const tdm_dataset *ds, const char *name)
{
    return ds->n_files ? tdm__h5_attr_of(ds->files[0], TDM__H5_FILE, name) : NULL;
}

tdm__to tdm__dataset_natural(const tdm_dataset *ds, size_t index)
{
    tdm__elem elem = tdm__dataset_elem(ds, index);
    bool byte = elem.kind == TDM__ELEM_BOOL || (elem.kind == TDM__ELEM_UINT && elem.size == 1);
    switch (ds->arrays[index].info.kind) {
    case TDM_ARRAY_CLASS:
        return TDM__TO_I32;
    case TDM_ARRAY_MASK:
        return byte ? TDM__TO_U8 : TDM__TO_I32;
    case TDM_ARRAY_IMAGE:
        return byte ? TDM__TO_U8 : TDM__TO_F32;
    default:
        return TDM__TO_F32;
    }
}

bool tdm__dataset_is_raw(const tdm_dataset *ds, size_t index)
{
    return ds->arrays[index].reader->parallel;
}

/* Checked reading
 * ------------------------------------------------------------------------------------ */

static tdm_status bad_value(const array *a, uint64_t row, double value, const char *must)
{
    return tdm__fail(TDM_ERR_DATA, "%s: %s: row %llu: value %g %s", a->reader->path, a->info.name,
                     (unsigned long long)row, value, must);
}

static tdm__elem delivered(tdm__to to, tdm__elem elem)
{
    switch (to) {
    case TDM__TO_F32:
        return tdm__elem_host(TDM__ELEM_FLOAT, 4);
    case TDM__TO_F64:
        return tdm__elem_host(TDM__ELEM_FLOAT, 8);
    case TDM__TO_U8:
        return tdm__elem_host(TDM__ELEM_UINT, 1);
    case TDM__TO_I32:
        return tdm__elem_host(TDM__ELEM_INT, 4);
    case TDM__TO_NATIVE:
        break;
    }
    return tdm__elem_host(elem.kind, elem.size);
}

/* Float images must be finite: a NaN there would only show as a diverged loss. In a box NaN says
 * that the sample has none. */
static tdm_status check_finite(const array *a, uint64_t row, tdm__elem type, const void *data)
{
    for (uint64_t i = 0; i < a->info.elems; i++) {
        double v = type.size == 4 ? (double)((const float *)data)[i]
                                  : tdm__elem_value(type, (const uint8_t *)data + i * type.size);
        bool absent = isnan(v) && a->info.kind == TDM_ARRAY_BOX;
        if (!isfinite(v) && !absent) return bad_value(a, row, v, "must be finite");
    }
    return TDM_OK;
}

/* Classes lie in 0..classes-1; -1 stands for "not known". In a mask 255 and other negative values
 * may do so too. */
static tdm_status check_classes(const array *a, uint64_t row, tdm__elem type, const void *data)
{
    bool mask = a->info.kind == TDM_ARRAY_MASK;
    double n = (double)a->info.classes;
    for (uint64_t i = 0; i < a->info.elems; i++) {
        double v = tdm__elem_value(type, (const uint8_t *)data + i * type.size);
        bool ok = (v >= 0 && v < n && v == floor(v)) || v == -1 || (mask && (v < 0 || v == 255));
        if (ok) continue;
        char must[64];
        snprintf(must, sizeof must, "must be a class in 0..%llu",
                 (unsigned long long)(a->info.classes - 1));
        return bad_value(a, row, v, must);
    }
    return TDM_OK;
}

/* Whether a mask holds only classes and ignored values: most do, and this loop runs at the speed of
 * memory. */
TDM__WIDE static bool is_plain_mask(const tdm_array_info *info, tdm__to to, const void *data)
{
    const uint8_t *bytes = data;
    const int32_t *wholes = data, classes = (int32_t)info->classes;
    int wrong = 0;
    if (info->kind != TDM_ARRAY_MASK || (to != TDM__TO_U8 && to != TDM__TO_I32)) return false;
    if (to == TDM__TO_U8)
        for (uint64_t i = 0; i < info->elems; i++)
            wrong |= (bytes[i] >= classes) & (bytes[i] != 255);
    else
        for (uint64_t i = 0; i < info->elems; i++)
            wrong |= (wholes[i] >= classes) & (wholes[i] != 255);
    return !wrong;
}

static tdm_status check_row(const array *a, uint64_t row, tdm__to to, const void *data)
{
    tdm__elem elem = a->reader->elem;
    bool finite = a->info.kind == TDM_ARRAY_IMAGE || a->info.kind == TDM_ARRAY_BOX;
    bool whole = to == TDM__TO_U8 || to == TDM__TO_I32; /* the conversion has checked them */
    if (finite && a->info.is_float && !whole)
        return check_finite(a, row, delivered(to, elem), data);
    if (a->info.classes && !is_plain_mask(&a->info, to, data))
        return check_classes(a, row, delivered(to, elem), data);
    return TDM_OK;
}

tdm_status tdm__dataset_read_unchecked(const tdm_dataset *ds, size_t index, const uint64_t *rows,
                                       size_t n, tdm__to to, void *out)
{
    const tdm__reader *reader = ds->arrays[index].reader;
    return reader->ops->read_rows(reader, rows, n, to, out);
}

tdm_status tdm__dataset_read_rows(const tdm_dataset *ds, size_t index, const uint64_t *rows,
                                  size_t n, tdm__to to, void *out)
{
    const array *a = &ds->arrays[index];
    size_t row_bytes = (size_t)a->info.elems * tdm__to_size(to, tdm__dataset_elem(ds, index));
    tdm_status status = tdm__dataset_read_unchecked(ds, index, rows, n, to, out);
    for (size_t i = 0; i < n && !status; i++)
        status = check_row(a, rows[i], to, (const uint8_t *)out + i * row_bytes);
    return status;
}

tdm_status tdm_dataset_read(const tdm_dataset *ds, size_t index, const uint64_t *rows, size_t n,
                            float *out)
{
    if (index >= ds->n_arrays)
        return tdm__fail(TDM_ERR_STATE, "%s: there is no array %zu", ds->name, index);
    return tdm__dataset_read_rows(ds, index, rows, n, TDM__TO_F32, out);
}

struct tdm__cursor {
    const tdm_dataset *dataset;
    size_t index;
    void *own; /* the reader's; NULL: it is not parallel */
};

tdm_status tdm__cursor_create(const tdm_dataset *ds, size_t index, tdm__cursor **out)
{
    *out = NULL;
    tdm_status status = TDM_OK;
    tdm__cursor *c = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *c, &c));
    c->dataset = ds;
    c->index = index;
    const tdm__reader *reader = ds->arrays[index].reader;
    if (reader->parallel) TDM_TRY(reader->ops->cursor_create(reader, &c->own));
    *out = c;
    c = NULL;
done:
    tdm__cursor_destroy(&c);
    return status;
}

void tdm__cursor_destroy(tdm__cursor **pointer)
{
    tdm__cursor *c = *pointer;
    if (!c) return;
    if (c->own) c->dataset->arrays[c->index].reader->ops->cursor_destroy(c->own);
    free(c);
    *pointer = NULL;
}

tdm_status tdm__cursor_read(tdm__cursor *c, uint64_t row, tdm__to to, void *out)
{
    const array *a = &c->dataset->arrays[c->index];
    if (!c->own) return tdm__dataset_read_rows(c->dataset, c->index, &row, 1, to, out);
    tdm_status status = a->reader->ops->cursor_read(c->own, row, to, out);
    return status ? status : check_row(a, row, to, out);
}

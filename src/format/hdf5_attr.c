/* Attributes of HDF5 files and data sets, read when they are asked for and kept until the file is
 * closed. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/hdf5_private.h"

enum { MOST_ATTR_VALUES = 100000 };
#define MOST_ATTR_BYTES ((size_t)1 << 24)

/* A list, so that the attributes handed out stay where they are. */
typedef struct tdm__h5_known {
    tdm__h5_attr attr;
    size_t set;
    struct tdm__h5_known *next;
} known;

static tdm_status read_numbers(hid_t attr, size_t n, tdm__h5_attr *out)
{
    tdm_status status = tdm__calloc_try(n, sizeof(double), &out->numbers);
    if (!status && H5Aread(attr, H5T_NATIVE_DOUBLE, out->numbers) < 0) {
        free(out->numbers);
        out->numbers = NULL;
    }
    return status;
}

static tdm_status read_texts(hid_t attr, hid_t type, size_t n, tdm__h5_attr *out)
{
    tdm_status status = TDM_OK;
    bool variable = H5Tis_variable_str(type) > 0;
    size_t size = variable ? sizeof(char *) : H5Tget_size(type) + 1;
    char *raw = NULL;
    hid_t space = -1, memory = H5Tcopy(H5T_C_S1);
    H5Tset_size(memory, variable ? H5T_VARIABLE : size);
    H5Tset_cset(memory, H5Tget_cset(type));
    uint64_t bytes;
    if (!tdm__mul_u64(n, size, &bytes) || bytes > MOST_ATTR_BYTES) goto done;
    TDM_TRY(tdm__calloc_try(n, size, &raw));
    if (H5Aread(attr, memory, raw) < 0) goto done;
    TDM_TRY(tdm__calloc_try(n, sizeof(char *), &out->texts));
    out->n = n;
    for (size_t i = 0; i < n && !status; i++) {
        const char *text = variable ? ((char **)raw)[i] : raw + i * size;
        out->texts[i] = tdm__strdup(text ? text : "");
        if (!out->texts[i]) status = tdm__fail(TDM_ERR_NOMEM, "out of memory");
    }
    if (variable) {
        space = H5Aget_space(attr);
        H5Dvlen_reclaim(memory, space, H5P_DEFAULT, raw);
        H5Sclose(space);
    }
done:
    free(raw);
    H5Tclose(memory);
    return status;
}

static tdm_status read_attr(hid_t attr, tdm__h5_attr *out)
{
    hid_t type = H5Aget_type(attr), space = H5Aget_space(attr);
    hssize_t n = space < 0 ? -1 : H5Sget_simple_extent_npoints(space);
    tdm_status status = TDM_OK;
    if (type >= 0 && n > 0 && n <= MOST_ATTR_VALUES) {
        H5T_class_t class = H5Tget_class(type);
        out->n = (size_t)n;
        if (class == H5T_STRING)
            status = read_texts(attr, type, (size_t)n, out);
        else if (class == H5T_INTEGER || class == H5T_FLOAT)
            status = read_numbers(attr, (size_t)n, out);
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Eclear2(H5E_DEFAULT);
    return status;
}

static void free_known(known *k)
{
    if (!k) return;
    for (size_t i = 0; k->attr.texts && i < k->attr.n; i++) free(k->attr.texts[i]);
    free(k->attr.texts);
    free(k->attr.numbers);
    free(k->attr.name);
    free(k);
}

void tdm__h5_attrs_free(tdm__h5 *file)
{
    for (known *k = file->attrs, *next; k; k = next) {
        next = k->next;
        free_known(k);
    }
    file->attrs = NULL;
}

/* NULL when there is no such attribute, or none that is text or number of a reasonable size. */
static known *load(hid_t object, size_t set, const char *name)
{
    known *k = NULL;
    if (H5Aexists(object, name) <= 0) return NULL;
    hid_t attr = H5Aopen(object, name, H5P_DEFAULT);
    if (attr < 0) return NULL;
    if (!tdm__calloc_try(1, sizeof *k, &k)) {
        k->set = set;
        k->attr.name = tdm__strdup(name);
        tdm_status status = read_attr(attr, &k->attr);
        if (status || !k->attr.name || (!k->attr.texts && !k->attr.numbers)) {
            free_known(k);
            k = NULL;
        }
    }
    H5Aclose(attr);
    return k;
}

const tdm__h5_attr *tdm__h5_attr_of(tdm__h5 *file, size_t set, const char *name)
{
    tdm__mutex_lock(&file->lock);
    known *k = file->attrs;
    while (k && (k->set != set || strcmp(k->attr.name, name))) k = k->next;
    if (!k) {
        tdm__h5_lock();
        k = load(set == TDM__H5_FILE ? file->id : file->sets[set].id, set, name);
        H5Eclear2(H5E_DEFAULT);
        tdm__h5_unlock();
        if (k) {
            k->next = file->attrs;
            file->attrs = k;
        }
    }
    tdm__mutex_unlock(&file->lock);
    return k ? &k->attr : NULL;
}

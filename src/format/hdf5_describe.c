/* What an HDF5 data set is: element type, shape, layout, filters, attributes, and the cost of
 * reading one row. All functions run with the library's lock held. */
#include "format/hdf5_private.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static tdm_status set_problem(tdm__h5_info *info, const char *format, ...) TDM__PRINTF(2, 3);

/* The first problem found stays. */
static tdm_status set_problem(tdm__h5_info *info, const char *format, ...)
{
    if (info->problem) return TDM_OK;
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    info->problem = tdm__strdup(text);
    return info->problem ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

/* Types ---------------------------------------------------------------------------------------- */

static bool float_fields_are(hid_t type, size_t sign, size_t exponent, size_t exponent_bits,
                             size_t mantissa_bits, size_t bias)
{
    size_t s, e, eb, m, mb;
    if (H5Tget_fields(type, &s, &e, &eb, &m, &mb) < 0) return false;
    return s == sign && e == exponent && eb == exponent_bits && m == 0 && mb == mantissa_bits &&
           H5Tget_ebias(type) == bias && H5Tget_norm(type) == H5T_NORM_IMPLIED;
}

/* False when elem cannot describe the bytes: then the library converts to `elem`, the widest of its
 * class. */
static bool describe_float(hid_t type, size_t size, tdm__elem *elem)
{
    elem->kind = TDM__ELEM_FLOAT;
    elem->size = (unsigned)size;
    if (size == 2 && float_fields_are(type, 15, 10, 5, 10, 15)) return true;
    if (size == 4 && float_fields_are(type, 31, 23, 8, 23, 127)) return true;
    if (size == 8 && float_fields_are(type, 63, 52, 11, 52, 1023)) return true;
    if (size == 2 && float_fields_are(type, 15, 7, 8, 7, 127)) {
        elem->kind = TDM__ELEM_BF16;
        return true;
    }
    *elem = tdm__elem_host(TDM__ELEM_FLOAT, 8);
    return false;
}

static bool describe_int(hid_t type, size_t size, bool is_signed, tdm__elem *elem)
{
    elem->kind = is_signed ? TDM__ELEM_INT : TDM__ELEM_UINT;
    elem->size = (unsigned)size;
    if (tdm__elem_valid(*elem) && H5Tget_precision(type) == size * 8 && H5Tget_offset(type) == 0)
        return true;
    *elem = tdm__elem_host(elem->kind, 8);
    return false;
}

/* h5py's bool: an enumeration FALSE = 0, TRUE = 1 over int8. */
static bool is_bool_enum(hid_t type)
{
    if (H5Tget_nmembers(type) != 2 || H5Tget_size(type) != 1) return false;
    bool result = true;
    for (unsigned i = 0; i < 2; i++) {
        int8_t value = -1;
        char *name = H5Tget_member_name(type, i);
        result = result && name && H5Tget_member_value(type, i, &value) >= 0 &&
                 ((!strcmp(name, "FALSE") && value == 0) || (!strcmp(name, "TRUE") && value == 1));
        if (name) H5free_memory(name);
    }
    return result;
}

static const char *class_name(H5T_class_t class)
{
    switch (class) {
    case H5T_STRING:
        return "text";
    case H5T_COMPOUND:
        return "a compound";
    case H5T_REFERENCE:
        return "a reference";
    case H5T_VLEN:
        return "of variable length";
    case H5T_ARRAY:
        return "an array type";
    case H5T_OPAQUE:
        return "opaque";
    case H5T_TIME:
        return "a time";
    default:
        return "unknown";
    }
}

static tdm_status describe_type(tdm__h5_set *set)
{
    tdm__h5_info *info = &set->info;
    hid_t type = H5Dget_type(set->id), base = -1;
    tdm_status status = TDM_OK;
    bool exact = false;
    if (type < 0) {
        H5Eclear2(H5E_DEFAULT);
        return set_problem(info, "its type is damaged");
    }
    H5T_class_t class = H5Tget_class(type);
    bool is_bool = class == H5T_ENUM && is_bool_enum(type);
    base = class == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type);
    if (class == H5T_ENUM) class = H5Tget_class(base);
    size_t size = H5Tget_size(base);
    H5T_order_t order = H5Tget_order(base);
    info->elem.big_endian = order == H5T_ORDER_BE;
    if (class == H5T_INTEGER)
        exact = describe_int(base, size, H5Tget_sign(base) == H5T_SGN_2, &info->elem);
    else if (class == H5T_FLOAT)
        exact = describe_float(base, size, &info->elem);
    else if (class == H5T_BITFIELD)
        exact = describe_int(base, size, false, &info->elem);
    else
        status = set_problem(info, "its elements are %s, not numbers", class_name(class));
    if (!status && !info->problem && order != H5T_ORDER_LE && order != H5T_ORDER_BE &&
        order != H5T_ORDER_NONE) {
        info->elem = tdm__elem_host(info->elem.kind, 8);
        exact = false;
    }
    if (is_bool) info->elem.kind = TDM__ELEM_BOOL;
    if (exact) {
        set->mem_type = type;
        type = -1;
    } else if (!info->problem) {
        set->mem_type = H5Tcopy(info->elem.kind == TDM__ELEM_FLOAT  ? H5T_NATIVE_DOUBLE
                                : info->elem.kind == TDM__ELEM_UINT ? H5T_NATIVE_UINT64
                                                                    : H5T_NATIVE_INT64);
    }
    info->raw = exact;
    if (type >= 0) H5Tclose(type);
    if (base >= 0) H5Tclose(base);
    H5Eclear2(H5E_DEFAULT);
    return status;
}

/* Shape and layout ----------------------------------------------------------------------------- */

static tdm_status describe_shape(tdm__h5_set *set)
{
    tdm__h5_info *info = &set->info;
    hid_t space = H5Dget_space(set->id);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    tdm_status status = TDM_OK;
    if (rank < 0) {
        status = set_problem(info, "its shape is damaged");
    } else if (rank > TDM__H5_RANK) {
        status = set_problem(info, "it has %d dimensions: at most %d", rank, TDM__H5_RANK);
    } else if (rank == 0) {
        status = set_problem(info, "it is a single value, not an array with one row a sample");
    } else {
        hsize_t dims[TDM__H5_RANK] = {0};
        H5Sget_simple_extent_dims(space, dims, NULL);
        info->rank = rank;
        info->row_elems = 1;
        bool fits = true;
        for (int i = 0; i < rank; i++) {
            info->dims[i] = dims[i];
            if (i) fits = fits && tdm__mul_u64(info->row_elems, dims[i], &info->row_elems);
        }
        info->rows = dims[0];
        fits = fits && tdm__mul_u64(info->row_elems, info->elem.size, &info->row_bytes);
        if (!fits || info->row_bytes > (uint64_t)1 << 40) {
            info->row_elems = info->row_bytes = 0;
            status = set_problem(info, "one row is larger than 1 TiB");
        }
    }
    if (space >= 0) H5Sclose(space);
    H5Eclear2(H5E_DEFAULT);
    return status;
}

static tdm_status describe_filters(tdm__h5_info *info, hid_t plist)
{
    int n = H5Pget_nfilters(plist);
    if (n > TDM__H5_FILTERS) return set_problem(info, "it has %d filters", n);
    for (int i = 0; i < n; i++) {
        tdm__h5_filter *filter = &info->filters[info->n_filters++];
        unsigned flags = 0, config = 0, values[8] = {0};
        size_t n_values = 8;
        char name[64] = "";
        int id = H5Pget_filter2(plist, (unsigned)i, &flags, &n_values, values, sizeof name, name,
                                &config);
        if (id < 0) return set_problem(info, "its filters are damaged");
        filter->id = id;
        filter->level = id == H5Z_FILTER_DEFLATE || id == H5Z_FILTER_SHUFFLE ? (int)values[0] : 0;
        const char *known = id == H5Z_FILTER_DEFLATE      ? "deflate"
                            : id == H5Z_FILTER_SHUFFLE    ? "shuffle"
                            : id == H5Z_FILTER_FLETCHER32 ? "fletcher32"
                            : id == 32000                 ? "lzf"
                            : id == 32001                 ? "blosc"
                            : id == 32004                 ? "lz4"
                            : id == 32008                 ? "bitshuffle"
                            : id == 32015                 ? "zstd"
                            : name[0]                     ? name
                                                          : "unknown";
        snprintf(filter->name, sizeof filter->name, "%.23s", known);
        if (id != H5Z_FILTER_DEFLATE && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32) {
            tdm_status status = set_problem(info,
                                            "filter %s (%d) is not supported: deflate, shuffle "
                                            "and fletcher32 are",
                                            filter->name, id);
            if (status) return status;
        }
    }
    return TDM_OK;
}

/* One row alone costs its slab of every chunk it crosses; with filters, those chunks whole. */
static void describe_cost(tdm__h5_info *info)
{
    info->amplification = 1;
    if (info->layout != TDM__H5_CHUNKED || !info->row_elems) return;
    double factor = info->n_filters ? (double)info->chunk[0] : 1;
    for (int i = 1; i < info->rank; i++) {
        uint64_t chunks = (info->dims[i] + info->chunk[i] - 1) / info->chunk[i];
        factor *= (double)chunks * (double)info->chunk[i] / (double)info->dims[i];
    }
    info->amplification = factor;
}

/* Number of chunks, or UINT64_MAX. */
static uint64_t count_chunks(const tdm__h5_info *info)
{
    uint64_t n = 1;
    for (int i = 0; i < info->rank; i++)
        if (!tdm__mul_u64(n, (info->dims[i] + info->chunk[i] - 1) / info->chunk[i], &n))
            return UINT64_MAX;
    return n;
}

static tdm_status describe_layout(tdm__h5_set *set)
{
    tdm__h5_info *info = &set->info;
    hid_t plist = H5Dget_create_plist(set->id);
    if (plist < 0) {
        H5Eclear2(H5E_DEFAULT);
        return set_problem(info, "its layout is damaged");
    }
    tdm_status status = TDM_OK;
    unsigned options = 0;
    hsize_t chunk[TDM__H5_RANK] = {0};
    switch (H5Pget_layout(plist)) {
    case H5D_COMPACT:
        info->layout = TDM__H5_COMPACT;
        break;
    case H5D_CONTIGUOUS:
        info->layout = TDM__H5_CONTIGUOUS;
        break;
    case H5D_VIRTUAL:
        info->layout = TDM__H5_VIRTUAL;
        break;
    case H5D_CHUNKED:
        info->layout = TDM__H5_CHUNKED;
        if (info->rank && H5Pget_chunk(plist, info->rank, chunk) != info->rank)
            TDM_TRY(set_problem(info, "its chunks are damaged"));
        for (int i = 0; i < info->rank; i++) {
            info->chunk[i] = chunk[i];
            if (!chunk[i]) TDM_TRY(set_problem(info, "its chunks are damaged"));
        }
        H5Pget_chunk_opts(plist, &options);
        break;
    default:
        TDM_TRY(set_problem(info, "its layout is unknown"));
    }
    if (!info->problem) TDM_TRY(describe_filters(info, plist));
    if (!info->problem && info->layout == TDM__H5_CHUNKED) describe_cost(info);
    info->raw = info->raw && !info->problem && info->layout != TDM__H5_VIRTUAL && options == 0 &&
                H5Pget_external_count(plist) == 0 &&
                (info->layout != TDM__H5_CHUNKED || count_chunks(info) <= TDM__H5_TABLE_MAX);
done:
    H5Pclose(plist);
    H5Eclear2(H5E_DEFAULT);
    return status;
}

tdm_status tdm__h5_describe(tdm__h5_set *set)
{
    tdm_status status = TDM_OK;
    set->info.amplification = 1;
    TDM_TRY(describe_type(set));
    TDM_TRY(describe_shape(set));
    TDM_TRY(describe_layout(set));
    set->info.raw = set->info.raw && !set->info.problem;
done:
    return status;
}

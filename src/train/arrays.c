/* train/arrays.c: descriptions of arrays as JSON, and back. */
#include "train/arrays.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { CLASSES_MAX = 1 << 20, SIDE_MAX = 1 << 24 };

static void describe(tdm__json *j, const tdm_array_info *info)
{
    tdm__json_open(j, '{');
    tdm__json_key(j, "name"), tdm__json_string(j, info->name);
    tdm__json_key(j, "kind"), tdm__json_string(j, tdm_array_kind_name(info->kind));
    tdm__json_key(j, "float"), tdm__json_bool(j, info->is_float);
    tdm__json_key(j, "dims");
    tdm__json_open(j, '[');
    for (int i = 0; i < info->rank; i++) tdm__json_uint(j, info->dims[i]);
    tdm__json_close(j, ']');
    tdm__json_key(j, "classes"), tdm__json_uint(j, info->classes);
    if (info->class_names) {
        tdm__json_key(j, "class_names");
        tdm__json_open(j, '[');
        for (uint64_t c = 0; c < info->classes; c++) tdm__json_string(j, info->class_names[c]);
        tdm__json_close(j, ']');
    }
    tdm__json_close(j, '}');
}

tdm_status tdm__arrays_describe(const tdm_array_info *infos, size_t n, char **out)
{
    tdm__json j = {0};
    tdm__json_open(&j, '[');
    for (size_t i = 0; i < n; i++) describe(&j, &infos[i]);
    tdm__json_close(&j, ']');
    const tdm_status status = tdm__json_status(&j);
    *out = NULL;
    if (!status) {
        *out = j.out.text;
        j.out = (tdm__str){0};
    }
    tdm__json_free(&j);
    return status;
}

/* ---- reading back ------------------------------------------------------------------------------
 */

static bool parse_kind(const char *word, tdm_array_kind *out)
{
    for (int k = TDM_ARRAY_IMAGE; k <= TDM_ARRAY_VALUES; k++)
        if (!strcmp(tdm_array_kind_name((tdm_array_kind)k), word)) {
            *out = (tdm_array_kind)k;
            return true;
        }
    return false;
}

static bool parse_dims(const json_t *list, tdm_array_info *out)
{
    out->rank = (int)json_array_size(list);
    out->elems = 1;
    if (!json_is_array(list) || json_array_size(list) > TDM_ARRAY_RANK) return false;
    for (int i = 0; i < out->rank; i++) {
        const json_int_t side = json_integer_value(json_array_get(list, (size_t)i));
        if (side < 1 || side > SIDE_MAX) return false;
        out->dims[i] = (uint64_t)side;
        if (!tdm__mul_u64(out->elems, (uint64_t)side, &out->elems)) return false;
    }
    return true;
}

/* `names` has room for the array's class names. */
static bool parse_array(const json_t *object, const char **names, tdm_array_info *out)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const json_int_t classes = json_integer_value(json_object_get(object, "classes"));
    const json_t *list = json_object_get(object, "class_names");
    if (!name || !kind || !parse_kind(kind, &out->kind)) return false;
    if (!parse_dims(json_object_get(object, "dims"), out)) return false;
    if (classes < 0 || classes > CLASSES_MAX) return false;
    if (list && json_array_size(list) != (size_t)classes) return false;
    out->name = name;
    out->is_float = json_is_true(json_object_get(object, "float"));
    out->dtype = out->is_float ? "f32" : "u8";
    out->classes = (uint64_t)classes;
    for (size_t c = 0; c < json_array_size(list); c++)
        if (!(names[c] = json_string_value(json_array_get(list, c)))) return false;
    out->class_names = list && classes ? names : NULL;
    return true;
}

tdm_status tdm__arrays_parse(const char *text, const char *name, tdm__arrays *out)
{
    tdm_status status = TDM_OK;
    size_t all_names = 0, used = 0;
    *out = (tdm__arrays){0};
    TDM_TRY(tdm__json_parse(text, strlen(text), name, &out->document));
    if (!json_is_array(out->document))
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: the description of its arrays is no list", name));
    out->n = json_array_size(out->document);
    for (size_t i = 0; i < out->n; i++)
        all_names +=
            json_array_size(json_object_get(json_array_get(out->document, i), "class_names"));
    TDM_TRY(tdm__calloc_try(out->n, sizeof *out->infos, &out->infos));
    TDM_TRY(tdm__calloc_try(all_names, sizeof *out->class_names, &out->class_names));
    for (size_t i = 0; i < out->n; i++) {
        const json_t *object = json_array_get(out->document, i);
        if (!parse_array(object, out->class_names + used, &out->infos[i]))
            TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: the description of its array %zu is damaged", name,
                              i));
        used += json_array_size(json_object_get(object, "class_names"));
    }
done:
    if (status) tdm__arrays_free(out);
    return status;
}

void tdm__arrays_free(tdm__arrays *a)
{
    if (a->document) json_decref(a->document);
    free(a->infos);
    free(a->class_names);
    *a = (tdm__arrays){0};
}

/* graph/tuning.c: see graph/tuning.h. The parsed document itself is kept: jansson's objects are
 * hash tables. */
#include "graph/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/json.h"

#define FORMAT "tandem tuning 1"
#define FILE_LIMIT (16u << 20)
#define KEY_PARTS 4 /* "op|style|shapes|attrs" */

struct tdm__tuning {
    json_t *root;
    json_t *choices; /* inside root */
};

/* ---- reading ----------------------------------------------------------------------------------
 */

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static bool is_key(const char *key)
{
    int bars = 0;
    for (const char *c = key; *c; c++) bars += *c == '|';
    return bars == KEY_PARTS - 1 && *key != '|';
}

static bool is_choice(const json_t *choice)
{
    const char *algorithm = text_at(choice, "algorithm");
    json_t *times = json_object_get(choice, "ms"), *time;
    const char *name;
    if (!algorithm || !*algorithm || (times && !json_is_object(times))) return false;
    json_object_foreach(times, name, time) if (!(json_number_value(time) > 0)) return false;
    return true;
}

/* What is wrong with the document, or NULL. */
static const char *fault(const json_t *root)
{
    const json_t *match = json_object_get(root, "match"), *device = json_object_get(root, "device");
    const char *format = text_at(root, "format"), *key;
    json_t *choice;
    if (!format) return "is no tuning file";
    if (strcmp(format, FORMAT) != 0) return "has another format than '" FORMAT "'";
    if (match) {
        if (!text_at(match, "platform") || !text_at(match, "style") ||
            !json_is_integer(json_object_get(match, "vector_width")))
            return "match lacks platform, style or vector_width";
    } else if (!text_at(device, "name") || !text_at(device, "driver") || !text_at(device, "hash") ||
               !text_at(root, "kernels")) {
        return "lacks the device or the kernels that were measured";
    }
    if (!json_is_object(json_object_get(root, "choices"))) return "lacks choices";
    json_object_foreach(json_object_get(root, "choices"), key, choice)
    {
        if (!is_key(key)) return "has a choice whose key is not op|style|shapes|attributes";
        if (!is_choice(choice)) return "has a choice without an algorithm or with a wrong time";
    }
    return NULL;
}

static tdm_status take(json_t *root, tdm__tuning **out)
{
    tdm_status status = tdm__calloc_try(1, sizeof **out, out);
    if (status) {
        json_decref(root);
        return status;
    }
    (*out)->root = root;
    (*out)->choices = json_object_get(root, "choices");
    return TDM_OK;
}

tdm_status tdm__tuning_parse(const char *text, size_t size, const char *name, tdm__tuning **out)
{
    json_t *root = NULL;
    *out = NULL;
    tdm_status status = tdm__json_parse(text, size, name, &root);
    if (status) return status;
    const char *wrong = fault(root);
    if (!wrong) return take(root, out);
    json_decref(root);
    return tdm__fail(TDM_ERR_DATA, "%s: %s", name, wrong);
}

tdm_status tdm__tuning_read(const char *path, tdm__tuning **out)
{
    char *text = NULL;
    size_t size;
    *out = NULL;
    tdm_status status = tdm__read_file(path, FILE_LIMIT, &text, &size);
    if (!status) status = tdm__tuning_parse(text, size, path, out);
    free(text);
    return status;
}

tdm_status tdm__tuning_create(const tdm_device *device, tdm__tuning **out)
{
    char kernels[TDM__HASH_HEX];
    const tdm_device_info *info = tdm_device_get_info(device);
    *out = NULL;
    tdm_status status = tdm__device_kernels_hash(device, kernels);
    if (status) return status;
    json_t *root = json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:{}}", "format", FORMAT, "device",
                             "name", info->name, "driver", info->driver, "hash",
                             tdm__device_hash(device), "kernels", kernels, "choices");
    if (!root) return tdm__fail(TDM_ERR_DATA, "the device's name is no UTF-8, or out of memory");
    return take(root, out);
}

void tdm__tuning_destroy(tdm__tuning **tuning)
{
    if (!*tuning) return;
    json_decref((*tuning)->root);
    free(*tuning);
    *tuning = NULL;
}

/* ---- whom it is for ---------------------------------------------------------------------------
 */

static tdm_status check_match(const json_t *match, const tdm_device *device)
{
    const tdm__traits *traits = tdm__device_traits(device);
    const char *style = traits->style == TDM_STYLE_CPU ? "cpu" : "gpu";
    if (tdm__glob(text_at(match, "platform"), tdm_device_get_info(device)->platform_name) &&
        tdm__streq(text_at(match, "style"), style) &&
        json_integer_value(json_object_get(match, "vector_width")) == traits->vector_width)
        return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "is for devices unlike %s", tdm_device_get_info(device)->name);
}

tdm_status tdm__tuning_check(const tdm__tuning *tuning, const tdm_device *device)
{
    char kernels[TDM__HASH_HEX];
    const json_t *match = json_object_get(tuning->root, "match");
    if (match) return check_match(match, device);
    const json_t *theirs = json_object_get(tuning->root, "device");
    if (strcmp(text_at(theirs, "hash"), tdm__device_hash(device)) != 0)
        return tdm__fail(TDM_ERR_DATA, "was measured on another device (%s, driver %s)",
                         text_at(theirs, "name"), text_at(theirs, "driver"));
    const tdm_status status = tdm__device_kernels_hash(device, kernels);
    if (status) return status;
    if (strcmp(text_at(tuning->root, "kernels"), kernels) != 0)
        return tdm__fail(TDM_ERR_DATA, "was measured with other kernels than today's");
    return TDM_OK;
}

tdm_status tdm__tuning_pick(const tdm__embedded *files, const tdm_device *device, tdm__tuning **out,
                            const char **name)
{
    *out = NULL;
    for (const tdm__embedded *e = files; e->name; e++) {
        const tdm_status status = tdm__tuning_parse(e->text, e->size, e->name, out);
        if (status) return status;
        *name = e->name;
        if (!tdm__tuning_check(*out, device)) return TDM_OK;
        tdm__tuning_destroy(out);
    }
    return TDM_OK;
}

tdm_status tdm__tuning_shipped(const tdm_device *device, tdm__tuning **out, const char **name)
{
    return tdm__tuning_pick(tdm__embedded_tunings, device, out, name);
}

tdm_status tdm__tuning_path(const tdm_device *device, char **out)
{
    tdm_status status = TDM_OK;
    char *folder = NULL;
    tdm__str name = {0};
    *out = NULL;
    TDM_TRY(tdm__cache_folder("tune", &folder));
    if (!folder) goto done;
    tdm__str_addf(&name, "%s.json", tdm__device_hash(device));
    TDM_TRY(tdm__str_status(&name));
    TDM_TRY(tdm__path_join(folder, tdm__str_text(&name), out));
done:
    tdm__str_free(&name);
    free(folder);
    return status;
}

/* ---- choices ----------------------------------------------------------------------------------
 */

const char *tdm__tuning_find(const tdm__tuning *tuning, const char *key)
{
    return text_at(json_object_get(tuning->choices, key), "algorithm");
}

size_t tdm__tuning_count(const tdm__tuning *tuning)
{
    return json_object_size(tuning->choices);
}

tdm_status tdm__tuning_each(const tdm__tuning *tuning,
                            tdm_status (*fn)(void *user, const char *key, const char *algorithm),
                            void *user)
{
    tdm_status status = TDM_OK;
    const char *key;
    json_t *choice;
    json_object_foreach(tuning->choices, key, choice)
    {
        TDM_TRY(fn(user, key, text_at(choice, "algorithm")));
    }
done:
    return status;
}

/* Four digits are more than a time is worth, and readable. */
static double rounded(double ms)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", ms);
    return strtod(text, NULL);
}

tdm_status tdm__tuning_set(tdm__tuning *tuning, const char *key, const char *algorithm,
                           const char *const *names, const double *ms, size_t n)
{
    json_t *choice = json_pack("{s:s, s:{}}", "algorithm", algorithm, "ms");
    json_t *times = json_object_get(choice, "ms");
    bool good = choice != NULL;
    for (size_t i = 0; i < n && good; i++)
        good = json_object_set_new(times, names[i], json_real(rounded(ms[i]))) == 0;
    if (good) good = json_object_set(tuning->choices, key, choice) == 0;
    json_decref(choice);
    return good ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "tuning: out of memory");
}

/* ---- writing ----------------------------------------------------------------------------------
 */

tdm_status tdm__tuning_text(const tdm__tuning *tuning, char **out)
{
    /* six digits: what was read comes out as it went in, and the largest double stays finite */
    *out = json_dumps(tuning->root, JSON_INDENT(1) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6));
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "tuning: out of memory");
}

tdm_status tdm__tuning_hash(const tdm__tuning *tuning, char hex[TDM__HASH_HEX])
{
    char *text = NULL;
    const tdm_status status = tdm__tuning_text(tuning, &text);
    if (!status) tdm__hash_bytes_hex(text, strlen(text), hex);
    free(text);
    return status;
}

tdm_status tdm__tuning_write(const tdm__tuning *tuning, const char *path)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *folder = NULL;
    TDM_TRY(tdm__tuning_text(tuning, &text));
    TDM_TRY(tdm__path_dir(path, &folder));
    TDM_TRY(tdm__make_folders(folder));
    TDM_TRY(tdm__atomic_write_file(path, text, strlen(text)));
done:
    free(text);
    free(folder);
    return status;
}

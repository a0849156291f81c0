/* Choosing a device: the rules of tandem/device.h as a pure function over a list of devices. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "base/str.h"
#include "cl/internal.h"

const tdm_device_type tdm__device_preference[3] = {TDM_DEVICE_GPU, TDM_DEVICE_ACCELERATOR,
                                                   TDM_DEVICE_CPU};

const char *tdm__device_type_name(tdm_device_type type)
{
    switch (type) {
    case TDM_DEVICE_GPU:
        return "gpu";
    case TDM_DEVICE_CPU:
        return "cpu";
    case TDM_DEVICE_ACCELERATOR:
        return "accelerator";
    default:
        return "any";
    }
}

static bool given(const char *text)
{
    return text && *text;
}

/* "3" or "2:1": digits only. */
static bool parse_indices(const char *text, unsigned long *platform, unsigned long *device)
{
    char *end;
    if (*text < '0' || *text > '9') return false;
    *platform = strtoul(text, &end, 10);
    if (!device) return *end == 0;
    if (*end != ':' || end[1] < '0' || end[1] > '9') return false;
    *device = strtoul(end + 1, &end, 10);
    return *end == 0;
}

static bool platform_fits(const char *platform, const tdm_device_info *d)
{
    unsigned long index;
    if (!given(platform)) return true;
    if (parse_indices(platform, &index, NULL)) return d->platform == index;
    return tdm__contains_nocase(d->platform_name, platform);
}

static bool filters_fit(const tdm_device_spec *spec, const tdm_device_info *d)
{
    return platform_fits(spec->platform, d) &&
           (spec->type == TDM_DEVICE_ANY || spec->type == d->type);
}

/* Appends "0:1 name (gpu), ..." of the devices that `keep` marks (NULL: all). */
static void add_candidates(tdm__str *s, const tdm_device_info *list, size_t n, const bool *keep)
{
    const char *separator = "";
    for (size_t i = 0; i < n; i++) {
        if (keep && !keep[i]) continue;
        tdm__str_addf(s, "%s%u:%u %s (%s)", separator, list[i].platform, list[i].device,
                      list[i].name, tdm__device_type_name(list[i].type));
        separator = ", ";
    }
}

/* `gpu`, ...: TDM_DEVICE_ANY for a text that is no type. */
static tdm_device_type type_from_text(const char *text)
{
    for (int k = 0; k < 3; k++)
        if (strcasecmp(text, tdm__device_type_name(tdm__device_preference[k])) == 0)
            return tdm__device_preference[k];
    return TDM_DEVICE_ANY;
}

/* Marks what the device text means among the devices that pass the filters; returns how many. */
static size_t mark(const tdm_device_spec *spec, const tdm_device_info *list, size_t n, bool *keep)
{
    unsigned long platform, device;
    size_t count = 0;
    bool indices = parse_indices(spec->device, &platform, &device);
    for (size_t i = 0; i < n; i++) {
        const tdm_device_info *d = &list[i];
        if (!filters_fit(spec, d)) continue;
        keep[i] = indices ? d->platform == platform && d->device == device
                          : tdm__contains_nocase(d->name, spec->device) ||
                                tdm__contains_nocase(d->platform_name, spec->device);
        count += keep[i];
    }
    return count;
}

/* The first device of the type that passes the filters, or n. */
static size_t first_of(const tdm_device_spec *spec, tdm_device_type type,
                       const tdm_device_info *list, size_t n)
{
    size_t i = 0;
    while (i < n && !(list[i].type == type && filters_fit(spec, &list[i]))) i++;
    return i;
}

static tdm_status fail_none(const tdm_device_spec *spec, const tdm_device_info *list, size_t n)
{
    tdm__str what = {0}, all = {0};
    if (given(spec->device)) tdm__str_addf(&what, " `%s`", spec->device);
    if (spec->type != TDM_DEVICE_ANY)
        tdm__str_addf(&what, " of type %s", tdm__device_type_name(spec->type));
    if (given(spec->platform)) tdm__str_addf(&what, " on platform `%s`", spec->platform);
    add_candidates(&all, list, n, NULL);
    tdm_status status = tdm__fail(TDM_ERR_DEVICE, "no device%s; there are: %s",
                                  tdm__str_text(&what), tdm__str_text(&all));
    tdm__str_free(&what);
    tdm__str_free(&all);
    return tdm__hint(status, "`tandem devices` lists what can be chosen");
}

static tdm_status choose_by_text(const tdm_device_spec *spec, const tdm_device_info *list, size_t n,
                                 size_t *index)
{
    tdm_status status = TDM_OK;
    tdm__str matches = {0};
    bool *keep = NULL;
    TDM_TRY(tdm__calloc_try(n, sizeof *keep, &keep));
    size_t count = mark(spec, list, n, keep);
    if (count == 0) {
        status = fail_none(spec, list, n);
        goto done;
    }
    size_t first = 0;
    while (!keep[first]) first++;
    if (count > 1) {
        add_candidates(&matches, list, n, keep);
        status = tdm__fail(TDM_ERR_DEVICE, "device `%s` is ambiguous: %s", spec->device,
                           tdm__str_text(&matches));
        status = tdm__hint(status, "name it by its index, as in `%u:%u`", list[first].platform,
                           list[first].device);
    } else {
        *index = first;
    }
done:
    free(keep);
    tdm__str_free(&matches);
    return status;
}

tdm_status tdm__choose(const tdm_device_spec *spec, const tdm_device_info *list, size_t n,
                       size_t *index)
{
    if (n == 0)
        return tdm__hint(tdm__fail(TDM_ERR_DEVICE, "no OpenCL device on this machine"), "%s",
                         TDM__NO_DEVICE_HINT);
    tdm_device_type type = TDM_DEVICE_ANY;
    if (given(spec->device)) {
        type = type_from_text(spec->device);
        if (type == TDM_DEVICE_ANY) return choose_by_text(spec, list, n, index);
    }
    for (int k = 0; k < 3; k++) {
        if (type != TDM_DEVICE_ANY && type != tdm__device_preference[k]) continue;
        *index = first_of(spec, tdm__device_preference[k], list, n);
        if (*index < n) return TDM_OK;
    }
    return fail_none(spec, list, n);
}

tdm_status tdm_device_choose(const tdm_device_spec *spec, tdm_device_info *out)
{
    tdm_device_info *list = NULL;
    size_t n = 0, index = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_device_list(&list, &n));
    TDM_TRY(tdm__choose(spec, list, n, &index));
    *out = list[index];
done:
    free(list);
    return status;
}

/* report/pictures.c: see pictures.h. */
#include "report/pictures.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/jpeg.h"

tdm_status tdm__picture_sample(const char *path, const tdm_desc *d, void *out)
{
    tdm_status status = TDM_OK;
    tdm__image read = {0}, plain = {0}, fitted = {0};
    char text[64];
    if (d->rank != 3 || (d->dim[2] != 1 && d->dim[2] != 3))
        return tdm__fail(TDM_ERR_DATA,
                         "%s: the network takes samples of %s, which a picture cannot be", path,
                         tdm_desc_text(d, text, sizeof text));
    const uint32_t h = (uint32_t)d->dim[0], w = (uint32_t)d->dim[1];
    TDM_TRY(tdm__picture_read(path, &read));
    TDM_TRY(tdm__image_convert(&read, (unsigned)d->dim[2], &plain));
    TDM_TRY(tdm__image_resize(&plain, w, h, TDM__IMAGE_BILINEAR, &fitted));
    const uint8_t *bytes = fitted.pixels;
    for (size_t i = 0; i < tdm__image_bytes(&fitted); i++) {
        if (d->dtype == TDM_U8)
            ((uint8_t *)out)[i] = bytes[i];
        else
            ((float *)out)[i] = (float)bytes[i] / 255;
    }
done:
    tdm__image_free(&read);
    tdm__image_free(&plain);
    tdm__image_free(&fitted);
    return status;
}

static bool is_picture_name(const char *name)
{
    static const char *const endings[] = {".png", ".jpg", ".jpeg"};
    const char *dot = strrchr(name, '.');
    for (int i = 0; dot && i < 3; i++)
        if (!strcasecmp(dot, endings[i])) return true;
    return false;
}

static tdm_status add_path(char *path, char ***list, size_t *n, size_t *capacity)
{
    tdm_status status = path ? tdm__grow(list, capacity, *n + 1, sizeof **list)
                             : tdm__fail(TDM_ERR_NOMEM, "out of memory");
    if (status)
        free(path);
    else
        (*list)[(*n)++] = path;
    return status;
}

tdm_status tdm__picture_list(const char *path, char ***out, size_t *n)
{
    tdm_status status = TDM_OK;
    char **names = NULL;
    size_t n_names = 0, capacity = 0;
    *out = NULL;
    *n = 0;
    if (!tdm__is_folder(path)) return add_path(tdm__strdup(path), out, n, &capacity);
    TDM_TRY(tdm__list_folder(path, &names, &n_names));
    for (size_t i = 0; i < n_names; i++) {
        char *file = NULL;
        if (!is_picture_name(names[i])) continue;
        TDM_TRY(tdm__path_join(path, names[i], &file));
        TDM_TRY(add_path(file, out, n, &capacity));
    }
    if (*n == 0)
        TDM_TRY(tdm__hint(tdm__fail(TDM_ERR_DATA, "%s: neither a data set nor pictures", path),
                          "a data set has train.h5 or train/; pictures end in .png or .jpg"));
done:
    tdm__names_free(names, n_names);
    if (status) {
        tdm__names_free(*out, *n);
        *out = NULL;
        *n = 0;
    }
    return status;
}

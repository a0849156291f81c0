/* Cityscapes (Cordts et al., CVPR 2016), down-sampled ("Tiny Cityscapes"), to train.h5 and val.h5:
 *   SRC/{leftImg8bit,gtFine,disparity}/{train,val}/CITY/CITY_SEQ_FRAME_{leftImg8bit,
 *   gtFine_labelIds,gtFine_instanceIds,disparity}.png
 * Pictures are resized antialiased bilinear, all labels to the nearest pixel; vectors to the centre
 * of an object are computed after that. What a sample lacks (labels, disparity) is stored as not
 * known: 255 and NaN. The test split has no public labels and is not imported. */
#include "data/import.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/cityscapes.h"
#include "format/png.h"

enum { DEFAULT_HEIGHT = 128, MIN_HEIGHT = 8, MAX_HEIGHT = 2048 };
enum { IMAGES, SEMANTIC, CATEGORY, INSTANCE, DISPARITY, ARRAYS };
static const char picture_ending[] = "_leftImg8bit.png";

typedef struct city_import {
    const tdm__import_job *job;
    const char *split;
    char **names; /* "aachen/aachen_000000_000019" */
    size_t n, capacity;
    bool any_disparity;     /* SRC/disparity is there */
    uint32_t full[2];       /* width, height of the originals */
    uint32_t width, height; /* of what is written */
    tdm__image image;       /* the current sample */
    uint8_t *classes, *categories;
    float *vectors, *disparity;
    tdm__city_instances instances;
    size_t without_labels, without_disparity;
} city_import;

static void city_free(city_import *c)
{
    tdm__names_free(c->names, c->n);
    tdm__image_free(&c->image);
    free(c->classes);
    free(c->categories);
    free(c->vectors);
    free(c->disparity);
    tdm__city_instances_free(&c->instances);
}

/* ---- finding samples ------------------------------------------------------------------------- */

static tdm_status add_city(city_import *c, const char *folder, const char *city)
{
    char *path = NULL, **files = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(folder, city, &path));
    if (!tdm__is_folder(path)) goto done;
    TDM_TRY(tdm__list_folder(path, &files, &n));
    for (size_t i = 0; i < n; i++) {
        if (files[i][0] == '.' || !tdm__ends_with(files[i], picture_ending)) continue;
        tdm__str name = {0};
        TDM_TRY(tdm__grow(&c->names, &c->capacity, c->n + 1, sizeof *c->names));
        files[i][strlen(files[i]) - strlen(picture_ending)] = 0;
        tdm__str_addf(&name, "%s/%s", city, files[i]);
        TDM_TRY(tdm__str_status(&name));
        c->names[c->n++] = name.text;
    }
done:
    tdm__names_free(files, n);
    free(path);
    return status;
}

static tdm_status find_samples(city_import *c)
{
    tdm__str folder = {0};
    char **cities = NULL;
    size_t n = 0;
    tdm_status status = TDM_OK;
    tdm__str_addf(&folder, "%s/leftImg8bit/%s", c->job->source, c->split);
    TDM_TRY(tdm__str_status(&folder));
    TDM_TRY(tdm__list_folder(folder.text, &cities, &n));
    for (size_t i = 0; i < n; i++)
        if (cities[i][0] != '.') TDM_TRY(add_city(c, folder.text, cities[i]));
    if (!c->n)
        status = tdm__fail(TDM_ERR_DATA, "%s: holds no CITY/*%s", folder.text, picture_ending);
done:
    tdm__names_free(cities, n);
    tdm__str_free(&folder);
    return status;
}

/* ---- one sample ------------------------------------------------------------------------------ */

/* The resized picture of the sample. *path: its file, free() it. *found false: there is none. */
static tdm_status read_resized(const city_import *c, size_t sample, const char *folder,
                               const char *ending, tdm__image_filter filter, char **path,
                               bool *found, tdm__image *out)
{
    tdm__str name = {0};
    tdm__image full = {0}, rgb = {0};
    tdm_status status = TDM_OK;
    tdm__str_addf(&name, "%s/%s/%s/%s%s", c->job->source, folder, c->split, c->names[sample],
                  ending);
    *path = name.text;
    TDM_TRY(tdm__str_status(&name));
    *found = tdm__path_exists(*path);
    if (!*found) goto done;
    TDM_TRY(tdm__png_read(*path, &full));
    if (full.width != c->full[0] || full.height != c->full[1]) {
        status = tdm__fail(TDM_ERR_DATA, "%s: has %u x %u pixels, the first picture %u x %u", *path,
                           full.width, full.height, c->full[0], c->full[1]);
        goto done;
    }
    const bool picture = filter == TDM__IMAGE_BILINEAR;
    if (picture) TDM_TRY(tdm__image_convert(&full, 3, &rgb));
    status = tdm__image_resize(picture ? &rgb : &full, c->width, c->height, filter, out);
done:
    tdm__image_free(&full);
    tdm__image_free(&rgb);
    return status;
}

static tdm_status read_semantic(city_import *c, size_t sample, bool *found)
{
    char *path = NULL;
    tdm__image image = {0};
    tdm_status status = TDM_OK;
    const size_t pixels = (size_t)c->width * c->height;
    TDM_TRY(read_resized(c, sample, "gtFine", "_gtFine_labelIds.png", TDM__IMAGE_NEAREST, &path,
                         found, &image));
    if (*found) TDM_TRY(tdm__city_classes(&image, path, c->classes, c->categories));
    if (!*found) memset(c->classes, TDM__CITY_IGNORE, pixels);
    if (!*found) memset(c->categories, TDM__CITY_IGNORE, pixels);
done:
    tdm__image_free(&image);
    free(path);
    return status;
}

static tdm_status read_instances(city_import *c, size_t sample, bool *found)
{
    char *path = NULL;
    tdm__image image = {0};
    tdm_status status = TDM_OK;
    const size_t pixels = (size_t)c->width * c->height;
    TDM_TRY(read_resized(c, sample, "gtFine", "_gtFine_instanceIds.png", TDM__IMAGE_NEAREST, &path,
                         found, &image));
    if (*found) TDM_TRY(tdm__city_vectors(&c->instances, &image, path, c->vectors));
    for (size_t i = 0; !*found && i < 2 * pixels; i++) c->vectors[i] = NAN;
done:
    tdm__image_free(&image);
    free(path);
    return status;
}

static tdm_status read_disparity(city_import *c, size_t sample, bool *found)
{
    char *path = NULL;
    tdm__image image = {0};
    tdm_status status = TDM_OK;
    const size_t pixels = (size_t)c->width * c->height;
    TDM_TRY(read_resized(c, sample, "disparity", "_disparity.png", TDM__IMAGE_NEAREST, &path, found,
                         &image));
    if (*found) TDM_TRY(tdm__city_disparity(&image, path, c->disparity));
    for (size_t i = 0; !*found && i < pixels; i++) c->disparity[i] = NAN;
done:
    tdm__image_free(&image);
    free(path);
    return status;
}

static tdm_status read_sample(city_import *c, size_t sample)
{
    char *path = NULL;
    bool there = false, semantic = false, instances = false, disparity = true;
    tdm_status status = TDM_OK;
    tdm__image_free(&c->image);
    TDM_TRY(read_resized(c, sample, "leftImg8bit", picture_ending, TDM__IMAGE_BILINEAR, &path,
                         &there, &c->image));
    if (!there) {
        status = tdm__fail(TDM_ERR_DATA, "%s: is no longer there", path);
        goto done;
    }
    TDM_TRY(read_semantic(c, sample, &semantic));
    TDM_TRY(read_instances(c, sample, &instances));
    if (c->any_disparity) TDM_TRY(read_disparity(c, sample, &disparity));
    c->without_labels += !semantic || !instances;
    c->without_disparity += !disparity;
done:
    free(path);
    return status;
}

/* The size of the first picture; all others must have it. */
static tdm_status prepare(city_import *c)
{
    tdm__str path = {0};
    tdm__image first = {0};
    tdm_status status = TDM_OK;
    tdm__str_addf(&path, "%s/leftImg8bit/%s/%s%s", c->job->source, c->split, c->names[0],
                  picture_ending);
    TDM_TRY(tdm__str_status(&path));
    TDM_TRY(tdm__png_read(path.text, &first));
    c->full[0] = first.width;
    c->full[1] = first.height;
    c->height = c->job->size;
    c->width = (uint32_t)(((uint64_t)first.width * c->height + first.height / 2) / first.height);
    if (!c->width || c->width > TDM__IMAGE_SIDE) {
        status = tdm__fail(TDM_ERR_DATA, "%s: %u x %u pixels cannot become %u rows", path.text,
                           first.width, first.height, c->height);
        goto done;
    }
    const size_t pixels = (size_t)c->width * c->height;
    TDM_TRY(tdm__calloc_try(pixels, 1, &c->classes));
    TDM_TRY(tdm__calloc_try(pixels, 1, &c->categories));
    TDM_TRY(tdm__calloc_try(pixels, 2 * sizeof *c->vectors, &c->vectors));
    TDM_TRY(tdm__calloc_try(pixels, sizeof *c->disparity, &c->disparity));
    TDM_TRY(tdm__city_instances_create(&c->instances));
done:
    tdm__image_free(&first);
    tdm__str_free(&path);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static tdm_status add_arrays(const city_import *c, tdm__h5_writer *w, size_t sets[ARRAYS])
{
    const tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1),
                    f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    const uint64_t width = c->width, height = c->height;
    const tdm__import_array arrays[ARRAYS] = {
        [IMAGES] = {.spec = {"images", u8, 3, {height, width, 3}, 0},
                    .kind = TDM_ARRAY_IMAGE,
                    .high = 255},
        [SEMANTIC] = {.spec = {"semantic", u8, 3, {height, width, 1}, 0},
                      .kind = TDM_ARRAY_MASK,
                      .classes = TDM__CITY_CLASSES,
                      .class_names = tdm__city_class_names,
                      .high = TDM__CITY_CLASSES - 1},
        [CATEGORY] = {.spec = {"category", u8, 3, {height, width, 1}, 0},
                      .kind = TDM_ARRAY_MASK,
                      .classes = TDM__CITY_CATEGORIES,
                      .class_names = tdm__city_category_names,
                      .high = TDM__CITY_CATEGORIES - 1},
        [INSTANCE] = {.spec = {"instance", f32, 3, {height, width, 2}, 0},
                      .kind = TDM_ARRAY_VALUES,
                      .low = 1},
        [DISPARITY] = {.spec = {"disparity", f32, 3, {height, width, 1}, 0},
                       .kind = TDM_ARRAY_DEPTH,
                       .high = 256}};
    tdm_status status = TDM_OK;
    for (int i = 0; i < ARRAYS && !status; i++) {
        tdm__import_array a = arrays[i];
        if (i == DISPARITY && !c->any_disparity) break;
        a.spec.deflate = tdm__h5_deflate_for(width * height * a.spec.dims[2] * a.spec.elem.size);
        status = tdm__import_add(w, &a, &sets[i]);
    }
    return status;
}

static tdm_status append(const city_import *c, tdm__h5_writer *w, const size_t sets[ARRAYS])
{
    const void *rows[ARRAYS] = {[IMAGES] = c->image.pixels,
                                [SEMANTIC] = c->classes,
                                [CATEGORY] = c->categories,
                                [INSTANCE] = c->vectors,
                                [DISPARITY] = c->disparity};
    const int arrays = c->any_disparity ? ARRAYS : DISPARITY;
    tdm_status status = TDM_OK;
    for (int i = 0; i < arrays && !status; i++)
        status = tdm__h5_writer_append(w, sets[i], rows[i], 1);
    return status;
}

static tdm_status write_split(city_import *c)
{
    size_t sets[ARRAYS];
    tdm__h5_writer *w = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(find_samples(c));
    TDM_TRY(prepare(c));
    TDM_TRY(tdm__import_create(c->job, tdm__import_cityscapes.kind, c->split, &w));
    TDM_TRY(add_arrays(c, w, sets));
    for (size_t i = 0; i < c->n; i++) {
        TDM_TRY(tdm__import_progress(c->job, c->split, i, c->n));
        TDM_TRY(read_sample(c, i));
        TDM_TRY(append(c, w, sets));
    }
    if (c->without_labels == c->n) {
        status = tdm__fail(TDM_ERR_DATA, "%s/gtFine/%s: no labels for any of %zu pictures",
                           c->job->source, c->split, c->n);
        goto done;
    }
    TDM_TRY(tdm__h5_writer_commit(w));
    TDM_TRY(tdm__import_progress(c->job, c->split, c->n, c->n));
    if (c->without_labels || c->without_disparity)
        tdm__log(TDM_LOG_WARN,
                 "%s: of %zu pictures %zu have no labels and %zu no disparity: stored as not known",
                 c->split, c->n, c->without_labels, c->without_disparity);
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

static const char *const splits[] = {"train", "val", NULL};

static tdm_status run(const tdm__import_job *job)
{
    tdm__str folder = {0};
    tdm_status status = TDM_OK;
    if (job->size < MIN_HEIGHT || job->size > MAX_HEIGHT)
        return tdm__fail(TDM_ERR_USAGE, "size %u: must be in %d..%d", job->size, MIN_HEIGHT,
                         MAX_HEIGHT);
    tdm__str_addf(&folder, "%s/disparity", job->source);
    TDM_TRY(tdm__str_status(&folder));
    const bool any_disparity = tdm__is_folder(folder.text);
    if (!any_disparity)
        tdm__log(TDM_LOG_WARN, "%s: is not there: no disparity is imported", folder.text);
    for (size_t i = 0; splits[i] && !status; i++) {
        city_import c = {.job = job, .split = splits[i], .any_disparity = any_disparity};
        if (!tdm__import_wants(job, splits[i])) continue;
        status = write_split(&c);
        city_free(&c);
    }
done:
    tdm__str_free(&folder);
    return status;
}

const tdm__importer tdm__import_cityscapes = {
    .kind = "cityscapes",
    .help = "folder with {leftImg8bit,gtFine,disparity}/{train,val}/CITY/*.png; --size is the "
            "height, 128 (and the width 256)",
    .splits = splits,
    .side = DEFAULT_HEIGHT,
    .resizes = true,
    .run = run};

/* data/make.c: see make.h. */
#include "data/make.h"

#include <math.h>
#include <string.h>

#include "base/error.h"

enum { TILES = 9, SIDE_TILES = 3, TURNS = 4 };

static const uint8_t permutations[TDM_MAKE_PERMUTATIONS][TILES] = {
#include "data/jigsaw.def"
};

const uint8_t *tdm_make_permutation(uint32_t order)
{
    return permutations[order];
}

/* ---- what there is ----------------------------------------------------------------------------
 */

static const char *const names[] = {"none", "autoencoding", "denoising", "rotation",
                                    "flip", "vflip",        "jigsaw",    "colourisation"};

const char *tdm_make_name(tdm_make_kind kind)
{
    return names[kind];
}

bool tdm_make_changes_input(tdm_make_kind kind)
{
    return kind != TDM_MAKE_NONE && kind != TDM_MAKE_AUTOENCODING;
}

uint64_t tdm_make_classes(const tdm_make *make)
{
    switch (make->kind) {
    case TDM_MAKE_ROTATION:
        return TURNS;
    case TDM_MAKE_FLIP:
    case TDM_MAKE_VFLIP:
        return 2;
    case TDM_MAKE_JIGSAW:
        return make->permutations;
    default:
        return 0;
    }
}

const char *const *tdm_make_class_names(const tdm_make *make)
{
    static const char *const turns[] = {"0 degrees", "90 degrees", "180 degrees", "270 degrees"};
    static const char *const mirrored[] = {"as it is", "mirrored"};
    static const char *const turned[] = {"upright", "upside down"};
    switch (make->kind) {
    case TDM_MAKE_ROTATION:
        return turns;
    case TDM_MAKE_FLIP:
        return mirrored;
    case TDM_MAKE_VFLIP:
        return turned;
    default:
        return NULL;
    }
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static tdm_status check_values(const tdm_make *make)
{
    if (make->kind == TDM_MAKE_JIGSAW &&
        (make->permutations < 2 || make->permutations > TDM_MAKE_PERMUTATIONS))
        return tdm__fail(TDM_ERR_CONFIG, "jigsaw: %u permutations: must be 2 to %d",
                         (unsigned)make->permutations, TDM_MAKE_PERMUTATIONS);
    if (make->kind == TDM_MAKE_DENOISING && make->noise == TDM_MAKE_GAUSSIAN &&
        !(make->sigma > 0 && isfinite(make->sigma)))
        return tdm__fail(TDM_ERR_CONFIG, "denoising: sigma %g: must be > 0", make->sigma);
    if (make->kind == TDM_MAKE_DENOISING && make->noise == TDM_MAKE_SALT_AND_PEPPER &&
        !(make->share > 0 && make->share <= 1))
        return tdm__fail(TDM_ERR_CONFIG, "denoising: share %g: must be > 0 and <= 1", make->share);
    return TDM_OK;
}

static tdm_status check_picture(const tdm_make *make, const tdm_array_info *picture)
{
    const char *what = tdm_make_name(make->kind);
    if (picture->kind != TDM_ARRAY_IMAGE || picture->rank < 2 || picture->rank > 3)
        return tdm__fail(TDM_ERR_CONFIG, "%s: '%s' holds no pictures", what, picture->name);
    const unsigned long long h = picture->dims[0], w = picture->dims[1],
                             channels = picture->rank == 3 ? picture->dims[2] : 1;
    if (h > UINT32_MAX || w > UINT32_MAX || channels > UINT32_MAX)
        return tdm__fail(TDM_ERR_CONFIG, "%s: '%s': too large", what, picture->name);
    if (make->kind == TDM_MAKE_ROTATION && h != w)
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                   "rotation: '%s' is %llux%llu: only square pictures keep their "
                                   "shape when they are turned by 90 degrees",
                                   picture->name, h, w),
                         "data.transforms: [resize 128] or [crop 128]; or make: vflip");
    if (make->kind == TDM_MAKE_JIGSAW &&
        (h / SIDE_TILES <= make->gap || w / SIDE_TILES <= make->gap))
        return tdm__hint(tdm__fail(TDM_ERR_CONFIG,
                                   "jigsaw: '%s' is %llux%llu: cells of %llux%llu leave no tile "
                                   "with a gap of %u",
                                   picture->name, h, w, h / SIDE_TILES, w / SIDE_TILES,
                                   (unsigned)make->gap),
                         "a smaller tile_gap");
    if (make->kind == TDM_MAKE_COLOURISATION && channels != 3)
        return tdm__fail(TDM_ERR_CONFIG,
                         "colourisation: '%s' has %llu channel%s: needs red, green and blue",
                         picture->name, channels, channels == 1 ? "" : "s");
    return TDM_OK;
}

tdm_array_info tdm_make_label(const tdm_make *make, const char *name)
{
    return (tdm_array_info){.name = name,
                            .kind = TDM_ARRAY_CLASS,
                            .dtype = "i32",
                            .elems = 1,
                            .classes = tdm_make_classes(make),
                            .class_names = tdm_make_class_names(make)};
}

tdm_status tdm_make_shape(const tdm_make *make, tdm_make_part part, const tdm_array_info *picture,
                          tdm_array_info *out)
{
    tdm_status status = check_values(make);
    if (!status) status = check_picture(make, picture);
    if (status) return status;
    *out = *picture;
    if (part == TDM_MAKE_INPUT) return TDM_OK;
    if (!tdm_make_classes(make))
        return tdm__fail(TDM_ERR_CONFIG, "%s: its target is the picture, not a class",
                         tdm_make_name(make->kind));
    *out = tdm_make_label(make, picture->name);
    return TDM_OK;
}

tdm_status tdm__maker_init(const tdm_make *make, tdm_make_part part, const tdm_array_info *picture,
                           tdm_dtype dtype, tdm_array_info *out, tdm__maker *maker)
{
    const tdm_status status = tdm_make_shape(make, part, picture, out);
    if (status) return status;
    if (dtype != TDM_U8 && dtype != TDM_F32)
        return tdm__fail(TDM_ERR_CONFIG, "%s: '%s' is neither u8 nor f32",
                         tdm_make_name(make->kind), picture->name);
    *maker = (tdm__maker){.make = *make,
                          .part = part,
                          .size = {(uint32_t)picture->dims[0], (uint32_t)picture->dims[1]},
                          .channels = picture->rank == 3 ? (uint32_t)picture->dims[2] : 1,
                          .dtype = dtype};
    maker->make.name = NULL; /* the caller's */
    return TDM_OK;
}

tdm__rng tdm__make_rng(const tdm_make *make, uint64_t seed, uint64_t stream, uint64_t epoch,
                       uint64_t row)
{
    tdm__rng rng =
        tdm__rng_make(seed, tdm__rng_stream(make->name ? make->name : "", stream, epoch));
    rng.index = row << 32; /* blocks: more than any picture has values */
    return rng;
}

/* ---- turning ----------------------------------------------------------------------------------
 */

/* Where output pixel (y, x) comes from: start + y * down + x * right, in pixels. */
typedef struct walk {
    ptrdiff_t start, down, right;
} walk;

static walk walk_of(const tdm__maker *m, uint32_t label)
{
    const ptrdiff_t h = m->size[0], w = m->size[1];
    if (label == 0) return (walk){0, w, 1};
    if (m->make.kind == TDM_MAKE_FLIP) return (walk){w - 1, w, -1};
    if (m->make.kind == TDM_MAKE_VFLIP) return (walk){(h - 1) * w, -w, 1};
    if (label == 1) return (walk){w - 1, -1, w};
    if (label == 2) return (walk){h * w - 1, -w, -1};
    return (walk){(h - 1) * w, 1, -w};
}

static size_t pixel_bytes(const tdm__maker *m)
{
    return (size_t)m->channels * (m->dtype == TDM_U8 ? 1 : sizeof(float));
}

/* bytes is a constant at each call, so that copies of pixels are not calls. */
static inline void follow(const tdm__maker *m, const walk *k, size_t bytes, const uint8_t *from,
                          uint8_t *to)
{
    for (ptrdiff_t y = 0; y < m->size[0]; y++)
        for (ptrdiff_t x = 0; x < m->size[1]; x++, to += bytes)
            memcpy(to, from + (size_t)(k->start + y * k->down + x * k->right) * bytes, bytes);
}

static void turn(const tdm__maker *m, uint32_t label, const void *from, void *to)
{
    const walk k = walk_of(m, label);
    switch (pixel_bytes(m)) {
    case 1:
        follow(m, &k, 1, from, to);
        break;
    case 3:
        follow(m, &k, 3, from, to);
        break;
    case 4:
        follow(m, &k, 4, from, to);
        break;
    case 12:
        follow(m, &k, 12, from, to);
        break;
    default:
        follow(m, &k, pixel_bytes(m), from, to);
    }
}

/* ---- tiles ------------------------------------------------------------------------------------
 */

/* The first pixel of a cell (0 to 8), whose cells fill the picture's middle. */
static void cell_at(const tdm__maker *m, uint32_t cell, uint32_t at[2])
{
    const uint32_t place[2] = {cell / SIDE_TILES, cell % SIDE_TILES};
    for (int k = 0; k < 2; k++) {
        const uint32_t side = m->size[k] / SIDE_TILES;
        at[k] = (m->size[k] - SIDE_TILES * side) / 2 + place[k] * side;
    }
}

static void shuffle_tiles(const tdm__maker *m, uint32_t label, tdm__rng *rng, const uint8_t *from,
                          uint8_t *to)
{
    const uint8_t *order = permutations[label];
    const size_t bytes = pixel_bytes(m), row = m->size[1] * bytes;
    const uint32_t gap = m->make.gap, height = m->size[0] / SIDE_TILES - gap,
                   width = m->size[1] / SIDE_TILES - gap;
    memset(to, 0, m->size[0] * row);
    for (uint32_t place = 0; place < TILES; place++) {
        uint32_t source[2], target[2];
        cell_at(m, order[place], source);
        cell_at(m, place, target);
        for (int k = 0; k < 2; k++) {
            source[k] += (uint32_t)tdm__rng_below(rng, (uint64_t)gap + 1);
            target[k] += gap / 2;
        }
        for (uint32_t y = 0; y < height; y++)
            memcpy(to + (target[0] + y) * row + target[1] * bytes,
                   from + (source[0] + y) * row + source[1] * bytes, width * bytes);
    }
}

/* ---- noise and grey ---------------------------------------------------------------------------
 */

static uint8_t to_byte(double v)
{
    return (uint8_t)rint(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* Box and Muller's two normal numbers of two uniform ones: half the logarithms of tdm__rng_normal,
 * which takes most of a noisy picture's time. */
static void draw_normals(tdm__rng *rng, double out[2])
{
    const double radius = sqrt(-2 * log(1 - tdm__rng_uniform(rng))),
                 angle = 2 * M_PI * tdm__rng_uniform(rng);
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

static void add_gaussian(const tdm__maker *m, tdm__rng *rng, const void *from, void *to)
{
    const size_t n = (size_t)m->size[0] * m->size[1] * m->channels;
    const double sigma = m->make.sigma;
    double normals[2];
    for (size_t i = 0; i < n; i++) {
        if (i % 2 == 0) draw_normals(rng, normals);
        const double noise = sigma * normals[i % 2];
        if (m->dtype == TDM_U8)
            ((uint8_t *)to)[i] = to_byte(((const uint8_t *)from)[i] + 255 * noise);
        else
            ((float *)to)[i] = (float)((double)((const float *)from)[i] + noise);
    }
}

static void add_salt_and_pepper(const tdm__maker *m, tdm__rng *rng, const void *from, void *to)
{
    const size_t n = (size_t)m->size[0] * m->size[1], channels = m->channels;
    const double share = m->make.share;
    memcpy(to, from, n * pixel_bytes(m));
    for (size_t i = 0; i < n; i++) {
        const double u = tdm__rng_uniform(rng);
        if (u >= share) continue;
        const bool salt = u >= share / 2;
        for (size_t c = i * channels; c < (i + 1) * channels; c++)
            if (m->dtype == TDM_U8)
                ((uint8_t *)to)[c] = salt ? 255 : 0;
            else
                ((float *)to)[c] = salt ? 1.0f : 0.0f;
    }
}

/* ITU-R BT.601's luma; in whole 65536ths for u8, so that every machine rounds alike. */
static void take_colours(const tdm__maker *m, const void *from, void *to)
{
    const size_t n = (size_t)m->size[0] * m->size[1];
    if (m->dtype == TDM_U8) {
        const uint8_t *in = from;
        uint8_t *out = to;
        for (size_t i = 0; i < n; i++, in += 3, out += 3)
            out[0] = out[1] = out[2] =
                (uint8_t)((19595u * in[0] + 38470u * in[1] + 7471u * in[2] + 32768u) >> 16);
        return;
    }
    const float *in = from;
    float *out = to;
    for (size_t i = 0; i < n; i++, in += 3, out += 3)
        out[0] = out[1] = out[2] = 0.299f * in[0] + 0.587f * in[1] + 0.114f * in[2];
}

/* ---- one sample -------------------------------------------------------------------------------
 */

static size_t picture_bytes(const tdm__maker *m)
{
    return (size_t)m->size[0] * m->size[1] * pixel_bytes(m);
}

void tdm__make(const tdm__maker *m, tdm__rng *rng, const void *picture, void *out)
{
    const uint64_t classes = tdm_make_classes(&m->make);
    const uint32_t label = classes ? (uint32_t)tdm__rng_below(rng, classes) : 0;
    if (m->part == TDM_MAKE_LABEL) {
        *(int32_t *)out = (int32_t)label;
        return;
    }
    switch (m->make.kind) {
    case TDM_MAKE_DENOISING:
        if (m->make.noise == TDM_MAKE_GAUSSIAN)
            add_gaussian(m, rng, picture, out);
        else
            add_salt_and_pepper(m, rng, picture, out);
        break;
    case TDM_MAKE_JIGSAW:
        shuffle_tiles(m, label, rng, picture, out);
        break;
    case TDM_MAKE_COLOURISATION:
        take_colours(m, picture, out);
        break;
    case TDM_MAKE_NONE:
    case TDM_MAKE_AUTOENCODING:
        memcpy(out, picture, picture_bytes(m));
        break;
    default:
        turn(m, label, picture, out);
    }
}

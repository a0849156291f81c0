/* tandem/loader.h: batches of one split, loaded ahead by threads. Needs no graph and no device.
 *
 *     tdm_split_open(&(tdm_split_spec){.path = "data/fashion-mnist"}, "train", &split);
 *     tdm_loader_create(&(tdm_loader_spec){.split = split, .batch_size = 64, .shuffle = true,
 *                                          .workers = 2}, &loader);
 *     for (epoch = 0; epoch < epochs; epoch++) {
 *         tdm_loader_epoch(loader, epoch);
 *         while ((status = tdm_loader_next(loader, &batch)) == TDM_OK && batch) use(batch);
 *     }
 *
 * The schedule comes first: which samples make up a batch is a pure function of (seed, stream,
 * epoch, step), how a sample is transformed one of (seed, stream, epoch, row). Threads only fill
 * what the schedule says, so any number of workers, 0 included, gives the same bytes. Within a
 * batch samples are in ascending order of their row in the file (without `shuffle`, the whole epoch
 * is).
 */
#ifndef TANDEM_LOADER_H
#define TANDEM_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/config.h>
#include <tandem/dataset.h>
#include <tandem/dtype.h>
#include <tandem/make.h>
#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The data.* options of a configuration. */
extern const tdm_opt_table tdm_data_options;

/* Splits --------------------------------------------------------------------------------------- */

#define TDM_SPLIT_WHERE 8 /* most conditions */

/* A condition on samples: the array of classes has one of the values. */
typedef struct tdm_split_where {
    const char *array;
    const int64_t *values;
    size_t n_values;
} tdm_split_where;

/* Where the splits of a data set come from. "train" is what the data set calls so (or the one file
 * that `path` names). "val" and "test" are the data set's own where it has them; else they are
 * drawn from train without replacement, disjoint, by `seed`, and train is the rest. */
typedef struct tdm_split_spec {
    const char *path;
    /* Size of a drawn split: a fraction of train's length, rounded to the nearest whole number, or
     * a count; at most one of the two. Both 0: there is none. A data set with its own split of that
     * name refuses them. */
    double val_fraction, test_fraction;
    uint64_t val_count, test_count;
    /* Of all splits only the samples that satisfy all of these: val and test are drawn from what is
     * left of train. None left, or an array or class that is not there: TDM_ERR_CONFIG. */
    tdm_split_where where[TDM_SPLIT_WHERE];
    size_t n_where;
    /* Use only so many samples of train (after drawing val and test), drawn without replacement and
     * put in ascending order; all arrays use the same. 0: all. More than there are: TDM_ERR_CONFIG.
     */
    uint64_t num_samples;
    /* The same as a share of them; 0 or 1: all. Drawn so that a smaller fraction is part of every
     * larger one, and stratified by an array of classes: NULL or "": the first there is; "none". At
     * most one of the two. */
    double fraction;
    const char *stratify;
    uint64_t seed; /* of these draws; independent of the order within epochs */
    /* Where reading one sample fetches far more than it (chunks that cut across samples), read a
     * copy in the cache folder, made at the first use. The values are the same. */
    bool cache;
} tdm_split_spec;

/* An open data set and the rows of it that belong to one split. Immutable: any number of loaders
 * and threads may use it. */
typedef struct tdm_split tdm_split;

/* The split options of a resolved configuration. Strings and lists stay the config's. */
tdm_status tdm_split_spec_read(const tdm_config *config, tdm_split_spec *out);
/* Whether tdm_split_open would find the split (its own file, or a size to draw). */
bool tdm_split_exists(const tdm_split_spec *spec, const char *name);
/* name: "train", "val", "test", or another that the data set has. The spec is not kept.
 * TDM_ERR_CONFIG: sizes that do not fit. TDM_ERR_DATA: as tdm_dataset_open. */
tdm_status tdm_split_open(const tdm_split_spec *spec, const char *name, tdm_split **out);
void tdm_split_destroy(tdm_split **split);
uint64_t tdm_split_length(const tdm_split *split);
/* The row in the data set of the split's index-th sample; ascending. index < length. */
uint64_t tdm_split_row(const tdm_split *split, uint64_t index);
/* Owned by the split. */
const tdm_dataset *tdm_split_dataset(const tdm_split *split);

/* Transforms ----------------------------------------------------------------------------------- */

/* What is done to a sample after reading it, written as short texts:
 *
 *     flip [0.5]           mirror left and right, with a probability
 *     vflip [0.5]          the same, top and bottom
 *     rotate90             by a random multiple of 90 degrees; of 180 where pictures are not square
 *     scale 1.0 1.5        enlarge by a random factor and cut out a random part of the same size;
 *                          below 1: shrink, with a border
 *     crop 224 [p4]        cut out (height x width: 192x256) at a random place, after a border of 4
 *     resize 128           to 128x128; to 120x160
 *     jitter B [C [S [H]]] brightness, contrast, saturation (factors from [1-x, 1+x]) and hue
 *                          (shift from [-x, x] turns, at most 0.5), in a random order
 *
 * Only training samples are drawn at random: on other splits resize acts, crop cuts the middle, the
 * rest does nothing. All arrays of a sample move together. Images are interpolated (antialiased),
 * once for the whole list; masks, depths and other maps take the nearest pixel. What comes from
 * outside is 0 in images and `ignore` elsewhere. Boxes follow and are clipped; one of which nothing
 * is left becomes NaN. `scale` divides depths by its factor (and multiplies arrays named disparity
 * or inverse). In (H, W, 2) values are taken for vectors (x, y), which turn and stretch with the
 * picture. Colours change after all geometry. */
typedef enum tdm_transform_kind {
    TDM_TRANSFORM_FLIP,
    TDM_TRANSFORM_VFLIP,
    TDM_TRANSFORM_ROTATE90,
    TDM_TRANSFORM_SCALE,
    TDM_TRANSFORM_CROP,
    TDM_TRANSFORM_RESIZE,
    TDM_TRANSFORM_JITTER
} tdm_transform_kind;

typedef struct tdm_transform {
    tdm_transform_kind kind;
    double value[4];  /* numbers in the order of the text; missing ones filled in */
    uint32_t size[2]; /* height, width */
    uint32_t border;
} tdm_transform;

#define TDM_TRANSFORMS_MAX 16

typedef struct tdm_transforms {
    size_t n;
    tdm_transform list[TDM_TRANSFORMS_MAX];
} tdm_transforms;

/* One text. TDM_ERR_CONFIG with what is wrong and a suggestion. */
tdm_status tdm_transform_parse(const char *text, tdm_transform *out);
/* data.transforms of a resolved configuration. */
tdm_status tdm_transforms_read(const tdm_config *config, tdm_transforms *out);
/* How an array looks after the transforms: changes dims and elems. frame: the first array with
 * height and width that is loaded (it may be `info`); NULL: none is. TDM_ERR_CONFIG: a crop larger
 * than the picture, colours of neither 1 nor 3 channels, sizes that differ from the frame's. */
tdm_status tdm_transforms_shape(const tdm_transforms *transforms, const tdm_array_info *frame,
                                tdm_array_info *info);
/* Whether an array can be the frame: an image, mask or depth. */
bool tdm_transforms_is_frame(const tdm_array_info *info);

/* Loading -------------------------------------------------------------------------------------- */

/* One array to deliver. */
typedef struct tdm_loader_array {
    const char *name;
    /* TDM_NONE: u8 for images and masks stored as u8, i32 for classes and other whole-number masks,
     * f32 for the rest. A value that the type cannot hold is TDM_ERR_DATA. */
    tdm_dtype dtype;
    /* With `check`, every value must be in [min, max] or, with has_ignore, equal to ignore; NaN is
     * neither. TDM_ERR_DATA names file, array, sample and value. ignore is also what transforms put
     * where they have no value; without has_ignore that is 255 in u8, -1 in i32, NaN in f32. */
    bool check, has_ignore;
    double min, max, ignore;
    /* Not NULL: an array that is not in the data but made (tandem/make.h) of another one of the
     * spec, `from`, a picture delivered as u8 or f32. The name is free; there is no check. */
    const tdm_make *make;
    tdm_make_part part;
    const char *from;
} tdm_loader_array;

/* Samples that batches of their own are made of: those that one of several tasks learns from. */
typedef struct tdm_loader_part {
    const uint64_t *indices; /* of the split's samples, ascending; NULL: all */
    uint64_t n;
    double share;     /* > 0: how often a batch comes from here, relative to the other parts */
    const char *name; /* for messages; may be NULL */
    /* Per array of the spec, whether batches from here carry it, at least one; NULL: all. Others
     * take no time. */
    const bool *arrays;
} tdm_loader_part;

typedef struct tdm_loader_spec {
    const tdm_split *split; /* must outlive the loader */
    /* n_parts 0: batches from the whole split. Else every batch comes from one part, and an epoch
     * has as many batches as all parts together: one part after the other or, with draw_parts, the
     * part of each batch drawn by the shares (a part that has run out begins again in a new order).
     * Not kept. */
    const tdm_loader_part *parts;
    size_t n_parts;
    bool draw_parts;
    /* n_arrays 0: every array of the data set, each in its natural type. Not kept. */
    const tdm_loader_array *arrays;
    size_t n_arrays;
    uint64_t batch_size; /* at least 1 */
    uint64_t seed;
    const char *stream; /* separates the order of loaders that share a seed; NULL: "" */
    bool shuffle;       /* a new permutation each epoch */
    bool drop_last;     /* leave out a short last batch */
    bool in_memory;     /* read all samples of the split at creation */
    bool continuous;    /* past an epoch's last batch, already load the next epoch's first ones */
    unsigned workers;   /* threads that read and decode; 0: tdm_loader_next does the work */
    unsigned slots;     /* batches in memory, the one in use included; 0: 3 */
    bool augment; /* random transforms act, and makers draw anew in every epoch: for training */
    tdm_transforms transforms;
} tdm_loader_spec;

/* Fills in_memory, shuffle, drop_last, workers, slots, transforms from a resolved configuration. */
tdm_status tdm_loader_spec_read(const tdm_config *config, tdm_loader_spec *spec);

/* One array of a batch, row-major. */
typedef struct tdm_batch_array {
    const char *name;
    tdm_array_kind kind;
    tdm_dtype dtype;
    int rank;                          /* of the batch: 1 + the sample's */
    uint64_t dims[TDM_ARRAY_RANK + 1]; /* dims[0] = count */
    size_t sample_bytes;
    /* Room for batch_size samples; those beyond count are zero. NULL: the batch's part does not
     * carry the array. */
    const void *data;
} tdm_batch_array;

/* Owned by the loader, valid until its next tdm_loader_next, _release, _epoch, _seek or _destroy.
 */
typedef struct tdm_batch {
    uint64_t epoch, step; /* step counts from 0 in each epoch */
    uint64_t count;       /* samples; batch_size but for a short last batch */
    size_t part;          /* of the spec's parts; 0 without */
    const uint64_t *rows; /* count rows of the data set, ascending */
    size_t n_arrays;
    const tdm_batch_array *arrays; /* in the order of the spec */
} tdm_batch;

/* A loader belongs to one thread at a time. It loads nothing before the first tdm_loader_next (or
 * _epoch, _seek), and starts at epoch 0, step 0. */
typedef struct tdm_loader tdm_loader;

/* TDM_ERR_USAGE: batch size 0. TDM_ERR_DATA: no such array, more samples dropped than there are
 * (no batch at all), bad samples when in_memory. */
tdm_status tdm_loader_create(const tdm_loader_spec *spec, tdm_loader **out);
/* Stops the threads at once, whatever they are doing. */
void tdm_loader_destroy(tdm_loader **loader);

/* Continues at the first batch of an epoch, or at any step of it: the batches from there on are the
 * same as if all earlier ones had been fetched. step may equal tdm_loader_steps: the epoch's end.
 */
tdm_status tdm_loader_epoch(tdm_loader *loader, uint64_t epoch);
tdm_status tdm_loader_seek(tdm_loader *loader, uint64_t epoch, uint64_t step);
/* The next batch; NULL at the end of the epoch (and the call after that begins the next epoch). A
 * failure belongs to its step: batches before it were delivered, the next call goes on after it. */
tdm_status tdm_loader_next(tdm_loader *loader, const tdm_batch **batch);
/* Gives the current batch back before the next call, so that its memory is filled again. */
void tdm_loader_release(tdm_loader *loader);

uint64_t tdm_loader_steps(const tdm_loader *loader); /* batches per epoch */
/* Samples per epoch, drop_last applied; with parts, of one pass over each. */
uint64_t tdm_loader_samples(const tdm_loader *loader);
/* What batches look like: dims[0] = batch_size, data NULL. n arrays. */
const tdm_batch_array *tdm_loader_arrays(const tdm_loader *loader, size_t *n);

/* Totals since creation; callers subtract. */
typedef struct tdm_loader_stats {
    uint64_t batches, samples, bytes; /* delivered */
    double wait_seconds;              /* spent inside tdm_loader_next */
    double load_seconds;              /* spent reading and decoding, summed over threads */
} tdm_loader_stats;
void tdm_loader_stats_get(const tdm_loader *loader, tdm_loader_stats *out);

#ifdef __cplusplus
}
#endif
#endif

/* tandem/dataset.h: importing data sets, looking at them, opening one split.
 *
 * A data set is a folder. Each split (train, val, test) is either one HDF5 file `train.h5` with
 * several arrays, or a folder `train/` with one array per entry, which names it: an HDF5 file,
 * whose first data set is read whatever its key, or a folder of 0.npy, 1.npy, ..., one sample each.
 * All arrays of a split have the same length along their first axis; sample i is row i of each.
 */
#ifndef TANDEM_DATASET_H
#define TANDEM_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TDM_ARRAY_RANK 7 /* most dimensions of one sample */

typedef enum tdm_array_kind {
    TDM_ARRAY_IMAGE, /* (H, W, C) or (H, W), u8 0..255 or float */
    TDM_ARRAY_CLASS, /* one whole number a sample: () or (1); -1: not known */
    TDM_ARRAY_MASK,  /* (H, W, 1) or (H, W): a class a pixel; 255 and negative: not known */
    TDM_ARRAY_BOX,   /* (4) or (1, 4): xmin, ymin, xmax, ymax in pixels, max exclusive; NaN: none */
    TDM_ARRAY_DEPTH, /* (H, W, 1) or (H, W), float; NaN: not known */
    TDM_ARRAY_VALUES /* anything else numeric */
} tdm_array_kind;

/* "image", "class", ...: the word used in files and configs. Never NULL; static storage. */
const char *tdm_array_kind_name(tdm_array_kind kind);

/* What is known about one array. Strings belong to the data set. */
typedef struct tdm_array_info {
    const char *name;
    tdm_array_kind kind;
    const char *dtype; /* "u8", "i64", "f32", ... as stored */
    bool is_float;
    int rank; /* of one sample; 0: a number a sample */
    uint64_t dims[TDM_ARRAY_RANK];
    uint64_t elems;                 /* product of dims, 1 for rank 0 */
    uint64_t classes;               /* of class and mask arrays; 0 when the file does not say */
    const char *const *class_names; /* `classes` strings, or NULL */
    /* Classes may come in groups: fine classes in coarse ones, characters in alphabets. `group` is
     * the class array of the same data set that holds each sample's group, group_of the group of
     * each class (-1: not known). Both NULL: no groups. */
    const char *group;
    const int32_t *group_of; /* `classes` numbers */
    double amplification;    /* bytes fetched to read one random sample / its size */
} tdm_array_info;

/* One split, open for reading. Reading is thread-safe; opening and destroying is not. */
typedef struct tdm_dataset tdm_dataset;

/* path: a data-set folder, with split "train", "val", "test", ...; or one HDF5 file, with split
 * NULL. TDM_ERR_DATA: nothing there, no split of that name (the ones there are named), arrays of
 * different lengths (both named), an empty array, a type or filter that cannot be read. */
tdm_status tdm_dataset_open(const char *path, const char *split, tdm_dataset **out);
void tdm_dataset_destroy(tdm_dataset **dataset);
/* True when path/split.h5 exists, or the folder path/split with arrays in it. */
bool tdm_dataset_has_split(const char *path, const char *split);

uint64_t tdm_dataset_length(const tdm_dataset *dataset);
size_t tdm_dataset_arrays(const tdm_dataset *dataset);
/* NULL when out of range. Valid until the data set is destroyed. */
const tdm_array_info *tdm_dataset_array(const tdm_dataset *dataset, size_t index);
/* Index of an array by name; TDM_ERR_DATA with the names there are and a suggestion. */
tdm_status tdm_dataset_find(const tdm_dataset *dataset, const char *name, size_t *index);
/* "folder/train", for messages. */
const char *tdm_dataset_name(const tdm_dataset *dataset);
/* Reads rows (ascending, no duplicates needed) of one array as float32: n * elems values into out.
 */
tdm_status tdm_dataset_read(const tdm_dataset *dataset, size_t array, const uint64_t *rows,
                            size_t n, float *out);

/* Importing ------------------------------------------------------------------------------------ */

typedef struct tdm_import_options {
    int size; /* side of the images for kinds that resize; 0: the kind's default */
    /* Called now and then from the importing thread, done of total samples of `what` ("train");
     * NULL: none. A result other than 0 stops the import with TDM_ERR_INTERRUPTED. */
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
} tdm_import_options;

typedef struct tdm_import_result {
    bool existed;  /* a complete import was already there: nothing was done */
    unsigned kept; /* splits that an earlier import had finished; they were left as they are */
} tdm_import_result;

/* Reads the original files of KIND under `source` and writes out_folder/{train,test,...}.h5, each
 * complete or not there at all; those that an earlier import has finished are kept. Unknown kind:
 * TDM_ERR_USAGE with a suggestion. Bad source: TDM_ERR_DATA. options and result may be NULL. */
tdm_status tdm_data_import(const char *kind, const char *source, const char *out_folder,
                           const tdm_import_options *options, tdm_import_result *result);
/* The index-th kind, with a line of help in *help (which may be NULL). NULL past the last. Static
 * storage. */
const char *tdm_data_import_kind(size_t index, const char **help);

/* Text (or JSON) about every split of a data set: arrays, shapes, types, chunks, filters, read
 * amplification, label counts, value ranges. Reads all of the data once. free() the result. */
tdm_status tdm_data_info(const char *path, bool json, char **out);

#ifdef __cplusplus
}
#endif
#endif

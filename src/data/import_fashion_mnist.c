/* Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): four IDX files, plain or gzip, to train.h5 and
 * test.h5 with images (N, 28, 28, 1) u8 and labels (N) u8. A sample is 784 bytes, so it is stored
 * as is: single rows can then be fetched without inflating a chunk of eighty. */
#include "data/import.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "format/idx.h"

enum { SIDE = 28, CLASSES = 10, BLOCK = 1000 };

static const char *const class_names[CLASSES] = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                                 "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                                 "Bag",         "Ankle boot"};

static bool is_u8(const tdm__idx *idx)
{
    return idx->elem.kind == TDM__ELEM_UINT && idx->elem.size == 1;
}

static tdm_status check_pair(const char *images_path, const tdm__idx *images,
                             const char *labels_path, const tdm__idx *labels)
{
    if (!is_u8(images) || images->rank != 3 || images->dims[1] != SIDE || images->dims[2] != SIDE)
        return tdm__fail(TDM_ERR_DATA, "%s: must hold u8 images of %d x %d", images_path, SIDE,
                         SIDE);
    if (!is_u8(labels) || labels->rank != 1)
        return tdm__fail(TDM_ERR_DATA, "%s: must hold one u8 label an image", labels_path);
    if (images->dims[0] != labels->dims[0])
        return tdm__fail(TDM_ERR_DATA, "%s has %llu images, %s %llu labels: must be equal",
                         images_path, (unsigned long long)images->dims[0], labels_path,
                         (unsigned long long)labels->dims[0]);
    if (!images->dims[0]) return tdm__fail(TDM_ERR_DATA, "%s: holds no images", images_path);
    const uint8_t *label = labels->data;
    for (uint64_t i = 0; i < labels->count; i++)
        if (label[i] >= CLASSES)
            return tdm__fail(TDM_ERR_DATA, "%s: label %d of sample %llu: must be in 0..%d",
                             labels_path, label[i], (unsigned long long)i, CLASSES - 1);
    return TDM_OK;
}

static tdm_status write_split(const tdm__import_job *job, const char *split, const tdm__idx *images,
                              const tdm__idx *labels)
{
    const tdm__import_array image = {
        .spec = {"images", tdm__elem_host(TDM__ELEM_UINT, 1), 3, {SIDE, SIDE, 1}, 0},
        .kind = TDM_ARRAY_IMAGE,
        .high = 255};
    const tdm__import_array label = {
        .spec = {"labels", tdm__elem_host(TDM__ELEM_UINT, 1), 0, {0}, 0},
        .kind = TDM_ARRAY_CLASS,
        .classes = CLASSES,
        .class_names = class_names,
        .high = CLASSES - 1};
    tdm__h5_writer *w = NULL;
    size_t set_images = 0, set_labels = 0;
    uint64_t n = images->dims[0];
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__import_create(job, tdm__import_fashion_mnist.kind, split, &w));
    TDM_TRY(tdm__import_add(w, &image, &set_images));
    TDM_TRY(tdm__import_add(w, &label, &set_labels));
    for (uint64_t i = 0; i < n; i += BLOCK) {
        uint64_t count = n - i < BLOCK ? n - i : BLOCK;
        TDM_TRY(tdm__import_progress(job, split, i, n));
        TDM_TRY(tdm__h5_writer_append(w, set_images,
                                      (const uint8_t *)images->data + i * SIDE * SIDE, count));
        TDM_TRY(tdm__h5_writer_append(w, set_labels, (const uint8_t *)labels->data + i, count));
    }
    TDM_TRY(tdm__h5_writer_commit(w));
    TDM_TRY(tdm__import_progress(job, split, n, n));
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

static tdm_status import_split(const tdm__import_job *job, const char *split,
                               const char *images_name, const char *labels_name)
{
    static const char *const endings[] = {".gz", "", NULL};
    char *images_path = NULL, *labels_path = NULL;
    tdm__idx images = {0}, labels = {0};
    tdm_status status = TDM_OK;
    if (!tdm__import_wants(job, split)) return TDM_OK;
    TDM_TRY(tdm__import_find(job, images_name, endings, &images_path));
    TDM_TRY(tdm__import_find(job, labels_name, endings, &labels_path));
    TDM_TRY(tdm__idx_read(images_path, &images));
    TDM_TRY(tdm__idx_read(labels_path, &labels));
    TDM_TRY(check_pair(images_path, &images, labels_path, &labels));
    TDM_TRY(write_split(job, split, &images, &labels));
done:
    tdm__idx_free(&images);
    tdm__idx_free(&labels);
    free(images_path);
    free(labels_path);
    return status;
}

static tdm_status run(const tdm__import_job *job)
{
    tdm_status status =
        import_split(job, "train", "train-images-idx3-ubyte", "train-labels-idx1-ubyte");
    if (status) return status;
    return import_split(job, "test", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte");
}

static const char *const splits[] = {"train", "test", NULL};

const tdm__importer tdm__import_fashion_mnist = {
    .kind = "fashion-mnist",
    .help = "folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or .gz; 60000 + 10000 "
            "images",
    .splits = splits,
    .side = SIDE,
    .run = run};

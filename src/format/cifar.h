/* format/cifar.h: the binary records of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): the labels, a
 * byte each, then 32 x 32 pixels as a red, a green and a blue plane. CIFAR-10 has one label,
 * CIFAR-100 the coarse and then the fine one. A file has no header: its size gives the count. */
#ifndef FORMAT_CIFAR_H
#define FORMAT_CIFAR_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    TDM__CIFAR_SIDE = 32,
    TDM__CIFAR_PIXELS = TDM__CIFAR_SIDE * TDM__CIFAR_SIDE,
    TDM__CIFAR_IMAGE = 3 * TDM__CIFAR_PIXELS, /* bytes */
    TDM__CIFAR_LABELS = 2                     /* most labels of a record */
};

typedef struct tdm__cifar_form {
    unsigned n_labels;
    struct {
        const char *what; /* "coarse label" */
        unsigned classes;
    } label[TDM__CIFAR_LABELS];
} tdm__cifar_form;

extern const tdm__cifar_form tdm__cifar10, tdm__cifar100;

/* Bytes of one record. */
size_t tdm__cifar_record(const tdm__cifar_form *form);
/* Records in a file of `size` bytes. TDM_ERR_DATA with the sizes: none, or not a whole number. */
tdm_status tdm__cifar_count(const tdm__cifar_form *form, uint64_t size, const char *name,
                            uint64_t *out);
/* Takes n records apart. images: n * 32 * 32 * 3 bytes (N, H, W, C), or NULL; labels[k]: n bytes,
 * one array for each of the form's labels. `first` is the number of the first record in the file
 * `name`, for messages. TDM_ERR_DATA: a label that is no class. */
tdm_status tdm__cifar_decode(const tdm__cifar_form *form, const uint8_t *records, uint64_t first,
                             uint64_t n, const char *name, uint8_t *images,
                             uint8_t *const labels[TDM__CIFAR_LABELS]);

#endif

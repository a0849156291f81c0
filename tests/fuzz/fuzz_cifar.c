/* Fuzzes CIFAR records: any bytes either fail with a message, or give labels that are classes and
 * images with the bytes of the planes. The first byte chooses the form. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "format/cifar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const tdm__cifar_form *form, const uint8_t *records, uint64_t n,
                  const uint8_t *images, uint8_t *const labels[])
{
    size_t record = tdm__cifar_record(form);
    for (uint64_t i = 0; i < n; i++) {
        for (unsigned k = 0; k < form->n_labels; k++)
            if (labels[k][i] >= form->label[k].classes) abort();
        for (size_t k = 0; k < TDM__CIFAR_IMAGE; k++) {
            size_t plane = k % 3 * TDM__CIFAR_PIXELS + k / 3;
            if (images[i * TDM__CIFAR_IMAGE + k] != records[i * record + form->n_labels + plane])
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t n = 0;
    if (size < 1) return 0;
    const tdm__cifar_form *form = data[0] % 2 ? &tdm__cifar100 : &tdm__cifar10;
    data++, size--;
    if (tdm__cifar_count(form, size, "fuzz", &n)) {
        if (!tdm_last_error()[0]) abort();
        return 0;
    }
    if (n == 0 || n * tdm__cifar_record(form) != size) abort();
    uint8_t *images = tdm__calloc((size_t)n, TDM__CIFAR_IMAGE);
    uint8_t *labels[TDM__CIFAR_LABELS] = {tdm__calloc((size_t)n, 1), tdm__calloc((size_t)n, 1)};
    if (images && labels[0] && labels[1]) {
        if (!tdm__cifar_decode(form, data, 0, n, "fuzz", images, labels))
            check(form, data, n, images, labels);
        else if (!tdm_last_error()[0])
            abort();
    }
    free(images);
    free(labels[0]);
    free(labels[1]);
    return 0;
}

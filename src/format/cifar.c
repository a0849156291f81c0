/* Records of CIFAR-10 and CIFAR-100. */
#include "format/cifar.h"

const tdm__cifar_form tdm__cifar10 = {1, {{"label", 10}}};
const tdm__cifar_form tdm__cifar100 = {2, {{"coarse label", 20}, {"fine label", 100}}};

size_t tdm__cifar_record(const tdm__cifar_form *form)
{
    return form->n_labels + TDM__CIFAR_IMAGE;
}

tdm_status tdm__cifar_count(const tdm__cifar_form *form, uint64_t size, const char *name,
                            uint64_t *out)
{
    size_t record = tdm__cifar_record(form);
    *out = size / record;
    if (size && size % record == 0) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA,
                     "%s: has %llu bytes: must be a whole number of records of %zu bytes (%llu "
                     "and %llu bytes are left over)",
                     name, (unsigned long long)size, record, (unsigned long long)*out,
                     (unsigned long long)(size % record));
}

static void planes_to_pixels(const uint8_t *planes, uint8_t *pixels)
{
    for (size_t i = 0; i < TDM__CIFAR_PIXELS; i++)
        for (size_t c = 0; c < 3; c++) pixels[3 * i + c] = planes[c * TDM__CIFAR_PIXELS + i];
}

tdm_status tdm__cifar_decode(const tdm__cifar_form *form, const uint8_t *records, uint64_t first,
                             uint64_t n, const char *name, uint8_t *images,
                             uint8_t *const labels[TDM__CIFAR_LABELS])
{
    size_t size = tdm__cifar_record(form);
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *record = records + i * size;
        for (unsigned k = 0; k < form->n_labels; k++) {
            if (record[k] >= form->label[k].classes)
                return tdm__fail(TDM_ERR_DATA, "%s: record %llu: %s %d: must be in 0..%u", name,
                                 (unsigned long long)(first + i), form->label[k].what, record[k],
                                 form->label[k].classes - 1);
            labels[k][i] = record[k];
        }
        if (images) planes_to_pixels(record + form->n_labels, images + i * TDM__CIFAR_IMAGE);
    }
    return TDM_OK;
}

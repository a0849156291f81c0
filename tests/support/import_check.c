/* support/import_check.c */
#include "support/import_check.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset.h"
#include "support/support.h"

enum { BLOCK = 256 };

/* The checksum of an array's bytes as stored (little-endian). *sum adds up the bytes. */
static uint32_t array_checksum(const tdm_dataset *ds, const char *name, uint64_t *sum)
{
    size_t array;
    uint32_t crc = 0;
    uint64_t n = tdm_dataset_length(ds), rows[BLOCK];
    support_ok(tdm_dataset_find(ds, name, &array));
    size_t row_bytes = (size_t)tdm_dataset_array(ds, array)->elems *
                       tdm__to_size(TDM__TO_NATIVE, tdm__dataset_elem(ds, array));
    uint8_t *block = malloc(BLOCK * row_bytes);
    for (uint64_t first = 0; first < n; first += BLOCK) {
        size_t count = n - first < BLOCK ? (size_t)(n - first) : BLOCK;
        for (size_t i = 0; i < count; i++) rows[i] = first + i;
        support_ok(tdm__dataset_read_rows(ds, array, rows, count, TDM__TO_NATIVE, block));
        crc = libdeflate_crc32(crc, block, count * row_bytes);
        for (size_t i = 0; i < count * row_bytes; i++) *sum += block[i];
    }
    free(block);
    return crc;
}

static void check_pixels(const tdm_dataset *ds, const import_golden *want)
{
    size_t array;
    support_ok(tdm_dataset_find(ds, "images", &array));
    const tdm_array_info *info = tdm_dataset_array(ds, array);
    ck_assert_int_eq(info->rank, 3);
    ck_assert_uint_eq(info->dims[0], want->side);
    ck_assert_uint_eq(info->dims[1], want->side);
    size_t channels = (size_t)info->dims[2], side = want->side;
    const uint64_t rows[3] = {0, want->n / 2, want->n - 1};
    const size_t at[3] = {0, (side / 3 * side + side / 2) * channels + channels - 1,
                          (side * side - 1) * channels};
    uint8_t *image = malloc((size_t)info->elems);
    for (int i = 0; i < 3; i++) {
        support_ok(tdm__dataset_read_rows(ds, array, &rows[i], 1, TDM__TO_U8, image));
        ck_assert_uint_eq(image[at[i]], want->pixels[i]);
    }
    free(image);
}

void import_check_split(const char *out, const import_golden *want, const char *const labels[3])
{
    tdm_dataset *ds = NULL;
    uint64_t sum = 0, unused = 0;
    support_ok(tdm_dataset_open(out, want->split, &ds));
    ck_assert_uint_eq(tdm_dataset_length(ds), want->n);
    check_pixels(ds, want);
    uint32_t images = array_checksum(ds, "images", &sum);
    ck_assert_uint_eq(sum, want->sum);
    ck_assert_uint_eq(images, want->images);
    for (int i = 0; i < 3 && labels[i]; i++)
        ck_assert_uint_eq(array_checksum(ds, labels[i], &unused), want->labels[i]);
    tdm_dataset_destroy(&ds);
}

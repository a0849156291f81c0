/* support/npy_fixture.c: see npy_fixture.h. */
#include "support/npy_fixture.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

uint8_t *support_npy_bytes(int version, const char *header, const void *data, size_t n,
                           size_t *size)
{
    const size_t start = version == 1 ? 10 : 12, text = strlen(header);
    const size_t padded = (start + text + 1 + 63) / 64 * 64 - start;
    uint8_t *b = calloc(start + padded + n, 1);
    memcpy(b, "\x93NUMPY", 6);
    b[6] = (uint8_t)version;
    b[8] = (uint8_t)padded, b[9] = (uint8_t)(padded >> 8);
    memset(b + start, ' ', padded);
    memcpy(b + start, header, text);
    b[start + padded - 1] = '\n';
    if (n) memcpy(b + start + padded, data, n);
    *size = start + padded + n;
    return b;
}

void support_npy_write(const char *folder, const char *name, const char *descr, const char *shape,
                       const void *data, size_t n)
{
    char header[256], *path = support_path(folder, name), *where = NULL;
    size_t size = 0;
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr,
             shape);
    uint8_t *bytes = support_npy_bytes(1, header, data, n, &size);
    support_ok(tdm__path_dir(path, &where));
    support_ok(tdm__make_folders(where));
    support_write(path, bytes, size);
    free(bytes);
    free(where);
    free(path);
}

float support_npy_image(uint64_t sample, uint64_t i)
{
    return (float)((sample * 31 + i * 7) % 256) / 255;
}

float support_npy_label(uint64_t sample, uint64_t i)
{
    return (float)((int)((sample * 5 + i) % 14) - 1);
}

float support_npy_depth(uint64_t sample, uint64_t i)
{
    return (float)((sample + i) % 9) * 0.75f;
}

static void write_array(const char *folder, const char *split, const char *array, const char *shape,
                        size_t elems, uint64_t sample, float (*value)(uint64_t, uint64_t))
{
    float values[NPY_H * NPY_W * 3];
    char name[128];
    for (size_t i = 0; i < elems; i++) values[i] = value(sample, i);
    snprintf(name, sizeof name, "%s/%s/%llu.npy", split, array, (unsigned long long)sample);
    support_npy_write(folder, name, "<f4", shape, values, elems * sizeof *values);
}

void support_nyu_write(const char *folder, const char *split, uint64_t n)
{
    const size_t pixels = NPY_H * NPY_W;
    for (uint64_t i = 0; i < n; i++) {
        write_array(folder, split, "image", "(4, 6, 3)", 3 * pixels, i, support_npy_image);
        write_array(folder, split, "label", "(4, 6)", pixels, i, support_npy_label);
        write_array(folder, split, "depth", "(4, 6, 1)", pixels, i, support_npy_depth);
    }
}

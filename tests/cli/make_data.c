/* make_data.c: writes the made-up data of the command-line tests.
 *
 *     make_data KIND FOLDER [N]
 *
 * Data sets have `images` (N, 8, 8, 1) and `labels` (N) in train.h5 and test.h5; the label is where
 * the bright stripe is, so that a small network learns it. Kinds: `good`; and with one thing wrong
 * in train.h5: `nan` (a pixel of sample 3), `label` (7 of 4 classes at sample 5), `empty` (no
 * samples), `lengths` (a folder train/ with more labels than images). `idx` writes the four files
 * of Fashion-MNIST instead, N and N / 2 images. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/hdf5.h"

enum { SIDE = 8, PIXELS = SIDE * SIDE, CLASSES = 4, MOST = 100000, IDX_SIDE = 28 };

static void check(tdm_status status)
{
    if (status == TDM_OK) return;
    fprintf(stderr, "make_data: %s\n", tdm_last_error());
    exit(1);
}

static unsigned noise(unsigned i)
{
    i = i * 2654435761u + 12345u;
    return (i ^ (i >> 13)) * 1103515245u >> 26;
}

static int label_of(unsigned i)
{
    return (int)(noise(i) % CLASSES);
}

/* Rows 2 * label and 2 * label + 1 are bright. */
static float pixel(unsigned i, unsigned at)
{
    const bool bright = (int)(at / SIDE / 2) == label_of(i);
    return (float)((bright ? 160 : 20) + noise(i * PIXELS + at) % 64) / 255.0f;
}

static void add(tdm__h5_writer *w, const tdm__h5_spec *spec, const char *kind, double classes,
                size_t *set)
{
    check(tdm__h5_writer_add(w, spec, set));
    check(tdm__h5_writer_text(w, *set, "kind", kind));
    if (classes > 0) check(tdm__h5_writer_number(w, *set, "classes", classes));
}

static void add_images(tdm__h5_writer *w, unsigned n, bool with_nan)
{
    const tdm__h5_spec spec = {"images", tdm__elem_host(TDM__ELEM_FLOAT, 4), 3, {SIDE, SIDE, 1}, 0};
    size_t set;
    add(w, &spec, "image", 0, &set);
    for (unsigned i = 0; i < n; i++) {
        float row[PIXELS];
        for (unsigned k = 0; k < PIXELS; k++) row[k] = pixel(i, k);
        if (with_nan && i == 3) row[10] = NAN;
        check(tdm__h5_writer_append(w, set, row, 1));
    }
}

static void add_labels(tdm__h5_writer *w, unsigned n, bool out_of_range)
{
    const tdm__h5_spec spec = {"labels", tdm__elem_host(TDM__ELEM_UINT, 1), 0, {0}, 0};
    size_t set;
    add(w, &spec, "class", CLASSES, &set);
    for (unsigned i = 0; i < n; i++) {
        const uint8_t label = out_of_range && i == 5 ? 7 : (uint8_t)label_of(i);
        check(tdm__h5_writer_append(w, set, &label, 1));
    }
}

static tdm__h5_writer *begin(const char *folder, const char *name)
{
    char path[4096];
    tdm__h5_writer *w;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    check(tdm__h5_writer_create(path, &w));
    return w;
}

static void end(tdm__h5_writer *w)
{
    check(tdm__h5_writer_commit(w));
    tdm__h5_writer_destroy(&w);
}

static void write_split(const char *folder, const char *split, const char *kind, unsigned n)
{
    char name[32];
    snprintf(name, sizeof name, "%s.h5", split);
    tdm__h5_writer *w = begin(folder, name);
    if (!strcmp(kind, "empty")) n = 0;
    add_images(w, n, !strcmp(kind, "nan"));
    add_labels(w, n, !strcmp(kind, "label"));
    end(w);
}

/* One array a file, of different lengths. */
static void write_lengths(const char *folder, unsigned n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/train", folder);
    mkdir(path, 0777);
    tdm__h5_writer *w = begin(path, "images.h5");
    add_images(w, n, false);
    end(w);
    w = begin(path, "labels.h5");
    add_labels(w, n + 1, false);
    end(w);
}

static void put_u32(FILE *f, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8) fputc((int)(v >> shift & 255), f);
}

static void write_idx(const char *folder, const char *begins, unsigned n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, begins);
    FILE *images = fopen(path, "wb");
    snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, begins);
    FILE *labels = fopen(path, "wb");
    if (!images || !labels) exit(1);
    put_u32(images, 0x00000803), put_u32(images, n);
    put_u32(images, IDX_SIDE), put_u32(images, IDX_SIDE);
    put_u32(labels, 0x00000801), put_u32(labels, n);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < IDX_SIDE * IDX_SIDE; k++) fputc((int)noise(i + k), images);
        fputc((int)(i % 10), labels);
    }
    if (fclose(images) || fclose(labels)) exit(1);
}

int main(int argc, char **argv)
{
    const long n = argc > 3 ? strtol(argv[3], NULL, 10) : 96;
    if (argc < 3 || n < 2 || n > MOST) {
        fprintf(stderr, "usage: make_data good|nan|label|empty|lengths|idx FOLDER [N]\n");
        return 2;
    }
    const char *kind = argv[1], *folder = argv[2];
    mkdir(folder, 0777);
    if (!strcmp(kind, "idx")) {
        write_idx(folder, "train", (unsigned)n);
        write_idx(folder, "t10k", (unsigned)n / 2);
    } else if (!strcmp(kind, "lengths")) {
        write_lengths(folder, (unsigned)n);
    } else {
        write_split(folder, "train", kind, (unsigned)n);
        write_split(folder, "test", "good", (unsigned)n / 2);
    }
    return 0;
}

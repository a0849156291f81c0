/* support/jpeg_fixture.c: see jpeg_fixture.h. */
#include "support/jpeg_fixture.h"

#include <stdlib.h>

uint8_t support_jpeg_value(unsigned x, unsigned y, unsigned c)
{
    return (uint8_t)(40 + 2 * x + (c + 1) * y + 30 * c);
}

/* A first scan of the DC values, then refinements of single AC coefficients, the same ones over and
 * over where many scans are asked for. */
static jpeg_scan_info *make_scans(int n)
{
    jpeg_scan_info *scans = calloc((size_t)n, sizeof *scans);
    for (int i = 0; i < n; i++) {
        scans[i].comps_in_scan = 1;
        if (i > 0) scans[i].Ss = i < 64 ? i : 63, scans[i].Se = i < 64 ? i : 63;
        if (i == n - 1 && n < 64) scans[i].Se = 63;
    }
    return scans;
}

unsigned char *support_jpeg_bytes(const support_jpeg *spec, size_t *size)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long length = 0;
    const unsigned channels = spec->space == JCS_GRAYSCALE ? 1 : spec->space == JCS_RGB ? 3 : 4;
    jpeg_scan_info *scans = spec->scans ? make_scans(spec->scans) : NULL;
    uint8_t *row = malloc((size_t)spec->width * channels);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &length);
    c.image_width = spec->width;
    c.image_height = spec->height;
    c.input_components = (int)channels;
    c.in_color_space = spec->space;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 100, TRUE);
    for (int i = 0; i < c.num_components; i++)
        c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
    c.scan_info = scans;
    c.num_scans = spec->scans;
    jpeg_start_compress(&c, TRUE);
    for (unsigned y = 0; y < spec->height; y++) {
        for (unsigned x = 0; x < spec->width; x++)
            for (unsigned k = 0; k < channels; k++)
                row[x * channels + k] = support_jpeg_value(x, y, k);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    free(scans);
    *size = length;
    return bytes;
}

void support_jpeg_write(const char *folder, const char *name, const support_jpeg *spec)
{
    size_t size = 0;
    unsigned char *bytes = support_jpeg_bytes(spec, &size);
    char *path = support_path(folder, name);
    support_write(path, bytes, size);
    free(path);
    free(bytes);
}

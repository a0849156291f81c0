/* Fuzzes zip archives of pictures: any bytes either fail with a message, or give entries with safe
 * names; an entry that can be read has the size that was said, and one that is a picture can be
 * made grey and small. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/png.h"
#include "format/zip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition) abort();
}

static void look_at(const uint8_t *bytes, size_t size)
{
    tdm__image image, grey, small;
    /* Large pictures are legal and only slow the fuzzer down. */
    if (size >= 24 &&
        (bytes[16] || bytes[17] || bytes[18] > 3 || bytes[20] || bytes[21] || bytes[22] > 3))
        return;
    if (tdm__png_parse(bytes, size, "fuzz", &image)) {
        require(tdm_last_error()[0]);
        return;
    }
    if (!tdm__image_convert(&image, 1, &grey)) {
        require(grey.width == image.width && grey.channels == 1);
        if (!tdm__image_resize(&grey, 7, 5, TDM__IMAGE_BILINEAR, &small))
            require(tdm__image_bytes(&small) == 35);
        tdm__image_free(&small);
    }
    tdm__image_free(&grey);
    tdm__image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm__zip *zip = NULL;
    if (tdm__zip_open_bytes(data, size, "fuzz", &zip)) {
        require(!zip && tdm_last_error()[0]);
        return 0;
    }
    for (uint64_t i = 0; i < tdm__zip_count(zip); i++) {
        uint8_t *bytes = NULL;
        size_t n = 0;
        const char *name = tdm__zip_name(zip, i);
        require(name && name[0] != '/' && !strstr(name, "/../"));
        if (tdm__zip_read(zip, i, 1 << 16, &bytes, &n)) {
            require(!bytes && tdm_last_error()[0]);
            continue;
        }
        require(n <= 1 << 16 && bytes[n] == 0);
        look_at(bytes, n);
        free(bytes);
    }
    tdm__zip_close(&zip);
    return 0;
}

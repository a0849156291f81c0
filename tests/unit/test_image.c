/* Tests of format/image.h: against checksums of Pillow's results (tests/ref/make_image_golden.py),
 * and properties. */
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>

#include "../ref/image_golden.h"
#include "base/mem.h"
#include "format/png.h"
#include "support/support.h"

static tdm__image picture(uint32_t width, uint32_t height, unsigned channels, unsigned bits)
{
    tdm__image image;
    support_ok(tdm__image_create(width, height, channels, bits, "test", &image));
    for (uint64_t i = 0; i < (uint64_t)width * height * channels; i++) {
        uint8_t value = (uint8_t)((i * i * 7 + i * 31) % 251);
        if (bits == 8)
            ((uint8_t *)image.pixels)[i] = value;
        else
            ((uint16_t *)image.pixels)[i] = (uint16_t)(value * 257 + i % 3);
    }
    return image;
}

static uint32_t checksum(const tdm__image *image)
{
    return libdeflate_crc32(0, image->pixels, tdm__image_bytes(image));
}

START_TEST(resize_equals_pillow)
{
    for (size_t i = 0; i < sizeof image_resized / sizeof *image_resized; i++) {
        tdm__image in =
            picture(image_resized[i].width, image_resized[i].height, image_resized[i].channels, 8);
        tdm__image out;
        support_ok(tdm__image_resize(&in, image_resized[i].to_width, image_resized[i].to_height,
                                     TDM__IMAGE_BILINEAR, &out));
        ck_assert_uint_eq(out.width, image_resized[i].to_width);
        ck_assert_uint_eq(out.height, image_resized[i].to_height);
        ck_assert_uint_eq(out.channels, image_resized[i].channels);
        ck_assert_msg(checksum(&out) == image_resized[i].crc, "resize %zu differs", i);
        tdm__image_free(&in);
        tdm__image_free(&out);
    }
}
END_TEST

/* A constant stays constant, white included, whatever the sizes. */
START_TEST(resize_keeps_constants)
{
    tdm__image in, out;
    support_ok(tdm__image_create(19, 23, 1, 8, "test", &in));
    for (uint32_t side = 1; side < 64; side++)
        for (int value = 0; value < 256; value += 51) {
            memset(in.pixels, value, tdm__image_bytes(&in));
            support_ok(tdm__image_resize(&in, side, 65 - side, TDM__IMAGE_BILINEAR, &out));
            for (size_t i = 0; i < tdm__image_bytes(&out); i++)
                ck_assert_int_eq(((uint8_t *)out.pixels)[i], value);
            tdm__image_free(&out);
        }
    tdm__image_free(&in);
}
END_TEST

START_TEST(resize_nearest)
{
    for (unsigned bits = 8; bits <= 16; bits += 8) {
        tdm__image in = picture(10, 6, 2, bits), out, twice;
        support_ok(tdm__image_resize(&in, 20, 12, TDM__IMAGE_NEAREST, &twice));
        support_ok(tdm__image_resize(&twice, 10, 6, TDM__IMAGE_NEAREST, &out));
        ck_assert_mem_eq(out.pixels, in.pixels, tdm__image_bytes(&in));
        tdm__image_free(&out);
        support_ok(tdm__image_resize(&in, 5, 2, TDM__IMAGE_NEAREST, &out));
        size_t pixel = 2 * bits / 8;
        for (size_t y = 0; y < 2; y++) /* rows 1 and 4, columns 1, 3, 5, 7, 9 */
            for (size_t x = 0; x < 5; x++)
                ck_assert_mem_eq((uint8_t *)out.pixels + (y * 5 + x) * pixel,
                                 (uint8_t *)in.pixels + ((y * 3 + 1) * 10 + 2 * x + 1) * pixel,
                                 pixel);
        tdm__image_free(&out);
        tdm__image_free(&twice);
        tdm__image_free(&in);
    }
}
END_TEST

START_TEST(convert)
{
    tdm__image in = picture(60, 41, 3, 8), out, back;
    support_ok(tdm__image_convert(&in, 1, &out));
    ck_assert_uint_eq(out.channels, 1);
    ck_assert_uint_eq(checksum(&out), image_luma_60x41);
    support_ok(tdm__image_convert(&out, 3, &back)); /* grey to colours */
    for (size_t i = 0; i < 60 * 41 * 3; i++)
        ck_assert_uint_eq(((uint8_t *)back.pixels)[i], ((uint8_t *)out.pixels)[i / 3]);
    tdm__image_free(&in);
    tdm__image_free(&out);
    tdm__image_free(&back);
    const uint16_t deep[8] = {0, 128, 129, 65535, 32768, 257, 65407, 1};
    const tdm__image rgba = {2, 1, 4, 16, (void *)(uintptr_t)deep};
    const tdm__image grey_alpha = {4, 1, 2, 16, (void *)(uintptr_t)deep};
    support_ok(tdm__image_convert(&rgba, 3, &out)); /* nearest of 0..255, alpha dropped */
    ck_assert_mem_eq(out.pixels, ((uint8_t[]){0, 0, 1, 128, 1, 255}), 6);
    tdm__image_free(&out);
    support_ok(tdm__image_convert(&grey_alpha, 1, &out));
    ck_assert_mem_eq(out.pixels, ((uint8_t[]){0, 1, 128, 255}), 4);
    tdm__image_free(&out);
}
END_TEST

/* PNG files of every form, as grey and as colours. */
START_TEST(png_forms)
{
    for (size_t i = 0; i < sizeof image_png / sizeof *image_png; i++) {
        char path[4096];
        tdm__image in, out;
        snprintf(path, sizeof path, "%s/tests/fuzz/corpus/png/%s", getenv("TANDEM_SOURCE_DIR"),
                 image_png[i].name);
        support_ok(tdm__png_read(path, &in));
        for (unsigned k = 0; k < 2; k++) {
            support_ok(tdm__image_convert(&in, k ? 3 : 1, &out));
            ck_assert_uint_eq(out.width, image_png[i].width);
            ck_assert_uint_eq(out.height, image_png[i].height);
            ck_assert_msg(checksum(&out) == image_png[i].crc[k], "%s: channels %u differ",
                          image_png[i].name, out.channels);
            tdm__image_free(&out);
        }
        tdm__image_free(&in);
    }
}
END_TEST

START_TEST(refuses)
{
    tdm__image in = picture(4, 4, 1, 16), out;
    support_fails(tdm__image_resize(&in, 2, 2, TDM__IMAGE_BILINEAR, &out), TDM_ERR_STATE,
                  "16 bits");
    ck_assert_ptr_null(out.pixels);
    support_fails(tdm__image_resize(&in, 0, 2, TDM__IMAGE_NEAREST, &out), TDM_ERR_DATA,
                  "0 x 2 pixels");
    support_fails(tdm__image_create(32769, 1, 1, 8, "a.png", &out), TDM_ERR_DATA,
                  "a.png: 32769 x 1");
    support_fails(tdm__image_create(32768, 32768, 1, 8, "a.png", &out), TDM_ERR_DATA, "in all");
    support_fails(tdm__image_create(1, 1, 5, 8, "a.png", &out), TDM_ERR_STATE, "5 channels");
    support_fails(tdm__image_convert(&in, 2, &out), TDM_ERR_STATE, "1 or 3");
    for (uint64_t n = 1; n <= 4; n++) { /* each allocation of a resize in turn */
        tdm__image small = {4, 4, 1, 8, in.pixels};
        tdm__mem_fail_after(n);
        ck_assert_int_eq(tdm__image_resize(&small, 2, 2, TDM__IMAGE_BILINEAR, &out), TDM_ERR_NOMEM);
        ck_assert_ptr_null(out.pixels);
    }
    tdm__mem_fail_after(0);
    tdm__image_free(&in);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *tc = tcase_create("image");
    tcase_add_test(tc, resize_equals_pillow);
    tcase_add_test(tc, resize_keeps_constants);
    tcase_add_test(tc, resize_nearest);
    tcase_add_test(tc, convert);
    tcase_add_test(tc, png_forms);
    tcase_add_test(tc, refuses);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

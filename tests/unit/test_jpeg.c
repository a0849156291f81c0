/* Tests of reading JPEG files and of boxes in XML files. */
#include <stdlib.h>
#include <string.h>

#include "format/jpeg.h"
#include "format/png.h"
#include "format/voc.h"
#include "support/jpeg_fixture.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* ---- JPEG ------------------------------------------------------------------------------------ */

static int off_by(unsigned a, unsigned b)
{
    return abs((int)a - (int)b);
}

START_TEST(colours)
{
    static const J_COLOR_SPACE spaces[] = {JCS_GRAYSCALE, JCS_RGB};
    for (int k = 0; k < 2; k++) {
        const support_jpeg spec = {37, 23, spaces[k], 0};
        const unsigned channels = k ? 3 : 1;
        size_t size = 0;
        unsigned char *bytes = support_jpeg_bytes(&spec, &size);
        tdm__image image;
        support_ok(tdm__jpeg_parse(bytes, size, "x.jpg", &image));
        ck_assert(image.width == 37 && image.height == 23);
        ck_assert(image.channels == channels && image.bits == 8);
        for (unsigned y = 0, at = 0; y < 23; y++)
            for (unsigned x = 0; x < 37; x++)
                for (unsigned c = 0; c < channels; c++, at++)
                    ck_assert_int_le(
                        off_by(((uint8_t *)image.pixels)[at], support_jpeg_value(x, y, c)), 3);
        tdm__image_free(&image);
        free(bytes);
    }
}
END_TEST

/* libjpeg writes the Adobe marker: channels are 255 - ink. */
START_TEST(cmyk_becomes_rgb)
{
    const support_jpeg spec = {16, 9, JCS_CMYK, 0};
    size_t size = 0;
    unsigned char *bytes = support_jpeg_bytes(&spec, &size);
    tdm__image image;
    support_ok(tdm__jpeg_parse(bytes, size, "x.jpg", &image));
    ck_assert_uint_eq(image.channels, 3);
    for (unsigned y = 0, at = 0; y < 9; y++)
        for (unsigned x = 0; x < 16; x++)
            for (unsigned c = 0; c < 3; c++, at++) {
                const unsigned want =
                    (unsigned)support_jpeg_value(x, y, c) * support_jpeg_value(x, y, 3) / 255;
                ck_assert_int_le(off_by(((uint8_t *)image.pixels)[at], want), 4);
            }
    tdm__image_free(&image);
    free(bytes);
}
END_TEST

START_TEST(progressive_and_scan_bombs)
{
    tdm__image image;
    size_t size = 0;
    unsigned char *bytes = support_jpeg_bytes(&(support_jpeg){24, 24, JCS_GRAYSCALE, 5}, &size);
    support_ok(tdm__jpeg_parse(bytes, size, "x.jpg", &image));
    for (unsigned y = 0, at = 0; y < 24; y++)
        for (unsigned x = 0; x < 24; x++, at++)
            ck_assert_int_le(off_by(((uint8_t *)image.pixels)[at], support_jpeg_value(x, y, 0)), 3);
    tdm__image_free(&image);
    /* The last scan, again and again: 64 bytes more a pass over the picture. */
    size_t last = size - 2;
    while (bytes[last] != 0xff || bytes[last + 1] != 0xda) last--;
    const size_t scan = size - 2 - last;
    unsigned char *bomb = malloc(size + 200 * scan);
    memcpy(bomb, bytes, size - 2);
    size_t at = size - 2;
    for (int i = 0; i < 200; i++, at += scan) memcpy(bomb + at, bytes + last, scan);
    memcpy(bomb + at, "\xff\xd9", 2);
    support_fails(tdm__jpeg_parse(bomb, at + 2, "x.jpg", &image), TDM_ERR_DATA,
                  "x.jpg: more than 100 scans");
    free(bomb);
    free(bytes);
}
END_TEST

static char warning[256];

static void keep_warning(void *user, tdm_log_level level, const char *line)
{
    (void)user;
    if (level == TDM_LOG_WARN) snprintf(warning, sizeof warning, "%s", line);
}

START_TEST(damaged)
{
    tdm__image image;
    size_t size = 0;
    unsigned char *bytes = support_jpeg_bytes(&(support_jpeg){64, 64, JCS_RGB, 0}, &size);
    tdm_set_log(keep_warning, NULL, TDM_LOG_WARN);
    warning[0] = 0;
    support_ok(tdm__jpeg_parse(bytes, size, "x.jpg", &image));
    ck_assert_str_eq(warning, "");
    tdm__image_free(&image);
    /* Cut in its pixels: the upper rows are there, and a warning is in the log. */
    support_ok(tdm__jpeg_parse(bytes, size * 3 / 4, "cut.jpg", &image));
    ck_assert_ptr_nonnull(strstr(warning, "cut.jpg: Premature end"));
    ck_assert_int_le(off_by(*(uint8_t *)image.pixels, support_jpeg_value(0, 0, 0)), 3);
    tdm__image_free(&image);
    for (size_t n = 0; n < size; n += 7) { /* cut anywhere: a picture or an error */
        tdm_status status = tdm__jpeg_parse(bytes, n, "x.jpg", &image);
        ck_assert(status == TDM_OK || status == TDM_ERR_DATA);
        ck_assert(!status == (image.pixels != NULL));
        tdm__image_free(&image);
    }
    size_t frame = 2;
    while (bytes[frame] != 0xff || bytes[frame + 1] != 0xc0) frame++;
    memcpy(bytes + frame + 5, "\x7f\xff\x10\x00", 4); /* 32767 x 4096 pixels, it says */
    support_fails(tdm__jpeg_parse(bytes, size, "x.jpg", &image), TDM_ERR_DATA,
                  "too short for 4096 x 32767 pixels");
    memcpy(bytes + frame + 5, "\0\1\x90\0", 4);
    support_fails(tdm__jpeg_parse(bytes, size, "x.jpg", &image), TDM_ERR_DATA,
                  "36864 x 1 pixels: must be");
    ck_assert_ptr_null(image.pixels);
    tdm_set_log(NULL, NULL, TDM_LOG_ERROR);
    free(bytes);
}
END_TEST

/* By content, whatever the name. */
START_TEST(told_apart)
{
    tdm__image image, png = {2, 1, 4, 8, NULL};
    uint8_t rgba[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char *path = support_path(folder, "a.jpg");
    png.pixels = rgba;
    support_ok(tdm__png_write(path, &png));
    support_ok(tdm__picture_read(path, &image));
    ck_assert(image.width == 2 && image.channels == 4);
    ck_assert_mem_eq(image.pixels, rgba, 8);
    tdm__image_free(&image);
    support_fails(tdm__jpeg_read(path, &image), TDM_ERR_DATA, "a.jpg: not a JPEG");
    support_jpeg_write(folder, "a.jpg", &(support_jpeg){5, 4, JCS_GRAYSCALE, 0});
    support_ok(tdm__picture_read(path, &image));
    ck_assert(image.width == 5 && image.channels == 1);
    tdm__image_free(&image);
    support_write_text(path, "GIF89a.....");
    support_fails(tdm__picture_read(path, &image), TDM_ERR_DATA,
                  "a.jpg: is a GIF: must be a JPEG or PNG");
    support_write_text(path, "hello");
    support_fails(tdm__picture_read(path, &image), TDM_ERR_DATA, "is no picture");
    support_write_text(path, "");
    support_fails(tdm__picture_read(path, &image), TDM_ERR_DATA, "is no picture");
    free(path);
}
END_TEST

/* ---- boxes ----------------------------------------------------------------------------------- */

static tdm_status parse_voc(const char *text, tdm__voc_box *box)
{
    return tdm__voc_parse(text, strlen(text), "x.xml", box);
}

#define BOX "<xmin>72</xmin><ymin> 105\n</ymin><xmax>288</xmax><ymax>291.5</ymax>"

START_TEST(voc_boxes)
{
    tdm__voc_box b;
    support_ok(
        parse_voc("<a><size><width>375</width><height>500</height></size><object><bndbox>" BOX
                  "</bndbox></object></a>",
                  &b));
    ck_assert(b.xmin == 71 && b.ymin == 104 && b.xmax == 288 && b.ymax == 291.5);
    ck_assert(b.width == 375 && b.height == 500);
    support_ok(parse_voc("<bndbox>" BOX "</bndbox><bndbox><xmin>1</xmin></bndbox>", &b));
    ck_assert(b.xmin == 71 && b.width == 0);
    support_ok(
        parse_voc("<bndbox><ymax>1</ymax><xmax>2</xmax><ymin>0</ymin><xmin>1</xmin></bndbox>", &b));
    ck_assert(b.xmin == 0 && b.ymin == 0 && b.xmax == 2 && b.ymax == 1);
}
END_TEST

START_TEST(voc_refuses)
{
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "no <bndbox>"},
        {"<bndbox><xmin>1</xmin>", "no <bndbox>"},
        {"<xmin>1</xmin><bndbox></bndbox>", "no <xmin>"},
        {"<bndbox><xmin>1<xmin></bndbox></xmin>", "no <xmin>"},
        {"<bndbox><xmin>one</xmin></bndbox>", "<xmin> must be a number"},
        {"<bndbox><xmin></xmin></bndbox>", "<xmin> must be a number"},
        {"<bndbox><xmin>nan</xmin></bndbox>", "<xmin> must be a number"},
        {"<bndbox><xmin>1e9</xmin></bndbox>", "<xmin> must be a number"},
        {"<bndbox><xmin>0000000000000000000000000000000000001</xmin></bndbox>",
         "<xmin> must be a number"},
        {"<bndbox><xmin>9</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox>", "is empty"},
        {"<size><width>200</width><height>300</height></size><bndbox>" BOX "</bndbox>",
         "not in the picture"},
        {"<size><width>400</width></size><bndbox>" BOX "</bndbox>", "no <height>"},
        {"<bndbox><xmin>-9</xmin><ymin>1</ymin><xmax>8</xmax><ymax>8</ymax></bndbox>",
         "not in the picture"},
    };
    tdm__voc_box box;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        support_fails(parse_voc(cases[i].text, &box), TDM_ERR_DATA, cases[i].part);
    support_fails(tdm__voc_read("/absent.xml", &box), TDM_ERR_DATA, "/absent.xml");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("jpeg");
    TCase *tc = tcase_create("jpeg");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, colours);
    tcase_add_test(tc, cmyk_becomes_rgb);
    tcase_add_test(tc, progressive_and_scan_bombs);
    tcase_add_test(tc, damaged);
    tcase_add_test(tc, told_apart);
    tcase_add_test(tc, voc_boxes);
    tcase_add_test(tc, voc_refuses);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

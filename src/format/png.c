/* PNG through libpng. libpng reports errors by longjmp: each function that calls it sets its own
 * jump, and everything that must outlive the jump is in a struct. */
#include "format/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

#define MOST_FILE ((size_t)1 << 30)

typedef struct job {
    jmp_buf jump;
    char message[128];
    png_structp png;
    png_infop info;
    png_bytep *rows;
    const uint8_t *bytes; /* reading */
    size_t size, at;
    tdm__atomic *atomic; /* writing */
    tdm_status status;   /* of the atomic write, when that failed */
} job;

static void on_error(png_structp png, png_const_charp message)
{
    job *j = png_get_error_ptr(png);
    snprintf(j->message, sizeof j->message, "%s", message);
    longjmp(j->jump, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png, (void)message;
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
    job *j = png_get_io_ptr(png);
    if (n > j->size - j->at) png_error(png, "the file is truncated");
    memcpy(out, j->bytes + j->at, n);
    j->at += n;
}

static void write_bytes(png_structp png, png_bytep bytes, size_t n)
{
    job *j = png_get_io_ptr(png);
    j->status = tdm__atomic_write(j->atomic, bytes, n);
    if (j->status) png_error(png, "cannot be written");
}

static void flush_bytes(png_structp png)
{
    (void)png; /* commit does */
}

static tdm_status point_rows(job *j, const tdm__image *image)
{
    tdm_status status = tdm__calloc_try(image->height, sizeof *j->rows, &j->rows);
    size_t stride = tdm__image_bytes(image) / image->height;
    for (uint32_t y = 0; !status && y < image->height; y++)
        j->rows[y] = (png_bytep)image->pixels + y * stride;
    return status;
}

/* After the header: asks libpng for what tdm__image holds, and sets the sizes. */
static void choose_form(job *j, tdm__image *form)
{
    png_byte type = png_get_color_type(j->png, j->info), bits = png_get_bit_depth(j->png, j->info);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(j->png);
    if (type == PNG_COLOR_TYPE_GRAY && bits < 8) png_set_expand_gray_1_2_4_to_8(j->png);
    if (png_get_valid(j->png, j->info, PNG_INFO_tRNS)) png_set_tRNS_to_alpha(j->png);
    if (bits == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(j->png);
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    form->width = png_get_image_width(j->png, j->info);
    form->height = png_get_image_height(j->png, j->info);
    form->channels = png_get_channels(j->png, j->info);
    form->bits = png_get_bit_depth(j->png, j->info);
}

/* Between the two jumps: memory is ours to allocate. */
static tdm_status read_pixels(job *j, const char *name, tdm__image *out)
{
    tdm__image form = {0};
    if (setjmp(j->jump)) return tdm__fail(TDM_ERR_DATA, "%s: %s", name, j->message);
    png_read_info(j->png, j->info);
    choose_form(j, &form);
    tdm_status status =
        tdm__image_create(form.width, form.height, form.channels, form.bits, name, out);
    if (status) return status;
    if (png_get_rowbytes(j->png, j->info) != tdm__image_bytes(out) / out->height)
        return tdm__fail(TDM_ERR_DATA, "%s: a form of PNG that is not supported", name);
    status = point_rows(j, out);
    if (status) return status;
    png_read_image(j->png, j->rows);
    png_read_end(j->png, NULL);
    return TDM_OK;
}

tdm_status tdm__png_parse(const void *bytes, size_t size, const char *name, tdm__image *out)
{
    *out = (tdm__image){0};
    if (size < 8 || png_sig_cmp(bytes, 0, 8)) return tdm__fail(TDM_ERR_DATA, "%s: not a PNG", name);
    job *j = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(1, sizeof *j, &j));
    j->bytes = bytes;
    j->size = size;
    if (!setjmp(j->jump)) {
        j->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
        if (j->png) j->info = png_create_info_struct(j->png);
    }
    if (!j->png || !j->info) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory for decoding", name);
        goto done;
    }
    png_set_user_limits(j->png, TDM__IMAGE_SIDE, TDM__IMAGE_SIDE);
    png_set_chunk_malloc_max(j->png, 8 << 20); /* a bomb in a text chunk */
    png_set_read_fn(j->png, j, read_bytes);
    status = read_pixels(j, name, out);
done:
    if (j) {
        if (j->png) png_destroy_read_struct(&j->png, &j->info, NULL);
        free(j->rows);
        free(j);
    }
    if (status) tdm__image_free(out);
    return status;
}

tdm_status tdm__png_read(const char *path, tdm__image *out)
{
    void *bytes = NULL;
    size_t size = 0;
    *out = (tdm__image){0};
    tdm_status status = tdm__read_file(path, MOST_FILE, &bytes, &size);
    if (!status) status = tdm__png_parse(bytes, size, path, out);
    free(bytes);
    return status;
}

static tdm_status write_pixels(job *j, const char *path, const tdm__image *image)
{
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    if (setjmp(j->jump))
        return j->status ? j->status : tdm__fail(TDM_ERR_IO, "%s: %s", path, j->message);
    png_set_IHDR(j->png, j->info, image->width, image->height, (int)image->bits,
                 types[image->channels], PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(j->png, j->info);
    if (image->bits == 16 && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) png_set_swap(j->png);
    png_write_image(j->png, j->rows);
    png_write_end(j->png, NULL);
    return TDM_OK;
}

tdm_status tdm__png_write(const char *path, const tdm__image *image)
{
    if (!image->width || !image->height || image->width > TDM__IMAGE_SIDE ||
        image->height > TDM__IMAGE_SIDE || image->channels < 1 || image->channels > 4 ||
        (image->bits != 8 && image->bits != 16))
        return tdm__fail(TDM_ERR_STATE, "%s: %u x %u pixels, %u channels of %u bits: not a PNG",
                         path, image->width, image->height, image->channels, image->bits);
    tdm__atomic atomic = {0};
    job *j = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(1, sizeof *j, &j));
    TDM_TRY(point_rows(j, image));
    TDM_TRY(tdm__atomic_begin(&atomic, path));
    j->atomic = &atomic;
    if (!setjmp(j->jump)) {
        j->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, j, on_error, on_warning);
        if (j->png) j->info = png_create_info_struct(j->png);
    }
    if (!j->png || !j->info) {
        status = tdm__fail(TDM_ERR_NOMEM, "%s: out of memory for encoding", path);
        goto done;
    }
    png_set_write_fn(j->png, j, write_bytes, flush_bytes);
    TDM_TRY(write_pixels(j, path, image));
    TDM_TRY(tdm__atomic_commit(&atomic));
done:
    if (j) {
        if (j->png) png_destroy_write_struct(&j->png, &j->info);
        free(j->rows);
        free(j);
    }
    tdm__atomic_abort(&atomic);
    return status;
}

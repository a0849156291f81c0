/* JPEG through libjpeg, which reports errors by a function that must not return: decode() is the
 * only place that jumps are caught in, and all that must outlive a jump is in a struct. */
#include "format/jpeg.h"

#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/png.h"

#define MOST_FILE ((size_t)1 << 30)
/* A progressive file may hold any number of scans, each a pass over all of the picture: a small
 * file can keep a decoder busy for hours. Encoders write about ten. */
enum { MOST_SCANS = 100 };

typedef struct job {
    struct jpeg_decompress_struct info; /* first: error handlers get its address */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX]; /* of the error, or of the first warning */
    const char *name;
    tdm__image *image;
    tdm_status status; /* set before a jump out of our own code */
} job;

static void on_error(j_common_ptr info)
{
    job *j = (job *)info;
    info->err->format_message(info, j->message);
    longjmp(j->jump, 1);
}

/* level < 0: damage that libjpeg goes on after. */
static void on_message(j_common_ptr info, int level)
{
    job *j = (job *)info;
    if (level < 0 && info->err->num_warnings++ == 0) info->err->format_message(info, j->message);
}

static void on_progress(j_common_ptr info)
{
    job *j = (job *)info;
    if (j->info.input_scan_number <= MOST_SCANS) return;
    snprintf(j->message, sizeof j->message, "more than %d scans", MOST_SCANS);
    longjmp(j->jump, 1);
}

static void give_up(job *j, tdm_status status)
{
    j->status = status;
    longjmp(j->jump, 1);
}

/* Adobe writes CMYK inverted (255: no ink), and says so in a marker. RGB = (1 - ink)(1 - black). */
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, size_t n, bool inverted)
{
    for (size_t i = 0; i < n; i++, from += 4, to += 3) {
        const unsigned k = inverted ? from[3] : 255u - from[3];
        for (int c = 0; c < 3; c++) {
            const unsigned v = inverted ? from[c] : 255u - from[c];
            to[c] = (uint8_t)((v * k + 127) / 255);
        }
    }
}

static void read_rows(job *j)
{
    struct jpeg_decompress_struct *d = &j->info;
    const size_t stride = (size_t)d->output_width * j->image->channels;
    JSAMPARRAY ink = NULL;
    if (d->out_color_space == JCS_CMYK)
        ink = d->mem->alloc_sarray((j_common_ptr)d, JPOOL_IMAGE, d->output_width * 4, 1);
    while (d->output_scanline < d->output_height) {
        uint8_t *row = (uint8_t *)j->image->pixels + d->output_scanline * stride;
        jpeg_read_scanlines(d, ink ? ink : &row, 1);
        if (ink) cmyk_to_rgb(ink[0], row, d->output_width, d->saw_Adobe_marker);
    }
}

static tdm_status decode(job *j, const void *bytes, size_t size)
{
    struct jpeg_decompress_struct *d = &j->info;
    if (setjmp(j->jump))
        return j->status ? j->status : tdm__fail(TDM_ERR_DATA, "%s: %s", j->name, j->message);
    jpeg_create_decompress(d);
    jpeg_mem_src(d, bytes, size);
    jpeg_read_header(d, TRUE);
    const bool grey = d->jpeg_color_space == JCS_GRAYSCALE;
    const bool ink = d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK;
    d->out_color_space = grey ? JCS_GRAYSCALE : ink ? JCS_CMYK : JCS_RGB;
    /* before any memory of that size is taken; a block of 64 pixels needs a bit, at the least */
    if ((uint64_t)d->image_width * d->image_height / 2048 > size)
        give_up(j, tdm__fail(TDM_ERR_DATA, "%s: too short for %u x %u pixels", j->name,
                             d->image_width, d->image_height));
    const tdm_status status =
        tdm__image_create(d->image_width, d->image_height, grey ? 1 : 3, 8, j->name, j->image);
    if (status) give_up(j, status);
    d->progress = &j->progress;
    j->progress.progress_monitor = on_progress;
    jpeg_start_decompress(d);
    read_rows(j);
    jpeg_finish_decompress(d);
    return TDM_OK;
}

tdm_status tdm__jpeg_parse(const void *bytes, size_t size, const char *name, tdm__image *out)
{
    job *j = NULL;
    *out = (tdm__image){0};
    if (size < 4 || memcmp(bytes, "\xff\xd8\xff", 3))
        return tdm__fail(TDM_ERR_DATA, "%s: not a JPEG", name);
    tdm_status status = tdm__calloc_try(1, sizeof *j, &j);
    if (status) return status;
    j->name = name;
    j->image = out;
    j->info.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = on_error;
    j->errors.emit_message = on_message;
    status = decode(j, bytes, size);
    if (!status && j->errors.num_warnings) tdm__log(TDM_LOG_WARN, "%s: %s", name, j->message);
    jpeg_destroy_decompress(&j->info);
    free(j);
    if (status) tdm__image_free(out);
    return status;
}

typedef tdm_status parse_fn(const void *bytes, size_t size, const char *name, tdm__image *out);

static tdm_status read_with(parse_fn *parse, const char *path, tdm__image *out)
{
    void *bytes = NULL;
    size_t size = 0;
    *out = (tdm__image){0};
    tdm_status status = tdm__read_file(path, MOST_FILE, &bytes, &size);
    if (!status) status = parse(bytes, size, path, out);
    free(bytes);
    return status;
}

tdm_status tdm__jpeg_read(const char *path, tdm__image *out)
{
    return read_with(tdm__jpeg_parse, path, out);
}

tdm_status tdm__picture_parse(const void *bytes, size_t size, const char *name, tdm__image *out)
{
    static const struct {
        const char *magic, *what;
        parse_fn *parse;
    } kinds[] = {{"\xff\xd8\xff", "JPEG", tdm__jpeg_parse},
                 {"\x89PNG", "PNG", tdm__png_parse},
                 {"GIF8", "a GIF", NULL},
                 {"BM", "a BMP", NULL},
                 {"RIFF", "a WebP or another RIFF file", NULL},
                 {"II*", "a TIFF", NULL},
                 {"MM", "a TIFF", NULL}};
    *out = (tdm__image){0};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t n = strlen(kinds[i].magic);
        if (size < n || memcmp(bytes, kinds[i].magic, n)) continue;
        if (kinds[i].parse) return kinds[i].parse(bytes, size, name, out);
        return tdm__fail(TDM_ERR_DATA, "%s: is %s: must be a JPEG or PNG", name, kinds[i].what);
    }
    return tdm__fail(TDM_ERR_DATA, "%s: is no picture: must be a JPEG or PNG", name);
}

tdm_status tdm__picture_read(const char *path, tdm__image *out)
{
    return read_with(tdm__picture_parse, path, out);
}

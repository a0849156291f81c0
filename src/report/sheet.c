/* report/sheet.c: panels and their arrangement. A panel is a title, a picture of the view's size
 * and a foot for its legend. */
#include "report/sheet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "format/png.h"

enum {
    SCALE = 2,        /* of the font */
    LINE = 22,        /* height of a line of text */
    TITLE = 26,       /* height of the title's strip */
    GAP = 16,         /* around panels */
    VIEW_LEAST = 224, /* the view's longer side is at least so long ... */
    VIEW_MOST = 512,  /* ... and at most so long */
    COLUMNS = 4,
    LEGEND_MOST = 6, /* classes named below a mask, bars of a class panel */
};

static const tdm__color unlabelled = {128, 128, 128};

/* ---- sources -----------------------------------------------------------------------------------
 */

/* Values of a picture by (y, x, c), as float. */
typedef struct raster {
    const void *pixels;
    bool is_float;
    int64_t h, w, channels;
    double low, high; /* shown as black and white */
} raster;

static double raster_at(const raster *r, int64_t y, int64_t x, int64_t c)
{
    const int64_t at = (y * r->w + x) * r->channels + c;
    const double v =
        r->is_float ? ((const float *)r->pixels)[at] : ((const uint8_t *)r->pixels)[at];
    return fmin(fmax((v - r->low) / (r->high - r->low), 0), 1);
}

static tdm__color raster_color(const raster *r, int64_t y, int64_t x)
{
    const bool grey = r->channels < 3;
    double v[3];
    for (int c = 0; c < 3; c++) v[c] = raster_at(r, y, x, grey ? 0 : c);
    return (tdm__color){(uint8_t)lround(255 * v[0]), (uint8_t)lround(255 * v[1]),
                        (uint8_t)lround(255 * v[2])};
}

/* Floats of 0..1 are shown as they are; others from their smallest to their largest. */
static raster raster_of(const void *pixels, bool is_float, int64_t h, int64_t w, int64_t channels)
{
    raster r = {pixels, is_float, h, w, channels, 0, is_float ? 1 : 255};
    if (!is_float) return r;
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < h * w * channels; i++) {
        const double v = ((const float *)pixels)[i];
        low = fmin(low, v);
        high = fmax(high, v);
    }
    if (low < -0.01 || high > 1.01) {
        r.low = low;
        r.high = high > low ? high : low + 1;
    }
    return r;
}

static void paint(tdm__image *image, tdm__box box, const raster *r)
{
    for (int y = 0; y < box.h; y++)
        for (int x = 0; x < box.w; x++)
            tdm__canvas_set(image, box.x + x, box.y + y,
                            raster_color(r, y * r->h / box.h, x * r->w / box.w));
}

/* The size at which h * w pixels are shown: enlarged by a whole factor, or reduced. */
static void view_size(int64_t h, int64_t w, uint32_t *out_h, uint32_t *out_w)
{
    const int64_t longer = h > w ? h : w;
    const int64_t factor = longer < VIEW_LEAST ? (VIEW_LEAST + longer - 1) / longer : 1;
    const double share = longer > VIEW_MOST ? (double)VIEW_MOST / (double)longer : (double)factor;
    *out_h = (uint32_t)fmax(1, round((double)h * share));
    *out_w = (uint32_t)fmax(1, round((double)w * share));
}

tdm_status tdm__sheet_begin(tdm__sheet *s, const void *pixels, bool is_float, int64_t h, int64_t w,
                            int64_t channels)
{
    tdm_status status = TDM_OK;
    tdm__image full = {0};
    uint32_t shown_h, shown_w;
    memset(s, 0, sizeof *s);
    const raster r = raster_of(pixels, is_float, h, w, channels);
    view_size(h, w, &shown_h, &shown_w);
    if (shown_w >= w) {
        TDM_TRY(tdm__image_create(shown_w, shown_h, 3, 8, "input", &s->view));
        paint(&s->view, (tdm__box){0, 0, (int)shown_w, (int)shown_h}, &r);
        goto done;
    }
    TDM_TRY(tdm__image_create((uint32_t)w, (uint32_t)h, 3, 8, "input", &full));
    paint(&full, (tdm__box){0, 0, (int)w, (int)h}, &r);
    TDM_TRY(tdm__image_resize(&full, shown_w, shown_h, TDM__IMAGE_BILINEAR, &s->view));
done:
    tdm__image_free(&full);
    return status;
}

void tdm__sheet_free(tdm__sheet *s)
{
    tdm__image_free(&s->view);
    for (size_t i = 0; i < s->n; i++) tdm__image_free(&s->panels[i]);
    free(s->panels);
    memset(s, 0, sizeof *s);
}

/* ---- panels ------------------------------------------------------------------------------------
 */

static int view_w(const tdm__sheet *s)
{
    return (int)s->view.width;
}
static int view_h(const tdm__sheet *s)
{
    return (int)s->view.height;
}

/* A new panel with its title; the picture is at (0, TITLE), below it `foot` pixels. *out belongs to
 * the sheet. */
static tdm_status panel_begin(tdm__sheet *s, const char *title, int foot, tdm__image **out)
{
    tdm_status status = tdm__grow(&s->panels, &s->capacity, s->n + 1, sizeof *s->panels);
    if (status) return status;
    const int width = view_w(s) > VIEW_LEAST ? view_w(s) : VIEW_LEAST;
    tdm__image *panel = &s->panels[s->n];
    status = tdm__image_create((uint32_t)width, (uint32_t)(TITLE + view_h(s) + foot), 3, 8, title,
                               panel);
    if (status) return status;
    s->n++;
    tdm__canvas_fill(panel, (tdm__box){0, 0, width, (int)panel->height}, tdm__paper);
    tdm__canvas_text(panel, 0, 4, SCALE, width, tdm__ink, title);
    *out = panel;
    return TDM_OK;
}

static void put_view(const tdm__sheet *s, tdm__image *panel)
{
    for (int y = 0; y < view_h(s); y++)
        for (int x = 0; x < view_w(s); x++)
            tdm__canvas_set(panel, x, TITLE + y, tdm__canvas_get(&s->view, x, y));
}

tdm_status tdm__sheet_input(tdm__sheet *s)
{
    tdm__image *panel;
    const tdm_status status = panel_begin(s, "input", 0, &panel);
    if (!status) put_view(s, panel);
    return status;
}

tdm_status tdm__sheet_picture(tdm__sheet *s, const char *title, const float *values, int64_t h,
                              int64_t w, int64_t channels)
{
    tdm__image *panel;
    const tdm_status status = panel_begin(s, title, 0, &panel);
    if (status) return status;
    const raster r = {values, true, h, w, channels, 0, 1};
    paint(panel, (tdm__box){0, TITLE, view_w(s), view_h(s)}, &r);
    return TDM_OK;
}

/* ---- masks --------------------------------------------------------------------------------------
 */

typedef struct label_map {
    const int32_t *labels;
    int64_t h, w;
    int view_h, view_w;
} label_map;

static int32_t label_at(const label_map *m, int y, int x)
{
    if (y < 0 || x < 0 || y >= m->view_h || x >= m->view_w) return INT32_MIN;
    return m->labels[y * m->h / m->view_h * m->w + x * m->w / m->view_w];
}

/* Does a pixel of the same class as (y, x) end here? The line that shows it has two pixels. */
static bool on_edge(const label_map *m, int y, int x)
{
    const int32_t here = label_at(m, y, x);
    for (int d = -1; d <= 1; d += 2) {
        const int32_t a = label_at(m, y + d, x), b = label_at(m, y, x + d);
        if ((a != here && a != INT32_MIN) || (b != here && b != INT32_MIN)) return true;
    }
    return false;
}

static const char *class_name(const char *const *names, uint64_t c, char out[32])
{
    if (names) return names[c];
    snprintf(out, 32, "class %llu", (unsigned long long)c);
    return out;
}

/* The classes of a map by area, largest first: at most LEGEND_MOST. Returns how many. */
static int largest_classes(const int32_t *labels, int64_t pixels, uint64_t classes, uint64_t *list,
                           double *shares)
{
    int n = 0;
    for (uint64_t c = classes == 2; c < classes; c++) {
        int64_t count = 0;
        for (int64_t i = 0; i < pixels; i++) count += labels[i] == (int32_t)c;
        const double share = (double)count / (double)pixels;
        if (count == 0 || (n == LEGEND_MOST && share <= shares[n - 1])) continue;
        int at = n < LEGEND_MOST ? n++ : n - 1;
        for (; at > 0 && shares[at - 1] < share; at--) {
            list[at] = list[at - 1];
            shares[at] = shares[at - 1];
        }
        list[at] = c;
        shares[at] = share;
    }
    return n;
}

static void mask_legend(tdm__image *panel, int top, const label_map *m, uint64_t classes,
                        const char *const *names)
{
    uint64_t list[LEGEND_MOST] = {0};
    double shares[LEGEND_MOST] = {0};
    const int n = largest_classes(m->labels, m->h * m->w, classes, list, shares);
    for (int i = 0; i < n; i++) {
        char name[32], text[96];
        const int y = top + 6 + i * LINE;
        snprintf(text, sizeof text, "%s %.0f%%", class_name(names, list[i], name), 100 * shares[i]);
        tdm__canvas_fill(panel, (tdm__box){0, y, 14, 14}, tdm__color_of_class(list[i]));
        tdm__canvas_text(panel, 22, y, SCALE, (int)panel->width - 22, tdm__ink, text);
    }
    if (n == 0) tdm__canvas_text(panel, 0, top + 6, SCALE, 0, tdm__faint, "none");
}

tdm_status tdm__sheet_mask(tdm__sheet *s, const char *title, const int32_t *labels, int64_t h,
                           int64_t w, uint64_t classes, const char *const *names)
{
    tdm__image *panel;
    const int lines = classes <= 2 ? 1 : classes < LEGEND_MOST ? (int)classes : LEGEND_MOST;
    const tdm_status status = panel_begin(s, title, 6 + lines * LINE, &panel);
    if (status) return status;
    const label_map m = {labels, h, w, view_h(s), view_w(s)};
    for (int y = 0; y < m.view_h; y++)
        for (int x = 0; x < m.view_w; x++) {
            const int32_t label = label_at(&m, y, x);
            tdm__color c = tdm__canvas_get(&s->view, x, y);
            if (label < 0)
                c = tdm__color_mix(c, unlabelled, 0.75);
            else if (label > 0 || classes > 2)
                c = tdm__color_mix(c, tdm__color_of_class((uint64_t)label),
                                   on_edge(&m, y, x) ? 1 : 0.55);
            tdm__canvas_set(panel, x, TITLE + y, c);
        }
    mask_legend(panel, TITLE + m.view_h, &m, classes, names);
    return TDM_OK;
}

/* ---- maps of numbers ----------------------------------------------------------------------------
 */

/* A bar of all colours with its ends and middle in numbers. */
static void color_bar(tdm__image *panel, int top, int width, double low, double high)
{
    const double at[] = {low, (low + high) / 2, high};
    char text[3][24];
    for (int x = 0; x < width; x++)
        tdm__canvas_fill(panel, (tdm__box){x, top + 6, 1, 12},
                         tdm__color_of_value((double)x / (width - 1)));
    for (int i = 0; i < 3; i++) {
        snprintf(text[i], sizeof text[i], "%.3g", at[i]);
        const int w = tdm__text_width(text[i], SCALE), x = i * (width - 1) / 2;
        tdm__canvas_fill(panel, (tdm__box){i == 2 ? x - 1 : x, top + 18, 2, 4}, tdm__ink);
        tdm__canvas_text(panel,
                         i == 0   ? 0
                         : i == 1 ? x - w / 2
                                  : x - w + 1,
                         top + 25, SCALE, 0, tdm__ink, text[i]);
    }
}

tdm_status tdm__sheet_map(tdm__sheet *s, const char *title, const float *values, int64_t h,
                          int64_t w, double low, double high)
{
    tdm__image *panel;
    const tdm_status status = panel_begin(s, title, 42, &panel);
    if (status) return status;
    const double span = high > low ? high - low : 1;
    for (int y = 0; y < view_h(s); y++)
        for (int x = 0; x < view_w(s); x++) {
            const double v = values[y * h / view_h(s) * w + x * w / view_w(s)];
            tdm__canvas_set(panel, x, TITLE + y,
                            isnan(v) ? unlabelled : tdm__color_of_value((v - low) / span));
        }
    color_bar(panel, TITLE + view_h(s), view_w(s), low, low + span);
    return TDM_OK;
}

/* ---- boxes --------------------------------------------------------------------------------------
 */

static const tdm__color box_color = {0, 114, 178}, truth_color = {230, 159, 0};

/* In colour on a white rim, to be seen on anything. */
static void draw_box(const tdm__sheet *s, tdm__image *panel, const float *box, int64_t input_h,
                     int64_t input_w, int dash, tdm__color color)
{
    const double fx = view_w(s) / (double)input_w, fy = view_h(s) / (double)input_h;
    double at[4];
    for (int k = 0; k < 4; k++) {
        const double most = (k % 2 ? view_h(s) : view_w(s));
        if (isnan(box[k])) return;
        at[k] = fmin(fmax(box[k] * (k % 2 ? fy : fx), 0), most); /* its sides stay to be seen */
    }
    const tdm__box outer = {(int)lround(at[0]), TITLE + (int)lround(at[1]),
                            (int)lround(at[2] - at[0]), (int)lround(at[3] - at[1])};
    if (outer.w < 1 || outer.h < 1) return;
    tdm__image clip = *panel; /* the picture only: neither title nor legend is drawn over */
    clip.height = (uint32_t)(TITLE + view_h(s));
    clip.width = panel->width;
    tdm__canvas_frame(&clip, (tdm__box){outer.x - 1, outer.y - 1, outer.w + 2, outer.h + 2}, 5, 0,
                      tdm__paper);
    tdm__canvas_frame(&clip, outer, 3, dash, color);
}

tdm_status tdm__sheet_boxes(tdm__sheet *s, const char *title, const float *box, const float *truth,
                            int64_t input_h, int64_t input_w)
{
    tdm__image *panel;
    const tdm_status status = panel_begin(s, title, 6 + LINE, &panel);
    if (status) return status;
    put_view(s, panel);
    if (truth) draw_box(s, panel, truth, input_h, input_w, 8, truth_color);
    draw_box(s, panel, box, input_h, input_w, 0, box_color);
    tdm__canvas_fill(panel, (tdm__box){0, 0, (int)panel->width, TITLE}, tdm__paper);
    tdm__canvas_text(panel, 0, 4, SCALE, (int)panel->width, tdm__ink, title);
    const int y = TITLE + view_h(s) + 6;
    int x = 0;
    tdm__canvas_frame(panel, (tdm__box){x, y, 14, 14}, 3, 0, box_color);
    x += 20 + tdm__canvas_text(panel, 20, y, SCALE, 0, tdm__ink, "predicted");
    if (!truth) return TDM_OK;
    tdm__canvas_frame(panel, (tdm__box){x + 12, y, 14, 14}, 3, 4, truth_color);
    tdm__canvas_text(panel, x + 32, y, SCALE, 0, tdm__ink, "truth");
    return TDM_OK;
}

/* ---- classes, numbers ---------------------------------------------------------------------------
 */

/* The indices of the largest probabilities, largest first. Returns how many. */
static int most_probable(const float *p, uint64_t classes, uint64_t *list, int most)
{
    int n = 0;
    for (uint64_t c = 0; c < classes; c++) {
        if (n == most && !(p[c] > p[list[n - 1]])) continue;
        int at = n < most ? n++ : most - 1;
        for (; at > 0 && p[c] > p[list[at - 1]]; at--) list[at] = list[at - 1];
        list[at] = c;
    }
    return n;
}

tdm_status tdm__sheet_classes(tdm__sheet *s, const char *title, const float *p, uint64_t classes,
                              const char *const *names, int64_t truth)
{
    tdm__image *panel;
    uint64_t list[LEGEND_MOST];
    char name[32], text[96];
    const tdm_status status = panel_begin(s, title, 0, &panel);
    if (status) return status;
    const int room = (int)panel->width, step = 2 * LINE - 4;
    const int top = TITLE + 8;
    int most = (view_h(s) - LINE - 8) / step;
    if (most > LEGEND_MOST - 1) most = LEGEND_MOST - 1;
    const int n = most_probable(p, classes, list, most < 1 ? 1 : most);
    for (int i = 0; i < n; i++) {
        const int y = top + i * step;
        const bool right = (int64_t)list[i] == truth;
        const tdm__color color = i == 0 ? box_color : tdm__faint;
        snprintf(text, sizeof text, "%.1f%%", 100 * (double)p[list[i]]);
        const int number = tdm__text_width(text, SCALE);
        tdm__canvas_text(panel, 0, y, SCALE, room - number - 12, tdm__ink,
                         class_name(names, list[i], name));
        tdm__canvas_text(panel, room - number, y, SCALE, 0, tdm__ink, text);
        tdm__canvas_fill(panel, (tdm__box){0, y + 18, room, 8}, (tdm__color){233, 236, 239});
        tdm__canvas_fill(panel, (tdm__box){0, y + 18, (int)lround(room * (double)p[list[i]]), 8},
                         color);
        if (right) tdm__canvas_frame(panel, (tdm__box){0, y + 17, room, 10}, 2, 0, truth_color);
    }
    if (truth < 0) return TDM_OK;
    snprintf(text, sizeof text, "truth: %s", class_name(names, (uint64_t)truth, name));
    const int y = top + n * step + 2;
    tdm__canvas_fill(panel, (tdm__box){0, y, 14, 14}, truth_color);
    tdm__canvas_text(panel, 22, y, SCALE, room - 22, tdm__ink, text);
    return TDM_OK;
}

tdm_status tdm__sheet_values(tdm__sheet *s, const char *title, const float *values,
                             const float *truth, uint64_t n)
{
    tdm__image *panel;
    char text[64];
    const tdm_status status = panel_begin(s, title, 0, &panel);
    if (status) return status;
    for (uint64_t i = 0; i < n && 8 + (int)(i + 1) * LINE <= view_h(s); i++) {
        if (truth)
            snprintf(text, sizeof text, "%.4g (truth %.4g)", (double)values[i], (double)truth[i]);
        else
            snprintf(text, sizeof text, "%.4g", (double)values[i]);
        tdm__canvas_text(panel, 0, TITLE + 8 + (int)i * LINE, SCALE, (int)panel->width, tdm__ink,
                         text);
    }
    return TDM_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------
 */

static void put_panel(tdm__image *sheet, const tdm__image *panel, uint32_t left, uint32_t top)
{
    const size_t row = 3 * (size_t)panel->width;
    for (uint32_t y = 0; y < panel->height; y++)
        memcpy((uint8_t *)sheet->pixels + 3 * ((size_t)(top + y) * sheet->width + left),
               (const uint8_t *)panel->pixels + y * row, row);
}

tdm_status tdm__sheet_write(const tdm__sheet *s, const char *path)
{
    tdm_status status = TDM_OK;
    tdm__image sheet = {0};
    uint32_t width = 0, height = GAP, tops[64] = {0}, tallest = 0;
    const uint32_t across = s->n < COLUMNS ? (uint32_t)s->n : COLUMNS;
    if (s->n == 0 || s->n > COLUMNS * 64)
        return tdm__fail(TDM_ERR_STATE, "%s: %zu panels", path, s->n);
    for (size_t i = 0; i < s->n; i++) {
        if (i % COLUMNS == 0) {
            tops[i / COLUMNS] = height += i ? tallest + GAP : 0;
            tallest = 0;
        }
        if (s->panels[i].height > tallest) tallest = s->panels[i].height;
    }
    height += tallest + GAP;
    width = across * (s->panels[0].width + GAP) + GAP;
    TDM_TRY(tdm__image_create(width, height, 3, 8, path, &sheet));
    tdm__canvas_fill(&sheet, (tdm__box){0, 0, (int)width, (int)height}, tdm__paper);
    for (size_t i = 0; i < s->n; i++)
        put_panel(&sheet, &s->panels[i], GAP + (uint32_t)(i % COLUMNS) * (s->panels[0].width + GAP),
                  tops[i / COLUMNS]);
    TDM_TRY(tdm__png_write(path, &sheet));
done:
    tdm__image_free(&sheet);
    return status;
}

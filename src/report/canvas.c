/* report/canvas.c: see canvas.h. */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

#include "report/font.h"

const tdm__color tdm__ink = {33, 37, 41}, tdm__faint = {134, 142, 150},
                 tdm__paper = {255, 255, 255};

tdm__color tdm__color_mix(tdm__color a, tdm__color b, double t)
{
    return (tdm__color){(uint8_t)lround(a.r + t * (b.r - a.r)),
                        (uint8_t)lround(a.g + t * (b.g - a.g)),
                        (uint8_t)lround(a.b + t * (b.b - a.b))};
}

tdm__color tdm__color_of_class(uint64_t index)
{
    static const tdm__color base[] = {{0, 114, 178},  {230, 159, 0},  {0, 158, 115},
                                      {213, 94, 0},   {86, 180, 233}, {204, 121, 167},
                                      {240, 228, 66}, {90, 90, 90}};
    const uint64_t n = sizeof base / sizeof *base, tone = index / n;
    const tdm__color c = base[index % n];
    if (tone == 0) return c;
    const double share = 0.35 * (double)((tone + 1) / 2) / (double)((tone + 3) / 4);
    return tone % 2 ? tdm__color_mix(c, tdm__paper, share) : tdm__color_mix(c, tdm__ink, share);
}

tdm__color tdm__color_of_value(double value)
{
    static const tdm__color steps[] = {{68, 1, 84},    {71, 44, 122},  {59, 81, 139},
                                       {44, 113, 142}, {33, 144, 141}, {39, 173, 129},
                                       {92, 200, 99},  {170, 220, 50}, {253, 231, 37}};
    const int last = sizeof steps / sizeof *steps - 1;
    const double at = fmin(fmax(value, 0), 1) * last;
    const int i = at >= last ? last - 1 : (int)at;
    return tdm__color_mix(steps[i], steps[i + 1], at - i);
}

static uint8_t *pixel(const tdm__image *image, int x, int y)
{
    if (x < 0 || y < 0 || x >= (int)image->width || y >= (int)image->height) return NULL;
    return (uint8_t *)image->pixels + 3 * ((size_t)y * image->width + (size_t)x);
}

tdm__color tdm__canvas_get(const tdm__image *image, int x, int y)
{
    const uint8_t *p = pixel(image, x, y);
    return p ? (tdm__color){p[0], p[1], p[2]} : tdm__paper;
}

void tdm__canvas_set(tdm__image *image, int x, int y, tdm__color c)
{
    uint8_t *p = pixel(image, x, y);
    if (!p) return;
    p[0] = c.r;
    p[1] = c.g;
    p[2] = c.b;
}

void tdm__canvas_fill(tdm__image *image, tdm__box b, tdm__color c)
{
    for (int y = b.y; y < b.y + b.h; y++)
        for (int x = b.x; x < b.x + b.w; x++) tdm__canvas_set(image, x, y, c);
}

void tdm__canvas_frame(tdm__image *image, tdm__box b, int width, int dash, tdm__color c)
{
    for (int y = 0; y < b.h; y++)
        for (int x = 0; x < b.w; x++) {
            const bool across = y < width || y >= b.h - width;
            const bool down = x < width || x >= b.w - width;
            /* a dash, a gap of the same length, along whichever side this is */
            const int along = across ? x : y;
            if ((across || down) && (!dash || along / dash % 2 == 0))
                tdm__canvas_set(image, b.x + x, b.y + y, c);
        }
}

/* The bytes of UTF-8 that continue a letter. */
static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int count_letters(const char *text)
{
    int n = 0;
    for (; *text; text++) n += !continues(*text);
    return n;
}

int tdm__text_width(const char *text, int scale)
{
    const int n = count_letters(text);
    return n ? (n * TDM__FONT_STEP - 1) * scale : 0;
}

int tdm__text_height(int scale)
{
    return TDM__FONT_HEIGHT * scale;
}

static void draw_glyph(tdm__image *image, int x, int y, int scale, tdm__color color, char c)
{
    const unsigned char *rows = tdm__font_glyph((unsigned char)c);
    for (int r = 0; r < TDM__FONT_HEIGHT; r++)
        for (int k = 0; k < TDM__FONT_WIDTH; k++)
            if (rows[r] >> (TDM__FONT_WIDTH - 1 - k) & 1)
                tdm__canvas_fill(image, (tdm__box){x + k * scale, y + r * scale, scale, scale},
                                 color);
}

int tdm__canvas_text(tdm__image *image, int x, int y, int scale, int room, tdm__color color,
                     const char *text)
{
    const int step = TDM__FONT_STEP * scale, begin = x;
    const bool cut = room > 0 && tdm__text_width(text, scale) > room;
    int left = cut ? room / step - 2 : count_letters(text);
    for (; *text && left > 0; text++) {
        if (continues(*text)) continue;
        draw_glyph(image, x, y, scale, color, *text);
        x += step;
        left--;
    }
    for (int i = 0; cut && i < 2; i++, x += step) draw_glyph(image, x, y, scale, color, '.');
    return x > begin ? x - begin - scale : 0;
}

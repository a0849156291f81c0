/* report/words.c: see words.h. */
#include "report/words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "task/task.h"

#define MINUS "\xe2\x88\x92"
#define DASH "\xe2\x80\x93"
#define ELLIPSIS "\xe2\x80\xa6"
#define REPLACEMENT "\xef\xbf\xbd"

/* ---- numbers -----------------------------------------------------------------------------------
 */

/* What printf wrote, with a point whatever the locale and a real minus sign. */
static void tidy(const char *from, char out[TDM__NUMBER_TEXT])
{
    size_t n = 0;
    for (const char *c = from; *c && n + sizeof MINUS < TDM__NUMBER_TEXT; c++) {
        if (*c == '-') {
            memcpy(out + n, MINUS, sizeof MINUS - 1);
            n += sizeof MINUS - 1;
        } else {
            out[n++] = *c == ',' ? '.' : *c;
        }
    }
    out[n] = 0;
}

/* "-0.00" says less than "0.00". */
static bool rounds_to_zero(double value, int decimals)
{
    return fabs(value) < 0.5 * pow(10, -decimals);
}

void tdm__number_fixed(double value, int decimals, char out[TDM__NUMBER_TEXT])
{
    char text[TDM__NUMBER_TEXT];
    if (isnan(value)) {
        strcpy(out, DASH);
        return;
    }
    decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
    if (rounds_to_zero(value, decimals)) value = 0;
    if (fabs(value) < 1e9)
        snprintf(text, sizeof text, "%.*f", decimals, value);
    else
        snprintf(text, sizeof text, "%.3g", value);
    tidy(text, out);
}

void tdm__number_signed(double value, int decimals, char out[TDM__NUMBER_TEXT])
{
    char text[TDM__NUMBER_TEXT];
    const bool plus = value > 0 && !rounds_to_zero(value, decimals);
    tdm__number_fixed(value, decimals, text);
    out[0] = '+';
    memmove(out + plus, text, strnlen(text, TDM__NUMBER_TEXT - 2));
    out[plus + strnlen(text, TDM__NUMBER_TEXT - 2)] = 0;
}

void tdm__number_short(double value, int digits, char out[TDM__NUMBER_TEXT])
{
    char text[TDM__NUMBER_TEXT];
    if (isnan(value)) {
        strcpy(out, DASH);
        return;
    }
    snprintf(text, sizeof text, "%.*g", digits, value);
    tidy(text, out);
}

int tdm__number_decimals(double spread, double size)
{
    const bool known = isfinite(spread) && spread > 0;
    const double of = known ? spread : fabs(size);
    if (!(isfinite(of) && of > 0)) return 3;
    const int decimals = (int)ceil((known ? 1 : 3) - floor(log10(of)));
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

void tdm__p_text(double p, char out[TDM__NUMBER_TEXT])
{
    if (isnan(p))
        strcpy(out, DASH);
    else if (p < 0.001)
        strcpy(out, "< 0.001");
    else
        tdm__number_fixed(p, p < 0.1 ? 3 : 2, out);
}

void tdm__duration_text(double seconds, char out[TDM__NUMBER_TEXT])
{
    char text[TDM__NUMBER_TEXT];
    if (!isfinite(seconds) || seconds < 0) {
        strcpy(out, DASH);
        return;
    }
    const double minutes = floor(seconds / 60 + 1e-9), hours = floor(minutes / 60);
    if (seconds < 1)
        snprintf(text, sizeof text, "%.0f ms", seconds * 1e3);
    else if (seconds < 60)
        snprintf(text, sizeof text, "%.1f s", seconds);
    else if (seconds < 3600)
        snprintf(text, sizeof text, "%.0f min %02.0f s", minutes, floor(seconds - minutes * 60));
    else
        snprintf(text, sizeof text, "%.0f h %02.0f min", hours, minutes - hours * 60);
    tidy(text, out);
}

void tdm__bytes_text(double bytes, char out[TDM__NUMBER_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char text[TDM__NUMBER_TEXT];
    size_t unit = 0;
    if (!isfinite(bytes) || bytes < 0) {
        strcpy(out, DASH);
        return;
    }
    for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
    snprintf(text, sizeof text, "%.*f %s", bytes < 10 && unit ? 1 : 0, bytes, units[unit]);
    tidy(text, out);
}

void tdm__percent_text(double share, char out[TDM__NUMBER_TEXT])
{
    tdm__number_fixed(share * 100, share < 0.1 ? 2 : 1, out);
    if (!isnan(share) && strlen(out) + 3 < TDM__NUMBER_TEXT) strcat(out, " %");
}

/* ---- texts -------------------------------------------------------------------------------------
 */

/* One character of any text: its length, and what stands for it in UTF-8. */
static size_t next_character(const char *at, const char **shown, size_t *length)
{
    const unsigned char *p = (const unsigned char *)at;
    const size_t n = tdm__utf8_length(p);
    *shown = n ? at : REPLACEMENT;
    *length = n ? n : sizeof REPLACEMENT - 1;
    if (n == 1 && (*p < 0x20 || *p == 0x7f)) {
        *shown = " ";
        *length = *p == '\n' || *p == '\t';
    }
    return n ? n : 1;
}

static void add_escaped(tdm__str *out, const char *text, size_t most)
{
    const char *shown;
    size_t length, count = 0;
    for (const char *c = text; *c && count < most; count++) {
        c += next_character(c, &shown, &length);
        const char first = length == 1 ? *shown : 0;
        if (first == '&')
            tdm__str_add(out, "&amp;");
        else if (first == '<')
            tdm__str_add(out, "&lt;");
        else if (first == '>')
            tdm__str_add(out, "&gt;");
        else if (first == '"')
            tdm__str_add(out, "&quot;");
        else if (first == '\'')
            tdm__str_add(out, "&#39;");
        else
            tdm__str_addn(out, shown, length);
    }
}

void tdm__markup_text(tdm__str *out, const char *text)
{
    add_escaped(out, text, SIZE_MAX);
}

size_t tdm__text_length(const char *text)
{
    const char *shown;
    size_t length, count = 0;
    for (const char *c = text; *c; count++) c += next_character(c, &shown, &length);
    return count;
}

void tdm__markup_cut(tdm__str *out, const char *text, size_t most)
{
    const bool fits = tdm__text_length(text) <= most;
    add_escaped(out, text, fits ? most : most > 1 ? most - 1 : 0);
    if (!fits) tdm__str_add(out, ELLIPSIS);
}

void tdm__markdown_text(tdm__str *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\n' || *c == '\r')
            tdm__str_add(out, " ");
        else if (strchr("|\\`*_<>[]", *c))
            tdm__str_addf(out, "\\%c", *c);
        else
            tdm__str_addn(out, c, 1);
    }
}

void tdm__csv_text(tdm__str *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        tdm__str_add(out, text);
        return;
    }
    tdm__str_add(out, "\"");
    for (const char *c = text; *c; c++)
        tdm__str_addn(out, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    tdm__str_add(out, "\"");
}

/* ---- metrics -----------------------------------------------------------------------------------
 */

const char *tdm__metric_unit(const char *metric)
{
    static const char *const share[] = {
        "accuracy", "top5",    "pixel_accuracy", "balanced_accuracy", "majority", "miou",
        "iou",      "f1",      "dice",           "macro_f1",          "delta1",   "delta2",
        "delta3",   "box_iou", "box_iou50",      "wait_share"};
    if (tdm__streq(metric, "psnr")) return "dB";
    if (tdm__streq(metric, "seconds") || tdm__streq(metric, "step_seconds")) return "s";
    if (tdm__streq(metric, "per_task") || tdm__streq(metric, "per_metric")) return "%";
    for (size_t i = 0; i < sizeof share / sizeof *share; i++)
        if (tdm__streq(metric, share[i])) return "share";
    return "";
}

bool tdm__metric_higher_is_better(const char *metric)
{
    const tdm__metric *m = tdm__metric_find(metric);
    return (m && m->higher_is_better) || tdm__streq(metric, "per_task"); /* Delta m: delta.h */
}

bool tdm__metric_is_baseline(const char *metric)
{
    const tdm__metric *m = tdm__metric_find(metric);
    return m && m->baseline;
}

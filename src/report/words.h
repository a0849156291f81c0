/* report/words.h: how a report writes numbers and texts: the one place that decides on digits. */
#ifndef REPORT_WORDS_H
#define REPORT_WORDS_H

#include <stdbool.h>

#include "base/str.h"

enum { TDM__NUMBER_TEXT = 48 };

/* `decimals` behind the point (at most 9), a real minus sign; NaN: a dash; above 1e9: with an
 * exponent. */
void tdm__number_fixed(double value, int decimals, char out[TDM__NUMBER_TEXT]);
/* The same with + or the minus sign before it; what rounds to zero has none. */
void tdm__number_signed(double value, int decimals, char out[TDM__NUMBER_TEXT]);
/* About `digits` significant digits. */
void tdm__number_short(double value, int digits, char out[TDM__NUMBER_TEXT]);
/* Decimals that show two digits of `spread` (a standard deviation, half an interval), and, where
 * there is none, four digits of `size`. */
int tdm__number_decimals(double spread, double size);
/* "0.25", "0.016", "< 0.001" */
void tdm__p_text(double p, char out[TDM__NUMBER_TEXT]);
/* "850 ms", "12.5 s", "4 min 05 s", "2 h 07 min" */
void tdm__duration_text(double seconds, char out[TDM__NUMBER_TEXT]);
/* "148 MiB" */
void tdm__bytes_text(double bytes, char out[TDM__NUMBER_TEXT]);
/* A share as "0.13 %". */
void tdm__percent_text(double share, char out[TDM__NUMBER_TEXT]);

/* Text as HTML and SVG content or attribute: markup characters escaped, bytes that are not UTF-8
 * replaced, control characters left out. */
void tdm__markup_text(tdm__str *out, const char *text);
/* At most `most` characters of a text, the last one an ellipsis where it was cut. */
void tdm__markup_cut(tdm__str *out, const char *text, size_t most);
/* Characters, not bytes. */
size_t tdm__text_length(const char *text);
/* A cell of a Markdown table: | and line ends are escaped. */
void tdm__markdown_text(tdm__str *out, const char *text);
/* A field of a CSV file (RFC 4180): quoted where it must be. */
void tdm__csv_text(tdm__str *out, const char *text);

/* What a metric is measured in: "share", "dB", "px"; "" where it has no unit of its own. */
const char *tdm__metric_unit(const char *metric);
/* False: less is better (errors, losses, and what is not known). */
bool tdm__metric_higher_is_better(const char *metric);
/* True of metrics that say something about the labels, not about the network ("majority"). */
bool tdm__metric_is_baseline(const char *metric);

#endif

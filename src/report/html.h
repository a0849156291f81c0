/* report/html.h: the sections of the page. Each writes nothing where there is nothing to say. */
#ifndef REPORT_HTML_H
#define REPORT_HTML_H

#include "report/chart.h"
#include "report/report.h"
#include "report/words.h"

extern const char tdm__html_css[], tdm__html_script[];

/* ---- parts (html_parts.c) ----------------------------------------------------------------------
 */

void tdm__html_section(tdm__str *out, const char *id, const char *title);
void tdm__html_section_end(tdm__str *out);
/* `<p class="...">text</p>`, escaped. */
void tdm__html_paragraph(tdm__str *out, const char *class, const char *text);
/* A cell; label: what stands before it where a table becomes a list (narrow screens); NULL: a name
 * of a row. */
void tdm__html_cell(tdm__str *out, const char *label, const char *text, bool number);
/* Swatches and labels of the arms for which `shown` is true (NULL: all). */
void tdm__html_legend(const tdm__report *report, const bool *shown, tdm__str *out);
/* "class: accuracy (share; higher is better)" */
void tdm__html_metric_name(const char *metric, tdm__str *out);
/* Bands of more arms than that hide each other: hover texts still have their ends. */
enum { TDM__BANDS_MOST = 5 };
/* One series of all arms over epochs, with bands over seeds. y: its range, or empty. */
tdm_status tdm__report_lines(const tdm__report *report, const tdm__series *like, const char *title,
                             const char *y_label, tdm__range y, tdm__str *out);
/* Decimals for one metric's values, the same for all arms. */
int tdm__report_decimals(const tdm__report *report, size_t metric);
/* Of the differences. */
int tdm__report_difference_decimals(const tdm__report *report, size_t metric);
/* What a metric shows in a sentence or two: the best mean, and the arms by verdict. */
void tdm__report_statement(const tdm__report *report, size_t metric, tdm__str *out);
/* The arm with the best mean; n_arms: none has the metric. */
size_t tdm__report_best(const tdm__report *report, size_t metric);
/* All arms' means and intervals of one metric as rows. */
tdm_status tdm__report_rows(const tdm__report *report, size_t metric, tdm__str *out);

/* ---- curves (html_curves.c) --------------------------------------------------------------------
 */

/* A loss or a metric of training or validation, whose curve says how the learning went. */
bool tdm__report_learning(const tdm__series *series);
/* The same of another split. */
bool tdm__report_same_quantity(const tdm__series *a, const tdm__series *b);
/* It has more than one value over all arms and epochs. */
bool tdm__report_moves(const tdm__report *report, const tdm__series *like);
/* "validation", "training". */
const char *tdm__report_split_title(const char *split);
/* tdm__report_lines with a title made of task, quantity and suffix ("": none). */
tdm_status tdm__report_curve_chart(const tdm__report *report, const tdm__series *like,
                                   const char *suffix, tdm__range y, tdm__str *out);

/* ---- sections ----------------------------------------------------------------------------------
 */

tdm_status tdm__html_head(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_results(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_grids(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_details(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_curves(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_matrices(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_examples(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_costs(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_failed(const tdm__report *report, tdm__str *out);
tdm_status tdm__html_repeat(const tdm__report *report, tdm__str *out);

#endif

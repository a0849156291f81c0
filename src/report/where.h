/* report/where.h: conditions on runs, as `tandem runs --where` takes them.
 *
 *     task.mask.iou > 0.6 and (arm = equal or not optim.lr >= 1e-3)
 *
 * A comparison has a field on its left and a value on its right: a number, a text in single or
 * double quotes, or a bare word. Operators: = (or ==), !=, <, <=, >, >=; `and`, `or`, `not` and
 * parentheses, not binding tightest. A number is compared with a number, else texts are, byte by
 * byte. A comparison with a field that a run does not have is false, != too.
 */
#ifndef REPORT_WHERE_H
#define REPORT_WHERE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "report/record.h"

typedef struct tdm__where tdm__where;

/* TDM_ERR_USAGE with the place of what is wrong. Texts of any bytes and nesting are safe. */
tdm_status tdm__where_parse(const char *text, tdm__where **out);
void tdm__where_destroy(tdm__where **where);
/* The fields that are compared, in their order; they belong to the condition. */
size_t tdm__where_fields(const tdm__where *where);
const char *tdm__where_field(const tdm__where *where, size_t i);
bool tdm__where_holds(const tdm__where *where, const tdm__record *record);

#endif

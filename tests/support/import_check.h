/* support/import_check.h: compares an imported split with what tests/ref/make_import_golden.py
 * computed from the original files. */
#ifndef SUPPORT_IMPORT_CHECK_H
#define SUPPORT_IMPORT_CHECK_H

#include <stdint.h>

#include "../ref/import_golden.h"

/* out/split.h5 holds the array `images` and the arrays named in labels (NULL: no more). */
void import_check_split(const char *out, const import_golden *want, const char *const labels[3]);

#endif

/* support/import_fixture.h: what tests of importers need: a temporary folder, where the original
 * files and the imported data set go, and what was logged meanwhile. */
#ifndef SUPPORT_IMPORT_FIXTURE_H
#define SUPPORT_IMPORT_FIXTURE_H

#include "support/support.h"

/* Set by the fixture; source and out are paths in folder that do not exist yet. */
extern char *folder, *source, *out;
/* Warnings and errors since the setup, a line each. */
extern char log_text[8192];

void import_setup(void);
/* The same with the folder `source` made. */
void import_setup_source(void);
void import_teardown(void);

#endif

#include "support/import_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/status.h>

#include "base/file.h"

char *folder, *source, *out;
char log_text[8192];

static void keep_log(void *user, tdm_log_level level, const char *line)
{
    (void)user, (void)level;
    const size_t at = strlen(log_text);
    snprintf(log_text + at, sizeof log_text - at, "%s\n", line);
}

void import_setup(void)
{
    folder = support_temp_create();
    source = support_path(folder, "source");
    out = support_path(folder, "out");
    log_text[0] = 0;
    tdm_set_log(keep_log, NULL, TDM_LOG_WARN);
}

void import_setup_source(void)
{
    import_setup();
    support_ok(tdm__make_folders(source));
}

void import_teardown(void)
{
    tdm_set_log(NULL, NULL, TDM_LOG_ERROR);
    free(source);
    free(out);
    support_temp_remove(folder);
}

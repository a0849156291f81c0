/* support/make_zip.c */
#include "support/make_zip.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "support/support.h"

struct make_zip {
    zip_t *archive;
};

make_zip *make_zip_begin(const char *path)
{
    int error = 0;
    make_zip *zip = calloc(1, sizeof *zip);
    zip->archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &error);
    ck_assert_msg(zip->archive != NULL, "%s: cannot be created (%d)", path, error);
    return zip;
}

void make_zip_add(make_zip *zip, const char *name, const void *bytes, size_t n)
{
    void *copy = n ? malloc(n) : NULL; /* libzip does not free an empty one */
    if (n) memcpy(copy, bytes, n);
    zip_source_t *source = zip_source_buffer(zip->archive, copy, n, 1);
    ck_assert(zip_file_add(zip->archive, name, source, 0) >= 0);
}

void make_zip_end(make_zip *zip)
{
    ck_assert_int_eq(zip_close(zip->archive), 0);
    free(zip);
}

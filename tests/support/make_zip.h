/* support/make_zip.h: writing small zip archives. */
#ifndef SUPPORT_MAKE_ZIP_H
#define SUPPORT_MAKE_ZIP_H

#include <stddef.h>

typedef struct make_zip make_zip;

make_zip *make_zip_begin(const char *path);
/* Deflated; the bytes are copied. */
void make_zip_add(make_zip *zip, const char *name, const void *bytes, size_t n);
void make_zip_end(make_zip *zip);

#endif

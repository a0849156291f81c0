/* format/zip.h: reading zip archives through libzip. Nothing is ever unpacked to a name that the
 * archive chooses: entries are read into memory. */
#ifndef FORMAT_ZIP_H
#define FORMAT_ZIP_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tdm__zip tdm__zip;

/* TDM_ERR_DATA naming the path: missing, not a zip, truncated (its directory is at the end), or an
 * entry's name that is absolute, climbs out ("..") or holds a backslash. */
tdm_status tdm__zip_open(const char *path, tdm__zip **out);
/* The same from memory, which must outlive the archive; `name` stands for the path. */
tdm_status tdm__zip_open_bytes(const void *bytes, size_t size, const char *name, tdm__zip **out);
void tdm__zip_close(tdm__zip **zip);

uint64_t tdm__zip_count(const tdm__zip *zip);
/* "folder/file" or "folder/"; belongs to the archive. index < count. */
const char *tdm__zip_name(const tdm__zip *zip, uint64_t index);
/* Inflates one entry and checks its checksum. More than `limit` bytes, encrypted, damaged:
 * TDM_ERR_DATA naming archive and entry. free() *out_bytes. */
tdm_status tdm__zip_read(tdm__zip *zip, uint64_t index, size_t limit, void *out_bytes,
                         size_t *out_size);

#endif

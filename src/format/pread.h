/* format/pread.h: reading at a position, shared by the readers that keep a file open. */
#ifndef FORMAT_PREAD_H
#define FORMAT_PREAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Reads exactly n bytes at `at`. TDM_ERR_DATA, starting with `name`, when the file ends before or
 * the read fails. Thread-safe. */
tdm_status tdm__pread_all(int fd, uint64_t at, void *out, size_t n, const char *name);

#endif

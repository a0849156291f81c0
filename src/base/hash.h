/* base/hash.h: XXH3 128-bit, streamed, printed as 32 lower-case hex digits. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

typedef struct tdm__hash tdm__hash;
#define TDM__HASH_HEX 33 /* 32 digits and the terminator */

tdm_status tdm__hash_create(tdm__hash **out);
void tdm__hash_add(tdm__hash *h, const void *bytes, size_t n);
void tdm__hash_add_text(tdm__hash *h, const char *text); /* with its terminator: "ab","c" != "a","bc" */
void tdm__hash_hex(const tdm__hash *h, char hex[TDM__HASH_HEX]);
void tdm__hash_destroy(tdm__hash **h);

void tdm__hash_bytes_hex(const void *bytes, size_t n, char hex[TDM__HASH_HEX]);
uint64_t tdm__hash64(const void *bytes, size_t n);
tdm_status tdm__hash_file_hex(const char *path, char hex[TDM__HASH_HEX]);

#endif

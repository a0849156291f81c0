/* base/mem.h: allocation with checked sizes. Every allocation is zeroed and may fail (NULL).
 * The *_try forms set TDM_ERR_NOMEM with the size in the message. Thread-safe. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* count * size zeroed bytes; NULL when the product overflows or memory is out. count 0 gives a
 * valid pointer. Release with free(). */
void *tdm__calloc(size_t count, size_t size);
/* Same, as a status. *out is NULL on failure. */
tdm_status tdm__calloc_try(size_t count, size_t size, void *out_pointer);
/* Grows an array to hold at least `need` elements (doubling), zeroing what is new.
 * *array and *capacity stay valid on failure. */
tdm_status tdm__grow(void *array_pointer, size_t *capacity, size_t need, size_t size);
/* 64-byte aligned, zeroed; release with free(). */
tdm_status tdm__aligned_try(size_t count, size_t size, void *out_pointer);
char *tdm__strdup(const char *text);

/* Asks for pages of TDM__LARGE_PAGE bytes where `at` .. `at + bytes` holds whole ones, best before
 * they are first touched. Only advice: without effect where the system has none. */
#define TDM__LARGE_PAGE ((uint64_t)2 << 20)
void tdm__advise_large_pages(void *at, uint64_t bytes);

/* Checked 64-bit arithmetic for sizes that come from files and configs: false on overflow. */
bool tdm__mul_u64(uint64_t a, uint64_t b, uint64_t *out);
bool tdm__add_u64(uint64_t a, uint64_t b, uint64_t *out);

/* Tests: the n-th allocation from now on fails, once (0 = off). Process-wide, atomic. */
void tdm__mem_fail_after(uint64_t n);

#endif

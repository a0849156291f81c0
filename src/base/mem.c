/* base/mem.c: zeroed allocation with checked sizes and failure injection. */
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector */

static _Atomic uint64_t fail_left; /* 0: off; 1: the next allocation fails */

void tdm__mem_fail_after(uint64_t n)
{
    atomic_store(&fail_left, n);
}

static bool fail_now(void)
{
    uint64_t left = atomic_load_explicit(&fail_left, memory_order_relaxed);
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_left, &left, left - 1)) return left == 1;
    return false;
}

bool tdm__mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool tdm__add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static tdm_status fail_nomem(size_t count, size_t size)
{
    return tdm__fail(TDM_ERR_NOMEM, "out of memory: %zu x %zu bytes", count, size);
}

void *tdm__calloc(size_t count, size_t size)
{
    uint64_t bytes;
    if (!tdm__mul_u64(count, size, &bytes) || bytes > PTRDIFF_MAX || fail_now()) return NULL;
    return calloc(1, bytes ? bytes : 1);
}

tdm_status tdm__calloc_try(size_t count, size_t size, void *out_pointer)
{
    void *p = tdm__calloc(count, size);
    memcpy(out_pointer, &p, sizeof p);
    return p ? TDM_OK : fail_nomem(count, size);
}

tdm_status tdm__grow(void *array_pointer, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity) return TDM_OK;
    size_t next = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
    if (next < 8) next = 8;
    if (next < need) next = need;
    uint64_t bytes;
    if (!tdm__mul_u64(next, size, &bytes) || bytes > PTRDIFF_MAX || fail_now())
        return fail_nomem(next, size);
    char *array;
    memcpy(&array, array_pointer, sizeof array);
    array = realloc(array, bytes ? bytes : 1);
    if (!array) return fail_nomem(next, size);
    memset(array + *capacity * size, 0, (next - *capacity) * size);
    memcpy(array_pointer, &array, sizeof array);
    *capacity = next;
    return TDM_OK;
}

tdm_status tdm__aligned_try(size_t count, size_t size, void *out_pointer)
{
    void *p = NULL;
    uint64_t bytes;
    if (tdm__mul_u64(count, size, &bytes) && bytes <= PTRDIFF_MAX - ALIGNMENT && !fail_now()) {
        bytes = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
        p = aligned_alloc(ALIGNMENT, bytes);
        if (p) memset(p, 0, bytes);
    }
    memcpy(out_pointer, &p, sizeof p);
    return p ? TDM_OK : fail_nomem(count, size);
}

char *tdm__strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = tdm__calloc(n, 1);
    if (copy) memcpy(copy, text, n);
    return copy;
}

void tdm__advise_large_pages(void *at, uint64_t bytes)
{
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)TDM__LARGE_PAGE;
    const uintptr_t begin = ((uintptr_t)at + page - 1) / page * page;
    const uintptr_t end = ((uintptr_t)at + (uintptr_t)bytes) / page * page;
    if (begin < end) (void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
#else
    (void)at;
    (void)bytes;
#endif
}

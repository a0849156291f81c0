/* format/npy_write.c: writing .npy files, version 1. */
#include "format/npy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

enum { PRELUDE = 10, ALIGN = 64 }; /* magic, version, length of the header; where data may begin */

static tdm_status make_header(tdm__elem elem, int rank, const uint64_t *dims, tdm__str *out)
{
    static const char letters[] = {[TDM__ELEM_UINT] = 'u',
                                   [TDM__ELEM_INT] = 'i',
                                   [TDM__ELEM_FLOAT] = 'f',
                                   [TDM__ELEM_BOOL] = 'b'};
    const union {
        uint16_t word;
        uint8_t bytes[2];
    } order = {.word = 1};
    tdm__str_addf(out, "{'descr': '%c%c%u', 'fortran_order': False, 'shape': (",
                  elem.size == 1   ? '|'
                  : order.bytes[0] ? '<'
                                   : '>',
                  letters[elem.kind], elem.size);
    for (int i = 0; i < rank; i++) tdm__str_addf(out, "%s%" PRIu64, i ? ", " : "", dims[i]);
    if (rank == 1) tdm__str_add(out, ","); /* as Python writes a tuple of one */
    tdm__str_add(out, "), }");
    while ((PRELUDE + out->length + 1) % ALIGN) tdm__str_add(out, " ");
    tdm__str_add(out, "\n");
    return tdm__str_status(out);
}

tdm_status tdm__npy_write(const char *path, tdm__elem elem, int rank, const uint64_t *dims,
                          const void *elements)
{
    tdm_status status = TDM_OK;
    tdm__str header = {0};
    tdm__atomic file = {0};
    uint64_t bytes = elem.size;
    if (rank < 0 || rank > TDM__NPY_RANK || elem.kind == TDM__ELEM_BF16)
        TDM_TRY(tdm__fail(TDM_ERR_STATE, "%s: not an array that .npy can hold", path));
    for (int i = 0; i < rank; i++)
        if (!tdm__mul_u64(bytes, dims[i], &bytes))
            TDM_TRY(tdm__fail(TDM_ERR_STATE, "%s: the array is too large", path));
    TDM_TRY(make_header(elem, rank, dims, &header));
    const uint8_t prelude[PRELUDE] = {0x93,
                                      'N',
                                      'U',
                                      'M',
                                      'P',
                                      'Y',
                                      1,
                                      0,
                                      (uint8_t)(header.length & 0xff),
                                      (uint8_t)(header.length >> 8)};
    TDM_TRY(tdm__atomic_begin(&file, path));
    TDM_TRY(tdm__atomic_write(&file, prelude, sizeof prelude));
    TDM_TRY(tdm__atomic_write(&file, tdm__str_text(&header), header.length));
    TDM_TRY(tdm__atomic_write(&file, elements, (size_t)bytes));
    TDM_TRY(tdm__atomic_commit(&file));
done:
    tdm__atomic_abort(&file);
    tdm__str_free(&header);
    return status;
}

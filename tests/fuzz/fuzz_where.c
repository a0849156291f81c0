/* Fuzzes the parser of --where: any text either fails with a message, or is a condition that can be
 * decided for any run, and `not` of it is its contrary. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "report/where.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static tdm__record record;

static void make_record(void)
{
    if (record.n) return;
    if (tdm__record_add(&record, "arm", "equal") || tdm__record_add_number(&record, "seed", 3) ||
        tdm__record_add_number(&record, "task.mask.iou", 0.5))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    tdm__where *where = NULL, *contrary = NULL;
    tdm__str negated = {0};
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    make_record();
    if (tdm__where_parse(text, &where)) {
        if (where || !tdm_last_error()[0]) abort();
    } else {
        if (!tdm__where_fields(where) || !tdm__where_field(where, 0)) abort();
        tdm__str_addf(&negated, "not (%s)", text);
        /* two levels deeper: may be too deep */
        if (!tdm__where_parse(tdm__str_text(&negated), &contrary) &&
            tdm__where_holds(where, &record) == tdm__where_holds(contrary, &record))
            abort();
    }
    tdm__str_free(&negated);
    tdm__where_destroy(&contrary);
    tdm__where_destroy(&where);
    free(text);
    return 0;
}

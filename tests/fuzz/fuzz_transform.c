/* Fuzzes transforms: lines of texts either fail with a message, or make a list that moves a small
 * sample of every kind within the memory and the shape announced for it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/transform.h"

enum { SIDE = 8, MOST_ROOM = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False: the list does not fit the sample. */
static bool move_array(const tdm_transforms *t, const tdm__draw *d, tdm_array_kind kind,
                       tdm_dtype dtype, uint64_t channels)
{
    const tdm_array_info frame = {
        .name = "frame", .kind = TDM_ARRAY_IMAGE, .rank = 2, .dims = {SIDE, SIDE}};
    tdm_array_info info = {
        .name = "array", .kind = kind, .rank = 3, .dims = {SIDE, SIDE, channels}};
    tdm__mapped mapped;
    size_t room, bytes;
    void *work = NULL, *from = NULL, *to = NULL;
    if (kind == TDM_ARRAY_BOX) info.rank = 1, info.dims[0] = info.elems = 4;
    if (tdm__transform_map(t, &frame, NULL, dtype, &info, &mapped)) return false;
    if (mapped.role == TDM__ROLE_NONE) return t->n == 0;
    if (tdm__transform_room(t, &mapped, &room)) return false;
    if (room > MOST_ROOM) return true;
    bytes = (size_t)info.elems * (dtype == TDM_U8 ? 1 : 4);
    if (tdm__aligned_try(1, room, &work) || tdm__aligned_try(1, bytes, &to) ||
        tdm__aligned_try(SIDE * SIDE * 4, (size_t)channels, &from))
        abort();
    tdm__transform_move(&mapped, &d->geometry, from, to, work);
    if (mapped.role == TDM__ROLE_IMAGE)
        tdm__transform_colours(d->colours, d->n_colours, dtype, (unsigned)channels,
                               (size_t)d->geometry.size[0] * d->geometry.size[1], to, work);
    free(work);
    free(from);
    free(to);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512], *line = text, *next;
    tdm_transforms t = {0};
    tdm__draw d;
    if (size >= sizeof text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    for (; line && t.n < TDM_TRANSFORMS_MAX; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = 0;
        if (!tdm_transform_parse(line, &t.list[t.n]))
            t.n++;
        else if (!tdm_last_error()[0])
            abort();
    }
    tdm_array_info frame = {
        .name = "frame", .kind = TDM_ARRAY_IMAGE, .rank = 3, .dims = {SIDE, SIDE, 3}};
    if (tdm_transforms_shape(&t, &frame, &frame)) return 0; /* a crop too large */
    for (uint64_t row = 0; row < 4; row++) {
        tdm__rng rng = tdm__rng_make(size, row);
        tdm__transform_draw(&t, (uint32_t[]){SIDE, SIDE}, row > 0, &rng, &d);
        if (!move_array(&t, &d, TDM_ARRAY_IMAGE, TDM_U8, 3)) return 0;
        move_array(&t, &d, TDM_ARRAY_IMAGE, TDM_F32, 1);
        move_array(&t, &d, TDM_ARRAY_MASK, TDM_I32, 1);
        move_array(&t, &d, TDM_ARRAY_DEPTH, TDM_F32, 1);
        move_array(&t, &d, TDM_ARRAY_VALUES, TDM_F32, 2);
        move_array(&t, &d, TDM_ARRAY_BOX, TDM_F32, 4);
    }
    return 0;
}

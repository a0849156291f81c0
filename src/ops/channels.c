/* ops/channels.c: see ops/channels.h. */
#include "ops/channels.h"

enum { MOST_BLOCKS = 1024 };

tdm__channels tdm__channels_of(const tdm_desc *desc)
{
    tdm__channels c = {0};
    tdm__rows(desc, &c.rows, &c.channels);
    uint64_t small = c.channels < TDM__SPAN ? TDM__SPAN / c.channels : 1;
    uint64_t large = tdm__ceil_div(c.rows, MOST_BLOCKS);
    c.block_rows = small > large ? small : large;
    c.blocks = tdm__ceil_div(c.rows, c.block_rows);
    return c;
}

uint64_t tdm__channels_bytes(const tdm__channels *c, const tdm__traits *traits)
{
    uint64_t bytes = c->blocks * 2 * c->channels * sizeof(float);
    return tdm__ceil_div(bytes, traits->align) * traits->align;
}

/* batch_norm.cl: LANES channels a work-item, or TX channels a work-group */
static uint64_t channel_groups(const tdm__build *b, const tdm__channels *c)
{
    const tdm__traits *t = tdm__build_traits(b);
    const uint64_t together = tdm__build_is_cpu(b) ? t->vector_width
                              : t->work_group < 16 ? t->work_group
                                                   : 16;
    return tdm__ceil_div(c->channels, together);
}

static void range(tdm__build *b, tdm__kernel *k, uint64_t groups)
{
    tdm__range_1(k, groups, tdm__build_is_cpu(b) ? 1 : tdm__build_traits(b)->work_group);
}

void tdm__channels_range(tdm__build *b, tdm__kernel *k, const tdm__channels *c)
{
    range(b, k, tdm__build_is_cpu(b) ? c->blocks : c->blocks * channel_groups(b, c));
}

void tdm__channels_merge_range(tdm__build *b, tdm__kernel *k, const tdm__channels *c)
{
    range(b, k, channel_groups(b, c));
}

void tdm__emit_channel_sums(tdm__build *b, const tdm__channels *c, int dy, int x, int centre)
{
    tdm__kernel *k = tdm__emit(b, "batch_norm.cl", "channel_sums", "");
    tdm__arg_in(k, dy);
    tdm__arg_in(k, x);
    tdm__arg_in(k, centre);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_load(k);
    tdm__arg_u64(k, c->rows);
    tdm__arg_u64(k, c->block_rows);
    tdm__arg_i32(k, (int64_t)c->channels);
    tdm__arg_i32(k, centre >= 0);
    tdm__channels_range(b, k, c);
    double n = (double)(c->rows * c->channels);
    tdm__cost(k, 4 * n, 8 * n);
}

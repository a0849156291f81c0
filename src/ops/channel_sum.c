/* ops/channel_sum.c: sum over all axes but the last, y (...,K) -> (K): the gradient of a bias. */
#include "ops/channel_sum.h"

/* Rows are cut into at most MAX_CHUNKS chunks of at least MIN_ELEMENTS elements. */
enum { MAX_CHUNKS = 64, MIN_ELEMENTS = 16384 };

typedef struct split {
    uint64_t rows, channels, chunk_rows, chunks;
} split;

static split split_of(const tdm_desc *y)
{
    split s;
    tdm__rows(y, &s.rows, &s.channels);
    s.chunk_rows = tdm__ceil_div(s.rows, MAX_CHUNKS);
    uint64_t least = tdm__ceil_div(MIN_ELEMENTS, s.channels);
    if (s.chunk_rows < least) s.chunk_rows = least;
    s.chunks = tdm__ceil_div(s.rows, s.chunk_rows);
    return s;
}

static tdm_status infer(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__expect(io, 0, "y", TDM_F32, -1));
    if (io->in[0].rank < 1) return tdm__fail(TDM_ERR_SHAPE, "y: must have at least 1 axis");
    out[0] = tdm_desc_1(TDM_F32, io->in[0].dim[io->in[0].rank - 1]);
done:
    return status;
}

static void reference(const tdm__ref *ref)
{
    split s = split_of(&ref->io->in[0]);
    for (uint64_t i = 0; i < s.rows; i++)
        for (uint64_t k = 0; k < s.channels; k++) ref->out[0][k] += ref->in[0][i * s.channels + k];
}

uint64_t tdm__channel_sum_workspace(const tdm_desc *y)
{
    split s = split_of(y);
    return 4 * s.chunks * s.channels;
}

void tdm__channel_sum_emit(tdm__build *b, int input, int output, bool accumulate)
{
    bool cpu = tdm__build_is_cpu(b);
    split s = split_of(&tdm__build_io(b)->in[input]);
    uint64_t elements = s.rows * s.channels;

    tdm__kernel *k = tdm__emit(b, "channel_sum.cl", "channel_sum", "");
    tdm__arg_in(k, input);
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_u64(k, s.rows);
    tdm__arg_i32(k, (int64_t)s.channels);
    tdm__arg_u64(k, s.chunk_rows);
    tdm__range_1(k, s.chunks, cpu ? 1 : tdm__build_traits(b)->work_group);
    tdm__cost(k, (double)elements, 4.0 * (double)elements);

    k = tdm__emit(b, "channel_sum.cl", "channel_sum_reduce", "");
    tdm__arg_workspace(k, 0, sizeof(float));
    tdm__arg_out(k, output);
    tdm__arg_i32(k, (int64_t)s.channels);
    tdm__arg_i32(k, (int64_t)s.chunks);
    tdm__arg_i32(k, accumulate);
    tdm__range_items(
        b, k, cpu ? tdm__ceil_div(s.channels, tdm__build_traits(b)->vector_width) : s.channels);
}

static uint64_t workspace(const tdm__traits *traits, const tdm__io *io)
{
    (void)traits;
    return tdm__channel_sum_workspace(&io->in[0]);
}

static tdm_status prepare(tdm__build *b)
{
    tdm__channel_sum_emit(b, 0, 0, tdm__build_io(b)->accumulate);
    return TDM_OK;
}

static const tdm__variant variants[] = {
    {"tree", TDM__ON_ANY, .workspace = workspace, .prepare = prepare},
};

static const tdm__sample samples[] = {
    {"one", NULL, 1, {TDM__F32(1)}},
    {"column", NULL, 1, {TDM__F32(17, 1)}},
    {"3 channels", NULL, 1, {TDM__F32(31, 3)}},
    {"7 channels", NULL, 1, {TDM__F32(5, 9, 7)}},
    {"8 channels", NULL, 1, {TDM__F32(3, 5, 8)}},
    {"13 channels", NULL, 1, {TDM__F32(2, 3, 5, 13)}},
    {"63 channels", NULL, 1, {TDM__F32(5, 63)}},
    {"64 channels", NULL, 1, {TDM__F32(5, 64)}},
    {"65 channels", NULL, 1, {TDM__F32(5, 65)}},
    {"257 channels", NULL, 1, {TDM__F32(3, 257)}},
    {"chunks", NULL, 1, {TDM__F32(3, 101, 101, 2)}},
    {"chunks of a column", NULL, 1, {TDM__F32(50021, 1)}},
    {"chunks of 32", NULL, 1, {TDM__F32(1601, 32)}},
    {"45 channels, three blocks of rows", NULL, 1, {TDM__F32(131, 45)}},
};

static const tdm__sample bench[] = {
    {"4x144x192x64", NULL, 1, {TDM__F32(4, 144, 192, 64)}},
    {"128x512", NULL, 1, {TDM__F32(128, 512)}},
};
static const tdm__reject rejects[] = {
    {"type", NULL, 1, {TDM__I32(3, 2)}, TDM_ERR_SHAPE, "y: must be f32, got i32[3,2]"},
    {"scalar", NULL, 1, {TDM__SCALAR}, TDM_ERR_SHAPE, "y: must have at least 1 axis"},
};

const tdm_op tdm__op_channel_sum = {
    .name = "channel_sum",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .can_accumulate = true,
    .infer = infer,
    .reference = reference,
    TDM__TABLES(variants, samples, rejects),
    TDM__BENCH(bench),
};

tdm_value tdm__channel_sum(tdm_graph *g, tdm_value y)
{
    return tdm__graph_node(g, &tdm__op_channel_sum, &y, 1, NULL);
}

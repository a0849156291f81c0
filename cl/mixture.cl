// mixture.cl: tensors x_j (N,...) weighed by a number per sample: y[s] = sum_j c[s][first + j] x_j[s],
// and the products <dy[s], x_j[s]>. Up to seven x_j, `terms` of which are there.

#define TERM(i) ARG(const float, x##i)
#define TERM_ARGS TERM(0), TERM(1), TERM(2), TERM(3), TERM(4), TERM(5), TERM(6)
#define TERM_VIEWS                                                                                 \
    VIEW(x0);                                                                                      \
    VIEW(x1);                                                                                      \
    VIEW(x2);                                                                                      \
    VIEW(x3);                                                                                      \
    VIEW(x4);                                                                                      \
    VIEW(x5);                                                                                      \
    VIEW(x6)
#define EACH_TERM(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)

// y (+)= the mixture. A work-item has `span` consecutive elements (CPU style: many, in vectors; GPU
// style: one), of one sample after the other.
LANES_KERNEL void mixture_fwd(ARG(const float, c), TERM_ARGS, ARG(float, y), const ulong n,
                              const int span, const ulong per_sample, const int columns,
                              const int first, const int terms, const int accumulate)
{
    VIEW(c);
    TERM_VIEWS;
    VIEW(y);
    const ulong end = min(n, ((ulong)get_global_id(0) + 1) * (ulong)span);
    ulong at = min(n, (ulong)get_global_id(0) * (ulong)span);
    while (at < end) {
        const ulong sample = at / per_sample, stop = min(end, (sample + 1) * per_sample);
        global const float *of = c + sample * (ulong)columns + first;
#define FACTOR(j) const float c##j = j < terms ? of[j] : 0.0f;
        EACH_TERM(FACTOR)
#define ADD(j)                                                                                     \
    if (j < terms) sum += c##j * load_lanes(x##j + i_, m_);
#define BODY(i, m)                                                                                 \
    do {                                                                                           \
        const ulong i_ = i;                                                                        \
        const int m_ = m;                                                                          \
        floatl sum = 0.0f;                                                                         \
        EACH_TERM(ADD)                                                                             \
        put_lanes(sum, y + i_, m_, accumulate);                                                    \
    } while (0)
        ulong i = at;
        for (; i + LANES <= stop; i += LANES) BODY(i, LANES);
        if (i < stop) BODY(i, (int)(stop - i));
#undef BODY
#undef ADD
#undef FACTOR
        at = stop;
    }
}

// part[team][terms]: a team has one of the `blocks` blocks of a sample's elements.
TEAM_KERNEL void mixture_dot(ARG(const float, dy), TERM_ARGS, ARG(float, part),
                             const ulong per_sample, const int block, const int blocks,
                             const int terms)
{
    VIEW(dy);
    TERM_VIEWS;
    VIEW(part);
    TEAM_LOCAL(scratch);
    const ulong sample = TEAM_ID / (ulong)blocks, start = TEAM_ID % (ulong)blocks * (ulong)block;
    const ulong begin = sample * per_sample + start;
    const int n = (int)min((ulong)block, per_sample - start);
#define SUM(j) floatl s##j = 0.0f;
    EACH_TERM(SUM)
#define ADD(j)                                                                                     \
    if (j < terms) s##j += d * team_load(x##j + begin + i, n - i, 0.0f);
    for (int i = 0; i < n; i += TEAM) {
        const floatl d = team_load(dy + begin + i, n - i, 0.0f);
        EACH_TERM(ADD)
    }
    // Of those that are not there too: a barrier under a condition would be one more path of the
    // kernel for each of them.
#define KEEP(j)                                                                                    \
    {                                                                                              \
        const team_sum sum = {s##j, 0.0f};                                                         \
        const float2 total = team_total(sum, scratch);                                             \
        if (TEAM_FIRST && j < terms) part[TEAM_ID * (ulong)terms + j] = total.x + total.y;         \
    }
    EACH_TERM(KEEP)
#undef SUM
#undef ADD
#undef KEEP
}

// out[s][first + j]: the blocks of sample s and term j, in their order; 0 in the other columns.
kernel void mixture_dot_merge(ARG(const float, part), ARG(float, out), const ulong samples,
                              const int blocks, const int terms, const int first, const int columns)
{
    VIEW(part);
    VIEW(out);
    const ulong at = get_global_id(0), sample = at / (ulong)columns;
    if (sample >= samples) return;
    const int j = (int)(at % (ulong)columns) - first;
    float2 sum = 0.0f;
    if (j >= 0 && j < terms) {
        part += sample * (ulong)blocks * (ulong)terms + (ulong)j;
        for (int b = 0; b < blocks; b++) sum = pair_add(sum, part[(ulong)b * (ulong)terms]);
    }
    out[at] = sum.x + sum.y;
}

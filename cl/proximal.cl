// proximal.cl: the proximal step of an L2,1 norm over rows of parameters. A part w is [outer][rows][inner];
// element (o, r, i) belongs to row r, which may have parts in several parameters. A team has one row.

// norms[r] (+)= |w_r|^2.
TEAM_KERNEL void row_squares(ARG(const float, w), ARG(float, norms), const int outer, const int rows,
                             const int inner, const int add)
{
    VIEW(w);
    VIEW(norms);
    TEAM_LOCAL(scratch);
    team_sum sum = {0.0f, 0.0f};
    for (int o = 0; o < outer; o++) {
        global const float *p = w + ((ulong)o * rows + TEAM_ID) * inner;
        for (int i = 0; i < inner; i += TEAM) {
            const floatl v = team_load(p + i, inner - i, 0.0f);
            team_add(&sum, v * v);
        }
    }
    const float2 total = team_total(sum, scratch);
    if (TEAM_FIRST) norms[TEAM_ID] = (add ? norms[TEAM_ID] : 0.0f) + (total.x + total.y);
}

// w_r = max(0, 1 - threshold / |w_r|) w_r, the length by all parts.
TEAM_KERNEL void row_shrink(ARG(float, w), ARG(const float, norms), const int outer, const int rows,
                            const int inner, const float threshold)
{
    VIEW(w);
    VIEW(norms);
    const float length = sqrt(norms[TEAM_ID]);
    const float factor = length > threshold ? 1.0f - threshold / length : 0.0f;
    for (int o = 0; o < outer; o++) {
        global float *p = w + ((ulong)o * rows + TEAM_ID) * inner;
        for (int i = 0; i < inner; i += TEAM)
            team_store(team_load(p + i, inner - i, 0.0f) * factor, p + i, inner - i);
    }
}

/* The proximal step of the L2,1 norm against a host reference in double, in both kernel styles. */
#include <math.h>
#include <stdlib.h>

#include "base/rng.h"
#include "optim/optim.h"
#include "support/op_styles.h"
#include "support/support.h"

/* Parts with few and many elements of a row on either side, and one that is frozen. */
enum { ROWS = 7, PARTS = 4, FROZEN = 2 };
static const int64_t shapes[PARTS][2] = {{1, 2}, {9, 13}, {3, 40}, {5, 1}}; /* outer, inner */

static float *values[PARTS];
static int64_t count_of(int part)
{
    return shapes[part][0] * ROWS * shapes[part][1];
}

static int64_t row_of(int part, int64_t element)
{
    return element / shapes[part][1] % ROWS;
}

static void lengths(double *out)
{
    for (int r = 0; r < ROWS; r++) out[r] = 0;
    for (int p = 0; p < PARTS; p++)
        for (int64_t e = 0; e < count_of(p); e++)
            out[row_of(p, e)] += (double)values[p][e] * (double)values[p][e];
    for (int r = 0; r < ROWS; r++) out[r] = sqrt(out[r]);
}

static void declare(tdm__flat *flat, tdm__row_part *parts)
{
    for (int p = 0; p < PARTS; p++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", p);
        const tdm__segment s = {
            .name = name, .disk = tdm_desc_1(TDM_F32, count_of(p)), .kind = TDM__SEGMENT_PARAM};
        parts[p] = (tdm__row_part){.outer = shapes[p][0], .inner = shapes[p][1]};
        support_ok(tdm__flat_declare(flat, &s, &parts[p].segment));
    }
    support_ok(tdm__flat_seal(flat, true));
}

/* Rows get longer from the first, which is 0 from the start, to the last. */
static void draw(tdm__flat *flat, const tdm__row_part *parts)
{
    tdm__rng rng = tdm__rng_make(3, tdm__rng_stream("proximal", 0, 0));
    for (int p = 0; p < PARTS; p++) {
        values[p] = malloc((size_t)count_of(p) * sizeof *values[p]);
        for (int64_t e = 0; e < count_of(p); e++)
            values[p][e] = (float)(tdm__rng_normal(&rng) * (double)row_of(p, e));
        support_ok(tdm__flat_set(flat, parts[p].segment, values[p]));
    }
    tdm__flat_segment(flat, parts[FROZEN].segment)->frozen = true;
}

static void check_step(tdm__flat *flat, const tdm__row_part *parts, tdm__proximal *prox)
{
    double length[ROWS];
    float *got = malloc(9 * ROWS * 40 * sizeof *got);
    lengths(length);
    const double threshold = (length[2] + length[3]) / 2;  /* rows 1 and 2 go */
    support_ok(tdm__proximal_step(prox, threshold / 0.5)); /* lambda 0.5 */
    for (int p = 0; p < PARTS; p++) {
        support_ok(tdm__flat_get(flat, parts[p].segment, got));
        for (int64_t e = 0; e < count_of(p); e++) {
            const int64_t r = row_of(p, e);
            const double factor = p == FROZEN             ? 1
                                  : length[r] > threshold ? 1 - threshold / length[r]
                                                          : 0,
                         want = factor * (double)values[p][e];
            ck_assert_msg(fabs(got[e] - want) <= 2e-6 * fabs((double)values[p][e]),
                          "part %d, element %d: %g, not %g", p, (int)e, (double)got[e], want);
            values[p][e] = got[e];
        }
    }
    free(got);
}

static void run_style(tdm_kernel_style style)
{
    const tdm_device_spec spec = {.style = style};
    tdm_device *device;
    tdm__flat *flat;
    tdm__proximal *prox;
    tdm__row_part parts[PARTS];
    int64_t kept;
    support_ok(tdm_device_open(&spec, &device));
    support_ok(tdm__flat_create(device, &flat));
    declare(flat, parts);
    support_ok(tdm__proximal_create(device, flat, parts, PARTS, ROWS, 0.5, &prox));
    draw(flat, parts);
    ck_assert_int_eq(tdm__proximal_rows(prox), ROWS);
    support_ok(tdm__proximal_kept(prox, &kept));
    ck_assert_int_eq(kept, ROWS - 1);
    check_step(flat, parts, prox);
    support_ok(tdm__proximal_kept(prox, &kept));
    ck_assert_int_eq(kept, ROWS - 1); /* the frozen part still reads them */
    tdm__flat_segment(flat, parts[FROZEN].segment)->frozen = false;
    support_ok(tdm__proximal_step(prox, 1e9));
    support_ok(tdm__proximal_kept(prox, &kept));
    ck_assert_int_eq(kept, 0);
    support_ok(tdm__proximal_step(NULL, 1));
    ck_assert_int_eq(tdm__proximal_rows(NULL), 0);
    for (int p = 0; p < PARTS; p++) free(values[p]);
    tdm__proximal_destroy(&prox);
    tdm__flat_destroy(&flat);
    ck_assert_uint_eq(tdm__device_bytes(device), 0);
    tdm_device_destroy(&device);
}

int main(void)
{
    return op_styles_run("proximal", run_style);
}

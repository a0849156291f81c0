/* ops/roots.c: sums of square roots, the norms by which soft sharing draws weights together.
 *
 *     root_sum    sum_i sqrt(x_i + shift): with the squared lengths of rows, their L2,1 norm,
 * smoothed trace_root  sum_k sqrt(l_k + shift), l the eigenvalues of the symmetric part of a
 * matrix: with the products of T vectors (T x T) the trace norm of the matrix that these make.
 *                 Found by Jacobi rotations, on the device: T is a number of tasks
 *
 * Both also give what their gradients are made of: 1 / sqrt(x_i + shift), and (x + shift)^(-1/2) of
 * the matrix. Below what float can tell from zero (of a matrix: T 2^-23 of the largest eigenvalue)
 * there is neither root nor gradient: a subgradient there.
 */
#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include <tandem/ops.h>

#include "base/mem.h"
#include "ops/common.h"

typedef struct root_attrs {
    float shift;
} root_attrs;

static const tdm__attr attrs[] = {{"shift", 'f', offsetof(root_attrs, shift), 1}};

static float shift_of(const tdm__io *io)
{
    return ((const root_attrs *)io->attrs)->shift;
}

/* dx = 1/2 dy root: as a combination of one tensor by one weight. */
static tdm_status gradient(tdm_graph *g, const tdm__node_view *node, const tdm_value *dout,
                           const bool *need, tdm_value *din)
{
    static const int64_t one[2] = {1, 1};
    tdm_value dx;
    if (!need[0]) return TDM_OK;
    const tdm_status status = tdm_mix(g, &node->out[1], 1, tdm_reshape(g, dout[0], 2, one), &dx, 1);
    if (!status) din[0] = tdm_scale(g, dx, 0.5f);
    return status;
}

static tdm_status prepare(tdm__build *b, const char *kernel, int64_t n, uint64_t items)
{
    const tdm__io *io = tdm__build_io(b);
    tdm__kernel *k = tdm__emit(b, "roots.cl", kernel, "");
    tdm__arg_in(k, 0);
    tdm__arg_out(k, 0);
    tdm__arg_out(k, 1);
    tdm__arg_i32(k, n);
    tdm__arg_f32(k, (double)shift_of(io));
    tdm__range_1(k, 1, items);
    return TDM_OK;
}

/* ---- of elements -------------------------------------------------------------------------------
 */

static tdm_status infer_sum(const tdm__io *io, tdm_desc *out)
{
    const tdm_status status = tdm__expect(io, 0, "x", TDM_F32, -1);
    out[0] = tdm_desc_scalar();
    out[1] = io->in[0];
    return status;
}

static void reference_sum(const tdm__ref *ref)
{
    const int64_t n = tdm_desc_count(&ref->io->in[0]);
    for (int64_t i = 0; i < n; i++) {
        const double x = ref->in[0][i] + (double)shift_of(ref->io);
        ref->out[0][0] += x > 0 ? sqrt(x) : 0;
        ref->out[1][i] = x > 0 ? 1 / sqrt(x) : 0;
    }
}

static tdm_status prepare_sum(tdm__build *b)
{
    return prepare(b, "root_sum", tdm_desc_count(&tdm__build_io(b)->in[0]), 1);
}

static const tdm__variant sum_variants[] = {{"serial", TDM__ON_ANY, .prepare = prepare_sum}};

static const root_attrs small = {1e-6f}, large = {9};
static const tdm__sample sum_samples[] = {
    {"one", &small, 1, {TDM__F32(1)}, {TDM__FILL_POSITIVE}},
    {"17", &small, 1, {TDM__F32(1, 1, 17)}, {TDM__FILL_POSITIVE}},
    {"zeros", &large, 1, {TDM__F32(5)}, {TDM__FILL_ZERO}},
    {"many", &small, 1, {TDM__F32(521)}, {TDM__FILL_POSITIVE}},
};
static const tdm__reject sum_rejects[] = {
    {"type", &small, 1, {TDM__I32(3)}, TDM_ERR_SHAPE, "x: must be f32, got i32[3]"},
};

const tdm_op tdm__op_root_sum = {
    .name = "root_sum",
    .attr_size = sizeof(root_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 2,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = infer_sum,
    .gradient = gradient,
    .reference = reference_sum,
    TDM__TABLES(sum_variants, sum_samples, sum_rejects),
};

tdm_value tdm_root_sum(tdm_graph *g, tdm_value x, float shift)
{
    return tdm__op_append(g, &tdm__op_root_sum, &x, 1, &(root_attrs){shift});
}

/* ---- of a matrix -------------------------------------------------------------------------------
 */

enum { MOST = TDM_TRACE_ROOT_ROWS, SWEEPS = 16 }; /* as in roots.cl */

static tdm_status infer_trace(const tdm__io *io, tdm_desc *out)
{
    tdm_status status = TDM_OK;
    char text[64];
    TDM_TRY(tdm__expect(io, 0, "x", TDM_F32, 2));
    if (io->in[0].dim[0] != io->in[0].dim[1] || io->in[0].dim[0] > MOST)
        return tdm__fail(TDM_ERR_SHAPE, "x: must be square, with at most %d rows, got %s", MOST,
                         tdm_desc_text(&io->in[0], text, sizeof text));
    out[0] = tdm_desc_scalar();
    out[1] = io->in[0];
done:
    return status;
}

/* One rotation that makes a[p][q] zero (Golub and Van Loan, section 8.5): a <- J^T a J, v <- v J.
 */
static void rotate(int n, double *a, double *v, int p, int q)
{
    const double off = a[p * n + q];
    if (off == 0) return;
    const double tau = (a[q * n + q] - a[p * n + p]) / (2 * off);
    const double t = (tau >= 0 ? 1 : -1) / (fabs(tau) + sqrt(1 + tau * tau));
    const double c = 1 / sqrt(1 + t * t), s = t * c;
    for (int k = 0; k < n; k++) {
        const double kp = a[k * n + p], kq = a[k * n + q];
        a[k * n + p] = c * kp - s * kq;
        a[k * n + q] = s * kp + c * kq;
    }
    for (int k = 0; k < n; k++) {
        const double pk = a[p * n + k], qk = a[q * n + k], vp = v[k * n + p], vq = v[k * n + q];
        a[p * n + k] = c * pk - s * qk;
        a[q * n + k] = s * pk + c * qk;
        v[k * n + p] = c * vp - s * vq;
        v[k * n + q] = s * vp + c * vq;
    }
}

static void reference_trace(const tdm__ref *ref)
{
    const int n = (int)ref->io->in[0].dim[0];
    const double shift = (double)shift_of(ref->io), *x = ref->in[0];
    double a[MOST * MOST], v[MOST * MOST] = {0}, most = 0;
    for (int i = 0; i < n; i++) v[i * n + i] = 1;
    for (int i = 0; i < n * n; i++) a[i] = (x[i] + x[i % n * n + i / n]) / 2;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) rotate(n, a, v, p, q);
    for (int k = 0; k < n; k++) most = fmax(most, a[k * n + k] + shift);
    for (int k = 0; k < n; k++) {
        const double l = a[k * n + k] + shift;
        if (l <= n * (double)FLT_EPSILON * most) continue;
        ref->out[0][0] += sqrt(l);
        for (int i = 0; i < n * n; i++)
            ref->out[1][i] += v[i / n * n + k] * v[i % n * n + k] / sqrt(l);
    }
}

static tdm_status prepare_trace(tdm__build *b)
{
    return prepare(b, "trace_root", tdm__build_io(b)->in[0].dim[0], 1);
}

static const tdm__variant trace_variants[] = {{"jacobi", TDM__ON_ANY, .prepare = prepare_trace}};

static const root_attrs wide = {40};
static const tdm__sample trace_samples[] = {
    {"1x1", &large, 1, {TDM__F32(1, 1)}},
    {"2x2", &large, 1, {TDM__F32(2, 2)}},
    {"3x3", &large, 1, {TDM__F32(3, 3)}},
    {"7x7", &wide, 1, {TDM__F32(7, 7)}},
    {"equal values", &large, 1, {TDM__F32(4, 4)}, {TDM__FILL_ZERO}},
    {"20x20", &wide, 1, {TDM__F32(20, 20)}},
};
static const tdm__reject trace_rejects[] = {
    {"not square",
     &large,
     1,
     {TDM__F32(2, 3)},
     TDM_ERR_SHAPE,
     "x: must be square, with at most 32 rows, got f32[2,3]"},
    {"large",
     &large,
     1,
     {TDM__F32(33, 33)},
     TDM_ERR_SHAPE,
     "x: must be square, with at most 32 rows, got f32[33,33]"},
};

const tdm_op tdm__op_trace_root = {
    .name = "trace_root",
    .attr_size = sizeof(root_attrs),
    TDM__ATTRS(attrs),
    .min_in = 1,
    .max_in = 1,
    .n_out = 2,
    .differentiable = 1,
    .out_gradient = 1,
    .infer = infer_trace,
    .gradient = gradient,
    .reference = reference_trace,
    TDM__TABLES(trace_variants, trace_samples, trace_rejects),
};

tdm_value tdm_trace_root(tdm_graph *g, tdm_value x, float shift)
{
    return tdm__op_append(g, &tdm__op_trace_root, &x, 1, &(root_attrs){shift});
}

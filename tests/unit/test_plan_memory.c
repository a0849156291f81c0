/* Plans on a real device: where tensors lie, arenas that plans share; and random graphs, which the
 * device must compute as the host does, that shares nothing between values. */
#include <math.h>
#include <stdlib.h>
#include <tandem/ops.h>

#include "base/mem.h"
#include "base/rng.h"
#include "support/op_case.h"
#include "support/plan_fixture.h"

/* memory --------------------------------------------------------------------------------------- */

START_TEST(regions_never_overlap)
{
    enum { N = 120 };
    tdm__rng rng = tdm__rng_make(3, 14);
    for (int round = 0; round < 60; round++) {
        tdm__region r[N];
        uint64_t *extent = NULL, capacity[2] = {3000, 500}, lived[400] = {0}, total = 0;
        size_t chunks = 0;
        for (int i = 0; i < N; i++) {
            int begin = (int)tdm__rng_below(&rng, 300);
            r[i] = (tdm__region){.bytes = 1 + tdm__rng_below(&rng, 2000),
                                 .first = begin,
                                 .last = begin + (int)tdm__rng_below(&rng, 40)};
            for (int t = r[i].first; t <= r[i].last; t++) lived[t] += r[i].bytes;
            total += r[i].bytes;
        }
        support_ok(tdm__regions_place(r, N, 128, capacity, 2, 40000, &extent, &chunks));
        uint64_t placed = 0, peak = 0;
        for (int t = 0; t < 400; t++)
            if (lived[t] > peak) peak = lived[t];
        for (size_t c = 0; c < chunks; c++) {
            ck_assert_uint_le(extent[c], c < 2 ? capacity[c] : 40000);
            placed += extent[c];
        }
        ck_assert_uint_le(placed, total);
        ck_assert_uint_le(placed, peak * 3 / 2 + 3500); /* near the least possible */
        for (int i = 0; i < N; i++) {
            ck_assert_uint_eq(r[i].offset % 128, 0);
            ck_assert_uint_le(r[i].offset + r[i].bytes, extent[r[i].chunk]);
            for (int k = 0; k < i; k++) {
                bool together = r[i].first <= r[k].last && r[k].first <= r[i].last;
                bool apart = r[i].chunk != r[k].chunk || r[i].offset + r[i].bytes <= r[k].offset ||
                             r[k].offset + r[k].bytes <= r[i].offset;
                ck_assert_msg(!together || apart, "regions %d and %d overlap", i, k);
            }
        }
        free(extent);
    }
}
END_TEST

START_TEST(regions_too_large)
{
    tdm__region r = {.bytes = 5000};
    uint64_t *extent = NULL;
    size_t chunks = 0;
    support_fails(tdm__regions_place(&r, 1, 128, NULL, 0, 4096, &extent, &chunks), TDM_ERR_NOMEM,
                  "a tensor of 5000 bytes: the device allocates at most 4096 at once");
    free(extent);
}
END_TEST

/* A long chain needs the memory of two tensors, not of all. */
START_TEST(memory_is_reused)
{
    tdm_value x = tdm_graph_input(g, "x", tdm_desc_1(TDM_F32, 1024)), y = x;
    for (int i = 0; i < 20; i++) {
        tdm_value z = tdm_scale(g, y, 0.5f);
        y = tdm_multiply(g, z, tdm_slice(g, tdm_concat(g, (tdm_value[]){z, z}, 2, 0), 0, 0, 1024));
    }
    tdm_graph_keep(g, y);
    make(NULL);
    ck_assert_uint_gt(stats().naive_bytes, 3 * 20 * 4096);
    ck_assert_uint_le(stats().arena_bytes, 5 * 4096);
}
END_TEST

START_TEST(plans_share_an_arena)
{
    tdm__arena *arena = NULL;
    tdm_graph *other = NULL;
    tdm__plan *small = NULL;
    support_ok(tdm__arena_create(cl.device, &arena));
    tdm_value x = variable(0, 8, 3), y = tdm_scale(g, tdm_tanh(g, x), 2);
    tdm_graph_keep(g, y);
    support_ok(tdm__plan_create(g, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &small));
    uint64_t with_one = tdm__device_bytes(cl.device);

    support_ok(tdm_graph_create(&other)); /* four times as large */
    tdm_value in = tdm_graph_input(other, "x", tdm_desc_1(TDM_F32, 1024));
    tdm_value out = tdm_concat(other, (tdm_value[]){tdm_scale(other, in, 2), in}, 2, 0);
    tdm_graph_keep(other, out);
    support_ok(
        tdm__plan_create(other, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &plan));
    ck_assert_uint_gt(tdm__device_bytes(cl.device), with_one);
    for (int i = 0; i < 2; i++) {
        float values[1024] = {(float)i + 7};
        write_slot(5, values, 1024);
        support_ok(tdm__plan_bind(plan, in, slot(5)));
        support_ok(tdm__plan_run(small));
        ck_assert_float_eq_tol(first_at(tdm__plan_view(small, y)), 2 * tanhf(3), 1e-6f);
        support_ok(tdm__plan_run(plan));
        ck_assert_float_eq(first(out), 2 * ((float)i + 7));
    }
    uint64_t with_both = tdm__device_bytes(cl.device);
    tdm__plan *third = NULL; /* fits what is there */
    support_ok(tdm__plan_create(g, &(tdm__plan_spec){.device = cl.device, .arena = arena}, &third));
    tdm__plan_destroy(&small);
    ck_assert_uint_le(tdm__device_bytes(cl.device), with_both);
    tdm__plan_destroy(&third);
    tdm__plan_destroy(&plan);
    tdm_graph_destroy(&other);
    tdm__arena_destroy(&arena);
}
END_TEST

/* A chain of sums over n floats: two live at a time, and what is kept. */
static tdm_graph *chain(int64_t n, int length)
{
    tdm_graph *graph = NULL;
    support_ok(tdm_graph_create(&graph));
    tdm_value x = tdm_graph_input(graph, "x", tdm_desc_1(TDM_F32, n));
    for (int i = 0; i < length; i++) {
        x = tdm_concat(graph, (tdm_value[]){x, x}, 2, 0);
        x = tdm_slice(graph, x, 0, 0, n);
    }
    tdm_graph_keep(graph, x);
    return graph;
}

static uint64_t arena_bytes(const tdm__arena *arena)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < arena->n; i++) bytes += arena->chunks[i]->bytes;
    return bytes;
}

/* Plans that are announced take what the largest of them takes, in whatever order they are made. */
START_TEST(announced_plans_take_the_largest)
{
    enum { GRAPHS = 4 };
    static const int64_t sizes[GRAPHS] = {100, 5000, 300, 9000};
    tdm_graph *graphs[GRAPHS];
    tdm__plan *plans[GRAPHS];
    uint64_t most = 0, sum[2];
    for (int i = 0; i < GRAPHS; i++) graphs[i] = chain(sizes[i], 3);
    for (int announced = 0; announced < 2; announced++) {
        tdm__arena *arena = NULL;
        support_ok(tdm__arena_create(cl.device, &arena));
        const tdm__plan_spec spec = {.device = cl.device, .arena = arena};
        for (int i = 0; announced && i < GRAPHS; i++)
            support_ok(tdm__plan_reserve(graphs[i], &spec));
        ck_assert_uint_eq(arena->n, 0); /* nothing is there yet */
        for (int i = 0; i < GRAPHS; i++) {
            tdm__plan_stats s;
            support_ok(tdm__plan_create(graphs[i], &spec, &plans[i]));
            tdm__plan_get_stats(plans[i], &s);
            if (s.arena_bytes > most) most = s.arena_bytes;
        }
        sum[announced] = arena_bytes(arena);
        for (int i = 0; i < GRAPHS; i++) tdm__plan_destroy(&plans[i]);
        tdm__arena_destroy(&arena);
    }
    ck_assert_uint_eq(sum[1], most);
    ck_assert_uint_gt(sum[0], most);
    for (int i = 0; i < GRAPHS; i++) tdm_graph_destroy(&graphs[i]);
}
END_TEST

/* random graphs -------------------------------------------------------------------------------- */

enum { POOL = 40 };

static tdm_value pick(tdm__rng *rng, const tdm_value *pool, int n)
{
    return pool[tdm__rng_below(rng, (uint64_t)n)];
}

/* Another value of v's shape, or v. */
static tdm_value like(op_case *c, tdm__rng *rng, const tdm_value *pool, int n, tdm_value v)
{
    for (int tries = 0; tries < 8; tries++) {
        tdm_value w = pick(rng, pool, n);
        if (tdm_desc_equal(tdm_graph_desc(c->graph, v), tdm_graph_desc(c->graph, w))) return w;
    }
    return v;
}

static tdm_value datum(op_case *c, tdm__rng *rng, tdm_desc desc, bool input)
{
    size_t n = (size_t)tdm_desc_count(&desc);
    double *host = tdm__calloc(n, sizeof *host);
    ck_assert_ptr_nonnull(host);
    for (size_t i = 0; i < n; i++) host[i] = (double)(float)tdm__rng_normal(rng);
    return op_case_data(c, input ? "input" : "variable", desc, input, host);
}

/* channels: scale and shift; pool: values of shape (n,8). */
static tdm_value random_node(op_case *c, tdm__rng *rng, const tdm_value *channels,
                             const tdm_value *pool, int n)
{
    tdm_graph *graph = c->graph;
    tdm_value v = pick(rng, pool, n);
    tdm_desc d = *tdm_graph_desc(graph, v);
    switch (tdm__rng_below(rng, 11)) {
    case 0:
        return tdm_add(graph, v, like(c, rng, pool, n, v));
    case 1:
        return tdm_multiply(graph, tdm_tanh(graph, v), like(c, rng, pool, n, v));
    case 2:
        return tdm_scale(graph, v, 0.75f);
    case 3:
        return tdm_leaky_relu(graph, v, 0.25f);
    case 4:
        return tdm_sigmoid(graph, v);
    case 5:
    case 6:
        return probe(graph, v, TDM_NO_VALUE, -0.5f);
    case 7:
        return probe_affine(graph, probe(graph, v, TDM_NO_VALUE, 0.9f), channels[0], channels[1]);
    case 8:
        return tdm_slice(graph, v, 0, 0, d.dim[0] > 1 ? d.dim[0] / 2 : 1);
    case 9:
        if (d.dim[0] > 64) return tdm_tanh(graph, v);
        return tdm_concat(graph, (tdm_value[]){v, pick(rng, pool, n)}, 2, 0);
    default:
        return tdm_scale(
            graph, tdm_reshape(graph, tdm_reshape(graph, v, 1, (int64_t[]){-1}), 2, d.dim), 1.5f);
    }
}

/* pool[0], pool[1] are (8): scale and shift; all others (n,8). */
static int random_graph(op_case *c, tdm__rng *rng, tdm_value *pool)
{
    int n = 0;
    pool[n++] = datum(c, rng, tdm_desc_1(TDM_F32, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_1(TDM_F32, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 16, 8), false);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 16, 8), true);
    pool[n++] = datum(c, rng, tdm_desc_2(TDM_F32, 5, 8), true);
    int data = n, total = data + 5 + (int)tdm__rng_below(rng, POOL - 12);
    while (n < total) {
        pool[n] = random_node(c, rng, pool, pool + 2, n - 2);
        n++;
    }
    return n;
}

static tdm_value random_loss(op_case *c, tdm__rng *rng, const tdm_value *pool, int n)
{
    tdm_value loss = TDM_NO_VALUE;
    for (int i = 0; i < 3; i++) {
        tdm_value v = pool[n - 1 - (int)tdm__rng_below(rng, 4)];
        tdm_value target = tdm_graph_constant(c->graph, *tdm_graph_desc(c->graph, v), 0.5f);
        tdm_value one = tdm_l2_loss(c->graph, v, target, TDM_NO_VALUE);
        loss = i ? tdm_add(c->graph, loss, one) : one;
    }
    return loss;
}

static void compare_case(op_case *c, const tdm_value *values, int n, int round, int mode)
{
    for (int i = 0; i < n; i++) {
        double *got = NULL;
        int64_t at;
        if (values[i] < 0) continue;
        support_ok(op_case_read(c, values[i], &got));
        double error =
            op_case_error(tdm_graph_desc(c->graph, values[i]), got, c->values[values[i]], &at);
        ck_assert_msg(error < 1e-4, "graph %d, mode %d, %s: error %g at %lld", round, mode,
                      tdm_graph_name(c->graph, values[i]), error, (long long)at);
        free(got);
    }
}

/* Plans with ever less memory until it cannot be done; what could be gives the same values. Returns
 * how many values were made again in all. */
static int squeeze(op_case *c, uint64_t most, const tdm_value *values, int n, int round)
{
    tdm__plan_stats s;
    int recomputed = 0;
    const uint64_t before = tdm__device_bytes(cl.device);
    for (uint64_t arena = most * 7 / 8; arena > 128; arena = arena * 7 / 8) {
        tdm__device_set_memory_limit(cl.device, before + TDM__SPARE_BYTES + 4096 + arena);
        const tdm_status status = op_case_plan(c, &(tdm__plan_spec){0});
        tdm__device_set_memory_limit(cl.device, UINT64_MAX);
        if (status) {
            ck_assert_int_eq(status, TDM_ERR_NOMEM);
            return recomputed;
        }
        tdm__plan_get_stats(c->plan, &s);
        ck_assert_uint_le(tdm__device_bytes(cl.device), before + TDM__SPARE_BYTES + 4096 + arena);
        recomputed += s.recomputed;
        support_ok(op_case_run(c));
        compare_case(c, values, n, round, 5);
        tdm__plan_destroy(&c->plan);
    }
    return recomputed;
}

/* Random graphs with gradients: with every combination of planning modes the device agrees with the
 * host, which shares nothing between values. */
START_TEST(random_graphs)
{
    tdm__buffer stored = {0};
    support_ok(tdm__buffer_create(cl.device, 1 << 16, true, "stored", &stored));
    const tdm__plan_spec modes[] = {{0}, {.no_fuse = true}, {.guard = true}, {.no_prune = true}};
    tdm__plan_stats sum = {0};
    int recomputed = 0;
    for (int round = 0; round < 60; round++) {
        op_case c;
        tdm__rng rng = tdm__rng_make(99, (uint64_t)round);
        tdm_value pool[POOL + 2], want[12], wrt[6], grads[6];
        int n_want = 0;
        support_ok(op_case_open(&c, cl.device, (tdm__view){0}));
        int n = random_graph(&c, &rng, pool);
        tdm_value loss = random_loss(&c, &rng, pool, n);
        for (int i = 0; i < 5; i++) wrt[i] = pool[i];
        wrt[5] = pool[6]; /* an inner value */
        support_ok(tdm_graph_gradients(c.graph, loss, TDM_NO_VALUE, wrt, 6, grads));
        for (int i = 0; i < 6; i++) {
            if (grads[i] < 0) continue;
            want[n_want++] = grads[i];
            if (tdm__rng_below(&rng, 2))
                tdm__graph_store(c.graph, grads[i], (tdm__view){&stored, (uint64_t)i * 8192});
            else
                tdm_graph_keep(c.graph, grads[i]);
        }
        want[n_want++] = loss;
        want[n_want++] = pool[5 + (int)tdm__rng_below(&rng, (uint64_t)(n - 5))];
        for (int i = n_want - 2; i < n_want; i++) tdm_graph_keep(c.graph, want[i]);
        support_ok(tdm_graph_status(c.graph));
        support_ok(op_case_interpret(&c, TDM_NO_VALUE, NULL));
        for (int mode = 0; mode < 4; mode++) {
            support_ok(op_case_plan(&c, &modes[mode]));
            tdm__plan_stats s;
            tdm__plan_get_stats(c.plan, &s);
            ck_assert_uint_le(s.arena_bytes, s.naive_bytes + 128 * (uint64_t)s.nodes);
            sum.fused += s.fused;
            sum.accumulated += s.accumulated;
            sum.inplace += s.inplace;
            for (int again = 0; again < 2; again++) {
                support_ok(op_case_run(&c));
                compare_case(&c, want, n_want, round, mode);
            }
        }
        support_ok(op_case_plan(&c, &modes[0]));
        tdm__plan_stats s;
        tdm__plan_get_stats(c.plan, &s);
        tdm__plan_destroy(&c.plan);
        if (round % 4 == 0) recomputed += squeeze(&c, s.arena_bytes, want, n_want, round);
        op_case_close(&c);
    }
    tdm__buffer_destroy(cl.device, &stored);
    ck_assert_int_gt(sum.fused, 200); /* the graphs do exercise the planner */
    ck_assert_int_gt(sum.accumulated, 100);
    ck_assert_int_gt(sum.inplace, 500);
    ck_assert_int_gt(recomputed, 50);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("plan memory");
    TCase *c = tcase_create("plan memory");
    tcase_set_timeout(c, 600);
    tcase_add_unchecked_fixture(c, open_device, close_device);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, regions_never_overlap);
    tcase_add_test(c, regions_too_large);
    tcase_add_test(c, memory_is_reused);
    tcase_add_test(c, plans_share_an_arena);
    tcase_add_test(c, announced_plans_take_the_largest);
    tcase_add_test(c, random_graphs);
    suite_add_tcase(suite, c);
    return support_run(suite);
}

/* The samples of the table of operations against PyTorch, in both kernel styles: the algorithm that
 * is chosen by default, on the inputs of op_sample_draw. The goldens are PyTorch's in float64
 * (tests/ref/make_sample_golden.py): norms and random projections of every output. Every sample
 * must have its lines, or one that says why it is left out, and every line its sample. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "format/json.h"
#include "ops/registry.h"
#include "support/op_case.h"
#include "support/op_check.h"
#include "support/op_sample.h"
#include "support/op_styles.h"
#include "support/support.h"

enum { PROJECTIONS = 64 };
static const char remedy[] = "run tests/ref/make_sample_golden.py";

typedef struct comparison {
    op_check check;  /* the device */
    json_t *goldens; /* by name; those that were used are removed */
    int compared, failures;
} comparison;

/* ---- the file ------------------------------------------------------------------------------- */

/* "op", "op/sample" or "op/sample/output": what a line is about. */
typedef struct line_name {
    char text[160];
} line_name;

static line_name name_of(const char *op, const char *sample, int output)
{
    line_name name;
    int n = snprintf(name.text, sizeof name.text, "%s%s%s", op, sample ? "/" : "",
                     sample ? sample : "");
    if (output >= 0) n += snprintf(name.text + n, sizeof name.text - (size_t)n, "/%d", output);
    ck_assert_int_lt(n, (int)sizeof name.text);
    return name;
}

static void add_line(json_t *goldens, const char *text, size_t size)
{
    json_t *line;
    support_ok(tdm__json_parse(text, size, "sample_golden.jsonl", &line));
    const json_t *output = json_object_get(line, "output");
    const line_name name = name_of(json_string_value(json_object_get(line, "op")),
                                   json_string_value(json_object_get(line, "sample")),
                                   output ? (int)json_integer_value(output) : -1);
    ck_assert_msg(!json_object_get(goldens, name.text), "%s: two lines; %s", name.text, remedy);
    ck_assert_int_eq(json_object_set_new(goldens, name.text, line), 0);
}

static json_t *load_goldens(void)
{
    size_t size;
    char *path = support_path(getenv("TANDEM_SOURCE_DIR"), "tests/ref/sample_golden.jsonl");
    char *text = support_read(path, &size);
    json_t *goldens = json_object();
    for (const char *p = text, *end; (end = strchr(p, '\n')); p = end + 1)
        add_line(goldens, p, (size_t)(end - p));
    free(text);
    free(path);
    return goldens;
}

/* The line about this; the caller owns the reference. NULL: none. */
static json_t *take(comparison *c, const char *name)
{
    json_t *line = json_incref(json_object_get(c->goldens, name));
    json_object_del(c->goldens, name);
    return line;
}

static bool is_left_out(comparison *c, const char *op, const char *sample)
{
    json_t *line = take(c, name_of(op, sample, -1).text);
    const bool found = line != NULL;
    json_decref(line);
    return found;
}

/* ---- one output ------------------------------------------------------------------------------ */

static void differs(comparison *c, const char *name, const char *what, double got, double want)
{
    const tdm__traits *traits = tdm__device_traits(c->check.device);
    c->failures++;
    fprintf(stderr, "%s, %s style: %s %.9g, PyTorch's %.9g\n", name,
            traits->style == TDM_STYLE_CPU ? "cpu" : "gpu", what, got, want);
}

/* A projection of the difference d on a vector of U(-1, 1) has variance |d|^2 / 3, so that a few
 * estimate |d|. A whole number that is off by one is far above the tolerance, too. */
static double difference(const char *name, const double *values, size_t n, const json_t *golden)
{
    char stream[200];
    double squares = 0;
    snprintf(stream, sizeof stream, "projection.%s", name);
    for (size_t k = 0; k < PROJECTIONS; k++) {
        tdm__rng rng = tdm__rng_make(k, tdm__rng_stream(stream, 0, 0));
        double projection = -json_number_value(json_array_get(golden, k));
        for (size_t i = 0; i < n; i++) projection += values[i] * (2 * tdm__rng_uniform(&rng) - 1);
        squares += projection * projection;
    }
    return sqrt(3 * squares / PROJECTIONS);
}

static void compare(comparison *c, const tdm_op *op, const char *name, const double *values,
                    size_t n)
{
    double tolerance = op->tolerance > 0 ? op->tolerance : 1e-5, squares = 0;
    json_t *line = take(c, name);
    c->compared++;
    if (!line) {
        c->failures++;
        fprintf(stderr, "%s: no golden; %s\n", name, remedy);
        return;
    }
    double want = json_number_value(json_object_get(line, "norm"));
    const json_t *projections = json_object_get(line, "projections");
    ck_assert_uint_eq(json_array_size(projections), PROJECTIONS);
    for (size_t i = 0; i < n; i++) squares += values[i] * values[i];
    if (!(fabs(sqrt(squares) - want) <= tolerance * want))
        differs(c, name, "norm", sqrt(squares), want);
    double d = difference(name, values, n, projections);
    if (!(d <= tolerance * want)) differs(c, name, "norm of the difference", d, want);
    json_decref(line);
}

/* ---- one sample ------------------------------------------------------------------------------ */

static bool is_updated(const tdm_op *op, int input)
{
    for (int o = 0; o < op->n_out; o++)
        if (op->update[o] == input + 1) return true;
    return false;
}

static void run_sample(comparison *c, const tdm_op *op, const tdm__sample *s)
{
    op_case k;
    tdm_value in[TDM__MAX_SAMPLE_INPUTS];
    support_ok(op_case_open(&k, c->check.device, (tdm__view){&c->check.step, 0}));
    for (int i = 0; i < s->n_in; i++) {
        in[i] = TDM_NO_VALUE;
        if (s->in[i].dtype == TDM_NONE) continue;
        double *values = op_sample_draw(s, i);
        ck_assert_ptr_nonnull(values);
        in[i] = op_case_data(&k, "input", s->in[i], !is_updated(op, i), values);
    }
    tdm_value y = tdm__graph_node(k.graph, op, in, s->n_in, s->attrs);
    support_ok(tdm_graph_status(k.graph));
    for (int o = 0; o < op->n_out; o++)
        if (tdm_graph_desc(k.graph, y + o)->dtype != TDM_NONE) tdm_graph_keep(k.graph, y + o);
    support_ok(op_case_plan(&k, &(tdm__plan_spec){0}));
    support_ok(op_case_run(&k));
    for (int o = 0; o < op->n_out; o++) {
        const tdm_desc *desc = tdm_graph_desc(k.graph, y + o);
        if (desc->dtype == TDM_NONE) continue;
        double *values;
        const line_name name = name_of(op->name, s->name, o);
        support_ok(op_case_read(&k, y + o, &values));
        compare(c, op, name.text, values, (size_t)tdm_desc_count(desc));
        free(values);
    }
    op_case_close(&k);
}

static void run_style(tdm_kernel_style style)
{
    comparison c = {.goldens = load_goldens()};
    size_t n;
    const tdm_op *const *ops = tdm__ops(&n);
    support_ok(op_check_open(&c.check, style));
    for (size_t i = 0; i < n; i++) {
        if (is_left_out(&c, ops[i]->name, NULL)) continue;
        for (int s = 0; s < ops[i]->n_samples; s++)
            if (!is_left_out(&c, ops[i]->name, ops[i]->samples[s].name))
                run_sample(&c, ops[i], &ops[i]->samples[s]);
    }
    const char *name;
    json_t *line;
    json_object_foreach(c.goldens, name, line)
    {
        c.failures++;
        fprintf(stderr, "%s: no such sample; %s\n", name, remedy);
    }
    json_decref(c.goldens);
    support_ok(tdm__device_cache_write(c.check.device));
    op_check_close(&c.check);
    ck_assert_msg(c.failures == 0, "%d failures in %d results; for new or changed samples %s",
                  c.failures, c.compared, remedy);
}

int main(void)
{
    return op_styles_run("samples against PyTorch", run_style);
}

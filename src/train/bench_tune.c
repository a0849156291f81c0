/* train/bench_tune.c: measures the algorithms of the nodes of a configuration's plans and keeps the
 * fastest of each in a tuning file.
 *
 * A node that several algorithms can run is rebuilt alone, on made-up inputs of its shape. All its
 * algorithms run once first, which compiles them; then they take turns, so that a slow spell of the
 * machine meets all of them, and the medians are compared. The default stays unless another
 * one is faster by MARGIN: differences below it are noise, and fewer algorithms are fewer programs.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "train/bench.h"
#include "train/protocol.h"
#include "train/step_graph.h"

enum { ROUNDS = 7, TRIES = 3, MOST_VARIANTS = 8, MOST_BATCH = 200 };
#define MARGIN 0.03  /* of the default's time */
#define TIMING 0.03  /* seconds that a timing should take: short runs are repeated */
#define HOPELESS 4.0 /* times the fastest in the warm-up: not measured further */

/* A node to be measured. */
typedef struct tuned_node {
    char *key;
    const tdm_op *op;
    void *attrs;
    tdm__sample sample;
    const char *usual; /* the default algorithm */
    const char *names[MOST_VARIANTS];
    size_t n;
} tuned_node;

typedef struct job {
    tdm_device *device;
    const tdm__traits *traits;
    bool json;
    tuned_node *nodes;
    size_t n, capacity;
    tdm_status status; /* of collecting */
    tdm__tuning *tuning;
    tdm__str *text;
} job;

/* ---- what there is to measure ------------------------------------------------------------------
 */

static bool known(const job *j, const char *key)
{
    for (size_t i = 0; i < j->n; i++)
        if (!strcmp(j->nodes[i].key, key)) return true;
    return false;
}

/* Names of the algorithms that can run a node; one name may stand for several variants. */
static size_t runnable(const tdm_op *op, const tdm__traits *traits, const tdm__io *io,
                       const char *names[MOST_VARIANTS])
{
    size_t n = 0;
    for (int i = 0; i < op->n_variants && n < MOST_VARIANTS; i++) {
        bool again = false;
        for (size_t k = 0; k < n; k++) again |= !strcmp(names[k], op->variants[i].name);
        if (!again && tdm__variant_fits(&op->variants[i], traits, io))
            names[n++] = op->variants[i].name;
    }
    return n;
}

static tdm_status add_node(job *j, const char *key, const tdm_op *op, const tdm__io *io)
{
    tdm_status status = TDM_OK;
    const char *names[MOST_VARIANTS];
    const size_t n = runnable(op, j->traits, io, names);
    const tdm__variant *usual = tdm__variant_default(op, j->traits, io);
    if (n < 2 || !usual || io->n_in > TDM__MAX_SAMPLE_INPUTS || known(j, key)) return TDM_OK;
    TDM_TRY(tdm__grow(&j->nodes, &j->capacity, j->n + 1, sizeof *j->nodes));
    tuned_node *to = &j->nodes[j->n++];
    to->op = op;
    to->usual = usual->name;
    to->n = n;
    memcpy(to->names, names, n * sizeof *names);
    TDM_TRY(tdm__calloc_try(op->attr_size, 1, &to->attrs));
    if (op->attr_size) memcpy(to->attrs, io->attrs, op->attr_size);
    to->key = tdm__strdup(key);
    if (!to->key) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "tuning: out of memory"));
    to->sample = (tdm__sample){.name = to->key, .attrs = to->attrs, .n_in = io->n_in};
    for (int i = 0; i < io->n_in; i++) {
        to->sample.in[i] = io->in[i];
        to->sample.fill[i] = TDM__FILL_UNIFORM;
    }
done:
    return status;
}

static void seen(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    job *j = user;
    if (!j->status) j->status = add_node(j, key, op, io);
}

/* The nodes of full batches, in training and in validation. */
static tdm_status collect_session(job *j, tdm__session *s)
{
    tdm_status status = TDM_OK;
    s->chooser.seen = seen;
    s->chooser.seen_user = j;
    for (int p = TDM__FOR_TRAINING; p <= TDM__FOR_VALIDATION; p++)
        for (size_t i = 0; i < s->streams[p].n; i++)
            TDM_TRY(tdm__step_reserve(s, p == TDM__FOR_TRAINING, s->streams[p].list[i].tasks));
    status = j->status;
done:
    s->chooser.seen = NULL;
    return status;
}

static tdm_status collect_config(job *j, const tdm_config *config)
{
    tdm_status status = TDM_OK;
    tdm_array_info infos[TDM__BENCH_ARRAYS];
    tdm_split *splits[TDM__SPLITS] = {0};
    tdm_config *expanded = NULL;
    tdm__session s = {0};
    size_t n;
    TDM_TRY(tdm__bench_arrays(config, infos, splits, &n));
    const tdm__array_source source = {n, infos};
    TDM_TRY(tdm__protocol_expand(config, &source, &expanded));
    TDM_TRY(tdm__session_create(expanded ? expanded : config, &source, true, &s));
    TDM_TRY(collect_session(j, &s));
done:
    tdm__session_destroy(&s);
    tdm_config_destroy(&expanded);
    for (int i = 0; i < TDM__SPLITS; i++) tdm_split_destroy(&splits[i]);
    return status;
}

static tdm_status collect_typical(job *j)
{
    tdm_status status = TDM_OK;
    tdm_graph *g = NULL;
    tdm__str key = {0};
    TDM_TRY(tdm__bench_conv_graph(&g));
    for (size_t i = 0; i < tdm__graph_node_count(g); i++) {
        tdm__node_info info;
        tdm__graph_node_info(g, i, &info);
        key.length = 0;
        tdm__variant_key(info.op, j->traits, &info.io, &key);
        TDM_TRY(tdm__str_status(&key));
        TDM_TRY(add_node(j, tdm__str_text(&key), info.op, &info.io));
    }
done:
    tdm__str_free(&key);
    tdm_graph_destroy(&g);
    return status;
}

/* ---- measuring --------------------------------------------------------------------------------
 */

typedef struct contest {
    tdm_device *device;
    size_t n; /* that take part */
    const char *names[MOST_VARIANTS];
    tdm__plan *plans[MOST_VARIANTS];
    double times[MOST_VARIANTS][ROUNDS];
    int batch[MOST_VARIANTS]; /* runs per timing; 0: out of the contest */
    double ms[MOST_VARIANTS]; /* median per run */
} contest;

static tdm_status time_runs(const contest *c, size_t i, int batch, double *seconds)
{
    tdm_status status = TDM_OK;
    const double began = tdm__now();
    for (int k = 0; k < batch; k++) TDM_TRY(tdm__plan_run(c->plans[i]));
    TDM_TRY(tdm_device_finish(c->device));
    *seconds = (tdm__now() - began) / batch;
done:
    return status;
}

/* Plans an algorithm and runs it once, which compiles it. One that fails (for lack of memory, say)
 * takes no part, unless it is the default. */
static tdm_status enter(contest *c, const tdm__op_bench *b, const char *name, bool usual)
{
    double seconds;
    tdm__plan **plan = &c->plans[c->n];
    tdm_status status = tdm__op_bench_plan(b, name, plan);
    if (!status) status = time_runs(c, c->n, 1, &seconds);
    if (!status) {
        c->names[c->n++] = name;
        return TDM_OK;
    }
    tdm__plan_destroy(plan);
    if (usual) return status;
    tdm__log(TDM_LOG_WARN, "%s takes no part: %s", name, tdm_last_error());
    return TDM_OK;
}

/* Finds out how often each has to run for a timing that means something: the best of a few tries,
 * since a single one may have been interrupted. */
static tdm_status warm_up(contest *c)
{
    tdm_status status = TDM_OK;
    double best = INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        double seconds, least = INFINITY;
        for (int k = 0; k < TRIES; k++) {
            TDM_TRY(time_runs(c, i, 1, &seconds));
            least = fmin(least, seconds);
            if (least > 2 * HOPELESS * best) break; /* no interruption explains that */
        }
        c->ms[i] = 1e3 * least;
        c->batch[i] = (int)fmin(fmax(1, TIMING / fmax(least, 1e-9)), MOST_BATCH);
        best = fmin(best, least);
    }
    for (size_t i = 0; i < c->n; i++)
        if (c->ms[i] > 1e3 * HOPELESS * best) c->batch[i] = 0;
done:
    return status;
}

static tdm_status hold(contest *c)
{
    tdm_status status = TDM_OK;
    TDM_TRY(warm_up(c));
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < c->n; i++)
            if (c->batch[i]) TDM_TRY(time_runs(c, i, c->batch[i], &c->times[i][round]));
    for (size_t i = 0; i < c->n; i++)
        if (c->batch[i]) c->ms[i] = 1e3 * tdm__median(c->times[i], ROUNDS);
done:
    return status;
}

/* The fastest, or the default when the gain is within MARGIN. */
static size_t winner(const contest *c, const tuned_node *node)
{
    size_t best = 0, usual = c->n;
    for (size_t i = 0; i < c->n; i++) {
        if (c->ms[i] < c->ms[best]) best = i;
        if (!strcmp(c->names[i], node->usual)) usual = i;
    }
    return usual < c->n && c->ms[best] > (1 - MARGIN) * c->ms[usual] ? usual : best;
}

static void report(job *j, const tuned_node *node, const contest *c, size_t chosen)
{
    if (!j->json) tdm__str_addf(j->text, "%s\n", node->key);
    for (size_t i = 0; i < c->n; i++) {
        tdm__str name = {0};
        const bool usual = !strcmp(c->names[i], node->usual);
        tdm__str_addf(&name, "%s|%s", node->key, c->names[i]);
        const tdm__bench_row row = {.name = tdm__str_text(&name),
                                    .wall_ms = c->ms[i],
                                    .runs = (uint64_t)(c->batch[i] ? c->batch[i] * ROUNDS : TRIES),
                                    .is_default = usual,
                                    .is_chosen = i == chosen};
        if (j->json)
            tdm__bench_add(j->text, &row, true);
        else
            tdm__str_addf(j->text, "    %-14s %10.4f ms%s%s\n", c->names[i], c->ms[i],
                          i == chosen ? "  chosen" : "", usual ? "  default" : "");
        if (name.failed) j->text->failed = true;
        tdm__str_free(&name);
    }
}

static tdm_status measure(job *j, const tuned_node *node)
{
    tdm_status status = TDM_OK;
    contest c = {.device = j->device};
    tdm__op_bench b = {
        .device = j->device, .op = node->op, .sample = &node->sample, .variant = node->usual};
    TDM_TRY(tdm__op_bench_open(&b));
    for (size_t i = 0; i < node->n; i++)
        TDM_TRY(enter(&c, &b, node->names[i], !strcmp(node->names[i], node->usual)));
    TDM_TRY(hold(&c));
    const size_t chosen = winner(&c, node);
    TDM_TRY(tdm__tuning_set(j->tuning, node->key, c.names[chosen], c.names, c.ms, c.n));
    report(j, node, &c, chosen);
done:
    for (size_t i = 0; i < c.n; i++) tdm__plan_destroy(&c.plans[i]);
    tdm__op_bench_close(&b);
    if (status) tdm__context(status, "%s", node->key);
    return status;
}

/* ---- the file ---------------------------------------------------------------------------------
 */

/* What was measured before stays, if it is of this device and these kernels. */
static tdm_status open_tuning(job *j, const char *path)
{
    if (tdm__path_exists(path)) {
        tdm_status status = tdm__tuning_read(path, &j->tuning);
        if (!status) status = tdm__tuning_check(j->tuning, j->device);
        if (!status) return TDM_OK;
        tdm__tuning_destroy(&j->tuning);
        if (status == TDM_ERR_NOMEM) return status;
        tdm__log(TDM_LOG_INFO, "%s is written anew: %s", path, tdm_last_error());
    }
    return tdm__tuning_create(j->device, &j->tuning);
}

static tdm_status find_path(job *j, const char *given, char **path)
{
    *path = NULL;
    if (!given) {
        const tdm_status status = tdm__tuning_path(j->device, path);
        if (status || *path) return status;
        return tdm__fail(TDM_ERR_USAGE, "there is no cache folder (hint: --out FILE)");
    }
    *path = tdm__strdup(given);
    return *path ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "tuning: out of memory");
}

static void job_free(job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        free(j->nodes[i].key);
        free(j->nodes[i].attrs);
    }
    free(j->nodes);
    tdm__tuning_destroy(&j->tuning);
    tdm_device_destroy(&j->device);
}

tdm_status tdm_bench_tune(const tdm_config *config, bool typical, const char *path, bool json,
                          char **out)
{
    tdm_status status = TDM_OK;
    tdm_device_spec spec;
    tdm__str text = {0};
    char *file = NULL;
    job j = {.json = json, .text = &text};
    *out = NULL;
    TDM_TRY(tdm_device_spec_read(config, &spec));
    TDM_TRY(tdm_device_open(&spec, &j.device));
    j.traits = tdm__device_traits(j.device);
    TDM_TRY(find_path(&j, path, &file));
    TDM_TRY(open_tuning(&j, file));
    if (typical)
        TDM_TRY(collect_typical(&j));
    else
        TDM_TRY(collect_config(&j, config));
    for (size_t i = 0; i < j.n; i++) {
        tdm__log(TDM_LOG_INFO, "measuring %zu of %zu: %s", i + 1, j.n, j.nodes[i].key);
        TDM_TRY(measure(&j, &j.nodes[i]));
        TDM_TRY(tdm__device_cache_write(j.device));
    }
    TDM_TRY(tdm__tuning_write(j.tuning, file));
    tdm__log(TDM_LOG_INFO, "%zu shapes measured, %zu in %s", j.n, tdm__tuning_count(j.tuning),
             file);
    TDM_TRY(tdm__str_status(&text));
    *out = text.text ? text.text : tdm__strdup("");
    text.text = NULL;
    if (!*out) status = tdm__fail(TDM_ERR_NOMEM, "tuning: out of memory");
done:
    tdm__str_free(&text);
    free(file);
    job_free(&j);
    return status;
}

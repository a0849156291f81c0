/* Writes down every program that the library builds on a pretended GPU (see recorder.h): for each
 * operation of the table, each of its samples and each algorithm that runs in GPU style; then of
 * each kernel file that is left, unless all its kernels are CPU-style ones.
 *
 *     dump_programs nvidia|amd FOLDER
 *
 * FOLDER gets, for each program (named after its file, "conv_implicit_gpu"): NAME.cl, the text, and
 * NAME.options, the build options; and launches.csv: program,kernel,items of the work-group (0: the
 * driver's choice),bytes of local memory in arguments (the most of all launches). */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "cl/embedded.h"
#include "cl/internal.h"
#include "codegen/recorder.h"
#include "ops/registry.h"
#include "support/op_case.h"

/* Local memory and work-groups as NVIDIA's and AMD's drivers report them. */
static const recorder_gpu gpus[] = {{"nvidia", 48 << 10, 1024, 0}, {"amd", 64 << 10, 256, 2}};

typedef struct launched {
    const tdm__program *program;
    char *kernel;
    size_t items;
    uint64_t local_bytes;
} launched;

typedef struct dump {
    tdm_device *device;
    const tdm_op *op;
    const tdm__variant *variant;
    launched *launches;
    size_t n, capacity;
    tdm_status status;
} dump;

/* ---- operations ------------------------------------------------------------------------------ */

static void add_launch(void *user, const char *op, const char *node, tdm__launch *l)
{
    dump *d = user;
    (void)op, (void)node;
    if (d->status || !l->kernel) return; /* a copy */
    size_t items = l->has_local ? l->local[0] * l->local[1] * l->local[2] : 0;
    for (size_t i = 0; i < d->n; i++) {
        launched *known = &d->launches[i];
        if (known->program != l->program || !tdm__streq(known->kernel, l->name)) continue;
        if (items > known->items) known->items = items;
        if (l->local_bytes > known->local_bytes) known->local_bytes = l->local_bytes;
        return;
    }
    d->status = tdm__grow(&d->launches, &d->capacity, d->n + 1, sizeof *d->launches);
    if (d->status) return;
    char *name = tdm__strdup(l->name);
    if (!name) {
        d->status = tdm__fail(TDM_ERR_NOMEM, "list of launches: out of memory");
        return;
    }
    d->launches[d->n++] = (launched){l->program, name, items, l->local_bytes};
}

/* The plan takes the default where this algorithm cannot run the sample. */
static const char *choose(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    (void)op, (void)io;
    const dump *d = user;
    size_t n = strlen(d->op->name);
    return strncmp(key, d->op->name, n) == 0 && key[n] == '|' ? d->variant->name : NULL;
}

static tdm_status dump_sample(dump *d, const tdm__sample *s)
{
    op_case c;
    tdm_value in[TDM__MAX_SAMPLE_INPUTS];
    tdm__buffer step = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__buffer_create(d->device, sizeof(tdm__step), true, "step", &step));
    TDM_TRY(op_case_open(&c, d->device, (tdm__view){&step, 0}));
    for (int i = 0; i < s->n_in; i++) {
        in[i] = TDM_NO_VALUE;
        if (s->in[i].dtype == TDM_NONE) continue;
        double *zeros = tdm__calloc((size_t)tdm_desc_count(&s->in[i]), sizeof *zeros);
        in[i] = op_case_data(&c, "x", s->in[i], false, zeros);
    }
    tdm_value y = tdm__graph_node(c.graph, d->op, in, s->n_in, s->attrs);
    for (int o = 0; o < d->op->n_out; o++)
        if (y >= 0 && tdm_graph_desc(c.graph, y + o)->dtype != TDM_NONE)
            tdm_graph_keep(c.graph, y + o);
    status = op_case_plan(&c, &(tdm__plan_spec){.choose = choose, .choose_user = d});
    if (!status) tdm__plan_each_launch(c.plan, add_launch, d);
    op_case_close(&c);
    if (!status) status = d->status;
done:
    tdm__buffer_destroy(d->device, &step);
    if (status) tdm__context(status, "%s [%s], %s", d->op->name, s->name, d->variant->name);
    return status;
}

static tdm_status dump_ops(dump *d)
{
    size_t n;
    const tdm_op *const *ops = tdm__ops(&n);
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < n; i++) {
        d->op = ops[i];
        for (int v = 0; v < ops[i]->n_variants; v++) {
            d->variant = &ops[i]->variants[v];
            if (!(d->variant->styles & TDM__ON_GPU)) continue;
            for (int k = 0; k < ops[i]->n_samples; k++)
                TDM_TRY(dump_sample(d, &ops[i]->samples[k]));
        }
    }
done:
    return status;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++) n++;
    return n;
}

static bool cpu_style_only(const char *text)
{
    return count(text, "_KERNEL") == count(text, "CPU_KERNEL") && !count(text, "\nkernel ");
}

/* What others than operations launch (the optimiser, the benchmarks): they use no defines. */
static tdm_status dump_others(dump *d)
{
    tdm__program *program;
    tdm_status status = TDM_OK;
    for (const tdm__embedded *e = tdm__embedded_files; e->name; e++) {
        bool built = tdm__streq(e->name, TDM__PRELUDE) || cpu_style_only(e->text);
        for (size_t i = 0; i < d->device->n_programs; i++)
            built |= tdm__streq(d->device->programs[i]->file, e->name);
        if (!built) TDM_TRY(tdm__program_get(d->device, e->name, "", &program));
    }
done:
    return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* "conv/implicit_gpu.cl", "-DA=1": "conv_implicit_gpu-DA=1" */
static char *program_name(const tdm__program *p)
{
    tdm__str s = {0};
    tdm__str_addf(&s, "%.*s%s", (int)(strlen(p->file) - strlen(".cl")), p->file, p->defines);
    if (tdm__str_status(&s)) return NULL;
    for (char *c = s.text; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-=", *c)) *c = '_';
    return s.text;
}

static tdm_status write_text(const char *folder, const char *name, const char *suffix,
                             const char *text)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    tdm__str file = {0};
    tdm__str_addf(&file, "%s%s", name, suffix);
    TDM_TRY(tdm__str_status(&file));
    TDM_TRY(tdm__path_join(folder, file.text, &path));
    FILE *out = fopen(path, "w");
    bool good = out && fputs(text, out) >= 0;
    if (out && fclose(out)) good = false;
    if (!good) status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot be written", path);
done:
    free(path);
    tdm__str_free(&file);
    return status;
}

static tdm_status write_program(const dump *d, const char *folder, const tdm__program *p,
                                tdm__str *launches)
{
    tdm_status status = TDM_OK;
    char *name = program_name(p);
    if (!name) return tdm__fail(TDM_ERR_NOMEM, "list of programs: out of memory");
    TDM_TRY(write_text(folder, name, ".cl", recorder_source(p->program)));
    TDM_TRY(write_text(folder, name, ".options", recorder_options(p->program)));
    for (size_t i = 0; i < d->n; i++)
        if (d->launches[i].program == p)
            tdm__str_addf(launches, "%s,%s,%zu,%llu\n", name, d->launches[i].kernel,
                          d->launches[i].items, (unsigned long long)d->launches[i].local_bytes);
done:
    free(name);
    return status;
}

static tdm_status write_all(const dump *d, const char *folder)
{
    tdm_status status = TDM_OK;
    tdm__str launches = {0};
    for (size_t i = 0; i < d->device->n_programs; i++)
        TDM_TRY(write_program(d, folder, d->device->programs[i], &launches));
    TDM_TRY(tdm__str_status(&launches));
    TDM_TRY(write_text(folder, "launches", ".csv", launches.text));
done:
    tdm__str_free(&launches);
    return status;
}

int main(int argc, char **argv)
{
    dump d = {0};
    tdm_status status = TDM_OK;
    const recorder_gpu *gpu = NULL;
    for (size_t i = 0; argc == 3 && i < sizeof gpus / sizeof *gpus; i++)
        if (tdm__streq(argv[1], gpus[i].name)) gpu = &gpus[i];
    if (!gpu) {
        fprintf(stderr, "usage: dump_programs nvidia|amd FOLDER\n");
        return 2;
    }
    recorder_pretend(gpu);
    setenv("TANDEM_CACHE", "off", 1);
    setenv("TANDEM_CLBLAST", "off", 1); /* it checks itself by computing */
    TDM_TRY(tdm_device_open(&(tdm_device_spec){0}, &d.device));
    TDM_TRY(dump_ops(&d));
    TDM_TRY(dump_others(&d));
    TDM_TRY(write_all(&d, argv[2]));
done:
    if (status) fprintf(stderr, "dump_programs: %s\n", tdm_last_error());
    for (size_t i = 0; i < d.n; i++) free(d.launches[i].kernel);
    free(d.launches);
    tdm_device_destroy(&d.device);
    return status != TDM_OK;
}

/* model/model.c: options of the model, and the wiring of normalisation, trunk and heads. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/presets.h"

enum { MAX_CHANNELS = 16 };

static const tdm_opt_spec specs[] = {
    {"model.input", TDM_OPT_STRING, "images", .help = "array that is the network's input"},
    {"model.trunk", TDM_OPT_ENUM, "layers", .choices = "layers|fashion|lenet|mlp",
     .help = "shared trunk: a preset, or `layers` for the list in model.layers"},
    {"model.layers", TDM_OPT_STRINGS, "[]", .help = "the trunk's layers, e.g. \"conv 32 k3 p1\""},
    {"model.mean", TDM_OPT_FLOATS, "[0]", .help = "per channel, pixels scaled to [0,1]"},
    {"model.std", TDM_OPT_FLOATS, "[1]", TDM_OPT_MIN_OPEN, 0,
     .help = "per channel, pixels scaled to [0,1]"},
    {"model.init", TDM_OPT_ENUM, "default",
     .choices = "default|xavier-normal|xavier-uniform|kaiming-normal|kaiming-uniform",
     .help = "initial weights; default is PyTorch's"},
    {"tasks.*.head", TDM_OPT_ENUM, "layers", .choices = "layers|linear|classifier|fashion-decoder",
     .help = "the task's head: a preset, or `layers` for the list in tasks.NAME.layers"},
    {"tasks.*.layers", TDM_OPT_STRINGS, "[]", .help = "the head's layers"},
    {"tasks.*.classes", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1 << 20,
     .help = "number of classes; 0: as the data say"},
};
const tdm_opt_table tdm_model_options = {"model", specs, sizeof specs / sizeof *specs};

typedef struct layer_list {
    tdm__layer_spec *layers;
    size_t n;
} layer_list;

typedef struct head {
    char *name;
    layer_list list;
    tdm__units units;
} head;

struct tdm__model {
    const char *input_name;
    tdm_desc input;
    tdm__init_scheme scheme;
    float scale[MAX_CHANNELS], shift[MAX_CHANNELS];
    layer_list trunk;
    head *heads;
    size_t n_heads;
};

static tdm_status parse_layers(const tdm_config *config, const char *key, const char *const *texts,
                               size_t n, layer_list *out)
{
    tdm_status status = TDM_OK;
    if (n == 0) return tdm_config_reject(config, key, "no layers are given");
    TDM_TRY(tdm__calloc_try(n, sizeof *out->layers, &out->layers));
    for (out->n = 0; out->n < n; out->n++) {
        if (tdm__layer_parse(texts[out->n], &out->layers[out->n]) == TDM_OK) continue;
        char *reason = tdm__strdup(tdm_last_error());
        status = tdm_config_reject(config, key, "layer %zu: %s", out->n, reason ? reason : "");
        free(reason);
        goto done;
    }
done:
    return status;
}

/* The preset named by kind_key, or the list under layers_key. */
static tdm_status read_layers(const tdm_config *config, const char *kind_key,
                              const char *layers_key, const tdm__preset *presets, layer_list *out)
{
    tdm_status status = TDM_OK;
    const char *kind;
    const char *const *texts = NULL;
    size_t n = 0;
    TDM_TRY(tdm_config_string(config, kind_key, &kind));
    TDM_TRY(tdm_config_strings(config, layers_key, &texts, &n));
    const tdm__preset *preset = tdm__preset_find(presets, kind);
    if (!preset) {
        TDM_TRY(parse_layers(config, layers_key, texts, n, out));
        goto done;
    }
    if (n > 0) {
        status = tdm_config_reject(config, layers_key, "%s already names the preset '%s'", kind_key,
                                   kind);
        goto done;
    }
    while (preset->layers[n]) n++;
    TDM_TRY(parse_layers(config, kind_key, preset->layers, n, out));
done:
    return status;
}

static tdm_status read_normalisation(const tdm_config *config, tdm__model *m)
{
    tdm_status status = TDM_OK;
    const double *mean, *std;
    size_t n_mean, n_std;
    const size_t c = (size_t)m->input.dim[2];
    TDM_TRY(tdm_config_floats(config, "model.mean", &mean, &n_mean));
    TDM_TRY(tdm_config_floats(config, "model.std", &std, &n_std));
    if (c > MAX_CHANNELS) {
        status = tdm__fail(TDM_ERR_DATA, "array '%s' has %zu channels; at most %d are supported",
                           m->input_name, c, MAX_CHANNELS);
        goto done;
    }
    if (n_mean != 1 && n_mean != c) {
        status = tdm_config_reject(config, "model.mean", "needs 1 or %zu values", c);
        goto done;
    }
    if (n_std != 1 && n_std != c) {
        status = tdm_config_reject(config, "model.std", "needs 1 or %zu values", c);
        goto done;
    }
    const double unit = m->input.dtype == TDM_U8 ? 1 / 255.0 : 1; /* float images are in [0,1] */
    for (size_t i = 0; i < c; i++) {
        const double s = std[n_std == 1 ? 0 : i], mu = mean[n_mean == 1 ? 0 : i];
        m->scale[i] = (float)(unit / s);
        m->shift[i] = (float)(-mu / s);
    }
done:
    return status;
}

static tdm_status read_scheme(const tdm_config *config, tdm__model *m)
{
    static const char *const names[] = {"default", "xavier-normal", "xavier-uniform",
                                        "kaiming-normal", "kaiming-uniform"};
    const char *name;
    tdm_status status = tdm_config_string(config, "model.init", &name);
    for (int i = 0; !status && i < 5; i++)
        if (!strcmp(names[i], name)) m->scheme = (tdm__init_scheme)i;
    return status;
}

static tdm_status read_head(const tdm_config *config, const tdm__model_task *task, head *h)
{
    tdm_status status = TDM_OK;
    tdm__str kind = {0}, layers = {0}, classes = {0};
    int64_t n_classes;
    tdm__str_addf(&kind, "tasks.%s.head", task->name);
    tdm__str_addf(&layers, "tasks.%s.layers", task->name);
    tdm__str_addf(&classes, "tasks.%s.classes", task->name);
    h->name = tdm__strdup(task->name);
    if (!h->name) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(tdm__str_status(&classes));
    TDM_TRY(tdm_config_int(config, tdm__str_text(&classes), &n_classes));
    h->units.classes = n_classes ? n_classes : task->classes;
    h->units.channels = task->target_channels;
    TDM_TRY(read_layers(config, tdm__str_text(&kind), tdm__str_text(&layers), tdm__head_presets,
                        &h->list));
done:
    tdm__str_free(&kind);
    tdm__str_free(&layers);
    tdm__str_free(&classes);
    return status;
}

tdm_status tdm__model_create(const tdm_config *config, const tdm_desc *input,
                             const tdm__model_task *tasks, size_t n_tasks, tdm__model **out)
{
    tdm_status status = TDM_OK;
    tdm__model *m = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *m, &m));
    m->input = *input;
    TDM_TRY(tdm_config_string(config, "model.input", &m->input_name));
    if (input->rank != 3) {
        char text[64];
        status = tdm__fail(TDM_ERR_DATA,
                           "array '%s': one sample is %s, but the network's input must "
                           "be an image (height, width, channels)",
                           m->input_name, tdm_desc_text(input, text, sizeof text));
        goto done;
    }
    TDM_TRY(read_scheme(config, m));
    TDM_TRY(read_normalisation(config, m));
    TDM_TRY(read_layers(config, "model.trunk", "model.layers", tdm__trunk_presets, &m->trunk));
    TDM_TRY(tdm__calloc_try(n_tasks, sizeof *m->heads, &m->heads));
    for (; m->n_heads < n_tasks; m->n_heads++)
        TDM_TRY(read_head(config, &tasks[m->n_heads], &m->heads[m->n_heads]));
    *out = m;
    m = NULL;
done:
    if (m && m->heads && m->n_heads < n_tasks) m->n_heads++; /* the half-read one too */
    tdm__model_destroy(&m);
    return status;
}

void tdm__model_destroy(tdm__model **model)
{
    tdm__model *m = *model;
    if (!m) return;
    for (size_t i = 0; i < m->n_heads; i++) {
        free(m->heads[i].name);
        free(m->heads[i].list.layers);
    }
    free(m->heads);
    free(m->trunk.layers);
    free(m);
    *model = NULL;
}

const char *tdm__model_input_name(const tdm__model *model)
{
    return model->input_name;
}
tdm__init_scheme tdm__model_scheme(const tdm__model *model)
{
    return model->scheme;
}

int64_t tdm__model_classes(const tdm__model *model, size_t task)
{
    return model->heads[task].units.classes;
}

void tdm__model_build(const tdm__model *model, tdm__net *net, tdm_value input, const bool *enabled,
                      tdm_value *predictions)
{
    static const tdm__units none = {0, 0};
    const tdm_value x =
        tdm_normalize(net->graph, input, model->scale, model->shift, (int)model->input.dim[2]);
    size_t mark = tdm__net_push(net, "encoder");
    const tdm_value features =
        tdm__layers_build(net, model->trunk.layers, model->trunk.n, &none, x);
    tdm__net_pop(net, mark);
    for (size_t t = 0; t < model->n_heads; t++) {
        const head *h = &model->heads[t];
        predictions[t] = TDM_NO_VALUE;
        if (enabled && !enabled[t]) continue;
        const size_t outer = tdm__net_push(net, "heads");
        mark = tdm__net_push(net, h->name);
        predictions[t] = tdm__layers_build(net, h->list.layers, h->list.n, &h->units, features);
        tdm__net_pop(net, mark);
        tdm__net_pop(net, outer);
    }
}

/* model/model.c: options of the model, and the wiring of normalisation, trunk and heads. */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/internal.h"
#include "model/presets.h"

/* "|hard|soft|..." */
#define TDM_SHARING(id, name) "|" name
static const char sharing_names[] =
#include "model/sharing/sharing.def"
    ;
#undef TDM_SHARING

static const tdm_opt_spec specs[] = {
    {"model.input", TDM_OPT_STRING, "images", .help = "array that is the network's input"},
    {"model.trunk", TDM_OPT_ENUM, "layers",
     .choices = "layers|fashion|lenet|mlp|strided-cnn|strided-cnn-pool|cnn|unet|segnet|resnet18|"
                "resnet34|resnet50",
     .help = "shared trunk: a network by name, or `layers` for the list in model.layers"},
    {"model.layers", TDM_OPT_STRINGS, "[]", .help = "the trunk's layers, e.g. \"conv 32 k3 p1\""},
    {"model.filters", TDM_OPT_INTS, "[]",
     .help = "channels per level of cnn, unet, segnet, or per stage of a ResNet; []: its own"},
    {"model.stem", TDM_OPT_ENUM, "imagenet", .choices = "imagenet|cifar",
     .help = "start of a ResNet: 7x7 and pooling, or for small images a 3x3 convolution"},
    {"model.norm", TDM_OPT_ENUM, "batch", .choices = "batch|none|per-task",
     .help =
         "none: cnn without normalisation; per-task: batch norm's scale, offset and statistics are "
         "each task's own, which takes a pass of the trunk for each task of a step"},
    {"model.prefix", TDM_OPT_STRING, "encoder",
     .help = "what the names of the trunk's parameters begin with; \"\": nothing"},
    {"model.sharing", TDM_OPT_ENUM, "hard", .choices = sharing_names + 1,
     .help = "how tasks share the network. hard: one trunk"
             "; soft: each has its own, named below model.prefix.TASK, and the weights of the same "
             "layer are drawn together"
             "; cross-stitch: trunks as with soft, mixed after each block"
             "; nddr: the same, mixed by 1x1 convolutions of all of them"
             "; sluice: the same, mixed by subspaces of their channels"
             "; mtan: one trunk, of whose features each task chooses by masks of its own "
             "(attention.TASK)"
             "; mmoe, cgc, ple: a mixture of experts for each task, all shared, some of the task's "
             "own, or in levels"
             "; pad-net: each predicts twice, the second time from what it distils from all tasks' "
             "features"
             "; low-rank: W + U_t V_t in place of each weight, and batch norm of the task's own"},
    {"model.soft", TDM_OPT_ENUM, "l2", .choices = "l2|trace|l21",
     .help =
         "soft: what draws the weights of a layer together: their squared distances from the mean, "
         "the trace norm of the matrix they make, or the L2,1 norm over output channels"},
    {"model.soft_lambda", TDM_OPT_FLOAT, "1e-3", TDM_OPT_MIN, 0, .hint = "1e-5 to 1e-1",
     .help = "soft: factor of that norm, summed over layers; 0: trunks know nothing of each other"},
    {"model.stitch", TDM_OPT_ENUM, "layer", .choices = "layer|channel",
     .help = "cross-stitch: a matrix per block that mixes the tasks' trunks, or one per channel"},
    {"model.stitch_same", TDM_OPT_FLOAT, "0.9", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1,
     .help =
         "cross-stitch, nddr, sluice: how much of a task's own part the mixing begins with; the "
         "others share the rest"},
    {"model.sluice_subspaces", TDM_OPT_INT, "2", TDM_OPT_MIN | TDM_OPT_MAX, 1, 8,
     .help = "sluice: into how many a column's channels are split"},
    {"model.sluice_orthogonality", TDM_OPT_FLOAT, "1e-3", TDM_OPT_MIN, 0, .hint = "1e-4 to 1e-1",
     .help = "sluice: factor of the squared products of a layer's filters of different subspaces"},
    {"model.feature_selection", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0, .hint = "1e-3 to 1",
     .help = "lambda of an L2,1 norm over the features that all heads read: after each step the "
             "weights by which all tasks' heads read a feature are shortened together, and those of "
             "features that no task needs are set to 0"},
    {"model.experts", TDM_OPT_INT, "3", TDM_OPT_MIN | TDM_OPT_MAX, 1, 64,
     .help = "mmoe, cgc, ple: experts that all tasks share (of each level)"},
    {"model.task_experts", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_MAX, 1, 64,
     .help = "cgc, ple: experts of each task's own (of each level)"},
    {"model.expert_blocks", TDM_OPT_INT, "0", TDM_OPT_MIN, 0,
     .help =
         "mmoe, cgc, ple: the last blocks of the trunk (levels, stages, layers with weights) are "
         "experts, those below are shared; 0: all are experts"},
    {"model.gate", TDM_OPT_ENUM, "input", .choices = "input|shared",
     .help =
         "mmoe, cgc, ple: what weighs the experts: the network's input, all pixels of it, or what "
         "the shared blocks give, averaged over the pixels"},
    {"model.levels", TDM_OPT_INT, "2", TDM_OPT_MIN | TDM_OPT_MAX, 1, 16,
     .help = "ple: levels of experts, which divide the blocks among them"},
    {"model.pad_net", TDM_OPT_ENUM, "C", .choices = "A|B|C",
     .help =
         "pad-net: how a task's features take in the others' (Xu et al. 2018): A: side by side; "
         "B: messages are added; C: and let through by a gate of the receiving task"},
    {"model.pad_net_channels", TDM_OPT_INT, "128", TDM_OPT_MIN | TDM_OPT_MAX, 1, 1 << 16,
     .help = "pad-net: channels of each task's own features"},
    {"model.intermediate_weight", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0,
     .help = "pad-net: what a task's prediction from its own features counts in its loss, in "
             "training; the final one counts 1"},
    {"model.rank", TDM_OPT_INT, "4", TDM_OPT_MIN | TDM_OPT_MAX, 1, 4096, .hint = "2 to 16",
     .help = "low-rank: of what a task adds to each weight matrix"},
    {"model.mean", TDM_OPT_FLOATS, "[0]", .help = "per channel, pixels scaled to [0,1]"},
    {"model.std", TDM_OPT_FLOATS, "[1]", TDM_OPT_MIN_OPEN, 0,
     .help = "per channel, pixels scaled to [0,1]"},
    {"model.init", TDM_OPT_ENUM, "default",
     .choices = "default|xavier-normal|xavier-uniform|kaiming-normal|kaiming-uniform",
     .help = "initial weights; default is PyTorch's, for a ResNet torchvision's"},
    {"tasks.*.head", TDM_OPT_ENUM, "layers",
     .choices = "layers|linear|pool-linear|classifier|classifier-bn|box|box-linear|fashion-decoder|"
                "fcn|segmentation|depth|vector|regression|reconstruction",
     .help = "the task's head: one by name, or `layers` for the list in tasks.NAME.layers"},
    {"tasks.*.layers", TDM_OPT_STRINGS, "[]", .help = "the head's layers"},
    {"tasks.*.feature", TDM_OPT_ENUM, "auto", .choices = "auto|bottleneck|dense",
     .help = "what the head attaches to: the trunk's deepest map, or one of the input's size"},
    {"tasks.*.prefix", TDM_OPT_STRING, "",
     .help = "what the names of the head's parameters begin with; \"\": heads.NAME"},
    {"tasks.*.classes", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_MAX, 0, 1 << 20,
     .help = "number of classes; 0: as the data say"},
};
const tdm_opt_table tdm_model_options = {"model", specs, sizeof specs / sizeof *specs};

static tdm_status parse_layers(const tdm_config *config, const char *key, const char *const *texts,
                               size_t n, tdm__layer_list *out)
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

/* The layers of the network or head called `kind`, or those under layers_key when it is "layers".
 * An empty list when the network is built by code. */
static tdm_status read_layers(const tdm_config *config, const char *kind_key, const char *kind,
                              const char *layers_key, const char *const *named,
                              tdm__layer_list *out)
{
    tdm_status status = TDM_OK;
    const char *const *texts = NULL;
    size_t n = 0;
    TDM_TRY(tdm_config_strings(config, layers_key, &texts, &n));
    if (!strcmp(kind, "layers")) {
        TDM_TRY(parse_layers(config, layers_key, texts, n, out));
        goto done;
    }
    if (n > 0) {
        status = tdm_config_reject(config, layers_key, "%s already names '%s'", kind_key, kind);
        goto done;
    }
    while (named && named[n]) n++;
    if (n > 0) TDM_TRY(parse_layers(config, kind_key, named, n, out));
done:
    return status;
}

static tdm_status read_trunk(const tdm_config *config, tdm__model *m)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "model.trunk", &m->trunk_name));
    TDM_TRY(tdm_config_string(config, "model.prefix", &m->prefix));
    const tdm__preset *preset = tdm__preset_find(m->trunk_name);
    m->trunk = tdm__trunk_find(m->trunk_name);
    TDM_TRY(read_layers(config, "model.trunk", m->trunk_name, "model.layers",
                        preset ? preset->layers : NULL, &m->list));
    TDM_TRY(tdm__trunk_spec_read(config, m->trunk, &m->input, &m->spec));
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
    if (c > TDM__INPUT_CHANNELS) {
        status = tdm__fail(TDM_ERR_DATA, "array '%s' has %zu channels; at most %d are supported",
                           m->input_name, c, TDM__INPUT_CHANNELS);
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

static tdm_status read_sharing(const tdm_config *config, tdm__model *m)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__sharing_read(config, &m->sharing));
    if (m->sharing->settings_size)
        TDM_TRY(tdm__calloc_try(1, m->sharing->settings_size, &m->settings));
    if (m->sharing->read) TDM_TRY(m->sharing->read(config, m, m->settings));
done:
    return status;
}

/* tasks.NAME.part */
static const char *task_key(tdm__str *key, const char *task, const char *part)
{
    key->length = 0;
    tdm__str_addf(key, "tasks.%s.%s", task, part);
    return tdm__str_text(key);
}

static tdm_status read_head_kind(const tdm_config *config, tdm__head *h)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0}, layers_key = {0};
    const char *kind, *feature, *prefix;
    TDM_TRY(tdm_config_string(config, task_key(&key, h->name, "feature"), &feature));
    TDM_TRY(tdm_config_string(config, task_key(&key, h->name, "prefix"), &prefix));
    TDM_TRY(tdm_config_string(config, task_key(&key, h->name, "head"), &kind));
    h->kind = tdm__head_find(kind);
    TDM_TRY(read_layers(config, tdm__str_text(&key), kind, task_key(&layers_key, h->name, "layers"),
                        h->kind ? h->kind->layers : NULL, &h->list));
    h->feature = h->kind ? h->kind->feature : TDM__FEATURE_BOTTLENECK;
    if (strcmp(feature, "auto") != 0)
        h->feature = !strcmp(feature, "dense") ? TDM__FEATURE_DENSE : TDM__FEATURE_BOTTLENECK;
    if (*prefix)
        tdm__str_add(&h->prefix, prefix);
    else
        tdm__str_addf(&h->prefix, "heads.%s", h->name);
    TDM_TRY(tdm__str_status(&h->prefix));
    h->site.prefix = tdm__str_text(&h->prefix);
done:
    tdm__str_free(&key);
    tdm__str_free(&layers_key);
    return status;
}

static tdm_status read_head(const tdm_config *config, const tdm_desc *input,
                            const tdm__model_task *task, tdm__head *h)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    int64_t classes;
    h->name = tdm__strdup(task->name);
    if (!h->name) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(tdm_config_int(config, task_key(&key, task->name, "classes"), &classes));
    h->site.units = (tdm__units){.classes = classes ? classes : task->classes,
                                 .channels = task->target_channels,
                                 .labels = task->labels};
    h->site.h = input->dim[0];
    h->site.w = input->dim[1];
    TDM_TRY(read_head_kind(config, h));
done:
    tdm__str_free(&key);
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
    TDM_TRY(read_trunk(config, m));
    TDM_TRY(tdm__calloc_try(n_tasks, sizeof *m->heads, &m->heads));
    for (; m->n_heads < n_tasks; m->n_heads++)
        TDM_TRY(read_head(config, &m->input, &tasks[m->n_heads], &m->heads[m->n_heads]));
    TDM_TRY(read_sharing(config, m));
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
        tdm__str_free(&m->heads[i].prefix);
        free(m->heads[i].list.layers);
    }
    free(m->heads);
    free(m->list.layers);
    free(m->settings);
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
    return model->heads[task].site.units.classes;
}

const tdm__sharing *tdm__model_sharing(const tdm__model *model)
{
    return model->sharing;
}

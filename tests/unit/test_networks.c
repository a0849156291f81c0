/* Trunks and heads as graphs, without a device: parameter counts that are known from the networks'
 * descriptions, names, output shapes, multiply-adds, and what is refused. */
#include <stdlib.h>
#include <math.h>
#include <string.h>

#include <tandem/train.h>

#include "model/model.h"
#include "support/support.h"

enum { MOST_TASKS = 65 };

typedef struct network {
    tdm_config *config;
    tdm__model *model;
    tdm__flat *flat;
    tdm__net net;
    tdm_value input, predictions[MOST_TASKS], intermediate[MOST_TASKS];
} network;

/* One task's data: labels of `classes`, or (0) values with `channels`. */
typedef struct task_data {
    const char *name;
    int64_t classes, channels;
} task_data;

static tdm_status build(network *n, const char *yaml, int64_t h, int64_t w, int64_t c,
                        const task_data *data, size_t n_tasks)
{
    const tdm_opt_table *const *tables;
    size_t n_tables;
    tdm_status status;
    tdm__model_task tasks[MOST_TASKS] = {{0}};
    const tdm_desc image = tdm_desc_3(TDM_U8, h, w, c);
    memset(n, 0, sizeof *n);
    tdm_schema(&tables, &n_tables);
    support_ok(tdm_config_create(tables, n_tables, &n->config));
    support_ok(tdm_config_load_text(n->config, yaml, strlen(yaml), "net.yaml"));
    support_ok(tdm_config_set(n->config, "data.path", "unused", "test"));
    support_ok(tdm_config_resolve(n->config));
    support_ok(tdm__flat_create(NULL, &n->flat));
    support_ok(tdm_graph_create(&n->net.graph));
    for (size_t t = 0; t < n_tasks; t++)
        tasks[t] = (tdm__model_task){.name = data[t].name,
                                     .classes = data[t].classes,
                                     .target_channels = data[t].channels,
                                     .labels = data[t].classes > 0};
    status = tdm__model_create(n->config, &image, tasks, n_tasks, &n->model);
    if (status) return status;
    n->net.flat = n->flat;
    n->net.training = true;
    n->net.scheme = tdm__model_scheme(n->model);
    n->input = tdm_graph_input(n->net.graph, "images", tdm_desc_4(TDM_U8, 2, h, w, c));
    n->net.intermediate = n->intermediate;
    tdm__model_build(n->model, &n->net, n->input, NULL, n->predictions);
    return tdm_graph_status(n->net.graph);
}

static void close_network(network *n)
{
    tdm_graph_destroy(&n->net.graph);
    tdm__net_free(&n->net);
    tdm__flat_destroy(&n->flat);
    tdm__model_destroy(&n->model);
    tdm_config_destroy(&n->config);
}

/* Learnt numbers in segments whose name begins with `prefix`. */
static uint64_t count_parameters(const network *n, const char *prefix)
{
    uint64_t count = 0;
    for (size_t i = 0; i < tdm__flat_count(n->flat); i++) {
        const tdm__segment *s = tdm__flat_segment(n->flat, i);
        if (s->kind == TDM__SEGMENT_PARAM && !strncmp(s->name, prefix, strlen(prefix)))
            count += (uint64_t)tdm_desc_count(&s->disk);
    }
    return count;
}

static void check_shape(const network *n, size_t task, const char *shape)
{
    char text[64];
    ck_assert_str_eq(
        tdm_desc_text(tdm_graph_desc(n->net.graph, n->predictions[task]), text, sizeof text),
        shape);
}

static void check_name(const network *n, const char *name)
{
    ck_assert_msg(tdm__flat_find(n->flat, name) != SIZE_MAX, "no tensor %s", name);
}

/* ---- the networks of the experiments -----------------------------------------------------------
 */

static const char segnet[] =
    "model: {trunk: segnet, prefix: \"\"}\n"
    "tasks:\n"
    "  semantic: {head: segmentation, prefix: pred_task1, loss: nll, target: label}\n"
    "  depth: {head: depth, prefix: pred_task2, loss: l1, target: depth}\n";

START_TEST(segnet_counts)
{
    static const task_data data[] = {{"semantic", 13, 0}, {"depth", 0, 1}};
    network n;
    char *table, *total;
    support_ok(build(&n, segnet, 288, 384, 3, data, 2));
    ck_assert_uint_eq(count_parameters(&n, ""), 25018062);
    ck_assert_uint_eq(count_parameters(&n, "pred_task1."), 37773);
    ck_assert_uint_eq(count_parameters(&n, "pred_task2."), 36993);
    check_shape(&n, 0, "f32[2,288,384,13]");
    check_shape(&n, 1, "f32[2,288,384,1]");
    check_name(&n, "encoder_block.0.0.weight");
    check_name(&n, "encoder_block.4.1.num_batches_tracked");
    check_name(&n, "conv_block_enc.1.1.running_var");
    check_name(&n, "conv_block_enc.2.1.0.bias");
    check_name(&n, "decoder_block.0.0.weight");
    check_name(&n, "conv_block_dec.4.0.1.weight");
    check_name(&n, "pred_task1.1.bias");
    support_ok(tdm__model_table(n.net.graph, n.flat, 2, &table));
    total = strstr(table, "\ntotal");
    ck_assert_ptr_nonnull(total);
    ck_assert_msg(strstr(total, " 25,018,062 ") && strstr(total, " 64.50 G"), "%s", total);
    free(table);
    close_network(&n);
}
END_TEST

/* A short list of tasks "t0", "t1", ... on the strided CNN. */
static void strided(network *n, const char *trunk, int64_t side, int64_t channels, int n_tasks,
                    int64_t classes)
{
    static const char *const names[MOST_TASKS] = {"t0",  "t1",  "t2",  "t3",  "t4",  "t5",  "t6",
                                                  "t7",  "t8",  "t9",  "t10", "t11", "t12", "t13",
                                                  "t14", "t15", "t16", "t17", "t18", "t19"};
    task_data data[MOST_TASKS];
    char yaml[4096];
    int at = snprintf(yaml, sizeof yaml, "model: {trunk: %s}\ntasks:\n", trunk);
    for (int t = 0; t < n_tasks; t++) {
        at += snprintf(yaml + at, sizeof yaml - (size_t)at,
                       "  %s: {head: classifier-bn, loss: cross-entropy, target: labels}\n",
                       names[t]);
        data[t] = (task_data){names[t], classes, 0};
    }
    support_ok(build(n, yaml, side, side, channels, data, (size_t)n_tasks));
}

START_TEST(strided_cnn_counts)
{
    network n;
    strided(&n, "strided-cnn", 32, 3, 20, 5);
    ck_assert_uint_eq(count_parameters(&n, "encoder."), 278592);
    ck_assert_uint_eq(count_parameters(&n, ""), 84246692);
    check_shape(&n, 19, "f32[2,5]");
    check_name(&n, "encoder.13.running_mean");
    check_name(&n, "heads.t19.2.running_var");
    close_network(&n);
}
END_TEST

/* Whatever the size, the heads see 4x4x128 = 2048 numbers. */
START_TEST(strided_cnn_pool_fits_omniglot)
{
    static const int64_t sides[] = {28, 32, 64, 105};
    network n;
    strided(&n, "strided-cnn-pool", sides[_i], 1, 1, 55);
    ck_assert_uint_eq(count_parameters(&n, "heads.t0.1."), 2048 * 512 + 512);
    check_shape(&n, 0, "f32[2,55]");
    close_network(&n);
}
END_TEST

static const struct {
    const char *trunk;
    uint64_t parameters;
    const char *name;
} resnets[] = {{"resnet18", 11689512, "layer4.1.bn2.running_var"},
               {"resnet34", 21797672, "layer3.5.conv2.weight"},
               {"resnet50", 25557032, "layer1.0.downsample.1.weight"}};

/* torchvision's counts for 1000 classes, and the shape that the stems give. */
START_TEST(resnet_counts)
{
    static const task_data data[] = {{"class", 1000, 0}, {"map", 0, 512}};
    network n;
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "model: {trunk: %s, prefix: \"\"}\n"
             "tasks: {class: {head: pool-linear, prefix: fc, loss: cross-entropy, target: y}}\n",
             resnets[_i].trunk);
    support_ok(build(&n, yaml, 224, 224, 3, data, 1));
    ck_assert_uint_eq(count_parameters(&n, ""), resnets[_i].parameters);
    check_name(&n, resnets[_i].name);
    check_name(&n, "fc.bias");
    check_shape(&n, 0, "f32[2,1000]");
    close_network(&n);
}
END_TEST

START_TEST(resnet_stems)
{
    static const task_data data[] = {{"map", 0, 7}};
    static const char *const shapes[] = {"f32[2,2,3,7]", "f32[2,8,12,7]"};
    network n;
    char yaml[512];
    snprintf(yaml, sizeof yaml,
             "model: {trunk: resnet18, filters: [4, 4, 8, 8], stem: %s}\n"
             "tasks: {map: {layers: [conv channels k1], loss: l1, target: y}}\n",
             _i ? "cifar" : "imagenet");
    support_ok(build(&n, yaml, 64, 96, 3, data, 1));
    check_shape(&n, 0, shapes[_i]);
    close_network(&n);
}
END_TEST

/* Weights as PyTorch has them: (K, C / groups, R, S), the bound of the initial values by their
 * fan-in.
 */
START_TEST(layers_have_groups)
{
    static const task_data data[] = {{"t", 10, 0}};
    network n;
    char text[64];
    support_ok(build(&n,
                     "model: {layers: [conv 12 k3 p1, conv 24 k3 p1 g12, conv 8 k1 g4]}\n"
                     "tasks: {t: {head: pool-linear, loss: cross-entropy, target: y}}\n",
                     16, 20, 3, data, 1));
    const char *const names[] = {"encoder.1.weight", "encoder.2.weight"};
    const char *const shapes[] = {"f32[24,1,3,3]", "f32[8,6,1,1]"};
    const double fan_in[] = {9, 6};
    for (int i = 0; i < 2; i++) {
        const tdm__segment *s = tdm__flat_segment(n.flat, tdm__flat_find(n.flat, names[i]));
        ck_assert_str_eq(tdm_desc_text(&s->disk, text, sizeof text), shapes[i]);
        ck_assert_double_eq_tol(s->init_value, 1 / sqrt(fan_in[i]), 1e-6);
    }
    check_shape(&n, 0, "f32[2,10]");
    close_network(&n);
}
END_TEST

START_TEST(heads_attach_to_the_unet)
{
    static const task_data data[] = {{"mask", 2, 0},  {"class", 37, 0}, {"box", 0, 4},
                                     {"depth", 0, 1}, {"vector", 0, 2}, {"image", 0, 3},
                                     {"up", 5, 0},    {"deep", 0, 6},   {"flat", 3, 0}};
    static const char *const shapes[] = {"f32[2,32,48,2]", "f32[2,37]",      "f32[2,4]",
                                         "f32[2,32,48,1]", "f32[2,32,48,2]", "f32[2,32,48,3]",
                                         "f32[2,32,48,5]", "f32[2,32,48,6]", "f32[2,3]"};
    network n;
    support_ok(build(&n,
                     "model: {trunk: unet, filters: [4, 8, 16]}\n"
                     "tasks:\n"
                     "  mask: {head: segmentation, loss: cross-entropy, target: a}\n"
                     "  class: {head: pool-linear, loss: cross-entropy, target: b}\n"
                     "  box: {head: box, loss: l1, target: c}\n"
                     "  depth: {head: depth, loss: l1, target: d}\n"
                     "  vector: {head: vector, loss: l1, target: e}\n"
                     "  image: {head: reconstruction, loss: l1, target: f}\n"
                     "  up: {head: fcn, loss: cross-entropy, target: g}\n"
                     "  deep: {layers: [conv outputs k1], feature: dense, loss: l1, target: h}\n"
                     "  flat: {head: classifier, loss: cross-entropy, target: i}\n",
                     32, 48, 3, data, 9));
    for (size_t t = 0; t < 9; t++) check_shape(&n, t, shapes[t]);
    check_name(&n, "encoder.down.2.3.weight");
    check_name(&n, "encoder.up.0.bias");
    check_name(&n, "encoder.merge.1.4.running_mean");
    check_name(&n, "heads.class.weight");
    check_name(&n, "heads.box.1.weight");
    check_name(&n, "heads.up.4.bias");
    check_name(&n, "heads.mask.1.weight");
    close_network(&n);
}
END_TEST

START_TEST(small_cnn)
{
    static const task_data data[] = {{"class", 4, 0}, {"yes", 0, 1}};
    network n;
    support_ok(build(&n,
                     "model: {trunk: cnn, filters: [4, 6], norm: none}\n"
                     "tasks:\n"
                     "  class: {head: linear, loss: cross-entropy, target: a}\n"
                     "  yes: {head: linear, loss: bce, target: b}\n",
                     9, 9, 1, data, 2));
    /* 9 -> 4 -> 2: 2x2x6 features */
    ck_assert_uint_eq(count_parameters(&n, ""),
                      (9 * 4 + 4) + (4 * 9 * 6 + 6) + (24 * 4 + 4) + (24 + 1));
    check_name(&n, "encoder.3.weight");
    check_shape(&n, 1, "f32[2,1]");
    close_network(&n);
}
END_TEST

/* ---- attention ---------------------------------------------------------------------------------
 */

/* Three tasks on NYUv2: 1.77 times the network of one, as Liu, Johns, Davison 2019 say. */
START_TEST(mtan_counts)
{
    static const task_data data[] = {{"semantic", 13, 0}, {"depth", 0, 1}, {"normal", 0, 3}};
    static const char yaml[] =
        "model: {trunk: segnet, prefix: \"\", sharing: mtan}\n"
        "tasks:\n"
        "  semantic: {head: segmentation, prefix: pred_task1, loss: nll, target: label}\n"
        "  depth: {head: depth, prefix: pred_task2, loss: l1, target: depth}\n"
        "  normal: {head: regression, prefix: pred_task3, loss: l1, target: normal}\n";
    network n;
    char *table;
    support_ok(build(&n, yaml, 64, 96, 3, data, 3));
    ck_assert_uint_eq(count_parameters(&n, ""), 44229073);
    ck_assert_double_eq_tol(44229073.0 / 24981069, 1.77, 0.005);
    ck_assert_uint_eq(count_parameters(&n, "attention.depth."),
                      count_parameters(&n, "attention.semantic."));
    check_name(&n, "attention.normal.decoder.4.4.running_var");
    check_name(&n, "attention_block.encoder.4.0.weight");
    for (size_t t = 0; t < 3; t++) ck_assert_int_ge(n.predictions[t], 0);
    ck_assert_int_lt(n.net.feature, 0);
    /* The tasks use the same convolutions: the table counts them once. */
    support_ok(tdm__model_table(n.net.graph, n.flat, 2, &table));
    ck_assert_msg(strstr(strstr(table, "\ntotal"), " 44,229,073 "), "%s", table);
    free(table);
    close_network(&n);
}
END_TEST

/* Stages of 17x13, 9x7, 5x4 and 3x2: what a task keeps has to follow. */
static const struct {
    const char *model;
    int64_t h, w;
    const char *name, *kept;
    int64_t kept_size;
} attentive[] = {
    {"{trunk: resnet18, filters: [4, 8, 8, 16], sharing: mtan}", 65, 49,
     "attention.t0.encoder.3.3.weight", "attention_block.encoder.2.0.weight", 9 * 8 * 16},
    {"{trunk: resnet50, filters: [4, 8, 8, 16], sharing: mtan}", 65, 49,
     "attention.t1.encoder.0.0.weight", "attention.t1.encoder.3.0.weight", 128 * 16},
    {"{trunk: unet, filters: [4, 8, 16], sharing: mtan}", 32, 48, "attention.t1.decoder.0.0.weight",
     "attention_block.decoder.1.0.weight", 9 * 16 * 8},
};

START_TEST(attention_follows_the_trunk)
{
    static const task_data data[] = {{"t0", 3, 0}, {"t1", 3, 0}};
    network n;
    char yaml[512];
    const bool dense = strstr(attentive[_i].model, "unet");
    const char *head = dense ? "segmentation" : "pool-linear";
    snprintf(yaml, sizeof yaml,
             "model: %s\ntasks:\n  t0: {head: %s, prefix: a, loss: cross-entropy, target: y}\n"
             "  t1: {head: %s, prefix: b, loss: cross-entropy, target: y}\n",
             attentive[_i].model, head, head);
    support_ok(build(&n, yaml, attentive[_i].h, attentive[_i].w, 3, data, 2));
    check_name(&n, attentive[_i].name);
    ck_assert_int_eq((int64_t)count_parameters(&n, attentive[_i].kept), attentive[_i].kept_size);
    check_shape(&n, 1, dense ? "f32[2,32,48,3]" : "f32[2,3]");
    close_network(&n);
}
END_TEST

/* ---- distillation ------------------------------------------------------------------------------
 */

/* The trunk's map at a quarter of the size: U-Net's and SegNet's from their decoders, which end
 * there, a ResNet's three stages at a quarter (17x13) and below side by side. */
static const struct {
    const char *model;
    int64_t h, w;
    const char *last, *beyond; /* of the trunk: there is, there is not */
    int64_t map;               /* channels */
    const char *prediction, *intermediate;
} quarters[] = {
    {"{trunk: unet, filters: [4, 8, 16, 16], sharing: pad-net, pad_net_channels: 8, pad_net: B}",
     32, 48, "encoder.merge.2.0.weight", "encoder.up.1.weight", 16, "f32[2,32,48,3]",
     "f32[2,8,12,3]"},
    {"{trunk: segnet, filters: [4, 8, 16], sharing: pad-net, pad_net_channels: 8, pad_net: A}", 32,
     48, "encoder.conv_block_dec.2.1.0.weight", "encoder.decoder_block.1.0.weight", 8,
     "f32[2,32,48,3]", "f32[2,8,12,3]"},
    {"{trunk: resnet18, filters: [4, 8, 12, 16], sharing: pad-net, pad_net_channels: 8}", 65, 49,
     "encoder.layer4.1.conv2.weight", "encoder.fc.weight", 40, "f32[2,65,49,3]", "f32[2,17,13,3]"},
};

START_TEST(pad_net_starts_at_a_quarter)
{
    static const task_data data[] = {{"a", 3, 0}, {"b", 3, 0}};
    network n;
    char yaml[512], text[64];
    snprintf(yaml, sizeof yaml,
             "model: %s\ntasks:\n  a: {head: segmentation, loss: cross-entropy, target: y}\n"
             "  b: {head: segmentation, loss: cross-entropy, target: y}\n",
             quarters[_i].model);
    support_ok(build(&n, yaml, quarters[_i].h, quarters[_i].w, 3, data, 2));
    check_name(&n, quarters[_i].last);
    ck_assert(tdm__flat_find(n.flat, quarters[_i].beyond) == SIZE_MAX);
    ck_assert_int_eq((int64_t)count_parameters(&n, "initial.b.0."), 9 * quarters[_i].map * 8 + 8);
    ck_assert_int_eq(count_parameters(&n, "distillation.message.") > 0, _i != 1);
    ck_assert_int_eq(count_parameters(&n, "distillation.gate.") > 0, _i == 2);
    check_shape(&n, 1, quarters[_i].prediction);
    ck_assert_str_eq(
        tdm_desc_text(tdm_graph_desc(n.net.graph, n.intermediate[1]), text, sizeof text),
        quarters[_i].intermediate);
    /* in evaluation nothing is predicted on the way */
    n.net.training = false;
    tdm__model_build(n.model, &n.net, n.input, NULL, n.predictions);
    support_ok(tdm_graph_status(n.net.graph));
    ck_assert_int_lt(n.intermediate[1], 0);
    check_shape(&n, 1, quarters[_i].prediction);
    close_network(&n);
}
END_TEST

/* A baseline of the same configuration with one task has nobody to learn from. */
START_TEST(pad_net_of_one_task)
{
    static const task_data data[] = {{"a", 3, 0}};
    network n;
    support_ok(build(&n,
                     "model: {trunk: unet, filters: [4, 8, 16], sharing: pad-net}\n"
                     "tasks:\n  a: {head: segmentation, loss: cross-entropy, target: y}\n",
                     16, 16, 3, data, 1));
    ck_assert_uint_eq(count_parameters(&n, "distillation."), 0);
    check_shape(&n, 0, "f32[2,16,16,3]");
    close_network(&n);
}
END_TEST

/* Names of parameters are as long as the tasks' names make them. */
START_TEST(long_names_of_tasks)
{
    static const task_data data[] = {{"surface_normals_estimation", 3, 0},
                                     {"semantic_segmentation_of_forty", 3, 0},
                                     {"semantic_segmentation_of_thirteen", 3, 0}};
    network n;
    support_ok(build(
        &n,
        "model: {trunk: unet, filters: [4, 8, 16], sharing: pad-net, pad_net: B}\n"
        "tasks:\n"
        "  surface_normals_estimation: {head: segmentation, loss: cross-entropy, target: y}\n"
        "  semantic_segmentation_of_forty: {head: segmentation, loss: cross-entropy, target: y}\n"
        "  semantic_segmentation_of_thirteen: {head: segmentation, loss: cross-entropy, target: "
        "y}\n",
        16, 16, 3, data, 3));
    check_name(&n, "distillation.message.surface_normals_estimation.semantic_segmentation_of_forty."
                   "bias");
    check_name(&n, "distillation.message.surface_normals_estimation."
                   "semantic_segmentation_of_thirteen.bias");
    close_network(&n);
}
END_TEST

/* ---- what is refused ---------------------------------------------------------------------------
 */

static const struct {
    const char *model, *task, *message;
} refused[] = {
    {"{trunk: lenet}", "{head: segmentation, loss: cross-entropy, target: y}",
     "tasks.t.head: 'segmentation' needs a feature map of the input's size, which the trunk "
     "'lenet' "
     "does not give"},
    {"{trunk: resnet18}", "{layers: [conv 2 k1], feature: dense, loss: l1, target: y}",
     "'layers' needs a feature map of the input's size, which the trunk 'resnet18' does not give"},
    {"{trunk: lenet}", "{head: fcn, loss: cross-entropy, target: y}",
     "head 'fcn' needs a feature map, the trunk ends in f32[2,84]"},
    {"{trunk: unet}", "{head: segmentation, loss: cross-entropy, target: y}",
     "trunk 'unet' with 4 levels needs images whose sides are multiples of 8, these are 28x28"},
    {"{trunk: segnet}", "{head: segmentation, loss: cross-entropy, target: y}",
     "multiples of 32, these are 28x28"},
    {"{trunk: unet, filters: [8]}", "{head: linear, loss: cross-entropy, target: y}",
     "model.filters = [8]: unet takes 2 to 7 numbers, not 1"},
    {"{trunk: resnet18, filters: [8, 8, 8]}", "{head: linear, loss: cross-entropy, target: y}",
     "takes 4 to 4 numbers, not 3"},
    {"{trunk: unet, filters: [8, 0]}", "{head: linear, loss: cross-entropy, target: y}",
     "0 channels: must be 1 to 65536"},
    {"{trunk: lenet, filters: [8, 8]}", "{head: linear, loss: cross-entropy, target: y}",
     "has no meaning for the trunk 'lenet'"},
    {"{trunk: unet, filters: [4, 4], stem: cifar}", "{head: linear, loss: bce, target: y}",
     "model.stem = cifar: has no meaning for the trunk 'unet'"},
    {"{trunk: segnet, norm: none}", "{head: linear, loss: bce, target: y}",
     "model.norm = none: has no meaning for the trunk 'segnet'"},
    {"{trunk: unet, layers: [relu]}", "{head: linear, loss: bce, target: y}",
     "model.trunk already names 'unet'"},
    {"{layers: [conv 12 k3, conv 16 k3 g3]}", "{head: pool-linear, loss: bce, target: y}",
     "encoder.1: 3 groups do not divide 12 input and 16 output channels"},
    {"{layers: [conv 16 k3, conv 12 k3 g3]}", "{head: pool-linear, loss: bce, target: y}",
     "encoder.1: 3 groups do not divide 16 input and 12 output channels"},
    {"{trunk: cnn, sharing: mtan}", "{head: pool-linear, loss: bce, target: y}",
     "model.sharing = mtan: mtan makes masks of a block's first features for its last, but a block "
     "of the trunk 'cnn' has one convolution (hint: segnet, unet, resnet18, resnet34, resnet50)"},
    {"{trunk: cnn, filters: [4, 4], sharing: pad-net}", "{head: fcn, loss: bce, target: y}",
     "model.sharing: pad-net starts from a map of at most a quarter of the input's size, which the "
     "trunk 'cnn' does not give"},
    {"{trunk: cnn, filters: [4, 4, 4], sharing: pad-net}",
     "{head: pool-linear, loss: bce, target: y}",
     "tasks.t.head: 'pool-linear' does not predict a value for each pixel, but model.sharing: "
     "pad-net distils between tasks that do"},
    {"{trunk: resnet18, sharing: mtan, pad_net: A}", "{head: linear, loss: bce, target: y}",
     "model.pad_net = A: has no meaning with model.sharing: mtan (hint: it is an option of "
     "pad-net)"},
    {"{trunk: strided-cnn-pool}", "{layers: [avg-pool-to 9], loss: l1, target: y}",
     "avg-pool-to 9x9: the input is f32[2,4,4,128]"},
};

START_TEST(wrong_networks_are_refused)
{
    static const task_data data[] = {{"t", 3, 1}};
    network n;
    char yaml[512];
    snprintf(yaml, sizeof yaml, "model: %s\ntasks:\n  t: %s\n", refused[_i].model,
             refused[_i].task);
    support_fails(build(&n, yaml, 28, 28, 1, data, 1), TDM_ERR_CONFIG, refused[_i].message);
    close_network(&n);
}
END_TEST

/* Columns are mixed by one operation of so many inputs. */
START_TEST(too_many_tasks_to_mix)
{
    enum { TASKS = 65 };
    static const struct {
        const char *sharing, *message;
        int tasks;
    } ways[] = {{"sluice",
                 "model.sluice_subspaces = 2: sluice mixes at most 64 subspaces, 33 tasks "
                 "have 66",
                 33},
                {"cross-stitch", "cross-stitch mixes at most 64 tasks, there are 65", TASKS}};
    static char names[TASKS][16];
    task_data data[TASKS];
    network n;
    tdm__str yaml = {0};
    for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
        tdm__str_addf(&yaml, "model: {trunk: cnn, filters: [4, 4], sharing: %s}\ntasks:\n",
                      ways[k].sharing);
        for (int t = 0; t < ways[k].tasks; t++) {
            snprintf(names[t], sizeof names[t], "t%d", t);
            data[t] = (task_data){names[t], 2, 0};
            tdm__str_addf(&yaml, "  t%d: {head: pool-linear, loss: cross-entropy, target: y}\n", t);
        }
        support_fails(build(&n, tdm__str_text(&yaml), 8, 8, 1, data, ways[k].tasks), TDM_ERR_CONFIG,
                      ways[k].message);
        close_network(&n);
        tdm__str_free(&yaml);
    }
}
END_TEST

/* xavier-normal: N(0, 2 / (fan_in + fan_out)), biases 0; torchvision's ResNet: N(0, 2 / fan_out).
 */
START_TEST(initial_values)
{
    static const task_data data[] = {{"t", 10, 0}};
    static const char head[] =
        "tasks: {t: {head: pool-linear, prefix: fc, loss: cross-entropy, target: y}}\n";
    network n;
    char yaml[512];
    for (int xavier = 0; xavier < 2; xavier++) {
        snprintf(yaml, sizeof yaml, "model: {trunk: resnet18, prefix: \"\"%s}\n%s",
                 xavier ? ", init: xavier-normal" : "", head);
        support_ok(build(&n, yaml, 32, 32, 3, data, 1));
        const tdm__segment *conv =
            tdm__flat_segment(n.flat, tdm__flat_find(n.flat, "layer2.0.conv1.weight"));
        const tdm__segment *bias = tdm__flat_segment(n.flat, tdm__flat_find(n.flat, "fc.bias"));
        const double fan_in = 64 * 9, fan_out = 128 * 9;
        ck_assert_int_eq(conv->init, TDM__INIT_NORMAL);
        ck_assert_double_eq_tol(conv->init_value * conv->init_value,
                                xavier ? 2 / (fan_in + fan_out) : 2 / fan_out, 1e-9);
        ck_assert_int_eq(bias->init, xavier ? TDM__INIT_ZERO : TDM__INIT_UNIFORM);
        close_network(&n);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("networks");
    TCase *tc = tcase_create("networks");
    tcase_add_test(tc, segnet_counts);
    tcase_add_test(tc, strided_cnn_counts);
    tcase_add_loop_test(tc, strided_cnn_pool_fits_omniglot, 0, 4);
    tcase_add_loop_test(tc, resnet_counts, 0, 3);
    tcase_add_loop_test(tc, resnet_stems, 0, 2);
    tcase_add_test(tc, layers_have_groups);
    tcase_add_test(tc, heads_attach_to_the_unet);
    tcase_add_test(tc, small_cnn);
    tcase_add_test(tc, mtan_counts);
    tcase_add_loop_test(tc, attention_follows_the_trunk, 0, sizeof attentive / sizeof *attentive);
    tcase_add_loop_test(tc, pad_net_starts_at_a_quarter, 0, sizeof quarters / sizeof *quarters);
    tcase_add_test(tc, pad_net_of_one_task);
    tcase_add_test(tc, long_names_of_tasks);
    tcase_add_test(tc, too_many_tasks_to_mix);
    tcase_add_loop_test(tc, wrong_networks_are_refused, 0, sizeof refused / sizeof *refused);
    tcase_add_test(tc, initial_values);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

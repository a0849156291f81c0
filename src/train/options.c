/* train/options.c: the options of the trainer, and the list of every component's table. */
#include <tandem/loader.h>
#include <tandem/model.h>
#include <tandem/optim.h>
#include <tandem/pipeline.h>
#include <tandem/task.h>
#include <tandem/train.h>

#include <string.h>

#include "model/transfer.h"
#include "train/chooser.h"
#include "train/protocol.h"
#include "train/stage_measure.h"

static const tdm_opt_spec train_specs[] = {
    {"name", TDM_OPT_STRING, "run", TDM_OPT_RUNTIME, .help = "begins the run folder's name"},
    {"seed", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, .help = "of weights, order, dropout, splits"},
    {"train.epochs", TDM_OPT_INT, "10", TDM_OPT_MIN, 1, .help = "passes over the training split"},
    {"train.batch_size", TDM_OPT_INT, "64", TDM_OPT_MIN | TDM_OPT_MAX, 1, 1 << 20,
     .help = "samples a step"},
    {"train.sampling", TDM_OPT_ENUM, "joint", .choices = "joint|uniform|weighted",
     .help =
         "a step learns all tasks, or one that is drawn: each as often, or by tasks.*.sampling"},
    {"train.output", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "run folder; empty: runs/<name>-<time>"},
    {"train.resume", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "`auto` (go on in train.output if it holds a state) or a run folder"},
    {"train.init_from", TDM_OPT_STRING, "",
     .help = "run folder or safetensors whose fitting tensors become the first weights"},
    {"train.freeze", TDM_OPT_STRINGS, "[]",
     .help = "name patterns that stand still, e.g. encoder or \"encoder.[0-2].*\""},
    {"train.freeze_except_last", TDM_OPT_INT, "-1", TDM_OPT_MIN, -1,
     .help = "of the trunk only so many last blocks are learnt, the others stand still; -1: all"},
    {"train.unfreeze", TDM_OPT_STRINGS, "[]",
     .hint = "[encoder.layer4 at epoch 3, encoder at step 500]",
     .help = "name patterns that stand still until the beginning of an epoch or step, from 1"},
    {"train.feature_cache", TDM_OPT_ENUM, "auto", TDM_OPT_RUNTIME,
     .choices = "auto|device|disk|off",
     .help =
         "while the trunk is frozen, what it makes of each sample is computed once: kept in device "
         "memory, or a file"},
    {"train.select", TDM_OPT_STRING, "total",
     .help = "what makes a checkpoint the best on val: total (of target tasks), losses (their sum "
             "without weights, the same for all methods of balancing), TASK.loss, TASK.METRIC"},
    {"train.select_tasks", TDM_OPT_BOOL, "false",
     .help =
         "also keep for each target task the checkpoint that is best for it alone, by its first "
         "metric on val (without one, its loss): best.TASK.safetensors, measured on test at the "
         "end"},
    {"train.patience", TDM_OPT_INT, "0", TDM_OPT_MIN, 0,
     .help = "stop after so many epochs without improvement; 0: never"},
    {"train.min_delta", TDM_OPT_FLOAT, "0", TDM_OPT_MIN, 0,
     .help = "what counts as an improvement"},
    {"train.max_time", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_RUNTIME, 0,
     .help = "seconds after which the run saves and stops; 0: no limit"},
    {"train.checkpoint_steps", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_RUNTIME, 0,
     .help = "also save the state every so many steps; 0: at epochs' ends only"},
    {"train.overfit_batches", TDM_OPT_INT, "0", TDM_OPT_MIN, 0,
     .help = "train on the first so many batches only, without validation"},
    {"train.fast_dev_run", TDM_OPT_BOOL, "false",
     .help = "one epoch of a few batches, to see that everything runs"},
    {"train.test", TDM_OPT_BOOL, "true", TDM_OPT_RUNTIME,
     .help = "measure the selected checkpoint on the test split at the end"},
    {"train.log_format", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help =
         "a line of your own per epoch, e.g. \"{epoch:04d} {train.total:.4f} {val.seg.miou:.3f}\""},
    {"train.save_format", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "a line whenever the best checkpoint is written, e.g. \"Model save: {path}\""},
    {"train.verbose", TDM_OPT_BOOL, "false", TDM_OPT_RUNTIME,
     .help = "say the accuracy (first metric) of every task after each epoch, on one line"},
    {"train.history", TDM_OPT_BOOL, "false", TDM_OPT_RUNTIME,
     .help = "write history.json or history_class<i>.json: the accuracy (first metric) per epoch"},
    {"train.save_model", TDM_OPT_BOOL, "true", TDM_OPT_RUNTIME,
     .help = "keep checkpoints and state once the run has ended"},
    {"train.tensorboard", TDM_OPT_BOOL, "true", TDM_OPT_RUNTIME, .help = "write event files"},
    {"train.profile", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "Chrome trace of the run's first epoch"},
};
static const tdm_opt_table train_table = {"train", train_specs,
                                          sizeof train_specs / sizeof *train_specs};

static const tdm_opt_spec device_specs[] = {
    {"device.spec", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "gpu, cpu, platform:device or part of a name; empty: first GPU, else CPU"},
    {"device.platform", TDM_OPT_STRING, "", TDM_OPT_RUNTIME, .help = "index or part of a name"},
    {"device.type", TDM_OPT_ENUM, "any", TDM_OPT_RUNTIME, .choices = "any|gpu|cpu|accelerator",
     .help = "only devices of this type"},
    {"device.style", TDM_OPT_ENUM, "auto", TDM_OPT_RUNTIME, .choices = "auto|cpu|gpu",
     .help = "kernel style; auto: by the device's type"},
    {"device.units", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_MAX | TDM_OPT_RUNTIME, 0, 1 << 20,
     .help = "compute units (threads of a CPU) to use of the device; 0: all"},
    {"device.memory_limit", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "bytes that buffers may take (512MiB, 2G); values are computed again to stay within"},
};
static const tdm_opt_table device_table = {"device", device_specs,
                                           sizeof device_specs / sizeof *device_specs};

static const tdm_opt_spec bench_specs[] = {
    {"bench.steps", TDM_OPT_INT, "20", TDM_OPT_MIN | TDM_OPT_RUNTIME, 1,
     .help = "steps measured; where tasks are drawn (train.sampling) they take turns"},
    {"bench.warmup", TDM_OPT_INT, "3", TDM_OPT_MIN | TDM_OPT_RUNTIME, 1,
     .help = "steps before; where tasks are drawn at least one of each"},
    {"bench.ops", TDM_OPT_BOOL, "false", TDM_OPT_RUNTIME,
     .help = "also time every operation of the step, and compare it with the device's limits"},
    {"bench.arrays.*.shape", TDM_OPT_INTS, "[]", TDM_OPT_MIN | TDM_OPT_RUNTIME, 1,
     .help = "shape of one sample of a made-up array"},
    {"bench.arrays.*.kind", TDM_OPT_ENUM, "values", TDM_OPT_RUNTIME,
     .choices = "image|class|mask|box|depth|values", .help = "what it is"},
    {"bench.arrays.*.classes", TDM_OPT_INT, "0", TDM_OPT_MIN | TDM_OPT_RUNTIME, 0,
     .help = "of class and mask arrays"},
};
static const tdm_opt_table bench_table = {"bench", bench_specs,
                                          sizeof bench_specs / sizeof *bench_specs};

void tdm_schema(const tdm_opt_table *const **tables, size_t *n)
{
    static const tdm_opt_table *const all[] = {
        &train_table,           &device_table,         &tdm_data_options,  &tdm_model_options,
        &tdm_task_options,      &tdm_balance_options,  &tdm_optim_options, &tdm_schedule_options,
        &tdm__protocol_options, &tdm__tune_options,    &bench_table,       &tdm__load_options,
        &tdm_pipeline_options,  &tdm__measure_options,
    };
    *tables = all;
    *n = sizeof all / sizeof *all;
}

tdm_status tdm_device_spec_read(const tdm_config *config, tdm_device_spec *out)
{
    const char *type, *style;
    tdm_status status = TDM_OK;
    memset(out, 0, sizeof *out);
    TDM_TRY(tdm_config_string(config, "device.spec", &out->device));
    TDM_TRY(tdm_config_string(config, "device.platform", &out->platform));
    TDM_TRY(tdm_config_string(config, "device.type", &type));
    TDM_TRY(tdm_config_string(config, "device.style", &style));
    if (!strcmp(type, "gpu")) out->type = TDM_DEVICE_GPU;
    if (!strcmp(type, "cpu")) out->type = TDM_DEVICE_CPU;
    if (!strcmp(type, "accelerator")) out->type = TDM_DEVICE_ACCELERATOR;
    if (!strcmp(style, "cpu")) out->style = TDM_STYLE_CPU;
    if (!strcmp(style, "gpu")) out->style = TDM_STYLE_GPU;
    const char *profile, *limit;
    int64_t units;
    bool ops;
    TDM_TRY(tdm_config_int(config, "device.units", &units));
    out->units = (unsigned)units;
    TDM_TRY(tdm_config_string(config, "device.memory_limit", &limit));
    if (*limit && (!tdm__parse_bytes(limit, &out->memory_limit) || !out->memory_limit))
        TDM_TRY(
            tdm__hint(tdm__fail(TDM_ERR_CONFIG, "device.memory_limit = %s: must be a size", limit),
                      "e.g. 512MiB or 2G"));
    TDM_TRY(tdm_config_string(config, "train.profile", &profile));
    TDM_TRY(tdm_config_bool(config, "bench.ops", &ops));
    out->profile = *profile || ops;
done:
    return status;
}

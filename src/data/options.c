/* data/options.c: the data.* options and what they fill. */
#include <tandem/loader.h>

#include "base/str.h"

static const tdm_opt_spec specs[] = {
    {"data.path", TDM_OPT_STRING, "", 0, 0, 0, NULL, "a data set from `tandem data import`",
     "folder with train, val, test (each a .h5 file or a folder of them), or one .h5 file"},
    {"data.val_fraction", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1, NULL,
     "0.05 to 0.2", "part of train to draw as val, when the data set has no val of its own"},
    {"data.val_count", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, 0, NULL, NULL,
     "the same as a number of samples"},
    {"data.test_fraction", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1, NULL,
     "0.1 to 0.3", "part of train to draw as test, when the data set has no test of its own"},
    {"data.test_count", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, 0, NULL, NULL,
     "the same as a number of samples"},
    {"data.num_samples", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, 0, NULL, NULL,
     "use only so many samples of train, drawn without replacement; 0: all"},
    {"data.fraction", TDM_OPT_FLOAT, "1", TDM_OPT_MIN_OPEN | TDM_OPT_MAX, 0, 1, NULL, "0.01 to 1",
     "the same as a share of train, stratified; a smaller one is part of every larger one"},
    {"data.stratify", TDM_OPT_STRING, "", 0, 0, 0, NULL, "labels",
     "the array of classes that data.fraction keeps in proportion; empty: the first; none"},
    {"data.where.*", TDM_OPT_INTS, "", 0, 0, 0, NULL, "alphabet: [0, 1, 2]",
     "of every split use only the samples whose class in this array is one of these"},
    {"data.split_seed", TDM_OPT_INT, "0", TDM_OPT_MIN, 0, 0, NULL, NULL,
     "seed of drawn splits, num_samples and fraction; the training seed does not change them"},
    {"data.shuffle", TDM_OPT_BOOL, "true", 0, 0, 0, NULL, NULL,
     "a new order of the training samples in every epoch"},
    {"data.transforms", TDM_OPT_STRINGS, "[]", 0, 0, 0, NULL, "[flip 0.5, crop 224, resize 128]",
     "what is done to samples: flip vflip rotate90 scale crop jitter at random (on the training "
     "split), resize"},
    {"data.drop_last", TDM_OPT_BOOL, "false", 0, 0, 0, NULL, NULL,
     "leave out an epoch's last training batch when it is short"},
    {"data.in_memory", TDM_OPT_BOOL, "false", TDM_OPT_RUNTIME, 0, 0, NULL, NULL,
     "read every sample once at the start and keep it in memory"},
    {"data.cache", TDM_OPT_BOOL, "true", TDM_OPT_RUNTIME, 0, 0, NULL, NULL,
     "copy files that are slow to read by sample once into the cache folder"},
    {"data.workers", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_MAX | TDM_OPT_RUNTIME, 0, 256, NULL,
     "1 to the number of cores", "threads that read and decode; 0: load between the steps"},
    {"data.slots", TDM_OPT_INT, "3", TDM_OPT_MIN | TDM_OPT_MAX | TDM_OPT_RUNTIME, 1, 64, NULL,
     "2 to 4", "batches held in memory, the one in use included"},
};

const tdm_opt_table tdm_data_options = {"data", specs, sizeof specs / sizeof *specs};

static tdm_status read_count(const tdm_config *config, const char *key, uint64_t *out)
{
    int64_t value = 0;
    tdm_status status = tdm_config_int(config, key, &value);
    *out = (uint64_t)value;
    return status;
}

static tdm_status read_where(const tdm_config *config, tdm_split_spec *out)
{
    const char *const *names = NULL;
    size_t n = 0;
    tdm__str key = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_members(config, "data.where", &names, &n));
    for (size_t i = 0; i < n; i++) {
        tdm_split_where *w = &out->where[i];
        key.length = 0;
        tdm__str_addf(&key, "data.where.%s", names[i]);
        TDM_TRY(tdm__str_status(&key));
        if (i == TDM_SPLIT_WHERE)
            TDM_TRY(tdm_config_reject(config, key.text, "at most %d arrays can be named",
                                      TDM_SPLIT_WHERE));
        w->array = names[i];
        TDM_TRY(tdm_config_ints(config, key.text, &w->values, &w->n_values));
    }
    out->n_where = n;
done:
    tdm__str_free(&key);
    return status;
}

tdm_status tdm_split_spec_read(const tdm_config *config, tdm_split_spec *out)
{
    tdm_status status = TDM_OK;
    *out = (tdm_split_spec){0};
    TDM_TRY(tdm_config_string(config, "data.path", &out->path));
    if (!out->path[0])
        TDM_TRY(tdm_config_reject(config, "data.path", "must be given: a data-set folder"));
    TDM_TRY(tdm_config_float(config, "data.val_fraction", &out->val_fraction));
    TDM_TRY(tdm_config_float(config, "data.test_fraction", &out->test_fraction));
    TDM_TRY(read_count(config, "data.val_count", &out->val_count));
    TDM_TRY(read_count(config, "data.test_count", &out->test_count));
    TDM_TRY(read_count(config, "data.num_samples", &out->num_samples));
    TDM_TRY(tdm_config_float(config, "data.fraction", &out->fraction));
    TDM_TRY(tdm_config_string(config, "data.stratify", &out->stratify));
    TDM_TRY(read_count(config, "data.split_seed", &out->seed));
    TDM_TRY(tdm_config_bool(config, "data.cache", &out->cache));
    TDM_TRY(read_where(config, out));
done:
    return status;
}

tdm_status tdm_loader_spec_read(const tdm_config *config, tdm_loader_spec *spec)
{
    tdm_status status = TDM_OK;
    uint64_t workers = 0, slots = 0;
    TDM_TRY(tdm_config_bool(config, "data.shuffle", &spec->shuffle));
    TDM_TRY(tdm_config_bool(config, "data.drop_last", &spec->drop_last));
    TDM_TRY(tdm_config_bool(config, "data.in_memory", &spec->in_memory));
    TDM_TRY(read_count(config, "data.workers", &workers));
    TDM_TRY(read_count(config, "data.slots", &slots));
    spec->workers = (unsigned)workers;
    spec->slots = (unsigned)slots;
    TDM_TRY(tdm_transforms_read(config, &spec->transforms));
done:
    return status;
}

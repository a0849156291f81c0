/* support/config_fixture.h: three option tables and a configuration of them, for the test programs
 * of src/config. */
#ifndef SUPPORT_CONFIG_FIXTURE_H
#define SUPPORT_CONFIG_FIXTURE_H

#include <string.h>

#include <tandem/config.h>

#include "base/mem.h"
#include "support/support.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const tdm_opt_spec optim_specs[] = {
    {"optim.name", TDM_OPT_ENUM, "adam", 0, 0, 0, "sgd|adam|adamw", NULL, "update rule"},
    {"optim.lr", TDM_OPT_FLOAT, "0.001", TDM_OPT_MIN_OPEN, 0, 0, NULL, "1e-4 to 1e-1",
     "learning rate"},
    {"optim.momentum", TDM_OPT_FLOAT, "0", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1, NULL, NULL, NULL},
    {"optim.betas", TDM_OPT_FLOATS, "[0.9, 0.999]", TDM_OPT_MIN | TDM_OPT_MAX_OPEN, 0, 1, NULL,
     NULL, "decay of the moments"},
    {"optim.nesterov", TDM_OPT_BOOL, "false", 0, 0, 0, NULL, NULL, NULL},
};
static const tdm_opt_spec data_specs[] = {
    {"data.path", TDM_OPT_STRING, NULL, TDM_OPT_REQUIRED, 0, 0, NULL, NULL, "folder of HDF5 files"},
    {"data.workers", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_MAX | TDM_OPT_RUNTIME, 0, 64, NULL,
     NULL, "decode threads"},
    {"data.cache", TDM_OPT_STRING, "", 0, 0, 0, NULL, NULL, NULL},
    {"data.size", TDM_OPT_INTS, "28,28", TDM_OPT_MIN, 1, 0, NULL, NULL, NULL},
    {"freeze", TDM_OPT_STRINGS, "", 0, 0, 0, NULL, NULL, "globs of parameters"},
};
static const tdm_opt_spec task_specs[] = {
    {"tasks.*.loss", TDM_OPT_ENUM, "l1", 0, 0, 0, "l1|l2|cross_entropy", NULL, "loss"},
    {"tasks.*.weight", TDM_OPT_FLOAT, "1", TDM_OPT_MIN, 0, 0, NULL, NULL, NULL},
    {"transfer.*.from", TDM_OPT_STRING, NULL, TDM_OPT_REQUIRED, 0, 0, NULL, NULL, "checkpoint"},
    {"transfer.*.map.*.to", TDM_OPT_STRING, "", 0, 0, 0, NULL, NULL, NULL},
};
static const tdm_opt_table optim_table = {"optim", optim_specs, 5};
static const tdm_opt_table data_table = {"data", data_specs, 5};
static const tdm_opt_table task_table = {"tasks", task_specs, 4};
static const tdm_opt_table *const tables[] = {&optim_table, &data_table, &task_table};

static tdm_config *config;

static inline void setup(void)
{
    support_ok(tdm_config_create(tables, 3, &config));
}

static inline void teardown(void)
{
    tdm__mem_fail_after(0);
    tdm_config_destroy(&config);
    tdm_config_destroy(&config);
    ck_assert_ptr_null(config);
}

static inline tdm_status load(const char *text)
{
    return tdm_config_load_text(config, text, strlen(text), "a.yaml");
}

static inline void resolve(void)
{
    support_ok(tdm_config_resolve(config));
}

static inline double get_float(const char *key)
{
    double value = -999;
    support_ok(tdm_config_float(config, key, &value));
    return value;
}

static inline int64_t get_int(const char *key)
{
    int64_t value = -999;
    support_ok(tdm_config_int(config, key, &value));
    return value;
}

static inline const char *get_string(const char *key)
{
    const char *value = NULL;
    support_ok(tdm_config_string(config, key, &value));
    return value;
}

#endif

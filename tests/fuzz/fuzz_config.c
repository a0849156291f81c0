/* Fuzzes the configuration: any text either fails with a message or resolves to something whose
 * dump loads again with the same hash. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const tdm_opt_spec specs[] = {
    {"name", TDM_OPT_STRING, "", 0, 0, 0, NULL, NULL, "a text"},
    {"optim.rule", TDM_OPT_ENUM, "sgd", 0, 0, 0, "sgd|adam", NULL, NULL},
    {"optim.lr", TDM_OPT_FLOAT, "0.1", TDM_OPT_MIN_OPEN, 0, 0, NULL, "1e-4 to 1e-1", NULL},
    {"optim.on", TDM_OPT_BOOL, "true", 0, 0, 0, NULL, NULL, NULL},
    {"data.workers", TDM_OPT_INT, "1", TDM_OPT_MIN | TDM_OPT_RUNTIME, 0, 0, NULL, NULL, NULL},
    {"data.size", TDM_OPT_INTS, "[1, 2]", 0, 0, 0, NULL, NULL, NULL},
    {"data.mean", TDM_OPT_FLOATS, "", 0, 0, 0, NULL, NULL, NULL},
    {"freeze", TDM_OPT_STRINGS, "", 0, 0, 0, NULL, NULL, NULL},
    {"tasks.*.weight", TDM_OPT_FLOAT, "1", 0, 0, 0, NULL, NULL, NULL},
    {"tasks.*.head.*.width", TDM_OPT_INT, "8", 0, 0, 0, NULL, NULL, NULL},
    {"stages.*.from", TDM_OPT_STRING, "", 0, 0, 0, NULL, NULL, NULL},
};
static const tdm_opt_table table = {"fuzz", specs, sizeof specs / sizeof *specs};
static const tdm_opt_table *const tables[] = {&table};

static void require(bool condition)
{
    if (!condition) abort();
}

/* Loads and resolves; on success *dump and hex are set. */
static tdm_status load(const char *text, size_t size, bool origins, char **dump, char hex[33])
{
    tdm_config *config = NULL;
    tdm_status status = tdm_config_create(tables, 1, &config);
    /* a folder that is not there: extends finds nothing to read */
    if (!status) status = tdm_config_load_text(config, text, size, "no-such-folder/fuzz.yaml");
    if (!status) status = tdm_config_resolve(config);
    if (!status) status = tdm_config_dump(config, origins, dump);
    if (!status) status = tdm_config_hash(config, hex);
    require(!status || *tdm_last_error());
    tdm_config_destroy(&config);
    return status;
}

/* Every stage of a configuration that resolves, resolves too: nothing here is required. */
static void open_stages(const char *text)
{
    tdm_config *config = NULL, *stage = NULL;
    const char *const *names;
    size_t n;
    require(tdm_config_create(tables, 1, &config) == TDM_OK);
    require(tdm_config_load_text(config, text, strlen(text), "dump") == TDM_OK);
    require(tdm_config_resolve(config) == TDM_OK);
    require(tdm_config_members(config, "stages", &names, &n) == TDM_OK);
    for (size_t i = 0; i < n; i++) {
        require(tdm_config_stage(config, names[i], &stage) == TDM_OK);
        tdm_config_destroy(&stage);
    }
    tdm_config_destroy(&config);
}

/* The first line as an assignment. */
static void assign(const uint8_t *data, size_t size)
{
    tdm_config *config = NULL;
    const uint8_t *end = memchr(data, '\n', size);
    size_t n = end ? (size_t)(end - data) : size;
    char *text = malloc(n + 1);
    require(text != NULL);
    memcpy(text, data, n);
    text[n] = 0;
    require(tdm_config_create(tables, 1, &config) == TDM_OK);
    if (tdm_config_assign(config, text, "--set") == TDM_OK)
        require(tdm_config_resolve(config) == TDM_OK);
    tdm_config_destroy(&config);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = NULL, *second = NULL, a[33], b[33];
    if (load((const char *)data, size, size % 2, &first, a) == TDM_OK) {
        require(load(first, strlen(first), size % 2 == 0, &second, b) == TDM_OK);
        require(strcmp(a, b) == 0);
        open_stages(first);
    }
    free(first);
    free(second);
    if (size > 0) assign(data, size);
    return 0;
}

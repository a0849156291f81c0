/* tandem/config.h: one table of option specs drives YAML, --set, help, validation and the resolved
 * configuration.
 *
 * A configuration is an ordered set of dotted keys ("optim.lr") with typed values. Tables declare
 * keys; a `*` segment stands for any name ("tasks.*.weight": the user names the tasks). Precedence:
 * defaults < file (its `extends:` files first) < environment < flags / --set. Every value remembers
 * where it came from, and every message names it: `configs/a.yaml:12:9: optim.lr = -0.1: must be
 * > 0 (hint: 1e-4 to 1e-1)`.
 *
 * A tdm_config is not thread-safe while it is being changed; reading is.
 */
#ifndef TANDEM_CONFIG_H
#define TANDEM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tandem/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tdm_opt_type {
    TDM_OPT_BOOL,
    TDM_OPT_INT,
    TDM_OPT_FLOAT,
    TDM_OPT_STRING, /* "" means unset */
    TDM_OPT_ENUM,   /* one of `choices` */
    TDM_OPT_INTS,   /* YAML sequence, or comma-separated in --set */
    TDM_OPT_FLOATS,
    TDM_OPT_STRINGS
} tdm_opt_type;

enum {
    TDM_OPT_MIN = 1,       /* value >= min */
    TDM_OPT_MAX = 2,       /* value <= max */
    TDM_OPT_MIN_OPEN = 4,  /* value > min */
    TDM_OPT_MAX_OPEN = 8,  /* value < max */
    TDM_OPT_REQUIRED = 16, /* no default: must be given */
    TDM_OPT_RUNTIME = 32,  /* does not change results (paths, workers, progress): left out of the
                              hash that identifies a run */
    TDM_OPT_SETTINGS = 64  /* TDM_OPT_STRINGS of "key=value" texts for another configuration, which
                              YAML may also write as a mapping: {optim.lr: 0.1, optim: {kind: sgd}}.
                              A mapping adds to what is there, key by key; a list replaces it */
};

typedef struct tdm_opt_spec {
    const char *key;     /* "optim.lr", "tasks.*.weight" */
    tdm_opt_type type;
    const char *def;     /* as written in YAML; NULL with TDM_OPT_REQUIRED */
    unsigned flags;
    double min, max;
    const char *choices; /* "sgd|adam|adamw" for TDM_OPT_ENUM */
    const char *hint;    /* sensible range, shown in errors; may be NULL */
    const char *help;    /* one line */
} tdm_opt_spec;

typedef struct tdm_opt_table {
    const char *component; /* "optim": heading in help and --defaults */
    const tdm_opt_spec *specs;
    size_t n;
} tdm_opt_table;

typedef struct tdm_config tdm_config;

/* tables: n pointers, kept (not copied); they must outlive the config. */
tdm_status tdm_config_create(const tdm_opt_table *const *tables, size_t n, tdm_config **out);
void tdm_config_destroy(tdm_config **config);
tdm_status tdm_config_copy(const tdm_config *config, tdm_config **out);

/* Loads YAML. Unknown keys fail with a suggestion, wrong types and ranges with file:line:column.
 * `extends: other.yaml` (relative to the file) is loaded first; a cycle is an error. */
tdm_status tdm_config_load(tdm_config *config, const char *path);
/* The same from memory; `name` stands for the path in messages. */
tdm_status tdm_config_load_text(tdm_config *config, const char *text, size_t size, const char *name);
/* "key.path=value"; origin names the source in messages ("--set", "TANDEM_DEVICE"). */
tdm_status tdm_config_assign(tdm_config *config, const char *assignment, const char *origin);
tdm_status tdm_config_set(tdm_config *config, const char *key, const char *value, const char *origin);
/* Gives member `to` of a wildcard ("tasks") every value that was given for member `from`. */
tdm_status tdm_config_member_copy(tdm_config *config, const char *prefix, const char *from,
                                  const char *to, const char *origin);
/* Fills defaults (wildcard members included) and checks what is required. Call once after the last
 * change; getters work after it. */
tdm_status tdm_config_resolve(tdm_config *config);

/* The configuration of one stage, resolved: the common keys, and over them what stands behind
 * `stages.<name>.`, where any key may. Files read through `stages.<name>.extends` count as the
 * stage's; what tdm_config_set and tdm_config_assign give a common key holds for all stages. */
tdm_status tdm_config_stage(const tdm_config *config, const char *name, tdm_config **out);

/* The resolved configuration as YAML; with_origins adds a comment per value. free() the result. */
tdm_status tdm_config_dump(const tdm_config *config, bool with_origins, char **out);
/* The same without what does not change results (TDM_OPT_RUNTIME): runs that must give the same bits
 * give the same text. free() the result. */
tdm_status tdm_config_dump_results(const tdm_config *config, char **out);
/* Every key with type, default, range and help, as commented YAML. free() the result. */
tdm_status tdm_config_defaults(const tdm_config *config, char **out);
/* Hash (32 hex digits + NUL) of all values that change results. */
tdm_status tdm_config_hash(const tdm_config *config, char hex[33]);

/* Typed access by full key. The key must be declared (a missing one is TDM_ERR_CONFIG). Pointers
 * stay valid until the config changes. */
tdm_status tdm_config_bool(const tdm_config *config, const char *key, bool *out);
tdm_status tdm_config_int(const tdm_config *config, const char *key, int64_t *out);
tdm_status tdm_config_float(const tdm_config *config, const char *key, double *out);
tdm_status tdm_config_string(const tdm_config *config, const char *key, const char **out);
tdm_status tdm_config_floats(const tdm_config *config, const char *key, const double **out, size_t *n);
tdm_status tdm_config_ints(const tdm_config *config, const char *key, const int64_t **out, size_t *n);
tdm_status tdm_config_strings(const tdm_config *config, const char *key, const char *const **out,
                              size_t *n);
/* Member names under a wildcard, in file order: members(c, "tasks", ...). */
tdm_status tdm_config_members(const tdm_config *config, const char *prefix, const char *const **out,
                              size_t *n);
/* True when the user gave the key a value other than its default (a resolved configuration that is read
 * again names every key). */
bool tdm_config_given(const tdm_config *config, const char *key);
/* "configs/a.yaml:12:9", "--set", "default": for messages about a key. Never NULL. */
const char *tdm_config_origin(const tdm_config *config, const char *key);
/* Fails with "origin: key = value: message": for checks that need more than one key. */
#ifdef __GNUC__
__attribute__((format(printf, 3, 4)))
#endif
tdm_status tdm_config_reject(const tdm_config *config, const char *key, const char *format, ...);

/* The candidate that `word` most likely misspells, or NULL when none is near enough. */
const char *tdm_suggest(const char *word, const char *const *candidates, size_t n);

#ifdef __cplusplus
}
#endif
#endif

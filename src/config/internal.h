/* config/internal.h: what the files of the config module share.
 *
 * yaml.c turns a text into a flat list of items (dotted key, scalars, position); config.c applies
 * items to the store; spec.c finds the spec of a key; value.c reads and prints typed values;
 * dump.c writes whole configurations.
 */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include <tandem/config.h>

#include "base/error.h"
#include "base/str.h"

enum {
    TDM__KEY_MAX = 255,          /* longest dotted key, bytes */
    TDM__NAME_MAX = 64,          /* longest member name under a wildcard */
    TDM__MEMBERS_MAX = 512,      /* members under all wildcards of one configuration */
    TDM__CONFIG_BYTES = 1 << 20, /* largest file */
    TDM__CONFIG_DEPTH = 16,      /* deepest nesting, and longest chain of extends */
    TDM__CONFIG_KEYS = 4096,     /* keys in one file */
    TDM__CONFIG_FILES = 64       /* files loaded through extends by one load */
};

/* yaml.c ----------------------------------------------------------------------------------------*/

/* One scalar as written; null: plain and empty, ~ or null. */
typedef struct tdm__scalar {
    char *text;
    bool null;
} tdm__scalar;

typedef enum tdm__item_kind {
    TDM__ITEM_SCALAR,
    TDM__ITEM_LIST,
    TDM__ITEM_EMPTY /* an empty mapping */
} tdm__item_kind;

typedef struct tdm__item {
    char *key;
    tdm__item_kind kind;
    tdm__scalar *scalars;
    size_t n, capacity;
    size_t key_line, key_column, line, column; /* 1-based */
} tdm__item;

typedef struct tdm__items {
    tdm__item *items;
    size_t n, capacity;
} tdm__items;

/* Zero-initialise *out; release it also after a failure. */
tdm_status tdm__items_parse(const char *text, size_t size, const char *name, tdm__items *out);
/* A value given outside a file (--set, a default): a list in brackets or a quoted text is read as
 * YAML; for list types anything else is split at commas; otherwise the text is taken as it is. The
 * result is items[0]. */
tdm_status tdm__items_parse_value(tdm_opt_type type, const char *text, tdm__items *out);
void tdm__items_free(tdm__items *items);

/* value.c ---------------------------------------------------------------------------------------*/

/* A typed value: n elements (1 for scalar types) in the array of its type. */
typedef struct tdm__value {
    size_t n;
    bool b;
    int64_t *ints;
    double *floats;
    char **strings; /* text, enum and lists of text */
} tdm__value;

bool tdm__type_is_list(tdm_opt_type type);
/* "a number > 0": what messages and the list of defaults say about a spec. */
void tdm__spec_describe(const tdm_opt_spec *spec, tdm__str *out);
/* Checks and converts. The message says only what the value must be (and hints). */
tdm_status tdm__value_parse(const tdm_opt_spec *spec, const tdm__item *item, tdm__value *out);
tdm_status tdm__value_copy(const tdm__value *from, tdm__value *out);
void tdm__value_free(tdm__value *value);
/* As YAML that reads back as the same value. */
void tdm__value_print(const tdm_opt_spec *spec, const tdm__value *value, tdm__str *out);
/* The item as the user wrote it, on one line, shortened: for messages. */
void tdm__item_print(const tdm__item *item, tdm__str *out);
bool tdm__utf8_valid(const char *text);

/* The store: config.c ---------------------------------------------------------------------------*/

typedef struct tdm__entry {
    char *key;
    const tdm_opt_spec *spec;
    tdm__value value;
    char *origin; /* "default" when not given */
    bool given;
} tdm__entry;

/* The names that the user gave under one wildcard: prefix "tasks". */
typedef struct tdm__group {
    char *prefix;
    char **names;
    size_t n, capacity;
} tdm__group;

struct tdm_config {
    const tdm_opt_table **tables;
    size_t n_tables;
    tdm__entry *entries; /* after resolve: every key, in the order of the tables */
    size_t n_entries, entries_capacity;
    tdm__group *groups;
    size_t n_groups, groups_capacity;
    bool resolved;
};

/* Names a member of a wildcard; fine when it is one already. */
tdm_status tdm__member_add(tdm_config *config, const char *prefix, const char *name);
/* Notes the member that `key` names at each wildcard of the spec, as far as the two go together;
 * what the spec says begins at key + skip. */
tdm_status tdm__members_note(tdm_config *config, const char *spec, const char *key, size_t skip);
/* Puts the value into the store. Takes over *value. */
tdm_status tdm__entry_put(tdm_config *config, const char *key, const tdm_opt_spec *spec,
                          tdm__value *value, const char *origin, bool given);
void tdm__entry_drop(tdm_config *config, size_t index);

/* stage.c ---------------------------------------------------------------------------------------*/

/* Characters of "stages.NAME." at the key's beginning, when a key of the whole configuration
 * follows; else 0. Any key may stand there: it holds for that stage in place of the common one. */
size_t tdm__stage_skip(const tdm_config *config, const char *key);
/* The same for "stages.NAME.extends": characters up to "extends". */
size_t tdm__stage_extends(const tdm_config *config, const char *key);
/* Names the stage of a key with that skip. */
tdm_status tdm__stage_note(tdm_config *config, const char *key, size_t skip);
/* Appends what the stages have of their own to a store that is being resolved. */
tdm_status tdm__stages_resolve(const tdm_config *config, tdm_config *full);
/* Removes what the stages have for a common key that was set after them. */
void tdm__stages_forget(tdm_config *config, const char *key);

/* settings.c ------------------------------------------------------------------------------------*/

/* Puts the item into the list of settings that `key` goes on below, with `rest` (which points into
 * key): adds "rest=value", or replaces the text of that key. */
tdm_status tdm__setting_apply(tdm_config *config, const tdm_opt_spec *spec, const char *key,
                              const char *rest, const tdm__item *item, const char *origin);

/* spec.c ----------------------------------------------------------------------------------------*/

/* The spec of a full key, an exact one before a wildcard; NULL when there is none. */
const tdm_opt_spec *tdm__spec_find(const tdm_config *config, const char *key);
/* The spec of TDM_OPT_SETTINGS that `key` goes on below: "arms.a.set.optim.lr" belongs to "arms.*.set".
 * *rest points into key, behind the spec's part and its dot. NULL when there is none. */
const tdm_opt_spec *tdm__spec_settings(const tdm_config *config, const char *key,
                                       const char **rest);
/* "optim" is a section when some key is "optim.lr". */
bool tdm__spec_is_section(const tdm_config *config, const char *key);
/* True when names may be chosen freely right under `prefix`. */
bool tdm__spec_is_group(const tdm_config *config, const char *prefix);
/* Fails with "unknown key" or what is wrong with the key's place, and a suggestion. */
tdm_status tdm__spec_unknown(const tdm_config *config, const char *key);
/* Checks the tables themselves: key syntax, no key twice, defaults valid. */
tdm_status tdm__specs_check(const tdm_config *config);
/* Walks two dotted keys together. *a and *b move to the next segment; false at the end of either.
 */
typedef struct tdm__segments {
    const char *spec, *key; /* what is left */
    size_t spec_length, key_length;
} tdm__segments;
bool tdm__segments_next(tdm__segments *s);
bool tdm__segments_wild(const tdm__segments *s);
bool tdm__segments_match(const tdm__segments *s);

const tdm__group *tdm__group_find(const tdm_config *config, const char *prefix);
const tdm__entry *tdm__entry_find(const tdm_config *config, const char *key);

#endif

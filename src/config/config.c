/* config/config.c: the store: loading with extends, setting, resolving, getters.
 *
 * Before tdm_config_resolve the store holds what was given, in the order it came; resolve rebuilds
 * it in the order of the tables, with every wildcard expanded over the members that the user named,
 * and with the defaults filled in. A later change leaves the resolved state; defaults are then
 * dropped and filled again by the next resolve.
 */
#include "config/internal.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

/* The files being loaded, innermost first: to find cycles of extends. */
typedef struct load_chain {
    const struct load_chain *outer;
    const char *prefix; /* before every key of the file: "", or "stages.NAME." */
    const char *path;   /* canonical, or the name of a text in memory */
    int depth;
    int *files; /* files loaded so far by the outermost load */
} load_chain;

/* Creation ------------------------------------------------------------------------------------- */

static void entry_free(tdm__entry *entry)
{
    free(entry->key);
    free(entry->origin);
    tdm__value_free(&entry->value);
    *entry = (tdm__entry){0};
}

static void entries_free(tdm__entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) entry_free(&entries[i]);
    free(entries);
}

static tdm_status copy_text(const char *text, char **out)
{
    *out = tdm__strdup(text);
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory: a text");
}

/* Without checking the tables: for copies. */
static tdm_status create_unchecked(const tdm_opt_table *const *tables, size_t n, tdm_config **out)
{
    tdm_status status = TDM_OK;
    tdm_config *config = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *config, &config));
    TDM_TRY(tdm__calloc_try(n, sizeof *config->tables, &config->tables));
    for (size_t t = 0; t < n; t++) config->tables[t] = tables[t];
    config->n_tables = n;
    *out = config;
    config = NULL;
done:
    tdm_config_destroy(&config);
    return status;
}

tdm_status tdm_config_create(const tdm_opt_table *const *tables, size_t n, tdm_config **out)
{
    tdm_config *config = NULL;
    *out = NULL;
    tdm_status status = create_unchecked(tables, n, &config);
    if (!status) status = tdm__specs_check(config);
    if (status)
        tdm_config_destroy(&config);
    else
        *out = config;
    return status;
}

void tdm_config_destroy(tdm_config **config)
{
    if (!config || !*config) return;
    tdm_config *c = *config;
    entries_free(c->entries, c->n_entries);
    for (size_t i = 0; i < c->n_groups; i++) {
        tdm__names_free(c->groups[i].names, c->groups[i].n);
        free(c->groups[i].prefix);
    }
    free(c->groups);
    free(c->tables);
    free(c);
    *config = NULL;
}

/* Members and entries -------------------------------------------------------------------------- */

const tdm__group *tdm__group_find(const tdm_config *config, const char *prefix)
{
    for (size_t i = 0; i < config->n_groups; i++)
        if (tdm__streq(config->groups[i].prefix, prefix)) return &config->groups[i];
    return NULL;
}

const tdm__entry *tdm__entry_find(const tdm_config *config, const char *key)
{
    for (size_t i = 0; i < config->n_entries; i++)
        if (tdm__streq(config->entries[i].key, key)) return &config->entries[i];
    return NULL;
}

static tdm_status group_get(tdm_config *config, const char *prefix, tdm__group **out)
{
    tdm__group *group = (tdm__group *)tdm__group_find(config, prefix);
    tdm_status status = TDM_OK;
    if (!group) {
        TDM_TRY(tdm__grow(&config->groups, &config->groups_capacity, config->n_groups + 1,
                          sizeof *group));
        group = &config->groups[config->n_groups];
        TDM_TRY(copy_text(prefix, &group->prefix));
        config->n_groups++;
    }
    *out = group;
done:
    return status;
}

static tdm_status check_name(const char *prefix, const char *name)
{
    size_t n = strlen(name);
    if (n > 0 && n <= TDM__NAME_MAX && *name != '-' &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == n)
        return TDM_OK;
    return tdm__fail(TDM_ERR_CONFIG,
                     "%s.%s: a name under %s must be 1 to %d letters, digits, _ and - (not first)",
                     prefix, name, prefix, TDM__NAME_MAX);
}

tdm_status tdm__member_add(tdm_config *config, const char *prefix, const char *name)
{
    tdm_status status = TDM_OK;
    tdm__group *group = NULL;
    size_t total = 0;
    TDM_TRY(check_name(prefix, name));
    TDM_TRY(group_get(config, prefix, &group));
    for (size_t i = 0; i < group->n; i++)
        if (tdm__streq(group->names[i], name)) return TDM_OK;
    for (size_t i = 0; i < config->n_groups; i++) total += config->groups[i].n;
    if (total >= TDM__MEMBERS_MAX) {
        status = tdm__fail(TDM_ERR_CONFIG, "%s.%s: too many names: must be at most %d", prefix,
                           name, TDM__MEMBERS_MAX);
        goto done;
    }
    TDM_TRY(tdm__grow(&group->names, &group->capacity, group->n + 1, sizeof *group->names));
    TDM_TRY(copy_text(name, &group->names[group->n]));
    group->n++;
done:
    return status;
}

tdm_status tdm__members_note(tdm_config *config, const char *spec, const char *key, size_t skip)
{
    tdm_status status = TDM_OK;
    tdm__str prefix = {0}, name = {0};
    if (skip) TDM_TRY(tdm__stage_note(config, key, skip));
    for (tdm__segments s = {spec, key + skip, 0, 0}; tdm__segments_next(&s);) {
        if (!tdm__segments_match(&s)) goto done;
        if (!tdm__segments_wild(&s)) continue;
        tdm__str_free(&prefix);
        tdm__str_free(&name);
        tdm__str_addn(&prefix, key, s.key > key ? (size_t)(s.key - key - 1) : 0);
        tdm__str_addn(&name, s.key, s.key_length);
        TDM_TRY(tdm__str_status(&prefix));
        TDM_TRY(tdm__str_status(&name));
        TDM_TRY(tdm__member_add(config, prefix.text, name.text));
    }
done:
    tdm__str_free(&prefix);
    tdm__str_free(&name);
    return status;
}

/* An empty mapping where a member stands ("tasks: {depth: {}}") names the member. */
static tdm_status section_note(tdm_config *config, const char *key)
{
    const size_t skip = tdm__stage_skip(config, key);
    for (size_t t = 0; t < config->n_tables; t++)
        for (size_t k = 0; k < config->tables[t]->n; k++) {
            const char *spec = config->tables[t]->specs[k].key;
            tdm__segments s = {spec, key + skip, 0, 0};
            bool same = true;
            while (same && tdm__segments_next(&s)) same = tdm__segments_match(&s);
            if (!same || *s.key) continue;
            tdm_status status = tdm__members_note(config, spec, key, skip);
            if (status) return status;
        }
    return TDM_OK;
}

void tdm__entry_drop(tdm_config *config, size_t index)
{
    entry_free(&config->entries[index]);
    memmove(&config->entries[index], &config->entries[index + 1],
            (--config->n_entries - index) * sizeof *config->entries);
    config->entries[config->n_entries] = (tdm__entry){0};
}

tdm_status tdm__entry_put(tdm_config *config, const char *key, const tdm_opt_spec *spec,
                          tdm__value *value, const char *origin, bool given)
{
    tdm_status status = TDM_OK;
    tdm__entry fresh = {.spec = spec, .given = given};
    TDM_TRY(copy_text(key, &fresh.key));
    TDM_TRY(copy_text(origin, &fresh.origin));
    tdm__entry *entry = (tdm__entry *)tdm__entry_find(config, key);
    if (!entry) {
        TDM_TRY(tdm__grow(&config->entries, &config->entries_capacity, config->n_entries + 1,
                          sizeof *entry));
        entry = &config->entries[config->n_entries++];
    }
    entry_free(entry);
    fresh.value = *value;
    *value = (tdm__value){0};
    *entry = fresh;
    fresh = (tdm__entry){0};
done:
    entry_free(&fresh);
    return status;
}

/* Applying items ------------------------------------------------------------------------------- */

static tdm_status item_apply(tdm_config *config, const char *key, const tdm__item *item,
                             const char *origin)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    tdm__str shown = {0};
    const tdm_opt_spec *spec = tdm__spec_find(config, key);
    bool nothing =
        item->kind == TDM__ITEM_EMPTY || (item->kind == TDM__ITEM_SCALAR && item->scalars[0].null);
    const char *rest;
    const tdm_opt_spec *settings = spec ? NULL : tdm__spec_settings(config, key, &rest);
    config->resolved = false;
    if (settings) {
        status = tdm__setting_apply(config, settings, key, rest, item, origin);
    } else if (spec && nothing && (spec->flags & TDM_OPT_SETTINGS)) {
        status = tdm__members_note(config, spec->key, key, 0); /* an empty mapping adds nothing */
    } else if (!spec && nothing && tdm__spec_is_section(config, key)) {
        status = section_note(config, key);
    } else if (!spec) {
        status = tdm__spec_unknown(config, key);
    } else {
        status = tdm__value_parse(spec, item, &value);
        if (status) {
            tdm__item_print(item, &shown);
            tdm__context(status, "%s = %s", key, tdm__str_text(&shown));
        }
        if (!status)
            status = tdm__members_note(config, spec->key, key, tdm__stage_skip(config, key));
        if (!status) status = tdm__entry_put(config, key, spec, &value, origin, true);
    }
    if (status) tdm__context(status, "%s", origin);
    tdm__str_free(&shown);
    tdm__value_free(&value);
    return status;
}

tdm_status tdm_config_set(tdm_config *config, const char *key, const char *value,
                          const char *origin)
{
    tdm__items items = {0};
    const tdm_opt_spec *spec = tdm__spec_find(config, key);
    tdm_status status = tdm__items_parse_value(spec ? spec->type : TDM_OPT_STRING, value, &items);
    if (status)
        tdm__context(status, "%s: %s = %.120s", origin, key, value);
    else
        status = item_apply(config, key, &items.items[0], origin);
    if (!status) tdm__stages_forget(config, key);
    tdm__items_free(&items);
    return status;
}

tdm_status tdm_config_assign(tdm_config *config, const char *assignment, const char *origin)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return tdm__fail(TDM_ERR_CONFIG, "%s: %.120s: must be key=value (hint: optim.lr=0.01)",
                         origin, assignment);
    tdm__str key = {0};
    tdm__str_addn(&key, assignment, (size_t)(equals - assignment));
    tdm_status status = tdm__str_status(&key);
    if (!status) status = tdm_config_set(config, key.text, equals + 1, origin);
    tdm__str_free(&key);
    return status;
}

static tdm_status load_file(tdm_config *config, const char *path, const load_chain *outer,
                            const char *prefix, int *files);

/* One file named by extends, relative to the file that names it. */
static tdm_status extend_one(tdm_config *config, const char *name, const load_chain *chain,
                             const char *prefix, const char *target)
{
    tdm_status status = TDM_OK;
    char *folder = NULL, *path = NULL;
    if (!*target) return tdm__fail(TDM_ERR_CONFIG, "extends: must name a file");
    TDM_TRY(tdm__path_dir(name, &folder));
    if (tdm__streq(folder, ".") && !strchr(name, '/'))
        TDM_TRY(copy_text(target, &path));
    else
        TDM_TRY(tdm__path_join(folder, target, &path));
    TDM_TRY(load_file(config, path, chain, prefix, chain->files));
done:
    free(folder);
    free(path);
    return status;
}

static tdm_status extend_all(tdm_config *config, const char *name, const load_chain *chain,
                             const char *prefix, const tdm__item *item)
{
    tdm_status status = TDM_OK;
    if (item->kind == TDM__ITEM_EMPTY)
        status = tdm__fail(TDM_ERR_CONFIG, "extends: must be a file or a list of files");
    for (size_t i = 0; i < item->n && !status; i++)
        status = extend_one(config, name, chain, prefix,
                            item->scalars[i].null ? "" : item->scalars[i].text);
    if (status) tdm__context(status, "%s:%zu:%zu", name, item->line, item->column);
    return status;
}

/* The files that the item names, when it is `extends` of the whole or of a stage. */
static tdm_status extend_item(tdm_config *config, const char *name, const load_chain *chain,
                              const char *key, const tdm__item *item)
{
    const size_t skip = tdm__stage_extends(config, key);
    char prefix[TDM__KEY_MAX + 1] = "";
    if (tdm__streq(item->key, "extends"))
        return extend_all(config, name, chain, chain->prefix, item);
    if (skip == 0 || skip >= sizeof prefix) return TDM_OK;
    memcpy(prefix, key, skip);
    return extend_all(config, name, chain, prefix, item);
}

/* Errors in a key are shown at the key, errors in a value at the value. */
static tdm_status apply_item(tdm_config *config, const char *name, const char *key,
                             const tdm__item *item)
{
    const bool known = tdm__spec_find(config, key) != NULL;
    tdm__str origin = {0};
    tdm__str_addf(&origin, "%s:%zu:%zu", name, known ? item->line : item->key_line,
                  known ? item->column : item->key_column);
    tdm_status status = tdm__str_status(&origin);
    if (!status) status = item_apply(config, key, item, origin.text);
    tdm__str_free(&origin);
    return status;
}

/* First every `extends`, then the keys of the file itself. */
static tdm_status apply_all(tdm_config *config, const char *name, const load_chain *chain,
                            const tdm__items *items)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < items->n; i++) {
            const tdm__item *item = &items->items[i];
            key.length = 0;
            tdm__str_addf(&key, "%s%s", chain->prefix, item->key);
            TDM_TRY(tdm__str_status(&key));
            const bool extends =
                tdm__streq(item->key, "extends") || tdm__stage_extends(config, key.text);
            if (pass == 0 && extends)
                TDM_TRY(extend_item(config, name, chain, key.text, item));
            else if (pass == 1 && !extends)
                TDM_TRY(apply_item(config, name, key.text, item));
        }
done:
    tdm__str_free(&key);
    return status;
}

static tdm_status load_bytes(tdm_config *config, const char *text, size_t size, const char *name,
                             const load_chain *chain)
{
    tdm__items items = {0};
    tdm_status status = tdm__items_parse(text, size, name, &items);
    if (!status) status = apply_all(config, name, chain, &items);
    tdm__items_free(&items);
    return status;
}

static tdm_status check_chain(const load_chain *chain, const char *path)
{
    for (const load_chain *c = chain->outer; c; c = c->outer)
        if (tdm__streq(c->path, chain->path))
            return tdm__fail(TDM_ERR_CONFIG, "%s: extends itself: a cycle", path);
    if (chain->depth > TDM__CONFIG_DEPTH)
        return tdm__fail(TDM_ERR_CONFIG, "%s: a chain of more than %d extends", path,
                         TDM__CONFIG_DEPTH);
    if (++*chain->files > TDM__CONFIG_FILES)
        return tdm__fail(TDM_ERR_CONFIG, "%s: more than %d files through extends", path,
                         TDM__CONFIG_FILES);
    return TDM_OK;
}

static tdm_status load_file(tdm_config *config, const char *path, const load_chain *outer,
                            const char *prefix, int *files)
{
    tdm_status status = TDM_OK;
    char *text = NULL, *real = NULL;
    size_t size = 0;
    status = tdm__read_file(path, TDM__CONFIG_BYTES, &text, &size);
    if (status == TDM_ERR_DATA)
        status = TDM_ERR_CONFIG; /* the same message, as a matter of usage */
    if (status) goto done;
    real = realpath(path, NULL);
    load_chain chain = {outer, prefix, real ? real : path, outer ? outer->depth + 1 : 0, files};
    TDM_TRY(check_chain(&chain, path));
    TDM_TRY(load_bytes(config, text, size, path, &chain));
done:
    free(real);
    free(text);
    return status;
}

tdm_status tdm_config_load(tdm_config *config, const char *path)
{
    int files = 0;
    return load_file(config, path, NULL, "", &files);
}

tdm_status tdm_config_load_text(tdm_config *config, const char *text, size_t size, const char *name)
{
    int files = 0;
    load_chain chain = {NULL, "", name, 0, &files};
    return load_bytes(config, text, size, name, &chain);
}

/* Resolving ------------------------------------------------------------------------------------ */

static tdm_status fail_required(const tdm_opt_spec *spec, const char *key)
{
    tdm_status status = tdm__fail(TDM_ERR_CONFIG, "%s: must be given", key);
    return spec->help && *spec->help ? tdm__hint(status, "%s", spec->help) : status;
}

static tdm_status default_make(const tdm_opt_spec *spec, tdm__value *out)
{
    tdm__items items = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__items_parse_value(spec->type, spec->def, &items));
    TDM_TRY(tdm__value_parse(spec, &items.items[0], out));
done:
    tdm__items_free(&items);
    return status;
}

/* Appends the entry of a full key to `full`: what was given, or the default. */
static tdm_status resolve_key(const tdm_config *config, const tdm_opt_spec *spec, const char *key,
                              tdm_config *full)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    if (tdm__spec_find(config, key) != spec)
        return TDM_OK; /* an exact spec stands before this one */
    const tdm__entry *old = tdm__entry_find(config, key);
    bool given = old && old->given, required = spec->flags & TDM_OPT_REQUIRED;
    bool unset = given && spec->type == TDM_OPT_STRING && !*old->value.strings[0];
    if (required && (!given || unset)) return fail_required(spec, key);
    if (given)
        TDM_TRY(tdm__value_copy(&old->value, &value));
    else
        TDM_TRY(default_make(spec, &value));
    TDM_TRY(tdm__entry_put(full, key, spec, &value, given ? old->origin : "default", given));
done:
    tdm__value_free(&value);
    return status;
}

/* Expands the first wildcard of `rest` over its members and goes on behind it. `head` is the key so
 * far, with a dot at its end. */
static tdm_status resolve_spec(const tdm_config *config, const tdm_opt_spec *spec, const char *head,
                               const char *rest, tdm_config *full)
{
    tdm_status status = TDM_OK;
    tdm__str key = {0};
    const char *star = strchr(rest, '*');
    tdm__str_add(&key, head);
    if (!star) {
        tdm__str_add(&key, rest);
        TDM_TRY(tdm__str_status(&key));
        status = resolve_key(config, spec, key.text, full);
        goto done;
    }
    tdm__str_addn(&key, rest, (size_t)(star - rest));
    TDM_TRY(tdm__str_status(&key));
    size_t length = key.length; /* with the dot; the group's prefix is without */
    if (length > 0) key.text[length - 1] = 0;
    const tdm__group *group = tdm__group_find(config, key.text);
    if (length > 0) key.text[length - 1] = '.';
    for (size_t i = 0; group && i < group->n; i++) {
        key.length = length;
        tdm__str_add(&key, group->names[i]);
        if (star[1]) tdm__str_add(&key, ".");
        TDM_TRY(tdm__str_status(&key));
        TDM_TRY(resolve_spec(config, spec, key.text, star[1] ? star + 2 : "", full));
    }
done:
    tdm__str_free(&key);
    return status;
}

tdm_status tdm_config_resolve(tdm_config *config)
{
    tdm_status status = TDM_OK;
    tdm_config *full = NULL;
    TDM_TRY(create_unchecked(config->tables, config->n_tables, &full));
    for (size_t t = 0; t < config->n_tables; t++)
        for (size_t k = 0; k < config->tables[t]->n; k++) {
            const tdm_opt_spec *spec = &config->tables[t]->specs[k];
            TDM_TRY(resolve_spec(config, spec, "", spec->key, full));
        }
    TDM_TRY(tdm__stages_resolve(config, full));
    entries_free(config->entries, config->n_entries);
    config->entries = full->entries;
    config->n_entries = full->n_entries;
    config->entries_capacity = full->entries_capacity;
    full->entries = NULL;
    full->n_entries = 0;
    config->resolved = true;
done:
    tdm_config_destroy(&full);
    return status;
}

tdm_status tdm_config_copy(const tdm_config *config, tdm_config **out)
{
    tdm_status status = TDM_OK;
    tdm_config *copy = NULL;
    tdm__value value = {0};
    *out = NULL;
    TDM_TRY(create_unchecked(config->tables, config->n_tables, &copy));
    for (size_t g = 0; g < config->n_groups; g++)
        for (size_t i = 0; i < config->groups[g].n; i++)
            TDM_TRY(tdm__member_add(copy, config->groups[g].prefix, config->groups[g].names[i]));
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        TDM_TRY(tdm__value_copy(&e->value, &value));
        TDM_TRY(tdm__entry_put(copy, e->key, e->spec, &value, e->origin, e->given));
    }
    copy->resolved = config->resolved;
    *out = copy;
    copy = NULL;
done:
    tdm__value_free(&value);
    tdm_config_destroy(&copy);
    return status;
}

/* "tasks.a.loss" -> "tasks.b.loss"; *out is NULL when the key is not below prefix.from. */
static tdm_status key_of_member(const char *key, const char *prefix, const char *from,
                                const char *to, char **out)
{
    tdm__str text = {0};
    const size_t n = strlen(prefix), m = strlen(from);
    *out = NULL;
    if (strncmp(key, prefix, n) || key[n] != '.' || strncmp(key + n + 1, from, m) ||
        key[n + 1 + m] != '.')
        return TDM_OK;
    tdm__str_addf(&text, "%s.%s%s", prefix, to, key + n + 1 + m);
    *out = text.text;
    return tdm__str_status(&text);
}

tdm_status tdm_config_member_copy(tdm_config *config, const char *prefix, const char *from,
                                  const char *to, const char *origin)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    char *key = NULL;
    TDM_TRY(tdm__member_add(config, prefix, to));
    for (size_t i = 0, n = config->n_entries; i < n; i++) {
        const tdm__entry *e = &config->entries[i];
        const tdm_opt_spec *spec = e->spec;
        if (!e->given) continue;
        free(key);
        TDM_TRY(key_of_member(e->key, prefix, from, to, &key));
        if (!key) continue;
        TDM_TRY(tdm__value_copy(&e->value, &value));
        TDM_TRY(tdm__members_note(config, spec->key, key, 0));
        TDM_TRY(tdm__entry_put(config, key, spec, &value, origin, true));
        config->resolved = false;
    }
done:
    free(key);
    tdm__value_free(&value);
    return status;
}

/* Reading -------------------------------------------------------------------------------------- */

static tdm_status get(const tdm_config *config, const char *key, tdm_opt_type type,
                      const tdm__value **out)
{
    const tdm__entry *entry = tdm__entry_find(config, key);
    if (!entry && !config->resolved && tdm__spec_find(config, key))
        return tdm__fail(TDM_ERR_STATE, "%s: the configuration is not resolved yet", key);
    if (!entry) return tdm__fail(TDM_ERR_CONFIG, "%s: no such key in this configuration", key);
    tdm_opt_type have = entry->spec->type;
    if (have != type && !(have == TDM_OPT_ENUM && type == TDM_OPT_STRING)) {
        tdm__str what = {0};
        tdm__spec_describe(entry->spec, &what);
        tdm_status status =
            tdm__fail(TDM_ERR_STATE, "%s: read as another type than %s", key, tdm__str_text(&what));
        tdm__str_free(&what);
        return status;
    }
    *out = &entry->value;
    return TDM_OK;
}

tdm_status tdm_config_bool(const tdm_config *config, const char *key, bool *out)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_BOOL, &value);
    if (!status) *out = value->b;
    return status;
}

tdm_status tdm_config_int(const tdm_config *config, const char *key, int64_t *out)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_INT, &value);
    if (!status) *out = value->ints[0];
    return status;
}

tdm_status tdm_config_float(const tdm_config *config, const char *key, double *out)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_FLOAT, &value);
    if (!status) *out = value->floats[0];
    return status;
}

tdm_status tdm_config_string(const tdm_config *config, const char *key, const char **out)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_STRING, &value);
    if (!status) *out = value->strings[0];
    return status;
}

tdm_status tdm_config_floats(const tdm_config *config, const char *key, const double **out,
                             size_t *n)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_FLOATS, &value);
    if (status) return status;
    *out = value->floats;
    *n = value->n;
    return TDM_OK;
}

tdm_status tdm_config_ints(const tdm_config *config, const char *key, const int64_t **out,
                           size_t *n)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_INTS, &value);
    if (status) return status;
    *out = value->ints;
    *n = value->n;
    return TDM_OK;
}

tdm_status tdm_config_strings(const tdm_config *config, const char *key, const char *const **out,
                              size_t *n)
{
    const tdm__value *value;
    tdm_status status = get(config, key, TDM_OPT_STRINGS, &value);
    if (status) return status;
    *out = (const char *const *)value->strings;
    *n = value->n;
    return TDM_OK;
}

tdm_status tdm_config_members(const tdm_config *config, const char *prefix, const char *const **out,
                              size_t *n)
{
    const tdm__group *group = tdm__group_find(config, prefix);
    if (!group && !tdm__spec_is_group(config, prefix))
        return tdm__fail(TDM_ERR_CONFIG, "%s: names cannot be chosen under this key", prefix);
    *out = group ? (const char *const *)group->names : NULL;
    *n = group ? group->n : 0;
    return TDM_OK;
}

static bool is_default(const tdm__entry *entry)
{
    tdm__value value = {0};
    tdm__str ours = {0}, theirs = {0};
    if (!entry->spec->def || default_make(entry->spec, &value)) return false;
    tdm__value_print(entry->spec, &entry->value, &ours);
    tdm__value_print(entry->spec, &value, &theirs);
    const bool same = !strcmp(tdm__str_text(&ours), tdm__str_text(&theirs));
    tdm__str_free(&ours);
    tdm__str_free(&theirs);
    tdm__value_free(&value);
    return same;
}

bool tdm_config_given(const tdm_config *config, const char *key)
{
    const tdm__entry *entry = tdm__entry_find(config, key);
    return entry && entry->given && !is_default(entry);
}

const char *tdm_config_origin(const tdm_config *config, const char *key)
{
    const tdm__entry *entry = tdm__entry_find(config, key);
    return entry ? entry->origin : "default";
}

tdm_status tdm_config_reject(const tdm_config *config, const char *key, const char *format, ...)
{
    const tdm__entry *entry = tdm__entry_find(config, key);
    tdm__str shown = {0};
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&text, format, args);
    va_end(args);
    if (entry) tdm__value_print(entry->spec, &entry->value, &shown);
    tdm_status status = tdm__fail(TDM_ERR_CONFIG, "%s", n < 0 ? "is not accepted" : text);
    if (entry)
        tdm__context(status, "%s: %s = %s", entry->origin, key, tdm__str_text(&shown));
    else
        tdm__context(status, "%s", key);
    if (n >= 0) free(text);
    tdm__str_free(&shown);
    return status;
}

tdm_status tdm_config_hash(const tdm_config *config, char hex[33])
{
    tdm_status status = TDM_OK;
    tdm__hash *h = NULL;
    if (!config->resolved) return tdm__fail(TDM_ERR_STATE, "the configuration is not resolved yet");
    TDM_TRY(tdm__hash_create(&h));
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        if (e->spec->flags & TDM_OPT_RUNTIME) continue;
        tdm__str text = {0};
        tdm__value_print(e->spec, &e->value, &text);
        status = tdm__str_status(&text);
        if (!status) {
            tdm__hash_add_text(h, e->key);
            tdm__hash_add_text(h, tdm__str_text(&text));
        }
        tdm__str_free(&text);
        if (status) goto done;
    }
    tdm__hash_hex(h, hex);
done:
    tdm__hash_destroy(&h);
    return status;
}

const char *tdm_suggest(const char *word, const char *const *candidates, size_t n)
{
    return tdm__suggest(word, candidates, n);
}

/* config/stage.c: stages, each a configuration of its own made from a common one.
 *
 * Where a table declares keys `stages.*.KEY`, any key of the whole configuration may also stand
 * behind `stages.NAME.`: it holds for that stage in place of the common value.
 * `stages.NAME.extends` reads a file there. The store keeps these as entries with the common key's
 * spec. What is set from outside of files for a common key, later, holds for every stage.
 */
#include "config/internal.h"

#include <string.h>

static const char stages[] = "stages";
static const char extends[] = "extends";

/* Characters of "stages.NAME." at the key's beginning, 0: it begins otherwise. */
static size_t stage_length(const tdm_config *config, const char *key)
{
    const size_t n = sizeof stages - 1;
    if (strncmp(key, stages, n) || key[n] != '.' || !tdm__spec_is_group(config, stages)) return 0;
    const char *end = strchr(key + n + 1, '.');
    return end && end[1] ? (size_t)(end - key) + 1 : 0;
}

size_t tdm__stage_skip(const tdm_config *config, const char *key)
{
    const size_t n = stage_length(config, key);
    if (n == 0 || !strncmp(key + n, "stages.", sizeof stages) || !strcmp(key + n, stages)) return 0;
    /* what stages alone have, such as stages.NAME.from */
    for (size_t t = 0; t < config->n_tables; t++)
        for (size_t k = 0; k < config->tables[t]->n; k++) {
            const char *spec = config->tables[t]->specs[k].key;
            if (!strncmp(spec, "stages.*.", sizeof stages + 2) &&
                !strcmp(spec + sizeof stages + 2, key + n))
                return 0;
        }
    return n;
}

size_t tdm__stage_extends(const tdm_config *config, const char *key)
{
    const size_t n = stage_length(config, key);
    return n && !strcmp(key + n, extends) ? n : 0;
}

tdm_status tdm__stage_note(tdm_config *config, const char *key, size_t skip)
{
    char name[TDM__KEY_MAX + 1];
    const size_t n = skip - sizeof stages - 1; /* without "stages." and the dot */
    if (n >= sizeof name) return tdm__fail(TDM_ERR_CONFIG, "%.80s...: too long a key", key);
    memcpy(name, key + sizeof stages, n);
    name[n] = 0;
    return tdm__member_add(config, stages, name);
}

tdm_status tdm__stages_resolve(const tdm_config *config, tdm_config *full)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        if (!tdm__stage_skip(config, e->key)) continue;
        TDM_TRY(tdm__value_copy(&e->value, &value));
        TDM_TRY(tdm__entry_put(full, e->key, e->spec, &value, e->origin, true));
    }
done:
    tdm__value_free(&value);
    return status;
}

void tdm__stages_forget(tdm_config *config, const char *key)
{
    for (size_t i = config->n_entries; i-- > 0;) {
        const size_t skip = tdm__stage_skip(config, config->entries[i].key);
        if (skip && tdm__streq(config->entries[i].key + skip, key)) tdm__entry_drop(config, i);
    }
}

/* ---- one stage's configuration ----------------------------------------------------------------
 */

/* Copies the members of every wildcard: first the common ones, then the stage's. */
static tdm_status copy_groups(const tdm_config *config, const char *prefix, tdm_config *out)
{
    tdm_status status = TDM_OK;
    const size_t n = strlen(prefix);
    for (size_t g = 0; g < config->n_groups; g++) {
        const tdm__group *group = &config->groups[g];
        const bool of_stages =
            tdm__streq(group->prefix, stages) || !strncmp(group->prefix, "stages.", sizeof stages);
        if (n ? strncmp(group->prefix, prefix, n) != 0 : of_stages) continue;
        for (size_t i = 0; i < group->n; i++)
            TDM_TRY(tdm__member_add(out, group->prefix + n, group->names[i]));
    }
done:
    return status;
}

static tdm_status copy_entries(const tdm_config *config, const char *prefix, tdm_config *out)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    const size_t n = strlen(prefix);
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        const bool of_stages = !strncmp(e->key, "stages.", sizeof stages);
        const size_t skip = tdm__stage_skip(config, e->key);
        if (n ? skip != n || strncmp(e->key, prefix, n) != 0 : of_stages) continue;
        TDM_TRY(tdm__value_copy(&e->value, &value));
        TDM_TRY(tdm__entry_put(out, e->key + n, e->spec, &value, e->origin, e->given));
    }
done:
    tdm__value_free(&value);
    return status;
}

tdm_status tdm_config_stage(const tdm_config *config, const char *name, tdm_config **out)
{
    tdm_status status = TDM_OK;
    tdm_config *stage = NULL;
    tdm__str prefix = {0};
    *out = NULL;
    tdm__str_addf(&prefix, "stages.%s.", name);
    TDM_TRY(tdm__str_status(&prefix));
    TDM_TRY(tdm_config_create(config->tables, config->n_tables, &stage));
    TDM_TRY(copy_groups(config, "", stage));
    TDM_TRY(copy_groups(config, prefix.text, stage));
    TDM_TRY(copy_entries(config, "", stage));
    TDM_TRY(copy_entries(config, prefix.text, stage));
    TDM_TRY(tdm_config_resolve(stage));
    *out = stage;
    stage = NULL;
done:
    if (status) tdm__context(status, "stage '%s'", name);
    tdm__str_free(&prefix);
    tdm_config_destroy(&stage);
    return status;
}

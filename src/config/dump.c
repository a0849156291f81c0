/* config/dump.c: whole configurations as YAML: the resolved one, and the list of all options. */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A comment must stay on its line, whatever the name of a file holds. */
static void add_comment(tdm__str *out, const char *text)
{
    tdm__str_add(out, "  # ");
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        tdm__str_addn(out, c < 0x20 || c >= 0x7F ? "?" : p, 1);
    }
}

/* Writes all entries below `prefix` (with its dot) that are not done, nested by segment, in the
 * order of first appearance. */
static void dump_level(const tdm_config *config, const char *prefix, int depth, bool with_origins,
                       bool *done, tdm__str *out)
{
    size_t skip = strlen(prefix);
    for (size_t i = 0; i < config->n_entries; i++) {
        const tdm__entry *e = &config->entries[i];
        if (done[i] || !tdm__starts_with(e->key, prefix)) continue;
        const char *rest = e->key + skip;
        size_t length = strcspn(rest, ".");
        tdm__str_addf(out, "%*s%.*s:", 2 * depth, "", (int)length, rest);
        if (rest[length] == 0) {
            done[i] = true;
            tdm__str_add(out, " ");
            tdm__value_print(e->spec, &e->value, out);
            if (with_origins) add_comment(out, e->origin);
            tdm__str_add(out, "\n");
            continue;
        }
        char below[TDM__KEY_MAX + 2];
        size_t n = skip + length + 1;
        memcpy(below, e->key, n);
        below[n] = 0;
        tdm__str_add(out, "\n");
        dump_level(config, below, depth + 1, with_origins, done, out);
    }
}

static tdm_status dump(const tdm_config *config, bool with_origins, bool with_runtime, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str text = {0};
    bool *done = NULL;
    *out = NULL;
    if (!config->resolved) return tdm__fail(TDM_ERR_STATE, "the configuration is not resolved yet");
    TDM_TRY(tdm__calloc_try(config->n_entries, sizeof *done, &done));
    tdm__str_add(&text, "");
    for (size_t i = 0; i < config->n_entries; i++)
        done[i] = !with_runtime && (config->entries[i].spec->flags & TDM_OPT_RUNTIME);
    dump_level(config, "", 0, with_origins, done, &text);
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    free(done);
    tdm__str_free(&text);
    return status;
}

tdm_status tdm_config_dump(const tdm_config *config, bool with_origins, char **out)
{
    return dump(config, with_origins, true, out);
}

tdm_status tdm_config_dump_results(const tdm_config *config, char **out)
{
    return dump(config, false, false, out);
}

/* "# tasks.NAME.weight: 1.0": keys that need a name or a value of the user's are comments. */
static void add_option(const tdm_opt_spec *spec, tdm__str *out)
{
    enum { COLUMN = 44 };
    size_t start = out->length;
    bool required = spec->flags & TDM_OPT_REQUIRED;
    if (required || strchr(spec->key, '*')) tdm__str_add(out, "# ");
    for (const char *p = spec->key; *p; p++) {
        if (*p == '*')
            tdm__str_add(out, "NAME");
        else
            tdm__str_addn(out, p, 1);
    }
    tdm__str_add(out, ":");
    tdm__items items = {0};
    tdm__value value = {0};
    if (!required && tdm__items_parse_value(spec->type, spec->def, &items) == TDM_OK &&
        tdm__value_parse(spec, &items.items[0], &value) == TDM_OK) {
        tdm__str_add(out, " ");
        tdm__value_print(spec, &value, out);
    } else if (!required) {
        out->failed = true; /* defaults were checked: only memory can be missing */
    }
    tdm__value_free(&value);
    tdm__items_free(&items);
    size_t width = out->length - start;
    tdm__str_addf(out, "%*s  # ", width < COLUMN ? (int)(COLUMN - width) : 0, "");
    if (required) tdm__str_add(out, "required: ");
    tdm__spec_describe(spec, out);
    if (spec->help && *spec->help) tdm__str_addf(out, "; %s", spec->help);
    if (spec->hint && *spec->hint) tdm__str_addf(out, " (%s)", spec->hint);
    tdm__str_add(out, "\n");
}

tdm_status tdm_config_defaults(const tdm_config *config, char **out)
{
    tdm__str text = {0};
    *out = NULL;
    for (size_t t = 0; t < config->n_tables; t++) {
        const tdm_opt_table *table = config->tables[t];
        tdm__str_addf(&text, "%s# %s\n", t > 0 ? "\n" : "", table->component);
        for (size_t k = 0; k < table->n; k++) add_option(&table->specs[k], &text);
    }
    tdm__str_add(&text, "");
    tdm_status status = tdm__str_status(&text);
    if (status)
        tdm__str_free(&text);
    else
        *out = text.text;
    return status;
}

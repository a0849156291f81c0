/* config/spec.c: keys and wildcards: finding the spec of a key, naming what is wrong with a key
 * that has none, and checking the tables. */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool tdm__segments_next(tdm__segments *s)
{
    s->spec += s->spec_length;
    s->key += s->key_length;
    if (*s->spec == '.') s->spec++;
    if (*s->key == '.') s->key++;
    s->spec_length = strcspn(s->spec, ".");
    s->key_length = strcspn(s->key, ".");
    return s->spec_length > 0 && s->key_length > 0;
}

bool tdm__segments_wild(const tdm__segments *s)
{
    return s->spec_length == 1 && *s->spec == '*';
}

bool tdm__segments_match(const tdm__segments *s)
{
    return tdm__segments_wild(s) ||
           (s->spec_length == s->key_length && memcmp(s->spec, s->key, s->key_length) == 0);
}

typedef enum match {
    MATCH_NONE,
    MATCH_FULL,
    MATCH_SECTION, /* the key names a part of the tree above the spec */
    MATCH_BELOW    /* the key goes on below the spec */
} match;

/* At least one segment, and none of them empty. */
static bool well_formed(const char *key)
{
    size_t n = strlen(key);
    return n > 0 && key[0] != '.' && key[n - 1] != '.' && !strstr(key, "..");
}

static match match_key(const char *spec, const char *key)
{
    if (!well_formed(key)) return MATCH_NONE;
    tdm__segments s = {spec, key, 0, 0};
    while (tdm__segments_next(&s))
        if (!tdm__segments_match(&s)) return MATCH_NONE;
    if (*s.spec == 0) return *s.key == 0 ? MATCH_FULL : MATCH_BELOW;
    return MATCH_SECTION;
}

/* Specs one after another: index k over all tables, NULL after the last. */
static const tdm_opt_spec *spec_at(const tdm_config *config, size_t k)
{
    for (size_t t = 0; t < config->n_tables; t++) {
        if (k < config->tables[t]->n) return &config->tables[t]->specs[k];
        k -= config->tables[t]->n;
    }
    return NULL;
}

static const tdm_opt_spec *find_match(const tdm_config *config, const char *key, match kind)
{
    const tdm_opt_spec *spec;
    for (size_t k = 0; (spec = spec_at(config, k)); k++)
        if (match_key(spec->key, key) == kind) return spec;
    return NULL;
}

const tdm_opt_spec *tdm__spec_find(const tdm_config *config, const char *key)
{
    const tdm_opt_spec *spec;
    if (strchr(key, '*')) return NULL; /* a member is not called * */
    for (size_t k = 0; (spec = spec_at(config, k)); k++)
        if (tdm__streq(spec->key, key)) return spec;
    spec = find_match(config, key, MATCH_FULL);
    const size_t skip = spec ? 0 : tdm__stage_skip(config, key);
    return skip ? tdm__spec_find(config, key + skip) : spec;
}

const tdm_opt_spec *tdm__spec_settings(const tdm_config *config, const char *key, const char **rest)
{
    const tdm_opt_spec *spec;
    for (size_t k = 0; (spec = spec_at(config, k)); k++) {
        if (!(spec->flags & TDM_OPT_SETTINGS) || match_key(spec->key, key) != MATCH_BELOW) continue;
        tdm__segments s = {spec->key, key, 0, 0};
        while (tdm__segments_next(&s)) continue;
        *rest = s.key;
        return spec;
    }
    return NULL;
}

bool tdm__spec_is_section(const tdm_config *config, const char *key)
{
    if (find_match(config, key, MATCH_SECTION)) return true;
    const size_t skip = tdm__stage_skip(config, key);
    return skip && tdm__spec_is_section(config, key + skip);
}

bool tdm__spec_is_group(const tdm_config *config, const char *prefix)
{
    const tdm_opt_spec *spec;
    for (size_t k = 0; (spec = spec_at(config, k)); k++) {
        tdm__segments s = {spec->key, prefix, 0, 0};
        bool same = true;
        while (same && tdm__segments_next(&s)) same = tdm__segments_match(&s);
        if (same && *s.key == 0 && tdm__segments_wild(&s)) return true;
    }
    return false;
}

/* Suggestions ---------------------------------------------------------------------------------- */

/* The spec's key with each * replaced by what `key` has there, or NAME. */
static void instantiate(const char *spec, const char *key, tdm__str *out)
{
    tdm__segments s = {spec, key, 0, 0};
    for (;;) {
        tdm__segments_next(&s);
        if (s.spec_length == 0) return;
        if (out->length > 0) tdm__str_add(out, ".");
        if (!tdm__segments_wild(&s))
            tdm__str_addn(out, s.spec, s.spec_length);
        else if (s.key_length > 0)
            tdm__str_addn(out, s.key, s.key_length);
        else
            tdm__str_add(out, "NAME");
    }
}

static const char *last_segment(const char *key)
{
    const char *dot = strrchr(key, '.');
    return dot ? dot + 1 : key;
}

/* The nearest full key, else the key whose last segment is nearest; points into `keys`. */
static const char *nearest(const char *key, char *const *keys, size_t n)
{
    const char *found = tdm__suggest(key, (const char *const *)keys, n);
    const char **lasts = tdm__calloc(n, sizeof *lasts);
    if (found || !lasts) {
        free(lasts);
        return found;
    }
    for (size_t i = 0; i < n; i++) lasts[i] = last_segment(keys[i]);
    const char *last = tdm__suggest(last_segment(key), lasts, n);
    for (size_t i = 0; last && !found && i < n; i++)
        if (lasts[i] == last) found = keys[i];
    free(lasts);
    return found;
}

static tdm_status fail_unknown(const tdm_config *config, const char *key)
{
    char **keys = NULL;
    size_t n = 0, capacity = 0;
    const tdm_opt_spec *spec;
    tdm_status status = TDM_OK;
    for (size_t k = 0; (spec = spec_at(config, k)); k++) {
        tdm__str full = {0};
        TDM_TRY(tdm__grow(&keys, &capacity, n + 1, sizeof *keys));
        instantiate(spec->key, key, &full);
        keys[n] = full.text;
        if (tdm__str_status(&full)) {
            status = tdm__str_status(&full);
            tdm__str_free(&full);
            goto done;
        }
        n++;
    }
    status = tdm__fail(TDM_ERR_CONFIG, "%s: unknown key", key);
    const char *near = nearest(key, keys, n);
    status = near ? tdm__hint(status, "did you mean %s?", near)
                  : tdm__hint(status, "`tandem config --defaults` lists all keys");
done:
    for (size_t i = 0; i < n; i++) free(keys[i]);
    free(keys);
    return status;
}

tdm_status tdm__spec_unknown(const tdm_config *config, const char *key)
{
    const tdm_opt_spec *spec = find_match(config, key, MATCH_BELOW);
    const size_t skip = tdm__stage_skip(config, key);
    if (skip && !spec && strchr(key + skip, '.'))
        return tdm__context(tdm__spec_unknown(config, key + skip), "%.*s", (int)skip - 1, key);
    if (spec) {
        tdm__str what = {0};
        tdm__spec_describe(spec, &what);
        tdm_status status = tdm__fail(TDM_ERR_CONFIG, "%s: %s must be %s, not a mapping", key,
                                      spec->key, tdm__str_text(&what));
        tdm__str_free(&what);
        return status;
    }
    spec = find_match(config, key, MATCH_SECTION);
    if (!spec) return fail_unknown(config, key);
    tdm__str example = {0};
    instantiate(spec->key, key, &example);
    tdm_status status = tdm__fail(TDM_ERR_CONFIG, "%s: must be a mapping, with keys such as %s",
                                  key, tdm__str_text(&example));
    tdm__str_free(&example);
    return status;
}

/* Tables --------------------------------------------------------------------------------------- */

static tdm_status check_key(const char *key)
{
    size_t n = strlen(key);
    if (!well_formed(key) || n > TDM__KEY_MAX || tdm__streq(key, "extends") ||
        strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.*") != n)
        return tdm__fail(TDM_ERR_CONFIG, "option table: bad key \"%s\"", key);
    return TDM_OK;
}

static tdm_status check_default(const tdm_opt_spec *spec)
{
    tdm__items items = {0};
    tdm__value value = {0};
    tdm_status status = TDM_OK;
    if (spec->flags & TDM_OPT_REQUIRED) {
        if (!spec->def) return TDM_OK;
        return tdm__fail(TDM_ERR_CONFIG, "option table: %s: required, yet has a default",
                         spec->key);
    }
    if (!spec->def) return tdm__fail(TDM_ERR_CONFIG, "option table: %s: has no default", spec->key);
    TDM_TRY(tdm__items_parse_value(spec->type, spec->def, &items));
    TDM_TRY(tdm__value_parse(spec, &items.items[0], &value));
done:
    if (status) tdm__context(status, "option table: %s: default \"%s\"", spec->key, spec->def);
    tdm__value_free(&value);
    tdm__items_free(&items);
    return status;
}

tdm_status tdm__specs_check(const tdm_config *config)
{
    const tdm_opt_spec *spec, *other;
    for (size_t k = 0; (spec = spec_at(config, k)); k++) {
        tdm_status status = check_key(spec->key);
        if (!status) status = check_default(spec);
        if (status) return status;
        for (size_t i = 0; i < k && (other = spec_at(config, i)); i++)
            if (tdm__streq(other->key, spec->key))
                return tdm__fail(TDM_ERR_CONFIG, "option table: %s: declared twice", spec->key);
    }
    return TDM_OK;
}

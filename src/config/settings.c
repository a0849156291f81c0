/* config/settings.c: mappings that are lists of settings for another configuration
 * (TDM_OPT_SETTINGS): {optim: {lr: 0.1}} is the text "optim.lr=0.1". */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static tdm_status copy_text(const char *text, char **out)
{
    *out = tdm__strdup(text);
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory: a text");
}

/* The item as the value of a "key=value" text: what tdm_config_set reads back as the same. */
static tdm_status setting_value(const tdm__item *item, tdm__str *out)
{
    static const tdm_opt_spec texts = {.key = "", .type = TDM_OPT_STRINGS};
    static const tdm_opt_spec text = {.key = "", .type = TDM_OPT_STRING};
    tdm__value value = {.n = item->n};
    tdm_status status = tdm__calloc_try(item->n, sizeof *value.strings, &value.strings);
    if (status) return status;
    for (size_t i = 0; i < item->n; i++) value.strings[i] = item->scalars[i].text; /* lent */
    if (item->kind == TDM__ITEM_LIST)
        tdm__value_print(&texts, &value, out);
    else if (item->kind == TDM__ITEM_EMPTY || item->scalars[0].null)
        tdm__str_add(out, "null");
    else if (strchr("[\"'", *value.strings[0]))
        tdm__value_print(&text, &value, out);
    else
        tdm__str_add(out, value.strings[0]);
    free(value.strings);
    return tdm__str_status(out);
}

/* The texts that are there, with that of the same key replaced or a new one at the end. */
static tdm_status setting_merge(const tdm__entry *old, const char *rest, const char *text,
                                tdm__value *out)
{
    tdm_status status = TDM_OK;
    const size_t n = old ? old->value.n : 0, length = strlen(rest);
    size_t at = n;
    TDM_TRY(tdm__calloc_try(n + 1, sizeof *out->strings, &out->strings));
    for (size_t i = 0; i < n; i++) {
        const char *s = old->value.strings[i];
        if (!strncmp(s, rest, length) && s[length] == '=') at = i;
        TDM_TRY(copy_text(s, &out->strings[out->n++]));
    }
    if (at < n)
        free(out->strings[at]);
    else
        out->n++;
    out->strings[at] = NULL;
    TDM_TRY(copy_text(text, &out->strings[at]));
done:
    return status;
}

tdm_status tdm__setting_apply(tdm_config *config, const tdm_opt_spec *spec, const char *key,
                              const char *rest, const tdm__item *item, const char *origin)
{
    tdm_status status = TDM_OK;
    tdm__str own = {0}, text = {0};
    tdm__value value = {0};
    tdm__str_addn(&own, key, (size_t)(rest - key - 1));
    TDM_TRY(tdm__str_status(&own));
    tdm__str_addf(&text, "%s=", rest);
    TDM_TRY(setting_value(item, &text));
    TDM_TRY(setting_merge(tdm__entry_find(config, own.text), rest, text.text, &value));
    TDM_TRY(tdm__members_note(config, spec->key, own.text, 0));
    TDM_TRY(tdm__entry_put(config, own.text, spec, &value, origin, true));
done:
    tdm__value_free(&value);
    tdm__str_free(&own);
    tdm__str_free(&text);
    return status;
}

/* config/yaml.c: YAML text to flat items, through libyaml's event parser (marks on every event).
 *
 * What a configuration cannot mean is refused here with its position: aliases (and with them
 * expansion bombs), tags, keys that are not plain text, a key given twice, lists of lists, several
 * documents, deep nesting. A dotted key ("optim.lr: 0.1") means the same as nested mappings.
 */
#include "config/internal.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"

typedef struct loader {
    yaml_parser_t parser;
    const char *name;
    tdm__items *out;
    char **seen; /* full path of every mapping key, to find doubles */
    size_t n_seen, seen_capacity;
} loader;

static tdm_status fail_at(const loader *l, yaml_mark_t mark, const char *what)
{
    return tdm__fail(TDM_ERR_CONFIG, "%s:%zu:%zu: %s", l->name, mark.line + 1, mark.column + 1,
                     what);
}

static tdm_status fail_parser(const loader *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return tdm__fail(TDM_ERR_NOMEM, "out of memory: parsing YAML");
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR)
        return tdm__fail(TDM_ERR_CONFIG, "%s: byte %zu: %s", l->name, p->problem_offset, problem);
    yaml_mark_t mark = p->problem_mark;
    tdm_status status = fail_at(l, mark, problem);
    if (!p->context) return status;
    return tdm__hint(status, "%s that starts at line %zu", p->context, p->context_mark.line + 1);
}

static const char *reject_reason(const yaml_event_t *event)
{
    const yaml_char_t *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return "aliases (*name) are not supported";
    case YAML_SCALAR_EVENT:
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    return tag ? "tags (!name) are not supported" : NULL;
}

/* The caller deletes the event after success. */
static tdm_status next_event(loader *l, yaml_event_t *event)
{
    if (!yaml_parser_parse(&l->parser, event)) return fail_parser(l);
    const char *reason = reject_reason(event);
    if (!reason) return TDM_OK;
    tdm_status status = fail_at(l, event->start_mark, reason);
    yaml_event_delete(event);
    return status;
}

static bool is_null(const yaml_event_t *event)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    if (event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (tdm__streq((const char *)event->data.scalar.value, words[i])) return true;
    return false;
}

static tdm_status item_add_scalar(tdm__item *item, const char *text, bool null)
{
    tdm_status status =
        tdm__grow(&item->scalars, &item->capacity, item->n + 1, sizeof *item->scalars);
    if (status) return status;
    char *copy = tdm__strdup(text);
    if (!copy) return tdm__fail(TDM_ERR_NOMEM, "out of memory: a value");
    item->scalars[item->n++] = (tdm__scalar){copy, null};
    return TDM_OK;
}

static tdm_status add_scalar_event(const loader *l, tdm__item *item, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    if (strlen(text) != event->data.scalar.length)
        return fail_at(l, event->start_mark, "a text must not hold a zero byte");
    return item_add_scalar(item, text, is_null(event));
}

static tdm_status items_add(tdm__items *items, const char *key, tdm__item **out)
{
    tdm_status status = tdm__grow(&items->items, &items->capacity, items->n + 1, sizeof **out);
    if (status) return status;
    char *copy = tdm__strdup(key);
    if (!copy) return tdm__fail(TDM_ERR_NOMEM, "out of memory: the key %s", key);
    *out = &items->items[items->n++];
    (*out)->key = copy;
    return TDM_OK;
}

static tdm_status parse_list(loader *l, tdm__item *item)
{
    tdm_status status = TDM_OK;
    item->kind = TDM__ITEM_LIST;
    for (bool more = true; more && !status;) {
        yaml_event_t event;
        status = next_event(l, &event);
        if (status) return status;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            more = false;
        else if (event.type == YAML_SCALAR_EVENT)
            status = add_scalar_event(l, item, &event);
        else
            status = fail_at(l, event.start_mark, "a list must hold plain values only");
        yaml_event_delete(&event);
    }
    return status;
}

/* prefix.key on the heap, remembered in l->seen, which owns it. */
static tdm_status key_enter(loader *l, const char *prefix, const yaml_event_t *event,
                            const char **out)
{
    const char *key = (const char *)event->data.scalar.value;
    tdm_status status = TDM_OK;
    tdm__str full = {0};
    if (!*key || strlen(key) != event->data.scalar.length)
        return fail_at(l, event->start_mark, "a key must be a name");
    tdm__str_addf(&full, "%s%s%s", prefix, *prefix ? "." : "", key);
    TDM_TRY(tdm__str_status(&full));
    if (full.length > TDM__KEY_MAX) {
        status = fail_at(l, event->start_mark, "a key must be at most 255 bytes long");
        goto done;
    }
    for (size_t i = 0; i < l->n_seen; i++)
        if (tdm__streq(l->seen[i], full.text)) {
            status =
                tdm__fail(TDM_ERR_CONFIG, "%s:%zu:%zu: %s: is given twice in this file", l->name,
                          event->start_mark.line + 1, event->start_mark.column + 1, full.text);
            goto done;
        }
    if (l->n_seen == TDM__CONFIG_KEYS) {
        status = fail_at(l, event->start_mark, "too many keys: must be at most 4096 in one file");
        goto done;
    }
    TDM_TRY(tdm__grow(&l->seen, &l->seen_capacity, l->n_seen + 1, sizeof *l->seen));
    l->seen[l->n_seen++] = full.text;
    *out = full.text;
    full.text = NULL;
done:
    tdm__str_free(&full);
    return status;
}

static tdm_status parse_mapping(loader *l, const char *prefix, int depth);

/* The value of `key`, whose first event is given. */
static tdm_status parse_value(loader *l, const char *key, yaml_mark_t key_mark,
                              const yaml_event_t *event, int depth)
{
    tdm_status status;
    tdm__item *item;
    size_t before = l->out->n;
    if (event->type == YAML_MAPPING_START_EVENT) {
        status = parse_mapping(l, key, depth + 1);
        if (status || l->out->n > before) return status;
    }
    status = items_add(l->out, key, &item);
    if (status) return status;
    item->key_line = key_mark.line + 1;
    item->key_column = key_mark.column + 1;
    item->line = event->start_mark.line + 1;
    item->column = event->start_mark.column + 1;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        item->kind = TDM__ITEM_SCALAR;
        return add_scalar_event(l, item, event);
    case YAML_SEQUENCE_START_EVENT:
        return parse_list(l, item);
    default:
        item->kind = TDM__ITEM_EMPTY;
        return TDM_OK;
    }
}

static tdm_status parse_mapping(loader *l, const char *prefix, int depth)
{
    for (;;) {
        yaml_event_t event, value;
        const char *key = NULL;
        tdm_status status = next_event(l, &event);
        if (status) return status;
        bool end = event.type == YAML_MAPPING_END_EVENT;
        yaml_mark_t mark = event.start_mark;
        if (!end && event.type != YAML_SCALAR_EVENT)
            status = fail_at(l, mark, "a key must be a name, not a list or a mapping");
        else if (!end && depth > TDM__CONFIG_DEPTH)
            status = fail_at(l, mark, "nested too deeply: must be at most 16 levels");
        else if (!end)
            status = key_enter(l, prefix, &event, &key);
        yaml_event_delete(&event);
        if (status || end) return status;
        status = next_event(l, &value);
        if (status) return status;
        status = parse_value(l, key, mark, &value, depth);
        yaml_event_delete(&value);
        if (status) return status;
    }
}

/* stream start, at most one document that holds a mapping or nothing, stream end */
static tdm_status parse_stream(loader *l)
{
    int documents = 0;
    for (bool more = true; more;) {
        yaml_event_t event;
        tdm_status status = next_event(l, &event);
        if (status) return status;
        switch (event.type) {
        case YAML_DOCUMENT_START_EVENT:
            if (documents++ > 0)
                status =
                    fail_at(l, event.start_mark, "a second document: must be only one in a file");
            break;
        case YAML_MAPPING_START_EVENT:
            status = parse_mapping(l, "", 1);
            break;
        case YAML_SCALAR_EVENT:
            if (is_null(&event)) break;
            /* fall through */
        case YAML_SEQUENCE_START_EVENT:
            status = fail_at(l, event.start_mark, "must be a mapping of keys to values");
            break;
        case YAML_STREAM_END_EVENT:
            more = false;
            break;
        default:
            break;
        }
        yaml_event_delete(&event);
        if (status) return status;
    }
    return TDM_OK;
}

tdm_status tdm__items_parse(const char *text, size_t size, const char *name, tdm__items *out)
{
    loader l = {.name = name, .out = out};
    if (size > TDM__CONFIG_BYTES)
        return tdm__fail(TDM_ERR_CONFIG, "%s: %zu bytes: must be at most %d", name, size,
                         TDM__CONFIG_BYTES);
    if (!yaml_parser_initialize(&l.parser))
        return tdm__fail(TDM_ERR_NOMEM, "out of memory: parsing YAML");
    yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&l.parser, (const unsigned char *)text, size);
    tdm_status status = parse_stream(&l);
    for (size_t i = 0; i < l.n_seen; i++) free(l.seen[i]);
    free(l.seen);
    yaml_parser_delete(&l.parser);
    return status;
}

/* Splits at commas, without the blanks around; nothing gives an empty list. */
static tdm_status split_commas(tdm__item *item, const char *text)
{
    item->kind = TDM__ITEM_LIST;
    if (text[strspn(text, " \t")] == 0) return TDM_OK;
    for (const char *p = text; p;) {
        const char *comma = strchr(p, ',');
        const char *end = comma ? comma : p + strlen(p);
        while (p < end && (*p == ' ' || *p == '\t')) p++;
        while (end > p && (end[-1] == ' ' || end[-1] == '\t')) end--;
        tdm__str part = {0};
        tdm__str_addn(&part, p, (size_t)(end - p));
        tdm_status status = tdm__str_status(&part);
        if (!status) status = item_add_scalar(item, part.text, false);
        tdm__str_free(&part);
        if (status) return status;
        p = comma ? comma + 1 : NULL;
    }
    return TDM_OK;
}

tdm_status tdm__items_parse_value(tdm_opt_type type, const char *text, tdm__items *out)
{
    tdm_status status = TDM_OK;
    tdm__str yaml = {0};
    tdm__item *item = NULL;
    if (*text == '[' || *text == '"' || *text == '\'') {
        tdm__str_addf(&yaml, "value: %s", text);
        TDM_TRY(tdm__str_status(&yaml));
        TDM_TRY(tdm__items_parse(yaml.text, yaml.length, "value", out));
        if (out->n != 1 || !tdm__streq(out->items[0].key, "value"))
            status = tdm__fail(TDM_ERR_CONFIG, "must be one value");
        goto done;
    }
    TDM_TRY(items_add(out, "value", &item));
    if (tdm__type_is_list(type))
        status = split_commas(item, text);
    else
        status = item_add_scalar(item, text, tdm__streq(text, "null") || tdm__streq(text, "~"));
done:
    tdm__str_free(&yaml);
    return status;
}

void tdm__items_free(tdm__items *items)
{
    for (size_t i = 0; i < items->n; i++) {
        tdm__item *item = &items->items[i];
        for (size_t k = 0; k < item->n; k++) free(item->scalars[k].text);
        free(item->scalars);
        free(item->key);
    }
    free(items->items);
    *items = (tdm__items){0};
}

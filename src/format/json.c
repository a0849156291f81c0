/* JSON writing into a growing string. */
#include "format/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void before_value(tdm__json *j)
{
    if (j->need_comma && !j->after_key) tdm__str_add(&j->out, ", ");
    j->need_comma = true;
    j->after_key = false;
}

void tdm__json_open(tdm__json *j, char bracket)
{
    before_value(j);
    tdm__str_addn(&j->out, &bracket, 1);
    j->need_comma = false;
    j->depth++;
}

void tdm__json_close(tdm__json *j, char bracket)
{
    tdm__str_addn(&j->out, &bracket, 1);
    j->need_comma = true;
    j->depth--;
}

static void add_quoted(tdm__str *out, const char *text)
{
    tdm__str_add(out, "\"");
    for (const unsigned char *p = (const unsigned char *)text; *p;) {
        size_t n = tdm__utf8_length(p);
        if (!n) {
            tdm__str_add(out, "\xef\xbf\xbd"); /* U+FFFD */
            p++;
            continue;
        }
        if (*p == '"' || *p == '\\')
            tdm__str_addf(out, "\\%c", *p);
        else if (*p == '\n')
            tdm__str_add(out, "\\n");
        else if (*p == '\t')
            tdm__str_add(out, "\\t");
        else if (*p < 0x20 || *p == 0x7f)
            tdm__str_addf(out, "\\u%04x", *p);
        else
            tdm__str_addn(out, p, n);
        p += n;
    }
    tdm__str_add(out, "\"");
}

void tdm__json_key(tdm__json *j, const char *key)
{
    before_value(j);
    add_quoted(&j->out, key);
    tdm__str_add(&j->out, ": ");
    j->after_key = true;
}

void tdm__json_string(tdm__json *j, const char *text)
{
    before_value(j);
    if (text)
        add_quoted(&j->out, text);
    else
        tdm__str_add(&j->out, "null");
}

void tdm__json_number(tdm__json *j, double value)
{
    before_value(j);
    if (!isfinite(value)) {
        tdm__str_add(&j->out, "null");
        return;
    }
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    tdm__str_add(&j->out, text);
}

void tdm__json_int(tdm__json *j, int64_t value)
{
    before_value(j);
    tdm__str_addf(&j->out, "%lld", (long long)value);
}

void tdm__json_uint(tdm__json *j, uint64_t value)
{
    before_value(j);
    tdm__str_addf(&j->out, "%llu", (unsigned long long)value);
}

void tdm__json_bool(tdm__json *j, bool value)
{
    before_value(j);
    tdm__str_add(&j->out, value ? "true" : "false");
}

void tdm__json_null(tdm__json *j)
{
    tdm__json_raw(j, "null");
}

void tdm__json_raw(tdm__json *j, const char *json)
{
    before_value(j);
    tdm__str_add(&j->out, json);
}

const char *tdm__json_text(const tdm__json *j)
{
    return tdm__str_text(&j->out);
}

tdm_status tdm__json_status(const tdm__json *j)
{
    if (j->depth || j->after_key)
        return tdm__fail(TDM_ERR_STATE, "JSON: %d brackets are open", j->depth);
    return tdm__str_status(&j->out);
}

void tdm__json_free(tdm__json *j)
{
    tdm__str_free(&j->out);
    *j = (tdm__json){0};
}

tdm_status tdm__json_parse(const char *text, size_t size, const char *name, json_t **out)
{
    json_error_t error;
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (*out) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s:%d:%d: %s", name, error.line, error.column, error.text);
}

/* config/value.c: typed values: from items with range and choice checks, and back to YAML. */
#include "config/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SHOWN_MAX = 120 }; /* bytes of a value that a message repeats */

bool tdm__type_is_list(tdm_opt_type type)
{
    return type == TDM_OPT_INTS || type == TDM_OPT_FLOATS || type == TDM_OPT_STRINGS;
}

/* Describing ----------------------------------------------------------------------------------- */

static const char *type_text(tdm_opt_type type)
{
    switch (type) {
    case TDM_OPT_BOOL:
        return "true or false";
    case TDM_OPT_INT:
        return "a whole number";
    case TDM_OPT_FLOAT:
        return "a number";
    case TDM_OPT_STRING:
        return "text";
    case TDM_OPT_ENUM:
        return "one of";
    case TDM_OPT_INTS:
        return "a list of whole numbers";
    case TDM_OPT_FLOATS:
        return "a list of numbers";
    case TDM_OPT_STRINGS:
        return "a list of texts";
    }
    return "a value";
}

static bool has_range(const tdm_opt_spec *spec)
{
    return spec->flags & (TDM_OPT_MIN | TDM_OPT_MIN_OPEN | TDM_OPT_MAX | TDM_OPT_MAX_OPEN);
}

/* "> 0 and <= 1" */
static void describe_range(const tdm_opt_spec *spec, tdm__str *out)
{
    char text[TDM__F64_TEXT];
    bool low = spec->flags & (TDM_OPT_MIN | TDM_OPT_MIN_OPEN);
    if (low) {
        tdm__f64_text(spec->min, text);
        tdm__str_addf(out, "%s %s", spec->flags & TDM_OPT_MIN_OPEN ? ">" : ">=", text);
    }
    if (spec->flags & (TDM_OPT_MAX | TDM_OPT_MAX_OPEN)) {
        tdm__f64_text(spec->max, text);
        tdm__str_addf(out, "%s%s %s", low ? " and " : "",
                      spec->flags & TDM_OPT_MAX_OPEN ? "<" : "<=", text);
    }
}

/* "sgd, adam, adamw" */
static void describe_choices(const tdm_opt_spec *spec, tdm__str *out)
{
    for (const char *p = spec->choices ? spec->choices : ""; *p; p++)
        tdm__str_addn(out, *p == '|' ? ", " : p, *p == '|' ? 2 : 1);
}

void tdm__spec_describe(const tdm_opt_spec *spec, tdm__str *out)
{
    tdm__str_add(out, type_text(spec->type));
    if (spec->type == TDM_OPT_ENUM) {
        tdm__str_add(out, " ");
        describe_choices(spec, out);
    }
    if (has_range(spec)) {
        tdm__str_add(out, " ");
        describe_range(spec, out);
    }
}

/* Parsing -------------------------------------------------------------------------------------- */

static tdm_status hinted(tdm_status status, const tdm_opt_spec *spec)
{
    return spec->hint && *spec->hint ? tdm__hint(status, "%s", spec->hint) : status;
}

static tdm_status check_range(const tdm_opt_spec *spec, double value)
{
    if (!isfinite(value)) return hinted(tdm__fail(TDM_ERR_CONFIG, "must be finite"), spec);
    bool good = true;
    if (spec->flags & TDM_OPT_MIN) good &= value >= spec->min;
    if (spec->flags & TDM_OPT_MIN_OPEN) good &= value > spec->min;
    if (spec->flags & TDM_OPT_MAX) good &= value <= spec->max;
    if (spec->flags & TDM_OPT_MAX_OPEN) good &= value < spec->max;
    if (good) return TDM_OK;
    tdm__str range = {0};
    describe_range(spec, &range);
    tdm_status status = tdm__fail(TDM_ERR_CONFIG, "must be %s", tdm__str_text(&range));
    tdm__str_free(&range);
    return hinted(status, spec);
}

static tdm_status fail_type(const char *what, const char *instead)
{
    if (instead) return tdm__fail(TDM_ERR_CONFIG, "must be %s, not %s", what, instead);
    return tdm__fail(TDM_ERR_CONFIG, "must be %s", what);
}

/* The choices one by one, in a copy of spec->choices. */
static tdm_status choices_split(const tdm_opt_spec *spec, char **copy, const char ***names,
                                size_t *n)
{
    tdm_status status = TDM_OK;
    size_t capacity = 0;
    *names = NULL;
    *n = 0;
    *copy = tdm__strdup(spec->choices ? spec->choices : "");
    if (!*copy) return tdm__fail(TDM_ERR_NOMEM, "out of memory: choices");
    for (char *save = NULL, *p = strtok_r(*copy, "|", &save); p; p = strtok_r(NULL, "|", &save)) {
        TDM_TRY(tdm__grow(names, &capacity, *n + 1, sizeof **names));
        (*names)[(*n)++] = p;
    }
done:
    return status;
}

static tdm_status check_choice(const tdm_opt_spec *spec, const char *text)
{
    char *copy = NULL;
    const char **names = NULL;
    size_t n = 0;
    tdm__str list = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(choices_split(spec, &copy, &names, &n));
    for (size_t i = 0; i < n; i++)
        if (tdm__streq(names[i], text)) goto done;
    describe_choices(spec, &list);
    status = tdm__fail(TDM_ERR_CONFIG, "must be one of %s", tdm__str_text(&list));
    const char *near = tdm__suggest(text, names, n);
    status = near ? tdm__hint(status, "did you mean %s?", near) : hinted(status, spec);
done:
    tdm__str_free(&list);
    free(names);
    free(copy);
    return status;
}

static tdm_status parse_int(const tdm_opt_spec *spec, const tdm__scalar *scalar, int64_t *out)
{
    if (scalar->null || !tdm__parse_i64(scalar->text, out))
        return fail_type("a whole number", scalar->null ? "null" : NULL);
    return check_range(spec, (double)*out);
}

static tdm_status parse_float(const tdm_opt_spec *spec, const tdm__scalar *scalar, double *out)
{
    const char *text = scalar->text;
    /* YAML spells them .inf and .nan; both are numbers, and refused as not finite */
    if (tdm__streq(text, ".inf") || tdm__streq(text, "-.inf") || tdm__streq(text, ".nan"))
        *out = INFINITY;
    else if (scalar->null || !tdm__parse_f64(text, out))
        return fail_type("a number", scalar->null ? "null" : NULL);
    return check_range(spec, *out);
}

static tdm_status parse_string(const tdm_opt_spec *spec, const tdm__scalar *scalar, char **out)
{
    if (scalar->null && spec->type != TDM_OPT_STRING)
        return fail_type(spec->type == TDM_OPT_ENUM ? "one of the choices" : "text", "null");
    if (!tdm__utf8_valid(scalar->text)) return fail_type("valid UTF-8 text", NULL);
    if (spec->type == TDM_OPT_ENUM) {
        tdm_status status = check_choice(spec, scalar->text);
        if (status) return status;
    }
    *out = tdm__strdup(scalar->null ? "" : scalar->text);
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory: a text");
}

static tdm_status parse_element(const tdm_opt_spec *spec, const tdm__item *item, size_t i,
                                tdm__value *out)
{
    const tdm__scalar *scalar = &item->scalars[i];
    switch (spec->type) {
    case TDM_OPT_BOOL:
        if (scalar->null || !tdm__parse_bool(scalar->text, &out->b))
            return fail_type(type_text(spec->type), scalar->null ? "null" : NULL);
        return TDM_OK;
    case TDM_OPT_INT:
    case TDM_OPT_INTS:
        return parse_int(spec, scalar, &out->ints[i]);
    case TDM_OPT_FLOAT:
    case TDM_OPT_FLOATS:
        return parse_float(spec, scalar, &out->floats[i]);
    default:
        return parse_string(spec, scalar, &out->strings[i]);
    }
}

static tdm_status value_allocate(tdm__value *value, tdm_opt_type type, size_t n)
{
    value->n = n;
    switch (type) {
    case TDM_OPT_BOOL:
        return TDM_OK;
    case TDM_OPT_INT:
    case TDM_OPT_INTS:
        return tdm__calloc_try(n, sizeof *value->ints, &value->ints);
    case TDM_OPT_FLOAT:
    case TDM_OPT_FLOATS:
        return tdm__calloc_try(n, sizeof *value->floats, &value->floats);
    default:
        return tdm__calloc_try(n, sizeof *value->strings, &value->strings);
    }
}

tdm_status tdm__value_parse(const tdm_opt_spec *spec, const tdm__item *item, tdm__value *out)
{
    tdm_status status = TDM_OK;
    tdm__value value = {0};
    bool list = tdm__type_is_list(spec->type);
    if (item->kind == TDM__ITEM_EMPTY) return fail_type(type_text(spec->type), "a mapping");
    if (item->kind == TDM__ITEM_LIST && !list)
        return fail_type(spec->type == TDM_OPT_ENUM ? "one of the choices" : type_text(spec->type),
                         "a list");
    TDM_TRY(value_allocate(&value, spec->type, item->n));
    for (size_t i = 0; i < item->n; i++) {
        status = parse_element(spec, item, i, &value);
        if (status && item->kind == TDM__ITEM_LIST) tdm__context(status, "item %zu", i + 1);
        if (status) goto done;
    }
    *out = value;
    value = (tdm__value){0};
done:
    tdm__value_free(&value);
    return status;
}

tdm_status tdm__value_copy(const tdm__value *from, tdm__value *out)
{
    tdm_status status = TDM_OK;
    tdm__value copy = {.n = from->n, .b = from->b};
    if (from->ints) {
        TDM_TRY(tdm__calloc_try(from->n, sizeof *copy.ints, &copy.ints));
        memcpy(copy.ints, from->ints, from->n * sizeof *copy.ints);
    }
    if (from->floats) {
        TDM_TRY(tdm__calloc_try(from->n, sizeof *copy.floats, &copy.floats));
        memcpy(copy.floats, from->floats, from->n * sizeof *copy.floats);
    }
    if (from->strings) TDM_TRY(tdm__calloc_try(from->n, sizeof *copy.strings, &copy.strings));
    for (size_t i = 0; copy.strings && i < from->n; i++) {
        copy.strings[i] = tdm__strdup(from->strings[i]);
        if (!copy.strings[i]) {
            status = tdm__fail(TDM_ERR_NOMEM, "out of memory: a text");
            goto done;
        }
    }
    *out = copy;
    copy = (tdm__value){0};
done:
    tdm__value_free(&copy);
    return status;
}

void tdm__value_free(tdm__value *value)
{
    for (size_t i = 0; value->strings && i < value->n; i++) free(value->strings[i]);
    free(value->strings);
    free(value->ints);
    free(value->floats);
    *value = (tdm__value){0};
}

/* Printing ------------------------------------------------------------------------------------- */

/* Reads one code point; 0 bytes taken means malformed (overlong and surrogates included). */
static size_t utf8_decode(const char *text, uint32_t *out)
{
    const unsigned char *p = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80         ? 1
               : (p[0] >> 5) == 6  ? 2
               : (p[0] >> 4) == 14 ? 3
               : (p[0] >> 3) == 30 ? 4
                                   : 0;
    if (n == 0) return 0;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3F);
    }
    if (n > 1 && (c < least[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))) return 0;
    *out = c;
    return n;
}

bool tdm__utf8_valid(const char *text)
{
    uint32_t c;
    for (size_t n; *text; text += n) {
        n = utf8_decode(text, &c);
        if (n == 0) return false;
    }
    return true;
}

/* True for texts that YAML reads back unchanged without quotes, in flow lists too. */
static bool plain_is_safe(const char *text)
{
    static const char *const special[] = {"", "~", "null", "Null", "NULL", "-", "..."};
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (tdm__streq(text, special[i])) return false;
    if (tdm__starts_with(text, "--")) return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./+-") ==
           strlen(text);
}

/* True for texts that other readers of YAML take for a number or a truth value. */
static bool looks_typed(const char *text)
{
    double number;
    bool truth;
    return tdm__parse_f64(text, &number) || tdm__parse_bool(text, &truth);
}

/* One scalar, in quotes when it must or should be. */
static void print_text(const char *text, bool quote, tdm__str *out)
{
    if (!quote && plain_is_safe(text)) {
        tdm__str_add(out, text);
        return;
    }
    tdm__str_add(out, "\"");
    uint32_t c = 0;
    for (size_t n; *text; text += n) {
        n = utf8_decode(text, &c);
        if (n == 0) { /* only in messages: values are checked */
            tdm__str_addf(out, "\\x%02X", (unsigned)(unsigned char)*text);
            n = 1;
        } else if (c == '"' || c == '\\') {
            tdm__str_addf(out, "\\%c", (char)c);
        } else if (c == '\n') {
            tdm__str_add(out, "\\n");
        } else if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 ||
                   c == 0xFEFF || c == 0xFFFE ||
                   c == 0xFFFF) { /* what YAML takes for line ends or refuses */
            tdm__str_addf(out, "\\u%04X", (unsigned)c);
        } else {
            tdm__str_addn(out, text, n);
        }
    }
    tdm__str_add(out, "\"");
}

static void print_element(const tdm_opt_spec *spec, const tdm__value *value, size_t i,
                          tdm__str *out)
{
    char text[TDM__F64_TEXT];
    switch (spec->type) {
    case TDM_OPT_BOOL:
        tdm__str_add(out, value->b ? "true" : "false");
        break;
    case TDM_OPT_INT:
    case TDM_OPT_INTS:
        tdm__str_addf(out, "%lld", (long long)value->ints[i]);
        break;
    case TDM_OPT_FLOAT:
    case TDM_OPT_FLOATS:
        tdm__f64_text(value->floats[i], text);
        tdm__str_add(out, text);
        break;
    default:
        print_text(value->strings[i], looks_typed(value->strings[i]), out);
        break;
    }
}

void tdm__value_print(const tdm_opt_spec *spec, const tdm__value *value, tdm__str *out)
{
    bool list = tdm__type_is_list(spec->type);
    if (list) tdm__str_add(out, "[");
    for (size_t i = 0; i < value->n; i++) {
        if (i > 0) tdm__str_add(out, ", ");
        print_element(spec, value, i, out);
    }
    if (list) tdm__str_add(out, "]");
}

void tdm__item_print(const tdm__item *item, tdm__str *out)
{
    size_t start = out->length;
    if (item->kind == TDM__ITEM_EMPTY) tdm__str_add(out, "{}");
    if (item->kind == TDM__ITEM_LIST) tdm__str_add(out, "[");
    for (size_t i = 0; i < item->n; i++) {
        if (i > 0) tdm__str_add(out, ", ");
        if (item->scalars[i].null)
            tdm__str_add(out, "null");
        else
            print_text(item->scalars[i].text, false, out);
        if (out->length - start > SHOWN_MAX) break;
    }
    if (item->kind == TDM__ITEM_LIST) tdm__str_add(out, "]");
    if (out->failed || out->length - start <= SHOWN_MAX) return;
    out->length = start + SHOWN_MAX;
    while (((unsigned char)out->text[out->length] & 0xC0) == 0x80)
        out->length--; /* whole characters */
    out->text[out->length] = 0;
    tdm__str_add(out, "...");
}

/* base/str.c: growing strings, strict number parsing, globs and suggestions. Numbers are read and
 * written in the C locale whatever the process uses. */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

void tdm__str_addn(tdm__str *s, const void *bytes, size_t n)
{
    if (s->failed) return;
    if (n > SIZE_MAX - s->length - 1 || tdm__grow(&s->text, &s->capacity, s->length + n + 1, 1)) {
        s->failed = true;
        return;
    }
    if (n > 0) memcpy(s->text + s->length, bytes, n);
    s->length += n;
    s->text[s->length] = 0;
}

void tdm__str_add(tdm__str *s, const char *text)
{
    tdm__str_addn(s, text, strlen(text));
}

void tdm__str_add_word(tdm__str *s, const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "%+,-./:=@_";
    if (*text && !text[strspn(text, plain)]) {
        tdm__str_add(s, text);
        return;
    }
    tdm__str_add(s, "'");
    for (; *text; text++) {
        if (*text == '\'')
            tdm__str_add(s, "'\\''");
        else
            tdm__str_addn(s, text, 1);
    }
    tdm__str_add(s, "'");
}

static void add_formatted(tdm__str *s, const char *format, va_list args)
{
    char small[256], *big = NULL;
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    if (n >= 0 && (size_t)n < sizeof small) {
        tdm__str_addn(s, small, (size_t)n);
    } else if ((n = vasprintf(&big, format, again)) < 0) {
        s->failed = true;
    } else {
        tdm__str_addn(s, big, (size_t)n);
        free(big);
    }
    va_end(again);
}

void tdm__str_addf(tdm__str *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_formatted(s, format, args);
    va_end(args);
}

const char *tdm__str_text(const tdm__str *s)
{
    return s->text ? s->text : "";
}

tdm_status tdm__str_status(const tdm__str *s)
{
    if (!s->failed) return TDM_OK;
    return tdm__fail(TDM_ERR_NOMEM, "out of memory: a text of more than %zu bytes", s->length);
}

void tdm__str_free(tdm__str *s)
{
    free(s->text);
    *s = (tdm__str){0};
}

bool tdm__streq(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool tdm__starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool tdm__ends_with(const char *text, const char *suffix)
{
    size_t n = strlen(text), m = strlen(suffix);
    return m <= n && strcmp(text + n - m, suffix) == 0;
}

bool tdm__contains_nocase(const char *text, const char *part)
{
    return strcasestr(text, part);
}

bool tdm__glob(const char *pattern, const char *text)
{
    return fnmatch(pattern, text, FNM_NOESCAPE) == 0;
}

/* Numbers -------------------------------------------------------------------------------------- */

static pthread_once_t locale_once = PTHREAD_ONCE_INIT;
static locale_t locale_c;

static void locale_create(void)
{
    locale_c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* strtod and friends skip leading space; a strict reader does not. */
static bool starts_like_number(const char *text)
{
    return *text && !isspace((unsigned char)*text);
}

bool tdm__parse_i64(const char *text, int64_t *out)
{
    char *end;
    if (!starts_like_number(text)) return false;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*end || end == text || errno) return false;
    *out = value;
    return true;
}

bool tdm__parse_f64(const char *text, double *out)
{
    char *end;
    /* strtod also reads hexadecimal and nan(...) forms, which no configuration means */
    if (!starts_like_number(text) || strpbrk(text, "xX(")) return false;
    pthread_once(&locale_once, locale_create);
    double value = locale_c ? strtod_l(text, &end, locale_c) : strtod(text, &end);
    if (*end || end == text) return false;
    *out = value; /* too small becomes 0 or a denormal, too large inf */
    return true;
}

bool tdm__parse_bool(const char *text, bool *out)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0) {
            *out = i % 2;
            return true;
        }
    return false;
}

void tdm__f64_text(double value, char out[TDM__F64_TEXT])
{
    if (isnan(value)) {
        memcpy(out, "nan", 4);
        return;
    }
    pthread_once(&locale_once, locale_create);
    locale_t old = locale_c ? uselocale(locale_c) : (locale_t)0;
    bool whole = fabs(value) < 1e15 && value == nearbyint(value); /* 100, not 1e+02 */
    if (whole) snprintf(out, TDM__F64_TEXT, "%.0f", value);
    for (int digits = 1; !whole && digits <= 17; digits++) {
        snprintf(out, TDM__F64_TEXT, "%.*g", digits, value);
        if (strtod(out, NULL) == value) break;
    }
    if (old) uselocale(old);
}

size_t tdm__utf8_length(const unsigned char *p)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
    if (n < 2) return n;
    uint32_t code = p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if (p[i] >> 6 != 2) return 0;
        code = code << 6 | (p[i] & 0x3f);
    }
    bool bad = code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
    return bad ? 0 : n;
}

/* Suggestions ---------------------------------------------------------------------------------- */

enum { WORD_MAX = 255 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours, ignoring
 * case. Both texts at most WORD_MAX long. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1];
    size_t n = strlen(a), m = strlen(b);
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            int x = tolower((unsigned char)a[i - 1]), y = tolower((unsigned char)b[j - 1]);
            now[j] = min3(now[j - 1] + 1, last[j] + 1, last[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
                y == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return rows[n % 3][m];
}

const char *tdm__suggest(const char *word, const char *const *candidates, size_t n)
{
    size_t length = strlen(word);
    if (length == 0 || length > WORD_MAX) return NULL;
    size_t best = (length / 3 > 1 ? length / 3 : 1) + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t other = strlen(candidates[i]);
        size_t gap = other > length ? other - length : length - other;
        if (other > WORD_MAX || gap >= best) continue;
        size_t distance = edit_distance(word, candidates[i]);
        if (distance >= best) continue;
        best = distance;
        found = candidates[i];
    }
    return found;
}

enum { NAMES_SHOWN = 20 };

tdm_status tdm__fail_unknown(tdm_status status, const char *name, const void *owner,
                             tdm__name_at *name_at, size_t n, const char *format, ...)
{
    tdm__str text = {0};
    const char **names = tdm__calloc(n, sizeof *names), *near = NULL;
    va_list args;
    va_start(args, format);
    add_formatted(&text, format, args);
    va_end(args);
    for (size_t i = 0; i < n && i < NAMES_SHOWN; i++)
        tdm__str_addf(&text, "%s %s", i ? "," : "", name_at(owner, i));
    if (n == 0) tdm__str_add(&text, " none");
    if (n > NAMES_SHOWN) tdm__str_addf(&text, " and %zu more", n - NAMES_SHOWN);
    for (size_t i = 0; names && i < n; i++) names[i] = name_at(owner, i);
    if (names) near = tdm__suggest(name, names, n);
    tdm__fail(status, "%s", tdm__str_text(&text));
    if (near) tdm__hint(status, "did you mean '%s'?", near);
    free(names);
    tdm__str_free(&text);
    return status;
}

int tdm__split_words(const char *text, tdm__word *words, int most)
{
    int n = 0;
    while (*(text += strspn(text, " \t"))) {
        const size_t length = strcspn(text, " \t");
        if (n == most || length >= sizeof *words) return -1;
        memcpy(words[n], text, length);
        words[n++][length] = 0;
        text += length;
    }
    return n;
}

bool tdm__parse_bytes(const char *text, uint64_t *out)
{
    static const char units[] = "KMGT";
    const size_t digits = strspn(text, "0123456789.");
    char number[64];
    double value;
    if (digits == 0 || digits >= sizeof number) return false;
    memcpy(number, text, digits);
    number[digits] = 0;
    if (!tdm__parse_f64(number, &value)) return false;
    const char *unit = text + digits + (text[digits] == ' ');
    const char *power = *unit ? strchr(units, toupper((unsigned char)*unit)) : NULL;
    if (power) {
        for (int i = 0; i <= power - units; i++) value *= 1024;
        unit++;
        if (*unit == 'i' && unit[1]) unit++;
    }
    if (*unit == 'B') unit++;
    if (*unit || !(value < 9e18)) return false;
    *out = (uint64_t)value;
    return true;
}

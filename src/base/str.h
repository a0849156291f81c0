/* base/str.h: growing strings, splitting, matching, suggestions. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A growing, always terminated string. Zero-initialise. Running out of memory is sticky
 * (failed = true) and reported once by tdm__str_status. */
typedef struct tdm__str {
    char *text; /* NULL until the first append */
    size_t length, capacity;
    bool failed;
} tdm__str;

void tdm__str_addf(tdm__str *s, const char *format, ...) TDM__PRINTF(2, 3);
void tdm__str_add(tdm__str *s, const char *text);
void tdm__str_addn(tdm__str *s, const void *bytes, size_t n);
/* As one word of a shell's line. */
void tdm__str_add_word(tdm__str *s, const char *text);
const char *tdm__str_text(const tdm__str *s); /* "" when empty */
tdm_status tdm__str_status(const tdm__str *s);
void tdm__str_free(tdm__str *s);

bool tdm__streq(const char *a, const char *b); /* NULL-safe */
bool tdm__starts_with(const char *text, const char *prefix);
bool tdm__ends_with(const char *text, const char *suffix);
bool tdm__contains_nocase(const char *text, const char *part);
/* Shell-style glob: * matches any run of characters (dots included), ? one, [a-z] a class. */
bool tdm__glob(const char *pattern, const char *text);
/* Strict number parsing: the whole text must be consumed; false otherwise. */
bool tdm__parse_i64(const char *text, int64_t *out);
/* "4096", "512K", "1.5 GiB": K, M, G, T are powers of 1024, with or without "B" or "iB". */
bool tdm__parse_bytes(const char *text, uint64_t *out);
bool tdm__parse_f64(const char *text, double *out); /* accepts inf and nan; callers range-check */
bool tdm__parse_bool(const char *text, bool *out);  /* true false yes no on off 1 0 */

/* Length of the UTF-8 sequence at p, 0 when it is none (overlong, surrogate, beyond U+10FFFF) or
 * the text ends. */
size_t tdm__utf8_length(const unsigned char *p);

/* Words between blanks, for short texts in configurations ("conv 32 k3"). Returns how many there
 * are, -1 when one is too long or there are more than `most`. */
typedef char tdm__word[32];
int tdm__split_words(const char *text, tdm__word *words, int most);

/* The shortest decimal text that reads back as the same double ("0.1", "1e-05", "inf",
 * "nan"), with a point whatever the locale. */
enum { TDM__F64_TEXT = 32 };
void tdm__f64_text(double value, char out[TDM__F64_TEXT]);

/* The candidate nearest to `word` by edit distance (transpositions count 1), or NULL if none is
 * near enough to suggest (distance <= max(1, len/3)). candidates: n strings. */
const char *tdm__suggest(const char *word, const char *const *candidates, size_t n);

/* The name of thing i of an owner, i < n. */
typedef const char *tdm__name_at(const void *owner, size_t i);
/* Fails because none of an owner's n things is called `name`: the formatted text ("...: it has"),
 * the first names that there are ("none" without any), and the nearest as a hint. */
tdm_status tdm__fail_unknown(tdm_status status, const char *name, const void *owner,
                             tdm__name_at *name_at, size_t n, const char *format, ...)
    TDM__PRINTF(6, 7);

#endif

/* Program texts and options: the prelude followed by the file, each with the files that it
 * includes, and normalised defines. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cl/embedded.h"
#include "cl/internal.h"

#define SOURCE_LIMIT (16u << 20)

/* ---- texts ----------------------------------------------------------------------------------- */

/* The file's text from the override folder when it is there, else the embedded one. free(*out). */
static tdm_status file_text(const char *folder, const char *file, char **out)
{
    tdm_status status = TDM_OK;
    char *path = NULL;
    size_t size;
    *out = NULL;
    if (folder) {
        TDM_TRY(tdm__path_join(folder, file, &path));
        if (tdm__path_exists(path)) {
            TDM_TRY(tdm__read_file(path, SOURCE_LIMIT, out, &size));
            goto done;
        }
    }
    for (const tdm__embedded *e = tdm__embedded_files; e->name; e++) {
        if (!tdm__streq(e->name, file)) continue;
        *out = tdm__strdup(e->text);
        if (!*out) status = tdm__fail(TDM_ERR_NOMEM, "kernel file %s: out of memory", file);
        goto done;
    }
    status = tdm__fail(TDM_ERR_BUILD, "no kernel file %s%s%s", file,
                       folder ? " embedded or in TANDEM_CL_DIR = " : "", folder ? folder : "");
done:
    free(path);
    return status;
}

#define INCLUDE "#include \""

enum { INCLUDE_DEPTH = 4 };

static tdm_status add_file(const char *folder, const char *file, int depth, tdm__str *out);

/* The line `#include "NAME"`. */
static tdm_status add_included(const char *folder, const char *file, const char *line, int depth,
                               tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm__str name = {0};
    const char *begin = line + strlen(INCLUDE);
    tdm__str_addn(&name, begin, strcspn(begin, "\"\n"));
    TDM_TRY(tdm__str_status(&name));
    if (depth == INCLUDE_DEPTH)
        TDM_TRY(tdm__fail(TDM_ERR_BUILD, "kernel files include each other without end"));
    status = tdm__context(add_file(folder, tdm__str_text(&name), depth + 1, out), "included by %s",
                          file);
done:
    tdm__str_free(&name);
    return status;
}

/* A file with what it includes. The marks make a compiler's line numbers those of the files. */
static tdm_status add_file(const char *folder, const char *file, int depth, tdm__str *out)
{
    tdm_status status = TDM_OK;
    char *text = NULL;
    TDM_TRY(file_text(folder, file, &text));
    tdm__str_addf(out, "#line 1 \"%s\"\n", file);
    int number = 1;
    for (const char *line = text; *line; number++) {
        const size_t length = strcspn(line, "\n"), whole = length + (line[length] == '\n');
        if (tdm__starts_with(line, INCLUDE)) {
            TDM_TRY(add_included(folder, file, line, depth, out));
            tdm__str_addf(out, "#line %d \"%s\"\n", number + 1, file);
        } else {
            tdm__str_addn(out, line, whole);
        }
        line += whole;
    }
    tdm__str_add(out, "\n");
done:
    free(text);
    return status;
}

tdm_status tdm__program_source(const char *folder, const char *file, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str s = {0};
    *out = NULL;
    TDM_TRY(add_file(folder, TDM__PRELUDE, 0, &s));
    TDM_TRY(add_file(folder, file, 0, &s));
    TDM_TRY(tdm__str_status(&s));
    *out = s.text;
    s = (tdm__str){0};
done:
    tdm__str_free(&s);
    return status;
}

tdm_status tdm__device_kernels_hash(const tdm_device *device, char hex[TDM__HASH_HEX])
{
    tdm_status status = TDM_OK;
    tdm__hash *hash = NULL;
    char *text = NULL;
    TDM_TRY(tdm__hash_create(&hash));
    for (const tdm__embedded *e = tdm__embedded_files; e->name; e++) {
        free(text);
        TDM_TRY(file_text(device->cl_folder, e->name, &text));
        tdm__hash_add_text(hash, e->name);
        tdm__hash_add_text(hash, text);
    }
    tdm__hash_hex(hash, hex);
done:
    free(text);
    tdm__hash_destroy(&hash);
    return status;
}

/* ---- defines --------------------------------------------------------------------------------- */

typedef struct words {
    char *text;   /* the words, each terminated */
    char **items; /* "NAME" or "NAME=VALUE" */
    size_t n, capacity;
} words;

static void words_free(words *w)
{
    free(w->text);
    free(w->items);
    *w = (words){0};
}

static size_t name_length(const char *define)
{
    return strcspn(define, "=");
}

static bool same_name(const char *a, const char *b)
{
    size_t n = name_length(a);
    return n == name_length(b) && memcmp(a, b, n) == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "-D A=1 -DB" -> {"A=1", "B"} */
static tdm_status split(const char *defines, words *w)
{
    tdm_status status = TDM_OK;
    char *rest = NULL;
    bool awaiting = false; /* a lone -D has been seen */
    w->text = tdm__strdup(defines);
    if (!w->text) return tdm__fail(TDM_ERR_NOMEM, "kernel defines: out of memory");
    for (char *word = strtok_r(w->text, " \t\n", &rest); word;
         word = strtok_r(NULL, " \t\n", &rest)) {
        if (!awaiting && tdm__streq(word, "-D")) {
            awaiting = true;
            continue;
        }
        if (!awaiting && !tdm__starts_with(word, "-D"))
            return tdm__fail(TDM_ERR_BUILD, "kernel defines: `%s` in `%s`: must be -DNAME=VALUE",
                             word, defines);
        if (!awaiting) word += 2;
        awaiting = false;
        if (name_length(word) == 0)
            return tdm__fail(TDM_ERR_BUILD, "kernel defines: a name is missing in `%s`", defines);
        TDM_TRY(tdm__grow(&w->items, &w->capacity, w->n + 1, sizeof *w->items));
        w->items[w->n++] = word;
    }
    if (awaiting)
        return tdm__fail(TDM_ERR_BUILD, "kernel defines: a name is missing in `%s`", defines);
done:
    return status;
}

tdm_status tdm__defines_normalise(const char *defines, char **out)
{
    tdm_status status = TDM_OK;
    words w = {0};
    tdm__str s = {0};
    *out = NULL;
    TDM_TRY(split(defines, &w));
    if (w.n > 1) qsort(w.items, w.n, sizeof *w.items, compare);
    for (size_t i = 0; i < w.n; i++) {
        if (i > 0 && tdm__streq(w.items[i], w.items[i - 1])) continue;
        if (i > 0 && same_name(w.items[i], w.items[i - 1])) {
            status = tdm__fail(TDM_ERR_BUILD, "kernel defines: both %s and %s in `%s`",
                               w.items[i - 1], w.items[i], defines);
            goto done;
        }
        tdm__str_addf(&s, "%s-D%s", s.length ? " " : "", w.items[i]);
    }
    tdm__str_add(&s, "");
    TDM_TRY(tdm__str_status(&s));
    *out = tdm__strdup(tdm__str_text(&s));
    if (!*out) status = tdm__fail(TDM_ERR_NOMEM, "kernel defines: out of memory");
done:
    words_free(&w);
    tdm__str_free(&s);
    return status;
}

tdm_status tdm__defines_merge(const char *device_defines, const char *defines, char **out)
{
    tdm_status status = TDM_OK;
    words own = {0};
    char *copy = NULL, *rest = NULL;
    tdm__str s = {0};
    *out = NULL;
    TDM_TRY(split(defines, &own));
    copy = tdm__strdup(device_defines);
    if (!copy) {
        status = tdm__fail(TDM_ERR_NOMEM, "kernel defines: out of memory");
        goto done;
    }
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        bool replaced = false;
        for (size_t i = 0; i < own.n && tdm__starts_with(word, "-D"); i++)
            replaced |= same_name(word + 2, own.items[i]);
        if (!replaced) tdm__str_addf(&s, "%s%s", s.length ? " " : "", word);
    }
    if (*defines) tdm__str_addf(&s, " %s", defines);
    TDM_TRY(tdm__str_status(&s));
    *out = s.text;
    s = (tdm__str){0};
done:
    words_free(&own);
    free(copy);
    tdm__str_free(&s);
    return status;
}

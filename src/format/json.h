/* format/json.h: a JSON writer for lines and small documents, and strict loading through jansson.
 *
 *     tdm__json j = {0};
 *     tdm__json_open(&j, '{');
 *     tdm__json_key(&j, "loss");
 *     tdm__json_number(&j, loss);      // NaN and infinities become null
 *     tdm__json_close(&j, '}');
 *     TDM_TRY(tdm__json_status(&j));
 *     ... tdm__json_text(&j) ...
 *     tdm__json_free(&j);
 *
 * Keys keep the order in which they are written. Numbers read back to the same double.
 */
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include <jansson.h>

#include "base/str.h"

typedef struct tdm__json {
    tdm__str out;
    int depth;
    bool need_comma; /* a value precedes in the current object or array */
    bool after_key;
} tdm__json;

void tdm__json_open(tdm__json *j, char bracket);  /* '{' or '[' */
void tdm__json_close(tdm__json *j, char bracket); /* '}' or ']' */
void tdm__json_key(tdm__json *j, const char *key);
void tdm__json_string(tdm__json *j, const char *text); /* NULL gives null; bad UTF-8 is replaced */
void tdm__json_number(tdm__json *j, double value);     /* shortest text that reads back equal */
void tdm__json_int(tdm__json *j, int64_t value);
void tdm__json_uint(tdm__json *j, uint64_t value);
void tdm__json_bool(tdm__json *j, bool value);
void tdm__json_null(tdm__json *j);
/* A value that is JSON already. */
void tdm__json_raw(tdm__json *j, const char *json);
const char *tdm__json_text(const tdm__json *j);
tdm_status tdm__json_status(const tdm__json *j);
void tdm__json_free(tdm__json *j);

/* Parses a document (UTF-8, duplicate keys rejected, depth bounded by jansson). TDM_ERR_DATA with
 * `name`, line and column. Release with json_decref. */
tdm_status tdm__json_parse(const char *text, size_t size, const char *name, json_t **out);

#endif

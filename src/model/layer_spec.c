/* model/layer_spec.c: from "conv 32 k3 p1" to a layer_spec. */
#include "model/layer_spec.h"

#include <string.h>

enum { MAX_WORDS = 12 };

/* What words a layer takes: a leading number, which option letters, flags. */
typedef struct layer_syntax {
    const char *name;
    tdm__layer_kind kind;
    enum { NO_NUMBER, UNITS, WINDOW, VALUE } number;
    const char *letters; /* of "kspdgo" */
    bool nobias;
    const char *usage;
} layer_syntax;

static const layer_syntax syntaxes[] = {
    {"conv", TDM__LAYER_CONV, UNITS, "kspdg", true, "conv 32 k3 [s1] [p1] [d1] [g1] [nobias]"},
    {"conv-transpose", TDM__LAYER_CONV_TRANSPOSE, UNITS, "kspdo", true,
     "conv-transpose 16 k2 [s2] [p0] [o0] [nobias]"},
    {"dense", TDM__LAYER_DENSE, UNITS, "", true, "dense 128 [nobias]"},
    {"flatten", TDM__LAYER_FLATTEN, NO_NUMBER, "", false, "flatten"},
    {"relu", TDM__LAYER_RELU, NO_NUMBER, "", false, "relu"},
    {"leaky-relu", TDM__LAYER_LEAKY_RELU, VALUE, "", false, "leaky-relu 0.01"},
    {"sigmoid", TDM__LAYER_SIGMOID, NO_NUMBER, "", false, "sigmoid"},
    {"tanh", TDM__LAYER_TANH, NO_NUMBER, "", false, "tanh"},
    {"batch-norm", TDM__LAYER_BATCH_NORM, NO_NUMBER, "", false, "batch-norm"},
    {"dropout", TDM__LAYER_DROPOUT, VALUE, "", false, "dropout 0.5"},
    {"max-pool", TDM__LAYER_MAX_POOL, WINDOW, "sp", false, "max-pool 2 [s2] [p0]"},
    {"avg-pool", TDM__LAYER_AVG_POOL, WINDOW, "sp", false, "avg-pool 2 [s2] [p0]"},
    {"avg-pool-to", TDM__LAYER_AVG_POOL_TO, WINDOW, "", false, "avg-pool-to 4"},
    {"global-avg-pool", TDM__LAYER_GLOBAL_AVG_POOL, NO_NUMBER, "", false, "global-avg-pool"},
    {"global-max-pool", TDM__LAYER_GLOBAL_MAX_POOL, NO_NUMBER, "", false, "global-max-pool"},
    {"upsample", TDM__LAYER_UPSAMPLE, VALUE, "", false, "upsample 2 nearest|bilinear"},
};
enum { N_SYNTAXES = sizeof syntaxes / sizeof *syntaxes };

static const layer_syntax *find_syntax(const char *word)
{
    for (int i = 0; i < N_SYNTAXES; i++)
        if (!strcmp(syntaxes[i].name, word)) return &syntaxes[i];
    return NULL;
}

static tdm_status unknown_layer(const char *word)
{
    const char *names[N_SYNTAXES];
    for (int i = 0; i < N_SYNTAXES; i++) names[i] = syntaxes[i].name;
    const char *near = tdm__suggest(word, names, N_SYNTAXES);
    if (near)
        return tdm__fail(TDM_ERR_CONFIG, "unknown layer '%s' (did you mean '%s'?)", word, near);
    return tdm__fail(TDM_ERR_CONFIG, "unknown layer '%s' (hint: conv, dense, relu, max-pool, ...)",
                     word);
}

/* "3" within [1, 65535]. */
static bool parse_count(const char *text, int32_t *out)
{
    int64_t n;
    if (!tdm__parse_i64(text, &n) || n < 1 || n > 65535) return false;
    *out = (int32_t)n;
    return true;
}

/* "3" or "3x5" into two values within [min, 65535]. */
static bool parse_pair(const char *text, int64_t min, int32_t out[2])
{
    tdm__word first;
    const char *x = strchr(text, 'x');
    const size_t n = x ? (size_t)(x - text) : strlen(text);
    if (n >= sizeof first) return false;
    memcpy(first, text, n);
    first[n] = 0;
    int64_t a, b;
    if (!tdm__parse_i64(first, &a)) return false;
    b = a;
    if (x && !tdm__parse_i64(x + 1, &b)) return false;
    if (a < min || b < min || a > 65535 || b > 65535) return false;
    out[0] = (int32_t)a;
    out[1] = (int32_t)b;
    return true;
}

static bool parse_units(const char *word, int64_t *units)
{
    if (!strcmp(word, "classes"))
        *units = TDM__UNITS_CLASSES;
    else if (!strcmp(word, "channels"))
        *units = TDM__UNITS_CHANNELS;
    else if (!strcmp(word, "outputs"))
        *units = TDM__UNITS_OUTPUTS;
    else if (!strcmp(word, "same"))
        *units = TDM__UNITS_SAME;
    else
        return tdm__parse_i64(word, units) && *units >= 1 && *units <= 1 << 20;
    return true;
}

static bool parse_option(const layer_syntax *syntax, const char *word, tdm__layer_spec *out)
{
    if (syntax->nobias && !strcmp(word, "nobias")) {
        out->bias = false;
        return true;
    }
    if (syntax->kind == TDM__LAYER_UPSAMPLE && !strcmp(word, "bilinear"))
        return out->bilinear = true;
    if (syntax->kind == TDM__LAYER_UPSAMPLE && !strcmp(word, "nearest")) return true;
    if (!word[0] || !strchr(syntax->letters, word[0])) return false;
    switch (word[0]) {
    case 'k':
        return parse_pair(word + 1, 1, out->kernel);
    case 's':
        return parse_pair(word + 1, 1, out->stride);
    case 'p':
        return parse_pair(word + 1, 0, out->padding);
    case 'd':
        return parse_pair(word + 1, 1, out->dilation);
    case 'g':
        return parse_count(word + 1, &out->groups);
    case 'o':
        return parse_pair(word + 1, 0, out->output_padding);
    default:
        return false;
    }
}

static bool parse_number(const layer_syntax *syntax, const char *word, tdm__layer_spec *out)
{
    double value;
    switch (syntax->number) {
    case UNITS:
        return parse_units(word, &out->units);
    case WINDOW:
        return parse_pair(word, 1, out->kernel);
    case VALUE:
        if (!tdm__parse_f64(word, &value) || !(value >= 0) || value > 1024) return false;
        if (syntax->kind == TDM__LAYER_DROPOUT && value >= 1) return false;
        if (syntax->kind == TDM__LAYER_UPSAMPLE && (value < 1 || value != (int)value)) return false;
        out->value = (float)value;
        return true;
    default:
        return false;
    }
}

tdm_status tdm__layer_parse(const char *text, tdm__layer_spec *out)
{
    tdm__word words[MAX_WORDS];
    memset(out, 0, sizeof *out);
    const int n = tdm__split_words(text, words, MAX_WORDS);
    if (n < 1) return tdm__fail(TDM_ERR_CONFIG, n ? "layer text is too long" : "empty layer");
    const layer_syntax *syntax = find_syntax(words[0]);
    if (!syntax) return unknown_layer(words[0]);
    out->kind = syntax->kind;
    out->bias = true;
    int at = 1;
    if (syntax->number != NO_NUMBER && (n < 2 || !parse_number(syntax, words[at++], out)))
        return tdm__fail(TDM_ERR_CONFIG, "layer '%s' needs a number (usage: %s)", text,
                         syntax->usage);
    for (; at < n; at++)
        if (!parse_option(syntax, words[at], out))
            return tdm__fail(TDM_ERR_CONFIG, "layer '%s': '%s' is not understood (usage: %s)", text,
                             words[at], syntax->usage);
    if (strchr(syntax->letters, 'k') && !out->kernel[0])
        return tdm__fail(TDM_ERR_CONFIG, "layer '%s' needs a kernel size (usage: %s)", text,
                         syntax->usage);
    return TDM_OK;
}

/* report/where.c: parsing conditions into a list of nodes, and deciding them for a run. */
#include "report/where.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { DEPTH = 64, TEXT_MAX = 1 << 16 };

typedef enum node_kind { NODE_COMPARE, NODE_AND, NODE_OR, NODE_NOT } node_kind;
typedef enum op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE } op;

typedef struct node {
    node_kind kind;
    size_t a, b; /* operands: indices of nodes */
    op op;
    char *field, *text;
    double number; /* of text, NaN: it is none */
} node;

struct tdm__where {
    node *nodes;
    size_t n, capacity, root;
    bool *held; /* scratch: per node, while a record is decided */
};

/* ---- words ----------------------------------------------------------------------------------- */

typedef enum token {
    TOKEN_END,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_OPERATOR,
    TOKEN_WORD, /* also numbers */
    TOKEN_QUOTED,
    TOKEN_BAD
} token;

typedef struct parser {
    const char *text, *at; /* at: begin of the current token */
    size_t length;         /* of it */
    token token;
    tdm__where *out;
} parser;

static bool in_word(char c)
{
    return c && !isspace((unsigned char)c) && !strchr("()=!<>'\"", c);
}

static void next(parser *p)
{
    p->at += p->length;
    while (isspace((unsigned char)*p->at)) p->at++;
    const char *c = p->at;
    p->length = 1;
    if (!*c) {
        p->token = TOKEN_END;
        p->length = 0;
    } else if (*c == '(' || *c == ')') {
        p->token = *c == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
    } else if (strchr("=!<>", *c)) {
        p->token = TOKEN_OPERATOR;
        if (c[1] == '=') p->length = 2;
        if (*c == '!' && p->length == 1) p->token = TOKEN_BAD;
    } else if (*c == '\'' || *c == '"') {
        const char *end = strchr(c + 1, *c);
        p->token = end ? TOKEN_QUOTED : TOKEN_BAD;
        if (end) p->length = (size_t)(end + 1 - c);
    } else {
        p->token = TOKEN_WORD;
        while (in_word(c[p->length])) p->length++;
    }
}

static bool is_word(const parser *p, const char *word)
{
    return p->token == TOKEN_WORD && p->length == strlen(word) && !strncmp(p->at, word, p->length);
}

static tdm_status fail_here(const parser *p, const char *wanted)
{
    tdm_status status;
    if (p->token == TOKEN_END)
        status = tdm__fail(TDM_ERR_USAGE, "condition '%.200s': ends where %s is wanted", p->text,
                           wanted);
    else
        status = tdm__fail(TDM_ERR_USAGE, "condition '%.200s': at '%.40s': %s is wanted", p->text,
                           p->at, wanted);
    return tdm__hint(status, "like task.class.accuracy > 0.8 and (arm = equal or seed < 3)");
}

/* ---- the grammar ----------------------------------------------------------------------------- */

static tdm_status add_node(parser *p, node fresh, size_t *out)
{
    tdm__where *w = p->out;
    const tdm_status status = tdm__grow(&w->nodes, &w->capacity, w->n + 1, sizeof *w->nodes);
    if (status) {
        free(fresh.field);
        free(fresh.text);
        return status;
    }
    *out = w->n;
    w->nodes[w->n++] = fresh;
    return TDM_OK;
}

static tdm_status take_text(parser *p, char **out)
{
    const size_t quotes = p->token == TOKEN_QUOTED;
    *out = strndup(p->at + quotes, p->length - 2 * quotes);
    if (!*out) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    next(p);
    return TDM_OK;
}

static op read_operator(const parser *p)
{
    const bool equal = p->length == 2;
    switch (*p->at) {
    case '!':
        return OP_NE;
    case '<':
        return equal ? OP_LE : OP_LT;
    case '>':
        return equal ? OP_GE : OP_GT;
    default:
        return OP_EQ;
    }
}

static tdm_status parse_comparison(parser *p, size_t *out)
{
    tdm_status status = TDM_OK;
    node fresh = {.kind = NODE_COMPARE};
    if (p->token != TOKEN_WORD) return fail_here(p, "a field");
    TDM_TRY(take_text(p, &fresh.field));
    if (p->token != TOKEN_OPERATOR) TDM_TRY(fail_here(p, "one of = != < <= > >="));
    fresh.op = read_operator(p);
    next(p);
    if (p->token != TOKEN_WORD && p->token != TOKEN_QUOTED)
        TDM_TRY(fail_here(p, "a number or a text"));
    const bool quoted = p->token == TOKEN_QUOTED;
    TDM_TRY(take_text(p, &fresh.text));
    if (quoted || !tdm__parse_f64(fresh.text, &fresh.number)) fresh.number = NAN;
    status = add_node(p, fresh, out);
    fresh.field = fresh.text = NULL;
done:
    free(fresh.field);
    free(fresh.text);
    return status;
}

/* `or` binds least, then `and`. */
static const struct {
    const char *word;
    node_kind kind;
} joins[] = {{"or", NODE_OR}, {"and", NODE_AND}};
enum { JOINS = sizeof joins / sizeof *joins };

static tdm_status parse_joined(parser *p, int level, int depth, size_t *out);

static tdm_status parse_not(parser *p, int depth, size_t *out)
{
    tdm_status status = TDM_OK;
    size_t inner;
    if (depth > DEPTH)
        return tdm__fail(TDM_ERR_USAGE, "condition '%.200s': nested too deeply", p->text);
    if (is_word(p, "not")) {
        next(p);
        TDM_TRY(parse_not(p, depth + 1, &inner));
        return add_node(p, (node){.kind = NODE_NOT, .a = inner}, out);
    }
    if (p->token != TOKEN_OPEN) return parse_comparison(p, out);
    next(p);
    TDM_TRY(parse_joined(p, 0, depth + 1, out));
    if (p->token != TOKEN_CLOSE) return fail_here(p, "a )");
    next(p);
done:
    return status;
}

/* Operands of one word and of those that bind more, from the left. */
static tdm_status parse_joined(parser *p, int level, int depth, size_t *out)
{
    tdm_status status = TDM_OK;
    size_t right;
    if (level == JOINS) return parse_not(p, depth, out);
    TDM_TRY(parse_joined(p, level + 1, depth, out));
    while (is_word(p, joins[level].word)) {
        next(p);
        TDM_TRY(parse_joined(p, level + 1, depth, &right));
        TDM_TRY(add_node(p, (node){.kind = joins[level].kind, .a = *out, .b = right}, out));
    }
done:
    return status;
}

tdm_status tdm__where_parse(const char *text, tdm__where **out)
{
    tdm_status status = TDM_OK;
    tdm__where *where = NULL;
    *out = NULL;
    if (strlen(text) > TEXT_MAX) return tdm__fail(TDM_ERR_USAGE, "a condition: too long");
    TDM_TRY(tdm__calloc_try(1, sizeof *where, &where));
    parser p = {.text = text, .at = text, .out = where};
    next(&p);
    TDM_TRY(parse_joined(&p, 0, 0, &where->root));
    if (p.token != TOKEN_END) TDM_TRY(fail_here(&p, "`and` or `or`"));
    TDM_TRY(tdm__calloc_try(where->n, sizeof *where->held, &where->held));
    *out = where;
    where = NULL;
done:
    tdm__where_destroy(&where);
    return status;
}

void tdm__where_destroy(tdm__where **where)
{
    if (!*where) return;
    for (size_t i = 0; i < (*where)->n; i++) {
        free((*where)->nodes[i].field);
        free((*where)->nodes[i].text);
    }
    free((*where)->nodes);
    free((*where)->held);
    free(*where);
    *where = NULL;
}

/* ---- deciding -------------------------------------------------------------------------------- */

size_t tdm__where_fields(const tdm__where *where)
{
    size_t n = 0;
    for (size_t i = 0; i < where->n; i++) n += where->nodes[i].kind == NODE_COMPARE;
    return n;
}

const char *tdm__where_field(const tdm__where *where, size_t i)
{
    for (size_t k = 0; k < where->n; k++)
        if (where->nodes[k].kind == NODE_COMPARE && i-- == 0) return where->nodes[k].field;
    return NULL;
}

static bool compare(const node *n, const tdm__record *record)
{
    const tdm__field *f = tdm__record_find(record, n->field);
    double order;
    if (!f) return false;
    if (!isnan(n->number) && !isnan(f->number))
        order = f->number < n->number ? -1 : f->number > n->number;
    else
        order = strcmp(f->text, n->text);
    switch (n->op) {
    case OP_EQ:
        return order == 0;
    case OP_NE:
        return order != 0;
    case OP_LT:
        return order < 0;
    case OP_LE:
        return order <= 0;
    case OP_GT:
        return order > 0;
    case OP_GE:
        return order >= 0;
    }
    return false;
}

/* Operands stand before the nodes that join them, so one pass from the first node decides all. */
bool tdm__where_holds(const tdm__where *where, const tdm__record *record)
{
    bool *held = where->held;
    for (size_t i = 0; i < where->n; i++) {
        const node *n = &where->nodes[i];
        switch (n->kind) {
        case NODE_COMPARE:
            held[i] = compare(n, record);
            break;
        case NODE_AND:
            held[i] = held[n->a] && held[n->b];
            break;
        case NODE_OR:
            held[i] = held[n->a] || held[n->b];
            break;
        case NODE_NOT:
            held[i] = !held[n->a];
            break;
        }
    }
    return held[where->root];
}

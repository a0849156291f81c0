/* args.c: the command line, parsed by the tables that also make --help. */
#include "cli.h"

#include <ctype.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 80,
    HELP_COLUMN = 26,
    FIRST = 256 /* what getopt_long returns for the first option; characters are below */
};

static const cli_option help_option = {"help", NULL, "print this and exit"};

static bool may_be_left_out(const char *name)
{
    return name[0] == '[';
}

static size_t count_options(const cli_command *command)
{
    size_t n = 1;
    for (size_t g = 0; command->groups && command->groups[g]; g++) n += command->groups[g]->n;
    return n;
}

/* All options of a command, --help last. n of them; free() the list. */
static const cli_option **list_options(const cli_command *command, size_t *n)
{
    const cli_option **list = cli_alloc(count_options(command), sizeof *list);
    *n = 0;
    for (size_t g = 0; command->groups && command->groups[g]; g++)
        for (size_t i = 0; i < command->groups[g]->n; i++)
            list[(*n)++] = &command->groups[g]->options[i];
    list[(*n)++] = &help_option;
    return list;
}

/* ---- help ------------------------------------------------------------------------------------ */

void cli_wrap(FILE *out, const char *text, int column, int indent)
{
    bool first = true;
    while (*text) {
        const size_t word = strcspn(text, " \n");
        if (!first && column + 1 + (int)word > WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += (int)word;
        text += word;
        first = false;
        if (*text == '\n') {
            fprintf(out, "\n%*s", text[1] ? indent : 0, "");
            column = indent;
            first = true;
        }
        if (*text) text++;
    }
    fputc('\n', out);
}

static void help_line(const cli_option *option)
{
    int column = printf("  --%s", option->name);
    if (option->arg) column += printf(" %s", option->arg);
    if (column + 2 > HELP_COLUMN) {
        printf("\n");
        column = 0;
    }
    printf("%*s", HELP_COLUMN - column, "");
    cli_wrap(stdout, option->help, HELP_COLUMN, HELP_COLUMN);
}

void cli_help(const cli_command *command)
{
    printf("usage: tandem %s", command->name);
    for (size_t i = 0; command->positionals[i]; i++) printf(" %s", command->positionals[i]);
    for (size_t g = 0; command->groups && command->groups[g]; g++)
        for (size_t i = 0; i < command->groups[g]->n; i++) {
            const cli_option *o = &command->groups[g]->options[i];
            if (o->required) printf(" --%s %s", o->name, o->arg);
        }
    char *summary =
        cli_format("%c%s.", toupper((unsigned char)*command->summary), command->summary + 1);
    printf(" [options]\n\n");
    cli_wrap(stdout, summary, 0, 0);
    free(summary);
    if (command->details) {
        printf("\n");
        cli_wrap(stdout, command->details, 0, 0);
    }
    for (size_t g = 0; command->groups && command->groups[g]; g++) {
        printf("\n%s:\n", command->groups[g]->title);
        for (size_t i = 0; i < command->groups[g]->n; i++)
            help_line(&command->groups[g]->options[i]);
    }
    printf("\n");
    help_line(&help_option);
    if (command->more_help) command->more_help();
}

/* ---- what is wrong --------------------------------------------------------------------------- */

int cli_usage_error(const cli_command *command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = cli_vformat(format, list);
    va_end(list);
    cli_error("%s: %s", command->name, text);
    cli_see_help(command->name);
    free(text);
    return tdm_status_exit_code(TDM_ERR_USAGE);
}

/* getopt has refused a word that begins with --: it is unknown, short for several, or was given an
 * argument that it does not take. */
static int refuse_long(const cli_command *command, const char *word)
{
    size_t n, matches = 0, length = strcspn(word, "=") - 2;
    const cli_option **options = list_options(command, &n);
    const char **names = cli_alloc(n, sizeof *names), *found = NULL;
    char *name = cli_format("%.*s", (int)length, word + 2), *list = cli_alloc(1, 1);
    for (size_t i = 0; i < n; i++) {
        names[i] = options[i]->name;
        if (strncmp(names[i], name, length) != 0) continue;
        if (!found || !names[i][length]) found = names[i];
        char *longer = cli_format("%s%s--%s", list, matches++ ? ", " : "", names[i]);
        free(list);
        list = longer;
    }
    const char *near = tdm_suggest(name, names, n);
    int code;
    if (found && (matches == 1 || !found[length]))
        code = cli_usage_error(command, "--%s takes no value", found);
    else if (found)
        code = cli_usage_error(command, "--%s could be %s", name, list);
    else if (near)
        code = cli_usage_error(command, "unknown option --%s (did you mean --%s?)", name, near);
    else
        code = cli_usage_error(command, "unknown option --%s", name);
    free(list);
    free(name);
    free(names);
    free(options);
    return code;
}

/* "INPUT...": takes all the rest, at least one. */
static bool takes_rest(const char *name)
{
    const size_t n = strlen(name);
    return n > 3 && !strcmp(name + n - 3, "...");
}

static int check_positionals(const cli_args *args)
{
    const char *const *names = args->command->positionals;
    size_t most = 0;
    while (names[most]) most++;
    const bool rest = most > 0 && takes_rest(names[most - 1]);
    if (args->n_positionals > most && !rest)
        return cli_usage_error(args->command, "one argument too many: %s", args->positionals[most]);
    if (args->n_positionals < most && !may_be_left_out(names[args->n_positionals]))
        return cli_usage_error(args->command, "%s is missing", names[args->n_positionals]);
    return -1;
}

static int check_required(const cli_args *args, const cli_option *const *options, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (options[i]->required && !cli_has(args, options[i]->name))
            return cli_usage_error(args->command, "--%s %s is missing", options[i]->name,
                                   options[i]->arg);
    return -1;
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* "--resume configs/a.yaml": the word after an option whose value may be left out is its value only
 * when no positional lacks it. */
static void give_back(cli_args *args)
{
    size_t wanted = 0;
    while (args->command->positionals[wanted]) wanted++;
    for (size_t i = args->n_given; i-- > 0 && args->n_positionals < wanted;) {
        cli_given *g = &args->given[i];
        if (!g->value || !g->option->arg || !may_be_left_out(g->option->arg)) continue;
        args->positionals[args->n_positionals++] = g->value;
        g->value = NULL;
    }
}

static int parse_all(const cli_command *command, int argc, char **argv, const cli_option **options,
                     const struct option *longs, size_t n, cli_args *out)
{
    optind = 0; /* glibc: begin anew */
    opterr = 0;
    for (;;) {
        const int at = optind ? optind : 1;
        /* "-": words that are no options come in their order, as 1 */
        const int c = getopt_long(argc, argv, "-:h", longs, NULL);
        if (c == -1) break;
        if (c == 1) {
            out->positionals[out->n_positionals++] = optarg;
        } else if (c == 'h' || c == FIRST + (int)n - 1) {
            cli_help(command);
            return 0;
        } else if (c == ':') {
            const cli_option *o = options[optopt - FIRST];
            return cli_usage_error(command, "--%s needs %s", o->name, o->arg);
        } else if (c < FIRST && argv[at][1] == '-') {
            return refuse_long(command, argv[at]);
        } else if (c < FIRST) {
            return cli_usage_error(command, "unknown option -%c", optopt);
        } else {
            const cli_option *o = options[c - FIRST];
            const char *value = optarg;
            if (o->arg && !value && optind < argc && argv[optind][0] != '-')
                value = argv[optind++]; /* only "[PATH]" gets here without a value */
            out->given[out->n_given++] = (cli_given){o, value};
        }
    }
    while (optind < argc) out->positionals[out->n_positionals++] = argv[optind++];
    give_back(out);
    const int code = check_positionals(out);
    return code >= 0 ? code : check_required(out, options, n);
}

int cli_args_parse(const cli_command *command, int argc, char **argv, cli_args *out)
{
    size_t n;
    const cli_option **options = list_options(command, &n);
    struct option *longs = cli_alloc(n + 1, sizeof *longs);
    for (size_t i = 0; i < n; i++) {
        const char *arg = options[i]->arg;
        longs[i].name = options[i]->name;
        longs[i].has_arg = !arg                   ? no_argument
                           : may_be_left_out(arg) ? optional_argument
                                                  : required_argument;
        longs[i].val = FIRST + (int)i;
    }
    *out = (cli_args){.command = command};
    out->positionals = cli_alloc((size_t)argc, sizeof *out->positionals);
    out->given = cli_alloc((size_t)argc, sizeof *out->given);
    const int code = parse_all(command, argc, argv, options, longs, n, out);
    free(longs);
    free(options);
    if (code >= 0) cli_args_free(out);
    return code;
}

void cli_args_free(cli_args *args)
{
    free(args->positionals);
    free(args->given);
    *args = (cli_args){0};
}

bool cli_has(const cli_args *args, const char *option)
{
    for (size_t i = 0; i < args->n_given; i++)
        if (!strcmp(args->given[i].option->name, option)) return true;
    return false;
}

const char *cli_value(const cli_args *args, const char *option)
{
    for (size_t i = args->n_given; i-- > 0;)
        if (!strcmp(args->given[i].option->name, option)) return args->given[i].value;
    return NULL;
}

const char *cli_positional(const cli_args *args, size_t index)
{
    return index < args->n_positionals ? args->positionals[index] : NULL;
}

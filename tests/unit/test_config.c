/* Tests of src/config: loading, setting, extending, reading; dumps are in test_config_dump.c. */
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "support/config_fixture.h"

/* The whole message, for the cases that users meet most. */
static void fails_with(const char *text, const char *message)
{
    tdm_status status = load(text);
    ck_assert_msg(status == TDM_ERR_CONFIG, "%s: %s", text, tdm_status_name(status));
    ck_assert_str_eq(tdm_last_error(), message);
}

/* Loading -------------------------------------------------------------------------------------- */

START_TEST(load_types)
{
    support_ok(load("# a comment\n"
                    "optim:\n"
                    "  name: sgd\n"
                    "  lr: 1e-2\n"
                    "  betas: [0.5, 0.25]\n"
                    "  nesterov: yes\n"
                    "data:\n"
                    "  path: 'a b: c'\n"
                    "  workers: 4\n"
                    "  size:\n"
                    "    - 32\n"
                    "    - 64\n"
                    "freeze: ['encoder.*', \"*.bias\"]\n"));
    resolve();
    ck_assert_str_eq(get_string("optim.name"), "sgd");
    ck_assert_double_eq(get_float("optim.lr"), 1e-2);
    ck_assert_double_eq(get_float("optim.momentum"), 0);
    ck_assert_int_eq(get_int("data.workers"), 4);
    ck_assert_str_eq(get_string("data.path"), "a b: c");
    bool nesterov = false;
    support_ok(tdm_config_bool(config, "optim.nesterov", &nesterov));
    ck_assert(nesterov);
    const double *betas;
    const int64_t *size;
    const char *const *freeze;
    size_t n;
    support_ok(tdm_config_floats(config, "optim.betas", &betas, &n));
    ck_assert(n == 2 && betas[0] == 0.5 && betas[1] == 0.25);
    support_ok(tdm_config_ints(config, "data.size", &size, &n));
    ck_assert(n == 2 && size[0] == 32 && size[1] == 64);
    support_ok(tdm_config_strings(config, "freeze", &freeze, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(freeze[0], "encoder.*");
    ck_assert_str_eq(freeze[1], "*.bias");
}
END_TEST

START_TEST(load_defaults_and_origins)
{
    support_ok(load("data.path: x\noptim: {lr: 0.5}\n"));
    resolve();
    ck_assert(tdm_config_given(config, "optim.lr"));
    ck_assert(!tdm_config_given(config, "optim.name"));
    ck_assert_str_eq(tdm_config_origin(config, "optim.lr"), "a.yaml:2:13");
    ck_assert_str_eq(tdm_config_origin(config, "data.path"), "a.yaml:1:12");
    ck_assert_str_eq(tdm_config_origin(config, "optim.name"), "default");
    ck_assert_str_eq(tdm_config_origin(config, "nothing"), "default");
    ck_assert_str_eq(get_string("optim.name"), "adam");
    ck_assert_str_eq(get_string("data.cache"), "");
    const int64_t *size;
    size_t n;
    support_ok(tdm_config_ints(config, "data.size", &size, &n));
    ck_assert(n == 2 && size[0] == 28 && size[1] == 28);
    const char *const *freeze;
    support_ok(tdm_config_strings(config, "freeze", &freeze, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(load_null_unsets_text)
{
    support_ok(load("data: {path: x, cache: something}\n"));
    support_ok(load("data: {cache: }\n"));
    resolve();
    ck_assert_str_eq(get_string("data.cache"), "");
    support_ok(load("data: {cache: 'null'}\n"));
    resolve();
    ck_assert_str_eq(get_string("data.cache"), "null");
    support_ok(tdm_config_set(config, "data.cache", "null", "--set"));
    resolve();
    ck_assert_str_eq(get_string("data.cache"), "");
    fails_with("optim: {lr: null}\n", "a.yaml:1:13: optim.lr = null: must be a number, not null");
    fails_with("freeze: [a, ~]\n",
               "a.yaml:1:9: freeze = [a, null]: item 2: must be text, not null");
}
END_TEST

START_TEST(load_nothing)
{
    support_ok(load(""));
    support_ok(load("# only a comment\n"));
    support_ok(load("---\n...\n"));
    support_ok(load("{}"));
    support_ok(load("optim:\ndata: {}\n"));
    support_fails(tdm_config_resolve(config), TDM_ERR_CONFIG,
                  "data.path: must be given (hint: folder of HDF5 files)");
}
END_TEST

START_TEST(messages_exact)
{
    fails_with("\n\noptim:\n  lr: -0.1\n",
               "a.yaml:4:7: optim.lr = -0.1: must be > 0 (hint: 1e-4 to 1e-1)");
    fails_with("optim: {momentum: 1}", "a.yaml:1:19: optim.momentum = 1: must be >= 0 and < 1");
    fails_with("optim: {momentun: 1}",
               "a.yaml:1:9: optim.momentun: unknown key (hint: did you mean optim.momentum?)");
    fails_with("train: {lr: 1}",
               "a.yaml:1:9: train.lr: unknown key (hint: did you mean optim.lr?)");
    fails_with("lr: 1", "a.yaml:1:1: lr: unknown key (hint: did you mean optim.lr?)");
    fails_with("colour: 1",
               "a.yaml:1:1: colour: unknown key (hint: `tandem config --defaults` lists "
               "all keys)");
    fails_with("optim: {name: adm}",
               "a.yaml:1:15: optim.name = adm: must be one of sgd, adam, adamw (hint: did you mean "
               "adam?)");
    fails_with("optim: 3", "a.yaml:1:1: optim: must be a mapping, with keys such as optim.name");
    fails_with("optim: {lr: {x: 1}}",
               "a.yaml:1:14: optim.lr.x: optim.lr must be a number > 0, not a mapping");
    fails_with("data: {workers: 2.5}", "a.yaml:1:17: data.workers = 2.5: must be a whole number");
    fails_with("data: {workers: 65}", "a.yaml:1:17: data.workers = 65: must be >= 0 and <= 64");
    fails_with("data: {workers: [1]}",
               "a.yaml:1:17: data.workers = [1]: must be a whole number, not a list");
    fails_with("data: {size: [1, 0]}", "a.yaml:1:14: data.size = [1, 0]: item 2: must be >= 1");
    fails_with("optim: {nesterov: maybe}",
               "a.yaml:1:19: optim.nesterov = maybe: must be true or false");
    fails_with("optim: {lr: {}}", "a.yaml:1:13: optim.lr = {}: must be a number, not a mapping");
    fails_with("tasks: {seg: {wieght: 1}}",
               "a.yaml:1:15: tasks.seg.wieght: unknown key (hint: did you mean tasks.seg.weight?)");
    fails_with("optim: {lr: .nan}",
               "a.yaml:1:13: optim.lr = .nan: must be finite (hint: 1e-4 to 1e-1)");
    fails_with("optim: {lr: nan}",
               "a.yaml:1:13: optim.lr = nan: must be finite (hint: 1e-4 to 1e-1)");
    fails_with("optim: {lr: 1e999}",
               "a.yaml:1:13: optim.lr = 1e999: must be finite (hint: 1e-4 to 1e-1)");
    fails_with("optim: {lr: 1, lr: 2}", "a.yaml:1:16: optim.lr: is given twice in this file");
    fails_with("a: *b", "a.yaml:1:4: aliases (*name) are not supported");
    fails_with("- 1", "a.yaml:1:1: must be a mapping of keys to values");
}
END_TEST

static const struct {
    const char *text, *part;
} bad_texts[] = {
    {"a: &x [1]\nb: [*x, *x]\n", "aliases"},
    {"optim: &o {lr: 1}\ndata: *o\n", "aliases"},
    {"<<: *x\n", "aliases"},
    {"optim: {lr: !!float 1}\n", "tags"},
    {"optim: !mine {lr: 1}\n", "tags"},
    {"optim: {lr: 1}\n---\noptim: {lr: 2}\n", "a.yaml:2:1: a second document"},
    {"[1, 2]: 3\n", "a key must be a name"},
    {"{a: b}: 3\n", "a key must be a name"},
    {"? {a: b}\n: 3\n", "a key must be a name"},
    {"'': 3\n", "a key must be a name"},
    {"\"a\\0b\": 3\n", "a key must be a name"},
    {"data: {path: \"a\\0b\"}\n", "zero byte"},
    {"optim.lr: 1\noptim: {lr: 2}\n", "a.yaml:2:9: optim.lr: is given twice"},
    {"optim: {lr: 1}\noptim: {momentum: 0}\n", "a.yaml:2:1: optim: is given twice"},
    {"freeze: [[a]]\n", "a list must hold plain values only"},
    {"freeze: [{a: b}]\n", "a list must hold plain values only"},
    {"text\n", "must be a mapping"},
    {"a: [1\n", "a.yaml:2:1: "},
    {"a: 'x\n", "found unexpected end of stream"},
    {"a: b: c\n", "mapping values are not allowed"},
    {"\ta: 1\n", "cannot start any token"},
    {"a: \x01\n", "control characters are not allowed"},
    {"a: \xff\xfe\n", "invalid leading UTF-8 octet"},
    {"optim..lr: 1\n", "optim..lr: unknown key"},
    {".optim.lr: 1\n", ".optim.lr: unknown key"},
    {"optim.lr.: 1\n", "optim.lr.: unknown key"},
    {"tasks: {'*': {weight: 1}}\n", "unknown key"},
    {"tasks: {'a b': {weight: 1}}\n", "a name under tasks must be"},
    {"tasks: {-a: {weight: 1}}\n", "a name under tasks must be"},
    {"tasks: {seg: 1}\n", "tasks.seg: must be a mapping, with keys such as tasks.seg.loss"},
    {"extends: {a: b}\n", "extends.a: unknown key"},
    {"extends: {}\n", "must be a file or a list of files"},
    {"extends: ''\n", "a.yaml:1:10: extends: must name a file"},
    {"extends: no-such-file.yaml\n", "a.yaml:1:10: no-such-file.yaml: cannot open: No such file"},
    {"optim: {extends: a.yaml}\n", "optim.extends: unknown key"},
    {"optim: {lr: 0x10}\n", "must be a number"},
    {"optim: {lr: '1 '}\n", "must be a number"},
    {"data: {workers: 99999999999999999999}\n", "must be a whole number"},
};

START_TEST(bad_input)
{
    const char *text = bad_texts[_i].text;
    support_fails(load(text), TDM_ERR_CONFIG, bad_texts[_i].part);
    ck_assert(tdm__starts_with(tdm_last_error(), "a.yaml:"));
}
END_TEST

START_TEST(bad_sizes)
{
    tdm__str s = {0};
    for (int i = 0; i < 40; i++) tdm__str_add(&s, "{a: ");
    support_fails(load(s.text), TDM_ERR_CONFIG, "nested too deeply: must be at most 16 levels");
    tdm__str_free(&s);
    for (int i = 0; i < 20000; i++) tdm__str_add(&s, "[");
    support_fails(load(s.text), TDM_ERR_CONFIG, "a.yaml:");
    tdm__str_free(&s);
    for (int i = 0; i < 300; i++) tdm__str_add(&s, "k");
    tdm__str_add(&s, ": 1");
    support_fails(load(s.text), TDM_ERR_CONFIG, "a key must be at most 255 bytes");
    tdm__str_free(&s);
    for (int i = 0; i < 5000; i++) tdm__str_addf(&s, "k%d: 1\n", i);
    support_fails(load(s.text), TDM_ERR_CONFIG, "too many keys");
    tdm__str_free(&s);
    for (int i = 0; i < 600; i++) tdm__str_addf(&s, "tasks.t%d.weight: 1\n", i);
    support_fails(load(s.text), TDM_ERR_CONFIG, "too many names: must be at most 512");
    tdm__str_free(&s);
    while (s.length <= 1 << 20) tdm__str_add(&s, "# filler filler filler filler\n");
    support_fails(load(s.text), TDM_ERR_CONFIG, "must be at most 1048576");
    tdm__str_free(&s);
    for (int i = 0; i < 1000; i++) tdm__str_add(&s, "long ");
    support_fails(tdm_config_set(config, "optim.lr", s.text, "--set"), TDM_ERR_CONFIG,
                  "long...: must");
    ck_assert_uint_lt(strlen(tdm_last_error()), 250);
    tdm__str_free(&s);
}
END_TEST

/* Members -------------------------------------------------------------------------------------- */

START_TEST(members_in_order)
{
    support_ok(load("data: {path: x}\n"
                    "tasks:\n"
                    "  seg: {loss: cross_entropy}\n"
                    "  depth: {}\n"
                    "  normals:\n"));
    support_ok(tdm_config_assign(config, "tasks.box.weight=0.5", "--set"));
    resolve();
    const char *const *names;
    size_t n;
    support_ok(tdm_config_members(config, "tasks", &names, &n));
    ck_assert_uint_eq(n, 4);
    ck_assert_str_eq(names[0], "seg");
    ck_assert_str_eq(names[1], "depth");
    ck_assert_str_eq(names[2], "normals");
    ck_assert_str_eq(names[3], "box");
    ck_assert_str_eq(get_string("tasks.seg.loss"), "cross_entropy");
    ck_assert_str_eq(get_string("tasks.depth.loss"), "l1");
    ck_assert_double_eq(get_float("tasks.seg.weight"), 1);
    ck_assert_double_eq(get_float("tasks.box.weight"), 0.5);
    support_ok(tdm_config_members(config, "transfer", &names, &n));
    ck_assert_uint_eq(n, 0);
    support_fails(tdm_config_members(config, "optim", &names, &n), TDM_ERR_CONFIG, "optim");
}
END_TEST

START_TEST(members_of_members)
{
    support_ok(load("data: {path: x}\n"
                    "transfer:\n"
                    "  enc: {from: a.safetensors, map: {conv1: {to: c1}, conv2: {}}}\n"
                    "  dec: {from: b.safetensors}\n"));
    resolve();
    const char *const *names;
    size_t n;
    support_ok(tdm_config_members(config, "transfer", &names, &n));
    ck_assert_uint_eq(n, 2);
    support_ok(tdm_config_members(config, "transfer.enc.map", &names, &n));
    ck_assert_uint_eq(n, 2);
    ck_assert_str_eq(names[1], "conv2");
    support_ok(tdm_config_members(config, "transfer.dec.map", &names, &n));
    ck_assert_uint_eq(n, 0);
    ck_assert_str_eq(get_string("transfer.enc.map.conv1.to"), "c1");
    ck_assert_str_eq(get_string("transfer.enc.map.conv2.to"), "");
    support_ok(load("transfer: {late: {}}"));
    support_fails(tdm_config_resolve(config), TDM_ERR_CONFIG, "transfer.late.from: must be given");
}
END_TEST

/* Setting -------------------------------------------------------------------------------------- */

START_TEST(set_values)
{
    support_ok(tdm_config_assign(config, "data.path=a=b, c", "--set"));
    support_ok(tdm_config_assign(config, "freeze=*.bias, encoder.* ,x", "--set"));
    support_ok(tdm_config_assign(config, "data.size=[7, 9]", "--set"));
    support_ok(tdm_config_set(config, "optim.betas", "0.5", "TANDEM_BETAS"));
    support_ok(tdm_config_assign(config, "data.cache=\"quoted # text\"", "--set"));
    resolve();
    ck_assert_str_eq(get_string("data.path"), "a=b, c");
    ck_assert_str_eq(get_string("data.cache"), "quoted # text");
    const char *const *freeze;
    const int64_t *size;
    const double *betas;
    size_t n;
    support_ok(tdm_config_strings(config, "freeze", &freeze, &n));
    ck_assert_uint_eq(n, 3);
    ck_assert_str_eq(freeze[0], "*.bias");
    ck_assert_str_eq(freeze[1], "encoder.*");
    ck_assert_str_eq(freeze[2], "x");
    support_ok(tdm_config_ints(config, "data.size", &size, &n));
    ck_assert(n == 2 && size[0] == 7 && size[1] == 9);
    support_ok(tdm_config_floats(config, "optim.betas", &betas, &n));
    ck_assert(n == 1 && betas[0] == 0.5);
    ck_assert_str_eq(tdm_config_origin(config, "optim.betas"), "TANDEM_BETAS");
    support_ok(tdm_config_assign(config, "freeze=", "--set"));
    resolve();
    support_ok(tdm_config_strings(config, "freeze", &freeze, &n));
    ck_assert_uint_eq(n, 0);
}
END_TEST

START_TEST(set_messages)
{
    support_fails(tdm_config_assign(config, "optim.lr", "--set"), TDM_ERR_CONFIG,
                  "--set: optim.lr: must be key=value");
    support_fails(tdm_config_assign(config, "=1", "--set"), TDM_ERR_CONFIG, "must be key=value");
    support_fails(tdm_config_assign(config, "optim.lr=-1", "--set"), TDM_ERR_CONFIG,
                  "--set: optim.lr = -1: must be > 0 (hint: 1e-4 to 1e-1)");
    support_fails(tdm_config_assign(config, "optim.rl=1", "--set"), TDM_ERR_CONFIG,
                  "--set: optim.rl: unknown key (hint: did you mean optim.lr?)");
    support_fails(tdm_config_assign(config, "data.size=1,,2", "--set"), TDM_ERR_CONFIG,
                  "item 2: must be a whole number");
    support_fails(tdm_config_assign(config, "data.size=[1", "--set"), TDM_ERR_CONFIG,
                  "--set: data.size = [1: ");
    support_fails(tdm_config_assign(config, "data.size=[1]\nx: 2", "--set"), TDM_ERR_CONFIG,
                  "must be one value");
    support_fails(tdm_config_assign(config, "data.path=\xff", "--set"), TDM_ERR_CONFIG, "UTF-8");
    support_fails(tdm_config_assign(config, "tasks.*.weight=1", "--set"), TDM_ERR_CONFIG,
                  "unknown key");
}
END_TEST

START_TEST(set_after_resolve)
{
    support_ok(tdm_config_assign(config, "data.path=x", "--set"));
    resolve();
    ck_assert_double_eq(get_float("optim.lr"), 0.001);
    support_ok(tdm_config_assign(config, "tasks.a.weight=2", "--set"));
    char *text = NULL, hex[33];
    support_fails(tdm_config_dump(config, false, &text), TDM_ERR_STATE, "not resolved");
    support_fails(tdm_config_hash(config, hex), TDM_ERR_STATE, "not resolved");
    ck_assert_ptr_null(text);
    resolve();
    ck_assert_str_eq(get_string("tasks.a.loss"), "l1");
    ck_assert(!tdm_config_given(config, "optim.lr"));
}
END_TEST

/* Extends -------------------------------------------------------------------------------------- */

static char *folder;

static void files_setup(void)
{
    setup();
    folder = support_temp_create();
}

static void files_teardown(void)
{
    support_temp_remove(folder);
    folder = NULL;
    teardown();
}

static void write_file(const char *name, const char *text)
{
    char *path = support_path(folder, name), *parent = NULL;
    support_ok(tdm__path_dir(path, &parent));
    support_ok(tdm__make_folders(parent));
    support_write_text(path, text);
    free(parent);
    free(path);
}

static tdm_status load_file(const char *name)
{
    char *path = support_path(folder, name);
    tdm_status status = tdm_config_load(config, path);
    free(path);
    return status;
}

START_TEST(extends_order)
{
    write_file("base/one.yaml", "data: {path: one}\noptim: {lr: 1, name: sgd, momentum: 0.1}\n");
    write_file("base/two.yaml", "extends: one.yaml\noptim: {lr: 2, momentum: 0.2}\n");
    write_file("base/other.yaml", "data: {workers: 7}\n");
    write_file("top.yaml", "optim: {lr: 3}\nextends: [base/two.yaml, base/other.yaml]\n");
    support_ok(load_file("top.yaml"));
    resolve();
    ck_assert_double_eq(get_float("optim.lr"), 3);
    ck_assert_double_eq(get_float("optim.momentum"), 0.2);
    ck_assert_str_eq(get_string("optim.name"), "sgd");
    ck_assert_str_eq(get_string("data.path"), "one");
    ck_assert_int_eq(get_int("data.workers"), 7);
    ck_assert(tdm__ends_with(tdm_config_origin(config, "optim.momentum"), "base/two.yaml:2:26"));
}
END_TEST

START_TEST(extends_cycles)
{
    write_file("a.yaml", "extends: b.yaml\n");
    write_file("b.yaml", "extends: ./sub/../a.yaml\n");
    write_file("sub/c.yaml", "");
    support_fails(load_file("a.yaml"), TDM_ERR_CONFIG, "extends itself: a cycle");
    write_file("self.yaml", "extends: self.yaml\n");
    support_fails(load_file("self.yaml"), TDM_ERR_CONFIG, "self.yaml:1:10: ");
    /* the same file twice, without a cycle, is fine */
    write_file("d.yaml", "extends: [sub/c.yaml, sub/c.yaml]\n");
    support_ok(load_file("d.yaml"));
}
END_TEST

START_TEST(extends_limits)
{
    char name[32], text[64];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "chain%d.yaml", i);
        snprintf(text, sizeof text, "extends: chain%d.yaml\n", i + 1);
        write_file(name, text);
    }
    support_fails(load_file("chain0.yaml"), TDM_ERR_CONFIG, "a chain of more than 16 extends");
    write_file("w0.yaml", "");
    for (int i = 1; i < 10; i++) {
        snprintf(name, sizeof name, "w%d.yaml", i);
        snprintf(text, sizeof text, "extends: [w%d.yaml, w%d.yaml]\n", i - 1, i - 1);
        write_file(name, text);
    }
    support_fails(load_file("w9.yaml"), TDM_ERR_CONFIG, "more than 64 files");
}
END_TEST

START_TEST(extends_errors_name_both_files)
{
    write_file("base.yaml", "optim: {lr: x}\n");
    write_file("top.yaml", "\nextends: base.yaml\n");
    support_fails(load_file("top.yaml"), TDM_ERR_CONFIG, "top.yaml:2:10: ");
    support_message_has("base.yaml:1:13: optim.lr = x: must be a number");
    support_fails(load_file("missing.yaml"), TDM_ERR_CONFIG,
                  "missing.yaml: cannot open: No such file");
    support_fails(tdm_config_load(config, folder), TDM_ERR_CONFIG, "must be a regular file");
}
END_TEST

/* Reading -------------------------------------------------------------------------------------- */

START_TEST(get_errors)
{
    double d;
    const char *s;
    support_fails(tdm_config_float(config, "optim.lr", &d), TDM_ERR_STATE, "not resolved yet");
    support_ok(load("data: {path: x}"));
    resolve();
    support_fails(tdm_config_float(config, "optim.rate", &d), TDM_ERR_CONFIG,
                  "optim.rate: no such key");
    support_fails(tdm_config_float(config, "tasks.a.weight", &d), TDM_ERR_CONFIG, "no such key");
    support_fails(tdm_config_string(config, "optim.lr", &s), TDM_ERR_STATE,
                  "another type than a number");
}
END_TEST

START_TEST(reject_names_the_origin)
{
    support_ok(load("data: {path: x}\noptim: {momentum: 0.5}\n"));
    resolve();
    ck_assert_int_eq(tdm_config_reject(config, "optim.momentum", "must be 0 with %s", "adam"),
                     TDM_ERR_CONFIG);
    ck_assert_str_eq(tdm_last_error(), "a.yaml:2:19: optim.momentum = 0.5: must be 0 with adam");
    tdm_config_reject(config, "optim.betas", "must be two numbers");
    ck_assert_str_eq(tdm_last_error(), "default: optim.betas = [0.9, 0.999]: must be two numbers");
    tdm_config_reject(config, "tasks", "must name a task");
    ck_assert_str_eq(tdm_last_error(), "tasks: must name a task");
}
END_TEST

static void check_table(tdm_opt_spec first, tdm_opt_spec second, const char *part)
{
    const tdm_opt_spec specs[] = {first, second};
    const tdm_opt_table table = {"t", specs, 2};
    const tdm_opt_table *const list[] = {&table};
    tdm_config *c = NULL;
    support_fails(tdm_config_create(list, 1, &c), TDM_ERR_CONFIG, part);
    ck_assert_ptr_null(c);
}

START_TEST(tables_are_checked)
{
    tdm_opt_spec good = {"a.b", TDM_OPT_INT, "1", 0, 0, 0, NULL, NULL, NULL};
    check_table(good, good, "a.b: declared twice");
    tdm_opt_spec bad = {"a.c", TDM_OPT_INT, "x", 0, 0, 0, NULL, NULL, NULL};
    check_table(good, bad, "a.c: default \"x\": must be a whole number");
    bad.def = NULL;
    check_table(good, bad, "a.c: has no default");
    bad.def = "1", bad.flags = TDM_OPT_REQUIRED;
    check_table(good, bad, "required, yet has a default");
    bad.key = "a..c";
    check_table(good, bad, "bad key");
    bad.key = "extends";
    check_table(good, bad, "bad key");
}
END_TEST

static const tdm_opt_spec overlap_specs[] = {
    {"a.*.x", TDM_OPT_INT, "1", 0, 0, 0, NULL, NULL, NULL},
    {"a.all.x", TDM_OPT_STRING, "exact", 0, 0, 0, NULL, NULL, NULL},
    {"*.y", TDM_OPT_INT, "2", 0, 0, 0, NULL, NULL, NULL},
    {"m.*", TDM_OPT_INT, "3", 0, 0, 0, NULL, NULL, NULL},
};

START_TEST(exact_keys_come_before_wildcards)
{
    const tdm_opt_table table = {"t", overlap_specs, 4};
    const tdm_opt_table *const list[] = {&table};
    tdm_config *c = NULL;
    int64_t v;
    const char *s;
    support_ok(tdm_config_create(list, 1, &c));
    support_ok(tdm_config_assign(c, "a.all.x=7", "--set"));
    support_ok(tdm_config_assign(c, "a.one.x=8", "--set"));
    support_ok(tdm_config_assign(c, "top.y=9", "--set"));
    support_ok(tdm_config_assign(c, "m.free=10", "--set"));
    support_ok(tdm_config_resolve(c));
    support_ok(tdm_config_string(c, "a.all.x", &s));
    ck_assert_str_eq(s, "7");
    support_ok(tdm_config_int(c, "a.one.x", &v));
    ck_assert_int_eq(v, 8);
    support_ok(tdm_config_int(c, "top.y", &v));
    ck_assert_int_eq(v, 9);
    support_ok(tdm_config_int(c, "m.free", &v));
    ck_assert_int_eq(v, 10);
    tdm_config_destroy(&c);
}
END_TEST

/* Every allocation of a whole life fails once: each failure is reported, and nothing leaks. */
START_TEST(out_of_memory_everywhere)
{
    const char *text =
        "data: {path: x, size: [1, 2]}\ntasks: {a: {}, b: {weight: 2}}\nfreeze: [p]\n";
    int failures = 0;
    for (uint64_t k = 1;; k++) {
        tdm_config *c = NULL, *copy = NULL;
        char *dumped = NULL, *listed = NULL, hex[33];
        tdm__mem_fail_after(k);
        tdm_status status = tdm_config_create(tables, 3, &c);
        if (!status) status = tdm_config_load_text(c, text, strlen(text), "a.yaml");
        if (!status) status = tdm_config_assign(c, "optim.betas=0.5,0.6", "--set");
        if (!status) status = tdm_config_resolve(c);
        if (!status) status = tdm_config_copy(c, &copy);
        if (!status) status = tdm_config_dump(copy, true, &dumped);
        if (!status) status = tdm_config_defaults(copy, &listed);
        if (!status) status = tdm_config_hash(copy, hex);
        tdm__mem_fail_after(0);
        tdm_config_destroy(&c);
        tdm_config_destroy(&copy);
        free(dumped);
        free(listed);
        if (!status) break;
        ck_assert_msg(status == TDM_ERR_NOMEM, "%d: %s", (int)k, tdm_last_error());
        failures++;
    }
    ck_assert_int_gt(failures, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *texts = tcase_create("texts"), *files = tcase_create("files");
    tcase_add_checked_fixture(texts, setup, teardown);
    tcase_add_test(texts, load_types);
    tcase_add_test(texts, load_defaults_and_origins);
    tcase_add_test(texts, load_null_unsets_text);
    tcase_add_test(texts, load_nothing);
    tcase_add_test(texts, messages_exact);
    tcase_add_loop_test(texts, bad_input, 0, COUNT(bad_texts));
    tcase_add_test(texts, bad_sizes);
    tcase_add_test(texts, members_in_order);
    tcase_add_test(texts, members_of_members);
    tcase_add_test(texts, set_values);
    tcase_add_test(texts, set_messages);
    tcase_add_test(texts, set_after_resolve);
    tcase_add_test(texts, get_errors);
    tcase_add_test(texts, reject_names_the_origin);
    tcase_add_test(texts, tables_are_checked);
    tcase_add_test(texts, exact_keys_come_before_wildcards);
    tcase_add_test(texts, out_of_memory_everywhere);
    tcase_add_checked_fixture(files, files_setup, files_teardown);
    tcase_add_test(files, extends_order);
    tcase_add_test(files, extends_cycles);
    tcase_add_test(files, extends_limits);
    tcase_add_test(files, extends_errors_name_both_files);
    suite_add_tcase(suite, texts);
    suite_add_tcase(suite, files);
    return support_run(suite);
}

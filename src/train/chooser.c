/* train/chooser.c: see train/chooser.h. */
#include "train/chooser.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "ops/registry.h"

static const tdm_opt_spec specs[] = {
    {"tune.file", TDM_OPT_STRING, "auto", TDM_OPT_RUNTIME,
     .help =
         "which algorithms are fastest: auto (what `tandem bench tune` measured here, else what "
         "is shipped), off, or a file of `tandem bench tune`"},
    {"tune.force", TDM_OPT_STRINGS, "[]",
     .help = "OPERATION=ALGORITHM whatever the tuning says, e.g. \"conv2d*=implicit\", where it "
             "can run; `tandem bench tune` names both"},
};
const tdm_opt_table tdm__tune_options = {"tune", specs, sizeof specs / sizeof *specs};

static bool has_algorithm(const tdm_op *op, const char *name)
{
    for (int i = 0; i < op->n_variants; i++)
        if (tdm__streq(op->variants[i].name, name)) return true;
    return false;
}

/* ---- tune.force -------------------------------------------------------------------------------
 */

/* Some operation of the pattern must have the algorithm: a misspelt one would do nothing. */
static tdm_status check_forced(const tdm_config *config, const tdm__forced *f)
{
    size_t n, matching = 0;
    const tdm_op *const *ops = tdm__ops(&n);
    for (size_t i = 0; i < n; i++) {
        if (!tdm__glob(f->op, ops[i]->name)) continue;
        matching++;
        if (has_algorithm(ops[i], f->algorithm)) return TDM_OK;
    }
    if (matching)
        return tdm_config_reject(config, "tune.force", "%s has no algorithm '%s'", f->op,
                                 f->algorithm);
    return tdm_config_reject(config, "tune.force", "no operation is called '%s'", f->op);
}

static tdm_status read_forced(const tdm_config *config, tdm__chooser *c)
{
    tdm_status status = TDM_OK;
    const char *const *texts;
    size_t n;
    TDM_TRY(tdm_config_strings(config, "tune.force", &texts, &n));
    TDM_TRY(tdm__calloc_try(n, sizeof *c->forced, &c->forced));
    for (size_t i = 0; i < n; i++) {
        tdm__forced *f = &c->forced[c->n_forced++];
        const char *equals = strchr(texts[i], '=');
        if (!equals || equals == texts[i] || !equals[1])
            TDM_TRY(tdm_config_reject(config, "tune.force", "'%s' must be OPERATION=ALGORITHM",
                                      texts[i]));
        f->op = tdm__strdup(texts[i]);
        if (!f->op) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "tune.force: out of memory"));
        f->op[equals - texts[i]] = 0;
        f->algorithm = equals + 1;
        TDM_TRY(check_forced(config, f));
    }
done:
    return status;
}

/* ---- tune.file --------------------------------------------------------------------------------
 */

static tdm_status check_choice(void *user, const char *key, const char *algorithm)
{
    char name[64] = "";
    (void)user;
    const size_t length = strcspn(key, "|");
    if (length < sizeof name) memcpy(name, key, length);
    const tdm_op *op = tdm__op_find(name);
    if (!op) return tdm__fail(TDM_ERR_DATA, "no operation is called '%.*s'", (int)length, key);
    if (has_algorithm(op, algorithm)) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s has no algorithm '%s'", name, algorithm);
}

tdm_status tdm__chooser_check(const tdm__tuning *tuning)
{
    return tdm__tuning_each(tuning, check_choice, NULL);
}

/* Reads and checks; whatever is wrong but lack of memory leaves *out NULL, with a warning. */
static tdm_status read_or_warn(const char *path, const tdm_device *device, tdm__tuning **out)
{
    tdm_status status = tdm__tuning_read(path, out);
    if (!status) {
        status = tdm__tuning_check(*out, device);
        if (!status) status = tdm__chooser_check(*out);
        if (status) tdm__context(status, "%s", path);
    }
    if (!status) return TDM_OK;
    tdm__tuning_destroy(out);
    if (status == TDM_ERR_NOMEM) return status;
    tdm__log(TDM_LOG_WARN, "tuning file not used: %s (hint: `tandem bench tune` measures again)",
             tdm_last_error());
    return TDM_OK;
}

static tdm_status set_source(tdm__chooser *c, const char *before, const char *text)
{
    tdm__str s = {0};
    tdm__str_addf(&s, "%s%s", before, text);
    c->source = s.text;
    return tdm__str_status(&s);
}

static tdm_status read_file(const tdm_config *config, const tdm_device *device, tdm__chooser *c)
{
    tdm_status status = TDM_OK;
    const char *wanted, *name = "";
    char *path = NULL;
    TDM_TRY(tdm_config_string(config, "tune.file", &wanted));
    if (!*wanted || tdm__streq(wanted, "off")) goto done;
    if (tdm__streq(wanted, "auto"))
        TDM_TRY(tdm__tuning_path(device, &path));
    else if (!(path = tdm__strdup(wanted)))
        TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "tune.file: out of memory"));
    if (path && (!tdm__streq(wanted, "auto") || tdm__path_exists(path)))
        TDM_TRY(read_or_warn(path, device, &c->tuning));
    if (c->tuning) {
        TDM_TRY(set_source(c, "", path));
    } else {
        TDM_TRY(tdm__tuning_shipped(device, &c->tuning, &name));
        if (c->tuning) TDM_TRY(set_source(c, "shipped ", name));
    }
    if (c->tuning) {
        TDM_TRY(tdm__tuning_hash(c->tuning, c->hash));
        tdm__log(TDM_LOG_DEBUG, "tuning: %s, %zu choices, hash %s", c->source,
                 tdm__tuning_count(c->tuning), c->hash);
    }
done:
    free(path);
    if (!status && !c->source) status = set_source(c, "none", "");
    return status;
}

/* ---- the chooser ------------------------------------------------------------------------------
 */

tdm_status tdm__chooser_open(const tdm_config *config, const tdm_device *device, tdm__chooser *out)
{
    *out = (tdm__chooser){0};
    tdm_status status = read_forced(config, out);
    if (!status) status = read_file(config, device, out);
    if (status) tdm__chooser_close(out);
    return status;
}

void tdm__chooser_close(tdm__chooser *chooser)
{
    for (size_t i = 0; i < chooser->n_forced; i++) free(chooser->forced[i].op);
    free(chooser->forced);
    free(chooser->source);
    tdm__tuning_destroy(&chooser->tuning);
    *chooser = (tdm__chooser){0};
}

const char *tdm__chooser_choose(void *user, const char *key, const tdm_op *op, const tdm__io *io)
{
    const tdm__chooser *c = user;
    if (c->seen) c->seen(c->seen_user, key, op, io);
    for (size_t i = c->n_forced; i-- > 0;) { /* the last one counts */
        const tdm__forced *f = &c->forced[i];
        if (tdm__glob(f->op, op->name) && has_algorithm(op, f->algorithm)) return f->algorithm;
    }
    return c->tuning ? tdm__tuning_find(c->tuning, key) : NULL;
}

/* train/pipeline.c: running stages one after another (see tandem/pipeline.h).
 *
 * pipeline.json says how far each stage is and what it was made of; it is replaced before and after
 * anything happens to a stage's folder, so that a run killed at any moment knows what it may go on
 * with and what it must remove. What the whole leaves beside the stages' folders is in outcome.c.
 */
#include "train/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/identity.h"
#include "train/run_folder.h"
#include "train/stage_measure.h"

static const tdm_opt_spec specs[] = {
    {"stages.*.from", TDM_OPT_STRING, "",
     .help = "the stage whose selected weights this one begins with; any other key may stand "
             "behind stages.NAME too, and holds for that stage"},
    {"pipeline.from", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "run this stage, and those after it, again"},
    {"pipeline.target", TDM_OPT_STRING, "",
     .help = "the stage whose test results are the pipeline's; empty: the last"},
    {"pipeline.baseline", TDM_OPT_STRING, "", TDM_OPT_RUNTIME,
     .help = "a stage or a run folder whose test results are set beside the target's"},
};
const tdm_opt_table tdm_pipeline_options = {"pipeline", specs, sizeof specs / sizeof *specs};

static const char *stage_name(const void *pipeline, size_t i)
{
    return ((const tdm_pipeline *)pipeline)->stages[i].name;
}

static size_t find_stage(const tdm_pipeline *p, const char *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->stages[i].name, name)) return i;
    return SIZE_MAX;
}

static tdm_status no_such_stage(const tdm_pipeline *p, const char *key, const char *name)
{
    return tdm__fail_unknown(TDM_ERR_CONFIG, name, p, stage_name, p->n,
                             "%s: %s: there is no stage '%s': there are",
                             tdm_config_origin(p->config, key), key, name);
}

bool tdm_pipeline_is(const tdm_config *config)
{
    const char *const *names;
    size_t n = 0;
    return tdm_config_members(config, "stages", &names, &n) == TDM_OK && n > 0;
}

/* ---- creation ---------------------------------------------------------------------------------
 */

static tdm_status read_source(tdm_pipeline *p, tdm__stage *s)
{
    tdm_status status = TDM_OK;
    const char *from, *init_from;
    tdm__str key = {0};
    tdm__str_addf(&key, "stages.%s.from", s->name);
    TDM_TRY(tdm__str_status(&key));
    TDM_TRY(tdm_config_string(p->config, key.text, &from));
    TDM_TRY(tdm_config_string(s->config, "train.init_from", &init_from));
    s->source = SIZE_MAX;
    if (!*from) goto done;
    if (*init_from)
        TDM_TRY(tdm_config_reject(s->config, "train.init_from", "stage '%s' begins with stage '%s'",
                                  s->name, from));
    s->source = find_stage(p, from);
    if (s->source == SIZE_MAX) TDM_TRY(no_such_stage(p, key.text, from));
done:
    tdm__str_free(&key);
    return status;
}

/* Weights that another stage begins with must be kept. */
static tdm_status check_kept(const tdm_pipeline *p)
{
    for (size_t i = 0; i < p->n; i++) {
        bool keep = true;
        const tdm__stage *s = &p->stages[i];
        if (s->source == SIZE_MAX) continue;
        const tdm__stage *source = &p->stages[s->source];
        tdm_status status = tdm_config_bool(source->config, "train.save_model", &keep);
        if (!status && !keep)
            status = tdm_config_reject(source->config, "train.save_model",
                                       "stage '%s' begins with the weights of '%s'", s->name,
                                       source->name);
        if (status) return status;
    }
    return TDM_OK;
}

static tdm_status read_stages(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    const char *const *names;
    size_t n;
    TDM_TRY(tdm_config_members(p->config, "stages", &names, &n));
    if (n == 0) TDM_TRY(tdm__fail(TDM_ERR_USAGE, "the configuration has no stages"));
    TDM_TRY(tdm__calloc_try(n, sizeof *p->stages, &p->stages));
    for (; p->n < n; p->n++) {
        p->stages[p->n].name = names[p->n];
        TDM_TRY(tdm_config_stage(p->config, names[p->n], &p->stages[p->n].config));
    }
    for (size_t i = 0; i < n; i++) TDM_TRY(read_source(p, &p->stages[i]));
    for (size_t i = 0; i < n; i++) TDM_TRY(tdm__stage_measure_check(p->stages[i].config));
    TDM_TRY(check_kept(p));
done:
    return status;
}

static tdm_status report_cycle(const tdm_pipeline *p, size_t first)
{
    tdm__str text = {0}, key = {0};
    tdm__str_addf(&text, "'%s'", p->stages[first].name);
    for (size_t i = p->stages[first].source; i != SIZE_MAX; i = p->stages[i].source) {
        tdm__str_addf(&text, " begins with '%s'", p->stages[i].name);
        if (i == first) break;
        tdm__str_add(&text, ", which");
    }
    tdm__str_addf(&key, "stages.%s.from", p->stages[first].name);
    const tdm_status status =
        tdm_config_reject(p->config, tdm__str_text(&key), "a cycle: %s", tdm__str_text(&text));
    tdm__str_free(&text);
    tdm__str_free(&key);
    return status;
}

/* The order of the file, but each stage after the one it begins with. */
static tdm_status order_stages(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    bool *placed = NULL;
    size_t n = 0;
    TDM_TRY(tdm__calloc_try(p->n, sizeof *placed, &placed));
    TDM_TRY(tdm__calloc_try(p->n, sizeof *p->order, &p->order));
    for (size_t i = 0; i < p->n; i++)
        while (!placed[i]) {
            size_t next = i, steps = 0;
            for (; p->stages[next].source != SIZE_MAX && !placed[p->stages[next].source]; steps++) {
                next = p->stages[next].source;
                if (steps > p->n) break;
            }
            if (steps > p->n) TDM_TRY(report_cycle(p, next));
            placed[next] = true;
            p->order[n++] = next;
        }
done:
    free(placed);
    return status;
}

/* pipeline.from, .target and .baseline. */
static tdm_status read_choices(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    const char *from, *target;
    TDM_TRY(tdm_config_string(p->config, "pipeline.from", &from));
    TDM_TRY(tdm_config_string(p->config, "pipeline.target", &target));
    TDM_TRY(tdm_config_string(p->config, "pipeline.baseline", &p->baseline));
    p->again = SIZE_MAX;
    if (*from && find_stage(p, from) == SIZE_MAX) TDM_TRY(no_such_stage(p, "pipeline.from", from));
    for (size_t i = 0; i < p->n; i++)
        if (!strcmp(p->stages[p->order[i]].name, from)) p->again = i;
    if (*target && find_stage(p, target) == SIZE_MAX)
        TDM_TRY(no_such_stage(p, "pipeline.target", target));
    p->baseline_stage = *p->baseline ? find_stage(p, p->baseline) : SIZE_MAX;
    p->target = *target ? find_stage(p, target) : p->order[p->n - 1];
    for (size_t i = p->n; !*target && i-- > 0;) {
        p->target = p->order[i];
        if (p->target != p->baseline_stage) break;
    }
    if (p->target == p->baseline_stage)
        TDM_TRY(tdm_config_reject(p->config, "pipeline.baseline", "is the target"));
    if (*p->baseline && p->baseline_stage == SIZE_MAX && !tdm__is_folder(p->baseline)) {
        tdm__context(no_such_stage(p, "pipeline.baseline", p->baseline), "no such run folder, and");
        status = TDM_ERR_CONFIG;
    }
done:
    return status;
}

tdm_status tdm_pipeline_create(const tdm_config *config, const tdm_train_events *events,
                               tdm_pipeline **out)
{
    tdm_status status = TDM_OK;
    tdm_pipeline *p = NULL;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    p->config = config;
    p->events = events;
    TDM_TRY(tdm_config_string(config, "train.output", &p->output));
    TDM_TRY(tdm_config_string(config, "train.resume", &p->resume));
    TDM_TRY(read_stages(p));
    TDM_TRY(order_stages(p));
    TDM_TRY(read_choices(p));
    *out = p;
    p = NULL;
done:
    tdm_pipeline_destroy(&p);
    return status;
}

void tdm_pipeline_destroy(tdm_pipeline **pipeline)
{
    tdm_pipeline *p = *pipeline;
    if (!p) return;
    for (size_t i = 0; p->stages && i < p->n; i++) {
        tdm_config_destroy(&p->stages[i].config);
        free(p->stages[i].folder);
    }
    tdm__stage_records_free(&p->records);
    free(p->stages);
    free(p->order);
    free(p->folder);
    free(p);
    *pipeline = NULL;
}

void tdm_pipeline_stop(tdm_pipeline *p, tdm_status status)
{
    p->stop = (sig_atomic_t)status;
    tdm_trainer *running = atomic_load(&p->running);
    if (running) tdm_trainer_stop(running, status);
}

const char *tdm_pipeline_folder(const tdm_pipeline *p)
{
    return p->folder;
}

tdm_stop_reason tdm_pipeline_reason(const tdm_pipeline *p)
{
    return p->reason;
}

/* ---- what a stage is made of ------------------------------------------------------------------
 */

/* The checkpoint that the stage begins with: of another stage, or train.init_from; NULL: none. */
static tdm_status source_file(const tdm_pipeline *p, const tdm__stage *s, char **out)
{
    const char *path;
    *out = NULL;
    if (s->source != SIZE_MAX) return tdm__find_checkpoint(p->stages[s->source].folder, out);
    const tdm_status status = tdm_config_string(s->config, "train.init_from", &path);
    return status || !*path ? status : tdm__find_checkpoint(path, out);
}

/* Where the weights come from does not count, but what they are. */
static tdm_status hash_config(const tdm_config *config, char hex[TDM__HASH_HEX])
{
    tdm_status status = TDM_OK;
    tdm_config *copy = NULL;
    TDM_TRY(tdm_config_copy(config, &copy));
    TDM_TRY(tdm_config_set(copy, "train.init_from", "", "pipeline"));
    TDM_TRY(tdm_config_resolve(copy));
    TDM_TRY(tdm_config_hash(copy, hex));
done:
    tdm_config_destroy(&copy);
    return status;
}

static tdm_status find_inputs(const tdm_pipeline *p, const tdm__stage *s, tdm__stage_inputs *out)
{
    tdm_status status = TDM_OK;
    const char *data;
    char *file = NULL;
    tdm__data_identity identity = {0};
    *out = (tdm__stage_inputs){0};
    TDM_TRY(hash_config(s->config, out->config));
    TDM_TRY(tdm_config_string(s->config, "data.path", &data));
    if (*data) TDM_TRY(tdm__data_identify(data, &identity));
    memcpy(out->data, identity.hash, sizeof out->data);
    TDM_TRY(source_file(p, s, &file));
    if (file) TDM_TRY(tdm__hash_file_hex(file, out->source));
done:
    free(file);
    if (status) tdm__context(status, "stage '%s'", s->name);
    return status;
}

/* ---- folders ----------------------------------------------------------------------------------
 */

static tdm_status name_folders(tdm_pipeline *p, const char *folder)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->stages[i].folder);
        const tdm_status status = tdm__path_join(folder, p->stages[i].name, &p->stages[i].folder);
        if (status) return status;
    }
    return TDM_OK;
}

static tdm_status check_folder(const tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    char *metrics = NULL;
    TDM_TRY(tdm__path_join(p->folder, "metrics.jsonl", &metrics));
    if (p->records.n == 0 && tdm__path_exists(metrics))
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG,
                          "%s: already holds a run that is no pipeline (hint: another --output)",
                          p->folder));
done:
    free(metrics);
    return status;
}

static tdm_status open_folder(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    const bool named = *p->resume && strcmp(p->resume, "auto") != 0;
    const char *path = named ? p->resume : p->output;
    if (*p->resume && !*path)
        TDM_TRY(tdm_config_reject(p->config, "train.resume", "auto needs train.output (--output)"));
    if (p->again != SIZE_MAX && !*path)
        TDM_TRY(tdm_config_reject(p->config, "pipeline.from", "needs train.output (--output)"));
    if (*path)
        p->folder = tdm__strdup(path);
    else
        TDM_TRY(tdm__run_folder_default(p->config, &p->folder));
    if (!p->folder) TDM_TRY(tdm__fail(TDM_ERR_NOMEM, "out of memory"));
    TDM_TRY(name_folders(p, p->folder));
    TDM_TRY(tdm__stage_records_read(p->folder, &p->records));
    if (named && p->records.n == 0)
        TDM_TRY(tdm__fail(TDM_ERR_DATA, "%s: no such file, so there is nothing to resume",
                          p->records.path));
    TDM_TRY(check_folder(p));
    TDM_TRY(tdm__make_folders(p->folder));
    TDM_TRY(tdm__atomic_sweep(p->records.path));
    TDM_TRY(tdm__outcome_begin(p));
done:
    return status;
}

/* Removes what an earlier run of the stage left. */
static tdm_status clear_stage(tdm_pipeline *p, const tdm__stage *s, tdm__stage_record *record)
{
    tdm_status status = TDM_OK;
    if (record->state == TDM__STAGE_ABSENT && !tdm__path_exists(s->folder)) goto done;
    if (record->state == TDM__STAGE_ABSENT)
        TDM_TRY(tdm__fail(TDM_ERR_CONFIG,
                          "%s: is in the way: it is no stage of this pipeline (hint: another "
                          "--output)",
                          s->folder));
    record->state = TDM__STAGE_CLEARING;
    TDM_TRY(tdm__stage_records_write(&p->records));
    TDM_TRY(tdm__remove_tree(s->folder));
done:
    return status;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* Whether the stage is done, may go on, or begins anew; says why. */
static tdm_status decide(const tdm_pipeline *p, size_t at, const tdm__stage_record *record,
                         const tdm__stage_inputs *inputs, tdm__stage_state *out)
{
    const tdm__stage *s = &p->stages[p->order[at]];
    const char *differs = tdm__stage_inputs_differ(&record->inputs, inputs);
    *out = TDM__STAGE_ABSENT;
    if (record->state < TDM__STAGE_BEGUN || at >= p->again) return TDM_OK;
    if (differs) {
        tdm__log(TDM_LOG_INFO, "stage '%s': %s changed, so it begins again", s->name, differs);
        return TDM_OK;
    }
    *out = record->state;
    if (record->state == TDM__STAGE_DONE || *p->resume) return TDM_OK;
    return tdm__fail(TDM_ERR_CONFIG,
                     "%s: holds a stage that was not finished (hint: --resume goes on with it, "
                     "--from %s begins it again)",
                     s->folder, s->name);
}

/* What the pipeline says about a stage's run. */
static tdm_status set_run(tdm_pipeline *p, tdm__stage *s, bool resume)
{
    tdm_status status = TDM_OK;
    const char *name;
    double limit;
    tdm__str text = {0};
    TDM_TRY(tdm_config_string(p->config, "name", &name));
    TDM_TRY(tdm_config_float(p->config, "train.max_time", &limit));
    tdm__str_addf(&text, "%s.%s", name, s->name);
    TDM_TRY(tdm__str_status(&text));
    TDM_TRY(tdm_config_set(s->config, "name", text.text, "pipeline"));
    TDM_TRY(tdm_config_set(s->config, "train.output", s->folder, "pipeline"));
    TDM_TRY(tdm_config_set(s->config, "train.resume", resume ? "auto" : "", "pipeline"));
    if (s->source != SIZE_MAX)
        TDM_TRY(
            tdm_config_set(s->config, "train.init_from", p->stages[s->source].folder, "pipeline"));
    if (limit > 0) {
        const double left = limit - (tdm__now() - p->started);
        text.length = 0;
        tdm__str_addf(&text, "%.9g", left > 0.001 ? left : 0.001);
        TDM_TRY(tdm__str_status(&text));
        TDM_TRY(tdm_config_set(s->config, "train.max_time", text.text, "pipeline"));
    }
    TDM_TRY(tdm_config_resolve(s->config));
done:
    tdm__str_free(&text);
    return status;
}

static tdm_status run_trainer(tdm_pipeline *p, const tdm__stage *s)
{
    tdm_trainer *trainer = NULL;
    tdm_status status = tdm_trainer_create(s->config, p->events, &trainer);
    if (!status) {
        atomic_store(&p->running, trainer);
        if (p->stop) tdm_trainer_stop(trainer, (tdm_status)p->stop);
        status = tdm_trainer_run(trainer);
        p->reason = tdm_trainer_reason(trainer);
        atomic_store(&p->running, NULL);
    }
    tdm_trainer_destroy(&trainer);
    return status ? tdm__context(status, "stage '%s'", s->name) : TDM_OK;
}

static bool has_state(const tdm__stage *s)
{
    char *path = NULL;
    const bool found =
        !tdm__path_join(s->folder, "state.safetensors", &path) && tdm__path_exists(path);
    free(path);
    return found;
}

/* What the stage made of the weights that it began with: kept in its record, and said. */
static tdm_status tell_moved(const tdm_pipeline *p, const tdm__stage *s, tdm__stage_record *record)
{
    tdm_status status = TDM_OK;
    char *source = NULL, *text = NULL;
    free(record->moved);
    record->moved = NULL;
    TDM_TRY(source_file(p, s, &source));
    if (!source) goto done;
    TDM_TRY(tdm__stage_measure(s->config, source, s->folder, &record->moved, &text));
    if (text)
        tdm__log(TDM_LOG_INFO, "stage '%s': how far it moved from the weights it began with:\n%s",
                 s->name, text);
done:
    free(source);
    free(text);
    return status;
}

static tdm_status run_stage(tdm_pipeline *p, size_t at)
{
    tdm_status status = TDM_OK;
    tdm__stage *s = &p->stages[p->order[at]];
    tdm__stage_inputs inputs;
    tdm__stage_record *record;
    tdm__stage_state state;
    TDM_TRY(find_inputs(p, s, &inputs));
    TDM_TRY(tdm__stage_records_get(&p->records, s->name, &record));
    TDM_TRY(decide(p, at, record, &inputs, &state));
    tdm__log(TDM_LOG_INFO, "stage %zu of %zu: %s%s%s%s", at + 1, p->n, s->name,
             s->source != SIZE_MAX ? ", from " : "",
             s->source != SIZE_MAX ? p->stages[s->source].name : "",
             state == TDM__STAGE_DONE ? ": done before, nothing changed" : "");
    if (state == TDM__STAGE_DONE) goto done;
    TDM_TRY(tdm__outcome_drop(p));
    /* killed before it saved anything: it begins anew */
    const bool resume = state == TDM__STAGE_BEGUN && has_state(s);
    if (!resume) TDM_TRY(clear_stage(p, s, record));
    record->inputs = inputs;
    record->state = TDM__STAGE_BEGUN;
    TDM_TRY(tdm__stage_records_write(&p->records));
    TDM_TRY(set_run(p, s, resume));
    TDM_TRY(run_trainer(p, s));
    if (p->reason != TDM_STOP_EPOCHS && p->reason != TDM_STOP_EARLY) goto done;
    record->state = TDM__STAGE_DONE;
    TDM_TRY(tell_moved(p, s, record));
    TDM_TRY(tdm__stage_records_write(&p->records));
done:
    return status;
}

tdm_status tdm_pipeline_run(tdm_pipeline *p)
{
    tdm_status status = TDM_OK;
    p->started = tdm__now();
    TDM_TRY(open_folder(p));
    for (size_t i = 0; i < p->n; i++) {
        p->reason = TDM_STOP_EPOCHS;
        TDM_TRY(run_stage(p, i));
        if (p->reason != TDM_STOP_EPOCHS && p->reason != TDM_STOP_EARLY) goto done;
    }
    TDM_TRY(tdm__outcome_end(p));
done:
    if (status == TDM_ERR_DIVERGED) p->reason = TDM_STOP_DIVERGED;
    return status;
}

/* ---- describing -------------------------------------------------------------------------------
 */

/* A stage whose source is not trained yet is described with fresh weights. */
static tdm_status describe_stage(const tdm_pipeline *p, const tdm__stage *s, tdm__str *out)
{
    tdm_status status = TDM_OK;
    tdm_trainer *trainer = NULL;
    char *text = NULL;
    TDM_TRY(tdm_trainer_create(s->config, p->events, &trainer));
    TDM_TRY(tdm_trainer_describe(trainer, &text));
    tdm__str_add(out, text);
done:
    free(text);
    tdm_trainer_destroy(&trainer);
    return status ? tdm__context(status, "stage '%s'", s->name) : TDM_OK;
}

tdm_status tdm_pipeline_describe(tdm_pipeline *p, char **out)
{
    tdm_status status = TDM_OK;
    tdm__str text = {0};
    *out = NULL;
    for (size_t i = 0; i < p->n; i++) {
        const tdm__stage *s = &p->stages[p->order[i]];
        tdm__str_addf(&text, "%sstage %zu of %zu: %s%s%s\n\n", i ? "\n" : "", i + 1, p->n, s->name,
                      s->source != SIZE_MAX ? ", from " : "",
                      s->source != SIZE_MAX ? p->stages[s->source].name : "");
        TDM_TRY(describe_stage(p, s, &text));
    }
    TDM_TRY(tdm__str_status(&text));
    *out = text.text;
    text.text = NULL;
done:
    tdm__str_free(&text);
    return status;
}

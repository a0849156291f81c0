/* Fuzzes an experiment's file: its mappings become lists of settings, and those the points of arms.
 * Any text either fails with a message, or resolves to a file that reads back as itself. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tandem/config.h>
#include <tandem/experiment.h>

#include "base/str.h"
#include "experiment/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const tdm_opt_table *const tables[] = {&tdm_experiment_options};

static void expect_message(tdm_status status)
{
    if (status && !tdm_last_error()[0]) abort();
}

/* The points of every arm, and every setting as JSON. */
static void read_points(const tdm_config *config)
{
    const char *const *arms, *const *texts;
    size_t n, n_texts;
    if (tdm_config_members(config, "experiment.arms", &arms, &n)) return;
    for (size_t i = 0; i < n && i < 8; i++) {
        tdm__str key = {0}, json = {0};
        tdm__points points = {0};
        tdm__pairs pairs = {0};
        tdm__str_addf(&key, "experiment.arms.%s.grid", arms[i]);
        if (tdm__str_status(&key) || tdm_config_strings(config, key.text, &texts, &n_texts))
            abort();
        expect_message(tdm__points_grid(&points, texts, n_texts));
        expect_message(tdm__points_together(&points, texts, n_texts));
        expect_message(tdm__points_random(&points, texts, n_texts, 3, 1));
        expect_message(tdm__settings_read(&pairs, texts, n_texts));
        for (size_t k = 0; k < pairs.n; k++)
            expect_message(tdm__setting_json(pairs.list[k].value, &json));
        tdm__pairs_free(&pairs);
        tdm__points_free(&points);
        tdm__str_free(&json);
        tdm__str_free(&key);
    }
}

static void read_back(const tdm_config *config)
{
    tdm_config *again = NULL;
    char *text = NULL, *repeated = NULL;
    if (tdm_config_dump(config, false, &text)) abort();
    /* A file that is at the limits may be beyond them when it is written out. */
    if (!tdm_config_create(tables, 1, &again) &&
        !tdm_config_load_text(again, text, strlen(text), "again")) {
        if (tdm_config_resolve(again) || tdm_config_dump(again, false, &repeated)) abort();
        if (strcmp(text, repeated) != 0) abort();
    }
    tdm_config_destroy(&again);
    free(text);
    free(repeated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tdm_config *config = NULL;
    /* files that it extends are not read: names of devices would be opened */
    if (memmem(data, size, "extends", 7)) return 0;
    if (tdm_config_create(tables, 1, &config)) return 0;
    tdm_status status = tdm_config_load_text(config, (const char *)data, size, "fuzz");
    if (!status) status = tdm_config_resolve(config);
    expect_message(status);
    if (!status) {
        read_points(config);
        read_back(config);
    }
    tdm_config_destroy(&config);
    return 0;
}

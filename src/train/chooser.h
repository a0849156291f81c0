/* train/chooser.h: which algorithm runs each node of a session: tune.force, then the tuning file
 * (tune.file), then the operation's own default.
 */
#ifndef TRAIN_CHOOSER_H
#define TRAIN_CHOOSER_H

#include <tandem/config.h>

#include "graph/tuning.h"

/* One text of tune.force. */
typedef struct tdm__forced {
    char *op;              /* a pattern */
    const char *algorithm; /* the configuration's */
} tdm__forced;

typedef struct tdm__chooser {
    tdm__tuning *tuning;      /* NULL: none */
    char *source;             /* path, "shipped NAME", or "none" */
    char hash[TDM__HASH_HEX]; /* of the tuning; "" without */
    tdm__forced *forced;
    size_t n_forced;
    /* Told of every node that is planned (bench tune); NULL: nobody. */
    void (*seen)(void *user, const char *key, const tdm_op *op, const tdm__io *io);
    void *seen_user;
} tdm__chooser;

/* By the tune.* keys. A tuning file that is missing, wrong or of another device or other kernels is
 * left out with one warning. The configuration must outlive the chooser. */
tdm_status tdm__chooser_open(const tdm_config *config, const tdm_device *device, tdm__chooser *out);
void tdm__chooser_close(tdm__chooser *chooser); /* safe on a zeroed struct */
/* For tdm__plan_spec.choose, with the chooser as its user. */
const char *tdm__chooser_choose(void *chooser, const char *key, const tdm_op *op,
                                const tdm__io *io);
/* TDM_ERR_DATA unless every choice names an operation and one of its algorithms. */
tdm_status tdm__chooser_check(const tdm__tuning *tuning);

extern const tdm_opt_table tdm__tune_options;

#endif

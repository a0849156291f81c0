/* support/parity.h: networks against PyTorch's goldens: a session on made-up data that the
 * reference scripts draw too, and the comparison of tensors by norm and random projections. */
#ifndef SUPPORT_PARITY_H
#define SUPPORT_PARITY_H

#include "support/support.h"
#include "train/session.h"

enum { PARITY_PROJECTIONS = 64, PARITY_ARRAYS = 6 };

/* What an array is filled with; number i comes from element i of the stream "parity.<name>". */
typedef enum parity_fill {
    PARITY_PIXELS, /* bytes */
    PARITY_LABELS, /* 0 .. classes - 1 */
    PARITY_HOLES,  /* the same and -1 */
    PARITY_VALUES, /* floats in [0, scale) */
    PARITY_FLAGS   /* 1, or 0 for a quarter of them */
} parity_fill;

typedef struct parity_array {
    tdm_array_info info; /* one sample */
    parity_fill fill;
    double scale;
} parity_array;

typedef struct parity {
    tdm_config *config;
    tdm_array_info infos[PARITY_ARRAYS];
    tdm__session session;
    tdm__optimizer *optimizer;
    tdm__buffer buffers[PARITY_ARRAYS];
    tdm__view views[PARITY_ARRAYS];
} parity;

/* Takes over a loaded configuration: sets device.style, resolves it, opens the session and fills
 * one batch. `arrays` must outlive it. */
void parity_open(parity *p, tdm_config *config, const char *style, const parity_array *arrays,
                 size_t n);
void parity_close(parity *p);
/* One training step (forward, backward) at learning rate lr, its meters read. */
void parity_step(parity *p, tdm__step_plan *plan, int step, double lr);
/* An empty configuration with every table. */
tdm_config *parity_config(void);

/* |values - golden| estimated from the golden's projections; *norm receives |values|. `name` draws
 * the projections' vectors. */
double parity_error(const char *name, const float *values, uint64_t count,
                    const double projections[PARITY_PROJECTIONS], double *norm);

#endif

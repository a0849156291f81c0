/* task/gradients.h: methods that combine the tasks' gradients of the shared parameters.
 *
 * A parameter that two or more tasks' losses reach is shared. Its gradients by each task lie in
 * rows of their own (T x P floats), which the step's plan fills; then the host reads their Gram
 * matrix, finds the weights of the tasks (task/solve.h), and one kernel writes the combination into
 * the flat gradients. All other parameters have the gradient of their own task's loss, whatever the
 * weights. A task whose gradient is 0 (nothing of it in the batch) has no say.
 *
 * Where the rows would take too much of the device's memory, the shared segments are divided into
 * groups, whose rows share one place: M is the sum over the groups, each of which is made by a
 * pass of its own, and made once more to be combined.
 *
 * The rows may hold gradients of the representation instead, the last value that all tasks share
 * ("upper bound" of Sener and Koltun, NeurIPS 2018): then the combination is of these, and one
 * backward pass from it gives the shared parameters' gradients, whatever the number of tasks.
 */
#ifndef TASK_GRADIENTS_H
#define TASK_GRADIENTS_H

#include <tandem/config.h>

#include "graph/flat.h"

typedef enum tdm__combine {
    TDM__COMBINE_NONE, /* the sum, which needs no rows */
    TDM__COMBINE_MGDA,
    TDM__COMBINE_CAGRAD,
    TDM__COMBINE_IMTL_G,
    TDM__COMBINE_NASH,
    TDM__COMBINE_FAIRGRAD,
    TDM__COMBINE_ALIGNED,
    TDM__COMBINE_PCGRAD,
    TDM__COMBINE_GRADVAC,
    TDM__COMBINE_UPGRAD,
    TDM__COMBINE_GRADDROP,
    TDM__COMBINE_DB_MTL,   /* of running means: all as long as the longest (Lin et al. 2023) */
    TDM__COMBINE_GRADNORM, /* the sum; the norms decide the next step's loss weights (balancer) */
    TDM__COMBINES
} tdm__combine;

typedef struct tdm__combine_spec {
    tdm__combine kind;
    bool representation; /* of its gradients */
    bool sum; /* weights of methods that average are multiplied by the number of tasks; false: those
                 of methods that add are divided by it */
    double cagrad_c, fairgrad_alpha, max_norm, gradvac_beta, leak, db_beta, db_sigma;
    int cagrad_rescale;
} tdm__combine_spec;

/* The weights of n tasks from M (n x n). target: n x n, GradVac's memory. *stationary: Nash-MTL and
 * FairGrad have no solution here. names: for messages. */
tdm_status tdm__combine_weights(const tdm__combine_spec *spec, const double *m, size_t n,
                                const char *const *names, uint64_t seed, uint64_t step,
                                double *target, double *w, bool *stationary);

typedef struct tdm__gradients tdm__gradients;

/* shared: per segment of the flat buffers, which are sealed and have gradients. names: of the n
 * tasks. budget: bytes that the rows may take before they are divided into groups (but one layer's
 * rows stay together). TDM_ERR_NOMEM with the size when the rows do not fit: those of one layer,
 * or of a method that needs all at once. Everything must outlive it. */
tdm_status tdm__gradients_create(tdm_device *device, tdm__flat *flat, const bool *shared,
                                 const tdm__combine_spec *spec, const char *const *names, size_t n,
                                 uint64_t budget, tdm__gradients **out);
/* Of a representation of `count` elements (a full batch). */
tdm_status tdm__gradients_create_representation(tdm_device *device, uint64_t count,
                                                const tdm__combine_spec *spec,
                                                const char *const *names, size_t n,
                                                tdm__gradients **out);
void tdm__gradients_destroy(tdm__gradients **gradients);
/* Bytes of the rows. */
uint64_t tdm__gradients_bytes(const tdm__gradients *gradients);
/* Groups whose rows share one place; 1: there is room for all. */
size_t tdm__gradients_groups(const tdm__gradients *gradients);
/* The group of a shared segment (or of any, for a representation: 0). */
size_t tdm__gradients_group(const tdm__gradients *gradients, size_t segment);
/* Where a task's gradient of a shared segment belongs; empty for others. */
tdm__view tdm__gradients_row(tdm__gradients *gradients, size_t task, size_t segment);
/* Of a representation: where a task's gradient belongs, and where the combination is. */
tdm__view tdm__gradients_representation_row(tdm__gradients *gradients, size_t task);
tdm__view tdm__gradients_combined(tdm__gradients *gradients);
/* Makes all rows 0: a batch that is not full leaves their ends as they are. */
tdm_status tdm__gradients_clear(tdm__gradients *gradients);
/* Makes the rows of a group (again). */
typedef tdm_status tdm__gradients_fill(void *user, size_t group);
/* After the plan has filled the rows of group 0: combines all into the flat gradients, with `fill`
 * for those of the others. step_scalars: a tdm__step. Waits for the device, but for GradDrop. */
tdm_status tdm__gradients_combine(tdm__gradients *gradients, tdm__view step_scalars, uint64_t seed,
                                  uint64_t step, tdm__gradients_fill *fill, void *user);

/* GradNorm: the norms of the last step's rows (n). */
void tdm__gradients_norms(const tdm__gradients *gradients, double *out);

/* ---- what happened ------------------------------------------------------------------------------
 */

/* Means over the steps since the last reset, of a task or a pair those in which it had a gradient;
 * NaN where there were none. */
typedef struct tdm__gradients_report {
    size_t n;
    double steps;
    const double *weights, *norms; /* n: mean weight, root mean square norm of the gradient */
    const double *cosines;         /* n x n */
    double conflicts;              /* share of the pairs whose cosine is negative */
    double condition;              /* mean of log10 of M's condition number */
    double stationary;             /* share of the steps without a solution */
} tdm__gradients_report;
const tdm__gradients_report *tdm__gradients_get_report(tdm__gradients *gradients);
void tdm__gradients_reset(tdm__gradients *gradients);
/* For an exact resume: count floats. */
size_t tdm__gradients_size(const tdm__gradients *gradients);
tdm_status tdm__gradients_export(const tdm__gradients *gradients, float *out);
tdm_status tdm__gradients_import(tdm__gradients *gradients, const float *values);

#endif

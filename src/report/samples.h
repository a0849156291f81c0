/* report/samples.h: what checkpoints score on the single samples of the test split, and whether two
 * of them differ over the same samples.
 *
 * Such a test is about the two networks at hand: its samples share one training each, so it cannot
 * tell what another seed would give. That is what tests over seeds (compare.h) are for.
 */
#ifndef REPORT_SAMPLES_H
#define REPORT_SAMPLES_H

#include <tandem/train.h>

#include "report/statistics.h"

typedef struct tdm__score {
    uint64_t index; /* in the split */
    double score, loss;
} tdm__score;

/* One metric of a task by one checkpoint, of every sample for which it means something, in the
 * order of the split. */
typedef struct tdm__scores {
    size_t arm; /* the caller's */
    int64_t seed;
    char *task, *what; /* what: "accuracy", "iou", ...; "loss" where the task has no metric */
    bool higher_is_better;
    tdm__score *list;
    size_t n, capacity;
} tdm__scores;

typedef struct tdm__score_list {
    tdm__scores *list;
    size_t n, capacity;
} tdm__score_list;

typedef struct tdm__samples_spec {
    const char *run; /* run folder or checkpoint */
    size_t arm;
    int64_t seed;
    uint64_t limit;  /* only samples before this one; UINT64_MAX: all */
    bool first_only; /* of each task its first metric alone */
    const char *const *assignments;
    size_t n_assignments;
} tdm__samples_spec;

/* Runs the checkpoint on the whole test split and adds to *out. *evaluation, to be destroyed: the
 * split's own numbers. */
tdm_status tdm__samples_measure(const tdm__samples_spec *spec, tdm__score_list *out,
                                tdm_evaluation **evaluation);
void tdm__score_list_free(tdm__score_list *list);
/* The scores in a list of another's task and metric, by an arm; NULL: it has none. */
const tdm__scores *tdm__scores_like(const tdm__score_list *list, const tdm__scores *like,
                                    size_t arm);

/* Differences a - b over the samples that both have. */
typedef struct tdm__pairing {
    tdm__summary difference;
    tdm__interval interval; /* 95 % */
    tdm__test flips, ranks, t;
    double effect, p; /* p: of the flips; to be adjusted by the caller */
} tdm__pairing;
tdm_status tdm__scores_pair(const tdm__scores *a, const tdm__scores *b, tdm__pairing *out);

#endif

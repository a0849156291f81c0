/* support/loader_fixture.h: small HDF5 files of every layout whose values follow a formula, and the
 * check of loaded batches against it. Arrays: images (H,W,C) u8, labels i64 below CLASSES, depth
 * (H,W,1) f32. */
#ifndef SUPPORT_LOADER_FIXTURE_H
#define SUPPORT_LOADER_FIXTURE_H

#include <hdf5.h>
#include <tandem/loader.h>

#include "support/support.h"

enum { H = 6, W = 5, C = 3, PIXELS = H * W, CLASSES = 10 };

/* SERIAL: contiguous, with types that only the library understands. */
typedef enum support_layout { STORED, DEFLATED, CONTIGUOUS, SERIAL, LAYOUTS } support_layout;

/* What is wrong with a file, if anything. */
typedef struct support_flaw {
    uint64_t bad_label_row, nan_row; /* UINT64_MAX: none */
    double bad_label;
} support_flaw;
extern const support_flaw support_no_flaw;

/* 32 bits that look random, of three numbers. */
uint32_t support_mix(uint64_t row, uint64_t i, uint64_t what);
/* A contiguous array in a file open for writing. */
void support_put_array(hid_t file, const char *name, int rank, const hsize_t *dims, hid_t type,
                       hid_t memory, const void *values);
/* Writes folder/name with n rows; free() the path. */
char *support_set_write(const char *folder, const char *name, uint64_t n, support_layout l,
                        const support_flaw *f);

/* A data set of one train.h5 in a folder of its own, open. */
typedef struct support_set {
    char *folder, *path;
    tdm_split *split;
} support_set;
support_set support_set_open(uint64_t n, support_layout l, const support_flaw *f);
void support_set_close(support_set *x);

/* images, labels, depth, in types that every layout can deliver */
extern const tdm_loader_array support_three[3];
/* Those, shuffled, in batches of 16. */
tdm_loader_spec support_loader_spec(const support_set *x, unsigned workers);
tdm_loader *support_loader(const tdm_loader_spec *spec);
/* A batch of support_three: its rows are the schedule's, its values the formula's. */
void support_check_batch(const tdm_loader_spec *spec, const tdm_batch *b, uint64_t epoch,
                         uint64_t step);
/* All batches of the epoch from a step on, then its end. */
void support_check_epoch(const tdm_loader_spec *spec, tdm_loader *loader, uint64_t epoch,
                         uint64_t from);

#endif

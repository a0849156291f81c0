/* support/npy_fixture.h: .npy files of any header, and a small data set of them. */
#ifndef SUPPORT_NPY_FIXTURE_H
#define SUPPORT_NPY_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "support/support.h"

/* The bytes of a .npy file: version 1..3, the header's text as given (padded to 64), then the data.
 * free() the result. */
uint8_t *support_npy_bytes(int version, const char *header, const void *data, size_t n,
                           size_t *size);
/* Writes folder/name, version 1; makes the folders of the path. shape: "(2, 3)". */
void support_npy_write(const char *folder, const char *name, const char *descr, const char *shape,
                       const void *data, size_t n);

enum { NPY_H = 4, NPY_W = 6 };
float support_npy_image(uint64_t sample, uint64_t i);
float support_npy_label(uint64_t sample, uint64_t i); /* -1..12 */
float support_npy_depth(uint64_t sample, uint64_t i); /* metres; now and then 0, unknown */
/* folder/{split}/{image,label,depth}/{0..n-1}.npy of NPY_H x NPY_W. */
void support_nyu_write(const char *folder, const char *split, uint64_t n);

#endif

/* format/tfevents.h: TensorBoard event files (TFRecord framing, hand-encoded Event messages). */
#ifndef FORMAT_TFEVENTS_H
#define FORMAT_TFEVENTS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct tdm__tfevents tdm__tfevents;

/* Creates folder/events.out.tfevents.<seconds>.<host>.<pid>.<n>, always a new file: a resumed run
 * appends to its folder that way, and TensorBoard reads all of them in order. */
tdm_status tdm__tfevents_create(const char *folder, tdm__tfevents **out);
void tdm__tfevents_destroy(tdm__tfevents **t); /* flushes */
/* One scalar at a step. wall: seconds since 1970. Not thread-safe. */
tdm_status tdm__tfevents_scalar(tdm__tfevents *t, double wall, int64_t step, const char *tag,
                                float value);
tdm_status tdm__tfevents_flush(tdm__tfevents *t);
const char *tdm__tfevents_path(const tdm__tfevents *t);

/* CRC-32C (Castagnoli) of the bytes. */
uint32_t tdm__crc32c(const void *bytes, size_t n);

#endif

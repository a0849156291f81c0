/* train/stage_record.h: pipeline.json, in a pipeline's folder: how far each stage is, and what it
 * was made of. */
#ifndef TRAIN_STAGE_RECORD_H
#define TRAIN_STAGE_RECORD_H

#include "base/hash.h"

typedef enum tdm__stage_state {
    TDM__STAGE_ABSENT,   /* never begun */
    TDM__STAGE_CLEARING, /* what an earlier run of it left is being removed */
    TDM__STAGE_BEGUN,
    TDM__STAGE_DONE,
    TDM__STAGE_STATES
} tdm__stage_state;

/* Hashes of what a stage's result follows from; "" where there is no such thing. */
typedef struct tdm__stage_inputs {
    char config[TDM__HASH_HEX]; /* its configuration, but for where its weights come from */
    char data[TDM__HASH_HEX];   /* the files of its data: data/identity.h */
    char source[TDM__HASH_HEX]; /* the checkpoint that it begins with */
} tdm__stage_inputs;

typedef struct tdm__stage_record {
    char *name;
    tdm__stage_state state;
    tdm__stage_inputs inputs;
    char *moved; /* JSON, of stage_measure.h; NULL: not known */
} tdm__stage_record;

typedef struct tdm__stage_records {
    char *path; /* of pipeline.json; NULL: they are in memory only */
    tdm__stage_record *list;
    size_t n, capacity;
} tdm__stage_records;

/* Reads folder/pipeline.json; none of them when there is no such file. */
tdm_status tdm__stage_records_read(const char *folder, tdm__stage_records *out);
tdm_status tdm__stage_records_parse(const char *text, size_t size, const char *name,
                                    tdm__stage_records *out);
void tdm__stage_records_free(tdm__stage_records *records);
/* The record of a stage, made at its first use. */
tdm_status tdm__stage_records_get(tdm__stage_records *records, const char *name,
                                  tdm__stage_record **out);
/* Replaces the file. */
tdm_status tdm__stage_records_write(const tdm__stage_records *records);

/* "its configuration", "its data", "the weights it begins with": what differs first; NULL: nothing.
 */
const char *tdm__stage_inputs_differ(const tdm__stage_inputs *a, const tdm__stage_inputs *b);

#endif

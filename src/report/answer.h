/* report/answer.h: one task's answer for one sample: as an array, as JSON, as a panel. */
#ifndef REPORT_ANSWER_H
#define REPORT_ANSWER_H

#include "format/json.h"
#include "report/sheet.h"
#include "train/predictor.h"

typedef struct tdm__answer {
    const tdm__prediction *task;
    const float *values; /* task->elems */
    const float *truth;  /* target's elements (labels too), or NULL */
    int64_t input_h, input_w;
    bool shown; /* the target is the input: no need to show it twice */
} tdm__answer;

/* Writes the array to `path`. */
tdm_status tdm__answer_write(const tdm__answer *answer, const char *path);
/* The members of the task's JSON object; file: the array's name. */
tdm_status tdm__answer_json(const tdm__answer *answer, const char *file, tdm__json *j);
tdm_status tdm__answer_draw(const tdm__answer *answer, tdm__sheet *sheet);

#endif

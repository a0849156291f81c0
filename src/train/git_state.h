/* train/git_state.h: which commit of the user's own files a run was started from.
 *
 * `git status` of the working directory is asked in a process beside the training and collected at
 * its end: looking costs no time and never fails a run. Without git, or outside of a repository,
 * nothing is known.
 */
#ifndef TRAIN_GIT_STATE_H
#define TRAIN_GIT_STATE_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct tdm__git {
    pid_t pid; /* 0: none */
    int fd;    /* what it prints */
} tdm__git;

typedef struct tdm__git_state {
    char commit[72]; /* hexadecimal; "": not known */
    bool dirty;      /* tracked files differ from it */
} tdm__git_state;

void tdm__git_start(tdm__git *git);
/* Waits a few seconds at most. Safe on a zeroed struct and twice. */
void tdm__git_finish(tdm__git *git, tdm__git_state *out);

#endif

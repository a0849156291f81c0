/* report/index.h: runs.sqlite in a folder of runs, which remembers what its run folders say.
 *
 * The folders are the truth. An entry holds for as long as size, time and inode of the files it was
 * read from are the same. Whatever happens to the index (it is missing, damaged, locked by another
 * process, on a full disk or in a folder that cannot be written), runs are then read from their
 * folders; a damaged one is removed, and the next call begins a new one.
 */
#ifndef REPORT_INDEX_H
#define REPORT_INDEX_H

#include <stdbool.h>

#include "report/record.h"

typedef struct tdm__index tdm__index;

/* NULL when there is to be none: see the log at level debug for the reason. */
tdm__index *tdm__index_open(const char *folder);
/* Reads the record of a run folder at or below the index's, from the index if it is current, else
 * from the files, noting it. index may be NULL. */
tdm_status tdm__index_record(tdm__index *index, const char *path, tdm__record *out);
/* Forgets the runs that were not asked for, writes, closes. */
void tdm__index_close(tdm__index **index);

#endif

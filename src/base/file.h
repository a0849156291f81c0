/* base/file.h: paths and files. Writes that matter go through tdm__atomic_*: temporary file in the
 * same folder, fsync, rename, fsync of the folder; an interrupted write leaves the old file. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "base/str.h"

/* All of these allocate their result; release with free(). */
tdm_status tdm__path_join(const char *folder, const char *name, char **out);
/* "a/b/c.h5" -> "c.h5" (points into path) */
const char *tdm__path_base(const char *path);
/* What of the path lies below the folder ("a/b/c" below "a": "b/c"; points into path); NULL: it
 * does not. Compares text. */
const char *tdm__path_below(const char *path, const char *folder);
/* Folder part, "." when there is none. */
tdm_status tdm__path_dir(const char *path, char **out);

bool tdm__path_exists(const char *path);
bool tdm__is_folder(const char *path);
/* Creates a folder and its parents; fine when it exists. */
tdm_status tdm__make_folders(const char *path);
/* Names in a folder (no "." and ".."), sorted by byte value. Release with tdm__names_free. */
tdm_status tdm__list_folder(const char *path, char ***names, size_t *n);
void tdm__names_free(char **names, size_t n);
/* Removes a file or a folder with all it holds; links are not followed; fine when nothing is there.
 */
tdm_status tdm__remove_tree(const char *path);

/* Reads a whole regular file, at most `limit` bytes (TDM_ERR_DATA above it). One extra 0 byte
 * follows the content. Missing file: TDM_ERR_DATA. */
tdm_status tdm__read_file(const char *path, size_t limit, void *out_bytes, size_t *out_size);

/* A file being replaced. */
typedef struct tdm__atomic {
    FILE *file;
    char *path, *temp;
    uint64_t counted; /* bytes that the failure injection has seen */
} tdm__atomic;
tdm_status tdm__atomic_begin(tdm__atomic *a, const char *path);
tdm_status tdm__atomic_write(tdm__atomic *a, const void *bytes, size_t n);
/* Flush, fsync, rename, fsync of the folder. On failure the old file stays, the temp is removed. */
tdm_status tdm__atomic_commit(tdm__atomic *a);
void tdm__atomic_abort(tdm__atomic *a); /* safe after commit and on a zeroed struct */
/* Removes what killed processes left of writing `path` (not what living ones are writing). */
tdm_status tdm__atomic_sweep(const char *path);
/* begin + write + commit */
tdm_status tdm__atomic_write_file(const char *path, const void *bytes, size_t n);
/* Appends one line plus newline with a single write(2). */
tdm_status tdm__append_line(const char *path, const char *line);

/* ${TANDEM_CACHE_DIR:-${XDG_CACHE_HOME:-~/.cache}/tandem}/<part>, not created. *out is NULL with
 * TDM_OK when TANDEM_CACHE=off or no home can be found. */
tdm_status tdm__cache_folder(const char *part, char **out);

/* Tests: the n-th byte written from now on through tdm__atomic_* fails with ENOSPC, and so does
 * every later one, as on a full disk (0 = off). Bytes written straight to a->file count at the
 * commit. Also read from the environment variable TANDEM_TEST_FAIL_WRITE at the first use. */
void tdm__file_fail_after(uint64_t bytes);

#endif

/* data/identity.c: see identity.h. */
#include "data/identity.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"

enum { DEPTH = 4 }; /* DIR/split/array/0.npy */

static tdm_status add_path(tdm__hash *h, const char *path, const char *name, int depth)
{
    tdm_status status = TDM_OK;
    struct stat s;
    char **names = NULL, *below = NULL;
    size_t n = 0;
    char text[96];
    if (stat(path, &s)) return tdm__fail_errno(TDM_ERR_DATA, "%s", path);
    tdm__hash_add_text(h, name);
    if (!S_ISDIR(s.st_mode)) {
        snprintf(text, sizeof text, "%lld %lld.%09ld", (long long)s.st_size,
                 (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
        tdm__hash_add_text(h, text);
        return TDM_OK;
    }
    if (depth == 0) return TDM_OK;
    TDM_TRY(tdm__list_folder(path, &names, &n));
    for (size_t i = 0; i < n; i++) {
        free(below);
        below = NULL;
        TDM_TRY(tdm__path_join(path, names[i], &below));
        TDM_TRY(add_path(h, below, names[i], depth - 1));
    }
done:
    free(below);
    tdm__names_free(names, n);
    return status;
}

tdm_status tdm__data_identity(const char *path, char hex[TDM__HASH_HEX])
{
    tdm_status status = TDM_OK;
    tdm__hash *h = NULL;
    TDM_TRY(tdm__hash_create(&h));
    TDM_TRY(add_path(h, path, "", DEPTH));
    tdm__hash_hex(h, hex);
done:
    tdm__hash_destroy(&h);
    return status;
}

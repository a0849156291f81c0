/* model/sharing.c: the list of architectures. */
#include "model/sharing.h"

#include <string.h>

#include "base/error.h"
#include "base/str.h"

#define TDM_SHARING(id, name) extern const tdm__sharing tdm__sharing_##id;
#include "model/sharing/sharing.def"
#undef TDM_SHARING

static const tdm__sharing *const sharings[] = {
#define TDM_SHARING(id, name) &tdm__sharing_##id,
#include "model/sharing/sharing.def"
#undef TDM_SHARING
};
enum { N_SHARINGS = sizeof sharings / sizeof *sharings };

const tdm__sharing *tdm__sharing_find(const char *name)
{
    for (size_t i = 0; i < N_SHARINGS; i++)
        if (!strcmp(sharings[i]->name, name)) return sharings[i];
    return NULL;
}

static bool reads(const tdm__sharing *sharing, const char *key)
{
    for (size_t i = 0; sharing->options && sharing->options[i]; i++)
        if (!strcmp(sharing->options[i], key)) return true;
    return false;
}

static tdm_status reject_unread(const tdm_config *config, const tdm__sharing *chosen,
                                const tdm__sharing *other)
{
    for (size_t i = 0; other->options && other->options[i]; i++) {
        const char *key = other->options[i];
        if (!reads(chosen, key) && tdm_config_given(config, key))
            return tdm_config_reject(config, key,
                                     "has no meaning with model.sharing: %s (hint: it is an option "
                                     "of %s)",
                                     chosen->name, other->name);
    }
    return TDM_OK;
}

/* Batch norm of each task's own takes a pass of the trunk for each. */
static tdm_status read_norm(const tdm_config *config, const tdm__sharing **sharing)
{
    const char *norm;
    const tdm_status status = tdm_config_string(config, "model.norm", &norm);
    if (status || strcmp(norm, "per-task") != 0 || !strcmp((*sharing)->name, "low-rank"))
        return status;
    if (strcmp((*sharing)->name, "hard") != 0)
        return tdm_config_reject(config, "model.norm",
                                 "per-task has no meaning with model.sharing: %s (hint: hard, or "
                                 "low-rank, which has it anyway)",
                                 (*sharing)->name);
    *sharing = &tdm__sharing_per_task_norm;
    return TDM_OK;
}

tdm_status tdm__sharing_read(const tdm_config *config, const tdm__sharing **out)
{
    const char *name;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm_config_string(config, "model.sharing", &name));
    *out = tdm__sharing_find(name);
    if (!*out) TDM_TRY(tdm_config_reject(config, "model.sharing", "there is no such architecture"));
    for (size_t i = 0; i < N_SHARINGS; i++) TDM_TRY(reject_unread(config, *out, sharings[i]));
    TDM_TRY(read_norm(config, out));
done:
    return status;
}

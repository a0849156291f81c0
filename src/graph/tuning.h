/* graph/tuning.h: tuning files: which algorithm was fastest for a node, as measured on one device
 * by `tandem bench tune`. Plans only read them, so a choice is a pure function of traits, shape and
 * file.
 *
 *     {"format": "tandem tuning 1",
 *      "device": {"name": "...", "driver": "...", "hash": "..."},   what was measured
 *      "kernels": "...",                                            hash of the kernel sources
 *      "choices": {"conv2d|cpu|f32[64,28,28,1],f32[3,3,1,32],none|kernel=3,3 ...":
 *                      {"algorithm": "implicit", "ms": {"implicit": 0.41, "winograd": 0.57}}}}
 *
 * The device's hash covers name, vendor, driver, platform and kernel style; that and the kernels'
 * hash must be those of the running program. A file of configs/tune (embedded by the build) has
 * instead
 *
 *      "match": {"platform": "Portable*", "style": "cpu", "vector_width": 8}
 *
 * and stands for every device like this, whatever the kernels.
 */
#ifndef GRAPH_TUNING_H
#define GRAPH_TUNING_H

#include "base/hash.h"
#include "cl/embedded.h"
#include "graph/op.h"

typedef struct tdm__tuning tdm__tuning;
extern const tdm__embedded tdm__embedded_tunings[]; /* configs/tune; ends with a NULL name */

/* From a file's text. `name` is for messages. Anything that is not such a file: TDM_ERR_DATA. */
tdm_status tdm__tuning_parse(const char *text, size_t size, const char *name, tdm__tuning **out);
tdm_status tdm__tuning_read(const char *path, tdm__tuning **out);
/* An empty one for a device. */
tdm_status tdm__tuning_create(const tdm_device *device, tdm__tuning **out);
/* The first file of a list (which ends with a NULL name) that is for a device like this; NULL when
 * there is none. *name: its name. */
tdm_status tdm__tuning_pick(const tdm__embedded *files, const tdm_device *device, tdm__tuning **out,
                            const char **name);
/* The same of configs/tune, embedded by the build. */
tdm_status tdm__tuning_shipped(const tdm_device *device, tdm__tuning **out, const char **name);
void tdm__tuning_destroy(tdm__tuning **tuning);

/* TDM_ERR_DATA with the difference unless it was measured on this device with these kernels. */
tdm_status tdm__tuning_check(const tdm__tuning *tuning, const tdm_device *device);
/* ${TANDEM_CACHE_DIR...}/tune/<device hash>.json; NULL without a cache. free(*out). */
tdm_status tdm__tuning_path(const tdm_device *device, char **out);

/* The algorithm for a node's key, or NULL. */
const char *tdm__tuning_find(const tdm__tuning *tuning, const char *key);
size_t tdm__tuning_count(const tdm__tuning *tuning);
/* Calls fn for each choice, in no order, until one fails. */
tdm_status tdm__tuning_each(const tdm__tuning *tuning,
                            tdm_status (*fn)(void *user, const char *key, const char *algorithm),
                            void *user);
/* Adds or replaces a choice, with the milliseconds of the n algorithms that were measured. */
tdm_status tdm__tuning_set(tdm__tuning *tuning, const char *key, const char *algorithm,
                           const char *const *names, const double *ms, size_t n);

/* The whole as JSON, keys sorted: equal contents give equal texts. free(*out). */
tdm_status tdm__tuning_text(const tdm__tuning *tuning, char **out);
/* Hash of that text: what a run records. */
tdm_status tdm__tuning_hash(const tdm__tuning *tuning, char hex[TDM__HASH_HEX]);
tdm_status tdm__tuning_write(const tdm__tuning *tuning, const char *path);

#endif

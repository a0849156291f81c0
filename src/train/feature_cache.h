/* train/feature_cache.h: what a frozen trunk makes of each sample, computed once.
 *
 * While the whole trunk stands still and its input is not changed at random, a sample always gives
 * the same features. They are computed in the first epoch, kept in device memory where they fit and
 * else in an HDF5 file of the cache folder, and later epochs run the heads alone. The features are
 * those that the trunk's plan gives for the sample's first batch; heads read them from there in
 * every epoch, the first included, so it does not matter when a sample was seen first.
 */
#ifndef TRAIN_FEATURE_CACHE_H
#define TRAIN_FEATURE_CACHE_H

#include "train/session.h"

typedef struct tdm__feature_cache tdm__feature_cache;

/* Decides by train.feature_cache and the session whether there is one; *out is NULL when not. With
 * one, session->cached says so, and plans of training and validation take features for input.
 * splits: as the trainer's. TDM_ERR_CONFIG: asked for where it cannot be. */
tdm_status tdm__feature_cache_create(tdm__session *session, tdm_split *const splits[TDM__SPLITS],
                                     tdm__feature_cache **out);
void tdm__feature_cache_destroy(tdm__feature_cache **cache);
/* Brings the batch's features to session->cached.staging; input: the batch's images. Enqueues only,
 * where the features are on the device. */
tdm_status tdm__feature_cache_fetch(tdm__feature_cache *cache, int split, const tdm_batch *batch,
                                    tdm__view input);
/* All of the split's samples are there: their images are not looked at any more. */
bool tdm__feature_cache_full(const tdm__feature_cache *cache, int split);
/* "2.1 MiB in device memory": for the log. */
const char *tdm__feature_cache_text(const tdm__feature_cache *cache);

#endif

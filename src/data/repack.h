/* data/repack.h: data sets whose chunks make reading single samples expensive, repacked once.
 *
 * h5py's automatic chunks cut across samples and pixels: reading one sample then inflates many
 * times its size. Where one array fetches more than TDM__REPACK_RATIO times a sample, and more than
 * TDM__REPACK_BYTES, the whole split is copied to <cache>/data/<hash>.h5 in tandem's own layout.
 * The hash is over the files' paths, sizes and times of change, and the arrays, so a changed data
 * set is copied anew. Values, names, kinds and classes are the same.
 */
#ifndef DATA_REPACK_H
#define DATA_REPACK_H

#include <tandem/dataset.h>

#define TDM__REPACK_RATIO 4
#define TDM__REPACK_BYTES (128 << 10) /* less is inflated in a third of a millisecond */

/* Opens the copy, made first when there is none, and puts it in place of *dataset; leaves it alone
 * when it is cheap to read or no copy can be made (a warning says why). */
tdm_status tdm__dataset_repack(tdm_dataset **dataset);

#endif

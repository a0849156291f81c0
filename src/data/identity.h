/* data/identity.h: telling whether the files of a data set are still those of before. */
#ifndef DATA_IDENTITY_H
#define DATA_IDENTITY_H

#include "base/hash.h"

/* Hash over name, size and time of change of every file of a data set (a folder and what is below
 * it, or one file). Contents are not read: a data set may be larger than any disk cache. */
tdm_status tdm__data_identity(const char *path, char hex[TDM__HASH_HEX]);

#endif

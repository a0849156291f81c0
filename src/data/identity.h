/* data/identity.h: which bytes a data set consists of. */
#ifndef DATA_IDENTITY_H
#define DATA_IDENTITY_H

#include <stdint.h>

#include "base/error.h"
#include "base/hash.h"

typedef struct tdm__data_identity {
    char hash[TDM__HASH_HEX];
    uint64_t files, bytes;
} tdm__data_identity;

/* Hashes every file of a data set (a folder with what is below it, or a file) with its name in it.
 * Where the folder lies does not count. Up to 1 GiB in all the whole content is read; of a larger
 * one, of each file its size, time of change and both ends: reading terabytes to find out that
 * nothing has changed would cost more than it tells. TDM_ERR_DATA: nothing is there. */
tdm_status tdm__data_identify(const char *path, tdm__data_identity *out);

/* TDM_ERR_DATA, with what to do about it, where nothing is at path. */
tdm_status tdm__data_exists(const char *path);

#endif

/* report/pictures.h: picture files as inputs of a network. */
#ifndef REPORT_PICTURES_H
#define REPORT_PICTURES_H

#include <tandem/graph.h>

/* Reads a picture and brings it to a sample's height, width and channels (1 or 3): bytes, or floats
 * of 0..1. */
tdm_status tdm__picture_sample(const char *path, const tdm_desc *desc, void *out);
/* A picture file, or the picture files in a folder (by their names' endings, sorted). Release with
 * tdm__names_free. TDM_ERR_DATA: a folder without any. */
tdm_status tdm__picture_list(const char *path, char ***out, size_t *n);

#endif

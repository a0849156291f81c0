/* cl/embedded.h: the kernel sources of cl/, embedded by the build (ci/embed.cmake). */
#ifndef CL_EMBEDDED_H
#define CL_EMBEDDED_H

#include <stddef.h>

typedef struct tdm__embedded {
    const char *name; /* "conv/gather.cl": path below cl/ */
    const char *text; /* terminated */
    size_t size;
} tdm__embedded;

extern const tdm__embedded tdm__embedded_files[]; /* ends with a NULL name */

#endif

/* The few elements of a VOC file that say where the object is. Not an XML parser: it looks for the
 * elements by name and takes the number between their tags, which is all that such files hold. */
#include "format/voc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

#define MOST_FILE ((size_t)1 << 20)
#define MOST_PIXELS 1e6

typedef struct span {
    const char *at, *end;
} span;

/* What is between <tag> and </tag>, the first time; false: not there. */
static bool find(span in, const char *tag, span *out)
{
    char text[40];
    const int open = snprintf(text, sizeof text, "<%s>", tag);
    const char *begin = memmem(in.at, (size_t)(in.end - in.at), text, (size_t)open);
    if (!begin) return false;
    begin += open;
    const int close = snprintf(text, sizeof text, "</%s>", tag);
    const char *end = memmem(begin, (size_t)(in.end - begin), text, (size_t)close);
    if (!end) return false;
    *out = (span){begin, end};
    return true;
}

/* A whole element's content as a number of pixels. */
static tdm_status number(span in, const char *tag, const char *name, double *out)
{
    span s;
    char text[32];
    if (!find(in, tag, &s)) return tdm__fail(TDM_ERR_DATA, "%s: no <%s>", name, tag);
    while (s.at < s.end && strchr(" \t\r\n", *s.at) && *s.at) s.at++;
    while (s.at < s.end && strchr(" \t\r\n", s.end[-1]) && s.end[-1]) s.end--;
    const size_t n = (size_t)(s.end - s.at);
    bool ok = n && n < sizeof text;
    if (ok) {
        memcpy(text, s.at, n);
        text[n] = 0;
        ok = strlen(text) == n && tdm__parse_f64(text, out) && *out >= -MOST_PIXELS &&
             *out <= MOST_PIXELS;
    }
    if (ok) return TDM_OK;
    return tdm__fail(TDM_ERR_DATA, "%s: <%s> must be a number of pixels", name, tag);
}

tdm_status tdm__voc_parse(const void *bytes, size_t size, const char *name, tdm__voc_box *out)
{
    const span all = {bytes, (const char *)bytes + size};
    span box, picture;
    tdm_status status = TDM_OK;
    *out = (tdm__voc_box){0};
    if (!size || !find(all, "bndbox", &box))
        return tdm__fail(TDM_ERR_DATA, "%s: no <bndbox>", name);
    TDM_TRY(number(box, "xmin", name, &out->xmin));
    TDM_TRY(number(box, "ymin", name, &out->ymin));
    TDM_TRY(number(box, "xmax", name, &out->xmax));
    TDM_TRY(number(box, "ymax", name, &out->ymax));
    out->xmin -= 1;
    out->ymin -= 1;
    if (find(all, "size", &picture)) {
        TDM_TRY(number(picture, "width", name, &out->width));
        TDM_TRY(number(picture, "height", name, &out->height));
    }
    const bool inside = (!out->width || out->xmax <= out->width) &&
                        (!out->height || out->ymax <= out->height) && out->width >= 0 &&
                        out->height >= 0 && out->xmin >= -1 && out->ymin >= -1;
    if (out->xmin < 0) out->xmin = 0; /* some count from 0 */
    if (out->ymin < 0) out->ymin = 0;
    if (!inside || out->xmin >= out->xmax || out->ymin >= out->ymax)
        status =
            tdm__fail(TDM_ERR_DATA, "%s: the box %g..%g, %g..%g is empty or not in the picture",
                      name, out->xmin, out->xmax, out->ymin, out->ymax);
done:
    return status;
}

tdm_status tdm__voc_read(const char *path, tdm__voc_box *out)
{
    void *bytes = NULL;
    size_t size = 0;
    tdm_status status = tdm__read_file(path, MOST_FILE, &bytes, &size);
    if (!status) status = tdm__voc_parse(bytes, size, path, out);
    free(bytes);
    return status;
}

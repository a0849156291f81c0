/* Undoing HDF5's filters on one chunk: deflate (libdeflate), shuffle, fletcher32. Input is hostile:
 * every size is checked, nothing is read or written past its buffer. */
#include <libdeflate.h>
#include <string.h>

#include "format/hdf5_private.h"

size_t tdm__h5_coding_room(const tdm__h5_coding *coding)
{
    /* In between, each fletcher32 adds 4 bytes. */
    return coding->size + 4 * coding->n_filters;
}

/* Fletcher's checksum over big-endian 16-bit words, as H5_checksum_fletcher32 computes it. */
static uint32_t fletcher32(const uint8_t *p, size_t n)
{
    uint32_t a = 0, b = 0;
    size_t words = n / 2;
    while (words) {
        size_t block = words > 360 ? 360 : words; /* no overflow of b */
        words -= block;
        for (; block; block--, p += 2) {
            a += (uint32_t)p[0] << 8 | p[1];
            b += a;
        }
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    if (n % 2) {
        a += (uint32_t)*p << 8;
        b += a;
        a = (a & 0xffff) + (a >> 16);
        b = (b & 0xffff) + (b >> 16);
    }
    a = (a & 0xffff) + (a >> 16);
    b = (b & 0xffff) + (b >> 16);
    return b << 16 | a;
}

/* Some writers stored the sum with the bytes of each half swapped (HDF5 before 1.6.3 on
 * little-endian machines); the library accepts both. */
static bool checksum_matches(const uint8_t *p, size_t n)
{
    uint32_t stored = (uint32_t)p[n] | (uint32_t)p[n + 1] << 8 | (uint32_t)p[n + 2] << 16 |
                      (uint32_t)p[n + 3] << 24;
    uint32_t sum = fletcher32(p, n);
    uint32_t swapped = (sum & 0x00ff00ffu) << 8 | (sum & 0xff00ff00u) >> 8;
    return stored == sum || stored == swapped;
}

/* Byte j of element i lies at j * count + i; what does not fill an element follows unchanged. */
static void unshuffle(const uint8_t *from, size_t n, size_t elem, uint8_t *out)
{
    size_t count = n / elem;
    for (size_t j = 0; j < elem; j++) {
        const uint8_t *plane = from + j * count;
        uint8_t *to = out + j;
        for (size_t i = 0; i < count; i++, to += elem) *to = plane[i];
    }
    memcpy(out + count * elem, from + count * elem, n - count * elem);
}

const char *tdm__h5_decode(const tdm__h5_coding *coding, uint32_t skipped, void *inflater,
                           const void *from, size_t size, void *a, void *b, const void **out)
{
    size_t room = tdm__h5_coding_room(coding);
    for (size_t i = coding->n_filters; i-- > 0;) {
        if (skipped >> i & 1) continue;
        uint8_t *to = from == a ? b : a;
        switch (coding->filters[i]) {
        case 1: {
            size_t got = 0;
            if (libdeflate_zlib_decompress(inflater, from, size, to, room, &got) !=
                LIBDEFLATE_SUCCESS)
                return "the deflated data is damaged";
            from = to;
            size = got;
            break;
        }
        case 2:
            if (coding->elem_size < 2 || size < coding->elem_size) break;
            if (size > room) return "it has the wrong size";
            unshuffle(from, size, coding->elem_size, to);
            from = to;
            break;
        default:
            if (size < 4) return "it is too short for its checksum";
            size -= 4;
            if (!checksum_matches(from, size)) return "its checksum does not match";
        }
    }
    if (size != coding->size) return "it has the wrong size";
    *out = from;
    return NULL;
}

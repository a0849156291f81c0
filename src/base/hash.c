/* base/hash.c: XXH3 through libxxhash. The hex form is the canonical (big-endian) one, as printed
 * by xxhsum -H2. */
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/mem.h"

struct tdm__hash {
    XXH3_state_t *state;
};

static void hex_write(XXH128_hash_t value, char hex[TDM__HASH_HEX])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, value);
    for (int i = 0; i < 16; i++) {
        hex[2 * i] = "0123456789abcdef"[canonical.digest[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[canonical.digest[i] & 15];
    }
    hex[32] = 0;
}

tdm_status tdm__hash_create(tdm__hash **out)
{
    tdm__hash *h = NULL;
    tdm_status status = TDM_OK;
    *out = NULL;
    TDM_TRY(tdm__calloc_try(1, sizeof *h, &h));
    h->state = XXH3_createState();
    if (!h->state) {
        status = tdm__fail(TDM_ERR_NOMEM, "out of memory: a hash state");
        goto done;
    }
    XXH3_128bits_reset(h->state);
    *out = h;
    h = NULL;
done:
    tdm__hash_destroy(&h);
    return status;
}

void tdm__hash_add(tdm__hash *h, const void *bytes, size_t n)
{
    if (n > 0) XXH3_128bits_update(h->state, bytes, n);
}

void tdm__hash_add_text(tdm__hash *h, const char *text)
{
    tdm__hash_add(h, text, strlen(text) + 1);
}

void tdm__hash_hex(const tdm__hash *h, char hex[TDM__HASH_HEX])
{
    hex_write(XXH3_128bits_digest(h->state), hex);
}

void tdm__hash_destroy(tdm__hash **h)
{
    if (!h || !*h) return;
    XXH3_freeState((*h)->state);
    free(*h);
    *h = NULL;
}

void tdm__hash_bytes_hex(const void *bytes, size_t n, char hex[TDM__HASH_HEX])
{
    hex_write(XXH3_128bits(n ? bytes : "", n), hex);
}

uint64_t tdm__hash64(const void *bytes, size_t n)
{
    return XXH3_64bits(n ? bytes : "", n);
}

tdm_status tdm__hash_file_hex(const char *path, char hex[TDM__HASH_HEX])
{
    enum { BLOCK = 1 << 16 };
    tdm_status status = TDM_OK;
    tdm__hash *h = NULL;
    char *block = NULL;
    FILE *file = fopen(path, "rbe");
    if (!file) return tdm__fail_errno(TDM_ERR_DATA, "%s: cannot open", path);
    TDM_TRY(tdm__hash_create(&h));
    TDM_TRY(tdm__calloc_try(BLOCK, 1, &block));
    for (size_t n; (n = fread(block, 1, BLOCK, file)) > 0;) tdm__hash_add(h, block, n);
    if (ferror(file)) {
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot read", path);
        goto done;
    }
    tdm__hash_hex(h, hex);
done:
    free(block);
    tdm__hash_destroy(&h);
    fclose(file);
    return status;
}

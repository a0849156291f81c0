/* TensorBoard event files. A file is a sequence of TFRecords
 *     u64 length, u32 masked CRC-32C of the length, the bytes, u32 masked CRC-32C of the bytes
 * each holding a protobuf message, encoded by hand from tensorflow/core/util/event.proto:
 *     Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
 * } Summary { repeated Value value = 1; }  Value { string tag = 1; float simple_value = 2; } A
 * process that dies leaves whole records and at most one torn one, which readers skip. */
#include "format/tfevents.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

struct tdm__tfevents {
    FILE *file;
    char *path;
    tdm__str record; /* reused */
};

/* Bitwise: a record has some sixty bytes. Polynomial 0x1edc6f41, reflected. */
uint32_t tdm__crc32c(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint32_t masked_crc(const void *bytes, size_t n)
{
    uint32_t crc = tdm__crc32c(bytes, n);
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static void put_little(uint8_t *out, uint64_t value, int n)
{
    for (int i = 0; i < n; i++) out[i] = (uint8_t)(value >> (8 * i));
}

static void add_varint(tdm__str *s, uint64_t value)
{
    uint8_t bytes[10];
    size_t n = 0;
    do {
        bytes[n] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value);
    tdm__str_addn(s, bytes, n);
}

static void add_key(tdm__str *s, unsigned field, unsigned wire_type)
{
    add_varint(s, field << 3 | wire_type);
}

static void add_fixed(tdm__str *s, uint64_t bits, int n)
{
    uint8_t bytes[8];
    put_little(bytes, bits, n);
    tdm__str_addn(s, bytes, (size_t)n);
}

static void add_bytes(tdm__str *s, unsigned field, const void *bytes, size_t n)
{
    add_key(s, field, 2);
    add_varint(s, n);
    tdm__str_addn(s, bytes, n);
}

static void begin_event(tdm__str *s, double wall)
{
    uint64_t bits;
    memcpy(&bits, &wall, 8);
    s->length = 0;
    add_key(s, 1, 1);
    add_fixed(s, bits, 8);
}

static tdm_status write_record(tdm__tfevents *t)
{
    tdm_status status = tdm__str_status(&t->record);
    if (status) return status;
    uint8_t head[12], tail[4];
    put_little(head, t->record.length, 8);
    put_little(head + 8, masked_crc(head, 8), 4);
    put_little(tail, masked_crc(t->record.text, t->record.length), 4);
    if (fwrite(head, 1, sizeof head, t->file) != sizeof head ||
        fwrite(t->record.text, 1, t->record.length, t->file) != t->record.length ||
        fwrite(tail, 1, sizeof tail, t->file) != sizeof tail)
        return tdm__fail_errno(TDM_ERR_IO, "%s: cannot be written", t->path);
    return TDM_OK;
}

tdm_status tdm__tfevents_create(const char *folder, tdm__tfevents **out)
{
    static _Atomic unsigned counter;
    char host[256] = "localhost";
    tdm__str name = {0};
    double wall = tdm__wall();
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(1, sizeof **out, out));
    if (gethostname(host, sizeof host - 1)) snprintf(host, sizeof host, "localhost");
    do { /* never into a file that is there */
        tdm__str_free(&name);
        tdm__str_addf(&name, "%s/events.out.tfevents.%010lld.%s.%ld.%u", folder, (long long)wall,
                      host, (long)getpid(), atomic_fetch_add(&counter, 1));
        TDM_TRY(tdm__str_status(&name));
        (*out)->file = fopen(name.text, "wbxe");
    } while (!(*out)->file && errno == EEXIST);
    if (!(*out)->file) {
        status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot be created", name.text);
        goto done;
    }
    (*out)->path = name.text;
    name = (tdm__str){0};
    begin_event(&(*out)->record, wall);
    add_bytes(&(*out)->record, 3, "brain.Event:2", 13);
    TDM_TRY(write_record(*out));
    TDM_TRY(tdm__tfevents_flush(*out));
done:
    tdm__str_free(&name);
    if (status) tdm__tfevents_destroy(out);
    return status;
}

void tdm__tfevents_destroy(tdm__tfevents **pointer)
{
    tdm__tfevents *t = *pointer;
    if (!t) return;
    if (t->file) fclose(t->file);
    tdm__str_free(&t->record);
    free(t->path);
    free(t);
    *pointer = NULL;
}

tdm_status tdm__tfevents_scalar(tdm__tfevents *t, double wall, int64_t step, const char *tag,
                                float value)
{
    tdm__str v = {0}, summary = {0};
    uint32_t bits;
    memcpy(&bits, &value, 4);
    add_bytes(&v, 1, tag, strlen(tag));
    add_key(&v, 2, 5);
    add_fixed(&v, bits, 4);
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__str_status(&v));
    add_bytes(&summary, 1, v.text, v.length);
    TDM_TRY(tdm__str_status(&summary));
    begin_event(&t->record, wall);
    add_key(&t->record, 2, 0);
    add_varint(&t->record, (uint64_t)step);
    add_bytes(&t->record, 5, summary.text, summary.length);
    TDM_TRY(write_record(t));
done:
    tdm__str_free(&v);
    tdm__str_free(&summary);
    return status;
}

tdm_status tdm__tfevents_flush(tdm__tfevents *t)
{
    if (fflush(t->file)) return tdm__fail_errno(TDM_ERR_IO, "%s: cannot be written", t->path);
    return TDM_OK;
}

const char *tdm__tfevents_path(const tdm__tfevents *t)
{
    return t->path;
}

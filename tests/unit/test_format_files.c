/* Tests of element conversion, IDX, safetensors, TensorBoard events, JSON and PNG. */
#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/elem.h"
#include "format/idx.h"
#include "format/json.h"
#include "format/png.h"
#include "format/safetensors.h"
#include "format/tfevents.h"
#include "support/support.h"

static char *folder;

static void setup(void)
{
    folder = support_temp_create();
}

static void teardown(void)
{
    support_temp_remove(folder);
}

/* Elements ---------------------------------------------------------------------------------------
 */

START_TEST(elem_integers)
{
    const uint8_t be[] = {0x80, 0x00, 0x00, 0x01, 0x7f, 0xff, 0xff, 0xff};
    int32_t i32[2];
    float f32[2];
    double f64[2];
    tdm__elem i32be = {TDM__ELEM_INT, 4, true}, u32be = {TDM__ELEM_UINT, 4, true};
    ck_assert_uint_eq(tdm__elem_convert(i32be, be, 2, TDM__TO_I32, i32), 2);
    ck_assert_int_eq(i32[0], -2147483647);
    ck_assert_int_eq(i32[1], 2147483647);
    ck_assert_uint_eq(tdm__elem_convert(u32be, be, 2, TDM__TO_I32, i32), 0);
    ck_assert_uint_eq(tdm__elem_convert(u32be, be, 2, TDM__TO_F64, f64), 2);
    ck_assert(f64[0] == 2147483649.0);
    tdm__elem i16le = {TDM__ELEM_INT, 2, false};
    ck_assert_uint_eq(tdm__elem_convert(i16le, be, 2, TDM__TO_F32, f32), 2); /* 0x0080, 0x0100 */
    ck_assert(f32[0] == 128 && f32[1] == 256);
    /* A 64-bit integer rounds once: through double it would become 2^60 + 2^37. */
    uint64_t big = ((uint64_t)1 << 60) + ((uint64_t)1 << 36) + 1;
    ck_assert_uint_eq(
        tdm__elem_convert(tdm__elem_host(TDM__ELEM_UINT, 8), &big, 1, TDM__TO_F32, f32), 1);
    ck_assert(f32[0] == (float)big);
    ck_assert_uint_eq(
        tdm__elem_convert(tdm__elem_host(TDM__ELEM_UINT, 8), &big, 1, TDM__TO_I32, i32), 0);
    int64_t small = INT64_MIN;
    ck_assert_uint_eq(
        tdm__elem_convert(tdm__elem_host(TDM__ELEM_INT, 8), &small, 1, TDM__TO_U8, i32), 0);
}
END_TEST

START_TEST(elem_floats)
{
    const float v[] = {0, 255, 256, -1, 1.5f, NAN, INFINITY};
    static const bool u8_ok[] = {true, true, false, false, false, false, false};
    static const bool i32_ok[] = {true, true, true, true, false, false, false};
    tdm__elem f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    uint8_t u8;
    int32_t i32;
    for (int i = 0; i < 7; i++) {
        ck_assert_uint_eq(tdm__elem_convert(f32, v + i, 1, TDM__TO_U8, &u8), u8_ok[i]);
        ck_assert_uint_eq(tdm__elem_convert(f32, v + i, 1, TDM__TO_I32, &i32), i32_ok[i]);
        if (i32_ok[i]) ck_assert_int_eq(i32, (int)v[i]);
    }
    const float edge[] = {2147483648.0f, -2147483648.0f};
    ck_assert_uint_eq(tdm__elem_convert(f32, edge, 1, TDM__TO_I32, &i32), 0);
    ck_assert_uint_eq(tdm__elem_convert(f32, edge + 1, 1, TDM__TO_I32, &i32), 1);
    ck_assert_int_eq(i32, INT32_MIN);
    /* IEEE half: one, the largest, the smallest normal and subnormal, zeros, infinity, NaN. */
    ck_assert(tdm__half_to_float(0x3c00) == 1 && tdm__half_to_float(0x7bff) == 65504);
    ck_assert(tdm__half_to_float(0x0400) == 0x1p-14f && tdm__half_to_float(0x8001) == -0x1p-24f);
    ck_assert(tdm__half_to_float(0x8000) == 0 && signbit(tdm__half_to_float(0x8000)));
    ck_assert(tdm__half_to_float(0xfc00) == -INFINITY && isnan(tdm__half_to_float(0x7e01)));
    uint16_t bf[] = {0x3f80, 0xc049}; /* 1, -3.140625 */
    float got[2];
    ck_assert_uint_eq(tdm__elem_convert(tdm__elem_host(TDM__ELEM_BF16, 2), bf, 2, TDM__TO_F32, got),
                      2);
    ck_assert(got[0] == 1 && got[1] == -3.140625f);
}
END_TEST

START_TEST(elem_native_and_in_place)
{
    uint8_t bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8}, out[8];
    tdm__elem f64be = {TDM__ELEM_FLOAT, 8, true};
    tdm__elem_convert(f64be, bytes, 1, TDM__TO_NATIVE, out);
    for (int i = 0; i < 8; i++) ck_assert_int_eq(out[i], 8 - i);
    tdm__elem u32be = {TDM__ELEM_UINT, 4, true};
    tdm__elem_convert(u32be, bytes, 2, TDM__TO_F32, bytes); /* same size: in place */
    float f[2];
    memcpy(f, bytes, 8);
    ck_assert(f[0] == (float)0x01020304 && f[1] == (float)0x05060708);
    uint8_t flags[4] = {0, 1, 2, 255};
    tdm__elem_convert(tdm__elem_host(TDM__ELEM_BOOL, 1), flags, 4, TDM__TO_U8, out);
    ck_assert(!out[0] && out[1] == 1 && out[2] == 1 && out[3] == 1);
    ck_assert(!tdm__elem_valid((tdm__elem){TDM__ELEM_UINT, 3, false}));
    ck_assert(!tdm__elem_valid((tdm__elem){TDM__ELEM_FLOAT, 1, false}));
    ck_assert_str_eq(tdm__elem_name((tdm__elem){TDM__ELEM_BF16, 2, false}), "bf16");
}
END_TEST

/* IDX --------------------------------------------------------------------------------------------
 */

/* 2 x 3 of i16: 1, 2, -3, 300, 0, -32768 */
static const uint8_t idx_bytes[] = {0, 0, 0x0b, 2, 0,    0,    0, 2,  0, 0, 0,    3,
                                    0, 1, 0,    2, 0xff, 0xfd, 1, 44, 0, 0, 0x80, 0};

/* The bytes as a gzip file. */
static uint8_t *gzip(const void *bytes, size_t n, size_t *size)
{
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    size_t room = libdeflate_gzip_compress_bound(c, n);
    uint8_t *out = calloc(room, 1);
    *size = libdeflate_gzip_compress(c, bytes, n, out, room);
    ck_assert(*size > 0);
    libdeflate_free_compressor(c);
    return out;
}

START_TEST(idx_read_both_forms)
{
    char *path = support_path(folder, "x.idx");
    size_t size;
    uint8_t *packed = gzip(idx_bytes, sizeof idx_bytes, &size);
    for (int form = 0; form < 2; form++) {
        support_write(path, form ? packed : idx_bytes, form ? size : sizeof idx_bytes);
        tdm__idx idx;
        support_ok(tdm__idx_read(path, &idx));
        ck_assert_int_eq(idx.rank, 2);
        ck_assert_uint_eq(idx.dims[0], 2);
        ck_assert_uint_eq(idx.dims[1], 3);
        ck_assert_uint_eq(idx.count, 6);
        int32_t v[6];
        ck_assert_uint_eq(tdm__elem_convert(idx.elem, idx.data, 6, TDM__TO_I32, v), 6);
        static const int32_t want[6] = {1, 2, -3, 300, 0, -32768};
        ck_assert_mem_eq(v, want, sizeof want);
        tdm__idx_free(&idx);
    }
    free(packed);
    free(path);
}
END_TEST

START_TEST(idx_refuses)
{
    tdm__idx idx;
    uint8_t b[sizeof idx_bytes + 1] = {0};
    size_t n = sizeof idx_bytes;
    memcpy(b, idx_bytes, n);
    support_fails(tdm__idx_parse(b, 0, 1000, "x", &idx), TDM_ERR_DATA, "x: not an IDX file");
    for (size_t k = 4; k < n; k++)
        support_fails(tdm__idx_parse(b, k, 1000, "x", &idx), TDM_ERR_DATA,
                      k < 12 ? "x: the header is truncated" : "x: the header announces");
    support_fails(tdm__idx_parse(b, n + 1, 1000, "x", &idx), TDM_ERR_DATA, "announces 6 elements");
    support_fails(tdm__idx_parse(b, n, 10, "x", &idx), TDM_ERR_DATA, "larger than 10");
    b[2] = 0x0a;
    support_fails(tdm__idx_parse(b, n, 1000, "x", &idx), TDM_ERR_DATA, "not an IDX file");
    b[2] = 0x0b;
    b[3] = 0;
    support_fails(tdm__idx_parse(b, n, 1000, "x", &idx), TDM_ERR_DATA, "0 dimensions");
    b[3] = 9;
    support_fails(tdm__idx_parse(b, n, 1000, "x", &idx), TDM_ERR_DATA, "9 dimensions");
    /* Sizes whose product overflows 64 bits to exactly the right number of bytes. */
    uint8_t wrap[4 + 12 + 0] = {0, 0, 8, 3, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 4};
    support_fails(tdm__idx_parse(wrap, sizeof wrap, 1000, "x", &idx), TDM_ERR_DATA, "announces");
}
END_TEST

START_TEST(idx_refuses_bad_gzip)
{
    tdm__idx idx;
    size_t size;
    uint8_t *packed = gzip(idx_bytes, sizeof idx_bytes, &size);
    for (size_t k = 18; k < size; k++)
        ck_assert_int_eq(tdm__idx_parse(packed, k, 1000, "x", &idx), TDM_ERR_DATA);
    size_t refused = 0;
    for (size_t k = 10; k < size; k++) { /* the content, its checksum, its length */
        packed[k] ^= 0x10;
        tdm_status status = tdm__idx_parse(packed, size, 1u << 30, "x", &idx);
        if (status) {
            ck_assert_int_eq(status, TDM_ERR_DATA);
            refused++;
        } else { /* a bit of padding */
            ck_assert_mem_eq(idx.data, idx_bytes + 12, 12);
            tdm__idx_free(&idx);
        }
        packed[k] ^= 0x10;
    }
    ck_assert_uint_ge(refused, size - 11);
    support_fails(tdm__idx_parse(packed, size, 10, "x", &idx), TDM_ERR_DATA, "more than 10 bytes");
    free(packed);
}
END_TEST

/* Safetensors ------------------------------------------------------------------------------------
 */

/* An in-memory file from a header and n bytes of data. */
static tdm_status open_header(const char *header, size_t n_data, tdm__st **out)
{
    static uint8_t bytes[4096];
    uint64_t n = strlen(header);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    return tdm__st_open_bytes(bytes, 8 + n + n_data, "x", out);
}

START_TEST(safetensors_round_trip)
{
    char *path = support_path(folder, "w.safetensors");
    const uint64_t dims[] = {2, 3};
    const uint64_t none[] = {0};
    float f[6] = {1, -2, 3.5f, 1e-30f, 0, 6};
    int64_t steps = -77;
    uint8_t flag[3] = {1, 0, 1};
    uint16_t halves[1] = {0x3c00};
    tdm__st_writer *w = NULL;
    support_ok(tdm__st_writer_create(path, &w));
    support_ok(tdm__st_writer_declare(w, "flags", tdm__elem_host(TDM__ELEM_BOOL, 1), 1, &dims[1]));
    support_ok(
        tdm__st_writer_declare(w, "conv.weight", tdm__elem_host(TDM__ELEM_FLOAT, 4), 2, dims));
    support_ok(tdm__st_writer_declare(w, "empty", tdm__elem_host(TDM__ELEM_FLOAT, 4), 1, none));
    support_ok(tdm__st_writer_declare(w, "n", tdm__elem_host(TDM__ELEM_INT, 8), 0, NULL));
    support_ok(tdm__st_writer_declare(w, "half", tdm__elem_host(TDM__ELEM_FLOAT, 2), 0, NULL));
    support_ok(tdm__st_writer_metadata(w, "config", "lr: 1e-3\n\"quoted\" \xc3\xa9"));
    support_ok(tdm__st_writer_data(w, flag, 3));
    support_ok(tdm__st_writer_data(w, f, 8)); /* in pieces */
    support_ok(tdm__st_writer_data(w, f + 2, 16));
    support_fails(tdm__st_writer_commit(w), TDM_ERR_STATE, "n: 0 of 8 bytes were given");
    support_ok(tdm__st_writer_data(w, &steps, 8));
    support_ok(tdm__st_writer_data(w, halves, 2));
    support_fails(tdm__st_writer_data(w, flag, 1), TDM_ERR_STATE, "more data than was declared");
    ck_assert(!tdm__path_exists(path));
    support_ok(tdm__st_writer_commit(w));
    tdm__st_writer_destroy(&w);

    tdm__st *st = NULL;
    support_ok(tdm__st_open(path, &st));
    ck_assert_uint_eq(tdm__st_count(st), 5);
    ck_assert_str_eq(tdm__st_metadata(st, "config"), "lr: 1e-3\n\"quoted\" \xc3\xa9");
    ck_assert_ptr_null(tdm__st_metadata(st, "other"));
    ck_assert_ptr_null(tdm__st_find(st, "conv"));
    /* Every tensor is aligned to its element size: the widest come first. */
    for (size_t i = 0; i < 5; i++)
        ck_assert_uint_eq(tdm__st_at(st, i)->offset % tdm__st_at(st, i)->elem.size, 0);
    const tdm__st_tensor *t = tdm__st_find(st, "conv.weight");
    float back[6];
    ck_assert_int_eq(t->rank, 2);
    ck_assert_uint_eq(t->dims[1], 3);
    support_ok(tdm__st_read(st, t, 0, 6, TDM__TO_F32, back));
    ck_assert_mem_eq(back, f, sizeof f);
    support_ok(tdm__st_read(st, t, 4, 2, TDM__TO_F32, back));
    ck_assert_mem_eq(back, f + 4, 8);
    support_fails(tdm__st_read(st, t, 4, 3, TDM__TO_F32, back), TDM_ERR_STATE,
                  "elements 4 + 3 of 6");
    int32_t i32;
    support_fails(tdm__st_read(st, t, 2, 1, TDM__TO_I32, &i32), TDM_ERR_DATA, "value 3.5");
    support_ok(tdm__st_read(st, tdm__st_find(st, "n"), 0, 1, TDM__TO_I32, &i32));
    ck_assert_int_eq(i32, -77);
    support_ok(tdm__st_read(st, tdm__st_find(st, "half"), 0, 1, TDM__TO_F32, back));
    ck_assert(back[0] == 1);
    tdm__st_close(&st);
    free(path);
}
END_TEST

START_TEST(safetensors_refuses_headers)
{
    static const struct {
        const char *header;
        size_t data;
        const char *part;
    } cases[] = {
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "truncated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9, "1 bytes follow"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
         "do not fill 8 bytes"},
        {"{\"a\":{\"dtype\":\"F9\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype F9"},
        {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "dtype (none)"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "is not a size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "is not a size"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "must be a list"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8,
         "must be a list"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0,
         "is not a size"},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
         "do not fill 0 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "[begin, end]"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8, "[begin, end]"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "gap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
         12, "overlap"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
         16, "duplicate"},
        {"{\"__metadata__\":{\"a\":1}}", 0, "__metadata__: a must be a string"},
        {"{\"__metadata__\":[]}", 0, "must be an object"},
        {"{\"a\":3}", 0, "dtype (none)"},
        {"{\"a\":", 0, "x:1:5"},
    };
    tdm__st *st = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        support_fails(open_header(cases[i].header, cases[i].data, &st), TDM_ERR_DATA,
                      cases[i].part);
        ck_assert_ptr_null(st);
    }
    support_ok(open_header("{}   ", 0, &st));
    tdm__st_close(&st);
}
END_TEST

START_TEST(safetensors_names_the_conversion)
{
    tdm__st *st = NULL;
    char *path = support_path(folder, "model.pth");
    char conversion[1024];
    snprintf(
        conversion, sizeof conversion,
        "python -c \"import torch,safetensors.torch as s; s.save_file(torch.load('%s/model.pth',"
        "map_location='cpu'),'%s/model.safetensors')\"",
        folder, folder);
    support_write(path, "PK\3\4 and so on", 14);
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "a PyTorch file (zip)");
    support_message_has(conversion);
    support_write(path, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9", 9);
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "a PyTorch file (pickle)");
    support_message_has(conversion);
    support_write(path, "hello, hello", 12);
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "not a safetensors file");
    support_write(path, "", 0);
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "the file is empty");
    support_write(path, "\x40\0\0\0\0\0\0\0{", 9);
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "truncated in its header");
    support_fails(tdm__st_open(folder, &st), TDM_ERR_DATA, "must be a regular file");
    free(path);
    path = support_path(folder, "absent");
    support_fails(tdm__st_open(path, &st), TDM_ERR_DATA, "absent: cannot be opened");
    free(path);
}
END_TEST

START_TEST(safetensors_writer_refuses)
{
    char *path = support_path(folder, "w.safetensors");
    support_write_text(path, "old");
    tdm__st_writer *w = NULL;
    tdm__elem f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    const uint64_t one[] = {1}, huge[] = {UINT64_MAX / 2, 4};
    float v[2] = {1, 2};
    support_ok(tdm__st_writer_create(path, &w));
    support_fails(tdm__st_writer_declare(w, "a", f32, 2, huge), TDM_ERR_STATE, "a is too large");
    support_fails(tdm__st_writer_declare(w, "__metadata__", f32, 1, one), TDM_ERR_STATE, "cannot");
    support_ok(tdm__st_writer_declare(w, "a", f32, 1, one));
    support_ok(tdm__st_writer_declare(w, "a", f32, 1, one));
    support_fails(tdm__st_writer_data(w, v, 8), TDM_ERR_STATE, "a is declared twice");
    tdm__st_writer_destroy(&w);
    /* A write that fails leaves the old file. */
    support_ok(tdm__st_writer_create(path, &w));
    support_ok(tdm__st_writer_declare(w, "a", f32, 1, one));
    tdm__file_fail_after(70);
    support_fails(tdm__st_writer_data(w, v, 4), TDM_ERR_IO, "No space left");
    tdm__file_fail_after(0);
    tdm__st_writer_destroy(&w);
    size_t n;
    char *text = support_read(path, &n);
    ck_assert_str_eq(text, "old");
    ck_assert_uint_eq(support_count(folder), 1); /* no temporaries */
    free(text);
    free(path);
}
END_TEST

/* TensorBoard ------------------------------------------------------------------------------------
 */

START_TEST(crc32c_vectors) /* RFC 3720, B.4 */
{
    uint8_t bytes[32];
    memset(bytes, 0, 32);
    ck_assert_uint_eq(tdm__crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 0xff, 32);
    ck_assert_uint_eq(tdm__crc32c(bytes, 32), 0x62a8ab43u);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    ck_assert_uint_eq(tdm__crc32c(bytes, 32), 0x46dd794eu);
    ck_assert_uint_eq(tdm__crc32c("123456789", 9), 0xe3069283u);
}
END_TEST

static uint32_t unmask(const char *p)
{
    uint32_t masked;
    memcpy(&masked, p, 4);
    masked -= 0xa282ead8u;
    return masked >> 17 | masked << 15;
}

START_TEST(tfevents_records)
{
    tdm__tfevents *t = NULL;
    support_ok(tdm__tfevents_create(folder, &t));
    support_ok(tdm__tfevents_scalar(t, 1.5, 300, "train/loss", 0.25f));
    support_ok(tdm__tfevents_flush(t));
    size_t n;
    char *bytes = support_read(tdm__tfevents_path(t), &n);
    size_t at = 0;
    uint64_t length;
    for (int record = 0; record < 2; record++) {
        memcpy(&length, bytes + at, 8);
        ck_assert_uint_eq(unmask(bytes + at + 8), tdm__crc32c(bytes + at, 8));
        ck_assert_uint_eq(unmask(bytes + at + 12 + length), tdm__crc32c(bytes + at + 12, length));
        if (record == 0) {
            ck_assert_uint_eq(length, 24);
            ck_assert_mem_eq(bytes + at + 12 + 9, "\x1a\rbrain.Event:2", 15);
        } else {
            /* wall_time, step 300, summary { value { tag, simple_value } } */
            static const char want[] = "\x09\0\0\0\0\0\0\xf8\x3f\x10\xac\x02\x2a\x13\x0a\x11"
                                       "\x0a\x0atrain/loss\x15\0\0\x80\x3e";
            ck_assert_uint_eq(length, sizeof want - 1);
            ck_assert_mem_eq(bytes + at + 12, want, length);
        }
        at += 16 + length;
    }
    ck_assert_uint_eq(at, n);
    tdm__tfevents *second = NULL; /* a resumed run: a file of its own */
    support_ok(tdm__tfevents_create(folder, &second));
    ck_assert_str_ne(tdm__tfevents_path(t), tdm__tfevents_path(second));
    tdm__tfevents_destroy(&t);
    tdm__tfevents_destroy(&second);
    free(bytes);
    char *absent = support_path(folder, "absent");
    support_fails(tdm__tfevents_create(absent, &t), TDM_ERR_IO, "cannot be created");
    free(absent);
}
END_TEST

/* JSON -------------------------------------------------------------------------------------------
 */

START_TEST(json_lines)
{
    tdm__json j = {0};
    tdm__json_open(&j, '{');
    tdm__json_key(&j, "z");
    tdm__json_number(&j, NAN);
    tdm__json_key(&j, "a\"\\\n\x01");
    tdm__json_open(&j, '[');
    tdm__json_number(&j, 0.1);
    tdm__json_number(&j, 1.0 / 3);
    tdm__json_number(&j, -INFINITY);
    tdm__json_int(&j, INT64_MIN);
    tdm__json_uint(&j, UINT64_MAX);
    tdm__json_bool(&j, true);
    tdm__json_open(&j, '{');
    ck_assert_int_eq(tdm__json_status(&j), TDM_ERR_STATE); /* still open */
    tdm__json_close(&j, '}');
    tdm__json_close(&j, ']');
    tdm__json_key(&j, "b");
    tdm__json_string(&j, "\xc3\xa9\xff|\xed\xa0\x80|\xc0\x80"); /* good, bad, surrogate, overlong */
    tdm__json_key(&j, "c");
    tdm__json_string(&j, NULL);
    tdm__json_close(&j, '}');
    support_ok(tdm__json_status(&j));
    ck_assert_str_eq(tdm__json_text(&j),
                     "{\"z\": null, \"a\\\"\\\\\\n\\u0001\": [0.1, 0.3333333333333333, null, "
                     "-9223372036854775808, 18446744073709551615, true, {}], \"b\": "
                     "\"\xc3\xa9\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
                     "\xef\xbf\xbd\xef\xbf\xbd\", \"c\": null}");
    tdm__json_free(&j);
    json_t *root = NULL;
    support_fails(tdm__json_parse("{\"a\": 1,\n \"a\": 2}", 17, "f", &root), TDM_ERR_DATA, "f:2:");
    support_ok(tdm__json_parse("{\"a\": 1}", 8, "f", &root));
    json_decref(root);
}
END_TEST

START_TEST(json_numbers_survive)
{
    uint64_t state = 1;
    for (int i = 0; i < 2000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        double v, back;
        memcpy(&v, &state, 8);
        if (!isfinite(v)) continue;
        tdm__json j = {0};
        tdm__json_number(&j, v);
        ck_assert(tdm__parse_f64(tdm__json_text(&j), &back));
        ck_assert_mem_eq(&v, &back, 8);
        tdm__json_free(&j);
    }
}
END_TEST

/* PNG --------------------------------------------------------------------------------------------
 */

START_TEST(png_round_trip)
{
    char *path = support_path(folder, "x.png");
    for (unsigned channels = 1; channels <= 4; channels++)
        for (unsigned bits = 8; bits <= 16; bits += 8) {
            uint8_t pixels[7 * 5 * 4 * 2];
            for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 + channels);
            const tdm__image image = {7, 5, channels, bits, pixels};
            tdm__image back;
            support_ok(tdm__png_write(path, &image));
            support_ok(tdm__png_read(path, &back));
            ck_assert_uint_eq(back.width, 7);
            ck_assert_uint_eq(back.height, 5);
            ck_assert_uint_eq(back.channels, channels);
            ck_assert_uint_eq(back.bits, bits);
            ck_assert_mem_eq(back.pixels, pixels, 7 * 5 * channels * bits / 8);
            tdm__image_free(&back);
        }
    free(path);
}
END_TEST

START_TEST(png_refuses)
{
    char *path = support_path(folder, "x.png");
    uint8_t pixels[64] = {1, 2, 3};
    const tdm__image image = {8, 8, 1, 8, pixels}, none = {0, 8, 1, 8, pixels};
    tdm__image back;
    support_ok(tdm__png_write(path, &image));
    size_t n;
    char *bytes = support_read(path, &n);
    for (size_t k = 0; k < n; k++)
        ck_assert_int_eq(tdm__png_parse(bytes, k, "x", &back), TDM_ERR_DATA);
    bytes[45] ^= 1; /* in the compressed data */
    support_fails(tdm__png_parse(bytes, n, "x", &back), TDM_ERR_DATA, "x: ");
    ck_assert_ptr_null(back.pixels);
    memcpy(bytes + 16, "\x7f\xff\xff\xff", 4); /* a width of 2^31 - 1 */
    ck_assert_int_eq(tdm__png_parse(bytes, n, "x", &back), TDM_ERR_DATA);
    support_fails(tdm__png_parse("GIF89a..", 8, "x", &back), TDM_ERR_DATA, "not a PNG");
    support_fails(tdm__png_write(path, &none), TDM_ERR_STATE, "not a PNG");
    tdm__file_fail_after(40);
    support_fails(tdm__png_write(path, &image), TDM_ERR_IO, "No space left");
    tdm__file_fail_after(0);
    support_ok(tdm__png_read(path, &back)); /* the old one is still there */
    tdm__image_free(&back);
    free(bytes);
    free(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("files");
    TCase *tc = tcase_create("files");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, elem_integers);
    tcase_add_test(tc, elem_floats);
    tcase_add_test(tc, elem_native_and_in_place);
    tcase_add_test(tc, idx_read_both_forms);
    tcase_add_test(tc, idx_refuses);
    tcase_add_test(tc, idx_refuses_bad_gzip);
    tcase_add_test(tc, safetensors_round_trip);
    tcase_add_test(tc, safetensors_refuses_headers);
    tcase_add_test(tc, safetensors_names_the_conversion);
    tcase_add_test(tc, safetensors_writer_refuses);
    tcase_add_test(tc, crc32c_vectors);
    tcase_add_test(tc, tfevents_records);
    tcase_add_test(tc, json_lines);
    tcase_add_test(tc, json_numbers_survive);
    tcase_add_test(tc, png_round_trip);
    tcase_add_test(tc, png_refuses);
    suite_add_tcase(suite, tc);
    return support_run(suite);
}

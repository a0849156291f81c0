/* Made by make_image_golden.py; do not edit. */
static const struct {
    uint32_t width, height, to_width, to_height;
    unsigned channels;
    uint32_t crc;
} image_resized[] = {
    {105, 105, 28, 28, 1, 0xc217fa39},
    {105, 105, 28, 28, 3, 0xb4405650},
    {105, 105, 32, 32, 1, 0x99b649dd},
    {105, 105, 32, 32, 3, 0x4cecfbbb},
    {105, 105, 64, 64, 1, 0x07cf4419},
    {105, 105, 64, 64, 3, 0x1ebcc619},
    {7, 5, 13, 11, 1, 0xf785aad8},
    {7, 5, 13, 11, 3, 0xab4c9780},
    {40, 30, 1, 1, 1, 0x38d7a8b4},
    {40, 30, 1, 1, 3, 0xe306e6ff},
    {1, 1, 6, 4, 1, 0xa3c1ca20},
    {1, 1, 6, 4, 3, 0x6b2e881c},
    {33, 17, 33, 9, 1, 0x4f023119},
    {33, 17, 33, 9, 3, 0xb32c2b2b},
    {500, 333, 256, 256, 1, 0x714aa4d7},
    {500, 333, 256, 256, 3, 0x42c61381},
    {64, 48, 63, 47, 1, 0xa8755a63},
    {64, 48, 63, 47, 3, 0xdf768dd6},
};

static const struct {
    const char *name; /* in tests/fuzz/corpus/png */
    uint32_t width, height;
    uint32_t crc[2]; /* as grey, as RGB */
} image_png[] = {
    {"grey1", 9, 3, {0x40a543a9, 0xf5ce4071}},
    {"grey8", 5, 4, {0x7243c2dd, 0x24516c2a}},
    {"rgb8", 4, 3, {0x2263b85c, 0xb3346ad7}},
    {"palette", 4, 2, {0x5c4ce07b, 0x08b2b85e}},
    {"palette-alpha", 4, 2, {0x5c4ce07b, 0x08b2b85e}},
    {"interlaced", 1, 1, {0x3b614ab8, 0x57b862d2}},
};

static const uint32_t image_luma_60x41 = 0xb7b0d945;

/* Made by make_import_golden.py; do not edit. Labels: cifar10 labels; cifar100 coarse, fine;
 * omniglot character (u16), alphabet, drawer. Pixels: first of the first image, one of the
 * middle image, last row and column of the last. */
typedef struct import_golden {
    const char *split;
    uint64_t n;
    uint32_t side;
    uint64_t sum;
    uint32_t images, labels[3];
    uint8_t pixels[3];
} import_golden;

__attribute__((unused)) static const import_golden golden_cifar10[] = {
    {"train", 4000, 32, 1481085868, 0xc157fd26, {0xe8800a48, 0x00000000, 0x00000000}, {59, 97, 83}},
    {"test", 1000, 32, 374560331, 0x85d95033, {0xfbf5f6e0, 0x00000000, 0x00000000}, {158, 97, 93}},
};

__attribute__((unused)) static const import_golden golden_cifar100[] = {
    {"train", 5000, 32, 1875033734, 0x7fbd58ec, {0x5b9e2dfa, 0x3b5e301c, 0x00000000}, {250, 80, 54}},
    {"test", 1000, 32, 375285581, 0x23265534, {0x19834589, 0x62010a0d, 0x00000000}, {182, 31, 99}},
};

__attribute__((unused)) static const import_golden golden_omniglot[] = {
    {"train", 25968, 105, 67108111065, 0x0923255a, {0x37c399ea, 0x05ef55c7, 0x08d76dff}, {255, 0, 255}},
    {"test", 6492, 105, 16801483095, 0x58f00e81, {0xfde03125, 0xec33a81c, 0x45b6b063}, {255, 255, 255}},
};

#!/usr/bin/env python3
"""Writes image_golden.h: checksums of pictures resized and converted by Pillow.

Sample i of an input picture is (i * i * 7 + i * 31) % 251; checksums are zlib's CRC-32."""
import os
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = [(105, 105, 28, 28), (105, 105, 32, 32), (105, 105, 64, 64), (7, 5, 13, 11), (40, 30, 1, 1), (1, 1, 6, 4),
         (33, 17, 33, 9), (500, 333, 256, 256), (64, 48, 63, 47)]

PNGS = ("grey1", "grey8", "rgb8", "palette", "palette-alpha", "interlaced")  # of the fuzzers' corpus


def picture(width, height, channels):
    i = np.arange(width * height * channels, dtype=np.int64)
    a = ((i * i * 7 + i * 31) % 251).astype(np.uint8).reshape(height, width, channels)
    return a[:, :, 0] if channels == 1 else a


def main():
    lines = []
    for width, height, to_width, to_height in SIZES:
        for channels in (1, 3):
            out = np.asarray(Image.fromarray(picture(width, height, channels)).resize(
                (to_width, to_height), Image.BILINEAR))
            lines.append("    {%d, %d, %d, %d, %d, 0x%08x},\n" % (
                width, height, to_width, to_height, channels, zlib.crc32(out.tobytes())))
    pngs = []
    for name in PNGS:
        image = Image.open(os.path.join(HERE, "..", "fuzz", "corpus", "png", name))
        sums = [zlib.crc32(np.asarray(image.convert(mode)).tobytes()) for mode in ("L", "RGB")]
        pngs.append('    {"%s", %d, %d, {0x%08x, 0x%08x}},\n' % (name, *image.size, *sums))
    luma = zlib.crc32(np.asarray(Image.fromarray(picture(60, 41, 3)).convert("L")).tobytes())
    with open(os.path.join(HERE, "image_golden.h"), "w") as f:
        f.write("/* Made by make_image_golden.py; do not edit. */\n")
        f.write("static const struct {\n    uint32_t width, height, to_width, to_height;\n"
                "    unsigned channels;\n    uint32_t crc;\n} image_resized[] = {\n")
        f.writelines(lines)
        f.write("};\n\nstatic const struct {\n    const char *name; /* in tests/fuzz/corpus/png */\n"
                "    uint32_t width, height;\n    uint32_t crc[2]; /* as grey, as RGB */\n"
                "} image_png[] = {\n")
        f.writelines(pngs)
        f.write("};\n\nstatic const uint32_t image_luma_60x41 = 0x%08x;\n" % luma)


main()

#!/usr/bin/env python3
"""Writes import_golden.h: what importing the original files must give, computed without tandem.

    make_import_golden.py DATA_DIR      with cifar-10/, cifar-100/ and omniglot/ in it

Checksums are zlib's CRC-32 of whole arrays, samples in order. The sums of pixels and a few pixels
are there to tell a shifted array from a transposed one when a checksum differs."""
import io
import os
import re
import sys
import zipfile
import zlib

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))


def row(split, images, labels):
    images = np.ascontiguousarray(images)
    n, height, width, _ = images.shape
    pixels = [images[0, 0, 0, 0], images[n // 2, height // 3, width // 2, -1], images[-1, -1, -1, 0]]
    sums = [zlib.crc32(np.ascontiguousarray(l).tobytes()) for l in labels] + [0] * (3 - len(labels))
    return '    {"%s", %d, %d, %d, 0x%08x, {0x%08x, 0x%08x, 0x%08x}, {%d, %d, %d}},\n' % (
        (split, n, height, int(images.sum(dtype=np.int64)), zlib.crc32(images.tobytes()), *sums, *pixels))


def cifar(path, labels):
    records = np.fromfile(path, np.uint8).reshape(-1, labels + 3072)
    images = records[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, [records[:, i] for i in range(labels)]


def omniglot(folder):
    """(alphabet, character, drawer, picture), in the order of the names."""
    found = []
    for part in ("images_background", "images_evaluation"):
        with zipfile.ZipFile(os.path.join(folder, part + ".zip")) as z:
            for name in z.namelist():
                m = re.fullmatch(part + r"/([^/]+)/(character\d+)/(\d+_(\d+)\.png)", name)
                if m:
                    found.append((m[1], m[2], m[3], int(m[4]) - 1, Image.open(io.BytesIO(z.read(name)))))
    return sorted(found, key=lambda f: tuple(x.encode() for x in f[:3]))


def omniglot_rows(folder):
    found = omniglot(folder)
    alphabets = sorted({f[0].encode() for f in found})
    characters = sorted({(f[0].encode(), f[1].encode()) for f in found})
    of = {c: i for i, c in enumerate(characters)}
    members = {}
    for f in found:
        members.setdefault((f[0].encode(), f[1].encode()), []).append(f)
    lines = []
    for split in ("train", "test"):
        take = []
        for c in characters:
            n = len(members[c]) * 4 // 5
            take += members[c][:n] if split == "train" else members[c][n:]
        labels = [np.array([of[f[0].encode(), f[1].encode()] for f in take], np.uint16),
                  np.array([alphabets.index(f[0].encode()) for f in take], np.uint8),
                  np.array([f[3] for f in take], np.uint8)]
        images = np.stack([np.asarray(f[4].convert("L")) for f in take])
        lines.append(row(split, images[..., None], labels))
    return lines


def main():
    root = sys.argv[1]
    tables = {
        "cifar10": [row(s, *cifar(os.path.join(root, "cifar-10", f), 1))
                    for s, f in (("train", "data_batch_1.bin"), ("test", "test_batch.bin"))],
        "cifar100": [row(s, *cifar(os.path.join(root, "cifar-100", s + ".bin"), 2))
                     for s in ("train", "test")],
        "omniglot": omniglot_rows(os.path.join(root, "omniglot")),
    }
    with open(os.path.join(HERE, "import_golden.h"), "w") as f:
        f.write("/* Made by make_import_golden.py; do not edit. Labels: cifar10 labels; cifar100 coarse, fine;\n"
                " * omniglot character (u16), alphabet, drawer. Pixels: first of the first image, one of the\n"
                " * middle image, last row and column of the last. */\n"
                "typedef struct import_golden {\n    const char *split;\n    uint64_t n;\n    uint32_t side;\n"
                "    uint64_t sum;\n    uint32_t images, labels[3];\n    uint8_t pixels[3];\n} import_golden;\n")
        for name, rows in tables.items():
            f.write("\n__attribute__((unused)) static const import_golden golden_%s[] = {\n%s};\n" % (name, "".join(rows)))


main()

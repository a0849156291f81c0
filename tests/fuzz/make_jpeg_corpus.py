#!/usr/bin/env python3
"""Writes the seeds of the fuzzers that need an encoder into corpus/ (needs Pillow)."""
import io
import os

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))


def save(kind, name, content):
    folder = os.path.join(HERE, "corpus", kind)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(content)


def encode(mode, size, form="JPEG", value=None, **options):
    channels = len(Image.new(mode, (1, 1)).getbands())
    count = size[0] * size[1] * channels
    pixels = bytes(value(i) if value else (i * 7 + i // 50) % 256 for i in range(count))
    out = io.BytesIO()
    Image.frombytes(mode, size, pixels).save(out, form, **options)
    return out.getvalue()


for mode in ("L", "RGB", "CMYK"):
    save("jpeg", mode.lower(), encode(mode, (13, 9), quality=40))
save("jpeg", "progressive", encode("RGB", (17, 20), quality=40, progressive=True))
save("jpeg", "subsampled", encode("RGB", (18, 18), quality=40, subsampling=2))
save("jpeg", "restarts", encode("L", (40, 16), quality=40, restart_marker_blocks=1))
save("jpeg", "cut", encode("RGB", (32, 32), quality=60)[:900])
save("jpeg", "gif", encode("L", (3, 3), "GIF"))
save("jpeg", "png", encode("RGBA", (3, 3), "PNG"))
save("trimap", "ring", encode("L", (20, 12), "PNG", lambda i: (2, 2, 3, 1, 3, 2)[i // 40]))
save("trimap", "background", encode("L", (5, 5), "PNG", lambda i: 2))
save("trimap", "zero", encode("L", (5, 5), "PNG", lambda i: i % 4))
save("trimap", "colours", encode("RGB", (5, 5), "PNG", lambda i: 1 + i % 3))

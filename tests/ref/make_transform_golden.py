#!/usr/bin/env python3
"""Writes tests/ref/transform_golden.h: samples after lists of transforms, computed with NumPy (moves that keep
pixels: np.flip, np.rot90, np.pad, slices, one after another), Pillow (sizes), and double precision (zooms,
colours). Draws repeat src/data/transform_geometry.c with philox.py. Needs numpy, Pillow; tests need the header.
"""
import math
import pathlib

import numpy as np
from PIL import Image

import philox

SAMPLE_BLOCKS = 256
OUTSIDE_MASK = 255


class Draws:
    def __init__(self, seed, stream, epoch, row):
        number = philox.stream("data.transform", philox.stream(stream), epoch)
        self.values = philox.u32(seed, number, 4 * SAMPLE_BLOCKS * (row + 1))[4 * SAMPLE_BLOCKS * row:]
        self.at = 0

    def u32(self):
        self.at += 1
        return int(self.values[self.at - 1])

    def uniform(self):
        return (self.u32() >> 8) * 2.0 ** -24

    def below(self, n):
        while True:
            v = self.u32()
            if v >= 2 ** 32 % n:
                return v % n

    def permutation(self, n):
        order = list(range(n))
        for i in range(n, 1, -1):
            j = self.below(i)
            order[j], order[i - 1] = order[i - 1], order[j]
        return order


def source(height, width):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return {
        "image": ((y * 37 + x * 71 + c * 113 + y * x * 5) % 256).astype(np.uint8),
        "mask": ((y * 3 + x * 5) % 7)[:, :, 0].astype(np.uint8),
        "depth": (1 + y * 0.25 + x * 0.5)[:, :, 0],
        "vectors": np.stack([x[:, :, 0] - 5.5, y[:, :, 0] * 0.5 - 2], axis=2),
        "box": np.array([2.0, 3.0, 9.0, 8.0]),
    }


# ---- moves that keep pixels, one after another -----------------------------------------------------

def flip(s, axis):
    height, width = s["mask"].shape
    out = {k: np.flip(v, axis) for k, v in s.items() if k != "box"}
    out["vectors"] = out["vectors"] * ([-1, 1] if axis == 1 else [1, -1])
    x0, y0, x1, y1 = s["box"]
    out["box"] = np.array([width - x1, y0, width - x0, y1] if axis == 1 else [x0, height - y1, x1, height - y0])
    return out


def rotate(s):
    width = s["mask"].shape[1]
    out = {k: np.rot90(v) for k, v in s.items() if k != "box"}
    x, y = out["vectors"][:, :, 0], out["vectors"][:, :, 1]
    out["vectors"] = np.stack([y, -x], axis=2)
    x0, y0, x1, y1 = s["box"]
    out["box"] = np.array([y0, width - x1, y1, width - x0])
    return out


def crop(s, height, width, border, d):
    h, w = s["mask"].shape
    top = d.below(h + 2 * border - height + 1)
    left = d.below(w + 2 * border - width + 1)
    pad = ((border, border), (border, border))
    padded = {
        "image": np.pad(s["image"], pad + ((0, 0),)),
        "mask": np.pad(s["mask"], pad, constant_values=OUTSIDE_MASK),
        "depth": np.pad(s["depth"], pad, constant_values=math.nan),
        "vectors": np.pad(s["vectors"], pad + ((0, 0),), constant_values=math.nan),
    }
    out = {k: v[top:top + height, left:left + width] for k, v in padded.items()}
    box = s["box"] + border - np.array([left, top, left, top])
    box = np.clip(box, 0, [width, height, width, height])
    out["box"] = box if box[0] < box[2] and box[1] < box[3] else np.full(4, math.nan)
    return out


def exact(s, d):
    """flip 0.5, vflip 0.5, rotate90, crop 11x9 p3"""
    if d.uniform() < 0.5:
        s = flip(s, 1)
    if d.uniform() < 0.5:
        s = flip(s, 0)
    h, w = s["mask"].shape
    for _ in range(d.below(4) if h == w else 2 * d.below(2)):
        s = rotate(s)
    return crop(s, 11, 9, 3, d)


# ---- sizes ------------------------------------------------------------------------------------------

def resized(s, height, width):
    h, w = s["mask"].shape
    rows = (2 * np.arange(height) + 1) * h // (2 * height)
    columns = (2 * np.arange(width) + 1) * w // (2 * width)
    pick = np.ix_(rows, columns)
    image = np.array(Image.fromarray(s["image"]).resize((width, height), Image.BILINEAR))
    return {"image": image, "mask": s["mask"][pick], "depth": s["depth"][pick],
            "vectors": s["vectors"][pick] * [width / w, height / h],
            "box": s["box"] * [width / w, height / h, width / w, height / h]}


def taps(origin, step, n, size):
    half, out = max(abs(step), 1), np.zeros((n, size))
    for i in range(n):
        centre = origin + (i + 0.5) * step
        if 0 <= centre <= size:
            weights = np.maximum(0, 1 - np.abs(np.arange(size) + 0.5 - centre) / half)
            out[i] = weights / weights.sum()
    return out


def zoomed(s, d, low, high):
    """scale low high: the image in double precision, rounded once; within 1 of the two roundings."""
    h, w = s["mask"].shape
    zoom = low + (high - low) * d.uniform()
    top, left = (h - h / zoom) * d.uniform(), (w - w / zoom) * d.uniform()
    rows, columns = taps(top, 1 / zoom, h, h), taps(left, 1 / zoom, w, w)
    image = np.einsum("ay,yxc,bx->abc", rows, s["image"].astype(float), columns)
    y = np.floor(top + (np.arange(h) + 0.5) / zoom).astype(int)
    x = np.floor(left + (np.arange(w) + 0.5) / zoom).astype(int)
    inside = ((y >= 0) & (y < h))[:, None] & ((x >= 0) & (x < w))[None, :]
    pick = np.ix_(np.clip(y, 0, h - 1), np.clip(x, 0, w - 1))
    box = (s["box"] - [left, top, left, top]) * zoom
    box = np.clip(box, 0, [w, h, w, h])
    return {"image": np.rint(image).astype(np.uint8), "mask": np.where(inside, s["mask"][pick], OUTSIDE_MASK),
            "depth": np.where(inside, s["depth"][pick] / zoom, math.nan),
            "vectors": np.where(inside[:, :, None], s["vectors"][pick] * zoom, math.nan),
            "box": box if box[0] < box[2] and box[1] < box[3] else np.full(4, math.nan)}


# ---- colours ----------------------------------------------------------------------------------------

def grey(x):
    return x @ np.array([0.2989, 0.587, 0.114])


def turned(x, turns):
    """HSV and back, as in colorsys, on [0, 1]."""
    import colorsys
    out = np.empty_like(x)
    for index in np.ndindex(x.shape[:2]):
        h, s, v = colorsys.rgb_to_hsv(*x[index])
        out[index] = colorsys.hsv_to_rgb((h + turns) % 1, s, v)
    return out


def jittered(s, d, ranges):
    x = s["image"] / 255.0
    for kind in d.permutation(4):
        shift = ranges[kind] * (2 * d.uniform() - 1)
        if kind == 0:
            x = x * (1 + shift)
        elif kind == 1:
            x = (1 + shift) * x - shift * grey(x).mean()
        elif kind == 2:
            x = (1 + shift) * x - shift * grey(x)[:, :, None]
        else:
            x = turned(x, shift)
        x = np.clip(x, 0, 1)
    return dict(s, image=np.floor(x * 255 + 0.5).astype(np.uint8))


# ---- the header -------------------------------------------------------------------------------------

def floats(values):
    return "{" + ", ".join("NAN" if math.isnan(v) else f"{np.float32(v):.9g}f" if "." in f"{np.float32(v):.9g}"
                           or "e" in f"{np.float32(v):.9g}" else f"{np.float32(v):.9g}" for v in np.ravel(values)) + "}"


def hexadecimal(values):
    text = np.ascontiguousarray(values, dtype=np.uint8).tobytes().hex()
    return "\n     ".join(f'"{text[i:i + 84]}"' for i in range(0, len(text), 84))


def case(texts, height, width, augment, tolerance, row, result):
    seed, stream, epoch = 11, "train", 3
    out = result(source(height, width), Draws(seed, stream, epoch, row))
    h, w = out["mask"].shape
    listed = ", ".join(f'"{t}"' for t in texts)
    return (f"    {{{{{listed}}}, {height}, {width}, {str(augment).lower()}, {tolerance}, {row}, {h}, {w},\n"
            f"     {hexadecimal(out['image'])},\n     {hexadecimal(out['mask'])},\n     {floats(out['depth'])},\n"
            f"     {floats(out['vectors'])},\n     {floats(out['box'])}}},\n")


def main():
    exact_list = ["flip 0.5", "vflip 0.5", "rotate90", "crop 11x9 p3"]
    cases = [case(exact_list, 12, 12, True, 0, row, exact) for row in range(4)]
    cases += [case(exact_list, 14, 10, True, 0, row, exact) for row in range(4)]
    for size in ((9, 7), (5, 12), (16, 14)):
        cases.append(case([f"resize {size[0]}x{size[1]}"], 14, 10, False, 1, 0,
                          lambda s, d, size=size: resized(s, *size)))
    cases += [case(["scale 0.6 1.8"], 12, 12, True, 1, row, lambda s, d: zoomed(s, d, 0.6, 1.8)) for row in range(4)]
    cases += [case(["jitter 0.5 0.6 0.7 0.5"], 12, 12, True, 1, row,
                   lambda s, d: jittered(s, d, (0.5, 0.6, 0.7, 0.5))) for row in range(4)]
    text = ("/* Written by make_transform_golden.py with NumPy and Pillow; do not edit. */\n"
            "static const struct {\n    const char *list[4];\n    uint32_t height, width;\n    bool augment;\n"
            "    int tolerance; /* of image bytes */\n    uint64_t row;\n    uint32_t out[2];\n"
            "    const char *image, *mask; /* hexadecimal */\n"
            "    float depth[224], vectors[448], box[4];\n} golden_transforms[] = {\n")
    text = text.replace("    uint32_t out[2];\n", "    uint32_t out_height, out_width;\n")
    path = pathlib.Path(__file__).with_name("transform_golden.h")
    path.write_text(text + "".join(cases) + "};\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes the seeds of the byte-format fuzzers into corpus/ (Python's standard library only)."""
import gzip
import io
import json
import os
import struct
import zipfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))


def save(kind, name, content):
    folder = os.path.join(HERE, "corpus", kind)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(content)


def idx(code, size, dims):
    count = 1
    for d in dims:
        count *= d
    body = bytes(i * 37 % 256 for i in range(count * size))
    return struct.pack(">HBB", 0, code, len(dims)) + struct.pack(">%dI" % len(dims), *dims) + body


def make_idx():
    save("idx", "u8", idx(8, 1, [3, 4, 5]))
    save("idx", "labels", idx(8, 1, [20]))
    save("idx", "i16", idx(0x0B, 2, [2, 3]))
    save("idx", "f64", idx(0x0E, 8, [2, 2]))
    save("idx", "empty", idx(0x0C, 4, [0, 7]))
    save("idx", "packed", gzip.compress(idx(8, 1, [10, 6, 6]), mtime=0))
    save("idx", "overflow", struct.pack(">HBB3I", 0, 8, 3, 1 << 31, 1 << 31, 4))


def safetensors(header, data):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def make_safetensors():
    entry = lambda dtype, shape, a, b: {"dtype": dtype, "shape": shape, "data_offsets": [a, b]}
    save("safetensors", "empty", safetensors({}, b""))
    save("safetensors", "two", safetensors(
        {"__metadata__": {"format": "pt"}, "conv.weight": entry("F32", [2, 3], 0, 24),
         "n": entry("I64", [], 24, 32)}, bytes(range(32))))
    kinds = [("F64", 8), ("F16", 2), ("BF16", 2), ("I32", 4), ("I16", 2), ("I8", 1), ("U8", 1),
             ("U16", 2), ("U32", 4), ("U64", 8), ("BOOL", 1)]
    header, at = {}, 0
    for name, size in kinds:
        header[name.lower()] = entry(name, [2], at, at + 2 * size)
        at += 2 * size
    save("safetensors", "types", safetensors(header, bytes(at)))
    save("safetensors", "overlap", safetensors(
        {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)))
    save("safetensors", "nothing", safetensors({"a": entry("F32", [0, 9], 0, 0)}, b""))
    save("safetensors", "zip", b"PK\3\4" + bytes(20))
    save("safetensors", "pickle", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")


def png(width, height, bits, colour, row_bytes, extra=b"", interlace=0):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(
            ">I", zlib.crc32(kind + body))
    rows = b"".join(bytes([y % 5]) + bytes((y * 31 + x * 7) % 256 for x in range(row_bytes))
                    for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" +
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)) +
            extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")), chunk


def make_png():
    save("png", "grey8", png(5, 4, 8, 0, 5)[0])
    save("png", "grey1", png(9, 3, 1, 0, 2)[0])
    save("png", "grey16", png(3, 3, 16, 0, 6)[0])
    save("png", "rgb8", png(4, 3, 8, 2, 12)[0])
    save("png", "rgba16", png(2, 2, 16, 6, 16)[0])
    save("png", "interlaced", png(1, 1, 8, 2, 3, interlace=1)[0])
    chunk = png(1, 1, 8, 0, 1)[1]
    palette = chunk(b"PLTE", bytes(range(12)))
    save("png", "palette", png(4, 2, 2, 3, 1, palette)[0])
    save("png", "palette-alpha", png(4, 2, 2, 3, 1, palette + chunk(b"tRNS", b"\x00\x80"))[0])


def npy(descr, order, shape, body, version=1):
    text = ("{'descr': %r, 'fortran_order': %s, 'shape': %s, }" % (descr, order, shape)).encode()
    start = 10 if version == 1 else 12
    text += b" " * (-(start + len(text) + 1) % 64) + b"\n"
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + body


def make_npy():
    save("npy", "f4", npy("<f4", False, (2, 3), bytes(range(24))))
    save("npy", "fortran", npy("<u2", True, (2, 3, 2), bytes(range(24))))
    save("npy", "half", npy(">f2", False, (4,), bytes(range(8)), 2))
    save("npy", "bool", npy("|b1", False, (), b"\1", 3))
    save("npy", "empty", npy("<i8", True, (0, 9), b""))
    save("npy", "huge", npy("<f8", True, (1 << 40, 1 << 40), b""))
    save("npy", "object", npy("|O", False, (1,), b"\x80\x04N."))


def make_voc():
    box = "<bndbox><xmin>%s</xmin><ymin>%s</ymin><xmax>%s</xmax><ymax>%s</ymax></bndbox>"
    size = "<size><width>375</width><height>500</height><depth>3</depth></size>"
    save("voc", "head", ("<annotation>" + size + "<object>" + box % (72, 105, 288, 291) +
                         "</object></annotation>").encode())
    save("voc", "bare", (box % (1, 1, 2, 2)).encode())
    save("voc", "empty-box", (box % (5, 1, 2, 2)).encode())
    save("voc", "outside", (size + box % (1, 1, 999, 2)).encode())
    save("voc", "unclosed", b"<bndbox><xmin>1</xmin><ymin>")


def fletcher32(data):
    a = b = 0
    for i in range(0, len(data) - 1, 2):
        a = (a + (data[i] << 8 | data[i + 1])) % 65535
        b = (b + a) % 65535
    return struct.pack("<I", b << 16 | a)


def make_hdf5_chunk():
    data = bytes(i * i % 251 for i in range(240))
    shuffled = b"".join(data[j::4] for j in range(4))
    head = lambda filters, elem, skip=0: (bytes([len(filters)]) + bytes(f - 1 for f in filters) +
                                          bytes([elem - 1]) + struct.pack("<HB", 240, skip))
    save("hdf5_chunk", "stored", head([], 4) + data)
    save("hdf5_chunk", "deflate", head([1], 4) + zlib.compress(data))
    save("hdf5_chunk", "shuffle-deflate", head([2, 1], 4) + zlib.compress(shuffled))
    packed = zlib.compress(shuffled)
    save("hdf5_chunk", "all", head([2, 1, 3], 4) + packed + fletcher32(packed + b"\0"[:len(packed) % 2]))
    save("hdf5_chunk", "sum-first", head([3, 1], 4) + zlib.compress(data + fletcher32(data)))
    save("hdf5_chunk", "skipped", head([2, 1], 4, 2) + shuffled)


def make_cifar():
    planes = bytes(i * 7 % 256 for i in range(3072))
    save("cifar", "ten", b"\0" + b"".join(bytes([label]) + planes for label in (0, 9)))
    save("cifar", "hundred", b"\1" + bytes([19, 99]) + planes)
    save("cifar", "bad-label", b"\0" + bytes([10]) + planes)
    save("cifar", "left-over", b"\1" + bytes([0, 0]) + planes + b"\0")


def make_transform():
    for name, text in {"all": "flip 0.5\nvflip\nrotate90\nscale 0.8 1.4\ncrop 7 p1\nresize 12x5\njitter .3 .3 .3 .1",
                       "zoom": "scale 0.0625 16\nscale 0.0625 16\nresize 1\nresize 40", "empty": "",
                       "wrong": "flp 1\ncrop 9\nresize 0\njitter 2\nscale 2 1\nnormalise", "border": "crop 24 p8",
                       "sizes": "resize 1x300\nrotate90\nresize 300x1\nresize 16\nrotate90\nresize 3x9"}.items():
        save("transform", name, text.encode())


def make_arrays():
    image = {"name": "images", "kind": "image", "float": False, "dims": [32, 48, 3], "classes": 0}
    label = {"name": "species", "kind": "class", "float": False, "dims": [], "classes": 2,
             "class_names": ["cat", "d\u00f6g \"2\""]}
    depth = {"name": "depth", "kind": "depth", "float": True, "dims": [32, 48, 1], "classes": 0}
    wrong = [{**label, "classes": 3}, {**label, "class_names": ["cat", None]}, {**image, "kind": "imag"},
             {**image, "dims": [1 << 24] * 6}, {**image, "dims": [0]}, {**image, "dims": "3"},
             {**image, "dims": [1] * 99}, {**label, "classes": -1}, {**image, "name": 3}]
    save("arrays", "three", json.dumps([image, label, depth]).encode())
    save("arrays", "large", json.dumps([{**depth, "dims": [1 << 24, 1 << 24]}]).encode())
    save("arrays", "none", b"[]")
    save("arrays", "no-list", json.dumps(image).encode())
    for i, entry in enumerate(wrong):
        save("arrays", f"wrong-{i}", json.dumps([image, entry]).encode())


def archive(entries, method):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as z:
        for name, content in entries:
            z.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, method)
    return out.getvalue()


def make_zip():
    grey, colour = png(9, 3, 1, 0, 2)[0], png(4, 3, 8, 2, 12)[0]
    save("zip", "stored", archive([("a/b/0001_01.png", grey)], zipfile.ZIP_STORED))
    save("zip", "deflated", archive([("a/", b""), ("a/0001_01.png", grey), ("a/0001_02.png", colour)],
                                    zipfile.ZIP_DEFLATED))
    save("zip", "bzip2", archive([("a/0001_01.png", grey)], zipfile.ZIP_BZIP2))
    save("zip", "climbs", archive([("a/../../b", b"x")], zipfile.ZIP_STORED))
    save("zip", "empty", archive([], zipfile.ZIP_STORED))
    save("zip", "bomb", archive([("zeros", bytes(1 << 20))], zipfile.ZIP_DEFLATED))


def make_tuning():
    device = {"name": "a device", "driver": "1.0", "hash": "0" * 32}
    choices = {"conv2d|cpu|f32[1,5,5,3],f32[3,3,3,8]|kernel=3,3":
                   {"algorithm": "implicit", "ms": {"implicit": 0.5, "winograd": 1.25}},
               "dense|cpu|f32[2,4],f32[4,3],f32[3]|": {"algorithm": "tiles"}}
    base = {"format": "tandem tuning 1", "device": device, "kernels": "1" * 32, "choices": choices}
    match = {"platform": "Portable*", "style": "cpu", "vector_width": 8}
    for name, content in {
            "measured": base,
            "shipped": {"format": base["format"], "match": match, "choices": choices},
            "empty": {**base, "choices": {}},
            "extreme": {**base, "more": [1.7976931348623157e308, 5e-324, -0.0]},
            "no-device": {**base, "device": {}},
            "bad-key": {**base, "choices": {"conv2d": {"algorithm": "implicit"}}},
            "bad-time": {**base, "choices": {"a|b|c|": {"algorithm": "x", "ms": {"x": 0}}}},
            "list": [base]}.items():
        save("tuning", name, json.dumps(content).encode())


make_idx()
make_safetensors()
make_png()
make_npy()
make_voc()
make_hdf5_chunk()
make_cifar()
make_transform()
make_arrays()
make_zip()
make_tuning()

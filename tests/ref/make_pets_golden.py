#!/usr/bin/env python3
"""Writes pets_golden.h: what importing the subset of Oxford-IIIT Pet in $TANDEM_DATA_DIR must give,
computed with Pillow and numpy. Sums over all samples, so that the order does not matter."""
import os
import re
import sys
import zlib

import numpy as np
from PIL import Image

SIDE = 256
root = os.path.join(sys.argv[1] if len(sys.argv) > 1 else os.environ["TANDEM_DATA_DIR"], "oxford-iiit-pet")
images = masks = trimaps = boxes = heads = dogs = 0
head_sum = 0.0
lines = [line.split() for line in open(root + "/annotations/list.txt") if not line.startswith("#")]
for name, _, species, _ in lines:
    picture = Image.open(f"{root}/images/{name}.jpg").convert("RGB")
    trimap = Image.open(f"{root}/annotations/trimaps/{name}.png")
    assert picture.size == trimap.size
    # Along the rows first, then along the columns: Pillow 13 chooses the order by the shape, and the
    # rounding in between makes a difference of 1.
    wide = picture.resize((SIDE, picture.height), Image.BILINEAR)
    images += zlib.crc32(wide.resize((SIDE, SIDE), Image.BILINEAR).tobytes())
    small = np.asarray(trimap.resize((SIDE, SIDE), Image.NEAREST))
    mask = (small != 2).astype(np.uint8)
    masks += zlib.crc32(mask.tobytes())
    trimaps += zlib.crc32((small - 1).astype(np.uint8).tobytes())
    y, x = np.nonzero(mask)
    box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float32)
    boxes += zlib.crc32(box.tobytes())
    dogs += species == "2"
    path = f"{root}/annotations/xmls/{name}.xml"
    if not os.path.exists(path):
        continue
    text = open(path).read()
    side = lambda tag: int(re.search(f"<{tag}>(.*?)</{tag}>", text).group(1))
    w, h = picture.size
    head = np.array([(side("xmin") - 1) * SIDE / w, (side("ymin") - 1) * SIDE / h,
                     side("xmax") * SIDE / w, side("ymax") * SIDE / h], np.float32)
    heads += 1
    head_sum += float(head.astype(np.float64).sum())

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "pets_golden.h"), "w") as f:
    f.write("/* Written by make_pets_golden.py. Sums of the samples' CRC-32, modulo 2^32. */\n"
            "#ifndef REF_PETS_GOLDEN_H\n#define REF_PETS_GOLDEN_H\n\n")
    for key, value in [("SAMPLES", len(lines)), ("DOGS", dogs), ("HEADS", heads)]:
        f.write(f"#define PETS_{key} {value}\n")
    for key, value in [("IMAGES", images), ("MASKS", masks), ("TRIMAPS", trimaps), ("BOXES", boxes)]:
        f.write(f"#define PETS_{key} 0x{value % 2**32:08x}u\n")
    f.write(f"#define PETS_HEAD_SUM {head_sum:.6f}\n\n#endif\n")

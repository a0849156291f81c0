#!/usr/bin/env python3
"""Peak memory of training must not grow with the data set: trains the same small network for --seconds on made-up
HDF5 files of --small and --large samples of 256x256x3 bytes (52,000 are 10 GB) and compares the peak resident sizes.
Every chunk exists, but all hold the same compressed bytes, so the large file takes little space on disk.

    memory.py [--tandem build/tandem] [--seconds 8] [--most 8]

Three layouts: one chunk a sample; chunks of 64x64 pixels (16 a sample); chunks never written. What may grow is the
table of chunks (16 bytes each) and the order of an epoch (8 bytes a sample; two of them): `index_mib`. Prints a line of
JSON a layout and fails when the peaks differ by more than --most MiB beyond that.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import zlib

import h5py
import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIDE = 256
CONFIG = """
name: memory
data: {{path: {path}, val_count: 32, workers: 2}}
model: {{trunk: layers, layers: [avg-pool 8, conv 8 k3 s2 p1, relu]}}
tasks: {{class: {{layers: [global-avg-pool, dense classes], loss: cross-entropy, target: labels}}}}
optim: {{kind: sgd, lr: 1.0e-3}}
train: {{epochs: 1000, batch_size: 16, test: false, tensorboard: false, max_time: {seconds}}}
"""


def write(folder, samples, chunk, written):
    os.makedirs(folder)
    packed = zlib.compress(bytes(chunk * chunk * 3), 1)
    with h5py.File(os.path.join(folder, "train.h5"), "w") as f:
        images = f.create_dataset("images", (samples, SIDE, SIDE, 3), "u1", chunks=(1, chunk, chunk, 3), compression=1)
        for i in range(samples if written else 0):
            for y in range(0, SIDE, chunk):
                for x in range(0, SIDE, chunk):
                    images.id.write_direct_chunk((i, y, x, 0), packed)
        labels = f.create_dataset("labels", data=(np.arange(samples) % 4).astype("u1"))
        labels.attrs["classes"] = 4


def peak_mib(options, data, folder):
    config = os.path.join(folder, "memory.yaml")
    with open(config, "w") as f:
        f.write(CONFIG.format(path=data, seconds=options.seconds))
    run = subprocess.Popen([options.tandem, "train", config, "--output", os.path.join(data, "run"), "--quiet"],
                           stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(run.pid, 0)
    if status:
        sys.exit(f"training ended with status {status}")
    with open(os.path.join(data, "run", "summary.json")) as f:
        steps = json.load(f).get("steps")
    return usage.ru_maxrss / 1024, steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--small", type=int, default=500)
    parser.add_argument("--large", type=int, default=52000)
    parser.add_argument("--most", type=float, default=8)
    options = parser.parse_args()
    grown = False
    for layout, chunk, written in (("a chunk a sample", SIDE, True), ("16 chunks a sample", 64, True),
                                   ("never written", SIDE, False)):
        with tempfile.TemporaryDirectory() as folder:
            row = {"layout": layout}
            for name in ("small", "large"):
                data = os.path.join(folder, name)
                write(data, getattr(options, name), chunk, written)
                row[f"{name}_mib"], row[f"{name}_steps"] = peak_mib(options, data, folder)
            row["grown_mib"] = row["large_mib"] - row["small_mib"]
            chunks = (SIDE // chunk) ** 2
            row["index_mib"] = (options.large - options.small) * (16 * chunks + 16) / 2 ** 20
            grown |= row["grown_mib"] > options.most + row["index_mib"]
            print(json.dumps({k: round(v, 1) if isinstance(v, float) else v for k, v in row.items()}), flush=True)
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()

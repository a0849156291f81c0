#!/usr/bin/env python3
"""Samples per second read from the same files, in the same run, in turn: `tandem bench load` against h5py and a
PyTorch DataLoader, both with --workers workers, shuffled batches of --batch, every array of the training split.
Prints a line a round and then the medians and their ratio as JSON.

    loading.py DATA [--tandem build/tandem] [--rounds 5] [--workers 2] [--batch 32] [--samples 4800]

DATA: a data set whose split train is a folder of HDF5 files (one array each), or one file of several arrays.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import tempfile
import time

import h5py
import torch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Samples(torch.utils.data.Dataset):
    """Sample i of every array; files are opened by the process that reads."""

    def __init__(self, folder):
        single = os.path.join(folder, "train.h5")
        self.paths = [single] if os.path.exists(single) else sorted(glob.glob(os.path.join(folder, "train", "*.h5")))
        self.arrays = None
        with h5py.File(self.paths[0]) as f:
            self.length = len(f[next(iter(f))])

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if self.arrays is None:
            files = [h5py.File(path) for path in self.paths]
            self.arrays = [f[name] for f in files for name in f]
        return [torch.as_tensor(array[index]) for array in self.arrays]


def usual_way(options):
    """A function that reads so many samples and returns samples per second."""
    loader = torch.utils.data.DataLoader(Samples(options.data), batch_size=options.batch, shuffle=True,
                                         num_workers=options.workers, persistent_workers=True)

    def forever():
        while True:
            yield from loader
    batches = forever()
    for _ in range(3 * len(loader)):
        next(batches)

    def measure():
        seen, begin = 0, time.perf_counter()
        while seen < options.samples:
            seen += len(next(batches)[0])
        return seen / (time.perf_counter() - begin)
    return measure


def tandem(options, config):
    steps = -(-options.samples // options.batch)
    out = subprocess.run([options.tandem, "bench", "load", config, "--json", "--set", f"data.path={options.data}",
                          "--set", f"data.workers={options.workers}", "--set", f"train.batch_size={options.batch}",
                          "--set", f"bench.steps={steps}", "--set", "bench.warmup=9"],
                         check=True, stdout=subprocess.PIPE).stdout
    return json.loads(out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=4800)
    options = parser.parse_args()
    options.data = os.path.abspath(options.data)
    measure, usual, own, cpu = usual_way(options), [], [], []
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "load.yaml")
        with open(config, "w") as f:
            f.write("name: loading\n")
        for _ in range(options.rounds):
            usual.append(measure())
            row = tandem(options, config)
            own.append(row["samples_per_s"])
            cpu.append(row["cpu_ms"] / options.batch)
            print(f"usual {usual[-1]:7.0f}/s   tandem {own[-1]:7.0f}/s   ratio {own[-1] / usual[-1]:.2f}", flush=True)
    ratios = [a / b for a, b in zip(own, usual)]
    print(json.dumps({"usual": round(statistics.median(usual)), "tandem": round(statistics.median(own)),
                      "ratio": round(statistics.median(ratios), 2), "ratio_least": round(min(ratios), 2),
                      "cpu_ms_sample": round(statistics.median(cpu), 3)}))


if __name__ == "__main__":
    main()

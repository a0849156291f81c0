#!/usr/bin/env python3
"""How much of the loading hides behind the computing: trains the same steps with the loader's threads on and off
(--workers 0 loads inside the step), in turn, the order changing from round to round, in two cases:

    as it is    on a CPU device the loader's threads take cores from the kernels, so what they compute is not hidden,
                only moved: the ratio is 1 when the cores are full, more where the device leaves some idle
    slow files  every read takes --delay ms longer, asleep (a disk, a network): that is what loading ahead hides, on
                any device

Prints a line of JSON a case: seconds (medians), the ratio inside / ahead of the rounds (median, least, most), and the
largest share of waiting for data when loading ahead. Rounds far apart in their ratios mean a busy machine.

    overlap.py CONFIG [--tandem build/tandem] [--rounds 5] [--samples 6400] [--delay 1] [--workers 1] [--set KEY=VALUE]
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def train(options, workers, slow):
    environment = dict(os.environ)
    if slow:
        environment.update(LD_PRELOAD=slow, SLOW_PREAD_MS=str(options.delay))
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        extra = [word for one in options.set for word in ("--set", one)]
        subprocess.run([options.tandem, "train", options.config, "--output", run, "--epochs", "1",
                        "--workers", str(workers), "--quiet", "--set", f"data.num_samples={options.samples}",
                        "--set", "train.test=false", "--set", "train.tensorboard=false"] + extra,
                       check=True, stdout=subprocess.DEVNULL, env=environment)
        with open(os.path.join(run, "metrics.jsonl")) as f:
            return json.loads(f.readline())


def compare(options, case, slow):
    inside, ahead = [], []
    for i in range(options.rounds):
        for workers in (0, options.workers) if i % 2 else (options.workers, 0):
            (ahead if workers else inside).append(train(options, workers, slow))
    seconds = [[row["seconds"] for row in rows] for rows in (inside, ahead)]
    ratios = sorted(a / b for a, b in zip(*seconds))
    print(json.dumps({"case": case, "seconds_inside": round(statistics.median(seconds[0]), 2),
                      "seconds_ahead": round(statistics.median(seconds[1]), 2),
                      "ratio": round(statistics.median(ratios), 3), "ratio_least": round(ratios[0], 3),
                      "ratio_most": round(ratios[-1], 3),
                      "wait_share_ahead": max(row["wait_share"] for row in ahead)}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--delay", type=float, default=1, help="milliseconds a read")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slow = os.path.join(folder, "slow_pread.so")
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", os.path.join(HERE, "slow_pread.c"), "-o", slow, "-ldl"],
                       check=True)
        compare(options, "as it is", None)
        compare(options, "slow files", slow)


if __name__ == "__main__":
    main()

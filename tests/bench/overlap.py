#!/usr/bin/env python3
"""How much of the loading hides behind the computing: trains the same epoch with the loader's threads on and
off (--workers 0 loads inside the step), in turn, and prints seconds, the share of waiting, and the ratio.

    overlap.py CONFIG [--tandem build/tandem] [--rounds 3] [--samples 12800]
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def train(options, workers):
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        subprocess.run([options.tandem, "train", options.config, "--output", run, "--epochs", "1",
                        "--workers", str(workers), "--quiet", "--set", f"data.num_samples={options.samples}",
                        "--set", "train.test=false"], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(run, "metrics.jsonl")) as f:
            return json.loads(f.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12800)
    options = parser.parse_args()
    runs = {0: [], 1: []}
    for _ in range(options.rounds):
        for workers in runs:
            runs[workers].append(train(options, workers))
    seconds = {w: statistics.median(r["seconds"] for r in rows) for w, rows in runs.items()}
    print(json.dumps({"seconds_inside": round(seconds[0], 3), "seconds_ahead": round(seconds[1], 3),
                      "ratio": round(seconds[0] / seconds[1], 3),
                      "wait_share_ahead": max(r["wait_share"] for r in runs[1])}))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Twelve small runs, one after another on one thread each and two at once: wall time of both.

    tests/bench/jobs.py TANDEM DATA [--epochs N] [--samples N] [--limit RATIO]

DATA is an imported Fashion-MNIST. Compiled kernels come from a cache that a run before fills. Prints
one JSON line; exits with 1 when the ratio is above the limit. Wants two idle cores.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

CONFIG = """name: jobs
experiment:
  base: {base}
  seeds: [0, 1, 2, 3, 4, 5]
  set: {{data.path: {data}, data.val_count: 500, data.num_samples: {samples}, train.epochs: {epochs},
        device.units: 1, train.test: false}}
  arms:
    equal: {{set: {{balance.kind: equal}}}}
    learned: {{set: {{balance.kind: uncertainty}}}}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tandem")
    parser.add_argument("data")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--limit", type=float, default=0.6)
    args = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parents[2]
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "experiment.yaml")
        with open(config, "w") as f:
            f.write(CONFIG.format(base=root / "configs/fashion-mnist/base.yaml",
                                  data=os.path.abspath(args.data), samples=args.samples,
                                  epochs=args.epochs))

        def run(name, *more):
            began = time.monotonic()
            subprocess.run([args.tandem, "experiment", config, "--output", os.path.join(folder, name),
                            "--quiet", *more], check=True)
            return time.monotonic() - began

        run("warm", "--set", "experiment.seeds=0", "--set", "train.epochs=1")
        for jobs in (1, 2):
            seconds[jobs] = run(f"jobs-{jobs}", "--jobs", str(jobs))
    ratio = seconds[2] / seconds[1]
    print(json.dumps({"runs": 12, "jobs_1_s": round(seconds[1], 2), "jobs_2_s": round(seconds[2], 2),
                      "ratio": round(ratio, 3)}))
    sys.exit(ratio > args.limit)


if __name__ == "__main__":
    main()

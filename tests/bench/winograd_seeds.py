#!/usr/bin/env python3
"""Does Winograd's rounding cost accuracy? Trains the Fashion-MNIST network on both tasks, seed by seed, once with
the default convolutions and once with Winograd switched off, and prints the mean and standard deviation of the
losses on validation and test, and the mean difference of the pairs with its standard error:

    winograd_seeds.py DATA [--tandem build/tandem] [--seeds 10] [--samples 5000] [--epochs 2] [--set KEY=VALUE ...]

DATA: what `tandem data import fashion-mnist` wrote. A pair shares its seed, so initial values, order and data; what
is left is rounding, which training magnifies until it acts like another seed.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ARMS = {"winograd": "[]", "without": "[conv2d*=implicit]"}
TASKS = ("class", "recon")


def train(args, seed, force, folder):
    """{(split, task): loss} of the last validation and the test."""
    command = [args.tandem, "train", os.path.join(ROOT, "configs", "fashion-mnist", "learned.yaml"), "--quiet",
               "--output", folder, "--seed", str(seed), "--epochs", str(args.epochs), "--set", f"data.path={args.data}",
               "--set", f"data.num_samples={args.samples}", "--set", "train.tensorboard=false", "--set",
               f"tune.force={force}", "--set", "tune.file=off"]
    for item in args.set:
        command += ["--set", item]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    losses = {}
    with open(os.path.join(folder, "metrics.jsonl")) as lines:
        for line in map(json.loads, lines):
            if line["split"] != "train":
                for task in TASKS:
                    losses[line["split"], task] = line["tasks"][task]["loss"]
    return losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samples", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: at least 2, for a standard deviation")
    args.data = os.path.abspath(args.data)
    runs = {arm: [] for arm in ARMS}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(args.seeds):
            for arm, force in ARMS.items():
                runs[arm].append(train(args, seed, force, os.path.join(folder, f"{arm}-{seed}")))
            print(f"seed {seed}:", *(f"{arm} {sum(runs[arm][-1][('test', t)] for t in TASKS):.5f}" for arm in ARMS),
                  file=sys.stderr, flush=True)
    equal = sum(runs["winograd"][i] == runs["without"][i] for i in range(args.seeds))
    if equal == args.seeds:
        sys.exit("every pair has the same bits: Winograd did not run in this network on this device")
    for split in ("val", "test"):
        for task in TASKS:
            values = {arm: [run[split, task] for run in runs[arm]] for arm in ARMS}
            gaps = [a - b for a, b in zip(values["winograd"], values["without"])]
            error = statistics.stdev(gaps) / math.sqrt(len(gaps))
            print(f"{split} {task}:", *(f"{arm} {statistics.mean(v):.5f} (sd {statistics.stdev(v):.5f}),"
                                        for arm, v in values.items()),
                  f"difference {statistics.mean(gaps):+.5f} (standard error {error:.5f})")


if __name__ == "__main__":
    main()

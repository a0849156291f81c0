#!/usr/bin/env python3
"""What balancing costs: CPU time of a training step by each method relative to equal weights, on made-up data.

    balancing.py CONFIG [--tandem build/tandem] [--kinds dwa,mgda] [--rounds 3] [--steps 10] [--set KEY=VALUE ...]

The methods take turns, `rounds` times, on one thread; a ratio is of the medians of a turn, the median of the rounds is
printed, as a line of JSON a method.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOSSES = ["uncertainty", "imtl-l", "dwa", "rlw", "dtp", "gls", "si", "stch", "uw-so"]
GRADIENTS = ["mgda", "cagrad", "imtl-g", "nash", "fairgrad", "aligned", "pcgrad", "gradvac", "upgrad", "graddrop"]


def cpu_ms(options, kind):
    command = [options.tandem, "bench", "step", options.config, "--json", "--set", f"balance.kind={kind}",
               "--set", f"bench.steps={options.steps}"]
    for assignment in options.set:
        command += ["--set", assignment]
    done = subprocess.run(command, env=dict(os.environ, POCL_MAX_PTHREAD_COUNT="1"), stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{kind}: bench step ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[0])["cpu_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--kinds", default=",".join(LOSSES + GRADIENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    kinds = options.kinds.split(",")
    ratios = {kind: [] for kind in kinds}
    equal = []
    for _ in range(options.rounds):
        equal.append(cpu_ms(options, "equal"))
        for kind in kinds:
            ratios[kind].append(cpu_ms(options, kind) / equal[-1])
    print(json.dumps({"name": "equal", "cpu_ms": round(statistics.median(equal), 3), "ratio": 1.0}))
    for kind in kinds:
        print(json.dumps({"name": kind, "ratio": round(statistics.median(ratios[kind]), 4),
                          "least": round(min(ratios[kind]), 4), "most": round(max(ratios[kind]), 4)}))


if __name__ == "__main__":
    main()

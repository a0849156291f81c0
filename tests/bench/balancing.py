#!/usr/bin/env python3
"""What balancing costs: CPU time of a training step by each method relative to equal weights, on made-up data.

    balancing.py CONFIG [--tandem build/tandem] [--kinds dwa,mgda] [--rounds 3] [--steps 10] [--set KEY=VALUE ...]

On one thread, each method beside a run with equal weights, before it and after it in turn, `rounds` times: the median of
these ratios is printed, as a line of JSON a method, with the least and the most. On a busy machine they are far apart.
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
    for kind in options.kinds.split(","):
        ratios = []
        for turn in range(options.rounds):
            first, second = ("equal", kind) if turn % 2 == 0 else (kind, "equal")
            times = {first: cpu_ms(options, first), second: cpu_ms(options, second)}
            ratios.append(times[kind] / times["equal"])
        print(json.dumps({"name": kind, "ratio": round(statistics.median(ratios), 4), "least": round(min(ratios), 4),
                          "most": round(max(ratios), 4), "equal_cpu_ms": round(times["equal"], 3)}), flush=True)


if __name__ == "__main__":
    main()

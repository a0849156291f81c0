#!/usr/bin/env python3
"""What balancing costs: CPU time of a training step by each method relative to equal weights, on made-up data.

    balancing.py CONFIG [--tandem build/tandem] [--kinds dwa,mgda,mgda@representation] [--rounds 3] [--steps 10]
                 [--set KEY=VALUE ...] [--trunk encoder]

On one thread, each method beside a run with equal weights, before it and after it in turn, `rounds` times: the median of
these ratios is printed, as a line of JSON a method, with the least and the most. On a busy machine they are far apart.
A method on gradients also stands beside a run whose trunk is frozen: what it adds to a step with equal weights, over what
the trunk's backward pass (with its share of the optimiser) adds to that, is how many trunk backward passes it costs.
"""
import argparse
import json
import os
import statistics

from tandem_step import tandem_step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOSSES = ["uncertainty", "imtl-l", "dwa", "rlw", "dtp", "gls", "si", "stch", "uw-so", "famo", "gradnorm",
          "gradnorm@representation"]
GRADIENTS = ["mgda", "mgda@representation", "cagrad", "imtl-g", "nash", "fairgrad", "aligned", "pcgrad", "gradvac", "upgrad",
             "graddrop", "db-mtl"]
FROZEN = "equal, trunk frozen"


def cpu_ms(options, kind):
    method, _, gradients = ("equal" if kind == FROZEN else kind).partition("@")
    settings = [f"balance.kind={method}", f"bench.steps={options.steps}"]
    if gradients:
        settings.append(f"balance.gradients={gradients}")
    if kind == FROZEN:
        settings.append(f"train.freeze=[{options.trunk}]")
    return tandem_step(options.tandem, options.config, settings + options.set)["cpu_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--kinds", default=",".join(LOSSES + GRADIENTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--trunk", default="encoder")
    options = parser.parse_args()
    for kind in options.kinds.split(","):
        runs = ["equal", kind] + ([FROZEN] if kind in GRADIENTS else [])
        ratios, backwards = [], []
        for turn in range(options.rounds):
            times = {run: cpu_ms(options, run) for run in (runs if turn % 2 == 0 else reversed(runs))}
            ratios.append(times[kind] / times["equal"])
            if FROZEN in times:
                backwards.append((times[kind] - times["equal"]) / (times["equal"] - times[FROZEN]))
        line = {"name": kind, "ratio": round(statistics.median(ratios), 4), "least": round(min(ratios), 4),
                "most": round(max(ratios), 4), "equal_cpu_ms": round(times["equal"], 3)}
        if backwards:
            line["trunk_backwards"] = round(statistics.median(backwards), 3)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times a training step of tandem and of PyTorch in turn, in one go: same network, same batch, forward,
losses, backward, Adam. Prints the ratio PyTorch / tandem of the medians of CPU time per step.

    compare_torch.py [--tandem build/tandem] [--threads 1] [--rounds 3] [--steps 20] [network ...]

Needs PyTorch. CPU time of one thread (the default) is steadier than wall time on a shared machine.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "ref"))


def fashion(torch):
    import models
    net = models.Fashion()
    s = torch.nn.Parameter(torch.ones(2))
    images = torch.rand(64, 1, 28, 28)
    labels = torch.randint(0, 10, (64,))
    adam = torch.optim.Adam(list(net.parameters()) + [s], lr=1e-3)

    def step():
        adam.zero_grad(set_to_none=True)
        loss = models.uncertainty(models.fashion_losses(net(images), images, labels), s)
        loss.backward()
        adam.step()

    def layout(fmt):
        nonlocal images
        net.to(memory_format=fmt)
        images = images.to(memory_format=fmt)

    return step, layout


NETWORKS = {"fashion": fashion}


def time_torch(name, steps, threads, channels_last):
    """Runs in this process's child: prints one JSON line."""
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    step, layout = NETWORKS[name](torch)
    if channels_last:
        layout(torch.channels_last)
    for _ in range(5):
        step()
    wall, cpu = [], []
    for _ in range(steps):
        w, c = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    print(json.dumps({"wall_ms": 1e3 * statistics.median(wall), "cpu_ms": 1e3 * statistics.median(cpu)}))


def child(name, steps, threads, channels_last):
    args = [sys.executable, __file__, "--child", name, "--steps", str(steps), "--threads", str(threads)]
    if channels_last:
        args.append("--channels-last")
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def time_tandem(binary, name, steps, threads):
    env = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads))
    config = os.path.join(ROOT, "configs", "bench", name + ".yaml")
    args = [binary, "bench", "step", config, "--json", "--set", f"bench.steps={steps}"]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True, env=env).stdout)


def compare(name, options):
    tandem, torch_best = [], []
    for _ in range(options.rounds):
        tandem.append(time_tandem(options.tandem, name, options.steps, options.threads))
        formats = [child(name, options.steps, options.threads, last) for last in (False, True)]
        torch_best.append({key: min(f[key] for f in formats) for key in ("wall_ms", "cpu_ms")})
    key = "cpu_ms" if options.threads == 1 else "wall_ms"
    ours = statistics.median(t[key] for t in tandem)
    theirs = statistics.median(t[key] for t in torch_best)
    print(json.dumps({"network": name, "threads": options.threads, "measure": key,
                      "tandem": round(ours, 3), "torch": round(theirs, 3),
                      "ratio": round(theirs / ours, 3),
                      "launches": tandem[0].get("launches"), "host_us": tandem[0].get("host_us")}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("networks", nargs="*", default=sorted(NETWORKS))
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        time_torch(options.child, options.steps, options.threads, options.channels_last)
        return
    for name in options.networks:
        if name not in NETWORKS:
            parser.error(f"unknown network '{name}' (there are {', '.join(sorted(NETWORKS))})")
        compare(name, options)


if __name__ == "__main__":
    main()

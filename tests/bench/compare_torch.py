#!/usr/bin/env python3
"""Times tandem and PyTorch in turn, in one go, and prints the ratio PyTorch / tandem of the medians of CPU
time, PyTorch in its better memory format:

    compare_torch.py [--tandem build/tandem] [--threads 1] [--rounds 3] [--steps 20] [network ...]

times a training step of the networks: same network, same batch, forward, losses, backward, optimiser, on made-up
data; the peak resident sizes of the two processes and their ratio are printed too, PyTorch's in its smaller format. segnet takes a minute a step on one core: --rounds 1 --steps 1.

    compare_torch.py conv [--shape N,H,W,C,K[,R,S,stride,padding[,dilation]]] [--transposed]
                          [--direction forward|data|filter]

times convolutions by themselves; a transposed one reads N,H,W,C and writes K channels. `conv-other` stands for
the shapes that Winograd does not serve: 1x1, 2x2, 5x5, 7x7, strided, dilated, transposed, few channels.

Needs PyTorch. CPU time of one thread (the default) is steadier than wall time on a shared machine.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from tandem_step import tandem_step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "ref"))


def stepper(torch, net, images, losses, optimiser):
    """(step, layout) of a network: `losses(out, images)` gives the total."""
    def step():
        optimiser.zero_grad(set_to_none=True)
        losses(net(images), images).backward()
        optimiser.step()

    def layout(fmt):
        nonlocal images
        net.to(memory_format=fmt)
        images = images.to(memory_format=fmt)

    return step, layout


def fashion(torch):
    import models
    net = models.Fashion()
    s = torch.nn.Parameter(torch.ones(2))
    labels = torch.randint(0, 10, (64,))
    adam = torch.optim.Adam(list(net.parameters()) + [s], lr=1e-3)
    return stepper(torch, net, torch.rand(64, 1, 28, 28),
                   lambda out, x: models.uncertainty(models.fashion_losses(out, x, labels), s), adam)


def segnet(torch):
    import models
    net = models.SegNet()
    labels, depths = torch.randint(0, 13, (4, 288, 384)), torch.rand(4, 1, 288, 384)
    f = torch.nn.functional
    return stepper(torch, net, torch.rand(4, 3, 288, 384),
                   lambda out, x: f.nll_loss(out["semantic"], labels) + f.l1_loss(out["depth"], depths),
                   torch.optim.Adam(net.parameters(), lr=1e-4))


def unet(torch):
    import models
    net = models.UNet([32, 64, 128, 256, 512])
    masks, labels, boxes = torch.randint(0, 2, (8, 256, 256)), torch.randint(0, 2, (8,)), torch.rand(8, 4)
    f = torch.nn.functional
    return stepper(torch, net, torch.rand(8, 3, 256, 256),
                   lambda out, x: (f.cross_entropy(out["mask"], masks) + f.cross_entropy(out["class"], labels) +
                                   f.l1_loss(out["box"], boxes)),
                   torch.optim.Adam(net.parameters(), lr=1e-3))


def cifar(torch):
    import models
    net = models.StridedCNN({f"is{i}": 2 for i in range(10)})
    labels = torch.randint(0, 10, (128,))
    yes = [(labels == i).long() for i in range(10)]
    f = torch.nn.functional
    return stepper(torch, net, torch.rand(128, 3, 32, 32),
                   lambda out, x: sum(f.cross_entropy(out[f"is{i}"], yes[i]) for i in range(10)),
                   torch.optim.Adam(net.parameters(), lr=1e-3))


NETWORKS = {"fashion": fashion, "segnet": segnet, "unet": unet, "cifar": cifar}


def time_torch(name, steps, threads, channels_last):
    """Runs in this process's child: prints one JSON line."""
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    step, layout = NETWORKS[name](torch)
    if channels_last:
        layout(torch.channels_last)
    for _ in range(min(5, steps)):
        step()
    wall, cpu = [], []
    for _ in range(steps):
        w, c = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - w)
        cpu.append(time.process_time() - c)
    print(json.dumps({"wall_ms": 1e3 * statistics.median(wall), "cpu_ms": 1e3 * statistics.median(cpu),
                      "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}))


def run_child(*args):
    """Another process of this script, so that neither library's threads disturb the other."""
    args = [sys.executable, __file__, *args]
    return json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)


def child(name, steps, threads, channels_last):
    return run_child("--child", name, "--steps", str(steps), "--threads", str(threads),
                     *(["--channels-last"] if channels_last else []))


# Layers of SegNet at 288x384.
SHAPES = [(shape, False) for shape in ("4,288,384,64,64", "4,144,192,128,128", "4,72,96,256,256",
                                       "4,36,48,512,512", "4,18,24,512,512")]
# Shape, transposed. The last five are layers of the strided CNN.
OTHER_SHAPES = [
    ("4,72,96,64,256,1,1,1,0", False), ("4,72,96,256,64,1,1,1,0", False), ("4,36,48,512,128,1,1,1,0", False),
    ("4,72,96,128,256,1,1,2,0", False), ("4,64,64,64,128,2,2,2,0", False), ("64,14,14,32,32,2,2,1,0", False),
    ("4,64,64,32,64,5,5,1,2", False), ("4,224,224,3,64,7,7,2,3", False), ("4,64,64,128,64,2,2,2,0", True),
    ("4,16,16,512,256,2,2,2,0", True), ("4,288,384,3,64,3,3,1,1", False), ("4,64,64,64,64,3,3,1,2,2", False),
    ("128,32,32,3,32,3,3,1,1", False), ("128,32,32,32,64,3,3,2,1", False), ("128,16,16,64,64,3,3,1,1", False),
    ("128,16,16,64,128,3,3,2,1", False), ("128,8,8,128,128,3,3,1,1", False)]
DIRECTIONS = ["forward", "data", "filter"]


def time_torch_conv(shape, transposed, direction, steps, threads):
    """Runs in this process's child: prints one JSON line."""
    import torch
    torch.set_num_threads(threads)
    given = [int(v) for v in shape.split(",")]
    n, h, w, c, k, r, s, stride, pad, dilation = given + [3, 3, 1, 1, 1][len(given) - 5:]
    best = {}
    for fmt in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(n, c, h, w).to(memory_format=fmt)
        f = (torch.randn(c, k, r, s) if transposed else torch.randn(k, c, r, s)).to(memory_format=fmt)
        rest = ([stride] * 2, [pad] * 2, [dilation] * 2, transposed, [0, 0], 1)
        dy = torch.randn_like(torch.ops.aten.convolution(x, f, None, *rest))
        mask = [direction == "data", direction == "filter", False]

        def run():
            if direction == "forward":
                torch.ops.aten.convolution(x, f, None, *rest)
            else:
                torch.ops.aten.convolution_backward(dy, x, f, None, *rest, mask)

        wall, cpu = [], []
        for i in range(-1, steps):
            w0, c0 = time.perf_counter(), time.process_time()
            run()
            if i < 0:
                continue
            wall.append(time.perf_counter() - w0)
            cpu.append(time.process_time() - c0)
        times = {"wall_ms": 1e3 * statistics.median(wall), "cpu_ms": 1e3 * statistics.median(cpu)}
        best = {key: min(best.get(key, value), value) for key, value in times.items()}
    print(json.dumps(best))


def time_tandem_conv(binary, shape, transposed, direction, threads):
    env = dict(os.environ, POCL_MAX_PTHREAD_COUNT=str(threads))
    if transposed:  # tandem times it as the convolution from its result to its input
        n, h, w, c, k, r, s, stride, pad = [int(v) for v in shape.split(",")]
        h, w = (h - 1) * stride - 2 * pad + r, (w - 1) * stride - 2 * pad + s
        shape = ",".join(str(v) for v in (n, h, w, k, c, r, s, stride, pad))
        direction = {"forward": "data", "data": "forward"}.get(direction, direction)
    args = [binary, "bench", "conv", "--json", "--shape", shape, "--default-only", "--filter", direction + "/"]
    out = subprocess.run(args, check=True, capture_output=True, text=True, env=env).stdout
    return next(row for row in map(json.loads, out.splitlines()) if row.get("default"))


def compare_conv(shape, transposed, direction, options):
    tandem, torch = [], []
    for _ in range(options.rounds):
        tandem.append(time_tandem_conv(options.tandem, shape, transposed, direction, options.threads))
        torch.append(run_child("--child-conv", shape, "--direction", direction, "--steps", "7",
                               "--threads", str(options.threads), *(["--transposed"] if transposed else [])))
    key = "cpu_ms" if options.threads == 1 else "wall_ms"
    ours, theirs = (statistics.median(t[key] for t in rows) for rows in (tandem, torch))
    print(json.dumps({"conv": ("transposed " if transposed else "") + shape, "direction": direction, "threads": options.threads, "measure": key,
                      "algorithm": tandem[0]["name"].split("/")[1], "tandem": round(ours, 3),
                      "torch": round(theirs, 3), "ratio": round(theirs / ours, 3),
                      "error_rms": tandem[0]["error_rms"], "error_max": tandem[0]["error_max"]}), flush=True)


def time_tandem(binary, name, steps, threads):
    return tandem_step(binary, os.path.join(ROOT, "configs", "bench", name + ".yaml"),
                       [f"bench.steps={steps}", f"bench.warmup={min(5, steps)}"], threads)


def compare(name, options):
    tandem, torch_best = [], []
    for _ in range(options.rounds):
        tandem.append(time_tandem(options.tandem, name, options.steps, options.threads))
        formats = [child(name, options.steps, options.threads, last) for last in (False, True)]
        torch_best.append({key: min(f[key] for f in formats) for key in ("wall_ms", "cpu_ms", "peak_bytes")})
    key = "cpu_ms" if options.threads == 1 else "wall_ms"
    ours = statistics.median(t[key] for t in tandem)
    theirs = statistics.median(t[key] for t in torch_best)
    our_peak, their_peak = (max(t["peak_bytes"] for t in rows) for rows in (tandem, torch_best))
    print(json.dumps({"network": name, "threads": options.threads, "measure": key,
                      "tandem": round(ours, 3), "torch": round(theirs, 3),
                      "ratio": round(theirs / ours, 3),
                      "peak_mib": our_peak >> 20, "torch_peak_mib": their_peak >> 20,
                      "peak_ratio": round(their_peak / our_peak, 3),
                      "launches": tandem[0].get("launches"), "host_us": tandem[0].get("host_us")}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("networks", nargs="*", default=sorted(NETWORKS))
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--shape", action="append", help="of conv: N,H,W,C,K[,R,S,stride,padding[,dilation]] (repeatable)")
    parser.add_argument("--transposed", action="store_true", help="of conv: the shapes are transposed convolutions'")
    parser.add_argument("--direction", action="append", choices=DIRECTIONS, help="of conv (repeatable)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--child-conv", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child_conv:
        time_torch_conv(options.child_conv, options.transposed, options.direction[0], options.steps, options.threads)
        return
    if options.child:
        time_torch(options.child, options.steps, options.threads, options.channels_last)
        return
    for name in options.networks:
        if name in ("conv", "conv-other"):
            plain = OTHER_SHAPES if name == "conv-other" else SHAPES
            given = [(shape, options.transposed) for shape in options.shape or ()]
            for shape, transposed in given or plain:
                for direction in options.direction or DIRECTIONS:
                    compare_conv(shape, transposed, direction, options)
            continue
        if name not in NETWORKS:
            parser.error(f"unknown network '{name}' (there are conv, conv-other, {', '.join(sorted(NETWORKS))})")
        compare(name, options)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Steps of the methods that combine the tasks' gradients: CPU time of PyTorch over tandem's, on made-up data.

    balance_torch.py [--tandem build/tandem] [--rounds 3] [--steps 3] [--methods equal,mgda,...] [network ...]

PyTorch does what the existing libraries of multi-task learning do: a backward pass per task with the graph retained,
the shared parameters' gradients flattened into one vector a task, the method's weights found on the CPU (MGDA by
Frank-Wolfe, CAGrad by scipy's minimiser, PCGrad on the vectors, Nash-MTL by twenty convex steps at most), the weighted
sum written back, Adam. Networks: segnet (2 tasks, batch 2 at 96x128), fashion (2 tasks, batch 64), cifar (10 tasks,
batch 128). On one thread, both libraries in turn, `rounds` times; the median of the ratios is printed, with the least
and the most. PyTorch runs in both memory formats, and the better one counts.

Needs PyTorch and scipy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

from tandem_step import tandem_step

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "ref"))
METHODS = ["equal", "mgda", "pcgrad", "cagrad", "nash"]
HEADS = ("heads.", "pred_task")
# What tandem is told besides: the same network, batch and sum of losses.
SETTINGS = {"segnet": ["train.batch_size=2", "bench.arrays.image.shape=[96, 128, 3]",
                       "bench.arrays.label.shape=[96, 128]", "bench.arrays.depth.shape=[96, 128]"],
            "fashion": [], "cifar": []}


# ---- the networks: (module, input, losses of what it gives) --------------------------------------------------------

def segnet(torch, models):
    f, labels, depths = torch.nn.functional, torch.randint(0, 13, (2, 96, 128)), torch.rand(2, 1, 96, 128) + 0.1
    return (models.SegNet(), torch.rand(2, 3, 96, 128),
            lambda out, x: [f.nll_loss(out["semantic"], labels), f.l1_loss(out["depth"], depths)])


def fashion(torch, models):
    labels = torch.randint(0, 10, (64,))
    return models.Fashion(), torch.rand(64, 1, 28, 28), lambda out, x: list(models.fashion_losses(out, x, labels))


def cifar(torch, models):
    labels, f = torch.randint(0, 10, (128,)), torch.nn.functional
    yes = [(labels == i).long() for i in range(10)]
    return (models.StridedCNN({f"is{i}": 2 for i in range(10)}), torch.rand(128, 3, 32, 32),
            lambda out, x: [f.cross_entropy(out[f"is{i}"], yes[i]) for i in range(10)])


NETWORKS = {"segnet": segnet, "fashion": fashion, "cifar": cifar}


# ---- the methods: one gradient from T rows -------------------------------------------------------------------------

def min_norm(gram):
    """Frank-Wolfe with exact line search (Sener and Koltun 2018, Alg. 2)."""
    import numpy as np
    n = len(gram)
    a = np.full(n, 1 / n)
    for _ in range(250):
        t = int(np.argmin(gram @ a))
        e = np.eye(n)[t]
        aa, ae, ee = a @ gram @ a, a @ gram @ e, e @ gram @ e
        gamma = float(np.clip((aa - ae) / max(aa - 2 * ae + ee, 1e-30), 0, 1))
        a = (1 - gamma) * a + gamma * e
        if gamma < 1e-3:
            break
    return a


def mgda(torch, rows):
    gram = (rows @ rows.t()).double().numpy()
    return len(rows) * torch.from_numpy(min_norm(gram)).float() @ rows


def pcgrad(torch, rows):
    projected = rows.clone()
    for i in range(len(rows)):
        for j in torch.randperm(len(rows)).tolist():
            dot = torch.dot(projected[i], rows[j])
            if j != i and dot < 0:
                projected[i] -= dot / rows[j].norm() ** 2 * rows[j]
    return projected.sum(0)


def cagrad(torch, rows, c=0.4):
    import numpy as np
    from scipy.optimize import minimize
    n, gram = len(rows), (rows @ rows.t()).double().numpy()
    mean = np.full(n, 1 / n)
    radius = c * np.sqrt(mean @ gram @ mean + 1e-8)
    done = minimize(lambda w: w @ gram @ mean + radius * np.sqrt(w @ gram @ w + 1e-8), mean, bounds=[(0, 1)] * n,
                    constraints={"type": "eq", "fun": lambda w: 1 - w.sum()})
    w = torch.from_numpy(done.x).float()
    towards = w @ rows
    return len(rows) * (rows.mean(0) + radius / (towards.norm() + 1e-8) * towards) / (1 + c ** 2)


def nash(torch, rows):
    import numpy as np
    from scipy.optimize import minimize
    gram = (rows @ rows.t()).double().numpy()
    gram /= np.linalg.norm(gram)
    alpha = np.full(len(rows), 1.0)
    for _ in range(20):
        done = minimize(lambda a: a @ gram @ a / 2 - np.log(a).sum(), alpha, jac=lambda a: gram @ a - 1 / a,
                        bounds=[(1e-8, None)] * len(rows))
        if np.abs(done.x - alpha).max() < 1e-3:
            break
        alpha = done.x
    g = torch.from_numpy(alpha).float() @ rows
    return g / max(1.0, float(g.norm()))


def combined_step(torch, net, images, losses, adam, combine):
    shared = [p for name, p in net.named_parameters() if not name.startswith(HEADS)]
    values = losses(net(images), images)
    adam.zero_grad(set_to_none=True)
    rows = []
    for t, loss in enumerate(values):
        loss.backward(retain_graph=t + 1 < len(values))
        rows.append(torch.cat([p.grad.flatten() for p in shared]))
        for p in shared:
            p.grad = None
    vector, at = combine(torch, torch.stack(rows)), 0
    for p in shared:
        p.grad = vector[at:at + p.numel()].view(p.shape)
        at += p.numel()
    adam.step()


def time_torch(network, method, steps, channels_last):
    """Runs in this process's child: prints the median CPU time of a step in ms."""
    import torch
    import models
    torch.manual_seed(0)
    torch.set_num_threads(1)
    net, images, losses = NETWORKS[network](torch, models)
    if channels_last:
        net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(net.parameters(), lr=1e-4)
    times = []
    for i in range(-1, steps):
        began = time.process_time()
        if method == "equal":
            adam.zero_grad(set_to_none=True)
            sum(losses(net(images), images)).backward()
            adam.step()
        else:
            combined_step(torch, net, images, losses, adam, globals()[method])
        if i >= 0:
            times.append(time.process_time() - began)
    print(json.dumps(1e3 * statistics.median(times)))


def torch_ms(network, method, steps):
    command = [sys.executable, __file__, network, "--child", method, "--steps", str(steps)]
    return min(json.loads(subprocess.run(command + extra, check=True, capture_output=True, text=True).stdout)
               for extra in ([], ["--channels-last"]))


def tandem_ms(binary, network, method, steps):
    settings = [f"balance.kind={method}", f"bench.steps={steps}", "bench.warmup=1", *SETTINGS[network]]
    return tandem_step(binary, os.path.join(ROOT, "configs", "bench", network + ".yaml"), settings)["cpu_ms"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=sorted(NETWORKS))
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--channels-last", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        time_torch(options.networks[0], options.child, options.steps, options.channels_last)
        return
    for network in options.networks:
        for method in options.methods.split(","):
            pairs = [(torch_ms(network, method, options.steps),
                      tandem_ms(options.tandem, network, method, options.steps)) for _ in range(options.rounds)]
            ratios = [theirs / ours for theirs, ours in pairs]
            print(json.dumps({"network": network, "method": method, "ratio": round(statistics.median(ratios), 2),
                              "least": round(min(ratios), 2), "most": round(max(ratios), 2),
                              "torch_ms": round(statistics.median(p[0] for p in pairs), 1),
                              "tandem_ms": round(statistics.median(p[1] for p in pairs), 1)}), flush=True)


if __name__ == "__main__":
    main()

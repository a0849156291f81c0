#!/usr/bin/env python3
"""Writes tests/ref/fashion_golden.h: what PyTorch (float64) computes for the Fashion-MNIST network from the
initial weights that tandem draws: ten steps of Adam on one made-up batch (losses), and every gradient of the
first step (norm and 64 random projections). Run it by hand when the network changes; tests only read the
header."""
import os

import numpy as np
import torch

import models
import philox

BATCH, STEPS, SEED = 16, 10, 0


def initial_weights(net):
    for name, parameter in net.named_parameters():
        module = net.get_submodule(name.rsplit(".", 1)[0])
        weight = module.weight
        if isinstance(module, torch.nn.ConvTranspose2d):
            fan_in = weight.shape[1] * weight[0, 0].numel()
        else:
            fan_in = weight[0].numel()
        drawn = philox.weights(SEED, name, tuple(parameter.shape), fan_in ** -0.5)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(drawn).double())


def batch():
    pixels = philox.u32(SEED, philox.stream("parity.images"), BATCH * 784) >> np.uint64(24)
    labels = philox.u32(SEED, philox.stream("parity.labels"), BATCH) % np.uint64(10)
    images = torch.from_numpy(pixels.astype(np.float32) * np.float32(1 / 255.0)).double()
    return images.reshape(BATCH, 1, 28, 28), torch.from_numpy(labels.astype(np.int64))


def main():
    net = models.Fashion().double()
    initial_weights(net)
    s = {task: torch.nn.Parameter(torch.ones((), dtype=torch.float64)) for task in ("class", "recon")}
    images, labels = batch()
    adam = torch.optim.Adam(list(net.parameters()) + list(s.values()), lr=1e-3)
    losses, gradients = [], []
    for step in range(STEPS):
        adam.zero_grad(set_to_none=True)
        tasks = models.fashion_losses(net(images), images, labels)
        total = models.uncertainty(tasks, (s["class"], s["recon"]))
        total.backward()
        losses.append([tasks[0].item(), tasks[1].item(), total.item()])
        if step == 0:
            named = list(net.named_parameters())
            named += [(f"balance.{t}.log_variance", p) for t, p in s.items()]
            for name, p in named:
                g = p.grad.numpy()
                gradients.append((name, float(np.linalg.norm(g)), philox.projections(name, g)))
        adam.step()
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fashion_golden.h")
    with open(out, "w") as f:
        f.write("/* Written by make_fashion_golden.py: PyTorch in float64. */\n")
        f.write(f"enum {{ GOLDEN_BATCH = {BATCH}, GOLDEN_STEPS = {STEPS}, GOLDEN_PROJECTIONS = 64 }};\n")
        f.write("/* class, recon, total */\nstatic const double golden_losses[GOLDEN_STEPS][3] = {\n")
        for row in losses:
            f.write("    {" + ", ".join(f"{v:.10g}" for v in row) + "},\n")
        f.write("};\nstatic const struct golden_gradient {\n    const char *name;\n    double norm, "
                "projections[GOLDEN_PROJECTIONS];\n} golden_gradients[] = {\n")
        for name, norm, values in gradients:
            f.write(f'    {{"{name}",\n     {norm:.9g},\n     {{')
            lines = [", ".join(f"{v:.8g}" for v in values[i:i + 6]) for i in range(0, 64, 6)]
            f.write(",\n      ".join(lines) + "}},\n")
        f.write("};\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes tests/ref/loss_golden.h: losses and gradients of torch.nn.functional, in double, on inputs
that follow from formulas which the test repeats. Needs torch; the tests need only the header.

x[r][c] = 3 sin(1 + 0.7 r + 1.3 c); labels 3 r mod C with every fifth row -1; class weights
0.5 + 0.3 c; targets t[r][c] = cos(0.4 r + 0.9 c), for bce (t + 1) / 2. Seven rows, five classes.
"""
import math
import pathlib

import torch
import torch.nn.functional as F

R, C = 7, 5


def inputs():
    x = torch.tensor([[3 * math.sin(1 + 0.7 * r + 1.3 * c) for c in range(C)] for r in range(R)],
                     dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([-1 if r % 5 == 4 else 3 * r % C for r in range(R)])
    weights = torch.tensor([0.5 + 0.3 * c for c in range(C)], dtype=torch.float64)
    t = torch.tensor([[math.cos(0.4 * r + 0.9 * c) for c in range(C)] for r in range(R)],
                     dtype=torch.float64)
    return x, labels, weights, t


def cross_entropy(weighted, smoothing):
    def loss(x, y, w, _):
        return F.cross_entropy(x, y, w if weighted else None, ignore_index=-1,
                               label_smoothing=smoothing)
    return loss


LOSSES = {
    "cross_entropy": cross_entropy(False, 0.0),
    "cross_entropy_weighted": cross_entropy(True, 0.0),
    "cross_entropy_smooth": cross_entropy(False, 0.1),
    "cross_entropy_both": cross_entropy(True, 0.25),
    "nll": lambda x, y, w, t: F.nll_loss(F.log_softmax(x, 1), y, w, ignore_index=-1),
    "bce": lambda x, y, w, t: F.binary_cross_entropy_with_logits(x, (t + 1) / 2),
    "bce_weighted": lambda x, y, w, t: F.binary_cross_entropy_with_logits(
        x, (t + 1) / 2, pos_weight=torch.tensor(2.5, dtype=torch.float64)),
    "l1": lambda x, y, w, t: F.l1_loss(x, t),
    "l2": lambda x, y, w, t: F.mse_loss(x, t),
    "huber": lambda x, y, w, t: F.huber_loss(x, t, delta=0.75),
}


def main():
    out = ["/* Written by make_loss_golden.py with PyTorch; do not edit. */",
           f"enum {{ GOLDEN_ROWS = {R}, GOLDEN_CLASSES = {C} }};",
           "typedef struct golden_loss {", "    double loss;", f"    double dx[{R * C}];",
           "} golden_loss;"]
    for name, function in LOSSES.items():
        x, y, w, t = inputs()
        loss = function(x, y, w, t)
        loss.backward()
        values = ", ".join(f"{v:.12g}" for v in x.grad.flatten().tolist())
        out.append(f"static const golden_loss golden_{name} = {{{loss.item():.15g}, {{{values}}}}};")
    path = pathlib.Path(__file__).with_name("loss_golden.h")
    path.write_text("\n".join(out) + "\n")


main()

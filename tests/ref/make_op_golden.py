#!/usr/bin/env python3
"""Writes tests/ref/op_golden.h: results and gradients of PyTorch, in double, for pools, batch norm,
activations and resizing, as norms and projections. Needs torch; the tests need only the header.

Element i of input j is 2 sin(1 + j + 0.7311 i) (plain), that clipped at 0 and rounded to halves
(ties), or 1 + 0.4 sin(1 + j + 0.7311 i) (positive), rounded to float; the gradient that arrives at
y is cos(1 + 0.31 i). All elements are counted in our order (N,H,W,C). Projection k of v is
sum_i v_i cos(0.37 (k + 1) (i + 1)).
"""
import math
import pathlib

import torch
import torch.nn.functional as F


def formula(count, j, kind):
    i = torch.arange(count, dtype=torch.float64)
    s = torch.sin(1 + j + 0.7311 * i)
    v = {"plain": 2 * s, "positive": 1 + 0.4 * s,
         "ties": torch.round(2 * torch.clamp(2 * s, min=0)) / 2}[kind]
    return v.float().double()


def tensor(shape, j=0, kind="plain"):
    """A leaf in PyTorch's layout whose elements are given in ours."""
    v = formula(math.prod(shape), j, kind).reshape(shape)
    v = v.permute(0, 3, 1, 2) if len(shape) == 4 else v
    return v.contiguous().requires_grad_()


def ours(v):
    v = v.detach().double()
    return (v.permute(0, 2, 3, 1) if v.dim() == 4 else v).contiguous().flatten()


def numbers(name, v):
    v = ours(v)
    i = torch.arange(v.numel(), dtype=torch.float64)
    projections = ["%.12g" % (v * torch.cos(0.37 * (k + 1) * (i + 1))).sum() for k in range(4)]
    return '{"%s", %d, %.12g, {%s}}' % (name, v.numel(), v.norm(), ", ".join(projections))


def backward(y):
    g = torch.cos(1 + 0.31 * torch.arange(y.numel(), dtype=torch.float64)).float().double()
    if y.dim() == 4:
        n, c, h, w = y.shape
        g = g.reshape(n, h, w, c).permute(0, 3, 1, 2)
    y.backward(g.reshape(y.shape) if y.dim() != 4 else g)


def single(shape, function, kind="plain"):
    x = tensor(shape, 0, kind)
    y = function(x)
    backward(y)
    return [numbers("y", y), numbers("dx", x.grad)]


def max_pool(shape, kernel, stride, padding, ceil, kind):
    """y, window positions, dx."""
    x = tensor(shape, 0, kind)
    y, index = F.max_pool2d(x, kernel, stride, padding, 1, ceil, return_indices=True)
    backward(y)
    _, _, p, q = y.shape
    rows = index // shape[2] - (torch.arange(p) * stride[0] - padding[0]).reshape(1, 1, p, 1)
    columns = index % shape[2] - (torch.arange(q) * stride[1] - padding[1]).reshape(1, 1, 1, q)
    return [numbers("y", y), numbers("indices", rows * kernel[1] + columns),
            numbers("dx", x.grad)]


def unpool(shape):
    """The positions of 2x2 maxima of one tensor, the values of another."""
    large = tensor(shape, 1)
    _, index = F.max_pool2d(large, 2, return_indices=True)
    n, h, w, c = shape
    x = tensor((n, h // 2, w // 2, c))
    y = F.max_unpool2d(x, index, 2, output_size=(h, w))
    backward(y)
    return [numbers("y", y), numbers("dx", x.grad)]


def batch_norm(shape, training):
    c = shape[-1]
    x, gamma, beta = tensor(shape, 0), tensor((c,), 1, "positive"), tensor((c,), 2)
    mean, var = tensor((c,), 3).detach(), tensor((c,), 4, "positive").detach()
    y = F.batch_norm(x, mean, var, gamma, beta, training, 0.3, 1e-3)
    backward(y)
    return [numbers("y", y), numbers("dx", x.grad), numbers("dgamma", gamma.grad),
            numbers("dbeta", beta.grad), numbers("mean", mean), numbers("var", var)]


def global_max(x):
    return F.adaptive_max_pool2d(x, 1).flatten(1)


def resize(h, w, **how):
    return lambda x: F.interpolate(x, size=(h, w), **how)


BILINEAR = {"mode": "bilinear", "align_corners": False}
CORNERS = {"mode": "bilinear", "align_corners": True}
NEAREST = {"mode": "nearest"}
CASES = {
    "max_2x2": max_pool((2, 5, 7, 3), (2, 2), (2, 2), (0, 0), False, "plain"),
    "max_ties": max_pool((2, 8, 6, 5), (2, 2), (2, 2), (0, 0), False, "ties"),
    "max_padded": max_pool((2, 7, 8, 5), (3, 3), (2, 2), (1, 1), False, "plain"),
    "max_ceil": max_pool((2, 6, 8, 4), (3, 2), (2, 3), (1, 1), True, "ties"),
    "unpool": unpool((2, 7, 8, 3)),
    "avg_2x2": single((2, 5, 7, 3), lambda x: F.avg_pool2d(x, 2)),
    "avg_padded": single((2, 7, 8, 5), lambda x: F.avg_pool2d(x, 3, 2, 1)),
    "avg_inside": single((2, 7, 8, 5),
                         lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)),
    "avg_ceil": single((2, 6, 8, 3), lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)),
    "avg_ceil_inside": single((2, 6, 8, 3), lambda x: F.avg_pool2d(
        x, (3, 4), (2, 3), (1, 2), ceil_mode=True, count_include_pad=False)),
    "avg_ceil_wide": single((1, 7, 5, 2), lambda x: F.avg_pool2d(
        x, (4, 2), (3, 2), (2, 1), ceil_mode=True)),
    "global_avg": single((2, 5, 7, 3), lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1)),
    "global_max": single((2, 5, 7, 3), global_max),
    "relu": single((2, 3, 4, 5), F.relu, "ties"),
    "leaky_relu": single((2, 3, 4, 5), lambda x: F.leaky_relu(x, 0.125)),
    "sigmoid": single((2, 3, 4, 5), torch.sigmoid),
    "tanh": single((2, 3, 4, 5), torch.tanh),
    "bn_train": batch_norm((2, 3, 4, 5), True),
    "bn_eval": batch_norm((2, 3, 4, 5), False),
    "nearest_odd": single((1, 5, 7, 3), resize(8, 17, **NEAREST)),
    "nearest_twice": single((2, 3, 5, 2), resize(6, 10, **NEAREST)),
    "nearest_less": single((1, 9, 10, 2), resize(4, 7, **NEAREST)),
    "bilinear_odd": single((1, 5, 7, 3), resize(8, 17, **BILINEAR)),
    "bilinear_less": single((1, 9, 10, 2), resize(4, 7, **BILINEAR)),
    "corners_odd": single((1, 5, 7, 3), resize(8, 17, **CORNERS)),
    "corners_less": single((1, 9, 10, 2), resize(4, 1, **CORNERS)),
}


def main():
    out = ["/* Written by make_op_golden.py with PyTorch; do not edit. */",
           "typedef struct golden_tensor {", "    const char *name;", "    int count;",
           "    double norm, projection[4];", "} golden_tensor;"]
    for name, tensors in CASES.items():
        out.append(f"static const golden_tensor golden_{name}[] = {{")
        out += [f"    {t}," for t in tensors] + ["};"]
    path = pathlib.Path(__file__).with_name("op_golden.h")
    path.write_text("\n".join(out) + "\n")


main()

#!/usr/bin/env python3
"""Writes tests/ref/sample_golden.jsonl: what PyTorch (float64) computes for the samples of the table of
operations, as norms and 64 random projections per output. Run it by hand with the path of the program
dump_samples (a build target) when samples change; tests only read the file.

The samples come from that program; inputs are drawn here as op_check_fill draws them. Each operation is
replayed by its PyTorch counterpart: images N,H,W,C become N,C,H,W, filters R,S,C,K become K,C,R,S. Gradient
operations replay PyTorch's backward function, or autograd through the forward one.

A line of the result is an output, or an operation or sample that is left out, with the reason.
"""
import json
import pathlib
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

import philox

FILL_SEED = 20  # op_check_fill's
INT_TYPES = {"i32", "u8"}
SUMS = "adds to running two-float sums, which PyTorch has no counterpart for"
LEFT_OUT = {
    "metric_mean": SUMS,
    "metric_accuracy": SUMS,
    "metric_confusion": SUMS,
    "metric_parts": SUMS,
    "metric_regression": SUMS,
    "metric_box": SUMS,
    "label_map": "labels that the map does not know follow a rule of our own",
}
OVERLAP = ("PyTorch gives the gradient of an element that several windows wrote to all of them, "
           "not only to the one whose value stayed")
LEFT_OUT_SAMPLES = {
    ("max_unpool2d_grad", "2x2 overlapping"): OVERLAP,
    ("max_unpool2d_grad", "3x3 s2 p1"): OVERLAP,
}
aten = torch.ops.aten


# ---- inputs: the twin of op_check_fill ---------------------------------------------------------------


class Draws:
    """The cursor of src/base/rng.h over one stream."""

    def __init__(self, stream, expected):
        self.stream, self.numbers, self.used = stream, philox.u32(FILL_SEED, stream, expected), 0

    def u32(self):
        if self.used == len(self.numbers):
            self.numbers = philox.u32(FILL_SEED, self.stream, 2 * self.used + 4)
        self.used += 1
        return int(self.numbers[self.used - 1])

    def below(self, n):
        while (v := self.u32()) < 2**32 % n:
            pass
        return v % n

    def permutation(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return np.array(order, dtype=np.float64)


def normal(stream, n):
    u = philox.uniform(FILL_SEED, stream, 2 * n).reshape(n, 2)
    return np.sqrt(-2 * np.log(1 - u[:, 0])) * np.cos(2 * np.pi * u[:, 1])


def drawn(fill, arg, stream, n):
    draws, below = Draws(stream, 2 * n + 4), max(arg, 1)
    if fill == "normal":
        return normal(stream, n)
    if fill == "uniform":
        return philox.uniform(FILL_SEED, stream, n)
    if fill == "positive":
        return 0.5 + philox.uniform(FILL_SEED, stream, n)
    if fill == "index":
        return np.array([draws.below(below) for _ in range(n)])
    if fill == "label":
        return np.array([draws.below(below) if draws.below(5) else -1 for _ in range(n)])
    if fill == "mask":
        return np.array([draws.below(2) for _ in range(n)])
    if fill == "zero":
        return np.zeros(n)
    if fill == "ties":
        quarters = normal(stream, n) * 4
        return np.maximum(0, np.sign(quarters) * np.floor(np.abs(quarters) + 0.5) / 4)
    if fill == "spaced":
        return (draws.permutation(n) - n / 2 + 0.25) * 0.0125
    raise SystemExit(f"unknown fill {fill}: add it to drawn()")


def tensor(spec):
    if spec is None:
        return None
    dims = spec["dims"]
    values = drawn(spec["fill"], spec["fill_arg"], int(spec["stream"]), int(np.prod(dims)))
    values = values.astype(np.float32).astype(np.int64 if spec["dtype"] in INT_TYPES else np.float64)
    return torch.from_numpy(values.reshape(dims))


# ---- the operations ----------------------------------------------------------------------------------
# REPLAY[name](attributes, *inputs) gives the outputs in our layouts; absent inputs and outputs are None.

REPLAY = {}


def replay(name):
    def register(function):
        REPLAY[name] = function
        return function
    return register


def nchw(t):
    return t.permute(0, 3, 1, 2).contiguous()


def nhwc(t):
    return t.permute(0, 2, 3, 1)


def kcrs(w):
    return w.permute(3, 2, 0, 1).contiguous()


def rsck(w):
    return w.permute(2, 3, 1, 0)


def pulled(function, dy, *xs):
    """The gradients of <function(xs), dy> with respect to xs."""
    xs = [x.detach().clone().requires_grad_() for x in xs]
    return torch.autograd.grad(function(*xs), xs, dy)


REPLAY["add"] = lambda a, x, y: [torch.add(x, y)]
REPLAY["multiply"] = lambda a, x, y: [torch.mul(x, y)]
REPLAY["scale"] = lambda a, x: [torch.mul(x, a.factor)]
REPLAY["detach"] = lambda a, x: [x.detach()]
REPLAY["reshape"] = lambda a, x: [torch.reshape(x, a.dim[:a.rank])]
REPLAY["concat"] = lambda a, *xs: [torch.cat(xs, a.axis)]


def mix_pairs(a, w):
    """w as (outputs, inputs, ...) from the node's first ones on."""
    w = w.transpose(0, 1) if a.transposed else w
    return w[a.out_first:, a.in_first:]


def mixed(outputs):
    return lambda a, w, *xs: [sum(c * x for c, x in zip(row, xs)) for row in mix_pairs(a, w)[:outputs]]


for _outputs in range(1, 5):
    REPLAY[f"mix_{_outputs}"] = mixed(_outputs)


@replay("mix_grad")
def _(a, *tensors):
    dys, xs = tensors[:a.outputs], tensors[a.outputs:]
    w = torch.zeros([n for n in a.shape if n], dtype=torch.float64, requires_grad=True)
    ys = mixed(a.outputs)(a, w, *xs)
    return torch.autograd.grad(ys, w, dys)


@replay("mixture")
def _(a, c, *xs):
    def of(j):
        return c[:, a.first + j].reshape(-1, *[1] * (xs[0].dim() - 1))

    return [sum(of(j) * x for j, x in enumerate(xs))]


@replay("mixture_dot")
def _(a, dy, *xs):
    out = torch.zeros(len(dy), a.columns, dtype=torch.float64)
    for j, x in enumerate(xs):
        out[:, a.first + j] = (dy * x).reshape(len(dy), -1).sum(1)
    return [out]


@replay("root_sum")
def _(a, x):
    return [(x + a.shift).sqrt().sum(), (x + a.shift) ** -0.5]


@replay("trace_root")
def _(a, x):
    values, vectors = torch.linalg.eigh((x + x.T) / 2)
    root = (values + a.shift).sqrt()
    return [root.sum(), vectors @ torch.diag(1 / root) @ vectors.T]


@replay("instance_weights")
def _(a, auxiliary, target):
    rows = auxiliary.flatten(1)
    cosines = F.cosine_similarity(rows, target.flatten(1).mean(0)[None], dim=1, eps=0).nan_to_num(0).relu()
    some = rows.any(1).sum().clamp(min=1)
    total = cosines.sum()
    weights = cosines * some / total if total > 0 else cosines
    return [weights[:, None], total / some, ((cosines == 0) & rows.any(1)).sum() / some]


REPLAY["slice"] = lambda a, x: [torch.narrow(x, a.axis, a.begin, a.end - a.begin)]
REPLAY["channel_sum"] = lambda a, y: [y.sum(tuple(range(y.dim() - 1))) if y.dim() > 1 else y]
REPLAY["dense"] = lambda a, x, w, b=None: [F.linear(x, w.T, b)]
REPLAY["dense_grad_x"] = lambda a, dy, w: pulled(
    lambda x: F.linear(x, w.T), dy, torch.zeros(dy.shape[0], w.shape[0], dtype=dy.dtype))
REPLAY["dense_grad_w"] = lambda a, x, dy: pulled(
    lambda w: F.linear(x, w.T), dy, torch.zeros(x.shape[1], dy.shape[1], dtype=dy.dtype))


@replay("slice_grad")
def _(a, dy):
    shape = list(dy.shape)
    shape[a.axis] = a.size
    return pulled(lambda x: x.narrow(a.axis, a.begin, dy.shape[a.axis]), dy, dy.new_zeros(shape))


@replay("normalize")
def _(a, x):
    scale, shift = (torch.tensor(v[:a.channels], dtype=torch.float64) for v in (a.scale, a.shift))
    return [x.double() * scale + shift]


@replay("dropout")
def _(a, x):
    seed = a.seed[0] | a.seed[1] << 32
    uniform = torch.from_numpy(philox.uniform(seed, a.stream | a.step[0] << 32, x.numel()))
    return [x * (uniform.reshape(x.shape) >= a.p) / (1 - a.p)]


RELU, LEAKY_RELU, SIGMOID, TANH = 1, 2, 3, 4


@replay("activation")
def _(a, x):
    return [{RELU: F.relu, LEAKY_RELU: lambda x: F.leaky_relu(x, a.alpha), SIGMOID: torch.sigmoid,
             TANH: torch.tanh}[a.kind](x)]


@replay("activation_grad")
def _(a, dy, y):
    return [{RELU: lambda: aten.threshold_backward(dy, y, 0),
             LEAKY_RELU: lambda: aten.leaky_relu_backward(dy, y, a.alpha, True),
             SIGMOID: lambda: aten.sigmoid_backward(dy, y),
             TANH: lambda: aten.tanh_backward(dy, y)}[a.kind]()]


@replay("softmax")
def _(a, x):
    return [F.log_softmax(x, -1) if a.log else F.softmax(x, -1)]


@replay("softmax_grad")
def _(a, y, dy):
    backward = aten._log_softmax_backward_data if a.log else aten._softmax_backward_data
    return [backward(dy, y, y.dim() - 1, y.dtype)]


# ---- batch norm


def channels_second(x):
    return x.movedim(-1, 1).contiguous()


def channels_last(x):
    return x.movedim(1, -1)


@replay("batch_norm")
def _(a, x, gamma, beta, mean, var, counter=None):
    mean, var = mean.clone(), var.clone()
    y, batch_mean, invstd = torch.native_batch_norm(channels_second(x), gamma, beta, mean, var, True,
                                                    a.momentum, a.eps)
    return [channels_last(y), batch_mean, invstd, mean, var,
            None if counter is None else counter + 1]


@replay("batch_norm_grad")
def _(a, dy, x, gamma, mean, invstd):
    dx, dgamma, dbeta = aten.native_batch_norm_backward(
        channels_second(dy), channels_second(x), gamma, None, None, mean, invstd, True, 0.0,
        [True, True, True])
    return [channels_last(dx), dgamma, dbeta]


def folded(gamma, beta, mean, var, eps):
    """Scale and shift of batch norm with fixed statistics: its results for 1 and for 0."""
    x = torch.stack([torch.zeros_like(mean), torch.ones_like(mean)])
    at_0, at_1 = F.batch_norm(x, mean, var, gamma, beta, False, 0.0, eps)
    return at_1 - at_0, at_0


@replay("bn_fold")
def _(a, gamma, beta, mean, var):
    return list(folded(gamma, beta, mean, var, a.eps))


@replay("bn_fold_grad")
def _(a, mean, var, dscale, dshift=None):
    dy = [d if d is not None else torch.zeros_like(mean) for d in (dscale, dshift)]
    zero = torch.zeros_like(mean)
    return pulled(lambda gamma: folded(gamma, zero, mean, var, a.eps), dy, zero)


def affine(x, scale, shift=None):
    return x * scale if shift is None else torch.addcmul(shift, x, scale)


@replay("channel_affine")
def _(a, x, scale, shift=None):
    return [affine(x, scale, shift)]


@replay("channel_affine_grad")
def _(a, dy, x):
    zero = x.new_zeros(x.shape[-1])
    return pulled(lambda scale, shift: affine(x, scale, shift), dy, zero, zero)


# ---- convolutions


def conv_options(a):
    return {"stride": [s or 1 for s in a.stride], "padding": a.padding,
            "dilation": [d or 1 for d in a.dilation], "groups": a.groups or 1}


@replay("conv2d")
def _(a, x, w, b=None):
    return [nhwc(F.conv2d(nchw(x), kcrs(w), b, **conv_options(a)))]


@replay("conv_transpose2d")
def _(a, x, w, b=None):
    return [nhwc(F.conv_transpose2d(nchw(x), kcrs(w), b, output_padding=a.output_padding,
                                    **conv_options(a)))]


@replay("conv2d_grad_data")
def _(a, dy, w):
    shape = (dy.shape[0], w.shape[2] * (a.groups or 1), *a.size)
    return [nhwc(torch.nn.grad.conv2d_input(shape, kcrs(w), nchw(dy), **conv_options(a)))]


@replay("conv2d_grad_filter")
def _(a, x, dy):
    shape = (dy.shape[3], x.shape[3] // (a.groups or 1), *a.kernel)
    return [rsck(torch.nn.grad.conv2d_weight(nchw(x), shape, nchw(dy), **conv_options(a)))]


@replay("conv2d_grad_filter_bias")
def _(a, x, dy):
    w = x.new_zeros(dy.shape[3], x.shape[3] // (a.groups or 1), *a.kernel)
    dw, db = pulled(lambda w, b: F.conv2d(nchw(x), w, b, **conv_options(a)), nchw(dy), w,
                    x.new_zeros(dy.shape[3]))
    return [rsck(dw), db]


# ---- pools. Our indices are positions in the window, PyTorch's positions in the image.


def pool_options(a):
    stride = [s or k for s, k in zip(a.stride, a.kernel)]
    return {"kernel_size": a.kernel, "stride": stride, "padding": a.padding,
            "ceil_mode": a.ceil_mode}


def corners(a, index):
    """Rows and columns of the windows' first positions, to be broadcast over N,C,P,Q."""
    o = pool_options(a)
    starts = [torch.arange(n) * s - p for n, s, p in zip(index.shape[2:], o["stride"], a.padding)]
    return starts[0].reshape(-1, 1), starts[1]


def in_window(a, index, width):
    rows, columns = corners(a, index)
    return (index // width - rows) * a.kernel[1] + index % width - columns


def in_image(a, index, h, w):
    """Positions in the image, and whether they are inside."""
    rows, columns = corners(a, index)
    rows, columns = rows + index // a.kernel[1], columns + index % a.kernel[1]
    return rows * w + columns, (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)


@replay("max_pool2d")
def _(a, x):
    y, index = F.max_pool2d(nchw(x), return_indices=True, **pool_options(a))
    return [nhwc(y), nhwc(in_window(a, index, x.shape[2]))]


@replay("max_pool2d_grad")
def _(a, dy, index):
    dy, index = nchw(dy), nchw(index)
    at, inside = in_image(a, index, a.h, a.w)
    o = pool_options(a)
    x = dy.new_zeros(*dy.shape[:2], a.h, a.w)
    return [nhwc(aten.max_pool2d_with_indices_backward(
        dy * inside, x, o["kernel_size"], o["stride"], o["padding"], [1, 1], o["ceil_mode"],
        torch.where(inside, at, 0)))]


def unpooled(a, x, index):
    """Positions outside the image go to a row below it, which is cut off."""
    at, inside = in_image(a, index, a.h, a.w)
    at = torch.where(inside, at, a.h * a.w)
    return aten.max_unpool2d(x, at, [a.h + 1, a.w])[:, :, :a.h]


@replay("max_unpool2d")
def _(a, x, index):
    return [nhwc(unpooled(a, nchw(x), nchw(index)))]


@replay("max_unpool2d_grad")
def _(a, dy, index):
    index = nchw(index)
    dx, = pulled(lambda x: unpooled(a, x, index), nchw(dy),
                 torch.zeros(index.shape, dtype=dy.dtype))
    return [nhwc(dx)]


def avg_pooled(a, x):
    return F.avg_pool2d(x, count_include_pad=a.count_include_pad, **pool_options(a))


@replay("avg_pool2d")
def _(a, x):
    return [nhwc(avg_pooled(a, nchw(x)))]


@replay("avg_pool2d_grad")
def _(a, dy):
    dy = nchw(dy)
    dx, = pulled(lambda x: avg_pooled(a, x), dy, dy.new_zeros(*dy.shape[:2], a.h, a.w))
    return [nhwc(dx)]


@replay("global_avg_pool")
def _(a, x):
    return [F.adaptive_avg_pool2d(nchw(x), 1).flatten(1)]


@replay("global_avg_pool_grad")
def _(a, dy):
    dx, = pulled(lambda x: F.adaptive_avg_pool2d(x, 1).flatten(1), dy,
                 dy.new_zeros(*dy.shape, a.h, a.w))
    return [nhwc(dx)]


@replay("global_max_pool")
def _(a, x):
    y, index = F.adaptive_max_pool2d(nchw(x), 1, return_indices=True)
    return [y.flatten(1), index.flatten(1)]


@replay("global_max_pool_grad")
def _(a, dy, index):
    return [nhwc(aten.adaptive_max_pool2d_backward(
        dy[:, :, None, None], dy.new_zeros(*dy.shape, a.h, a.w), index[:, :, None, None]))]


# ---- resizing


def nearest(a, x, size):
    return F.interpolate(x, size=size, mode="nearest")


def bilinear(a, x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=a.align_corners)


for _name, _resize in (("upsample_nearest", nearest), ("upsample_bilinear", bilinear)):
    def _forward(a, x, resize=_resize):
        return [nhwc(resize(a, nchw(x).double(), (a.h, a.w)))]  # PyTorch resizes no integers

    def _backward(a, dy, resize=_resize):
        dy = nchw(dy)
        dx, = pulled(lambda x: resize(a, x, dy.shape[2:]), dy, dy.new_zeros(*dy.shape[:2], a.h, a.w))
        return [nhwc(dx)]
    REPLAY[_name], REPLAY[_name + "_grad"] = _forward, _backward


# ---- losses: means over what is valid; nothing valid gives 0 where PyTorch gives NaN


def label_sum(a, x, labels, weights):
    """The sum of the row losses, and what the mean divides by."""
    x, labels = x.reshape(-1, x.shape[-1]), labels.flatten()
    valid = (labels >= 0) & (labels != a.ignore_index)
    labels = torch.where(valid, labels, -100)
    total = (x.new_ones(x.shape[1]) if weights is None else weights)[labels[valid]].sum()
    if not a.log_probs:
        return F.cross_entropy(x, labels, weights, reduction="sum",
                               label_smoothing=a.label_smoothing), total
    plain = F.nll_loss(x, labels, weights, reduction="sum")
    smooth = -(x if weights is None else x * weights)[valid].mean(1).sum()
    return (1 - a.label_smoothing) * plain + a.label_smoothing * smooth, total


def mean(total_loss, total):
    return total_loss / total if total > 0 else 0 * total_loss


@replay("label_loss")
def _(a, x, labels, weights=None):
    loss, total = label_sum(a, x, labels, weights)
    return [mean(loss, total), total]


@replay("label_loss_grad")
def _(a, x, labels, weights, total, dloss):
    return pulled(lambda x: mean(label_sum(a, x, labels, weights)[0], total), dloss, x)


L1, L2, HUBER, BCE = 0, 1, 2, 3


def point_sum(a, x, target, mask):
    """The sum of the losses of the elements that count, and how many they are."""
    if mask is not None:
        mask = mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim())).expand(x.shape) != 0
        x, target = x[mask], target[mask]
    loss = {L1: lambda: F.l1_loss(x, target, reduction="sum"),
            L2: lambda: F.mse_loss(x, target, reduction="sum"),
            HUBER: lambda: F.huber_loss(x, target, reduction="sum", delta=a.parameter),
            BCE: lambda: F.binary_cross_entropy_with_logits(
                x, target, reduction="sum",
                pos_weight=torch.tensor(a.parameter, dtype=x.dtype))}[a.kind]()
    return loss, torch.tensor(float(x.numel()), dtype=x.dtype)


@replay("point_loss")
def _(a, x, target, mask=None):
    loss, total = point_sum(a, x, target, mask)
    return [mean(loss, total), total]


@replay("point_loss_grad")
def _(a, x, target, mask, total, dloss):
    return pulled(lambda x: mean(point_sum(a, x, target, mask)[0], total), dloss, x)


def dice_sums(a, p, labels):
    """I, P, Y of the rows that count, as (3, C), and their number."""
    classes = p.shape[-1]
    p, y = p.reshape(-1, classes), labels.reshape(-1)
    if torch.is_floating_point(y):
        valid, hot = ~torch.isnan(y), y[:, None]
    else:
        valid = (y >= 0) & (y != a.ignore_index)
        hot = y[:, None].to(p.dtype) if classes == 1 else F.one_hot(y.clamp(min=0).long(), classes)
    p, hot = p[valid], hot[valid].to(p.dtype)
    return torch.stack([(p * hot).sum(0), p.sum(0), hot.sum(0)]), valid.sum().to(p.dtype)


def dice(a, sums):
    """Of the classes that occur (one output: always)."""
    i, p, y = sums if sums.shape[1] == 1 else sums[:, sums[2] > 0]
    return 1 - ((2 * i + a.smooth) / (p + y + a.smooth)).mean() if i.numel() else i.sum()


@replay("dice_loss")
def _(a, p, labels):
    sums, total = dice_sums(a, p, labels)
    return [dice(a, sums), total, sums]


@replay("dice_loss_grad")
def _(a, p, labels, sums, dloss):
    def loss(x):  # with the given sums, which move as x moves
        now, _ = dice_sums(a, x, labels)
        return dice(a, sums + now - now.detach())
    return pulled(loss, dloss, p)


@replay("mask_fill")
def _(a, x, mask=None):
    counts = torch.ones_like(x, dtype=torch.bool)
    if mask is not None:
        counts &= mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim())) != 0
    for value in a.invalid[:a.count]:
        equal = x == value
        counts &= ~(equal.all(-1, keepdim=True) if x.dim() == 4 else equal)
    return [torch.where(counts, x, torch.full_like(x, a.fill))]


@replay("weighted_sum")
def _(a, *losses):
    return [torch.dot(torch.stack(losses), torch.tensor(a.weight[:len(losses)], dtype=torch.float64))]


GAUSSIAN, LAPLACE, CLASSIFICATION, UNIFORM, IMTL = 0, 1, 2, 3, 4


def uncertain(a, loss, s):
    """Kendall, Gal, Cipolla 2018, with s = log sigma^2, from sigma as the paper writes it; IMTL-L."""
    if a.likelihood == IMTL:
        return torch.exp(s) * loss - s
    sigma = torch.exp(s / 2)
    weighted = {GAUSSIAN: loss / (2 * sigma**2), LAPLACE: loss / sigma,
                CLASSIFICATION: loss / sigma**2, UNIFORM: loss / (2 * sigma**2)}[a.likelihood]
    return weighted + (torch.log(1 + sigma**2) if a.positive else torch.log(sigma))


def of_something(term, total):
    """A loss of no element has no term."""
    return term if total is None else term * (total != 0)


@replay("uncertainty")
def _(a, loss, s, total=None):
    return [of_something(uncertain(a, loss, s), total)]


@replay("uncertainty_grad")
def _(a, loss, s, dy, total=None):
    return pulled(lambda loss, s: of_something(uncertain(a, loss, s), total), dy, loss, s)


GIVEN, GLS, SI, STCH, UW_SO, FAMO = range(6)


def total_by_rule(a, rule, losses, p, q):
    """The total as the papers write it; autograd finds the weights."""
    if rule == GIVEN:
        return (p * losses).sum()
    if rule == GLS:
        return losses.prod() ** (1 / len(losses))
    if rule == SI:
        return losses.log().sum()
    if rule == STCH:
        return a.parameter * torch.logsumexp(p * (losses / q).log() / a.parameter, 0)
    if rule == UW_SO:
        return (torch.softmax(1 / (a.parameter * losses.detach()), 0) * losses).sum()
    z = torch.softmax(p, 0)
    return (z * (losses - q).log()).sum() / (z / (losses - q)).sum().detach()


@replay("task_weights")
def _(a, losses, totals, given):
    there = totals != 0
    weights = torch.zeros_like(losses)
    if not there.any():
        return [losses.new_zeros(()), weights]
    # a loss of 0 counts as 1e-20, so that its logarithm is finite
    leaf = losses[there].clamp(min=1e-20).requires_grad_(True)
    p, q = given[0][there], given[1][there]
    rule = SI if a.rule == STCH and not (q > 0).all() else a.rule
    total = total_by_rule(a, rule, leaf, p, q) / (1 if rule == a.rule else len(leaf))
    weights[there], = torch.autograd.grad(total, leaf)
    if rule == FAMO:  # the reported total is not divided
        total = (torch.softmax(p, 0) * (leaf - q).log()).sum()
        return [a.factor * total, weights]
    return [a.factor * total, a.factor * weights]


# ---- output ------------------------------------------------------------------------------------------


def line(case, output, values):
    values = np.ascontiguousarray(values.detach().numpy()).astype(np.float64)
    name = f'{case["op"]}/{case["sample"]}/{output}'
    if not np.isfinite(values).all():
        raise SystemExit(f"{name}: PyTorch's result is not finite")
    numbers = ", ".join(f"{v:.8g}" for v in philox.projections(name, values))
    return (f'{{"op": "{case["op"]}", "sample": "{case["sample"]}", "output": {output}, '
            f'"norm": {np.linalg.norm(values):.9g}, "projections": [{numbers}]}}')


def lines_of(case, step):
    attrs = SimpleNamespace(**case["attrs"], **step) if case["op"] == "dropout" else SimpleNamespace(
        **case["attrs"])
    results = list(REPLAY[case["op"]](attrs, *[tensor(spec) for spec in case["inputs"]]))
    for output, spec in enumerate(case["outputs"]):
        if spec is None:
            continue
        got = list(results[output].shape)
        if got != spec["dims"]:
            raise SystemExit(f'{case["op"]} [{case["sample"]}]: output {output} is {got} in PyTorch, '
                             f'{spec["dims"]} here')
        yield line(case, output, results[output])


def main():
    if len(sys.argv) != 2:
        raise SystemExit("usage: make_sample_golden.py path/to/dump_samples")
    torch.set_num_threads(1)
    dump = subprocess.run([sys.argv[1]], check=True, capture_output=True, text=True).stdout.splitlines()
    step, cases = json.loads(dump[0]), [json.loads(text) for text in dump[1:]]
    out = []
    for op, reason in LEFT_OUT.items():
        out.append(json.dumps({"op": op, "left_out": reason}))
    for (op, sample), reason in LEFT_OUT_SAMPLES.items():
        out.append(json.dumps({"op": op, "sample": sample, "left_out": reason}))
    for case in cases:
        if case["op"] in LEFT_OUT or (case["op"], case["sample"]) in LEFT_OUT_SAMPLES:
            continue
        if case["op"] not in REPLAY:
            raise SystemExit(f'{case["op"]}: add its PyTorch counterpart to REPLAY, or a reason to LEFT_OUT')
        out += lines_of(case, step)
    path = pathlib.Path(__file__).with_name("sample_golden.jsonl")
    path.write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()

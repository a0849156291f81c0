#!/usr/bin/env python3
"""Writes tests/ref/<net>_golden.h for the networks below at reduced size: what PyTorch computes in float64 from
the initial weights that tandem draws. Ten steps (one of ResNet-50 and of the two SegNets) of the optimiser on one made-up batch (losses), every gradient of
the first step, and batch norm's statistics after the first and after the tenth step, as norms and 64 random
projections. Beside each stands the larger error of PyTorch's float32 in its two memory formats; tandem may have twice
that. Gradients of biases right before a batch norm are rounding noise and left out; running means are taken minus
those biases. Run it by hand when a network changes; tests only read the headers.

    make_net_golden.py [--rotations] [net ...]

--rotations writes nothing: it prints the worst error of float32 on rotated batches in units of what tandem may have.
"""
import os
import re
import sys

import numpy as np
import torch
from torch import nn

import models
import philox

STEPS = {"resnet50": 1, "stitch_segnet": 1}  # others: 10
# What draws the initial weights and the batch. Ten steps of a network with batch norm can hang on one rounding: with
# seed 0 ResNet-18 has first gradients of 5e-9 and 7e-9 (their weights' rms: 6e-3) whose sign, a whole step of Adam
# each, float32 does not know, and in the third step a ReLU whose input rounding moves across zero, after which
# gradients differ by 5e-2: PyTorch's own float32 is off by 2e-6 in the losses, or by 1e-4 with the samples rotated.
# These are the first seeds for which every rotation in either memory format stays within the bound (--rotations shows
# it; with seed 2, ResNet-50's first gradients already miss it 340 times over).
SEEDS = {"resnet": 6, "resnet50": 10}
# What stands still: requires_grad_(False), batch norm in eval mode with made-up statistics.
FROZEN = {"frozen_unet": "encoder.down."}
KINDS = ("gradients", "first_state", "last_state")
# Whose statistics are not written: others' batch norms check them, and these have many.
NO_STATE = ("mtan", "mtan_resnet", "pad_net_a", "pad_net_b", "pad_net_c")
# Gradients that are not written: of the last units of ResNet's stages, which `resnet` checks; of the trunk of two of
# three networks that differ above it.
LEFT_OUT = {"low_rank": r".*\.v\.",  # exactly 0 in the first step, as U is
            "mtan_resnet": r"layer\d\.1\.", "pad_net_a": r"encoder\.", "pad_net_b": r"encoder\."}
LAYOUTS = (torch.contiguous_format, torch.channels_last)
F = nn.functional


# ---- made-up data: the twin of tests/support/parity.c --------------------------------------------------------------

class Batch:
    """The arrays of one batch, with the samples rotated by `shift`."""

    def __init__(self, seed, n, shift):
        self.seed, self.n, self.shift = seed, n, shift

    def draws(self, name, shape):
        shape = (self.n, *shape)
        numbers = philox.u32(self.seed, philox.stream("parity." + name), int(np.prod(shape))).reshape(shape)
        return np.roll(numbers, self.shift, axis=0)

    def pixels(self, name, h, w):
        values = (self.draws(name, (h, w, 3)) >> np.uint64(24)).astype(np.float32) * np.float32(1 / 255.0)
        return torch.from_numpy(values).permute(0, 3, 1, 2)

    def labels(self, name, shape, classes, first=0):
        return torch.from_numpy((self.draws(name, shape) % np.uint64(classes - first)).astype(np.int64) + first)

    def values(self, name, shape, scale):
        u = (self.draws(name, shape) >> np.uint64(8)).astype(np.float64) * 2.0 ** -24
        return torch.from_numpy((u * scale).astype(np.float32))

    def flags(self, name, shape):
        return torch.from_numpy((self.draws(name, shape) % np.uint64(4) != 0).astype(np.float32))


# ---- networks: (module, initial scheme, images, learning rate, losses(out)) ------------------------------------------

def segnet(seed, shift):
    h, w = 64, 96
    b = Batch(seed, 4, shift)
    semantic = b.labels("semantic", (h, w), 13, -1)
    depth, valid = b.values("depth", (1, h, w), 10), b.flags("valid", (1, h, w))

    def losses(out):
        error = (out["depth"] - depth.to(out["depth"].dtype)).abs()
        return [F.nll_loss(out["semantic"], semantic, ignore_index=-1), (error * valid).sum() / valid.sum()]

    return models.SegNet([8, 16, 32, 64, 64]), "xavier-normal", b.pixels("images", h, w), 1e-4, losses


def unet(seed, shift):
    h, w = 32, 48
    b = Batch(seed, 4, shift)
    masks, species, boxes = b.labels("masks", (h, w), 2), b.labels("species", (), 3), b.values("boxes", (4,), 48)  # target_scale: 48

    def losses(out):
        return [F.cross_entropy(out["mask"], masks), F.cross_entropy(out["class"], species),
                F.l1_loss(out["box"], boxes.to(out["box"].dtype) / 48)]

    return models.UNet([8, 16, 32, 64], classes=3), "default", b.pixels("images", h, w), 1e-3, losses


def frozen_unet(seed, shift):
    return unet(seed, shift)


def resnet(seed, shift):
    b = Batch(seed, 8, shift)
    target = b.labels("labels", (), 10)
    net = models.ResNet((2, 2, 2, 2), filters=(8, 16, 32, 64), cifar_stem=True)
    return net, "resnet", b.pixels("images", 16, 16), 1e-3, lambda out: [F.cross_entropy(out["class"], target)]


def resnet50(seed, shift):
    b = Batch(seed, 4, shift)
    target = b.labels("labels", (), 10)
    net = models.ResNet((3, 4, 6, 3), models.Bottleneck, filters=(4, 8, 8, 8))
    return net, "resnet", b.pixels("images", 64, 64), 1e-3, lambda out: [F.cross_entropy(out["class"], target)]


def cnn(seed, shift):
    b = Batch(seed, 8, shift)
    target = b.labels("labels", (), 10)
    net = models.Cnn((8, 16, 32), classes=10)
    return net, "default", b.pixels("images", 16, 16), 1e-3, lambda out: [F.cross_entropy(out["class"], target)]


def soft_cnn(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    net = models.SoftCnn((8, 16, 32), {name: 5 for name in targets}, weight=0.1)
    return (net, "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def two_tasks(seed, shift, make, filters=(8, 16, 32)):
    """A network of the classes of two tasks over one batch of 16x16 images."""
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    return (make(filters, {name: 5 for name in targets}), "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def mmoe(seed, shift):
    return two_tasks(seed, shift, lambda f, classes: models.Mmoe(f, classes, experts=3, below=1, size=16))


def cgc(seed, shift):
    return two_tasks(seed, shift, lambda f, classes: models.Cgc(f, classes, shared=2, own=1, size=16), (8, 16))


def ple(seed, shift):
    return two_tasks(seed, shift, lambda f, classes: models.Ple(f, classes, shared=1, own=1, size=16), (8, 16))


def per_task_norm(seed, shift):
    return two_tasks(seed, shift, lambda f, classes: models.PerTaskCnn(f, classes, rank=0))


def low_rank(seed, shift):
    return two_tasks(seed, shift, lambda f, classes: models.PerTaskCnn(f, classes, rank=2))


def instance_cnn(seed, shift):
    return two_tasks(seed, shift, models.InstanceCnn)


def strided_cnn(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    net = models.StridedCNN({name: 5 for name in targets}, size=16)
    return (net, "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def mtan(seed, shift):
    h, w = 32, 48
    b = Batch(seed, 4, shift)
    semantic = b.labels("semantic", (h, w), 13, -1)
    depth, valid = b.values("depth", (1, h, w), 10), b.flags("valid", (1, h, w))

    def losses(out):
        error = (out["depth"] - depth.to(out["depth"].dtype)).abs()
        return [F.nll_loss(out["semantic"], semantic, ignore_index=-1), (error * valid).sum() / valid.sum()]

    return models.MtanSegNet([8, 16]), "xavier-normal", b.pixels("images", h, w), 1e-4, losses


def mtan_resnet(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    net = models.MtanResNet((2, 2, 2, 2), {name: 5 for name in targets}, filters=(8, 8, 16, 16), cifar_stem=True)
    return (net, "resnet", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def pad_net(kind):
    """Intermediate predictions at a quarter of the size, with the targets of the nearest pixels; they count half."""

    def make(seed, shift):
        h, w = 32, 48
        b = Batch(seed, 4, shift)
        semantic = b.labels("semantic", (h, w), 13, -1)
        depth, valid = b.values("depth", (1, h, w), 10), b.flags("valid", (1, h, w))

        def losses_at(out, step):
            here = valid[..., ::step, ::step]
            error = (out["depth"] - depth[..., ::step, ::step].to(out["depth"].dtype)).abs()
            return [F.cross_entropy(out["semantic"], semantic[..., ::step, ::step], ignore_index=-1),
                    (error * here).sum() / here.sum()]

        def losses(out):
            final, intermediate = out
            return [f + 0.5 * i for f, i in zip(losses_at(final, 1), losses_at(intermediate, 4))]

        net = models.PadNet([4, 8, 8, 16], kind, {"semantic": 13, "depth": 1}, channels=8)
        return net, "default", b.pixels("images", h, w), 1e-3, losses

    return make


NETS = {"segnet": segnet, "unet": unet, "frozen_unet": frozen_unet, "resnet": resnet, "resnet50": resnet50, "cnn": cnn,
        "soft_cnn": soft_cnn, "strided_cnn": strided_cnn, "mtan": mtan, "mtan_resnet": mtan_resnet, "mmoe": mmoe,
        "cgc": cgc, "ple": ple, "per_task_norm": per_task_norm, "low_rank": low_rank,
        "instance_cnn": instance_cnn, **{"pad_net_" + kind.lower(): pad_net(kind) for kind in "ABC"}}


def stitch_cnn(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second", "third")}
    net = models.CrossStitchCnn((8, 12), {name: 5 for name in targets}, per_channel=False)
    return (net, "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def stitch_channels_cnn(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    net = models.CrossStitchCnn((8, 12), {name: 5 for name in targets}, per_channel=True)
    return (net, "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def stitch_segnet(seed, shift):
    _, scheme, images, lr, losses = segnet(seed, shift)
    return models.CrossStitchSegNet([4, 8]), scheme, images, lr, losses


NETS |= {"stitch_cnn": stitch_cnn, "stitch_channels_cnn": stitch_channels_cnn, "stitch_segnet": stitch_segnet}


def two_heads(seed, shift, net_of):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second")}
    return (net_of({name: 5 for name in targets}), "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def nddr_cnn(seed, shift):
    return two_heads(seed, shift, lambda classes: models.NddrCnn((8, 12), classes))


def sluice(seed, shift):
    return two_heads(seed, shift, lambda classes: models.SluiceNet(8, classes, weight=0.05))


def soft_trace_cnn(seed, shift):
    b = Batch(seed, 8, shift)
    targets = {name: b.labels(name, (), 5) for name in ("first", "second", "third")}
    net = models.SoftCnn((8, 12), {name: 5 for name in targets}, weight=0.1, norm="trace")
    return (net, "default", b.pixels("images", 16, 16), 1e-3,
            lambda out: [F.cross_entropy(out[name], target) for name, target in targets.items()])


def soft_l21_cnn(seed, shift):
    return two_heads(seed, shift, lambda classes: models.SoftCnn((8, 12), classes, weight=0.1, norm="l21"))


NETS |= {"nddr_cnn": nddr_cnn, "sluice": sluice, "soft_trace_cnn": soft_trace_cnn, "soft_l21_cnn": soft_l21_cnn}


# ---- running --------------------------------------------------------------------------------------------------

def initial(seed, scheme, module, part, name, shape):
    """What tandem draws for this parameter; None: PyTorch's constant."""
    if isinstance(module, nn.ParameterDict):  # W + U V: U is 0
        return philox.weights(seed, name, shape, np.prod(shape[1:]) ** -0.5) if ".v." in name else None
    weight = module.weight
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) or getattr(module, "constant", False):
        return None
    taps = weight[0, 0].numel()
    fans = weight.shape[1] * taps, weight.shape[0] * taps
    if scheme == "xavier-normal":
        if part == "bias":
            return np.zeros(shape, np.float32)
        return philox.normal_weights(seed, name, shape, (2 / sum(fans)) ** 0.5)
    if scheme == "resnet" and isinstance(module, nn.Conv2d) and not name.startswith("attention"):
        return philox.normal_weights(seed, name, shape, (2 / fans[1]) ** 0.5)
    return philox.weights(seed, name, shape, fans[0] ** -0.5)


def initialise(net, scheme, seed):
    for name, parameter in net.named_parameters():
        module, part = name.rsplit(".", 1)
        drawn = initial(seed, scheme, net.get_submodule(module), part, name, tuple(parameter.shape))
        if drawn is not None:
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(drawn))


def freeze(net, prefix, seed):
    """The twin of fill_frozen in tests/train/test_parity_nets.c."""
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(not name.startswith(prefix))
    for name, module in net.named_modules():
        if name.startswith(prefix):
            module.eval()
    for name, buffer in net.named_buffers():
        if name.startswith(prefix) and name.endswith(("running_mean", "running_var")):
            u = (philox.u32(seed, philox.stream("parity." + name), buffer.numel()) >> np.uint64(8)) * 2.0 ** -24
            values = 0.5 + u if name.endswith("running_var") else 0.4 * u - 0.2
            buffer.copy_(torch.from_numpy(values.astype(np.float32)))


def biases_before_norm(net):
    """Batch norm -> the bias that goes straight into it: the module before it in definition order."""
    found, last = {}, (None, None)
    for name, module in net.named_modules():
        norm = isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
        if norm and not isinstance(last[1], type(module)) and getattr(last[1], "bias", None) is not None:
            found[name] = last[0] + ".bias"
        if hasattr(module, "weight"):
            last = (name, module)
    return found


def statistics(net, biases):
    values = {k: v.detach().double().numpy().copy() for k, v in net.state_dict().items()}
    found = {k: v for k, v in values.items() if k.endswith(("running_mean", "running_var"))}
    for name, bias in biases.items():
        found[name + ".running_mean"] -= values[bias]
    return found


def run(name, dtype, layout, shift=0):
    seed = SEEDS.get(name, 0)
    net, scheme, images, lr, losses = NETS[name](seed, shift)
    initialise(net, scheme, seed)
    if name in FROZEN:
        freeze(net, FROZEN[name], seed)
    net = net.to(dtype=dtype, memory_format=layout)
    images = images.to(dtype=dtype, memory_format=layout)
    biases = biases_before_norm(net)
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=lr)
    result = {"seed": seed, "batch": len(images), "lr": lr, "losses": [], "gradients": {}, "biases": biases}
    for step in range(STEPS.get(name, 10)):
        adam.zero_grad(set_to_none=True)
        tasks = losses(net(images))
        total = sum(tasks)
        if hasattr(net, "backward"):
            net.backward(tasks)
        else:
            (total + net.penalty() if hasattr(net, "penalty") else total).backward()
        result["losses"].append([t.item() for t in tasks] + [total.item()])
        if step == 0:
            for key, p in net.named_parameters():
                left_out = name in LEFT_OUT and re.match(LEFT_OUT[name], key)
                if p.requires_grad and key not in biases.values() and not left_out:
                    result["gradients"][key] = p.grad.double().numpy().copy()
            result["first_state"] = statistics(net, biases)
        adam.step()
    result["last_state"] = statistics(net, biases)
    return result


def norm(x):
    return float(np.linalg.norm(x))


def errors(single, truth):
    """(kind, name) -> the relative error of a run; losses: by column, over the steps."""
    found = {("losses", i): norm(np.subtract(s, t)) / norm(t)
             for i, (s, t) in enumerate(zip(zip(*single["losses"]), zip(*truth["losses"])))}
    for kind in KINDS:
        found |= {(kind, name): norm(single[kind][name] - value) / norm(value) for name, value in truth[kind].items()}
    return found


def truth_and_bounds(net):
    """float64's run, and for every (kind, name) the larger error of float32 in the two memory formats."""
    truth = run(net, torch.float64, torch.contiguous_format)
    singles = [errors(run(net, torch.float32, layout), truth) for layout in LAYOUTS]
    return truth, {key: max(s[key] for s in singles) for key in singles[0]}


def print_rotations(net):
    truth, bounds = truth_and_bounds(net)
    for shift in range(1, truth["batch"]):
        for layout in LAYOUTS:
            found = errors(run(net, torch.float32, layout, shift), truth)
            ratios = {key: error / max(2 * bounds[key], 1e-5) for key, error in found.items()}
            worst = max(ratios, key=ratios.get)
            print(f"{net}, rotated by {shift}, {layout}: {ratios[worst]:.2f} in {worst}", flush=True)


# ---- writing --------------------------------------------------------------------------------------------------

def number_rows(values, indent, per_line=6):
    lines = [", ".join(f"{v:.8g}" for v in values[i:i + per_line]) for i in range(0, len(values), per_line)]
    return (",\n" + " " * indent).join(lines)


def write_tensors(f, net, kind, truth, bounds):
    f.write(f"static const golden_tensor {net}_{kind}[] = {{\n")
    for name, value in truth[kind].items():
        bias = truth["biases"].get(name[:-len(".running_mean")]) if name.endswith("running_mean") else None
        minus = f'"{bias}"' if bias else "NULL"
        f.write(f'    {{"{name}", {minus}, {norm(value):.9g}, {bounds[kind, name]:.2e},\n     {{')
        f.write(number_rows(philox.projections(name, value), 6) + "}},\n")
    f.write("};\n")


def write_losses(f, net, truth, bounds):
    columns = len(truth["losses"][0])
    float32 = [bounds["losses", i] for i in range(columns)]
    for what, table, digits in (("losses", truth["losses"], "10"), ("loss_errors", [float32], "2")):
        f.write(f"static const double {net}_{what}[] = {{\n")
        for row in table:
            f.write("    " + ", ".join(f"{v:.{digits}g}" for v in row) + ",\n")
        f.write("};\n")
    return columns


def write(net):
    truth, bounds = truth_and_bounds(net)
    out = os.path.join(os.path.dirname(os.path.abspath(__file__)), net + "_golden.h")
    with open(out, "w") as f:
        f.write("/* Written by make_net_golden.py: PyTorch in float64, and float32's relative errors. */\n")
        columns = write_losses(f, net, truth, bounds)
        steps = len(truth["losses"])
        kinds = KINDS[:1] if net in NO_STATE else KINDS if steps > 1 else KINDS[:2]
        for kind in kinds:
            write_tensors(f, net, kind, truth, bounds)
        f.write(f"static const golden_net {net}_golden = {{\n    {truth['seed']}, {truth['batch']}, {steps}, {columns}, "
                f"{truth['lr']!r}, {net}_losses, {net}_loss_errors")
        for kind in kinds:
            f.write(f",\n    {net}_{kind}, sizeof {net}_{kind} / sizeof *{net}_{kind}")
        f.write("};\n")
    worst = max(error for (kind, _), error in bounds.items() if kind == "gradients")
    print(f"{net}: losses {truth['losses'][0]} -> {truth['losses'][-1]}, float32's worst gradient error {worst:.1e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    chosen = [a for a in sys.argv[1:] if a != "--rotations"]
    for each in chosen or NETS:
        print_rotations(each) if "--rotations" in sys.argv else write(each)

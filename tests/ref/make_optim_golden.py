#!/usr/bin/env python3
"""Writes tests/ref/optim_golden.h: parameters after a few steps of PyTorch's optimisers, and learning
rates of its schedulers. Needs torch; the tests need only the header.

Three parameters: a weight (weight decay applies), a bias (it does not) and a head that has a gradient
at the steps 1 and 3 only. With L2-SP weight and bias are loaded ones, the head is new. Values and
gradients follow from formulas that the test repeats.
"""
import math
import pathlib

import torch

COUNTS = {"weight": 11, "bias": 3, "head": 5}
STEPS = 5
RULES = [
    # name, kind, lr, momentum, dampening, nesterov, weight_decay, clip_norm, clip_value, l2_sp, l2_sp_new
    ("sgd", "SGD", 0.1, 0, 0, False, 0, 0, 0, 0, 0),
    ("sgd_decay", "SGD", 0.1, 0, 0, False, 0.05, 0, 0, 0, 0),
    ("sgd_momentum", "SGD", 0.05, 0.9, 0, False, 0.01, 0, 0, 0, 0),
    ("sgd_dampening", "SGD", 0.05, 0.9, 0.3, False, 0, 0, 0, 0, 0),
    ("sgd_nesterov", "SGD", 0.05, 0.8, 0, True, 0.01, 0, 0, 0, 0),
    ("adam", "ADAM", 0.01, 0, 0, False, 0, 0, 0, 0, 0),
    ("adam_decay", "ADAM", 0.01, 0, 0, False, 0.1, 0, 0, 0, 0),
    ("adam_clip", "ADAM", 0.01, 0, 0, False, 0, 0.5, 0, 0, 0),
    ("sgd_clip", "SGD", 0.1, 0, 0, False, 0, 0.5, 0, 0, 0),
    ("sgd_clip_value", "SGD", 0.1, 0, 0, False, 0, 1.5, 0.25, 0, 0),
    ("adamw", "ADAMW", 0.01, 0, 0, False, 0.1, 0, 0, 0, 0),
    ("sgd_l2_sp", "SGD", 0.1, 0, 0, False, 0, 0, 0, 0.3, 0),
    ("sgd_momentum_l2_sp", "SGD", 0.05, 0.9, 0, False, 0, 0.5, 0, 0.4, 0.05),
    ("adam_l2_sp", "ADAM", 0.01, 0, 0, False, 0, 0, 0, 0.5, 0.2),
    ("adamw_l2_sp", "ADAMW", 0.01, 0, 0, False, 0, 0, 0, 6.0, 0.2),
    ("sgd_l2_sp_new", "SGD", 0.1, 0, 0, False, 0, 0, 0, 0, 0.3),
]


def start(k, i):
    return math.sin(1.0 + 3.0 * k + 0.5 * i)


def slope(k, i, t):
    return math.cos(0.3 + 2.0 * k + 0.7 * i + 1.1 * t) * (1.0 + 0.1 * i)


def pull(params, anchors, kind, lr, sp, sp_new):
    """Adds what L2-SP does to an update: Omega's gradient, or its decoupled form."""
    weight, _, head = params
    with torch.no_grad():
        for p, start, factor in ((weight, anchors[0], sp), (head, torch.zeros_like(head), sp_new)):
            if p.grad is None:
                continue
            if kind == "ADAMW":
                p.sub_(lr * factor * (p - start))
            else:
                p.grad.add_(factor * (p - start))


def run(rule):
    name, kind, lr, momentum, dampening, nesterov, decay, clip_norm, clip_value, sp, sp_new = rule
    params = [torch.nn.Parameter(torch.tensor([start(k, i) for i in range(n)]))
              for k, n in enumerate(COUNTS.values())]
    groups = [{"params": [params[0], params[2]], "weight_decay": decay},
              {"params": [params[1]], "weight_decay": 0}]
    if kind == "SGD":
        opt = torch.optim.SGD(groups, lr=lr, momentum=momentum, dampening=dampening,
                              nesterov=nesterov, foreach=False)
    else:
        cls = torch.optim.Adam if kind == "ADAM" else torch.optim.AdamW
        opt = cls(groups, lr=lr, betas=(0.9, 0.99), eps=1e-6, foreach=False)
    anchors = [p.detach().clone() for p in params[:1]]
    norm = 0.0
    for t in range(STEPS):
        opt.zero_grad(set_to_none=True)
        for k, p in enumerate(params):
            if k != 2 or t in (1, 3):
                p.grad = torch.tensor([slope(k, i, t) for i in range(p.numel())])
        norm = torch.nn.utils.clip_grad_norm_(params, clip_norm or math.inf).item()
        if clip_value:
            torch.nn.utils.clip_grad_value_(params, clip_value)
        pull(params, anchors, kind, lr, sp, sp_new)
        opt.step()
    return norm, [v for p in params for v in p.tolist()]


def schedule(make, epochs):
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    sched = make(opt)
    rates = []
    for _ in range(epochs):
        rates.append(opt.param_groups[0]["lr"])
        opt.step()
        sched.step()
    return rates


def main():
    s = torch.optim.lr_scheduler
    out = ["/* Written by make_optim_golden.py with PyTorch; do not edit. */",
           "static const struct {",
           "    const char *name;",
           "    tdm__optim_kind kind;",
           "    double lr, momentum, dampening;",
           "    bool nesterov;",
           "    double weight_decay, clip_norm, clip_value, l2_sp, l2_sp_new, norm;",
           f"    float values[{sum(COUNTS.values())}];",
           "} golden_rules[] = {"]
    for rule in RULES:
        norm, values = run(rule)
        name, kind, *numbers = rule
        fields = ", ".join(str(x).lower() for x in numbers)
        out.append(f'    {{"{name}", TDM__OPTIM_{kind}, {fields}, {norm:.9g},')
        out.append("     {" + ", ".join(f"{v:.9g}f" if "." in f"{v:.9g}" else f"{v:.9g}.0f"
                                        for v in values) + "}},")
    out.append("};")
    rates = {
        "step": schedule(lambda o: s.StepLR(o, 3, 0.5), 12),
        "multistep": schedule(lambda o: s.MultiStepLR(o, [2, 5, 6], 0.1), 12),
        "exponential": schedule(lambda o: s.ExponentialLR(o, 0.9), 12),
        "cosine": schedule(lambda o: s.CosineAnnealingLR(o, 12, 0.01), 12),
        "linear": schedule(lambda o: s.LinearLR(o, 1.0, 0.05, 8), 12),
        "warmup": schedule(lambda o: s.LinearLR(o, 0.25, 1.0, 6), 12),
    }
    for name, values in rates.items():
        out.append(f"static const double golden_{name}[] = {{"
                   + ", ".join(f"{v:.17g}" for v in values) + "};")
    path = pathlib.Path(__file__).with_name("optim_golden.h")
    path.write_text("\n".join(out) + "\n")


main()

#!/usr/bin/env python3
"""Moves SegNet's weights to PyTorch and back, at full size. Run it by hand; it needs PyTorch and NYUv2's folders
(DATA/{train,val}/{image,label,depth}/{i}.npy):

    check_segnet_checkpoint.py DATA [--tandem build/tandem]

1. tandem trains one epoch; models.SegNet takes the checkpoint with load_state_dict(strict=True) and must measure the
   same validation losses as `tandem eval`.
2. PyTorch takes one step of its own and saves its state as safetensors. `tandem eval` of that file, and a run that
   begins with --init-from and learns nothing, must measure what PyTorch does.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import models

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = os.path.join(ROOT, "configs", "bench", "segnet.yaml")
TOLERANCE = 1e-4
ALL_BUT_ONE_BIAS = ("encoder_block", "decoder_block", "conv_block_enc", "conv_block_dec", "pred_task2", "pred_task1.0",
                    "pred_task1.1.weight")


def tandem(options, *args):
    command = [options.tandem, *args, "--quiet"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def train(options, out, *args):
    tandem(options, "train", CONFIG, "--set", f"data.path={options.data}", "--batch-size", "2", "--epochs", "1",
           "--output", out, *args)


def frames(folder, split):
    """(images NCHW, labels, depths N1HW) of a split."""
    arrays = []
    for name in ("image", "label", "depth"):
        n = len(os.listdir(os.path.join(folder, split, name)))
        stack = np.stack([np.load(os.path.join(folder, split, name, f"{i}.npy")) for i in range(n)])
        arrays.append(torch.from_numpy(stack.astype(np.float32)))
    image, label, depth = arrays
    return image.permute(0, 3, 1, 2).contiguous(), label.long(), depth.permute(0, 3, 1, 2)


def losses(net, batch):
    image, label, depth = batch
    out = net(image)
    valid = (depth != 0).float()
    return (torch.nn.functional.nll_loss(out["semantic"], label, ignore_index=-1),
            ((out["depth"] - depth).abs() * valid).sum() / valid.sum())


def measure(net, batch):
    net.eval()
    with torch.no_grad():
        return [loss.item() for loss in losses(net, batch)]


def compare(what, ours, theirs):
    for task, a, b in zip(("semantic", "depth"), ours, theirs):
        print(f"{what}: {task} loss {a:.6f}, PyTorch's {b:.6f}, relative difference {abs(a - b) / abs(b):.1e}")
        assert abs(a - b) <= TOLERANCE * abs(b)


def task_losses(report):
    return [report["tasks"][task]["loss"] for task in ("semantic", "depth")]


def evaluate(options, checkpoint):
    return task_losses(json.loads(tandem(options, "eval", checkpoint, "--split", "val", "--json")))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--tandem", default=os.path.join(ROOT, "build", "tandem"))
    options = parser.parse_args()
    options.data = os.path.abspath(options.data)
    validation = frames(options.data, "val")
    net = models.SegNet()
    with tempfile.TemporaryDirectory() as folder:
        first, second = os.path.join(folder, "first"), os.path.join(folder, "second")
        checkpoint, back = os.path.join(first, "last.safetensors"), os.path.join(folder, "torch.safetensors")
        train(options, first)
        net.load_state_dict(load_file(checkpoint), strict=True)
        compare("tandem -> PyTorch", evaluate(options, checkpoint), measure(net, validation))

        net.train()
        adam = torch.optim.Adam(net.parameters(), lr=1e-4)
        sum(losses(net, frames(options.data, "train"))).backward()
        adam.step()
        truth = measure(net, validation)
        with safe_open(checkpoint, "pt") as f:
            save_file(net.state_dict(), back, metadata=f.metadata())
        compare("PyTorch -> tandem eval", evaluate(options, back), truth)

        save_file(net.state_dict(), back)  # as PyTorch users do, without a configuration inside
        freeze = [arg for pattern in ALL_BUT_ONE_BIAS for arg in ("--freeze", pattern)]
        train(options, second, "--init-from", back, "--lr", "1e-12", *freeze)
        with open(os.path.join(second, "metrics.jsonl")) as f:
            rows = [json.loads(line) for line in f]
        compare("PyTorch -> --init-from", task_losses([r for r in rows if r["split"] == "val"][-1]), truth)
    print("the checkpoints agree")


if __name__ == "__main__":
    main()

"""The PyTorch modules that tandem's networks correspond to: same names, shapes and layouts, so that
checkpoints load with load_state_dict(strict=True) once the learnt task weights (balance.*) are left out."""
import torch
from torch import nn


class Fashion(nn.Module):
    """Trunk `fashion` with the heads `classifier` and `fashion-decoder`: 28x28x1 images."""

    def __init__(self, classes=10):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 32, 2), nn.ReLU(),
            nn.Conv2d(32, 16, 2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 2, stride=2, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.heads = nn.ModuleDict({
            "class": nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, classes)),
            "recon": nn.Sequential(
                nn.ConvTranspose2d(16, 16, 2, stride=2), nn.ReLU(),
                nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1), nn.ReLU(),
                nn.ConvTranspose2d(8, 4, 2, stride=2), nn.ReLU(),
                nn.ConvTranspose2d(4, 1, 2, stride=2), nn.Tanh())})

    def forward(self, x):
        z = self.encoder(x)
        return {name: head(z) for name, head in self.heads.items()}


def fashion_losses(out, images, labels):
    """Cross entropy and L1: the two task losses."""
    return (nn.functional.cross_entropy(out["class"], labels),
            nn.functional.l1_loss(out["recon"], images))


def uncertainty(losses, s):
    """Kendall, Gal, Cipolla 2018 with s = log sigma^2: classification form, then Laplace form."""
    return (torch.exp(-s[0]) * losses[0] + s[0] / 2) + (torch.exp(-s[1] / 2) * losses[1] + s[1] / 2)


# ---- heads ---------------------------------------------------------------------------------------------------

def pixel_head(channels, outputs):
    """Heads `segmentation`, `depth`, `vector`, `regression`."""
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, outputs, 1))


def classifier_bn(features, classes):
    """Head `classifier-bn`."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 512), nn.BatchNorm1d(512), nn.ReLU(),
                         nn.Linear(512, classes))


class GlobalAvgPool(nn.Module):
    """Layer `global-avg-pool`: (N,C,H,W) -> (N,C)."""

    def forward(self, x):
        return x.mean(dim=(2, 3))


def box_head(channels):
    """Head `box`."""
    return nn.Sequential(GlobalAvgPool(), nn.Linear(channels, 4), nn.Sigmoid())


# ---- trunks --------------------------------------------------------------------------------------------------

class StridedCNN(nn.Module):
    """Trunk `strided-cnn` (pool: `strided-cnn-pool`) with one head `classifier-bn` per task. 278,592 parameters in
    the encoder; size: side of the square images."""

    def __init__(self, heads, size=32, channels=3, pool=False):
        super().__init__()
        layers, last, side = [], channels, size
        for out, stride in ((32, 1), (64, 2), (64, 1), (128, 2), (128, 1)) + (((128, 2),) if pool else ()):
            layers += [nn.Conv2d(last, out, 3, stride, 1), nn.BatchNorm2d(out), nn.ReLU()]
            last, side = out, (side - 1) // stride + 1
        if pool:
            layers.append(nn.AvgPool2d(side - 3 * (side // 4), side // 4))
            side = 4
        self.encoder = nn.Sequential(*layers)
        self.heads = nn.ModuleDict({name: classifier_bn(last * side * side, n) for name, n in heads.items()})

    def forward(self, x):
        z = self.encoder(x)
        return {name: head(z) for name, head in self.heads.items()}


def double_conv(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(),
                         nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


class UNetTrunk(nn.Module):
    """Trunk `unet`: returns the bottleneck and the dense map."""

    def __init__(self, filters, channels=3):
        super().__init__()
        f = filters
        self.down = nn.ModuleList(double_conv(f[i - 1] if i else channels, f[i]) for i in range(len(f)))
        self.up = nn.ModuleList(nn.ConvTranspose2d(f[i + 1], f[i], 2, stride=2) for i in range(len(f) - 1))
        self.merge = nn.ModuleList(double_conv(2 * f[i], f[i]) for i in range(len(f) - 1))

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for i in reversed(range(len(self.up))):
            x = self.merge[i](torch.cat([skips[i], self.up[i](x)], dim=1))
        return skips[-1], x


class PoolLinear(nn.Linear):
    """Head `pool-linear`."""

    def forward(self, x):
        return super().forward(x.mean(dim=(2, 3)))


class UNet(nn.Module):
    """Trunk `unet` with the heads `segmentation`, `pool-linear` and `box`."""

    def __init__(self, filters, mask_classes=2, classes=2):
        super().__init__()
        self.encoder = UNetTrunk(filters)
        self.heads = nn.ModuleDict({"mask": pixel_head(filters[0], mask_classes),
                                    "class": PoolLinear(filters[-1], classes),
                                    "box": box_head(filters[-1])})

    def forward(self, x):
        deep, dense = self.encoder(x)
        return {name: head(dense if name == "mask" else deep) for name, head in self.heads.items()}


def conv_layer(channels, out):
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())


class SegNet(nn.Module):
    """Trunk `segnet` with prefix "" and the heads `segmentation` (prefix pred_task1) and `depth` (pred_task2): the
    shared-encoder, shared-decoder network for NYUv2."""

    def __init__(self, filters=(64, 128, 256, 512, 512), classes=13):
        super().__init__()
        f = filters
        g = [f[0], *f[:-1]]  # channels after level i of the decoder
        levels = range(len(f))

        def block(i, c):
            return nn.Sequential(conv_layer(c, c), conv_layer(c, c)) if i > 1 else conv_layer(c, c)

        self.encoder_block = nn.ModuleList(conv_layer(f[i - 1] if i else 3, f[i]) for i in levels)
        self.decoder_block = nn.ModuleList(conv_layer(f[i], g[i]) for i in levels)
        self.conv_block_enc = nn.ModuleList(block(i, f[i]) for i in levels)
        self.conv_block_dec = nn.ModuleList(block(i, g[i]) for i in levels)
        self.pred_task1 = pixel_head(f[0], classes)
        self.pred_task2 = pixel_head(f[0], 1)
        self.down_sampling = nn.MaxPool2d(2, 2, return_indices=True)
        self.up_sampling = nn.MaxUnpool2d(2, 2)

    def forward(self, x):
        indices = []
        for first, then in zip(self.encoder_block, self.conv_block_enc):
            x, index = self.down_sampling(then(first(x)))
            indices.append(index)
        for first, then in zip(reversed(self.decoder_block), reversed(self.conv_block_dec)):
            x = then(first(self.up_sampling(x, indices.pop())))
        return {"semantic": nn.functional.log_softmax(self.pred_task1(x), dim=1), "depth": self.pred_task2(x)}


class Cnn(nn.Module):
    """Trunk `cnn`: per width a convolution, batch norm, ReLU, pooling; one head `pool-linear` with prefix fc."""

    def __init__(self, filters, classes):
        super().__init__()
        layers = []
        for c, out in zip((3, *filters), filters):
            layers += [nn.Conv2d(c, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
        self.encoder = nn.Sequential(*layers)
        self.fc = PoolLinear(filters[-1], classes)

    def forward(self, x):
        return {"class": self.fc(self.encoder(x))}


class SoftCnn(nn.Module):
    """Trunk `cnn` with model.sharing: soft: a trunk for each task, and a norm of what their filters are together:
    l2: squared distances from the mean; trace: singular values; l21: lengths of output channels."""

    def __init__(self, filters, classes, weight, norm="l2"):
        super().__init__()
        self.encoder = nn.ModuleDict({task: Cnn(filters, n).encoder for task, n in classes.items()})
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})
        self.weight, self.norm = weight, norm

    def forward(self, x):
        return {task: head(self.encoder[task](x)) for task, head in self.heads.items()}

    def penalty(self):
        total = 0
        for twins in zip(*(column.parameters() for column in self.encoder.values())):
            if twins[0].ndim > 1:
                total = total + self.norm_of(torch.stack(twins))
        return self.weight * total

    def norm_of(self, stacked):
        if self.norm == "trace":
            return torch.linalg.matrix_norm(stacked.flatten(1), "nuc")
        if self.norm == "l21":
            return (stacked.pow(2).sum(dim=(0, 2, 3, 4)) + 1e-12).sqrt().sum()
        return (stacked - stacked.mean(dim=0)).pow(2).sum()


class BasicBlock(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Bottleneck(nn.Module):
    def __init__(self, channels, width, stride):
        super().__init__()
        out = 4 * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet(nn.Module):
    """Trunks `resnet18/34/50` with prefix "" and one head `pool-linear` with prefix fc: torchvision's names.
    blocks: per stage; block: BasicBlock or Bottleneck."""

    def __init__(self, blocks, block=BasicBlock, filters=(64, 128, 256, 512), classes=10, cifar_stem=False):
        super().__init__()
        f = filters
        self.conv1 = nn.Conv2d(3, f[0], *((3, 1, 1) if cifar_stem else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(f[0])
        self.maxpool = None if cifar_stem else nn.MaxPool2d(3, 2, 1)
        channels, stages = f[0], []
        for stage, n in enumerate(blocks):
            units = []
            for i in range(n):
                units.append(block(channels, f[stage], 2 if stage and i == 0 else 1))
                channels = f[stage] * (4 if block is Bottleneck else 1)
            stages.append(nn.Sequential(*units))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = PoolLinear(channels, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x) if self.maxpool else x
        return {"class": self.fc(self.layer4(self.layer3(self.layer2(self.layer1(x)))))}


# ---- attention (model.sharing: mtan) ---------------------------------------------------------------------------

def attention(channels, width, out):
    """Liu, Johns, Davison, CVPR 2019: g, then h, of a mask in (0, 1)."""
    return nn.Sequential(nn.Conv2d(channels, width, 1), nn.BatchNorm2d(width), nn.ReLU(),
                         nn.Conv2d(width, out, 1), nn.BatchNorm2d(out), nn.Sigmoid())


class MtanSegNet(SegNet):
    """Trunk `segnet` with model.sharing: mtan, prefix "" and the heads of SegNet."""

    def __init__(self, filters=(64, 128, 256, 512, 512), classes=13, tasks=("semantic", "depth")):
        super().__init__(filters, classes)
        f = filters
        g = [f[0], *f[:-1]]
        levels = range(len(f))
        self.attention = nn.ModuleDict({task: nn.ModuleDict({
            "encoder": nn.ModuleList(attention(f[i] * (2 if i else 1), f[i], f[i]) for i in levels),
            "decoder": nn.ModuleList(attention(f[i] + g[i], g[i], g[i]) for i in levels)}) for task in tasks})
        self.attention_block = nn.ModuleDict({
            "encoder": nn.ModuleList(conv_layer(f[i], f[min(i + 1, len(f) - 1)]) for i in levels),
            "decoder": nn.ModuleList(conv_layer(f[i], g[i]) for i in levels)})

    def forward(self, x):
        down, indices, up = [], [], []
        for first, then in zip(self.encoder_block, self.conv_block_enc):
            u = first(x)
            p = then(u)
            x, index = self.down_sampling(p)
            down.append((u, p))
            indices.append(index)
        for i in reversed(range(len(down))):
            u = self.up_sampling(x, indices[i])
            x = self.conv_block_dec[i](self.decoder_block[i](u))
            up.insert(0, (u, x))
        dense = {task: self.attend(own, down, up) for task, own in self.attention.items()}
        return {"semantic": nn.functional.log_softmax(self.pred_task1(dense["semantic"]), dim=1),
                "depth": self.pred_task2(dense["depth"])}

    def attend(self, own, down, up):
        shared, a = self.attention_block, None
        for i, (u, p) in enumerate(down):
            mask = own["encoder"][i](u if a is None else torch.cat([u, a], dim=1))
            a = nn.functional.max_pool2d(shared["encoder"][i](mask * p), 2)
        for i in reversed(range(len(up))):
            u, p = up[i]
            a = nn.functional.interpolate(a, scale_factor=2, mode="bilinear", align_corners=True)
            a = own["decoder"][i](torch.cat([u, shared["decoder"][i](a)], dim=1)) * p
        return a


class MtanResNet(ResNet):
    """Trunks `resnet18/34/50` with model.sharing: mtan, prefix "" and a head `pool-linear` per task: a mask for each
    stage's last features from those after its first unit."""

    def __init__(self, blocks, tasks, block=BasicBlock, filters=(64, 128, 256, 512), cifar_stem=False):
        super().__init__(blocks, block, filters, 1, cifar_stem)
        del self.fc
        out = [f * (4 if block is Bottleneck else 1) for f in filters]
        stages = range(len(filters))
        self.attention = nn.ModuleDict({task: nn.ModuleDict({"encoder": nn.ModuleList(
            attention(out[i] * (2 if i else 1), filters[i], out[i]) for i in stages)}) for task in tasks})
        self.attention_block = nn.ModuleDict({"encoder": nn.ModuleList(
            conv_layer(out[i], out[i + 1]) for i in stages[:-1])})
        self.heads = nn.ModuleDict({task: PoolLinear(out[-1], n) for task, n in tasks.items()})

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x) if self.maxpool else x
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            u = stage[0](x)
            x = stage[1:](u)
            features.append((u, x))
        return {task: head(self.attend(self.attention[task]["encoder"], features))
                for task, head in self.heads.items()}

    def attend(self, own, features):
        a = None
        for i, (u, p) in enumerate(features):
            if i:
                a = self.attention_block["encoder"][i - 1](a)
                if a.shape[2:] != u.shape[2:]:
                    a = nn.functional.max_pool2d(a, 2, ceil_mode=True)
            a = own[i](u if a is None else torch.cat([u, a], dim=1)) * p
        return a


# ---- ways of sharing -----------------------------------------------------------------------------------------

def cnn_layers(filters, channels=3):
    """Trunk `cnn` as a list of its blocks' layers."""
    return [[nn.Conv2d(c, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(), nn.MaxPool2d(2)]
            for c, out in zip((channels, *filters), filters)]


def columns(tasks, filters):
    """A trunk `cnn` for each task, as one nn.Sequential whose blocks have four layers."""
    return nn.ModuleDict({task: nn.Sequential(*sum(cnn_layers(filters), [])) for task in tasks})


class Stitch(nn.Module):
    """x_t' = sum_s a_ts x_s; channels: a matrix for each of them. Not drawn: 0.9 and 0.1 / (T - 1)."""
    constant = True

    def __init__(self, tasks, channels=None, same=0.9):
        super().__init__()
        weight = torch.full((tasks, tasks), (1 - same) / (tasks - 1)).fill_diagonal_(same)
        self.weight = nn.Parameter(weight if channels is None else weight[..., None].repeat(1, 1, channels))

    def forward(self, xs):
        rows = self.weight if self.weight.ndim == 2 else self.weight[..., None, None]
        return [sum(a * x for a, x in zip(row, xs)) for row in rows]


class CrossStitchCnn(nn.Module):
    """Trunk `cnn` with model.sharing: cross-stitch."""

    def __init__(self, filters, classes, per_channel):
        super().__init__()
        self.encoder = columns(classes, filters)
        self.stitch = nn.ModuleList(Stitch(len(classes), f if per_channel else None) for f in filters)
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        xs = [x] * len(self.heads)
        for i, stitch in enumerate(self.stitch):
            xs = stitch([column[4 * i:4 * i + 4](y) for column, y in zip(self.encoder.values(), xs)])
        return {task: head(y) for (task, head), y in zip(self.heads.items(), xs)}


class CrossStitchSegNet(nn.Module):
    """Trunk `segnet` with model.sharing: cross-stitch and prefix "encoder": a SegNet for each task, mixed after
    pooling, and after each level of the decoder but the last."""

    def __init__(self, filters, classes=13):
        super().__init__()
        self.encoder = nn.ModuleDict()
        for task in ("semantic", "depth"):
            self.encoder[task] = SegNet(filters)
            del self.encoder[task].pred_task1, self.encoder[task].pred_task2
        self.stitch = nn.ModuleList(Stitch(2) for _ in range(2 * len(filters) - 1))
        self.heads = nn.ModuleDict({"semantic": pixel_head(filters[0], classes), "depth": pixel_head(filters[0], 1)})

    def forward(self, x):
        nets = list(self.encoder.values())
        levels = len(nets[0].encoder_block)
        xs, indices = [x] * len(nets), [[] for _ in nets]
        for i in range(levels):
            for t, net in enumerate(nets):
                xs[t], index = net.down_sampling(net.conv_block_enc[i](net.encoder_block[i](xs[t])))
                indices[t].append(index)
            xs = self.stitch[i](xs)
        for i in reversed(range(levels)):
            for t, net in enumerate(nets):
                x = net.decoder_block[i](net.up_sampling(xs[t], indices[t].pop()))
                xs[t] = net.conv_block_dec[i](x)
            if i:
                xs = self.stitch[2 * levels - 1 - i](xs)
        out = {task: head(y) for (task, head), y in zip(self.heads.items(), xs)}
        return {"semantic": nn.functional.log_softmax(out["semantic"], dim=1), "depth": out["depth"]}


# ---- experts: trunk `cnn`, heads `pool-linear` -----------------------------------------------------------------------

def named_blocks(filters):
    """The blocks of the trunk `cnn`, each a list of (name in the trunk, layer)."""
    return [[(str(4 * i + k), layer) for k, layer in enumerate(layers)] for i, layers in enumerate(cnn_blocks(filters))]


class Part(nn.Module):
    """Some blocks of a trunk, which keep their names."""

    def __init__(self, blocks):
        super().__init__()
        for name, layer in sum(blocks, []):
            self.add_module(name, layer)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Gate(nn.Sequential):
    """The weights of experts."""

    def __init__(self, features, experts, pooled):
        super().__init__(GlobalAvgPool() if pooled else nn.Flatten(), nn.Linear(features, experts, bias=False),
                         nn.Softmax(dim=1))

    def mix(self, x, experts):
        return sum(c[:, None, None, None] * y for c, y in zip(self(x).unbind(dim=1), experts))


class Mmoe(nn.Module):
    """model.sharing: mmoe; below > 0: the first blocks are shared, and gates read what the experts do."""

    def __init__(self, filters, classes, experts, below, size):
        super().__init__()
        gate = filters[below - 1] if below else 3 * size * size
        self.encoder = Part(named_blocks(filters)[:below])
        parts = nn.ModuleList(Part(named_blocks(filters)[below:]) for _ in range(experts))
        gates = nn.ModuleDict({task: Gate(gate, experts, below > 0) for task in classes})
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})
        self.encoder.experts, self.encoder.gates, self.below = parts, gates, below

    def forward(self, x):
        for layer in list(self.encoder.children())[:4 * self.below]:
            x = layer(x)
        experts = [expert(x) for expert in self.encoder.experts]
        return {task: head(self.encoder.gates[task].mix(x, experts)) for task, head in self.heads.items()}


class ExpertLevel(nn.Module):
    """One level of model.sharing: ple, or all of cgc."""

    def __init__(self, part, tasks, shared, own, gate, pooled, last):
        super().__init__()
        self.task_experts = nn.ModuleDict({task: nn.ModuleList(part() for _ in range(own)) for task in tasks})
        self.shared_experts = nn.ModuleList(part() for _ in range(shared))
        self.gates = nn.ModuleDict({task: Gate(gate, own + shared, pooled) for task in tasks})
        if not last:
            self.shared_gate = Gate(gate, len(tasks) * own + shared, pooled)

    def forward(self, x, common, gate, gate_common):
        """x, gate: per task what its experts and its gate read; returns what the next level reads."""
        own = {task: [expert(x[task]) for expert in experts] for task, experts in self.task_experts.items()}
        shared = [expert(common) for expert in self.shared_experts]
        mixed = {task: g.mix(gate[task], own[task] + shared) for task, g in self.gates.items()}
        if not hasattr(self, "shared_gate"):
            return mixed, None
        return mixed, self.shared_gate.mix(gate_common, sum(own.values(), []) + shared)


class Cgc(nn.Module):
    """model.sharing: cgc; gates read the pixels of the image."""

    def __init__(self, filters, classes, shared, own, size):
        super().__init__()
        self.encoder = ExpertLevel(lambda: Part(named_blocks(filters)), classes, shared, own, 3 * size * size, False,
                                   last=True)
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        same = {task: x for task in self.heads}
        mixed, _ = self.encoder(same, x, same, x)
        return {task: head(mixed[task]) for task, head in self.heads.items()}


class Ple(nn.Module):
    """model.sharing: ple; a level for each block."""

    def __init__(self, filters, classes, shared, own, size):
        super().__init__()
        n = len(filters)
        levels = []
        for i in range(n):
            gate = filters[i - 1] if i else 3 * size * size
            levels.append(ExpertLevel(lambda i=i: Part([named_blocks(filters)[i]]), classes, shared, own, gate, i > 0,
                                      last=i == n - 1))
        self.encoder = nn.Module()
        self.encoder.levels = nn.ModuleList(levels)
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        each, common = {task: x for task in self.heads}, x
        for level in self.encoder.levels:
            each, common = level(each, common, each, common)
        return {task: head(each[task]) for task, head in self.heads.items()}


# ---- distillation (model.sharing: pad-net) ---------------------------------------------------------------------

def conv3(channels, out):
    return nn.Conv2d(channels, out, 3, padding=1)


class Distillation(nn.Module):
    """Xu et al., CVPR 2018: modules A, B and C, from the tasks' own features to what their decoders read."""

    def __init__(self, kind, tasks, channels):
        super().__init__()
        self.kind = kind
        if kind == "B":
            self.message = nn.ModuleDict({to: nn.ModuleDict({
                task: conv3(channels, channels) for task in tasks if task != to}) for to in tasks})
        if kind == "C":
            self.gate = nn.ModuleDict({task: conv3(channels, channels) for task in tasks})
            self.message = nn.ModuleDict({task: conv3(channels, channels) for task in tasks})

    def forward(self, features):
        if self.kind == "A":
            return {task: torch.cat(list(features.values()), dim=1) for task in features}
        result = {}
        for to, own in features.items():
            sent = sum((self.message[to][task] if self.kind == "B" else self.message[task])(f)
                       for task, f in features.items() if task != to)
            result[to] = own + (sent if self.kind == "B" else torch.sigmoid(self.gate[to](own)) * sent)
        return result


class QuarterUNet(nn.Module):
    """Trunk `unet` up to level 2 of its decoder."""

    def __init__(self, filters, channels=3):
        super().__init__()
        f = filters
        self.down = nn.ModuleList(double_conv(f[i - 1] if i else channels, f[i]) for i in range(len(f)))
        levels = range(2, len(f) - 1)
        self.up = nn.ModuleDict({str(i): nn.ConvTranspose2d(f[i + 1], f[i], 2, stride=2) for i in levels})
        self.merge = nn.ModuleDict({str(i): double_conv(2 * f[i], f[i]) for i in levels})

    def forward(self, x):
        skips = []
        for i, block in enumerate(self.down):
            x = block(nn.functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for level in reversed(list(self.up)):
            x = self.merge[level](torch.cat([skips[int(level)], self.up[level](x)], dim=1))
        return x


def up_twice(channels, width):
    """From a quarter to the whole size; from `width` channels, or several times as many, to a quarter of them."""
    return nn.Sequential(nn.ConvTranspose2d(channels, width // 2, 2, stride=2), nn.BatchNorm2d(width // 2), nn.ReLU(),
                         nn.ConvTranspose2d(width // 2, width // 4, 2, stride=2), nn.BatchNorm2d(width // 4), nn.ReLU())


class PadNet(nn.Module):
    """Trunk `unet` with model.sharing: pad-net and heads like `segmentation` with `outputs` of each task: the final
    and the intermediate predictions."""

    def __init__(self, filters, kind, outputs, channels):
        super().__init__()
        self.encoder = QuarterUNet(filters)
        tasks = list(outputs)
        self.initial = nn.ModuleDict({task: conv_layer(filters[2], channels) for task in tasks})
        self.initial_heads = nn.ModuleDict({task: pixel_head(channels, n) for task, n in outputs.items()})
        self.distillation = Distillation(kind, tasks, channels)
        wide = channels * (len(tasks) if kind == "A" else 1)
        self.decoders = nn.ModuleDict({task: up_twice(wide, channels) for task in tasks})
        self.heads = nn.ModuleDict({task: pixel_head(channels // 4, n) for task, n in outputs.items()})

    def forward(self, x):
        x = self.encoder(x)
        features = {task: layer(x) for task, layer in self.initial.items()}
        distilled = self.distillation(features)
        final = {task: self.heads[task](self.decoders[task](f)) for task, f in distilled.items()}
        return final, {task: self.initial_heads[task](f) for task, f in features.items()}


class Nddr(nn.Sequential):
    """What one task takes of all columns: begins with `same` of its own channels. Not drawn."""

    def __init__(self, own, tasks, channels, same=0.9):
        conv = nn.Conv2d(tasks * channels, channels, 1, bias=False)
        conv.constant = True
        parts = [torch.eye(channels) * (same if t == own else (1 - same) / (tasks - 1)) for t in range(tasks)]
        conv.weight.data = torch.cat(parts, dim=1)[..., None, None]
        super().__init__(conv, nn.BatchNorm2d(channels), nn.ReLU())


class NddrCnn(nn.Module):
    """Trunk `cnn` with model.sharing: nddr."""

    def __init__(self, filters, classes):
        super().__init__()
        self.encoder = columns(classes, filters)
        self.nddr = nn.ModuleList(nn.ModuleDict({task: Nddr(t, len(classes), f) for t, task in enumerate(classes)})
                                  for f in filters)
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        xs = [x] * len(self.heads)
        for i, layers in enumerate(self.nddr):
            both = torch.cat([c[4 * i:4 * i + 4](y) for c, y in zip(self.encoder.values(), xs)], dim=1)
            xs = [layer(both) for layer in layers.values()]
        return {task: head(y) for (task, head), y in zip(self.heads.items(), xs)}


class Skip(nn.Module):
    """A mixture of a column's blocks, from the last one backwards. Not drawn."""
    constant = True

    def __init__(self, blocks, same=0.9):
        super().__init__()
        weight = torch.full((1, blocks), (1 - same) / (blocks - 1))
        weight[0, 0] = same
        self.weight = nn.Parameter(weight)

    def forward(self, outputs):
        return sum(b * y for b, y in zip(self.weight[0], reversed(outputs)))


class SluiceNet(nn.Module):
    """A list of layers with model.sharing: sluice: three convolutions of equal output, two subspaces."""
    blocks = (slice(0, 2), slice(2, 5), slice(5, 7))

    def __init__(self, channels, classes, weight):
        super().__init__()
        c = channels
        self.encoder = nn.ModuleDict({task: nn.Sequential(
            nn.Conv2d(3, c, 3, 2, 1), nn.ReLU(), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c), nn.ReLU(),
            nn.Conv2d(c, c, 3, 1, 1), nn.ReLU()) for task in classes})
        self.sluice = nn.ModuleDict({"alpha": nn.ModuleList(Stitch(2 * len(classes)) for _ in self.blocks),
                                     "beta": nn.ModuleDict({task: Skip(len(self.blocks)) for task in classes})})
        self.heads = nn.ModuleDict({task: PoolLinear(c, n) for task, n in classes.items()})
        self.weight = weight

    def forward(self, x):
        xs, outputs = [x] * len(self.heads), []
        for alpha, block in zip(self.sluice["alpha"], self.blocks):
            parts = [p for column, y in zip(self.encoder.values(), xs) for p in column[block](y).chunk(2, dim=1)]
            parts = alpha(parts)
            xs = [torch.cat(parts[2 * t:2 * t + 2], dim=1) for t in range(len(xs))]
            outputs.append(xs)
        return {task: head(self.sluice["beta"][task]([o[t] for o in outputs]))
                for t, (task, head) in enumerate(self.heads.items())}

    def penalty(self):
        total = 0
        for column in self.encoder.values():
            for layer in column:
                if isinstance(layer, nn.Conv2d):
                    first, second = layer.weight.flatten(1).chunk(2)
                    total = total + (first @ second.T).pow(2).sum()
        return self.weight * total


# ---- one trunk with parts of each task's own: trunk `cnn`, heads `pool-linear` --------------------------------------

class TaskNorm(nn.ModuleDict):
    """model.norm: per-task."""

    def __init__(self, channels, tasks):
        super().__init__({task: nn.BatchNorm2d(channels) for task in tasks})


class LowRankConv(nn.Conv2d):
    """model.sharing: low-rank: weight + u v of the task, as matrices of the output channels and the rest."""

    def __init__(self, channels, out, rank, tasks):
        super().__init__(channels, out, 3, 1, 1, bias=False)
        self.u = nn.ParameterDict({task: torch.zeros(out, rank) for task in tasks})
        self.v = nn.ParameterDict({task: torch.zeros(rank, channels, 3, 3) for task in tasks})

    def forward(self, x, task):
        weight = self.weight + torch.einsum("or,rikl->oikl", self.u[task], self.v[task])
        return nn.functional.conv2d(x, weight, padding=1)


class PerTaskCnn(nn.Module):
    """rank 0: only batch norm is of each task's own."""

    def __init__(self, filters, classes, rank):
        super().__init__()
        layers = []
        for c, out in zip((3, *filters), filters):
            conv = LowRankConv(c, out, rank, classes) if rank else nn.Conv2d(c, out, 3, 1, 1, bias=False)
            layers += [conv, TaskNorm(out, classes), nn.ReLU(), nn.MaxPool2d(2)]
        self.encoder = nn.ModuleList(layers)
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        return {task: head(self.features(x, task)) for task, head in self.heads.items()}

    def features(self, x, task):
        for layer in self.encoder:
            if isinstance(layer, TaskNorm):
                x = layer[task](x)
            else:
                x = layer(x, task) if isinstance(layer, LowRankConv) else layer(x)
        return x


class InstanceCnn(nn.Module):
    """balance.instance_weighting: true (Du et al., 2018): trunk `cnn`, the second task is auxiliary."""

    def __init__(self, filters, classes):
        super().__init__()
        self.encoder = Part(cnn_blocks(filters))
        self.heads = nn.ModuleDict({task: PoolLinear(filters[-1], n) for task, n in classes.items()})

    def forward(self, x):
        self.z = self.encoder(x)
        return {task: head(self.z) for task, head in self.heads.items()}

    def backward(self, losses):
        """Heads get their own losses' gradients, the trunk those of weighed samples."""
        target, auxiliary = (torch.autograd.grad(loss, self.z, retain_graph=True)[0] for loss in losses)
        mean = target.mean(dim=0).flatten()
        cosines = torch.relu(nn.functional.cosine_similarity(auxiliary.flatten(1), mean[None], dim=1))
        weights = cosines * len(cosines) / cosines.sum()
        sum(losses).backward(inputs=list(self.heads.parameters()), retain_graph=True)
        self.z.backward(target + weights[:, None, None, None] * auxiliary, inputs=list(self.encoder.parameters()))

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

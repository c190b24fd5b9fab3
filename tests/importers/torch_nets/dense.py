"""Networks that map an image to an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from torch import nn


class DoubleConv(nn.Sequential):
    def __init__(self, inputs, outputs):
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True),
        )  # fmt: skip


class Up(nn.Module):
    """Twice the size, by a transposed convolution or bilinearly, padded to the skipped features, joined with them."""

    def __init__(self, inputs, outputs, learned):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, 2) if learned else nn.Conv2d(inputs, inputs // 2, 1)
        self.learned = learned
        self.conv = DoubleConv(inputs, outputs)

    def forward(self, x, skipped):
        if not self.learned:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        x = self.up(x)
        rows, columns = skipped.size(2) - x.size(2), skipped.size(3) - x.size(3)
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(torch.cat([skipped, x], dim=1))


class UNet(nn.Module):
    """Ronneberger et al., 2015, with batch normalisation; both ways up."""

    def __init__(self, classes=4, width=16):
        super().__init__()
        self.first = DoubleConv(3, width)
        self.down = nn.ModuleList(DoubleConv(width << level, width << level + 1) for level in range(3))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(Up(width << level + 1, width << level, level % 2 == 0) for level in (2, 1, 0))
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        levels = [self.first(x)]
        for down in self.down:
            levels.append(down(self.pool(levels[-1])))
        x = levels.pop()
        for up in self.up:
            x = up(x, levels.pop())
        return {"logits": self.last(x), "features": x}

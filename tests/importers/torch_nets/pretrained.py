"""Networks whose published weights lie in the shared data, with the names that their state dicts have."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the name that everybody gives it
from torch import nn


def weights(path):
    """A state dict, read without running anything that its pickle says."""
    return torch.load(path, map_location="cpu", weights_only=True)


# ResNet-20 for CIFAR (He et al., 2015, section 4.2), shortcuts of option A: every second pixel, zeros for new channels


class CifarBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(y + x)


class CifarResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1)
        self.layer2 = self._layer(16, 32, 2)
        self.layer3 = self._layer(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _layer(inputs, outputs, stride):
        return nn.Sequential(
            CifarBlock(inputs, outputs, stride), CifarBlock(outputs, outputs, 1), CifarBlock(outputs, outputs, 1)
        )

    def forward(self, x):
        y = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(F.avg_pool2d(y, y.size(3)).flatten(1))


# Ultra-Light-Fast-Generic-Face-Detector, RFB-320: layers in the order of rfb320.prototxt


def dense_conv(inputs, outputs, stride):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def separable(inputs, outputs, stride):
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False), nn.BatchNorm2d(inputs), nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
    )  # fmt: skip


def plain_separable(inputs, outputs, stride=1):
    """With biases and without normalisation, as the heads have it."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs), nn.ReLU(), nn.Conv2d(inputs, outputs, 1)
    )


class Basic(nn.Module):
    def __init__(self, inputs, outputs, kernel, dilation=1, relu=True):
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, 1, padding, dilation, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x):
        return self.relu(self.bn(self.conv(x)))


class ReceptiveField(nn.Module):
    """Branches of growing dilation, joined (Liu et al., 2018)."""

    def __init__(self, channels):
        super().__init__()
        narrow, wide = channels // 8, channels // 4
        self.branch0 = nn.Sequential(
            Basic(channels, narrow, 1, relu=False), Basic(narrow, wide, 3), Basic(wide, wide, 3, 2, relu=False)
        )
        self.branch1 = nn.Sequential(
            Basic(channels, narrow, 1, relu=False), Basic(narrow, wide, 3), Basic(wide, wide, 3, 3, relu=False)
        )
        self.branch2 = nn.Sequential(
            Basic(channels, narrow, 1, relu=False), Basic(narrow, narrow * 3 // 2, 3),
            Basic(narrow * 3 // 2, wide, 3), Basic(wide, wide, 3, 5, relu=False),
        )  # fmt: skip
        self.ConvLinear = Basic(3 * wide, channels, 1, relu=False)
        self.shortcut = Basic(channels, channels, 1, relu=False)

    def forward(self, x):
        y = torch.cat([self.branch0(x), self.branch1(x), self.branch2(x)], 1)
        return F.relu(self.ConvLinear(y) + self.shortcut(x))


class UltraFace(nn.Module):
    """Scores [1, 4420, 2] and box offsets [1, 4420, 4] before the priors are applied."""

    def __init__(self):
        super().__init__()
        plan = [(16, 32, 1), (32, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 64, 1), None, (64, 128, 2),
                (128, 128, 1), (128, 128, 1), (128, 256, 2), (256, 256, 1)]  # fmt: skip
        body = [ReceptiveField(64) if item is None else separable(*item) for item in plan]
        self.base_net = nn.Sequential(dense_conv(3, 16, 2), *body)
        extra = nn.Sequential(nn.Conv2d(256, 64, 1), nn.ReLU(), plain_separable(64, 256, 2), nn.ReLU())
        self.extras = nn.ModuleList([extra])
        self.classification_headers = self._heads(2)
        self.regression_headers = self._heads(4)

    @staticmethod
    def _heads(numbers):
        heads = [plain_separable(width, boxes * numbers) for width, boxes in ((64, 3), (128, 2), (256, 2))]
        return nn.ModuleList([*heads, nn.Conv2d(256, 3 * numbers, 3, padding=1)])

    def forward(self, x):
        features = []
        for place, layer in enumerate(self.base_net):
            x = layer(x)
            if place in (7, 10, 12):
                features.append(x)
        features.append(self.extras[0](x))
        scores = [self._listed(head(x), 2) for head, x in zip(self.classification_headers, features, strict=True)]
        boxes = [self._listed(head(x), 4) for head, x in zip(self.regression_headers, features, strict=True)]
        return {"scores": F.softmax(torch.cat(scores, 1), dim=2), "boxes": torch.cat(boxes, 1)}

    @staticmethod
    def _listed(x, numbers):
        return x.permute(0, 2, 3, 1).contiguous().view(x.size(0), -1, numbers)


# MTCNN (Zhang et al., 2016): the first two of its three networks


class PNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.pool1 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, x):
        x = self.pool1(self.prelu1(self.conv1(x)))
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_2(x), F.softmax(self.conv4_1(x), dim=1)


class RNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, x):
        x = self.pool2(self.prelu2(self.conv2(self.pool1(self.prelu1(self.conv1(x))))))
        x = self.prelu3(self.conv3(x)).permute(0, 3, 2, 1).contiguous()
        x = self.prelu4(self.dense4(x.view(x.shape[0], -1)))
        return self.dense5_2(x), F.softmax(self.dense5_1(x), dim=1)

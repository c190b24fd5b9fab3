"""Image classifiers, built from their papers: nothing but torch.nn."""

from __future__ import annotations

import torch
from torch import nn


def conv_bn(inputs, outputs, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation(inplace=True)] if activation else []))


# ResNet-18 (He et al., 2015)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        changes = stride != 1 or inputs != outputs
        self.downsample = conv_bn(inputs, outputs, 1, stride, activation=None) if changes else None

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet18(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        widths, stages, inputs = (64, 128, 256, 512), [], 64
        for stage, width in enumerate(widths):
            stride = 1 if stage == 0 else 2
            stages += [BasicBlock(inputs, width, stride), BasicBlock(width, width, 1)]
            inputs = width
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.stages(self.stem(x))), 1))


# MobileNetV2 (Sandler et al., 2018)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expand):
        super().__init__()
        hidden = inputs * expand
        self.adds = stride == 1 and inputs == outputs
        layers = [] if expand == 1 else [conv_bn(inputs, hidden, 1, activation=nn.ReLU6)]
        layers.append(conv_bn(hidden, hidden, 3, stride, hidden, activation=nn.ReLU6))
        self.conv = nn.Sequential(*layers, conv_bn(hidden, outputs, 1, activation=None))

    def forward(self, x):
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        layers, inputs = [conv_bn(3, 32, 3, 2, activation=nn.ReLU6)], 32
        for expand, width, count, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
        ):  # fmt: skip
            for place in range(count):
                layers.append(InvertedResidual(inputs, width, stride if place == 0 else 1, expand))
                inputs = width
        self.features = nn.Sequential(*layers, conv_bn(320, 1280, 1, activation=nn.ReLU6))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean([2, 3]))


# MobileNetV3-small (Howard et al., 2019) and EfficientNet-B0 (Tan and Le, 2019)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed, activation, gate):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation(inplace=True)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x):
        return x * self.gate(self.fc2(self.activation(self.fc1(self.pool(x)))))


class MobileBlock(nn.Module):
    def __init__(self, inputs, hidden, outputs, kernel, stride, activation, excite):
        super().__init__()
        self.adds = stride == 1 and inputs == outputs
        layers = [] if hidden == inputs else [conv_bn(inputs, hidden, 1, activation=activation)]
        layers.append(conv_bn(hidden, hidden, kernel, stride, hidden, activation=activation))
        if excite:
            layers.append(excite)
        self.block = nn.Sequential(*layers, conv_bn(hidden, outputs, 1, activation=None))

    def forward(self, x):
        return x + self.block(x) if self.adds else self.block(x)


class MobileNetV3Small(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        layers, inputs = [conv_bn(3, 16, 3, 2, activation=nn.Hardswish)], 16
        for kernel, hidden, width, excited, activation, stride in (
            (3, 16, 16, True, nn.ReLU, 2), (3, 72, 24, False, nn.ReLU, 2), (3, 88, 24, False, nn.ReLU, 1),
            (5, 96, 40, True, nn.Hardswish, 2), (5, 240, 40, True, nn.Hardswish, 1),
            (5, 240, 40, True, nn.Hardswish, 1), (5, 120, 48, True, nn.Hardswish, 1),
            (5, 144, 48, True, nn.Hardswish, 1), (5, 288, 96, True, nn.Hardswish, 2),
            (5, 576, 96, True, nn.Hardswish, 1), (5, 576, 96, True, nn.Hardswish, 1),
        ):  # fmt: skip
            excite = SqueezeExcite(hidden, max(hidden // 4, 8), nn.ReLU, nn.Hardsigmoid) if excited else None
            layers.append(MobileBlock(inputs, hidden, width, kernel, stride, activation, excite))
            inputs = width
        self.features = nn.Sequential(*layers, conv_bn(96, 576, 1, activation=nn.Hardswish))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(576, 1024), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(1024, classes)
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


class EfficientNetB0(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        layers, inputs = [conv_bn(3, 32, 3, 2, activation=nn.SiLU)], 32
        for expand, width, count, stride, kernel in (
            (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
            (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
        ):  # fmt: skip
            for place in range(count):
                hidden = inputs * expand
                excite = SqueezeExcite(hidden, max(inputs // 4, 1), nn.SiLU, nn.Sigmoid)
                step = stride if place == 0 else 1
                layers.append(MobileBlock(inputs, hidden, width, kernel, step, nn.SiLU, excite))
                inputs = width
        self.features = nn.Sequential(*layers, conv_bn(320, 1280, 1, activation=nn.SiLU))
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


# ShuffleNetV2 x1.0 (Ma et al., 2018)


class ShuffleUnit(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.stride, half = stride, outputs // 2
        self.branch1 = (
            nn.Sequential(conv_bn(inputs, inputs, 3, 2, inputs, None), conv_bn(inputs, half, 1))
            if stride == 2
            else nn.Identity()
        )
        self.branch2 = nn.Sequential(
            conv_bn(inputs if stride == 2 else half, half, 1), conv_bn(half, half, 3, stride, half, None),
            conv_bn(half, half, 1),
        )  # fmt: skip

    def forward(self, x):
        left, right = x, x
        if self.stride == 1:
            left, right = x.chunk(2, dim=1)
        y = torch.cat((self.branch1(left), self.branch2(right)), dim=1)
        batch, channels, height, width = y.size()
        y = y.view(batch, 2, channels // 2, height, width)
        return torch.transpose(y, 1, 2).contiguous().view(batch, -1, height, width)


class ShuffleNetV2(nn.Module):
    def __init__(self, classes=100):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1))
        units, inputs = [], 24
        for width, count in ((116, 4), (232, 8), (464, 4)):
            for place in range(count):
                units.append(ShuffleUnit(inputs, width, 2 if place == 0 else 1))
                inputs = width
        self.stages = nn.Sequential(*units)
        self.last = conv_bn(464, 1024, 1)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x):
        return self.fc(self.last(self.stages(self.stem(x))).mean([2, 3]))


# SqueezeNet 1.1 (Iandola et al., 2016)


class Fire(nn.Module):
    def __init__(self, inputs, squeezed, expanded):
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1(x)), self.relu(self.expand3(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self, classes=100):
        super().__init__()

        def pool():
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2), nn.ReLU(inplace=True), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(),
            Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192),
            Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(0.5), nn.Conv2d(512, classes, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )

    def forward(self, x):
        return torch.flatten(self.classifier(self.features(x)), 1)

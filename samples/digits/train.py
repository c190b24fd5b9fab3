"""Trains the digits sample and writes digits.onnx, calibration.npz and test.npz beside this file.

usage: python samples/digits/train.py          (needs torch, scikit-learn and onnx; takes about a minute)

The split, the seeds and the number of epochs are fixed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
TEST_SHARE = 0.3
CALIBRATION_IMAGES = 100
EPOCHS = 60


def network() -> nn.Module:
    """The operators of a mobile network, small: convolution, depthwise and pointwise convolution, pooling, dense."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 16, 3, stride=2, padding=1, groups=16, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU6(),
        nn.Conv2d(16, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
        nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU6(),
        nn.Conv2d(32, 48, 1, bias=False),
        nn.BatchNorm2d(48),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(192, 10),
    )


def shifted(images: torch.Tensor) -> torch.Tensor:
    """Each batch moved by up to a pixel: digits are not always centred."""
    dy, dx = (int(step) for step in torch.randint(-1, 2, (2,)))
    return torch.roll(images, (dy, dx), (2, 3))


def main() -> None:
    torch.manual_seed(7)
    digits = load_digits()
    images = (digits.images[:, None] / 16.0).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=TEST_SHARE, random_state=7, stratify=digits.target
    )
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=EPOCHS * (len(x_train) // 64))
    x, y = torch.from_numpy(x_train), torch.from_numpy(y_train)
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for start in range(0, len(x) - 63, 64):
            batch = order[start : start + 64]
            loss = nn.functional.cross_entropy(net(shifted(x[batch])), y[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    net.eval()
    with torch.no_grad():
        accuracy = (net(torch.from_numpy(x_test)).argmax(1).numpy() == y_test).mean()
    print(f"float accuracy on {len(x_test)} held-back digits: {100 * accuracy:.2f} %")
    torch.onnx.export(
        net, (torch.zeros(1, 1, 8, 8),), str(HERE / "digits.onnx"), input_names=["image"], output_names=["scores"],
        opset_version=17, dynamo=False,
    )  # fmt: skip
    pixels = np.round(x_test * 16).astype(np.uint8)
    np.savez_compressed(HERE / "test.npz", x=pixels, labels=y_test.astype(np.uint8))
    np.savez_compressed(HERE / "calibration.npz", image=x_train[:CALIBRATION_IMAGES])


if __name__ == "__main__":
    main()

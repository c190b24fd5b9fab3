"""Networks of the project's own making, with random weights: shapes that the shared models do not cover.

usage: python tests/bench/bench_models.py FOLDER [NAME ...]      writes NAME.tflite, or all of them

The same files every time. Each stands for a family of networks, whose published layers it follows in kind and size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from net import Net


def mobilenet_v2() -> tuple[Net, Sequence[int]]:
    """MobileNetV2 1.0 at 224 (Sandler et al. 2018, table 2): 300 M multiply-adds."""
    net = Net((1, 224, 224, 3))
    x = net.conv(net.input, 32, 3, 2)
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, channels, count, stride in rows:
        for i in range(count):
            x = _inverted_residual(net, x, expand, channels, 3, stride if i == 0 else 1)
    return net, [_classifier(net, net.conv(x, 1280), 1000)]


def mnasnet() -> tuple[Net, Sequence[int]]:
    """As MnasNet and EfficientNet-Lite: 5x5 depthwise among 3x3 ones, ReLU6, at 160."""
    net = Net((1, 160, 160, 3))
    x = net.conv(net.input, 32, 3, 2)
    rows = (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 2, 2, 3), (6, 112, 2, 1, 5), (6, 192, 2, 2, 5),
        (6, 320, 1, 1, 3),
    )  # fmt: skip
    for expand, channels, count, stride, kernel in rows:
        for i in range(count):
            x = _inverted_residual(net, x, expand, channels, kernel, stride if i == 0 else 1)
    return net, [_classifier(net, net.conv(x, 1280), 1000)]


def mobilenet_v3() -> tuple[Net, Sequence[int]]:
    """MobileNetV3 small at 224 (Howard et al. 2019, table 2): squeeze and excite, hard-swish, 3x3 and 5x5 depthwise."""
    net = Net((1, 224, 224, 3))
    x = net.unary("HARD_SWISH", net.conv(net.input, 16, 3, 2, act=""))
    rows = (
        (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2), (3, 88, 24, False, "relu", 1),
        (5, 96, 40, True, "HARD_SWISH", 2), (5, 240, 40, True, "HARD_SWISH", 1), (5, 240, 40, True, "HARD_SWISH", 1),
        (5, 120, 48, True, "HARD_SWISH", 1), (5, 144, 48, True, "HARD_SWISH", 1),
        (5, 288, 96, True, "HARD_SWISH", 2), (5, 576, 96, True, "HARD_SWISH", 1), (5, 576, 96, True, "HARD_SWISH", 1),
    )  # fmt: skip

    def activated(y: int, act: str) -> int:
        return net.unary(act, y) if act.isupper() else y

    for kernel, wide, channels, squeeze, act, stride in rows:
        fused = "" if act.isupper() else act
        y = activated(net.conv(x, wide, act=fused), act) if wide != net.channels(x) else x
        y = activated(net.depthwise(y, kernel, stride, fused), act)
        if squeeze:
            gate = net.conv(net.conv(net.mean(y), max(8, wide // 4 // 8 * 8), act="relu"), wide, act="")
            gate = net.mul(net.add(gate, net.number(3.0), "relu6"), net.number(1 / 6))
            y = net.mul(y, gate)
        y = net.conv(y, channels, act="")
        x = net.add(x, y) if net.shape(x) == net.shape(y) else y
    x = net.mean(net.unary("HARD_SWISH", net.conv(x, 576, act="")))
    x = net.unary("HARD_SWISH", net.conv(x, 1024, act=""))
    return net, [net.dense(net.reshape(x, (1, 1024)), 1000)]


def resnet() -> tuple[Net, Sequence[int]]:
    """The first three stages of ResNet-18 (He et al. 2015) at 112: dense 3x3 of 64 to 256 channels."""
    net = Net((1, 112, 112, 3))
    x = net.max_pool(net.conv(net.input, 64, 7, 2, "relu"), 3, 2)
    for channels, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        y = net.conv(net.conv(x, channels, 3, stride, "relu"), channels, 3, act="")
        same = net.shape(x) == net.shape(y)
        x = net.add(y, x if same else net.conv(x, channels, 1, stride, act=""), "relu")
    return net, [_classifier(net, x, 100)]


def resnext() -> tuple[Net, Sequence[int]]:
    """As ResNeXt (Xie et al. 2016): bottlenecks whose 3x3 has 32 groups of 4 and 8 channels."""
    net = Net((1, 112, 112, 3))
    x = net.conv(net.input, 64, 3, 2, "relu")
    for channels, stride in ((128, 2), (128, 1), (256, 2), (256, 1)):
        y = net.conv(x, channels, act="relu")
        y = net.conv(y, channels, 3, stride, "relu", groups=32)
        y = net.conv(y, channels, act="")
        same = net.shape(x) == net.shape(y)
        x = net.add(y, x if same else net.conv(x, channels, 1, stride, act=""), "relu")
    return net, [_classifier(net, x, 100)]


def shufflenet() -> tuple[Net, Sequence[int]]:
    """As ShuffleNet (Zhang et al. 2017), 3 groups: grouped 1x1, channel shuffle, 3x3 depthwise."""
    net = Net((1, 160, 160, 3))
    x = net.max_pool(net.conv(net.input, 24, 3, 2, "relu"), 3, 2)
    for channels, count in ((240, 3), (480, 4), (960, 2)):
        for i in range(count):
            stride, more = (2, channels - net.channels(x)) if i == 0 else (1, channels)
            y = net.conv(x, channels // 4 // 12 * 12, groups=3, act="relu")
            y = net.depthwise(_shuffle(net, y, 3), 3, stride, "")
            y = net.conv(y, more, groups=3, act="")
            short = net.max_pool(x, 3, 2) if stride == 2 else x
            x = net.concat((short, y), 3) if stride == 2 else net.add(short, y, "relu")
    return net, [_classifier(net, x, 100)]


def audio_tcn() -> tuple[Net, Sequence[int]]:
    """As TC-ResNet for keywords (Choi et al. 2019): time along the height, features are channels, 9x1 convolutions;
    then dilated ones, as in WaveNet and TCNs."""
    net = Net((1, 98, 1, 40))
    x = net.conv(net.input, 32, (3, 1), act="relu")
    for channels, stride in ((48, 2), (64, 2), (96, 1)):
        y = net.conv(net.conv(x, channels, (9, 1), (stride, 1), "relu"), channels, (9, 1), act="")
        x = net.add(y, net.conv(x, channels, 1, (stride, 1), "relu"), "relu")
    for dilation in (1, 2, 4, 8):
        x = net.add(x, net.conv(x, 96, (3, 1), act="relu", dilation=dilation))
    return net, [_classifier(net, x, 12)]


def audio_separable() -> tuple[Net, Sequence[int]]:
    """As MatchboxNet (Majumdar and Ginsburg 2020): time along the width, 1x11 to 1x17 depthwise with 1x1; one
    dilated."""
    net = Net((1, 1, 128, 64))
    x = net.conv(net.depthwise(net.input, (1, 11), (1, 1), ""), 128, act="relu")
    for kernel in (13, 15, 17):
        y = net.conv(net.depthwise(x, (1, kernel), (1, 1), ""), 64, act="relu")
        y = net.conv(net.depthwise(y, (1, kernel), (1, 1), ""), 64, act="")
        x = net.add(y, net.conv(x, 64, act=""), "relu")
    x = net.conv(net.depthwise(x, (1, 29), (1, 1), "", dilation=2), 128, act="relu")
    return net, [_classifier(net, net.conv(x, 128, act="relu"), 30)]


def mlp() -> tuple[Net, Sequence[int]]:
    """Batch 1 through five layers of 1024: matrix by vector."""
    net = Net((1, 1024))
    x = net.input
    for _ in range(5):
        x = net.dense(x, 1024, "relu")
    return net, [net.dense(x, 100)]


def transformer() -> tuple[Net, Sequence[int]]:
    """Two encoder blocks (Vaswani et al. 2017) over 64 tokens of 256, 4 heads, without their normalisations."""
    tokens, width, heads = 64, 256, 4
    net = Net((1, tokens, width))
    x = net.input
    for _ in range(2):
        split = [
            net.transpose(net.reshape(net.dense(x, width), (1, tokens, heads, width // heads)), (0, 2, 1, 3))
            for _ in range(3)
        ]
        query = net.mul(split[0], net.number((width // heads) ** -0.5))
        weights = net.softmax(net.matmul(query, split[1], transpose_b=True))
        y = net.transpose(net.matmul(weights, split[2]), (0, 2, 1, 3))
        x = net.add(x, net.dense(net.reshape(y, (1, tokens, width)), width))
        x = net.add(x, net.dense(net.dense(x, 4 * width, "relu"), width))
    return net, [net.dense(x, 64)]


def detector() -> tuple[Net, Sequence[int]]:
    """A small detector at 320: maps up to 160x160x16, features of two scales joined, heads on both."""
    net = Net((1, 320, 320, 3))
    x = net.conv(net.input, 16, 3, 2, "relu")
    maps = []
    for channels, stride in ((16, 1), (32, 2), (64, 2), (64, 1), (128, 2), (128, 1)):
        x = net.conv(net.depthwise(x, 3, stride, "relu"), channels, act="relu")
        maps.append(x)
    fine, coarse = maps[3], net.conv(maps[5], 64, act="relu")
    fine = net.conv(net.concat((fine, net.upsample(coarse)), 3), 64, act="relu")
    outputs = []
    for depth, final in ((24, ""), (6, "LOGISTIC")):
        parts = []
        for level in (fine, coarse):
            y = net.conv(net.depthwise(level, 3, 1, "relu"), depth, act="")
            parts.append(net.reshape(y, (1, -(-net.shape(y)[1] * net.shape(y)[2] * depth // 6), 6)))
        y = net.concat(parts, 1)
        outputs.append(net.unary(final, y) if final else y)
    return net, outputs


def _inverted_residual(net: Net, x: int, expand: int, channels: int, kernel: int, stride: int) -> int:
    y = net.conv(x, expand * net.channels(x)) if expand > 1 else x
    y = net.conv(net.depthwise(y, kernel, stride), channels, act="")
    return net.add(x, y) if net.shape(x) == net.shape(y) else y


def _shuffle(net: Net, x: int, groups: int) -> int:
    _, h, w, c = net.shape(x)
    y = net.transpose(net.reshape(x, (1, h, w, groups, c // groups)), (0, 1, 2, 4, 3))
    return net.reshape(y, (1, h, w, c))


def _classifier(net: Net, x: int, classes: int) -> int:
    return net.dense(net.reshape(net.mean(x), (1, net.channels(x))), classes)


MODELS: dict[str, Callable[[], tuple[Net, Sequence[int]]]] = {
    made.__name__: made
    for made in (
        mobilenet_v2, mnasnet, mobilenet_v3, resnet, resnext, shufflenet, audio_tcn, audio_separable, mlp, transformer,
        detector,
    )
}  # fmt: skip
FLOAT = ("mobilenet_v2", "mobilenet_v3", "resnet", "mlp", "transformer", "audio_tcn")  # also as they were trained
NAMES = (*(f"{name}_int8" for name in MODELS), *(f"{name}_float" for name in FLOAT))


def make(name: str) -> bytes:
    """The .tflite file of one of NAMES."""
    network, _, kind = name.rpartition("_")
    net, outputs = MODELS[network]()
    return net.int8_model(outputs) if kind == "int8" else net.float_model(outputs)


def main() -> None:
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(NAMES):
        raise SystemExit(f"{(__doc__ or '').strip()}\n\nNAME: {', '.join(NAMES)}")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[2:] or NAMES:
        (folder / f"{name}.tflite").write_bytes(make(name))
        print(folder / f"{name}.tflite", flush=True)


if __name__ == "__main__":
    main()

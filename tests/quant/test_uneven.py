"""Networks that break plain min-max quantisation keep their accuracy by the recipe.

A MobileNetV2-like and a MobileNetV3-like network are trained on scikit-learn's digits. Then channels of their linear
bottlenecks, and of hidden tensors where that is exact, are made up to a thousand times narrower, which the layers
behind make up for: what the network computes stays, and so does its float accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from quant.networks import pack

from edgert.compile import optimise
from edgert.importers import formats
from edgert.ir import Graph
from edgert.progress import silent
from edgert.quant.choices import Choice, Trials
from edgert.quant.graph.clone import clone
from edgert.quant.observe.calibrate import calibrate_apart
from edgert.quant.observe.measure import run_all
from edgert.quant.observe.samples import KeptSamples
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import Plan

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("sklearn.datasets")
nn = torch.nn

TRAINED, CALIBRATED, NARROWEST = 1200, 200, 1e-3
EPOCHS, BATCH = 12, 50


def conv_norm(i: int, o: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: Any = None) -> Any:
    layers = [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Squeeze(nn.Module):
    """Squeeze-excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read, self.gate = nn.Conv2d(channels, 8, 1), nn.Conv2d(8, channels, 1)

    def forward(self, x: Any) -> Any:
        wanted = self.gate(torch.relu(self.read(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(wanted)


class Block(nn.Module):
    """Expand, filter, gate, and come back to a linear bottleneck."""

    def __init__(self, i: int, o: int, stride: int, act: Any, squeeze: bool) -> None:
        super().__init__()
        wide = 4 * i
        self.expand = conv_norm(i, wide, act=act)
        self.filter = conv_norm(wide, wide, 3, stride, wide, act)
        self.squeeze = Squeeze(wide) if squeeze else nn.Identity()
        self.project = conv_norm(wide, o)
        self.residual = i == o and stride == 1

    def forward(self, x: Any) -> Any:
        y = self.project(self.squeeze(self.filter(self.expand(x))))
        return x + y if self.residual else y


class Network(nn.Module):
    def __init__(self, acts: Sequence[Any], squeeze: bool) -> None:
        super().__init__()
        first, second, last = acts
        self.stem = conv_norm(1, 8, 3, act=last)
        self.blocks = nn.Sequential(
            Block(8, 12, 1, first, squeeze), Block(12, 12, 1, first, False),
            Block(12, 16, 2, second, squeeze), Block(16, 16, 1, second, squeeze),
        )  # fmt: skip
        self.head = conv_norm(16, 64, act=last)
        self.classify = nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        return self.classify(self.head(self.blocks(self.stem(x))).mean((2, 3)))


def mobilenet_v2() -> Any:
    return Network([nn.ReLU6] * 3, squeeze=False)


def mobilenet_v3() -> Any:
    return Network([nn.ReLU, nn.Hardswish, nn.Hardswish], squeeze=True)


def trained(make: Callable[[], Any], images: Any, labels: Any) -> Any:
    torch.manual_seed(7)
    network = make()
    steps = EPOCHS * (TRAINED // BATCH)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(TRAINED).split(BATCH):
            loss = nn.functional.cross_entropy(network(images[batch]), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return network.eval()


def narrow(writer: Any, scale: Any) -> None:
    """Multiplies every channel that a convolution with its norm writes."""
    writer[1].weight.data *= scale
    writer[1].bias.data *= scale


def make_uneven(network: Any, images: Any) -> None:
    """Exact for linear tensors, behind ReLU, and behind ReLU6 for channels that stay below 6."""
    generator = torch.Generator().manual_seed(3)

    def spread(channels: int, least: float) -> Any:
        return least ** torch.linspace(0, 1, channels)[torch.randperm(channels, generator=generator)]

    blocks = list(network.blocks)
    for at in (0, 2):  # bottlenecks: two blocks add up to the second one of each pair
        scale = spread(blocks[at].project[0].out_channels, NARROWEST)
        narrow(blocks[at].project, scale)
        narrow(blocks[at + 1].project, scale)
        for reader in (blocks[at + 1].expand, blocks[at + 2].expand if at + 2 < len(blocks) else network.head):
            reader[0].weight.data /= scale[None, :, None, None]
    reach: dict[Any, Any] = {}
    hooks = [
        block.expand.register_forward_hook(lambda module, _, y: reach.update({module: y.amax((0, 2, 3))}))
        for block in blocks
    ]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    for block in blocks:
        act = block.expand[2]
        if not isinstance(act, nn.Hardswish):
            scale = spread(block.expand[0].out_channels, 1 / 32)
            if isinstance(act, nn.ReLU6):
                scale = torch.where(reach[block.expand] < 5.0, scale, 1.0)
            narrow(block.expand, scale)
            block.filter[0].weight.data /= scale[:, None, None, None]


def imported(network: Any, images: Any) -> Graph:
    _, graph = formats.load_object(network, None, {"example_inputs": (images[:1],)})
    optimise(graph)
    return graph


def accuracy(graph: Graph, samples: Any, labels: np.ndarray) -> float:
    """Percent."""
    (scores,) = run_all(pack(clone(graph)), samples)
    return 100.0 * float((scores.reshape(len(samples), -1).argmax(axis=1) == labels).mean())


@pytest.mark.parametrize("make", [mobilenet_v2, mobilenet_v3])
def test_the_recipe_keeps_what_min_max_loses(make: Callable[[], Any]) -> None:
    digits = datasets.load_digits()
    images = torch.tensor(digits.images[:, None] / 8.0 - 1.0, dtype=torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    network = trained(make, images, torch.tensor(digits.target))
    even = imported(network, images)
    make_uneven(network, images[:TRAINED])
    torch.set_num_threads(threads)
    graph = imported(network, images)

    (value,) = graph.inputs
    samples = [{value.name: image.numpy().reshape(value.shape)} for image in images]
    calibration, held, labels = samples[:CALIBRATED], samples[TRAINED:], digits.target[TRAINED:]
    exact = accuracy(graph, held, labels)
    assert exact > 90.0
    assert exact == pytest.approx(accuracy(even, held, labels), abs=0.4)  # the same function

    kept = KeptSamples(1 << 28)
    seen = calibrate_apart(pack(clone(graph)), kept.passing(calibration))
    plain = Trials(graph, Plan(), seen, kept, pack, silent).quantized(Choice(), Plan(), "float")
    assert accuracy(plain, held, labels) < exact - 10.0
    assert accuracy(Quantizer(graph, calibration, pack).quantized(), held, labels) > exact - 1.0

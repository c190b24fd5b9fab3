"""Quantised PyTorch programs keep their scales; float ones are quantised as any other model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")
pytest.importorskip("torch.ao.quantization.fx._decomposed", reason="this torch has no quantized_decomposed operators")

from edgert.compile import convert  # noqa: E402
from edgert.dtypes import DType  # noqa: E402
from edgert.errors import UnsupportedError  # noqa: E402
from edgert.importers.torch import load_object  # noqa: E402
from importers._torch_run import eager, lively, run  # noqa: E402
from importers.torch_nets import classifiers  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
q = torch.ops.quantized_decomposed


class ByHand(torch.nn.Module):
    """A convolution and a sum between quantize and dequantize, weights per channel or per tensor."""

    def __init__(self, dtype, per_channel):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        weights = torch.randn(6, 4, 3, 3, generator=generator)
        self.dtype, self.per_channel = dtype, per_channel
        self.low, self.high = (0, 255) if dtype == torch.uint8 else (-128, 127)
        self.zero = 128 if dtype == torch.uint8 else 0
        peak = weights.abs().amax((1, 2, 3)) if per_channel else weights.abs().max()
        self.register_buffer("scales", peak / 127)
        self.register_buffer("zeros", torch.zeros_like(self.scales, dtype=torch.int64))
        shape = (-1, 1, 1, 1) if per_channel else (1, 1, 1, 1)
        stored = torch.round(weights / self.scales.reshape(shape)).clamp(-127, 127).to(torch.int8)
        self.register_buffer("stored", stored)
        self.bias = torch.nn.Parameter(torch.randn(6, generator=generator))

    def qdq(self, x, scale, zero):
        y = q.quantize_per_tensor.default(x, scale, zero, self.low, self.high, self.dtype)
        return q.dequantize_per_tensor.default(y, scale, zero, self.low, self.high, self.dtype)

    def weights(self):
        if self.per_channel:
            return q.dequantize_per_channel.default(self.stored, self.scales, self.zeros, 0, -127, 127, torch.int8)
        return q.dequantize_per_tensor.default(self.stored, self.scales.item(), 0, -127, 127, torch.int8)

    def forward(self, x):
        x = self.qdq(x, 0.03, self.zero - 4)
        y = torch.nn.functional.relu(torch.nn.functional.conv2d(x, self.weights(), self.bias, padding=1))
        y = self.qdq(y, 0.1, self.zero - 128)
        return self.qdq(torch.nn.functional.max_pool2d(y, 2), 0.1, self.zero - 128)


@pytest.mark.parametrize("per_channel", [True, False], ids=["per_channel", "per_tensor"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
def test_written_by_hand(dtype, per_channel):
    module = ByHand(dtype, per_channel).eval()
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    graph = load_object(module if per_channel else _fixed(module, x), None, (x,) if per_channel else None)
    (theirs,) = eager(module, [x])
    (ours,) = run(graph, [x])
    kinds = Counter((node.op, node.inputs[0].dtype) for node in graph.nodes)
    assert kinds["conv2d", DType.INT8] == kinds["max_pool2d", DType.INT8] == 1
    assert kinds["conv2d", DType.FLOAT32] == 0
    (conv,) = (node for node in graph.nodes if node.op == "conv2d")
    assert conv.inputs[0].quant.scale == float(np.float32(0.03))
    assert conv.inputs[0].quant.zero_point == -4
    assert conv.output.quant.scale == float(np.float32(0.1))
    # One step of the output's scale where the real number lies half-way between two.
    assert np.abs(ours - theirs).max() <= 0.1 * 1.01
    assert (ours != theirs).mean() < 0.01


def _fixed(module, x):
    """The scale of weights per tensor is a number, which export must know."""
    scale = module.scales.item()
    module.weights = lambda: q.dequantize_per_tensor.default(module.stored, scale, 0, -127, 127, torch.int8)
    return torch.export.export(module, (x,), strict=False)


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = classifiers.conv_bn(3, 16, 3, 2)
        self.block = classifiers.InvertedResidual(16, 16, 1, 2)
        self.pool = torch.nn.AdaptiveAvgPool2d(1)
        self.fc = torch.nn.Linear(16, 10)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.block(self.stem(x))), 1))


def _xnnpack(per_channel):
    pytest.importorskip("torchao", reason="needs the package torchao")
    where = "torchao.testing.pt2e._xnnpack_quantizer"
    module = pytest.importorskip(where, reason=f"this torchao has no {where}")
    config = module.get_symmetric_quantization_config(is_per_channel=per_channel)
    return module.XNNPACKQuantizer().set_global(config)


def _x86():
    where = "torchao.quantization.pt2e.quantizer.x86_inductor_quantizer"
    module = pytest.importorskip(where, reason=f"needs {where}")
    return module.X86InductorQuantizer().set_global(module.get_default_x86_inductor_quantization_config())


QUANTIZERS = {
    "int8_per_channel": lambda: _xnnpack(True), "int8_per_tensor": lambda: _xnnpack(False), "uint8": _x86
}  # fmt: skip


@pytest.mark.parametrize(
    ("make", "quantizer"),
    [*((Small, name) for name in QUANTIZERS), (classifiers.MobileNetV2, "int8_per_channel")],
    ids=lambda item: getattr(item, "__name__", item),
)
def test_pt2e(make, quantizer):
    chosen = QUANTIZERS[quantizer]()
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    torch.manual_seed(3)
    module = lively(make())
    samples = [torch.randn(1, 3, 64, 64) for _ in range(4)]
    prepared = prepare_pt2e(torch.export.export(module, (samples[0],)).module(), chosen)
    for sample in samples:
        prepared(sample)
    quantised = convert_pt2e(prepared)
    graph = load_object(torch.export.export(quantised, (samples[0],)))
    (float_result,), (theirs,) = eager(module, [samples[1]]), eager(quantised, [samples[1]])
    (ours,) = run(graph, [samples[1]])
    assert any(node.inputs[0].dtype == DType.INT8 for node in graph.nodes if node.op == "conv2d")
    if quantizer != "uint8":  # that quantiser leaves the convolutions before a sum, and results, in float
        assert all(node.inputs[0].dtype == DType.INT8 for node in graph.nodes if node.op != "quantize")
    assert np.abs(ours - theirs).max() <= max(np.abs(theirs - float_result).max(), 0.02 * np.abs(theirs).max())


def test_int8_from_a_module():
    torch.manual_seed(4)
    module = lively(classifiers.MobileNetV2(10))
    samples = [torch.randn(1, 3, 64, 64) for _ in range(12)]
    made = convert(
        module, example_inputs=(samples[0],), quantize="int8", calibrate=[{"x": item.numpy()} for item in samples]
    )
    assert made.quantized_here
    (ours,), (theirs,) = run(made.data, [samples[0]]), eager(module, [samples[0]])
    cosine = (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs)
    assert cosine > 0.98


def test_int8_of_attention_and_convolution():
    from importers.torch_nets import sequences

    torch.manual_seed(4)
    module = lively(sequences.VisionTransformer())
    samples = [torch.randn(1, 3, 32, 32) for _ in range(8)]
    made = convert(
        module, example_inputs=(samples[0],), quantize="int8", calibrate=[{"x": item.numpy()} for item in samples]
    )
    (ours,), (theirs,) = run(made.data, [samples[1]]), eager(module, [samples[1]])
    assert (ours * theirs).sum() / np.linalg.norm(ours) / np.linalg.norm(theirs) > 0.97


def test_per_channel_activations_are_refused():
    class Channels(torch.nn.Module):
        def forward(self, x):
            scales, zeros = torch.tensor([0.1, 0.2]), torch.tensor([0, 0])
            y = q.quantize_per_channel.default(x, scales, zeros, 1, -128, 127, torch.int8)
            return q.dequantize_per_channel.default(y, scales, zeros, 1, -128, 127, torch.int8)

    with pytest.raises(UnsupportedError, match="per channel"):
        load_object(Channels(), None, (torch.randn(1, 2, 3),))

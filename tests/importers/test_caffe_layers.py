"""Caffe layers, against OpenCV where it has them, and against the formula of Caffe's source elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import run

from edgert.importers import caffe
from importers._caffe_write import inputs_text, save

RNG = np.random.default_rng(4)
IMAGE = (1, 4, 7, 9)
ONE = {"data": IMAGE}
SAME = {"data": IMAGE, "other": IMAGE}


def normal(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


def positive(*shape):
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


def layer(kind, param="", bottoms=("data",), tops=("out",)):
    links = [f'bottom: "{name}"' for name in bottoms] + [f'top: "{name}"' for name in tops]
    copies = (
        ""
        if len(tops) == 1
        else "\n".join(
            f'layer {{ name: "out_{name}" type: "Power" bottom: "{name}" top: "out_{name}" }}' for name in tops
        )
    )  # OpenCV gives a layer's first output alone
    return f'layer {{ name: "out" type: "{kind}" {" ".join(links)} {param} }}\n{copies}'


def of_two(kind, param=""):
    return layer(kind, param, ("data", "other"))


def conv(text, inputs=4, outputs=6, groups=1, kernel=(3, 3), bias=True, kind="Convolution"):
    blobs = [normal(outputs, inputs // groups, *kernel), *([normal(outputs)] if bias else [])]
    return layer(kind, f"convolution_param {{ num_output: {outputs} group: {groups} {text} }}"), blobs, ONE


def deconv(text, outputs=6, groups=1, kernel=(4, 4)):
    blobs = [normal(4, outputs // groups, *kernel), normal(outputs)]
    return layer("Deconvolution", f"convolution_param {{ num_output: {outputs} group: {groups} {text} }}"), blobs, ONE


AGAINST_OPENCV = {
    "conv": conv("kernel_size: 3 pad: 1 stride: 2"),
    "conv_sides": conv("kernel_h: 2 kernel_w: 3 pad_h: 1 pad_w: 0 stride_h: 1 stride_w: 2", kernel=(2, 3)),
    "conv_lists": conv("kernel_size: 2 kernel_size: 3 pad: 0 pad: 2 stride: 2 stride: 1", kernel=(2, 3)),
    "conv_dilated": conv("kernel_size: 3 dilation: 2 bias_term: false engine: CAFFE", bias=False),
    "conv_groups": conv("kernel_size: 3", outputs=8, groups=2),
    "conv_depthwise": conv("kernel_size: 3 pad: 1", outputs=4, groups=4),
    "deconv": deconv("kernel_size: 4 stride: 2 pad: 1"),
    "deconv_groups": deconv("kernel_size: 4 stride: 2", outputs=4, groups=4),
    "inner_product": (layer("InnerProduct", "inner_product_param { num_output: 5 }"), [normal(5, 252), normal(5)], ONE),
    "max_pool": (layer("Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"), [], ONE),
    "max_pool_padded": (layer("Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }"), [], ONE),
    "max_pool_down": (layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 ceil_mode: false }"), [], ONE),
    "max_pool_sides": (layer("Pooling", "pooling_param { kernel_h: 2 kernel_w: 3 stride_h: 1 stride_w: 2 }"), [], ONE),
    "average_pool": (layer("Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"), [], ONE),
    "average_pool_global": (layer("Pooling", "pooling_param { pool: AVE global_pooling: true }"), [], ONE),
    "lrn": (layer("LRN", "lrn_param { local_size: 3 alpha: 0.05 beta: 0.6 }"), [], ONE),
    "relu": (layer("ReLU"), [], ONE),
    "relu_leaky": (layer("ReLU", "relu_param { negative_slope: 0.1 }"), [], ONE),
    "prelu": (layer("PReLU"), [normal(4)], ONE),
    "prelu_shared": (layer("PReLU", "prelu_param { channel_shared: true }"), [normal(1)], ONE),
    "elu": (layer("ELU"), [], ONE),
    "sigmoid": (layer("Sigmoid"), [], ONE),
    "tanh": (layer("TanH"), [], ONE),
    "abs": (layer("AbsVal"), [], ONE),
    "power": (layer("Power", "power_param { power: 2 scale: 0.5 shift: 1 }"), [], ONE),
    "power_root": (layer("Power", "power_param { power: 0.3 scale: 0.1 shift: 3 }"), [], ONE),
    "exp": (layer("Exp", "exp_param { base: 2 scale: 0.5 shift: 1 }"), [], ONE),
    "bnll": (layer("BNLL"), [], ONE),
    "softmax": (layer("Softmax"), [], ONE),
    "softmax_axis": (layer("Softmax", "softmax_param { axis: -1 }"), [], ONE),
    "dropout": (layer("Dropout", "dropout_param { dropout_ratio: 0.5 }"), [], ONE),
    "batch_norm": (layer("BatchNorm"), [normal(4) * 3, positive(4) * 3, np.array([3], np.float32)], ONE),
    "batch_norm_eps": (layer("BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.01 }"),
                       [normal(4), positive(4), np.array([1], np.float32)], ONE),
    "scale": (layer("Scale", "scale_param { bias_term: true }"), [normal(4), normal(4)], ONE),
    "scale_of_two": (of_two("Scale", "scale_param { axis: 0 }"), [], {"data": IMAGE, "other": (1, 4)}),
    "eltwise_sum": (of_two("Eltwise"), [], SAME),
    "eltwise_coefficients": (of_two("Eltwise", "eltwise_param { operation: SUM coeff: 0.5 coeff: -1 }"), [], SAME),
    "eltwise_product": (of_two("Eltwise", "eltwise_param { operation: PROD }"), [], SAME),
    "eltwise_max": (of_two("Eltwise", "eltwise_param { operation: MAX }"), [], SAME),
    "concat": (of_two("Concat"), [], SAME),
    "concat_axis": (of_two("Concat", "concat_param { axis: 2 }"), [], SAME),
    "slice": (layer("Slice", "slice_param { axis: 1 slice_point: 1 slice_point: 3 }", tops="abc"), [], ONE),
    "slice_equal": (layer("Slice", "slice_param { slice_dim: 1 }", tops="ab"), [], ONE),
    "split": (layer("Split", tops="ab"), [], ONE),
    "flatten": (layer("Flatten"), [], ONE),
    "flatten_axes": (layer("Flatten", "flatten_param { axis: 1 end_axis: 2 }"), [], ONE),
    "reshape": (layer("Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }"), [], ONE),
    "reshape_axes": (layer("Reshape", "reshape_param { shape { dim: 2 dim: -1 } axis: 1 num_axes: 1 }"), [], ONE),
    "permute": (layer("Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }"), [], ONE),
    "crop": (of_two("Crop", "crop_param { axis: 2 offset: 1 offset: 2 }"), [], {"data": IMAGE, "other": (1, 4, 5, 5)}),
    "normalize": (layer("Normalize", "norm_param { across_spatial: false channel_shared: false }"), [normal(4)], ONE),
    "normalize_all": (layer("Normalize", "norm_param { across_spatial: true channel_shared: true }"), [normal(1)], ONE),
    "interp": (layer("Interp", "interp_param { height: 13 width: 5 }"), [], ONE),
    "shuffle": (layer("ShuffleChannel", "shuffle_channel_param { group: 2 }"), [], ONE),
}  # fmt: skip


def positions(x):
    return x.reshape(1, -1)


def within_channel(x):
    """Caffe's LRN WITHIN_CHANNEL: averages over 3 x 3 windows in which padding counts."""
    squares = np.pad(x * x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    total = sum(squares[:, :, r : r + 7, c : c + 9] for r in range(3) for c in range(3))
    return x * (1 + 0.5 * total / 9) ** -0.75


def mvn(x, axes):
    centred = x - x.mean(axes, keepdims=True)
    return centred / (np.sqrt((centred**2).mean(axes, keepdims=True)) + 1e-9)


def across_channels(x):
    squares = np.pad(x * x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    return x * (2 + 0.5 / 3 * sum(squares[:, at : at + 4] for at in range(3))) ** -0.6


BIAS, GAMMA, MATRIX = normal(4), normal(7), normal(252, 5)
STATISTICS = [normal(4), normal(4), normal(4), positive(4)]
BY_FORMULA = {
    "relu6": (layer("ReLU6"), [], ONE, lambda x: np.clip(x, 0, 6)),
    "hard_swish": (layer("HSwish"), [], ONE, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "hard_sigmoid": (layer("HSigmoid"), [], ONE, lambda x: np.clip(x + 3, 0, 6) / 6),
    "log": (layer("Log", "log_param { base: 10 scale: 0.1 shift: 3 }"), [], ONE, lambda x: np.log10(0.1 * x + 3)),
    "threshold": (layer("Threshold", "threshold_param { threshold: 0.2 }"), [], ONE, lambda x: (x > 0.2) * 1.0),
    "clip": (layer("Clip", "clip_param { min: -0.3 max: 0.4 }"), [], ONE, lambda x: np.clip(x, -0.3, 0.4)),
    "swish": (layer("Swish", "swish_param { beta: 2 }"), [], ONE, lambda x: x / (1 + np.exp(-2 * x))),
    "bias": (layer("Bias"), [BIAS], ONE, lambda x: x + BIAS.reshape(4, 1, 1)),
    "scale_axis": (layer("Scale", "scale_param { axis: 2 }"), [GAMMA], ONE, lambda x: x * GAMMA.reshape(7, 1)),
    "bn": (layer("BN"), [vector.reshape(1, 4, 1, 1) for vector in STATISTICS], ONE, lambda x: (
        (x - STATISTICS[2].reshape(4, 1, 1)) / np.sqrt(STATISTICS[3].reshape(4, 1, 1) + 1e-5)
        * STATISTICS[0].reshape(4, 1, 1) + STATISTICS[1].reshape(4, 1, 1))),
    "bn_of_segnet": (layer("BN"), STATISTICS[:2], ONE,
                     lambda x: x * STATISTICS[0].reshape(4, 1, 1) + STATISTICS[1].reshape(4, 1, 1)),
    "inner_product_transposed": (
        layer("InnerProduct", "inner_product_param { num_output: 5 bias_term: false transpose: true }"), [MATRIX], ONE,
        lambda x: positions(x) @ MATRIX),
    "max_pool_round_mode": (layer("Pooling", "pooling_param { kernel_size: 2 stride: 2 round_mode: FLOOR }"), [], ONE,
                            lambda x: x[:, :, :6, :8].reshape(1, 4, 3, 2, 4, 2).max((3, 5))),
    "lrn_k": (layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"), [], ONE, across_channels),
    "lrn_within": (layer("LRN", "lrn_param { local_size: 3 alpha: 0.5 norm_region: WITHIN_CHANNEL }"), [], ONE,
                   within_channel),
    "mvn": (layer("MVN"), [], ONE, lambda x: mvn(x, (2, 3))),
    "mvn_channels": (layer("MVN", "mvn_param { across_channels: true }"), [], ONE, lambda x: mvn(x, (1, 2, 3))),
    "mvn_mean": (layer("MVN", "mvn_param { normalize_variance: false }"), [], ONE,
                 lambda x: x - x.mean((2, 3), keepdims=True)),
    "argmax": (layer("ArgMax"), [], ONE, lambda x: positions(x).argmax(1).reshape(1, 1, 1)),
    "argmax_axis": (layer("ArgMax", "argmax_param { axis: 1 }"), [], ONE, lambda x: x.argmax(1)[:, None]),
    "argmax_values": (layer("ArgMax", "argmax_param { out_max_val: true top_k: 2 }"), [], ONE, lambda x: np.stack(
        [np.argsort(-positions(x))[:, :2], -np.sort(-positions(x))[:, :2]], 1)),
    "reduction": (layer("Reduction", "reduction_param { operation: MEAN axis: 1 }"), [], ONE,
                  lambda x: x.mean((1, 2, 3))),
    "reduction_asum": (layer("Reduction", "reduction_param { operation: ASUM axis: 2 coeff: 0.5 }"), [], ONE,
                       lambda x: np.abs(x).sum((2, 3)) / 2),
    "reduction_sumsq": (layer("Reduction", "reduction_param { operation: SUMSQ axis: -1 }"), [], ONE,
                        lambda x: (x * x).sum(3)),
    "tile": (layer("Tile", "tile_param { axis: 2 tiles: 3 }"), [], ONE, lambda x: np.tile(x, (1, 1, 3, 1))),
    "upsample": (layer("Upsample", "upsample_param { scale: 2 }"), [], ONE, lambda x: x.repeat(2, 2).repeat(2, 3)),
    "axpy": (layer("Axpy", bottoms=("scale", "data", "other")), [], {"scale": (1, 4, 1, 1), **SAME},
             lambda s, x, y: s * x + y),
    "average_pool_larger": (layer("Pooling", "pooling_param { pool: AVE kernel_size: 9 stride: 3 }"), [], ONE,
                            lambda x: x.mean((2, 3), keepdims=True)),
    "embed": (layer("Embed", "embed_param { num_output: 3 input_dim: 4 bias_term: false }"), [np.eye(4, 3)],
              {"data": (2, 3)}, lambda x: np.eye(4, 3)[x.astype(int)]),
}  # fmt: skip


def outputs_of(path, inputs):
    """By name, from the reference and from the runtime."""
    graph = caffe.load(path)
    graph.verify()
    arrays = [inputs[value.name] for value in graph.inputs]
    names = [value.name for value in graph.outputs]
    by_reference = dict(zip(names, ReferenceExecutor(graph).run(*arrays), strict=True))
    return by_reference, dict(zip(names, run(graph, arrays), strict=True))


def assert_near(result, expected):
    assert result.size == np.size(expected)
    bound = 1e-4 * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(result, np.reshape(expected, result.shape), rtol=0, atol=bound)


@pytest.mark.parametrize("name", AGAINST_OPENCV)
def test_equals_opencv(name, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    text, blobs, shapes = AGAINST_OPENCV[name]
    path = save(tmp_path, inputs_text(shapes) + text, {"out": blobs})
    inputs = {key: normal(*shape) for key, shape in shapes.items()}
    net = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    for key, array in inputs.items():
        net.setInput(array, key)
    for found in outputs_of(path, inputs):
        expected = dict(zip(found, net.forward(list(found)), strict=True))
        for output, result in found.items():
            assert_near(result, expected[output])
            assert result.ndim == 1 or result.shape == expected[output].shape


@pytest.mark.parametrize("name", BY_FORMULA)
def test_equals_its_formula(name, tmp_path):
    text, blobs, shapes, formula = BY_FORMULA[name]
    path = save(tmp_path, inputs_text(shapes) + text, {"out": blobs})
    inputs = {key: np.abs(normal(*shape)) * 1.5 if name == "embed" else normal(*shape) for key, shape in shapes.items()}
    expected = formula(*inputs.values())
    for found in outputs_of(path, inputs):
        assert found["out"].shape == expected.shape
        assert_near(found["out"], expected)


class Network:
    """A description and its weights, layer by layer."""

    def __init__(self, **shapes):
        self.text, self.blobs, self.count = inputs_text(shapes) + "\n", {}, 0

    def add(self, kind, bottoms, param="", blobs=(), top=None):
        """The layer's top: a new one, or one that it overwrites."""
        self.count += 1
        name = f"{kind.lower()}{self.count}"
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        top = top or name
        links = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self.text += f'layer {{ name: "{name}" type: "{kind}" {links} top: "{top}" {param} }}\n'
        if blobs:
            self.blobs[name] = list(blobs)
        return top

    def conv(self, bottom, inputs, outputs, kernel, more="", bias=True):
        param = (
            f"convolution_param {{ num_output: {outputs} kernel_size: {kernel} {more} bias_term: {str(bias).lower()} }}"
        )
        weights = [normal(outputs, inputs, kernel, kernel) / kernel, *([normal(outputs)] if bias else [])]
        return self.add("Convolution", bottom, param, weights)

    def normalized(self, blob, channels):
        """BatchNorm, Scale and ReLU, each in place."""
        statistics = [normal(channels) * 999, positive(channels) * 999, np.array([999], np.float32)]
        self.add("BatchNorm", blob, "batch_norm_param { use_global_stats: true }", statistics, blob)
        self.add("Scale", blob, "scale_param { bias_term: true }", [positive(channels), normal(channels)], blob)
        return self.add("ReLU", blob, top=blob)


def residual_inception():
    """Residual blocks, a module of parallel branches, upsampling with a skip, and a classifier."""
    net = Network(data=(1, 3, 33, 29))
    stem = net.normalized(net.conv("data", 3, 8, 3, "stride: 2 pad: 1", bias=False), 8)
    stem = net.add("LRN", stem, "lrn_param { local_size: 5 alpha: 0.001 }")
    pooled = net.add("Pooling", stem, "pooling_param { pool: MAX kernel_size: 3 stride: 2 }")
    branch = net.normalized(net.conv(pooled, 8, 8, 3, "pad: 1", bias=False), 8)
    branch = net.conv(branch, 8, 8, 3, "pad: 2 dilation: 2")
    block = net.add("ReLU", net.add("Eltwise", [pooled, branch]))
    parts = [net.conv(block, 8, 4, 1), net.conv(net.conv(block, 8, 4, 1), 4, 6, 3, "pad: 1")]
    parts.append(net.add("Pooling", block, "pooling_param { pool: AVE kernel_size: 3 stride: 1 pad: 1 }"))
    module = net.add("Concat", parts)
    wide = net.add("Deconvolution", module, "convolution_param { num_output: 8 kernel_size: 4 stride: 2 group: 2 }",
                   [normal(18, 4, 4, 4) / 4, normal(8)])  # fmt: skip
    cut = net.add("Crop", [wide, stem], "crop_param { axis: 2 offset: 0 }")
    joined = net.add("Eltwise", [cut, stem], "eltwise_param { operation: MAX }")
    net.add("Dropout", joined, top=joined)
    flat = net.add("Pooling", joined, "pooling_param { pool: AVE global_pooling: true }")
    scores = net.add("InnerProduct", flat, "inner_product_param { num_output: 5 }", [normal(5, 8), normal(5)])
    net.add("Softmax", scores, top="prob")
    return net


def test_a_whole_network_equals_opencv(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    net = residual_inception()
    path = save(tmp_path, net.text, net.blobs)
    x = normal(1, 3, 33, 29)
    reference = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    reference.setInput(x)
    expected = reference.forward()
    for found in outputs_of(path, {"data": x}):
        assert list(found) == ["prob"]
        assert_near(found["prob"], expected)

"""Functions in TensorFlow, one or a few operators each, with their inputs: what test_tensorflow_ops converts and runs.

Each takes `tf` first, so that TensorFlow is imported where the tests run, and not where they are collected.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

RNG = np.random.default_rng(7)


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return RNG.uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, low: int = -5, high: int = 6, dtype: Any = np.int32) -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


class Case(NamedTuple):
    name: str
    function: Callable[..., Any]
    inputs: tuple[np.ndarray, ...]


CASES: list[Case] = []


def case(name: str, function: Callable[..., Any], *inputs: np.ndarray) -> None:
    CASES.append(Case(name, function, inputs))


def raw(operator: str, name: str, inputs: tuple[np.ndarray, ...], arguments: tuple[str, ...], **attrs: Any) -> None:
    """A single operator of tf.raw_ops."""

    def function(tf: Any, *values: Any) -> Any:
        return getattr(tf.raw_ops, operator)(**dict(zip(arguments, values, strict=True)), **attrs)

    case(name, function, *inputs)


# Elementwise

for op in ("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Softplus", "Softsign"):
    raw(op, op, (real(2, 7, low=-8, high=8),), ("features",))
for op in (
    "Sigmoid",
    "Tanh",
    "Exp",
    "Abs",
    "Neg",
    "Floor",
    "Ceil",
    "Round",
    "Rint",
    "Square",
    "Sin",
    "Cos",
    "Tan",
    "Atan",
    "Sinh",
    "Cosh",
    "Asinh",
    "Erf",
    "Erfc",
    "Expm1",
    "Sign",
    "IsNan",
    "IsFinite",
    "IsInf",
):
    raw(op, op, (real(3, 5),), ("x",))
for op in ("Log", "Sqrt", "Rsqrt", "Log1p", "Reciprocal", "Acosh"):
    raw(op, op, (real(3, 5, low=1.05, high=4),), ("x",))
for op in ("Asin", "Acos", "Atanh"):
    raw(op, op, (real(3, 5, low=-0.9, high=0.9),), ("x",))
for op in (
    "AddV2",
    "Sub",
    "Mul",
    "RealDiv",
    "Maximum",
    "Minimum",
    "SquaredDifference",
    "FloorDiv",
    "FloorMod",
    "DivNoNan",
    "MulNoNan",
):
    raw(op, op, (real(2, 3, 4), real(3, 1)), ("x", "y"))
for op in ("FloorDiv", "FloorMod", "TruncateDiv", "TruncateMod", "Maximum", "SquaredDifference"):
    raw(op, f"{op}-int", (whole(3, 4), whole(3, 4, low=1)), ("x", "y"))
for op in ("Equal", "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual"):
    raw(op, op, (whole(4, 4), whole(4, 4)), ("x", "y"))
raw("Atan2", "Atan2", (real(3, 4), real(3, 4)), ("y", "x"))
raw("Pow", "Pow", (real(3, 4, low=0.1), real(3, 4)), ("x", "y"))
case("Pow-square", lambda tf, x: tf.pow(x, 2.0) + tf.pow(tf.abs(x), 0.5), real(3, 4))
case("AddN-values", lambda tf, x, y: tf.add_n([x, y, x]), real(2, 3), real(2, 3))
case(
    "logical",
    lambda tf, x, y: tf.math.logical_xor(tf.logical_and(x > 0, y > 0), tf.logical_not(tf.logical_or(x > 1, y < 0))),
    real(4, 4),
    real(4, 4),
)
case("bias_add", lambda tf, x: tf.nn.bias_add(x, real(5)), real(2, 3, 3, 5))
case("clip", lambda tf, x: tf.clip_by_value(x, -0.5, 0.75), real(3, 4))
case("clip-int", lambda tf, x: tf.clip_by_value(x, -2, 3), whole(3, 4))
case("select", lambda tf, x, y: tf.where(x > 0, x, y), real(3, 4), real(4))
raw("Select", "select-rows", (np.array([True, False, True]), real(3, 4), real(3, 4)), ("condition", "x", "y"))
case("cast", lambda tf, x: (tf.cast(x, tf.int32), tf.cast(x > 0, tf.float32), tf.cast(x, tf.bool)), real(3, 4))
case("gelu", lambda tf, x: tf.nn.gelu(x) + tf.nn.gelu(x, approximate=True), real(3, 9))
case("silu", lambda tf, x: tf.nn.silu(x), real(3, 9))
case("hard_swish", lambda tf, x: x * tf.nn.relu6(x + 3) / 6, real(3, 9))
case("dropout", lambda tf, x: tf.raw_ops.Mul(x=tf.nn.dropout(x, 0.0), y=2.0), real(3, 4))

# Products

case("matmul", lambda tf, x: tf.matmul(x, real(6, 3)), real(4, 6))
case("matmul-transposed", lambda tf, x: tf.matmul(x, real(3, 6), transpose_b=True), real(4, 6))
case("matmul-both", lambda tf, x, y: tf.matmul(x, y, transpose_a=True), real(6, 4), real(6, 3))
case("batch_matmul", lambda tf, x, y: tf.matmul(x, y, adjoint_b=True), real(2, 3, 4, 5), real(3, 6, 5))
case("batch_matmul-constant", lambda tf, x: tf.matmul(x, real(5, 2)), real(2, 4, 5))
case("matmul-constant-left", lambda tf, x: tf.matmul(real(3, 4), x), real(4, 2))
case("einsum-project", lambda tf, x: tf.einsum("abc,cde->abde", x, real(6, 2, 4)), real(1, 5, 6))
case("einsum-scores", lambda tf, x, y: tf.einsum("aecd,abcd->acbe", x, y), real(2, 5, 3, 4), real(2, 6, 3, 4))
case("einsum-values", lambda tf, x, y: tf.einsum("acbe,aecd->abcd", x, y), real(2, 3, 6, 5), real(2, 5, 3, 4))
case("einsum-dots", lambda tf, x, y: tf.einsum("...ij,...jk->...ik", x, y), real(2, 3, 4), real(2, 4, 5))
case("einsum-sum", lambda tf, x, y: tf.einsum("ij,jk->k", x, y), real(3, 4), real(4, 5))
case("softmax", lambda tf, x: (tf.nn.softmax(x), tf.nn.log_softmax(x)), real(2, 3, 5))
case("softmax-axis", lambda tf, x: tf.nn.softmax(x, axis=1), real(2, 3, 5))

# Convolutions and pools

for padding in ("SAME", "VALID"):
    for stride in (1, 2):
        case(
            f"conv2d-{padding}-{stride}",
            lambda tf, x, p=padding, s=stride: tf.nn.conv2d(x, real(3, 2, 4, 6), s, p),
            real(1, 9, 8, 4),
        )
case(
    "conv2d-explicit",
    lambda tf, x: tf.nn.conv2d(x, real(3, 3, 2, 4), 2, [[0, 0], [1, 2], [0, 1], [0, 0]]),
    real(1, 9, 8, 2),
)
case("conv2d-groups", lambda tf, x: tf.nn.conv2d(x, real(3, 3, 2, 6), 1, "SAME"), real(1, 7, 7, 6))
case("conv2d-dilated", lambda tf, x: tf.nn.conv2d(x, real(3, 3, 2, 4), 1, "SAME", dilations=(2, 3)), real(1, 11, 11, 2))
case("conv2d-computed", lambda tf, x, w: tf.nn.conv2d(x, w, 1, "SAME"), real(1, 6, 6, 3), real(3, 3, 3, 4))
case("conv1d", lambda tf, x: tf.nn.conv1d(x, real(5, 3, 4), 2, "SAME"), real(1, 20, 3))
case("conv1d-dilated", lambda tf, x: tf.nn.convolution(x, real(3, 3, 4), padding="SAME", dilations=[4]), real(1, 20, 3))
case("conv3d", lambda tf, x: tf.nn.conv3d(x, real(3, 2, 3, 2, 4), (1, 2, 1, 1, 1), "SAME"), real(1, 5, 6, 5, 2))
case("depthwise", lambda tf, x: tf.nn.depthwise_conv2d(x, real(3, 3, 4, 2), (1, 2, 2, 1), "SAME"), real(1, 9, 8, 4))
case(
    "depthwise-dilated",
    lambda tf, x: tf.nn.depthwise_conv2d(x, real(3, 3, 4, 1), (1, 1, 1, 1), "SAME", dilations=(2, 2)),
    real(1, 9, 8, 4),
)
for padding, size in (("SAME", 10), ("SAME", 9), ("VALID", 11)):
    case(
        f"conv2d_transpose-{padding}-{size}",
        lambda tf, x, p=padding, n=size: tf.nn.conv2d_transpose(x, real(3, 3, 6, 4), (1, n, n, 6), 2, p),
        real(1, 5, 5, 4),
    )
case(
    "conv3d_transpose",
    lambda tf, x: tf.nn.conv3d_transpose(x, real(2, 3, 3, 2, 3), (1, 6, 8, 8, 2), 2, "SAME"),
    real(1, 3, 4, 4, 3),
)
for padding in ("SAME", "VALID"):
    case(
        f"pools-{padding}",
        lambda tf, x, p=padding: (tf.nn.max_pool2d(x, 3, 2, p), tf.nn.avg_pool2d(x, (3, 2), 2, p)),
        real(1, 8, 9, 3),
    )
case(
    "pools-3d",
    lambda tf, x: (tf.nn.max_pool3d(x, 2, 2, "SAME"), tf.nn.avg_pool3d(x, 2, 2, "VALID")),
    real(1, 5, 6, 6, 2),
)
case(
    "batch_norm",
    lambda tf, x: tf.raw_ops.FusedBatchNormV3(
        x=x, scale=real(4), offset=real(4), mean=real(4), variance=real(4, low=0.5), is_training=False, epsilon=1e-3
    )[0],
    real(1, 5, 5, 4),
)
case(
    "batch_norm-decomposed",
    lambda tf, x: tf.nn.batch_normalization(x, real(4), real(4, low=0.5), real(4), real(4), 1e-3),
    real(2, 6, 4),
)
case(
    "layer_norm",
    lambda tf, x: tf.nn.batch_normalization(x, *tf.nn.moments(x, [-1], keepdims=True), real(6), real(6), 1e-3),
    real(2, 5, 6),
)
case("lrn", lambda tf, x: tf.nn.local_response_normalization(x, 2, 1.0, 0.5, 0.75), real(1, 4, 4, 9))
case("space_to_batch", lambda tf, x: tf.space_to_batch(x, [2, 3], [[0, 1], [2, 0]]), real(1, 5, 7, 2))
case("batch_to_space", lambda tf, x: tf.batch_to_space(x, [2, 3], [[0, 1], [2, 0]]), real(6, 3, 4, 2))
case("depth_to_space", lambda tf, x: tf.nn.depth_to_space(x, 2), real(1, 3, 4, 8))
case("space_to_depth", lambda tf, x: tf.nn.space_to_depth(x, 2), real(1, 6, 4, 3))
for corners, centres in ((False, False), (True, False), (False, True)):
    name = "corners" if corners else "centres" if centres else "old"
    both = {"align_corners": corners, "half_pixel_centers": centres}
    for op in ("ResizeBilinear", "ResizeNearestNeighbor"):
        for to in ((8, 12), (5, 3), (7, 11)):
            raw(op, f"{op}-{name}-{to[0]}x{to[1]}", (real(1, 4, 6, 3),), ("images",), size=to, **both)
    raw("ResizeBicubic", f"ResizeBicubic-{name}", (real(1, 4, 6, 3),), ("images",), size=(9, 4), **both)
raw("ResizeArea", "ResizeArea", (real(1, 8, 6, 3),), ("images",), size=(4, 2))
case(
    "resize-bytes",
    lambda tf, x: tf.raw_ops.ResizeBilinear(images=x, size=(8, 8), half_pixel_centers=True),
    whole(1, 4, 4, 3, low=0, high=256, dtype=np.uint8),
)

# Reductions

for op in ("Mean", "Sum", "Max", "Min", "Prod", "EuclideanNorm"):
    raw(op, op, (real(2, 3, 4),), ("input",), axis=(0, -1), keep_dims=op in ("Max", "Sum"))
for op in ("Sum", "Max", "Prod"):
    raw(op, f"{op}-int", (whole(2, 3, 4),), ("input",), axis=1)
case("all-any", lambda tf, x: (tf.reduce_all(x > -1.5, 1), tf.reduce_any(x > 1.5, 0, keepdims=True)), real(4, 5))
case("argmax", lambda tf, x: (tf.argmax(x, 1), tf.argmin(x, -1, output_type=tf.int32)), real(3, 4, 5))

# Shapes and movement

case("reshape", lambda tf, x: tf.reshape(x, [2, -1]), real(2, 3, 4))
case("reshape-computed", lambda tf, x: tf.reshape(x, tf.concat([tf.shape(x)[:1], [-1]], 0)), real(2, 3, 4))
case(
    "shape-arithmetic",
    lambda tf, x: tf.reshape(x, tf.stack([tf.reduce_prod(tf.shape(x)[:2]), tf.size(x) // 6])),
    real(2, 3, 4),
)
case("squeeze", lambda tf, x: (tf.squeeze(x), tf.squeeze(x, [1]), tf.expand_dims(x, -2)), real(1, 1, 4, 1))
case("transpose", lambda tf, x: tf.transpose(x, [2, 0, 1]), real(2, 3, 4))
case("concat", lambda tf, x, y: tf.concat([x, y, x], -1), real(2, 3), real(2, 4))
case("stack", lambda tf, x, y: (tf.stack([x, y], 1), *tf.unstack(x, axis=1)), real(2, 3), real(2, 3))
case("split", lambda tf, x: (*tf.split(x, 3, 1), *tf.split(x, [1, -1, 2], 1)), real(2, 6))
case("slice", lambda tf, x: tf.slice(x, [0, 1, 0], [2, 2, -1]), real(3, 4, 5))
case("strided_slice", lambda tf, x: (x[1, ..., ::2], x[:, None, -2:, ::-1], x[..., 1], x[::2, 1:3]), real(3, 4, 6))
case(
    "pad",
    lambda tf, x: (
        tf.pad(x, [[1, 0], [2, 1]]),
        tf.pad(x, [[0, 1], [1, 0]], constant_values=3.5),
        tf.pad(x, [[1, 1], [2, 0]], "REFLECT"),
        tf.pad(x, [[1, 1], [2, 0]], "SYMMETRIC"),
    ),
    real(3, 4),
)
case("tile", lambda tf, x: tf.tile(x, [2, 1, 3]), real(2, 3, 4))
case("broadcast", lambda tf, x: tf.broadcast_to(x, [4, 2, 3]), real(2, 1))
case("reverse", lambda tf, x: (tf.reverse(x, [0, -1]), tf.roll(x, [1, -2], [0, 1])), real(3, 4, 5))
case("reverse_sequence", lambda tf, x: tf.reverse_sequence(x, [2, 4], seq_axis=1, batch_axis=0), real(2, 4, 3))
case("fill", lambda tf, x: x + tf.fill([2, 3], 4.0) + tf.zeros_like(x) + tf.ones_like(x), real(2, 3))
case("range", lambda tf, x: x + tf.cast(tf.range(1, 7, 2), tf.float32) + tf.linspace(0.0, 1.0, 3), real(2, 3))
case("band_part", lambda tf, x: tf.linalg.band_part(x, 1, 0), real(2, 4, 5))

# Indices

case(
    "gather",
    lambda tf, x: (tf.gather(x, [0, 2, 1], axis=1), tf.gather(x, [0, 2], axis=0), tf.gather(x, 1, axis=1)),
    real(3, 4, 2),
)
case("gather-computed", lambda tf, x, i: tf.gather(x, i, axis=1), real(3, 4, 2), whole(2, 3, low=0, high=4))
case(
    "gather-batches", lambda tf, x, i: tf.gather(x, i, batch_dims=1, axis=1), real(3, 4, 2), whole(3, 5, low=0, high=4)
)
case("gather_nd", lambda tf, x, i: tf.gather_nd(x, i), real(3, 4, 2), whole(5, 2, low=0, high=3))
case("one_hot", lambda tf, i: (tf.one_hot(i, 5), tf.one_hot(i, 4, 2.0, -1.0, axis=0)), whole(3, 2, low=-1, high=5))
case("top_k", lambda tf, x: tuple(tf.nn.top_k(x, 3)), real(4, 7))
case("cumsum", lambda tf, x: (tf.cumsum(x, 1), tf.cumsum(x, 0, exclusive=True, reverse=True)), real(3, 4))
case(
    "scatter",
    lambda tf, u, x: (tf.scatter_nd([[1], [3]], u, [5, 2]), tf.tensor_scatter_nd_update(x, [[0], [4]], u)),
    real(2, 2),
    real(5, 2),
)

# Non-maximum suppression, padded as TensorFlow does it


def _boxes(*shape: int) -> np.ndarray:
    """Boxes that overlap often, their corners in any order."""
    corner = RNG.uniform(0, 1.5, (*shape, 2))
    return np.concatenate([corner, corner + RNG.uniform(-0.5, 0.5, (*shape, 2))], -1).astype(np.float32)


def _suppressed(most: int, iou: float, least: float) -> Callable[..., Any]:
    def function(tf: Any, boxes: Any, scores: Any) -> Any:
        return tf.raw_ops.NonMaxSuppressionV4(
            boxes=boxes, scores=scores, max_output_size=most, iou_threshold=iou, score_threshold=least,
            pad_to_max_output_size=True,
        )  # fmt: skip

    return function


def _suppressed_softly(tf: Any, boxes: Any, scores: Any) -> Any:
    return tf.raw_ops.NonMaxSuppressionV5(
        boxes=boxes, scores=scores, max_output_size=12, iou_threshold=0.5, score_threshold=0.2, soft_nms_sigma=0.3,
        pad_to_max_output_size=True,
    )  # fmt: skip


def _combined(per_class: int, total: int, **options: Any) -> Callable[..., Any]:
    def function(tf: Any, boxes: Any, scores: Any) -> Any:
        return tuple(tf.image.combined_non_max_suppression(boxes, scores, per_class, total, 0.4, 0.3, **options))

    return function


for most in (5, 40):
    case(f"nms-{most}", _suppressed(most, 0.3, 0.4), _boxes(30), real(30, low=0, high=1))
case("nms-soft", _suppressed_softly, _boxes(30), real(30, low=0, high=1))
for label, options in (("plain", {}), ("per-class", {"pad_per_class": True}), ("unclipped", {"clip_boxes": False})):
    case(f"nms-combined-{label}", _combined(4, 20, **options), _boxes(2, 30, 1), real(2, 30, 3, low=0, high=1))

# Fake quantisation

for bits, narrow in ((8, False), (8, True), (4, False), (16, False)):
    case(
        f"fake_quant-{bits}-{'narrow' if narrow else 'wide'}",
        lambda tf, x, n=bits, narrow=narrow: tf.quantization.fake_quant_with_min_max_args(x, -0.7, 1.3, n, narrow),
        real(5, 40),
    )
case("fake_quant-low", lambda tf, x: tf.quantization.fake_quant_with_min_max_vars(x, 0.3, 1.3), real(5, 40))
case(
    "fake_quant-weights",
    lambda tf, x: tf.nn.conv2d(
        x,
        tf.quantization.fake_quant_with_min_max_vars_per_channel(
            real(3, 3, 2, 4), real(4) - 2.5, real(4) + 2.5, 8, True
        ),
        1,
        "SAME",
    ),
    real(1, 6, 6, 2),
)
case(
    "fake_quant-depthwise",
    lambda tf, x: tf.nn.depthwise_conv2d(
        x,
        tf.quantization.fake_quant_with_min_max_vars_per_channel(real(3, 3, 2, 3), real(3) - 2.5, real(3) + 2.5),
        (1, 1, 1, 1),
        "SAME",
    ),
    real(1, 6, 6, 2),
)
case(
    "fake_quant-dense",
    lambda tf, x: tf.matmul(x, tf.quantization.fake_quant_with_min_max_vars(real(6, 3), -1.5, 1.7)),
    real(2, 6),
)
for signed in (False, True):
    case(
        f"quantize_and_dequantize-{'signed' if signed else 'unsigned'}",
        lambda tf, x, s=signed: tf.quantization.quantize_and_dequantize_v2(
            x, -1.2 if s else 0.0, 1.5, signed_input=s, range_given=True
        ),
        real(5, 40),
    )

# Spectra

case("rfft", lambda tf, x: (tf.abs(tf.signal.rfft(x)), tf.math.angle(tf.signal.rfft(x + 9, [12]))), real(3, 16))
case("irfft", lambda tf, x: tf.signal.irfft(tf.signal.rfft(x) * tf.cast(real(9), tf.complex64)), real(3, 16))
case("irfft-odd", lambda tf, x: tf.signal.irfft(tf.math.conj(tf.signal.rfft(x)), [15]), real(3, 15))
case(
    "complex",
    lambda tf, x, y: tf.math.imag(tf.transpose(tf.complex(x, y)) * tf.complex(2.0, 1.0)),
    real(3, 4),
    real(3, 4),
)


def _mel(tf: Any, x: Any) -> Any:
    """The front end that audio networks bring along."""
    spectrum = tf.abs(tf.signal.stft(x, frame_length=64, frame_step=32, fft_length=64))
    mel = tf.signal.linear_to_mel_weight_matrix(10, 33, 16000, 100.0, 7000.0)
    return tf.math.log(tf.matmul(spectrum, mel) + 1e-3)


case("mel", _mel, real(1, 400))

# Recurrent cells that are one operator


def _lstm_weights(peephole: bool = False) -> dict[str, np.ndarray]:
    """Of 4 inputs and 3 units."""
    diagonals = {name: real(3) if peephole else np.zeros(3, np.float32) for name in ("wci", "wcf", "wco")}
    return {"w": real(7, 12), "b": real(12), **diagonals}


for peephole in (False, True):
    name = "peephole" if peephole else "plain"
    case(
        f"LSTMBlockCell-{name}",
        lambda tf, x, c, h, p=peephole: tuple(
            tf.raw_ops.LSTMBlockCell(x=x, cs_prev=c, h_prev=h, use_peephole=p, cell_clip=1.5, **_lstm_weights(p))
        ),
        real(2, 4), real(2, 3), real(2, 3),
    )  # fmt: skip
    for op, more in (("BlockLSTM", {"forget_bias": 0.5, "cell_clip": 1.0}), ("BlockLSTMV2", {"cell_clip": 0.0})):
        case(
            f"{op}-{name}",
            lambda tf, x, c, h, p=peephole, op=op, more=more: tuple(
                getattr(tf.raw_ops, op)(
                    seq_len_max=np.int64(5), x=x, cs_prev=c, h_prev=h, use_peephole=p, **more, **_lstm_weights(p)
                )
            ),
            real(5, 2, 4), real(2, 3), real(2, 3),
        )  # fmt: skip
case(
    "GRUBlockCell",
    lambda tf, x, h: tuple(
        tf.raw_ops.GRUBlockCell(x=x, h_prev=h, w_ru=real(7, 6), w_c=real(7, 3), b_ru=real(6), b_c=real(3))
    ),
    real(2, 4), real(2, 3),
)  # fmt: skip

# Branches, loops and lists

case("cond-constant", lambda tf, x: tf.cond(tf.shape(x)[0] > 1, lambda: x + 1, lambda: x - 1), real(2, 3))
case("cond-data", lambda tf, x: tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x * 2), real(2, 3))
case("case", lambda tf, x: tf.switch_case(tf.rank(x) - 1, [lambda: x - 1, lambda: x * 3, lambda: x + 5]), real(2, 3))
case("while", lambda tf, x: tf.while_loop(lambda i, y: i < 4, lambda i, y: (i + 1, y * 1.5 + x), (0, x))[1], real(2, 3))


def _scan(tf: Any, x: Any) -> Any:
    """A recurrence with a TensorArray, as tf.keras unrolls none."""
    out = tf.TensorArray(tf.float32, size=5)
    state = tf.zeros((2, 3))
    for step in tf.range(5):
        state = tf.tanh(x[:, step] + 0.5 * state)
        out = out.write(step, state)
    return tf.transpose(out.stack(), [1, 0, 2])


def _mapped(tf: Any, x: Any) -> Any:
    return tf.map_fn(lambda row: row * 2 + tf.reduce_sum(row), x)


case("scan", _scan, real(2, 5, 3))
case("map_fn", _mapped, real(4, 3))

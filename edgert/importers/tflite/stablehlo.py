"""Operators of StableHLO within TFLite models that have plain equivalents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.einsum import einsum
from edgert.importers.layers.window import Window
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.dynamic import counted, dynamic_slice, update_slice
from edgert.importers.tflite.movement import concat
from edgert.importers.tflite.read import SourceOp
from edgert.importers.tflite.shared import Layers
from edgert.importers.tflite.spatial import spread
from edgert.ir import Value
from edgert.ops._enums import BinaryFunction, CompareFunction, ReduceFunction, UnaryFunction

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def numbers(options: Any, name: str) -> tuple[int, ...]:
    """A vector of an options table."""
    stored = getattr(options, f"{name}AsNumpy")()
    return tuple(int(item) for item in stored) if isinstance(stored, np.ndarray) else ()


def _unary(function: UnaryFunction) -> Handler:
    return lambda b, op: b.unary(function, b.value(op, 0), b.out_quant(op))


def _arithmetic(name: str) -> Handler:
    return lambda b, op: b.emit(name, [b.value(op, 0), b.value(op, 1)], {}, b.out_quant(op))


def _binary(function: BinaryFunction, of_bool: BinaryFunction | None = None) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        x, y = b.value(op, 0), b.value(op, 1)
        chosen = of_bool if of_bool is not None and x.dtype == DType.BOOL else function
        return b.emit("binary", [x, y], {"function": chosen}, b.out_quant(op))

    return handler


def cube_root(b: Builder, op: SourceOp) -> Value:
    x = b.real(b.value(op, 0))
    third = b.const(np.array(1 / 3, np.float32))
    size = b.emit("binary", [b.unary(UnaryFunction.ABS, x, None), third], {"function": BinaryFunction.POW})
    return b.emit("mul", [b.unary(UnaryFunction.SIGN, x, None), size])


def clamp(b: Builder, op: SourceOp) -> Value:
    low, x, high = (b.value(op, i) for i in range(3))
    above = b.emit("binary", [x, low], {"function": BinaryFunction.MAXIMUM}, b.out_quant(op))
    return b.emit("binary", [above, high], {"function": BinaryFunction.MINIMUM}, b.out_quant(op))


COMPARISONS = (
    CompareFunction.EQUAL, CompareFunction.NOT_EQUAL, CompareFunction.GREATER_EQUAL, CompareFunction.GREATER,
    CompareFunction.LESS_EQUAL, CompareFunction.LESS,
)  # fmt: skip


def compare(b: Builder, op: SourceOp) -> Value:
    direction = op.options("StablehloCompareOptions").ComparisonDirection()
    if not 0 <= direction < len(COMPARISONS):
        raise ModelError(f"its direction is {direction}, needed 0 to {len(COMPARISONS) - 1}")
    return b.emit("compare", [b.value(op, 0), b.value(op, 1)], {"function": COMPARISONS[direction]})


def select(b: Builder, op: SourceOp) -> Value:
    return b.emit("select", [b.value(op, i) for i in range(3)], {}, b.out_quant(op))


def convert(b: Builder, op: SourceOp) -> Value:
    x, dtype = b.real(b.value(op, 0)), b.out_dtype(op)
    return x if x.dtype == dtype else b.emit("cast", [x], dtype=dtype)


def reshape(b: Builder, op: SourceOp) -> Value:
    return b.reshape(b.value(op, 0), b.source.tensors[op.outputs[0]].shape)


def transpose(b: Builder, op: SourceOp) -> Value:
    return b.transpose(b.value(op, 0), numbers(op.options("StablehloTransposeOptions"), "Permutation"))


def concatenate(b: Builder, op: SourceOp) -> Value:
    values = [b.value(op, i) for i in range(len(op.inputs))]
    return concat(b, values, op.options("StablehloConcatenateOptions").Dimension(), b.out_quant(op))


def slice_(b: Builder, op: SourceOp) -> Value:
    x, options = b.value(op, 0), op.options("StablehloSliceOptions")
    begin, end, strides = (numbers(options, name) for name in ("StartIndices", "LimitIndices", "Strides"))
    return b.slice(x, begin, end, strides or (1,) * len(x.shape))


def dynamic_slice_(b: Builder, op: SourceOp) -> Value:
    sizes = numbers(op.options("StablehloDynamicSliceOptions"), "SliceSizes")
    return dynamic_slice(b, b.value(op, 0), [b.value(op, 1 + i) for i in range(len(op.inputs) - 1)], sizes)


def dynamic_update_slice(b: Builder, op: SourceOp) -> Value:
    starts = [b.reshape(b.value(op, 2 + i), (1,)) for i in range(len(op.inputs) - 2)]
    start = b.emit("concat", starts, {"axis": 0}) if len(starts) > 1 else starts[0]
    return update_slice(b, b.value(op, 0), b.value(op, 1), start)


def broadcast_in_dim(b: Builder, op: SourceOp) -> Value:
    """Dimension i of the input is dimension `dimensions[i]` of the result."""
    x, shape = b.value(op, 0), b.source.tensors[op.outputs[0]].shape
    places = numbers(op.options("StablehloBroadcastInDimOptions"), "BroadcastDimensions")
    if len(places) != len(x.shape) or list(places) != sorted(set(places)) or any(p >= len(shape) for p in places):
        raise ModelError(f"{list(x.shape)} cannot become the dimensions {list(places)} of {list(shape)}")
    narrow = [1] * len(shape)
    for place, size in zip(places, x.shape, strict=True):
        narrow[place] = size
    return b.emit("broadcast_to", [b.reshape(x, narrow)], {"shape": shape})


def pad(b: Builder, op: SourceOp) -> Value:
    """Interior padding first; negative edges cut."""
    x, filling, options = b.value(op, 0), b.value(op, 1), op.options("StablehloPadOptions")
    names = ("EdgePaddingLow", "EdgePaddingHigh", "InteriorPadding")
    low, high, inner = (numbers(options, name) for name in names)
    rank = len(x.shape)
    if not len(low) == len(high) == rank or len(inner) not in (0, rank):
        raise ModelError(f"padding {list(low)}, {list(high)}, {list(inner)} for {rank} dimensions")
    for axis, gap in enumerate(inner):
        if gap > 0 and x.shape[axis] > 1:
            x = spread(b, x, filling, axis, gap + 1)
    begin = [max(-n, 0) for n in low]
    x = b.slice(x, begin, [size - max(-n, 0) for size, n in zip(x.shape, high, strict=True)])
    before, after = (tuple(max(n, 0) for n in edge) for edge in (low, high))
    if not any(before) and not any(after):
        return x
    if filling.data is None or filling.variable or filling.data.size != 1:
        raise RefusedError("its padding value is no constant", "pad with a constant")
    return b.emit("pad", [x], {"before": before, "after": after, "value": float(filling.data.reshape(-1)[0])})


def iota(b: Builder, op: SourceOp) -> Value:
    shape, dtype = b.source.tensors[op.outputs[0]].shape, b.out_dtype(op)
    axis = b.axis(op.options("StablehloIotaOptions").IotaDimension(), len(shape))
    count = counted(b, shape[axis])
    count = count if dtype == DType.INT32 else b.emit("cast", [count], dtype=dtype)
    narrow = b.reshape(count, [size if other == axis else 1 for other, size in enumerate(shape)])
    return b.emit("broadcast_to", [narrow], {"shape": shape}) if len(shape) > 1 else narrow


def dot_general(b: Builder, op: SourceOp) -> Value:
    """Batch dimensions, then what is left of the first and of the second operand."""
    options, x, y = op.options("StablehloDotGeneralOptions"), b.real(b.value(op, 0)), b.real(b.value(op, 1))
    batch = [numbers(options, f"{side}BatchingDimensions") for side in ("Lhs", "Rhs")]
    inner = [numbers(options, f"{side}ContractingDimensions") for side in ("Lhs", "Rhs")]
    if len(batch[0]) != len(batch[1]) or len(inner[0]) != len(inner[1]) or len(x.shape) + len(y.shape) > len(LETTERS):
        raise ModelError("its batch or contracted dimensions do not pair up")
    first, second = list(LETTERS[: len(x.shape)]), list(LETTERS[len(x.shape) : len(x.shape) + len(y.shape)])
    for a, c in zip((*batch[0], *inner[0]), (*batch[1], *inner[1]), strict=True):
        second[b.axis(c, len(y.shape))] = first[b.axis(a, len(x.shape))]
    kept = [first[axis] for axis in batch[0]]
    rest = [name for name in first if name not in second] + [name for name in second if name not in first]
    return einsum(Layers(b), f"{''.join(first)},{''.join(second)}->{''.join(kept + rest)}", [x, y])


REDUCTIONS = {
    "STABLEHLO_ADD": ReduceFunction.SUM, "ADD": ReduceFunction.SUM,
    "STABLEHLO_MULTIPLY": ReduceFunction.PROD, "MUL": ReduceFunction.PROD,
    "STABLEHLO_MAXIMUM": ReduceFunction.MAX, "MAXIMUM": ReduceFunction.MAX,
    "STABLEHLO_MINIMUM": ReduceFunction.MIN, "MINIMUM": ReduceFunction.MIN,
    "STABLEHLO_OR": ReduceFunction.MAX, "LOGICAL_OR": ReduceFunction.MAX,
    "STABLEHLO_AND": ReduceFunction.MIN, "LOGICAL_AND": ReduceFunction.MIN,
}  # fmt: skip
COMBINED: dict[ReduceFunction, Callable[[Builder, Value, Value], Value]] = {
    ReduceFunction.SUM: lambda b, x, y: b.emit("add", [x, y]),
    ReduceFunction.PROD: lambda b, x, y: b.emit("mul", [x, y]),
    ReduceFunction.MAX: lambda b, x, y: b.emit("binary", [x, y], {"function": BinaryFunction.MAXIMUM}),
    ReduceFunction.MIN: lambda b, x, y: b.emit("binary", [x, y], {"function": BinaryFunction.MINIMUM}),
}


def reduce(b: Builder, op: SourceOp) -> Value:
    """By a body of one operator: sum, product, largest, smallest, any, all."""
    options, x, start = op.options("StablehloReduceOptions"), b.real(b.value(op, 0)), b.value(op, 1)
    number = options.BodySubgraphIndex()
    body: tuple[SourceOp, ...] = b.graphs[number].ops if 0 <= number < len(b.graphs) else ()
    if len(op.inputs) != 2 or len(body) != 1 or body[0].kind not in REDUCTIONS:
        raise RefusedError("it reduces by a computation of its own", "reduce by a sum, product, maximum or minimum")
    axes = tuple(sorted({b.axis(axis, len(x.shape)) for axis in numbers(options, "Dimensions")}))
    function, boolean = REDUCTIONS[body[0].kind], x.dtype == DType.BOOL
    if boolean:
        x, start = (b.emit("cast", [value], dtype=DType.INT32) for value in (x, start))
    y = b.emit("reduce", [x], {"function": function, "axes": axes}) if axes else x
    y = COMBINED[function](b, y, b.reshape(start, ()))
    return b.emit("cast", [y], dtype=DType.BOOL) if boolean else y


def convolution_(b: Builder, op: SourceOp) -> Value:
    """Any order of dimensions; no dilated input, no groups of batches, no reversed windows."""
    options, x = op.options("StablehloConvolutionOptions"), b.real(b.value(op, 0))
    weights = b.value(op, 1)
    rank = len(x.shape) - 2
    sizes = {name: numbers(options, name) or (1,) * rank for name in ("WindowStrides", "LhsDilation", "RhsDilation")}
    reversal = options.WindowReversalAsNumpy()
    turned = isinstance(reversal, np.ndarray) and bool(reversal.any())
    if set(sizes["LhsDilation"]) != {1} or options.BatchGroupCount() > 1 or turned or not 1 <= rank <= 3:
        raise RefusedError(
            "it dilates its input, groups batches or reverses windows", "use a convolution or transposed convolution"
        )
    spatial = [numbers(options, f"{name}SpatialDimensions") for name in ("Input", "Kernel", "Output")]
    order = (options.InputBatchDimension(), *spatial[0], options.InputFeatureDimension())
    filters = (options.KernelOutputFeatureDimension(), options.KernelInputFeatureDimension(), *spatial[1])
    back = (options.OutputBatchDimension(), *spatial[2], options.OutputFeatureDimension())
    if any(sorted(part) != list(range(rank + 2)) for part in (order, filters, back)):
        raise ModelError(f"its dimensions are in the orders {order}, {filters} and {back}")
    image, kernel = b.transpose(x, order), b.transpose(b.real(weights), filters)
    padding = numbers(options, "Padding") or (0,) * (2 * rank)
    if len(padding) != 2 * rank or min(padding) < 0:
        raise RefusedError(f"its padding is {list(padding)}", "use padding of at least 0")
    place = Window(
        kernel.shape[2:], sizes["WindowStrides"], sizes["RhsDilation"], padding[::2], padding[1::2], (0,) * rank
    )
    groups = max(int(options.FeatureGroupCount()), 1)
    y = convolution(Layers(b), image, kernel, None, place, groups, channels_last=True)
    return b.transpose(y, [back.index(axis) for axis in range(rank + 2)])


HANDLERS: dict[str, Handler] = {
    "STABLEHLO_LOGISTIC": _unary(UnaryFunction.SIGMOID),
    "STABLEHLO_ABS": _unary(UnaryFunction.ABS),
    "STABLEHLO_COSINE": _unary(UnaryFunction.COS),
    "STABLEHLO_EXPONENTIAL": _unary(UnaryFunction.EXP),
    "STABLEHLO_FLOOR": _unary(UnaryFunction.FLOOR),
    "STABLEHLO_LOG": _unary(UnaryFunction.LOG),
    "STABLEHLO_NEGATE": _unary(UnaryFunction.NEG),
    "STABLEHLO_RSQRT": _unary(UnaryFunction.RSQRT),
    "STABLEHLO_TANH": _unary(UnaryFunction.TANH),
    "STABLEHLO_CBRT": cube_root,
    "STABLEHLO_ADD": _arithmetic("add"),
    "STABLEHLO_SUBTRACT": _arithmetic("sub"),
    "STABLEHLO_MULTIPLY": _arithmetic("mul"),
    "STABLEHLO_DIVIDE": _binary(BinaryFunction.DIV),
    "STABLEHLO_MAXIMUM": _binary(BinaryFunction.MAXIMUM, BinaryFunction.LOGICAL_OR),
    "STABLEHLO_MINIMUM": _binary(BinaryFunction.MINIMUM, BinaryFunction.LOGICAL_AND),
    "STABLEHLO_POWER": _binary(BinaryFunction.POW),
    "STABLEHLO_REMAINDER": _binary(BinaryFunction.TRUNC_MOD),
    "STABLEHLO_AND": _binary(BinaryFunction.BITWISE_AND, BinaryFunction.LOGICAL_AND),
    "STABLEHLO_OR": _binary(BinaryFunction.BITWISE_OR, BinaryFunction.LOGICAL_OR),
    "STABLEHLO_SHIFT_LEFT": _binary(BinaryFunction.SHIFT_LEFT),
    "STABLEHLO_CLAMP": clamp,
    "STABLEHLO_COMPARE": compare,
    "STABLEHLO_SELECT": select,
    "STABLEHLO_CONVERT": convert,
    "STABLEHLO_RESHAPE": reshape,
    "STABLEHLO_TRANSPOSE": transpose,
    "STABLEHLO_CONCATENATE": concatenate,
    "STABLEHLO_SLICE": slice_,
    "STABLEHLO_DYNAMIC_SLICE": dynamic_slice_,
    "STABLEHLO_DYNAMIC_UPDATE_SLICE": dynamic_update_slice,
    "STABLEHLO_BROADCAST_IN_DIM": broadcast_in_dim,
    "STABLEHLO_PAD": pad,
    "STABLEHLO_IOTA": iota,
    "STABLEHLO_DOT_GENERAL": dot_general,
    "STABLEHLO_REDUCE": reduce,
    "STABLEHLO_CONVOLUTION": convolution_,
}

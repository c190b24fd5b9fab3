"""Reductions, softmax, arg_max and the resizing of images."""

from __future__ import annotations

from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceOp
from edgert.ir import Value
from edgert.ops._enums import CoordinateMode, NearestMode, ReduceFunction, ResizeMode

SOFTMAX_QUANTS = {DType.INT8: QuantParams((1 / 256,), (-128,)), DType.INT16: QuantParams((2.0**-15,), (0,))}


def _reduce(function: ReduceFunction) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        x = b.value(op, 0)
        axes = tuple(sorted({b.axis(axis, len(x.shape)) for axis in b.ints(op, 1, "axes")}))
        attrs = {"function": function, "axes": axes, "keep_dims": bool(op.options("ReducerOptions").KeepDims())}
        if not axes:
            return x
        return b.emit("reduce", [x], attrs, b.out_quant(op))

    return handler


def softmax(b: Builder, op: SourceOp) -> Value:
    x, quant = b.value(op, 0), b.out_quant(op)
    attrs = {"axis": -1, "beta": op.options("SoftmaxOptions").Beta()}
    if quant is None:
        return b.emit("softmax", [b.real(x)], attrs)
    own = SOFTMAX_QUANTS[x.dtype] if x.dtype in SOFTMAX_QUANTS else SOFTMAX_QUANTS[DType.INT8]
    return b.quantized(b.emit("softmax", [x], attrs, own), quant, b.out_dtype(op))


def log_softmax(b: Builder, op: SourceOp) -> Value:
    return b.emit("log_softmax", [b.value(op, 0)], {"axis": -1}, b.out_quant(op))


def _arg(minimum: bool) -> Handler:
    def handler(b: Builder, op: SourceOp) -> Value:
        x = b.value(op, 0)
        axis = b.axis(b.scalar(op, 1, "axis"), len(x.shape))
        return b.emit("arg_max", [x], {"axis": axis, "minimum": minimum}, dtype=b.out_dtype(op))

    return handler


def _resize(mode: ResizeMode) -> Handler:
    """Nearest picks floor((i + 0.5) * scale) with half-pixel centres, which is the ONNX position rounded half up."""

    def handler(b: Builder, op: SourceOp) -> Value:
        nearest = mode == ResizeMode.NEAREST
        options = op.options("ResizeNearestNeighborOptions" if nearest else "ResizeBilinearOptions")
        x, size = b.value(op, 0), b.ints(op, 1, "size")
        if len(size) != 2:
            raise ModelError(f"its size has {len(size)} elements, needed 2 (height, width)")
        align, half = options.AlignCorners(), options.HalfPixelCenters()
        if align and half:
            raise RefusedError("it has both aligned corners and half-pixel centres", "choose one of them")
        coordinates = CoordinateMode.ASYMMETRIC
        rounding = NearestMode.FLOOR
        if align or half:
            coordinates = CoordinateMode.ALIGN_CORNERS if align else CoordinateMode.HALF_PIXEL
            rounding = NearestMode.ROUND_PREFER_CEIL
        attrs = {"out_h": size[0], "out_w": size[1], "mode": mode, "coordinates": coordinates, "nearest": rounding}
        return b.emit("resize", [x], attrs, b.out_quant(op))

    return handler


def bool_reduce(b: Builder, op: SourceOp) -> Value:
    """REDUCE_ANY and REDUCE_ALL, as the maximum or minimum of 0 and 1."""
    x = b.emit("cast", [b.value(op, 0)], dtype=DType.INT32)
    axes = tuple(sorted({b.axis(axis, len(x.shape)) for axis in b.ints(op, 1, "axes")}))
    function = ReduceFunction.MAX if op.kind == "REDUCE_ANY" else ReduceFunction.MIN
    attrs = {"function": function, "axes": axes, "keep_dims": bool(op.options("ReducerOptions").KeepDims())}
    return b.emit("cast", [b.emit("reduce", [x], attrs) if axes else x], dtype=DType.BOOL)


HANDLERS: dict[str, Handler] = {
    "MEAN": _reduce(ReduceFunction.MEAN),
    "SUM": _reduce(ReduceFunction.SUM),
    "REDUCE_MAX": _reduce(ReduceFunction.MAX),
    "REDUCE_MIN": _reduce(ReduceFunction.MIN),
    "REDUCE_PROD": _reduce(ReduceFunction.PROD),
    "REDUCE_ANY": bool_reduce,
    "REDUCE_ALL": bool_reduce,
    "SOFTMAX": softmax,
    "LOG_SOFTMAX": log_softmax,
    "ARG_MAX": _arg(minimum=False),
    "ARG_MIN": _arg(minimum=True),
    "RESIZE_BILINEAR": _resize(ResizeMode.BILINEAR),
    "RESIZE_NEAREST_NEIGHBOR": _resize(ResizeMode.NEAREST),
}

"""PyTorch handlers: tensors made from nothing but sizes and numbers. All of them are constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from edgert.dtypes import DType
from edgert.errors import ModelError
from edgert.importers.torch.builder import Builder, Call, Handler, RefusedError, normal_axis
from edgert.importers.torch.types import is_float
from edgert.ir import Value

LARGEST = 1 << 20  # elements of a constant that an operator may ask for


def filled(b: Builder, shape: Sequence[int], number: float, dtype: DType) -> Value:
    """A number, broadcast: at once where that makes a small constant, else at run time."""
    sizes = tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0 or math.prod(sizes) >= 1 << 31:
        raise ModelError(f"it makes a tensor of the shape {list(sizes)}")
    if 0 in sizes:
        return b.const(np.zeros(sizes, dtype.numpy_name))
    single = b.number(number, dtype)
    return b.emit("broadcast_to", [single], {"shape": sizes}) if sizes else single


def _own(number: float) -> DType:
    return DType.BOOL if isinstance(number, bool) else DType.INT64 if isinstance(number, int) else DType.FLOAT32


def zeros(number: float, b: Builder, call: Call) -> Value:
    return filled(b, call.integers("size"), number, call.dtype_or(DType.FLOAT32))


def full(b: Builder, call: Call) -> Value:
    number = call.number("fill_value")
    stated = call.args.get("fill_value")
    kind = stated.dtype if isinstance(stated, Value) else _own(stated)  # type: ignore[arg-type]
    return filled(b, call.integers("size"), number, call.dtype_or(kind))


def like(number: float | None, b: Builder, call: Call) -> Value:
    """zeros_like, ones_like, full_like, new_zeros ...: the type of self unless another is stated."""
    x = b.value(call, "self")
    fill = call.number("fill_value") if number is None else number
    shape = call.integers("size") if "size" in call.args else x.shape
    return filled(b, shape, fill, call.dtype_or(x.dtype))


def empty(b: Builder, call: Call) -> Value:
    """What it holds is left open; zeros, then."""
    if call.tensor("self"):
        return like(0.0, b, call)
    return filled(b, call.integers("size"), 0.0, call.dtype_or(DType.FLOAT32))


def fill(b: Builder, call: Call) -> Value:
    """self with all elements replaced by one number, which may be computed."""
    x = b.value(call, "self")
    if call.tensor("value"):
        value = b.cast(b.value(call, "value"), x.dtype)
        return b.emit("broadcast_to", [value], {"shape": x.shape}) if x.shape else value
    return filled(b, x.shape, call.number("value"), x.dtype)


def zero(b: Builder, call: Call) -> Value:
    x = b.value(call, "self")
    return filled(b, x.shape, 0.0, x.dtype)


def arange(b: Builder, call: Call) -> Value:
    """Integers unless a bound or the step is none."""
    start, end, step = call.number("start", 0), call.number("end"), call.number("step", 1)
    whole = all(isinstance(call.args.get(name), int | None) for name in ("start", "end", "step"))
    if step == 0 or not math.isfinite(end - start) or (end - start) / step > LARGEST:
        raise ModelError(f"it counts from {start} to {end} in steps of {step}")
    dtype = call.dtype_or(DType.INT64 if whole else DType.FLOAT32)
    return b.const(np.arange(start, end, step).astype(dtype.numpy_name))


def linspace(b: Builder, call: Call) -> Value:
    count = call.integer("steps", 100)
    if not 0 <= count <= LARGEST:
        raise ModelError(f"it makes {count} steps")
    line = np.linspace(call.number("start"), call.number("end"), count)
    return b.const(line.astype(call.dtype_or(DType.FLOAT32).numpy_name))


def eye(b: Builder, call: Call) -> Value:
    rows = call.integer("n")
    columns = call.integer("m", rows)
    if not 0 < rows * columns <= 1 << 24:
        raise ModelError(f"it makes a matrix of {rows} x {columns}")
    return b.const(np.eye(rows, columns, dtype=call.dtype_or(DType.FLOAT32).numpy_name))


def scalar_tensor(b: Builder, call: Call) -> Value:
    number = call.number("s")
    return b.number(number, call.dtype_or(DType.FLOAT32))


def tensor(b: Builder, call: Call) -> Value:
    """torch.tensor of numbers and lists of them."""
    data = np.asarray(call.args.get(call.any_of("data", "t")))
    if data.dtype.kind not in "biuf":
        raise RefusedError("it makes a tensor of what is known at run time alone", "stack tensors instead")
    kind = call.dtype_or(DType.FLOAT32 if data.dtype.kind == "f" else DType.of(data.dtype))
    return b.const(data.astype(kind.numpy_name))


def triangle(upper: bool, b: Builder, call: Call) -> Value:
    """The elements of each matrix on one side of the diagonal, and 0 on the other, whatever stands there."""
    x = b.value(call, "self")
    shift = call.integer("diagonal")
    rows, columns = x.shape[-2:]
    if rows * columns > 1 << 26:
        raise ModelError(f"it takes a triangle of {rows} x {columns}")
    below = np.tri(rows, columns, shift - 1 if upper else shift, np.bool_)
    return b.emit("select", [~below if upper else below, x, np.zeros((), x.dtype.numpy_name)])


def triangle_indices(upper: bool, b: Builder, call: Call) -> Value:
    rows, columns = call.integer("row"), call.integer("col")
    if rows * columns > LARGEST:
        raise ModelError(f"it lists the places of {rows} x {columns}")
    shift = call.integer("offset")
    made = np.triu_indices(rows, shift, columns) if upper else np.tril_indices(rows, shift, columns)
    return b.const(np.stack(made).astype(np.int64))


def stride_of(b: Builder, call: Call) -> int | list[int]:
    """Of a contiguous tensor, as all are here."""
    shape = b.value(call, "self").shape
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return strides[normal_axis(call.integer("dim"), len(shape))] if call.has("dim") else strides


def no_offset(b: Builder, call: Call) -> int:
    return 0


def window(cosine: Sequence[float], b: Builder, call: Call) -> Value:
    """hann_window and hamming_window; periodic unless said otherwise."""
    count = call.integer("window_length")
    if not 0 < count <= LARGEST:
        raise ModelError(f"a window of {count} numbers")
    steps = count if call.flag("periodic", True) else count - 1
    line = cosine[0] - cosine[1] * np.cos(2 * np.pi * np.arange(count) / max(steps, 1))
    return b.const(line.astype(np.float32))


def scalar_of(b: Builder, call: Call) -> bool | int | float:
    """item(): the number in a constant tensor of one element."""
    x = b.value(call, "self")
    if not x.constant or x.data is None or x.data.size != 1:
        raise RefusedError(
            "it takes a number out of a tensor that depends on the data", "let the model compute with the tensor"
        )
    number: bool | int | float = x.data.reshape(-1)[0].item()
    return number


def size_of(b: Builder, call: Call) -> int | list[int]:
    """The shape, or one of its sizes."""
    content = call.args["self"]
    shape = content.shape if isinstance(content, Value) else content.data.shape
    return shape[normal_axis(call.integer("dim"), len(shape))] if call.has("dim") else list(shape)


def count_of(b: Builder, call: Call) -> int:
    return math.prod(b.value(call, "self").shape)


def rank_of(b: Builder, call: Call) -> int:
    return len(b.value(call, "self").shape)


def length_of(b: Builder, call: Call) -> int:
    shape = b.value(call, call.any_of("t", "self")).shape
    if not shape:
        raise ModelError("a tensor without dimensions has no length")
    return shape[0]


def floating(b: Builder, call: Call) -> bool:
    return is_float(b.value(call, "self").dtype)


def nothing(b: Builder, call: Call) -> None:
    """Assertions about shapes: they hold, since all sizes are known here."""


HANDLERS: dict[str, Handler] = {
    "aten.zeros": partial(zeros, 0.0),
    "aten.ones": partial(zeros, 1.0),
    "aten.full": full,
    "aten.zeros_like": partial(like, 0.0),
    "aten.ones_like": partial(like, 1.0),
    "aten.full_like": partial(like, None),
    "aten.new_zeros": partial(like, 0.0),
    "aten.new_ones": partial(like, 1.0),
    "aten.new_full": partial(like, None),
    "aten.empty": empty,
    "aten.empty_like": empty,
    "aten.new_empty": empty,
    "aten.empty_strided": empty,
    "aten.new_empty_strided": empty,
    "aten.fill": fill,
    "aten.zero": zero,
    "aten.arange": arange,
    "aten.linspace": linspace,
    "aten.eye": eye,
    "aten.scalar_tensor": scalar_tensor,
    "aten.tensor": tensor,
    "aten.as_tensor": tensor,
    "aten.tril": partial(triangle, False),
    "aten.triu": partial(triangle, True),
    "aten.tril_indices": partial(triangle_indices, False),
    "aten.triu_indices": partial(triangle_indices, True),
    "aten.sym_stride": stride_of,
    "aten.stride": stride_of,
    "aten.sym_storage_offset": no_offset,
    "aten.storage_offset": no_offset,
    "aten.hann_window": partial(window, (0.5, 0.5)),
    "aten.hamming_window": partial(window, (0.54, 0.46)),
    "aten.item": scalar_of,
    "aten._local_scalar_dense": scalar_of,
    "aten.sym_size": size_of,
    "aten.size": size_of,
    "aten.sym_numel": count_of,
    "aten.numel": count_of,
    "aten.dim": rank_of,
    "aten.len": length_of,
    "aten.is_floating_point": floating,
    "aten._assert_tensor_metadata": nothing,
    "aten._assert_async": nothing,
    "aten._assert_scalar": nothing,
    "aten.sym_constrain_range": nothing,
    "aten.sym_constrain_range_for_size": nothing,
}

"""Descriptions of tensors, and NumPy views of their memory. Shared by Model and Interpreter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from edgert.runtime._native import Session

_INTEGER_RANGE = {DType.INT8: (-128, 127), DType.UINT8: (0, 255), DType.INT16: (-32768, 32767)}


@dataclass(frozen=True)
class TensorInfo:
    """What is known of a tensor. kind: "activation", "constant" or "variable"."""

    index: int
    name: str
    dtype: DType
    shape: tuple[int, ...]
    quant: QuantParams | None
    kind: str

    def __str__(self) -> str:
        text = f"{self.name}: {self.dtype.numpy_name}{list(self.shape)}"
        if self.quant is not None and not self.quant.per_channel:
            text += f" (scale {self.quant.scale:.6g}, zero point {self.quant.zero_point})"
        return text

    def quantize(self, real: ArrayLike) -> NDArray[Any]:
        """Real numbers as this tensor's integers: clamp(round(real / scale) + zero_point), ties to even.

        Raises InputError when the tensor has no per-tensor quantisation. NaN becomes the zero point.
        """
        import numpy as np

        quant = self._per_tensor()
        low, high = _INTEGER_RANGE[self.dtype]
        steps = np.rint(np.asarray(real, np.float32) / np.float32(quant.scale))
        steps = np.nan_to_num(steps, nan=0.0, posinf=high * 4, neginf=low * 4)
        integers: NDArray[Any] = np.clip(steps + quant.zero_point, low, high).astype(self.dtype.numpy_name)
        return integers

    def dequantize(self, integers: ArrayLike) -> NDArray[np.float32]:
        """This tensor's integers as real numbers: (q - zero_point) * scale. Raises InputError as quantize does."""
        import numpy as np

        quant = self._per_tensor()
        return (np.asarray(integers, np.float32) - np.float32(quant.zero_point)) * np.float32(quant.scale)

    def _per_tensor(self) -> QuantParams:
        if self.quant is None or self.quant.per_channel or self.dtype not in _INTEGER_RANGE:
            raise InputError(f"tensor {self} has no per-tensor quantisation to convert with")
        return self.quant

    def checked(self, array: ArrayLike, what: str) -> NDArray[Any]:
        """`array` as this tensor takes it; a leading dimension of 1 may be left out.

        Raises InputError that says what was given and what is needed.
        """
        import numpy as np

        given = np.asarray(array)
        if given.dtype != np.dtype(self.dtype.numpy_name):
            needed = f"{self.dtype.numpy_name}{list(self.shape)}"
            raise InputError(f"{what} {self.name!r} is {given.dtype}, needed {needed}{self._advice(given)}")
        if given.shape != self.shape and (1, *given.shape) != self.shape:
            raise InputError(f"{what} {self.name!r} has shape {list(given.shape)}, needed {list(self.shape)}")
        return given.reshape(self.shape)

    def _advice(self, given: NDArray[Any]) -> str:
        if given.dtype.kind == "f" and self.quant is not None and self.dtype in _INTEGER_RANGE:
            return ": convert it with TensorInfo.quantize(), or convert the model with --io float"
        if given.dtype.kind in "fiub":
            return f": use array.astype({self.dtype.numpy_name!r}) if its values fit"
        return ""


_KINDS = ("activation", "constant", "variable")


def tensor_info(session: Session, index: int) -> TensorInfo:
    """Raises InputError when there is no tensor `index`."""
    if index < 0:  # C knows no negative ones
        raise InputError(f"there is no tensor {index}; indices begin at 0")
    name, dtype, kind, shape, scales, zero_points, axis = session.tensor(index)
    quant = QuantParams(scales, zero_points, axis) if scales else None
    return TensorInfo(index, name, DType(dtype), shape, quant, _KINDS[kind])


def tensor_array(session: Session, index: int) -> NDArray[Any]:
    """The tensor's own memory as an array: nothing is copied. While it lives, inputs cannot be resized."""
    import numpy as np

    return np.asarray(session.view(index))

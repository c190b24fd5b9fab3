"""One sample, and how raw numbers become what an input takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.runtime.tensors import TensorInfo

Array = NDArray[Any]

# (mean, std) per channel, x = (pixel - mean) / std; both empty when the model states none.
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Sample:
    """One run's inputs. name: of the file, or "NAME[3]" for the fourth of several in one file."""

    name: str
    inputs: dict[str, Array]


def image_size(info: TensorInfo) -> tuple[int, int, int, bool]:
    """(height, width, channels, channels last) of an image input; InputError when the tensor cannot be an image."""
    shape = info.shape
    if len(shape) == 4 and shape[0] == 1:
        if shape[3] in (1, 3, 4):
            return shape[1], shape[2], shape[3], True
        if shape[1] in (1, 3, 4):
            return shape[2], shape[3], shape[1], False
    raise InputError(
        f"input {info} takes no image: needed the shape [1, H, W, C] or [1, C, H, W] with 1, 3 or 4 channels"
    )


def is_image(info: TensorInfo) -> bool:
    try:
        image_size(info)
    except InputError:
        return False
    return True


def from_pixels(pixels: Array, info: TensorInfo, normalisation: Normalisation) -> Array:
    """uint8 pixels [H, W, C] as the input takes them, [1, H, W, C] or [1, C, H, W].

    Where the model states a normalisation, real numbers (pixel - mean) / std, quantised for an integer input. Where it
    states none, a float input gets the pixels 0 to 255, and an integer input the pixels over its whole range: then its
    scale and zero point are the normalisation.
    """
    _height, _width, channels, channels_last = image_size(info)
    mean, std = normalisation
    if mean and len(mean) not in (1, channels):
        raise InputError(f"the normalisation has {len(mean)} channels and input {info} has {channels}")
    result: Array
    if mean:
        real = (pixels.astype(np.float32) - np.array(mean, np.float32)) / np.array(std, np.float32)
        result = real if info.dtype == DType.FLOAT32 else info.quantize(real)
    elif info.dtype == DType.INT8:
        result = (pixels.astype(np.int16) - 128).astype(np.int8)
    else:
        result = pixels.astype(info.dtype.numpy_name)
    return result[None] if channels_last else result.transpose(2, 0, 1)[None]


def from_numbers(array: Array, info: TensorInfo, normalisation: Normalisation, name: str) -> Array:
    """An array of the input's shape as the input takes it: floats are real numbers and are quantised for an integer
    input, uint8 for an image input are pixels, anything else must fit the input's dtype without loss.

    Raises InputError, which calls the sample `name`, for NaN, infinity, and numbers that do not fit.
    """
    what = f"{name}: input {info.name!r}"
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} holds {array.dtype}, needed numbers")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"{what} holds {'NaN' if np.isnan(array).any() else 'infinity'}; remove or mend that sample")
    needed = np.dtype(info.dtype.numpy_name)
    if array.dtype == np.uint8 and needed != np.uint8 and is_image(info):
        channels_last = image_size(info)[3]
        return from_pixels(array[0] if channels_last else array[0].transpose(1, 2, 0), info, normalisation)
    if array.dtype == needed or needed.kind == "f":
        with np.errstate(over="ignore"):
            given: Array = array.astype(needed, copy=False)
        if given.dtype.kind == "f" and not np.isfinite(given).all():
            raise InputError(
                f"{what} holds {array.dtype} from {array.min()} to {array.max()}, which {needed} cannot hold"
            )
        return given
    if array.dtype.kind == "f" and info.quant is not None:
        return info.quantize(array)
    converted: Array = array.astype(needed)
    if not np.array_equal(converted, array):
        raise InputError(f"{what} holds {array.dtype} from {array.min()} to {array.max()}, which {needed} cannot hold")
    return converted

"""One file to samples: images, wav, npy, npz, raw .bin tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.data.sample import Normalisation, Sample, from_numbers, from_pixels, image_size, is_image
from edgert.data.wav import decode_wav
from edgert.errors import InputError, MissingExtraError
from edgert.functions import failure
from edgert.runtime.tensors import TensorInfo

Array = NDArray[Any]
BESIDE = ("labels", "sequences")  # arrays that tell of samples: their classes, and which belong together
Reader = Callable[[Path, Sequence[TensorInfo], Normalisation], Iterator[Sample]]


def only(inputs: Sequence[TensorInfo], source: object) -> TensorInfo:
    """The only input; InputError when there are several, which one unnamed array cannot feed."""
    if len(inputs) != 1:
        names = ", ".join(info.name for info in inputs)
        raise InputError(f"{source}: the model has {len(inputs)} inputs ({names}); give an .npz with an array for each")
    return inputs[0]


def split_samples(array: Array, info: TensorInfo, what: str) -> list[Array]:
    """An array of one or more samples, cut into arrays of the input's shape.

    Its shape may be the input's, the input's without a leading 1, or either with a first dimension more or larger.
    """
    shape, inner = info.shape, info.shape[1:] if info.shape[:1] == (1,) else None
    if array.shape == shape:
        return [array]
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape:
        return list(array)
    if inner is not None and array.shape == inner:
        return [array[None]]
    if inner is not None and array.ndim == len(shape) and array.shape[1:] == inner and len(array):
        return list(array[:, None])
    raise InputError(f"{what} has shape {list(array.shape)}, needed {list(shape)}, or a stack of such arrays")


def stack_samples(
    arrays: Mapping[str, Array], inputs: Sequence[TensorInfo], normalisation: Normalisation, name: str
) -> Iterator[Sample]:
    """Samples from one array for each input, by name; a single array may have any name when there is one input. Arrays
    called as BESIDE lists are no samples then."""
    alone = [array for key, array in arrays.items() if key not in BESIDE]
    if len(inputs) == 1 and len(alone) == 1 and inputs[0].name not in arrays:
        arrays = {inputs[0].name: alone[0]}
    missing = [info.name for info in inputs if info.name not in arrays]
    if missing:
        raise InputError(f"{name} has no array {missing[0]!r}; it has {', '.join(arrays) or 'none'}")
    stacks = {info.name: split_samples(arrays[info.name], info, f"{name}: array {info.name!r}") for info in inputs}
    counts = {len(stack) for stack in stacks.values()}
    if len(counts) > 1:
        found = ", ".join(f"{key}: {len(stack)}" for key, stack in stacks.items())
        raise InputError(f"{name} has different numbers of samples for its inputs ({found})")
    (count,) = counts
    for i in range(count):
        label = name if count == 1 else f"{name}[{i}]"
        yield Sample(
            label, {info.name: from_numbers(stacks[info.name][i], info, normalisation, label) for info in inputs}
        )


def arrays_of(path: Path) -> dict[str, Array]:
    """All arrays of an .npz. Raises InputError for whatever is wrong with it."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged archives raise what their reader happens to stumble over
        raise InputError(f"{path} is no .npz archive of plain arrays: {failure(error)}") from error


def read_npz(path: Path, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    yield from stack_samples(arrays_of(path), inputs, normalisation, path.name)


def read_npy(path: Path, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    try:
        array = np.asarray(np.load(path, allow_pickle=False))
    except Exception as error:  # the same
        raise InputError(f"{path} is no .npy file of plain numbers: {failure(error)}") from error
    yield from stack_samples({only(inputs, path).name: array}, inputs, normalisation, path.name)


def read_bin(path: Path, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    """Raw elements, row-major and little-endian. By its size a file holds float32, or the input's own type, or bytes;
    bytes are pixels for colour images and for models that state a normalisation or take floats."""
    info = only(inputs, path)
    data, elements = path.read_bytes(), math.prod(info.shape)
    own: np.dtype[Any] = np.dtype(info.dtype.numpy_name)
    pixels = is_image(info) and (image_size(info)[2] > 1 or bool(normalisation[0]))
    if len(data) == elements and (own.itemsize > 1 or pixels):
        dtype: np.dtype[Any] = np.dtype(np.uint8)
    elif len(data) == elements * own.itemsize:
        dtype = own
    elif len(data) == elements * 4:
        dtype = np.dtype("<f4")
    else:
        raise InputError(
            f"{path.name} has {len(data)} bytes, needed {elements} (one byte an element) or {elements * 4} (float32) "
            f"for input {info}"
        )
    yield from stack_samples(
        {info.name: np.frombuffer(data, dtype).reshape(info.shape)}, inputs, normalisation, path.name
    )


def read_image(path: Path, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    """Turned upright as its EXIF data say, scaled to the input's size (bilinear, the aspect ratio is not kept) and
    converted to its channels."""
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("pillow", f"reading the image {path.name}") from error
    info = only(inputs, path)
    height, width, channels, _last = image_size(info)
    try:
        with Image.open(path) as image:
            mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits; convert() would clip them at 255 instead of scaling
                upright = Image.fromarray((np.asarray(upright, np.int32) >> 8).clip(0, 255).astype(np.uint8))
            scaled = upright.convert(mode)
            if scaled.size != (width, height):
                scaled = scaled.resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(scaled, np.uint8).reshape(height, width, channels)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} is no readable image: {failure(error)}") from error
    yield Sample(path.name, {info.name: from_pixels(pixels, info, normalisation)})


def read_wav(path: Path, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    """Uncompressed sound as numbers from -1 to 1, channels averaged, in consecutive windows of the input's length; the
    last one is filled up with silence. The sampling rate must be the model's own."""
    info = only(inputs, path)
    try:
        mono = decode_wav(path.read_bytes()).mean(axis=1, dtype=np.float32)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is no PCM .wav file: {error}") from error
    length = math.prod(info.shape)
    if mono.size == 0:
        raise InputError(f"{path} holds no sound")
    windows = -(-mono.size // length)
    filled = np.pad(mono, (0, windows * length - mono.size)).reshape(windows, *info.shape)
    yield from stack_samples({info.name: filled}, inputs, ((), ()), path.name)


READERS: dict[str, Reader] = {
    ".npz": read_npz,
    ".npy": read_npy,
    ".bin": read_bin,
    ".wav": read_wav,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".pgm", ".gif", ".webp", ".tif", ".tiff"), read_image),
}


def reader_of(path: Path) -> Reader:
    """InputError for an unknown kind of file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path} is of no known kind; needed one of {' '.join(READERS)}")
    return reader

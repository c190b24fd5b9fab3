"""Front ends that cannot run here (decoding of files, spectrograms): where to cut them off, and what to feed there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgert.importers.tensorflow.tensors import STRING, TensorReader, stated_shape, type_name
from edgert.importers.tensorflow.walk import data_inputs, tensor_parts

# Cut off whatever they read.
SPECTRAL = {"AudioSpectrogram", "Mfcc"}
# Cut off where all that they read is text, constants and other front ends.
DECODERS = {
    "DecodeWav", "DecodeJpeg", "DecodePng", "DecodeBmp", "DecodeGif", "DecodeImage", "DecodeAndCropJpeg", "DecodeRaw",
    "DecodePaddedRaw", "DecodeCSV", "DecodeBase64", "DecodeCompressed", "DecodeProtoV2", "ReadFile", "ExtractJpegShape",
    "ParseExample", "ParseExampleV2", "ParseSingleExample", "ParseSequenceExample", "ParseTensor", "StringToNumber",
    "StringToHashBucketFast", "StringToHashBucketStrong", "StringSplit", "StringSplitV2", "StringJoin", "StringLower",
    "StringUpper", "StringStrip", "StringLength", "RegexReplace", "RegexFullMatch", "StaticRegexReplace", "Substr",
    "UnicodeDecode", "UnicodeDecodeWithOffsets", "HashTableV2", "LookupTableFind", "LookupTableFindV2", "IteratorV2",
    "OneShotIterator", "IteratorGetNext", "FIFOQueueV2", "PaddingFIFOQueueV2", "RandomShuffleQueueV2",
    "QueueDequeueV2", "QueueDequeueManyV2", "QueueDequeueUpToV2", "ReaderReadV2", "WholeFileReaderV2",
    "TFRecordReaderV2",
}  # fmt: skip
IMAGES = {"DecodeJpeg", "DecodePng", "DecodeBmp", "DecodeImage", "DecodeAndCropJpeg"}
MOVES = ("Identity", "ExpandDims", "Reshape", "Squeeze")
PLACEHOLDERS = ("Placeholder", "PlaceholderV2")

Shape = tuple[int, ...] | None


@dataclass(frozen=True)
class Tensor:
    """A tensor of the source: an output of a node."""

    node: str
    index: int

    @property
    def name(self) -> str:
        return f"{self.node}:{self.index}" if self.index else self.node


def front_ends(nodes: Mapping[str, Any], reached: set[str]) -> dict[str, bool]:
    """Nodes of `reached` that cannot run here and hang on no number that can -> whether they compute (True) or are
    the text and the constants that those read (False)."""
    found: dict[str, bool] = {}

    def text_or_constant(name: str) -> bool:
        return name in found or (name in nodes and nodes[name].op == "Const")

    for name in _inputs_first(nodes, reached):
        proto = nodes[name]
        sources = [tensor_parts(text)[0] for text in data_inputs(proto)]
        if proto.op in PLACEHOLDERS or proto.op == "Const":
            if proto.attr["dtype"].type == STRING:
                found[name] = False
        elif proto.op in SPECTRAL or (proto.op in DECODERS and all(map(text_or_constant, sources))):
            found[name] = True
        elif proto.op in MOVES and sources and found.get(sources[0]) is False:
            found[name] = False  # text moved about
    return found


def _inputs_first(nodes: Mapping[str, Any], reached: set[str]) -> list[str]:
    """The nodes so that, loops apart, each comes after its inputs."""
    order: list[str] = []
    seen: set[str] = set()
    for first in (name for name in nodes if name in reached):
        stack = [(first, False)]
        while stack:
            name, done = stack.pop()
            if done:
                order.append(name)
            elif name not in seen and name in nodes:
                seen.add(name)
                stack.append((name, True))
                stack += [(tensor_parts(text)[0], False) for text in data_inputs(nodes[name])]
    return order


def described(nodes: Mapping[str, Any], tensor: Tensor, depth: int = 8) -> tuple[Shape, int]:
    """Shape (-1: open) and type of a front end's output, as far as its attributes and its reader tell."""
    proto = nodes[tensor.node]
    maker = _SHAPES.get(proto.op, _any)
    shape, kind = maker(nodes, proto, tensor.index, depth)
    listed = proto.attr["_output_shapes"].list.shape if "_output_shapes" in proto.attr else ()
    if (shape is None or -1 in shape) and tensor.index < len(listed):
        stated = stated_shape(listed[tensor.index])
        if stated is not None and (shape is None or len(stated) == len(shape)):
            shape = stated if shape is None else tuple(max(pair) for pair in zip(shape, stated, strict=True))
    if shape is not None and shape.count(-1) == 1:
        shape = _from_reader(nodes, tensor, shape)
    return shape, kind


def _from_reader(nodes: Mapping[str, Any], tensor: Tensor, shape: tuple[int, ...]) -> tuple[int, ...]:
    """One open size, from the constant shape that a Reshape gives all the elements (of one sample)."""
    for proto in nodes.values():
        sources = list(data_inputs(proto))
        if proto.op != "Reshape" or len(sources) != 2 or sources[0] not in (tensor.name, f"{tensor.node}:0"):
            continue
        target = nodes.get(tensor_parts(sources[1])[0])
        if target is None or target.op != "Const":
            continue
        sizes = [int(size) for size in TensorReader().array(target.attr["value"].tensor).reshape(-1)]
        count, known = math.prod(size for size in sizes if size > 0), math.prod(size for size in shape if size > 0)
        if sizes and min(sizes[1:], default=1) > 0 and known > 0 and count % known == 0:
            return tuple(count // known if size < 0 else size for size in shape)
    return shape


FLOAT, INT32, UINT8 = 1, 3, 4
Described = tuple[Shape, int]


def _any(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    for name in ("output_types", "component_types", "Tdense"):
        if name in proto.attr and index < len(proto.attr[name].list.type):
            return None, int(proto.attr[name].list.type[index])
    for name in ("out_type", "Tout", "dtype", "T"):
        if name in proto.attr and proto.attr[name].type:
            return None, int(proto.attr[name].type)
    return None, FLOAT


def _image(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    channels = int(proto.attr["channels"].i) if "channels" in proto.attr else 0
    return (-1, -1, channels or -1), int(proto.attr["dtype"].type) if "dtype" in proto.attr else UINT8


def _wave(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    if index == 1:
        return (), INT32
    samples, channels = (int(proto.attr[name].i) for name in ("desired_samples", "desired_channels"))
    return (samples if samples > 0 else -1, channels if channels > 0 else -1), FLOAT


def _source(nodes: Mapping[str, Any], proto: Any, rank: int, depth: int) -> tuple[int, ...]:
    """The shape of what a front end reads first."""
    name, parts = tensor_parts(next(data_inputs(proto), ""))
    shape = None
    if depth and name in nodes:
        shape, _ = described(nodes, Tensor(name, int(parts[0]) if parts and parts[0].isdecimal() else 0), depth - 1)
    return shape if shape is not None and len(shape) == rank else (-1,) * rank


def _spectrogram(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    """[channels, frames, frequencies]: windows that fit whole, and the half of a transform of a power of two."""
    samples, channels = _source(nodes, proto, 2, depth)
    width, stride = (int(proto.attr[name].i) for name in ("window_size", "stride"))
    if width < 2 or stride < 1:
        return None, FLOAT
    frames = 1 + (samples - width) // stride if samples >= width else -1
    return (channels, frames, 1 + (1 << (width - 1).bit_length()) // 2), FLOAT


def _mfcc(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    channels, frames, _ = _source(nodes, proto, 3, depth)
    numbers = int(proto.attr["dct_coefficient_count"].i) if "dct_coefficient_count" in proto.attr else 13
    return (max(channels, 1), frames, numbers), FLOAT


def _iterator(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    shapes, types = proto.attr["output_shapes"].list.shape, proto.attr["output_types"].list.type
    return (
        stated_shape(shapes[index]) if index < len(shapes) else None,
        int(types[index]) if index < len(types) else FLOAT,
    )


def _example(nodes: Mapping[str, Any], proto: Any, index: int, depth: int) -> Described:
    """Dense features come behind the indices, values and shapes of the sparse ones; [batch, ...] unless single."""
    sparse = next((int(proto.attr[name].i) for name in ("Nsparse", "num_sparse") if name in proto.attr), 0)
    if proto.op == "ParseExampleV2":
        sparse = int(proto.attr["num_sparse"].i)
    at = index - 3 * sparse
    shapes, types = proto.attr["dense_shapes"].list.shape, proto.attr["Tdense"].list.type
    if not 0 <= at < min(len(shapes), len(types)):
        return None, FLOAT
    shape = stated_shape(shapes[at])
    if shape is not None and proto.op != "ParseSingleExample":
        shape = (-1, *shape)
    return shape, int(types[at])


_SHAPES: dict[str, Callable[[Mapping[str, Any], Any, int, int], Described]] = {
    **dict.fromkeys(IMAGES, _image),
    "DecodeWav": _wave,
    "AudioSpectrogram": _spectrogram,
    "Mfcc": _mfcc,
    "IteratorGetNext": _iterator,
    "ParseExample": _example,
    "ParseExampleV2": _example,
    "ParseSingleExample": _example,
}

__all__ = ["PLACEHOLDERS", "Shape", "Tensor", "described", "front_ends", "type_name"]

"""Reads a network description (.prototxt) and its weights (.caffemodel)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.errors import FileFormatError, InputError
from edgert.importers.builder import Array
from edgert.importers.caffe.message import Message
from edgert.importers.caffe.schema import MODERN_TYPES, new_network
from edgert.importers.caffe.text import TextError, parse
from edgert.importers.caffe.weights import read_weights

LARGEST_TEXT = 2 << 20  # bytes of a .prototxt; the largest networks in use take some 400 kB


@dataclass(frozen=True)
class Layer:
    """A layer of either generation; `proto` holds its parameters (convolution_param, ...)."""

    name: str
    type: str  # "Convolution": the name since V2
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    blobs: tuple[Array, ...]
    proto: Any


@dataclass(frozen=True)
class Network:
    """What the two files hold. declared: inputs that are no layers, with their shapes if stated."""

    name: str
    declared: dict[str, tuple[int, ...] | None]
    layers: list[Layer]  # those of the phase TEST
    excluded: list[Layer]  # those of other phases
    files: tuple[Path, ...] = ()  # that were read


def read(path: Path, weights: Path | None) -> Network:
    """path is either file. The other one is `weights`, or the file beside it of the same name, or the only such file
    there.

    Raises InputError (a file is not there), FileFormatError (not Caffe's, or damaged).
    """
    text_path, weights_path = _pair(path, weights)
    proto = _network(text_path)
    stored = read_weights(weights_path)
    layers: list[Layer] = []
    excluded: list[Layer] = []
    for layer in _layers(proto):
        kept = _included(layer.proto, proto.state)
        blobs = stored.get(layer.name, ())
        (layers if kept else excluded).append(
            Layer(layer.name, layer.type, layer.bottoms, layer.tops, blobs, layer.proto)
        )
    if not layers:
        raise FileFormatError(f"{text_path.name}: not a Caffe network description, or cut short: it has no layers")
    return Network(
        proto.name or text_path.stem, _declared(proto, text_path), _shared(layers), excluded, (text_path, weights_path)
    )


# Files


def _pair(path: Path, weights: Path | None) -> tuple[Path, Path]:
    """(.prototxt, .caffemodel)"""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    if weights is not None:
        weights = Path(weights)
        if not weights.is_file():
            raise InputError(f"{weights}: there is no such file")
        return (weights, path) if path.suffix == ".caffemodel" else (path, weights)
    if path.suffix == ".caffemodel":
        return _beside(path, ".prototxt", "description"), path
    return path, _beside(path, ".caffemodel", "file of weights")


def _beside(path: Path, suffix: str, what: str) -> Path:
    same = path.with_suffix(suffix)
    if same.is_file():
        return same
    found = sorted(path.parent.glob(f"*{suffix}"))
    if len(found) == 1:
        return found[0]
    listed = f"; there are {', '.join(item.name for item in found[:5])}" if found else ""
    raise InputError(
        f"{path.name}: its {what} ({same.name}) is not beside it{listed}: give both files one name, or "
        f"pass the other one as weights=, on the command line --weights"
    )


def _network(path: Path) -> Message:
    if path.stat().st_size > LARGEST_TEXT:
        raise FileFormatError(f"{path.name}: {path.stat().st_size} bytes, too large for a network description")
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # comments in other encodings are common
    message = new_network()
    try:
        parse(text, message)
    except TextError as error:
        why = " ".join(str(error).split())
        raise FileFormatError(f"{path.name}: not a Caffe network description, or damaged ({why[:200]})") from error
    return message


# The network


def _layers(proto: Any) -> Iterator[Layer]:
    for old in proto.layers:
        kind = MODERN_TYPES.get(old.type)
        if kind is None:
            raise FileFormatError(f"layer {old.name!r}: it is of Caffe's first format (V0); upgrade_net_proto_text of "
                                  f"Caffe rewrites it")  # fmt: skip
        yield Layer(old.name, kind, tuple(old.bottom), tuple(old.top), (), old)
    for new in proto.layer:
        yield Layer(new.name, new.type, tuple(new.bottom), tuple(new.top), (), new)


def _included(layer: Any, state: Any) -> bool:
    """Whether a layer is part of the network that runs for inference (Caffe's Net::FilterNet)."""
    if layer.include:
        return any(_meets(rule, state) for rule in layer.include)
    return not any(_meets(rule, state) for rule in layer.exclude)


def _meets(rule: Any, state: Any) -> bool:
    test, stages = 1, set(state.stage)
    if rule.has("phase") and rule.phase != test:
        return False
    if rule.has("min_level") and state.level < rule.min_level:
        return False
    if rule.has("max_level") and state.level > rule.max_level:
        return False
    return set(rule.stage) <= stages and not set(rule.not_stage) & stages


def _declared(proto: Any, path: Path) -> dict[str, tuple[int, ...] | None]:
    """Inputs that the network declares before its layers."""
    names = list(proto.input)
    if proto.input_shape:
        shapes: list[tuple[int, ...] | None] = [tuple(shape.dim) for shape in proto.input_shape]
    else:
        dims = list(proto.input_dim)
        shapes = [tuple(dims[at : at + 4]) for at in range(0, len(dims), 4)]
    if shapes and len(shapes) != len(names):
        raise FileFormatError(f"{path.name}: {len(names)} inputs with {len(shapes)} shapes")
    return dict(zip(names, shapes or [None] * len(names), strict=True))


def _shared(layers: list[Layer]) -> list[Layer]:
    """Layers that share the named parameters of another, and have none stored, with those of the other."""
    owners: dict[tuple[str, ...], tuple[Array, ...]] = {}
    result = []
    for layer in layers:
        params = layer.proto.param
        names = tuple(item if isinstance(item, str) else item.name for item in params)
        blobs = layer.blobs
        if names and all(names):
            blobs = blobs or owners.get(names, ())
            owners.setdefault(names, blobs)
        result.append(Layer(layer.name, layer.type, layer.bottoms, layer.tops, blobs, layer.proto))
    return result

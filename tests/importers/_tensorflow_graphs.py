"""Builds GraphDefs by hand, with the importer's own messages: no TensorFlow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edgert.importers.tensorflow.messages import message
from edgert.importers.tensorflow.tensors import TYPE_NAMES

TYPES = {name: number for number, name in TYPE_NAMES.items()}


class Type(NamedTuple):
    """A type as an attribute."""

    name: str


class Shape(NamedTuple):
    """A shape as an attribute; None: of any rank."""

    sizes: tuple[int, ...] | None


class Function(NamedTuple):
    """A function of the library as an attribute."""

    name: str


def set_shape(proto: Any, shape: tuple[int, ...] | None) -> None:
    if shape is None:
        proto.unknown_rank = True
    for size in shape or ():
        proto.dim.add(size=size)


def set_attr(attr: Any, value: Any) -> None:
    match value:
        case bool():
            attr.b = value
        case int():
            attr.i = value
        case float():
            attr.f = value
        case str():
            attr.s = value.encode()
        case Type(name):
            attr.type = TYPES[name]
        case Shape(sizes):
            attr.shape.SetInParent()
            set_shape(attr.shape, sizes)
        case Function(name):
            attr.func.name = name
        case np.ndarray():
            attr.tensor.dtype = TYPES[value.dtype.name]
            set_shape(attr.tensor.tensor_shape, value.shape)
            attr.tensor.tensor_content = value.tobytes()
        case list():
            attr.list.i.extend(value)
        case _:
            raise TypeError(type(value))


class Graph:
    """A GraphDef under construction; nodes are named and read by name."""

    def __init__(self) -> None:
        self.proto = message("GraphDef")()
        self.proto.versions.producer = 1000

    def node(self, name: str, op: str, *inputs: str, into: Any = None, **attrs: Any) -> str:
        node = (self.proto.node if into is None else into.node_def).add(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            set_attr(node.attr[key], value)
        return name

    def input(self, name: str, *sizes: int, dtype: str = "float32") -> str:
        return self.node(name, "Placeholder", dtype=Type(dtype), shape=Shape(sizes))

    def const(self, name: str, value: Any, into: Any = None) -> str:
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        elif array.dtype == np.int64 and not isinstance(value, np.ndarray):
            array = array.astype(np.int32)
        return self.node(name, "Const", into=into, value=array, dtype=Type(array.dtype.name))

    def function(self, name: str, arguments: dict[str, str], results: dict[str, str]) -> Any:
        """arguments: names and types; results: names, and the tensors that they are."""
        made = self.proto.library.function.add()
        made.signature.name = name
        for argument, kind in arguments.items():
            made.signature.input_arg.add(name=argument, type=TYPES[kind])
        for result, tensor in results.items():
            made.signature.output_arg.add(name=result)
            made.ret[result] = tensor
        return made

    def data(self) -> bytes:
        return bytes(self.proto.SerializeToString())


# Variables of a SavedModel


def length(data: bytes) -> bytes:
    number, coded = len(data), b""
    while number > 127:
        coded += bytes([number & 127 | 128])
        number >>= 7
    return coded + bytes([number])


def table(entries: dict[bytes, bytes]) -> bytes:
    """A table of one block: see edgert/importers/tensorflow/bundle.py."""

    def block(items: dict[bytes, bytes]) -> bytes:
        data = b""
        for key, value in items.items():
            data += b"\0" + length(key) + length(value) + key + value
        return data + bytes(4) + (1).to_bytes(4, "little")

    first = block(entries)
    index = block({b"~": _number(0) + _number(len(first))})
    place = _number(0) + _number(0) + _number(len(first) + 5) + _number(len(index))
    footer = place + bytes(40 - len(place)) + (0xDB4775248B80FB57).to_bytes(8, "little")
    return first + bytes(5) + index + bytes(5) + footer


def _number(number: int) -> bytes:
    return length(bytes(number)) if number < 128 else bytes([number & 127 | 128]) + _number(number >> 7)


def entry(*sizes: int, size: int = 16, offset: int = 0, dtype: int = 1) -> bytes:
    made = message("BundleEntryProto")(dtype=dtype, size=size, offset=offset)
    set_shape(made.shape, sizes)
    return bytes(made.SerializeToString())


HEADER = {b"": b"\x08\x01"}

"""Writes what Torch7's torch.save writes: enough of it for tests."""

from __future__ import annotations

import struct

import numpy as np

_KINDS = {"float32": "Float", "float64": "Double", "int64": "Long", "uint8": "Byte"}


class Raw:
    """Bytes to be written as an object, as they are."""

    def __init__(self, data):
        self.data = data


class LuaModule:
    """A module: its class and its fields."""

    def __init__(self, kind, **fields):
        self.kind, self.fields = kind, fields


class Pairs:
    """A Lua table whose keys may be tables."""

    def __init__(self, **fields):
        self.pairs = list(fields.items())

    def add(self, key, value):
        self.pairs.append((key, value))
        return self


class GraphNode:
    """A node of nngraph under construction: what it reads, and what its data says besides."""

    def __init__(self, *inputs, **fields):
        self.inputs, self.data, self.children = inputs, Pairs(input=[], annotations=Pairs(), **fields), Pairs()
        self.mapindex = Pairs()
        self.data.add("mapindex", self.mapindex)
        self.object = LuaModule("nngraph.Node", data=self.data, children=self.children, id=1, marked=False)
        for place, node in enumerate(inputs, start=1):
            self.reads(node.data, place)
            node.children.add(len(node.children.pairs) + 1, self.object)

    def reads(self, data, place):
        self.mapindex.add(place, data).add(data, place)


def graph_module(nodes, inputs, outputs):
    """nn.gModule of nodes in their order; inputs and outputs are some of them."""
    first, last = GraphNode(data=[]), GraphNode(*outputs)
    for place, node in enumerate(inputs, start=1):
        node.reads(first.data, 1)
        first.reads(node.data, place)
        first.children.add(place, node.object)
    order = [first, *nodes, last]
    return module("gModule", innode=first.object, outnode=last.object, forwardnodes=[node.object for node in order])


class Storage:
    def __init__(self, *numbers):
        self.array = np.array(numbers, np.int64)


def module(kind, **fields):
    return LuaModule(f"nn.{kind}", train=False, **fields)


def container(kind, *modules, **fields):
    return module(kind, modules=list(modules), **fields)


def sequential(*modules):
    return container("Sequential", *modules)


class Writer:
    def __init__(self, ascii=False):
        self.ascii, self.parts, self.numbers = ascii, [], {}

    def _pack(self, code, *numbers):
        if self.ascii:
            self.parts.append(" ".join(repr(n) for n in numbers).encode() + b"\n")
        else:
            self.parts.append(struct.pack(f"<{len(numbers)}{code}", *numbers))

    def _text(self, text):
        self._pack("i", len(text))
        self.parts.append(text.encode() + (b"\n" if self.ascii else b""))

    def _class(self, name):
        self._text("V 1")
        self._text(name)

    def _begin(self, kind, item):
        """Whether the object has still to be written."""
        fresh = id(item) not in self.numbers
        number = self.numbers.setdefault(id(item), len(self.numbers) + 1)
        self._pack("i", kind)
        self._pack("i", number)
        return fresh

    def write(self, item):
        if item is None:
            self._pack("i", 0)
        elif isinstance(item, Raw):
            self.parts.append(item.data)
        elif isinstance(item, bool):
            self._pack("i", 5)
            self._pack("i", int(item))
        elif isinstance(item, int | float):
            self._pack("i", 1)
            self._pack("d", float(item))
        elif isinstance(item, str):
            self._pack("i", 2)
            self._text(item)
        elif isinstance(item, Storage):
            if self._begin(4, item):
                self._elements(item.array)
        elif isinstance(item, np.ndarray):
            if self._begin(4, item):
                self._tensor(item)
        elif isinstance(item, LuaModule):
            if self._begin(4, item):
                self._class(item.kind)
                self.write(item.fields)
        else:
            pairs = (
                item if isinstance(item, dict) else {} if isinstance(item, Pairs) else dict(enumerate(item, start=1))
            )
            listed = item.pairs if isinstance(item, Pairs) else list(pairs.items())
            if self._begin(3, item):
                self._pack("i", len(listed))
                for key, value in listed:
                    self.write(key)
                    self.write(value)
        return self

    def _tensor(self, array):
        kind = _KINDS[array.dtype.name]
        self._class(f"torch.{kind}Tensor")
        self._pack("i", array.ndim)
        self._pack("q", *array.shape)
        self._pack("q", *(step // array.itemsize for step in np.zeros(array.shape, array.dtype).strides))
        self._pack("q", 1)
        flat = np.ascontiguousarray(array).reshape(-1)
        self.numbers[id(flat)] = len(self.numbers) + 1
        self._keep = [*getattr(self, "_keep", []), flat]  # its id stays its own
        self._pack("i", 4)
        self._pack("i", self.numbers[id(flat)])
        self._elements(flat)

    def _elements(self, flat):
        self._class(f"torch.{_KINDS[flat.dtype.name]}Storage")
        self._pack("q", flat.size)
        self.parts.append(b" ".join(repr(n).encode() for n in flat.tolist()) + b"\n" if self.ascii else flat.tobytes())

    def bytes(self):
        return b"".join(self.parts)


def save(path, net, ascii=False):
    path.write_bytes(Writer(ascii).write(net).bytes())
    return path

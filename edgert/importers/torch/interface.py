"""Inputs and outputs of a PyTorch model: shapes settled, names and layout kept as the source has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgert.dtypes import DType
from edgert.errors import ModelError, Unsupported, UnsupportedError
from edgert.importers.interface import Named, check_names, check_none_open, given_shape
from edgert.importers.torch.builder import Builder, Lost, QuantizedConstant, Tensor
from edgert.importers.torch.types import FLOAT_FIX, SCALAR_TYPES, type_name
from edgert.ir import Value


class Output(NamedTuple):
    name: str
    content: Any  # a Tensor, a number, None or Lost


class Interface:
    """Makes the graph's inputs one by one, and remembers what input_shapes still has to say."""

    def __init__(self, builder: Builder, input_shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.builder = builder
        self.given = dict(input_shapes)
        self.seen: list[str] = []
        self.open: dict[str, Named] = {}

    def input(self, name: str, stated: Sequence[int | str] | None, code: int) -> Value | None:
        """The input of a name; None while its shape is open. stated: sizes, and names of dynamic dimensions."""
        self.seen.append(name)
        given = self.given.get(name)
        notes = self.builder.graph.notes
        dtype = _input_dtype(name, code, notes)
        if given is not None:
            shape = given_shape(name, given, stated)
        elif stated is None or any(isinstance(size, str) for size in stated[1:]):
            self.open[name] = stated
            return None
        else:
            if stated and isinstance(stated[0], str):
                notes.append(f"Input {name!r}: the first dimension is dynamic ({stated[0]}), 1 is assumed.")
            shape = tuple(1 if isinstance(size, str) else int(size) for size in stated)
        if any(size < 1 for size in shape):
            raise ModelError(f"input {name!r} has the shape {list(shape)}")
        return self.builder.input(name, shape, dtype)

    def check(self) -> None:
        """InputError for shapes left open, and for names in input_shapes that are no inputs."""
        check_names(self.given, self.seen)
        check_none_open(self.open)

    def add_outputs(self, outputs: Sequence[Output], lost: Sequence[Lost] = ()) -> None:
        """Makes the graph's outputs; UnsupportedError with all that they, and the state (lost), hang on."""
        contents = [item.content.read() if isinstance(item.content, Tensor) else item.content for item in outputs]
        reasons = [reason for item in (*contents, *lost) if isinstance(item, Lost) for reason in item.reasons]
        if reasons:
            raise UnsupportedError(tuple(dict.fromkeys(reasons)))
        builder = self.builder
        for output, content in zip(outputs, contents, strict=True):
            if content is None:
                continue
            builder.begin(output.name, "output")
            if isinstance(content, QuantizedConstant):
                content = builder.dequantized(content)
            elif isinstance(content, bool | int | float):
                content = builder.number(content)
            if not isinstance(content, Value):
                raise ModelError(f"output {output.name!r} is {type(content).__name__}, needed a tensor")
            name = builder.unique(output.name) if any(item.name == output.name for item in builder.graph.inputs) else (
                output.name
            )  # fmt: skip
            builder.output(name, content)
        if not builder.graph.outputs:
            raise ModelError("the model returns no tensors")


def _input_dtype(name: str, code: int, notes: list[str]) -> DType:
    source, dtype = SCALAR_TYPES.get(code, (type_name(code), None))
    if source == "float64":
        reason = "its type is float64, and edgert computes in float32"
        raise UnsupportedError([Unsupported(name, "input", reason, f"{FLOAT_FIX}, and give float32 examples")])
    if dtype is None:
        fix = "use float32, int8, uint8, int32, int64 or bool"
        raise UnsupportedError([Unsupported(name, "input", f"its type is {source}", fix)])
    if source in ("float16", "bfloat16"):
        notes.append(f"Input {name!r}: {source} in the source, float32 here.")
    return dtype


def output_names(module: Mapping[str, Any]) -> list[str]:
    """Names of a program's outputs, from how it nests them: keys of dictionaries, fields of named tuples, else
    "output", "output_0" ..."""
    try:
        root = next(entry for entry in module["module_call_graph"] if entry["fqn"] == "")
        tree = json.loads(root["signature"]["out_spec"])[1]
    except (KeyError, LookupError, TypeError, ValueError, StopIteration, RecursionError):
        return []
    fields = module.get("treespec_namedtuple_fields") or {}
    paths = _paths(tree, fields, 0)
    return ["_".join(path) if path and not path[0].isdigit() else "_".join(("output", *path)) for path in paths]


def _paths(tree: Any, fields: Mapping[str, Any], depth: int) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict) or depth > 32:
        return [()]
    children = tree.get("children_spec") or []
    if tree.get("type") is None:
        return [()]
    keys: Any = None
    kind, context = str(tree["type"]), tree.get("context")
    if kind == "collections.namedtuple":
        entry = fields.get(json.loads(context) if isinstance(context, str) else "") or {}
        keys = entry.get("field_names")
    elif isinstance(context, str):
        keys = json.loads(context)
        while isinstance(keys, list) and len(keys) == 2 and isinstance(keys[1], list) and len(keys) != len(children):
            keys = keys[1]
    if not isinstance(keys, list) or len(keys) != len(children):
        keys = [str(place) for place in range(len(children))]
    if len(children) == 1 and not isinstance(keys[0], str):
        keys = ["0"]
    return [
        (str(key), *path)
        for key, child in zip(keys, children, strict=True)
        for path in _paths(child, fields, depth + 1)
    ]

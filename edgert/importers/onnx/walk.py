"""The walk over an ONNX graph's nodes: each is folded, taken apart (control flow, functions) or converted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from edgert.custom import custom_op_of_source
from edgert.dtypes import DType
from edgert.errors import ModelError, UnsupportedError
from edgert.importers.builder import Refusals
from edgert.importers.onnx import functions, quant
from edgert.importers.onnx.builder import Array, Builder, Handler, QuantizedConstant, RefusedError, SourceNode
from edgert.importers.onnx.constants import ONLY_FOLDED, Folder, computed
from edgert.importers.onnx.control import CONTROL
from edgert.importers.onnx.integers import widened
from edgert.ir import Names, Value
from edgert.ops import OPS_BY_NAME, QuantRule

# What to do about operators that have no handler; any other gets the general advice.
ADVICE = {
    "NonZero": "its output's shape depends on the data: cut the model before it",
    "Unique": "its output's shape depends on the data: cut the model before it",
    "RandomNormal": "make the random numbers an input of the model",
    "RandomUniform": "make the random numbers an input of the model",
    "RandomNormalLike": "make the random numbers an input of the model",
    "RandomUniformLike": "make the random numbers an input of the model",
    "Multinomial": "make the random numbers an input of the model",
}
GENERAL_ADVICE = "cut the model before it, or replace it by supported operators before export"

MOST_ROUNDS = 4096  # of loops, all together: each becomes nodes of its own
MOST_NODES = 1 << 14  # that functions and rounds may become, beside as many as the file has
DEEPEST = 24  # functions and subgraphs within each other

# Operators whose meaning does not change when uint8 numbers are shifted to int8 (Cast and Pad see to it themselves).
MOVES_ONLY = {
    "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Concat", "Slice", "Split", "Gather", "Identity",
    "Dropout", "MaxPool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth", "Expand", "Tile", "Cast", "GatherND",
    "GatherElements", "Pad", "Resize", "Upsample", "ArgMax", "ArgMin", "TopK", "ReverseSequence",
}  # fmt: skip
KNOWS_INT8 = MOVES_ONLY | quant.HANDLERS.keys()


# What handlers meet when attributes and inputs are none that the operator can have.
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, StopIteration, TypeError, ValueError,
)  # fmt: skip
# Operators of the IR that have no meaning for int8 numbers without a scale.
EIGHT_BITS = RefusedError("it computes on 8-bit numbers as they are", "dequantise before it (DequantizeLinear)")
NEEDS_SCALE = (QuantRule.WEIGHTED, QuantRule.FREE, QuantRule.TABLE, QuantRule.FIXED)


class LocatedError(ModelError):
    """An error whose text names the node already."""


class Walk:
    """One conversion: the builder, the model's functions, and what could not be converted so far."""

    def __init__(
        self,
        builder: Builder,
        handlers: Mapping[str, Handler],
        opsets: Mapping[str, int],
        own_functions: Mapping[tuple[str, str], Any],
        taken: set[str],
    ) -> None:
        """taken: names of the graph's own values; those of subgraphs must not meet them."""
        self.builder = builder
        self.handlers = handlers
        self.opsets = opsets
        self.functions = own_functions
        self.refusals = Refusals()
        self._names = Names(taken)
        self._folder = Folder()
        self._depth = self._rounds = self._walked = 0

    # For control flow and functions

    @contextmanager
    def inside(self, opsets: Mapping[str, int]) -> Iterator[None]:
        """A function or a subgraph, and the operator sets that hold there."""
        if self._depth >= DEEPEST:
            raise ModelError(f"functions or branches stand in each other more than {DEEPEST} deep, or without end")
        before, self.opsets, self._depth = self.opsets, opsets, self._depth + 1
        try:
            yield
        finally:
            self.opsets, self._depth = before, self._depth - 1

    def spend(self, node: SourceNode) -> None:
        """Counts a round of a loop."""
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise RefusedError(f"it takes more than {MOST_ROUNDS} rounds to unroll", "cut the model before it")

    def unique(self, name: str) -> str:
        """The name itself, or one like it that no value has."""
        return self._names.unique(name)

    def new_constant(self, name: str, array: Array) -> str:
        name = self.unique(name)
        self.builder.constants[name] = array
        return name

    def new_value(self, name: str, value: Value) -> str:
        name = self.unique(name)
        self.book(name, value)
        return name

    def book(self, name: str, value: Value) -> None:
        self.builder.values[name] = value

    def alias(self, name: str, other: str) -> None:
        """Makes a name stand for what another one stands for."""
        if not name:
            return
        b = self.builder
        if self.refusals.depends([other]):
            self.refusals.lose([name])
        elif other in b.absent:
            b.absent.add(name)
        elif other in b.constants:
            b.constants[name] = b.constants[other]
        elif other in b.quantized:
            b.quantized[name] = b.quantized[other]
        elif other in b.sequences:
            b.sequences[name] = b.sequences[other]
        elif other in b.values:
            b.values[name] = b.values[other]
        else:
            raise ModelError(f"its result {other!r} is written by nothing")

    # The nodes

    def nodes(self, protos: Iterable[Any]) -> None:
        """Converts node by node; ModelError for what is wrong in itself."""
        for proto in protos:
            self._walked += self._depth > 0
            if self._walked > MOST_NODES:
                raise ModelError(f"the model takes more than {MOST_NODES} nodes when it is unrolled")
            node = source_node(proto, self.opsets)
            try:
                self._node(node, proto)
            except RefusedError as refusal:
                self.refusals.add(node.name, node.op, refusal.reason, refusal.fix, node.outputs)
            except UnsupportedError:
                raise
            except (ModelError, *DAMAGED) as error:
                # Anything but a ModelError comes of attributes and inputs that the operator cannot have.
                if isinstance(error, LocatedError):
                    raise
                if not self.refusals.items:  # else what came before may be the reason
                    text = error if isinstance(error, ModelError) else f"its attributes or inputs are damaged ({error})"
                    raise LocatedError(f"{node.op} {node.name!r}: {text}") from error
                self.refusals.lose(node.outputs)

    def _node(self, node: SourceNode, proto: Any) -> None:
        b = self.builder
        handler = from_outside(node.op) or self.handlers.get(node.op)
        control = CONTROL.get(node.op)
        if self.refusals.depends(node.inputs):
            known = handler is not None or control is not None or node.op in ONLY_FOLDED
            if not known and functions.function_body(self, node, proto) is None:
                raise no_handler(node)
            self.refusals.lose(node.outputs)
            return
        missing = [name for name in node.inputs if name and not b.known(name)]
        if missing:
            raise ModelError(f"it reads {missing[0]!r}, which nothing before it writes")
        if node.op == "Identity" and node.inputs[0] in (b.sequences.keys() | b.absent):
            self.alias(node.outputs[0], node.inputs[0])
            return
        if control is not None:
            b.current = node
            control(self, node)
            return
        if self._folder.fold(b, node, proto, self.opsets):
            return
        if handler is None:
            self._expand(node, proto, no_handler(node))
            return
        try:
            convert(b, node, handler)
        except RefusedError as refusal:
            self._expand(node, proto, refusal)

    def _expand(self, node: SourceNode, proto: Any, refusal: RefusedError) -> None:
        """Converts a node by its function body; when that cannot be done either, the node is what is refused."""
        body = functions.function_body(self, node, proto)
        if body is None:
            raise refusal
        own = (proto.domain or "ai.onnx", proto.op_type) in self.functions
        refused = self.refusals.items
        before = len(refused)
        functions.expand(self, node, proto, body)
        inner = refused[before:]
        if inner and not own:
            del refused[before:]
            if node.op in self.handlers:
                raise refusal
            raise RefusedError(f"the {inner[0].operator} in it: {inner[0].reason}", inner[0].fix)


def source_node(proto: Any, opsets: Mapping[str, int]) -> SourceNode:
    from onnx import helper

    domain = proto.domain or "ai.onnx"
    op = proto.op_type if domain == "ai.onnx" else f"{domain}.{proto.op_type}"
    outputs = tuple(proto.output)
    name = proto.name or next((output for output in outputs if output), op)
    attrs = {item.name: helper.get_attribute_value(item) for item in proto.attribute}
    return SourceNode(name, op, opsets.get(domain, 1), tuple(proto.input), outputs, attrs)


def from_outside(kind: str) -> Handler | None:
    """The handler of an operator that the program has brought (edgert.custom)."""
    op = custom_op_of_source(kind)
    if op is None:
        return None
    return lambda b, node: b.custom(op, [b.value(node, index) for index in range(len(node.inputs))], node.attrs)


def no_handler(node: SourceNode) -> RefusedError:
    kind = node.op.rpartition(".")[2]
    return RefusedError("there is no such operator in edgert", ADVICE.get(kind, GENERAL_ADVICE))


def convert(builder: Builder, node: SourceNode, handler: Handler) -> None:
    """Runs a handler and books what it returns under the node's output names."""
    builder.current = node
    numbers = [value for value in map(builder.values.get, node.inputs) if value is not None]
    reads_unsigned = any(value in builder.unsigned for value in numbers)
    quantized = any(value.dtype in (DType.INT8, DType.UINT8) and value.quant is not None for value in numbers)
    if (quantized or reads_unsigned) and node.op not in KNOWS_INT8:
        raise EIGHT_BITS
    _check_axis(builder, node)
    made_from = len(builder.graph.nodes)
    result = widened(builder, node, handler)
    for made in builder.graph.nodes[made_from:]:
        plain = any(value is not None and value.dtype == DType.INT8 and value.quant is None for value in made.inputs)
        if plain and OPS_BY_NAME[made.op].quant in NEEDS_SCALE and made.op != "quantize":
            raise EIGHT_BITS
    if isinstance(result, Value) and _settled(builder, node, result, made_from):
        return
    results: Iterable[Value | QuantizedConstant]
    results = [result] if isinstance(result, Value | QuantizedConstant) else result
    fresh = {value for made in builder.graph.nodes[made_from:] for value in made.outputs}
    named: set[Value] = set()
    for name, value in zip(node.outputs, results, strict=False):
        if not name:
            continue
        if isinstance(value, QuantizedConstant):
            builder.quantized[name] = value
            continue
        if value.constant and value.data is not None and value not in fresh and value.quant is None:
            builder.constants[name] = value.data
            continue
        if value in fresh and value not in named:
            value.name = name
            named.add(value)
        if reads_unsigned and node.op in MOVES_ONLY - {"Cast"} and value.dtype == DType.INT8:
            builder.unsigned.add(value)
        builder.values[name] = value


def _check_axis(builder: Builder, node: SourceNode) -> None:
    """ModelError for an axis that the first input cannot have, nor an output with one dimension more."""
    axis = node.attrs.get("axis")
    if not isinstance(axis, int) or "." in node.op or not node.has(0):
        return
    rank = len(builder.value(node, 0).shape) if node.inputs[0] in builder.values else None
    if rank and not -rank - 1 <= axis <= rank:
        raise ModelError(f"axis is {axis}, needed one of {-rank} to {rank - 1}")


def _settled(builder: Builder, node: SourceNode, result: Value, made_from: int) -> bool:
    """Books the result of a quantised operator that read only constants as one, and drops its nodes: quantisers make
    such operators of shape arithmetic, whose numbers the import needs to know."""
    if node.op not in quant.HANDLERS or result.dtype != DType.INT8:
        return False
    if any(name in builder.values for name in node.inputs):
        return False
    array = computed(builder.graph.nodes[made_from:], result)
    if array is None:
        return False
    unsigned = result in builder.unsigned
    builder.constants[node.outputs[0]] = (array.astype("int16") + 128).astype("uint8") if unsigned else array
    del builder.graph.nodes[made_from:]
    return True

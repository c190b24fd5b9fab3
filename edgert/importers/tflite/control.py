"""Graphs that call graphs: CALL, IF, WHILE and composites, all laid out in line.

A WHILE becomes its body as often as it runs; what decides that must be constant. An IF with a constant condition
becomes one branch; otherwise both are computed, and a select takes the one.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgert.dtypes import DType
from edgert.errors import ModelError, Unsupported
from edgert.importers.tflite.builder import Builder, Handler, RefusedError
from edgert.importers.tflite.read import SourceGraph, SourceOp
from edgert.ir import Value

# Bounds of what a small file may unfold into: graphs within graphs, and operators laid out in all.
MOST_DEPTH, MOST_OPERATORS = 24, 12_000
WRITES = ("ASSIGN_VARIABLE", "CALL_ONCE")


class NestedError(Exception):
    """Operators of a graph that another one calls cannot be converted."""

    def __init__(self, items: Sequence[Unsupported]) -> None:
        super().__init__(f"{len(items)} operators")
        self.items = list(items)


def inline(b: Builder, op: SourceOp, number: int, arguments: Sequence[int | Value]) -> list[Value]:
    """The outputs of graph `number` for these arguments: values, or tensors of the graph at hand."""
    if not 0 <= number < len(b.graphs):
        raise ModelError(f"it calls graph {number} of {len(b.graphs)}")
    graph = b.graphs[number]
    if len(arguments) != len(graph.inputs):
        raise ModelError(f"it gives {len(arguments)} values to a graph of {len(graph.inputs)} inputs")
    if any(graph is scope.source for scope in b.scopes) or graph is b.source:
        raise RefusedError(f"graph {graph.name!r} calls itself", "export the model without recursion")
    b.laid_out += 1 + max(len(graph.ops), len(graph.tensors) // 16)
    if len(b.scopes) >= MOST_DEPTH or b.laid_out > MOST_OPERATORS:
        raise RefusedError(
            f"it unfolds to more than {MOST_OPERATORS} operators, or deeper than {MOST_DEPTH} graphs",
            "export it with fewer steps, or as one recurrent layer instead of a loop",
        )
    b.enter(graph, arguments)
    try:
        unsupported = b.convert(b, graph)
        if unsupported:
            raise NestedError(unsupported)
        outputs = [_result(b, output) for output in graph.outputs]
    finally:
        b.leave()
    b.begin(op)
    return outputs


def _result(b: Builder, number: int) -> Value:
    """What stands behind a tensor: a value, or the variable that a handle names."""
    return b.variables[number] if number in b.variables else b.value_of(number)


def call(b: Builder, op: SourceOp) -> list[Value]:
    return _named(b, inline(b, op, op.options("CallOptions").Subgraph(), op.inputs))


def composite(b: Builder, op: SourceOp) -> list[Value]:
    """An operator of somebody's own, with what it stands for."""
    number = op.options("StableHLOCompositeOptions").DecompositionSubgraphIndex()
    return _named(b, inline(b, op, number, op.inputs))


def _named(b: Builder, values: Sequence[Value]) -> list[Value]:
    """Lets results take the names of the tensors that they become."""
    b.rename(values)
    return list(values)


def if_(b: Builder, op: SourceOp) -> list[Value]:
    options, condition = op.options("IfOptions"), b.value(op, 0)
    numbers = (options.ThenSubgraphIndex(), options.ElseSubgraphIndex())
    if condition.data is not None and not condition.variable:
        if condition.data.size != 1:
            raise ModelError(f"its condition has {condition.data.size} elements, needed 1")
        taken = numbers[0] if bool(condition.data.reshape(-1)[0]) else numbers[1]
        return _named(b, inline(b, op, taken, op.inputs[1:]))
    if any(_writes(b, number) for number in numbers):
        raise RefusedError("it changes variables when data say so", "compute both values and select one of them")
    then, otherwise = (inline(b, op, number, op.inputs[1:]) for number in numbers)
    if condition.dtype != DType.BOOL or len(then) != len(otherwise):
        raise ModelError(f"its branches give {len(then)} and {len(otherwise)} values")
    return [_either(b, condition, yes, no) for yes, no in zip(then, otherwise, strict=True)]


def _either(b: Builder, condition: Value, yes: Value, no: Value) -> Value:
    if yes.shape != no.shape or yes.dtype != no.dtype:
        raise RefusedError(
            f"its branches give {list(yes.shape)} and {list(no.shape)}", "export the model with results of one shape"
        )
    if yes is no:
        return yes
    if no.quant is not None and yes.quant is not None:
        no = b.quantized(no, yes.quant)
    return b.emit("select", [b.reshape(condition, ()), yes, no], {}, yes.quant)


def _writes(b: Builder, number: int) -> bool:
    if not 0 <= number < len(b.graphs):
        raise ModelError(f"it calls graph {number} of {len(b.graphs)}")
    return any(inner.kind in WRITES for inner in b.graphs[number].ops)


def _while(options_name: str) -> Handler:
    def handler(b: Builder, op: SourceOp) -> list[Value]:
        options = op.options(options_name)
        condition, body = options.CondSubgraphIndex(), options.BodySubgraphIndex()
        state: list[int | Value] = list(op.inputs)
        while True:
            (again,) = inline(b, op, condition, state)
            if again.data is None or again.variable or again.data.size != 1:
                raise RefusedError(
                    "how often it runs depends on the data", "export the loop with a fixed number of steps"
                )
            if not bool(again.data.reshape(-1)[0]):
                return _named(b, [_result(b, item) if isinstance(item, int) else item for item in state])
            state = [_same(b, value, old) for value, old in zip(inline(b, op, body, state), state, strict=True)]

    return handler


def _same(b: Builder, value: Value, old: int | Value) -> Value:
    """What the next round starts from, at the scale that this one started from."""
    first = b.value_of(old) if isinstance(old, int) and old in b.values else old
    if isinstance(first, Value) and first.quant is not None and value.quant is not None and first.dtype == value.dtype:
        return b.quantized(value, first.quant)
    return value


def reachable(graphs: Sequence[SourceGraph], first: SourceGraph) -> list[SourceGraph]:
    """The graphs that run when `first` runs, itself included; those of CALL_ONCE are none of them."""
    found, todo = [first], [first]
    numbers = {
        "CALL": ("CallOptions", ("Subgraph",)),
        "IF": ("IfOptions", ("ThenSubgraphIndex", "ElseSubgraphIndex")),
        "WHILE": ("WhileOptions", ("CondSubgraphIndex", "BodySubgraphIndex")),
        "STABLEHLO_WHILE": ("StablehloWhileOptions", ("CondSubgraphIndex", "BodySubgraphIndex")),
        "STABLEHLO_COMPOSITE": ("StableHLOCompositeOptions", ("DecompositionSubgraphIndex",)),
    }
    while todo:
        for op in todo.pop().ops:
            table, fields = numbers.get(op.kind, ("", ()))
            for field in fields:
                number = getattr(op.options(table), field)()
                if 0 <= number < len(graphs) and not any(graphs[number] is graph for graph in found):
                    found.append(graphs[number])
                    todo.append(graphs[number])
    return found


HANDLERS: dict[str, Handler] = {
    "CALL": call,
    "IF": if_,
    "WHILE": _while("WhileOptions"),
    "STABLEHLO_WHILE": _while("StablehloWhileOptions"),
    "STABLEHLO_COMPOSITE": composite,
}

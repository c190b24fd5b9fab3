"""The walk over a graph's nodes: only those that the wanted tensors need, inputs first.

Functions are walked into where they are called; If, Case, While and the loops of TensorFlow 1 (Enter ... Exit) are
followed where their conditions are known, so that loops unroll. An If whose condition depends on the data computes both
branches and selects. Control inputs are passed over: nothing here has side effects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edgert.dtypes import DType
from edgert.errors import InvokeError, ModelError
from edgert.importers.builder import Refusals, RefusedError
from edgert.importers.tensorflow.builder import (
    CUT,
    DEAD,
    LOST,
    Bound,
    Builder,
    Complex,
    Handler,
    Mark,
    Opaque,
    Outputs,
    SourceNode,
)
from edgert.importers.tensorflow.names import inner_prefix, output_offset
from edgert.importers.tensorflow.outside import from_outside
from edgert.importers.tensorflow.recurrence import recurrent_layer
from edgert.importers.tensorflow.spectral import BY_PARTS, by_parts
from edgert.ir import Value

MOST_STEPS = 20_000  # nodes that calls and loops may add to those of the file: about a second's work
MOST_DEPTH = 40  # calls within calls
CALLS = ("PartitionedCall", "StatefulPartitionedCall")
IFS = ("If", "StatelessIf")
CASES = ("Case", "StatelessCase")
WHILES = ("While", "StatelessWhile")
WRITES = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp")
RESOURCE_OPS = (*WRITES, "ReadVariableOp", "ResourceGather", *CALLS, *IFS, *WHILES)
FLOW = (*CALLS, *IFS, *CASES, *WHILES, "Merge", "Exit", "RefExit")
UNROLL = "unroll the loop before freezing (unroll=True in Keras), or give its length as a constant"


class Scope:
    """The nodes of the graph, or of a function's body, and what those computed so far gave."""

    def __init__(self, nodes: Mapping[str, Any], prefix: str, depth: int, function: bool) -> None:
        self.nodes = nodes
        self.prefix = prefix
        self.depth = depth
        self.function = function
        self.results: dict[str, Sequence[Bound] | Mark] = {}  # a Mark: of all outputs

    def inner(self) -> Scope:
        """The same nodes, none computed: a round of a loop of TensorFlow 1."""
        return Scope(self.nodes, self.prefix, self.depth + 1, self.function)


class Walk:
    """One conversion. Refused operators are collected in `refusals`; what hangs on them is passed over."""

    def __init__(
        self, builder: Builder, handlers: Mapping[str, Handler], advice: Mapping[str, str], functions: Mapping[str, Any]
    ) -> None:
        self.builder = builder
        self.refusals = Refusals()
        self._handlers = handlers
        self._advice = advice
        self._functions = functions
        self._steps = MOST_STEPS
        self._prefixes: Counter[str] = Counter()

    def evaluate(self, scope: Scope, wanted: Sequence[str]) -> list[Bound]:
        """What the tensors are bound to, after all nodes that they need were converted."""
        self._convert_all(scope, [tensor_parts(text)[0] for text in wanted])
        return [self._resolve(scope, text) for text in wanted]

    def _convert_all(self, scope: Scope, names: Sequence[str]) -> None:
        """Converts nodes and all that they need."""
        for name in self._order(scope, names):
            scope.results[name] = self._convert(scope, scope.nodes[name])

    def _order(self, scope: Scope, wanted: Sequence[str]) -> Iterator[str]:
        """Names of nodes to convert, each after its inputs; ModelError for a circle or a name that is missing."""
        open_nodes: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = []

        def enter(name: str, reader: str) -> None:
            if name in scope.results:
                return
            if name in open_nodes:
                raise ModelError(f"node {name!r} depends on itself")
            if name not in scope.nodes:
                raise ModelError(f"{reader} reads {name!r}, which is no node of the graph")
            open_nodes.add(name)
            stack.append((name, iter(self._needs(scope, scope.nodes[name]))))

        for first in wanted:
            enter(first, "an output")
            while stack:
                name, needs = stack[-1]
                following = next(needs, None)
                if following is not None:
                    enter(following, f"node {name!r}")
                    continue
                stack.pop()
                open_nodes.discard(name)
                yield name

    def _needs(self, scope: Scope, proto: Any) -> list[str]:
        if proto.op in ("Exit", "RefExit"):  # the end of a loop needs what enters the loop
            return [tensor_parts(text)[0] for enter in Frame(scope, proto).enters for text in data_inputs(enter)]
        needs = [tensor_parts(text)[0] for text in data_inputs(proto)]
        if scope.function and proto.op in RESOURCE_OPS:  # control inputs are the order of reading and writing
            control = (text[1:] for text in proto.input if text.startswith("^"))
            needs += [name for name in control if name in scope.nodes and scope.nodes[name].op in RESOURCE_OPS]
        return needs

    def _resolve(self, scope: Scope, text: str) -> Bound:
        """What a tensor is bound to: "node", "node:1", and in functions "node:output:1"."""
        name, parts = tensor_parts(text)
        results = scope.results[name]
        if isinstance(results, Mark):
            return results
        proto = scope.nodes.get(name)
        index = int(parts[-1]) if parts and parts[-1].isdecimal() else 0
        if parts and not parts[0].isdecimal() and proto is not None:
            index += output_offset(proto.op, parts[0], self._functions)
        if index >= len(results):
            operator = proto.op if proto is not None else "input"
            raise ModelError(f"output {index} of {operator} {name!r} is read, of which edgert makes {len(results)}")
        return results[index]

    def _convert(self, scope: Scope, proto: Any) -> Sequence[Bound] | Mark:
        self._steps -= 1
        if self._steps < -len(scope.nodes):
            raise ModelError(f"its functions and loops unroll to more than {MOST_STEPS} operators")
        name, op = scope.prefix + proto.name, proto.op
        try:
            if op in ("Exit", "RefExit"):
                return self._exit(scope, proto)
            inputs = [self._resolve(scope, text) for text in data_inputs(proto)]
            node = SourceNode(name, op, proto.attr, inputs)
            handler = from_outside(op) or self._handlers.get(op)
            if handler is None and op not in FLOW and op not in self._functions:
                raise RefusedError("there is no such operator in edgert", self._advice.get(op, CUT))
            if op == "Merge":
                return self._merge(node)
            if any(item is LOST for item in inputs):
                return LOST
            if any(item is DEAD for item in inputs):
                return DEAD
            if handler is not None:
                return self._handle(node, handler)
            return self._flow(scope, proto, node)
        except RefusedError as refusal:
            self.refusals.add(name, op, refusal.reason, refusal.fix, ())
        except ModelError as error:
            if not self.refusals.items:  # else what was refused may be the reason
                raise error if str(error).startswith("in ") else ModelError(f"in {op} {name!r}: {error}") from error
        except (ArithmeticError, AttributeError, InvokeError, LookupError, TypeError, ValueError) as error:
            if not self.refusals.items:
                raise ModelError(f"in {op} {name!r}: its attributes or inputs are damaged ({error})") from error
        return LOST

    def _handle(self, node: SourceNode, handler: Handler) -> list[Bound]:
        """Runs a handler and names what it made."""
        builder = self.builder
        builder.begin(node.name, node.op)
        made_from = len(builder.graph.nodes)
        if node.op in BY_PARTS and any(isinstance(item, Complex) for item in node.inputs):
            made: Outputs = by_parts(builder, node, handler)
        else:
            made = handler(builder, node)
        results = list(made) if isinstance(made, Sequence) else [made]
        fresh = {value for new in builder.graph.nodes[made_from:] for value in new.outputs}
        for index, result in enumerate(results):
            if isinstance(result, Value) and result in fresh:
                fresh.discard(result)
                builder.bear(result, f"{node.name}:{index}" if index else node.name)
        return results

    # Calls and branches

    def _flow(self, scope: Scope, proto: Any, node: SourceNode) -> Sequence[Bound] | Mark:
        op = node.op
        if op in CALLS:
            return self._call(scope, node, node.attr("f").func.name, node.inputs)
        if op in IFS:
            return self._choose(scope, node, [node.attr(name).func.name for name in ("else_branch", "then_branch")])
        if op in CASES:
            return self._choose(scope, node, [branch.name for branch in node.attr("branches").list.func])
        if op in WHILES:
            return self._loop(scope, node)
        return self._call(scope, node, op, node.inputs)

    def _call(
        self, scope: Scope, node: SourceNode, function: str, arguments: Sequence[Bound], part: str = ""
    ) -> list[Bound]:
        """The results of a function of the library."""
        definition = self._functions.get(function)
        if definition is None:
            raise ModelError(f"there is no function {function!r}")
        if scope.depth >= MOST_DEPTH:
            raise ModelError(f"functions call each other {MOST_DEPTH} deep")
        names = [argument.name for argument in definition.signature.input_arg]
        if len(names) != len(arguments):
            raise ModelError(f"the function {function!r} takes {len(names)} arguments and is given {len(arguments)}")
        prefix = self._unused(inner_prefix(scope.prefix, node.name[len(scope.prefix) :], part))
        body = Scope({inner.name: inner for inner in definition.node_def}, prefix, scope.depth + 1, True)
        for name, argument in zip(names, arguments, strict=True):
            body.results[name] = (argument,)
        returned = [output.name for output in definition.signature.output_arg]
        missing = [name for name in returned if name not in definition.ret]
        if missing:
            raise ModelError(f"the function {function!r} does not say what {missing[0]!r} is")
        results = self.evaluate(body, [definition.ret[name] for name in returned])
        self._convert_all(body, [inner.name for inner in definition.node_def if inner.op in WRITES])
        return results

    def _unused(self, prefix: str) -> str:
        """The prefix, with a number where another call's nodes have it already."""
        self._prefixes[prefix] += 1
        count = self._prefixes[prefix] - 1
        return f"{prefix.rstrip('/')}_{count}/" if count and prefix else prefix

    def _choose(self, scope: Scope, node: SourceNode, branches: Sequence[str]) -> list[Bound]:
        """The branch that a constant condition picks; both, and a select, when it depends on the data."""
        builder = self.builder
        condition = builder.constant(node, 0)
        if condition is not None:
            chosen = int(condition.reshape(-1)[0]) if condition.size == 1 else int(condition.size > 0)
            if condition.dtype != bool and len(branches) == 2 and node.op in IFS:
                chosen = int(bool(chosen))
            if not 0 <= chosen < len(branches):  # the last branch is the default one
                chosen = len(branches) - 1
            return self._call(scope, node, branches[chosen], node.inputs[1:])
        flag = builder.value(node, 0)
        if node.op not in IFS or flag.dtype != DType.BOOL or flag.shape not in ((), (1,)):
            raise RefusedError("its condition depends on the data", "freeze the graph with a fixed path")
        written = dict(builder.state)
        no, yes = (self._call(scope, node, branch, node.inputs[1:], part) for branch, part in
                   zip(branches, ("else", "then"), strict=True))  # fmt: skip
        if builder.state != written:
            raise RefusedError("it writes a variable in a branch that depends on the data", "select the value instead")
        builder.begin(node.name, node.op)
        return [self._select(flag, a, b) for a, b in zip(yes, no, strict=True)]

    def _select(self, flag: Value, yes: Bound, no: Bound) -> Bound:
        if LOST in (yes, no):
            return LOST
        a, b = self.builder.as_value(yes), self.builder.as_value(no)
        if a.shape != b.shape:
            raise RefusedError("its branches give different shapes, and its condition depends on the data", CUT)
        return self.builder.emit("select", [self.builder.reshape(flag, ()), a, b])

    def _loop(self, scope: Scope, node: SourceNode) -> list[Bound]:
        state: Sequence[Bound] = node.inputs
        condition, body = node.attr("cond").func.name, node.attr("body").func.name

        def turn(builder: Builder, before: Sequence[Bound]) -> Sequence[Bound]:
            return self._trial(builder)._call(scope, node, body, before)

        def going_on(builder: Builder, before: Sequence[Bound]) -> bool:
            return self._known(self._trial(builder)._call(scope, node, condition, before)[0])

        self.builder.begin(node.name, node.op)
        layer = recurrent_layer(self.builder, state, turn, going_on)
        if layer is not None:
            return layer
        for count in range(MOST_STEPS):
            (going,) = self._call(scope, node, condition, state, f"{count}/cond")
            if going is LOST:
                return [LOST] * len(state)
            if not self._known(going):
                return list(state)
            state = self._call(scope, node, body, state, str(count))
        raise ModelError(f"it runs more than {MOST_STEPS} times")

    def _known(self, condition: Bound) -> bool:
        if isinstance(condition, Value) and condition.constant and condition.data is not None:
            return bool(condition.data.reshape(-1)[0]) if condition.data.size == 1 else condition.data.size > 0
        raise RefusedError("how often it runs depends on the data", UNROLL)

    def _trial(self, builder: Builder) -> Walk:
        """A walk of its own into another graph, to see what a round of a loop does."""
        trial = Walk(builder, self._handlers, self._advice, self._functions)
        trial._steps = self._steps
        return trial

    # TensorFlow 1: branches that join, loops of Enter, Merge, Switch, NextIteration and Exit

    def _merge(self, node: SourceNode) -> Sequence[Bound] | Mark:
        """The branch that is taken: the first input that is not dead."""
        for index, item in enumerate(node.inputs):
            if item is not DEAD:
                return item if isinstance(item, Mark) else [item, self.builder.number(index, DType.INT32)]
        return DEAD

    def _exit(self, scope: Scope, proto: Any) -> Sequence[Bound] | Mark:
        """Runs the whole loop that this node ends, and books the results of all its ends."""
        frame = Frame(scope, proto)
        entered = {enter.name: self._resolve(scope, next(data_inputs(enter))) for enter in frame.enters}
        if any(isinstance(item, Mark) for item in entered.values()):
            return LOST if LOST in entered.values() else DEAD
        merges = [merge.name for merge, _, _ in frame.carried]
        sources = [source for _, _, source in frame.carried]
        state: Sequence[Bound] = [entered[enter] for _, enter, _ in frame.carried]
        fixed = [name for name in entered if name not in {enter for _, enter, _ in frame.carried}]

        def turn(builder: Builder, before: Sequence[Bound]) -> Sequence[Bound]:
            held = dict(zip(fixed, before[len(merges) :], strict=True))
            trial = self._trial(builder)
            return [*trial.evaluate(frame.turn(scope, 0, {**entered, **held}, before), sources), *held.values()]

        def going_on(builder: Builder, before: Sequence[Bound]) -> bool:
            inner = frame.turn(scope, 0, entered, before)
            return self._known(self._trial(builder).evaluate(inner, [frame.condition])[0])

        self.builder.begin(scope.prefix + proto.name, proto.op)
        layer = recurrent_layer(self.builder, [*state, *(entered[name] for name in fixed)], turn, going_on)
        for count in range(MOST_STEPS if layer is None else 0):
            inner = frame.turn(scope, count, entered, state)
            (going,) = self.evaluate(inner, [frame.condition])
            if going is LOST:
                return LOST
            if not self._known(going):
                break
            state = self.evaluate(inner, sources)
            if LOST in state:
                return LOST
        final = dict(zip(merges, state if layer is None else layer, strict=False))
        ends = {name: final[merge] for name, merge in frame.exits.items()}
        scope.results.update({name: (item,) for name, item in ends.items()})
        return (ends[proto.name],)


class Frame:
    """A loop of TensorFlow 1, found from one of its ends.

    enters: its Enter nodes. carried: of every loop variable the Merge, the name of its Enter, and the tensor that it
    takes over into the next round. exits: Exit -> Merge, by name. condition: the tensor that LoopCond passes on.
    """

    def __init__(self, scope: Scope, end: Any) -> None:
        nodes = scope.nodes
        merge = self._merge_of(nodes, end)
        first = next((name for name in map(first_part, data_inputs(merge)) if self._is(nodes, name, "Enter")), None)
        if first is None:
            raise ModelError(f"the loop that {end.name!r} ends has no beginning")
        self.name = bytes(nodes[first].attr["frame_name"].s).decode(errors="replace")
        self.enters = [node for node in nodes.values() if self._enters(node)]
        entered = {node.name for node in self.enters}
        self.carried: list[tuple[Any, str, str]] = []
        for node in nodes.values():
            sources = [first_part(text) for text in data_inputs(node)] if node.op in ("Merge", "RefMerge") else []
            mine = next((name for name in sources if name in entered), None)
            turn = next((name for name in sources if self._is(nodes, name, "NextIteration")), None)
            if mine is not None and turn is not None:
                self.carried.append((node, mine, next(data_inputs(nodes[turn]))))
        merges = {node.name for node, _, _ in self.carried}
        self.exits: dict[str, str] = {}
        conditions = set()
        for node in nodes.values():
            if node.op in ("Exit", "RefExit"):
                joined = self._merge_of(nodes, node).name
                if joined in merges:
                    self.exits[node.name] = joined
                    switch = nodes[first_part(next(data_inputs(node)))]
                    conditions.add(list(data_inputs(switch))[1])
        if len(conditions) != 1 or end.name not in self.exits:
            raise ModelError(f"the loop {self.name!r} does not have one condition")
        (self.condition,) = conditions

    def turn(self, scope: Scope, count: int, entered: Mapping[str, Bound], state: Sequence[Bound]) -> Scope:
        """A round: what entered the loop, and the loop's variables (in the order of `carried`)."""
        inner = scope.inner()
        inner.prefix = f"{scope.prefix}{self.name}/{count}/"
        inner.results.update({name: (item,) for name, item in entered.items()})
        for (merge, _, _), item in zip(self.carried, state, strict=False):
            inner.results[merge.name] = (item, Opaque("which branch a loop's variable came from"))
        return inner

    def _enters(self, node: Any) -> bool:
        frame = bytes(node.attr["frame_name"].s) if node.op in ("Enter", "RefEnter") else None
        return frame is not None and frame.decode(errors="replace") == self.name

    @staticmethod
    def _is(nodes: Mapping[str, Any], name: str, op: str) -> bool:
        return name in nodes and nodes[name].op in (op, f"Ref{op}")

    def _merge_of(self, nodes: Mapping[str, Any], end: Any) -> Any:
        switch = nodes.get(first_part(next(data_inputs(end), "")))
        if switch is None or switch.op not in ("Switch", "RefSwitch"):
            raise ModelError(f"{end.name!r} ends no loop")
        merge = nodes.get(first_part(next(data_inputs(switch), "")))
        if merge is None or merge.op not in ("Merge", "RefMerge"):
            raise ModelError(f"{end.name!r} ends no loop")
        return merge


def data_inputs(proto: Any) -> Iterator[str]:
    """Names of the tensors that a node reads, without control inputs."""
    return (text for text in proto.input if not text.startswith("^"))


def tensor_parts(text: str) -> tuple[str, list[str]]:
    """A tensor's node and what follows the colons: "a:1" -> ("a", ["1"])."""
    name, *parts = text.split(":")
    return name, parts


def first_part(text: str) -> str:
    return tensor_parts(text)[0]

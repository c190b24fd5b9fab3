"""TorchScript archives -> Graph: an interpreter of TorchScript in which tensors stand for values of the graph.

Everything that is no tensor (sizes, flags, lists, attributes of modules) is computed as it stands, so that branches,
loops and calls resolve by themselves; what is left are the operators on tensors. The archive's code is never run.

Attributes that a model writes are its state. Models often set it up in their first call, so the first pass starts from
what the file holds, and further passes from what the one before left behind, until nothing changes any more but
variables.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import FileFormatError, InputError, MissingExtraError, ModelError, UnsupportedError
from edgert.errors import Unsupported as Refusal
from edgert.importers.torch.archive import Archive, first_line, to_array
from edgert.importers.torch.builder import AssumedError, Builder, Handler, Lost, RefusedError, Tensor
from edgert.importers.torch.guard import check_script
from edgert.importers.torch.interface import Interface, Output
from edgert.importers.torch.language import LANGUAGE, Raised, Unknown
from edgert.importers.torch.state import Attributes, Module
from edgert.importers.torch.steps import Block, Step, read_block
from edgert.importers.torch.types import FLOAT32, INT64, SCALAR_TYPES, code_of, plain
from edgert.importers.torch.walk import Walker, flat
from edgert.ir import Graph, Value

MOST_STEPS = 1 << 18  # operations that a model may take, loops unrolled
DEEPEST = 200  # calls inside calls
MOST_PASSES = 6


def convert_script(
    path: Path,
    handlers: Mapping[str, Handler],
    input_shapes: dict[str, tuple[int, ...]],
    constants: dict[str, Any],
    entry: str,
) -> Graph:
    """The graph of an archive; see edgert.importers.torch.load."""
    module, unit = _opened(path)
    for part in filter(None, entry.split(".")):
        if not module.hasattr(part) or not hasattr(module.getattr(part), "_get_method"):
            raise InputError(f"{path.name}: there is no submodule {entry!r} in the model")
        module = module.getattr(part)
    if not module._has_method("forward"):
        raise ModelError(f"{path.name}: {entry or 'the model'} has no method forward")
    functions = {function.qualified_name: function for function in unit.get_functions()}
    attributes = Attributes()
    types: dict[str, int] = {}
    changing: list[str] = []
    for _ in range(MOST_PASSES):
        run = _Run(path.stem, module, functions, handlers, attributes, input_shapes, constants, types)
        try:
            graph = run.convert()
        except AssumedError as assumed:
            types[assumed.name] = INT64
            continue
        if graph is not None:
            return graph
        changing = attributes.changing()
        attributes.settle()
    reason = "it takes another value, of another shape or kind, with every call"
    fix = "keep state in tensors of fixed shape"
    raise UnsupportedError([Refusal(name, "state", reason, fix) for name in changing or [path.name]])


def _opened(path: Path) -> tuple[Any, Any]:
    archive = Archive(path, path.name)  # checks sizes
    traced = any(name.endswith("/traced_inputs.pkl") for name in archive.names)
    try:
        check_script(archive)
    finally:
        archive.close()
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "reading a TorchScript archive", "torch") from None
    unit = torch._C.CompilationUnit()
    try:
        # What torch.jit.load does, with the unit at hand: functions that methods call are looked up in it.
        module = torch._C.import_ir_module(unit, str(path), torch.device("cpu"), {}, traced)
    except Exception as error:  # torch raises RuntimeError and its like
        raise FileFormatError(f"{path.name}: damaged, or no TorchScript archive ({first_line(error)})") from error
    return module, unit


class _Run:
    """One pass over the model, as one call of its forward."""

    def __init__(
        self,
        name: str,
        module: Any,
        functions: Mapping[str, Any],
        handlers: Mapping[str, Handler],
        attributes: Attributes,
        input_shapes: dict[str, tuple[int, ...]],
        constants: dict[str, Any],
        types: dict[str, int],
    ) -> None:
        self.module, self.functions, self.attributes = module, functions, attributes
        self.method = module._get_method("forward")
        self.builder = Builder(name, {argument.name for argument in self.method.schema.arguments})
        self.walker = Walker(self.builder, handlers)
        self.interface = Interface(self.builder, input_shapes)
        self.constants, self.types = constants, types
        self.steps = 0
        self.names: dict[str, list[str]] = {}
        self.read: dict[str, Block] = {}
        attributes.begin(self.builder)

    def convert(self) -> Graph | None:
        """The graph; None when the state has not come to rest yet."""
        inputs = self._inputs()
        self.interface.check()
        try:
            result = self._method(Module(self.module, ""), "forward", inputs, 0)
        except Raised as raised:
            raise ModelError(f"{self.builder.graph.name}: the model refuses these inputs: {raised}") from raised
        except RecursionError as error:
            raise FileFormatError(f"{self.builder.graph.name}: calls inside calls without end") from error
        if not self.attributes.finish():
            return None
        outputs = [Output(name, item) for name, item in _named_outputs(result)]
        finals = self.attributes.finals()
        for name, (variable, final) in finals.items():
            if isinstance(final, Value):
                self.builder.begin(name, "state")
                self.builder.assign(variable, final)
        self.interface.add_outputs(outputs, [final for _, final in finals.values() if isinstance(final, Lost)])
        self.builder.graph.notes.extend(self.attributes.notes)
        return self.builder.graph

    def _inputs(self) -> list[Any]:
        """Tensors as inputs of the graph, unless `constants` has them; all else from there or from its default."""
        values: list[Any] = []
        missing = []
        stated = list(self.method.graph.inputs())[1:]
        formal = self.method.schema.arguments[1:]
        unknown = sorted(set(self.constants) - {argument.name for argument in formal})
        if unknown:
            raise InputError(f"constants names {unknown[0]!r}, which forward does not have")
        for argument, node in zip(formal, stated, strict=True):
            kind, name = str(argument.type), argument.name
            given = self.constants.get(name)
            tensor = kind == "Tensor" or (
                kind == "Optional[Tensor]" and name in {*self.interface.given, *self.constants}
            )
            if tensor and given is not None and not isinstance(given, str):
                values.append(Tensor(self.builder.const(plain(np.asarray(given)), name)))
            elif tensor:
                if argument.has_default_value() and name not in self.interface.given:
                    values.append(self._constant(argument.default_value, name))
                    self.interface.seen.append(name)
                    continue
                shape, code = _traced(node.type())
                known = _code(name, given) if given is not None else self.types.get(name, code)
                value = self.interface.input(name, shape, FLOAT32 if known is None else known)
                if value is not None and known is None:
                    self.builder.assumed.add(value)
                values.append(None if value is None else Tensor(value))
                if name in self.types:
                    self.builder.graph.notes.append(f"Input {name!r}: int64 is assumed, for it holds indices.")
            elif name in self.constants:
                values.append(given.tolist() if isinstance(given, np.ndarray | np.generic) else given)
            elif argument.has_default_value():
                values.append(argument.default_value)
            elif kind.startswith("Optional["):
                values.append(None)
            else:
                missing.append(f"{name!r} ({kind})")
        if missing:
            raise InputError(
                f"forward takes arguments that are no tensors: {', '.join(missing)}: give their values as "
                f"constants={{{missing[0].split(' ')[0]}: ...}}, on the command line --constant NAME=VALUE"
            )
        return values

    # The language

    def _method(self, owner: Module, name: str, args: list[Any], depth: int) -> Any:
        kind = f"{owner.raw.qualified_name}.{name}"
        if kind not in self.read:
            self.read[kind] = read_block(owner.raw._get_method(name).graph)
        return self._graph(self.read[kind], [owner, *args], owner, depth)

    def _graph(self, graph: Block, args: list[Any], owner: Module, depth: int) -> Any:
        if depth > DEEPEST:
            raise FileFormatError(f"{self.builder.graph.name}: calls inside calls, {depth} deep")
        env = dict(zip(graph.inputs, args, strict=True))
        self._block(graph, env, owner, depth)
        results = [env[name] for name in graph.outputs]
        return results[0] if len(results) == 1 else tuple(results)

    def _block(self, block: Block, env: dict[str, Any], owner: Module, depth: int) -> None:
        for node in block.steps:
            self.steps += 1
            if self.steps > MOST_STEPS:
                raise ModelError(
                    f"{self.builder.graph.name}: more than {MOST_STEPS} operations with its loops unrolled"
                )
            try:
                results = self._node(node, env, owner, depth)
            except RefusedError as refusal:
                results = self._lost(owner, node.kind, refusal.reason, refusal.fix)
            if isinstance(results, Lost):
                env.update({name: Tensor(results) for name in node.outputs})
            elif len(node.outputs) == 1:
                env[node.outputs[0]] = results
            elif node.outputs:
                env.update(zip(node.outputs, results or (), strict=False))

    def _node(self, node: Step, env: dict[str, Any], owner: Module, depth: int) -> Any:
        """What the node gives: one result, or as many as it has outputs; Lost when it cannot be converted."""
        kind = node.kind
        if kind == "prim::Constant":
            return node.function or self._constant(node.literal, self.builder.graph.name)
        args = [env[name] for name in node.inputs]
        if kind == "prim::GetAttr":
            return self._attribute(args[0], node.name)
        if kind == "prim::SetAttr":
            return self.attributes.write(args[0], node.name, args[1])
        if kind == "prim::CallMethod":
            if not isinstance(args[0], Module):
                return self._lost(owner, kind, "it calls a method of what is no module", "inline the class")
            return self._method(args[0], node.name, args[1:], depth + 1)
        if kind == "prim::CallFunction":
            function = self.functions.get(args[0])
            if function is None:
                return self._lost(owner, str(args[0]), "the function is missing from the archive", "script it anew")
            if args[0] not in self.read:
                self.read[args[0]] = read_block(function.graph)
            return self._graph(self.read[args[0]], args[1:], owner, depth + 1)
        if kind == "prim::If":
            return self._branch(node, args[0], env, owner, depth)
        if kind == "prim::Loop":
            return self._loop(node, args, env, owner, depth)
        if kind == "prim::isinstance":
            return self._lost(owner, kind, "it asks for the type of a value", "script it with fixed types")
        return self._operator(node, kind, args, owner)

    def _operator(self, node: Step, kind: str, args: list[Any], owner: Module) -> Any:
        space, _, name = kind.partition("::")
        evaluate = LANGUAGE.get(name if space in ("aten", "prim") else "")
        if evaluate is not None:
            first = args[0].read() if args and isinstance(args[0], Tensor) else None
            if isinstance(first, Lost):
                return first
            try:
                return evaluate(self.builder, args)
            except Unknown:  # it is one for tensors, too
                pass
            except RefusedError as refusal:
                return self._lost(owner, kind, refusal.reason, refusal.fix)
            except Raised:
                raise
            except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
                raise ModelError(f"{kind} in {owner.path or 'forward'}: {error}") from error
        if not node.schema:
            return self._lost(owner, kind, "there is no such operator in edgert", "write it by other means")
        overload, names = self._schema(node.schema)
        arguments = dict(zip(names, args, strict=False))
        layer = f"{owner.path}/{name}" if owner.path else name
        if owner.leaf:
            layer = owner.path
        return self.walker.run(layer, f"{space}.{name}", overload, arguments)

    def _schema(self, text: str) -> tuple[str, list[str]]:
        if text not in self.names:
            import torch

            schema = torch._C.parse_schema(text)
            self.names[text] = [schema.overload_name, *(argument.name for argument in schema.arguments)]
        overload, *names = self.names[text]
        return overload, names

    def _lost(self, owner: Module, kind: str, reason: str, fix: str) -> Lost:
        return Lost((Refusal(owner.path or "forward", kind, reason, fix),))

    def _constant(self, value: Any, name: str) -> Any:
        """A Python value; tensors become constants, devices and the like nothing."""
        import torch

        if isinstance(value, torch.Tensor):
            return _tensor(self.builder, value, name)
        if isinstance(value, list):
            return [self._constant(item, name) for item in value]
        if isinstance(value, tuple):
            return tuple(self._constant(item, name) for item in value)
        if isinstance(value, torch.dtype | torch.device | torch.layout | torch.memory_format):
            return None
        return value

    def _attribute(self, owner: Any, name: str) -> Any:
        if not isinstance(owner, Module):
            raise RefusedError(f"it reads the attribute {name!r} of what is no module", "script it anew")
        if name == "training":
            return False
        known = self.attributes.read(owner, name)
        if known is not self.attributes:
            return known
        value = owner.raw.getattr(name)
        path = f"{owner.path}.{name}" if owner.path else name
        if hasattr(value, "_get_method"):
            return self.attributes.keep(owner, name, Module(value, path))
        return self.attributes.keep(owner, name, self._constant(value, path))

    # Control flow

    def _condition(self, value: Any) -> bool | None:
        held = value.read() if isinstance(value, Tensor) else value
        if isinstance(held, Value):
            return bool(held.data.reshape(-1)[0]) if held.constant and held.data is not None else None
        return bool(held) if not isinstance(held, Lost) else None

    def _branch(self, node: Step, condition: Any, env: dict[str, Any], owner: Module, depth: int) -> Any:
        taken = self._condition(condition)
        if taken is None:
            held = condition.read() if isinstance(condition, Tensor) else condition
            if isinstance(held, Lost):
                return held
            return self._lost(owner, "if", "its condition depends on the data", "use torch.where")
        block = node.blocks[0 if taken else 1]
        self._block(block, env, owner, depth)
        results = [env[name] for name in block.outputs]
        return results[0] if len(results) == 1 else results

    def _loop(self, node: Step, args: list[Any], env: dict[str, Any], owner: Module, depth: int) -> Any:
        most, condition, *carried = args
        (block,) = node.blocks
        going = self._condition(condition)
        turn = 0
        while going and turn < int(most):
            env.update(zip(block.inputs, [turn, *carried], strict=True))
            self.steps += 1
            self._block(block, env, owner, depth)
            condition, *carried = (env[name] for name in block.outputs)
            going = self._condition(condition)
            turn += 1
        if going is None:
            return self._lost(owner, "while", "how often it runs depends on the data", "unroll it")
        return carried[0] if len(carried) == 1 else carried


def _tensor(b: Builder, value: Any, name: str) -> Tensor:
    try:
        array = to_array(value, name)
    except UnsupportedError as error:
        return Tensor(Lost(error.items))
    return Tensor(b.const(array, b.unique(name)))


def _traced(kind: Any) -> tuple[tuple[int, ...] | None, int | None]:
    """Shape and element type that tracing recorded for an input; None where it did not."""
    try:
        shape, scalar = kind.sizes(), kind.scalarType()
    except RuntimeError:
        return None, None
    names = {"Byte": 0, "Char": 1, "Short": 2, "Int": 3, "Long": 4, "Half": 5, "Float": 6, "Double": 7, "Bool": 11}
    complete = shape is not None and all(isinstance(size, int) for size in shape)
    return tuple(shape) if complete else None, names.get(scalar)


def _code(name: str, given: Any) -> int:
    """The element type that a caller names for a tensor argument."""
    for text, dtype in SCALAR_TYPES.values():
        if text == given and dtype is not None:
            return code_of(dtype)
    raise InputError(f"{name!r} is a tensor: constants may name its element type ('int64'), and this is {given!r}")


def _named_outputs(result: Any) -> list[tuple[str, Any]]:
    if isinstance(result, dict):
        return [(str(key), item) for key, item in result.items()]
    if isinstance(result, list | tuple):
        items = list(flat(result))
        return [("output", items[0])] if len(items) == 1 else [(f"output_{i}", item) for i, item in enumerate(items)]
    return [("output", result)]

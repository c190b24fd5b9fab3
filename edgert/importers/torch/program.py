"""Exported programs (the JSON that torch.export writes) -> Graph.

Programs come as torch.export makes them: composite operators whole (linear, layer_norm, scaled_dot_product_attention),
writes in place among them; or decomposed to core ATen. The handlers know both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from edgert.errors import EdgertError, FileFormatError, InputError, UnsupportedError
from edgert.errors import Unsupported as Refusal
from edgert.importers.torch import scalars
from edgert.importers.torch.archive import Program
from edgert.importers.torch.builder import Builder, Handler, Lost, Tensor
from edgert.importers.torch.interface import Interface, Output, output_names
from edgert.importers.torch.types import FROM_SCHEMA
from edgert.importers.torch.walk import Walker
from edgert.ir import Graph, Value

DEEPEST = 64  # graphs inside graphs


def convert_program(
    program: Program,
    handlers: Mapping[str, Handler],
    name: str,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    names: Mapping[str, str] | None = None,
) -> Graph:
    """The graph of a program. names: other names for its inputs.

    Buffers that the program writes become variables, which live between invokes.
    """
    try:
        written: set[str] = set()
        while True:
            walk = _Walk(program, handlers, name, dict(input_shapes or {}), written, names or {})
            graph = walk.convert()
            if walk.written <= written:
                return graph
            written |= walk.written  # once more, with these as variables
    except EdgertError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise FileFormatError(f"{name}: its program is damaged ({type(error).__name__}: {error})") from error


class _Walk:
    def __init__(
        self,
        program: Program,
        handlers: Mapping[str, Handler],
        name: str,
        input_shapes: dict[str, tuple[int, ...]],
        variables: set[str],
        names: Mapping[str, str],
    ) -> None:
        module = program.json["graph_module"]
        self.program, self.module, self.graph = program, module, module["graph"]
        self.builder = Builder(name, _all_names(self.graph))
        self.walker = Walker(self.builder, handlers)
        self.interface = Interface(self.builder, input_shapes)
        self.variables, self.names = variables, names
        self.env: dict[str, Any] = {}
        self.buffers: dict[str, Tensor] = {}
        self.state: dict[str, Value] = {}
        self.written: set[str] = set()
        self.paths = _layer_names(self.graph)

    def convert(self) -> Graph:
        signature = self.module["signature"]
        for spec in signature["input_specs"]:
            self._input(spec)
        self.interface.check()
        self._run(self.graph, self.env, 0)
        outputs = self._outputs(signature["output_specs"])
        finals = {name: buffer.read() for name, buffer in self.buffers.items() if buffer.version}
        self.written = set(finals)
        if self.written <= self.variables:
            for name, final in finals.items():
                if isinstance(final, Value):
                    self.builder.begin(name, "state")
                    self.builder.assign(self.state[name], final)
            self.interface.add_outputs(outputs, [final for final in finals.values() if isinstance(final, Lost)])
        return self.builder.graph

    # Inputs

    def _input(self, spec: Mapping[str, Any]) -> None:
        ((kind, entry),) = spec.items()
        if kind == "user_input":
            self._user_input(entry["arg"])
            return
        if kind == "constant_input":
            self.env[entry["name"]] = next(iter(entry["value"].values())) if "as_none" not in entry["value"] else None
            return
        if kind == "token":
            self.env[entry["arg"]["name"]] = None
            return
        if kind == "custom_obj":
            reason = f"the program uses an object of the class {entry['arg'].get('class_fqn', '?')}"
            raise UnsupportedError([Refusal(entry["custom_obj_name"], "input", reason, "use tensors and numbers only")])
        name = entry[{"parameter": "parameter_name", "buffer": "buffer_name"}.get(kind, "tensor_constant_name")]
        array = self.program.weights.get(name)
        array = self.program.constants.get(name) if array is None else array
        if array is None:
            raise FileFormatError(f"{self.builder.graph.name}: the tensor {name!r} is missing from the file")
        placeholder = entry["arg"]["name"]
        if name in self.variables:
            self.builder.begin(name, "state")
            self.state[name] = self.builder.variable(name, array)
            content = self.builder.emit("copy", [self.state[name]])  # what is written later must not change it
        else:
            content = self.builder.const(array, self.builder.unique(name))
        self.env[placeholder] = self.buffers[name] = Tensor(content)

    def _user_input(self, argument: Mapping[str, Any]) -> None:
        ((kind, entry),) = argument.items()
        if kind == "as_tensor":
            placeholder = entry["name"]
            meta = self.graph["tensor_values"][placeholder]
            stated: list[int | str] = []
            for item in meta["sizes"]:
                stated.append(int(item["as_int"]) if "as_int" in item else str(item["as_expr"]["expr_str"]))
            name = self.names.get(placeholder, placeholder)
            value = self.interface.input(name, stated, FROM_SCHEMA.get(meta["dtype"], -1))
            if value is not None:
                self.env[placeholder] = Tensor(value)
        elif kind == "as_none":
            return
        elif "sym" in kind:
            number = entry.get("as_name", "?")
            raise InputError(f"the input {number!r} is a number that may vary: export the program with a fixed one")

    # Operators

    def _run(self, graph: Mapping[str, Any], env: dict[str, Any], depth: int) -> None:
        if depth > DEEPEST:
            raise FileFormatError(f"{self.builder.graph.name}: graphs inside graphs, {depth} deep")
        for node in graph["nodes"]:
            target = str(node["target"])
            if "higher_order" in target:
                result = self._higher_order(node, target, env, depth)
            elif target.startswith("torch.ops."):
                parts = target.removeprefix("torch.ops.").split(".")
                op, overload = ".".join(parts[:2]), ".".join(parts[2:])
                args = {item["name"]: self._argument(item["arg"], env) for item in node["inputs"]}
                result = self.walker.run(self._layer(node), op, overload, args)
            else:
                result = self._scalar(node, target, env)
            _bind(node["outputs"], result, env)

    def _layer(self, node: Mapping[str, Any]) -> str:
        return self.paths.get(_own_name(node)) or _own_name(node)

    def _scalar(self, node: Mapping[str, Any], target: str, env: dict[str, Any]) -> Any:
        name = target.rpartition(".")[2]
        arguments = [self._argument(item["arg"], env) for item in node["inputs"]]
        held = [item.read() if isinstance(item, Tensor) else item for item in arguments]
        lost = [reason for item in held if isinstance(item, Lost) for reason in item.reasons]
        if lost:
            return Lost(tuple(lost))
        if name not in scalars.FUNCTIONS:
            return Lost((Refusal(_own_name(node), target, "there is no such function in edgert", "avoid it"),))
        return scalars.computed(name, arguments)

    def _higher_order(self, node: Mapping[str, Any], target: str, env: dict[str, Any], depth: int) -> Any:
        """Graphs as arguments: blocks without gradients run as they stand, a branch when its condition is known."""
        kind = target.rpartition(".")[2]
        items = [item["arg"] for item in node["inputs"]]
        graphs = [item["as_graph"]["graph"] for item in items if "as_graph" in item]
        after = next((place for place, item in enumerate(items) if "as_graph" in item), len(items)) + len(graphs)
        arguments = [self._argument(item, env) for item in items[after:]]
        if kind in ("wrap_with_set_grad_enabled", "wrap_with_autocast", "invoke_subgraph", "wrap") and graphs:
            chosen = graphs[0]
            arguments = [item for item in arguments if not isinstance(item, str)]
        elif kind == "cond" and len(graphs) == 2:
            condition = self._argument(items[0], env)
            held = condition.read() if isinstance(condition, Tensor) else condition
            if isinstance(held, Value):
                held = bool(held.data.reshape(-1)[0]) if held.constant and held.data is not None else None
            if not isinstance(held, bool):
                return Lost((Refusal(_own_name(node), "cond", "its condition depends on the data", "use torch.where"),))
            chosen = graphs[0 if held else 1]
            arguments = list(arguments[0]) if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        else:
            return Lost((Refusal(_own_name(node), kind, "it runs a graph several times, or none", "unroll it"),))
        inner = dict(zip((_argument_name(item) for item in chosen["inputs"]), arguments, strict=False))
        self._run(chosen, inner, depth + 1)
        results = [self._argument(item, inner) for item in chosen["outputs"]]
        return results[0] if node.get("is_hop_single_tensor_return") and len(results) == 1 else results

    def _argument(self, argument: Mapping[str, Any], env: dict[str, Any]) -> Any:
        ((kind, entry),) = argument.items()
        if kind == "as_none":
            return None
        if kind in ("as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
            return _named(entry, env)
        if kind in ("as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return [_named(item, env) for item in entry]
        if kind == "as_nested_tensors":
            return [[_named(item, env) for item in row] for row in entry]
        if kind == "as_scalar_type":
            return FROM_SCHEMA.get(entry, -1)
        if kind in ("as_device", "as_memory_format", "as_layout"):
            return None  # of no consequence here
        if kind == "as_float":
            return float(entry)  # "Infinity" and "NaN" come as texts
        if kind == "as_floats":
            return [float(item) for item in entry]
        if kind == "as_complex":
            return Lost(
                (Refusal(self.builder.label, "complex number", "it computes with complex numbers", "avoid it"),)
            )
        return entry

    # Outputs

    def _outputs(self, specs: Sequence[Mapping[str, Any]]) -> list[Output]:
        names = output_names(self.module)
        outputs: list[Output] = []
        for spec in specs:
            ((kind, entry),) = spec.items()
            if kind == "user_output":
                name = names.pop(0) if names else f"output_{len(outputs)}"
                outputs.append(Output(name, self._argument(entry["arg"], self.env)))
            elif kind in ("buffer_mutation", "parameter_mutation"):
                buffer = entry.get("buffer_name") or entry.get("parameter_name")
                result = _named(entry["arg"], self.env)
                if result is not self.buffers[buffer]:
                    self.buffers[buffer].write(result.read() if isinstance(result, Tensor) else result)
        return outputs


def _bind(outputs: Sequence[Mapping[str, Any]], result: Any, env: dict[str, Any]) -> None:
    """Books what an operator returned under the names of its outputs."""
    flat = [(kind, entry) for item in outputs for kind, entry in item.items()]
    if isinstance(result, Lost):
        results: list[Any] = [result] * len(flat)
    elif len(flat) == 1:
        # Operators that return a list have one output, "as_tensors".
        single = isinstance(result, list) and len(result) == 1 and flat[0][0] == "as_tensor"
        results = result if single else [result]
    else:
        results = list(result) if isinstance(result, list | tuple) else [result]
    for (kind, entry), item in zip(flat, results, strict=False):
        if kind in ("as_tensors", "as_optional_tensors"):
            parts = [item] * len(entry) if isinstance(item, Lost) else item
            for name, part in zip(entry, parts, strict=False):
                _book(name, part, env)
        else:
            _book(entry, item, env)


def _book(entry: Any, item: Any, env: dict[str, Any]) -> None:
    if isinstance(entry, Mapping):
        name = entry.get("name") or entry.get("as_name") or next(
            (inner["name"] for inner in entry.values() if isinstance(inner, Mapping)), None
        )  # fmt: skip
        if name is not None:
            env[name] = Tensor(item) if isinstance(item, Lost) else item


def _named(entry: Any, env: dict[str, Any]) -> Any:
    """What a name stands for, or the number that stands in its place."""
    if "name" in entry:
        return env[entry["name"]]
    ((kind, inner),) = entry.items()
    if kind == "as_none":
        return None
    if kind == "as_name":
        return env[inner]
    return _named(inner, env) if isinstance(inner, Mapping) else inner


def _argument_name(argument: Mapping[str, Any]) -> str:
    ((_, entry),) = argument.items()
    return str(entry.get("name") or entry.get("as_name"))


def _own_name(node: Mapping[str, Any]) -> str:
    if node.get("name"):
        return str(node["name"])
    for item in node["outputs"]:
        for entry in item.values():
            if isinstance(entry, Mapping) and "name" in entry:
                return str(entry["name"])
    return str(node["target"]).removeprefix("torch.ops.")


def _all_names(graph: Mapping[str, Any]) -> set[str]:
    """Names of the program's inputs, which only they may bear."""
    return {name for item in graph["inputs"] if (name := _argument_name(item)) != "None" and not _is_weight(name)}


def _is_weight(name: str) -> bool:
    return name.startswith(("p_", "b_", "c_"))


def _layer_names(graph: Mapping[str, Any]) -> dict[str, str]:
    """A node's own name -> the path of its module ("layer1.0.conv1"), with the node's name behind it where the
    module has several nodes or modules within."""
    paths = {_own_name(node): _module_path(node) for node in graph["nodes"]}
    count = Counter(paths.values())
    inner = {path[:end] for path in count for end in (at.start() for at in re.finditer(r"\.", path))}
    names = {}
    for own, path in paths.items():
        if path:
            names[own] = path if count[path] == 1 and path not in inner else f"{path}/{own}"
    return names


def _module_path(node: Mapping[str, Any]) -> str:
    """The innermost module's path from metadata such as "L__self__,,Net;L__self__conv,conv,torch.nn...Conv2d"."""
    stack = str(node.get("metadata", {}).get("nn_module_stack", ""))
    last = stack.rpartition(";")[2].split(",")
    path = last[1] if len(last) > 2 else ""
    path = re.sub(r"^L\['self'\]\.?", "", path)
    return re.sub(r"@\d+", "", path)

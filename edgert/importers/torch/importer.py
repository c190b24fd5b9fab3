"""What a PyTorch source is, and how it is read: a module with example inputs, a .pt2 file, a TorchScript archive.

Modules and exported programs go through the format of torch.export, so that there is one reader for both. Nothing is
unpickled, but for state dicts under torch.load(weights_only=True).
"""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

from edgert.errors import EdgertError, FileFormatError, InputError, MissingExtraError, ModelError, UnsupportedError
from edgert.importers.torch import (
    activations,
    creation,
    elementwise,
    indexing,
    linear,
    logic,
    movement,
    normalisation,
    quant,
    rearrangement,
    recurrent,
    reduction,
    sampling,
    spatial,
    transformer,
)
from edgert.importers.torch.archive import Archive, Program, first_line, is_program, read_program
from edgert.importers.torch.builder import Handler
from edgert.importers.torch.program import convert_program
from edgert.ir import Graph

HANDLERS: dict[str, Handler] = {
    **elementwise.HANDLERS,
    **activations.HANDLERS,
    **logic.HANDLERS,
    **linear.HANDLERS,
    **reduction.HANDLERS,
    **normalisation.HANDLERS,
    **movement.HANDLERS,
    **rearrangement.HANDLERS,
    **spatial.HANDLERS,
    **sampling.HANDLERS,
    **recurrent.HANDLERS,
    **transformer.HANDLERS,
    **indexing.HANDLERS,
    **creation.HANDLERS,
    **quant.HANDLERS,
}

BUILD_IT = (
    "build the module in Python, load its weights with torch.load(path, map_location='cpu', weights_only=True), "
    "and call edgert.convert(module, example_inputs=(...,))"
)
MOST_ROUNDS = 8  # of taking apart what is unsupported
PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def load(
    path: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    *,
    constants: Mapping[str, Any] | None = None,
    entry: str = "",
) -> Graph:
    """The graph of a .pt2 file (torch.export.save) or of a TorchScript archive (torch.jit.save).

    Inputs keep the names of the arguments of `forward`. input_shapes settles dynamic dimensions, by input name; a
    TorchScript archive states no shapes at all. A dynamic first dimension that it does not mention becomes 1, and the
    graph's notes say so. constants, of a TorchScript model: values of arguments that are no tensors, by name (16000),
    arrays for tensors that are known for good, or the element type of one that is not float32 ("int64"; of indices it
    is assumed). entry: the submodule of a TorchScript model to convert ("encoder"), the whole model by default.

    Raises InputError (no such file, open shapes or arguments), FileFormatError (neither of the two, or damaged),
    UnsupportedError (all operators that cannot be converted), ModelError (shapes that do not fit), MissingExtraError
    (TorchScript, and .pt2 files from before PyTorch 2.8, need torch).
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in PICKLE_STARTS:
        raise FileFormatError(f"{path.name}: a pickle of weights, or of a whole module, not a program: {BUILD_IT}")
    if start != b"PK\x03\x04":
        raise FileFormatError(f"{path.name}: not a PyTorch archive (.pt2, or .pt of TorchScript)")
    archive = Archive(path, path.name)
    names = archive.names
    archive.close()
    if is_program(names):
        if constants or entry:
            raise InputError(f"{path.name}: an exported program has one entry, and its constants are in it")
        return convert_program(read_program(path, path.name), HANDLERS, path.stem, input_shapes)
    parts = {name.partition("/")[2] for name in names}
    if "constants.pkl" in parts or any(part.startswith("code/") for part in parts):
        from edgert.importers.torch.script import convert_script

        return convert_script(path, HANDLERS, dict(input_shapes or {}), dict(constants or {}), entry)
    if "data.pkl" in parts:
        raise FileFormatError(f"{path.name}: weights, or a pickled module, without a program: {BUILD_IT}")
    if any(part.startswith("data/aotinductor/") for part in parts):
        raise FileFormatError(f"{path.name}: a model compiled for one machine; save it with torch.export.save instead")
    raise FileFormatError(f"{path.name}: a zip archive without a PyTorch program (.pt2, or .pt of TorchScript)")


def load_object(
    module: Any,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    example_inputs: Any = None,
    *,
    example_kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    name: str | None = None,
) -> Graph:
    """The graph of a torch.nn.Module called with example_inputs, or of a torch.export.ExportedProgram.

    example_inputs: positional arguments of forward, a tuple (one tensor may stand for itself); they give shapes and
    types. The module is converted as module.eval() has it, and stays as it is. input_names: in the order of the
    tensors, the names of forward's arguments by default. input_shapes: of dynamic dimensions of an ExportedProgram.

    Raises InputError (examples that do not fit), ModelError (a module that torch.export cannot trace),
    UnsupportedError, MissingExtraError.
    """
    torch = _torch("converting a torch.nn.Module")
    notes: list[str] = []
    module = getattr(module, "_orig_mod", module)  # what torch.compile wraps
    if isinstance(module, torch.export.ExportedProgram):
        if example_inputs is not None:
            raise InputError("an ExportedProgram has its inputs already: give no example_inputs")
        exported, label = module, name or "program"
    elif isinstance(module, torch.jit.ScriptModule):
        return _script(torch, module, _examples(torch, example_inputs, example_kwargs), dict(example_kwargs or {}))
    elif isinstance(module, torch.nn.Module):
        label = name or type(module).__name__
        examples = _examples(torch, example_inputs, example_kwargs)
        exported, notes = _export(torch, module, examples, dict(example_kwargs or {}))
        if not _can_be_written(exported):
            with _plain_results(module):
                exported, notes = _export(torch, module, examples, dict(example_kwargs or {}))
    else:
        raise InputError(f"a torch.nn.Module or an ExportedProgram is needed, and this is a {type(module).__name__}")
    names = _renamed(exported, input_names)
    refused: UnsupportedError | None = None
    for _ in range(MOST_ROUNDS):
        try:
            program = _serialized(torch, exported, label)
            graph = convert_program(program, HANDLERS, label, input_shapes, names)
            graph.notes.extend(notes)
            return graph
        except UnsupportedError as error:
            refused = refused or error  # it names what the module calls, and not what that is taken apart into
            exported = _decomposed(torch, exported, error)
            if exported is None:
                break
    assert refused is not None
    raise refused


def _torch(purpose: str) -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", purpose, "torch") from None
    return torch


def _examples(torch: Any, given: Any, kwargs: Mapping[str, Any] | None) -> tuple[Any, ...]:
    if isinstance(given, torch.Tensor):
        given = (given,)
    if given is None and kwargs:
        given = ()
    if not isinstance(given, tuple | list):
        kind = "none" if given is None else type(given).__name__
        raise InputError(
            f"example_inputs are needed as a tuple of tensors, the arguments of forward, and there is {kind}: "
            f"example_inputs=(torch.randn(1, 3, 224, 224),)"
        )
    for place, item in enumerate([*given, *(kwargs or {}).values()]):
        if type(item).__module__.partition(".")[0] == "numpy":
            raise InputError(f"example input {place} is a NumPy {type(item).__name__}: use torch.from_numpy(it)")
        if isinstance(item, torch.Tensor) and (item.layout != torch.strided or item.is_complex()):
            what = "complex" if item.is_complex() else "sparse"
            raise InputError(f"example input {place} is {what}: edgert computes with dense real tensors")
    return tuple(given)


@contextmanager
def _in_use(module: Any) -> Iterator[None]:
    """The module and all within as module.eval() has them, for the while."""
    training = [part for part in module.modules() if part.training]
    try:
        module.eval()
        yield
    finally:
        for part in training:
            part.training = True


def _script(torch: Any, module: Any, examples: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
    """A ScriptModule by way of its archive: examples give shapes, types, and values of what is no tensor."""
    from edgert.importers.torch.script import convert_script

    names = [argument.name for argument in module.forward.schema.arguments[1:]]
    if len(examples) > len(names) or set(kwargs) - set(names):
        raise InputError(f"example_inputs do not fit forward, which takes {', '.join(names)}")
    given = {**dict(zip(names, examples, strict=False)), **kwargs}
    tensors = {name: item for name, item in given.items() if isinstance(item, torch.Tensor)}
    types = {name: str(item.dtype).removeprefix("torch.") for name, item in tensors.items()}
    constants = {name: item for name, item in given.items() if name not in tensors and item is not None}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{getattr(module, 'original_name', 'script')}.pt"
        torch.jit.save(module, path)
        shapes = {name: tuple(item.shape) for name, item in tensors.items()}
        return convert_script(path, HANDLERS, shapes, {**constants, **types}, "")


def _export(torch: Any, module: Any, examples: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, list[str]]:
    import warnings

    with _in_use(module), torch.no_grad(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            exported = torch.export.export(module, examples, kwargs or None, strict=False)
        except Exception as error:  # torch.export raises what the module raises, and much of its own
            raise _not_exported(module, error) from error
    return exported, _dropped(said)


def _dropped(said: Sequence[Any]) -> list[str]:
    """What torch.export says of attributes that forward sets, and that it drops."""
    names = [
        name for item in said if "assigned during export" in str(item.message)
        for name in re.findall(r"self\.[\w.\[\]]+", str(item.message).partition("assigned")[0])
        if "_flat_weights" not in name  # which recurrent layers set anew whenever they are moved
    ]  # fmt: skip
    if not names:
        return []
    return [f"forward sets {', '.join(names)}, which is dropped: only buffers (register_buffer) live between invokes."]


def _not_exported(module: Any, error: Exception) -> EdgertError:
    """torch.export's failure in one line."""
    kind, text = type(error).__name__, str(error)
    label = type(module).__name__
    where = _user_line(text)
    if "data-dependent" in text or "DataDependent" in kind or "GuardOnDataDependent" in kind:
        return ModelError(
            f"{label}: its control flow depends on the data{where} ({first_line(error)}): "
            "use torch.where, or fix the decision when the module is built"
        )
    if isinstance(error, TypeError) and ("argument" in text or "positional" in text):
        return InputError(f"{label}: example_inputs do not fit its forward ({first_line(error)})")
    return ModelError(f"{label}: torch.export cannot trace it{where}: {kind}: {first_line(error)}")


def _can_be_written(exported: Any) -> bool:
    """Whether torch.export knows how to write the nesting of the results; PyTorch's own named tuples it does not."""
    from torch.utils._pytree import treespec_dumps

    try:
        treespec_dumps(exported.call_spec.out_spec)
    except NotImplementedError:
        return False
    return True


def _user_line(text: str) -> str:
    """The source line that torch.export blames, if it says one."""
    lines = text.splitlines()
    for place, line in enumerate(lines):
        if "User Stack" in line or "Caused by" in line:
            for further in lines[place : place + 12]:
                stripped = further.strip()
                if stripped.startswith("File "):
                    return f" at {stripped[5:]}"
                if "Caused by" in stripped and "(" in stripped:
                    return f" at {stripped.partition('Caused by:')[2].strip()}"
    return ""


@contextmanager
def _plain_results(module: Any) -> Iterator[None]:
    """forward returns a tuple of tensors for the while, for results that torch.export cannot write (torch.sort's)."""
    from torch.utils._pytree import tree_leaves

    forward, own = module.forward, module.__dict__.get("forward")

    @wraps(forward)
    def plain(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
        return tuple(tree_leaves(forward(*args, **kwargs)))

    module.forward = plain
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _serialized(torch: Any, exported: Any, label: str) -> Program:
    import warnings

    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(exported, buffer)
    except Exception as error:
        raise ModelError(
            f"{label}: torch.export cannot save it: {type(error).__name__}: {first_line(error)}"
        ) from error
    return read_program(buffer.getvalue(), label)


def _decomposed(torch: Any, exported: Any, error: UnsupportedError) -> Any:
    """The program with the unsupported operators taken apart as torch knows how to; None where it does not."""
    import warnings

    wanted = {item.operator for item in error.items}
    table = {
        op: rule for op, rule in torch.export.default_decompositions().items()
        if str(op.name()).partition(".")[0].replace("::", ".") in wanted
    }  # fmt: skip
    if not table:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return exported.run_decompositions(table)
    except Exception:  # then the list of what is unsupported stands
        return None


def _renamed(exported: Any, input_names: Sequence[str] | None) -> dict[str, str]:
    """The program's names of its input tensors -> the caller's."""
    if input_names is None:
        return {}
    own = [spec.arg.name for spec in exported.graph_signature.input_specs if spec.kind.name == "USER_INPUT"
           and type(spec.arg).__name__ == "TensorArgument"]  # fmt: skip
    if len(own) != len(input_names) or len(set(input_names)) != len(input_names):
        raise InputError(f"input_names has {len(set(input_names))} names, and there are {len(own)} inputs: {own}")
    return dict(zip(own, input_names, strict=True))

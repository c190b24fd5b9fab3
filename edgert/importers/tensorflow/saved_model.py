"""SavedModel folders -> Graph, without TensorFlow: saved_model.pb holds the graph and its functions, and variables/ the
weights.

Concrete functions come through TensorFlow itself, which freezes them first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgert.errors import FileFormatError, InputError, MissingExtraError
from edgert.importers.builder import Array
from edgert.importers.tensorflow.bundle import Bundle, Variables
from edgert.importers.tensorflow.importer import convert_graph
from edgert.importers.tensorflow.messages import parse
from edgert.importers.tensorflow.restore import restored
from edgert.ir import Graph

SERVE, DEFAULT, INIT = "serve", "serving_default", "__saved_model_init_op"


def load_saved_model(
    folder: Path,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    signature: str | None = None,
    tags: Sequence[str] = (SERVE,),
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    constants: Mapping[str, Array] | None = None,
) -> Graph:
    """The graph of a SavedModel, of TensorFlow 1 or 2. Neither TensorFlow nor Keras needs to be installed.

    signature: its key ("serving_default" when there are several and none is given). Inputs and outputs have the
    signature's names, in alphabetical order. tags: of the graph to take. inputs, outputs: names of tensors of the outer
    graph at which to cut instead, or of the signature's outputs alone. input_shapes, constants: see importer.load.

    Raises what importer.load raises; InputError that lists the signatures or tags there are.
    """
    folder = Path(folder)
    file = folder / "saved_model.pb"
    if not file.is_file():
        text = folder / "saved_model.pbtxt"
        hint = "its graph is text; save it in binary" if text.is_file() else "there is no saved_model.pb in it"
        raise InputError(f"{folder}: not a SavedModel folder: {hint}")
    meta = _graph_of(parse("SavedModel", file.read_bytes(), file.name), tags, file.name)
    prefix = folder / "variables" / "variables"
    variables: Mapping[str, Array] = {}
    if prefix.with_name("variables.index").is_file():
        variables = Variables(Bundle(prefix), restored(meta.graph_def))
    if inputs is not None and outputs is not None:
        asked = {name.removesuffix(":0"): name for name in inputs}
        wanted = {name.removesuffix(":0"): name for name in outputs}
    else:
        chosen = _signature(meta, signature)
        asked, wanted = _tensors(chosen.inputs), _tensors(chosen.outputs)
        if outputs is not None:
            wanted = _some(wanted, outputs)
        if inputs is not None:
            asked = {name.removesuffix(":0"): name for name in inputs}
    title = folder.resolve().name
    return convert_graph(meta.graph_def, title, input_shapes, asked, wanted, constants, variables)


def _some(wanted: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    unknown = [name for name in names if name not in wanted]
    if unknown:
        raise InputError(f"outputs names {unknown[0]!r}; the signature has: {', '.join(wanted)}")
    return {name: wanted[name] for name in names}


def _graph_of(model: Any, tags: Sequence[str], file: str) -> Any:
    if not model.meta_graphs:
        raise FileFormatError(f"{file}: not a SavedModel, or cut short: it has no graph")
    found = [meta for meta in model.meta_graphs if set(meta.meta_info_def.tags) == set(tags)]
    if not found:
        known = "; ".join(", ".join(meta.meta_info_def.tags) or "none" for meta in model.meta_graphs)
        raise InputError(f"{file}: no graph has the tags {', '.join(tags)}; there are: {known}")
    return found[0]


def _signature(meta: Any, name: str | None) -> Any:
    signatures = {key: entry for key, entry in meta.signature_def.items() if key != INIT and entry.outputs}
    if name is None:
        name = DEFAULT if DEFAULT in signatures or len(signatures) != 1 else next(iter(signatures))
    if name not in signatures:
        known = ", ".join(sorted(signatures)) or "none; export it with signatures, or name inputs and outputs"
        raise InputError(f"there is no signature {name!r} in the SavedModel (it has: {known})")
    return signatures[name]


def _tensors(infos: Any) -> dict[str, str]:
    """Tensors by the signature's names, in alphabetical order: the file's own changes from one save to another."""
    empty = [key for key in infos if not infos[key].name]
    if empty:
        raise InputError(f"the signature's {empty[0]!r} is a sparse or ragged tensor; only dense ones are known")
    return {key: infos[key].name for key in sorted(infos)}


def load_function(function: Any, input_shapes: Mapping[str, tuple[int, ...]] | None = None, name: str = "") -> Graph:
    """The graph of a concrete function (tf.function(...).get_concrete_function(...)).

    TensorFlow freezes it: its variables become constants, loops and branches stay functions. Inputs have the names of
    its arguments, outputs those of its structured outputs where that is a dictionary.

    Raises what importer.load raises; InputError for what is no concrete function.
    """
    if not hasattr(function, "graph") or not hasattr(function, "structured_outputs"):
        raise InputError(f"a {type(function).__name__} is no concrete function: call get_concrete_function() first")
    try:
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    except ImportError:
        raise MissingExtraError("tensorflow-cpu", "reading a concrete function", "tensorflow") from None
    frozen = convert_variables_to_constants_v2(function, lower_control_flow=False, aggressive_inlining=False)
    definition = parse("GraphDef", frozen.graph.as_graph_def().SerializeToString(), name or "the function")
    fed = [tensor.name for tensor in frozen.inputs if tensor.dtype.name != "resource"]
    inputs = {text.removesuffix(":0"): text for text in fed}
    structured = function.structured_outputs
    keys = sorted(structured) if isinstance(structured, dict) else []
    names = [tensor.name for tensor in frozen.outputs]
    if len(keys) == len(names):
        outputs = dict(zip(keys, names, strict=True))
    else:
        outputs = {text.removesuffix(":0"): text for text in names}
    title = name or getattr(function, "name", None) or "function"
    return convert_graph(definition, str(title), input_shapes, inputs, outputs)

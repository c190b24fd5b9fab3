"""From a trained model to a package: the only module that knows the order of the pipeline.

    result = edgert.convert("model.onnx", quantize="int8", calibrate=samples)
    Path("model.ert").write_bytes(result.data)

Order: import; passes over the graph as it came, until nothing changes; quantise, when asked; float fallback and
lowering to what the runtime executes; write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

import edgert
from edgert.data import Normalisation, load_samples
from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.golden.check import MAX_RUNS
from edgert.golden.make import record
from edgert.importers import formats
from edgert.importers.formats import FORMATS as FORMATS
from edgert.ir import Graph
from edgert.pack.metadata import Metadata
from edgert.pack.packed import Packed, PackedTarget, PackedWeights
from edgert.pack.writer import Golden, write
from edgert.passes.dead_code import remove_dead_code
from edgert.passes.float_fallback import float_fallback
from edgert.passes.fold_batch_norm import fold_batch_norm
from edgert.passes.fold_constants import fold_constants
from edgert.passes.fold_qdq import fold_qdq
from edgert.passes.free_batch import free_batch
from edgert.passes.fuse_activations import fuse_activations
from edgert.passes.fuse_affine import fuse_affine
from edgert.passes.fuse_pad import fuse_pad
from edgert.passes.interface import float_interface, int8_interface
from edgert.passes.layout import layout
from edgert.passes.lower import lower
from edgert.passes.merge_duplicates import merge_duplicates
from edgert.passes.merge_movement import merge_movement
from edgert.passes.simplify import simplify
from edgert.passes.upsample import upsample
from edgert.progress import Progress, silent
from edgert.quant.observe.samples import HashedSamples
from edgert.quant.schemes import SCHEMES, Activations, Plan, plan_of
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo
from edgert.targets import Target, target

if TYPE_CHECKING:
    from edgert.cache import Cache
    from edgert.quant.budget.goal import Goal
    from edgert.quant.budget.verdict import BudgetResult

Source = str | Path | bytes | bytearray | memoryview | Any  # Any: a model in memory, of PyTorch or TensorFlow
Pass = Callable[[Graph], bool]
Sample = Mapping[str, NDArray[Any]]

# fold_qdq wants activations fused and the weights' dequantize nodes still there; simplify wants activations not fused.
OPTIMISE: tuple[Pass, ...] = (
    layout,
    merge_movement,
    upsample,
    simplify,
    fuse_pad,
    fuse_activations,
    fold_qdq,
    fold_constants,
    fold_batch_norm,
    fuse_affine,
    merge_duplicates,
    remove_dead_code,
)
LOWER: tuple[Pass, ...] = (float_fallback, lower, merge_duplicates, remove_dead_code, free_batch)
MOST_ROUNDS = 20  # each round but the last makes the graph smaller or moves work towards the inputs


@dataclass(frozen=True)
class Conversion:
    """What convert made."""

    data: bytes  # the .ert file
    graph: Graph  # as it was written
    source_format: str  # a name of edgert.importers.formats: "tflite", "onnx", "keras" ...
    source_bytes: int  # 0 for a model in memory
    quantized_here: bool  # False: float, or quantised by the source
    calibration_samples: int
    notes: tuple[str, ...]  # what was assumed, for a person to read
    budget: BudgetResult | None = None  # how the goal was reached, where there was one


def convert(
    source: Source,
    *,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    example_inputs: Sequence[Any] | None = None,
    example_kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    constants: Mapping[str, Any] | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    signature: str | None = None,
    entry: str | None = None,
    weights: str | Path | None = None,
    quantize: str | None = None,
    layers: Mapping[str, str] | None = None,
    calibrate: Iterable[Sample] | str | Path | None = None,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    io: Literal["float", "int8"] | None = None,
    name: str | None = None,
    targets: Sequence[str] = (),
    golden: int = 0,
    goal: Goal | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Converts a trained model into the bytes of an .ert package.

    source: the path of a model's file or folder, a file's bytes, or a model in memory: a torch.nn.Module (with
    example_inputs, a tuple of what its forward takes, example_kwargs, and input_names if not those of its arguments), a
    torch.export program, a concrete function of TensorFlow.
    edgert.importers.formats.FORMATS lists what is known. input_shapes: settles open dimensions, by input name.
    constants (ONNX, TensorFlow, TorchScript): arrays or numbers by the name of an input, known for good: what decides a
    shape or a branch. inputs, outputs (TensorFlow): names of tensors at which the graph is cut. signature (SavedModel),
    entry (TorchScript: a submodule): what to convert of several. weights (Caffe, MXNet): the file of the weights, where
    it does not lie beside the model.
    quantize: a name of edgert.quant.schemes.SCHEMES ("int8", "int16", "dynamic", "float16", "int4" ...) or "none"; None
    means "int8" when there are samples. Integer activations need the samples of `calibrate`. A model that is quantised
    already keeps its integers either way.
    layers: exceptions, a scheme by a pattern (fnmatch) of a layer's name: its output tensor's, or its node's. The last
    of several that fit counts.
    calibrate: samples, each the inputs by name, or a source of samples as edgert.data.load_samples takes it.
    labels: of a classifier's outputs. mean, std: per channel, x = (pixel - mean) / std, stored for feeding images.
    io: element type of inputs and outputs: "float", "int8", or None: float for a model quantised here, and the source's
    own otherwise. targets: names (edgert.targets) of what weights are packed for beforehand: there, a package opens
    quicker. They stand in it beside the weights that every machine can use.
    golden: how many runs the package records, of the first calibration samples and then of seeded inputs, by which a
    device can check itself.
    goal: how accurate the quantised model must be, on what data; layers that lose too much compute in int16 or float.
    cache: keeps what calibration saw and what was measured (edgert.cache.open_cache), so that the next run resumes.
    progress: called with the stage's name (import, optimise, calibrate, quantise, lower, write), how much of it is
    done, and of how much, or None.

    Raises FileFormatError, UnsupportedError, ModelError, InputError, MissingExtraError: see the importers. BudgetError
    when the goal cannot be reached: its result says what stands in the way.
    """
    if quantize not in (None, "none", *SCHEMES):
        raise InputError(f"quantize is {quantize!r}, needed one of none, {', '.join(SCHEMES)}")
    if io not in (None, "float", "int8"):
        raise InputError(f"io is {io!r}, needed 'float' or 'int8'")
    if not 0 <= golden <= MAX_RUNS:
        raise InputError(f"golden is {golden}, needed 0 to {MAX_RUNS}")
    if goal is not None:
        goal.budget.check(goal.chosen_metric())
    report = progress or silent
    report("import", 0, None)
    options = {
        "example_inputs": example_inputs, "example_kwargs": example_kwargs, "input_names": input_names,
        "constants": constants, "inputs": inputs, "outputs": outputs, "signature": signature, "entry": entry,
        "weights": weights,
    }  # fmt: skip
    source_format, (source_hash, source_bytes), graph = _import(source, input_shapes, name, options)
    about = graph.about
    if not (mean or std) and _fits_channels(graph, about.mean):
        mean, std = about.mean, about.std
    notes = list(graph.notes)

    optimise(graph, report)
    wanted = quantize or ("int8" if calibrate is not None else "none")
    already = is_quantized(graph)
    if layers and wanted == "none":
        raise InputError("schemes of single layers need one for the others: say how to quantise, float16 or int8 say")
    if goal is not None and (already or wanted == "none"):
        found = "this one is quantised already" if already else "there is none without quantising"
        raise InputError(f"a budget is what quantising a float model may cost, and {found}")
    plan = None if already or wanted == "none" else plan_of(graph, wanted, layers or {})
    if io == "int8" and not already and (plan is None or plan.default.activations != Activations.INT8):
        raise InputError(
            "io='int8' needs an int8 model and this one stays float: quantise it, with calibration samples"
        )
    _check_channels(graph, mean or std)
    samples, outcome, entries = HashedSamples(()), None, list[tuple[str, str]]()
    if plan is not None:
        if calibrate is None and plan.calibrates:
            found = f"quantize={wanted!r} needs calibration samples"
            raise InputError(f"{found}: give calibrate, or --calibrate DATA on the command line")
        normalisation = (_channels(mean, "mean"), _channels(std, "std"))
        names = about.labels if labels is None else labels
        samples, outcome, chosen = _quantize(
            graph, plan, calibrate, normalisation, io or "float", goal, cache, names, golden, report, notes
        )
        entries.append(("quantization", chosen))
        if outcome is not None:
            entries.append(("accuracy", json.dumps(outcome.entry(), sort_keys=True, separators=(",", ":"))))
    elif already and wanted != "none":
        notes.append("The model is quantised already: its integers are kept, and nothing was calibrated.")

    report("lower", 0, None)
    if io == "int8":
        int8_interface(graph)
    elif io == "float" and already:
        float_interface(graph)
    run_passes(graph, LOWER)
    metadata = Metadata(
        name=graph.name,
        description=about.description,
        licence=about.licence,
        labels=tuple(about.labels if labels is None else labels),
        input_mean=_channels(mean, "mean"),
        input_std=_channels(std, "std"),
        source_sha256=source_hash,
        calibration_sha256=samples.digest,
        toolchain=f"edgert {edgert.__version__}",
        entries=(("source_format", source_format), *entries, *about.entries),
    )
    if labels and all(value.shape[-1:] != (len(labels),) for value in graph.outputs):
        outputs = ", ".join(f"{value.name}: {list(value.shape)}" for value in graph.outputs)
        notes.append(f"There are {len(labels)} labels, and no output has as many classes ({outputs}).")
    report("write", 0, None)
    package = write(graph, metadata)
    runs = _golden_runs(package, golden, samples.first) if golden else []
    if runs or targets:
        package = write(graph, metadata, runs, pack_weights(package, targets) if targets else None)
    return Conversion(
        data=package,
        graph=graph,
        source_format=source_format,
        source_bytes=source_bytes,
        quantized_here=plan is not None,
        calibration_samples=samples.count,
        notes=tuple(notes),
        budget=outcome,
    )


def _golden_runs(package: bytes, count: int, samples: Sequence[Sample]) -> list[Golden]:
    """Runs on the first samples, then on seeded inputs, for the package to record."""
    from edgert.runtime.model import Model

    inputs = Model(package).inputs
    given = [[_as_input(info, sample[info.name]) for info in inputs] for sample in samples]

    def arrays(side: Sequence[bytes]) -> list[NDArray[Any]]:
        return [np.frombuffer(data, np.uint8) for data in side]

    return [(arrays(inputs), arrays(outputs)) for inputs, outputs in record(package, count, given)]


def _as_input(info: TensorInfo, array: NDArray[Any]) -> bytes:
    """A sample's array as the package takes it: integers where its inputs are."""
    if array.dtype.kind == "f" and info.quant is not None:
        array = info.quantize(array)
    return info.checked(array, "calibration sample").tobytes()


def pack_weights(package: bytes, names: Sequence[str]) -> PackedWeights:
    """The weights of a package as the kernels of these targets want them; equal ones are kept once.

    Raises InputError for an unknown target, ModelError for one that cannot be packed for on this machine.
    """
    model = _native.Model(content=package)
    chosen = [target(name) for name in dict.fromkeys(names)]
    places: dict[tuple[int, int, int], Packed] = {}
    for number, goal in enumerate(chosen):
        for op, kernel, fixed, source, checksum, data in _native.pack(model, goal.architecture, _names(goal)):
            known = places.get((op, fixed, source))
            served = (*known.targets, number) if known else (number,)
            places[op, fixed, source] = Packed(op, kernel, fixed, source, checksum, served, data)
    return PackedWeights(
        targets=tuple(PackedTarget(goal.name, goal.architecture, _names(goal)) for goal in chosen),
        entries=tuple(sorted(places.values(), key=lambda entry: (entry.op, entry.targets))),
        buffer_hash=_native.buffer_hash,
    )


def _names(goal: Target) -> str:
    return " ".join(goal.instruction_sets)


def optimise(graph: Graph, report: Progress | None = None) -> None:
    """Runs the passes that keep a graph's meaning, until none changes anything."""
    run_passes(graph, OPTIMISE, report)


def run_passes(graph: Graph, passes: Sequence[Pass], report: Progress | None = None) -> None:
    """Runs the passes in turn, over and over, until none of them changes anything."""
    done = 0
    for _ in range(MOST_ROUNDS):
        changed = False
        for run in passes:
            if report is not None:
                report("optimise", done, None)
            changed |= run(graph)
            done += 1
        if not changed:
            break
    graph.verify()


def is_quantized(graph: Graph) -> bool:
    """Whether any operator computes on int8 or int16 numbers with a scale."""
    return any(
        value is not None
        and value.dtype in (DType.INT8, DType.INT16)
        and value.quant is not None
        and not value.constant
        for node in graph.nodes
        for value in node.inputs
    )


def _import(
    source: Source, input_shapes: Mapping[str, tuple[int, ...]] | None, name: str | None, options: Mapping[str, Any]
) -> tuple[str, tuple[str, int], Graph]:
    """The source's format, its SHA-256 and size ("" and 0 for a model in memory), and its graph."""
    given = {key: value for key, value in options.items() if value is not None}
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.exists():
            raise InputError(f"{path}: there is no such file")
        kind, graph = formats.load(path, input_shapes, given)
        graph.name = name or graph.name or path.stem
        return kind.name, formats.digest(path, graph), graph
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        kind, graph = formats.load_bytes(data, name or "", input_shapes, given)
        graph.name = name or graph.name
        return kind.name, (hashlib.sha256(data).hexdigest(), len(data)), graph
    format_name, graph = formats.load_object(source, input_shapes, given)
    graph.name = name or graph.name
    return format_name, ("", 0), graph


def _quantize(
    graph: Graph,
    plan: Plan,
    source: Iterable[Sample] | str | Path | None,
    normalisation: Normalisation,
    io: str,
    goal: Goal | None,
    cache: Cache | None,
    labels: Sequence[str],
    keep: int,
    report: Progress,
    notes: list[str],
) -> tuple[HashedSamples, BudgetResult | None, str]:
    """Quantises the graph in place; the samples that it was calibrated with (the first `keep` of them stay), how the
    goal was reached, and a note on what was chosen (edgert.quant.note)."""
    from edgert.quant.budget.search import search
    from edgert.quant.quantize import Quantizer
    from edgert.runtime.model import Model

    inputs = Model(write(graph)).inputs
    if isinstance(source, str | Path):
        source = load_samples(str(source), inputs, normalisation).arrays()
    data = None if goal is None else goal.dataset(inputs, normalisation, labels)
    samples = HashedSamples(source or (), keep)

    def pack(candidate: Graph) -> bytes:
        run_passes(candidate, LOWER)
        return write(candidate)

    given = samples if source is not None else None
    quantizer = Quantizer(graph, given, pack, plan, report, normalisation, cache)
    notes += quantizer.warnings
    outcome = None
    if goal is not None and data is not None:
        metric = goal.chosen_metric(data)
        outcome = search(quantizer, pack, data, metric, goal.budget, io, goal.executor, cache, report)
        plan = outcome.plan
    made = quantizer.quantized(plan, io)
    notes += [note for note in made.notes if note not in notes]
    graph.inputs, graph.outputs, graph.nodes = made.inputs, made.outputs, made.nodes
    return samples, outcome, quantizer.note(plan)


def _fits_channels(graph: Graph, numbers: Sequence[float]) -> bool:
    """Whether some input is an image of as many channels, where there are several numbers."""
    count = len(numbers)
    return count <= 1 or any(
        len(value.shape) == 4 and count in (value.shape[1], value.shape[3]) for value in graph.inputs
    )


def _check_channels(graph: Graph, numbers: Sequence[float] | None) -> None:
    """InputError when a normalisation of several channels fits no input: images are [1, H, W, C] or [1, C, H, W]."""
    count = len(numbers or ())
    if not _fits_channels(graph, numbers or ()):
        inputs = ", ".join(f"{value.name}: {list(value.shape)}" for value in graph.inputs)
        raise InputError(f"mean and std have {count} channels, and no input is an image of as many ({inputs})")


def _channels(numbers: Sequence[float] | None, what: str) -> tuple[float, ...]:
    channels = tuple(float(number) for number in numbers or ())
    if not np.isfinite(channels).all():
        raise InputError(f"{what} is {list(channels)}, needed finite numbers")
    if what == "std" and 0.0 in channels:
        raise InputError("std has a 0; images are divided by it")
    return channels

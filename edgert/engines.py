"""Models in any engine behind one small interface, to compare edgert with its peers.

A peer's package is imported when its engine is opened. Names: "edgert", "litert" (ai-edge-litert), "tflite-runtime",
"onnxruntime", "openvino".
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgert.data.sample import Normalisation
from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError, MissingExtraError
from edgert.runtime.model import Model
from edgert.runtime.tensors import TensorInfo

Array = NDArray[Any]


class Engine(Protocol):
    """A model that is open in some engine."""

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def outputs(self) -> tuple[TensorInfo, ...]: ...
    @property
    def normalisation(self) -> Normalisation: ...
    def set_inputs(self, inputs: Mapping[str, Array]) -> None:
        """Stores inputs by name for invoke()."""

    def invoke(self) -> None:
        """Runs on the stored inputs: what a benchmark times."""

    def get_outputs(self) -> dict[str, Array]:
        """Copies of the outputs, by name."""


def open_model(
    path: Path, *, threads: int = 1, isa: str | None = None, keep_all_tensors: bool = False, fusion: bool = True
) -> Model:
    """An .ert package, or a .tflite or .onnx file converted in memory with its own numbers kept."""
    source: Path | bytes = path
    if path.suffix.lower() in (".tflite", ".onnx"):
        from edgert.compile import convert

        source = convert(path, quantize="none").data
    return Model(source, threads=threads, isa=isa, keep_all_tensors=keep_all_tensors, fusion=fusion)


def package_of(path: Path, reading: Mapping[str, Any] | None = None) -> bytes:
    """A package's bytes, or what a source of any kind that edgert.convert reads becomes with its own numbers kept.

    reading: arguments of edgert.convert that settle what a source leaves open; a package has no use for them. Raises
    InputError when there is no such file, and what converting raises.
    """
    if is_package(path):
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    from edgert.compile import convert

    return convert(path, quantize="none", **(reading or {})).data


def is_package(path: Path) -> bool:
    """Whether a file is an .ert package by its first bytes, or by its name where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(8)[4:] == b"ERT1" or path.suffix.lower() == ".ert"
    except OSError:
        return path.suffix.lower() == ".ert"


class _Edgert:
    name = "edgert"

    def __init__(self, path: Path, threads: int) -> None:
        self._model = open_model(path, threads=threads)
        self.inputs, self.outputs = self._model.inputs, self._model.outputs
        self.normalisation = self._model.normalisation
        self.invoke = self._model.invoke

    def set_inputs(self, inputs: Mapping[str, Array]) -> None:
        for name, array in inputs.items():
            self._model.view(name)[...] = array

    def get_outputs(self) -> dict[str, Array]:
        return {info.name: self._model.view(info.name).copy() for info in self.outputs}


class _TfliteLike:
    """LiteRT or tflite-runtime, whose interfaces agree."""

    normalisation: Normalisation = ((), ())

    def __init__(self, name: str, module: str, package: str, path: Path, threads: int) -> None:
        self.name = name
        interpreter = _load(module, package, name).Interpreter
        try:
            self._interpreter = interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{name} cannot open {path}: {str(error).strip().splitlines()[0]}") from error
        self.inputs = tuple(map(_tflite_info, self._interpreter.get_input_details()))
        self.outputs = tuple(map(_tflite_info, self._interpreter.get_output_details()))
        self.invoke = self._interpreter.invoke

    def set_inputs(self, inputs: Mapping[str, Array]) -> None:
        for info in self.inputs:
            self._interpreter.set_tensor(info.index, inputs[info.name])

    def get_outputs(self) -> dict[str, Array]:
        return {info.name: self._interpreter.get_tensor(info.index).copy() for info in self.outputs}


def _tflite_info(details: Mapping[str, Any]) -> TensorInfo:
    scales = details["quantization_parameters"]["scales"]
    zero_points = details["quantization_parameters"]["zero_points"]
    quant = QuantParams(tuple(map(float, scales)), tuple(map(int, zero_points))) if len(scales) else None
    shape = tuple(int(size) for size in details["shape"])
    dtype = DType.of(np.dtype(details["dtype"]))
    return TensorInfo(int(details["index"]), details["name"], dtype, shape, quant, "activation")


class _OnnxRuntime:
    name = "onnxruntime"
    normalisation: Normalisation = ((), ())

    def __init__(self, path: Path, threads: int) -> None:
        ort = _load("onnxruntime", "onnxruntime", self.name)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its own, which share no base but Exception
            raise InputError(f"{self.name} cannot open {path}: {str(error).splitlines()[0]}") from error
        self.inputs = tuple(_onnx_info(i, item) for i, item in enumerate(self._session.get_inputs()))
        self.outputs = tuple(_onnx_info(i, item) for i, item in enumerate(self._session.get_outputs()))
        self._feed: dict[str, Array] = {}
        self._results: list[Array] = []

    def set_inputs(self, inputs: Mapping[str, Array]) -> None:
        self._feed = dict(inputs)

    def invoke(self) -> None:
        self._results = self._session.run(None, self._feed)

    def get_outputs(self) -> dict[str, Array]:
        return {info.name: array for info, array in zip(self.outputs, self._results, strict=True)}


_ONNX_TYPES = {"float": "float32", "double": "float64"}


def _onnx_info(index: int, item: Any) -> TensorInfo:
    """An open dimension is -1."""
    element = item.type.removeprefix("tensor(").removesuffix(")")
    shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in item.shape)
    try:
        dtype = DType.of(_ONNX_TYPES.get(element, element))
    except KeyError as error:
        raise InputError(f"onnxruntime's tensor {item.name!r} holds {element}, which edgert does not have") from error
    return TensorInfo(index, item.name, dtype, shape, None, "activation")


class _OpenVino:
    """OpenVINO's CPU plugin, which reads .tflite, .onnx and its own .xml. Does not tell how tensors are quantised."""

    name = "openvino"
    normalisation: Normalisation = ((), ())

    def __init__(self, path: Path, threads: int) -> None:
        openvino = _load("openvino", "openvino", self.name)
        options = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": threads}
        try:
            compiled = openvino.Core().compile_model(path, "CPU", options)
            self.inputs = tuple(_openvino_info(i, port) for i, port in enumerate(compiled.inputs))
            self.outputs = tuple(_openvino_info(i, port) for i, port in enumerate(compiled.outputs))
        except RuntimeError as error:
            raise InputError(f"{self.name} cannot open {path}: {_last_line(error)}") from error
        self._request = compiled.create_infer_request()
        self._tensor = openvino.Tensor

    def set_inputs(self, inputs: Mapping[str, Array]) -> None:
        for info in self.inputs:
            self._request.set_input_tensor(info.index, self._tensor(np.ascontiguousarray(inputs[info.name])))

    def invoke(self) -> None:
        self._request.infer()

    def get_outputs(self) -> dict[str, Array]:
        return {info.name: self._request.get_output_tensor(info.index).data.copy() for info in self.outputs}


def _openvino_info(index: int, port: Any) -> TensorInfo:
    """An open dimension is -1."""
    dtype = DType.of(np.dtype(port.element_type.to_dtype()))
    shape = tuple(size.get_length() if size.is_static else -1 for size in port.partial_shape)
    return TensorInfo(index, port.get_any_name(), dtype, shape, None, "activation")


def _last_line(error: Exception) -> str:
    """OpenVINO's messages begin with places in its own sources; what is wrong stands last."""
    return str(error).strip().splitlines()[-1].strip()


def _load(module: str, package: str, engine: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(package, f"comparing with {engine}", "test") from error


ENGINES: dict[str, Callable[[Path, int], Engine]] = {
    "edgert": _Edgert,
    "litert": lambda path, threads: _TfliteLike(
        "litert", "ai_edge_litert.interpreter", "ai-edge-litert", path, threads
    ),
    "tflite-runtime": lambda path, threads: _TfliteLike(
        "tflite-runtime", "tflite_runtime.interpreter", "tflite-runtime", path, threads
    ),
    "onnxruntime": _OnnxRuntime,
    "openvino": _OpenVino,
}


def open_engine(path: Path, engine: str, threads: int = 1) -> Engine:
    """Raises InputError for an unknown engine, a missing file, or one that the engine cannot open; MissingExtraError
    when the engine is not installed."""
    if engine not in ENGINES:
        raise InputError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    if not path.is_file():
        raise InputError(
            f"{path} is a folder, needed a model file" if path.is_dir() else f"{path}: there is no such file"
        )
    return ENGINES[engine](path, threads)


def open_native(path: Path, threads: int = 1) -> Engine:
    """A .tflite in LiteRT and an .onnx in onnxruntime where they are installed; anything else in edgert."""
    own = {".tflite": "litert", ".onnx": "onnxruntime"}.get(path.suffix.lower(), "edgert")
    try:
        return open_engine(path, own, threads)
    except MissingExtraError:
        return open_engine(path, "edgert", threads)


def random_inputs(inputs: tuple[TensorInfo, ...], rng: np.random.Generator) -> dict[str, Array]:
    """Floats from the standard normal distribution; integers over their whole range where they are quantised, else
    0 or 1, which is the safest guess for indices and flags. An open dimension is taken as 1."""
    arrays: dict[str, Array] = {}
    for info in inputs:
        dtype: np.dtype[Any] = np.dtype(info.dtype.numpy_name)
        shape = tuple(abs(size) for size in info.shape)
        if dtype.kind == "f":
            arrays[info.name] = rng.standard_normal(shape).astype(dtype)
        elif info.quant is not None or dtype.itemsize == 1:
            low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
            arrays[info.name] = rng.integers(low, high, shape, endpoint=True).astype(dtype)
        else:
            arrays[info.name] = rng.integers(0, 2, shape).astype(dtype)
    return arrays

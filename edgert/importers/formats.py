"""Which framework a model comes from, told by its bytes and its name, and its importer.

FORMATS is the one list; an importer is imported when a model of its kind is loaded.
"""

from __future__ import annotations

import hashlib
import importlib
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.errors import FileFormatError, InputError
from edgert.ir import Graph

InputShapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Format:
    """A kind of model file.

    package: below edgert.importers; it has load(path, input_shapes, **options) and HANDLERS.
    kinds: what its handlers' names are, for a person ("operators", "layers").
    """

    name: str
    title: str
    package: str
    suffixes: tuple[str, ...]
    needs: str  # packages beyond edgert's own, as a person reads it
    options: frozenset[str] = frozenset()  # further arguments of its load
    function: str = "load"
    kinds: str = "operators"

    def handlers(self) -> Mapping[str, Any]:
        handlers: Mapping[str, Any] = self._module().HANDLERS
        return handlers

    def load(self, source: Any, input_shapes: InputShapes | None, options: Mapping[str, Any]) -> Graph:
        """The graph of a path; of an object for the formats IN_MEMORY.

        Raises InputError for an option that this format has no use for, and what the importer raises.
        """
        unknown = sorted(set(options) - self.options)
        if unknown:
            takes = f"it takes {', '.join(sorted(self.options))}" if self.options else "it takes none of the kind"
            raise InputError(f"{unknown[0]} means nothing to {self.title} models; {takes}")
        graph: Graph = getattr(self._module(), self.function)(source, input_shapes, **options)
        return graph

    def _module(self) -> Any:
        return importlib.import_module(f"edgert.importers.{self.package}")


ONNX = Format("onnx", "ONNX", "onnx", (".onnx",), "onnx", frozenset({"constants"}))
TFLITE = Format(
    "tflite", "TFLite", "tflite", (".tflite", ".lite"), "tflite", frozenset({"signature"}), function="load_file"
)
TORCH_EXPORT = Format("torch.export", "PyTorch (torch.export)", "torch", (".pt2",), "nothing")
TORCHSCRIPT = Format(
    "torchscript", "PyTorch (TorchScript)", "torch", (".pt", ".jit", ".pth", ".th"), "torch",
    frozenset({"constants", "entry"}),
)  # fmt: skip
FROZEN = Format(
    "tensorflow.frozen", "TensorFlow (frozen graph)", "tensorflow", (".pb",), "protobuf",
    frozenset({"inputs", "outputs", "constants"}),
)  # fmt: skip
SAVED_MODEL = Format(
    "tensorflow.saved_model", "TensorFlow (SavedModel)", "tensorflow", (), "protobuf",
    frozenset({"inputs", "outputs", "constants", "signature"}), function="load_saved_model",
)  # fmt: skip
KERAS = Format("keras", "Keras", "keras", (".keras", ".h5", ".hdf5"), "h5py", kinds="layers and functions")
CAFFE = Format(
    "caffe", "Caffe", "caffe", (".prototxt", ".caffemodel"), "nothing", frozenset({"weights"}), kinds="layers"
)
MXNET = Format("mxnet", "MXNet", "mxnet", (".json", ".params"), "nothing", frozenset({"weights"}))
TORCH7 = Format("torch7", "Torch7", "torch7", (".t7", ".net"), "nothing", kinds="layers")

FORMATS: tuple[Format, ...] = (
    ONNX, TFLITE, TORCH_EXPORT, TORCHSCRIPT, FROZEN, SAVED_MODEL, KERAS, CAFFE, MXNET, TORCH7,
)  # fmt: skip

# Their packages here bear the frameworks' own names: by these are the objects told.
IN_MEMORY: tuple[Format, ...] = (
    Format(
        "torch.export",
        "PyTorch (in memory)",
        "torch",
        (),
        "torch",
        frozenset({"example_inputs", "example_kwargs", "input_names"}),
        "load_object",
    ),
    Format("tensorflow.function", "TensorFlow (in memory)", "tensorflow", (), "tensorflow", function="load_function"),
)

HDF5 = b"\x89HDF\r\n\x1a\n"
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def detect(path: Path) -> Format:
    """The format of a file or folder. Raises InputError when there is none, FileFormatError when nobody knows it."""
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return SAVED_MODEL
        raise FileFormatError(f"{path}: a folder without saved_model.pb, so it is no SavedModel")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    if path.name == "saved_model.pb":
        raise FileFormatError(f"{path}: part of a SavedModel; give its folder, {path.parent}")
    found = _by_content(path, head)
    if found is not None:
        return found
    suffix = path.suffix.lower()
    by_name = next((kind for kind in FORMATS if suffix in kind.suffixes), None)
    if by_name is not None:
        return by_name
    known = ", ".join(f"{kind.title} ({' '.join(kind.suffixes) or 'a folder'})" for kind in FORMATS)
    raise FileFormatError(f"{path.name}: not a model that can be converted; known are {known}")


def _by_content(path: Path, head: bytes) -> Format | None:
    """What the bytes say; None where only the name can tell."""
    if head[4:8] == b"TFL3":
        return TFLITE
    if head[4:8] == b"ERT1":
        raise FileFormatError(f"{path.name}: this is an .ert package already; convert takes the trained model")
    if head.startswith(HDF5):
        return KERAS
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    if head.startswith(PICKLES):
        return TORCHSCRIPT  # its importer says what to do with a pickle
    return None


def _of_archive(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FileFormatError(f"{path.name}: a damaged zip archive ({error})") from error
    if "config.json" in names:
        return KERAS
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner:
        return TORCHSCRIPT
    if path.suffix.lower() == ".pt2" or "archive_format" in inner or "serialized_exported_program.json" in names:
        return TORCH_EXPORT
    if "data.pkl" in inner:
        return TORCHSCRIPT  # a state dict or a pickled module: its importer says what to do
    raise FileFormatError(f"{path.name}: a zip archive that holds neither a Keras model nor one of PyTorch")


def load(path: Path, input_shapes: InputShapes | None, options: Mapping[str, Any]) -> tuple[Format, Graph]:
    """Format and graph of a model's file or folder."""
    kind = detect(path)
    return kind, kind.load(path, input_shapes, options)


def load_bytes(
    data: bytes, name: str, input_shapes: InputShapes | None, options: Mapping[str, Any]
) -> tuple[Format, Graph]:
    """The same for a file's bytes: TFLite, Keras, PyTorch by what they say of themselves, and ONNX."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (name or "model")
        path.write_bytes(data)
        kind = _by_content(path, data[:16]) or ONNX
        return kind, kind.load(path, input_shapes, options)


def load_object(source: Any, input_shapes: InputShapes | None, options: Mapping[str, Any]) -> tuple[str, Graph]:
    """Format and graph of a model in memory: of PyTorch or TensorFlow, told by the classes that it descends from."""
    for kind in IN_MEMORY:
        if any(base.__module__.partition(".")[0] == kind.package for base in type(source).__mro__):
            return kind.name, kind.load(source, input_shapes, options)
    what = f"{type(source).__module__}.{type(source).__qualname__}"
    raise InputError(
        f"the source is a {what}, needed a path, bytes, a torch.nn.Module, a torch.export program or a function of "
        f"TensorFlow"
    )


def digest(path: Path, graph: Graph) -> tuple[str, int]:
    """(SHA-256, bytes) of a model's file, of all that its graph was read from one after the other, or of a folder's
    files in the order of their names."""
    whole = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    files = list(graph.files) or whole
    total, count = hashlib.sha256(), 0
    for file in files:
        if path.is_dir():
            total.update(file.relative_to(path).as_posix().encode() + b"\0")
        data = file.read_bytes()
        total.update(data)
        count += len(data)
    return total.hexdigest(), count

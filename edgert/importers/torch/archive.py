"""Files of torch.export (.pt2), read without PyTorch: a zip of JSON and raw tensors. Nothing in it is unpickled.

torch.export.load unpickles what such a file brings along, whoever wrote it; hence this reader. Files of before
PyTorch 2.8 keep their weights in PyTorch's own container, which torch.load(weights_only=True) reads.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgert.errors import FileFormatError, MissingExtraError, UnsupportedError
from edgert.errors import Unsupported as Refusal
from edgert.importers.builder import Array
from edgert.importers.torch.types import FROM_SCHEMA, STORED, plain, type_name, widen_bfloat16

MOST_ENTRIES = 1 << 17
LARGEST_JSON = 1 << 27  # bytes; a program of 50,000 operators has 100 MB
OLD_PROGRAM = "serialized_exported_program.json"


@dataclass(frozen=True)
class Program:
    """An exported program: the JSON of torch/_export/serde/schema.py, and its tensors by their qualified names."""

    name: str
    json: Mapping[str, Any]
    weights: Mapping[str, Array]
    constants: Mapping[str, Array]


class Archive:
    """A zip file whose sizes have been checked. PyTorch stores entries as they are, so nothing grows on reading."""

    def __init__(self, source: Path | bytes, label: str) -> None:
        self.label = label
        try:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            self._zip = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
            entries = self._zip.infolist()
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise FileFormatError(f"{label}: no zip archive, or cut short ({error})") from error
        if len(entries) > MOST_ENTRIES:
            raise FileFormatError(f"{label}: an archive of {len(entries)} entries, more than any model has")
        if any(entry.flag_bits & 1 for entry in entries):
            raise FileFormatError(f"{label}: it is encrypted")
        # Compressed entries might be bombs, and entries that share bytes might be, too. Neither is PyTorch's way, but
        # small compressed ones are fine: somebody may have packed the archive anew.
        packed = sum(entry.file_size for entry in entries if entry.compress_type != zipfile.ZIP_STORED)
        stored = sum(entry.file_size for entry in entries if entry.compress_type == zipfile.ZIP_STORED)
        if packed > max(20 * size, 1 << 20) or stored > size:
            raise FileFormatError(f"{label}: its entries claim {packed + stored} bytes, and the file has {size}")
        self.names = [entry.filename for entry in entries]
        self._entries = {entry.filename: entry for entry in entries}

    def read(self, name: str) -> bytes:
        if name not in self._entries:
            raise FileFormatError(f"{self.label}: {name!r} is missing from the archive")
        try:
            return self._zip.read(self._entries[name])
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
            raise FileFormatError(f"{self.label}: {name!r} is damaged ({error})") from error
        except Exception as error:  # zlib.error and its like share no base class
            raise FileFormatError(f"{self.label}: {name!r} cannot be unpacked ({error})") from error

    def json(self, name: str) -> Any:
        if name in self._entries and self._entries[name].file_size > LARGEST_JSON:
            raise FileFormatError(f"{self.label}: {name!r} has {self._entries[name].file_size} bytes")
        try:
            return json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{self.label}: {name!r} is damaged ({error})") from error

    def close(self) -> None:
        self._zip.close()


def is_program(names: list[str]) -> bool:
    """Whether an archive with these entries holds an exported program."""
    return any(name == OLD_PROGRAM or _model_name(name) for name in names)


def _model_name(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return file[: -len(".json")] if folder.split("/")[-1:] == ["models"] and file.endswith(".json") else ""


def read_program(source: Path | bytes, label: str) -> Program:
    """The program in a file of torch.export.

    Raises FileFormatError for what is none, or is damaged; UnsupportedError for tensors that only unpickling would
    read, and for complex and sparse ones; MissingExtraError for an old file without torch.
    """
    archive = Archive(source, label)
    try:
        if OLD_PROGRAM in archive.names:
            return _old_program(archive, label)
        models = {_model_name(name): name for name in archive.names if _model_name(name)}
        if not models:
            raise FileFormatError(f"{label}: no program of torch.export: the archive has no models/*.json")
        if len(models) > 1 and "model" not in models:
            raise FileFormatError(f"{label}: it has {len(models)} models ({', '.join(sorted(models))}); save one alone")
        name = "model" if "model" in models else next(iter(models))
        root = models[name].removesuffix(f"models/{name}.json")
        if f"{root}byteorder" in archive.names and archive.read(f"{root}byteorder") != b"little":
            raise FileFormatError(f"{label}: it was written on a machine of the other byte order; save it anew")
        return Program(
            name, _checked(archive.json(models[name]), label),
            _payloads(archive, f"{root}data/weights/", f"{name}_weights_config.json", f"{name}.pt"),
            _payloads(archive, f"{root}data/constants/", f"{name}_constants_config.json", f"{name}.pt"),
        )  # fmt: skip
    finally:
        archive.close()


def _checked(program: Any, label: str) -> Mapping[str, Any]:
    if not isinstance(program, dict) or not isinstance(program.get("graph_module"), dict):
        raise FileFormatError(f"{label}: its program is damaged: it has no graph")
    return program


def _old_program(archive: Archive, label: str) -> Program:
    program = _checked(archive.json(OLD_PROGRAM), label)
    tensors = [_unpickled(archive, name) for name in ("serialized_state_dict.pt", "serialized_constants.pt")]
    return Program(Path(label).stem, program, *tensors)


def _payloads(archive: Archive, folder: str, config: str, old: str) -> dict[str, Array]:
    if folder + config not in archive.names:
        return _unpickled(archive, folder + old) if folder + old in archive.names else {}
    listed = archive.json(folder + config)
    entries = listed.get("config") if isinstance(listed, dict) else None
    if not isinstance(entries, dict):
        raise FileFormatError(f"{archive.label}: {config!r} is damaged")
    blocks: dict[str, bytes] = {}
    tensors = {}
    for name, entry in entries.items():
        try:
            if entry["use_pickle"]:
                raise _refused(name, "it is stored as a pickle (a tensor subclass, or an object)")
            path = entry["path_name"]
            if path not in blocks:
                blocks[path] = archive.read(folder + path)
            tensors[name] = _tensor(blocks[path], entry["tensor_meta"], name)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise FileFormatError(f"{archive.label}: the tensor {name!r} is damaged ({error})") from error
    return tensors


def _refused(name: str, reason: str) -> UnsupportedError:
    return UnsupportedError([Refusal(name, "tensor", reason, "use plain float32 or integer tensors")])


def _tensor(data: bytes, meta: Mapping[str, Any], name: str) -> Array:
    """A tensor of the given sizes and strides over raw bytes; ValueError for one that reads beyond them."""
    code = FROM_SCHEMA.get(meta["dtype"], -1)
    if code not in STORED:
        raise _refused(name, f"its elements are {type_name(code)}")
    if meta["layout"] != 7:
        raise _refused(name, "it is sparse")
    sizes = [int(item["as_int"]) for item in meta["sizes"]]
    strides = [int(item["as_int"]) for item in meta["strides"]]
    offset = int(meta["storage_offset"]["as_int"])
    if len(sizes) != len(strides) or min([*sizes, *strides, offset], default=0) < 0 or len(sizes) > 32:
        raise ValueError(f"sizes {sizes} with strides {strides}")
    kind = np.dtype(STORED[code])
    if 0 in sizes:
        return plain(np.zeros(sizes, kind))
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if (last + 1) * kind.itemsize > len(data) or math.prod(sizes) * kind.itemsize > max(len(data), 1 << 20):
        raise ValueError(f"{sizes} do not fit into {len(data)} bytes")
    elements = np.frombuffer(data, kind, len(data) // kind.itemsize)
    view = np.lib.stride_tricks.as_strided(
        elements[offset:], sizes, [stride * kind.itemsize for stride in strides], writeable=False
    )
    array = np.ascontiguousarray(view).reshape(sizes)
    return widen_bfloat16(array) if code == 15 else plain(array)


def _unpickled(archive: Archive, name: str) -> dict[str, Array]:
    """Tensors in PyTorch's container, read by its own restricted unpickler."""
    if name not in archive.names:
        return {}
    try:
        import torch
    except ImportError:
        raise MissingExtraError("torch", "reading a program saved before PyTorch 2.8", "torch") from None
    data = archive.read(name)
    if data[:2] == b"PK":
        Archive(data, f"{archive.label}: {name}").close()
    try:
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises what its parts raise
        raise FileFormatError(
            f"{archive.label}: {name!r} is damaged, or no plain weights ({first_line(error)})"
        ) from error
    if not isinstance(loaded, dict):
        raise FileFormatError(f"{archive.label}: {name!r} holds no weights by name")
    return {str(key): to_array(value, str(key)) for key, value in loaded.items() if isinstance(value, torch.Tensor)}


def to_array(tensor: Any, name: str) -> Array:
    """A torch.Tensor as an array; UnsupportedError for complex, sparse and quantised ones."""
    import torch

    if tensor.layout != torch.strided:
        raise _refused(name, "it is sparse")
    if tensor.is_complex() or tensor.is_quantized:
        raise _refused(name, "it is quantised" if tensor.is_quantized else "its elements are complex")
    stored = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > max(stored, 1 << 20):
        raise _refused(name, f"it shows {stored} bytes as {list(tensor.shape)}")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()
    try:
        return plain(np.ascontiguousarray(tensor.numpy()).reshape(tuple(tensor.shape)))
    except TypeError:
        raise _refused(name, f"its elements are {tensor.dtype}".replace("torch.", "")) from None


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= 300 else f"{line[:297]}..."

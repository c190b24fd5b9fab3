"""Opens Keras files: .keras (a zip of configuration and weights) and .h5 (both in one HDF5 file)."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgert.errors import EdgertError, FileFormatError, InputError
from edgert.importers.keras import keras1
from edgert.importers.keras.hdf5 import FREE_BYTES, GROWTH, SIGNATURE, Hdf5
from edgert.importers.keras.layer import Layer, Origin
from edgert.importers.keras.structure import build
from edgert.importers.keras.variables import from_lists, from_tree

CONFIG_BYTES = 64 << 20
SAVE_WHOLE = "model.save('model.keras'), or model.save('model.h5')"


@contextmanager
def opened(path: Path) -> Iterator[Layer]:
    """The outermost model of a file; its weights can be read while the context lasts.

    Raises FileFormatError (no Keras file, or damaged), ModelError (what it says means no model), InputError (weights
    alone, or no file).
    """
    if not path.is_file():
        what = "a folder; a SavedModel is TensorFlow's" if path.is_dir() else "there is no such file"
        raise InputError(f"{path}: {what}")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] == b"PK\x03\x04":
        config, version, data = _archive(path)
        with Hdf5(data, f"{path.name}: model.weights.h5") as weights:
            model = build(config, Origin(version, ""))
            from_tree(model, weights)
            yield model
        return
    if start != SIGNATURE:
        raise FileFormatError(f"{path.name}: not a Keras file: neither a zip nor HDF5")
    with Hdf5(path, path.name) as file_:
        text = file_.attribute("", "model_config")
        if text is None:
            raise InputError(_without_config(path, file_))
        text = str(text)
        config = _parsed(text, path.name)
        origin = _origin(text, file_)
        model = build(config, origin)
        assert model.body is not None
        from_lists(model.body, file_, "model_weights")
        keras1.modernise(model)
        yield model


def _archive(path: Path) -> tuple[Mapping[str, Any], int, bytes]:
    """Configuration, Keras' version and weights of a .keras file."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: info for info in archive.infolist()}
            if "config.json" not in members:
                raise FileFormatError(f"{path.name}: a zip without config.json: not a Keras file")
            config = _parsed(_member(archive, members["config.json"], path, CONFIG_BYTES), path.name)
            version = 3
            if "metadata.json" in members:
                metadata = _parsed(_member(archive, members["metadata.json"], path, 1 << 20), path.name)
                version = _major(metadata.get("keras_version"), 3)
            if "model.weights.h5" not in members:
                other = [name for name in members if "weights" in name]
                found = f"it holds {other[0]!r}" if other else "it holds none"
                raise InputError(
                    f"{path.name}: needed weights as model.weights.h5 and {found}; save it with {SAVE_WHOLE}"
                )
            size = path.stat().st_size
            return config, version, _member(archive, members["model.weights.h5"], path, max(FREE_BYTES, GROWTH * size))
    except EdgertError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError, zlib.error) as error:
        text = " ".join(str(error).split())
        raise FileFormatError(f"{path.name}: the zip is damaged or cut short ({text})") from error


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, most: int) -> bytes:
    """A member's bytes; what states more than it may have is refused before it is unpacked."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileFormatError(f"{path.name}: {info.filename} is compressed in a way that is not known; use deflate")
    if info.file_size > most:
        raise FileFormatError(
            f"{path.name}: {info.filename} states {info.file_size} bytes, more than the file can mean"
        )
    with archive.open(info) as member:
        return member.read(info.file_size + 1)


def _parsed(text: str | bytes, name: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{name}: its configuration is no JSON ({' '.join(str(error).split())})") from error
    if not isinstance(found, Mapping):
        raise FileFormatError(f"{name}: its configuration is no JSON object")
    return found


def _origin(config: str, file: Hdf5) -> Origin:
    release = file.attribute("", "keras_version") or file.attribute("model_weights", "keras_version")
    version = _major(release, 1)
    backend = file.attribute("", "backend") or file.attribute("model_weights", "backend")
    if not isinstance(backend, str):
        names: list[str] = []
        for group in file.names("model_weights"):
            names = file.texts(f"model_weights/{group}", "weight_names")
            if names:
                break
        backend = keras1.written_with(names) if version == 1 else ""
    orders = [f'"dim_ordering": "{order}"' in config for order in ("th", "tf")]
    return Origin(version, backend, str(release), channels_first=orders == [True, False])


def _major(version: Any, otherwise: int) -> int:
    head = str(version).partition(".")[0] if version is not None else ""
    return int(head) if head.isdecimal() and len(head) < 4 and int(head) in (1, 2, 3) else otherwise


def _without_config(path: Path, file: Hdf5) -> str:
    if file.attribute("", "layer_names") is not None or file.has("layers") or file.has("vars"):
        return (
            f"{path.name}: it holds weights alone, without the model; build the model in Keras, load them with "
            f"model.load_weights({path.name!r}) and save the whole with {SAVE_WHOLE}"
        )
    return f"{path.name}: an HDF5 file without a Keras model; save the whole model with {SAVE_WHOLE}"

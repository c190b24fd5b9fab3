"""Data sets from files, folders and functions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgert.data import Normalisation, Sample, load_files, load_samples, read_labels
from edgert.data.files import BESIDE, READERS, arrays_of, only, stack_samples
from edgert.errors import InputError
from edgert.evaluation.dataset import Array, Dataset, Item, item_of
from edgert.evaluation.targets import boxes_of, checked_class, class_folders, masks_of
from edgert.functions import failure, load_function
from edgert.runtime.tensors import TensorInfo

_NOT_STATED: Normalisation = ((), ())
_SEVERAL = {".npz", ".npy", ".wav"}  # files that may hold more than one sample


def load_dataset(
    data: str | Path,
    inputs: Sequence[TensorInfo],
    labels: str | Path | None = None,
    normalisation: Normalisation = _NOT_STATED,
    names: Sequence[str] = (),
    classes: int | None = None,
) -> Dataset:
    """Samples for a model with these inputs, with their targets where there are some.

    data and labels may be
    - a folder of images, .bin, .npy or .wav files, and a CSV of rows file,label or file,classes,label;
    - a folder of images, and a folder of .txt files with rows class cx cy w h (YOLO), or of mask images whose pixels
      are classes (255: ignored), with the images' names; or one folder of both, as images/ and labels/ or masks/;
    - a folder with a folder of files for each class, called by the class's name or index, else counted by name;
    - an .npz with an array for each input and `labels` (and `sequences`: which rows are moments of one recording);
    - module:function, a function that yields samples or (sample, target);
    - anything that load_samples reads, without labels.
    The windows of a .wav, and the rows of one array among several, are successive moments of one recording.

    names: the classes' names; classes: how many a classifier tells apart, where that is known. Raises InputError that
    names the file, and the line, for labels that are missing, damaged, unknown or beyond the classes; so does reading a
    sample.
    """
    form = _Form(inputs, normalisation)
    path = Path(data)
    if path.is_dir():
        return _folder(path, None if labels is None else Path(labels), form, names, classes)
    if labels is not None:
        kind = "an .npz holds them as its array 'labels'" if path.is_file() else "a function yields (sample, target)"
        if path.suffix and not path.is_file():
            raise InputError(f"{path}: there is no such file or folder")
        raise InputError(f"{data}: labels beside it are for folders; {kind}")
    if path.suffix.lower() == ".npz" and path.is_file():
        return _archive(path, form, classes)
    if path.is_file():
        return Dataset(str(data), list(_file_items([path], form, together=False)), None, str(form))
    if ":" in str(data) and not path.suffix:
        return _function(str(data), form, classes)
    load_samples(data, inputs, normalisation)  # says what is wrong with it
    raise InputError(f"{data} cannot be read as a data set")


class _Form:
    """How files become samples."""

    def __init__(self, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> None:
        self.inputs, self.normalisation = tuple(inputs), normalisation

    def __str__(self) -> str:
        return f"{'; '.join(map(str, self.inputs))}; {self.normalisation}"

    def read(self, path: Path) -> list[Sample]:
        return list(load_files([path], self.inputs, self.normalisation))


def _folder(
    path: Path, labels: Path | None, form: _Form, names: Sequence[str], classes: int | None, source: str = ""
) -> Dataset:
    source = source or str(path)
    if labels is None:
        for kind in ("labels", "masks"):
            if (path / "images").is_dir() and (path / kind).is_dir():
                return _folder(path / "images", path / kind, form, names, classes, str(path))
        if not _data_files(path) and (folders := class_folders(path, names)):
            found = [(file, label) for folder, label in folders for file in _data_files(folder)]
            for folder, _label in folders:
                if not _data_files(folder):
                    raise InputError(f"the folder {folder} holds no data; needed images, .bin, .npy or .npz files")
            targets = [checked_class(str(file), label, classes) for file, label in found]
            return Dataset(source, _single_items([file for file, _ in found], form), targets, str(form))
        load_samples(path, form.inputs, form.normalisation)  # says what is wrong with the folder
        return Dataset(source, list(_file_items(_data_files(path), form, together=True)), None, str(form))
    if labels.is_dir():
        files = _data_files(path)
        if not files:
            raise InputError(f"the folder {path} holds no data; needed images, .bin, .npy or .npz files")
        texts = any(file.suffix.lower() == ".txt" for file in labels.iterdir())
        beside = boxes_of(files, labels, form.inputs, len(names) or None) if texts else masks_of(files, labels)
        return Dataset(source, _single_items(files, form), list[Any](beside), str(form))
    wanted = read_labels(labels, names)
    targets = [checked_class(f"{labels}: {name}", label, classes) for name, label in wanted.items()]
    files = [path / name for name in wanted]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(files)} labelled files are not in {path}, such as {missing[0].name}"
        )
    return Dataset(source, _single_items(files, form), targets, str(form))


def _data_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in READERS)


def _single_items(files: Sequence[Path], form: _Form) -> list[Item]:
    """Files that hold one sample each."""
    return [Item(file.name, i, _hash_of(file), _reader(file, form, 0, 1)) for i, file in enumerate(files)]


def _file_items(files: Sequence[Path], form: _Form, together: bool) -> Iterator[Item]:
    """All samples of all files. together: those of one file are moments of one recording; a .wav's always are."""
    sequence = 0
    for file in files:
        suffix = file.suffix.lower()
        samples = form.read(file) if suffix in _SEVERAL else []
        count = len(samples) if suffix in _SEVERAL else 1
        for i in range(count):
            content = _hash_of(file, i) if count > 1 else _hash_of(file)
            yield Item(samples[i].name if samples else file.name, sequence, content, _reader(file, form, i, count))
            sequence += not (together or suffix == ".wav")
        sequence += 1


def _hash_of(file: Path, index: int | None = None) -> Callable[[], str]:
    def content() -> str:
        try:
            digest = hashlib.sha256(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
        if index is not None:
            digest.update(str(index).encode())
        return digest.hexdigest()

    return content


def _reader(file: Path, form: _Form, index: int, count: int) -> Callable[[], Sample]:
    def read() -> Sample:
        samples = form.read(file)
        if len(samples) != count:
            needed = "a labelled file must hold one" if count == 1 else f"it held {count} before"
            raise InputError(f"{file} holds {len(samples)} samples; {needed}")
        return samples[index]

    return read


def _archive(path: Path, form: _Form, classes: int | None) -> Dataset:
    arrays = arrays_of(path)
    taken = {info.name for info in form.inputs}
    known = {name: arrays.pop(name) for name in BESIDE if name in arrays and name not in taken}
    samples = list(stack_samples(arrays, form.inputs, form.normalisation, path.name))
    for name, array in known.items():
        if array.ndim == 0 or len(array) != len(samples):
            raise InputError(
                f"{path}: the array {name!r} has shape {list(array.shape)} and there are {len(samples)} samples; "
                "needed one row for each"
            )
    sequences = _numbered(known.get("sequences"), len(samples), path)
    items = [item_of(sample, sequence) for sample, sequence in zip(samples, sequences, strict=True)]
    if "labels" not in known:
        return Dataset(str(path), items, None, str(form))
    return Dataset(str(path), items, list(_rows(known["labels"], path, classes)), str(form))


def _rows(labels: Array, path: Path, classes: int | None) -> Iterator[Any]:
    """Integers as classes, anything else as it is."""
    if labels.dtype.kind not in "fiub":
        raise InputError(f"{path}: the array 'labels' holds {labels.dtype}, needed numbers")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.argwhere(~np.isfinite(labels))[0][0])
        raise InputError(f"{path}: the array 'labels' holds a number that is not finite in row {row}")
    is_class = labels.ndim == 1 and labels.dtype.kind in "iu"
    for i, row in enumerate(labels):
        yield checked_class(f"{path.name}[{i}]", int(row), classes) if is_class else np.asarray(row)


def _numbered(array: Array | None, count: int, path: Path) -> list[int]:
    """The number of every row's recording, in the order of rows: rows of one must stand together."""
    if array is None:
        return list(range(count))
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(
            f"{path}: the array 'sequences' is {array.dtype}{list(array.shape)}, needed a whole number a row"
        )
    numbers: list[int] = []
    seen: dict[int, int] = {}
    for i, number in enumerate(array.tolist()):
        if number in seen and array[i - 1] != number:
            raise InputError(f"{path}: the array 'sequences' comes back to {number} in row {i}; needed rows together")
        numbers.append(seen.setdefault(number, len(seen)))
    return numbers


def _function(source: str, form: _Form, classes: int | None) -> Dataset:
    """The function is called once, and its samples are kept."""
    items: list[Item] = []
    targets: list[Any] = []
    for i, given in enumerate(_called(source)):
        name = f"{source}[{i}]"
        labelled = isinstance(given, tuple)
        if labelled and len(given) != 2:
            raise InputError(f"{name} is a tuple of {len(given)}; needed a sample, or (sample, target)")
        if i > 0 and labelled != bool(targets):
            raise InputError(
                f"{name} has {'a' if labelled else 'no'} target, and the samples before it have {_other(labelled)}"
            )
        sample = given[0] if labelled else given
        named = sample if isinstance(sample, Mapping) else {only(form.inputs, source).name: sample}
        try:
            arrays = {key: np.asarray(value) for key, value in named.items()}
        except ValueError as error:
            raise InputError(f"{name} is no array: {error}") from error
        moments = list(stack_samples(arrays, form.inputs, form.normalisation, name))
        items += [item_of(moment, i) for moment in moments]
        if labelled:
            targets += _targets_of(given[1], len(moments), name, classes)
    if not items:
        raise InputError(f"{source} gave no sample")
    return Dataset(source, items, targets or None, str(form))


def _other(labelled: bool) -> str:
    return "none" if labelled else "one"


def _targets_of(target: Any, count: int, name: str, classes: int | None) -> list[Any]:
    """Of a stack of samples, a target for each."""
    if count == 1:
        whole = isinstance(target, (int, np.integer)) and not isinstance(target, bool)
        return [checked_class(name, int(target), classes) if whole else target]
    if not isinstance(target, (list, tuple, np.ndarray)) or len(target) != count:
        raise InputError(f"{name} is a stack of {count} samples; needed a list of as many targets")
    return [one for i, part in enumerate(target) for one in _targets_of(part, 1, f"{name}[{i}]", classes)]


def _called(source: str) -> Iterator[Any]:
    function = load_function(source)
    done = 0
    try:
        for item in function():
            yield item
            done += 1
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        after = f", after {done} samples" if done else ""
        raise InputError(
            f"{source}{after} failed: {failure(error)}; a function of samples takes no arguments and yields samples "
            "(arrays or {input name: array}) or (sample, target) (--debug shows where it failed)"
        ) from error

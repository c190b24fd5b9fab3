"""Many samples: a file, a folder, or a function."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgert.data.files import READERS, only, read_image, reader_of, stack_samples
from edgert.data.sample import Normalisation, Sample
from edgert.errors import InputError
from edgert.functions import failure, load_function
from edgert.runtime.tensors import TensorInfo

_NOT_STATED: Normalisation = ((), ())


class Samples(Iterable[Sample]):
    """Samples, read one by one while iterating, as often as wanted. count: how many, None where it is not known."""

    def __init__(
        self, source: str, paths: Sequence[Path], inputs: Sequence[TensorInfo], normalisation: Normalisation
    ) -> None:
        self.source = source
        self._paths = paths
        self._inputs = inputs
        self._normalisation = normalisation
        several = {".npz", ".npy", ".wav"}  # files that may hold more than one sample
        alone = paths and all(path.suffix.lower() not in several for path in paths)
        self.count: int | None = len(paths) if alone else None

    def __iter__(self) -> Iterator[Sample]:
        if not self._paths:
            yield from _call(self.source, self._inputs, self._normalisation)
        for path in self._paths:
            if not path.is_file():
                raise InputError(f"{path}: there is no such file")
            yield from reader_of(path)(path, self._inputs, self._normalisation)

    def arrays(self) -> Arrays:
        """Their inputs alone, as convert takes calibration samples."""
        return Arrays(self)


class Arrays(Iterable[Mapping[str, NDArray[Any]]]):
    """The inputs of samples, by name, as often as wanted."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __iter__(self) -> Iterator[Mapping[str, NDArray[Any]]]:
        return (sample.inputs for sample in self._samples)

    def __length_hint__(self) -> int:
        return self._samples.count or 0


def load_samples(
    source: str | Path, inputs: Sequence[TensorInfo], normalisation: Normalisation = _NOT_STATED
) -> Samples:
    """Samples of a file, a folder, or "module:function", for a model with these inputs.

    Raises InputError when there is nothing to read; iterating raises InputError that names the sample which does not
    fit, and MissingExtraError for images without pillow.
    """
    text, path = str(source), Path(source)
    if path.is_dir():
        return Samples(text, _folder(path), inputs, normalisation)
    if path.is_file():
        reader_of(path)
        return Samples(text, [path], inputs, normalisation)
    if ":" in text and not path.suffix:
        return Samples(text, [], inputs, normalisation)
    raise InputError(
        f"{text}: there is no such file or folder (and it is no module:function); "
        "give an .npz, an .npy, a folder of images or .bin files, or module:function"
    )


def load_files(
    paths: Sequence[Path], inputs: Sequence[TensorInfo], normalisation: Normalisation = _NOT_STATED
) -> Samples:
    """Samples of these files, in this order."""
    for path in paths:
        reader_of(path)
    return Samples(", ".join(map(str, paths)), paths, inputs, normalisation)


def _folder(folder: Path) -> list[Path]:
    """The data files of a folder, by name. All must be of one kind; other files (labels, licences) are passed over."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in READERS)
    kinds = Counter("image" if READERS[path.suffix.lower()] is read_image else path.suffix.lower() for path in files)
    if not files:
        raise InputError(f"the folder {folder} holds no data; needed images, .bin, .npy, .npz or .wav files")
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        raise InputError(f"the folder {folder} holds files of several kinds ({found}); needed one kind")
    return files


def _call(source: str, inputs: Sequence[TensorInfo], normalisation: Normalisation) -> Iterator[Sample]:
    """Samples of module:function. The module is looked up in the working folder first; each item is an array, or a
    dict of arrays by input name, or a tuple of such a one and a target, which does not matter here."""
    function = load_function(source)
    try:
        items = iter(function())
    except (Exception, SystemExit) as error:
        raise _failed(source, error) from error
    i = 0
    while True:
        try:
            item = next(items)
        except StopIteration:
            return
        except (Exception, SystemExit) as error:
            raise _failed(f"{source}, after {i} samples", error) from error
        name = f"{source}[{i}]"
        item = item[0] if isinstance(item, tuple) and len(item) == 2 else item
        named = item if isinstance(item, Mapping) else {only(inputs, source).name: item}
        try:
            arrays = {key: np.asarray(value) for key, value in named.items()}
        except ValueError as error:
            raise InputError(f"{name} is no array: {error}") from error
        yield from stack_samples(arrays, inputs, normalisation, name)
        i += 1


def _failed(source: str, error: BaseException) -> InputError:
    return InputError(
        f"{source} failed: {failure(error)}; a function of samples takes no arguments and returns or yields arrays or "
        "{input name: array} (--debug shows where it failed)"
    )

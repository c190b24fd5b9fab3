"""What is known of samples: classes, boxes, masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgert.data.files import READERS, read_image
from edgert.data.sample import image_size, is_image
from edgert.errors import InputError, MissingExtraError
from edgert.evaluation.dataset import Array
from edgert.functions import failure
from edgert.metrics.boxes import Boxes
from edgert.runtime.tensors import TensorInfo


def checked_class(where: str, label: int, classes: int | None) -> int:
    """InputError that says where a label stands that the model cannot give."""
    if classes is not None and not 0 <= label < classes:
        raise InputError(f"{where} has the label {label}, but the model has {classes} classes")
    return label


def class_folders(path: Path, names: Sequence[str]) -> list[tuple[Path, int]]:
    """The folders of a folder, each with its class: by the classes' names; else the numbers that they are called by;
    else counted in the order of their names. None when there is no folder."""
    folders = sorted(folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    known = {name: i for i, name in enumerate(names)}
    if any(folder.name in known for folder in folders):
        unknown = [folder for folder in folders if folder.name not in known]
        if unknown:
            raise InputError(f"the folder {unknown[0]} is called by none of the model's labels")
        return [(folder, known[folder.name]) for folder in folders]
    if all(folder.name.isdecimal() for folder in folders):
        return [(folder, int(folder.name)) for folder in folders]
    return [(folder, i) for i, folder in enumerate(folders)]


def boxes_of(files: Sequence[Path], labels: Path, inputs: Sequence[TensorInfo], classes: int | None) -> Iterator[Boxes]:
    """Of every image, from the .txt of its name: rows class cx cy w h, as shares of width and height (YOLO)."""
    size = image_size(inputs[0])[:2] if inputs and is_image(inputs[0]) else (0, 0)
    for file in files:
        path = labels / f"{file.stem}.txt"
        if not path.is_file():
            raise InputError(
                f"{file.name} has no labels: there is no {path}; an image without objects has an empty one"
            )
        yield Boxes.of(_box_rows(path, classes), size)


def _box_rows(path: Path, classes: int | None) -> list[list[float]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        words = line.split()
        try:
            label, x, y, width, height = map(float, words)
        except ValueError:
            raise InputError(f"{where}: {line.strip()!r}, needed five numbers: class cx cy w h") from None
        if not (label >= 0 and label.is_integer()):
            raise InputError(f"{where}: class {words[0]}, needed a whole number from 0 on")
        checked_class(where, int(label), classes)
        if not all(0 <= number <= 1 for number in (x, y, width, height)):  # NaN is not, either
            raise InputError(f"{where}: {line.strip()!r}, needed shares of width and height from 0 to 1")
        rows.append([label, x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return rows


def masks_of(files: Sequence[Path], labels: Path) -> Iterator[Array]:
    """Of every image, the mask image of its name: uint8 or int32 [height, width], a class for every pixel."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("pillow", f"reading the masks in {labels}") from error
    images = {suffix for suffix, reader in READERS.items() if reader is read_image}
    masks = {path.stem: path for path in sorted(labels.iterdir()) if path.suffix.lower() in images}
    for file in files:
        path = masks.get(file.stem)
        if path is None:
            raise InputError(f"{file.name} has no mask: there is no {labels / file.stem}.png")
        try:
            with Image.open(path) as image:
                mode, mask = image.mode, np.asarray(image)  # of a palette, the indices
        except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"{path} is no readable image: {failure(error)}") from error
        if mode not in ("1", "L", "P") and not mode.startswith("I"):
            raise InputError(f"{path} is an image of mode {mode}, needed one number a pixel: its class")
        yield mask.astype(np.uint8 if mask.max(initial=0) < 256 else np.int32)

"""Labelled data: a CSV that names a file and its class."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from edgert.errors import InputError


def read_labels(path: Path, names: Sequence[str] = ()) -> dict[str, int]:
    """Class index by file name, in the order of the CSV: rows `file,label` or `file,classes,label`.

    A label is an index, or one of `names`. A first row that is a heading (no file
    with a suffix, and no such label) is passed over. Raises InputError with the
    line for anything else.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"the labels {path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    index = {name: i for i, name in enumerate(names)}
    labels: dict[str, int] = {}
    for line, row in enumerate(rows, 1):
        if not row or row == [""]:
            continue
        if len(row) not in (2, 3):
            raise InputError(f"{path}, line {line}: {len(row)} columns, needed file,label or file,classes,label")
        text = row[-1]
        if text.isdecimal():
            label = int(text)
        elif text in index:
            label = index[text]
        elif line == 1 and not Path(row[0]).suffix:
            continue
        else:
            raise InputError(f"{path}, line {line}: label {text!r} is neither a number nor one of the model's labels")
        if len(row) == 3 and row[1].isdecimal() and label >= int(row[1]):
            raise InputError(f"{path}, line {line}: label {label} of {row[1]} classes")
        if row[0] in labels:
            raise InputError(f"{path}, line {line}: {row[0]} has a label already")
        labels[row[0]] = label
    if not labels:
        raise InputError(f"{path} holds no labels; needed rows file,label")
    return labels

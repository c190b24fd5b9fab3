"""The line's report: a row for every board, written as soon as its result is known, so that a power cut loses none."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from edgert.errors import InputError

KINDS = (".csv", ".json")


@dataclass(frozen=True)
class Row:
    """result: "pass" or "fail", reason: why it failed. serial: the USB device's or adb's; device: the id that the board
    told. sha256: of the package."""

    serial: str
    device: str
    address: str
    result: str
    reason: str
    model: str
    counter: int | None
    state: str
    sha256: str
    bytes_sent: int
    retries: int
    attempts: int
    began: str  # ISO 8601, UTC
    seconds: float


COLUMNS = tuple(field.name for field in fields(Row))


class Report:
    """path: a .csv to which rows are added, those of earlier runs included, or a .json with this run's; None: nowhere.

    Raises InputError, before the first board, for a file that cannot be written or holds something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.rows: list[Row] = []
        self._path = path
        if path is None:
            return
        if path.suffix not in KINDS:
            raise InputError(f"{path} cannot be the report; needed a name that ends in .csv or .json")
        if not path.parent.is_dir():
            raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
        if path.suffix == ".csv":
            self._begin_csv(path)
        else:
            self._write_json(path)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if self._path is None:
            return
        if self._path.suffix == ".json":
            self._write_json(self._path)
            return
        with self._path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(asdict(row))
            _to_disk(file.fileno())

    @property
    def passed(self) -> int:
        return sum(row.result == "pass" for row in self.rows)

    @property
    def failed(self) -> int:
        return len(self.rows) - self.passed

    @staticmethod
    def _begin_csv(path: Path) -> None:
        if path.exists() and path.stat().st_size:
            with path.open(newline="", encoding="utf-8") as file:
                if next(csv.reader(file), []) != list(COLUMNS):
                    raise InputError(f"{path} holds something else than such reports; name another file")
            return
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(COLUMNS)

    def _write_json(self, path: Path) -> None:
        content = {"passed": self.passed, "failed": self.failed, "boards": [asdict(row) for row in self.rows]}
        beside = path.with_name(f".{path.name}.new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            _to_disk(file.fileno(), file)
        beside.replace(path)


def _to_disk(number: int, file: object = None) -> None:
    if file is not None:
        file.flush()  # type: ignore[attr-defined]
    os.fsync(number)

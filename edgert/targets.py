"""What a package can be packed for: the files of targets/, and the machine that converts it, "host"."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.errors import InputError
from edgert.runtime import _native

HOST = "host"


@dataclass(frozen=True)
class Target:
    """instruction_sets: what its processor has of those that edgert has kernels for, in rising order."""

    name: str
    description: str
    architecture: str  # "x86_64", "aarch64" or "armv7"
    instruction_sets: tuple[str, ...]


def targets() -> tuple[Target, ...]:
    """Every target that has a file, by name, and the host before them. Raises InputError for a damaged file."""
    files = sorted(_folder().glob("*.toml"), key=lambda path: path.stem)
    return (_host(), *(_read(path) for path in files))


def target(name: str) -> Target:
    """The target of this name. Raises InputError, which names those that there are."""
    known = {found.name: found for found in targets()}
    if name not in known:
        raise InputError(f"there is no target {name!r}; there are {', '.join(known)}")
    return known[name]


def _host() -> Target:
    architecture, instruction_sets = _native.host_target()
    return Target(HOST, "this machine", architecture, tuple(instruction_sets.split()))


def _folder() -> Path:
    """Installed beside this module, or in a source checkout."""
    installed = Path(__file__).with_name("target_files")
    return installed if installed.is_dir() else Path(__file__).resolve().parent.parent / "targets"


def _read(path: Path) -> Target:
    try:
        facts: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return Target(path.stem, facts["description"], facts["architecture"], tuple(facts["instruction_sets"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the target file {path} cannot be read: {error}") from error

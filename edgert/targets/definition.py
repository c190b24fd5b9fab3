"""The files of targets/, one a device or kind of processor, and the machine that this runs on, "host"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.errors import InputError
from edgert.runtime import _native

HOST = "host"
ARCHITECTURES = ("x86_64", "aarch64", "armv7")
TRANSPORTS = ("serial", "ssh", "adb", "file")  # as the addresses of `edgert push` begin

_KEYS = {
    "description", "architecture", "instruction_sets", "processor", "cores", "memory_mib", "page_bytes", "transports",
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """instruction_sets: what its processor has of those that edgert has kernels for, in rising order.

    processor: chip and core, where the target is one device. cores: how many; None where devices differ.
    memory_sizes: bytes of memory that it is sold with, in rising order, none where devices differ; what a system shows
    is less. page_sizes: of its systems, in bytes, the usual one first. transports: those of TRANSPORTS that reach it.
    """

    name: str
    description: str
    architecture: str  # one of ARCHITECTURES
    instruction_sets: tuple[str, ...]
    processor: str = ""
    cores: int | None = None
    memory_sizes: tuple[int, ...] = ()
    page_sizes: tuple[int, ...] = ()
    transports: tuple[str, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """A target that is taken as a requirement asks for no memory: how much is needed is the package's to say."""
        return 0


def targets() -> tuple[Target, ...]:
    """Every target that has a file, by name, and the host before them. Raises InputError for a damaged file."""
    files = sorted(_folder().glob("*.toml"), key=lambda path: path.stem)
    return (_host(), *(read_target(path) for path in files))


def target(name: str) -> Target:
    """The target of this name. Raises InputError, which names those that there are."""
    if name == HOST:
        return _host()
    path = _folder() / f"{name}.toml"
    if Path(name).name == name and path.is_file():
        return read_target(path)
    known = ", ".join([HOST, *sorted(found.stem for found in _folder().glob("*.toml"))])
    raise InputError(f"there is no target {name!r}; there are {known}")


def read_target(path: Path) -> Target:
    """The target of a file, called by the file's name. Raises InputError, which says what is wrong with it."""
    import tomllib

    try:
        facts: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        return _of(path.stem, facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"the target file {path} cannot be read: {what}") from error


def _of(name: str, facts: dict[str, Any]) -> Target:
    if unknown := set(facts) - _KEYS:
        raise ValueError(f"{', '.join(sorted(unknown))}: no such key; there are {', '.join(sorted(_KEYS))}")
    architecture = facts["architecture"]
    if architecture not in ARCHITECTURES:
        raise ValueError(f"architecture {architecture!r}; needed one of {', '.join(ARCHITECTURES)}")
    transports = tuple(facts.get("transports", ()))
    if wrong := [way for way in transports if way not in TRANSPORTS]:
        raise ValueError(f"transport {wrong[0]!r}; needed some of {', '.join(TRANSPORTS)}")
    pages = tuple(int(size) for size in facts.get("page_bytes", ()))
    if wrong := [size for size in pages if size < 4096 or size & (size - 1)]:
        raise ValueError(f"page_bytes {wrong[0]}; needed powers of two from 4096 on")
    return Target(
        name=name,
        description=facts["description"],
        architecture=architecture,
        instruction_sets=tuple(facts["instruction_sets"]),
        processor=facts.get("processor", ""),
        cores=facts.get("cores"),
        memory_sizes=tuple(int(size) << 20 for size in facts.get("memory_mib", ())),
        page_sizes=pages,
        transports=transports,
    )


def _host() -> Target:
    """This machine as a target: what weights are packed for. What it has beside is told by `probe`."""
    architecture, instruction_sets = _native.host_target()
    return Target(HOST, "this machine", architecture, tuple(instruction_sets.split()))


def _folder() -> Path:
    """Installed beside this package, or in a source checkout."""
    here = Path(__file__).resolve().parent
    installed = here.parent / "target_files"
    return installed if installed.is_dir() else here.parent.parent / "targets"

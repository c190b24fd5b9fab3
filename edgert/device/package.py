"""What of a push is the same for every device: the package, its hashes, its golden runs and what it asks for."""

from __future__ import annotations

import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgert.device.options import PushOptions
from edgert.errors import InputError
from edgert.manifest.keys import PrivateKey
from edgert.manifest.manifest import Manifest, ObjectEntry, Requirement, describe_object, is_name
from edgert.runtime import _native
from edgert.targets import HOST, Probe, Target, fits_any, target

RUNTIME = "0.1"  # the first edgert whose device side installs what is pushed


@dataclass(frozen=True)
class Package:
    """A package that can be opened here, and what its manifests have in common."""

    path: Path
    name: str
    entry: ObjectEntry
    golden: tuple[dict[str, Any], ...]
    memory_bytes: int
    requirements: tuple[Requirement, ...]

    def content(self) -> memoryview:
        """The file, mapped."""
        with self.path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def manifest(
        self, key: PrivateKey, counter: int, options: PushOptions, devices: tuple[str, ...], target_name: str | None
    ) -> Manifest:
        """What is signed for one device. target_name: what the device is said to be; the manifest then is for it alone.
        Raises ManifestError, and InputError when the package is not for such a device."""
        requirements = self.requirements if target_name is None else self._requirements_of(target(target_name))
        return Manifest(
            name=self.name,
            key_id=key.key_id,
            counter=counter,
            objects=(self.entry,),
            runtime=RUNTIME,
            memory_bytes=self.memory_bytes,
            targets=requirements,
            devices=devices,
            expires=options.expires,
            trials=options.trials,
            golden=self.golden,
        )

    def _requirements_of(self, declared: Target) -> tuple[Requirement, ...]:
        memory = declared.memory_sizes[-1] if declared.memory_sizes else 0
        probes = [
            Probe(declared.architecture, declared.instruction_sets, memory, page_size, declared.cores or 1)
            for page_size in declared.page_sizes or (0,)
        ]
        reasons = [fits_any(self.requirements, probe, self.memory_bytes) for probe in probes]
        if None not in reasons:
            raise InputError(f"{self.path.name} does not go to a {declared.name}: the device {reasons[0]}")
        return (requirement(declared),)


def prepare(path: Path, options: PushOptions) -> Package:
    """Reads, opens and hashes a package, and makes its golden runs: some seconds for a large one.

    Raises FileFormatError for what is no package, InputError for options that do not fit it, OSError when it cannot be
    read.
    """
    from edgert import golden  # which `edgert devices` need not wait for

    model = _native.Model(path=path)
    return Package(
        path=path,
        name=_name(path, options),
        entry=describe_object("package", path),
        golden=golden.make(path, options.golden),
        memory_bytes=_native.Session(model).total_bytes,
        requirements=_requirements(model, options),
    )


def requirement(one: Target) -> Requirement:
    """A target as a manifest asks for it."""
    return Requirement(one.name, one.architecture, one.instruction_sets, one.page_sizes, one.memory_bytes)


def _requirements(model: _native.Model, options: PushOptions) -> tuple[Requirement, ...]:
    if options.targets is not None:
        return tuple(requirement(target(name)) for name in options.targets)
    return tuple(
        Requirement(name if name != HOST else f"{HOST}-{architecture}", architecture, tuple(instruction_sets.split()))
        for name, architecture, instruction_sets, *_ in model.targets
    )


def _name(path: Path, options: PushOptions) -> str:
    if options.name is not None:
        if not is_name(options.name):
            raise InputError(
                f"a model cannot be called {options.name!r}; a name is of lower-case letters, digits, '.', '_' and "
                "'-', begins with a letter or digit and has at most 64 of them"
            )
        return options.name
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("._-")[:64]
    if not is_name(name):
        raise InputError(f"{path.name!r} gives no name for the model on the device; give one")
    return name

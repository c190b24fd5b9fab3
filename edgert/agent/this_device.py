"""What this device is: its id, its name among targets, and what the machine has."""

from __future__ import annotations

from dataclasses import dataclass

from edgert.targets.machine import Probe


@dataclass(frozen=True)
class ThisDevice:
    """id: of the home, made once. target: what somebody wrote into the home's device.toml, if anything."""

    id: str
    target: str | None
    probe: Probe

"""What travels inside an .ert file beside the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metadata:
    """The table Metadata of schemas/ert.fbs; everything is optional."""

    name: str = ""
    description: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    input_mean: tuple[float, ...] = ()  # per channel, in units of the source's pixels: x = (pixel - mean) / std
    input_std: tuple[float, ...] = ()
    source_sha256: str = ""
    calibration_sha256: str = ""
    toolchain: str = ""  # "edgert 0.1.0"
    entries: tuple[tuple[str, str], ...] = ()  # anything else, such as measured accuracy

"""What a push may be told, beside the package, the key and where it goes."""

from __future__ import annotations

from dataclasses import dataclass

from edgert.device.client import PATIENCE_S


@dataclass(frozen=True)
class PushOptions:
    """name: of the model on the device; None: the package's file name. counter: of the generation; None: the time in
    seconds, or one more than the device's newest where that is higher.

    targets: names of targets (edgert.targets) that the device must be one of; None: those that the package's weights
    were packed for, and any device when they were for none. devices: ids of the devices that may install it; none:
    any. expires: seconds since 1970. trials: loads before the application confirms. golden: how many seeded runs the
    device repeats before it takes the model. activate: whether the device switches to it; else it stays verified.
    force: push even when just this is current there. compress: with zstd, where both sides have it and it helps.
    patience: seconds without any progress until the way counts as broken.
    """

    name: str | None = None
    counter: int | None = None
    targets: tuple[str, ...] | None = None
    devices: tuple[str, ...] = ()
    expires: int | None = None
    trials: int = 3
    golden: int = 2
    activate: bool = True
    force: bool = False
    compress: bool = True
    patience: float = PATIENCE_S

"""edgert.load("device:NAME"): the model that was pushed to this device under that name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgert.errors import EdgertError, InputError
from edgert.runtime import _native
from edgert.runtime.model import Model

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from edgert.store.trial import Opened

PREFIX = "device:"


class DeviceModel(Model):
    """The current generation of a model that is pushed to this device.

    A pending generation is on trial: when its processes end badly as often as its manifest says, the generation before
    it comes back. It is confirmed by confirm(), or by itself: once it ran, by a run 60 seconds later or by the normal
    end of the interpreter (status 0); an exception or a signal that ends the process confirms nothing.
    What a process that is forked later does counts as its parent's; load in the process that runs the model.
    """

    def __init__(self, opened: Opened, *, threads: int, isa: str | None, fusion: bool) -> None:
        super().__init__(opened.path, threads=threads, isa=isa, fusion=fusion)
        self.generation: int = opened.generation
        """The counter of the manifest that it came with."""
        self._device_name = opened.name
        self._trial = opened.trial

    @property
    def pending(self) -> bool:
        """Whether this process has to find out whether the generation works."""
        return self._trial is not None and not self._trial.over

    def confirm(self) -> None:
        """Ends the trial of this generation well: the application is content with it. Nothing to do for one that is
        confirmed. Raises StoreError when that cannot be written down."""
        if self._trial is not None:
            self._trial.confirm()

    def invoke(self) -> None:
        if self._trial is None:
            super().invoke()
        else:
            self._watched(super().invoke)

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        if self._trial is None:
            return super().run(inputs)
        run: Any = super().run
        return self._watched(lambda: run(inputs))  # type: ignore[no-any-return]

    def _watched(self, run: Any) -> Any:
        trial = self._trial
        assert trial is not None
        try:
            result = run()
        except EdgertError:
            trial.failed()
            raise
        trial.succeeded()
        if trial.over:
            self._trial = None
        return result


def load_device(name: str, *, threads: int, isa: str | None, fusion: bool) -> DeviceModel:
    """name: without the prefix. See edgert.load."""
    from edgert.store.errors import NoModelError
    from edgert.store.home import find_home
    from edgert.store.slot import Slot
    from edgert.store.trial import count_load

    slot = Slot(find_home(), name)
    for _ in range(3):
        opened = count_load(slot, _native.write_at_exit)
        try:
            return DeviceModel(opened, threads=threads, isa=isa, fusion=fusion)
        except EdgertError as error:
            if opened.trial is not None:
                opened.trial.end()
            elif isinstance(error, InputError) and slot.state().current != opened.generation:
                continue  # it was collected after a push, in between
            raise
    raise NoModelError(f"{PREFIX}{name} changes faster than it can be opened; try again")

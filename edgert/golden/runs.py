"""Runs of a model: inputs in, outputs out, as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike

from edgert.dtypes import DType
from edgert.golden.inputs import elements
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo, tensor_info

STEPS = 3  # of a model with variables: what it remembers has to come back


def open_model(package: bytes | str | PathLike[str]) -> _native.Model:
    """Raises InputError, FileFormatError or ModelError."""
    return _native.Model(content=package) if isinstance(package, bytes) else _native.Model(path=package)


class Runner:
    """A model on one thread, with one instruction set. Inputs have the shapes of the file."""

    def __init__(self, model: _native.Model, isa: str | None = None, memory_limit: int = 0) -> None:
        self.model = model
        self.session = _native.Session(model, 1, isa, memory_limit)
        self.inputs: tuple[TensorInfo, ...] = tuple(tensor_info(self.session, i) for i in model.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(tensor_info(self.session, i) for i in model.outputs)

    @property
    def has_variables(self) -> bool:
        return any(self.session.tensor(i)[2] == 2 for i in range(self.model.tensor_count))

    @property
    def has_indices(self) -> bool:
        """Whether an input's integers are no quantised numbers."""
        return any(info.quant is None and info.dtype not in _NO_INDICES for info in self.inputs)

    def seeded(self, seed: int, steps: int, span: int) -> list[bytes]:
        """Outputs after `steps` steps from the initial state. Raises InvokeError for an index out of range."""

        def feed(step: int, k: int) -> bytes | bytearray:
            info = self.inputs[k]
            return elements(seed, step, k, info.dtype, info.quant is not None, span, element_count(info.shape))

        return self._run(steps, feed)

    def recorded(self, inputs: Sequence[bytes]) -> list[bytes]:
        return self._run(1, lambda _step, k: inputs[k])

    def _run(self, steps: int, feed: Callable[[int, int], bytes | bytearray]) -> list[bytes]:
        self.session.reset_variables()
        for step in range(steps):
            for k, info in enumerate(self.inputs):
                self._memory(info)[:] = feed(step, k)
            self.session.invoke()
        return [bytes(self._memory(info)) for info in self.outputs]

    def _memory(self, info: TensorInfo) -> memoryview:
        view = memoryview(self.session.view(info.index))
        return view.cast("B") if view.ndim else view.cast("B", [info.dtype.itemsize])


_NO_INDICES = (DType.FLOAT32, DType.FLOAT16, DType.BOOL)


def element_count(shape: Sequence[int]) -> int:
    count = 1
    for dim in shape:
        count *= dim
    return count

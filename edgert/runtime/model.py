"""The short way to run a model: edgert.load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgert.errors import FileFormatError, InputError, ModelError
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo, tensor_array, tensor_info

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Model:
    """A model ready to run: call it with its input, or use run() with names.

        model = edgert.load("digits.ert")
        scores = model(image)                       # one input, one output
        outputs = model.run({"image": image})       # {name: array}

    Results are copies; `view` gives the tensors' own memory.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        threads: int = 1,
        isa: str | None = None,
        memory_limit: int = 0,
        keep_all_tensors: bool = False,
        fusion: bool = True,
    ) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            self._native = _native.Model(content=source)
        else:
            self._native = _open(source)
        self._session = _native.Session(self._native, threads, isa, memory_limit, keep_all_tensors, fusion)
        self.path = None if isinstance(source, (bytes, bytearray, memoryview)) else Path(source)
        self._describe()

    def _describe(self) -> None:
        self.inputs: tuple[TensorInfo, ...] = tuple(tensor_info(self._session, i) for i in self._native.inputs)
        self.outputs: tuple[TensorInfo, ...] = tuple(tensor_info(self._session, i) for i in self._native.outputs)
        self._input_views: list[NDArray[Any]] = [tensor_array(self._session, t.index) for t in self.inputs]
        self._output_views: list[NDArray[Any]] = [tensor_array(self._session, t.index) for t in self.outputs]

    def __reduce__(self) -> NoReturn:
        raise TypeError("an edgert.Model cannot be pickled or copied: load one in each process, from the same file")

    def __repr__(self) -> str:
        ins, outs = (", ".join(str(t) for t in side) for side in (self.inputs, self.outputs))
        return f"<edgert.Model {self.name or self.path or ''} ({ins}) -> ({outs})>"

    @property
    def name(self) -> str:
        return self._native.metadata("name") or ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of the output's last dimension; empty when the package has none."""
        return self._native.labels

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(mean, std) per channel, x = (pixel - mean) / std; empty when the package has none."""
        return self._native.normalisation

    def metadata(self, key: str) -> str | None:
        """The entry of this key, such as "description", "licence", "toolchain", or "source_sha256"; None if absent."""
        return self._native.metadata(key)

    @property
    def session(self) -> _native.Session:
        """The native session, for stepping and for looking at single operators."""
        return self._session

    def view(self, name: str) -> NDArray[Any]:
        """An input's or output's own memory, not copied: write inputs to it, then invoke()."""
        for info, view in zip((*self.inputs, *self.outputs), (*self._input_views, *self._output_views), strict=True):
            if info.name == name:
                return view
        raise InputError(
            f"there is no input or output {name!r}; there are {self._names((*self.inputs, *self.outputs))}"
        )

    def invoke(self) -> None:
        """Runs on what the inputs' memory holds. Raises InvokeError when an operator fails on its data."""
        self._session.invoke()

    def run(self, inputs: Mapping[str, ArrayLike]) -> dict[str, NDArray[Any]]:
        """Runs on named inputs; returns every output by name, as copies.

        Raises InputError for a wrong or missing name, shape or dtype.
        """
        unknown = [name for name in inputs if all(name != info.name for info in self.inputs)]
        if unknown:
            raise InputError(f"there is no input {unknown[0]!r}; the inputs are {self._names(self.inputs)}")
        arrays = []
        for info in self.inputs:
            if info.name not in inputs:
                raise InputError(f"input {info.name!r} is missing; the inputs are {self._names(self.inputs)}")
            arrays.append(info.checked(inputs[info.name], "input"))
        for view, array in zip(self._input_views, arrays, strict=True):
            view[...] = array
        self._session.invoke()
        return {info.name: view.copy() for info, view in zip(self.outputs, self._output_views, strict=True)}

    def __call__(self, *inputs: ArrayLike) -> Any:
        """Runs on inputs in order; returns the output as an array, or all outputs by name when there are several."""
        if len(inputs) != len(self.inputs):
            raise InputError(f"{len(inputs)} inputs given, needed {len(self.inputs)}: {self._names(self.inputs)}")
        outputs = self.run({info.name: array for info, array in zip(self.inputs, inputs, strict=True)})
        return outputs[self.outputs[0].name] if len(outputs) == 1 else outputs

    def resize(self, name: str, shape: tuple[int, ...]) -> None:
        """Gives an input another shape; `view`s of this model must be gone. On an error the old shape stays."""
        numbers = [i for i, info in enumerate(self.inputs) if info.name == name]
        if not numbers:
            raise InputError(f"there is no input {name!r}; the inputs are {self._names(self.inputs)}")
        self._input_views, self._output_views = [], []
        try:
            self._session.resize_input(numbers[0], shape)
        finally:
            self._describe()

    @staticmethod
    def _names(infos: tuple[TensorInfo, ...]) -> str:
        return ", ".join(str(info) for info in infos)


def _open(path: str | os.PathLike[str]) -> _native.Model:
    """Names the file in the error, and says what to do about a model that is not converted yet."""
    try:
        return _native.Model(path=path)
    except (FileFormatError, ModelError) as error:
        source = Path(path)
        trained = source.suffix.lower() in (".tflite", ".onnx")
        advice = f"; convert it first: edgert convert {source.name} -o {source.stem}.ert" if trained else ""
        named = "" if source.name in str(error) else f"{source}: "
        raise type(error)(f"{named}{error}{advice}") from error


def load(path: str | os.PathLike[str], *, threads: int = 1, isa: str | None = None, fusion: bool = True) -> Model:
    """Opens a package for running.

    path: an .ert file; or "device:NAME" for what was pushed to this device under that name, which is opened as a
    DeviceModel from $EDGERT_HOME or the default home (for a file that has such a name, give a Path).
    threads: how many share the work, the caller's included. isa: the highest instruction set to use ("scalar",
    "avx2", ...); None: the environment's ERT_ISA_MAX, or all that the processor has.
    fusion: operators run together where it pays, with the same results; False is for comparing.
    A forked process (multiprocessing's "fork") has none of its parent's threads; a model loaded before runs there on
    one.
    Raises InputError when the file cannot be opened, FileFormatError when it is damaged or no package, ModelError
    when this build cannot run it.
    """
    if isinstance(path, str) and path.startswith("device:"):
        from edgert.runtime.device import load_device

        return load_device(path.removeprefix("device:"), threads=threads, isa=isa, fusion=fusion)
    return Model(path, threads=threads, isa=isa, fusion=fusion)

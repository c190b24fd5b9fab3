"""edgert.Interpreter: the methods of tflite_runtime.interpreter.Interpreter over edgert's own runtime.

    from edgert import Interpreter        # was: from tflite_runtime.interpreter import Interpreter

It runs .ert packages; it opens .tflite files too when the toolchain is installed (they are converted in memory, with
their own integers kept). Interface: https://ai.google.dev/edge/api/tflite/python/tf/lite/Interpreter.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

from edgert.errors import FileFormatError, InputError
from edgert.runtime import _native
from edgert.runtime.tensors import TensorInfo, tensor_array, tensor_info

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_TFLITE_IDENTIFIER = b"TFL3"
_SIGNATURE = "serving_default"


class Interpreter:
    """Runs a model tensor by tensor.

    model_path or model_content: an .ert package (or a .tflite file, see the module). num_threads: threads that share
    the work; None: 1. experimental_preserve_all_tensors keeps every tensor readable after invoke.
    isa: the highest instruction set to use. memory_limit: bytes, 0 for the default. fusion: operators run together
    where it pays, with the same results; False is for comparing.
    Other options of tflite_runtime are accepted when they ask for nothing; delegates raise InputError.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] | None = None,
        model_content: bytes | None = None,
        experimental_delegates: object = None,
        num_threads: int | None = None,
        experimental_op_resolver_type: object = None,
        experimental_preserve_all_tensors: bool = False,
        experimental_disable_delegate_clustering: bool = False,
        *,
        isa: str | None = None,
        memory_limit: int = 0,
        keep_all_tensors: bool = False,
        fusion: bool = True,
    ) -> None:
        if experimental_delegates:
            raise InputError("edgert has no TFLite delegates; leave experimental_delegates out")
        if (model_path is None) == (model_content is None):
            raise InputError("give either model_path or model_content")
        if isinstance(model_content, str):
            raise InputError("model_content is text, needed the bytes of a model; a file's name goes to model_path")
        if num_threads is not None and num_threads < 1:
            raise InputError(f"num_threads is {num_threads}, needed 1 or more, or None for 1")
        self._model = _open(model_path, model_content)
        keep = keep_all_tensors or experimental_preserve_all_tensors
        self._session = _native.Session(self._model, num_threads or 1, isa, memory_limit, keep, fusion)
        self._arrays: dict[int, NDArray[Any]] = {}
        self._infos: dict[int, TensorInfo] = {}
        self.invoke = self._session.invoke  # the plain path: one native call, nothing in between

    def __reduce__(self) -> NoReturn:
        raise TypeError("an edgert.Interpreter cannot be pickled or copied: make one in each process, of the same file")

    # --- tensors ---

    def allocate_tensors(self) -> None:
        """Does nothing: memory is planned when a model is opened or resized."""

    def get_input_details(self) -> list[dict[str, Any]]:
        """name, index, shape, shape_signature, dtype, quantization, quantization_parameters of every input."""
        return [self._details(index) for index in self._model.inputs]

    def get_output_details(self) -> list[dict[str, Any]]:
        """The same of every output."""
        return [self._details(index) for index in self._model.outputs]

    def get_tensor_details(self, subgraph_index: int = 0) -> list[dict[str, Any]]:
        """The same of every tensor."""
        return [self._details(index) for index in range(self._model.tensor_count)]

    def set_tensor(self, tensor_index: int, value: ArrayLike) -> None:
        """Copies value into the tensor. Raises InputError for a wrong shape or dtype."""
        array = self._info(tensor_index).checked(value, "tensor")
        self._array(tensor_index)[...] = array

    def get_tensor(self, tensor_index: int, subgraph_index: int = 0) -> NDArray[Any]:
        """A copy of the tensor. One that is neither input nor output keeps its value only until its memory is reused
        (experimental_preserve_all_tensors)."""
        return self._array(tensor_index).copy()

    def tensor(self, tensor_index: int) -> Callable[[], NDArray[Any]]:
        """A function that gives the tensor's own memory, not copied. Inputs cannot be resized while such an array
        is alive."""
        self._info(tensor_index)
        return lambda: tensor_array(self._session, tensor_index)

    def resize_tensor_input(self, input_index: int, tensor_size: Iterable[int], strict: bool = False) -> None:
        """Gives an input another shape; takes effect at once. strict: only the dimensions that the model leaves open
        may change, and a package leaves none open."""
        shape = [int(dim) for dim in tensor_size]
        if input_index not in self._model.inputs:
            raise InputError(f"tensor {input_index} is no input; the inputs are {list(self._model.inputs)}")
        if strict and tuple(shape) != self._info(input_index).shape:
            raise InputError(f"strict: {self._info(input_index)} has no dimension that may change")
        self._arrays.clear()
        self._session.resize_input(self._model.inputs.index(input_index), shape)
        self._infos.clear()

    def reset_all_variables(self) -> None:
        """Puts every variable back to its initial value."""
        self._session.reset_variables()

    # --- running ---

    def step(self) -> int | None:
        """Runs the next operator by itself and returns its index; None at the end, after which it starts over."""
        return self._session.step()

    # --- signatures ---

    def get_signature_list(self) -> dict[str, dict[str, list[str]]]:
        """One signature, serving_default: the names of the source's signature, or of the tensors where it has none."""
        return {_SIGNATURE: {"inputs": self._signature_names("inputs"), "outputs": self._signature_names("outputs")}}

    def get_signature_runner(self, signature_key: str | None = None) -> SignatureRunner:
        """A function of named arrays that gives named arrays."""
        if signature_key not in (None, _SIGNATURE):
            raise InputError(f"there is no signature {signature_key!r}; there is {_SIGNATURE!r}")
        return SignatureRunner(self)

    def _signature_names(self, side: str) -> list[str]:
        """Of the "inputs" or "outputs", in their order."""
        indices = self._model.inputs if side == "inputs" else self._model.outputs
        try:
            names = json.loads(self._model.metadata(f"signature_{side}") or "null")
        except (ValueError, RecursionError):  # a stranger's file may say anything
            names = None
        if isinstance(names, list) and len(set(map(str, names))) == len(indices) == len(names):
            return list(map(str, names))
        return [self._info(index).name for index in indices]

    # --- looking inside ---

    def num_subgraphs(self) -> int:
        """1: a package holds one graph."""
        return 1

    @property
    def session(self) -> _native.Session:
        """The native session: kernels, memory, stepping."""
        return self._session

    def _get_ops_details(self) -> list[dict[str, Any]]:
        """index, op_name, inputs and outputs of every operator, as tflite_runtime's method of this name."""
        return [self._get_op_details(index) for index in range(self._model.op_count)]

    def _get_op_details(self, op_index: int) -> dict[str, Any]:
        import numpy as np

        kind, name, inputs, outputs = self._model.op(op_index)
        return {
            "index": op_index,
            "op_name": kind.upper(),
            "name": name,
            "inputs": np.array(inputs, np.int32),
            "outputs": np.array(outputs, np.int32),
            "operand_types": [None if i < 0 else np.dtype(self._info(i).dtype.numpy_name).type for i in inputs],
            "result_types": [np.dtype(self._info(i).dtype.numpy_name).type for i in outputs],
        }

    def _info(self, index: int) -> TensorInfo:
        info = self._infos.get(index)
        if info is None:
            info = self._infos[index] = tensor_info(self._session, index)
        return info

    def _array(self, index: int) -> NDArray[Any]:
        array = self._arrays.get(index)
        if array is None:
            self._info(index)
            array = self._arrays[index] = tensor_array(self._session, index)
        return array

    def _details(self, index: int) -> dict[str, Any]:
        import numpy as np

        info = self._info(index)
        scales: Iterable[float] = info.quant.scales if info.quant else ()
        zero_points: Iterable[int] = info.quant.zero_points if info.quant else ()
        per_tensor = info.quant is not None and not info.quant.per_channel
        return {
            "name": info.name,
            "index": index,
            "shape": np.array(info.shape, np.int32),
            "shape_signature": np.array(info.shape, np.int32),
            "dtype": np.dtype(info.dtype.numpy_name).type,
            "quantization": (info.quant.scale, info.quant.zero_point) if info.quant and per_tensor else (0.0, 0),
            "quantization_parameters": {
                "scales": np.array(tuple(scales), np.float32),
                "zero_points": np.array(tuple(zero_points), np.int32),
                "quantized_dimension": info.quant.axis if info.quant else 0,
            },
            "sparsity_parameters": {},
        }


class SignatureRunner:
    """Calls a model with named arrays: runner(image=x) -> {"scores": array}."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter

    def get_input_details(self) -> dict[str, dict[str, Any]]:
        names = self._interpreter._signature_names("inputs")
        return dict(zip(names, self._interpreter.get_input_details(), strict=True))

    def get_output_details(self) -> dict[str, dict[str, Any]]:
        names = self._interpreter._signature_names("outputs")
        return dict(zip(names, self._interpreter.get_output_details(), strict=True))

    def __call__(self, **inputs: ArrayLike) -> dict[str, NDArray[Any]]:
        """Raises InputError when the names are not exactly those of the inputs."""
        details = self.get_input_details()
        if set(inputs) != set(details):
            raise InputError(f"inputs {sorted(inputs)} given, needed {sorted(details)}")
        for name, value in inputs.items():
            self._interpreter.set_tensor(details[name]["index"], value)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(output["index"]) for name, output in self.get_output_details().items()
        }


def _open(path: str | os.PathLike[str] | None, content: bytes | None) -> _native.Model:
    """Maps a package, or opens its bytes where they are; converts .tflite files."""
    if content is None:
        assert path is not None
        try:
            return _native.Model(path=path)
        except FileFormatError:
            with open(path, "rb") as file:
                if file.read(8)[4:] != _TFLITE_IDENTIFIER:
                    raise
                file.seek(0)
                content = file.read()
    if bytes(content[4:8]) == _TFLITE_IDENTIFIER:
        # By name: the runtime is below the toolchain and does without it.
        content = importlib.import_module("edgert.compile").convert(bytes(content)).data
    return _native.Model(content=content)

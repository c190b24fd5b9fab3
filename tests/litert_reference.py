"""LiteRT and tflite-runtime as references, and TFLite models cut short at a tensor."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[Any]

SOFTMAX = 25  # BuiltinOperator

# tflite-runtime 2.14 needs NumPy 1; where the tests run on NumPy 2, this names a Python that has both.
PYTHON_VARIABLE = "TFLITE_RUNTIME_PYTHON"

# Writes every output of every run as "run/name".
_RUNNER = """
import sys
import numpy as np
from tflite_runtime.interpreter import Interpreter, OpResolverType
model, inputs, outputs = sys.argv[1:]
interpreter = Interpreter(model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
interpreter.allocate_tensors()
index = interpreter.get_input_details()[0]["index"]
tensors = {}
for run, array in enumerate(np.load(inputs)):
    interpreter.set_tensor(index, array)
    interpreter.invoke()
    for detail in interpreter.get_output_details():
        tensors[f"{run}/{detail['name']}"] = interpreter.get_tensor(detail["index"])
np.savez(outputs, **tensors)
"""


def edit(model: bytes, change: Callable[[Any], None]) -> bytes:
    """The model after a change to its object tree (ModelT of the TFLite schema)."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    change(tree)
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def cut_before(model: bytes, operator: int) -> bytes:
    """The model without its last operator, which must be `operator`: that operator's input becomes the output."""

    def cut(tree: Any) -> None:
        graph = tree.subgraphs[0]
        last = graph.operators.pop()
        code = tree.operatorCodes[last.opcodeIndex]
        assert max(code.builtinCode, code.deprecatedBuiltinCode) == operator
        graph.outputs = [int(last.inputs[0])]
        tree.signatureDefs = []

    return edit(model, cut)


def mend_axes(model: bytes) -> bytes:
    """The model with the channel axis of its one-dimensional tensors set to 0; some old exporters wrote 3 there."""

    def mend(tree: Any) -> None:
        for tensor in tree.subgraphs[0].tensors:
            if tensor.quantization is not None and len(tensor.shape) == 1:
                tensor.quantization.quantizedDimension = 0

    return edit(model, mend)


def expose_all(model: bytes) -> bytes:
    """The model with the outputs of all its operators as outputs, which no interpreter may overwrite."""

    def expose(tree: Any) -> None:
        graph = tree.subgraphs[0]
        graph.outputs = [int(number) for op in graph.operators for number in op.outputs]
        tree.signatureDefs = []

    return edit(model, expose)


class LiteRT:
    """A model under LiteRT with one thread: by default with the XNNPACK delegate, or its own kernels alone."""

    def __init__(self, model: bytes, delegates: bool = True) -> None:
        interpreter = pytest.importorskip("ai_edge_litert.interpreter")
        kinds = interpreter.OpResolverType
        resolver = kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._interpreter = interpreter.Interpreter(
            model_content=model, num_threads=1, experimental_op_resolver_type=resolver
        )
        self._interpreter.allocate_tensors()
        self.inputs = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()

    def run(self, *inputs: Array) -> list[Array]:
        for detail, array in zip(self.inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_tensor(detail["index"])) for detail in self.outputs]

    def reset(self) -> None:
        """Variables as they were at the start."""
        self._interpreter.reset_all_variables()


@functools.cache
def tflite_runtime_python() -> str | None:
    """A Python that can import tflite_runtime, or None."""
    for python in (os.environ.get(PYTHON_VARIABLE), sys.executable):
        command = [python or "", "-c", "import tflite_runtime.interpreter"]
        if python and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return python
    return None


def tflite_runtime_tensors(model: bytes, inputs: Sequence[Array]) -> list[dict[str, Array]]:
    """Every operator's outputs by name, for each input of a one-input model, by tflite-runtime's reference kernels.

    Runs in a Python of its own; skips where there is none with tflite-runtime.
    """
    python = tflite_runtime_python()
    if python is None:
        pytest.skip(f"tflite-runtime cannot be imported here; {PYTHON_VARIABLE} can name a Python that has it")
    with tempfile.TemporaryDirectory() as folder:
        model_path, in_path, out_path = (Path(folder) / name for name in ("model.tflite", "in.npy", "out.npz"))
        model_path.write_bytes(expose_all(mend_axes(model)))
        np.save(in_path, np.stack(inputs))
        command = [python, "-c", _RUNNER, str(model_path), str(in_path), str(out_path)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        runs: list[dict[str, Array]] = [{} for _ in inputs]
        with np.load(out_path) as stored:
            for key in stored.files:
                run, name = key.split("/", 1)
                runs[int(run)][name] = stored[key]
    return runs

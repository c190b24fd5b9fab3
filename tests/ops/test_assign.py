"""assign has no output: what it wrote is read back in the next run."""

from __future__ import annotations

import numpy as np
import pytest

from edgert import Interpreter
from edgert.dtypes import DType, QuantParams
from edgert.errors import ModelError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.pack.metadata import Metadata
from edgert.pack.writer import _Writer, write
from ops.runner import THREADS, quant_i8


def accumulator(dtype: DType, shape: tuple[int, ...], quant: QuantParams | None = None) -> Graph:
    """old = state; state = x: every run returns the input of the run before."""
    x, old = (Value(name, shape, dtype, quant) for name in ("x", "old"))
    state = Value("state", shape, dtype, quant, data=np.full(shape, 1, dtype.numpy_name), variable=True)
    nodes = [Node("copy", [state], [old], {}, "read"), Node("assign", [state, x], [], {}, "write")]
    return Graph("delay", [x], [old], nodes)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", list(DType), ids=lambda d: d.name.lower())
def test_assign(dtype: DType, threads: int) -> None:
    shape = (3, 5)
    interpreter = Interpreter(model_content=write(accumulator(dtype, shape)), num_threads=threads)
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    before = np.full(shape, 1, dtype.numpy_name)
    for seed in range(4):
        x = np.random.default_rng(seed).integers(0, 2, shape).astype(dtype.numpy_name)
        interpreter.set_tensor(inputs["index"], x)
        interpreter.invoke()
        np.testing.assert_array_equal(interpreter.get_tensor(outputs["index"]), before)
        before = x
    interpreter.reset_all_variables()
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(outputs["index"]), np.full(shape, 1, dtype.numpy_name))


def test_reference_writes_into_the_variable() -> None:
    state, value = np.zeros(3, np.float32), np.ones(3, np.float32)
    assert OPS_BY_NAME["assign"].reference([state, value], {}, [None, None], []) == []
    np.testing.assert_array_equal(state, value)


def test_to_itself() -> None:
    graph = accumulator(DType.FLOAT32, (4,))
    graph.nodes[1].inputs[1] = graph.nodes[1].inputs[0]
    interpreter = Interpreter(model_content=write(graph))
    interpreter.invoke()
    interpreter.invoke()
    np.testing.assert_array_equal(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), [1] * 4)


def broken(**changes: object) -> bytes:
    """A package whose value does not fit its variable."""
    graph = accumulator(DType.INT8, (4,), quant_i8())
    for name, change in changes.items():
        setattr(graph.inputs[0], name, change)
    return _Writer().model(graph, Metadata(), ())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"shape": (5,)}, "differ in shape"),
        ({"dtype": DType.FLOAT32, "quant": None}, "value is float32, needed int8"),
        ({"quant": quant_i8(0.5)}, "differ in quantisation"),
    ],
)
def test_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(ModelError, match=match):
        Interpreter(model_content=broken(**changes))


def test_refuses_what_is_no_variable() -> None:
    graph = accumulator(DType.FLOAT32, (4,))
    graph.nodes[1].inputs.reverse()
    with pytest.raises(ModelError, match="is no variable"):
        graph.verify()
    with pytest.raises(ModelError, match="is not a variable"):
        Interpreter(model_content=_Writer().model(graph, Metadata(), ()))

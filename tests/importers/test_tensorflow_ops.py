"""Operators of TensorFlow, converted from concrete functions, against TensorFlow's own results."""

from __future__ import annotations

import pytest

from edgert.importers.tensorflow import load_function
from importers._tensorflow_cases import CASES
from importers._tensorflow_run import assert_close, run_graph


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow", reason="needs the package tensorflow-cpu")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operator(tf, case):
    function = tf.function(lambda *inputs: case.function(tf, *inputs))
    concrete = function.get_concrete_function(*(tf.TensorSpec(x.shape, x.dtype) for x in case.inputs))
    wanted = concrete(*(tf.constant(x) for x in case.inputs))
    wanted = [wanted] if not isinstance(wanted, tuple | list) else list(wanted)
    graph = load_function(concrete)
    samples = {value.name: x for value, x in zip(graph.inputs, case.inputs, strict=True)}
    made = list(run_graph(graph, samples).values())
    assert len(made) == len(wanted)
    for our, their in zip(made, wanted, strict=True):
        assert our.dtype == their.numpy().dtype
        assert_close(our, their)

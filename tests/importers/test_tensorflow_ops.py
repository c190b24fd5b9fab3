"""Operators of TensorFlow, converted from concrete functions, against TensorFlow's own results."""

from __future__ import annotations

import pytest
from runtime_runs import assert_all_close, run

from edgert.importers.tensorflow import load_function
from importers._tensorflow_cases import CASES


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
    assert_all_close(run(graph, case.inputs), [item.numpy() for item in wanted])

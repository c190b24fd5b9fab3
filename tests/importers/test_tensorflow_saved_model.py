"""SavedModels that TensorFlow and Keras write, frozen graphs of TensorFlow 1 and concrete functions: read without
TensorFlow where that can be, and compared with its own results."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from runtime_runs import assert_close, opened, run_by_name, step

from edgert.errors import InputError
from edgert.importers.tensorflow import load, load_function, load_saved_model

tf = pytest.importorskip("tensorflow", reason="needs the package tensorflow-cpu")
RNG = np.random.default_rng(5)


# Loops that are recognised, and what becomes of them.
RECURRENT = {
    "lstm": ["lstm", "lstm"], "lstm-relu": ["lstm"], "gru": ["gru", "gru", "gru"], "gru-before": ["gru"],
    "rnn": ["rnn", "rnn"],
}  # fmt: skip


KINDS = [
    "dense", "image", "sequence", "volume", "norms", "shapes", "lstm", "lstm-relu", "gru", "gru-before", "rnn",
    "transformer", "MobileNetV2", "MobileNetV3Small",
]  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of what _tensorflow_keras.py writes, in a process of its own: Keras has one backend a process."""
    if importlib.util.find_spec("keras") is None:
        pytest.skip("needs the package keras")
    folder = tmp_path_factory.mktemp("keras")
    script = Path(__file__).with_name("_tensorflow_keras.py")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, script, folder], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_keras_model(written, kind):
    graph = load_saved_model(written / kind)
    recurrent = [node.op for node in graph.nodes if node.op in ("lstm", "gru", "rnn")]
    assert recurrent == RECURRENT.get(kind, [])
    (given,) = graph.inputs
    recorded = np.load(written / f"{kind}.npz")
    (made,) = run_by_name(graph, {given.name: recorded["x"]}).values()
    largest = np.abs(recorded["y"]).max()
    assert_close(made / largest, recorded["y"] / largest)


class TwoWays(tf.Module):
    """Two signatures over the same variables."""

    def __init__(self):
        super().__init__()
        self.w = tf.Variable(RNG.normal(size=(4, 3)).astype(np.float32), name="w")
        self.table = tf.Variable(np.arange(6, dtype=np.int64), name="table")

    @tf.function
    def scores(self, x, shift):
        return {"scores": tf.matmul(x, self.w) + shift, "best": tf.argmax(tf.matmul(x, self.w), -1)}

    @tf.function
    def lookup(self, index):
        return {"found": tf.gather(self.table, index)}


@pytest.fixture
def two_ways(tmp_path):
    module = TwoWays()
    x, shift = tf.TensorSpec([None, 4], tf.float32, name="x"), tf.TensorSpec([3], tf.float32, name="shift")
    index = tf.TensorSpec([2], tf.int32, name="index")
    scores, lookup = module.scores.get_concrete_function(x, shift), module.lookup.get_concrete_function(index)
    tf.saved_model.save(module, str(tmp_path), signatures={"scores": scores, "lookup": lookup})
    return module, tmp_path


def test_signatures_and_their_names(two_ways):
    module, folder = two_ways
    graph = load_saved_model(folder, signature="scores")
    assert [(value.name, value.shape) for value in graph.inputs] == [("shift", (3,)), ("x", (1, 4))]
    assert [value.name for value in graph.outputs] == ["best", "scores"]
    x, shift = RNG.normal(size=(2, 4)).astype(np.float32), RNG.normal(size=3).astype(np.float32)
    graph = load_saved_model(folder, {"x": (2, 4)}, signature="scores")
    made = run_by_name(graph, {"x": x, "shift": shift})
    for name, wanted in module.scores(x, shift).items():
        assert_close(made[name], wanted)
    found = run_by_name(load_saved_model(folder, signature="lookup"), {"index": np.array([4, 1], np.int32)})
    np.testing.assert_array_equal(found["found"], [4, 1])
    alone = load_saved_model(folder, signature="scores", outputs=["best"])
    assert [value.name for value in alone.outputs] == ["best"]
    with pytest.raises(InputError, match="lookup, scores"):
        load_saved_model(folder)


class Ring(tf.Module):
    """A buffer of four steps and a count, which live between calls."""

    def __init__(self):
        super().__init__()
        self.buffer = tf.Variable(np.zeros((1, 4, 2), np.float32))
        self.count = tf.Variable(0.0)

    @tf.function(input_signature=[tf.TensorSpec((1, 2), tf.float32, name="x")])
    def step(self, x):
        self.buffer.assign(tf.concat([self.buffer[:, 1:], x[:, None]], 1))
        self.count.assign_add(1.0)
        return {"y": tf.reduce_mean(self.buffer, 1) + self.count}


def three_steps(graph, inputs):
    interpreter = opened(graph)
    return [step(interpreter, [x])[0] for x in inputs]


def test_state_lives_between_invokes(tmp_path):
    model = Ring()
    tf.saved_model.save(model, str(tmp_path), signatures={"serving_default": model.step})
    theirs = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    inputs = [RNG.normal(size=(1, 2)).astype(np.float32) for _ in range(3)]
    for x, made in zip(inputs, three_steps(load(tmp_path), inputs), strict=True):
        assert_close(made, theirs(tf.constant(x))["y"])


def test_recurrent_layers_keep_their_state(written):
    recorded = np.load(written / "stateful.npz")
    for made, wanted in zip(three_steps(load(written / "stateful"), recorded["x"]), recorded["y"], strict=True):
        assert_close(made, wanted)


def test_concrete_function_keeps_its_names(two_ways):
    module, _ = two_ways
    x, shift = RNG.normal(size=(2, 4)).astype(np.float32), np.ones(3, np.float32)
    concrete = module.scores.get_concrete_function(tf.TensorSpec([2, 4], tf.float32), tf.TensorSpec([3], tf.float32))
    graph = load_function(concrete, {"x": (2, 4)})
    assert {value.name for value in graph.inputs} == {"x", "shift"}
    made = run_by_name(graph, {"x": x, "shift": shift})
    for name, wanted in module.scores(x, shift).items():
        assert_close(made[name], wanted)


def test_frozen_graph_of_tensorflow_1(tmp_path):
    """A recurrence in Enter, Merge, Switch, Exit and TensorArrays, a branch on a flag, dropout, fake quantisation."""
    v1 = tf.compat.v1
    functional = v1.control_flow_v2_enabled()
    v1.disable_control_flow_v2()
    try:
        with tf.Graph().as_default() as outer:
            x = v1.placeholder(tf.float32, [None, 6, 4], name="x")
            weights = tf.constant(RNG.normal(size=(7, 3)).astype(np.float32))
            steps = tf.TensorArray(tf.float32, size=6).unstack(tf.transpose(x, [1, 0, 2]))

            def body(i, state, out):
                state = tf.tanh(tf.matmul(tf.concat([steps.read(i), state], 1), weights))
                return i + 1, state, out.write(i, state)

            start = (0, tf.zeros((tf.shape(x)[0], 3)), tf.TensorArray(tf.float32, size=6))
            _, state, out = v1.while_loop(lambda i, *_: i < 6, body, start)
            tf.transpose(out.stack(), [1, 0, 2], name="sequence")
            training = v1.placeholder(tf.bool, [], name="training")
            chosen = v1.cond(training, lambda: state * 5, lambda: state + 1)
            keep = v1.placeholder_with_default(1.0, [], name="keep")
            tf.identity(v1.nn.dropout(chosen, keep_prob=keep), name="dropped")
            tf.quantization.fake_quant_with_min_max_vars(state, -0.7, 0.9, name="quantised")
    finally:
        if functional:
            v1.enable_control_flow_v2()
    path = tmp_path / "frozen.pb"
    path.write_bytes(outer.as_graph_def().SerializeToString())
    given = RNG.normal(size=(1, 6, 4)).astype(np.float32)
    names = ["sequence", "dropped", "quantised"]
    with v1.Session(graph=outer) as session:
        wanted = session.run([f"{name}:0" for name in names], {"x:0": given, "training:0": False})
    graph = load(path)
    assert [value.name for value in graph.outputs] == names
    assert [node.op for node in graph.nodes].count("rnn") == 1
    made = run_by_name(graph, {"x": given})
    for name, their in zip(names, wanted, strict=True):
        assert_close(made[name], their)


def test_saved_model_of_tensorflow_1(tmp_path):
    """Its variables stand under their own names."""
    v1 = tf.compat.v1
    given, folder = RNG.normal(size=(1, 4)).astype(np.float32), tmp_path / "model"
    with tf.Graph().as_default() as outer, v1.Session(graph=outer) as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", (4, 3), use_resource=False)
        bias = v1.get_variable("bias", (3,), initializer=v1.constant_initializer(0.5), use_resource=True)
        y = tf.nn.relu(tf.matmul(x, w) + bias, name="y")
        session.run(v1.global_variables_initializer())
        wanted = session.run(y, {x: given})
        v1.saved_model.simple_save(session, str(folder), {"features": x}, {"scores": y})
    graph = load(folder)
    assert [value.name for value in (*graph.inputs, *graph.outputs)] == ["features", "scores"]
    assert_close(run_by_name(graph, {"features": given})["scores"], wanted)

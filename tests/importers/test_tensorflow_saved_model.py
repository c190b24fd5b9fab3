"""SavedModels that TensorFlow and Keras write, frozen graphs of TensorFlow 1 and concrete functions: read without
TensorFlow where that can be, and compared with its own results."""

from __future__ import annotations

import numpy as np
import pytest

from edgert import Interpreter
from edgert.errors import InputError
from edgert.importers.tensorflow import load, load_function, load_saved_model
from importers._tensorflow_run import assert_close, packed, run_graph

tf = pytest.importorskip("tensorflow", reason="needs the package tensorflow-cpu")
keras = pytest.importorskip("keras", reason="needs the package keras")
layers = keras.layers

RNG = np.random.default_rng(5)


def stacked(shape, *parts):
    return keras.Sequential([keras.Input(shape), *parts])


def transformer():
    given = keras.Input((7, 16))
    x = layers.LayerNormalization()(given + layers.MultiHeadAttention(2, 8)(given, given))
    return keras.Model(given, layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, "gelu")(x))))


MODELS = {
    "dense": lambda: stacked((5,), layers.Dense(8, "relu"), layers.Dense(3, "softmax")),
    "image": lambda: stacked(
        (32, 32, 3), layers.Conv2D(8, 3, strides=2, padding="same"), layers.BatchNormalization(), layers.ReLU(),
        layers.DepthwiseConv2D(3), layers.MaxPool2D(), layers.Conv2DTranspose(4, 3, 2, padding="same"),
        layers.UpSampling2D(2, interpolation="bilinear"), layers.GlobalAveragePooling2D(), layers.Dropout(0.5),
        layers.Dense(4)),
    "sequence": lambda: stacked(
        (20, 3), layers.Conv1D(8, 3, padding="causal", dilation_rate=2), layers.PReLU(shared_axes=[1]),
        layers.SeparableConv1D(6, 3), layers.AveragePooling1D(2), layers.Flatten(), layers.Dense(2)),
    "volume": lambda: stacked(
        (6, 8, 8, 2), layers.Conv3D(4, 3, padding="same"), layers.MaxPool3D(), layers.GlobalAveragePooling3D()),
    "norms": lambda: stacked(
        (9, 9, 2), layers.Conv2D(8, 3), layers.GroupNormalization(4), layers.Activation("mish"),
        layers.Resizing(10, 12)),
    "shapes": lambda: stacked(
        (6, 5, 3), layers.ZeroPadding2D(2), layers.Cropping2D(1), layers.Permute((2, 1, 3)), layers.Reshape((-1, 3)),
        layers.Normalization(mean=[1.0, 2, 3], variance=[1.0, 4, 2])),
    "lstm": lambda: stacked((9, 4), layers.LSTM(6, return_sequences=True), layers.LSTM(5)),
    "lstm-relu": lambda: stacked((9, 4), layers.LSTM(5, activation="relu", return_sequences=True)),
    "gru": lambda: stacked((9, 4), layers.GRU(6, return_sequences=True), layers.Bidirectional(layers.GRU(5))),
    "gru-before": lambda: stacked((9, 4), layers.GRU(6, reset_after=False, go_backwards=True)),
    "rnn": lambda: stacked((9, 4), layers.SimpleRNN(6, return_sequences=True), layers.SimpleRNN(3)),
    "transformer": transformer,
}  # fmt: skip


# Loops that are recognised, and what becomes of them.
RECURRENT = {
    "lstm": ["lstm", "lstm"], "lstm-relu": ["lstm"], "gru": ["gru", "gru", "gru"], "gru-before": ["gru"],
    "rnn": ["rnn", "rnn"],
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_keras_model(tmp_path, kind):
    keras.utils.set_random_seed(1)
    model = MODELS[kind]()
    x = RNG.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    model.export(tmp_path, verbose=False)
    graph = load_saved_model(tmp_path)
    recurrent = [node.op for node in graph.nodes if node.op in ("lstm", "gru", "rnn")]
    assert recurrent == RECURRENT.get(kind, [])
    (given,) = graph.inputs
    (made,) = run_graph(graph, {given.name: x}).values()
    assert_close(made, model(x))


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_keras_application(tmp_path, name):
    """With random weights and statistics: those that Keras begins with would hide what a normalisation does."""
    keras.utils.set_random_seed(2)
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=100)
    for weights in model.weights:
        if "moving_variance" in weights.path:
            weights.assign(RNG.uniform(0.5, 1.5, weights.shape))
        elif "moving_mean" in weights.path:
            weights.assign(RNG.normal(0, 0.1, weights.shape))
    x = RNG.uniform(0, 255, (1, 96, 96, 3)).astype(np.float32)
    model.export(tmp_path, verbose=False)
    graph = load(tmp_path)
    (made,) = run_graph(graph, {graph.inputs[0].name: x}).values()
    wanted = model(x, training=False).numpy()
    assert_close(made / np.abs(wanted).max(), wanted / np.abs(wanted).max())


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
    made = run_graph(graph, {"x": x, "shift": shift})
    for name, wanted in module.scores(x, shift).items():
        assert_close(made[name], wanted)
    found = run_graph(load_saved_model(folder, signature="lookup"), {"index": np.array([4, 1], np.int32)})
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


def recurrent_with_state():
    layers_ = (layers.LSTM(5, stateful=True, return_sequences=True), layers.GRU(4, stateful=True))
    model = keras.Sequential([keras.Input((3, 4), batch_size=1), *layers_])
    signature = [tf.TensorSpec((1, 3, 4), tf.float32, name="x")]
    return model, tf.function(lambda x: {"y": model(x)}, input_signature=signature)


@pytest.mark.parametrize("kind", ["ring", "recurrent"])
def test_state_lives_between_invokes(tmp_path, kind):
    """As in TensorFlow, three steps long."""
    if kind == "ring":
        model = Ring()
        step, shape = model.step, (1, 2)
    else:
        (model, step), shape = recurrent_with_state(), (1, 3, 4)
    tf.saved_model.save(model, str(tmp_path), signatures={"serving_default": step})
    theirs = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    interpreter = Interpreter(model_content=packed(load(tmp_path)), num_threads=1)
    interpreter.allocate_tensors()
    for _ in range(3):
        x = RNG.normal(size=shape).astype(np.float32)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        interpreter.invoke()
        assert_close(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), theirs(tf.constant(x))["y"])


def test_concrete_function_keeps_its_names(two_ways):
    module, _ = two_ways
    x, shift = RNG.normal(size=(2, 4)).astype(np.float32), np.ones(3, np.float32)
    concrete = module.scores.get_concrete_function(tf.TensorSpec([2, 4], tf.float32), tf.TensorSpec([3], tf.float32))
    graph = load_function(concrete, {"x": (2, 4)})
    assert {value.name for value in graph.inputs} == {"x", "shift"}
    made = run_graph(graph, {"x": x, "shift": shift})
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
    made = run_graph(graph, {"x": given})
    for name, their in zip(names, wanted, strict=True):
        assert_close(made[name], their)


def test_saved_model_of_tensorflow_1(tmp_path):
    """Its variables stand under their own names."""
    v1 = tf.compat.v1
    given, folder = RNG.normal(size=(1, 4)).astype(np.float32), tmp_path / "model"
    with tf.Graph().as_default() as outer, v1.Session(graph=outer) as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        w = v1.get_variable("w", (4, 3), use_resource=False)
        bias = v1.get_variable("bias", (3,), initializer=tf.keras.initializers.Constant(0.5), use_resource=True)
        y = tf.nn.relu(tf.matmul(x, w) + bias, name="y")
        session.run(v1.global_variables_initializer())
        wanted = session.run(y, {x: given})
        v1.saved_model.simple_save(session, str(folder), {"features": x}, {"scores": y})
    graph = load(folder)
    assert [value.name for value in (*graph.inputs, *graph.outputs)] == ["features", "scores"]
    assert_close(run_graph(graph, {"features": given})["scores"], wanted)

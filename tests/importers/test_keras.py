"""The Keras importer on whole models: nested and shared ones, inputs, state, names, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import assert_all_close, opened, run_converted, step

from edgert.compile import convert
from edgert.errors import InputError, ModelError, UnsupportedError
from edgert.importers.keras import load
from importers._keras_run import check, drawn, filled, keras_or_skip, predicted

keras = keras_or_skip()
layers, ops = keras.layers, keras.ops


def sequential() -> Any:
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="first"), layers.Flatten(), layers.Dense(2)]
    )


def nested() -> Any:
    """Models within models, one of them called twice, with a batch normalisation that is frozen."""
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.BatchNormalization()], name="inner")
    inner.layers[-1].trainable = False
    x = keras.Input((6,), name="x")
    part = keras.Model(x, [inner(x), layers.BatchNormalization(name="norm")(x)], name="part")
    one, two = keras.Input((6,), name="one"), keras.Input((6,), name="two")
    left, right = part(one), part(two)
    y = layers.Concatenate()([left[0], right[1], left[1], right[0]])
    return keras.Model([one, two], [layers.Dense(3, name="head")(y), right[0]])


def shared() -> Any:
    """A layer on its own output."""
    dense = layers.Dense(6, activation="tanh", name="again")
    x = keras.Input((6,), name="x")
    return keras.Model(x, layers.Add()([dense(dense(x)), dense(x)]))


def residual() -> Any:
    x = keras.Input((12, 10, 3), name="image")
    y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    z = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(y))
    y = layers.Add()([y, layers.Conv2D(8, 1)(z)])
    y = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(y))
    return keras.Model(x, layers.Dense(4, activation="softmax", name="classes")(y))


def transformer() -> Any:
    tokens = keras.Input((7,), dtype="int32", name="tokens")
    x = layers.Embedding(5, 8)(tokens) + layers.Embedding(7, 8)(ops.arange(7))
    y = layers.MultiHeadAttention(2, 4)(x, x)
    x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    y = layers.Dense(8)(layers.Dense(16, activation="gelu")(x))
    x = layers.LayerNormalization(epsilon=1e-6)(x + y)
    return keras.Model(tokens, layers.Dense(3)(x[:, 0]))


def time_series() -> Any:
    x = keras.Input((10, 4), name="x")
    y = layers.Conv1D(6, 3, padding="causal", activation="relu")(x)
    y = layers.Bidirectional(layers.LSTM(5, return_sequences=True))(y)
    y, h, c = layers.LSTM(4, return_sequences=True, return_state=True)(y)
    y = layers.LSTM(4)(y, initial_state=[h, c])
    return keras.Model(x, layers.Dense(1)(y))


def named_ends() -> Any:
    a, b = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    return keras.Model({"a": a, "b": b}, {"sum": layers.Add(name="sum")([a, b]), "same": a})


def masked_softmax() -> Any:
    x, mask = keras.Input((4, 4), name="x"), keras.Input((4, 4), dtype="bool", name="mask")
    return keras.Model([x, mask], layers.Softmax()(x, mask=mask))


MODELS = [sequential, nested, shared, residual, transformer, time_series, masked_softmax]


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_model_equals_keras(make: Callable[[], Any], tmp_path: Path) -> None:
    # The legacy format forgets what a sum of tensors is, and that a model is called twice with other outputs.
    formats = ("keras",) if make in (transformer, time_series) else ("keras", "h5")
    check(make(), tmp_path, formats)


@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"])
def test_network_of_keras_applications(name: str, tmp_path: Path) -> None:
    """With random weights, their preprocessing inside."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(48, 48, 3), classes=7)
    for variable in model.weights:
        if "variance" in variable.path:
            variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
        elif any(part in variable.path for part in ("mean", "bias", "beta", "gamma")):
            variable.assign(np.random.default_rng(2).uniform(-0.3, 0.9, variable.shape))
    model.save(tmp_path / "m.keras")
    inputs = [np.random.default_rng(3).uniform(0, 255, (1, 48, 48, 3)).astype(np.float32)]
    assert_all_close(run_converted(tmp_path / "m.keras", inputs), predicted(model, inputs))


def test_inputs_and_outputs_by_name(tmp_path: Path) -> None:
    model = named_ends()
    model.save(tmp_path / "m.keras")
    graph = load(tmp_path / "m.keras")
    assert sorted(value.name for value in graph.inputs) == ["a", "b"]
    assert {value.name for value in graph.outputs} == {"sum", "a_1"}
    values = {"a": np.float32([[1, 2, 3]]), "b": np.float32([[4, 5, 6]])}
    made = ReferenceExecutor(graph).run(*(values[value.name] for value in graph.inputs))
    by_name = dict(zip((value.name for value in graph.outputs), made, strict=True))
    np.testing.assert_array_equal(by_name["sum"], [[5, 7, 9]])
    np.testing.assert_array_equal(by_name["a_1"], [[1, 2, 3]])


def test_layers_keep_their_names(tmp_path: Path) -> None:
    model = nested()
    model.save(tmp_path / "m.keras")
    graph = load(tmp_path / "m.keras")
    names = {node.name for node in graph.nodes}
    dense = model.get_layer("part").get_layer("inner").layers[0].name
    assert {"head", "part/norm", f"part/inner/{dense}"} <= names
    assert next(node.source for node in graph.nodes if node.name == "head") == "Dense"
    assert [value.name for value in graph.outputs] == ["head", "part"]


def test_state_lives_between_invokes(tmp_path: Path) -> None:
    """A stateful model fed two steps at a time gives what it gives for the whole."""
    stateful = keras.Sequential([
        keras.Input(batch_shape=(1, 2, 3)),
        layers.LSTM(4, stateful=True, return_sequences=True),
        layers.Bidirectional(layers.GRU(3, return_sequences=True)),
        layers.SimpleRNN(2, stateful=True),
    ])  # fmt: skip
    for layer in stateful.layers:
        layer.set_weights([np.random.default_rng(0).uniform(-0.5, 0.5, w.shape) for w in layer.get_weights()])
    pieces = [np.random.default_rng(step).uniform(-1, 1, (1, 2, 3)).astype(np.float32) for step in range(3)]
    stateful.layers[0].reset_states()
    stateful.layers[2].reset_states()
    theirs = [predicted(stateful, [piece])[0] for piece in pieces]
    stateful.save(tmp_path / "m.keras")
    graph = load(tmp_path / "m.keras")
    executor = ReferenceExecutor(graph)
    for piece, their in zip(pieces, theirs, strict=True):
        assert_all_close(executor.run(piece), [their])
    interpreter = opened(convert(tmp_path / "m.keras").data)
    for piece, their in zip(pieces, theirs, strict=True):
        assert_all_close(step(interpreter, [piece]), [their])


def test_open_dimensions_are_asked_for(tmp_path: Path) -> None:
    x, y = keras.Input((None, None, 3), name="image"), keras.Input((4,), name="vector")
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    model = filled(keras.Model([x, y], layers.Add()([pooled, y])))
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(InputError, match=r"'image' \[\?, \?, \?, 3\].*--input-shape image=1,"):
        load(path)
    with pytest.raises(InputError, match="no input of the model"):
        load(path, {"images": (1, 8, 8, 3)})
    with pytest.raises(InputError, match="states"):
        load(path, {"image": (1, 8, 8, 4)})
    graph = load(path, {"image": (1, 9, 8, 3)})
    assert graph.notes == ["Input 'vector': the first dimension is dynamic, 1 is assumed."]
    inputs = [np.ones((1, 9, 8, 3), np.float32), np.ones((1, 4), np.float32)]
    assert_all_close(ReferenceExecutor(graph).run(*inputs), predicted(model, inputs))


@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):  # type: ignore[misc]
    """A class that no file carries the code of."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


def test_all_refused_layers_at_once(tmp_path: Path) -> None:
    """Five, each with name, class, reason and fix; what hangs on them is passed over."""
    x = keras.Input((6, 4), name="x")
    y = layers.Lambda(lambda t: t + 1, name="code", output_shape=(6, 4))(x)
    y = layers.Dense(4, name="after")(Doubled(name="own")(y))
    z = layers.Softmax(axis=[1], name="fine")(x)
    z = layers.Activation("sparsemax", name="sparse")(z)
    a = ops.sort(x, axis=1)
    b = layers.Resizing(4, 4, interpolation="lanczos3", name="lanczos")(layers.Reshape((6, 4, 1))(x))
    model = keras.Model(x, [y, z, a, b])
    path = tmp_path / "m.keras"
    model.save(path)
    with pytest.raises(UnsupportedError) as caught:
        load(path)
    items = {item.node: item for item in caught.value.items}
    assert set(items) == {"code", "own", "sparse", "sort", "lanczos"}
    assert "never run" in items["code"].fix
    assert items["own"].operator == "tests>Doubled"
    assert "sparsemax" in items["sparse"].reason
    assert items["sort"].operator == "ops.Sort"
    assert "bilinear" in items["lanczos"].fix


def test_masks_are_said_to_be_ignored(tmp_path: Path) -> None:
    tokens = keras.Input((5,), dtype="int32")
    keras.Model(tokens, layers.LSTM(3)(layers.Embedding(9, 4, mask_zero=True, name="words")(tokens))).save(
        tmp_path / "m.keras"
    )
    assert any("'words'" in note and "mask" in note for note in load(tmp_path / "m.keras").notes)


def test_weights_alone_say_what_to_do(tmp_path: Path) -> None:
    model = sequential()
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(InputError, match=r"weights alone.*save the whole"):
        load(tmp_path / "m.weights.h5")


def test_subclassed_model_says_what_to_do(tmp_path: Path) -> None:
    class Own(keras.Model):  # type: ignore[misc]
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = layers.Dense(3)

        def call(self, inputs: Any) -> Any:
            return self.dense(inputs)

    model = Own()
    model(np.zeros((1, 4), np.float32))
    model.save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"code, not data.*keras.Sequential"):
        load(tmp_path / "m.keras")


def test_half_precision_weights_become_float32(tmp_path: Path) -> None:
    for policy in ("mixed_bfloat16", "float16", "bfloat16"):
        x = keras.Input((6,), name="x", dtype="float32")
        model = keras.Model(x, layers.Dense(4, dtype=policy)(x))
        model.save(tmp_path / "m.keras")
        graph = load(tmp_path / "m.keras")
        inputs = [np.linspace(-1, 1, 6, dtype=np.float32)[np.newaxis]]
        (made,) = ReferenceExecutor(graph).run(*inputs)
        assert np.abs(made - np.asarray(predicted(model, inputs)[0], np.float32)).max() < 0.05


def test_model_quantised_by_keras_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, name="dense")])
    model.quantize("int8")
    model.save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedError, match="quantised"):
        load(tmp_path / "m.keras")


def mnist(shared_data: Callable[[str], Path], count: int) -> tuple[np.ndarray, np.ndarray]:
    import gzip

    names = sorted(path.name for path in shared_data("data/mnist").iterdir())
    images, labels = (
        gzip.decompress((shared_data("data/mnist") / name).read_bytes())
        for name in sorted(names, key=lambda name: "label" in name)
    )
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1)
    return pixels[:count], np.frombuffer(labels, np.uint8, offset=8)[:count]


def test_mnist_cnn_equals_keras(shared_data: Callable[[str], Path]) -> None:
    """Its authors' pixels are 0 to 1; the same digits are found, and chances agree."""
    path = shared_data("keras/mnist_cnn.keras")
    pixels, labels = mnist(shared_data, 400)
    model = keras.models.load_model(path, compile=False)
    x = pixels.astype(np.float32) / 255
    theirs = np.asarray(model.predict(x, verbose=0))
    interpreter = opened(convert(path).data)
    made = np.concatenate([step(interpreter, [image[np.newaxis]])[0] for image in x])
    assert np.abs(made - theirs).max() <= 1e-5
    np.testing.assert_array_equal(made.argmax(1), theirs.argmax(1))
    assert (made.argmax(1) == labels).mean() >= 0.98


def test_ic_resnet8_equals_its_tflite(shared_data: Callable[[str], Path]) -> None:
    """171 of the 200 images, as LiteRT with the same network's file; outputs within 1e-5."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="the package ai-edge-litert is absent")
    images = shared_data("data/ic01")
    rows = [line.split(",") for line in (images / "y_labels.csv").read_text().split()]
    theirs = litert.Interpreter(str(shared_data("tflite/ic_resnet8_float.tflite")))
    theirs.allocate_tensors()
    ours = opened(convert(shared_data("keras/ic_resnet8.h5")).data)
    right, worst = 0, 0.0
    for name, _, label in rows:
        pixels = np.fromfile(images / name, np.uint8).reshape(1, 32, 32, 3).astype(np.float32)
        made = [step(interpreter, [pixels])[0] for interpreter in (theirs, ours)]
        worst = max(worst, float(np.abs(made[0] - made[1]).max()))
        right += int(made[1].argmax() == int(label))
    assert worst <= 1e-5
    assert (right, len(rows)) == (171, 200)


def test_runtime_runs_what_was_drawn(tmp_path: Path) -> None:
    """The helpers' runtime path, on a model of two inputs."""
    model = filled(nested())
    model.save(tmp_path / "m.keras")
    inputs = drawn(model)
    assert_all_close(run_converted(tmp_path / "m.keras", inputs), predicted(model, inputs))

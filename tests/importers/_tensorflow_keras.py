"""Writes SavedModels of Keras, each with an input and what Keras makes of it: python _tensorflow_keras.py FOLDER

In a process of its own, since Keras has one backend a process (KERAS_BACKEND), and other tests have another one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

RNG = np.random.default_rng(5)


def stacked(shape, *parts):
    return keras.Sequential([keras.Input(shape), *parts])


def transformer():
    given = keras.Input((7, 16))
    x = layers.LayerNormalization()(given + layers.MultiHeadAttention(2, 8)(given, given))
    return keras.Model(given, layers.LayerNormalization()(x + layers.Dense(16)(layers.Dense(32, "gelu")(x))))


MODELS: dict[str, Callable[[], Any]] = {
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


def application(name: str) -> Any:
    """With random statistics: those that Keras begins with would hide what a normalisation does."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(96, 96, 3), classes=100)
    for weights in model.weights:
        if "moving_variance" in weights.path:
            weights.assign(RNG.uniform(0.5, 1.5, weights.shape))
        elif "moving_mean" in weights.path:
            weights.assign(RNG.normal(0, 0.1, weights.shape))
    return model


def write(folder: Path, name: str, model: Any) -> None:
    x = RNG.normal(size=(1, *model.input_shape[1:])).astype(np.float32)
    model.export(str(folder / name), verbose=False)
    np.savez(folder / f"{name}.npz", x=x, y=np.asarray(model(x, training=False)))


def write_stateful(folder: Path) -> None:
    """Two recurrent layers whose state lives between calls; three calls in a row."""
    parts = (layers.LSTM(5, stateful=True, return_sequences=True), layers.GRU(4, stateful=True))
    model = keras.Sequential([keras.Input((3, 4), batch_size=1), *parts])
    step = tf.function(lambda x: {"y": model(x)}, input_signature=[tf.TensorSpec((1, 3, 4), tf.float32, name="x")])
    tf.saved_model.save(model, str(folder / "stateful"), signatures={"serving_default": step})
    theirs = tf.saved_model.load(str(folder / "stateful")).signatures["serving_default"]
    inputs = RNG.normal(size=(3, 1, 3, 4)).astype(np.float32)
    np.savez(folder / "stateful.npz", x=inputs, y=np.stack([theirs(tf.constant(x))["y"] for x in inputs]))


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    target = Path(sys.argv[1])
    for kind, make in MODELS.items():
        write(target, kind, make())
    for kind in ("MobileNetV2", "MobileNetV3Small"):
        write(target, kind, application(kind))
    write_stateful(target)

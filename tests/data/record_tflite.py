"""Writes tests/data/tflite/*.tflite: small models with random weights, converted by TensorFlow 2.21.

Run with a Python that has tensorflow-cpu: python tests/data/record_tflite.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

FOLDER = Path(__file__).parent / "tflite"
L = tf.keras.layers
INT16 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8


def write(name: str, model: Any, shape: tuple[int, ...], int16: bool = False) -> None:
    """int16: activations of 16 bits, inputs and outputs included. Loops stay loops (lower_control_flow=False)."""
    traced = tf.function(lambda x: model(x)).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if int16:
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.normal(size=shape).astype(np.float32)] for _ in range(8))
        converter.target_spec.supported_ops = [INT16]
        converter.inference_input_type = converter.inference_output_type = tf.int16
    (FOLDER / f"{name}.tflite").write_bytes(converter.convert())


def sequential(shape: tuple[int, ...], *layers: Any) -> Any:
    return tf.keras.Sequential([L.Input(shape[1:], batch_size=shape[0]), *layers])


def gated(shape: tuple[int, ...]) -> Any:
    """Products, sums and joins of convolutions."""
    inputs = L.Input(shape[1:], batch_size=shape[0])
    x = L.Conv2D(8, 1)(inputs)
    gate = L.Conv2D(8, 3, padding="same", activation="sigmoid")(x)
    y = L.Concatenate()([L.Add()([L.Multiply()([x, gate]), x]), gate])
    y = L.Subtract()([L.MaxPooling2D(2)(y), L.Conv2D(16, 2, strides=2)(inputs)])
    return tf.keras.Model(inputs, L.Softmax()(y))


def main() -> None:
    tf.random.set_seed(0)
    sequence, image, small = (1, 12, 5), (1, 24, 24, 3), (1, 16, 16, 4)
    write("keras_gru", sequential(sequence, L.GRU(7, return_sequences=True), L.GRU(4)), sequence)
    write("keras_lstm", sequential(sequence, L.LSTM(7, return_sequences=True), L.LSTM(4)), sequence)
    network = sequential(
        image, L.Conv2D(8, 3, padding="same", activation="relu"), L.DepthwiseConv2D(3, padding="same"),
        L.BatchNormalization(), L.ReLU(6.0), L.Conv2D(16, 3, strides=2, activation="tanh"), L.AveragePooling2D(2),
        L.Conv2DTranspose(4, 3, strides=2, padding="same"), L.LeakyReLU(), L.GlobalAveragePooling2D(),
        L.Dense(10, activation="softmax"),
    )  # fmt: skip
    write("int16_net", network, image, int16=True)
    write("int16_gated", gated(small), small, int16=True)
    write("stft", lambda x: tf.abs(tf.signal.stft(x, 256, 128)), (1, 1000))


if __name__ == "__main__":
    main()

"""Every layer that the Keras importer knows, beside Keras' own prediction, from both kinds of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from importers._keras_run import check, keras_or_skip

keras = keras_or_skip()
layers, ops = keras.layers, keras.ops

Make = Callable[[], Any]
Shape = tuple[int | None, ...]
FIRST = {"data_format": "channels_first"}


# Name -> (shapes of the inputs, layer on them).
LAYERS: dict[str, tuple[list[Shape], Make]] = {
    "dense": ([(6,)], lambda: layers.Dense(4, activation="relu")),
    "dense_of_sequence": ([(3, 6)], lambda: layers.Dense(4, use_bias=False, activation="softmax")),
    "einsum_dense": ([(3, 6)], lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 5), bias_axes="de")),
    "einsum_dense_ellipsis": ([(3, 2, 6)], lambda: layers.EinsumDense("...x,xy->...y", 4, activation="tanh")),
    "conv1d": ([(9, 3)], lambda: layers.Conv1D(4, 3, strides=2, padding="same")),
    "conv1d_causal": ([(9, 3)], lambda: layers.Conv1D(4, 3, padding="causal", dilation_rate=2)),
    "conv2d": ([(9, 8, 3)], lambda: layers.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu")),
    "conv2d_groups": ([(7, 6, 4)], lambda: layers.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same")),
    "conv3d": ([(5, 6, 7, 2)], lambda: layers.Conv3D(3, (2, 3, 2), strides=(1, 2, 1), padding="same")),
    "conv1d_transpose": ([(5, 3)], lambda: layers.Conv1DTranspose(4, 4, strides=2, padding="same")),
    "conv2d_transpose": ([(4, 5, 3)], lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same")),
    "conv2d_transpose_valid": ([(4, 5, 3)], lambda: layers.Conv2DTranspose(4, (3, 2), strides=(2, 3))),
    "conv3d_transpose": ([(3, 4, 3, 2)], lambda: layers.Conv3DTranspose(3, 2, strides=2, padding="valid")),
    "depthwise_conv1d": ([(9, 3)], lambda: layers.DepthwiseConv1D(3, depth_multiplier=2, padding="same")),
    "depthwise_conv2d": ([(9, 8, 3)], lambda: layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2)),
    "separable_conv1d": ([(9, 3)], lambda: layers.SeparableConv1D(5, 3, padding="same", activation="relu")),
    "separable_conv2d": ([(9, 8, 3)], lambda: layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2)),
    "max_pooling1d": ([(9, 3)], lambda: layers.MaxPooling1D(3, 2, padding="same")),
    "max_pooling2d": ([(9, 8, 3)], lambda: layers.MaxPooling2D((3, 2), padding="same")),
    "max_pooling3d": ([(5, 6, 7, 2)], lambda: layers.MaxPooling3D(2)),
    "average_pooling1d": ([(9, 3)], lambda: layers.AveragePooling1D(2)),
    "average_pooling2d": ([(9, 7, 3)], lambda: layers.AveragePooling2D(3, 2, padding="same")),
    "average_pooling3d": ([(5, 6, 7, 2)], lambda: layers.AveragePooling3D((2, 3, 2), strides=1)),
    "global_max_pooling1d": ([(9, 3)], lambda: layers.GlobalMaxPooling1D()),
    "global_average_pooling2d": ([(9, 8, 3)], lambda: layers.GlobalAveragePooling2D(keepdims=True)),
    "global_average_pooling3d": ([(5, 6, 7, 2)], lambda: layers.GlobalAveragePooling3D()),
    "batch_normalization": ([(5, 6, 4)], lambda: layers.BatchNormalization()),
    "batch_normalization_first": ([(4, 5, 6)], lambda: layers.BatchNormalization(axis=1, scale=False, center=False)),
    "layer_normalization": ([(5, 6)], lambda: layers.LayerNormalization()),
    "layer_normalization_axes": ([(5, 6, 3)], lambda: layers.LayerNormalization(axis=[2, 3], center=False)),
    "group_normalization": ([(5, 6, 8)], lambda: layers.GroupNormalization(4)),
    "group_normalization_first": ([(8, 5, 6)], lambda: layers.GroupNormalization(-1, axis=1)),
    "rms_normalization": ([(5, 6)], lambda: layers.RMSNormalization()),
    "unit_normalization": ([(5, 6)], lambda: layers.UnitNormalization(axis=-1)),
    "rescaling": ([(5, 6, 3)], lambda: layers.Rescaling(1 / 255, offset=-0.5)),
    "rescaling_channels": ([(5, 6, 3)], lambda: layers.Rescaling([1.0, 2.0, 3.0], offset=[0.1, 0.2, 0.3])),
    "normalization": ([(5, 3)], lambda: layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0])),
    "normalization_inverse": ([(5, 3)], lambda: layers.Normalization(axis=None, mean=0.3, variance=4.0, invert=True)),
    "activation": ([(5, 6)], lambda: layers.Activation("selu")),
    "leaky_relu": ([(5, 6)], lambda: layers.LeakyReLU(0.1)),
    "prelu": ([(5, 6, 3)], lambda: layers.PReLU(shared_axes=[1, 2])),
    "prelu_everywhere": ([(5, 6)], lambda: layers.PReLU()),
    "elu": ([(5, 6)], lambda: layers.ELU(0.7)),
    "relu_options": ([(5, 6)], lambda: layers.ReLU(max_value=0.8, negative_slope=0.2, threshold=0.3)),
    "relu_max": ([(5, 6)], lambda: layers.ReLU(max_value=6)),
    "softmax_axis": ([(5, 6)], lambda: layers.Softmax(axis=1)),
    "softmax_axes": ([(5, 6, 2)], lambda: layers.Softmax(axis=[1, 2])),
    "dropout": ([(5, 6)], lambda: layers.Dropout(0.5)),
    "gaussian_noise": ([(5, 6)], lambda: layers.GaussianNoise(0.5)),
    "flatten": ([(3, 4, 5)], lambda: layers.Flatten()),
    "reshape": ([(3, 4, 5)], lambda: layers.Reshape((-1, 10))),
    "permute": ([(3, 4, 5)], lambda: layers.Permute((3, 1, 2))),
    "repeat_vector": ([(5,)], lambda: layers.RepeatVector(3)),
    "cropping1d": ([(9, 3)], lambda: layers.Cropping1D((1, 2))),
    "cropping2d": ([(9, 8, 3)], lambda: layers.Cropping2D(((1, 2), (0, 3)))),
    "cropping3d": ([(5, 6, 7, 2)], lambda: layers.Cropping3D(1)),
    "zero_padding1d": ([(9, 3)], lambda: layers.ZeroPadding1D((1, 2))),
    "zero_padding2d": ([(9, 8, 3)], lambda: layers.ZeroPadding2D(((1, 2), (0, 3)))),
    "zero_padding3d": ([(5, 6, 7, 2)], lambda: layers.ZeroPadding3D((1, 0, 2))),
    "up_sampling1d": ([(4, 3)], lambda: layers.UpSampling1D(3)),
    "up_sampling2d": ([(4, 5, 3)], lambda: layers.UpSampling2D((2, 3))),
    "up_sampling2d_bilinear": ([(4, 5, 3)], lambda: layers.UpSampling2D(2, interpolation="bilinear")),
    "up_sampling3d": ([(3, 2, 4, 2)], lambda: layers.UpSampling3D((2, 1, 2))),
    "resizing": ([(7, 9, 3)], lambda: layers.Resizing(5, 12)),
    "resizing_nearest": ([(7, 9, 3)], lambda: layers.Resizing(5, 12, interpolation="nearest")),
    "resizing_crop": ([(8, 10, 3)], lambda: layers.Resizing(4, 4, crop_to_aspect_ratio=True)),
    "center_crop": ([(7, 9, 3)], lambda: layers.CenterCrop(4, 4)),
    "lstm": ([(5, 4)], lambda: layers.LSTM(3)),
    "lstm_sequence": ([(5, 4)], lambda: layers.LSTM(3, return_sequences=True, go_backwards=True)),
    "lstm_hard": ([(5, 4)], lambda: layers.LSTM(3, recurrent_activation="hard_sigmoid", activation="relu")),
    "lstm_softsign": ([(5, 4)], lambda: layers.LSTM(3, activation="softsign", use_bias=False)),
    "lstm_states": ([(5, 4)], lambda: layers.LSTM(3, return_state=True, return_sequences=True)),
    "gru": ([(5, 4)], lambda: layers.GRU(3)),
    "gru_before": ([(5, 4)], lambda: layers.GRU(3, reset_after=False, return_sequences=True)),
    "simple_rnn": ([(5, 4)], lambda: layers.SimpleRNN(3, return_sequences=True)),
    "bidirectional": ([(5, 4)], lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True))),
    "bidirectional_sum": ([(5, 4)], lambda: layers.Bidirectional(layers.GRU(3), merge_mode="sum")),
    "bidirectional_ave": ([(5, 4)], lambda: layers.Bidirectional(layers.SimpleRNN(3), merge_mode="ave")),
    "bidirectional_none": ([(5, 4)], lambda: layers.Bidirectional(layers.LSTM(3), merge_mode=None)),
    "bidirectional_apart": (
        [(5, 4)],
        lambda: layers.Bidirectional(layers.LSTM(3), backward_layer=layers.GRU(2, go_backwards=True)),
    ),
    "rnn_of_cells": (
        [(5, 4)],
        lambda: layers.RNN([layers.LSTMCell(3), layers.GRUCell(2), layers.LSTMCell(4)], return_sequences=True),
    ),
    "rnn_of_cell": ([(5, 4)], lambda: layers.RNN(layers.SimpleRNNCell(3), return_state=True)),
    "conv_lstm1d": ([(3, 6, 2)], lambda: layers.ConvLSTM1D(3, 3, padding="same")),
    "conv_lstm2d": ([(3, 6, 5, 2)], lambda: layers.ConvLSTM2D(3, 3, strides=2, return_sequences=True)),
    "time_distributed": ([(4, 8, 8, 2)], lambda: layers.TimeDistributed(layers.Conv2D(3, 3))),
    "add": ([(4, 3), (4, 3), (4, 3)], lambda: layers.Add()),
    "add_broadcast": ([(5, 4, 3), (4, 1)], lambda: layers.Add()),
    "subtract": ([(4, 3), (4, 3)], lambda: layers.Subtract()),
    "multiply": ([(4, 3), (4, 1)], lambda: layers.Multiply()),
    "average": ([(4, 3), (4, 3), (4, 3)], lambda: layers.Average()),
    "maximum": ([(4, 3), (4, 3)], lambda: layers.Maximum()),
    "minimum": ([(4, 3), (4, 3)], lambda: layers.Minimum()),
    "concatenate": ([(4, 3), (4, 2)], lambda: layers.Concatenate()),
    "concatenate_axis": ([(4, 3), (2, 3)], lambda: layers.Concatenate(axis=1)),
    "dot": ([(4, 3), (5, 3)], lambda: layers.Dot(axes=2)),
    "dot_of_vectors": ([(4,), (4,)], lambda: layers.Dot(axes=1, normalize=True)),
    "multi_head_attention": ([(5, 6), (4, 7)], lambda: Called(layers.MultiHeadAttention(2, 3, value_dim=4))),
    "multi_head_causal": (
        [(5, 6), (5, 6)],
        lambda: Called(layers.MultiHeadAttention(2, 3, use_bias=False, output_shape=5), use_causal_mask=True),
    ),
    "multi_head_scores": (
        [(5, 6), (4, 7)],
        lambda: Called(layers.MultiHeadAttention(2, 3), return_attention_scores=True),
    ),
    "grouped_attention": ([(5, 6), (4, 6)], lambda: Called(layers.GroupQueryAttention(3, 4, 2))),
    "attention": ([(5, 6), (4, 6)], lambda: layers.Attention(use_scale=True)),
    "attention_concat": ([(5, 6), (4, 6), (4, 6)], lambda: layers.Attention(score_mode="concat")),
    "additive_attention": ([(5, 6), (4, 6)], lambda: layers.AdditiveAttention()),
    "spectral_normalization": ([(5,)], lambda: layers.SpectralNormalization(layers.Dense(4))),
}  # fmt: skip

# Channels first: Keras runs them on PyTorch alone.
CHANNELS_FIRST: dict[str, tuple[list[Shape], Make]] = {
    "conv1d": ([(3, 9)], lambda: layers.Conv1D(4, 3, strides=2, padding="same", **FIRST)),
    "conv2d": ([(3, 9, 8)], lambda: layers.Conv2D(4, (3, 2), padding="same", **FIRST)),
    "conv3d": ([(2, 5, 6, 7)], lambda: layers.Conv3D(3, 2, **FIRST)),
    "conv2d_transpose": ([(3, 4, 5)], lambda: layers.Conv2DTranspose(4, 3, strides=2, padding="same", **FIRST)),
    "depthwise_conv2d": ([(3, 9, 8)], lambda: layers.DepthwiseConv2D(3, **FIRST)),
    "separable_conv2d": ([(3, 9, 8)], lambda: layers.SeparableConv2D(5, 3, **FIRST)),
    "max_pooling2d": ([(3, 9, 8)], lambda: layers.MaxPooling2D(2, **FIRST)),
    "average_pooling2d": ([(3, 9, 7)], lambda: layers.AveragePooling2D(3, 2, padding="same", **FIRST)),
    "global_max_pooling2d": ([(3, 9, 8)], lambda: layers.GlobalMaxPooling2D(**FIRST)),
    "flatten": ([(3, 4, 5)], lambda: layers.Flatten(**FIRST)),
    "zero_padding2d": ([(3, 4, 5)], lambda: layers.ZeroPadding2D(((1, 2), (0, 3)), **FIRST)),
    "cropping2d": ([(3, 4, 5)], lambda: layers.Cropping2D(1, **FIRST)),
    "up_sampling2d": ([(3, 4, 5)], lambda: layers.UpSampling2D(2, **FIRST)),
    "conv_lstm2d": ([(3, 2, 6, 5)], lambda: layers.ConvLSTM2D(3, 3, padding="same", **FIRST)),
}  # fmt: skip


class Called:
    """A layer with further arguments of its call; its inputs are arguments too."""

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        self.layer, self.kwargs = layer, kwargs

    def __call__(self, inputs: list[Any]) -> Any:
        return self.layer(*inputs, **self.kwargs)


def built(shapes: list[Shape], make: Callable[[Any], Any]) -> Any:
    inputs = [keras.Input(shape, name=f"input_{index}") for index, shape in enumerate(shapes)]
    return keras.Model(inputs, make(inputs if len(inputs) > 1 else inputs[0]))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_equals_keras(name: str, tmp_path: Path) -> None:
    shapes, make = LAYERS[name]
    layer = make()
    # The legacy format cannot save these: their configurations hold layers, or names that repeat.
    formats = ("keras",) if name in ("bidirectional_apart", "spectral_normalization") else ("keras", "h5")
    check(built(shapes, layer), tmp_path, formats)


@pytest.mark.parametrize("name", CHANNELS_FIRST)
def test_layer_with_channels_first_equals_keras(name: str, tmp_path: Path) -> None:
    if keras.backend.backend() != "torch":
        pytest.skip("channels first on a CPU needs the backend torch")
    shapes, make = CHANNELS_FIRST[name]
    check(built(shapes, make()), tmp_path)


ACTIVATIONS = (
    "linear", "relu", "relu6", "sigmoid", "tanh", "softmax", "softplus", "softsign", "elu", "selu", "exponential",
    "hard_sigmoid", "silu", "gelu", "leaky_relu", "mish", "log_softmax", "hard_silu", "celu", "glu", "hard_tanh",
    "hard_shrink", "log_sigmoid", "soft_shrink", "sparse_plus", "sparse_sigmoid", "squareplus", "tanh_shrink",
)  # fmt: skip


def test_every_activation(tmp_path: Path) -> None:
    x = keras.Input((6,), name="x")
    outputs = [layers.Activation(name, name=f"a_{name}")(ops.multiply(x, 3.0)) for name in ACTIVATIONS]
    check(keras.Model(x, outputs), tmp_path)


def test_activations_as_layers_in_an_option(tmp_path: Path) -> None:
    x = keras.Input((6,), name="x")
    y = layers.Dense(4, activation=layers.LeakyReLU(0.25))(x)
    check(keras.Model(x, layers.Dense(4, activation=layers.ReLU(max_value=0.5))(y)), tmp_path, ("keras",))


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: ((x + 1.0) * 2.0 - x) / 3.0 + 2.0 / (x + 5.0) - (1.0 - x) ** 2,
    "functions": lambda x: ops.sin(ops.exp(x)) + ops.abs(x) + ops.sqrt(ops.square(x) + 1.0) + ops.log1p(ops.abs(x)),
    "more_functions": lambda x: ops.tanh(x) + ops.erf(x) + ops.rsqrt(x + 2.0) + ops.sign(x) + ops.arctan(x),
    "extremes": lambda x: ops.maximum(x, 0.1) + ops.minimum(x, -0.1) + ops.clip(x, -0.3, 0.4),
    "compare": lambda x: ops.where(x > 0.1, x, -x) + ops.where(ops.logical_and(x < 0.5, x > -0.5), 1.0, x),
    "reshape": lambda x: ops.reshape(x, (-1, 6, 4)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)),
    "swap": lambda x: ops.moveaxis(ops.swapaxes(x, 1, 2), -1, 1),
    "dims": lambda x: ops.squeeze(ops.expand_dims(ops.mean(x, axis=1, keepdims=True), -1), axis=1),
    "index": lambda x: x[:, 1:, ::2, -1],
    "index_dots": lambda x: x[..., None, :2] + x[:, 0:1, :, None, 2:4],
    "joins": lambda x: ops.concatenate([x, ops.stack([x[..., 0], x[..., 1]], axis=-1)], axis=-1),
    "splits": lambda x: ops.concatenate(ops.split(x, 2, axis=-1)[::-1] + ops.split(x, [1, 3], axis=-1), axis=-1),
    "reductions": lambda x: ops.sum(x, axis=-1) + ops.max(x, axis=3) * ops.min(x, axis=-1) + ops.prod(x, axis=-1),
    "statistics": lambda x: ops.var(x, axis=2) + ops.std(x, axis=2) + ops.logsumexp(x, axis=2),
    "matmul": lambda x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
    "einsum": lambda x: ops.einsum("bijk,bilk->bijl", x, x),
    "pad": lambda x: ops.pad(x, [[0, 0], [1, 0], [0, 2], [1, 1]]),
    "reflect": lambda x: ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect"),
    "repeat": lambda x: ops.repeat(ops.flip(x, axis=2), 2, axis=1) + ops.tile(x, (1, 2, 1, 1)),
    "arg": lambda x: ops.cast(ops.argmax(x, axis=-1), "float32") + ops.cast(x[..., 0] > 0, "float32"),
    "take": lambda x: ops.take(x, ops.convert_to_tensor(np.array([2, 0])), axis=-1),
    "softmax": lambda x: ops.softmax(x, axis=1) + ops.log_softmax(x) + ops.sigmoid(x) + ops.relu(x) + ops.gelu(x),
    "normalize": lambda x: ops.normalize(x, axis=-1) + ops.broadcast_to(x[:, :1], (1, 2, 3, 4)),
    "resize": lambda x: ops.image.resize(x, (5, 4), interpolation="bilinear"),
    "likes": lambda x: x * ops.ones_like(x) + ops.zeros_like(x),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_keras(name: str, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(1, 2, 3, 4), name="x")
    check(keras.Model(x, OPERATIONS[name](x)), tmp_path, ("keras",))

"""Writes small models with an old Keras, and what it makes of a fixed input: see README.md beside this file.

python record_keras.py keras1 | keras2 | tf_keras
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent / "keras"
SEED = 7


def revive_theano():
    """What Theano 1.0.5 and Keras 1.2.2 expect of an older Python; without a compiler and BLAS."""
    os.environ["KERAS_BACKEND"] = "theano"
    os.environ["THEANO_FLAGS"] = "cxx=,blas.ldflags=,optimizer=None,floatX=float32,device=cpu"
    import collections.abc
    import inspect

    for name in collections.abc.__all__:
        if not hasattr(collections, name):
            setattr(collections, name, getattr(collections.abc, name))

    def getargspec(function):
        found = inspect.getfullargspec(function)
        return collections.namedtuple("ArgSpec", "args varargs keywords defaults")(*found[:4])

    inspect.getargspec = getattr(inspect, "getargspec", getargspec)
    import scipy.signal._signaltools
    import scipy.signal._sigtools

    sys.modules["scipy.signal.signaltools"] = scipy.signal._signaltools
    sys.modules["scipy.signal.sigtools"] = scipy.signal._sigtools
    importlib.import_module("theano.ifelse")  # Keras 1 forgets to


def save(name, model, **inputs):
    """The model with random weights as name.h5; its inputs and outputs as name.npz."""
    rng = np.random.RandomState(SEED)
    weights = []
    layers = getattr(model, "flattened_layers", model.layers)
    variables = [variable for layer in layers for variable in layer.weights]
    for array, variable in zip(model.get_weights(), variables, strict=False):
        drawn = rng.uniform(-0.5, 0.5, array.shape)
        positive = any(word in variable.name for word in ("variance", "running_std", "count"))
        weights.append(np.abs(drawn) + 0.5 if positive else drawn)
    model.set_weights(weights)
    arrays = [np.asarray(value) for value in inputs.values()]
    made = model.predict_on_batch(arrays if len(arrays) > 1 else arrays[0])
    made = [np.asarray(item) for item in (made if isinstance(made, (list, tuple)) else [made])]
    model.save(str(HERE / f"{name}.h5"))
    numbered = {f"output_{index}": item for index, item in enumerate(made)}
    np.savez_compressed(HERE / f"{name}.npz", **{f"input_{i}": item for i, item in enumerate(arrays)}, **numbered)
    print(name, [item.shape for item in made])


def drawn(*shape):
    return np.random.RandomState(SEED + 1).uniform(-1, 1, shape).astype("float32")


def keras1():
    from keras import layers
    from keras.models import Model, Sequential

    for order, shape in (("th", (3, 9, 8)), ("tf", (9, 8, 3))):
        axis = 1 if order == "th" else 3
        o = {"dim_ordering": order}
        model = Sequential(
            [
                layers.Convolution2D(
                    4, 3, 2, border_mode="same", subsample=(2, 1), activation="relu", input_shape=shape, **o
                ),
                layers.BatchNormalization(axis=axis),
                layers.LeakyReLU(0.2),
                layers.MaxPooling2D((3, 2), strides=(2, 2), border_mode="same", **o),
                layers.ZeroPadding2D((1, 2), **o),
                layers.AtrousConvolution2D(5, 2, 3, atrous_rate=(1, 2), bias=False, **o),
                layers.AveragePooling2D((2, 2), strides=(1, 1), border_mode="same", **o),
                layers.UpSampling2D((2, 1), **o),
                layers.Convolution2D(3, 3, 3, border_mode="full", **o),
                layers.Cropping2D(((1, 0), (0, 1)), **o),
                layers.Flatten(),
                layers.Dense(5, activation="softmax"),
            ]
        )
        save(f"keras1_{order}", model, x=drawn(2, *shape))
        x = layers.Input(batch_shape=(2, *((2, 4, 5) if order == "th" else (4, 5, 2))))
        size = (2, 3, 8, 10) if order == "th" else (2, 8, 10, 3)
        y = layers.Deconvolution2D(3, 3, 3, size, subsample=(2, 2), border_mode="same", **o)(x)
        z = layers.GlobalAveragePooling2D(**o)(layers.Convolution2D(2, 4, 4, border_mode="same", **o)(y))
        save(f"keras1_deconvolution_{order}", Model(x, [y, z]), x=drawn(*x._keras_shape))

    x = layers.Input((7, 4), name="sequence")
    tokens = layers.Input((5,), dtype="int32", name="tokens")
    y = layers.Convolution1D(6, 3, border_mode="same", activation="tanh")(x)
    y = layers.MaxPooling1D(2, 2)(y)
    lstm = layers.LSTM(4, return_sequences=True)(y)
    gru = layers.GRU(4, return_sequences=True, consume_less="gpu", go_backwards=True)(y)
    plain = layers.SimpleRNN(4, return_sequences=True, activation="relu")(y)
    both = layers.Bidirectional(layers.LSTM(2, return_sequences=True, consume_less="gpu"), merge_mode="concat")(y)
    joined = [layers.merge([lstm, gru, plain, both], mode=mode) for mode in ("sum", "mul", "ave", "max")]
    joined.append(layers.merge([lstm, gru], mode="concat", concat_axis=1))
    dots = [
        layers.merge([lstm, gru], mode="dot", dot_axes=(2, 2)),
        layers.merge([layers.GRU(3)(y), layers.LSTM(3)(y)], mode="cos", dot_axes=1),
    ]
    words = layers.Embedding(9, 3)(tokens)
    dense = layers.TimeDistributed(layers.Dense(4, activation="hard_sigmoid"))(words)
    flat = layers.Flatten()(layers.Permute((2, 1))(layers.TimeDistributedDense(3)(dense)))
    far = layers.MaxoutDense(3, nb_feature=2)(layers.Highway(activation="relu")(layers.Dense(6)(flat)))
    model = Model([x, tokens], [*joined, *dots, layers.RepeatVector(2)(far), layers.BatchNormalization(mode=1)(dense)])
    save("keras1_functional", model, sequence=drawn(2, 7, 4), tokens=np.arange(10).reshape(2, 5) % 9)

    left = Sequential([layers.Dense(4, input_dim=3, activation="relu"), layers.BatchNormalization()])
    right = Sequential([layers.Dense(4, input_shape=(2,)), layers.PReLU()])
    inner = Sequential([layers.Dense(5, input_dim=8), layers.Activation("tanh"), layers.Dense(3)], name="inner")
    model = Sequential([layers.Merge([left, right], mode="concat"), inner, layers.ELU(0.5), layers.Dense(2)])
    save("keras1_merge", model, left=drawn(2, 3), right=drawn(2, 2))

    x = layers.Input((2, 5, 6, 4))
    y = layers.MaxPooling3D((1, 2, 2), dim_ordering="th")(layers.Convolution3D(3, 2, 3, 3, dim_ordering="th")(x))
    z = layers.ConvLSTM2D(3, 3, 3, border_mode="same", dim_ordering="tf", return_sequences=True)(x)
    save("keras1_volumes", Model(x, [y, z]), x=drawn(1, 2, 5, 6, 4))


def keras2():
    from keras import layers
    from keras.models import Model, Sequential

    for order, shape in (("channels_first", (3, 9, 8)), ("channels_last", (9, 8, 3))):
        o = {"data_format": order}
        axis = 1 if order == "channels_first" else -1
        x = layers.Input(shape)
        y = layers.Conv2D(4, (3, 2), strides=(2, 1), padding="same", activation="relu", **o)(x)
        y = layers.BatchNormalization(axis=axis, scale=False)(y)
        y = layers.SeparableConv2D(5, 3, depth_multiplier=2, **o)(y)
        y = layers.Conv2DTranspose(3, 3, strides=2, padding="same", **o)(y)
        y = layers.DepthwiseConv2D(3, padding="same", **o)(y)
        y = layers.MaxPooling2D((3, 2), strides=2, padding="same", **o)(y)
        y = layers.AveragePooling2D(2, padding="same", strides=1, **o)(y)
        z = layers.GlobalMaxPooling2D(**o)(y)
        save(f"keras2_theano_{order}", Model(x, [layers.Dense(4)(layers.Flatten(**o)(y)), z]), x=drawn(2, *shape))

    inner = Sequential([layers.Dense(4, input_shape=(6,)), layers.BatchNormalization(), layers.Dense(3)], name="inner")
    a, b = layers.Input((6,), name="a"), layers.Input((5, 3), name="b")
    y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2)(b)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True, reset_after=True))(y)
    y = layers.LSTM(3, recurrent_activation="hard_sigmoid")(y)
    y = layers.Dot(1)([layers.Add()([y, inner(a)]), layers.Multiply()([y, inner(a)])])
    save("keras2_theano_nested", Model([a, b], [y, inner(a)]), a=drawn(2, 6), b=drawn(2, 5, 3))

    x = layers.Input((5, 4), name="x")
    outputs = [layers.LSTM(3, recurrent_activation="sigmoid", return_sequences=True, name="lstm")(x)]
    outputs.append(layers.GRU(3, recurrent_activation="sigmoid", reset_after=True, name="gru")(x))
    save("keras2_cudnn", Model(x, outputs), x=drawn(2, 5, 4))
    as_cudnn(HERE / "keras2_cudnn.h5")


def as_cudnn(path):
    """Makes the LSTM and the GRU of a file those that only run on cuDNN, by Keras' own conversion."""
    import json

    import h5py
    from keras.engine.saving import _convert_rnn_weights

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] in ("LSTM", "GRU"):
                layer["class_name"] = f"CuDNN{layer['class_name']}"
                for name in ("activation", "recurrent_activation", "reset_after"):
                    layer["config"].pop(name, None)
                group = file["model_weights"][layer["name"]]
                places = [group[name] for name in group.attrs["weight_names"]]
                target = type(layer["class_name"], (), {})()
                for place, array in zip(places, _convert_rnn_weights(target, [p[()] for p in places]), strict=True):
                    name = place.name
                    del file[name]
                    file[name] = array
        file.attrs["model_config"] = json.dumps(config)


def tf_keras():
    import tensorflow as tf
    import tf_keras as keras

    layers = keras.layers
    inner = keras.Sequential([keras.Input((6,)), layers.Dense(5), layers.BatchNormalization()], name="inner")
    inner.layers[-1].trainable = False
    x = keras.Input((6,), name="x")
    part = keras.Model(x, [inner(x), layers.BatchNormalization(name="norm")(x)], name="part")
    one, two = keras.Input((6,), name="one"), keras.Input((6,), name="two")
    left, right = part(one), part(two)
    y = layers.Concatenate()([left[0], right[1], left[1], right[0]])
    save("tf_keras_nested", keras.Model([one, two], [layers.Dense(3, name="head")(y), right[0]]), one=drawn(2, 6),
         two=drawn(2, 6)[::-1])  # fmt: skip

    x = keras.Input((4, 5, 3))
    y = tf.nn.relu(tf.math.add(x, 1.0) * 2.0) - x / 3.0 + 2.0 / (x + 5.0)
    y = tf.concat([y, x[:, :, :, :2]], axis=-1)
    y = tf.transpose(tf.reshape(y, [-1, 20, 5]), [0, 2, 1])
    z = tf.reduce_mean(y, axis=[1], keepdims=True) + tf.math.reduce_max(y, axis=-1, keepdims=True)
    z = tf.math.sigmoid(z) * tf.tanh(y) + tf.sqrt(tf.abs(y)) + tf.square(y)
    z = tf.expand_dims(tf.pad(tf.nn.softmax(z, axis=1), [[0, 0], [1, 1], [0, 2]]), -1)
    z = tf.squeeze(tf.image.resize(z, (6, 9)), -1)[:, 1:-1, ::2]
    w = tf.matmul(z, z, transpose_b=True)
    w = tf.clip_by_value(tf.where(w > 0.5, w, -w), -0.4, 0.6)
    w = tf.stack(tf.unstack(w, axis=1), axis=2)
    w = (
        tf.split(w, 2, axis=1)[0]
        + tf.maximum(w[:, :2], 0.1)
        + tf.cast(tf.argmax(w[:, :2], axis=-1), "float32")[:, :, None]
    )
    outputs = [w, tf.gather(x, [0, 2], axis=2), tf.nn.l2_normalize(x, -1), tf.math.reduce_std(x, 1)]
    save("tf_keras_functions", keras.Model(x, outputs), x=drawn(2, 4, 5, 3))

    x = keras.Input((5, 6, 3))
    outputs = [
        layers.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=1)(x),
        layers.Conv2DTranspose(4, 4, strides=2, output_padding=1)(x),
        layers.Conv2DTranspose(4, 5, strides=3, padding="same")(x),
        layers.UpSampling2D(3, interpolation="bicubic")(x),
        layers.Resizing(9, 4, interpolation="bicubic")(x),
        layers.AveragePooling2D(3, 2, padding="same")(x),
        layers.LocallyConnected2D(3, 2, strides=2)(x),
        layers.ThresholdedReLU(0.3)(x),
    ]
    save("tf_keras_layers", keras.Model(x, outputs), x=drawn(2, 5, 6, 3))


if __name__ == "__main__":
    kind = sys.argv[1]
    if kind in ("keras1", "keras2"):
        revive_theano()
    {"keras1": keras1, "keras2": keras2, "tf_keras": tf_keras}[kind]()

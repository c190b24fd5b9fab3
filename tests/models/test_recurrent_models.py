"""Trained models with recurrent layers or with state between runs, against LiteRT and onnxruntime on real inputs."""

from __future__ import annotations

import gzip
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from litert_reference import LiteRT
from model_inputs import Array, Find

import edgert
from edgert import Interpreter

DIGITS = 500
CHUNK, CONTEXT, RATE = 512, 64, 16000


def digits(find: Find) -> tuple[Array, Array]:
    """MNIST images uint8 [N,28,28], and what they show."""
    images = gzip.decompress(find("data/mnist/images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress(find("data/mnist/labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(images[16:], np.uint8).reshape(-1, 28, 28), np.frombuffer(labels[8:], np.uint8)


def feed(interpreter: Interpreter, x: Array) -> Array:
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.set_tensor(given["index"], x)
    interpreter.invoke()
    return np.array(interpreter.get_tensor(wanted["index"]))


@pytest.mark.parametrize("name", ["mnist_lstm_float", "mnist_lstm_int8"])
def test_digits_row_by_row(name: str, shared_data: Find) -> None:
    """Each image from a fresh state, as in training; then many in a row, and the state goes on as in LiteRT."""
    model = shared_data(f"tflite/{name}.tflite").read_bytes()
    images, labels = digits(shared_data)
    ours, theirs = Interpreter(model_content=edgert.convert(model).data), LiteRT(model)
    right = 0
    for run, (image, label) in enumerate(zip(images[: 2 * DIGITS], labels, strict=False)):
        if name.endswith("int8"):
            x = (image.astype(np.int16) - 128).astype(np.int8)[None]
        else:
            x = (image / np.float32(255))[None]
        if run <= DIGITS:
            ours.reset_all_variables()
            theirs.reset()
        found, (wanted,) = feed(ours, x), theirs.run(x)
        if name.endswith("int8"):
            np.testing.assert_array_equal(found, wanted)
        else:
            np.testing.assert_allclose(found, wanted, atol=1e-5)
        right += int(run < DIGITS and found.argmax() == label)
    assert right / DIGITS > 0.95


@pytest.mark.parametrize("threads", [1, 4])
def test_wakeword_streams(threads: int, shared_data: Find) -> None:
    """Variables behind handles, over 300 steps of 3 frames each: every bit of LiteRT's."""
    model = shared_data("tflite/wakeword_okay_nabu_int8_stateful.tflite").read_bytes()
    ours, theirs = Interpreter(model_content=edgert.convert(model).data, num_threads=threads), LiteRT(model)
    rng = np.random.default_rng(0)
    seen = set()
    for step in range(300):
        loudest = (127, 0, -60)[step // 20 % 3]
        x = rng.integers(-128, loudest, (1, 3, 40), np.int8, endpoint=True)
        found, (wanted,) = feed(ours, x), theirs.run(x)
        np.testing.assert_array_equal(found, wanted, err_msg=f"step {step}")
        seen.add(found.item())
    assert len(seen) > 1


def chunks(path: Path) -> Iterator[Array]:
    """512 samples after the last 64 of the chunk before, [1, 576], in -1..1."""
    with wave.open(str(path)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 1, 2)
        samples = np.frombuffer(recording.readframes(recording.getnframes()), np.int16).astype(np.float32) / 32768
    padded = np.concatenate([np.zeros(CONTEXT, np.float32), samples])
    for start in range(0, samples.size - CHUNK + 1, CHUNK):
        yield padded[None, start : start + CONTEXT + CHUNK]


def test_speech_detector_streams(shared_data: Find) -> None:
    """Silero VAD, its sample rate given at conversion, its state carried from chunk to chunk by both runtimes."""
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = shared_data("onnx/silero_vad_16k_op15.onnx")
    rate = np.array(RATE, np.int64)
    shapes = {"input": (1, CONTEXT + CHUNK), "state": (2, 1, 128)}
    package = edgert.convert(path, input_shapes=shapes, constants={"sr": rate}).data
    ours = Interpreter(model_content=package)
    places = {detail["name"]: detail["index"] for detail in ours.get_input_details() + ours.get_output_details()}
    assert sorted(places) == ["input", "output", "state", "stateN"]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = wanted_state = np.zeros((2, 1, 128), np.float32)
    found, wanted = [], []
    for x in chunks(shared_data("data/audio/silero_test.wav")):
        probability, wanted_state = session.run(None, {"input": x, "state": wanted_state, "sr": rate})
        wanted.append(float(probability[0, 0]))
        ours.set_tensor(places["input"], x)
        ours.set_tensor(places["state"], state)
        ours.invoke()
        state = ours.get_tensor(places["stateN"])
        found.append(float(ours.get_tensor(places["output"])[0, 0]))
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    np.testing.assert_allclose(state, wanted_state, atol=1e-3)
    speech = np.array(found) > 0.5
    assert 0.5 < speech.mean() < 0.9
    np.testing.assert_array_equal(speech, np.array(wanted) > 0.5)

"""Whole models of TensorFlow: ARM's frozen keyword-spotting graphs, and basic-pitch as SavedModel, ONNX and TFLite."""

from __future__ import annotations

import io
import pickle
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from runtime_runs import assert_close, packed, run_by_name, step

from edgert import convert
from edgert.importers.tensorflow import load

RECORDED = Path(__file__).resolve().parents[1] / "data" / "tensorflow_kws.npz"
LABELS = ["silence", "unknown", "yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]


@pytest.mark.parametrize(("name", "right"), [("arm_ds_cnn_s", 52), ("arm_cnn_s", 47)])
def test_arm_graph_equals_tensorflow(shared_data, name, right):
    """On features that TensorFlow's own front end made of 60 clips (tests/data/record_tensorflow.py). right: how many
    of them it hears rightly in TensorFlow too."""
    graph = load(shared_data(f"tf/{name}.pb"))
    assert [(value.name, value.shape) for value in graph.inputs] == [("Mfcc", (1, 49, 10))]
    assert [value.name for value in graph.outputs] == ["labels_softmax"]
    assert any("cut after it" in note and "'Mfcc'" in note for note in graph.notes)
    package = packed(graph)
    recorded = np.load(RECORDED)
    hits = 0
    for clip, features, wanted in zip(recorded["clips"], recorded["features"], recorded[name], strict=True):
        made = run_by_name(package, {"Mfcc": features[np.newaxis]})["labels_softmax"]
        assert_close(made, wanted[np.newaxis], 1e-5)
        hits += LABELS[int(made.argmax())] == str(clip).split("_")[2].lower()
    assert hits == right


def test_arm_graph_cut_where_asked(shared_data):
    """At the fingerprint instead of the features, and before the softmax."""
    path = shared_data("tf/arm_ds_cnn_s.pb")
    graph = load(path, inputs=["Reshape:0"], outputs=["MobileNet/fc1/BiasAdd"])
    assert [(value.name, value.shape) for value in graph.inputs] == [("Reshape", (1, 490))]
    recorded = np.load(RECORDED)
    logits = run_by_name(graph, {"Reshape": recorded["features"][0].reshape(1, 490)})["MobileNet/fc1/BiasAdd"]
    scores = np.exp(logits - logits.max())
    assert_close(scores / scores.sum(), recorded["arm_ds_cnn_s"][:1], 1e-5)


# basic-pitch. Its inference: windows of two seconds less a hop, which overlap by 30 frames; half of the overlap is cut
# off at each end of a window's frames (basic_pitch/inference.py of its authors).
RATE, HOP, WINDOW, OVERLAP = 22050, 256, 43844, 30
STEP = WINDOW - OVERLAP * HOP
OUTPUTS = {"contour": 0, "note": 1, "onset": 2}  # numbers of the outputs in the ONNX and TFLite files


@pytest.fixture(scope="module")
def pitch_packages(shared_data):
    """Package and names of the outputs, by source."""
    numbered = {f"StatefulPartitionedCall:{number}": name for name, number in OUTPUTS.items()}
    folder = shared_data("basic_pitch")
    return {
        "SavedModel": (packed(load(folder / "saved_model")), {name: name for name in OUTPUTS}),
        "ONNX": (convert(folder / "nmp.onnx").data, numbered),
        "TFLite": (convert(folder / "nmp.tflite").data, numbered),
    }


def _run_pitch(package, names, window):
    return {names[name]: array for name, array in run_by_name(package, [window]).items()}


@pytest.mark.parametrize("source", ["SavedModel", "ONNX", "TFLite"])
def test_basic_pitch_equals_onnxruntime_and_litert(shared_data, pitch_packages, source):
    onnxruntime = pytest.importorskip("onnxruntime")
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs the package ai-edge-litert")
    window = np.random.default_rng(0).normal(0, 0.1, (1, WINDOW, 1)).astype(np.float32)
    made = _run_pitch(*pitch_packages[source], window)
    session = onnxruntime.InferenceSession(str(shared_data("basic_pitch/nmp.onnx")), providers=["CPUExecutionProvider"])
    for info, their in zip(
        session.get_outputs(), session.run(None, {session.get_inputs()[0].name: window}), strict=True
    ):
        name = next(key for key, number in OUTPUTS.items() if info.name.endswith(f":{number}"))
        assert_close(made[name], their)
    interpreter = litert.Interpreter(model_path=str(shared_data("basic_pitch/nmp.tflite")))
    interpreter.allocate_tensors()
    for info, their in zip(interpreter.get_output_details(), step(interpreter, [window]), strict=True):
        name = next(key for key, number in OUTPUTS.items() if info["name"].endswith(f":{number}"))
        assert_close(made[name], their)


class _ArraysOnly(pickle.Unpickler):
    """The authors recorded a dictionary of arrays, pickled."""

    def find_class(self, module, name):
        if (module.replace("_core", "core"), name) in {
            ("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
        }:  # fmt: skip
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def _recorded_pitch(path):
    with zipfile.ZipFile(path) as archive:
        file = io.BytesIO(archive.read("arr_0.npy"))
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return _ArraysOnly(file).load().item()


@pytest.mark.parametrize("source", ["SavedModel", "ONNX", "TFLite"])
def test_basic_pitch_matches_its_authors_recording(shared_data, pitch_packages, source):
    """Of a sung phrase, within the tolerance of the authors' own test (1e-4), resampled as theirs is (soxr)."""
    soxr = pytest.importorskip("soxr", reason="needs the package soxr, which resamples as the recording was")
    with wave.open(str(shared_data("basic_pitch/vocadito_10.wav"))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
        sung = soxr.resample(samples, file.getframerate(), RATE, quality="HQ")
    begun = np.concatenate([np.zeros(OVERLAP * HOP // 2, np.float32), sung])
    frames = {name: [] for name in OUTPUTS}
    for start in range(0, len(begun), STEP):
        window = np.zeros(WINDOW, np.float32)
        piece = begun[start : start + WINDOW]
        window[: len(piece)] = piece
        for name, made in _run_pitch(*pitch_packages[source], window[np.newaxis, :, np.newaxis]).items():
            frames[name].append(made[0, OVERLAP // 2 : -OVERLAP // 2])
    count = int(len(sung) / STEP * len(frames["note"][0]))
    for name, wanted in _recorded_pitch(shared_data("basic_pitch/vocadito_10_model_output.npz")).items():
        np.testing.assert_allclose(np.concatenate(frames[name])[:count], wanted, rtol=0, atol=1e-4)

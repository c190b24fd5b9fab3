"""Published PyTorch weights: the same results as eager PyTorch, and as the same networks of other frameworks."""

from __future__ import annotations

import wave
from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

from model_inputs import cifar, photos  # noqa: E402
from runtime_runs import opened, step  # noqa: E402

from edgert.importers.torch import load, load_object  # noqa: E402
from importers._torch_run import assert_all_close, eager, run  # noqa: E402
from importers.torch_nets import pretrained  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


def _loaded(module, state):
    module.load_state_dict({name.removeprefix("module."): tensor for name, tensor in state.items()})
    return module.eval()


def test_cifar_resnet20_is_as_accurate_as_eager(shared_data):
    checkpoint = pretrained.weights(shared_data("torch/cifar_resnet20.th"))
    module = _loaded(pretrained.CifarResNet20(), checkpoint["state_dict"])
    interpreter = opened(load_object(module, None, (torch.zeros(1, 3, 32, 32),)))
    mean, std = (np.asarray(item, np.float32) for item in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images, labels = zip(*cifar(shared_data), strict=True)
    x = ((np.concatenate(images).astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
    ours = np.concatenate([step(interpreter, [np.ascontiguousarray(image)])[0] for image in x[:, None]])
    (reference,) = eager(module, [torch.from_numpy(np.ascontiguousarray(x))])
    count = len(labels)
    right, theirs = ((found.argmax(1) == np.asarray(labels)).sum() for found in (ours, reference))
    assert count >= 600
    assert abs(right - theirs) / count <= 0.001
    assert right / count > 0.9
    print(f"cifar_resnet20: {right} of {count} right, eager {theirs}")


def test_ultraface_equals_its_onnx_twin(shared_data):
    module = _loaded(pretrained.UltraFace(), pretrained.weights(shared_data("ultraface_rfb320/rfb320.pth")))
    graph = load_object(module, None, (torch.zeros(1, 3, 240, 320),))
    assert [value.name for value in graph.outputs] == ["scores", "boxes"]
    interpreter = opened(graph)
    session = onnxruntime.InferenceSession(
        str(shared_data("ultraface_rfb320/rfb320_raw.onnx")), providers=["CPUExecutionProvider"]
    )
    for place, image in enumerate(photos(shared_data, 240, 320)):
        if place == 8:
            break
        x = np.ascontiguousarray(((image.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2))
        scores, boxes = step(interpreter, [x])
        their_scores, their_boxes = session.run(["scores", "boxes"], {"input": x})
        np.testing.assert_allclose(scores, their_scores, rtol=0, atol=1e-4)
        np.testing.assert_allclose(boxes, their_boxes, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "file", "shape"),
    [(pretrained.PNet, "pnet", (1, 3, 60, 47)), (pretrained.RNet, "rnet", (4, 3, 24, 24))],
    ids=["pnet", "rnet"],
)
def test_mtcnn(make, file, shape, shared_data):
    module = _loaded(make(), pretrained.weights(shared_data(f"mtcnn/{file}.pt")))
    x = torch.rand(shape, generator=torch.Generator().manual_seed(3)) * 2 - 1
    assert_all_close(run(load_object(module, None, (x,)), [x]), eager(module, [x]))


CHUNK, CONTEXT = 512, 64  # samples at 16 kHz


@pytest.fixture(scope="module")
def speech(shared_data):
    """Chunks of the recording, float32 [1, 512]."""
    with wave.open(str(shared_data("data/audio/silero_test.wav"))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768
    return [samples[None, at : at + CHUNK] for at in range(0, len(samples) - CHUNK + 1, CHUNK)]


@pytest.fixture(scope="module")
def onnx_chances(shared_data, speech):
    """What the ONNX model says in onnxruntime, which gets state and context by hand."""
    session = onnxruntime.InferenceSession(
        str(shared_data("onnx/silero_vad_16k_op15.onnx")), providers=["CPUExecutionProvider"]
    )
    state, context, chances = np.zeros((2, 1, 128), np.float32), np.zeros((1, CONTEXT), np.float32), []
    for chunk in speech:
        x = np.concatenate([context, chunk], 1)
        chance, state = session.run(None, {"input": x, "state": state, "sr": np.asarray(16000, np.int64)})
        context = x[:, -CONTEXT:]
        chances.append(chance.item())
    return np.asarray(chances)


def test_silero_finds_the_speech_that_its_onnx_twin_finds(shared_data, speech, onnx_chances):
    """The script module keeps context and state in attributes that its first call sets up."""
    graph = load(shared_data("torch/silero_vad.jit"), {"x": (1, CHUNK)}, constants={"sr": 16000})
    assert {node.inputs[0].name for node in graph.nodes if node.op == "assign"} == {"_state", "_context"}
    interpreter = opened(graph)
    chances = np.asarray([step(interpreter, [chunk])[0].item() for chunk in speech])
    assert len(chances) > 1800
    assert 0.2 < (chances > 0.5).mean() < 0.95
    np.testing.assert_array_equal(chances > 0.5, onnx_chances > 0.5)
    np.testing.assert_allclose(chances, onnx_chances, rtol=0, atol=1e-3)


def test_a_submodule_of_silero_is_an_entry_of_its_own(shared_data, speech):
    path = shared_data("torch/silero_vad.jit")
    graph = load(path, {"x": (1, CONTEXT + CHUNK), "state": (2, 1, 128)}, entry="_model")
    assert [value.name for value in graph.inputs] == ["x", "state"]
    interpreter = opened(graph)
    module = torch.jit.load(path)._model
    state = np.zeros((2, 1, 128), np.float32)
    for before, chunk in pairwise(speech[:21]):
        x = np.concatenate([before[:, -CONTEXT:], chunk], 1)
        with torch.no_grad():
            theirs = [item.numpy() for item in module(torch.from_numpy(x), torch.from_numpy(state))]
        ours = step(interpreter, [x, state])
        assert_all_close(ours, theirs)
        state = theirs[1]

"""PyTorch networks, with random weights, against eager PyTorch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")

from edgert.importers.torch import load, load_object  # noqa: E402
from importers._torch_run import assert_close, eager, flat, lively, opened, run, step  # noqa: E402
from importers.torch_nets import classifiers, dense, sequences  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

NETWORKS = {
    "resnet18": (classifiers.ResNet18, (1, 3, 96, 96)),
    "mobilenet_v2": (classifiers.MobileNetV2, (1, 3, 96, 96)),
    "mobilenet_v3_small": (classifiers.MobileNetV3Small, (1, 3, 96, 96)),
    "efficientnet_b0": (classifiers.EfficientNetB0, (1, 3, 96, 96)),
    "shufflenet_v2": (classifiers.ShuffleNetV2, (1, 3, 96, 96)),
    "squeezenet": (classifiers.SqueezeNet, (1, 3, 96, 96)),
    "unet": (dense.UNet, (1, 3, 70, 52)),
    "lstm": (sequences.TwoLayerLstm, (2, 15, 16)),
    "gru": (sequences.GruTagger, None),
    "vision_transformer": (sequences.VisionTransformer, (1, 3, 32, 32)),
    "conformer": (sequences.ConformerBlock, (1, 61, 20)),
}


def _network(name):
    torch.manual_seed(7)
    make, shape = NETWORKS[name]
    inputs = torch.randint(0, 50, (2, 9)) if shape is None else torch.randn(shape)
    return lively(make()), inputs


@pytest.mark.parametrize("name", NETWORKS)
def test_exported(name):
    module, inputs = _network(name)
    assert_close(run(load_object(module, None, (inputs,)), [inputs]), eager(module, [inputs]))


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2", "unet", "gru", "vision_transformer", "conformer"])
def test_scripted(name, tmp_path):
    module, inputs = _network(name)
    path = tmp_path / "model.pt"
    torch.jit.script(module).save(path)
    names = {"gru": "tokens", "conformer": "features"}
    graph = load(path, {names.get(name, "x"): tuple(inputs.shape)})
    assert_close(run(graph, [inputs]), eager(module, [inputs]))


def test_state_lives_between_invokes():
    torch.manual_seed(1)
    module = sequences.StreamingGru().eval()
    graph = load_object(module, None, (torch.zeros(1, 8),))
    assert {node.inputs[0].name for node in graph.nodes if node.op == "assign"} == {"hidden", "past"}
    interpreter = opened(graph)
    with torch.no_grad():
        for _ in range(5):
            x = torch.randn(1, 8)
            assert_close(step(interpreter, [x.numpy()]), flat(module(x)))


def test_scripted_state_lives_between_invokes(tmp_path):
    torch.manual_seed(1)
    module = sequences.StreamingGru().eval()
    torch.jit.script(module).save(tmp_path / "model.pt")
    interpreter = opened(load(tmp_path / "model.pt", {"x": (1, 8)}))
    with torch.no_grad():
        for _ in range(5):
            x = torch.randn(1, 8)
            assert_close(step(interpreter, [x.numpy()]), flat(module(x)))

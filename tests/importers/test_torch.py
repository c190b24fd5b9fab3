"""PyTorch networks, with random weights, against eager PyTorch."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")

from runtime_runs import opened, step  # noqa: E402

from edgert.errors import UnsupportedError  # noqa: E402
from edgert.importers.torch import load, load_object  # noqa: E402
from importers._torch_run import assert_all_close, eager, flat, lively, run  # noqa: E402
from importers.torch_nets import classifiers, dense, idioms, sequences  # noqa: E402

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
    assert_all_close(run(load_object(module, None, (inputs,)), [inputs]), eager(module, [inputs]))


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2", "unet", "gru", "vision_transformer", "conformer"])
def test_scripted(name, tmp_path):
    module, inputs = _network(name)
    path = tmp_path / "model.pt"
    torch.jit.script(module).save(path)
    names = {"gru": "tokens", "conformer": "features"}
    graph = load(path, {names.get(name, "x"): tuple(inputs.shape)})
    assert_all_close(run(graph, [inputs]), eager(module, [inputs]))


IDIOMS = {
    "masked_encoder": (idioms.MaskedEncoder, [torch.randint(0, 30, (2, 7)), (torch.rand(2, 7) > 0.3).long()]),
    "box_head": (idioms.BoxHead, [torch.randn(1, 3, 16, 12)]),
    "shifted_windows": (idioms.ShiftedWindows, [torch.randn(1, 8, 8, 8)]),
}


@pytest.mark.parametrize("name", IDIOMS)
def test_idioms(name, tmp_path):
    torch.manual_seed(5)
    make, inputs = IDIOMS[name]
    module = lively(make())
    theirs = eager(module, inputs)
    assert_all_close(run(load_object(module, None, tuple(inputs)), inputs), theirs)
    torch.jit.trace(module, tuple(inputs)).save(tmp_path / "model.pt")
    assert_all_close(run(load(tmp_path / "model.pt"), inputs), theirs)


def _steps(graph, module, shape):
    """Several invokes, which both sides begin from the same state."""
    interpreter = opened(graph)
    with torch.no_grad():
        for _ in range(5):
            x = torch.randn(shape)
            assert_all_close(step(interpreter, [x.numpy()]), flat(module(x)))


@pytest.mark.parametrize(
    ("make", "shape", "state"),
    [
        (sequences.StreamingGru, (1, 8), {"hidden", "past"}),
        (idioms.CachedDecoder, (1, 1, 16), {"keys", "values", "place"}),
        (idioms.Counting, (1, 4), {"count"}),
    ],
    ids=["gru", "decoder", "count"],
)
def test_state_lives_between_invokes(make, shape, state):
    torch.manual_seed(1)
    module = make().eval()
    graph = load_object(copy.deepcopy(module), None, (torch.zeros(shape),))
    assert {node.inputs[0].name for node in graph.nodes if node.op == "assign"} == state
    _steps(graph, copy.deepcopy(module), shape)
    decomposed = torch.export.export(copy.deepcopy(module), (torch.zeros(shape),), strict=False).run_decompositions()
    _steps(load_object(decomposed), module, shape)


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (sequences.StreamingGru, (1, 8)),
        (idioms.SetUpLater, (1, 4)),
        (idioms.PairOfStates, (1, 4)),
        (idioms.Counting, (1, 4)),
    ],
    ids=["gru", "none", "pair", "count"],
)
def test_scripted_state_lives_between_invokes(make, shape, tmp_path):
    torch.manual_seed(1)
    torch.jit.script(make().eval()).save(tmp_path / "model.pt")
    _steps(load(tmp_path / "model.pt", {"x": shape}), torch.jit.load(tmp_path / "model.pt"), shape)


def test_state_that_no_variable_holds(tmp_path):
    torch.jit.script(idioms.CountingInPython()).save(tmp_path / "model.pt")
    with pytest.raises(UnsupportedError, match="'count'"):
        load(tmp_path / "model.pt", {"x": (1, 4)})


def test_attributes_that_export_drops_are_noted():
    graph = load_object(idioms.SetUpLater(), None, (torch.zeros(1, 4),))
    assert any("self.hidden" in note and "register_buffer" in note for note in graph.notes)
    graph = load_object(sequences.TwoLayerLstm(), None, (torch.zeros(1, 5, 16),))
    assert not graph.notes

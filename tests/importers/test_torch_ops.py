"""PyTorch operators against eager PyTorch: as torch.export writes them, as core ATen, and as TorchScript."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")

from edgert.importers.torch import load, load_object  # noqa: E402
from importers._torch_cases import CASES, Of  # noqa: E402
from importers._torch_run import assert_all_close, eager, lively, run  # noqa: E402

NOT_DECOMPOSED = {
    "lstm", "lstm_projected", "gru", "rnn",  # into hundreds of operators
    "named_result",  # a program with such a result cannot be written; a module's is flattened
}  # fmt: skip


def _case(name):
    function, inputs = CASES[name]
    module = lively(function if isinstance(function, torch.nn.Module) else Of(function))
    return module, inputs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_exported(name):
    module, inputs = _case(name)
    assert_all_close(run(load_object(module, None, tuple(inputs)), inputs), eager(module, inputs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(set(CASES) - NOT_DECOMPOSED))
def test_core_aten(name):
    module, inputs = _case(name)
    with torch.no_grad():
        program = torch.export.export(module, tuple(inputs), strict=False).run_decompositions()
    assert_all_close(run(load_object(program), inputs), eager(module, inputs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_torchscript(name, tmp_path):
    module, inputs = _case(name)
    path = tmp_path / "model.pt"
    with torch.no_grad():
        torch.jit.trace(module, tuple(inputs), check_trace=False, strict=False).save(path)
    assert_all_close(run(load(path), inputs), eager(module, inputs))

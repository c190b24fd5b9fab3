"""Every MXNet operator, against what mxnet 1.9.1 itself computed (tests/data/record_mxnet.py recorded it)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_executor import ReferenceExecutor
from runtime_runs import run

from edgert.importers import mxnet

RECORDED = Path(__file__).resolve().parents[1] / "data" / "mxnet_ops.npz"
ARRAYS = dict(np.load(RECORDED))
INDEX: dict[str, dict[str, Any]] = json.loads(ARRAYS["index"].tobytes())


def write_model(folder: Path, name: str) -> Path:
    """The symbol's file; its parameters lie beside it."""
    (folder / f"{name}-0000.params").write_bytes(ARRAYS[f"{name}/params"].tobytes())
    path = folder / f"{name}-symbol.json"
    path.write_text(INDEX[name]["symbol"])
    return path


def gathered(table: np.ndarray) -> np.ndarray:
    """Rows of detections, and after them, as rows of -1, those that MXNet leaves in place with the class -1."""
    kept = table[table[:, :, 0] >= 0]
    return np.pad(kept, ((0, table.shape[1] - len(kept)), (0, 0)), constant_values=-1)[np.newaxis]


@pytest.mark.parametrize("name", INDEX)
def test_equals_mxnet(name: str, tmp_path: Path) -> None:
    inputs = {key: ARRAYS[f"{name}/in/{key}"] for key in INDEX[name]["inputs"]}
    graph = mxnet.load(write_model(tmp_path, name), {key: array.shape for key, array in inputs.items()})
    graph.verify()
    assert {value.name for value in graph.inputs} == set(inputs)
    arrays = [inputs[value.name] for value in graph.inputs]
    results = [*ReferenceExecutor(graph).run(*arrays), *run(graph, arrays)]
    count = INDEX[name]["outputs"]
    assert len(results) == 2 * count
    for place, result in zip([*range(count)] * 2, results, strict=True):
        expected = ARRAYS[f"{name}/out/{place}"]
        if name.startswith("detection"):
            expected = gathered(expected)
        assert result.shape == expected.shape
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4 * max(1.0, float(np.abs(expected).max())))

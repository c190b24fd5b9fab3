"""What the commands say of weights that are expanded when a model is opened."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from cli.helpers import Command
from expanded_graphs import NETS, mixed_net

from edgert.compile import pack_weights
from edgert.ir import Value
from edgert.pack.plan import expanded, value_bytes
from edgert.pack.writer import write


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.ert"
    path.write_bytes(write(mixed_net().compact))
    return path


def weights(values: set[Value]) -> int:
    return sum(math.prod(value.shape) for value in values)


def test_inspect(edgert: Command, mixed: Path) -> None:
    pair = mixed_net()
    facts = edgert("inspect", mixed, "--json").json
    made = expanded(pair.compact)
    nodes = [node for node in pair.compact.nodes if node.outputs[0] in made]
    stored = {value for node in nodes for value in node.inputs if value is not None and value.constant}
    total = facts["expansion"]
    assert total["operators"] == total["ran"] == len(nodes)
    assert total["stored_bytes"] == sum(value_bytes(value) for value in stored)
    assert total["bytes"] == sum(value_bytes(value) for value in made)
    assert 0 < total["kept_bytes"] < total["bytes"]
    assert facts["constant_bytes"] == total["stored_bytes"]  # there are no others
    assert facts["peak_bytes"] >= facts["session_bytes"]
    twins = {value for value in pair.plain.values() if value.constant}
    assert facts["parameters"] == weights(twins)
    listed = {op["name"]: op["expansion"] for op in facts["operators"] if op["expansion"] is not None}
    assert listed.keys() == {node.name for node in nodes}
    assert all(listed[node.name]["bytes"] == value_bytes(node.output) for node in nodes)
    out = edgert("inspect", mixed).out
    assert "expanded" in out
    assert "at opening" in out


def test_inspect_packed(edgert: Command, tmp_path: Path) -> None:
    pair, path = NETS["int8-int4"](), tmp_path / "packed.ert"
    path.write_bytes(write(pair.compact, packed=pack_weights(write(pair.compact), ("host",))))
    facts = edgert("inspect", path, "--json").json
    if not any(op["packed_in_file"] for op in facts["operators"]):
        pytest.skip("this processor has the scalar kernels alone, which use no packed weights")
    assert facts["expansion"]["ran"] < facts["expansion"]["operators"]
    assert "not needed: packed in the file" in edgert("inspect", path).out


def test_profile(edgert: Command, mixed: Path) -> None:
    facts = edgert("bench", mixed, "--profile", "--json").json
    opening = [op for op in facts["operators"] if op["expansion"] is not None]
    running = [op for op in facts["operators"] if op["expansion"] is None]
    assert len(opening) == facts["expansion"]["operators"]
    assert all(op["us"] == 0.0 and op["expansion"]["us"] > 0.0 for op in opening)
    assert sum(entry["count"] for entry in facts["types"]) == len(running)
    assert sum(op["bytes"] for op in running) == facts["total"]["bytes"]
    out = edgert("bench", mixed, "--profile").out
    assert "expanded: weights of" in out


def test_trace(edgert: Command, mixed: Path, tmp_path: Path) -> None:
    edgert("bench", mixed, "--trace", tmp_path / "trace.json")
    facts: dict[str, Any] = json.loads((tmp_path / "trace.json").read_text())
    assert facts["otherData"]["expanded_at_opening"]["operators"] > 0
    types = {event["args"]["type"] for event in facts["traceEvents"] if event.get("cat") == "operator" and
             "type" in event["args"]}  # fmt: skip
    assert "unpack_int4" not in types
    assert "conv2d" in types


def test_start(edgert: Command, mixed: Path) -> None:
    facts = edgert("bench", mixed, "--start", "--rounds", "1", "--json").json
    assert 0.0 < facts["expand_ms"] < facts["open_ms"]
    assert facts["expansion"]["bytes"] > facts["expansion"]["stored_bytes"]
    assert facts["peak_bytes"] >= facts["session_bytes"] > facts["arena_bytes"]
    assert re.search(
        r"^expanded +weights of .* at opening in", edgert("bench", mixed, "--start", "--rounds", "1").out, re.M
    )

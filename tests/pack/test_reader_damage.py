"""Damaged files in the Python reader: FileFormatError or a model, soon, and nothing else."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from packages import PACKAGES

from edgert.errors import FileFormatError
from edgert.pack.reader import read
from edgert.pack.writer import load_schema

MUTATIONS = 1500
SLOW_S = 5.0  # for one file of some kilobytes, on a busy machine


def attempt(data: bytes) -> bool:
    """True when it could be read."""
    try:
        info = read(data)
        for i, tensor in enumerate(info.tensors):
            if tensor.kind == "constant":
                info.array(i)
    except FileFormatError as error:
        if not str(error):
            raise
        return False
    return True


def test_truncated_and_changed_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    original = PACKAGES["every-operator"]()
    assert attempt(original)
    for length in range(0, len(original), 97):
        attempt(original[:length])
    outcomes = []
    for _ in range(MUTATIONS):
        data = bytearray(original)
        for _ in range(int(rng.integers(1, 6))):
            at = int(rng.integers(len(data) - 4))
            data[at : at + 4] = int(rng.choice([0, 1, 255, 2**31 - 1, 2**32 - 1, rng.integers(2**32)])).to_bytes(
                4, "little"
            )
        start = time.perf_counter()
        outcomes.append(attempt(bytes(data)))
        assert time.perf_counter() - start < SLOW_S
    assert any(outcomes)
    assert not all(outcomes)


def test_tables_that_share_one_long_vector() -> None:
    """A file of 1 MB in which 20 000 tensors have the same shape of 200 000 dimensions."""
    flatbuffers, schema = load_schema()
    builder = flatbuffers.Builder(1 << 20)
    shape = builder.CreateNumpyVector(np.ones(200_000, np.int32))
    schema.TensorStart(builder)
    schema.TensorAddShape(builder, shape)
    tensor = schema.TensorEnd(builder)
    builder.StartVector(4, 20_000, 4)
    for _ in range(20_000):
        builder.PrependUOffsetTRelative(tensor)
    tensors = builder.EndVector()
    schema.ModelStart(builder)
    schema.ModelAddTensors(builder, tensors)
    builder.Finish(schema.ModelEnd(builder), file_identifier=b"ERT1")
    with pytest.raises(FileFormatError, match="repeat more"):
        read(bytes(builder.Output()))

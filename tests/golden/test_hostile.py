"""Golden pairs that no packer writes: refused when the package is opened, whatever they claim."""

from __future__ import annotations

import numpy as np
import pytest
from golden import models
from runtime.test_hostile import Forge, one_tensor, refusal

from edgert.errors import EdgertError
from edgert.runtime import _native


def test_too_many() -> None:
    def many(forge: Forge) -> int:
        pair = forge.table("Golden", {"inputs": forge.uints([0]), "outputs": forge.uints([0])})
        return forge.shared(pair, 257)

    assert "257 golden pairs; at most 256" in refusal(one_tensor(golden=many))


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ([], [0], "one buffer a model input and output"),
        ([0], [], "golden pair 0"),
        ([0] * 5000, [0], "one buffer a model input and output"),
        ([0], [0], "does not hold the 16 bytes"),  # buffer 0 is empty
        ([1], [0], "does not hold the 16 bytes"),  # there is no buffer 1
        ([2**32 - 1], [0], "does not hold the 16 bytes"),
    ],
)
def test_wrong_buffers(inputs: list[int], outputs: list[int], reason: str) -> None:
    def pairs(forge: Forge) -> int:
        return forge.offsets([forge.table("Golden", {"inputs": forge.uints(inputs), "outputs": forge.uints(outputs)})])

    assert reason in refusal(one_tensor(golden=pairs))


def test_an_empty_pair_is_none() -> None:
    assert "one buffer a model input" in refusal(one_tensor(golden=lambda f: f.offsets([f.table("Golden", {})])))


def test_every_byte_flipped() -> None:
    """What opens has pairs that can be read; whoever reads beyond them is told."""
    given = np.zeros((1, 96), np.int8)
    wanted = np.zeros((1, 40), np.int8)
    package = models.dense(golden=(([given], [wanted]),))
    opened = 0
    for at in range(len(package) - 1500, len(package)):  # tables lie behind the data
        for flip in (0x01, 0x80):
            damaged = bytearray(package)
            damaged[at] ^= flip
            try:
                model = _native.Model(content=bytes(damaged))
            except EdgertError:
                continue
            opened += 1
            for run in range(model.golden_count):
                (x,), (y,) = model.golden(run)
                assert len(x) > 0
                assert len(y) > 0
            with pytest.raises(IndexError):
                model.golden(model.golden_count)
    assert opened

"""A model that does not pass its check on the device is rejected there, and what was current stays: real packages, real
golden runs, the real check in a process of its own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from agent.lines import line_of, stdio_agent
from agent.pushing import Client, Package, ReplyError, new_home, package
from packages import digits

import edgert
from edgert.golden import make
from edgert.manifest.keys import new_key
from edgert.manifest.manifest import describe_object
from edgert.smp.groups import RefusalCode as Rc
from edgert.store.home import Home
from edgert.store.slot import Slot

KEY = new_key()


@pytest.fixture(scope="module")
def model() -> bytes:
    return digits(quantize=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


def with_golden(model: bytes, counter: int, golden: Any) -> Package:
    return package(KEY, model, counter, objects=(describe_object("package", model),), golden=tuple(golden))


def rejected(client: Client, pushed: Package) -> str:
    """Pushes, and gives the device's words about what is wrong."""
    client.offer(pushed)
    client.upload(pushed)
    status = client.verify()
    assert status["state"] == "rejected"
    with pytest.raises(ReplyError) as caught:
        client.activate(pushed)
    assert caught.value.rc == Rc.CHECK_FAILED
    assert caught.value.reason == status["detail"]
    return str(status["detail"])


def test_a_model_that_computes_something_else_here(home: Home, model: bytes) -> None:
    golden = make(model, 2)
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        client.push(with_golden(model, 1, golden))
        # The weights of another training: its outputs are not those that were signed.
        other = bytearray(model)
        middle = len(other) // 2
        other[middle : middle + 64] = bytes(64)
        assert bytes(other) != model
        worse = with_golden(bytes(other), 2, golden)
        assert "is not what it was where the model was pushed from" in rejected(client, worse)
        assert client.status()["models"][0]["counter"] == 1
        # And with runs that are its own, it is taken.
        client.push(with_golden(bytes(other), 3, make(bytes(other), 2)))
    state = Slot(home, "digits").state()
    assert (state.current, state.previous) == (3, 1)
    assert "digits 2 is rejected: golden run 1 of 2" in home.read_log().decode()


def test_what_is_no_package(home: Home, model: bytes) -> None:
    rng = random.Random(4)
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        client.push(with_golden(model, 1, ()))
        wrong = (rng.randbytes(20000), model[:-100], b"ERT1", model[:8] + rng.randbytes(9000))
        for counter, data in enumerate(wrong, 2):
            assert rejected(client, with_golden(data, counter, ()))
        # Golden runs that say nothing this edgert understands.
        for counter, golden in enumerate(([{}], [{"seed": -1}], [{"recorded": 99, "outputs": []}]), 10):
            assert "golden run 1 of 1" in rejected(client, with_golden(model, counter, golden))
    state = Slot(home, "digits").state()
    assert (state.current, state.highest) == (1, 1)
    assert not list(home.staging.iterdir())
    assert len(list(home.objects.iterdir())) == 1


def test_the_current_model_can_be_used_meanwhile(home: Home, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERT_HOME", str(home.path))
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        client.push(with_golden(model, 1, ()))
        loaded: Any = edgert.load("device:digits")
        client.offer(with_golden(model[:-100], 2, ()))
        client.upload(with_golden(model[:-100], 2, ()))
        assert client.verify()["state"] == "rejected"
        assert loaded.generation == 1
        loaded.confirm()
        assert client.status()["models"][0]["state"] == "confirmed"

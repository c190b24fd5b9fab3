"""Pushes over a real pty pair, with a proxy between that limits the rate and damages what it carries.

A 3.6 MB package arrives whole at every seeded pattern of faults, or fails with a clear error and resumes with the next
call; what is current is the old package or the new one at any time. CI runs a handful of seeds; EDGERT_EXHAUSTIVE=1
runs 1,000, or those of EDGERT_FAULT_SEEDS=first:end (in several processes with pytest -n, or with fault_run.py).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from device.fault_run import CHUNK_BYTES, NAME, PACKAGE_BYTES, Watcher, World, make_world, plan, run
from device.line_faults import ByteFaults, Pattern
from device.line_proxy import Line
from device.pushes import Agent, package, wait_until

from edgert.device import AgentMissingError, LinkError, PushOptions, push, status
from edgert.device.errors import DeviceError
from edgert.store.home import Home
from edgert.store.slot import Slot

EXHAUSTIVE = bool(os.environ.get("EDGERT_EXHAUSTIVE"))
CI_SEEDS = (2, 196)  # not too slow, and every kind of fault among them
FIRST, END = map(int, os.environ.get("EDGERT_FAULT_SEEDS", "0:1000").split(":"))
SEEDS = range(FIRST, END) if EXHAUSTIVE or "EDGERT_FAULT_SEEDS" in os.environ else CI_SEEDS
BAUD = 4_000_000


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.mark.parametrize("seed", SEEDS)
def test_it_arrives_whole_whatever_the_line_does(seed: int, world: World, tmp_path: Path) -> None:
    outcome = run(seed, world, tmp_path)
    assert not outcome.wrong, f"seed {seed}: {plan(seed)}\n{outcome}"
    assert outcome.resent <= CHUNK_BYTES
    assert outcome.looks > 10


@pytest.mark.parametrize("end", ["host", "device", "agent"])
def test_a_cut_resends_at_most_one_checkpoint(end: str, world: World, tmp_path: Path) -> None:
    """The line hangs up at the one end or the other, or the agent is killed, in the middle of a chunk."""
    place = tmp_path / "home"
    shutil.copytree(world.home, place)
    pushed = package(tmp_path / "model.ert", 800_000, seed=3)
    at = (400_000 + CHUNK_BYTES * 2 // 3,)
    pattern = Pattern(BAUD, host_hang_ups=at if end == "host" else (), device_hang_ups=at if end == "device" else ())
    acknowledged = 0

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal acknowledged
        acknowledged = max(acknowledged, done) if stage == "send" else acknowledged
        if end == "agent" and done > at[0] and not killed:
            agent.kill()
            killed.append(done)

    killed: list[int] = []
    with Line(tmp_path / "line", pattern) as line, Agent(line.device, place, BAUD) as agent:
        address = f"serial:{line.host}?baud={BAUD}"
        options = PushOptions(name=NAME, golden=0, patience=2.0)
        if end == "device":  # the agent opens its port again, so that nothing need be done
            result = push(pushed, address, world.key, options, progress)
            assert result.resumed_from == 0
            assert result.bytes_sent <= result.bytes_total + 3 * CHUNK_BYTES
        else:
            with pytest.raises(LinkError, match="again to resume"):
                push(pushed, address, world.key, options, progress)
            if end == "agent":
                agent.start()
            carried = line.counts()["down"]
            result = push(pushed, address, world.key, options, progress)
            assert acknowledged >= result.resumed_from or end == "host"
            assert result.resumed_from > min(carried, at[0]) - 2 * CHUNK_BYTES
            assert result.resumed_from % CHUNK_BYTES == 0 or end == "host"
            rest = result.bytes_total - result.resumed_from
            assert rest <= result.bytes_sent < rest + CHUNK_BYTES
        assert result.state == "pending"
    watcher = Watcher(place, frozenset((result.sha256,)))
    assert watcher.look() == result.sha256
    assert not watcher.wrong


def test_pushing_again_what_is_there_sends_nothing(world: World, tmp_path: Path) -> None:
    place = tmp_path / "home"
    shutil.copytree(world.home, place)
    options = PushOptions(name=NAME, golden=0)
    with Line(tmp_path / "line", Pattern(BAUD)) as line, Agent(line.device, place, BAUD):
        address = f"serial:{line.host}?baud={BAUD}"
        before = Slot(Home(place), NAME).state().current
        result = push(world.old, address, world.key, options)
        assert result.bytes_sent == 0
        assert (result.counter, result.resumed_from) == (before, result.bytes_total)
        # The object is there: another generation of it takes an offer, and no byte of the package.
        again = push(world.old, address, world.key, PushOptions(name=NAME, golden=0, force=True))
        assert again.counter > result.counter
        assert again.bytes_sent < 2000
        found = status(address).model(NAME)
        assert found is not None
        assert found.counter == again.counter


def test_nobody_at_the_other_end_is_said_so(tmp_path: Path, world: World) -> None:
    with Line(tmp_path / "line", Pattern(BAUD)) as line:
        began = time.monotonic()
        with pytest.raises(AgentMissingError, match="does `edgert agent` run there"):
            push(world.old, f"serial:{line.host}?baud={BAUD}", world.key, PushOptions(golden=0, patience=1.5))
        assert time.monotonic() - began < 15


def test_a_port_is_opened_by_one_at_a_time(tmp_path: Path, world: World) -> None:
    import serial

    with Line(tmp_path / "line", Pattern(BAUD)) as line:
        with serial.Serial(str(line.host), exclusive=True), pytest.raises(DeviceError, match="another program has it"):
            status(f"serial:{line.host}")
        with pytest.raises(DeviceError, match="no such port"):
            status(f"serial:{tmp_path}/nothing")
        for path in ("/dev/null", tmp_path):
            with pytest.raises(DeviceError, match="it is no serial port"):
                status(f"serial:{path}")


def test_the_proxy_keeps_to_the_rate_of_the_line(tmp_path: Path) -> None:
    """What all of this stands on: 10 bits a byte, both directions at once, and no byte altered without a fault."""
    import serial

    content = os.urandom(40_000)
    with Line(tmp_path / "line", Pattern(230_400)) as line:
        with (
            serial.Serial(str(line.host), timeout=10) as host,
            serial.Serial(str(line.device), timeout=10) as device,
        ):
            began = time.monotonic()
            writers = [threading.Thread(target=port.write, args=(content,)) for port in (host, device)]
            for writer in writers:
                writer.start()
            readings: dict[str, bytes] = {}
            reader = threading.Thread(target=lambda: readings.update(host=host.read(len(content))))
            reader.start()
            readings["device"] = device.read(len(content))
            reader.join()
            seconds = time.monotonic() - began
            for writer in writers:
                writer.join()
        wait_until(lambda: line.counts()["down"] == len(content))
    assert readings == {"host": content, "device": content}
    assert seconds >= len(content) / 23_040


def test_a_seed_gives_the_same_faults() -> None:
    pattern = Pattern(BAUD, seed=3, flips=1e-3, drops=1e-3, repeats=1e-3, swaps=1e-3)
    content = bytes(range(256)) * 100
    first, second = ByteFaults(pattern, "down"), ByteFaults(pattern, "down")
    whole = first.apply(content)
    pieces = b"".join(second.apply(content[at : at + 37]) for at in range(0, len(content), 37))
    assert whole == pieces != content
    assert first.count == second.count > 50
    assert hashlib.sha256(whole) != hashlib.sha256(content)


def test_plans_have_every_kind_of_fault() -> None:
    plans = [plan(seed) for seed in range(1000)]
    for kind in ("flips", "drops", "repeats", "swaps", "frame_repeats", "frame_swaps", "silences", "host_hang_ups"):
        assert sum(bool(getattr(one.pattern, kind)) for one in plans) > 300, kind
        assert any(getattr(plans[seed].pattern, kind) for seed in CI_SEEDS), kind
    assert sum(bool(one.kills) for one in plans) > 300
    assert {one.framing for one in plans} == {"cobs", "console"}
    assert PACKAGE_BYTES >= 3_600_000

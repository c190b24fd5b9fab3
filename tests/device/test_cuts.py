"""The line is cut after every number of bytes: the next push goes on from the last checkpoint before."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from device.memory_line import MemoryLine
from device.pushes import home, key, package

from edgert.agent import generations
from edgert.agent.server import Server
from edgert.agent.session import Session
from edgert.agent.this_device import ThisDevice
from edgert.device import LinkError, PushOptions, PushResult
from edgert.device.address import SerialAddress
from edgert.device.client import Client
from edgert.device.devices_file import Device
from edgert.device.installation import Installation
from edgert.device.package import Package, prepare
from edgert.manifest.keys import PrivateKey
from edgert.manifest.manifest import describe_object
from edgert.progress import silent
from edgert.store.home import Home
from edgert.store.slot import Slot
from edgert.targets import probe

EXHAUSTIVE = bool(os.environ.get("EDGERT_EXHAUSTIVE"))
CHUNK_BYTES = 4096
STEP = 1 if EXHAUSTIVE else 499  # a prime, so that all parts of frames are met
DEVICE = Device("memory", SerialAddress("memory"))


class World:
    def __init__(self, folder: Path) -> None:
        self.key: PrivateKey = key()
        self.template = home(folder / "template", self.key)
        Home(self.template).open()
        path = package(folder / "model.ert", 9_000)
        whole = prepare(path, PushOptions(golden=0, name="model"))
        self.package: Package = replace(whole, entry=describe_object("package", path, CHUNK_BYTES))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("cuts"))


def server(place: Path, check: generations.Check = lambda *_: None) -> Server:
    opened = Home(place)
    opened.open()
    generations.settle(opened)
    session = Session(opened, ThisDevice(opened.id, None, probe()), check=check)
    return Server(session, buf_size=1024, buf_count=4)


def push(world: World, line: MemoryLine, **options: object) -> PushResult:
    async def run() -> PushResult:
        chosen = replace(PushOptions(golden=0, patience=5.0, counter=7), **options)  # type: ignore[arg-type]
        async with Client(line, chosen.patience) as client:
            return await Installation(client, world.package, DEVICE, world.key, chosen, silent, time.monotonic()).run()

    return asyncio.run(run())


def installed(place: Path) -> bytes | None:
    """What is current."""
    slot = Slot(Home(place), "model")
    current = slot.state().current
    return None if current is None else slot.package(current).read_bytes()


@pytest.mark.parametrize("restarted", [True, False], ids=["agent restarted", "same agent"])
def test_a_cut_at_any_byte_resends_at_most_one_checkpoint(world: World, tmp_path: Path, restarted: bool) -> None:
    content = world.package.path.read_bytes()
    whole = tmp_path / "whole"
    shutil.copytree(world.template, whole)
    uncut = MemoryLine(server(whole))
    assert push(world, uncut, compress=False).bytes_sent > len(content)
    for cut_at in range(1, uncut.carried, STEP):
        place = tmp_path / "home"
        shutil.copytree(world.template, place)
        first = server(place)
        try:
            push(world, MemoryLine(first, cut_at=cut_at), compress=False)
            # How often the state is asked for while the device checks is a matter of time: it was done before.
            assert cut_at > uncut.carried - 2000
        except LinkError:
            pass
        assert installed(place) in (None, content)  # the cut may hit what follows the activation, too
        received = first.session.received(world.package.entry.sha256) or 0
        if restarted:
            first.close()
            first = server(place)
        line = MemoryLine(first)
        result = push(world, line, compress=False)
        assert installed(place) == content, cut_at
        assert result.resumed_from > received - CHUNK_BYTES, cut_at
        rest = len(content) - result.resumed_from
        # 1000: the offer. On a busy machine an answer may be late, and something be sent again without need.
        assert result.bytes_sent <= rest + 1000 or result.retries, cut_at
        first.close()
        shutil.rmtree(place)


def test_compressed_chunks_resume_too(tmp_path: Path) -> None:
    """Zeros, so that every chunk is a short record with offsets beyond its end."""
    world = World(tmp_path)
    path = tmp_path / "zeros.ert"
    path.write_bytes(world.package.path.read_bytes() + bytes(50_000))
    world.package = replace(world.package, path=path, entry=describe_object("package", path, CHUNK_BYTES))
    sizes = []
    for cut_at in range(1500, 9500, 797):
        place = tmp_path / "home"
        shutil.copytree(world.template, place)
        first, second = server(place), server(place)
        with pytest.raises(LinkError):
            push(world, MemoryLine(first, cut_at=cut_at))
        first.close()
        result = push(world, MemoryLine(second))
        second.close()
        assert installed(place) == path.read_bytes()
        sizes.append(result.bytes_sent)
        shutil.rmtree(place)
    assert sizes == sorted(sizes, reverse=True)  # the later the cut, the less is left
    assert max(sizes) < 14_000  # of 59,000


@pytest.mark.parametrize("kind", ["cobs", "console"])
def test_an_empty_home_takes_a_push_in_either_framing(world: World, tmp_path: Path, kind: str) -> None:
    shutil.copytree(world.template, tmp_path / "home")
    agent = server(tmp_path / "home")
    result = push(world, MemoryLine(agent, kind))
    agent.close()
    assert (result.state, result.retries, result.resumed_from) == ("pending", 0, 0)
    assert installed(tmp_path / "home") == world.package.path.read_bytes()


def test_an_offer_whose_beginning_is_lost_is_not_taken_for_the_one_before(world: World, tmp_path: Path) -> None:
    """Both have the same length: an agent that holds the first would answer the second's end as that one's."""
    shutil.copytree(world.template, tmp_path / "home")
    agent = server(tmp_path / "home")
    devices = (agent.session.device.id, *(f"device-{number:020}" for number in range(60)))  # an offer of some pieces
    with pytest.raises(LinkError):
        push(world, MemoryLine(agent, cut_at=5000), counter=1_000_001, devices=devices)

    class Losing(MemoryLine):
        frames = 0

        async def write(self, data: bytes) -> None:
            self.frames += 1
            if self.frames != 4:  # PARAMETERS, STATUS twice, and then the offer's first piece
                await super().write(data)

    result = push(world, Losing(agent), counter=1_000_002, devices=devices)
    agent.close()
    assert (result.counter, result.state) == (1_000_002, "pending")
    assert result.retries >= 1


def test_a_check_that_outlives_its_push_is_waited_for(world: World, tmp_path: Path) -> None:
    """The line is cut while the device checks the model: the next push finds it busy with that, for a while."""
    shutil.copytree(world.template, tmp_path / "home")
    agent = server(tmp_path / "home", check=lambda *_: time.sleep(1.0))

    class Cut(MemoryLine):
        async def write(self, data: bytes) -> None:
            await super().write(data)
            if agent.session.state == "verifying":
                await self.close()
                raise LinkError("memory: the line is gone; call again to resume")

    with pytest.raises(LinkError):
        push(world, Cut(agent), counter=8)
    assert agent.session.state == "verifying"
    result = push(world, MemoryLine(agent), counter=9)
    agent.close()
    assert (result.counter, result.resumed_from) == (9, result.bytes_total)
    assert installed(tmp_path / "home") == world.package.path.read_bytes()

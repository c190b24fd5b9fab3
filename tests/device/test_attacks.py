"""Attacks on a device: a real agent at a pipe, with its real check. Whatever comes, nothing is installed, memory stays
bounded, and the agent goes on serving: after every attack it takes an honest push.

Most attackers hold the line and no key. Where one holds a trusted key, it says so: a signature makes nobody careful.
"""

from __future__ import annotations

import random
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent.lines import FrameLine, errors_of, line_of, stdio_agent
from agent.pushing import Client, Package, ReplyError, new_home, package
from golden import models

import edgert
from edgert.golden import make
from edgert.manifest.keys import PrivateKey, new_key
from edgert.manifest.manifest import Requirement, describe_object
from edgert.smp import cbor
from edgert.smp.framing import framing
from edgert.smp.groups import EdgertCommand, FsCommand, FsError, Group
from edgert.smp.groups import RefusalCode as Rc
from edgert.smp.message import Header, Message, Op
from edgert.store.home import Home
from edgert.store.slot import Slot
from edgert.targets.machine import probe

KEY, STRANGER = new_key("the owner"), new_key("somebody")
GROWTH_BYTES = 16 << 20  # of the agent's peak memory, by any attack: an offer of 1 MiB takes most of it
CHECK_SECONDS = 4.0  # in place of minutes
MODEL = models.dense()
GOLDEN = make(MODEL, 1)


def honest(counter: int, data: bytes = MODEL, key: PrivateKey = KEY, **fields: Any) -> Package:
    return package(key, data, counter, **{"golden": GOLDEN if data == MODEL else (), **fields})


class Victim:
    """A device with one model on it, and its agent."""

    def __init__(self, home: Home, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process
        self.line: FrameLine = line_of(process)
        self.client: Client = self.line.client()
        self.counter = 1
        self.client.push(honest(1))
        self._warm_up()
        self.before = self._lying_there()
        self.peak_before = self.peak()

    def _warm_up(self) -> None:
        """What is imported and kept by any refusal."""
        with pytest.raises(ReplyError):
            self.client.offer(honest(2, key=STRANGER))

    def peak(self) -> int:
        """Bytes of memory that the agent ever had: VmHWM."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        raise AssertionError("no VmHWM")

    def _lying_there(self) -> dict[str, bytes]:
        """All that the home holds for good: no logs, no locks, and nothing that is only staged."""
        return {
            str(path.relative_to(self.home.path)): path.read_bytes()
            for path in sorted(self.home.path.rglob("*"))
            if path.is_file() and path.parent != self.home.staging and path.name not in ("lock", "log", "log.1")
        }

    def refuses(self, offered: Package, *codes: Rc) -> str:
        """The offer is refused with one of these, before anything is kept; the reason."""
        with pytest.raises(ReplyError) as caught:
            self.client.offer(offered)
        assert caught.value.group == Group.EDGERT
        assert caught.value.rc in codes, caught.value
        assert caught.value.reason
        assert "\n" not in caught.value.reason
        assert not any(self.home.staging.iterdir())
        return caught.value.reason

    def rejects(self, offered: Package, data: bytes | None = None) -> str:
        """The offer is taken, and its package fails the check; the device's words."""
        self.client.offer(offered)
        self.client.upload(offered if data is None else replace(offered, data=data))
        status = self.client.verify()
        assert status["state"] == "rejected", status
        with pytest.raises(ReplyError) as caught:
            self.client.activate(offered)
        assert caught.value.rc == Rc.CHECK_FAILED
        return str(status["detail"])

    def unharmed(self) -> None:
        assert self.process.poll() is None, errors_of(self.home.path).read_text()[-2000:]
        assert self._lying_there() == self.before
        grown = self.peak() - self.peak_before
        print(f"the agent's peak grew by {grown / (1 << 20):.1f} MiB from {self.peak_before / (1 << 20):.1f}")
        assert grown < GROWTH_BYTES, f"the agent grew by {grown >> 20} MiB"
        assert not list(self.home.path.parent.glob("evil*"))
        self.counter += 1000
        self.client.push(honest(self.counter))
        assert Slot(self.home, "digits").state().current == self.counter
        assert "fault of edgert" not in self.home.read_log().decode()


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    home = new_home(tmp_path / "home", KEY)
    with quick_agent(home) as process:
        yield Victim(home, process)


def quick_agent(home: Home) -> Any:
    """The agent, with little patience for a check."""
    code = f"""
        import sys
        from edgert.agent import generations
        from edgert.cli.main import main
        generations.CHECK_SECONDS = {CHECK_SECONDS}
        main(sys.argv[1:])
    """
    return stdio_agent(home.path, program=[sys.executable, "-P", "-c", textwrap.dedent(code)])


# --- what is offered ---


def test_altered_manifests(victim: Victim) -> None:
    """Every change between the signer and the device: bits, cuts, what is put behind."""
    good = honest(2)
    rng = random.Random(1)
    size = len(good.manifest_bytes)
    for at in [*range(40), *(rng.randrange(size) for _ in range(60))]:
        altered = bytearray(good.manifest_bytes)
        altered[at] ^= 1 << rng.randrange(8)
        victim.refuses(replace(good, manifest_bytes=bytes(altered)), Rc.BAD_MANIFEST, Rc.BAD_SIGNATURE, Rc.UNKNOWN_KEY)
    for altered_bytes in (good.manifest_bytes[:-1], good.manifest_bytes + b"\0", b"", good.manifest_bytes * 2):
        victim.refuses(replace(good, manifest_bytes=altered_bytes), Rc.BAD_MANIFEST)
    for signature in (b"", good.signature[:-1], good.signature + b"\0", bytes(64), good.signature[::-1]):
        victim.refuses(replace(good, signature=signature), Rc.BAD_SIGNATURE)
    victim.unharmed()


def test_parts_of_two_manifests(victim: Victim) -> None:
    """Both are signed, and belong to each other in no way."""
    good, other = honest(2), honest(3, MODEL + b"\0")
    victim.refuses(replace(good, signature=other.signature), Rc.BAD_SIGNATURE)
    victim.refuses(replace(other, signature=good.signature), Rc.BAD_SIGNATURE)
    # The newer counter around the older objects, in the manifest's own bytes.
    counter = cbor.encode("counter")
    spliced = good.manifest_bytes.replace(counter + b"\x02", counter + b"\x17")
    assert spliced != good.manifest_bytes
    victim.refuses(replace(good, manifest_bytes=spliced), Rc.BAD_SIGNATURE)
    victim.unharmed()


def test_wrong_keys(victim: Victim) -> None:
    assert "edgert keys trust" in victim.refuses(honest(2, key=STRANGER), Rc.UNKNOWN_KEY)
    # A stranger's signature under the owner's name.
    claimed = honest(2, key=STRANGER, key_id=KEY.key_id)
    victim.refuses(claimed, Rc.BAD_SIGNATURE)
    # And the owner's name cannot be added by pushing: keys are no objects.
    (victim.home.path.parent / "evil.pub").write_text(STRANGER.public.line())
    body = {"name": "/edgert/../keys/evil.pub", "off": 0, "data": STRANGER.public.line().encode(), "len": 80}
    with pytest.raises(ReplyError):
        victim.client.request(Op.WRITE, Group.FS, FsCommand.FILE, body)
    (victim.home.path.parent / "evil.pub").unlink()
    victim.refuses(honest(2, key=STRANGER), Rc.UNKNOWN_KEY)
    victim.unharmed()


def test_replays(victim: Victim) -> None:
    """What was signed once is good for one rise of the counter."""
    first, second, third = honest(1), honest(2, MODEL, trials=2), honest(5)
    victim.client.push(second)
    victim.client.push(third)
    for old in (first, second, honest(4), honest(5, MODEL, trials=7)):
        assert "not above 5" in victim.refuses(old, Rc.OLD_COUNTER)
    # Going back is the device's own business, and opens no door to what was left.
    assert victim.client.own(EdgertCommand.ROLLBACK, {"name": "digits", "counter": 5})["counter"] == 1
    for old in (second, third, honest(4)):
        victim.refuses(old, Rc.OLD_COUNTER)
    victim.before = victim._lying_there()
    victim.unharmed()


def test_for_others(victim: Victim) -> None:
    """The same manifest, signed by the owner for another machine, another device, another time or a newer edgert."""
    here = probe()
    other = "aarch64" if here.architecture != "aarch64" else "x86_64"
    cases: list[tuple[Rc, dict[str, Any]]] = [
        (Rc.WRONG_TARGET, {"targets": (Requirement("pi", other),)}),
        (Rc.WRONG_TARGET, {"targets": (Requirement("pi", here.architecture, ("no-such-instructions",)),)}),
        (Rc.WRONG_TARGET, {"targets": (Requirement("pi", here.architecture, page_sizes=(12345,)),)}),
        (Rc.WRONG_TARGET, {"targets": (Requirement("pi", here.architecture, memory_bytes=1 << 60),)}),
        (Rc.WRONG_TARGET, {"memory_bytes": 1 << 60}),
        (Rc.WRONG_DEVICE, {"devices": ("0" * 32, "1" * 32)}),
        (Rc.EXPIRED, {"expires": 0}),
        (Rc.EXPIRED, {"expires": int(time.time()) - 2}),
        (Rc.OLD_RUNTIME, {"runtime": "999.0"}),
    ]
    for code, fields in cases:
        victim.refuses(honest(2, **fields), code)
    victim.unharmed()


def test_huge_manifests(victim: Victim) -> None:
    """As large as an offer may be, and signed by nobody: of many small things, of few large ones, of nested ones."""
    size = (1 << 20) - 200
    nested = b"\x81" * (size - 1) + b"\x00"
    many = b"\x9a" + struct.pack(">I", size) + b"\x00" * size
    texts = b"\x9f" + b"\x61x" * (size // 2) + b"\xff"
    pairs = b"\xbf" + b"".join(b"\x64%04x\x00" % (i & 0xFFFF) for i in range(size // 6)) + b"\xff"
    claims = b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(1000)
    long_text = b"\x7b\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(1000)
    inside = cbor.encode({**cbor.decode(honest(2).manifest_bytes), "golden": [{"a": [0] * (size // 8)}]})  # type: ignore[dict-item]
    for data in (nested, many, texts, pairs, claims, long_text, inside, bytes(size)):
        manifest = data[:size]
        victim.refuses(replace(honest(2), manifest_bytes=manifest), Rc.BAD_MANIFEST, Rc.BAD_REQUEST, Rc.BAD_SIGNATURE)
        whole = data[: 1 << 20]  # in place of the offer itself
        last = (len(whole) - 1) // 20000 * 20000
        for at in range(0, last, 20000):
            victim.client.own(EdgertCommand.OFFER, {"off": at, "len": len(whole), "data": whole[at : at + 20000]})
        with pytest.raises(ReplyError) as caught:
            victim.client.own(EdgertCommand.OFFER, {"off": last, "len": len(whole), "data": whole[last:]})
        assert caught.value.rc in (Rc.BAD_REQUEST, Rc.BAD_MANIFEST)
    victim.unharmed()


def test_a_huge_manifest_of_the_owner(victim: Victim) -> None:
    """A signed one of the largest size is only slow."""
    filling = [{"seed": 1, "steps": 1, "span": 1, "outputs": [{"skip": "x" * 15000}]} for _ in range(64)]
    large = honest(2, golden=tuple(filling))
    assert len(large.manifest_bytes) > 950_000
    answer = victim.client.offer(large, piece=20000)
    assert answer["state"] == "received"  # it has the object
    assert "golden run 1 of 64" not in str(victim.client.verify()["detail"])
    victim.client.offer(honest(3))
    victim.process.poll()
    assert victim.peak() - victim.peak_before < GROWTH_BYTES


def test_oversized_lengths(victim: Victim) -> None:
    client = victim.client
    for length in (0, (1 << 20) + 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1):
        with pytest.raises(ReplyError):
            client.own(EdgertCommand.OFFER, {"off": 0, "len": length, "data": b"x"})
    with pytest.raises(ReplyError):  # more than was announced
        client.own(EdgertCommand.OFFER, {"off": 0, "len": 10, "data": bytes(11)})
    pushed = honest(2, MODEL + b"\0")
    client.offer(pushed)
    sha256 = pushed.entry.sha256
    for offset in (1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1):
        assert client.write(sha256, offset, b"x" * 100) == 0
        assert client.write(sha256, offset, b"x" * 100, ".zst") == 0
    with pytest.raises(ReplyError):
        client.write(sha256, 0, b"x", len=1 << 62)
    with pytest.raises(ReplyError):
        client.write(sha256, 0, bytes(pushed.entry.size + 1))
    for length in (0, 4097, (1 << 31) - 1):  # a record that says so
        for kind in (0, 1 << 31):
            assert client.write(sha256, 0, struct.pack(">I", kind | length) + b"x" * 10, ".zst") in (0, 14)
            client.offer(pushed)
    # The owner's manifest of an object that is larger than the disk.
    victim.client.offer(honest(3))
    entry = describe_object("package", MODEL)
    size = 1 << 33
    giant = replace(entry, size=size, chunk_bytes=1 << 20, chunks=(bytes(32),) * (size >> 20))
    if shutil.disk_usage(victim.home.path).free < size:
        victim.refuses(honest(4, objects=(giant,)), Rc.NO_SPACE)
    victim.unharmed()


def test_frames_that_lie_about_their_length(victim: Victim) -> None:
    cobs, console = framing("cobs"), framing("console")
    echo = Message(Header(Op.WRITE, Group.OS, 0, 9), {"d": "x" * 50}).to_bytes()
    for length in (0, 1, len(echo) - 9, len(echo) - 7, 0x7FFF, 0xFFFF):
        message = echo[:2] + length.to_bytes(2, "big") + echo[4:]
        victim.line.send(cobs.encode(message) + console.encode(message))
    for _ in range(20):  # a frame without an end, longer than any message
        victim.line.send(b"\x02" * 50000)
    victim.line.send(b"\0")
    for _ in range(20):
        victim.line.send(b"\x06\x09" + b"QUJD" * 31 + b"\n" + b"\x04\x14" + b"QUJD" * 31 + b"\n")
    while victim.line.receive(0.3):
        pass
    victim.unharmed()


# --- names ---

TRICKS = [
    "../evil", "../../evil", "/edgert/../../evil", "/edgert/..%2f..%2fevil", "/edgert/" + "../" * 21 + "x", "/evil",
    "/etc/passwd", "//edgert//" + "0" * 64, "/edgert/" + "0" * 64 + "/../../../evil", "edgert/" + "0" * 64, ".", "..",
    "/edgert/" + "0" * 63 + "\0", "/edgert/\0" + "0" * 64, "\0", "/edgert/" + "\uff10" * 64, "/edgert/" + "\u0660" * 64,
    "/edgert/" + "0" * 64 + "\n", "/edgert/" + "0" * 62 + "\u202e0", "/edgert/" + "\U0001f4a3" * 64,
    "/edgert/" + "0" * 20000, "x" * 30000, "/edgert/" + "0" * 64 + ".zst.zst", "/edgert/staging", "/edgert/objects",
    "/edgert/log.1", "-rf", "~", "$HOME", "C:\\evil", "\\\\host\\evil",
]  # fmt: skip


def test_names_of_files(victim: Victim) -> None:
    """While a push is going on, and bytes are welcome under one name only."""
    pushed = honest(2, MODEL + b"\0")
    victim.client.offer(pushed)
    for name in TRICKS:
        for op, command in ((Op.WRITE, 0), (Op.READ, 0), (Op.READ, 1), (Op.READ, 2)):
            with pytest.raises(ReplyError) as caught:
                victim.client.request(op, Group.FS, command, {"name": name, "off": 0, "data": b"evil", "len": 4})
            assert (caught.value.group, caught.value.rc) == (Group.FS, FsError.FILE_INVALID_NAME)
    assert {path.name.split(".")[0] for path in victim.home.staging.iterdir()} == {pushed.entry.sha256.hex()}
    victim.client.offer(honest(3))
    victim.unharmed()


def test_names_of_models(victim: Victim) -> None:
    """In requests, and in a manifest that the owner signed."""
    fields = cbor.decode(honest(2).manifest_bytes)
    assert isinstance(fields, dict)
    for name in [*TRICKS, "", "A", "a/b", ".hidden", "a" * 65, "digits/../digits", "digits\n"]:
        for command, body in ((EdgertCommand.CONFIRM, {}), (EdgertCommand.ROLLBACK, {"counter": 1})):
            with pytest.raises(ReplyError):
                victim.client.own(command, {"name": name, **body})
        manifest_bytes = cbor.encode({**fields, "name": name})
        signed = replace(honest(2), manifest_bytes=manifest_bytes, signature=KEY.sign(manifest_bytes))
        victim.refuses(signed, Rc.BAD_MANIFEST)
    assert [path.name for path in victim.home.models_folder.iterdir()] == ["digits"]
    victim.unharmed()


# --- what is sent for what was offered ---


def test_swapped_objects(victim: Victim) -> None:
    """An honest manifest, and other bytes: another model of the same size, and its own chunks in another order."""
    mine = MODEL + bytes(9000)
    pushed = honest(2, mine)
    for other in (bytes(9000) + MODEL, mine[4096:8192] + mine[:4096] + mine[8192:], mine[:-1] + b"\1"):
        assert len(other) == len(mine)
        victim.client.offer(pushed)
        assert _send_until_refused(victim, pushed, other) < len(mine)
        status = victim.client.status()
        assert status["state"] == "rejected"
        assert "came 8 times wrong" in status["detail"]
        with pytest.raises(ReplyError):
            victim.client.verify()
        with pytest.raises(ReplyError):
            victim.client.activate(pushed)
    victim.unharmed()


def _send_until_refused(victim: Victim, pushed: Package, data: bytes) -> int:
    """Each chunk as often as the device asks for it; how far it came."""
    at = furthest = 0
    for _ in range(1000):
        furthest = max(furthest, at)
        piece = data[at : min(at + 3000, at - at % 4096 + 4096)]
        try:
            at = victim.client.write(pushed.entry.sha256, at, piece)
        except ReplyError:
            return furthest
    raise AssertionError("the device takes wrong bytes for ever")


def test_a_manifest_that_contradicts_itself(victim: Victim) -> None:
    """Signed by the owner: every chunk is right, and the whole is another object."""
    entry = describe_object("package", MODEL, 4096)
    liar = honest(2, objects=(replace(entry, sha256=bytes(range(32))),))
    assert "contradicts itself" in victim.rejects(liar)
    victim.unharmed()


def test_an_object_that_changes_on_the_disk(victim: Victim) -> None:
    """After its chunks were checked, before the whole is."""
    pushed = honest(2, MODEL + b"\0")
    victim.client.offer(pushed)
    victim.client.upload(pushed)
    (part,) = victim.home.staging.glob("*.part")
    with part.open("r+b") as file:
        file.seek(100)
        file.write(b"evil")
    status = victim.client.verify()
    assert status["state"] == "rejected"
    assert "damaged" in status["detail"]
    with pytest.raises(ReplyError):
        victim.client.activate(pushed)
    victim.unharmed()


def test_decompression_bombs(victim: Victim) -> None:
    zstandard = pytest.importorskip("zstandard", reason="bombs are made by the package zstandard")
    pushed = honest(2, bytes(200_000), objects=(describe_object("package", bytes(200_000), 1 << 16),))
    zeros = zstandard.ZstdCompressor(level=19).compress(bytes(400 << 20))
    assert len(zeros) < 1 << 16
    unsized = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    endless = b"".join(unsized.compress(bytes(1 << 20)) for _ in range(300)) + unsized.flush()
    # Frame headers (RFC 8878, 3.1.1.1): a single segment of 2^60 bytes, and a window of 2^41.
    giant = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 60) + zeros[9:3000]
    window = b"\x28\xb5\x2f\xfd\x00\xf8" + zeros[9:3000]
    for bomb in (zeros, endless[: 1 << 16], giant, window, b"\x28\xb5\x2f\xfd", bytes(100)):
        victim.client.offer(pushed)
        record = struct.pack(">I", 1 << 31 | len(bomb)) + bomb
        try:
            for _ in range(9):
                at = 0
                for start in range(0, len(record), 20000):
                    at = victim.client.write(pushed.entry.sha256, start, record[start : start + 20000], ".zst")
                assert at == 0
        except ReplyError:
            assert victim.client.status()["state"] == "rejected"
        else:
            raise AssertionError("a chunk that is wrong may come again for ever")
    victim.unharmed()


# --- packages of the owner's that are bad ---


def test_hostile_packages(victim: Victim) -> None:
    """Signed, whole, and no good."""
    rng = random.Random(3)
    bad = [b"x", MODEL[:-50], MODEL[:60] + rng.randbytes(3000), rng.randbytes(50_000), b"ERT1" * 3000]
    for position in range(0, 400, 41):
        broken = bytearray(MODEL)
        at = len(broken) - 1 - position
        broken[at] ^= 0xFF
        bad.append(bytes(broken))
    for number, data in enumerate(bad):
        pushed = honest(2 + number, data, golden=GOLDEN)
        victim.client.offer(pushed)
        victim.client.upload(pushed)
        status = victim.client.verify()
        if status["state"] == "verified":  # a name or a number that nothing depends on
            victim.client.offer(honest(900))
            assert number >= 5
    victim.home.log("")
    for path in victim.home.models_folder.glob("digits/generations/*"):
        assert path.name in ("1", *(str(2 + number) for number in range(5, len(bad)))), path
    assert Slot(victim.home, "digits").state().current == 1
    victim.client.push(honest(victim.counter + 1))
    victim.before = victim._lying_there()
    victim.unharmed()


def test_a_package_that_hangs(victim: Victim) -> None:
    """The agent answers meanwhile, and ends it."""
    slow = models.slow()
    run = {"seed": 1, "steps": 16, "span": 1, "outputs": [{"skip": ""}]}
    pushed = honest(2, slow, golden=(run,) * 64, objects=(describe_object("package", slow, 1 << 20),))
    victim.client.offer(pushed)
    victim.client.upload(replace(pushed, data=slow), 24000)
    victim.client.own(EdgertCommand.VERIFY)
    answers, longest = 0, 0.0
    while True:
        start = time.monotonic()
        status = victim.client.status()
        longest = max(longest, time.monotonic() - start)
        if status["state"] != "verifying":
            break
        answers += 1
        if answers <= 6:  # later the check may end between the two requests
            with pytest.raises(ReplyError) as caught:
                victim.client.offer(honest(3))
            assert caught.value.rc == Rc.BUSY
        time.sleep(0.05)
    assert answers > 5
    assert longest < CHECK_SECONDS
    assert (status["state"], "did not finish" in status["detail"]) == ("rejected", True), status["detail"]
    victim.unharmed()


def test_a_package_that_eats_memory(victim: Victim) -> None:
    greedy = models.greedy(3000)
    run = {"seed": 1, "steps": 1, "span": 1, "outputs": [{"skip": ""}]}
    assert "memory" in victim.rejects(honest(2, greedy, golden=(run,)))
    victim.unharmed()


# --- several at once, and patience ---


def test_two_pushers_at_once(tmp_path: Path) -> None:
    """Two agents on one home, each pushing as fast as it can. One waits for the other; what is current is whole and the
    newest at every moment."""
    home = new_home(tmp_path / "home", KEY)
    pushes, most = 5, 400
    done: list[int] = []
    errors: list[BaseException] = []

    def push(client: Client, first: int) -> None:
        try:
            for counter in range(first, 2 * pushes + 1, 2):
                data = MODEL + bytes(counter)
                for _ in range(most):
                    try:
                        client.push(honest(counter, data, trials=1))
                        done.append(counter)
                        break
                    except ReplyError as error:
                        if error.rc == Rc.OLD_COUNTER:
                            break  # the other one was quicker with a newer one
                        if error.rc not in (Rc.BUSY, Rc.BAD_STATE):
                            raise
                        time.sleep(0.02)
                else:
                    raise AssertionError(f"push {counter} never found the home free")
        except BaseException as error:
            errors.append(error)

    with stdio_agent(home.path) as one, stdio_agent(home.path) as two:
        clients = [line_of(one).client(), line_of(two).client()]
        threads = [threading.Thread(target=push, args=(client, 1 + i)) for i, client in enumerate(clients)]
        for thread in threads:
            thread.start()
        seen = 0
        while any(thread.is_alive() for thread in threads):
            state = Slot(home, "digits").state()
            if state.current is not None:
                assert state.current >= seen
                seen = state.current
                path = Slot(home, "digits").package(seen)
                assert path.read_bytes() == MODEL + bytes(seen)
            time.sleep(0.01)
        for thread in threads:
            thread.join()
        assert not errors, errors
    assert max(done) == Slot(home, "digits").state().current
    assert max(done) >= 2 * pushes - 1


def test_a_captured_offer_holds_nobody_up(tmp_path: Path) -> None:
    """Whoever has seen an offer on another line can repeat it, and take the home's lock with it. Silence gives the lock
    back; so does a flood of what is no request."""
    home = new_home(tmp_path / "home", KEY)
    code = """
        import sys
        from edgert.agent import session
        from edgert.cli.main import main
        session.SILENCE_SECONDS = 2.0
        main(sys.argv[1:])
    """
    program = [sys.executable, "-P", "-c", textwrap.dedent(code)]
    with stdio_agent(home.path, program=program) as attacker, stdio_agent(home.path) as other:
        line = line_of(attacker)
        line.client().offer(honest(7, MODEL + b"\0"))
        owner = line_of(other).client()
        with pytest.raises(ReplyError) as caught:
            owner.offer(honest(8))
        assert caught.value.rc == Rc.BUSY
        response = framing("cobs").encode(Message(Header(Op.WRITE_RSP, 0, 0), {}).to_bytes()) * 50
        end = time.monotonic() + 30
        while True:  # no request, but enough of it to keep the agent busy
            line.send(response)
            try:
                owner.offer(honest(8))
                break
            except ReplyError as error:
                if error.rc != Rc.BUSY or time.monotonic() > end:
                    raise AssertionError("a flood keeps the lock for ever") from error
        owner.push(honest(8))
    assert Slot(home, "digits").state().current == 8


def test_killed_in_the_middle_of_everything(victim: Victim) -> None:
    """A stop signal is no attack from the line; what it leaves must be none either."""
    pushed = honest(2, MODEL + b"\0")
    victim.client.offer(pushed)
    victim.client.write(pushed.entry.sha256, 0, pushed.data[:2000])
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    with quick_agent(victim.home) as again:
        other = line_of(again).client()
        assert other.status()["models"][0]["counter"] == 1
        other.push(pushed)
    assert edgert.load(Slot(victim.home, "digits").package(2)).inputs

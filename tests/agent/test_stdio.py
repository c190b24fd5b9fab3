"""`edgert agent --stdio`, a process as ssh and adb start it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent.lines import SECONDS, agent_command, echo, line_of, resident_bytes, stdio_agent
from agent.pushing import Package, ReplyError, new_home, package
from packages import digits

from edgert.agent.server import STREAM_BUF_COUNT, STREAM_BUF_SIZE
from edgert.manifest.keys import new_key
from edgert.manifest.manifest import describe_object
from edgert.smp.framing import framing
from edgert.smp.groups import Group, OsCommand
from edgert.smp.groups import RefusalCode as Rc
from edgert.smp.message import Message, Op
from edgert.store.home import Home
from edgert.store.slot import Slot

KEY = new_key()
EXHAUSTIVE = os.environ.get("EDGERT_EXHAUSTIVE") == "1"
GARBAGE_SECONDS = 60.0 if EXHAUSTIVE else 3.0


@pytest.fixture(scope="module")
def model() -> bytes:
    return digits(quantize=True)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


def of_model(model: bytes, counter: int = 1) -> Package:
    return package(KEY, model, counter, objects=(describe_object("package", model),))


@pytest.mark.parametrize("name", ["cobs", "console"])
def test_a_whole_push(home: Home, model: bytes, name: str) -> None:
    with stdio_agent(home.path) as process:
        client = line_of(process, name).client()
        assert client.request(Op.READ, Group.OS, OsCommand.PARAMETERS) == {
            "buf_size": STREAM_BUF_SIZE,
            "buf_count": STREAM_BUF_COUNT,
        }
        client.push(of_model(model))
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    assert Slot(home, "digits").state().current == 1


def test_a_window_of_requests_is_answered_in_order(home: Home, model: bytes) -> None:
    """More than may be on their way at once, and the end of the line right behind them."""
    with stdio_agent(home.path) as process:
        line = line_of(process)
        line.send(b"".join(line.framing.encode(echo(f"number {k}", k)) for k in range(100)))
        assert process.stdin is not None
        process.stdin.close()
        answers: list[bytes] = []
        while len(answers) < 100:
            came = line.receive()
            assert came
            answers += came
        assert [Message.from_bytes(one).body["r"] for one in answers] == [f"number {k}" for k in range(100)]
        assert process.wait(SECONDS) == 0


def test_a_push_goes_on_after_the_agent_was_killed(home: Home, model: bytes) -> None:
    pushed = package(KEY, model, 1)
    half = len(model) // 2
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        client.offer(pushed)
        at = 0
        while at < half:
            at = client.write(pushed.entry.sha256, at, model[at : at + 1000])
        process.kill()
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        have = client.offer(pushed)["need"][0]["have"]
        assert at - pushed.entry.chunk_bytes < have <= at
        at = have
        while at < len(model):
            at = client.write(pushed.entry.sha256, at, model[at : at + 1000])
        assert client.verify()["state"] == "verified"
        client.activate(pushed)
    assert Slot(home, "digits").state().current == 1


def test_two_agents_on_one_home(home: Home, model: bytes) -> None:
    with stdio_agent(home.path) as first, stdio_agent(home.path) as second:
        one, two = line_of(first).client(), line_of(second).client()
        pushed, other = package(KEY, model, 1), package(KEY, model[::-1], 2, name="other")
        one.offer(pushed)
        with pytest.raises(ReplyError, match=r"another push to .* is going on") as caught:
            two.offer(other)
        assert caught.value.rc == Rc.BUSY
        with pytest.raises(ReplyError) as caught:
            two.offer(pushed)
        assert caught.value.rc == Rc.BUSY
        assert two.status()["state"] == "idle"
        one.upload(pushed)
        first.kill()
        first.wait()
        # Whoever died holds nothing.
        assert two.offer(pushed)["state"] == "received"
        assert two.verify()["state"] == "verified"
        two.activate(pushed)


def garbage(rng: random.Random) -> bytes:
    """A frame that an attacker, or a broken line, might send."""
    cobs, console = framing("cobs"), framing("console")
    kind = rng.randrange(7)
    if kind == 0:
        return rng.randbytes(4000)
    if kind == 1:
        return b"\0" * 500 + bytes([rng.randrange(256)]) * 70000  # no end
    if kind == 2:
        return b"\x06\x09" + b"QUJD" * 1000 + b"\x04\x14" * 50 + b"\n"
    if kind == 3:
        return cobs.encode(rng.randbytes(rng.randrange(1, 300)))
    if kind == 4:
        frame = bytearray(cobs.encode(echo("x" * 200)))
        frame[rng.randrange(len(frame))] ^= 1 << rng.randrange(8)
        return bytes(frame)
    header = bytes(
        [rng.choice([0, 2, 8, 10]), 0, 0, rng.randrange(90), 0, rng.choice([0, 8, 237]), 1, rng.randrange(6)]
    )
    message = header + bytes([0x9F] * 40 if kind == 5 else [0xBB] + [0xFF] * 8) + rng.randbytes(20)
    message = message[:2] + (len(message) - 8).to_bytes(2, "big") + message[4:]
    return (cobs if rng.random() < 0.5 else console).encode(message)


def test_garbage_takes_no_memory_and_stops_nothing(home: Home, model: bytes) -> None:
    """For 60 s with EDGERT_EXHAUSTIVE=1."""
    rng = random.Random(6)
    with stdio_agent(home.path) as process:
        line = line_of(process)
        client = line.client(again_seconds=5.0)
        client.status()
        before = resident_bytes(process.pid)
        end = time.monotonic() + GARBAGE_SECONDS
        sent = most = 0
        while time.monotonic() < end:
            data = b"".join(garbage(rng) for _ in range(20))
            line.send(data)
            sent += len(data)
            while line.receive(0.0):
                pass
            most = max(most, resident_bytes(process.pid))
        print(f"{sent / 1e6:.1f} MB of garbage; the agent grew from {before >> 20} to {most >> 20} MiB")
        assert most - before < 32 << 20
        assert not any([*home.objects.iterdir(), *home.staging.iterdir(), *home.models_folder.iterdir()])
        line.send(b"\0\0")
        client.push(of_model(model))
    assert Slot(home, "digits").state().current == 1


def test_a_peer_that_reads_no_answers(home: Home) -> None:
    """The queue is bounded: the agent stops reading, and goes on when it is read again."""
    with stdio_agent(home.path) as process:
        line = line_of(process)
        line.client().status()
        os.set_blocking(line.write_fd, False)
        frame, sent = line.framing.encode(echo("x" * 20000)), 0
        pause = time.monotonic()
        while time.monotonic() - pause < 1.0 and sent < 64 << 20:
            try:
                sent += os.write(line.write_fd, frame)
                pause = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        assert sent < 8 << 20
        os.set_blocking(line.write_fd, True)
        while line.receive(0.5):
            pass
        line.send(b"\0")
        assert line.client().status()["state"] == "idle"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_in_order(home: Home, model: bytes, number: signal.Signals) -> None:
    pushed = package(KEY, model, 1)
    with stdio_agent(home.path) as process:
        client = line_of(process).client()
        client.offer(pushed)
        client.write(pushed.entry.sha256, 0, model[:9000])
        process.send_signal(number)
        assert process.wait(SECONDS) == 0
    with stdio_agent(home.path) as process:
        assert line_of(process).client().offer(pushed)["need"][0]["have"] == 8192


def test_the_wrong_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERT_HOME", str(tmp_path / "home"))
    for words in ([], ["--stdio", "--tty", "/dev/null"], ["--tty", "/dev/null"], ["--tty", "x", "--baud", "12345"]):
        done = subprocess.run(agent_command(*words), capture_output=True, text=True, timeout=SECONDS)
        assert done.returncode == 2
        assert done.stderr.startswith("edgert: ")
        assert done.stderr.count("\n") == 1


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        agent_command("--stdio", "--home", tmp_path / "file" / "home"), capture_output=True, text=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2
    assert "file" in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_it_imports(home: Home) -> None:
    """Until a signature has to be checked neither NumPy nor cryptography: it has to be quick on a small device."""
    code = (
        "import sys, edgert.cli.agent, edgert.agent.server, edgert.agent.stdio; from edgert.store.home import Home; "
        f"s = edgert.agent.server.open_server(Home({str(home.path)!r})); "
        "from edgert.smp.message import *; s.handle(Message(Header(Op.READ, 237, 1)).to_bytes()); "
        "print(sorted({'numpy', 'cryptography', 'rich', 'asyncio', 'edgert.golden'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS
    )
    assert done.stdout.strip() == "[]"

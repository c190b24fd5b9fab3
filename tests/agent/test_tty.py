"""`edgert agent --tty`, at real ptys: frames, speeds, a line that hangs up and comes back."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent.lines import SECONDS, FrameLine, errors_of, tty_agent
from agent.pushing import Client, new_home, package
from packages import digits

from edgert.agent.tty import SPEEDS, TtyError, check_baud, open_tty
from edgert.errors import InputError
from edgert.manifest.keys import new_key
from edgert.manifest.manifest import describe_object
from edgert.smp.groups import EdgertCommand, Group
from edgert.smp.message import Op
from edgert.store.home import Home
from edgert.store.slot import Slot

DATA = bytes(range(256)) * 40
KEY = new_key()
TIOCGEXCL = 0x80045440  # asm-generic/ioctls.h; termios has it from Python 3.13 on


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path / "home", KEY)


class Port:
    """A pty whose name, like that of a USB gadget's port, stays when the line hangs up and comes back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.master = self.slave = -1
        self.plug_in()

    def plug_in(self) -> None:
        # The slave stays open here: a master whose slave nobody has open cannot be read.
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)  # until the agent has set it up itself
        half = self.path.with_suffix(".new")
        half.symlink_to(os.ttyname(self.slave))
        half.rename(self.path)

    def pull_out(self) -> None:
        if self.master >= 0:
            os.close(self.master)
            os.close(self.slave)
            self.master = self.slave = -1
            self.path.unlink()

    def line(self, name: str = "cobs") -> FrameLine:
        return FrameLine(self.master, self.master, name)

    def client(self) -> Client:
        """Of a line on which nobody may be listening yet: what is not answered is sent again."""
        return self.line().client(again_seconds=0.5)


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    made = Port(tmp_path / "tty")
    yield made
    made.pull_out()


@pytest.mark.parametrize("name", ["cobs", "console"])
def test_a_whole_push(home: Home, port: Port, name: str) -> None:
    model = digits(quantize=True)
    with tty_agent(home.path, port.path, "--baud", "921600"):
        client = port.line(name).client(again_seconds=2.0)
        client.status()
        client.push(package(KEY, model, 7, objects=(describe_object("package", model),)))
        assert termios.tcgetattr(port.master)[5] == termios.B921600
    assert Slot(home, "digits").state().current == 7


def test_what_lies_between_frames_is_ignored(home: Home, port: Port) -> None:
    with tty_agent(home.path, port.path):
        os.write(port.master, b"\r\nU-Boot 2024.01\r\nlogin: " + bytes(range(256)))
        assert port.client().status()["state"] == "idle"
        line = port.line("console")
        os.write(port.master, b"\r\n[    0.000000] Booting Linux\r\n")
        assert line.client(again_seconds=0.5).status()["state"] == "idle"


def test_every_byte_value_passes(home: Home, port: Port) -> None:
    """The port is raw: no byte ends a line, starts or stops the flow, or becomes a signal."""
    with tty_agent(home.path, port.path):
        client = port.client()
        client.status()
        text = "".join(map(chr, range(128))) * 8
        assert client.request(Op.WRITE, Group.OS, 0, {"d": text}) == {"r": text}


def test_a_line_that_hangs_up_is_opened_again_and_the_push_goes_on(home: Home, port: Port) -> None:
    pushed = package(KEY, DATA)
    with tty_agent(home.path, port.path) as process:
        client = port.client()
        client.offer(pushed)
        at = client.write(pushed.entry.sha256, 0, DATA[:3000])
        port.pull_out()
        time.sleep(0.5)
        assert process.poll() is None
        port.plug_in()
        # The same session: what came of a chunk is still there, and no new offer is needed.
        client = port.client()
        assert client.status()["progress"] == {"done": 3000, "total": len(DATA)}
        while at < len(DATA):
            at = client.write(pushed.entry.sha256, at, DATA[at : at + 1000])
        assert client.status()["state"] == "received"
    said = errors_of(home.path).read_text()
    assert f"edgert agent: {port.path}: the line was closed; opening it again" in said
    assert said.count("\n") == 1


def test_a_frame_that_was_cut_off_does_not_join_the_next(home: Home, port: Port) -> None:
    with tty_agent(home.path, port.path):
        client = port.client()
        client.status()
        os.write(port.master, port.line().framing.encode(b"x" * 500)[:-100])
        port.pull_out()
        port.plug_in()
        assert port.client().status()["state"] == "idle"


def test_it_ends_when_asked_also_while_the_line_is_away(home: Home, port: Port) -> None:
    with tty_agent(home.path, port.path) as process:
        port.client().status()
        port.pull_out()
        time.sleep(0.3)
        process.terminate()
        assert process.wait(SECONDS) == 0


def test_an_answer_can_be_as_large_as_the_buffer(home: Home, port: Port) -> None:
    for number in range(3000):
        home.log(f"line {number} of a long log")
    with tty_agent(home.path, port.path):
        client = port.client()
        answer = client.request(Op.READ, Group.FS, 0, {"name": "/edgert/log", "off": 0})
        assert 16000 < len(answer["data"]) < 16384


def test_what_a_push_client_sends_first(home: Home, port: Port) -> None:
    """Version 1 of SMP, as older clients speak it."""
    with tty_agent(home.path, port.path):
        client = Client(lambda message: port.line().exchange(message, again_seconds=0.5), version=0)
        assert client.own(EdgertCommand.STATUS)["state"] == "idle"


# --- open_tty ---


def test_speeds() -> None:
    for baud in (9600, 115200, 921600, 3000000):
        assert check_baud(baud) == baud
        assert SPEEDS[baud] != 0
    for baud in (0, 12345, -1):
        with pytest.raises(InputError, match=r"no speed of .* known are 9600"):
            check_baud(baud)


def test_ports_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(TtyError, match=r"No such file or directory; `ls /dev/tty\*`"):
        open_tty(str(tmp_path / "none"), 115200)
    (tmp_path / "file").write_text("")
    with pytest.raises(TtyError, match="is no serial port"):
        open_tty(str(tmp_path / "file"), 115200)


def test_a_port_has_one_reader() -> None:
    """Others are refused it, except for root (tty_ioctl(4), TIOCEXCL)."""
    master, slave = pty.openpty()
    fd = open_tty(os.ttyname(slave), 115200)
    try:
        assert struct.unpack("i", fcntl.ioctl(slave, TIOCGEXCL, bytes(4))) == (1,)
        if os.geteuid() != 0:
            with pytest.raises(TtyError, match="another program has it"):
                open_tty(os.ttyname(slave), 115200)
    finally:
        for one in (fd, master, slave):
            os.close(one)

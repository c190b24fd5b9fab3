"""Fuzz target of the agent: whatever requests come, in whatever order, what is installed stays whole. By atheris.

    TMPDIR=/dev/shm/agent python tests/fuzz/fuzz_agent.py -max_total_time=60 -max_len=600 -len_control=0 [CORPUS]

Each input is a conversation with an agent whose home has one confirmed model. The fuzzer knows the packages that can be
pushed: two good ones, one that fails its check, an old one, one with another key, one for another machine; it sends
their true bytes, true bytes at wrong places, and anything else. The agent may be killed in between, and applications
load the model and crash. Whatever it was told, every answer is a message that fits the buffer, nothing raises, what is
current is a package that was signed, checked and activated, whole, and the home holds nothing that a home does not.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the tests' own modules

with atheris.instrument_imports(include=["edgert.agent", "edgert.store", "edgert.smp", "edgert.manifest"]):
    from agent.pushing import CHUNK, PROBE, Client, Package, ReplyError, new_home, new_key, new_session, package

    from edgert.agent import server as server_module
    from edgert.agent.offer import Offer
    from edgert.agent.reception import COMPRESSED
    from edgert.agent.server import Server
    from edgert.agent.session import Session
    from edgert.errors import EdgertError
    from edgert.manifest.manifest import Requirement
    from edgert.smp import cbor
    from edgert.smp.groups import EdgertCommand, FsCommand, Group, OsCommand
    from edgert.smp.message import Header, Message, Op
    from edgert.store.home import Home
    from edgert.store.slot import Slot
    from edgert.store.trial import count_load

BUF_SIZE = 8192
MOST_STEPS = 40
KEY, STRANGER = new_key("trusted"), new_key("stranger")
OLD = package(KEY, b"old" * 2000, counter=10)
BAD_COUNTER = 30


def _packages() -> list[Package]:
    def data(number: int) -> bytes:
        return bytes((number * 7 + at // 256) % 256 for at in range(2 * CHUNK + 1000))

    elsewhere = (Requirement("other", "x86_64", ("avx512f",)),)
    return [
        OLD,
        package(KEY, data(1), counter=20),
        package(KEY, data(2), counter=21, trials=1),
        package(KEY, data(3), counter=BAD_COUNTER),
        package(KEY, data(4), counter=9),
        package(STRANGER, data(5), counter=40),
        package(KEY, data(6), counter=41, targets=elsewhere),
        package(KEY, data(1), counter=22, name="other"),  # shares its object
    ]


PACKAGES = _packages()
MAY_BE_CURRENT = {one.sha256 for one in (PACKAGES[0], PACKAGES[1], PACKAGES[2], PACKAGES[7])}
NAMES = ["/edgert/log", "/etc/passwd", "/edgert/../../etc/passwd", "../x", "", "/edgert/", "/edgert/" + "0" * 64]
TEXTS = [*NAMES, "digits", "other", "none", "../digits", "sha256", "crc32", "md5", "a" * 5000]
KEYS = ["off", "data", "name", "len", "type", "manifest", "counter", "d", "x"]
COMMANDS = [
    *((Group.EDGERT, command) for command in EdgertCommand),
    *((Group.FS, command) for command in FsCommand),
    *((Group.OS, command) for command in OsCommand),
    (Group.EDGERT, 99),
    (64, 0),
]
ALLOWED = re.compile(
    r"id|lock|log(\.1)?|keys(/[^/]+\.pub)?|objects(/[0-9a-f]{64})?|staging(/[^/]+)?|models(/(digits|other)(/[^/]+.*)?)?"
)


def check(_home: Home, offer: Offer, _device: object) -> None:
    if offer.manifest.counter == BAD_COUNTER:
        raise EdgertError("the golden runs differ")


def reraise() -> None:
    """In place of traceback.print_exc: the agent's last resort hides no fault here."""
    raise


server_module.traceback = SimpleNamespace(print_exc=reraise)  # type: ignore[attr-defined]


class Talk:
    """A home, an agent that is killed and started, and what the fuzzer's bytes make of it."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self.home = Home(folder)
        self.bytes = atheris.FuzzedDataProvider(data)
        self.server = self._start()
        self.offered = PACKAGES[1]

    def _start(self) -> Server:
        session: Session = new_session(self.home, PROBE, check=check)
        return Server(session, BUF_SIZE)

    def run(self) -> None:
        steps = [getattr(self, name) for name in dir(type(self)) if name.startswith("step_")]
        steps += 12 * [self.step_onwards]
        for _ in range(MOST_STEPS):
            if not self.bytes.remaining_bytes():
                break
            steps[self.bytes.ConsumeIntInRange(0, len(steps) - 1)]()
        self.server.session.wait(30)
        self.server.close()
        self.check_home()

    def send(self, message: bytes) -> bytes | None:
        answer = self.server.handle(message)
        if answer is not None:
            assert len(answer) <= BUF_SIZE, len(answer)
            Message.from_bytes(answer).refusal()
        return answer

    def ask(self, op: Op, group: int, command: int, body: dict[str, Any]) -> Message:
        answer = self.send(Message(Header(op, group, command, 1), body).to_bytes())
        assert answer is not None
        return Message.from_bytes(answer)

    def package(self) -> Package:
        """Mostly the one that was offered last, so that pushes come to an end."""
        number = self.bytes.ConsumeIntInRange(0, 4 * len(PACKAGES) - 1)
        return PACKAGES[number] if number < len(PACKAGES) else self.offered

    def value(self) -> Any:
        kind = self.bytes.ConsumeIntInRange(0, 6)
        if kind == 0:
            return self.bytes.ConsumeInt(8)
        if kind == 1:
            return self.bytes.ConsumeIntInRange(0, 3 * CHUNK)
        if kind == 2:
            return self.bytes.ConsumeBytes(self.bytes.ConsumeIntInRange(0, 300))
        if kind == 3:
            return TEXTS[self.bytes.ConsumeIntInRange(0, len(TEXTS) - 1)]
        if kind == 4:
            one = self.package()
            return [one.sha256, f"/edgert/{one.entry.sha256.hex()}", one.blob()][self.bytes.ConsumeIntInRange(0, 2)]
        return [None, True, 1.5, [], {}, {"a": [1]}, -1, 2**63][self.bytes.ConsumeIntInRange(0, 7)]

    # What a conversation is made of, one step a method.

    def step_bytes(self) -> None:
        self.send(self.bytes.ConsumeBytes(self.bytes.ConsumeIntInRange(0, 200)))

    def step_request(self) -> None:
        group, command = COMMANDS[self.bytes.ConsumeIntInRange(0, len(COMMANDS) - 1)]
        keys = {KEYS[self.bytes.ConsumeIntInRange(0, len(KEYS) - 1)] for _ in range(self.bytes.ConsumeIntInRange(0, 5))}
        body = {key: self.value() for key in sorted(keys)}
        self.ask(Op(2 * self.bytes.ConsumeIntInRange(0, 1)), group, command, body)

    def step_onwards(self) -> None:
        """What a push does next: without it, random steps hardly ever get to an activation."""
        match str(self.server.session.state):
            case "receiving":
                self.step_upload_all()
            case "received" | "verifying":
                self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.VERIFY, {})
                self.server.session.wait(30)
            case "verified":
                self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.ACTIVATE, {"manifest": self.offered.sha256})
            case "pending":
                self.step_load()
            case _:
                self.step_offer()

    def step_offer(self) -> None:
        self.offered = PACKAGES[self.bytes.ConsumeIntInRange(0, len(PACKAGES) - 1)]
        try:
            Client.of(self.server).offer(self.offered, self.bytes.ConsumeIntInRange(50, 4000))
        except ReplyError as error:
            if error.group != Group.EDGERT:
                raise

    def step_offer_damaged(self) -> None:
        one = self.package()
        blob = bytearray(one.blob())
        blob[self.bytes.ConsumeIntInRange(0, len(blob) - 1)] ^= self.bytes.ConsumeIntInRange(1, 255)
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.OFFER, {"off": 0, "len": len(blob), "data": bytes(blob)})

    def step_offer_of_anything(self) -> None:
        blob = cbor.encode({"manifest": self.value(), "signature": self.value()})
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.OFFER, {"off": 0, "len": len(blob), "data": blob[:8000]})

    def step_upload(self) -> None:
        """True bytes at the offset that is expected, or at another."""
        one = self.package()
        at = self.bytes.ConsumeIntInRange(0, one.entry.size)
        if self.bytes.ConsumeBool():
            at = self.expected(one, "")
        data = one.data[at : at + self.bytes.ConsumeIntInRange(1, 6000)]
        self.write(one, "", at, data)

    def step_upload_all(self) -> None:
        one = self.offered
        for _ in range(6):
            at = self.expected(one, "")
            self.write(one, "", at, one.data[at : at + 4000])

    def step_upload_anything(self) -> None:
        one, suffix = self.package(), ["", ".zst"][self.bytes.ConsumeIntInRange(0, 1)]
        at = self.expected(one, suffix) if self.bytes.ConsumeBool() else self.bytes.ConsumeInt(4)
        self.write(one, suffix, at, self.bytes.ConsumeBytes(self.bytes.ConsumeIntInRange(0, 200)))

    def step_upload_record(self) -> None:
        one, at = self.package(), 0
        at = self.expected(one, ".zst")
        index, within = divmod(at, CHUNK + 4)
        records = one.records()
        if index < len(records):
            self.write(one, ".zst", at, records[index][within : within + self.bytes.ConsumeIntInRange(1, 5000)])

    def step_upload_record_that_lies(self) -> None:
        one = self.package()
        head = self.bytes.ConsumeIntInRange(0, 2 * CHUNK) | (COMPRESSED if self.bytes.ConsumeBool() else 0)
        content = self.bytes.ConsumeBytes(self.bytes.ConsumeIntInRange(0, 200))
        self.write(one, ".zst", self.expected(one, ".zst"), head.to_bytes(4, "big") + content)

    def step_status(self) -> None:
        assert self.ask(Op.READ, Group.EDGERT, EdgertCommand.STATUS, {}).refusal() is None

    def step_verify(self) -> None:
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.VERIFY, {})
        if self.bytes.ConsumeBool():
            self.server.session.wait(30)

    def step_activate(self) -> None:
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.ACTIVATE, {"manifest": self.package().sha256})

    def step_confirm(self) -> None:
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.CONFIRM, {"name": self.package().manifest.name})

    def step_roll_back(self) -> None:
        manifest = self.package().manifest
        body = {"name": manifest.name, "counter": manifest.counter}
        self.ask(Op.WRITE, Group.EDGERT, EdgertCommand.ROLLBACK, body)

    def step_load(self) -> None:
        """An application opens what is current, and crashes where that is on trial."""
        opened = count_load(Slot(self.home, "digits"))
        if opened.trial is not None:
            opened.trial.end()

    def step_start_again(self) -> None:
        """Killed: nothing is closed but what the kernel closes."""
        self.server.session.wait(30)
        self.server.session._unlock()
        self.server = self._start()

    def step_silence(self) -> None:
        self.server.session._heard -= 1000.0
        self.server.tick()

    def expected(self, one: Package, suffix: str) -> int:
        name = f"/edgert/{one.entry.sha256.hex()}{suffix}"
        body = {"name": name, "off": 2**40, "data": b""}
        found = self.ask(Op.WRITE, Group.FS, FsCommand.FILE, body).body.get("off", 0)
        assert isinstance(found, int)
        return found

    def write(self, one: Package, suffix: str, at: int, data: bytes) -> None:
        name = f"/edgert/{one.entry.sha256.hex()}{suffix}"
        self.ask(Op.WRITE, Group.FS, FsCommand.FILE, {"name": name, "off": max(at, 0), "data": data})

    def check_home(self) -> None:
        for path in self.home.path.rglob("*"):
            name = str(path.relative_to(self.home.path))
            assert ALLOWED.fullmatch(name), f"{name} does not belong into a home"
            assert not path.is_symlink(), name
        for name in self.home.models():
            slot = Slot(self.home, name)
            state = slot.state()
            if state.current is None:
                continue
            digest = {one.sha256: one for one in PACKAGES}
            manifest = slot.manifest_bytes(state.current)
            current = next((one for one in digest.values() if one.manifest_bytes == manifest), None)
            assert current is not None, "what is current was never offered"
            assert current.sha256 in MAY_BE_CURRENT, f"{name} {state.current} is current"
            assert slot.package(state.current).read_bytes() == current.data


TEMPLATE: Path | None = None


def template() -> Path:
    """A home with OLD confirmed, made once and copied for each input."""
    global TEMPLATE
    if TEMPLATE is None:
        TEMPLATE = Path(tempfile.mkdtemp()) / "home"
        home = new_home(TEMPLATE, KEY)
        server = Server(new_session(home, PROBE, check=check), BUF_SIZE)
        client = Client.of(server)
        client.push(OLD)
        client.own(EdgertCommand.CONFIRM, {"name": "digits"})
        server.close()
    return TEMPLATE


def one_input(data: bytes) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        shutil.copytree(template(), folder / "home")
        Talk(folder / "home", data).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_seeds(folder: Path) -> None:
    """Conversations of any steps: long ones from the beginning, for a push takes several in a row."""
    source = random.Random(6)
    for number in range(50):
        (folder / str(number)).write_bytes(source.randbytes(source.randint(20, 400)))


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            write_seeds(Path(argument))
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()  # ends the process: what the template takes in $TMPDIR is its caller's to remove

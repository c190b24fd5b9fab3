"""Pushes to a real agent at pipes that strace interrupts: killed at a system call, or one of its calls failing.

A script, for it forks agents and so wants a process with one thread. It prints one line of JSON.

    agent_cuts.py FOLDER ACTION MOST SEED [check]
        ACTION   signal=KILL, or error=ENOSPC and the like
        MOST     so many calls of those that a push makes, drawn by SEED; 0: all of them
        check    the package is opened and run before it counts, as agents do, in a process whose calls are cut as well
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agent.lines import FrameLine
from agent.pushing import Client, Package, ReplyError, new_home, new_key, new_session, package
from runtime.models import pooled
from store.store_pushes import check_whole, package_bytes

from edgert.agent import generations
from edgert.agent.serve import Stop
from edgert.agent.server import Server
from edgert.agent.stdio import serve_stdio
from edgert.manifest.keys import PrivateKey
from edgert.smp.framing import framing
from edgert.store.home import Home
from edgert.store.slot import Slot

NAME, OLD, NEW, LATER = "digits", 1, 2, 3
# Those of a push that may meet a full or failing disk. `write` is the agent's answers, too.
DISK_CALLS = {
    "openat", "mkdir", "rename", "unlink", "rmdir", "fallocate", "pwrite64", "pread64", "write", "fsync", "fchmod",
    "chmod", "newfstatat", "getdents64", "flock", "statfs",
}  # fmt: skip
SECONDS = 30.0


@dataclass(frozen=True)
class Call:
    """The n-th call of this name that a thread of the agent makes."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


@dataclass(frozen=True)
class Outcome:
    answer: str  # "pushed", "refused: ...", "ended" where the agent did
    killed: bool
    trace: str


class Rig:
    """A home in which OLD is confirmed, and a package NEW to push to copies of it."""

    def __init__(self, folder: Path, check: bool) -> None:
        self.folder = folder
        self._options = {"check": generations.check} if check else {}
        self.key: PrivateKey = new_key()
        self.template = new_home(folder / "template", self.key)
        self.packages = {
            counter: package(
                self.key, pooled((str(counter),)) if check else package_bytes(counter, 9000), counter, NAME
            )
            for counter in (OLD, NEW, LATER)
        }
        self.push_here(self.template, OLD)
        Slot(self.template, NAME).confirm()

    def copy(self) -> Home:
        path = self.folder / "home"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self.template.path, path)
        return Home(path)

    def push_here(self, home: Home, counter: int) -> None:
        server = Server(new_session(home))
        push_through(Client.of(server), self.packages[counter])
        server.close()

    def agent(self, home: Home, read_fd: int, write_fd: int, go_fd: int) -> int:
        """Forks an agent that begins when a byte comes at go_fd. What it imports is imported already."""
        pid = os.fork()
        if pid:
            return pid
        try:
            os.dup2(read_fd, 0)
            os.dup2(write_fd, 1)
            os.closerange(3, go_fd)
            os.closerange(go_fd + 1, 256)
            os.read(go_fd, 1)
            server = Server(new_session(home.open(), **self._options))
            serve_stdio(framing("cobs", server.buf_size), server, Stop(), lambda _text: None)
            server.close()
        finally:
            os._exit(0)

    def push(self, home: Home, *strace: str) -> Outcome:
        """A push of NEW to an agent under strace."""
        trace = self.folder / "trace"
        trace.unlink(missing_ok=True)
        (go_read, go), (agent_in, into), (out, agent_out) = os.pipe(), os.pipe(), os.pipe()
        pid = self.agent(home, agent_in, agent_out, go_read)
        for fd in (agent_in, agent_out, go_read):
            os.close(fd)
        tracer = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", str(trace), *strace], stderr=subprocess.PIPE, text=True
        )
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        if "attached" not in said:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise SystemExit(f"strace cannot attach: {said.strip()}")
        try:
            os.write(go, b"\0")
            answer = self._converse(FrameLine(out, into), self.packages[NEW])
        finally:
            for fd in (go, into, out):
                os.close(fd)
        status = self._wait(pid)
        tracer.communicate(timeout=SECONDS)
        return Outcome(answer, os.WIFSIGNALED(status), trace.read_text(errors="replace"))

    @staticmethod
    def _converse(line: FrameLine, new: Package) -> str:
        try:
            push_through(line.client(), new)
            return "pushed"
        except ReplyError as error:
            return f"refused: {error}"
        except (AssertionError, BrokenPipeError) as error:
            return "ended" if "the agent ended" in str(error) or isinstance(error, OSError) else f"refused: {error}"

    @staticmethod
    def _wait(pid: int) -> int:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                return status
            time.sleep(0.002)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise AssertionError("the agent does not end when its line does")

    def check(self, home: Home, outcome: Outcome) -> int:
        """What holds afterwards, whatever happened; the generation that is current."""
        packages = {counter: one.data for counter, one in self.packages.items()}
        signatures = {counter: one.signature for counter, one in self.packages.items()}
        state = check_whole(home, packages, NAME, signatures)
        assert state.current in (OLD, NEW)
        if outcome.answer == "pushed":
            assert state.current == NEW
            assert state.pending
            assert state.previous == OLD
        else:
            assert (state.current == OLD and not state.pending) or outcome.answer == "ended", outcome.answer
        current = state.current
        home.open()
        self.push_here(home, NEW)  # the same again: goes on, or is there
        state = check_whole(home, packages, NAME, signatures)
        assert (state.current, state.previous, state.pending) == (NEW, OLD, True)
        self.push_here(home, LATER)
        state = check_whole(home, packages, NAME, signatures)
        assert (state.current, state.previous) == (LATER, OLD)
        assert os.listdir(home.staging) == []
        assert len(os.listdir(home.objects)) == 2
        assert sorted(os.listdir(home.models_folder / NAME / "generations")) == [str(OLD), str(LATER)]
        return current


def push_through(client: Client, package: Package) -> None:
    """What is left to do of it, as the device's answer to the offer says."""
    answer = client.offer(package)
    if answer["state"] in ("pending", "confirmed"):
        return
    if answer["need"]:
        client.upload(package)
    status = client.verify()
    assert status["state"] == "verified", status["detail"]
    client.activate(package)


def calls_of(trace: str) -> list[Call]:
    """Each once, in the order of the push."""
    counts: Counter[tuple[str, str]] = Counter()
    calls: dict[Call, None] = {}
    for line in trace.splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            counts[found[1], found[2]] += 1
            calls[Call(found[2], counts[found[1], found[2]])] = None
    return list(calls)


def main(folder: Path, action: str, most: int, seed: int, check: bool) -> dict[str, object]:
    rig = Rig(folder, check)
    home = rig.copy()
    outcome = rig.push(home)
    assert outcome.answer == "pushed", outcome
    rig.check(home, outcome)
    calls = [call for call in calls_of(outcome.trace) if action == "signal=KILL" or call.name in DISK_CALLS]
    chosen = calls if not most or most >= len(calls) else random.Random(seed).sample(calls, most)
    counts: Counter[str] = Counter()
    for call in chosen:
        home = rig.copy()
        outcome = rig.push(home, "-e", f"inject={call.name}:{action}:when={call.number}")
        reached = outcome.killed or "(INJECTED)" in outcome.trace
        try:
            current = rig.check(home, outcome)
        except BaseException:
            print(f"{action} at {call}, seed {seed}: {outcome.answer}; the home is {home.path}", file=sys.stderr)
            raise
        counts["interrupted" if reached else "not reached"] += 1
        counts["old is current" if current == OLD else "new is current"] += 1
        counts[outcome.answer.partition(":")[0]] += 1
    return {"calls of a push": len(calls), "tried": len(chosen), **counts}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), "check" in sys.argv)))

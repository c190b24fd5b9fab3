"""Pushes over a line with seeded faults, while the home is watched: what tests/device/test_faults.py runs.

As a program it runs many seeds in several processes, and prints what they came to:

    python tests/device/fault_run.py --seeds 0:1000 --jobs 8
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from device.line_faults import Pattern
from device.line_proxy import Line
from device.pushes import Agent, home, key, package

from edgert.device import LinkError, PushOptions, PushResult, push
from edgert.errors import EdgertError
from edgert.manifest.keys import PrivateKey
from edgert.manifest.manifest import Manifest
from edgert.store.errors import StoreError
from edgert.store.home import Home
from edgert.store.slot import Slot

PACKAGE_BYTES = 3_600_000
CHUNK_BYTES = 1 << 16
MOST_CALLS = 12
PATIENCE_S = 5.0
NAME = "model"


@dataclass(frozen=True)
class Plan:
    """What happens to the pushes of one seed. kills: seconds after the first call at which the agent is killed."""

    pattern: Pattern
    kills: tuple[float, ...]
    framing: str
    golden: int

    def __str__(self) -> str:
        shown = {name: value for name, value in asdict(self.pattern).items() if value and not name.endswith("_bytes")}
        return f"{shown}, agent killed at {self.kills}, {self.framing}"


def plan(seed: int, size: int = PACKAGE_BYTES) -> Plan:
    """The faults of a seed: each kind is there in about half of the seeds, from rare to as many as a line can have
    over which anything gets at all."""
    chance = random.Random(f"plan {seed}")

    def some(least: float, most: float) -> float:
        return least * (most / least) ** chance.random() if chance.random() < 0.5 else 0.0

    def places(most: int) -> tuple[int, ...]:
        count = chance.choice((0, 0, 0, 1, 1, most))
        return tuple(sorted(chance.randrange(int(size * 1.2)) for _ in range(count)))

    pattern = Pattern(
        baud=chance.choice((921_600, 3_000_000, 3_000_000, *[4_000_000] * 9)),
        seed=seed,
        flips=some(1e-7, 2e-4),
        drops=some(1e-7, 5e-5),
        drop_bytes=chance.choice((1, 20, 3000)),
        repeats=some(1e-7, 5e-5),
        swaps=some(1e-7, 5e-5),
        frame_repeats=some(1e-6, 1e-4),
        frame_swaps=some(1e-6, 1e-4),
        silences=tuple((at, chance.choice((0.1, 0.5, 2.0, 8.0))) for at in places(4)),
        host_hang_ups=places(3),
        device_hang_ups=places(3),
    )
    kills = tuple(sorted(chance.uniform(0.5, 12.0) for _ in range(chance.choice((0, 0, 0, 1, 3)))))
    framing = "console" if chance.random() < 0.15 else "cobs"
    return Plan(pattern, kills, framing, golden=int(chance.random() < 0.1))


@dataclass
class Outcome:
    """What the calls of one seed came to. resent: the most that a call sent again of what had been acknowledged."""

    seed: int
    seconds: float = 0.0
    calls: int = 0
    errors: list[str] = field(default_factory=list)
    retries: int = 0
    faults: int = 0
    resent: int = 0
    looks: int = 0
    wrong: list[str] = field(default_factory=list)  # what must never be


class Watcher(threading.Thread):
    """Looks again and again at what is visible in a home: whole objects, and a current generation that is one of those
    allowed."""

    def __init__(self, place: Path, allowed: frozenset[str]) -> None:
        super().__init__(daemon=True)
        self._home = Home(place)
        self._allowed = allowed  # SHA-256 of packages
        self._ended = threading.Event()
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.wrong: list[str] = []
        self.looks = 0

    def run(self) -> None:
        while not self._ended.wait(0.05):
            self.look()

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self.look()

    def look(self) -> str | None:
        """The SHA-256 of the current package."""
        self.looks += 1
        for path in (self._home.path / "objects").iterdir():
            try:
                facts = path.stat()
                stamp = (facts.st_ino, facts.st_size, facts.st_mtime_ns)
                if self._seen.get(path.name) == stamp:
                    continue
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except FileNotFoundError:
                continue  # collected meanwhile
            self._seen[path.name] = stamp
            if found != path.name:
                self.wrong.append(f"the object {path.name[:12]} holds {facts.st_size} bytes with the hash {found[:12]}")
        slot = Slot(self._home, NAME)
        for _ in range(5):
            state = slot.state()
            try:
                if state.current is None:
                    raise StoreError("there is no current generation")
                opened = slot.package(state.current)
                manifest: Manifest = slot.manifest(state.current)
                found = manifest.package.sha256.hex()
                if opened.name != found or found not in self._allowed:
                    self.wrong.append(
                        f"generation {state.current} opens {opened.name[:12]}, its manifest says {found[:12]}"
                    )
                return found
            except StoreError as error:
                problem = error
                time.sleep(0.02)  # switched between the two looks: look again
        self.wrong.append(str(problem))
        return None


@dataclass(frozen=True)
class World:
    """What all seeds of a process share: the packages, the key, and a home with the old package installed."""

    folder: Path
    old: Path
    new: Path
    key: PrivateKey
    home: Path


def make_world(folder: Path, size: int = PACKAGE_BYTES) -> World:
    folder.mkdir(parents=True, exist_ok=True)
    signer = key()
    old, new = package(folder / "old.ert", 50_000, seed=1), package(folder / "new.ert", size, seed=2)
    place = home(folder / "home", signer)
    with Line(folder / "line", Pattern(4_000_000)) as line, Agent(line.device, place, 4_000_000):
        push(old, f"serial:{line.host}?baud=4000000", signer, PushOptions(name=NAME, golden=0))
    return World(folder, old, new, signer, place)


def run(seed: int, world: World, folder: Path) -> Outcome:
    """Pushes until the package is there; after MOST_CALLS calls the line is mended. What is wrong stands in the
    outcome."""
    began = time.monotonic()
    outcome = Outcome(seed)
    chosen = plan(seed, world.new.stat().st_size)
    place = folder / "home"
    shutil.copytree(world.home, place)
    old, new = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (world.old, world.new))
    watcher = Watcher(place, frozenset((old, new)))
    watcher.start()
    baud = chosen.pattern.baud
    with (
        Line(folder / "line", chosen.pattern) as line,
        Agent(line.device, place, baud) as agent,
        killing(agent, chosen.kills),
    ):
        options = PushOptions(name=NAME, golden=chosen.golden, patience=PATIENCE_S)
        address = f"serial:{line.host}?baud={baud}&framing={chosen.framing}"
        result = _push_until_there(outcome, world, line, address, options)
        outcome.faults = line.counts()["faults"]
    watcher.stop()
    outcome.looks = watcher.looks
    outcome.wrong += watcher.wrong
    if result is not None and watcher.look() != new:
        outcome.wrong.append("the push said that it is done, and the old package is current")
    outcome.seconds = time.monotonic() - began
    return outcome


def _push_until_there(
    outcome: Outcome, world: World, line: Line, address: str, options: PushOptions
) -> PushResult | None:
    acknowledged = 0

    def progress(stage: str, done: int, total: int | None) -> None:
        nonlocal acknowledged, first
        if stage == "send":
            if first is None:
                first = done
                outcome.resent = max(outcome.resent, acknowledged - done)
            acknowledged = max(acknowledged, done)

    for call in range(MOST_CALLS + 3):
        if call == MOST_CALLS:
            line.clean()
        outcome.calls += 1
        first: int | None = None
        try:
            result = push(world.new, address, world.key, options, progress)
        except LinkError as error:
            outcome.errors.append(str(error))
            time.sleep(0.3)  # for a port that hung up to be there again
            continue
        except EdgertError as error:
            outcome.errors.append(f"{type(error).__name__}: {error}")
            outcome.wrong.append(f"call {outcome.calls} failed with no error of the line: {error}")
            return None
        outcome.retries = result.retries
        if outcome.resent > CHUNK_BYTES:
            outcome.wrong.append(f"a call sent {outcome.resent} bytes again that had been acknowledged")
        return result
    outcome.wrong.append(f"not there after {outcome.calls} calls, the last over a clean line: {outcome.errors[-1]}")
    return None


@contextmanager
def killing(agent: Agent, times: tuple[float, ...]) -> Iterator[None]:
    """Kills the agent after so many seconds each, and starts it again."""
    ended = threading.Event()
    began = time.monotonic()

    def work() -> None:
        for at in times:
            if ended.wait(max(0.0, began + at - time.monotonic())):
                return
            agent.kill()
            ended.wait(0.3)
            agent.start()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


_world: World | None = None


def _run_in_pool(seed: int) -> Outcome:
    global _world
    if _world is None:
        _world = make_world(Path(tempfile.mkdtemp(prefix="faults")))
    folder = _world.folder / str(seed)
    folder.mkdir()
    try:
        return run(seed, _world, folder)
    except Exception as error:  # a seed must not end the others
        return Outcome(seed, wrong=[f"{type(error).__name__}: {error}"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="the first, and the one after the last")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--verbose", action="store_true", help="a line for each seed, and what its calls said")
    arguments = parser.parse_args()
    first, end = map(int, arguments.seeds.split(":"))
    began, outcomes = time.monotonic(), []
    with multiprocessing.Pool(arguments.jobs) as pool:
        for outcome in pool.imap_unordered(_run_in_pool, range(first, end)):
            outcomes.append(outcome)
            if arguments.verbose:
                print(f"seed {outcome.seed}: {outcome.calls} calls, {outcome.seconds:.1f} s, {plan(outcome.seed)}")
                print("".join(f"    {error}\n" for error in outcome.errors), end="", flush=True)
            if outcome.wrong:
                print(
                    f"WRONG seed {outcome.seed}: {outcome.wrong}\n    {plan(outcome.seed)}\n    {outcome.errors}",
                    flush=True,
                )
            if len(outcomes) % 50 == 0 or len(outcomes) == end - first:
                print(_summary(outcomes, time.monotonic() - began), flush=True)
    return int(any(outcome.wrong for outcome in outcomes))


def _summary(outcomes: list[Outcome], seconds: float) -> str:
    at_once = sum(outcome.calls == 1 for outcome in outcomes)
    calls = sorted(outcome.calls for outcome in outcomes)
    times = sorted(outcome.seconds for outcome in outcomes)
    return (
        f"{len(outcomes)} seeds in {seconds:.0f} s: {at_once} arrived with the first call, "
        f"{sum(not outcome.wrong for outcome in outcomes)} in all; {sum(calls)} calls, at most {calls[-1]}; "
        f"{sum(outcome.faults for outcome in outcomes)} faults, {sum(one.retries for one in outcomes)} retries; "
        f"at most {max(outcome.resent for outcome in outcomes)} bytes resent of what was acknowledged; "
        f"{sum(outcome.looks for outcome in outcomes)} looks at homes; "
        f"median {times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s; "
        f"{sum(bool(outcome.wrong) for outcome in outcomes)} wrong"
    )


if __name__ == "__main__":
    sys.exit(main())

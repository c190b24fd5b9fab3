"""What `edgert push` shows while it works: a bar for each device, or a line of JSON for each event."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Protocol

from edgert.device.errors import AgentMissingError, DeviceError, LinkError, RefusedError, RejectedError
from edgert.device.results import PushResult
from edgert.errors import EdgertError
from edgert.report.console import size_text

SEND = "send"  # the stage whose progress counts bytes
TELL_SECONDS = 1.0  # between two lines of JSON on the same stage of the same device


class View(Protocol):
    """Called from any thread."""

    def progress(self, name: str, stage: str, done: int, total: int | None) -> None: ...

    def finished(self, name: str, result: PushResult | EdgertError) -> None: ...


class Silent:
    """For nobody: what goes to a file or a pipe is the table at the end."""

    def progress(self, name: str, stage: str, done: int, total: int | None) -> None: ...

    def finished(self, name: str, result: PushResult | EdgertError) -> None: ...


class JsonLines:
    """{"event": "progress" | "result" | "error", "target": ...} for each, as it happens.

    `say`: prints one object as one line.
    """

    def __init__(self, say: Callable[[dict[str, Any]], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str, float]] = {}

    def progress(self, name: str, stage: str, done: int, total: int | None) -> None:
        with self._lock:
            now = self._clock()
            before, at = self._told.get(name, ("", 0.0))
            if stage == before and done != total and now - at < TELL_SECONDS:
                return
            self._told[name] = (stage, now)
            self._say({"event": "progress", "target": name, "stage": stage, "done": done, "total": total})

    def finished(self, name: str, result: PushResult | EdgertError) -> None:
        with self._lock:
            if isinstance(result, PushResult):
                self._say({"event": "result", **asdict(result)})
            else:
                self._say({"event": "error", "target": name, "kind": kind_of(result), "error": str(result)})


_KINDS = (
    # The first that fits, for programs to tell failures apart
    (AgentMissingError, "agent-missing"),
    (LinkError, "link"),
    (RefusedError, "refused"),
    (RejectedError, "rejected"),
    (DeviceError, "device"),
)


def kind_of(error: EdgertError) -> str:
    return next((kind for child, kind in _KINDS if isinstance(error, child)), "input")


def json_line(value: dict[str, Any]) -> None:
    """Prints it at once: whoever reads waits for it. ASCII, so that no locale can break it."""
    print(json.dumps(value), flush=True)


class _Lines:
    """Without rich: a line for each stage."""

    def __init__(self) -> None:
        self._stages: dict[str, str] = {}

    def progress(self, name: str, stage: str, done: int, total: int | None) -> None:
        if self._stages.get(name) != stage:
            self._stages[name] = stage
            print(f"{name}: {stage}", file=sys.stderr)

    def finished(self, name: str, result: PushResult | EdgertError) -> None:
        print(f"{name}: {result.state if isinstance(result, PushResult) else 'failed'}", file=sys.stderr)


@contextmanager
def bars(text: str) -> Iterator[View]:
    """A bar for each device on stderr, while a person watches it there; `text` until the first device is begun with."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    try:
        from rich.console import Console
        from rich.markup import escape
        from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.text import Text
    except ImportError:
        yield _Lines()
        return

    class Speed(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["stage"] == SEND else Text("")

    class Remaining(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["stage"] == SEND else Text("")

    words = (TextColumn("{task.description}"), TextColumn("{task.fields[stage]}"))
    columns = (*words, BarColumn(), TextColumn("{task.fields[sent]}", justify="right"), Speed(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        waiting = shown.add_task(escape(text), total=None, stage="", sent="")
        tasks: dict[str, Any] = {}
        stages: dict[str, str] = {}

        class Bars:
            def progress(self, name: str, stage: str, done: int, total: int | None) -> None:
                if name not in tasks:
                    shown.update(waiting, visible=False)
                    tasks[name] = shown.add_task(escape(name), total=None, stage=stage, sent="")
                if stages.get(name) != stage:
                    stages[name] = stage
                    # Anew, so that what was resumed has no speed.
                    shown.reset(tasks[name], total=total, completed=done, stage=stage, sent="")
                sent = f"{size_text(done)} of {size_text(total)}" if stage == SEND and total is not None else ""
                shown.update(tasks[name], completed=done, total=total, sent=sent)

            def finished(self, name: str, result: PushResult | EdgertError) -> None:
                if name in tasks:
                    state = result.state if isinstance(result, PushResult) else "failed"
                    done = int(isinstance(result, PushResult))
                    shown.update(tasks[name], total=1, completed=done, stage=state, sent="")
                    shown.stop_task(tasks[name])

        yield Bars()

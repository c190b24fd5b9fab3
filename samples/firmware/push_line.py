"""A production line: pushes a model to every board that is plugged in, and writes a report.

    push_line.py model.ert --usb 0403:6001 --baud 921600 --report line.csv        FTDI adapters, until Ctrl-C
    push_line.py model.ert --usb 303a:1001 --expect 24 --confirm --report lot7.csv     a lot of 24 boards
    push_line.py model.ert --adb "agent=/data/local/tmp/edgert" --report phones.json
    push_line.py model.ert --target serial:/dev/ttyUSB0 --target ssh://edgert@192.168.7.2

Exit code: 0 all boards passed, 1 some failed or did not come, 2 wrong use. A board that is plugged in again is pushed
to again; what it has already is not sent a second time.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from boards import Plug, Search
from report import Report, Row
from view import Board, View, shown

from edgert.device import AgentMissingError, LinkError, PushOptions, PushResult, confirm_async
from edgert.device.devices_file import Device
from edgert.device.package import Package, prepare
from edgert.device.push import push_package
from edgert.errors import EdgertError
from edgert.manifest.keys import PrivateKey, default_key_path

LOOK_SECONDS = 1.0
RETRY_SECONDS = 1.0
PATIENCE_SECONDS = 10.0  # without any progress until a line counts as broken


@dataclass
class Line:
    """Everything that stays the same from board to board."""

    package: Package
    key: PrivateKey
    search: Search
    options: argparse.Namespace
    report: Report
    view: View
    work: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    served: set[str] = field(default_factory=set)  # addresses whose board is done, while it stays plugged in

    async def run(self, stop: asyncio.Event) -> None:
        """Until all is done that was asked for, or `stop`."""
        end = time.monotonic() + self.options.seconds if self.options.seconds else None
        turns = asyncio.Semaphore(self.options.parallel)
        try:
            while not stop.is_set() and (end is None or time.monotonic() < end):
                await self._look(turns)
                if self._is_over():
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
        finally:
            for task in self.work.values():
                task.cancel()
            await asyncio.gather(*self.work.values(), return_exceptions=True)

    async def _look(self, turns: asyncio.Semaphore) -> None:
        try:
            plugs = {str(plug.address): plug for plug in await asyncio.to_thread(self.search.look)}
        except LinkError as error:  # adb's server begins anew, and the like
            self.view.say(str(error))
            return
        self.served &= set(plugs)
        self.work = {key: task for key, task in self.work.items() if not task.done()}
        for key, plug in plugs.items():
            if key not in self.work and key not in self.served and not self._is_full():
                self.work[key] = asyncio.create_task(self._serve(key, plug, turns))

    def _is_full(self) -> bool:
        expected = self.options.expect
        return expected is not None and len(self.report.rows) + len(self.work) >= expected

    def _is_over(self) -> bool:
        if self.options.expect is not None and len(self.report.rows) >= self.options.expect:
            return True
        return self.search.ends and len(self.served) == len(set(self.search.fixed)) and not self.work

    async def _serve(self, key: str, plug: Plug, turns: asyncio.Semaphore) -> None:
        board = self.view.begin(key, plug.serial or key)
        async with turns:
            began, began_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
            try:
                outcome: PushResult | EdgertError = await self._push(plug, board)
            except EdgertError as error:
                outcome = error
            except asyncio.CancelledError:
                outcome = LinkError("interrupted before it was done; push again to resume")
        pushed = outcome if isinstance(outcome, PushResult) else None
        row = Row(
            serial=plug.serial,
            device=pushed.device if pushed else "",
            address=key,
            result="pass" if pushed else "fail",
            reason="" if pushed else str(outcome),
            model=self.package.name,
            counter=pushed.counter if pushed else None,
            state=pushed.state if pushed else "",
            sha256=self.package.entry.sha256.hex(),
            bytes_sent=pushed.bytes_sent if pushed else 0,
            retries=pushed.retries if pushed else 0,
            attempts=board.attempts,
            began=began_at,
            seconds=round(time.monotonic() - began, 2),
        )
        self.served.add(key)
        self.report.add(row)
        self.view.end(key, row)

    async def _push(self, plug: Plug, board: Board) -> PushResult:
        """A board that does not answer may still be booting; a line that broke is worth another try, which resumes.
        What a board refuses is refused."""
        device = Device(str(plug.address), plug.address)
        options = PushOptions(
            name=self.package.name, targets=self.options.for_target or None, patience=PATIENCE_SECONDS
        )
        boots_until = time.monotonic() + self.options.boot
        while True:
            board.attempts += 1
            try:
                result = await push_package(self.package, device, self.key, options, board.progress)
                if self.options.confirm:
                    board.progress("confirm", 0, None)
                    await confirm_async(device, result.name, PATIENCE_SECONDS)
                return result
            except AgentMissingError:
                if time.monotonic() >= boots_until:
                    raise
                board.progress("waiting for the agent", 0, None)
            except LinkError:
                if board.attempts >= self.options.attempts:
                    raise
                board.progress("trying again", 0, None)
            await asyncio.sleep(RETRY_SECONDS)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Push a model to every board that is plugged in.")
    parser.add_argument("package", type=Path, metavar="MODEL.ert")
    parser.add_argument("--key", type=Path, help="the private key that signs (default: edgert's default key)")
    where = parser.add_argument_group("where boards are")
    where.add_argument("--usb", action="append", default=[], metavar="VID:PID", help="serial adapters; * for any")
    where.add_argument("--baud", type=int, default=115200)
    where.add_argument("--framing", choices=("cobs", "console"), default="cobs")
    where.add_argument("--adb", nargs="?", const="", metavar="OPTIONS", help="what adb lists; home=DIR&agent=COMMAND")
    where.add_argument("--target", action="append", default=[], metavar="ADDRESS", help="one that is always there")
    what = parser.add_argument_group("what is done")
    what.add_argument("--name", help="the model's name on the boards (default: the file's)")
    what.add_argument("--for", dest="for_target", action="append", metavar="TARGET", help="see edgert targets")
    what.add_argument("--confirm", action="store_true", help="confirm at once: no application will, on the line")
    what.add_argument("--attempts", type=int, default=3, help="on a line that breaks (default: 3)")
    what.add_argument("--boot", type=float, default=60.0, metavar="S", help="seconds a board may boot (default: 60)")
    what.add_argument("--parallel", type=int, default=16, help="boards at once (default: 16)")
    until = parser.add_argument_group("until when")
    until.add_argument("--expect", type=int, metavar="N", help="end after N boards, passed or failed")
    until.add_argument("--seconds", type=float, metavar="S", help="end after so long, at the latest")
    parser.add_argument("--report", type=Path, metavar="FILE", help=".csv, added to, or .json")
    options = parser.parse_args(arguments)
    if not (options.usb or options.target or options.adb is not None):
        parser.error("say where boards are: --usb, --adb or --target")
    return options


async def work(options: argparse.Namespace, package: Package, key: PrivateKey, report: Report) -> None:
    search = Search(tuple(options.usb), options.baud, options.framing, options.adb, tuple(options.target))
    search.look()  # an address or a program that is wrong is better known before the first board comes
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with shown() as view:
        await Line(package, key, search, options, report, view).run(stop)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        report = Report(options.report)
        key = PrivateKey.load(options.key or default_key_path())
        package = prepare(options.package, PushOptions(name=options.name, targets=options.for_target or None))
        asyncio.run(work(options, package, key, report))
    except (EdgertError, OSError) as error:
        print(f"push_line: {error}", file=sys.stderr)
        return 2
    missing = max(0, options.expect - len(report.rows)) if options.expect is not None else 0
    absent = f", {missing} did not come" if missing else ""
    print(f"{report.passed} passed, {report.failed} failed{absent}")
    return 1 if report.failed or missing or not report.rows else 0


if __name__ == "__main__":
    sys.exit(main())

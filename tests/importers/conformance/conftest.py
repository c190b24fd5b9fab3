"""Counts what passes and what is left out, and prints both at the end of the run."""

from __future__ import annotations

from collections import Counter

import pytest

COUNTS = pytest.StashKey[dict]()


class Counts:
    """Of one process; parallel workers send theirs to the one that prints."""

    def __init__(self, table: dict) -> None:
        self.table = table

    def passed(self, case) -> None:
        fixed = "weights or scales" if case.parameters else "shapes" if case.shapes else "nothing"
        key = f"{'common types' if case.common else 'other types'}, {fixed} given at conversion"
        self.table["passed"][key] = self.table["passed"].get(key, 0) + 1

    def left_out(self, case, reason: str) -> None:
        self.table["left out"][reason] = self.table["left out"].get(reason, 0) + 1


def pytest_configure(config) -> None:
    config.stash[COUNTS] = {"passed": {}, "left out": {}}


@pytest.fixture
def conformance_counts(request) -> Counts:
    return Counts(request.config.stash[COUNTS])


def pytest_sessionfinish(session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["conformance"] = session.config.stash[COUNTS]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error) -> None:
    for kind, counts in getattr(node, "workeroutput", {}).get("conformance", {}).items():
        total = Counter(node.config.stash[COUNTS][kind])
        total.update(counts)
        node.config.stash[COUNTS][kind] = dict(total)


def pytest_terminal_summary(terminalreporter, config) -> None:
    table = config.stash[COUNTS]
    if not table["passed"]:
        return
    passed, missing = sum(table["passed"].values()), sum(table["left out"].values())
    terminalreporter.section("ONNX node cases")
    terminalreporter.line(f"{passed} of {passed + missing} pass")
    for key, count in sorted(table["passed"].items()):
        terminalreporter.line(f"  {count:5} {key}")
    terminalreporter.line(f"{missing} are left out (tests/importers/conformance/left_out.toml)")
    for key, count in sorted(table["left out"].items(), key=lambda item: -item[1]):
        terminalreporter.line(f"  {count:5} {key}")

"""The options by which convert is given a budget of accuracy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from edgert.cli._shared import FILE, CheckFailedError, print_json
from edgert.errors import InputError

if TYPE_CHECKING:
    from edgert.quant.budget.goal import Goal
    from edgert.quant.budget.verdict import BudgetError, BudgetResult

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--max-drop", type=float, metavar="POINTS",
        help="What the metric may lose against the float model; layers that lose too much compute in int16 or float.",
    ),
    click.option("--evaluate", metavar="DATA", help="Samples on which that is measured; see edgert evaluate."),
    click.option("--evaluate-labels", type=FILE, metavar="FILE", help="Labels of a folder of samples."),
    click.option("--metric", metavar="SPEC", help="Default: top1 with labels, else agreement with the float model."),
    click.option("--worst", type=float, metavar="VALUE", help="In place of --max-drop: the metric's value."),
    click.option("--raise-to", metavar="SCHEME[,..]", help="What layers may be raised to. Default: int16,float."),
    click.option("--max-slowdown", type=float, metavar="X", help="At most X times the time without raised layers."),
    click.option("--max-size", type=int, metavar="BYTES", help="How large the package may become."),
)  # fmt: skip

# As click names them.
GOAL_WORDS = ("max_drop", "evaluate", "evaluate_labels", "metric", "worst", "raise_to", "max_slowdown", "max_size")


def goal_options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def goal_of(
    max_drop: float | None,
    evaluate: str | None,
    evaluate_labels: Path | None,
    metric: str | None,
    worst: float | None,
    raise_to: str | None,
    max_slowdown: float | None,
    max_size: int | None,
) -> Goal | None:
    """The goal that the options name; None when they name none."""
    given = {
        "--evaluate": evaluate, "--evaluate-labels": evaluate_labels, "--metric": metric, "--raise-to": raise_to,
        "--max-slowdown": max_slowdown, "--max-size": max_size,
    }  # fmt: skip
    if max_drop is None and worst is None:
        alone = [name for name, value in given.items() if value is not None]
        if alone:
            raise InputError(f"{alone[0]} belongs to a budget: give --max-drop POINTS too")
        return None
    if evaluate is None:
        raise InputError("--max-drop is measured on data of its own: give --evaluate DATA")
    from edgert.quant.budget.goal import Goal
    from edgert.quant.budget.search import Budget
    from edgert.quant.schemes import scheme_of

    limits: dict[str, Any] = {"max_drop": max_drop, "worst": worst, "max_slowdown": max_slowdown, "max_bytes": max_size}
    if raise_to is not None:
        limits["raise_to"] = tuple(scheme_of(name.strip()) for name in raise_to.split(","))
    return Goal(Budget(**limits), evaluate, evaluate_labels, metric)


def print_outcome(result: BudgetResult) -> None:
    from edgert.report.console import print_facts, print_table

    print_facts(result.facts())
    rows = result.rows(result.raised if result.met else result.in_the_way)
    if rows:
        print_table(type(result).COLUMNS, rows)


def fail(error: BudgetError, as_json: bool) -> NoReturn:
    """Nothing was written: what stands in the way, and exit code 1."""
    if as_json:
        print_json({"budget": error.result.as_json()})
    else:
        print_outcome(error.result)
    raise CheckFailedError(str(error)) from error

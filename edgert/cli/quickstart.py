"""edgert quickstart: what edgert does, on a model and data of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgert.cli._shared import FILE, check_output, json_option, print_json, size_text

if TYPE_CHECKING:
    from edgert.quickstart import Quickstart

_SHADES = " .:-=+*#%@"


@click.command("quickstart")
@click.option(
    "-o", "--output", type=FILE, default=Path("digits.ert"), show_default=True, metavar="OUT.ert",
    help="Where to write the int8 package.",
)  # fmt: skip
@json_option
def command(output: Path, as_json: bool) -> None:
    """Convert and quantise a small trained network, and run it on handwritten digits it has never seen."""
    from edgert.quickstart import run_quickstart

    check_output(output, ())
    result = run_quickstart(output, (lambda stage: None) if as_json else (lambda stage: click.echo(f"{stage} ...")))
    if as_json:
        facts = asdict(result)
        facts["package"] = str(result.package)
        facts["digit"] = result.digit.tolist()
        print_json(facts)
        return
    _show(result)


def _show(result: Quickstart) -> None:
    from edgert.report.console import print_table

    click.echo()
    rows = [
        [name, f"{100 * side.accuracy:.2f} %", size_text(side.bytes), f"{side.latency_us:.1f} us"]
        for name, side in (("float32", result.float32), ("int8", result.int8))
    ]
    title = (
        f"{result.images} held-back digits; calibrated on {result.calibration_images} others; 1 thread, {result.isa}"
    )
    print_table(["", "accuracy", "package", "latency"], rows, title)
    click.echo(f"Both say the same on {100 * result.agreement:.2f} % of the digits.\n")
    for row in result.digit:
        click.echo("  " + "".join(2 * _SHADES[int(pixel) * (len(_SHADES) - 1) // 16] for pixel in row))
    scores = ", ".join(f"{label} {100 * share:.1f} %" for label, share in result.digit_scores)
    click.echo(f"  a {result.digit_label}; the int8 model says {scores}\n")
    click.echo(f"Wrote {result.package}. Next, your own model:")
    click.echo("  edgert convert model.onnx -o model.ert --calibrate FOLDER_OF_IMAGES")
    click.echo("  edgert run model.ert image.jpg --top 5")
    click.echo("  edgert convert --help")

"""edgert diff: the outputs of two models on the same inputs, or all their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import FILE, CheckFailedError, json_option, print_json
from edgert.cli._source import source_arguments, source_options
from edgert.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgert.data import Normalisation
    from edgert.engines import Engine
    from edgert.report.compare import Difference
    from edgert.runtime.model import Model
    from edgert.runtime.tensors import TensorInfo

    Arrays = dict[str, NDArray[Any]]

RANDOM_SAMPLES = 10
_FEW = 8  # samples on which rescaled channels are fitted, and the costliest layer is looked for


@click.command("diff")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--data", metavar="DATA", help="Inputs: .npz, .npy, a folder, module:function. Default: random ones.")
@click.option(
    "--layers",
    is_flag=True,
    help="Compare every tensor that both have by name, run by edgert, and find the layer that costs the results most.",
)
@click.option(
    "--sort",
    type=click.Choice(["sqnr", "cosine", "own", "order"]),
    default="sqnr",
    show_default=True,
    help="With --layers: the worst first, by SQNR, cosine, or own SQNR; or in the order of execution.",
)
@click.option("--samples", type=click.IntRange(1), metavar="N", help="With --layers: N samples, evenly spread.")
@click.option("--min-sqnr", type=float, metavar="DB", help="Exit code 1 when an output's SQNR is lower.")
@source_options
@json_option
def command(
    a: Path,
    b: Path,
    data: str | None,
    layers: bool,
    sort: str,
    samples: int | None,
    min_sqnr: float | None,
    as_json: bool,
    **source_words: Any,
) -> None:
    """Compare the outputs of models A and B, as real numbers.

    A .tflite runs in LiteRT and an .onnx in onnxruntime where they are installed, else in edgert. SQNR is
    10 log10(sum a^2 / sum (a - b)^2).

    With --layers, A is the float model (a package, or any source that convert reads) and B its quantised form. The own
    SQNR is that of a layer which gets the float model's values: what it loses by itself. Tensors whose channels the
    quantiser rescaled (a star at their type) are compared up to one factor a channel. The layer that costs most is
    found by bisection: with a part of the layers quantised and the others in float, the part that costs most is halved
    until it is one layer.
    """
    if layers:
        differences = _layers(a, b, data, sort, samples, as_json, source_arguments(**source_words))
    else:
        differences = _outputs(a, b, data, as_json)
    if min_sqnr is not None:
        for difference in differences:
            if not difference.sqnr_db >= min_sqnr:  # NaN, of outputs that hold NaN, is not enough either
                found = f"{difference.name!r} has an SQNR of {difference.sqnr_db:.1f} dB"
                raise CheckFailedError(f"{found}, needed {min_sqnr:g} dB")


def _outputs(a: Path, b: Path, data: str | None, as_json: bool) -> Sequence[Difference]:
    from edgert.engines import open_native
    from edgert.report.compare import COLUMNS, Difference, real
    from edgert.report.console import print_table
    from edgert.report.inputs import paired

    left, right = open_native(a), open_native(b)
    pairs = paired(left.outputs, right.outputs, "outputs")
    differences = [Difference(x.name) for x, _ in pairs]
    count = 0
    for mine, theirs in _inputs(left, right, data, as_json):
        left.set_inputs(mine)
        right.set_inputs(theirs)
        left.invoke()
        right.invoke()
        in_a, in_b = left.get_outputs(), right.get_outputs()
        for difference, (x, y) in zip(differences, pairs, strict=True):
            difference.add(real(in_a[x.name], x), real(in_b[y.name], y))
        count += 1
    if count == 0:
        raise InputError(f"{data} holds no sample")
    if as_json:
        tensors = [difference.as_json() for difference in differences]
        print_json({"a": str(a), "b": str(b), "engines": [left.name, right.name], "samples": count, "tensors": tensors})
    else:
        rows = [difference.row() for difference in differences]
        print_table(COLUMNS, rows, _title(f"{a} ({left.name})", f"{b} ({right.name})", count, data))
    return differences


def _layers(
    a: Path, b: Path, data: str | None, sort: str, samples: int | None, as_json: bool, reading: dict[str, Any]
) -> Sequence[Difference]:
    from edgert.engines import package_of
    from edgert.report.console import print_table, progress
    from edgert.report.inputs import Spread
    from edgert.report.quantisation.culprit import MOST_PROBES, find_culprit
    from edgert.report.quantisation.layers import COLUMNS, compare_layers, ranked, row
    from edgert.report.quantisation.twins import Twins, other_source
    from edgert.runtime.model import Model

    twins = Twins(*(Model(package_of(path, reading), keep_all_tensors=True) for path in (a, b)))
    chosen = Spread(lambda: _inputs(twins.exact, twins.rounded, data, as_json), most=samples)
    if chosen.count == 0:
        raise InputError(f"{data} holds no sample")
    few = list(chosen.some(_FEW))
    twins.fit_factors(few)
    layers = ranked(compare_layers(twins, chosen)[0], sort)
    with progress("bisecting", MOST_PROBES, not as_json) as report:
        culprit = find_culprit(twins, few, report)
    notes = other_source(twins)
    if as_json:
        print_json(
            {"a": str(a), "b": str(b), "engines": ["edgert", "edgert"], "samples": chosen.count, "sort": sort,
             "tensors": [layer.as_json() for layer in layers],
             "costs_most": None if culprit is None else culprit.as_json(), "notes": notes}
        )  # fmt: skip
    else:
        print_table(COLUMNS, [row(layer) for layer in layers], _title(str(a), str(b), chosen.count, data))
        if any(layer.pair.rescaled for layer in layers):
            print("*: the quantiser rescaled its channels; compared up to one positive factor a channel")
        print(f"costs most: {culprit or 'no layer: the results are the same'}")
        for note in notes:
            print(f"note: {note}")
    return [layer.difference for layer in layers]


def _title(a: str, b: str, count: int, data: str | None) -> str:
    return f"A: {a}  B: {b}  {count} samples{'' if data else ', random'}"


def _inputs(
    left: Engine | Model, right: Engine | Model, data: str | None, quiet: bool
) -> Iterator[tuple[Arrays, Arrays]]:
    """The same samples as A and as B take them."""
    import numpy as np

    from edgert.data import load_samples
    from edgert.engines import random_inputs
    from edgert.report.console import tracked
    from edgert.report.inputs import as_input, paired

    pairs = paired(left.inputs, right.inputs, "inputs")
    if data is not None:
        stated: Normalisation = left.normalisation if left.normalisation[0] else right.normalisation
        samples = load_samples(data, left.inputs, stated)
        for sample in tracked(samples, "comparing", samples.count, not quiet):
            yield sample.inputs, {y.name: as_input(sample.inputs[x.name], x, y) for x, y in pairs}
        return
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_SAMPLES):
        sources = [_stricter(x, y) for x, y in pairs]
        drawn = random_inputs(tuple(sources), rng)
        mine, theirs = {}, {}
        for (x, y), source in zip(pairs, sources, strict=True):
            mine[x.name] = as_input(drawn[source.name], source, x)
            theirs[y.name] = as_input(drawn[source.name], source, y)
        yield mine, theirs


def _stricter(x: TensorInfo, y: TensorInfo) -> TensorInfo:
    """The side that says more: which shape, where the other leaves it open, and which numbers occur."""
    if -1 in x.shape or -1 in y.shape:
        return y if -1 in x.shape else x
    return y if y.quant is not None else x

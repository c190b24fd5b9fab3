"""edgert diff: the outputs of two models on the same inputs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import FILE, CheckFailedError, json_option, print_json
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


@click.command("diff")
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--data", metavar="DATA", help="Inputs: .npz, .npy, a folder, module:function. Default: random ones.")
@click.option("--layers", is_flag=True, help="Compare every tensor that both have by name, run by edgert.")
@click.option("--min-sqnr", type=float, metavar="DB", help="Exit code 1 when an output's SQNR is lower.")
@json_option
def command(a: Path, b: Path, data: str | None, layers: bool, min_sqnr: float | None, as_json: bool) -> None:
    """Compare the outputs of models A and B (.ert, .tflite or .onnx), as real numbers.

    A .tflite runs in LiteRT and an .onnx in onnxruntime where they are installed, else in edgert. SQNR is
    10 log10(sum a^2 / sum (a - b)^2). With --layers, tensors whose channels the quantiser has rescaled differ by that
    scale; the outputs do not.
    """
    differences, engines, count = (_layers if layers else _outputs)(a, b, data, as_json)
    if as_json:
        tensors = [difference.as_json() for difference in differences]
        print_json({"a": str(a), "b": str(b), "engines": list(engines), "samples": count, "tensors": tensors})
    else:
        from edgert.report.compare import COLUMNS
        from edgert.report.console import print_table

        print_table(
            COLUMNS,
            [difference.row() for difference in differences],
            f"A: {a} ({engines[0]})  B: {b} ({engines[1]})  {count} samples{'' if data else ', random'}",
        )
    if min_sqnr is not None:
        for difference in differences:
            if not difference.sqnr_db >= min_sqnr:  # NaN, of outputs that hold NaN, is not enough either
                found = f"{difference.name!r} has an SQNR of {difference.sqnr_db:.1f} dB"
                raise CheckFailedError(f"{found}, needed {min_sqnr:g} dB")


def _outputs(a: Path, b: Path, data: str | None, quiet: bool) -> tuple[list[Difference], tuple[str, str], int]:
    from edgert.engines import open_native
    from edgert.report.compare import Difference, real

    left, right = open_native(a), open_native(b)
    pairs = _paired(left.outputs, right.outputs, "outputs")
    differences = [Difference(x.name) for x, _ in pairs]
    count = 0
    for mine, theirs in _inputs(left, right, data, quiet):
        left.set_inputs(mine)
        right.set_inputs(theirs)
        left.invoke()
        right.invoke()
        in_a, in_b = left.get_outputs(), right.get_outputs()
        for difference, (x, y) in zip(differences, pairs, strict=True):
            difference.add(real(in_a[x.name], x), real(in_b[y.name], y))
        count += 1
    return differences, (left.name, right.name), _some(count, data)


def _layers(a: Path, b: Path, data: str | None, quiet: bool) -> tuple[list[Difference], tuple[str, str], int]:
    from edgert.engines import open_model
    from edgert.report.compare import Difference, real
    from edgert.runtime.tensors import tensor_array

    left, right = (open_model(path, keep_all_tensors=True) for path in (a, b))
    in_a, in_b = _computed(left), _computed(right)
    common = {name: (in_a[name], info) for name, info in in_b.items() if name in in_a}
    if not common:
        raise InputError("A and B have no computed tensor of the same name: they do not come from the same source")
    differences = [Difference(name) for name in common]
    count = 0
    for mine, theirs in _inputs(left, right, data, quiet):
        left.run(mine)
        right.run(theirs)
        for difference, (x, y) in zip(differences, common.values(), strict=True):
            difference.add(real(tensor_array(left.session, x.index), x), real(tensor_array(right.session, y.index), y))
        count += 1
    return differences, ("edgert", "edgert"), _some(count, data)


def _computed(model: Model) -> dict[str, TensorInfo]:
    """Every tensor that an operator writes, by the name of its float form, in the order of execution: the quantiser
    calls the int8 form of "x" "x_int8"."""
    from edgert.runtime.tensors import tensor_info

    native = model.session.model
    infos = (tensor_info(model.session, at) for i in range(native.op_count) for at in native.op(i)[3])
    named: dict[str, TensorInfo] = {}
    for info in infos:
        named.setdefault(info.name.removesuffix("_int8"), info)
    return named


def _some(count: int, data: str | None) -> int:
    if count == 0:
        raise InputError(f"{data} holds no sample")
    return count


def _inputs(
    left: Engine | Model, right: Engine | Model, data: str | None, quiet: bool
) -> Iterator[tuple[Arrays, Arrays]]:
    """The same samples as A and as B take them."""
    import numpy as np

    from edgert.data import load_samples
    from edgert.engines import random_inputs
    from edgert.report.console import tracked

    pairs = _paired(left.inputs, right.inputs, "inputs")
    if data is not None:
        stated: Normalisation = left.normalisation if left.normalisation[0] else right.normalisation
        samples = load_samples(data, left.inputs, stated)
        for sample in tracked(samples, "comparing", samples.count, not quiet):
            yield sample.inputs, {y.name: _as(sample.inputs[x.name], x, y) for x, y in pairs}
        return
    rng = np.random.default_rng(0)
    for _ in range(RANDOM_SAMPLES):
        sources = [_stricter(x, y) for x, y in pairs]
        drawn = random_inputs(tuple(sources), rng)
        mine, theirs = {}, {}
        for (x, y), source in zip(pairs, sources, strict=True):
            mine[x.name] = _as(drawn[source.name], source, x)
            theirs[y.name] = _as(drawn[source.name], source, y)
        yield mine, theirs


def _stricter(x: TensorInfo, y: TensorInfo) -> TensorInfo:
    """The side that says more: which shape, where the other leaves it open, and which numbers occur."""
    if -1 in x.shape or -1 in y.shape:
        return y if -1 in x.shape else x
    return y if y.quant is not None else x


def _as(array: NDArray[Any], given: TensorInfo, needed: TensorInfo) -> NDArray[Any]:
    """A tensor of one model as the other's input: the same integers where both agree, else the same real numbers.
    NHWC and NCHW images are turned into each other."""
    from edgert.report.compare import real

    if given.dtype == needed.dtype and given.quant == needed.quant:
        converted = array
    else:
        numbers = real(array, given)
        quantize = needed.quant is not None and numbers.dtype.kind == "f"
        converted = needed.quantize(numbers) if quantize else numbers.astype(needed.dtype.numpy_name)
    if _fits(converted.shape, needed.shape):
        return converted
    if converted.ndim == 4:
        for order in ((0, 3, 1, 2), (0, 2, 3, 1)):
            if _fits(converted.transpose(order).shape, needed.shape):
                return converted.transpose(order)
    if converted.size == math.prod(needed.shape):
        return converted.reshape(needed.shape)
    raise InputError(f"A's input {given} does not fit B's input {needed}")


def _fits(shape: tuple[int, ...], needed: tuple[int, ...]) -> bool:
    return len(shape) == len(needed) and all(b in (a, -1) for a, b in zip(shape, needed, strict=True))


def _paired(
    left: tuple[TensorInfo, ...], right: tuple[TensorInfo, ...], what: str
) -> list[tuple[TensorInfo, TensorInfo]]:
    """By name where the names agree, else in order."""
    if len(left) != len(right):
        raise InputError(f"A has {len(left)} {what} and B has {len(right)}")
    by_name = {info.name: info for info in right}
    if all(info.name in by_name for info in left):
        return [(info, by_name[info.name]) for info in left]
    return list(zip(left, right, strict=True))

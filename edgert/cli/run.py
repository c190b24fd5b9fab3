"""edgert run: a model on files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgert.cli._shared import FILE, check_output, fusion_option, json_option, print_json, threads_option
from edgert.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgert.runtime.model import Model
    from edgert.runtime.tensors import TensorInfo


@click.command("run")
@click.argument("model", type=FILE)
@click.argument("inputs", type=FILE, nargs=-1, required=True, metavar="INPUT...")
@click.option("--top", type=click.IntRange(1), default=5, show_default=True, help="How many classes to show.")
@click.option("-o", "--output", type=FILE, metavar="OUT.npz", help="Write all outputs, stacked, by name.")
@threads_option
@fusion_option
@json_option
def command(
    model: Path, inputs: tuple[Path, ...], top: int, output: Path | None, threads: int, no_fusion: bool, as_json: bool
) -> None:
    """Run MODEL on each INPUT: images, .wav, .npy, .npz or raw .bin."""
    from edgert.data import load_files
    from edgert.engines import open_model
    from edgert.report.compare import real
    from edgert.report.console import tracked

    if output is not None:
        check_output(output, (model, *inputs))
    opened = open_model(model, threads=threads, fusion=not no_fusion)
    samples = load_files(inputs, opened.inputs, opened.normalisation)
    results: list[dict[str, Any]] = []
    kept: dict[str, list[NDArray[Any]]] = {info.name: [] for info in opened.outputs}
    for sample in tracked(samples, "running", samples.count, not as_json):
        outputs = opened.run(sample.inputs)
        described = {info.name: _describe(real(outputs[info.name], info), info, opened, top) for info in opened.outputs}
        results.append({"input": sample.name, "outputs": described})
        if output is not None:
            for name, array in outputs.items():
                kept[name].append(array)
    if not results:
        raise InputError(f"{samples.source} holds no sample")
    if output is not None:
        try:
            _save(output, kept)
        except OSError as error:
            raise InputError(f"{output} cannot be written: {error.strerror or error}") from error
    if as_json:
        print_json({"model": str(model), "results": results})
        return
    _print(results)


def _save(path: Path, kept: dict[str, list[NDArray[Any]]]) -> None:
    import numpy as np

    stacked: dict[str, Any] = {name: np.concatenate([np.atleast_1d(a) for a in all_]) for name, all_ in kept.items()}
    with path.open("wb") as file:  # savez would add a suffix to a bare path
        np.savez(file, **stacked)


def is_classifier(info: TensorInfo) -> bool:
    """One row of scores: [N] or [1, N], with more than one class."""
    return len(info.shape) in (1, 2) and info.shape[-1] > 1 and all(size == 1 for size in info.shape[:-1])


def _describe(values: NDArray[Any], info: TensorInfo, model: Model, top: int) -> dict[str, Any]:
    described: dict[str, Any] = {"dtype": info.dtype.numpy_name, "shape": list(values.shape)}
    if is_classifier(info) and values.dtype.kind in "fiu":
        labels = model.labels if len(model.labels) == values.size else ()
        scores = values.reshape(-1)
        order = sorted(range(scores.size), key=lambda i: (-float(scores[i]), i))[:top]
        described["top"] = [
            {"class": i, "label": labels[i] if labels else None, "score": float(scores[i])} for i in order
        ]
    elif values.size <= 16:
        described["values"] = values.reshape(-1).tolist()
    elif values.dtype.kind in "fiu":
        described |= {"min": float(values.min()), "max": float(values.max()), "mean": float(values.mean())}
    return described


def _print(results: Sequence[dict[str, Any]]) -> None:
    for result in results:
        print(result["input"])
        for name, output in result["outputs"].items():
            if "top" in output:
                for item in output["top"]:
                    label = item["label"] if item["label"] is not None else f"class {item['class']}"
                    print(f"  {item['score']:>10.5f}  {label}")
                continue
            kind = f"{output['dtype']}{output['shape']}"
            if "values" in output:
                print(f"  {name}: {kind} {' '.join(f'{value:.6g}' for value in output['values'])}")
            elif "min" in output:
                print(f"  {name}: {kind} from {output['min']:.6g} to {output['max']:.6g}, mean {output['mean']:.6g}")
            else:
                print(f"  {name}: {kind}")

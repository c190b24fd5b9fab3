"""Shapes of a model's inputs, for formats that state them in part or not at all (Caffe, MXNet, Torch7)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgert.errors import InputError

LARGEST = 1 << 29  # elements of an input: 2 GiB of floats

Stated = Sequence[int] | None  # a size below 1 is open; None: not even the rank is known


def settle_shapes(
    stated: Mapping[str, Stated], given: Mapping[str, Sequence[int]] | None, notes: list[str], fixed: bool = True
) -> dict[str, tuple[int, ...]]:
    """The shape of every input, by name, in the order of `stated`.

    given: what the caller says (input_shapes). fixed: whether the sizes that a model states bind the caller; in Caffe
    they are only what the network begins with. A first dimension that stays open becomes 1, and notes says so.

    Raises InputError that lists all inputs which are still open, or names what does not fit.
    """
    shapes = dict(given or {})
    unknown = sorted(set(shapes) - set(stated))
    if unknown:
        names = ", ".join(repr(name) for name in stated)
        raise InputError(f"input_shapes names {unknown[0]!r}, which is no input of the model (it has: {names})")
    settled: dict[str, tuple[int, ...]] = {}
    open_inputs = []
    for name, sizes in stated.items():
        if name in shapes:
            settled[name] = _given(name, sizes, shapes[name], fixed)
        elif sizes is None or any(size < 1 for size in sizes[1:]):
            described = "any" if sizes is None else f"[{', '.join(str(n) if n > 0 else '?' for n in sizes)}]"
            open_inputs.append(f"{name!r} {described}")
        else:
            if sizes and sizes[0] < 1:
                notes.append(f"Input {name!r}: the first dimension is dynamic, 1 is assumed.")
                sizes = (1, *sizes[1:])
            settled[name] = tuple(int(size) for size in sizes)
    if open_inputs:
        example = open_inputs[0].split("'")[1]
        raise InputError(
            f"the model leaves dimensions open: {'; '.join(open_inputs)}: give their sizes as "
            f"input_shapes={{{example!r}: (1, ...)}}, on the command line --input-shape {example}=1,..."
        )
    for name, shape in settled.items():
        if math.prod(shape) > LARGEST:
            raise InputError(f"input {name!r} has the shape {list(shape)}: more than {LARGEST} elements")
    return settled


def _given(name: str, stated: Stated, given: Sequence[int], fixed: bool) -> tuple[int, ...]:
    shape = tuple(int(size) for size in given)
    fits = stated is None or (
        len(stated) == len(shape)
        and all(not fixed or old < 1 or old == new for old, new in zip(stated, shape, strict=True))
    )
    if not fits or any(size < 1 for size in shape):
        model = "any" if stated is None else list(stated)
        raise InputError(f"input_shapes gives {name!r} the shape {list(shape)}, the model states {model}")
    return shape

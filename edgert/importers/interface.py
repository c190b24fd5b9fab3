"""Shapes of a model's inputs: what the model states, and what the caller says of those that it leaves open.

`settle_shapes` is for formats that state them in part or not at all, as numbers; importers whose source names its open
dimensions share the checks below it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence

from edgert.errors import InputError

LARGEST = 1 << 29  # elements of an input: 2 GiB of floats

Stated = Sequence[int] | None  # a size below 1 is open; None: not even the rank is known
Named = Sequence[int | str] | None  # the same, where an open size is a name


def settle_shapes(
    stated: Mapping[str, Stated], given: Mapping[str, Sequence[int]] | None, notes: list[str], fixed: bool = True
) -> dict[str, tuple[int, ...]]:
    """The shape of every input, by name, in the order of `stated`.

    given: what the caller says (input_shapes). fixed: whether the sizes that a model states bind the caller; in Caffe
    they are only what the network begins with. A first dimension that stays open becomes 1, and notes says so.

    Raises InputError that lists all inputs which are still open, or names what does not fit.
    """
    shapes = dict(given or {})
    check_names(shapes, stated)
    settled: dict[str, tuple[int, ...]] = {}
    open_inputs: dict[str, Named] = {}
    for name, sizes in stated.items():
        if name in shapes:
            settled[name] = given_shape(name, shapes[name], sizes, lambda size: not fixed or int(size) < 1)
        elif sizes is None or any(size < 1 for size in sizes[1:]):
            open_inputs[name] = None if sizes is None else [size if size > 0 else "?" for size in sizes]
        else:
            if sizes and sizes[0] < 1:
                notes.append(f"Input {name!r}: the first dimension is dynamic, 1 is assumed.")
                sizes = (1, *sizes[1:])
            settled[name] = tuple(int(size) for size in sizes)
    check_none_open(open_inputs)
    for name, shape in settled.items():
        if math.prod(shape) > LARGEST:
            raise InputError(f"input {name!r} has the shape {list(shape)}: more than {LARGEST} elements")
    return settled


def check_names(given: Collection[str], inputs: Collection[str], option: str = "input_shapes") -> None:
    """InputError for a name that the caller gives and that is no input of the model."""
    unknown = sorted(set(given) - set(inputs))
    if unknown:
        names = ", ".join(map(repr, inputs))
        raise InputError(f"{option} names {unknown[0]!r}, which is no input of the model (it has: {names})")


def is_name(size: int | str) -> bool:
    """Whether a stated size is only the name of an open one."""
    return isinstance(size, str)


def fits(shape: Sequence[int], stated: Named, is_open: Callable[[int | str], bool] = is_name) -> bool:
    """Whether a shape is one that the model leaves room for."""
    return stated is None or (
        len(stated) == len(shape) and all(is_open(old) or old == new for old, new in zip(stated, shape, strict=True))
    )


def given_shape(
    name: str, given: Sequence[int], stated: Named, is_open: Callable[[int | str], bool] = is_name
) -> tuple[int, ...]:
    """The shape that the caller gives an input; InputError when it does not fit."""
    shape = tuple(int(size) for size in given)
    if not fits(shape, stated, is_open) or any(size < 1 for size in shape):
        model = "any" if stated is None else list(stated)
        raise InputError(f"input_shapes gives {name!r} the shape {list(shape)}, the model states {model}")
    return shape


def check_none_open(inputs: Mapping[str, Named]) -> None:
    """InputError that lists the inputs given here: what they state leaves their shapes open."""
    if inputs:
        listed = "; ".join(
            f"{name!r} {'any' if sizes is None else '[' + ', '.join(map(str, sizes)) + ']'}"
            for name, sizes in inputs.items()
        )
        example = next(iter(inputs))
        raise InputError(
            f"the model leaves dimensions open: {listed}: give their sizes as "
            f"input_shapes={{{example!r}: (1, ...)}}, on the command line --input-shape {example}=1,..."
        )

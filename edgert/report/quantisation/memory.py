"""Where a model's tensors lie in its arena while it runs, as the session itself placed them."""

from __future__ import annotations

from contextlib import suppress

from edgert.errors import InputError
from edgert.report.quantisation.facts import Arena, Block
from edgert.report.quantisation.stored import Stored
from edgert.runtime.model import Model
from edgert.runtime.tensors import tensor_array, tensor_info


def arena(model: Model) -> Arena:
    """The arena of a model that was opened as it runs (without keep_all_tensors).

    A tensor lives from the operator that writes it to the last that reads it; the model's inputs and outputs live to
    the end, as the planner has it. Tensors at one place at one time work in place.
    """
    session, native = model.session, model.session.model
    end = max(native.op_count - 1, 0)
    beforehand = Stored(model).expanded
    first: dict[int, int] = dict.fromkeys(native.inputs, 0)
    last: dict[int, int] = dict.fromkeys(native.inputs, end)
    for op in (op for op in range(native.op_count) if op not in beforehand):
        _, _, inputs, outputs = native.op(op)
        for index in inputs:
            if index in first:
                last[index] = max(last[index], op)
        for index in outputs:
            first.setdefault(index, op)
            last[index] = max(last.get(index, op), op)
    last.update((index, end) for index in native.outputs if index in first)

    places: dict[int, tuple[int, int]] = {}
    for index in first:
        with suppress(InputError):  # a tensor that was folded into others has no memory
            if tensor_info(session, index).kind == "activation":
                memory = tensor_array(session, index)
                places[index] = memory.__array_interface__["data"][0], memory.nbytes
    start = min((address for address, _ in places.values()), default=0)
    blocks = [
        Block(tensor_info(session, index).name, address - start, size, first[index], last[index])
        for index, (address, size) in places.items()
    ]
    live = [_covered(blocks, op) for op in range(native.op_count)]
    return Arena(session.arena_bytes, tuple(sorted(blocks, key=lambda b: (b.first, b.offset, b.name))), tuple(live))


def _covered(blocks: list[Block], op: int) -> int:
    """Bytes that some tensor needs while an operator runs; what works in place counts once."""
    total = reached = 0
    for block in sorted((b for b in blocks if b.first <= op <= b.last), key=lambda b: b.offset):
        total += max(block.offset + block.bytes - max(block.offset, reached), 0)
        reached = max(reached, block.offset + block.bytes)
    return total

"""ConvLSTM: an LSTM whose products are convolutions, unrolled step by step. Gates are i, f, c, o."""

from __future__ import annotations

from collections.abc import Sequence

from edgert.errors import ModelError
from edgert.importers.builder import GraphBuilder, RefusedError
from edgert.importers.keras.convolution import outputs_first, slid
from edgert.importers.keras.elementwise import function_of
from edgert.importers.keras.layer import Layer
from edgert.importers.keras.spatial import placed
from edgert.importers.layers.conv import convolution
from edgert.importers.layers.movement import concat
from edgert.ir import Value

MOST_STEPS = 256


def run_convolutional(
    b: GraphBuilder, layer: Layer, x: Value, states: Sequence[Value | None]
) -> tuple[Value, Value, Value]:
    """y, h and c of a layer over x [B, T, *image]; y has every step where the input has it."""
    cell = layer.children["cell"]
    kernel, recurrent = cell.weight("kernel"), cell.weight("recurrent_kernel")
    rank = kernel.ndim - 2
    if len(x.shape) != rank + 3 or recurrent.ndim != kernel.ndim:
        raise ModelError(f"its kernel {list(kernel.shape)} does not fit an input {list(x.shape)}")
    batch, steps = x.shape[:2]
    if steps > MOST_STEPS:
        raise RefusedError(f"{steps} steps, which are unrolled", f"give it at most {MOST_STEPS}")
    last, version = layer.channels_last(), layer.origin.version
    images = b.reshape(x, (batch * steps, *x.shape[2:]))
    inputs = slid(b, layer, images, outputs_first(kernel), cell.optional("bias"), 1, rank)
    inputs = b.reshape(inputs, (batch, steps, *inputs.shape[1:]))
    axis = len(inputs.shape) - 2 if last else 1  # of channels, in one step's image
    units = recurrent.shape[-2]
    activation = function_of(cell.get("activation", "tanh"), version)
    gate = function_of(cell.get("recurrent_activation", "hard_sigmoid"), version)
    weights, ones = outputs_first(recurrent), (1,) * rank
    h, c = states[0], states[1]
    outputs = []
    backwards = layer.flag("go_backwards", False)
    for step in reversed(range(steps)) if backwards else range(steps):
        one = b.slice(inputs, 1, step, step + 1)
        sums = b.reshape(one, (batch, *one.shape[2:]))
        if h is not None:
            seen, place = placed(b, layer, h, weights.shape[2:], ones, ones, padding="same", channels_last=last)
            sums = b.add(sums, convolution(b, seen, weights, None, place, channels_last=last))
        i, f, g, o = (b.slice(sums, axis, at * units, (at + 1) * units) for at in range(4))
        new = b.mul(gate(b, i), activation(b, g))
        c = new if c is None else b.add(b.mul(gate(b, f), c), new)
        h = b.mul(gate(b, o), activation(b, c))
        outputs.append(b.reshape(h, (batch, 1, *h.shape[1:])))
    if h is None or c is None:
        raise ModelError("it has no steps")
    return concat(b, outputs[::-1] if backwards else outputs, 1), h, c

"""Fuses relu, relu6 and clamping to -1..1 into the operator above.

Cases: a unary relu, relu6 or relu_n1_to_1, or a clip with exactly their bounds, that is the only reader of an operator
with an `activation` attribute (convolutions, fully connected, add, sub, mul, binary, pools, concat) that has none yet.
In int8 only where the bits stay the same: both tensors have the same scale and zero point, and the bound that the
fused operator computes in float32 is the one that a table computes in float64. In int16, which has the same bound
either way, where both tensors have the same scale.
"""

from __future__ import annotations

import numpy as np

from edgert.dtypes import DType, QuantParams
from edgert.ir import Graph, Node
from edgert.ops._enums import Activation, UnaryFunction
from edgert.passes._rewrite import Sweep

FUSIBLE = {
    UnaryFunction.RELU: Activation.RELU,
    UnaryFunction.RELU6: Activation.RELU6,
    UnaryFunction.RELU_N1_TO_1: Activation.RELU_N1_TO_1,
}
BOUNDS = {
    Activation.RELU: (0.0, float(np.inf)),
    Activation.RELU6: (0.0, 6.0),
    Activation.RELU_N1_TO_1: (-1.0, 1.0),
}


def fuse_activations(graph: Graph) -> bool:
    """Fuses them; True when there were any."""
    return Sweep(graph).run(_visit)


def activation_of(node: Node) -> Activation | None:
    """The activation that a unary node is; None when it is another function."""
    function = node.attrs["function"]
    if function == UnaryFunction.CLIP:
        bounds = (node.attrs["alpha"], node.attrs["beta"])
        return next((activation for activation, known in BOUNDS.items() if known == bounds), None)
    return FUSIBLE.get(function)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op != "unary" or node.inputs[0] is None:
        return False
    activation, x = activation_of(node), node.inputs[0]
    above = sweep.producer.get(x)
    if activation is None or above is None or not sweep.single_use(x):
        return False
    if above.attrs.get("activation", activation) != Activation.NONE:
        return False
    if x.dtype == DType.INT16 and (x.quant != node.output.quant or above.op == "concat"):
        return False
    if x.dtype == DType.INT8 and not (x.quant == node.output.quant and _same_bits(activation, x.quant)):
        return False
    sweep.emit(above.op, above.inputs, {**above.attrs, "activation": activation}, above, output=node.output)
    return True


def _same_bits(activation: Activation, quant: QuantParams | None) -> bool:
    """Whether both ways of rounding the bounds agree."""
    if quant is None:
        return False
    finite = [bound for bound in BOUNDS[activation] if np.isfinite(bound)]
    return all(
        np.rint(np.float32(bound) / np.float32(quant.scale)) == np.rint(np.float64(bound) / np.float64(quant.scale))
        for bound in finite
    )

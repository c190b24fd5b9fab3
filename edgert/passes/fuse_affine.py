"""Makes one operator of a product and a sum per channel that no layer above can take.

Cases: mul and then add or sub, each by a float constant with one number for each channel or for all, of an image
[N,H,W,C] that is computed at run time: a batch normalisation before its convolution (pre-activation networks), after a
sum or a pool, or kept apart by quantize and dequantize. It becomes a depthwise_conv2d of one tap: one pass over memory,
and in int8 one rounding with an int32 bias. At least one of the constants differs between channels; two scalars stay.
An activation fused into the sum moves along. Runs after fold_batch_norm, which does better.
"""

from __future__ import annotations

from edgert.dtypes import DType
from edgert.ir import Graph, Node
from edgert.ops._enums import Activation
from edgert.passes._rewrite import Sweep
from edgert.passes.fold_batch_norm import per_channel


def fuse_affine(graph: Graph) -> bool:
    """Fuses them; True when there were any."""
    return Sweep(graph).run(_visit)


def _visit(sweep: Sweep, node: Node) -> bool:
    if node.op not in ("add", "sub"):
        return False
    scaled, offset = node.inputs
    if node.op == "add" and scaled is not None and scaled.constant:
        scaled, offset = offset, scaled
    product = None if scaled is None else sweep.producer.get(scaled)
    if scaled is None or product is None or product.op != "mul" or not sweep.single_use(scaled):
        return False
    x, factor = product.inputs
    if x is not None and x.constant:
        x, factor = factor, x
    if x is None or x.constant or x.dtype != DType.FLOAT32 or len(x.shape) != 4 or x.shape != node.output.shape:
        return False
    factors, offsets = per_channel(factor, x), per_channel(offset, x)
    if factors is None or offsets is None or product.attrs["activation"] != Activation.NONE:
        return False
    if all(constant is None or constant.data is None or constant.data.size == 1 for constant in (factor, offset)):
        return False
    weights = sweep.constant(factors.reshape(1, 1, -1), product)
    bias = sweep.constant(-offsets if node.op == "sub" else offsets, node)
    attrs = {"activation": node.attrs["activation"]}
    sweep.emit("depthwise_conv2d", [x, weights, bias], attrs, node, output=node.output)
    return True

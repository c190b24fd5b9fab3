"""Changes the element type of a quantised graph's inputs and outputs.

Cases of float_interface: an int8, uint8 or int16 input or output with a scale becomes float32, with a quantize or
dequantize at the edge. Cases of int8_interface: a float32 input that is only quantised, and a float32 output that is
dequantised, become int8; uint8 ones too, where the shift to int8 stands behind or in front of them. Others stay.
"""

from __future__ import annotations

from edgert.dtypes import DType
from edgert.ir import Graph, Node, Value

QUANTIZED = (DType.INT8, DType.UINT8, DType.INT16)


def float_interface(graph: Graph) -> bool:
    """Makes quantised inputs and outputs float32; True when there were any."""
    changed = False
    int8_interface(graph, (DType.UINT8,))
    first: list[Node] = []
    for i, value in enumerate(graph.inputs):
        if value.dtype in QUANTIZED and _per_tensor(value):
            name, value.name = value.name, graph.unique_name(f"{value.name}/quantized")
            graph.inputs[i] = Value(name, value.shape, DType.FLOAT32)
            first.append(Node("quantize", [graph.inputs[i]], [value], {}, name, "QUANTIZE"))
            changed = True
    graph.nodes[:0] = first
    for i, value in enumerate(graph.outputs):
        if value.dtype in QUANTIZED and _per_tensor(value):
            name = value.name
            if value not in graph.inputs:
                value.name = graph.unique_name(f"{name}/quantized")
            real = Value(graph.unique_name(name), value.shape, DType.FLOAT32)
            graph.nodes.append(Node("dequantize", [value], [real], {}, real.name, "DEQUANTIZE"))
            graph.outputs[i] = real
            changed = True
    return changed


def int8_interface(graph: Graph, dtypes: tuple[DType, ...] = (DType.FLOAT32, DType.UINT8)) -> bool:
    """Makes inputs and outputs of these types int8 where the graph converts them at once; True when there were any."""
    changed = False
    consumers, producers = graph.consumers(), graph.producers()
    for i, value in enumerate(graph.inputs):
        readers = consumers.get(value, [])
        twins = [node.output for node in readers if node.op == "quantize" and node.output.dtype == DType.INT8]
        if value.dtype not in dtypes or not twins or len(twins) != len(readers) or value in graph.outputs:
            continue
        if len({twin.quant for twin in twins}) > 1:
            continue
        graph.nodes = [node for node in graph.nodes if node not in readers]
        for twin in twins[1:]:
            graph.replace_uses(twin, twins[0])
        twins[0].name = value.name
        graph.inputs[i] = twins[0]
        changed = True
    for i, value in enumerate(graph.outputs):
        node = producers.get(value)
        if value.dtype not in dtypes or node is None or node.op not in ("dequantize", "quantize"):
            continue
        source = node.inputs[0]
        if source is None or source.dtype != DType.INT8 or source in graph.inputs or source in graph.outputs:
            continue
        if consumers.get(value):
            continue
        graph.nodes.remove(node)
        source.name = value.name
        graph.outputs[i] = source
        changed = True
    return changed


def _per_tensor(value: Value) -> bool:
    return value.quant is not None and not value.quant.per_channel

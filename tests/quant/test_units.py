"""Which layers a budget raises together, and between which units a tensor is rounded."""

from __future__ import annotations

import numpy as np
from passes.graphs import Maker
from quant.networks import headed_network, images, mobile_network, pack, residual_network, scaled_conv

from edgert.ir import Graph
from edgert.ops._enums import UnaryFunction
from edgert.quant.budget.units import Network, network_of
from edgert.quant.graph.tail import float_tail
from edgert.quant.quantize import Quantizer
from edgert.quant.schemes import FLOAT, INT8, INT16, Plan, layer_name


def network(graph: Graph, plan: Plan | None = None) -> Network:
    plan = plan or Plan()
    quantizer = Quantizer(graph, [{graph.inputs[0].name: x} for x in images(graph, 4)], pack, plan)
    return network_of(quantizer.graph, quantizer.quantized(), plan, (plan.default, FLOAT))


def ops(graph: Graph, units: Network) -> list[list[str]]:
    """Of every unit, the operators of its layers."""
    by_name = {layer_name(node): node.op for node in graph.nodes}
    return [[by_name[name] for name in unit.layers] for unit in units.units]


def test_a_unit_is_a_weighted_layer_and_what_works_on_its_results() -> None:
    graph = residual_network()
    assert ops(graph, network(graph)) == [
        ["conv2d"],
        ["depthwise_conv2d"],
        ["conv2d", "add", "max_pool2d"],  # the addition joins the branch that runs last
        ["conv2d", "concat"],
        ["conv2d", "reshape"],
        ["fully_connected"],  # and the softmax stays float
    ]


def test_a_squeeze_excite_block_is_one_unit() -> None:
    graph = mobile_network(blocks=1)
    assert ["conv2d", "conv2d", "unary", "mul"] in ops(graph, network(graph))


def test_every_layer_that_computes_on_integers_is_in_one_unit() -> None:
    graph = mobile_network()
    names = [name for unit in network(graph).units for name in unit.layers]
    tail = float_tail(graph)
    assert sorted(names) == sorted(layer_name(node) for node in graph.nodes if node not in tail)


def test_units_know_what_they_compute_in() -> None:
    found = network(headed_network(4))
    assert [unit.scheme for unit in found.units] == [INT8, INT16]  # scores are told apart by less than a step
    assert found.scheme(1, 0) == INT16
    assert found.scheme(1, 1) == FLOAT


def test_what_a_plan_names_stays_as_it_is() -> None:
    graph = residual_network()
    first = layer_name(graph.nodes[0])
    units = network(graph, Plan(layers={first: FLOAT}))
    assert all(first not in unit.layers for unit in units.units)


def test_a_tensor_is_rounded_until_all_that_touch_it_are_raised() -> None:
    graph = residual_network()
    cells = {cell.tensors: cell.units for cell in network(graph).cells}
    first = layer_name(graph.nodes[0])
    assert cells[(first,)] == (0, 1, 2)  # read by the depthwise layer and by the addition
    # Pool and concatenation only move values: what they write was rounded before.
    pooled = next(units for tensors, units in cells.items() if any("max_pool2d" in name for name in tensors))
    assert pooled == (2, 3, 4)


def test_what_comes_before_the_first_weights_goes_with_them() -> None:
    make = Maker()
    padded = make.op("pad", make.input(1, 6, 6, 3), before=(0, 1, 1, 0), after=(0, 1, 1, 0))
    graph = make.outputs(make.op("unary", scaled_conv(make, padded, np.ones(4)), function=UnaryFunction.TANH))
    assert ops(graph, network(graph))[0][:2] == ["pad", "conv2d"]

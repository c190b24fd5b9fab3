"""Files of Caffe, MXNet and Torch7 that were damaged, or made to do harm: one clear error, soon, in little memory."""

from __future__ import annotations

import contextlib
import json
import struct
import time
import tracemalloc

import numpy as np
import pytest

from edgert.errors import EdgertError
from edgert.importers import caffe, mxnet, torch7
from importers._caffe_write import inputs_text, save, weights_bytes, weights_class
from importers._torch7_write import (
    GraphNode,
    LuaModule,
    Raw,
    Storage,
    Writer,
    container,
    graph_module,
    module,
    sequential,
)

RNG = np.random.default_rng(5)
MEMORY = 64 << 20


def refused(load, match=None):
    """Calling `load` ends in an error of edgert's, of one line, within a second of work and with little memory."""
    started = time.process_time()
    with pytest.raises(EdgertError, match=match) as caught:
        load()
    assert time.process_time() - started < 1
    tracemalloc.start()
    try:
        with pytest.raises(EdgertError):
            load()
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 600


def survives(load):
    """Loading works or ends in an error of edgert's."""
    with contextlib.suppress(EdgertError):
        load().verify()


# Caffe

PRODUCT = inputs_text({"data": (1, 4)}) + (
    'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }'
)
WEIGHTS = {"fc": [RNG.normal(0, 1, (3, 4)), RNG.normal(0, 1, 3)]}


def one_layer(kind, param, shape=(1, 4, 8, 8)):
    return inputs_text({"data": shape}) + f'layer {{ name: "it" type: "{kind}" bottom: "data" top: "it" {param} }}'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "it has no layers"),
        ("\0\1\2\3", "not a Caffe network description"),
        ("layer {" * 20000, "not a Caffe network description"),
        ("unknown {" * 20000, "not a Caffe network description"),
        ("# " + "x" * (3 << 20), "too large for a network description"),
        ("layer{} " * 100000, "too many words"),
        (" \n" * 100000 + '"' + "x" * 100000, "does not end"),
        ("# x\n " * 50000 + "'", "does not end"),
        ("a: [" + "1, " * 200000, "too many words"),
        ("a: [" + "{ b: 1 }, " * 2000, "should be"),
        ('layer { name: "a" type: "ReLU" bottom: "b" top: "a" } layer { name: "b" type: "ReLU" bottom: "a" top: "b" }',
         "reads 'b', which nothing before it writes"),
        (inputs_text({"data": (1, 100000, 100000, 3)}) + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }',
         "elements"),
        (inputs_text({"data": (1, -4)}) + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" }', "open"),
        (one_layer("Tile", "tile_param { tiles: 2000000000 }"), "elements"),
        (one_layer("Upsample", "upsample_param { scale: 100000 }"), "elements"),
        (one_layer("Interp", "interp_param { zoom_factor: 100000 }"), "elements"),
        (one_layer("Pooling", "pooling_param { kernel_size: 4000000000 }"), "does not fit"),
        (one_layer("Pooling", "pooling_param { kernel_size: 2 pad: 4000000000 }"), "padding"),
        (one_layer("Convolution", "convolution_param { num_output: 4000000000 kernel_size: 3 }"), "needed"),
        (one_layer("Convolution", "convolution_param { num_output: 4 kernel_size: 3 pad: 1000000000 }"), None),
        (one_layer("Slice", "slice_param { slice_point: 9 }"), "outputs"),
        (one_layer("Reshape", "reshape_param { shape { dim: -5 } }"), "cannot have the shape"),
        (one_layer("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: 0 dim: 0 dim: 0 } }"), "copies dimension 4"),
        (one_layer("Permute", "permute_param { order: 7 }"), "the order"),
        (one_layer("LRN", "lrn_param { local_size: 3 }", (1, 200000, 1, 1)), "channels"),
        (one_layer("ArgMax", "argmax_param { top_k: 4000000000 }"), None),
    ],
)  # fmt: skip
def test_caffe_descriptions(text, match, tmp_path):
    refused(lambda: caffe.load(save(tmp_path, text, WEIGHTS)), match)


@pytest.mark.parametrize("more", ["stride: 60000", "stride: 2147483647", "dilation: 1000000", "dilation: 2147483647"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_caffe_deconvolutions_that_spread_their_weights(more, groups, tmp_path):
    param = f"convolution_param {{ num_output: 4 kernel_size: 2 {more} group: {groups} bias_term: false }}"
    for shape in ((1, 4, 1, 1), (1, 4, 9, 9)):
        text = one_layer("Deconvolution", param, shape)
        refused(lambda text=text: caffe.load(save(tmp_path, text, {"it": [np.ones((4, 4 // groups, 2, 2))]})))


def test_caffe_descriptions_cut_short(tmp_path):
    for end in range(1, len(PRODUCT), 7):
        path = save(tmp_path, PRODUCT[:end], WEIGHTS)
        survives(lambda path=path: caffe.load(path))


def test_caffe_weights(tmp_path):
    path = save(tmp_path, PRODUCT, WEIGHTS)
    whole = path.with_suffix(".caffemodel").read_bytes()
    caffe.load(path)
    many_layers, many_blobs = b"\xa2\x06\x00" * 500000, b"\xa2\x06\x80\x89\x7a" + b"\x3a\x00" * 1000000
    for data in (whole[: len(whole) // 2], RNG.bytes(5000), b"", b"\xff" * 100, many_layers, many_blobs):
        path.with_suffix(".caffemodel").write_bytes(data)
        refused(lambda: caffe.load(path), "net.caffemodel|blobs")
    for end in range(0, len(whole), 3):
        path.with_suffix(".caffemodel").write_bytes(whole[:end] + RNG.bytes(2) + whole[end + 2 :])
        survives(lambda: caffe.load(path))


@pytest.mark.parametrize("shape", [(1 << 40, 1 << 40), (-3, -4), (0, 0), (1000000000,)])
def test_caffe_shapes_without_the_bytes(shape, tmp_path):
    path = save(tmp_path, PRODUCT, WEIGHTS)
    net = weights_class().FromString(weights_bytes(WEIGHTS))
    dims = net.layer[0].blobs[0].shape.dim
    del dims[:]
    dims.extend(shape)
    path.with_suffix(".caffemodel").write_bytes(net.SerializeToString())
    refused(lambda: caffe.load(path), "weights of the shape")


# MXNet


def mxnet_files(folder, nodes, heads, params=b""):
    path = folder / "net-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "arg_nodes": [0], "heads": heads}))
    (folder / "net-0000.params").write_bytes(params or params_bytes({}))
    return path


def params_bytes(arrays):
    """As MXNet saves arrays (V2), each (shape, type, data)."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for shape, kind, data in arrays.values():
        parts.append(struct.pack(f"<Iii{len(shape)}q", 0xF993FAC9, 0, len(shape), *shape))
        parts.append(struct.pack("<iii", 1, 0, kind) + data)
    parts.append(struct.pack("<Q", len(arrays)))
    parts += [struct.pack("<Q", len(name)) + name.encode() for name in arrays]
    return b"".join(parts)


def variable(name):
    return {"op": "null", "name": name, "inputs": []}


def operator(op, attrs=None, inputs=((0, 0, 0),)):
    return {"op": op, "name": "it", "attrs": attrs or {}, "inputs": [list(entry) for entry in inputs]}


ONE = {"data": (1, 4, 8, 8)}


@pytest.mark.parametrize(
    ("node", "match"),
    [
        (operator("Reshape", {"shape": "(-1, 0, -1)"}), "cannot have the shape"),
        (operator("Reshape", {"shape": "__import__('os')"}), "needed whole numbers"),
        (operator("Reshape", {"shape": "(" * 100000}), "cannot have the shape"),
        (operator("Pooling", {"kernel": "(2000000000, 2)"}), "does not fit"),
        (operator("tile", {"reps": "(1000000, 1000000)"}), "elements"),
        (operator("_zeros", {"shape": "(100000, 100000)"}, ()), "constant of the shape"),
        (operator("_zeros", {"shape": "(-1, 2)"}, ()), "constant of the shape"),
        (operator("_arange", {"start": "0", "stop": "1e12"}, ()), "a range"),
        (operator("one_hot", {"depth": "1000000000"}), "depth"),
        (operator("Convolution", {"kernel": "(3, 3)", "num_filter": "nine"}), "inputs"),
        (operator("SliceChannel", {"num_outputs": "1000000000"}), "equal parts"),
        (operator("clip", {"a_min": "nan", "a_max": "zero"}), "damaged"),
        (operator("_plus_scalar", {"scalar": "x" * 400}), "damaged"),
        (operator("UpSampling", {"scale": "1000000"}), "elements"),
        (operator("Concat", {"dim": "99"}), "dim 99"),
    ],
)
def test_mxnet_attributes(node, match, tmp_path):
    path = mxnet_files(tmp_path, [variable("data"), node, operator("_plus", {}, ((0, 0), (1, 0)))], [[1, 0, 0]])
    inputs = {} if not node["inputs"] else ONE
    refused(lambda: mxnet.load(path, inputs), match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not an MXNet symbol"),
        ("[" * 200000, "nested too deeply"),
        ('{"a":' * 200000, "nested too deeply"),
        ("[]", "damaged"),
        ('{"nodes": 5, "heads": []}', "damaged"),
        ('{"nodes": [], "heads": []}', "no outputs"),
        ('{"nodes": [], "heads": [[0, 0]]}', "does not stand before"),
        ('{"nodes": [{"op": "relu", "name": "a", "inputs": [[1, 0]]}, {"op": "relu", "name": "b", "inputs": [[0, 0]]}],'
         ' "heads": [[1, 0]]}', "does not stand before"),
        ('{"nodes": [{"op": "relu", "name": "a", "inputs": [[-1, 0]]}], "heads": [[0, 0]]}', "does not stand before"),
        ('{"nodes": [{"op": ["x"], "name": "a", "inputs": []}], "heads": [[0, 0]]}', "damaged"),
    ],
)  # fmt: skip
def test_mxnet_symbols(text, match, tmp_path):
    path = mxnet_files(tmp_path, [], [])
    path.write_text(text)
    refused(lambda: mxnet.load(path), match)


def damaged_params():
    good = params_bytes({"arg:w": ((2, 3), 0, bytes(24))})
    yield from (good[:end] for end in range(0, len(good), 5))
    yield RNG.bytes(4000)
    yield struct.pack("<QQQ", 0x112, 0, 1 << 60)
    yield struct.pack("<QQQ", 0x112, 0, 1 << 20) + bytes(1 << 22)
    for shape in ((1 << 31, 1 << 31), (-2, 3), (1000000000,)):
        yield params_bytes({"arg:w": (shape, 0, bytes(24))})
    yield params_bytes({"arg:w": ((2, 3), 77, bytes(24))})
    yield struct.pack("<QQQIii", 0x112, 0, 1, 0xF993FAC9, 1, 2)  # sparse
    yield struct.pack("<QQQIiI", 0x112, 0, 1, 0xF993FAC9, 0, 4000000000)


def test_mxnet_params(tmp_path):
    path = mxnet_files(tmp_path, [variable("data"), operator("relu")], [[1, 0, 0]])
    assert mxnet.load(path, ONE).outputs[0].name == "it_output"
    for data in damaged_params():
        (tmp_path / "net-0000.params").write_bytes(data)
        refused(lambda: mxnet.load(path, ONE), "not an MXNet parameter file, or damaged")


# Torch7

SHAPE = {"input": (1, 4, 8, 8)}


def t7(folder, data):
    path = folder / "net.t7"
    path.write_bytes(data)
    return path


def nested(depth):
    """Tables inside tables."""
    return b"".join(struct.pack("<iiiid", 3, at + 1, 1, 1, 1.0) for at in range(depth))


def tensor(kind, sizes, strides, offset, elements):
    """A tensor's bytes, whose storage has so many elements, of which 8 are there."""
    parts = [struct.pack("<ii", 4, 90), text("V 1"), text(f"torch.{kind}Tensor"), struct.pack("<i", len(sizes))]
    parts.append(struct.pack(f"<{2 * len(sizes) + 1}q", *sizes, *strides, offset))
    parts += [struct.pack("<ii", 4, 91), text("V 1"), text(f"torch.{kind}Storage"), struct.pack("<q", elements)]
    return Raw(b"".join(parts) + bytes(32))


def text(content):
    return struct.pack("<i", len(content)) + content.encode()


def linear(weight):
    return Writer().write(LuaModule("nn.Linear", weight=weight)).bytes()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "not a Torch7 file"),
        (b"\xff" * 64, "an object of the kind"),
        (b"9" * 100000, "not a Torch7 file"),
        (b"4\n" * 1000, "not a Torch7 file"),
        (nested(100000), "objects inside one another"),
        (struct.pack("<iii", 3, 1, 1 << 30) + bytes(1 << 18), "ends where"),
        (struct.pack("<iii", 3, 1, 1 << 30) + bytes(2 << 20), "too many objects"),
        (struct.pack("<ii", 2, -5), "ends where"),
        (struct.pack("<ii", 2, 1 << 30), "ends where"),
        (struct.pack("<iii", 6, 1, 1 << 30), "ends where"),
        (struct.pack("<id", 1, 5.0), "no network"),
        (Writer().write([1, 2]).bytes(), "a table"),
        (linear(tensor("Float", (1 << 40, 4), (4, 1), 1, 8)), "does not fit"),
        (linear(tensor("Float", (2, 4), (1 << 40, 1), 1, 8)), "does not fit"),
        (linear(tensor("Float", (2, 4), (-4, 1), 1, 8)), "does not fit"),
        (linear(tensor("Float", (2, 4), (4, 1), 1 << 40, 8)), "does not fit"),
        (linear(tensor("Float", (2, 4), (4, 1), -100, 8)), "does not fit"),
        (linear(tensor("Float", (30000, 30000), (0, 0), 1, 8)), "does not fit"),
        (linear(tensor("Float", (2, 4), (4, 1), 1, 1 << 40)), "ends where"),
        (linear(tensor("Float", (2, 4), (4, 1), 1, -8)), "ends where"),
        (linear(tensor("Strange", (2, 4), (4, 1), 1, 8)), None),
    ],
)
def test_torch7_files(data, match, tmp_path):
    path = t7(tmp_path, data)
    refused(lambda: torch7.load(path, SHAPE), match)


def doubled(levels):
    """A module shared by two branches, level by level: 2^levels ways through a small file."""
    net = module("Tanh")
    for _ in range(levels):
        net = sequential(net, net)
    return net


def endless():
    net = container("Sequential")
    net.fields["modules"].append(net)
    return net


def endless_graph():
    start = GraphNode()
    inner = GraphNode(start)
    net = graph_module([start, inner], [start], [inner])
    inner.data.add("module", net)
    return net


@pytest.mark.parametrize(
    ("net", "match"),
    [
        (doubled(40), "without end"),
        (endless(), "without end"),
        (endless_graph(), "without end"),
        (module("gModule"), "forwardnodes are no nodes"),
        (module("gModule", forwardnodes=[LuaModule("nngraph.Node")]), "has no data"),
        (module("gModule", forwardnodes=[], innode=LuaModule("nngraph.Node", data=[1])), "has no data|no mapindex"),
        (module("View", size=Storage(1 << 40, 1 << 40)), "cannot have the shape"),
        (module("View", size=Storage(-1, -1)), "cannot have the shape"),
        (module("Replicate", nfeatures=1e15), "elements|32 bits"),
        (module("Replicate", nfeatures=float("inf")), "whole number|damaged"),
        (module("SpatialZeroPadding", pad_l=1e18), None),
        (module("SpatialUpSamplingNearest", scale_factor=1e9), "elements"),
        (module("SpatialMaxPooling", kW=3), "missing"),
        (module("SpatialConvolution", kW=3, kH=3, nOutputPlane=1e12, weight=np.zeros((2, 2), np.float32)), "needed"),
        (module("Linear"), "its tensor weight is missing"),
        (module("Linear", weight="text"), "its tensor weight is missing"),
        (module("JoinTable", dimension=1), "no table"),
        (container("ParallelTable", module("Tanh")), "no table"),
        (module("Narrow", dimension=0, index=1), "dimension 0"),
        (module("Sequential", modules=[1, 2]), "no module"),
    ],
)
def test_torch7_networks(net, match, tmp_path):
    path = t7(tmp_path, Writer().write(net).bytes())
    refused(lambda: torch7.load(path, SHAPE), match)


def test_torch7_files_cut_short_or_changed(tmp_path):
    net = sequential(module("Linear", weight=RNG.normal(0, 1, (3, 8)).astype(np.float32)), module("Tanh"))
    for ascii in (False, True):
        whole = Writer(ascii).write(net).bytes()
        torch7.load(t7(tmp_path, whole), SHAPE).verify()
        for end in range(0, len(whole), 5):
            for data in (whole[:end], whole[:end] + RNG.bytes(1) + whole[end + 1 :]):
                path = t7(tmp_path, data)
                survives(lambda path=path: torch7.load(path, SHAPE))

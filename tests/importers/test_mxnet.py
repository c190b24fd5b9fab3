"""MXNet files: every version of both formats, labels, names, and how the two files are found."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from reference_executor import ReferenceExecutor

from edgert.errors import InputError, ModelError, UnsupportedError
from edgert.importers import mxnet

RNG = np.random.default_rng(2)
MATRIX = RNG.normal(0, 1, (3, 4)).astype(np.float32)
X = RNG.normal(0, 1, (2, 4)).astype(np.float32)
KINDS = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def container(arrays, magic=0xF993FAC9):
    """What MXNet saves, in the versions 0 (magic None), 1, 2 and 3 of an array."""
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        if magic is None:
            parts.append(struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape))
        else:
            storage = b"" if magic == 0xF993FAC8 else struct.pack("<i", 0)
            parts.append(struct.pack("<I", magic) + storage + struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape))
        parts.append(struct.pack("<iii", 1, 0, KINDS[array.dtype.name]) + array.tobytes())
    parts.append(struct.pack("<Q", len(arrays)))
    parts += [struct.pack("<Q", len(name)) + name.encode() for name in arrays]
    return b"".join(parts)


def node(op, name, inputs=(), attrs=None, key="attrs"):
    return {"op": op, "name": name, "inputs": [list(entry) for entry in inputs], key: attrs or {}}


def variable(name, **attrs):
    return node("null", name, (), {f"__{key}__": value for key, value in attrs.items()})


def write(folder, nodes, heads, arrays, magic=0xF993FAC9, prefix="net"):
    path = folder / f"{prefix}-symbol.json"
    path.write_text(json.dumps({"nodes": nodes, "arg_nodes": [], "heads": heads}))
    (folder / f"{prefix}-0001.params").write_bytes(container(arrays, magic))
    return path


def classifier(key="attrs"):
    """A product and SoftmaxOutput with its label."""
    attrs = {"num_hidden": "3", "no_bias": "True"}
    return [variable("data"), variable("fc_weight"), node("FullyConnected", "fc", [(0, 0), (1, 0)], attrs, key),
            variable("softmax_label"), node("SoftmaxOutput", "softmax", [(2, 0), (3, 0)], {}, key)]  # fmt: skip


def softmax(x):
    e = np.exp(x)
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize("magic", [None, 0xF993FAC8, 0xF993FAC9, 0xF993FACA], ids=["V0", "V1", "V2", "V3"])
@pytest.mark.parametrize("key", ["param", "attr", "attrs"])
def test_versions(magic, key, tmp_path):
    path = write(tmp_path, classifier(key), [[4, 0]], {"arg:fc_weight": MATRIX}, magic)
    graph = mxnet.load(path, {"data": (2, 4)})
    graph.verify()
    assert [value.name for value in graph.inputs] == ["data"]
    assert [value.name for value in graph.outputs] == ["softmax_output"]
    np.testing.assert_allclose(ReferenceExecutor(graph).run(X)[0], softmax(X @ MATRIX.T), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_other_floats_become_float32(dtype, tmp_path):
    path = write(tmp_path, classifier(), [[4, 0]], {"fc_weight": MATRIX.astype(dtype)})
    graph = mxnet.load(path, {"data": (2, 4)})
    np.testing.assert_allclose(ReferenceExecutor(graph).run(X)[0], softmax(X @ MATRIX.T), atol=1e-2)


def test_shapes_that_the_symbol_states(tmp_path):
    nodes = classifier()
    nodes[0] = variable("data", shape="(0, 4L)", dtype="0")
    path = write(tmp_path, nodes, [[4, 0]], {"arg:fc_weight": MATRIX})
    graph = mxnet.load(path)
    assert graph.inputs[0].shape == (1, 4)
    assert graph.notes == ["Input 'data': the first dimension is dynamic, 1 is assumed."]
    assert mxnet.load(path, {"data": (5, 4)}).inputs[0].shape == (5, 4)
    with pytest.raises(InputError, match=r"the shape \[5, 6\], the model states \[0, 4\]"):
        mxnet.load(path, {"data": (5, 6)})


def test_open_inputs_are_listed_without_the_label(tmp_path):
    path = write(tmp_path, classifier(), [[4, 0]], {"arg:fc_weight": MATRIX})
    with pytest.raises(InputError, match=r"open: 'data' any: give"):
        mxnet.load(path)
    with pytest.raises(InputError, match="names 'softmax_label', which is no input"):
        mxnet.load(path, {"data": (1, 4), "softmax_label": (1,)})


def test_statistics_that_old_symbols_do_not_list(tmp_path):
    """Before 0.9, BatchNorm's mean and variance were no inputs."""
    nodes = [variable("data"), variable("bn_gamma"), variable("bn_beta"),
             node("BatchNorm", "bn", [(0, 0), (1, 0), (2, 0)], {"fix_gamma": "False", "eps": "0.001"}, "param"),
    ]  # fmt: skip
    arrays = {f"arg:bn_{name}": RNG.normal(0, 1, 4).astype(np.float32) for name in ("gamma", "beta")}
    arrays["aux:bn_moving_mean"] = RNG.normal(0, 1, 4).astype(np.float32)
    arrays["aux:bn_moving_var"] = RNG.uniform(1, 2, 4).astype(np.float32)
    graph = mxnet.load(write(tmp_path, nodes, [[3, 0]], arrays), {"data": (2, 4)})
    gamma, beta, mean, variance = arrays.values()
    expected = (X - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(ReferenceExecutor(graph).run(X)[0], expected, atol=1e-5)
    del arrays["aux:bn_moving_var"]
    with pytest.raises(ModelError, match="there is no parameter bn_moving_var"):
        mxnet.load(write(tmp_path, nodes, [[3, 0]], arrays), {"data": (2, 4)})


def test_names_and_nodes_that_nothing_needs(tmp_path):
    nodes = [variable("data"), node("relu", "act", [(0, 0)]), node("Custom", "unused", [(1, 0)]),
             node("split", "parts", [(1, 0)], {"num_outputs": "2", "axis": "1"}), node("tanh", "end", [(3, 1)]),
    ]  # fmt: skip
    graph = mxnet.load(write(tmp_path, nodes, [[4, 0], [1, 0], [3, 0], [0, 0]], {}), {"data": (2, 4)})
    graph.verify()
    assert [value.name for value in graph.outputs] == ["end_output", "act_output", "parts_output0", "data_1"]
    end, act, part, same = ReferenceExecutor(graph).run(X)
    rectified = np.maximum(X, 0)
    np.testing.assert_allclose(end, np.tanh(rectified[:, 2:]), atol=1e-6)
    np.testing.assert_array_equal(act, rectified)
    np.testing.assert_array_equal(part, rectified[:, :2])
    np.testing.assert_array_equal(same, X)


def test_all_unknown_operators_are_listed(tmp_path):
    nodes = [variable("data"), node("Custom", "first", [(0, 0)]), node("relu", "between", [(1, 0)]),
             node("Strange", "second", [(2, 0)]), node("Pooling", "third", [(0, 0)], {"pool_type": "lp"}),
             node("_plus", "end", [(3, 0), (4, 0)])]  # fmt: skip
    with pytest.raises(UnsupportedError) as caught:
        mxnet.load(write(tmp_path, nodes, [[5, 0]], {}), {"data": (1, 1, 4, 4)})
    assert [item.node for item in caught.value.items] == ["first", "second", "third"]


def test_how_the_other_file_is_found(tmp_path):
    path = write(tmp_path, classifier(), [[4, 0]], {"arg:fc_weight": MATRIX})
    shapes = {"data": (1, 4)}
    assert mxnet.load(tmp_path / "net-0001.params", shapes).notes == []
    (tmp_path / "net-0012.params").write_bytes((tmp_path / "net-0001.params").read_bytes())
    assert mxnet.load(path, shapes).notes == ["Of 2 parameter files, net-0012.params is taken."]
    (tmp_path / "elsewhere.params").write_bytes((tmp_path / "net-0001.params").read_bytes())
    assert mxnet.load(path, shapes, weights=tmp_path / "elsewhere.params").notes == []
    with pytest.raises(InputError, match=r"its symbol \(elsewhere-symbol\.json\) is not beside it"):
        mxnet.load(tmp_path / "elsewhere.params", shapes)
    other = tmp_path / "other-symbol.json"
    path.rename(other)
    with pytest.raises(InputError, match=r"its parameters .* are not beside it"):
        mxnet.load(other, shapes)

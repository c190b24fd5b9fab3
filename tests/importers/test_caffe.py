"""Caffe networks: both generations, phases, data layers, what is left out, names, and how the two files are found."""

from __future__ import annotations

import numpy as np
import pytest
from reference_executor import ReferenceExecutor

from edgert.errors import FileFormatError, InputError, ModelError, UnsupportedError
from edgert.importers import caffe
from importers._caffe_write import inputs_text, save, weights_bytes, weights_class

RNG = np.random.default_rng(9)
MATRIX = RNG.normal(0, 1, (3, 4)).astype(np.float32)
PRODUCT = "inner_product_param { num_output: 3 bias_term: false }"
DATA = inputs_text({"data": (1, 4)})


def layer(name, kind, bottom, top, more=""):
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {more} }}\n'


def one_layer(folder, text, blobs=None):
    return save(folder, text, {"fc": [MATRIX]} if blobs is None else blobs)


def run(graph, x):
    return ReferenceExecutor(graph).run(x)


def test_first_generation(tmp_path):
    """V1 layers with numbered types, blobs with num, channels, height and width, inputs by input_dim."""
    text = (
        'name: "old" input: "data" input_dim: 1 input_dim: 4 input_dim: 1 input_dim: 1\n'
        'layers { name: "fc" type: INNER_PRODUCT bottom: "data" top: "fc" blobs_lr: 1 weight_decay: 0 '
        "inner_product_param { num_output: 3 bias_term: false weight_filler { type: 'gaussian' } } }\n"
        'layers { name: "relu" type: RELU bottom: "fc" top: "fc" }\n'
        'layers { name: "prob" type: SOFTMAX bottom: "fc" top: "prob" }'
    )
    graph = caffe.load(save(tmp_path, text, {"fc": [MATRIX]}, old=True))
    x = RNG.normal(0, 1, (1, 4, 1, 1)).astype(np.float32)
    rectified = np.maximum(x.reshape(1, 4) @ MATRIX.T, 0)
    np.testing.assert_allclose(run(graph, x)[0], np.exp(rectified) / np.exp(rectified).sum(), atol=1e-6)
    assert [(value.name, value.shape) for value in graph.outputs] == [("prob", (1, 3))]


def test_a_description_for_training(tmp_path):
    """Layers of the phase TEST stay; data layers become inputs, losses and accuracies go, and the notes say so."""
    text = (
        'layer { name: "train" type: "Data" top: "data" top: "label" include { phase: TRAIN } }\n'
        'layer { name: "test" type: "Data" top: "data" top: "label" include { phase: TEST } '
        "transform_param { mean_value: 104 mean_value: 117 scale: 0.5 } data_param { source: 'x' backend: LMDB } }\n"
        + layer("fc", "InnerProduct", "data", "fc", PRODUCT)
        + layer("noise", "Power", "fc", "fc", "power_param { scale: 9 } exclude { phase: TEST }")
        + 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }\n'
        + layer("weighted", "Power", "loss", "weighted")
        + 'layer { name: "right" type: "Accuracy" bottom: "fc" bottom: "label" top: "right" include { phase: TEST } }'
    )
    path = one_layer(tmp_path, text)
    with pytest.raises(InputError, match=r"leaves dimensions open: 'data' any"):
        caffe.load(path)
    graph = caffe.load(path, {"data": (1, 4)})
    assert [value.name for value in graph.inputs] == ["data"]
    assert [value.name for value in graph.outputs] == ["fc"]
    assert "loss (SoftmaxWithLoss), weighted (Power), right (Accuracy)" in graph.notes[0]
    assert "'test' subtracts 104, 117 and multiplies by 0.5" in graph.notes[1]
    x = RNG.normal(0, 1, (1, 4)).astype(np.float32)
    np.testing.assert_allclose(run(graph, x)[0], x @ MATRIX.T, atol=1e-6)


def test_a_data_layer_of_training_alone(tmp_path):
    text = ('layer { name: "d" type: "MemoryData" top: "data" top: "label" include { phase: TRAIN } '
            "memory_data_param { batch_size: 8 channels: 4 height: 1 width: 1 } }\n"
            + layer("fc", "InnerProduct", "data", "fc", PRODUCT))  # fmt: skip
    assert caffe.load(one_layer(tmp_path, text)).inputs[0].shape == (1, 4, 1, 1)


def test_rules_of_stages_and_levels(tmp_path):
    text = DATA + "state { level: 2 stage: 'deploy' }\n" + "".join(
        layer(f"p{index}", "Power", "data", "data", f"power_param {{ scale: {factor} }} {rule}")
        for index, (factor, rule) in enumerate([
            (2, "include { stage: 'deploy' }"), (3, "include { stage: 'other' }"), (5, "exclude { min_level: 2 }"),
            (7, "include { max_level: 1 } include { not_stage: 'other' }"),
        ])
    )  # fmt: skip
    x = np.ones((1, 4), np.float32)
    assert run(caffe.load(save(tmp_path, text, {})), x)[0][0, 0] == 14


def test_batches_come_one_by_one(tmp_path):
    text = inputs_text({"data": (64, 2, 5, 5)}) + layer("p", "Pooling", "data", "p", "pooling_param { kernel_size: 2 }")
    path = save(tmp_path, text, {})
    graph = caffe.load(path)
    assert graph.inputs[0].shape == (1, 2, 5, 5)
    assert graph.notes == ["Input 'data': a batch of 64 in the source, 1 here."]
    assert caffe.load(path, {"data": (3, 2, 8, 6)}).inputs[0].shape == (3, 2, 8, 6)
    with pytest.raises(InputError, match=r"input_shapes gives 'data' the shape \[3, 2\]"):
        caffe.load(path, {"data": (3, 2)})
    with pytest.raises(InputError, match=r"names 'image', which is no input of the model \(it has: 'data'\)"):
        caffe.load(path, {"image": (1, 2, 5, 5)})


def test_blobs_overwritten_in_place(tmp_path):
    """The last Value of a blob bears its name, and readers see what stood there when they came."""
    text = (DATA + layer("fc", "InnerProduct", "data", "fc", PRODUCT) + layer("early", "TanH", "fc", "early")
            + layer("relu", "ReLU", "fc", "fc") + layer("late", "AbsVal", "fc", "late"))  # fmt: skip
    graph = caffe.load(one_layer(tmp_path, text))
    graph.verify()
    nodes = {node.name: node for node in graph.nodes}
    assert nodes["relu"].output.name == "fc"
    assert nodes["early"].inputs == nodes["fc"].outputs
    assert nodes["late"].inputs == nodes["relu"].outputs
    assert [value.name for value in graph.outputs] == ["early", "late"]


def test_shared_parameters(tmp_path):
    """Layers whose parameters bear one name, of which the file holds one."""
    shared = PRODUCT + ' param { name: "w" }'
    text = DATA + layer("fc", "InnerProduct", "data", "a", shared) + layer("again", "InnerProduct", "data", "b", shared)
    first, second = run(caffe.load(one_layer(tmp_path, text)), np.ones((1, 4), np.float32))
    np.testing.assert_array_equal(first, second)


def test_fields_of_forks_are_passed_over(tmp_path):
    text = (DATA + 'quantize: { mode: X } custom_thing: 5\n' + layer("fc", "InnerProduct", "data", "fc", PRODUCT
            + " fork_param { deep { deeper: [1, 2] } } param { lr_mult: 1 share_mode: PERMISSIVE }"))  # fmt: skip
    assert caffe.load(one_layer(tmp_path, text)).outputs[0].shape == (1, 3)


def test_comments_in_any_encoding(tmp_path):
    path = one_layer(tmp_path, DATA + layer("fc", "InnerProduct", "data", "fc", PRODUCT))
    path.write_bytes("# 全连接\n".encode("gbk") + path.read_bytes())
    assert caffe.load(path).outputs[0].name == "fc"


def test_all_unknown_layers_are_listed(tmp_path):
    text = (DATA + layer("a", "Proposal", "data", "a") + layer("b", "ReLU", "a", "b") + layer("c", "Python", "b", "c")
            + layer("d", "LSTM", "data", "d"))  # fmt: skip
    with pytest.raises(UnsupportedError) as caught:
        caffe.load(save(tmp_path, text, {}))
    assert [(item.node, item.operator) for item in caught.value.items] == [
        ("a", "Proposal"),
        ("c", "Python"),
        ("d", "LSTM"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layer("fc", "InnerProduct", "nothing", "fc", PRODUCT), "reads 'nothing', which nothing before it writes"),
        (layer("fc", "InnerProduct", "data", "fc", "inner_product_param { num_output: 7 }"), "needed \\[7, 4\\]"),
        (layer("other", "InnerProduct", "data", "fc", PRODUCT), "it has 0 blobs of weights"),
        (layer("p", "Concat", "data", "p", "concat_param { axis: 5 }"), "axis 5 of an input of 2 dimensions"),
        (layer("loss", "SoftmaxWithLoss", "data", "loss"), "the network has no inputs"),
    ],
)  # fmt: skip
def test_networks_that_mean_nothing(text, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        caffe.load(one_layer(tmp_path, DATA + text))


def test_how_the_other_file_is_found(tmp_path):
    text = DATA + layer("fc", "InnerProduct", "data", "fc", PRODUCT)
    path = one_layer(tmp_path, text)
    assert caffe.load(path.with_suffix(".caffemodel")).name == "net"
    path.rename(tmp_path / "deploy.prototxt")
    assert caffe.load(tmp_path / "net.caffemodel").outputs[0].name == "fc"  # the only description there
    (tmp_path / "other.prototxt").write_text(text)
    with pytest.raises(
        InputError, match=r"net\.prototxt\) is not beside it; there are deploy.prototxt, other.prototxt"
    ):
        caffe.load(tmp_path / "net.caffemodel")
    for given, other in (("deploy.prototxt", "net.caffemodel"), ("net.caffemodel", "deploy.prototxt")):
        assert caffe.load(tmp_path / given, weights=tmp_path / other).outputs[0].name == "fc"
    with pytest.raises(InputError, match="there is no such file"):
        caffe.load(tmp_path / "missing.prototxt")


def test_weights_in_other_types(tmp_path):
    """NVIDIA's raw halves, and doubles."""
    text = DATA + layer("fc", "InnerProduct", "data", "fc", PRODUCT)
    path = one_layer(tmp_path, text)
    for field in ("raw_data", "double_data"):
        net = weights_class().FromString(weights_bytes({"fc": [MATRIX]}))
        blob = net.layer[0].blobs[0]
        blob.ClearField("data")
        if field == "raw_data":
            blob.raw_data, blob.raw_data_type = MATRIX.astype("<f2").tobytes(), 2
        else:
            blob.double_data.extend(MATRIX.reshape(-1).tolist())
        path.with_suffix(".caffemodel").write_bytes(net.SerializeToString())
        x = np.eye(4, dtype=np.float32)[:1]
        np.testing.assert_allclose(run(caffe.load(path), x)[0][0], MATRIX[:, 0], atol=1e-3)
    blob.shape.dim[0] = 4
    path.with_suffix(".caffemodel").write_bytes(net.SerializeToString())
    with pytest.raises(FileFormatError, match=r"weights of the shape \[4, 4\] have 12 elements"):
        caffe.load(path)

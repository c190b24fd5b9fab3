"""Real ONNX networks, of several exporters: the same outputs as onnxruntime's, on real images and sound."""

from __future__ import annotations

import gzip

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic
from PIL import Image
from runtime_runs import assert_all_close, run_converted

from importers._onnx_run import run_onnxruntime


def image(path, size, scale, shift, order=slice(None)):
    """[1, 3, H, W] of (pixel / 255 - shift) / scale."""
    pixels = np.asarray(Image.open(path).convert("RGB").resize(size[::-1]), np.float32)[..., order]
    return np.ascontiguousarray(((pixels / 255 - shift) / scale).transpose(2, 0, 1)[np.newaxis], np.float32)


def equal(path, samples, input_shapes=None):
    theirs = run_onnxruntime(onnx.load(path), samples)
    ours = run_converted(path, samples, input_shapes)
    assert_all_close(ours, theirs)
    return ours


def test_cntk_mnist(shared_data):
    """CNTK's export, operator set 7: as good as it is (98.4 % of 2,000), on raw pixels."""
    path = shared_data("onnx/cntk_mnist.onnx")
    with gzip.open(shared_data("data/mnist/images-idx3-ubyte.gz")) as file:
        digits = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 1, 28, 28).astype(np.float32)
    for digit in digits[:5]:
        equal(path, {"Input3": digit})


def test_fastestdet(shared_data):
    """PyTorch's export of a detector."""
    path = shared_data("onnx/fastestdet.onnx")
    sample = image(shared_data("data/images_ccby/cat_720p.jpg"), (352, 352), 1.0, 0.0, slice(None, None, -1))
    (y,) = equal(path, {"input.1": sample})
    assert y.shape == (1, 85, 22, 22)


def test_text_direction(shared_data):
    """PaddlePaddle's export, whose batch and sizes are open."""
    path = shared_data("onnx/ppocr_cls_mnv3.onnx")
    sample = image(shared_data("data/images_ccby/hot_dog.jpg"), (48, 192), 0.5, 0.5)
    (y,) = equal(path, {"x": sample}, {"x": (1, 3, 48, 192)})
    assert y.shape == (1, 2)


def test_basic_pitch(shared_data):
    """tf2onnx's export of a note transcriber with its filter bank in convolutions."""
    import wave

    path = shared_data("basic_pitch/nmp.onnx")
    with wave.open(str(shared_data("basic_pitch/vocadito_10.wav"))) as file:
        width, channels = file.getsampwidth(), file.getnchannels()
        sound = np.frombuffer(file.readframes(file.getnframes()), f"<i{width}").reshape(-1, channels)[:, 0]
    window = (sound[::2][:43844].astype(np.float32) / 2 ** (8 * width - 1)).reshape(1, -1, 1)
    equal(path, {onnx.load(path).graph.input[0].name: window})


@pytest.mark.parametrize("name", ["rfb320", "rfb320_raw"])
def test_ultraface(shared_data, name):
    path = shared_data(f"ultraface_rfb320/{name}.onnx")
    sample = image(shared_data("data/images_ccby/face.jpg"), (240, 320), 128 / 255, 127 / 255)
    equal(path, {"input": sample})


def test_optimised_by_onnxruntime(shared_data, tmp_path):
    """What its optimiser writes: convolutions with activations and sums in them."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    source = shared_data("onnx/fastestdet.onnx")
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "FusedConv" in kinds
    sample = image(shared_data("data/images_ccby/cat_720p.jpg"), (352, 352), 1.0, 0.0, slice(None, None, -1))
    ours = run_converted(tmp_path / "optimised.onnx", {"input.1": sample})
    assert_all_close(ours, run_onnxruntime(onnx.load(source), {"input.1": sample}))


def test_quantised_dynamically(shared_data, tmp_path):
    """The integers of the first layers are onnxruntime's; where a float between layers rounds the other way, what comes
    of it loses no more than onnxruntime does."""
    source = shared_data("onnx/fastestdet.onnx")
    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(source, path, weight_type=QuantType.QUInt8)
    model = onnx.load(path)
    integers = {"DynamicQuantizeLinear": onnx.TensorProto.UINT8, "ConvInteger": onnx.TensorProto.INT32}
    for node in [node for node in model.graph.node if node.op_type in integers][:12]:
        info = onnx.helper.make_tensor_value_info(node.output[0], integers[node.op_type], None)
        model.graph.output.append(info)
    onnx.save(model, path)
    sample = image(shared_data("data/images_ccby/cat_720p.jpg"), (352, 352), 1.0, 0.0, slice(None, None, -1))
    ours, theirs = run_converted(path, {"input.1": sample}), run_onnxruntime(model, {"input.1": sample})
    for our, their in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_array_equal(our, their)
    (exact,) = run_onnxruntime(onnx.load(source), {"input.1": sample})
    assert np.abs(ours[0] - exact).mean() < 1.25 * np.abs(theirs[0] - exact).mean()

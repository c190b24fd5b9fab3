"""Networks of the classic frameworks with their weights: several formats of one network agree, and so do references."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from runtime_runs import opened, run, step

from edgert.compile import convert
from edgert.importers import caffe, mxnet, onnx, tflite


def mnist(shared_data):
    """Pixels [3000, 28, 28] of 0 to 255, and digits."""
    images, labels = (
        gzip.decompress(shared_data(f"data/mnist/{name}-ubyte.gz").read_bytes())
        for name in ("images-idx3", "labels-idx1")
    )
    return np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8, offset=8)


def by_shape(graph, *inputs):
    return {result.shape: result for result in run(graph, inputs)}


def difference(first, second):
    return float(np.abs(first - second).max())


@pytest.fixture(scope="module")
def face_images():
    """Two images of smooth noise as UltraFace takes them, [1, 3, 240, 320] in -1 to 1."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(-1, 1, (2, 1, 3, 15, 20)).astype(np.float32)
    return coarse.repeat(16, 3).repeat(16, 4) + rng.normal(0, 0.05, (2, 1, 3, 240, 320)).astype(np.float32)


def test_ultraface_of_three_formats(shared_data, face_images):
    """Raw scores and box offsets of Caffe, ONNX and TFLite files, and of onnxruntime and LiteRT on theirs."""
    onnxruntime = pytest.importorskip("onnxruntime")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    folder = "ultraface_rfb320/rfb320"
    raw_onnx, raw_tflite = (shared_data(f"{folder}_raw.{kind}") for kind in ("onnx", "tflite"))
    session = onnxruntime.InferenceSession(str(raw_onnx), providers=["CPUExecutionProvider"])
    interpreter = litert.Interpreter(str(raw_tflite), num_threads=1)
    interpreter.allocate_tensors()
    for x in face_images:
        nhwc = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        expected = dict(zip(("scores", "boxes"), session.run(["scores", "boxes"], {"input": x}), strict=True))
        from_caffe = caffe.load(shared_data(f"{folder}.caffemodel"))
        assert [value.name for value in from_caffe.outputs] == ["boxes", "scores"]
        lite = step(interpreter, [nhwc])
        found = {
            "caffe": by_shape(from_caffe, x),
            "onnx": by_shape(onnx.load(raw_onnx), x),
            "tflite": by_shape(tflite.load(raw_tflite.read_bytes()), nhwc),
            "litert": {array.shape: array for array in lite},
        }
        for source, arrays in found.items():
            for name, bound in (("scores", 1e-4), ("boxes", 1e-3)):
                array = expected[name]
                assert difference(arrays[array.shape], array) < bound, (source, name)


def test_ultraface_on_a_face(shared_data):
    """On a photograph with a face the TFLite file itself differs from the others: its scores by 2.5e-4 in LiteRT, and
    just so here."""
    onnxruntime = pytest.importorskip("onnxruntime")
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    image = pytest.importorskip("PIL.Image")
    folder = "ultraface_rfb320/rfb320"
    pixels = np.asarray(image.open(shared_data("data/images_ccby/face.jpg")).convert("RGB").resize((320, 240)))
    nhwc = ((pixels.astype(np.float32) - 127) / 128)[np.newaxis]
    x = np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2))
    session = onnxruntime.InferenceSession(str(shared_data(f"{folder}_raw.onnx")), providers=["CPUExecutionProvider"])
    by_onnx = {array.shape: array for array in session.run(None, {"input": x})}
    interpreter = litert.Interpreter(str(shared_data(f"{folder}_raw.tflite")), num_threads=1)
    interpreter.allocate_tensors()
    by_litert = step(interpreter, [nhwc])
    from_caffe = by_shape(caffe.load(shared_data(f"{folder}.prototxt")), x)
    from_tflite = by_shape(tflite.load(shared_data(f"{folder}_raw.tflite").read_bytes()), nhwc)
    assert float(from_caffe[1, 4420, 2][..., 1].max()) > 0.9  # there is a face
    for array in by_litert:
        assert difference(from_caffe[array.shape], by_onnx[array.shape]) < 1e-4
        assert difference(from_tflite[array.shape], array) < 1e-4
        assert difference(from_tflite[array.shape], by_onnx[array.shape]) < 1e-3


@pytest.mark.parametrize(
    ("name", "size", "outputs"),
    [("det1", 12, ("conv4-2", "prob1")), ("det1", 50, ("conv4-2", "prob1")), ("det2", 24, ("conv5-2", "prob1"))],
)
def test_mtcnn_of_caffe_and_mxnet(shared_data, name, size, outputs):
    """Caffe's copy reads BGR images with height and width exchanged."""
    shape = (1, 3, size, size + (name == "det1") * 6)
    turned = (1, 3, shape[3], shape[2])
    from_caffe = caffe.load(shared_data(f"mtcnn/{name}.prototxt"), {"data": shape})
    from_mxnet = mxnet.load(shared_data(f"mtcnn/{name}-symbol.json"), {"data": turned})
    assert tuple(value.name for value in from_caffe.outputs) == outputs
    wanted = [f"{output.replace('-', '_')}_output" for output in outputs]
    names = [value.name for value in from_mxnet.outputs]
    x = np.random.default_rng(size).uniform(-1, 1, shape).astype(np.float32)
    ours = run(from_caffe, [x])
    theirs = run(from_mxnet, [np.ascontiguousarray(x[:, ::-1].transpose(0, 1, 3, 2))])
    for result, output in zip(ours, wanted, strict=True):
        other = theirs[names.index(output)]
        if result.ndim == 4:
            other = other.transpose(0, 1, 3, 2)
        assert difference(result, other) < 1e-5


def test_lenet_equals_opencv(shared_data):
    """Its authors count 9914 of 10,000 digits; of the first 3000 it finds 2959, the same ones as OpenCV."""
    images, digits = mnist(shared_data)
    x = images[:, np.newaxis].astype(np.float32) / 256
    description, weights = (shared_data(f"caffe/lenet.{kind}") for kind in ("prototxt", "caffemodel"))
    ours = run(caffe.load(description, {"data": x.shape}), [x])[0]
    assert int((ours.argmax(1) == digits).sum()) >= 2955
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    net = cv2.dnn.readNetFromCaffe(str(description), str(weights))
    net.setInput(x)
    theirs = net.forward()
    assert difference(ours, theirs) < 1e-5
    np.testing.assert_array_equal(ours.argmax(1), theirs.argmax(1))


def test_mtcnn_and_ultraface_equal_opencv(shared_data, face_images):
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    small = {
        size: np.random.default_rng(size).uniform(-1, 1, (1, 3, size, size)).astype(np.float32) for size in (12, 24)
    }
    for name, x in (("mtcnn/det1", small[12]), ("mtcnn/det2", small[24]), ("ultraface_rfb320/rfb320", face_images[0])):
        description, weights = (shared_data(f"{name}.{kind}") for kind in ("prototxt", "caffemodel"))
        graph = caffe.load(description)
        net = cv2.dnn.readNetFromCaffe(str(description), str(weights))
        net.setInput(x)
        names = [value.name for value in graph.outputs]
        for ours, theirs in zip(run(graph, [x]), net.forward(names), strict=True):
            assert difference(ours, theirs) < 1e-4


def test_cntk_exports_of_onnx(shared_data):
    """CNTK's own export of a network for MNIST; its pixels are 0 to 255."""
    images, digits = mnist(shared_data)
    path = shared_data("onnx/cntk_mnist.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    right = 0
    interpreter = opened(convert(path).data)
    for image, digit in zip(images, digits, strict=True):
        x = image[np.newaxis, np.newaxis].astype(np.float32)
        (scores,) = step(interpreter, [x])
        theirs = session.run(None, {"Input3": x})[0]
        assert difference(scores, theirs) < 1e-4 * max(1.0, float(np.abs(theirs).max()))
        right += int(scores.argmax() == digit)
    assert right >= 2940

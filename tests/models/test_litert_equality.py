"""Quantised TFLite models give LiteRT's integers, and float ones its numbers.

LiteRT's default is the XNNPACK delegate, whose rounding is the one that edgert follows: int8 models are bit-equal up to
the softmax. ROUNDING lists where a peer rounds otherwise; each row holds operator by operator (at most 1).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from litert_reference import SOFTMAX, LiteRT, cut_before, mend_axes, tflite_runtime_tensors
from model_inputs import Array, Find, as_int8, cifar, gray_person, kws, person, photos, random_inputs

import edgert
from edgert.compile import convert
from edgert.importers import tflite
from edgert.ir import Value
from edgert.ops import OPS_BY_NAME

RANDOM_INPUTS = 200


@dataclass(frozen=True)
class Rounding:
    """Where a peer's integers differ from edgert's for one operator, by at most 1."""

    peer: str
    operators: tuple[str, ...]
    why: str


ROUNDING = (
    Rounding(
        "tflite-runtime, reference kernels",
        ("conv2d", "depthwise_conv2d", "fully_connected"),
        "gemmlowp's fixed-point multiplier rounds twice (doubling high multiply, then a rounding shift); XNNPACK, and "
        "so edgert, rounds the float32 product once, ties to even",
    ),
    Rounding(
        "tflite-runtime, reference kernels",
        ("add",),
        "each operand is rescaled and rounded by itself before the sum; XNNPACK and edgert round the sum once",
    ),
    Rounding(
        "tflite-runtime, reference kernels",
        ("softmax",),
        "exponentials in fixed point with 5 integer bits; edgert has a table of exponentials and an exact division",
    ),
    Rounding(
        "tflite-runtime, reference kernels",
        ("average_pool2d",),
        "uint8 models: ties of the mean round up in uint8; edgert computes in int8, where ties round away from the "
        "zero of int8, 128 of uint8 (LiteRT's int8 kernels do the same as edgert)",
    ),
)
OFTEN_OFF_BY_ONE = frozenset(name for row in ROUNDING for name in row.operators)


@dataclass(frozen=True)
class Case:
    """A quantised model; cut: whether it ends in a softmax. labelled: its labelled inputs as the model takes them."""

    name: str
    cut: bool = True
    labelled: Callable[[Find], Iterator[Array]] | None = None
    mend: bool = False


CASES = (
    Case("kws_dscnn_int8", labelled=lambda find: (x for x, _ in kws(find))),
    Case("ic_resnet8_int8", labelled=lambda find: (as_int8(x) for x, _ in cifar(find))),
    Case("vww_mnv1_int8", labelled=lambda find: (as_int8(x) for x, _ in person(find))),
    Case("ad_ae_int8", cut=False),
    # LiteRT and tflite-runtime refuse this file for the axes of its biases, which edgert reads past.
    Case("person_detect_int8", labelled=lambda find: (as_int8(x) for x, _ in gray_person(find)), mend=True),
    Case("micro_speech_int8"),
    Case("hello_world_int8", cut=False, labelled=lambda find: (np.full((1, 1), q, np.int8) for q in range(-128, 128))),
)
LEGACY = ("mobilenet_v1_0.25_128_qat_uint8", "mobilenet_v1_0.25_224_qat_uint8", "mobilenet_v2_1.0_224_qat_uint8")
FLOAT = (
    "tflite/ad_ae_float.tflite",
    "tflite/hello_world_float.tflite",
    "tflite/ic_resnet8_float.tflite",
    "tflite/mobilenet_v1_0.25_224_float.tflite",
    "tflite/mp_face_detection_short_fp16w.tflite",
    "tflite/vww_mnv1_float.tflite",
    "ultraface_rfb320/rfb320_raw.tflite",
    "basic_pitch/nmp.tflite",
)


class Edgert:
    """A TFLite model converted and run by edgert, called like LiteRT."""

    def __init__(self, model: bytes) -> None:
        self._interpreter = edgert.Interpreter(model_content=convert(model).data)
        self.inputs = self._interpreter.get_input_details()
        self.outputs = self._interpreter.get_output_details()

    def run(self, *inputs: Array) -> list[Array]:
        for detail, array in zip(self.inputs, inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return [np.array(self._interpreter.get_tensor(detail["index"])) for detail in self.outputs]


@functools.cache
def engines(path: Path, cut: bool, mend: bool = False) -> tuple[Edgert, LiteRT]:
    """Both engines on a model; edgert has the file as it is, but for the cut."""
    original = path.read_bytes()
    mended = mend_axes(original) if mend else original
    return (
        Edgert(cut_before(original, SOFTMAX) if cut else original),
        LiteRT(cut_before(mended, SOFTMAX) if cut else mended),
    )


def inputs_of(case: Case, engine: Edgert, find: Find) -> Iterator[Array]:
    detail = engine.inputs[0]
    yield from random_inputs(tuple(detail["shape"]), np.dtype(detail["dtype"]).name, RANDOM_INPUTS)
    if case.labelled is not None:
        yield from case.labelled(find)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_int8_models_are_bit_equal_to_litert(case: Case, shared_data: Find) -> None:
    ours, theirs = engines(shared_data(f"tflite/{case.name}.tflite"), case.cut, case.mend)
    for i, x in enumerate(inputs_of(case, ours, shared_data)):
        np.testing.assert_array_equal(ours.run(x)[0], theirs.run(x)[0], err_msg=f"input {i}")


@pytest.mark.parametrize("case", [case for case in CASES if case.cut], ids=lambda case: case.name)
def test_after_softmax_within_one(case: Case, shared_data: Find) -> None:
    ours, theirs = engines(shared_data(f"tflite/{case.name}.tflite"), cut=False, mend=case.mend)
    for i, x in enumerate(inputs_of(case, ours, shared_data)):
        difference = np.abs(ours.run(x)[0].astype(int) - theirs.run(x)[0])
        assert difference.max() <= 1, f"input {i}"


@pytest.mark.parametrize("name", LEGACY)
def test_legacy_uint8_models(name: str, shared_data: Find) -> None:
    """Same class on every photograph; logits and probabilities within 1 for at least 99 %."""
    path = shared_data(f"tflite/{name}.tflite")
    for cut in (False, True):
        ours, theirs = engines(path, cut)
        _, height, width, _ = ours.inputs[0]["shape"]
        assert ours.inputs[0]["dtype"] == np.uint8
        off = total = 0
        for i, x in enumerate(photos(shared_data, int(height), int(width))):
            a, b = ours.run(x)[0], theirs.run(x)[0]
            assert a.dtype == b.dtype
            assert a.argmax() == b.argmax(), f"photograph {i}"
            off += int((np.abs(a.astype(int) - b) > 1).sum())
            total += a.size
        assert total > 0
        assert off <= total // 100, f"{off} of {total} differ by more than 1"


@pytest.mark.parametrize("name", FLOAT)
def test_float_models_are_close_to_litert(name: str, shared_data: Find) -> None:
    """Within 1e-4, relative to the largest number of each output."""
    ours, theirs = engines(shared_data(name), cut=False)
    shape = tuple(ours.inputs[0]["shape"])
    for x in random_inputs(shape, "float32", 3):
        for a, b in zip(ours.run(x), theirs.run(x), strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()


def test_dynamic_range_weights_keep_the_accuracy(shared_data: Find) -> None:
    """int8 weights, float activations: edgert dequantises the weights. 90.0 % is measured on the whole data set."""
    model = Edgert(shared_data("tflite/kws_dscnn_hybrid.tflite").read_bytes())
    scale, zero_point = np.float32(0.5847029), 83
    right = [
        model.run((x.astype(np.float32) - zero_point) * scale)[0].argmax() == label for x, label in kws(shared_data)
    ]
    assert np.mean(right) >= 0.89


def test_detector(shared_data: Find) -> None:
    """Boxes, classes, scores and count of a detector, its post-processing within: the same bits on every photograph."""
    ours, theirs = engines(shared_data("tflite/ssd_mobilenet_v1_coco_uint8.tflite"), cut=False)
    total = 0
    for i, x in enumerate(photos(shared_data, 300, 300)):
        for a, b in zip(ours.run(x), theirs.run(x), strict=True):
            np.testing.assert_array_equal(a, b, err_msg=f"photograph {i}")
        total += 1
    assert total > 0


def test_variables_live_between_runs(shared_data: Find) -> None:
    """The wake word model: 12 variables, a probability after each 30 ms of audio."""
    ours, theirs = engines(shared_data("tflite/wakeword_okay_nabu_int8_stateful.tflite"), cut=False)
    rng = np.random.default_rng(5)
    seen = set()
    for _ in range(200):
        x = np.clip(rng.normal(-60, 50, (1, 3, 40)), -128, 127).astype(np.int8)
        a, b = ours.run(x)[0], theirs.run(x)[0]
        np.testing.assert_allclose(a.astype(int), b.astype(int), atol=1)
        seen.add(b.item())
    assert len(seen) > 1


@pytest.mark.parametrize("name", [*(case.name for case in CASES), *LEGACY])
def test_each_operator_is_within_one_of_the_reference_kernels(name: str, shared_data: Find) -> None:
    """Every operator by itself, on the inputs that it has inside tflite-runtime's reference interpreter."""
    model = shared_data(f"tflite/{name}.tflite").read_bytes()
    graph = tflite.load(model)
    value = graph.inputs[0]
    inputs = list(random_inputs(value.shape, value.dtype.numpy_name, 2, seed=3))
    for x, tensors in zip(inputs, tflite_runtime_tensors(model, inputs), strict=True):
        tensors[graph.inputs[0].name] = x
        ours: dict[Value, Array] = {}  # what the source has no name for

        def theirs(value: Value, tensors: dict[str, Array] = tensors, ours: dict[Value, Array] = ours) -> Array:
            """A tensor as the graph has it: int8, whatever it is called at the interface."""
            array = tensors.get(value.name, tensors.get(value.name.removesuffix("/int8")))
            if array is None:
                return ours[value]
            return as_int8(array) if array.dtype == np.uint8 else array

        for node in graph.nodes:
            if node.op == "quantize":  # the shift from uint8, which the reference does not have
                continue
            arrays = [None if v is None else v.data if v.data is not None else theirs(v) for v in node.inputs]
            (found,) = OPS_BY_NAME[node.op].run(node, arrays)
            ours[node.output] = found
            difference = np.abs(found.astype(int) - theirs(node.output).reshape(found.shape)).max()
            assert difference <= (1 if node.op in OFTEN_OFF_BY_ONE else 0), node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_interface_is_that_of_litert_and_its_batch_can_be_resized(case: Case, shared_data: Find) -> None:
    ours, theirs = engines(shared_data(f"tflite/{case.name}.tflite"), cut=False, mend=case.mend)
    for a, b in zip([*ours.inputs, *ours.outputs], [*theirs.inputs, *theirs.outputs], strict=True):
        assert (a["name"], a["dtype"], a["quantization"]) == (b["name"], b["dtype"], b["quantization"])
        np.testing.assert_array_equal(a["shape"], b["shape"])
    wide = edgert.Interpreter(model_content=shared_data(f"tflite/{case.name}.tflite").read_bytes())
    source, target = wide.get_input_details()[0], wide.get_output_details()[0]
    batch = np.concatenate(list(random_inputs(tuple(source["shape"]), "int8", 3)))
    wide.resize_tensor_input(source["index"], batch.shape)
    wide.set_tensor(source["index"], batch)
    wide.invoke()
    alone = np.concatenate([ours.run(x[None])[0] for x in batch])
    np.testing.assert_array_equal(wide.get_tensor(target["index"]), alone)

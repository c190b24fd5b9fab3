"""TFLite operators that index, select and detect, in the runtime against LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from litert_reference import LiteRT
from runtime_runs import run_converted

from edgert.errors import EdgertError, UnsupportedError
from edgert.importers import tflite
from edgert.importers.tflite import detection, indices

from ._tflite_models import Array, Tensor, constant, one_op

rng = np.random.default_rng(21)
QUANT = (0.05, 3)


@dataclass(frozen=True)
class Case:
    """Arrays are fed at run time; Tensors are constants."""

    kind: str
    inputs: tuple[Array | Tensor, ...]
    table: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("float32",)
    quantized: bool = False  # int8 inputs and outputs carry QUANT
    label: str = ""

    def __str__(self) -> str:
        return f"{self.kind}-{self.label}" if self.label else self.kind


def ints(values: object) -> Tensor:
    return constant(values, "int32")


def real(*shape: int) -> Array:
    return rng.standard_normal(shape).astype(np.float32)


def i8(*shape: int) -> Array:
    return rng.integers(-128, 128, shape).astype(np.int8)


def i32(*shape: int, high: int) -> Array:
    return rng.integers(0, high, shape).astype(np.int32)


def boxes(count: int) -> Array:
    corner = rng.uniform(0, 3, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(0, 1, (count, 2))], 1).astype(np.float32)


def scores(count: int) -> Array:
    return rng.permutation(count).astype(np.float32) / np.float32(count)


THRESHOLDS = (constant(0.3), constant(0.4))
CASES = (
    Case("TOPK_V2", (real(3, 9), ints(4)), "TopKV2Options", outputs=("float32", "int32")),
    Case("TOPK_V2", (i8(3, 9), ints(9)), "TopKV2Options", outputs=("int8", "int32"), quantized=True, label="int8"),
    Case("CUMSUM", (real(3, 9), ints(1)), "CumsumOptions"),
    Case("CUMSUM", (i32(3, 9, high=50), ints(-2)), "CumsumOptions", {"exclusive": True, "reverse": True}, ("int32",)),
    Case("GATHER_ND", (real(3, 4, 5), i32(6, 2, high=3)), "GatherNdOptions"),
    Case("GATHER_ND", (i8(3, 4, 5), ints([[0, 1, 4], [2, 3, 0]])), "GatherNdOptions", outputs=("int8",), quantized=True,
         label="constant"),
    Case("SCATTER_ND", (i32(5, 1, high=4), real(5, 3), ints([4, 3])), "ScatterNdOptions"),
    Case("SCATTER_ND", (ints([[0, 1], [2, 2], [0, 1]]), i32(3, high=9), ints([3, 4])), "ScatterNdOptions",
         outputs=("int32",), label="constant"),
    Case("ONE_HOT", (i32(2, 3, high=6), ints(5), constant(2.0), constant(-1.0)), "OneHotOptions", {"axis": -1}),
    Case("ONE_HOT", (i32(2, 3, high=6), ints(4), ints(1), ints(0)), "OneHotOptions", {"axis": 1}, ("int32",)),
    Case("REVERSE_SEQUENCE", (real(3, 5, 4, 2), ints([1, 4, 5])), "ReverseSequenceOptions", {"seqDim": 1}),
    Case("REVERSE_SEQUENCE", (real(4, 2, 3), np.array([1, 4, 3], np.int32)), "ReverseSequenceOptions",
         {"seqDim": 0, "batchDim": 2}, label="computed"),
    Case("SEGMENT_SUM", (real(5, 3), ints([0, 0, 1, 2, 2])), "SegmentSumOptions"),
    Case("UNSORTED_SEGMENT_SUM", (real(5, 3), ints([0, 2, 1, 2, 0]), ints(3)), "UnsortedSegmentSumOptions"),
    Case("UNSORTED_SEGMENT_PROD", (real(5, 3), ints([0, 2, 2, 2, 0]), ints(4)), "UnsortedSegmentProdOptions"),
    Case("UNSORTED_SEGMENT_MIN", (real(5), ints([0, 2, 1, 2, 0]), ints(4)), "UnsortedSegmentMinOptions"),
    Case("UNSORTED_SEGMENT_MAX", (i32(5, 2, high=9), ints([0, 2, 1, 2, 0]), ints(4)), "UnsortedSegmentMaxOptions",
         outputs=("int32",)),
    Case("EMBEDDING_LOOKUP", (i32(4, high=6), constant(real(6, 5)))),
    Case("GATHER", (real(3, 5, 4), i32(3, 2, high=4)), "GatherOptions", {"axis": 2, "batchDims": 1}, label="batches"),
    Case("GATHER", (real(2, 3, 5), i32(2, 3, 7, 2, high=5)), "GatherOptions", {"axis": 2, "batchDims": 2},
         label="two-batches"),
    Case("NON_MAX_SUPPRESSION_V4", (boxes(30), scores(30), ints(8), *THRESHOLDS), "NonMaxSuppressionV4Options",
         outputs=("int32", "int32")),
    Case("NON_MAX_SUPPRESSION_V4", (boxes(9), scores(9), ints(20), *THRESHOLDS), "NonMaxSuppressionV4Options",
         outputs=("int32", "int32"), label="padded"),
    Case("NON_MAX_SUPPRESSION_V5", (boxes(30), scores(30), ints(12), *THRESHOLDS, constant(0.0)),
         "NonMaxSuppressionV5Options", outputs=("int32", "float32", "int32")),
    Case("NON_MAX_SUPPRESSION_V5", (boxes(40), scores(40), ints(50), constant(1.0), constant(0.1), constant(0.2)),
         "NonMaxSuppressionV5Options", outputs=("int32", "float32", "int32"), label="soft"),
)  # fmt: skip


def build(case: Case, shapes: Sequence[tuple[int, ...]]) -> bytes:
    def described(array: Array) -> Tensor:
        return Tensor(array.shape, array.dtype.name, QUANT if case.quantized and array.dtype == np.int8 else None)

    inputs = [item if isinstance(item, Tensor) else described(item) for item in case.inputs]
    inputs = [replace(item, quant=QUANT) if case.quantized and item.dtype == "int8" else item for item in inputs]
    outputs = [
        Tensor(shape, dtype, QUANT if case.quantized and dtype == "int8" else None)
        for shape, dtype in zip(shapes, case.outputs, strict=True)
    ]
    return one_op(case.kind, inputs, outputs, case.table, case.options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_as_in_litert(case: Case) -> None:
    fed = [item for item in case.inputs if not isinstance(item, Tensor)]
    draft = LiteRT(build(case, [()] * len(case.outputs)), delegates=False)
    shapes = [array.shape for array in draft.run(*fed)]
    model = build(case, shapes)
    for found, wanted in zip(run_converted(model, fed), LiteRT(model, delegates=False).run(*fed), strict=True):
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        if found.dtype == np.float32:
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-6)
        else:
            np.testing.assert_array_equal(found, wanted)


def test_every_operator_has_a_case() -> None:
    tested = {case.kind for case in CASES} | {"CUSTOM TFLite_Detection_PostProcess"}
    assert tested >= indices.HANDLERS.keys() | detection.HANDLERS.keys()


OPTIONS: dict[str, Any] = {
    "max_detections": 7, "max_classes_per_detection": 1, "num_classes": 4, "nms_iou_threshold": 0.4,
    "nms_score_threshold": 0.2, "x_scale": 10.0, "y_scale": 8.0, "w_scale": 5.0, "h_scale": 4.0,
}  # fmt: skip


def postprocess(count: int, columns: int, options: Mapping[str, Any], unsigned: bool = False) -> bytes:
    middle, size = rng.uniform(0, 1, (count, 2)), rng.uniform(0.1, 0.5, (count, 2))
    anchors = np.concatenate([middle, size], 1)
    dtype, quants = "float32", (None, None, None)
    if unsigned:
        dtype, quants = "uint8", ((0.05, 120), (1 / 256, 0), (0.004, 3))
        anchors = np.rint(anchors / 0.004 + 3)
    inputs = [
        Tensor((1, count, 4), dtype, quants[0]),
        Tensor((1, count, columns), dtype, quants[1]),
        constant(anchors, dtype, quants[2]),
    ]
    return one_op("CUSTOM TFLite_Detection_PostProcess", inputs, [Tensor()] * 4, options=options)


@pytest.mark.parametrize("unsigned", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, {"max_classes_per_detection": 3}, {"use_regular_nms": True}, {"num_classes": 5}, {"max_detections": 60},
     {"use_regular_nms": True, "detections_per_class": 2, "max_detections": 6},
     {"use_regular_nms": True, "max_detections": 1}],
    ids=str,
)  # fmt: skip
def test_detection_postprocess(changes: dict[str, Any], unsigned: bool) -> None:
    """The same bits as far as there are detections (TFLite leaves the other rows as memory had them). Scores of a run
    are all different: among equal ones TFLite's order is its library's."""
    options = {**OPTIONS, **changes}
    model = postprocess(50, 5, options, unsigned)
    for seed in range(4):
        generator = np.random.default_rng(seed)
        encodings, marks = generator.normal(0, 2, (1, 50, 4)), generator.permutation(250).reshape(1, 50, 5) / 256
        if unsigned:
            inputs = [np.clip(encodings * 20 + 120, 0, 255).astype(np.uint8), (marks * 256).astype(np.uint8)]
        else:
            inputs = [encodings.astype(np.float32), marks.astype(np.float32)]
        ours, theirs = run_converted(model, inputs), LiteRT(model, delegates=False).run(*inputs)
        count = int(theirs[3][0])
        assert ours[3].tolist() == [count]
        rows = count if options.get("use_regular_nms") else count * options["max_classes_per_detection"]
        assert rows > 0
        for found, wanted in zip(ours[:3], theirs[:3], strict=True):
            assert found.shape == wanted.shape
            np.testing.assert_array_equal(found[:, :rows], wanted[:, :rows])
            assert not found[:, rows:].any()


@pytest.mark.parametrize("packed", [b"", b"\0", b"\1\2\3", b"\xff" * 40, b"\0" * 5000], ids=len)
def test_damaged_options_are_an_error(packed: bytes) -> None:
    from litert_reference import edit

    def damage(tree: Any) -> None:
        tree.subgraphs[0].operators[0].customOptions = np.frombuffer(packed, np.uint8)

    with pytest.raises(EdgertError):
        tflite.load(edit(postprocess(9, 5, OPTIONS), damage))


def test_hostile_options_are_an_error() -> None:
    """Every byte of the options changed: an error or a model, and never anything else."""
    from litert_reference import edit

    model = postprocess(9, 5, OPTIONS)
    for position in range(0, 200, 3):
        for value in (0, 0x7F, 0xFF):

            def damage(tree: Any, position: int = position, value: int = value) -> None:
                operator = tree.subgraphs[0].operators[0]
                changed = np.array(operator.customOptions, np.uint8)
                changed[position % changed.size] = value
                operator.customOptions = changed

            try:
                tflite.load(edit(model, damage))
            except EdgertError:
                continue


def test_what_the_data_decides_is_refused() -> None:
    rows = Case("SEGMENT_SUM", (real(5, 3), np.array([0, 0, 1, 3, 3], np.int32)), "SegmentSumOptions")
    with pytest.raises(UnsupportedError, match="segment ids"):
        tflite.load(build(rows, [(4, 3)]))
    dropped = Case("UNSORTED_SEGMENT_SUM", (real(2, 3), ints([0, -1]), ints(2)), "UnsortedSegmentSumOptions")
    with pytest.raises(UnsupportedError, match="drops rows"):
        tflite.load(build(dropped, [(2, 3)]))
    k = Case("TOPK_V2", (real(3, 9), np.array(4, np.int32)), "TopKV2Options", outputs=("float32", "int32"))
    with pytest.raises(UnsupportedError, match="depends on the data"):
        tflite.load(build(k, [(3, 4), (3, 4)]))

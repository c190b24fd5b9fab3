"""Mean average precision, beside COCO's own evaluation."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measuring.coco import SIZE, coco_ap
from numpy.typing import NDArray

from edgert.errors import InputError
from edgert.metrics import Boxes, metric
from edgert.metrics.boxes import iou

Array = NDArray[Any]


def scene(images: int, classes: int, seed: int, crowds: bool) -> tuple[list[Array], list[Boxes]]:
    """Found rows (x1 y1 x2 y2 score class) and labelled boxes: some near, some far, some doubled, equal scores."""
    rng = np.random.default_rng(seed)
    found, wanted = [], []
    for _ in range(images):
        count = int(rng.integers(0, 7))
        corner = rng.uniform(0, 0.6, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(0.05, 0.4, (count, 2))], 1)
        labels = rng.integers(0, classes, count)
        wanted.append(Boxes(labels, boxes, rng.random(count) < (0.3 if crowds else 0), (SIZE, SIZE)))
        near = np.repeat(boxes, 2, 0) + rng.normal(scale=0.03, size=(2 * count, 4))
        far = rng.uniform(0, 0.5, (5, 4)) + np.array([0, 0, 0.5, 0.5])
        rows = np.concatenate([near, far])
        rows[:, 2:] = np.maximum(rows[:, 2:], rows[:, :2] + 0.01)  # COCO's evaluation forgives boxes of negative area
        kinds = np.concatenate([np.repeat(labels, 2), rng.integers(0, classes, 5)])
        kinds = np.where(rng.random(len(kinds)) < 0.1, (kinds + 1) % classes, kinds)
        found.append(np.column_stack([rows, np.round(rng.uniform(0.1, 1, len(rows)), 1), kinds]))
    return found, wanted


@pytest.mark.parametrize("crowds", [False, True])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_map_equals_pycocotools(seed: int, crowds: bool, capsys: pytest.CaptureFixture[str]) -> None:
    found, wanted = scene(25, 4, seed, crowds)
    expected = coco_ap(found, wanted)
    outputs = [{"detections": rows[None].astype(np.float64)} for rows in found]
    made = metric("map")
    evidence = [made.evidence(*pair) for pair in zip(outputs, wanted, strict=True)]
    assert made.value(evidence) == pytest.approx(expected[0], abs=1e-9)
    assert made.details(evidence)["per_threshold"]["0.75"] == pytest.approx(expected[2], abs=1e-9)
    found50 = metric("map50").measure(outputs, wanted)
    assert found50.value == pytest.approx(expected[1], abs=1e-9)
    assert found50.low < found50.value < found50.high
    assert 5 < expected[0] < 60  # neither trivial nor hopeless


def test_weights_are_repetitions() -> None:
    found, wanted = scene(20, 3, 5, False)
    for labels in found:
        labels[:, 4] += np.random.default_rng(0).random(len(labels)) * 1e-3  # no equal scores between images
    made = metric("map")
    evidence = [made.evidence({"d": rows[None]}, labels) for rows, labels in zip(found, wanted, strict=True)]
    weights = np.random.default_rng(1).integers(0, 3, 20)
    repeated = [evidence[i] for i in np.repeat(np.arange(20), weights)]
    assert made.score(evidence)(weights.astype(float)) == pytest.approx(made.value(repeated))


def test_forms_of_outputs() -> None:
    found, wanted = scene(10, 3, 7, False)
    shares = metric("map").measure([{"d": rows[None]} for rows in found], wanted).value
    pixels = [rows * np.array([SIZE, SIZE, SIZE, SIZE, 1, 1]) for rows in found]
    assert metric("map").measure([{"d": rows} for rows in pixels], wanted).value == pytest.approx(shares)
    for names in (
        ("boxes", "classes", "scores", "count"),
        ("boxes", "x:1", "x:2", "x:3"),
        ("a", "scores", "classes", "n"),
    ):
        outputs = []
        for rows in found:
            padded = np.zeros((30, 6))
            padded[: len(rows)] = rows
            parts = {
                names[0]: padded[None, :, [1, 0, 3, 2]],
                names[1]: padded[None, :, 5],
                names[2]: padded[None, :, 4],
                names[3]: np.array([float(len(rows))]),
            }
            if names[1] == "scores":
                parts["scores"], parts["classes"] = parts["classes"], parts["scores"]
            outputs.append(parts)
        assert metric("map").measure(outputs, wanted).value == pytest.approx(shares), names


def test_decoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_decoder.py").write_text(
        "import numpy as np\n"
        "def centres(outputs):\n"
        "    d = outputs['d'][0]\n"
        "    return np.concatenate([d[:, :2] - d[:, 2:4] / 2, d[:, :2] + d[:, 2:4] / 2, d[:, 4:]], 1)\n"
        "def broken(outputs):\n"
        "    return outputs['absent']\n"
        "def flat(outputs):\n"
        "    return np.zeros(5)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_decoder", raising=False)
    found, wanted = scene(10, 3, 7, False)
    shares = metric("map").measure([{"d": rows[None]} for rows in found], wanted).value
    outputs = []
    for rows in found:
        middle, sides = (rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2]
        outputs.append({"d": np.concatenate([middle, sides, rows[:, 4:]], 1)[None]})
    assert metric("map:my_decoder:centres").measure(outputs, wanted).value == pytest.approx(shares)
    with pytest.raises(InputError, match=r"my_decoder:broken failed: KeyError.*d: float64"):
        metric("map50:my_decoder:broken").measure(outputs, wanted)
    with pytest.raises(InputError, match=r"shape \[5\], needed \[N, 6\]"):
        metric("map:my_decoder:flat").measure(outputs, wanted)
    with pytest.raises(InputError, match=r"has no function 'absent'"):
        metric("map:my_decoder:absent").measure(outputs, wanted)


def test_wrong_outputs_and_targets() -> None:
    labels = Boxes.of([[0, 0, 0, 1, 1]])
    with pytest.raises(InputError, match=r"map needs boxes \[1, N, 4\].*map:MODULE:FUNCTION.*y: float64\[1, 5\]"):
        metric("map").measure([{"y": np.zeros((1, 5))}], [labels])
    with pytest.raises(InputError, match="is a int, needed the labelled boxes"):
        metric("map").measure([{"y": np.zeros((1, 5, 6))}], [3])
    with pytest.raises(InputError, match="reach 100, and the image's size is unknown"):
        metric("map").measure([{"y": np.array([[[0, 0, 100, 50, 0.5, 0]]])}], [labels])
    nothing = metric("map").measure([{"y": np.full((1, 3, 6), np.nan)}], [labels])
    assert nothing.value == 0
    assert np.isnan(metric("map").measure([{"y": np.zeros((1, 3, 6))}], [Boxes.of([])]).value)


def test_iou() -> None:
    boxes = np.array([[0, 0, 2, 2], [5, 5, 6, 6]], float)
    shares = iou(boxes, np.array([[1, 0, 3, 2], [0, 0, 2, 2]], float), np.array([False, True]))
    np.testing.assert_allclose(shares, [[2 / 6, 1], [0, 0]])

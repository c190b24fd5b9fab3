"""Data sets from every kind of source, their division, and what is wrong with them."""

from __future__ import annotations

import struct
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgert.dtypes import DType
from edgert.errors import InputError
from edgert.evaluation import Dataset, digest_of, load_dataset, split
from edgert.metrics import Boxes
from edgert.runtime.tensors import TensorInfo

VECTOR = (TensorInfo(0, "x", DType.FLOAT32, (1, 2), None, "activation"),)
IMAGE = (TensorInfo(0, "image", DType.FLOAT32, (1, 8, 10, 3), None, "activation"),)


def vectors(folder: Path, count: int = 6) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        np.save(folder / f"{i}.npy", np.array([[i, folder.name == "b"]], np.float32))


def images(folder: Path, count: int = 3) -> None:
    image = pytest.importorskip("PIL.Image")
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image.new("RGB", (20, 16), (i, 2 * i, 200)).save(folder / f"{i}.png")


def refused(message: str, *args: Any, **options: Any) -> None:
    """Loading and reading fail with one line."""
    with pytest.raises(InputError, match=message) as error:
        list(load_dataset(*args, **options))
    assert "\n" not in str(error.value)


# --- classes ---


def test_files_that_a_csv_names(tmp_path: Path) -> None:
    vectors(tmp_path / "data")
    (tmp_path / "labels.csv").write_text("file,label\n2.npy,two\n0.npy,0\n")
    dataset = load_dataset(tmp_path / "data", VECTOR, tmp_path / "labels.csv", names=("zero", "one", "two"), classes=3)
    assert dataset.names == ("2.npy", "0.npy")
    assert dataset.targets == (2, 0)
    assert dataset[0].inputs["x"].tolist() == [[2, 0]]
    refused("labels.csv: 2.npy has the label 2, but the model has 2 classes", tmp_path / "data", VECTOR,
            tmp_path / "labels.csv", names=("zero", "one", "two"), classes=2)  # fmt: skip
    (tmp_path / "labels.csv").write_text("2.npy,2\n9.npy,0\n8.npy,0\n")
    refused(
        "2 of the 3 labelled files are not in .*, such as 9.npy", tmp_path / "data", VECTOR, tmp_path / "labels.csv"
    )
    np.save(tmp_path / "data" / "2.npy", np.zeros((4, 1, 2)))
    (tmp_path / "labels.csv").write_text("2.npy,2\n")
    refused("2.npy holds 4 samples; a labelled file must hold one", tmp_path / "data", VECTOR, tmp_path / "labels.csv")
    refused("absent.csv cannot be read", tmp_path / "data", VECTOR, tmp_path / "absent.csv")


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        vectors(tmp_path / name, 2)
    counted = load_dataset(tmp_path, VECTOR)
    assert counted.targets == (0, 0, 1, 1, 2, 2)
    named = load_dataset(tmp_path, VECTOR, names=("c", "x", "b", "a"), classes=4)
    assert named.targets == (3, 3, 2, 2, 0, 0)
    assert named[2].inputs["x"][0, 1] == 1
    refused("b/0.npy has the label 1, but the model has 1 classes|has the label 1", tmp_path, VECTOR, classes=1)
    (tmp_path / "d").mkdir()
    refused("folder .*d holds no data", tmp_path, VECTOR)
    vectors(tmp_path / "d", 1)
    refused("folder .*d is called by none of the model's labels", tmp_path, VECTOR, names=("c", "x", "b", "a"))


def test_folders_that_are_numbers(tmp_path: Path) -> None:
    for name in ("0", "10", "2"):
        vectors(tmp_path / name, 1)
    assert load_dataset(tmp_path, VECTOR).targets == (0, 10, 2)


def test_an_archive_with_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", anything=np.arange(8.0).reshape(4, 2), labels=np.array([0, 2, 1, 1]))
    dataset = load_dataset(tmp_path / "a.npz", VECTOR, classes=3)
    assert dataset.targets == (0, 2, 1, 1)
    assert dataset[3].inputs["x"].tolist() == [[6, 7]]
    assert dataset.begins == (True,) * 4
    refused(r"a.npz\[1\] has the label 2, but the model has 2 classes", tmp_path / "a.npz", VECTOR, classes=2)
    np.savez(tmp_path / "b.npz", x=np.zeros((4, 2)), labels=np.zeros((4, 3), np.float32), sequences=[5, 5, 2, 2])
    dataset = load_dataset(tmp_path / "b.npz", VECTOR)
    assert dataset.targets is not None
    assert dataset.targets[0].shape == (3,)
    assert dataset.sequences == (0, 0, 1, 1)
    for name, arrays, message in (
        ("count", {"labels": np.zeros(3, int)}, r"'labels' has shape \[3\] and there are 4 samples"),
        ("text", {"labels": np.array(list("abcd"))}, "'labels' holds <U1, needed numbers"),
        ("nan", {"labels": np.array([0, 1, np.nan, 0])}, "not finite in row 2"),
        ("apart", {"sequences": np.array([1, 2, 1, 2])}, "comes back to 1 in row 2"),
        ("kind", {"sequences": np.zeros((4, 2))}, r"'sequences' is float64\[4, 2\]"),
    ):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((4, 2)), **arrays)  # type: ignore[arg-type]
        refused(f"{name}.npz.*{message}", tmp_path / f"{name}.npz", VECTOR)
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 and nothing")
    refused("junk.npz is no .npz archive", tmp_path / "junk.npz", VECTOR)
    refused("labels beside it are for folders", tmp_path / "a.npz", VECTOR, tmp_path / "labels.csv")


def test_without_labels(tmp_path: Path) -> None:
    vectors(tmp_path / "data")
    assert load_dataset(tmp_path / "data", VECTOR).targets is None
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)))
    assert load_dataset(tmp_path / "a.npz", VECTOR).targets is None
    np.save(tmp_path / "a.npy", np.zeros((4, 1, 2)))
    dataset = load_dataset(tmp_path / "a.npy", VECTOR)
    assert (len(dataset), dataset.begins) == (4, (True,) * 4)
    refused("no such file or folder", tmp_path / "absent", VECTOR)
    refused("no such file or folder", tmp_path / "absent.npz", VECTOR, tmp_path / "labels.csv")


# --- boxes and masks ---


def test_yolo(tmp_path: Path) -> None:
    images(tmp_path / "images")
    (tmp_path / "labels").mkdir()
    for i in range(3):
        (tmp_path / "labels" / f"{i}.txt").write_text(f"{i} 0.5 0.5 0.2 0.4\n\n1 0.25 0.5 0.5 1\n" if i else "")
    dataset = load_dataset(tmp_path, IMAGE, names=("cat", "dog", "bird"))
    assert dataset.source == str(tmp_path)
    assert dataset.targets is not None
    empty, one, two = dataset.targets
    assert isinstance(two, Boxes)
    assert (len(empty.classes), one.classes.tolist(), two.classes.tolist()) == (0, [1, 1], [2, 1])
    np.testing.assert_allclose(two.boxes, [[0.4, 0.3, 0.6, 0.7], [0, 0, 0.5, 1]])
    assert two.size == (8, 10)
    assert dataset[1].inputs["image"].shape == (1, 8, 10, 3)
    path = tmp_path / "labels" / "1.txt"
    for text, message in {
        "1 0.5 0.5 0.2": r"1.txt, line 1: '1 0.5 0.5 0.2', needed five numbers",
        "0 0 0 1 1\n1 0.5 0.5 0.2 1.4": "1.txt, line 2: .*from 0 to 1",
        "1 0.5 nan 0.2 0.4": "1.txt, line 1: .*from 0 to 1",
        "cat 0.5 0.5 0.2 0.4": "1.txt, line 1: .*needed five numbers",
        "1.5 0.5 0.5 0.2 0.4": "1.txt, line 1: class 1.5",
        "3 0.5 0.5 0.2 0.4": "1.txt, line 1 has the label 3, but the model has 3 classes",
    }.items():
        path.write_text(text)
        refused(message, tmp_path, IMAGE, names=("cat", "dog", "bird"))
    path.write_bytes(b"\xff\xfe\x00")
    refused("1.txt cannot be read", tmp_path, IMAGE)
    path.unlink()
    refused("1.png has no labels: there is no .*1.txt; .*empty one", tmp_path, IMAGE)


def test_masks(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    images(tmp_path / "images")
    (tmp_path / "masks").mkdir()
    for i in range(3):
        image.fromarray(np.full((16, 20), i, np.uint8)).save(tmp_path / "masks" / f"{i}.png")
    coloured = image.new("P", (20, 16), 1)  # of a palette, the index counts
    coloured.putpalette([0, 0, 0, 255, 0, 0])
    coloured.save(tmp_path / "masks" / "1.png")
    dataset = load_dataset(tmp_path, IMAGE)
    assert dataset.targets is not None
    assert [int(mask.max()) for mask in dataset.targets] == [0, 1, 2]
    assert dataset.targets[1].shape == (16, 20)
    image.new("RGB", (20, 16)).save(tmp_path / "masks" / "2.png")
    refused("2.png is an image of mode RGB, needed one number a pixel", tmp_path, IMAGE)
    (tmp_path / "masks" / "2.png").write_text("x")
    refused("2.png is no readable image", tmp_path, IMAGE)
    (tmp_path / "masks" / "2.png").unlink()
    refused("2.png has no mask: there is no .*2.png", tmp_path, IMAGE)


# --- functions ---


def test_functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_data.py").write_text(
        "import numpy as np\n"
        "def labelled():\n"
        "    for i in range(3):\n"
        "        yield {'x': np.array([i, 1.0])}, i\n"
        "def plain():\n"
        "    return [np.ones(2), np.zeros(2)]\n"
        "def recordings():\n"
        "    yield np.zeros((3, 1, 2)), [0, 1, 0]\n"
        "    yield np.ones((1, 2)), 1\n"
        "def mixed():\n"
        "    yield np.ones(2), 1\n"
        "    yield np.ones(2)\n"
        "def broken():\n"
        "    yield np.ones(2), 1\n"
        "    raise OSError('disk\\nfull')\n"
        "def triple():\n"
        "    yield np.ones(2), 1, 2\n"
        "def short():\n"
        "    yield np.zeros((3, 1, 2)), [0, 1]\n"
        "def empty():\n"
        "    return []\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_data", raising=False)
    dataset = load_dataset("my_data:labelled", VECTOR, classes=3)
    assert dataset.targets == (0, 1, 2)
    assert dataset[2].inputs["x"].tolist() == [[2, 1]]
    assert load_dataset("my_data:plain", VECTOR).targets is None
    dataset = load_dataset("my_data:recordings", VECTOR)
    assert dataset.targets == (0, 1, 0, 1)
    assert dataset.begins == (True, False, False, True)
    refused(
        r"my_data:labelled\[2\] has the label 2, but the model has 2 classes", "my_data:labelled", VECTOR, classes=2
    )
    refused(r"my_data:mixed\[1\] has no target, and the samples before it have one", "my_data:mixed", VECTOR)
    refused(r"my_data:broken, after 1 samples failed: OSError: disk full", "my_data:broken", VECTOR)
    refused(r"my_data:triple\[0\] is a tuple of 3", "my_data:triple", VECTOR)
    refused(r"my_data:short\[0\] is a stack of 3 samples; needed a list of as many targets", "my_data:short", VECTOR)
    refused("my_data:empty gave no sample", "my_data:empty", VECTOR)
    refused("has no function 'absent'", "my_data:absent", VECTOR)


def test_windows_of_a_recording_belong_together(tmp_path: Path) -> None:
    for name, frames in (("a", 5), ("b", 2)):
        with wave.open(str(tmp_path / f"{name}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, frames, "NONE", ""))
            file.writeframes(struct.pack(f"<{frames}h", *range(frames)))
    dataset = load_dataset(tmp_path, VECTOR)
    assert dataset.names == ("a.wav[0]", "a.wav[1]", "a.wav[2]", "b.wav")
    assert dataset.begins == (True, False, False, True)
    assert len(set(dataset.keys)) == 4
    alone = load_dataset(tmp_path / "a.wav", VECTOR)
    assert alone.begins == (True, False, False)


@pytest.mark.parametrize("kind", ["npz", "npy", "csv", "txt", "png"])
def test_damaged_files_are_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    """Whatever the damage: the error is edgert's own, or the file still means something."""
    if kind in ("txt", "png"):
        images(tmp_path / "images", 1)
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "0.txt").write_text("1 0.5 0.5 0.2 0.2\n3 0.25 0.5 0.1 0.3\n")
        path = tmp_path / ("images/0.png" if kind == "png" else "labels/0.txt")
        source: tuple[Any, ...] = (tmp_path, IMAGE)
    elif kind == "csv":
        vectors(tmp_path / "data", 2)
        path = tmp_path / "labels.csv"
        path.write_text("file,label\n0.npy,1\n1.npy,0\n")
        source = (tmp_path / "data", VECTOR, path)
    else:
        path = tmp_path / f"a.{kind}"
        if kind == "npz":
            np.savez_compressed(path, x=np.arange(20.0).reshape(10, 2), labels=np.arange(10))
        else:
            np.save(path, np.arange(20.0).reshape(10, 2))
        source = (path, VECTOR)
    good, rng, refusals = path.read_bytes(), np.random.default_rng(0), []
    for _ in range(200):
        bad = bytearray(good)
        for at in rng.integers(0, len(good), 3):
            bad[at] = rng.integers(0, 256)
        path.write_bytes(bad[: rng.integers(0, len(bad))] if rng.random() < 0.2 else bad)
        try:
            list(load_dataset(*source))
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not any("\n" in refusal for refusal in refusals)


# --- what every data set does ---


def some(count: int, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    return Dataset.of([{"x": rng.normal(size=(1, 2))} for _ in range(count)], list(range(count)))


def test_parts_keep_their_targets() -> None:
    dataset = some(10)
    part = dataset.subset([7, 2])
    assert part.targets == (7, 2)
    assert part[0] is dataset[7]
    assert isinstance(dataset[2:4], Dataset)
    assert dataset[2:4].targets == (2, 3)
    assert len({dataset.digest, part.digest, dataset.with_targets([0] * 10).digest}) == 3
    assert dataset.samples_digest == dataset.with_targets([0] * 10).samples_digest
    with pytest.raises(InputError, match="10 samples and 3 targets"):
        dataset.with_targets([1, 2, 3])


def test_digests_are_those_of_contents(tmp_path: Path) -> None:
    vectors(tmp_path / "one")
    vectors(tmp_path / "two")
    first, second = load_dataset(tmp_path / "one", VECTOR), load_dataset(tmp_path / "two", VECTOR)
    assert first.digest == second.digest
    assert (first.title, second.title) == ("one", "two")
    assert first.digest != load_dataset(tmp_path / "one", VECTOR, normalisation=((1.0,), (2.0,))).digest
    np.save(tmp_path / "two" / "3.npy", np.array([[3, 0.5]], np.float32))
    assert first.digest != load_dataset(tmp_path / "two", VECTOR).digest
    values = [0, 0.0, "0", None, b"0", [0], (0,), {"0": 0}, True, np.zeros(1), np.zeros((1, 1)), Boxes.of([]), [[], 0]]
    assert len({digest_of(value) for value in values}) == len(values)
    assert digest_of(Boxes.of([[1, 0, 0, 1, 1]])) == digest_of(Boxes.of([[1, 0, 0, 1, 1]]))
    assert digest_of(np.int64(3)) != digest_of(np.int64(4))


def test_large_data_sets_are_read_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    vectors(tmp_path / "data")
    monkeypatch.setattr("edgert.evaluation.dataset._KEPT_BYTES", 20)  # two samples and a half
    dataset = load_dataset(tmp_path / "data", VECTOR)
    once, again = list(dataset), list(dataset)
    assert [a is b for a, b in zip(once, again, strict=True)] == [True, True, False, False, False, False]
    assert [a.inputs["x"].tolist() for a in once] == [b.inputs["x"].tolist() for b in again]


# --- the division ---


@pytest.mark.parametrize("share", [0.5, 0.1, 13, 99])
def test_split_shares_no_sample_and_loses_none(share: float) -> None:
    dataset = some(100)
    parts = split(dataset, share)
    sides = [set(part.targets or ()) for part in (parts.calibration, parts.measurement)]
    assert sides[0] | sides[1] == set(range(100))
    assert not sides[0] & sides[1]
    assert len(sides[0]) == (share if share > 1 else 100 * share)
    assert parts.rule.startswith(f"{len(sides[0])} of 100 samples with the lowest SHA-256 calibrate")
    assert parts.calibration.targets == tuple(sorted(sides[0]))


def test_split_depends_on_contents_alone() -> None:
    dataset = some(50)
    shuffled = dataset.subset(np.random.default_rng(0).permutation(50).tolist())
    assert set(split(dataset).calibration.targets or ()) == set(split(shuffled).calibration.targets or ())


def test_split_keeps_doubles_and_recordings_together(tmp_path: Path) -> None:
    arrays = [{"x": np.full((1, 2), float(i % 10))} for i in range(100)]
    doubled = split(Dataset.of(arrays), 0.3)
    assert len(doubled.calibration) == 30
    assert not set(doubled.calibration.keys) & set(doubled.measurement.keys)
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(60, 2)), sequences=np.arange(60) // 6)
    dataset = load_dataset(tmp_path / "a.npz", VECTOR)
    parts = split(dataset, 0.5)
    assert len(parts.calibration) == 30
    assert not set(parts.calibration.sequences) & set(parts.measurement.sequences)
    assert "whole recordings (10)" in parts.rule


@pytest.mark.parametrize("share", [0, 10, 1.0, -1, float("nan"), True])
def test_split_refuses_empty_parts(share: float) -> None:
    with pytest.raises(InputError, match="cannot be set apart"):
        split(some(10), share)


def test_split_refuses_what_is_all_the_same() -> None:
    with pytest.raises(InputError, match="cannot be divided"):
        split(Dataset.of([{"x": np.zeros(2)}] * 10))

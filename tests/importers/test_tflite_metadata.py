"""Metadata, labels and signatures that a .tflite file carries, and files that lie about them."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgert
from edgert.errors import EdgertError, FileFormatError, InputError
from edgert.importers import tflite

from ._tflite_models import GraphSpec, Op, Tensor, build_graphs

IMAGE, SCORES = Tensor((1, 4, 4, 3)), Tensor((1, 4, 4, 3))
MODEL = GraphSpec([IMAGE, SCORES], [Op("RELU", (0,), (1,))], [0], [1])


def metadata(mean: tuple[float, ...] = (127.5,), std: tuple[float, ...] = (128.0,), file: str = "labels.txt") -> bytes:
    """The FlatBuffer of TFLite's metadata: a name, a licence, an input's normalisation, an output's label file."""
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(256)

    def table(*slots: tuple[int, str, Any]) -> Any:
        b.StartObject(8)
        for place, kind, value in slots:
            if kind == "byte":
                b.PrependUint8Slot(place, value, 0)
            else:
                b.PrependUOffsetTRelativeSlot(place, value, 0)
        return b.EndObject()

    def tables(item: Any) -> Any:
        b.StartVector(4, 1, 4)
        b.PrependUOffsetTRelative(item)
        return b.EndVector()

    def floats(values: tuple[float, ...]) -> Any:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependFloat32(value)
        return b.EndVector()

    options = table((0, "at", floats(mean)), (1, "at", floats(std)))
    unit = table((0, "byte", 1), (1, "at", options))
    units = tables(unit)
    fed = table((4, "at", units))
    name = b.CreateString(file)
    associated = tables(table((0, "at", name), (2, "byte", 2)))
    scores = table((6, "at", associated))
    inputs, outputs = tables(fed), tables(scores)
    graphs = tables(table((2, "at", inputs), (3, "at", outputs)))
    texts = [b.CreateString(text) for text in ("A model", "What it does", "Apache-2.0", "Somebody")]
    root = table(
        (0, "at", texts[0]), (1, "at", texts[1]), (3, "at", graphs), (4, "at", texts[3]), (5, "at", texts[2])
    )  # fmt: skip
    b.Finish(root, file_identifier=b"M001")
    return bytes(b.Output())


def with_metadata(stored: bytes) -> bytes:
    def change(model: Any, schema: Any) -> None:
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = np.frombuffer(stored, np.uint8)
        entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
        model.buffers.append(buffer)
        model.metadata = [entry]

    return build_graphs([MODEL], change)


def with_files(model: bytes, **files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name.replace("_", "."), data)
    return model + packed.getvalue()


def test_everything_travels_into_the_package() -> None:
    model = with_files(with_metadata(metadata()), labels_txt=b"cat\ndog\r\n bird \n\n", other_txt=b"no")
    loaded = edgert.load(edgert.convert(model).data)
    assert loaded.labels == ("cat", "dog", "bird")
    assert loaded.normalisation == ((127.5,), (128.0,))
    assert loaded.metadata("description") == "What it does"
    assert loaded.metadata("licence") == "Apache-2.0"
    assert loaded.metadata("model_name") == "A model"
    assert loaded.metadata("model_author") == "Somebody"


def test_what_the_caller_says_wins() -> None:
    model = with_files(with_metadata(metadata()), labels_txt=b"cat\ndog\n")
    loaded = edgert.load(edgert.convert(model, labels=["a", "b", "c"], mean=[1, 2, 3], std=[4, 5, 6]).data)
    assert loaded.labels == ("a", "b", "c")
    assert loaded.normalisation == ((1, 2, 3), (4, 5, 6))


def test_a_single_label_file_without_metadata() -> None:
    assert tflite.load(with_files(build_graphs([MODEL]), labels_txt=b"x\ny\n")).about.labels == ("x", "y")
    two = with_files(build_graphs([MODEL]), labels_txt=b"x\n", more_txt=b"y\n")
    assert tflite.load(two).about.labels == ()


@pytest.mark.parametrize(("mean", "std"), [((1.0,), (0.0,)), ((1.0, 2.0), (1.0,)), ((float("nan"),), (1.0,)), ((), ())])
def test_impossible_normalisation_is_left_out(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    assert tflite.load(with_metadata(metadata(mean, std))).about.mean == ()


def test_normalisation_of_other_channels_is_left_out() -> None:
    model = with_metadata(metadata((1.0, 2.0), (1.0, 1.0)))
    assert edgert.load(edgert.convert(model).data).normalisation == ((), ())


@pytest.mark.parametrize(
    ("name", "labels", "licence"),
    [
        ("mobilenet_v1_0.25_224_qat_uint8", ("background", "tench"), "Apache"),
        ("mobilenet_v2_1.0_224_qat_uint8", ("background", "tench, Tinca tinca"), ""),
        ("mp_face_detection_short_fp16w", (), ""),
    ],
)
def test_published_models(name: str, labels: tuple[str, ...], licence: str, shared_data: Callable[[str], Path]) -> None:
    about = tflite.load(shared_data(f"tflite/{name}.tflite").read_bytes()).about
    assert about.labels[:2] == labels
    assert len(about.labels) in (0, 1001)
    assert about.licence.startswith(licence)
    assert about.mean == about.std == (127.5,)
    assert about.description


# Files that lie


def test_zip_bombs_are_not_unpacked() -> None:
    """A label file of a gigabyte in a megabyte; and one whose header says that it is small."""
    started = time.process_time()
    bomb = with_files(build_graphs([MODEL]), labels_txt=b"\n" * (1 << 26))
    assert len(bomb) < 1 << 18
    assert tflite.load(bomb).about.labels == ()
    small = bytearray(bomb)
    for signature, place in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = small.rindex(signature) + place
        small[at : at + 4] = struct.pack("<I", 100)
    graph = tflite.load(bytes(small))
    assert graph.about.labels == ()
    assert any("damaged" in note for note in graph.notes)
    assert time.process_time() - started < 3


def test_damaged_metadata_is_left_out_and_said() -> None:
    """Whatever is wrong with it, the model converts; nothing but an EdgertError ever comes of it."""
    stored, chance = metadata(), random.Random(5)
    left_out = 0
    for _ in range(300):
        broken = bytearray(stored)
        for _ in range(chance.randrange(1, 5)):
            broken[chance.randrange(8, len(broken))] = chance.randrange(256)
        graph = tflite.load(with_files(with_metadata(bytes(broken)), labels_txt=b"a\nb\n"))
        left_out += any("damaged" in note for note in graph.notes)
    assert left_out > 20
    cut = with_files(with_metadata(stored), labels_txt=b"a\nb\n")
    for length in range(len(cut) - 1, len(cut) - 120, -7):
        with contextlib.suppress(EdgertError):
            tflite.load(cut[:length])


# Signatures


def two_signatures() -> bytes:
    def change(model: Any, schema: Any) -> None:
        model.signatureDefs = []
        for graph, key in enumerate(("encode", "decode")):
            signature, fed, made = schema.SignatureDefT(), schema.TensorMapT(), schema.TensorMapT()
            fed.name, fed.tensorIndex, made.name, made.tensorIndex = f"{key}_in", 0, f"{key}_out", 1
            signature.signatureKey, signature.subgraphIndex = key, graph
            signature.inputs, signature.outputs = [fed], [made]
            model.signatureDefs.append(signature)

    other = GraphSpec([IMAGE, SCORES], [Op("NEG", (0,), (1,))], [0], [1])
    return build_graphs([MODEL, other], change)


def test_signatures_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "two.tflite"
    path.write_bytes(two_signatures())
    first = edgert.convert(path)
    assert "signatures 'encode', 'decode'; this is 'encode'" in " ".join(first.notes)
    second = edgert.convert(path, signature="decode")
    assert not second.notes
    for converted, key, factor in ((first, "encode", 1), (second, "decode", -1)):
        interpreter = edgert.Interpreter(model_content=converted.data)
        runner = interpreter.get_signature_runner()
        x = np.abs(np.random.default_rng(0).normal(size=(1, 4, 4, 3))).astype(np.float32)
        result = runner(**{f"{key}_in": x})
        np.testing.assert_array_equal(result[f"{key}_out"], factor * x)
    with pytest.raises(InputError, match="no signature 'x'; the model has 'encode', 'decode'"):
        edgert.convert(path, signature="x")


def test_signature_of_a_graph_that_is_not_there() -> None:
    def change(model: Any, schema: Any) -> None:
        model.signatureDefs = [schema.SignatureDefT()]
        model.signatureDefs[0].subgraphIndex = 9

    with pytest.raises(FileFormatError, match="graph 9 of 1"):
        tflite.load(build_graphs([MODEL], change))

"""Keras files from strangers: an error of edgert's own, soon, and without taking memory."""

from __future__ import annotations

import copy
import io
import json
import random
import resource
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgert.errors import EdgertError, FileFormatError, InputError, ModelError, UnsupportedError
from edgert.importers.keras import load

h5py = pytest.importorskip("h5py", reason="the package h5py is absent")

RECORDED = Path(__file__).resolve().parents[1] / "data" / "keras"
DENSE = {"name": "dense", "trainable": True, "units": 4, "activation": "linear", "use_bias": True}
INPUT = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 6], "name": "x", "dtype": "float32"}}


def sequential(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def hdf5(path: Path, config: Any, fill: Callable[[Any], None] | None = None) -> Path:
    """An .h5 file as tf.keras writes it; fill puts the weights of the layer `dense` into its group."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        group = file.create_group("model_weights/dense")
        file["model_weights"].attrs["layer_names"] = ["dense"]
        group.attrs["weight_names"] = ["kernel:0", "bias:0"]
        if fill is None:
            group["kernel:0"], group["bias:0"] = np.ones((6, 4), np.float32), np.ones(4, np.float32)
        else:
            fill(group)
    return path


def archive(path: Path, config: Any, weights: bytes = b"", **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
        file.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config))
        file.writestr("model.weights.h5", weights)
    return path


def refused(path: Path, match: str = "", kind: type[EdgertError] = EdgertError) -> None:
    """load raises an error of one line within a second, and takes less than 200 MB."""
    load_or_error(path)  # imports
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(kind, match=match) as caught:
        load(path)
    taken = time.monotonic() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 1.5  # tracing slows it down
    assert peak < 200 << 20
    assert isinstance(caught.value, UnsupportedError) or "\n" not in str(caught.value)


def load_or_error(path: Path) -> EdgertError | None:
    try:
        load(path)
    except EdgertError as error:
        return error
    return None


def test_a_sound_file_is_read(tmp_path: Path) -> None:
    graph = load(hdf5(tmp_path / "m.h5", sequential(INPUT, {"class_name": "Dense", "config": DENSE})))
    assert [node.op for node in graph.nodes] == ["fully_connected"]


# --- Shapes that the file has no bytes for ---


def huge(**options: Any) -> Callable[[Any], None]:
    def fill(group: Any) -> None:
        group.create_dataset("kernel:0", (6, 10**9), np.float32, **options)
        group["bias:0"] = np.ones(4, np.float32)

    return fill


@pytest.mark.parametrize(
    "options",
    [{"chunks": (6, 1 << 16), "compression": "gzip"}, {"chunks": (1, 1 << 10)}, {}],
    ids=["compressed", "chunked", "contiguous"],
)
def test_huge_dataset(options: dict[str, Any], tmp_path: Path) -> None:
    dense = {"class_name": "Dense", "config": DENSE}
    refused(hdf5(tmp_path / "m.h5", sequential(INPUT, dense), huge(**options)), "more than a file of", FileFormatError)


def test_dataset_of_many_pieces(tmp_path: Path) -> None:
    def fill(group: Any) -> None:
        group.create_dataset("kernel:0", (6, 1 << 20), np.float32, chunks=(1, 1))
        group["bias:0"] = np.ones(4, np.float32)

    dense = {"class_name": "Dense", "config": DENSE}
    refused(hdf5(tmp_path / "m.h5", sequential(INPUT, dense), fill), "pieces", FileFormatError)


def test_many_large_datasets_count_together(tmp_path: Path) -> None:
    """Each may pass for itself; twenty of them may not."""
    path = tmp_path / "m.h5"
    units = [1 << 20 if i % 2 == 0 else 6 for i in range(20)]
    dense = [
        {"class_name": "Dense", "config": {**DENSE, "name": f"dense_{i}", "units": count, "use_bias": False}}
        for i, count in enumerate(units)
    ]
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"], file.attrs["backend"] = "2.4.0", "tensorflow"
        file.attrs["model_config"] = json.dumps(sequential(INPUT, *dense))
        file.create_group("model_weights").attrs["layer_names"] = [f"dense_{i}" for i in range(20)]
        for i, count in enumerate(units):
            group = file.create_group(f"model_weights/dense_{i}")
            group.attrs["weight_names"] = ["kernel:0"]
            shape = (6 if i == 0 else units[i - 1], count)
            group.create_dataset(
                "kernel:0",
                shape,
                np.float32,
                chunks=(6, 1 << 10) if i == 0 or units[i - 1] == 6 else (1 << 10, 6),
                compression="gzip",
            )
    refused(path, "more than a file of")


def test_huge_sizes_in_the_configuration(tmp_path: Path) -> None:
    for case in (
        layer("Flatten", batch_input_shape=[None, 10**9, 10**9]),
        layer("UpSampling2D", size=[10**6, 10**6], batch_input_shape=[None, 8, 8, 3]),
        layer("RepeatVector", n=10**9, batch_input_shape=[None, 6]),
        layer("ZeroPadding2D", padding=[10**9, 10**9], batch_input_shape=[None, 8, 8, 3]),
        layer("Reshape", target_shape=[10**9, -1], batch_input_shape=[None, 6]),
        layer("MaxPooling2D", pool_size=[10**9, 10**9], batch_input_shape=[None, 8, 8, 3]),
        layer("Resizing", height=10**9, width=10**9, interpolation="bicubic", batch_input_shape=[None, 8, 8, 3]),
        layer("ConvLSTM2D", filters=3, batch_input_shape=[None, 10**8, 8, 8, 3]),
    ):
        refused(hdf5(tmp_path / "m.h5", sequential(case)))


@pytest.mark.parametrize("shape", [[None, -6], [None, 0], [None, "6"], [None, 6.5], "six", [None, [6]], [True, 6]])
def test_impossible_input_shapes(shape: Any, tmp_path: Path) -> None:
    refused(hdf5(tmp_path / "m.h5", sequential(layer("Flatten", batch_input_shape=shape))))


NUMBERS: list[Any] = [-1, 0, 10**12, 1.5, "3", None, True, [], [1, 2, 3, 4], {"a": 1}]


@pytest.mark.parametrize("value", NUMBERS, ids=repr)
def test_options_of_another_kind(value: Any, tmp_path: Path) -> None:
    """Nothing but errors of edgert's own, whatever stands in an option."""
    image, sequence = {"batch_input_shape": [None, 8, 8, 3]}, {"batch_input_shape": [None, 8, 3]}
    for case in (
        layer("MaxPooling2D", pool_size=value, **image),
        layer("AveragePooling2D", strides=value, **image),
        layer("ZeroPadding2D", padding=value, **image),
        layer("Cropping2D", cropping=value, **image),
        layer("UpSampling2D", size=value, **image),
        layer("Permute", dims=value, **image),
        layer("Reshape", target_shape=value, **image),
        layer("RepeatVector", n=value, batch_input_shape=[None, 6]),
        layer("Activation", activation=value, **image),
        layer("LeakyReLU", alpha=value, **image),
        layer("ReLU", max_value=value, threshold=value, **image),
        layer("Softmax", axis=value, **image),
        layer("Rescaling", scale=value, offset=value, **image),
        layer("Resizing", height=value, width=value, **image),
        layer("CenterCrop", height=value, width=value, **image),
        layer("Normalization", mean=value, variance=value, axis=value, **image),
        layer("UnitNormalization", axis=value, **image),
        layer("TimeDistributed", layer=value, **image),
        layer("Bidirectional", layer=value, **sequence),
        layer("RNN", cell=value, **sequence),
        layer("StackedRNNCells", cells=value, **sequence),
        layer("Flatten", data_format=value, **image),
    ):
        load_or_error(hdf5(tmp_path / "m.h5", sequential(case)))


STRANGE: list[Any] = [
    -1, 0, 2, 10**9, 10**12, 1.5, "x", "same", "relu", None, True, [], [1], [0, 0], [10**6, 10**6], {}, ["x", 0, 0],
    {"class_name": "Dense", "config": {}},
]  # fmt: skip


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every object or list in a configuration, with every key or index."""
    found, waiting = [], [tree]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        found += [(item, key) for key in keys]
        waiting += [item[key] for key in keys]
    return found


@pytest.mark.parametrize("name", ["keras1_functional", "keras1_merge", "keras2_theano_nested", "tf_keras_functions"])
def test_configurations_with_strange_values(name: str, tmp_path: Path) -> None:
    path, source = tmp_path / "m.h5", random.Random(8)
    for _ in range(40):
        path.write_bytes((RECORDED / f"{name}.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            for _ in range(source.randint(1, 3)):
                item, key = source.choice(places(config))
                item[key] = copy.deepcopy(source.choice(STRANGE))
            file.attrs["model_config"] = json.dumps(config)
        load_or_error(path)


# --- Configurations ---


def functional(*layers: dict[str, Any], inputs: Any = None, outputs: Any = None) -> dict[str, Any]:
    config = {
        "name": "model", "layers": list(layers), "input_layers": inputs or [["x", 0, 0]],
        "output_layers": outputs or [["b", 0, 0]],
    }  # fmt: skip
    return {"class_name": "Functional", "config": config}


def node(kind: str, name: str, *sources: str, **config: Any) -> dict[str, Any]:
    calls = [[[source, 0, 0, {}] for source in sources]] if sources else []
    return {"class_name": kind, "config": {"name": name, **config}, "name": name, "inbound_nodes": calls}


X = node("InputLayer", "x", batch_input_shape=[None, 6], dtype="float32")


def test_layers_in_a_circle(tmp_path: Path) -> None:
    config = functional(X, node("Add", "a", "x", "b"), node("Flatten", "b", "a"))
    refused(hdf5(tmp_path / "m.h5", config), "circle", ModelError)
    refused(hdf5(tmp_path / "m.h5", functional(X, node("Flatten", "b", "b"))), "circle", ModelError)


def test_references_to_nothing(tmp_path: Path) -> None:
    refused(hdf5(tmp_path / "m.h5", functional(X, node("Flatten", "b", "absent"))), "nothing makes", ModelError)
    refused(hdf5(tmp_path / "m.h5", functional(X, node("Flatten", "b", "x"), outputs=[["c", 0, 0]])), "", ModelError)
    refused(hdf5(tmp_path / "m.h5", functional(X, node("Flatten", "b", "x"), outputs=[["b", 0, 7]])), "", ModelError)
    refused(hdf5(tmp_path / "m.h5", functional(X, node("Flatten", "b", "x"), inputs=[["y", 0, 0]])), "", ModelError)
    refused(hdf5(tmp_path / "m.h5", functional(X, X)), "two layers", ModelError)


def test_long_chains_are_no_problem_and_deep_nesting_is(tmp_path: Path) -> None:
    chain = [node("Flatten", "a0", "x"), *(node("Flatten", f"a{i}", f"a{i - 1}") for i in range(1, 5000))]
    graph = load(hdf5(tmp_path / "m.h5", functional(X, *reversed(chain), outputs=[["a4999", 0, 0]])))
    assert len(graph.outputs) == 1
    nested: dict[str, Any] = layer("Flatten", batch_input_shape=[None, 6])
    for _ in range(200):
        nested = sequential(nested)
    refused(hdf5(tmp_path / "m.h5", nested), "deep", ModelError)
    wrapped: dict[str, Any] = layer("Flatten")
    for _ in range(200):
        wrapped = layer("TimeDistributed", layer=wrapped)
    wrapped["config"]["batch_input_shape"] = [None, 2, 6]
    refused(hdf5(tmp_path / "m.h5", sequential(wrapped)), "deep", ModelError)
    text = '{"class_name": "Sequential", "config": ' + "[" * 20000 + "]" * 20000 + "}"
    refused(hdf5(tmp_path / "m.h5", sequential(INPUT)[("class_name")] and text), "no JSON|layers", EdgertError)
    arguments: Any = [1]
    for _ in range(500):
        arguments = [arguments]
    call = {**node("Add", "b"), "inbound_nodes": [{"args": arguments, "kwargs": {}}]}
    refused(hdf5(tmp_path / "m.h5", functional(X, call)), "deep", ModelError)


@pytest.mark.parametrize(
    "config",
    ["", "{", "[]", "null", "3", '{"class_name": 3}', '{"class_name": "Model", "config": null}',
     '{"class_name": "Sequential", "config": {"layers": []}}',
     '{"class_name": "Sequential", "config": {"layers": [3]}}',
     '{"class_name": "Functional", "config": {"layers": {}, "input_layers": [], "output_layers": []}}'],
)  # fmt: skip
def test_configurations_that_mean_nothing(config: str, tmp_path: Path) -> None:
    refused(hdf5(tmp_path / "m.h5", config))
    refused(archive(tmp_path / "m.keras", config))


def test_code_is_never_run(tmp_path: Path) -> None:
    """Lambda layers carry Python's bytecode, or an expression; none of it may run."""
    marker = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    for case in (
        layer("Lambda", function=[code, None, None], function_type="lambda", batch_input_shape=[None, 6]),
        layer("Lambda", function={"class_name": "__lambda__", "config": {"value": code}}, batch_input_shape=[None, 6]),
        layer("Activation", activation=code, batch_input_shape=[None, 6]),
        layer("Merge", mode=[code, None, None], mode_type="lambda", layers=[sequential(INPUT)] * 2),
    ):
        refused(hdf5(tmp_path / "m.h5", sequential(case)))
    assert not marker.exists()


# --- Containers ---


def test_links_out_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["kernel"] = np.ones((6, 4), np.float32)
    np.ones(24, np.float32).tofile(tmp_path / "raw")

    def external(group: Any) -> None:
        group["kernel:0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/kernel")
        group["bias:0"] = np.ones(4, np.float32)

    def soft(group: Any) -> None:
        group["kernel:0"] = h5py.SoftLink("/model_weights/dense/kernel:0")
        group["bias:0"] = np.ones(4, np.float32)

    def virtual(group: Any) -> None:
        layout = h5py.VirtualLayout((6, 4), np.float32)
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "kernel", (6, 4))
        group.create_virtual_dataset("kernel:0", layout)
        group["bias:0"] = np.ones(4, np.float32)

    def raw(group: Any) -> None:
        group.create_dataset("kernel:0", (6, 4), np.float32, external=[(str(tmp_path / "raw"), 0, 96)])
        group["bias:0"] = np.ones(4, np.float32)

    dense = {"class_name": "Dense", "config": DENSE}
    for fill in (external, soft, virtual, raw):
        refused(hdf5(tmp_path / "m.h5", sequential(INPUT, dense), fill), "elsewhere|another file", FileFormatError)


def test_weights_that_are_no_numbers(tmp_path: Path) -> None:
    dense = {"class_name": "Dense", "config": DENSE}

    def texts(group: Any) -> None:
        group["kernel:0"], group["bias:0"] = np.array([b"a", b"b"]), np.ones(4, np.float32)

    def objects(group: Any) -> None:
        group.create_dataset("kernel:0", (6, 4), h5py.special_dtype(vlen=np.float32))
        group["bias:0"] = np.ones(4, np.float32)

    def groups(group: Any) -> None:
        group.create_group("kernel:0")
        group["bias:0"] = np.ones(4, np.float32)

    for fill in (texts, objects, groups):
        refused(hdf5(tmp_path / "m.h5", sequential(INPUT, dense), fill), "", FileFormatError)


def test_damaged_heaps_of_texts(tmp_path: Path) -> None:
    """Sizes in them that the HDF5 library would walk in circles by, or beyond the heap."""
    whole = hdf5(tmp_path / "m.h5", sequential(INPUT, {"class_name": "Dense", "config": DENSE})).read_bytes()
    heap = whole.index(b"GCOL")
    free = heap + 16
    while whole[free : free + 2] != b"\0\0":  # the object that stands for what is free
        free += 16 + -(-int.from_bytes(whole[free + 8 : free + 16], "little") // 8) * 8
    for at, size in ((free, 0), (free, 1 << 40), (heap + 16, 1 << 40), (heap + 16, (1 << 64) - 16), (heap, 1 << 50)):
        damaged = bytearray(whole)
        damaged[at + 8 : at + 16] = size.to_bytes(8, "little")
        (tmp_path / "m.h5").write_bytes(bytes(damaged))
        refused(tmp_path / "m.h5", "heap", FileFormatError)


def test_texts_longer_than_the_file(tmp_path: Path) -> None:
    """The library would take the memory that an attribute states for its text."""
    path = hdf5(tmp_path / "m.h5", sequential(INPUT))
    whole = path.read_bytes()
    heap = whole.index(b"GCOL").to_bytes(8, "little")
    at = whole.index(b"keras_version\0")
    reference = whole.index(heap, at) - 4
    damaged = whole[:reference] + (0xF0000000).to_bytes(4, "little") + whole[reference + 4 :]
    path.write_bytes(damaged)
    refused(path, "more than the file has", FileFormatError)


def test_attributes_of_another_type(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "m.h5", sequential(INPUT))
    with h5py.File(path, "a") as file:
        del file.attrs["keras_version"]
        lists = np.empty(1, object)
        lists[0] = np.ones(2, np.float32)
        file.attrs.create("keras_version", lists, (1,), h5py.vlen_dtype(np.float32))
    refused(path, "neither text nor number", FileFormatError)


def test_zip_bombs(tmp_path: Path) -> None:
    config = sequential(INPUT, {"class_name": "Dense", "config": DENSE})
    path = archive(tmp_path / "m.keras", config, bytes(1 << 28), compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    refused(path, "more than the file can mean", FileFormatError)
    path = archive(tmp_path / "m.keras", b" " * (1 << 27), b"", compression=zipfile.ZIP_DEFLATED)
    refused(path, "more than the file can mean", FileFormatError)
    path = archive(tmp_path / "m.keras", config, bytes(1 << 20), compression=zipfile.ZIP_BZIP2)
    refused(path, "use deflate", FileFormatError)


def test_other_containers(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"")
    refused(tmp_path / "m.keras", "neither a zip nor HDF5", FileFormatError)
    (tmp_path / "m.keras").write_bytes(b"\x80\x04\x95pickled")
    refused(tmp_path / "m.keras", "neither a zip nor HDF5", FileFormatError)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("a.txt", "")
    refused(tmp_path / "m.keras", "without config.json", FileFormatError)
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as file:
        file.writestr("config.json", json.dumps(sequential(INPUT)))
        file.writestr("model.weights.npz", b"")
    refused(tmp_path / "m.keras", "model.weights.npz", InputError)
    refused(tmp_path / "absent.keras", "no such file", InputError)
    refused(tmp_path, "a folder", InputError)
    h5py.File(tmp_path / "plain.h5", "w").close()
    refused(tmp_path / "plain.h5", "without a Keras model", InputError)


@pytest.mark.parametrize("name", ["keras1_functional", "tf_keras_nested"])
def test_cut_short(name: str, tmp_path: Path) -> None:
    whole = (RECORDED / f"{name}.h5").read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        (tmp_path / "m.h5").write_bytes(whole[:length])
        assert isinstance(load_or_error(tmp_path / "m.h5"), EdgertError)


@pytest.mark.parametrize("name", ["keras1_merge", "tf_keras_nested", "keras2_theano_nested"])
def test_damaged_bytes(name: str, tmp_path: Path) -> None:
    """Some damage goes unnoticed; none gives anything but an error of edgert's own, or a graph."""
    whole = (RECORDED / f"{name}.h5").read_bytes()
    source = random.Random(5)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        (tmp_path / "m.h5").write_bytes(bytes(damaged))
        load_or_error(tmp_path / "m.h5")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20  # kB


def test_archive_cut_short_and_damaged(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = np.ones((6, 4), np.float32), np.ones(4, np.float32)
    whole = archive(
        tmp_path / "m.keras", sequential(INPUT, {"class_name": "Dense", "config": DENSE}), buffer.getvalue()
    ).read_bytes()
    assert load_or_error(tmp_path / "m.keras") is None
    for length in range(0, len(whole), len(whole) // 40):
        (tmp_path / "m.keras").write_bytes(whole[:length])
        assert isinstance(load_or_error(tmp_path / "m.keras"), EdgertError)
    source = random.Random(6)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[source.randrange(len(damaged))] = source.randrange(256)
        (tmp_path / "m.keras").write_bytes(bytes(damaged))
        load_or_error(tmp_path / "m.keras")

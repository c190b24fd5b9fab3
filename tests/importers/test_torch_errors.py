"""What PyTorch sources cannot be converted, what is said of them, and files of people who mean harm."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import time
import zipfile
from contextlib import contextmanager, suppress

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")

from edgert.errors import (  # noqa: E402
    EdgertError,
    FileFormatError,
    InputError,
    MissingExtraError,
    ModelError,
    UnsupportedError,
)
from edgert.importers import formats  # noqa: E402
from edgert.importers.torch import load, load_object  # noqa: E402
from importers._torch_cases import Of  # noqa: E402
from importers._torch_run import assert_all_close, eager, run  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
X = torch.arange(12, dtype=torch.float32).reshape(1, 3, 4) / 7 - 0.8


@contextmanager
def soon(seconds=2.0):
    """Hostile sources fail quickly (the bound is generous: tests share the machine)."""
    begin = time.perf_counter()
    yield
    assert time.perf_counter() - begin < seconds


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


def exported(module, *inputs, **options):
    return torch.export.export(module.eval(), inputs or (X,), strict=False, **options)


def saved(path, module, *inputs, **options):
    torch.export.save(exported(module, *inputs, **options), path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("torch") / "two.pt2", Two())


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "two.pt"
    torch.jit.script(Two().eval()).save(path)
    return path


# Modules


def test_without_torch(monkeypatch):
    module = Two()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="torch"):
        load_object(module, None, (X,))


def test_a_program_needs_no_torch(program):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from edgert.importers.torch import load\n"
        f"print([node.op for node in load(Path({str(program)!r})).nodes])"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "['fully_connected', 'unary', 'fully_connected']"


def test_control_flow_that_depends_on_the_data():
    def decide(x):
        return x * 2 if x.sum() > 0 else x - 1

    with pytest.raises(ModelError, match="depends on the data") as caught:
        load_object(Of(decide), None, (X,))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 800


def test_all_unsupported_operators_at_once_with_their_modules():
    class Inner(torch.nn.Module):
        def forward(self, x):
            return torch.special.bessel_j0(x)

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x) + torch.nonzero(x > 0).sum() + torch.special.i1(x)

    with pytest.raises(UnsupportedError) as caught:
        load_object(Outer(), None, (X,))
    found = {item.operator: item for item in caught.value.items}
    assert set(found) == {"aten.special_bessel_j0", "aten.nonzero", "aten.special_i1"}
    assert found["aten.special_bessel_j0"].node == "inner"
    assert "shape depends on the data" in found["aten.nonzero"].fix


def test_what_nothing_reads_may_be_unsupported():
    module = Of(lambda x: (x * 2, torch.special.bessel_j0(x))[0])
    assert_all_close(run(load_object(module, None, (X,)), [X]), eager(module, [X]))


@pytest.mark.parametrize(
    ("examples", "match"),
    [
        (None, "example_inputs are needed"),
        ({"x": X}, "tuple of tensors"),
        ((X.numpy(),), "torch.from_numpy"),
        ((X.to_sparse(),), "sparse"),
        ((X.to(torch.complex64),), "complex"),
        ((X, X), "do not fit its forward"),
    ],
    ids=["none", "dict", "numpy", "sparse", "complex", "too_many"],
)
def test_examples_of_a_wrong_kind(examples, match):
    with pytest.raises(InputError, match=match):
        load_object(Two(), None, examples)


def test_double_precision():
    with pytest.raises(UnsupportedError, match="float64"):
        load_object(Two().double(), None, (X.double(),))


def test_complex_parameters():
    class Spectral(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(4, dtype=torch.complex64))

        def forward(self, x):
            return (x * self.factor).real

    with pytest.raises(UnsupportedError, match="complex"):
        load_object(Spectral(), None, (X,))


def test_half_precision_is_computed_in_float32():
    module = Two().half()
    graph = load_object(module, None, (X.half(),))
    assert any("float16" in note for note in graph.notes)
    (ours,) = run(graph, [X])
    np.testing.assert_allclose(ours, eager(module.float(), [X])[0], atol=1e-5)


def test_a_module_in_training_is_converted_as_in_use():
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5)).train()
    graph = load_object(module, None, (X,))
    assert module.training
    assert module[1].training
    assert_all_close(run(graph, [X]), eager(module.eval(), [X]))


def test_names_of_inputs_outputs_and_layers():
    class Named(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())

        def forward(self, left, right):
            return {"sum": self.body(left) + right, "pair": (left * 2, right)}

    graph = load_object(Named(), None, (X, X))
    assert [value.name for value in graph.inputs] == ["left", "right"]
    assert [value.name for value in graph.outputs] == ["sum", "pair_0", "pair_1"]
    assert {"body.0", "body.1"} <= {node.name for node in graph.nodes}
    graph = load_object(Named(), None, (X, X), input_names=["a", "b"])
    assert [value.name for value in graph.inputs] == ["a", "b"]
    with pytest.raises(InputError, match="input_names"):
        load_object(Named(), None, (X, X), input_names=["a"])
    with pytest.raises(InputError, match=r"entry means nothing to PyTorch \(in memory\) models; it takes example"):
        formats.load_object(Named(), None, {"entry": "forward"})


# Programs with dynamic dimensions


def test_dynamic_dimensions(tmp_path):
    rows, columns = torch.export.Dim("rows"), torch.export.Dim("columns", min=2)
    module = Of(lambda x: torch.cat([x, x * 2], 1).flatten(1).reshape(x.shape[0], 2, -1).mean(-1, keepdim=True))
    x = torch.randn(2, 5, 6)
    path = saved(tmp_path / "dynamic.pt2", module, x, dynamic_shapes=(({0: rows, 2: columns},),))
    with pytest.raises(InputError, match=r"leaves dimensions open.*inputs_0.*--input-shape"):
        load(path)
    with pytest.raises(InputError, match="no input of the model"):
        load(path, {"y": (1, 2, 3)})
    with pytest.raises(InputError, match="the model states"):
        load(path, {"inputs_0": (2, 4, 6)})
    x = torch.randn(3, 5, 8)
    assert_all_close(run(load(path, {"inputs_0": (3, 5, 8)}), [x]), eager(module, [x]))


def test_a_dynamic_batch_becomes_one(tmp_path):
    path = saved(tmp_path / "batch.pt2", Two(), X.repeat(2, 1, 1), dynamic_shapes=({0: torch.export.Dim("batch")},))
    graph = load(path)
    assert graph.inputs[0].shape == (1, 3, 4)
    assert any("1 is assumed" in note for note in graph.notes)


# TorchScript


def test_a_script_states_no_shapes(script):
    with pytest.raises(InputError, match="leaves dimensions open: 'x' any"):
        load(script)
    with pytest.raises(InputError, match="constants names 'rate'"):
        load(script, {"x": (1, 4)}, constants={"rate": 3})
    with pytest.raises(InputError, match="no submodule 'third'"):
        load(script, {"x": (1, 4)}, entry="third")


class Branching(torch.nn.Module):
    def forward(self, x: torch.Tensor, count: int, double: bool = False):
        parts = [x]
        for place in range(count):
            parts.append(parts[-1] * 0.5 + place if place % 2 == 0 else parts[-1].abs())
        if double:
            parts = [part * 2 for part in parts]
        total = {"all": torch.stack(parts)}
        while len(parts) > 2:
            parts.pop()
        total["head"] = parts[0] + parts[1]
        assert x.dim() == 3, "three dimensions"
        return total


def test_a_script_with_lists_loops_and_branches(tmp_path):
    module = Branching()
    torch.jit.script(module).save(tmp_path / "model.pt")
    with pytest.raises(InputError, match="'count' \\(int\\)"):
        load(tmp_path / "model.pt", {"x": (1, 3, 4)})
    graph = load(tmp_path / "model.pt", {"x": (1, 3, 4)}, constants={"count": 4, "double": True})
    assert [value.name for value in graph.outputs] == ["all", "head"]
    theirs = module(X, 4, True)
    assert_all_close(run(graph, [X]), [theirs["all"].numpy(), theirs["head"].numpy()])
    with pytest.raises(ModelError, match=r"refuses these inputs.*three dimensions"):
        load(tmp_path / "model.pt", {"x": (3, 4)}, constants={"count": 4})


class Deciding(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x * 2 if bool(x.sum() > 0) else x - 1


def test_a_script_whose_branches_depend_on_the_data(tmp_path):
    torch.jit.script(Deciding()).save(tmp_path / "model.pt")
    with pytest.raises(UnsupportedError, match="depends on the data"):
        load(tmp_path / "model.pt", {"x": (1, 3)})


class Endless(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        count = 1
        while count > 0:
            count += 1
        return x * count


class Growing(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        number, items = 3, [1]
        for _ in range(100000):
            items = items + items
            number = number * number
        return x * number * len(items)


class Doubling(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        big = torch.ones(1000)
        for _ in range(60):
            big = torch.cat([big, big])
        return x + big.sum()


@pytest.mark.parametrize("make", [Endless, Growing, Doubling])
def test_scripts_without_end(make, tmp_path):
    torch.jit.script(make()).save(tmp_path / "model.pt")
    with soon(6.0), pytest.raises(EdgertError):
        load(tmp_path / "model.pt", {"x": (1, 3)})


# Files


def _as(path, content):
    path.write_bytes(content)
    return path


def test_files_without_a_program(tmp_path):
    module = Two()
    weights, legacy, whole = (tmp_path / name for name in ("weights.pt", "legacy.pth", "whole.pt"))
    torch.save(module.state_dict(), weights)
    torch.save(module.state_dict(), legacy, _use_new_zipfile_serialization=False)
    torch.save(module, whole)
    for path in (weights, legacy, whole):
        with pytest.raises(FileFormatError, match=r"build the module.*weights_only=True.*edgert.convert"):
            load(path)
    with pytest.raises(FileFormatError, match="not a PyTorch archive"):
        load(_as(tmp_path / "text.pt2", b"hello"))
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "absent.pt2")
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(FileFormatError, match="without a PyTorch program"):
        load(tmp_path / "other.pt2")


@pytest.mark.parametrize("part", range(1, 16))
def test_files_cut_short(part, program, script, tmp_path):
    for path, shapes in ((program, None), (script, {"x": (1, 4)})):
        data = path.read_bytes()
        with soon(), pytest.raises(FileFormatError):
            load(_as(tmp_path / path.name, data[: len(data) * part // 16]), shapes)


def _rewritten(source, target, change):
    """The archive with entries changed by change(name, data) -> data, or (data, compress_type)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = change(name.partition("/")[2], old.read(name))
            packed = zipfile.ZIP_STORED
            if isinstance(data, tuple):
                data, packed = data
            new.writestr(name, data, packed)
    return target


def _with_json(source, target, entry, change):
    def run(name, data):
        if name != entry:
            return data
        parsed = json.loads(data)
        result = change(parsed)
        return json.dumps(parsed if result is None else result)

    return _rewritten(source, target, run)


def test_a_zip_bomb(program, tmp_path):
    bomb = _rewritten(
        program, tmp_path / "bomb.pt2",
        lambda name, data: (bytes(1 << 28), zipfile.ZIP_DEFLATED) if name.endswith("weight_0") else data,
    )  # fmt: skip
    with soon(), pytest.raises(FileFormatError, match="claim"):
        load(bomb)


class Harm:
    """What unpickling it would do."""

    def __reduce__(self):
        return (exec, ("import builtins; builtins.harmed = True",))


def test_nothing_is_unpickled(program, tmp_path):
    import builtins

    def pickled(config):
        config["config"]["first.weight"]["use_pickle"] = True

    changed = _with_json(program, tmp_path / "a.pt2", "data/weights/model_weights_config.json", pickled)
    harmful = _rewritten(
        changed, tmp_path / "harm.pt2",
        lambda name, data: pickle.dumps(Harm()) if "sample_inputs" in name or name.endswith("weight_0") else data,
    )  # fmt: skip
    with pytest.raises(UnsupportedError, match="pickle"):
        load(harmful)
    only_samples = _rewritten(
        program, tmp_path / "samples.pt2",
        lambda name, data: pickle.dumps(Harm()) if "sample_inputs" in name else data,
    )  # fmt: skip
    assert load(only_samples).nodes
    buffer = io.BytesIO()
    torch.save({"first.weight": Harm()}, buffer)
    with zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        with zipfile.ZipFile(program) as new:
            archive.writestr("serialized_exported_program.json", new.read("two/models/model.json"))
        archive.writestr("serialized_state_dict.pt", buffer.getvalue())
        archive.writestr("serialized_constants.pt", buffer.getvalue())
    with pytest.raises(FileFormatError, match="no plain weights"):
        load(tmp_path / "old.pt2")
    assert not hasattr(builtins, "harmed")


def test_a_program_in_the_format_before_pytorch_2_8(program, tmp_path):
    with zipfile.ZipFile(program) as new, zipfile.ZipFile(tmp_path / "old.pt2", "w") as archive:
        text = json.loads(new.read("two/models/model.json"))
        archive.writestr("serialized_exported_program.json", json.dumps(text))
        config = json.loads(new.read("two/data/weights/model_weights_config.json"))["config"]
        state = {}
        for name, entry in config.items():
            data = np.frombuffer(new.read(f"two/data/weights/{entry['path_name']}"), np.float32)
            state[name] = torch.from_numpy(
                data.reshape([size["as_int"] for size in entry["tensor_meta"]["sizes"]]).copy()
            )
        for name, content in (("serialized_state_dict.pt", state), ("serialized_constants.pt", {})):
            buffer = io.BytesIO()
            torch.save(content, buffer)
            archive.writestr(name, buffer.getvalue())
    assert_all_close(run(load(tmp_path / "old.pt2"), [X]), run(load(program), [X]))


def _sizes(sizes, strides=None, offset=0):
    def change(config):
        meta = config["config"]["first.weight"]["tensor_meta"]
        meta["sizes"] = [{"as_int": size} for size in sizes]
        meta["strides"] = [{"as_int": stride} for stride in strides or [1] * len(sizes)]
        meta["storage_offset"] = {"as_int": offset}

    return change


@pytest.mark.parametrize(
    "change",
    [
        _sizes([10**5, 10**5]),
        _sizes([10**5, 10**5], [0, 0]),
        _sizes([-4, -4]),
        _sizes([4, 4], [-4, 1]),
        _sizes([4, 4], [4, 1], 10),
        _sizes([4, 4], [4, 1], 10**30),
        _sizes([1] * 100),
        lambda config: config["config"]["first.weight"].pop("tensor_meta"),
        lambda config: {"config": []},
        lambda config: [],
    ],
    ids=["large", "expanded", "negative", "strides", "offset", "overflow", "rank", "no_meta", "list", "not_a_dict"],
)
def test_tensors_that_lie_about_their_size(change, program, tmp_path):
    path = _with_json(program, tmp_path / "lie.pt2", "data/weights/model_weights_config.json", change)
    with soon(), pytest.raises(FileFormatError):
        load(path)


def _cyclic(program):
    nodes = program["graph_module"]["graph"]["nodes"]
    nodes[0]["inputs"][0]["arg"]["as_tensor"]["name"] = "linear_1"


def _large(program):
    node = program["graph_module"]["graph"]["nodes"][1]
    node["target"] = "torch.ops.aten.zeros.default"
    node["inputs"] = [{"name": "size", "arg": {"as_ints": [10**6, 10**6]}, "kind": 1}]


def _large_again(program):
    node = program["graph_module"]["graph"]["nodes"][1]
    node["target"] = "torch.ops.aten.repeat.default"
    node["inputs"].append({"name": "repeats", "arg": {"as_ints": [10**9, 10**9, 10**9]}, "kind": 1})


def _negative_input(program):
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][1] = {"as_int": -3}


@pytest.mark.parametrize("change", [_cyclic, _large, _large_again, _negative_input], ids=lambda change: change.__name__)
def test_damaged_programs(change, program, tmp_path):
    path = _with_json(program, tmp_path / "damaged.pt2", "models/model.json", change)
    with soon(), pytest.raises(EdgertError):
        load(path)


def test_deeply_nested_json(program, tmp_path):
    path = _rewritten(
        program, tmp_path / "deep.pt2", lambda name, data: "[" * 500_000 if name == "models/model.json" else data
    )
    with soon(), pytest.raises(FileFormatError, match="damaged"):
        load(path)


def test_random_damage(program, tmp_path):
    """Whatever bytes of the JSON are changed: an error of ours, or a graph."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(program) as archive:
        text = archive.read("two/models/model.json")
    values = [b"-1", b"null", b"[]", b"{}", b'"x"', b"99999999999", b"1e999", b"true"]
    places = [place for place in range(1, len(text)) if text[place - 1 : place] == b":"]
    for _ in range(150):
        at = int(rng.choice(places))
        end = at + 1
        while text[end : end + 1] not in (b",", b"}", b"]"):
            end += 1
        damaged = text[:at] + values[int(rng.integers(len(values)))] + text[end:]
        path = _rewritten(
            program, tmp_path / "damaged.pt2",
            lambda name, data, damaged=damaged: damaged if name == "models/model.json" else data,
        )  # fmt: skip
        with suppress(EdgertError):
            load(path)


# Other things that hold a model


def test_a_script_module_in_memory():
    module = torch.jit.script(Branching())
    graph = load_object(module, None, (X, 3), example_kwargs={"double": True})
    assert [value.name for value in graph.inputs] == ["x"]
    assert_all_close(run(graph, [X]), [item.numpy() for item in module(X, 3, True).values()])


def test_integers_and_booleans_as_inputs():
    class Chosen(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(9, 4)

        def forward(self, places, mask):
            return torch.where(mask.unsqueeze(-1), self.table(places), 0.5), places + 1, ~mask

    inputs = [torch.tensor([[1, 8, 0]]), torch.tensor([[True, False, True]])]
    module = Chosen()
    assert_all_close(run(load_object(module, None, tuple(inputs)), inputs), eager(module, inputs))
    assert_all_close(run(load_object(torch.jit.script(module), None, tuple(inputs)), inputs), eager(module, inputs))


def test_a_compiled_module():
    module = Two()
    graph = load_object(torch.compile(module), None, (X,))
    assert_all_close(run(graph, [X]), eager(module, [X]))


def _with_code(source, target, more):
    """The archive with something added to its module's code."""
    return _rewritten(source, target, lambda name, data: data + more if name.endswith("torch_errors.py") else data)


@pytest.mark.parametrize(
    "expression",
    [
        b"(" * 10**5 + b"x" + b")" * 10**5,
        b"-" * 10**5 + b"x",
        b"x" + b".t()" * 10**5,
        b"x" + b"+x" * 10**5,
        b"x.(",
    ],
    ids=["brackets", "signs", "calls", "sums", "damaged"],
)
def test_code_that_would_run_out_of_stack(expression, script, tmp_path):
    more = b"  def more(self, x: Tensor) -> Tensor:\n    return " + expression + b"\n"
    with soon(), pytest.raises(FileFormatError):
        load(_with_code(script, tmp_path / "deep.pt", more), {"x": (1, 4)})


def test_code_that_runs_on_loading(script, tmp_path):
    path = _with_code(
        script, tmp_path / "loads.pt", b"  def __setstate__(self, x: int) -> NoneType:\n    return None\n"
    )
    with pytest.raises(FileFormatError, match="runs on loading"):
        load(path, {"x": (1, 4)})


def _memo(opcode, place):
    return opcode + place.to_bytes(4, "little")


# Lists, each remembered, and then put into the one before.
LISTS = b"".join(b"]" + _memo(b"r", place) for place in range(1000))
JOINED = b"".join(_memo(b"j", place) + _memo(b"j", place + 1) + b"a" for place in range(999))


@pytest.mark.parametrize(
    "objects",
    [b"]" * 50_000 + b"a" * 49_999, b"]" + b"\x85" * 200_000, b"]q\x00h\x00a", LISTS + JOINED, b"a" * 10],
    ids=["lists", "tuples", "cycle", "memo", "damaged"],
)
def test_pickles_that_would_run_out_of_stack(objects, script, tmp_path):
    path = _rewritten(
        script, tmp_path / "deep.pt", lambda name, data: data[:2] + objects + data[2:] if name == "data.pkl" else data
    )
    with soon(), pytest.raises(FileFormatError):
        load(path, {"x": (1, 4)})


def test_what_has_no_handler_is_taken_apart():
    """As far as PyTorch knows how to; what remains is reported as the module calls it."""
    targets = torch.tensor([0, 1, 2])
    module = Of(lambda x: torch.nn.functional.cross_entropy(x[0], targets))
    assert_all_close(run(load_object(module, None, (X,)), [X]), eager(module, [X]))
    with pytest.raises(UnsupportedError, match=r"aten\.fft_rfft"):
        load_object(Of(lambda x: torch.fft.rfft(x).abs()), None, (X,))

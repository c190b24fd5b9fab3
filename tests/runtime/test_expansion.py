"""Weights that are stored in fewer bytes than they are computed with (ext/core/expand.c)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arm.test_arm import run_on
from c_build import build
from c_build import run as c_run
from expanded_graphs import NETS, Pair, image_net, integer_net, mixed_net
from numpy.typing import NDArray

from edgert.compile import LOWER, pack_weights, run_passes
from edgert.dtypes import DType, QuantParams
from edgert.errors import InputError, ModelError, OutOfMemoryError
from edgert.ir import Graph, Node, Value
from edgert.ops.unpack_int4 import pack_int4
from edgert.pack.plan import EXPANDS, expanded
from edgert.pack.writer import write
from edgert.passes.merge_duplicates import merge_duplicates
from edgert.runtime import _native
from edgert.runtime.model import Model
from edgert.runtime.tensors import tensor_array, tensor_info

Array = NDArray[Any]


def run(model: Model, feeds: list[Array]) -> list[Array]:
    named = dict(zip([info.name for info in model.inputs], feeds, strict=True))
    return list(model.run(named).values())


def same(a: list[Array], b: list[Array], what: object) -> None:
    assert len(a) == len(b)
    for left, right in zip(a, b, strict=True):
        assert left.dtype == right.dtype, what
        assert left.tobytes() == right.tobytes(), what


@pytest.mark.parametrize("name", sorted(NETS))
def test_results_are_those_of_the_expanded_weights(name: str) -> None:
    pair = NETS[name]()
    compact, plain, feeds = write(pair.compact), write(pair.plain), pair.feeds()
    for isa in _native.cpu_isas():
        for threads in (1, 2):
            wanted = run(Model(plain, isa=isa, threads=threads), feeds)
            same(run(Model(compact, isa=isa, threads=threads), feeds), wanted, (isa, threads))
    unfused = Model(compact, keep_all_tensors=True)
    same(run(unfused, feeds), run(Model(plain), feeds), "keep_all_tensors")


@pytest.mark.parametrize("name", ["images-float16", "images-int4-block", "int8-int4", "int16-int4-block"])
def test_a_resized_batch(name: str) -> None:
    pair = NETS[name]()
    models = [Model(write(graph), threads=2) for graph in (pair.compact, pair.plain)]
    results = []
    for model in models:
        (info,) = model.inputs
        model.resize(info.name, (3, *info.shape[1:]))
        feed = np.concatenate([pair.feeds(seed)[0] for seed in range(3)])
        results.append(run(model, [feed]))
        model.resize(info.name, info.shape)
    same(*results, name)
    same(*(run(model, pair.feeds()) for model in models), name)
    same([results[0][0][1:2]], run(models[0], pair.feeds(1)), "each of the batch")


def expansions(model: Model) -> dict[str, tuple[int, int, int]]:
    """By the operator's name."""
    session = model.session
    found = {session.model.op(i)[1]: session.expansion(i) for i in range(session.model.op_count)}
    return {name: facts for name, facts in found.items() if facts is not None}


def test_what_is_packed_is_given_back() -> None:
    """Of image_net everything but the operand of add, which is read where it lies."""
    pair = image_net("int4")
    model, plain = Model(write(pair.compact)), Model(write(pair.plain))
    session = model.session
    facts = expansions(model)
    nodes = [node for node in pair.compact.nodes if node.output in expanded(pair.compact)]
    assert list(facts) == [node.name for node in nodes]
    for node in nodes:
        size, kept, _time = facts[node.name]
        assert size == int(np.prod(node.output.shape)) * node.output.dtype.itemsize
        assert kept == (size if node is nodes[-1] else 0), node
    bookkeeping = 400 * session.model.op_count
    kept = facts[nodes[-1].name][1]
    assert 0 <= session.total_bytes - plain.session.total_bytes - kept < bookkeeping
    assert session.arena_bytes == plain.session.arena_bytes

    names = {session.tensor(i)[0]: i for i in range(session.model.tensor_count)}
    given_back, stays = names[nodes[0].output.name], names[nodes[-1].output.name]
    assert tensor_info(session, given_back).kind == tensor_info(session, stays).kind == "constant"
    with pytest.raises(InputError, match="keep_all_tensors"):
        session.view(given_back)
    view = tensor_array(session, stays)
    assert not view.flags.writeable
    whole = Model(write(pair.compact), keep_all_tensors=True).session
    twins = {value.name: value.data for value in pair.plain.values() if value.constant}
    for node in nodes[1:]:
        if node.op == "dequantize":
            np.testing.assert_array_equal(tensor_array(whole, names[node.output.name]), twins[node.output.name])


def test_memory_is_needed_for_one_layer_at_a_time() -> None:
    pair = Pair("stack")
    y = pair.input((1, 256))
    for _ in range(12):
        y = pair.add("fully_connected", y, pair.weights((256, 256), "int4"), None)
    pair.end(y)
    session, plain = Model(write(pair.compact)).session, Model(write(pair.plain)).session
    layer = 256 * 256 * (1 + 4)
    assert session.total_bytes - plain.total_bytes < 30_000
    assert session.peak_bytes - session.total_bytes < 1.5 * layer


def test_steps_leave_them_out() -> None:
    pair = image_net("int8")
    model = Model(write(pair.compact))
    session, count = model.session, len(pair.compact.nodes)
    ordinary = [i for i, node in enumerate(pair.compact.nodes) if node.output not in expanded(pair.compact)]
    assert [i for i in range(count) if session.expansion(i) is None] == ordinary
    assert session.expansion(count) is None
    for _ in range(2):
        stepped = []
        while (op := session.step()) is not None:
            stepped.append(op)
        assert stepped == ordinary
    assert [op for op, *_ in session.time_ops(fused=False)] == ordinary
    covered = [op + i for op, members, *_ in session.time_ops() for i in range(members)]
    assert covered == ordinary


@pytest.mark.parametrize("form", ["int4", "int4-block"])
def test_groups_and_places_are_those_of_plain_weights(form: str) -> None:
    """What runs together, and in place, does not depend on how weights are stored."""
    pair = integer_net(form)
    compact, plain = Model(write(pair.compact)).session, Model(write(pair.plain)).session
    ordinary = [i for i in range(compact.model.op_count) if compact.expansion(i) is None]
    groups = [compact.group(i) for i in ordinary]
    assert [(first - ordinary[0], count) for first, count in groups] == [plain.group(i) for i in range(len(ordinary))]
    assert compact.arena_bytes == plain.arena_bytes


def test_any_place_in_the_order_will_do() -> None:
    """Expanding nodes may stand right before their readers, or far before them in another order."""
    pair = image_net("int4-block")
    wanted = run(Model(write(pair.compact)), pair.feeds())
    nodes = pair.compact.nodes
    producers = pair.compact.producers()
    late: list[Node] = []

    def put(node: Node) -> None:
        if node in late:
            return
        for value in node.inputs:
            if value is not None and value in producers:
                put(producers[value])
        late.append(node)

    for node in nodes:
        if node.output not in expanded(pair.compact):
            put(node)
    assert late != nodes
    pair.compact.nodes = late
    same(run(Model(write(pair.compact)), pair.feeds()), wanted, "late")
    first = [node for node in nodes if node.op == "unpack_int4"]
    pair.compact.nodes = first[::-1] + [node for node in nodes if node.op != "unpack_int4"]
    same(run(Model(write(pair.compact)), pair.feeds()), wanted, "turned")


def _wide(name: str, shape: tuple[int, ...], dtype: DType = DType.FLOAT16) -> Value:
    data = (np.arange(np.prod(shape)) % 2048).reshape(shape).astype(dtype.numpy_name)
    return Value(name, shape, dtype, None, data)


def test_an_output_and_an_unused_one() -> None:
    """A result that is the graph's own output stays, without what it is made of; one that nobody reads is not made."""
    packed = Value("packed", (64, 128), DType.UINT8, None, pack_int4(np.ones((64, 256), np.int8)))
    x = Value("x", (2, 256), DType.FLOAT32)
    q = Value("q", (64, 256), DType.INT8, QuantParams((0.5,), (0,)))
    real, unused, y = (
        Value("real", (64, 256), DType.FLOAT32),
        Value("n", (64, 256), DType.INT32),
        Value("y", (2, 64), DType.FLOAT32),
    )
    nodes = [
        Node("unpack_int4", [packed], [q], {"shape": (64, 256)}, "unpack"),
        Node("cast", [q], [unused], {}, "unused"),
        Node("dequantize", [q], [real], {}, "dequantize"),
        Node("fully_connected", [x, real], [y], {}, "fc"),
    ]
    model = Model(write(Graph("g", [x], [real, y], nodes)))
    facts = expansions(model)
    assert facts["unpack"][:2] == (64 * 256, 0)
    assert facts["unused"][:2] == (0, 0)
    assert facts["dequantize"][:2] == (4 * 64 * 256, 4 * 64 * 256)
    ones = np.ones((2, 256), np.float32)
    for _ in range(2):
        outputs = model.run({"x": ones})
        np.testing.assert_array_equal(outputs["real"], np.full((64, 256), 0.5, np.float32))
        np.testing.assert_array_equal(outputs["y"], np.full((2, 64), 128.0, np.float32))


def test_a_graph_of_nothing_else() -> None:
    half, real = _wide("half", (3, 5)), Value("real", (3, 5), DType.FLOAT32)
    model = Model(write(Graph("g", [], [real], [Node("dequantize", [half], [real], {}, "d")])))
    np.testing.assert_array_equal(
        model()["real"] if isinstance(model(), dict) else model(), np.arange(15.0).reshape(3, 5)
    )
    assert model.session.step() is None
    assert model.session.time_ops() == []


def test_one_expansion_for_several_readers() -> None:
    pair = Pair("shared")
    x, y = pair.input((2, 96)), pair.input((5, 96))
    w = pair.weights((96, 96), "int4-block")
    a = pair.add("fully_connected", x, w, None)
    b = pair.add("fully_connected", y, w, None)
    c = pair.add("matmul", a, w)
    pair.end(pair.add("fully_connected", c, w, None), b)
    same(run(Model(write(pair.compact)), pair.feeds()), run(Model(write(pair.plain)), pair.feeds()), "shared")


@pytest.mark.parametrize("depth", [8, 9, 20])
def test_chains(depth: int) -> None:
    """Beyond eight, one behind the other, operators run with the others, and weights have to be constants."""
    x, y = Value("x", (1, 6), DType.FLOAT32), Value("y", (1, 4), DType.FLOAT32)
    values = [_wide("half", (24,)), Value("real", (24,), DType.FLOAT32)]
    nodes = [Node("dequantize", [values[0]], [values[1]], {}, "d")]
    for i in range(depth - 1):
        shape = (4, 6) if i == depth - 2 else (24, 1)[: 1 + i % 2]
        values.append(Value(f"v{i}", shape, DType.FLOAT32))
        nodes.append(Node("reshape", [values[-2]], [values[-1]], {"shape": shape}, f"r{i}"))
    nodes.append(Node("add", [values[-1], x], [out := Value("sum", (4, 6), DType.FLOAT32)], {}, "add"))
    nodes.append(Node("matmul", [x, values[-1]], [y], {"transpose_b": True}, "product"))
    model = Model(write(Graph("g", [x], [out, y], nodes)))
    assert len(expansions(model)) == min(depth, 8)
    numbers = np.arange(24, dtype=np.float32).reshape(4, 6)
    found = model.run({"x": np.ones((1, 6), np.float32)})
    np.testing.assert_array_equal(found["sum"], numbers + 1)
    np.testing.assert_array_equal(found["y"], numbers.sum(axis=1)[None])
    if depth > 8:
        (sum_node,) = (i for i, node in enumerate(nodes) if node.name == "add")
        z = Value("z", (1, 4), DType.FLOAT32)
        lonely = Graph("g", [x], [z], [*nodes[:sum_node], Node("conv2d", [], [], {}, "c")])
        w = values[-1]
        image, result = Value("image", (1, 1, 1, 6), DType.FLOAT32), Value("result", (1, 1, 1, 4), DType.FLOAT32)
        shaped = Value("shaped", (4, 1, 1, 6), DType.FLOAT32)
        lonely.inputs, lonely.outputs = [image], [result]
        lonely.nodes[-1:] = [
            Node("reshape", [w], [shaped], {"shape": (4, 1, 1, 6)}, "shape"),
            Node("conv2d", [image, shaped], [result], {}, "conv"),
        ]
        with pytest.raises(ModelError, match="weights is computed, needed a constant"):
            Model(write(lonely))


def test_variables_and_inputs_are_no_constants() -> None:
    state = Value("state", (3,), DType.FLOAT16, data=np.ones(3, np.float16), variable=True)
    x = Value("x", (3,), DType.FLOAT16)
    a, b = Value("a", (3,), DType.FLOAT32), Value("b", (3,), DType.FLOAT32)
    nodes = [Node("dequantize", [state], [a], {}, "a"), Node("dequantize", [x], [b], {}, "b"),
             Node("assign", [state, x], [], {}, "write")]  # fmt: skip
    model = Model(write(Graph("g", [x], [a, b], nodes)))
    assert expansions(model) == {}
    twos = np.full(3, 2.0, np.float16)
    np.testing.assert_array_equal(model.run({"x": twos})["a"], np.ones(3))
    np.testing.assert_array_equal(model.run({"x": twos})["a"], np.full(3, 2.0))


def test_a_constant_image() -> None:
    """What is expanded may be any operand, one read in place and packed at once among them."""
    pair = Pair("square")
    w = pair.weights((32, 32), "int8")
    x = pair.input((32, 32))
    pair.end(
        pair.add("add", pair.add("matmul", w, w), x), pair.add("gather", w, pair.constant(np.array([3, -1])), axis=0)
    )
    same(run(Model(write(pair.compact)), pair.feeds()), run(Model(write(pair.plain)), pair.feeds()), "square")


@pytest.mark.parametrize("name", sorted(NETS))
def test_passes_let_them_be(name: str) -> None:
    """What runs behind the quantiser neither folds them nor takes them for something else."""
    pair = NETS[name]()
    before = [(node.op, node.output.name) for node in pair.compact.nodes if node.outputs[0] in expanded(pair.compact)]
    wanted = run(Model(write(pair.compact)), pair.feeds())
    run_passes(pair.compact, LOWER)
    after = [(node.op, node.output.name) for node in pair.compact.nodes if node.outputs[0] in expanded(pair.compact)]
    assert after == before
    same(run(Model(write(pair.compact)), pair.feeds()), wanted, name)


def test_equal_expansions_are_merged() -> None:
    pair = Pair("twice")
    x, packed = pair.input((2, 40)), pair.constant(pack_int4(pair.rng.integers(-7, 8, (40, 40))))
    quant = QuantParams((0.01,), (0,))
    first, second = (pair.expand("unpack_int4", packed, quant=quant, shape=(40, 40)) for _ in range(2))
    other = pair.expand("unpack_int4", packed, quant=QuantParams((0.02,), (0,)), shape=(40, 40))
    real = [pair.expand("dequantize", value) for value in (first, second, other)]
    y = pair.add("fully_connected", x, real[0], None)
    y = pair.add("fully_connected", y, real[1], None)
    pair.end(pair.add("fully_connected", y, real[2], None))
    wanted = run(Model(write(pair.plain)), pair.feeds())
    assert merge_duplicates(pair.compact)
    assert len(expansions(Model(write(pair.compact)))) == 4
    same(run(Model(write(pair.compact)), pair.feeds()), wanted, "merged")


# --- packed beforehand ---


@pytest.mark.parametrize("name", sorted(NETS))
def test_packed_weights_open_without_expanding(name: str, tmp_path: Path) -> None:
    pair = NETS[name]()
    package, packed = write(pair.compact), tmp_path / "packed.ert"  # of a file: aligned as kernels want it
    packed.write_bytes(write(pair.compact, packed=pack_weights(package, ("host",))))
    model, plain = Model(packed), Model(package)
    same(run(model, pair.feeds()), run(plain, pair.feeds()), name)
    fresh, stale, wrong = model.session.model.check_target(0)
    assert (stale, wrong) == (0, 0)
    assert (fresh == 0) == name.startswith("int16")  # which has nothing packed
    expanded_bytes = sum(size for size, _, _ in expansions(model).values())
    before = sum(size for size, _, _ in expansions(plain).values())
    assert sum(kept for _, kept, _ in expansions(model).values()) == sum(
        kept for _, kept, _ in expansions(plain).values()
    )
    if name.startswith("images"):  # all but what add reads and what depthwise_conv2d turns first
        assert expanded_bytes < before / 4
    else:
        assert expanded_bytes <= before
    for isa in _native.cpu_isas():
        same(run(Model(packed, isa=isa), pair.feeds()), run(Model(package, isa=isa), pair.feeds()), isa)
    if len(model.inputs) == 1:
        (info,) = model.inputs
        model.resize(info.name, (2, *info.shape[1:]))
        twice = np.concatenate([pair.feeds()[0]] * 2)
        same([run(model, [twice])[0][1:]], run(plain, pair.feeds()), "resized")


def test_other_targets() -> None:
    """What packs for another machine expands on this one."""
    pair = image_net("int4")
    package = write(pair.compact)
    architecture, _ = _native.host_target()
    for target in ("aarch64-dotprod", "armv7", *(["x86-64-avx512vnni-intel"] if architecture == "x86_64" else [])):
        mine, theirs = pack_weights(package, (target,)), pack_weights(write(pair.plain), (target,))
        assert len(mine.entries) > 5
        assert [entry.data for entry in mine.entries] == [entry.data for entry in theirs.entries]


@pytest.mark.parametrize("change", ["numbers", "multipliers", "scales"])
def test_other_constants_are_packed_anew(change: str, tmp_path: Path) -> None:
    """Packed weights of constants that have changed since are not used."""
    pair, other = image_net("int4-block"), image_net("int4-block")
    packed = pack_weights(write(pair.compact), ("host",))
    for node in other.compact.nodes:
        for value in node.inputs[:2]:
            if value is None or not value.constant or value.data is None:
                continue
            if node.op == "unpack_int4" and (value is node.inputs[0]) == (change == "numbers") and change != "scales":
                value.data = value.data ^ np.uint8(1)
        if change == "scales" and node.op == "unpack_int4":
            quant = node.output.quant
            assert quant is not None
            node.output.quant = QuantParams(tuple(2 * scale for scale in quant.scales), quant.zero_points, quant.axis)
    stale = tmp_path / "stale.ert"
    stale.write_bytes(write(other.compact, packed=packed))
    model = Model(stale)
    same(run(model, other.feeds()), run(Model(write(other.compact)), other.feeds()), change)
    assert any(a.tobytes() != b.tobytes() for a, b in zip(run(model, other.feeds()),
               run(Model(write(pair.compact)), pair.feeds()), strict=True))  # fmt: skip
    assert model.session.model.check_target(0)[2] == 0


# --- limits ---


def test_the_memory_limit_counts_them() -> None:
    pair = Pair("large")
    x = pair.input((1, 1000))
    pair.end(pair.add("fully_connected", x, pair.weights((1000, 1000), "int8"), None))
    package = write(pair.compact)
    needed = Model(package).session.peak_bytes
    assert needed > 8_000_000  # expanded, and packed
    assert Model(package, memory_limit=needed).session.peak_bytes == needed
    with pytest.raises(OutOfMemoryError, match=r"fully_connected.*the session's memory limit of 7000000 bytes"):
        Model(package, memory_limit=7_000_000)
    with pytest.raises(OutOfMemoryError, match="memory limit"):
        Model(package, memory_limit=3_000_000)
    with pytest.raises(OutOfMemoryError, match="memory to expand"):
        Model(write(_only_expanding()), memory_limit=3_000_000)


def _only_expanding() -> Graph:
    half, real = _wide("half", (1000, 1000)), Value("real", (1000, 1000), DType.FLOAT32)
    return Graph("g", [], [real], [Node("dequantize", [half], [real], {}, "d")])


def test_work_is_in_proportion_to_the_file() -> None:
    """A thousand readers of one constant, each a MB or so: no more than 64 times the file, and 256 MiB."""
    half = Value("half", (1 << 19,), DType.FLOAT16, None, np.zeros(1 << 19, np.float16))
    outputs = [Value(f"y{i}", (1 << 19,), DType.FLOAT32) for i in range(200)]
    nodes = [Node("dequantize", [half], [y], {}, y.name) for y in outputs]
    total = Value("total", (1 << 19,), DType.FLOAT32)
    nodes.append(Node("add", [outputs[0], outputs[1]], [total], {}, "add"))
    with pytest.raises(ModelError, match="expand to 419430400 bytes, which is out of proportion to a file of 1"):
        Model(write(Graph("g", [], [total], nodes)))
    del nodes[100:200]
    Model(write(Graph("g", [], [total], nodes)))


def test_python_and_c_agree_on_what_expands() -> None:
    assert {"unpack_int4", "dequantize", "cast", "reshape"} == EXPANDS
    for name in NETS:
        pair = NETS[name]()
        assert set(expansions(Model(write(pair.compact)))) == {value.name for value in expanded(pair.compact)}


# --- the C core alone ---

SOME = {"mixed": mixed_net, **{name: NETS[name] for name in ("sequences-int4-block", "int8-int4-block", "int16-int4")}}


def _files(pair: Pair, folder: Path) -> tuple[Path, Path, Path]:
    """Both packages, and the inputs of a run."""
    compact, plain, inputs = folder / "compact.ert", folder / "plain.ert", folder / "in.bin"
    compact.write_bytes(write(pair.compact, packed=pack_weights(write(pair.compact), ("aarch64", "armv7"))))
    plain.write_bytes(write(pair.plain))
    inputs.write_bytes(b"".join(array.tobytes() for array in pair.feeds()))
    return compact, plain, inputs


@pytest.mark.parametrize("name", sorted(SOME))
def test_sanitized(name: str, tmp_path: Path) -> None:
    program, (compact, plain, inputs) = build("sanitized") / "run_model", _files(SOME[name](), tmp_path)
    for model in (compact, plain):
        for isa, threads in (("-", 1), ("-", 3), ("scalar", 1)):
            c_run(program, model, threads, isa, inputs, tmp_path / f"{model.stem}.{isa}.{threads}")
    for isa, threads in (("-", 1), ("-", 3), ("scalar", 1)):
        results = [(tmp_path / f"{stem}.{isa}.{threads}").read_bytes() for stem in ("compact", "plain")]
        assert results[0] == results[1]


@pytest.mark.parametrize(
    ("architecture", "processor"), [("aarch64", "cortex-a53"), ("aarch64", "max"), ("armv7", "cortex-a9")]
)
@pytest.mark.parametrize("name", sorted(SOME))
def test_arm(name: str, architecture: str, processor: str, tmp_path: Path) -> None:
    program, (compact, plain, inputs) = build(architecture) / "run_model", _files(SOME[name](), tmp_path)
    results = []
    for model in (compact, plain):
        run_on(architecture, processor, program, model, 2, "-", inputs, tmp_path / "out")
        results.append((tmp_path / "out").read_bytes())
    assert results[0] == results[1]

"""Files that no packer writes: each is refused in a moment, with a message, whatever size it claims to have."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgert import Interpreter
from edgert.compile import pack_weights
from edgert.dtypes import DType, QuantParams
from edgert.errors import EdgertError, FileFormatError, InputError, ModelError, OutOfMemoryError
from edgert.ir import Graph, Node, Value
from edgert.ops import OPS_BY_NAME
from edgert.pack.metadata import Metadata
from edgert.pack.writer import _Writer, load_schema, write
from edgert.runtime import _native

HANG_S = 2.0  # these take milliseconds on an idle machine, of which a busy one leaves a part


class Forge(_Writer):
    """Puts a model together table by table, so that parts can be shared and numbers can be wrong."""

    def shared(self, offset: int, count: int) -> int:
        """A vector whose elements are all the same table or string."""
        return self.offsets([offset] * count)

    def activation(self, shape: Sequence[int], name: str = "t", **fields: Any) -> int:
        parts = {"name": self.string(name), "shape": self.ints(shape), **fields}
        return self.table("Tensor", parts)

    def finish(self, tensors: int, ops: int, inputs: Sequence[int], outputs: Sequence[int], **fields: Any) -> bytes:
        buffers = self.offsets([self.table("Buffer", {})])
        parts = {
            "tensors": tensors, "buffers": buffers, "ops": ops,
            "inputs": self.uints(inputs), "outputs": self.uints(outputs), **fields,
        }  # fmt: skip
        self.builder.Finish(self.table("Model", parts), file_identifier=b"ERT1")
        return bytes(self.builder.Output())

    def op_table(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> int:
        return self.table(
            "Op", {"code": OPS_BY_NAME[name].code, "inputs": self.ints(inputs), "outputs": self.ints(outputs)}
        )


def one_tensor(**model_fields: Callable[[Forge], int]) -> bytes:
    """A model whose only tensor is input and output at once; model_fields are added."""
    forge = Forge()
    tensors = forge.offsets([forge.activation([4])])
    fields = {name: make(forge) for name, make in model_fields.items()}
    return forge.finish(tensors, forge.offsets([]), [0], [0], **fields)


def refusal(package: bytes, **options: Any) -> str:
    start = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        Interpreter(model_content=package, **options)
    assert time.perf_counter() - start < HANG_S
    return str(caught.value)


def test_the_forge_makes_models() -> None:
    interpreter = Interpreter(model_content=one_tensor())
    interpreter.invoke()
    assert interpreter.get_output_details()[0]["shape"].tolist() == [4]


def test_labels_that_are_all_one_long_string() -> None:
    def metadata(forge: Forge) -> int:
        label = forge.builder.CreateString("x" * 100_000)
        return forge.table("Metadata", {"labels": forge.shared(label, 50_000)})

    assert "out of proportion" in refusal(one_tensor(metadata=metadata))


def test_too_many_labels_and_entries() -> None:
    def labels(forge: Forge) -> int:
        return forge.table("Metadata", {"labels": forge.shared(forge.builder.CreateString("x"), 70_000)})

    def entries(forge: Forge) -> int:
        entry = forge.table("KeyValue", {"key": forge.builder.CreateString("k")})
        return forge.table("Metadata", {"entries": forge.shared(entry, 100_000)})

    assert "70000 labels" in refusal(one_tensor(metadata=labels))
    assert "100000 entries" in refusal(one_tensor(metadata=entries))


def test_names_that_are_all_one_long_string() -> None:
    forge = Forge()
    tensor = forge.activation([1], "n" * 200_000)
    package = forge.finish(forge.shared(tensor, 60_000), forge.offsets([]), [0], [0])
    assert "out of proportion" in refusal(package)


def test_too_many_outputs() -> None:
    """With golden pairs that share one vector the work would be pairs times outputs."""
    forge = Forge()
    tensors = forge.offsets([forge.activation([4])])
    assert "100000 outputs" in refusal(forge.finish(tensors, forge.offsets([]), [0], [0] * 100_000))


def test_scales_that_many_tensors_share() -> None:
    forge = Forge()
    count = 50_000
    quant = forge.table(
        "Quantization", {"scales": forge.floats([1.0] * count), "zero_points": forge.ints([0] * count), "axis": 0}
    )
    tensor = forge.activation([count], dtype=int(DType.INT8), quantization=quant)
    package = forge.finish(forge.shared(tensor, 10_000), forge.offsets([]), [0], [0])
    assert "more scales" in refusal(package)


def test_operators_that_share_a_long_list_of_inputs() -> None:
    """10 000 concatenations of 255 tensors; all but the first name an output that is written already."""
    forge = Forge()
    tensors = forge.offsets([forge.activation([1]), forge.activation([255], "sum")])
    op = forge.op_table("concat", [0] * 255, [1])
    assert "another operator's output" in refusal(forge.finish(tensors, forge.shared(op, 10_000), [0], [1]))


def test_the_largest_number_of_activations_is_planned_soon() -> None:
    """16 384 tensors that are all alive to the end: the worst case of the planner."""
    forge = Forge()
    tensors = [forge.activation([1 + i % 7], f"t{i}") for i in range(16_384)]
    everything = list(range(16_384))
    package = forge.finish(forge.offsets(tensors), forge.offsets([]), everything, everything)
    start = time.perf_counter()
    _native.Session(_native.Model(content=package))
    assert time.perf_counter() - start < HANG_S
    forge = Forge()
    tensors = [forge.activation([1], "") for _ in range(16_385)]
    assert "16385 activations" in refusal(forge.finish(forge.offsets(tensors), forge.offsets([]), [0], [0]))


def test_offsets_of_the_arena_beyond_memory() -> None:
    for offset, error in ((1 << 40, OutOfMemoryError), (1 << 62, ModelError), (-64, ModelError), (32, ModelError)):
        forge = Forge()
        tensors = forge.offsets([forge.activation([4], arena_offset=offset)])
        with pytest.raises(error):
            Interpreter(model_content=forge.finish(tensors, forge.offsets([]), [0], [0]))


@pytest.mark.parametrize("shape", [[2**31 - 1] * 8, [2**31 - 1] * 2 + [2], [2**31 - 1], [2**20, 2**20]])
def test_tensors_beyond_memory(shape: list[int]) -> None:
    forge = Forge()
    with pytest.raises((ModelError, OutOfMemoryError)):
        Interpreter(model_content=forge.finish(forge.offsets([forge.activation(shape)]), forge.offsets([]), [0], [0]))


def test_a_constant_cannot_be_written_and_a_variable_cannot_be_an_output_of_an_operator() -> None:
    data = np.zeros(4, np.float32)
    x = Value("x", (4,), DType.FLOAT32)
    for target in (
        Value("c", (4,), DType.FLOAT32, data=data),
        Value("v", (4,), DType.FLOAT32, data=data, variable=True),
    ):
        graph = Graph("g", [x], [target], [Node("copy", [x], [target], {}, "n")])
        assert "is no activation" in refusal(_Writer().model(graph, Metadata(), ()))
    constant = Value("c", (4,), DType.FLOAT32, data=data)
    graph = Graph("g", [x], [x], [Node("assign", [constant, x], [], {}, "n")])
    assert "not a variable" in refusal(_Writer().model(graph, Metadata(), ()))
    graph = Graph("g", [constant], [x], [Node("copy", [constant], [x], {}, "n")])
    assert "no activation of its own" in refusal(_Writer().model(graph, Metadata(), ()))


def test_weights_that_can_change_are_no_weights() -> None:
    """A variable has data in the file, but the file's is not what it holds when the model runs."""
    rng = np.random.default_rng(0)
    x = Value("x", (1, 4, 4, 2), DType.FLOAT32)
    y = Value("y", (1, 4, 4, 2), DType.FLOAT32)
    for op, shape in (("conv2d", (2, 1, 1, 2)), ("depthwise_conv2d", (1, 1, 2))):
        weights = Value("w", shape, DType.FLOAT32, data=rng.normal(size=shape).astype(np.float32), variable=True)
        graph = Graph("g", [x], [y], [Node(op, [x, weights, None], [y], {}, "n")])
        assert "needed a constant" in refusal(_Writer().model(graph, Metadata(), ()))


def test_constants_and_inputs_as_outputs() -> None:
    constant = Value("c", (3,), DType.FLOAT32, data=np.array([1, 2, 3], np.float32))
    x = Value("x", (2,), DType.FLOAT32)
    interpreter = Interpreter(model_content=_Writer().model(Graph("g", [x], [constant, x, x]), Metadata(), ()))
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([5, 6], np.float32))
    interpreter.invoke()
    outputs = [interpreter.get_tensor(details["index"]).tolist() for details in interpreter.get_output_details()]
    assert outputs == [[1, 2, 3], [5, 6], [5, 6]]
    view = np.asarray(interpreter.session.view(interpreter.get_output_details()[0]["index"]))
    assert not view.flags.writeable


def test_a_resized_input_keeps_room_for_its_scales() -> None:
    quant = QuantParams((0.5, 0.25, 1.0), (0, 0, 0), 1)
    x, y = Value("x", (2, 3), DType.INT8, quant), Value("y", (2, 3), DType.FLOAT32)
    package = write(Graph("g", [x], [y], [Node("dequantize", [x], [y], {}, "n")]))
    session = _native.Session(_native.Model(content=package))
    for shape in ((2, 4), (3,), (), (2, 3, 1)[:1]):
        with pytest.raises(InputError, match="cannot have that shape"):
            session.resize_input(0, shape)
    session.resize_input(0, (5, 3))
    session.invoke()


def test_a_small_memory_limit_holds_before_anything_is_taken() -> None:
    """The operands' lists alone are larger than the limit."""
    forge = Forge()
    tensors = [forge.activation([1])] + [forge.activation([255]) for _ in range(4000)]
    ops = [forge.op_table("concat", [0] * 255, [i + 1]) for i in range(4000)]
    package = forge.finish(forge.offsets(tensors), forge.offsets(ops), [0], [1])
    with pytest.raises(OutOfMemoryError, match="memory limit"):
        Interpreter(model_content=package, memory_limit=1 << 20)
    Interpreter(model_content=package)


def test_padding_that_overflows_every_product() -> None:
    """Refused by arithmetic or by the memory limit, with a message either way; never bound."""
    rng = np.random.default_rng(0)
    x = Value("x", (1, 4, 4, 2), DType.FLOAT32)
    huge = 2**31 - 1 - 4
    for op, shape in (("conv2d", (2, 3, 3, 2)), ("depthwise_conv2d", (3, 3, 2))):
        weights = Value("w", shape, DType.FLOAT32, data=rng.normal(size=shape).astype(np.float32))
        for attrs in (
            {"pad_top": huge, "pad_left": huge, "stride_h": huge, "stride_w": huge},
            {"pad_left": huge, "stride_w": huge, "pad_top": 2},
            {"dilation_h": 2**30, "pad_top": huge, "pad_left": 2},
            {"dilation_h": 2**31 - 1, "dilation_w": 2**31 - 1},
            {"pad_top": -1},
            {"stride_h": 0},
        ):
            y = Value("y", (1, 1, 1, 2), DType.FLOAT32)
            graph = Graph("g", [x], [y], [Node(op, [x, weights, None], [y], attrs, "n")])
            with pytest.raises(EdgertError) as caught:
                Interpreter(model_content=_Writer().model(graph, Metadata(), ()), num_threads=2)
            assert str(caught.value)


def test_control_characters_do_not_reach_the_terminal() -> None:
    title = "\x1b]0;owned\x07\x9b2J\x7f"
    x = Value(f"x{title}", (1,), DType.FLOAT32)
    y = Value("y", (1,), DType.FLOAT32)
    graph = Graph("g", [x], [y], [Node("copy", [x], [y], {}, f"n{title}")])
    metadata = Metadata(name=title, labels=(title, "two\nlines\tok"), entries=((f"k{title}", title),))
    model = _native.Model(content=write(graph, metadata))
    session = _native.Session(model)
    texts = [session.tensor(model.inputs[0])[0], model.op(0)[1], model.metadata("name"), *model.labels]
    texts += model.metadata_keys
    assert model.labels[1] == "two\nlines\tok"
    assert all(text.replace("\n", "").replace("\t", "").isprintable() for text in texts)
    assert model.op(0)[1] == "n\ufffd]0;owned\ufffd\ufffd2J\ufffd"


def test_an_operator_whose_attributes_have_a_type_and_no_table() -> None:
    """The type alone, at an offset that leads out of the file: reading it would be a read out of bounds."""
    x, y = (Value(name, (1, 2, 2, 1), DType.FLOAT32) for name in "xy")
    package = bytearray(write(Graph("g", [x], [y], [Node("space_to_depth", [x], [y], {"block": 1}, "n")]), Metadata()))
    _, schema = load_schema()
    op = schema.Model.GetRootAs(package, 0).Ops(0)
    vtable = op._tab.Pos - int.from_bytes(package[op._tab.Pos : op._tab.Pos + 4], "little", signed=True)
    for type_offset in (2, 200, 0xFFFF):
        package[vtable + 12 : vtable + 14] = type_offset.to_bytes(2, "little")
        package[vtable + 14 : vtable + 16] = bytes(2)
        with pytest.raises(FileFormatError, match="an offset leads out of it"):
            Interpreter(model_content=bytes(package))


def packed_for(forge: Forge, op: int, **fields: Any) -> int:
    return forge.table("Packed", {"op": op, "data": forge.bytes(bytes(64)), **fields})


def test_packed_weights_of_no_operator() -> None:
    assert "belong to operator 0" in refusal(one_tensor(packed=lambda forge: forge.offsets([packed_for(forge, 0)])))


def test_packed_weights_out_of_order_or_too_many() -> None:
    def model(ops: Sequence[int], **fields: Callable[[Forge], int]) -> bytes:
        forge = Forge()
        tensors = forge.offsets([forge.activation([4], name) for name in "xyz"])
        copies = forge.offsets([forge.op_table("copy", [0], [1]), forge.op_table("copy", [0], [2])])
        packed = forge.offsets([packed_for(forge, op) for op in ops])
        made = {name: make(forge) for name, make in fields.items()}
        return forge.finish(tensors, copies, [0], [1, 2], packed=packed, **made)

    Interpreter(model_content=model([0, 0, 1])).invoke()
    assert "after those of 1" in refusal(model([1, 0]))
    assert "too many packed weights" in refusal(model([1] * 65))


def test_targets_that_are_too_many_or_do_not_exist() -> None:
    def targets(count: int, text: str) -> Callable[[Forge], int]:
        return lambda forge: forge.shared(forge.table("Target", {"name": forge.builder.CreateString(text)}), count)

    assert len(_native.Model(content=one_tensor(targets=targets(64, "toaster"))).targets) == 64
    assert "packed for 65 targets" in refusal(one_tensor(targets=targets(65, "toaster")))
    assert "over 255 bytes" in refusal(one_tensor(targets=targets(1, "x" * 256)))
    forge = Forge()
    tensors = forge.offsets([forge.activation([4], name) for name in "xy"])
    packed = forge.offsets([packed_for(forge, 0, targets=forge.uints([1]))])
    ops = forge.offsets([forge.op_table("copy", [0], [1])])
    assert "are for target 1 of 0" in refusal(forge.finish(tensors, ops, [0], [1], packed=packed))


def test_many_operators_that_share_packed_weights(tmp_path: Path) -> None:
    """Their checksums take no longer than the file is long: what exceeds that is packed."""
    count, channels = 64, 64
    rng = np.random.default_rng(1)
    quant = QuantParams((0.5,), (0,))
    weights = rng.integers(-127, 128, (channels, channels), dtype=np.int8)
    graph = Graph("shared", [Value("x", (1, channels), DType.INT8, quant)])
    for i in range(count):
        w = Value(f"w{i}", weights.shape, DType.INT8, QuantParams((0.01,), (0,)), weights)
        y = Value(f"y{i}", (1, channels), DType.INT8, quant)
        graph.nodes.append(Node("fully_connected", [graph.inputs[0], w, None], [y], {}, f"n{i}"))
        graph.outputs.append(y)
    one = pack_weights(write(graph), ("host",))
    if not one.entries:
        pytest.skip("this processor has the scalar kernels alone")

    class Sharing(_Writer):
        def bytes(self, data: bytes) -> int | None:
            self.known = getattr(self, "known", {})
            if data not in self.known:
                self.known[data] = super().bytes(data)
            return self.known[data]

    path = tmp_path / "shared.ert"
    path.write_bytes(Sharing(one).model(graph, Metadata(), ()))
    session = _native.Session(_native.Model(path=path))
    used = sum(session.packed_in_file(i) for i in range(count))
    assert 0 < used < count
    assert used * len(one.entries[0].data) <= path.stat().st_size

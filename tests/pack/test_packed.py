"""Weights packed for targets: found in place, the same integers, and what a stale, damaged or forged package does."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from packages import digits

import edgert
from edgert.compile import pack_weights
from edgert.errors import FileFormatError, InputError
from edgert.pack.writer import load_schema
from edgert.runtime import _native
from edgert.targets import targets

Find = Callable[[str], Path]

MODELS = [
    "kws_dscnn_int8",
    "ic_resnet8_int8",
    "vww_mnv1_int8",
    "ad_ae_int8",
    "person_detect_int8",
    "mobilenet_v1_0.25_128_qat_uint8",
    "mobilenet_v2_1.0_224_qat_uint8",
    "ic_resnet8_float",
    "vww_mnv1_float",
]
CORE = "scalar"  # every processor has it, and no package has weights packed for it


def packed_ops(model: edgert.Model) -> int:
    return sum(model.session.packed_in_file(i) for i in range(model.session.model.op_count))


def opened(path: Path, data: bytes, **options: object) -> edgert.Model:
    """From a file, as packed weights are used in place: bytes in memory may lie at any address."""
    path.write_bytes(data)
    return edgert.Model(path, **options)  # type: ignore[arg-type]


def outputs(model: edgert.Model) -> bytes:
    rng = np.random.default_rng(5)
    inputs = {}
    for info in model.inputs:
        kind = np.dtype(info.dtype.numpy_name)
        uniform = rng.random(info.shape)
        low, high = (0.0, 1.0) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
        inputs[info.name] = (uniform * (high - low) + low).astype(kind)
    return b"".join(array.tobytes() for array in model.run(inputs).values())


def tables(data: bytes, name: str) -> list[object]:
    """The tables Packed or Buffer of a package, whose fields `place` finds."""
    model = load_schema()[1].Model.GetRootAs(data, 0)
    return [getattr(model, name)(i) for i in range(getattr(model, f"{name}Length")())]


def place(table: object, slot: int) -> int:
    """Where the field of this slot stands in the file."""
    inner = table._tab  # type: ignore[attr-defined]
    return int(inner.Pos + inner.Offset(4 + 2 * slot))


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


LAYOUT, SOURCE, CHECKSUM = 2, 3, 4  # slots of Packed
HASH = 1  # slot of Buffer


@pytest.fixture(scope="module")
def plain() -> bytes:
    return digits(quantize=True)


@pytest.fixture(scope="module")
def packed() -> bytes:
    return digits(quantize=True, targets=("host",))


@pytest.mark.skipif(_native.cpu_isas() == (CORE,), reason="this processor has the scalar kernels alone")
class TestInPlace:
    @pytest.mark.parametrize("name", [*MODELS, "digits-int8", "digits-float"])
    def test_same_results(self, name: str, shared_data: Find, tmp_path: Path) -> None:
        if name.startswith("digits"):
            plain, packed = (digits("int8" in name, names) for names in ((), ("host",)))
        else:
            source = shared_data(f"tflite/{name}.tflite")
            plain, packed = edgert.convert(source).data, edgert.convert(source, targets=("host",)).data
        model = opened(tmp_path / "packed.ert", packed)
        ((_, _, _, operators, packed_bytes),) = model.session.model.targets
        assert packed_ops(model) == operators > 0
        expected = opened(tmp_path / "plain.ert", plain)
        assert packed_ops(expected) == 0
        assert outputs(model) == outputs(expected)
        assert model.session.model.check_target(0) == (operators, 0, 0)
        # What is used in place takes no memory.
        assert expected.session.total_bytes - model.session.total_bytes >= packed_bytes

    def test_every_instruction_set_of_this_machine(self, plain: bytes, tmp_path: Path) -> None:
        architecture, _ = _native.host_target()
        own = [one for one in targets() if one.architecture == architecture]
        data = digits(quantize=True, targets=tuple(one.name for one in own))
        expected = outputs(opened(tmp_path / "plain.ert", plain, isa=CORE))
        for isa in _native.cpu_isas():
            model = opened(tmp_path / "packed.ert", data, isa=isa)
            assert outputs(model) == expected
            if isa == CORE:
                assert packed_ops(model) == 0

    def test_resize_keeps_the_results(self, plain: bytes, packed: bytes, tmp_path: Path) -> None:
        models = [opened(tmp_path / "packed.ert", packed), opened(tmp_path / "plain.ert", plain)]
        for model in models:
            model.resize(model.inputs[0].name, (3, *model.inputs[0].shape[1:]))
        assert outputs(models[0]) == outputs(models[1])

    def test_stale_layout_is_packed_anew(self, plain: bytes, packed: bytes, tmp_path: Path) -> None:
        data = packed
        for table in tables(packed, "Packed"):
            data = patched(data, place(table, LAYOUT), struct.pack("<Q", 1234))
        model = opened(tmp_path / "stale.ert", data)
        assert packed_ops(model) == 0
        assert outputs(model) == outputs(opened(tmp_path / "plain.ert", plain))
        assert model.session.model.check_target(0)[0::2] == (0, 0)

    @pytest.mark.parametrize("stated", [True, False])
    def test_other_weights_are_packed_anew(self, stated: bool, plain: bytes, packed: bytes, tmp_path: Path) -> None:
        """A tool changes weights and states their new hash, or leaves hashes out: the packed ones no longer belong."""

        def changed(data: bytes) -> bytes:
            buffers = tables(data, "Buffers")
            largest = max(buffers, key=lambda table: table.DataLength())  # type: ignore[attr-defined]
            array = largest.DataAsNumpy()  # type: ignore[attr-defined]
            at = data.index(array.tobytes())
            new = np.flip(array).tobytes()
            data = patched(data, at, new)
            if largest.Hash():  # type: ignore[attr-defined]
                value = _native.buffer_hash(new) if stated else 0
                data = patched(data, place(largest, HASH), struct.pack("<Q", value))
            return data

        model = opened(tmp_path / "packed.ert", changed(packed))
        assert packed_ops(model) == packed_ops(opened(tmp_path / "whole.ert", packed)) - 1
        assert outputs(model) == outputs(opened(tmp_path / "plain.ert", changed(plain)))
        assert outputs(model) != outputs(opened(tmp_path / "plain.ert", plain))

    def test_other_scales_are_packed_anew(self, packed: bytes, tmp_path: Path) -> None:
        """The multipliers lie in the packed weights."""
        model, op = load_schema()[1].Model.GetRootAs(packed, 0), tables(packed, "Packed")[0].Op()  # type: ignore[attr-defined]
        weights = model.Tensors(model.Ops(op).Inputs(1)).Quantization()
        at = packed.index(weights.ScalesAsNumpy().tobytes(), weights._tab.Pos)
        data = patched(packed, at, struct.pack("<f", weights.Scales(0) * 2))
        changed = opened(tmp_path / "changed.ert", data)
        assert not changed.session.packed_in_file(op)
        assert packed_ops(changed) == packed_ops(opened(tmp_path / "packed.ert", packed)) - 1
        assert outputs(changed) == outputs(opened(tmp_path / "changed.ert", data, isa=CORE))

    def test_damage_is_refused(self, packed: bytes, tmp_path: Path) -> None:
        for table in tables(packed, "Packed"):
            at = packed.index(table.DataAsNumpy().tobytes())  # type: ignore[attr-defined]
            for offset in (0, table.DataLength() - 1):  # type: ignore[attr-defined]
                data = patched(packed, at + offset, bytes([packed[at + offset] ^ 1]))
                with pytest.raises(FileFormatError, match="packed weights do not have the checksum"):
                    opened(tmp_path / "damaged.ert", data)
                opened(tmp_path / "damaged.ert", data, isa=CORE)  # which does not use them

    def test_forged_weights_run_and_are_shown(self, packed: bytes, tmp_path: Path) -> None:
        table = tables(packed, "Packed")[0]
        array = table.DataAsNumpy()  # type: ignore[attr-defined]
        new = bytes(byte ^ 0x55 for byte in array.tobytes())
        data = patched(packed, packed.index(array.tobytes()), new)
        data = patched(data, place(table, CHECKSUM), struct.pack("<Q", _native.buffer_hash(new)))
        model = opened(tmp_path / "forged.ert", data)
        outputs(model)
        assert model.session.model.check_target(0)[2] == 1

    def test_wrong_length_is_packed_anew(self, plain: bytes, packed: bytes, tmp_path: Path) -> None:
        table = tables(packed, "Packed")[0]
        array = table.DataAsNumpy()  # type: ignore[attr-defined]
        at = packed.index(array.tobytes())
        data = patched(packed, at - 4, struct.pack("<I", array.size - 64))
        data = patched(data, place(table, CHECKSUM), struct.pack("<Q", _native.buffer_hash(array[:-64])))
        model = opened(tmp_path / "short.ert", data)
        assert not model.session.packed_in_file(table.Op())  # type: ignore[attr-defined]
        assert outputs(model) == outputs(opened(tmp_path / "plain.ert", plain))


def test_same_bytes_again() -> None:
    names = ("host", "aarch64", "raspberry-pi-5", "aarch64-dotprod", "armv7")
    once, again = (digits(quantize=True, targets=names) for _ in range(2))
    assert once == again


def test_equal_weights_are_kept_once() -> None:
    data = digits(quantize=True, targets=("raspberry-pi-5", "aarch64-dotprod"))
    assert {table.TargetsLength() for table in tables(data, "Packed")} == {2}  # type: ignore[attr-defined]
    first, second = _native.Model(content=data).targets
    assert first[1:] == second[1:]


@pytest.mark.parametrize("one", targets(), ids=lambda target: target.name)
def test_every_target_packs(one: edgert.targets.Target, plain: bytes) -> None:
    architecture, _ = _native.host_target()
    if one.architecture == "x86_64" != architecture:
        pytest.skip("x86-64 is packed for on x86-64")
    if not one.instruction_sets:
        pytest.skip("the scalar kernels use no packed weights")
    made = pack_weights(plain, (one.name,))
    assert made.entries
    model = _native.Model(content=digits(quantize=True, targets=(one.name,)))
    assert model.check_target(0) == (len(made.entries), 0, 0)


def test_unknown_names_are_refused(plain: bytes) -> None:
    with pytest.raises(InputError, match="there is no target 'toaster'; there are host, "):
        pack_weights(plain, ("toaster",))
    model = _native.Model(content=plain)
    with pytest.raises(InputError, match="'mips' is no architecture"):
        _native.pack(model, "mips", "")
    with pytest.raises(InputError, match="aarch64 has no instruction set 'avx2'"):
        _native.pack(model, "aarch64", "neon avx2")
